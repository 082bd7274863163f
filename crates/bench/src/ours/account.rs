//! A whole backup of emulated mailboxes by the product's engine, and the ceiling for it: plain GETs of the same mails, and sealing.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use clap::Args;
use engine::{Vault, backup, discovery, restore};
use futures_util::{StreamExt, TryStreamExt, stream};
use graph::{Client, Cloud, Credential, Governor, Limits};
use model::{RestoreId, SharedClock, SystemClock, TenantId};
use testkit::store::{Deed, Watched};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use workload::mail::{
    backup::Progress,
    restore::{Destination, ItemReport, Selection},
};

use super::{Stopwatch, Told, meta, open};

/// Requests at a time, as Exchange allows for a mailbox.
const AT_ONCE: usize = 4;

/// Where the emulated tenant is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tenant {
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) tenant: String,
    #[arg(long)]
    pub(crate) client: String,
    #[arg(long)]
    pub(crate) secret: String,
}

/// A client of the tenant that nothing slows down.
fn client(tenant: &Tenant, clock: &SharedClock) -> anyhow::Result<(TenantId, Client)> {
    let id = TenantId::new(tenant.tenant.clone())?;
    let mut options = graph::Options::new(
        Cloud::at(&format!("http://{}", tenant.address))?,
        id.clone(),
        tenant.client.clone(),
        Credential::secret(tenant.secret.clone()),
        Arc::clone(clock),
        1,
    );
    let unlimited = Limits {
        outlook_requests: u64::MAX,
        outlook_upload_bytes: u64::MAX,
        directory_units: u64::MAX,
        ..Limits::default()
    };
    options.governor = Governor::new(unlimited, Arc::clone(clock));
    Ok((id, Client::new(options)?))
}

/// Restores every mailbox into a new folder.
pub(super) async fn restore(tenant: &Tenant, data: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let clock: SharedClock = SystemClock::shared();
    let (id, graph) = client(tenant, &clock)?;
    let vault = Vault::open(data)?;
    let accounts = discovery::mailboxes(&graph, &id).await?;
    let mut told = Told {
        opening: watch.lap(),
        ..Told::default()
    };
    let setting = backup::Setting {
        vault: &vault,
        graph: &graph,
        clock: &clock,
        instance: "bench",
        limits: backup::Limits::default(),
    };
    for account in &accounts {
        let archive = restore::archive(setting, account, None).await?;
        let order = restore::Order {
            source: account,
            target: &account.id,
            selection: Selection::Mailbox,
            destination: Destination::new_folder(clock.now()),
            restore: RestoreId::new("bench")?,
        };
        let bytes = AtomicU64::new(0);
        let progress = |item: &ItemReport| {
            bytes.fetch_add(item.bytes, Ordering::Relaxed);
        };
        let report = restore::run(setting, &archive, &order, &progress).await?;
        anyhow::ensure!(
            report.is_complete() && report.notable.is_empty(),
            "messages could not be restored whole"
        );
        told.items += report.restored;
        told.bytes += bytes.into_inner();
    }
    told.work = watch.lap();
    Ok(told)
}

/// Backs up every mailbox.
pub(super) async fn back_up(tenant: &Tenant, data: &Path) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let clock: SharedClock = SystemClock::shared();
    let (id, graph) = client(tenant, &clock)?;
    let vault = match data.exists() {
        true => Vault::open(data)?,
        false => Vault::create(data)?,
    };
    let watched: Arc<Mutex<Vec<Arc<Watched>>>> = Arc::default();
    let vault = vault.with_storage({
        let watched = Arc::clone(&watched);
        move |storage| {
            storage.map(|store| {
                let store = Watched::new(store);
                let mut all = watched.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(Arc::clone(&store));
                store
            })
        }
    });
    let accounts = discovery::mailboxes(&graph, &id).await?;
    let mut told = Told {
        opening: watch.lap(),
        ..Told::default()
    };
    let setting = backup::Setting {
        vault: &vault,
        graph: &graph,
        clock: &clock,
        instance: "bench",
        limits: backup::Limits::default(),
    };
    for account in &accounts {
        let report = backup::run(setting, account, &Progress::default())
            .await?
            .report;
        anyhow::ensure!(
            report.failures.is_empty(),
            "messages could not be backed up"
        );
        told.items += report.added + report.changed + report.marked + report.removed;
        told.bytes += report.bytes;
    }
    told.work = watch.lap();
    for store in watched
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        for (deed, _) in store.take() {
            match deed {
                Deed::Get => told.reads += 1,
                _ => told.writes += 1,
            }
        }
    }
    Ok(told)
}

/// Gets the mails whose paths a file lists, one in each line, and stores them, with nothing else.
pub(super) async fn ceiling(
    tenant: &Tenant,
    paths: &Path,
    repository: &Path,
) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
        tenant.client, tenant.secret
    );
    let mut connection = Connection::open(&tenant.address).await?;
    let path = format!("/{}/oauth2/v2.0/token", tenant.tenant);
    let answer = connection.send("POST", &path, "", form.as_bytes()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let token = answer["access_token"].as_str().context("a token")?;
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let paths: Vec<String> = fs::read_to_string(paths)?
        .lines()
        .map(str::to_owned)
        .collect();
    // What the mails are asked for with is the listing's.
    watch.lap();
    let draft = repository.draft(None).await?;
    let queue = Mutex::new(paths.into_iter());
    let (queue, authorization) = (&queue, authorization.as_str());
    let workers = (0..AT_ONCE).map(|_| {
        let writer = draft.writer();
        async move {
            let mut connection = Connection::open(&tenant.address).await?;
            let (mut items, mut bytes) = (0, 0);
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(path) = next else { break };
                let mail = connection.send("GET", &path, authorization, b"").await?;
                bytes += mail.len() as u64;
                items += 1;
                writer.store(mail.into()).await?;
            }
            anyhow::Ok((items, bytes))
        }
    });
    let counts: Vec<(u64, u64)> = stream::iter(workers)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    draft.commit(meta()).await?;
    Ok(Told {
        opening,
        work: watch.lap(),
        items: counts.iter().map(|(items, _)| items).sum(),
        bytes: counts.iter().map(|(_, bytes)| bytes).sum(),
        ..Told::default()
    })
}

/// The least that speaks HTTP/1.1.
struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address: address.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        anyhow::ensure!(line.contains(" 200 "), "{path}: {line}");
        let mut length = None;
        let mut chunked = false;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = Some(value.trim().parse::<usize>()?),
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        let mut content = Vec::new();
        if chunked {
            loop {
                line.clear();
                self.stream.read_line(&mut line).await?;
                let length = usize::from_str_radix(line.trim(), 16)?;
                let start = content.len();
                content.resize(start + length + 2, 0);
                self.stream.read_exact(&mut content[start..]).await?;
                content.truncate(start + length);
                if length == 0 {
                    break;
                }
            }
        } else {
            content.resize(length.context("a length")?, 0);
            self.stream.read_exact(&mut content).await?;
        }
        Ok(content)
    }
}
