//! The embedded store as a real child process: start, stop, crash, take-over, and what the probe refuses.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quanyu::clock::Clock;
use quanyu::store::embedded::{Embedded, Options, StartError, State, Status};
use quanyu::store::ledger::LedgerReader;
use quanyu::store::probe::{Durability, StoreFacts, measure_fsync_us};
use quanyu::store::{self, Store, StoreError};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

/// A folder of its own for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("qy-{:016x}", rand::random::<u64>())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn start_at_once(data: &Path, durability: Durability) -> Result<Embedded, StartError> {
    Embedded::start(data, Options { binary: None, durability, memory_mib: 0 }).await
}

/// The tests beside this one fork children all the time, and a child keeps a lock that we have closed until it has become another
/// program: so a lock that was just let go may be found taken for a moment.
async fn start(data: &Path, durability: Durability) -> Result<Embedded, StartError> {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        match start_at_once(data, durability).await {
            Err(StartError::InUse(_)) if Instant::now() < end => tokio::task::yield_now().await,
            started => return started,
        }
    }
}

async fn connect(store: &Embedded) -> MultiplexedConnection {
    let client = redis::Client::open(store.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

fn kill_9(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

async fn wait_until(store: &Embedded, condition: impl FnMut(&Status) -> bool) -> Status {
    *store.status().wait_for(condition).await.expect("the store still lives")
}

#[tokio::test]
async fn a_store_starts_answers_and_keeps_its_data_over_an_orderly_stop() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D2).await.unwrap();
    assert_eq!(store.status().borrow().state, State::Ready);
    assert!(store.socket().starts_with(folder.0.canonicalize().unwrap()));
    let mut status = store.status();
    let () = connect(&store).await.set("k", "kept").await.unwrap();
    store.stop().await;
    while status.changed().await.is_ok() {}

    let store = start(&folder.0, Durability::D2).await.unwrap();
    assert_eq!(connect(&store).await.get::<_, String>("k").await.unwrap(), "kept");
}

#[tokio::test]
async fn a_killed_store_comes_back_with_every_answered_write() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D2).await.unwrap();
    for round in 1..=3u32 {
        let before = *store.status().borrow();
        let mut connection = connect(&store).await;
        for n in 0..100 {
            let () = connection.rpush("list", n).await.unwrap();
        }
        kill_9(before.pid.unwrap());
        let after = wait_until(&store, |s| s.state == State::Ready && s.starts > before.starts).await;
        assert_ne!(after.pid, before.pid);
        let length: u32 = connect(&store).await.llen("list").await.unwrap();
        assert_eq!(length, 100 * round);
    }
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_at_once_and_free_after_the_stop() {
    let folder = Folder::new();
    let first = start(&folder.0, Durability::D2).await.unwrap();
    let second = start_at_once(&folder.0, Durability::D2).await;
    assert!(matches!(second, Err(StartError::InUse(_))), "{second:?}");
    assert!(connect(&first).await.ping::<String>().await.is_ok(), "the first one must not notice");
    drop(first);
    start(&folder.0, Durability::D2).await.unwrap().stop().await;
}

#[tokio::test]
async fn the_files_of_a_killed_service_are_taken_over_by_the_next_one() {
    let folder = Folder::new();
    for round in 1..=3u32 {
        let mut service = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &own_name("holds_a_store_until_it_is_killed"), "--ignored", "--nocapture"])
            .env("QUANYU_TEST_DATA", &folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(service.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("holding")), "the service did not start its store");
        service.kill().unwrap();
        service.wait().unwrap();

        let store = start(&folder.0, Durability::D2).await.unwrap();
        assert_eq!(connect(&store).await.llen::<_, u32>("rounds").await.unwrap(), round);
        store.stop().await;
    }
}

