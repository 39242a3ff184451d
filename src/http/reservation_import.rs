//! Reservations that a channel brings later: one row for each, with an answer for each row.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, post};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::area::LocationBody;
use super::auth::{Gate, Officer};
use super::auth_resident::ResidentClaims;
use super::body;
use super::row_report::{RowReport, Told};
use super::turn::Doing;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::parse_rfc3339;
use crate::engine::key::ApiKey;
use crate::engine::reservation::Wish;
use crate::engine::reservation::import::Brought;

const MOST_ROWS: usize = 5_000;
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// Rows that are judged at the same time.
const ROWS_AT_ONCE: usize = 64;
/// A file may take long, but not stand still.
const CHUNK_DEADLINE: Duration = Duration::from_secs(5);

pub fn configure(config: &mut ServiceConfig) {
    config.service(import_reservations);
}

/// One reservation: the claims that a resident's token would have, and when the channel took it down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRow {
    channel: String,
    #[schema(example = "cn_id")]
    document_type: String,
    document_number: Option<String>,
    person_digest: Option<String>,
    health_pass: Option<String>,
    birth_date: Option<String>,
    residence: Option<String>,
    phone: Option<String>,
    device: Option<String>,
    /// The person's account with the channel: `sub` of a token.
    account: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    location: Option<LocationBody>,
    consent_version: Option<String>,
    round_id: Option<String>,
    pack_id: Option<String>,
    #[schema(example = "2022-08-20T09:59:00+08:00")]
    registered_at: String,
}

/// What became of a file of reservations.
#[derive(Serialize, ToSchema)]
#[schema(as = ReservationImportAnswer)]
pub struct ImportAnswer {
    reserved: usize,
    /// Earlier than the entry that was there, in whose place it stands now.
    replaced: usize,
    unchanged: usize,
    refused: usize,
    #[serde(flatten)]
    told: Told,
}

/// Bring reservations that a channel has taken down: NDJSON or a JSON array of at most 5,000 rows. Where the earliest counts, a row that
/// is earlier than the person's entry takes its place, until the list closes. Repeating a file changes nothing. A platform's key brings rows
/// of its own channels, which `keys create --channel` names; in a sandbox one without channels brings any.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), request_body(content = Vec<ImportRow>),
    responses((status = 200, body = ImportAnswer)))]
#[post("/v1/campaigns/{campaign_id}/reservations/import")]
pub async fn import_reservations(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    request: HttpRequest,
    mut payload: Payload,
) -> answer::Result {
    let key = officer.key();
    state.engine.import_target(key, &campaign_id).await?;
    let media_type = HttpMessage::content_type(&request).to_ascii_lowercase();
    if !["application/json", "application/x-ndjson", "application/ndjson"].contains(&media_type.as_str()) {
        return Err(body::media_type_refused(&["application/x-ndjson", "application/json"]).into());
    }
    let _turn = Gate::of(&request)?.turns.take(Doing::Upload(key.program.clone()))?;
    let file = read(&mut payload).await?;
    let rows = rows(&file)?;
    let (state, campaign_id) = (&state, campaign_id.as_str());
    let mut results = futures_util::stream::iter(rows)
        .map(|(line, row)| async move { (line, bring(state, key, campaign_id, row).await) })
        .buffered(ROWS_AT_ONCE);
    let (mut reserved, mut replaced, mut unchanged, mut refused) = (0, 0, 0, 0);
    let mut report = RowReport::default();
    while let Some((line, result)) = results.next().await {
        let mut row = Map::from_iter([("line".to_owned(), json!(line))]);
        let (count, word) = match result {
            Ok(Brought::Reserved) => (&mut reserved, "reserved"),
            Ok(Brought::Replaced) => (&mut replaced, "replaced"),
            Ok(Brought::Unchanged) => (&mut unchanged, "unchanged"),
            Err(refusal) => {
                refused += 1;
                report.refused(row, refusal);
                continue;
            }
        };
        *count += 1;
        row.insert("result".to_owned(), json!(word));
        report.taken(row);
    }
    let answer = ImportAnswer { reserved, replaced, unchanged, refused, told: report.into_parts() };
    Ok(Answer::ok(&answer).effect(&state.engine.settings.durability, false))
}

