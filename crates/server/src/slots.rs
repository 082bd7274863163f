//! How many files of many messages are made at a time: a few in all, fewer for one organization, and fewer for one user, because each holds a restore point open
//! for as long as somebody's network takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use catalog::{OrganizationId, UserId};

/// Each holds some megabytes: a message, and the names of 20,000.
const AT_ONCE: usize = 8;
/// However many users one has, the others have room.
const OF_ONE_ORGANIZATION: usize = 4;
/// A browser downloads one after another; whoever opens more leaves the others room.
const OF_ONE_USER: usize = 2;

/// What is being made, and for whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<Vec<(OrganizationId, UserId)>>>);

/// Room for one, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    of: (OrganizationId, UserId),
}

impl Slots {
    /// Room for one more of a user, if there is any.
    pub(crate) fn take(&self, organization: OrganizationId, user: UserId) -> Option<Slot> {
        let mut taken = self.taken();
        let of_organization = taken.iter().filter(|(one, _)| *one == organization).count();
        let of_user = taken.iter().filter(|(_, one)| *one == user).count();
        if of_user >= OF_ONE_USER
            || of_organization >= OF_ONE_ORGANIZATION
            || taken.len() >= AT_ONCE
        {
            return None;
        }
        let of = (organization, user);
        taken.push(of);
        drop(taken);
        let slots = self.clone();
        Some(Slot { slots, of })
    }

    fn taken(&self) -> MutexGuard<'_, Vec<(OrganizationId, UserId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(at) = taken.iter().position(|one| *one == self.of) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abuse 98.
    #[test]
    fn a_few_in_all_and_fewer_for_one() {
        let slots = Slots::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE / OF_ONE_ORGANIZATION {
            let organization = OrganizationId::new();
            for _ in 0..OF_ONE_ORGANIZATION / OF_ONE_USER {
                let user = UserId::new();
                for _ in 0..OF_ONE_USER {
                    held.push(slots.take(organization, user).expect("there is room"));
                }
                assert!(slots.take(organization, user).is_none(), "of one user");
            }
            let colleague = UserId::new();
            assert!(
                slots.take(organization, colleague).is_none(),
                "of one organization"
            );
        }
        let (another, user) = (OrganizationId::new(), UserId::new());
        assert!(slots.take(another, user).is_none(), "in all");
        held.pop();
        drop(slots.take(another, user).expect("there is room again"));
        held.clear();
        assert!(slots.taken().is_empty());
    }
}
