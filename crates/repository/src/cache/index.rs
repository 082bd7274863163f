//! An index file on the local disk: sorted by blob, read a block at a time.
//!
//! ```text
//! length of the sealed header (u32) | sealed header | sealed block …          numbers are little-endian
//! header: blobs (u32) | directories among them (u32) | packs (u32) | id of each pack (32) | first 8 bytes of each block's first id (8)
//! block:  its number (u32) | up to 86 blobs, by id
//! blob:   id (32) | number of its pack (u24) | offset (u32) | sealed length (u31), and a bit: a directory | plain length if compressed, else 0 (u32)
//! ```
//!
//! The key is derived from the master key and the index file's id, so that no file can stand for another; the number tells the blocks apart.
//! A file that is not as it was written is an error here; who asked then reads the index file from the storage.

use std::{
    fs::File,
    io::{self, Read},
    sync::OnceLock,
};

use super::{Cache, Folder};
use crate::{
    blob::BlobKind,
    blob_map::{BlobMap, Location},
    crypto::{Key, OVERHEAD_BYTES},
    id::{BlobId, ObjectId},
    index_file::IndexFile,
    pack::Entry,
};

const RECORD_BYTES: usize = 47;
/// As many as fit into 4 KiB, sealed: a disk reads no less.
const BLOCK_BLOBS: usize = 86;
const NUMBER_BYTES: usize = 4;
const FENCE_BYTES: usize = 8;
const COUNTS_BYTES: usize = 12;
/// A file of no more blocks keeps them in memory once they have been read: small runs make many small index files.
const KEPT_BLOCKS: usize = 4;
/// This bit of the length is set for a directory; lengths are at most 2^27.
const TREE: u32 = 1 << 31;
/// The pack's number has three bytes.
const MAX_PACKS: usize = 1 << 24;

/// A cached index file. The file is not kept open, because there may be many.
pub(crate) struct CachedIndex {
    pub(crate) id: ObjectId,
    folder: Folder,
    key: Key,
    blobs: usize,
    trees: usize,
    packs: Vec<ObjectId>,
    fences: Vec<[u8; FENCE_BYTES]>,
    /// Where the first block begins.
    start: u64,
    /// The blocks that were read, if there are few.
    kept: Vec<OnceLock<Vec<u8>>>,
}

impl Cache {
    /// The index files that are here. Those that are damaged are removed.
    pub(crate) fn index_files(&self) -> Vec<CachedIndex> {
        let names = self.index_folder().list().into_iter();
        let ids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(|id| self.index_file(id)).collect()
    }

    /// The index file of this id, if it is here.
    pub(crate) fn index_file(&self, id: ObjectId) -> Option<CachedIndex> {
        let opened = CachedIndex::open(self.index_folder(), self.index_key(id), id);
        if opened.is_err() {
            self.remove_index_file(id);
        }
        opened.ok()
    }

    /// Keeps an index file. Gives nothing if that is not possible.
    pub(crate) fn keep_index_file(&self, id: ObjectId, file: &IndexFile) -> Option<CachedIndex> {
        let content = encode(&self.index_key(id), file)?;
        let kept = self.index_folder().write(&id.to_string(), &content);
        kept.then(|| self.index_file(id)).flatten()
    }

    pub(crate) fn remove_index_file(&self, id: ObjectId) {
        self.index_folder().remove(&id.to_string());
    }

    /// Removes the index files that `is_present` does not tell to be in the storage.
    pub(crate) fn retain_index_files(&self, is_present: impl Fn(ObjectId) -> bool) {
        let folder = self.index_folder();
        folder.remove_staging();
        for entry in folder.list() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.parse().ok());
            if !id.is_some_and(&is_present) {
                std::fs::remove_file(entry.path()).ok();
            }
        }
    }

    fn index_folder(&self) -> Folder {
        self.0.folder.within("index")
    }

    fn index_key(&self, id: ObjectId) -> Key {
        self.0.key.derive("cached index", &id.0)
    }
}

