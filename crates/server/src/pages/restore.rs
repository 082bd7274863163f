//! Restore, four questions: what, as of, to, how. Nothing is overwritten, and nothing is sent.

use askama::Template;
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::Form;
use catalog::{Account, AccountFilter, AccountKey, AccountSort, Direction, TaskId};
use model::ItemId;
use serde::Deserialize;
use service::{RestoreOrder, RestorePoint, Selection};
use workload::mail::{Archive, restore::Destination};

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{account::View, message::Headline},
    path::Path,
    words::{When, count, noun},
};

/// Restore points and accounts that are offered.
const OFFERED: usize = 200;

#[derive(Template)]
#[template(path = "restore.html")]
struct Page {
    shell: Shell,
    key: AccountKey,
    name: String,
    task: TaskId,
    task_name: String,
    back: String,
    error: String,
    what: Vec<Choice>,
    points: Vec<Choice>,
    to: Vec<Choice>,
    button: String,
}

struct Choice {
    value: String,
    words: String,
    hint: String,
    chosen: bool,
}

/// The questions.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    ask(&state, &signed, key, &view, String::new()).await
}

async fn ask(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    view: &View,
    error: String,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let points = state.service().restore_points(of.id(), key).await?;
    let chosen = points.iter().find(|point| point.snapshot == view.point);
    let chosen = chosen.or(points.first()).ok_or_else(no_points)?;
    let archive = state
        .service()
        .archive(of.id(), key, Some(&chosen.snapshot))
        .await?;
    let what = what(state, signed, key, &archive, view).await?;
    let mut shell = signed.shell("").await?;
    shell.mark_task(&task.id.to_string());
    let page = Page {
        shell,
        key,
        task: task.id,
        task_name: task.name,
        back: view.href(key, ""),
        error,
        button: match what.first().map(|choice| choice.value.split_once(':')) {
            Some(Some(("message", _))) => "Restore 1 item".to_owned(),
            Some(Some(_)) => "Restore folder".to_owned(),
            _ => "Restore mailbox".to_owned(),
        },
        what,
        points: offered(&points, chosen),
        to: targets(signed, &account).await?,
        name: account.name,
    };
    Ok(page::html(&page))
}

fn no_points() -> Problem {
    Problem::Conflict("There is no restore point yet. The next run makes the first.".to_owned())
}

/// What can be restored, the narrowest first, which is chosen.
async fn what(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    archive: &Archive,
    view: &View,
) -> Result<Vec<Choice>, Problem> {
    let mut what = Vec::new();
    if let Ok(id) = ItemId::new(view.message.clone()) {
        let at = archive.find(&id).await?;
        let at = at.ok_or(Problem::NotFound)?;
        signed
            .note(state, "looked at a message", format!("{key} {id}"))
            .await?;
        let json = archive.json(&at).await?;
        what.push(Choice {
            value: format!("message:{id}"),
            words: "This message".to_owned(),
            hint: Headline::of(&json).subject,
            chosen: false,
        });
    }
    let folders = archive.folders();
    if let Some(folder) = folders.iter().find(|f| f.id.as_str() == view.folder) {
        what.push(Choice {
            value: format!("folder:{}", folder.id),
            words: format!("The folder {} with the folders inside", folder.display_name),
            hint: format!(
                "{} in the folder itself",
                noun(folder.messages, "message", "messages")
            ),
            chosen: false,
        });
    }
    let all: u64 = folders.iter().map(|folder| folder.messages).sum();
    what.push(Choice {
        value: "mailbox".to_owned(),
        words: "The whole mailbox".to_owned(),
        hint: format!(
            "{} in {}",
            noun(all, "message", "messages"),
            noun(folders.len().saturating_sub(1) as u64, "folder", "folders")
        ),
        chosen: false,
    });
    if let Some(first) = what.first_mut() {
        first.chosen = true;
    }
    Ok(what)
}

fn offered(points: &[RestorePoint], chosen: &RestorePoint) -> Vec<Choice> {
    let mut offered: Vec<&RestorePoint> = points.iter().take(OFFERED).collect();
    if !offered
        .iter()
        .any(|point| point.snapshot == chosen.snapshot)
    {
        offered.push(chosen);
    }
    let choices = offered.into_iter().map(|point| {
        let items = point.items.map(|items| format!(", {} items", count(items)));
        Choice {
            value: point.snapshot.clone(),
            words: format!("{}{}", When(point.time).words(), items.unwrap_or_default()),
            hint: String::new(),
            chosen: point.snapshot == chosen.snapshot,
        }
    });
    choices.collect()
}

/// The account itself, then others of its task.
async fn targets(signed: &Signed, account: &Account) -> Result<Vec<Choice>, Problem> {
    let others = signed
        .organization
        .accounts(
            account.task,
            &AccountFilter::default(),
            AccountSort::Name,
            Direction::Ascending,
            None,
            OFFERED as u32,
        )
        .await?;
    let others = others.rows.iter().filter(|other| other.key != account.key);
    let all = std::iter::once(account).chain(others);
    let choices = all.map(|target| {
        let same = if target.key == account.key {
            ", the same account"
        } else {
            ""
        };
        Choice {
            value: target.key.to_string(),
            words: format!("{} ({}){same}", target.name, target.address),
            hint: String::new(),
            chosen: target.key == account.key,
        }
    });
    Ok(choices.collect())
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answers {
    what: String,
    point: String,
    /// The account itself when none is named.
    to: Option<AccountKey>,
    how: String,
}

/// Begins the restore.
pub(crate) async fn begin(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Form(answers): Form<Answers>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    of.account(key).await?;
    let id = |text: &str| ItemId::new(text.to_owned()).map_err(|_| Problem::NotFound);
    let selection = match answers.what.split_once(':') {
        Some(("message", item)) => Selection::Messages(vec![id(item)?]),
        Some(("folder", item)) => Selection::Folder(id(item)?),
        _ if answers.what == "mailbox" => Selection::Mailbox,
        _ => return Err(Problem::Invalid("Choose what to restore.".to_owned())),
    };
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
    };
    signed
        .note(&state, "began a restore", format!("{key} to {target}"))
        .await?;
    match state.service().restore(of.id(), key, order).await {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
        Err(error)
            if matches!(
                error.kind(),
                service::Kind::Conflict | service::Kind::Invalid
            ) =>
        {
            let mut view = View {
                point: answers.point,
                ..View::default()
            };
            match answers.what.split_once(':') {
                Some(("message", item)) => view.message = item.to_owned(),
                Some(("folder", item)) => view.folder = item.to_owned(),
                _ => {}
            }
            let said = crate::problem::sentence(&error);
            ask(&state, &signed, key, &view, said).await
        }
        Err(error) => Err(error.into()),
    }
}
