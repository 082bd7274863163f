//! Opens a restore point and puts messages from it back.

use model::{AccountId, RestoreId};
use repository::SnapshotId;
use workload::mail::{
    Archive,
    restore::{self, Destination, ItemReport, Options, Report, Selection},
};

use crate::{
    Account, Error, Result,
    backup::Setting,
    open::{self, Local},
    snapshots::latest,
};

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The account that the restore point is of.
    pub source: &'a Account,
    /// The account to restore into, in the same tenant.
    pub target: &'a AccountId,
    /// Which messages.
    pub selection: Selection,
    /// Where in the target they go.
    pub destination: Destination,
    /// Names this restore: the same name again adds only what is missing.
    pub restore: RestoreId,
}

/// The account as of a snapshot; as of the last one when none is named.
///
/// # Errors
/// When the repository cannot be read, or has no such snapshot.
pub async fn archive<'a>(
    local: impl Into<Local<'a>>,
    account: &Account,
    snapshot: Option<SnapshotId>,
) -> Result<Archive> {
    let local = local.into();
    match try_archive(local, account, snapshot).await {
        // The cache knew what is no longer so; asked again, the storage says what is there.
        Err(error) if error.is_outdated() => try_archive(local, account, snapshot).await,
        opened => opened,
    }
}

async fn try_archive(
    local: Local<'_>,
    account: &Account,
    snapshot: Option<SnapshotId>,
) -> Result<Archive> {
    const WHAT: &str = "the restore point could not be read";
    let repository = open::existing(local, account).await?;
    let tree = match snapshot {
        Some(id) => repository
            .snapshot(id)
            .await
            .map_err(Error::repository(WHAT))?
            .map(|snapshot| snapshot.tree),
        None => {
            let snapshots = repository
                .snapshots()
                .await
                .map_err(Error::repository(WHAT))?;
            latest(&snapshots).map(|(_, snapshot)| snapshot.tree)
        }
    };
    let view = repository.view(tree.ok_or(Error::NoSnapshot)?);
    Archive::open(view).await.map_err(Error::workload(WHAT))
}

/// Restores. `progress` is told of every message once.
///
/// # Errors
/// When nothing can be restored at all. What concerns single messages is in the report.
pub async fn run(
    setting: Setting<'_>,
    archive: &Archive,
    order: &Order<'_>,
    progress: &(dyn Fn(&ItemReport) + Sync),
) -> Result<Report> {
    let options = Options {
        restore: order.restore.clone(),
        source: order.source.id.clone(),
        destination: order.destination.clone(),
    };
    restore::run(
        setting.graph,
        order.target,
        archive,
        &order.selection,
        &options,
        &**setting.clock,
        progress,
    )
    .await
    .map_err(Error::workload("the messages could not be restored"))
}
