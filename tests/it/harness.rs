//! Real `quanyu serve` processes, driven only over HTTP.
//!
//! A test starts a `Server` (its own data directory, port and Redis child) or takes the shared
//! `Market` of its module. Nothing here knows the source of the service: identities, signatures
//! and draws are computed by small code of our own, so a mistake is not made twice.

pub mod client;
pub mod described;
pub mod fixture;
pub mod identity;
pub mod manners;
pub mod proof;
pub mod random;
pub mod redis;
pub mod till;
pub mod verbs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use serde_json::Value;

/// Started servers answer `readyz` within this time even on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(10);

pub struct Server {
    pub data: PathBuf,
    pub client: Client,
    pub admin_key: String,
    token_key: Vec<u8>,
    log: PathBuf,
    process: Mutex<Option<Child>>,
    /// Ends the server when this test process ends without dropping us (statics, aborts): the
    /// guard reads a pipe that only we hold open.
    guard: Mutex<Child>,
    options: Options,
    _scratch: Scratch,
}

pub struct Options {
    /// The campaign clock at the start, RFC 3339. It stands still until a test moves it.
    pub clock: String,
    pub four_eyes: bool,
    /// An own Redis for several processes; without it `serve` starts its embedded child.
    pub redis_url: Option<String>,
    /// Processes on one Redis share key files: copied from this data directory before the start.
    pub keys_from: Option<PathBuf>,
    /// Shards of the installation; processes on one Redis have the same number.
    pub shards: u8,
    pub pay_code_seconds: Option<u32>,
    /// Without it the server is live: its clock is the store's, and nobody moves it.
    pub sandbox: bool,
    /// Further settings by their names in the environment.
    pub settings: Vec<(&'static str, String)>,
}

impl Options {
    pub fn at(clock: &str) -> Options {
        Options {
            clock: clock.to_string(),
            four_eyes: false,
            redis_url: None,
            keys_from: None,
            shards: 1,
            pay_code_seconds: None,
            sandbox: true,
            settings: Vec::new(),
        }
    }
}

impl Server {
    /// Starts a sandbox whose clock stands still at `clock`.
    pub fn at(clock: &str) -> Server {
        Server::start(Options::at(clock))
    }

    pub fn start(options: Options) -> Server {
        let scratch = Scratch::new("quanyu-it");
        let data = data_in(&scratch, &options);
        let log = scratch.path.join("server.log");
        let mut child = spawn(&options, &data, &log, Some(&options.clock));
        let guard = guard_of(&child, &scratch.path);
        let listen = wait_for_address(&mut child, &data, &log);
        let read = |name: &str| fs::read_to_string(data.join(name)).unwrap_or_default().trim().to_string();
        let server = Server {
            client: Client::new(&listen),
            admin_key: read("admin.key"),
            token_key: hex::decode(read("sandbox-token.key")).expect("the token key is hex"),
            data: data.clone(),
            log,
            process: Mutex::new(Some(child)),
            guard: Mutex::new(guard),
            options,
            _scratch: scratch,
        };
        server.wait_ready();
        if server.options.sandbox {
            server.set_clock_text(&server.options.clock);
        }
        server
    }

    /// What a server says that must not start, which it ends with the code of commands that could not.
    #[track_caller]
    pub fn refused(options: Options) -> String {
        let scratch = Scratch::new("quanyu-it");
        let data = data_in(&scratch, &options);
        refused_on(&options, &data, &scratch.path.join("server.log"))
    }

    /// The same on the data of this server, which has been stopped.
    #[track_caller]
    pub fn refused_again(&self) -> String {
        refused_on(&self.options, &self.data, &self.log)
    }

    /// Starts the server again on its data, with the campaign clock of the start if one is named.
    pub fn restart(&mut self, clock: Option<&str>) {
        self.stop();
        let _ = fs::remove_file(self.data.join("instance.json"));
        let mut child = spawn(&self.options, &self.data, &self.log, clock);
        let old = std::mem::replace(self.guard.get_mut().unwrap(), guard_of(&child, &self._scratch.path));
        end(old);
        self.client = Client::new(&wait_for_address(&mut child, &self.data, &self.log));
        *self.process.get_mut().unwrap() = Some(child);
        self.wait_ready();
    }

    /// Tells the process to end and does not wait for it.
    pub fn tell_to_end(&self) {
        let process = self.process.lock().unwrap();
        let child = process.as_ref().expect("a server that runs");
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    }

    /// The code with which the process has ended by itself.
    pub fn ended(&self) -> Option<i32> {
        let mut process = self.process.lock().unwrap();
        process.as_mut().and_then(|child| child.try_wait().ok().flatten()).and_then(|status| status.code())
    }

    fn wait_ready(&self) {
        let last = Mutex::new(String::new());
        let ready = poll(START_DEADLINE, || match self.client.get("/readyz") {
            Ok(reply) if reply.status == 200 => Some(()),
            Ok(reply) => {
                *last.lock().unwrap() = format!("{} {}", reply.status, reply.text());
                None
            }
            Err(error) => {
                *last.lock().unwrap() = error.to_string();
                None
            }
        });
        if ready.is_none() {
            panic!("the server is not ready: {}\n{}", last.lock().unwrap(), tail(&self.log));
        }
    }

    /// Runs another command of the same program on this instance's data directory.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(program()).args(arguments).arg("--data").arg(&self.data).output().expect("the program can be run")
    }

