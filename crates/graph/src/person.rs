//! A person at the login host: the way there, the code that comes back, and what its id token proves; then the way to an administrator's consent.
//!
//! The authorization code flow of OAuth 2 as RFC 9700 wants it: `state`, `nonce` and a PKCE verifier for each walk, each good for one return. What the
//! returning browser says is believed of nothing but the code; tenant and name come from the id token, whose signature, issuer, audience, times and
//! nonce are checked. No token is kept. Who may walk, and where the walk is remembered meanwhile, is the caller's affair.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use model::{SharedClock, TenantId};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    client::{IDLE_TIMEOUT, USER_AGENT, Wire},
    cloud::Cloud,
    credential::Credential,
    error::{Error, Result},
    random::Random,
    request::{Repeat, Request},
    token::{form_of, refusal},
    transport::{Outgoing, Transport},
};

/// What is asked of the person: who they are. What the app may do is asked of an administrator.
const SCOPE: &str = "openid profile";
/// Documents, keys and token responses have a few kilobytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// Exchanges at a time; people are few.
const EXCHANGES_MAX: usize = 8;
/// So far clocks may differ.
const LEEWAY: Duration = Duration::from_secs(300);

/// A walk to the login host that has begun: what its return is compared with. It is used up by [`SignIns::redeem`].
pub struct Walk {
    state: String,
    nonce: String,
    verifier: Zeroizing<String>,
    authority: String,
    application: String,
    redirect_uri: String,
}

/// What a walk proved.
#[derive(Clone, Eq, PartialEq)]
pub struct Person {
    /// The tenant in which the person signed in.
    pub tenant: TenantId,
    /// How the person is called there; empty when Microsoft does not say it. For the person's own eyes.
    pub name: String,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Walk {
    /// Begins a walk, and gives the address to which the person's browser is sent. `authority` is a tenant's id or domain, or `organizations`.
    ///
    /// # Errors
    /// `Invalid` for an authority that cannot be one.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    pub fn begin(
        cloud: &Cloud,
        authority: &str,
        application: &str,
        redirect_uri: &str,
    ) -> Result<(Self, Url)> {
        let walk = Self {
            state: random(),
            nonce: random(),
            verifier: Zeroizing::new(random()),
            authority: authority.to_owned(),
            application: application.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        };
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(walk.verifier.as_bytes()));
        let mut url = cloud.login(authority, "oauth2/v2.0/authorize")?;
        url.query_pairs_mut()
            .append_pair("client_id", application)
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", &walk.state)
            .append_pair("nonce", &walk.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("prompt", "select_account");
        Ok((walk, url))
    }

    /// By which the return is known again.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }
}

/// Where an administrator of a tenant grants the application all that its registration asks for.
///
/// # Errors
/// `Invalid` for a tenant that cannot be one.
pub fn admin_consent(
    cloud: &Cloud,
    tenant: &TenantId,
    application: &str,
    redirect_uri: &str,
    state: &str,
) -> Result<Url> {
    let mut url = cloud.login(tenant.as_str(), "v2.0/adminconsent")?;
    url.query_pairs_mut()
        .append_pair("client_id", application)
        .append_pair("scope", &cloud.scope())
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("state", state);
    Ok(url)
}

/// Redeems what people bring back.
pub struct SignIns {
    cloud: Cloud,
    wire: Wire,
}

impl std::fmt::Debug for SignIns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIns")
    }
}

