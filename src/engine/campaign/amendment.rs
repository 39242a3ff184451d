//! Amendments of a published campaign: proposed by one person, brought into force by another. The amended file is judged by the same
//! code as any file; when its approval is answered every shard has the new revision, so whoever still judges by the old file is told
//! that it is stale.

use serde_json::{Value, json};

use super::file::{faults, invalid, require_state};
use crate::domain::amendment::{Change, Touch, Until, apply, judge, stale};
use crate::domain::campaign::schema::{Campaign, Mode, Round};
use crate::domain::campaign::{self, Fault};
use crate::domain::holder::Holder;
use crate::domain::ids::caller_id;
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{MINUTE, Ms};
use crate::engine::Engine;
use crate::engine::config::view::CampaignView;
use crate::engine::key::ApiKey;
use crate::store::campaign::{AmendmentRecord, AppliedRecord, CampaignRecord, ListState, RoundRecord, State};

/// Amendments of one campaign; every node keeps them in memory with its record.
const MOST: usize = 64;
/// Changes of one amendment.
const MOST_CHANGES: usize = 32;
/// Characters of a reason.
const LONGEST_REASON: usize = 500;

/// An amendment as the office sees it, and whether it had come to this before.
#[derive(Clone, Debug)]
pub struct Told {
    pub body: Value,
    pub replayed: bool,
}

/// A proposal as it arrives.
#[derive(Clone, Debug)]
pub struct Proposal {
    pub amendment_id: String,
    pub reason: String,
    pub changes: Vec<Change>,
}

impl Engine {
    /// Notes a proposal that could come into force now; until somebody approves it nothing changes.
    pub async fn propose_amendment(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        proposal: &Proposal,
    ) -> Result<Told, Refusal> {
        check_form(proposal)?;
        for _ in 0..8 {
            let mut held = self.own_campaign(key, campaign_id).await?;
            let record = &mut held.value;
            if let Some(known) = record.amendments.iter().find(|one| one.amendment_id == proposal.amendment_id) {
                let same = known.reason == proposal.reason && known.changes == proposal.changes;
                let told = || Told { body: shown(record, known), replayed: true };
                return if same { Ok(told()) } else { Err(Code::AmendmentConflict.into()) };
            }
            require_state(record, State::Published)?;
            if record.amendments.len() >= MOST {
                return Err(Code::TooManyAmendments.into());
            }
            amended(record, &proposal.changes, self.now())?;
            record.amendments.push(AmendmentRecord {
                amendment_id: proposal.amendment_id.clone(),
                reason: proposal.reason.clone(),
                changes: proposal.changes.clone(),
                submitted_by: key.holder(),
                submitted_at: self.now(),
                applied: None,
            });
            // The revision stays: no rule has changed, and what nodes have learned in a rush still holds.
            match self.replace(campaign_id, held.version, &held.value).await {
                Err(refusal) if refusal.code == Code::PreconditionFailed => continue,
                Err(refusal) => return Err(refusal),
                Ok(_) => {}
            }
            let body = held.value.amendments.last().map(|one| shown(&held.value, one)).unwrap_or_default();
            return Ok(Told { body, replayed: false });
        }
        Err(Refusal::contended())
    }

    /// Brings a proposal into force. It is judged again: what it names may have changed or been decided since.
    pub async fn approve_amendment(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        amendment_id: &str,
    ) -> Result<Told, Refusal> {
        for _ in 0..8 {
            let mut held = self.own_campaign(key, campaign_id).await?;
            let record = &mut held.value;
            let known = record.amendments.iter().position(|one| one.amendment_id == amendment_id);
            let index = known.ok_or_else(|| Noun::Amendment.not_found(amendment_id))?;
            self.require_another_person(key, &record.amendments[index].submitted_by)?;
            if record.amendments[index].applied.is_some() {
                self.tell_shards_again(record).await?;
                return Ok(Told { body: shown(record, &record.amendments[index]), replayed: true });
            }
            self.bring_into_force(record, index, key.holder())?;
            match self.replace(campaign_id, held.version, &held.value).await {
                Err(refusal) if refusal.code == Code::PreconditionFailed => continue,
                Err(refusal) => return Err(refusal),
                Ok(_) => {}
            }
            tracing::info!(campaign.id = campaign_id, amendment.id = amendment_id, "campaign amended");
            return Ok(Told { body: shown(&held.value, &held.value.amendments[index]), replayed: false });
        }
        Err(Refusal::contended())
    }

