//! Merchants from a CSV file: registered while the file arrives, with an answer for each row.

use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, post};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::access::ApiKey;
use crate::engine::merchant::may;
use crate::engine::merchant_import::{Row, Rows};

/// Rows of one file; the answer has a line for each.
const MOST_ROWS: usize = 100_000;
/// Rows that are registered at the same time.
const ROWS_AT_ONCE: usize = 8;
/// A file may take long, but not stand still.
const CHUNK_DEADLINE: Duration = Duration::from_secs(5);

/// What became of a file of merchants.
#[derive(Serialize, ToSchema)]
pub struct ImportAnswer {
    /// Rows below the header; unless reading stopped early, the sum of `created`, `unchanged` and `refused`.
    rows_read: u64,
    created: usize,
    /// Registered before with the same data.
    unchanged: usize,
    refused: usize,
    /// One for each row: `line`, `code`, `merchant_id`, `result`, and for `refused` the refusal's code and errors.
    rows: Vec<Value>,
    /// Why reading ended early; the rows before it took effect.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    let key = officer.require(may::WRITE)?;
    if !HttpMessage::content_type(&request).eq_ignore_ascii_case("text/csv") {
        return Err(Refusal::new(Code::UnsupportedMediaType).detail("Send the file as Content-Type: text/csv.").into());
    }
    let mut answer =
        ImportAnswer { rows_read: 0, created: 0, unchanged: 0, refused: 0, rows: Vec::new(), stopped: None };
    if let Err(refusal) = import(&state, key, &mut payload, &mut answer).await {
        if answer.rows.is_empty() {
            return Err(refusal.into());
        }
        answer.stopped = Some(refusal_json(&refusal));
    }
    Ok(Answer::ok(&answer).effect(&state.engine.settings.durability, false))
}

/// Registers rows while the file arrives, in its order of answers.
async fn import(state: &State, key: &ApiKey, payload: &mut Payload, answer: &mut ImportAnswer) -> Result<(), Refusal> {
    let mut rows = Rows::default();
    loop {
        let chunk = tokio::time::timeout(CHUNK_DEADLINE, payload.next()).await;
        let chunk = chunk.map_err(|_| Refusal::new(Code::BodyTimeout))?;
        let ended = chunk.is_none();
        let read = match chunk {
            Some(Ok(chunk)) => rows.push(&chunk),
            Some(Err(_)) => {
                return Err(Refusal::new(Code::BodyTimeout).detail("The file ended before it was complete."));
            }
            None => rows.finish(),
        };
        answer.rows_read = rows.rows_read();
        register(state, key, read?, answer).await?;
        if ended {
            return Ok(());
        }
    }
}

async fn register(state: &State, key: &ApiKey, rows: Vec<Row>, answer: &mut ImportAnswer) -> Result<(), Refusal> {
    if answer.rows.len() + rows.len() > MOST_ROWS {
        return Err(
            Refusal::new(Code::BodyTooLarge).detail("At most 100,000 rows in a file; send the rest as another file.")
        );
    }
    let mut registered = futures_util::stream::iter(rows)
        .map(|row| async move {
            let code = row.draft.code.clone();
            (row.line, code, state.engine.create_merchant(key, row.draft).await)
        })
        .buffered(ROWS_AT_ONCE);
    while let Some((line, code, result)) = registered.next().await {
        let mut told = match &result {
            Ok(status) => {
                json!({"result": if status.created { "created" } else { "unchanged" }, "merchant_id": status.merchant_id})
            }
            Err(refusal) => json!({"result": "refused", "refusal": refusal_json(refusal)}),
        };
        told["line"] = json!(line);
        told["code"] = json!(code);
        answer.rows.push(told);
        match result {
            Ok(status) if status.created => answer.created += 1,
            Ok(_) => answer.unchanged += 1,
            Err(_) => answer.refused += 1,
        }
    }
    Ok(())
}

/// A refusal as one row of an answer.
fn refusal_json(refusal: &Refusal) -> Value {
    super::error::body(refusal, "", false)
}
