//! Waves: what nobody claimed in a window goes to the next scores (`unclaimed: release`). First the window is frozen on all shards, then
//! what is left is counted, then the next scores are decided and told. Any node may take any step again and comes to the same.

use crate::engine::blocking;
use std::sync::Arc;

use crate::domain::pass::Pass;
use crate::domain::pool::CellSupply;
use crate::domain::refusal::Code;
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::result::Win;
use crate::engine::draw::strike::mark_member;
use crate::engine::draw::{Allowance, Decider, Decision};
use crate::engine::reservation::entry::require_entry;
use crate::engine::{Engine, Failure};
use crate::store::campaign::WaveRecord;
use crate::store::keys::Slot;
use crate::store::record::Mark;
use crate::store::script::{self, Member};
use crate::store::{int, read, text};

/// The next step of a round's waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaveStep {
    Freeze(usize),
    Decide(usize),
}

impl RoundView {
    /// What is due of the waves; the n-th wave begins when the n-th window has closed.
    pub(super) fn wave_due(&self, now: Ms) -> Option<WaveStep> {
        let frozen = self.record.waves.len();
        if self.draw.is_none() || self.round.waves.is_empty() {
            return None;
        }
        if let Some(last) = self.record.waves.last()
            && last.cutoffs.is_none()
        {
            return Some(WaveStep::Decide(frozen - 1));
        }
        let closes_at = self.windows.get(frozen)?.closes_at;
        (frozen < self.round.waves.len() && now >= closes_at).then_some(WaveStep::Freeze(frozen))
    }

    /// Whether a wave has taken over from a window: nothing of it is issued any more, whatever a slow clock says.
    pub fn is_frozen(&self, window: usize) -> bool {
        self.record.waves.len() > window
    }

    /// Whether the winners of a window are known.
    pub fn is_decided(&self, window: usize) -> bool {
        match window.checked_sub(1) {
            None => self.draw.is_some(),
            Some(wave) => self.record.waves.get(wave).is_some_and(|wave| wave.cutoffs.is_some()),
        }
    }
}

impl Engine {
    pub(super) async fn take_wave_step(
        &self,
        campaign_id: &str,
        round_id: &str,
        step: WaveStep,
    ) -> Result<(), Failure> {
        match step {
            WaveStep::Freeze(wave) => self.freeze_window(campaign_id, round_id, wave).await,
            WaveStep::Decide(wave) => self.decide_wave(campaign_id, round_id, wave).await,
        }
    }

    /// Closes a window for good. When this returns every shard has the new revision, so no claim judged before can still pass.
    async fn freeze_window(&self, campaign_id: &str, round_id: &str, wave: usize) -> Result<(), Failure> {
        let (view, index) = self.round_of(campaign_id, round_id)?;
        let frozen_at = self.now();
        self.advance(campaign_id, |record| {
            let waves = &mut record.rounds[usize::from(index)].waves;
            let first = waves.len() == wave && record.file == view.record.file;
            if first {
                waves.push(WaveRecord { frozen_at, cutoffs: None, left: Vec::new() });
            }
            first
        })
        .await
    }

    async fn decide_wave(&self, campaign_id: &str, round_id: &str, wave: usize) -> Result<(), Failure> {
        let (view, index) = self.round_of(campaign_id, round_id)?;
        let round = &view.rounds[usize::from(index)];
        if round.record.waves.get(wave).is_none_or(|wave| wave.cutoffs.is_some()) {
            return Ok(());
        }
        self.credit_present(&view, round).await?;
        let (left, issued) = self.left(&view, round).await?;
        let list = self.committed_list(&view, index).await?;
        let (shards, decided_of) = (usize::from(self.store.shards()), view.clone());
        let published = if round.shares_in_proportion() { left.clone() } else { Vec::new() };
        let decision = blocking(move || {
            let round = &decided_of.rounds[usize::from(index)];
            let Some(drawn) = &round.draw else { return Decision::default() };
            let (seed, contests) = (&drawn.seed, round.contests(&left));
            Decider { view: &decided_of, round, seed, list: &list, drawn: Some(drawn), shards }.decide(&contests)
        })
        .await?;
        for allowance in &decision.allowances {
            self.tell_wave(&view, index, wave, allowance, &issued).await?;
        }
        let winners: u64 = decision.cutoffs.iter().map(|cutoff| cutoff.winners).sum();
        tracing::info!(campaign.id = campaign_id, round.id = round_id, wave, winners, "wave decided");
        self.advance(campaign_id, |record| {
            let held = record.rounds[usize::from(index)].waves.get_mut(wave);
            let open = held.filter(|wave| wave.cutoffs.is_none());
            let first = open.is_some();
            if let Some(held) = open {
                held.cutoffs = Some(decision.cutoffs.clone());
                held.left = published.clone();
            }
            first
        })
        .await
    }

