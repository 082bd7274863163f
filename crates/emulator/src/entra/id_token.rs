//! Id tokens: who signed in, told to the application.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::{Uuid, uuid};

use super::{
    Entra,
    codes::Permit,
    token::{BACKDATED_S, LIFETIME_S},
};
use crate::{App, User};

/// The role that every member has; tokens list it beside the others.
const MEMBER: Uuid = uuid!("b79fbf4d-3ef9-4689-8143-76b194e85509");

/// What an id token tells.
#[derive(Debug)]
pub(super) struct IdToken<'a> {
    pub(super) app: &'a App,
    pub(super) user: &'a User,
    pub(super) permit: &'a Permit,
    pub(super) nonce: Option<&'a str>,
    /// The code that travels beside it.
    pub(super) code: Option<&'a str>,
}

impl IdToken<'_> {
    /// The token. Its issuer is the one that discovery names on the same host.
    pub(super) fn sign(&self, entra: &Entra, origin: &str, now: Timestamp) -> String {
        let tenant = entra.tenant.id;
        let seconds = now.as_second();
        let has = |scope: &str| self.permit.scopes.iter().any(|known| known == scope);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| {
            claims.insert(name.to_owned(), value);
        };
        put("aud", json!(self.app.client_id));
        put("iss", json!(issuer(origin, tenant)));
        put("iat", json!(seconds - BACKDATED_S));
        put("nbf", json!(seconds - BACKDATED_S));
        put("exp", json!(seconds + LIFETIME_S));
        if let Some(code) = self.code {
            put("c_hash", json!(half_hash(code)));
        }
        if let Some(nonce) = self.nonce {
            put("nonce", json!(nonce));
        }
        if has("profile") {
            put("name", json!(self.user.display_name()));
            put("oid", json!(self.user.id));
            put("preferred_username", json!(self.user.principal_name));
        }
        if has("email")
            && let Some(mail) = self.user.properties.get("mail").filter(|m| m.is_string())
        {
            put("email", mail.clone());
        }
        if self.app.has_optional_claim("auth_time") {
            put("auth_time", json!(self.permit.since.as_second()));
        }
        if self.app.has_optional_claim("upn") {
            put("upn", json!(self.user.principal_name));
        }
        if self.app.lists_directory_roles() {
            put("wids", json!(directory_roles(self.user)));
        }
        put("rh", json!("1.AAAA."));
        put(
            "sub",
            json!(pairwise(tenant, self.app.client_id, self.user.id)),
        );
        put("tid", json!(tenant));
        put("uti", json!(entra.opaque()));
        put("ver", json!("2.0"));
        entra.tokens.sign(&Value::Object(claims))
    }
}

/// `iss` of id tokens on this host.
pub(super) fn issuer(origin: &str, tenant: Uuid) -> String {
    format!("{origin}/{tenant}/v2.0")
}

/// The template ids of a user's directory roles.
pub(super) fn directory_roles(user: &User) -> Vec<Uuid> {
    let roles = user.roles.iter().map(|role| role.template_id());
    roles.chain([MEMBER]).collect()
}

/// The person as this application knows them: two applications cannot compare.
pub(super) fn pairwise(tenant: Uuid, client_id: Uuid, user: Uuid) -> String {
    let digest = Sha256::new()
        .chain_update(tenant.as_bytes())
        .chain_update(client_id.as_bytes())
        .chain_update(user.as_bytes())
        .finalize();
    BASE64URL_NOPAD.encode(&digest)
}

/// The left half of a hash, as `c_hash` has it (OpenID Connect Core, 3.3.2.11).
fn half_hash(text: &str) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(text.as_bytes())[..16])
}
