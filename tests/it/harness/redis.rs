//! A Redis of the test's own on a Unix socket, for several `serve` processes on one store.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Options, Scratch, Server, poll, terminate};

pub struct OwnRedis {
    pub url: String,
    child: Child,
    arguments: Vec<String>,
    scratch: Scratch,
}

impl OwnRedis {
    pub fn start() -> OwnRedis {
        OwnRedis::with_aof("yes")
    }

    /// One that keeps nothing: for tests that never restart it.
    pub fn in_memory() -> OwnRedis {
        OwnRedis::with_aof("no")
    }

    fn with_aof(appendonly: &str) -> OwnRedis {
        OwnRedis::with(appendonly, &[])
    }

    /// A server that belongs to a cluster.
    pub fn of_a_cluster() -> OwnRedis {
        OwnRedis::with("yes", &["--cluster-enabled", "yes"])
    }

    fn with(appendonly: &str, more: &[&str]) -> OwnRedis {
        let scratch = Scratch::new("quanyu-redis");
        let arguments: Vec<String> =
            ["--appendonly", appendonly].iter().chain(more).map(|one| one.to_string()).collect();
        let child = spawn(&scratch, &arguments);
        let url = format!("unix://{}", scratch.path.join("r.sock").display());
        OwnRedis { url, child, arguments, scratch }
    }

    /// Ends it and starts it again on its files.
    pub fn restart(&mut self) {
        terminate(&mut self.child);
        self.child = spawn(&self.scratch, &self.arguments);
    }

    /// One command, answered as a text: a number in digits, nothing as an empty one.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> String {
        let client = ::redis::Client::open(self.url.as_str()).expect("a url");
        let mut connection = client.get_connection().expect("the store listens");
        let mut asked = ::redis::cmd(command[0]);
        let answer: Option<String> = asked.arg(&command[1..]).query(&mut connection).expect("an answer");
        answer.unwrap_or_default()
    }

    /// What the store was asked while something went on: one line a command.
    pub fn hears(&self, work: impl FnOnce()) -> Vec<String> {
        let socket = self.url.strip_prefix("unix://").expect("a socket");
        let mut stream = UnixStream::connect(socket).expect("the store listens");
        stream.write_all(b"MONITOR\r\n").expect("the store reads");
        let mut lines = BufReader::new(stream).lines().map(|line| line.expect("the store goes on"));
        assert_eq!(lines.next().as_deref(), Some("+OK"));
        work();
        self.ask(&["ECHO", "that was all"]);
        lines.take_while(|line| !line.contains("that was all")).collect()
    }

    /// Two nodes of one installation: one Redis, the same key files, the same campaign clock.
    pub fn two_nodes(&self, clock: &str) -> [Server; 2] {
        self.nodes_with(clock, 1)
    }

    pub fn nodes_with(&self, clock: &str, shards: u8) -> [Server; 2] {
        let first = self.node(clock, shards, None);
        let second = self.node(clock, shards, Some(&first));
        [first, second]
    }

    /// One more node, with the key files of one that was there before.
    pub fn node(&self, clock: &str, shards: u8, like: Option<&Server>) -> Server {
        let redis_url = Some(self.url.clone());
        let keys_from = like.map(|server| server.data.clone());
        Server::start(Options { redis_url, keys_from, shards, ..Options::at(clock) })
    }
}

impl Server {
    /// The store that its settings name; without one it has a store of its own.
    pub fn given_store(&self) -> Option<&str> {
        self.options.redis_url.as_deref()
    }

    /// Names another store for the next start.
    pub fn name_store(&mut self, url: Option<String>) {
        self.options.redis_url = url;
    }
}

fn spawn(scratch: &Scratch, arguments: &[String]) -> Child {
    let socket = scratch.path.join("r.sock");
    let mut command = Command::new(store_binary());
    command.args(["--port", "0", "--save", "", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]);
    command.args(["--hash-max-listpack-value", "128", "--daemonize", "no"]);
    command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&scratch.path);
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("the store can be started");
    let up = poll(Duration::from_secs(10), || UnixStream::connect(&socket).ok().map(|_| ()));
    assert!(up.is_some(), "redis-server does not listen on {}", socket.display());
    child
}

/// The same places as the embedded store's, for a machine has the one or the other.
fn store_binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from(".quanyu/bin")]);
    let candidates = folders.flat_map(|folder| ["valkey-server", "redis-server"].map(|name| folder.join(name)));
    candidates.into_iter().find(|binary| binary.exists()).expect("make store installs a valkey-server or redis-server")
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}
