//! What is in the target already: the message itself, or a copy that a restore made.
//!
//! Three questions, each asked only where its answer can be yes. In place and in the same account: is the message still in its folder, unchanged?
//! In place: did an earlier restore put a copy there? Into a folder that was there before this run: did this very restore?

use std::collections::HashMap;

use graph::{BATCH_MAX, Kind, Request, Response, segment};
use model::ItemId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Destination, Failure, Mailbox, Place, Restore, marks};
use crate::{
    Error, Result,
    mail::{
        MessageRef,
        compose::{MARK_RESTORE, MARK_SOURCE},
        json::Fields,
    },
};

const WHAT: &str = "what the mailbox holds already";
/// Messages to a page of a listing: the most that Graph gives.
const LISTED_AT_ONCE: &str = "odata.maxpagesize=1000";
/// What makes a message the same although its change key differs: all that people cannot change by reading, flagging or filing it.
const CONTENT: &str = "subject,body,from,sender,toRecipients,ccRecipients,bccRecipients,replyTo,internetMessageId,sentDateTime,hasAttachments,isDraft";

/// What is known of a message before it is restored.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Nothing of it is there.
    Missing,
    /// It is still in its folder, unchanged.
    Identical,
    /// A restore made a copy, which has this id; its attachments may be incomplete.
    Copy(ItemId),
    /// It could not be learnt.
    Doubtful(Failure),
}

/// A message of the archive, as far as it is needed for asking.
struct Asked {
    index: usize,
    id: ItemId,
    json: Box<RawValue>,
}

/// What is known of a folder before its messages are looked up.
pub(super) struct Standing {
    /// Change keys of the messages in it; `None` when each message is to be asked for.
    listed: Option<HashMap<ItemId, Option<String>>>,
    /// A restore may have put copies there.
    may_have_copies: bool,
}

