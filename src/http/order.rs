//! The till's routes. Every request is signed and every answer too; the signature is judged before a handler runs.

mod wire;

use crate::engine::merchant::caller::NamedTill;
use actix_web::web::{Data, Path};
use actix_web::{get, post};
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Gate;
use super::auth_till::Till as Caller;
use super::body::{Body, MaybeBody, Params};
use crate::domain::ids::{self, caller_id};
use crate::domain::money::Fen;
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::parse_rfc3339;
use crate::engine::order::{Answered, OrderView};
pub use wire::bounds;
use wire::{
    CancelRequest, Cancelled, ConfirmRequest, OrderBody, QuoteBody, QuoteRequest, Redeemed, RedemptionRequest,
    RefundBody, RefundRequest, ReverseBody, ReverseRequest, TillQuery, TransactionsBody, TransactionsQuery,
};

pub fn configure(config: &mut ServiceConfig) {
    config.service(quote).service(redeem).service(confirm).service(cancel).service(reverse).service(refund);
    config.service(get_order).service(transactions);
}

/// The till as the engine takes it: a platform names merchant and terminal in the body, others may only repeat their own.
fn till(caller: Caller, merchant_id: Option<String>, terminal_id: Option<String>) -> Result<NamedTill, Refusal> {
    named('/', caller, merchant_id, terminal_id)
}

/// The till of a request that only reads: what a platform names stands in the query.
fn reading(caller: Caller, merchant_id: Option<String>) -> Result<NamedTill, Refusal> {
    named('?', caller, merchant_id, None)
}

fn named(
    place: char,
    caller: Caller,
    merchant_id: Option<String>,
    terminal_id: Option<String>,
) -> Result<NamedTill, Refusal> {
    let own = |known: Option<String>, named: Option<String>, field: &str, noun: Noun| match (known, named) {
        (Some(known), Some(named)) if known != named => Err(noun.not_found(&named)),
        (Some(known), _) => Ok(Some(known)),
        (None, Some(named)) => caller_id(&format!("{place}{field}"), &named).map(Some),
        (None, None) => Ok(None),
    };
    let is_terminals_key = caller.terminal_id.is_some();
    let merchant_id = own(caller.merchant_id, merchant_id, "merchant_id", Noun::Merchant)?.ok_or_else(|| {
        let (zh, en) = match place {
            '?' => (
                "平台密钥须在查询串中指明商户：?merchant_id=…。",
                "A platform's key names the merchant in the query: ?merchant_id=…",
            ),
            _ => ("平台密钥须指明商户。", "A platform's key names the merchant."),
        };
        Refusal::new(Code::InvalidRequest).field(format!("{place}merchant_id"), "required", zh, en)
    })?;
    let terminal_id = own(caller.terminal_id, terminal_id, "terminal_id", Noun::Terminal)?.unwrap_or_default();
    Ok(NamedTill { program: caller.program, merchant_id, terminal_id, is_terminals_key })
}

fn effect(state: &State, body: &impl serde::Serialize, replayed: bool) -> answer::Result {
    Ok(Answer::ok(body).effect(&state.engine.settings.durability, replayed))
}

/// What a redemption would do now. It has no effect and does not use up the pay code; when nothing fits, `vouchers` is empty.
#[utoipa::path(tag = "till", request_body = QuoteRequest, responses((status = 200, body = QuoteBody)))]
#[post("/v1/redemptions/quote")]
pub async fn quote(state: Data<State>, gate: Data<Gate>, caller: Caller, body: Body<QuoteRequest>) -> answer::Result {
    let guesses = caller.guesses();
    let (till, ask) = body.0.ask(caller)?;
    let till = state.engine.till_at(till).await?;
    let quote = guesses.counted(&gate, state.engine.quote(&till, &ask)).await?;
    Ok(Answer::ok(&QuoteBody::from(quote)))
}

/// Hold the best vouchers for an order, or with `capture` redeem them at once. Repeat with the same order_id until answered.
#[utoipa::path(tag = "till", request_body = RedemptionRequest, responses((status = 200, body = Redeemed)))]
#[post("/v1/redemptions")]
pub async fn redeem(
    state: Data<State>,
    gate: Data<Gate>,
    caller: Caller,
    body: Body<RedemptionRequest>,
) -> answer::Result {
    let guesses = caller.guesses();
    let (till, order_id, ask) = body.0.ask(caller)?;
    let till = state.engine.till_at(till).await?;
    let Answered { value, replayed } = guesses.counted(&gate, state.engine.redeem(&till, &order_id, &ask)).await?;
    super::sandbox::spoil(&state, &ask, replayed)?;
    effect(&state, &Redeemed::first(&value), replayed)
}

/// The customer has paid: the held vouchers are used. Up to ten minutes late it still works while they are free.
#[utoipa::path(tag = "till", params(("order_id" = String, Path)), request_body = ConfirmRequest,
    responses((status = 200, body = Redeemed)))]
