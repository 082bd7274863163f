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
    phases: Vec<Phase>,
}

impl Summary {
    pub(crate) fn take_backup(&mut self, report: &backup::Report) {
        self.skipped += report.skips.len() as u64;
        self.failed += report.failures.len() as u64
            + report.containers.len() as u64
            + u64::from(report.stopped.is_some());
    }

    pub(crate) fn take_restore(&mut self, address: &str, report: &restore::Report) {
        self.restored += report.restored;
        self.failed += report.failed;
        for item in &report.notable {
            if item.losses.is_empty() {
                out::story(&format!(
                    "{address}: not restored: {}: {}",
                    file(&item.at),
                    item.outcome
                ));
            } else {
                self.restored_with_losses += 1;
                let losses: Vec<String> = item.losses.iter().map(ToString::to_string).collect();
                out::story(&format!(
                    "{address}: restored with losses: {}: {}",
                    file(&item.at),
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

/// What `restic find` finds the message's file by, without its subject.
fn file(message: &MessageRef) -> String {
    let (_, hash) = message.path.rsplit_once('~').unwrap_or_default();
    format!("*~{hash}.eml")
}
