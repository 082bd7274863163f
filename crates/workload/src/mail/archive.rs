//! A mailbox as of a snapshot.
//!
//! Reads what `backup` wrote: which folders there were, which messages they held, and each message with its MIME and its JSON. It reads only what
//! is asked for, and changes nothing.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use model::{ItemFailure, ItemId, Skip};
use repository::{BlobId, Node, View};
use serde_json::value::RawValue;

use super::{
    json::Fields,
    layout::{IdHash, stem_of, suffix_of},
    outline::{Outline, Outliner},
    state::{self, FolderRecord, Folders, Ledger},
};
use crate::{Error, Result};

mod lists;
mod search;

pub use search::{Found, Search};

const WHAT: &str = "the snapshot";
const FOLDERS: &str = ".keepwell/mail/folders";
/// MIME up to this length is read whole where an outline would do.
const WHOLE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A mailbox as of a snapshot. See the module's text.
pub struct Archive {
    view: View,
    folders: Vec<Folder>,
    records: Folders,
}

/// A folder of the mailbox.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder's id at the source.
    pub id: ItemId,
    /// The folder that it was in; `None` for the root of the mailbox, whose [`Folder::well_known`] is `msgfolderroot`.
    pub parent: Option<ItemId>,
    /// What people called it, in the mailbox's language.
    pub display_name: String,
    /// Microsoft's name for it, where every mailbox has such a folder: `inbox`, `sentitems`.
    pub well_known: Option<String>,
    /// Outlook did not show it.
    pub hidden: bool,
    /// Where it lies in the snapshot.
    pub directory: String,
    /// How many messages the snapshot holds of it, without those of folders inside.
    pub messages: u64,
    /// The folder as Graph gave it.
    pub json: Box<RawValue>,
}

/// Where a message lies in the snapshot.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MessageRef {
    /// The path of its files, without their extension.
    pub path: String,
}

/// A message, as it was held.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message's immutable id at the source.
    pub id: ItemId,
    /// The message as Graph gave it, byte for byte.
    pub json: Box<RawValue>,
    /// The MIME as Graph served it; empty when it served an empty one, or none.
    pub mime: Bytes,
    /// Whether there is MIME at all: Microsoft cannot make it of every message, and of those the JSON alone is held.
    pub has_mime: bool,
    /// The attachments that MIME has no bytes for, as Graph gave them.
    pub attachments: Vec<Box<RawValue>>,
}

/// A message as a list shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Where it lies: what [`Archive::message`] and the next [`Archive::page`] ask for.
    pub at: MessageRef,
    /// The message's immutable id at the source.
    pub id: ItemId,
    /// The subject; empty when there is none.
    pub subject: String,
    /// What the sender is called; empty when nobody is named, as in drafts.
    pub sender_name: String,
    /// The sender's address.
    pub sender_address: String,
    /// When it came.
    pub received: Option<Timestamp>,
    /// Whether Outlook shows a paper clip.
    pub has_attachments: bool,
    /// Whether it was read.
    pub is_read: bool,
    /// Bytes of its MIME, or of its JSON when there is no MIME.
    pub size_bytes: u64,
}

/// A message of a month's directory.
enum Entry {
    /// What a list shows of it is known.
    Known(Listed),
    /// It has to be read for that; with the size that a list shows.
    Unread(MessageRef, u64),
}

impl Entry {
    fn at(&self) -> &MessageRef {
        match self {
            Self::Known(listed) => &listed.at,
            Self::Unread(at, _) => at,
        }
    }
}

/// A message of whose large MIME only the outline is in memory.
pub(crate) struct Outlined {
    pub(crate) id: ItemId,
    pub(crate) json: Box<RawValue>,
    pub(crate) mime: Outline,
    /// Where the rest of the MIME is.
    pub(crate) file: MimeFile,
    pub(crate) attachments: Vec<Box<RawValue>>,
}

