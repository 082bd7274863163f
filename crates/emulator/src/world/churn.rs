//! What goes on in a tenant: mail arrives, is read, marked, filed and deleted, folders come and go.
//!
//! Some moves are lost from the deltas, as Exchange loses them. What happened is told, so that a test can say why a comparison failed.

use std::{collections::BTreeMap, sync::PoisonError};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use uuid::Uuid;

use super::{letters::Writer, mailboxes, texts};
use crate::{
    FolderKey, GraphError, Mailbox, MessageKey, Tenant,
    mail::{DRAFTS, FlagStatus, INBOX, Marks, TOP},
};

/// Nobody deletes a folder that holds more messages than this: a mailbox loaded from files may have all its mail in one.
const DELETED_WITH_FOLDER_MAX: usize = 60;

/// How much is to happen.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// The same seed on the same tenant does the same.
    pub seed: u64,
    /// How many things happen in each mailbox, but no more than it has messages: a small one would lose most of them. From as many as there are kinds
    /// of [`Event`] on, each kind is tried.
    pub events: usize,
    /// How likely a move is missing from the target folder's delta with immutable ids, 0.0 to 1.0.
    pub lost_moves: f64,
}

/// A kind of thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Event {
    Arrived,
    Read,
    Flagged,
    Categorised,
    Moved,
    /// Moved, and the target folder's delta does not tell.
    MovedUnseen,
    /// To another folder and back.
    MovedAndBack,
    /// To another folder and back, and the delta tells only that it left.
    MovedAndBackUnseen,
    /// It can be recovered.
    Deleted,
    /// It cannot.
    DeletedForGood,
    DraftEdited,
    FolderCreated,
    FolderRenamed,
    FolderMoved,
    /// With the mail in it.
    FolderDeleted,
}

impl Event {
    const ALL: [Self; 13] = [
        Self::Arrived,
        Self::Read,
        Self::Flagged,
        Self::Categorised,
        Self::Moved,
        Self::MovedAndBack,
        Self::Deleted,
        Self::DeletedForGood,
        Self::DraftEdited,
        Self::FolderCreated,
        Self::FolderRenamed,
        Self::FolderMoved,
        Self::FolderDeleted,
    ];
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happening {
    /// In whose mailbox.
    pub user: Uuid,
    /// What.
    pub event: Event,
    /// The immutable id of the message, or the id of the folder.
    pub id: String,
}

impl Churn {
    /// Lets it happen, in all mailboxes.
    #[must_use]
    pub fn run(&self, tenant: &Tenant, now: Timestamp) -> Vec<Happening> {
        self.run_watched(tenant, now, |_, _| ())
    }

    /// The same; `seen` is told of each thing, with the mailbox as it is just then: a later one may undo it.
    #[must_use]
    pub fn run_watched(
        &self,
        tenant: &Tenant,
        now: Timestamp,
        mut seen: impl FnMut(&Mailbox, &Happening),
    ) -> Vec<Happening> {
        let mut happenings = Vec::new();
        for (index, user) in (1_u64..).zip(tenant.users()) {
            let Some(mailbox) = tenant.mailbox(user.id) else {
                continue;
            };
            let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            let mut random = StdRng::seed_from_u64(self.seed ^ index.wrapping_mul(0x517c_c1b7));
            let most = mailbox.message_count().max(1);
            let events = events(self.events.min(most), &mut random);
            let mut stir = Stir {
                mailbox: &mut mailbox,
                writer: mailboxes::writer(tenant, &user, &mut random),
                lost_moves: self.lost_moves.clamp(0.0, 1.0),
                now,
            };
            for event in events {
                // What cannot be done, for want of a draft or because of a clash of names, does not happen.
                if let Some((event, id)) = stir.one(event) {
                    let happening = Happening {
                        user: user.id,
                        event,
                        id,
                    };
                    seen(stir.mailbox, &happening);
                    happenings.push(happening);
                }
            }
        }
        happenings
    }

    /// How often each event occurs.
    #[must_use]
    pub fn tally(happenings: &[Happening]) -> BTreeMap<Event, usize> {
        let mut tally = BTreeMap::new();
        for happening in happenings {
            *tally.entry(happening.event).or_default() += 1;
        }
        tally
    }
}

/// Every kind once before any comes again, in random order.
fn events(count: usize, random: &mut StdRng) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let mut round = Event::ALL;
        round.shuffle(random);
        events.extend(round);
    }
    events.truncate(count);
    events
}

struct Stir<'a> {
    mailbox: &'a mut Mailbox,
    writer: Writer<'a>,
    lost_moves: f64,
    now: Timestamp,
}

