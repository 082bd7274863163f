//! Which messages a session has just looked at, so that the frame with a message's text is not noted a second time, after the page around it.
//!
//! It is kept in memory, for a while: what is forgotten is noted again, never the other way round.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A look lasts so long: pages ask for their frames at once, and again when somebody goes back.
const LOOK: Duration = Duration::from_secs(600);
/// Looks in memory; each has some hundred bytes.
const LOOKS_MAX: usize = 10_000;

/// The looks of all sessions of this process, by session and message.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<HashMap<(String, String), Duration>>);

impl Looks {
    /// Remembers that a session has looked at something, and that this is noted. `now` is of a clock that nobody sets.
    pub(crate) fn remember(&self, session: &str, what: &str, now: Duration) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= LOOKS_MAX {
            looks.retain(|_, until| *until > now);
        }
        if looks.len() >= LOOKS_MAX {
            looks.clear();
        }
        looks.insert((session.to_owned(), what.to_owned()), now + LOOK);
    }

    /// Whether a look at this is noted already.
    pub(crate) fn is_noted(&self, session: &str, what: &str, now: Duration) -> bool {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = looks.get(&(session.to_owned(), what.to_owned()));
        until.is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_of_one_session_at_one_thing_for_a_while() {
        let looks = Looks::default();
        let start = Duration::from_secs(1_000);
        looks.remember("ada", "letter", start);
        assert!(looks.is_noted("ada", "letter", start));
        assert!(!looks.is_noted("bob", "letter", start));
        assert!(!looks.is_noted("ada", "other letter", start));
        assert!(!looks.is_noted("ada", "letter", start + LOOK));
        for number in 0..LOOKS_MAX {
            looks.remember("ada", &number.to_string(), start);
        }
        let held = looks.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert!(held <= LOOKS_MAX);
    }
}
