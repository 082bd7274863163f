//! `cargo xtask tidy`: checks of the tree that neither the compiler nor clippy makes.
//!
//! Every check is a function from the [`Tree`] to [`Finding`]s, so that its tests show it a bad tree without touching the disk. Checks read text
//! and understand little: a check that needs a parser of Rust belongs in a lint.

mod decisions;
mod edges;
mod formats;
mod links;
mod manifests;
mod sources;
mod text;
mod tree;
mod trials;
mod words;

use anyhow::bail;
use tree::{Finding, Tree};

use crate::surroundings::workspace;

/// Reads the workspace, records the hashes anew if asked to, and prints what is wrong. An error if anything is.
pub(crate) fn run(bless: bool) -> anyhow::Result<()> {
    let mut tree = Tree::read(workspace())?;
    if bless {
        formats::bless(&mut tree, workspace())?;
    }
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files", findings.len(), tree.len());
    }
    println!("{} files are tidy", tree.len());
    Ok(())
}

fn check(tree: &Tree) -> Vec<Finding> {
    let checks = [
        manifests::check,
        sources::check,
        words::check,
        formats::check,
        decisions::check,
        links::check,
        trials::check,
    ];
    checks.iter().flat_map(|check| check(tree)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_tidy() -> anyhow::Result<()> {
        let tree = Tree::read(workspace())?;
        let findings: Vec<_> = check(&tree).iter().map(Finding::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    }
}
