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
    /// The program whose campaigns are settled; a day holds those of one program. admin.key and its campaigns are of the program default.
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
    let programs = match node.engine.known_programs().await {
        Ok(programs) if programs.contains(&options.program) => programs,
        Ok(programs) => {
            node.stop().await;
            return could_not(no_such_program(&options.program, &programs));
        }
        Err(error) => {
            node.stop().await;
            return could_not(error);
        }
    };
    let key = ApiKey::new("settle", &[Role::Finance], &options.program);
    let day = node.engine.settlement_day(&key, &options.date, options.merchant.as_deref()).await;
    node.stop().await;
    match day {
        Ok(day) => {
            eprintln!("{}", of_program(&options.program, &programs));
            print(&day, &options)
        }
        Err(refusal) => could_not(refusal.told().en),
    }
}

/// Which program a settlement is of, so that nobody takes an empty one for the city's.
fn of_program(named: &str, programs: &BTreeSet<String>) -> String {
    let others: Vec<&str> = programs.iter().map(String::as_str).filter(|program| program != &named).collect();
    match others.is_empty() {
        true => format!("settlement of the program {named:?}"),
        false => format!("settlement of the program {named:?} alone; others by --program: {}", others.join(", ")),
    }
}

/// What is said of a program that has no key and no campaign.
pub fn no_such_program(named: &str, programs: &BTreeSet<String>) -> String {
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
