//! Access tokens for Graph, for applications and for people: issuing, and checking as Graph does.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    client::Proof,
    id_token::{directory_roles, pairwise},
    key::SigningKey,
};
use crate::{
    App, Error, GraphError, Tenant, User,
    doors::{Site, sibling},
};

/// Entra ID gives 60 to 90 minutes; this is the shortest.
pub(super) const LIFETIME_S: i64 = 3600;

/// Tokens are valid from five minutes before they are issued, so that clocks may differ a little.
pub(super) const BACKDATED_S: i64 = 300;

/// Checked tokens that are remembered, so that a signature is checked once. More than that, and the memory starts anew.
const REMEMBERED_MAX: usize = 1024;

/// The role that every application token lists.
const APPLICATION: &str = "0997a1d0-0d1d-4acb-b408-d5ca73121e90";

/// Graph, by its name and by its application id.
pub(super) const AUDIENCES: [&str; 2] = [
    "https://graph.microsoft.com",
    "00000003-0000-0000-c000-000000000000",
];

/// Who calls Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// The application's client id.
    pub(crate) app: Uuid,
    /// Its granted permissions; none if it acts for a person.
    pub(crate) roles: Vec<String>,
    /// For whom it acts, if not by itself.
    pub(crate) user: Option<Uuid>,
    issued: u64,
    expires_s: i64,
}

/// Issues and checks tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    tenant: Uuid,
    key: &'static SigningKey,
    /// Tokens are numbered, so that all that were issued until now can be declared expired.
    issued: AtomicU64,
    expired: AtomicU64,
    checked: Mutex<HashMap<String, Arc<Principal>>>,
}

/// Whom a token is for.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    /// The application itself: its service principal, and the permissions that it was granted.
    Application { id: Uuid, roles: Vec<String> },
    /// A person on whose behalf the application acts.
    Person {
        user: &'a User,
        scopes: &'a [String],
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    aio: String,
    app_displayname: String,
    appid: String,
    appidacr: String,
    idp: String,
    idtyp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    oid: String,
    rh: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scp: Option<String>,
    sub: String,
    tenant_region_scope: String,
    tid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upn: Option<String>,
    uti: String,
    ver: String,
    wids: Vec<String>,
}

impl Tokens {
    pub(super) fn new(tenant: Uuid) -> Result<Self, Error> {
        Ok(Self {
            tenant,
            key: SigningKey::shared()?,
            issued: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            checked: Mutex::default(),
        })
    }

    /// `/{tenant}/discovery/v2.0/keys`
    pub(super) fn keys(&self) -> Value {
        json!({"keys": [self.key.public()]})
    }

    pub(super) fn issue(
        &self,
        tenant: &Tenant,
        app: &App,
        proof: Proof,
        subject: Subject,
        audience: &str,
        now: Timestamp,
    ) -> String {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let now = now.as_second();
        let mut unique = [0; 16];
        unique[..8].copy_from_slice(&number.to_be_bytes());
        unique[8..].copy_from_slice(&app.client_id.as_bytes()[..8]);
        let issuer = issuer(tenant.id);
        let common = Claims {
            aud: audience.to_owned(),
            iss: issuer.clone(),
            iat: now - BACKDATED_S,
            nbf: now - BACKDATED_S,
            exp: now + LIFETIME_S,
            aio: BASE64URL_NOPAD.encode(&unique),
            app_displayname: app.display_name.clone(),
            appid: app.client_id.to_string(),
            appidacr: proof.claim().to_owned(),
            idp: issuer,
            rh: "1.AAAA.".to_owned(),
            tenant_region_scope: "EU".to_owned(),
            tid: tenant.id.to_string(),
            uti: BASE64URL_NOPAD.encode(&unique),
            ver: "1.0".to_owned(),
            ..Claims::default()
        };
        let claims = match subject {
            Subject::Application { id, roles } => Claims {
                idtyp: "app".to_owned(),
                oid: id.to_string(),
                sub: id.to_string(),
                roles,
                wids: vec![APPLICATION.to_owned()],
                ..common
            },
            Subject::Person { user, scopes } => Claims {
                idtyp: "user".to_owned(),
                name: Some(user.display_name().to_owned()),
                oid: user.id.to_string(),
                // Graph knows the person by another name than the application does.
                sub: pairwise(tenant.id, crate::permissions::GRAPH, user.id),
                scp: Some(scopes.join(" ")),
                unique_name: Some(user.principal_name.clone()),
                upn: Some(user.principal_name.clone()),
                wids: directory_roles(user).iter().map(Uuid::to_string).collect(),
                ..common
            },
        };
        self.sign(&claims)
    }

