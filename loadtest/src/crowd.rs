//! The residents of a run: who has reserved, and the passes they tap with.

use serde::Deserialize;

use crate::Fault;
use crate::campaign::{Campaign, Round};
use crate::dice::dice;
use crate::engine::{Answer, Request, Target};
use crate::people::People;
use crate::settle::{Word, settle, word};

pub struct Crowd {
    pub people: People,
    pub population: u64,
    host: String,
    campaign_path: String,
    consent_version: Option<String>,
    seed: u64,
    passes: Vec<Option<Box<str>>>,
}

#[derive(Deserialize)]
struct Reserved<'a> {
    #[serde(borrow)]
    pass: &'a str,
}

#[derive(Deserialize, Default)]
struct Wallet {
    vouchers: Vec<InWallet>,
}

#[derive(Deserialize)]
struct InWallet {
    state: String,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    code: &'a str,
}

/// The code of a problem, empty when the body is none.
pub fn code<'a>(answer: &Answer<'a>) -> &'a str {
    serde_json::from_slice::<Problem<'a>>(answer.body).map(|problem| problem.code).unwrap_or_default()
}

impl Crowd {
    pub fn new(people: People, population: u64, host: &str, campaign: &Campaign, seed: u64) -> Crowd {
        Crowd {
            people,
            population,
            host: host.to_owned(),
            campaign_path: format!("/v1/campaigns/{}", campaign.id),
            consent_version: campaign.consent_version.clone(),
            seed,
            passes: vec![None; population as usize],
        }
    }

