//! The program against a server that cheats: what it must notice, and the exit code that says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

/// How the planted server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cheat {
    Nothing,
    /// Everybody is given the same pack.
    SharedPack,
    /// A pack that was given is not there afterwards.
    Forgets,
    /// Taps are shed without a word on whether they had an effect.
    MuteShed,
}

fn serve(cheat: Cheat) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.unwrap(), cheat));
        }
    });
    format!("http://{address}")
}

fn answer(stream: TcpStream, cheat: Cheat) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut length, mut bearer) = (String::new(), 0, String::new());
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().ok()?;
            }
            if let Some(value) = line.strip_prefix("Authorization: ") {
                bearer = value.trim().to_owned();
            }
            if line == "\r\n" {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let (status, body) = reply(&first, &person(&bearer), cheat);
        let text = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        reader.get_mut().write_all(text.as_bytes()).ok()?;
    }
}

/// A pass is `pass-SUB`; a token names its person in `sub`.
fn person(bearer: &str) -> String {
    use base64::Engine as _;
    if let Some(person) = bearer.strip_prefix("Bearer pass-") {
        return person.to_owned();
    }
    let claims =
        bearer.split('.').nth(1).and_then(|part| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok());
    let claims: serde_json::Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    claims["sub"].as_str().unwrap_or_default().to_owned()
}

fn reply(first: &str, person: &str, cheat: Cheat) -> (u16, String) {
    let pack = json!({"pack_no": if cheat == Cheat::SharedPack { "c1" } else { person }, "pack_id": "a"});
    if first.contains("/v1/public/") {
        let time = "2020-07-13T00:00:00+08:00";
        let round = json!({"round_id": "rain", "mode": "rain", "opens_at": time, "closes_at": time});
        let window = json!({"opens_at": time, "closes_at": time});
        let file = json!({"campaign_id": "c", "channels": ["wechat"], "reservation": window, "rounds": [round]});
        return (200, json!({"campaign": file}).to_string());
    }
    if first.contains("/reservations") {
        return (201, json!({"pass": format!("pass-{person}")}).to_string());
    }
    if first.contains("/claims/mine") {
        return match cheat {
            Cheat::Forgets => (200, json!({"result": "lost"}).to_string()),
            _ => (200, json!({"result": "won", "credited": true, "pack": pack}).to_string()),
        };
    }
    match cheat {
        Cheat::MuteShed => (503, json!({"code": "overloaded", "outcome": "not_applied"}).to_string()),
        _ => (200, json!({"outcome": "won", "pack": pack}).to_string()),
    }
}

/// Exit code and printed keys of a burst of 40 people.
fn burst(name: &str, cheat: Cheat) -> (Option<i32>, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("sandbox-token.key");
    std::fs::write(&key, "00ff").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["burst", "--campaign", "c", "--population", "40", "--rate", "400", "--connections", "8", "--url"])
        .arg(serve(cheat))
        .arg("--token-key")
        .arg(&key)
        .arg("--report")
        .arg(folder.join("report.html"))
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_honest_server_passes_and_the_ledger_is_unread_without_a_key() {
    let (code, keys) = burst("honest", Cheat::Nothing);
    assert_eq!(code, Some(0), "{keys}");
    for line in ["winners=40", "double=0", "lost_acks=0", "ledger=unread", "errors=0"] {
        assert!(keys.lines().any(|printed| printed == line), "{line} is not in\n{keys}");
    }
}

#[test]
fn a_pack_that_is_given_to_everybody_fails_the_run() {
    let (code, keys) = burst("shared", Cheat::SharedPack);
    assert_eq!(code, Some(1));
    assert!(keys.contains("\ndouble=39\n"), "{keys}");
}

#[test]
fn a_pack_that_was_acknowledged_and_is_not_there_fails_the_run() {
    let (code, keys) = burst("forgets", Cheat::Forgets);
    assert_eq!(code, Some(1));
    assert!(keys.contains("\nlost_acks=40\n"), "{keys}");
}

#[test]
fn a_tap_that_is_shed_without_retry_after_fails_the_run() {
    let (code, keys) = burst("mute", Cheat::MuteShed);
    assert_eq!(code, Some(1));
    assert!(keys.contains("\nwon=0\n") && !keys.contains("\nshed_503=0\n"), "{keys}");
}

#[test]
fn a_server_that_is_not_there_is_told_apart_from_one_that_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["burst", "--campaign", "c", "--token-key", "nowhere", "--url", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
