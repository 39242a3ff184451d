//! The rehearsal's own books: what the ledger and the settlements must say, to the fen.

use std::collections::BTreeMap;

use jiff::civil::Date;

#[derive(Default)]
pub struct Books {
    /// Orders that were redeemed, whatever became of them.
    pub redeemed: u64,
    pub refunds: u64,
    pub reversals: u64,
    /// Money at merchants now: redeemed less reversed less the issuer's shares of refunds.
    pub redeemed_fen: i64,
    /// Shares of refunds whose voucher did not come back.
    pub recovered_fen: i64,
    pub days: BTreeMap<Date, Day>,
}

#[derive(Default)]
pub struct Day {
    pub redeemed: u64,
    pub refunds: u64,
    /// What the city owes its merchants for the day; refunds and reversals count against it.
    pub subsidy_fen: i64,
}

/// A redeemed order that goods may come back to.
#[derive(Clone, Debug)]
pub struct Sale {
    pub net: i64,
    pub payable: i64,
    pub refunded: i64,
    pub refunds: u32,
    pub to_issuer: i64,
}

/// What one refund must answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Shares {
    pub to_payer: i64,
    pub to_issuer: i64,
    pub restores: bool,
}

impl Books {
    pub fn redeem(&mut self, date: Date, discount: i64) {
        self.redeemed += 1;
        self.redeemed_fen += discount;
        let day = self.days.entry(date).or_default();
        day.redeemed += 1;
        day.subsidy_fen += discount;
    }

    pub fn reverse(&mut self, date: Date, discount: i64) {
        self.reversals += 1;
        self.redeemed_fen -= discount;
        self.days.entry(date).or_default().subsidy_fen -= discount;
    }

    /// Books a refund; `earlier` is what the issuer got back by former refunds of the order.
    pub fn refund(&mut self, date: Date, shares: &Shares, earlier: i64) {
        self.refunds += 1;
        self.redeemed_fen -= shares.to_issuer;
        self.recovered_fen += if shares.restores { -earlier } else { shares.to_issuer };
        let day = self.days.entry(date).or_default();
        day.refunds += 1;
        day.subsidy_fen -= shares.to_issuer;
    }
}

impl Sale {
    /// The payer's cumulative share is rounded down and the issuer's is the rest, so any split sums exactly.
    pub fn give_back(&mut self, amount: i64, single_restores: bool, parts_restore: bool) -> Shares {
        let payer = |total: i64| (i128::from(self.payable) * i128::from(total) / i128::from(self.net.max(1))) as i64;
        let to_payer = payer(self.refunded + amount) - payer(self.refunded);
        let to_issuer = amount - to_payer;
        self.refunded += amount;
        self.refunds += 1;
        self.to_issuer += to_issuer;
        let full = self.refunded == self.net;
        let restores = full && if self.refunds == 1 { single_restores } else { parts_restore };
        Shares { to_payer, to_issuer, restores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Sale {
        Sale { net: 11_000, payable: 9_000, refunded: 0, refunds: 0, to_issuer: 0 }
    }

    #[test]
    fn half_of_the_published_example_goes_back_as_published() {
        let shares = sale().give_back(5_500, true, true);
        assert_eq!(shares, Shares { to_payer: 4_500, to_issuer: 1_000, restores: false });
    }

    #[test]
    fn any_split_of_a_refund_gives_back_exactly_what_was_paid() {
        for first in 1..11_000 {
            let mut sale = sale();
            let (one, two) = (sale.give_back(first, true, true), sale.give_back(11_000 - first, true, true));
            assert_eq!((one.to_payer + two.to_payer, one.to_issuer + two.to_issuer), (9_000, 2_000));
            assert!(two.restores && !one.restores);
        }
    }

    #[test]
    fn a_restored_voucher_leaves_nothing_recovered() {
        let date = Date::constant(2020, 7, 25);
        let (mut books, mut sale) = (Books::default(), sale());
        books.redeem(date, sale.net - sale.payable);
        for amount in [4_000, 7_000] {
            let earlier = sale.to_issuer;
            let shares = sale.give_back(amount, true, true);
            books.refund(date, &shares, earlier);
        }
        assert_eq!((books.redeemed_fen, books.recovered_fen, books.days[&date].subsidy_fen), (0, 0, 0));
    }
}
