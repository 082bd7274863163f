//! A sorted list of records in blocks of a pool.
//!
//! A list in one piece moves to a larger place each time it grows. The places that ten thousands of such lists leave behind are each smaller than what any of
//! them needs next, and lie scattered between what else a program asks its allocator for: a table of ten million blobs took up to 112 bytes of resident memory for
//! each blob. Blocks of one size, cut from slabs, leave places that the next block fits into.

use std::cmp::Ordering;

use super::{Key, Record};

/// Records in a block: 1.5 KB. On average half of a list's last one is empty.
const BLOCK_RECORDS: usize = 32;
/// Blocks in a slab: 192 KB, so that a small table stays small.
const SLAB_BLOCKS: usize = 128;

type Block = [Record; BLOCK_RECORDS];

/// Blocks, and which of them are free.
#[derive(Default)]
pub(super) struct Pool {
    slabs: Vec<Vec<Block>>,
    free: Vec<u32>,
}

/// A sorted list. All its blocks but the last are full; what is beyond its length in the last is nothing's.
#[derive(Default)]
pub(super) struct Bucket {
    /// Their numbers in the pool.
    blocks: Vec<u32>,
    len: u32,
}

impl Pool {
    pub(super) fn allocated_bytes(&self) -> usize {
        self.slabs.len() * SLAB_BLOCKS * size_of::<Block>()
            + self.slabs.capacity() * size_of::<Vec<Block>>()
            + self.free.capacity() * size_of::<u32>()
    }

    fn block(&self, number: u32) -> &Block {
        &self.slabs[number as usize / SLAB_BLOCKS][number as usize % SLAB_BLOCKS]
    }

    fn block_mut(&mut self, number: u32) -> &mut Block {
        &mut self.slabs[number as usize / SLAB_BLOCKS][number as usize % SLAB_BLOCKS]
    }

    /// Takes over the other's blocks; gives the number that its first one has here. They are in use as they were.
    pub(super) fn join(&mut self, other: Self) -> u32 {
        // Only the last slab may have room.
        if let (Some(last), [first, ..]) = (self.slabs.len().checked_sub(1), &other.slabs[..]) {
            for block in self.slabs[last].len()..SLAB_BLOCKS {
                self.slabs[last].push(first[0]);
                self.free.push((last * SLAB_BLOCKS + block) as u32);
            }
        }
        let first = (self.slabs.len() * SLAB_BLOCKS) as u32;
        self.slabs.extend(other.slabs);
        self.free
            .extend(other.free.iter().map(|block| first + block));
        first
    }

    /// A block that was free, with anything in it.
    fn take(&mut self, any: Record) -> u32 {
        if let Some(number) = self.free.pop() {
            return number;
        }
        if self
            .slabs
            .last()
            .is_none_or(|slab| slab.len() == SLAB_BLOCKS)
        {
            self.slabs.push(Vec::with_capacity(SLAB_BLOCKS));
        }
        let last = self.slabs.len() - 1;
        let slab = &mut self.slabs[last];
        slab.push([any; BLOCK_RECORDS]);
        (last * SLAB_BLOCKS + slab.len() - 1) as u32
    }
}

impl Bucket {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// What it takes in memory beside itself and its blocks.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<u32>()
    }

    pub(super) fn iter<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = &'a Record> {
        let blocks = self.blocks.iter();
        blocks.flat_map(|block| pool.block(*block)).take(self.len())
    }

    pub(super) fn get<'a>(&self, pool: &'a Pool, at: usize) -> &'a Record {
        &pool.block(self.blocks[at / BLOCK_RECORDS])[at % BLOCK_RECORDS]
    }

    pub(super) fn get_mut<'a>(&self, pool: &'a mut Pool, at: usize) -> &'a mut Record {
        &mut pool.block_mut(self.blocks[at / BLOCK_RECORDS])[at % BLOCK_RECORDS]
    }

    /// Where the blob is or would be.
    pub(super) fn position(&self, pool: &Pool, key: Key) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(pool, middle).key().cmp(&key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Puts the record there, and what was there and behind one further.
    pub(super) fn insert(&mut self, pool: &mut Pool, at: usize, record: Record) {
        self.make_room(pool, record);
        let (first, mut from, mut carried) = (at / BLOCK_RECORDS, at % BLOCK_RECORDS, record);
        for block in &self.blocks[first..] {
            let block = pool.block_mut(*block);
            let last = block[BLOCK_RECORDS - 1];
            block.copy_within(from..BLOCK_RECORDS - 1, from + 1);
            block[from] = carried;
            (from, carried) = (0, last);
        }
        self.len += 1;
    }

    /// Adds these, which are sorted; of the same blob the last counts.
    pub(super) fn merge(&mut self, pool: &mut Pool, new: &[Record]) {
        let old: Vec<Record> = self.iter(pool).copied().collect();
        self.truncate(pool, 0);
        let mut old = old.into_iter().peekable();
        for record in new {
            let key = record.key();
            while let Some(before) = old.next_if(|before| before.key() < key) {
                self.push(pool, before);
            }
            old.next_if(|before| before.key() == key);
            match self.len().checked_sub(1) {
                Some(last) if self.get(pool, last).key() == key => {
                    *self.get_mut(pool, last) = *record;
                }
                _ => self.push(pool, *record),
            }
        }
        old.for_each(|record| self.push(pool, record));
    }

    /// Takes out all from the first on for which `is_low` does not hold.
    pub(super) fn split_off(&mut self, pool: &mut Pool, is_low: impl Fn(&Record) -> bool) -> Self {
        let all = self.iter(pool);
        let highs: Vec<Record> = all.skip_while(|record| is_low(record)).copied().collect();
        self.truncate(pool, self.len() - highs.len());
        let mut high = Self::default();
        highs.into_iter().for_each(|record| high.push(pool, record));
        high
    }

    /// Gives all that is in it, and its blocks back to the pool that its own one has joined, with this number for its first block.
    pub(super) fn release(self, pool: &mut Pool, first: u32) -> impl Iterator<Item = Record> {
        let mut records = Vec::with_capacity(self.len());
        for block in &self.blocks {
            records.extend_from_slice(pool.block(first + block));
        }
        records.truncate(self.len());
        pool.free
            .extend(self.blocks.iter().map(|block| first + block));
        records.into_iter()
    }

    /// Forgets what is beyond this length.
    fn truncate(&mut self, pool: &mut Pool, len: usize) {
        pool.free
            .extend(self.blocks.drain(len.div_ceil(BLOCK_RECORDS)..));
        self.len = len as u32;
    }

    fn push(&mut self, pool: &mut Pool, record: Record) {
        self.make_room(pool, record);
        *self.get_mut(pool, self.len()) = record;
        self.len += 1;
    }

    fn make_room(&mut self, pool: &mut Pool, any: Record) {
        if self.len() == self.blocks.len() * BLOCK_RECORDS {
            self.blocks.push(pool.take(any));
        }
    }
}
