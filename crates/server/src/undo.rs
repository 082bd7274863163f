//! What somebody did last and can take back with the button that the next page shows. It is kept in memory for a while, one thing for each session:
//! whoever does something else has accepted what was before.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use catalog::{AccountKey, StatusChange, TaskId};

use crate::token::Token;

/// What is not taken back so long is kept.
const UNDO_MAX: Duration = Duration::from_secs(600);
/// Sessions whose last act is in memory.
const SESSIONS_MAX: usize = 1_000;

/// What can be taken back, by session.
#[derive(Debug, Default)]
pub(crate) struct Undos(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    id: String,
    act: Act,
    until: Duration,
}

/// What was done to a task, as what takes it back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Accounts got another status; these changes bring back the one that each had.
    Accounts {
        task: TaskId,
        back: Vec<(StatusChange, Vec<AccountKey>)>,
        /// Where it was done.
        at: String,
    },
    /// The task's settings were others: these.
    Settings { task: TaskId, before: String },
}

impl Undos {
    /// Remembers what a session did, instead of what it did before. Returns by which id it is taken back. `now` is of a clock that nobody sets.
    pub(crate) fn remember(&self, session: &str, act: Act, now: Duration) -> String {
        let mut id = Token::random().as_str().to_owned();
        id.truncate(22);
        let mut kept = self.kept();
        kept.retain(|_, kept| kept.until > now);
        if kept.len() >= SESSIONS_MAX {
            kept.clear();
        }
        let until = now + UNDO_MAX;
        let new = Kept {
            id: id.clone(),
            act,
            until,
        };
        kept.insert(session.to_owned(), new);
        id
    }

    /// Hands out what a session did, once; nothing when it has done something else since, or too long ago.
    pub(crate) fn take(&self, session: &str, id: &str, now: Duration) -> Option<Act> {
        let mut kept = self.kept();
        let is_this = |kept: &&Kept| kept.id == id && kept.until > now;
        kept.get(session).filter(is_this)?;
        kept.remove(session).map(|kept| kept.act)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_act_of_the_own_session_is_taken_back_and_once() {
        let undos = Undos::default();
        let start = Duration::from_secs(1_000);
        let act = |before: &str| Act::Settings {
            task: TaskId::new(),
            before: before.to_owned(),
        };
        let first = undos.remember("ada", act("1"), start);
        let second = undos.remember("ada", act("2"), start);
        assert_eq!(undos.take("ada", &first, start), None);
        assert_eq!(undos.take("bob", &second, start), None);
        assert_eq!(undos.take("ada", &second, start + UNDO_MAX), None);
        let taken = undos.take("ada", &second, start);
        assert!(matches!(taken, Some(Act::Settings { before, .. }) if before == "2"));
        assert_eq!(undos.take("ada", &second, start), None);
    }
}
