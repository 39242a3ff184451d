//! Automatic deduction: a resident lets a channel's payments use the vouchers, and a platform then names the payer by account.
//!
//! The link stands on a shard of the account's own, apart from the person, whom the platform does not know. It is made by the person
//! and never by a platform, so no platform can spend the vouchers of somebody who has not asked for it.

use super::Resident;
use crate::domain::account::{Account, AccountDigest};
use crate::domain::person::Root;
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::int;
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member, bytes};

/// How long the mark of a change stays: longer than the network keeps what was sent.
const MARK_LASTS: Ms = 3_600_000;

impl Engine {
    /// Links or unlinks the resident's account; whether anything changed. A call that was overtaken changes nothing: whoever was answered last
    /// must not find the opposite when a late one arrives.
    pub async fn link_account(&self, resident: &Resident, account: &Account, link: bool) -> Result<bool, Refusal> {
        let digest = account.digest(&self.keys.identity);
        let shard = digest.shard(self.store.shards());
        let [links, marks] = [keys::account_bucket(shard, &digest), keys::account_marks(shard, &digest)];
        let read = self.store.read_together(shard, &[(marks.clone(), digest.0.to_vec())]).await;
        let (_, mut mark) = read.map_err(|error| Failure::from(error).not_begun().into_refusal())?;
        let mark = mark.pop().unwrap_or_default();
        let args = vec![bytes(&digest.0), bytes(&resident.root.0), int(u8::from(link)), bytes(&mark), int(MARK_LASTS)];
        let member = Member::new(vec![links, marks], args);
        let reply = self.store.call(&script::ACCOUNT_LINK, &Slot::Shard(shard), member).await?;
        if reply.is("changed") { Err(Refusal::contended()) } else { Ok(reply.int(0) == 1) }
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
