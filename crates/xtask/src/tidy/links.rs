//! Markdown pages: a relative link leads to a file or folder of the tree.

use super::tree::{Finding, Tree};

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.under("", ".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in (1..).zip(text.lines()) {
            for target in targets(line) {
                if !exists(tree, &resolve(folder, target)) {
                    let what = format!("the link to {target} leads nowhere");
                    findings.push(Finding::line(path, number, what));
                }
            }
        }
    }
    findings
}

/// The targets of links such as `[text](target)`, without anchors and without those to other hosts.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let ends = line.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// The path that a link in a page of `folder` means.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    tree.has(path) || tree.under(&format!("{path}/"), "").next().is_some()
}

#[cfg(test)]
mod tests {
    use super::{super::tree::assert_finds, *};

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        assert_finds(
            check,
            &[
                ("LICENSE", ""),
                (
                    "docs/adr/0001-a.md",
                    "[up](../../LICENSE#part) [gone](0002-b.md)",
                ),
                (
                    "docs/page.md",
                    "[a](adr) and [b](adr/0001-a.md), [out](https://example.com/x) [here](#x)\n[no](LICENSE)",
                ),
            ],
            &[
                "docs/adr/0001-a.md:1: the link to 0002-b.md leads nowhere",
                "docs/page.md:2: the link to LICENSE leads nowhere",
            ],
        );
    }
}
