//! Two programs of one installation that give the same ids to everything: neither sees, hinders or changes the other.

mod bounds;
mod names;
mod reads;
mod repeats;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, at, chengdu, merchant, new_campaign_id, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, wait_until};

const SHOP: &str = "M001";
const DATE: &str = "2020-07-25";

/// A program, with a key that may do everything in it.
struct City<'a> {
    server: &'a Server,
    key: String,
    campaign: String,
}

impl<'a> City<'a> {
    fn new(server: &'a Server, program: &str) -> City<'a> {
        let roles = ["officer", "approver", "finance", "operator"].iter().flat_map(|role| ["--role", role]);
        let arguments: Vec<&str> = ["keys", "create", "--program", program].into_iter().chain(roles).collect();
        let made = server.command(&arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        City { server, key, campaign: new_campaign_id(program) }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.server.office_as(&self.key, method, &path.replace("{campaign}", &self.campaign), body)
    }

    fn send_file(&self, method: &str, path: &str, file: &str) -> Reply {
        let mut request = Request::new(method, path).bearer(&self.key).header("content-type", "text/csv");
        request.body = file.as_bytes().to_vec();
        self.server.send(&request)
    }

    /// A campaign that admits by the city's list of merchants, with a pack for everybody; its merchants have a limit of their own.
    fn publish(&self, people: i64, edit: &dyn Fn(&City, &mut Value)) {
        self.send_file("PUT", "/v1/lists/shops", &format!("merchant_id\n{SHOP}\n")).ok();
        let mut file = chengdu(&self.campaign, people);
        file["merchant_enrolment"]["by_list"] = json!("shops");
        file["use_rule"]["merchants_list"] = json!("shops");
        let limit = json!({"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": 4});
        file["limits"].as_array_mut().expect("limits").push(limit);
        edit(self, &mut file);
        self.server.create_campaign_as(&self.key, &file).ok();
        for verb in ["submit", "approve", "publish"] {
            self.ask("POST", &format!("/v1/campaigns/{{campaign}}/{verb}"), Some(json!({}))).ok();
        }
    }

    fn key_of_a_till(&self, path: &str, body: Value) -> Till {
        let made = self.ask("POST", path, Some(body)).ok();
        let text = |name: &str| made.str(name).to_owned();
        Till { merchant_id: SHOP.to_owned(), key_id: text("key_id"), secret: text("secret") }
    }

    /// The shop, enrolled, and its first till.
    fn open_shop(&self) -> Till {
        self.ask("POST", "/v1/merchants", Some(merchant(SHOP))).ok();
        self.ask("PUT", "/v1/campaigns/{campaign}/merchants/M001", Some(json!({}))).ok();
        self.ask("POST", "/v1/campaigns/{campaign}/merchants/M001/approve", Some(json!({}))).ok();
        self.key_of_a_till(&format!("/v1/merchants/{SHOP}/terminals"), json!({"terminal_id": "t1"}))
    }

    fn tills(&self) -> [Till; 3] {
        [
            self.key_of_a_till(&format!("/v1/merchants/{SHOP}/terminals"), json!({"terminal_id": "t1"})),
            self.key_of_a_till("/v1/till-keys", json!({"kind": "merchant", "merchant_id": SHOP})),
            self.key_of_a_till("/v1/till-keys", json!({"kind": "platform", "channels": ["wechat"]})),
        ]
    }
}

/// Two cities with a published campaign each, and people who hold a pack of both.
fn two_cities(server: &Server, people: usize) -> ([City<'_>; 2], Vec<Resident>) {
    two_cities_with(server, people, |_, _| ())
}

fn two_cities_with(server: &Server, people: usize, edit: impl Fn(&City, &mut Value)) -> ([City<'_>; 2], Vec<Resident>) {
    let cities = ["left", "right"].map(|program| City::new(server, program));
    cities.iter().for_each(|city| city.publish(people as i64, &edit));
    server.set_clock(at("2020-07-13T09:00:00"));
    let people = Resident::many(people);
    for city in &cities {
        people.iter().for_each(|one| drop(server.reserve(&city.campaign, one).ok()));
    }
    server.set_clock(at("2020-07-22T10:00:00"));
    for city in &cities {
        let path = format!("/v1/campaigns/{}/rounds/rain/commitment", city.campaign);
        wait_until("the list is closed", || (city.ask("GET", &path, None).status == 200).then_some(()));
    }
    server.set_clock(at("2020-07-25T12:00:00"));
    for (city, person) in cities.iter().flat_map(|city| people.iter().map(move |person| (city, person))) {
        wait_until("everybody has a pack", || {
            (server.my_claim(&city.campaign, person).ok()["credited"] == true).then_some(())
        });
    }
    (cities, people)
}

/// What of an answer may differ between two cities that ask alike.
fn alike(value: &Value) -> Value {
    const OWN: [&str; 14] = [
        "key_id",
        "secret",
        "transaction_id",
        "hold_id",
        "voucher_id",
        "campaign_id",
        "by",
        "request_id",
        "instance",
        "next_cursor",
        "pos_message",
        "frozen_by",
        "code",
        "name",
    ];
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
            kept.map(|(name, value)| (name.clone(), alike(value))).collect()
        }
        Value::Array(items) => items.iter().map(alike).collect(),
        other => other.clone(),
    }
}

fn shop_of(city: &str) -> Value {
    let mut shop = merchant(SHOP);
    shop["name"] = json!({"zh": "蓉城小馆", "en": format!("Kitchen of {city}")});
    shop
}

/// One row of a table: how it is called, the method, the path, and the body.
type Step = (&'static str, &'static str, Value);

fn office_steps() -> Vec<Step> {
    let enrolled = "/v1/campaigns/{campaign}/merchants/M001";
    let circle = json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 500}});
    vec![
        ("POST", "/v1/merchants/M001/terminals", json!({"terminal_id": "t0"})),
        ("POST", "/v1/merchants/M001/terminals", json!({"terminal_id": "t0"})),
        ("POST", "/v1/merchants/M001/terminals/t0/rotate", json!({"from_version": 1})),
        ("POST", "/v1/merchants/M001/terminals/t0/revoke", json!({"reason": "lost"})),
        ("PUT", "/v1/areas/old-town", circle.clone()),
        ("PUT", "/v1/areas/old-town", circle),
        ("GET", "/v1/areas/old-town", Value::Null),
        ("GET", "/v1/lists/shops", Value::Null),
        ("PUT", enrolled, json!({})),
        ("GET", enrolled, Value::Null),
        ("POST", "/v1/campaigns/{campaign}/merchants/M001/approve", json!({})),
        ("POST", "/v1/campaigns/{campaign}/merchants/M001/suspend", json!({"reason": "a look"})),
        ("POST", "/v1/campaigns/{campaign}/merchants/M001/approve", json!({})),
        ("POST", "/v1/merchants/M001/freeze", json!({"reason": "a look"})),
        ("POST", "/v1/merchants/M001/unfreeze", json!({})),
        ("GET", "/v1/merchants/M001", Value::Null),
        ("GET", "/v1/till-keys", Value::Null),
    ]
}

