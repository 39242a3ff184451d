//! `hammer URL CONNECTIONS SECONDS [PIPELINE]`: the most GETs that a server answers, as `wrk` measures it; to cross-check the engine.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use loadtest::engine::{Request, Target, closed_loop};
use loadtest::office::Office;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some(url), Some(connections), Some(seconds)) = (words.first(), number(&words, 1), number(&words, 2)) else {
        eprintln!("hammer URL CONNECTIONS SECONDS [PIPELINE]");
        std::process::exit(2);
    };
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
    let office = Office::new(&format!("http://{host}"), None).expect("the URL names a machine");
    let request = Request::new("GET", host, format!("/{path}")).bytes("", b"");
    let target = Target::new(office.address, connections as usize).pipelined(number(&words, 3).unwrap_or(1) as usize);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order");
    let (mut answered, mut other, mut lost) = (0_u64, 0_u64, 0_u64);
    let requests = std::iter::from_fn(|| (Instant::now() < end).then_some(&request));
    let elapsed = closed_loop(&target, requests, |_, waited, answer| {
        latency.saturating_record(waited.as_micros() as u64);
        match answer {
            Ok(answer) if answer.status < 300 => answered += 1,
            Ok(_) => other += 1,
            Err(_) => lost += 1,
        }
    })
    .expect("the server can be reached");
    let per_s = (answered + other) as f64 / elapsed.as_secs_f64();
    let ms = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "answers_per_s={per_s:.0} ok={answered} other={other} lost={lost} p50_ms={:.2} p99_ms={:.2}",
        ms(0.5),
        ms(0.99)
    );
}

fn number(words: &[String], at: usize) -> Option<u64> {
    words.get(at)?.parse().ok()
}
