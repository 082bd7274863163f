//! `keepwell demo`: the emulated tenant, the service and the console in one process, with a task that is connected and a first backup
//! that runs, unless that is left to whoever tries the console.
//!
//! Everything is on this machine and made up. The server's key lies in the data folder beside what it opens, which is good for looking at Keepwell
//! and for nothing else; `keepwell serve` never does that.

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use catalog::{AccountFilter, OrganizationId, StatusChange};
use emulator::{Emulator, Running};
use graph::Cloud;
use model::{SystemClock, TenantId};
use serde::Serialize;
use server::State;
use service::{Credential, NewCredential, Service, TaskSettings, Which};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    cli::Demo,
    commands::{self, key},
    exit::Verdict,
    interrupt,
    out::{result, story},
};

/// Who signs in.
const ADDRESS: &str = "administrator@contoso.example";
const NAME: &str = "Robin Demo";
const ORGANIZATION: &str = "Contoso";
const TASK: &str = "Head office mail";
/// Mailboxes at a time.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// What is under way when somebody ends the demonstration has this long to leave things in order.
const ENDING_MAX: Duration = Duration::from_secs(9);

/// How to get in, as one line of JSON.
#[derive(Serialize)]
struct Ready<'a> {
    console: &'a str,
    address: &'a str,
    password: &'a str,
    token: &'a str,
    microsoft: Microsoft,
}

/// What lets somebody in, and a program.
struct Keys<'a> {
    password: &'a str,
    token: &'a str,
}

/// The emulated Microsoft, for a test that looks past the console.
#[derive(Serialize)]
struct Microsoft {
    http: String,
    tenant_id: String,
    client_id: String,
    client_secret: String,
    administrator: Option<String>,
    administrator_password: Option<String>,
}

/// Serves until interrupted.
pub(crate) async fn run(options: Demo) -> anyhow::Result<Verdict> {
    ensure!(
        options.listen.ip().is_loopback(),
        "the demonstration is for this machine only: listen on 127.0.0.1, or use `keepwell serve`"
    );
    // Before anybody is told that it is ready, and may want it to stop.
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    let (listener, url) = listen(options.listen)?;
    let emulator = start_emulator(&options, &url).await?;
    let folder = Folder::new(options.data.clone())?;
    let service = open_service(&folder.path, &emulator).await?;
    let app = server::App {
        client_id: emulator.client_id.to_string(),
        credential: Credential::Secret(Zeroizing::new(emulator.client_secret.clone())),
        tenant: Some(emulator.tenant_id.to_string()),
    };
    let settings = server::Settings {
        public_url: url.clone(),
        proxy: None,
        apps: BTreeMap::from([(model::Service::Exchange, app)]),
    };
    let state = State::new(service.clone(), settings)?;
    let password = key::password();
    let organization = state
        .found(ORGANIZATION, NAME, ADDRESS, &password)
        .await
        .map_err(|problem| anyhow!("the organization could not be made: {problem:?}"))?;
    let token = state
        .api_token(ADDRESS, "Demonstration")
        .await
        .map_err(|problem| anyhow!("the API token could not be made: {problem:?}"))?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server::serve(
        listener,
        server::router(state.clone()).merge(server::metrics(state, token.clone().into())),
        None,
        stop.clone(),
    ));
    if !options.no_task {
        protect(&service, organization, &emulator).await?;
    }
    let working = {
        let (service, stop) = (service.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::join!(service.work(stop.clone()), service.schedule(stop));
        })
    };
    let keys = Keys {
        password: &password,
        token: &token,
    };
    tell(&options, &url, keys, &folder, &emulator)?;
    end.await
        .context("the signal to stop could not be awaited")?;
    stop.cancel();
    let ended = async { tokio::join!(serving, working) };
    let clock = SystemClock::shared();
    tokio::select! {
        _ = ended => {}
        () = clock.sleep(ENDING_MAX) => {}
    }
    emulator.stop().await;
    Ok(Verdict::Good)
}

fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, Url)> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("{address} cannot be listened on: name another one with --listen")
    })?;
    listener.set_nonblocking(true)?;
    let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
    Ok((listener, url))
}

