//! What a mailbox holds, at the source and in a snapshot, and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use repository::{Repository, SnapshotId};
use serde_json::{Value, json};
use workload::mail::Archive;

/// The messages, by id.
pub type Held = BTreeMap<String, Message>;

/// A message as it is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its folder's id.
    pub folder: String,
    /// Its bytes.
    pub mime: Vec<u8>,
    /// What Graph says of it: whether it is read, its flag and its categories among other things.
    pub json: Value,
}

/// Messages as people see them, each with how many there are of it: restored ones have other ids.
pub type Shown = BTreeMap<String, usize>;

/// What of a message is shown, besides its folder and its attachments' names and bytes; `docs/fidelity.md` says what else comes back.
const SHOWN: [&str; 9] = [
    "subject",
    "body",
    "from",
    "toRecipients",
    "isRead",
    "isDraft",
    "flag",
    "categories",
    "receivedDateTime",
];

/// What the source holds.
#[must_use]
pub fn source(mailbox: &emulator::Mailbox) -> Held {
    let messages = mailbox.message_views();
    messages
        .map(|message| {
            let held = Message {
                folder: message.folder_id,
                mime: message.mime.to_vec(),
                json: said(message.json),
            };
            (message.id, held)
        })
        .collect()
}

/// What the snapshot holds.
///
/// # Errors
/// When it cannot be read, or has a message twice.
pub async fn snapshot(repository: &Repository, id: SnapshotId) -> Result<Held> {
    let snapshot = repository.snapshot(id).await?;
    let tree = snapshot.context("the snapshot is not there")?.tree;
    let archive = Archive::open(repository.view(tree)).await?;
    let mut held = Held::new();
    for folder in archive.folders() {
        for at in archive.messages(&folder.id).await? {
            let message = archive.message(&at).await?;
            let content = Message {
                folder: folder.id.to_string(),
                mime: message.mime.to_vec(),
                json: said(serde_json::from_str(message.json.get())?),
            };
            let before = held.insert(message.id.to_string(), content);
            ensure!(before.is_none(), "a message is in a snapshot twice");
        }
    }
    Ok(held)
}

/// What Graph says of a message, without what it says of its own answer: a listing and a question for the one message differ in that.
#[must_use]
pub fn said(mut json: Value) -> Value {
    if let Value::Object(fields) = &mut json {
        fields.retain(|name, _| !name.starts_with("@odata."));
    }
    json
}

/// In what a snapshot differs from the source, for people to read.
#[must_use]
pub fn differences(snapshot: &Held, source: &Held) -> Vec<String> {
    let missing = source
        .keys()
        .filter(|id| !snapshot.contains_key(*id))
        .map(|id| format!("{id} is missing"));
    missing.chain(falsehoods(snapshot, source)).collect()
}

/// In what a snapshot says something that the source does not: it may lack messages, as a checkpoint does.
#[must_use]
pub fn falsehoods(snapshot: &Held, source: &Held) -> Vec<String> {
    let falsehood = |(id, held): (&String, &Message)| match source.get(id) {
        None => Some(format!("{id} is too many")),
        Some(there) if there.folder != held.folder => Some(format!(
            "{id} is in folder {} instead of {}",
            held.folder, there.folder
        )),
        Some(there) if there.mime != held.mime => Some(format!("{id} has other bytes")),
        Some(there) if there.json != held.json => {
            Some(format!("{id} is {} instead of {}", held.json, there.json))
        }
        Some(_) => None,
    };
    snapshot.iter().filter_map(falsehood).collect()
}

/// What people see below the folder of that path, in the mailbox of that user.
///
/// # Errors
/// When two folders have the same path, or a message lies in none.
pub fn shown(mailbox: &emulator::Mailbox, top: &[&str]) -> Result<Shown> {
    let mut folders = BTreeMap::new();
    let mut paths = BTreeSet::new();
    for folder in mailbox.folder_views() {
        ensure!(
            paths.insert(folder.path.clone()),
            "two folders have one name"
        );
        folders.insert(folder.id, folder.path);
    }
    let mut shown = Shown::new();
    for message in mailbox.message_views() {
        let path = folders
            .get(&message.folder_id)
            .context("a message lies in no folder")?;
        if !path.iter().zip(top).all(|(name, wanted)| name == wanted) || path.len() < top.len() {
            continue;
        }
        let fields: Value = SHOWN
            .iter()
            .map(|name| ((*name).to_owned(), message.json[*name].clone()))
            .collect();
        let line = json!([&path[top.len()..], fields, attachments(&message.mime)]).to_string();
        *shown.entry(line).or_default() += 1;
    }
    Ok(shown)
}

/// The encoded attachments of one of [`crate::ground`]'s messages: the lines of base64 in it.
fn attachments(mime: &[u8]) -> String {
    let text = String::from_utf8_lossy(mime);
    let encoded = |line: &&str| !line.starts_with("--") && !line.contains([' ', ':', ';', '=']);
    text.lines().filter(encoded).collect()
}