/// A message's MIME in the archive.
#[derive(Clone)]
pub(crate) struct MimeFile {
    view: View,
    /// Each blob, and where in the MIME it begins.
    blobs: Vec<(u64, BlobId)>,
}

impl Folder {
    /// Hidden folders that hold nothing are the mailbox's own furniture.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.hidden || self.messages > 0
    }
}

impl MimeFile {
    /// A range of the MIME; shorter only at its end.
    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let mut part = BytesMut::with_capacity((range.end - range.start) as usize);
        let before = self
            .blobs
            .partition_point(|(start, _)| *start <= range.start);
        for (start, id) in &self.blobs[before.saturating_sub(1)..] {
            if *start >= range.end {
                break;
            }
            let blob = self.blob(*id).await?;
            let from = range.start.saturating_sub(*start) as usize;
            let to = blob.len().min((range.end - start) as usize);
            part.extend_from_slice(blob.get(from..to).unwrap_or_default());
        }
        Ok(part.freeze())
    }

    /// Reads all of it, and gives its outline.
    async fn open(&mut self, node: &Node) -> Result<Outline> {
        let mut outliner = Outliner::default();
        let mut whole = BytesMut::new();
        let mut start = 0;
        for id in node.content() {
            let blob = self.blob(*id).await?;
            self.blobs.push((start, *id));
            start += blob.len() as u64;
            if node.size() > WHOLE_BYTES_MAX {
                outliner.push(&blob);
            } else {
                whole.extend_from_slice(&blob);
            }
        }
        Ok(match whole.is_empty() {
            true => outliner.finish(),
            false => whole.freeze().into(),
        })
    }

    /// All of it.
    pub(crate) async fn whole(&self) -> Result<Bytes> {
        let mut whole = Vec::new();
        for (_, id) in &self.blobs {
            whole.extend_from_slice(&self.blob(*id).await?);
        }
        Ok(whole.into())
    }

    async fn blob(&self, id: BlobId) -> Result<Bytes> {
        let blob = self.view.blob(id).await;
        blob.map_err(Error::repository(WHAT))
    }
}

impl Archive {
    /// Reads which folders the snapshot holds.
    ///
    /// # Errors
    /// When the snapshot cannot be read or its records make no sense.
    pub async fn open(view: View) -> Result<Self> {
        let mut records = Vec::new();
        for node in view.list(FOLDERS).await.map_err(Error::repository(WHAT))? {
            let bytes = view.read_kept(&node).await;
            let bytes = bytes.map_err(Error::repository(WHAT))?;
            records.push(state::decode_folder(&bytes)?);
        }
        let records = Folders::from_records(records)?;
        let mut folders = Vec::new();
        for record in records.iter() {
            let fields = Fields::of(&record.folder)?;
            folders.push(Folder {
                id: record.id.clone(),
                parent: record.parent.clone(),
                display_name: fields.text("displayName").unwrap_or_default(),
                well_known: record.well_known.clone(),
                hidden: record.hidden,
                directory: records.path(&record.id),
                messages: held(record),
                json: record.folder.clone(),
            });
        }
        folders.sort_by_cached_key(|folder| {
            let names = records.names(&folder.id).unwrap_or_default();
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        });
        Ok(Self {
            view,
            folders,
            records,
        })
    }

    /// The folders, each after the one that it is in.
    #[must_use]
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// A folder and all below it, without hidden ones that hold nothing.
    #[must_use]
    pub fn below<'a>(&'a self, top: &'a Folder) -> Vec<&'a Folder> {
        let mut within = HashSet::from([&top.id]);
        let mut folders = vec![top];
        for folder in &self.folders {
            let parent = folder.parent.as_ref();
            let is_below = parent.is_some_and(|parent| within.contains(parent));
            if is_below && folder.id != top.id {
                within.insert(&folder.id);
                if folder.is_shown() {
                    folders.push(folder);
                }
            }
        }
        folders
    }

