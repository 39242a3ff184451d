//! How many requests a caller may make per second, judged on the node by the caller that was authenticated, never by a header that
//! anybody can write. Claims are limited by pass and never by address: a whole district may tap from behind one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config;
use crate::domain::refusal::{Code, Refusal};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that one meter remembers; more are forgotten, which lets them start afresh but never grows the memory.
const REMEMBERED: usize = 200_000;
/// How often a meter looks at its size.
const LOOK_EVERY: u32 = 4_096;

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
            office: Meter::new("office", rates.rate_office, REMEMBERED),
            resident: Meter::new("resident", rates.rate_resident, REMEMBERED),
            claim: Meter::new("claim", rates.rate_claim, REMEMBERED),
            till: Meter::new("till", rates.rate_till, REMEMBERED),
            anonymous: Meter::new("anonymous", rates.rate_anonymous, REMEMBERED),
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

type Limiter = RateLimiter<u64, DashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>;

struct Meter {
    name: &'static str,
    per_second: NonZeroU32,
    remembered: usize,
    limiter: ArcSwap<Limiter>,
    checks: AtomicU32,
}

impl Meter {
    fn new(name: &'static str, per_second: u32, remembered: usize) -> Meter {
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        Meter { name, per_second, remembered, limiter: ArcSwap::new(fresh(per_second)), checks: AtomicU32::new(0) }
    }

    fn check(&self, caller: u64) -> Standing {
        if self.checks.fetch_add(1, Ordering::Relaxed) % LOOK_EVERY == LOOK_EVERY - 1 {
            self.forget();
        }
        let limiter = self.limiter.load();
        let (remaining, wait_ms) = match limiter.check_key(&caller) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                (0, Some(wait.as_millis() as u64 + 1))
            }
        };
        Standing { name: self.name, per_second: self.per_second.get(), remaining, wait_ms }
    }

    /// governor keeps every key it has met: those that are back at their full allowance are dropped, and if that does not help
    /// (a flood of callers within one second) all are.
    fn forget(&self) {
        let limiter = self.limiter.load();
        if limiter.len() <= self.remembered {
            return;
        }
        limiter.retain_recent();
        if limiter.len() > self.remembered {
            self.limiter.store(fresh(self.per_second));
        }
    }
}

fn fresh(per_second: NonZeroU32) -> Arc<Limiter> {
    Arc::new(RateLimiter::dashmap(Quota::per_second(per_second)).with_middleware())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_refused_above_its_rate_and_others_are_not() {
        let meter = Meter::new("claim", 20, 100);
        for tap in 0..20 {
            let standing = meter.check(1);
            assert_eq!((standing.remaining, standing.refusal()), (19 - tap, None));
        }
        let refusal = meter.check(1).refusal().unwrap();
        assert_eq!(refusal.code, Code::RateLimited);
        assert!((1..=51).contains(&refusal.retry_after_ms.unwrap()), "{refusal:?}");
        assert_eq!(meter.check(2).refusal(), None);
    }

    #[test]
    fn a_flood_of_callers_does_not_grow_the_memory() {
        let meter = Meter::new("anonymous", 1, 1_000);
        for caller in 0..100_000 {
            meter.check(caller);
        }
        assert!(meter.limiter.load().len() <= 1_000 + LOOK_EVERY as usize);
    }

    #[test]
    fn a_refused_caller_reads_its_limit_from_the_headers() {
        let meter = Meter::new("till", 1, 10);
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
