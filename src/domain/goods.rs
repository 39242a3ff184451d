//! Which goods of a receipt a voucher is for, and how much money they are. Without a list of goods the receipt is one line that every
//! voucher is for.

use serde::Serialize;
use serde_json::json;
use smallvec::SmallVec;

use crate::domain::campaign::schema::Face;
use crate::domain::campaign::terms::{ThresholdOn, UseRule};
use crate::domain::cashier;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{Candidate, Item, Payment};

/// The goods that a voucher is for: the same bits are the same lines of the receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goods {
    lines: SmallVec<[u64; 1]>,
    /// Whether the threshold is judged before the merchant's own offer.
    pub before_offer: bool,
}

impl Goods {
    pub fn of(payment: &Payment, candidate: &Candidate) -> Goods {
        let rules = &candidate.rules;
        let before_offer = !rules.is_empty() && rules.iter().all(|rule| rule.threshold_on == ThresholdOn::Initial);
        let fits = |item: &Item| {
            rules.iter().all(|rule| item_fits(rule, item))
                && price_fits(candidate, item)
                && category_fits(payment, candidate, item)
                && (item.serial.is_some() || !candidate.kind.has_unique_serial())
        };
        let mut goods = Goods { lines: SmallVec::new(), before_offer };
        if payment.items.is_empty() {
            goods.add(0);
        }
        payment.items.iter().enumerate().filter(|(_, item)| fits(item)).for_each(|(line, _)| goods.add(line));
        goods
    }

    fn add(&mut self, line: usize) {
        if self.lines.len() <= line / 64 {
            self.lines.resize(line / 64 + 1, 0);
        }
        self.lines[line / 64] |= 1 << (line % 64);
    }

    pub fn has(&self, line: usize) -> bool {
        self.lines.get(line / 64).is_some_and(|bits| bits >> (line % 64) & 1 == 1)
    }

    /// These lines of a receipt.
    #[cfg(test)]
    pub fn on(lines: &[usize]) -> Goods {
        let mut goods = Goods::default();
        lines.iter().for_each(|line| goods.add(*line));
        goods
    }

    /// Its lines of a receipt.
    pub fn of_receipt<'a>(&self, items: &'a [Item]) -> impl Iterator<Item = &'a Item> {
        items.iter().enumerate().filter(|(line, _)| self.has(*line)).map(|(_, item)| item)
    }

    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|bits| *bits == 0)
    }

    /// What the threshold is judged on.
    pub fn base(&self, payment: &Payment) -> Fen {
        if self.before_offer { self.sum(payment, |amount, _| amount) } else { self.net(payment) }
    }

    /// What is left of these goods after the merchant's own offer: no voucher takes off more.
    pub fn net(&self, payment: &Payment) -> Fen {
        self.sum(payment, |amount, offer| amount - offer)
    }

    /// The merchant's own offer on these goods.
    pub fn offer(&self, payment: &Payment) -> Fen {
        self.sum(payment, |_, offer| offer)
    }

    fn sum(&self, payment: &Payment, count: impl Fn(Fen, Fen) -> Fen) -> Fen {
        if payment.items.is_empty() {
            return if self.is_empty() { Fen::ZERO } else { count(payment.amount, payment.merchant_discount) };
        }
        let mine = payment.items.iter().enumerate().filter(|(line, _)| self.has(*line));
        mine.map(|(_, item)| count(item.amount, item.merchant_discount)).sum()
    }
}

/// Which goods count when something is missing, in the words of the campaign file. Empty when any do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counting {
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eligible_items: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded_items: Vec<String>,
    /// Most for a piece, in fen.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_price_max: Option<Fen>,
}

impl Counting {
    /// The goods that all of these vouchers are for; `None` when there are no such goods. Without a list of goods the whole receipt counts.
    pub fn of<'a>(payment: &Payment, candidates: impl IntoIterator<Item = &'a Candidate<'a>>) -> Option<Counting> {
        let mut counting = Counting::default();
        if payment.items.is_empty() {
            return Some(counting);
        }
        for candidate in candidates {
            for rule in &candidate.rules {
                narrow(&mut counting.categories, rule.allowed_categories());
                narrow(&mut counting.eligible_items, rule.eligible_items.iter().map(String::as_str));
                counting.excluded_items.extend(rule.excluded_items.iter().cloned());
            }
            if candidate.kind.is_one_per_category() {
                narrow(&mut counting.categories, [payment.category].into_iter());
            }
            if let Face::Percent { item_price_max: Some(most), .. } = candidate.kind.face {
                counting.item_price_max = Some(counting.item_price_max.map_or(most, |known| known.min(most)));
            }
        }
        counting.excluded_items.sort_unstable();
        counting.excluded_items.dedup();
        let excluded = &counting.excluded_items;
        for list in [&mut counting.categories, &mut counting.eligible_items].into_iter().flatten() {
            list.retain(|name| !excluded.contains(name));
            if list.is_empty() {
                return None;
            }
        }
        Some(counting)
    }

    /// The refusal of a voucher that needs so much more of these goods: the reader changes the amount, or the items where only some count.
    pub fn short_by(self, missing: Fen) -> Refusal {
        let refusal = Refusal::new(Code::MinimumNotMet)
            .with("missing_amount", missing.0)
            .to_cashier(cashier::missing(missing, self.is_any()));
        if self.is_any() {
            let (zh, en) = (
                format!("未达到使用门槛，还差 {missing} 元。"),
                format!("The order is {missing} yuan below the voucher's minimum."),
            );
            return refusal.field("/amount", "minimum_not_met", zh, en);
        }
        let (zh, en) = (
            format!("适用商品未达到使用门槛，还差 {missing} 元，见 goods。"),
            format!("The goods that count are {missing} yuan below the voucher's minimum; see goods."),
        );
        refusal.with("goods", json!(self)).field("/items", "minimum_not_met", zh, en)
    }

    pub fn is_any(&self) -> bool {
        *self == Counting::default()
    }
}

/// Keeps what both lists name; an empty list restricts nothing.
fn narrow<'a>(known: &mut Option<Vec<String>>, names: impl Iterator<Item = &'a str>) {
    let names: Vec<&str> = names.collect();
    match known {
        _ if names.is_empty() => {}
        Some(known) => known.retain(|name| names.contains(&name.as_str())),
        None => *known = Some(names.into_iter().map(str::to_owned).collect()),
    }
}

/// An item is named in a rule by its sku or by its category: Shanghai excludes `prepaid_card`, whatever its bar code.
fn item_fits(rule: &UseRule, item: &Item) -> bool {
    let category_fits = item.category.as_ref().is_none_or(|category| rule.allows_category(category));
    let named = |list: &[String]| list.contains(&item.sku) || item.category.as_ref().is_some_and(|c| list.contains(c));
    category_fits && (rule.eligible_items.is_empty() || named(&rule.eligible_items)) && !named(&rule.excluded_items)
}

/// A voucher that is used up for a category is for the goods of that category alone.
fn category_fits(payment: &Payment, candidate: &Candidate, item: &Item) -> bool {
    !candidate.kind.is_one_per_category() || item.category.as_ref().is_none_or(|category| category == payment.category)
}

/// Trade-in 2026: a digital product of at most 6,000 yuan a piece, after the merchant's offer.
fn price_fits(candidate: &Candidate, item: &Item) -> bool {
    let Face::Percent { item_price_max: Some(most), .. } = candidate.kind.face else { return true };
    item.amount.0 - item.merchant_discount.0 <= most.0.saturating_mul(i64::from(item.quantity.max(1)))
}
