//! Names of files that somebody else chose, made harmless: for a header, and for what lies in a ZIP.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;

/// Characters of a name without its extension.
const LENGTH_MAX: usize = 150;
/// What is longer is a part of the name.
const EXTENSION_MAX: usize = 10;
/// Names that Windows takes for devices, with whatever extension.
const DEVICES: [&str; 22] = [
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1",
    "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// A name that is one on every system: no folder, no device, nothing that acts, hides or misleads, and not too long.
pub(crate) fn plain(name: &str) -> String {
    let is_bad = |c: char| c.is_control() || "/\\:*?\"<>|%;'".contains(c) || is_direction(c);
    let clean: String = name
        .chars()
        .map(|c| if is_bad(c) { '_' } else { c })
        .collect();
    let clean = clean.trim_matches([' ', '.']);
    let (stem, extension) = match clean.rsplit_once('.') {
        Some((stem, extension)) if extension.chars().count() <= EXTENSION_MAX => (stem, extension),
        _ => (clean, ""),
    };
    let stem: String = stem.chars().take(LENGTH_MAX).collect();
    let before_dot = stem.split('.').next().unwrap_or_default().trim();
    let is_device = DEVICES.contains(&before_dot.to_lowercase().as_str());
    let guard = if is_device { "_" } else { "" };
    match (stem.trim(), extension) {
        ("", "") => "file".to_owned(),
        (stem, "") => format!("{guard}{stem}"),
        (stem, extension) => format!("{guard}{stem}.{extension}"),
    }
}

/// `Content-Disposition` for a name that somebody else chose (RFC 6266): an ASCII name without anything that means something, and the whole name
/// percent-encoded beside it.
pub(crate) fn disposition(name: &str) -> String {
    let whole = plain(name);
    let ascii: String = whole
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let encoded: String = whole
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// Names within one ZIP: none comes twice, not even on a system that takes capitals for small letters, or letters with accents for their parts.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// A harmless name that was not given out before, below the folder that is named, which ends with a slash or is empty.
    pub(crate) fn give(&mut self, folder: &str, stem: &str, extension: &str) -> String {
        let stem = plain(stem);
        let mut path = format!("{folder}{stem}.{extension}");
        let mut number = 1;
        while !self.0.insert(path.to_lowercase().nfc().collect()) {
            number += 1;
            path = format!("{folder}{stem} ({number}).{extension}");
        }
        path
    }
}

/// Characters that make a name look like another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_neither_breaks_the_header_nor_chooses_a_folder() {
        let check =
            |name: &str, expected: &str| assert_eq!(disposition(name), expected, "{name:?}");
        check(
            "plan.pdf",
            "attachment; filename=\"plan.pdf\"; filename*=UTF-8''plan.pdf",
        );
        check(
            "a\"b\r\nSet-Cookie: x",
            "attachment; filename=\"a_b__Set-Cookie_ x\"; filename*=UTF-8''a_b__Set-Cookie_%20x",
        );
        check(
            "../../etc/passwd",
            "attachment; filename=\"_.._etc_passwd\"; filename*=UTF-8''_.._etc_passwd",
        );
        check(
            "Bär\u{202e}fdp.exe",
            "attachment; filename=\"B_r_fdp.exe\"; filename*=UTF-8''B%C3%A4r_fdp.exe",
        );
        check(
            " . ",
            "attachment; filename=\"file\"; filename*=UTF-8''file",
        );
        assert!(disposition(&"x".repeat(5_000)).len() < 400);
    }

    /// abuse 71: names that would leave the folder, be a device, or be one another.
    #[test]
    fn names_in_a_zip_stay_inside_and_never_meet() {
        let mut names = Names::default();
        let mut check = |stem: &str, expected: &str| {
            assert_eq!(names.give("Inbox/", stem, "eml"), expected, "{stem:?}");
        };
        check("Report", "Inbox/Report.eml");
        check("REPORT", "Inbox/REPORT (2).eml");
        check("report", "Inbox/report (3).eml");
        check("report (2)", "Inbox/report (2) (2).eml");
        check("../../etc/passwd", "Inbox/_.._etc_passwd.eml");
        check("..\\..\\x", "Inbox/_.._x.eml");
        check("/etc/passwd", "Inbox/_etc_passwd.eml");
        check("C:\\x", "Inbox/C__x.eml");
        check("con", "Inbox/_con.eml");
        check("NUL.txt", "Inbox/_NUL.txt.eml");
        check("B\u{e4}r", "Inbox/B\u{e4}r.eml");
        check("Ba\u{308}r", "Inbox/Ba\u{308}r (2).eml");
        check("", "Inbox/file.eml");
        check("\u{202e}gpj.exe", "Inbox/_gpj.exe.eml");
    }
}
