//! What a campaign's file and record amount to: checked, sized, and shown to the office.

use serde_json::{Value, json};

use crate::domain::campaign::{self, Campaign, Fault, Parsed};
use crate::domain::ids;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::key::ApiKey;
use crate::store::campaign::{CampaignRecord, State};
use crate::store::keys::PERSONS_PER_BUCKET;
use crate::store::list::PinnedList;

pub(in crate::engine) fn check_file(campaign_id: &str, file: &[u8]) -> Result<Parsed, Refusal> {
    if !ids::is_campaign_id(campaign_id) {
        return Err(Refusal::new(Code::InvalidRequest).field(
            "/campaign_id",
            "invalid_id",
            "须为 2 至 40 个小写字母、数字或连字符。",
            "Must be 2 to 40 of lower-case letters, digits and -.",
        ));
    }
    let parsed = campaign::parse(file).map_err(invalid)?;
    if parsed.campaign.campaign_id != campaign_id {
        return Err(Refusal::new(Code::CampaignInvalid).field(
            "/campaign_id",
            "id_mismatch",
            "与地址中的 campaign_id 不同。",
            "Differs from the campaign_id in the path.",
        ));
    }
    Ok(parsed)
}

pub(in crate::engine) fn draft(number: u16, key: &ApiKey, file: &[u8], parsed: &Parsed) -> CampaignRecord {
    CampaignRecord {
        number,
        program: key.program.clone(),
        file: String::from_utf8_lossy(file).into_owned(),
        rules_hash: hex::encode(campaign::rules_hash(&parsed.value)),
        state: State::Draft,
        rev: 1,
        buckets: 0,
        put_by: key.holder(),
        submitted_by: None,
        approved_by: None,
        published_at: None,
        paused: Vec::new(),
        pause_reason: None,
        stopped: false,
        rounds: Vec::new(),
        lists: Default::default(),
        areas: Default::default(),
        area_hashes: Default::default(),
        published_file: None,
        amendments: Vec::new(),
        orders_over_at: None,
    }
}

/// Buckets for about sixteen persons each: as many as may reserve, or three for each pack when the file does not say.
pub(in crate::engine) fn buckets(campaign: &Campaign, shards: u64) -> u32 {
    let limits = campaign.rounds.iter().filter_map(|round| campaign.reservation_of(round)?.max_reservations);
    let persons = limits.max().unwrap_or(campaign.totals().packs.saturating_mul(3));
    (persons / PERSONS_PER_BUCKET / shards.max(1)).clamp(16, 1 << 20) as u32
}

pub(in crate::engine) fn status(
    campaign_id: &str,
    record: &CampaignRecord,
    campaign: &Campaign,
    warnings: &[Fault],
    now: Ms,
) -> Value {
    let sums = campaign.totals();
    let mut body = json!({
        "campaign_id": campaign_id,
        "state": state_word(record, campaign, now),
        "version": record.rev,
        "rules_hash": record.rules_hash,
        "totals": {"packs": sums.packs, "vouchers": sums.vouchers, "amount": sums.amount},
        "paused": record.paused,
        "stopped": record.stopped,
        "warnings": warnings.iter().map(fault_json).collect::<Vec<_>>(),
    });
    if !record.lists.is_empty() {
        body["lists"] = record.lists.iter().map(|(list_id, list)| pinned_list(list_id, list)).collect();
    }
    if !record.areas.is_empty() {
        let pinned = |(area_id, version): (&String, &u32)| json!({"area_id": area_id, "version": version, "sha256": record.area_hashes.get(area_id)});
        body["areas"] = record.areas.iter().map(pinned).collect();
    }
    if let Some(amended) = amended_hash(record, record.amendments_count()) {
        body["amended_rules_hash"] = amended.into();
    }
    body
}

/// What an approver compares with the file that is meant.
fn pinned_list(list_id: &str, list: &PinnedList) -> Value {
    let sha256 = Some(list.sha256.as_str()).filter(|hash| !hash.is_empty());
    json!({"list_id": list_id, "version": list.version, "kind": list.kind, "count": list.count, "sha256": sha256})
}

/// The hash of the file with the first `count` amendments in it; `None` for the published file itself.
pub(in crate::engine) fn amended_hash(record: &CampaignRecord, count: usize) -> Option<&str> {
    let last = record.amendments_in_force(count).pop()?;
    last.applied.as_ref().map(|applied| applied.rules_hash.as_str())
}

