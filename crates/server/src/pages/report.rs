//! The report of a restore: what became of each item, why, and what to do; on a page and as a file.
//!
//! Subjects are content: they are for those who may look into backups, and looking is noted in the audit. Others see the items' ids.

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{Account, AccountKey, Became, Job, RestoredItem, RunCause, RunId, TaskId};
use model::{FailureCause, ItemId};
use serde::Deserialize;
use service::JobReport;
use workload::mail::Archive;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{
        account::View,
        message::{Headline, file},
        runs::Pager,
        task::Chip,
    },
    path::Path,
    spreadsheet::harmless,
    words::{Pill, When, count, noun},
};

/// Rows of a page.
const ROWS: u32 = 50;
/// Rows of the file that are asked for at a time.
const ROWS_OF_FILE: u32 = 500;
/// The fates that people choose between, by the names that addresses have for them.
const SHOWN: [(&str, &str, &[Became]); 4] = [
    ("", "All", &[]),
    (
        "missing",
        "Not restored",
        &[Became::Failed, Became::NotHeld],
    ),
    ("part", "Restored in part", &[Became::RestoredInPart]),
    ("alone", "Left alone", &[Became::LeftAlone]),
];

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    shell: Shell,
    run: RunId,
    started: When,
    task: TaskId,
    task_name: String,
    account: AccountKey,
    name: String,
    sentence: String,
    chips: Vec<Chip>,
    rows: Vec<Row>,
    pager: Pager,
}

struct Row {
    subject: Option<String>,
    href: Option<String>,
    id: String,
    became: Became,
    why: String,
    code: String,
    remedy: &'static str,
}

impl Pill for Became {
    fn class(&self) -> &'static str {
        match self {
            Self::Failed | Self::NotHeld => "failed",
            Self::RestoredInPart => "partial",
            Self::LeftAlone => "idle",
            Self::Restored => "success",
        }
    }

    fn icon(&self) -> &'static str {
        match self {
            Self::Failed | Self::NotHeld => "x",
            Self::RestoredInPart => "half",
            Self::LeftAlone => "dash",
            Self::Restored => "check",
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Failed | Self::NotHeld => "Not restored",
            Self::RestoredInPart => "Restored in part",
            Self::LeftAlone => "Left alone",
            Self::Restored => "Restored",
        }
    }
}

/// Why an item became what it became, and what to do about it; empty where there is nothing to say.
pub(crate) fn in_words(
    became: Became,
    cause: Option<FailureCause>,
    code: &str,
) -> (&'static str, &'static str) {
    const AGAIN: &str = "Restore it again: what is there already is left alone.";
    if became == Became::Failed && code == "ErrorQuotaExceeded" {
        return (
            "The mailbox is full",
            "Make room in it or choose another account, then restore again: what is there already is left alone.",
        );
    }
    match (became, cause) {
        (Became::Restored, _) => ("", ""),
        (Became::LeftAlone, _) => ("It is there already", ""),
        (Became::RestoredInPart, _) => (
            "Microsoft did not take all of it",
            "Download it as a file: that one is whole.",
        ),
        (Became::NotHeld, _) => (
            "The restore point does not have it",
            "Choose a restore point that has it.",
        ),
        (Became::Failed, Some(FailureCause::AccessDenied)) => (
            "Microsoft refused access",
            "Look whether a policy of the tenant keeps Keepwell out of the mailbox, then restore it again.",
        ),
        (Became::Failed, Some(FailureCause::BadAnswer)) => {
            ("Microsoft's answer was incomplete", AGAIN)
        }
        (Became::Failed, Some(FailureCause::Corrupt)) => (
            "The copy in this restore point is damaged",
            "Choose another restore point. The next backup repairs what it can.",
        ),
        (Became::Failed, Some(FailureCause::Unavailable)) => ("Microsoft did not answer", AGAIN),
        (Became::Failed, Some(FailureCause::Doubtful)) => (
            "Whether Microsoft made it could not be learnt",
            "Look for it in Outlook. If it is not there, restore it again.",
        ),
        (Became::Failed, Some(FailureCause::Refused)) => (
            "Microsoft refused it",
            "Download it as a file, or restore it into another account.",
        ),
        (Became::Failed, Some(FailureCause::Defect) | None) => (
            "Keepwell gave up on the item",
            "Report it: this is a defect of Keepwell.",
        ),
    }
}

