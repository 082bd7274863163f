//! Puts messages back: some, a folder with its sub-folders, or a whole mailbox, as of a snapshot, into the same mailbox or another.
//!
//! A restore adds and does nothing else. It sends nothing to anybody, changes nothing that is there, and deletes nothing: every request is a GET
//! or creates a folder, a message or an attachment. Into a *new folder* it puts the folders as they were; *in place* it puts every message into its
//! own folder and leaves alone what is there already.
//!
//! It may be repeated at any point. Every message it creates carries two marks ([`MARK_RESTORE`], [`MARK_SOURCE`]); when a request's outcome is not
//! known, or a restore is run again under the same id, the mark is looked up before anything is created. What Graph refuses costs that message and
//! no other. Dropping the future stops the restore; what became of each message until then has been told to the progress callback.
//!
//! [`MARK_RESTORE`]: super::compose::MARK_RESTORE
//! [`MARK_SOURCE`]: super::compose::MARK_SOURCE

mod attach;
mod budget;
mod content;
mod create;
mod existing;
mod failure;
mod folders;
mod report;
mod selection;

use futures_util::{FutureExt, StreamExt, stream};
use graph::{Client, Scope};
use jiff::{Timestamp, tz::TimeZone};
use model::{AccountId, Clock, ItemId, RestoreId};

pub use report::{ItemReport, Outcome, Report};
pub use selection::Selection;

use super::{Archive, Folder, MessageRef, Outlined, compose::Marks, json::Fields};
use crate::{Error, Result};
use budget::Budget;
use existing::Known;
use failure::Failure;
use folders::{Folders, Place};

/// Messages created at the same time. Exchange takes four requests for a mailbox at once, and more would only wait.
const AT_ONCE: usize = 4;
/// Messages that are looked up before any of them is created: five full batches.
const LOOKED_UP_AT_ONCE: usize = 100;

/// How a restore is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names this restore. Run again under the same id, it adds only what is missing.
    pub restore: RestoreId,
    /// Whose messages the archive holds: together with the target it tells whether the ids in the archive mean anything there.
    pub source: AccountId,
    /// Where to.
    pub destination: Destination,
}

/// Where messages are restored to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A folder of this name beside the inbox, made if it is not there, and in it the folders as they were. Single messages lie in it directly.
    NewFolder {
        /// What people will see.
        name: String,
    },
    /// Every message's own folder: the same one if it is still there, else the one of the same name, else a new one.
    InPlace,
}

impl Destination {
    /// A new folder named with the time, in UTC: `Restored 2026-11-22 14.05`.
    #[must_use]
    pub fn new_folder(now: Timestamp) -> Self {
        let time = now.to_zoned(TimeZone::UTC);
        Self::NewFolder {
            name: time.strftime("Restored %Y-%m-%d %H.%M").to_string(),
        }
    }
}

/// Restores `selection` from `archive` into the mailbox `target`. `progress` is told of every message once, when its outcome is known.
///
/// # Errors
/// When nothing can be begun: Graph refuses the application or the mailbox, the new folder cannot be made, or nothing of the selection is in the
/// archive. What concerns single messages and folders is in the report, and so is what ended a restore that had begun.
pub async fn run(
    graph: &Client,
    target: &AccountId,
    archive: &Archive,
    selection: &Selection,
    options: &Options,
    clock: &dyn Clock,
    progress: &(dyn Fn(&ItemReport) + Sync),
) -> Result<Report> {
    let scope = Scope::Outlook {
        mailbox: target.clone(),
    };
    let user = format!("/users/{}", graph::segment(target.as_str()));
    let mailbox = Mailbox {
        graph,
        scope,
        user,
        clock,
    };
    let restore = Restore {
        mailbox: &mailbox,
        archive,
        options,
        same_account: *target == options.source,
        budget: Budget::new(),
        progress,
    };
    let selected = selection.resolve(archive).await?;
    let mut folders = Folders::open(&restore, &selected.onto).await?;
    let mut report = Report::default();
    for (folder, messages) in selected.folders {
        let work = restore.folder(&mut folders, folder, messages, &mut report);
        if let Err(error) = work.await {
            if report.is_empty() {
                return Err(error);
            }
            report.stopped = Some(error);
            break;
        }
    }
    for (id, why) in selected.missing {
        restore.tell(ItemReport::missing(id, why), &mut report);
    }
    report.folders_created = folders.created();
    Ok(report)
}

/// The mailbox that is written to.
struct Mailbox<'a> {
    graph: &'a Client,
    scope: Scope,
    user: String,
    clock: &'a dyn Clock,
}

impl Mailbox<'_> {
    /// A path below the user; `rest` begins with a slash.
    fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.user)
    }
}

