//! `quanyu settle DATE`: a day's settlement from the ledger, beside a running server.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Args;

use super::could_not;
use crate::app::{FIRST_PROGRAM, Node};
use crate::config::Settings;
use crate::domain::campaign::spelling::{did_you_mean, nearest};
use crate::domain::settlement::Day;
use crate::engine::key::{ApiKey, Role};
use crate::engine::settlement::{statement_csv, summary_csv};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    settings: Settings,
    /// The day in the city's zone, YYYY-MM-DD.
    date: String,
    /// One merchant's statement instead of everybody's totals.
    #[arg(long)]
    merchant: Option<String>,
    /// The program whose campaigns are settled.
    #[arg(long, default_value = FIRST_PROGRAM)]
    program: String,
    /// CSV instead of JSON.
    #[arg(long)]
    csv: bool,
}

pub async fn run(options: Options) -> ExitCode {
    let node = match Node::beside(&options.settings).await {
        Ok(node) => node,
        Err(error) => return could_not(error),
    };
    match node.engine.known_programs().await {
        Ok(programs) if !programs.contains(&options.program) => {
            node.stop().await;
            return could_not(no_such_program(&options.program, &programs));
        }
        Ok(_) => {}
        Err(error) => {
            node.stop().await;
            return could_not(error);
        }
    }
    let key = ApiKey::new("settle", &[Role::Finance], &options.program);
    let day = node.engine.settlement_day(&key, &options.date, options.merchant.as_deref()).await;
    node.stop().await;
    match day {
        Ok(day) => print(&day, &options),
        Err(refusal) => could_not(refusal.told().en),
    }
}

fn no_such_program(named: &str, programs: &BTreeSet<String>) -> String {
    let known: Vec<&str> = programs.iter().map(String::as_str).collect();
    let meant = did_you_mean(nearest(named, &known)).1;
    format!("no key and no campaign is of the program {named:?}; there are: {}.{meant}", known.join(", "))
}

fn print(day: &Day, options: &Options) -> ExitCode {
    let merchant = options.merchant.as_deref();
    let text = match (merchant, options.csv) {
        (Some(merchant), true) => statement_csv(&day.statement(merchant)).map_err(|error| error.to_string()),
        (None, true) => summary_csv(&day.summary()).map_err(|error| error.to_string()),
        (Some(merchant), false) => {
            serde_json::to_vec_pretty(&day.statement(merchant)).map_err(|error| error.to_string())
        }
        (None, false) => serde_json::to_vec_pretty(&day.summary()).map_err(|error| error.to_string()),
    };
    match text {
        Ok(text) => {
            println!("{}", String::from_utf8_lossy(&text));
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}
