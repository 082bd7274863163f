//! The configuration of `serve` and `worker`: one TOML file, in which a slip in a name is an error and not a silent default.
//!
//! It is read and judged here, once. Secrets are not in it but in files that it names.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use graph::Cloud;
use model::Service;
use serde::{Deserialize, Deserializer, de::Error};
use url::{Host, Url};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The data folder, with the repositories.
    pub(crate) data: PathBuf,
    /// The path of a SQLite file, or `postgres://…`.
    pub(crate) database: Database,
    /// The file that `keepwell key create` made.
    pub(crate) key_file: PathBuf,
    /// Which of Microsoft's clouds.
    #[serde(default)]
    pub(crate) cloud: CloudName,
    /// Accounts at a time in this process.
    #[serde(default = "jobs_at_once")]
    pub(crate) jobs_at_once: NonZeroUsize,
    /// The console.
    #[serde(default)]
    pub(crate) http: Http,
    /// What only a worker without the console needs.
    #[serde(default)]
    pub(crate) worker: Worker,
    /// Apps that the server brings along, by service.
    #[serde(default)]
    pub(crate) apps: BTreeMap<Service, App>,
}

/// What `keepwell worker` does beside its work.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Worker {
    /// Where it serves `/metrics`; nowhere without it.
    pub(crate) metrics_listen: Option<SocketAddr>,
}

/// A database's address, which may have a password in it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Database(pub(crate) String);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database([redacted])")
    }
}

/// Where the console listens, and what protects it there.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// Where browsers reach it; by default where it listens.
    #[serde(deserialize_with = "url")]
    pub(crate) public_url: Option<Url>,
    /// A certificate chain, as PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, as PEM.
    pub(crate) certificate_key: Option<PathBuf>,
    /// The proxy in front of it, which speaks TLS.
    pub(crate) proxy: Option<IpAddr>,
    /// A file with the token for `/metrics`, which is not there without it.
    pub(crate) metrics_token_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            certificate: None,
            certificate_key: None,
            proxy: None,
            metrics_token_file: None,
        }
    }
}

/// An app registration of the server's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    /// Its client id.
    pub(crate) client_id: String,
    /// The one tenant that it is in; without it the app is of many.
    pub(crate) tenant: Option<String>,
    /// A file with its client secret.
    pub(crate) secret_file: Option<PathBuf>,
    /// A file with its certificate and RSA key, as PEM.
    pub(crate) certificate_file: Option<PathBuf>,
}

/// One of Microsoft's clouds, or the address of an emulator.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CloudName {
    #[default]
    Global,
    UsGovernment,
    UsDefense,
    China,
    Emulator(String),
}

impl Config {
    /// Reads the file, and judges what needs no network.
    ///
    /// # Errors
    /// When it is not there, has a key that is unknown, or would serve a console that anybody on the way can read.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        Self::from_text(&text).with_context(|| format!("{} cannot be used", file.display()))
    }

    fn from_text(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.http.check()?;
        config.worker.check(&config.http)?;
        for (service, app) in &config.apps {
            if app.secret_file.is_some() == app.certificate_file.is_some() {
                bail!(
                    "the app for {} needs one of secret_file and certificate_file",
                    service.name()
                );
            }
        }
        Ok(config)
    }

    /// Where Microsoft is.
    pub(crate) fn cloud(&self) -> anyhow::Result<Cloud> {
        Ok(match &self.cloud {
            CloudName::Global => Cloud::global(),
            CloudName::UsGovernment => Cloud::us_government(),
            CloudName::UsDefense => Cloud::us_defense(),
            CloudName::China => Cloud::china(),
            CloudName::Emulator(base) => {
                Cloud::at(base).context("the emulator's address cannot be used")?
            }
        })
    }
}

impl Http {
    /// Plain HTTP is for the loopback alone.
    fn check(&self) -> anyhow::Result<()> {
        if self.certificate.is_some() != self.certificate_key.is_some() {
            bail!("http.certificate and http.certificate_key belong together");
        }
        self.stays_private("http.listen", self.listen)?;
        let is_plain = |url: &Url| url.scheme() != "https" && !is_loopback(url);
        if self.public_url.as_ref().is_some_and(is_plain) {
            bail!("http.public_url has to be https, or browsers refuse the console's cookies");
        }
        Ok(())
    }

    /// Refuses to serve plain HTTP to the network, where a password or a token could be read on the way.
    fn stays_private(&self, name: &str, listen: SocketAddr) -> anyhow::Result<()> {
        if self.certificate.is_none() && self.proxy.is_none() && !listen.ip().is_loopback() {
            bail!(
                "{name} = {:?} would serve plain HTTP to the network: name a certificate, or the proxy that speaks TLS, or listen on 127.0.0.1",
                listen.to_string()
            );
        }
        Ok(())
    }

