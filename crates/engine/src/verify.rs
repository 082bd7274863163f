//! Reads a whole repository again and says whether it is sound.

use model::SharedClock;
use repository::{Repository, VerifyReport};

use crate::{Account, Error, Result, Vault};

/// Opens the account's repository.
///
/// # Errors
/// When it is not there, the password does not fit, or it cannot be read.
pub async fn open(
    vault: &Vault,
    account: &Account,
    clock: &SharedClock,
    instance: &str,
) -> Result<Repository> {
    let storage = repository::Storage::local(vault.repository_path(&account.id)).map_err(
        Error::repository("the repository's folder could not be opened"),
    )?;
    let password = vault.password(&account.id)?;
    Repository::open(storage, &password, options(clock, instance))
        .await
        .map_err(Error::repository("the repository could not be opened"))
}

/// Reads every byte of the account's repository and compares it with the hashes that it is stored under.
///
/// # Errors
/// When the repository cannot be opened. What is damaged in it is in the report.
pub async fn run(
    vault: &Vault,
    account: &Account,
    clock: &SharedClock,
    instance: &str,
) -> Result<VerifyReport> {
    let repository = open(vault, account, clock, instance).await?;
    repository
        .verify(|_| ())
        .await
        .map_err(Error::repository("the repository could not be read"))
}

/// How this process uses repositories.
pub(crate) fn options(clock: &SharedClock, instance: &str) -> repository::Options {
    repository::Options {
        clock: clock.clone(),
        instance: instance.to_owned(),
    }
}
