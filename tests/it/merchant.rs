//! Shops: their codes, their enrolment, their tills, and a freeze that works at once.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{Market, at, merchant, new_merchant_id, new_order, sale};
use crate::harness::till::Till;
use crate::harness::wait_until;

static MARKET: LazyLock<Market> = LazyLock::new(|| Market::open("shops", 12));

fn post(path: &str) -> Reply {
    MARKET.server().office("POST", path, Some(json!({"reason": "a test"})))
}

fn buy(till: &Till) -> Reply {
    let code = MARKET.server().pay_code(&MARKET.shopper());
    MARKET.server().redeem(till, &sale(&new_order(), &code, 6000, true))
}

#[test]
fn a_merchant_is_created_once_and_a_repeat_is_the_same() {
    let server = MARKET.server();
    let body = merchant(&new_merchant_id());
    let made = server.create_merchant(&body).ok();
    assert_eq!(made["merchant_id"], body["merchant_id"]);
    let again = server.create_merchant(&body).ok();
    assert_eq!(again.json["code"], body["code"]);
    let mut other = body.clone();
    other["name"]["en"] = json!("Another Kitchen");
    server.create_merchant(&other).refused(409, "merchant_conflict");
}

fn put(id: &str, etag: Option<&str>, body: &Value) -> Reply {
    let request = Request::new("PUT", &format!("/v1/merchants/{id}")).bearer(&MARKET.server().admin_key).json(body);
    MARKET.server().send(&match etag {
        Some(etag) => request.header("if-match", etag),
        None => request,
    })
}

fn shown(id: &str) -> Reply {
    MARKET.server().office("GET", &format!("/v1/merchants/{id}"), None).ok()
}

fn store(id: &str, name: &str) -> Value {
    json!({"store_id": id, "name": name, "district": "510104"})
}

#[test]
fn a_store_is_added_and_sells_and_none_is_lost_on_the_way() {
    let (server, id) = (MARKET.server(), new_merchant_id());
    let mut body = merchant(&id);
    body["stores"] = json!([store("s1", "first")]);
    let made = server.create_merchant(&body).ok();
    let etag = made.header("etag").expect("a version").to_string();
    body["stores"] = json!([store("s1", "renamed"), store("s2", "second")]);
    body["name"] = json!("Another Kitchen");
    body["operating_district"] = json!("510107");
    put(&id, None, &body).refused(428, "precondition_required");
    let changed = put(&id, Some(&etag), &body).ok();
    assert_eq!((&changed["stores"], &changed["name"]), (&body["stores"], &body["name"]), "{}", changed.text());
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
    assert!(changed.header("durability").is_some() && !changed.replayed());
    // Whoever writes on what was read before is told which version holds.
    let stale = put(&id, Some(&etag), &merchant(&id)).refused(412, "precondition_failed");
    assert_eq!((stale.str("current"), stale.str("sent")), (changed.header("etag").unwrap(), etag.as_str()));
    let again = put(&id, changed.header("etag"), &body).ok();
    assert_eq!((again.header("etag"), again.replayed()), (changed.header("etag"), true), "nothing to change");

    // A store that orders may name stays; so do the code and what enrolments were judged by.
    let mut fewer = body.clone();
    fewer["stores"] = json!([store("s2", "second")]);
    let refused = put(&id, changed.header("etag"), &fewer).refused(409, "merchant_conflict");
    assert_eq!((&refused["fields"], &refused["stores"]), (&json!(["stores"]), &json!(["s1"])), "{}", refused.text());
    for (field, value) in [("kind", "sole_trader"), ("registered_district", "510107")] {
        let mut other = body.clone();
        other[field] = json!(value);
        let refused = put(&id, changed.header("etag"), &other).refused(409, "merchant_conflict");
        assert_eq!(refused["fields"], json!([field]), "{}", refused.text());
    }
    let mut wrong = body.clone();
    wrong["stores"][1]["district"] = json!("51");
    put(&id, changed.header("etag"), &wrong).refused(422, "invalid_request");
    let mut moved = body.clone();
    moved["merchant_id"] = json!(new_merchant_id());
    put(&id, changed.header("etag"), &moved).refused(422, "invalid_request");
    let history = &shown(&id)["changes"];
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
    assert_eq!(history[0]["fields"], json!(["name", "operating_district", "stores"]), "{history}");

    server.enrol(MARKET.campaign(), &id);
    let till = server.create_terminal(&id, "t1");
    let mut sold = sale(&new_order(), &server.pay_code(&MARKET.shopper()), 6000, true);
    sold["receipt"] = json!({"store": "s2"});
    server.redeem(&till, &sold).ok();
}

