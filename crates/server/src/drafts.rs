//! What somebody has typed into the wizard so far, and the walks to Microsoft that are under way. It is kept here, in memory, for some hours: credentials
//! that lead nowhere yet do not belong into a database. A restart forgets it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use catalog::{ConnectionId, OrganizationId, UserId};
use graph::{Person, Walk};
use model::Service;
use zeroize::Zeroizing;

use crate::{
    Problem, Signed,
    certificate::Certificate,
    token::{self, Token},
};

/// A draft that nobody touches is forgotten after so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(8 * 3600);
/// A walk to Microsoft that takes longer is not taken back.
const WALK_MAX: Duration = Duration::from_secs(3600);
/// Drafts in memory; each has a few kilobytes.
const DRAFTS_MAX: usize = 1_000;

/// The drafts of all users of this process.
#[derive(Debug, Default)]
pub(crate) struct Drafts(Mutex<HashMap<String, Kept>>);

/// What becomes of a draft.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Aim {
    /// A new backup task.
    Task,
    /// A connection that is there is authenticated again.
    Connection(ConnectionId),
}

/// With what the app is to prove itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// A certificate that Keepwell makes.
    Certificate,
    /// A client secret.
    Secret,
    /// What the connection has already.
    Kept,
    /// The app of the server's configuration, with its credential.
    Server,
}

/// What one person has typed so far.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: String,
    pub(crate) aim: Aim,
    pub(crate) name: String,
    pub(crate) service: Service,
    /// A tenant's id or domain, as typed.
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) proof: Proof,
    pub(crate) secret: Zeroizing<String>,
    pub(crate) certificate: Option<Certificate>,
    /// Who signed in.
    pub(crate) person: Option<Person>,
    /// What came of it.
    pub(crate) connection: Option<ConnectionId>,
    /// What went wrong last, in words.
    pub(crate) problem: Option<String>,
}

impl Draft {
    pub(crate) fn new(aim: Aim, service: Service) -> Self {
        let mut id = Token::random().as_str().to_owned();
        id.truncate(22);
        Self {
            id,
            aim,
            name: String::new(),
            service,
            tenant: String::new(),
            client_id: String::new(),
            proof: Proof::Certificate,
            secret: Zeroizing::default(),
            certificate: None,
            person: None,
            connection: None,
            problem: None,
        }
    }
}

/// Where somebody is who left for Microsoft.
#[derive(Debug)]
pub(crate) enum Leg {
    /// Signing in.
    SignIn(Walk),
    /// Consenting as an administrator, with this state.
    Consent(String),
}

impl Leg {
    fn state(&self) -> &str {
        match self {
            Self::SignIn(walk) => walk.state(),
            Self::Consent(state) => state,
        }
    }
}

#[derive(Debug)]
struct Kept {
    draft: Draft,
    organization: OrganizationId,
    user: UserId,
    touched: Duration,
    /// The walk under way, the session in which it began, and when.
    walk: Option<(Leg, String, Duration)>,
}

impl Drafts {
    /// Keeps a draft for a user, or what has changed in it.
    pub(crate) fn keep(&self, signed: &Signed, draft: Draft, now: Duration) {
        let mut drafts = self.lock();
        drafts.retain(|_, kept| now.saturating_sub(kept.touched) < FORGOTTEN_AFTER);
        if drafts.len() >= DRAFTS_MAX
            && let Some(oldest) = drafts.iter().min_by_key(|(_, kept)| kept.touched)
        {
            let oldest = oldest.0.clone();
            drafts.remove(&oldest);
        }
        let walk = drafts.remove(&draft.id).and_then(|kept| kept.walk);
        let kept = Kept {
            organization: signed.organization.id(),
            user: signed.user.id,
            touched: now,
            walk,
            draft,
        };
        drafts.insert(kept.draft.id.clone(), kept);
    }

    /// A draft of this user's.
    ///
    /// # Errors
    /// `NotFound` when it is another's, or forgotten.
    pub(crate) fn find(&self, signed: &Signed, id: &str) -> Result<Draft, Problem> {
        let drafts = self.lock();
        let kept = drafts.get(id).filter(|kept| kept.is_of(signed));
        kept.map(|kept| kept.draft.clone()).ok_or(Problem::NotFound)
    }

    /// The draft that this user touched last.
    pub(crate) fn latest(&self, signed: &Signed) -> Option<Draft> {
        let drafts = self.lock();
        let theirs = drafts.values().filter(|kept| kept.is_of(signed));
        theirs
            .max_by_key(|kept| kept.touched)
            .map(|kept| kept.draft.clone())
    }

    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Somebody leaves for Microsoft. Whoever left from the same draft before is not taken back.
    pub(crate) fn leave(&self, signed: &Signed, id: &str, leg: Leg, now: Duration) {
        if let Some(kept) = self.lock().get_mut(id).filter(|kept| kept.is_of(signed)) {
            kept.walk = Some((leg, signed.token_hash.clone(), now));
        }
    }

    /// Somebody comes back with a state: once, in the session in which they left, and not too late (abuse 88).
    pub(crate) fn return_with(
        &self,
        signed: &Signed,
        state: &str,
        now: Duration,
    ) -> Option<(Draft, Leg)> {
        let mut drafts = self.lock();
        let kept = drafts.values_mut().find(|kept| {
            let walk = kept.walk.as_ref();
            kept.is_of(signed) && walk.is_some_and(|(leg, ..)| token::equal(leg.state(), state))
        })?;
        let (leg, session, since) = kept.walk.take()?;
        let is_theirs = session == signed.token_hash && now.saturating_sub(since) < WALK_MAX;
        is_theirs.then(|| (kept.draft.clone(), leg))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_of(&self, signed: &Signed) -> bool {
        self.organization == signed.organization.id() && self.user == signed.user.id
    }
}
