//! Claims: a tap is judged on the node by pass, campaign, window and threshold; only would-be winners reach the store.

use super::reservation::NO_CHOICE;
use super::resident::{Person, Resident};
use super::view::{CampaignView, Place, RoundView};
use super::{Engine, Failure};
use crate::domain::campaign::schema::{Mode, Unclaimed};
use crate::domain::draw::Entry;
use crate::domain::pass::Pass;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, SECOND};
use crate::store::campaign::Scope;
use crate::store::keys;
use crate::store::record::Pack;
use crate::store::script::{self, Member, bytes};
use crate::store::{Reply, int, text};
use rmpv::Value;

/// Who taps: the bearer of a pass, or a resident with a token.
pub enum Claimant {
    Pass(Pass),
    Resident(Box<Resident>),
}

/// What a tap is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Tap {
    Won { pack: CreditedPack, replayed: bool },
    NotYet { retry_after_ms: u64, opens_at: String, closes_at: String, detail: Option<&'static str> },
    Lost,
    SoldOut,
    Closed { result: &'static str, pack: Option<CreditedPack> },
}

/// The same for whoever asks later.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    Won { credited: bool, pack: Option<CreditedPack> },
    Lost,
    Pending { known_at: Option<String> },
}

/// A pack as a resident sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CreditedPack {
    pub pack_no: String,
    pub pack_id: String,
    pub credited_at: String,
    /// (voucher kind, count) in the order of the pack.
    pub vouchers: Vec<(String, u32)>,
}

impl Engine {
    /// One tap. Judged in order: pass, campaign, window, threshold, entitlement, stock.
    pub async fn claim(&self, campaign_id: &str, round_id: &str, claimant: &Claimant) -> Result<Tap, Refusal> {
        self.with_view(|| async move {
            let view = self.published(campaign_id)?;
            let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
            let tapper = self.tapper(&view, round, claimant).await?;
            if view.is_paused(Scope::Claim) {
                return Err(Refusal::new(Code::CampaignNotRunning).retry_after_ms(10_000).into());
            }
            if view.record.stopped {
                return self.told_win(&view, round, &tapper).await;
            }
            let now = self.now();
            let (opens_at, closes_at) = claim_window(round).ok_or_else(|| {
                Refusal::new(Code::RoundNotFound)
                    .detail("Winners of this round are credited without a tap; ask claims/mine.")
            })?;
            if now >= closes_at {
                return self.after_close(&view, round, &tapper).await;
            }
            let not_yet = |retry_after_ms, detail| Tap::NotYet {
                retry_after_ms,
                opens_at: view.zone.rfc3339(opens_at),
                closes_at: view.zone.rfc3339(closes_at),
                detail,
            };
            if now < opens_at {
                return Ok(not_yet(jitter(), None));
            }
            let Some(draw) = &round.draw else { return Ok(not_yet(jitter(), Some("round_not_drawn"))) };
            let place = draw.place(&tapper.entry(&view), tapper.channel);
            let Some(place) = place.filter(|place| place.won) else {
                return Ok(if round.tells_losers_at_once() { Tap::Lost } else { not_yet(jitter(), None) });
            };
            let revealed_at = place.revealed_at(round.release());
            if now < revealed_at {
                return Ok(not_yet((revealed_at - now) as u64, None));
            }
            let (pack, replayed) = self.credit(&view, round, &tapper.person, tapper.channel, &place).await?;
            Ok(Tap::Won { pack, replayed })
        })
        .await
    }