#[test]
fn a_merchant_is_changed_only_by_those_who_may_register_one() {
    let (server, id) = (MARKET.server(), new_merchant_id());
    let mut body = merchant(&id);
    let made = server.create_merchant(&body).ok();
    body["name"] = json!("New");
    let as_key = |key: &str| {
        let request = Request::new("PUT", &format!("/v1/merchants/{id}")).bearer(key).json(&body);
        server.send(&request.header("if-match", made.header("etag").expect("a version")))
    };
    for role in ["approver", "finance", "auditor"] {
        as_key(&server.create_key(role, "default")).refused(403, "forbidden");
    }
    let stranger = as_key(&server.create_key("officer", "another-city")).refused(404, "not_found");
    assert!(stranger.str("detail").contains(&id), "{}", stranger.text());
    as_key(&server.create_key("operator", "default")).ok();
}

fn import(rows: &[String]) -> Reply {
    let header = "merchant_id,code,kind,name_zh,registered_district,operating_district,industry_code\n";
    let mut request = Request::new("POST", "/v1/merchants/import").bearer(&MARKET.server().admin_key);
    request.body = format!("{header}{}", rows.concat()).into_bytes();
    MARKET.server().send(&request.header("content-type", "text/csv"))
}

/// A row of an import, and the id of its merchant.
fn import_row(name: &str) -> (String, String) {
    let id = new_merchant_id();
    let code = merchant(&id)["code"].as_str().expect("a code").to_string();
    (format!("{id},{code},enterprise,{name},510104,510104,6210\n"), id)
}