impl Restore<'_> {
    /// What is in a folder before `count` messages are restored into it. Requests are the scarce good: a listing has a thousand messages to a
    /// request, and whether there is any copy at all is one request for the folder instead of one for each message.
    pub(super) async fn standing(&self, place: &Place, count: usize) -> Result<Standing> {
        let mut standing = Standing {
            listed: None,
            may_have_copies: !place.is_new,
        };
        if place.is_new || !self.is_in_place() {
            return Ok(standing);
        }
        if self.same_account && count > BATCH_MAX {
            standing.listed = unless_fatal(self.mailbox.list(&place.id).await)?;
        }
        let any = self.mailbox.any_copy(&place.id).await;
        standing.may_have_copies = unless_fatal(any)?.unwrap_or(true);
        Ok(standing)
    }

    /// What is there of each of these messages, in their order, with their ids where they were read.
    pub(super) async fn known(
        &self,
        place: &Place,
        standing: &Standing,
        messages: &[MessageRef],
    ) -> Result<Vec<(Option<ItemId>, Known)>> {
        let mut known = vec![Known::Missing; messages.len()];
        let mut ids = vec![None; messages.len()];
        if place.is_new {
            return Ok(ids.into_iter().zip(known).collect());
        }
        let mut asked = Vec::new();
        for (index, at) in messages.iter().enumerate() {
            match self.headline(at).await {
                Ok((id, json)) => {
                    ids[index] = Some(id.clone());
                    asked.push(Asked { index, id, json });
                }
                Err(_) => known[index] = Known::Doubtful(Failure::unreadable()),
            }
        }
        if self.is_in_place() && self.same_account {
            self.find_themselves(place, standing, &asked, &mut known)
                .await?;
        }
        if standing.may_have_copies {
            asked.retain(|message| matches!(known[message.index], Known::Missing));
            self.find_copies(place, &asked, &mut known).await?;
        }
        Ok(ids.into_iter().zip(known).collect())
    }

    async fn headline(&self, at: &MessageRef) -> Result<(ItemId, Box<RawValue>)> {
        let json = self.archive.json(at).await?;
        let id = Fields::of(&json)?.id("id")?;
        Ok((id, json))
    }

    fn is_in_place(&self) -> bool {
        matches!(self.options.destination, Destination::InPlace)
    }

    /// Finds those that are still in their folder, unchanged. Another version of a message is no reason not to restore this one, beside it.
    async fn find_themselves(
        &self,
        place: &Place,
        standing: &Standing,
        asked: &[Asked],
        known: &mut [Known],
    ) -> Result<()> {
        let mut changed = Vec::new();
        let versions = self.versions(place, standing, asked).await?;
        for (message, version) in asked.iter().zip(versions) {
            match version {
                Ok(Some(version)) if version == text(&message.json, "changeKey") => {
                    known[message.index] = Known::Identical;
                }
                Ok(Some(_)) => changed.push(message),
                Ok(None) => {}
                Err(failure) => known[message.index] = Known::Doubtful(failure),
            }
        }
        let answers = self
            .mailbox
            .messages(changed.iter().copied(), CONTENT)
            .await?;
        for (message, answer) in changed.into_iter().zip(answers) {
            match answer {
                Ok(Some(now)) if same_content(&now, &message.json) => {
                    known[message.index] = Known::Identical
                }
                Ok(_) => {}
                Err(failure) => known[message.index] = Known::Doubtful(failure),
            }
        }
        Ok(())
    }

    /// The change key that each message has now; nothing for those that are not in the folder.
    async fn versions(
        &self,
        place: &Place,
        standing: &Standing,
        asked: &[Asked],
    ) -> Result<Vec<Result<Option<Option<String>>, Failure>>> {
        if let Some(listed) = &standing.listed {
            let versions = asked
                .iter()
                .map(|message| Ok(listed.get(&message.id).cloned()));
            return Ok(versions.collect());
        }
        let select = "id,parentFolderId,changeKey";
        let answers = self.mailbox.messages(asked.iter(), select).await?;
        let is_here =
            |now: &RawValue| text(now, "parentFolderId").as_deref() == Some(place.id.as_str());
        let version = |now: Option<Box<RawValue>>| {
            let now = now.filter(|now| is_here(now));
            now.map(|now| text(&now, "changeKey"))
        };
        Ok(answers
            .into_iter()
            .map(|answer| answer.map(version))
            .collect())
    }

    /// Finds copies by their marks: into a new folder those of this very restore wherever they are by now, in place those of any restore that
    /// are in the folder.
    async fn find_copies(&self, place: &Place, asked: &[Asked], known: &mut [Known]) -> Result<()> {
        let requests = asked.iter().map(|message| {
            let fields = Fields::of(&message.json).unwrap_or_default();
            let marks = marks(self.options, &message.id, &fields);
            if self.is_in_place() {
                self.mailbox
                    .search(Some(&place.id), MARK_SOURCE, &marks.source)
            } else {
                self.mailbox.search(None, MARK_RESTORE, &marks.restore)
            }
        });
        let answers = self.mailbox.batch(requests.collect()).await?;
        for (message, answer) in asked.iter().zip(answers) {
            match answer.and_then(|response| first(&response)) {
                Ok(Some(id)) => known[message.index] = Known::Copy(id),
                Ok(None) => {}
                Err(error) => known[message.index] = Known::Doubtful(Failure::of(&error)),
            }
        }
        Ok(())
    }
}

