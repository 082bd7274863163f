//! Packs: many sealed blobs in one object, with a sealed table of contents at its end.
//!
//! ```text
//! sealed blob … | sealed header | length of the sealed header (u32, little-endian)
//! header entry: type (u8) | sealed length (u32) | expanded length (u32, only if compressed) | id (32)
//! ```

use bytes::Bytes;
use object_store::PutPayload;
use sha2::{Digest, Sha256};

use crate::{
    blob::{self, BlobKind, SealedBlob},
    crypto::{Key, OVERHEAD_BYTES},
    error::Problem,
    id::{BlobId, ObjectId},
};

/// Most blobs in one pack: restic refuses headers over 16 MiB, about 400,000 entries.
pub(crate) const MAX_BLOBS: usize = 100_000;
/// Largest header that is read: room for four times as many entries as we write.
const MAX_HEADER_BYTES: usize = 16 << 20;
const LENGTH_BYTES: usize = 4;

/// Where a blob lies in its pack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: BlobId,
    pub(crate) kind: BlobKind,
    pub(crate) offset: u32,
    /// Of the sealed blob.
    pub(crate) length: u32,
    /// The expanded length when it is compressed.
    pub(crate) expanded: Option<u32>,
}

impl Entry {
    /// The length of what is in the blob.
    pub(crate) fn content_length(&self) -> u64 {
        let sealed = u64::from(self.length).saturating_sub(OVERHEAD_BYTES as u64);
        self.expanded.map_or(sealed, u64::from)
    }

    /// The sealed blob within the bytes of its pack.
    pub(crate) fn slice<'a>(&self, pack: &'a [u8]) -> Result<&'a [u8], Problem> {
        let start = self.offset as usize;
        pack.get(start..start + self.length as usize)
            .ok_or(Problem::Truncated)
    }
}

/// A pack in the making. The blobs stay where they were sealed: one buffer for all would have to grow and be copied.
pub(crate) struct PackBuilder {
    kind: BlobKind,
    blobs: Vec<Bytes>,
    entries: Vec<Entry>,
    size_bytes: u32,
}

/// A finished pack, decoded again and found right.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: ObjectId,
    pub(crate) content: PutPayload,
    pub(crate) entries: Vec<Entry>,
}

impl PackBuilder {
    pub(crate) fn new(kind: BlobKind) -> Self {
        Self {
            kind,
            blobs: Vec::new(),
            entries: Vec::new(),
            size_bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, blob: SealedBlob) {
        let length = u32::try_from(blob.bytes.len()).expect("blobs are at most 128 MiB");
        self.entries.push(Entry {
            id: blob.id,
            kind: self.kind,
            offset: self.size_bytes,
            length,
            expanded: blob.expanded,
        });
        self.size_bytes += length;
        self.blobs.push(blob.bytes.into());
    }

    /// Takes over the blobs of another pack of the same kind, as they are sealed.
    pub(crate) fn append(&mut self, other: Self) {
        let base = self.size_bytes;
        self.entries
            .extend(other.entries.into_iter().map(|entry| Entry {
                offset: base + entry.offset,
                ..entry
            }));
        self.blobs.extend(other.blobs);
        self.size_bytes += other.size_bytes;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes as usize
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.entries.len()
    }

    /// The plain content of a blob that was added.
    pub(crate) fn read(&self, key: &Key, id: BlobId) -> Option<Result<Vec<u8>, Problem>> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        Some(blob::open(
            key,
            id,
            &self.blobs[at],
            self.entries[at].expanded,
        ))
    }

    /// Closes the pack and decodes all of it again, so that nothing is stored that could not be read back. An error means that memory or
    /// processor failed between sealing and here.
    pub(crate) fn finish(self, key: &Key) -> Result<Pack, Problem> {
        let Self {
            mut blobs, entries, ..
        } = self;
        let mut trailer = key.seal(&encode_header(&entries));
        let length = u32::try_from(trailer.len()).expect("a header has at most MAX_BLOBS entries");
        trailer.extend_from_slice(&length.to_le_bytes());
        if split_header(key, &trailer)? != (&[][..], entries.clone()) {
            return Err(Problem::Disagreement);
        }
        for (entry, sealed) in entries.iter().zip(&blobs) {
            blob::open(key, entry.id, sealed, entry.expanded)?;
        }
        blobs.push(trailer.into());
        let mut hash = Sha256::new();
        for part in &blobs {
            hash.update(part);
        }
        Ok(Pack {
            id: ObjectId(hash.finalize().into()),
            content: blobs.into_iter().collect(),
            entries,
        })
    }
}

/// The table of contents of a whole pack. Errors when it is cut short, broken, or does not cover the pack exactly.
pub(crate) fn read_header(key: &Key, pack: &[u8]) -> Result<Vec<Entry>, Problem> {
    let (blobs, entries) = split_header(key, pack)?;
    let covered = entries
        .last()
        .map_or(0, |last| last.offset as usize + last.length as usize);
    if covered == blobs.len() {
        Ok(entries)
    } else {
        Err(Problem::Malformed)
    }
}

/// What is before the header, and the header.
fn split_header<'a>(key: &Key, pack: &'a [u8]) -> Result<(&'a [u8], Vec<Entry>), Problem> {
    let (rest, length) = pack
        .split_last_chunk::<LENGTH_BYTES>()
        .ok_or(Problem::Truncated)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEADER_BYTES {
        return Err(Problem::Malformed);
    }
    let start = rest.len().checked_sub(length).ok_or(Problem::Truncated)?;
    let (blobs, sealed) = rest.split_at(start);
    Ok((blobs, decode_header(&key.open(sealed)?)?))
}

fn encode_header(entries: &[Entry]) -> Vec<u8> {
    let mut header = Vec::with_capacity(entries.len() * 41);
    for entry in entries {
        let kind = match entry.kind {
            BlobKind::Content => 0,
            BlobKind::Tree => 1,
        };
        let compressed = if entry.expanded.is_some() { 2 } else { 0 };
        header.push(kind | compressed);
        header.extend_from_slice(&entry.length.to_le_bytes());
        if let Some(expanded) = entry.expanded {
            header.extend_from_slice(&expanded.to_le_bytes());
        }
        header.extend_from_slice(&entry.id.0);
    }
    header
}

fn decode_header(mut header: &[u8]) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    let mut offset = 0_u32;
    while let Some((&kind, rest)) = header.split_first() {
        if kind > 3 {
            return Err(Problem::Malformed);
        }
        header = rest;
        let length = u32::from_le_bytes(take(&mut header)?);
        let expanded = if kind & 2 == 0 {
            None
        } else {
            Some(u32::from_le_bytes(take(&mut header)?))
        };
        if (length as usize) < OVERHEAD_BYTES {
            return Err(Problem::Malformed);
        }
        entries.push(Entry {
            id: BlobId(take(&mut header)?),
            kind: if kind & 1 == 0 {
                BlobKind::Content
            } else {
                BlobKind::Tree
            },
            offset,
            length,
            expanded,
        });
        offset = offset.checked_add(length).ok_or(Problem::Malformed)?;
    }
    Ok(entries)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Problem> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Problem::Truncated)?;
    *bytes = rest;
    Ok(*taken)
}
