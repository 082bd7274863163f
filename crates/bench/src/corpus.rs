//! Files to be backed up, made alike in every run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

mod mails;

pub(crate) use mails::{mails, short_mails};

/// Files in one folder, as the product keeps directories.
const FILES_PER_FOLDER: usize = 500;
/// Every file is made from this and its own number.
const SEED: u64 = 0x0006_b656_5707_7765;

/// Words of made-up office mail.
const WORDS: &[&str] = &[
    "about",
    "account",
    "agenda",
    "agreed",
    "and",
    "answer",
    "approved",
    "as",
    "attached",
    "before",
    "budget",
    "by",
    "call",
    "can",
    "change",
    "client",
    "contract",
    "costs",
    "date",
    "deadline",
    "delivery",
    "department",
    "discuss",
    "draft",
    "end",
    "figures",
    "for",
    "forward",
    "friday",
    "from",
    "has",
    "have",
    "hello",
    "if",
    "in",
    "invoice",
    "is",
    "it",
    "kind",
    "last",
    "let",
    "meeting",
    "monday",
    "month",
    "need",
    "new",
    "next",
    "not",
    "of",
    "offer",
    "office",
    "on",
    "order",
    "our",
    "payment",
    "plan",
    "please",
    "price",
    "project",
    "quarter",
    "question",
    "regards",
    "report",
    "review",
    "send",
    "signed",
    "still",
    "team",
    "thanks",
    "that",
    "the",
    "their",
    "this",
    "to",
    "tomorrow",
    "until",
    "update",
    "we",
    "week",
    "will",
    "with",
    "work",
    "year",
    "you",
    "your",
];

/// So many files of 4 to 100 KiB: two fifths text, the others text with something that is encoded and does not compress well.
pub(crate) fn items(folder: &Path, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let mut rng = random(number);
        let size = rng.random_range(4 << 10..100 << 10);
        let text_bytes = if number % 5 < 2 { size } else { size / 5 };
        let mut content = Vec::with_capacity(size + 100);
        text(&mut content, text_bytes, &mut rng);
        base64(&mut content, size, &mut rng);
        content.truncate(size);
        write(&place(folder, number, "eml"), &content)?;
    }
    Ok(())
}

/// So many files of the same length, large and of two kinds by turns: like archives and pictures, which do not compress, and like text.
pub(crate) fn large(folder: &Path, count: usize, bytes: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let mut rng = random(number);
        let mut content = Vec::with_capacity(bytes + 100);
        if number % 2 == 0 {
            content.resize(bytes, 0);
            rng.fill_bytes(&mut content);
        } else {
            text(&mut content, bytes, &mut rng);
            content.truncate(bytes);
        }
        write(&folder.join(format!("large-{number}.bin")), &content)?;
    }
    Ok(())
}

/// Appends words until there are so many bytes.
pub(crate) fn text(content: &mut Vec<u8>, bytes: usize, rng: &mut StdRng) {
    let mut column = 0;
    while content.len() < bytes {
        let word = WORDS[rng.random_range(..WORDS.len())];
        content.extend_from_slice(word.as_bytes());
        column += word.len() + 1;
        if column > 72 {
            content.extend_from_slice(b"\r\n");
            column = 0;
        } else {
            content.push(b' ');
        }
    }
}

/// Appends what looks like an encoded attachment until there are so many bytes.
fn base64(content: &mut Vec<u8>, bytes: usize, rng: &mut StdRng) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while content.len() < bytes {
        let mut bits = rng.next_u64();
        for _ in 0..10 {
            content.push(DIGITS[(bits & 63) as usize]);
            bits >>= 6;
        }
    }
}

/// Appends lines as an encoded attachment has them until there are so many bytes.
pub(crate) fn base64_lines(content: &mut Vec<u8>, bytes: usize, rng: &mut StdRng) {
    content.reserve(bytes);
    while content.len() < bytes {
        let line = content.len() + 70;
        base64(content, line, rng);
        content.extend_from_slice(b"\r\n");
    }
}

/// What makes the content of one file.
pub(crate) fn random(number: usize) -> StdRng {
    StdRng::seed_from_u64(SEED ^ number as u64)
}

fn place(folder: &Path, number: usize, extension: &str) -> PathBuf {
    let parent = number / FILES_PER_FOLDER;
    folder.join(format!(
        "folder-{parent:04}/message-{number:06}.{extension}"
    ))
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let parent = path.parent().context("a file has a folder")?;
    fs::create_dir_all(parent)?;
    fs::write(path, content).with_context(|| path.display().to_string())
}
