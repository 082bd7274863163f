//! What every handler shares.

use std::{net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use catalog::Catalog;
use model::SharedClock;
use tokio::sync::Mutex;
use url::{Origin, Url};

use crate::{SetUpCode, attempts::Attempts, password::Passwords};

/// What a console is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers reach it: an origin, such as `https://backup.example.net`. Any other host is refused.
    pub public_url: Url,
    /// A proxy whose word about the client's address is taken; it must stand before every request.
    pub proxy: Option<IpAddr>,
}

/// Why settings make no console.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The public URL is more or less than an origin.
    #[error(
        "the public URL is a scheme, a host and perhaps a port, as https://backup.example.net, and nothing else"
    )]
    PublicUrl,
    /// Passwords cannot be hashed here.
    #[error("passwords cannot be hashed on this machine")]
    Passwords,
}

/// What every handler shares; clones are cheap.
#[derive(Clone, Debug)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Catalog,
    clock: SharedClock,
    public: Public,
    proxy: Option<IpAddr>,
    set_up_code: SetUpCode,
    founding: Mutex<()>,
    attempts: Attempts,
    passwords: Passwords,
}

/// Where browsers reach the console.
#[derive(Clone, Debug)]
pub(crate) struct Public {
    /// `https://backup.example.net`, as `Origin` has it.
    pub(crate) origin: String,
    /// `backup.example.net`, as `Host` has it.
    pub(crate) host: String,
    pub(crate) is_https: bool,
}

impl State {
    /// Puts it together.
    ///
    /// # Errors
    /// When the settings contradict themselves.
    pub fn new(
        catalog: Catalog,
        clock: SharedClock,
        settings: &Settings,
    ) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Inner {
            catalog,
            clock,
            public: public(&settings.public_url).ok_or(SettingsError::PublicUrl)?,
            proxy: settings.proxy,
            set_up_code: SetUpCode::random(),
            founding: Mutex::default(),
            attempts: Attempts::default(),
            passwords: Passwords::new().map_err(|_| SettingsError::Passwords)?,
        })))
    }

    /// By which the first organization is made, as long as there is none. Whoever runs the server is to be told.
    #[must_use]
    pub fn set_up_code(&self) -> &SetUpCode {
        &self.0.set_up_code
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub(crate) fn public(&self) -> &Public {
        &self.0.public
    }

    pub(crate) fn proxy(&self) -> Option<IpAddr> {
        self.0.proxy
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Held while the first organization is made, so that it is one.
    pub(crate) fn founding(&self) -> &Mutex<()> {
        &self.0.founding
    }
}

/// Handlers name it as an argument.
impl FromRequestParts<State> for State {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        Ok(state.clone())
    }
}

fn public(url: &Url) -> Option<Public> {
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let Origin::Tuple(..) = url.origin() else {
        return None;
    };
    let origin = url.origin().ascii_serialization();
    let (_, host) = origin.split_once("://")?;
    is_origin.then(|| Public {
        host: host.to_owned(),
        is_https: url.scheme() == "https",
        origin: origin.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        let host = |text: &str| public(&Url::parse(text).expect("a URL")).map(|p| p.host);
        assert_eq!(host("https://a.example/").as_deref(), Some("a.example"));
        assert_eq!(host("https://a.example:443").as_deref(), Some("a.example"));
        assert_eq!(
            host("http://127.0.0.1:8080").as_deref(),
            Some("127.0.0.1:8080")
        );
        for wrong in [
            "ftp://a.example",
            "https://a.example/console",
            "https://a.example/?x",
            "https://u@a.example",
            "data:x",
        ] {
            assert_eq!(host(wrong), None, "{wrong}");
        }
    }
}