    /// The folder that holds a message: its files are in a month's directory there.
    #[must_use]
    pub fn holder(&self, at: &MessageRef) -> Option<&Folder> {
        let (month, _) = at.path.rsplit_once('/')?;
        let (directory, _) = month.rsplit_once('/')?;
        self.folders
            .iter()
            .find(|folder| folder.directory == directory)
    }

    /// For each folder but the root, the display names from below the root to its own.
    #[must_use]
    pub fn paths(&self) -> Vec<(ItemId, Vec<String>)> {
        let mut paths: Vec<(ItemId, Vec<String>)> = Vec::new();
        // A folder stands after the one that it is in, so that one's path is known.
        for folder in &self.folders {
            let Some(parent) = &folder.parent else {
                continue;
            };
            let above = paths
                .iter()
                .find(|(id, _)| id == parent)
                .map(|(_, path)| path.clone());
            let mut path = above.unwrap_or_default();
            path.push(folder.display_name.clone());
            paths.push((folder.id.clone(), path));
        }
        paths
    }

    /// The messages of a folder, without those of folders inside, by the names of their files.
    ///
    /// # Errors
    /// When the folder is not in the snapshot or cannot be read.
    pub async fn messages(&self, folder: &ItemId) -> Result<Vec<MessageRef>> {
        let record = self
            .records
            .get(folder)
            .ok_or(Error::NotFound("the folder"))?;
        let path = self.records.path(folder);
        let mut found = Vec::new();
        for month in &record.months {
            let directory = format!("{path}/{}", month.name);
            let nodes = self.list(&directory).await?;
            found.extend(messages_in(&directory, &nodes).map(|(at, _)| at));
        }
        Ok(found)
    }

    /// A page of a folder's messages, without those of folders inside: the latest first, as their files are named, by the month and the minute in which
    /// they came. `after` is the last message of the page before.
    ///
    /// # Errors
    /// When the folder is not in the snapshot or cannot be read.
    pub async fn page(
        &self,
        folder: &ItemId,
        after: Option<&MessageRef>,
        rows: usize,
    ) -> Result<Vec<Listed>> {
        let record = self
            .records
            .get(folder)
            .ok_or(Error::NotFound("the folder"))?;
        let path = self.records.path(folder);
        let after = after.and_then(|at| place(&path, &at.path));
        let mut page = Vec::new();
        for (month, directories) in months(record) {
            if after.is_some_and(|(last, _)| month > last) {
                continue;
            }
            for entry in self.month(&path, &directories).await? {
                if after.is_some_and(|last| is_before(month, entry.at(), last)) {
                    continue;
                }
                page.push(self.shown(entry).await?);
                if page.len() == rows {
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// The messages of a month of the folder that lies at `path`, the latest first.
    async fn month(&self, path: &str, directories: &[&str]) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        for directory in directories {
            let directory = format!("{path}/{directory}");
            match self.known(&directory).await? {
                Some(known) => found.extend(known.into_iter().map(Entry::Known)),
                None => {
                    let nodes = self.list(&directory).await?;
                    let messages = messages_in(&directory, &nodes);
                    found.extend(messages.map(|(at, size_bytes)| Entry::Unread(at, size_bytes)));
                }
            }
        }
        found.sort_by(|a, b| file_name(b.at()).cmp(file_name(a.at())));
        Ok(found)
    }

    /// What a list shows of it.
    async fn shown(&self, entry: Entry) -> Result<Listed> {
        match entry {
            Entry::Known(listed) => Ok(listed),
            Entry::Unread(at, size_bytes) => self.listed(at, size_bytes).await,
        }
    }

    /// How many messages the snapshot holds, and how many bytes of MIME and JSON they have.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn totals(&self) -> Result<(u64, u64)> {
        let (mut messages, mut bytes) = (0, 0);
        for record in self.records.iter() {
            let path = self.records.path(&record.id);
            for month in &record.months {
                let nodes = self.list(&format!("{path}/{}", month.name)).await?;
                messages += u64::from(month.count);
                let files = nodes.iter().filter(|node| !node.is_directory());
                bytes += files.map(Node::size).sum::<u64>();
            }
        }
        Ok((messages, bytes))
    }

    /// What should be in the snapshot and is not, and why.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn failures(&self) -> Result<Vec<ItemFailure>> {
        let ledger = Ledger::of(&self.view).await?;
        Ok(ledger.failures().cloned().collect())
    }

    /// What can never be copied, or not whole, and why.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn skips(&self) -> Result<Vec<Skip>> {
        let ledger = Ledger::of(&self.view).await?;
        Ok(ledger.skips().cloned().collect())
    }

