//! What every snapshot must hold.
//!
//! A snapshot is judged once, when it is new, by the mailbox's history between the beginning and the end of its run; from then on it must hold exactly
//! what it held, until it is forgotten.

use std::{collections::BTreeMap, sync::Arc};

use repository::SnapshotId;

use super::history::{Held, History, Place};

/// A run, as far as its snapshots are judged by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Those that must be there.
    snapshots: BTreeMap<SnapshotId, Arc<Held>>,
    /// What those held that were forgotten: others may have been made from them.
    forgotten: BTreeMap<SnapshotId, Arc<Held>>,
}

impl Model {
    pub(super) fn ids(&self) -> Vec<SnapshotId> {
        self.snapshots.keys().copied().collect()
    }

    pub(super) fn knows(&self, id: SnapshotId) -> bool {
        self.snapshots.contains_key(&id)
    }

    /// What a snapshot must hold.
    pub(super) fn held(&self, id: SnapshotId) -> Option<&Arc<Held>> {
        self.snapshots.get(&id).or_else(|| self.forgotten.get(&id))
    }

    pub(super) fn take(&mut self, id: SnapshotId, held: Held) {
        self.snapshots.insert(id, Arc::new(held));
    }

    pub(super) fn forget(&mut self, id: SnapshotId) {
        if let Some(held) = self.snapshots.remove(&id) {
            self.forgotten.insert(id, held);
        }
    }

    /// What is wrong with a new snapshot, made in `run` from a parent that held this; nothing if it may be as it is.
    pub(super) fn judge(
        history: &History,
        run: Run,
        parent: Option<&Held>,
        held: &Held,
        is_partial: bool,
    ) -> Vec<String> {
        let ids = history.ids().chain(held.keys().filter(|id| {
            // What never was in the mailbox.
            history.between(id, 0, u64::MAX).iter().all(Option::is_none)
        }));
        ids.filter_map(|id| {
            let case = Case {
                states: history.between(id, run.began, run.ended),
                before: parent.and_then(|parent| parent.get(id)),
                may_lag: is_partial || history.is_unseen(id),
                is_partial,
            };
            Some(format!("{id} {}", case.judge(held.get(id))?))
        })
        .collect()
    }
}

/// One message in one new snapshot.
struct Case<'a> {
    /// What it was during the run.
    states: Vec<Option<&'a Place>>,
    /// What the parent held of it.
    before: Option<&'a Place>,
    /// Whether the run may not have learnt what became of it: it did not come to its end, or no folder told.
    may_lag: bool,
    is_partial: bool,
}

