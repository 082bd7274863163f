//! What runs cost in operations of the storage, and what is believed without asking it.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use emulator::FaultRule;
use engine::{Account, Error, restore};
use jiff::SignedDuration;
use model::{FailureCause, SimulatedClock};
use testkit::store::{Deed, Watched};

use crate::stage::{Stage, mail};

/// What is done to the storage of every repository that is opened from now on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Arc<Watched>>>>);

impl Log {
    fn of(stage: &mut Stage) -> Self {
        let log = Self::default();
        let stores = log.clone();
        stage.vault = stage.vault.clone().with_storage(move |storage| {
            storage.map(|store| {
                let watched = Watched::new(store);
                let mut stores = stores.0.lock().unwrap_or_else(PoisonError::into_inner);
                stores.push(Arc::clone(&watched));
                watched
            })
        });
        log
    }

    /// What was done since this was asked last.
    fn take(&self) -> Vec<(Deed, String)> {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.drain(..).flat_map(|store| store.take()).collect()
    }
}

fn deliver(stage: &Stage, account: &Account, n: usize) -> Result<()> {
    stage.at_source(account, |mailbox| {
        let inbox = mailbox
            .folder_views()
            .find(|f| f.well_known == Some("inbox"));
        let inbox = inbox.context("there is one")?.key;
        let now = "2026-11-22T15:00:00Z".parse()?;
        mailbox.deliver(inbox, mail(n).into_bytes().into(), now)?;
        Ok(())
    })?
}

/// Nothing had changed, and the storage was asked nothing.
async fn costs_nothing(stage: &Stage, account: &Account, log: &Log) -> Result<()> {
    log.take();
    let outcome = stage.back_up(account).await?;
    ensure!(outcome.snapshot.is_none(), "{:?}", outcome.report);
    let deeds = log.take();
    ensure!(deeds.is_empty(), "{deeds:?}");
    Ok(())
}

fn cache(stage: &Stage, account: &Account) -> std::path::PathBuf {
    stage.vault.root().join("cache").join(account.id.as_str())
}

#[tokio::test]
async fn an_unchanged_account_costs_nothing_and_a_changed_one_little() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("", 300), ("Projects", 50)]).await?;
    let log = Log::of(&mut stage);
    stage.back_up_equal(&account).await?;
    costs_nothing(&stage, &account, &log).await?;
    for n in 0..3 {
        deliver(&stage, &account, 1000 + n)?;
        log.take();
        stage
            .back_up(&account)
            .await?
            .snapshot
            .context("mail came")?;
        let deeds = log.take();
        let gets = deeds.iter().filter(|(deed, _)| *deed == Deed::Get).count();
        assert!(gets <= 16, "{gets} reads: {deeds:?}");
        assert!(deeds.len() - gets <= 8, "{deeds:?}");
        costs_nothing(&stage, &account, &log).await?;
    }
    assert!(stage.restic_agrees(&account).is_ok());
    Ok(())
}

#[tokio::test]
async fn a_cache_that_is_lost_or_damaged_is_made_anew() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("", 30)]).await?;
    let log = Log::of(&mut stage);
    stage.back_up_equal(&account).await?;
    costs_nothing(&stage, &account, &log).await?;
    let folder = cache(&stage, &account);
    fs::write(folder.join("note"), "nonsense")?;
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    assert!(!log.take().is_empty(), "the repository was asked");
    costs_nothing(&stage, &account, &log).await?;
    fs::remove_dir_all(&folder)?;
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    costs_nothing(&stage, &account, &log).await?;
    deliver(&stage, &account, 1)?;
    stage.back_up_equal(&account).await?;
    stage.restic_agrees(&account)
}

/// Forgets the newest snapshot with stock restic, and prunes.
fn forget_newest(stage: &Stage, account: &Account, id: &str) -> Result<bool> {
    let Some(restic) = testkit::restic::newest() else {
        return Ok(false);
    };
    let path = stage.vault.repository_path(&account.id);
    let password = stage.vault.password(&account.id)?;
    restic
        .run(&path, &password, ["forget", "--prune", id])?
        .into_result()?;
    Ok(true)
}

#[tokio::test]
async fn a_restore_point_that_somebody_forgot_is_made_again() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("", 30)]).await?;
    let log = Log::of(&mut stage);
    stage.back_up_equal(&account).await?;
    deliver(&stage, &account, 1)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let newest = outcome.snapshot.context("mail came")?.to_string();
    if !forget_newest(&stage, &account, &newest)? {
        return Ok(());
    }
    // Whoever writes looks whether it is still there.
    deliver(&stage, &account, 2)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 2);
    stage.restic_agrees(&account)?;
    costs_nothing(&stage, &account, &log).await
}

#[tokio::test]
async fn a_restore_point_that_we_forgot_ourselves_is_made_again_at_once() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 30)]).await?;
    stage.back_up_equal(&account).await?;
    deliver(&stage, &account, 1)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let newest = outcome.snapshot.context("mail came")?;
    stage.repository(&account).await?.forget(&[newest]).await?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 1);
    Ok(())
}

