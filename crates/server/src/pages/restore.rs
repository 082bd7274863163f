//! Restore: four questions (what, as of, to, how), then a page that says what will be done, then the run. Nothing is overwritten, and nothing is sent.
//!
//! The answers travel in the form from page to page, so that it works without script and nothing is remembered here. The form that begins has a key of
//! its own: sent twice, it begins one restore.

use askama::Template;
use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::Form;
use catalog::{Account, AccountFilter, AccountKey, AccountSort, Direction, RunId, Task, TaskId};
use model::ItemId;
use serde::Deserialize;
use service::{RestoreOrder, RestorePoint, Selection};
use workload::mail::{
    Archive,
    restore::{Destination, Selection as Chosen},
};

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{account::View, message::Headline},
    path::Path,
    token::Token,
    words::{When, count, noun},
};

/// Restore points that are offered.
const POINTS: usize = 200;
/// Other accounts that are offered at a time: whoever is not among them is searched for.
const ACCOUNTS: u32 = 10;
/// Subjects that are told of several messages.
const SUBJECTS: usize = 5;
/// Messages of one order: what a page of ticks and some more can hold.
const MESSAGES_MAX: usize = 500;

#[derive(Template)]
#[template(path = "restore.html")]
struct Questions {
    shell: Shell,
    key: AccountKey,
    name: String,
    task: TaskId,
    task_name: String,
    back: String,
    error: String,
    kept: Vec<(&'static str, String)>,
    what: Vec<Choice>,
    points: Vec<Point>,
    to: Vec<Choice>,
    find: String,
    /// How many others there are, and how many of them are listed.
    others: String,
    in_place: bool,
}

#[derive(Template)]
#[template(path = "restore_review.html")]
struct Review {
    shell: Shell,
    key: AccountKey,
    name: String,
    task: TaskId,
    task_name: String,
    back: String,
    kept: Vec<(&'static str, String)>,
    /// By which the order is known when it comes again.
    order: String,
    title: String,
    items: String,
    subjects: Vec<String>,
    more_subjects: String,
    point: When,
    to: String,
    is_other: bool,
    place: &'static str,
    left_alone: &'static str,
}

struct Choice {
    value: String,
    words: String,
    hint: String,
    chosen: bool,
}

/// A restore point to choose.
struct Point {
    id: String,
    time: When,
    /// What follows the time.
    about: String,
    chosen: bool,
}

/// What was answered so far.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answers {
    /// `messages`, `folder` or `mailbox`; empty for the narrowest.
    what: String,
    message: Vec<String>,
    folder: String,
    point: String,
    /// The account itself when none is named.
    to: Option<AccountKey>,
    /// `place` or, whatever else it is, a new folder.
    how: String,
    /// Other accounts are searched for by this.
    find: String,
    /// `review`, `begin`, or, whatever else it is, the questions.
    step: String,
    /// The key of the review's form.
    order: String,
}

impl Answers {
    /// What is asked for by a page that shows one message or folder.
    fn of(view: View) -> Self {
        Self {
            message: Some(view.message)
                .into_iter()
                .filter(|id| !id.is_empty())
                .collect(),
            folder: view.folder,
            point: view.point,
            ..Self::default()
        }
    }

    /// What is looked at, for the way back.
    fn view(&self) -> View {
        View {
            point: self.point.clone(),
            folder: self.folder.clone(),
            message: match self.message.as_slice() {
                [one] => one.clone(),
                _ => String::new(),
            },
            ..View::default()
        }
    }

    /// What the next page has to know of what the page itself does not ask.
    fn kept(&self) -> Vec<(&'static str, String)> {
        let messages = self.message.iter().map(|id| ("message", id.clone()));
        let folder = ("folder", self.folder.clone());
        messages.chain([folder]).collect()
    }

    fn all(&self, target: AccountKey) -> Vec<(&'static str, String)> {
        let mut all = self.kept();
        all.extend([
            ("what", self.what.clone()),
            ("point", self.point.clone()),
            ("to", target.to_string()),
            ("how", self.how.clone()),
        ]);
        all
    }