#[post("/v1/redemptions/{order_id}/confirm")]
pub async fn confirm(
    state: Data<State>,
    caller: Caller,
    order_id: Path<String>,
    body: Body<ConfirmRequest>,
) -> answer::Result {
    let order_id = ids::order_id("/order_id", &order_id)?;
    let till = state.engine.till_at(till(caller, body.0.merchant_id, body.0.terminal_id)?).await?;
    let Answered { value, replayed } =
        state.engine.confirm(&till, &order_id, &body.0.hold_id, Fen(body.0.paid_amount)).await?;
    effect(&state, &Redeemed::confirmed(&value), replayed)
}

/// The customer does not pay after all: the held vouchers go back.
#[utoipa::path(tag = "till", params(("order_id" = String, Path)), request_body(content = Option<CancelRequest>),
    responses((status = 200, body = Cancelled)))]
#[post("/v1/redemptions/{order_id}/cancel")]
pub async fn cancel(
    state: Data<State>,
    caller: Caller,
    order_id: Path<String>,
    body: MaybeBody<CancelRequest>,
) -> answer::Result {
    let order_id = ids::order_id("/order_id", &order_id)?;
    let body = body.0.unwrap_or_default();
    let till = state.engine.till_at(till(caller, body.merchant_id, body.terminal_id)?).await?;
    let Answered { value, replayed } = state.engine.cancel(&till, &order_id).await?;
    effect(&state, &Cancelled::from(&value), replayed)
}

/// The outcome of an order is not known to the till: afterwards it has had no effect, and no late copy of it ever will.
#[utoipa::path(tag = "till", params(("order_id" = String, Path)), request_body(content = Option<ReverseRequest>),
    responses((status = 200, body = ReverseBody)))]
#[post("/v1/redemptions/{order_id}/reverse")]
pub async fn reverse(
    state: Data<State>,
    caller: Caller,
    order_id: Path<String>,
    body: MaybeBody<ReverseRequest>,
) -> answer::Result {
    let order_id = ids::order_id("/order_id", &order_id)?;
    let body = body.0.unwrap_or_default();
    // What a cashier types may name a person, so the log says only whether something was typed.
    tracing::info!(order.id = order_id, reason_given = body.reason.is_some(), "reverse");
    let till = state.engine.till_at(till(caller, body.merchant_id, body.terminal_id)?).await?;
    let Answered { value, replayed } = state.engine.reverse(&till, &order_id).await?;
    effect(&state, &ReverseBody::from(value), replayed)
}

/// Goods came back, wholly or in part: an amount, part of amount - merchant_discount, or named items of the order.
#[utoipa::path(tag = "till", params(("order_id" = String, Path)), request_body = RefundRequest,
    responses((status = 200, body = RefundBody)))]
#[post("/v1/redemptions/{order_id}/refunds")]
pub async fn refund(
    state: Data<State>,
    caller: Caller,
    order_id: Path<String>,
    body: Body<RefundRequest>,
) -> answer::Result {
    let order_id = ids::order_id("/order_id", &order_id)?;
    let (till, ask) = body.0.ask(caller)?;
    let till = state.engine.till_at(till).await?;
    let Answered { value, replayed } = state.engine.refund(&till, &order_id, &ask).await?;
    effect(&state, &RefundBody::from(&value), replayed)
}

/// Where an order stands. 404 says that it had no effect so far; a reverse makes that final.
#[utoipa::path(tag = "till", params(("order_id" = String, Path), TillQuery), responses((status = 200, body = OrderBody)))]
#[get("/v1/redemptions/{order_id}")]
pub async fn get_order(
    state: Data<State>,
    caller: Caller,
    order_id: Path<String>,
    query: Params<TillQuery>,
) -> answer::Result {
    let order_id = ids::order_id("/order_id", &order_id)?;
    let till = state.engine.till_at(reading(caller, query.0.merchant_id)?).await?;
    let view: OrderView = state.engine.get_order(&till, &order_id).await?;
    Ok(Answer::ok(&OrderBody::from(&view)))
}

/// What the merchant's tills did between two instants, line by line as the settlement counts it.
#[utoipa::path(tag = "till", params(TransactionsQuery), responses((status = 200, body = TransactionsBody)))]
#[get("/v1/transactions")]
pub async fn transactions(state: Data<State>, caller: Caller, query: Params<TransactionsQuery>) -> answer::Result {
    let instant = |name: &str, text: &str| {
        parse_rfc3339(text).ok_or_else(|| {
            Refusal::new(Code::InvalidRequest).field(
                format!("?{name}"),
                "invalid_time",
                "须为带时区的 RFC 3339 时间；+ 写作 %2B。",
                "Must be RFC 3339 with an offset; write + as %2B.",
            )
        })
    };
    let (from, to) = (instant("from", &query.0.from)?, instant("to", &query.0.to)?);
    let till = state.engine.till_at(reading(caller, query.0.merchant_id)?).await?;
    let page = state.engine.transactions(&till, from, to, query.0.cursor.as_deref()).await?;
    Ok(Answer::ok(&TransactionsBody::from(page)))
}

#[cfg(test)]
mod golden;
