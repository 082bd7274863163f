//! The audit: who did what.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{AccountKey, AuditEntry, ChainCheck};
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::runs::Pager,
    words::{When, count, noun},
};

/// Entries of a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    shell: Shell,
    chain: Chain,
    entries: Vec<Entry>,
    pager: Pager,
}

struct Chain {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
    text: String,
}

struct Entry {
    number: String,
    when: When,
    who: String,
    what: String,
    object: String,
    href: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Before {
    before: Option<u64>,
}

/// The page.
pub(crate) async fn show(
    _: State,
    signed: Signed,
    Query(before): Query<Before>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let mut entries = of.audit(before.before, ROWS + 1).await?;
    let more = entries.len() > ROWS as usize;
    entries.truncate(ROWS as usize);
    let users = of.users().await?.into_iter();
    let mut names: HashMap<String, String> =
        users.map(|user| (user.id.to_string(), user.name)).collect();
    names.insert("keepwell".to_owned(), "Keepwell".to_owned());
    let mut things = HashMap::new();
    for task in of.tasks().await? {
        things.insert(
            task.id.to_string(),
            (task.name, format!("/tasks/{}", task.id)),
        );
    }
    for entry in &entries {
        let id = first_id(entry);
        if let Ok(key) = id.parse::<AccountKey>()
            && !things.contains_key(id)
            && let Ok(account) = of.account(key).await
        {
            things.insert(id.to_owned(), (account.name, format!("/accounts/{key}")));
        }
    }
    let page = Audit {
        shell: signed.shell("audit").await?,
        chain: Chain::new(&of.check_audit().await?),
        pager: Pager {
            words: format!("{} on this page", count(entries.len() as u64)),
            first: before.before.map(|_| "/audit".to_owned()),
            next: entries
                .last()
                .filter(|_| more)
                .map(|last| format!("/audit?before={}", last.number)),
        },
        entries: entries
            .iter()
            .map(|entry| Entry::new(entry, &names, &things))
            .collect(),
    };
    Ok(page::html(&page))
}

/// What was acted on: the first id of the object; an item of it may follow.
fn first_id(entry: &AuditEntry) -> &str {
    let (first, _) = entry.object.split_once(' ').unwrap_or((&entry.object, ""));
    first
}

impl Entry {
    /// `things` are names and addresses of tasks and accounts, by their ids.
    fn new(
        entry: &AuditEntry,
        names: &HashMap<String, String>,
        things: &HashMap<String, (String, String)>,
    ) -> Self {
        let thing = things.get(first_id(entry));
        let object = thing.map(|(name, _)| name);
        let object = object.or_else(|| names.get(&entry.object));
        Self {
            number: count(entry.number),
            when: When(entry.happened_at),
            who: names.get(&entry.actor).unwrap_or(&entry.actor).clone(),
            what: entry.action.clone(),
            href: thing.map(|(_, href)| href.clone()),
            object: object.unwrap_or(&entry.object).clone(),
        }
    }
}

impl Chain {
    fn new(check: &ChainCheck) -> Self {
        match check {
            ChainCheck::Unbroken { entries, .. } => Self {
                class: "ok",
                icon: "check",
                word: "Unbroken",
                text: format!(
                    "Every entry follows from the one before: {}, checked now.",
                    noun(*entries, "entry", "entries")
                ),
            },
            ChainCheck::Broken { number } => Self {
                class: "bad",
                icon: "alert",
                word: "Broken",
                text: format!(
                    "Entry {} was changed, or one before it is missing.",
                    count(*number)
                ),
            },
        }
    }
}
