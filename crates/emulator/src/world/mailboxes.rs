//! Fills generated mailboxes: which folders there are, what lies where, and how it is marked.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{is_person, letters::Writer, texts};
use crate::{
    FolderKey, Mailbox, Tenant, User,
    mail::{
        Content, DRAFTS, Flag, FlagStatus, INBOX, Marks, Person, SENT, TOP, ZonedText, folder_named,
    },
};

/// The day on which the youngest generated mail arrived.
const LAST_DAY: Timestamp = Timestamp::constant(1_793_491_200, 0);
/// Over how many days mail is spread.
const DAYS: i64 = 420;
/// A file that is too large for a plain POST; one mail of the first mailbox has it.
const LARGE_FILE: usize = 4 * 1024 * 1024 + 123_457;

/// Fills the mailboxes of all users that have one.
pub(super) fn fill(tenant: &Tenant, seed: u64) {
    let users = tenant.users();
    let with_mailbox = users
        .iter()
        .filter(|user| tenant.mailbox(user.id).is_some());
    for (index, user) in (0_u64..).zip(with_mailbox) {
        let Some(mailbox) = tenant.mailbox(user.id) else {
            continue;
        };
        let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut random = StdRng::seed_from_u64(seed ^ (index + 1).wrapping_mul(0x9e37_79b9));
        let mut filler = Filler {
            mailbox: &mut mailbox,
            writer: writer(tenant, user, &mut random),
        };
        if is_person(user) {
            filler.fill(index == 0);
        } else {
            filler.fill_sparsely();
        }
    }
}

/// A writer for a user's mailbox; the others are those with a mailbox.
pub(super) fn writer<'a>(tenant: &Tenant, user: &User, random: &'a mut StdRng) -> Writer<'a> {
    let person = |user: &User| Person {
        name: user.display_name().to_owned(),
        address: user.principal_name.clone(),
    };
    let others = tenant
        .users()
        .iter()
        .filter(|other| other.id != user.id && tenant.mailbox(other.id).is_some())
        .map(|other| person(other))
        .collect();
    Writer::new(random, person(user), others, &tenant.domain)
}

struct Filler<'a> {
    mailbox: &'a mut Mailbox,
    writer: Writer<'a>,
}

impl Filler<'_> {
    /// Some 60 to 120 mails in nested folders.
    fn fill(&mut self, with_large: bool) {
        let folders = self.folders();
        for _ in 0..self.writer.random.random_range(30..60) {
            let at = self.some_time();
            let content = self.writer.incoming(at);
            let folder = self.some_folder(&folders);
            self.put(folder, content, at, false);
        }
        for _ in 0..self.writer.random.random_range(6..10) {
            let (start, length) = (self.some_time(), self.writer.random.random_range(2..5));
            for (own, at, content) in self.writer.thread(start, length) {
                let folder = if own { SENT } else { INBOX };
                self.put(folder, content, at, own);
            }
        }
        for _ in 0..self.writer.random.random_range(8..14) {
            let at = self.some_time();
            let content = self.writer.outgoing(at);
            self.put(SENT, content, at, true);
        }
        for folder in ["deleteditems", "junkemail", "archive"] {
            for _ in 0..3 {
                let at = self.some_time();
                let content = self.writer.incoming(at);
                self.put(folder_named(folder), content, at, false);
            }
        }
        for _ in 0..3 {
            let at = self.some_time();
            let content = self.writer.draft(at);
            self.put_marked(DRAFTS, content, at, draft());
        }
        if with_large {
            let at = self.some_time();
            let content = self.writer.with_file(at, LARGE_FILE);
            self.put(INBOX, content, at, false);
        }
    }

    /// A room gets a few mails in its Inbox.
    fn fill_sparsely(&mut self) {
        for _ in 0..5 {
            let at = self.some_time();
            let content = self.writer.incoming(at);
            self.put(INBOX, content, at, false);
        }
    }

    fn folders(&mut self) -> Vec<FolderKey> {
        let mut folders = vec![INBOX];
        for (name, children) in texts::FOLDERS {
            // Most people file below the top, some below the Inbox.
            let parent = if self.writer.random.random_bool(0.8) {
                TOP
            } else {
                INBOX
            };
            let Ok(folder) = self.mailbox.create_folder(parent, name, false) else {
                continue;
            };
            folders.push(folder);
            for child in children {
                folders.extend(self.mailbox.create_folder(folder, child, false));
            }
        }
        folders
    }

    fn some_folder(&mut self, folders: &[FolderKey]) -> FolderKey {
        if self.writer.random.random_bool(0.4) {
            return INBOX;
        }
        folders[self.writer.random.random_range(0..folders.len())]
    }

    fn some_time(&mut self) -> Timestamp {
        let seconds = self.writer.random.random_range(0..DAYS * 86_400);
        LAST_DAY - SignedDuration::from_secs(seconds)
    }

    fn put(&mut self, folder: FolderKey, content: Content, at: Timestamp, own: bool) {
        let marks = self.marks(own, at);
        self.put_marked(folder, content, at, marks);
    }

    fn put_marked(&mut self, folder: FolderKey, content: Content, at: Timestamp, marks: Marks) {
        // The folder exists: it is built in or was made by this filler.
        let _ = self
            .mailbox
            .add_message(folder, content, marks, Vec::new(), at);
    }

    fn marks(&mut self, own: bool, at: Timestamp) -> Marks {
        let random = &mut *self.writer.random;
        let mut marks = Marks {
            read: own || random.random_bool(0.7),
            other: random.random_bool(0.2),
            ..Marks::default()
        };
        if random.random_bool(0.15) {
            let category = random.random_range(0..texts::CATEGORIES.len());
            marks
                .categories
                .push(texts::CATEGORIES[category].to_owned());
        }
        if random.random_bool(0.1) {
            let zoned = |time: Timestamp| ZonedText {
                date_time: time.strftime("%Y-%m-%dT00:00:00.0000000").to_string(),
                time_zone: "UTC".to_owned(),
            };
            let done = random.random_bool(0.3);
            marks.flag = Flag {
                status: if done {
                    FlagStatus::Complete
                } else {
                    FlagStatus::Flagged
                },
                start: Some(zoned(at)),
                due: Some(zoned(at)),
                completed: done.then(|| zoned(at)),
            };
        }
        marks
    }
}

/// How a draft is marked.
pub(super) fn draft() -> Marks {
    Marks {
        draft: true,
        read: true,
        ..Marks::default()
    }
}
