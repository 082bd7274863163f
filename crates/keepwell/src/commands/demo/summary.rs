//! What a demonstration comes to.

use engine::Vault;
use serde::Serialize;
use workload::mail::{MessageRef, backup, restore};

use super::meter::{Meter, Phase};
use crate::out;

/// As `--json` prints it. Everything was counted from what was done.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    /// Mailboxes found and backed up.
    pub(crate) accounts: usize,
    /// Messages of the first backup.
    pub(crate) items: u64,
    /// Bytes of MIME and JSON of the first backup, before compression.
    pub(crate) bytes: u64,
    /// The whole demonstration.
    seconds: f64,
    /// With `--throttle`, how much time went by on the simulated clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) simulated_seconds: Option<f64>,
    /// Messages that Microsoft can never serve.
    skipped: u64,
    /// Messages and folders that could not be copied or restored.
    failed: u64,
    /// Messages, folders and files that differ, are missing or too many, requests too many, and damage found in repositories.
    pub(crate) mismatches: u64,
    /// Messages restored.
    restored: u64,
    /// Restored messages of which the restore said that something did not come back, see docs/fidelity.md.
    restored_with_losses: u64,
    /// What somebody should look at although the backup did all that it should: mass deletions and changes, and what a comparison found.
    notable: u64,
    phases: Vec<Phase>,
}

impl Summary {
    pub(crate) fn take_backup(&mut self, address: &str, report: &backup::Report) {
        for notable in notable(report) {
            out::story(&format!("{address}: {notable}"));
            self.notable += 1;
        }
        self.skipped += report.skips.len() as u64;
        self.failed += report.failures.len() as u64
            + report.containers.len() as u64
            + u64::from(report.stopped.is_some());
    }

    pub(crate) fn take_restore(&mut self, address: &str, report: &restore::Report) {
        self.restored += report.restored;
        self.failed += report.failed + u64::from(report.stopped.is_some());
        if let Some(error) = &report.stopped {
            out::story(&format!("{address}: the restore ended early: {error}"));
        }
        for item in &report.notable {
            if item.losses.is_empty() {
                out::story(&format!(
                    "{address}: not restored: {}: {}",
                    file(item.at.as_ref()),
                    item.outcome
                ));
            } else {
                self.restored_with_losses += 1;
                let losses: Vec<String> = item.losses.iter().map(ToString::to_string).collect();
                out::story(&format!(
                    "{address}: restored with losses: {}: {}",
                    file(item.at.as_ref()),
                    losses.join("; ")
                ));
            }
        }
    }

    pub(crate) fn close(&mut self, meter: Meter<'_>) {
        let (phases, took) = meter.close();
        self.phases = phases;
        self.seconds = took.as_secs_f64();
    }

    /// Everything that was there is there again.
    pub(crate) fn is_good(&self) -> bool {
        self.mismatches == 0 && self.failed == 0
    }

    pub(crate) fn story(&self, vault: &Vault) -> String {
        let verdict = if self.is_good() {
            "all is equal"
        } else {
            "NOT all is equal"
        };
        let simulated = self.simulated_seconds.map_or_else(String::new, |seconds| {
            format!(" ({seconds:.0} s on the simulated clock)")
        });
        format!(
            "\n{}, {} ({}) in {:.1} s{simulated}: {} skipped, {} failed, {} restored, {}: {verdict}\n\
             The repositories are in {path}; `keepwell repository list --data {path}` names them.",
            out::count(self.accounts as u64, "account", "accounts"),
            out::count(self.items, "message", "messages"),
            out::size(self.bytes),
            self.seconds,
            self.skipped,
            self.failed,
            self.restored,
            out::count(self.mismatches, "mismatch", "mismatches"),
            path = out::quoted(vault.root()),
        )
    }
}

/// What somebody should look at, although the run did all that it should.
fn notable(report: &backup::Report) -> Vec<String> {
    let mut notable = Vec::new();
    if let Some(anomaly) = report.anomaly() {
        let (count, became) = match anomaly {
            backup::Anomaly::MassDeletion => (report.removed, "gone"),
            backup::Anomaly::MassChange => (report.changed, "changed"),
        };
        notable.push(format!(
            "{count} of the {} held are {became}, more than people do at once: see whether it was meant; earlier restore points hold what there was",
            out::count(report.held_before, "message", "messages")
        ));
    }
    if let Some(found) = &report.reconciliation {
        if found.missed > 0 {
            notable.push(format!(
                "comparing everything with what was held found {} that no folder had reported; the new restore point is right",
                out::count(found.missed, "message", "messages")
            ));
        }
        if !found.unread.is_empty() {
            notable.push(format!(
                "{} could not be listed whole to be compared with what was held; the next run tries it again",
                out::count(found.unread.len() as u64, "folder", "folders")
            ));
        }
    }
    notable
}

/// What `restic find` finds the message's file by, without its subject.
fn file(message: Option<&MessageRef>) -> String {
    let Some(message) = message else {
        return "a message".to_owned();
    };
    let (_, hash) = message.path.rsplit_once('~').unwrap_or_default();
    format!("*~{hash}.eml")
}

#[cfg(test)]
mod tests {
    use model::{FailureCause, ItemId};
    use workload::mail::backup::{ContainerFailure, Reconciliation, Report};

    use super::*;

    #[test]
    fn nothing_is_notable_of_an_ordinary_run() {
        let report = Report {
            held_before: 1_000,
            removed: 60,
            changed: 60,
            reconciliation: Some(Reconciliation::default()),
            ..Report::default()
        };
        assert_eq!(notable(&report), [""; 0]);
    }

    #[test]
    fn a_mass_deletion_and_a_mass_change_are_told() {
        let report = |removed, changed| Report {
            held_before: 100,
            removed,
            changed,
            ..Report::default()
        };
        let told = notable(&report(90, 0));
        assert!(
            told.len() == 1 && told[0].starts_with("90 of the 100 messages held are gone"),
            "{told:?}"
        );
        let told = notable(&report(0, 80));
        assert!(
            told.len() == 1 && told[0].starts_with("80 of the 100 messages held are changed"),
            "{told:?}"
        );
    }

    #[test]
    fn what_a_comparison_found_and_could_not_compare_is_told() -> anyhow::Result<()> {
        let unread = ContainerFailure {
            container: ItemId::new("folder")?,
            cause: FailureCause::AccessDenied,
            code: None,
        };
        let report = Report {
            reconciliation: Some(Reconciliation {
                missed: 3,
                unread: vec![unread],
            }),
            ..Report::default()
        };
        let told = notable(&report);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("found 3 messages that no folder had reported"));
        assert!(told[1].starts_with("1 folder could not be listed whole"));
        Ok(())
    }
}
