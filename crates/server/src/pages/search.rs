//! Search within an account as of a restore point: subject, sender and days, over what the backup lists, not over the text of messages.
//!
//! There is no index: so many messages are looked at for a page, and the page says how many, of how many, and goes on from there.

use askama::Template;
use axum::{extract::Query, response::Response};
use catalog::{AccountKey, TaskId};
use model::ItemId;
use serde::Deserialize;
use workload::mail::{Archive, Found, Search};

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{
        account::{MessageRow, View},
        runs::Pager,
    },
    path::Path,
    words::{When, count, noun},
    zone::Zone,
};

/// Messages found on a page.
const ROWS: usize = 50;
/// Messages looked at for a page: some seconds' worth at most.
pub(crate) const LOOKED_AT_MAX: u64 = 5_000;
/// Letters of what is looked for.
pub(crate) const WORDS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    shell: Shell,
    key: AccountKey,
    name: String,
    task: TaskId,
    task_name: String,
    back: String,
    point: String,
    as_of: When,
    asked: Asked,
    /// Behind what days are asked for.
    zone: &'static str,
    error: String,
    found: Option<Results>,
}

struct Results {
    sentence: String,
    messages: Vec<Hit>,
    pager: Pager,
}

/// A message, and where it lies.
struct Hit {
    row: MessageRow,
    folder: String,
}

/// What is looked for, as typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    point: String,
    words: String,
    from: String,
    to: String,
    /// The message after which to go on.
    after: String,
    /// Messages that the pages before looked at.
    looked: u64,
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.words.trim().is_empty() && self.from.is_empty() && self.to.is_empty()
    }

    fn search(&self, zone: &Zone) -> Result<Search, &'static str> {
        let (from, until) = zone.days(&self.from, &self.to)?;
        Ok(Search {
            words: self.words.chars().take(WORDS_MAX).collect(),
            from,
            until,
            folder: None,
        })
    }

    fn href(&self, account: AccountKey) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let looked = match self.looked {
            0 => String::new(),
            looked => looked.to_string(),
        };
        for (name, value) in [
            ("point", &self.point),
            ("words", &self.words),
            ("from", &self.from),
            ("to", &self.to),
            ("after", &self.after),
            ("looked", &looked),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/accounts/{account}/search?{}", query.finish())
    }
}

/// The page: the form, and what was found.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(key): Path<AccountKey>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let of = &signed.organization;
    let account = of.account(key).await?;
    let task = of.task(account.task).await?;
    let points = state.service().restore_points(of.id(), key).await?;
    let point = match asked.point.as_str() {
        "" => points.first(),
        id => points.iter().find(|point| point.snapshot == id),
    };
    let point = point.ok_or_else(|| match points.is_empty() {
        true => Problem::Conflict("There is no restore point yet to search in.".to_owned()),
        false => Problem::NotFound,
    })?;
    let asked = Asked {
        point: point.snapshot.clone(),
        ..asked
    };
    let view = View {
        point: point.snapshot.clone(),
        ..View::default()
    };
    let (mut found, mut error) = (None, "");
    match asked.search(&signed.zone) {
        Err(wrong) => error = wrong,
        Ok(_) if asked.is_empty() => {}
        Ok(search) => {
            signed.note(&state, "searched an account", key).await?;
            let snapshot = Some(point.snapshot.as_str());
            let archive = state.service().archive(of.id(), key, snapshot).await?;
            found = Some(results(&archive, &search, &asked, key, &view).await?);
        }
    }
    let mut shell = signed.shell("").await?;
    shell.mark_task(&task.id.to_string());
    let page = Page {
        shell,
        key,
        name: account.name,
        task: task.id,
        task_name: task.name,
        back: view.href(key, ""),
        point: point.snapshot.clone(),
        as_of: When(point.time),
        asked,
        zone: signed.zone.suffix(),
        error: error.to_owned(),
        found,
    };
    Ok(page::html(&page))
}

async fn results(
    archive: &Archive,
    search: &Search,
    asked: &Asked,
    key: AccountKey,
    view: &View,
) -> Result<Results, Problem> {
    let after = match asked.after.as_str() {
        "" => None,
        id => {
            let id = ItemId::new(id.to_owned()).map_err(|_| Problem::NotFound)?;
            Some(archive.find(&id).await?.ok_or(Problem::NotFound)?)
        }
    };
    let found = archive
        .search(search, after.as_ref(), ROWS, LOOKED_AT_MAX)
        .await?;
    let all: u64 = archive.folders().iter().map(|folder| folder.messages).sum();
    let looked = asked.looked.saturating_add(found.looked_at);
    let next = match &found.next {
        None => None,
        Some(at) => {
            let last = archive.message_id(at).await?;
            let next = Asked {
                after: last.as_str().to_owned(),
                looked,
                ..asked.clone()
            };
            Some(next.href(key))
        }
    };
    let first = Asked {
        after: String::new(),
        looked: 0,
        ..asked.clone()
    };
    Ok(Results {
        sentence: sentence(&found, looked, all),
        pager: Pager {
            words: format!("{} on this page", count(found.messages.len() as u64)),
            first: (!asked.after.is_empty()).then(|| first.href(key)),
            next,
        },
        messages: hits(archive, found, key, view),
    })
}

/// What was looked at: the whole truth about what the list below leaves out.
fn sentence(found: &Found, looked: u64, all: u64) -> String {
    let hits = noun(found.messages.len() as u64, "message", "messages");
    match found.next {
        Some(_) => format!(
            "{hits} found on this page; {} of {} looked at so far. Next goes on.",
            count(looked),
            noun(all, "message", "messages")
        ),
        None => format!("{hits} found on this page. Everything has been looked at."),
    }
}

fn hits(archive: &Archive, found: Found, key: AccountKey, view: &View) -> Vec<Hit> {
    let paths = archive.paths();
    let hits = found.messages.into_iter().map(|(folder, message)| {
        let path = paths.iter().find(|(id, _)| *id == folder);
        let view = View {
            folder: folder.as_str().to_owned(),
            ..view.clone()
        };
        Hit {
            folder: path.map(|(_, names)| names.join(" / ")).unwrap_or_default(),
            row: MessageRow::new(message, key, &view),
        }
    });
    hits.collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn days_are_whole_and_in_order() {
        let asked = |from: &str, to: &str| Asked {
            from: from.to_owned(),
            to: to.to_owned(),
            ..Asked::default()
        };
        let search = asked("2026-02-01", "2026-02-28").search(&Zone::utc());
        let time = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(
            search.map(|search| (search.from, search.until)),
            Ok((time("2026-02-01T00:00:00Z"), time("2026-03-01T00:00:00Z")))
        );
        assert!(
            asked("2026-02-01", "2026-02-01")
                .search(&Zone::utc())
                .is_ok()
        );
        for (from, to) in [
            ("2026-02-02", "2026-02-01"),
            ("yesterday", ""),
            ("", "9999-12-31"),
            ("2026-02-30", ""),
        ] {
            assert!(asked(from, to).search(&Zone::utc()).is_err(), "{from} {to}");
        }
    }
}
