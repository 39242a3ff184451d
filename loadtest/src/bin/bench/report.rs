//! What a run found, as a page and as lines.

use std::fmt::Write as _;

use super::Fault;
use super::checkout::{CONFIRM, HOLD, QUOTE, REDEEM, REFUND};
use super::meter::{Sample, Samples};
use super::orders;
use super::rows::{BASELINE, CLAIM, COLD, LOSING, LOSING_PIPELINED, LOSING_TOKEN, PEERS, PIPELINED, RESERVE};
use super::script::Figures;
use super::settings::Settings;
use super::world::{Faults, Setup};

pub struct Run<'a> {
    pub settings: &'a Settings,
    pub samples: Samples,
    pub setup: Setup,
    pub faults: Faults,
    pub fsync_us: f64,
    /// The script over the smaller crowd and the larger.
    pub crowds: [Figures; 2],
    /// A store with as many orders as a city makes.
    pub orders: orders::Figures,
    /// What the program says of its draw.
    pub ballot: Vec<(String, String)>,
    pub store_version: String,
}

/// What design 8 asks of a row, as a share of the bare handler.
const TARGETS: [(&str, f64); 5] = [(LOSING, 0.90), (COLD, 0.90), (CLAIM, 0.60), (RESERVE, 0.40), (REDEEM, 0.35)];

/// The baseline that a row is compared with.
fn reference(row: &str) -> &'static str {
    if [PIPELINED, LOSING_PIPELINED].contains(&row) { PIPELINED } else { BASELINE }
}

/// Writes the page, prints the lines, and says whether everything was right.
pub fn write(run: &Run<'_>) -> Result<bool, Fault> {
    let lines = run.lines();
    let page = run.settings.folder.join("report.html");
    std::fs::write(&page, run.page(&lines))?;
    for fault in run.faults.told() {
        println!("fault: {fault}");
    }
    print(&run.samples);
    for (key, value) in lines {
        println!("{key}={value}");
    }
    println!("report={}", page.display());
    Ok(run.faults.count() == 0)
}

/// A line for each row.
pub fn print(samples: &Samples) {
    for name in samples.names() {
        let [server, store, generator] = microseconds(samples, name);
        println!(
            "{name}: {:.0} per second, {:.3} of the baseline, {:.0} bytes, CPU us: server {server:.1} store {store:.1} generator {generator:.1}",
            samples.per_s(name),
            samples.ratio(name, reference(name)),
            samples.bytes_each(name)
        );
    }
}

/// Processor time of one request: server, store, generator.
fn microseconds(samples: &Samples, name: &str) -> [f64; 3] {
    let each = |total: fn(&Sample) -> u64| samples.median(name, |sample| sample.each(total(sample)));
    [each(|sample| sample.server_us), each(|sample| sample.store_us), each(|sample| sample.generator_us)]
}

