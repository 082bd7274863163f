//! Every state that the mailbox ever had, so that it can be said what anything could have looked like between two moments.

use std::collections::{BTreeMap, BTreeSet};

use repository::BlobId;

/// Where a message lies, and the hashes of its MIME and of what Graph says of it; none of MIME where there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) folder: String,
    pub(super) mime: Option<BlobId>,
    pub(super) json: BlobId,
}

/// What a mailbox or a snapshot holds, by the messages' ids.
pub(super) type Held = BTreeMap<String, Place>;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct History {
    /// For each message, what it became and when; nothing when it went away.
    states: BTreeMap<String, Vec<(u64, Option<Place>)>>,
    now: Held,
    moment: u64,
    /// Messages that were moved without any folder telling where to.
    unseen: BTreeSet<String>,
}

impl History {
    /// The moment that it is.
    pub(super) fn moment(&self) -> u64 {
        self.moment
    }

    /// What the mailbox holds.
    pub(super) fn now(&self) -> &Held {
        &self.now
    }

    /// The next moment, in which the mailbox holds this.
    pub(super) fn note(&mut self, held: Held) {
        self.moment += 1;
        let gone = self.now.keys().filter(|id| !held.contains_key(*id));
        for id in gone {
            let states = self.states.entry(id.clone()).or_default();
            states.push((self.moment, None));
        }
        for (id, place) in &held {
            if self.now.get(id) != Some(place) {
                let states = self.states.entry(id.clone()).or_default();
                states.push((self.moment, Some(place.clone())));
            }
        }
        self.now = held;
    }

    /// The next moment, in which a message is this, and everything else as it was.
    pub(super) fn note_one(&mut self, id: String, place: Place) {
        self.moment += 1;
        if self.now.get(&id) != Some(&place) {
            let states = self.states.entry(id.clone()).or_default();
            states.push((self.moment, Some(place.clone())));
            self.now.insert(id, place);
        }
    }

    /// Notes that no folder tells where the message went.
    pub(super) fn note_unseen(&mut self, id: String) {
        self.unseen.insert(id);
    }

    pub(super) fn is_unseen(&self, id: &str) -> bool {
        self.unseen.contains(id)
    }

    /// Every message there ever was.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.states.keys()
    }

    /// What the message was at some time between two moments, both included; nothing where it was not there.
    pub(super) fn between(&self, id: &str, from: u64, to: u64) -> Vec<Option<&Place>> {
        let states = self.states.get(id).map_or(&[][..], Vec::as_slice);
        let before = states.iter().rev().find(|(moment, _)| *moment <= from);
        let mut found = vec![before.and_then(|(_, state)| state.as_ref())];
        let within = states
            .iter()
            .filter(|(moment, _)| *moment > from && *moment <= to);
        found.extend(within.map(|(_, state)| state.as_ref()));
        found
    }
}
