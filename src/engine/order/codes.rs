//! Whose payment it is, and what the store holds of that person: with a pay code that this node has met, both are read at once.

use super::plan::{PayerView, payer_of_code, usable};
use super::seen::Seen;
use super::{Ask, Payer};
use crate::domain::order::OrderKey;
use crate::domain::paycode::PayCode;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::config::recent::Recent;
use crate::engine::config::view::Snapshot;
use crate::engine::merchant::MerchantView;
use crate::store::orders::PayCodeRecord;

/// Unused pay codes that this node has made or read: whose they are, which never changes while they live. It only saves a read: whether a code
/// lives, what it paid and whether it is still that person's is looked at each time, by this node or by the script.
#[derive(Default)]
pub struct Codes(Recent<u64, PayCodeRecord>);

impl Codes {
    pub fn put(&self, code: &PayCode, record: PayCodeRecord) {
        if record.order.is_none() {
            self.0.put(code.number(), record);
        }
    }

    fn get(&self, code: &PayCode) -> Option<PayCodeRecord> {
        self.0.get(&code.number())
    }

    pub(super) fn forget(&self, code: &PayCode) {
        self.0.forget(&code.number());
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
