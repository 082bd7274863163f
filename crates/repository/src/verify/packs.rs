//! Checking one pack.

use bytes::Bytes;

use crate::{
    blob::Opener,
    crypto::Key,
    error::{Error, Problem, Result, Subject},
    id::ObjectId,
    index_file::IndexedPack,
    pack::{self, Entry},
    repository::Repository,
    storage::ObjectKind,
};

/// What the check of a pack found.
pub(super) struct Checked {
    pub(super) pack: ObjectId,
    pub(super) bytes: u64,
    pub(super) sound: Vec<Entry>,
    pub(super) damage: Vec<(Subject, Problem)>,
}

impl Checked {
    fn new(pack: ObjectId) -> Self {
        Self {
            pack,
            bytes: 0,
            sound: Vec::new(),
            damage: Vec::new(),
        }
    }
}

impl Repository {
    /// Reads a pack and all blobs that the index says are in it.
    pub(super) async fn check_pack(&self, listed: IndexedPack) -> Result<Checked> {
        let subject = Subject::Object(ObjectKind::Pack, listed.id);
        let pack = match self
            .0
            .storage
            .get_unchecked(ObjectKind::Pack, listed.id)
            .await
        {
            Ok(pack) => pack,
            Err(Error::Damaged { problem, .. }) => {
                let mut checked = Checked::new(listed.id);
                checked.damage.push((subject, problem));
                for entry in listed.entries().flatten() {
                    checked.damage.push((entry.kind.subject(entry.id), problem));
                }
                return Ok(checked);
            }
            Err(error) => return Err(error),
        };
        let key = self.0.key.clone();
        tokio::task::spawn_blocking(move || check(&key, &pack, &listed, subject))
            .await
            .map_err(|_| Error::Internal("checking a pack was interrupted"))
    }
}

fn check(key: &Key, pack: &Bytes, listed: &IndexedPack, subject: Subject) -> Checked {
    let mut checked = Checked {
        bytes: pack.len() as u64,
        ..Checked::new(listed.id)
    };
    let entries: Vec<Entry> = match listed.entries().collect() {
        Ok(entries) => entries,
        Err(problem) => {
            checked.damage.push((subject, problem));
            return checked;
        }
    };
    if ObjectId::of(pack) != listed.id {
        checked.damage.push((subject, Problem::WrongHash));
    } else {
        match pack::read_header(key, pack) {
            Ok(header) if same_blobs(&header, &entries) => {}
            Ok(_) => checked.damage.push((subject, Problem::Disagreement)),
            Err(problem) => checked.damage.push((subject, problem)),
        }
    }
    let mut opener = Opener::default();
    for entry in entries {
        match entry.open(key, pack, &mut opener) {
            Ok(_) => checked.sound.push(entry),
            Err(problem) => checked.damage.push((entry.kind.subject(entry.id), problem)),
        }
    }
    checked
}

/// The order of blobs in an index file is free.
pub(crate) fn same_blobs(header: &[Entry], listed: &[Entry]) -> bool {
    let mut listed = listed.to_vec();
    listed.sort_by_key(|entry| entry.offset);
    header == listed
}
