//! The snapshot that a run begins with, and how it is known without asking the repository.
//!
//! A run that finds nothing changed should cost no operation of the storage. So the snapshot that the last run made, or found, is noted in the
//! repository's local cache, sealed. The note is believed as long as nothing is written: what is compared with Graph is then at worst an older
//! restore point of the same account. Before anything is written, the repository makes sure under its lock that the snapshot is still there; if it is
//! not, the run begins again with what the repository says. That nobody has forgotten it meanwhile, where nothing changes and nothing is written, is
//! seen once a day, when the note is not believed; what we forget ourselves takes the note along, and so does every snapshot that is written: a run that
//! ends in the middle leaves its checkpoints to the next. One that is lost, damaged or of another version is as good as none.

use jiff::{SignedDuration, Timestamp};
use repository::{Repository, Snapshot, SnapshotId};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    snapshots::{latest, token},
};

const VERSION: u32 = 1;
/// So long a note is believed: long enough that the listing of snapshots that follows costs next to nothing, short enough that a restore point that
/// somebody forgot by mistake is soon made again.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What a run begins with.
pub(crate) struct Head {
    /// The snapshot to go on from, if there is one.
    pub(crate) parent: Option<(SnapshotId, Snapshot)>,
    /// The time of the newest snapshot.
    pub(crate) last: Option<Timestamp>,
    /// Whether this is what was noted, and not what the repository says.
    pub(crate) is_noted: bool,
}

/// The note.
#[derive(Deserialize, Serialize)]
struct Note {
    version: u32,
    id: SnapshotId,
    snapshot: Snapshot,
    last: Timestamp,
    /// When the repository said so.
    asked: Timestamp,
}

impl Head {
    /// What was noted, if it may still be believed.
    pub(crate) async fn noted(repository: &Repository, now: Timestamp) -> Option<Self> {
        let note: Note = serde_json::from_slice(&repository.note().await?).ok()?;
        // A clock that was set back does not make a note young for ever.
        let is_young = note.asked.duration_until(now).abs() < BELIEVED_FOR;
        (note.version == VERSION && is_young).then_some(Self {
            parent: Some((note.id, note.snapshot)),
            last: Some(note.last),
            is_noted: true,
        })
    }

    /// What the repository says. Snapshots that cannot be read are passed over: they hinder no backup.
    pub(crate) async fn read(repository: &Repository) -> Result<Self> {
        const WHAT: &str = "the restore points could not be read";
        let readable = repository.readable_snapshots().await;
        let (snapshots, unreadable) = readable.map_err(Error::repository(WHAT))?;
        if unreadable > 0 {
            tracing::warn!(
                snapshots = unreadable,
                "restore points cannot be read: the repository must be repaired"
            );
        }
        Ok(Self {
            last: snapshots.iter().map(|(_, snapshot)| snapshot.time).max(),
            parent: latest(&snapshots).cloned(),
            is_noted: false,
        })
    }

    /// The number of the run that begins with it.
    pub(crate) fn next_token(&self) -> u64 {
        let parent = self.parent.as_ref();
        parent.map_or(0, |(_, snapshot)| token(snapshot)) + 1
    }

    /// Notes it for the next run, or that there is nothing to note. That it cannot be noted costs the next run some operations, no more.
    pub(crate) async fn note(&self, repository: &Repository, now: Timestamp) {
        let note = self.parent.clone().zip(self.last);
        let note = note.and_then(|((id, snapshot), last)| {
            let note = Note {
                version: VERSION,
                id,
                snapshot,
                last,
                asked: now,
            };
            serde_json::to_vec(&note).ok()
        });
        if let Err(error) = repository.keep_note(note.unwrap_or_default()).await {
            tracing::debug!(error = %error, "the last restore point could not be noted");
        }
    }
}
