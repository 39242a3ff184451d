//! Campaigns: the file a city writes, read and judged. `schema` and `terms` are the types; `parse` reads bytes and reports every
//! fault at once; `check` judges the rules between fields; `supported` says what this version cannot run yet, `ignored` what no round
//! would look at, `unknown` which words name nothing, `check_usable` which vouchers nobody could use;
//! `effective` and `totals` compute what the file amounts to.

pub mod check;
pub mod effective;
pub mod ignored;
pub mod parse;
pub mod schema;
pub mod spelling;
pub mod supported;
pub mod terms;
pub mod totals;

mod check_round;
mod check_rounds;
mod check_supply;
mod check_terms;
mod check_usable;
mod findings;
mod instant;
mod named;
mod parse_round;
mod parse_terms;
mod reader;
mod strict_json;
mod unknown;

pub use check::{check, not_in_past};
pub use effective::{Unit, effective_view};
pub use findings::{Fault, Findings, below};
pub use ignored::ignored;
pub use named::Named;
pub use parse::{Parsed, parse, parse_value};
pub use schema::*;
pub use strict_json::value_from;
pub use supported::unsupported;
pub use totals::{Totals, rules_hash};

#[cfg(test)]
mod tests;
