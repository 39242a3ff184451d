//! The 18:00 rush: each of `--population` residents reserves, and taps once at `--rate` per second from the opening on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};

use crate::client::Client;
use crate::meter::Meter;
use crate::people::People;

#[derive(Args)]
pub struct Options {
    /// The server, as http://HOST:PORT.
    #[arg(long)]
    url: String,
    #[arg(long)]
    campaign: String,
    /// The rain to tap in.
    #[arg(long, default_value = "rain")]
    round: String,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    population: u64,
    /// Taps offered per second.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value = "wechat")]
    channel: String,
    #[arg(long, default_value = "2020-07-13")]
    consent_version: String,
    /// The sandbox's `sandbox-token.key`, to sign residents' tokens.
    #[arg(long)]
    token_key: PathBuf,
    /// The sandbox's `admin.key`: the clock is then moved through the campaign's windows; without it the clock must be right already.
    #[arg(long)]
    admin_key: Option<PathBuf>,
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} is not a hex key")]
    Key(PathBuf),
    #[error(transparent)]
    Lost(#[from] crate::client::Lost),
    #[error("{doing}: {status} {body}")]
    Refused { doing: &'static str, status: u16, body: Value },
}

struct Load {
    options: Options,
    client: Client,
    people: People,
    admin: Option<String>,
}

/// Runs the burst and prints its keys; false when something does not hold or the generator itself fell behind.
pub async fn run(options: Options) -> Result<bool, Fault> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| Fault::File(path.clone(), error));
    let key = read(&options.token_key)?;
    let people =
        People::new(&key, &options.channel, options.seed).ok_or_else(|| Fault::Key(options.token_key.clone()))?;
    let admin = options.admin_key.as_ref().map(read).transpose()?.map(|key| key.trim().to_owned());
    let client = Client::new(&options.url, options.connections);
    let load = Arc::new(Load { options, client, people, admin });
    let campaign = load.office(Method::GET, "", None).await.ok();
    let windows = campaign.as_ref().map(|campaign| windows(campaign, &load.options.round));
    if let Some(Windows { reserve: Some(at), .. }) = &windows {
        load.clock(at, 0).await?;
    }
    let passes = load.clone().reserve_all().await?;
    if let Some(windows) = &windows {
        for at in [&windows.draw, &windows.opens].into_iter().flatten() {
            load.clock(at, 1).await?;
        }
    }
    let (meter, seconds) = load.clone().tap_all(passes).await;
    Ok(report(&load.options, &meter, seconds))
}

impl Load {
    /// Reserves everybody, as fast as the server answers, and keeps the passes.
    async fn reserve_all(self: Arc<Load>) -> Result<Vec<String>, Fault> {
        let places = Arc::new(Semaphore::new(self.options.connections));
        let mut tasks = Vec::new();
        for person in 0..self.options.population {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            let load = self.clone();
            tasks.push(tokio::spawn(async move {
                let pass = load.reserve(person).await;
                drop(place);
                pass
            }));
        }
        let mut passes = Vec::with_capacity(tasks.len());
        for task in tasks {
            passes.push(task.await.expect("a reservation task does not panic")?);
        }
        Ok(passes)
    }

    async fn reserve(&self, person: u64) -> Result<String, Fault> {
        let path = format!("/v1/campaigns/{}/reservations", self.options.campaign);
        let body = json!({"consent_version": self.options.consent_version, "round_id": self.options.round});
        let answer = self.client.send(Method::POST, &path, &self.people.token(person), Some(&body)).await?;
        match answer.body["pass"].as_str() {
            Some(pass) => Ok(pass.to_owned()),
            None => Err(Fault::Refused { doing: "reserve", status: answer.status, body: answer.body }),
        }
    }

    /// Everybody taps once, at times that do not wait for answers.
    async fn tap_all(self: Arc<Load>, passes: Vec<String>) -> (Meter, f64) {
        let path = Arc::new(format!("/v1/campaigns/{}/rounds/{}/claims", self.options.campaign, self.options.round));
        let meter = Arc::new(Mutex::new(Meter::new()));
        let start = Instant::now();
        let mut tasks = Vec::with_capacity(passes.len());
        for (person, pass) in passes.into_iter().enumerate() {
            let intended = start + Duration::from_secs_f64(person as f64 / self.options.rate as f64);
            tokio::time::sleep_until(intended.into()).await;
            let (load, path, meter) = (self.clone(), path.clone(), meter.clone());
            let lag = intended.elapsed();
            tasks.push(tokio::spawn(async move {
                let answer = load.client.send(Method::POST, &path, &pass, None).await;
                let latency = intended.elapsed();
                meter.lock().await.tap(person as u64, lag, latency, &answer);
            }));
        }
        for task in tasks {
            let _ = task.await;
        }
        let seconds = start.elapsed().as_secs_f64();
        let meter = Arc::into_inner(meter).expect("all tasks have ended").into_inner();
        (meter, seconds)
    }

    async fn clock(&self, now: &str, rate: u32) -> Result<(), Fault> {
        let body = json!({"now": now, "rate": rate});
        let admin = self.admin.as_deref().unwrap_or_default();
        let answer = self.client.send(Method::PUT, "/v1/sandbox/clock", admin, Some(&body)).await?;
        match answer.status {
            200 => Ok(()),
            status => Err(Fault::Refused { doing: "set the clock", status, body: answer.body }),
        }
    }

    async fn office(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let path = format!("/v1/campaigns/{}{path}", self.options.campaign);
        let answer = self.client.send(method, &path, self.admin.as_deref().unwrap_or_default(), body).await?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Fault::Refused { doing: "read the campaign", status, body: answer.body }),
        }
    }
}

/// Instants of the campaign file that the clock is moved to.
struct Windows {
    reserve: Option<String>,
    draw: Option<String>,
    opens: Option<String>,
}

fn windows(campaign: &Value, round_id: &str) -> Windows {
    let file = &campaign["campaign"];
    let round = file["rounds"].as_array().into_iter().flatten().find(|round| round["round_id"] == round_id);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let own = round.map(|round| &round["reservation"]["opens_at"]).and_then(text);
    Windows {
        reserve: own.or_else(|| text(&file["reservation"]["opens_at"])),
        draw: round.and_then(|round| text(&round["draw"]["at"])),
        opens: round.and_then(|round| text(&round["opens_at"])),
    }
}

fn report(options: &Options, meter: &Meter, seconds: f64) -> bool {
    let answered: u64 = ["won", "not_yet", "lost"].iter().map(|outcome| meter.count(outcome)).sum();
    println!("population={}", options.population);
    println!("offered_per_s={}", options.rate);
    println!("answered_per_s={:.0}", answered as f64 / seconds.max(0.001));
    for outcome in ["won", "not_yet", "lost", "shed_503", "limited_429", "unknown", "errors"] {
        println!("{outcome}={}", meter.count(outcome));
    }
    println!("p50_ms={:.1}", meter.latency_ms(0.5));
    println!("p99_ms={:.1}", meter.latency_ms(0.99));
    println!("p999_ms={:.1}", meter.latency_ms(0.999));
    println!("max_ms={:.1}", meter.max_ms());
    println!("double={}", meter.double);
    println!("generator_lag_ms_p99={:.1}", meter.lag_ms_p99());
    meter.double == 0 && meter.count("errors") == 0 && meter.lag_ms_p99() <= 50.0
}
