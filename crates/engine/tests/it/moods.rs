//! How Graph's listings and cursors misbehave, and that a run neither believes too much nor asks too much.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use emulator::{FaultBody, FaultRule, Settings, World};
use engine::snapshots::latest;
use graph::{Client, Options};
use jiff::SignedDuration;
use repository::File;
use serde_json::{Value, json};
use workload::mail::backup::Anomaly;

use crate::{
    stage::{Stage, differences, mail},
    tools::{DELTA, MIME, NOW, error, folder, folder_route, message, tamper},
};

#[tokio::test]
async fn a_refused_cursor_is_given_up_without_following_where_the_refusal_points() -> Result<()> {
    // Survival 34, 35: the address in a 410 may be broken.
    for status in [410, 400] {
        let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
        stage.back_up_equal(&account).await?;
        stage.at_source(&account, |mailbox| -> Result<()> {
            let (key, _) = message(mailbox, "Inbox")?;
            mailbox.purge_message(key);
            Ok(())
        })??;
        let broken = format!("{}/v1.0/broken", stage.emulator.base_url);
        stage.emulator.add_fault(FaultRule {
            headers: [("Location".to_owned(), broken)].into(),
            count: Some(1),
            ..error(
                &folder_route(&stage, &account, "Inbox", "/messages/delta")?,
                status,
                "ErrorInvalidSyncStateData",
            )
        })?;
        let followed = Arc::new(Mutex::new(0));
        let following = Arc::clone(&followed);
        stage.on_exchange(move |exchange| {
            if exchange.path.ends_with("/broken") {
                *following.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        });
        let (outcome, asked) = stage.back_up_equal(&account).await?;
        assert_eq!(outcome.report.removed, 1);
        assert_eq!(asked.of("GET messages/$value"), 0, "{asked:?}");
        assert_eq!(*followed.lock().unwrap_or_else(PoisonError::into_inner), 0);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_asked_for_that_graph_cannot_bear() -> Result<()> {
    // Survival 41, 42, 43, 60, 99, 118.
    let stage = Stage::start(World::new().users(1, 7)).await?;
    let account = stage.accounts().await?.remove(0);
    let wrong: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let seen = Arc::clone(&wrong);
    stage.on_exchange(move |exchange| {
        let (path, query) = (&exchange.path, &exchange.query);
        let header = exchange.request_headers.get("prefer");
        let prefer = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        let is_delta = path.ends_with("/delta");
        let is_list = path.ends_with("/attachments") || path.ends_with("olders");
        let verdict = [
            (query.contains("expand"), "something is expanded"),
            (is_delta && query.contains("top="), "a delta has $top"),
            (is_delta && query.contains("select="), "a delta is narrowed"),
            (
                is_delta && !prefer.contains("maxpagesize"),
                "a delta has no page size",
            ),
            (
                is_list && !query.contains("top=") && !query.contains("skip"),
                "a list has no page size",
            ),
            (
                path.contains("/messages") && !prefer.contains("ImmutableId"),
                "an id is mutable",
            ),
        ];
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = verdict.iter().filter(|(is_wrong, _)| *is_wrong);
        seen.extend(found.map(|(_, what)| format!("{what}: {path}?{query}")));
    });
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (key, _) = message(mailbox, "Inbox")?;
        mailbox.purge_message(key);
        Ok(())
    })??;
    stage.back_up_equal(&account).await?;
    let wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(*wrong, BTreeSet::new());
    Ok(())
}

#[tokio::test]
async fn an_older_word_on_a_message_does_not_undo_a_newer_one() -> Result<()> {
    // Survival 45: another folder still reports it as it was, and is read last.
    let (stage, account) = Stage::with_mail(&[("A", 1), ("B", 1)]).await?;
    let (key, id) = stage.at_source(&account, |mailbox| message(mailbox, "A"))??;
    let stale = stage.at_source(&account, |mailbox| {
        let mut views = mailbox.message_views();
        views.find(|view| view.id == id).map(|view| view.json)
    })?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let b = folder(mailbox, "B")?;
        mailbox.move_message(key, b, false, NOW.parse()?)?;
        Ok(())
    })??;
    stage.emulator.add_fault(FaultRule {
        set: [("value".to_owned(), json!([stale]))].into_iter().collect(),
        delay_ms: 300,
        count: Some(1),
        ..FaultRule::on(&folder_route(&stage, &account, "A", "/messages/delta")?)
    })?;
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_page_that_comes_twice_counts_once() -> Result<()> {
    // Survival 46, abuse 42.
    let (stage, account) = Stage::with_mail(&[("", 40)]).await?;
    stage.emulator.add_fault(FaultRule {
        set: [("@odata.nextLink".to_owned(), json!("{self}#again"))]
            .into_iter()
            .collect(),
        count: Some(1),
        ..FaultRule::on(&folder_route(&stage, &account, "Inbox", "/messages/delta")?)
    })?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.changed), (40, 0));
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_listing_that_never_ends_goes_on_where_it_was_given_up() -> Result<()> {
    // Survival 54: what was read is held, and the next run does not begin again.
    let (stage, account) = Stage::with_mail(&[("", 100)]).await?;
    let inbox = folder_route(&stage, &account, "Inbox", "/messages/delta")?;
    stage.emulator.add_fault(FaultRule {
        page_size: Some(10),
        ..FaultRule::on(&inbox)
    })?;
    stage.emulator.add_fault(FaultRule {
        after: 6,
        ..error(&inbox, 403, "ErrorAccessDenied")
    })?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.added, 60);
    assert_eq!(outcome.report.containers.len(), 1, "{:?}", outcome.report);
    stage.emulator.clear_faults();
    let pages = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&pages);
    stage.on_exchange(move |exchange| {
        if exchange.path.ends_with("/messages/delta") && !exchange.query.is_empty() {
            let mut pages = seeing.lock().unwrap_or_else(PoisonError::into_inner);
            pages.push(exchange.query.contains("skiptoken"));
        }
    });
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 40);
    assert_eq!(asked.of("GET messages/$value"), 40, "{asked:?}");
    let pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(pages.contains(&true), "it goes on from a page: {pages:?}");
    Ok(())
}

