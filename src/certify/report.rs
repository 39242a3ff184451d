//! What a certification found, as JSON for programs and as a page for people, signed with the installation's key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::Serialize;
use serde_json::{Value, json};

use super::proxy::Seen;

const FORMAT: &str = "quanyu.pos-certify.v1";

/// One case as it was played.
#[derive(Serialize)]
pub struct Played {
    pub id: &'static str,
    title: Value,
    verdict: &'static str,
    pub findings: Vec<String>,
    /// What the adapter could not do, where that left the case unplayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_supported: Option<String>,
    requests: Vec<Seen>,
}

#[derive(Serialize)]
pub struct Report {
    format: &'static str,
    made_at: String,
    service: &'static str,
    adapter: String,
    integration: Value,
    pace: f64,
    /// Whether every case of the sheet was to be played.
    whole_sheet: bool,
    pub passed: bool,
    pub cases: Vec<Played>,
}

/// What a report says, once its signature holds.
#[derive(Debug)]
pub struct Verified {
    pub passed: bool,
    pub integration: String,
    pub made_at: String,
    pub public_key: String,
}

impl Played {
    pub fn new(
        id: &'static str,
        (zh, en): (&str, &str),
        findings: Vec<String>,
        not_supported: Option<String>,
        requests: Vec<Seen>,
    ) -> Played {
        let verdict = match (&findings[..], &not_supported) {
            ([], None) => "passed",
            ([], Some(_)) => "not_supported",
            _ => "failed",
        };
        Played { id, title: json!({"zh": zh, "en": en}), verdict, findings, not_supported, requests }
    }

    pub fn verdict(&self) -> &'static str {
        self.verdict
    }
}

impl Report {
    /// Passed is what played every case of the sheet and failed none; a case that the adapter cannot play is not passed.
    pub fn new(adapter: &str, integration: &Value, pace: f64, whole_sheet: bool, cases: Vec<Played>) -> Report {
        Report {
            format: FORMAT,
            made_at: jiff::Timestamp::now().to_string(),
            service: concat!("quanyu ", env!("CARGO_PKG_VERSION")),
            adapter: adapter.to_owned(),
            integration: integration.clone(),
            pace,
            whole_sheet,
            passed: cases.iter().all(|case| case.verdict == "passed"),
            cases,
        }
    }

    pub fn count(&self, verdict: &str) -> usize {
        self.cases.iter().filter(|case| case.verdict == verdict).count()
    }

