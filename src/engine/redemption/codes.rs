//! Whose payment it is, and what the store holds of that person: with a pay code that this node has met, both are read at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::plan::{PayerView, payer_of_code, usable};
use super::seen::Seen;
use super::{Ask, Payer};
use crate::domain::order::OrderKey;
use crate::domain::paycode::PayCode;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::merchant::MerchantView;
use crate::engine::view::Snapshot;
use crate::store::orders::PayCodeRecord;

/// Codes of one generation; two are kept.
const MOST: usize = 65_536;

/// Pay codes that this node has made or read: whose they are, which never changes while they live. It only saves a read: whether a code
/// lives, what it paid and whether it is still that person's is looked at each time, by this node or by the script.
#[derive(Default)]
pub struct Codes(Mutex<[HashMap<u64, PayCodeRecord>; 2]>);

impl Codes {
    pub fn put(&self, code: &PayCode, record: PayCodeRecord) {
        let [recent, older] = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MOST {
            *older = std::mem::take(recent);
        }
        recent.insert(code.number(), PayCodeRecord { order: None, ..record });
    }

    fn get(&self, code: &PayCode) -> Option<PayCodeRecord> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().find_map(|codes| codes.get(&code.number()).cloned())
    }

    pub(super) fn forget(&self, code: &PayCode) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter_mut().for_each(|codes| drop(codes.remove(&code.number())));
    }
}

impl Engine {
    /// The payer with the pay code and all records as they were together. With an order, for a code that this node has met, the records
    /// alone: order and code are judged by the script that applies the plan.
    pub(super) async fn payer_seen(
        &self,
        snapshot: &Snapshot,
        merchant: &MerchantView,
        ask: &Ask,
        order: Option<&OrderKey>,
    ) -> Result<(PayerView, Seen), Refusal> {
        let code = match &ask.payer {
            Payer::PayCode(text) => PayCode::parse(text),
            _ => None,
        };
        let has_campaigns = snapshot.by_number.values().any(|view| usable(view, merchant));
        if matches!(ask.payer, Payer::PayCode(_)) && !has_campaigns {
            // Where nobody can have a voucher every code is unknown, and one that lives costs the same read.
            if let Some(code) = &code {
                self.pay_code_record(code).await?;
            }
            return Err(Code::PayCodeUnknown.into());
        }
        if let Some((known, code)) = code.and_then(|code| Some((self.codes.get(&code)?, code))) {
            let payer = payer_of_code(snapshot, merchant, code.clone(), &known);
            if order.is_some() {
                let seen = self.read_records(&payer, known).await?;
                return Ok((payer, seen));
            }
            let seen = self.read_wallet(&payer, None).await?;
            if seen.code.as_ref().is_some_and(|record| record.whose() == known.whose()) {
                return Ok((payer, seen));
            }
            // The store has forgotten it, and may even have given its number to somebody else.
            self.codes.forget(&code);
        }
        let payer = self.payer(snapshot, merchant, ask).await?;
        let seen = self.read_wallet(&payer, order).await?;
        Ok((payer, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::person::Root;

    #[test]
    fn codes_that_were_met_are_known_until_twice_as_many_newer_ones_came() {
        let codes = Codes::default();
        let code = |n: usize| PayCode::new(3, n as u64);
        let payer = |n: u8| PayCodeRecord {
            root: Root([n; 32]),
            channel: "wechat".into(),
            expires: 1,
            areas: Vec::new(),
            order: None,
        };
        codes.put(&code(0), payer(7));
        assert!(codes.get(&code(0)).is_some_and(|known| known.root == Root([7; 32]) && known.channel == "wechat"));
        assert!(codes.get(&code(1)).is_none());
        (1..=MOST).for_each(|n| codes.put(&code(n), payer(8)));
        assert!(codes.get(&code(0)).is_some());
        codes.forget(&code(0));
        assert!(codes.get(&code(0)).is_none());
        (1..=2 * MOST).for_each(|n| codes.put(&code(MOST + n), payer(9)));
        assert!(codes.get(&code(1)).is_none());
    }
}