    /// Signs a token with the published key.
    pub(super) fn sign(&self, claims: &impl Serialize) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.key.id.clone());
        header.x5t = Some(self.key.id.clone());
        // Signing fails only for a broken key, and the key was made by this process.
        jsonwebtoken::encode(&header, claims, &self.key.sign).unwrap_or_default()
    }

    /// Declares all tokens that were issued until now expired.
    pub(crate) fn expire_all(&self) {
        self.expired
            .store(self.issued.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Checks the `Authorization` header as Graph does.
    ///
    /// # Errors
    /// 401 `InvalidAuthenticationToken` with `WWW-Authenticate`.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
        origin: &str,
    ) -> Result<Arc<Principal>, GraphError> {
        self.check_header(headers, now).map_err(|message| {
            let login = sibling(origin, Site::Login);
            let challenge = format!(
                "Bearer realm=\"\", authorization_uri=\"{login}/common/oauth2/authorize\", client_id=\"{}\"",
                AUDIENCES[1]
            );
            let error = GraphError::invalid_token(message);
            match HeaderValue::try_from(challenge) {
                Ok(challenge) => error.with_header(header::WWW_AUTHENTICATE, challenge),
                Err(_) => error,
            }
        })
    }

    fn check_header(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Arc<Principal>, &'static str> {
        let value = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err("Access token is empty."),
        };
        let known = self.remembered().get(token).cloned();
        let principal = match known {
            Some(principal) => principal,
            None => {
                let principal = Arc::new(self.read(token)?);
                let mut remembered = self.remembered();
                if remembered.len() >= REMEMBERED_MAX {
                    remembered.clear();
                }
                remembered.insert(token.to_owned(), principal.clone());
                principal
            }
        };
        let expired = principal.issued <= self.expired.load(Ordering::SeqCst);
        if expired || now.as_second() >= principal.expires_s {
            return Err("Lifetime validation failed, the token is expired.");
        }
        Ok(principal)
    }

    fn read(&self, token: &str) -> Result<Principal, &'static str> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| "IDX14100: JWT is not well formed, there are no dots (.).")?;
        if header.alg != Algorithm::RS256 || header.kid.as_deref() != Some(self.key.id.as_str()) {
            return Err("Signing key is invalid.");
        }
        let mut validation = Validation::new(Algorithm::RS256);
        // Times are checked by the emulator's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key.verify, &validation)
            .map_err(|_| "Access token validation failure. Invalid signature.")?
            .claims;
        if !AUDIENCES.contains(&claims.aud.trim_end_matches('/')) {
            return Err("Access token validation failure. Invalid audience.");
        }
        if claims.tid != self.tenant.to_string() || claims.iss != issuer(self.tenant) {
            return Err("Access token validation failure. Invalid issuer.");
        }
        let number = BASE64URL_NOPAD
            .decode(claims.uti.as_bytes())
            .ok()
            .and_then(|unique| Some(u64::from_be_bytes(unique.get(..8)?.try_into().ok()?)));
        let user = match claims.idtyp.as_str() {
            "user" => claims.oid.parse().ok(),
            _ => None,
        };
        match (number, claims.appid.parse()) {
            (Some(issued), Ok(app)) => Ok(Principal {
                app,
                roles: claims.roles,
                user,
                issued,
                expires_s: claims.exp,
            }),
            _ => Err("Access token validation failure."),
        }
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Principal>>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn issuer(tenant: Uuid) -> String {
    format!("https://sts.windows.net/{tenant}/")
}
