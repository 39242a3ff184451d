//! Automatic deduction: a resident lets a channel's payments use the vouchers, and a platform then names the payer by account.
//!
//! The link stands on a shard of the account's own, apart from the person, whom the platform does not know. It is made by the person
//! and never by a platform, so no platform can spend the vouchers of somebody who has not asked for it.

use super::Resident;
use crate::domain::account::{Account, AccountDigest};
use crate::domain::person::Root;
use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::int;
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member, bytes};

impl Engine {
    /// Links or unlinks the resident's account; whether anything changed.
    pub async fn link_account(&self, resident: &Resident, account: &Account, link: bool) -> Result<bool, Refusal> {
        let digest = account.digest(&self.keys.identity);
        let shard = digest.shard(self.store.shards());
        let args = vec![bytes(&digest.0), bytes(&resident.root.0), int(u8::from(link))];
        let member = Member::new(vec![keys::account_bucket(shard, &digest)], args);
        let reply = self.store.call(&script::ACCOUNT_LINK, &Slot::Shard(shard), member).await?;
        Ok(reply.int(0) == 1)
    }

    /// Whether payments of the account use this resident's vouchers.
    pub async fn is_linked(&self, resident: &Resident, account: &Account) -> Result<bool, Refusal> {
        Ok(self.person_of(account).await?.is_some_and(|root| root == resident.root))
    }

    /// The person behind an account, if the person has linked it.
    pub(in crate::engine) async fn person_of(&self, account: &Account) -> Result<Option<Root>, Refusal> {
        let digest: AccountDigest = account.digest(&self.keys.identity);
        let shard = digest.shard(self.store.shards());
        let fields = [(keys::account_bucket(shard, &digest), digest.0.to_vec())];
        let (_, mut values) = self.store.read_together(shard, &fields).await?;
        let value = values.pop().unwrap_or_default();
        if value.is_empty() {
            return Ok(None);
        }
        let root = <[u8; 32]>::try_from(value).map_err(|_| StoreError::Broken("account".into()))?;
        Ok(Some(Root(root)))
    }
}
