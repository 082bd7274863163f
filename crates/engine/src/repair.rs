//! Mends an account's repository as far as it can be, and sees to it that the rest is fetched again.
//!
//! The repository makes its index anew from the packs and saves what is sound. What is lost then is in no index any more, so that it is stored when
//! it comes again. Of the newest restore point it is located, message by message, and noted in a new one, tagged partial: the next backup fetches
//! just that. The same bytes have the same names, which makes older restore points whole, too.

use std::collections::HashSet;

use repository::{
    BlobId, Damage, Progress, RepairOptions, RepairReport, Repository, SnapshotId, Subject,
};
use workload::mail::repair as mail;

use crate::{
    Account, Error, Result,
    backup::meta,
    head::Head,
    open::{self, Local},
};

/// What was found and done.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What became of the stored objects.
    pub repository: RepairReport,
    /// What the next backup fetches again.
    pub fetched_again: mail::Report,
    /// The restore point in which that is noted.
    pub snapshot: Option<SnapshotId>,
}

impl Outcome {
    /// What only older restore points need, so that no backup brings it back for their sake.
    pub fn lost_for_good(&self) -> impl Iterator<Item = &Damage> {
        let newest: HashSet<Subject> = self
            .fetched_again
            .blobs
            .iter()
            .copied()
            .flat_map(|id| [Subject::Content(id), Subject::Tree(id)])
            .collect();
        let everything = self.fetched_again.everything;
        let lost = self.repository.lost.iter();
        lost.filter(move |damage| !everything && !newest.contains(&damage.what))
    }
}

/// Repairs the account's repository; only says what would be done, for a rehearsal. `progress` is told after each pack that was read.
///
/// # Errors
/// When the repository cannot be opened or written, or somebody else is at work in it.
pub async fn run(
    local: Local<'_>,
    account: &Account,
    rehearsal: bool,
    progress: impl FnMut(Progress) + Send,
) -> Result<Outcome> {
    let repository = open::as_stored(local, account).await?;
    let options = RepairOptions { dry_run: rehearsal };
    let report = repository
        .repair(options, progress)
        .await
        .map_err(Error::repository("the repository could not be repaired"))?;
    let outcome = note_lost(local, account, &repository, report, rehearsal).await;
    if !rehearsal {
        // Only now, so that whoever worked meanwhile leaves nothing there that is older than the repair.
        local.vault.forget_cache(&account.id)?;
    }
    outcome
}

/// Notes in a new restore point what of the newest one is lost.
async fn note_lost(
    local: Local<'_>,
    account: &Account,
    repository: &Repository,
    report: RepairReport,
    rehearsal: bool,
) -> Result<Outcome> {
    let mut outcome = Outcome {
        repository: report,
        ..Outcome::default()
    };
    let lost: HashSet<BlobId> = outcome.repository.lost.iter().filter_map(blob).collect();
    if lost.is_empty() {
        return Ok(outcome);
    }
    let head = Head::read(repository).await?;
    let Some((id, snapshot)) = &head.parent else {
        return Ok(outcome);
    };
    let draft = repository.draft_from(Some((*id, snapshot)));
    let now = local.clock.now();
    let (fetched_again, draft) =
        match mail::run(draft, &account.tenant, &account.id, &lost, now).await {
            Ok(done) => done,
            // Without its root directory nothing of it can be told: the next backup makes everything anew.
            Err(error) if is_damage(&error) => {
                outcome.fetched_again.everything = true;
                return Ok(outcome);
            }
            Err(error) => return Err(Error::workload("what is lost could not be noted")(error)),
        };
    outcome.fetched_again = fetched_again;
    if !rehearsal {
        // A backup that began before the repair, and writes after it, has the next number and knows nothing of what is lost.
        let token = head.next_token() + 1;
        let meta = meta(account, token, head.last, now, true);
        outcome.snapshot = draft
            .commit(meta)
            .await
            .map_err(Error::repository("what is lost could not be noted"))?;
    }
    Ok(outcome)
}

fn blob(damage: &Damage) -> Option<BlobId> {
    match damage.what {
        Subject::Content(id) | Subject::Tree(id) => Some(id),
        _ => None,
    }
}

fn is_damage(error: &workload::Error) -> bool {
    matches!(error, workload::Error::Repository { source, .. } if source.kind() == repository::Kind::Corrupt)
        || error.kind() == workload::Kind::Corrupt
}
