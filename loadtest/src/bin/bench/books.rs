//! Whether what was measured is also right: the service's own counts against ours, the ledger, the audit.

use std::process::Command;

use serde_json::{Value, json};

use super::Fault;
use super::campaign;
use super::checkout::Done;
use super::rows::Rows;

/// Accounts whose sum is the budget.
const ACCOUNTS: [&str; 7] = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];

pub fn check(rows: &Rows<'_>, done: &Done) -> Result<(), Fault> {
    let (world, faults) = (rows.world, &rows.world.faults);
    let read = |campaign: &str, what: &str| {
        world.node.office("GET", &format!("/v1/campaigns/{campaign}/{what}"), &Value::Null)
    };
    let rain = read(campaign::RAIN, "stats")?;
    let list = read(campaign::LIST, "stats")?;
    let counts = [
        ("reserved", &rain["reserved"], world.passes.len()),
        ("issued", &rain["issued"], rows.claimed.get()),
        ("redeemed_count", &rain["redeemed_count"], (done.redeemed.get() + done.confirmed.get()) as usize),
        ("reserved in the second campaign", &list["reserved"], rows.reserved.get()),
    ];
    for (name, told, ours) in counts {
        faults.expect(*told == json!(ours), || format!("{name}: the service says {told}, we have counted {ours}"));
    }
    faults.expect(done.refunded.get() <= done.redeemed.get(), || "more refunds than redemptions".to_owned());
    let total = &read(campaign::RAIN, "ledger")?["total"];
    let sum: i64 = ACCOUNTS.iter().map(|account| total[account].as_i64().unwrap_or_default()).sum();
    faults.expect(total["budget"].as_i64() == Some(sum), || format!("the ledger does not balance: {total}"));
    let output = Command::new(&world.settings.program).args(["audit", "--data"]).arg(&world.node.data).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    faults.expect(output.status.success() && text.contains("audit=ok"), || {
        format!("audit: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    Ok(())
}
