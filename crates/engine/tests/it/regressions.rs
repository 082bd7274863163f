//! Orders of events that once lost data, kept what was gone, or made a run fail or write without need.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use emulator::{FaultRule, World};
use model::FailureCause;
use repository::File;
use serde_json::{Value, json};

use crate::{
    stage::{Stage, differences, mail},
    tools::{DELTA, MESSAGE, MIME, NOW, error, folder, folder_route, tamper},
};

#[tokio::test]
async fn a_mailbox_whose_root_is_another_folder_keeps_its_mail() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    let archive = stage
        .archive(&account, first.snapshot.context("it made one")?)
        .await?;
    let root = archive.folders().iter().find(|f| f.parent.is_none());
    let root = root.context("there is a root")?.id.clone();
    stage.at_source(&account, |mailbox| -> Result<()> {
        let top = folder(mailbox, "Archive")?;
        mailbox.create_folder(top, "New", false)?;
        Ok(())
    })??;
    stage.emulator.add_fault(error(
        &format!(
            "/v1.0/users/*/mailFolders/{}",
            graph::segment(root.as_str())
        ),
        404,
        "ErrorItemNotFound",
    ))?;
    stage.emulator.add_fault(FaultRule {
        set: [("id".to_owned(), json!("msgfolderroot"))]
            .into_iter()
            .collect(),
        ..FaultRule::on("/v1.0/users/*/mailFolders/msgfolderroot")
    })?;
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_while_a_listing_starts_over_leaves_the_snapshot() -> Result<()> {
    // Survival 55: what the first, interrupted listing said counts no more.
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
    let mailbox = stage.mailbox(&account)?;
    let mut listed: Vec<Value> = Vec::new();
    stage.on_exchange(move |exchange| {
        if exchange.status == 410 {
            let mut mailbox = mailbox.lock().expect("the mailbox is sound");
            for message in listed.iter().take(3) {
                let mut views = mailbox.message_views();
                let key = views.find(|view| message["id"] == view.id).map(|v| v.key);
                drop(views);
                mailbox.purge_message(key.expect("it was listed"));
            }
        } else if exchange.path.ends_with("/messages/delta") {
            let page: Value = serde_json::from_slice(&exchange.body).unwrap_or_default();
            listed.extend(page["value"].as_array().into_iter().flatten().cloned());
        }
    });
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert!(outcome.report.added >= 57);
    assert_eq!(stage.source(&account)?.len(), 57, "three were deleted");
    assert!(asked.of("GET messages/$value") <= 60, "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_message_without_mime_gets_it_when_microsoft_can_make_it() -> Result<()> {
    // Survival 110.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage
        .emulator
        .add_fault(error(MIME, 500, "ErrorMimeContentConversionFailed"))?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.failures.len(), 3, "{:?}", outcome.report);
    // It moves meanwhile, and what is held of it moves along.
    stage.at_source(&account, |mailbox| -> Result<()> {
        let archive = folder(mailbox, "Archive")?;
        let key = mailbox.message_views().map(|m| m.key).next();
        mailbox.move_message(key.context("there is mail")?, archive, false, NOW.parse()?)?;
        Ok(())
    })??;
    let outcome = stage.back_up(&account).await?;
    let snapshot = outcome.snapshot.context("a message moved")?;
    let place = |held: crate::stage::Held| -> Vec<_> {
        held.into_iter()
            .map(|(id, (folder, _))| (id, folder))
            .collect()
    };
    assert_eq!(
        place(stage.snapshot(&account, snapshot).await?),
        place(stage.source(&account)?)
    );
    stage.emulator.clear_faults();
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_message_in_doubt_that_turns_out_deleted_leaves_the_snapshot() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("A", 3), ("B", 3)]).await?;
    stage.back_up_equal(&account).await?;
    let key = stage.at_source(&account, |mailbox| -> Result<_> {
        let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
        let mut views = mailbox.message_views().map(|m| m.key);
        let key = views.find(|key| mailbox.message_home(*key) == Some(a));
        drop(views);
        let key = key.context("there is mail in it")?;
        mailbox.move_message(key, b, true, NOW.parse()?)?;
        Ok(key)
    })??;
    stage
        .emulator
        .add_fault(error(MESSAGE, 403, "ErrorAccessDenied"))?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.failures.len(), 1);
    stage.emulator.clear_faults();
    // It can be recovered for a while: asked for by its id, it is there.
    stage
        .at_source(&account, |mailbox| {
            mailbox.delete_message(key, NOW.parse().expect("a time"))
        })?
        .expect("it is deleted");
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_doubt_that_was_for_nothing_is_forgotten() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.back_up_equal(&account).await?;
    let inbox = folder_route(&stage, &account, "Inbox", "/messages/delta")?;
    // The cursor expires and the new listing is empty: an error, but nobody can tell.
    stage.emulator.add_fault(FaultRule {
        resync: true,
        ..FaultRule::on(&inbox)
    })?;
    stage.emulator.add_fault(FaultRule {
        set: [("value".to_owned(), json!([]))].into_iter().collect(),
        after: 1,
        ..FaultRule::on(&inbox)
    })?;
    stage
        .emulator
        .add_fault(error(MESSAGE, 403, "ErrorAccessDenied"))?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.failures.len(), 3);
    assert!(
        outcome
            .report
            .failures
            .iter()
            .all(|failure| failure.cause == FailureCause::Doubtful)
    );
    stage.emulator.clear_faults();
    let (_, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(asked.of("GET messages/$value"), 0, "{asked:?}");
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    Ok(())
}

