//! The store as its operator sees it: INFO and CONFIG, and stores of our own with the same settings.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis::{Connection, InfoDict, cmd};

use super::Fault;
use super::process::Process;

/// Settings that decide what a record and a batch cost; a store of ours takes them from the service's.
const SETTINGS: [&str; 7] = [
    "appendfsync",
    "hash-max-listpack-value",
    "hash-max-listpack-entries",
    "stream-node-max-bytes",
    "stream-node-max-entries",
    "maxmemory-policy",
    "no-appendfsync-on-rewrite",
];

pub struct Store {
    pub connection: Connection,
    pub pid: u32,
    pub version: String,
    program: PathBuf,
}

impl Store {
    pub fn open(url: &str) -> Result<Store, Fault> {
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let info: InfoDict = cmd("INFO").arg("server").query(&mut connection)?;
        Ok(Store {
            pid: info.get("process_id").ok_or("the store does not tell its process")?,
            version: info.get("redis_version").unwrap_or_default(),
            program: info.get::<String>("executable").unwrap_or_default().into(),
            connection,
        })
    }

    pub fn used_memory(&mut self) -> Result<i64, Fault> {
        let info: InfoDict = cmd("INFO").arg("memory").query(&mut self.connection)?;
        Ok(info.get("used_memory").unwrap_or_default())
    }

    /// Seconds of processor time that the thread of commands has used: user and system.
    pub fn main_thread_seconds(&mut self) -> Result<[f64; 2], Fault> {
        let info: InfoDict = cmd("INFO").arg("cpu").query(&mut self.connection)?;
        let seconds = |name: &str| info.get::<f64>(name).ok_or_else(|| Fault::new(format!("the store has no {name}")));
        Ok([seconds("used_cpu_user_main_thread")?, seconds("used_cpu_sys_main_thread")?])
    }

    /// Waits out a rewrite of the store's file, which costs a fifth of its speed.
    pub fn settle(&mut self) -> Result<(), Fault> {
        loop {
            let info: InfoDict = cmd("INFO").arg("persistence").query(&mut self.connection)?;
            let busy = |name: &str| info.get::<u8>(name).unwrap_or_default() != 0;
            if !busy("aof_rewrite_in_progress") && !busy("aof_rewrite_scheduled") {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn settings(&mut self) -> Result<HashMap<String, String>, Fault> {
        let mut found = HashMap::new();
        for name in SETTINGS {
            found.extend(cmd("CONFIG").arg("GET").arg(name).query::<HashMap<String, String>>(&mut self.connection)?);
        }
        Ok(found)
    }
}

/// A store that a run has for itself.
pub struct OwnStore {
    pub store: Store,
    _process: Process,
}

impl OwnStore {
    /// The same program with the same settings as the service's store.
    pub fn like(other: &mut Store, folder: &Path) -> Result<OwnStore, Fault> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let folder = made.and_then(|()| folder.canonicalize()).map_err(|error| Fault::new(error.to_string()))?;
        let socket = folder.join("s");
        let mut command = Command::new(&other.program);
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&folder);
        for (name, value) in other.settings()? {
            command.arg(format!("--{name}")).arg(value);
        }
        let mut process = Process::start(&mut command, &folder, "store")?;
        let url = format!("unix://{}", socket.display());
        let store = process.wait_for(&folder.join("store.log"), || Store::open(&url).ok())?;
        Ok(OwnStore { store, _process: process })
    }

    /// While a store is filled, nobody waits for its disk.
    pub fn sync_always(&mut self, always: bool) -> Result<(), Fault> {
        let value = if always { "always" } else { "no" };
        Ok(cmd("CONFIG").arg("SET").arg("appendfsync").arg(value).exec(&mut self.store.connection)?)
    }
}

/// Median microseconds of appending a little to a file of this folder and syncing it, which every answer at D2 waits for.
pub fn fsync_us(folder: &Path) -> std::io::Result<f64> {
    use std::io::Write;
    let path = folder.join("fsync.probe");
    let mut file = std::fs::File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let since = std::time::Instant::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        took.push(since.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(&path)?;
    Ok(super::meter::median(took))
}
