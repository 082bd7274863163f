//! A console that listens on the loopback, with organizations in it.

use std::{net::TcpListener, sync::Arc, time::Duration};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use catalog::{Catalog, NewOrganization, NewUser, Organization, OrganizationId, Role, UserId};
use model::{Clock, SimulatedClock};
use secrets::Sealed;
use server::{Settings, State};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::browser::Browser;

/// The password of everybody in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Stage {
    pub(crate) catalog: Catalog,
    pub(crate) clock: SimulatedClock,
    pub(crate) url: String,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    folder: TempDir,
}

/// An organization and its administrator.
pub(crate) struct Tenant {
    pub(crate) organization: Organization,
    pub(crate) user: UserId,
    pub(crate) address: String,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let catalog = Catalog::open(&database).await.unwrap();
        let clock = SimulatedClock::new("2026-11-22T08:00:00Z".parse().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let settings = Settings {
            public_url: Url::parse(&url).unwrap(),
            proxy: None,
        };
        let shared = Arc::new(clock.clone());
        let state = State::new(catalog.clone(), shared, &settings).unwrap();
        let stop = CancellationToken::new();
        let router = server::router(state);
        let serving = tokio::spawn(server::serve(listener, router, None, stop.clone()));
        Self {
            catalog,
            clock,
            url,
            stop,
            serving,
            folder,
        }
    }

    /// A browser that nobody has used yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A new organization; `name` also makes its administrator's address.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let id = OrganizationId::new();
        let new = NewOrganization {
            id,
            name: name.to_owned(),
            key: Sealed::from_text("key".to_owned()),
            recovery_key: Sealed::from_text("recovery".to_owned()),
        };
        let address = format!("{name}@example.com");
        let user = new_user(&address, Role::Administrator);
        let user = self
            .catalog
            .found(&new, &user, self.clock.now())
            .await
            .unwrap();
        Tenant {
            organization: self.catalog.organization(id),
            user,
            address,
        }
    }

    /// A browser in which the administrator of a new organization is signed in.
    pub(crate) async fn signed_in(&self, name: &str) -> (Tenant, Browser) {
        let tenant = self.tenant(name).await;
        let browser = self.browser();
        browser.sign_in(&tenant.address).await;
        (tenant, browser)
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// The bytes of all files that the console has written.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// A user with the password of these tests.
pub(crate) fn new_user(address: &str, role: Role) -> NewUser {
    NewUser {
        name: "Ada Lovelace".to_owned(),
        address: address.to_owned(),
        role,
        password_hash: hash(PASSWORD),
    }
}

/// A hash that costs next to nothing; it names its own parameters.
fn hash(password: &str) -> String {
    let cheap = Params::new(8, 1, 1, None).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cheap)
        .hash_password(password.as_bytes())
        .unwrap()
        .to_string()
}
