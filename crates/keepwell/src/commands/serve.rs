//! `keepwell serve` and `keepwell worker`: the service until it is told to stop, with and without the console.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use anyhow::Context;
use model::SystemClock;
use service::{Credential, Pace, Service};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use super::{instance, key};
use crate::{
    background::Background,
    config::{App, Config, Http},
    exit::Verdict,
    interrupt,
    out::{result, story},
};

/// Of a token for `/metrics`: nobody is made to wait after a wrong one.
const METRICS_TOKEN_BYTES_MIN: usize = 20;

/// Serves the console, works and schedules until interrupted.
pub(crate) async fn serve(file: &Path) -> anyhow::Result<Verdict> {
    let config = Config::read(file)?;
    let service = open(&config).await?;
    let http = &config.http;
    let tls = tls(http)?;
    let listener = listen(http.listen)?;
    let mut public_url = http.public_url()?;
    if http.public_url.is_none() {
        // Port 0 has become one.
        let _ = public_url.set_port(Some(listener.local_addr()?.port()));
    }
    let mut apps = BTreeMap::new();
    for (of, app) in &config.apps {
        apps.insert(*of, with_credential(app)?);
    }
    let settings = server::Settings {
        public_url: public_url.clone(),
        proxy: http.proxy,
        apps,
    };
    let state = server::State::new(service.clone(), settings)?;
    let mut router = server::router(state.clone());
    if let Some(file) = &http.metrics_token_file {
        router = router.merge(server::metrics(state.clone(), metrics_token(file)?));
    }
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    let stop = CancellationToken::new();
    result(&format!("the console is at {public_url}"))?;
    if !service.catalog().has_users().await? {
        result(&format!("set-up code: {}", state.set_up_code()))?;
        story("make the first organization with it at /sign-up");
    }
    let console = async {
        let served = server::serve(listener, router, tls, stop.clone()).await;
        // Whatever ended it, the rest is to end.
        stop.cancel();
        served
    };
    // People come first: what backs up has threads of its own, which stand back.
    let background = Background::start().context("no threads could be started")?;
    let work = {
        let (service, told) = (service.clone(), stop.clone());
        let working = background.run(async move {
            let service = service.apart().await?;
            tokio::join!(service.work(told.clone()), service.schedule(told));
            Ok(())
        });
        async {
            let worked = working.await;
            // A console that backs up nothing is to be seen to have ended.
            stop.cancel();
            worked
        }
    };
    let (served, worked, ended) =
        tokio::join!(console, work, interrupt::told_or_stopped(end, &stop));
    background.end().await?;
    served.context("the console could not be served")?;
    worked?;
    ended.context("the signal to stop could not be awaited")?;
    Ok(Verdict::Good)
}

/// Works until interrupted, and serves `/metrics` meanwhile if it is told where.
pub(crate) async fn worker(file: &Path) -> anyhow::Result<Verdict> {
    let config = Config::read(file)?;
    let service = open(&config).await?;
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    let stop = CancellationToken::new();
    let http = &config.http;
    let metrics = match (config.worker.metrics_listen, &http.metrics_token_file) {
        (Some(at), Some(file)) => {
            let (listener, token) = (listen(at)?, metrics_token(file)?);
            let state = state_of_worker(&service, http, listener.local_addr()?)?;
            Some((listener, server::metrics(state, token), tls(http)?))
        }
        _ => None,
    };
    story("the worker waits for jobs");
    let watched = async {
        let Some((listener, router, tls)) = metrics else {
            return Ok(());
        };
        let served = server::serve(listener, router, tls, stop.clone()).await;
        // Nobody would see a worker that goes on.
        stop.cancel();
        served
    };
    let (served, (), ended) = tokio::join!(
        watched,
        service.work(stop.clone()),
        interrupt::told_or_stopped(end, &stop)
    );
    served.context("the metrics could not be served")?;
    ended.context("the signal to stop could not be awaited")?;
    Ok(Verdict::Good)
}

/// What makes `/metrics` of a worker, which has no console.
fn state_of_worker(
    service: &Service,
    http: &Http,
    at: SocketAddr,
) -> anyhow::Result<server::State> {
    let scheme = match http.certificate {
        Some(_) => "https",
        None => "http",
    };
    let public_url = Url::parse(&format!("{scheme}://{at}"))?;
    result(&format!("metrics are at {public_url}metrics"))?;
    let settings = server::Settings {
        public_url,
        proxy: None,
        apps: BTreeMap::new(),
    };
    Ok(server::State::new(service.clone(), settings)?)
}

fn listen(at: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(at)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .with_context(|| format!("nothing can listen on {at} here"))
}

/// What TLS needs, if there is a certificate.
fn tls(http: &Http) -> anyhow::Result<Option<server::Tls>> {
    let (Some(certificate), Some(key)) = (&http.certificate, &http.certificate_key) else {
        return Ok(None);
    };
    let tls = server::tls(&read(certificate)?, &read(key)?);
    let tls = tls.with_context(|| format!("{} cannot be used", certificate.display()))?;
    Ok(Some(tls))
}

/// Opens the service that a configuration describes.
pub(super) async fn open(config: &Config) -> anyhow::Result<Service> {
    let settings = service::Settings {
        data: config.data.clone(),
        database: config.database.0.clone(),
        cloud: config.cloud()?,
        instance: instance::name(),
        clock: SystemClock::shared(),
        at_once: config.jobs_at_once,
        pace: Pace::default(),
    };
    let key = key::read(&config.key_file)?;
    Service::open(settings, key)
        .await
        .context("the service cannot be started")
}

/// Reads the token for `/metrics`, which nobody may guess.
fn metrics_token(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let token = secret(file)?;
    anyhow::ensure!(
        token.len() >= METRICS_TOKEN_BYTES_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{} has to hold a token of at least {METRICS_TOKEN_BYTES_MIN} letters, digits and signs in one line",
        file.display()
    );
    Ok(token)
}

fn secret(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(file);
    text.map(|text| Zeroizing::new(text.trim().to_owned()))
        .with_context(|| format!("{} cannot be read", file.display()))
}

fn with_credential(app: &App) -> anyhow::Result<server::App> {
    let credential = match (&app.secret_file, &app.certificate_file) {
        (Some(file), _) => Credential::Secret(secret(file)?),
        (None, Some(file)) => Credential::Certificate(secret(file)?),
        (None, None) => anyhow::bail!("an app needs a credential"),
    };
    Ok(server::App {
        client_id: app.client_id.clone(),
        credential,
        tenant: app.tenant.clone(),
    })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
