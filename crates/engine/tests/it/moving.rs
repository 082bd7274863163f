//! What moves, changes or vanishes while a run is under way, or takes detours between two.

use std::sync::Mutex;

use anyhow::{Context, Result};
use emulator::{Exchange, FaultRule, Mailbox, Settings, World};
use engine::Account;
use graph::Counters;
use model::FailureCause;
use serde_json::json;

use crate::{
    stage::{Stage, mail},
    tools::{MIME, NOW, folder, folder_route, message},
};

/// Does `deed` to the mailbox once, before the first answer that `is_moment` says.
fn once(
    stage: &Stage,
    account: &Account,
    is_moment: impl Fn(&Exchange) -> bool + Send + 'static,
    deed: impl FnOnce(&mut Mailbox) -> Result<()> + Send + 'static,
) -> Result<()> {
    let mailbox = stage.mailbox(account)?;
    let deed = Mutex::new(Some(deed));
    stage.on_exchange(move |exchange| {
        if is_moment(exchange)
            && let Some(deed) = deed.lock().expect("nobody panicked").take()
        {
            let mut mailbox = mailbox.lock().expect("the mailbox is sound");
            deed(&mut mailbox).expect("the deed can be done");
        }
    });
    Ok(())
}

/// The moment when the folder's messages are listed.
fn reads(
    stage: &Stage,
    account: &Account,
    name: &str,
) -> Result<impl Fn(&Exchange) -> bool + Send + 'static> {
    let route = folder_route(stage, account, name, "/messages/delta")?;
    let part = route.split('*').nth(1).context("a pattern")?.to_owned();
    Ok(move |exchange: &Exchange| exchange.path.ends_with(&part))
}

/// The moment when the folder's inner folders are listed.
fn lists(
    stage: &Stage,
    account: &Account,
    name: &str,
) -> Result<impl Fn(&Exchange) -> bool + Send + 'static> {
    let route = folder_route(stage, account, name, "/childFolders")?;
    let part = route.split('*').nth(1).context("a pattern")?.to_owned();
    Ok(move |exchange: &Exchange| exchange.path.ends_with(&part))
}

#[tokio::test]
async fn a_subfolder_survives_its_parents_deletion_and_return() -> Result<()> {
    // Survival 49, 50: moved out, the parent deleted and made anew, moved back; nothing of it is reported or fetched again.
    let (stage, account) = Stage::with_mail(&[("Old/Inner", 4), ("Old", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (old, inner) = (folder(mailbox, "Old")?, folder(mailbox, "Inner")?);
        let archive = folder(mailbox, "Archive")?;
        mailbox.move_folder(inner, archive)?;
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.delete_folder(old, NOW.parse()?)?;
        let new = mailbox.create_folder(inbox, "Old", false)?;
        mailbox.move_folder(inner, new)?;
        Ok(())
    })??;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (0, 3));
    assert_eq!(asked.of("GET messages/$value"), 0, "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_folder_deleted_before_its_turn_fails_nothing() -> Result<()> {
    // Survival 94.
    let (stage, account) = Stage::with_mail(&[("", 3), ("Old", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let archive = folder(mailbox, "Archive")?;
        mailbox.create_folder(archive, "New", false)?;
        Ok(())
    })??;
    let is_moment = |exchange: &Exchange| exchange.path.ends_with("/mailFolders/archive");
    once(&stage, &account, is_moment, |mailbox| {
        let old = folder(mailbox, "Old")?;
        mailbox.delete_folder(old, NOW.parse()?)?;
        Ok(())
    })?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 3, "{:?}", outcome.report);
    Ok(())
}

/// How often the folders were listed.
fn walks(asked: &Counters) -> u64 {
    asked.of("GET mailFolders")
}

#[tokio::test]
async fn a_folder_that_moves_behind_the_back_of_the_listing_is_seen() -> Result<()> {
    // From a folder whose inner folders are not listed yet to one whose inner folders were listed before: it is in neither answer.
    let (stage, account) = Stage::with_mail(&[("Early/Stays", 1), ("Late/Moves", 3)]).await?;
    once(
        &stage,
        &account,
        lists(&stage, &account, "Early")?,
        |mailbox| {
            let (moves, early) = (folder(mailbox, "Moves")?, folder(mailbox, "Early")?);
            mailbox.move_folder(moves, early)?;
            Ok(())
        },
    )?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 4);
    assert_eq!(walks(&asked), 2, "{asked:?}");
    let quiet = stage.back_up(&account).await?;
    assert!(quiet.snapshot.is_none(), "what moved was seen: {quiet:?}");
    Ok(())
}