    fn bring_into_force(&self, record: &mut CampaignRecord, index: usize, approver: Holder) -> Result<(), Refusal> {
        require_state(record, State::Published)?;
        let now = self.now();
        let (parsed, touches) = amended(record, &record.amendments[index].changes, now)?;
        let file = parsed.value.to_string();
        let published = std::mem::replace(&mut record.file, file);
        record.published_file.get_or_insert(published);
        let number = record.amendments_count() + 1;
        record.amendments[index].applied = Some(AppliedRecord {
            number,
            approved_by: approver,
            applied_at: now,
            rules_hash: hex::encode(campaign::rules_hash(&parsed.value)),
        });
        for touch in touches.iter().filter(|touch| touch.until == Until::SupplyIsFixed) {
            // A list that had more names than packs is counted again.
            for round in &touch.rounds {
                let Some(state) = record.rounds.get_mut(*round) else { continue };
                state.grant = state.grant.take().filter(|grant| grant.fits);
            }
        }
        record.rev += 1;
        Ok(())
    }

    /// All amendments of a campaign, in the order in which they were proposed.
    pub async fn amendments(&self, key: &ApiKey, campaign_id: &str) -> Result<Vec<Value>, Refusal> {
        let held = self.own_campaign(key, campaign_id).await?.value;
        Ok(held.amendments.iter().map(|one| shown(&held, one)).collect())
    }
}

/// The first `count` amendments that came into force, as everybody may know them.
pub(in crate::engine) fn published(view: &CampaignView, count: usize) -> Value {
    let one = |one: &AmendmentRecord| {
        let applied = one.applied.as_ref();
        json!({
            "amendment_id": one.amendment_id,
            "reason": one.reason,
            "changes": one.changes,
            "applied_at": applied.map(|applied| view.zone.rfc3339(applied.applied_at)),
            "rules_hash": applied.map(|applied| &applied.rules_hash),
        })
    };
    view.record.amendments_in_force(count).into_iter().map(one).collect()
}

fn shown(record: &CampaignRecord, amendment: &AmendmentRecord) -> Value {
    let zone = campaign::parse(record.file.as_bytes()).map(|parsed| parsed.campaign.zone());
    let text = |at: Ms| zone.as_ref().map(|zone| zone.rfc3339(at)).unwrap_or_default();
    let mut body = json!({
        "amendment_id": amendment.amendment_id,
        "reason": amendment.reason,
        "changes": amendment.changes,
        "state": if amendment.applied.is_some() { "applied" } else { "proposed" },
        "submitted_by": amendment.submitted_by.name,
        "submitted_at": text(amendment.submitted_at),
    });
    if let Some(applied) = &amendment.applied {
        body["approved_by"] = applied.approved_by.name.as_str().into();
        body["applied_at"] = text(applied.applied_at).into();
        body["rules_hash"] = applied.rules_hash.as_str().into();
    }
    body
}

fn check_form(proposal: &Proposal) -> Result<(), Refusal> {
    caller_id("/amendment_id", &proposal.amendment_id)?;
    let wrong = |pointer: &str, code, zh: String, en: String| {
        Err(Refusal::new(Code::InvalidRequest).field(pointer, code, zh, en))
    };
    if !(1..=LONGEST_REASON).contains(&proposal.reason.chars().count()) {
        let (zh, en) =
            (format!("须为 1 至 {LONGEST_REASON} 字。"), format!("Must be 1 to {LONGEST_REASON} characters."));
        return wrong("/reason", "wrong_length", zh, en);
    }
    if !(1..=MOST_CHANGES).contains(&proposal.changes.len()) {
        let (zh, en) = (format!("须为 1 至 {MOST_CHANGES} 项。"), format!("Must be 1 to {MOST_CHANGES} changes."));
        return wrong("/changes", "wrong_length", zh, en);
    }
    Ok(())
}

/// The file with these changes, and what they touch; every reason against them otherwise, with its place in the amendment.
fn amended(record: &CampaignRecord, changes: &[Change], now: Ms) -> Result<(campaign::Parsed, Vec<Touch>), Refusal> {
    amended_file(record, changes, now).map_err(|mut refusal| {
        refusal.errors.iter_mut().for_each(|fault| place_in_amendment(fault, changes));
        refusal
    })
}

