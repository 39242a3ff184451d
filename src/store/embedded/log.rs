//! The child's output: passed on to our log, and its last lines kept for the error text of a failed start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Lines kept for the error text.
const LAST_WORDS: usize = 20;

/// The readers of one child's two output pipes.
pub(super) struct Log {
    last: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Log {
    pub fn follow(process: &mut Child) -> Self {
        let last = Arc::new(Mutex::new(VecDeque::new()));
        let mut readers = Vec::new();
        if let Some(stdout) = process.stdout.take() {
            readers.push(tokio::spawn(pass_on(stdout, last.clone())));
        }
        if let Some(stderr) = process.stderr.take() {
            readers.push(tokio::spawn(pass_on(stderr, last.clone())));
        }
        Self { last, readers }
    }

    /// What the process said at the end; its readers are given a moment to reach the end of the pipe.
    pub async fn last_words(self) -> String {
        for reader in self.readers {
            let _ = timeout(Duration::from_millis(500), reader).await;
        }
        let last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }
}

async fn pass_on(output: impl AsyncRead + Unpin, last: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            continue;
        }
        if is_warning(&line) {
            tracing::warn!(target: "quanyu::store", "{line}");
        } else {
            tracing::debug!(target: "quanyu::store", "{line}");
        }
        let mut last = last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
}

/// The server marks warnings with `#` after the time, and so does it, in older versions, with the lines of every
/// ordinary start and end.
fn is_warning(line: &str) -> bool {
    const ORDINARY: [&str; 7] = [
        "oO0OoO0OoO0Oo",
        "version=",
        "Configuration loaded",
        "Server initialized",
        "overcommit",
        "User requested shutdown",
        "ready to exit",
    ];
    let marked = match line.split_once(" # ") {
        Some((head, _)) => head.len() < 48,
        // A line without the usual head comes from the loader or the allocator, and never with good news.
        None => !line.starts_with(|c: char| c.is_ascii_digit()),
    };
    marked && !ORDINARY.iter().any(|text| line.contains(text))
}

#[cfg(test)]
mod tests {
    use super::is_warning;

    #[test]
    fn only_lines_that_an_operator_must_see_are_warnings() {
        let calm = [
            "12455:C 21 Nov 2026 07:10:16.801 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo",
            "12455:M 21 Nov 2026 07:10:16.803 # Server initialized",
            "12455:M 21 Nov 2026 07:10:16.804 * Creating AOF base file appendonly.aof.1.base.rdb on server start",
            "12455:M 21 Nov 2026 07:10:18.296 # Redis is now ready to exit, bye bye...",
        ];
        let alarming = [
            "12455:M 21 Nov 2026 07:10:16.803 # Error writing to the AOF file: No space left on device",
            "12455:M 21 Nov 2026 07:10:16.803 # Bad file format reading the append only file",
            "redis-server: error while loading shared libraries",
        ];
        for line in calm {
            assert!(!is_warning(line), "{line}");
        }
        for line in alarming {
            assert!(is_warning(line), "{line}");
        }
    }
}