async fn start_emulator(options: &Demo, url: &Url) -> anyhow::Result<Running> {
    let mut settings = emulator::Settings::new(commands::emulator::world(&options.world));
    settings.throttle = options.throttle;
    settings.seed = options.world.seed;
    settings.redirect_uris = vec![url.join("connect/return")?.to_string()];
    let started = Emulator::start(settings).await;
    started.context("the emulated tenant could not be started")
}

/// The folder for the backups; a temporary one goes with the demonstration.
struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = named else {
            let temporary = tempfile::Builder::new()
                .prefix("keepwell-demo-")
                .tempdir()
                .context("no temporary folder could be made: name one with --data")?;
            return Ok(Self {
                path: temporary.path().to_owned(),
                temporary: Some(temporary),
            });
        };
        let is_empty = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => !path.exists(),
        };
        ensure!(
            is_empty,
            "{} is not an empty folder: name one that is empty, or that does not exist yet",
            path.display()
        );
        Ok(Self {
            path,
            temporary: None,
        })
    }
}

async fn open_service(data: &Path, emulator: &Running) -> anyhow::Result<Service> {
    fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let key = key::make(&data.join("server.key"))?;
    let settings = service::Settings {
        data: data.to_owned(),
        database: data.join("keepwell.db").display().to_string(),
        cloud: Cloud::at(&emulator.base_url)?,
        instance: commands::instance::name(),
        clock: SystemClock::shared(),
        at_once: AT_ONCE,
        pace: service::Pace::default(),
    };
    let opened = Service::open(settings, key).await;
    opened.context("the service could not be opened")
}

/// A connection, a task with its accounts activated, and the first backup.
async fn protect(
    service: &Service,
    organization: OrganizationId,
    emulator: &Running,
) -> anyhow::Result<()> {
    let credential = NewCredential {
        service: model::Service::Exchange,
        tenant: TenantId::new(emulator.tenant_id.to_string())?,
        tenant_name: String::new(),
        client_id: emulator.client_id.to_string(),
        credential: Credential::Secret(Zeroizing::new(emulator.client_secret.clone())),
    };
    let connection = service.connect(organization, credential).await?;
    service.check_connection(organization, connection).await?;
    let settings = TaskSettings {
        activate_new: true,
        ..TaskSettings::default()
    };
    let task = service
        .add_task(organization, connection, TASK, &settings)
        .await?;
    service.discover(organization, task).await?;
    let of = service.catalog().organization(organization);
    of.change_status(task, &AccountFilter::default(), StatusChange::Activate)
        .await?;
    service.backup_now(organization, task, Which::All).await?;
    Ok(())
}

fn tell(
    options: &Demo,
    url: &Url,
    Keys { password, token }: Keys<'_>,
    folder: &Folder,
    emulator: &Running,
) -> anyhow::Result<()> {
    let url = url.as_str();
    if options.json {
        let administrator = emulator.administrator();
        result(&serde_json::to_string(&Ready {
            console: url,
            address: ADDRESS,
            password,
            token,
            microsoft: Microsoft {
                http: emulator.base_url.clone(),
                tenant_id: emulator.tenant_id.to_string(),
                client_id: emulator.client_id.to_string(),
                client_secret: emulator.client_secret.clone(),
                administrator: administrator.as_ref().map(|a| a.principal_name.clone()),
                administrator_password: administrator.map(|a| a.password),
            },
        })?)?;
    } else {
        result(&format!("Console    {url}"))?;
        result(&format!("Address    {ADDRESS}"))?;
        result(&format!("Password   {password}"))?;
        result(&format!("API token  {token}"))?;
        if let Some(administrator) = emulator.administrator() {
            result(&format!(
                "Microsoft  {} with the password {} (emulated)",
                administrator.principal_name, administrator.password
            ))?;
        }
    }
    let path = folder.path.display();
    match folder.temporary {
        Some(_) => story(&format!(
            "The backups and their key are in {path}, and go when this ends."
        )),
        None => story(&format!("The backups and their key are in {path}.")),
    }
    story("Everything is made up and on this machine; press Ctrl-C to stop.");
    Ok(())
}
