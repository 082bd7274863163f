//! Reads a whole repository again and says whether it is sound.

use repository::VerifyReport;

use crate::{
    Account, Error, Result,
    open::{self, Local},
};

/// Reads every byte of the account's repository and compares it with the hashes that it is stored under.
///
/// # Errors
/// When the repository cannot be opened. What is damaged in it is in the report.
pub async fn run(local: Local<'_>, account: &Account) -> Result<VerifyReport> {
    let repository = open::existing(local, account).await?;
    repository
        .verify(|_| ())
        .await
        .map_err(Error::repository("the repository could not be read"))
}
