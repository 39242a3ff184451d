//! Merchants from a CSV file: registered while the file arrives, with an answer for each row.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, post};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Gate, Officer};
use super::body;
use super::error::ProblemSchema;
use super::middleware::Call;
use super::row_report::{RowReport, Told};
use super::turn::Doing;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::key::ApiKey;
use crate::engine::merchant::import::{Row, Rows};

/// Rows of one file; the answer has a line for each.
const MOST_ROWS: usize = 100_000;
/// The answer repeats a row's code up to this length: a wrong one may be as long as a row.
const LONGEST_CODE: usize = 32;
/// Rows that are registered at the same time.
const ROWS_AT_ONCE: usize = 8;
/// A file may take long, but not stand still.
const CHUNK_DEADLINE: Duration = Duration::from_secs(5);

/// What has become of a file so far.
#[derive(Default)]
struct Import {
    rows_read: u64,
    created: usize,
    unchanged: usize,
    refused: usize,
    report: RowReport,
}

/// What became of a file of merchants.
#[derive(Serialize, ToSchema)]
#[schema(as = MerchantImportAnswer)]
pub struct ImportAnswer {
    /// Rows below the header; unless reading stopped early, the sum of `created`, `unchanged` and `refused`.
    rows_read: u64,
    created: usize,
    /// Registered before with the same data.
    unchanged: usize,
    refused: usize,
    /// Beside them a row has `code`, and unless it is refused `merchant_id`.
    #[serde(flatten)]
    told: Told,
    /// Why reading ended early; the rows before it took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemSchema>)]
    stopped: Option<Value>,
}

/// Register merchants from a CSV file in UTF-8. Columns: merchant_id, code, kind, name_zh, name_en, registered_district,
/// operating_district, industry_code, stores (`id|name|district`, several apart by `;`). Repeating a file changes nothing.
#[utoipa::path(tag = "office", request_body(content = String, content_type = "text/csv"), responses((status = 200, body = ImportAnswer)))]
#[post("/v1/merchants/import")]
pub async fn import_merchants(
    state: Data<State>,
    officer: Officer,
    request: HttpRequest,
    mut payload: Payload,
) -> answer::Result {
    let key = officer.key();
    if !HttpMessage::content_type(&request).eq_ignore_ascii_case("text/csv") {
        return Err(body::media_type_refused(&["text/csv"]).into());
    }
    let _turn = Gate::of(&request)?.turns.take(Doing::Upload(key.program.clone()))?;
    let mut done = Import::default();
    let stopped = import(&state, key, &mut payload, &mut done).await.err();
    if let Some(refusal) = stopped.as_ref().filter(|_| done.report.is_empty()) {
        return Err(refusal.clone().into());
    }
    let Import { rows_read, created, unchanged, refused, report } = done;
    let stopped = stopped.map(|refusal| super::error::body(&refusal, "", false, Call::current().language));
    let answer = ImportAnswer { rows_read, created, unchanged, refused, told: report.into_parts(), stopped };
    Ok(Answer::ok(&answer).effect(&state.engine.settings.durability, false))
}

/// Registers rows while the file arrives, in its order of answers.
async fn import(state: &State, key: &ApiKey, payload: &mut Payload, done: &mut Import) -> Result<(), Refusal> {
    let mut rows = Rows::default();
    loop {
        let chunk = tokio::time::timeout(CHUNK_DEADLINE, payload.next()).await;
        let chunk = chunk.map_err(|_| Refusal::new(Code::BodyTimeout))?;
        let ended = chunk.is_none();
        let read = match chunk {
            Some(Ok(chunk)) => rows.push(&chunk),
            Some(Err(_)) => {
                return Err(Refusal::new(Code::BodyTimeout)
                    .detail("文件未传完即中断。", "The file ended before it was complete."));
            }
            None => rows.finish(),
        };
        done.rows_read = rows.rows_read();
        register(state, key, read?, done).await?;
        if ended {
            return Ok(());
        }
    }
}

async fn register(state: &State, key: &ApiKey, rows: Vec<Row>, done: &mut Import) -> Result<(), Refusal> {
    if done.report.len() + rows.len() > MOST_ROWS {
        return Err(Refusal::new(Code::BodyTooLarge).detail(
            "一个文件最多 100,000 行，其余请另发文件。",
            "At most 100,000 rows in a file; send the rest as another file.",
        ));
    }
    let mut registered = futures_util::stream::iter(rows)
        .map(|row| async move {
            let code = row.draft.code.clone().filter(|code| code.len() <= LONGEST_CODE);
            (row.line, code, state.engine.create_merchant(key, row.draft).await)
        })
        .buffered(ROWS_AT_ONCE);
    while let Some((line, code, result)) = registered.next().await {
        let mut row = Map::from_iter([("line".to_owned(), json!(line)), ("code".to_owned(), json!(code))]);
        match result {
            Ok(status) => {
                let (count, word) = match status.created {
                    true => (&mut done.created, "created"),
                    false => (&mut done.unchanged, "unchanged"),
                };
                *count += 1;
                row.insert("result".to_owned(), json!(word));
                row.insert("merchant_id".to_owned(), json!(status.merchant_id));
                done.report.taken(row);
            }
            Err(refusal) => {
                done.refused += 1;
                done.report.refused(row, refusal);
            }
        }
    }
    Ok(())
}
