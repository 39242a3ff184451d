//! `quanyu pos-certify`: plays a sheet of bad moments to a till's integration and signs what it saw.
//!
//! The integration talks to a sandbox through a proxy that loses, delays, doubles and forges. What the cashier does is told to it by
//! its adapter, line by line; it is judged by what the proxy saw, what the service knows afterwards, and what the cashier was told.

mod adapter;
mod proxy;
pub mod report;
mod sandbox;
mod sheet;
mod stage;
mod wire;

use std::path::PathBuf;

use adapter::Adapter;
use proxy::Proxy;
use report::{Played, Report};
use sandbox::Sandbox;
use stage::Stage;

/// What a certification is made of.
pub struct Order {
    /// The command of the integration's adapter.
    pub adapter: String,
    /// Waits of the integration, as a part of the real ones.
    pub pace: f64,
    /// Only these cases; all where it is empty.
    pub cases: Vec<String>,
    pub folder: PathBuf,
    pub key: [u8; 32],
}

/// Plays the sheet or the cases that were chosen, prints a line for each and writes the report; whether all that was played was passed.
pub fn run(order: &Order) -> Result<bool, String> {
    let known = |id: &String| sheet::SHEET.iter().any(|case| case.id == id);
    if let Some(id) = order.cases.iter().find(|id| !known(id)) {
        let ids: Vec<&str> = sheet::SHEET.iter().map(|case| case.id).collect();
        return Err(format!("there is no case {id}; there are {}", ids.join(", ")));
    }
    let sandbox = Sandbox::start().map_err(|error| error.to_string())?;
    let proxy = Proxy::start(&sandbox.address).map_err(|error| format!("the proxy: {error}"))?;
    let adapter = Adapter::start(&order.adapter, order.pace).map_err(|error| format!("{}: {error}", order.adapter))?;
    let mut stage = Stage::new(adapter, proxy, sandbox, order.pace);
    let integration = stage.setup()?;
    let wanted = |case: &&sheet::Case| order.cases.is_empty() || order.cases.iter().any(|id| id == case.id);
    let mut played = Vec::new();
    for case in sheet::SHEET.iter().filter(wanted) {
        stage.begin()?;
        (case.play)(&mut stage);
        stage.require_manners();
        let (findings, unsupported) = stage.end();
        let one = Played::new(case.id, (case.zh, case.en), findings, unsupported, stage.proxy.seen());
        println!("case={} verdict={}", one.id, one.verdict());
        one.findings.iter().for_each(|finding| println!("  {finding}"));
        played.push(one);
    }
    let whole = order.cases.is_empty();
    let report = Report::new(&order.adapter, &integration, order.pace, whole, played);
    let path = report.write(&order.folder, &order.key).map_err(|error| format!("the report: {error}"))?;
    println!("cases={}", report.cases.len());
    println!("passed={}", report.count("passed"));
    println!("failed={}", report.count("failed"));
    println!("not_played={}", report.count("not_supported"));
    if !whole {
        let ids: Vec<&str> = report.cases.iter().map(|case| case.id).collect();
        println!("sheet={}", sheet::SHEET.len());
        println!("played={}", ids.join(","));
    }
    let verdict = match (report.passed, whole) {
        (true, true) => "ok",
        (true, false) => "partial",
        (false, _) => "failed",
    };
    println!("certify={verdict}");
    println!("report={}", path.display());
    Ok(report.passed)
}
