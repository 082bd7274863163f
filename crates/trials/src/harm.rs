//! Damage that a repair has to do with: all index files are gone, and a bit of a message is another.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::folder;

/// Damages the repository at `path`.
///
/// # Errors
/// When a file cannot be read or changed, or there is no pack.
pub fn befall(path: &Path) -> Result<()> {
    for index in folder::files(&path.join("index"))? {
        fs::remove_file(index)?;
    }
    // The largest pack is of messages.
    let packs = folder::files(&path.join("data"))?.into_iter();
    let size = |pack: &PathBuf| fs::metadata(pack).map_or(0, |about| about.len());
    let largest = packs.max_by_key(size).context("there are packs")?;
    let mut bytes = fs::read(&largest)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::remove_file(&largest)?;
    Ok(fs::write(&largest, bytes)?)
}
