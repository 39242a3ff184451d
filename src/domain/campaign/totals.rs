//! What the whole file adds up to, and the hash that names it.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::schema::*;
use crate::domain::money::Fen;

/// Sums over the rounds. A round of money adds its amount, and the packs that this amount buys at least.
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
        let cells = self.fix_supply(round, Fen::ZERO).cells;
        let sum = Totals { amount: self.own_money(round), ..Totals::default() };
        cells.iter().fold(sum, |sum, cell| {
            let kinds = self.packs.get(usize::from(cell.pack)).map(|pack| pack.vouchers.as_slice()).unwrap_or_default();
            let units: u64 = kinds.iter().map(|kind| u64::from(kind.count)).sum();
            let packs = sum.packs.saturating_add(cell.count);
            Totals { packs, vouchers: sum.vouchers.saturating_add(cell.count.saturating_mul(units)), ..sum }
        })
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
