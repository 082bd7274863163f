//! The token endpoint: a token for an application itself (client credentials), or for a person who let the application have one (an authorization
//! code, a device code, a refresh token). Other grants (on behalf of, password) are refused.

use data_encoding::BASE64URL_NOPAD;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Authority, Entra, EntraError, LoginRequest,
    asked::{Asked, unknown_resource},
    client::{Claimed, Proof, at_home, form, invalid_scope, required, unproven},
    codes::{Challenge, Code, Permit},
    id_token::IdToken,
    token::{AUDIENCES, BACKDATED_S, LIFETIME_S, Subject},
};
use crate::{App, Query, Tenant, User, tenant::Platform};

/// Answers a token request.
pub(super) fn answer(
    entra: &Entra,
    request: &LoginRequest,
    authority: Authority,
) -> Result<Value, EntraError> {
    let form = form(request)?;
    let grant = Grant {
        entra,
        request,
        form: &form,
    };
    match required(&form, "grant_type")? {
        "client_credentials" => {
            let audience = |form: &Query| audience(&entra.tenant, required(form, "scope")?);
            let token = grant.client_credentials(authority, audience)?;
            Ok(Value::Object(answered(token)))
        }
        "authorization_code" => grant.authorization_code(),
        "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => grant.device_code(),
        "refresh_token" => grant.refresh_token(),
        other => Err(unsupported(other)),
    }
}

/// Answers a request to the older token endpoint, which names a resource instead of a scope, and numbers in texts: for applications themselves only.
pub(super) fn answer_v1(
    entra: &Entra,
    request: &LoginRequest,
    authority: Authority,
) -> Result<Value, EntraError> {
    let form = form(request)?;
    let grant = Grant {
        entra,
        request,
        form: &form,
    };
    match required(&form, "grant_type")? {
        "client_credentials" => {}
        other => return Err(unsupported(other)),
    }
    let resource = required(&form, "resource")?;
    let audience = |_: &Query| known_resource(resource, &entra.tenant);
    let token = grant.client_credentials(authority, audience)?;
    let now = request.stamp.now.as_second();
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": (LIFETIME_S - 1).to_string(),
        "ext_expires_in": (LIFETIME_S - 1).to_string(),
        "expires_on": (now + LIFETIME_S - 1).to_string(),
        "not_before": (now - BACKDATED_S).to_string(),
        "resource": resource,
        "access_token": token,
    }))
}

fn unsupported(grant_type: &str) -> EntraError {
    EntraError::new(
        StatusCode::BAD_REQUEST,
        "unsupported_grant_type",
        70_003,
        format!("The app requested an unsupported grant type '{grant_type}'."),
    )
}

struct Grant<'a> {
    entra: &'a Entra,
    request: &'a LoginRequest<'a>,
    form: &'a Query,
}

