//! Grants: a list says who gets a pack. Its names are counted against the packs once, beforehand; then the sweep credits everybody, or
//! each person claims in the round's window.

use std::collections::HashMap;

use super::issuance::{credit_member, swept};
use super::reservation::NO_CHOICE;
use super::resident::{Person, Resident};
use super::stock::supply_of;
use super::view::{CampaignView, RoundView};
use super::{Engine, Failure};
use crate::domain::campaign::schema::{Mode, Unclaimed};
use crate::domain::time::Ms;
use crate::store::campaign::GrantRecord;
use crate::store::keys::{self, Slot};
use crate::store::list::{ListMember, PinnedList};
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, text};

impl RoundView {
    /// A grant is counted as soon as its packs are known, so that a list that is too long is noticed in time.
    pub(super) fn grant_is_uncounted(&self, view: &CampaignView) -> bool {
        self.round.mode == Mode::Grant && self.record.grant.is_none() && !view.awaits_supply(self)
    }

    /// When the sweep credits a grant: at its instant, or after its window.
    pub(super) fn grant_is_due(&self, now: Ms) -> bool {
        let after_window = self.round.closes_at.filter(|_| self.round.unclaimed == Unclaimed::Credit);
        let due = self.round.credit_at.or(after_window);
        let fits = self.record.grant.as_ref().is_some_and(|grant| grant.fits);
        fits && self.record.credited_at.is_none() && due.is_some_and(|due| now >= due)
    }

    /// Whether the sweep has still to come by those who have no pack.
    pub(super) fn grant_is_coming(&self) -> bool {
        let credits = self.round.credit_at.is_some() || self.round.unclaimed == Unclaimed::Credit;
        credits && self.record.credited_at.is_none()
    }

    /// What an operator is told about a list that has more names than there are packs.
    pub(super) fn grant_warning(&self) -> Option<String> {
        let grant = self.record.grant.as_ref().filter(|grant| !grant.fits)?;
        Some(format!("the list names {} persons, more than the round has packs for; nobody is credited", grant.names))
    }
}

/// The pack and the supply that a person of a grant's list gets; `None` when the list asks for what the round does not have.
fn granted(view: &CampaignView, round: &RoundView, member: &ListMember) -> Option<(u8, u8, u8)> {
    let only = || {
        let mut packs = round.round.supply.pack_ids();
        let pack_id = packs.next().filter(|_| packs.next().is_none())?;
        view.campaign.pack(pack_id).map(|(index, _)| index as u8)
    };
    let (channel, pack) = (member.channel.unwrap_or_default(), member.pack.or_else(only)?);
    let (supply, _) = supply_of(view, round, channel, pack)?;
    Some((channel, pack, supply))
}

impl Engine {
    /// Counts the names of a grant's list for each supply, tells every shard how many packs it may issue, and notes whether all fit.
    pub(super) async fn count_grant(&self, view: &CampaignView, round: &RoundView) -> Result<(), Failure> {
        let list = list_of(view, round)?;
        let (mut names, mut fits) = (0, true);
        let mut totals: HashMap<(u8, u8), (u64, u64)> = HashMap::new();
        let mut by_shard: Vec<HashMap<(u8, u8), u64>> = Vec::new();
        for shard in 0..self.store.shards() {
            let mut own: HashMap<(u8, u8), u64> = HashMap::new();
            let mut walk = self.list_walk(list, shard);
            while let Some(people) = walk.next().await? {
                names += people.len() as u64;
                for (_, member) in &people {
                    let Some((channel, pack, supply)) = granted(view, round, member) else {
                        fits = false;
                        continue;
                    };
                    *own.entry((supply, pack)).or_default() += 1;
                    let packs = || supply_of(view, round, channel, pack).map_or(0, |(_, packs)| packs);
                    totals.entry((supply, pack)).or_insert_with(|| (0, packs())).0 += 1;
                }
            }
            by_shard.push(own);
        }
        fits &= totals.values().all(|(names, packs)| names <= packs);
        for (shard, own) in by_shard.iter().enumerate().filter(|_| fits) {
            let fields = own.iter().flat_map(|((supply, pack), n)| {
                [text(keys::winners_field(view.number, round.index, *supply, *pack)), int(*n as i64)]
            });
            let member = Member::new(vec![], fields.collect());
            self.store.call(&script::HEADER_PUT, &Slot::Shard(shard as u8), member).await?;
        }
        tracing::info!(campaign.id = view.id, round.id = round.round.round_id, names, fits, "names of a grant counted");
        let index = usize::from(round.index);
        self.advance(&view.id, |record| {
            // Counted against the packs of another file, they are counted again.
            let first = record.rounds[index].grant.is_none() && record.file == view.record.file;
            if first {
                record.rounds[index].grant = Some(GrantRecord { names, fits });
            }
            first
        })
        .await
    }

    /// Credits everybody on the list who has no pack yet, then notes that the round is credited.
    pub(super) async fn credit_grant(&self, view: &CampaignView, round: &RoundView) -> Result<(), Failure> {
        let list = list_of(view, round)?;
        let mut credited = 0;
        for shard in 0..self.store.shards() {
            let mut walk = self.list_walk(list, shard);
            while let Some(people) = walk.next().await? {
                let members = people.iter().filter_map(|(root, member)| {
                    let (channel, pack, supply) = granted(view, round, member)?;
                    let person = Person::new(view, shard, root.in_campaign(&view.pseudonym_key));
                    let supply = (supply != NO_CHOICE).then_some(supply);
                    Some(credit_member(self, view, round, &person, channel, pack, supply))
                });
                for batch in members.collect::<Vec<_>>().chunks(64) {
                    for reply in self.store.batch(&script::PACK_ISSUE, &Slot::Shard(shard), batch.to_vec()).await? {
                        credited += u64::from(swept(view, round, &reply?)?);
                    }
                }
            }
        }
        tracing::info!(campaign.id = view.id, round.id = round.round.round_id, credited, "grant credited");
        let (index, now) = (usize::from(round.index), self.now());
        self.advance(&view.id, |record| {
            let first = record.rounds[index].credited_at.is_none();
            record.rounds[index].credited_at.get_or_insert(now);
            first
        })
        .await
    }

    /// What a grant's list says about a person; `None` when the person is not on it.
    pub(super) async fn grant_of(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
    ) -> Result<Option<ListMember>, StoreError> {
        self.list_member(list_of(view, round)?, &resident.root).await
    }
}

fn list_of<'a>(view: &'a CampaignView, round: &RoundView) -> Result<&'a PinnedList, StoreError> {
    let pinned = round.round.entries_list.as_ref().and_then(|list_id| view.record.lists.get(list_id));
    pinned.ok_or_else(|| StoreError::Broken(format!("campaign {}: a grant has no list", view.id)))
}
