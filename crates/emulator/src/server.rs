//! Connections: HTTP/1.1 and HTTP/2 on any stream, with bounds on everything that a client controls.
//!
//! What it does beyond carrying requests to the gateway is to break connections as fault rules ask: delay, truncation, silence, reset.

mod body;
mod stream;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming as RequestBody;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    GraphError, clock,
    doors::Door,
    gateway::{Gateway, Incoming, Outgoing},
};

use body::AnswerBody;
pub(crate) use stream::{Reset, Stream};

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;
/// Graph takes requests of up to 4 MB; parts of an upload are limited to the same.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Delta links are kilobytes long; far more than that is abuse.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// A client that sends its head or body slower than this is dropped (real time).
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// Serves until `stop` changes or is dropped. Connections that are open then are cut.
pub(crate) async fn run(
    listener: TcpListener,
    door: Door,
    gateway: Arc<Gateway>,
    mut stop: watch::Receiver<()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Some((tcp, place)) = accepted else {
            // Out of file descriptors, or the peer left already: others may still be served.
            clock::wait(Duration::from_millis(10)).await;
            continue;
        };
        let (gateway, door) = (gateway.clone(), door.clone());
        connections.spawn(async move {
            door.serve(tcp, gateway).await;
            drop(place);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    let (tcp, _) = listener.accept().await.ok()?;
    Some((tcp, place))
}

/// Serves what a client asks on a stream until it ends. `origin` is the scheme and host that the client came by, if it does not say itself.
pub(crate) async fn serve<S>(stream: S, origin: String, gateway: Arc<Gateway>, reset: Reset)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let origin: Arc<str> = origin.into();
    let service = hyper::service::service_fn(move |request| {
        let (gateway, reset, origin) = (gateway.clone(), reset.clone(), origin.clone());
        async move { respond(request, &origin, &gateway, &reset).await }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
    // A connection that ends badly is the client's business, or a fault rule's.
    if let Err(error) = builder
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "connection ended early");
    }
}

/// The connection is to be cut instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection reset by a fault rule")]
struct Cut;

async fn respond(
    request: Request<RequestBody>,
    came_by: &str,
    gateway: &Gateway,
    reset: &Reset,
) -> Result<Response<AnswerBody>, Cut> {
    let (parts, body) = request.into_parts();
    let mut incoming = Incoming {
        origin: origin(&parts.headers, &parts.uri, came_by),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        method: parts.method,
        headers: parts.headers,
        body: Bytes::new(),
    };
    let outgoing = match read(body).await {
        Ok(body) => {
            incoming.body = body;
            gateway.answer(&incoming)
        }
        Err(error) => gateway.refuse(&incoming, &error),
    };
    if !gateway.latency.is_zero() {
        gateway.clock.answer_after(gateway.latency).await;
    }
    if outgoing.wire.delay_ms > 0 {
        clock::wait(Duration::from_millis(outgoing.wire.delay_ms)).await;
    }
    if outgoing.wire.reset {
        reset.arm();
        return Err(Cut);
    }
    Ok(response(outgoing))
}

async fn read(body: RequestBody) -> Result<Bytes, GraphError> {
    let limited = Limited::new(body, BODY_BYTES_MAX);
    match tokio::time::timeout(READ_TIMEOUT, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(GraphError::too_large())
        }
        Ok(Err(_)) | Err(_) => Err(GraphError::bad_request(
            "The request body was not complete.",
        )),
    }
}

/// Scheme and host as the client sees them: the scheme of the way it came by, and the host that it wrote.
fn origin(headers: &HeaderMap, uri: &Uri, came_by: &str) -> String {
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or(uri.authority().map(http::uri::Authority::as_str));
    let plain = |host: &&str| {
        !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    };
    match named.filter(plain) {
        Some(host) => {
            let scheme = came_by
                .split_once("://")
                .map_or("http", |(scheme, _)| scheme);
            format!("{scheme}://{host}")
        }
        None => came_by.to_owned(),
    }
}

fn response(outgoing: Outgoing) -> Response<AnswerBody> {
    let length = outgoing.body.len();
    let truncated = outgoing.wire.truncate.is_some();
    let body = AnswerBody::new(outgoing.body, outgoing.wire, outgoing.permit);
    let mut response = Response::new(body);
    *response.status_mut() = outgoing.status;
    *response.headers_mut() = outgoing.headers;
    if truncated {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    response
}
