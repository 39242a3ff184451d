//! How many requests a caller may make per second, judged on the node by the caller that was authenticated, never by a header that
//! anybody can write. Claims are limited by pass and never by address: a whole district may tap from behind one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::config;
use crate::domain::refusal::{Code, Refusal};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Callers that one meter can tell apart within a second, a power of two; each costs eight bytes, whether or not it comes.
const PLACES: usize = 1 << 19;

/// Seconds in which pay codes of one person are counted, and how many of them there may be for each request a second that a resident has.
const PAY_CODE_SECONDS: u32 = 1_800;
const PAY_CODES_PER_RATE: u32 = 5;

/// Seconds in which the wrong pay codes of one key are counted, and how many a key with many tills may send in them.
const GUESS_SECONDS: u32 = 60;
const GUESSES: u32 = 600;

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
    /// Pay codes made, by person.
    PayCode,
    /// Pay codes that nobody has, by till key: the more of the allowance each takes, the fewer tills sign with the key.
    Guess { each: u32 },
    /// By address, where there is no caller.
    Anonymous,
}

/// One meter for each class.
pub struct Limits {
    office: Meter,
    resident: Meter,
    claim: Meter,
    till: Meter,
    pay_code: Meter,
    guess: Meter,
    anonymous: Meter,
    hasher: RandomState,
}

impl Limits {
    pub fn new(rates: &config::Limits) -> Limits {
        Limits {
            office: Meter::new("office", rates.rate_office, 1),
            resident: Meter::new("resident", rates.rate_resident, 1),
            claim: Meter::new("claim", rates.rate_claim, 1),
            till: Meter::new("till", rates.rate_till, 1),
            pay_code: Meter::new("pay_code", rates.rate_resident.saturating_mul(PAY_CODES_PER_RATE), PAY_CODE_SECONDS),
            guess: Meter::new("guess", GUESSES, GUESS_SECONDS),
            anonymous: Meter::new("anonymous", rates.rate_anonymous, 1),
            hasher: RandomState::new(),
        }
    }

    /// Counts one request of the caller. Only a hash of the caller is remembered, keyed anew by each process.
    pub fn check(&self, class: Class, caller: impl Hash) -> Standing {
        let (meter, each) = self.meter(class);
        meter.check(self.hasher.hash_one(caller), each)
    }

    /// Where the caller would stand with one more, which is not counted.
    pub fn look(&self, class: Class, caller: impl Hash) -> Standing {
        let (meter, each) = self.meter(class);
        meter.look(self.hasher.hash_one(caller), each)
    }

    /// Takes back what was counted of a request that has turned out not to be of this class.
    pub fn give_back(&self, class: Class, caller: impl Hash) {
        let (meter, each) = self.meter(class);
        meter.give_back(self.hasher.hash_one(caller), each);
    }

    fn meter(&self, class: Class) -> (&Meter, u32) {
        match class {
            Class::Office => (&self.office, 1),
            Class::Resident => (&self.resident, 1),
            Class::Claim => (&self.claim, 1),
            Class::Till => (&self.till, 1),
            Class::PayCode => (&self.pay_code, 1),
            Class::Guess { each } => (&self.guess, each.clamp(1, GUESSES)),
            Class::Anonymous => (&self.anonymous, 1),
        }
    }
}

/// Where a caller stands after one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    name: &'static str,
    requests: u32,
    seconds: u32,
    remaining: u32,
    /// How long a refused caller waits.
    wait_ms: Option<u64>,
}

impl Standing {
    pub fn refusal(&self) -> Option<Refusal> {
        let wait = self.wait_ms?;
        let limit = serde_json::json!({ "caller": self.name, "requests": self.requests, "seconds": self.seconds });
        Some(Refusal::new(Code::RateLimited).retry_after_ms(wait).with("limit", limit))
    }

    /// The headers of draft-ietf-httpapi-ratelimit-headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Standing { name, requests, seconds, remaining, .. } = self;
        let values = [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={requests};w={seconds}")),
            (RATE_LIMIT, format!("\"{name}\";r={remaining};t={seconds}")),
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
    /// Requests in so many seconds, all of which may come at once.
    requests: u32,
    seconds: u32,
    /// Microseconds for which one request takes part of the allowance.
    interval: u64,
    places: Box<[AtomicU64]>,
    started: Instant,
}

const WHEN_BITS: u32 = 44;

impl Meter {
    fn new(name: &'static str, requests: u32, seconds: u32) -> Meter {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        let requests = requests.max(1);
        let interval = (1_000_000 * u64::from(seconds) / u64::from(requests)).max(1);
        Meter { name, requests, seconds, interval, places, started: Instant::now() }
    }