fn body_of(body: &Value) -> Option<Value> {
    (!body.is_null()).then(|| body.clone())
}

/// Both cities do the same one after the other, and are told the same.
fn both<T>(cities: &[City; 2], what: &str, work: impl Fn(usize, &City) -> (T, Reply)) -> [T; 2] {
    let [(left, told), (right, other)] = [0, 1].map(|at| work(at, &cities[at]));
    assert!(told.is_success(), "{what}: {} {}", told.status, told.text());
    let (told, other) = ((told.status, alike(&told.json)), (other.status, alike(&other.json)));
    assert_eq!(told, other, "{what}");
    [left, right]
}

fn register(cities: &[City; 2]) {
    both(cities, "register", |at, city| ((), city.ask("POST", "/v1/merchants", Some(shop_of(["left", "right"][at])))));
    let head = "merchant_id,code,kind,name_zh,registered_district,operating_district,industry_code,stores\n";
    let code = merchant("M002")["code"].as_str().expect("a code").to_owned();
    let file = format!("{head}M002,{code},enterprise,小店,510104,510104,6210,s1|店|510104\n");
    for _ in 0..2 {
        both(cities, "import", |_, city| ((), city.send_file("POST", "/v1/merchants/import", &file)));
    }
    // A shop without an id of its own has one made of its code, which two cities may both register.
    let mut nameless = merchant("none");
    nameless.as_object_mut().expect("an object").remove("merchant_id");
    both(cities, "register by code", |_, city| ((), city.ask("POST", "/v1/merchants", Some(nameless.clone()))));
}

