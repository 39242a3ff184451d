//! Closing a list, committing to it, drawing, crediting who did not tap, and the proof. Every step is idempotent: two nodes that take
//! it at once come to the same result, and a node that stops halfway is continued by the next run.

use sha2::{Digest, Sha256};

use super::issuance::{credit_member, entry_of, swept};
use super::reservation::NO_CHOICE;
use super::resident::Person;
use super::view::{CampaignView, RoundView, seed};
use super::{Engine, Failure};
use crate::domain::campaign::schema::Supply;
use crate::domain::draw::{self, Entry, ListRoot, Score};
use crate::domain::person::Pseudonym;
use crate::domain::refusal::Code;
use crate::store::campaign::{ClosedList, CutoffRecord, DrawRecord, ListState};
use crate::store::keys::{self, Slot};
use crate::store::record::Entry as RecordEntry;
use crate::store::script::{self, Member};
use crate::store::{int, read, text};

/// One place on a list, compact: 15 million of them are 600 MB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListEntry {
    pub pseudonym: Pseudonym,
    pub channel: u8,
    pub choice: u8,
    pub shard: u8,
}

impl Engine {
    /// Stops reservation on every shard, reads the list and publishes the commitment to it.
    pub async fn close_list(&self, campaign_id: &str, round_id: &str) -> Result<(), Failure> {
        let (view, round) = self.round_of(campaign_id, round_id)?;
        let index = usize::from(round);
        self.advance(campaign_id, |record| {
            let open = matches!(record.rounds[index].list, ListState::Open);
            if open {
                record.rounds[index].list = ListState::Closing;
            }
            open
        })
        .await?;
        if matches!(self.round_of(campaign_id, round_id)?.0.rounds[index].record.list, ListState::Closed(_)) {
            return Ok(());
        }
        let entries = self.entries(&view, round).await?;
        let root = list_root(&view, &entries);
        let secret = self.keys.draw_secret(campaign_id, round_id);
        let closed = ClosedList {
            count: root.count(),
            root: hex::encode(root.root()),
            secret_commitment: hex::encode(Sha256::digest(secret)),
            closed_at: self.now(),
        };
        tracing::info!(campaign.id = campaign_id, round.id = round_id, entries = closed.count, "list closed");
        self.advance(campaign_id, |record| {
            let closing = matches!(record.rounds[index].list, ListState::Closing);
            if closing {
                record.rounds[index].list = ListState::Closed(closed.clone());
            }
            closing
        })
        .await
    }

    /// Draws a closed list: cutoffs for every group, and to each shard the number of its winners.
    pub async fn draw_round(&self, campaign_id: &str, round_id: &str) -> Result<(), Failure> {
        let (view, round) = self.round_of(campaign_id, round_id)?;
        let index = usize::from(round);
        let ListState::Closed(list) = &view.rounds[index].record.list else { return Err(Code::ListNotClosed.into()) };
        if view.rounds[index].record.draw.is_some() {
            return Ok(());
        }
        let entries = self.entries(&view, round).await?;
        if hex::encode(list_root(&view, &entries).root()) != list.root {
            tracing::error!(
                campaign.id = campaign_id,
                round.id = round_id,
                "the list differs from its commitment; nothing is drawn"
            );
            return Err(Code::Internal.into());
        }
        let seed =
            seed(campaign_id, round_id, &view.record, &list.root, list.count, &self.keys).ok_or(Code::Internal)?;
        let mut cutoffs = Vec::new();
        for (channel, pack, supply) in groups(&view, &view.rounds[index]) {
            let members = entries.iter().filter(|entry| channel.is_none_or(|own| own == entry.channel));
            let mut ranked: Vec<(Score, Pseudonym)> =
                members.clone().map(|entry| (seed.score(&draw_entry(&view, entry)), entry.pseudonym)).collect();
            let Some(cutoff) = draw::cutoff(&mut ranked, supply) else { continue };
            let mut per_shard = vec![0_u64; usize::from(self.store.shards())];
            for entry in members {
                if cutoff.admits(seed.score(&draw_entry(&view, entry)), entry.pseudonym) {
                    per_shard[usize::from(entry.shard)] += 1;
                }
            }
            self.tell_winners(&view, round, channel, pack, &per_shard).await?;
            cutoffs.push(CutoffRecord {
                channel,
                pack,
                score: hex::encode(cutoff.score.0),
                pseudonym: cutoff.pseudonym.hex(),
                winners: per_shard.iter().sum(),
            });
        }
        let drawn = DrawRecord { drawn_at: self.now(), cutoffs };
        tracing::info!(campaign.id = campaign_id, round.id = round_id, "round drawn");
        self.advance(campaign_id, |record| {
            let undrawn = record.rounds[index].draw.is_none();
            if undrawn {
                record.rounds[index].draw = Some(drawn.clone());
            }
            undrawn
        })
        .await
    }

