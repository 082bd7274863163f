//! An account: its restore points, and what is in one of them. Looking at content is for those who may restore, and is noted in the audit.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{Account, AccountKey, Status, TaskId};
use jiff::{ToSpan, civil::Date};
use model::ItemId;
use serde::Deserialize;
use service::RestorePoint;
use workload::mail::{Archive, Folder, Listed};

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{
        message::{Mail, note_look},
        runs::Pager,
        task::Chip,
    },
    path::Path,
    words::{Outcome, Pill, When, count, noun, service as service_words, size},
    zone::Zone,
};

/// Days of the time line.
const DAYS: i32 = 30;
/// Messages of a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "account.html")]
struct Page {
    shell: Shell,
    key: AccountKey,
    name: String,
    service: &'static str,
    task: TaskId,
    task_name: String,
    status: Status,
    result: Outcome,
    can_back_up: bool,
    sentence: String,
    span: String,
    /// The last day of the time line, and today.
    until: Date,
    today: Date,
    earlier: Option<String>,
    later: Option<String>,
    problem: Option<String>,
    no_points: &'static str,
    days: Vec<Day>,
    times: Vec<Chip>,
    point: Option<Point>,
    browse: Option<Browse>,
}

/// A day of the time line.
struct Day {
    href: Option<String>,
    current: bool,
    class: String,
    number: i8,
    words: String,
}

struct Point {
    id: String,
    time: When,
    result: Outcome,
    items: String,
    added: String,
}

struct Browse {
    tree: Vec<TreeStep>,
    folder: String,
    number: String,
    /// The same with its noun.
    count: String,
    restore_folder: String,
    folder_id: String,
    search: String,
    messages: Vec<MessageRow>,
    pager: Pager,
    mail: Option<Mail>,
}

/// The tree as a template walks it.
enum TreeStep {
    Leaf(TreeFolder),
    Open(TreeFolder),
    Close,
}

struct TreeFolder {
    name: String,
    href: String,
    messages: String,
    current: bool,
    open: bool,
}

/// A message in a list.
pub(crate) struct MessageRow {
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) current: bool,
    pub(crate) from: String,
    pub(crate) time: Option<When>,
    pub(crate) subject: String,
    pub(crate) about: String,
}

impl MessageRow {
    /// `view` is what is looked at now.
    pub(crate) fn new(message: Listed, key: AccountKey, view: &View) -> Self {
        let id = message.id.as_str().to_owned();
        let current = id == view.message;
        let view = View {
            message: id.clone(),
            ..view.clone()
        };
        let or = |text: String, other: &str| {
            if text.trim().is_empty() {
                other.to_owned()
            } else {
                text
            }
        };
        Self {
            id,
            href: format!("{}#message", view.href(key, "")),
            current,
            from: or(
                or(message.sender_name, &message.sender_address),
                "(no sender)",
            ),
            time: message.received.map(When),
            subject: or(message.subject, "(no subject)"),
            about: match message.has_attachments {
                true => format!("{}, with attachments", size(message.size_bytes)),
                false => size(message.size_bytes),
            },
        }
    }
}

/// What of the account is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct View {
    pub(crate) point: String,
    pub(crate) folder: String,
    pub(crate) message: String,
    /// The message after which the page of the folder begins.
    pub(crate) after: String,
    /// The last day of the time line.
    pub(crate) until: String,
}

