//! Lists of persons and merchants, uploaded as CSV for campaigns to name.

use std::time::Duration;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, get, put};
use futures_util::StreamExt;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Gate, Officer};
use super::body;
use super::turn::Doing;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::list::{ListStatus, ListUpload};

/// A file may take long, but not stand still.
const CHUNK_DEADLINE: Duration = Duration::from_secs(5);

pub fn configure(config: &mut ServiceConfig) {
    config.service(put_list).service(get_list);
}

#[derive(Serialize, ToSchema)]
pub struct ListAnswer {
    list_id: String,
    /// Counted from 1; a campaign uses the one that was newest when it was submitted for approval.
    version: u32,
    /// `persons` or `merchants`.
    kind: &'static str,
    /// Members, one for each row that was read below the header: a file of which one row is refused is refused whole.
    count: u64,
    /// Of the file as it was sent.
    sha256: String,
}

impl From<ListStatus> for ListAnswer {
    fn from(status: ListStatus) -> ListAnswer {
        let ListStatus { list_id, version, kind, count, sha256, .. } = status;
        ListAnswer { list_id, version, kind: kind.word(), count, sha256 }
    }
}

/// Upload a list as CSV in UTF-8 with a header row; it becomes a new version, whole or not at all. Persons: document_type, and
/// document_number or person_digest; optional entries (1 to 64), channel, pack_id. Merchants: merchant_id. The same file again is
/// the same version. A pointer of a fault begins with the line.
#[utoipa::path(tag = "office", params(("list_id" = String, Path)), request_body(content = String, content_type = "text/csv"),
    responses((status = 201, body = ListAnswer), (status = 200, body = ListAnswer)))]
#[put("/v1/lists/{list_id}")]
pub async fn put_list(
    state: Data<State>,
    officer: Officer,
    list_id: Path<String>,
    request: HttpRequest,
    mut payload: Payload,
) -> answer::Result {
    let key = officer.key();
    if !HttpMessage::content_type(&request).eq_ignore_ascii_case("text/csv") {
        return Err(body::media_type_refused(&["text/csv"]).into());
    }
    let _turn = Gate::of(&request)?.turns.take(Doing::Upload(key.program.clone()))?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut upload = state.engine.begin_list(key, &list_id, length).await?;
    if let Err(refusal) = receive(&mut upload, &mut payload).await {
        return Err(upload.abandon(refusal).await.into());
    }
    let status = upload.finish().await?;
    let created = status.created;
    let body = ListAnswer::from(status);
    let answer = if created { Answer::created(&body) } else { Answer::ok(&body) };
    Ok(answer.effect(&state.engine.settings.durability, !created))
}

/// The newest version of a list.
#[utoipa::path(tag = "office", params(("list_id" = String, Path)), responses((status = 200, body = ListAnswer)))]
#[get("/v1/lists/{list_id}")]
pub async fn get_list(state: Data<State>, officer: Officer, list_id: Path<String>) -> answer::Result {
    let status = state.engine.list_status(officer.key(), &list_id).await?;
    Ok(Answer::ok(&ListAnswer::from(status)))
}

async fn receive(upload: &mut ListUpload<'_>, payload: &mut Payload) -> Result<(), Refusal> {
    loop {
        let chunk = tokio::time::timeout(CHUNK_DEADLINE, payload.next()).await;
        match chunk.map_err(|_| Refusal::new(Code::BodyTimeout))? {
            Some(Ok(chunk)) => upload.push(&chunk).await?,
            Some(Err(_)) => {
                return Err(Refusal::new(Code::BodyTimeout)
                    .detail("文件未传完即中断。", "The file ended before it was complete."));
            }
            None => return Ok(()),
        }
    }
}
