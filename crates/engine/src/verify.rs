//! Reads a whole repository again and says whether it is sound.

use repository::{Progress, VerifyReport};

use crate::{
    Account, Error, Result,
    open::{self, Local},
};

/// Reads every byte of the account's repository and compares it with the hashes that it is stored under. `progress` is told after each pack.
///
/// # Errors
/// When the repository cannot be opened. What is damaged in it is in the report.
pub async fn run(
    local: Local<'_>,
    account: &Account,
    progress: impl FnMut(Progress) + Send,
) -> Result<VerifyReport> {
    let repository = open::as_stored(local, account).await?;
    repository
        .verify(progress)
        .await
        .map_err(Error::repository("the repository could not be read"))
}
