//! What the store is asked for a would-be winner of any mode, and what its answer means.

pub(in crate::engine) mod credit;
pub mod plans;
pub(in crate::engine) mod quotas;
pub(in crate::engine) mod validity;

use crate::store::record::{Pack, PersonRecord};
use std::sync::Arc;

use crate::domain::campaign::schema::{Assignment, Mode, Round};
use crate::domain::claim_limit;
use crate::domain::eligibility::not_eligible;
use crate::domain::refusal::{Code, Outcome, Refusal};
use crate::domain::time::{Ms, SECOND};
use crate::engine::claim::judge::{names_pack, not_on_list};
use crate::engine::claim::{CreditedPack, credited};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::quota::Ahead;
use crate::engine::reservation::NO_CHOICE;
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::Reply;
use crate::store::keys;
use crate::store::script::{self, Args, Member, Shared};
use plans::PlanPlace;
use quotas::Counted;
use validity::Holds;

/// A plan may meet a midnight on its way to the store; then it is made once more.
const PLANS: usize = 3;

/// What became of a would-be winner.
pub(in crate::engine) enum Issued {
    Pack {
        pack: CreditedPack,
        replayed: bool,
    },
    /// The shard has issued all that it was allowed, with so many leases applied and returns made.
    Empty {
        leases: i64,
        returns: i64,
    },
    /// The person may not have it, with the reason.
    Refused(Box<Refusal>),
    /// The plan was made for another day: make it again.
    Stale,
}

impl Engine {
    /// Asks the store for a pack out of one supply, the channel's own or the one that all channels share (255); `due` is the instant at
    /// which a pack that was promised came to its person.
    #[allow(clippy::too_many_arguments)]
    pub(in crate::engine) async fn issue(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
        pack: u8,
        supply: u8,
        due: Option<Ms>,
    ) -> Result<Issued, Failure> {
        for _ in 0..PLANS {
            let (at, ahead) = (self.now(), Ahead::counted());
            let counted = match self.count_claim(view, round, person, (channel, pack), at).await? {
                Counted::At(places) => places,
                Counted::Instead(issued) => return Ok(issued),
            };
            if let Err(late) = ahead.require() {
                self.uncount_claim(&counted).await;
                return Err(late);
            }
            let member = issue_member(self, view, round, person, channel, pack, supply, at, due);
            let reply = match self.store.call(&script::PACK_ISSUE, &person.slot(), member).await {
                Err(error) if error.outcome() == Outcome::NotApplied => {
                    self.uncount_claim(&counted).await;
                    return Err(error.into());
                }
                reply => reply?,
            };
            let issued = issued(view, round, pack, &reply);
            if !matches!(issued, Issued::Pack { replayed: false, .. }) {
                self.uncount_claim(&counted).await;
            }
            if !matches!(issued, Issued::Stale) {
                return Ok(issued);
            }
        }
        Err(Refusal::new(Code::StoreUnavailable).retry_after_ms(1_000).into())
    }
}

/// What `pack_issue` is asked for one decided winner, whose pack was due at an instant.
#[allow(clippy::too_many_arguments)]
pub(in crate::engine) fn credit_member(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    person: &Person,
    channel: u8,
    pack: u8,
    group_channel: Option<u8>,
    due: Option<Ms>,
) -> Member {
    let supply = group_channel.unwrap_or(NO_CHOICE);
    issue_member(engine, view, round, person, channel, pack, supply, engine.now(), due)
}

#[allow(clippy::too_many_arguments)]
fn issue_member(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    person: &Person,
    channel: u8,
    pack: u8,
    supply: u8,
    at: Ms,
    due: Option<Ms>,
) -> Member {
    let place = PlanPlace { round: round.index, channel, pack, supply, shard: person.shard };
    let received = due.map(|due| view.received(round.index, pack, due, at));
    let plan = view.plans.at(place, at, received, || plan(engine, view, round, place, at, received));
    let second = received.map_or(0, |received| received.div_euclid(SECOND) as u32);
    let bytes = [&person.pseudonym.0[..], &second.to_be_bytes()].concat();
    Member::flat(vec![person.bucket_key.clone()], bytes).sharing(plan).view(view.number, view.rev)
}

/// What all members say who are issued this pack now, and until when it holds.
fn plan(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    place: PlanPlace,
    at: Ms,
    received: Option<Ms>,
) -> (Arc<Shared>, Holds) {
    let PlanPlace { channel, pack, supply, shard, .. } = place;
    let holds = view.plan_holds(round.index, pack, at, received);
    let by_hour = view.outstanding_by_hour(round.index, pack, received.unwrap_or(at));
    let hours = |list: Args| by_hour.into_iter().fold(list, |list, (hour, fen)| list.int(hour).int(fen.0));
    let plan = Args::default()
        .int(view.number)
        .int(round.index)
        .int(channel)
        .int(pack)
        .bytes(keys::cell(view.number, round.index, channel, pack))
        .bytes(keys::winners_field(view.number, round.index, supply, pack))
        .list(hours)
        .int(shard)
        .int(engine.store.shards())
        .int(u8::from(round.reservation.is_some()))
        .int(repeat_key(&round.round))
        .int(most_packs(&round.round))
        .list(|list| excluded_rounds(view, &round.round).fold(list, Args::int))
        .list(|list| limits(list, view, round.index, channel, pack, at))
        .int(holds.call.from)
        .int(holds.call.until);
    (Shared::new(plan), holds)
}