impl Mailbox<'_> {
    /// The message that carries this mark, whichever restore is asking. Errors when it could not be learnt.
    pub(super) async fn find(
        &self,
        folder: &ItemId,
        mark: &str,
        value: &str,
    ) -> Result<Option<ItemId>, graph::Error> {
        let request = self.search(Some(folder), mark, value);
        first(&self.graph.send(&self.scope, request).await?)
    }

    /// The messages of a folder with their change keys. A delta from the beginning is the one listing that misses nothing while people go on
    /// reading and filing.
    async fn list(&self, folder: &ItemId) -> Result<HashMap<ItemId, Option<String>>, graph::Error> {
        let path = self.path(&format!(
            "/mailFolders/{}/messages/delta",
            segment(folder.as_str())
        ));
        let request = Request::get(path)
            .query("$select", "id,changeKey")
            .prefer(LISTED_AT_ONCE);
        let mut pages = self.graph.pages(&self.scope, request);
        let mut listed = HashMap::new();
        while let Some(page) = pages.next().await? {
            for row in page.items {
                let fields = Fields::of(&row).unwrap_or_default();
                let Ok(id) = fields.id("id") else { continue };
                if fields.has("@removed") {
                    listed.remove(&id);
                } else {
                    listed.insert(id, fields.text("changeKey"));
                }
            }
        }
        Ok(listed)
    }

    /// Whether any restore has put a copy of anything into a folder.
    async fn any_copy(&self, folder: &ItemId) -> Result<bool, graph::Error> {
        let path = self.path(&format!(
            "/mailFolders/{}/messages",
            segment(folder.as_str())
        ));
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq '{MARK_SOURCE}' and ep/value ne null)"
        );
        let request = Request::get(path)
            .query("$filter", &filter)
            .query("$select", "id")
            .query("$top", "1");
        Ok(first(&self.graph.send(&self.scope, request).await?)?.is_some())
    }

    /// Asks for messages by their ids; `None` for those that are not there.
    async fn messages<'m>(
        &self,
        asked: impl Iterator<Item = &'m Asked>,
        select: &str,
    ) -> Result<Vec<Result<Option<Box<RawValue>>, Failure>>> {
        let requests = asked.map(|message| {
            let path = self.path(&format!("/messages/{}", segment(message.id.as_str())));
            Request::get(path).query("$select", select)
        });
        let answers = self.batch(requests.collect()).await?.into_iter();
        let read = |answer: Result<Response, graph::Error>| match answer
            .and_then(|response| response.json())
        {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(Failure::of(&error)),
        };
        Ok(answers.map(read).collect())
    }

    async fn batch(&self, requests: Vec<Request>) -> Result<Vec<Result<Response, graph::Error>>> {
        self.graph
            .batch(&self.scope, requests)
            .await
            .map_err(Error::graph(WHAT))
    }

    /// Asks for a message that carries a mark, in one folder or in all.
    fn search(&self, folder: Option<&ItemId>, mark: &str, value: &str) -> Request {
        let within = folder.map(|folder| format!("/mailFolders/{}", segment(folder.as_str())));
        let path = self.path(&format!("{}/messages", within.unwrap_or_default()));
        Request::get(path)
            .query(
                "$filter",
                &format!("singleValueExtendedProperties/Any(ep: ep/id eq '{mark}' and ep/value eq '{value}')"),
            )
            .query("$select", "id")
            .query("$top", "1")
    }
}

/// What can be done without is done without, unless nothing can be done any more.
fn unless_fatal<T>(answer: Result<T, graph::Error>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_fatal() => Err(Error::graph(WHAT)(error)),
        Err(_) => Ok(None),
    }
}

/// The first message of a listing.
fn first(response: &Response) -> Result<Option<ItemId>, graph::Error> {
    #[derive(Deserialize)]
    struct Listing {
        value: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        id: ItemId,
    }
    let listing: Listing = response.json()?;
    Ok(listing.value.into_iter().next().map(|row| row.id))
}

fn text(json: &RawValue, name: &str) -> Option<String> {
    Fields::of(json).ok()?.text(name)
}

/// Whether two states of a message have the same [`CONTENT`]; a field that is missing is the same as null.
fn same_content(now: &RawValue, then: &RawValue) -> bool {
    let (Ok(now), Ok(then)) = (Fields::of(now), Fields::of(then)) else {
        return false;
    };
    CONTENT
        .split(',')
        .all(|name| match (now.raw(name), then.raw(name)) {
            (Some(now), Some(then)) => {
                now.get() == then.get() || value(now).is_some_and(|now| Some(now) == value(then))
            }
            (None, None) => true,
            _ => false,
        })
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_flagging_and_filing_leave_a_message_the_same() {
        let raw =
            |json: &str| RawValue::from_string(json.to_owned()).expect("a test's JSON is valid");
        let then = raw(
            r#"{"subject":"s","body":{"contentType":"text","content":"x"},"isRead":false,"from":null,"changeKey":"1"}"#,
        );
        assert!(same_content(
            &raw(
                r#"{"subject":"s","body":{"content":"x","contentType":"text"},"isRead":true,"changeKey":"2"}"#
            ),
            &then
        ));
        assert!(!same_content(
            &raw(r#"{"subject":"t","body":{"contentType":"text","content":"x"}}"#),
            &then
        ));
        assert!(!same_content(&raw(r#"{"subject":"s","body":null}"#), &then));
    }
}
