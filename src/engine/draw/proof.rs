//! What is published about a draw: the commitment before it, the proof and both lists after the round.

use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::entries::ListEntry;
use super::result::Place;
use crate::domain::campaign::Mode;
use crate::domain::pool::CellSupply;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::campaign::amendment;
use crate::engine::campaign::file::amended_hash;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::store::campaign::{CutoffRecord, ListState};

/// The published commitment of a closed list.
pub fn commitment(view: &CampaignView, round: &RoundView) -> Option<Value> {
    let ListState::Closed(list) = &round.record.list else { return None };
    let draw = round.round.draw.as_ref();
    let mut commitment = json!({
        "campaign_id": view.id,
        "round_id": round.round.round_id,
        "count": list.count,
        "root": list.root,
        "rules_hash": view.record.rules_hash,
        "secret_commitment": list.secret_commitment,
        "entropy": draw.map(|draw| draw.entropy.clone()),
        "closed_at": view.zone.rfc3339(list.closed_at),
    });
    // The first version was published without its name.
    if round.shares_in_proportion() {
        commitment["draw"] = round.record.rule.of_draw().into();
    }
    if let Some(drand_round) = list.drand_round {
        commitment["drand_round"] = drand_round.into();
    }
    if let Some(amended) = amended_hash(&view.record, list.amendments) {
        commitment["amended_rules_hash"] = amended.into();
    }
    Some(commitment)
}

/// Commitment, secret, public values and cutoffs: everything that `verify-draw` needs besides the two lists.
pub fn proof(engine: &Engine, view: &CampaignView, round: &RoundView) -> Option<Value> {
    let mut proof = commitment(view, round)?;
    let draw = round.record.draw.as_ref()?;
    proof["secret"] = hex::encode(engine.keys.draw_secret(&view.id, &round.round.round_id)).into();
    proof["entropy_values"] = json!(round.record.entropy);
    if let Some(signature) = &round.record.drand_signature {
        proof["drand_signature"] = signature.as_str().into();
    }
    proof["cutoffs"] = cutoffs(view, &draw.cutoffs);
    proof["tiers"] = tiers(view, &draw.cutoffs);
    let waves = round.record.waves.iter().filter_map(|wave| {
        let decided = wave.cutoffs.as_ref()?;
        let frozen_at = view.zone.rfc3339(wave.frozen_at);
        let mut shown =
            json!({"frozen_at": frozen_at, "cutoffs": cutoffs(view, decided), "tiers": tiers(view, decided)});
        if !wave.left.is_empty() {
            shown["supply"] = cells(view, &wave.left);
        }
        Some(shown)
    });
    proof["waves"] = waves.collect();
    if view.campaign.counts_late(&round.round) {
        proof["supply"] = cells(view, round.cells());
    }
    proof["campaign"] = serde_json::from_str(view.record.published_file()).unwrap_or_default();
    let amendments = match &round.record.list {
        ListState::Closed(list) => list.amendments,
        _ => 0,
    };
    if amendments > 0 {
        proof["amendments"] = amendment::published(view, amendments);
    }
    let base = base(view, round);
    proof["entries_url"] = format!("{base}/entries").into();
    proof["winners_url"] = format!("{base}/winners").into();
    Some(proof)
}

/// Why a round has no list, no draw and no winners, for good: its mode needs none. It says what is published instead.
pub fn undrawn(view: &CampaignView, round: &RoundView) -> Option<Refusal> {
    let (mode, zh, en) = match round.round.mode {
        Mode::Ballot | Mode::Rain => return None,
        Mode::FirstCome => ("first_come", "先到先得", "whoever comes first gets a pack"),
        Mode::Grant => ("grant", "按主管部门的名单发放", "the office's list says who gets a pack"),
    };
    let round_id = &round.round.round_id;
    let mut published = vec![format!("/v1/public/campaigns/{}", view.id)];
    let (mut more_zh, mut more_en) = (String::new(), String::new());
    if round.deal.is_some() {
        published.extend(["commitment", "proof"].map(|what| format!("{}/{what}", base(view, round))));
        more_zh = "；分到哪种券包由 commitment 与场次结束后的 proof 可复算".to_owned();
        more_en =
            "; which pack chance gave can be recomputed from the commitment and, after the round, the proof".to_owned();
    }
    let refusal = Refusal::new(Code::RoundHasNoDraw).with("round_id", round_id.as_str()).with("mode", mode);
    Some(refusal.with("published", published).detail(
        format!("场次“{round_id}”的方式为 {mode}（{zh}），不摇号，没有名单和中签名单。所公布的是活动文件{more_zh}。"),
        format!("Round \"{round_id}\" is of mode {mode} ({en}): there is no list, no draw and no winners. What is published is the campaign file{more_en}."),
    ))
}

fn base(view: &CampaignView, round: &RoundView) -> String {
    format!("/v1/campaigns/{}/rounds/{}", view.id, round.round.round_id)
}

