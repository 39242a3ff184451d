//! A resident's wallet and pay code.

use actix_web::web::{Data, Path};
use actix_web::{get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::area::LocationBody;
use super::auth::Gate;
use super::auth_resident::TokenHolder;
use super::body::{MaybeBody, Params};
use super::limit::Class;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::voucher::WalletState;
use crate::engine::wallet::history::WalletTransaction;
use crate::engine::wallet::{ShownCode, WalletVoucher};

pub fn configure(config: &mut ServiceConfig) {
    config.service(wallet).service(wallet_transactions).service(new_pay_code).service(pay_code_state);
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WalletQuery {
    campaign_id: Option<String>,
    /// `pending`, `available`, `held`, `used`, `expired` or `revoked`.
    state: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WalletTransactionsQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct WalletBody {
    vouchers: Vec<WalletVoucherBody>,
}

#[derive(Serialize, ToSchema)]
pub struct WalletVoucherBody {
    /// The printed code: 26 characters.
    voucher_id: String,
    voucher_kind: String,
    campaign_id: String,
    state: &'static str,
    transaction_minimum: i64,
    discount_amount: i64,
    available_begin_time: String,
    /// Not included.
    available_end_time: String,
    channel: String,
}

#[derive(Serialize, ToSchema)]
pub struct WalletTransactionsBody {
    items: Vec<WalletTransactionBody>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct WalletTransactionBody {
    /// `hold`, `redeem`, `release`, `reverse` or `refund`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    voucher_id: String,
    campaign_id: String,
    /// The discount; of a refund the part that went back to the programme.
    discount_amount: i64,
    at: String,
}

/// Vouchers whose rule of use names an area need the place; it is judged and not kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayCodeRequest {
    location: Option<LocationBody>,
}

#[derive(Serialize, ToSchema)]
pub struct PayCodeBody {
    /// 18 digits; the last is a Luhn digit.
    pay_code: String,
    /// What the QR picture shows.
    qr: String,
    expires_at: String,
    /// Ask for the next code after this time.
    refresh_after_ms: i64,
}

#[derive(Serialize, ToSchema)]
pub struct PayCodeStateBody {
    /// `live`, `held`, `redeemed` or `expired`.
    state: &'static str,
}

impl From<WalletVoucher> for WalletVoucherBody {
    fn from(voucher: WalletVoucher) -> WalletVoucherBody {
        WalletVoucherBody {
            voucher_id: voucher.voucher_id,
            voucher_kind: voucher.voucher_kind,
            campaign_id: voucher.campaign_id,
            state: voucher.state.as_str(),
            transaction_minimum: voucher.transaction_minimum.0,
            discount_amount: voucher.discount_amount.0,
            available_begin_time: voucher.available_begin_time,
            available_end_time: voucher.available_end_time,
            channel: voucher.channel,
        }
    }
}

impl From<WalletTransaction> for WalletTransactionBody {
    fn from(one: WalletTransaction) -> WalletTransactionBody {
        WalletTransactionBody {
            kind: one.kind,
            transaction_id: one.transaction_id,
            voucher_id: one.voucher_id,
            campaign_id: one.campaign_id,
            discount_amount: one.discount_amount.0,
            at: one.at,
        }
    }
}

impl From<ShownCode> for PayCodeBody {
    fn from(code: ShownCode) -> PayCodeBody {
        let ShownCode { pay_code, qr, expires_at, refresh_after_ms } = code;
        PayCodeBody { pay_code, qr, expires_at, refresh_after_ms }
    }
}

/// All vouchers of the caller, in all campaigns.
#[utoipa::path(tag = "resident", params(WalletQuery), responses((status = 200, body = WalletBody)))]
#[get("/v1/wallet")]
pub async fn wallet(state: Data<State>, token: TokenHolder, query: Params<WalletQuery>) -> answer::Result {
    let wanted = match &query.state {
        None => None,
        Some(word) => Some(WalletState::named(word).ok_or_else(|| {
            Refusal::new(Code::InvalidRequest).field(
                "?state",
                "unknown_word",
                "没有这个状态。",
                "There is no such state.",
            )
        })?),
    };
    let resident = state.engine.resident(&token.0.identity())?;
    let wallet = state.engine.wallet(&resident, query.campaign_id.as_deref(), wanted).await?;
    let etag = wallet.etag;
    let body = WalletBody { vouchers: wallet.vouchers.into_iter().map(WalletVoucherBody::from).collect() };
    Ok(Answer::ok(&body).etag(etag))
}

/// What happened to the caller's vouchers, newest last; a page ends with a call.
#[utoipa::path(tag = "resident", params(WalletTransactionsQuery), responses((status = 200, body = WalletTransactionsBody)))]
#[get("/v1/wallet/transactions")]
pub async fn wallet_transactions(
    state: Data<State>,
    token: TokenHolder,
    query: Params<WalletTransactionsQuery>,
) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    let page = state.engine.wallet_transactions(&resident, query.cursor.as_deref()).await?;
    let items = page.items.into_iter().map(WalletTransactionBody::from).collect();
    Ok(Answer::ok(&WalletTransactionsBody { items, next_cursor: page.next_cursor }))
}

/// A code to show at a till for the next minute.
#[utoipa::path(tag = "resident", request_body(content = Option<PayCodeRequest>), responses((status = 201, body = PayCodeBody)))]
#[post("/v1/pay-codes")]
pub async fn new_pay_code(
    state: Data<State>,
    gate: Data<Gate>,
    token: TokenHolder,
    body: MaybeBody<PayCodeRequest>,
) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    // The store keeps each code for half an hour.
    gate.admit(Class::PayCode, resident.root.0)?;
    let place = body.0.and_then(|body| body.location).map(LocationBody::location).transpose()?;
    let code = state.engine.new_pay_code(&resident, place).await?;
    Ok(Answer::created(&PayCodeBody::from(code)).effect(&state.engine.settings.durability, false))
}

/// What has become of a code, for polling while it is shown.
#[utoipa::path(tag = "resident", params(("pay_code" = String, Path)), responses((status = 200, body = PayCodeStateBody)))]
#[get("/v1/pay-codes/{pay_code}")]
pub async fn pay_code_state(state: Data<State>, token: TokenHolder, pay_code: Path<String>) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    let state = state.engine.pay_code_state(&resident, &pay_code).await?;
    Ok(Answer::ok(&PayCodeStateBody { state }))
}
