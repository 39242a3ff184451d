//! What the store is asked for a would-be winner, and what its answer means.

use rmpv::Value;

use super::credited;
use super::{CreditedPack, judge};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::resident::Person;
use crate::engine::view::{CampaignView, Place, RoundView};
use crate::engine::{Engine, Failure};
use crate::store::keys;
use crate::store::script::{self, Member, bytes};
use crate::store::{Reply, int, text};

impl Engine {
    /// Credits a decided winner's pack; a repeat answers the pack that is there.
    pub(in crate::engine) async fn credit(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
        place: &Place,
    ) -> Result<(CreditedPack, bool), Failure> {
        let supply = place.group.channel.unwrap_or(NO_CHOICE);
        self.issue(view, round, person, channel, place.group.pack, supply).await
    }

    pub(super) async fn issue(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
        pack: u8,
        supply: u8,
    ) -> Result<(CreditedPack, bool), Failure> {
        let group_channel = (supply != NO_CHOICE).then_some(supply);
        let member = credit_member(self, view, round, person, channel, pack, group_channel);
        let reply = self.store.call(&script::PACK_ISSUE, &person.slot(), member).await?;
        credit_answer(view, pack, &reply)
    }
}

/// What `pack_issue` is asked for one winner.
pub(in crate::engine) fn credit_member(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    person: &Person,
    channel: u8,
    pack: u8,
    group_channel: Option<u8>,
) -> Member {
    let by_hour = view.outstanding_by_hour(round.index, pack);
    let hours = by_hour.into_iter().flat_map(|(hour, fen)| [Value::from(hour), Value::from(fen.0)]).collect();
    let args = vec![
        bytes(&person.pseudonym.field()),
        int(view.number),
        int(round.index),
        int(channel),
        int(pack),
        text(keys::cell(view.number, round.index, channel, pack)),
        text(keys::winners_field(view.number, round.index, group_channel.unwrap_or(NO_CHOICE), pack)),
        Value::Array(hours),
        int(person.shard),
        int(engine.store.shards()),
    ];
    Member::new(vec![person.bucket_key.clone()], args).view(view.number, view.rev)
}

/// A pack from a reply of `pack_issue`, and whether it was there before.
pub(in crate::engine) fn credit_answer(
    view: &CampaignView,
    pack: u8,
    reply: &Reply,
) -> Result<(CreditedPack, bool), Failure> {
    match reply.refused() {
        Some("sold_out") => Err(Refusal::new(Code::Internal).detail("More winners than were drawn.").into()),
        Some(_) => Err(judge::not_on_list().into()),
        None => Ok((credited(view, pack, reply.int(0) as u32, reply.int(1)), reply.is("replay"))),
    }
}
