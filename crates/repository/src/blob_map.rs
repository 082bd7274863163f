//! Which blob is where: a table in memory of 48 bytes a blob and little more.
//!
//! Hash tables double, and while they do they need three times their size; an index of ten million blobs must not. Ids are hashes and so spread
//! evenly: the table is cut into buckets by their first bits, each a sorted list, and when the buckets have become long, each is cut in two.

mod bucket;

use bucket::{Bucket, Pool};

use crate::{
    blob::BlobKind,
    error::Problem,
    id::{BlobId, ObjectId},
    pack::Entry,
};

/// Blobs in a bucket on average before all buckets are cut in two: few enough that moving half of them aside for a new one costs less than
/// a microsecond, enough that the lists' own heads do not count.
const BUCKET_BLOBS: usize = 256;
/// So many new blobs are moved into their bucket one by one; more are merged into a new list.
const MAX_SINGLE: usize = 4;
/// Buckets that are moved from one table to another at a time, so that not all blobs are in memory twice.
const BUCKETS_AT_ONCE: usize = 64;
/// A million buckets, beyond which they only get longer.
const MAX_BITS: u32 = 20;

/// A table of blobs. Where the same blob was added twice, the last place counts.
pub(crate) struct BlobMap {
    packs: Vec<ObjectId>,
    /// The number of a bucket is the first [`Self::bits`] bits of the ids in it.
    buckets: Vec<Bucket>,
    pool: Pool,
    bits: u32,
    len: usize,
}

/// Where to read a blob.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Location {
    pub(crate) pack: ObjectId,
    pub(crate) entry: Entry,
}

/// A blob and its place, in 48 bytes.
#[derive(Clone, Copy)]
struct Record {
    id: BlobId,
    /// The pack's number in the list of packs, or [`NO_PACK`], with [`TREE`] and [`MARK`] added.
    pack: u32,
    offset: u32,
    length: u32,
    /// 0 when the blob is not compressed.
    expanded: u32,
}

const _: () = assert!(size_of::<Record>() == 48);

/// This bit is set in a directory's record.
const TREE: u32 = 1 << 31;
/// This bit is set when the blob is marked.
const MARK: u32 = 1 << 30;
/// Stands for the pack of a blob that is announced and not stored yet.
const NO_PACK: u32 = MARK - 1;

impl Default for BlobMap {
    fn default() -> Self {
        Self {
            packs: Vec::new(),
            buckets: vec![Bucket::default()],
            pool: Pool::default(),
            bits: 0,
            len: 0,
        }
    }
}

impl BlobMap {
    /// Whether the blob was added or announced.
    pub(crate) fn contains(&self, kind: BlobKind, id: BlobId) -> bool {
        self.record(kind, id).is_some()
    }

    /// Where the blob is; nothing if it was not added.
    pub(crate) fn get(&self, kind: BlobKind, id: BlobId) -> Option<Location> {
        self.locate(self.record(kind, id)?)
    }

