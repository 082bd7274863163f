//! What tests do to the source between and during runs, and to snapshots.

use anyhow::{Context, Result};
use emulator::{FaultRule, FolderKey, Mailbox, MessageKey};
use engine::Account;
use repository::SnapshotMeta;

use crate::stage::Stage;

pub(crate) const MIME: &str = "/users/{user}/messages/{message}/$value";
pub(crate) const MESSAGE: &str = "/users/{user}/messages/{message}";
pub(crate) const DELTA: &str = "/users/{user}/mailFolders/{folder}/messages/delta";
pub(crate) const NOW: &str = "2026-11-22T15:00:00Z";

pub(crate) fn folder(mailbox: &Mailbox, name: &str) -> Result<FolderKey> {
    let mut folders = mailbox.folder_views();
    let found = folders.find(|folder| folder.path.last().is_some_and(|last| last == name));
    Ok(found
        .with_context(|| format!("there is a folder {name}"))?
        .key)
}

pub(crate) fn error(route: &str, status: u16, code: &str) -> FaultRule {
    FaultRule {
        status: Some(status),
        code: Some(code.to_owned()),
        ..FaultRule::on(route)
    }
}

/// The path of one folder at Graph, as a pattern for fault rules.
pub(crate) fn folder_route(
    stage: &Stage,
    account: &Account,
    name: &str,
    rest: &str,
) -> Result<String> {
    let id = stage.at_source(account, |mailbox| {
        let mut folders = mailbox.folder_views();
        folders
            .find(|folder| folder.path.last().is_some_and(|last| last == name))
            .map(|folder| folder.id)
    })?;
    Ok(format!(
        "/v1.0/users/*/mailFolders/{}{rest}",
        graph::segment(&id.with_context(|| format!("there is a folder {name}"))?)
    ))
}

/// Makes the snapshot of the newest one with `change` made to it, as a customer with restic might.
pub(crate) async fn tamper(
    stage: &Stage,
    account: &Account,
    change: impl AsyncFnOnce(&mut repository::Draft) -> Result<()>,
) -> Result<()> {
    let repository = stage.repository(account).await?;
    let snapshots = repository.snapshots().await?;
    let (id, latest) = engine::snapshots::latest(&snapshots).context("there is a snapshot")?;
    let mut draft = repository.draft(Some(*id)).await?;
    change(&mut draft).await?;
    let meta = SnapshotMeta {
        time: latest.time,
        hostname: latest.hostname.clone(),
        username: latest.username.clone(),
        tags: vec!["token-1000".to_owned()],
        paths: latest.paths.clone(),
    };
    draft.commit(meta).await?.context("something was changed")?;
    // A run of ours would go on from what it noted itself, for a day.
    std::fs::remove_dir_all(stage.vault.root().join("cache"))?;
    Ok(())
}

/// The first message of a folder: its number and its immutable id.
pub(crate) fn message(mailbox: &Mailbox, name: &str) -> Result<(MessageKey, String)> {
    let home = folder(mailbox, name)?;
    let mut views = mailbox.message_views();
    let found = views.find(|view| mailbox.message_home(view.key) == Some(home));
    found
        .map(|message| (message.key, message.id))
        .context("the folder holds a message")
}
