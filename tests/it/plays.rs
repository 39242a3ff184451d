//! The programmes of real cities, played over HTTP in small from the very files in `deploy/campaigns/`: from the office's upload to the
//! last settlement, with the books checked at every stage. The worked cases that the cities published stand in here as assertions.

mod hangzhou;
pub mod kills;
mod nodes;
mod refusals;
mod shanghai_2022;
mod shanghai_2025;
mod shijingshan;
mod trade_in;
mod ways;
mod wuhan;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{at, date_of, merchant, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::proof::Drawn;
use crate::harness::till::Till;
use crate::pool::assert_balanced;

/// A city's file with its budget, money and counts divided: nothing else is changed.
pub fn file(name: &str, by: i64) -> Value {
    let path = format!("{}/deploy/campaigns/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the city's file")).expect("JSON");
    divide(&mut file["budget"], by);
    for round in file["rounds"].as_array_mut().expect("rounds") {
        let packs = round.get_mut("packs").and_then(Value::as_object_mut);
        for supply in packs.into_iter().flat_map(|packs| packs.values_mut()) {
            divide(if supply.is_object() { &mut supply["count"] } else { supply }, by);
        }
        if let Some(amount) = round.pointer_mut("/money/amount").filter(|amount| amount.is_number()) {
            divide(amount, by);
        }
    }
    file
}

fn divide(number: &mut Value, by: i64) {
    let whole = number.as_i64().expect("a number");
    assert_eq!(whole % by, 0, "{whole} is not a multiple of {by}");
    *number = json!(whole / by);
}

/// A published campaign of a city and what was sold in it.
pub struct Play {
    pub server: Server,
    pub campaign: String,
    district: &'static str,
    /// Where tills sold something, and on which days: what has to be settled.
    sold: RefCell<BTreeSet<(String, String)>>,
    now: RefCell<i64>,
}

impl Play {
    /// The office checks, submits, approves and publishes the file; merchants of the city come from `district`.
    pub fn publish(file: &Value, district: &'static str, eve: &str) -> Play {
        Play::publish_on(Server::at(&format!("{eve}+08:00")), file, district, eve)
    }

    pub fn publish_on(server: Server, file: &Value, district: &'static str, eve: &str) -> Play {
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        server.validate_campaign(file).ok();
        let created = server.create_campaign(file).ok();
        assert!(created["totals"]["amount"].as_i64() <= file["budget"].as_i64(), "{}", created.text());
        server.publish(&campaign);
        let play = Play { server, campaign, district, sold: RefCell::default(), now: RefCell::new(at(eve)) };
        play.checked();
        play
    }

    /// Moves the clock; what is due by then has been done, and the books are checked.
    #[track_caller]
    pub fn go(&self, local: &str) {
        self.now.replace(at(local));
        self.server.set_clock(at(local));
        self.checked();
    }

    /// In total and for each round, channel, pack and pool: budget = unallocated + unissued + … + recovered.
    #[track_caller]
    pub fn checked(&self) -> Value {
        let ledger = self.server.ledger(&self.campaign);
        assert_balanced(&ledger);
        ledger
    }

    #[track_caller]
    pub fn fen<const N: usize>(&self, round: usize, accounts: [&str; N]) -> [i64; N] {
        let ledger = self.checked();
        accounts.map(|account| ledger["rounds"][round][account].as_i64().expect("an amount"))
    }

    #[track_caller]
    pub fn pool(&self) -> i64 {
        let ledger = self.checked();
        let pools = ledger["pools"].as_array().expect("pools");
        let pool = pools.iter().find(|pool| pool["pool"] == "pool").expect("a campaign that carries over has a pool");
        pool["amount"].as_i64().expect("an amount")
    }

    pub fn stats(&self, round: usize) -> Value {
        self.server.stats(&self.campaign)["rounds"][round].clone()
    }

    pub fn path(&self, round: &str, rest: &str) -> String {
        format!("/v1/campaigns/{}/rounds/{round}/{rest}", self.campaign)
    }

    #[track_caller]
    pub fn ask_pass(&self, round: &str, person: &Resident) -> Reply {
        self.server.resident(person, "POST", &self.path(round, "passes"), None)
    }

    #[track_caller]
    pub fn pass(&self, round: &str, person: &Resident) -> String {
        self.ask_pass(round, person).ok().str("pass").to_string()
    }

    #[track_caller]
    pub fn tap(&self, round: &str, bearer: &str, pack_id: Option<&str>) -> Reply {
        let request = Request::new("POST", &self.path(round, "claims")).bearer(bearer);
        self.server.send(&match pack_id {
            Some(pack_id) => request.json(&json!({"pack_id": pack_id})),
            None => request,
        })
    }

    /// Asks for a pass and taps until the answer is not "come again in a moment": stock may be on its way from another shard.
    #[track_caller]
    pub fn claim(&self, round: &str, person: &Resident, pack_id: Option<&str>) -> Reply {
        let pass = self.pass(round, person);
        crate::harness::wait_until("the tap has a result", || {
            let reply = self.tap(round, &pass, pack_id);
            (reply.status != 429 && reply.str("outcome") != "not_yet").then_some(reply)
        })
    }

