//! The keys that a run prints, and whether it may be called good.

use crate::meter::{Class, Meter};

/// Above this the figures say more about the generator than about the server.
pub const LAG_MS: f64 = 50.0;

/// Whether the books of the server agree at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ledger {
    Balanced,
    Unbalanced,
    /// There is no API key to read it with.
    Unread,
}

impl Ledger {
    pub fn word(self) -> &'static str {
        match self {
            Ledger::Balanced => "balanced",
            Ledger::Unbalanced => "unbalanced",
            Ledger::Unread => "unread",
        }
    }
}

/// What the checks after the load have found.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    pub double: u64,
    pub lost_acks: u64,
    pub ledger: Ledger,
    pub incomplete_sheds: u64,
    pub lag_ms_p99: f64,
    pub errors: u64,
}

impl Checked {
    /// Why the run is not good; empty when it is.
    pub fn failures(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut unless = |good: bool, words: String| {
            if !good {
                found.push(words);
            }
        };
        unless(self.double == 0, format!("double={}: something was given or spent twice", self.double));
        unless(
            self.lost_acks == 0,
            format!("lost_acks={}: something was acknowledged and is not there", self.lost_acks),
        );
        unless(self.ledger != Ledger::Unbalanced, "ledger=unbalanced".to_owned());
        unless(
            self.incomplete_sheds == 0,
            format!("{} answers shed without overloaded, not_applied or Retry-After", self.incomplete_sheds),
        );
        unless(self.errors == 0, format!("errors={}: answers that the contract does not foresee here", self.errors));
        unless(
            self.lag_ms_p99 <= LAG_MS,
            format!("generator_lag_ms_p99={:.1}: the generator itself fell behind", self.lag_ms_p99),
        );
        found
    }

    pub fn exit_code(&self) -> u8 {
        u8::from(!self.failures().is_empty())
    }
}

/// Name and value, in the order in which they are printed. `more` stands before the keys that every scenario has.
pub fn keys(meter: &Meter, checked: &Checked, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let mut keys = more.to_vec();
    let ms = |value: f64| format!("{value:.1}");
    let count = |class: Class| meter.count(class).to_string();
    keys.extend([
        ("offered_per_s", format!("{:.0}", meter.offered_per_s())),
        ("answered_per_s", format!("{:.0}", meter.answered_per_s())),
        ("won", count(Class::Won)),
        ("not_yet", count(Class::NotYet)),
        ("lost", count(Class::Lost)),
        ("shed_503", count(Class::Shed)),
        ("limited_429", count(Class::Limited)),
        ("unknown", count(Class::Unknown)),
        ("errors", count(Class::Error)),
        ("p50_ms", ms(meter.latency_ms(0.5))),
        ("p99_ms", ms(meter.latency_ms(0.99))),
        ("p999_ms", ms(meter.latency_ms(0.999))),
        ("max_ms", ms(meter.max_ms())),
        ("double", checked.double.to_string()),
        ("lost_acks", checked.lost_acks.to_string()),
        ("ledger", checked.ledger.word().to_owned()),
        ("generator_lag_ms_p99", ms(checked.lag_ms_p99)),
    ]);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Checked =
        Checked { double: 0, lost_acks: 0, ledger: Ledger::Balanced, incomplete_sheds: 0, lag_ms_p99: 3.0, errors: 0 };

    #[test]
    fn a_run_without_findings_is_good() {
        assert_eq!(GOOD.exit_code(), 0);
        assert_eq!(Checked { ledger: Ledger::Unread, ..GOOD }.exit_code(), 0);
        assert_eq!(Checked { lag_ms_p99: 50.0, ..GOOD }.exit_code(), 0);
    }

    #[test]
    fn each_finding_alone_fails_the_run() {
        for bad in [
            Checked { double: 1, ..GOOD },
            Checked { lost_acks: 1, ..GOOD },
            Checked { ledger: Ledger::Unbalanced, ..GOOD },
            Checked { incomplete_sheds: 1, ..GOOD },
            Checked { lag_ms_p99: 50.1, ..GOOD },
            Checked { errors: 1, ..GOOD },
        ] {
            assert_eq!((bad.exit_code(), bad.failures().len()), (1, 1), "{bad:?}");
        }
    }
}
