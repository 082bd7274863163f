//! `keepwell repository verify`.

use engine::verify;
use repository::VerifyReport;
use serde::Serialize;

use super::{
    describe,
    round::{self, Told},
};
use crate::{
    cli::Which,
    exit::Verdict,
    out::{count, size},
};

/// What was found in a repository.
#[derive(Serialize)]
struct Verified {
    snapshots: u64,
    blobs: u64,
    bytes: u64,
    /// Packs that interrupted runs left; the next prune removes them.
    unlisted_packs: u64,
    damage: Vec<Damaged>,
}

/// A damaged thing.
#[derive(Serialize)]
pub(super) struct Damaged {
    what: String,
    problem: String,
    /// What needs it, some of it.
    places: Vec<Place>,
    more_places: u64,
    #[serde(skip)]
    line: String,
}

/// Where something is missing.
#[derive(Serialize)]
pub(super) struct Place {
    pub(super) snapshot: String,
    pub(super) path: String,
}

pub(super) async fn run(which: &Which) -> anyhow::Result<Verdict> {
    round::run(which, async |local, account, line| {
        let report = verify::run(local, account, |progress| {
            line.show(&round::packs(progress));
        });
        report.await.map(Verified::of)
    })
    .await
}

impl Verified {
    fn of(report: VerifyReport) -> Self {
        Self {
            snapshots: report.snapshots,
            blobs: report.blobs,
            bytes: report.bytes,
            unlisted_packs: report.unlisted_packs,
            damage: report.damage.iter().map(Damaged::of).collect(),
        }
    }
}

impl Damaged {
    pub(super) fn of(damage: &repository::Damage) -> Self {
        let places = damage.places.iter().map(|(snapshot, path)| Place {
            snapshot: snapshot.to_string(),
            path: path.clone(),
        });
        Self {
            what: damage.what.to_string(),
            problem: damage.problem.to_string(),
            places: places.collect(),
            more_places: damage.more_places,
            line: describe(damage),
        }
    }

    pub(super) fn line(&self) -> String {
        self.line.clone()
    }
}

impl Told for Verified {
    fn state(&self) -> &'static str {
        if self.is_good() { "sound" } else { "damaged" }
    }

    fn headline(&self) -> String {
        if self.is_good() {
            return format!(
                "{}, {}, {} read",
                count(self.snapshots, "snapshot", "snapshots"),
                count(self.blobs, "blob", "blobs"),
                size(self.bytes)
            );
        }
        let problems = count(self.damage.len() as u64, "problem", "problems");
        format!("{problems}: `keepwell repository repair` mends what can be")
    }

    fn details(&self) -> Vec<String> {
        self.damage.iter().map(Damaged::line).collect()
    }

    fn is_good(&self) -> bool {
        self.damage.is_empty()
    }
}
