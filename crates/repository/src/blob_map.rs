//! Which blob is where, in 48 bytes each.

use std::collections::HashMap;

use crate::{
    blob::BlobKind,
    error::Problem,
    id::{BlobId, ObjectId},
    pack::Entry,
};

/// A table of blobs. Where the same blob was added twice, the last place counts.
#[derive(Default)]
pub(crate) struct BlobMap {
    packs: Vec<ObjectId>,
    content: HashMap<BlobId, Place>,
    trees: HashMap<BlobId, Place>,
}

/// Where to read a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub(crate) pack: ObjectId,
    pub(crate) entry: Entry,
}

/// 16 bytes, beside the 32 of the id.
#[derive(Clone, Copy)]
struct Place {
    /// A number in the list of packs, or [`NO_PACK`].
    pack: u32,
    offset: u32,
    length: u32,
    /// 0 when the blob is not compressed.
    expanded: u32,
}

/// Stands for the pack of a blob that is announced and not stored yet.
const NO_PACK: u32 = u32::MAX;

impl BlobMap {
    /// Whether the blob was added or announced.
    pub(crate) fn contains(&self, kind: BlobKind, id: BlobId) -> bool {
        self.map(kind).contains_key(&id)
    }

    /// Where the blob is; nothing if it was not added.
    pub(crate) fn get(&self, kind: BlobKind, id: BlobId) -> Option<Location> {
        let place = self.map(kind).get(&id)?;
        Some(Location {
            pack: *self.packs.get(place.pack as usize)?,
            entry: Entry {
                id,
                kind,
                offset: place.offset,
                length: place.length,
                expanded: Some(place.expanded).filter(|length| *length > 0),
            },
        })
    }

    /// How many distinct blobs there are.
    pub(crate) fn len(&self) -> usize {
        self.content.len() + self.trees.len()
    }

    /// Notes that the blob will be added; false if it is there already.
    pub(crate) fn announce(&mut self, kind: BlobKind, id: BlobId) -> bool {
        let announced = Place {
            pack: NO_PACK,
            offset: 0,
            length: 0,
            expanded: 0,
        };
        let before = self.map_mut(kind).len();
        self.map_mut(kind).entry(id).or_insert(announced);
        self.map(kind).len() > before
    }

    /// Adds the blobs of a pack. Errors when there are too many packs to be counted.
    pub(crate) fn add_pack(
        &mut self,
        pack: ObjectId,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), Problem> {
        let number = u32::try_from(self.packs.len()).map_err(|_| Problem::Malformed)?;
        if number == NO_PACK {
            return Err(Problem::Malformed);
        }
        self.packs.push(pack);
        for entry in entries {
            let place = Place {
                pack: number,
                offset: entry.offset,
                length: entry.length,
                expanded: entry.expanded.unwrap_or(0),
            };
            self.map_mut(entry.kind).insert(entry.id, place);
        }
        Ok(())
    }

    /// Adds what is in another table; what is only announced there is left out.
    pub(crate) fn extend(&mut self, other: Self) -> Result<(), Problem> {
        let base = u32::try_from(self.packs.len()).map_err(|_| Problem::Malformed)?;
        let moved = |(id, place): (BlobId, Place)| {
            let pack = place.pack.checked_add(base)?;
            Some((id, Place { pack, ..place }))
        };
        self.packs.extend(other.packs);
        self.content.extend(
            other
                .content
                .into_iter()
                .filter(is_stored)
                .filter_map(moved),
        );
        self.trees
            .extend(other.trees.into_iter().filter(is_stored).filter_map(moved));
        Ok(())
    }

    fn map(&self, kind: BlobKind) -> &HashMap<BlobId, Place> {
        match kind {
            BlobKind::Content => &self.content,
            BlobKind::Tree => &self.trees,
        }
    }

    fn map_mut(&mut self, kind: BlobKind) -> &mut HashMap<BlobId, Place> {
        match kind {
            BlobKind::Content => &mut self.content,
            BlobKind::Tree => &mut self.trees,
        }
    }
}

fn is_stored((_, place): &(BlobId, Place)) -> bool {
    place.pack != NO_PACK
}
