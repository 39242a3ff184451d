//! `serve --first-minute`: a sandbox in which the README's three requests work at once. The Chengdu campaign has run up to the opening of
//! its rain: people have reserved, the draw was held, a merchant has a terminal, and the clock stands at 18:00.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{FIRST_PROGRAM, Node};
use crate::config::Settings;
use crate::domain::merchant::{Draft, EnrolState, Name};
use crate::domain::refusal::Refusal;
use crate::domain::time::parse_rfc3339;
use crate::engine::Engine;
use crate::engine::config::expect::Expect;
use crate::engine::draw::result::Standing;
use crate::engine::key::{ApiKey, Role};
use crate::engine::reservation::{NO_CHOICE, Wish};
use crate::engine::resident::Identity;
use crate::http::auth_resident::mint;

const CAMPAIGN: &str = "chengdu-2020-07";
const FILE: &[u8] = include_bytes!("../../deploy/campaigns/chengdu-2020.json");
const ROUND: &str = "rain";
const MERCHANT: &str = "noodle-house";
/// Enough that the luckiest of them is revealed in the first second of the rain.
const RESIDENTS: u32 = 500;

/// Runs the campaign up to its rain and writes what the README's requests need beside the data directory, as `<data>.env`.
pub async fn prepare(node: &Node, settings: &Settings, listen: &str) -> io::Result<()> {
    let engine = &node.engine;
    if engine.campaign(CAMPAIGN).is_ok() {
        eprintln!(
            "This sandbox was prepared before and its clock went on; remove {} for a fresh one.",
            settings.data.display()
        );
        return Ok(());
    }
    let admin = node.instance.admin_key().map_err(io::Error::other)?.unwrap_or_default();
    let token_key = node.instance.sandbox_token_key().map_err(io::Error::other)?;
    let prepared =
        prepare_engine(engine, &token_key).await.map_err(|refusal| io::Error::other(refusal.code.as_str()))?;
    let path = settings.data.with_extension("env");
    let bin = std::env::current_exe()?.parent().unwrap_or(Path::new(".")).display().to_string();
    let lines = [
        ("PATH", format!("{bin}:$PATH")),
        ("URL", format!("http://{listen}")),
        ("CAMPAIGN", CAMPAIGN.to_owned()),
        ("ADMIN_KEY", admin),
        ("TOKEN", prepared.token),
        ("PASS", prepared.pass),
        ("KEY_ID", prepared.key_id),
        ("SECRET", prepared.secret),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("export {name}=\"{value}\"\n")).collect();
    std::fs::write(&path, text)?;
    eprintln!("\nThe sandbox is ready: the rain of 24 July 2020 has just begun. In another terminal:\n");
    eprintln!("  . {}", path.display());
    eprintln!("  curl -s -X POST $URL/v1/campaigns/$CAMPAIGN/rounds/rain/claims -H \"Authorization: Bearer $PASS\"\n");
    Ok(())
}

struct Prepared {
    token: String,
    pass: String,
    key_id: String,
    secret: String,
}

async fn prepare_engine(engine: &Engine, token_key: &[u8; 32]) -> Result<Prepared, Refusal> {
    let office = ApiKey::new("first-minute", &Role::ALL, FIRST_PROGRAM);
    let approver = ApiKey::new("first-minute-approver", &Role::ALL, FIRST_PROGRAM);
    set_clock(engine, "2020-07-13T00:00:00+08:00", 0).await?;
    engine.put_campaign(&office, CAMPAIGN, Some(Expect::Absent), FILE, false).await?;
    engine.submit_campaign(&office, CAMPAIGN).await?;
    engine.approve_campaign(&approver, CAMPAIGN).await?;
    engine.publish_campaign(&approver, CAMPAIGN).await?;
    let (key_id, secret) = merchant(engine, &office, &approver).await?;
    let mut residents = Vec::new();
    for index in 0..RESIDENTS {
        let claims = claims(index);
        let resident = engine.resident(&identity(&claims))?;
        let wish = Wish { consent_version: Some("2020-07-13".into()), ..Wish::default() };
        let reserved = engine.reserve(CAMPAIGN, &resident, &wish, false).await?;
        residents.push((claims, resident, reserved.pass));
    }
    set_clock(engine, "2020-07-22T10:00:00+08:00", 0).await?;
    let view = engine.campaign(CAMPAIGN)?;
    let score = |resident: &crate::engine::resident::Resident| {
        let pseudonym = engine.person(&view, resident).pseudonym;
        let entry = Standing { pseudonym, channel: 0, choice: NO_CHOICE, chances: 1 };
        view.round(ROUND).and_then(|round| round.place(&view, &entry)).map(|place| place.score)
    };
    let luckiest = residents.into_iter().min_by_key(|(_, resident, _)| score(resident));
    let (claims, _, pass) = luckiest.ok_or(crate::domain::refusal::Code::Internal)?;
    set_clock(engine, "2020-07-24T18:00:00+08:00", 1).await?;
    let token = mint(&claims.to_string(), token_key).unwrap_or_default();
    Ok(Prepared { token, pass, key_id, secret })
}

/// An approved merchant with one terminal.
async fn merchant(engine: &Engine, office: &ApiKey, approver: &ApiKey) -> Result<(String, String), Refusal> {
    let text = |text: &str| Some(text.to_owned());
    let draft = Draft {
        merchant_id: text(MERCHANT),
        code: text("9144030071526726XG"),
        kind: text("enterprise"),
        name: Some(Name::Both { zh: "面馆".into(), en: "Noodle house".into() }),
        registered_district: text("510104"),
        operating_district: text("510104"),
        industry_code: text("6210"),
        stores: Vec::new(),
    };
    engine.create_merchant(office, draft).await?;
    engine.apply_to_campaign(office, CAMPAIGN, MERCHANT).await?;
    engine.move_enrolment(approver, CAMPAIGN, MERCHANT, EnrolState::Approved, None).await?;
    let terminal = engine.create_terminal(office, MERCHANT, "till-1").await?.body;
    let member = |name: &str| terminal[name].as_str().unwrap_or_default().to_owned();
    Ok((member("key_id"), member("secret")))
}

async fn set_clock(engine: &Engine, now: &str, rate: u32) -> Result<(), Refusal> {
    engine.set_clock(parse_rfc3339(now), Some(rate)).await
}

fn claims(index: u32) -> Value {
    json!({
        "sub": format!("resident-{index}"),
        "channel": "wechat",
        "document_type": "cn_id",
        "document_number": identity_number(index),
        "health_pass": "green",
    })
}

fn identity(claims: &Value) -> Identity<'_> {
    Identity {
        document_type: "cn_id",
        document_number: claims["document_number"].as_str(),
        channel: "wechat",
        health_pass: Some("green"),
        ..Identity::default()
    }
}

/// A valid number of GB 11643 for a person who does not exist: the sequence runs over days of 1990.
fn identity_number(index: u32) -> String {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let body = format!("510104199001{:02}{:03}", index % 28 + 1, index / 28 + 1);
    let sum: u32 = body.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{body}{}", char::from(b"10X98765432"[(sum % 11) as usize]))
}
