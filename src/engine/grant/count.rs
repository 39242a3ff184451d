//! Counting a grant's list, once: whether its names fit the packs, which pack chance deals to whom, and what each shard may issue.

use crate::engine::blocking;
use std::collections::HashMap;
use std::sync::Arc;

use super::list_of;
use crate::domain::deal::Deal;
use crate::domain::draw::{Cutoff, Score};
use crate::domain::person::Pseudonym;
use crate::domain::ranking;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::stock::supply_of;
use crate::engine::{Engine, Failure};
use crate::store::campaign::{CutoffRecord, GrantRecord};
use crate::store::keys::{self, Slot};
use crate::store::list::ListMember;
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, text};

/// A name that chance has still to give a pack to: the first bytes of its rank, the person, the shard.
type Undealt = (u64, Pseudonym, u8);

/// What a walk over the list has found.
struct Tally {
    names: u64,
    fits: bool,
    /// For each shard the packs of a supply and pack.
    by_shard: Vec<HashMap<(u8, u8), u64>>,
    /// By channel, where chance gives the packs.
    undealt: HashMap<u8, Vec<Undealt>>,
    dealt: Vec<CutoffRecord>,
}

impl Engine {
    /// Counts the names of a grant's list for each supply, tells every shard how many packs it may issue, and notes whether all fit.
    pub(in crate::engine) async fn count_grant(
        &self,
        view: &Arc<CampaignView>,
        round: &RoundView,
    ) -> Result<(), Failure> {
        let list = list_of(view, round)?;
        let shards = self.store.shards();
        let by_shard = vec![HashMap::new(); usize::from(shards)];
        let total = u64::from(list.buckets) * u64::from(shards);
        let progress = self.progress.begin(view.number, round.index, "counting", total);
        let mut tally = Tally { names: 0, fits: true, by_shard, undealt: HashMap::new(), dealt: Vec::new() };
        for shard in 0..shards {
            let mut walk = self.list_walk(list, shard);
            while let Some(rows) = walk.next().await? {
                for row in rows {
                    // Without the pack that a row names, nobody knows whether all names have theirs.
                    let (root, member) = progress.heeding(row.map_err(StoreError::from))?;
                    let pseudonym = round.deal.is_some().then(|| root.in_campaign(&view.pseudonym_key));
                    tally.add(view, round, shard, &member, pseudonym);
                }
            }
            progress.add(u64::from(list.buckets));
        }
        progress.came_through();
        let (counted, index) = (view.clone(), usize::from(round.index));
        let tally = blocking(move || {
            let round = &counted.rounds[index];
            tally.deal_out(&counted, round);
            tally.compare(&counted, round);
            tally
        })
        .await?;
        if tally.fits {
            self.tell_allowances(view, round, &tally).await?;
        }
        let Tally { names, fits, dealt, .. } = tally;
        tracing::info!(campaign.id = view.id, round.id = round.round.round_id, names, fits, "names of a grant counted");
        self.advance(&view.id, |record| {
            // Counted against the packs of another file, they are counted again.
            let first = record.rounds[index].grant.is_none() && record.file == view.record.file;
            if first {
                record.rounds[index].grant = Some(GrantRecord { names, fits, dealt: dealt.clone() });
            }
            first
        })
        .await
    }

    /// What chance deals depends on the packs, which an amendment may change while they are counted: the latest file's word holds.
    async fn tell_allowances(&self, view: &CampaignView, round: &RoundView, tally: &Tally) -> Result<(), Failure> {
        let file = view.record.amendments_count() as i64 + 1;
        for (shard, own) in tally.by_shard.iter().enumerate() {
            let slot = Slot::Shard(shard as u8);
            let members = own.iter().map(|((supply, pack), packs)| {
                let field = keys::winners_field(view.number, round.index, *supply, *pack);
                Member::new(vec![], vec![text(field), int(file), int(*packs as i64)])
            });
            for batch in members.collect::<Vec<_>>().chunks(64) {
                for reply in self.store.batch(&script::ALLOWANCE_PUT, &slot, batch.to_vec()).await? {
                    reply?;
                }
            }
        }
        Ok(())
    }
}

