//! The audit: who did what.

use std::collections::HashMap;

use askama::Template;
use axum::{body::Body, extract::Query, response::Response};
use bytes::Bytes;
use catalog::{AccountKey, AuditEntry, ChainCheck, Organization};
use futures_util::stream;
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{message::file, runs::Pager},
    words::{When, count, noun},
};

/// Entries of a page.
const ROWS: u32 = 50;
/// Entries that are read at a time for the file.
const ROWS_OF_FILE: u32 = 1_000;

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
    for token in of.api_tokens().await? {
        names.insert(token.id.to_string(), format!("{} (API token)", token.name));
    }
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

/// All entries as CSV, the latest first, a page at a time. With the hashes somebody else can follow the chain.
pub(crate) async fn csv(state: State, signed: Signed) -> Result<Response, Problem> {
    signed.note(&state, "exported the audit", "").await?;
    let users = signed.organization.users().await?.into_iter();
    let names: HashMap<String, String> =
        users.map(|user| (user.id.to_string(), user.name)).collect();
    let name = format!("audit {}.csv", When(state.clock().now()).text("%Y-%m-%d"));
    let start = Some((signed.organization, names, None));
    let pages = stream::try_unfold(start, async |at| match at {
        None => Ok(None),
        Some((of, names, before)) => page_of_file(of, names, before).await.map(Some),
    });
    Ok(file(&name, Body::from_stream(pages)))
}

/// What is still to be told, and before which entry.
type Rest = Option<(Organization, HashMap<String, String>, Option<u64>)>;

async fn page_of_file(
    of: Organization,
    names: HashMap<String, String>,
    before: Option<u64>,
) -> std::io::Result<(Bytes, Rest)> {
    let entries = of.audit(before, ROWS_OF_FILE).await;
    let entries = entries.map_err(std::io::Error::other)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    if before.is_none() {
        writer.write_record([
            "number", "time", "who", "name", "what", "object", "detail", "hash",
        ])?;
    }
    for entry in &entries {
        let name = names.get(&entry.actor).map(String::as_str);
        writer.write_record([
            &entry.number.to_string(),
            &entry.happened_at.to_string(),
            &harmless(&entry.actor),
            &harmless(name.unwrap_or_default()),
            &harmless(&entry.action),
            &harmless(&entry.object),
            &harmless(&entry.detail),
            &entry.hash,
        ])?;
    }
    let bytes = writer.into_inner().map_err(std::io::Error::other)?;
    let last = entries.last().filter(|last| last.number > 1);
    let rest = last.map(|last| (of, names, Some(last.number)));
    Ok((bytes.into(), rest))
}

/// A text that no spreadsheet takes for a formula (abuse 79).
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected);
        check("Ada", "Ada");
        check("=1+1", "'=1+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("-2", "'-2");
        check("\t=1", "'\t=1");
        check("", "");
    }
}
