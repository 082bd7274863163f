//! Marks for the locks that are held: a lock is noted here before it is put into the storage, and the note removed after it.
//!
//! Opening with a cache asks the storage nothing, so it would not see the lock that a crash has left. The note tells that there may be one.

use super::{Folder, Opening};
use crate::{id::ObjectId, process};

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    folder: Folder,
    marks: Folder,
}

impl Marks {
    pub(crate) fn new(folder: Folder) -> Self {
        let marks = folder.within("locks");
        Self { folder, marks }
    }

    /// Notes that a lock is about to be taken. If that cannot be written down, the next opening is made to look into the storage.
    pub(crate) fn set(&self, lock: ObjectId) {
        let process = std::process::id().to_string();
        let set = self
            .marks
            .write_durably(&lock.to_string(), process.as_bytes());
        if !set {
            Opening::remove(&self.folder);
        }
    }

    /// Notes that the lock is gone.
    pub(crate) fn clear(&self, lock: ObjectId) {
        self.marks.remove(&lock.to_string());
    }

    /// The marks whose setter is dead, where `is_held` tells whether a lock is held by this process.
    pub(crate) fn dead(&self, is_held: impl Fn(ObjectId) -> bool) -> Vec<ObjectId> {
        let marks = self.marks.list().into_iter();
        let locks = marks.filter_map(|mark| mark.file_name().to_str()?.parse().ok());
        let dead = locks.filter(|lock: &ObjectId| {
            let process = self.marks.read(&lock.to_string());
            let process = process.and_then(|text| String::from_utf8(text).ok()?.parse().ok());
            match process {
                Some(own) if own == std::process::id() => !is_held(*lock),
                Some(other) => !process::is_alive(other),
                // Cut short by a loss of power.
                None => true,
            }
        });
        dead.collect()
    }
}
