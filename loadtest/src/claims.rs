//! The books of the taps: who was told of which pack, and what the server says of it afterwards.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;

use crate::Fault;
use crate::campaign::Round;
use crate::crowd::Crowd;
use crate::engine::{Answer, Lost, Target};
use crate::meter::Class;
use crate::settle::{Word, settle, word};

#[derive(Deserialize)]
struct Tap<'a> {
    #[serde(borrow)]
    outcome: &'a str,
    #[serde(borrow)]
    pack: Option<Pack<'a>>,
    retry_after_ms: Option<u64>,
    /// After the close: what has become of it.
    result: Option<&'a str>,
}

#[derive(Deserialize)]
struct Pack<'a> {
    #[serde(borrow)]
    pack_no: &'a str,
}

#[derive(Deserialize)]
struct Mine<'a> {
    #[serde(borrow)]
    result: &'a str,
    credited: Option<bool>,
    #[serde(borrow)]
    pack: Option<Pack<'a>>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    code: &'a str,
    #[serde(borrow)]
    outcome: Option<&'a str>,
    retryable: Option<bool>,
}

/// What an answer means to its caller.
pub struct Told {
    pub class: Class,
    /// Milliseconds until the next tap makes sense.
    pub retry_after_ms: Option<u64>,
}

/// What every caller makes of an answer that is no success; `None` for a success.
pub fn refused(outcome: &Result<Answer<'_>, Lost>) -> Option<Class> {
    let Ok(answer) = outcome else { return Some(Class::Unknown) };
    if answer.status < 300 {
        return None;
    }
    let problem = serde_json::from_slice::<Problem<'_>>(answer.body).ok();
    Some(match answer.status {
        503 if problem.is_some_and(|problem| problem.outcome == Some("not_applied")) => Class::Shed,
        503 => Class::Unknown,
        429 => Class::Limited,
        _ => Class::Error,
    })
}

/// Whether an answer that sheds says all that a caller must know: the code, that nothing happened, that and when to try again.
pub fn shed_is_complete(answer: &Answer<'_>) -> bool {
    let problem = serde_json::from_slice::<Problem<'_>>(answer.body).ok();
    let known = problem.is_some_and(|problem| {
        matches!(problem.code, "overloaded" | "store_unavailable")
            && problem.outcome == Some("not_applied")
            && problem.retryable == Some(true)
    });
    known && answer.header("retry-after").is_some_and(|seconds| seconds.trim().parse::<u32>().is_ok())
}

/// Packs that were acknowledged. A pack is remembered by a hash of its number: 8 bytes a person.
pub struct Claims {
    hasher: RandomState,
    packs: HashMap<u64, u64>,
    pub double: u64,
}

impl Default for Claims {
    fn default() -> Claims {
        Claims { hasher: RandomState::new(), packs: HashMap::new(), double: 0 }
    }
}

