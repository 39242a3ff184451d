//! In which language a refusal is told: as `Accept-Language` asks, with the same facts in both.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, chengdu, new_campaign_id};

/// Words of a case that both sentences have to name: a number, an id, a header, a type.
type Case = (&'static str, Request, &'static [&'static str]);

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

fn cases(server: &Server) -> Vec<Case> {
    let office = |method: &str, path: &str| Request::new(method, path).bearer(&server.admin_key);
    let file = chengdu("known", 4);
    let stale = office("PUT", "/v1/campaigns/known").header("if-match", "\"77\"").json(&file);
    let again = office("PUT", "/v1/campaigns/known").header("if-none-match", "*").json(&file);
    let large = office("POST", "/v1/merchants").text(&" ".repeat(2 << 20));
    let mut csv = office("POST", "/v1/merchants/import").header("content-type", "application/json");
    csv.body = b"{}".to_vec();
    let plain = Request { body: b"x".to_vec(), ..office("POST", "/v1/merchants").header("content-type", "text/plain") };
    let zipped = Request { body: b"x".to_vec(), ..office("POST", "/v1/merchants").header("content-encoding", "gzip") };
    vec![
        ("an unknown merchant", office("GET", "/v1/merchants/m-nobody"), &["m-nobody"]),
        ("an unknown campaign", office("GET", "/v1/campaigns/nowhere/stats"), &["nowhere"]),
        ("an unknown list", office("GET", "/v1/lists/nolist"), &["nolist"]),
        ("an unknown area", office("GET", "/v1/areas/noarea"), &["noarea"]),
        ("an unknown key", office("GET", "/v1/till-keys/test_m_none"), &["test_m_none"]),
        ("another version", stale, &["known", "\"1\""]),
        ("one that exists", again, &["known", "\"1\""]),
        ("a day that is none", office("GET", "/v1/settlements/2026-11-31"), &["2026-11-31", "YYYY-MM-DD"]),
        ("no credentials", Request::new("GET", "/v1/merchants/m"), &["Authorization"]),
        ("a JSON body for a file", csv, &["text/csv"]),
        ("a text for a JSON body", plain, &["application/json"]),
        ("a compressed body", zipped, &["Content-Encoding"]),
        ("a body that is too large", large, &["1024 KiB"]),
        ("no JSON", office("POST", "/v1/merchants").text("{\n  nonsense"), &["2", "3"]),
        ("no route", office("GET", "/v1/nothing"), &[]),
    ]
}

fn told(reply: &Reply, name: &str, language: &str, words: &[&str]) {
    assert!(reply.status >= 400, "{name}: {}", reply.text());
    assert_eq!(reply.header("content-language"), Some(language), "{name}: {}", reply.text());
    let both: Vec<&str> = ["zh", "en"].iter().filter_map(|which| reply["message"][which].as_str()).collect();
    assert!(both.len() == 2 && is_chinese(both[0]) && !is_chinese(both[1]), "{name}: {}", reply.text());
    for text in &both {
        words.iter().for_each(|word| assert!(text.contains(word), "{name}: {word} is not in {text:?}"));
    }
    assert_eq!(reply.str("detail"), both[usize::from(language == "en")], "{name}: {}", reply.text());
    assert_eq!(is_chinese(reply.str("title")), language == "zh", "{name}: {}", reply.text());
}

#[test]
fn a_refusal_is_told_in_the_language_that_is_asked_for_and_says_the_same_in_both() {
    let server = Server::at(EVE);
    server.create_campaign(&chengdu("known", 4)).ok();
    for (asked, language) in [(None, "en"), (Some("zh-CN,zh;q=0.9,en;q=0.8"), "zh"), (Some("de, en;q=0.2"), "en")] {
        for (name, mut request, words) in cases(&server) {
            request.headers.extend(asked.map(|asked| ("accept-language".to_string(), asked.to_string())));
            told(&server.send(&request), name, language, words);
        }
    }
}

#[test]
fn a_refusal_about_a_name_says_what_it_names() {
    let server = Server::at(EVE);
    let campaign = new_campaign_id("names");
    server.create_campaign(&chengdu(&campaign, 4)).ok();
    server.publish(&campaign);
    let get = |path: &str| server.office("GET", path, None);
    for (path, what, id) in [
        ("/v1/merchants/m-nobody".to_string(), "merchant", "m-nobody"),
        ("/v1/campaigns/nowhere/ledger".into(), "campaign", "nowhere"),
        ("/v1/public/campaigns/nowhere".into(), "campaign", "nowhere"),
        (format!("/v1/campaigns/{campaign}/merchants/m-nobody"), "merchant", "m-nobody"),
        ("/v1/lists/nolist".into(), "list", "nolist"),
        ("/v1/areas/noarea".into(), "area", "noarea"),
        ("/v1/till-keys/test_m_none".into(), "till_key", "test_m_none"),
    ] {
        let reply = get(&path).refused(404, "not_found");
        assert_eq!((reply.str("what"), reply.str("id")), (what, id), "{}", reply.text());
    }
    let approve = format!("/v1/campaigns/{campaign}/amendments/a-none/approve");
    let reply = server.office("POST", &approve, None).refused(404, "not_found");
    assert_eq!((reply.str("what"), reply.str("id")), ("amendment", "a-none"), "{}", reply.text());
    let reply = get(&format!("/v1/campaigns/{campaign}/rounds/snow/commitment")).refused(404, "round_not_found");
    assert_eq!((reply.str("round_id"), &reply["rounds"]), ("snow", &json!(["rain"])), "{}", reply.text());
    // A version that is none of ours is not the one that holds.
    let file: Value = chengdu("draft-of-names", 4);
    server.create_campaign(&file).ok();
    for sent in ["\"9\"", "W/\"1\"", "nonsense", "\"8\", \"9\""] {
        let put =
            Request::new("PUT", "/v1/campaigns/draft-of-names").bearer(&server.admin_key).header("if-match", sent);
        let reply = server.send(&put.json(&file)).refused(412, "precondition_failed");
        assert_eq!((&reply["current"], reply.str("sent")), (&json!("\"1\""), sent), "{}", reply.text());
    }
    for sent in ["*", "\"7\", \"2\""] {
        let put =
            Request::new("PUT", "/v1/campaigns/draft-of-names").bearer(&server.admin_key).header("if-match", sent);
        server.send(&put.json(&file)).ok();
    }
    for sent in ["*", "\"1\""] {
        let put = Request::new("PUT", "/v1/campaigns/not-there").bearer(&server.admin_key).header("if-match", sent);
        let reply = server.send(&put.json(&chengdu("not-there", 4))).refused(412, "precondition_failed");
        assert!(reply["current"].is_null() && reply.str("detail").contains("If-None-Match"), "{}", reply.text());
    }
}
