//! The sandbox under rehearsal: found running, or started as a child of the same executable.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::process::{Child, Command};

use super::campaign::Scenario;
use super::{Options, RehearsalError, Result, io_error};

/// The first start writes keys and starts a private store, which may take a while on a busy machine.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(30);

pub struct Server {
    pub address: SocketAddr,
    pub data: PathBuf,
    pub admin_key: String,
    pub token_key: Vec<u8>,
    child: Option<Child>,
    /// Only a directory that the rehearsal made for itself may be removed by it.
    own_data: bool,
}

impl Server {
    pub async fn ready(options: &Options, scenario: &Scenario) -> Result<Self> {
        let own_data = options.data.is_none();
        let data = options.data.clone().unwrap_or_else(fresh_directory);
        let (address, child) = match &options.url {
            Some(url) => (resolve(url).await?, None),
            None => match running(&data).await {
                Some(address) => (address, None),
                None => {
                    let (address, child) = start(&data, scenario).await?;
                    (address, Some(child))
                }
            },
        };
        let admin_key = read_key(&data, "admin.key")?;
        let token_key = read_key(&data, "sandbox-token.key")?;
        let token_key = hex::decode(token_key).map_err(|e| broken(format!("sandbox-token.key is not hex: {e}")))?;
        Ok(Self { address, data, admin_key, token_key, child, own_data })
    }

    /// Ends the child as an operator would, so that it can stop its store; `remove` throws its data away.
    pub async fn stop(&mut self, remove: bool) {
        let Some(child) = &mut self.child else { return };
        if let Some(id) = child.id() {
            let asked = Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await;
            if asked.is_err() || tokio::time::timeout(STOP, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
        if remove && self.own_data {
            let _ = std::fs::remove_dir_all(&self.data);
        } else {
            println!("data={}", self.data.display());
        }
    }
}

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Notes for [`stopping`] that the rehearsal was told to stop.
pub async fn note_stop() {
    told_to_stop().await;
    STOPPING.store(true, Ordering::Relaxed);
}

/// Whether the rehearsal was told to stop.
pub fn stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

/// Resolves on Ctrl-C or a polite kill.
pub async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn fresh_directory() -> PathBuf {
    let moment = jiff::Timestamp::now().as_millisecond();
    PathBuf::from("target/rehearse").join(format!("data-{moment}-{}", std::process::id()))
}

async fn start(data: &Path, scenario: &Scenario) -> Result<(SocketAddr, Child)> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|e| io_error(data, e))?;
    let log = data.join("serve.log");
    let out = std::fs::File::create(&log).map_err(|e| io_error(&log, e))?;
    let err = out.try_clone().map_err(|e| io_error(&log, e))?;
    let program = std::env::current_exe().map_err(|e| io_error(Path::new("this executable"), e))?;
    // An hour before the list opens: late enough to be now, early enough for publication to be on time.
    let clock = scenario.wire_time(scenario.reservation.0 - 3_600_000);
    let mut child = Command::new(program)
        .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--clock", &clock, "--data"])
        .arg(data)
        // One key plays the whole office here, and much faster than people would.
        .env("QUANYU_RATE_OFFICE", "100000")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| io_error(Path::new("quanyu serve"), e))?;
    let begun = Instant::now();
    loop {
        if let Some(address) = running(data).await {
            return Ok((address, child));
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() || begun.elapsed() > START {
            let words = std::fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<&str> = words.lines().rev().take(5).collect();
            let why = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            return Err(broken(format!("`quanyu serve` is not ready ({}): {why}", log.display())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The address in instance.json, if a server answers there that it is ready.
async fn running(data: &Path) -> Option<SocketAddr> {
    let text = std::fs::read(data.join("instance.json")).ok()?;
    let instance: Value = serde_json::from_slice(&text).ok()?;
    let address = instance["listen"].as_str()?.parse().ok()?;
    is_ready(address).await.then_some(address)
}

async fn is_ready(address: SocketAddr) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut head).await.is_ok()
        && head.ends_with(b"200")
}

async fn resolve(url: &str) -> Result<SocketAddr> {
    let plain = url.strip_prefix("http://").ok_or_else(|| broken(format!("{url} does not begin with http://")))?;
    let host = plain.trim_end_matches('/');
    let mut found = lookup_host(host).await.map_err(|e| broken(format!("{url}: {e}")))?;
    found.next().ok_or_else(|| broken(format!("{url} has no address")))
}

fn read_key(data: &Path, name: &str) -> Result<String> {
    let path = data.join(name);
    let text = std::fs::read_to_string(&path).map_err(|e| io_error(&path, e))?;
    Ok(text.trim().to_owned())
}

fn broken(why: String) -> RehearsalError {
    RehearsalError::Server(why)
}