impl Claims {
    /// Enters the answer to a person's tap.
    pub fn told(&mut self, person: u64, outcome: &Result<Answer<'_>, Lost>) -> Told {
        if let Some(class) = refused(outcome) {
            return Told { class, retry_after_ms: None };
        }
        let tap = outcome.as_ref().ok().and_then(|answer| serde_json::from_slice::<Tap<'_>>(answer.body).ok());
        let Some(tap) = tap else { return Told { class: Class::Error, retry_after_ms: None } };
        if let Some(pack) = &tap.pack {
            self.acknowledged(person, pack.pack_no);
        }
        let class = match (tap.outcome, tap.result) {
            ("won", _) if tap.pack.is_some() => Class::Won,
            ("not_yet", _) | ("closed", Some("pending")) => Class::NotYet,
            ("closed", Some("won")) => Class::Won,
            ("lost" | "sold_out" | "closed", _) => Class::Lost,
            _ => Class::Error,
        };
        Told { class, retry_after_ms: tap.retry_after_ms.filter(|_| class == Class::NotYet) }
    }

    /// A person was told of a pack: another one than before is a double.
    fn acknowledged(&mut self, person: u64, pack_no: &str) {
        let pack = self.hasher.hash_one(pack_no);
        if self.packs.insert(person, pack).is_some_and(|known| known != pack) {
            self.double += 1;
        }
    }

    pub fn winners(&self) -> usize {
        self.packs.len()
    }

    /// Packs that two people were told of.
    fn shared(&self) -> u64 {
        let mut packs: Vec<u64> = self.packs.values().copied().collect();
        packs.sort_unstable();
        packs.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64
    }

    /// Asks for every pack that was acknowledged: how many are not there (any more), with doubles entered.
    pub fn check(&mut self, target: &Target, crowd: &Crowd, round: &Round) -> Result<u64, Fault> {
        self.double += self.shared();
        let request = crowd.request("GET", &format!("/rounds/{}/claims/mine", round.id));
        // Who may hold a pack of each kind is shown one of them, not always the one that was tapped for.
        let one_pack = round.choices.is_empty();
        let people = self.packs.keys().copied().collect();
        let (mut lost, mut double) = (0, 0);
        let make = |person, out: &mut Vec<u8>| {
            request.write(out, &["Bearer ", &crowd.people.token(person)], b"");
        };
        settle(target, "claims/mine", people, make, |person, outcome| {
            if word(&outcome) == Word::AskAgain {
                return Word::AskAgain;
            }
            let mine = outcome.as_ref().ok().and_then(|answer| serde_json::from_slice::<Mine<'_>>(answer.body).ok());
            let told = self.packs.get(&person);
            match mine {
                Some(Mine { result: "won", credited: Some(true), pack: Some(pack) }) => {
                    double += u64::from(one_pack && told != Some(&self.hasher.hash_one(pack.pack_no)));
                }
                _ => lost += 1,
            }
            Word::Final
        })?;
        self.double += double;
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn won(pack_no: &str) -> Vec<u8> {
        let body = format!(r#"{{"outcome":"won","pack":{{"pack_no":"{pack_no}","pack_id":"a"}}}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn tell(claims: &mut Claims, person: u64, bytes: &[u8]) -> Class {
        crate::engine::first(bytes, |answer| claims.told(person, &Ok(answer)).class).unwrap().unwrap().1
    }

    #[test]
    fn a_repeat_that_says_the_same_is_no_double() {
        let mut claims = Claims::default();
        for _ in 0..3 {
            assert_eq!(tell(&mut claims, 7, &won("c1-1")), Class::Won);
        }
        assert_eq!((claims.double, claims.shared(), claims.winners()), (0, 0, 1));
    }

    #[test]
    fn a_second_pack_for_a_person_is_a_double_and_so_is_a_pack_for_two() {
        let mut claims = Claims::default();
        tell(&mut claims, 7, &won("c1-1"));
        tell(&mut claims, 7, &won("c1-2"));
        assert_eq!((claims.double, claims.shared()), (1, 0));
        tell(&mut claims, 8, &won("c1-2"));
        assert_eq!((claims.double, claims.shared()), (1, 1));
    }

    fn problem(status: u16, headers: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_shed_tap_must_say_that_nothing_happened_and_when_to_come_again() {
        let body = r#"{"code":"overloaded","outcome":"not_applied","retryable":true}"#;
        let complete =
            |bytes: &[u8]| crate::engine::first(bytes, |answer| shed_is_complete(&answer)).unwrap().unwrap().1;
        assert!(complete(&problem(503, "retry-after: 2\r\n", body)));
        assert!(!complete(&problem(503, "", body)));
        assert!(!complete(&problem(503, "retry-after: 2\r\n", &body.replace("not_applied", "unknown"))));
        assert!(!complete(&problem(503, "retry-after: 2\r\n", "")));
    }

    #[test]
    fn a_503_without_a_word_on_its_outcome_is_unknown() {
        let mut claims = Claims::default();
        let timeout = r#"{"code":"store_timeout","outcome":"unknown","retryable":true}"#;
        assert_eq!(tell(&mut claims, 1, &problem(503, "", timeout)), Class::Unknown);
        assert_eq!(tell(&mut claims, 1, &problem(503, "", "")), Class::Unknown);
        assert_eq!(tell(&mut claims, 1, &problem(429, "", "")), Class::Limited);
        assert_eq!(tell(&mut claims, 1, &problem(500, "", "")), Class::Error);
        assert_eq!(claims.told(1, &Err(Lost::Closed)).class, Class::Unknown);
    }
}
