//! Failures: what is not in the backup, and why.

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{AccountFilter, AccountKey, AccountSort, Direction, FailureId, TaskId};
use model::FailureCause;
use serde::Deserialize;

use crate::{
    Problem, Signed,
    page::{self, Shell},
    pages::runs::Pager,
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
    accounts_heading: String,
    one_account: bool,
    accounts: Vec<AccountRow>,
    items: Vec<ItemRow>,
    pager: Pager,
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

struct ItemRow {
    id: String,
    cause: &'static str,
    attempts: String,
    first: When,
    last: When,
}

#[derive(Deserialize)]
pub(crate) struct View {
    account: Option<AccountKey>,
    after: Option<FailureId>,
}

/// The page.
pub(crate) async fn show(signed: Signed, Query(view): Query<View>) -> Result<Response, Problem> {
    let of = &signed.organization;
    let by_cause = of.failures_by_cause().await?;
    let all: u64 = by_cause.iter().map(|(_, items)| items).sum();
    let causes = by_cause
        .iter()
        .map(|(cause, items)| CauseRow {
            words: words(*cause).0,
            remedy: words(*cause).1,
            items: count(*items),
        })
        .collect();
    let mut page = Failures {
        shell: signed.shell("failures").await?,
        sentence: match all {
            0 => "Everything that was found was copied.".to_owned(),
            _ => format!(
                "{} could not be copied yet. Every run tries again.",
                noun(all, "item", "items")
            ),
        },
        causes,
        accounts_heading: "Accounts".to_owned(),
        one_account: view.account.is_some(),
        accounts: Vec::new(),
        items: Vec::new(),
        pager: Pager {
            words: String::new(),
            first: None,
            next: None,
        },
    };
    match view.account {
        Some(account) => page.show_items(&signed, account, view.after).await?,
        None => page.show_accounts(&signed).await?,
    }
    Ok(page::html(&page))
}

impl Failures {
    async fn show_items(
        &mut self,
        signed: &Signed,
        account: AccountKey,
        after: Option<FailureId>,
    ) -> Result<(), Problem> {
        let of = &signed.organization;
        self.accounts_heading = of.account(account).await?.name;
        let mut found = of.failures(account, after, ROWS + 1).await?;
        let more = found.len() > ROWS as usize;
        found.truncate(ROWS as usize);
        self.pager = Pager {
            words: format!("{} on this page", count(found.len() as u64)),
            first: after.map(|_| format!("/failures?account={account}")),
            next: found
                .last()
                .filter(|_| more)
                .map(|last| format!("/failures?account={account}&after={}", last.id)),
        };
        let rows = found.into_iter().map(|failure| ItemRow {
            id: failure.report.item,
            cause: words(failure.report.cause).0,
            attempts: count(failure.report.attempts),
            first: When(failure.report.first_seen_at),
            last: When(failure.report.last_tried_at),
        });
        self.items = rows.collect();
        Ok(())
    }

    async fn show_accounts(&mut self, signed: &Signed) -> Result<(), Problem> {
        let of = &signed.organization;
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
            self.accounts
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
        Ok(())
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