#[tokio::test]
#[ignore = "the service of the test above, run by it in a process of its own"]
async fn holds_a_store_until_it_is_killed() {
    let Some(data) = std::env::var_os("QUANYU_TEST_DATA") else { return };
    let store = start(Path::new(&data), Durability::D2).await.unwrap();
    let () = connect(&store).await.rpush("rounds", 1).await.unwrap();
    println!("\nholding");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Name of a test in this file as the test runner knows it.
fn own_name(test: &str) -> String {
    let (_, module) = module_path!().split_once("::").expect("this file is a module of the test crate");
    format!("{module}::{test}")
}

#[tokio::test]
async fn a_long_or_spaced_path_still_gets_a_socket() {
    let folder = Folder::new();
    let spaced = folder.0.join("消费 券 \"a\" 100%");
    let store = start(&spaced, Durability::D2).await.unwrap();
    assert!(store.socket().starts_with(spaced.canonicalize().unwrap()));
    let () = connect(&store).await.set("k", 1).await.unwrap();

    let long = folder.0.join("x".repeat(120));
    let other = start(&long, Durability::D2).await.unwrap();
    assert!(other.socket().as_os_str().len() <= 100);
    let () = connect(&other).await.set("k", 1).await.unwrap();
    let shelter = other.socket().parent().unwrap().to_path_buf();
    other.stop().await;
    fs::remove_dir_all(shelter).unwrap();
}

#[tokio::test]
async fn damaged_files_stop_the_start_with_the_servers_own_words() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D2).await.unwrap();
    let mut connection = connect(&store).await;
    for n in 0..1000 {
        let () = connection.set(n, "a value").await.unwrap();
    }
    store.stop().await;
    let log = newest_log(&folder.0);
    let mut file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.seek(SeekFrom::Start(fs::metadata(&log).unwrap().len() / 2)).unwrap();
    file.write_all(b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").unwrap();
    let damaged = fs::read(&log).unwrap();

    let error = start(&folder.0, Durability::D2).await.unwrap_err();
    assert!(matches!(&error, StartError::Ended { log, .. } if log.contains("Bad file format")), "{error}");
    assert_eq!(fs::read(&log).unwrap(), damaged, "nothing may be repaired without the operator");
}

#[tokio::test]
async fn a_script_whose_record_is_torn_is_absent_as_a_whole() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D2).await.unwrap();
    let log = newest_log(&folder.0);
    let mut connection = connect(&store).await;
    let () = connection.set("earlier", "kept").await.unwrap();
    let whole_before = fs::metadata(&log).unwrap().len();
    let script = redis::Script::new("for i = 1, #KEYS do redis.call('SET', KEYS[i], 'x') end");
    let mut script = script.key("a");
    let () = script.key("b").key("c").invoke_async(&mut connection).await.unwrap();
    store.stop().await;
    let whole = fs::read(&log).unwrap();
    assert!(whole.len() as u64 > whole_before);

    // Every seventh length meets each kind of byte: counts, line ends, names, and the closing EXEC.
    for length in (whole_before..whole.len() as u64).step_by(7) {
        fs::write(&log, &whole[..length as usize]).unwrap();
        let store = start(&folder.0, Durability::D2).await.unwrap();
        let mut connection = connect(&store).await;
        let found: (u32, String) =
            (connection.exists(&["a", "b", "c"]).await.unwrap(), connection.get("earlier").await.unwrap());
        assert_eq!(found, (0, "kept".to_owned()), "cut to {length} of {} bytes", whole.len());
        store.stop().await;
    }
}

fn newest_log(data: &Path) -> PathBuf {
    let logs = fs::read_dir(data.join("store/appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    logs.filter(|path| path.extension().is_some_and(|e| e == "aof")).max().expect("an append-only file")
}

#[tokio::test]
async fn files_of_a_newer_engine_are_refused_untouched() {
    let folder = Folder::new();
    start(&folder.0, Durability::D2).await.unwrap().stop().await;
    let record = folder.0.join("store/engine.json");
    fs::write(&record, r#"{"engine":"valkey","version":"99.1.0"}"#).unwrap();
    let error = start(&folder.0, Durability::D2).await.unwrap_err();
    assert!(matches!(error, StartError::WrittenByNewer(..)), "{error}");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_starts() {
    let folder = Folder::new();
    let options = |binary: &str| Options { binary: Some(binary.into()), durability: Durability::D2, memory_mib: 0 };
    for binary in ["/nowhere/valkey-server", "/bin/echo"] {
        let error = Embedded::start(&folder.0, options(binary)).await.unwrap_err();
        assert!(matches!(&error, StartError::NoBinary(text) if text.contains(binary)), "{error}");
    }
    let error = start(&folder.0, Durability::D3).await.unwrap_err();
    assert!(matches!(error, StartError::NeedsReplicas), "{error}");
}

#[tokio::test]
async fn the_embedded_store_keeps_the_level_it_was_started_with() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D2).await.unwrap();
    let facts = StoreFacts::read(&mut connect(&store).await).await.unwrap();
    assert_eq!(facts.refuse_below(Durability::D2), Ok(()), "{facts:?}");
    assert_eq!(facts.advice(), [] as [String; 0]);
    assert_eq!(facts.version, store.binary().version.to_string());
    assert_eq!(facts.hash_max_listpack_value, Some(128));
    assert!(!facts.run_id.is_empty() && !facts.replication_id.is_empty());
    assert!(facts.refuse_below(Durability::D3).is_err());
}

#[tokio::test]
async fn the_probe_refuses_a_server_below_the_declared_level() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D1).await.unwrap();
    let mut connection = connect(&store).await;
    let cases = [
        ("appendfsync", "everysec", Durability::D1, None),
        ("appendfsync", "everysec", Durability::D2, Some("CONFIG SET appendfsync always")),
        ("appendfsync", "no", Durability::D1, Some("CONFIG SET appendfsync everysec")),
        ("appendfsync", "always", Durability::D2, None),
        ("no-appendfsync-on-rewrite", "yes", Durability::D2, Some("no-appendfsync-on-rewrite no")),
        ("no-appendfsync-on-rewrite", "no", Durability::D2, None),
        ("maxmemory-policy", "allkeys-lru", Durability::D2, Some("maxmemory-policy noeviction")),
        ("maxmemory-policy", "noeviction", Durability::D2, None),
        ("appendonly", "no", Durability::D1, Some("CONFIG SET appendonly yes")),
    ];
    for (name, value, level, expected) in cases {
        let set = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query_async::<()>(&mut connection).await;
        set.unwrap();
        let facts = StoreFacts::read(&mut connection).await.unwrap();
        let refused = facts.refuse_below(level).err().unwrap_or_default();
        match expected {
            None => assert_eq!(refused, [] as [String; 0], "{name} {value} {level}"),
            Some(words) => {
                assert!(matches!(&refused[..], [only] if only.contains(words)), "{name} {value} {level}: {refused:?}")
            }
        }
    }
}