#[test]
fn two_programs_with_the_same_ids_are_each_served_as_if_there_were_no_other() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 2, None);
    let (cities, people) = two_cities(&server, 4);
    register(&cities);
    for (method, path, body) in office_steps() {
        both(&cities, &format!("{method} {path}"), |_, city| ((), city.ask(method, path, body_of(&body))));
    }
    let tills = [0, 1].map(|at| cities[at].tills());
    for kind in 0..3 {
        sell(&server, &cities, &[0, 1].map(|at| tills[at][kind].clone()), &people[kind]);
    }
    limits(&server, &cities, &tills, &people[3]);
    let paths = ["", "/M001"].map(|of| format!("/v1/settlements/{DATE}{of}"));
    for path in paths {
        both(&cities, &path, |_, city| ((), city.ask("GET", &path, None)));
    }
    both(&cities, "transactions", |at, _| {
        let path = "/v1/transactions?from=2020-07-25T00:00:00Z&to=2020-07-26T00:00:00Z";
        ((), server.till(&tills[at][0], "GET", path, None))
    });
    for ledger in cities.iter().map(|city| city.ask("GET", "/v1/campaigns/{campaign}/ledger", None).ok()) {
        // Of each kind of till one sale is left, and the last one.
        assert_eq!(ledger["total"]["redeemed"], json!(4_000), "{}", ledger.text());
    }
    server.assert_audit_clean();
}

/// Every verb of a till, with the same order ids in both cities; one sale of 30-10 is left of it.
fn sell(server: &Server, cities: &[City; 2], tills: &[Till; 2], person: &Resident) {
    let kind = &tills[0].key_id[..6].to_owned();
    let order = |name: &str| format!("{name}-{kind}");
    let named = |mut body: Value| {
        // What a terminal's key and a merchant's may repeat, a platform has to say.
        body["merchant_id"] = json!(SHOP);
        body["scene"] = json!("offline");
        body
    };
    let pay = |order: &str, amount: i64, capture: bool| named(sale(order, &server.pay_code(person), amount, capture));
    let ask = |at: usize, path: &str, mut body: Value| {
        body["merchant_id"] = json!(SHOP);
        server.till(&tills[at], "POST", &format!("/v1/redemptions/{path}"), Some(&body))
    };
    both(cities, "quote", |at, _| {
        let mut body = pay("none", 6_000, true);
        ["order_id", "capture"].iter().for_each(|name| drop(body.as_object_mut().expect("an object").remove(*name)));
        ((), server.quote(&tills[at], &body))
    });
    let redeem = |at: usize, order: &str, amount, capture| server.redeem(&tills[at], &pay(order, amount, capture));
    both(cities, "redeem", |at, _| ((), redeem(at, &order("kept"), 3_000, true)));
    let held = both(cities, "hold", |at, _| {
        let held = redeem(at, &order("held"), 6_000, false);
        (held.str("hold_id").to_owned(), held)
    });
    both(cities, "confirm", |at, _| {
        ((), ask(at, &format!("{}/confirm", order("held")), json!({"hold_id": held[at], "paid_amount": 4_000})))
    });
    both(cities, "refund", |at, _| {
        ((), ask(at, &format!("{}/refunds", order("held")), json!({"refund_id": "R1", "amount": 6_000})))
    });
    both(cities, "hold again", |at, _| ((), redeem(at, &order("left"), 6_000, false)));
    both(cities, "cancel", |at, _| ((), ask(at, &format!("{}/cancel", order("left")), json!({}))));
    both(cities, "redeem again", |at, _| ((), redeem(at, &order("undone"), 6_000, true)));
    both(cities, "reverse", |at, _| ((), ask(at, &format!("{}/reverse", order("undone")), json!({}))));
    both(cities, "reverse of nothing", |at, _| ((), ask(at, &format!("{}/reverse", order("never")), json!({}))));
    both(cities, "order", |at, _| {
        let path = format!("/v1/redemptions/{}?merchant_id={SHOP}", order("kept"));
        ((), server.till(&tills[at], "GET", &path, None))
    });
}

