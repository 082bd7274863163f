//! How often a user may ask for what costs much: so many at once, then so many a minute. What is beyond is refused with the time to wait.
//!
//! It is by user, whoever acts for them, so that one user's script slows nobody else. Counts live in this process and are gone with it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use catalog::UserId;

/// What costs much.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Costly {
    /// Looking for messages: some hundredths of a second of a processor where there are lists, a second where there are none.
    Search,
    /// Many messages as one file: as long as the network takes it.
    Zip,
    /// One message, or something of it: it is read, taken apart and cleaned.
    Message,
}

const MINUTE: Duration = Duration::from_secs(60);
/// Users that are remembered; each has some hundred bytes.
const REMEMBERED_MAX: usize = 20_000;

impl Costly {
    /// How often in a minute, and at once after a minute's rest: more than people do, and less than what would keep a processor busy.
    fn a_minute(self) -> u32 {
        match self {
            Self::Search => 300,
            Self::Zip => 30,
            Self::Message => 1_200,
        }
    }
}

/// How far everybody is ahead of their pace.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<HashMap<(UserId, Costly), Duration>>);

impl Paces {
    /// Counts one. `now` is of a clock that nobody sets.
    ///
    /// # Errors
    /// How long to wait, when there were too many already; nothing is counted then.
    pub(crate) fn take(&self, user: UserId, what: Costly, now: Duration) -> Result<(), Duration> {
        let step = MINUTE / what.a_minute();
        let mut ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.len() >= REMEMBERED_MAX {
            // Who has rested is as good as new.
            ahead.retain(|_, until| *until > now);
        }
        // Each takes its share of the minute; whoever has taken a minute of the future waits.
        let until = ahead.entry((user, what)).or_insert(now);
        let next = (*until).max(now) + step;
        match next.checked_sub(now + MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *until = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abuse 98.
    #[test]
    fn a_minutes_worth_at_once_and_then_one_after_another() {
        let (paces, ada, bob) = (Paces::default(), UserId::new(), UserId::new());
        let start = Duration::from_secs(1_000);
        let step = MINUTE / Costly::Zip.a_minute();
        let take = |user, what, now| paces.take(user, what, now);
        for _ in 0..Costly::Zip.a_minute() {
            assert_eq!(take(ada, Costly::Zip, start), Ok(()));
        }
        assert_eq!(take(ada, Costly::Zip, start), Err(step));
        assert_eq!(take(bob, Costly::Zip, start), Ok(()), "another user");
        assert_eq!(take(ada, Costly::Search, start), Ok(()), "another thing");
        assert_eq!(take(ada, Costly::Zip, start + step), Ok(()));
        assert_eq!(take(ada, Costly::Zip, start + step), Err(step));
        for _ in 0..Costly::Zip.a_minute() {
            let rested = start + 2 * MINUTE;
            assert_eq!(take(ada, Costly::Zip, rested), Ok(()), "a minute's rest");
        }
    }

    #[test]
    fn those_who_rested_are_forgotten() {
        let paces = Paces::default();
        for n in 0..2 * REMEMBERED_MAX as u64 {
            let now = Duration::from_secs(n);
            assert_eq!(paces.take(UserId::new(), Costly::Search, now), Ok(()));
        }
        let held = paces.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert!(held <= REMEMBERED_MAX, "{held}");
    }
}
