//! Listening: plain or by TLS, with time limits for whoever sends slowly, and an end that lets answers be finished.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_util::sync::CancellationToken;

/// Answers that are under way have this long to be finished, of the ten seconds after which a process is killed (abuse 67).
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// Whoever has not sent a request's head by then is given up (abuse 97).
const HEAD_MAX: Duration = Duration::from_secs(10);

/// A certificate with its key, ready for use.
pub type Tls = Arc<ServerConfig>;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate, or no key, in what was given.
    #[error("it holds no PEM certificate chain with its private key")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// They do not belong together, or are of a kind that TLS does not know.
    #[error("certificate and key cannot be used together")]
    Unusable(#[source] rustls::Error),
}

/// Serves until it is told to stop, then lets answers be finished, for eight seconds at most. `listener` must not block.
///
/// # Errors
/// When the listener does not work.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    stop: CancellationToken,
) -> io::Result<()> {
    let handle = Handle::<SocketAddr>::new();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = {
        let handle = handle.clone();
        async move {
            stop.cancelled().await;
            handle.graceful_shutdown(Some(DRAIN_MAX));
            std::future::pending().await
        }
    };
    let serving = async {
        match tls {
            Some(tls) => {
                let mut server =
                    axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(tls))?
                        .handle(handle);
                server
                    .http_builder()
                    .http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_MAX);
                server.serve(service).await
            }
            None => {
                let mut server = axum_server::from_tcp(listener)?.handle(handle);
                server
                    .http_builder()
                    .http1()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_MAX);
                server.serve(service).await
            }
        }
    };
    tokio::select! {
        served = serving => served,
        never = stopping => never,
    }
}

/// What TLS needs, from a certificate chain and its private key in PEM.
///
/// # Errors
/// When they cannot be read, or do not belong together.
pub fn tls(chain_pem: &[u8], key_pem: &[u8]) -> Result<Tls, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(TlsError::Pem)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