/// The state by decision and clock: published -> open -> ended.
pub(in crate::engine) fn state_word(record: &CampaignRecord, campaign: &Campaign, now: Ms) -> &'static str {
    match record.state {
        State::Draft => "draft",
        State::Review => "review",
        State::Approved => "approved",
        State::Published => {
            let (begins, ends) = span(campaign);
            if now < begins {
                "published"
            } else if now < ends {
                "open"
            } else {
                "ended"
            }
        }
    }
}

/// From the first reservation or claim window to the last end of a voucher.
pub(in crate::engine) fn span(campaign: &Campaign) -> (Ms, Ms) {
    let begins = campaign.rounds.iter().filter_map(|round| {
        campaign.reservation_of(round).map(|reservation| reservation.opens_at).or(round.opens_at).or(round.credit_at)
    });
    let ends = campaign.rounds.iter().enumerate().flat_map(|(round, terms)| {
        // What is received last is valid longest.
        let last_wave = terms.waves.last().map(|wave| wave.closes_at);
        let received = last_wave.or(terms.closes_at).or(terms.credit_at).unwrap_or_default();
        campaign.packs.iter().enumerate().flat_map(move |(index, pack)| {
            pack.units()
                .into_iter()
                .filter_map(move |unit| campaign.unit_window(round, index, unit.unit, received))
                .map(|window| window.end)
        })
    });
    (begins.min().unwrap_or_default(), ends.max().unwrap_or(Ms::MAX))
}

pub(in crate::engine) fn require_state(record: &CampaignRecord, state: State) -> Result<(), Refusal> {
    if record.state == state { Ok(()) } else { Err(refused_in(record)) }
}

pub(in crate::engine) fn refused_in(record: &CampaignRecord) -> Refusal {
    let (zh, en) = match record.state {
        State::Draft => ("活动仍是草稿，下一步为提交（submit）。", "The campaign is a draft: submit comes next."),
        State::Review => (
            "活动待审批，下一步为批准（approve）或驳回（reject）。",
            "The campaign is in review: approve or reject comes next.",
        ),
        State::Approved => (
            "活动已批准，下一步为发布（publish）或驳回（reject）。",
            "The campaign is approved: publish or reject comes next.",
        ),
        State::Published => (
            "活动已发布：规则只能以修订（amendments）放宽，运行中可暂停、恢复或终止（pause、resume、stop）。",
            "The campaign is published: its rules change by amendments only, and it can be paused, resumed or stopped.",
        ),
    };
    let state = serde_json::to_value(record.state).unwrap_or_default();
    Refusal::new(Code::CampaignStateRefuses).with("state", state).detail(zh, en)
}

pub(in crate::engine) fn invalid(found: Vec<Fault>) -> Refusal {
    let malformed = found.iter().any(|fault| fault.code == "malformed_json");
    faults(if malformed { Code::MalformedJson } else { Code::CampaignInvalid }, found)
}

pub(in crate::engine) fn faults(code: Code, found: Vec<Fault>) -> Refusal {
    let mut refusal = Refusal::new(code);
    refusal.errors = found;
    refusal
}

pub(in crate::engine) fn fault_json(fault: &Fault) -> Value {
    json!({"pointer": fault.pointer, "code": fault.code, "message": {"zh": fault.zh, "en": fault.en}})
}

/// What the publication of a file refuses as things are now.
pub(in crate::engine) fn refused_later(campaign: &Campaign, now: Ms, shards: u64) -> Vec<Fault> {
    let mut found = campaign::not_in_past(campaign, now);
    found.extend(campaign::unsupported(campaign));
    found.extend(reservation_maximum_over_shards(campaign, shards));
    found
}

/// A maximum of a whole list cannot be judged by one of several shards; it needs leases, which are not there yet.
pub(in crate::engine) fn reservation_maximum_over_shards(campaign: &Campaign, shards: u64) -> Vec<Fault> {
    let limited = |round: &&crate::domain::campaign::Round| {
        campaign.reservation_of(round).is_some_and(|reservation| reservation.max_reservations.is_some())
    };
    if shards <= 1 || !campaign.rounds.iter().any(|round| limited(&round)) {
        return Vec::new();
    }
    vec![Fault {
        pointer: "/reservation/max_reservations".into(),
        code: "not_supported_yet",
        zh: "多分片安装尚不能限制预约总数。".into(),
        en: "An installation of several shards cannot limit the number of reservations yet.".into(),
    }]
}
