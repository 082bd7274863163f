//! What happens to messages and folders between two runs, one thing at a time, with the requests that it may cost.

use anyhow::{Context, Result};
use repository::SnapshotMeta;
use serde_json::json;

use crate::{
    stage::{Stage, mail},
    tools::{folder, message},
};

#[tokio::test]
async fn a_first_run_costs_hardly_more_than_a_request_a_message() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 300), ("Projects", 300)]).await?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 600);
    assert!(
        asked.total() as f64 <= 1.05 * 600.0,
        "{} requests: {asked:?}",
        asked.total()
    );
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn marks_cost_no_mime() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 5)]).await?;
    stage.back_up_equal(&account).await?;
    let (_, id) = stage.at_source(&account, |mailbox| message(mailbox, "Inbox"))??;
    stage.patch(&account, &id, &json!({"isRead": true, "categories": ["Red category"], "flag": {"flagStatus": "flagged"}})).await?;
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.marked, outcome.report.changed), (1, 0));
    assert_eq!(asked.of("GET messages/$value"), 0, "{asked:?}");
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    let at = archive
        .find(&model::ItemId::new(id)?)
        .await?
        .context("it is held")?;
    let json: serde_json::Value = serde_json::from_str(archive.message(&at).await?.json.get())?;
    assert_eq!(
        (&json["isRead"], &json["categories"]),
        (&json!(true), &json!(["Red category"]))
    );
    Ok(())
}

#[tokio::test]
async fn a_folder_that_moves_and_is_renamed_takes_its_mail_along_unread() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("Old/Inner", 5), ("Old", 5), ("Other", 1)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (old, other) = (folder(mailbox, "Old")?, folder(mailbox, "Other")?);
        mailbox.rename_folder(old, "New")?;
        mailbox.move_folder(old, other)?;
        Ok(())
    })??;
    // Survival 48: its messages are not reported, and need not be.
    let (outcome, asked) = stage.back_up_equal(&account).await?;
    assert_eq!(
        (
            outcome.report.added,
            outcome.report.changed,
            outcome.report.removed
        ),
        (0, 0, 0)
    );
    assert_eq!(asked.of("GET messages/$value"), 0);
    let archive = stage
        .archive(&account, outcome.snapshot.context("it made one")?)
        .await?;
    let inner = archive
        .folders()
        .iter()
        .find(|folder| folder.display_name == "Inner")
        .context("it is held")?;
    assert!(
        inner.directory.starts_with("Mail/Other~") && inner.directory.contains("/New~"),
        "{}",
        inner.directory
    );
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn a_folder_changes_places_with_its_parent() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("A/B", 3), ("A", 3)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
        let top = folder(mailbox, "Archive")?;
        mailbox.move_folder(b, top)?;
        mailbox.move_folder(a, b)?;
        Ok(())
    })??;
    stage.back_up_equal(&account).await?;
    Ok(())
}

#[tokio::test]
async fn a_folder_deleted_and_made_anew_under_the_same_name_is_another_folder() -> Result<()> {
    // Survival 49: also within the same folder.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let parent = folder(mailbox, "Archive")?;
        let old = mailbox.create_folder(parent, "Projects", false)?;
        for n in 1..=4 {
            let now = "2026-11-22T14:00:00Z".parse()?;
            mailbox.deliver(old, mail(n).into_bytes().into(), now)?;
        }
        Ok(())
    })??;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let old = folder(mailbox, "Projects")?;
        let parent = folder(mailbox, "Archive")?;
        mailbox.delete_folder(old, "2026-11-22T15:00:00Z".parse()?)?;
        let new = mailbox.create_folder(parent, "Projects", false)?;
        mailbox.deliver(
            new,
            mail(99).into_bytes().into(),
            "2026-11-22T15:00:00Z".parse()?,
        )?;
        Ok(())
    })??;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!((outcome.report.added, outcome.report.removed), (1, 4));
    Ok(())
}