    /// The result for whoever asks, in every mode; after the close of a crediting round it credits at once.
    pub async fn my_claim(&self, campaign_id: &str, round_id: &str, claimant: &Claimant) -> Result<Known, Refusal> {
        self.with_view(|| async move {
            let view = self.published(campaign_id)?;
            let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
            let tapper = self.tapper(&view, round, claimant).await?;
            let record = self.person_record(&tapper.person).await?.unwrap_or_default();
            if let Some(pack) =
                record.packs.iter().find(|pack| pack.round == round.index && pack.channel == tapper.channel)
            {
                return Ok(Known::Won { credited: true, pack: Some(credited(&view, pack.pack, pack.number, pack.at)) });
            }
            let now = self.now();
            let known_at = match round.round.mode {
                Mode::Ballot => round.round.credit_at.or(round.round.opens_at),
                _ => round.round.closes_at,
            };
            if round.draw.is_none() || known_at.is_some_and(|known_at| now < known_at) {
                return Ok(Known::Pending { known_at: known_at.map(|known_at| view.zone.rfc3339(known_at)) });
            }
            match self.after_close(&view, round, &tapper).await? {
                Tap::Closed { result: "won", pack } => Ok(Known::Won { credited: pack.is_some(), pack }),
                _ => Ok(Known::Lost),
            }
        })
        .await
    }

    /// After a stop nothing more is issued, but a win that was told stays told.
    async fn told_win(&self, view: &CampaignView, round: &RoundView, tapper: &Tapper) -> Result<Tap, Failure> {
        let record = self.person_record(&tapper.person).await?.unwrap_or_default();
        match record.packs.iter().find(|pack| pack.round == round.index && pack.channel == tapper.channel) {
            Some(pack) => Ok(Tap::Won { pack: credited(view, pack.pack, pack.number, pack.at), replayed: true }),
            None => Err(Refusal::new(Code::CampaignNotRunning).retry_after_ms(10_000).into()),
        }
    }

    /// After the close the result is final; a winner who never tapped is credited now if the sweep has not come by.
    async fn after_close(&self, view: &CampaignView, round: &RoundView, tapper: &Tapper) -> Result<Tap, Failure> {
        let Some(draw) = &round.draw else { return Ok(Tap::Closed { result: "pending", pack: None }) };
        let Some(place) = draw.place(&tapper.entry(view), tapper.channel).filter(|place| place.won) else {
            return Ok(Tap::Closed { result: "lost", pack: None });
        };
        let record = self.person_record(&tapper.person).await?.unwrap_or_default();
        let held = record.packs.iter().find(|pack| pack.round == round.index && pack.channel == tapper.channel);
        if held.is_none() && (round.round.unclaimed != Unclaimed::Credit || view.record.stopped) {
            return Ok(Tap::Closed { result: "lost", pack: None });
        }
        let (pack, _) = self.credit(view, round, &tapper.person, tapper.channel, &place).await?;
        Ok(Tap::Closed { result: "won", pack: Some(pack) })
    }

    /// Credits a decided winner's pack; a repeat answers the pack that is there.
    pub(super) async fn credit(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
        place: &Place,
    ) -> Result<(CreditedPack, bool), Failure> {
        let member = credit_member(self, view, round, person, channel, place.group.pack, place.group.channel);
        let reply = self.store.call(&script::PACK_ISSUE, &person.slot(), member).await?;
        credit_answer(view, place.group.pack, &reply)
    }

    async fn tapper(&self, view: &CampaignView, round: &RoundView, claimant: &Claimant) -> Result<Tapper, Failure> {
        match claimant {
            Claimant::Pass(pass) => {
                if pass.campaign != view.number || pass.round != round.index {
                    return Err(Refusal::new(Code::TokenInvalid).detail("The pass is for another round.").into());
                }
                // A tap soon after the last close is told the result; a pass a day old is over.
                if self.now() >= pass.expires_at.saturating_add(crate::domain::time::DAY) {
                    return Err(Code::TokenExpired.into());
                }
                let person = Person::new(view, pass.shard, pass.pseudonym);
                Ok(Tapper { person, channel: pass.channel, choice: pass.choice })
            }
            Claimant::Resident(resident) => {
                let person = self.person(view, resident);
                self.channel_of(view, resident)?;
                let record = self.person_record(&person).await?.unwrap_or_default();
                let entry = record.entries.iter().find(|entry| entry.round == round.index);
                let entry = entry.ok_or_else(not_reserved)?;
                Ok(Tapper { person, channel: entry.channel, choice: entry.choice })
            }
        }
    }
}

