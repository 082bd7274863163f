//! An entry for each message: which directory it lies in and which version of it is held.
//!
//! Entries are kept in shards, sorted by the hash of the message's id. A shard is a file until it grows past [`ENTRIES_MAX`]; then it becomes a
//! directory of sixteen, one for each next hexadecimal digit of the hash. One changed message therefore rewrites one shard of at most 5 KiB and
//! the few small directories above it, however large the mailbox is. Only shards that are asked for are read.

use bytes::Bytes;
use repository::{Draft, NodeKind, View};

use super::super::layout::IdHash;
use crate::{Error, Result};

/// The path of the shards.
const ROOT: &str = ".keepwell/mail/items";
/// A shard with more entries is split.
const ENTRIES_MAX: usize = 192;
/// The first bytes of every shard: what it is, and the version of its layout.
const MAGIC: [u8; 4] = *b"KWI1";
/// 16 bytes of id hash, 4 of directory number (big-endian), 8 of version.
const ENTRY_BYTES: usize = 28;
/// Hexadecimal digits in a hash: no path is deeper.
const DEPTH_MAX: usize = 32;

/// What is held of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// The number of the month directory that it lies in, see `folders`.
    pub(crate) directory: u32,
    /// The first 8 bytes of SHA-256 of the message's `changeKey`.
    pub(crate) version: [u8; 8],
}

/// The entries of a mailbox, read as they are needed.
#[derive(Debug, Default)]
pub(crate) struct Items {
    root: Shard,
}

#[derive(Debug, Default)]
enum Shard {
    #[default]
    Unread,
    Leaf(Leaf),
    Branch {
        children: Box<[Shard; 16]>,
        /// The file that this directory takes the place of is still there.
        replaces_file: bool,
    },
}

#[derive(Debug, Default)]
struct Leaf {
    entries: Vec<(IdHash, Entry)>,
    changed: bool,
    stored: bool,
}

impl Items {
    /// Starts with nothing, whatever the draft holds: for a mailbox whose state is made anew.
    pub(crate) fn empty() -> Self {
        Self {
            root: Shard::Leaf(Leaf::default()),
        }
    }

    /// Whether the draft holds entries at all.
    pub(crate) async fn are_stored(draft: &mut Draft) -> Result<bool> {
        let root = draft.node(ROOT).await.map_err(Error::repository(WHAT))?;
        Ok(root.is_some())
    }

    /// What is held of the message, if anything.
    pub(crate) async fn get(&mut self, draft: &mut Draft, hash: &IdHash) -> Result<Option<Entry>> {
        let leaf = self.leaf(draft, hash).await?;
        Ok(leaf.find(hash).ok().map(|at| leaf.entries[at].1))
    }

    /// Records what is held of the message.
    pub(crate) async fn insert(
        &mut self,
        draft: &mut Draft,
        hash: IdHash,
        entry: Entry,
    ) -> Result<()> {
        let leaf = self.leaf(draft, &hash).await?;
        match leaf.find(&hash) {
            Ok(at) if leaf.entries[at].1 == entry => return Ok(()),
            Ok(at) => leaf.entries[at].1 = entry,
            Err(at) => leaf.entries.insert(at, (hash, entry)),
        }
        leaf.changed = true;
        Ok(())
    }

    /// Makes what is held of a message, of which only the hash's part in file names is known, look like an older version of it.
    pub(crate) async fn outdate(&mut self, draft: &mut Draft, suffix: &str) -> Result<()> {
        let Some(hash) = IdHash::beginning(suffix) else {
            return Ok(());
        };
        let leaf = self.leaf(draft, &hash).await?;
        for (known, entry) in &mut leaf.entries {
            if known.0[..8] == hash.0[..8] {
                entry.version = [0; 8];
                leaf.changed = true;
            }
        }
        Ok(())
    }

    /// Forgets the message. True when something was held of it.
    pub(crate) async fn remove(&mut self, draft: &mut Draft, hash: &IdHash) -> Result<bool> {
        let leaf = self.leaf(draft, hash).await?;
        let found = leaf.find(hash);
        if let Ok(at) = found {
            leaf.entries.remove(at);
            leaf.changed = true;
        }
        Ok(found.is_ok())
    }

