//! What the whole file adds up to, and the hash that names it.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::schema::*;
use crate::domain::money::Fen;

/// Sums over the rounds with fixed supply. A money round adds its amount; its packs are counted when they are fixed, at the draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub packs: u64,
    pub vouchers: u64,
    pub amount: Fen,
}

impl Campaign {
    pub fn totals(&self) -> Totals {
        let rounds = self.rounds.iter().map(|round| self.round_totals(round));
        rounds.fold(Totals::default(), |sum, round| Totals {
            packs: sum.packs + round.packs,
            vouchers: sum.vouchers + round.vouchers,
            amount: saturating_sum(sum.amount, round.amount),
        })
    }

    /// A round funded from the pool adds nothing: its money is counted where it came from.
    pub fn round_totals(&self, round: &Round) -> Totals {
        match &round.supply {
            Supply::Packs(packs) => packs.iter().fold(Totals::default(), |sum, supply| {
                let Some((_, pack)) = self.pack(&supply.pack_id) else { return sum };
                let units: u64 = pack.vouchers.iter().map(|kind| u64::from(kind.count)).sum();
                let count = i64::try_from(supply.count).unwrap_or(i64::MAX);
                Totals {
                    packs: sum.packs + supply.count,
                    vouchers: sum.vouchers + supply.count * units,
                    amount: saturating_sum(sum.amount, Fen(pack.value().0.saturating_mul(count))),
                }
            }),
            Supply::Money { amount: MoneyAmount::Fixed(amount), .. } => Totals { amount: *amount, ..Totals::default() },
            Supply::Money { amount: MoneyAmount::Pool, .. } => Totals::default(),
        }
    }

    /// What the fixed rounds leave of the budget; `check` refuses a file in which it would be negative.
    pub fn unallocated(&self) -> Fen {
        Fen(self.budget.0.saturating_sub(self.totals().amount.0))
    }
}

/// A draft may name absurd sums; they must still compare as "too much".
fn saturating_sum(left: Fen, right: Fen) -> Fen {
    Fen(left.0.saturating_add(right.0))
}

/// SHA-256 of the file in RFC 8785 canonical JSON, so spacing, key order and number spelling do not change the name of the rules.
pub fn rules_hash(value: &Value) -> [u8; 32] {
    let canonical = serde_json_canonicalizer::to_vec(value).expect("a JSON value has a canonical form");
    Sha256::digest(canonical).into()
}
