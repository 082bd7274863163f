//! The audit: who did what.

use std::collections::HashMap;

use askama::Template;
use axum::{body::Body, extract::Query, response::Response};
use bytes::Bytes;
use catalog::{AccountKey, AuditEntry, AuditFilter, ChainCheck, Organization};
use futures_util::stream;
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{message::file, runs::Pager},
    spreadsheet::harmless,
    words::{When, count, noun},
    zone::Zone,
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
    asked: Asked,
    /// Behind what days are asked for.
    zone: &'static str,
    error: &'static str,
    people: Vec<Choice>,
    actions: Vec<Choice>,
    /// The account whose entries alone are shown.
    account: String,
    csv: String,
    entries: Vec<Entry>,
    pager: Pager,
}

struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

struct Chain {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
    text: String,
    checked: When,
}

struct Entry {
    number: String,
    when: When,
    who: String,
    what: String,
    object: String,
    href: Option<String>,
}

/// Which entries: the state of the page, kept in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    who: String,
    what: String,
    account: String,
    from: String,
    to: String,
    before: Option<u64>,
    /// Not empty: the chain is to be looked at again.
    check: String,
}

impl Asked {
    fn filter(&self, zone: &Zone) -> Result<AuditFilter, &'static str> {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let (from, until) = zone.days(&self.from, &self.to)?;
        Ok(AuditFilter {
            actor: text(&self.who),
            action: text(&self.what),
            object: text(&self.account),
            from,
            until,
        })
    }

    fn href(&self, page: &str, before: Option<u64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let before = before.map(|number| number.to_string()).unwrap_or_default();
        for (name, value) in [
            ("who", &self.who),
            ("what", &self.what),
            ("account", &self.account),
            ("from", &self.from),
            ("to", &self.to),
            ("before", &before),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        match query.finish() {
            query if query.is_empty() => page.to_owned(),
            query => format!("{page}?{query}"),
        }
    }

    fn is_narrow(&self) -> bool {
        !self.href("", None).is_empty()
    }
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let (filter, error) = match asked.filter(&signed.zone) {
        Ok(filter) => (filter, ""),
        Err(error) => (AuditFilter::default(), error),
    };
    let mut entries = of.audit_of(&filter, asked.before, ROWS + 1).await?;
    let more = entries.len() > ROWS as usize;
    entries.truncate(ROWS as usize);
    let names = names(of).await?;
    let mut things = HashMap::new();
    for task in of.tasks().await? {
        things.insert(
            task.id.to_string(),
            (task.name, format!("/tasks/{}", task.id)),
        );
    }
    let ids = entries.iter().map(first_id).chain([asked.account.as_str()]);
    for id in ids {
        if let Ok(key) = id.parse::<AccountKey>()
            && !things.contains_key(id)
            && let Ok(account) = of.account(key).await
        {
            things.insert(id.to_owned(), (account.name, format!("/accounts/{key}")));
        }
    }
    let now = state.clock().now();
    let checked = state.checks();
    let (check, at) = checked.check(of, !asked.check.is_empty(), now).await?;
    let account = things.get(&asked.account).map(|(name, _)| name);
    let page = Audit {
        shell: signed.shell("audit").await?,
        chain: Chain::new(&check, at),
        error,
        zone: signed.zone.suffix(),
        people: people(&names, &asked.who),
        actions: choices(of.audit_actions().await?, &asked.what),
        account: account.unwrap_or(&asked.account).clone(),
        csv: asked.href("/audit.csv", None),
        pager: Pager {
            words: format!("{} on this page", count(entries.len() as u64)),
            first: asked.before.map(|_| asked.href("/audit", None)),
            next: entries
                .last()
                .filter(|_| more)
                .map(|last| asked.href("/audit", Some(last.number))),
        },
        entries: entries
            .iter()
            .map(|entry| Entry::new(entry, &names, &things))
            .collect(),
        asked,
    };
    Ok(page::html(&page))
}

