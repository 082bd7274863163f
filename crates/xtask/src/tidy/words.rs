//! Words that mean something only on one machine or in one tracker: they tell a reader nothing, and some tell a stranger too much.

use super::{
    text::has_word,
    tree::{Finding, Tree},
};

/// Texts and what is wrong with them. Spelled in two parts, so that this file does not find itself.
const FORBIDDEN: [(&str, &str); 7] = [
    (concat!("/wor", "k/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("index.cra", "tes.io"), "a registry's host"),
    (concat!("registry.npm", "js"), "a registry's host"),
    (concat!("pypi.", "org"), "a registry's host"),
    (concat!("[sour", "ce."), "a mirror of one machine"),
];

/// Files in which machines write.
const EXCEPT: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !EXCEPT.contains(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            for (word, reason) in FORBIDDEN.iter().filter(|(word, _)| has_word(line, word)) {
                findings.push(Finding::line(path, number, format!("`{word}` is {reason}")));
            }
            // In code a number sign belongs to attributes, literals and test data.
            let is_prose = !path.ends_with(".rs") || line.trim_start().starts_with("//");
            if is_prose && names_a_ticket(line) {
                let what = "a number in a tracker; give the reason itself";
                findings.push(Finding::line(path, number, what));
            }
        }
    }
    findings
}

/// Whether the line has a number of up to five digits behind `#` or behind the word for a ticket. Colours and entities have no blank or bracket
/// before the `#`, or are hexadecimal.
fn names_a_ticket(line: &str) -> bool {
    let mut before = None;
    let lower = line.to_lowercase();
    for word in lower.split([' ', '(', '[']) {
        let digits = match (word.strip_prefix('#'), before) {
            (Some(_), Some("pkcs")) => "",
            (Some(rest), _) => rest,
            (None, Some(concat!("iss", "ue"))) => word,
            _ => "",
        };
        before = Some(word);
        let number = digits.trim_end_matches(|c: char| c.is_ascii_punctuation());
        if (1..=5).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    #[test]
    fn every_word_is_found_but_in_the_lock_file() {
        for (word, reason) in FORBIDDEN {
            let text = format!("one\nsee {word}/x\n");
            let expected = format!("README.md:2: `{word}` is {reason}");
            assert_finds(
                check,
                &[("README.md", &text), ("Cargo.lock", &text)],
                &[&expected],
            );
        }
    }

    #[test]
    fn numbers_in_a_tracker_are_found_and_other_numbers_are_not() {
        for (line, expected) in [
            (concat!("mends #", "12"), true),
            (concat!("so (#", "7)."), true),
            (concat!("as iss", "ue 42 says"), true),
            (concat!("Iss", "ue #", "4"), true),
            ("a PKCS #8 key", false),
            ("survival 62, abuse 37", false),
            ("#[expect(x)] r#\"1\"# &#39; #fff; # 1", false),
            ("color:#123;", false),
            ("…/$metadata#users", false),
        ] {
            assert_eq!(names_a_ticket(line), expected, "{line}");
        }
    }
}
