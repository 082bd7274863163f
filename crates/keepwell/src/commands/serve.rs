//! `keepwell serve` and `keepwell worker`: the service until it is told to stop, with and without the console.

use std::{collections::BTreeMap, net::TcpListener, path::Path};

use anyhow::Context;
use model::SystemClock;
use service::{Credential, Pace, Service};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{instance, key};
use crate::{
    config::{App, Config},
    exit::Verdict,
    interrupt,
    out::{result, story},
};

/// Serves the console, works and schedules until interrupted.
pub(crate) async fn serve(file: &Path) -> anyhow::Result<Verdict> {
    let config = Config::read(file)?;
    let service = open(&config).await?;
    let http = &config.http;
    let tls = match (&http.certificate, &http.certificate_key) {
        (Some(certificate), Some(key)) => Some(
            server::tls(&read(certificate)?, &read(key)?)
                .with_context(|| format!("{} cannot be used", certificate.display()))?,
        ),
        _ => None,
    };
    let listener = TcpListener::bind(http.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .with_context(|| format!("the console cannot listen on {}", http.listen))?;
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
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    let stop = CancellationToken::new();
    result(&format!("the console is at {public_url}"))?;
    if !service.catalog().has_users().await? {
        result(&format!("set-up code: {}", state.set_up_code()))?;
        story("make the first organization with it at /sign-up");
    }
    let console = async {
        let served = server::serve(listener, server::router(state), tls, stop.clone()).await;
        // Whatever ended it, the rest is to end.
        stop.cancel();
        served
    };
    let asked = async {
        tokio::select! {
            ended = end => {
                stop.cancel();
                ended
            }
            () = stop.cancelled() => Ok(()),
        }
    };
    let (served, (), (), ended) = tokio::join!(
        console,
        service.work(stop.clone()),
        service.schedule(stop.clone()),
        asked
    );
    served.context("the console could not be served")?;
    ended.context("the signal to stop could not be awaited")?;
    Ok(Verdict::Good)
}

/// Works until interrupted.
pub(crate) async fn worker(file: &Path) -> anyhow::Result<Verdict> {
    let config = Config::read(file)?;
    let service = open(&config).await?;
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    let stop = CancellationToken::new();
    story("the worker waits for jobs");
    let asked = async {
        let ended = end.await;
        stop.cancel();
        ended
    };
    let ((), ended) = tokio::join!(service.work(stop.clone()), asked);
    ended.context("the signal to stop could not be awaited")?;
    Ok(Verdict::Good)
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

fn with_credential(app: &App) -> anyhow::Result<server::App> {
    let text = |file: &Path| {
        let text = std::fs::read_to_string(file);
        text.map(|text| Zeroizing::new(text.trim().to_owned()))
            .with_context(|| format!("{} cannot be read", file.display()))
    };
    let credential = match (&app.secret_file, &app.certificate_file) {
        (Some(file), _) => Credential::Secret(text(file)?),
        (None, Some(file)) => Credential::Certificate(text(file)?),
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
