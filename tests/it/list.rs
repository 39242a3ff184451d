//! Uploaded lists: a file becomes a version whole or not at all, and belongs to one program.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::identity::{Resident, digest_of, with_wrong_check_digit};

#[track_caller]
pub fn put_list(server: &Server, list_id: &str, csv: &str) -> Reply {
    put_list_as(server, &server.admin_key, list_id, csv)
}

fn put_list_as(server: &Server, key: &str, list_id: &str, csv: &str) -> Reply {
    let mut request = Request::new("PUT", &format!("/v1/lists/{list_id}")).bearer(key);
    request.body = csv.as_bytes().to_vec();
    server.send(&request.header("content-type", "text/csv"))
}

/// A list of these people.
pub fn csv_of(people: &[Resident]) -> String {
    let rows = people.iter().map(|person| format!("cn_id,{}\n", person.number));
    std::iter::once("document_type,document_number\n".to_string()).chain(rows).collect()
}

fn get_list(server: &Server, list_id: &str) -> Reply {
    server.office("GET", &format!("/v1/lists/{list_id}"), None)
}

#[test]
fn a_file_becomes_a_version_and_the_same_file_again_is_that_version() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let csv = csv_of(&Resident::many(1_500));
    get_list(&server, "teachers").refused(404, "not_found");
    let first = put_list(&server, "teachers", &csv);
    assert_eq!(first.status, 201, "{}", first.text());
    let expected = json!({"list_id": "teachers", "version": 1, "kind": "persons", "count": 1_500,
        "sha256": hex::encode(Sha256::digest(csv.as_bytes()))});
    assert_eq!(first.json, expected);
    assert!(first.header("durability").is_some());
    let again = put_list(&server, "teachers", &csv);
    assert!(again.status == 200 && again.replayed() && again.json == expected, "{}", again.text());
    let second = put_list(&server, "teachers", &csv_of(&Resident::many(2))).ok();
    assert_eq!((second.int("version"), second.int("count")), (2, 2));
    assert_eq!(get_list(&server, "teachers").ok().json, second.json);
    let shops = put_list(&server, "shops", "merchant_id\nm-1\nm-2\n").ok();
    assert_eq!((shops.str("kind"), shops.int("count")), ("merchants", 2));
}

#[test]
fn a_bad_file_says_each_line_and_changes_nothing() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let people = Resident::many(3);
    let good = put_list(&server, "poor", &csv_of(&people)).ok();
    let wrong = with_wrong_check_digit(&people[0].number);
    let long: String = csv_of(&Resident::many(2_000));
    let cases: &[(String, &[&str])] = &[
        (format!("{}cn_id,{wrong}\ncn_id,\n", csv_of(&people)), &["/5/document_number", "/6/document_number"]),
        (format!("{}cn_id,{}\n", csv_of(&people), people[1].number), &["/5"]),
        (format!("{long}cn_id,1\n"), &["/2002/document_number"]),
        ("document_type,document_number,favourite\n".into(), &["/1"]),
        ("document_type,document_number\n".into(), &["/2"]),
        (String::new(), &["/1"]),
    ];
    for (csv, pointers) in cases {
        let reply = put_list(&server, "poor", csv).refused(422, "invalid_request");
        let found: Vec<String> = reply.faults().iter().filter_map(|one| Some(one.split_once(' ')?.0.into())).collect();
        assert_eq!(&found, pointers, "{}", reply.text());
        assert!(!reply.text().contains(&wrong), "{}", reply.text());
        assert_eq!(get_list(&server, "poor").ok().json, good.json);
    }
    put_list(&server, "worse", "document_type,person_digest\ncn_id,\n").refused(422, "invalid_request");
    get_list(&server, "worse").refused(404, "not_found");
    assert!(!server.log_tail().contains(&people[0].number));
}

#[test]
fn a_quote_inside_a_cell_loses_no_row_and_quotes_that_do_not_fit_refuse_the_file() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let header = "document_type,person_digest\n";
    let rows: String = ["d0", "d\"1", "d2", "d\"3", "d4"].iter().map(|digest| format!("cn_id,{digest}\n")).collect();
    let taken = put_list(&server, "quoted", &format!("{header}{rows}")).ok();
    assert_eq!(taken.int("count"), 5, "one member for each row: {}", taken.text());
    let digest = digest_of("d");
    for (rows, faults) in [
        (format!("cn_id,{digest}\ncn_id,\"d1\ncn_id,d2\n"), &["/3 quotes_do_not_fit"][..]),
        (format!("cn_id,\"{digest}\"x\n"), &["/2 quotes_do_not_fit"]),
        (
            format!("cn_id,d 1\ncn_id,{digest}\ncn_id,{}\n", &digest[1..]),
            &["/2/person_digest bad_digest", "/4/person_digest bad_digest"],
        ),
    ] {
        let reply = put_list(&server, "quoted", &format!("{header}{rows}")).refused(422, "invalid_request");
        assert_eq!(reply.faults(), faults, "{}", reply.text());
        assert_eq!(get_list(&server, "quoted").ok().json, taken.json);
    }
}

#[test]
fn a_list_belongs_to_its_program_and_is_written_by_officers() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    put_list(&server, "ours", &csv_of(&Resident::many(1))).ok();
    let stranger = server.create_key("officer", "another-city");
    server.office_as(&stranger, "GET", "/v1/lists/ours", None).refused(404, "not_found");
    let theirs = put_list_as(&server, &stranger, "ours", &csv_of(&Resident::many(2))).ok();
    assert_eq!((theirs.int("version"), theirs.int("count")), (1, 2));
    assert_eq!(get_list(&server, "ours").ok().int("count"), 1);
    let auditor = server.create_key("auditor", "another-city");
    put_list_as(&server, &auditor, "ours", "merchant_id\nm\n").refused(403, "forbidden");
    put_list(&server, "a%2Fb", "merchant_id\nm\n").refused(422, "invalid_request");
}