impl View {
    /// An address below the account's, with what is looked at.
    pub(crate) fn href(&self, account: AccountKey, below: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("point", &self.point),
            ("folder", &self.folder),
            ("message", &self.message),
            ("after", &self.after),
            ("until", &self.until),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/accounts/{account}{below}?{}", query.finish())
    }
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Query(view): Query<View>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let (points, problem) = match state.service().restore_points(of.id(), key).await {
        Ok(points) => (points, None),
        Err(error) => (Vec::new(), Some(told(&error))),
    };
    let chosen: Option<RestorePoint> = match view.point.as_str() {
        "" => points.first().cloned(),
        id => points.iter().find(|point| point.snapshot == id).cloned(),
    };
    if !view.point.is_empty() && problem.is_none() && chosen.is_none() {
        return Err(Problem::NotFound);
    }
    let now = state.clock().now();
    let zone = &signed.zone;
    let today = zone.day(now);
    let until = view.until.parse().unwrap_or(today);
    let view = View {
        point: chosen
            .as_ref()
            .map(|point| point.snapshot.clone())
            .unwrap_or_default(),
        ..view
    };
    let (browse, unreadable) = match &chosen {
        Some(_) if signed.may_act() => match browse(&state, &signed, key, &view).await {
            Ok(browse) => (Some(browse), None),
            Err(Looking::Told(text)) => (None, Some(text)),
            Err(Looking::Problem(problem)) => return Err(problem),
        },
        _ => (None, None),
    };
    let oldest = points.last().map(|point| zone.day(point.time));
    let mut shell = signed.shell("").await?;
    shell.mark_task(&task.id.to_string());
    let page = Page {
        shell,
        key,
        service: service_words(account.service).1,
        task: task.id,
        task_name: task.name,
        status: account.status,
        result: account.last_result.into(),
        can_back_up: account.status == Status::Active,
        sentence: sentence(&account, &points, zone),
        span: span(until, !points.is_empty(), zone),
        until,
        today,
        earlier: oldest
            .filter(|oldest| *oldest <= until - DAYS.days())
            .map(|_| at_day(&view, until - DAYS.days()).href(key, "")),
        later: (until < today && !points.is_empty())
            .then(|| at_day(&view, (until + DAYS.days()).min(today)).href(key, "")),
        problem: problem.or(unreadable),
        no_points: match account.status {
            Status::Active => "The first is made by the next run, or with Backup Now.",
            _ => "Activate the account, then the next run makes the first.",
        },
        days: match points.is_empty() {
            true => Vec::new(),
            false => days(&points, until, chosen.as_ref(), &view, key, zone),
        },
        times: times(&points, chosen.as_ref(), &view, key, zone),
        point: chosen.as_ref().map(Point::new),
        browse,
        name: account.name,
    };
    Ok(page::html(&page))
}

/// Why a restore point cannot be looked into.
enum Looking {
    /// For the page.
    Told(String),
    /// Instead of the page.
    Problem(Problem),
}

