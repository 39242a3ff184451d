//! `quanyu audit`: proves beside a running server that ledger, counters and records say the same.

use std::process::ExitCode;

use clap::Args;

use super::could_not;
use crate::app::{AppError, Node};
use crate::config::Settings;
use crate::engine::audit::Report;

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    settings: Settings,
    /// Print the findings as JSON, one a line.
    #[arg(long)]
    json: bool,
}

/// 0 when everything agrees, 1 with findings, 2 when the audit could not look.
pub async fn run(options: Options) -> ExitCode {
    let report = match look(&options.settings).await {
        Ok(report) => report,
        Err(error) => return could_not(error),
    };
    for finding in &report.findings {
        if options.json {
            println!("{}", serde_json::to_string(finding).unwrap_or_default());
        } else {
            println!("{} {}: {}", finding.kind, finding.subject, finding.explanation);
            println!("  expected {}", finding.expected);
            println!("  found    {}", finding.found);
        }
    }
    for subject in &report.not_settled {
        eprintln!("not settled: {subject}: it moved whenever it was looked at; audit again when it is not in use");
    }
    println!("ledger_lines={}", report.lines);
    println!("seq={}", report.seq);
    println!("findings={}", report.findings.len());
    println!("audit={}", if report.findings.is_empty() { "ok" } else { "differences" });
    ExitCode::from(u8::from(!report.findings.is_empty()))
}

async fn look(settings: &Settings) -> Result<Report, AppError> {
    let node = Node::beside(settings).await?;
    let report = node.engine.audit().await?;
    node.stop().await;
    Ok(report)
}
