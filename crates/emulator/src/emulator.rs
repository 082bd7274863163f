//! Starting the emulator, and what a program that runs it in its own process can do with it.

mod registration;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::{
    Behaviour, Clock, DirectoryRole, Error, FaultRule, Observer, Stats, SystemClock, Tenant, User,
    World,
    doors::{CertificateAuthority, Door},
    entra::Entra,
    fault::Faults,
    gateway::Gateway,
    routes, server,
    stats::Counters,
    throttle::Throttle,
};

/// How to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the tenant holds.
    pub world: World,
    /// Where to listen; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where to listen for HTTPS too.
    pub https: Option<SocketAddr>,
    /// Where to be a proxy for Microsoft's hosts too: for clients that know no other address than Microsoft's.
    pub proxy: Option<SocketAddr>,
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
    /// The application permissions that the application asks for and is granted.
    pub roles: Vec<String>,
    /// The application permissions that it asks for beyond these, and that nobody has granted yet.
    pub requires: Vec<String>,
    /// Where people who sign in to the application may be sent back to.
    pub redirect_uris: Vec<String>,
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
            https: None,
            proxy: None,
            clock: Arc::new(SystemClock),
            throttle: false,
            latency: Duration::ZERO,
            faults: Vec::new(),
            seed: 0,
            admin: false,
            gzip: false,
            behaviour: Behaviour::default(),
            roles: roles.map(str::to_owned).to_vec(),
            requires: Vec::new(),
            redirect_uris: Vec::new(),
            observer: None,
        }
    }
}

pub use registration::{Registered, Registration};

/// With what a person signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user principal name.
    pub principal_name: String,
    /// The password.
    pub password: String,
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
    /// Where it listens for HTTPS: `https://127.0.0.1:8443`.
    pub https_url: Option<String>,
    /// Where it is a proxy: `http://127.0.0.1:8888`. There `CONNECT` reaches `login.microsoftonline.com`, `graph.microsoft.com`,
    /// `outlook.office.com`, `outlook.office365.com` and every `*.sharepoint.com`, all of them this emulator.
    pub proxy_url: Option<String>,
    /// What to trust, so that HTTPS and the proxy are believed: a certificate as PEM, made anew at each start.
    pub ca_pem: String,
    /// The tenant.
    pub tenant_id: Uuid,
    /// The application that was registered for the caller.
    pub client_id: Uuid,
    /// Its secret.
    pub client_secret: String,
    gateway: Arc<Gateway>,
    stop: watch::Sender<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
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
    /// If the world cannot be read, the address cannot be listened on, a fault rule makes no sense, or Graph has no permission of a name that
    /// was given.
    pub async fn start(settings: Settings) -> Result<Running, Error> {
        let now = settings.clock.now();
        let tenant = Arc::new(settings.world.build(now, settings.behaviour)?);
        let registered = registration::register(
            &tenant,
            Registration {
                display_name: "Keepwell".to_owned(),
                redirect_uris: settings.redirect_uris,
                roles: settings.roles,
                requires: settings.requires,
            },
            now,
        )?;
        let gateway = Gateway {
            entra: Entra::new(tenant.clone(), settings.seed)?,
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
        let gateway = Arc::new(gateway);
        let authority = Arc::new(CertificateAuthority::new()?);
        let (stop, stopped) = watch::channel(());
        let mut tasks = Vec::new();
        let mut open = async |at, door| -> Result<SocketAddr, Error> {
            let (listener, address) = listen(at).await?;
            let (gateway, stopped) = (gateway.clone(), stopped.clone());
            tasks.push(tokio::spawn(server::run(listener, door, gateway, stopped)));
            Ok(address)
        };
        let address = open(settings.http, Door::Http).await?;
        let https = match settings.https {
            Some(at) => Some(open(at, Door::Https(authority.clone())).await?),
            None => None,
        };
        let proxy = match settings.proxy {
            Some(at) => Some(open(at, Door::Proxy(authority.clone())).await?),
            None => None,
        };
        Ok(Running {
            base_url: format!("http://{address}"),
            address,
            https_url: https.map(|address| format!("https://{address}")),
            proxy_url: proxy.map(|address| format!("http://{address}")),
            ca_pem: authority.pem(),
            tenant_id: tenant.id,
            client_id: registered.client_id,
            client_secret: registered.client_secret,
            gateway,
            stop,
            tasks: Mutex::new(tasks),
        })
    }
}

async fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Listen {
        address: at,
        source,
    };
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
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

    /// Registers another application.
    ///
    /// # Errors
    /// If Graph has no permission of a name that was given.
    pub fn register(&self, registration: Registration) -> Result<Registered, Error> {
        registration::register(self.tenant(), registration, self.now())
    }

    /// Lets people who sign in to the registered application be sent back to this address too.
    pub fn allow_redirect_to(&self, redirect_uri: &str) {
        if let Some(mut app) = self.tenant().app(self.client_id) {
            app.redirects.web.push(redirect_uri.to_owned());
            self.tenant().set_app(app);
        }
    }

    /// Somebody who may sign in and holds this directory role, the first by user principal name. A world with three people or more has a
    /// Global, a Privileged Role and an Exchange Administrator.
    #[must_use]
    pub fn account_with(&self, role: DirectoryRole) -> Option<Account> {
        self.account(|user| user.roles.contains(&role))
    }

    /// A Global Administrator. A world without people has none.
    #[must_use]
    pub fn administrator(&self) -> Option<Account> {
        self.account_with(DirectoryRole::GlobalAdministrator)
    }

    /// Somebody who may sign in and holds no role at all.
    #[must_use]
    pub fn account_without_role(&self) -> Option<Account> {
        self.account(|user| user.roles.is_empty())
    }

    fn account(&self, is_wanted: impl Fn(&User) -> bool) -> Option<Account> {
        let mut users = self.tenant().users();
        users.sort_by(|a, b| a.principal_name.cmp(&b.principal_name));
        let found = users
            .into_iter()
            .find(|user| user.may_sign_in() && is_wanted(user))?;
        Some(Account {
            principal_name: found.principal_name.clone(),
            password: found.password.clone(),
        })
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
        let tasks = match self.tasks.lock() {
            Ok(mut tasks) => std::mem::take(&mut *tasks),
            Err(_) => Vec::new(),
        };
        for task in tasks {
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
