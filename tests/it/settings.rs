//! The settings as an operator meets them: checked, shown, explained by each command, and listed in both READMEs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use crate::harness::program;

const READMES: [&str; 2] = [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")];

fn quanyu(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program());
    command.env_clear().args(arguments).envs(settings.iter().copied());
    command.output().expect("the program runs")
}

#[test]
fn config_check_names_every_fault_at_once() {
    let output = quanyu(
        &["config", "check", "--store-queue", "1"],
        &[
            ("QUANYU_SHARDS", "0"),
            ("QUANYU_DURABILITY", "D9"),
            ("QUANYU_SANDBOX", "perhaps"),
            ("QUANYU_LOG", "quanyu=loud"),
            ("QUANYU_TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
            ("QUANYU_RATE_TIL", "9"),
            ("QUANYU_COLOUR", "red"),
            ("QUANYU_TEST_SEED", "1"),
            ("OTHER", "1"),
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(output.stdout, b"settings=refused\n");
    for start in [
        "QUANYU_COLOUR is no setting.",
        "QUANYU_RATE_TIL is no setting. Did you mean QUANYU_RATE_TILL?",
        "QUANYU_STORE_QUEUE: invalid value '1'",
        "QUANYU_SHARDS: invalid value '0'",
        "QUANYU_DURABILITY: invalid value 'D9'",
        "QUANYU_SANDBOX: invalid value 'perhaps'",
        "QUANYU_TRUSTED_PROXIES: invalid value '10.0.0.0/8,proxy'",
        "QUANYU_LOG=\"quanyu=loud\"",
    ] {
        assert_eq!(said.lines().filter(|line| line.starts_with(start)).count(), 1, "{start}:\n{said}");
    }
    assert_eq!(said.lines().count(), 8, "{said}");

    let output = quanyu(&["config", "check"], &[("QUANYU_DURABILITY", "D3")]);
    assert_eq!(output.status.code(), Some(1), "the service would not start");
    let output = quanyu(&["config", "check", "--shards", "255"], &[("QUANYU_LOG", "info"), ("OTHER", "1")]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"settings=ok\n"[..]));
}

#[test]
fn config_check_judges_what_no_form_shows_and_the_service_does_not_start_with_it() {
    let faulty = [
        ("QUANYU_LISTEN", "localhost", "an address and a port"),
        ("QUANYU_REDIS_URL", "http://store:6379", "redis://, rediss:// or unix://"),
        ("QUANYU_DURABILITY", "D3", "declare D2"),
        ("QUANYU_STORE_BINARY", "/nowhere/valkey-server", "/nowhere/valkey-server"),
        ("QUANYU_LOG", "inof,quanyu::acess=debug,actix_server=warn", "quanyu::acess"),
        ("QUANYU_CLOCK", "2020-07-24T18:00:00+08:00", "QUANYU_SANDBOX"),
    ];
    let settings = faulty.map(|(name, value, _)| (name, value));
    let output = quanyu(&["config", "check"], &settings);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"settings=refused\n"[..]), "{said}");
    for (name, _, words) in faulty {
        let told: Vec<&str> = said.lines().filter(|line| line.starts_with(&format!("{name}: "))).collect();
        assert!(told.iter().any(|line| line.contains(words)), "{name} {words}:\n{said}");
    }
    // Of the log both names that nothing logs under, and the nearest one that something does.
    assert_eq!(said.lines().count(), faulty.len() + 1, "{said}");
    assert!(said.contains("\"inof\"") && said.contains("quanyu::access"), "{said}");
    for fault in settings {
        let data = crate::harness::Scratch::new("quanyu-faulty");
        let data = data.path.to_str().expect("a path");
        let output = quanyu(&["serve", "--data", data], &[fault]);
        assert_eq!(output.status.code(), Some(2), "{fault:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(fault.0), "{fault:?}");
    }
}

#[test]
fn config_check_takes_what_the_service_takes() {
    for settings in [
        &[("QUANYU_LISTEN", "[::1]:0"), ("QUANYU_REDIS_URL", "unix:///run/store.sock")][..],
        &[("QUANYU_LISTEN", "localhost:8080"), ("QUANYU_REDIS_URL", "rediss://me:secret@store:6380/1")],
        &[("QUANYU_CLOCK", "2020-07-24T18:00:00+08:00"), ("QUANYU_SANDBOX", "true")],
        &[("QUANYU_LOG", "warn,quanyu=info,quanyu::access=debug,quanyu::store::batch=off,actix_http=error")],
    ] {
        let output = quanyu(&["config", "check"], settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{settings:?}");
    }
}

#[test]
fn an_empty_value_is_the_default_to_the_service_and_to_every_command() {
    let defaults = shown();
    let empty: Vec<(&str, &str)> = defaults.keys().map(|name| (name.as_str(), "")).collect();
    let output = quanyu(&["config", "check"], &empty);
    assert_eq!(output.stdout, b"settings=ok\n", "{}", String::from_utf8_lossy(&output.stderr));
    let output = quanyu(&["config", "show"], &empty);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines, defaults.iter().map(|(name, value)| format!("{name}={value}")).collect());
    let nowhere = crate::harness::Scratch::new("quanyu-empty");
    let data = nowhere.path.to_str().expect("a path");
    for command in ["audit", "token", "serve"] {
        let more: &[&str] = match command {
            "token" => &["--claims", "{}"],
            "serve" => &["--durability", "D3"],
            _ => &[],
        };
        let output = quanyu(&[&[command, "--data", data], more].concat(), &empty);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("holds no installation") || said.contains("declare D2"), "{command}: {said}");
    }
}

