//! What an import tells of its rows: of each that it was taken or refused, in full only of the first faults, and all faults by count.
//! Rows are kept as the text that is sent, so the memory of an answer is its length, which is bounded whatever a file holds.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::error;
use super::middleware::Call;
use super::shapes::office::ImportedRow;
use crate::domain::refusal::Refusal;

/// Faults told in full; who has more of them has few causes for them.
const MOST_FAULTS: usize = 1_000;

/// The rows of one answer so far.
pub struct RowReport {
    rows: Vec<Box<RawValue>>,
    /// How often each fault has occurred, told in full or not.
    faults: BTreeMap<&'static str, u64>,
    left: usize,
}

impl Default for RowReport {
    fn default() -> RowReport {
        RowReport { rows: Vec::new(), faults: BTreeMap::new(), left: MOST_FAULTS }
    }
}

impl RowReport {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Of a row that took effect, or had taken it before; its members are few and short.
    pub fn taken(&mut self, row: Map<String, Value>) {
        self.push(row);
    }

    /// Of a row that was refused: the whole refusal while there is room for faults, else what a program has to know of it.
    pub fn refused(&mut self, mut row: Map<String, Value>, mut refusal: Refusal) {
        let codes = refusal.errors.iter().map(|error| error.code);
        let whole = refusal.errors.is_empty().then(|| refusal.code.as_str());
        for code in codes.chain(whole) {
            *self.faults.entry(code).or_default() += 1;
        }
        let told = if self.left > 0 {
            refusal.errors.truncate(self.left);
            self.left -= refusal.errors.len().max(1);
            error::body(&refusal, "", false, Call::current().language)
        } else {
            let code = refusal.code;
            json!({"code": code.as_str(), "retryable": code.retryable(), "outcome": refusal.outcome.as_str()})
        };
        row.insert("result".to_owned(), json!("refused"));
        row.insert("refusal".to_owned(), told);
        self.push(row);
    }

    fn push(&mut self, row: Map<String, Value>) {
        let row = to_raw_value(&row).expect("a map of JSON values is JSON");
        self.rows.push(row);
    }

    pub fn into_parts(self) -> Told {
        Told { rows: self.rows, faults: self.faults }
    }
}

/// The report as members of an answer.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Told {
    /// One for each row: `line`, `result`, and for `refused` the `refusal`, whose `errors` and texts only the first 1,000 faults have.
    #[schema(value_type = Vec<ImportedRow>)]
    rows: Vec<Box<RawValue>>,
    /// How many faults of each code all rows have together.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    faults: BTreeMap<&'static str, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Code;

    #[test]
    fn faults_are_told_in_full_up_to_a_bound_and_counted_beyond_it() {
        let mut report = RowReport::default();
        let wrong = |errors: usize| {
            (0..errors).fold(Refusal::new(Code::InvalidRequest), |refusal, _| {
                refusal.field("/code", "required", "空", "empty")
            })
        };
        report.refused(Map::new(), Code::MerchantConflict.into());
        report.refused(Map::new(), wrong(MOST_FAULTS - 2));
        report.refused(Map::new(), wrong(3));
        report.refused(Map::new(), wrong(3));
        let told = serde_json::to_value(report.into_parts()).expect("it is JSON");
        let errors = |row: usize| told["rows"][row]["refusal"]["errors"].as_array().map(Vec::len);
        assert_eq!([0, 1, 2, 3].map(errors), [None, Some(MOST_FAULTS - 2), Some(1), None]);
        let known = json!({"code": "invalid_request", "retryable": false, "outcome": "not_applied"});
        assert_eq!(told["rows"][3], json!({"result": "refused", "refusal": known}));
        assert_eq!(told["faults"], json!({"merchant_conflict": 1, "required": MOST_FAULTS + 4}));
    }
}