/// The rows that are asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    show: String,
    after: u64,
}

impl Asked {
    fn became(&self) -> &'static [Became] {
        let chosen = SHOWN.iter().find(|(show, ..)| *show == self.show);
        chosen.map_or(&[], |(_, _, became)| became)
    }
}

fn href(run: RunId, show: &str) -> String {
    match show {
        "" => format!("/runs/{run}/report"),
        show => format!("/runs/{run}/report?show={show}"),
    }
}

/// A restore that is over.
struct Restore {
    job: Job,
    account: Account,
    started: When,
    report: JobReport,
}

impl Restore {
    async fn find(signed: &Signed, run: RunId) -> Result<Self, Problem> {
        let of = &signed.organization;
        let run = of.run(run).await?;
        if run.cause != RunCause::Restore {
            let what = "Only a restore has a report of each item. What a backup could not copy is among the failures.";
            return Err(Problem::Conflict(what.to_owned()));
        }
        let jobs = of.jobs(run.id, 1).await?;
        let job = jobs.into_iter().next();
        let job = job.ok_or(Problem::NotFound)?;
        let report = JobReport::from_text(&job.outcome).ok_or_else(|| {
            Problem::Conflict("The restore is not over: it has no report yet.".to_owned())
        })?;
        Ok(Self {
            account: of.account(job.account).await?,
            job,
            started: When(run.started_at),
            report,
        })
    }

    /// The restore point, for those who may look into it, of whom it is noted.
    async fn names(
        &self,
        state: &State,
        signed: &Signed,
        action: &str,
    ) -> Result<Option<Archive>, Problem> {
        let Some(from) = self.report.from.as_deref().filter(|_| signed.may_act()) else {
            return Ok(None);
        };
        let object = format!("{} {}", self.account.key, self.job.run);
        signed.note(state, action, object).await?;
        let (of, key) = (signed.organization.id(), self.account.key);
        // The report stands without it.
        Ok(state.service().archive(of, key, Some(from)).await.ok())
    }
}

/// What an item is called, and where to look at it, if the restore point has it.
async fn called(archive: Option<&Archive>, item: &str) -> Option<(String, String)> {
    let archive = archive?;
    let at = archive.find(&ItemId::new(item).ok()?).await.ok()??;
    let json = archive.json(&at).await.ok()?;
    let folder = archive.holder(&at).map(|folder| folder.id.to_string());
    Some((Headline::of(&json).subject, folder.unwrap_or_default()))
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let restore = Restore::find(&signed, run).await?;
    let task = of.task(restore.account.task).await?;
    let job = restore.job.id;
    let counts = of.restored_counts(job).await?;
    let counted = |became: &[Became]| -> u64 {
        let wanted = counts
            .iter()
            .filter(|one| became.is_empty() || became.contains(&one.became));
        wanted.map(|one| one.items).sum()
    };
    let chips = SHOWN
        .iter()
        .filter(|(show, _, became)| show.is_empty() || *show == asked.show || counted(became) > 0)
        .map(|(show, words, became)| Chip {
            href: href(run, show),
            current: *show == asked.show,
            words: format!("{words} {}", count(counted(became))),
            time: None,
        });
    let mut found = of
        .restored_items(job, asked.became(), asked.after, ROWS + 1)
        .await?;
    let more = found.len() > ROWS as usize;
    found.truncate(ROWS as usize);
    let archive = match found.is_empty() {
        true => None,
        false => {
            let action = "looked at the report of a restore";
            restore.names(&state, &signed, action).await?
        }
    };
    let point = restore.report.from.clone().unwrap_or_default();
    let mut rows = Vec::new();
    for (_, item) in &found {
        let called = called(archive.as_ref(), &item.item).await;
        rows.push(Row::new(restore.account.key, &point, item, called));
    }
    let next = found.last().filter(|_| more).map(|(last, _)| {
        let join = if asked.show.is_empty() { '?' } else { '&' };
        format!("{}{join}after={last}", href(run, &asked.show))
    });
    let mut shell = signed.shell("restores").await?;
    shell.mark_task(&task.id.to_string());
    let page = Page {
        shell,
        run,
        started: restore.started,
        task: task.id,
        task_name: task.name,
        account: restore.account.key,
        name: restore.account.name,
        sentence: sentence(&restore.report, counted(&[])),
        chips: chips.collect(),
        pager: Pager {
            words: format!(
                "{} of {}",
                count(rows.len() as u64),
                noun(counted(asked.became()), "item", "items")
            ),
            first: (asked.after > 0).then(|| href(run, &asked.show)),
            next,
        },
        rows,
    };
    Ok(page::html(&page))
}

