//! `keepwell repository prune`.

use engine::maintain;
use repository::{PruneOptions, PruneReport};
use serde::Serialize;

use super::round::{self, Told};
use crate::{
    cli::Prune,
    exit::Verdict,
    out::{count, size},
};

/// What was found and done in a repository.
#[derive(Serialize)]
struct Pruned {
    dry_run: bool,
    snapshots: u64,
    packs: u64,
    /// Bytes in packs that snapshots need.
    live_bytes: u64,
    /// Packs of which the rest that is needed was put together in new ones.
    rewritten_packs: u64,
    rewritten_bytes: u64,
    /// Packs that a later run deletes.
    doomed_packs: u64,
    deleted_packs: u64,
    deleted_bytes: u64,
    index_files: u64,
    /// Deletions that the storage denied.
    denied_deletions: u64,
    /// Somebody was at work, so that the deletions wait for the next run.
    postponed: bool,
    /// When the next pack may be deleted.
    next_due: Option<String>,
}

pub(super) async fn run(options: &Prune) -> anyhow::Result<Verdict> {
    let prune = PruneOptions {
        dry_run: options.dry_run,
        ..PruneOptions::default()
    };
    round::run(&options.which, async |local, account, line| {
        let progress = |progress| line.show(&round::packs(progress));
        let report = maintain::prune(local, account, prune, progress).await?;
        Ok(Pruned::of(&report, options.dry_run))
    })
    .await
}

impl Pruned {
    fn of(report: &PruneReport, dry_run: bool) -> Self {
        Self {
            dry_run,
            snapshots: report.snapshots,
            packs: report.packs,
            live_bytes: report.live_bytes,
            rewritten_packs: report.rewritten_packs,
            rewritten_bytes: report.rewritten_bytes,
            doomed_packs: report.doomed_packs,
            deleted_packs: report.deleted_packs,
            deleted_bytes: report.deleted_bytes,
            index_files: report.index_files,
            denied_deletions: report.denied_deletions,
            postponed: report.postponed,
            next_due: report.next_due.map(|due| due.to_string()),
        }
    }
}

impl Told for Pruned {
    fn state(&self) -> &'static str {
        if self.dry_run { "would be" } else { "done" }
    }

    fn headline(&self) -> String {
        let packs = |number| count(number, "pack", "packs");
        if self.dry_run {
            return format!(
                "{} rewritten, {} recorded as not needed",
                packs(self.rewritten_packs),
                packs(self.doomed_packs)
            );
        }
        let mut line = format!(
            "{} deleted ({}), {} rewritten, {} recorded as not needed",
            packs(self.deleted_packs),
            size(self.deleted_bytes),
            packs(self.rewritten_packs),
            packs(self.doomed_packs)
        );
        if let Some(due) = &self.next_due {
            line.push_str(&format!("; the next can be deleted after {due}"));
        }
        line
    }

    fn details(&self) -> Vec<String> {
        let mut details = Vec::new();
        if self.postponed {
            details.push("somebody is at work: deleting waits for the next run".to_owned());
        }
        if self.denied_deletions > 0 {
            let deletions = count(self.denied_deletions, "deletion", "deletions");
            details.push(format!("the storage denied {deletions}"));
        }
        details
    }

    fn is_good(&self) -> bool {
        true
    }
}