/// What is fixed from the publication on where chance deals packs without a draw.
pub fn deal_commitment(engine: &Engine, view: &CampaignView, round: &RoundView) -> Option<Value> {
    round.deal.as_ref()?;
    let secret = engine.keys.draw_secret(&view.id, &round.round.round_id);
    Some(json!({
        "campaign_id": view.id,
        "round_id": round.round.round_id,
        "deal": round.record.rule.of_deal(),
        "rules_hash": view.record.rules_hash,
        "secret_commitment": hex::encode(Sha256::digest(secret)),
    }))
}

/// With which anybody can recompute, after the round, in which order a person was offered its packs, or what a list's name was dealt.
pub fn deal_proof(engine: &Engine, view: &CampaignView, round: &RoundView) -> Option<Value> {
    let mut proof = deal_commitment(engine, view, round)?;
    proof["secret"] = hex::encode(engine.keys.draw_secret(&view.id, &round.round.round_id)).into();
    proof["supply"] = cells(view, round.cells());
    if let Some(grant) = &round.record.grant {
        proof["cutoffs"] = cutoffs(view, &grant.dealt);
    }
    Some(proof)
}

fn cells(view: &CampaignView, cells: &[CellSupply]) -> Value {
    let cell = |cell: &CellSupply| {
        let channel = cell.channel.map(|channel| view.channel_name(channel));
        json!({"channel": channel, "pack_id": view.pack_id(cell.pack), "count": cell.count})
    };
    cells.iter().map(cell).collect()
}

fn cutoffs(view: &CampaignView, cutoffs: &[CutoffRecord]) -> Value {
    let cutoff = |cutoff: &CutoffRecord| {
        json!({
            "channel": cutoff.channel.map(|channel| view.channel_name(channel)),
            "pack_id": (cutoff.pack != NO_CHOICE).then(|| view.pack_id(cutoff.pack)),
            "score": cutoff.score,
            "pseudonym": cutoff.pseudonym,
            "winners": cutoff.winners,
        })
    };
    cutoffs.iter().map(cutoff).collect()
}

/// Where chance gives the packs: the last winner of each, by second score.
fn tiers(view: &CampaignView, cutoffs: &[CutoffRecord]) -> Value {
    let of_cutoff = |cutoff: &CutoffRecord| {
        let channel = cutoff.channel.map(|channel| view.channel_name(channel).to_owned());
        let tier = move |tier: &crate::store::campaign::TierRecord| {
            json!({
                "channel": channel,
                "pack_id": view.pack_id(tier.pack),
                "score": tier.score,
                "pseudonym": tier.pseudonym,
                "winners": tier.winners,
            })
        };
        cutoff.tiers.iter().map(tier).collect::<Vec<_>>()
    };
    cutoffs.iter().flat_map(of_cutoff).collect()
}

/// Which of the published lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Entries,
    Winners,
}

/// Lines of some entries, all of the same persons: of each entry one for every `k`, or one for every pack that was won.
pub fn lines(view: &CampaignView, round: &RoundView, list: Published, entries: &[ListEntry]) -> String {
    let mut text = String::with_capacity(entries.len() * 128);
    if list == Published::Entries {
        for entry in entries {
            let pack = (entry.choice != NO_CHOICE).then_some(entry.choice);
            (0..u16::from(entry.chances)).for_each(|k| line(&mut text, view, entry, pack, k, 0));
        }
        return text;
    }
    for person in entries.chunk_by(|a, b| a.pseudonym == b.pseudonym) {
        for (entry, place) in won(view, round, person) {
            line(&mut text, view, entry, Some(place.group.pack), place.k, place.window);
        }
    }
    text
}

/// Winning entries of one person, in the order of the list.
fn won<'e>(view: &CampaignView, round: &RoundView, person: &'e [ListEntry]) -> Vec<(&'e ListEntry, Place)> {
    let places = person.iter().filter_map(|entry| Some((entry, round.place(view, &entry.standing())?)));
    let mut won: Vec<_> = places.filter(|(_, place)| place.won).collect();
    let most = round.round.max_packs_per_person as usize;
    if round.capped && won.len() > most {
        let mut order: Vec<_> = won.iter().map(|(_, place)| place.order()).collect();
        order.sort_unstable();
        won.retain(|(_, place)| place.order() < order[most]);
    }
    won
}

/// One line of the published lists. Names and hashes need no escapes. A winner of a wave says of which, counting from 1.
fn line(text: &mut String, view: &CampaignView, entry: &ListEntry, pack: Option<u8>, k: u16, wave: usize) {
    let pack = pack.map_or("null".to_owned(), |pack| format!("\"{}\"", view.pack_id(pack)));
    let wave = if wave == 0 { String::new() } else { format!(",\"wave\":{wave}") };
    let (pseudonym, channel) = (entry.pseudonym.hex(), view.channel_name(entry.channel));
    let written = writeln!(
        text,
        "{{\"pseudonym\":\"{pseudonym}\",\"channel\":\"{channel}\",\"pack_id\":{pack},\"k\":{k}{wave}}}"
    );
    written.expect("a string takes what is written to it");
}
