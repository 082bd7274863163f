//! Starting the emulator, and what a program that runs it in its own process can do with it.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::{
    App, Behaviour, Clock, Error, FaultRule, Observer, Secret, Stats, SystemClock, Tenant, World,
    entra::Entra, fault::Faults, gateway::Gateway, routes, server, stats::Counters,
    throttle::Throttle,
};

/// How to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the tenant holds.
    pub world: World,
    /// Where to listen; port 0 takes a free one.
    pub http: SocketAddr,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether Microsoft's documented limits apply.
    pub throttle: bool,
    /// How long the service takes to answer a request, by its clock. Meanwhile the request counts as one of those at a time.
    pub latency: Duration,
    /// Rules in force from the start.
    pub faults: Vec<FaultRule>,
    /// For fault rules with a probability, and for request ids.
    pub seed: u64,
    /// Whether `/_emulator/faults` is served. It has no access control.
    pub admin: bool,
    /// Whether JSON is compressed for clients that accept gzip, as Microsoft does.
    pub gzip: bool,
    /// Switches between readings of Microsoft's behaviour.
    pub behaviour: Behaviour,
    /// The application permissions that the application is granted.
    pub roles: Vec<String>,
    /// Sees every exchange.
    pub observer: Option<Observer>,
}

impl Settings {
    /// A free port on loopback, the system's clock, no faults, no throttling, no admin endpoint, and the permissions that a backup and restore
    /// of mail needs.
    #[must_use]
    pub fn new(world: World) -> Self {
        let roles = [
            "Mail.ReadWrite",
            "MailboxSettings.Read",
            "Organization.Read.All",
            "User.Read.All",
        ];
        Self {
            world,
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Arc::new(SystemClock),
            throttle: false,
            latency: Duration::ZERO,
            faults: Vec::new(),
            seed: 0,
            admin: false,
            gzip: false,
            behaviour: Behaviour::default(),
            roles: roles.map(str::to_owned).to_vec(),
            observer: None,
        }
    }
}

/// The emulator.
#[derive(Debug)]
pub struct Emulator;

/// An emulator that runs. It stops when dropped.
pub struct Running {
    /// Where it listens: `http://127.0.0.1:8080`, without a trailing slash. Graph is under `/v1.0`, the login host under `/{tenant}`.
    pub base_url: String,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The application that was registered for the caller.
    pub client_id: Uuid,
    /// Its secret.
    pub client_secret: String,
    gateway: Arc<Gateway>,
    stop: watch::Sender<()>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("base_url", &self.base_url)
            .field("tenant_id", &self.tenant_id)
            .finish_non_exhaustive()
    }
}

impl Emulator {
    /// Builds the world and begins to serve. Needs a Tokio runtime.
    ///
    /// # Errors
    /// If the world cannot be read, the address cannot be listened on, or a fault rule makes no sense.
    pub async fn start(settings: Settings) -> Result<Running, Error> {
        let now = settings.clock.now();
        let tenant = Arc::new(settings.world.build(now, settings.behaviour)?);
        let (client_id, client_secret) = register(&tenant, settings.roles, now);
        let gateway = Gateway {
            entra: Entra::new(tenant.clone())?,
            tenant: tenant.clone(),
            clock: settings.clock,
            routes: routes(),
            faults: Faults::new(settings.seed),
            throttle: settings.throttle.then(Throttle::default),
            latency: settings.latency,
            counters: Counters::default(),
            observer: settings.observer,
            admin: settings.admin,
            gzip: settings.gzip,
            random: Mutex::new(StdRng::seed_from_u64(settings.seed)),
        };
        for rule in settings.faults {
            gateway.faults.add(rule, &gateway.routes)?;
        }
        let listen = |source| Error::Listen {
            address: settings.http,
            source,
        };
        let listener = TcpListener::bind(settings.http).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let gateway = Arc::new(gateway);
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(server::run(listener, gateway.clone(), stopped));
        Ok(Running {
            base_url: format!("http://{address}"),
            address,
            tenant_id: tenant.id,
            client_id,
            client_secret,
            gateway,
            stop,
            task: Mutex::new(Some(task)),
        })
    }
}

impl Running {
    /// The state, for looking into it and for changing it without HTTP.
    #[must_use]
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.gateway.tenant
    }

    /// The emulator's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.gateway.clock.now()
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            throttled: self.gateway.throttle.as_ref().map_or(0, Throttle::refused),
            together_max: self
                .gateway
                .throttle
                .as_ref()
                .map_or(0, Throttle::together_max),
            faults: self.gateway.faults.struck(),
            ..self.gateway.counters.read()
        }
    }

    /// Puts a fault rule into force.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn add_fault(&self, rule: FaultRule) -> Result<(), Error> {
        self.gateway.faults.add(rule, &self.gateway.routes)
    }

    /// Takes all fault rules out of force.
    pub fn clear_faults(&self) {
        self.gateway.faults.clear();
    }

    /// Declares all access tokens expired.
    pub fn expire_tokens(&self) {
        self.gateway.entra.tokens.expire_all();
    }

    /// Stops listening, cuts the connections, and waits until that is done.
    pub async fn stop(self) {
        self.stop.send_replace(());
        let task = match self.task.lock() {
            Ok(mut task) => task.take(),
            Err(_) => None,
        };
        if let Some(task) = task {
            // It ends by itself; that it panicked would have shown before.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(());
    }
}

/// Registers an application with a secret that follows from the tenant's seed: a start-up script finds the same ones again.
fn register(tenant: &Tenant, roles: Vec<String>, now: Timestamp) -> (Uuid, String) {
    let client_id = tenant.new_id();
    let mut random = [0; 30];
    tenant.random().fill_bytes(&mut random);
    let secret = BASE64URL_NOPAD.encode(&random);
    tenant.set_app(App {
        client_id,
        object_id: tenant.new_id(),
        display_name: "Keepwell".to_owned(),
        secrets: vec![Secret {
            value: secret.clone(),
            expires: now
                .checked_add(SignedDuration::from_hours(24 * 365 * 2))
                .unwrap_or(Timestamp::MAX),
        }],
        certificates: Vec::new(),
        roles,
        disabled: false,
    });
    (client_id, secret)
}