    /// Writes the shards that changed to the draft.
    pub(crate) async fn save(&mut self, draft: &mut Draft) -> Result<()> {
        let mut writes = Vec::new();
        collect(&mut self.root, ROOT, 0, &mut writes);
        for write in writes {
            match write {
                Write::Remove(path) => {
                    draft.remove(&path).await.map_err(Error::repository(WHAT))?;
                }
                Write::Put(path, bytes) => super::put(draft, &path, bytes).await?,
            }
        }
        Ok(())
    }

    /// The shard that holds, or would hold, the message.
    async fn leaf(&mut self, draft: &mut Draft, hash: &IdHash) -> Result<&mut Leaf> {
        let mut path = ROOT.to_owned();
        let mut shard = &mut self.root;
        for depth in 0..=DEPTH_MAX {
            if matches!(shard, Shard::Unread) {
                *shard = read(draft, &path).await?;
            }
            if let Shard::Leaf(leaf) = shard
                && leaf.entries.len() > ENTRIES_MAX
            {
                *shard = split(std::mem::take(leaf), depth);
            }
            match shard {
                Shard::Branch { children, .. } => {
                    let digit = hash.digit(depth);
                    path.push('/');
                    path.push(hex(digit));
                    shard = &mut children[usize::from(digit)];
                }
                Shard::Leaf(leaf) => return Ok(leaf),
                Shard::Unread => unreachable!("it was read above"),
            }
        }
        Err(Error::state(
            WHAT,
            "its shards are nested deeper than a hash is long",
        ))
    }
}

const WHAT: &str = "the messages held";

/// What a snapshot holds of one message, without reading the rest.
pub(crate) async fn find(view: &View, hash: &IdHash) -> Result<Option<Entry>> {
    let mut path = ROOT.to_owned();
    for depth in 0..DEPTH_MAX {
        let Some(node) = view.node(&path).await.map_err(Error::repository(WHAT))? else {
            return Ok(None);
        };
        if node.kind() != NodeKind::Directory {
            let entries = decode(&view.read(&node).await.map_err(Error::repository(WHAT))?)?;
            let found = entries.binary_search_by_key(hash, |(hash, _)| *hash);
            return Ok(found.ok().map(|at| entries[at].1));
        }
        path.push('/');
        path.push(hex(hash.digit(depth)));
    }
    Ok(None)
}

enum Write {
    Remove(String),
    Put(String, Bytes),
}

impl Leaf {
    fn find(&self, hash: &IdHash) -> Result<usize, usize> {
        self.entries.binary_search_by_key(hash, |(hash, _)| *hash)
    }
}

async fn read(draft: &mut Draft, path: &str) -> Result<Shard> {
    let Some(node) = draft.node(path).await.map_err(Error::repository(WHAT))? else {
        return Ok(Shard::Leaf(Leaf::default()));
    };
    if node.kind() == NodeKind::Directory {
        return Ok(Shard::Branch {
            children: Box::default(),
            replaces_file: false,
        });
    }
    let bytes = draft
        .read_path(path)
        .await
        .map_err(Error::repository(WHAT))?
        .unwrap_or_default();
    Ok(Shard::Leaf(Leaf {
        entries: decode(&bytes)?,
        changed: false,
        stored: true,
    }))
}

fn split(leaf: Leaf, depth: usize) -> Shard {
    let mut children: Box<[Shard; 16]> =
        Box::new(std::array::from_fn(|_| Shard::Leaf(Leaf::default())));
    for (hash, entry) in leaf.entries {
        if let Shard::Leaf(child) = &mut children[usize::from(hash.digit(depth))] {
            child.entries.push((hash, entry));
            child.changed = true;
        }
    }
    Shard::Branch {
        children,
        replaces_file: leaf.stored,
    }
}

