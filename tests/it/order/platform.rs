//! Keys of platforms and merchants, and automatic deduction: a payment platform names the payer by account, and no code is shown.

use serde_json::{Value, json};

use super::MARKET;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::new_order;
use crate::harness::identity::Resident;
use crate::harness::manners::both_languages;
use crate::harness::till::Till;

fn key(scope: Value, merchant_id: &str) -> Till {
    let made = MARKET.server().office("POST", "/v1/till-keys", Some(scope)).ok();
    let text = |name: &str| made.str(name).to_string();
    Till { merchant_id: merchant_id.to_string(), key_id: text("key_id"), secret: text("secret") }
}

/// A platform of one channel that pays at a new merchant.
pub fn platform(channel: &str) -> Till {
    key(json!({"kind": "platform", "channels": [channel]}), &MARKET.till().merchant_id)
}

pub fn link(person: &Resident, method: &str) -> Reply {
    MARKET.server().resident(person, method, "/v1/wallet/account", None).ok()
}

pub fn account(person: &Resident) -> Value {
    json!({"channel": person.channel, "id": format!("sub-{}", person.number)})
}

pub fn payment(platform: &Till, person: &Resident, amount: i64) -> Value {
    json!({"order_id": new_order(), "account": account(person), "amount": amount, "category": "catering",
        "capture": true, "merchant_id": platform.merchant_id, "scene": "offline"})
}

#[test]
fn a_payment_of_a_linked_account_uses_the_best_voucher_without_a_code() {
    let (server, person, platform) = (MARKET.server(), MARKET.shopper(), platform("wechat"));
    assert_eq!(link(&person, "GET")["linked"], false);
    assert!(!link(&person, "PUT").replayed() && link(&person, "PUT").replayed());
    assert_eq!(link(&person, "GET").json, json!({"channel": "wechat", "linked": true}));
    let mut quote = payment(&platform, &person, 6000);
    for member in ["order_id", "capture"] {
        quote.as_object_mut().expect("an object").remove(member);
    }
    assert_eq!(server.quote(&platform, &quote).ok()["payable"], 4000);
    let body = payment(&platform, &person, 6000);
    let done = server.redeem(&platform, &body).ok();
    assert_eq!((done.str("state"), done.int("payable")), ("redeemed", 4000));
    assert_eq!(MARKET.vouchers(&person, "used").len(), 1);
    let path = format!("/v1/redemptions/{}?merchant_id={}", done.str("order_id"), platform.merchant_id);
    assert_eq!(server.till(&platform, "GET", &path, None).ok().str("state"), "redeemed");
    let back = json!({"refund_id": "R1", "amount": 6000, "merchant_id": platform.merchant_id});
    let path = format!("/v1/redemptions/{}/refunds", done.str("order_id"));
    assert_eq!(server.till(&platform, "POST", &path, Some(&back)).ok()["to_payer"], 4000);
    assert_eq!(MARKET.vouchers(&person, "available").len(), 6);
}

#[test]
fn an_account_that_its_owner_has_not_linked_pays_nothing() {
    let (server, person, platform) = (MARKET.server(), MARKET.shopper(), platform("wechat"));
    let refused = server.redeem(&platform, &payment(&platform, &person, 6000)).refused(404, "account_unknown");
    assert!(both_languages(&refused["pos_message"]) && refused["outcome"] == "not_applied");
    let mut stranger = payment(&platform, &person, 6000);
    stranger["account"]["id"] = json!("nobody-we-know");
    let unknown = server.redeem(&platform, &stranger).refused(404, "account_unknown");
    assert_eq!(unknown["title"], refused["title"], "not linked and not known are one answer");
    link(&person, "PUT");
    let body = payment(&platform, &person, 6000);
    let done = server.redeem(&platform, &body).ok();
    link(&person, "DELETE");
    let again = server.redeem(&platform, &body).ok();
    assert!(again.replayed() && again.json == done.json, "the order is looked up before its payer");
    server.redeem(&platform, &payment(&platform, &person, 6000)).refused(404, "account_unknown");
    assert_eq!(MARKET.vouchers(&person, "used").len(), 1);
}

#[test]
fn another_account_under_the_same_order_number_is_a_conflict() {
    let (server, platform) = (MARKET.server(), platform("wechat"));
    let (person, other) = (MARKET.shopper(), MARKET.shopper());
    link(&person, "PUT");
    link(&other, "PUT");
    let body = payment(&platform, &person, 6000);
    let done = server.redeem(&platform, &body).ok();
    let mut theirs = body.clone();
    theirs["account"] = account(&other);
    let reply = server.redeem(&platform, &theirs).refused(409, "order_conflict");
    assert_eq!(reply["fields"], json!(["account"]));
    let mut by_code = body.clone();
    by_code.as_object_mut().expect("an object").remove("account");
    by_code["pay_code"] = json!(server.pay_code(&person));
    let again = server.redeem(&platform, &by_code).ok();
    assert!(again.replayed() && again.json == done.json, "a code of the same person: {}", again.text());
    assert_eq!(MARKET.vouchers(&other, "available").len(), 6);
}

