//! The integration under test, driven through its adapter: one JSON object a line in each direction.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// A command that ends in `reverse until answered` takes this long at the pace of a till; one that hangs must not hang us.
const PATIENCE: Duration = Duration::from_secs(180);
/// Beside its waits, a machine is busy with other things too.
const LEAST_PATIENCE: Duration = Duration::from_secs(15);

pub struct Adapter {
    command: String,
    patience: Duration,
    /// It has not answered in time; what it says later belongs to no command.
    hangs: bool,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Adapter {
    /// Runs the command by the shell, as it was typed.
    pub fn start(command: &str, pace: f64) -> io::Result<Adapter> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let patience = PATIENCE.mul_f64(pace).max(LEAST_PATIENCE);
        Ok(Adapter { command: command.to_owned(), patience, hangs: false, child, stdin, lines })
    }

    /// Another one in its place, if this one hangs.
    pub fn revived(&self, pace: f64) -> Option<io::Result<Adapter>> {
        self.hangs.then(|| Adapter::start(&self.command, pace))
    }

    /// One command and its answer.
    pub fn ask(&mut self, command: &Value) -> Result<Value, String> {
        let stdin = self.stdin.as_mut().ok_or("the adapter has no input")?;
        let sent = writeln!(stdin, "{command}").and_then(|()| stdin.flush());
        sent.map_err(|error| format!("the adapter takes no command: {error}"))?;
        if self.hangs {
            return Err("the adapter hangs since an earlier command".into());
        }
        let Ok(line) = self.lines.recv_timeout(self.patience) else {
            self.hangs = true;
            let seconds = self.patience.as_secs();
            return Err(format!("the adapter did not answer {} within {seconds} s, or ended", command["do"]));
        };
        let answer: Value = serde_json::from_str(&line).map_err(|_| format!("the adapter answered no JSON: {line}"))?;
        if answer.is_object() { Ok(answer) } else { Err(format!("the adapter answered no object: {line}")) }
    }
}

impl Drop for Adapter {
    /// The end of its input tells the adapter to end; one that does not is ended.
    fn drop(&mut self) {
        self.stdin = None;
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