/// The shop has sold three vouchers in each city; the fourth is the last that each lets it.
fn limits(server: &Server, cities: &[City; 2], tills: &[[Till; 3]; 2], person: &Resident) {
    for at in 0..2 {
        server.redeem(&tills[at][0], &sale("the-last", &server.pay_code(person), 3_000, true)).ok();
        let body = sale("one-too-many", &server.pay_code(person), 3_000, true);
        let told = server.redeem(&tills[at][0], &body).refused_with("limit_reached");
        assert_eq!(told["limit"]["max_count"], 4, "{}: {}", cities[at].campaign, told.text());
    }
}

/// What a city sees of its shop.
fn seen(city: &City) -> Value {
    let paths = ["/v1/merchants/M001", "/v1/campaigns/{campaign}/merchants/M001", "/v1/lists/shops", "/v1/till-keys"];
    paths.iter().map(|path| city.ask("GET", path, None).ok().json).collect()
}

#[test]
fn what_one_program_does_to_its_shop_changes_nothing_of_the_shop_with_that_id_elsewhere() {
    let server = Server::at(EVE);
    let (cities, people) = two_cities(&server, 1);
    register(&cities);
    for city in &cities {
        city.ask("PUT", "/v1/campaigns/{campaign}/merchants/M001", Some(json!({}))).ok();
        city.ask("POST", "/v1/campaigns/{campaign}/merchants/M001/approve", Some(json!({}))).ok();
    }
    let tills = [0, 1].map(|at| cities[at].tills());
    for (mine, other) in [(0, 1), (1, 0)] {
        let before = seen(&cities[other]);
        for (method, path) in [
            ("POST", "/v1/merchants/M001/terminals/t1/revoke"),
            ("POST", "/v1/campaigns/{campaign}/merchants/M001/suspend"),
            ("POST", "/v1/merchants/M001/freeze"),
        ] {
            cities[mine].ask(method, path, Some(json!({"reason": "mine"}))).ok();
        }
        let key = format!("/v1/till-keys/{}", tills[other][1].key_id);
        cities[mine].ask("GET", &key, None).refused(404, "not_found");
        cities[mine].ask("POST", &format!("{key}/revoke"), Some(json!({}))).refused(404, "not_found");
        assert_eq!(seen(&cities[other]), before);
        let order = sale(&format!("order-{mine}"), &server.pay_code(&people[0]), 3_000, true);
        server.redeem(&tills[mine][1], &order).refused_with("merchant_frozen");
        server.redeem(&tills[other][1], &order).ok();
        server.reverse(&tills[other][1], order["order_id"].as_str().expect("an id")).ok();
        for (path, body) in
            [("/v1/merchants/M001/unfreeze", json!({})), ("/v1/campaigns/{campaign}/merchants/M001/approve", json!({}))]
        {
            cities[mine].ask("POST", path, Some(body)).ok();
        }
    }
    server.assert_audit_clean();
}
