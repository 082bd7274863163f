//! Folders of files: what is in them, how large they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// All files in and below a folder, in the order of their paths.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// How many bytes the files in and below a folder hold.
pub(crate) fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let sizes = files(folder)?.into_iter().map(fs::metadata);
    let mut total = 0;
    for metadata in sizes {
        total += metadata?.len();
    }
    Ok(total)
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
