//! The repository's own rules, checked as text: who may import whom, how long things are, what
//! every script says about itself, and that the tables in the documents are true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Server;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const FILE_BYTES: u64 = 512 * 1024;

/// Refusals that a script gives to the node itself: the engine acts on them and nobody sees them.
const TO_THE_NODE: &[&str] =
    &["attempt_void", "empty", "excluded", "intent_void", "max_packs", "pay_code_taken", "plan_stale"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct File {
    /// Relative to the root, with forward slashes.
    path: String,
    bytes: u64,
    text: String,
}

/// All files of the tree that are not made by running it.
fn files() -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let made = ["target", ".git", ".quanyu", "node_modules"].contains(&name.as_str());
            if path.is_dir() && !made {
                folders.push(path);
            } else if path.is_file() {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &PathBuf) -> File {
    let bytes = fs::read(path).expect("a file of the tree can be read");
    let relative = path.strip_prefix(root()).expect("it is below the root");
    File {
        path: relative.to_string_lossy().replace('\\', "/"),
        bytes: bytes.len() as u64,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn below(folder: &str, ending: &str) -> Vec<File> {
    files().into_iter().filter(|f| f.path.starts_with(folder) && f.path.ends_with(ending)).collect()
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

#[track_caller]
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// Code without comment lines, with its line numbers.
fn code(file: &File) -> Vec<(usize, &str)> {
    let lines = file.text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

/// The word stands alone: `redis` is in `redis::Client` but not in `my_redis`.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '-')
    })
}

#[test]
fn the_layers_import_only_what_lies_below_them() {
    let forbidden: &[(&str, &[&str])] = &[
        (
            "src/domain/",
            &[
                "crate::store",
                "crate::engine",
                "crate::http",
                "crate::app",
                "redis::",
                "tokio::",
                "actix_web",
                "std::fs",
                "rand::",
                "SystemTime",
            ],
        ),
        ("src/store/", &["crate::engine", "crate::http", "crate::app", "actix_web"]),
        ("src/engine/", &["crate::http", "crate::app", "actix_web", "StatusCode", "redis::", "deadpool"]),
        ("src/http/", &["redis::", "deadpool", "crate::store::keys"]),
        ("src/certify/", &["crate::engine", "crate::store", "crate::http", "crate::app"]),
        ("src/verify/", &["crate::engine", "crate::store", "crate::http", "redis::"]),
    ];
    let mut found = Vec::new();
    for (folder, words) in forbidden {
        for file in below(folder, ".rs") {
            for (at, line) in code(&file) {
                for word in words.iter().filter(|word| names(line, word)) {
                    found.push(format!("{}:{at} names {word}", file.path));
                }
            }
        }
    }
    assert_none("a layer reaches up or out", found);
}

#[test]
fn redis_is_known_only_to_the_store_and_actix_only_to_http() {
    let mut found = Vec::new();
    for file in below("src/", ".rs") {
        let store = file.path.starts_with("src/store");
        let http = file.path.starts_with("src/http") || ["src/app.rs", "src/main.rs"].contains(&file.path.as_str());
        for (at, line) in code(&file) {
            let redis = ["redis::", "deadpool_redis"].iter().any(|word| names(line, word));
            if redis && !store {
                found.push(format!("{}:{at} knows Redis", file.path));
            }
            if names(line, "actix_web") && !http {
                found.push(format!("{}:{at} knows actix", file.path));
            }
        }
    }
    assert_none("a crate is used outside its layer", found);
}

#[test]
fn what_loads_the_server_shares_no_code_with_it() {
    let mut found = Vec::new();
    for folder in ["client/", "loadtest/"] {
        for file in files().iter().filter(|f| f.path.starts_with(folder)) {
            let knows = match file.path.rsplit('.').next() {
                Some("toml") => file.text.contains("quanyu"),
                Some("rs") => code(file).iter().any(|(_, line)| line.contains("quanyu::")),
                _ => false,
            };
            found.extend(knows.then(|| file.path.clone()));
        }
    }
    assert_none("the server's crate is known here", found);
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let mut found = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        let counted = file.path.ends_with(".rs") || file.path.ends_with(".lua");
        if counted && lines > FILE_LINES {
            found.push(format!("{} has {lines} lines", file.path));
        }
    }
    assert_none("a file is too long", found);
}

#[test]
fn no_function_is_longer_than_seventy_lines() {
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.path.ends_with(".rs")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !starts_function(line) {
                continue;
            }
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = format!("{indent}}}");
            let length = lines[at..].iter().position(|line| **line == end).unwrap_or(0) + 1;
            if length > FUNCTION_LINES {
                found.push(format!("{}:{} has {length} lines", file.path, at + 1));
            }
        }
    }
    assert_none("a function is too long", found);
}

