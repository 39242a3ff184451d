//! The report a person opens: one HTML file with everything inside, and nothing fetched from anywhere.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::chart::{Bar, Line, bars, escape, lines};
use super::recorder::{Keys, Op, Outcome, RainFigures, Recorder};
use super::{Result, World, io_error};

const PAGE: &str = include_str!("report.html");

pub fn write(world: &World<'_>, keys: &Keys, holds: bool, took: Duration) -> Result<PathBuf> {
    let scenario = world.scenario;
    let heading = format!(
        "{} at 1:{} — {} people, {} packs, {}",
        scenario.campaign_id,
        scenario.factor_text(),
        grouped(scenario.population),
        grouped(scenario.packs),
        yuan(scenario.budget)
    );
    let verdict = if holds { "Everything held" } else { "Something did not hold" };
    let page = page(world.recorder, keys, &heading, verdict, &facts(world, took));
    let path = world.folder.join("report.html");
    std::fs::write(&path, page).map_err(|e| io_error(&path, e))?;
    Ok(path)
}

fn page(recorder: &Recorder, keys: &Keys, heading: &str, verdict: &str, facts: &[(String, String)]) -> String {
    let key_rows: Vec<(String, String)> =
        keys.lines().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let tone = if verdict.starts_with("Everything") { "good" } else { "bad" };
    // Slots are filled in one pass over the template, so that no value can be taken for a slot.
    let slots = [
        ("heading", escape(heading)),
        ("verdict", escape(verdict)),
        ("tone", tone.to_owned()),
        ("keys", rows(&key_rows)),
        ("faults", faults(recorder)),
        ("reservations", rate(recorder, "Reservations a second", Op::Reserve)),
        ("taps", taps(recorder)),
        ("rain", keys.rain.map(|rain| rows(&rain_rows(recorder, &rain))).unwrap_or_default()),
        ("scripts", scripts(recorder)),
        ("curve", curve(recorder)),
        ("fairness", fairness(recorder)),
        ("days", days(recorder)),
        ("latencies", latencies(recorder)),
        ("stages", stages(recorder)),
        ("facts", rows(facts)),
        ("notes", recorder.notes().iter().map(|note| format!("<li>{}</li>", escape(note))).collect()),
    ];
    let mut page = String::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let value = slots.iter().find(|slot| slot.0 == name).map_or("", |slot| &slot.1);
        page.push_str(value);
        rest = after;
    }
    page + rest
}

fn facts(world: &World<'_>, took: Duration) -> Vec<(String, String)> {
    let options = world.options;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut facts = vec![
        ("seed".to_owned(), options.seed.to_string()),
        ("campaign file".to_owned(), options.file.display().to_string()),
        ("taps for each person".to_owned(), options.taps_per_person.to_string()),
        ("refunds of 10,000 orders".to_owned(), options.refund_share.to_string()),
        ("early winners returning of 10,000".to_owned(), options.return_share.to_string()),
        (
            "connections × pipeline of the crowd".to_owned(),
            format!("{} × {}", options.crowd_connections, options.pipeline),
        ),
        ("connections of office and tills".to_owned(), options.connections.to_string()),
        ("cores, shared by server, store and driver".to_owned(), cores.to_string()),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("played at".to_owned(), jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("seconds in all".to_owned(), format!("{:.1}", took.as_secs_f64())),
        ("requests sent again".to_owned(), world.recorder.retries().to_string()),
    ];
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    if let Some(total) = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")) {
        facts.push(("memory".to_owned(), total.trim().to_owned()));
    }
    facts
}

fn rows(pairs: &[(String, String)]) -> String {
    let row =
        |(name, value): &(String, String)| format!("<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    pairs.iter().map(row).collect()
}

fn faults(recorder: &Recorder) -> String {
    let mut rows = String::new();
    recorder.each_fault(|what, fault| {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            fault.count,
            escape(what),
            escape(&fault.example)
        );
    });
    if rows.is_empty() {
        return "<p>None: nothing was refused, answered or booked otherwise than planned.</p>".to_owned();
    }
    format!("<table><tr><th>times</th><th>what</th><th>first example</th></tr>{rows}</table>")
}

