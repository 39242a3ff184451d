//! A payer who is named by other than a code or vouchers: found before anything is planned.

use crate::engine::merchant::caller::Till;
use std::borrow::Cow;
use std::sync::Arc;

use super::plan::{PayerView, PersonAt, usable};
use super::{Ask, Payer};
use crate::domain::binding::{PayerName, payer_name};
use crate::domain::paycode::PayCode;
use crate::domain::person::Root;
use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::merchant::MerchantView;

/// A person, and the channel through which the payment is made.
#[derive(Clone)]
pub struct KnownPayer {
    pub root: Root,
    pub channel: String,
    /// Areas of use in which the pay code was asked for; an account does not say where its person is.
    pub areas: Vec<String>,
    /// The field of the call that names the person.
    pub named_by: &'static str,
}

/// A root pseudonym is not for logs.
impl std::fmt::Debug for KnownPayer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("KnownPayer").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Payer {
    /// The field of the call that names the payer.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Payer::PayCode(_) => "pay_code",
            Payer::Vouchers(_) => "voucher_ids",
            Payer::Account(_) => "account",
            Payer::Person(known) => known.named_by,
        }
    }

    /// The words by which the till names the payer: zeros for vouchers, and for a code that cannot be one.
    pub(super) fn name(&self) -> PayerName {
        match self {
            Payer::PayCode(text) => PayCode::parse(text).map(|code| payer_name(&["pay_code", code.as_str()])),
            Payer::Account(account) => Some(account.name()),
            Payer::Vouchers(_) | Payer::Person(_) => None,
        }
        .unwrap_or_default()
    }
}

impl KnownPayer {
    /// Everything the person may have for a merchant's campaigns.
    pub(super) fn wallet(&self, snapshot: &Snapshot, merchant: &MerchantView, shards: u8) -> PayerView {
        self.wallet_on(snapshot, merchant, self.root.shard(shards))
    }

    pub(super) fn wallet_on(&self, snapshot: &Snapshot, merchant: &MerchantView, shard: u8) -> PayerView {
        // Years of campaigns would make every reading longer: of one whose orders may be forgotten nothing can be used.
        let may_pay = |view: &&Arc<CampaignView>| {
            usable(view, merchant) && view.may_have_issued() && view.record.orders_over_at.is_none()
        };
        let mut views: Vec<&Arc<CampaignView>> = snapshot.by_number.values().filter(may_pay).collect();
        views.sort_unstable_by_key(|view| view.number);
        let field = |view: &CampaignView| self.root.in_campaign(&view.pseudonym_key).field();
        PayerView {
            shard,
            root: Some(self.root),
            people: views.into_iter().map(|view| PersonAt::new(view, shard, field(view))).collect(),
            channel: Some(self.channel.clone()),
            areas: self.areas.clone(),
            code: None,
            named: None,
        }
    }
}

impl Engine {
    /// The ask with the person in place of the account, or of a sandbox's magic code. An account that nobody has linked stays: whether its order has had its effect
    /// is looked at first.
    pub(super) async fn with_payer<'a>(
        &self,
        till: &Till,
        order_id: Option<&str>,
        ask: &'a Ask,
    ) -> Result<Cow<'a, Ask>, Refusal> {
        if let Some(magic) = self.magic(&ask.payer) {
            let payer = Payer::Person(self.magic_payer(till, order_id, magic).await?);
            return Ok(Cow::Owned(Ask { payer, ..ask.clone() }));
        }
        let Payer::Account(account) = &ask.payer else { return Ok(Cow::Borrowed(ask)) };
        let Some(root) = self.person_of(account).await? else { return Ok(Cow::Borrowed(ask)) };
        let channel = account.channel.clone();
        let payer = Payer::Person(KnownPayer { root, channel, areas: Vec::new(), named_by: "account" });
        Ok(Cow::Owned(Ask { payer, ..ask.clone() }))
    }
}