    /// Where browsers reach the console.
    pub(crate) fn public_url(&self) -> anyhow::Result<Url> {
        if let Some(url) = &self.public_url {
            return Ok(url.clone());
        }
        let scheme = match self.certificate {
            Some(_) => "https",
            None => "http",
        };
        if self.listen.ip().is_unspecified() {
            bail!("http.public_url is needed where http.listen is every address");
        }
        Ok(Url::parse(&format!("{scheme}://{}", self.listen))?)
    }
}

impl Worker {
    /// Metrics are for whoever has the token, and for nobody on the way.
    fn check(&self, http: &Http) -> anyhow::Result<()> {
        let Some(listen) = self.metrics_listen else {
            return Ok(());
        };
        if http.metrics_token_file.is_none() {
            bail!("worker.metrics_listen needs http.metrics_token_file, which opens /metrics");
        }
        http.stays_private("worker.metrics_listen", listen)
    }
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Url::parse(&text).map_err(D::Error::custom))
        .transpose()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Four mailboxes at a time keep a small machine busy, and Microsoft's limits are for each mailbox.
fn jobs_at_once() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../docs/keepwell.toml");

    #[test]
    fn the_sample_configuration_is_one() {
        let config = Config::from_text(SAMPLE).expect("a configuration");
        assert_eq!(config.http.listen, Http::default().listen);
        // What is commented out is right as well.
        let all: String = SAMPLE
            .lines()
            .map(|line| {
                line.strip_prefix("#")
                    .filter(|rest| !rest.starts_with(' '))
                    .unwrap_or(line)
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let config = Config::from_text(&all).expect("a configuration");
        assert!(config.http.certificate.is_some());
        assert_eq!(config.apps.len(), 1);
        assert!(config.worker.metrics_listen.is_some());
        assert!(config.cloud().is_ok());
    }

    #[test]
    fn a_slip_in_a_name_is_an_error() {
        for slip in [
            "dta = 1",
            "[http]\nlisten_on = 1",
            "[apps.exchange]\nclient = 1",
            "[htp]",
            "[worker]\nmetrics_lisen = '127.0.0.1:1'",
        ] {
            assert!(
                Config::from_text(&format!("{SAMPLE}\n{slip}\n")).is_err(),
                "{slip}"
            );
        }
    }

    #[test]
    fn plain_http_stays_on_the_loopback() {
        let check = |http: &str, is_fine: bool| {
            let text = format!("data = 'd'\ndatabase = 'b'\nkey_file = 'k'\n[http]\n{http}\n");
            let read = Config::from_text(&text);
            assert_eq!(read.is_ok(), is_fine, "{http}: {read:?}");
        };
        check("listen = '127.0.0.1:0'", true);
        check("listen = '[::1]:80'", true);
        check("listen = '0.0.0.0:80'", false);
        check("listen = '192.0.2.1:80'", false);
        check(
            "listen = '0.0.0.0:80'\nproxy = '192.0.2.7'\npublic_url = 'https://a.example'",
            true,
        );
        check(
            "listen = '0.0.0.0:443'\ncertificate = 'c'\ncertificate_key = 'k'",
            true,
        );
        check("listen = '0.0.0.0:443'\ncertificate = 'c'", false);
        check(
            "listen = '127.0.0.1:80'\npublic_url = 'http://a.example'",
            false,
        );
    }

    #[test]
    fn a_workers_metrics_are_for_whoever_has_the_token() {
        let check = |worker: &str, http: &str, is_fine: bool| {
            let text = format!(
                "data = 'd'\ndatabase = 'b'\nkey_file = 'k'\n[http]\n{http}\n[worker]\n{worker}\n"
            );
            let read = Config::from_text(&text);
            assert_eq!(read.is_ok(), is_fine, "{worker} {http}: {read:?}");
        };
        let (local, network) = (
            "metrics_listen = '127.0.0.1:1'",
            "metrics_listen = '0.0.0.0:1'",
        );
        let token = "metrics_token_file = 't'";
        check("", "", true);
        check(local, token, true);
        check(local, "", false);
        check(network, token, false);
        let tls = format!("{token}\ncertificate = 'c'\ncertificate_key = 'k'");
        check(network, &tls, true);
    }

    #[test]
    fn a_password_in_the_databases_address_is_not_shown() {
        let text = "data = 'd'\ndatabase = 'postgres://u:hidden@h/d'\nkey_file = 'k'\n";
        let shown = format!("{:?}", Config::from_text(text));
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
