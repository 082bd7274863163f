//! Failures: what is not in the backup, and why. One account's are in `account`.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{
    AccountFilter, AccountKey, AccountSort, Direction, FailureId, Job, LastResult, Task, TaskId,
};
use model::FailureCause;
use serde::Deserialize;
use service::JobReport;

mod account;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    words::{Outcome, Pill, When, count, noun},
};

/// Rows of a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    shell: Shell,
    sentence: String,
    causes: Vec<CauseRow>,
    /// Whether anything was ever backed up, so that there could be failures.
    has_backups: bool,
    failed: Vec<FailedRow>,
    /// Tasks with accounts that failed.
    again: Vec<Again>,
    /// Tasks of which more accounts failed than are listed.
    more_failed: Vec<More>,
    accounts: Vec<AccountRow>,
    /// Tasks of which more accounts have failures than are listed.
    more_accounts: Vec<More>,
}

/// Where the accounts of a task are that have no room here.
struct More {
    words: String,
    href: String,
}

impl More {
    /// Nothing when all are listed.
    fn of(task: &Task, listed: usize, all: u64, show: &str) -> Option<Self> {
        (all > listed as u64).then(|| Self {
            words: format!(
                "{} of {} of {} are listed here.",
                count(listed as u64),
                noun(all, "account", "accounts"),
                task.name
            ),
            href: format!("/tasks/{}?show={show}", task.id),
        })
    }
}

/// All accounts of a task that failed can be tried again.
struct Again {
    task: TaskId,
    words: String,
}

struct CauseRow {
    words: &'static str,
    remedy: &'static str,
    items: String,
}

struct AccountRow {
    key: AccountKey,
    name: String,
    address: String,
    task: TaskId,
    task_name: String,
    result: Outcome,
    failures: String,
}

/// An account of which nothing could be copied.
struct FailedRow {
    key: AccountKey,
    name: String,
    address: String,
    task: TaskId,
    task_name: String,
    why: Why,
    tried: Option<When>,
}

#[derive(Deserialize)]
pub(crate) struct View {
    account: Option<AccountKey>,
    after: Option<FailureId>,
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    if let Some(key) = view.account {
        return account::show(&state, &signed, key, view.after).await;
    }
    let of = &signed.organization;
    let now = state.clock().now();
    let totals = async { Ok(of.account_totals(now).await?) };
    let by_cause = async { Ok(of.failures_by_cause().await?) };
    let (totals, by_cause, shell, failed, listed) = tokio::try_join!(
        totals,
        by_cause,
        signed.shell("failures"),
        Failed::find(&signed),
        Listed::find(&signed)
    )?;
    let has_backups = totals.iter().any(|(_, totals)| totals.stored > 0);
    let all: u64 = by_cause.iter().map(|(_, items)| items).sum();
    let causes = by_cause
        .iter()
        .map(|(cause, items)| CauseRow {
            words: words(*cause).0,
            remedy: words(*cause).1,
            items: count(*items),
        })
        .collect();
    let page = Failures {
        shell,
        sentence: match (has_backups, failed.all) {
            (false, 0) => "What could not be copied is listed here, with its cause.".to_owned(),
            _ => sentence(failed.all, all),
        },
        has_backups,
        failed: failed.rows,
        again: failed.again,
        more_failed: failed.more,
        causes,
        accounts: listed.rows,
        more_accounts: listed.more,
    };
    Ok(page::html(&page))
}

fn sentence(accounts: u64, items: u64) -> String {
    let accounts_failed = || noun(accounts, "account", "accounts");
    let items_failed = || noun(items, "item", "items");
    match (accounts, items) {
        (0, 0) => "Everything that was found was copied.".to_owned(),
        (0, _) => format!(
            "{} could not be copied yet. Every run tries again.",
            items_failed()
        ),
        (_, 0) => format!(
            "{} could not be backed up the last time. Their restore points stay.",
            accounts_failed()
        ),
        _ => format!(
            "{} could not be backed up the last time, and {} could not be copied yet. Every run tries again.",
            accounts_failed(),
            items_failed()
        ),
    }
}

/// The accounts whose last backup came to nothing, with the reason.
#[derive(Default)]
struct Failed {
    rows: Vec<FailedRow>,
    again: Vec<Again>,
    more: Vec<More>,
    all: u64,
}

