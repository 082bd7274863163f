//! Decision records: numbered without a gap, each with the parts that make it one.

use super::tree::{Finding, Tree};

const FOLDER: &str = "docs/adr/";

/// The headings that every record has.
const HEADINGS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, (path, text)) in (1..).zip(tree.under(FOLDER, ".md")) {
        let name = path.trim_start_matches(FOLDER);
        if !name.starts_with(&format!("{number:04}-")) {
            let what = format!("its number is not {number:04}: one is missing or used twice");
            findings.push(Finding::file(path, what));
        }
        for heading in HEADINGS {
            if !text.lines().any(|line| line == heading) {
                findings.push(Finding::file(
                    path,
                    format!("the heading `{heading}` is missing"),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    #[test]
    fn gaps_and_missing_parts_are_found() {
        let good = "# A\n## Context\n## Decision\n## Consequences\n";
        assert_finds(
            check,
            &[("docs/adr/0001-a.md", good), ("docs/adr/0002-b.md", good)],
            &[],
        );
        assert_finds(
            check,
            &[
                ("docs/adr/0001-a.md", good),
                ("docs/adr/0003-b.md", "# B\n## Context\n## Decision\n"),
            ],
            &[
                "docs/adr/0003-b.md: its number is not 0002: one is missing or used twice",
                "docs/adr/0003-b.md: the heading `## Consequences` is missing",
            ],
        );
    }
}
