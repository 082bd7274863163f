//! The client credentials grant: checks a token request and says for which application and audience a token is due.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use data_encoding::BASE64;
use http::{StatusCode, header};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Authority, EntraError, LoginRequest, assertion, token::AUDIENCES};
use crate::{App, Query, Tenant, call::decode};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Assertions that are remembered while they are valid; more than that, and those seen are forgotten.
const ASSERTIONS_MAX: usize = 4096;

/// What was granted.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) app: App,
    pub(super) audience: &'static str,
}

/// Checks token requests; remembers which assertions were used.
#[derive(Debug, Default)]
pub(super) struct Grants {
    used: Mutex<HashMap<String, Timestamp>>,
}

impl Grants {
    pub(super) fn check(
        &self,
        tenant: &Tenant,
        request: &LoginRequest,
        authority: Authority,
    ) -> Result<Grant, EntraError> {
        let form = form(request)?;
        match required(&form, "grant_type")? {
            "client_credentials" => {}
            other => {
                return Err(EntraError::new(
                    StatusCode::BAD_REQUEST,
                    "unsupported_grant_type",
                    70_003,
                    format!("The app requested an unsupported grant type '{other}'."),
                ));
            }
        }
        if authority == Authority::Shared {
            return Err(EntraError::request(
                9_001_023,
                "The grant type 'client_credentials' is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.",
            ));
        }
        let basic = basic(request)?;
        let client_id = match &basic {
            Some((id, _)) => id.as_str(),
            None => required(&form, "client_id")?,
        };
        let app = find_app(tenant, client_id)?;
        let audience = audience(tenant, required(&form, "scope")?)?;
        let secret = form.get("client_secret").filter(|s| !s.is_empty());
        if let Some(secret) = secret.or(basic.as_ref().map(|(_, secret)| secret.as_str())) {
            check_secret(&app, secret, request.now)?;
        } else if let Some(assertion) = form.get("client_assertion").filter(|a| !a.is_empty()) {
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
            let accepted = assertion::check(assertion, &app, tenant, request)?;
            self.note(tenant, accepted, request.now)?;
        } else {
            return Err(EntraError::client(
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            ));
        }
        Ok(Grant { app, audience })
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

fn form(request: &LoginRequest) -> Result<Query, EntraError> {
    let content_type = request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type
        .to_ascii_lowercase()
        .starts_with("application/x-www-form-urlencoded")
    {
        return Err(missing("grant_type"));
    }
    std::str::from_utf8(request.body)
        .ok()
        .and_then(|text| Query::parse(text).ok())
        .ok_or_else(|| {
            EntraError::request(
                9_002_313,
                "Invalid request. Request is malformed or invalid.",
            )
        })
}

fn required<'a>(form: &'a Query, name: &str) -> Result<&'a str, EntraError> {
    form.get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> EntraError {
    EntraError::request(
        900_144,
        format!("The request body must contain the following parameter: '{name}'."),
    )
}

/// Client id and secret from `Authorization: Basic`; both are form-encoded inside (RFC 6749, 2.3.1).
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
    read().map(Some).ok_or_else(|| {
        EntraError::request(
            9_002_313,
            "Invalid request. Request is malformed or invalid.",
        )
    })
}

fn find_app(tenant: &Tenant, client_id: &str) -> Result<App, EntraError> {
    let app = client_id.parse::<Uuid>().ok().and_then(|id| tenant.app(id));
    match app {
        Some(app) if app.disabled => Err(EntraError::unauthorized(
            7_000_112,
            format!(
                "Application '{client_id}'({}) is disabled.",
                app.display_name
            ),
        )),
        Some(app) => Ok(app),
        None => Err(EntraError::unauthorized(
            700_016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
                tenant.display_name
            ),
        )),
    }
}

/// The scope must be one resource with `/.default`.
fn audience(tenant: &Tenant, scope: &str) -> Result<&'static str, EntraError> {
    let scopes: Vec<_> = scope.split_whitespace().collect();
    let invalid = |number, message: String| {
        EntraError::new(StatusCode::BAD_REQUEST, "invalid_scope", number, message)
    };
    let [scope] = scopes.as_slice() else {
        return Err(invalid(
            70_011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        ));
    };
    let Some(resource) = scope.strip_suffix("/.default") else {
        return Err(invalid(
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            ),
        ));
    };
    // `resource//.default` names a resource whose identifier ends in a slash; the token then keeps the plain name.
    let resource = resource.trim_end_matches('/');
    let mut known = AUDIENCES.into_iter();
    known
        .find(|audience| audience.eq_ignore_ascii_case(resource))
        .ok_or_else(|| {
            EntraError::new(
                StatusCode::BAD_REQUEST,
                "invalid_resource",
                500_011,
                format!(
                    "The resource principal named {resource} was not found in the tenant named {}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
                    tenant.display_name
                ),
            )
        })
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