#[test]
fn an_import_counts_every_row_as_taken_or_refused_whatever_quotes_its_cells_hold() {
    let (first, inch, wrong, last) =
        (import_row("甲店"), import_row("24\"店"), import_row(""), import_row("\"乙\"\"店\""));
    let reply = import(&[first.0.clone(), inch.0, wrong.0, last.0]).ok();
    let counts = ["rows_read", "created", "unchanged", "refused"].map(|name| reply.int(name));
    assert_eq!(counts, [4, 3, 0, 1], "{}", reply.text());
    for (id, name) in [(&inch.1, "24\"店"), (&last.1, "乙\"店")] {
        let shown = MARKET.server().office("GET", &format!("/v1/merchants/{id}"), None).ok();
        assert_eq!(shown["name"], name, "{}", shown.text());
    }
    // The rows before the quote take effect, and the answer says where reading ended.
    let (next, open) = (import_row("丙店"), import_row("\"丁店"));
    let reply = import(&[first.0, next.0, open.0]).ok();
    let counts = ["rows_read", "created", "unchanged", "refused"].map(|name| reply.int(name));
    assert_eq!(counts, [2, 1, 1, 0], "{}", reply.text());
    let fault = &reply["stopped"]["errors"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/4"), &json!("quotes_do_not_fit")), "{}", reply.text());
}

#[test]
fn an_import_of_wrong_rows_tells_the_first_faults_in_full_and_counts_the_rest() {
    let long = "9".repeat(10_000);
    let wrong = |row: usize| if row.is_multiple_of(10) { format!(",{long},\n") } else { "x,\n".to_string() };
    let (good, rows) = (import_row("最后一家"), (0..3_000).map(wrong).collect::<Vec<_>>());
    let reply = import(&[rows.as_slice(), &[good.0]].concat()).ok();
    let counts = ["rows_read", "created", "unchanged", "refused"].map(|name| reply.int(name));
    assert_eq!(counts, [3_001, 1, 0, 3_000]);
    // A merchant without a code, and one with a code that is none, have every other fault in common.
    let faults = ["invalid_code", "required"].map(|code| reply["faults"][code].as_u64());
    assert_eq!(faults, [Some(300), Some(300 * 5 + 2_700 * 6)], "{}", reply["faults"]);
    let rows = reply["rows"].as_array().expect("rows");
    let told: usize = rows.iter().map(|row| row["refusal"]["errors"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((rows.len(), told), (3_001, 1_000));
    assert_eq!(rows[2_999]["refusal"]["code"], "invalid_request", "{}", rows[2_999]);
    assert_eq!(rows[3_000]["merchant_id"], json!(good.1), "{}", rows[3_000]);
    assert!(reply.body.len() < 1_000_000, "{} bytes say what became of 3,001 rows", reply.body.len());
}

#[test]
fn a_program_sends_a_few_files_at_once_and_no_other_waits_for_it() {
    let server = MARKET.server();
    let (own, another) = (server.create_key("officer", "slow"), server.create_key("officer", "quick"));
    let mut file = Request::new("POST", "/v1/merchants/import").bearer(&own).header("content-type", "text/csv");
    file.body = b"code,kind,name_zh,registered_district,operating_district,industry_code\n".to_vec();
    let whole = |key: &str| {
        let mut file = Request::new("POST", "/v1/merchants/import").bearer(key).header("content-type", "text/csv");
        file.body = format!(
            "merchant_id,code,kind,name_zh,registered_district,operating_district,industry_code\n{}",
            import_row("店").0
        )
        .into_bytes();
        server.send(&file)
    };
    let mut begun = Vec::new();
    wait_until("one more file has to wait", || {
        begun.push(server.client.begin(&file, 1_000));
        (whole(&own).code() == "rate_limited").then_some(())
    });
    assert!(begun.len() >= 4, "{} files at once", begun.len());
    whole(&another).ok();
    drop(begun);
    wait_until("the files have ended", || whole(&own).is_success().then_some(()));
}

#[test]
fn a_code_with_a_wrong_check_digit_is_refused_with_its_pointer() {
    let mut body = merchant(&new_merchant_id());
    let code = body["code"].as_str().expect("a code").to_string();
    let last = if code.ends_with('A') { "B" } else { "A" };
    body["code"] = json!(format!("{}{last}", &code[..17]));
    let reply = MARKET.server().create_merchant(&body);
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.faults().iter().any(|fault| fault.starts_with("/code ")), "{}", reply.text());
}

#[test]
fn a_shop_registered_elsewhere_does_not_get_in() {
    let server = MARKET.server();
    let id = new_merchant_id();
    let mut body = merchant(&id);
    body["registered_district"] = json!("110105");
    server.create_merchant(&body).ok();
    let path = format!("/v1/campaigns/{}/merchants/{id}", MARKET.campaign());
    let applied = server.office("PUT", &path, Some(json!({})));
    let approved = server.office("POST", &format!("{path}/approve"), Some(json!({})));
    assert!(!applied.is_success() || !approved.is_success(), "{}", approved.text());
    let till = server.create_terminal(&id, "t1");
    buy(&till).refused_with("merchant_not_enrolled");
}

#[test]
fn an_application_alone_is_no_enrolment() {
    let server = MARKET.server();
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    let path = format!("/v1/campaigns/{}/merchants/{id}", MARKET.campaign());
    let applied = server.office("PUT", &path, Some(json!({}))).ok();
    assert_eq!(applied.str("state"), "applied", "{}", applied.text());
    let till = server.create_terminal(&id, "t1");
    buy(&till).refused_with("merchant_not_enrolled");
    post(&format!("{path}/approve")).ok();
    buy(&till).ok();
}

#[test]
fn a_freeze_works_at_once_and_lets_payments_in_flight_end() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let person = MARKET.shopper();
    let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, false)).ok();
    post(&format!("/v1/merchants/{}/freeze", till.merchant_id)).ok();
    let code = server.pay_code(&person);
    server.redeem(&till, &sale(&new_order(), &code, 6000, true)).refused_with("merchant_frozen");
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 4000).ok();
    server.reverse(&till, held.str("order_id")).ok();
    post(&format!("/v1/merchants/{}/unfreeze", till.merchant_id)).ok();
    server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, true)).ok();
}