impl SignIns {
    /// Nothing is sent yet. `seed` is for the ids of requests.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(cloud: Cloud, clock: SharedClock, seed: u64) -> Result<Self> {
        let transport = Transport::new(
            &cloud,
            USER_AGENT,
            IDLE_TIMEOUT,
            EXCHANGES_MAX,
            clock.clone(),
        )?;
        let wire = Wire {
            transport,
            clock,
            random: Random::new(seed),
            meter: crate::counters::Meter::default(),
        };
        Ok(Self { cloud, wire })
    }

    /// Redeems the code of a walk, and checks what its id token says. `issuer` is the `iss` of the return, if it had one (RFC 9207).
    ///
    /// # Errors
    /// `SignIn` when Entra ID refuses the code or the credential, `BadAnswer` when the id token proves nothing, `Unavailable`.
    pub async fn redeem(
        &self,
        walk: Walk,
        code: &str,
        issuer: Option<&str>,
        credential: &Credential,
    ) -> Result<Person> {
        let document = self
            .cloud
            .login(&walk.authority, "v2.0/.well-known/openid-configuration")?;
        let document: Document = self.get(document).await?;
        let keys = self.of_login(&document.jwks_uri)?;
        let token = self.exchange(&walk, code, credential).await?;
        let keys: Keys = self.get(keys).await?;
        let claims = self.verified(&token, &keys, &walk, &document.issuer)?;
        let is_theirs = issuer.is_none_or(|issuer| issuer == claims.iss);
        if !is_theirs {
            return Err(Error::bad_answer("the return is another issuer's"));
        }
        Ok(Person {
            tenant: TenantId::new(claims.tid)
                .map_err(|_| Error::bad_answer("the id token names no tenant"))?,
            name: claims.preferred_username.unwrap_or_default(),
        })
    }

    /// The id token for a code. It is asked for once: a code is good for one use.
    async fn exchange(
        &self,
        walk: &Walk,
        code: &str,
        credential: &Credential,
    ) -> Result<Zeroizing<String>> {
        let endpoint = self.cloud.token_endpoint(&walk.authority)?;
        // A form under way cannot be sent between threads.
        let body = {
            let mut form = form_of(credential, &self.wire, &walk.application, &endpoint)?;
            form.append_pair("grant_type", "authorization_code")
                .append_pair("scope", SCOPE)
                .append_pair("code", code)
                .append_pair("redirect_uri", &walk.redirect_uri)
                .append_pair("code_verifier", &walk.verifier);
            Bytes::from(form.finish())
        };
        let answer = self
            .wire
            .transport
            .exchange(Outgoing {
                method: &Method::POST,
                url: endpoint,
                headers: headers(&self.wire, true),
                body: Some(body),
                answer_max_bytes: ANSWER_MAX_BYTES,
                sink: None,
            })
            .await
            .map_err(|failure| failure.error)?;
        if !answer.status.is_success() {
            let policy = Request::post("/token").repeat(Repeat::Safe);
            let (verdict, _) = refusal::judge(&policy, &answer, self.wire.clock.now());
            return Err(verdict.error);
        }
        let issued: Issued = read(&answer.body)?;
        Ok(Zeroizing::new(issued.id_token))
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T> {
        let answer = self
            .wire
            .transport
            .exchange(Outgoing {
                method: &Method::GET,
                url,
                headers: headers(&self.wire, false),
                body: None,
                answer_max_bytes: ANSWER_MAX_BYTES,
                sink: None,
            })
            .await
            .map_err(|failure| failure.error)?;
        if !answer.status.is_success() {
            let codes = crate::error::Codes::default();
            return Err(Error::answered(answer.status, codes));
        }
        read(&answer.body)
    }

    /// An address that the login host names must be its own: keys from elsewhere prove nothing.
    fn of_login(&self, text: &str) -> Result<Url> {
        let url = Url::parse(text).ok();
        url.filter(|url| self.cloud.is_login(url))
            .ok_or_else(|| Error::bad_answer("the login host's keys are elsewhere"))
    }

    /// Checks an id token: signed by one of the keys with RS256, for this application, of this walk, by the tenant that it names, and now (abuse 89).
    fn verified(&self, token: &str, keys: &Keys, walk: &Walk, issuer: &str) -> Result<Claims> {
        let bad = Error::bad_answer;
        let header = jsonwebtoken::decode_header(token)
            .map_err(|error| bad("the id token is none").because(error))?;
        let key = header.kid.and_then(|kid| {
            let mut keys = keys.keys.iter();
            keys.find(|key| key.kid.as_deref() == Some(&kid) && key.kty == "RSA")
        });
        let key = key.ok_or_else(|| bad("the id token is signed by an unknown key"))?;
        let (Some(n), Some(e)) = (&key.n, &key.e) else {
            return Err(bad("the login host's key is none"));
        };
        let key = DecodingKey::from_rsa_components(n, e)
            .map_err(|error| bad("the login host's key is none").because(error))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&walk.application]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss"]);
        // Times are judged below, by the clock that everybody shares.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|error| bad("the id token is not valid").because(error))?
            .claims;
        // The document that is every tenant's names the issuer with a gap.
        if claims.iss != issuer.replace("{tenantid}", &claims.tid) {
            return Err(bad("the id token is another issuer's"));
        }
        if claims.nonce.as_deref() != Some(&walk.nonce) {
            return Err(bad("the id token is another walk's"));
        }
        let (now, leeway) = (self.wire.clock.now().as_second(), LEEWAY.as_secs() as i64);
        if claims.exp + leeway <= now || claims.nbf - leeway > now {
            return Err(bad(
                "the id token is not of this time: is this machine's clock right?",
            ));
        }
        Ok(claims)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|_| Error::bad_answer("the login host's answer is not the JSON expected"))
}

