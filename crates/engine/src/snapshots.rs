//! What the snapshots of an account's repository mean to one another: which run made each, which is the one to go on from, and how much it holds.
//!
//! A run numbers its snapshots by a tag, the fencing token, and calls those that lack something partial by another. Snapshots that stock restic
//! made, tagged or rewrote are taken as they are found.

use std::collections::HashSet;

use model::{Holds, Point};
use repository::{Snapshot, SnapshotId};

/// The tag that carries a run's fencing token, before its number.
const TOKEN_TAG: &str = "token-";
/// The tag of a snapshot that does not hold everything.
pub const PARTIAL_TAG: &str = "partial";

/// The snapshot that a run starts from and that a restore takes by default: of the last run's snapshots the one that no other was made from,
/// whatever the clock said meanwhile (abuse 53).
#[must_use]
pub fn latest(snapshots: &[(SnapshotId, Snapshot)]) -> Option<&(SnapshotId, Snapshot)> {
    let last = snapshots
        .iter()
        .map(|(_, snapshot)| token(snapshot))
        .max()?;
    let of_last_run = || snapshots.iter().filter(|(_, s)| token(s) == last);
    let built_upon: HashSet<SnapshotId> = of_last_run().filter_map(|(_, s)| s.parent).collect();
    of_last_run().max_by_key(|(id, snapshot)| (!built_upon.contains(id), snapshot.time))
}

/// The fencing token of the run that made the snapshot; 0 for one that Keepwell did not make.
#[must_use]
pub fn token(snapshot: &Snapshot) -> u64 {
    let tokens = snapshot
        .tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(TOKEN_TAG)?.parse().ok());
    tokens.max().unwrap_or(0)
}

/// The tags of a snapshot that the run with this token makes.
pub(crate) fn tags(token: u64, partial: bool) -> Vec<String> {
    let mut tags = vec![format!("{TOKEN_TAG}{token}")];
    if partial {
        tags.push(PARTIAL_TAG.to_owned());
    }
    tags
}

/// Whether the snapshot lacks something.
#[must_use]
pub fn is_partial(snapshot: &Snapshot) -> bool {
    snapshot.tags.iter().any(|tag| tag == PARTIAL_TAG)
}

/// The snapshots as retention sees them. The one to go on from is pinned.
pub(crate) fn points(snapshots: &[(SnapshotId, Snapshot)]) -> Vec<Point> {
    // A run's number beside the parent's: only what the same run made later makes a checkpoint one that was passed.
    let passed: HashSet<(u64, SnapshotId)> = snapshots
        .iter()
        .filter_map(|(_, snapshot)| Some((token(snapshot), snapshot.parent?)))
        .collect();
    let pinned = latest(snapshots).map(|(id, _)| *id);
    let point = |(id, snapshot): &(SnapshotId, Snapshot)| Point {
        time: snapshot.time,
        holds: match is_partial(snapshot) {
            false => Holds::Everything,
            true if passed.contains(&(token(snapshot), *id)) => Holds::Passed,
            true => Holds::Part,
        },
        pinned: pinned == Some(*id),
    };
    snapshots.iter().map(point).collect()
}