/// A grant gives one pack to each name of its list, through whichever channel, or one of each as far as a person may have them.
pub(in crate::engine) fn most_packs(round: &Round) -> u32 {
    let one = round.mode == Mode::Grant && round.assignment != Assignment::Each;
    if one { 1 } else { round.max_packs_per_person }
}

/// What of a round a person has once: a pack on a channel, where several may be had each of them (1), and of a grant on whichever
/// channel it came (2).
fn repeat_key(round: &Round) -> u8 {
    u8::from(names_pack(round)) + if round.mode == Mode::Grant { 2 } else { 0 }
}

/// Rounds whose winners do not take part in this one; a drawn round has struck them off its list when that closed.
pub(in crate::engine) fn excluded_rounds(view: &CampaignView, round: &Round) -> impl Iterator<Item = u8> {
    let undrawn = round.draw.is_none();
    let excluded = round.exclude_winners_of.iter().filter(move |_| undrawn);
    excluded.filter_map(|round_id| view.round(round_id).map(|round| round.index))
}

fn limits(list: Args, view: &CampaignView, round: u8, channel: u8, pack: u8, at: Ms) -> Args {
    let fen = view.pack_value(pack).0;
    let uses = claim_limit::uses(&view.campaign, &view.zone, round, channel, pack, at);
    uses.into_iter().fold(list, |list, one| {
        list.int(one.number).bytes(&one.entity).int(one.period).int(one.most_count).int(one.most_amount).int(fen)
    })
}

/// A reply of `pack_issue` about this pack; a repeat tells the pack that is there.
pub(in crate::engine) fn issued(view: &CampaignView, round: &RoundView, pack: u8, reply: &Reply) -> Issued {
    let refused = |refusal| Issued::Refused(Box::new(refusal));
    match reply.refused() {
        None if reply.is("replay") => {
            let pack = credited(view, reply.int(2) as u8, reply.int(0) as u32, reply.int(1));
            Issued::Pack { pack, replayed: true }
        }
        None => {
            let pack = credited(view, pack, reply.int(0) as u32, reply.int(1));
            Issued::Pack { pack, replayed: false }
        }
        Some("plan_stale") => Issued::Stale,
        Some("empty") => Issued::Empty { leases: reply.int(1), returns: reply.int(2) },
        Some("limit_reached") => refused(claim_limit::reached(&view.campaign, round.index, reply.int(1) as u8)),
        Some("max_packs") => refused(too_many_packs(most_packs(&round.round))),
        Some("excluded") => refused(won_before(&round.round)),
        Some(_) => refused(not_on_list()),
    }
}

/// The same for the sweep, which goes on with the next winner: whether a pack was credited now.
pub(in crate::engine) fn swept(view: &CampaignView, round: &RoundView, reply: &Reply) -> Result<bool, Failure> {
    match issued(view, round, 0, reply) {
        Issued::Pack { replayed, .. } => Ok(!replayed),
        // Somebody who may not have the pack is passed over, and the sweep must not stop at him.
        Issued::Refused(_) => Ok(false),
        Issued::Empty { .. } => Err(more_than_drawn().into()),
        Issued::Stale => {
            Err(Refusal::new(Code::StoreUnavailable).detail("日期已变，请重试。", "The day has changed; again.").into())
        }
    }
}

fn more_than_drawn() -> Refusal {
    Refusal::new(Code::Internal).detail("中签者多于摇出的人数。", "More winners than were drawn.")
}

fn too_many_packs(most: u32) -> Refusal {
    let limit = serde_json::json!({"action": "claim", "entities": ["person"], "period": "round", "max_count": most});
    Refusal::new(Code::LimitReached).with("limit", limit)
}

fn won_before(round: &Round) -> Refusal {
    let message = serde_json::json!({"zh": "已在较早的场次中领到。", "en": "Who got a pack in an earlier round does not take part."});
    let reason =
        serde_json::json!({"rule": "exclude_winners_of", "rounds": round.exclude_winners_of, "message": message});
    not_eligible(vec![reason])
}

/// The pack that a person has of a round on a channel, of a grant on any; of the named kind when a person may have several.
pub(in crate::engine) fn held_pack(
    view: &CampaignView,
    record: &PersonRecord,
    round: &RoundView,
    channel: u8,
    named: Option<u8>,
) -> Option<CreditedPack> {
    let here = |pack: &Pack| pack.channel == channel || round.round.mode == Mode::Grant;
    let is_it = |pack: &&Pack| pack.round == round.index && here(pack) && named.is_none_or(|named| pack.pack == named);
    record.packs.iter().find(is_it).map(|pack| credited(view, pack.pack, pack.number, pack.at))
}