#[tokio::test]
async fn moves_that_no_folder_reports_lose_nothing() -> Result<()> {
    // Survival 59: A→B and A→B→A with immutable ids, reported only as removed from A.
    for and_back in [false, true] {
        let (stage, account) = Stage::with_mail(&[("A", 3), ("B", 3)]).await?;
        stage.back_up_equal(&account).await?;
        stage.at_source(&account, |mailbox| -> Result<()> {
            let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
            let (key, _) = message(mailbox, "A")?;
            let now = "2026-11-22T15:00:00Z".parse()?;
            mailbox.move_message(key, b, true, now)?;
            if and_back {
                mailbox.move_message(key, a, true, now)?;
            }
            Ok(())
        })??;
        let (outcome, asked) = stage.back_up_equal(&account).await?;
        assert_eq!(outcome.report.removed, 0);
        assert_eq!(
            outcome.report.doubts_asked, 1,
            "one request for a message in doubt"
        );
        assert_eq!(
            asked.of("GET messages/$value"),
            0,
            "and none for its content"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_arrived_and_moved_unseen_is_found() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("A", 1), ("B", 1)]).await?;
    stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let (a, b) = (folder(mailbox, "A")?, folder(mailbox, "B")?);
        let now = "2026-11-22T15:00:00Z".parse()?;
        let key = mailbox.deliver(a, mail(7).into_bytes().into(), now)?;
        mailbox.move_message(key, b, true, now)?;
        Ok(())
    })??;
    let (outcome, _) = stage.back_up_equal(&account).await?;
    assert_eq!(outcome.report.added, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_leaves_the_next_snapshot_and_stays_in_the_last() -> Result<()> {
    let (stage, account) = Stage::with_mail(&[("", 6)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    let before = stage.source(&account)?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let keys: Vec<_> = mailbox
            .message_views()
            .map(|message| message.key)
            .take(4)
            .collect();
        // One is recoverable for a while, the others are gone for good.
        mailbox.delete_message(keys[0], "2026-11-22T15:00:00Z".parse()?)?;
        keys[1..].iter().for_each(|key| mailbox.purge_message(*key));
        Ok(())
    })??;
    let (second, _) = stage.back_up_equal(&account).await?;
    assert_eq!(second.report.removed, 4);
    let first = first.snapshot.context("it made one")?;
    assert_eq!(stage.snapshot(&account, first).await?, before);
    stage.restic_agrees(&account)
}

#[tokio::test]
async fn snapshots_follow_one_another_also_when_the_clock_stands_still() -> Result<()> {
    // Abuse 53: stock restic takes the latest by its time.
    let (stage, account) = Stage::with_mail(&[("", 2)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        mailbox.deliver(
            inbox,
            mail(9).into_bytes().into(),
            "2026-11-22T14:05:00Z".parse()?,
        )?;
        Ok(())
    })??;
    let (second, _) = stage.back_up_equal(&account).await?;
    let snapshots = stage.repository(&account).await?.snapshots().await?;
    let ids: Vec<_> = snapshots.iter().map(|(id, _)| Some(*id)).collect();
    assert_eq!(ids, [first.snapshot, second.snapshot]);
    assert!(snapshots[0].1.time < snapshots[1].1.time);
    Ok(())
}

#[tokio::test]
async fn a_run_that_came_late_with_a_wrong_clock_is_not_the_latest() -> Result<()> {
    // Abuse 53: it began before the others, and its snapshot says that it is of next year.
    let (stage, account) = Stage::with_mail(&[("", 2)]).await?;
    let (first, _) = stage.back_up_equal(&account).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let inbox = folder(mailbox, "Inbox")?;
        let now = "2026-11-22T14:05:00Z".parse()?;
        mailbox.deliver(inbox, mail(9).into_bytes().into(), now)?;
        Ok(())
    })??;
    let (second, _) = stage.back_up_equal(&account).await?;
    let repository = stage.repository(&account).await?;
    let mut draft = repository.draft(first.snapshot).await?;
    draft.make_dir("late").await?;
    let meta = SnapshotMeta {
        time: "2027-11-22T14:05:00Z".parse()?,
        hostname: account.id.to_string(),
        username: "keepwell".to_owned(),
        tags: vec!["token-1".to_owned()],
        paths: vec!["/".to_owned()],
    };
    draft.commit(meta).await?.context("it is another")?;
    let snapshots = repository.snapshots().await?;
    let latest = engine::snapshots::latest(&snapshots).map(|(id, _)| *id);
    assert_eq!((snapshots.len(), latest), (3, second.snapshot));
    let archive = engine::restore::archive(stage.setting(), &account, None).await?;
    let held: u64 = archive.folders().iter().map(|one| one.messages).sum();
    assert_eq!(held, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_are_held_as_deep_as_exchange_lets_them_go() -> Result<()> {
    // Survival 88: 300 levels, and nothing that recurses gives out.
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.at_source(&account, |mailbox| -> Result<()> {
        let now = "2026-11-22T15:00:00Z".parse()?;
        let mut parent = folder(mailbox, "Inbox")?;
        while let Ok(child) = mailbox.create_folder(parent, "x", false) {
            parent = child;
        }
        mailbox.deliver(parent, mail(9).into_bytes().into(), now)?;
        Ok(())
    })??;
    let (outcome, _) = tokio::spawn(async move {
        let outcome = stage.back_up_equal(&account).await?;
        let report = engine::verify::run(stage.setting().local(), &account, |_| ()).await?;
        assert!(report.is_sound(), "{:?}", report.damage);
        stage.restic_agrees(&account)?;
        anyhow::Ok(outcome)
    })
    .await??;
    assert!(outcome.report.folders > 300, "{}", outcome.report.folders);
    Ok(())
}