    /// `quanyu keys create`: prints the key alone.
    pub fn create_key(&self, role: &str, program: &str) -> String {
        let output = self.command(&["keys", "create", "--role", role, "--program", program]);
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "keys create failed: {text} {errors}");
        assert!(text.starts_with("qk_") && !text.contains(char::is_whitespace), "key: {text:?}");
        text
    }

    /// The audit works beside the running server: 0 clean, 1 findings, 2 could not look.
    #[track_caller]
    pub fn assert_audit_clean(&self) {
        let output = self.command(&["audit"]);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "audit: {text}\n{errors}");
    }

    /// Ends the process; the data directory and what a given Redis holds stay.
    pub fn stop(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            terminate(&mut child);
        }
    }

    /// Ends the process as a power cut would: nothing is finished and nobody is told.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lines of the log with these words.
    pub fn told(&self, words: &str) -> usize {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.contains(words)).count()
    }

    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let mut guard = self.guard.lock().unwrap();
        let _ = guard.kill();
        let _ = guard.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log, last lines ---\n{}", tail(&self.log));
        }
    }
}

fn data_in(scratch: &Scratch, options: &Options) -> PathBuf {
    let data = scratch.path.join("data");
    fs::create_dir_all(&data).expect("the data directory can be made");
    if let Some(other) = &options.keys_from {
        for name in ["master.key", "sandbox-token.key", "admin.key"] {
            let copied = fs::copy(other.join(name), data.join(name));
            // A live installation has no key of sandbox tokens.
            assert!(copied.is_ok() || name == "sandbox-token.key", "{name}: {copied:?}");
        }
    }
    data
}

#[track_caller]
fn refused_on(options: &Options, data: &Path, log: &Path) -> String {
    let mut child = spawn(options, data, log, Some(&options.clock));
    let ended = poll(START_DEADLINE, || child.try_wait().ok().flatten());
    if ended.is_none() {
        end(child);
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    assert_eq!(ended.and_then(|status| status.code()), Some(2), "{text}");
    text
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_quanyu")
}

fn spawn(options: &Options, data: &Path, log: &Path, clock: Option<&str>) -> Child {
    let file = File::create(log).expect("the log can be written");
    let mut command = Command::new(program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    if options.sandbox {
        command.arg("--sandbox").args(clock.iter().flat_map(|clock| ["--clock", *clock]));
    }
    if options.four_eyes {
        command.arg("--four-eyes");
    }
    // Tests act for one person faster than people do; taps keep their limit, which is a promise.
    for caller in ["OFFICE", "RESIDENT", "TILL", "ANONYMOUS"] {
        command.env(format!("QUANYU_RATE_{caller}"), "100000");
    }
    command.env("QUANYU_SHARDS", options.shards.to_string());
    if let Some(url) = &options.redis_url {
        command.env("QUANYU_REDIS_URL", url);
    }
    if let Some(seconds) = options.pay_code_seconds {
        command.env("QUANYU_PAY_CODE_SECONDS", seconds.to_string());
    }
    command.envs(options.settings.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null());
    command.stdout(file.try_clone().expect("the log handle can be shared")).stderr(file);
    command.spawn().expect("quanyu serve can be started")
}

fn guard_of(child: &Child, scratch: &Path) -> Child {
    let script = "cat >/dev/null; kill -TERM $1 2>/dev/null; n=0; \
                  while kill -0 $1 2>/dev/null && [ $n -lt 60 ]; do n=$((n+1)); sleep 0.05; done; \
                  kill -KILL $1 2>/dev/null; rm -rf -- \"$2\"";
    Command::new("sh")
        .args(["-c", script, "guard", &child.id().to_string()])
        .arg(scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell can be started")
}

fn wait_for_address(child: &mut Child, data: &Path, log: &Path) -> String {
    let address = poll(START_DEADLINE, || {
        if let Ok(Some(status)) = child.try_wait() {
            panic!("quanyu serve ended at the start with {status}\n{}", tail(log));
        }
        let text = fs::read_to_string(data.join("instance.json")).ok()?;
        let instance: Value = serde_json::from_str(&text).ok()?;
        Some(instance["listen"].as_str()?.to_string())
    });
    address.unwrap_or_else(|| panic!("instance.json was not written\n{}", tail(log)))
}

/// Asks a process to end (so that it ends its own Redis child) and insists after a while.
pub fn terminate(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    if poll(STOP_DEADLINE, || child.try_wait().ok().flatten()).is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let wanted = if std::env::var_os("TEST_LOG").is_some() { usize::MAX } else { 40 };
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(wanted)..].join("\n")
}

/// Asks again, a little later each time, until the answer is there or the deadline has passed.
/// This is the only wait in the tests.
pub fn poll<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(60));
    }
}

/// Waits for a condition that background work makes true. Some of it rests several times as long as it works, and on a busy machine that
/// takes its time.
#[track_caller]
pub fn wait_until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match poll(Duration::from_secs(60), probe) {
        Some(found) => found,
        None => panic!("waited in vain until {what}"),
    }
}

/// A directory with a short name (Unix sockets allow 108 characters), removed when dropped.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch directory can be made");
        Scratch { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::env::var_os("TEST_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Runs the same closure on `count` threads that start together and collects the answers.
pub fn together<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..count)
            .map(|index| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    barrier.wait();
                    work(index)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no client panics")).collect()
    })
}