impl Failed {
    async fn find(signed: &Signed) -> Result<Self, Problem> {
        let of = &signed.organization;
        let mut found = Self::default();
        let filter = AccountFilter {
            last_result: Some(LastResult::Failed),
            ..AccountFilter::default()
        };
        for task in of.tasks().await? {
            let all = of.count_accounts(task.id, &filter).await?;
            if all == 0 {
                continue;
            }
            let (sort, direction) = (AccountSort::Name, Direction::Ascending);
            let page = of
                .accounts(task.id, &filter, sort, direction, None, ROWS)
                .await?;
            found.all += all;
            found.again.push(Again {
                task: task.id,
                words: format!("Try again now: {}", task.name),
            });
            found
                .more
                .extend(More::of(&task, page.rows.len(), all, "failed"));
            let keys: Vec<_> = page.rows.iter().map(|account| account.key).collect();
            let mut whys = whys(signed, &keys).await?;
            for account in page.rows {
                found.rows.push(FailedRow {
                    why: whys.remove(&account.key).unwrap_or_else(|| Why::new("")),
                    key: account.key,
                    name: account.name,
                    address: account.address,
                    task: task.id,
                    task_name: task.name.clone(),
                    tried: account.last_attempt_at.map(When),
                });
            }
        }
        if let [only] = &mut found.again[..] {
            only.words = "Try again now".to_owned();
        }
        Ok(found)
    }
}

/// The accounts with failures.
#[derive(Default)]
struct Listed {
    rows: Vec<AccountRow>,
    more: Vec<More>,
}

impl Listed {
    async fn find(signed: &Signed) -> Result<Self, Problem> {
        let of = &signed.organization;
        let mut found = Self::default();
        let failing = AccountFilter {
            failing: true,
            ..AccountFilter::default()
        };
        for task in of.tasks().await? {
            let page = of
                .accounts(
                    task.id,
                    &failing,
                    AccountSort::Name,
                    Direction::Ascending,
                    None,
                    ROWS,
                )
                .await?;
            let all = of.count_accounts(task.id, &failing).await?;
            let more = More::of(&task, page.rows.len(), all, "failures");
            found.more.extend(more);
            found
                .rows
                .extend(page.rows.into_iter().map(|account| AccountRow {
                    key: account.key,
                    name: account.name,
                    address: account.address,
                    task: task.id,
                    task_name: task.name.clone(),
                    result: account.last_result.into(),
                    failures: count(account.failures),
                }));
        }
        Ok(found)
    }
}

/// Why nothing of an account could be copied.
struct Why {
    /// For people, with what to do.
    words: &'static str,
    remedy: &'static str,
    /// What Keepwell noted, which names where it came to nothing.
    noted: String,
}

impl Why {
    fn new(noted: &str) -> Self {
        let (words, remedy) = in_words(noted);
        Self {
            words,
            remedy,
            noted: match noted {
                "" => String::new(),
                noted => crate::problem::sentence(&noted),
            },
        }
    }
}

/// Why the last backups of some accounts came to what they came to; of one without a backup there is nothing.
async fn whys(
    signed: &Signed,
    accounts: &[AccountKey],
) -> Result<HashMap<AccountKey, Why>, Problem> {
    let jobs = signed.organization.last_backups(accounts).await?;
    let why = |job: &Job| {
        let noted = JobReport::from_text(&job.outcome).and_then(|report| report.error);
        Why::new(&noted.unwrap_or_default())
    };
    Ok(jobs.iter().map(|job| (job.account, why(job))).collect())
}

/// What an error says to somebody who does not know Keepwell from inside, and what to do. The codes in it are Microsoft's.
pub(crate) fn in_words(noted: &str) -> (&'static str, &'static str) {
    let has = |text: &str| noted.contains(text);
    if has("not in the data folder") {
        (
            "The backups are not in the data folder",
            "Mount the disk again, then try again. Nothing was made in their place.",
        )
    } else if has("ErrorAccessDenied") || has("status 403") {
        (
            "Microsoft refused access to the mailbox",
            "Look whether a policy of the tenant keeps the app out of this mailbox, then try again.",
        )
    } else if has("MailboxNotEnabledForRESTAPI") || has("status 404") {
        (
            "Microsoft says that there is no such mailbox now",
            "Look whether it still has a licence, then try again. A mailbox that is gone is archived by itself.",
        )
    } else if has("locked by process") {
        (
            "Another program has locked the repository",
            "Wait until it is done, then try again.",
        )
    } else if has("storage failed") {
        (
            "The storage did not answer",
            "Look whether it can be reached, then try again.",
        )
    } else if has("the database could not") {
        (
            "The database did not answer",
            "Look whether it can be reached, then try again.",
        )
    } else if has("Microsoft Graph") {
        (
            "Microsoft did not answer as it should",
            "Nothing: the next run tries again.",
        )
    } else if has("could not be read") || has("could not be written") {
        (
            "A file of the data folder could not be read or written",
            "Look whether its disk is there and has room, then try again.",
        )
    } else {
        (
            "Keepwell could not go on",
            "Try again. If it stays, the log of the server says more.",
        )
    }
}

