//! A console that listens on the loopback, with organizations in it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use catalog::{Catalog, NewUser, Organization, Role, UserId};
use emulator::{Emulator, Running, World};
use graph::Cloud;
use model::{SharedClock, SimulatedClock, SystemClock};
use secrets::ServerKey;
use server::{Settings, State};
use service::{NewFirstUser, Pace, Service};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::browser::Browser;

/// The password of everybody in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// What `/metrics` wants.
pub(crate) const METRICS_TOKEN: &str = "a token for the watching";

pub(crate) struct Stage {
    pub(crate) state: State,
    pub(crate) service: Service,
    pub(crate) catalog: Catalog,
    pub(crate) clock: SimulatedClock,
    pub(crate) url: String,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    folder: TempDir,
    database: String,
}

/// An organization and its administrator.
pub(crate) struct Tenant {
    pub(crate) organization: Organization,
    pub(crate) user: UserId,
    pub(crate) address: String,
}

impl Stage {
    /// A console without a Microsoft.
    pub(crate) async fn start() -> Self {
        let clock = clock();
        let shared = Arc::new(clock.clone());
        let nowhere = Cloud::at("http://127.0.0.1:1").unwrap();
        Self::open(&nowhere, clock, shared, None).await
    }

    /// A console without a Microsoft, by a clock that the test has made.
    pub(crate) async fn by(shared: SharedClock) -> Self {
        let nowhere = Cloud::at("http://127.0.0.1:1").unwrap();
        Self::open(&nowhere, clock(), shared, None).await
    }

    /// A console without a Microsoft, behind a proxy from whose address these tests ask.
    pub(crate) async fn behind_a_proxy() -> Self {
        let clock = clock();
        let shared = Arc::new(clock.clone());
        let nowhere = Cloud::at("http://127.0.0.1:1").unwrap();
        let proxy = Some(IpAddr::from([127, 0, 0, 1]));
        Self::open(&nowhere, clock, shared, proxy).await
    }

    /// A console by the clock on the wall, whose service can back up the mailboxes of a tenant of two people.
    pub(crate) async fn that_backs_up() -> (Self, Running) {
        let world = World::new().users(2, 7);
        let microsoft = Emulator::start(emulator::Settings::new(world))
            .await
            .unwrap();
        let cloud = Cloud::at(&microsoft.base_url).unwrap();
        let stage = Self::open(&cloud, clock(), SystemClock::shared(), None).await;
        (stage, microsoft)
    }

    /// A console, and a tenant of eight people with an app that asks for what Exchange needs, which nobody has consented to.
    pub(crate) async fn with_microsoft(
        change: impl FnOnce(&mut emulator::Settings),
    ) -> (Self, Running) {
        let clock = clock();
        let mut settings = emulator::Settings::new(World::new().users(8, 7));
        settings.clock = Arc::new(Shared(Arc::new(clock.clone())));
        settings.requires = std::mem::take(&mut settings.roles);
        change(&mut settings);
        let microsoft = Emulator::start(settings).await.unwrap();
        let cloud = Cloud::at(&microsoft.base_url).unwrap();
        let shared = Arc::new(clock.clone());
        let stage = Self::open(&cloud, clock, shared, None).await;
        microsoft.allow_redirect_to(&format!("{}/connect/return", stage.url));
        (stage, microsoft)
    }

    async fn open(
        cloud: &Cloud,
        clock: SimulatedClock,
        shared: SharedClock,
        proxy: Option<IpAddr>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = testkit::database::address(folder.path());
        let settings = service::Settings {
            data: folder.path().join("data"),
            database: database.clone(),
            cloud: cloud.clone(),
            instance: "test".to_owned(),
            clock: shared,
            at_once: NonZeroUsize::MIN,
            pace: Pace::default(),
        };
        let service = Service::open(settings, ServerKey::random()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let settings = Settings {
            public_url: Url::parse(&url).unwrap(),
            proxy,
            apps: BTreeMap::new(),
        };
        let state = State::new(service.clone(), settings).unwrap();
        let stop = CancellationToken::new();
        let token = METRICS_TOKEN.to_owned().into();
        let router = server::router(state.clone()).merge(server::metrics(state.clone(), token));
        let serving = tokio::spawn(server::serve(listener, router, None, stop.clone()));
        Self {
            state,
            catalog: service.catalog().clone(),
            service,
            clock,
            url,
            stop,
            serving,
            folder,
            database,
        }
    }

    /// A browser that nobody has used yet.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// A new organization; `name` also makes its administrator's address.
    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let address = format!("{name}@example.com");
        let first = NewFirstUser {
            name: "Ada Lovelace".to_owned(),
            address: address.clone(),
            password_hash: hash(PASSWORD),
        };
        let (id, user) = self.service.found(name, first).await.unwrap();
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
        self.service.clock().now()
    }

    /// The bytes of all files that the console has written, and of the database where that is none of them.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let mut found = files(self.folder.path());
        if !self.database.starts_with("sqlite:") {
            found.extend(testkit::postgres::dump(&self.database));
        }
        found
    }

    /// The data folder's disk is not mounted.
    pub(crate) fn lose_data(&self) {
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
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

fn files(folder: &std::path::Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(std::fs::read(path).unwrap()),
        }
    }
    found
}

fn clock() -> SimulatedClock {
    SimulatedClock::new("2026-11-22T08:00:00Z".parse().unwrap())
}

/// The product's clock, as the emulator wants to see it.
#[derive(Debug)]
struct Shared(SharedClock);

impl emulator::Clock for Shared {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
}
