//! What may change of a merchant that is registered: its name, where it operates, its industry, and its stores, of which none is dropped.

use crate::domain::merchant::{Draft, Merchant};
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::config::expect::Expect;
use crate::engine::key::ApiKey;
use crate::store::config::Purpose;
use crate::store::merchant::ChangeRecord;

use super::{MerchantStatus, checked, conflict, status};

/// Whose the merchant is, and what enrolments were judged by: another shop is another registration.
const FIXED: [&str; 4] = ["merchant_id", "code", "kind", "registered_district"];

impl Engine {
    /// Replaces a merchant's data at the version that the caller has read; what is so already is a repeat, whatever version is named.
    pub async fn replace_merchant(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        expect: Option<Expect>,
        draft: Draft,
    ) -> Result<(MerchantStatus, bool), Refusal> {
        let expect = expect.ok_or(Code::PreconditionRequired)?;
        let merchant = checked(of_path(draft, merchant_id)?)?;
        let at = self.now();
        for _ in 0..8 {
            let (stored_id, mut held) = self.own_merchant(key, merchant_id).await?;
            let fields = held.value.merchant.differs_in(&merchant);
            if fields.is_empty() {
                return Ok((status(held, false), true));
            }
            if !expect.holds_for(held.version) {
                return Err(Noun::Merchant.has_changed(merchant_id, Some(held.version), Some(&expect.as_sent())));
            }
            refuse_other(&held.value.merchant, &merchant, &fields)?;
            held.value.merchant = merchant.clone();
            let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
            tracing::info!(merchant.id = merchant_id, ?fields, by = key.name, "merchant changed");
            held.value.changes.push(ChangeRecord { fields, at, by: key.name.clone() });
            if self.put_merchant(Purpose::Any, &stored_id, &mut held).await? {
                return Ok((status(held, false), false));
            }
        }
        Err(Refusal::contended())
    }
}

/// The path names the merchant; a body may only repeat it.
fn of_path(draft: Draft, merchant_id: &str) -> Result<Draft, Refusal> {
    if draft.merchant_id.as_deref().is_some_and(|named| named != merchant_id) {
        let (zh, en) = ("须与路径中的一致，或省略。", "Must be the one in the path, or be left out.");
        return Err(Refusal::new(Code::InvalidRequest).field("/merchant_id", "not_of_path", zh, en));
    }
    Ok(Draft { merchant_id: Some(merchant_id.to_owned()), ..draft })
}

fn refuse_other(held: &Merchant, wanted: &Merchant, fields: &[&str]) -> Result<(), Refusal> {
    let fixed: Vec<&str> = fields.iter().copied().filter(|field| FIXED.contains(field)).collect();
    if !fixed.is_empty() {
        let (zh, en) = (
            "登记后，code、kind 和 registered_district 不能更改；其他商户请另行登记。",
            "code, kind and registered_district stay as they were registered; register another shop as another merchant.",
        );
        return Err(conflict(&fixed).detail(zh, en));
    }
    let is_left_out = |store_id: &&str| !wanted.stores.iter().any(|store| store.store_id == *store_id);
    let left_out: Vec<&str> = held.stores.iter().map(|store| store.store_id.as_str()).filter(is_left_out).collect();
    if left_out.is_empty() {
        return Ok(());
    }
    let (zh, en) = (
        format!("门店不能删除，订单可能用过它；请一并写上：{}。", left_out.join("、")),
        format!("A store that orders may have named stays; write these too: {}.", left_out.join(", ")),
    );
    Err(conflict(&["stores"]).with("stores", left_out).detail(zh, en))
}
