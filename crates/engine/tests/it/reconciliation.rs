//! The comparison of a whole mailbox with what is held of it, which finds what Graph never reported.

use std::time::Duration;

use anyhow::{Context, Result};
use emulator::FaultRule;
use engine::Account;
use jiff::SignedDuration;

use crate::{
    stage::{Stage, differences, mail},
    tools::{DELTA, NOW, error, folder, folder_route, message, tamper},
};

/// Everything is compared in every run.
const ALWAYS: SignedDuration = SignedDuration::ZERO;

/// Longer than the time between two comparisons.
const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

/// What the newest snapshot lacks, and has too much.
async fn wrong(stage: &Stage, account: &Account) -> Result<Vec<String>> {
    let snapshots = stage.repository(account).await?.snapshots().await?;
    let (id, _) = engine::snapshots::latest(&snapshots).context("there is a snapshot")?;
    Ok(differences(
        &stage.snapshot(account, *id).await?,
        &stage.source(account)?,
    ))
}

#[tokio::test]
async fn a_message_that_no_folder_ever_reported_is_found() -> Result<()> {
    // Survival 59: it arrives in a folder whose cursor expires, and moves to one that does not tell.
    let (mut stage, account) = Stage::with_mail(&[("A", 3), ("B", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
        let key = mailbox.deliver(a, mail(77).into_bytes().into(), NOW.parse()?)?;
        mailbox.move_message(key, b, true, NOW.parse()?)?;
        Ok(())
    })??;
    stage.emulator.add_fault(FaultRule {
        resync: true,
        count: Some(1),
        ..FaultRule::on(&folder_route(&stage, &account, "A", "/messages/delta")?)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert!(outcome.report.is_complete(), "{:?}", outcome.report);
    assert_eq!(outcome.report.reconciliation, None);
    assert_eq!(wrong(&stage, &account).await?.len(), 1, "nobody can know");

    stage.limits.reconcile_every = ALWAYS;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    let reconciliation = outcome.report.reconciliation.context("it was made")?;
    assert_eq!((reconciliation.missed, outcome.report.added), (1, 1));
    assert_eq!(asked.of("GET messages/$value"), 1, "{asked:?}");
    let again = stage.back_up(&account).await?;
    assert_eq!(again.report.reconciliation, Some(Default::default()));
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn what_changed_since_the_last_run_is_no_finding() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("A", 250), ("B", 30)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.reconcile_every = ALWAYS;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
        let now = NOW.parse()?;
        mailbox.deliver(a, mail(777).into_bytes().into(), now)?;
        for lost in [true, false] {
            let (key, _) = message(mailbox, "A")?;
            mailbox.move_message(key, b, lost, now)?;
        }
        let (key, _) = message(mailbox, "B")?;
        mailbox.purge_message(key);
        mailbox.create_folder(b, "New", false)?;
        Ok(())
    })??;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (1, 1));
    let reconciliation = outcome.report.reconciliation.context("it was made")?;
    assert_eq!(reconciliation, Default::default());
    assert_eq!(asked.of("GET messages/$value"), 1, "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn everything_is_compared_once_a_month() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.back_up_equal(&account).await?;
    assert_eq!(stage.back_up(&account).await?.report.reconciliation, None);
    stage.clock.sleep(MONTH).await;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(
        outcome.report.reconciliation,
        Some(Default::default()),
        "it is due and finds nothing"
    );
    assert!(outcome.snapshot.is_some(), "the time of it is recorded");
    let quiet = stage.back_up(&account).await?;
    assert_eq!((quiet.snapshot, quiet.report.reconciliation), (None, None));
    Ok(())
}

#[tokio::test]
async fn a_comparison_that_says_it_was_made_in_the_future_is_made_again() -> Result<()> {
    // Abuse 53: the clock was months ahead, and nobody knows when it was.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    let ahead = SignedDuration::from_hours(24 * 62);
    stage.simulated.set_wall_clock(ahead);
    stage.back_up_equal(&account).await?;
    stage.simulated.set_wall_clock(-ahead);
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.reconciliation, Some(Default::default()));
    assert_eq!(stage.back_up(&account).await?.report.reconciliation, None);
    Ok(())
}

