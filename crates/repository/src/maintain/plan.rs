//! Which packs stay, which are rewritten, and which have to go: arithmetic on counts, nothing is read or written here.
//!
//! A pack without any live blob goes. Of the others, the emptiest are rewritten until no more than a twentieth of what is stored is dead, and
//! small ones are put together, so that the number of packs is bounded by what is stored and not by how often something was.

use std::collections::BTreeSet;

use crate::{draft::Purpose, id::ObjectId};

/// Dead bytes that are borne, as a share of the live ones: restic's default.
const MAX_DEAD_PERCENT: u64 = 5;
/// Packs below this are put together.
const SMALL_PACK_BYTES: u64 = 4 << 20;
/// What a pack has beside its blobs: the seal and length of its header, and an entry for each blob.
const HEADER_BYTES: u64 = 36;
const HEADER_ENTRY_BYTES: u64 = 41;

/// A stored pack, and how much of it is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PackUse {
    pub(super) id: ObjectId,
    pub(super) purpose: Purpose,
    pub(super) size_bytes: u64,
    /// Of the blobs that are needed and of which this is the copy that counts.
    pub(super) live_bytes: u64,
    pub(super) live_blobs: u64,
}

/// What is to be done. Packs that are in neither list stay.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Plan {
    /// Nothing in them is needed.
    pub(super) dead: Vec<ObjectId>,
    /// What is needed in them is to be copied to new packs.
    pub(super) rewrite: Vec<ObjectId>,
}

impl PackUse {
    pub(super) fn dead_bytes(&self) -> u64 {
        let needed = self.live_bytes + HEADER_BYTES + self.live_blobs * HEADER_ENTRY_BYTES;
        self.size_bytes.saturating_sub(needed)
    }

    fn is_dead(&self) -> bool {
        self.live_blobs == 0
    }
}

/// Decides what is to be done; at most `max_rewrite_bytes` of live blobs are copied.
pub(super) fn plan(packs: &[PackUse], max_rewrite_bytes: u64) -> Plan {
    let (dead, live): (Vec<_>, Vec<_>) = packs.iter().partition(|pack| pack.is_dead());
    let mut budget = max_rewrite_bytes;
    let mut rewrite = BTreeSet::new();
    for pack in sparse(&live) {
        if let Some(left) = budget.checked_sub(pack.live_bytes) {
            budget = left;
            rewrite.insert(pack.id);
        }
    }
    for purpose in [Purpose::Content, Purpose::State, Purpose::Tree] {
        let of_purpose = live.iter().copied().filter(|pack| pack.purpose == purpose);
        let (rewritten, staying): (Vec<&PackUse>, Vec<&PackUse>) =
            of_purpose.partition(|pack| rewrite.contains(&pack.id));
        let rewritten_bytes: u64 = rewritten.iter().map(|pack| pack.live_bytes).sum();
        for pack in small(&staying, rewritten_bytes, purpose) {
            if let Some(left) = budget.checked_sub(pack.live_bytes) {
                budget = left;
                rewrite.insert(pack.id);
            }
        }
    }
    Plan {
        dead: dead.into_iter().map(|pack| pack.id).collect(),
        rewrite: rewrite.into_iter().collect(),
    }
}

/// The packs with the largest dead share, as many as leave no more than is borne.
fn sparse<'a>(live: &[&'a PackUse]) -> Vec<&'a PackUse> {
    let live_bytes: u64 = live.iter().map(|pack| pack.live_bytes).sum();
    let mut dead_bytes: u64 = live.iter().map(|pack| pack.dead_bytes()).sum();
    let borne = live_bytes / 100 * MAX_DEAD_PERCENT;
    let mut emptiest = live.to_vec();
    // Per mille, so that no float is compared.
    emptiest.sort_by_key(|pack| {
        let share = pack.dead_bytes() * 1000 / pack.size_bytes.max(1);
        (std::cmp::Reverse(share), pack.id)
    });
    emptiest.retain(|pack| {
        let one_more = dead_bytes > borne && pack.dead_bytes() > 0;
        if one_more {
            dead_bytes -= pack.dead_bytes();
        }
        one_more
    });
    emptiest
}

