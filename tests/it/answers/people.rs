//! Reservations under quotas and identity keys, claims of every mode, and what a read credits.

use std::time::Duration;

use quanyu::domain::account::Account;
use quanyu::domain::area::Location;
use quanyu::domain::contact::Contacts;
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::claim::{Claimant, Tap};
use quanyu::engine::quota::MarkWalk;
use quanyu::engine::reservation::Wish;
use quanyu::engine::resident::{Identity, Resident};
use serde_json::{Value, json};

use super::toll::Trouble;
use super::town::{SHARDS, Town};
use super::{Turn, each_call};
use crate::harness::fixture::{HOUR, MINUTE};

/// People on the list of the drawn round: more than there are calls to try.
const LISTED: usize = 60;
const FACE: i64 = 1_000;

pub async fn table(town: &Town, trouble: Trouble) {
    let world = World { town, listed: Vec::new() };
    world.open().await;
    for (verb, play) in [
        ("reserve", Play::Reserve { freed: false }),
        ("reserve with a phone that another has left", Play::Reserve { freed: true }),
        ("change of a reservation", Play::Change),
        ("withdraw", Play::Withdraw),
    ] {
        each_call(town, verb, trouble, async |turn| world.reserves(turn, play).await).await;
    }
    each_call(town, "import of an earlier reservation", trouble, async |turn| world.imports(turn).await).await;
    each_call(town, "pay code in an area", trouble, async |turn| world.shows_a_code(turn).await).await;
    each_call(town, "link of an account", trouble, async |turn| world.links(turn).await).await;
    each_call(town, "claim", trouble, async |turn| world.claims(turn, "rush", None).await).await;
    each_call(town, "claim of what chance deals", trouble, async |turn| world.claims(turn, "dealt", None).await).await;
    each_call(town, "claim of the last pack of a shard", trouble, async |turn| world.claims_the_last(turn).await).await;
    let names = std::cell::Cell::new(0);
    let named = || town.named(&granted(names.replace(names.get() + 1)), &Identity::default());
    each_call(town, "claim of a grant", trouble, async |turn| world.claims(turn, "grant", Some(named())).await).await;
    let mut world = world;
    world.reserve_and_draw().await;
    let mut listed = std::mem::take(&mut world.listed).into_iter();
    let listed = std::cell::RefCell::new(&mut listed);
    let next = || listed.borrow_mut().next().expect("enough people");
    each_call(town, "claim of a winner", trouble, async |turn| world.claims(turn, "drawn", Some(next())).await).await;
    town.pass(HOUR);
    each_call(town, "claims/mine that credits", trouble, async |turn| world.reads(turn, next(), false).await).await;
    each_call(town, "wallet that credits", trouble, async |turn| world.reads(turn, next(), true).await).await;
    world.quotas_rest().await;
}

#[derive(Clone, Copy)]
enum Play {
    Reserve { freed: bool },
    Change,
    Withdraw,
}

struct World<'a> {
    town: &'a Town,
    listed: Vec<Resident>,
}