/// How many messages a reconciliation finds to be missed so long after somebody took ten of them out of the snapshot. They come back.
async fn missed_of_ten(after: Duration) -> Result<u64> {
    let (mut stage, account) = Stage::with_mail(&[("", 5), ("Projects", 5)]).await?;
    stage.back_up_equal(&account).await?;
    tamper(&stage, &account, async |draft| {
        for folder in draft.list("Mail").await? {
            let folder = format!("Mail/{}", folder.name());
            for month in draft.list(&folder).await? {
                draft.remove(&format!("{folder}/{}", month.name())).await?;
            }
        }
        Ok(())
    })
    .await?;
    stage.clock.sleep(after).await;
    stage.limits.reconcile_every = ALWAYS;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let reconciliation = outcome.report.reconciliation.context("it was made")?;
    Ok(reconciliation.missed)
}

#[tokio::test]
async fn what_somebody_took_out_of_the_snapshot_comes_back() -> Result<()> {
    assert_eq!(missed_of_ten(Duration::ZERO).await?, 10);
    assert_eq!(missed_of_ten(Duration::from_secs(25 * 3600)).await?, 10);
    // By then the cursors have expired, and the folders report everything they hold: nothing is missed.
    assert_eq!(missed_of_ten(MONTH).await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_leaves_between_the_comparison_and_the_end_of_a_cursor_is_gone() -> Result<()> {
    // Its folder was listed with it, and is listed once more, without it, because its cursor has expired.
    let (mut stage, account) = Stage::with_mail(&[("Projects", 5)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.reconcile_every = ALWAYS;
    let route = folder_route(&stage, &account, "Projects", "/messages/delta")?;
    let end = route.split('*').nth(1).context("a pattern")?.to_owned();
    let mailbox = stage.mailbox(&account)?;
    let mut done = false;
    stage.on_exchange(move |exchange| {
        if !done && exchange.path.ends_with(&end) {
            done = true;
            let mut mailbox = mailbox.lock().expect("the mailbox is sound");
            let (key, _) = message(&mailbox, "Projects").expect("it holds mail");
            mailbox.purge_message(key);
            mailbox.expire_delta_tokens();
        }
    });
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_listed_whole_is_backed_up_all_the_same() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 5), ("Projects", 5)]).await?;
    stage.back_up_equal(&account).await?;
    stage.clock.sleep(MONTH).await;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let projects = folder(mailbox, "Projects")?;
        mailbox.deliver(projects, mail(77).into_bytes().into(), NOW.parse()?)?;
        Ok(())
    })??;
    let projects = folder_route(&stage, &account, "Projects", "/messages/delta")?;
    stage.emulator.add_fault(FaultRule {
        count: Some(1),
        ..error(&projects, 403, "ErrorAccessDenied")
    })?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let reconciliation = outcome.report.reconciliation.context("it was made")?;
    assert_eq!((reconciliation.missed, reconciliation.unread.len()), (0, 1));
    let outcome = stage.back_up(&account).await?;
    assert_eq!(
        outcome.report.reconciliation,
        Some(Default::default()),
        "it is made again until it succeeds"
    );
    assert_eq!(stage.back_up(&account).await?.report.reconciliation, None);
    Ok(())
}

#[tokio::test]
async fn errors_during_a_reconciliation_are_no_deletions() -> Result<()> {
    // Survival 64.
    let (mut stage, account) = Stage::with_mail(&[("", 5), ("Projects", 5)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.reconcile_every = ALWAYS;
    for (status, code) in [(403, "ErrorAccessDenied"), (503, "ErrorServerBusy")] {
        stage.emulator.add_fault(error(DELTA, status, code))?;
        let outcome = stage.back_up(&account).await?;
        assert_eq!(outcome.report.removed, 0);
        assert_eq!(outcome.snapshot, None, "{:?}", outcome.report);
        stage.emulator.clear_faults();
    }
    assert_eq!(wrong(&stage, &account).await?, [""; 0]);
    Ok(())
}
