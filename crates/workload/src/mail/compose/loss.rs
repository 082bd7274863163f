//! What of a message does not come back, in a closed list and in plain words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something of a message that a restore does not bring back, or not as it was. Carries nothing personal.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// An attachment larger than Graph takes.
    AttachmentTooLarge {
        /// Its size.
        size_bytes: u64,
    },
    /// An attachment, or a link to a file, that Graph refused or did not take in time.
    AttachmentRefused {
        /// Microsoft's code, where there was one.
        code: Option<String>,
    },
    /// Attachments beyond the number that is restored for one message.
    AttachmentsTooMany {
        /// How many were left out.
        count: usize,
    },
    /// A message attached to the message came back as an attached `.eml` file.
    NestedAsFile,
    /// Addresses that are no e-mail addresses and that Graph refuses were left out of the lists of people.
    AddressesLeftOut {
        /// How many.
        count: usize,
    },
    /// The text is longer than Graph takes: its beginning is there, and the whole of it is attached.
    BodyCut,
    /// The header lines are longer than what is restored; the first part of them is there.
    HeadersCut,
    /// The MIME is built in a way that cannot be taken apart in bounded time: body and marks are there, its attachments are not.
    MimeTooComplex,
    /// A meeting request, answer or cancellation came back as ordinary mail, without its tie to the calendar.
    MeetingTie,
}

/// In plain words, for people; nothing personal is among them.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttachmentTooLarge { size_bytes } => {
                write!(
                    f,
                    "an attachment of {} MB is too large for Microsoft Graph",
                    size_bytes / 1_000_000
                )
            }
            Self::AttachmentRefused { code: Some(code) } => {
                write!(f, "Microsoft refused an attachment ({code})")
            }
            Self::AttachmentRefused { code: None } => {
                f.write_str("an attachment could not be added")
            }
            Self::AttachmentsTooMany { count } => write!(
                f,
                "{count} attachments were left out, because there are too many"
            ),
            Self::NestedAsFile => f.write_str("an attached message came back as an .eml file"),
            Self::AddressesLeftOut { count: 1 } => {
                f.write_str("an address that is no e-mail address was left out")
            }
            Self::AddressesLeftOut { count } => write!(
                f,
                "{count} addresses that are no e-mail addresses were left out"
            ),
            Self::BodyCut => f.write_str("the text was cut, and the whole of it is attached"),
            Self::HeadersCut => f.write_str("some header lines were left out"),
            Self::MimeTooComplex => f.write_str(
                "its attachments were left out, because the message is built in too complex a way",
            ),
            Self::MeetingTie => {
                f.write_str("it came back as ordinary mail, without its tie to the calendar")
            }
        }
    }
}