impl Run<'_> {
    fn told(&self, key: &str) -> String {
        let pair = self.ballot.iter().find(|(name, _)| name == key);
        pair.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let ratio = |name: &str| format!("{:.3}", self.samples.ratio(name, BASELINE));
        let rate = |name: &str| format!("{:.0}", self.samples.per_s(name));
        let [small, large] = &self.crowds;
        let bytes = |bytes: f64| format!("{bytes:.1}");
        vec![
            ("losing_tap_per_s", rate(LOSING)),
            ("claim_per_s", rate(CLAIM)),
            ("reserve_per_s", rate(RESERVE)),
            ("redeem_per_s", rate(REDEEM)),
            ("ratio_losing_tap_token", ratio(LOSING_TOKEN)),
            (
                "ratio_losing_tap_pipelined",
                format!("{:.3}", self.samples.ratio(LOSING_PIPELINED, reference(LOSING_PIPELINED))),
            ),
            ("ratio_quote", ratio(QUOTE)),
            ("ratio_hold", ratio(HOLD)),
            ("ratio_confirm", ratio(CONFIRM)),
            ("ratio_refund", ratio(REFUND)),
            ("lua_claims_per_s_user_time", format!("{:.0}", small.per_s_user)),
            ("lua_claims_per_s_10m_user_time", format!("{:.0}", large.per_s_user)),
            ("lua_floor_per_s", format!("{:.0}", small.floor_per_s)),
            ("lua_floor_per_s_10m", format!("{:.0}", large.floor_per_s)),
            ("lua_redemptions_per_s", format!("{:.0}", self.orders.per_s)),
            ("orders", self.orders.orders.to_string()),
            ("ballot_entries", self.told("entries")),
            ("ballot_seconds", self.told("cutoff_seconds")),
            ("faults", self.faults.count().to_string()),
            ("baseline_rps", rate(BASELINE)),
            ("ratio_losing_tap", ratio(LOSING)),
            ("ratio_losing_tap_cold", ratio(COLD)),
            ("ratio_claim", ratio(CLAIM)),
            ("ratio_reserve", ratio(RESERVE)),
            ("ratio_redeem", ratio(REDEEM)),
            ("lua_claims_per_s", format!("{:.0}", small.per_s)),
            ("lua_claims_per_s_10m", format!("{:.0}", large.per_s)),
            ("growth_1m_10m", format!("{:.2}", small.per_s / large.per_s.max(1e-9))),
            ("ballot_ratio", self.told("ballot_ratio")),
            ("bytes_per_reservation", bytes(self.setup.bytes_per_reservation)),
            ("bytes_per_pack", bytes(self.samples.bytes_each(CLAIM))),
            ("bytes_per_redemption", bytes(self.orders.bytes_each)),
            ("fsync_us", format!("{:.0}", self.fsync_us)),
            ("peer_counter_set_stream_per_s", rate(PEERS[0].0)),
            ("peer_hash_stock_per_s", rate(PEERS[1].0)),
            ("peer_two_trips_per_s", rate(PEERS[2].0)),
            ("peer_leased_per_s", rate(PEERS[3].0)),
        ]
    }

    fn page(&self, lines: &[(&'static str, String)]) -> String {
        let mut rows = String::new();
        for name in self.samples.names() {
            let ratio = self.samples.ratio(name, reference(name));
            let target = TARGETS.iter().find(|(row, _)| row == name).map(|(_, target)| *target);
            let (mark, target) = match target {
                None => ("", String::new()),
                Some(target) if ratio >= target => (" class=met", format!("{target:.2}")),
                Some(target) => (" class=short", format!("{target:.2}")),
            };
            let [server, store, generator] = microseconds(&self.samples, name);
            let rates = || self.samples.of(name).map(Sample::per_s);
            let (low, high) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
            let count: u64 = self.samples.of(name).map(|sample| sample.answered).sum();
            let bytes = self.samples.bytes_each(name);
            // Writing to a String cannot fail.
            let _ = writeln!(
                rows,
                "<tr{mark}><th>{name}<td>{:.0}<td>{low:.0}<td>{high:.0}<td>{ratio:.3}<td>{target}<td>{server:.1}<td>{store:.1}\
                 <td>{generator:.1}<td>{bytes:.0}<td>{count}</tr>",
                self.samples.per_s(name)
            );
        }
        let mut figures = String::new();
        for (key, value) in lines {
            let _ = writeln!(figures, "<tr><th>{key}<td>{value}</tr>");
        }
        let faults: String = self.faults.told().iter().map(|fault| format!("<li>{}", escaped(fault))).collect();
        let verdict = match self.faults.count() {
            0 => "Every answer and the books were right.".to_owned(),
            count => format!("{count} things were wrong:<ul>{faults}</ul>"),
        };
        include_str!("report.html")
            .replace("{about}", &self.about())
            .replace("{verdict}", &verdict)
            .replace("{rows}", &rows)
            .replace("{figures}", &figures)
    }

    fn about(&self) -> String {
        let settings = self.settings;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let [small, large] = &self.crowds;
        format!(
            "{cores} cores shared by server, store and generator; store {}, appendfsync always, one sync of the disk {:.0} us; \
             {} rounds of at most {:.0} s, median; {} connections with {} request on the way on each; {} people, of whom {} have won. \
             Setting up reserved {:.0} people a second. The script issued {} packs among {} persons ({:.1} bytes each) and {} among {} ({:.1} bytes each).",
            self.store_version,
            self.fsync_us,
            settings.rounds,
            settings.seconds,
            settings.connections,
            settings.depth,
            settings.people(),
            settings.winners(),
            self.setup.reserved.answered as f64 / self.setup.reserved.seconds.max(1e-9),
            small.packs,
            small.persons,
            small.bytes_per_pack,
            large.packs,
            large.persons,
            large.bytes_per_pack,
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
