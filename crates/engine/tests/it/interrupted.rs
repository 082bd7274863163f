//! Long runs that end in the middle: what they leave, and what the next run makes of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use emulator::{Exchange, FaultRule};
use engine::{Account, snapshots::PARTIAL_TAG};
use tokio::sync::Notify;

use crate::stage::{Held, Stage, differences, mail};

/// Backs up until `is_last` says of an exchange that it is the last one. True when the run came to its end all the same.
async fn back_up_until(
    stage: &Stage,
    account: &Account,
    mut is_last: impl FnMut(&Exchange) -> bool + Send + 'static,
) -> Result<bool> {
    let stop = Arc::new(Notify::new());
    let seen = Arc::clone(&stop);
    stage.on_exchange(move |exchange| {
        if is_last(exchange) {
            seen.notify_one();
        }
    });
    let ended = tokio::select! {
        biased;
        () = stop.notified() => false,
        outcome = stage.back_up(account) => outcome.map(|_| true)?,
    };
    stage.on_exchange(|_| ());
    Ok(ended)
}

fn is_content(exchange: &Exchange) -> bool {
    exchange.path.ends_with("/$value")
}

/// The newest snapshot's messages and tags.
async fn newest(stage: &Stage, account: &Account) -> Result<(Held, Vec<String>)> {
    let snapshots = stage.repository(account).await?.snapshots().await?;
    let (id, latest) = engine::snapshots::latest(&snapshots).context("there is a snapshot")?;
    Ok((stage.snapshot(account, *id).await?, latest.tags.clone()))
}

