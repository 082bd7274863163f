//! Opens the repositories of accounts, and makes them.
//!
//! A repository is made once for an account, and the data folder notes which one it is. From then on the account has no other: where it is gone,
//! because a disk is not mounted for instance, nothing is made in its place, and one that was swapped is not taken for it (abuse 30). Everything that
//! works on repositories opens them here.

use std::path::PathBuf;

use model::SharedClock;
use repository::{Kind, Options, Repository};

use crate::{Account, Error, Result, Vault};

/// What is needed to work on repositories.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// The data folder.
    pub vault: &'a Vault,
    /// The time.
    pub clock: &'a SharedClock,
    /// This process, by which it knows its own locks again: short, unique, not personal.
    pub instance: &'a str,
}

/// Opens the account's repository. What the local cache knows of it is not asked again, so that some of these errors can come later.
///
/// # Errors
/// When none was ever made ([`Error::NoSnapshot`]), it is gone ([`Error::Gone`]), another one is in its place ([`Error::OtherRepository`]), the password
/// does not fit, or it cannot be read.
pub async fn existing(local: Local<'_>, account: &Account) -> Result<Repository> {
    match find(local, account, Some(local.vault.cache_path(&account.id))).await? {
        Found::Opened(repository) => Ok(repository),
        Found::NeverMade => Err(Error::NoSnapshot),
    }
}

/// As [`existing`], but as the storage has it: nothing is believed that is only in the local cache.
///
/// # Errors
/// As [`existing`].
pub async fn as_stored(local: Local<'_>, account: &Account) -> Result<Repository> {
    match find(local, account, None).await? {
        Found::Opened(repository) => Ok(repository),
        Found::NeverMade => Err(Error::NoSnapshot),
    }
}

/// Opens the account's repository, which is made if the account never had one.
///
/// # Errors
/// As [`existing`], and when it cannot be made.
pub async fn or_make(local: Local<'_>, account: &Account) -> Result<Repository> {
    match find(local, account, Some(local.vault.cache_path(&account.id))).await? {
        Found::Opened(repository) => Ok(repository),
        Found::NeverMade => make(local, account).await,
    }
}

enum Found {
    Opened(Repository),
    NeverMade,
}

async fn find(local: Local<'_>, account: &Account, cache: Option<PathBuf>) -> Result<Found> {
    let vault = local.vault;
    let known = vault.repository_id(&account.id)?;
    // A disk that is not mounted is noticed at once, also where the cache could do without it.
    if known.is_some() && !vault.has_files(&account.id) {
        return Err(Error::Gone(vault.repository_path(&account.id)));
    }
    let password = vault.password(&account.id)?;
    let opened = Repository::open_with(
        vault.storage(&account.id)?,
        &password,
        options(local, cache),
        vault.keys(),
    )
    .await;
    let repository = match opened {
        Ok(repository) => repository,
        Err(error) if error.kind() == Kind::NotFound => {
            return if vault.has_begun(&account.id) {
                Err(Error::Gone(vault.repository_path(&account.id)))
            } else {
                Ok(Found::NeverMade)
            };
        }
        Err(error) if error.kind() == Kind::Unauthorized => {
            return Err(Error::repository(
                "the repository is another one, or the recovery key or the account's file is another's",
            )(error));
        }
        Err(error) => {
            return Err(Error::repository("the repository could not be opened")(
                error,
            ));
        }
    };
    match known {
        Some(known) if known != repository.id() => {
            Err(Error::OtherRepository(vault.repository_path(&account.id)))
        }
        Some(_) => Ok(Found::Opened(repository)),
        None => {
            // That it cannot be noted, as on a read-only disk, hinders no reader (abuse 29); the next open does it.
            if let Err(error) = vault.record_repository(&account.id, repository.id()) {
                tracing::debug!(error = %error, "an account's repository could not be noted");
            }
            Ok(Found::Opened(repository))
        }
    }
}

async fn make(local: Local<'_>, account: &Account) -> Result<Repository> {
    let vault = local.vault;
    let password = vault.password(&account.id)?;
    let made = Repository::init(
        vault.storage(&account.id)?,
        &password,
        options(local, Some(vault.cache_path(&account.id))),
    )
    .await;
    let repository = made.map_err(Error::repository("the repository could not be made"))?;
    vault.record_repository(&account.id, repository.id())?;
    Ok(repository)
}

fn options(local: Local<'_>, cache: Option<PathBuf>) -> Options {
    Options {
        cache,
        clock: local.clock.clone(),
        instance: local.instance.to_owned(),
    }
}
