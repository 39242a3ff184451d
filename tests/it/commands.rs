//! Commands beside a running server: what is misspelt is said to be a fault, and never an empty answer.

use std::process::{Command, Output};

use serde_json::json;

use crate::harness::client::Request;
use crate::harness::fixture::{EVE, Market};
use crate::harness::{Scratch, Server, program, wait_until};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_settlement_of_what_is_not_there_is_a_fault_that_names_it() {
    let market = Market::open("commands", 1);
    let server = market.server();
    let till = market.till();
    let merchant = till.merchant_id.as_str();
    for (arguments, words) in [
        (&["settle", "2026-11-31"][..], "2026-11-31"),
        (&["settle", "20201130"], "YYYY-MM-DD"),
        (&["settle", "2020-07-25T00:00:00"], "YYYY-MM-DD"),
        (&["settle", "2020-07-25", "--program", "misspelt"], "misspelt"),
        (&["settle", "2020-07-25", "--program", "misspelt"], "default"),
        (&["settle", "2020-07-25", "--program", "misspelt", "--merchant", merchant], "misspelt"),
        (&["settle", "2020-07-25", "--merchant", "misspelt"], "misspelt"),
        (&["keys", "create", "--role", "officer", "--program", ""], "--program"),
        (&["keys", "create", "--role", "officer", "--program", "spaced "], "--program"),
    ] {
        let output = server.command(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    for arguments in [&["settle", "2020-07-25"][..], &["settle", "2020-07-25", "--merchant", merchant]] {
        let output = server.command(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    }
    // A program is there from its first key on.
    server.create_key("finance", "second-city");
    let output = server.command(&["settle", "2020-07-25", "--program", "second-city"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("of the program \"second-city\" alone"), "{}", said(&output));
    let output = server.command(&["settle", "2020-07-25", "--csv"]);
    assert!(said(&output).contains("\"default\" alone; others by --program: second-city"), "{}", said(&output));
}

#[test]
fn a_key_of_a_program_that_has_nothing_yet_is_told_and_one_more_of_it_is_not() {
    let server = Server::at(EVE);
    let create = |program: &str| server.command(&["keys", "create", "--role", "finance", "--program", program]);
    for (program, words) in [
        ("ningbo", &["\"ningbo\"", "there are: default", "begins it"][..]),
        ("ningb0", &["\"ningb0\"", "Did you mean ningbo?"]),
    ] {
        let output = create(program);
        assert!(output.status.success() && output.stdout.starts_with(b"qk_"), "{program}: {output:?}");
        assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "the key stands alone");
        for words in words {
            assert!(said(&output).contains(words), "{words}: {}", said(&output));
        }
    }
    assert_eq!(said(&create("ningbo")), "");
}

#[test]
fn every_refusal_stands_in_the_log_with_its_code() {
    let server = Server::at(EVE);
    let requests = [
        Request::new("POST", "/v1/redemptions").json(&json!({})),
        Request::new("DELETE", "/v1/redemptions"),
        Request::new("DELETE", "/v1/campaigns"),
        Request::new("GET", "/v1/nothing"),
        Request::new("GET", "/v1/campaigns"),
    ];
    for request in requests {
        let reply = server.client.send(&request).expect("an answer");
        let code = format!("\"code\":\"{}\"", reply.code());
        wait_until(&format!("the log has {code}: {}", reply.text()), || (server.told(&code) > 0).then_some(()));
    }
    assert_eq!(server.told("\"code\":\"\""), 0, "{}", server.log_tail());
}

#[test]
fn what_cannot_be_signed_or_claimed_is_not_printed() {
    let server = Server::at(EVE);
    let output = server.command(&["token", "--claims", "{\"sub\":"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", said(&output));
    for (method, path, words) in [
        ("post", "/v1/redemptions", "POST"),
        ("POST", "v1/redemptions", "begins with /"),
        ("POST", "/v1/red emptions", "space"),
    ] {
        let arguments = ["sign", method, path, "--key-id", "test_t_01", "--secret", "s"];
        let output = Command::new(program()).args(arguments).output().expect("the program runs");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{method} {path}: {}", said(&output));
        assert!(said(&output).contains(words), "{method} {path}: {}", said(&output));
    }
}

#[test]
fn verify_draw_says_which_rounds_it_can_check_and_what_it_was_given_instead() {
    let scratch = Scratch::new("quanyu-undrawn");
    let problem = json!({"type": "/docs#round_has_no_draw", "status": 404, "code": "round_has_no_draw",
        "detail": "The round is of mode first_come."});
    let dealt = json!({"campaign_id": "c", "round_id": "i", "deal": "quanyu.deal.v2", "rules_hash": "00", "secret": "00",
        "secret_commitment": "00", "supply": []});
    for (proof, lists, words) in [
        (problem.to_string(), problem.to_string(), ["round_has_no_draw", "first_come", "ballot and rain"]),
        (dealt.to_string(), String::new(), ["quanyu.deal.v2", "ballot and rain", "ARCHITECTURE"]),
    ] {
        std::fs::write(scratch.path.join("proof.json"), &proof).expect("written");
        for list in ["entries.ndjson", "winners.ndjson"] {
            let file = scratch.path.join(list);
            drop(std::fs::remove_file(&file));
            if !lists.is_empty() {
                std::fs::write(file, &lists).expect("written");
            }
        }
        let output = Command::new(program()).arg("verify-draw").arg(&scratch.path).output().expect("the program runs");
        let said = said(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    let output = Command::new(program()).args(["verify-draw", "--help"]).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ballot and rain"));
}
