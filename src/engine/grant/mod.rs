//! Grants: a list says who gets a pack. Its names are counted against the packs once, beforehand; then the sweep credits everybody, or
//! each person claims in the round's window.

mod count;

use crate::domain::campaign::schema::{Assignment, Mode, Unclaimed};
use crate::domain::person::Pseudonym;
use crate::domain::time::Ms;
use crate::engine::claim::{credit_member, most_packs, swept};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::resident::{Person, Resident};
use crate::engine::stock::supply_of;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::Slot;
use crate::store::list::{ListMember, PinnedList};
use crate::store::script;

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
        let names = grant.names;
        Some(format!(
            "the list names {names} persons, more than the round has packs for, or not as it gives them; nobody is credited"
        ))
    }
}

impl RoundView {
    /// The packs that a grant gives to a person of its list: the one that the list names, one of each, what chance has dealt, or the
    /// only one there is. None while they are not dealt, and where a list should have named one.
    pub(super) fn granted(&self, named: Option<u8>, channel: u8, pseudonym: Pseudonym) -> Vec<u8> {
        match (named, self.round.assignment) {
            (Some(pack), _) => vec![pack],
            (None, Assignment::Each) => self.packs.iter().take(most_packs(&self.round) as usize).copied().collect(),
            (None, Assignment::Chance) => self.dealt_pack(channel, pseudonym).into_iter().collect(),
            (None, _) if self.packs.len() == 1 => self.packs.clone(),
            (None, _) => Vec::new(),
        }
    }

    /// The channel that a name of the list gets its packs through when nobody taps. Packs that are divided over the channels are
    /// counted there, so there it is also for who taps.
    pub(super) fn channel_of_grant(&self, member: &ListMember, tapped: u8) -> u8 {
        let divided = self.cells.iter().any(|cell| cell.channel.is_some());
        member.channel.unwrap_or(if divided { 0 } else { tapped })
    }

    fn dealt_pack(&self, channel: u8, pseudonym: Pseudonym) -> Option<u8> {
        let rank = self.deal.as_ref()?.rank(pseudonym);
        let own = self.dealt.iter().filter(|group| group.channel.is_none_or(|own| own == channel));
        own.clone().find(|group| group.cutoff.admits(rank, pseudonym)).map(|group| group.pack)
    }
}

impl Engine {
    /// Credits everybody on the list who has no pack yet, then notes that the round is credited. Who stands in a row that cannot be read keeps
    /// nobody else waiting; the round waits, with that person's packs.
    pub(super) async fn credit_grant(&self, view: &CampaignView, round: &RoundView) -> Result<(), Failure> {
        let list = list_of(view, round)?;
        let total = u64::from(list.buckets) * u64::from(self.store.shards());
        let progress = self.progress.begin(view.number, round.index, "crediting", total);
        let (mut credited, mut unreadable) = (0, None);
        for shard in 0..self.store.shards() {
            let mut walk = self.list_walk(list, shard);
            while let Some(rows) = walk.next().await? {
                let (read, broken): (Vec<_>, Vec<_>) = rows.into_iter().partition(Result::is_ok);
                unreadable = unreadable.or(broken.into_iter().find_map(Result::err));
                let members = read.iter().flatten().flat_map(|(root, member)| {
                    let person = Person::new(view, shard, root.in_campaign(&view.pseudonym_key));
                    let channel = round.channel_of_grant(member, 0);
                    let packs = round.granted(member.pack, channel, person.pseudonym).into_iter();
                    let members = packs.filter_map(|pack| {
                        let (supply, _) = supply_of(view, round, channel, pack)?;
                        let supply = (supply != NO_CHOICE).then_some(supply);
                        let due = round.round.credit_at;
                        Some(credit_member(self, view, round, &person, channel, pack, supply, due))
                    });
                    members.collect::<Vec<_>>()
                });
                for batch in members.collect::<Vec<_>>().chunks(64) {
                    for reply in self.store.batch(&script::PACK_ISSUE, &Slot::Shard(shard), batch.to_vec()).await? {
                        credited += u64::from(swept(view, round, &reply?)?);
                    }
                }
            }
            progress.add(u64::from(list.buckets));
        }
        progress.heeding(unreadable.map_or(Ok(()), |row| Err(StoreError::from(row))))?;
        progress.came_through();
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