#[test]
fn the_file_of_settings_is_taken_as_it_stands_and_its_misspelt_and_repeated_names_are_told() {
    let scratch = crate::harness::Scratch::new("quanyu-file");
    let file = scratch.path.join("service.env");
    let path = file.to_str().expect("a path");
    let shipped: Vec<String> = include_str!("../../deploy/service.env")
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| rest.starts_with("QUANYU_")).unwrap_or(line).to_owned())
        .collect();
    let check = |text: &str| {
        std::fs::write(&file, text).expect("the file can be written");
        let output = quanyu(&["config", "check", "--config", path], &[("quanyu_log", "info")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let lower = "quanyu_log is no setting. Did you mean QUANYU_LOG?".to_owned();
    assert_eq!(
        check(&shipped.join("\n")),
        (Some(1), vec![lower.clone()]),
        "as it is shipped, with every line in force"
    );
    let (code, said) = check("QUANYU_WORKERS=2\nquanyu_workers=2\nPASSWORD=x\nQUANYU_WORKERS=3\nQUANYU_WORKERS=4\n");
    let expected = [
        "PASSWORD is no setting.".to_owned(),
        lower,
        "quanyu_workers is no setting. Did you mean QUANYU_WORKERS?".to_owned(),
        format!("QUANYU_WORKERS stands more than once in {path}, and the first line counts."),
    ];
    assert_eq!((code, said), (Some(1), expected.to_vec()));
}

/// Every setting with its default, as the program shows it.
fn shown() -> BTreeMap<String, String> {
    let output = quanyu(&["config", "show"], &[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The settings that a command's help explains.
fn explained(command: &str) -> BTreeSet<String> {
    let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let output = quanyu(&arguments, &[]);
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split("[env: ").skip(1).filter_map(|rest| rest.split('=').next()).map(str::to_owned).collect()
}

#[test]
fn the_help_of_a_command_explains_the_settings_that_it_uses() {
    let all: BTreeSet<String> = shown().into_keys().collect();
    assert_eq!(explained("serve"), all);
    assert_eq!(explained("config show"), all);
    let names = |text: &str| text.split_whitespace().map(|name| format!("QUANYU_{name}")).collect::<BTreeSet<_>>();
    let beside =
        "DATA REDIS_URL DURABILITY STORE_BINARY STORE_MEMORY_MIB STORE_CONNECTIONS STORE_DEADLINE_MS STORE_QUEUE";
    for (command, used) in [
        ("audit", beside),
        ("settle", beside),
        ("keys create", beside),
        ("token", "DATA"),
        ("pos-certify", "DATA"),
        ("verify-draw", ""),
        ("sign", ""),
        ("rehearse", ""),
        ("config check", ""),
    ] {
        assert_eq!(explained(command), names(used), "{command}");
    }
    let output = quanyu(&["keys", "create", "--help"], &[]);
    let help = String::from_utf8_lossy(&output.stdout);
    let [own, settings] = ["--role <", "--data <"].map(|option| help.find(option).expect("it is explained"));
    assert!(own < settings, "its own options come first:\n{help}");
}

#[test]
fn both_readmes_list_every_setting_with_its_default() {
    for readme in READMES {
        let rows = readme.lines().filter(|line| line.starts_with("| `QUANYU_"));
        let listed: Vec<(String, String)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
                (cells[1].to_owned(), cells[2].to_owned())
            })
            .collect();
        assert_eq!(listed.iter().cloned().collect::<BTreeMap<_, _>>(), shown());
        assert_eq!(listed.len(), shown().len(), "each once");
    }
}
