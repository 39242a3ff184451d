//! The data directory of one installation: its keys, and the note by which commands find the server that runs on it.
//!
//! Every secret of the installation is derived from `master.key`, so that file and the store's files are what a backup
//! must hold: without the key, nobody's vouchers can be found again.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};

const MASTER: &str = "master.key";
const SANDBOX_TOKEN: &str = "sandbox-token.key";
const ADMIN: &str = "admin.key";
/// Which store the directory has served. It is no secret; it stands beside the keys because it must not be lost with the store.
const STORE_ID: &str = "store.id";
const NOTE: &str = "instance.json";
/// Locked by a running `serve`; its presence says nothing, its lock does.
const SERVE_LOCK: &str = "serve.lock";

/// A data directory that exists and whose master key was read. It prints as its path only.
pub struct Instance {
    data: PathBuf,
    master: [u8; 32],
}

/// What a running server tells the commands beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// May hold a password, so the note is readable by its owner only.
    pub redis_url: String,
    /// Address the HTTP server listens on, with the port it was really given.
    pub listen: String,
    pub sandbox: bool,
    /// Shards of the installation; commands beside the server need not be told.
    pub shards: u8,
    pub pid: u32,
    pub started_at: Timestamp,
}

/// Whether a server runs on the data directory right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectInfo {
    Running(RunInfo),
    /// Nothing runs: a command that needs the store starts the embedded one for its own duration.
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    #[error("{doing} {path}: {source}", path = path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} does not hold {expected}; restore it from a backup", path = .0.display(), expected = .1)]
    Malformed(PathBuf, &'static str),
    #[error(
        "{path} holds no installation ({missing} is not there): name the data directory of one with --data; \
         `quanyu serve --data {path}` makes one",
        path = .0.display(), missing = .1
    )]
    NoInstallation(PathBuf, &'static str),
    #[error(
        "{path} is no sandbox: tokens of residents are made for a sandbox only, and a live server takes none of these; there they come from \
         the identity provider",
        path = .0.display()
    )]
    NoSandbox(PathBuf),
    #[error("a server already runs on {path}; stop it, or name another directory with --data", path = .0.display())]
    AlreadyRunning(PathBuf),
}

impl Instance {
    /// Opens the data directory of an installation that was made before; commands that only look never make one.
    pub fn existing(data: &Path) -> Result<Self, InstanceError> {
        if Self::has_key(data)? { Self::open(data) } else { Err(InstanceError::NoInstallation(data.into(), MASTER)) }
    }

    /// Whether the directory holds a master key.
    pub fn has_key(data: &Path) -> Result<bool, InstanceError> {
        let path = data.join(MASTER);
        path.try_exists().map_err(io_error("cannot read", &path))
    }

    /// Whether the directory remembers a store that it has served.
    pub fn has_served(data: &Path) -> Result<bool, InstanceError> {
        let path = data.join(STORE_ID);
        path.try_exists().map_err(io_error("cannot read", &path))
    }

    /// Opens the data directory, creating it and its master key on first use.
    pub fn open(data: &Path) -> Result<Self, InstanceError> {
        let created = DirBuilder::new().recursive(true).mode(0o700).create(data);
        created.map_err(io_error("cannot create", data))?;
        let data = data.canonicalize().map_err(io_error("cannot resolve", data))?;
        let master = read_or_create_key(&data.join(MASTER))?;
        Ok(Self { data, master })
    }

    /// Absolute path of the data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What every other secret is derived from; it never leaves the node.
    pub fn master_key(&self) -> [u8; 32] {
        self.master
    }

    /// The HS256 key of sandbox tokens, created on first use.
    pub fn sandbox_token_key(&self) -> Result<[u8; 32], InstanceError> {
        read_or_create_key(&self.data.join(SANDBOX_TOKEN))
    }

    /// The same key for a command, which finds it and never makes it.
    pub fn existing_token_key(&self) -> Result<[u8; 32], InstanceError> {
        let path = self.data.join(SANDBOX_TOKEN);
        let is_live = matches!(self.connect_info()?, ConnectInfo::Running(info) if !info.sandbox);
        match path.try_exists().map_err(io_error("cannot read", &path))? {
            true if !is_live => self.sandbox_token_key(),
            _ => Err(InstanceError::NoSandbox(self.data.clone())),
        }
    }

    /// A live installation has no key of sandbox tokens; earlier versions made one there, which no server has ever taken.
    pub fn drop_sandbox_token_key(&self) -> Result<(), InstanceError> {
        let path = self.data.join(SANDBOX_TOKEN);
        remove(&path).map_err(io_error("cannot remove", &path))
    }

    /// The id of the store that this directory has served, if it has served one that it remembers.
    pub fn store_id(&self) -> Result<Option<String>, InstanceError> {
        let path = self.data.join(STORE_ID);
        let text = read_private(&path).map_err(io_error("cannot read", &path))?;
        match text.as_deref().map(str::trim) {
            Some("") => Err(InstanceError::Malformed(path, "the id of a store")),
            id => Ok(id.map(str::to_owned)),
        }
    }

    /// Remembers the store once; the first one that was served stays.
    pub fn keep_store_id(&self, id: &str) -> Result<(), InstanceError> {
        let path = self.data.join(STORE_ID);
        create_private(&path, &format!("{id}\n")).map_err(io_error("cannot write", &path))
    }

