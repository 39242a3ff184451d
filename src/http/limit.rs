//! How many requests a caller may make per second, judged on the node by the caller that was authenticated, never by a header that
//! anybody can write. Claims are limited by pass and never by address: a whole district may tap from behind one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::config;
use crate::domain::refusal::{Code, Refusal};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that one meter can tell apart within a second, a power of two; each costs eight bytes, whether or not it comes.
const PLACES: usize = 1 << 19;

/// The kinds of callers, each with its own rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// By API key.
    Office,
    /// By person, claims apart.
    Resident,
    /// Taps, by pass.
    Claim,
    /// By till key.
    Till,
    /// By address, where there is no caller.
    Anonymous,
}

/// One meter for each class.
pub struct Limits {
    office: Meter,
    resident: Meter,
    claim: Meter,
    till: Meter,
    anonymous: Meter,
    hasher: RandomState,
}

impl Limits {
    pub fn new(rates: &config::Limits) -> Limits {
        Limits {
            office: Meter::new("office", rates.rate_office),
            resident: Meter::new("resident", rates.rate_resident),
            claim: Meter::new("claim", rates.rate_claim),
            till: Meter::new("till", rates.rate_till),
            anonymous: Meter::new("anonymous", rates.rate_anonymous),
            hasher: RandomState::new(),
        }
    }

    /// Counts one request of the caller. Only a hash of the caller is remembered, keyed anew by each process.
    pub fn check(&self, class: Class, caller: impl Hash) -> Standing {
        let meter = match class {
            Class::Office => &self.office,
            Class::Resident => &self.resident,
            Class::Claim => &self.claim,
            Class::Till => &self.till,
            Class::Anonymous => &self.anonymous,
        };
        meter.check(self.hasher.hash_one(caller))
    }
}

/// The part of an address that one subscriber holds: all of IPv4, the first 64 bits of IPv6.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// Where a caller stands after one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    name: &'static str,
    per_second: u32,
    remaining: u32,
    /// How long a refused caller waits.
    wait_ms: Option<u64>,
}

impl Standing {
    pub fn refusal(&self) -> Option<Refusal> {
        let wait = self.wait_ms?;
        let limit = serde_json::json!({ "caller": self.name, "requests": self.per_second, "seconds": 1 });
        Some(Refusal::new(Code::RateLimited).retry_after_ms(wait).with("limit", limit))
    }

    /// The headers of draft-ietf-httpapi-ratelimit-headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Standing { name, per_second, remaining, .. } = self;
        let values = [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={per_second};w=1")),
            (RATE_LIMIT, format!("\"{name}\";r={remaining};t=1")),
        ];
        for (header, value) in values {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(header, value);
            }
        }
        if self.wait_ms.is_some() && !headers.contains_key(RETRY_AFTER) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
    }
}

/// The generic cell rate algorithm over a table of fixed size: a place holds, in 20 bits, who came last, and in 44 bits the
/// microsecond from which its allowance is whole again. A caller that finds another one in its place takes it over and starts afresh,
/// so a crowd makes the meter lenient and never larger. (A map of callers grows with the crowd and has to be walked to forget.)
struct Meter {
    name: &'static str,
    per_second: u32,
    places: Box<[AtomicU64]>,
    started: Instant,
}

const WHEN_BITS: u32 = 44;

impl Meter {
    fn new(name: &'static str, per_second: u32) -> Meter {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Meter { name, per_second: per_second.max(1), places, started: Instant::now() }
    }

    fn check(&self, caller: u64) -> Standing {
        self.check_at(caller, self.started.elapsed().as_micros() as u64)
    }

    fn check_at(&self, caller: u64, now: u64) -> Standing {
        let interval = 1_000_000 / u64::from(self.per_second);
        let burst = interval * u64::from(self.per_second);
        let place = &self.places[caller as usize % PLACES];
        let who = caller >> WHEN_BITS;
        let mut held = place.load(Ordering::Relaxed);
        loop {
            let whole = held & ((1 << WHEN_BITS) - 1);
            // A stranger's place, or one that has been whole for long, counts from now.
            let from = if held >> WHEN_BITS == who && whole <= now + burst { whole.max(now) } else { now };
            let next = from + interval;
            if next > now + burst {
                return self.standing(0, Some((next - now - burst).div_ceil(1_000)));
            }
            match place.compare_exchange_weak(held, who << WHEN_BITS | next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return self.standing(((now + burst - next) / interval) as u32, None),
                Err(other) => held = other,
            }
        }
    }

    fn standing(&self, remaining: u32, wait_ms: Option<u64>) -> Standing {
        Standing { name: self.name, per_second: self.per_second, remaining, wait_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_refused_above_its_rate_and_others_are_not() {
        let meter = Meter::new("claim", 20);
        let now = 7_000_000;
        for tap in 0..20 {
            let standing = meter.check_at(1, now);
            assert_eq!((standing.remaining, standing.refusal()), (19 - tap, None));
        }
        let refusal = meter.check_at(1, now).refusal().unwrap();
        assert_eq!(refusal.code, Code::RateLimited);
        assert_eq!(refusal.retry_after_ms, Some(50));
        assert_eq!(meter.check_at(2, now).refusal(), None);
        assert!(meter.check_at(1, now + 49_999).refusal().is_some());
        assert_eq!(meter.check_at(1, now + 50_000).refusal(), None);
        assert!(meter.check_at(1, now + 50_000).refusal().is_some());
        assert_eq!(meter.check_at(1, now + 10_000_000).remaining, 19);
    }

    #[test]
    fn a_flood_of_callers_is_served_and_one_among_them_is_still_held_back() {
        let meter = Meter::new("claim", 20);
        let hasher = RandomState::new();
        let mut passed = 0;
        for step in 0..10_000_u64 {
            let now = step * 100;
            assert_eq!(meter.check_at(hasher.hash_one(step + 1_000), now).refusal(), None);
            passed += u32::from(meter.check_at(hasher.hash_one(7), now).refusal().is_none());
        }
        assert!((20..=60).contains(&passed), "{passed} taps of one pass in a second");
    }

    #[test]
    fn a_refused_caller_reads_its_limit_from_the_headers() {
        let meter = Meter::new("till", 1);
        meter.check(1);
        let mut headers = HeaderMap::new();
        meter.check(1).write(&mut headers);
        assert_eq!(headers.get("ratelimit-policy").unwrap(), "\"till\";q=1;w=1");
        assert_eq!(headers.get("ratelimit").unwrap(), "\"till\";r=0;t=1");
        assert_eq!(headers.get("retry-after").unwrap(), "1");
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