#[tokio::test]
async fn a_first_run_goes_on_from_its_last_checkpoint() -> Result<()> {
    // Survival 62.
    let (mut stage, account) = Stage::with_mail(&[("", 430), ("Projects", 170)]).await?;
    stage.limits.checkpoint_every = 50;
    let mut fetched = 0;
    let ended = back_up_until(&stage, &account, move |exchange| {
        fetched += u32::from(is_content(exchange));
        fetched == 420
    })
    .await?;
    assert!(!ended, "it was interrupted");
    let (held, tags) = newest(&stage, &account).await?;
    assert!(tags.iter().any(|tag| tag == PARTIAL_TAG), "{tags:?}");
    assert!((300..420).contains(&held.len()), "{} are held", held.len());
    stage.restic_agrees(&account)?;

    let seen: Arc<Mutex<(BTreeSet<String>, Vec<String>)>> = Arc::default();
    let seeing = Arc::clone(&seen);
    stage.on_exchange(move |exchange| {
        let mut seen = seeing.lock().unwrap_or_else(PoisonError::into_inner);
        if is_content(exchange) {
            seen.0.insert(exchange.path.clone());
        } else if exchange.path.ends_with("/messages/delta") {
            seen.1.push(exchange.query.clone());
        }
    });
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    let fetched_again = held.keys().filter(|id| {
        let part = format!("/messages/{}/$value", graph::segment(id));
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.0.iter().any(|path| path.ends_with(&part))
    });
    assert_eq!(fetched_again.count(), 0);
    assert_eq!(
        asked.of("GET messages/$value"),
        600 - held.len() as u64,
        "{asked:?}"
    );
    assert_eq!(outcome.report.added, 600 - held.len() as u64);
    let queries = std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner).1);
    assert!(
        queries.iter().any(|query| query.contains("skiptoken")),
        "the listing goes on where it was interrupted"
    );
    // All snapshots of a run can be of one moment; the newest is the one made from the others.
    let (held, tags) = newest(&stage, &account).await?;
    assert_eq!(differences(&held, &stage.source(&account)?), [""; 0]);
    assert!(!tags.iter().any(|tag| tag == PARTIAL_TAG), "{tags:?}");
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_later_run_goes_on_from_its_last_checkpoint() -> Result<()> {
    // What the run before noted must not hide the checkpoints: two runs would make snapshots of one number, and none of them the newest.
    let (mut stage, account) = Stage::with_mail(&[("", 30)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.checkpoint_every = 20;
    stage.at_source(&account, |mailbox| -> Result<_> {
        let inbox = {
            let mut folders = mailbox.folder_views();
            let found =
                folders.find(|folder| folder.path.last().is_some_and(|last| last == "Inbox"));
            found.context("there is one")?.key
        };
        for n in 0..200 {
            let now = "2026-11-22T15:00:00Z".parse()?;
            mailbox.deliver(inbox, mail(1000 + n).into_bytes().into(), now)?;
        }
        Ok(())
    })??;
    let mut fetched = 0;
    let ended = back_up_until(&stage, &account, move |exchange| {
        fetched += u32::from(is_content(exchange));
        fetched == 150
    })
    .await?;
    assert!(!ended, "it was interrupted");
    let (held, tags) = newest(&stage, &account).await?;
    assert!(tags.iter().any(|tag| tag == PARTIAL_TAG), "{tags:?}");
    assert!(held.len() > 50, "{} are held", held.len());

    let (_, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(asked.of("GET messages/$value"), 230 - held.len() as u64);
    let snapshots = stage.repository(&account).await?.snapshots().await?;
    let parents: BTreeSet<_> = snapshots.iter().map(|(_, one)| one.parent).collect();
    assert_eq!(parents.len(), snapshots.len(), "each goes on from another");
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_checkpoint_forgets_no_doubt() -> Result<()> {
    // A cursor that expired: what was deleted is noticed by its absence from the new listing, and asked for only at the end.
    let (mut stage, account) = Stage::with_mail(&[("", 120), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.checkpoint_every = 20;
    let (inbox, projects) = stage.at_source(&account, |mailbox| -> Result<_> {
        let id = |name: &str| {
            let mut folders = mailbox.folder_views();
            folders.find(|folder| folder.path.last().is_some_and(|last| last == name))
        };
        let inbox = id("Inbox").context("there is one")?;
        let projects = id("Projects").context("there is one")?;
        let in_inbox = mailbox.message_views().filter(|m| m.folder_id == inbox.id);
        let keys: Vec<_> = in_inbox.map(|m| m.key).take(4).collect();
        keys.into_iter().for_each(|key| mailbox.purge_message(key));
        for n in 0..60 {
            let now = "2026-11-22T15:00:00Z".parse()?;
            mailbox.deliver(projects.key, mail(1000 + n).into_bytes().into(), now)?;
        }
        Ok((inbox.id, projects.id))
    })??;
    let route = |id: &str| {
        format!(
            "/v1.0/users/*/mailFolders/{}/messages/delta",
            graph::segment(id)
        )
    };
    stage.emulator.add_fault(FaultRule {
        resync: true,
        ..FaultRule::on(&route(&inbox))
    })?;
    // The other folder's mail is fetched after the inbox is listed.
    stage.emulator.add_fault(FaultRule {
        delay_ms: 300,
        ..FaultRule::on(&route(&projects))
    })?;
    let before = stage.repository(&account).await?.snapshots().await?.len();
    let ended = back_up_until(&stage, &account, |exchange| {
        exchange.path.ends_with("/$batch")
    })
    .await?;
    assert!(
        !ended,
        "it was interrupted when it asked for the doubtful ones"
    );
    let after = stage.repository(&account).await?.snapshots().await?.len();
    assert!(after > before, "there was a checkpoint");
    stage.emulator.clear_faults();
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 4);
    Ok(())
}

#[tokio::test]
async fn cursors_that_waited_for_a_doubt_move_in_the_end() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("", 5), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.limits.checkpoint_every = 20;
    let projects = stage.at_source(&account, |mailbox| -> Result<_> {
        let key = mailbox.message_views().map(|m| m.key).next();
        mailbox.purge_message(key.context("there is mail")?);
        let mut folders = mailbox.folder_views();
        let projects = folders.find(|f| f.path.last().is_some_and(|last| last == "Projects"));
        drop(folders);
        let projects = projects.context("there is one")?;
        for n in 0..60 {
            let now = "2026-11-22T15:00:00Z".parse()?;
            mailbox.deliver(projects.key, mail(1000 + n).into_bytes().into(), now)?;
        }
        Ok(projects.id)
    })??;
    stage.emulator.add_fault(FaultRule {
        delay_ms: 300,
        ..FaultRule::on(&format!(
            "/v1.0/users/*/mailFolders/{}/messages/delta",
            graph::segment(&projects)
        ))
    })?;
    stage.back_up_equal(&account).await?;
    // Otherwise the inbox would report the removal once more, and the run would write.
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    Ok(())
}
