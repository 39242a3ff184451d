//! A Redis of the test's own on a Unix socket, for several `serve` processes on one store.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Options, Scratch, Server, poll, terminate};

pub struct OwnRedis {
    pub url: String,
    child: Child,
    _scratch: Scratch,
}

impl OwnRedis {
    pub fn start() -> OwnRedis {
        let scratch = Scratch::new("quanyu-redis");
        let socket = scratch.path.join("r.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "yes"]);
        command.args(["--appendfsync", "always", "--maxmemory-policy", "noeviction"]);
        command.args(["--hash-max-listpack-value", "128", "--daemonize", "no"]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&scratch.path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server can be started");
        let up = poll(Duration::from_secs(10), || std::os::unix::net::UnixStream::connect(&socket).ok().map(|_| ()));
        assert!(up.is_some(), "redis-server does not listen on {}", socket.display());
        let url = format!("unix://{}", socket.display());
        OwnRedis { url, child, _scratch: scratch }
    }

    /// Two nodes of one installation: one Redis, the same key files, the same campaign clock.
    pub fn two_nodes(&self, clock: &str) -> [Server; 2] {
        let mut first = Options::at(clock);
        first.redis_url = Some(self.url.clone());
        let first = Server::start(first);
        let mut second = Options::at(clock);
        second.redis_url = Some(self.url.clone());
        second.keys_from = Some(first.data.clone());
        let second = Server::start(second);
        [first, second]
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}
