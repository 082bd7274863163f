//! Access tokens: asked for once by all who need one, kept until shortly before they expire, replaced when Graph refuses them.
//!
//! Times of expiry are spans on the monotonic clock, so a wall clock that jumps does no harm. Tokens live in memory only, are wiped when
//! dropped and never logged.

pub(crate) mod refusal;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::{
    client::Wire,
    cloud::Cloud,
    credential::{Credential, Proof, assertion},
    error::{Error, Kind, Result},
    governor::{Lane, WaitCause},
    request::{Repeat, Request},
    retry::{Budget, Verdict, judge_defect, judge_failure},
    transport::{Answer, Outgoing},
};

/// A token is replaced this long before it expires, so that none expires on its way.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);
/// While Entra ID cannot be reached and the old token still serves, it is asked again this often.
const REFRESH_AGAIN: Duration = Duration::from_secs(30);
/// A token response has a few kilobytes.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// Issues tokens for one application in one tenant.
pub(crate) struct Tokens {
    endpoint: Url,
    scope: String,
    application: String,
    credential: Credential,
    /// Fetches that have ended, well or badly.
    ended: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// What Graph demands of the next token (continuous access evaluation).
    claims: Option<String>,
    /// How the last fetch failed, if it did.
    failed: Option<Error>,
}

/// A token, and the how-manieth it is.
#[derive(Clone)]
pub(crate) struct Token {
    secret: Arc<Zeroizing<String>>,
    number: u64,
    refresh_at: Duration,
    expires_at: Duration,
}

impl Token {
    /// The value of `Authorization`, marked so that nobody prints it.
    pub(crate) fn header(&self) -> (http::HeaderName, HeaderValue) {
        let text = Zeroizing::new(format!("Bearer {}", self.secret.as_str()));
        let mut value =
            HeaderValue::from_str(&text).expect("a token is checked for this when it is issued");
        value.set_sensitive(true);
        (AUTHORIZATION, value)
    }

