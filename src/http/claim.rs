//! The tap, and the result for whoever asks.

use actix_web::web::{Data, Path};
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::area::LocationBody;
use super::auth_resident::Tapper;
use super::body::{MaybeBody, Params};
use crate::domain::cashier::Words;
use crate::domain::refusal::Refusal;
use crate::engine::claim::why::Why;
use crate::engine::claim::{Claimant, CreditedPack, Known, Tap};

pub fn configure(config: &mut ServiceConfig) {
    config.service(claim).service(my_claim);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// For rounds that offer a choice or one of each.
    pack_id: Option<String>,
    /// For rounds whose `eligibility.location.at` names `claim`; it is judged and not kept. Rounds without a list ask for it with the pass.
    location: Option<LocationBody>,
}

/// What a tap is told; `outcome` names the members that are there.
#[derive(Serialize, ToSchema)]
pub struct ClaimAnswer {
    /// `won`, `not_yet`, `lost`, `sold_out` or `closed`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<PackBody>,
    /// Milliseconds until the next tap makes sense: the exact wait of an early winner, and in a rush or a grant until the opening or the next
    /// packs. Otherwise 500 to 5000 at random, however far away `opens_at` is: a drawn round says no more before it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closes_at: Option<String>,
    /// Why nothing can be told yet, such as `round_not_drawn`; of a pack that was won and is lost, `not_collected` (it was to be fetched
    /// before the window closed), `campaign_stopped`, or the code of the rule that kept it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// What `detail` means for somebody who had won.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
    /// After the close: `won`, `lost` or `pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
}

/// A credited pack.
#[derive(Serialize, ToSchema)]
pub struct PackBody {
    pack_no: String,
    pack_id: String,
    credited_at: String,
    vouchers: Vec<PackVoucher>,
}

#[derive(Serialize, ToSchema)]
pub struct PackVoucher {
    voucher_kind: String,
    count: u32,
}

/// The caller's result.
#[derive(Serialize, ToSchema)]
pub struct KnownAnswer {
    /// `won`, `lost` or `pending`.
    result: &'static str,
    /// False while the window runs in which the pack waits to be fetched by a tap.
    #[serde(skip_serializing_if = "Option::is_none")]
    credited: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<PackBody>,
    /// Every pack of the round that the caller has, where one may have several (`assignment` choice or each).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packs: Vec<PackBody>,
    /// When the result will be known; absent when that should have been and is not, see `detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_at: Option<String>,
    /// Why somebody who was drawn, or named by a grant's list, has no pack: `not_collected`, `campaign_stopped` or the code of the rule that
    /// kept it. With `pending`, what is waited for: `round_not_drawn`, `list_exceeds_supply`, `list_not_counted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
}

/// A sentence in both languages.
#[derive(Serialize, ToSchema)]
#[schema(as = Sentence)]
pub struct Text {
    zh: String,
    en: String,
}