fn starts_function(line: &str) -> bool {
    let words = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe"];
    let mut rest = line.trim_start();
    while let Some((word, after)) = rest.split_once(' ')
        && words.contains(&word)
    {
        rest = after;
    }
    rest.starts_with("fn ") && !line.ends_with(';') && !line.ends_with('}')
}

#[test]
fn every_script_says_what_it_is_for_what_it_takes_answers_and_keeps() {
    let mut found = Vec::new();
    for file in below("src/store/lua/", ".lua") {
        let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("--")).collect();
        let has = |start: &str| head.iter().any(|line| line.starts_with(start));
        // A library of shared functions is put in front of scripts: it has no reply of its own.
        let library = !file.text.lines().any(|line| line.starts_with("return"));
        let wanted: &[&str] = if library { &[] } else { &["-- KEYS", "-- ARGV", "-- Replies: ", "-- Keeps: "] };
        let takes_nothing = !file.text.contains("ARGV[") && !file.text.contains("members");
        let wanted = wanted.iter().filter(|start| !(takes_nothing && **start == "-- ARGV"));
        let missing: Vec<&&str> = wanted.filter(|start| !has(start)).collect();
        let purpose = head.first().is_some_and(|line| line.len() > 20 && !line.starts_with("-- KEYS"));
        if !missing.is_empty() || !purpose {
            found.push(format!("{}: purpose {purpose}, missing {missing:?}", file.path));
        }
    }
    assert_none("a script has no full header", found);
}

#[test]
fn every_refusal_a_script_names_is_in_the_refusal_table() {
    let table = text("src/domain/refusal.rs").expect("the refusal table");
    let mut found = Vec::new();
    for file in below("src/store/lua/", ".lua") {
        let head = file.text.lines().take_while(|line| line.starts_with("--"));
        let replies = head
            .skip_while(|line| !line.starts_with("-- Replies: "))
            .take_while(|line| !line.starts_with("-- Keeps: "));
        let told: BTreeSet<String> = replies.flat_map(refused_codes).collect();
        let body: BTreeSet<String> =
            file.text.lines().filter(|line| !line.trim_start().starts_with("--")).flat_map(literal_refusals).collect();
        let known = |code: &str| table.contains(&format!("\"{code}\"")) || TO_THE_NODE.contains(&code);
        for code in told.union(&body).filter(|code| !known(code)) {
            found.push(format!("{}: {code} is not in the table", file.path));
        }
        for code in body.difference(&told) {
            found.push(format!("{}: {code} is not in the header's Replies", file.path));
        }
    }
    let engine = below("src/", ".rs");
    for code in TO_THE_NODE.iter().filter(|code| !engine.iter().any(|f| f.text.contains(&format!("\"{code}\"")))) {
        found.push(format!("{code} is answered to the node, which does not know it"));
    }
    assert_none("scripts and the refusal table differ", found);
}

/// `refused reservation_full {..}; refused ...` in a header.
fn refused_codes(line: &str) -> Vec<String> {
    let snake = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = line.match_indices("refused ").map(|(at, word)| &line[at + word.len()..]);
    words
        .map(|rest| rest.chars().take_while(|c| snake(*c)).collect::<String>())
        .filter(|code| !code.is_empty())
        .collect()
}

/// `{ 'refused', 'reservation_full' }` in the body.
fn literal_refusals(line: &str) -> Vec<String> {
    let parts = line.split("'refused', '").skip(1);
    parts.filter_map(|rest| rest.split('\'').next()).map(str::to_string).collect()
}