#[test]
fn who_is_suspended_or_leaves_takes_no_vouchers() {
    for verb in ["suspend", "leave"] {
        let till = MARKET.till();
        let path = format!("/v1/campaigns/{}/merchants/{}/{verb}", MARKET.campaign(), till.merchant_id);
        post(&path).ok();
        let reply = buy(&till);
        assert!(["merchant_not_enrolled", "merchant_frozen"].contains(&reply.code()), "{}", reply.text());
    }
}

#[test]
fn a_terminals_secret_is_shown_once() {
    let (server, till) = (MARKET.server(), MARKET.till());
    assert!(till.key_id.starts_with("test_"), "sandbox keys say so: {}", till.key_id);
    let again = server.office(
        "POST",
        &format!("/v1/merchants/{}/terminals", till.merchant_id),
        Some(json!({"terminal_id": "t1"})),
    );
    assert!(again["secret"] != json!(till.secret), "{}", again.text());
    let shown = server.office("GET", &format!("/v1/merchants/{}", till.merchant_id), None);
    assert!(!shown.text().contains(&till.secret), "{}", shown.text());
    assert!(!server.log_tail().contains(&till.secret));
}

#[test]
fn two_tills_of_a_shop_share_its_orders_and_its_limits() {
    let (server, first) = (MARKET.server(), MARKET.till());
    let second = server.create_terminal(&first.merchant_id, "t2");
    let person = MARKET.shopper();
    let body = sale(&new_order(), &server.pay_code(&person), 3000, true);
    let done = server.redeem(&first, &body).ok();
    let again = server.redeem(&second, &body).ok();
    assert!(again.replayed() && again.json == done.json);
    server.redeem(&second, &sale(&new_order(), &server.pay_code(&person), 3000, true)).ok();
    let third = sale(&new_order(), &server.pay_code(&person), 3000, true);
    server.redeem(&first, &third).refused_with("limit_reached");
}

#[test]
fn a_shop_that_joined_in_september_takes_a_voucher_of_july_and_the_window_then_closes() {
    let market = Market::open("joins", 1);
    let (server, person) = (market.server(), market.shopper());
    server.set_clock(at("2020-09-05T09:00:00"));
    let till = market.till();
    server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, true)).ok();
    server.set_clock(at("2020-09-07T00:00:00"));
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    let path = format!("/v1/campaigns/{}/merchants/{id}", market.campaign());
    server.office("PUT", &path, Some(json!({}))).refused(409, "enrolment_closed");
}

#[test]
fn no_program_touches_another_programs_merchant() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let stranger = server.create_key("officer", "another-city");
    for verb in ["freeze", "terminals"] {
        let path = format!("/v1/merchants/{}/{verb}", till.merchant_id);
        let body = json!({"terminal_id": "t9", "reason": "not mine"});
        let body =
            if verb == "freeze" { json!({"reason": "not mine"}) } else { json!({"terminal_id": body["terminal_id"]}) };
        let reply = server.office_as(&stranger, "POST", &path, Some(body));
        assert!([403, 404].contains(&reply.status), "{verb}: {}", reply.text());
    }
    buy(&till).ok();
}