impl From<Words> for Text {
    fn from(words: Words) -> Text {
        Text { zh: words.zh, en: words.en }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MineQuery {
    /// In a round in which a person may have several packs: the one that is asked about.
    pack_id: Option<String>,
}

impl From<CreditedPack> for PackBody {
    fn from(pack: CreditedPack) -> PackBody {
        let vouchers = pack.vouchers.into_iter().map(|(voucher_kind, count)| PackVoucher { voucher_kind, count });
        PackBody {
            pack_no: pack.pack_no,
            pack_id: pack.pack_id,
            credited_at: pack.credited_at,
            vouchers: vouchers.collect(),
        }
    }
}

impl From<Tap> for ClaimAnswer {
    fn from(tap: Tap) -> ClaimAnswer {
        let blank = ClaimAnswer {
            outcome: "lost",
            pack: None,
            retry_after_ms: None,
            opens_at: None,
            closes_at: None,
            detail: None,
            message: None,
            result: None,
        };
        match tap {
            Tap::Won { pack, .. } => ClaimAnswer { outcome: "won", pack: Some(pack.into()), ..blank },
            Tap::NotYet { retry_after_ms, opens_at, closes_at, detail } => ClaimAnswer {
                outcome: "not_yet",
                retry_after_ms: Some(retry_after_ms),
                opens_at: Some(opens_at),
                closes_at: Some(closes_at),
                detail,
                ..blank
            },
            Tap::Lost => blank,
            Tap::SoldOut => ClaimAnswer { outcome: "sold_out", ..blank },
            Tap::PassedOver(why) => {
                ClaimAnswer { detail: Some(why.detail), message: Some(why.message.into()), ..blank }
            }
            Tap::Closed { result, pack, why } => {
                let (detail, message) = why.map(|why| (why.detail, why.message.into())).unzip();
                let pack = pack.map(PackBody::from);
                ClaimAnswer { outcome: "closed", result: Some(result), pack, detail, message, ..blank }
            }
        }
    }
}

/// One tap; repeats are answered the same. The bearer is a pass (`qp1.…`) or a resident's token. In a first-come round by chance
/// (`assignment: chance`) the tap takes the first pack of the person's own order of which something is out; `sold_out` means that nothing is
/// left of any. In a grant that gives one of each the tap names the pack. Whoever has withdrawn, or was taken off the list when it closed, is
/// `not_eligible`, with the rule in `reasons`; of a pass whose score has lost a tap says `lost` without looking whether its reservation stands.
#[utoipa::path(tag = "claim", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    request_body(content = Option<ClaimRequest>),
    responses((status = 200, body = ClaimAnswer)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/claims")]
pub async fn claim(
    state: Data<State>,
    tapper: Tapper,
    path: Path<(String, String)>,
    body: MaybeBody<ClaimRequest>,
) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let (choice, location) = body.0.map(|body| (body.pack_id, body.location)).unwrap_or_default();
    let location = location.map(LocationBody::location).transpose()?;
    let claimant = claimant(&state, tapper)?;
    let tap = state.engine.claim(&campaign_id, &round_id, &claimant, choice.as_deref(), location).await?;
    Ok(told(tap, &state.engine.settings.durability))
}

/// The answer to a tap, whichever way it came.
pub(super) fn told(tap: Tap, durability: &str) -> Answer {
    let replayed = matches!(tap, Tap::Won { replayed: true, .. });
    let effect = matches!(tap, Tap::Won { .. } | Tap::Closed { pack: Some(_), .. });
    let answer = match tap {
        // The one that millions hear in ten minutes.
        Tap::Lost => Answer::raw(&b"{\"outcome\":\"lost\"}"[..]),
        tap => Answer::ok(&ClaimAnswer::from(tap)),
    };
    if effect { answer.effect(durability, replayed) } else { answer }
}

/// The caller's result in a round, in every mode. Who was drawn and has no pack is told why. Who is not on the round's list, for a reservation
/// that was withdrawn or that the closing list did not take, has no result and is `not_eligible`, with the rule in `reasons`.
#[utoipa::path(tag = "claim", params(MineQuery, ("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, body = KnownAnswer)))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/claims/mine")]
pub async fn my_claim(
    state: Data<State>,
    tapper: Tapper,
    path: Path<(String, String)>,
    query: Params<MineQuery>,
) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let claimant = claimant(&state, tapper)?;
    let known = state.engine.my_claim(&campaign_id, &round_id, &claimant, query.pack_id.as_deref()).await?;
    Ok(Answer::ok(&KnownAnswer::from(known)))
}

impl From<Known> for KnownAnswer {
    fn from(known: Known) -> KnownAnswer {
        let blank = |result, told: Option<Why>| {
            let (detail, message) = told.map(|told| (told.detail, told.message.into())).unzip();
            KnownAnswer { result, credited: None, pack: None, packs: Vec::new(), known_at: None, detail, message }
        };
        match known {
            Known::Won { credited, pack, packs } => {
                let (pack, packs) = (pack.map(PackBody::from), packs.into_iter().map(PackBody::from).collect());
                KnownAnswer { credited: Some(credited), pack, packs, ..blank("won", None) }
            }
            Known::Lost(why) => blank("lost", why),
            Known::Pending { known_at, waits } => KnownAnswer { known_at, ..blank("pending", waits) },
        }
    }
}

/// The bearer as the engine takes it.
fn claimant(state: &State, tapper: Tapper) -> Result<Claimant, Refusal> {
    Ok(match tapper {
        Tapper::Pass(pass) => Claimant::Pass(pass),
        Tapper::Token(claims) => Claimant::Resident(Box::new(state.engine.resident(&claims.identity())?)),
    })
}