#[test]
fn no_script_reads_a_clock_or_rolls_dice_beyond_the_shared_guard() {
    let mut found = Vec::new();
    for file in below("src/store/lua/", ".lua") {
        let library = file.path.ends_with("/lib.lua");
        for (at, line) in file.text.lines().enumerate().filter(|(_, line)| !line.starts_with("--")) {
            let clock = line.contains("'TIME'") && !library;
            if clock || line.contains("math.random") || line.contains("error_reply") || line.contains("'KEYS'") {
                found.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    assert_none("a script is not a pure judge of its arguments", found);
}

#[test]
fn keys_of_the_store_are_named_in_one_file() {
    let tags = ["{{s{", "{{m{", "{{i{", "\"{cfg}", "'{cfg}", "'{s", "'{m", "'{i"];
    let mut found = Vec::new();
    let all = below("src/", ".rs").into_iter().chain(below("src/", ".lua"));
    for file in all.filter(|file| file.path != "src/store/keys.rs") {
        for (at, line) in code(&file) {
            if tags.iter().any(|tag| line.contains(tag)) {
                found.push(format!("{}:{at}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none("a key is named outside src/store/keys.rs", found);
}

#[test]
fn nothing_is_left_to_be_fixed_and_no_test_sleeps() {
    let marks = [["FIX", "ME"].concat(), ["XX", "X:"].concat()];
    let sleeps = [["thread::", "sleep"].concat(), ["time::", "sleep("].concat()];
    let mut found = Vec::new();
    for file in files() {
        let source = [".rs", ".lua", ".toml", ".md", ".sh", "Makefile"].iter().any(|end| file.path.ends_with(end));
        let test = file.path.starts_with("tests/");
        for (at, line) in file.text.lines().enumerate().filter(|_| source) {
            if marks.iter().any(|mark| line.contains(mark.as_str()))
                || (test && sleeps.iter().any(|sleep| line.contains(sleep.as_str())))
            {
                found.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    assert_none("unfinished work or a sleeping test", found);
}

/// One word for one thing in Chinese too: a reader who meets two words looks for two things.
#[test]
fn chinese_texts_use_the_words_of_the_glossary() {
    let glossary = [("礼包", "券包"), ("轮次", "场次"), ("抽签", "摇号"), ("抽奖", "摇号"), ("撤销", "冲正")];
    let mut found = Vec::new();
    for file in files().into_iter().filter(|file| file.path != "tests/it/tidy.rs") {
        for (at, line) in file.text.lines().enumerate() {
            for (other, word) in glossary.iter().filter(|(other, _)| line.contains(other)) {
                found.push(format!("{}:{}: {word} instead of {other}", file.path, at + 1));
            }
        }
    }
    assert_none("a word that is not the glossary's", found);
}

#[test]
fn the_tree_holds_no_large_file() {
    let large = files().into_iter().filter(|file| file.bytes > FILE_BYTES);
    assert_none("a file is too large", large.map(|file| format!("{}: {} bytes", file.path, file.bytes)).collect());
}

#[test]
fn service_env_lists_exactly_the_settings_of_the_program() {
    let Some(documented) = text("deploy/service.env") else { return };
    let documented: BTreeSet<String> = documented
        .lines()
        .filter_map(|line| line.trim_start_matches('#').trim().split_once('='))
        .map(|(name, _)| name.trim().to_string())
        .filter(|name| name.starts_with("QUANYU_") && !name.contains(' '))
        .collect();
    let mut known = BTreeSet::new();
    for file in below("src/", ".rs") {
        let names = file.text.split("env = \"").skip(1).filter_map(|rest| rest.split('"').next());
        known.extend(names.filter(|name| name.starts_with("QUANYU_")).map(str::to_string));
    }
    assert_eq!(documented, known, "deploy/service.env against the names in src/");
}

#[test]
fn every_test_of_this_crate_is_listed_in_its_main_file() {
    let main = text("tests/it/main.rs").expect("the crate's main file");
    let missing = below("tests/it/", ".rs").into_iter().filter_map(|file| {
        let name = file.path.strip_prefix("tests/it/")?.strip_suffix(".rs")?.to_string();
        let listed = name == "main" || name.contains('/') || main.contains(&format!("mod {name};"));
        (!listed).then_some(name)
    });
    assert_none("a file of tests is compiled by nobody", missing.collect());
}

/// The table rows of the README that name a route, against what the server itself declares.
#[test]
fn the_readmes_route_table_is_the_servers() {
    let Some(readme) = text("README.md") else { return };
    let verbs = ["GET", "POST", "PUT", "DELETE", "PATCH"];
    let mut documented = BTreeSet::new();
    for line in readme.lines().filter(|line| line.starts_with('|')) {
        for part in line.split('`').skip(1).step_by(2) {
            if let Some((verb, path)) = part.split_once(' ')
                && verbs.contains(&verb)
                && path.starts_with('/')
            {
                documented.insert(format!("{verb} {}", unnamed(path)));
            }
        }
    }
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let openapi = server.client.get("/openapi.json").expect("the server answers").json;
    let paths = openapi["paths"].as_object().expect("paths of the OpenAPI document");
    let mut served = BTreeSet::new();
    for (path, item) in paths {
        for verb in item.as_object().into_iter().flat_map(|item| item.keys()) {
            let verb = verb.to_uppercase();
            if verbs.contains(&verb.as_str()) {
                served.insert(format!("{verb} {}", unnamed(path)));
            }
        }
    }
    let difference: Vec<&String> = documented.symmetric_difference(&served).collect();
    assert!(difference.is_empty(), "README and server differ in {difference:?}");
}

/// `/v1/campaigns/{id}` and `/v1/campaigns/{campaign_id}` are the same route.
fn unnamed(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
