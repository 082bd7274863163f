//! The client, and the one pipeline that every request goes through: permit, turn, token, attempt, verdict.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, InvalidHeaderValue},
};
use model::{SharedClock, TenantId};
use serde::de::IgnoredAny;
use url::Url;

use crate::{
    cloud::Cloud,
    counters::{Counters, Meter},
    credential::Credential,
    error::{Codes, Error, Result},
    governor::{Advice, Governor, Key, Lane, Limits, Scope, WaitCause, Waiting},
    label::Label,
    page::PAGES_MAX,
    random::Random,
    request::{BODY_TYPE, Request},
    response::Response,
    retry::{Budget, Reason, Verdict, judge_answer, judge_defect, judge_failure},
    sink::Sink,
    token::Tokens,
    transport::{Answer, Outgoing, Transport},
};

/// How Microsoft's guidance wants a vendor's application to name itself.
pub const USER_AGENT: &str = concat!("ISV|Keepwell|Keepwell/", env!("CARGO_PKG_VERSION"));
/// Silence after which an answer is given up. There is no limit on the whole: a large answer may take hours (survival 17).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Exchanges with Microsoft at a time, over all mailboxes of a client: a hundred and more mailboxes, and half of the 1,024 file
/// descriptors that a process usually has (survival 26).
pub const EXCHANGES_MAX: usize = 512;

/// Ids that survive a move between folders; on every request to a mailbox, or ids of two kinds get mixed (survival 60).
const IMMUTABLE_IDS: &str = r#"IdType="ImmutableId""#;
const REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The gate after a 429 that names no time.
const THROTTLED_MIN: Duration = Duration::from_secs(1);

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where Entra ID and Graph are.
    pub cloud: Cloud,
    /// The customer's tenant.
    pub tenant: TenantId,
    /// The application's (client) id.
    pub application: String,
    /// How the application proves itself.
    pub credential: Credential,
    /// For all waiting, expiry and windows.
    pub clock: SharedClock,
    /// To be shared by all clients of the process; counts by tenant and application.
    pub governor: Governor,
    /// Seeds jitter and request ids. In production a random number, in a test a fixed one.
    pub seed: u64,
    /// See [`USER_AGENT`].
    pub user_agent: String,
    /// See [`IDLE_TIMEOUT`]. Real time, whatever the clock.
    pub idle_timeout: Duration,
    /// See [`EXCHANGES_MAX`].
    pub exchanges_max: usize,
    /// See [`PAGES_MAX`].
    pub pages_max: usize,
}

impl Options {
    /// The usual options, with a governor of its own.
    #[must_use]
    pub fn new(
        cloud: Cloud,
        tenant: TenantId,
        application: impl Into<String>,
        credential: Credential,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        Self {
            cloud,
            tenant,
            application: application.into(),
            credential,
            governor: Governor::new(Limits::default(), Arc::clone(&clock)),
            clock,
            seed,
            user_agent: USER_AGENT.to_owned(),
            idle_timeout: IDLE_TIMEOUT,
            exchanges_max: EXCHANGES_MAX,
            pages_max: PAGES_MAX,
        }
    }
}

/// An application in a tenant. Clones share everything. Dropping any future it returned cancels the request.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    cloud: Cloud,
    tenant: TenantId,
    application: String,
    tokens: Tokens,
    governor: Governor,
    pages_max: usize,
    wire: Wire,
}

/// What both token requests and Graph requests need to reach the network.
pub(crate) struct Wire {
    pub(crate) transport: Transport,
    pub(crate) clock: SharedClock,
    pub(crate) random: Random,
    pub(crate) meter: Meter,
}

impl Wire {
    /// An id of our own, by which Microsoft's support finds a request.
    pub(crate) fn request_id(&self) -> (HeaderName, HeaderValue) {
        let id = self.random.uuid().to_string();
        let value = HeaderValue::from_str(&id).expect("a UUID is a header value");
        (REQUEST_ID, value)
    }
}

/// What a request weighs for the governor.
pub(crate) struct Load {
    pub(crate) width: u32,
    pub(crate) requests: u64,
    pub(crate) upload_bytes: u64,
}