#[tokio::test]
async fn a_listing_of_more_pages_than_anything_has_is_taken_up_by_the_next_run() -> Result<()> {
    // Survival 54.
    let (mut stage, account) = Stage::with_mail(&[("", 100)]).await?;
    stage.graph = Client::new(Options {
        pages_max: 6,
        ..stage.options()?
    })?;
    stage.emulator.add_fault(FaultRule {
        page_size: Some(10),
        ..FaultRule::on(&folder_route(&stage, &account, "Inbox", "/messages/delta")?)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.added, 50);
    assert_eq!(outcome.report.containers.len(), 1, "{:?}", outcome.report);
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 50);
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_track_changes_is_compared_each_time() -> Result<()> {
    // Survival 36: for ever, and it is not asked again.
    let (stage, account) = Stage::with_mail(&[("", 5), ("Projects", 5)]).await?;
    let projects = folder_route(&stage, &account, "Projects", "/messages/delta")?;
    stage.emulator.add_fault(FaultRule {
        message: Some("Change tracking is not supported against 'microsoft.graph.message'.".into()),
        ..error(&projects, 400, "ErrorInvalidRequest")
    })?;
    stage.back_up_equal(&account).await?;
    for round in 1..=3 {
        assert_eq!(stage.back_up(&account).await?.snapshot, None);
        stage.at_source(&account, |mailbox| -> Result<()> {
            let (key, _) = message(mailbox, "Projects")?;
            mailbox.purge_message(key);
            let projects = folder(mailbox, "Projects")?;
            mailbox.deliver(projects, mail(70 + round).into_bytes().into(), NOW.parse()?)?;
            Ok(())
        })??;
        let (outcome, asked) = stage.back_up_equal(&account).await?;
        assert_eq!((outcome.report.added, outcome.report.removed), (1, 1));
        assert_eq!(asked.of("GET messages/$value"), 1, "{asked:?}");
        assert_eq!(stage.emulator.stats().faults, 1);
    }
    Ok(())
}

#[tokio::test]
async fn cursors_without_their_entries_are_not_trusted() -> Result<()> {
    // Survival 39: and a mailbox without messages has none to miss.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    tamper(&stage, &account, async |draft| {
        draft.remove(".keepwell/mail/items").await?;
        Ok(())
    })
    .await?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, first.report.added);
    stage.at_source(&account, |mailbox| {
        let keys: Vec<_> = mailbox.message_views().map(|view| view.key).collect();
        keys.into_iter().for_each(|key| mailbox.purge_message(key));
    })?;
    stage.back_up_equal(&account).await?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!((outcome.snapshot, outcome.report.held_before), (None, 0));
    Ok(())
}