    #[track_caller]
    pub fn wins(&self, round: &str, person: &Resident, pack_id: Option<&str>) {
        let reply = self.claim(round, person, pack_id).ok();
        assert_eq!(reply.str("outcome"), "won", "{}", reply.text());
    }

    /// A reservation made in the middle of the city, where the campaign wants to know the place.
    #[track_caller]
    pub fn reserve(&self, round: &str, person: &Resident, pack_id: Option<&str>) -> Reply {
        let mut body = json!({"round_id": round, "location": in_shanghai()});
        if let Some(pack_id) = pack_id {
            body["pack_id"] = json!(pack_id);
        }
        self.server.reserve_with(&self.campaign, person, body)
    }

    /// The notary's digits arrive at the draw's time, and not before them is anything drawn.
    #[track_caller]
    pub fn draw_with_notary(&self, index: usize, round: &str, digits: &str) {
        assert_eq!((&self.stats(index)["list"], &self.stats(index)["drawn"]), (&json!("closed"), &json!(false)));
        assert_eq!(self.stats(index)["waiting_for"], json!(["notary"]));
        self.server.office("POST", &self.path(round, "draw"), Some(json!({"notary_digits": digits}))).ok();
        assert_eq!(self.stats(index)["drawn"], true);
        self.checked();
    }

    #[track_caller]
    pub fn verified(&self, round: &str) -> Drawn {
        self.server.verified_draw(&self.campaign, round)
    }

    /// A new enrolled merchant of the city with a till.
    #[track_caller]
    pub fn till(&self) -> Till {
        let id = new_merchant_id();
        let mut merchant = merchant(&id);
        merchant["registered_district"] = json!(self.district);
        merchant["operating_district"] = json!(self.district);
        merchant["stores"][0]["district"] = json!(self.district);
        self.server.create_merchant(&merchant).ok();
        self.server.enrol(&self.campaign, &id);
        self.server.create_terminal(&id, "t1")
    }

    /// A sale in one call with a fresh pay code; `more` replaces members of the request.
    #[track_caller]
    pub fn buy(&self, till: &Till, person: &Resident, amount: i64, more: Value) -> Reply {
        let mut body = sale(&new_order(), &self.server.pay_code(person), amount, true);
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        if body["voucher_ids"].is_array() {
            body.as_object_mut().expect("an object").remove("pay_code");
        }
        let reply = self.server.redeem(till, &body);
        self.note(till);
        self.checked();
        reply
    }

    #[track_caller]
    pub fn refund(&self, till: &Till, sold: &Reply, id: &str, amount: i64) -> Reply {
        let reply = self.server.refund(till, sold.str("order_id"), id, amount).ok();
        self.note(till);
        self.checked();
        reply
    }

    /// Something happens at this till today.
    pub fn note(&self, till: &Till) {
        let day = date_of(*self.now.borrow());
        self.sold.borrow_mut().insert((day, till.merchant_id.clone()));
    }

    /// (voucher_id, voucher_kind) of a person's vouchers in a state.
    #[track_caller]
    pub fn vouchers(&self, person: &Resident, state: &str) -> Vec<(String, String)> {
        let all = self.server.vouchers(&self.campaign, person);
        all.into_iter().filter(|one| one.2 == state).map(|one| (one.0, one.1)).collect()
    }

    /// The end of every play: the days of all merchants are the ledger's `redeemed`, and the audit finds nothing.
    #[track_caller]
    pub fn settled(&self) {
        let subsidy = |(date, merchant): &(String, String)| {
            let day = self.server.settlement(date, merchant).ok();
            day["totals"]["subsidy"].as_i64().expect("an amount")
        };
        let subsidies: i64 = self.sold.borrow().iter().map(subsidy).sum();
        assert_eq!(subsidies, self.checked()["total"]["redeemed"].as_i64().expect("an amount"));
        assert!(subsidies > 0, "a play in which nobody bought anything proves little");
        self.server.assert_audit_clean();
    }
}

/// (discount, what the payer pays) of a sale.
#[track_caller]
pub fn paid(reply: Reply) -> (i64, i64) {
    let reply = reply.ok();
    (reply.int("discount_amount"), reply.int("payable"))
}

pub fn in_shanghai() -> Value {
    json!({"longitude": 121.4737, "latitude": 31.2304})
}

/// The area that the files of Shanghai name.
pub fn put_shanghai(server: &Server) {
    let area = json!({"circle": {"center": [121.47, 31.23], "radius_m": 60_000}});
    server.office("PUT", "/v1/areas/shanghai", Some(area)).ok();
}

/// People who come through these channels in turn.
pub fn people(count: usize, channels: &[&str]) -> Vec<Resident> {
    let through = |(index, person): (usize, Resident)| person.through(channels[index % channels.len()]);
    Resident::many(count).into_iter().enumerate().map(through).collect()
}
