//! The order of deletions on the disk: a loss of power may bring back any deleted file whose folder was not synchronised since.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use engine::Vault;
use trials::{
    Deed, Ground,
    strace::{self, Boundary, FILE_CALLS},
};

use crate::support::{can_trace, worker};

/// A snapshot that came back would need what was deleted after it, and an index file would list packs that are gone.
#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_on_the_disk_before_what_they_needed_is_deleted() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let ground = Ground::new().await?;
    let vault = Vault::create(&ground.place("data"))?;
    ground.back_up(&vault).await?;
    ground.go_on().await?;
    ground.back_up(&vault).await?;
    let data = fs::canonicalize(vault.root())?;
    let repository = fs::canonicalize(vault.repository_path(&ground.account.id))?;
    let command = worker().command_line(&ground.errand(&data, Deed::Prune))?;
    let (log, all) = (ground.place("log"), text(&repository)?);
    let traced =
        tokio::task::spawn_blocking(move || strace::boundaries(FILE_CALLS, &all, &log, &command));
    let calls = traced.await??;
    for (needing, needed) in [("snapshots", "index"), ("index", "data")] {
        let from = deletions(&calls, &repository.join(needing))?.last();
        let to = deletions(&calls, &repository.join(needed))?.next();
        let (from, to) = (from.context(needing)?, to.context(needed)?);
        ensure!(from < to, "{needed} before {needing}");
        let folder = format!("<{}>", text(&repository.join(needing))?);
        let synchronised = calls[from..to]
            .iter()
            .any(|it| it.call == "fsync" && it.what.contains(&folder));
        ensure!(synchronised, "{needing}: {:#?}", &calls[from..=to]);
    }
    Ok(())
}

/// Where among the calls something in the folder is deleted.
fn deletions(calls: &[Boundary], folder: &Path) -> Result<impl Iterator<Item = usize>> {
    let below = format!("{}/", text(folder)?);
    let numbered = calls.iter().enumerate();
    Ok(numbered
        .filter(move |(_, it)| it.call.starts_with("unlink") && it.what.contains(&below))
        .map(|(at, _)| at))
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("a path is no Unicode")?;
    Ok(text.to_owned())
}