/// Lists what must be written for `shard`, a file before the directory that takes its place.
fn collect(shard: &mut Shard, path: &str, depth: usize, writes: &mut Vec<Write>) {
    if let Shard::Leaf(leaf) = shard
        && leaf.entries.len() > ENTRIES_MAX
    {
        *shard = split(std::mem::take(leaf), depth);
    }
    match shard {
        Shard::Unread => {}
        Shard::Leaf(leaf) => {
            if leaf.changed {
                if !leaf.entries.is_empty() {
                    writes.push(Write::Put(path.to_owned(), encode(&leaf.entries)));
                } else if leaf.stored {
                    writes.push(Write::Remove(path.to_owned()));
                }
                leaf.stored = !leaf.entries.is_empty();
                leaf.changed = false;
            }
        }
        Shard::Branch {
            children,
            replaces_file,
        } => {
            if std::mem::take(replaces_file) {
                writes.push(Write::Remove(path.to_owned()));
            }
            for (digit, child) in (0u8..).zip(children.iter_mut()) {
                collect(child, &format!("{path}/{}", hex(digit)), depth + 1, writes);
            }
        }
    }
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(digit & 15)])
}

pub(crate) fn encode(entries: &[(IdHash, Entry)]) -> Bytes {
    let mut bytes = Vec::with_capacity(MAGIC.len() + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&MAGIC);
    for (hash, entry) in entries {
        bytes.extend_from_slice(&hash.0);
        bytes.extend_from_slice(&entry.directory.to_be_bytes());
        bytes.extend_from_slice(&entry.version);
    }
    bytes.into()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(IdHash, Entry)>> {
    let body = bytes
        .strip_prefix(&MAGIC)
        .ok_or_else(|| Error::state(WHAT, "a shard does not begin as one"))?;
    let (records, rest) = body.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(Error::state(WHAT, "a shard ends in the middle of an entry"));
    }
    let entries: Vec<_> = records.iter().map(decode_entry).collect();
    if !entries.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Error::state(WHAT, "a shard is not sorted"));
    }
    Ok(entries)
}

fn decode_entry(record: &[u8; ENTRY_BYTES]) -> (IdHash, Entry) {
    let (mut hash, mut directory, mut version) = ([0; 16], [0; 4], [0; 8]);
    hash.copy_from_slice(&record[..16]);
    directory.copy_from_slice(&record[16..20]);
    version.copy_from_slice(&record[20..]);
    let entry = Entry {
        directory: u32::from_be_bytes(directory),
        version,
    };
    (IdHash(hash), entry)
}

#[cfg(test)]
mod tests {
    use model::ItemId;
    use proptest::prelude::*;

    use super::*;

    fn hash(n: u32) -> IdHash {
        IdHash::of(&ItemId::new(format!("message {n}")).expect("an identifier"))
    }

    fn entry(n: u32) -> Entry {
        Entry {
            directory: n,
            version: u64::from(n).to_be_bytes(),
        }
    }

    proptest! {
        #[test]
        fn a_shard_reads_back_as_it_was_written(numbers in proptest::collection::btree_set(any::<u32>(), 0..300)) {
            let mut entries: Vec<_> = numbers.into_iter().map(|n| (hash(n), entry(n))).collect();
            entries.sort_by_key(|(hash, _)| *hash);
            prop_assert_eq!(decode(&encode(&entries)).expect("it was just encoded"), entries);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(entries) = decode(&bytes) {
                prop_assert_eq!(&encode(&entries)[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn a_shard_that_grows_is_split_and_written_in_parts() {
        let mut root = Shard::Leaf(Leaf {
            entries: Vec::new(),
            changed: true,
            stored: true,
        });
        if let Shard::Leaf(leaf) = &mut root {
            leaf.entries = (0..1000).map(|n| (hash(n), entry(n))).collect();
            leaf.entries.sort_by_key(|(hash, _)| *hash);
        }
        let mut writes = Vec::new();
        collect(&mut root, ROOT, 0, &mut writes);
        assert!(
            matches!(&writes[0], Write::Remove(path) if path == ROOT),
            "the file gives way to the directory first"
        );
        let mut found = 0;
        for write in &writes[1..] {
            let Write::Put(path, bytes) = write else {
                panic!("nothing else is removed")
            };
            let entries = decode(bytes).expect("it was just encoded");
            assert!(entries.len() <= ENTRIES_MAX);
            assert!(
                entries
                    .iter()
                    .all(|(hash, _)| path.ends_with(&format!("/{}", hex(hash.digit(0)))))
            );
            found += entries.len();
        }
        assert_eq!(found, 1000);
        let mut again = Vec::new();
        collect(&mut root, ROOT, 0, &mut again);
        assert!(again.is_empty(), "what is written is not written again");
    }
}
