//! `keepwell demo --once`: the whole of it on an emulated tenant, compared at every step.
//!
//! Backs up every mailbox, verifies, changes the tenant, backs up again, runs once more when nothing has changed, deletes everything at the source,
//! restores it and compares. What is compared is the emulator's own state, read past Microsoft Graph, so that a mistake of the client cannot
//! hide itself. Exit status 0 means that not one message differs.

use std::collections::BTreeMap;

use anyhow::Context;
use emulator::Churn;
use engine::{Account, backup, restore, verify};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::RestoreId;
use workload::mail::{
    backup::Progress,
    restore::{Destination, Selection},
};

use super::{
    compare::{self, Differences},
    disk,
    meter::Meter,
    prints::{self, Prints},
    stage::Stage,
    summary::Summary,
};
use crate::{
    cli::Demo,
    commands::repository::describe,
    exit::Verdict,
    out::{count, result, story},
};

/// Mailboxes worked on at once. Each has its own limit of four requests, so that more of them finish sooner until the processors are busy.
const ACCOUNTS_AT_ONCE: usize = 4;
/// What happens in each mailbox between the first two backups.
const EVENTS_PER_MAILBOX: usize = 40;
/// How likely the deltas do not tell of a move, as with Exchange.
const LOST_MOVES: f64 = 0.2;

/// Runs the demonstration.
pub(crate) async fn run(options: Demo) -> anyhow::Result<Verdict> {
    let data = options.data.as_deref();
    let data = data.context("name a folder for the backups with --data")?;
    let stage = Stage::start(data, &options.world, options.throttle).await?;
    let mut summary = Tour::new(&stage, options.world.seed).run().await?;
    summary.simulated_seconds = options
        .throttle
        .then(|| stage.clock.elapsed().as_secs_f64());
    story(&summary.story(&stage.vault));
    if options.json {
        result(&serde_json::to_string(&summary)?)?;
    }
    Ok(if summary.is_good() {
        Verdict::Good
    } else {
        Verdict::Different
    })
}

/// One demonstration under way.
struct Tour<'a> {
    stage: &'a Stage,
    seed: u64,
    meter: Meter<'a>,
    summary: Summary,
}

impl<'a> Tour<'a> {
    fn new(stage: &'a Stage, seed: u64) -> Self {
        Self {
            stage,
            seed,
            meter: Meter::start(&stage.graph),
            summary: Summary::default(),
        }
    }

    async fn run(mut self) -> anyhow::Result<Summary> {
        story(Meter::HEADING);
        let accounts = self.stage.accounts().await?;
        self.summary.accounts = accounts.len();
        self.phase_done("find the accounts", accounts.len() as u64, 0);

        self.back_up(&accounts, "first backup").await?;
        (self.summary.items, self.summary.bytes) = self.meter.last();
        self.verify(&accounts).await?;
        self.compare_snapshots(&accounts).await?;

        self.change();
        self.back_up(&accounts, "second backup").await?;
        self.compare_snapshots(&accounts).await?;

        self.quiet(&accounts).await?;
        self.there_and_back(&accounts).await?;
        self.summary.close(self.meter);
        Ok(self.summary)
    }

    async fn back_up(&mut self, accounts: &[Account], name: &'static str) -> anyhow::Result<u64> {
        let stage = self.stage;
        let runs = stream::iter(accounts).map(|account| async move {
            let outcome = backup::run(stage.setting(), account, &Progress::default()).await;
            let outcome =
                outcome.with_context(|| format!("{} could not be backed up", account.address))?;
            anyhow::Ok((account, outcome))
        });
        let outcomes: Vec<_> = runs
            .buffer_unordered(ACCOUNTS_AT_ONCE)
            .try_collect()
            .await?;
        let (mut items, mut bytes, mut snapshots) = (0, 0, 0);
        for (account, outcome) in &outcomes {
            let report = &outcome.report;
            items += report.added + report.changed + report.marked + report.removed;
            bytes += report.bytes;
            snapshots += u64::from(outcome.snapshot.is_some());
            self.summary.take_backup(&account.address, report);
        }
        self.phase_done(name, items, bytes);
        Ok(snapshots)
    }

    /// Every byte of every repository is read again.
    async fn verify(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let (mut blobs, mut bytes) = (0, 0);
        for account in accounts {
            let report = verify::run(self.stage.setting().local(), account, |_| ())
                .await
                .with_context(|| format!("{} could not be verified", account.address))?;
            for damage in &report.damage {
                story(&format!(
                    "{}: damaged: {}",
                    account.address,
                    describe(damage)
                ));
                self.summary.mismatches += 1;
            }
            blobs += report.blobs;
            bytes += report.bytes;
        }
        self.phase_done("verify", blobs, bytes);
        Ok(())
    }

