//! Rust files: what opens them, how long they are, and what is never left in them.

use super::{
    text::has_word,
    tree::{Finding, Tree},
};

/// A file beyond it hides a second idea. Most have a third of it.
const MAX_LINES: usize = 900;

/// What is never committed, and why. Spelled in two parts, so that this file does not find itself.
const BANNED: [(&str, &str); 9] = [
    (concat!("TO", "DO"), "finish it or leave it out"),
    (concat!("FIX", "ME"), "mend it or leave it out"),
    (concat!("X", "XX"), "say what is meant"),
    (concat!("to", "do!("), "finish it or leave it out"),
    (concat!("unimpl", "emented!("), "finish it or leave it out"),
    (concat!("db", "g!("), "it is a leftover of debugging"),
    (concat!("#[ign", "ore"), "a test runs or does not exist"),
    (concat!("#[should", "_panic"), "assert on an error instead"),
    (concat!("[al", "low("), "use #[expect(…, reason = \"…\")]"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under("crates/", ".rs") {
        if !text.starts_with("//! ") {
            findings.push(Finding::line(
                path,
                1,
                "it does not open with `//! `, saying what the file is for",
            ));
        }
        if path.ends_with("/mod.rs") {
            findings.push(Finding::file(
                path,
                "name the file after the module, beside its folder",
            ));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            findings.push(Finding::file(
                path,
                format!("{lines} lines, more than {MAX_LINES}"),
            ));
        }
        for (number, line) in (1..).zip(text.lines()) {
            for (banned, reason) in BANNED {
                if has_word(line, banned) {
                    findings.push(Finding::line(path, number, format!("`{banned}`: {reason}")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    #[test]
    fn a_good_file_passes() {
        assert_finds(
            check,
            &[
                ("crates/a/src/lib.rs", "//! For this.\n"),
                ("docs/x.rs", ""),
            ],
            &[],
        );
    }

    #[test]
    fn headless_misplaced_and_long_files_are_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        assert_finds(
            check,
            &[
                ("crates/a/src/b/mod.rs", "//! B.\n"),
                ("crates/a/src/lib.rs", "// A.\n"),
                ("crates/a/src/long.rs", &long),
            ],
            &[
                "crates/a/src/b/mod.rs: name the file after the module, beside its folder",
                "crates/a/src/lib.rs:1: it does not open with `//! `, saying what the file is for",
                "crates/a/src/long.rs: 901 lines, more than 900",
            ],
        );
    }

    #[test]
    fn every_leftover_is_found() {
        for (banned, reason) in BANNED {
            let text = format!("//! A.\n    {banned}\n");
            let expected = format!("crates/a/src/lib.rs:2: `{banned}`: {reason}");
            let found = check(&Tree::of(&[("crates/a/src/lib.rs", &text)]));
            assert!(
                found.iter().any(|finding| finding.to_string() == expected),
                "{banned}"
            );
        }
    }
}
