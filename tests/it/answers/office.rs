//! Campaigns and their life, rounds closed and drawn by hand, lists and areas.

use quanyu::clock::Setting;
use quanyu::domain::amendment::Change;
use quanyu::domain::person::Root;
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::campaign::amendment::Proposal;
use quanyu::engine::config::expect::Expect;
use quanyu::engine::list::ListUpload;
use quanyu::engine::reservation::Wish;
use quanyu::engine::resident::Identity;
use quanyu::engine::{Engine, Failure};
use quanyu::store::campaign::{CampaignRecord, ListState, Scope, State};
use quanyu::store::config::Kind;
use quanyu::store::keys::{self, Slot};
use quanyu::store::list::{ListRecord, PinnedList};
use serde_json::{Value, json};

use super::toll::Trouble;
use super::town::{SHARDS, Town};
use super::{Turn, each_call};
use crate::harness::fixture::{HOUR, MINUTE, SECOND, text_of};
use crate::harness::identity::digest_of;

pub async fn table(town: &Town, trouble: Trouble) {
    for (verb, step) in [
        ("create a campaign", Step::Create),
        ("replace a draft", Step::Replace),
        ("submit", Step::Submit),
        ("reject", Step::Reject),
        ("approve", Step::Approve),
        ("publish", Step::Publish),
        ("pause", Step::Pause),
        ("resume", Step::Resume),
        ("stop", Step::Stop),
        ("propose an amendment", Step::Propose),
        ("approve an amendment", Step::Amend),
    ] {
        alone(town, verb, trouble, async |turn| takes_a_step(turn, step).await).await;
    }
    for (verb, round) in [("close-list", Rounds::Close), ("draw", Rounds::Draw), ("credit of a round", Rounds::Credit)]
    {
        alone(town, verb, trouble, async |turn| of_a_round(turn, round).await).await;
    }
    for (verb, before) in [
        ("upload of a list", Before::Nothing),
        ("of its next version", Before::Another),
        ("of the same again", Before::Same),
    ] {
        each_call(town, verb, trouble, async |turn| uploads(turn, before).await).await;
    }
    each_call(town, "put of an area", trouble, puts_an_area).await;
    each_call(town, "clock", trouble, sets_the_clock).await;
}

/// A verb that makes campaigns, in a town of its own: every node reads all of them at each change.
async fn alone(town: &Town, verb: &'static str, trouble: Trouble, play: impl AsyncFn(&Turn<'_>)) {
    let own = Town::open(trouble).await;
    each_call(&own, verb, trouble, play).await;
    town.faults.borrow_mut().append(&mut own.faults.borrow_mut());
    town.tries.set(town.tries.get() + own.tries.get());
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Create,
    Replace,
    Submit,
    Reject,
    Approve,
    Publish,
    Pause,
    Resume,
    Stop,
    Propose,
    Amend,
}

pub fn file(campaign: &str, now: i64) -> Value {
    let time = |after: i64| text_of(now + after);
    json!({
        "campaign_id": campaign, "name": {"zh": "办公", "en": "Office"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": 20_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "a", "vouchers": [
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 1}]}],
        "rounds": [{"round_id": "r", "mode": "rain", "packs": {"a": 20},
            "draw": {"at": time(20 * MINUTE), "entropy": ["operator"]}, "opens_at": time(30 * MINUTE), "closes_at": time(50 * MINUTE),
            "release": {"shape": "at_once"}, "unclaimed": "credit"}],
        "reservation": {"opens_at": time(0), "closes_at": time(10 * MINUTE), "duplicates": "reject"},
        "validity": {"available_day_after_receive": 30}, "use_rule": {}, "refund_policy": "restore_on_full_refund",
        "carry_over": "none", "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

/// The record of a campaign, or of its draft.
async fn record(town: &Town, campaign: &str) -> Option<CampaignRecord> {
    let draft = format!("city/{campaign}");
    for (kind, id) in [(Kind::Campaign, campaign), (Kind::Draft, draft.as_str())] {
        let held = town.clean.store.record::<CampaignRecord>(kind, id).await.expect("a record");
        if let Some(held) = held {
            return Some(held.value);
        }
    }
    None
}

/// A campaign as it is before the step.
async fn before(town: &Town, campaign: &str, step: Step) {
    let (node, key) = (&town.clean, &town.key);
    let file = file(campaign, town.clock.now());
    match step {
        Step::Create => {}
        Step::Replace | Step::Submit => town.put(campaign, &file).await,
        Step::Reject | Step::Approve => {
            town.put(campaign, &file).await;
            node.submit_campaign(key, campaign).await.expect("a draft");
        }
        Step::Publish => {
            town.put(campaign, &file).await;
            node.submit_campaign(key, campaign).await.expect("a draft");
            node.approve_campaign(key, campaign).await.expect("a campaign in review");
        }
        _ => town.publish(campaign, &file).await,
    }
    if step == Step::Resume {
        node.pause_campaign(key, campaign, &[Scope::Claim], "a test").await.expect("a pause");
    }
    if step == Step::Amend {
        node.propose_amendment(key, campaign, &proposal()).await.expect("a proposal");
    }
}

