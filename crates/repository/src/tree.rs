//! Directories: JSON, byte for byte as restic itself would write it.
//!
//! `restic rewrite` decodes a directory, encodes it again and refuses to go on if the bytes differ. So the order of the fields, the ones that
//! are left out when empty, the escaping (Go's) and the closing line feed are part of the format, and entries are ordered by the bytes of their names.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    error::{Problem, Result},
    id::BlobId,
    name::Name,
};

/// Go's `os.ModeDir`.
const MODE_DIRECTORY: u32 = 1 << 31;
/// Go's `os.ModeSticky`: marks directories that stay when they are empty.
const MODE_STICKY: u32 = 1 << 20;
/// A restored backup is private to who restored it.
const MODE_FILE: u32 = 0o600;
const MODE_SEARCHABLE: u32 = 0o700;

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// Something else that restic can store: a symbolic link, a device. We never write it.
    Other,
}

/// An entry of a directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    name: Name,
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    mode: u32,
    mtime: Box<str>,
    atime: Box<str>,
    ctime: Box<str>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    user: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    group: Box<str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    inode: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    device_id: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    links: u64,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    linktarget: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    linktarget_raw: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extended_attributes: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generic_attributes: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    device: u64,
    /// `null` for directories, `[]` for an empty file.
    #[serde(default)]
    content: Option<Vec<BlobId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subtree: Option<BlobId>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    error: Box<str>,
}

impl Node {
    pub(crate) fn file(name: Name, content: Vec<BlobId>, size: u64, mtime: Timestamp) -> Self {
        Self {
            size,
            content: Some(content),
            ..Self::new(name, "file", MODE_FILE, mtime)
        }
    }

    pub(crate) fn directory(
        name: Name,
        subtree: Option<BlobId>,
        stays: bool,
        mtime: Timestamp,
    ) -> Self {
        let mut node = Self::new(name, "dir", MODE_DIRECTORY | MODE_SEARCHABLE, mtime);
        node.subtree = subtree;
        node.set_stays(stays);
        node
    }

    fn new(name: Name, kind: &str, mode: u32, mtime: Timestamp) -> Self {
        let time: Box<str> = mtime.to_string().into();
        Self {
            name,
            kind: kind.into(),
            mode,
            mtime: time.clone(),
            atime: time.clone(),
            ctime: time,
            uid: 0,
            gid: 0,
            user: "".into(),
            group: "".into(),
            inode: 0,
            device_id: 0,
            size: 0,
            links: 0,
            linktarget: "".into(),
            linktarget_raw: None,
            extended_attributes: None,
            generic_attributes: None,
            device: 0,
            content: None,
            subtree: None,
            error: "".into(),
        }
    }

    /// Its name within its directory. Bytes that are no Unicode, which we never write, are shown as replacement characters.
    #[must_use]
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        self.name.display()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        match &*self.kind {
            "file" => NodeKind::File,
            "dir" => NodeKind::Directory,
            _ => NodeKind::Other,
        }
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.kind() == NodeKind::Directory
    }

    /// The size of a file in bytes; 0 for anything else.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When it was last modified, or nothing when restic wrote a time that is beyond us. A directory is as old as the newest thing in it.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.mtime.parse().ok()
    }

    /// The blobs of a file's content, in order; empty for anything else.
    #[must_use]
    pub fn content(&self) -> &[BlobId] {
        self.content.as_deref().unwrap_or_default()
    }

    /// The directory's own listing; nothing for anything else.
    #[must_use]
    pub fn subtree(&self) -> Option<BlobId> {
        self.subtree.filter(|_| self.is_directory())
    }

    /// Whether it is a directory that was made on request and stays when it is empty.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.is_directory() && self.mode & MODE_STICKY != 0
    }

    pub(crate) fn stored_name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn set_name(&mut self, name: Name) {
        self.name = name;
    }

    pub(crate) fn set_stays(&mut self, stays: bool) {
        if stays {
            self.mode |= MODE_STICKY;
        } else {
            self.mode &= !MODE_STICKY;
        }
    }
}

/// A directory's entries, ordered by name.
#[derive(Debug, Deserialize)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Serialize)]
struct TreeOf<'a> {
    nodes: &'a [&'a Node],
}

impl Tree {
    /// The stored bytes of a directory with these entries, which must be in order.
    pub(crate) fn encode(nodes: &[&Node]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + nodes.len() * 400);
        TreeOf { nodes }
            .serialize(&mut serde_json::Serializer::with_formatter(
                &mut bytes, GoJson,
            ))
            .expect("nodes have no maps and memory takes all bytes");
        bytes.push(b'\n');
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|_| Problem::Malformed)
    }

    /// The entry of this name, as it is displayed.
    pub(crate) fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name() == name)
    }
}

/// Writes JSON as Go's encoder does, which escapes what could be mistaken in HTML and JavaScript.
struct GoJson;

impl serde_json::ser::Formatter for GoJson {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            let code = characters.next().map_or(0, u32::from);
            write!(writer, "\\u{code:04x}")?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
