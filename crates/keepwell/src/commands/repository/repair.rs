//! `keepwell repository repair`.

use engine::repair::{self, Outcome};
use serde::Serialize;

use super::{
    round::{self, Told},
    verify::Damaged,
};
use crate::{cli::Repair, exit::Verdict, out::count};

/// What was found and done in a repository.
#[derive(Serialize)]
struct Repaired {
    dry_run: bool,
    /// Index files that were damaged or wrong, and were replaced.
    replaced_index_files: usize,
    /// Packs that the index did not list as they are.
    listed_packs: u64,
    missing_packs: Vec<String>,
    damaged_packs: Vec<String>,
    /// Sound blobs that were copied from damaged packs.
    saved_blobs: u64,
    /// Snapshots that nobody could read.
    removed_snapshots: Vec<String>,
    /// Whether the next backup fetches everything again, because its state is lost.
    fetch_everything: bool,
    /// Messages that the next backup fetches again.
    fetch_again: Vec<Message>,
    /// Directories that are lost: the next backup lists their folders from the beginning.
    list_again: Vec<String>,
    /// What only older restore points need, and no backup brings back for their sake.
    lost: Vec<Damaged>,
}

/// A message of which something is lost.
#[derive(Serialize)]
struct Message {
    /// Where its files are in a snapshot, without their extension.
    path: String,
    /// Its id at the source, where it is known.
    id: Option<String>,
}

pub(super) async fn run(options: &Repair) -> anyhow::Result<Verdict> {
    round::run(&options.which, async |local, account, line| {
        let progress = |progress| line.show(&round::packs(progress));
        let outcome = repair::run(local, account, options.dry_run, progress).await?;
        Ok(Repaired::of(outcome, options.dry_run))
    })
    .await
}

impl Repaired {
    fn of(outcome: Outcome, dry_run: bool) -> Self {
        let lost = outcome.lost_for_good().map(Damaged::of).collect();
        let (report, again) = (outcome.repository, outcome.fetched_again);
        let messages = again.messages.into_iter().map(|message| Message {
            path: message.path,
            id: message.id.map(|id| id.to_string()),
        });
        Self {
            dry_run,
            replaced_index_files: report.replaced_index_files.len(),
            listed_packs: report.listed_packs,
            missing_packs: report
                .missing_packs
                .iter()
                .map(ToString::to_string)
                .collect(),
            damaged_packs: report
                .damaged_packs
                .iter()
                .map(ToString::to_string)
                .collect(),
            saved_blobs: report.saved_blobs,
            removed_snapshots: report
                .removed_snapshots
                .iter()
                .map(ToString::to_string)
                .collect(),
            fetch_everything: again.everything,
            fetch_again: messages.collect(),
            list_again: again.directories,
            lost,
        }
    }

    fn is_sound(&self) -> bool {
        self.is_good()
            && self.replaced_index_files == 0
            && self.listed_packs == 0
            && self.missing_packs.is_empty()
            && self.damaged_packs.is_empty()
    }
}

impl Told for Repaired {
    fn state(&self) -> &'static str {
        match (self.is_sound(), self.dry_run, self.is_good()) {
            (true, ..) => "sound",
            (_, true, _) => "damaged",
            (_, _, true) => "repaired",
            _ => "something is lost",
        }
    }

    fn headline(&self) -> String {
        if self.is_sound() {
            return "there was nothing to repair".to_owned();
        }
        let mut parts = vec![
            format!(
                "{} replaced",
                count(
                    self.replaced_index_files as u64,
                    "index file",
                    "index files"
                )
            ),
            format!(
                "{} damaged, {} missing",
                count(self.damaged_packs.len() as u64, "pack", "packs"),
                self.missing_packs.len()
            ),
            format!("{} saved", count(self.saved_blobs, "blob", "blobs")),
        ];
        if !self.removed_snapshots.is_empty() {
            let snapshots = self.removed_snapshots.len() as u64;
            parts.push(format!(
                "{} removed",
                count(snapshots, "unreadable snapshot", "unreadable snapshots")
            ));
        }
        if self.dry_run {
            parts.push("nothing was changed".to_owned());
        }
        parts.join(", ")
    }

    fn details(&self) -> Vec<String> {
        let mut details = Vec::new();
        for snapshot in &self.removed_snapshots {
            details.push(format!("nobody can read snapshot {snapshot}"));
        }
        if self.fetch_everything {
            details.push("the next backup fetches everything again: its state is lost".to_owned());
        }
        for message in &self.fetch_again {
            details.push(format!("the next backup fetches again: {}", message.path));
        }
        for directory in &self.list_again {
            details.push(format!("the next backup lists again: {directory}"));
        }
        let lost = self.lost.iter().map(Damaged::line);
        details.extend(lost.map(|line| format!("lost to older restore points: {line}")));
        details
    }

    fn is_good(&self) -> bool {
        self.removed_snapshots.is_empty()
            && self.lost.is_empty()
            && self.fetch_again.is_empty()
            && self.list_again.is_empty()
            && !self.fetch_everything
    }
}
