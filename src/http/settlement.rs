//! Settlement for the finance office: a day's summary and each merchant's statement, as JSON or CSV.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, get};
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::error::Problem;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::settlement::{Statement, Summary};
use crate::engine::settlement::{statement_csv, summary_csv};

pub fn configure(config: &mut ServiceConfig) {
    config.service(day_summary).service(merchant_statement);
}

/// Totals of every merchant of the program on a day of the city, and what each source of money (`funding`) pays of them.
#[utoipa::path(tag = "office", params(("date" = String, Path, description = "YYYY-MM-DD")),
    responses((status = 200, description = "JSON, or CSV when Accept asks for text/csv.", content(
        (Summary = "application/json"), (String = "text/csv")))))]
#[get("/v1/settlements/{date}")]
pub async fn day_summary(
    state: Data<State>,
    officer: Officer,
    date: Path<String>,
    request: HttpRequest,
) -> answer::Result {
    let key = officer.key();
    let summary = state.engine.settlement_day(key, &date, None).await?.summary();
    if !wants_csv(&request)? {
        return Ok(Answer::ok(&summary));
    }
    Ok(table(summary_csv(&summary).map_err(broken)?))
}

/// A merchant's lines and control totals of a day; where a campaign names its sources of money (`funding`), what each pays of them.
///
/// Each column of fen sums to its total: `amount`, the goods' value of a call, stands on the line of the call's first voucher and is 0
/// on the others; `amount` and `subsidy` are negative for what comes back. A line has `order_id`, `transaction_id`, `store`, `terminal`,
/// `voucher_id`, `voucher_kind`, `amount`, `subsidy`, `kind` (`redeem`, `refund`, `reverse`), `refund_id` of a refund, `campaign_id`,
/// `at` in the city's time, `receipt_no`. A refund from before ledger lines named its order's attempt has an empty `transaction_id`.
#[utoipa::path(tag = "office", params(("date" = String, Path, description = "YYYY-MM-DD"), ("merchant_id" = String, Path)),
    responses((status = 200, description = "JSON, or CSV when Accept asks for text/csv.", content(
        (Statement = "application/json"), (String = "text/csv")))))]
#[get("/v1/settlements/{date}/{merchant_id}")]
pub async fn merchant_statement(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> answer::Result {
    let key = officer.key();
    let (date, merchant_id) = path.into_inner();
    let statement = state.engine.settlement_day(key, &date, Some(&merchant_id)).await?.statement(&merchant_id);
    if !wants_csv(&request)? {
        return Ok(Answer::ok(&statement));
    }
    Ok(table(statement_csv(&statement).map_err(broken)?))
}

/// JSON unless the caller asks for CSV; anything else is not offered.
fn wants_csv(request: &HttpRequest) -> Result<bool, Problem> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for wanted in accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()) {
        match wanted {
            "text/csv" | "text/*" => return Ok(true),
            "application/json" | "application/*" | "*/*" => return Ok(false),
            _ => {}
        }
    }
    Err(Code::NotAcceptable.into())
}

fn table(csv: Vec<u8>) -> Answer {
    Answer::raw(csv).replace_header(CONTENT_TYPE, "text/csv; charset=utf-8")
}

fn broken(error: csv::Error) -> Problem {
    tracing::error!(%error, "a statement cannot be written as CSV");
    Refusal::new(Code::Internal).into()
}