impl From<Problem> for Looking {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<workload::Error> for Looking {
    fn from(error: workload::Error) -> Self {
        match error.kind() {
            workload::Kind::NotFound => Self::Problem(Problem::NotFound),
            _ => Self::Told(crate::problem::sentence(&error)),
        }
    }
}

/// Where things lie on the server is for its log, and for nobody who only signs in.
fn told(error: &service::Error) -> String {
    let text = error.to_string();
    if !text.contains(std::path::MAIN_SEPARATOR) {
        let mut told = crate::problem::sentence(&text);
        if matches!(error, service::Error::Engine(_)) && error.kind() == service::Kind::Corrupt {
            told.push_str(" A part of them is damaged: a backup repairs what it can, and fetches again what is lost.");
        }
        return told;
    }
    tracing::warn!(error = %error.text(), "an account's backups cannot be read");
    "The account's backups are not where they should be, and nothing was made in their place. Whoever runs the server looks whether the disk with the data folder is mounted; the log names the folder."
        .to_owned()
}

fn at_day(view: &View, until: Date) -> View {
    View {
        until: until.to_string(),
        ..view.clone()
    }
}

fn span(until: Date, has_points: bool, zone: &Zone) -> String {
    if !has_points {
        return String::new();
    }
    let from = until - (DAYS - 1).days();
    format!(
        "{} to {}{}",
        from.strftime("%-d %B"),
        until.strftime("%-d %B %Y"),
        zone.suffix()
    )
}

fn sentence(account: &Account, points: &[RestorePoint], zone: &Zone) -> String {
    let mut text = format!("{}.", account.address);
    if let Some(oldest) = points.last() {
        text.push_str(&format!(
            " {} since {}{}.",
            noun(points.len() as u64, "restore point", "restore points"),
            zone.day(oldest.time).strftime("%-d %B %Y"),
            zone.suffix()
        ));
    }
    text
}

impl Point {
    fn new(point: &RestorePoint) -> Self {
        let items = point.items.map(|items| noun(items, "item", "items"));
        let size = point.size_bytes.map(size);
        Self {
            id: point.snapshot.clone(),
            time: When(point.time),
            result: result(point),
            items: [items, size]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            added: point
                .bytes_added
                .map(|bytes| format!("{} added", crate::words::size(bytes)))
                .unwrap_or_default(),
        }
    }
}

fn result(point: &RestorePoint) -> Outcome {
    match point.partial {
        true => Outcome::Partial,
        false => Outcome::Success,
    }
}

/// The time line, the newest day first.
fn days(
    points: &[RestorePoint],
    until: Date,
    chosen: Option<&RestorePoint>,
    view: &View,
    key: AccountKey,
    zone: &Zone,
) -> Vec<Day> {
    let mut of_day: HashMap<Date, Vec<&RestorePoint>> = HashMap::new();
    for point in points {
        of_day.entry(zone.day(point.time)).or_default().push(point);
    }
    let added = |points: &[&RestorePoint]| -> u64 {
        points.iter().filter_map(|point| point.bytes_added).sum()
    };
    let most = of_day.values().map(|points| added(points)).max();
    let most = most.unwrap_or_default().max(1);
    (0..DAYS)
        .map(|back| {
            let date = until - back.days();
            let its = of_day.get(&date).map(Vec::as_slice).unwrap_or_default();
            let height = 1 + (added(its).saturating_mul(4) / most).min(4);
            let is_partial = its.iter().any(|point| point.partial);
            let newest = its.first();
            Day {
                href: newest.map(|point| {
                    let view = View {
                        point: point.snapshot.clone(),
                        until: view.until.clone(),
                        folder: view.folder.clone(),
                        ..View::default()
                    };
                    view.href(key, "")
                }),
                current: chosen.is_some_and(|point| zone.day(point.time) == date),
                class: format!("h{height}{}", if is_partial { " p" } else { "" }),
                number: date.day(),
                words: match (newest, is_partial) {
                    (None, _) => format!("{}: no restore point", date.strftime("%B")),
                    (_, true) => format!("{}, partial", date.strftime("%B")),
                    (_, false) => format!("{}, success", date.strftime("%B")),
                },
            }
        })
        .collect()
}

/// The restore points of the chosen day.
fn times(
    points: &[RestorePoint],
    chosen: Option<&RestorePoint>,
    view: &View,
    key: AccountKey,
    zone: &Zone,
) -> Vec<Chip> {
    let Some(chosen) = chosen else {
        return Vec::new();
    };
    let of_day = points
        .iter()
        .filter(|point| zone.day(point.time) == zone.day(chosen.time));
    let chips = of_day.map(|point| {
        let view = View {
            point: point.snapshot.clone(),
            message: String::new(),
            ..view.clone()
        };
        Chip {
            href: view.href(key, ""),
            current: point.snapshot == chosen.snapshot,
            words: When(point.time).text("%H:%M:%S UTC"),
            time: Some(When(point.time)),
        }
    });
    chips.collect()
}

/// What is in the restore point.
async fn browse(
    state: &State,
    signed: &Signed,
    key: AccountKey,
    view: &View,
) -> Result<Browse, Looking> {
    let archive = state
        .service()
        .archive(signed.organization.id(), key, Some(&view.point))
        .await
        .map_err(|error| Looking::Told(told(&error)))?;
    let folders = archive.folders();
    let folder = match view.folder.as_str() {
        "" => folders
            .iter()
            .find(|folder| folder.well_known.as_deref() == Some("inbox"))
            .or(folders.get(1)),
        id => folders.iter().find(|folder| folder.id.as_str() == id),
    };
    let Some(folder) = folder.or(folders.first()) else {
        return Err(Problem::NotFound.into());
    };
    let view = View {
        folder: folder.id.as_str().to_owned(),
        ..view.clone()
    };
    let object = format!("{key} {}", folder.id);
    signed.note(state, "looked into a folder", object).await?;
    let mail = match view.message.as_str() {
        "" => None,
        id => {
            let id = ItemId::new(id.to_owned()).map_err(|_| Problem::NotFound)?;
            note_look(state, signed, key, &id).await?;
            let at = archive.find(&id).await?.ok_or(Problem::NotFound)?;
            let message = archive.message(&at).await?;
            Some(Mail::new(message, key, &view).await)
        }
    };
    let (messages, next) = messages(&archive, &folder.id, key, &view).await?;
    let page = |after: String| View {
        after,
        message: String::new(),
        ..view.clone()
    };
    Ok(Browse {
        tree: tree(folders, folder, key, &view),
        folder: folder.display_name.clone(),
        folder_id: folder.id.as_str().to_owned(),
        search: View {
            point: view.point.clone(),
            ..View::default()
        }
        .href(key, "/search"),
        number: count(folder.messages),
        count: noun(folder.messages, "message", "messages"),
        restore_folder: View {
            message: String::new(),
            ..view.clone()
        }
        .href(key, "/restore"),
        pager: Pager {
            words: format!(
                "{} of {}",
                count(messages.len() as u64),
                count(folder.messages)
            ),
            first: (!view.after.is_empty()).then(|| page(String::new()).href(key, "")),
            next: next.map(|last| page(last).href(key, "")),
        },
        messages,
        mail,
    })
}

/// A page of a folder's messages, the newest first, and after which one the next page begins.
async fn messages(
    archive: &Archive,
    folder: &ItemId,
    key: AccountKey,
    view: &View,
) -> Result<(Vec<MessageRow>, Option<String>), Looking> {
    let after = match view.after.as_str() {
        "" => None,
        id => {
            let id = ItemId::new(id.to_owned()).map_err(|_| Problem::NotFound)?;
            Some(archive.find(&id).await?.ok_or(Problem::NotFound)?)
        }
    };
    let mut found = archive.page(folder, after.as_ref(), ROWS + 1).await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let next = found.last().filter(|_| more);
    let next = next.map(|last| last.id.as_str().to_owned());
    let rows = found
        .into_iter()
        .map(|message| MessageRow::new(message, key, view));
    Ok((rows.collect(), next))
}

/// The folders as a tree, below the root of the mailbox.
fn tree(folders: &[Folder], chosen: &Folder, key: AccountKey, view: &View) -> Vec<TreeStep> {
    let by_id: HashMap<&ItemId, &Folder> = folders.iter().map(|f| (&f.id, f)).collect();
    let mut above = HashSet::new();
    let mut next = Some(&chosen.id);
    while let Some(id) = next.filter(|id| above.insert((*id).clone())) {
        next = by_id.get(id).and_then(|folder| folder.parent.as_ref());
    }
    let mut inside: HashMap<Option<&ItemId>, Vec<&Folder>> = HashMap::new();
    for folder in folders {
        inside
            .entry(folder.parent.as_ref())
            .or_default()
            .push(folder);
    }
    let root = folders.iter().find(|folder| folder.parent.is_none());
    let mut steps = Vec::new();
    // What is still to be told; `None` closes a folder.
    let mut rest: Vec<Option<&Folder>> = Vec::new();
    if let Some(root) = root {
        rest.extend(shown(&inside, &root.id));
    }
    while let Some(step) = rest.pop() {
        let Some(folder) = step else {
            steps.push(TreeStep::Close);
            continue;
        };
        let told = TreeFolder {
            name: folder.display_name.clone(),
            href: View {
                folder: folder.id.as_str().to_owned(),
                message: String::new(),
                after: String::new(),
                ..view.clone()
            }
            .href(key, ""),
            messages: count(folder.messages),
            current: folder.id == chosen.id,
            open: above.contains(&folder.id),
        };
        let children = shown(&inside, &folder.id);
        if children.is_empty() {
            steps.push(TreeStep::Leaf(told));
        } else {
            steps.push(TreeStep::Open(told));
            rest.push(None);
            rest.extend(children);
        }
    }
    steps
}

/// The folders inside one that are shown, the last first.
fn shown<'a>(
    inside: &HashMap<Option<&ItemId>, Vec<&'a Folder>>,
    of: &ItemId,
) -> Vec<Option<&'a Folder>> {
    let its = inside.get(&Some(of)).map(Vec::as_slice).unwrap_or_default();
    let shown = its.iter().rev().filter(|f| !f.hidden || f.messages > 0);
    shown.map(|folder| Some(*folder)).collect()
}