fn headers(wire: &Wire, has_form: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if has_form {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
    }
    headers.extend([wire.request_id()]);
    headers
}

/// 256 bits that nobody can guess.
fn random() -> String {
    let mut bytes = [0; 32];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the system gives randomness");
    BASE64URL_NOPAD.encode(&bytes)
}

/// The part of the discovery document that is needed.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Jwk>,
}

/// A key as it is published; other kinds lack some of it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct Issued {
    id_token: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    tid: String,
    exp: i64,
    nbf: i64,
    nonce: Option<String>,
    preferred_username: Option<String>,
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use model::SimulatedClock;
    use rsa::{
        RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, rand_core::OsRng, traits::PublicKeyParts,
    };
    use serde_json::{Value, json};

    use super::*;

    const APPLICATION: &str = "11111111-0000-4000-8000-000000000001";
    const TENANT: &str = "8d1f5f6e-0000-4000-8000-000000000001";

    /// A login host's key, a walk, and what checks tokens.
    struct Stage {
        signer: EncodingKey,
        keys: Keys,
        walk: Walk,
        sign_ins: SignIns,
    }

    impl Stage {
        fn new() -> Self {
            let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("a key");
            let der = key.to_pkcs1_der().expect("DER");
            let published = Jwk {
                kty: "RSA".to_owned(),
                kid: Some("one".to_owned()),
                n: Some(BASE64URL_NOPAD.encode(&key.n().to_bytes_be())),
                e: Some(BASE64URL_NOPAD.encode(&key.e().to_bytes_be())),
            };
            let cloud = Cloud::at("http://127.0.0.1:1").expect("a cloud");
            let clock = SimulatedClock::new("2026-11-22T08:00:00Z".parse().expect("a time"));
            let (walk, _) = Walk::begin(&cloud, TENANT, APPLICATION, "http://127.0.0.1:2/return")
                .expect("a walk");
            Self {
                signer: EncodingKey::from_rsa_der(der.as_bytes()),
                keys: Keys {
                    keys: vec![published],
                },
                walk,
                sign_ins: SignIns::new(cloud, std::sync::Arc::new(clock), 1).expect("sign-ins"),
            }
        }

        fn claims(&self, changes: Value) -> Value {
            let now = self.sign_ins.wire.clock.now().as_second();
            let mut claims = json!({
                "iss": format!("http://127.0.0.1:1/{TENANT}/v2.0"),
                "aud": APPLICATION,
                "tid": TENANT,
                "exp": now + 3600,
                "nbf": now - 300,
                "nonce": self.walk.nonce,
            });
            for (name, value) in changes.as_object().expect("changes") {
                claims[name] = value.clone();
            }
            claims
        }

        fn signed(&self, changes: Value) -> String {
            let mut header = Header::new(Algorithm::RS256);
            header.kid = Some("one".to_owned());
            encode(&header, &self.claims(changes), &self.signer).expect("a token")
        }

        fn check(&self, token: &str) -> Result<Claims> {
            let issuer = "http://127.0.0.1:1/{tenantid}/v2.0";
            self.sign_ins
                .verified(token, &self.keys, &self.walk, issuer)
        }
    }

    /// abuse 89.
    #[test]
    fn an_id_token_proves_something_only_if_all_of_it_is_right() {
        let stage = Stage::new();
        let now = stage.sign_ins.wire.clock.now().as_second();
        assert!(stage.check(&stage.signed(json!({}))).is_ok());
        assert!(
            stage
                .check(&stage.signed(json!({"exp": now - 299})))
                .is_ok()
        );
        for wrong in [
            json!({"aud": "11111111-0000-4000-8000-000000000002"}),
            json!({"aud": [APPLICATION, "other"], "iss": "http://127.0.0.1:1/other/v2.0"}),
            json!({"tid": "8d1f5f6e-0000-4000-8000-000000000002"}),
            json!({"iss": "https://sts.windows.net/x/"}),
            json!({"nonce": "another walk's"}),
            json!({"nonce": null}),
            json!({"exp": now - 300}),
            json!({"nbf": now + 301}),
        ] {
            let told = stage.check(&stage.signed(wrong.clone()));
            assert!(told.is_err(), "{wrong}");
        }
    }

    /// abuse 89: no other algorithm, no other key, no key from elsewhere.
    #[test]
    fn an_id_token_counts_only_if_the_login_host_signed_it() {
        let (stage, other) = (Stage::new(), Stage::new());
        let good = stage.signed(json!({}));
        let claims = stage.claims(json!({}));
        let encoded = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let unsigned = |header: Value| format!("{}.{}.", encoded(&header), encoded(&claims));
        let public = stage.keys.keys[0].n.clone().expect("a modulus");
        let mut hs256 = Header::new(Algorithm::HS256);
        hs256.kid = Some("one".to_owned());
        let with_public = EncodingKey::from_secret(public.as_bytes());
        let mut elsewhere = Header::new(Algorithm::RS256);
        elsewhere.kid = Some("../../one".to_owned());
        elsewhere.jku = Some("http://evil.example/keys".to_owned());
        let mut foreign = Header::new(Algorithm::RS256);
        foreign.kid = Some("one".to_owned());
        let (head, signature) = good.rsplit_once('.').expect("three parts");
        for (what, token) in [
            ("none", unsigned(json!({"alg": "none", "kid": "one"}))),
            (
                "no signature",
                unsigned(json!({"alg": "RS256", "kid": "one"})),
            ),
            (
                "the public key as a secret",
                encode(&hs256, &claims, &with_public).expect("a token"),
            ),
            (
                "another key's name",
                encode(&elsewhere, &claims, &stage.signer).expect("a token"),
            ),
            (
                "no key's name",
                encode(&Header::new(Algorithm::RS256), &claims, &stage.signer).expect("a token"),
            ),
            (
                "another key",
                encode(&foreign, &claims, &other.signer).expect("a token"),
            ),
            ("a shorter signature", format!("{head}.{}", &signature[4..])),
            ("nothing", String::new()),
        ] {
            assert!(stage.check(&token).is_err(), "{what}");
        }
        assert!(stage.check(&good).is_ok());
    }

    /// abuse 88: nothing about a walk can be guessed, and its verifier stays here.
    #[test]
    fn a_walk_has_secrets_of_its_own() {
        let cloud = Cloud::global();
        let begin = || Walk::begin(&cloud, "contoso.com", APPLICATION, "https://a.example/r");
        let (one, url) = begin().expect("a walk");
        let (other, _) = begin().expect("a walk");
        assert_ne!(one.state, other.state);
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(*one.verifier, *other.verifier);
        let url = url.as_str();
        assert!(
            url.starts_with("https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize?")
        );
        assert!(url.contains("code_challenge_method=S256"));
        assert!(!url.contains(one.verifier.as_str()));
        for wrong in ["", "a/b", "a?b", "..", "a@b", "a b", "a\\b", "ä"] {
            assert!(
                Walk::begin(&cloud, wrong, APPLICATION, "https://a.example/r").is_err(),
                "{wrong}"
            );
        }
    }
}
