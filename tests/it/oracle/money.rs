//! Where every fen is: the ledger's accounts and each merchant's day, derived from the model.

use serde_json::{Value, json};

use super::{Model, Place, State};
use crate::harness::fixture::date_of;

const PACK: i64 = 8000;

/// What a merchant's settlement of one day must say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    pub redeems: usize,
    pub reverses: usize,
    pub refunds: usize,
    pub subsidy: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accounts {
    pub unissued: i64,
    pub outstanding: i64,
    pub held: i64,
    pub redeemed: i64,
    /// Expired and recovered together: after the end a voucher that comes back may be either.
    pub gone: i64,
}

impl Model {
    pub fn accounts(&self) -> Accounts {
        let issued = self.wallets.iter().filter(|wallet| !wallet.is_empty()).count() as i64;
        let mut accounts = Accounts { unissued: (self.packs - issued) * PACK, ..Accounts::default() };
        for unit in self.wallets.iter().flat_map(|wallet| wallet.values()) {
            match unit.place {
                Place::Free if self.expired() => accounts.gone += unit.kind.discount(),
                Place::Free => accounts.outstanding += unit.kind.discount(),
                Place::Held => accounts.held += unit.kind.discount(),
                Place::Used => {}
            }
        }
        for order in self.orders.values().filter(|order| order.state == State::Redeemed) {
            accounts.redeemed += order.discount - order.given_back();
            accounts.gone += order.given_back() - order.restored;
        }
        let budget = self.packs * PACK;
        assert_eq!(accounts.total(), budget, "the model itself must balance: {accounts:?}");
        accounts
    }

    pub fn book_redeem(&mut self, till: usize, discount: i64, _amount: i64) {
        let day = self.day(till);
        day.redeems += 1;
        day.subsidy += discount;
    }

    pub fn book_reverse(&mut self, till: usize, discount: i64, _amount: i64) {
        let day = self.day(till);
        day.reverses += 1;
        day.subsidy -= discount;
    }

    pub fn book_refund(&mut self, till: usize, share: i64, _amount: i64) {
        let day = self.day(till);
        day.refunds += 1;
        day.subsidy -= share;
    }

    fn day(&mut self, till: usize) -> &mut Day {
        self.settled.entry((date_of(self.now), till)).or_default()
    }
}

impl Accounts {
    fn total(&self) -> i64 {
        self.unissued + self.outstanding + self.held + self.redeemed + self.gone
    }

    /// The same accounts out of the API's ledger; it must also balance on its own.
    pub fn read(ledger: &Value) -> Accounts {
        let total = &ledger["total"];
        let get = |name: &str| total[name].as_i64().unwrap_or_else(|| panic!("{name}: {ledger}"));
        let accounts = Accounts {
            unissued: get("unissued"),
            outstanding: get("outstanding"),
            held: get("held"),
            redeemed: get("redeemed"),
            gone: get("expired") + get("recovered"),
        };
        let sum = accounts.total() + get("unallocated");
        assert_eq!(sum, get("budget"), "the ledger does not balance: {ledger}");
        accounts
    }
}

impl Day {
    pub fn read(settlement: &Value) -> Day {
        let lines = settlement["lines"].as_array().cloned().unwrap_or_default();
        let count = |kind: &str| lines.iter().filter(|line| line["kind"] == json!(kind)).count();
        let subsidy = lines.iter().map(|line| line["subsidy"].as_i64().expect("a subsidy")).sum();
        assert_eq!(settlement["totals"]["subsidy"], json!(subsidy), "{settlement}");
        Day { redeems: count("redeem"), reverses: count("reverse"), refunds: count("refund"), subsidy }
    }
}
