//! What an attempt that is over still owes to caps and quotas: the store refused to take it back after the step that counts. The order is
//! what it says, so its till is told so; the sweeper of this node gives back until the store takes it. A node that ends forgets what it
//! owes: the cap stays stricter until its period ends, or until the order is cancelled, refunded or reversed again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::limits::Cap;
use crate::domain::order::{Order, OrderKey};
use crate::engine::Engine;
use crate::store::StoreError;

/// A node that owes as many forgets any more.
const MOST: usize = 65_536;

/// A turn of the sweeper ends its give-backs after as many failures, for the holds wait behind them; the next turn begins with the others.
const FAILURES: usize = 8;

struct Debt {
    merchant_id: String,
    key: OrderKey,
    attempt: u32,
    generation: Option<i64>,
    /// What is not given back.
    kept: Vec<Cap>,
}

#[derive(Default)]
pub struct Owed(Mutex<VecDeque<Debt>>);

impl Owed {
    fn debts(&self) -> MutexGuard<'_, VecDeque<Debt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, debt: Debt) {
        let mut debts = self.debts();
        if debts.len() < MOST {
            debts.push_back(debt);
        } else {
            tracing::error!("too many give-backs are owed; a cap stays stricter");
        }
    }
}

impl Engine {
    /// Gives back what an order held that has ended; what the store refuses is given back later, and given back once.
    pub(super) async fn release_or_owe(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        order: &Order,
        generation: Option<i64>,
    ) {
        let kept = match self.kept_of_ended(merchant_id, order) {
            Ok(kept) => kept,
            // A campaign that cannot be read gives nothing back; the next repeat does.
            Err(error) => return tracing::warn!(%error, "what an order gives back is not known"),
        };
        let given = self.release_ended(merchant_id, key, order, generation, &kept).await;
        let debt = Debt { merchant_id: merchant_id.to_owned(), key: *key, attempt: order.attempt, generation, kept };
        self.owe_unless(given, debt);
    }

    /// Gives back what an attempt held that was made void; whether the store took it now. What it refuses is given back later, once.
    pub(super) async fn release_void_or_owe(&self, merchant_id: &str, key: &OrderKey, attempt: u32) -> bool {
        let given = self.release_caps(merchant_id, key, attempt, None, &[]).await;
        let (merchant_id, kept) = (merchant_id.to_owned(), Vec::new());
        self.owe_unless(given, Debt { merchant_id, key: *key, attempt, generation: None, kept })
    }

    fn owe_unless(&self, given: Result<(), StoreError>, debt: Debt) -> bool {
        let Err(error) = given else { return true };
        tracing::warn!(%error, "caps and quotas of an attempt that is over are given back later");
        self.owed.push(debt);
        false
    }

    /// Tries each give-back once more; what fails again goes to the end.
    pub(super) async fn pay_owed(&self) {
        let (due, mut failures) = (self.owed.debts().len(), 0);
        for _ in 0..due {
            let Some(debt) = self.owed.debts().pop_front() else { return };
            let Debt { merchant_id, key, attempt, generation, kept } = &debt;
            if let Err(error) = self.release_caps(merchant_id, key, *attempt, *generation, kept).await {
                tracing::warn!(%error, "caps and quotas are still to be given back");
                self.owed.push(debt);
                failures += 1;
            }
            if failures == FAILURES {
                return;
            }
        }
    }
}
