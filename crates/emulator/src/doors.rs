//! The front doors: plain HTTP, HTTPS, and an HTTP proxy behind which Microsoft's hosts have their own names.
//!
//! Whatever the door, what is inside is the same gateway. Through the first two a client finds every service by its path; through the proxy by its
//! name, as it does in the world. Nothing is ever carried further than to this emulator.

mod authority;
mod proxy;
mod sites;

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::{
    gateway::Gateway,
    server::{self, Stream},
};

pub(crate) use authority::CertificateAuthority;
pub(crate) use sites::{Site, sibling};

/// What stands behind a port.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// HTTP without TLS.
    Http,
    /// HTTPS under the address that it listens on.
    Https(Arc<CertificateAuthority>),
    /// A proxy: `CONNECT` to one of Microsoft's hosts.
    Proxy(Arc<CertificateAuthority>),
}

impl Door {
    /// Serves a connection until it ends.
    pub(crate) async fn serve(&self, tcp: TcpStream, gateway: Arc<Gateway>) {
        // Small answers should not wait for more.
        let _ = tcp.set_nodelay(true);
        let Ok(local) = tcp.local_addr() else { return };
        let (stream, reset) = Stream::new(tcp);
        match self {
            Self::Http => {
                let origin = format!("http://{local}");
                server::serve(stream, origin, gateway, reset).await;
            }
            Self::Https(authority) => {
                let name = local.ip().to_string();
                if let Some(stream) = authority.welcome(&name, stream).await {
                    server::serve(stream, format!("https://{local}"), gateway, reset).await;
                }
            }
            Self::Proxy(authority) => {
                let Some((host, stream)) = proxy::connect(stream).await else {
                    return;
                };
                if let Some(stream) = authority.welcome(&host, stream).await {
                    server::serve(stream, format!("https://{host}"), gateway, reset).await;
                }
            }
        }
    }
}
