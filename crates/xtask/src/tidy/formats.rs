//! Binds each page of `docs/format` to the code that reads and writes the format.
//!
//! A page carries one line for each codec, `<!-- codec: crates/x/src/y.rs sha256:… -->`. When the file changes, tidy fails until somebody has
//! read the page again and recorded the new hash with `cargo xtask tidy --bless`.

use std::{fs, path::Path};

use anyhow::Context;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::tree::{Finding, Tree};

const FOLDER: &str = "docs/format/";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under(FOLDER, ".md") {
        let mut is_bound = false;
        for (number, line) in (1..).zip(text.lines()) {
            let Some((codec, recorded)) = binding(line) else {
                continue;
            };
            is_bound = true;
            match tree.text(codec).map(hash) {
                Some(hash) if hash == recorded => {}
                Some(_) => {
                    let what = format!(
                        "{codec} has changed: read this page again, then run `cargo xtask tidy --bless`"
                    );
                    findings.push(Finding::line(path, number, what));
                }
                None => findings.push(Finding::line(path, number, format!("there is no {codec}"))),
            }
        }
        if !is_bound {
            let what = "no line `<!-- codec: … sha256:… -->` binds it to its codec";
            findings.push(Finding::file(path, what));
        }
    }
    findings
}

/// Records the present hashes on the disk and in the tree.
pub(crate) fn bless(tree: &mut Tree, root: &Path) -> anyhow::Result<()> {
    let pages: Vec<_> = tree
        .under(FOLDER, ".md")
        .map(|(path, text)| (path.to_owned(), blessed(tree, text)))
        .filter(|(path, text)| tree.text(path) != Some(text))
        .collect();
    for (path, text) in pages {
        fs::write(root.join(&path), &text).with_context(|| format!("{path} cannot be written"))?;
        println!("recorded anew: {path}");
        tree.replace(&path, text);
    }
    Ok(())
}

/// The page with the present hash of each codec that exists.
fn blessed(tree: &Tree, page: &str) -> String {
    let line =
        |line: &str| match binding(line).and_then(|(codec, _)| Some((codec, tree.text(codec)?))) {
            Some((codec, text)) => format!("<!-- codec: {codec} sha256:{} -->\n", hash(text)),
            None => format!("{line}\n"),
        };
    page.lines().map(line).collect()
}

/// The path and the hash of a line that binds; the hash may be empty in a new page.
fn binding(line: &str) -> Option<(&str, &str)> {
    let inner = line
        .trim()
        .strip_prefix("<!-- codec:")?
        .strip_suffix("-->")?;
    inner.trim().split_once(" sha256:")
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    const CODEC: (&str, &str) = ("crates/a/src/codec.rs", "//! A codec.\n");

    #[test]
    fn a_page_is_bound_to_its_codec() {
        let good = format!(
            "# A\n<!-- codec: {} sha256:{} -->\n",
            CODEC.0,
            hash(CODEC.1)
        );
        assert_finds(check, &[CODEC, ("docs/format/a.md", &good)], &[]);
        assert_finds(
            check,
            &[
                (CODEC.0, "//! Another codec.\n"),
                ("docs/format/a.md", &good),
                ("docs/format/b.md", "# B\n"),
                (
                    "docs/format/c.md",
                    "<!-- codec: crates/gone.rs sha256:00 -->",
                ),
            ],
            &[
                "docs/format/a.md:2: crates/a/src/codec.rs has changed: read this page again, then run `cargo xtask tidy --bless`",
                "docs/format/b.md: no line `<!-- codec: … sha256:… -->` binds it to its codec",
                "docs/format/c.md:1: there is no crates/gone.rs",
            ],
        );
    }

    #[test]
    fn blessing_records_the_present_hash_and_nothing_else() {
        let page = "# A\n\n<!-- codec: crates/a/src/codec.rs sha256: -->\ntext\n";
        let tree = Tree::of(&[CODEC, ("docs/format/a.md", page)]);
        let after = blessed(&tree, page);
        assert_eq!(
            after,
            page.replace("sha256:", &format!("sha256:{}", hash(CODEC.1)))
        );
        assert_finds(check, &[CODEC, ("docs/format/a.md", &after)], &[]);
    }
}
