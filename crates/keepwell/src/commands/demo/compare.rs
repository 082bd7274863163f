//! A snapshot against the mailbox that it is of.

use std::collections::{BTreeMap, BTreeSet};

use engine::Account;
use serde_json::Value;
use sha2::{Digest, Sha256};
use workload::mail::Archive;

use super::stage::Stage;

/// Differences described at most; all are counted.
const EXAMPLES_MAX: usize = 10;

/// How two things differ.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    count: u64,
    examples: Vec<String>,
}

impl Differences {
    pub(crate) fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }
}

/// What the mailbox holds.
pub(crate) struct Source {
    /// The display names of each folder's path, by the folder's id.
    folders: BTreeMap<String, Vec<String>>,
    /// By immutable id.
    messages: BTreeMap<String, SourceMessage>,
}

struct SourceMessage {
    folder: String,
    mime: [u8; 32],
    json: [u8; 32],
}

/// What came of a comparison.
#[derive(Default)]
pub(crate) struct Compared {
    pub(crate) differences: Differences,
    /// Messages compared.
    pub(crate) compared: u64,
    /// Bytes of MIME compared.
    pub(crate) bytes: u64,
}

/// Reads the mailbox past Graph.
pub(crate) fn source(stage: &Stage, account: &Account) -> anyhow::Result<Source> {
    stage.mailbox(account, |mailbox| Source {
        folders: mailbox
            .folder_views()
            .map(|folder| (folder.id, folder.path))
            .collect(),
        messages: mailbox
            .message_views()
            .map(|message| {
                let held = SourceMessage {
                    folder: message.folder_id,
                    mime: Sha256::digest(&message.mime).into(),
                    json: json_print(&message.json),
                };
                (message.id, held)
            })
            .collect(),
    })
}

/// Compares folder by folder and message by message.
pub(crate) async fn snapshot(archive: &Archive, mut source: Source) -> anyhow::Result<Compared> {
    let mut found = Compared::default();
    folders(archive, &source, &mut found.differences);
    for folder in archive.folders() {
        for at in archive.messages(&folder.id).await? {
            let message = archive.message(&at).await?;
            found.compared += 1;
            found.bytes += message.mime.len() as u64;
            let Some(held) = source.messages.remove(message.id.as_str()) else {
                found
                    .differences
                    .add(|| format!("message {} is too many", message.id));
                continue;
            };
            let mut differs = Vec::new();
            if held.folder != folder.id.as_str() {
                differs.push("its folder");
            }
            if !message.has_mime || held.mime != <[u8; 32]>::from(Sha256::digest(&message.mime)) {
                differs.push("its MIME");
            }
            if held.json != json_print(&serde_json::from_str(message.json.get())?) {
                differs.push("its JSON");
            }
            if !differs.is_empty() {
                found.differences.add(|| {
                    format!(
                        "message {} differs in {}",
                        message.id,
                        differs.join(" and ")
                    )
                });
            }
        }
    }
    for id in source.messages.keys() {
        found.differences.add(|| format!("message {id} is missing"));
    }
    Ok(found)
}

/// The same folders, of the same names, in one another the same way.
fn folders(archive: &Archive, source: &Source, differences: &mut Differences) {
    let paths = archive.paths();
    let held: BTreeSet<(&str, &[String])> = paths
        .iter()
        .map(|(id, path)| (id.as_str(), &path[..]))
        .collect();
    let there: BTreeSet<(&str, &[String])> = source
        .folders
        .iter()
        .map(|(id, path)| (id.as_str(), &path[..]))
        .collect();
    for (id, _) in held.symmetric_difference(&there) {
        differences.add(|| format!("folder {id} is missing, too many, or at another place"));
    }
}

/// A hash of what a message's JSON says, annotations left aside: these depend on how it was asked for.
fn json_print(json: &Value) -> [u8; 32] {
    let fields = json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.contains('@'));
    let fields: BTreeMap<&String, &Value> = fields.collect();
    Sha256::digest(format!("{fields:?}")).into()
}
