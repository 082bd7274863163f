//! The master keys of repositories that were opened lately, for a process that opens the same ones again and again: deriving a key from a password is
//! slow on purpose, and whoever looks through a mailbox page by page would wait for it with each page.
//!
//! A key is held in memory alone, for some minutes after it was derived, and found only with the key file and the password that it was derived from.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{crypto::Key, error::Problem, key::KeyFile};

/// Held at a time: as many people as may look into accounts at once, and some.
const HELD_MAX: usize = 64;
/// How long a key is held.
const HELD_FOR: Duration = Duration::from_secs(600);

/// Keys that were derived lately. Clones share them; each default one is empty.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<Mutex<VecDeque<Held>>>);

struct Held {
    /// A hash of the key file and the password.
    of: [u8; 32],
    key: Key,
    /// By a clock that nobody sets.
    until: Duration,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")
    }
}

impl KeyRing {
    /// As [`KeyFile::open`], with the file's bytes. `now` is of a clock that nobody sets.
    pub(crate) fn open(
        &self,
        file: &[u8],
        password: &str,
        now: Duration,
    ) -> Result<Option<Key>, Problem> {
        let mut hash = Sha256::new();
        hash.update((file.len() as u64).to_le_bytes());
        hash.update(file);
        hash.update(password);
        let of = hash.finalize().into();
        if let Some(key) = self.held(&of, now) {
            return Ok(Some(key));
        }
        let key = KeyFile::parse(file)?.open(password)?;
        if let Some(key) = &key {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.truncate(HELD_MAX - 1);
            held.push_front(Held {
                of,
                key: key.clone(),
                until: now.saturating_add(HELD_FOR),
            });
        }
        Ok(key)
    }

    fn held(&self, of: &[u8; 32], now: Duration) -> Option<Key> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| held.until > now);
        let found = held.iter().find(|held| held.of == *of);
        found.map(|held| held.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_key_is_held_for_its_own_file_and_password_and_for_a_while() {
        let start = Duration::from_secs(1_000);
        let master = Key::random();
        let file = |password| KeyFile::seal(&master, password, "here", Timestamp::UNIX_EPOCH);
        let (file, other) = (file("right").to_bytes(), file("other").to_bytes());
        let ring = KeyRing::default();
        let open = |file: &[u8], password, now| {
            let opened = ring.open(file, password, now).expect("it is whole");
            opened.map(|key| key.as_bytes() == master.as_bytes())
        };
        let held = || ring.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert_eq!(open(&file, "right", start), Some(true));
        assert_eq!(open(&file, "wrong", start), None);
        assert_eq!(open(&other, "right", start), None);
        assert_eq!(open(&file, "right", start), Some(true));
        assert_eq!(held(), 1);
        assert_eq!(open(&other, "other", start + HELD_FOR), Some(true));
        assert_eq!(held(), 1, "the first is held no longer");
        let of = |n: u8| Held {
            of: [n; 32],
            key: master.clone(),
            until: Duration::MAX,
        };
        let many = (0..200).map(of);
        ring.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(many);
        assert_eq!(open(&file, "right", start), Some(true));
        assert_eq!(held(), HELD_MAX);
    }
}
