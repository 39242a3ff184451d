//! The steps that nobody asks for: a grant's list is counted, and everybody on it credited. Whichever call fails, the next turn of this node or
//! of another goes on, nobody has two packs, and in the end everybody has one.

use quanyu::engine::Engine;
use quanyu::engine::resident::{Identity, Resident};
use serde_json::{Value, json};

use super::toll::Trouble;
use super::town::Town;
use super::{Turn, each_call};
use crate::harness::fixture::{SECOND, text_of};

const NAMES: usize = 7;
const FACE: i64 = 1_000;

/// Turns of the jobs until a step that met trouble must have gone on.
const TURNS: usize = 10;

pub async fn table(town: &Town, trouble: Trouble) {
    let people: Vec<Resident> = (0..NAMES).map(|name| town.named(&named(name), &Identity::default())).collect();
    town.list("names", (0..NAMES).map(named)).await;
    let world = World { town, people };
    for (verb, assignment, packs) in [
        ("grant of one pack", json!("single"), json!({"a": NAMES})),
        ("grant that chance deals", json!("chance"), json!({"a": 3, "b": NAMES - 3})),
    ] {
        each_call(town, verb, trouble, async |turn| world.grants(turn, &assignment, &packs).await).await;
    }
}

struct World<'a> {
    town: &'a Town,
    people: Vec<Resident>,
}

fn named(name: usize) -> String {
    format!("granted-{name}")
}

fn file(campaign: &str, assignment: &Value, packs: &Value, credit_at: i64) -> Value {
    let pack = |id: &String| {
        json!({"pack_id": id, "vouchers": [
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": FACE, "count": 1}]})
    };
    json!({
        "campaign_id": campaign, "name": {"zh": "发放", "en": "Grant"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": FACE * NAMES as i64, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": packs.as_object().expect("packs").keys().map(pack).collect::<Vec<_>>(),
        "rounds": [{"round_id": "r", "mode": "grant", "entries_list": "names", "assignment": assignment, "packs": packs,
            "credit_at": text_of(credit_at)}],
        "validity": {"available_day_after_receive": 90}, "use_rule": {}, "refund_policy": "restore_on_full_refund",
        "carry_over": "none", "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

impl World<'_> {
    async fn grants(&self, turn: &Turn<'_>, assignment: &Value, packs: &Value) {
        let Town { clean, tested, .. } = self.town;
        let campaign = format!("grant-{}", self.town.number());
        // Within the hour: when the next one begins, nodes look at the money of every campaign that was played before.
        let credit_at = self.town.clock.now() + SECOND;
        self.town.publish(&campaign, &file(&campaign, assignment, packs, credit_at)).await;
        let steps = async |node: &Engine| {
            let counted = node.step().await;
            self.town.set_clock(credit_at);
            counted.and(node.step().await).map_err(|failure| failure.into_refusal())
        };
        let _ = turn.ask_silently(steps).await;
        self.nobody_has_more(turn, &campaign).await;
        // The node that met the trouble goes on, or, where it died of it, another.
        let goes_on = if turn.n.is_multiple_of(2) { clean } else { tested };
        for _ in 0..TURNS {
            let _ = goes_on.step().await;
            if self.owners(&campaign).await == NAMES {
                break;
            }
        }
        for node in [tested, clean] {
            self.town.wait_known().await;
            if let Err(failure) = node.step().await {
                turn.fault(&format!("a later turn fails: {failure:?}"));
            }
            self.nobody_has_more(turn, &campaign).await;
        }
        let (owners, stats) = (self.owners(&campaign).await, clean.stats(&campaign).await.expect("stats"));
        if owners != NAMES || stats["issued"] != NAMES || stats["rounds"][0]["credited"] != true {
            turn.fault(&format!("{owners} have their pack: {stats}"));
        }
    }

    /// How many have a pack.
    async fn owners(&self, campaign: &str) -> usize {
        let mut owners = 0;
        for person in &self.people {
            owners += usize::from(self.packs(campaign, person).await > 0);
        }
        owners
    }

    async fn packs(&self, campaign: &str, person: &Resident) -> usize {
        let view = self.town.clean.campaign(campaign).expect("a campaign");
        let record = self.town.clean.person_record(&self.town.clean.person(&view, person)).await.expect("a record");
        record.map_or(0, |record| record.packs.len())
    }

    async fn nobody_has_more(&self, turn: &Turn<'_>, campaign: &str) {
        for (name, person) in self.people.iter().enumerate() {
            let packs = self.packs(campaign, person).await;
            if packs > 1 {
                turn.fault(&format!("person {name} has {packs} packs"));
            }
        }
    }
}
