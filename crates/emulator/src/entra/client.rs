//! Who a client is and how it proves it: a secret, or an assertion signed with a certificate.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use data_encoding::BASE64;
use http::{StatusCode, header};
use jiff::Timestamp;
use uuid::Uuid;

use super::{EntraError, LoginRequest, assertion};
use crate::{App, Query, ServicePrincipal, Tenant, call::decode};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Assertions that are remembered while they are valid; more than that, and those seen are forgotten.
const ASSERTIONS_MAX: usize = 4096;

/// How a client proved who it is; `appidacr` in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Not at all: an installed application or a page's script.
    None,
    Secret,
    Certificate,
}

impl Proof {
    pub(super) fn claim(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Secret => "1",
            Self::Certificate => "2",
        }
    }
}

/// What a token request says of its client, not checked yet.
#[derive(Debug)]
pub(super) struct Claimed {
    id: String,
    basic_secret: Option<String>,
}

impl Claimed {
    /// Reads the client id, from the `Authorization` header or the form.
    pub(super) fn read(request: &LoginRequest, form: &Query) -> Result<Self, EntraError> {
        Ok(match basic(request)? {
            Some((id, secret)) => Self {
                id,
                basic_secret: Some(secret),
            },
            None => Self {
                id: required(form, "client_id")?.to_owned(),
                basic_secret: None,
            },
        })
    }

    pub(super) fn app(&self, tenant: &Tenant) -> Result<App, EntraError> {
        registered(tenant, &self.id)
    }
}

/// Checks clients; remembers which assertions were used.
#[derive(Debug, Default)]
pub(super) struct Clients {
    used: Mutex<HashMap<String, Timestamp>>,
}

impl Clients {
    /// Checks what a client proves itself with. `Ok(Proof::None)` if it does not try.
    pub(super) fn prove(
        &self,
        tenant: &Tenant,
        request: &LoginRequest,
        form: &Query,
        claimed: &Claimed,
        app: &App,
    ) -> Result<Proof, EntraError> {
        let secret = form.get("client_secret").filter(|s| !s.is_empty());
        if let Some(secret) = secret.or(claimed.basic_secret.as_deref()) {
            check_secret(app, secret, request.stamp.now)?;
            return Ok(Proof::Secret);
        }
        let Some(assertion) = form.get("client_assertion").filter(|a| !a.is_empty()) else {
            return Ok(Proof::None);
        };
        match form.get("client_assertion_type") {
            Some(ASSERTION_TYPE) => {}
            Some(_) => {
                return Err(EntraError::request(
                    50_027,
                    "The value of 'client_assertion_type' is not supported.",
                ));
            }
            None => return Err(missing("client_assertion_type")),
        }
        let accepted = assertion::check(assertion, app, tenant, request)?;
        self.note(tenant, accepted, request.stamp.now)?;
        Ok(Proof::Certificate)
    }

    fn note(
        &self,
        tenant: &Tenant,
        accepted: assertion::Accepted,
        now: Timestamp,
    ) -> Result<(), EntraError> {
        if !tenant.behaviour.refuse_repeated_assertions {
            return Ok(());
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, expires| *expires > now);
        if used.len() >= ASSERTIONS_MAX {
            used.clear();
        }
        match used.insert(accepted.id, accepted.expires) {
            None => Ok(()),
            Some(_) => Err(EntraError::client(
                700_027,
                "The client assertion was used before.",
            )),
        }
    }
}

/// A client that must prove itself did not.
pub(super) fn unproven() -> EntraError {
    EntraError::client(
        7_000_218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    )
}

/// The registration with this client id.
pub(super) fn registered(tenant: &Tenant, client_id: &str) -> Result<App, EntraError> {
    let id = client_id.parse::<Uuid>().ok();
    let app = id.and_then(|id| tenant.app(id)).ok_or_else(|| {
        EntraError::unauthorized(
            700_016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
                tenant.display_name
            ),
        )
    })?;
    match tenant.service_principal(app.client_id) {
        Some(principal) if !principal.enabled => Err(EntraError::unauthorized(
            7_000_112,
            format!(
                "Application '{client_id}'({}) is disabled.",
                app.display_name
            ),
        )),
        _ => Ok(app),
    }
}

/// The service principal, without which an application cannot act by itself.
pub(super) fn at_home(tenant: &Tenant, app: &App) -> Result<ServicePrincipal, EntraError> {
    tenant.service_principal(app.client_id).ok_or_else(|| {
        EntraError::client(
            7_000_229,
            format!(
                "The client application {} is missing service principal in the tenant {}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
                app.client_id, tenant.id
            ),
        )
    })
}

/// The fields of a form.
pub(super) fn form(request: &LoginRequest) -> Result<Query, EntraError> {
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        return Ok(Query::default());
    }
    std::str::from_utf8(request.body)
        .ok()
        .and_then(|text| Query::parse(text).ok())
        .ok_or_else(malformed)
}

pub(super) fn malformed() -> EntraError {
    EntraError::request(
        9_002_313,
        "Invalid request. Request is malformed or invalid.",
    )
}

/// A field that must not be empty.
pub(super) fn required<'a>(form: &'a Query, name: &str) -> Result<&'a str, EntraError> {
    form.get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> EntraError {
    EntraError::request(
        900_144,
        format!("The request body must contain the following parameter: '{name}'."),
    )
}

/// `Authorization: Basic`, whose two parts are form-encoded before they are joined.
fn basic(request: &LoginRequest) -> Result<Option<(String, String)>, EntraError> {
    let Some(value) = request.headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let read = || {
        let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64.decode(credentials.trim().as_bytes()).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((decode(id)?, decode(secret)?))
    };
    read().map(Some).ok_or_else(malformed)
}

fn check_secret(app: &App, secret: &str, now: Timestamp) -> Result<(), EntraError> {
    let matching = app.secrets.iter().find(|known| known.value == secret);
    match matching {
        Some(known) if known.expires <= now => Err(EntraError::client(
            7_000_222,
            format!(
                "The provided client secret keys for app '{}' are expired.",
                app.client_id
            ),
        )),
        Some(_) => Ok(()),
        None => Err(EntraError::client(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
                app.client_id
            ),
        )),
    }
}

/// 400 `invalid_scope`.
pub(super) fn invalid_scope(number: u32, message: String) -> EntraError {
    EntraError::new(StatusCode::BAD_REQUEST, "invalid_scope", number, message)
}
