//! Ready-made worlds: the Chengdu campaign in small, and a `Market` where everybody already has
//! a pack and the clock stands inside the validity.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

use super::identity::{Resident, firm_code};
use super::till::Till;
use super::{Server, wait_until};

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// The day before the reservation opens.
pub const EVE: &str = "2020-07-12T12:00:00+08:00";

/// Milliseconds of a Chengdu wall-clock time: `at("2020-07-24T18:00:00")`.
pub fn at(local: &str) -> i64 {
    let text = format!("{local}+08:00");
    text.parse::<jiff::Timestamp>().expect("a time like 2020-07-24T18:00:00").as_millisecond()
}

/// The wire form with the city's offset.
pub fn text_of(ms: i64) -> String {
    let zone = TimeZone::fixed(Offset::constant(8));
    let time = jiff::Timestamp::from_millisecond(ms).expect("a sane instant").to_zoned(zone);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f+08:00").to_string()
}

/// The city's date of an instant: the settlement date.
pub fn date_of(ms: i64) -> String {
    text_of(ms)[..10].to_string()
}

/// Any time the API writes, in milliseconds.
#[track_caller]
pub fn parse_time(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    text.parse::<jiff::Timestamp>().unwrap_or_else(|e| panic!("{text}: {e}")).as_millisecond()
}

/// A campaign id no other test uses.
pub fn new_campaign_id(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Chengdu 2020 (F1) with another number of packs and the budget to match.
pub fn chengdu(campaign_id: &str, packs: i64) -> Value {
    json!({
        "campaign_id": campaign_id,
        "name": {"zh": "2020宜业成都安居消费季", "en": "Chengdu consumption season 2020"},
        "time_zone": "Asia/Shanghai", "currency": "CNY", "budget": packs * 8000,
        "channels": ["wechat"], "consent_version": "2020-07-13",
        "eligibility": {"document_types": ["cn_id"], "health_pass": "green", "health_pass_unknown": "refuse"},
        "reservation": {"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-07-21T00:00:00+08:00",
            "duplicates": "reject"},
        "packs": [{"pack_id": "standard", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6000, "discount_amount": 2000, "count": 2},
            {"voucher_kind": "30-10", "transaction_minimum": 3000, "discount_amount": 1000, "count": 4}]}],
        "rounds": [{"round_id": "rain", "mode": "rain",
            "draw": {"at": "2020-07-22T10:00:00+08:00", "entropy": ["operator"]},
            "opens_at": "2020-07-24T18:00:00+08:00", "closes_at": "2020-07-24T18:10:00+08:00",
            "packs": {"standard": packs}, "max_packs_per_person": 1,
            "release": {"shape": "even", "seconds": 480}, "unclaimed": "credit"}],
        "validity": {"available_begin_time": "2020-07-25T00:00:00+08:00",
            "available_end_time": "2020-09-07T00:00:00+08:00"},
        "use_rule": {"categories": ["catering", "department_store", "tourism", "lodging", "culture", "sport",
                "entertainment", "creative"], "districts": ["5101"],
            "channels": "as_credited", "combine_with_merchant_offers": true,
            "max_vouchers_per_payment": 1, "minimum_payable": 1, "hold_seconds": 120},
        "limits": [{"action": "redeem", "entities": ["person", "merchant"], "period": "day", "max_count": 2}],
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-09-07T00:00:00+08:00",
            "kinds": ["enterprise", "sole_trader"], "registered_in": ["5101"]}
    })
}

pub fn merchant(merchant_id: &str) -> Value {
    json!({
        "merchant_id": merchant_id, "code": firm_code(), "kind": "enterprise",
        "name": {"zh": "蓉城小馆", "en": "Rongcheng Kitchen"},
        "registered_district": "510104", "operating_district": "510104", "industry_code": "6210",
        "stores": [{"store_id": "s1", "name": "春熙路店", "district": "510104"},
            {"store_id": "s2", "name": "太古里店", "district": "510104"}]
    })
}