/// The small ones among the packs that would stay, if there are fewer packs when they are put together with what is rewritten anyway.
fn small<'a>(staying: &[&'a PackUse], rewritten_bytes: u64, purpose: Purpose) -> Vec<&'a PackUse> {
    let mut small: Vec<&PackUse> = staying.to_vec();
    small.retain(|pack| pack.size_bytes < SMALL_PACK_BYTES);
    small.sort_by_key(|pack| (pack.live_bytes, pack.id));
    let bytes: u64 = small.iter().map(|pack| pack.live_bytes).sum();
    let packs = |bytes: u64| bytes.div_ceil(purpose.pack_bytes() as u64);
    let before = small.len() as u64 + packs(rewritten_bytes);
    if packs(bytes + rewritten_bytes) < before {
        small
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pack(number: usize, purpose: usize, kib: u64, live_percent: u64, blobs: u64) -> PackUse {
        let live_bytes = kib * 1024 * live_percent / 100;
        let live_blobs = if live_percent == 0 { 0 } else { blobs };
        PackUse {
            id: ObjectId::of(&number.to_le_bytes()),
            purpose: [Purpose::Content, Purpose::State, Purpose::Tree][purpose % 3],
            size_bytes: kib * 1024 + HEADER_BYTES + blobs * HEADER_ENTRY_BYTES,
            live_bytes,
            live_blobs,
        }
    }

    fn packs() -> impl Strategy<Value = Vec<PackUse>> {
        let live = prop_oneof![Just(0), Just(100), Just(97), 1..100_u64];
        let one = (0..3_usize, 1..20_000_u64, live, 1..500_u64);
        prop::collection::vec(one, 0..60).prop_map(|packs| {
            let packs = packs.into_iter().enumerate();
            packs
                .map(|(n, (purpose, kib, live, blobs))| pack(n, purpose, kib, live, blobs))
                .collect()
        })
    }

    /// What there is when a plan has been carried out.
    fn carried_out(packs: &[PackUse], plan: &Plan) -> Vec<PackUse> {
        let gone =
            |pack: &&PackUse| plan.dead.contains(&pack.id) || plan.rewrite.contains(&pack.id);
        let mut after: Vec<PackUse> = packs.iter().filter(|pack| !gone(pack)).copied().collect();
        for purpose in [Purpose::Content, Purpose::State, Purpose::Tree] {
            let moved =
                |pack: &&PackUse| pack.purpose == purpose && plan.rewrite.contains(&pack.id);
            let mut bytes: u64 = packs.iter().filter(moved).map(|pack| pack.live_bytes).sum();
            while bytes > 0 {
                let size = bytes.min(purpose.pack_bytes() as u64);
                bytes -= size;
                after.push(PackUse {
                    id: ObjectId::of(format!("{purpose:?} {bytes}").as_bytes()),
                    purpose,
                    size_bytes: size,
                    live_bytes: size,
                    live_blobs: 1,
                });
            }
        }
        after
    }

    proptest! {
        #[test]
        fn what_is_needed_stays_or_is_copied(packs in packs(), budget in prop_oneof![Just(u64::MAX), 0..50_000_000_u64]) {
            let plan = plan(&packs, budget);
            for pack in &packs {
                prop_assert_eq!(plan.dead.contains(&pack.id), pack.live_blobs == 0);
                prop_assert!(!(plan.dead.contains(&pack.id) && plan.rewrite.contains(&pack.id)));
            }
            let copied = packs.iter().filter(|pack| plan.rewrite.contains(&pack.id));
            prop_assert!(copied.map(|pack| pack.live_bytes).sum::<u64>() <= budget);
            let live = |packs: &[PackUse]| packs.iter().map(|pack| pack.live_bytes).sum::<u64>();
            prop_assert_eq!(live(&packs), live(&carried_out(&packs, &plan)));
        }

        #[test]
        fn afterwards_little_is_dead_few_packs_are_small_and_nothing_is_to_be_done(packs in packs()) {
            let after = carried_out(&packs, &plan(&packs, u64::MAX));
            let live: u64 = after.iter().map(|pack| pack.live_bytes).sum();
            let dead: u64 = after.iter().map(PackUse::dead_bytes).sum();
            prop_assert!(dead <= live / 100 * MAX_DEAD_PERCENT, "{} of {}", dead, live);
            for purpose in [Purpose::Content, Purpose::State, Purpose::Tree] {
                let of_purpose = after.iter().filter(|pack| pack.purpose == purpose);
                let small = of_purpose.filter(|pack| pack.size_bytes < SMALL_PACK_BYTES);
                let small: Vec<u64> = small.map(|pack| pack.live_bytes).collect();
                let together = small.iter().sum::<u64>().div_ceil(purpose.pack_bytes() as u64);
                prop_assert!(small.len() as u64 <= together, "{:?} would fit into {}", small, together);
            }
            prop_assert_eq!(plan(&after, u64::MAX), Plan::default());
        }
    }

    #[test]
    fn full_packs_are_left_alone() {
        let full: Vec<_> = (0..40)
            .map(|number| pack(number, number, 16 << 10, 100, 50))
            .collect();
        assert_eq!(plan(&full, u64::MAX), Plan::default());
        let mut one_small = full;
        one_small.push(pack(99, 0, 10, 100, 1));
        assert_eq!(plan(&one_small, u64::MAX), Plan::default());
    }
}
