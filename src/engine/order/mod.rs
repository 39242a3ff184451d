//! The till: quote, hold, redeem, confirm, cancel, reverse, refund. One order has at most one effect, whatever is lost or repeated.
//!
//! An order is found in its merchant's directory first (`order_open`), then planned on one consistent reading of the payer's wallet, then
//! applied on the payer's shard if nothing has changed meanwhile (`order_change`). The store keeps every intermediate step safe to
//! repeat, so any node may continue where another stopped.

mod apply;
mod codes;
mod draft;
mod ending;
mod found;
mod late;
mod limits;
mod listed;
mod open;
mod owed;
mod payer;
mod plan;
mod quotas;
mod redeem;
mod refund;
mod refund_limits;
mod refund_marks;
mod repeat;
pub(in crate::engine) mod retention;
mod reverse;
mod seen;
mod serial;
mod sweep;
mod terms;

use crate::engine::merchant::caller::Till;
use serde_json::Value;

use crate::domain::account::Account;
use crate::domain::basket::{self, Basket, Better};
use crate::domain::binding::{Asked, Binding};
use crate::domain::bought::Bought;
use crate::domain::campaign::terms::{MAX_VOUCHERS_PER_PAYMENT, Scene};
use crate::domain::cashier::{self, Words};
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::order::{Order, OrderState, hold_id, order_key, transaction_id};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::Item;
use crate::domain::time::{Ms, Zone};
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::store::StoreError;
use crate::store::orders::NO_SHARD;
pub use codes::Codes;
pub use found::Met;
pub(in crate::engine) use limits::Cap;
pub(in crate::engine) use owed::Standing;
pub use owed::{GiveBacks, Owed};
pub use payer::KnownPayer;
pub use refund::RefundView;
pub use reverse::ReversedView;
pub use sweep::Lapsing;

/// Vouchers that one payment may name, whatever its campaigns allow.
pub const MOST_VOUCHERS: usize = MAX_VOUCHERS_PER_PAYMENT as usize;

/// How often a step is judged again when others move underneath it.
const TRIES: usize = 8;

/// Whose vouchers.
#[derive(Clone, Debug)]
pub enum Payer {
    PayCode(String),
    Vouchers(Vec<String>),
    /// As a platform knows the person.
    Account(Account),
    /// Found by the account: what is planned with.
    Person(KnownPayer),
}

/// A payment as a till asks for it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub payer: Payer,
    pub amount: Fen,
    pub merchant_discount: Fen,
    pub category: String,
    pub scene: Option<Scene>,
    pub items: Vec<Item>,
    pub capture: bool,
    /// Store and terminal of the receipt, for the settlement; cashier and number, for whoever looks the order up.
    pub store: String,
    pub terminal: String,
    pub cashier: String,
    pub receipt_no: String,
}

impl Ask {
    pub fn net(&self) -> Fen {
        self.amount - self.merchant_discount
    }

    fn voucher_ids(&self) -> &[String] {
        match &self.payer {
            Payer::Vouchers(ids) => ids,
            Payer::PayCode(_) | Payer::Account(_) | Payer::Person(_) => &[],
        }
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            amount: self.amount,
            merchant_discount: self.merchant_discount,
            items: &self.items,
            voucher_ids: self.voucher_ids(),
            capture: self.capture,
        }
    }

    fn asked(&self) -> Asked {
        Asked::new(self.payer.name(), &self.category, self.scene)
    }

    /// Amounts that cannot be a payment, whatever the campaign says.
    fn check(&self) -> Result<(), Refusal> {
        let mut refusal = Refusal::new(Code::InvalidRequest);
        let in_range = |fen: Fen| (0..FEN_LIMIT).contains(&fen.0);
        if !in_range(self.amount) || self.amount == Fen::ZERO {
            refusal = refusal.field(
                "/amount",
                "out_of_range",
                "须为 1 分至 10^14 分之间。",
                "Must be from 1 to below 10^14 fen.",
            );
        }
        if !in_range(self.merchant_discount) || self.merchant_discount > self.amount {
            refusal =
                refusal.field("/merchant_discount", "out_of_range", "须为 0 至 amount。", "Must be from 0 to amount.");
        }
        for (place, item) in self.items.iter().enumerate() {
            let at = |field: &str| format!("/items/{place}/{field}");
            if !in_range(item.amount) {
                let zh = "须为 0 分至 10^14 分之间。";
                refusal = refusal.field(at("amount"), "out_of_range", zh, "Must be from 0 to below 10^14 fen.");
            } else if !(0..=item.amount.0).contains(&item.merchant_discount.0) {
                let zh = "须为 0 至该商品的 amount。";
                refusal =
                    refusal.field(at("merchant_discount"), "out_of_range", zh, "Must be from 0 to the item's amount.");
            }
        }
        let sums = self.items.iter().try_fold((Fen::ZERO, Fen::ZERO), |(amount, offer), item| {
            Some((amount.checked_add(item.amount)?, offer.checked_add(item.merchant_discount)?))
        });
        // Amounts that are no amounts have no sum.
        let comparable = !self.items.is_empty() && refusal.errors.is_empty();
        if comparable && sums != Some((self.amount, self.merchant_discount)) {
            refusal = refusal.field(
                "/items",
                "sum_mismatch",
                "各商品的 amount 与 merchant_discount 合计须等于订单的。",
                "The items must add up to amount and merchant_discount.",
            );
        }
        if let Payer::Vouchers(ids) = &self.payer
            && (ids.is_empty() || (1..ids.len()).any(|i| ids[..i].iter().any(|id| id.eq_ignore_ascii_case(&ids[i]))))
        {
            refusal = refusal.field(
                "/voucher_ids",
                "invalid_list",
                "须为不同的券码，至少一个。",
                "Must be different ids, at least one.",
            );
        }
        if !refusal.errors.is_empty() {
            return Err(refusal);
        }
        if self.voucher_ids().len() > MOST_VOUCHERS { Err(basket::too_many(MOST_VOUCHERS)) } else { Ok(()) }
    }
}