impl Grant<'_> {
    fn tenant(&self) -> &Tenant {
        &self.entra.tenant
    }

    /// A token for the application itself, for what `audience` reads from the request.
    fn client_credentials(
        &self,
        authority: Authority,
        audience: impl FnOnce(&Query) -> Result<&'static str, EntraError>,
    ) -> Result<String, EntraError> {
        if authority == Authority::Shared {
            return Err(EntraError::request(
                9_001_023,
                "The grant type 'client_credentials' is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.",
            ));
        }
        let claimed = Claimed::read(self.request, self.form)?;
        let app = claimed.app(self.tenant())?;
        let audience = audience(self.form)?;
        let proof = self.prove(&claimed, &app)?;
        if proof == Proof::None {
            return Err(unproven());
        }
        let principal = at_home(self.tenant(), &app)?;
        let now = self.request.stamp.now;
        let roles = self.tenant().registry().roles(principal.id, now);
        let subject = Subject::Application {
            id: principal.id,
            roles,
        };
        Ok(self
            .entra
            .tokens
            .issue(self.tenant(), &app, proof, subject, audience, now))
    }

    fn authorization_code(&self) -> Result<Value, EntraError> {
        let claimed = Claimed::read(self.request, self.form)?;
        let app = claimed.app(self.tenant())?;
        let key = required(self.form, "code")?;
        let redirect_uri = required(self.form, "redirect_uri")?;
        let proof = self.prove(&claimed, &app)?;
        let now = self.request.stamp.now;
        let code = self.entra.codes.find(key, app.client_id, now)?;
        if code.redirect_uri != redirect_uri {
            return Err(EntraError::client(
                500_112,
                format!(
                    "The reply address '{redirect_uri}' does not match the reply address '{}' provided when requesting Authorization code.",
                    code.redirect_uri
                ),
            ));
        }
        self.check_platform(code.platform, proof)?;
        self.check_verifier(&code)?;
        let user = self.user(&code.permit)?;
        self.entra.codes.use_up(key)?;
        Ok(self.tokens(&app, &user, &code.permit, proof, code.nonce.as_deref()))
    }

    fn device_code(&self) -> Result<Value, EntraError> {
        let claimed = Claimed::read(self.request, self.form)?;
        let app = claimed.app(self.tenant())?;
        let key = required(self.form, "device_code")?;
        let proof = self.prove(&claimed, &app)?;
        if proof == Proof::None && !app.is_public() {
            return Err(unproven());
        }
        let now = self.request.stamp.now;
        let permit = self.entra.devices.redeem(key, app.client_id, now)?;
        let user = self.user(&permit)?;
        Ok(self.tokens(&app, &user, &permit, proof, None))
    }

    fn refresh_token(&self) -> Result<Value, EntraError> {
        let claimed = Claimed::read(self.request, self.form)?;
        let app = claimed.app(self.tenant())?;
        let key = required(self.form, "refresh_token")?;
        let proof = self.prove(&claimed, &app)?;
        if proof == Proof::None && !app.redirects.web.is_empty() {
            return Err(unproven());
        }
        let now = self.request.stamp.now;
        let mut permit = self.entra.codes.refresh(key, app.client_id, now)?;
        let user = self.user(&permit)?;
        if let Some(scope) = self.form.get("scope").filter(|scope| !scope.is_empty()) {
            let asked = Asked::parse(scope, self.tenant(), &app)?;
            permit.scopes = asked
                .scopes(&app)
                .iter()
                .map(|scope| scope.value.to_owned())
                .collect();
        }
        let registry = self.tenant().registry();
        let granted = registry
            .principal_of(app.client_id)
            .map(|principal| registry.scopes(principal.id, user.id))
            .unwrap_or_default();
        if let Some(scope) = permit
            .scopes
            .iter()
            .find(|scope| !granted.contains(&scope.as_str()))
        {
            tracing::debug!(scope, "a refresh token's scope is not granted any more");
            return Err(EntraError::grant(
                65_001,
                format!(
                    "The user or administrator has not consented to use the application with ID '{}' named '{}'. Send an interactive authorization request for this user and resource.",
                    app.client_id, app.display_name
                ),
            ));
        }
        drop(registry);
        Ok(self.tokens(&app, &user, &permit, proof, None))
    }

    fn prove(&self, claimed: &Claimed, app: &App) -> Result<Proof, EntraError> {
        self.entra
            .clients
            .prove(self.tenant(), self.request, self.form, claimed, app)
    }

    /// A server proves itself; what runs on a person's own machine cannot, and must not try.
    fn check_platform(&self, platform: Platform, proof: Proof) -> Result<(), EntraError> {
        match (platform, proof) {
            (Platform::Web, Proof::None) => Err(unproven()),
            (Platform::Web, _) | (Platform::Public, Proof::None) => Ok(()),
            (Platform::Spa, _) if !self.request.headers.contains_key(header::ORIGIN) => {
                Err(EntraError::request(
                    9_002_327,
                    "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
                ))
            }
            (Platform::Spa, Proof::None) => Ok(()),
            (Platform::Spa | Platform::Public, _) => Err(EntraError::client(
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            )),
        }
    }

    fn check_verifier(&self, code: &Code) -> Result<(), EntraError> {
        let verifier = self.form.get("code_verifier").filter(|v| !v.is_empty());
        let matches = match (&code.challenge, verifier) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(_), None) => {
                return Err(EntraError::grant(
                    50_148,
                    "The code_verifier does not match the code_challenge supplied in the authorization request for PKCE.",
                ));
            }
            (Some(Challenge::Plain(challenge)), Some(verifier)) => challenge == verifier,
            (Some(Challenge::Sha256(challenge)), Some(verifier)) => {
                BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes())) == *challenge
            }
        };
        match matches {
            true => Ok(()),
            false => Err(EntraError::grant(
                501_481,
                "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            )),
        }
    }

    /// Who it is about, unless the account is gone or was disabled meanwhile.
    fn user(&self, permit: &Permit) -> Result<std::sync::Arc<User>, EntraError> {
        let user = self.tenant().user(&permit.user.to_string());
        let user = user.ok_or_else(|| {
            EntraError::grant(
                50_034,
                "The user account does not exist in the directory any more.",
            )
        })?;
        match user.is_enabled() {
            true => Ok(user),
            false => Err(EntraError::grant(50_057, "The user account is disabled.")),
        }
    }

    fn tokens(
        &self,
        app: &App,
        user: &User,
        permit: &Permit,
        proof: Proof,
        nonce: Option<&str>,
    ) -> Value {
        let now = self.request.stamp.now;
        let has = |scope: &str| permit.scopes.iter().any(|known| known == scope);
        // That the person may be absent is no right of the access token.
        let mut scopes = permit.scopes.clone();
        scopes.retain(|scope| scope != "offline_access");
        let subject = Subject::Person {
            user,
            scopes: &scopes,
        };
        let token = self
            .entra
            .tokens
            .issue(self.tenant(), app, proof, subject, AUDIENCES[1], now);
        let mut answer = answered(token);
        answer.insert("scope".to_owned(), json!(scopes.join(" ")));
        if has("offline_access") {
            let key = self.entra.opaque();
            self.entra
                .codes
                .keep_refresh(key.clone(), permit.clone(), now);
            answer.insert("refresh_token".to_owned(), json!(key));
        }
        if has("openid") {
            let id_token = IdToken {
                app,
                user,
                permit,
                nonce,
                code: None,
            };
            let id_token = id_token.sign(self.entra, self.request.origin, now);
            answer.insert("id_token".to_owned(), json!(id_token));
        }
        Value::Object(answer)
    }
}

