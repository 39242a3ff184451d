//! Money: integer fen, never a float.

use serde::{Deserialize, Serialize};

/// An amount of money in fen (1 yuan = 100 fen), below 10^14 in absolute value so that it stays exact in Lua and JSON.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Fen(pub i64);

/// Amounts in requests and campaign files are below this bound (10^14 fen).
pub const FEN_LIMIT: i64 = 100_000_000_000_000;

impl Fen {
    pub const ZERO: Fen = Fen(0);

    pub fn checked_add(self, other: Fen) -> Option<Fen> {
        self.0.checked_add(other.0).filter(|n| n.abs() < FEN_LIMIT).map(Fen)
    }

    pub fn checked_sub(self, other: Fen) -> Option<Fen> {
        self.0.checked_sub(other.0).filter(|n| n.abs() < FEN_LIMIT).map(Fen)
    }

    pub fn checked_mul(self, times: u64) -> Option<Fen> {
        let times = i64::try_from(times).ok()?;
        self.0.checked_mul(times).filter(|n| n.abs() < FEN_LIMIT).map(Fen)
    }

    /// `floor(self x numerator / denominator)` without overflow; the rounding rule of every share in the contract.
    pub fn share(self, numerator: Fen, denominator: Fen) -> Fen {
        if denominator.0 == 0 {
            return Fen::ZERO;
        }
        let product = i128::from(self.0) * i128::from(numerator.0);
        Fen(product.div_euclid(i128::from(denominator.0)) as i64)
    }
}

impl std::ops::Add for Fen {
    type Output = Fen;
    fn add(self, other: Fen) -> Fen {
        Fen(self.0 + other.0)
    }
}

impl std::ops::Sub for Fen {
    type Output = Fen;
    fn sub(self, other: Fen) -> Fen {
        Fen(self.0 - other.0)
    }
}

impl std::iter::Sum for Fen {
    fn sum<I: Iterator<Item = Fen>>(amounts: I) -> Fen {
        Fen(amounts.map(|fen| fen.0).sum())
    }
}

impl std::fmt::Display for Fen {
    /// Yuan with two decimals, as a cashier reads it: `46.00`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(out, "{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_rounds_down_and_never_overflows() {
        for (amount, numerator, denominator, share) in [
            (9000, 5500, 11000, 4500),
            (1, 1, 3, 0),
            (2, 2, 3, 1),
            (FEN_LIMIT - 1, FEN_LIMIT - 1, FEN_LIMIT - 1, FEN_LIMIT - 1),
        ] {
            assert_eq!(Fen(amount).share(Fen(numerator), Fen(denominator)), Fen(share));
        }
    }

    #[test]
    fn yuan_are_printed_with_two_decimals() {
        assert_eq!(Fen(4600).to_string(), "46.00");
        assert_eq!(Fen(-5).to_string(), "-0.05");
    }
}
