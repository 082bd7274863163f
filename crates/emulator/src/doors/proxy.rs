//! The proxy's part of a connection: `CONNECT` with the name of one of Microsoft's hosts, as RFC 9110 §9.3.6 has it.
//!
//! Any other name is refused: nothing leaves this machine.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::Site;
use crate::server::Stream;

/// A client that sends its head slower than this is dropped (real time).
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The head of a `CONNECT` is a few hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The host that the client wants, and the way to it. Nothing when it wanted anything else, which it was told.
pub(super) async fn connect(stream: Stream) -> Option<(String, TokioIo<hyper::upgrade::Upgraded>)> {
    let wanted: Mutex<Option<(String, OnUpgrade)>> = Mutex::new(None);
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answer = match host(&request) {
            Ok(host) => {
                let way = (host, hyper::upgrade::on(request));
                *wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
                Response::new(Full::default())
            }
            Err((status, why)) => refuse(status, why),
        };
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the proxy ended early");
    }
    let (host, upgrade) = wanted
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)?;
    let upgraded = upgrade.await.ok()?;
    Some((host, TokioIo::new(upgraded)))
}

/// The host that a request wants to reach, in lower case and without a port; otherwise the refusal.
fn host(request: &Request<Incoming>) -> Result<String, (StatusCode, &'static str)> {
    if request.method() != Method::CONNECT {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "This is a proxy for HTTPS: it takes CONNECT only.\n",
        ));
    }
    let authority = request.uri().authority();
    let host = authority.map(|authority| (authority.host(), authority.port_u16()));
    match host {
        Some((host, Some(443))) if Site::of(host) != Site::Own => Ok(host.to_ascii_lowercase()),
        _ => Err((
            StatusCode::FORBIDDEN,
            "Only Microsoft's hosts are emulated here, at port 443, and nothing is passed on to others.\n",
        )),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(why));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
