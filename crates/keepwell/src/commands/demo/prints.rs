//! Fingerprints of a mailbox's messages, to compare a restored mailbox with what was there before.
//!
//! A restored message has another id, so messages are matched by where they lie and what they say. What is compared is what docs/fidelity.md
//! promises to bring back, folders, header lines and attachments with their bytes included.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use engine::Account;
use graph::{Request, Scope, segment};
use serde_json::Value;
use sha2::{Digest, Sha256};

use workload::mail::{
    compose::Loss,
    restore::{self, Outcome},
};

use super::{
    compare::Differences,
    properties::{self, Properties},
    stage::Stage,
};

/// The fields that a restore brings back.
const FIELDS: [&str; 18] = [
    "subject",
    "body",
    "from",
    "sender",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "replyTo",
    "importance",
    "isRead",
    "isDraft",
    "flag",
    "categories",
    "inferenceClassification",
    "isReadReceiptRequested",
    "isDeliveryReceiptRequested",
    "receivedDateTime",
    "sentDateTime",
];
/// Compared unless the source has none: then Exchange makes one.
const MESSAGE_ID: &str = "internetMessageId";
/// How the attachments are called among the fields.
const ATTACHMENTS: &str = "attachments";
/// The fields that messages are matched by.
const KEYS: [&str; 3] = ["receivedDateTime", "sentDateTime", "subject"];
/// What is compared of an attachment, and what Graph wants on creation where the source has none.
const ATTACHMENT_FIELDS: [(&str, &str); 7] = [
    ("@odata.type", ""),
    ("name", "\"attachment\""),
    ("contentType", "\"application/octet-stream\""),
    ("isInline", ""),
    ("contentId", ""),
    ("contentLocation", ""),
    ("contentBytes", ""),
];
/// What is compared of a message that is attached to another.
const INNER_FIELDS: [&str; 8] = [
    "subject",
    "body",
    "from",
    "sender",
    "replyTo",
    "toRecipients",
    "ccRecipients",
    "internetMessageId",
];

/// The date of an attached message, compared unless the source has none: then Exchange gives it the time of its making.
const INNER_DATE: &str = "sentDateTime";
/// What the emulator says of a message without any date.
const NO_DATE: &str = "2000-01-01T00:00:00Z";

/// 8 bytes of SHA-256: enough to tell apart what differs by accident.
pub(super) type Print = [u8; 8];

/// What a mailbox holds.
pub(crate) struct Prints {
    folders: BTreeSet<Folder>,
    /// By folder and key; several of the same key in any order.
    messages: BTreeMap<(Vec<String>, Print), Vec<Message>>,
}

/// A folder that a restore brings back, by the names from the top down.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Folder {
    path: Vec<String>,
    hidden: bool,
}

/// The attachments of a message, hashed.
#[derive(Default)]
struct Attachments {
    /// Everything but the dates of attached messages.
    content: Print,
    dates: Print,
    /// A message is attached that has no date.
    undated: bool,
}

/// A message, hashed field by field.
struct Message {
    fields: [Print; FIELDS.len()],
    attachments: Attachments,
    properties: Properties,
    message_id: Option<Print>,
    /// The fields that the restore itself said it could not bring back.
    lost: Vec<&'static str>,
}

/// What a restore said of the messages that it made, by their ids: the fields that did not come back as they were.
pub(crate) fn losses(report: &restore::Report) -> BTreeMap<String, Vec<&'static str>> {
    let lossy = report
        .notable
        .iter()
        .filter_map(|item| match &item.outcome {
            Outcome::Restored { id } => Some((
                id.to_string(),
                item.losses.iter().flat_map(lost_fields).copied().collect(),
            )),
            _ => None,
        });
    lossy.collect()
}

/// The fields that a loss concerns; docs/fidelity.md says so of each.
fn lost_fields(loss: &Loss) -> &'static [&'static str] {
    match loss {
        Loss::BodyCut => &["body", ATTACHMENTS],
        Loss::AttachmentTooLarge { .. }
        | Loss::AttachmentRefused { .. }
        | Loss::AttachmentsTooMany { .. }
        | Loss::NestedAsFile
        | Loss::MimeTooComplex => &[ATTACHMENTS],
        Loss::AddressesLeftOut { .. } => &[
            "from",
            "sender",
            "toRecipients",
            "ccRecipients",
            "bccRecipients",
            "replyTo",
        ],
        // Header lines are compared only as far as they are promised, and the tie to the calendar is no field.
        Loss::HeadersCut | Loss::MeetingTie => &[],
    }
}