fn rate(recorder: &Recorder, title: &str, op: Op) -> String {
    let points = recorder.rate(op);
    lines(title, "seconds", &[Line { name: title, tone: "one", points }])
}

fn taps(recorder: &Recorder) -> String {
    let line = |name, tone, outcome| Line { name, tone, points: recorder.outcome_rate(outcome) };
    let all = Line { name: "all", tone: "all", points: recorder.rate(Op::Tap) };
    let lost = line("lost", "two", Outcome::Lost);
    let (won, not_yet) = (line("won", "one", Outcome::Won), line("not yet", "three", Outcome::NotYet));
    lines("Taps a second", "seconds", &[all, lost, won, not_yet])
}

/// What the rain took and cost.
fn rain_rows(recorder: &Recorder, rain: &RainFigures) -> Vec<(String, String)> {
    let seconds = |cpu: Option<f64>| cpu.map_or("unread".to_owned(), |cpu| format!("{cpu:.1} s"));
    let told = |outcome| grouped(recorder.outcomes(outcome));
    let calls = rain.store_calls.map_or("unread".to_owned(), grouped);
    let row = |name: &str, value: String| (name.to_owned(), value);
    vec![
        row("first tap sent to last tap answered", format!("{:.1} s", rain.claim_seconds)),
        row("taps, one of each person by default", grouped(rain.taps)),
        row("taps of people who came again", grouped(rain.taps_again)),
        row("taps a second", grouped(rain.taps_per_s() as u64)),
        row("told: won", told(Outcome::Won)),
        row("told: not yet", told(Outcome::NotYet)),
        row("told: lost", told(Outcome::Lost)),
        row("people who got their pack by tapping", grouped(rain.won_by_tap)),
        row("script calls of the store", calls),
        row("campaign seconds for one on the wall", format!("{:.1}", rain.clock_rate)),
        row("processor time of the server", seconds(rain.spent.server_cpu)),
        row("processor time of the store", seconds(rain.spent.store_cpu)),
        row("processor time of this driver", seconds(rain.spent.driver_cpu)),
    ]
}

fn scripts(recorder: &Recorder) -> String {
    let mut table = "<table class=\"numbers\"><tr><th>person</th><th>taps in a second</th><th>told 429</th><th>answered</th><th>all answers</th><th>on the list drawn before</th><th>has a pack</th></tr>".to_owned();
    for (script, listed) in recorder.scripts.borrow().iter() {
        let answered = script.lost + script.not_yet + script.won;
        let yes = if *listed { "yes" } else { "no" };
        let _ = write!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{answered}</td><td>{}</td><td>{yes}</td><td>{yes}</td></tr>",
            script.person,
            script.sent,
            script.limited,
            escape(script.heard())
        );
    }
    table + "</table>"
}

fn curve(recorder: &Recorder) -> String {
    let rain = recorder.rain.borrow();
    let of = |value: fn(&super::recorder::RainPoint) -> u64| {
        rain.iter().map(|point| (point.second, value(point) as f64)).collect()
    };
    let released = Line { name: "released", tone: "two", points: of(|point| point.released) };
    let issued = Line { name: "issued by taps", tone: "one", points: of(|point| point.issued) };
    lines("Packs issued against released", "seconds of the rain, campaign time", &[released, issued])
}

fn fairness(recorder: &Recorder) -> String {
    let bar = |(won, tapped): &(u64, u64)| {
        let share = if *tapped == 0 { 0.0 } else { *won as f64 * 100.0 / *tapped as f64 };
        let hint = format!("{won} of {tapped} people: {share:.1} %");
        Bar { label: format!("{share:.1} %"), value: share, hint }
    };
    let all: Vec<Bar> = recorder.fairness.borrow().iter().map(bar).collect();
    bars("Share of winners by the time of the first tap", "tenths of the window, first to last", &all)
}

