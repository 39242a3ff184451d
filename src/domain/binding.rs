//! What an order is bound to by its first effect: what makes another call under its number a repeat, and what a conflict.
//!
//! The fingerprint is over what the contract compares. Beside it stand a digest of how the till named the payer, so that the very words
//! are a repeat when the code is long forgotten or the account somebody else's, and what else decided which vouchers could be used.
//! The receipt is not compared: a till that sends an order again from another desk sends the same order.

use sha2::{Digest, Sha256};

use crate::domain::campaign::terms::Scene;
use crate::domain::money::Fen;
use crate::domain::order::{Fingerprint, Order, digest, first};
use crate::domain::rules::Item;

/// Digest of how a till named the payer; zeros where it named vouchers, to which the fingerprint binds.
pub type PayerName = [u8; 4];

/// What an order is bound to beside its fingerprint, so that each of it can be told apart: by whom it was paid as the till named the
/// payer, and what decided which vouchers could be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub payer: PayerName,
    category: [u8; 3],
    scene: u8,
}

impl Asked {
    pub fn new(payer: PayerName, category: &str, scene: Option<Scene>) -> Asked {
        let scene = match scene {
            None => 0,
            Some(Scene::DineIn) => 1,
            Some(Scene::Takeaway) => 2,
            Some(Scene::Offline) => 3,
            Some(Scene::Online) => 4,
        };
        Asked { payer, category: first(&digest(&["category", category])), scene }
    }

    pub fn to_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g]) = (self.payer, self.category);
        [a, b, c, d, e, f, g, self.scene]
    }

    pub fn of_bytes([a, b, c, d, e, f, g, scene]: [u8; 8]) -> Asked {
        Asked { payer: [a, b, c, d], category: [e, f, g], scene }
    }

    /// Whether the till named its payer with the same words.
    pub fn same_payer(&self, name: PayerName) -> bool {
        name != PayerName::default() && self.payer == name
    }

    fn differences(&self, order: Option<Asked>) -> impl Iterator<Item = &'static str> {
        let known = order.unwrap_or(*self);
        let differences = [("category", self.category != known.category), ("scene", self.scene != known.scene)];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name)
    }
}

/// What an order is bound to: a repeat with the same is the same request, whatever its receipt. Whose vouchers paid is told by
/// the order's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding<'a> {
    pub amount: Fen,
    pub merchant_discount: Fen,
    pub items: &'a [Item],
    pub voucher_ids: &'a [String],
    pub capture: bool,
}

impl Binding<'_> {
    /// First eight bytes of SHA-256 over the canonical form. Order of voucher ids and their case do not matter; order of items does.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u32).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.amount.0.to_be_bytes());
        part(&self.merchant_discount.0.to_be_bytes());
        part(&[u8::from(self.capture)]);
        part(&(self.items.len() as u32).to_be_bytes());
        for item in self.items {
            part(item.sku.as_bytes());
            part(item.category.as_deref().unwrap_or_default().as_bytes());
            part(&item.quantity.to_be_bytes());
            part(&item.amount.0.to_be_bytes());
            part(&item.merchant_discount.0.to_be_bytes());
        }
        // Serial numbers came later: without any, an order is bound to what it always was.
        if self.items.iter().any(|item| item.serial.is_some()) {
            part(b"serials");
            self.items.iter().for_each(|item| part(item.serial.as_deref().unwrap_or_default().as_bytes()));
        }
        let mut ids: Vec<String> = self.voucher_ids.iter().map(|id| id.to_ascii_uppercase()).collect();
        ids.sort();
        ids.iter().for_each(|id| part(id.as_bytes()));
        first(&hash.finalize())
    }

    /// Which fields of a call differ from what the order was bound to. `payer` is the field that names the payer.
    pub fn conflicts(
        &self,
        asked: &Asked,
        order: &Order,
        vouchers: impl Fn() -> Vec<String>,
        payer: &'static str,
    ) -> Vec<&'static str> {
        let same = order.fingerprint == self.fingerprint();
        let mut fields = if same { Vec::new() } else { self.differences(order, &vouchers(), payer) };
        let of_goods = fields.iter().position(|field| *field == "items" || *field == payer).unwrap_or(fields.len());
        fields.splice(of_goods..of_goods, asked.differences(order.asked));
        fields
    }

    /// Which fields differ from what the order was bound to; beside other items, ids only as well as its record can tell. `payer` is the
    /// field that names the payer: what a call does not say cannot be what is wrong with it.
    fn differences(&self, order: &Order, vouchers: &[String], payer: &'static str) -> Vec<&'static str> {
        // The order is bound to no ids where a code paid, else to those that it took: so items and ids can be told apart.
        let bound_to = |voucher_ids| {
            let Order { amount, merchant_discount, .. } = *order;
            let bound =
                Binding { amount, merchant_discount, items: self.items, voucher_ids, capture: order.captured() };
            bound.fingerprint() == order.fingerprint
        };
        let same_ids = bound_to(self.voucher_ids);
        let same_items = same_ids || bound_to(&[]) || bound_to(vouchers);
        let other_ids = !self.voucher_ids.is_empty() && !same_set(self.voucher_ids, vouchers);
        let differences = [
            ("amount", self.amount != order.amount),
            ("merchant_discount", self.merchant_discount != order.merchant_discount),
            ("capture", self.capture != order.captured()),
            ("items", !same_items),
            (payer, if same_items { !same_ids } else { other_ids }),
        ];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

fn same_set(asked: &[String], taken: &[String]) -> bool {
    asked.len() == taken.len() && asked.iter().all(|id| taken.iter().any(|other| other.eq_ignore_ascii_case(id)))
}

/// Digest of the words with which a till named its payer.
pub fn payer_name(parts: &[&str]) -> PayerName {
    first(&digest(parts))
}

#[cfg(test)]
#[path = "binding_tests.rs"]
mod tests;
