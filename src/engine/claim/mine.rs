//! The result of a round for whoever asks, in every mode; it never takes part by itself.

use super::judge::{ClaimWindow, named_pack, names_pack};
use super::pass::Judge;
use super::why::Why;
use super::{Claimant, Known};
use crate::domain::campaign::schema::{Mode, Unclaimed};
use crate::domain::pass::Pass;
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::result::Win;
use crate::engine::pack::held_pack;
use crate::engine::reservation::entry::require_entry;
use crate::engine::stock::supply_of;
use crate::store::campaign::Scope;
use crate::store::record::PersonRecord;

impl Engine {
    /// The caller's result, of the pack that is named or of any; after the close of a crediting round it credits at once.
    pub async fn my_claim(
        &self,
        campaign_id: &str,
        round_id: &str,
        claimant: &Claimant,
        pack_id: Option<&str>,
    ) -> Result<Known, Refusal> {
        self.with_view(|| async move {
            let view = self.published_anywhere(campaign_id).await?;
            let round = view.named_round(round_id)?;
            let named = match pack_id {
                Some(_) => named_pack(&view.campaign, &round.round, pack_id).map_err(in_query)?,
                None => None,
            };
            let pass = self.pass_of(&view, round, claimant, Judge::Nothing).await?;
            let person = pass.person(&view);
            let record = self.person_record(&person).await?.unwrap_or_default();
            if let Some(won) = credited(&view, &record, round, &pass, named) {
                return Ok(won);
            }
            require_entry(&view, round, &pass, &record)?;
            let known_at = known_at(round);
            let over = known_at.is_some_and(|known_at| self.now() >= known_at);
            let pending = || Known::Pending {
                known_at: known_at.filter(|_| !over).map(|known_at| view.zone.rfc3339(known_at)),
                waits: Why::waits(&view, round).filter(|_| over),
            };
            let lost = || Known::Lost(Why::of(&view, round, &pass, &record, named));
            match round.round.mode {
                Mode::FirstCome if over || self.is_sold_out(&view, round, pass.channel) => return Ok(lost()),
                Mode::Grant if over && !round.grant_is_coming() => return Ok(lost()),
                Mode::FirstCome | Mode::Grant => return Ok(pending()),
                Mode::Ballot | Mode::Rain => {}
            }
            if round.draw.is_none() {
                return Ok(pending());
            }
            if !view.record.stopped && self.may_come_for(&view, round, &pass, &record, named) {
                return Ok(Known::Won { credited: false, pack: None, packs: Vec::new() });
            }
            if !over && known_at.is_some() {
                let has_lost =
                    self.tells_losers(&view, round) && wins_of(&view, round, &pass, &record, named).next().is_none();
                return Ok(if has_lost { Known::Lost(None) } else { pending() });
            }
            if round.round.unclaimed != Unclaimed::Credit || view.record.stopped {
                return Ok(lost());
            }
            let owed = self.owed(&view, round, pass.shard, pass.pseudonym, &record, pass.entries);
            if owed.is_empty() {
                return Ok(Known::Lost(None));
            }
            self.credit_all(&view, round, pass.shard, owed).await?;
            let record = self.person_record(&person).await?.unwrap_or_default();
            Ok(credited(&view, &record, round, &pass, named).unwrap_or_else(lost))
        })
        .await
    }

    /// Whether the person has won a pack of a ballot's window that runs, and has not come for it yet.
    fn may_come_for(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        record: &PersonRecord,
        named: Option<u8>,
    ) -> bool {
        if round.round.mode != Mode::Ballot || round.round.unclaimed == Unclaimed::Credit {
            return false;
        }
        let runs = |window: usize| {
            let now = self.now();
            let of_now = |window: &&ClaimWindow| (window.opens_at..window.closes_at).contains(&now);
            !round.is_frozen(window) && round.windows.get(window).filter(of_now).is_some()
        };
        wins_of(view, round, pass, record, named).any(|win| runs(win.place.window))
    }

    /// Whether a tap is told now that its score has lost: never earlier, and not while taps are told nothing.
    fn tells_losers(&self, view: &CampaignView, round: &RoundView) -> bool {
        let silent = view.record.stopped || view.is_paused(Scope::Claim) || !round.tells_losers_at_once();
        !silent && round.windows.first().is_some_and(|window| window.opens_at <= self.now())
    }

    /// Whether this node knows that nothing is left on a channel, of any pack of a first-come round.
    fn is_sold_out(&self, view: &CampaignView, round: &RoundView, channel: u8) -> bool {
        let mut packs = round.round.supply.pack_ids().filter_map(|pack_id| view.campaign.pack(pack_id));
        packs.all(|(pack, _)| {
            let supply = supply_of(view, round, channel, pack as u8);
            supply.is_some_and(|(supply, _)| self.stock_cell(view, round, supply, pack as u8).is_sold_out())
        })
    }
}

/// What the person has won on the pass's channel, of the pack that is named or of any.
fn wins_of(
    view: &CampaignView,
    round: &RoundView,
    pass: &Pass,
    record: &PersonRecord,
    named: Option<u8>,
) -> impl Iterator<Item = Win> {
    let channel = pass.channel;
    let is_it = move |win: &Win| win.channel == channel && named.is_none_or(|named| win.place.group.pack == named);
    round.wins(view, pass.pseudonym, &record.entries, pass.entries).into_iter().filter(is_it)
}

/// The pack that the person has, and in a round in which one may have several all of them.
fn credited(
    view: &CampaignView,
    record: &PersonRecord,
    round: &RoundView,
    pass: &Pass,
    named: Option<u8>,
) -> Option<Known> {
    let pack = held_pack(view, record, round, pass.channel, named)?;
    let several = names_pack(&round.round);
    let packs = round.packs.iter().filter(|_| several);
    let packs = packs.filter_map(|pack| held_pack(view, record, round, pass.channel, Some(*pack))).collect();
    Some(Known::Won { credited: true, pack: Some(pack), packs })
}

/// The same fault, of a name that stands in the query.
fn in_query(mut refusal: Refusal) -> Refusal {
    refusal.errors.iter_mut().for_each(|fault| fault.pointer = fault.pointer.replace('/', "?"));
    refusal
}

/// When everybody's result is final. Until the last wave is over it may come to anybody.
fn known_at(round: &RoundView) -> Option<Ms> {
    match round.round.mode {
        Mode::Ballot | Mode::Rain if round.round.unclaimed == Unclaimed::Release => Some(round.last_close()),
        Mode::Ballot => round.round.credit_at.or(round.round.opens_at),
        _ => round.round.closes_at.or(round.round.credit_at),
    }
}
