//! Entra ID: discovery documents, keys, and tokens for applications by the client credentials flow.
//!
//! Only what an application that signs in as itself needs is served; anything for people (authorize, device code, refresh) answers 404.

mod assertion;
mod discovery;
mod error;
mod grant;
mod key;
mod token;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Error, Tenant};

pub(crate) use error::EntraError;
use grant::Grants;
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
    pub(crate) now: Timestamp,
}

/// The login host's state.
#[derive(Debug)]
pub(crate) struct Entra {
    tenant: Arc<Tenant>,
    pub(crate) tokens: Tokens,
    grants: Grants,
}

impl Entra {
    pub(crate) fn new(tenant: Arc<Tenant>) -> Result<Self, Error> {
        Ok(Self {
            tokens: Tokens::new(tenant.id)?,
            grants: Grants::default(),
            tenant,
        })
    }

    /// Whether a path is the login host's: `/{tenant}/oauth2/…` and the like.
    pub(crate) fn serves(path: &str) -> bool {
        let second = path.split('/').filter(|s| !s.is_empty()).nth(1);
        second.is_some_and(|name| {
            ["oauth2", "discovery", "v2.0", ".well-known"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Answers with JSON. `Ok(None)` is a path that is not served.
    pub(crate) fn answer(&self, request: &LoginRequest) -> Result<Option<Value>, EntraError> {
        let lower = request.path.to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|s| !s.is_empty()).collect();
        let [authority, rest @ ..] = segments.as_slice() else {
            return Ok(None);
        };
        match rest {
            ["discovery", "instance"] => {
                discovery::instance(request.query, request.origin).map(Some)
            }
            ["v2.0", ".well-known", "openid-configuration"] => {
                let tenant = self.authority(authority)?;
                Ok(Some(discovery::openid(request.origin, authority, tenant)))
            }
            ["discovery", "v2.0", "keys"] => {
                self.authority(authority)?;
                Ok(Some(self.tokens.keys()))
            }
            ["oauth2", "v2.0", "token"] => {
                if request.method != Method::POST {
                    return Err(EntraError::new(
                        StatusCode::METHOD_NOT_ALLOWED,
                        "invalid_request",
                        900_561,
                        format!(
                            "The endpoint only accepts POST requests. Received a {} request.",
                            request.method
                        ),
                    ));
                }
                self.token(request, authority).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn token(&self, request: &LoginRequest, authority: &str) -> Result<Value, EntraError> {
        let grant = self
            .grants
            .check(&self.tenant, request, self.authority(authority)?)?;
        let token = self
            .tokens
            .issue(&self.tenant, &grant.app, grant.audience, request.now);
        Ok(serde_json::json!({
            "token_type": "Bearer",
            "expires_in": token::LIFETIME_S - 1,
            "ext_expires_in": token::LIFETIME_S - 1,
            "access_token": token,
        }))
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
}

/// Which tenants an authority stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// `common`, `organizations`, `consumers`.
    Shared,
    Tenant(uuid::Uuid),
}
