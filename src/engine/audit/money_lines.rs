//! Lines that belong to no person: what expired at an hour, and what was carried to the pool.

use super::Finding;
use super::resolve::Resolver;
use crate::engine::ledger::counters;
use crate::engine::ledger::counters::{Counters, What};

impl Resolver {
    /// Expiry lines belong to no person: they show as money that is expired by one witness and outstanding by the other.
    pub(super) fn expiry_lines(&mut self) {
        let pairs: Vec<_> = self
            .symptoms
            .residual
            .iter()
            .filter_map(|((cell, what), n)| match what {
                What::Outstanding(hour) => {
                    (self.symptoms.residual.get(cell, What::Expired) == -n).then_some((cell, hour, n))
                }
                _ => None,
            })
            .collect();
        for (cell, hour, n) in pairs {
            let mut delta = Counters::default();
            delta.add(cell, What::Outstanding(hour), n);
            delta.add(cell, What::Expired, -n);
            let subject = format!("expiry of hour {hour} in {}", counters::name((cell, What::Expired)));
            if !self.symptoms.residual.contains(&delta) || self.explain(&delta, &subject) {
                continue;
            }
            self.symptoms.residual.minus(&delta);
            let explanation = "an expiry was counted and is not in the ledger, or the other way round".to_owned();
            self.findings.push(Finding::new("expiry_line", subject, "0".into(), (-n).to_string(), explanation));
        }
    }

    /// So do lines that carry money to the pool: both of its ends differ by the same amount, or the pool by that of several lost lines.
    pub(super) fn carry_lines(&mut self) {
        for exactly in [true, false] {
            let residual: Vec<_> = self.symptoms.residual.iter().collect();
            for ((cell, from), n) in residual.into_iter().filter(|((_, what), _)| may_go_to_the_pool(*what)) {
                let mut delta = Counters::default();
                delta.add(cell, from, n);
                delta.add(cell, What::Pool, -n);
                let equal = self.symptoms.residual.get(cell, What::Pool) == -n;
                let subject = format!("what {} gave to the pool", counters::name((cell, from)));
                if exactly && !equal || !self.symptoms.residual.contains(&delta) || self.explain(&delta, &subject) {
                    continue;
                }
                if exactly {
                    self.symptoms.residual.minus(&delta);
                    let explanation =
                        "money was counted into the pool and is not in the ledger, or the other way round";
                    let found = (-n).to_string();
                    self.findings.push(Finding::new("carry_line", subject, "0".into(), found, explanation.to_owned()));
                }
            }
        }
    }
}

fn may_go_to_the_pool(what: What) -> bool {
    matches!(what, What::Outstanding(_) | What::Expired | What::Recovered | What::Late)
}

/// The same difference where the outstanding part had expired in between.
pub fn after_expiry(delta: &Counters) -> Counters {
    let mut shifted = Counters::default();
    for ((cell, what), n) in delta.iter() {
        let what = if matches!(what, What::Outstanding(_)) { What::Expired } else { what };
        shifted.add(cell, what, n);
    }
    shifted
}

/// The same difference where all that is over had gone to the pool in between.
pub fn after_carry(delta: &Counters) -> Counters {
    let mut shifted = Counters::default();
    for ((cell, what), n) in delta.iter() {
        shifted.add(cell, if may_go_to_the_pool(what) { What::Pool } else { what }, n);
    }
    shifted
}
