//! Entra ID: discovery documents, keys, signing in and consent for people, and tokens for applications and people.
//!
//! On-behalf-of, guests and accounts of other tenants, second factors and conditional access are not served.

mod admin_consent;
mod asked;
mod assertion;
mod authorize;
mod client;
mod codes;
mod consent;
mod deliver;
mod device;
mod discovery;
mod error;
mod grant;
mod id_token;
mod key;
mod page;
mod session;
mod token;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method, StatusCode};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{Error, Query, Reply, Tenant};

use admin_consent::Version;
use client::Clients;
use codes::Codes;
use device::Devices;
pub(crate) use error::{EntraError, Stamp};
use session::Sessions;
pub(crate) use token::{Principal, Tokens};

/// A request to the login host.
#[derive(Debug)]
pub(crate) struct LoginRequest<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    pub(crate) origin: &'a str,
    pub(crate) stamp: Stamp,
}

/// The login host's state.
#[derive(Debug)]
pub(crate) struct Entra {
    tenant: Arc<Tenant>,
    pub(crate) tokens: Tokens,
    clients: Clients,
    codes: Codes,
    devices: Devices,
    sessions: Sessions,
    /// For codes and cookies, apart from the tenant's random numbers, so that signing in does not change the world.
    random: Mutex<StdRng>,
}

impl Entra {
    pub(crate) fn new(tenant: Arc<Tenant>, seed: u64) -> Result<Self, Error> {
        Ok(Self {
            tokens: Tokens::new(tenant.id)?,
            clients: Clients::default(),
            codes: Codes::default(),
            devices: Devices::default(),
            sessions: Sessions::default(),
            // Another sequence than that of request ids, which everybody sees.
            random: Mutex::new(StdRng::seed_from_u64(!seed)),
            tenant,
        })
    }

    /// Whether a path is the login host's: `/{tenant}/oauth2/…` and the like.
    pub(crate) fn serves(path: &str) -> bool {
        let second = path.split('/').filter(|s| !s.is_empty()).nth(1);
        second.is_some_and(|name| {
            ["oauth2", "discovery", "v2.0", ".well-known", "adminconsent"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Answers with JSON, a page or a redirect. `Ok(None)` is a path that is not served.
    pub(crate) fn answer(&self, request: &LoginRequest) -> Result<Option<Reply>, EntraError> {
        let lower = request.path.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|s| !s.is_empty()).collect();
        let [authority, rest @ ..] = segments.as_slice() else {
            return Ok(None);
        };
        let shown = |answered: Result<Reply, EntraError>| {
            Ok(answered.unwrap_or_else(|error| page::error(&error, request.stamp)))
        };
        let consented = |version| {
            shown(
                only(request, &[Method::GET, Method::POST])
                    .and_then(|()| admin_consent::answer(self, request, authority, version)),
            )
        };
        let reply = match rest {
            ["discovery", "instance"] => {
                discovery::instance(request.query, request.origin).map(Reply::json)
            }
            ["v2.0", ".well-known", "openid-configuration"] => {
                let tenant = self.authority(authority)?;
                let document = discovery::openid(request.origin, authority, tenant);
                Ok(Reply::json(document))
            }
            ["discovery", "v2.0", "keys"] => {
                self.authority(authority)?;
                Ok(Reply::json(self.tokens.keys()))
            }
            ["oauth2", "v2.0", "token"] => {
                only(request, &[Method::POST])?;
                grant::answer(self, request, self.authority(authority)?).map(Reply::json)
            }
            ["oauth2", "token"] => {
                only(request, &[Method::POST])?;
                grant::answer_v1(self, request, self.authority(authority)?).map(Reply::json)
            }
            ["oauth2", "v2.0", "devicecode"] => {
                only(request, &[Method::POST])?;
                device::begin(self, request, self.authority(authority)?).map(Reply::json)
            }
            ["oauth2", "deviceauth"] if *authority == "common" => shown(
                only(request, &[Method::GET, Method::POST])
                    .and_then(|()| device::answer(self, request)),
            ),
            ["oauth2", "v2.0", "authorize"] => shown(
                only(request, &[Method::GET, Method::POST])
                    .and_then(|()| authorize::answer(self, request, authority)),
            ),
            ["v2.0", "adminconsent"] => consented(Version::Two),
            ["adminconsent"] => consented(Version::One),
            ["oauth2", "v2.0", "logout"] => shown(
                only(request, &[Method::GET, Method::POST])
                    .and_then(|()| self.sign_out(request, authority)),
            ),
            _ => return Ok(None),
        };
        reply.map(Some)
    }

    /// Ends the session; sends the person on to an address that an application has registered.
    fn sign_out(&self, request: &LoginRequest, authority: &str) -> Result<Reply, EntraError> {
        self.authority(authority)?;
        let cookie = self.sessions.end(request);
        let query = Query::parse(request.query).map_err(|_| client::malformed())?;
        let onward = query.get("post_logout_redirect_uri").filter(|uri| {
            let registry = self.tenant.registry();
            registry.apps.iter().any(|app| app.platform(uri).is_some())
        });
        let state = query.get("state").map(|state| ("state", state.to_owned()));
        let reply = match onward {
            Some(uri) => match state {
                Some(state) => deliver::deliver(uri, deliver::Mode::Query, &[state]),
                None => deliver::redirect(uri),
            },
            None => page::signed_out(),
        };
        Ok(walk::with_cookie(reply, &cookie))
    }

    fn authority(&self, name: &str) -> Result<Authority, EntraError> {
        let here = name == self.tenant.id.to_string()
            || self.tenant.domain.eq_ignore_ascii_case(name)
            || self.is_domain_of_a_user(name);
        match name {
            "common" | "organizations" | "consumers" => Ok(Authority::Shared),
            _ if here => Ok(Authority::Tenant(self.tenant.id)),
            _ => Err(EntraError::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                90_002,
                format!(
                    "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
                ),
            )),
        }
    }

    fn is_domain_of_a_user(&self, name: &str) -> bool {
        self.tenant.users().iter().any(|user| {
            let domain = user.principal_name.rsplit_once('@').map(|(_, d)| d);
            // A guest's principal name ends in this tenant's own domain, so that a partner's domain is not taken for ours.
            domain.is_some_and(|domain| domain.eq_ignore_ascii_case(name))
        })
    }

    /// A value that nobody guesses.
    fn opaque(&self) -> String {
        BASE64URL_NOPAD.encode(&self.bytes::<32>())
    }

    /// So many of these letters, for people to type.
    fn letters<const COUNT: usize>(&self, letters: &[u8]) -> String {
        let bytes = self.bytes::<COUNT>();
        let letter = |byte: u8| char::from(letters[usize::from(byte) % letters.len()]);
        bytes.into_iter().map(letter).collect()
    }

    fn bytes<const COUNT: usize>(&self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        bytes
    }
}

fn only(request: &LoginRequest, methods: &[Method]) -> Result<(), EntraError> {
    if methods.contains(request.method) {
        return Ok(());
    }
    let names: Vec<_> = methods.iter().map(Method::as_str).collect();
    Err(EntraError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request",
        900_561,
        format!(
            "The endpoint only accepts {} requests. Received a {} request.",
            names.join(", "),
            request.method
        ),
    ))
}

/// Which tenants an authority stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// `common`, `organizations`, `consumers`.
    Shared,
    Tenant(uuid::Uuid),
}