/// How many items were restored, left alone and not restored; and that some have no line, where that is so.
fn sentence(report: &JobReport, listed: u64) -> String {
    let mut text = format!(
        "{} restored, {} left alone, {} not restored.",
        noun(report.restored, "item", "items"),
        count(report.already_there),
        count(report.failures)
    );
    let all = report.restored + report.already_there + report.failures;
    if all > listed {
        text.push_str(&format!(" {} of them are listed.", count(listed)));
    }
    text
}

impl Row {
    fn new(
        account: AccountKey,
        point: &str,
        item: &RestoredItem,
        called: Option<(String, String)>,
    ) -> Self {
        let (why, remedy) = in_words(item.became, item.cause, &item.code);
        let (subject, folder) = called.unzip();
        let view = folder.map(|folder| View {
            point: point.to_owned(),
            folder,
            message: item.item.clone(),
            ..View::default()
        });
        Self {
            subject,
            href: view.map(|view| view.href(account, "")),
            id: item.item.clone(),
            became: item.became,
            why: match item.lost.as_str() {
                "" => why.to_owned(),
                lost => format!("{why}: {lost}"),
            },
            code: item.code.clone(),
            remedy,
        }
    }
}

/// All rows as CSV. Subjects are told of what somebody has to look after.
pub(crate) async fn csv(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let restore = Restore::find(&signed, run).await?;
    let action = "exported the report of a restore";
    let archive = restore.names(&state, &signed, action).await?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "number",
        "became",
        "subject",
        "why",
        "code",
        "what to do",
        "without",
        "item",
    ];
    writer.write_record(head).map_err(Problem::internal)?;
    let mut after = 0;
    loop {
        let found = signed
            .organization
            .restored_items(restore.job.id, &[], after, ROWS_OF_FILE)
            .await?;
        for (number, item) in &found {
            let is_fine = matches!(item.became, Became::Restored | Became::LeftAlone);
            let called = match is_fine {
                true => None,
                false => called(archive.as_ref(), &item.item).await,
            };
            let (why, remedy) = in_words(item.became, item.cause, &item.code);
            let row = [
                &number.to_string(),
                item.became.word(),
                &harmless(&called.map(|(subject, _)| subject).unwrap_or_default()),
                why,
                &harmless(&item.code),
                remedy,
                &harmless(&item.lost),
                &harmless(&item.item),
            ];
            writer.write_record(row).map_err(Problem::internal)?;
            after = *number;
        }
        if found.len() < ROWS_OF_FILE as usize {
            break;
        }
    }
    let bytes = writer.into_inner();
    let bytes = bytes.map_err(|error| Problem::internal(error.into_error()))?;
    let name = format!("restore {}.csv", restore.started.text("%Y-%m-%d %H%M"));
    Ok(file(&name, bytes))
}