/// Who acts, by the ids that entries have: users, API tokens, and Keepwell itself.
async fn names(of: &Organization) -> Result<HashMap<String, String>, Problem> {
    let users = of.users().await?.into_iter();
    let mut names: HashMap<String, String> =
        users.map(|user| (user.id.to_string(), user.name)).collect();
    for token in of.api_tokens().await? {
        names.insert(token.id.to_string(), format!("{} (API token)", token.name));
    }
    names.insert("keepwell".to_owned(), "Keepwell".to_owned());
    Ok(names)
}

fn people(names: &HashMap<String, String>, chosen: &str) -> Vec<Choice> {
    let mut people: Vec<_> = names
        .iter()
        .map(|(id, name)| Choice {
            value: id.clone(),
            words: name.clone(),
            chosen: id == chosen,
        })
        .collect();
    people.sort_by(|a, b| (&a.words, &a.value).cmp(&(&b.words, &b.value)));
    people
}

fn choices(words: Vec<String>, chosen: &str) -> Vec<Choice> {
    let choices = words.into_iter().map(|word| Choice {
        chosen: word == chosen,
        words: word.clone(),
        value: word,
    });
    choices.collect()
}

/// The entries that the page shows, and those on its further pages, as CSV, the latest first, a page at a time. With the hashes of all entries
/// somebody else can follow the chain.
pub(crate) async fn csv(
    state: State,
    signed: Signed,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let filter = asked
        .filter(&signed.zone)
        .map_err(|error| Problem::Invalid(error.to_owned()))?;
    signed.note(&state, "exported the audit", "").await?;
    let names = names(&signed.organization).await?;
    let name = format!("audit {}.csv", When(state.clock().now()).text("%Y-%m-%d"));
    let start = Some(Rest {
        of: signed.organization,
        names,
        filter,
        before: None,
    });
    let pages = stream::try_unfold(start, async |at| match at {
        None => Ok(None),
        Some(rest) => page_of_file(rest).await.map(Some),
    });
    Ok(file(&name, Body::from_stream(pages)))
}

/// What is still to be told.
struct Rest {
    of: Organization,
    names: HashMap<String, String>,
    filter: AuditFilter,
    before: Option<u64>,
}

async fn page_of_file(rest: Rest) -> std::io::Result<(Bytes, Option<Rest>)> {
    let entries = rest.of.audit_of(&rest.filter, rest.before, ROWS_OF_FILE);
    let entries = entries.await.map_err(std::io::Error::other)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    if rest.before.is_none() {
        writer.write_record([
            "number", "time", "who", "name", "what", "object", "detail", "hash",
        ])?;
    }
    for entry in &entries {
        let name = rest.names.get(&entry.actor).map(String::as_str);
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
    let last = entries.last().map(|last| last.number);
    let more = entries.len() == ROWS_OF_FILE as usize;
    let rest = more.then_some(Rest {
        before: last,
        ..rest
    });
    Ok((bytes.into(), rest))
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
    fn new(check: &ChainCheck, at: Timestamp) -> Self {
        let checked = When(at);
        match check {
            ChainCheck::Unbroken { entries, .. } => Self {
                class: "ok",
                icon: "check",
                word: "Unbroken",
                text: format!(
                    "Every entry follows from the one before: {}.",
                    noun(*entries, "entry", "entries")
                ),
                checked,
            },
            ChainCheck::Broken { number } => Self {
                class: "bad",
                icon: "alert",
                word: "Broken",
                text: format!(
                    "Entry {} was changed, or one before it is missing.",
                    count(*number)
                ),
                checked,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_page_is_its_address() {
        let asked = Asked {
            what: "signed in".to_owned(),
            from: "2026-02-01".to_owned(),
            to: "2026-02-28".to_owned(),
            before: Some(7),
            ..Asked::default()
        };
        assert_eq!(
            asked.href("/audit", Some(5)),
            "/audit?what=signed+in&from=2026-02-01&to=2026-02-28&before=5"
        );
        assert_eq!(Asked::default().href("/audit.csv", None), "/audit.csv");
        let filter = asked.filter(&Zone::utc());
        let time = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(
            filter.map(|filter| (filter.from, filter.until)),
            Ok((time("2026-02-01T00:00:00Z"), time("2026-03-01T00:00:00Z")))
        );
        let wrong = Asked {
            to: "2026-01-31".to_owned(),
            ..asked
        };
        assert!(wrong.filter(&Zone::utc()).is_err());
    }
}