impl Tally {
    fn add(
        &mut self,
        view: &CampaignView,
        round: &RoundView,
        shard: u8,
        member: &ListMember,
        undealt: Option<Pseudonym>,
    ) {
        self.names += 1;
        let channel = round.channel_of_grant(member, 0);
        if let (Some(deal), Some(pseudonym)) = (&round.deal, undealt) {
            // A list that names packs leaves nothing to chance.
            self.fits &= member.pack.is_none();
            let supply = round.packs.first().and_then(|pack| supply_of(view, round, channel, *pack));
            let supply = supply.map_or(NO_CHOICE, |(supply, _)| supply);
            self.undealt.entry(supply).or_default().push((deal.rank(pseudonym).high(), pseudonym, shard));
            return;
        }
        // Whoever the list is about, where nothing is dealt it gives everybody the same.
        let packs = round.granted(member.pack, channel, Pseudonym([0; 32]));
        self.fits &= !packs.is_empty();
        for pack in packs {
            match supply_of(view, round, channel, pack) {
                Some((supply, _)) => *self.by_shard[usize::from(shard)].entry((supply, pack)).or_default() += 1,
                None => self.fits = false,
            }
        }
    }

    /// The packs go along the ranking of the names in file order, each to as many as its share is.
    fn deal_out(&mut self, view: &CampaignView, round: &RoundView) {
        let Some(deal) = &round.deal else { return };
        let mut undealt: Vec<(u8, Vec<Undealt>)> = std::mem::take(&mut self.undealt).into_iter().collect();
        undealt.sort_unstable_by_key(|(supply, _)| *supply);
        for (supply, mut names) in undealt {
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| exact(deal, a).cmp(&exact(deal, b))));
            let count = |pack: &u8| (*pack, supply_of(view, round, supply, *pack).map_or(0, |(_, packs)| packs));
            let packs: Vec<(u8, u64)> = round.packs.iter().map(count).collect();
            let mut rest = names.as_slice();
            let (rule, id) = (round.record.rule, |pack| view.pack_id(pack));
            for (pack, share) in ranking::shares(rule, names.len() as u64, &packs, id) {
                let (own, others) = rest.split_at(share as usize);
                rest = others;
                // A shard that gets none of a pack is told so: it may have been told otherwise before the packs were amended.
                self.by_shard.iter_mut().for_each(|of_shard| _ = of_shard.entry((supply, pack)).or_default());
                for (_, _, shard) in own {
                    *self.by_shard[usize::from(*shard)].entry((supply, pack)).or_default() += 1;
                }
                let Some(last) = own.last().map(|last| exact(deal, last)) else { continue };
                self.dealt.push(CutoffRecord {
                    channel: (supply != NO_CHOICE).then_some(supply),
                    pack,
                    score: hex::encode(last.score.0),
                    pseudonym: last.pseudonym.hex(),
                    winners: share,
                    tiers: Vec::new(),
                });
            }
            self.fits &= rest.is_empty();
        }
    }

    /// Whether no supply is asked for more than it has.
    fn compare(&mut self, view: &CampaignView, round: &RoundView) {
        let mut wanted: HashMap<(u8, u8), u64> = HashMap::new();
        for ((supply, pack), packs) in self.by_shard.iter().flatten() {
            *wanted.entry((*supply, *pack)).or_default() += packs;
        }
        let has = |supply, pack| supply_of(view, round, supply, pack).map_or(0, |(_, packs)| packs);
        self.fits &= wanted.iter().all(|((supply, pack), wanted)| *wanted <= has(*supply, *pack));
    }
}

fn exact(deal: &Deal, (_, pseudonym, _): &Undealt) -> Cutoff {
    let score: Score = deal.rank(*pseudonym);
    Cutoff { score, pseudonym: *pseudonym }
}
