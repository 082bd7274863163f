//! `keepwell emulator`: the emulated tenant by itself, until it is told to stop.

use anyhow::Context;
use emulator::{Account, Emulator, FaultRule, Settings};
use serde::Serialize;

use crate::{
    cli,
    exit::Verdict,
    interrupt,
    out::{result, story},
};

/// What a client needs to know, as one line of JSON.
#[derive(Serialize)]
struct Ready {
    http: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    https: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    tenant_id: String,
    client_id: String,
    client_secret: String,
    /// A Global Administrator, and somebody without any role; none in a tenant without people.
    #[serde(skip_serializing_if = "Option::is_none")]
    administrator: Option<Person>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Person>,
}

/// With what a person signs in.
#[derive(Serialize)]
struct Person {
    user_principal_name: String,
    password: String,
}

impl From<Account> for Person {
    fn from(account: Account) -> Self {
        Self {
            user_principal_name: account.principal_name,
            password: account.password,
        }
    }
}

/// Serves until interrupted.
pub(crate) async fn run(options: cli::Emulator) -> anyhow::Result<Verdict> {
    let mut settings = Settings::new(world(&options.world));
    settings.http = options.http;
    settings.https = options.https;
    settings.proxy = options.proxy;
    settings.roles.extend(options.permission);
    settings.redirect_uris = options.redirect_uri;
    settings.throttle = options.throttle;
    settings.seed = options.world.seed;
    settings.admin = options.admin;
    if let Some(path) = &options.faults {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} could not be read", path.display()))?;
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let rules = if is_json {
            FaultRule::from_json(&text)
        } else {
            FaultRule::from_toml(&text)
        };
        settings.faults =
            rules.with_context(|| format!("{} holds no fault rules", path.display()))?;
    }
    let running = Emulator::start(settings)
        .await
        .context("the emulated tenant could not be started")?;
    // Before anybody is told that it is ready, and may want it to stop.
    let end = interrupt::listen().context("the signal to stop could not be awaited")?;
    if let Some(path) = &options.ca_out {
        std::fs::write(path, &running.ca_pem)
            .with_context(|| format!("{} could not be written", path.display()))?;
    }
    let ready = Ready {
        http: running.base_url.clone(),
        https: running.https_url.clone(),
        proxy: running.proxy_url.clone(),
        tenant_id: running.tenant_id.to_string(),
        client_id: running.client_id.to_string(),
        client_secret: running.client_secret.clone(),
        administrator: running.administrator().map(Person::from),
        user: running.account_without_role().map(Person::from),
    };
    result(&serde_json::to_string(&ready)?)?;
    story("the tenant is there; press Ctrl-C to stop");
    end.await
        .context("the signal to stop could not be awaited")?;
    running.stop().await;
    Ok(Verdict::Good)
}

/// The world that the command line describes.
pub(crate) fn world(options: &cli::World) -> emulator::World {
    let mut world = emulator::World::new();
    if options.users > 0 {
        world = world.users(options.users as usize, options.seed);
    }
    options
        .mail
        .iter()
        .fold(world, |world, mail| world.mail(&mail.user, &mail.directory))
}