fn days(recorder: &Recorder) -> String {
    let bar = |(date, redeemed, refunds): &(String, u64, u64)| Bar {
        label: date.get(5..).unwrap_or(date).to_owned(),
        value: *redeemed as f64,
        hint: format!("{date}: {redeemed} redeemed, {refunds} refunds"),
    };
    let all: Vec<Bar> = recorder.days.borrow().iter().map(bar).collect();
    bars("Redemptions a day", "campaign days", &all)
}

fn latencies(recorder: &Recorder) -> String {
    let mut table = "<table class=\"numbers\"><tr><th>request</th><th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>".to_owned();
    for (name, count, micros) in recorder.percentiles() {
        let _ = write!(table, "<tr><td>{}</td><td>{}</td>", escape(name), grouped(count));
        for value in micros {
            let _ = write!(table, "<td>{:.2}</td>", value as f64 / 1000.0);
        }
        table.push_str("</tr>");
    }
    table + "</table>"
}

fn stages(recorder: &Recorder) -> String {
    let rows: Vec<_> = recorder
        .stages()
        .iter()
        .map(|(name, took)| ((*name).to_owned(), format!("{:.1} s", took.as_secs_f64())))
        .collect();
    self::rows(&rows)
}

/// Thousands apart, as people read them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn yuan(fen: i64) -> String {
    format!("{}.{:02} yuan", grouped((fen / 100).unsigned_abs()), fen % 100)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::rehearse::recorder::{Counted, RainPoint};
    use crate::rehearse::script::Script;

    fn played() -> (Recorder, Keys) {
        let recorder = Recorder::new();
        for step in 0..200_u64 {
            let released = (step * 20_000 / 160).min(20_000);
            let point = RainPoint { second: step as f64 * 3.0, issued: released * 9 / 10, released };
            recorder.rain.borrow_mut().push(point);
            recorder.answered(Op::Tap, Duration::from_micros(300 + step * 7));
            recorder.told(Outcome::Lost, Instant::now());
            recorder.answered(Op::Reserve, Duration::from_micros(900 + step * 3));
        }
        *recorder.fairness.borrow_mut() = (0..10).map(|tenth| (2_000 + tenth, 5_000)).collect();
        *recorder.days.borrow_mut() = (0..44).map(|day| (format!("2020-08-{day:02}"), 3_000 - day * 40, day)).collect();
        recorder.note("A note with <b>markup</b> & more.".to_owned());
        let script = Script { person: 7, sent: 1_000, lost: 40, limited: 960, ..Script::default() };
        recorder.scripts.borrow_mut().push((script, false));
        let rain = RainFigures { claim_seconds: 2.0, taps: 50_000, ..RainFigures::default() };
        let keys =
            Keys { reserved: Counted::new(50_000, 50_000), draw: Some(true), rain: Some(rain), ..Keys::default() };
        (recorder, keys)
    }

    #[test]
    fn the_page_is_whole_escaped_and_asks_nobody_for_anything() {
        let (recorder, keys) = played();
        recorder.fault("tap: 500", || "<script>alert(1)</script>".to_owned());
        let page = page(&recorder, &keys, "chengdu <1:100>", "Something did not hold", &[("seed".into(), "7".into())]);
        if let Some(path) = std::env::var_os("QUANYU_REPORT_SAMPLE") {
            std::fs::write(path, &page).unwrap();
        }
        assert!(!page.contains("{{") && !page.contains("<script") && !page.contains("<b>markup"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
        assert!(page.contains("&lt;script&gt;") && page.contains("chengdu &lt;1:100&gt;"));
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.matches("<svg").count() >= 3);
        assert!(page.contains("<td>7</td><td>1000</td><td>960</td><td>40</td><td>lost</td><td>no</td>"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            ["7", "1,000", "50,000", "16,000,000"],
            [7, 1_000, 50_000, 16_000_000].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(yuan(160_000_005), "1,600,000.05 yuan");
    }
}
