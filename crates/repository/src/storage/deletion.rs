//! Deleting what others may still be told of: a refusal is no failure, and the order of deletions must survive a loss of power.

use std::{error::Error as StdError, io};

use object_store::ObjectStoreExt;

use super::{ObjectKind, Storage, failed_to};
use crate::{error::Result, id::ObjectId};

impl Storage {
    /// Removes an object, or finds it gone. False when the storage denies it: the object is under Object Lock, the disk is read-only, or we
    /// may only add (abuse 24).
    pub(crate) async fn try_delete(&self, kind: ObjectKind, id: ObjectId) -> Result<bool> {
        match self.store().await?.delete(&kind.path(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) if is_denial(&error) => {
                tracing::info!(object.kind = %kind, object.id = %id, error = %error, "the storage denied a deletion");
                Ok(false)
            }
            Err(error) => Err(failed_to("delete an object")(error)),
        }
    }

    /// Makes sure that deletions of this kind are on the disk before anything else is deleted: a local file system may bring back one file and
    /// not the other after a loss of power. Other stores do as they were told when they say so.
    pub(crate) async fn settle_deletions(&self, kind: ObjectKind) -> Result<()> {
        let Some(folder) = self.folder.as_ref() else {
            return Ok(());
        };
        let folder = folder.join(kind.folder());
        let synchronised = tokio::task::spawn_blocking(move || sync_folder(&folder));
        synchronised
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
            .map_err(|source| {
                failed_to("synchronise a folder")(object_store::Error::Generic {
                    store: "folder",
                    source: source.into(),
                })
            })
    }
}

#[cfg(unix)]
fn sync_folder(folder: &std::path::Path) -> io::Result<()> {
    match std::fs::File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "elsewhere folders cannot be synchronised"
)]
fn sync_folder(_folder: &std::path::Path) -> io::Result<()> {
    Ok(())
}

fn is_denial(error: &object_store::Error) -> bool {
    use object_store::Error as Store;
    match error {
        Store::PermissionDenied { .. }
        | Store::Unauthenticated { .. }
        | Store::NotSupported { .. }
        | Store::NotImplemented { .. }
        // A policy that forbids it is a conflict to Azure.
        | Store::AlreadyExists { .. }
        | Store::Precondition { .. } => true,
        error => {
            let first: &dyn StdError = error;
            std::iter::successors(Some(first), |cause| (*cause).source())
                .filter_map(|cause| cause.downcast_ref::<io::Error>())
                .any(|error| {
                    matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    )
                })
        }
    }
}