impl Prints {
    /// Notes what is there now: folders and messages past Graph, attachments and extended properties by it. `losses` are those that a restore
    /// named.
    pub(crate) async fn take(
        stage: &Stage,
        account: &Account,
        losses: &BTreeMap<String, Vec<&'static str>>,
    ) -> anyhow::Result<Self> {
        let (folders, noted) = stage.mailbox(account, |mailbox| {
            let folders: Vec<emulator::FolderView> = mailbox.folder_views().collect();
            let noted: Vec<Noted> = mailbox.message_views().map(Noted::of).collect();
            (folders, noted)
        })?;
        let paths: BTreeMap<&str, &Vec<String>> = folders
            .iter()
            .map(|folder| (folder.id.as_str(), &folder.path))
            .collect();
        let filled: BTreeSet<&str> = noted.iter().map(|noted| noted.folder.as_str()).collect();
        let mut extended = BTreeMap::new();
        for folder in &filled {
            extended.extend(properties::of_folder(stage, account, folder).await?);
        }
        let filled: Vec<&Vec<String>> = filled
            .iter()
            .filter_map(|folder| paths.get(folder).copied())
            .collect();
        // Nobody promises to bring back what is hidden and empty.
        let is_kept = |folder: &&emulator::FolderView| {
            !folder.hidden || filled.iter().any(|path| path.starts_with(&folder.path))
        };
        let kept = folders.iter().filter(is_kept).map(|folder| Folder {
            path: folder.path.clone(),
            hidden: folder.hidden,
        });

        let mut messages: BTreeMap<_, Vec<Message>> = BTreeMap::new();
        for mut noted in noted {
            if noted.may_have_attachments {
                noted.message.attachments = attachments(stage, account, &noted.id).await?;
            }
            noted.message.properties = extended
                .remove(&noted.id)
                .context("a message is missing in its folder's list")?
                .with_mime_headers(noted.mime_headers);
            noted.message.lost = losses.get(&noted.id).cloned().unwrap_or_default();
            let path = paths.get(noted.folder.as_str()).copied();
            let key = (path.cloned().unwrap_or_default(), noted.key);
            messages.entry(key).or_default().push(noted.message);
        }
        Ok(Self {
            folders: kept.collect(),
            messages,
        })
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> u64 {
        self.messages
            .values()
            .map(|messages| messages.len() as u64)
            .sum()
    }

    /// How `after` differs from this.
    pub(crate) fn differences(&self, after: &Self) -> Differences {
        let mut differences = Differences::default();
        for (folders, others, how) in [
            (&self.folders, &after.folders, "is missing"),
            (&after.folders, &self.folders, "is too many"),
        ] {
            for folder in folders.difference(others) {
                let kind = if folder.hidden { "hidden" } else { "visible" };
                differences.add(|| format!("the {kind} folder {:?} {how}", folder.path.join("/")));
            }
        }
        for (key, before) in &self.messages {
            let after = after.messages.get(key).map_or(&[][..], Vec::as_slice);
            for different in pairwise(before, after) {
                differences.add(|| {
                    format!(
                        "a message in {:?} differs in {}",
                        key.0.join("/"),
                        different.join(", ")
                    )
                });
            }
            for _ in after.len()..before.len() {
                differences.add(|| format!("a message is missing in {:?}", key.0.join("/")));
            }
        }
        for (key, after) in &after.messages {
            let before = self.messages.get(key).map_or(0, Vec::len);
            for _ in before..after.len() {
                differences.add(|| format!("a message is too many in {:?}", key.0.join("/")));
            }
        }
        differences
    }
}

/// In which fields messages of the same key differ, once those that are equal have found each other.
fn pairwise(before: &[Message], after: &[Message]) -> Vec<Vec<&'static str>> {
    let mut free: Vec<&Message> = after.iter().collect();
    let mut lone: Vec<&Message> = before.iter().collect();
    // Exactly the same first: what is equal only as far as is promised could take the place of what is exactly the same as another.
    for exactly in [true, false] {
        lone.retain(|message| {
            let equal = free.iter().position(|other| {
                (!exactly || message.properties.are_exactly(&other.properties))
                    && message.different_fields(other).is_empty()
            });
            equal.map(|at| free.remove(at)).is_none()
        });
    }
    let pairs = lone.into_iter().zip(free);
    pairs
        .map(|(before, after)| before.different_fields(after))
        .collect()
}

/// A message as the mailbox tells it, before its attachments are looked at.
struct Noted {
    id: String,
    /// The folder's id.
    folder: String,
    key: Print,
    message: Message,
    mime_headers: Print,
    may_have_attachments: bool,
}