    /// Credits every decided winner who has no pack yet, then notes that the round is credited.
    pub async fn credit_round(&self, campaign_id: &str, round_id: &str) -> Result<u64, Failure> {
        let (view, index) = self.round_of(campaign_id, round_id)?;
        let mut credited = 0;
        for shard in 0..self.store.shards() {
            for buckets in read::steps(view.record.buckets) {
                let people = self.store.people(shard, view.number, buckets).await?;
                let winners = people.into_iter().filter_map(|(pseudonym, record)| {
                    let entry = record.entries.iter().find(|entry| entry.round == index)?;
                    let has_pack = record.packs.iter().any(|pack| pack.round == index && pack.channel == entry.channel);
                    if has_pack { None } else { self.winner(&view, index, shard, pseudonym, entry) }
                });
                let winners: Vec<Member> = winners.collect();
                for batch in winners.chunks(64) {
                    for reply in self.store.batch(&script::PACK_ISSUE, &Slot::Shard(shard), batch.to_vec()).await? {
                        credited += u64::from(swept(&view, &view.rounds[usize::from(index)], &reply?)?);
                    }
                }
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

    /// The list of a round in its canonical order.
    pub async fn entries(&self, view: &CampaignView, round: u8) -> Result<Vec<ListEntry>, Failure> {
        let mut entries = Vec::new();
        for shard in 0..self.store.shards() {
            for buckets in read::steps(view.record.buckets) {
                for (pseudonym, record) in self.store.people(shard, view.number, buckets).await? {
                    let own = record.entries.iter().filter(|entry| entry.round == round);
                    entries.extend(own.map(|entry| ListEntry {
                        pseudonym,
                        channel: entry.channel,
                        choice: entry.choice,
                        shard,
                    }));
                }
            }
        }
        // Names and positions of channels may sort differently; the tree sorts by the bytes of the entries.
        entries.sort_unstable_by(|a, b| {
            a.pseudonym.cmp(&b.pseudonym).then_with(|| draw_entry(view, a).bytes().cmp(&draw_entry(view, b).bytes()))
        });
        Ok(entries)
    }

    pub(super) fn round_of(
        &self,
        campaign_id: &str,
        round_id: &str,
    ) -> Result<(std::sync::Arc<CampaignView>, u8), Failure> {
        let view = self.published(campaign_id)?;
        let round = view.round(round_id).ok_or(Code::RoundNotFound)?.index;
        Ok((view, round))
    }

    fn winner(
        &self,
        view: &CampaignView,
        round: u8,
        shard: u8,
        pseudonym: Pseudonym,
        entry: &RecordEntry,
    ) -> Option<Member> {
        let round = &view.rounds[usize::from(round)];
        let person = Person::new(view, shard, pseudonym);
        let place = round.draw.as_ref()?.place(&entry_of(view, &person, entry.channel, entry.choice), entry.channel)?;
        place
            .won
            .then(|| credit_member(self, view, round, &person, entry.channel, place.group.pack, place.group.channel))
    }

    /// Each shard learns how many packs it may issue, so that even a broken node cannot issue more than were drawn.
    async fn tell_winners(
        &self,
        view: &CampaignView,
        round: u8,
        channel: Option<u8>,
        pack: u8,
        per_shard: &[u64],
    ) -> Result<(), Failure> {
        for (shard, winners) in per_shard.iter().enumerate() {
            let field = keys::winners_field(view.number, round, channel.unwrap_or(NO_CHOICE), pack);
            let member = Member::new(vec![], vec![text(field), int(*winners as i64)]);
            self.store.call(&script::HEADER_PUT, &Slot::Shard(shard as u8), member).await?;
        }
        Ok(())
    }
}

/// A list entry as the draw sees it.
pub fn draw_entry<'a>(view: &'a CampaignView, entry: &ListEntry) -> Entry<'a> {
    let pack_id = if entry.choice == NO_CHOICE { "" } else { view.pack_id(entry.choice) };
    Entry { pseudonym: entry.pseudonym, channel: view.channel_name(entry.channel), pack_id, k: 0 }
}

fn list_root(view: &CampaignView, entries: &[ListEntry]) -> ListRoot {
    let mut root = ListRoot::default();
    for entry in entries {
        root.push(&draw_entry(view, entry).bytes());
    }
    root
}

/// The separately drawn supplies of a round: (channel when divided by channel, pack, count).
fn groups(view: &CampaignView, round: &RoundView) -> Vec<(Option<u8>, u8, u64)> {
    let Supply::Packs(packs) = &round.round.supply else { return Vec::new() };
    let position = |pack_id: &str| view.campaign.packs.iter().position(|pack| pack.pack_id == pack_id);
    packs.iter().filter_map(|supply| Some((None, position(&supply.pack_id)? as u8, supply.count))).collect()
}

/// The published commitment of a closed list.
pub fn commitment(view: &CampaignView, round: &RoundView) -> Option<serde_json::Value> {
    let ListState::Closed(list) = &round.record.list else { return None };
    let draw = round.round.draw.as_ref();
    let mut commitment = serde_json::json!({
        "campaign_id": view.id,
        "round_id": round.round.round_id,
        "count": list.count,
        "root": list.root,
        "rules_hash": view.record.rules_hash,
        "secret_commitment": list.secret_commitment,
        "entropy": draw.map(|draw| draw.entropy.clone()),
        "closed_at": view.zone.rfc3339(list.closed_at),
    });
    if let Some(drand_round) = draw.and_then(|draw| draw.drand_round) {
        commitment["drand_round"] = drand_round.into();
    }
    Some(commitment)
}

/// Commitment, secret and cutoffs: everything that `verify-draw` needs besides the two lists.
pub fn proof(engine: &Engine, view: &CampaignView, round: &RoundView) -> Option<serde_json::Value> {
    let mut proof = commitment(view, round)?;
    let draw = round.record.draw.as_ref()?;
    let cutoffs = draw.cutoffs.iter().map(|cutoff| {
        serde_json::json!({
            "channel": cutoff.channel.map(|channel| view.channel_name(channel)),
            "pack_id": view.pack_id(cutoff.pack),
            "score": cutoff.score,
            "pseudonym": cutoff.pseudonym,
            "winners": cutoff.winners,
        })
    });
    proof["secret"] = hex::encode(engine.keys.draw_secret(&view.id, &round.round.round_id)).into();
    proof["entropy_values"] = serde_json::json!([]);
    proof["cutoffs"] = cutoffs.collect::<Vec<_>>().into();
    proof["campaign"] = serde_json::from_str(&view.record.file).unwrap_or_default();
    let base = format!("/v1/campaigns/{}/rounds/{}", view.id, round.round.round_id);
    proof["entries_url"] = format!("{base}/entries").into();
    proof["winners_url"] = format!("{base}/winners").into();
    Some(proof)
}

/// One line of the published lists; a round without choice has no pack in its entries, its winners have the round's.
pub fn list_line(view: &CampaignView, entry: &ListEntry, pack: Option<u8>) -> String {
    let chosen = (entry.choice != NO_CHOICE).then_some(entry.choice).or(pack);
    let line = serde_json::json!({
        "pseudonym": entry.pseudonym.hex(),
        "channel": view.channel_name(entry.channel),
        "pack_id": chosen.map(|pack| view.pack_id(pack)),
        "k": 0,
    });
    line.to_string()
}
