//! The embedded store: a private `valkey-server` or `redis-server` child on a Unix socket in the data directory.
//!
//! One operating-system thread with its own small runtime owns the child for its whole life. The kernel ends the child
//! when the thread that started it ends (`PR_SET_PDEATHSIG` looks at threads, not processes), so no worker thread may
//! be that parent; and a busy service must not delay the pipe the child logs into, because a full pipe would stop the
//! store.
//!
//! Two locks guard the data directory. `lock` belongs to the process that uses the store. `store.lock` is inherited by
//! the child as its standard input, so it stays held exactly as long as any store process still has the files open,
//! even after we were killed. Whoever holds `lock` and finds `store.lock` taken knows that the holder is an orphan and
//! may shut it down.

mod binary;
mod child;
mod log;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};

use super::probe::Durability;
pub use binary::{Binary, Engine, Version, fault as binary_fault};

/// How the child is run; what it keeps is decided by the data directory alone.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store binary to run; `None` searches the places named in [`Binary::find`].
    pub binary: Option<PathBuf>,
    /// D1 asks for `appendfsync everysec`, D2 for `always`. D3 needs replicas, which an embedded store does not have.
    pub durability: Durability,
    /// `maxmemory` of the child in MiB; 0 sets none.
    pub memory_mib: u64,
}

/// What callers of the store need to know about the child's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The process runs and reads its files; commands are refused.
    Loading,
    Ready,
    /// The process ended; the next one is started after a pause that doubles with each failure.
    Down,
}

/// One reading of the child's life, published on a watch channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Process number of the child, absent while it is down.
    pub pid: Option<u32>,
    /// How often a child was started, so that a restart is visible even when `Down` was too short to be seen.
    pub starts: u32,
}

/// Why the embedded store could not be started; every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    NoBinary(String),
    #[error(
        "the data directory {0} is in use by another quanyu process; stop that one, or name another \
         directory with --data"
    )]
    InUse(PathBuf),
    #[error(
        "an earlier store process still holds {0} and did not stop within {seconds} s; end it by hand",
        seconds = ORPHAN_PATIENCE.as_secs()
    )]
    Orphan(PathBuf),
    #[error(
        "{0} was written by {1}, and {2} cannot read its files; install the engine that wrote them, or \
         name its binary with --store-binary"
    )]
    WrittenByNewer(PathBuf, String, String),
    #[error(
        "D3 needs replicas and an embedded store has none; use --durability D2, or name a replicated server \
         with --redis-url"
    )]
    NeedsReplicas,
    #[error("the store process ended while starting ({status}); its last words:\n{log}")]
    Ended { status: String, log: String },
    #[error("the store process did not answer on {socket} within {seconds} s; its last words:\n{log}")]
    Silent { socket: PathBuf, seconds: u64, log: String },
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
}

