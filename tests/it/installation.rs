//! What binds a store to its keys, its kind and its shards; what makes an installation and what never does; the clock that a sandbox keeps.

use std::process::Command;

use crate::harness::fixture::EVE;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Scratch, Server, program};

const LATER: &str = "2020-07-20T09:00:00+08:00";

fn on(redis: &OwnRedis) -> Options {
    Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) }
}

#[test]
fn a_command_that_looks_makes_no_installation_and_says_that_it_could_not_look() {
    let scratch = Scratch::new("quanyu-typo");
    let typo = scratch.path.join("typo");
    let commands: [&[&str]; 6] = [
        &["audit"],
        &["settle", "2020-07-24"],
        &["keys", "create", "--role", "officer", "--program", "p"],
        &["token", "--claims", "{}"],
        &["config", "check"],
        &["config", "show"],
    ];
    for arguments in commands {
        let output =
            Command::new(program()).args(arguments).arg("--data").arg(&typo).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        if arguments[0] != "config" {
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains("holds no installation"), "{arguments:?}: {said}");
            assert!(output.stdout.is_empty(), "{arguments:?}");
        }
        assert!(!typo.exists(), "{arguments:?} made {}", typo.display());
    }
}

#[test]
fn a_key_directory_without_a_store_is_no_installation_to_look_at() {
    let server = Server::at(EVE);
    server.stop();
    std::fs::remove_dir_all(server.data.join("store")).unwrap();
    let output = server.command(&["audit"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no store has data"), "{said}");
    assert!(!server.data.join("store").exists());
}

#[test]
fn a_store_takes_only_the_keys_the_kind_and_the_shards_of_its_first_start() {
    let redis = OwnRedis::start();
    let (first, other) = (Server::start(on(&redis)), Server::at(EVE));
    let data = || Some(first.data.clone());
    for (options, words) in [
        (on(&redis), "has no master.key"),
        (Options { keys_from: data(), shards: 2, ..on(&redis) }, "set QUANYU_SHARDS=1"),
        (Options { keys_from: data(), sandbox: false, ..on(&redis) }, "start with --sandbox"),
        (Options { keys_from: Some(other.data.clone()), ..on(&redis) }, "belongs to another master.key"),
    ] {
        let said = Server::refused(options);
        assert!(said.contains(words), "{words}: {said}");
    }
    drop(Server::start(Options { keys_from: data(), ..on(&redis) }));
    first.assert_audit_clean();
}

#[test]
fn a_lost_master_key_is_never_replaced_on_files_that_have_data() {
    let server = Server::at(EVE);
    server.stop();
    let key = server.data.join("master.key");
    let lost = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let said = server.refused_again();
    assert!(said.contains("has no master.key"), "{said}");
    assert!(!key.exists(), "a new key was made");
    assert_eq!(server.command(&["audit"]).status.code(), Some(2));
    std::fs::write(&key, lost).unwrap();
    server.assert_audit_clean();
}

#[test]
fn an_older_store_is_bound_to_the_data_directory_that_has_served_it() {
    let redis = OwnRedis::start();
    let mut first = Server::start(on(&redis));
    first.stop();
    let unbind = ["HDEL", "{cfg}:h", "keys", "manner"];
    assert_eq!(redis.ask(&unbind), "2");
    let stranger = Server::at(EVE);
    let said = Server::refused(Options { keys_from: Some(stranger.data.clone()), ..on(&redis) });
    assert!(said.contains("has not served it"), "{said}");
    first.restart(None);
    assert_eq!(redis.ask(&["HGET", "{cfg}:h", "manner"]), "sandbox");
    assert_eq!(redis.ask(&["HEXISTS", "{cfg}:h", "keys"]), "1");
}

#[test]
fn a_sandbox_keeps_its_clock_over_a_restart_and_a_start_moves_it_forward_only() {
    let mut server = Server::at(EVE);
    let clock = |server: &Server| server.office("GET", "/v1/sandbox/clock", None).ok().str("now").to_string();
    server.set_clock_text(LATER);
    for (start, expected) in
        [(None, LATER), (Some(EVE), LATER), (Some("2020-07-21T09:00:00+08:00"), "2020-07-21T09:00:00+08:00")]
    {
        server.restart(start);
        assert_eq!(clock(&server)[..19], expected[..19], "--clock {start:?}");
    }
    server.kill();
    server.restart(None);
    assert_eq!(clock(&server)[..19], *"2020-07-21T09:00:00");
}

#[test]
fn a_server_of_a_cluster_is_refused_at_the_start_with_the_reason() {
    let said = Server::refused(on(&OwnRedis::of_a_cluster()));
    assert!(said.contains("the store is a Redis Cluster") && said.contains("cluster-enabled no"), "{said}");
}
