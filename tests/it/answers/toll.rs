//! A way to a real store that reads every command, counts those of one request, and meets one of them with a refusal of the server, a
//! connection that breaks, or silence. All others go through.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use crate::harness::redis::OwnRedis;
use quanyu::store::script;

/// What happens to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server refuses it before it runs any of it: it is loading, or has become a replica.
    Refused,
    /// The server has no memory for a write; a read is answered.
    Full,
    /// The connection breaks before the server has the command.
    CutBefore,
    /// The server has run it; the connection breaks before the answer.
    CutAfter,
    /// The server has run it, and no answer ever comes.
    Silence,
}

impl Trouble {
    /// Whether the node can know that the command did nothing.
    pub fn is_certain(self) -> bool {
        matches!(self, Trouble::Refused | Trouble::Full)
    }
}

/// The n-th from now, from 1; or the first of this name.
#[derive(Clone, Copy)]
enum Which {
    Nth(usize),
    Named(&'static str),
}

#[derive(Default)]
struct Plan {
    /// Which command is met, and how.
    armed: Option<(Which, Trouble)>,
    /// Commands since it was armed.
    seen: usize,
    /// The name of the one that was met.
    met: Option<String>,
}

pub struct Toll {
    pub url: String,
    plan: Arc<Mutex<Plan>>,
}

impl Toll {
    pub fn to(redis: &OwnRedis) -> Toll {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let plan = Arc::new(Mutex::new(Plan::default()));
        let (socket, shared) = (redis.url.trim_start_matches("unix://").to_owned(), plan.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(store) = UnixStream::connect(&socket) else { continue };
                let plan = shared.clone();
                std::thread::spawn(move || {
                    let _ = pass(&client, &store, &plan);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Toll { url, plan }
    }

    /// From now on commands are counted, and the n-th has this trouble.
    pub fn arm(&self, n: usize, trouble: Trouble) {
        *self.plan.lock().expect("no panic") = Plan { armed: Some((Which::Nth(n), trouble)), ..Plan::default() };
    }

    /// The next command of this name has this trouble.
    pub fn arm_at(&self, name: &'static str, trouble: Trouble) {
        *self.plan.lock().expect("no panic") = Plan { armed: Some((Which::Named(name), trouble)), ..Plan::default() };
    }

    /// Everything goes through again; the name of the command that was met, if there were as many.
    pub fn disarm(&self) -> Option<String> {
        std::mem::take(&mut *self.plan.lock().expect("no panic")).met
    }
}

/// One command after the other, with its answer: what comes back is never in another order than the client expects.
fn pass(client: &TcpStream, store: &UnixStream, plan: &Mutex<Plan>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut into_client) = (BufReader::new(client), client);
    let (mut from_store, mut into_store) = (BufReader::new(store), store);
    let (mut command, mut answer) = (Vec::new(), Vec::new());
    let (mut name, mut trouble, mut refused) = (String::new(), None, 0);
    loop {
        command.clear();
        let follows = !from_client.buffer().is_empty();
        value(&mut from_client, &mut command)?;
        let before = std::mem::replace(&mut name, name_of(&command));
        // A pipeline of one kind is one call, and its commands have one fate.
        if !(follows && before == name && PIPED.contains(&name.as_str())) {
            trouble = met(&name, plan);
        }
        if let Some(Trouble::Refused | Trouble::Full) = trouble {
            refused = (refused + 1) % REFUSALS.len();
            let text = if trouble == Some(Trouble::Full) { OUT_OF_MEMORY } else { REFUSALS[refused] };
            into_client.write_all(format!("-{text}\r\n").as_bytes())?;
            continue;
        }
        if trouble == Some(Trouble::CutBefore) {
            return Ok(());
        }
        into_store.write_all(&command)?;
        answer.clear();
        value(&mut from_store, &mut answer)?;
        match trouble {
            Some(Trouble::CutAfter) => return Ok(()),
            Some(Trouble::Silence) => return io::copy(&mut from_client, &mut io::sink()).map(drop),
            _ => into_client.write_all(&answer)?,
        }
    }
}

/// One after the other.
const REFUSALS: [&str; 2] =
    ["LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica."];
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// Commands with which a client keeps its connection, and not its caller's.
const OWN: [&str; 7] = ["HELLO", "CLIENT", "PING", "SELECT", "AUTH", "SCRIPT", "UNWATCH"];

/// Commands that are sent in pipelines.
const PIPED: [&str; 3] = ["HGETALL", "HSETNX", "UNLINK"];

fn met(name: &str, plan: &Mutex<Plan>) -> Option<Trouble> {
    if OWN.contains(&name) {
        return None;
    }
    let mut plan = plan.lock().expect("no panic");
    plan.seen += 1;
    let (which, trouble) = plan.armed?;
    let is_it = match which {
        Which::Nth(n) => plan.seen == n,
        Which::Named(wanted) => name == wanted && plan.met.is_none(),
    };
    if !is_it {
        return None;
    }
    let reads = ["HGET", "HMGET", "HGETALL", "HEXISTS", "wallet_read"].contains(&name);
    plan.met = Some(name.to_owned());
    match trouble {
        Trouble::Full if reads => None,
        // Silence takes its time, and pooled connections wait far longer than this test has time for.
        Trouble::Silence if reads || PIPED.contains(&name) => Some(Trouble::CutAfter),
        trouble => Some(trouble),
    }
}

/// The command's own name, or that of its script.
fn name_of(command: &[u8]) -> String {
    let mut words = command.split(|byte| *byte == b'\n').skip(2).step_by(2);
    let mut word = || String::from_utf8_lossy(words.next().unwrap_or_default()).trim_end().to_owned();
    let name = word().to_ascii_uppercase();
    if name != "EVALSHA" {
        return name;
    }
    let hash = word();
    let names: HashMap<&str, &str> = script::ALL.iter().map(|script| (script.hash(), script.name)).collect();
    names.get(hash.as_str()).map_or_else(|| "a script that may fill the store".to_owned(), |name| (*name).to_owned())
}

/// Copies one value of the protocol, whatever it is.
fn value(from: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<()> {
    let mut left = 1usize;
    while left > 0 {
        left -= 1;
        let start = into.len();
        if from.read_until(b'\n', into)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = &into[start..];
        let number = || std::str::from_utf8(&line[1..]).ok().and_then(|text| text.trim().parse::<i64>().ok());
        let number = usize::try_from(number().unwrap_or_default()).unwrap_or_default();
        match line[0] {
            b'*' | b'~' | b'>' => left += number,
            b'%' => left += 2 * number,
            b'$' | b'=' | b'!' if !line.starts_with(b"$-1") => {
                let start = into.len();
                into.resize(start + number + 2, 0);
                from.read_exact(&mut into[start..])?;
            }
            _ => {}
        }
    }
    Ok(())
}