    /// The last snapshot of every mailbox against the mailbox.
    async fn compare_snapshots(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let (mut items, mut bytes) = (0, 0);
        for account in accounts {
            let source = compare::source(self.stage, account)?;
            let archive = restore::archive(self.stage.setting(), account, None).await?;
            let found = compare::snapshot(&archive, source).await?;
            items += found.compared;
            bytes += found.bytes;
            self.note(account, "snapshot", &found.differences);
        }
        self.phase_done("compare with the source", items, bytes);
        Ok(())
    }

    /// The tenant goes on working.
    fn change(&mut self) {
        let churn = Churn {
            seed: self.seed,
            events: EVENTS_PER_MAILBOX,
            lost_moves: LOST_MOVES,
        };
        let happened = churn.run(self.stage.emulator.tenant(), self.stage.emulator.now());
        self.phase_done("change the tenant", happened.len() as u64, 0);
    }

    /// Nothing has changed: nothing may be written, and nothing but changes be asked for.
    async fn quiet(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let before = self.stage.graph.counters();
        // What is cached of a repository is no part of it.
        let repositories = self.stage.vault.root().join("repositories");
        let files = disk::files(&repositories)?;
        let snapshots = self.back_up(accounts, "run without changes").await?;
        for path in disk::changed(&files, &disk::files(&repositories)?) {
            let path = path.display();
            story(&format!("a run without changes wrote or removed {path}"));
            self.summary.mismatches += 1;
        }
        let asked = self.stage.graph.counters().since(&before);
        if snapshots > 0 {
            let made = count(snapshots, "snapshot", "snapshots");
            story(&format!("a run without changes made {made}"));
            self.summary.mismatches += snapshots;
        }
        let other = asked
            .requests
            .iter()
            .filter(|(kind, _)| !kind.contains("delta"));
        for (kind, number) in other {
            let made = count(*number, "request", "requests");
            story(&format!(
                "a run without changes made {made} of the kind {kind}"
            ));
            self.summary.mismatches += number;
        }
        Ok(())
    }

    /// Everything is deleted, restored in place, and compared with what was there.
    async fn there_and_back(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let stage = self.stage;
        let mut before = Vec::new();
        for account in accounts {
            before.push(Prints::take(stage, account, &BTreeMap::new()).await?);
        }
        self.phase_done(
            "note what is there",
            before.iter().map(Prints::count).sum(),
            0,
        );

        for account in accounts {
            stage.mailbox(account, |mailbox| mailbox.clear(stage.emulator.now()))?;
        }
        let restore_id = RestoreId::new(format!("demo-{}", self.seed))?;
        let restore_id = &restore_id;
        let restores = stream::iter(accounts).map(|account| async move {
            let archive = restore::archive(stage.setting(), account, None).await?;
            let order = restore::Order {
                source: account,
                target: &account.id,
                selection: Selection::Mailbox,
                destination: Destination::InPlace,
                restore: restore_id.clone(),
            };
            let report = restore::run(stage.setting(), &archive, &order, &|_| ()).await;
            report.with_context(|| format!("{} could not be restored", account.address))
        });
        let reports: Vec<_> = restores.buffered(ACCOUNTS_AT_ONCE).try_collect().await?;
        for (account, report) in accounts.iter().zip(&reports) {
            self.summary.take_restore(&account.address, report);
        }
        let (items, bytes) = (
            reports.iter().map(|r| r.restored).sum(),
            reports.iter().map(|r| r.bytes).sum(),
        );
        self.phase_done("delete, and restore", items, bytes);

        let mut items = 0;
        for ((account, before), report) in accounts.iter().zip(&before).zip(&reports) {
            let after = Prints::take(stage, account, &prints::losses(report)).await?;
            items += after.count();
            self.note(account, "restored mailbox", &before.differences(&after));
        }
        self.phase_done("compare with before", items, 0);
        Ok(())
    }

    fn note(&mut self, account: &Account, what: &str, differences: &Differences) {
        for text in differences.examples() {
            story(&format!("{}: {what}: {text}", account.address));
        }
        self.summary.mismatches += differences.count();
    }

    fn phase_done(&mut self, name: &'static str, items: u64, bytes: u64) {
        story(&self.meter.phase(name, items, bytes));
    }
}