    /// Writes report.json and report.html; the path of the page.
    pub fn write(&self, folder: &Path, key: &[u8; 32]) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let mut body = serde_json::to_value(self)?;
        let key = SigningKey::from_bytes(key);
        body["public_key"] = json!(hex::encode(key.verifying_key().as_bytes()));
        body["signature"] = json!(STANDARD.encode(key.sign(&signed_bytes(&body)?).to_bytes()));
        fs::write(folder.join("report.json"), serde_json::to_string_pretty(&body)? + "\n")?;
        let page = folder.join("report.html");
        fs::write(&page, self.page(&body))?;
        Ok(page)
    }

    fn page(&self, body: &Value) -> String {
        let mut rows = String::new();
        for case in &self.cases {
            let mark = if case.verdict == "passed" { "pass" } else { "fail" };
            let told: String = case
                .findings
                .iter()
                .chain(&case.not_supported)
                .map(|text| format!("<li>{}</li>", escaped(text)))
                .collect();
            let (zh, en) =
                (case.title["zh"].as_str().unwrap_or_default(), case.title["en"].as_str().unwrap_or_default());
            rows += &format!(
                "<tr class=\"{mark}\"><td>{}</td><td>{}<br>{}<ul>{told}</ul></td><td>{}</td><td>{}</td></tr>\n",
                case.id,
                escaped(zh),
                escaped(en),
                case.requests.len(),
                case.verdict,
            );
        }
        let name = self.integration["name"].as_str().unwrap_or("?");
        let verdict = match (self.passed, self.whole_sheet) {
            (true, true) => "passed 通过",
            (true, false) => "passed the cases that were chosen 所选用例通过",
            (false, _) => "failed 未通过",
        };
        format!(
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>POS certification: {name}</title>\n<style>\
             body{{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}\
             table{{border-collapse:collapse;width:100%}}td,th{{border-top:1px solid #ccc;padding:.4em;text-align:left;vertical-align:top}}\
             .fail td:last-child{{color:#b00020;font-weight:600}}.pass td:last-child{{color:#166534}}ul{{margin:.2em 0}}code{{word-break:break-all}}\
             </style>\n<h1>{name}: {verdict}</h1>\n<p>{}, {}, pace {}. Check this page against the signed <code>report.json</code>: \
             <code>quanyu pos-certify verify report.json</code>.</p>\n\
             <table>\n<tr><th>case</th><th>what it must keep</th><th>requests</th><th>verdict</th></tr>\n{rows}</table>\n\
             <p>Public key <code>{}</code><br>Signature <code>{}</code></p>\n",
            self.service,
            self.made_at,
            self.pace,
            body["public_key"].as_str().unwrap_or_default(),
            body["signature"].as_str().unwrap_or_default(),
            name = escaped(name),
        )
    }
}

/// Checks a report's signature by the key that it names; whose key that is, is for the caller to judge.
pub fn verify(text: &[u8]) -> Result<Verified, String> {
    let body: Value = serde_json::from_slice(text).map_err(|_| "it is not JSON".to_owned())?;
    if body["format"] != FORMAT {
        return Err(format!("it is not a report of the format {FORMAT}"));
    }
    let member = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let public_key = member("public_key");
    let mut key = [0; 32];
    hex::decode_to_slice(&public_key, &mut key).map_err(|_| "its public key is none".to_owned())?;
    let key = VerifyingKey::from_bytes(&key).map_err(|_| "its public key is none".to_owned())?;
    let signature = STANDARD.decode(member("signature")).unwrap_or_default();
    let signature = Signature::from_slice(&signature).map_err(|_| "its signature is none".to_owned())?;
    let bytes = signed_bytes(&body).map_err(|error| error.to_string())?;
    key.verify_strict(&bytes, &signature).map_err(|_| "it was changed after it was signed".to_owned())?;
    let integration = format!("{} {}", name_of(&body, "name"), name_of(&body, "version")).trim().to_owned();
    let passed = body["passed"] == true && body["whole_sheet"] == true;
    Ok(Verified { passed, integration, made_at: member("made_at"), public_key })
}

/// The public half of an installation's key.
pub fn public_key(key: &[u8; 32]) -> String {
    hex::encode(SigningKey::from_bytes(key).verifying_key().as_bytes())
}

fn name_of(body: &Value, member: &str) -> String {
    body["integration"][member].as_str().unwrap_or_default().to_owned()
}

/// Everything but the signature, in canonical form.
fn signed_bytes(body: &Value) -> io::Result<Vec<u8>> {
    let mut unsigned = body.clone();
    if let Some(members) = unsigned.as_object_mut() {
        members.remove("signature");
    }
    serde_json_canonicalizer::to_vec(&unsigned).map_err(io::Error::other)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(findings: Vec<String>) -> (PathBuf, Value) {
        let folder =
            std::env::temp_dir().join(format!("quanyu-report-{}", hex::encode(crate::instance::random::<6>())));
        let case = Played::new("sale", ("销售", "A sale"), findings, None, Vec::new());
        Report::new("adapter", &json!({"name": "<pos>", "version": "2"}), 1.0, true, vec![case])
            .write(&folder, &[7; 32])
            .unwrap();
        let body = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
        (folder, body)
    }

    #[test]
    fn a_report_verifies_until_a_letter_of_it_is_changed() {
        let (folder, body) = written(vec!["it kept on trying".into()]);
        let verified = verify(body.to_string().as_bytes()).unwrap();
        assert_eq!((verified.passed, verified.integration.as_str()), (false, "<pos> 2"));
        assert_eq!(verified.public_key, public_key(&[7; 32]));
        let mut better = body.clone();
        better["passed"] = json!(true);
        assert_eq!(verify(better.to_string().as_bytes()).unwrap_err(), "it was changed after it was signed");
        let page = fs::read_to_string(folder.join("report.html")).unwrap();
        assert!(page.contains("it kept on trying") && page.contains("&lt;pos&gt;") && !page.contains("<pos>"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_could_not_be_played_is_not_passed() {
        let case = |findings, not_supported| Played::new("one", ("", ""), findings, not_supported, Vec::new());
        assert_eq!(case(vec![], None).verdict(), "passed");
        assert_eq!(case(vec![], Some("no clock".into())).verdict(), "not_supported");
        assert_eq!(case(vec!["x".into()], Some("no clock".into())).verdict(), "failed");
        let report = Report::new("a", &json!({}), 1.0, true, vec![case(vec![], Some("no clock".into()))]);
        assert!(!report.passed);
    }
}
