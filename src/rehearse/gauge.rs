//! What a stage cost: processor time of server, store and driver, and the calls that reached the store.
//!
//! The store is asked in its own words over its socket. What cannot be read (a store elsewhere, a system without /proc) is left out.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Linux counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Gauge {
    server: Option<u32>,
    store: Option<u32>,
    socket: Option<PathBuf>,
}

/// Totals since the processes began, or what they grew by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub server_cpu: Option<f64>,
    pub store_cpu: Option<f64>,
    pub driver_cpu: Option<f64>,
    /// Scripts that the store ran; each serves 1 to 64 people.
    pub store_calls: Option<u64>,
}

impl Gauge {
    /// Of the server that runs on the data directory.
    pub fn new(data: &Path) -> Self {
        let note = std::fs::read(data.join("instance.json")).unwrap_or_default();
        let note: Value = serde_json::from_slice(&note).unwrap_or_default();
        let server = note["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let socket = note["redis_url"].as_str().and_then(|url| url.strip_prefix("redis+unix://")).and_then(unescaped);
        let info = socket.as_deref().and_then(|socket| info(socket, "server"));
        let store = info.and_then(|info| figure(&info, "process_id:")).and_then(|pid| u32::try_from(pid).ok());
        Self { server, store, socket }
    }

    pub fn read(&self) -> Reading {
        let calls = self.socket.as_deref().and_then(|socket| info(socket, "commandstats"));
        Reading {
            server_cpu: self.server.and_then(cpu),
            store_cpu: self.store.and_then(cpu),
            driver_cpu: cpu(std::process::id()),
            store_calls: calls.map(|info| figure(&info, "cmdstat_evalsha:calls=").unwrap_or_default()),
        }
    }
}

impl Reading {
    pub fn since(&self, before: &Reading) -> Reading {
        let grown = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        Reading {
            server_cpu: grown(self.server_cpu, before.server_cpu),
            store_cpu: grown(self.store_cpu, before.store_cpu),
            driver_cpu: grown(self.driver_cpu, before.driver_cpu),
            store_calls: self.store_calls.zip(before.store_calls).map(|(now, before)| now.saturating_sub(before)),
        }
    }
}

/// Seconds of processor time, user and system.
fn cpu(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets and may hold spaces.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// A section of the store's own report about itself.
fn info(socket: &Path, section: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("INFO {section}\r\n").as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head).ok()?;
    let length: usize = head.trim_end().strip_prefix('$')?.parse().ok()?;
    let mut body = vec![0; length.min(1 << 20)];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

/// The number that follows `name` at the beginning of a line.
fn figure(info: &str, name: &str) -> Option<u64> {
    let rest = info.lines().find_map(|line| line.strip_prefix(name))?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The path in a URL, whose unusual bytes are written %XX.
fn unescaped(url: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_at_the_beginning_of_a_line() {
        let info =
            "# Commandstats\r\ncmdstat_get:calls=7,usec=3\r\ncmdstat_evalsha:calls=1234,usec=99\r\nprocess_id:42\r\n";
        assert_eq!(figure(info, "cmdstat_evalsha:calls="), Some(1234));
        assert_eq!(figure(info, "process_id:"), Some(42));
        assert_eq!(figure(info, "calls="), None);
    }

    #[test]
    fn a_socket_is_found_whatever_its_folder_is_called() {
        assert_eq!(unescaped("/srv/%E5%88%B8%20100%25/s.sock"), Some(PathBuf::from("/srv/券 100%/s.sock")));
        assert_eq!(unescaped("/srv/%E"), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let gauge = Gauge::new(Path::new("/nowhere"));
        let reading = gauge.read().since(&gauge.read());
        assert!(reading.server_cpu.is_none() && reading.store_calls.is_none());
    }
}
