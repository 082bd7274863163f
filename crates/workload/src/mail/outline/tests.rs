//! What is composed from an outline beside what is composed from the whole, and how much is in memory.

use model::{AccountId, ItemId, RestoreId};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::mail::compose::{self, Attachment, Loss, Manner, Marks, Source};

/// A part of a mail, and what its content is written as.
#[derive(Clone, Debug)]
struct Part {
    headers: &'static str,
    bytes: usize,
    width: usize,
    end: &'static str,
    /// Something else at this line.
    spoiled: Option<(usize, &'static str)>,
}

fn base64(part: &Part) -> String {
    let bytes: Vec<u8> = (0..part.bytes).map(|i| (i * 31 % 251) as u8).collect();
    let text = BASE64.encode(&bytes);
    let mut written = String::new();
    for (number, line) in text.as_bytes().chunks(part.width).enumerate() {
        if let Some((_, other)) = part.spoiled.filter(|(at, _)| *at == number) {
            written.push_str(other);
        }
        written.push_str(&String::from_utf8_lossy(line));
        written.push_str(part.end);
    }
    written
}

fn mail(parts: &[Part]) -> Bytes {
    let mut mail =
        "From: a@x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nText\r\n"
            .to_owned();
    for part in parts {
        mail.push_str("--b\r\n");
        mail.push_str(part.headers);
        mail.push_str(&base64(part));
    }
    (mail + "--b--\r\n").into()
}

fn outline(mime: &[u8], step: usize) -> Outline {
    let mut outliner = Outliner::default();
    mime.chunks(step).for_each(|part| outliner.push(part));
    outliner.finish()
}

/// Follows the steps to a range.
fn read(far: &Far, mime: &[u8], range: Range<u64>) -> Vec<u8> {
    let whole = |range: Range<u64>| mime[range.start as usize..range.end as usize].to_vec();
    let steps = far.steps(range).into_iter();
    let parts = steps.map(|step| match step {
        Step::Take(bytes) => bytes.to_vec(),
        Step::Copy(range) => whole(range),
        Step::Decode(range, part) => {
            let decoded = decode_lines(whole(range)).expect("they were seen to be base64");
            decoded[part].to_vec()
        }
    });
    parts.flatten().collect()
}

/// The name and content of every attachment, and the losses.
type Shown = (Vec<(String, Vec<u8>)>, Vec<Loss>);

fn shown(mime: &Outline, whole: &[u8]) -> Option<Shown> {
    let id = |text: &str| ItemId::new(text).expect("an id");
    let marks = Marks::new(
        &RestoreId::new("r").expect("an id"),
        &AccountId::new("a").expect("an id"),
        &id("i"),
        None,
    );
    let json = r#"{"id":"i","body":{"contentType":"text","content":"Text"}}"#;
    let json = RawValue::from_string(json.to_owned()).expect("it is JSON");
    let source = Source {
        json: &json,
        mime,
        attachments: &[],
    };
    let mut composed = compose::compose(source, &marks)?;
    let losses = composed.render(Manner::Faithful).losses;
    let content = |attachment: &Attachment| match (attachment.far(), attachment.file()) {
        (Some(far), _) => read(far, whole, 0..far.size_bytes()),
        (None, Some(file)) => file.to_vec(),
        (None, None) => attachment.json().expect("a message").get().into(),
    };
    let attachments = composed.attachments_mut().iter();
    let attachments = attachments.map(|one| (one.name().to_owned(), content(one)));
    Some((attachments.collect(), losses))
}

/// Whether an outline is enough; fails if something else comes of it.
fn suffices(mime: &Bytes, step: usize) -> bool {
    let outline = outline(mime, step);
    assert_eq!(outline.size_bytes(), mime.len() as u64);
    let all = outline.raw(0..outline.held_bytes());
    assert!(read(&all, mime, 0..all.size_bytes()) == mime[..]);
    let whole = shown(&Outline::from(mime.clone()), mime);
    let from_outline = shown(&outline, mime);
    assert!(from_outline.is_none() || from_outline == whole);
    from_outline.is_some() && outline.gap_count() > 0
}

const PDF: &str = "Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n";
const TEXT: &str = "Content-Type: text/csv; charset=iso-8859-1; name=a.csv\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: BASE64\r\n\r\n";
const NESTED: &str = "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
const ENCODED: &str = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
const PLAIN: &str = "Content-Type: application/pdf\r\nContent-Disposition: attachment\r\nX: Content-Transfer-Encoding: base64\r\n\r\n";
const BODY: &str = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";

fn part(headers: &'static str, bytes: usize) -> Part {
    Part {
        headers,
        bytes,
        width: 76,
        end: "\r\n",
        spoiled: None,
    }
}

#[test]
fn large_attachments_are_left_out_and_come_back() {
    for bytes in [100_000, 57 * 2_000, 57 * 2_000 + 1, 57 * 2_000 + 2] {
        let parts = [part(PDF, bytes), part(TEXT, bytes), part(PDF, 500)];
        assert!(suffices(&mail(&parts), 1_000), "{bytes}");
    }
    let other = Part {
        width: 64,
        end: "\n",
        ..part(PDF, 200_000)
    };
    assert!(suffices(&mail(&[other]), 7_777));
    let alone = PDF.to_owned() + &base64(&part(PDF, 200_000));
    assert!(suffices(&alone.into(), 1_000), "a mail that is a file");
}

#[test]
fn attached_messages_stay_messages_unless_they_are_large() {
    assert!(!suffices(&mail(&[part(NESTED, 1_000_000)]), 100_000));
    assert!(suffices(&mail(&[part(NESTED, 5_000_000)]), 100_000));
    suffices(&mail(&[part(ENCODED, 5_000_000)]), 100_000);
}

#[test]
fn what_is_something_else_is_taken_whole() {
    for headers in [PLAIN, BODY] {
        assert!(!suffices(&mail(&[part(headers, 100_000)]), 1_000));
    }
    for other in ["\r\n", "!\r\n", "=\r\n", "AB\r\n", "--c\r\n"] {
        let spoiled = Part {
            spoiled: Some((1_500, other)),
            ..part(PDF, 200_000)
        };
        suffices(&mail(&[spoiled, part(PDF, 100_000)]), 1_000);
    }
}

/// However large a message is, little of it is in memory, and sending a range takes little more of the MIME than its length in base64.
#[test]
fn what_is_in_memory_does_not_grow_with_a_message() {
    const RANGE: u64 = 1 << 20;
    let mime = mail(&[part(PDF, 9_000_000), part(PDF, 2_000_000)]);
    let outline = outline(&mime, 1 << 20);
    assert!(outline.held_bytes() < 1_000, "{}", outline.held_bytes());
    assert_eq!(outline.gap_count(), 2);
    for gap in &outline.gaps {
        let far = Far {
            pieces: vec![Piece::Decoded(gap.lines)],
        };
        let size = far.size_bytes();
        let mut decoded = 0;
        for from in (0..size).step_by(RANGE as usize) {
            for step in far.steps(from..size.min(from + RANGE)) {
                let Step::Decode(range, part) = step else {
                    panic!("lines are decoded, not {step:?}");
                };
                assert!(range.end - range.start <= RANGE * 78 / 57 + 2 * 78);
                decoded += part.len() as u64;
            }
        }
        assert_eq!(decoded, size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_of_an_attachment_is_what_it_is_of_the_whole(
        bytes in 40_000..80_000_usize, width in 1..160_usize, step in 1..5_000_usize, lf: bool,
        a in 0.0..1.0_f64, b in 0.0..1.0_f64,
    ) {
        let end = if lf { "\n" } else { "\r\n" };
        let only = Part { width, end, ..part(PDF, bytes) };
        let mime = mail(std::slice::from_ref(&only));
        prop_assert!(suffices(&mime, step));
        let outline = outline(&mime, step);
        let gap = outline.gaps[0];
        let far = Far { pieces: vec![Piece::Decoded(gap.lines)] };
        let size = far.size_bytes() as f64;
        let (from, to) = ((a.min(b) * size) as u64, (a.max(b) * size) as u64);
        let all = read(&far, &mime, 0..far.size_bytes());
        prop_assert!(read(&far, &mime, from..to) == all[from as usize..to as usize]);
    }
}
