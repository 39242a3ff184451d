//! Crediting every decided winner who has no pack yet: a walk with a cursor on each shard, so that a run that stopped goes on where it was.

use std::collections::HashSet;

use crate::domain::person::Pseudonym;
use crate::domain::time::Ms;
use crate::domain::voucher::PersonField;
use crate::engine::claim::{credit_member, swept};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::result::{Place, Win};
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::keys::{self, Slot};
use crate::store::list::UnreadableRow;
use crate::store::record::PersonRecord;
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, read, text};

/// Persons of whom the list that gives the chances cannot be read: what they have won is not known.
pub(in crate::engine) fn unknown(view: &CampaignView, rows: &[UnreadableRow]) -> HashSet<PersonField> {
    let whose = rows.iter().filter_map(|row| row.root);
    whose.map(|root| root.in_campaign(&view.pseudonym_key).field()).collect()
}

impl RoundView {
    /// The instant at which a winner's pack comes: when the release reaches the score, when a wave opens, or when the round credits.
    pub(in crate::engine) fn due(&self, place: &Place) -> Ms {
        match self.windows.get(place.window) {
            Some(wave) if place.window > 0 => wave.opens_at,
            Some(_) => place.revealed_at(self.release()),
            None => self.last_close(),
        }
    }
}

impl Engine {
    /// Credits every decided winner who has no pack yet, then notes that the round is credited.
    pub async fn credit_round(&self, campaign_id: &str, round_id: &str) -> Result<u64, Failure> {
        let (view, index) = self.round_of(campaign_id, round_id)?;
        let round = &view.rounds[usize::from(index)];
        let progress = self.progress.begin(view.number, index, "crediting", self.walk_length(&view));
        let cursor = keys::credit_cursor_field(view.number, index);
        let mut credited = 0;
        for shard in 0..self.store.shards() {
            let slot = Slot::Shard(shard);
            let (chances, rows) = self.chances_each(&view, index, shard).await?;
            let unknown = unknown(&view, &rows);
            for UnreadableRow { named, .. } in &rows {
                tracing::error!(campaign.id = campaign_id, named, "a row of a list is passed over");
            }
            let reached = self.store.header_numbers(&slot, std::slice::from_ref(&cursor)).await?[0];
            for buckets in read::steps(view.record.buckets) {
                let (done, end) = (buckets.len() as u64, buckets.end);
                if i64::from(end) > reached {
                    // Who has won is decided, so a record that cannot be read keeps the pack from nobody else.
                    let people = self.store.people_each(shard, view.number, buckets).await?;
                    let unreadable = |error: &StoreError| {
                        tracing::error!(campaign.id = campaign_id, shard, %error, "a record is passed over");
                    };
                    let readable =
                        people.iter().filter_map(|(_, read)| read.as_ref().inspect_err(|error| unreadable(error)).ok());
                    let readable = readable.filter(|(pseudonym, _)| !unknown.contains(&pseudonym.field()));
                    let members = readable.flat_map(|(pseudonym, record)| {
                        let chances = chances.get(&pseudonym.field()).copied().unwrap_or(1);
                        self.owed(&view, round, shard, *pseudonym, record, chances)
                    });
                    credited += self.credit_all(&view, round, shard, members.collect()).await?;
                    let member = Member::new(vec![], vec![text(&cursor), int(end)]);
                    self.store.call(&script::CURSOR_PUT, &slot, member).await?;
                }
                progress.add(done);
            }
        }
        let now = self.now();
        self.advance(campaign_id, |record| {
            let state = &mut record.rounds[usize::from(index)];
            let first = state.credited_at.is_none();
            state.credited_at = state.credited_at.or(Some(now));
            first
        })
        .await?;
        tracing::info!(campaign.id = campaign_id, round.id = round_id, credited, "round credited");
        Ok(credited)
    }

    /// What to ask for the packs that a person has won and does not have.
    pub(in crate::engine) fn owed(
        &self,
        view: &CampaignView,
        round: &RoundView,
        shard: u8,
        pseudonym: Pseudonym,
        record: &PersonRecord,
        chances: u8,
    ) -> Vec<Member> {
        self.owed_where(view, round, shard, pseudonym, record, chances, |_| true)
    }

    /// The same of some wins. Which of several wins one may keep is judged over all of them before.
    #[allow(clippy::too_many_arguments)]
    pub(in crate::engine) fn owed_where(
        &self,
        view: &CampaignView,
        round: &RoundView,
        shard: u8,
        pseudonym: Pseudonym,
        record: &PersonRecord,
        chances: u8,
        counts: impl Fn(&Win) -> bool,
    ) -> Vec<Member> {
        let mut wins = round.wins(view, pseudonym, &record.entries, chances);
        wins.retain(|win| {
            let mut packs = record.packs.iter().filter(|pack| pack.round == round.index && pack.channel == win.channel);
            counts(win) && !packs.any(|pack| pack.pack == win.place.group.pack)
        });
        let person = Person::new(view, shard, pseudonym);
        let member = |win: Win| {
            let group = win.place.group;
            let due = Some(round.due(&win.place));
            credit_member(self, view, round, &person, win.channel, group.pack, group.channel, due)
        };
        wins.into_iter().map(member).collect()
    }

    /// Credits in batches; whom a rule refuses goes without and holds up nobody else.
    pub(in crate::engine) async fn credit_all(
        &self,
        view: &CampaignView,
        round: &RoundView,
        shard: u8,
        members: Vec<Member>,
    ) -> Result<u64, Failure> {
        let mut credited = 0;
        for batch in members.chunks(64) {
            for reply in self.store.batch(&script::PACK_ISSUE, &Slot::Shard(shard), batch.to_vec()).await? {
                credited += u64::from(swept(view, round, &reply?)?);
            }
        }
        Ok(credited)
    }
}
