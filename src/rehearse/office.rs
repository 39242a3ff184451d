//! The program office: publishes the campaign, turns the sandbox clock, reads figures.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use super::campaign::{Ms, Scenario};
use super::client::{Auth, Call, Client};
use super::recorder::Op;
use super::{RehearsalError, Result, World};

pub struct Office<'a> {
    client: &'a Client<'a>,
    key: &'a str,
    scenario: &'a Scenario,
}

/// Stage A: the file becomes a published campaign, through the same four steps as in a city.
pub async fn publish(world: &World<'_>) -> Result<()> {
    let begun = Instant::now();
    let (office, scenario) = (world.office, world.scenario);
    let path = office.campaign_path("");
    let body = Some(scenario.document.to_string());
    let put = Call { op: Op::Office, method: Method::PUT, path: &path, auth: office.auth(), body, create: true };
    let stored = world.client.must(put).await?.value();
    for step in ["submit", "approve", "publish"] {
        office.post(&office.campaign_path(&format!("/{step}")), &json!({})).await?;
    }
    if scenario.factor_text() != "1" {
        let factor = scenario.factor_text();
        world.recorder.note(format!(
            "Packs and budget of the file were divided by {factor} before publication; rules, limits and windows are the file's own."
        ));
    }
    for warning in stored["warnings"].as_array().map(Vec::as_slice).unwrap_or_default() {
        world.recorder.note(format!("Warning of the server about the file: {warning}"));
    }
    let hash = stored["rules_hash"].as_str().unwrap_or("-");
    println!("campaign={} state=published rules_hash={hash}", scenario.campaign_id);
    world.recorder.stage("publish", begun.elapsed());
    Ok(())
}

impl<'a> Office<'a> {
    pub fn new(client: &'a Client<'a>, key: &'a str, scenario: &'a Scenario) -> Self {
        Self { client, key, scenario }
    }

    pub fn auth(&self) -> Auth<'a> {
        Auth::Bearer(self.key)
    }

    pub fn key(&self) -> &'a str {
        self.key
    }

    pub fn campaign_path(&self, rest: &str) -> String {
        format!("/v1/campaigns/{}{rest}", self.scenario.campaign_id)
    }

    pub fn round_path(&self, rest: &str) -> String {
        self.campaign_path(&format!("/rounds/{}{rest}", self.scenario.round_id))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.client.must(Call::post(Op::Office, path, self.auth(), body)).await?.value())
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.client.must(Call::put(Op::Office, path, self.auth(), body)).await?.value())
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.client.must(Call::get(Op::Office, path, self.auth())).await?.value())
    }

    /// Moves the campaign clock and lets it stand there.
    pub async fn clock(&self, now: Ms) -> Result<()> {
        let body = json!({"now": self.scenario.wire_time(now), "rate": 0});
        self.put("/v1/sandbox/clock", &body).await.map(drop)
    }

    pub async fn stats(&self) -> Result<Value> {
        self.get(&self.campaign_path("/stats")).await
    }

    /// Asks again until `done` says so; gives up when nothing has changed for `patience`.
    pub async fn wait(
        &self,
        what: &str,
        path: &str,
        patience: Duration,
        done: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut seen = String::new();
        let mut changed = Instant::now();
        loop {
            let answer = self.client.ask(Call::get(Op::Office, path, self.auth())).await?;
            if answer.ok() && done(&answer.value()) {
                return Ok(answer.value());
            }
            let now = figures(&answer.value());
            if now != seen {
                (seen, changed) = (now, Instant::now());
            }
            if changed.elapsed() > patience {
                return Err(RehearsalError::Waited { what: what.to_owned(), seconds: patience.as_secs(), seen });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What counts as progress: everything but the fields that differ in every answer.
fn figures(answer: &Value) -> String {
    let mut copy = answer.clone();
    if let Some(fields) = copy.as_object_mut() {
        for volatile in ["as_of", "request_id", "server_time"] {
            fields.remove(volatile);
        }
    }
    copy.to_string()
}