fn file(campaign: &str, packs: &[&str], round: Value) -> Value {
    let pack = |id: &&str| {
        json!({"pack_id": id, "vouchers": [
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": FACE, "count": 1}]})
    };
    json!({
        "campaign_id": campaign, "name": {"zh": "居民", "en": "People"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": FACE * 20_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": packs.iter().map(pack).collect::<Vec<_>>(), "rounds": [round],
        "validity": {"available_day_after_receive": 30}, "use_rule": {}, "refund_policy": "restore_on_full_refund",
        "carry_over": "none", "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

fn limit(action: &str, entity: &str) -> Value {
    json!({"action": action, "entities": [entity], "period": "campaign", "max_count": 1_000_000})
}

/// A ballot whose list is open for long.
fn open_list(campaign: &str, reservation: Value) -> Value {
    let mut file = file(
        campaign,
        &["a", "b"],
        json!({"round_id": "r", "mode": "ballot", "assignment": "choice",
        "packs": {"a": 10, "b": 10}, "draw": {"at": "2060-07-02T00:00:00+08:00", "entropy": ["operator"]},
        "credit_at": "2060-07-03T00:00:00+08:00", "entries_list": "weights"}),
    );
    file["reservation"] = json!({"opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00"});
    for (name, value) in reservation.as_object().expect("terms") {
        file["reservation"][name] = value.clone();
    }
    file["limits"] = json!([limit("reserve", "pack"), limit("reserve", "channel")]);
    file
}

/// A first-come round that is open for long.
fn open_round(campaign: &str, packs: Value, more: Value) -> Value {
    let names: Vec<&str> = packs.as_object().expect("packs").keys().map(String::as_str).collect();
    let mut round = json!({"round_id": "r", "mode": "first_come", "reservation": null, "packs": packs,
        "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00", "release": {"shape": "at_once"}});
    for (name, value) in more.as_object().expect("members") {
        round[name] = value.clone();
    }
    let mut file = file(campaign, &names, round);
    file["limits"] = json!([limit("claim", "channel"), limit("claim", "pack")]);
    file["max_amount_by_day"] = json!(FACE * 10_000);
    file
}

impl World<'_> {
    async fn open(&self) {
        let (node, key) = (&self.town.clean, &self.town.key);
        self.town.list("weights", ["somebody".to_owned()].into_iter()).await;
        self.town.list("names", (0..LISTED).map(granted)).await;
        let area = json!({"circle": {"center": [104.0, 30.6], "radius_m": 1_000}});
        node.put_area(key, "market", &area).await.expect("an area");
        let keys = json!({"duplicates": "reject", "identity_keys": ["person", "phone"]});
        self.town.publish("list", &open_list("list", keys)).await;
        self.town.publish("earliest", &open_list("earliest", json!({"duplicates": "earliest"}))).await;
        let mut rush = open_round("rush", json!({"a": 5_000}), json!({}));
        rush["use_rule"] = json!({"location": {"area_id": "market"}});
        self.town.publish("rush", &rush).await;
        let dealt = open_round("dealt", json!({"a": 2_000, "b": 3_000}), json!({"assignment": "chance"}));
        self.town.publish("dealt", &dealt).await;
        let grant = json!({"round_id": "r", "mode": "grant", "entries_list": "names", "packs": {"a": LISTED},
            "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00"});
        self.town.publish("grant", &file("grant", &["a"], grant)).await;
        node.step().await.expect("jobs run");
    }

    fn person(&self, phone: bool) -> Resident {
        let phone = phone.then(|| format!("1380013{:04}", self.town.number()));
        self.town.person(&Identity { contacts: Contacts { phone, ..Contacts::default() }, ..Identity::default() })
    }

    async fn packs(&self, campaign: &str, person: &Resident) -> usize {
        let view = self.town.clean.campaign(campaign).expect("a campaign");
        let person = self.town.clean.person(&view, person);
        let record = self.town.clean.person_record(&person).await.expect("a record");
        record.map_or(0, |record| record.packs.len())
    }

    async fn reserves(&self, turn: &Turn<'_>, play: Play) {
        let person = self.person(true);
        let wish = |pack: &str| Wish { pack_id: Some(pack.to_owned()), ..Wish::default() };
        let clean = &self.town.clean;
        match play {
            Play::Reserve { freed: true } => {
                let other = Resident { root: self.person(false).root, ..person.clone() };
                let other = Resident { shard: clean.shard_of(&other.root), ..other };
                clean.reserve("list", &other, &wish("a"), false).await.expect("a reservation");
                clean.withdraw("list", &other, None).await.expect("a withdrawal");
            }
            Play::Reserve { .. } => {}
            _ => drop(clean.reserve("list", &person, &wish("b"), false).await.expect("a reservation")),
        }
        let wanted = if matches!(play, Play::Withdraw) { None } else { Some("a") };
        let request = async |node: &Engine| match play {
            Play::Reserve { .. } => node.reserve("list", &person, &wish("a"), false).await.map(drop),
            Play::Change => node.reserve("list", &person, &wish("a"), true).await.map(drop),
            Play::Withdraw => match node.withdraw("list", &person, None).await {
                Err(refusal) if refusal.code == Code::ReservationNotFound => Ok(()),
                answer => answer,
            },
        };
        let effects = async |node: &Engine| match node.my_reservation("list", &person, None).await {
            Ok(reserved) => usize::from(reserved.pack_id.as_deref() == wanted),
            Err(refusal) if refusal.code == Code::ReservationNotFound => usize::from(wanted.is_none()),
            Err(refusal) => panic!("{refusal:?}"),
        };
        let before = self.beyond("list", "reserved").await;
        turn.ask(request, effects).await;
        self.counts_agree(turn, "list", "reserved", &before).await;
        turn.repeat(request, effects).await;
        self.counts_agree(turn, "list", "reserved", &before).await;
    }

    /// How much more each quota of a campaign holds than there is.
    async fn beyond(&self, campaign: &str, of: &str) -> Vec<i64> {
        let node = &self.town.clean;
        let there = node.stats(campaign).await.expect("stats")[of].as_i64().expect("a number");
        let number = node.campaign(campaign).expect("a campaign").number;
        let used = self.town.used();
        let quota = |limit: u8| used.get(&('q', number, limit)).copied().unwrap_or_default();
        let by_day = if of == "issued" { quota(u8::MAX) / FACE } else { there };
        [quota(0), quota(1), by_day].map(|used| used - there).to_vec()
    }

    /// What trouble left counted is given back by the walk, when nobody can be on the way with it any more.
    async fn quotas_rest(&self) {
        self.town.pass(HOUR);
        let (mut walk, mut turns) = (MarkWalk::default(), tokio::time::interval(Duration::from_millis(50)));
        let counted = [("list", "reserved"), ("earliest", "reserved"), ("rush", "issued"), ("dealt", "issued")];
        for _ in 0..1_200 {
            walk.step(&self.town.clean).await.expect("a walk");
            let mut left = Vec::new();
            for (campaign, of) in counted {
                left.extend(self.beyond(campaign, of).await);
            }
            if left.iter().all(|beyond| *beyond == 0) {
                return;
            }
            turns.tick().await;
        }
        for (campaign, of) in counted {
            let beyond = self.beyond(campaign, of).await;
            let fault = format!("quotas of {campaign} hold {beyond:?} more than there are {of}, for good");
            self.town.faults.borrow_mut().push(fault);
        }
    }

    /// A call that died on its way, or a give-back that was refused, may leave a quota stricter for a while, and never wider.
    async fn counts_agree(&self, turn: &Turn<'_>, campaign: &str, of: &str, before: &[i64]) {
        let beyond = self.beyond(campaign, of).await;
        let stricter = !turn.is_certain() || turn.has_met("quota_leave");
        let mut pairs = before.iter().zip(&beyond);
        if !pairs.all(|(before, now)| now == before || (now > before && stricter)) {
            turn.fault(&format!("quotas hold {beyond:?} more than there are {of}, and held {before:?} more"));
        }
    }

    async fn imports(&self, turn: &Turn<'_>) {
        let person = self.person(false);
        let wish = Wish { pack_id: Some("a".into()), ..Wish::default() };
        let later = self.town.clean.reserve("earliest", &person, &wish, false).await.expect("a reservation");
        let taken_down = self.town.clock.now() - HOUR;
        let request =
            async |node: &Engine| node.import_reservation("earliest", &person, &wish, taken_down).await.map(drop);
        let effects = async |node: &Engine| {
            let mine = node.my_reservation("earliest", &person, None).await.expect("a reservation");
            usize::from(mine.reserved_at != later.reserved_at)
        };
        let before = self.beyond("earliest", "reserved").await;
        turn.ask(request, effects).await;
        self.counts_agree(turn, "earliest", "reserved", &before).await;
        turn.repeat(request, effects).await;
        self.counts_agree(turn, "earliest", "reserved", &before).await;
    }

    /// A code that nobody was shown does no harm: there is no repeat of it.
    async fn shows_a_code(&self, turn: &Turn<'_>) {
        let person = self.person(false);
        let shown = std::cell::RefCell::new(String::new());
        let here = Location { longitude: 104.0, latitude: 30.6 };
        let request = async |node: &Engine| {
            let code = node.new_pay_code(&person, Some(here)).await?;
            shown.replace(code.pay_code);
            Ok(())
        };
        let effects = async |node: &Engine| {
            let shown = shown.borrow().clone();
            usize::from(!shown.is_empty() && node.pay_code_state(&person, &shown).await.is_ok())
        };
        turn.ask(request, effects).await;
    }

    async fn links(&self, turn: &Turn<'_>) {
        let person = self.person(false);
        let account = Account::parse("wechat".into(), format!("account-{}", self.town.number())).expect("an account");
        let request = async |node: &Engine| node.link_account(&person, &account, true).await.map(drop);
        let effects = async |node: &Engine| usize::from(node.is_linked(&person, &account).await.expect("an answer"));
        turn.judge(request, effects).await;
    }

    async fn claims(&self, turn: &Turn<'_>, campaign: &str, person: Option<Resident>) {
        let person = person.unwrap_or_else(|| self.person(false));
        self.claims_as(turn, campaign, &person).await;
    }

    async fn claims_as(&self, turn: &Turn<'_>, campaign: &str, person: &Resident) {
        let request = async |node: &Engine| tap(node, campaign, person).await;
        let effects = async |_: &Engine| self.packs(campaign, person).await;
        if matches!(campaign, "drawn" | "grant") {
            return turn.judge(request, effects).await;
        }
        let before = self.beyond(campaign, "issued").await;
        turn.ask(request, effects).await;
        self.counts_agree(turn, campaign, "issued", &before).await;
        turn.repeat(request, effects).await;
        self.counts_agree(turn, campaign, "issued", &before).await;
    }

    /// Twelve packs: one shard keeps one that it has not issued, the others have none.
    async fn claims_the_last(&self, turn: &Turn<'_>) {
        let campaign = format!("last-{}", self.town.number());
        self.town.publish(&campaign, &open_round(&campaign, json!({"a": 12}), json!({}))).await;
        let of_shard = |shard: u8| loop {
            let person = self.person(false);
            if person.shard == shard {
                return person;
            }
        };
        tap(&self.town.clean, &campaign, &of_shard(0)).await.expect("a pack");
        for turn in 0..10 {
            tap(&self.town.clean, &campaign, &of_shard(1 + turn % (SHARDS - 1))).await.expect("a pack");
        }
        self.claims_as(turn, &campaign, &of_shard(1)).await;
    }

    /// Everybody on the list wins.
    async fn reserve_and_draw(&mut self) {
        let now = self.town.clock.now();
        let time = |after: i64| crate::harness::fixture::text_of(now + after);
        let mut file = file(
            "drawn",
            &["a"],
            json!({"round_id": "r", "mode": "rain", "packs": {"a": LISTED},
            "draw": {"at": time(20 * MINUTE), "entropy": ["operator"]}, "opens_at": time(30 * MINUTE), "closes_at": time(50 * MINUTE),
            "release": {"shape": "at_once"}, "unclaimed": "credit"}),
        );
        file["reservation"] = json!({"opens_at": time(0), "closes_at": time(10 * MINUTE), "duplicates": "reject"});
        self.town.publish("drawn", &file).await;
        for _ in 0..LISTED {
            let person = self.person(false);
            self.town.clean.reserve("drawn", &person, &Wish::default(), false).await.expect("a reservation");
            self.listed.push(person);
        }
        self.town.pass(25 * MINUTE);
        self.town.clean.step().await.expect("jobs run");
        self.town.pass(10 * MINUTE);
    }

    /// Nobody was credited by the sweep yet.
    async fn reads(&self, turn: &Turn<'_>, person: Resident, wallet: bool) {
        let request = async |node: &Engine| {
            if wallet {
                let vouchers = node.wallet(&person, Some("drawn"), None).await?.vouchers;
                return if vouchers.is_empty() { Err(Code::Overloaded.into()) } else { Ok(()) };
            }
            let claimant = Claimant::Resident(Box::new(person.clone()));
            node.my_claim("drawn", "r", &claimant, None).await.map(drop)
        };
        let effects = async |_: &Engine| self.packs("drawn", &person).await;
        // A read that fails says nothing of a pack.
        let _ = turn.ask_silently(request).await;
        turn.repeat(request, effects).await;
    }
}

/// Who is on the list of the grant.
fn granted(number: usize) -> String {
    format!("granted-{number}")
}

async fn tap(node: &Engine, campaign: &str, person: &Resident) -> Result<(), Refusal> {
    let claimant = Claimant::Resident(Box::new(person.clone()));
    match node.claim(campaign, "r", &claimant, None, None).await? {
        Tap::Won { .. } => Ok(()),
        other => Err(Refusal::new(Code::Overloaded).detail("", format!("{other:?}"))),
    }
}