fn proposal() -> Proposal {
    let change = Change { pointer: "/budget".into(), current: json!(20_000), target: json!(30_000) };
    Proposal { amendment_id: "more".into(), reason: "a test".into(), changes: vec![change] }
}

async fn takes_a_step(turn: &Turn<'_>, step: Step) {
    let town = turn.town;
    let (key, campaign) = (&town.key, format!("c-{}", town.number()));
    before(town, &campaign, step).await;
    let mut named = file(&campaign, town.clock.now());
    if step == Step::Replace {
        named["name"]["en"] = json!("Another");
    }
    let named = named.to_string();
    let request = async |node: &Engine| {
        let is_so = |refusal: &Refusal| matches!(refusal.code, Code::PreconditionFailed | Code::CampaignStateRefuses);
        let put =
            async |expect| node.put_campaign(key, &campaign, Some(expect), named.as_bytes(), false).await.map(drop);
        let done = match step {
            Step::Create => put(Expect::Absent).await,
            Step::Replace => put(Expect::OneOf(vec![1], String::new())).await,
            Step::Submit => node.submit_campaign(key, &campaign).await.map(drop),
            Step::Reject => node.reject_campaign(key, &campaign).await.map(drop),
            Step::Approve => node.approve_campaign(key, &campaign).await.map(drop),
            Step::Publish => node.publish_campaign(key, &campaign).await.map(drop),
            Step::Pause => node.pause_campaign(key, &campaign, &[Scope::Claim], "a test").await.map(drop),
            Step::Resume => node.resume_campaign(key, &campaign, None).await.map(drop),
            Step::Stop => node.stop_campaign(key, &campaign, "a test").await.map(drop),
            Step::Propose => node.propose_amendment(key, &campaign, &proposal()).await.map(drop),
            Step::Amend => node.approve_amendment(key, &campaign, "more").await.map(drop),
        };
        // A step that is there already is not taken again: the refusal says what there is.
        done.or_else(|refusal| if is_so(&refusal) { Ok(()) } else { Err(refusal) })
    };
    let effects = async |_: &Engine| {
        let record = record(town, &campaign).await;
        let has = |is: fn(&CampaignRecord) -> bool| usize::from(record.as_ref().is_some_and(is));
        match step {
            Step::Create => has(|_| true),
            Step::Replace => has(|record| record.file.contains("Another")),
            Step::Submit => has(|record| record.state == State::Review),
            Step::Reject => has(|record| record.state == State::Draft),
            Step::Approve => has(|record| record.state == State::Approved),
            Step::Publish => has(|record| record.state == State::Published),
            Step::Pause => has(|record| !record.paused.is_empty()),
            Step::Resume => has(|record| record.paused.is_empty()),
            Step::Stop => has(|record| record.stopped),
            Step::Propose => record.map_or(0, |record| record.amendments.len()),
            Step::Amend => record.map_or(0, |record| record.amendments_count()),
        }
    };
    turn.ask(request, effects).await;
    if turn.told.get() {
        every_shard_knows(turn, &campaign).await;
    }
    turn.repeat(request, effects).await;
    every_shard_knows(turn, &campaign).await;
}