#[test]
fn only_a_platform_may_name_an_account_and_only_of_its_own_channels() {
    let (server, person) = (MARKET.server(), MARKET.shopper());
    link(&person, "PUT");
    let other = platform("alipay");
    let refused = server.redeem(&other, &payment(&other, &person, 6000)).refused(403, "forbidden");
    assert_eq!(refused["channels"], json!(["alipay"]));
    let till = MARKET.till();
    server.redeem(&till, &payment(&till, &person, 6000)).refused(403, "forbidden");
    let merchant = key(json!({"kind": "merchant", "merchant_id": till.merchant_id}), &till.merchant_id);
    server.redeem(&merchant, &payment(&merchant, &person, 6000)).refused(403, "forbidden");
    let mut both = payment(&other, &person, 6000);
    both["pay_code"] = json!(server.pay_code(&person));
    let faults = server.redeem(&other, &both).refused(422, "invalid_request").faults();
    assert_eq!(faults, ["/pay_code one_of", "/account one_of"]);
    assert!(MARKET.vouchers(&person, "used").is_empty());
}

#[test]
fn vouchers_of_one_channel_are_not_spent_by_the_same_persons_account_of_another() {
    let (server, person, platform) = (MARKET.server(), MARKET.shopper(), platform("alipay"));
    let elsewhere = person.clone().through("alipay");
    link(&elsewhere, "PUT");
    let refused = server.redeem(&platform, &payment(&platform, &elsewhere, 6000));
    assert!(["channel_not_allowed", "no_voucher_applicable"].contains(&refused.code()), "{}", refused.text());
    assert!(MARKET.vouchers(&person, "used").is_empty());
}

#[test]
fn an_account_belongs_to_the_person_whom_its_channel_vouched_for_last() {
    let (server, first, second) = (MARKET.server(), MARKET.shopper(), MARKET.shopper());
    let platform = platform("wechat");
    let heir = second.clone().claiming("sub", json!(format!("sub-{}", first.number)));
    link(&first, "PUT");
    link(&heir, "PUT");
    assert_eq!(link(&first, "GET")["linked"], false);
    link(&first, "DELETE");
    assert_eq!(link(&heir, "GET")["linked"], true, "nobody unlinks another's");
    server.redeem(&platform, &payment(&platform, &first, 6000)).ok();
    assert_eq!((MARKET.vouchers(&first, "used").len(), MARKET.vouchers(&second, "used").len()), (0, 1));
}

#[test]
fn a_platform_names_its_merchant_and_a_merchants_key_is_for_that_merchant_alone() {
    let (server, person, platform) = (MARKET.server(), MARKET.shopper(), platform("wechat"));
    let mut body = payment(&platform, &person, 6000);
    body.as_object_mut().expect("an object").remove("merchant_id");
    assert_eq!(server.redeem(&platform, &body).refused(422, "invalid_request").faults(), ["/merchant_id required"]);
    for (path, fault) in [
        ("/v1/redemptions/A1", "?merchant_id required"),
        ("/v1/redemptions/A1?merchant_id=a%20b", "?merchant_id invalid_id"),
        ("/v1/transactions?from=2020-07-25T00:00:00Z&to=2020-07-26T00:00:00Z", "?merchant_id required"),
    ] {
        let told = server.till(&platform, "GET", path, None).refused(422, "invalid_request");
        assert_eq!(told.faults(), [fault], "where it is named: {}", told.text());
    }
    body["merchant_id"] = json!("no-such-shop");
    server.redeem(&platform, &body).refused(404, "not_found");
    let (mine, yours) = (MARKET.till(), MARKET.till());
    let merchant = key(json!({"kind": "merchant", "merchant_id": mine.merchant_id}), &mine.merchant_id);
    let sale = |shop: &str| {
        json!({"order_id": new_order(), "pay_code": server.pay_code(&person), "amount": 3000,
        "category": "catering", "capture": true, "merchant_id": shop, "terminal_id": "t7"})
    };
    server.redeem(&merchant, &sale(&yours.merchant_id)).refused(404, "not_found");
    let done = server.redeem(&merchant, &sale(&mine.merchant_id)).ok();
    assert_eq!(server.order(&mine, done.str("order_id")).ok().str("state"), "redeemed");
    let stranger = server.create_key("officer", "another-city");
    let path = format!("/v1/till-keys/{}", merchant.key_id);
    server.office_as(&stranger, "GET", &path, None).refused(404, "not_found");
    let scope = json!({"kind": "merchant", "merchant_id": mine.merchant_id});
    server.office_as(&stranger, "POST", "/v1/till-keys", Some(scope)).refused(404, "not_found");
}