/// One restore under way.
struct Restore<'a> {
    mailbox: &'a Mailbox<'a>,
    archive: &'a Archive,
    options: &'a Options,
    same_account: bool,
    budget: Budget,
    progress: &'a (dyn Fn(&ItemReport) + Sync),
}

impl<'a> Restore<'a> {
    /// Restores these messages of a folder, or all.
    async fn folder(
        &self,
        folders: &mut Folders<'a>,
        folder: &'a Folder,
        messages: Option<Vec<MessageRef>>,
        report: &mut Report,
    ) -> Result<()> {
        let place = folders.place(folder).await?;
        let messages = match messages {
            Some(messages) => messages,
            None => self.archive.messages(&folder.id).await?,
        };
        self.messages(&place, messages, report).await
    }

    fn tell(&self, item: ItemReport, report: &mut Report) {
        (self.progress)(&item);
        report.add(item);
    }

    /// Restores messages of one folder.
    async fn messages(
        &self,
        place: &Result<Place, Failure>,
        messages: Vec<MessageRef>,
        report: &mut Report,
    ) -> Result<()> {
        let standing = match place {
            Ok(place) => Some((place, self.standing(place, messages.len()).await?)),
            Err(_) => None,
        };
        for chunk in messages.chunks(LOOKED_UP_AT_ONCE) {
            let known = match &standing {
                Some((place, standing)) => self.known(place, standing, chunk).await?,
                None => vec![(None, Known::Missing); chunk.len()],
            };
            // In boxes, or the compiler cannot tell that whoever restores may do so on any thread.
            let each = chunk.iter().zip(known);
            let each: Vec<_> = each
                .map(|(at, known)| self.message(at, known, place).boxed())
                .collect();
            let mut outcomes = stream::iter(each).buffer_unordered(AT_ONCE);
            while let Some(item) = outcomes.next().await {
                self.tell(item?, report);
            }
        }
        Ok(())
    }

    /// Restores one message, of which `known` tells its id, if it was looked up, and what is there already. An error ends the whole restore.
    async fn message(
        &self,
        at: &MessageRef,
        (id, known): (Option<ItemId>, Known),
        place: &Result<Place, Failure>,
    ) -> Result<ItemReport> {
        let mut item = ItemReport::new(at.clone());
        item.source = id;
        let (place, found) = match (place, known) {
            (Ok(_), Known::Identical) => {
                item.outcome = Outcome::Identical;
                return Ok(item);
            }
            (Ok(place), Known::Missing) => (place, None),
            (Ok(place), Known::Copy(id)) => (place, Some(id)),
            (_, Known::Doubtful(failure)) => {
                item.fail(failure);
                return Ok(item);
            }
            (Err(failure), _) => {
                item.source = self.archive.message_id(at).await.ok();
                item.fail(failure.clone());
                return Ok(item);
            }
        };
        let (mut message, _share) = match self.budget.read(self.archive, at).await {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "a message of the archive cannot be read");
                item.source = self.archive.message_id(at).await.ok();
                item.fail(Failure::unreadable());
                return Ok(item);
            }
        };
        item.source = Some(message.id.clone());
        item.bytes = message.mime.size_bytes();
        let marks = self.marks(&message);
        let composed = match content::composed(&mut message, &marks).await {
            Ok(composed) => composed,
            Err(error) => {
                tracing::warn!(%error, "a message of the archive cannot be read");
                item.fail(Failure::unreadable());
                return Ok(item);
            }
        };
        let made = create::message(
            self.mailbox,
            place,
            &composed,
            &message.file,
            &marks,
            found,
            &mut item.losses,
        );
        let done = made.await;
        match done {
            Ok(outcome) => item.outcome = outcome,
            Err(error) if error.is_fatal() => return Err(Error::graph("a message")(error)),
            Err(error) => item.fail(Failure::of(&error)),
        }
        Ok(item)
    }

    fn marks(&self, message: &Outlined) -> Marks {
        let fields = Fields::of(&message.json).unwrap_or_default();
        marks(self.options, &message.id, &fields)
    }
}

/// The marks of a message with these fields.
fn marks(options: &Options, id: &ItemId, fields: &Fields<'_>) -> Marks {
    let is_draft = fields.flag("isDraft").unwrap_or(false);
    let version = fields.text("changeKey").filter(|_| is_draft);
    Marks::new(&options.restore, &options.source, id, version.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_folder_is_named_with_the_time() {
        let now: Timestamp = "2026-11-22T14:05:59Z".parse().expect("a time");
        let Destination::NewFolder { name } = Destination::new_folder(now) else {
            panic!("a new folder");
        };
        assert_eq!(name, "Restored 2026-11-22 14.05");
    }
}