#[tokio::test]
async fn more_fields_than_a_call_can_name_are_read_all_the_same_and_in_their_order() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D1).await.unwrap();
    let mut connection = connect(&store).await;
    let service = Store::open(store::Options::new(store.url()), Clock::live()).await.unwrap();
    let fields: Vec<(String, Vec<u8>)> =
        (0..700).map(|n| (format!("{{s000}}:c{n}:p:0"), b"somebody1".to_vec())).collect();
    for (n, (key, field)) in fields.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        let () = connection.hset(key, field, n).await.unwrap();
    }
    let (_, values) = service.read_together(0, &fields).await.unwrap();
    let wanted = (0..700).map(|n| if n % 3 == 0 { n.to_string().into_bytes() } else { Vec::new() });
    assert_eq!(values, wanted.collect::<Vec<_>>());
    assert_eq!(service.read_together(0, &[]).await.unwrap().1.len(), 0);
    store.stop().await;
}

#[tokio::test]
async fn a_rewrite_makes_the_files_small_and_loses_nothing() {
    let folder = Folder::new();
    let store = start(&folder.0, Durability::D1).await.unwrap();
    let mut connection = connect(&store).await;
    for _ in 0..2000 {
        let () = connection.incr("n", 1).await.unwrap();
    }
    let before = fs::metadata(newest_log(&folder.0)).unwrap().len();
    let service = Store::open(store::Options::new(store.url()), Clock::live()).await.unwrap();
    service.rewrite_aof().await.unwrap();
    while service.aof_facts().await.unwrap().rewriting {
        tokio::task::yield_now().await;
    }
    let after = fs::metadata(newest_log(&folder.0)).unwrap().len();
    assert!(after < before / 10, "{before} bytes before, {after} after");
    store.stop().await;
    let store = start(&folder.0, Durability::D1).await.unwrap();
    assert_eq!(connect(&store).await.get::<_, u32>("n").await.unwrap(), 2000);
}

#[test]
fn the_cost_of_a_sync_is_measured_and_leaves_no_file() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    assert!(measure_fsync_us(&folder.0).unwrap() > 0);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[tokio::test]
async fn residents_who_read_their_ledger_take_no_connection_from_statements_or_jobs() {
    let folder = Folder::new();
    let embedded = start(&folder.0, Durability::D1).await.expect("a store");
    let store = Store::open(store::Options::new(embedded.url()), Clock::live()).await.expect("it is open");
    let mut held = Vec::new();
    let refused = loop {
        match LedgerReader::for_a_person(&store, 0).await {
            Ok(reader) => held.push(reader),
            Err(error) => break error,
        }
        assert!(held.len() < 100, "there is no bound");
    };
    assert_eq!(refused, StoreError::Overloaded);
    assert!(LedgerReader::open(&store, 0).await.is_ok() && store.admin().await.is_ok());
    held.pop();
    assert!(LedgerReader::for_a_person(&store, 0).await.is_ok());
    drop(store);
    embedded.stop().await;
}
