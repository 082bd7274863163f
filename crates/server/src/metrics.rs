//! `/metrics`: what Prometheus and its like ask for, as OpenMetrics text. It is there only where the operator has given a token for it.
//!
//! Counters are of this process and begin at zero with it; what is not over is counted in the database and is that of all processes. No label names an
//! organization, a tenant, an account or a person.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, Method, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use catalog::Backlog;
use graph::{Counters, WaitCause, Waiting};
use jiff::Timestamp;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};
use service::Tally;
use zeroize::Zeroizing;

use crate::{Problem, State, headers, token::equal};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Counts = Family<Labels, Counter>;

/// The requests that were answered, by method, route and status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Counts);

impl Requests {
    fn count(&self, method: &Method, route: Option<&MatchedPath>, status: StatusCode) {
        // What anybody may write is not made a label.
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => {
                method.as_str()
            }
            _ => "other",
        };
        let labels = vec![
            ("method", method.to_owned()),
            (
                "route",
                route.map_or("none", MatchedPath::as_str).to_owned(),
            ),
            ("status", status.as_u16().to_string()),
        ];
        self.0.get_or_create(&labels).inc();
    }
}

/// Counts a request by what it is answered.
pub(crate) async fn count(
    state: State,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let requests = state.requests();
    requests.count(&method, route.as_ref(), response.status());
    response
}

/// The address, for whoever brings the token as `Authorization: Bearer …`. To be merged with [`crate::router`]'s, or served alone where there is no
/// console.
pub fn metrics(state: State, token: Zeroizing<String>) -> Router {
    let token = Arc::new(token);
    let show = move |state: State, headers: HeaderMap| show(state, headers, token);
    Router::new()
        .route("/metrics", get(show))
        .layer(from_fn_with_state(state.clone(), headers::add))
        .with_state(state)
}

async fn show(
    state: State,
    headers: HeaderMap,
    token: Arc<Zeroizing<String>>,
) -> Result<Response, Problem> {
    let shown = headers.get(AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !shown.is_some_and(|shown| equal(shown, &token)) {
        let what = "Send the token that the configuration names as `Authorization: Bearer …`.\n";
        let refused = (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]);
        return Ok((refused.0, refused.1, what).into_response());
    }
    let now = state.clock().now();
    let backlog = state.catalog().backlog(now).await?;
    let service = state.service();
    let mut registry = Registry::with_prefix("keepwell");
    registry.register(
        "build",
        "The program",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    let requests = state.requests().0.clone();
    registry.register("http_requests", "HTTP requests answered", requests);
    add_backlog(&mut registry, &backlog, now);
    add_tally(&mut registry, &service.tally());
    let graph = registry.sub_registry_with_prefix("graph");
    add_requests(graph, &service.requests());
    add_held_back(graph, &service.held_back());
    let text = text(&registry).map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

fn add_backlog(registry: &mut Registry, backlog: &Backlog, now: Timestamp) {
    let help = "Runs with jobs that are not over";
    registry.register("runs", help, ConstGauge::new(backlog.runs));
    let jobs = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    for ((kind, state), count) in &backlog.jobs {
        let labels = vec![
            ("kind", kind.word().to_owned()),
            ("state", state.word().to_owned()),
        ];
        jobs.get_or_create(&labels).set(*count);
    }
    registry.register("jobs", "Jobs that are not over", jobs);
    let overdue = backlog.due_since.map(|since| now.duration_since(since));
    let overdue = overdue.map_or(0.0, |age| age.as_secs_f64().max(0.0));
    let help = "For how long the job has waited that has waited longest for a worker";
    let overdue = ConstGauge::new(overdue);
    registry.register_with_unit("oldest_due_job_age", help, Unit::Seconds, overdue);
    let help = "Items that could not be copied and are tried again";
    registry.register("item_failures", help, ConstGauge::new(backlog.failures));
}

fn add_tally(registry: &mut Registry, tally: &Tally) {
    let jobs = Counts::default();
    for ((kind, result), count) in &tally.jobs {
        let labels = vec![
            ("kind", kind.word().to_owned()),
            ("result", result.word().to_owned()),
        ];
        jobs.get_or_create(&labels).inc_by(*count);
    }
    registry.register("jobs_finished", "Jobs that came to an end here", jobs);
    add(
        registry,
        "items_backed_up",
        "Items that backups wrote",
        tally.items,
    );
    add(
        registry,
        "backed_up_bytes",
        "Bytes of the items that backups wrote, before compression",
        tally.bytes,
    );
}

fn add_requests(registry: &mut Registry, counters: &Counters) {
    let by_kind = |counts: &BTreeMap<String, u64>| {
        let family = Counts::default();
        for (kind, count) in counts {
            let labels = vec![("kind", kind.clone())];
            family.get_or_create(&labels).inc_by(*count);
        }
        family
    };
    let help = "Requests to Microsoft Graph, repetitions included";
    registry.register("requests", help, by_kind(&counters.requests));
    let help = "Requests inside batches";
    registry.register("batched_requests", help, by_kind(&counters.batched));
    for (name, help, value) in [
        (
            "retries",
            "Requests that were repetitions",
            counters.retries,
        ),
        ("throttled", "Answers 429", counters.throttled),
        ("sign_ins", "Token requests to Entra ID", counters.sign_ins),
        ("sent_bytes", "Bytes of requests' bodies", counters.bytes_up),
        (
            "received_bytes",
            "Bytes of answers' bodies",
            counters.bytes_down,
        ),
    ] {
        add(registry, name, help, value);
    }
    let waited = ConstCounter::new(counters.waited.as_secs_f64());
    let help = "For how long requests were held back by Microsoft's limits; of several at a time each counts";
    registry.register_with_unit("waited", help, Unit::Seconds, waited);
}

fn add_held_back(registry: &mut Registry, waiting: &[Waiting]) {
    let family = Family::<Labels, Gauge<u64, AtomicU64>>::default();
    for cause in [
        WaitCause::Throttled,
        WaitCause::Requests,
        WaitCause::Upload,
        WaitCause::Failure,
        WaitCause::SignIn,
    ] {
        let of = waiting.iter().filter(|waiting| waiting.cause == cause);
        let requests: usize = of.map(|waiting| waiting.requests).sum();
        let labels = vec![("cause", word(cause).to_owned())];
        family.get_or_create(&labels).set(requests as u64);
    }
    let help = "Requests that are held back now";
    registry.register("requests_held_back", help, family);
}

fn word(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Throttled => "throttled",
        WaitCause::Requests => "requests",
        WaitCause::Upload => "upload",
        WaitCause::Failure => "failure",
        WaitCause::SignIn => "sign-in",
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}
