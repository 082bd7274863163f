//! The state of one tenant: who it is, which applications may call, which users there are, and their mailboxes.
//!
//! Users are behind one lock, applications behind another, and each mailbox behind its own, so that work on one mailbox never waits for another. Locks are held for a
//! moment and never across an await. Lock the directory before a mailbox, never the other way round.

mod app;
mod principal;
mod registry;
mod role;
mod user;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::{Mailbox, permissions};

pub(crate) use app::Platform;
pub use app::{App, Certificate, Redirects, Requirement, Secret};
pub use principal::{PermissionGrant, RoleAssignment, ServicePrincipal};
pub(crate) use registry::Registry;
pub use role::DirectoryRole;
pub use user::{Purpose, User};

/// A mailbox with its lock.
pub type SharedMailbox = Arc<Mutex<Mailbox>>;

/// Switches between two readings of Microsoft's behaviour, see `docs/emulator-doubts.md`.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// `$value` is generated anew, as Exchange does, instead of giving back the bytes that were loaded.
    pub regenerate_mime: bool,
    /// How likely a move of a message is missing from the target folder's delta, 0.0 to 1.0. A message that moves A→B→A is always lost while this is over zero.
    pub lost_moves: f64,
    /// How long a delta token lives.
    pub delta_token_lifetime: std::time::Duration,
    /// A client assertion is taken once only. Microsoft's own libraries send one several times, so that Entra ID seems to allow it.
    pub refuse_repeated_assertions: bool,
    /// Outlook's limit of concurrent requests counts all mailboxes of an application together, instead of each by itself.
    pub concurrency_per_app: bool,
    /// How long after it was granted an application permission appears in tokens. What was granted before the start is in them at once.
    pub grant_delay: std::time::Duration,
    /// Whether people without a role may grant an application what no administrator need decide.
    pub user_consent: bool,
    /// An administrator's refusal comes back as `consent_required`, as Microsoft's page shows it, instead of as `access_denied`, as it was captured.
    pub refusal_is_consent_required: bool,
    /// Switches of mail alone.
    pub mail: crate::MailBehaviour,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            regenerate_mime: false,
            lost_moves: 0.0,
            // Microsoft promises no figure for Outlook; clients report some weeks.
            delta_token_lifetime: std::time::Duration::from_secs(30 * 24 * 3600),
            refuse_repeated_assertions: false,
            concurrency_per_app: false,
            grant_delay: std::time::Duration::ZERO,
            user_consent: true,
            refusal_is_consent_required: false,
            mail: crate::MailBehaviour::default(),
        }
    }
}

/// The state of one tenant.
#[derive(Debug)]
pub struct Tenant {
    /// The tenant's id.
    pub id: Uuid,
    /// The initial domain, for example `contoso.onmicrosoft.com`.
    pub domain: String,
    /// The organization's name.
    pub display_name: String,
    /// When the organization was made.
    pub created: Timestamp,
    /// Switches.
    pub behaviour: Behaviour,
    registry: RwLock<Registry>,
    users: RwLock<BTreeMap<Uuid, Arc<User>>>,
    mailboxes: RwLock<HashMap<Uuid, SharedMailbox>>,
    random: Mutex<StdRng>,
}

impl Tenant {
    /// A tenant without applications and users. Everything random in it follows from `seed`.
    #[must_use]
    pub fn new(
        id: Uuid,
        domain: impl Into<String>,
        display_name: impl Into<String>,
        created: Timestamp,
        behaviour: Behaviour,
        seed: u64,
    ) -> Self {
        Self {
            id,
            domain: domain.into(),
            display_name: display_name.into(),
            created,
            behaviour,
            registry: RwLock::new(Registry::new(id, created)),
            users: RwLock::default(),
            mailboxes: RwLock::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    /// Registers an application, or replaces the one with the same client id. Its service principal and its grants stay.
    pub fn set_app(&self, app: App) {
        let mut registry = self.registry_mut();
        registry
            .apps
            .retain(|known| known.client_id != app.client_id);
        registry.apps.push(app);
    }

    /// An application by its client id.
    #[must_use]
    pub fn app(&self, client_id: Uuid) -> Option<App> {
        self.registry().app(client_id).cloned()
    }

    /// The service principal of an application.
    #[must_use]
    pub fn service_principal(&self, client_id: Uuid) -> Option<ServicePrincipal> {
        self.registry().principal_of(client_id).cloned()
    }

    /// Adds a service principal, or replaces the one with the same id.
    pub fn set_service_principal(&self, principal: ServicePrincipal) {
        let mut registry = self.registry_mut();
        registry.principals.retain(|known| known.id != principal.id);
        registry.principals.push(principal);
    }

    /// Grants an application permission of Graph, effective at once. `false` if there is no such permission or no service principal.
    pub fn grant_role(&self, client_id: Uuid, role: &str, now: Timestamp) -> bool {
        let mut registry = self.registry_mut();
        let principal = registry
            .principal_of(client_id)
            .map(|principal| principal.id);
        match (principal, permissions::role_named(role)) {
            (Some(principal), Some(role)) => {
                registry.assign(principal, role.id, now, now);
                true
            }
            _ => false,
        }
    }

    /// All application permissions that were granted.
    #[must_use]
    pub fn role_assignments(&self) -> Vec<RoleAssignment> {
        self.registry().assignments.clone()
    }

    /// All delegated permissions that were granted.
    #[must_use]
    pub fn permission_grants(&self) -> Vec<PermissionGrant> {
        self.registry().grants.clone()
    }

    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a user, or replaces the one with the same id.
    pub fn set_user(&self, user: User) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        users.insert(user.id, Arc::new(user));
    }

    /// Removes a user and the mailbox.
    pub fn remove_user(&self, id: Uuid) {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        users.remove(&id);
        drop(users);
        self.remove_mailbox(id);
    }

    /// A user by id or by user principal name, in any case.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(id) = name.parse::<Uuid>() {
            return users.get(&id).cloned();
        }
        let mut all = users.values();
        all.find(|user| user.principal_name.eq_ignore_ascii_case(name))
            .cloned()
    }

    /// All users, in the order of their ids.
    #[must_use]
    pub fn users(&self) -> Vec<Arc<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.values().cloned().collect()
    }

    /// Gives a user a mailbox, or replaces it.
    pub fn set_mailbox(&self, user: Uuid, mailbox: Mailbox) {
        let mut mailboxes = self
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.insert(user, Arc::new(Mutex::new(mailbox)));
    }

    /// Takes a user's mailbox away, as when the licence is removed.
    pub fn remove_mailbox(&self, user: Uuid) {
        let mut mailboxes = self
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.remove(&user);
    }

    /// A user's mailbox.
    #[must_use]
    pub fn mailbox(&self, user: Uuid) -> Option<SharedMailbox> {
        let mailboxes = self
            .mailboxes
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.get(&user).cloned()
    }

    /// The tenant's random numbers.
    pub fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new random id.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.random().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
