//! What only a sandbox has: its campaign clock, and codes whose answers go wrong. A live server has no such route and no such code.

use actix_web::web::Data;
use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::body::Body;
use super::middleware::Call;
use crate::domain::magic::Magic;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Zone, parse_rfc3339};
use crate::engine::order::Ask;

pub fn configure(config: &mut ServiceConfig) {
    config.service(get_clock).service(put_clock);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockRequest {
    /// RFC 3339 with an offset; absent keeps the time and changes the rate.
    now: Option<String>,
    /// Campaign seconds per second: 0 stands still.
    rate: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub struct ClockAnswer {
    now: String,
    rate: u32,
}

/// The campaign clock, for any key of the office.
#[utoipa::path(tag = "office", responses((status = 200, body = ClockAnswer)))]
#[get("/v1/sandbox/clock")]
pub async fn get_clock(state: Data<State>, _officer: Officer) -> answer::Result {
    Ok(Answer::ok(&shown(&state)))
}

/// Set the campaign clock, forward only; every node of the store follows.
#[utoipa::path(tag = "office", request_body = ClockRequest, responses((status = 200, body = ClockAnswer)))]
#[put("/v1/sandbox/clock")]
pub async fn put_clock(state: Data<State>, _officer: Officer, body: Body<ClockRequest>) -> answer::Result {
    let now = match &body.0.now {
        None => None,
        Some(text) => Some(parse_rfc3339(text).ok_or_else(|| {
            let refusal = Refusal::new(Code::InvalidRequest);
            refusal.field("/now", "invalid_time", "须为带时区的 RFC 3339 时间。", "Must be RFC 3339 with an offset.")
        })?),
    };
    state.engine.set_clock(now, body.0.rate).await?;
    Ok(Answer::ok(&shown(&state)))
}

/// Some magic codes are applied and then answered badly, once: the repeat of the order gets its answer.
pub fn spoil(state: &State, ask: &Ask, replayed: bool) -> Result<(), Refusal> {
    match state.engine.magic(&ask.payer).filter(|_| !replayed) {
        Some(Magic::AnswerLost) => Call::current().lose_answer(),
        Some(Magic::Unknown) => return Err(Refusal::new(Code::StoreTimeout).retry_after_ms(1_000)),
        _ => {}
    }
    Ok(())
}

fn shown(state: &State) -> ClockAnswer {
    let zone = Zone::named("Asia/Shanghai").expect("the bundled zone database has Shanghai");
    let rate = state.engine.clock().setting().map(|setting| setting.rate).unwrap_or(1);
    ClockAnswer { now: zone.rfc3339(state.engine.now()), rate }
}