/// What was answered holds on every shard.
async fn every_shard_knows(turn: &Turn<'_>, campaign: &str) {
    let Some(record) = record(turn.town, campaign).await.filter(|record| record.state == State::Published) else {
        return;
    };
    let field = keys::view_field(record.number);
    for shard in 0..SHARDS {
        let rev = turn.town.clean.store.header_numbers(&Slot::Shard(shard), std::slice::from_ref(&field)).await;
        let rev = rev.expect("a header")[0];
        if rev != record.rev as i64 {
            turn.fault(&format!("shard {shard} has revision {rev} of {}", record.rev));
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Rounds {
    Close,
    Draw,
    Credit,
}

async fn of_a_round(turn: &Turn<'_>, verb: Rounds) {
    let town = turn.town;
    let (node, campaign) = (&town.clean, format!("c-{}", town.number()));
    town.publish(&campaign, &file(&campaign, town.clock.now())).await;
    let people: Vec<_> = (0..3).map(|_| town.person(&Identity::default())).collect();
    for person in &people {
        node.reserve(&campaign, person, &Wish::default(), false).await.expect("a reservation");
    }
    town.pass(HOUR);
    if verb != Rounds::Close {
        node.close_list(&campaign, "r").await.expect("a list");
    }
    if verb == Rounds::Credit {
        node.draw_round(&campaign, "r").await.expect("a draw");
    }
    let request = async |node: &Engine| {
        let done = match verb {
            Rounds::Close => node.close_list(&campaign, "r").await,
            Rounds::Draw => node.draw_round(&campaign, "r").await,
            Rounds::Credit => node.credit_round(&campaign, "r").await.map(drop),
        };
        done.map_err(Failure::into_refusal)
    };
    let effects = async |_: &Engine| {
        let record = record(town, &campaign).await.expect("a campaign");
        let round = &record.rounds[0];
        let done = match verb {
            // The step that counts: nobody enters any more.
            Rounds::Close => !matches!(round.list, ListState::Open),
            Rounds::Draw => round.draw.is_some(),
            Rounds::Credit => round.credited_at.is_some(),
        };
        usize::from(done)
    };
    // Winners are credited one after the other: whoever has asked a job hears of its end alone.
    if verb == Rounds::Credit {
        let _ = turn.ask_silently(request).await;
    } else {
        turn.ask(request, effects).await;
    }
    turn.repeat(request, effects).await;
    node.step().await.expect("jobs run");
    let issued = node.stats(&campaign).await.expect("stats")["issued"].as_i64();
    if issued != Some(people.len() as i64) {
        turn.fault(&format!("{issued:?} packs for {} people", people.len()));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Another,
    Same,
}

async fn uploads(turn: &Turn<'_>, before: Before) {
    let town = turn.town;
    let (key, list) = (&town.key, format!("l-{}", town.number()));
    let csv = |person: &str| {
        format!("document_type,person_digest\ncn_id,{}\ncn_id,{}\n", digest_of(person), digest_of("another"))
    };
    let upload = async |node: &Engine, csv: &str| {
        let mut upload: ListUpload<'_> = node.begin_list(key, &list, Some(csv.len() as u64)).await?;
        if let Err(refusal) = upload.push(csv.as_bytes()).await {
            return Err(upload.abandon(refusal).await);
        }
        upload.finish().await.map(drop)
    };
    let versions = match before {
        Before::Nothing => 0,
        Before::Another => 1,
        Before::Same => 0,
    };
    if before != Before::Nothing {
        let held = if before == Before::Same { "somebody" } else { "nobody" };
        upload(&town.clean, &csv(held)).await.expect("a list");
    }
    let request = async |node: &Engine| upload(node, &csv("somebody")).await;
    let effects = async |node: &Engine| {
        let held = node.store.record::<ListRecord>(Kind::List, &format!("city/{list}")).await.expect("a record");
        let record = held.map(|held| held.value).unwrap_or_default();
        for version in &record.versions {
            let root = Root::of_digest(&node.keys.identity, "cn_id", &digest_of("another"));
            let pinned = PinnedList {
                version: 1,
                kind: version.kind,
                count: version.count,
                sha256: version.sha256.clone(),
                number: version.number,
                buckets: version.buckets,
                channels: Vec::new(),
                packs: Vec::new(),
            };
            if node.list_member(&pinned, &root).await.expect("a member").is_none() {
                turn.fault("a version of the list has lost its members");
            }
        }
        record.versions.len() - record.versions.len().min(versions)
    };
    // The version that is there already is no effect of a file that is the same again.
    if before == Before::Same {
        let _ = turn.ask_silently(request).await;
    } else {
        turn.ask(request, effects).await;
    }
    turn.repeat(request, effects).await;
}

async fn puts_an_area(turn: &Turn<'_>) {
    let (key, id) = (&turn.town.key, format!("a-{}", turn.town.number()));
    let area = json!({"circle": {"center": [104.0, 30.6], "radius_m": 1_000}});
    let request = async |node: &Engine| node.put_area(key, &id, &area).await.map(drop);
    let effects = async |node: &Engine| node.area_status(key, &id).await.map_or(0, |status| status.version as usize);
    turn.judge(request, effects).await;
}

async fn sets_the_clock(turn: &Turn<'_>) {
    let town = turn.town;
    town.clean.set_clock(Some(town.clock.now() + SECOND), Some(0)).await.expect("a clock");
    let wanted = town.clock.now() + MINUTE;
    let request = async |node: &Engine| -> Result<(), Refusal> { node.set_clock(Some(wanted), Some(0)).await };
    let effects = async |node: &Engine| {
        let held = node.store.record::<Setting>(Kind::Clock, "sandbox").await.expect("a record");
        usize::from(held.is_some_and(|held| held.value.campaign_ms == wanted))
    };
    turn.judge(request, effects).await;
}