    /// What the person chooses in the round, where there is something to choose; always the same.
    pub fn choice<'r>(&self, round: &'r Round, person: u64) -> Option<&'r str> {
        let index = dice(self.seed, 4, person).checked_rem(round.choices.len() as u64)?;
        round.choices.get(index as usize).map(String::as_str)
    }

    pub fn request(&self, method: &'static str, rest: &str) -> Request {
        Request::new(method, &self.host, format!("{}{rest}", self.campaign_path))
    }

    /// The body of a reservation.
    pub fn wish(&self, round: &Round, person: u64) -> String {
        let mut body = format!(r#"{{"round_id":"{}""#, round.id);
        if let Some(consent) = &self.consent_version {
            body.push_str(&format!(r#","consent_version":"{consent}""#));
        }
        if let Some(pack) = self.choice(round, person) {
            body.push_str(&format!(r#","pack_id":"{pack}""#));
        }
        body.push('}');
        body
    }

    /// The bearer of a person's taps: the pass, or a token when there is none.
    pub fn tapper(&self, person: u64) -> std::borrow::Cow<'_, str> {
        match self.passes.get(person as usize).and_then(Option::as_deref) {
            Some(pass) => pass.into(),
            None => self.people.token(person).into(),
        }
    }

    /// Who taps: those with a pass, or everybody where nobody needs one.
    pub fn tappers(&self) -> Vec<u32> {
        let everybody = self.passes() == 0;
        let people = self.passes.iter().enumerate().filter(|(_, pass)| everybody || pass.is_some());
        people.map(|(person, _)| person as u32).collect()
    }

    pub fn passes(&self) -> usize {
        self.passes.iter().flatten().count()
    }

    /// Everybody reserves, as fast as the server answers, and keeps the pass. Answers how many are on the list.
    pub fn reserve(&mut self, target: &Target, round: &Round) -> Result<u64, Fault> {
        let request = self.request("POST", "/reservations");
        self.collect(target, "reservations", |crowd, person, out| {
            let token = crowd.people.token(person);
            request.write(out, &["Bearer ", &token], crowd.wish(round, person).as_bytes());
        })
    }

    /// Fresh passes: of those who have reserved before, or in a round without reservation.
    pub fn fetch_passes(&mut self, target: &Target, round: &Round) -> Result<u64, Fault> {
        let request = match round.reservation {
            Some(_) => self.request("GET", &format!("/reservations/mine?round_id={}", round.id)),
            None => self.request("POST", &format!("/rounds/{}/passes", round.id)),
        };
        self.collect(target, "passes", |crowd, person, out| {
            request.write(out, &["Bearer ", &crowd.people.token(person)], b"");
        })
    }

    /// Everybody taps once, as fast as the server answers: for rounds whose packs come by tapping only.
    pub fn tap_all(&self, target: &Target, round: &Round) -> Result<(), Fault> {
        let request = self.request("POST", &format!("/rounds/{}/claims", round.id));
        let make = |person, out: &mut Vec<u8>| {
            let body = self.choice(round, person).map(|pack| format!(r#"{{"pack_id":"{pack}"}}"#));
            request.write(out, &["Bearer ", &self.tapper(person)], body.unwrap_or_default().as_bytes());
        };
        settle(target, "claims", (0..self.population).collect(), make, |_, outcome| word(&outcome))
    }

    /// How many vouchers each person could use now; those without any are left out.
    pub fn vouchers(&self, target: &Target, campaign: &Campaign) -> Result<Vec<(u32, u32)>, Fault> {
        let path = format!("/v1/wallet?campaign_id={}&state=available", campaign.id);
        let request = Request::new("GET", &self.host, path);
        let make = |person, out: &mut Vec<u8>| request.write(out, &["Bearer ", &self.people.token(person)], b"");
        let mut found = Vec::new();
        settle(target, "wallets", (0..self.population).collect(), make, |person, outcome| {
            let again = word(&outcome);
            if let Ok(answer) = &outcome {
                let wallet = serde_json::from_slice::<Wallet>(answer.body).unwrap_or_default();
                let count = wallet.vouchers.iter().filter(|voucher| voucher.state == "available").count();
                if count > 0 && again == Word::Final {
                    found.push((person as u32, count as u32));
                }
            }
            again
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// How many of these people are not on the round's list.
    pub fn missing(&self, target: &Target, round: &Round, people: &[u64]) -> Result<u64, Fault> {
        let request = self.request("GET", &format!("/reservations/mine?round_id={}", round.id));
        let make = |person, out: &mut Vec<u8>| request.write(out, &["Bearer ", &self.people.token(person)], b"");
        let mut missing = 0;
        settle(target, "reservations/mine", people.to_vec(), make, |_, outcome| {
            let again = word(&outcome);
            if again == Word::Final && outcome.is_ok_and(|answer| answer.status != 200) {
                missing += 1;
            }
            again
        })?;
        Ok(missing)
    }

    /// Forgets the passes, when they were of another round than the one that is tapped in.
    pub fn forget_passes(&mut self) {
        self.passes.fill(None);
    }

    fn collect(
        &mut self,
        target: &Target,
        what: &'static str,
        write: impl Fn(&Crowd, u64, &mut Vec<u8>),
    ) -> Result<u64, Fault> {
        let mut passes = std::mem::take(&mut self.passes);
        let (mut found, mut refusal) = (0, String::new());
        let everybody = (0..self.population).collect();
        let make = |person, out: &mut Vec<u8>| write(self, person, out);
        let done = settle(target, what, everybody, make, |person, outcome| {
            if word(&outcome) == Word::AskAgain {
                return Word::AskAgain;
            }
            if let Ok(answer) = outcome {
                match serde_json::from_slice::<Reserved<'_>>(answer.body) {
                    Ok(reserved) if answer.status < 300 => {
                        passes[person as usize] = Some(reserved.pass.into());
                        found += 1;
                    }
                    _ if refusal.is_empty() => refusal = format!("{} {}", answer.status, code(&answer)),
                    _ => {}
                }
            }
            Word::Final
        });
        self.passes = passes;
        done?;
        if found < self.population {
            eprintln!(
                "loadtest: {what}: {} of {} refused, the first with {refusal}",
                self.population - found,
                self.population
            );
        }
        Ok(found)
    }
}