    /// Forgets it, so that the next start may begin on an empty store; answers what was forgotten. Not while a server runs.
    pub fn forget_store_id(&self) -> Result<Option<String>, InstanceError> {
        if matches!(self.serve_lock()?.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(InstanceError::AlreadyRunning(self.data.clone()));
        }
        let path = self.data.join(STORE_ID);
        let id = read_private(&path).map_err(io_error("cannot read", &path))?;
        remove(&path).map_err(io_error("cannot remove", &path))?;
        Ok(id.map(|id| id.trim().to_owned()))
    }

    /// The API key of the first administrator, once the service has written it.
    pub fn admin_key(&self) -> Result<Option<String>, InstanceError> {
        let path = self.data.join(ADMIN);
        let text = read_private(&path).map_err(io_error("cannot read", &path))?;
        Ok(text.map(|text| text.trim().to_owned()))
    }

    /// Keeps the administrator's key for the operator. The first writer wins; the key that counts is returned.
    pub fn keep_admin_key(&self, key: &str) -> Result<String, InstanceError> {
        let path = self.data.join(ADMIN);
        create_private(&path, &format!("{key}\n")).map_err(io_error("cannot write", &path))?;
        Ok(self.admin_key()?.unwrap_or_else(|| key.to_owned()))
    }

    /// Says that this process serves the data directory. The note stays until the value is dropped.
    pub fn announce(&self, info: &RunInfo) -> Result<Announcement, InstanceError> {
        let lock = self.serve_lock()?;
        // A command that is just asking holds the lock shared for a moment, which must not stop a server from starting.
        for tries_left in (0..50).rev() {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries_left > 0 => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => return Err(InstanceError::AlreadyRunning(self.data.clone())),
                Err(TryLockError::Error(source)) => return Err(io_error("cannot lock", &self.data)(source)),
            }
        }
        let note = self.data.join(NOTE);
        let text = serde_json::to_string_pretty(info).expect("a struct of plain fields is always valid JSON");
        let written = replace_private(&note, &format!("{text}\n"));
        written.map_err(io_error("cannot write", &note))?;
        Ok(Announcement { note, _lock: lock })
    }

    /// Whether a server runs here, and how to reach it. A note that a killed server left behind does not count.
    pub fn connect_info(&self) -> Result<ConnectInfo, InstanceError> {
        match self.serve_lock()?.try_lock_shared() {
            Ok(()) => return Ok(ConnectInfo::Stopped),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io_error("cannot lock", &self.data)(source)),
        }
        let note = self.data.join(NOTE);
        let Some(text) = read_private(&note).map_err(io_error("cannot read", &note))? else {
            // The server holds the lock and is about to write its note, or has just removed it.
            return Ok(ConnectInfo::Stopped);
        };
        match serde_json::from_str(&text) {
            Ok(info) => Ok(ConnectInfo::Running(info)),
            Err(error) => Err(io_error("cannot read", &note)(error.into())),
        }
    }

    fn serve_lock(&self) -> Result<File, InstanceError> {
        let path = self.data.join(SERVE_LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&path).map_err(io_error("cannot open", &path))
    }
}

/// Removes the note when the server ends in an orderly way.
#[derive(Debug)]
pub struct Announcement {
    note: PathBuf,
    _lock: File,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.note) {
            tracing::warn!("{} could not be removed: {error}", self.note.display());
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Instance").field(&self.data).finish()
    }
}

/// A fresh API key: `qk_` and 160 random bits in hex.
pub fn new_api_key() -> String {
    format!("qk_{}", hex::encode(random::<20>()))
}

/// Random bytes from the operating system, for keys.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("a system without random numbers cannot run the service");
    bytes
}

fn read_or_create_key(path: &Path) -> Result<[u8; 32], InstanceError> {
    let read = || read_private(path).map_err(io_error("cannot read", path));
    let text = match read()? {
        Some(text) => text,
        None => {
            let key = format!("{}\n", hex::encode(random::<32>()));
            create_private(path, &key).map_err(io_error("cannot write", path))?;
            // Another process may have been first; what is in the file counts.
            read()?.unwrap_or_default()
        }
    };
    let mut key = [0; 32];
    match hex::decode_to_slice(text.trim(), &mut key) {
        Ok(()) => Ok(key),
        Err(_) => Err(InstanceError::Malformed(path.to_path_buf(), "64 hexadecimal digits")),
    }
}

fn read_private(path: &Path) -> io::Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!("{} can be read by others; chmod 600 it", path.display());
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the file with all of its text or not at all, and leaves one that exists alone.
fn create_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = write_draft(path, text)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Replaces the file at once, so that a reader sees the old text or the new one.
fn replace_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = write_draft(path, text)?;
    fs::rename(draft, path)?;
    sync_folder(path)
}

/// One that is not there is as good.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn write_draft(path: &Path, text: &str) -> io::Result<PathBuf> {
    let draft = path.with_extension(format!("{}.draft", hex::encode(random::<6>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(draft)
}

/// A new name survives a power cut only when its folder is synced too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstanceError {
    let path = path.to_path_buf();
    move |source| InstanceError::Io { doing, path, source }
}

#[cfg(test)]
#[path = "instance_tests.rs"]
mod tests;