    /// How many distinct blobs there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All blobs that were added, by id, and whether each is marked.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Location, bool)> {
        let records = self
            .buckets
            .iter()
            .flat_map(|bucket| bucket.iter(&self.pool));
        records.filter_map(|record| Some((self.locate(record)?, record.pack & MARK != 0)))
    }

    /// Marks a blob. Says whether it had no mark before; nothing if there is no such blob.
    pub(crate) fn mark(&mut self, kind: BlobKind, id: BlobId) -> Option<bool> {
        let (bucket, at) = self.find(kind, id);
        let record = self.buckets[bucket].get_mut(&mut self.pool, at.ok()?);
        let fresh = record.pack & MARK == 0;
        record.pack |= MARK;
        Some(fresh)
    }

    /// The bytes of memory that the table takes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let lists: usize = self.buckets.iter().map(Bucket::allocated_bytes).sum();
        lists
            + self.pool.allocated_bytes()
            + self.buckets.capacity() * size_of::<Bucket>()
            + self.packs.capacity() * size_of::<ObjectId>()
    }

    /// Notes that the blob will be added; false if it is there already.
    pub(crate) fn announce(&mut self, kind: BlobKind, id: BlobId) -> bool {
        let (bucket, at) = self.find(kind, id);
        let Err(at) = at else { return false };
        let entry = Entry {
            id,
            kind,
            offset: 0,
            length: 0,
            expanded: None,
        };
        self.insert(bucket, at, Record::new(NO_PACK, entry));
        true
    }

    /// Adds the blobs of a pack. Errors when there are too many packs to be counted.
    pub(crate) fn add_pack(
        &mut self,
        pack: ObjectId,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), Problem> {
        self.add_packs_with(&[pack], entries.into_iter().map(|entry| (0, entry)))
    }

    /// Adds packs and their blobs, each with the number of its pack among these.
    pub(crate) fn add_packs_with(
        &mut self,
        packs: &[ObjectId],
        blobs: impl IntoIterator<Item = (u32, Entry)>,
    ) -> Result<(), Problem> {
        let base = self.add_packs(packs.iter().copied())?;
        let records = blobs.into_iter();
        let records = records.map(|(number, entry)| Record::new(base + number, entry));
        self.set_all(records.collect());
        Ok(())
    }

    /// Adds what is in another table; what is only announced there is left out. The other's memory is used for what it becomes here.
    pub(crate) fn extend(&mut self, other: Self) -> Result<(), Problem> {
        let base = self.add_packs(other.packs)?;
        let first = self.pool.join(other.pool);
        let mut buckets = other.buckets.into_iter().peekable();
        while buckets.peek().is_some() {
            let mut moved = Vec::new();
            for bucket in buckets.by_ref().take(BUCKETS_AT_ONCE) {
                let records = bucket.release(&mut self.pool, first);
                let stored = records.filter(|record| record.number() != NO_PACK);
                moved.extend(stored.map(|record| Record {
                    pack: record.pack + base,
                    ..record
                }));
            }
            self.set_all(moved);
        }
        Ok(())
    }

    /// Adds packs; gives the number of the first.
    fn add_packs(&mut self, packs: impl IntoIterator<Item = ObjectId>) -> Result<u32, Problem> {
        let first = self.packs.len() as u32;
        self.packs.extend(packs);
        if self.packs.len() < NO_PACK as usize {
            Ok(first)
        } else {
            Err(Problem::Malformed)
        }
    }

    /// Sets records, the last of each blob. Sorted, they come to one bucket after the other, and those of a bucket are merged into it at once.
    fn set_all(&mut self, mut records: Vec<Record>) {
        records.sort_by_key(Record::key);
        while self.len + records.len() > self.buckets.len() * BUCKET_BLOBS && self.bits < MAX_BITS {
            self.split();
        }
        let bits = self.bits;
        for run in records.chunk_by(|a, b| bucket(a.id, bits) == bucket(b.id, bits)) {
            if let [first, ..] = run {
                let (list, pool) = (&mut self.buckets[bucket(first.id, bits)], &mut self.pool);
                let before = list.len();
                if run.len() <= MAX_SINGLE {
                    run.iter().for_each(|record| set(list, pool, *record));
                } else {
                    list.merge(pool, run);
                }
                self.len += list.len() - before;
            }
        }
    }

    fn insert(&mut self, bucket: usize, at: usize, record: Record) {
        self.buckets[bucket].insert(&mut self.pool, at, record);
        self.len += 1;
        if self.len > self.buckets.len() * BUCKET_BLOBS && self.bits < MAX_BITS {
            self.split();
        }
    }

    /// Cuts every bucket in two, one after the other, so that little more memory is needed meanwhile.
    fn split(&mut self) {
        self.bits += 1;
        let mut halves = Vec::with_capacity(self.buckets.len() * 2);
        for mut low in std::mem::take(&mut self.buckets) {
            let next = halves.len() + 1;
            let bits = self.bits;
            let is_low = |record: &Record| bucket(record.id, bits) < next;
            let high = low.split_off(&mut self.pool, is_low);
            halves.extend([low, high]);
        }
        self.buckets = halves;
    }

    fn record(&self, kind: BlobKind, id: BlobId) -> Option<&Record> {
        let (bucket, at) = self.find(kind, id);
        Some(self.buckets[bucket].get(&self.pool, at.ok()?))
    }

    /// The blob's bucket, and where in it the blob is or would be.
    fn find(&self, kind: BlobKind, id: BlobId) -> (usize, Result<usize, usize>) {
        let bucket = bucket(id, self.bits);
        (
            bucket,
            self.buckets[bucket].position(&self.pool, key(id, kind)),
        )
    }

    fn locate(&self, record: &Record) -> Option<Location> {
        Some(Location {
            pack: *self.packs.get(record.number() as usize)?,
            entry: Entry {
                id: record.id,
                kind: record.kind(),
                offset: record.offset,
                length: record.length,
                expanded: Some(record.expanded).filter(|length| *length > 0),
            },
        })
    }
}

impl Record {
    fn new(number: u32, entry: Entry) -> Self {
        let kind = match entry.kind {
            BlobKind::Content => 0,
            BlobKind::Tree => TREE,
        };
        Self {
            id: entry.id,
            pack: number | kind,
            offset: entry.offset,
            length: entry.length,
            expanded: entry.expanded.unwrap_or(0),
        }
    }

    fn key(&self) -> Key {
        key(self.id, self.kind())
    }

    fn kind(&self) -> BlobKind {
        if self.pack & TREE == 0 {
            BlobKind::Content
        } else {
            BlobKind::Tree
        }
    }

    fn number(&self) -> u32 {
        self.pack & !(TREE | MARK)
    }
}

/// The memory in bytes that a table of so many blobs takes at most while it is filled: for measurements.
#[doc(hidden)]
#[must_use]
pub fn measure_index_memory(blobs: u32) -> usize {
    /// As many mails as a pack of 16 MiB holds.
    const IN_A_PACK: u32 = 4_000;
    let mut map = BlobMap::default();
    let mut most = 0;
    for first in (0..blobs).step_by(IN_A_PACK as usize) {
        let entries = (first..blobs.min(first + IN_A_PACK)).map(|offset| Entry {
            id: BlobId(rand::random()),
            kind: BlobKind::Content,
            offset,
            length: 4_000,
            expanded: None,
        });
        let added = map.add_pack(ObjectId(rand::random()), entries);
        added.expect("there are fewer packs than blobs");
        most = most.max(map.allocated_bytes());
    }
    most
}

/// The number of the bucket of `id`, where the first `bits` bits tell it.
fn bucket(id: BlobId, bits: u32) -> usize {
    let [a, b, c, d, ..] = id.0;
    (u64::from(u32::from_be_bytes([a, b, c, d])) >> (u32::BITS - bits)) as usize
}

/// What records are ordered by: the id, its first bytes as a number because that is compared fastest, and the kind.
type Key = (u64, BlobId, BlobKind);

fn key(id: BlobId, kind: BlobKind) -> Key {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), id, kind)
}

fn set(list: &mut Bucket, pool: &mut Pool, record: Record) {
    match list.position(pool, record.key()) {
        Ok(at) => *list.get_mut(pool, at) = record,
        Err(at) => list.insert(pool, at, record),
    }
}

#[cfg(test)]
mod tests;
