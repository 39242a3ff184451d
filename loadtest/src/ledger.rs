//! The equation of the ledger: a budget is the sum of its accounts, at every instant.

use serde_json::Value;

use crate::claims::refused;
use crate::engine::{Answer, Lost};
use crate::meter::Class;

const ACCOUNTS: [&str; 7] = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];

/// Whether the total and every part of it balance. What cannot be read does not.
pub fn balanced(ledger: &Value) -> bool {
    let parts = ["rounds", "channels", "packs"].iter().flat_map(|part| ledger[*part].as_array().into_iter().flatten());
    let rounds: Vec<&Value> = parts.collect();
    one(&ledger["total"]) == Some(true) && rounds.into_iter().all(|part| one(part) != Some(false))
}

/// `None` when it is no account sheet: parts may show fewer accounts than the total.
fn one(sheet: &Value) -> Option<bool> {
    let budget = sheet["budget"].as_i64()?;
    let accounts: Option<Vec<i64>> = ACCOUNTS.iter().map(|account| sheet[*account].as_i64()).collect();
    let accounts = accounts?;
    Some(accounts.iter().sum::<i64>() == budget && accounts.iter().all(|amount| *amount >= 0))
}

/// Ledgers that were read while the load ran.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub balanced: u64,
    pub unbalanced: u64,
}

impl Seen {
    pub fn told(&mut self, outcome: &Result<Answer<'_>, Lost>) -> Class {
        if let (None, Ok(answer)) = (refused(outcome), outcome) {
            let ledger = serde_json::from_slice(answer.body).unwrap_or(Value::Null);
            let counter = if balanced(&ledger) { &mut self.balanced } else { &mut self.unbalanced };
            *counter += 1;
        }
        refused(outcome).unwrap_or(Class::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sheet(budget: i64, redeemed: i64) -> Value {
        json!({"budget": budget, "unallocated": 1, "unissued": 2, "outstanding": 3, "held": 4, "redeemed": redeemed, "expired": 5, "recovered": 6})
    }

    #[test]
    fn a_fen_that_is_missing_anywhere_is_noticed() {
        assert!(balanced(&json!({"total": sheet(30, 9), "rounds": [sheet(30, 9)]})));
        assert!(!balanced(&json!({"total": sheet(31, 9), "rounds": []})));
        assert!(!balanced(&json!({"total": sheet(30, 9), "rounds": [sheet(30, 8)]})));
        assert!(!balanced(&json!({"total": sheet(20, -1)})));
        assert!(!balanced(&json!({})));
    }
}
