//! Mails: a corpus of real ones, repeated with other words until there are enough.

use std::{fs, path::Path};

use rand::{RngExt, rngs::StdRng};

use super::{place, random, text, write};
use crate::folder;

/// Where the reference corpus is among the shared data.
const CORPUS: &str = "corpora/mail";
/// One word in so many is replaced: mails that repeat each other wholly would tell nothing of compression.
const ONE_WORD_IN: usize = 4;
/// Made-up mails when there is no corpus: about as long as the real ones.
const MADE_UP_BYTES: std::ops::Range<usize> = 1_000..9_000;

/// The text of a short mail.
const SHORT_BYTES: usize = 400;

/// Writes so many mails of some 500 bytes, each to somebody and with a subject of its own.
pub(crate) fn short_mails(folder: &Path, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let mut content = format!(
            "From: a@example.com\r\nTo: b@example.com\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.com>\r\n\r\n"
        )
        .into_bytes();
        text(&mut content, SHORT_BYTES, &mut random(number));
        write(&place(folder, number, "eml"), &content)?;
    }
    Ok(())
}

/// Writes so many mails, and tells what they are.
pub(crate) fn mails(folder: &Path, count: usize) -> anyhow::Result<&'static str> {
    let Some(corpus) = testkit::shared::path(CORPUS) else {
        for number in 0..count {
            let mut rng = random(number);
            let mut content = b"From: someone@example.com\r\n\r\n".to_vec();
            let size = rng.random_range(MADE_UP_BYTES);
            text(&mut content, size, &mut rng);
            write(&place(folder, number, "eml"), &content)?;
        }
        return Ok("made-up mails");
    };
    let mut real = Vec::new();
    for file in folder::files(&corpus)? {
        real.push(fs::read(file)?);
    }
    let vocabulary: Vec<&[u8]> = real
        .iter()
        .flat_map(|mail| words(mail))
        .filter(|(word, is_word)| *is_word && word.len() > 3)
        .map(|(word, _)| word)
        .collect();
    for number in 0..count {
        let mail = &real[number % real.len()];
        let varied;
        let content = if number < real.len() {
            mail
        } else {
            varied = vary(mail, &vocabulary, &mut random(number));
            &varied
        };
        write(&place(folder, number, "eml"), content)?;
    }
    Ok("real mails, repeated with other words")
}

/// The mail with some of its words replaced by others of the corpus.
fn vary(mail: &[u8], vocabulary: &[&[u8]], rng: &mut StdRng) -> Vec<u8> {
    let mut varied = Vec::with_capacity(mail.len() + mail.len() / 8);
    for (part, is_word) in words(mail) {
        if is_word && part.len() > 3 && rng.random_range(..ONE_WORD_IN) == 0 {
            varied.extend_from_slice(vocabulary[rng.random_range(..vocabulary.len())]);
        } else {
            varied.extend_from_slice(part);
        }
    }
    varied
}

/// The mail cut into words of small letters and what is between them.
fn words(mail: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    mail.chunk_by(|a, b| a.is_ascii_lowercase() == b.is_ascii_lowercase())
        .map(|part| (part, part[0].is_ascii_lowercase()))
}
