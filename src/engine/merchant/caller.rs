//! Who calls: a till, and the merchant at which it stands.

use std::sync::Arc;

use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::engine::merchant::MerchantView;
use crate::store::StoreError;

/// Who calls, as it names itself: its merchant is one of its key's program.
#[derive(Clone, Debug)]
pub struct NamedTill {
    pub program: String,
    pub merchant_id: String,
    pub terminal_id: String,
    /// The key is the terminal's own: nobody else can sign for it.
    pub is_terminals_key: bool,
}

/// Who calls: a till of a merchant that there is.
#[derive(Clone, Debug)]
pub struct Till {
    pub program: String,
    /// As its program names the merchant.
    pub named: String,
    /// As the store names it.
    pub merchant_id: String,
    pub terminal_id: String,
    pub is_terminals_key: bool,
}

impl Engine {
    /// The till at its merchant, who belongs to the key's program; anybody else's does not exist.
    pub async fn till_at(&self, till: NamedTill) -> Result<Till, Refusal> {
        let NamedTill { program, merchant_id: named, terminal_id, is_terminals_key } = till;
        let (merchant, _) = self.merchant_as_recorded(&program, &named).await?;
        Ok(Till { program, named, merchant_id: merchant.stored_id.clone(), terminal_id, is_terminals_key })
    }

    /// For steps that begin something: the merchant's slot knows the merchant as it is.
    pub(in crate::engine) async fn merchant_of(&self, till: &Till) -> Result<Arc<MerchantView>, Refusal> {
        self.merchant(&till.program, &till.named).await
    }

    /// For steps of an order that has begun: a merchant's slot that takes nothing now must not keep a voucher held or money away.
    pub(in crate::engine) async fn known_merchant_of(
        &self,
        till: &Till,
    ) -> Result<(Arc<MerchantView>, Result<(), StoreError>), Refusal> {
        self.merchant_as_recorded(&till.program, &till.named).await
    }
}
