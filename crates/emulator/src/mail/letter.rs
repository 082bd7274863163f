//! What a message says, apart from where it lies and how it is marked: the part that MIME can carry.
//!
//! A letter is read from MIME (`parse`), from a client's JSON (`write_json`), and rendered as MIME (`compose`) or as
//! Graph's JSON (`read_json`).

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// A person's name and address, either of which may be empty or broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// `importance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Importance {
    Low,
    #[default]
    Normal,
    High,
}

impl Importance {
    /// The word in Graph's JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// From the word in Graph's JSON or in a header, in any case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High]
            .into_iter()
            .find(|importance| importance.word().eq_ignore_ascii_case(word.trim()))
    }
}

/// The content of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Letter {
    pub(crate) subject: Option<String>,
    pub(crate) html: bool,
    pub(crate) content: String,
    pub(crate) from: Option<Person>,
    pub(crate) sender: Option<Person>,
    pub(crate) to: Vec<Person>,
    pub(crate) cc: Vec<Person>,
    pub(crate) bcc: Vec<Person>,
    pub(crate) reply_to: Vec<Person>,
    /// With its angle brackets.
    pub(crate) message_id: Option<String>,
    /// With its angle brackets.
    pub(crate) in_reply_to: Option<String>,
    /// Message ids with their angle brackets, separated by a space.
    pub(crate) references: Option<String>,
    /// The transport's headers, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) received: Option<Timestamp>,
    pub(crate) sent: Option<Timestamp>,
    pub(crate) importance: Importance,
    pub(crate) delivery_receipt: bool,
    pub(crate) read_receipt: bool,
    /// From `Thread-Index`; see [`Letter::conversation_index`].
    pub(crate) thread_index: Option<Vec<u8>>,
    pub(crate) attachments: Vec<Attachment>,
}

impl Letter {
    /// The day of mail that bears no date at all, so that loading it twice gives the same.
    pub(crate) const UNDATED: Timestamp = Timestamp::constant(946_684_800, 0);

    /// When the message arrived.
    pub(crate) fn received_at(&self) -> Timestamp {
        self.received.or(self.sent).unwrap_or(Self::UNDATED)
    }

    /// Whether anything but inline pictures is attached; what Graph calls `hasAttachments`.
    pub(crate) fn has_attachments(&self) -> bool {
        self.attachments.iter().any(|attachment| !attachment.inline)
    }

    /// What messages of a thread have in common: the first message of the references, else the message itself, else its subject.
    pub(crate) fn thread(&self) -> [u8; 16] {
        let seed = [&self.references, &self.in_reply_to, &self.message_id]
            .into_iter()
            .flatten()
            .find_map(|ids| ids.split_whitespace().next())
            .or(self.subject.as_deref())
            .unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(seed.as_bytes()).into();
        std::array::from_fn(|at| digest[at])
    }

    /// `conversationIndex`: the header's own, else one made of the received time and the thread.
    pub(crate) fn conversation_index(&self) -> Vec<u8> {
        if let Some(index) = &self.thread_index {
            return index.clone();
        }
        let mut index = vec![1];
        index.extend(&self.received_at().as_second().to_be_bytes()[3..]);
        index.extend(self.thread());
        index
    }
}

/// What is attached to a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachment {
    /// Unique within the message; never used twice.
    pub(crate) number: u64,
    pub(crate) name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) inline: bool,
    /// Without angle brackets.
    pub(crate) content_id: Option<String>,
    pub(crate) content_location: Option<String>,
    pub(crate) kind: AttachmentKind,
}

/// The three kinds of attachment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AttachmentKind {
    /// A file's bytes.
    File(Bytes),
    /// Another message, as MIME.
    Item(Bytes),
    /// A link to a file in the cloud; Graph v1.0 shows no more of it than its name.
    Reference,
}
