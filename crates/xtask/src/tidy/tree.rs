//! The workspace's text files, read once, and what a check finds in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use anyhow::Context;

/// Text files by their path from the workspace's root, with `/` between the parts.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    /// Pictures and the like, of which only the path counts.
    others: BTreeSet<String>,
}

impl Tree {
    /// Reads everything below `root` but what git and cargo keep there. Of files that are not text only their paths are kept.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> anyhow::Result<()> {
        let absolute = root.join(folder);
        let entries = fs::read_dir(&absolute)
            .with_context(|| format!("{} cannot be read", absolute.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            if entry.file_type()?.is_dir() {
                if !matches!(path.as_str(), ".git" | "target") {
                    self.read_folder(root, &path)?;
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.files.insert(path, text);
            } else {
                self.others.insert(path);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        Self {
            files: files.iter().map(own).collect(),
            others: BTreeSet::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is such a file, text or not.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.others.contains(path)
    }

    pub(crate) fn replace(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), text);
    }

    /// All files, in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The files whose path begins and ends like this.
    pub(crate) fn under<'a>(
        &'a self,
        prefix: &'a str,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files()
            .filter(move |(path, _)| path.starts_with(prefix) && path.ends_with(suffix))
    }
}

/// One thing that is wrong with a file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 when it is the file as a whole.
    line: usize,
    what: String,
}

impl Finding {
    pub(crate) fn file(path: &str, what: impl Into<String>) -> Self {
        Self::line(path, 0, what)
    }

    pub(crate) fn line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Asserts that a check finds exactly this, each as `path:line: what`, or `path: what`, in a tree of these files.
#[cfg(test)]
pub(crate) fn assert_finds(
    check: fn(&Tree) -> Vec<Finding>,
    files: &[(&str, &str)],
    expected: &[&str],
) {
    let found: Vec<_> = check(&Tree::of(files))
        .iter()
        .map(Finding::to_string)
        .collect();
    assert_eq!(found, expected);
}
