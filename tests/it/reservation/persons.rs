//! Who a person is: one number, digest, phone or account has one form, however it is written, and what has none is refused.

use serde_json::{Value, json};

use super::open_list;
use super::terms::{bring, results, row};
use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, at, chengdu, new_campaign_id};
use crate::harness::identity::{Resident, digest_of};
use crate::list::put_list;

/// A person of whom the provider tells a digest in place of the number.
fn digested(digest: &str) -> Resident {
    Resident::new().claiming("document_number", Value::Null).claiming("person_digest", json!(digest))
}

#[track_caller]
fn faulty(reply: Reply, pointer: &str, names: &str) {
    let reply = reply.refused(422, "document_invalid");
    assert_eq!(reply["errors"][0]["pointer"], pointer, "{}", reply.text());
    for language in ["zh", "en"] {
        let said = reply["errors"][0]["message"][language].as_str().unwrap_or_default();
        assert!(said.contains(names), "{said} does not name {names}");
    }
}

#[test]
fn a_digest_is_one_person_in_either_case_and_a_cut_one_is_none() {
    let (server, id) = open_list(|_| {});
    let lower = digest_of("a person");
    let first = server.reserve(&id, &digested(&lower)).ok();
    let again = server.reserve(&id, &digested(&lower.to_uppercase())).ok();
    assert_eq!(again["reservation"], first["reservation"], "one person, whatever the case");
    for wrong in [&lower[..63], &format!("{lower}0"), &format!(" {lower}"), &format!("{lower}\n"), "张伟"] {
        faulty(server.reserve(&id, &digested(wrong)), "/person_digest", "64");
    }
    assert_eq!(server.stats(&id)["reserved"], 1);
    for own_name in ["d\"1", "member-17"] {
        server.reserve(&id, &digested(own_name)).ok();
    }
    assert_eq!(server.stats(&id)["reserved"], 3);
}

#[test]
fn a_number_is_one_person_with_spaces_dots_and_full_width_and_a_misspelt_type_is_refused() {
    let (server, id) = open_list(|_| {});
    let person = Resident::new().claiming("sub", json!("one"));
    let first = server.reserve(&id, &person).ok();
    let number = person.number.as_str();
    let wide: String = number.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect();
    let parts = |between: &str| [&number[..6], &number[6..14], &number[14..]].join(between);
    for spelling in [wide, parts(" "), parts("-"), parts("."), parts("\u{a0}"), parts("\u{200b}"), parts("－")] {
        let again = server.reserve(&id, &Resident { number: spelling.clone(), ..person.clone() }).ok();
        assert_eq!(again["reservation"], first["reservation"], "{spelling}");
    }
    for (wrong, meant) in [("CN_ID", "cn_id"), ("cnid", "cn_id"), ("cn_id ", "cn_id"), ("pasport", "passport")] {
        faulty(server.reserve(&id, &person.clone().claiming("document_type", json!(wrong))), "/document_type", meant);
    }
    assert_eq!(server.stats(&id)["reserved"], 1);
}

#[test]
fn a_list_names_persons_by_the_forms_that_tokens_have() {
    let server = Server::at(EVE);
    let banned = digest_of("banned");
    let file = |rows: &str| put_list(&server, "banned", &format!("document_type,person_digest\n{rows}"));
    for (rows, pointer) in [
        (format!("cn_id,{}\n", &banned[..41]), "/2/person_digest"),
        (format!("cn_id,{banned}0\n"), "/2/person_digest"),
        (format!("CN_ID,{banned}\n"), "/2/document_type"),
        (format!("cnid,{banned}\n"), "/2/document_type"),
        (format!("cn_id,{banned}\ncn_id,{}\n", banned.to_uppercase()), "/3"),
    ] {
        let reply = file(&rows).refused(422, "invalid_request");
        assert_eq!(reply["errors"][0]["pointer"], pointer, "{rows}: {}", reply.text());
    }
    file(&format!("cn_id,{}\n", banned.to_uppercase())).ok();
    let id = new_campaign_id("banned");
    let mut campaign = chengdu(&id, 10);
    campaign["eligibility"]["deny_list"] = json!("banned");
    server.create_campaign(&campaign).ok();
    server.publish(&id);
    server.set_clock(at("2020-07-13T09:00:00"));
    for spelling in [banned.clone(), banned.to_uppercase()] {
        server.reserve(&id, &digested(&spelling)).refused(403, "not_eligible");
    }
    server.reserve(&id, &digested(&digest_of("another"))).ok();
}

