//! What of one account is not in its backup: what it is and where, why, what Keepwell did, and the way out.
//!
//! Subjects and folders are content: they are for those who may look into backups, and looking is noted in the audit. Others see the items' ids, and
//! whether the backup has an earlier version of them.

use askama::Template;
use axum::response::Response;
use catalog::{Account, AccountKey, FailureId, Health, LastResult, Status, TaskId};
use model::{FailureCause, ItemFailure, ItemId, Skip, SkipCause};
use workload::mail::Archive;

use super::{ROWS, Why, whys, words};
use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{account::View, message::Headline, runs::Pager},
    words::{Outcome, Pill, When, count, noun},
};

/// Skips that are listed: there are few, because they are Microsoft's own damage.
const SKIPS_MAX: usize = 200;
/// Runs that try an item on which Keepwell's own code gave up.
const DEFECT_RUNS: u64 = 3;

#[derive(Template)]
#[template(path = "failures_account.html")]
struct Page {
    shell: Shell,
    key: AccountKey,
    name: String,
    task: TaskId,
    task_name: String,
    result: Outcome,
    sentence: String,
    /// Why the whole account failed the last time.
    failed: Option<(Why, Option<When>)>,
    /// Why it cannot be tried again now.
    refused: &'static str,
    items: Vec<Row>,
    pager: Pager,
    skips: Vec<Row>,
    more_skips: String,
}

/// An item that is not in the backup, or not whole.
struct Row {
    what: What,
    why: &'static str,
    /// Microsoft's code.
    code: String,
    remedy: &'static str,
    did: String,
    attempts: String,
    /// When it was tried last, and first if that was another time.
    times: Option<(When, Option<When>)>,
}

/// What an item is called, and where it is.
struct What {
    /// What is known of it without its content.
    state: &'static str,
    is_held: bool,
    subject: Option<String>,
    folder: Option<String>,
    /// The item in the newest restore point.
    href: Option<String>,
    id: String,
}

pub(super) async fn show(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    after: Option<FailureId>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let connection = of.connection(task.connection).await?;
    let mut found = of.failures(key, after, ROWS + 1).await?;
    let more = found.len() > ROWS as usize;
    found.truncate(ROWS as usize);
    let names = Names::open(state, signed, &account).await?;
    let mut items = Vec::new();
    for failure in &found {
        items.push(names.failed(&failure.report).await);
    }
    let (skips, all_skips) = names.skipped().await;
    let mut shell = signed.shell("failures").await?;
    shell.mark_task(&task.id.to_string());
    let page = Page {
        shell,
        key,
        task: task.id,
        task_name: task.name,
        result: account.last_result.into(),
        sentence: sentence(&account, all_skips),
        failed: match account.last_result {
            LastResult::Failed => {
                let mut whys = whys(signed, &[key]).await?;
                let why = whys.remove(&key).unwrap_or_else(|| Why::new(""));
                Some((why, account.last_attempt_at.map(When)))
            }
            _ => None,
        },
        refused: match (connection.health, account.status) {
            (Health::Disconnected, _) => "Authenticate the connection again first.",
            (_, Status::Active) => "",
            _ => "Activate the account first.",
        },
        items,
        pager: Pager {
            words: format!(
                "{} of {}",
                count(found.len() as u64),
                noun(account.failures, "item", "items")
            ),
            first: after.map(|_| format!("/failures?account={key}")),
            next: found
                .last()
                .filter(|_| more)
                .map(|last| format!("/failures?account={key}&after={}", last.id)),
        },
        more_skips: match all_skips.saturating_sub(skips.len()) {
            0 => String::new(),
            more => format!("{} more are not listed.", count(more as u64)),
        },
        skips,
        name: account.name,
    };
    Ok(page::html(&page))
}

fn sentence(account: &Account, skips: usize) -> String {
    let mut text = match account.failures {
        0 if account.snapshot.is_none() => String::new(),
        0 => "Every item that can be copied was copied.".to_owned(),
        failures => format!(
            "{} could not be copied yet. Everything else is in the backup, and every run tries again.",
            noun(failures, "item", "items")
        ),
    };
    if skips > 0 {
        text.push_str(&format!(
            " {} can never be copied whole.",
            noun(skips as u64, "item", "items")
        ));
    }
    text
}

/// The newest restore point, which knows what items are called; without it there are only ids.
struct Names {
    key: AccountKey,
    may_look: bool,
    point: Option<String>,
    archive: Option<Archive>,
    failures: Vec<ItemFailure>,
    skips: Vec<Skip>,
}

