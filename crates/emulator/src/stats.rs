//! What the emulator has done so far, and the hook that sees every exchange.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests over HTTP, a batch counted once.
    pub requests: u64,
    /// Requests to Graph by route, for example `GET /users/{user}`, those inside batches included; what matched no route is under `unknown`.
    pub by_route: BTreeMap<String, u64>,
    /// Answers by status, those inside batches included.
    pub by_status: BTreeMap<u16, u64>,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
    /// Requests that were throttled.
    pub throttled: u64,
    /// The most requests that one application had under way in one mailbox at a time, those included that were refused for being too many. Counted
    /// only under throttling.
    pub together_max: u64,
    /// How often the fault rules that are in force struck.
    pub faults: u64,
}

impl Stats {
    /// Requests of a route, for example `GET /users/{user}`.
    #[must_use]
    pub fn route(&self, name: &str) -> u64 {
        self.by_route.get(name).copied().unwrap_or(0)
    }
}

/// One request and its answer, as the emulator meant it: faults on the wire (truncation, reset) come after.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Whether it was part of a batch.
    pub in_batch: bool,
    /// Whether a fault rule replaced or changed the answer, so that it need not be as Microsoft's.
    pub faulty: bool,
    /// The route's template, if one matched.
    pub template: Option<&'static str>,
    /// The method.
    pub method: Method,
    /// The path as it was sent; for a part of a batch with `/v1.0` in front.
    pub path: String,
    /// The query as it was sent, without `?`.
    pub query: String,
    /// The request's headers.
    pub request_headers: HeaderMap,
    /// The request's body.
    pub request_body: Bytes,
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The answer's body.
    pub body: Bytes,
}

/// Sees every exchange before the answer is sent. It runs inside the request, so that it should be quick.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Exchange) + Send + Sync>);

impl Observer {
    /// An observer that calls this function.
    pub fn new(observe: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(crate) fn see(&self, exchange: &Exchange) {
        (self.0)(exchange);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Stats>);

impl Counters {
    pub(crate) fn request(&self, bytes_in: usize) {
        self.with(|stats| {
            stats.requests += 1;
            stats.bytes_in += as_u64(bytes_in);
        });
    }

    pub(crate) fn route(&self, method: &Method, template: Option<&str>) {
        let name = template.map_or_else(
            || "unknown".to_owned(),
            |template| format!("{method} {template}"),
        );
        self.with(|stats| *stats.by_route.entry(name).or_default() += 1);
    }

    pub(crate) fn status(&self, status: StatusCode) {
        self.with(|stats| *stats.by_status.entry(status.as_u16()).or_default() += 1);
    }

    pub(crate) fn sent(&self, bytes_out: usize) {
        self.with(|stats| stats.bytes_out += as_u64(bytes_out));
    }

    pub(crate) fn read(&self) -> Stats {
        self.with(|stats| stats.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Stats) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
