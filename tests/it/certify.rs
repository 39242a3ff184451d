//! The kit for POS vendors: its clients against a real server, and `quanyu pos-certify` against integrations that are right and wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::fixture::{EVE, merchant, new_merchant_id};
use crate::harness::till::sign;
use crate::harness::{Scratch, Server, program};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn python() -> Option<PathBuf> {
    runs(Path::new("python3"), &["-c", "import sys; sys.exit(sys.version_info < (3, 9))"])
}

/// A Node that takes TypeScript as it is; `make node` looks for one and says so when there is none.
fn node() -> Option<PathBuf> {
    let own = std::env::var_os("QUANYU_NODE").map(PathBuf::from);
    let fetched = Path::new(ROOT).join(".quanyu/bin/node");
    let candidates = own.into_iter().chain([PathBuf::from("node"), fetched]);
    let strips = ["-e", "process.exit(process.features.typescript === 'strip' ? 0 : 1)"];
    candidates.into_iter().find_map(|node| runs(&node, &strips))
}

fn runs(program: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let output = Command::new(program).args(arguments).output().ok()?;
    if output.status.success() {
        return Some(program.to_owned());
    }
    eprintln!("{} cannot run the client of this test", program.display());
    None
}

fn tour(interpreter: &Path, script: &str) {
    let server = Server::at(EVE);
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    let till = server.create_terminal(&id, "t1");
    let url = format!("http://{}", server.client.address);
    let script = format!("{ROOT}/tests/it/certify/{script}");
    let output = Command::new(interpreter).args([&script, &url, &till.key_id, &till.secret]).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {errors}"));
    let expected = json!({
        "vectors": [5, 3, true], "quote": [4600, 400], "hold": ["held", 9800], "confirm": "redeemed", "refund": 4900,
        "items": 2000, "get": "partially_refunded", "cancel": "cancelled", "error then ok": "redeemed", "answer lost": "redeemed",
        "reverse": "redeemed", "used": [409, "voucher_used", "not_applied", true],
        "busy": [429, "rate_limited", "not_applied", true], "unknown order": [404, "order_not_found", "not_applied", true],
        "unsigned answer": "NotAdmitted", "wrong secret": "NotAdmitted",
        "wrong secret at redeem": "NotAdmitted", "wrong secret at confirm": "NotAdmitted",
        "slow clock": "partially_refunded", "never answered": ["tour-8", "unknown"],
    });
    assert_eq!(told, expected);
    for (order, state) in
        [("tour-1", "partially_refunded"), ("tour-3", "redeemed"), ("tour-4", "reversed"), ("tour-8", "reversed")]
    {
        assert_eq!(server.order(&till, order).ok().str("state"), state, "{order}");
    }
    server.assert_audit_clean();
}

#[test]
fn the_python_client_makes_every_call_and_signs_the_published_vectors() {
    let Some(python) = python() else { return };
    tour(&python, "tour.py");
}

#[test]
fn the_typescript_client_makes_every_call_and_signs_the_published_vectors() {
    let Some(node) = node() else { return };
    tour(&node, "tour.ts");
}

#[test]
fn the_published_vectors_are_those_of_the_contract() {
    let read = |name: &str| std::fs::read_to_string(format!("{ROOT}/deploy/pos-clients/{name}")).expect("it is there");
    let vectors: Value = serde_json::from_str(&read("vectors.json")).expect("JSON");
    let secret = vectors["secret"].as_str().expect("a secret");
    let text = |one: &Value, name: &str| one[name].as_str().map_or_else(|| one[name].to_string(), str::to_string);
    for (list, lines) in [
        ("requests", &["method", "target", "timestamp", "nonce", "body"][..]),
        ("answers", &["status", "timestamp", "nonce", "body"][..]),
    ] {
        for one in vectors[list].as_array().expect("a list") {
            let lines: Vec<String> = lines.iter().map(|name| text(one, name)).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(one["signature"], sign(secret, &lines), "{one}");
        }
    }
    let first = &vectors["requests"][0];
    assert_eq!(first["signature"], "X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=");
    let readme = read("README.md");
    for name in ["body", "nonce", "signature"] {
        assert!(readme.contains(first[name].as_str().expect("text")), "the readme's {name}");
    }
}

/// The key of an installation, which is all that a certification needs of one.
fn installation(data: &Path) {
    std::fs::create_dir_all(data).expect("a directory");
    std::fs::write(data.join("master.key"), "a5".repeat(32)).expect("a key");
}

fn certify(adapter: &str, folder: &Path, more: &[&str]) -> (Output, Value) {
    let data = folder.join("data");
    installation(&data);
    let mut command = Command::new(program());
    command
        .args(["pos-certify", "--pace", "0.02", "--adapter", adapter])
        .args(more)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.arg("--data").arg(&data).arg("--report").arg(folder.join("report")).output().expect("it runs");
    let report = std::fs::read(folder.join("report/report.json")).unwrap_or_default();
    (output, serde_json::from_slice(&report).unwrap_or_default())
}