/// Why a job that is to be tried again waits.
pub(crate) fn reason(noted: &str) -> String {
    if noted.starts_with("Microsoft asks") {
        return noted.to_owned();
    }
    let (words, _) = in_words(noted);
    match words.split_once(' ') {
        // Names keep their capitals.
        Some((first, rest)) if !matches!(first, "Microsoft" | "Keepwell") => {
            format!("{} {rest}", first.to_lowercase())
        }
        _ => words.to_owned(),
    }
}

/// A cause, and what to do about it.
fn words(cause: FailureCause) -> (&'static str, &'static str) {
    match cause {
        FailureCause::AccessDenied => (
            "Microsoft refused access",
            "Look whether a policy of the tenant keeps Keepwell out of the mailbox.",
        ),
        FailureCause::BadAnswer => (
            "Microsoft's answer was incomplete",
            "Nothing: the next run tries again.",
        ),
        FailureCause::Corrupt => (
            "Microsoft reports the item as damaged",
            "Look at the item in Outlook; its last good version stays in the backup.",
        ),
        FailureCause::Unavailable => (
            "Microsoft did not answer",
            "Nothing: the next run tries again.",
        ),
        FailureCause::Doubtful => (
            "Whether the item still exists could not be learnt",
            "Nothing: it is kept, and the next run asks again.",
        ),
        FailureCause::Refused => (
            "Microsoft refused for another reason",
            "Look at the item in Outlook.",
        ),
        FailureCause::Defect => (
            "Keepwell gave up on the item",
            "Report it: this is a defect of Keepwell.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_what_to_do() {
        let check = |noted, expected| assert_eq!(in_words(noted).0, expected, "{noted}");
        check(
            "the mail folders could not be read from or written to Microsoft Graph: GET mailFolders/delta: answered with an error, status 403, ErrorAccessDenied",
            "Microsoft refused access to the mailbox",
        );
        check(
            "the account's backups are not in the data folder: is the disk mounted? nothing was made in their place",
            "The backups are not in the data folder",
        );
        check(
            "the mail folders could not be read from or written to Microsoft Graph: status 503",
            "Microsoft did not answer as it should",
        );
        check(
            "the repository could not be opened: the repository is locked by process 7 on a since 2026-11-22T08:00:00Z",
            "Another program has locked the repository",
        );
        check(
            "the index could not be read from or written to the repository: storage failed to read",
            "The storage did not answer",
        );
        check(
            "/data/accounts/1.json could not be read: Is a directory",
            "A file of the data folder could not be read or written",
        );
        check("something else", "Keepwell could not go on");
    }

    #[test]
    fn a_reason_is_told_within_a_sentence() {
        let check = |noted, expected| assert_eq!(reason(noted), expected);
        check(
            "the restore points could not be read: storage failed to list",
            "the storage did not answer",
        );
        check("Microsoft asks for a pause", "Microsoft asks for a pause");
        check("something else", "Keepwell could not go on");
    }

    #[test]
    fn the_sentence_tells_of_accounts_and_of_items() {
        let check = |accounts, items, text: &str| assert_eq!(sentence(accounts, items), text);
        check(0, 0, "Everything that was found was copied.");
        check(
            0,
            1,
            "1 item could not be copied yet. Every run tries again.",
        );
        check(
            2,
            0,
            "2 accounts could not be backed up the last time. Their restore points stay.",
        );
        check(
            1,
            1_000,
            "1 account could not be backed up the last time, and 1,000 items could not be copied yet. Every run tries again.",
        );
    }
}
