//! The table beside a plain map, and its size.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Something that is done to both.
#[derive(Clone, Debug)]
enum Step {
    Announce(u16, bool),
    Pack(Vec<(u16, bool, u32)>),
    /// As [`Step::Pack`], by way of another table with announced blobs in it.
    Extend(Vec<(u16, bool, u32)>),
    Mark(u16, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let blob = || (0..2_000_u16, any::<bool>());
    let blobs = || prop::collection::vec((0..2_000_u16, any::<bool>(), 1..100_u32), 0..600);
    prop_oneof![
        2 => blob().prop_map(|(number, tree)| Step::Announce(number, tree)),
        2 => blobs().prop_map(Step::Pack),
        1 => blobs().prop_map(Step::Extend),
        2 => blob().prop_map(|(number, tree)| Step::Mark(number, tree)),
    ]
}

/// Spread as ids are, except that a few share their beginnings.
fn id(number: u16) -> BlobId {
    let mut id = BlobId::of(&number.to_le_bytes());
    if number < 100 {
        id.0[..8].fill(0xff);
    }
    id
}

fn kind(tree: bool) -> BlobKind {
    if tree {
        BlobKind::Tree
    } else {
        BlobKind::Content
    }
}

fn entries(blobs: &[(u16, bool, u32)]) -> Vec<Entry> {
    let entries = blobs.iter().map(|(number, tree, length)| Entry {
        id: id(*number),
        kind: kind(*tree),
        offset: length * 3,
        length: *length,
        expanded: (length % 2 == 0).then_some(length * 2),
    });
    entries.collect()
}

/// What the plain map has for a blob: where it is, nothing if it is only announced, and its mark.
type Plain = BTreeMap<(BlobId, BlobKind), (Option<Location>, bool)>;

fn apply(step: &Step, at: usize, map: &mut BlobMap, plain: &mut Plain) {
    let pack = ObjectId::of(&at.to_le_bytes());
    match step {
        Step::Announce(number, tree) => {
            let key = (id(*number), kind(*tree));
            let fresh = map.announce(key.1, key.0);
            assert_eq!(fresh, !plain.contains_key(&key));
            plain.entry(key).or_default();
        }
        Step::Pack(blobs) => {
            let added = map.add_pack(pack, entries(blobs));
            assert!(added.is_ok());
            add(plain, pack, blobs);
        }
        Step::Extend(blobs) => {
            let mut other = BlobMap::default();
            assert!(other.announce(BlobKind::Tree, BlobId::of(b"announced only")));
            assert!(other.add_pack(pack, entries(blobs)).is_ok());
            assert!(map.extend(other).is_ok());
            add(plain, pack, blobs);
        }
        Step::Mark(number, tree) => {
            let key = (id(*number), kind(*tree));
            let there = plain.get_mut(&key);
            let fresh = there.map(|(_, marked)| !std::mem::replace(marked, true));
            assert_eq!(map.mark(key.1, key.0), fresh);
        }
    }
}

fn add(plain: &mut Plain, pack: ObjectId, blobs: &[(u16, bool, u32)]) {
    for entry in entries(blobs) {
        let location = Location { pack, entry };
        plain.insert((entry.id, entry.kind), (Some(location), false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn it_holds_what_a_plain_map_holds(steps in prop::collection::vec(step(), 0..20)) {
        let (mut map, mut plain) = (BlobMap::default(), Plain::new());
        for (at, step) in steps.iter().enumerate() {
            apply(step, at, &mut map, &mut plain);
        }
        prop_assert_eq!(map.len(), plain.len());
        for number in 0..2_000 {
            for kind in [BlobKind::Content, BlobKind::Tree] {
                let there = plain.get(&(id(number), kind));
                prop_assert_eq!(map.contains(kind, id(number)), there.is_some());
                let location = there.and_then(|(location, _)| *location);
                prop_assert_eq!(map.get(kind, id(number)), location);
            }
        }
        let stored = plain.into_values().filter_map(|(there, marked)| Some((there?, marked)));
        prop_assert_eq!(map.iter().collect::<Vec<_>>(), stored.collect::<Vec<_>>());
    }
}

#[test]
fn a_blob_takes_at_most_60_bytes_however_many_there_are() {
    /// Of the last slab.
    const UNUSED_BYTES: usize = 192 << 10;
    for blobs in [5_000, 100_000, 140_000, 400_000] {
        let bytes = measure_index_memory(blobs).saturating_sub(UNUSED_BYTES);
        let bytes = bytes as f64 / f64::from(blobs);
        assert!(bytes <= 60.0, "{bytes} bytes a blob of {blobs}");
    }
}

#[test]
fn what_joins_another_table_is_in_memory_once() {
    let filled = |from: u32| {
        let mut map = BlobMap::default();
        let entries = (from..from + 100_000).map(|number| Entry {
            id: BlobId::of(&number.to_le_bytes()),
            kind: BlobKind::Content,
            offset: number,
            length: 4_000,
            expanded: None,
        });
        assert!(
            map.add_pack(ObjectId::of(&from.to_le_bytes()), entries)
                .is_ok()
        );
        map
    };
    let (mut map, other) = (filled(0), filled(100_000));
    let apart = map.allocated_bytes() + other.allocated_bytes();
    assert!(map.extend(other).is_ok());
    assert_eq!(map.len(), 200_000);
    let together = map.allocated_bytes() as f64 / apart as f64;
    assert!(together < 1.1, "{together}");
}
