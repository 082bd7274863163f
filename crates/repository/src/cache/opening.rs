//! The key file and the configuration, as they are stored, so that a repository opens without asking the storage.
//!
//! Both are sealed already, the key by the password and the configuration by the key. What they cannot tell is whether the storage still holds
//! the repository that they were copied from, so that is looked at before anything else is asked of the storage.

use std::fs;

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::Folder;
use crate::error::{Error, Result};

const KEY: &str = "key";
const CONFIG: &str = "config";

/// Copies of what opening reads.
#[derive(Debug)]
pub(crate) struct Opening {
    folder: Folder,
    pub(crate) key_file: Bytes,
    pub(crate) config: Bytes,
    confirmed: OnceCell<()>,
}

impl Opening {
    /// The copies, if both are there and can be relied on: where nothing can be written, nobody notes that he takes a lock.
    pub(crate) fn read(folder: &Folder) -> Option<Self> {
        let key_file = folder.read(KEY)?.into();
        let config = folder.read(CONFIG)?.into();
        folder.is_writable().then(|| Self {
            folder: folder.clone(),
            key_file,
            config,
            confirmed: OnceCell::new(),
        })
    }

    /// Keeps copies of these.
    pub(crate) fn write(folder: &Folder, key_file: &[u8], config: &[u8]) {
        folder.remove_staging();
        for (name, content) in [(KEY, key_file), (CONFIG, config)] {
            if folder.read(name).as_deref() != Some(content) {
                folder.write(name, content);
            }
        }
    }

    /// Whether the next opening can do without the storage.
    pub(super) fn is_kept(folder: &Folder) -> bool {
        fs::exists(folder.path(KEY)).unwrap_or(false)
    }

    /// Makes the next opening ask the storage.
    pub(super) fn remove(folder: &Folder) {
        folder.remove(KEY);
    }

    /// Compares the copy with the storage's configuration, which `read` gives, the first time that it is called. Errors when the storage
    /// holds nothing or another repository; then the copies are removed, and the next opening says what is there (abuse 30).
    pub(crate) async fn confirm(
        &self,
        read: impl Future<Output = Result<Option<Bytes>>>,
    ) -> Result<()> {
        let confirmed = self.confirmed.get_or_try_init(|| async {
            let problem = match read.await? {
                Some(config) if config == self.config => return Ok(()),
                Some(_) => Error::AnotherRepository,
                None => Error::NoRepository,
            };
            Self::remove(&self.folder);
            Err(problem)
        });
        confirmed.await.copied()
    }
}