fn answered(token: String) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("token_type".to_owned(), json!("Bearer"));
    answer.insert("expires_in".to_owned(), json!(LIFETIME_S - 1));
    answer.insert("ext_expires_in".to_owned(), json!(LIFETIME_S - 1));
    answer.insert("access_token".to_owned(), json!(token));
    answer
}

/// The scope of an application that acts by itself must be one resource with `/.default`.
fn audience(tenant: &Tenant, scope: &str) -> Result<&'static str, EntraError> {
    let scopes: Vec<_> = scope.split_whitespace().collect();
    let [scope] = scopes.as_slice() else {
        return Err(invalid_scope(
            70_011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        ));
    };
    let Some(resource) = scope.strip_suffix("/.default") else {
        return Err(invalid_scope(
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            ),
        ));
    };
    known_resource(resource, tenant)
}

/// Graph by one of its names. With a slash behind it, as in `resource//.default`, the token keeps the plain name.
fn known_resource(resource: &str, tenant: &Tenant) -> Result<&'static str, EntraError> {
    let resource = resource.trim_end_matches('/');
    let mut known = AUDIENCES.into_iter();
    known
        .find(|audience| audience.eq_ignore_ascii_case(resource))
        .ok_or_else(|| unknown_resource(resource, tenant))
}
