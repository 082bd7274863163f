//! What Microsoft Graph does wrong, and that it costs nothing that is already held.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use emulator::{FaultBody, FaultRule};
use graph::{Client, Options};
use jiff::SignedDuration;
use model::{FailureCause, SkipCause};
use serde_json::json;

use crate::{
    stage::{Stage, differences, mail},
    tools::{DELTA, MIME, error, folder, folder_route},
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
        // That it failed once more is no reason for another restore point.
        assert_eq!(outcome.snapshot.is_some(), attempts == 1);
        if let Some(snapshot) = outcome.snapshot {
            let held = stage.snapshot(&account, snapshot).await?;
            assert_eq!(differences(&held, &before), [""; 0]);
        }
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
    let inbox = folder_route(&stage, &account, "Inbox", "/messages/delta")?;
    stage.emulator.add_fault(FaultRule {
        page_size: Some(10),
        ..FaultRule::on(&inbox)
    })?;
    stage.emulator.add_fault(FaultRule {
        after: 3,
        count: Some(1),
        ..error(&inbox, 410, "SyncStateNotFound")
    })?;
    let expired = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&expired);
    stage.on_exchange(move |exchange| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen += u32::from(exchange.status == 410);
    });
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(*expired.lock().unwrap_or_else(PoisonError::into_inner), 1);
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
    assert_eq!(stage.emulator.stats().faults, 2 + 5 + 5 + 5 + 1);
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_listing_that_takes_too_long_is_asked_for_in_smaller_pages_and_then_without_changes()
-> Result<()> {
    // Survival 8: a 503 without a word, whenever the changes of a folder are asked for.
    let (stage, account) = Stage::with_mail(&[("", 25)]).await?;
    stage.emulator.add_fault(FaultRule {
        status: Some(503),
        body: Some(FaultBody::Empty),
        ..FaultRule::on(DELTA)
    })?;
    let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let seen = Arc::clone(&asked);
    stage.on_exchange(move |exchange| {
        if exchange.template == Some(DELTA) {
            let prefer = exchange.request_headers.get("prefer");
            let prefer = prefer.and_then(|value| value.to_str().ok());
            let preference = (exchange.path.clone(), prefer.unwrap_or_default().to_owned());
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(preference);
        }
    });
    stage.back_up_equal(&account).await?;
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (folder, _) = asked.first().context("a folder was listed")?;
    let sizes: Vec<&str> = asked
        .iter()
        .filter(|(path, _)| path == folder)
        .filter_map(|(_, prefer)| prefer.rsplit('=').next())
        .collect();
    assert_eq!(sizes, [["100"; 7], ["10"; 7]].concat());
    stage.emulator.clear_faults();
    let (again, _) = stage
        .back_up(&account)
        .await
        .map(|outcome| (outcome.report, ()))?;
    assert!(again.is_complete());
    Ok(())
}

#[tokio::test]
async fn a_request_that_hangs_does_not_hang_the_run() -> Result<()> {
    // Survival 31: answers that begin and never end, to as many requests as go at a time, and to listings.
    let (mut stage, account) = Stage::with_mail(&[("", 40), ("Projects", 40)]).await?;
    stage.graph = Client::new(Options {
        idle_timeout: Duration::from_millis(700),
        ..stage.options()?
    })?;
    for (route, after, count) in [(MIME, 10, 4), (DELTA, 1, 2)] {
        stage.emulator.add_fault(FaultRule {
            truncate: Some(20),
            stall: true,
            after,
            count: Some(count),
            ..FaultRule::on(route)
        })?;
    }
    let limit = Duration::from_secs(300);
    let (outcome, _) = tokio::time::timeout(limit, stage.back_up_equal(&account))
        .await
        .context("the run hangs")??;
    assert_eq!(outcome.report.added, 80);
    assert_eq!(stage.emulator.stats().faults, 6);
    Ok(())
}

#[tokio::test]
async fn consent_that_is_revoked_while_a_run_is_under_way_ends_it() -> Result<()> {
    // Abuse 39: the token is refused, and no other is to be had. What was fetched until then is kept.
    let (stage, account) = Stage::with_mail(&[("", 60)]).await?;
    stage.emulator.add_fault(FaultRule {
        expire_tokens: true,
        after: 20,
        count: Some(1),
        ..FaultRule::on(MIME)
    })?;
    stage.emulator.add_fault(FaultRule {
        aadsts: Some(65_001),
        ..FaultRule::on("/*/oauth2/v2.0/token")
    })?;
    let outcome = stage.back_up(&account).await?;
    let stopped = outcome.report.stopped.context("it was stopped")?;
    assert_eq!(
        stopped.kind(),
        graph::Kind::SignIn(graph::SignIn::ConsentMissing)
    );
    let snapshot = outcome.snapshot.context("what was fetched is kept")?;
    let held = stage.snapshot(&account, snapshot).await?.len();
    assert!((10..60).contains(&held), "{held}");
    stage.emulator.clear_faults();
    let before = stage.graph.counters();
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 0);
    let fetched = stage
        .graph
        .counters()
        .since(&before)
        .of("GET messages/$value");
    assert_eq!(fetched, 60 - held as u64, "nothing is fetched twice");
    Ok(())
}

#[tokio::test]
async fn a_wall_clock_that_is_wrong_or_jumps_loses_nothing() -> Result<()> {
    // Abuse 53: a day ahead, then two days back, before runs and in the middle of them.
    let (stage, account) = Stage::with_mail(&[("", 30)]).await?;
    let day = SignedDuration::from_hours(24);
    let mut times = Vec::new();
    for (number, by) in [day, -day * 2, day, -day * 3].into_iter().enumerate() {
        let (clock, mut exchanges) = (stage.simulated.clone(), 0);
        stage.on_exchange(move |_| {
            exchanges += 1;
            if exchanges == 5 {
                clock.set_wall_clock(by);
            }
        });
        let now = stage.clock.now();
        stage.at_source(&account, |mailbox| -> Result<()> {
            let inbox = folder(mailbox, "Inbox")?;
            mailbox.deliver(inbox, mail(100 + number).into_bytes().into(), now)?;
            Ok(())
        })??;
        let (outcome, _) = stage.back_up_equal(&account).await?;
        let snapshots = stage.repository(&account).await?.snapshots().await?;
        let newest = engine::snapshots::latest(&snapshots).context("there is one")?;
        assert_eq!(Some(newest.0), outcome.snapshot, "whatever the clock says");
        times.push(newest.1.time);
    }
    assert!(
        times.is_sorted(),
        "stock restic takes the latest: {times:?}"
    );
    assert_eq!(stage.graph.counters().sign_ins, 1, "an hour has not passed");
    stage.restic_agrees(&account)
}