/// An effect, or the answer to its repeat.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    pub value: T,
    pub replayed: bool,
}

/// An order with the names that an answer needs; a function of the stored record.
#[derive(Clone, Debug)]
pub struct OrderView {
    pub order_id: String,
    pub transaction_id: String,
    pub hold_id: String,
    pub order: Order,
    pub vouchers: Vec<VoucherView>,
    /// Only where somebody asks for the order or refunds it, and if its till has said what was bought.
    pub bought: Option<Bought>,
    pub zone: Zone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VoucherView {
    pub voucher_id: String,
    pub voucher_kind: String,
    pub campaign_id: String,
    pub discount: Fen,
    /// End of its validity.
    pub end: Ms,
}

/// The answer to a quote.
#[derive(Clone, Debug)]
pub struct Quote {
    pub payable: Fen,
    pub discount: Fen,
    pub vouchers: Vec<VoucherView>,
    pub not_taken: Vec<Value>,
    pub better: Option<Better>,
    /// There may be a better set, or a smaller addition: the wallet was too difficult to look at all of them.
    pub stopped: bool,
    /// Why nothing is taken, for the cashier.
    pub refused: Option<Words>,
}

impl Engine {
    /// What a redemption would do now; it has no effect and does not use the pay code up.
    pub async fn quote(&self, till: &Till, ask: &Ask) -> Result<Quote, Refusal> {
        ask.check()?;
        let ask = match self.with_payer(till, None, ask).await {
            Err(refusal) if self.is_told_by_a_quote(ask, &refusal) => {
                return Ok(self.nothing_quoted(&self.view(), ask, &refusal));
            }
            found => &*found?,
        };
        let merchant = self.merchant_of(till).await?;
        if merchant.frozen {
            return Err(Code::MerchantFrozen.into());
        }
        let snapshot = self.view();
        let (payer, seen) = self.payer_seen(&snapshot, &merchant, ask, None).await?;
        self.require_code(&payer, &seen, None)?;
        let seen = self.without_lapsed(&payer, seen, None).await?;
        let enrolled = plan::approved(&merchant, &snapshot);
        let place = limits::place_of(till, ask, merchant.store(&ask.store)?);
        let caps = self.caps_seen(&payer, &seen, &till.merchant_id, &place, (None, &[])).await?;
        let unlisted = self.unlisted(&payer.people, &till.named).await?;
        let serials = self.serials_used(&payer, &seen, &ask.items, None).await?;
        let counts_terminal = merchant.counts_terminal(till)?;
        let merchant = &*merchant;
        let counter = plan::Counter { merchant, place, counts_terminal, enrolled: &enrolled, unlisted, caps, serials };
        let basket = match plan::basket(&payer, &seen, &counter, ask, true) {
            Ok(basket) => basket,
            Err(refusal) => return Ok(self.nothing_quoted(&snapshot, ask, &refusal)),
        };
        Ok(self.quoted(&payer, ask, basket))
    }

    /// Named vouchers that do not fit are an answer of a quote too, with their reason.
    fn nothing_quoted(&self, snapshot: &Snapshot, ask: &Ask, refusal: &Refusal) -> Quote {
        let mut reason = refusal.extra.clone();
        reason.insert("code".into(), refusal.code.as_str().into());
        let named = ask.voucher_ids().first().and_then(|id| self.keys.voucher.voucher(id));
        if let Some(view) = named.and_then(|voucher| snapshot.by_number.get(&voucher.c)) {
            reason.insert("campaign_id".into(), view.id.clone().into());
        }
        Quote {
            payable: ask.net(),
            discount: Fen::ZERO,
            vouchers: Vec::new(),
            not_taken: vec![Value::Object(reason)],
            better: None,
            refused: refusal.words(),
            stopped: false,
        }
    }