    /// Errors with what to do.
    fn selection(&self) -> Result<Selection, Problem> {
        let id = |text: &String| ItemId::new(text.clone()).map_err(|_| Problem::NotFound);
        match self.what.as_str() {
            "messages" if self.message.is_empty() => Err(Problem::Invalid(
                "No message is selected. Go back and tick the messages to restore.".to_owned(),
            )),
            "messages" if self.message.len() > MESSAGES_MAX => Err(Problem::Invalid(format!(
                "One restore takes {MESSAGES_MAX} selected messages at most. Restore the folder instead."
            ))),
            "messages" => {
                let ids: Result<_, _> = self.message.iter().map(id).collect();
                Ok(Selection::Messages(ids?))
            }
            "folder" => Ok(Selection::Folder(id(&self.folder)?)),
            "mailbox" => Ok(Selection::Mailbox),
            _ => Err(Problem::Invalid("Choose what to restore.".to_owned())),
        }
    }
}

/// The questions, from a page that shows a message or a folder.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    ask(&state, &signed, key, &Answers::of(view), String::new()).await
}

/// The questions, what the answers come to, or the restore.
pub(crate) async fn go_on(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Form(answers): Form<Answers>,
) -> Result<Response, Problem> {
    match answers.step.as_str() {
        "review" => review(&state, &signed, key, &answers).await,
        "begin" => begin(&state, &signed, key, &answers).await,
        _ => ask(&state, &signed, key, &answers, String::new()).await,
    }
}

