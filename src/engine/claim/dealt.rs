//! `chance` in a first-come round: who comes first gets a pack, and which one says the person's own order (`domain/deal.rs`). The first
//! pack of that order of which something is out is the person's; sold out is said only when nothing of any is left.

use std::sync::Arc;

use super::judge::{Issue, Judged, Recall, jitter, wait_for};
use crate::domain::claim_limit;
use crate::domain::pass::Pass;
use crate::domain::person::Pseudonym;
use crate::domain::ranking;
use crate::domain::refusal::Code;
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::pack::Issued;
use crate::engine::resident::Person;
use crate::engine::stock::{Cell, Taken, supply_of};
use crate::engine::{Engine, Failure};

/// A pack that a round could give to somebody, and what the node knows of its stock.
struct Offer {
    pack: u8,
    supply: u8,
    packs: u64,
    cell: Arc<Cell>,
}

impl Engine {
    /// The packs of a channel in file order; `None` until they are counted.
    fn offers(&self, view: &CampaignView, round: &RoundView, channel: u8) -> Option<Vec<Offer>> {
        let offer = |pack: &u8| {
            let (supply, packs) = supply_of(view, round, channel, *pack)?;
            Some(Offer { pack: *pack, supply, packs, cell: self.stock_cell(view, round, supply, *pack) })
        };
        round.packs.iter().map(offer).collect()
    }

    /// As [`Engine::judge_first_come`], also in what a pause at another node means for it.
    pub(super) fn judge_dealt(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        window: Option<usize>,
        now: Ms,
    ) -> Judged {
        let recall = |closed| Judged::Recall(Recall { pack: None, closed, passed: false });
        let Some(offers) = self.offers(view, round, pass.channel) else {
            let not_fixed =
                |window| Judged::NotYet { retry_after_ms: jitter(), window, detail: Some("supply_not_fixed") };
            return window.map_or(Judged::Closed("lost"), not_fixed);
        };
        if view.record.stopped {
            return recall(window.is_none());
        }
        let may_have = || offers.iter().any(|one| one.cell.may_have(&pass.pseudonym, pass.channel, one.pack));
        let Some(window) = window else {
            return if may_have() { recall(true) } else { Judged::Closed("lost") };
        };
        let opens_at = round.windows[window].opens_at;
        if now < opens_at {
            return Judged::NotYet { retry_after_ms: (opens_at - now) as u64, window, detail: None };
        }
        let sold_out = offers.iter().all(|one| one.cell.is_sold_out());
        if sold_out && !may_have() {
            return Judged::SoldOut;
        }
        let mut dry_until = None;
        for one in ordered(view, round, pass.pseudonym, pass.channel, offers) {
            if one.cell.is_sold_out() && !sold_out {
                continue;
            }
            match one.cell.dry_for(&pass.pseudonym, pass.channel, one.pack, now) {
                None => {
                    return Judged::Issue(Issue {
                        pack: one.pack,
                        supply: one.supply,
                        closed: false,
                        window,
                        due: None,
                    });
                }
                Some(until) => dry_until = Some(dry_until.map_or(until, |sooner: Ms| sooner.min(until))),
            }
        }
        let retry_after_ms = dry_until.map_or_else(jitter, |until| wait_for(round, until - now));
        Judged::NotYet { retry_after_ms, window, detail: None }
    }

    /// Takes the first pack of the person's order of which something is out. Whoever has one already is answered with it at the first
    /// question, whatever pack that is about.
    pub(super) async fn take_dealt(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
    ) -> Result<Taken, Failure> {
        let offers = self.offers(view, round, channel).unwrap_or_default();
        let apart = claim_limit::tells_packs_apart(&view.campaign, round.index);
        let (mut asked, mut waits, mut refused) = (false, Vec::new(), None);
        for one in ordered(view, round, person.pseudonym, channel, offers) {
            if asked && one.cell.is_sold_out() {
                continue;
            }
            asked = true;
            match self.take_stock(view, round, person, channel, one.pack, one.supply).await? {
                Taken::SoldOut => {}
                Taken::NotYet(at) => waits.push(at),
                // Who has used up a limit on one pack may still have another.
                Taken::Pack(Issued::Refused(refusal)) if apart && refusal.code == Code::LimitReached => {
                    refused.get_or_insert(refusal);
                }
                taken => return Ok(taken),
            }
        }
        // Of packs that nobody can say an instant for, something may be out at any moment.
        Ok(match (waits.into_iter().min(), refused) {
            (Some(soonest), _) => Taken::NotYet(soonest),
            (None, Some(refusal)) => Taken::Pack(Issued::Refused(refusal)),
            (None, None) => Taken::SoldOut,
        })
    }
}

/// The offers in the person's own order.
fn ordered(
    view: &CampaignView,
    round: &RoundView,
    pseudonym: Pseudonym,
    channel: u8,
    mut offers: Vec<Offer>,
) -> Vec<Offer> {
    let Some(deal) = &round.deal else { return offers };
    let mut packs: Vec<(u8, u64)> = offers.iter().map(|one| (one.pack, one.packs)).collect();
    ranking::side_by_side(round.record.rule, &mut packs, |pack| view.pack_id(pack));
    let order = deal.order(pseudonym, view.channel_name(channel), &packs);
    offers.sort_by_key(|one| order.iter().position(|pack| *pack == one.pack));
    offers
}
