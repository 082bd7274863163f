//! A mailbox's archive, made as the product makes it: a backup into a repository, read back.

use std::sync::Arc;

use anyhow::{Context, Result};
use repository::{Options, Repository, SnapshotMeta, Storage};
use workload::mail::{
    Archive,
    backup::{self, Checkpoint, CheckpointFuture, Limits, Progress},
};

use super::stage::Stage;

/// Backs the mailbox up into a repository of its own and opens the snapshot.
pub(crate) async fn archive_of(stage: &Stage, alias: &str) -> Result<Archive> {
    let storage = Storage::local(stage.new_folder()?)?;
    let options = Options {
        clock: Arc::clone(&stage.clock),
        instance: "test".to_owned(),
        cache: None,
    };
    let repository = Repository::init(storage, "password", options).await?;
    let account = stage.account(alias)?;
    let context = backup::Context {
        graph: &stage.client,
        tenant: &stage.tenant,
        account: &account,
        clock: &*stage.clock,
        progress: &Progress::default(),
        checkpoint: &NoCheckpoint,
        limits: Limits::default(),
    };
    let (report, draft) = backup::run(context, repository.draft(None).await?).await?;
    anyhow::ensure!(
        report.is_complete(),
        "the backup is not complete: {report:?}"
    );
    let meta = SnapshotMeta {
        time: stage.clock.now(),
        hostname: "test".to_owned(),
        username: "test".to_owned(),
        tags: Vec::new(),
        paths: vec!["/".to_owned()],
    };
    let snapshot = draft
        .commit(meta)
        .await?
        .context("the mailbox is not empty")?;
    let snapshot = repository
        .snapshot(snapshot)
        .await?
        .context("it was just made")?;
    Ok(Archive::open(repository.view(snapshot.tree)).await?)
}

struct NoCheckpoint;

impl Checkpoint for NoCheckpoint {
    fn take<'a>(&'a self, _: &'a mut repository::Draft) -> CheckpointFuture<'a> {
        Box::pin(async { Ok(()) })
    }
}
