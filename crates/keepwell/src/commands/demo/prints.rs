//! Fingerprints of a mailbox's messages, to compare a restored mailbox with what was there before.
//!
//! A restored message has another id, so messages are matched by where they lie and what they say. What is compared is what docs/fidelity.md
//! promises to bring back, attachments with their bytes included.

use std::collections::BTreeMap;

use engine::Account;
use graph::{Request, Scope, segment};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{compare::Differences, stage::Stage};

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
/// The fields that messages are matched by.
const KEYS: [&str; 3] = ["receivedDateTime", "sentDateTime", "subject"];
/// What is compared of an attachment, and what Graph wants on creation where the source has none.
const ATTACHMENT_FIELDS: [(&str, &str); 6] = [
    ("@odata.type", ""),
    ("name", "\"attachment\""),
    ("contentType", "\"application/octet-stream\""),
    ("isInline", ""),
    ("contentId", ""),
    ("contentBytes", ""),
];
/// What is compared of a message that is attached to another.
const INNER_FIELDS: [&str; 6] = [
    "subject",
    "body",
    "from",
    "toRecipients",
    "ccRecipients",
    "internetMessageId",
];

/// The date of an attached message, compared unless the source has none: then Exchange gives it the time of its making.
const INNER_DATE: &str = "sentDateTime";
/// What the emulator says of a message without any date.
const NO_DATE: &str = "2000-01-01T00:00:00Z";

/// 8 bytes of SHA-256: enough to tell apart what differs by accident.
type Print = [u8; 8];

/// The messages of a mailbox, by folder and key; several of the same key in a fixed order.
pub(crate) struct Prints(BTreeMap<(Vec<String>, Print), Vec<Message>>);

/// The attachments of a message, hashed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Attachments {
    /// Everything but the dates of attached messages.
    content: Print,
    dates: Print,
    /// A message is attached that has no date.
    undated: bool,
}

/// A message, hashed field by field.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Message {
    fields: [Print; FIELDS.len()],
    attachments: Attachments,
    message_id: Option<Print>,
}

impl Prints {
    /// Notes what is there now: the messages past Graph, their attachments by it.
    pub(crate) async fn take(stage: &Stage, account: &Account) -> anyhow::Result<Self> {
        let noted = stage.mailbox(account, |mailbox| {
            let folders: BTreeMap<String, Vec<String>> = mailbox
                .folder_views()
                .map(|folder| (folder.id, folder.path))
                .collect();
            let note = |message: emulator::MessageView| {
                let path = folders.get(&message.folder_id).cloned().unwrap_or_default();
                Noted::of(path, &message.json, message.id)
            };
            mailbox.message_views().map(note).collect::<Vec<_>>()
        })?;
        let mut prints: BTreeMap<_, Vec<Message>> = BTreeMap::new();
        for mut noted in noted {
            if let Some(id) = noted.look_for_attachments {
                noted.message.attachments = attachments(stage, account, &id).await?;
            }
            prints.entry(noted.key).or_default().push(noted.message);
        }
        for messages in prints.values_mut() {
            messages.sort();
        }
        Ok(Self(prints))
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.values().map(|messages| messages.len() as u64).sum()
    }

    /// How `after` differs from this.
    pub(crate) fn differences(&self, after: &Self) -> Differences {
        let mut differences = Differences::default();
        for (key, before) in &self.0 {
            let after = after.0.get(key).map_or(&[][..], Vec::as_slice);
            for (before, after) in before.iter().zip(after) {
                let different = before.different_fields(after);
                if !different.is_empty() {
                    differences.add(|| {
                        format!(
                            "a message in {:?} differs in {}",
                            key.0.join("/"),
                            different.join(", ")
                        )
                    });
                }
            }
            for _ in after.len()..before.len() {
                differences.add(|| format!("a message is missing in {:?}", key.0.join("/")));
            }
        }
        for (key, after) in &after.0 {
            let before = self.0.get(key).map_or(0, Vec::len);
            for _ in before..after.len() {
                differences.add(|| format!("a message is too many in {:?}", key.0.join("/")));
            }
        }
        differences
    }
}

/// A message as the mailbox tells it, before its attachments are looked at.
struct Noted {
    key: (Vec<String>, Print),
    message: Message,
    /// The message's id, if there may be attachments.
    look_for_attachments: Option<String>,
}

impl Noted {
    fn of(path: Vec<String>, json: &Value, id: String) -> Self {
        let may_have_attachments =
            json["hasAttachments"] == true || text(json, "body").contains("cid:");
        Self {
            key: (path, print(&KEYS.map(|name| text(json, name)).concat())),
            message: Message {
                fields: FIELDS.map(|name| print(&text(json, name))),
                attachments: Attachments::default(),
                message_id: json[MESSAGE_ID].as_str().map(print),
            },
            look_for_attachments: may_have_attachments.then_some(id),
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
            different.push("attachments");
        }
        if self.message_id.is_some() && self.message_id != after.message_id {
            different.push(MESSAGE_ID);
        }
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

fn print(text: &str) -> Print {
    let digest = Sha256::digest(text);
    let mut print = Print::default();
    print.copy_from_slice(&digest[..8]);
    print
}