/// Whoever sent the amendment finds the fault there; the place in the campaign's file goes into the text.
fn place_in_amendment(fault: &mut Fault, changes: &[Change]) {
    let of = |change: &Change| {
        let below = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        below(&fault.pointer, &change.pointer) || below(&change.pointer, &fault.pointer)
    };
    let part = match fault.code {
        "differs" => "current",
        "not_amendable" | "named_twice" | "no_such_section" => "pointer",
        _ => "target",
    };
    // Of a field that is named twice, the second is one too many.
    let place = changes.iter().rposition(of).map_or("/changes".to_owned(), |n| format!("/changes/{n}/{part}"));
    let of_file = std::mem::replace(&mut fault.pointer, place);
    fault.zh = format!("{of_file}：{}", fault.zh);
    fault.en = format!("{of_file}: {}", fault.en);
}

fn amended_file(
    record: &CampaignRecord,
    changes: &[Change],
    now: Ms,
) -> Result<(campaign::Parsed, Vec<Touch>), Refusal> {
    let held = campaign::parse(record.file.as_bytes()).map_err(invalid)?;
    let differing = stale(&held.value, changes);
    if !differing.is_empty() {
        return Err(differs(differing));
    }
    let not_additive = |found| faults(Code::AmendmentNotAdditive, found);
    let touches = judge(&held.campaign, changes).map_err(not_additive)?;
    let late: Vec<Fault> = touches.iter().filter_map(|touch| decided(record, &held.campaign, touch, now)).collect();
    if !late.is_empty() {
        return Err(faults(Code::AmendmentTooLate, late));
    }
    let parsed = campaign::parse_value(apply(&held.value, changes).map_err(not_additive)?).map_err(invalid)?;
    let unsupported = campaign::unsupported(&parsed.campaign);
    if !unsupported.is_empty() {
        return Err(faults(Code::NotSupportedYet, unsupported));
    }
    Ok((parsed, touches))
}

fn differs(differing: Vec<(&Change, Value)>) -> Refusal {
    let says = differing.iter().map(|(change, says)| json!({"pointer": change.pointer, "current": says}));
    let refusal = Refusal::new(Code::AmendmentStale).with("differing", says.collect::<Value>());
    differing.into_iter().fold(refusal, |refusal, (change, says)| {
        let (zh, en) = (format!("现为 {says}。"), format!("It is {says} now."));
        refusal.field(change.pointer.as_str(), "differs", zh, en)
    })
}

/// Why a field may not move any more.
fn decided(record: &CampaignRecord, campaign: &Campaign, touch: &Touch, now: Ms) -> Option<Fault> {
    let fault = |code, zh: String, en: String| Some(Fault { pointer: touch.pointer.clone(), code, zh, en });
    if touch.ends_at.is_some_and(|end| end <= now) {
        return fault("has_passed", "该时刻已过。".into(), "This moment has passed.".into());
    }
    let (index, (zh, en)) = touch.rounds.iter().find_map(|index| {
        let (round, state) = (campaign.rounds.get(*index)?, record.rounds.get(*index)?);
        is_decided(campaign, round, state, touch.until, now).map(|why| (index, why))
    })?;
    let id = &campaign.rounds[*index].round_id;
    fault("decided", format!("场次 {id}：{zh}。"), format!("Round {id}: {en}."))
}

/// What is decided of a round follows from its record, which an approval replaces only as it read it, and from its windows.
fn is_decided(
    campaign: &Campaign,
    round: &Round,
    state: &RoundRecord,
    until: Until,
    now: Ms,
) -> Option<(&'static str, &'static str)> {
    let drawn = matches!(round.mode, Mode::Ballot | Mode::Rain);
    let list_open = matches!(state.list, ListState::Open);
    let begins = round.opens_at.or(round.credit_at).unwrap_or(Ms::MAX);
    let settled = state.over_at.is_some() || state.returned.is_some() || state.credited_at.is_some();
    match until {
        Until::Always => None,
        Until::ListCloses => (!list_open).then_some(LIST),
        Until::WindowOpens if drawn && !list_open => Some(LIST),
        Until::WindowOpens => (now >= begins).then_some(("领取已开始", "its window has opened")),
        Until::SupplyIsFixed if drawn => (!list_open).then_some(LIST),
        Until::SupplyIsFixed => {
            let counted = campaign.counts_late(round) && state.supply.is_some();
            let closed = round.closes_at.is_some_and(|closes_at| now >= closes_at);
            (counted || settled || closed).then_some(("份数已定", "its packs are counted for good"))
        }
        // A pack is issued only after the draw that is in the record; without one a node may be as far ahead as clocks may differ.
        Until::FirstPack => {
            let begun = if drawn { state.draw.is_some() } else { now + MINUTE > begins };
            begun.then_some(("券包可能已发放，有效期不再变动", "packs may have been issued, and their validity stays"))
        }
    }
}

const LIST: (&str, &str) = ("名单已截止", "its list is committed to");