    /// Winners who tapped before their score was out have shown that they are there; they get their packs, and nobody passes over them.
    async fn credit_present(&self, view: &Arc<CampaignView>, round: &RoundView) -> Result<(), Failure> {
        let progress = self.progress.begin(view.number, round.index, "wave", self.walk_length(view));
        for shard in 0..self.store.shards() {
            let chances = progress.heeding(self.chances(view, round.index, shard).await)?;
            for buckets in read::steps(view.record.buckets) {
                let done = buckets.len() as u64;
                let mut members = Vec::new();
                // The pack of a winner who is passed over here goes to somebody else, and the list cannot be read without the record either.
                let people = self.store.people(shard, view.number, buckets).await;
                for (pseudonym, record) in progress.heeding(people)? {
                    let of_round = record.entries.iter().filter(|entry| entry.round == round.index);
                    let present = of_round.filter(|entry| entry.mark == Mark::Present).map(|entry| entry.channel);
                    let present: Vec<u8> = present.collect();
                    if present.is_empty() {
                        continue;
                    }
                    let chances = chances.get(&pseudonym.field()).copied().unwrap_or(1);
                    // Only the first window has a release; whoever wins in a wave comes for it there.
                    let there = |win: &Win| win.place.window == 0 && present.contains(&win.channel);
                    members.extend(self.owed_where(view, round, shard, pseudonym, &record, chances, there));
                }
                self.credit_all(view, round, shard, members).await?;
                progress.add(done);
            }
        }
        progress.came_through();
        Ok(())
    }

    /// What the window has left of each cell, and what each shard had issued of it.
    async fn left(&self, view: &CampaignView, round: &RoundView) -> Result<(Vec<CellSupply>, Vec<Allowance>), Failure> {
        let mut issued: Vec<Allowance> = round
            .cells()
            .iter()
            .map(|cell| Allowance { channel: cell.channel, pack: cell.pack, per_shard: Vec::new() })
            .collect();
        let fields: Vec<String> =
            issued.iter().map(|cell| format!("{}:issued", cell.field(view, round.index))).collect();
        for shard in 0..self.store.shards() {
            let numbers = self.store.header_numbers(&Slot::Shard(shard), &fields).await?;
            for (cell, number) in issued.iter_mut().zip(numbers) {
                cell.per_shard.push(u64::try_from(number).map_err(|_| Code::Internal)?);
            }
        }
        let left = round.cells().iter().zip(&issued).map(|(cell, issued)| {
            let count = cell.count.saturating_sub(issued.per_shard.iter().sum());
            CellSupply { count, ..*cell }
        });
        Ok((left.collect(), issued))
    }

    /// A shard may have issued, by the end of a wave, what it had issued before and one for each new winner.
    async fn tell_wave(
        &self,
        view: &CampaignView,
        round: u8,
        wave: usize,
        allowance: &Allowance,
        issued: &[Allowance],
    ) -> Result<(), Failure> {
        let before = issued.iter().find(|cell| (cell.channel, cell.pack) == (allowance.channel, allowance.pack));
        let before = before.ok_or(Code::Internal)?;
        for (shard, (winners, before)) in allowance.per_shard.iter().zip(&before.per_shard).enumerate() {
            let args = vec![text(allowance.field(view, round)), int(wave as i64 + 1), int((winners + before) as i64)];
            let slot = Slot::Shard(shard as u8);
            self.store.call(&script::ALLOWANCE_PUT, &slot, Member::new(vec![], args)).await?;
        }
        Ok(())
    }

    /// Notes that a decided winner has tapped before the release came to the score; refuses a pass whose entry is not on the list.
    pub(super) async fn mark_present(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
    ) -> Result<(), Failure> {
        let person = pass.person(view);
        let member = mark_member(&person, round.index, pass.channel, Mark::Present);
        if self.store.call(&script::ENTRY_MARK, &person.slot(), member).await?.refused().is_some() {
            let record = self.person_record(&person).await?.unwrap_or_default();
            require_entry(view, round, pass, &record)?;
        }
        Ok(())
    }
}
