//! A fresh sandbox for one certification: a child of the same executable with a shop, a till, and what the office may do with its key.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use serde_json::{Value, json};

use super::wire::Message;
use crate::signing::sign_request;

/// The first start writes keys and starts a private store, which may take a while on a busy machine.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(20);
const MERCHANT: &str = "certified-shop";
const TERMINAL: &str = "till-1";

pub struct Sandbox {
    pub address: String,
    pub key_id: String,
    pub secret: String,
    admin_key: String,
    data: PathBuf,
    child: Child,
}

impl Sandbox {
    pub fn start() -> io::Result<Sandbox> {
        // Short, because a Unix socket's path is.
        let name = format!("quanyu-certify-{}-{}", std::process::id(), hex::encode(crate::instance::random::<4>()));
        let data = std::env::temp_dir().join(name);
        fs::create_dir_all(&data)?;
        let log = fs::File::create(data.join("serve.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.join("d"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let empty = String::new;
        let mut sandbox =
            Sandbox { address: empty(), key_id: empty(), secret: empty(), admin_key: empty(), data, child };
        sandbox.address = sandbox.wait_ready()?;
        sandbox.admin_key = fs::read_to_string(sandbox.data.join("d/admin.key"))?.trim().to_owned();
        sandbox.open_shop()?;
        Ok(sandbox)
    }

    fn wait_ready(&mut self) -> io::Result<String> {
        let begun = Instant::now();
        loop {
            if let Some(address) = listening(&self.data.join("d/instance.json"))
                && Message::request("GET", "/readyz", &[], b"")
                    .exchange(&address)
                    .is_ok_and(|ready| ready.status() == 200)
            {
                return Ok(address);
            }
            if self.child.try_wait()?.is_some() || begun.elapsed() > START {
                let words = fs::read_to_string(self.data.join("serve.log")).unwrap_or_default();
                let last = words.lines().last().unwrap_or_default();
                return Err(io::Error::other(format!("the sandbox did not start: {last}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn open_shop(&mut self) -> io::Result<()> {
        let shop = json!({
            "merchant_id": MERCHANT, "code": "9144030071526726XG", "kind": "enterprise",
            "name": {"zh": "认证小店", "en": "Certified shop"},
            "registered_district": "510104", "operating_district": "510104", "industry_code": "6210",
        });
        self.office("/v1/merchants", &shop)?;
        let terminal =
            self.office(&format!("/v1/merchants/{MERCHANT}/terminals"), &json!({"terminal_id": TERMINAL}))?;
        self.key_id = text(&terminal, "key_id");
        self.secret = text(&terminal, "secret");
        Ok(())
    }

    /// A second secret for the till; with `keep_previous` both are good.
    pub fn rotate(&self, from_version: u32, keep_previous: bool) -> io::Result<String> {
        let path = format!("/v1/merchants/{MERCHANT}/terminals/{TERMINAL}/rotate");
        let body = json!({"from_version": from_version, "keep_previous": keep_previous});
        Ok(text(&self.office(&path, &body)?, "secret"))
    }

    /// The shop's statement of a day.
    pub fn statement(&self, date: &str) -> io::Result<Value> {
        self.call("GET", &format!("/v1/settlements/{date}/{MERCHANT}"), "")
    }

    fn office(&self, path: &str, body: &Value) -> io::Result<Value> {
        self.call("POST", path, &body.to_string())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let authorization = format!("Bearer {}", self.admin_key);
        let mut headers = vec![("authorization", authorization.as_str())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let answer = Message::request(method, path, &headers, body.as_bytes()).exchange(&self.address)?;
        match answer.status() {
            200..300 => Ok(answer.json()),
            status => Err(io::Error::other(format!("{method} {path}: {status} {}", answer.json()))),
        }
    }

    /// What the service itself knows of an order, past the bad network.
    pub fn order(&self, secret: &str, order_id: &str) -> io::Result<Value> {
        let path = format!("/v1/redemptions/{order_id}");
        let header = sign_request("GET", &path, &self.key_id, secret, b"");
        Ok(Message::request("GET", &path, &[("authorization", &header)], b"").exchange(&self.address)?.json())
    }
}

impl Drop for Sandbox {
    /// Asks the child to end, so that it can end its store, and throws its data away.
    fn drop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < STOP && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn listening(note: &Path) -> Option<String> {
    let note: Value = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    Some(note["listen"].as_str()?.to_owned())
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_default().to_owned()
}