impl StartError {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// A running child. Dropping it stops the child and waits for its end; [`Embedded::stop`] does the same without
/// blocking.
#[derive(Debug)]
pub struct Embedded {
    socket: PathBuf,
    binary: Binary,
    status: watch::Receiver<Status>,
    /// Dropping the sender is the order to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Held until the child has ended, because fields are dropped after `Drop::drop` has joined the thread.
    _owner: File,
}

impl Embedded {
    /// Starts the child on the files in `data` and returns when it answers; loading large files may take a while and is
    /// waited for.
    pub async fn start(data: &Path, options: Options) -> Result<Self, StartError> {
        if options.durability == Durability::D3 {
            return Err(StartError::NeedsReplicas);
        }
        create_private_dir(data).map_err(StartError::io(format!("cannot create {}", data.display())))?;
        let data = data.canonicalize().map_err(StartError::io(format!("cannot resolve {}", data.display())))?;
        let owner = open_lock(&data.join("lock"))?;
        match owner.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse(data)),
            Err(TryLockError::Error(source)) => {
                return Err(StartError::io(format!("cannot lock {}", data.display()))(source));
            }
        }
        let binary = Binary::find(options.binary.as_deref()).await?;
        let socket = socket_path(&data)?;
        let plan = child::Plan {
            binary: binary.clone(),
            store_dir: data.join("store"),
            lock_path: data.join("store.lock"),
            socket: socket.clone(),
            memory_mib: options.memory_mib,
            appendfsync: match options.durability {
                Durability::D1 => "everysec",
                Durability::D2 | Durability::D3 => "always",
            },
        };
        let (status_tx, status) = watch::channel(Status { state: State::Down, pid: None, starts: 0 });
        let (stop, stop_rx) = oneshot::channel();
        let (started_tx, started) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("quanyu-store".into())
            .spawn(move || child::run(plan, status_tx, started_tx, stop_rx))
            .map_err(StartError::io("cannot start the store's thread"))?;
        // Built before the wait, so that a caller who gives up waiting still stops and joins the child.
        let embedded = Self { socket, binary, status, stop: Some(stop), thread: Some(thread), _owner: owner };
        match started.await {
            Ok(Ok(())) => Ok(embedded),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::io("the store's thread ended early")(io::Error::other("see the log"))),
        }
    }

    /// Address of the child in the form `redis::Client::open` takes.
    pub fn url(&self) -> String {
        unix_url(&self.socket)
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    /// Follows the child's life; the channel closes when the child was stopped for good.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Asks the child to shut down, which flushes and syncs its files, and returns when it has ended.
    pub async fn stop(mut self) {
        self.stop = None;
        while self.status.changed().await.is_ok() {}
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "quanyu::store", "the store's thread panicked");
        }
    }
}

/// Whether a store has ever kept its files in the data directory.
pub fn has_files(data: &Path) -> bool {
    data.join("store").join("appendonlydir").exists()
}

/// How long a start waits for the store of a killed predecessor to close its files.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(20);

/// Longest socket path used: `sun_path` holds 104 bytes on macOS and 108 on Linux, with the closing zero.
const SOCKET_PATH_MAX_BYTES: usize = 100;

/// The socket lives in the data directory; a path too long for the kernel moves it to a private folder of the temporary
/// directory.
fn socket_path(data: &Path) -> Result<PathBuf, StartError> {
    let usual = data.join("store.sock");
    if usual.as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return Ok(usual);
    }
    let digest = Sha256::digest(data.as_os_str().as_bytes());
    let folder = std::env::temp_dir().join(format!("quanyu-{}", hex::encode(&digest[..8])));
    let doing = format!("cannot use {} for the store's socket", folder.display());
    create_private_dir(&folder).map_err(StartError::io(doing.clone()))?;
    // The temporary directory is open to everybody, so the folder may have been put there by somebody else.
    let ours =
        |path: &Path| std::fs::symlink_metadata(path).map(|m| (m.is_dir(), m.uid(), m.permissions().mode() & 0o077));
    let found = ours(&folder).map_err(StartError::io(doing.clone()))?;
    let owner = std::fs::metadata(data).map_err(StartError::io(doing.clone()))?.uid();
    if found != (true, owner, 0) {
        let stranger = io::Error::other("the folder belongs to another user or is open to others");
        return Err(StartError::io(doing)(stranger));
    }
    Ok(folder.join("store.sock"))
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn open_lock(path: &Path) -> Result<File, StartError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StartError::io(format!("cannot open {}", path.display())))
}

/// Escapes what a URL would read as syntax, so that any directory name survives the way through `instance.json`.
fn unix_url(socket: &Path) -> String {
    let mut url = String::from("redis+unix://");
    for &byte in socket.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{ConnectionAddr, IntoConnectionInfo};

    #[test]
    fn a_socket_url_survives_spaces_percent_signs_and_chinese() {
        let socket = Path::new("/srv/消费券 100%/a?b#c/store.sock");
        let info = unix_url(socket).as_str().into_connection_info().expect("a valid url");
        assert_eq!(*info.addr(), ConnectionAddr::Unix(socket.to_path_buf()));
    }
}