    /// What a list shows of a message.
    async fn listed(&self, at: MessageRef, size_bytes: u64) -> Result<Listed> {
        let json = self.json(&at).await?;
        let fields = Fields::of(&json)?;
        let from = fields.raw("from").or(fields.raw("sender"));
        let from = from.and_then(|from| Fields::of(from).ok());
        let address = from.as_ref().and_then(|from| from.raw("emailAddress"));
        let address = address.and_then(|address| Fields::of(address).ok());
        let of_sender = |name| address.as_ref().and_then(|address| address.text(name));
        Ok(Listed {
            id: fields.id("id")?,
            subject: fields.text("subject").unwrap_or_default(),
            sender_name: of_sender("name").unwrap_or_default(),
            sender_address: of_sender("address").unwrap_or_default(),
            received: fields.time("receivedDateTime"),
            has_attachments: fields.flag("hasAttachments").unwrap_or(false),
            is_read: fields.flag("isRead").unwrap_or(true),
            size_bytes,
            at,
        })
    }

    /// The message with this id, if the snapshot holds it.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub async fn find(&self, id: &ItemId) -> Result<Option<MessageRef>> {
        let hash = IdHash::of(id);
        let Some(entry) = state::find_entry(&self.view, &hash).await? else {
            return Ok(None);
        };
        let Some((_, directory)) = self.records.directory(entry.directory) else {
            return Ok(None);
        };
        let suffix = hash.suffix();
        let nodes = self.list(&directory).await?;
        let names = nodes.iter().map(Node::name);
        let name = names
            .into_iter()
            .find(|name| suffix_of(name) == Some(&suffix));
        Ok(name.map(|name| MessageRef {
            path: format!("{directory}/{}", stem_of(&name)),
        }))
    }

    /// Reads a message whole.
    ///
    /// # Errors
    /// When it is not there or damaged: nothing that does not match its hash is handed out.
    pub async fn message(&self, at: &MessageRef) -> Result<Message> {
        let json = self.json(at).await?;
        let mime = self.read(at, ".eml").await?;
        Ok(Message {
            id: Fields::of(&json)?.id("id")?,
            json,
            has_mime: mime.is_some(),
            mime: mime.unwrap_or_default(),
            attachments: self.attachments(at).await?,
        })
    }

    /// Reads a message, of whose large MIME all is checked and only the outline kept.
    ///
    /// # Errors
    /// As [`Archive::message`].
    pub(crate) async fn outlined(&self, at: &MessageRef) -> Result<Outlined> {
        let json = self.json(at).await?;
        let path = format!("{}.eml", at.path);
        let node = self.view.node(&path).await;
        let node = node.map_err(Error::repository(WHAT))?;
        let mut file = MimeFile {
            view: self.view.clone(),
            blobs: Vec::new(),
        };
        let mut mime = Outline::default();
        if let Some(node) = node.filter(|node| !node.is_directory()) {
            mime = file.open(&node).await?;
        }
        Ok(Outlined {
            id: Fields::of(&json)?.id("id")?,
            json,
            mime,
            file,
            attachments: self.attachments(at).await?,
        })
    }

    /// The attachments that MIME has no bytes for.
    async fn attachments(&self, at: &MessageRef) -> Result<Vec<Box<RawValue>>> {
        match self.read(at, ".att.json").await? {
            Some(list) => serde_json::from_slice(&list)
                .map_err(|error| Error::state("a message's attachments", error)),
            None => Ok(Vec::new()),
        }
    }

    /// What Graph said of a message, without its MIME: for lists, and for asking whether the message is still there.
    ///
    /// # Errors
    /// As [`Archive::message`].
    pub async fn json(&self, at: &MessageRef) -> Result<Box<RawValue>> {
        let json = self
            .read(at, ".json")
            .await?
            .ok_or(Error::NotFound("the message"))?;
        serde_json::from_slice(&json).map_err(|error| Error::state("a message", error))
    }

    /// The immutable id of a message at the source.
    ///
    /// # Errors
    /// As [`Archive::message`].
    pub async fn message_id(&self, at: &MessageRef) -> Result<ItemId> {
        Fields::of(&self.json(at).await?)?.id("id")
    }

    /// A directory's entries; none of one that somebody took out of the snapshot with restic.
    async fn list(&self, directory: &str) -> Result<Vec<Node>> {
        match self.view.list(directory).await {
            Err(error) if error.kind() == repository::Kind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(Error::repository(WHAT)),
        }
    }

    async fn read(&self, at: &MessageRef, extension: &str) -> Result<Option<Bytes>> {
        let path = format!("{}{extension}", at.path);
        self.view
            .read_path(&path)
            .await
            .map_err(Error::repository(WHAT))
    }
}

