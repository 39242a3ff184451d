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
    assert!(said.contains("has served a store before"), "{said}");
    assert!(!server.data.join("store").exists());
    std::fs::remove_file(server.data.join("store.id")).unwrap();
    let output = server.command(&["audit"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no store has data"), "{said}");
    assert!(!server.data.join("store").exists());
}

/// Neither the service nor a command takes the store that is there for the one that was served.
#[track_caller]
fn assert_not_served(server: &Server, found: &str) {
    let said = server.refused_again();
    for words in ["has served a store before", found, "quanyu forget-store --data", "QUANYU_REDIS_URL"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_commands_refuse(server, found);
}

#[track_caller]
fn assert_commands_refuse(server: &Server, found: &str) {
    let commands: [&[&str]; 3] =
        [&["audit"], &["settle", "2020-07-24"], &["keys", "create", "--role", "officer", "--program", "p"]];
    for arguments in commands {
        let url = server.given_store().map(|url| ["--redis-url", url]);
        let output = server.command(&[arguments, url.as_ref().map_or(&[][..], |url| &url[..])].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && said.contains(found), "{arguments:?}: {said}");
    }
}

#[test]
fn a_data_directory_does_not_begin_again_on_a_lost_store_until_it_is_told_to() {
    let mut server = Server::at(EVE);
    server.stop();
    let store = server.data.join("store");
    std::fs::remove_dir_all(&store).unwrap();
    assert_not_served(&server, "it is empty");
    assert!(!store.exists(), "an empty store was made");
    // An installation whose store id is known and whose key is lost makes no new key either.
    let key = server.data.join("master.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(server.refused_again().contains("has no master.key"));
    assert!(!key.exists(), "a new key was made");
    std::fs::write(&key, kept).unwrap();

    let forgotten = server.command(&["forget-store"]);
    assert!(forgotten.status.success() && forgotten.stdout.starts_with(b"forgotten="), "{forgotten:?}");
    server.restart(None);
    server.assert_audit_clean();
    let running = server.command(&["forget-store"]);
    assert_eq!(running.status.code(), Some(2), "a server runs");
    assert!(server.data.join("store.id").exists());
}

#[test]
fn an_emptied_store_another_database_and_a_forgotten_address_are_not_the_store_that_was_served() {
    let redis = OwnRedis::start();
    let mut first = Server::start(Options { redis_url: Some(format!("{}?db=3", redis.url)), ..Options::at(EVE) });
    first.stop();
    first.name_store(Some(redis.url.clone()));
    assert_not_served(&first, "it is empty");
    first.name_store(None);
    assert_not_served(&first, "it is empty");
    assert!(!first.data.join("store").exists(), "an empty embedded store was made");
    // Another start of the same keys is another store, whatever it holds.
    let other = Server::start(Options { keys_from: Some(first.data.clone()), ..on(&redis) });
    other.stop();
    first.name_store(Some(redis.url.clone()));
    assert_not_served(&first, "another store that began with the same keys");

    first.name_store(Some(format!("{}?db=3", redis.url)));
    first.restart(None);
    first.assert_audit_clean();
    first.stop();
    redis.ask(&["FLUSHALL"]);
    assert_not_served(&first, "it is empty");
}

#[test]
fn a_store_and_a_directory_of_an_older_version_are_bound_to_each_other_at_the_next_start() {
    let redis = OwnRedis::start();
    let mut first = Server::start(on(&redis));
    let second = redis.node(EVE, 1, Some(&first));
    let id = |server: &Server| std::fs::read_to_string(server.data.join("store.id")).unwrap();
    let kept = id(&first);
    assert_eq!((id(&second), redis.ask(&["HGET", "{cfg}:h", "id"])), (kept.clone(), kept.trim().to_owned()));
    first.stop();
    std::fs::remove_file(first.data.join("store.id")).unwrap();
    first.restart(None);
    assert_eq!(id(&first), kept, "the directory has learned it");
    first.stop();
    redis.ask(&["HDEL", "{cfg}:h", "id"]);
    first.restart(None);
    assert_eq!(redis.ask(&["HGET", "{cfg}:h", "id"]), kept.trim(), "the store was restored from before it had one");
    first.assert_audit_clean();
}

#[test]
fn a_live_installation_has_no_key_of_sandbox_tokens_and_makes_no_token() {
    let server = Server::start(Options { sandbox: false, ..Options::at(EVE) });
    let key = server.data.join("sandbox-token.key");
    assert!(!key.exists());
    let claims = r#"{"sub":"a","channel":"wechat"}"#;
    let refused = |when: &str| {
        let output = server.command(&["token", "--claims", claims]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{when}: {said}");
        assert!(output.stdout.is_empty() && said.contains("is no sandbox"), "{when}: {said}");
    };
    refused("without a key");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    refused("with the key that an older version has made");
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