#[test]
fn a_key_is_rotated_without_a_gap_and_a_revoked_one_signs_nothing() {
    let server = MARKET.server();
    let till = MARKET.till();
    let old = key(json!({"kind": "merchant", "merchant_id": till.merchant_id}), &till.merchant_id);
    assert!(old.key_id.starts_with("test_m_") && old.secret.starts_with("sk_test_"), "{}", old.key_id);
    let ask = |key: &Till| server.order(key, "never-seen");
    let path = |verb: &str| format!("/v1/till-keys/{}/{verb}", old.key_id);
    let rotated = server.office("POST", &path("rotate"), Some(json!({"from_version": 1}))).ok();
    let new = Till { secret: rotated.str("secret").to_string(), ..old.clone() };
    let repeated = server.office("POST", &path("rotate"), Some(json!({"from_version": 1}))).ok();
    assert_eq!(repeated.json, rotated.json, "a lost answer does no harm");
    ask(&old).refused(404, "order_not_found");
    ask(&new).refused(404, "order_not_found");
    server.office("POST", &path("rotate"), Some(json!({"from_version": 1, "keep_previous": false}))).ok();
    ask(&new).refused(404, "order_not_found");
    let (request, _) = old.request("GET", "/v1/redemptions/never-seen", "");
    server.send(&request).refused(401, "signature_invalid");
    server.office("POST", &path("revoke"), Some(json!({"reason": "lost"}))).ok();
    let refused = ask(&new).refused(401, "key_revoked");
    assert!(both_languages(&refused["pos_message"]), "{}", refused.text());
    server.office("POST", &path("rotate"), None).refused(409, "merchant_state_refuses");
}

#[test]
fn a_terminals_key_is_rotated_and_revoked_through_its_merchant() {
    let server = MARKET.server();
    let old = MARKET.till();
    let ask = |key: &Till| server.order(key, "never-seen");
    let path = |verb: &str| format!("/v1/merchants/{}/terminals/t1/{verb}", old.merchant_id);
    let rotated = server.office("POST", &path("rotate"), Some(json!({}))).ok();
    let new = Till { secret: rotated.str("secret").to_string(), ..old.clone() };
    ask(&old).refused(404, "order_not_found");
    ask(&new).refused(404, "order_not_found");
    server.office("POST", &path("revoke"), Some(json!({}))).ok();
    ask(&new).refused(401, "key_revoked");
    server.office("GET", &format!("/v1/till-keys/{}", old.key_id), None).refused(404, "not_found");
}

#[test]
fn the_office_lists_its_keys_without_their_secrets_and_no_others() {
    let server = MARKET.server();
    let [officer, other] = ["listing-city", "listed-elsewhere"].map(|city| server.create_key("officer", city));
    let make = |key: &str, channels: Value| {
        let scope = json!({"kind": "platform", "channels": channels});
        server.office_as(key, "POST", "/v1/till-keys", Some(scope)).ok().str("key_id").to_string()
    };
    let mut made: Vec<String> = (0..101).map(|_| make(&officer, json!(["wechat"]))).collect();
    made.sort_unstable();
    make(&other, json!([]));
    server.office_as(&officer, "POST", &format!("/v1/till-keys/{}/revoke", made[0]), None).ok();
    let page = |path: &str| server.office_as(&officer, "GET", path, None).ok();
    let first = page("/v1/till-keys");
    assert!(!first.text().contains("secret"), "{}", first.text());
    let ids = |reply: &Reply| -> Vec<String> {
        let items = reply["items"].as_array().expect("a list");
        items.iter().map(|one| one["key_id"].as_str().expect("an id").to_string()).collect()
    };
    assert_eq!((ids(&first).len(), &first["items"][0]["revoked"]), (100, &json!(true)));
    let rest = page(&format!("/v1/till-keys?cursor={}", first.str("next_cursor")));
    assert_eq!([ids(&first), ids(&rest)].concat(), made);
    assert_eq!(rest["next_cursor"], Value::Null);
    for cursor in ["garbage", "test_p_00000000", ""] {
        let path = format!("/v1/till-keys?cursor={cursor}");
        let refused = server.office_as(&officer, "GET", &path, None).refused(422, "invalid_request");
        assert_eq!(refused.faults(), ["/cursor invalid_cursor"]);
    }
    server.send(&Request::new("GET", "/v1/till-keys")).refused(401, "unauthenticated");
}