impl Names {
    async fn open(state: &State, signed: &Signed, account: &Account) -> Result<Self, Problem> {
        let mut names = Self {
            key: account.key,
            may_look: signed.may_act(),
            point: account.snapshot.clone(),
            archive: None,
            failures: Vec::new(),
            skips: Vec::new(),
        };
        let Some(point) = &names.point else {
            return Ok(names);
        };
        if names.may_look {
            signed
                .note(state, "looked at failures", account.key)
                .await?;
        }
        let of = signed.organization.id();
        let service = state.service();
        // What cannot be read is told on the account's own page; the ids are known without it.
        if let Ok(archive) = service.archive(of, account.key, Some(point)).await {
            names.failures = archive.failures().await.unwrap_or_default();
            names.skips = archive.skips().await.unwrap_or_default();
            names.archive = Some(archive);
        }
        Ok(names)
    }

    async fn failed(&self, report: &catalog::ItemReport) -> Row {
        let item = ItemId::new(report.item.clone()).ok();
        let noted = self
            .failures
            .iter()
            .find(|failure| failure.item.as_str() == report.item);
        let container = noted.map(|failure| &failure.container);
        let what = self.what(item.as_ref(), container, &report.item).await;
        let (why, remedy) = words(report.cause);
        let is_left = report.cause == FailureCause::Defect && report.attempts >= DEFECT_RUNS;
        let mut did = match what.is_held {
            true => "Kept its last good version.".to_owned(),
            false => "Copied everything else, and left it out.".to_owned(),
        };
        did.push_str(match is_left {
            true => " It is tried again when it changes.",
            false => " The next run tries again.",
        });
        Row {
            what,
            why,
            code: noted.and_then(|one| one.code.clone()).unwrap_or_default(),
            remedy,
            did,
            attempts: count(report.attempts),
            times: Some((
                When(report.last_tried_at),
                (report.attempts > 1).then_some(When(report.first_seen_at)),
            )),
        }
    }

    /// The first skips, and how many there are.
    async fn skipped(&self) -> (Vec<Row>, usize) {
        let mut rows = Vec::new();
        for skip in self.skips.iter().take(SKIPS_MAX) {
            let id = skip.item.as_str();
            let what = self.what(Some(&skip.item), Some(&skip.container), id).await;
            let (why, remedy) = reason(skip.cause);
            rows.push(Row {
                did: match what.is_held {
                    true => "Kept what Microsoft says of it, without its MIME.",
                    false => "Copied everything else, and left it out.",
                }
                .to_owned(),
                what,
                why,
                code: String::new(),
                remedy,
                attempts: String::new(),
                times: None,
            });
        }
        (rows, self.skips.len())
    }

    async fn what(&self, item: Option<&ItemId>, container: Option<&ItemId>, id: &str) -> What {
        let mut what = What {
            state: match &self.point {
                Some(_) => "The backup could not be read",
                None => "Not held yet",
            },
            is_held: false,
            subject: None,
            folder: None,
            href: None,
            id: id.to_owned(),
        };
        let Some(archive) = &self.archive else {
            return what;
        };
        what.state = "Not held yet";
        let mut folder = archive
            .folders()
            .iter()
            .find(|folder| Some(&folder.id) == container);
        if let Some(item) = item
            && let Ok(Some(at)) = archive.find(item).await
        {
            what.is_held = true;
            what.state = "Held in the backup";
            if !self.may_look {
                return what;
            }
            folder = archive.holder(&at).or(folder);
            let json = archive.json(&at).await.ok();
            what.subject = json.map(|json| Headline::of(&json).subject);
            let view = View {
                point: self.point.clone().unwrap_or_default(),
                folder: folder.map_or_else(String::new, |folder| folder.id.to_string()),
                message: id.to_owned(),
                ..View::default()
            };
            what.href = Some(view.href(self.key, ""));
        }
        if self.may_look {
            what.folder = folder.map(|folder| folder.display_name.clone());
        }
        what
    }
}

/// Why an item can never be copied, and what to do.
fn reason(cause: SkipCause) -> (&'static str, &'static str) {
    match cause {
        SkipCause::CorruptAtSource => (
            "Microsoft itself can no longer read it",
            "Open it in Outlook. If it opens, save it again as a new message: that one is copied.",
        ),
        SkipCause::InvalidRecipients => (
            "Its recipients are such that Microsoft cannot serve it",
            "Open it in Outlook and save it with recipients that exist.",
        ),
    }
}
