//! Packs: many sealed blobs in one object, with a sealed table of contents at its end.
//!
//! ```text
//! sealed blob … | sealed header | length of the sealed header (u32, little-endian)
//! header entry: type (u8) | sealed length (u32) | expanded length (u32, only if compressed) | id (32)
//! ```

use bytes::Bytes;

use crate::{
    blob::{self, BlobKind, Opener, SealedBlob},
    crypto::{Key, OVERHEAD_BYTES},
    error::Problem,
    id::{BlobId, ObjectId},
};

/// Most blobs in one pack: restic refuses headers over 16 MiB, about 400,000 entries.
pub(crate) const MAX_BLOBS: usize = 100_000;
/// Largest header that is read: room for four times as many entries as we write.
const MAX_HEADER_BYTES: usize = 16 << 20;
const LENGTH_BYTES: usize = 4;
/// Room for any pack of content, so that none is ever moved. What is not used of it is address space and no memory; and from this size on
/// the system's allocator returns all of it at once, where many pieces would leave holes everywhere.
const ROOM_BYTES: usize = 33 << 20;

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

    /// The blob within the bytes of its pack, opened, its hash checked.
    pub(crate) fn open<'a>(
        &self,
        key: &Key,
        pack: &[u8],
        opener: &'a mut Opener,
    ) -> Result<&'a [u8], Problem> {
        opener.open(key, self.id, self.slice(pack)?, self.expanded)
    }
}

/// A pack in the making.
pub(crate) struct PackBuilder {
    kind: BlobKind,
    blobs: Vec<u8>,
    entries: Vec<Entry>,
}

/// A finished pack, decoded again and found right.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: ObjectId,
    pub(crate) content: Bytes,
    pub(crate) entries: Vec<Entry>,
}

impl PackBuilder {
    pub(crate) fn new(kind: BlobKind) -> Self {
        Self {
            kind,
            blobs: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, blob: SealedBlob<'_>) {
        self.entries.push(Entry {
            id: blob.id,
            kind: self.kind,
            offset: length(&self.blobs),
            length: length(blob.bytes),
            expanded: blob.expanded,
        });
        if self.blobs.capacity() == 0 {
            self.blobs.reserve_exact(ROOM_BYTES);
        }
        self.blobs.extend_from_slice(blob.bytes);
    }

    /// Takes over the blobs of another pack of the same kind, as they are sealed.
    pub(crate) fn append(&mut self, other: &Self) {
        let base = length(&self.blobs);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            offset: base + entry.offset,
            ..*entry
        }));
        self.blobs.extend_from_slice(&other.blobs);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.blobs.len()
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.entries.len()
    }

    /// The plain content of a blob that was added.
    pub(crate) fn read(&self, key: &Key, id: BlobId) -> Option<Result<Vec<u8>, Problem>> {
        let entry = self.entries.iter().find(|entry| entry.id == id)?;
        let sealed = entry.slice(&self.blobs);
        Some(sealed.and_then(|sealed| blob::open(key, id, sealed, entry.expanded)))
    }

    /// Closes the pack and decodes all of it again, so that nothing is stored that could not be read back. An error means that memory or
    /// processor failed between sealing and here.
    pub(crate) fn finish(self, key: &Key, opener: &mut Opener) -> Result<Pack, Problem> {
        let Self {
            mut blobs, entries, ..
        } = self;
        let header = key.seal(&encode_header(&entries));
        blobs.extend_from_slice(&header);
        blobs.extend_from_slice(&length(&header).to_le_bytes());
        if read_header(key, &blobs)? != entries {
            return Err(Problem::Disagreement);
        }
        for entry in &entries {
            opener.open(key, entry.id, entry.slice(&blobs)?, entry.expanded)?;
        }
        Ok(Pack {
            id: ObjectId::of(&blobs),
            content: blobs.into(),
            entries,
        })
    }
}

/// The length of a blob, a header or a pack.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("blobs are at most 128 MiB, and packs little longer")
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

pub(crate) fn encode_header(entries: &[Entry]) -> Vec<u8> {
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

pub(crate) fn decode_header(mut header: &[u8]) -> Result<Vec<Entry>, Problem> {
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