#[test]
fn a_file_of_reservations_names_persons_by_the_same_forms_and_tells_every_fault_of_a_row() {
    let (server, id) = open_list(|_| {});
    let by_digest = |digest: &str| {
        let mut row = row(&Resident::new(), "2020-07-13T08:00:00");
        row["document_number"] = Value::Null;
        row["person_digest"] = json!(digest);
        row
    };
    let one = digest_of("one");
    let (mut misspelt, mut twice) = (by_digest(&one), by_digest(&one));
    misspelt["document_type"] = json!("cnid");
    twice["document_number"] = json!("1");
    twice["birth_date"] = json!("yesterday");
    twice["health_pass"] = json!("gren");
    let reply =
        bring(&server, &id, &[by_digest(&one), by_digest(&one.to_uppercase()), by_digest(&one[1..]), misspelt, twice]);
    let expected = ["reserved", "unchanged", "document_invalid", "document_invalid", "invalid_request"];
    assert_eq!(results(&reply), expected, "{}", reply.text());
    let errors = reply["rows"][4]["refusal"]["errors"].as_array().expect("faults");
    let pointers: Vec<&Value> = errors.iter().map(|one| &one["pointer"]).collect();
    assert_eq!(pointers, ["/document_number", "/birth_date", "/health_pass"], "{}", reply.text());
}

#[test]
fn a_phone_is_one_however_it_is_written_and_what_cannot_be_dialled_is_refused() {
    let (server, id) = open_list(|campaign| campaign["reservation"]["identity_keys"] = json!(["person", "phone"]));
    let with = |phone: &str| {
        server.reserve_with(&id, &Resident::new(), json!({"consent_version": "2020-07-13", "phone": phone}))
    };
    with("13800138000").ok();
    for spelling in [
        "8613800138000",
        "86 138 0013 8000",
        "+86 138-0013-8000",
        "+86 (0)13800138000",
        "008613800138000",
        "013800138000",
        "138.0013.8000",
        "１３８００１３８０００",
        "\u{202d}13800138000\u{202c}",
        "138–0013–8000",
    ] {
        let reply = with(spelling).refused(409, "identity_in_use");
        assert_eq!(reply["identity_key"], "phone", "{spelling}");
    }
    for wrong in ["1380", "+8613800138", "+1", "d1d1", "123456789012345678901"] {
        let reply = with(wrong).refused(422, "invalid_request");
        let said = reply["errors"][0]["message"]["en"].as_str().unwrap_or_default();
        assert!(said.contains("+"), "{wrong}: {said}");
    }
    with("91234567").ok();
    with("9123-4567").refused(409, "identity_in_use");
    with("+1 380 013 8000").ok();
    with("001-380-0138001").ok();
    with("+852 9123 4567").ok();
    with("00852 91234567").refused(409, "identity_in_use");
}

#[test]
fn an_account_is_the_providers_own_text_and_one_that_cannot_be_seen_is_refused() {
    let (server, id) = open_list(|campaign| campaign["reservation"]["identity_keys"] = json!(["person", "account"]));
    let called = |sub: &str| Resident::new().claiming("sub", json!(sub));
    server.reserve(&id, &called("oW-1")).ok();
    server.reserve(&id, &called("ow-1")).ok();
    for wrong in ["oW-1 ", "\u{200b}oW-1", "oW 1", "", "张"] {
        let reply = server.reserve(&id, &called(wrong)).refused(401, "token_invalid");
        assert!(reply["detail"].as_str().unwrap_or_default().contains("sub"), "{}", reply.text());
    }
    let elsewhere = called("oW-2").through("WeChat ");
    let reply = server.resident(&elsewhere, "PUT", "/v1/wallet/account", None).refused(401, "token_invalid");
    assert!(reply["detail"].as_str().unwrap_or_default().contains("channel"), "{}", reply.text());
    let request = Request::new("PUT", "/v1/wallet/account").bearer(&server.token(&called("oW-1")));
    server.send(&request).ok();
}