fn verify(file: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program());
    let output = command.args(["pos-certify", "verify"]).arg(file).args(more).output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn assert_certified(adapter: &str) {
    let scratch = Scratch::new("certify");
    let (output, report) = certify(adapter, &scratch.path, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("failed=0") && text.contains("not_played=0") && text.contains("certify=ok"), "{text}");
    assert_eq!((&report["passed"], &report["whole_sheet"]), (&json!(true), &json!(true)));
    let file = scratch.path.join("report/report.json");
    let data = scratch.path.join("data").display().to_string();
    let (code, told) = verify(&file, &["--data", &data]);
    assert!(code == Some(0) && told.contains("signed_here=true") && told.contains("certified=true"), "{told}");
    let elsewhere = scratch.path.join("elsewhere").display().to_string();
    assert_eq!(verify(&file, &["--data", &elsewhere]).0, Some(2), "no installation is there, and none is made");
    std::fs::create_dir_all(&elsewhere).expect("a directory");
    std::fs::write(Path::new(&elsewhere).join("master.key"), "5a".repeat(32)).expect("another key");
    let (code, told) = verify(&file, &["--data", &elsewhere]);
    assert!(code == Some(1) && told.contains("signed_here=false"), "{told}");
    let forged = std::fs::read_to_string(&file).expect("the report").replace("\"pace\": 0.02", "\"pace\": 1.0");
    std::fs::write(&file, forged).expect("it can be written");
    let (code, told) = verify(&file, &[]);
    assert!(code == Some(1) && told.contains("signature=wrong"), "{told}");
}

#[test]
fn the_python_client_is_certified_and_a_forged_report_is_found() {
    let Some(python) = python() else { return };
    assert_certified(&format!("{} {ROOT}/deploy/pos-clients/adapter.py", python.display()));
}

#[test]
fn the_typescript_client_is_certified_and_a_forged_report_is_found() {
    let Some(node) = node() else { return };
    assert_certified(&format!("{} {ROOT}/deploy/pos-clients/adapter.ts", node.display()));
}

/// Each integration is wrong in one way, and is failed in the case that is about it.
#[test]
fn every_wrong_integration_is_failed_by_name() {
    let Some(python) = python() else { return };
    for (way, case, finding) in [
        ("NewOrder", "answer_lost_once", "repeat an order under its own order_id"),
        ("NeverReverses", "answers_never_come", "not \"reversed\""),
        ("NeverReverses", "order_never_seen", "a late copy of the order was applied"),
        ("BelievesAnything", "answer_forged", "1 was collected, 9800 was due"),
        ("Impatient", "retry_storm", "repeated after"),
        ("NewRefund", "partial_refunds", "repeat a refund under its own refund_id"),
        ("KeepsItsSecret", "key_rotation", "not \"redeemed\""),
        ("RepeatsRefusals", "refusal_is_shown", "a final refusal was repeated"),
        ("SellsAnyway", "another_customer", "sent as another order for another customer"),
        ("LeavesHolds", "payment_declined", "a hold was left open"),
    ] {
        let scratch = Scratch::new("wrong");
        let adapter = format!("{} {ROOT}/tests/it/certify/wrong.py {way}", python.display());
        let (output, report) = certify(&adapter, &scratch.path, &["--case", case]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{way}: {text}");
        assert!(text.contains(&format!("case={case} verdict=failed")) && text.contains(finding), "{way}: {text}");
        assert_eq!((&report["passed"], &report["whole_sheet"]), (&json!(false), &json!(false)), "{way}");
    }
}

#[test]
fn a_part_of_the_sheet_certifies_nothing_and_says_so() {
    let Some(python) = python() else { return };
    let scratch = Scratch::new("partial");
    let adapter = format!("{} {ROOT}/deploy/pos-clients/adapter.py", python.display());
    let cases = ["--case", "sale_in_one_call", "--case", "payment_declined"];
    let (output, report) = certify(&adapter, &scratch.path, &cases);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"certify=partial") && !text.contains("certify=ok"), "{text}");
    assert!(lines.contains(&"cases=2") && lines.contains(&"passed=2") && lines.contains(&"sheet=19"), "{text}");
    assert!(lines.contains(&"played=sale_in_one_call,payment_declined"), "{text}");
    assert_eq!((&report["passed"], &report["whole_sheet"]), (&json!(true), &json!(false)));
    let (code, told) = verify(&scratch.path.join("report/report.json"), &[]);
    assert!(code == Some(0) && told.contains("certified=false"), "{told}");
}

#[test]
fn a_certification_makes_no_installation_where_there_is_none() {
    let scratch = Scratch::new("nowhere");
    let typo = scratch.path.join("typo");
    let mut command = Command::new(program());
    command.args(["pos-certify", "--adapter", "true", "--data"]).arg(&typo);
    let output = command.arg("--report").arg(scratch.path.join("report")).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("holds no installation"), "{text}");
    assert!(!typo.exists() && !scratch.path.join("report").exists());
}

#[test]
fn an_adapter_that_says_nothing_sensible_is_a_fault_of_the_call() {
    let scratch = Scratch::new("mute");
    for (adapter, more) in [("true", &[][..]), ("echo hello", &[]), ("cat", &["--case", "no_such_case"])] {
        let (output, _) = certify(adapter, &scratch.path, more);
        assert_eq!(output.status.code(), Some(2), "{adapter}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{adapter}");
    }
}