async fn bring(state: &State, key: &ApiKey, campaign_id: &str, row: &[u8]) -> Result<Brought, Refusal> {
    let row: ImportRow = body::parse(row)?;
    state.engine.require_channel(key, &row.channel)?;
    let registered_at = parse_rfc3339(&row.registered_at).ok_or_else(|| {
        let (zh, en) = ("须为带时区的 RFC 3339 时间。", "Must be a time of RFC 3339 with its offset.");
        Refusal::new(Code::InvalidRequest).field("/registered_at", "bad_time", zh, en)
    })?;
    let location = row.location.map(LocationBody::location).transpose()?;
    let ImportRow { round_id, pack_id, consent_version, account, .. } = row;
    let wish = Wish { round_id, pack_id, consent_version, location, phone: None, device: None };
    let claims = ResidentClaims {
        iss: String::new(),
        sub: account.clone().unwrap_or_default(),
        exp: 0,
        nbf: None,
        iat: None,
        channel: row.channel,
        document_type: row.document_type,
        document_number: row.document_number,
        person_digest: row.person_digest,
        health_pass: row.health_pass,
        birth_date: row.birth_date,
        residence: row.residence,
        phone: row.phone,
        device: row.device,
        attributes: row.attributes,
    };
    // The row stands for a token, but it is not one: what is wrong with it is wrong with the request.
    let errors = claims.faults();
    if !errors.is_empty() {
        return Err(Refusal { errors, ..Refusal::new(Code::InvalidRequest) });
    }
    let mut identity = claims.identity();
    identity.contacts.account = account;
    let resident = state.engine.resident(&identity)?;
    state.engine.import_reservation(campaign_id, &resident, &wish, registered_at).await
}

async fn read(payload: &mut Payload) -> Result<BytesMut, Refusal> {
    let mut file = BytesMut::new();
    loop {
        let chunk = tokio::time::timeout(CHUNK_DEADLINE, payload.next()).await;
        match chunk.map_err(|_| Refusal::new(Code::BodyTimeout))? {
            Some(Ok(chunk)) if file.len() + chunk.len() > LARGEST_BODY => {
                return Err(Refusal::new(Code::BodyTooLarge)
                    .detail("最多 4 MiB，其余请另发文件。", "At most 4 MiB; send the rest as another file."));
            }
            Some(Ok(chunk)) => file.extend_from_slice(&chunk),
            Some(Err(_)) => {
                return Err(Refusal::new(Code::BodyTimeout)
                    .detail("文件未传完即中断。", "The file ended before it was complete."));
            }
            None => return Ok(file),
        }
    }
}

/// The rows with their numbers: lines of NDJSON, or items of an array.
fn rows(file: &[u8]) -> Result<Vec<(usize, &[u8])>, Refusal> {
    let begins = file.iter().find(|byte| !byte.is_ascii_whitespace());
    let rows: Vec<(usize, &[u8])> = if begins == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(file).map_err(|error| body::malformed(&error))?;
        items.into_iter().enumerate().map(|(index, item)| (index + 1, item.get().as_bytes())).collect()
    } else {
        let lines = file.split(|byte| *byte == b'\n').enumerate();
        let filled = |(_, line): &(usize, &[u8])| line.iter().any(|byte| !byte.is_ascii_whitespace());
        lines.filter(filled).map(|(index, line)| (index + 1, line)).collect()
    };
    if rows.len() > MOST_ROWS {
        return Err(Refusal::new(Code::BodyTooLarge)
            .detail("最多 5,000 行，其余请另发文件。", "At most 5,000 rows; send the rest as another file."));
    }
    Ok(rows)
}