async fn ask(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    answers: &Answers,
    error: String,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let points = state.service().restore_points(of.id(), key).await?;
    let chosen = points.iter().find(|point| point.snapshot == answers.point);
    let chosen = chosen.or(points.first()).ok_or_else(no_points)?;
    let archive = state
        .service()
        .archive(of.id(), key, Some(&chosen.snapshot))
        .await?;
    let what = what(state, signed, key, &archive, answers).await?;
    let (to, others) = targets(signed, &account, answers).await?;
    let is_refused = !error.is_empty();
    let page = Questions {
        shell: shell(signed, &task).await?,
        key,
        task: task.id,
        task_name: task.name,
        back: answers.view().href(key, ""),
        error,
        kept: answers.kept(),
        what,
        points: offered(&points, chosen),
        to,
        others,
        find: answers.find.clone(),
        in_place: answers.how == "place",
        name: account.name,
    };
    let status = match is_refused {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    Ok((status, page::html(&page)).into_response())
}

async fn shell(signed: &Signed, task: &Task) -> Result<Shell, Problem> {
    let mut shell = signed.shell("").await?;
    shell.mark_task(&task.id.to_string());
    Ok(shell)
}

fn no_points() -> Problem {
    Problem::Conflict("There is no restore point yet. The next run makes the first.".to_owned())
}

/// What can be restored, the narrowest first, which is chosen unless another was.
async fn what(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    archive: &Archive,
    answers: &Answers,
) -> Result<Vec<Choice>, Problem> {
    let mut what = Vec::new();
    let messages = answers.message.len();
    if messages > 0 {
        let subjects = subjects(state, signed, key, archive, answers).await?;
        let mut hint = subjects.join(", ");
        if messages > subjects.len() {
            hint.push_str(&format!(
                " and {} more",
                count((messages - subjects.len()) as u64)
            ));
        }
        what.push(Choice {
            value: "messages".to_owned(),
            words: match messages {
                1 => "This message".to_owned(),
                _ => format!("These {} messages", count(messages as u64)),
            },
            hint,
            chosen: false,
        });
    }
    let folders = archive.folders();
    let folder = folders
        .iter()
        .find(|folder| folder.id.as_str() == answers.folder);
    if let Some(folder) = folder {
        what.push(Choice {
            value: "folder".to_owned(),
            words: format!("The folder {} with the folders inside", folder.display_name),
            hint: format!(
                "{} in the folder itself",
                noun(folder.messages, "message", "messages")
            ),
            chosen: false,
        });
    }
    what.push(Choice {
        value: "mailbox".to_owned(),
        words: "The whole mailbox".to_owned(),
        hint: format!(
            "{} in {}",
            noun(Chosen::Mailbox.count(archive), "message", "messages"),
            noun(folders.len().saturating_sub(1) as u64, "folder", "folders")
        ),
        chosen: false,
    });
    let chosen = what.iter().position(|choice| choice.value == answers.what);
    what[chosen.unwrap_or(0)].chosen = true;
    Ok(what)
}

/// The subjects of the first messages, of those that are there. They are content: seeing them is noted.
async fn subjects(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    archive: &Archive,
    answers: &Answers,
) -> Result<Vec<String>, Problem> {
    let mut subjects = Vec::new();
    for id in answers.message.iter().take(SUBJECTS) {
        let id = ItemId::new(id.clone()).map_err(|_| Problem::NotFound)?;
        let Some(at) = archive.find(&id).await? else {
            continue;
        };
        signed
            .note(state, "looked at a message", format!("{key} {id}"))
            .await?;
        subjects.push(Headline::of(&archive.json(&at).await?).subject);
    }
    Ok(subjects)
}

fn offered(points: &[RestorePoint], chosen: &RestorePoint) -> Vec<Point> {
    let mut offered: Vec<&RestorePoint> = points.iter().take(POINTS).collect();
    if !offered
        .iter()
        .any(|point| point.snapshot == chosen.snapshot)
    {
        offered.push(chosen);
    }
    let choices = offered.into_iter().map(|point| {
        let items = point
            .items
            .map(|items| format!(", {}", noun(items, "item", "items")));
        Point {
            id: point.snapshot.clone(),
            time: When(point.time),
            about: items.unwrap_or_default(),
            chosen: point.snapshot == chosen.snapshot,
        }
    });
    choices.collect()
}

/// The account itself, the one that was chosen, and others of its task that match what is searched for; and how many others match.
async fn targets(
    signed: &Signed,
    account: &Account,
    answers: &Answers,
) -> Result<(Vec<Choice>, String), Problem> {
    let of = &signed.organization;
    let filter = AccountFilter {
        text: Some(answers.find.trim().to_owned()).filter(|text| !text.is_empty()),
        ..AccountFilter::default()
    };
    let (sort, direction) = (AccountSort::Name, Direction::Ascending);
    let found = of
        .accounts(account.task, &filter, sort, direction, None, ACCOUNTS)
        .await?;
    let all = of.count_accounts(account.task, &filter).await?;
    let mut targets = vec![account.clone()];
    if let Some(chosen) = answers.to.filter(|chosen| *chosen != account.key) {
        targets.push(of.account(chosen).await?);
    }
    let listed = found.rows.len() as u64;
    for other in found.rows {
        if targets.iter().all(|target| target.key != other.key) {
            targets.push(other);
        }
    }
    let chosen = answers.to.unwrap_or(account.key);
    let others = match (all, filter.text.is_some()) {
        (0, _) => "No account of this task matches. Search by name or address.".to_owned(),
        (all, true) if all > listed => format!(
            "{} of the {} that match are listed. Search for more of the name.",
            count(listed),
            noun(all, "account", "accounts")
        ),
        (all, _) if all > listed => format!(
            "The first {} of {} of this task are listed. Search for another one.",
            count(listed),
            noun(all, "account", "accounts")
        ),
        _ => String::new(),
    };
    let choices = targets.into_iter().map(|target| Choice {
        value: target.key.to_string(),
        words: target.name,
        hint: match target.key == account.key {
            true => format!("{}, the account itself", target.address),
            false => target.address,
        },
        chosen: target.key == chosen,
    });
    Ok((choices.collect(), others))
}

/// What will be done, for whoever has to say yes.
async fn review(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    answers: &Answers,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let selection = answers.selection()?;
    let target = of.account(answers.to.unwrap_or(key)).await?;
    let points = state.service().restore_points(of.id(), key).await?;
    let point = points.iter().find(|point| point.snapshot == answers.point);
    let point = point
        .ok_or_else(|| Problem::Invalid("Choose a restore point that is there.".to_owned()))?;
    let archive = state
        .service()
        .archive(of.id(), key, Some(&point.snapshot))
        .await?;
    let (items, what, subjects) = match selection {
        Selection::Messages(ids) => {
            let mut missing = 0;
            for id in &ids {
                missing += u64::from(archive.find(id).await?.is_none());
            }
            if missing > 0 {
                let text = format!(
                    "{} not in this restore point. Choose another one, or go back and select again.",
                    match missing {
                        1 => "One of the selected messages is".to_owned(),
                        many => format!("{} of the selected messages are", count(many)),
                    }
                );
                return ask(state, signed, key, answers, text).await;
            }
            let subjects = subjects(state, signed, key, &archive, answers).await?;
            (ids.len() as u64, "Selected messages".to_owned(), subjects)
        }
        Selection::Folder(id) => {
            let folder = archive.folders().iter().find(|folder| folder.id == id);
            let folder = folder.ok_or(Problem::NotFound)?;
            let what = format!("The folder {} with the folders inside", folder.display_name);
            (Chosen::Folder(id).count(&archive), what, Vec::new())
        }
        Selection::Mailbox => {
            let what = "The whole mailbox".to_owned();
            (Chosen::Mailbox.count(&archive), what, Vec::new())
        }
    };
    let in_place = answers.how == "place";
    let page = Review {
        shell: shell(signed, &task).await?,
        key,
        task: task.id,
        task_name: task.name,
        back: answers.view().href(key, ""),
        kept: answers.all(target.key),
        order: Token::random().as_str().to_owned(),
        title: format!("Restore {}", noun(items, "item", "items")),
        items: what,
        more_subjects: match items.saturating_sub(subjects.len() as u64) {
            0 => String::new(),
            _ if subjects.is_empty() => String::new(),
            more => format!("and {} more", count(more)),
        },
        subjects,
        point: When(point.time),
        is_other: target.key != key,
        to: format!("{} ({})", target.name, target.address),
        place: match (in_place, answers.what.as_str(), items) {
            (true, "messages", 1) => {
                "The folder where it was. A folder that is gone is made again."
            }
            (true, ..) => "The folders where they were. A folder that is gone is made again.",
            (false, "messages", 1) => {
                "A new folder, named “Restored” with the date and time in UTC, and directly in it the message."
            }
            (false, "messages", _) => {
                "A new folder, named “Restored” with the date and time in UTC, and directly in it the messages, whichever folders they were in."
            }
            (false, ..) => {
                "A new folder, named “Restored” with the date and time in UTC, and in it the folders as they were."
            }
        },
        left_alone: match in_place {
            true => "What is there already and identical is left alone.",
            false => "Everything is put there, also what is still in the mailbox.",
        },
        name: account.name,
    };
    Ok(page::html(&page))
}

/// Begins the restore.
async fn begin(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    answers: &Answers,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    of.account(key).await?;
    if answers.order.is_empty() {
        // It does not come from a review: whoever asks sees first what will be done.
        return review(state, signed, key, answers).await;
    }
    let selection = answers.selection()?;
    if answers.point.is_empty() {
        return Err(Problem::Invalid("Choose a restore point.".to_owned()));
    }
    let target = answers.to.unwrap_or(key);
    let order = RestoreOrder {
        snapshot: Some(answers.point.clone()),
        selection,
        target,
        destination: match answers.how.as_str() {
            "place" => Destination::InPlace,
            _ => Destination::new_folder(state.clock().now()),
        },
        key: Some(order_key(signed, "form", &answers.order)),
    };
    match order_once(state, signed, key, order).await {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
        Err(Problem::Conflict(said) | Problem::Invalid(said)) => {
            ask(state, signed, key, answers, said).await
        }
        Err(problem) => Err(problem),
    }
}

/// The key of an order: one user's is not another's, nor one from a form one of a program.
pub(crate) fn order_key(signed: &Signed, from: &str, key: &str) -> String {
    format!("{} {from} {key}", signed.user.id)
}

/// Begins the restore and notes it, unless the same order has begun one.
pub(crate) async fn order_once(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    order: RestoreOrder,
) -> Result<RunId, Problem> {
    let (service, organization) = (state.service(), signed.organization.id());
    if let Some(run) = service.restore_begun(organization, key, &order).await? {
        return Ok(run);
    }
    let object = format!("{key} to {}", order.target);
    signed.note(state, "began a restore", object).await?;
    Ok(service.restore(organization, key, order).await?)
}