    /// The permissions that it names. Whether they are true is Graph's affair: this is only for telling people what is missing.
    pub(crate) fn roles(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Claims {
            #[serde(default)]
            roles: Vec<String>,
        }
        let claims = self.secret.split('.').nth(1);
        let claims = claims.and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
        let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
        claims
            .map(|claims| claims.roles)
            .ok_or_else(|| Error::bad_answer("the token does not say what it is for"))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(
        cloud: &Cloud,
        tenant: &str,
        application: &str,
        credential: Credential,
    ) -> Result<Self> {
        Ok(Self {
            endpoint: cloud.token_endpoint(tenant)?,
            scope: cloud.scope(),
            application: application.to_owned(),
            credential,
            ended: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// A token that is good for some minutes. Whoever comes while one is being fetched waits for it, and shares its failure: a thousand
    /// mailboxes must not find out one after another that Entra ID does not answer. A wait is shown in `lane`, whose request needs the token.
    pub(crate) async fn get(&self, wire: &Wire, lane: &Lane) -> Result<Token> {
        let ended = self.ended.load(Ordering::Relaxed);
        let mut state = self.state.lock().await;
        let now = wire.clock.elapsed();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.refresh_at) {
            return Ok(token.clone());
        }
        if let Some(error) = &state.failed
            && ended < self.ended.load(Ordering::Relaxed)
        {
            return Err(error.clone());
        }
        let spare = state.token.clone().filter(|token| now < token.expires_at);
        let patient = spare.is_none();
        let claims = state.claims.as_deref();
        let fetched = self.fetch(wire, lane, claims, patient).await;
        let number = self.ended.fetch_add(1, Ordering::Relaxed);
        state.failed = fetched.as_ref().err().cloned();
        match fetched {
            Ok(mut token) => {
                token.number = number;
                state.claims = None;
                state.token = Some(token.clone());
                Ok(token)
            }
            Err(error) => match spare {
                Some(mut old) if !matches!(error.kind(), Kind::SignIn(_)) => {
                    old.refresh_at = now + REFRESH_AGAIN;
                    state.token = Some(old.clone());
                    Ok(old)
                }
                _ => Err(error),
            },
        }
    }

    /// Graph refused this token: the next one is fetched, with the claims that Graph demands, unless somebody has fetched it already.
    pub(crate) async fn refuse(&self, refused: &Token, headers: &HeaderMap) {
        let mut state = self.state.lock().await;
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.number == refused.number)
        {
            state.token = None;
            state.claims = refusal::claims(headers);
        }
    }

    /// Asks Entra ID, once or until the retries are used up.
    async fn fetch(
        &self,
        wire: &Wire,
        lane: &Lane,
        claims: Option<&str>,
        patient: bool,
    ) -> Result<Token> {
        // Stands for the token request where retries are judged: asking twice is safe.
        let policy = Request::post("/token").repeat(Repeat::Safe);
        let mut budget = Budget::default();
        loop {
            wire.meter.readings().sign_ins += 1;
            let asked_at = wire.clock.elapsed();
            let outgoing = Outgoing {
                method: &Method::POST,
                url: self.endpoint.clone(),
                headers: headers(wire),
                body: Some(self.form(wire, claims)?),
                answer_max_bytes: ANSWER_MAX_BYTES,
                sink: None,
            };
            let (verdict, told) = match wire.transport.exchange(outgoing).await {
                Ok(answer) if answer.status.is_success() => match read(&answer, asked_at) {
                    Ok(token) => return Ok(token),
                    Err(error) => (judge_defect(&policy, answer.status, error), None),
                },
                Ok(answer) => refusal::judge(&policy, &answer, wire.clock.now()),
                Err(failure) => (judge_failure(&policy, failure), None),
            };
            let Verdict { again, error } = verdict;
            let Some(wait) = again
                .filter(|_| patient)
                .and_then(|reason| budget.spend(reason, wire.random.fraction()))
            else {
                return Err(error);
            };
            tracing::debug!(%error, "asking Entra ID again");
            let wait = wait.max(told.unwrap_or_default());
            lane.pause(WaitCause::SignIn, wait).await;
        }
    }

    fn form(&self, wire: &Wire, claims: Option<&str>) -> Result<Bytes> {
        let mut form = form_of(&self.credential, wire, &self.application, &self.endpoint)?;
        form.append_pair("grant_type", "client_credentials")
            .append_pair("scope", &self.scope);
        if let Some(claims) = claims {
            form.append_pair("claims", claims);
        }
        Ok(Bytes::from(form.finish()))
    }
}

/// The form of a token request, begun with who asks and the proof of it.
pub(crate) fn form_of(
    credential: &Credential,
    wire: &Wire,
    application: &str,
    endpoint: &Url,
) -> Result<form_urlencoded::Serializer<'static, String>> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_id", application);
    match &credential.0 {
        Proof::Secret(secret) => {
            form.append_pair("client_secret", secret);
        }
        Proof::Certificate { thumbprint, key } => {
            let assertion = assertion(
                thumbprint,
                key,
                application,
                endpoint.as_str(),
                &wire.random.uuid().to_string(),
                wire.clock.now().as_second(),
            )?;
            form.append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", &assertion);
        }
    }
    Ok(form)
}

fn headers(wire: &Wire) -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, json);
    headers.insert(CONTENT_TYPE, form);
    headers.extend([wire.request_id()]);
    headers
}

#[derive(Deserialize)]
struct Issued {
    token_type: String,
    access_token: String,
    expires_in: Seconds,
}

/// A number, or as the older endpoint has it a number in a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u32),
    Text(String),
}

fn read(answer: &Answer, asked_at: Duration) -> Result<Token> {
    let issued: Issued = serde_json::from_slice(&answer.body)
        .map_err(|_| Error::bad_answer("the token response is not the JSON expected"))?;
    let seconds = match issued.expires_in {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
    };
    let lifetime = Duration::from_secs(u64::from(seconds.unwrap_or(0)));
    let secret = Zeroizing::new(issued.access_token);
    let usable = issued.token_type.eq_ignore_ascii_case("Bearer")
        && !secret.is_empty()
        && secret.bytes().all(|byte| byte.is_ascii_graphic())
        && !lifetime.is_zero();
    if !usable {
        return Err(Error::bad_answer("the token response has no usable token"));
    }
    Ok(Token {
        secret: Arc::new(secret),
        number: 0,
        refresh_at: asked_at + lifetime - REFRESH_AHEAD.min(lifetime / 2),
        expires_at: asked_at + lifetime,
    })
}
