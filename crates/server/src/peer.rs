//! Where a request comes from, as far as tries are counted by it.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, request::Parts},
};

use crate::State;

/// The network that a request comes from: an IPv4 address, or the 64 bits of an IPv6 address that one household or office shares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Peer(pub(crate) String);

impl Peer {
    /// Of a request with these extensions and headers.
    pub(crate) fn of(state: &State, extensions: &Extensions, headers: &HeaderMap) -> Self {
        let connection = extensions.get::<ConnectInfo<SocketAddr>>();
        let address = connection.map(|ConnectInfo(address)| address.ip());
        Self(match address {
            Some(address) => network(client(address, state.proxy(), headers)),
            None => String::new(),
        })
    }
}

impl FromRequestParts<State> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Self::Rejection> {
        Ok(Self::of(state, &parts.extensions, &parts.headers))
    }
}

/// The connection's other end, or whom the proxy names last, if it is the proxy that we were told of (abuse 91).
fn client(connected: IpAddr, proxy: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
    if proxy != Some(connected.to_canonical()) {
        return connected;
    }
    let named = headers.get_all("x-forwarded-for").iter().next_back();
    named
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse().ok())
        .unwrap_or(connected)
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// abuse 91: only the proxy that was named is believed, and only the last hop, which it added itself.
    #[test]
    fn forwarded_addresses_are_the_proxys_word_alone() {
        let check = |connected: &str, forwarded: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().expect("a value"));
            let proxy = Some("10.0.0.1".parse().expect("an address"));
            let connected = connected.parse().expect("an address");
            assert_eq!(network(client(connected, proxy, &headers)), expected);
        };
        check("10.0.0.1", "6.6.6.6, 192.0.2.7", "192.0.2.7");
        check("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7");
        check("10.0.0.2", "192.0.2.7", "10.0.0.2");
        check("10.0.0.1", "nonsense", "10.0.0.1");
        check("2001:db8:1:2:3:4:5:6", "192.0.2.7", "2001:db8:1:2::/64");
    }
}