/// A tapping person with the entry the list has for it.
struct Tapper {
    person: Person,
    channel: u8,
    choice: u8,
}

impl Tapper {
    fn entry<'a>(&self, view: &'a CampaignView) -> Entry<'a> {
        entry_of(view, &self.person, self.channel, self.choice)
    }
}

/// A person's entry on a list as the draw sees it.
pub(super) fn entry_of<'a>(view: &'a CampaignView, person: &Person, channel: u8, choice: u8) -> Entry<'a> {
    let pack_id = if choice == NO_CHOICE { "" } else { view.pack_id(choice) };
    Entry { pseudonym: person.pseudonym, channel: view.channel_name(channel), pack_id, k: 0 }
}

/// What `pack_issue` is asked for one winner.
pub(super) fn credit_member(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    person: &Person,
    channel: u8,
    pack: u8,
    group_channel: Option<u8>,
) -> Member {
    let by_hour = view.outstanding_by_hour(round.index, pack);
    let hours = by_hour.into_iter().flat_map(|(hour, fen)| [Value::from(hour), Value::from(fen.0)]).collect();
    let args = vec![
        bytes(&person.pseudonym.field()),
        int(view.number),
        int(round.index),
        int(channel),
        int(pack),
        text(keys::cell(view.number, round.index, channel, pack)),
        text(keys::winners_field(view.number, round.index, group_channel.unwrap_or(NO_CHOICE), pack)),
        Value::Array(hours),
        int(person.shard),
        int(engine.store.shards()),
    ];
    Member::new(vec![person.bucket_key.clone()], args).view(view.number, view.rev)
}

/// A pack from a reply of `pack_issue`, and whether it was there before.
pub(super) fn credit_answer(view: &CampaignView, pack: u8, reply: &Reply) -> Result<(CreditedPack, bool), Failure> {
    match reply.refused() {
        Some("sold_out") => Err(Refusal::new(Code::Internal).detail("More winners than were drawn.").into()),
        Some(_) => Err(not_reserved().into()),
        None => Ok((credited(view, pack, reply.int(0) as u32, reply.int(1)), reply.is("replay"))),
    }
}

/// A pack as a resident sees it.
pub fn credited(view: &CampaignView, pack: u8, number: u32, at: i64) -> CreditedPack {
    let kinds = view.campaign.packs.get(usize::from(pack)).map(|pack| pack.vouchers.as_slice()).unwrap_or_default();
    CreditedPack {
        pack_no: pack_no(view.number, number),
        pack_id: view.pack_id(pack).to_owned(),
        credited_at: view.zone.rfc3339(at * SECOND),
        vouchers: kinds.iter().map(|kind| (kind.voucher_kind.clone(), kind.count)).collect(),
    }
}

/// The number printed on a pack: `c7-0001f3a2`.
pub fn pack_no(campaign: u16, number: u32) -> String {
    format!("c{campaign}-{number:08x}")
}

/// The packs of a record, for wallets.
pub fn credited_pack(view: &CampaignView, pack: &Pack) -> CreditedPack {
    credited(view, pack.pack, pack.number, pack.at)
}

fn not_reserved() -> Refusal {
    let reason =
        serde_json::json!({"rule": "reservation", "message": {"zh": "不在名单上。", "en": "Not on the round's list."}});
    Refusal::new(Code::NotEligible).with("reasons", vec![reason])
}

fn claim_window(round: &RoundView) -> Option<(Ms, Ms)> {
    round.round.opens_at.zip(round.round.closes_at)
}

/// 500 to 5000 ms, so that those who are told to come back do not come back together.
fn jitter() -> u64 {
    use rand::RngExt;
    rand::rng().random_range(500..=5_000)
}