impl CachedIndex {
    fn open(folder: Folder, key: Key, id: ObjectId) -> io::Result<Self> {
        let mut file = File::open(folder.path(&id.to_string()))?;
        let size = file.metadata()?.len();
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        let start = length + 4;
        if start > size {
            return Err(damaged());
        }
        let mut sealed = Vec::new();
        file.take(length).read_to_end(&mut sealed)?;
        let header = key.open(&sealed).map_err(|_| damaged())?;
        let index = Self::decode(&header, folder, key, id, start).ok_or_else(damaged)?;
        if size == index.start + index.offset(index.fences.len()) {
            Ok(index)
        } else {
            Err(damaged())
        }
    }

    fn decode(
        mut header: &[u8],
        folder: Folder,
        key: Key,
        id: ObjectId,
        start: u64,
    ) -> Option<Self> {
        let mut count = || Some(u32::from_le_bytes(take(&mut header)?) as usize);
        let (blobs, trees, packs) = (count()?, count()?, count()?);
        let blocks = blobs.div_ceil(BLOCK_BLOBS);
        if header.len() != packs * 32 + blocks * FENCE_BYTES {
            return None;
        }
        let (packs, fences) = header.split_at(packs * 32);
        let kept = if blocks <= KEPT_BLOCKS { blocks } else { 0 };
        Some(Self {
            id,
            folder,
            key,
            blobs,
            trees,
            packs: packs.as_chunks().0.iter().copied().map(ObjectId).collect(),
            fences: fences.as_chunks().0.to_vec(),
            start,
            kept: (0..kept).map(|_| OnceLock::new()).collect(),
        })
    }

    pub(crate) fn blob_count(&self) -> usize {
        self.blobs
    }

    /// Where the blob is, if this file lists it.
    pub(crate) fn find(&self, kind: BlobKind, id: BlobId) -> io::Result<Option<Location>> {
        if (kind == BlobKind::Tree && self.trees == 0)
            || (kind == BlobKind::Content && self.trees == self.blobs)
        {
            return Ok(None);
        }
        let first = &id.0[..FENCE_BYTES];
        // More than one block only if ids share their first bytes.
        let from = self.fences.partition_point(|fence| &fence[..] < first);
        let to = self.fences.partition_point(|fence| &fence[..] <= first);
        for number in from.saturating_sub(1)..to {
            let found = match self.kept.get(number) {
                Some(kept) => {
                    if kept.get().is_none() {
                        kept.set(self.block(number)?).ok();
                    }
                    kept.get().and_then(|block| search(block, kind, id))
                }
                None => search(&self.block(number)?, kind, id),
            };
            if let Some((pack, entry)) = found {
                let pack = *self.packs.get(pack as usize).ok_or_else(damaged)?;
                return Ok(Some(Location { pack, entry }));
            }
        }
        Ok(None)
    }

    /// Adds all its blobs to a table.
    pub(crate) fn load(&self, map: &mut BlobMap) -> io::Result<()> {
        let mut blobs = Vec::with_capacity(self.blobs);
        for number in 0..self.fences.len() {
            blobs.extend(records(&self.block(number)?).iter().map(decode_record));
        }
        if blobs
            .iter()
            .any(|(pack, _)| *pack as usize >= self.packs.len())
        {
            return Err(damaged());
        }
        map.add_packs_with(&self.packs, blobs)
            .map_err(|_| damaged())
    }

    /// The records of a block.
    fn block(&self, number: usize) -> io::Result<Vec<u8>> {
        let start = self.start + self.offset(number);
        let length = self.offset(number + 1) - self.offset(number);
        let file = File::open(self.folder.path(&self.id.to_string()))?;
        let mut sealed = vec![0; length as usize];
        read_exact_at(&file, &mut sealed, start)?;
        let mut block = self.key.open(&sealed).map_err(|_| damaged())?;
        if block
            .split_first_chunk()
            .map(|(n, _)| u32::from_le_bytes(*n))
            != Some(number as u32)
        {
            return Err(damaged());
        }
        block.drain(..NUMBER_BYTES);
        Ok(block)
    }

