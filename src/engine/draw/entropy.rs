//! Public values that go into a seed besides the operator's secret: a beacon, or digits that a notary enters. All that the file names
//! are required, and none stands in for another; with a value named before it exists, nobody can have tried many secrets.

use crate::domain::beacon;
use crate::domain::campaign::Round;
use crate::domain::campaign::schema::Entropy;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::{Engine, Failure};
use crate::store::campaign::{ListState, RoundRecord};

/// What somebody enters for a draw.
#[derive(Clone, Debug, Default)]
pub struct Entered {
    /// Digits as the notary has drawn them; leading zeros count.
    pub notary_digits: Option<String>,
    /// Hex of the beacon's signature for the round that the commitment names.
    pub drand_signature: Option<String>,
}

/// Named sources other than the operator, in the file's order.
pub fn public(round: &Round) -> impl Iterator<Item = Entropy> + '_ {
    let named = round.draw.iter().flat_map(|draw| draw.entropy.iter().copied());
    named.filter(|source| *source != Entropy::Operator)
}

/// The public values in the order of their sources; `None` while one is missing.
pub(in crate::engine) fn values(round: &Round, state: &RoundRecord) -> Option<Vec<Vec<u8>>> {
    let value = |(n, _)| state.entropy.get(n).and_then(|hex| hex::decode(hex).ok()).filter(|value| !value.is_empty());
    public(round).enumerate().map(value).collect()
}

impl RoundView {
    /// Public sources whose value has not arrived.
    pub fn waits_for(&self) -> Vec<&'static str> {
        let missing = |n: usize| self.record.entropy.get(n).is_none_or(String::is_empty);
        let waiting = public(&self.round).enumerate().filter(|(n, _)| missing(*n));
        waiting.map(|(_, source)| source.as_str()).collect()
    }

    /// The draw lies ahead, or is late: whoever asks again gets it once its public values have come.
    pub fn not_drawn(&self, view: &CampaignView, now: Ms) -> Refusal {
        let due = self.round.draw.as_ref().map(|draw| draw.at).unwrap_or_default();
        let (at, waits) = (view.zone.rfc3339(due), self.waits_for());
        let (zh, en) = if now < due {
            (
                format!("本场次定于 {at} 摇号，此前不能摇号。"),
                format!("The draw is set for {at} and is not held before."),
            )
        } else if waits.is_empty() {
            (
                format!("摇号时间 {at} 已到，尚未摇号，请稍后再查。"),
                format!("The draw was due at {at} and is not held yet; ask again."),
            )
        } else {
            let sources = waits.join(", ");
            (
                format!("摇号时间 {at} 已到，正在等待公开随机数（{sources}），由审批人以 POST …/draw 录入。"),
                format!("The draw was due at {at} and waits for {sources}, which an approver enters with POST …/draw."),
            )
        };
        let refusal = Refusal::new(Code::RoundNotDrawn).with("draw_at", at).detail(zh, en);
        if waits.is_empty() { refusal } else { refusal.with("waiting_for", waits) }
    }
}

impl Engine {
    /// Keeps a public value for a round whose list is closed. The first one stays.
    pub async fn enter_entropy(&self, campaign_id: &str, round_id: &str, entered: &Entered) -> Result<(), Failure> {
        let (view, index) = self.round_of(campaign_id, round_id)?;
        let round = &view.rounds[usize::from(index)];
        let ListState::Closed(list) = &round.record.list else { return Err(Code::ListNotClosed.into()) };
        let notary = entered.notary_digits.as_deref().map(|digits| notary_value(&round.round, digits)).transpose()?;
        let drand = entered.drand_signature.as_deref().map(|hex| drand_value(&round.round, list.drand_round, hex));
        let drand = drand.transpose()?;
        let arriving: Vec<Option<String>> = public(&round.round)
            .map(|source| match source {
                Entropy::Notary => notary.clone(),
                _ => drand.clone(),
            })
            .collect();
        let (held, index) = (&round.record.entropy, usize::from(index));
        let conflict = arriving.iter().enumerate().any(|(n, value)| {
            let held = held.get(n).filter(|held| !held.is_empty());
            held.zip(value.as_ref()).is_some_and(|(held, value)| held != value)
        });
        if conflict {
            return Err(Code::EntropyConflict.into());
        }
        let signature = entered.drand_signature.as_ref().map(|hex| hex.to_ascii_lowercase());
        self.advance(campaign_id, |record| {
            let state = &mut record.rounds[index];
            state.entropy.resize(arriving.len(), String::new());
            let mut changed = false;
            for (held, value) in state.entropy.iter_mut().zip(&arriving) {
                if let Some(value) = value.as_ref().filter(|_| held.is_empty()) {
                    *held = value.clone();
                    changed = true;
                }
            }
            if changed && state.drand_signature.is_none() {
                state.drand_signature = signature.clone();
            }
            changed
        })
        .await?;
        // Two may have entered at once: what counts is what was kept.
        let (view, _) = self.round_of(campaign_id, round_id)?;
        let kept = &view.rounds[index].record.entropy;
        let differs = arriving.iter().zip(kept).any(|(value, kept)| value.as_ref().is_some_and(|value| value != kept));
        if differs { Err(Code::EntropyConflict.into()) } else { Ok(()) }
    }
}

/// The digits themselves are the value.
fn notary_value(round: &Round, digits: &str) -> Result<String, Refusal> {
    let fault = |code, zh, en| Err(Refusal::new(Code::InvalidRequest).field("/notary_digits", code, zh, en));
    if !public(round).any(|source| source == Entropy::Notary) {
        return fault("not_named", "本场次未指定公证号码。", "The round's entropy names no notary.");
    }
    if !(4..=128).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return fault("not_digits", "须为 4 至 128 位数字。", "Must be 4 to 128 digits.");
    }
    Ok(hex::encode(digits))
}

/// The value follows from the signature, which is the beacon's or nobody's.
fn drand_value(round: &Round, drand_round: Option<u64>, signature: &str) -> Result<String, Refusal> {
    let fault = |code, zh, en| Err(Refusal::new(Code::InvalidRequest).field("/drand_signature", code, zh, en));
    let Some(drand_round) = drand_round.filter(|_| public(round).any(|source| source == Entropy::Drand)) else {
        return fault("not_named", "本场次未指定 drand。", "The round's entropy names no beacon.");
    };
    match hex::decode(signature).ok().and_then(|signature| beacon::value(drand_round, &signature)) {
        Some(value) => Ok(hex::encode(value)),
        None => fault(
            "signature_invalid",
            "不是该轮 quicknet 信标的签名。",
            "Is not the signature of quicknet for the round that the commitment names.",
        ),
    }
}