    fn quoted(&self, payer: &plan::PayerView, ask: &Ask, basket: plan::Planned) -> Quote {
        let refusal = basket.units.is_empty().then(|| basket::nothing_fits(&basket.basket));
        let plan::Planned { units, basket: Basket { discount, not_taken, better, stopped, .. }, .. } = basket;
        let vouchers = units
            .iter()
            .filter_map(|unit| {
                self.voucher_view(
                    payer.view_of(unit.c)?,
                    &unit.voucher(payer.shard),
                    unit.pack,
                    unit.round,
                    unit.received_s,
                    unit.discount,
                )
            })
            .collect();
        let refused = refusal.and_then(|refusal| cashier::nothing_quoted(&refusal, better.as_ref()));
        let not_taken = not_taken.iter().map(|one| one.to_json()).collect();
        Quote { payable: ask.net() - discount, discount, vouchers, not_taken, better, stopped, refused }
    }

    /// Where an order stands, with its history; an order that has had no effect so far is not found.
    pub async fn get_order(&self, till: &Till, order_id: &str) -> Result<OrderView, Refusal> {
        let _ = self.known_merchant_of(till).await?;
        let key = order_key(&till.merchant_id, order_id);
        let entry = self.store.directory_entry(&till.merchant_id, &key).await?.ok_or(Code::OrderNotFound)?;
        let (stored, bought) =
            if entry.shard == NO_SHARD { (None, None) } else { self.store.order_with_goods(entry.shard, &key).await? };
        let view = match (stored, entry.reversed) {
            (Some(stored), _) if stored.order.state == OrderState::Held && self.now() >= stored.order.until() => {
                let ended = self.with_view(|| self.expire_order(entry.shard, &key)).await?.unwrap_or(stored.order);
                self.order_view(&till.merchant_id, order_id, entry.shard, ended)
            }
            (Some(stored), _) if stored.order.state != OrderState::Void => {
                self.order_view(&till.merchant_id, order_id, entry.shard, stored.order)
            }
            (_, Some(reversal)) => {
                self.order_view(&till.merchant_id, order_id, entry.shard, reverse::never_seen(reversal))
            }
            _ => Err(Code::OrderNotFound.into()),
        };
        Ok(OrderView { bought: bought.map(|stored| stored.bought), ..view? })
    }

    /// Adds the names that the record leaves out because they follow from it.
    fn order_view(&self, merchant_id: &str, order_id: &str, shard: u8, order: Order) -> Result<OrderView, Refusal> {
        let snapshot = self.view();
        let mut vouchers = Vec::with_capacity(order.units.len());
        for unit in &order.units {
            let view = snapshot.numbered(unit.c)?;
            let voucher =
                self.voucher_view(view, &unit.voucher(shard), unit.pack, unit.round, unit.received_s, unit.discount);
            vouchers.push(voucher.ok_or_else(|| broken("an order's voucher kind is gone"))?);
        }
        let zone = order.units.first().and_then(|unit| snapshot.by_number.get(&unit.c)).map(|view| view.zone.clone());
        Ok(OrderView {
            order_id: order_id.to_owned(),
            transaction_id: transaction_id(merchant_id, order_id, order.attempt),
            hold_id: hold_id(merchant_id, order_id, order.attempt),
            vouchers,
            bought: None,
            zone: zone.or_else(|| reverse::any_zone(&snapshot)).ok_or_else(|| broken("no campaign"))?,
            order,
        })
    }

    fn voucher_view(
        &self,
        view: &CampaignView,
        voucher: &crate::domain::voucher::VoucherRef,
        pack: u8,
        round: u8,
        received_s: i64,
        discount: Fen,
    ) -> Option<VoucherView> {
        let unit = view.units.get(usize::from(pack))?.get(usize::from(voucher.u))?;
        let window = view.campaign.unit_window(usize::from(round), usize::from(pack), voucher.u, received_s * 1_000)?;
        Some(VoucherView {
            voucher_id: self.keys.voucher.id(voucher),
            voucher_kind: unit.voucher_kind.clone(),
            campaign_id: view.id.clone(),
            discount,
            end: window.end,
        })
    }
}

fn broken(what: &str) -> Refusal {
    StoreError::Broken(what.to_owned()).into()
}

/// Others kept moving underneath: nothing was applied, the till may try again.
fn contended() -> Refusal {
    Refusal::contended()
}