    fn check(&self, caller: u64, each: u32) -> Standing {
        self.check_at(caller, each, self.now())
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn burst(&self) -> u64 {
        self.interval * u64::from(self.requests)
    }

    fn check_at(&self, caller: u64, each: u32, now: u64) -> Standing {
        let (place, who) = self.place(caller);
        let mut held = place.load(Ordering::Relaxed);
        loop {
            let (next, standing) = self.judge(held, who, each, now);
            if standing.wait_ms.is_some() {
                return standing;
            }
            match place.compare_exchange_weak(held, who << WHEN_BITS | next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return standing,
                Err(other) => held = other,
            }
        }
    }

    fn look(&self, caller: u64, each: u32) -> Standing {
        let (place, who) = self.place(caller);
        self.judge(place.load(Ordering::Relaxed), who, each, self.now()).1
    }

    /// A caller's place, and its name in it.
    fn place(&self, caller: u64) -> (&AtomicU64, u64) {
        (&self.places[caller as usize % PLACES], caller >> WHEN_BITS)
    }

    /// From when on the allowance would be whole again after one more, and where that leaves the caller.
    fn judge(&self, held: u64, who: u64, each: u32, now: u64) -> (u64, Standing) {
        let (cost, burst) = (self.interval * u64::from(each), self.burst());
        let whole = held & ((1 << WHEN_BITS) - 1);
        // A stranger's place, or one that has been whole for long, counts from now.
        let from = if held >> WHEN_BITS == who && whole <= now + burst { whole.max(now) } else { now };
        let next = from + cost;
        let over = next.checked_sub(now + burst).filter(|over| *over > 0);
        let remaining = if over.is_some() { 0 } else { (now + burst - next) / cost };
        let wait_ms = over.map(|over| over.div_ceil(1_000));
        let Meter { name, requests, seconds, .. } = *self;
        (next, Standing { name, requests: requests / each, seconds, remaining: remaining as u32, wait_ms })
    }

    /// What stands under somebody else's name meanwhile is theirs and stays.
    fn give_back(&self, caller: u64, each: u32) {
        let (place, who) = self.place(caller);
        let cost = self.interval * u64::from(each);
        let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let whole = held & ((1 << WHEN_BITS) - 1);
            (held >> WHEN_BITS == who).then(|| who << WHEN_BITS | whole.saturating_sub(cost))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_refused_above_its_rate_and_others_are_not() {
        let meter = Meter::new("claim", 20, 1);
        let now = 7_000_000;
        for tap in 0..20 {
            let standing = meter.check_at(1, 1, now);
            assert_eq!((standing.remaining, standing.refusal()), (19 - tap, None));
        }
        let refusal = meter.check_at(1, 1, now).refusal().unwrap();
        assert_eq!(refusal.code, Code::RateLimited);
        assert_eq!(refusal.retry_after_ms, Some(50));
        assert_eq!(meter.check_at(2, 1, now).refusal(), None);
        assert!(meter.check_at(1, 1, now + 49_999).refusal().is_some());
        assert_eq!(meter.check_at(1, 1, now + 50_000).refusal(), None);
        assert!(meter.check_at(1, 1, now + 50_000).refusal().is_some());
        assert_eq!(meter.check_at(1, 1, now + 10_000_000).remaining, 19);
    }

    #[test]
    fn a_flood_of_callers_is_served_and_one_among_them_is_still_held_back() {
        let meter = Meter::new("claim", 20, 1);
        let hasher = RandomState::new();
        let mut passed = 0;
        for step in 0..10_000_u64 {
            let now = step * 100;
            assert_eq!(meter.check_at(hasher.hash_one(step + 1_000), 1, now).refusal(), None);
            passed += u32::from(meter.check_at(hasher.hash_one(7), 1, now).refusal().is_none());
        }
        assert!((20..=60).contains(&passed), "{passed} taps of one pass in a second");
    }

    #[test]
    fn a_refused_caller_reads_its_limit_from_the_headers() {
        let meter = Meter::new("till", 1, 1);
        meter.check(1, 1);
        let mut headers = HeaderMap::new();
        meter.check(1, 1).write(&mut headers);
        assert_eq!(headers.get("ratelimit-policy").unwrap(), "\"till\";q=1;w=1");
        assert_eq!(headers.get("ratelimit").unwrap(), "\"till\";r=0;t=1");
        assert_eq!(headers.get("retry-after").unwrap(), "1");
    }

    #[test]
    fn an_allowance_is_shared_by_what_costs_more_of_it_and_given_back_as_it_was_taken() {
        let (meter, now) = (Meter::new("guess", 600, 60), 7_000_000);
        for n in 1..=60 {
            let standing = meter.check_at(1, 10, now);
            assert_eq!((standing.requests, standing.seconds, standing.remaining), (60, 60, 60 - n));
        }
        assert_eq!(meter.check_at(1, 10, now).refusal().unwrap().retry_after_ms, Some(1_000));
        meter.give_back(1, 10);
        meter.give_back(2, 10);
        assert_eq!(meter.check_at(1, 10, now).remaining, 0);
        assert!(meter.check_at(1, 10, now).refusal().is_some());
        assert_eq!(meter.check_at(2, 1, now).remaining, 599);
    }
}
