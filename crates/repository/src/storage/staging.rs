//! Staging files: what `object_store` leaves on a local disk when it is killed between writing a file and renaming it.
//!
//! They are called like the object with `#` and a number behind; `object_store` hides them from its listings and restic ignores them, so
//! they would take space for ever.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::Storage;

/// What needs no lock to be written (locks, keys, the configuration) takes moments: a staging file of it that is so old is nobody's.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Staging files that were there at some time.
#[derive(Debug)]
pub(crate) struct Staging(Vec<PathBuf>);

impl Storage {
    /// The staging files beside packs, index files, snapshots and records of doomed packs. Those of locks, keys and the configuration may be in use by somebody who holds no
    /// lock yet, so that only old ones count.
    pub(crate) async fn staging(&self, now: Timestamp) -> Staging {
        let Some(folder) = self.folder.clone() else {
            return Staging(Vec::new());
        };
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for flat in ["index", "snapshots", "keepwell/prune"] {
                collect(&folder.join(flat), &mut found);
            }
            for prefix in entries(&folder.join("data")) {
                collect(&prefix, &mut found);
            }
            let mut young = Vec::new();
            for without_lock in ["locks", "keys", ""] {
                collect(&folder.join(without_lock), &mut young);
            }
            found.extend(young.into_iter().filter(|path| is_abandoned(path, now)));
            found
        });
        Staging(found.await.unwrap_or_default())
    }
}

impl Staging {
    /// Removes the files. They must have been seen before it was seen that nobody else holds a lock, or one may be in use.
    pub(crate) async fn remove(self) {
        for path in self.0 {
            // It does no harm where it is: the next run tries again.
            tokio::fs::remove_file(path).await.ok();
        }
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    found.extend(entries(folder).filter(|path| is_staging(path)));
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let listing = std::fs::read_dir(folder).into_iter().flatten();
    listing.filter_map(|entry| entry.ok().map(|entry| entry.path()))
}

fn is_abandoned(path: &Path, now: Timestamp) -> bool {
    let written = path.metadata().and_then(|meta| meta.modified()).ok();
    let written = written.and_then(|time| Timestamp::try_from(time).ok());
    written
        .is_some_and(|time| now.duration_since(time).unsigned_abs() > ABANDONED_AFTER && time < now)
}

fn is_staging(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.split_once('#'))
        .is_some_and(|(id, number)| {
            let is_id = id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
            (is_id || id == super::CONFIG)
                && !number.is_empty()
                && number.bytes().all(|digit| digit.is_ascii_digit())
        })
}