#[tokio::test]
async fn state_of_another_version_is_made_anew_and_older_snapshots_stay() -> Result<()> {
    // Survival 69.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    const ACCOUNT: &str = ".keepwell/account.json";
    tamper(&stage, &account, async |draft| {
        let record = draft.read_path(ACCOUNT).await?.context("it is there")?;
        let mut record: Value = serde_json::from_slice(&record)?;
        record["version"] = json!(2);
        let content = draft.writer().store(record.to_string().into()).await?;
        let mtime = NOW.parse()?;
        draft.put(ACCOUNT, File { content, mtime }).await?;
        Ok(())
    })
    .await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (key, _) = message(mailbox, "Inbox")?;
        mailbox.purge_message(key);
        Ok(())
    })??;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.held_before), (5, 0));
    let first = first.snapshot.context("it made one")?;
    assert_eq!(stage.snapshot(&account, first).await?, before);
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn what_is_not_mail_is_carried_forward() -> Result<()> {
    // Survival 68: another service's data and state, in whatever condition mail's own state is.
    const OTHERS: [&str; 2] = ["Calendar/May/event.ics", ".keepwell/calendar/state.json"];
    for is_damaged in [false, true] {
        let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
        stage.back_up_equal(&account).await?;
        tamper(&stage, &account, async |draft| {
            for path in OTHERS {
                let content = draft.writer().store(b"{}".to_vec().into()).await?;
                let mtime = NOW.parse()?;
                draft.put(path, File { content, mtime }).await?;
            }
            if is_damaged {
                draft.remove(".keepwell/mail/folders").await?;
            }
            Ok(())
        })
        .await?;
        stage.at_source(&account, |mailbox| -> Result<()> {
            let (key, _) = message(mailbox, "Inbox")?;
            mailbox.purge_message(key);
            Ok(())
        })??;
        stage.back_up_equal(&account).await?;
        let repository = stage.repository(&account).await?;
        let snapshots = repository.snapshots().await?;
        let (_, newest) = latest(&snapshots).context("there is one")?;
        let view = repository.view(newest.tree);
        for path in OTHERS {
            assert!(view.node(path).await?.is_some(), "{path}, {is_damaged}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_mass_deletion_is_pointed_out_and_nothing_that_was_held_is_lost() -> Result<()> {
    // Survival 65.
    let (stage, account) = Stage::with_mail(&[("", 120), ("Projects", 40)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    assert_eq!(first.report.anomaly(), None, "a first run is none");
    let before = stage.source(&account)?;
    let purge = |count: usize| {
        stage.at_source(&account, |mailbox| {
            let keys: Vec<_> = mailbox.message_views().map(|m| m.key).take(count).collect();
            keys.into_iter().for_each(|key| mailbox.purge_message(key));
        })
    };
    purge(60)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.anomaly(), None, "less than half");
    purge(60)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.anomaly(), Some(Anomaly::MassDeletion));
    purge(40)?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.anomaly(), None, "people delete forty");
    let first = first.snapshot.context("it made one")?;
    assert_eq!(stage.snapshot(&account, first).await?, before);
    Ok(())
}

#[tokio::test]
async fn it_does_not_matter_whose_clock_is_wrong() -> Result<()> {
    // Survival 70, abuse 53: Microsoft's times are compared with Microsoft's.
    for hours in [24, -24, 24 * 365] {
        let ahead = SignedDuration::from_hours(hours);
        let stage = Stage::start_apart(Settings::new(World::new().users(1, 7)), ahead).await?;
        let account = stage.accounts().await?.remove(0);
        stage.back_up_equal(&account).await?;
        assert_eq!(stage.back_up(&account).await?.snapshot, None);
        let now = stage.emulator.now();
        let id = stage.at_source(&account, |mailbox| -> Result<_> {
            let (key, id) = message(mailbox, "Inbox")?;
            let archive = folder(mailbox, "Archive")?;
            mailbox.move_message(key, archive, true, now)?;
            mailbox.deliver(archive, mail(77).into_bytes().into(), now)?;
            Ok(id)
        })??;
        let change = json!({"importance": "high"});
        stage.patch(&account, &id, &change).await?;
        let (outcome, _) = stage.back_up_equal(&account).await?;
        assert_eq!((outcome.report.added, outcome.report.changed), (1, 1));
    }
    Ok(())
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_had_is_not_an_empty_one() -> Result<()> {
    // Abuse 52, survival 64: the licence is taken away, the mailbox is on hold, the user is deleted; and it comes back.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    for (status, code) in [
        (404, "MailboxNotEnabledForRESTAPI"),
        (404, "ErrorInvalidUser"),
        (404, "Request_ResourceNotFound"),
        (403, "ErrorAccessDenied"),
        (423, "resourceLocked"),
        (404, "ErrorItemNotFound"),
    ] {
        let rule = error("/v1.0/users/*", status, code);
        stage.emulator.add_fault(rule)?;
        let outcome = stage.back_up(&account).await;
        assert!(outcome.is_err(), "{code}: {outcome:?}");
        stage.emulator.clear_faults();
        assert_eq!(stage.back_up(&account).await?.snapshot, None, "{code}");
    }
    let tenant = stage.emulator.tenant();
    tenant.remove_user(account.id.as_str().parse()?);
    assert!(stage.back_up(&account).await.is_err());
    let archive = engine::restore::archive(stage.setting(), &account, None).await?;
    let held: u64 = archive.folders().iter().map(|one| one.messages).sum();
    assert_eq!(held, 6);
    Ok(())
}

/// JSON nested so deep that whoever reads it with a stack falls.
fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn a_page_of_odd_records_harms_nothing() -> Result<()> {
    // Survival 58, 61, 93, 107; abuse 54, 55, 58: what is unknown, null, doubled, broken or bottomless is kept as it came.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    let odd = |id: &str, more: &str| {
        let inbox = r#""parentFolderId":"unknown""#;
        format!(
            r#"{{"id":"{id}","changeKey":"1",{inbox},"receivedDateTime":"2026-11-22T10:00:00Z",{more}}}"#
        )
    };
    let records = [
        odd("odd=a", r#""subject":null,"from":null,"isRead":null"#),
        odd("odd=A", r#""subject":"differs in case only""#),
        odd(
            "odd=b",
            r#""@odata.type":"graph.future","subject":17,"hasAttachments":"yes""#,
        ),
        odd("odd=c", r#""subject":"twice","subject":"half \ud83d pair""#),
        odd("odd=d", &format!(r#""new":{}"#, deep(100_000))),
        odd(
            "odd=e",
            r#""receivedDateTime":"0000-99-99","lastModifiedDateTime":"never""#,
        ),
        odd(
            "odd=f",
            r#""receivedDateTime":"0001-01-01T00:00:00Z","lastModifiedDateTime":null"#,
        ),
        odd("odd=g", r#""receivedDateTime":"0000-12-31T23:59:59Z""#),
        odd("odd=i", r#""receivedDateTime":"-000044-03-15T12:00:00Z""#),
        odd(
            "odd=h",
            r#""receivedDateTime":"9999-12-31T23:59:59.9999999Z","lastModifiedDateTime":"9999-12-31T23:59:59Z""#,
        ),
    ];
    let inbox = folder_route(&stage, &account, "Inbox", "/messages/delta")?;
    let page = format!(
        r#"{{"value":[{}],"@odata.deltaLink":"{}{}?$deltatoken=x"}}"#,
        records.join(","),
        stage.emulator.base_url,
        inbox.replace('*', account.id.as_str()),
    );
    stage.emulator.add_fault(FaultRule {
        body: Some(FaultBody::Text(page)),
        count: Some(1),
        ..FaultRule::on(&inbox)
    })?;
    stage.emulator.add_fault(FaultRule {
        status: Some(200),
        body: Some(FaultBody::Text("Subject: odd\r\n\r\nodd\r\n".to_owned())),
        ..FaultRule::on(MIME)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(
        outcome.report.added,
        records.len() as u64,
        "{:?}",
        outcome.report
    );
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    for record in &records {
        let id = record.split('"').nth(3).context("there is an id")?;
        let at = archive.find(&model::ItemId::new(id)?).await?;
        let held = archive.message(&at.context("it is held")?).await?;
        assert_eq!(held.json.get(), record, "byte for byte");
    }
    stage.restic_agrees(&account)?;
    stage.emulator.clear_faults();
    // The link of that page is none: everything is listed anew. Graph calls the odd ids malformed, which is no word on whether they are gone.
    let outcome = stage.back_up(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (3, 0));
    assert_eq!(
        outcome.report.failures.len(),
        records.len(),
        "{:?}",
        outcome.report
    );
    Ok(())
}

#[tokio::test]
async fn a_record_without_an_id_holds_its_folder_back_and_nothing_else() -> Result<()> {
    // Abuse 54: nobody can tell which message it is.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    stage.emulator.add_fault(FaultRule {
        set: [("value".to_owned(), json!([{"subject": "whose?"}, 5, null]))]
            .into_iter()
            .collect(),
        count: Some(1),
        ..FaultRule::on(&folder_route(&stage, &account, "Inbox", "/messages/delta")?)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.containers.len(), 1, "{:?}", outcome.report);
    assert_eq!(outcome.report.added, 3);
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn what_fails_to_be_fetched_again_stands_as_it_was() -> Result<()> {
    // Survival 66: also over several changes.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    let id = before.keys().next().context("there is mail")?.clone();
    stage
        .emulator
        .add_fault(error(MIME, 403, "ErrorAccessDenied"))?;
    for importance in ["high", "low"] {
        let change = json!({ "importance": importance });
        stage.patch(&account, &id, &change).await?;
        let outcome = stage.back_up(&account).await?;
        let snapshot = outcome.snapshot.context("the ledger changed")?;
        let held = stage.snapshot(&account, snapshot).await?;
        assert_eq!(differences(&held, &before), [""; 0]);
    }
    stage.emulator.clear_faults();
    stage.emulator.add_fault(FaultRule {
        count: Some(1),
        ..error(DELTA, 503, "ErrorServerBusy")
    })?;
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_good_version_is_worth_more_than_what_is_left_of_a_newer_one() -> Result<()> {
    // Survival 66: of the change nothing but its JSON can be had, now or ever.
    for (status, code) in [
        (500, "ErrorMimeContentConversionFailed"),
        (422, "ErrorCorruptData"),
        (422, "ErrorInvalidRecipients"),
    ] {
        let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
        stage.back_up_equal(&account).await?;
        let before = stage.source(&account)?;
        let id = before.keys().next().context("there is mail")?.clone();
        stage.emulator.add_fault(error(MIME, status, code))?;
        let change = json!({"importance": "high"});
        stage.patch(&account, &id, &change).await?;
        let outcome = stage.back_up(&account).await?;
        let told = outcome.report.failures.len() + outcome.report.skips.len();
        assert_eq!(told, 1, "{code}: {:?}", outcome.report);
        let snapshot = outcome.snapshot.context("the ledger changed")?;
        let held = stage.snapshot(&account, snapshot).await?;
        assert_eq!(differences(&held, &before), [""; 0], "{code}");
        stage.emulator.clear_faults();
        let change = json!({"importance": "low"});
        stage.patch(&account, &id, &change).await?;
        stage.back_up_equal(&account).await?;
    }
    Ok(())
}
