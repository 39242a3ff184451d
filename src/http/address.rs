//! The address of a caller. Behind a proxy every connection comes from the proxy, which writes down whom it speaks for; anybody can write
//! that header, so it is believed only of the proxies that the settings name.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

use crate::config::TrustedProxies;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The right-most address that is not a trusted proxy's: what stands left of it was written by somebody whom nobody vouches for.
pub fn caller(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut address = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        if !trusted.contains(address) {
            break;
        }
        let Some(before) = parse(hop.trim()) else { break };
        address = before.to_canonical();
    }
    address
}

/// The part of an address that one subscriber holds: all of IPv4, the first 64 bits of IPv6.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// An address, which some proxies write with a port, and then IPv6 in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn only_trusted_proxies_say_whom_they_speak_for() {
        let trusted: TrustedProxies = "10.0.0.0/8, 2001:db8:1::/48, 192.0.2.7".parse().expect("networks");
        let check = |peer: &str, lines: &[&'static str], expected: &str| {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_static(FORWARDED_FOR);
            lines.iter().for_each(|line| headers.append(name.clone(), HeaderValue::from_static(line)));
            let found = caller(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        };
        check("198.51.100.1", &["203.0.113.9"], "198.51.100.1");
        check("10.1.2.3", &[], "10.1.2.3");
        check("10.1.2.3", &["203.0.113.9"], "203.0.113.9");
        check("::ffff:10.1.2.3", &["::ffff:203.0.113.9"], "203.0.113.9");
        check("10.1.2.3", &["1.1.1.1, 203.0.113.9"], "203.0.113.9");
        check("10.1.2.3", &["1.1.1.1", "203.0.113.9 , 10.9.9.9"], "203.0.113.9");
        check("192.0.2.7", &["203.0.113.9, 192.0.2.8"], "192.0.2.8");
        check("10.1.2.3", &["203.0.113.9, unknown, 10.9.9.9"], "10.9.9.9");
        check("10.1.2.3", &["10.4.4.4, 10.9.9.9"], "10.4.4.4");
        check("2001:db8:1::2", &["[2001:db8:2::3]:443, 192.0.2.7:80"], "2001:db8:2::3");
        check("2001:db8:1::2", &["[2001:db8:2::3]"], "2001:db8:2::3");
        check("10.1.2.3", &[""], "10.1.2.3");
    }

    #[test]
    fn an_ipv6_subscriber_is_one_caller_whatever_the_last_64_bits() {
        let check = |left: &str, right: &str, same: bool| {
            let [left, right] = [left, right].map(|text| subscriber(text.parse().unwrap()));
            assert_eq!(left == right, same, "{left} {right}");
        };
        check("2001:db8::1", "2001:db8::2:3", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
        check("192.0.2.1", "192.0.2.2", false);
        check("::ffff:192.0.2.1", "192.0.2.1", true);
    }
}