#[tokio::test]
async fn a_quiet_folder_that_answers_in_two_pages_writes_nothing() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.emulator.add_fault(FaultRule {
        set: [("@odata.nextLink".to_owned(), json!("{self}#again"))]
            .into_iter()
            .collect(),
        count: Some(1),
        ..FaultRule::on(&folder_route(&stage, &account, "Inbox", "/messages/delta")?)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert!(outcome.report.is_complete(), "{:?}", outcome.report);
    assert_eq!(outcome.snapshot, None);
    Ok(())
}

#[tokio::test]
async fn a_passing_error_does_not_make_the_inbox_an_ordinary_folder() -> Result<()> {
    // Survival 91.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let top = folder(mailbox, "Archive")?;
        mailbox.create_folder(top, "New", false)?;
        Ok(())
    })??;
    stage.emulator.add_fault(error(
        "/v1.0/users/*/mailFolders/inbox",
        503,
        "ErrorServerBusy",
    ))?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    let known: BTreeSet<_> = archive
        .folders()
        .iter()
        .filter_map(|folder| folder.well_known.as_deref())
        .collect();
    assert!(known.contains("inbox"), "{known:?}");
    Ok(())
}

#[tokio::test]
async fn a_folder_deleted_while_the_folders_are_listed_fails_nothing() -> Result<()> {
    // Survival 51.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Old/Inner", 3)]).await?;
    let mailbox = stage.mailbox(&account)?;
    stage.on_exchange(move |exchange| {
        if exchange.path.ends_with("/mailFolders") {
            let mut mailbox = mailbox.lock().expect("the mailbox is sound");
            if let Ok(old) = folder(&mailbox, "Old") {
                let now = NOW.parse().expect("a time");
                mailbox.delete_folder(old, now).expect("it is deleted");
            }
        }
    });
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_folder_whose_inner_folders_cannot_be_listed_fails_nothing_else() -> Result<()> {
    let (stage, account) =
        Stage::with_mail(&[("", 3), ("Old/Inner", 3), ("Other/Deep", 2)]).await?;
    stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?.len();
    stage.at_source(&account, |mailbox| -> Result<()> {
        let old = folder(mailbox, "Old")?;
        mailbox.create_folder(old, "New", false)?;
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(inbox, mail(77).into_bytes().into(), NOW.parse()?)?;
        Ok(())
    })??;
    stage.emulator.add_fault(error(
        &folder_route(&stage, &account, "Old", "/childFolders")?,
        403,
        "ErrorAccessDenied",
    ))?;
    let outcome = stage.back_up(&account).await?;
    assert!(
        !outcome.report.is_complete(),
        "a folder could not be listed"
    );
    let snapshot = outcome.snapshot.context("a mail arrived")?;
    assert_eq!(stage.snapshot(&account, snapshot).await?.len(), before + 1);
    stage.emulator.clear_faults();
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    assert!(archive.folders().iter().any(|f| f.display_name == "New"));
    Ok(())
}

#[tokio::test]
async fn a_mailbox_over_its_quota_is_listed_without_deltas() -> Result<()> {
    // Survival 36, 37.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let keys: Vec<_> = mailbox.message_views().map(|m| m.key).take(2).collect();
        keys.into_iter().for_each(|key| mailbox.purge_message(key));
        Ok(())
    })??;
    for route in [DELTA, "/users/{user}/mailFolders/delta"] {
        stage
            .emulator
            .add_fault(error(route, 403, "ErrorQuotaExceeded"))?;
    }
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 2);
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    stage.emulator.clear_faults();
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_graph_calls_invalid_is_given_up() -> Result<()> {
    // Abuse 38: 400, not 410.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(inbox, mail(77).into_bytes().into(), NOW.parse()?)?;
        Ok(())
    })??;
    for route in [
        folder_route(&stage, &account, "Inbox", "/messages/delta")?,
        "/users/{user}/mailFolders/delta".to_owned(),
    ] {
        stage.emulator.add_fault(FaultRule {
            count: Some(1),
            ..error(&route, 400, "ErrorInvalidRequest")
        })?;
    }
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn mime_is_kept_when_the_list_of_attachments_cannot_be_had() -> Result<()> {
    // Survival 98, 101.
    for code in ["ErrorInternalServerError", "ErrorCannotOpenFileAttachment"] {
        let stage = Stage::start(World::new().users(1, 7)).await?;
        let account = stage.accounts().await?.remove(0);
        stage.emulator.add_fault(error(
            "/users/{user}/messages/{message}/attachments",
            500,
            code,
        ))?;
        let outcome = stage.back_up(&account).await?;
        let failures = &outcome.report.failures;
        assert!(!failures.is_empty(), "some have attachments");
        assert!(
            failures.iter().all(|one| one.code.as_deref() == Some(code)),
            "{failures:?}"
        );
        let snapshot = outcome.snapshot.context("it made one")?;
        assert_eq!(
            differences(
                &stage.snapshot(&account, snapshot).await?,
                &stage.source(&account)?
            ),
            [""; 0]
        );
        stage.emulator.clear_faults();
        stage.back_up_equal(&account).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_answer_for_a_message_that_has_content_is_asked_for_again() -> Result<()> {
    // Survival 110.
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    let empty = |count| FaultRule {
        status: Some(200),
        body: Some(emulator::FaultBody::Empty),
        count: Some(count),
        ..FaultRule::on(MIME)
    };
    stage.emulator.add_fault(empty(6))?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(stage.emulator.stats().faults, 6);
    assert_eq!(outcome.report.failures.len(), 3, "{:?}", outcome.report);
    stage.emulator.clear_faults();
    stage.back_up_equal(&account).await?;

    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage.emulator.add_fault(empty(1))?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(stage.emulator.stats().faults, 1);
    assert_eq!(outcome.report.failures.len(), 0, "{:?}", outcome.report);
    Ok(())
}

#[tokio::test]
async fn a_message_that_is_there_but_has_no_content_is_owed() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
    stage
        .emulator
        .add_fault(error(MIME, 404, "ErrorItemNotFound"))?;
    for _ in 0..2 {
        let outcome = stage.back_up(&account).await?;
        assert_eq!(outcome.report.failures.len(), 3, "{:?}", outcome.report);
    }
    stage.emulator.clear_faults();
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn an_account_that_did_not_change_is_not_written_anew() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    let file = stage
        .vault
        .root()
        .join(format!("accounts/{}.json", account.id));
    stage.back_up(&account).await?;
    let before = std::fs::metadata(&file)?.modified()?;
    stage.back_up(&account).await?;
    assert_eq!(std::fs::metadata(&file)?.modified()?, before);
    Ok(())
}

#[tokio::test]
async fn state_that_cannot_be_read_is_made_anew() -> Result<()> {
    // Survival 40: also when it shows only in the middle of a run.
    for path in [
        ".keepwell/mail/items",
        ".keepwell/mail/ledger.json",
        ".keepwell/account.json",
        ".keepwell/mail/folders",
    ] {
        let (stage, account) = Stage::with_mail(&[("", 3), ("Projects", 3)]).await?;
        stage.back_up_equal(&account).await?;
        tamper(&stage, &account, async |draft| {
            draft.remove(path).await?;
            if !path.ends_with("folders") {
                let content = draft.writer().store(b"nonsense".to_vec().into()).await?;
                let mtime = NOW.parse()?;
                draft.put(path, File { content, mtime }).await?;
            }
            Ok(())
        })
        .await?;
        stage.at_source(&account, |mailbox| -> Result<()> {
            let key = mailbox.message_views().map(|m| m.key).next();
            mailbox.purge_message(key.context("there is mail")?);
            let inbox = folder(mailbox, "Inbox")?;
            mailbox.deliver(inbox, mail(77).into_bytes().into(), NOW.parse()?)?;
            Ok(())
        })??;
        stage.back_up_equal(&account).await?;
        stage.restic_agrees(&account)?;
    }
    Ok(())
}

#[tokio::test]
async fn counts_stay_true_when_somebody_took_files_away() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
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
    let archive = engine::restore::archive(stage.setting(), &account, None).await?;
    for folder in archive.folders() {
        assert_eq!(archive.messages(&folder.id).await?, [], "nothing to be had");
    }
    let ids: Vec<String> = stage.source(&account)?.into_keys().collect();
    for id in ids {
        let change = json!({"importance": "high"});
        stage.patch(&account, &id, &change).await?;
    }
    let (outcome, _) = stage.back_up_equal(&account).await?;
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    assert_eq!(archive.folders().iter().map(|f| f.messages).sum::<u64>(), 3);
    Ok(())
}

#[tokio::test]
async fn many_messages_that_are_owed_do_not_stand_in_each_others_way() -> Result<()> {
    // Survival 31: whoever asks while fetches are under way waits for the places that they hold, and nobody drove them.
    let (stage, account) = Stage::with_mail(&[("", 130)]).await?;
    stage
        .emulator
        .add_fault(error(MIME, 403, "ErrorAccessDenied"))?;
    let outcome = stage.back_up(&account).await?;
    assert_eq!(outcome.report.failures.len(), 130);
    stage.emulator.clear_faults();
    stage.emulator.add_fault(FaultRule {
        delay_ms: 10,
        ..FaultRule::on(MIME)
    })?;
    let limit = std::time::Duration::from_secs(30);
    let (_, asked) = tokio::time::timeout(limit, stage.back_up_equal(&account)).await??;
    assert_eq!(asked.of("GET messages/$value"), 130);
    Ok(())
}