impl Load {
    fn of(request: &Request) -> Self {
        Self {
            width: 1,
            requests: 1,
            upload_bytes: request.body_bytes() as u64,
        }
    }
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` when the options make no client.
    pub fn new(options: Options) -> Result<Self> {
        let Options {
            cloud,
            tenant,
            application,
            credential,
            clock,
            ..
        } = options;
        let wire = Wire {
            transport: Transport::new(
                &cloud,
                &options.user_agent,
                options.idle_timeout,
                options.exchanges_max,
                Arc::clone(&clock),
            )?,
            clock,
            random: Random::new(options.seed),
            meter: Meter::default(),
        };
        Ok(Self(Arc::new(Inner {
            tokens: Tokens::new(&cloud, tenant.as_str(), &application, credential)?,
            cloud,
            tenant,
            application,
            governor: options.governor,
            pages_max: options.pages_max,
            wire,
        })))
    }

    /// Pages after which a listing is given up.
    pub(crate) fn pages_max(&self) -> usize {
        self.0.pages_max
    }

    /// Sends a request, waits and repeats as far as that is right, and gives the whole successful answer. Where JSON is expected, the body is
    /// JSON, or empty on a status that allows it.
    ///
    /// # Errors
    /// By [`Error::kind`]; every error is final, retries have been made.
    pub async fn send(&self, scope: &Scope, request: Request) -> Result<Response> {
        let load = Load::of(&request);
        self.run(scope, &request, load, |response| whole(&request, response))
            .await
    }

    /// The same for what may be large: a body of more than two megabytes goes to `sink`, and the answer's is then empty. It may be as large as
    /// Microsoft lets anything in a mailbox be.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_into(
        &self,
        scope: &Scope,
        request: Request,
        sink: &mut dyn Sink,
    ) -> Result<Response> {
        let load = Load::of(&request);
        self.run_into(scope, &request, load, Some(sink), |response| {
            whole(&request, response)
        })
        .await
    }

    /// Gets a token if there is none, to learn whether the credential works.
    ///
    /// # Errors
    /// `SignIn` with the AADSTS number, or `Unavailable`.
    pub async fn sign_in(&self) -> Result<()> {
        let lane = self.lane(&Scope::Directory);
        self.0.tokens.get(&self.0.wire, &lane).await.map(drop)
    }

    /// The application permissions that the access token names, which are those that the tenant has granted when it was issued: none when nobody
    /// consented. Gets a token if there is none.
    ///
    /// # Errors
    /// As [`Client::sign_in`]; `BadAnswer` when the token cannot be read.
    pub async fn granted(&self) -> Result<Vec<String>> {
        let lane = self.lane(&Scope::Directory);
        let token = self.0.tokens.get(&self.0.wire, &lane).await?;
        token.roles()
    }

    /// What has been sent and received so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.wire.meter.read()
    }

    /// The requests of this tenant that are held back at the moment, by any client that shares the governor.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let mut waiting = self.0.governor.waiting();
        waiting.retain(|waiting| waiting.tenant == self.0.tenant);
        waiting
    }

    /// The pipeline, for answers that are held whole.
    pub(crate) async fn run<T>(
        &self,
        scope: &Scope,
        request: &Request,
        load: Load,
        accept: impl Fn(Response) -> Result<T>,
    ) -> Result<T> {
        self.run_into(scope, request, load, None, accept).await
    }

    /// The pipeline. `accept` makes the result of a successful answer, or says what is wrong with it.
    async fn run_into<T>(
        &self,
        scope: &Scope,
        request: &Request,
        load: Load,
        mut sink: Option<&mut dyn Sink>,
        accept: impl Fn(Response) -> Result<T>,
    ) -> Result<T> {
        let label = request.label();
        let url = request
            .url(&self.0.cloud)
            .map_err(|error| error.about(&label))?;
        let lane = self.lane(scope);
        let _pass = lane.enter(load.width).await;
        let mut budget = Budget::default();
        loop {
            let begun = self.0.wire.clock.elapsed();
            let turn = lane.turn(load.requests, load.upload_bytes).await;
            let waited = self.0.wire.clock.elapsed().saturating_sub(begun);
            self.0.wire.meter.readings().waited += waited;
            let attempt = self
                .attempt(
                    scope,
                    request,
                    &label,
                    &url,
                    &lane,
                    reborrow(&mut sink),
                    &accept,
                )
                .await;
            drop(turn);
            let Verdict { again, error } = match attempt {
                Ok(done) => return Ok(done),
                Err(verdict) => verdict,
            };
            let Some(wait) = again.and_then(|reason| self.spend(&mut budget, reason)) else {
                return Err(error.about(&label));
            };
            self.0.wire.meter.readings().retries += 1;
            tracing::debug!(request = %label, %error, wait_ms = wait.as_millis(), "asking again");
            lane.pause(WaitCause::Failure, wait).await;
        }
    }

    /// The lane of a scope.
    pub(crate) fn lane(&self, scope: &Scope) -> Arc<Lane> {
        self.0.governor.lane(Key {
            tenant: self.0.tenant.clone(),
            application: self.0.application.clone(),
            scope: scope.clone(),
        })
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.0.wire
    }

    pub(crate) fn spend(&self, budget: &mut Budget, reason: Reason) -> Option<Duration> {
        budget.spend(reason, self.0.wire.random.fraction())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the pipeline's state has no other user"
    )]
    async fn attempt<'a, T>(
        &self,
        scope: &Scope,
        request: &'a Request,
        label: &Label,
        url: &Url,
        lane: &Lane,
        sink: Option<&'a mut dyn Sink>,
        accept: impl Fn(Response) -> Result<T>,
    ) -> Result<T, Verdict> {
        let final_error = |error| Verdict { again: None, error };
        let wire = &self.0.wire;
        let mut headers = headers(wire, scope, request).map_err(final_error)?;
        let token = match request.is_authorized() {
            true => Some(self.0.tokens.get(wire, lane).await.map_err(final_error)?),
            false => None,
        };
        headers.extend(token.as_ref().map(|token| token.header()));
        wire.meter.request(label, request.body_bytes());
        let outgoing = Outgoing {
            method: request.method(),
            url: url.clone(),
            headers,
            body: request.content().map(|(bytes, _)| bytes.clone()),
            answer_max_bytes: request.answer_max_bytes(),
            sink,
        };
        let answer = wire
            .transport
            .exchange(outgoing)
            .await
            .map_err(|failure| judge_failure(request, failure))?;
        wire.meter.readings().bytes_down += answer.bytes;
        let Answer {
            status,
            headers,
            body,
            ..
        } = answer;
        let advice = self.heed(lane, status, &headers);
        if status.is_success() {
            let response = Response {
                status,
                headers,
                body,
            };
            return accept(response).map_err(|error| judge_defect(request, status, error));
        }
        if let Some(token) = token.filter(|_| status == StatusCode::UNAUTHORIZED) {
            self.0.tokens.refuse(&token, &headers).await;
        }
        Err(judge_answer(request, status, Codes::read(&body), advice))
    }

    /// Closes the gate as an answer, or a part of one, asks.
    pub(crate) fn heed(
        &self,
        lane: &Lane,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Advice> {
        let wire = &self.0.wire;
        let advice = Advice::read(status, headers, wire.clock.now());
        if let Some(advice) = advice {
            lane.close(advice.closed());
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            wire.meter.readings().throttled += 1;
            lane.close(THROTTLED_MIN);
        }
        advice
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("tenant", &self.0.tenant)
            .finish_non_exhaustive()
    }
}

/// Lends the sink to one attempt.
fn reborrow<'a>(sink: &'a mut Option<&mut dyn Sink>) -> Option<&'a mut dyn Sink> {
    match sink {
        Some(sink) => Some(&mut **sink),
        None => None,
    }
}

/// The value of `Prefer` for a request in this scope.
pub(crate) fn preference(scope: &Scope, request: &Request) -> Option<String> {
    match scope {
        Scope::Outlook { .. } => request.preference(Some(IMMUTABLE_IDS)),
        Scope::Directory => request.preference(None),
    }
}

fn headers(wire: &Wire, scope: &Scope, request: &Request) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let accepted = if request.expects_json() {
        "application/json"
    } else {
        "*/*"
    };
    headers.insert(ACCEPT, HeaderValue::from_static(accepted));
    headers.extend([wire.request_id()]);
    if let Some(preference) = preference(scope, request) {
        let value = preference.parse().map_err(|error: InvalidHeaderValue| {
            Error::invalid("a preference is no header value").because(error)
        })?;
        headers.insert(PREFER, value);
    }
    if let Some((_, content_type)) = request.content() {
        headers.insert(BODY_TYPE, content_type.clone());
    }
    headers.extend(request.extra_headers().iter().cloned());
    Ok(headers)
}

/// Accepts an answer as it is, once it is what was expected (abuse 35: a page of HTML under status 200).
pub(crate) fn whole(request: &Request, response: Response) -> Result<Response> {
    if !request.expects_json() {
        return Ok(response);
    }
    if response.body.is_empty() {
        return match *request.method() {
            http::Method::GET => Err(Error::bad_answer("the answer is empty")),
            _ => Ok(response),
        };
    }
    response.json::<IgnoredAny>()?;
    Ok(response)
}