#[tokio::test]
async fn what_was_noted_is_not_believed_for_ever() -> Result<()> {
    // Abuse 53: neither when it is old, nor when it is of the future because the clock was set back.
    for hours in [25, -25] {
        let clock = SimulatedClock::new("2026-11-22T14:05:00Z".parse()?);
        let (mut stage, account) = Stage::with_mail(&[("", 30)]).await?;
        stage.clock = Arc::new(clock.clone());
        let log = Log::of(&mut stage);
        stage.back_up_equal(&account).await?;
        deliver(&stage, &account, 1)?;
        let (outcome, _) = stage.back_up_equal(&account).await?;
        let newest = outcome.snapshot.context("mail came")?.to_string();
        if !forget_newest(&stage, &account, &newest)? {
            return Ok(());
        }
        costs_nothing(&stage, &account, &log).await?;
        clock.set_wall_clock(SignedDuration::from_hours(hours));
        let (outcome, _) = stage.back_up_equal(&account).await?;
        assert_eq!(outcome.report.added, 1);
        costs_nothing(&stage, &account, &log).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_item_that_always_fails_writes_nothing_each_time() -> Result<()> {
    // Survival 63: it stays in the ledger and is tried by every run.
    let (mut stage, account) = Stage::with_mail(&[("", 20)]).await?;
    let log = Log::of(&mut stage);
    let id = stage
        .source(&account)?
        .into_keys()
        .next()
        .context("there is mail")?;
    let path = format!("/v1.0/users/*/messages/{}/$value", graph::segment(&id));
    stage.emulator.add_fault(FaultRule {
        status: Some(403),
        code: Some("ErrorAccessDenied".to_owned()),
        ..FaultRule::on(&path)
    })?;
    let first = stage.back_up(&account).await?;
    assert!(first.snapshot.is_some());
    assert_eq!(first.report.failures.len(), 1, "{:?}", first.report);
    for _ in 0..3 {
        let before = stage.graph.counters();
        costs_nothing(&stage, &account, &log).await?;
        let asked = stage.graph.counters().since(&before);
        assert_eq!(asked.of("GET messages/$value"), 1, "it is tried: {asked:?}");
    }
    let again = stage.back_up(&account).await?;
    assert_eq!(again.report.failures[0].cause, FailureCause::AccessDenied);
    assert!(again.report.failures[0].attempts > 1);
    stage.emulator.clear_faults();
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_repository_that_was_swapped_behind_the_cache_is_noticed_before_anything_is_written()
-> Result<()> {
    // Abuse 30.
    let (mut stage, account) = Stage::with_mail(&[("", 3)]).await?;
    let log = Log::of(&mut stage);
    stage.back_up_equal(&account).await?;
    let path = stage.vault.repository_path(&account.id);
    fs::rename(&path, path.with_extension("aside"))?;
    let options = repository::Options {
        clock: stage.clock.clone(),
        instance: "other".to_owned(),
        cache: None,
    };
    let storage = repository::Storage::local(&path)?;
    let password = stage.vault.password(&account.id)?;
    repository::Repository::init(storage, &password, options).await?;
    deliver(&stage, &account, 1)?;
    log.take();
    let refused = stage.back_up(&account).await.err().context("it wrote")?;
    assert!(
        refused.to_string().contains("another repository"),
        "{refused}"
    );
    let wrote = log.take().into_iter().any(|(deed, _)| deed == Deed::Put);
    assert!(!wrote);
    let refused = restore::archive(stage.setting(), &account, None)
        .await
        .err();
    assert!(
        matches!(refused, Some(Error::OtherRepository(_))),
        "{refused:?}"
    );
    Ok(())
}

/// Files in the folder of the account's repository, with those in its folders.
fn count(stage: &Stage, account: &Account, folder: &str) -> Result<usize> {
    let mut waiting = vec![stage.vault.repository_path(&account.id).join(folder)];
    let mut files = 0;
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => waiting.push(entry.path()),
                false => files += 1,
            }
        }
    }
    Ok(files)
}

#[tokio::test]
async fn many_small_backups_leave_few_files() -> Result<()> {
    let clock = SimulatedClock::new("2026-11-22T14:05:00Z".parse()?);
    let (mut stage, account) = Stage::with_mail(&[("", 30)]).await?;
    stage.clock = Arc::new(clock.clone());
    let (mut index, mut packs) = (0, 0);
    for n in 0..120 {
        deliver(&stage, &account, 1000 + n)?;
        let outcome = stage.back_up(&account).await?;
        assert_eq!(outcome.report.added, if n == 0 { 31 } else { 1 });
        index = index.max(count(&stage, &account, "index")?);
        packs = packs.max(count(&stage, &account, "data")?);
        clock.advance(std::time::Duration::from_secs(60 * 60));
    }
    // Each run adds one index file and two packs.
    assert!(index <= 34, "{index} index files");
    assert!(packs <= 150, "{packs} packs");
    deliver(&stage, &account, 2000)?;
    stage.back_up_equal(&account).await?;
    stage.restic_agrees(&account)
}