impl Stir<'_> {
    fn one(&mut self, event: Event) -> Option<(Event, String)> {
        match event {
            Event::Arrived => {
                let content = self.writer.incoming(self.now);
                let folder = self.folder(false).unwrap_or(INBOX);
                let folder = if self.writer.random.random_bool(0.7) {
                    INBOX
                } else {
                    folder
                };
                let marks = Marks::default();
                let key = self
                    .mailbox
                    .add_message(folder, content, marks, Vec::new(), self.now);
                Some((event, self.immutable(key.ok()?)))
            }
            Event::FolderCreated
            | Event::FolderRenamed
            | Event::FolderMoved
            | Event::FolderDeleted => self.stir_folder(event),
            Event::DraftEdited => self.edit_draft(),
            _ => self.stir_message(event),
        }
    }

    fn stir_message(&mut self, event: Event) -> Option<(Event, String)> {
        let key = self.message(None)?;
        let id = self.immutable(key);
        let category =
            texts::CATEGORIES[self.writer.random.random_range(0..texts::CATEGORIES.len())];
        let event = match event {
            Event::Read => self.mark(key, event, |marks| marks.read = !marks.read),
            Event::Flagged => self.mark(key, event, |marks| {
                marks.flag.status = match marks.flag.status {
                    FlagStatus::Flagged => FlagStatus::Complete,
                    _ => FlagStatus::Flagged,
                };
            }),
            Event::Categorised => self.mark(key, event, |marks| {
                marks.categories = vec![category.to_owned()];
            }),
            Event::Moved => self.relocate(key),
            Event::MovedAndBack => self.there_and_back(key),
            Event::Deleted => self.mailbox.delete_message(key, self.now).map(|()| event),
            _ => {
                self.mailbox.purge_message(key);
                Ok(Event::DeletedForGood)
            }
        };
        Some((event.ok()?, id))
    }

    fn mark(
        &mut self,
        key: MessageKey,
        event: Event,
        change: impl FnOnce(&mut Marks),
    ) -> Result<Event, GraphError> {
        self.mailbox.change_message(key, self.now, |message| {
            change(&mut message.marks);
            Ok(event)
        })
    }

    fn relocate(&mut self, key: MessageKey) -> Result<Event, GraphError> {
        let target = self.folder(false).unwrap_or(INBOX);
        let lost = self.writer.random.random_bool(self.lost_moves);
        self.mailbox.move_message(key, target, lost, self.now)?;
        Ok(if lost {
            Event::MovedUnseen
        } else {
            Event::Moved
        })
    }

    fn there_and_back(&mut self, key: MessageKey) -> Result<Event, GraphError> {
        let home = self.mailbox.existing_message(key)?.folder;
        let target = self.folder(false).unwrap_or(TOP);
        self.mailbox.move_message(key, target, false, self.now)?;
        let lost = self.writer.random.random_bool(self.lost_moves);
        self.mailbox.move_message(key, home, lost, self.now)?;
        Ok(if lost {
            Event::MovedAndBackUnseen
        } else {
            Event::MovedAndBack
        })
    }

    fn edit_draft(&mut self) -> Option<(Event, String)> {
        let key = self.message(Some(DRAFTS))?;
        let more = texts::SENTENCES[self.writer.random.random_range(0..texts::SENTENCES.len())];
        let edited = self.mailbox.change_message(key, self.now, |message| {
            let letter = message.content.edit();
            letter.html = false;
            letter.content = format!("{}\r\n{more}", letter.content);
            Ok(())
        });
        edited.ok()?;
        Some((Event::DraftEdited, self.immutable(key)))
    }

    fn stir_folder(&mut self, event: Event) -> Option<(Event, String)> {
        let number: u16 = self.writer.random.random();
        let word = texts::SUBJECTS[usize::from(number) % texts::SUBJECTS.len()];
        let name = format!("{word} {number}");
        let key = match event {
            Event::FolderCreated => {
                let parent = self.folder(false).unwrap_or(TOP);
                self.mailbox.create_folder(parent, &name, false).ok()?
            }
            _ => self.folder(true)?,
        };
        let id = self.mailbox.ids.folder(key.0);
        let done = match event {
            Event::FolderRenamed => self.mailbox.rename_folder(key, &name),
            Event::FolderMoved => {
                let parent = self.folder(false).unwrap_or(TOP);
                self.mailbox.move_folder(key, parent)
            }
            Event::FolderDeleted if self.messages_below(key) > DELETED_WITH_FOLDER_MAX => {
                return None;
            }
            Event::FolderDeleted => self.mailbox.delete_folder(key, self.now),
            _ => Ok(()),
        };
        done.ok()?;
        Some((event, id))
    }

    /// Messages in the folder and in those inside it.
    fn messages_below(&self, key: FolderKey) -> usize {
        let messages = self.mailbox.messages_in(None);
        let is_below =
            |folder| folder == key || self.mailbox.ancestors(folder).any(|above| above == key);
        messages
            .iter()
            .filter(|message| is_below(message.folder))
            .count()
    }

    /// Any message that people see, or any in one folder.
    fn message(&mut self, folder: Option<FolderKey>) -> Option<MessageKey> {
        let keys: Vec<_> = self
            .mailbox
            .messages_in(folder)
            .iter()
            .map(|m| m.key)
            .collect();
        let at = self.writer.random.random_range(0..keys.len().max(1));
        keys.get(at).copied()
    }

    /// Any folder that people see, or any that they made.
    fn folder(&mut self, made: bool) -> Option<FolderKey> {
        let keys: Vec<_> = self
            .mailbox
            .visible_folders()
            .filter(|folder| !made || folder.well_known.is_none())
            .map(|folder| folder.key)
            .collect();
        let at = self.writer.random.random_range(0..keys.len().max(1));
        keys.get(at).copied()
    }

    fn immutable(&self, key: MessageKey) -> String {
        self.mailbox.ids.immutable(key.0)
    }
}