    /// Where the block of this number begins, counted from the first; for the number after the last, where it ends.
    fn offset(&self, number: usize) -> u64 {
        let blobs = self.blobs.min(number * BLOCK_BLOBS);
        (number * (OVERHEAD_BYTES + NUMBER_BYTES) + blobs * RECORD_BYTES) as u64
    }
}

/// The file as it is kept; nothing if it cannot be.
fn encode(key: &Key, file: &IndexFile) -> Option<Vec<u8>> {
    if file.packs.len() > MAX_PACKS {
        return None;
    }
    let mut blobs = file.blobs().ok()?;
    blobs.sort_unstable_by_key(|(_, entry)| (entry.id, entry.kind));
    let trees = blobs
        .iter()
        .filter(|(_, e)| e.kind == BlobKind::Tree)
        .count();
    let blocks = blobs.chunks(BLOCK_BLOBS);
    let mut header =
        Vec::with_capacity(COUNTS_BYTES + file.packs.len() * 32 + blocks.len() * FENCE_BYTES);
    for count in [blobs.len(), trees, file.packs.len()] {
        header.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    }
    header.extend(file.packs.iter().flat_map(|pack| pack.id.0));
    header.extend(
        blocks
            .clone()
            .flat_map(|block| &block[0].1.id.0[..FENCE_BYTES]),
    );
    let header = key.seal(&header);
    let mut content = u32::try_from(header.len()).ok()?.to_le_bytes().to_vec();
    content.extend(header);
    for (number, block) in blocks.enumerate() {
        let mut plain = (number as u32).to_le_bytes().to_vec();
        for (pack, entry) in block {
            encode_record(&mut plain, *pack, entry);
        }
        content.extend(key.seal(&plain));
    }
    Some(content)
}

fn encode_record(out: &mut Vec<u8>, pack: u32, entry: &Entry) {
    let tree = match entry.kind {
        BlobKind::Content => 0,
        BlobKind::Tree => TREE,
    };
    out.extend_from_slice(&entry.id.0);
    out.extend_from_slice(&pack.to_le_bytes()[..3]);
    out.extend_from_slice(&entry.offset.to_le_bytes());
    out.extend_from_slice(&(entry.length | tree).to_le_bytes());
    out.extend_from_slice(&entry.expanded.unwrap_or(0).to_le_bytes());
}

fn decode_record(record: &[u8; RECORD_BYTES]) -> (u32, Entry) {
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| record[at + byte]));
    let length = number(39);
    let entry = Entry {
        id: BlobId(std::array::from_fn(|byte| record[byte])),
        kind: kind_of(record),
        offset: number(35),
        length: length & !TREE,
        expanded: Some(number(43)).filter(|length| *length > 0),
    };
    // The pack's number has three bytes; the fourth is the offset's.
    (number(32) & 0x00ff_ffff, entry)
}

fn search(block: &[u8], kind: BlobKind, id: BlobId) -> Option<(u32, Entry)> {
    let records = records(block);
    let at =
        records.binary_search_by(|record| (&record[..32], kind_of(record)).cmp(&(&id.0, kind)));
    Some(decode_record(records.get(at.ok()?)?))
}

fn kind_of(record: &[u8; RECORD_BYTES]) -> BlobKind {
    if record[42] & 0x80 == 0 {
        BlobKind::Content
    } else {
        BlobKind::Tree
    }
}

fn records(block: &[u8]) -> &[[u8; RECORD_BYTES]] {
    block.as_chunks().0
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use io::Seek;
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

#[cfg(test)]
mod tests;
