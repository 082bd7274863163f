//! What Microsoft Graph does wrong, and that it costs nothing that is already held.

use anyhow::{Context, Result};
use emulator::FaultRule;
use model::{FailureCause, SkipCause};
use serde_json::json;

use crate::{
    stage::{Stage, differences},
    tools::{DELTA, MIME, error},
};

#[tokio::test]
async fn a_message_that_cannot_be_fetched_is_owed_and_paid_later() -> Result<()> {
    // Survival 63 and 66: the cursor moves on, the ledger remembers, and an older good version stays.
    let (stage, account) = Stage::with_mail(&[("", 5)]).await?;
    stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    let id = before.keys().next().context("there is mail")?.clone();
    stage
        .patch(&account, &id, &json!({"importance": "high"}))
        .await?;
    stage.emulator.add_fault(FaultRule {
        status: Some(500),
        code: Some("ErrorInternalServerError".to_owned()),
        ..FaultRule::on(MIME)
    })?;
    for attempts in 1..=2 {
        let outcome = stage.back_up(&account).await?;
        let [failure] = &outcome.report.failures[..] else {
            panic!("one message failed: {:?}", outcome.report)
        };
        assert_eq!(
            (failure.item.as_str(), failure.cause, failure.attempts),
            (id.as_str(), FailureCause::Unavailable, attempts)
        );
        let snapshot = outcome.snapshot.context("the ledger is in the snapshot")?;
        assert_eq!(
            differences(&stage.snapshot(&account, snapshot).await?, &before),
            [""; 0]
        );
    }
    stage.emulator.clear_faults();
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.changed, 1);
    assert!(outcome.report.failures.is_empty());
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_message_that_microsoft_cannot_read_is_skipped_with_its_cause() -> Result<()> {
    // Survival 96, 97.
    for (code, cause) in [
        ("ErrorCorruptData", SkipCause::CorruptAtSource),
        ("ErrorInvalidRecipients", SkipCause::InvalidRecipients),
    ] {
        let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
        stage.emulator.add_fault(FaultRule {
            count: Some(1),
            ..error(MIME, 422, code)
        })?;
        let outcome = stage.back_up(&account).await?;
        let [skip] = &outcome.report.skips[..] else {
            panic!("one message is skipped: {:?}", outcome.report)
        };
        assert_eq!((skip.cause, outcome.report.added), (cause, 2));
        let archive = stage
            .archive(&account, outcome.snapshot.context("it made one")?)
            .await?;
        let at = archive
            .find(&skip.item)
            .await?
            .context("its JSON is held")?;
        assert!(!archive.message(&at).await?.has_mime);
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_cursor_lists_everything_and_fetches_nothing_again() -> Result<()> {
    // Survival 33: and what was deleted meanwhile is noticed by its absence.
    let (stage, account) = Stage::with_mail(&[("", 250), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| {
        let keys: Vec<_> = mailbox
            .message_views()
            .map(|message| message.key)
            .take(2)
            .collect();
        keys.into_iter().for_each(|key| mailbox.purge_message(key));
    })?;
    stage.emulator.add_fault(FaultRule {
        resync: true,
        ..FaultRule::on(DELTA)
    })?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (0, 2));
    assert_eq!(
        asked.of("GET messages/$value"),
        0,
        "what is held is not fetched again: {asked:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_expires_between_pages_starts_over() -> Result<()> {
    // Survival 55.
    let (stage, account) = Stage::with_mail(&[("", 60)]).await?;
    stage.emulator.add_fault(FaultRule {
        page_size: Some(10),
        ..FaultRule::on(DELTA)
    })?;
    stage.emulator.add_fault(FaultRule {
        resync: true,
        after: 3,
        count: Some(1),
        ..FaultRule::on(DELTA)
    })?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 60);
    assert_eq!(asked.of("GET messages/$value"), 60);
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_stays_as_it_was() -> Result<()> {
    // Survival 64 and 67: an error is never a deletion.
    let (stage, account) = Stage::with_mail(&[("", 5), ("Projects", 5)]).await?;
    stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    stage.at_source(&account, |mailbox| {
        let keys: Vec<_> = mailbox.message_views().map(|message| message.key).collect();
        keys.into_iter().for_each(|key| mailbox.purge_message(key));
    })?;
    for (status, code) in [
        (403, "ErrorAccessDenied"),
        (503, "ErrorServerBusy"),
        (500, "ErrorInternalServerError"),
    ] {
        stage.emulator.add_fault(FaultRule {
            status: Some(status),
            code: Some(code.to_owned()),
            ..FaultRule::on(DELTA)
        })?;
        let outcome = stage.back_up(&account).await?;
        assert_eq!(outcome.report.removed, 0);
        assert!(
            !outcome.report.containers.is_empty(),
            "{status}: {:?}",
            outcome.report
        );
        assert_eq!(outcome.snapshot, None, "nothing is known to have changed");
        stage.emulator.clear_faults();
    }
    let latest = engine::restore::archive(stage.setting(), &account, None).await?;
    let held: u64 = latest.folders().iter().map(|folder| folder.messages).sum();
    assert_eq!(held, before.len() as u64);
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 10);
    Ok(())
}

#[tokio::test]
async fn a_message_whose_fate_cannot_be_learnt_is_kept() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 5)]).await?;
    stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    stage.at_source(&account, |mailbox| {
        let key = mailbox.message_views().map(|message| message.key).next();
        key.into_iter().for_each(|key| mailbox.purge_message(key));
    })?;
    stage.emulator.add_fault(FaultRule {
        status: Some(403),
        code: Some("ErrorAccessDenied".to_owned()),
        ..FaultRule::on("/users/{user}/messages/{message}")
    })?;
    let outcome = stage.back_up(&account).await?;
    let [failure] = &outcome.report.failures[..] else {
        panic!("one message is in doubt: {:?}", outcome.report)
    };
    assert_eq!(failure.cause, FailureCause::Doubtful);
    let snapshot = outcome.snapshot.context("the ledger is in the snapshot")?;
    assert_eq!(
        differences(&stage.snapshot(&account, snapshot).await?, &before),
        [""; 0]
    );
    stage.emulator.clear_faults();
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 1);
    Ok(())
}

#[tokio::test]
async fn tokens_expire_connections_break_and_nothing_is_lost() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 80), ("Projects", 80)]).await?;
    for rule in [
        FaultRule {
            expire_tokens: true,
            after: 20,
            count: Some(2),
            ..FaultRule::on(MIME)
        },
        FaultRule {
            reset: true,
            after: 30,
            count: Some(5),
            ..FaultRule::on(MIME)
        },
        FaultRule {
            truncate: Some(40),
            after: 50,
            count: Some(5),
            ..FaultRule::on(MIME)
        },
        FaultRule {
            status: Some(429),
            headers: [("Retry-After".to_owned(), "41".to_owned())].into(),
            after: 70,
            count: Some(5),
            ..FaultRule::on(MIME)
        },
        FaultRule {
            body: Some(emulator::FaultBody::Html),
            count: Some(1),
            ..FaultRule::on(DELTA)
        },
    ] {
        stage.emulator.add_fault(rule)?;
    }
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 160);
    stage.restic_agrees(&account)
}
