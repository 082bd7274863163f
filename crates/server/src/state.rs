//! What every handler shares.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use catalog::{Catalog, NewApiToken, OrganizationId};
use graph::SignIns;
use jiff::SignedDuration;
use model::SharedClock;
use service::{Credential, NewFirstUser, Service};
use tokio::sync::Mutex;
use url::{Origin, Url};
use zeroize::Zeroizing;

use crate::{
    Problem, SetUpCode,
    attempts::Attempts,
    checks::Checks,
    drafts::Drafts,
    looks::Looks,
    metrics::Requests,
    pace::Paces,
    password::Passwords,
    slots::Slots,
    token::{Token, random_bytes},
    undo::Undos,
};

/// Of a token that is not made by a person who chooses.
const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What a console is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers reach it: an origin, such as `https://backup.example.net`. Any other host is refused.
    pub public_url: Url,
    /// A proxy whose word about the client's address is taken; it must stand before every request.
    pub proxy: Option<IpAddr>,
    /// Apps that the server brings along, so that nobody has to register one.
    pub apps: BTreeMap<model::Service, App>,
}

/// An app registration that the server brings along.
#[derive(Clone, Debug)]
pub struct App {
    /// Its client id.
    pub client_id: String,
    /// Its credential.
    pub credential: Credential,
    /// The one tenant in which it is registered; nothing for an app of many tenants.
    pub tenant: Option<String>,
}

/// Why settings make no console.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The public URL is more or less than an origin.
    #[error(
        "the public URL is a scheme, a host and perhaps a port, as https://backup.example.net, and nothing else"
    )]
    PublicUrl,
    /// There can be no HTTP client.
    #[error("Microsoft cannot be called from this machine")]
    Client,
    /// Passwords cannot be hashed here.
    #[error("passwords cannot be hashed on this machine")]
    Passwords,
}

/// What every handler shares; clones are cheap.
#[derive(Clone, Debug)]
pub struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    sign_ins: SignIns,
    public: Public,
    proxy: Option<IpAddr>,
    apps: BTreeMap<model::Service, App>,
    drafts: Drafts,
    looks: Looks,
    checks: Checks,
    undos: Undos,
    set_up_code: SetUpCode,
    founding: Mutex<()>,
    attempts: Attempts,
    paces: Paces,
    zips: Slots,
    passwords: Passwords,
    requests: Requests,
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
    pub fn new(service: Service, settings: Settings) -> Result<Self, SettingsError> {
        let seed = u64::from_le_bytes(random_bytes());
        let sign_ins = SignIns::new(service.cloud().clone(), service.clock().clone(), seed)
            .map_err(|_| SettingsError::Client)?;
        Ok(Self(Arc::new(Inner {
            service,
            sign_ins,
            public: public(&settings.public_url).ok_or(SettingsError::PublicUrl)?,
            proxy: settings.proxy,
            apps: settings.apps,
            drafts: Drafts::default(),
            looks: Looks::default(),
            checks: Checks::default(),
            undos: Undos::default(),
            set_up_code: SetUpCode::random(),
            founding: Mutex::default(),
            attempts: Attempts::default(),
            paces: Paces::default(),
            zips: Slots::default(),
            passwords: Passwords::new().map_err(|_| SettingsError::Passwords)?,
            requests: Requests::default(),
        })))
    }

    /// By which the first organization is made, as long as there is none. Whoever runs the server is to be told.
    #[must_use]
    pub fn set_up_code(&self) -> &SetUpCode {
        &self.0.set_up_code
    }

    /// Makes an organization with its first administrator, for whoever starts a console that is to have one.
    ///
    /// # Errors
    /// When somebody has the address already, or it cannot be written.
    pub async fn found(
        &self,
        organization: &str,
        name: &str,
        address: &str,
        password: &str,
    ) -> Result<OrganizationId, Problem> {
        let password = Zeroizing::new(password.to_owned());
        let user = NewFirstUser {
            name: name.to_owned(),
            address: address.to_owned(),
            password_hash: self.passwords().hash(password).await?,
        };
        let (organization, _) = self.service().found(organization, user).await?;
        Ok(organization)
    }

    /// Makes an API token for somebody who may do all that it may, for whoever starts a console that programs are to call at once.
    ///
    /// # Errors
    /// When nobody has the address, or it cannot be written.
    pub async fn api_token(&self, address: &str, name: &str) -> Result<String, Problem> {
        let user = self.catalog().user_by_address(address).await?;
        let user = user.ok_or(Problem::NotFound)?;
        let (token, now) = (Token::random(), self.clock().now());
        let new = NewApiToken {
            user: user.id,
            name: name.to_owned(),
            role: user.role,
            token_hash: token.hash(),
            expires_at: now + TOKEN_LIFETIME,
        };
        let organization = self.catalog().organization(user.organization);
        organization.add_api_token(&new, now).await?;
        Ok(token.to_api_token())
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    pub(crate) fn service(&self) -> &Service {
        &self.0.service
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.0.service.catalog()
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        self.0.service.clock()
    }

    /// What redeems the codes that people bring back from Microsoft.
    pub(crate) fn sign_ins(&self) -> &SignIns {
        &self.0.sign_ins
    }

    /// The server's own app for a service, if it has one.
    pub(crate) fn app(&self, service: model::Service) -> Option<&App> {
        self.0.apps.get(&service)
    }

    pub(crate) fn drafts(&self) -> &Drafts {
        &self.0.drafts
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.0.looks
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.0.checks
    }

    pub(crate) fn undos(&self) -> &Undos {
        &self.0.undos
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

    pub(crate) fn paces(&self) -> &Paces {
        &self.0.paces
    }

    /// Room for ZIPs in the making.
    pub(crate) fn zips(&self) -> &Slots {
        &self.0.zips
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
