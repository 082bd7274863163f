//! What the last look at each organization's audit came to: a look reads every entry, so it is not had anew for every page.
//!
//! It is kept in memory: after a restart, and after an hour, the next page looks again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use catalog::{ChainCheck, Organization, OrganizationId};
use jiff::{SignedDuration, Timestamp};

use crate::Problem;

/// For so long a look is believed by whoever does not ask for another.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// The last looks of this process.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<HashMap<OrganizationId, (ChainCheck, Timestamp)>>);

impl Checks {
    /// What the last look came to, and when it was had: now, if there was none within the hour, or a new one is wanted.
    pub(crate) async fn check(
        &self,
        of: &Organization,
        anew: bool,
        now: Timestamp,
    ) -> Result<(ChainCheck, Timestamp), Problem> {
        if let Some(known) = self.known(of.id(), now).filter(|_| !anew) {
            return Ok(known);
        }
        let looked = (of.check_audit().await?, now);
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.insert(of.id(), looked.clone());
        Ok(looked)
    }

    fn known(&self, id: OrganizationId, now: Timestamp) -> Option<(ChainCheck, Timestamp)> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looks.get(&id).cloned();
        known.filter(|(_, at)| at.duration_until(now).abs() < FRESH)
    }
}
