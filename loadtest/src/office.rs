//! What stands around a load: publication, the sandbox clock, merchants, the ledger. Few requests, none of them measured.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Fault;
use crate::campaign::{Campaign, Ms, shown};
use crate::engine::{Request, ask};
use crate::till::{Till, merchant};

/// How often a request that was limited or shed is sent again, and after how long.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(100);

pub struct Office {
    pub address: SocketAddr,
    pub host: String,
    key: Option<String>,
}

impl Office {
    /// `url` is http://HOST:PORT; the key is that of the sandbox's administrator.
    pub fn new(url: &str, key: Option<String>) -> Result<Office, Fault> {
        let host = url.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
        let host = host.ok_or_else(|| Fault::Url(url.to_owned()))?;
        let address = std::net::ToSocketAddrs::to_socket_addrs(host).ok().and_then(|mut found| found.next());
        let address = address.ok_or_else(|| Fault::Url(url.to_owned()))?;
        Ok(Office { address, host: host.to_owned(), key })
    }

    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub fn bearer(&self) -> String {
        self.key.as_ref().map(|key| format!("Bearer {key}")).unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> Result<Value, Fault> {
        self.call(Request::new("GET", &self.host, path), None)
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        self.call(Request::new("PUT", &self.host, path), Some(body))
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        self.call(Request::new("POST", &self.host, path), Some(body))
    }

    fn call(&self, request: Request, body: Option<&Value>) -> Result<Value, Fault> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let bytes = request.bytes(&self.bearer(), body.as_bytes());
        let mut tries = 0;
        loop {
            let reply = ask(self.address, &bytes).map_err(Fault::Unreachable)?;
            tries += 1;
            if matches!(reply.status, 429 | 503) && tries < TRIES {
                std::thread::sleep(PAUSE);
                continue;
            }
            let value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            return match reply.status {
                200..=299 => Ok(value),
                status => Err(Fault::Refused { asked: request.what(), status, body: value }),
            };
        }
    }

    pub fn campaign(&self, id: &str) -> Result<Campaign, Fault> {
        let answer = self.get(&format!("/v1/public/campaigns/{id}"))?;
        Campaign::read(&answer["campaign"]).ok_or_else(|| Fault::Campaign(id.to_owned()))
    }

    /// Publishes the file, unless a campaign of that name is there already.
    pub fn publish(&self, id: &str, file: &Value) -> Result<(), Fault> {
        if self.get(&format!("/v1/public/campaigns/{id}")).is_ok() {
            return Ok(());
        }
        let path = format!("/v1/campaigns/{id}");
        self.call(Request::new("PUT", &self.host, &*path).header("If-None-Match", "*"), Some(file))?;
        for step in ["submit", "approve", "publish"] {
            self.post(&format!("{path}/{step}"), &json!({}))?;
        }
        Ok(())
    }

    pub fn now(&self) -> Result<Ms, Fault> {
        let answer = self.get("/v1/sandbox/clock")?;
        let now = answer["now"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        now.map(|now| now.as_millisecond()).ok_or_else(|| Fault::Campaign("the clock".to_owned()))
    }

    /// Moves the campaign clock to the instant, unless it has passed already; `rate` 0 stands still there.
    pub fn clock(&self, at: Ms, rate: u32) -> Result<(), Fault> {
        let body = if self.now()? < at { json!({"now": shown(at), "rate": rate}) } else { json!({ "rate": rate }) };
        self.put("/v1/sandbox/clock", &body).map(drop)
    }

    /// Enrols merchants with a terminal each. Those of an earlier run with the same seed are used again, with a further terminal.
    pub fn tills(&self, campaign: &Campaign, count: u64, seed: u64) -> Result<Vec<Till>, Fault> {
        let known = |result: Result<Value, Fault>| match result {
            Err(Fault::Refused { status: 409, .. }) => Ok(Value::Null),
            other => other,
        };
        let run = crate::wall_seconds();
        (0..count)
            .map(|number| {
                let (id, body) = merchant(number, seed, &campaign.registered_in, &campaign.operating_in);
                known(self.post("/v1/merchants", &body))?;
                let enrolment = format!("/v1/campaigns/{}/merchants/{id}", campaign.id);
                known(self.put(&enrolment, &json!({})))?;
                known(self.post(&format!("{enrolment}/approve"), &json!({})))?;
                let terminal = json!({"terminal_id": format!("t{run}")});
                let made = self.post(&format!("/v1/merchants/{id}/terminals"), &terminal)?;
                let word = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
                Ok(Till::new(&id, &word("key_id"), &word("secret")))
            })
            .collect()
    }
}
