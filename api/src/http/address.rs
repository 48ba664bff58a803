//! Which address a request comes from, when proxies stand in between.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use poem::{Endpoint, EndpointExt, Request, Response};

use crate::{
    domain::event::Refused,
    error::{Error, Refusal},
    usecase::Core,
};

/// Gives the peer itself; behind a trusted proxy, the rightmost address of `X-Forwarded-For` that is no trusted proxy: what
/// stands further left was written by the caller.
pub fn of(request: &Request, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
    let forwarded = request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    Some(real(peer, &chain, trusted))
}

/// Counts refusals by kind and network.
pub fn with_network(core: Arc<Core>, endpoint: impl Endpoint<Output = Response> + 'static) -> impl Endpoint<Output = Response> {
    let once = Arc::new(std::sync::Once::new());
    endpoint.around(move |endpoint, request| {
        let (core, once) = (core.clone(), once.clone());
        async move {
            if let Some(peer) = unbelieved(&request, &core.config.trusted_proxies) {
                once.call_once(|| tracing::warn!("{}", of_a_stranger(peer)));
            }
            let address = of(&request, &core.config.trusted_proxies);
            let answer = endpoint.call(request).await;
            if let Some(what) = answer.as_ref().err().and_then(|error| error.downcast_ref()).and_then(refused) {
                core.refusals.count(what, address.map(|address| subscriber(address).to_string()));
            }
            answer
        }
    })
}

fn refused(error: &Error) -> Option<Refused> {
    match error {
        Error::Refused(Refusal::Token) => Some(Refused::PairingToken),
        Error::Refused(Refusal::UnknownKey) => Some(Refused::UnknownKey),
        Error::Refused(Refusal::Signature(_)) => Some(Refused::Signature),
        Error::Refused(Refusal::Forbidden) => Some(Refused::WebhookSecret),
        Error::Refused(Refusal::TooMany { .. }) => Some(Refused::TooMany),
        Error::Refused(Refusal::TooManyOfKey { .. }) => Some(Refused::TooManyOfKey),
        Error::Refused(Refusal::NoRoom { .. }) => Some(Refused::NoRoom),
        Error::Refused(Refusal::TooSlow) => Some(Refused::TooSlow),
        Error::Refused(Refusal::TooLarge(_)) => Some(Refused::TooLarge),
        Error::Refused(_) | Error::Database(_) | Error::Internal(_) => None,
    }
}

/// Gives the peer that says where a request comes from and is not believed.
fn unbelieved(request: &Request, trusted: &[IpNet]) -> Option<IpAddr> {
    request.headers().get("x-forwarded-for")?;
    let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
    trusted.iter().all(|net| !net.contains(&peer)).then_some(peer)
}

fn of_a_stranger(peer: IpAddr) -> String {
    format!(
        "{peer} sends X-Forwarded-For and is not in OSM_TRUSTED_PROXIES: if that is your proxy, name it there, or all who come \
         through it count as one address, and one of them can use up what all may do"
    )
}

/// Whom a limit counts: an IPv6 subscriber has a /64 at least, and walks through it at will.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

fn real(peer: IpAddr, chain: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer;
    for hop in chain.iter().rev() {
        if !is_trusted(address) {
            break;
        }
        match hop.parse::<IpAddr>() {
            Ok(hop) => address = hop.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, chain: &[&str]) -> String {
        let trusted = ["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        real(peer.parse().unwrap(), chain, &trusted).to_string()
    }

    #[test]
    fn an_ipv6_subscriber_is_a_network() {
        let subscriber = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(subscriber("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(subscriber("198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["6.6.6.6", "198.51.100.1", "10.1.2.3"]), "198.51.100.1");
        assert_eq!(seen("127.0.0.1", &["6.6.6.6", "not an address"]), "127.0.0.1");
        assert_eq!(seen("127.0.0.1", &[]), "127.0.0.1");
    }
}
