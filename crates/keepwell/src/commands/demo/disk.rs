//! What lies on disk, to see whether anything was written. Contents are not read: a file that is written has another time.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;

/// Size and time of change of every file below a folder.
pub(super) type Files = BTreeMap<PathBuf, (u64, SystemTime)>;

/// Lists all files below the folder.
pub(super) fn files(root: &Path) -> anyhow::Result<Files> {
    let list = || -> io::Result<Files> {
        let mut found = Files::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let about = entry.metadata()?;
                if about.is_dir() {
                    folders.push(entry.path());
                } else {
                    found.insert(entry.path(), (about.len(), about.modified()?));
                }
            }
        }
        Ok(found)
    };
    list().with_context(|| format!("{} could not be listed", root.display()))
}

/// The files that are new, gone, or written to.
pub(super) fn changed<'a>(before: &'a Files, after: &'a Files) -> Vec<&'a Path> {
    let written = after
        .iter()
        .filter(|(path, about)| before.get(*path) != Some(about));
    let gone = before.iter().filter(|(path, _)| !after.contains_key(*path));
    written
        .chain(gone)
        .map(|(path, _)| path.as_path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("deep"))?;
        for name in ["same", "deep/gone", "longer", "touched"] {
            fs::write(path(name), "1")?;
        }
        let before = files(folder.path())?;
        assert!(changed(&before, &files(folder.path())?).is_empty());
        fs::remove_file(path("deep/gone"))?;
        fs::write(path("deep/new"), "1")?;
        fs::write(path("longer"), "12")?;
        let file = fs::File::options().write(true).open(path("touched"))?;
        file.set_modified(SystemTime::UNIX_EPOCH)?;
        let after = files(folder.path())?;
        let mut seen = changed(&before, &after);
        seen.sort();
        let mut expected = ["deep/gone", "deep/new", "longer", "touched"].map(path);
        expected.sort();
        assert_eq!(seen, expected);
        Ok(())
    }
}
