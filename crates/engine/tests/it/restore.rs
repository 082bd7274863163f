//! Restores of an earlier snapshot, after the source has gone on without it, compared with the source as it was then.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use emulator::World;
use engine::{
    Account,
    restore::{self, Order},
};
use graph::{Request, Scope, segment};
use model::RestoreId;
use repository::SnapshotId;
use serde_json::{Value, json};
use workload::mail::restore::{Destination, Report, Selection};

use crate::stage::{Stage, mail};

/// The folder that is restored into.
const NEW: &str = "Restored";
/// What is compared besides the folder and the attachments; `docs/fidelity.md` says what else comes back.
const FIELDS: [&str; 10] = [
    "subject",
    "body",
    "from",
    "toRecipients",
    "ccRecipients",
    "isRead",
    "isDraft",
    "flag",
    "categories",
    "receivedDateTime",
];

/// Messages as people see them, each with how many there are of it: restored ones have other ids.
type Shown = BTreeMap<String, usize>;

/// What the account's mailbox shows below the folder of that path.
async fn shown(stage: &Stage, account: &Account, top: &[&str]) -> Result<Shown> {
    let (folders, messages) = stage.at_source(account, |mailbox| {
        let folders = mailbox.folder_views().map(|view| (view.id, view.path));
        (
            folders.collect::<BTreeMap<_, _>>(),
            mailbox.message_views().collect::<Vec<_>>(),
        )
    })?;
    let mut shown = Shown::new();
    for message in messages {
        let path = folders
            .get(&message.folder_id)
            .context("a message lies in a folder")?;
        let Some(path) = path
            .get(top.len()..)
            .filter(|_| path.starts_with(&own(top)))
        else {
            continue;
        };
        let fields: Value = FIELDS
            .iter()
            .map(|name| ((*name).to_owned(), message.json[name].clone()))
            .collect();
        let attachments = attachments(stage, account, &message.id).await?;
        let line = json!([path, fields, attachments]).to_string();
        *shown.entry(line).or_default() += 1;
    }
    Ok(shown)
}

fn own(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

/// Names and bytes of a message's attachments; of an attached message its subject and text.
async fn attachments(stage: &Stage, account: &Account, message: &str) -> Result<Vec<String>> {
    let scope = Scope::Outlook {
        mailbox: account.id.clone(),
    };
    let path = format!(
        "/users/{}/messages/{}/attachments",
        segment(account.id.as_str()),
        segment(message)
    );
    let request = Request::get(path).query("$expand", "microsoft.graph.itemAttachment/item");
    let mut pages = stage.graph.pages(&scope, request);
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        for attachment in &page.items {
            let it: Value = serde_json::from_str(attachment.get())?;
            let item = [&it["item"]["subject"], &it["item"]["body"]];
            found.push(json!([it["name"], it["contentBytes"], item]).to_string());
        }
    }
    found.sort();
    Ok(found)
}

/// Restores the whole mailbox as of `snapshot`, and fails if a message does or loses something.
async fn restored(
    stage: &Stage,
    source: &Account,
    target: &Account,
    snapshot: SnapshotId,
    destination: Destination,
) -> Result<Report> {
    let setting = stage.setting();
    let archive = restore::archive(setting, source, Some(snapshot)).await?;
    let order = Order {
        source,
        target: &target.id,
        selection: Selection::Mailbox,
        destination,
        restore: RestoreId::new("r1")?,
    };
    let report = restore::run(setting, &archive, &order, &|_| {}).await?;
    ensure!(
        report.is_complete() && report.notable.is_empty(),
        "{report:?}"
    );
    Ok(report)
}

/// Every third message is gone for good, one of those left is marked as read or as unread, and one arrives.
async fn go_on(stage: &Stage, account: &Account) -> Result<()> {
    let kept = stage.at_source(account, |mailbox| -> Result<_> {
        let inbox = mailbox
            .folder_views()
            .find(|folder| folder.well_known == Some("inbox"))
            .context("every mailbox has one")?
            .key;
        let messages: Vec<_> = mailbox.message_views().collect();
        for message in messages.iter().step_by(3) {
            mailbox.purge_message(message.key);
        }
        mailbox.deliver(
            inbox,
            mail(7).into_bytes().into(),
            "2026-11-22T15:00:00Z".parse()?,
        )?;
        Ok(messages.into_iter().nth(1))
    })??;
    let kept = kept.context("the mailbox has mail")?;
    let read = kept.json["isRead"] == true;
    stage
        .patch(account, &kept.id, &json!({ "isRead": !read }))
        .await
}

/// What `all` has more of than `some`, by the message.
fn more(all: &Shown, some: &Shown) -> Vec<String> {
    let missing = all
        .iter()
        .filter(|(line, count)| some.get(*line).is_none_or(|there| there < count));
    missing.map(|(line, _)| line.clone()).collect()
}

/// Survival 191, 192: the first of two snapshots, into another account and into its own.
#[tokio::test]
async fn the_first_snapshot_comes_back_as_the_source_was_then() -> Result<()> {
    let stage = Stage::start(World::new().users(2, 7)).await?;
    let mut accounts = stage.accounts().await?;
    let (other, account) = (accounts.remove(1), accounts.remove(0));
    let (first, _) = stage.back_up_equal(&account).await?;
    let then = shown(&stage, &account, &[]).await?;
    go_on(&stage, &account).await?;
    let (second, _) = stage.back_up_equal(&account).await?;
    assert!(second.report.removed > 0, "{:?}", second.report);
    let first = first.snapshot.context("it made one")?;
    let now = shown(&stage, &account, &[]).await?;
    let gone = more(&then, &now);
    assert!(gone.len() > 5, "the source went on: {}", gone.len());
    assert!(
        gone.iter().any(|line| !line.ends_with("[]]")),
        "also without messages that have attachments"
    );

    let new_folder = || Destination::NewFolder {
        name: NEW.to_owned(),
    };
    let others = shown(&stage, &other, &[]).await?;
    let report = restored(&stage, &account, &other, first, new_folder()).await?;
    assert_eq!(report.restored as usize, then.values().sum::<usize>());
    let back = shown(&stage, &other, &[NEW]).await?;
    assert_eq!(
        (more(&then, &back), more(&back, &then)),
        (vec![], vec![]),
        "in a new folder of another account"
    );
    let beside = shown(&stage, &other, &[]).await?;
    assert_eq!(more(&others, &beside), [""; 0], "and what it had is there");

    let report = restored(&stage, &account, &account, first, Destination::InPlace).await?;
    let back = shown(&stage, &account, &[]).await?;
    assert_eq!(
        more(&now, &back),
        [""; 0],
        "nothing of what is there changes"
    );
    let left_out = more(&then, &back);
    assert_eq!(
        left_out.len(),
        1,
        "the one that was read since is left as it is: {left_out:?}"
    );
    assert_eq!(
        back.values().sum::<usize>(),
        then.values().sum::<usize>() + 1,
        "each message once, and the one that arrived"
    );
    assert_eq!(report.restored as usize + 1, gone.len());

    for (target, destination) in [(&other, new_folder()), (&account, Destination::InPlace)] {
        let before = stage.source(target)?;
        let again = restored(&stage, &account, target, first, destination).await?;
        assert_eq!(
            (again.restored, again.folders_created),
            (0, 0),
            "the same order again: {again:?}"
        );
        assert!(stage.source(target)? == before, "nothing new");
    }
    Ok(())
}
