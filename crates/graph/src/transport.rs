//! One attempt over HTTP: it ends with a whole answer or with a [`Failure`] that says whether the request may have arrived.
//!
//! No redirect is followed, no answer is read beyond its bound, none is accepted short, and whoever sends nothing, or next to nothing, is
//! given up. The limits on silence are real time even where the clock is simulated, because sockets live in real time.

use std::{sync::Once, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header::CONTENT_LENGTH};
use model::SharedClock;
use tokio::{
    sync::Semaphore,
    time::{error::Elapsed, timeout},
};
use url::Url;

use crate::{
    cloud::Cloud,
    error::{Error, Kind},
    sink::{Sink, SinkClosed},
};

/// Connecting takes a few round trips, or does not work.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept: as many as a few busy mailboxes use at a time (survival 26).
const IDLE_CONNECTIONS_MAX: usize = 32;
/// A body may be slow, but after this long it must have come at [`SLOWEST_BYTES_PER_S`] on average (abuse 41, slow drip).
const SLOW_GRACE: Duration = Duration::from_secs(300);
/// A line too slow for this could not back up a mailbox in a year.
const SLOWEST_BYTES_PER_S: u64 = 256;
/// A request's body may go out as slowly as this, and the silence that is given up begins after that: the system takes megabytes off our hands at once,
/// so that nothing else tells what is on its way yet. At this speed a range of an upload takes eight minutes.
const SLOWEST_UPLOAD_BYTES_PER_S: u64 = 8 * 1024;
/// Memory set aside at first for a body, whatever it says about its length.
const RESERVE_MAX_BYTES: usize = 1024 * 1024;
/// A body that may be handed over is handed over in pieces of this size; a smaller one is held. Few mails are larger.
const PIECE_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    idle_timeout: Duration,
    clock: SharedClock,
    /// Each exchange may take a connection, and each connection takes a file descriptor (survival 26).
    places: Semaphore,
}

/// A request as it goes on the wire.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) answer_max_bytes: usize,
    /// Takes a body that is too large to be held.
    pub(crate) sink: Option<&'a mut dyn Sink>,
}

/// A whole answer of whatever status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty when it went to the sink.
    pub(crate) body: Bytes,
    /// The length of the body, wherever it went.
    pub(crate) bytes: u64,
}

/// No whole answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether the service may have carried the request out.
    pub(crate) may_have_arrived: bool,
    /// Whether the next attempt may do better.
    pub(crate) is_passing: bool,
    pub(crate) error: Error,
}

impl Transport {
    pub(crate) fn new(
        cloud: &Cloud,
        user_agent: &str,
        idle_timeout: Duration,
        exchanges_max: usize,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .user_agent(user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .gzip(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true);
        if cloud.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Error::invalid("the HTTP client cannot be set up").because(error))?;
        Ok(Self {
            http,
            idle_timeout,
            clock,
            places: Semaphore::new(exchanges_max.max(1)),
        })
    }

    /// Sends and reads everything. The clock counts as busy meanwhile.
    pub(crate) async fn exchange(&self, outgoing: Outgoing<'_>) -> Result<Answer, Failure> {
        let _place = self
            .places
            .acquire()
            .await
            .expect("the semaphore of a transport is never closed");
        let _busy = self.clock.busy("an exchange with Microsoft");
        let mut request = self
            .http
            .request(outgoing.method.clone(), outgoing.url)
            .headers(outgoing.headers);
        let mut patience = self.idle_timeout;
        if let Some(body) = outgoing.body {
            patience += Duration::from_secs(body.len() as u64 / SLOWEST_UPLOAD_BYTES_PER_S);
            request = request.body(body);
        }
        let sent = timeout(patience, request.send()).await;
        let mut response = sent.map_err(silent)?.map_err(not_sent)?;
        // Errors are small, and whoever sent the request wants to read them.
        let sink = outgoing.sink.filter(|_| response.status().is_success());
        let (body, bytes) = self
            .read_body(&mut response, outgoing.answer_max_bytes, sink)
            .await?;
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
            bytes,
        })
    }

    async fn read_body(
        &self,
        response: &mut reqwest::Response,
        max_bytes: usize,
        mut sink: Option<&mut dyn Sink>,
    ) -> Result<(Bytes, u64), Failure> {
        let declared = response
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let started = self.clock.elapsed();
        let mut body = BytesMut::with_capacity(declared.unwrap_or(0).min(RESERVE_MAX_BYTES));
        let mut handed_over = 0;
        if let Some(sink) = &mut sink {
            sink.begin();
        }
        loop {
            let chunk = timeout(self.idle_timeout, response.chunk()).await;
            let Some(chunk) = chunk.map_err(silent)?.map_err(cut)? else {
                break;
            };
            let length = handed_over + body.len() + chunk.len();
            if length > max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
            if let Some(sink) = &mut sink
                && body.len() >= PIECE_BYTES
            {
                handed_over += body.len();
                sink.take(body.split().freeze()).await.map_err(refused)?;
            }
            let spent = self.clock.elapsed().saturating_sub(started);
            if spent > SLOW_GRACE && (length as u64) < SLOWEST_BYTES_PER_S * spent.as_secs() {
                return Err(passing("the answer came too slowly"));
            }
        }
        let bytes = handed_over + body.len();
        if declared.is_some_and(|length| length != bytes) {
            return Err(passing("the answer is shorter than it says"));
        }
        if let Some(sink) = sink.filter(|_| handed_over > 0) {
            sink.take(body.split().freeze()).await.map_err(refused)?;
        }
        Ok((body.freeze(), bytes as u64))
    }
}

/// The process has one provider of cryptography; whoever comes first sets it, and ring is the only one built in.
fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let already_set = rustls::crypto::ring::default_provider().install_default();
        if already_set.is_err() {
            tracing::debug!("a TLS provider was installed already");
        }
    });
}

fn not_sent(error: reqwest::Error) -> Failure {
    let (arrived, passing, what) = if error.is_builder() {
        (false, false, "the request cannot be made")
    } else if error.is_connect() {
        (false, true, "no connection")
    } else {
        (true, true, "the connection was lost")
    };
    let kind = if passing {
        Kind::Unavailable
    } else {
        Kind::Invalid
    };
    Failure {
        may_have_arrived: arrived,
        is_passing: passing,
        error: Error::new(kind, what).because(error.without_url()),
    }
}

fn silent(_: Elapsed) -> Failure {
    passing("no answer in time")
}

fn cut(error: reqwest::Error) -> Failure {
    let mut failure = passing("the answer was cut off");
    failure.error = failure.error.because(error.without_url());
    failure
}

fn passing(what: &'static str) -> Failure {
    Failure {
        may_have_arrived: true,
        is_passing: true,
        error: Error::new(Kind::Unavailable, what),
    }
}

fn refused(SinkClosed: SinkClosed) -> Failure {
    Failure {
        may_have_arrived: true,
        is_passing: false,
        error: Error::invalid("nobody takes the answer any more"),
    }
}

fn too_large() -> Failure {
    Failure {
        may_have_arrived: true,
        is_passing: false,
        error: Error::bad_answer("the answer is larger than its bound"),
    }
}
