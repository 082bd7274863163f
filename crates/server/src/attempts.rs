//! How often somebody may try a password or a code: a few times, then after a wait that doubles.
//!
//! Counts live in this process and are gone with it. They are by what was tried and by where it came from; both are hashed, so that no address
//! lies in memory for this alone.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

/// Wrong tries before the first wait.
pub(crate) const TRIES: u32 = 5;
/// From one network, behind which there may be a whole office.
pub(crate) const TRIES_OF_A_NETWORK: u32 = 20;
/// The first wait.
const WAIT: Duration = Duration::from_secs(30);
/// The longest: who guesses gets a hundred tries a day, who forgot a password is not shut out for one.
const WAIT_MAX: Duration = Duration::from_secs(900);
/// After so long without a try, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Some megabytes, whatever anybody does.
const REMEMBERED_MAX: usize = 20_000;

/// The tries that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<[u8; 32], Tried>>);

#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    wrong: u32,
    last: Duration,
    free_at: Duration,
}

impl Attempts {
    /// Counts a try as wrong before it is made, so that many at once count as many. `now` is a monotonic time.
    ///
    /// # Errors
    /// How long to wait, when there were too many already; nothing is counted then.
    pub(crate) fn begin(&self, what: &str, tries: u32, now: Duration) -> Result<(), Duration> {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            forget(&mut remembered, now);
        }
        let tried = remembered.entry(key(what)).or_default();
        if now.saturating_sub(tried.last) >= FORGOTTEN_AFTER {
            *tried = Tried::default();
        }
        if tried.free_at > now {
            return Err(tried.free_at - now);
        }
        tried.wrong = tried.wrong.saturating_add(1);
        tried.last = now;
        if let Some(beyond) = tried.wrong.checked_sub(tries) {
            tried.free_at = now + WAIT.saturating_mul(1 << beyond.min(10)).min(WAIT_MAX);
        }
        Ok(())
    }

    /// The last try was right.
    pub(crate) fn succeeded(&self, what: &str) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.remove(&key(what));
    }
}

fn key(what: &str) -> [u8; 32] {
    Sha256::digest(what.as_bytes()).into()
}

/// Makes room: what is old, or else whatever was tried longest ago.
fn forget(remembered: &mut HashMap<[u8; 32], Tried>, now: Duration) {
    remembered.retain(|_, tried| now.saturating_sub(tried.last) < FORGOTTEN_AFTER);
    if remembered.len() >= REMEMBERED_MAX {
        let mut times: Vec<_> = remembered.values().map(|tried| tried.last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        remembered.retain(|_, tried| tried.last > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(10_000 + seconds)
    }

    /// abuse 94, 98.
    #[test]
    fn after_five_tries_the_wait_doubles() {
        let attempts = Attempts::default();
        for _ in 0..TRIES {
            assert_eq!(attempts.begin("a", TRIES, at(0)), Ok(()));
        }
        assert_eq!(attempts.begin("a", TRIES, at(0)), Err(WAIT));
        assert_eq!(attempts.begin("b", TRIES, at(0)), Ok(()), "another one");
        assert_eq!(attempts.begin("a", TRIES, at(30)), Ok(()));
        assert_eq!(attempts.begin("a", TRIES, at(31)), Err(at(90) - at(31)));
        attempts.succeeded("a");
        assert_eq!(attempts.begin("a", TRIES, at(32)), Ok(()));
    }

    #[test]
    fn waits_end_and_are_forgotten() {
        let attempts = Attempts::default();
        let mut now = at(0);
        for _ in 0..40 {
            while let Err(wait) = attempts.begin("a", TRIES, now) {
                assert!(wait <= WAIT_MAX);
                now += wait;
            }
        }
        now += FORGOTTEN_AFTER;
        for _ in 0..TRIES {
            assert_eq!(attempts.begin("a", TRIES, now), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for n in 0..REMEMBERED_MAX as u64 + 10 {
            let now = at(0) + Duration::from_millis(n);
            assert_eq!(attempts.begin(&n.to_string(), TRIES, now), Ok(()));
        }
        let remembered = attempts.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(remembered.len() <= REMEMBERED_MAX);
    }
}