/// The messages whose files are among the entries of a directory, with the size of their MIME, or of their JSON where there is none.
fn messages_in(directory: &str, nodes: &[Node]) -> impl Iterator<Item = (MessageRef, u64)> {
    let mut found: BTreeMap<String, (bool, u64)> = BTreeMap::new();
    for node in nodes {
        let name = node.name();
        if let Some(stem) = name.strip_suffix(".eml") {
            found.entry(stem.to_owned()).or_default().1 = node.size();
        } else if let Some(stem) = name
            .strip_suffix(".json")
            .filter(|stem| !stem.ends_with(".att"))
            && suffix_of(stem).is_some()
        {
            let message = found.entry(stem.to_owned()).or_default();
            message.0 = true;
            if message.1 == 0 {
                message.1 = node.size();
            }
        }
    }
    let messages = found.into_iter().filter(|(_, (is_message, _))| *is_message);
    messages.map(move |(stem, (_, size))| {
        let path = format!("{directory}/{stem}");
        (MessageRef { path }, size)
    })
}

/// The month and the file of a message in the folder that lies at `folder`.
fn place<'a>(folder: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (directory, file) = path
        .strip_prefix(folder)?
        .strip_prefix('/')?
        .rsplit_once('/')?;
    let (month, _) = directory.rsplit_once('~').unwrap_or((directory, ""));
    Some((month, file))
}

/// How many messages are held of a folder, without those of folders inside.
pub(crate) fn held(record: &FolderRecord) -> u64 {
    let counts = record.months.iter().map(|month| u64::from(month.count));
    counts.sum()
}

/// A folder's months, the latest first, with their directories: a large month has several, which are listed together, for the order.
fn months(record: &FolderRecord) -> Vec<(&str, Vec<&str>)> {
    let mut months: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for month in &record.months {
        let name = month.name.as_str();
        let (month, _) = name.rsplit_once('~').unwrap_or((name, ""));
        months.entry(month).or_default().push(name);
    }
    months.into_iter().rev().collect()
}

/// Whether a message of a month comes before the one that was last, or is it, in the order of a folder: the latest first.
fn is_before(month: &str, at: &MessageRef, (last_month, last): (&str, &str)) -> bool {
    month == last_month && file_name(at) >= last
}

/// The last part of its path.
fn file_name(at: &MessageRef) -> &str {
    at.path.rsplit('/').next().unwrap_or_default()
}