pub fn new_merchant_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("m{:05}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A server, a published campaign, and people on its list.
pub struct Round {
    pub server: Server,
    pub campaign: String,
    pub people: Vec<Resident>,
    /// The pass of each person, as the reservation answered it.
    pub passes: Vec<String>,
}

impl Round {
    /// Everybody has reserved; the clock stands at 2020-07-13T09:00.
    pub fn reserved(campaign: Value, people: usize) -> Round {
        Round::reserved_on(Server::at(EVE), campaign, people)
    }

    pub fn reserved_on(server: Server, campaign: Value, people: usize) -> Round {
        let id = campaign["campaign_id"].as_str().expect("an id").to_string();
        server.create_campaign(&campaign).ok();
        server.publish(&id);
        server.set_clock(at("2020-07-13T09:00:00"));
        let people = Resident::many(people);
        let passes = people.iter().map(|one| server.reserve(&id, one).ok().str("pass").to_string());
        let passes = passes.collect();
        Round { server, campaign: id, people, passes }
    }

    /// The draw has run by itself and the clock stands this long after the opening at 18:00.
    pub fn raining(&self, after_opening: i64) {
        self.server.set_clock(at("2020-07-22T10:00:00"));
        self.wait_drawn();
        self.server.set_clock(at("2020-07-24T18:00:00") + after_opening);
    }

    /// The operator's draw is background work; the commitment is public once the list is closed.
    pub fn wait_drawn(&self) {
        let path = format!("/v1/campaigns/{}/rounds/rain/commitment", self.campaign);
        wait_until("the list is closed", || {
            let reply = self.server.office("GET", &path, None);
            (reply.status == 200).then_some(())
        });
    }

    pub fn tap(&self, index: usize) -> super::client::Reply {
        self.server.claim(&self.campaign, &self.passes[index])
    }

    /// A tap that waits out the draw: only its first moments may answer `round_not_drawn`.
    pub fn tap_drawn(&self, index: usize) -> super::client::Reply {
        wait_until("the round is drawn", || {
            let reply = self.tap(index);
            (reply["detail"] != "round_not_drawn").then_some(reply)
        })
    }

    /// Moves past the close, where `unclaimed: credit` gives every winner the pack.
    pub fn everybody_credited(&self) {
        self.raining(480 * SECOND);
        self.server.set_clock(at("2020-07-25T12:00:00"));
        for person in &self.people {
            wait_until("the result is known", || {
                let mine = self.server.my_claim(&self.campaign, person).ok();
                (mine["result"] != "pending" && mine["credited"] != false).then_some(())
            });
        }
    }
}

/// Everybody has a pack, the clock stands at noon on the first day of the validity.
pub struct Market {
    pub round: Round,
    free: Mutex<Vec<Resident>>,
}

impl Market {
    pub fn open(name: &str, people: usize) -> Market {
        Market::open_with(chengdu(&new_campaign_id(name), people as i64), people)
    }

    pub fn open_with(campaign: Value, people: usize) -> Market {
        Market::open_on(Server::at(EVE), campaign, people)
    }

    pub fn open_on(server: Server, campaign: Value, people: usize) -> Market {
        let round = Round::reserved_on(server, campaign, people);
        round.everybody_credited();
        Market::of(round)
    }

    /// A round whose people have their packs.
    pub fn of(round: Round) -> Market {
        let free = Mutex::new(round.people.clone());
        Market { round, free }
    }

    pub fn server(&self) -> &Server {
        &self.round.server
    }

    pub fn campaign(&self) -> &str {
        &self.round.campaign
    }

    /// A person with six vouchers whom no other test uses.
    #[track_caller]
    pub fn shopper(&self) -> Resident {
        self.free.lock().unwrap().pop().expect("the market was opened with enough people")
    }

    /// A new enrolled merchant's till, so that day limits of tests do not meet.
    #[track_caller]
    pub fn till(&self) -> Till {
        new_till(self.server(), self.campaign())
    }

    #[track_caller]
    pub fn vouchers(&self, person: &Resident, state: &str) -> Vec<(String, String)> {
        let all = self.server().vouchers(self.campaign(), person);
        all.into_iter().filter(|one| one.2 == state).map(|one| (one.0, one.1)).collect()
    }
}

#[track_caller]
pub fn new_till(server: &Server, campaign: &str) -> Till {
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    server.enrol(campaign, &id);
    server.create_terminal(&id, "t1")
}

pub fn new_order() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("A1-{:05}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A redemption request with a fresh pay code of this person; nothing taken off by the merchant.
pub fn sale(order: &str, pay_code: &str, amount: i64, capture: bool) -> Value {
    json!({"order_id": order, "pay_code": pay_code, "amount": amount, "merchant_discount": 0,
           "category": "catering", "capture": capture})
}