#[tokio::test]
async fn a_listing_that_a_folder_escapes_again_and_again_is_said_to_be_partial() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("Early/Stays", 1), ("Late/Moves", 3)]).await?;
    let mailbox = stage.mailbox(&account)?;
    let is_listed = lists(&stage, &account, "Early")?;
    stage.on_exchange(move |exchange| {
        let to = if exchange.path.ends_with("/msgfolderroot") {
            "Late"
        } else if is_listed(exchange) {
            "Early"
        } else {
            return;
        };
        let mut mailbox = mailbox.lock().expect("the mailbox is sound");
        let moves = folder(&mailbox, "Moves").expect("it is there");
        let to = folder(&mailbox, to).expect("it is there");
        mailbox.move_folder(moves, to).expect("it can be moved");
    });
    let outcome = stage.back_up(&account).await?;
    let report = outcome.report;
    assert_eq!((report.added, report.is_complete()), (1, false));
    assert_eq!(report.containers[0].cause, FailureCause::Doubtful);
    stage.on_exchange(|_| ());
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert!(outcome.report.is_complete(), "{:?}", outcome.report);
    assert_eq!((outcome.report.added, walks(&asked)), (3, 1), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_message_that_vanishes_before_it_is_fetched_is_no_failure() -> Result<()> {
    // Survival 44, 95, abuse 42.
    let (stage, account) = Stage::with_mail(&[("", 5)]).await?;
    let is_moment = reads(&stage, &account, "Inbox")?;
    once(&stage, &account, is_moment, |mailbox| {
        let keys: Vec<_> = mailbox.message_views().map(|view| view.key).collect();
        mailbox.purge_message(keys[0]);
        mailbox.delete_message(keys[1], NOW.parse()?)?;
        Ok(())
    })?;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert!(outcome.report.failures.is_empty(), "{:?}", outcome.report);
    assert!(outcome.report.added >= 3);
    Ok(())
}

#[tokio::test]
async fn what_is_true_in_the_end_counts_of_both_events_of_one_window() -> Result<()> {
    // Survival 44: a message's arrival and its removal stand in one answer, in any order, and it is there or it is not.
    for removed_last in [true, false] {
        for stays in [true, false] {
            let (stage, account) = Stage::with_mail(&[("", 3)]).await?;
            stage.back_up_equal(&account).await?;
            let (key, arrival) = stage.at_source(&account, |mailbox| -> Result<_> {
                let inbox = folder(mailbox, "Inbox")?;
                let key = mailbox.deliver(inbox, mail(77).into_bytes().into(), NOW.parse()?)?;
                let view = mailbox.message_views().find(|view| view.key == key);
                Ok((key, view.context("it is there")?.json))
            })??;
            let removal = json!({"id": arrival["id"], "@removed": {"reason": "deleted"}});
            let mut both = [arrival, removal];
            if !removed_last {
                both.reverse();
            }
            stage.emulator.add_fault(FaultRule {
                set: [("value".to_owned(), json!(both))].into_iter().collect(),
                count: Some(1),
                ..FaultRule::on(&folder_route(&stage, &account, "Inbox", "/messages/delta")?)
            })?;
            if !stays {
                // Its content can still be had, and nothing after that.
                let is_moment = |exchange: &Exchange| exchange.path.ends_with("/$value");
                once(&stage, &account, is_moment, move |mailbox| {
                    mailbox.purge_message(key);
                    Ok(())
                })?;
            }
            let outcome = stage.back_up(&account).await?;
            assert!(outcome.report.failures.is_empty(), "{:?}", outcome.report);
            let last = stage.back_up(&account).await?;
            let newest = last.snapshot.or(outcome.snapshot);
            let held = stage
                .snapshot(&account, newest.context("the cursor moved")?)
                .await?;
            assert_eq!(held, stage.source(&account)?, "{removed_last}, {stays}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn children_may_be_reported_before_their_parents() -> Result<()> {
    // Survival 47: also on earlier pages, and of a tree that was turned over.
    let (stage, account) = Stage::with_mail(&[("A/B/C", 3), ("A/B", 2), ("A", 1)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (a, b, c) = (
            folder(mailbox, "A")?,
            folder(mailbox, "B")?,
            folder(mailbox, "C")?,
        );
        let archive = folder(mailbox, "Archive")?;
        mailbox.move_folder(c, archive)?;
        mailbox.move_folder(b, c)?;
        mailbox.move_folder(a, b)?;
        Ok(())
    })??;
    let reports = stage.at_source(&account, |mailbox| {
        let views: Vec<_> = mailbox.folder_views().collect();
        let mut turned: Vec<_> = views.iter().filter(|view| view.path.len() > 1).collect();
        turned.sort_by_key(|view| std::cmp::Reverse(view.path.len()));
        let report = |view: &&emulator::FolderView| {
            let parent = &view.path[..view.path.len() - 1];
            let parent = views.iter().find(|other| other.path == parent);
            json!({
                "id": view.id, "displayName": view.path.last(),
                "parentFolderId": parent.map(|parent| &parent.id)
            })
        };
        turned.iter().map(report).collect::<Vec<_>>()
    })?;
    assert!(reports.len() > 2);
    stage.emulator.add_fault(FaultRule {
        set: [("value".to_owned(), json!(reports))].into_iter().collect(),
        count: Some(1),
        ..FaultRule::on("/users/{user}/mailFolders/delta")
    })?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (0, 0));
    assert_eq!(asked.of("GET messages/$value"), 0, "{asked:?}");
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_message_that_waits_for_its_end_counts_as_deleted() -> Result<()> {
    // Survival 90: Graph may still know it by its id, as one of the recoverable items.
    let mut settings = Settings::new(World::new().users(1, 7));
    settings.behaviour.mail.deleted_by_id = true;
    let stage = Stage::start_with(settings).await?;
    let account = stage.accounts().await?.remove(0);
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (key, _) = message(mailbox, "Inbox")?;
        mailbox.delete_message(key, NOW.parse()?)?;
        Ok(())
    })??;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.removed, 1);
    Ok(())
}

#[tokio::test]
async fn a_message_that_moves_during_the_run_is_held_once_and_where_it_is() -> Result<()> {
    // Abuse 43: before and after its folder is read, seen and unseen.
    for (from, to) in [("A", "B"), ("B", "A")] {
        for lost in [true, false] {
            let (stage, account) = Stage::with_mail(&[("A", 3), ("B", 3)]).await?;
            stage.back_up_equal(&account).await?;
            for name in ["A", "B"] {
                stage.emulator.add_fault(FaultRule {
                    delay_ms: if name == "A" { 0 } else { 100 },
                    ..FaultRule::on(&folder_route(&stage, &account, name, "/messages/delta")?)
                })?;
            }
            let is_moment = reads(&stage, &account, "A")?;
            once(&stage, &account, is_moment, move |mailbox| {
                let (key, _) = message(mailbox, from)?;
                let target = folder(mailbox, to)?;
                mailbox.move_message(key, target, lost, NOW.parse()?)?;
                Ok(())
            })?;
            // It may be noticed in this run or in the next; it is never lost in between.
            let outcome = stage.back_up(&account).await?;
            assert_eq!((outcome.report.added, outcome.report.removed), (0, 0));
            stage.on_exchange(|_| ());
            let last = stage.back_up(&account).await?;
            let newest = last.snapshot.or(outcome.snapshot);
            let held = stage
                .snapshot(&account, newest.context("it was noticed")?)
                .await?;
            assert_eq!(held, stage.source(&account)?, "{from} to {to}, {lost}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_changes_between_its_report_and_its_fetch_is_right_in_the_end() -> Result<()>
{
    // Abuse 42: the JSON is older than the MIME; the change is reported next.
    let (stage, account) = Stage::with_mail(&[("", 5)]).await?;
    stage.back_up_equal(&account).await?;
    let (_, id) = stage.at_source(&account, |mailbox| message(mailbox, "Inbox"))??;
    let change = json!({"importance": "high"});
    stage.patch(&account, &id, &change).await?;
    stage.emulator.add_fault(FaultRule {
        delay_ms: 50,
        ..FaultRule::on(MIME)
    })?;
    let is_moment = |exchange: &Exchange| exchange.path.ends_with("/$value");
    once(&stage, &account, is_moment, |mailbox| {
        let (key, _) = message(mailbox, "Inbox")?;
        let archive = folder(mailbox, "Archive")?;
        mailbox.move_message(key, archive, false, NOW.parse()?)?;
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(inbox, mail(77).into_bytes().into(), NOW.parse()?)?;
        Ok(())
    })?;
    stage.back_up(&account).await?;
    stage.back_up_equal(&account).await?;
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    Ok(())
}

#[tokio::test]
async fn search_folders_are_left_out_and_hidden_ones_are_not() -> Result<()> {
    // Survival 89, 92.
    let (stage, account) = Stage::with_mail(&[("", 1), ("Projects/Inner", 1)]).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let archive = folder(mailbox, "Archive")?;
        for name in ["folder", "a/b", "a:b", "..", "2026-11~0", "deep~0", "CON"] {
            let key = mailbox.create_folder(archive, name, name == "folder")?;
            mailbox.deliver(key, mail(7).into_bytes().into(), NOW.parse()?)?;
        }
        Ok(())
    })??;
    stage.emulator.add_fault(FaultRule {
        set: [(
            "value".to_owned(),
            json!([{
                "@odata.type": "#microsoft.graph.mailSearchFolder",
                "id": "search=", "displayName": "Unread", "childFolderCount": 0
            }]),
        )]
        .into_iter()
        .collect(),
        ..FaultRule::on(&folder_route(
            &stage,
            &account,
            "Projects",
            "/childFolders",
        )?)
    })?;
    let outcome = stage.back_up(&account).await?;
    assert!(outcome.report.is_complete(), "{:?}", outcome.report);
    stage.emulator.clear_faults();
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    let names: Vec<_> = archive.folders().iter().map(|f| &f.display_name).collect();
    assert!(!names.iter().any(|name| *name == "Unread"), "{names:?}");
    for name in ["folder", "a/b", "a:b", "..", "2026-11~0", "deep~0", "CON"] {
        let mut folders = archive.folders().iter();
        let found = folders.find(|folder| folder.display_name == name);
        let found = found.with_context(|| format!("{name} is held"))?;
        assert_eq!((found.messages, found.hidden), (1, name == "folder"));
    }
    stage.restic_agrees(&account)
}