impl Noted {
    fn of(view: emulator::MessageView) -> Self {
        let json = &view.json;
        Self {
            key: print(&KEYS.map(|name| text(json, name)).concat()),
            message: Message {
                fields: FIELDS.map(|name| print(&text(json, name))),
                attachments: Attachments::default(),
                properties: Properties::default(),
                message_id: json[MESSAGE_ID].as_str().map(print),
                lost: Vec::new(),
            },
            may_have_attachments: json["hasAttachments"] == true
                || text(json, "body").contains("cid:"),
            mime_headers: properties::of_mime(&view.mime),
            id: view.id,
            folder: view.folder_id,
        }
    }
}

impl Message {
    fn different_fields(&self, after: &Self) -> Vec<&'static str> {
        let fields = FIELDS
            .into_iter()
            .zip(self.fields.iter().zip(&after.fields));
        let different = fields.filter(|(_, (before, after))| before != after);
        let mut different: Vec<&str> = different.map(|(name, _)| name).collect();
        let dates_differ =
            !self.attachments.undated && self.attachments.dates != after.attachments.dates;
        if self.attachments.content != after.attachments.content || dates_differ {
            different.push(ATTACHMENTS);
        }
        different.extend(self.properties.different(&after.properties));
        if self.message_id.is_some() && self.message_id != after.message_id {
            different.push(MESSAGE_ID);
        }
        different.retain(|name| !after.lost.contains(name));
        different
    }
}

/// Asks for the attachments of a message. Their order means nothing.
async fn attachments(
    stage: &Stage,
    account: &Account,
    message: &str,
) -> anyhow::Result<Attachments> {
    let scope = Scope::Outlook {
        mailbox: account.id.clone(),
    };
    let user = segment(account.id.as_str());
    let path = format!("/users/{user}/messages/{}/attachments", segment(message));
    let request = Request::get(path).query("$expand", "microsoft.graph.itemAttachment/item");
    let mut pages = stage.graph.pages(&scope, request);
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        for item in page.items {
            let item: Value = serde_json::from_str(item.get())?;
            found.push((
                describe(&item),
                item["item"][INNER_DATE].as_str().map(str::to_owned),
            ));
        }
    }
    found.sort();
    Ok(Attachments {
        content: print(
            &found
                .iter()
                .map(|(content, _)| content.as_str())
                .collect::<String>(),
        ),
        dates: print(
            &found
                .iter()
                .filter_map(|(_, date)| date.as_deref())
                .collect::<String>(),
        ),
        undated: found
            .iter()
            .any(|(_, date)| date.as_deref() == Some(NO_DATE)),
    })
}

/// What is compared of an attachment, but for the date of a message.
fn describe(attachment: &Value) -> String {
    let mut described = String::new();
    for (name, otherwise) in ATTACHMENT_FIELDS {
        let value = text(attachment, name);
        let is_missing = ["", "null", "\"\""].contains(&value.as_str());
        described.push_str(if is_missing { otherwise } else { &value });
    }
    if let Some(inner) = attachment.get("item") {
        described.push_str(&INNER_FIELDS.map(|name| text(inner, name)).concat());
    }
    described
}

fn text(json: &Value, name: &str) -> String {
    json.get(name).map(Value::to_string).unwrap_or_default()
}

/// A text, hashed.
pub(super) fn print(text: &str) -> Print {
    let digest = Sha256::digest(text);
    let mut print = Print::default();
    print.copy_from_slice(&digest[..8]);
    print
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_that_is_missing_or_shows_itself_is_a_difference() {
        let prints = |folders: &[(&str, bool)]| Prints {
            folders: folders
                .iter()
                .map(|(name, hidden)| Folder {
                    path: vec![(*name).to_owned()],
                    hidden: *hidden,
                })
                .collect(),
            messages: BTreeMap::new(),
        };
        let before = prints(&[("empty", false), ("secret", true)]);
        assert_eq!(before.differences(&before).count(), 0);
        let missing = prints(&[("secret", true)]);
        assert_eq!(before.differences(&missing).count(), 1);
        let shown = prints(&[("empty", false), ("secret", false)]);
        assert_eq!(before.differences(&shown).count(), 2);
    }

    #[test]
    fn where_an_attachment_lies_and_who_sent_a_message_in_it_is_compared() {
        let whole = json!({ "contentLocation": "a", "item": { "sender": "b", "replyTo": ["c"] } });
        for part in ["/contentLocation", "/item/sender", "/item/replyTo"] {
            let mut other = whole.clone();
            if let Some(value) = other.pointer_mut(part) {
                *value = Value::Null;
            }
            assert_ne!(describe(&whole), describe(&other), "{part}");
        }
    }
}
