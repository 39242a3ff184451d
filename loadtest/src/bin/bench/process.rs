//! Processes that a run starts: nodes of the service, the bare handler, stores of our own. Each ends with the run, whatever happens.

use std::fs::{self, DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Fault, client};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A child that is asked to end when it is dropped, and made to if it does not.
pub struct Process {
    child: Child,
}

impl Process {
    /// Output goes to a file in `folder`, which is made if it is not there.
    pub fn start(command: &mut Command, folder: &Path, name: &str) -> Result<Process, Fault> {
        let log = folder.join(format!("{name}.log"));
        let file = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| File::create(&log));
        let file = file.map_err(|error| Fault::new(format!("{}: {error}", log.display())))?;
        let second = file.try_clone().map_err(|error| Fault::new(error.to_string()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        let child = command.spawn().map_err(|error| Fault::new(format!("{:?}: {error}", command.get_program())))?;
        Ok(Process { child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks until there is an answer; a process that ended meanwhile is a fault with the last lines of its log.
    pub fn wait_for<T>(&mut self, log: &Path, mut probe: impl FnMut() -> Option<T>) -> Result<T, Fault> {
        let begun = Instant::now();
        loop {
            if let Some(found) = probe() {
                return Ok(found);
            }
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begun.elapsed() > START {
                let text = fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().rev().take(5).collect();
                let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(Fault::new(format!("{} is not ready ({ended:?}):\n{last}", log.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node of the service with its keys, as somebody who starts it finds them in the data directory.
pub struct Node {
    pub address: SocketAddr,
    pub data: PathBuf,
    pub redis_url: String,
    pub admin: String,
    pub token_key: String,
    pub process: Process,
}

impl Node {
    /// A sandbox with its private store, or, beside another node, on that node's store and with its keys.
    pub fn start(program: &Path, data: PathBuf, clock: &str, beside: Option<&Node>) -> Result<Node, Fault> {
        DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(|error| Fault::new(error.to_string()))?;
        let mut command = Command::new(program);
        command.args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--clock", clock, "--data"]).arg(&data);
        // One till and one office play thousands; residents and passes keep the limits that the service ships with.
        command.env("QUANYU_RATE_TILL", "1000000").env("QUANYU_RATE_OFFICE", "100000");
        if let Some(other) = beside {
            command.env("QUANYU_REDIS_URL", &other.redis_url);
            for name in ["master.key", "sandbox-token.key", "admin.key"] {
                fs::copy(other.data.join(name), data.join(name)).map_err(|error| Fault::new(error.to_string()))?;
            }
        }
        let mut process = Process::start(&mut command, &data, "serve")?;
        let note: Value = process.wait_for(&data.join("serve.log"), || {
            let note: Value = serde_json::from_slice(&fs::read(data.join("instance.json")).ok()?).ok()?;
            let address = note["listen"].as_str()?.parse().ok()?;
            let ready = client::call(address, "GET", "/readyz", "", &Value::Null).ok()?;
            (ready.status == 200).then_some(note)
        })?;
        let read = |name: &str| fs::read_to_string(data.join(name)).unwrap_or_default().trim().to_owned();
        Ok(Node {
            address: note["listen"].as_str().and_then(|text| text.parse().ok()).ok_or("no address")?,
            redis_url: note["redis_url"].as_str().unwrap_or_default().to_owned(),
            admin: read("admin.key"),
            token_key: read("sandbox-token.key"),
            data,
            process,
        })
    }

    /// A call of the office that must succeed.
    pub fn office(&self, method: &str, path: &str, body: &Value) -> Result<Value, Fault> {
        let answer = client::call(self.address, method, path, &self.admin, body)?;
        match answer.status {
            200..=299 => Ok(answer.json()),
            status => Err(Fault::new(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer.body)))),
        }
    }

    /// Moves the campaign clock and lets it stand there.
    pub fn clock(&self, now: &str) -> Result<(), Fault> {
        self.office("PUT", "/v1/sandbox/clock", &json!({"now": now, "rate": 0})).map(drop)
    }

    /// Waits until a node has heard of a jump that another one made.
    pub fn wait_clock(&mut self, now: &str) -> Result<(), Fault> {
        let (address, admin, log) = (self.address, self.admin.clone(), self.data.join("serve.log"));
        self.process.wait_for(&log, || {
            let answer = client::call(address, "GET", "/v1/sandbox/clock", &admin, &Value::Null).ok()?;
            (answer.json()["now"].as_str()? == now).then_some(())
        })
    }
}

/// The bare handler: this program again, with nothing in it but actix-web.
pub struct Bare {
    pub address: SocketAddr,
    pub process: Process,
}

impl Bare {
    pub fn start(folder: &Path, answer: &Path, workers: usize, redis_url: &str) -> Result<Bare, Fault> {
        let program = std::env::current_exe().map_err(|error| Fault::new(error.to_string()))?;
        let note = folder.join("bare.address");
        let _ = fs::remove_file(&note);
        let mut command = Command::new(program);
        command.arg("bare").arg(answer).arg(&note).arg(workers.to_string()).arg(redis_url);
        let mut process = Process::start(&mut command, folder, "bare")?;
        let address = process.wait_for(&folder.join("bare.log"), || fs::read_to_string(&note).ok()?.parse().ok())?;
        Ok(Bare { address, process })
    }
}
