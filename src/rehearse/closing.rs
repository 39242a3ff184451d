//! The end: the ledger, the settlements and the audit must agree with the rehearsal's own books.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;

use super::books::Books;
use super::recorder::Keys;
use super::{RehearsalError, Result, World, io_error};

/// Holds run out and vouchers expire by background jobs, which must not take longer than this to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// Past the last voucher's end, past the longest hold, past the hour to which expiry is rounded.
const AFTER: i64 = 2 * 3_600_000;

pub async fn ledger(world: &World<'_>, books: &Books, keys: &mut Keys) -> Result<()> {
    let begun = Instant::now();
    let scenario = world.scenario;
    world.office.clock(scenario.validity.1 + AFTER.max(2 * scenario.hold_ms)).await?;
    let path = world.office.campaign_path("/ledger");
    let empty =
        |ledger: &Value| fen(ledger, "outstanding") == 0 && fen(ledger, "held") == 0 && fen(ledger, "budget") > 0;
    let settled = world.office.wait("holds and vouchers to run out", &path, PATIENCE, empty).await;
    let ledger = match settled {
        Ok(ledger) => ledger,
        Err(RehearsalError::Waited { .. }) => world.office.get(&path).await?,
        Err(other) => return Err(other),
    };
    let issued = scenario.packs_due() as i64 * scenario.pack_value();
    let expired = issued - books.redeemed_fen - books.recovered_fen;
    let due = [
        ("budget", scenario.budget),
        ("outstanding", 0),
        ("held", 0),
        ("redeemed", books.redeemed_fen),
        ("recovered", books.recovered_fen),
        ("expired", expired),
    ];
    let mut balanced = true;
    for (account, due) in due {
        let found = fen(&ledger, account);
        if found != due {
            balanced = false;
            let what = format!("ledger: {account} is not what was played");
            world.recorder.fault(&what, || format!("{found} in the ledger, {due} in the books"));
        }
    }
    let parts = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];
    let sum: i64 = parts.iter().map(|account| fen(&ledger, account)).sum();
    if sum != scenario.budget {
        balanced = false;
        world.recorder.fault("ledger: the accounts do not sum to the budget", || ledger["total"].to_string());
    }
    keys.ledger = Some(balanced);
    let word = if balanced { "balanced" } else { "differs" };
    println!(
        "ledger={word} redeemed_fen={} recovered_fen={} expired_fen={expired}",
        books.redeemed_fen, books.recovered_fen
    );
    world.recorder.stage("expiry and ledger", begun.elapsed());
    Ok(())
}

/// Every day's settlement, over all merchants, is what was sold that day less what came back.
pub async fn settlement(world: &World<'_>, books: &Books, keys: &mut Keys) -> Result<()> {
    let begun = Instant::now();
    let scenario = world.scenario;
    let last = scenario.date(scenario.validity.1);
    let mut date = scenario.date(scenario.validity.0);
    let (mut balanced, mut total) = (true, 0);
    while date <= last {
        let due = books.days.get(&date).map_or(0, |day| day.subsidy_fen);
        let found = subsidy(world, &date.to_string()).await?;
        if found != due {
            balanced = false;
            world
                .recorder
                .fault("settlement: a day differs from the books", || format!("{date}: {found} settled, {due} played"));
        }
        total += found;
        date = date.tomorrow().map_err(|error| RehearsalError::Campaign(error.to_string()))?;
    }
    if total != books.redeemed_fen {
        balanced = false;
        world.recorder.fault("settlement: the days do not sum to the redeemed money", || {
            format!("{total} settled, {} redeemed", books.redeemed_fen)
        });
    }
    keys.settlement = Some(balanced);
    println!("settlement={} settled_fen={total}", if balanced { "balanced" } else { "differs" });
    world.recorder.stage("settlement", begun.elapsed());
    Ok(())
}

/// What all merchants are owed for a day. Every column has to sum to its total: the merchants' to those of the day, and the lines of
/// a statement, that of the merchant with most of them, to its own.
async fn subsidy(world: &World<'_>, date: &str) -> Result<i64> {
    let path = format!("/v1/settlements/{date}");
    let summary = world.office.get(&path).await?;
    let merchants = summary["merchants"].as_array().map(Vec::as_slice).unwrap_or_default();
    sums(world, &path, merchants, &summary["totals"]);
    if let Some(most) = merchants.iter().max_by_key(|merchant| merchant["count"].as_i64()) {
        let path = format!("{path}/{}", most["merchant_id"].as_str().unwrap_or_default());
        let statement = world.office.get(&path).await?;
        let lines = statement["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        sums(world, &path, lines, &statement["totals"]);
        if statement["totals"]["subsidy"] != most["subsidy"] {
            world.recorder.fault("settlement: a statement is not its row of the day", || format!("{path}: {most}"));
        }
    }
    Ok(summary["totals"]["subsidy"].as_i64().unwrap_or_default())
}

fn sums(world: &World<'_>, path: &str, rows: &[Value], totals: &Value) {
    for column in ["amount", "subsidy"] {
        let sum: i64 = rows.iter().filter_map(|row| row[column].as_i64()).sum();
        if totals[column].as_i64() != Some(sum) {
            world.recorder.fault("settlement: a column does not sum to its total", || {
                format!("{path}: {column} is {sum} in the rows, {} in the totals", totals[column])
            });
        }
    }
}

/// The audit is a command of its own that reads the store, not the service.
pub async fn audit(world: &World<'_>, keys: &mut Keys) -> Result<()> {
    let begun = Instant::now();
    let program = std::env::current_exe().map_err(|e| io_error(world.data, e))?;
    let command = Command::new(program).arg("audit").arg("--data").arg(world.data).stdin(Stdio::null()).output().await;
    let output = command.map_err(|e| io_error(world.data, e))?;
    let words = [output.stdout, output.stderr].concat();
    let path = world.folder.join("audit.txt");
    std::fs::write(&path, &words).map_err(|e| io_error(&path, e))?;
    keys.audit = Some(output.status.success());
    if !output.status.success() {
        let text = String::from_utf8_lossy(&words).chars().take(2_000).collect();
        world.recorder.fault("the audit is not clean", || text);
    }
    println!("audit={}", if output.status.success() { "ok" } else { "findings" });
    world.recorder.stage("audit", begun.elapsed());
    Ok(())
}

fn fen(ledger: &Value, account: &str) -> i64 {
    ledger["total"][account].as_i64().unwrap_or_default()
}
