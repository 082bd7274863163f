//! How many files of many messages are made at a time: a few in all and fewer for one user, because each holds a restore point open for as long as somebody's
//! network takes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use catalog::UserId;

/// Each holds some megabytes: a message, and the names of 20,000.
const AT_ONCE: u32 = 8;
/// A browser downloads one after another; whoever opens more leaves the others room.
const OF_ONE_USER: u32 = 2;

/// What is being made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<HashMap<UserId, u32>>>);

/// Room for one, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    user: UserId,
}

impl Slots {
    /// Room for one more of a user, if there is any.
    pub(crate) fn take(&self, user: UserId) -> Option<Slot> {
        let mut taken = self.taken();
        let of_user = taken.get(&user).copied().unwrap_or_default();
        if of_user >= OF_ONE_USER || taken.values().sum::<u32>() >= AT_ONCE {
            return None;
        }
        taken.insert(user, of_user + 1);
        drop(taken);
        let slots = self.clone();
        Some(Slot { slots, user })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<UserId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        match taken.get_mut(&self.user) {
            Some(of_user) if *of_user > 1 => *of_user -= 1,
            _ => _ = taken.remove(&self.user),
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
        let users: Vec<_> = (0..AT_ONCE).map(|_| UserId::new()).collect();
        let mut held = Vec::new();
        for user in &users[..(AT_ONCE / OF_ONE_USER) as usize] {
            for _ in 0..OF_ONE_USER {
                held.push(slots.take(*user).expect("there is room"));
            }
            assert!(slots.take(*user).is_none(), "of one user");
        }
        assert!(slots.take(UserId::new()).is_none(), "in all");
        held.pop();
        assert!(slots.take(users[0]).is_none());
        drop(slots.take(UserId::new()).expect("there is room again"));
        held.clear();
        assert!(slots.taken().is_empty());
    }
}