impl Case<'_> {
    fn judge(&self, held: Option<&Place>) -> Option<String> {
        match held {
            Some(place) => self.judge_held(place),
            None if self.states.contains(&None) => None,
            None if self.before.is_none() && (self.may_lag || self.moved()) => None,
            None => Some(format!(
                "is missing; it was {:?}, its parent has {:?}",
                self.states, self.before
            )),
        }
    }

    /// Whether it was moved during the run: folders are read one after the other, so one that no run has read yet may pass from a folder that is read
    /// later to one that was read before. The next run hears of it.
    fn moved(&self) -> bool {
        let mut folders = self.states.iter().flatten().map(|state| &state.folder);
        let first = folders.next();
        folders.any(|folder| Some(folder) != first)
    }

    /// Its folder, its bytes and what is said of it are read at different times, so each is judged alone.
    fn judge_held(&self, place: &Place) -> Option<String> {
        let lagging = self.before.filter(|_| self.may_lag);
        let known = || self.states.iter().copied().flatten().chain(lagging);
        let is_place = known().any(|state| state.folder == place.folder);
        let is_mime = known().any(|state| state.mime == place.mime)
            || self.is_partial && place.mime.is_none();
        let is_said = known().any(|state| state.json == place.json);
        (!is_place || !is_mime || !is_said).then(|| {
            format!(
                "is held as {place:?}; it was {:?}, its parent has {:?}",
                self.states, self.before
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use repository::BlobId;

    use super::*;

    fn place(folder: &str, mime: &str) -> Place {
        Place {
            folder: folder.to_owned(),
            mime: Some(BlobId::of(mime.as_bytes())),
            json: BlobId::of(b"{}"),
        }
    }

    fn held(all: &[(&str, &str, &str)]) -> Held {
        let all = all.iter();
        all.map(|(id, folder, mime)| ((*id).to_owned(), place(folder, mime)))
            .collect()
    }

    /// A mailbox in which one message stays, one moves, one goes and one comes.
    fn history() -> History {
        let mut history = History::default();
        history.note(held(&[
            ("stays", "a", "1"),
            ("moves", "a", "2"),
            ("goes", "a", "3"),
        ]));
        history.note(held(&[
            ("stays", "a", "1"),
            ("moves", "b", "2"),
            ("comes", "a", "4"),
        ]));
        history
    }

    fn verdict(run: Run, parent: &Held, snapshot: &[(&str, &str, &str)], partial: bool) -> usize {
        Model::judge(&history(), run, Some(parent), &held(snapshot), partial).len()
    }

    #[test]
    fn a_quiet_run_has_to_hold_exactly_what_there_is() {
        let run = Run { began: 2, ended: 2 };
        let exact = [
            ("stays", "a", "1"),
            ("moves", "b", "2"),
            ("comes", "a", "4"),
        ];
        assert_eq!(verdict(run, &Held::new(), &exact, false), 0);
        assert_eq!(verdict(run, &Held::new(), &exact[1..], false), 1, "missing");
        let moved = [
            ("stays", "a", "1"),
            ("moves", "a", "2"),
            ("comes", "a", "4"),
        ];
        assert_eq!(verdict(run, &Held::new(), &moved, false), 1, "misplaced");
        let other = [
            ("stays", "a", "9"),
            ("moves", "b", "2"),
            ("comes", "a", "4"),
        ];
        assert_eq!(verdict(run, &Held::new(), &other, false), 1, "wrong bytes");
        let more = [exact[0], exact[1], exact[2], ("goes", "a", "3")];
        assert_eq!(verdict(run, &Held::new(), &more, false), 1, "gone");
        let invented = [exact[0], exact[1], exact[2], ("never", "a", "3")];
        assert_eq!(verdict(run, &Held::new(), &invented, false), 1, "invented");
    }

    #[test]
    fn what_happens_during_a_run_may_be_seen_or_not() {
        let run = Run { began: 1, ended: 2 };
        let before = [("stays", "a", "1"), ("moves", "a", "2"), ("goes", "a", "3")];
        let after = [
            ("stays", "a", "1"),
            ("moves", "b", "2"),
            ("comes", "a", "4"),
        ];
        for snapshot in [&before, &after] {
            assert_eq!(verdict(run, &Held::new(), snapshot, false), 0);
        }
        assert_eq!(verdict(run, &Held::new(), &after[1..], false), 1);
    }

    #[test]
    fn what_a_message_was_for_a_moment_may_have_been_seen() {
        let mut history = history();
        let began = history.moment();
        history.note_one("stays".to_owned(), place("a", "edited"));
        history.note(held(&[("moves", "b", "2"), ("comes", "a", "4")]));
        let judge = |mime, run| {
            let seen = held(&[
                ("stays", "a", mime),
                ("moves", "b", "2"),
                ("comes", "a", "4"),
            ]);
            Model::judge(&history, run, None, &seen, false).len()
        };
        let ended = history.moment();
        for mime in ["1", "edited"] {
            assert_eq!(judge(mime, Run { began, ended }), 0);
        }
        assert_eq!(judge("other", Run { began, ended }), 1);
        let after = Run {
            began: ended,
            ended,
        };
        assert_eq!(judge("edited", after), 1, "the next run");
    }

    #[test]
    fn what_moves_during_a_run_may_slip_through_once_unless_it_was_held() {
        let run = Run { began: 1, ended: 2 };
        let slipped = [("stays", "a", "1"), ("comes", "a", "4")];
        assert_eq!(verdict(run, &Held::new(), &slipped, false), 0);
        let parent = held(&[("moves", "a", "2")]);
        assert_eq!(verdict(run, &parent, &slipped, false), 1, "it was held");
        let quiet = Run { began: 2, ended: 2 };
        assert_eq!(
            verdict(quiet, &Held::new(), &slipped, false),
            1,
            "the next run"
        );
    }

    #[test]
    fn a_partial_snapshot_may_lag_but_loses_nothing_that_its_parent_has() {
        let run = Run { began: 2, ended: 2 };
        let parent = held(&[("stays", "a", "1"), ("moves", "a", "2"), ("goes", "a", "3")]);
        let lags = [("stays", "a", "1"), ("moves", "a", "2"), ("goes", "a", "3")];
        assert_eq!(verdict(run, &parent, &lags, true), 0);
        assert_eq!(verdict(run, &parent, &lags[1..], true), 1, "it lost one");
        assert_eq!(
            verdict(run, &parent, &lags, false),
            3,
            "a whole one may not lag"
        );
    }
}
