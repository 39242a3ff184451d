//! What a random day does next: whose code, which voucher, which order. Only the seed decides, no name that is chance.

use super::Shop;
use crate::harness::fixture::new_order;
use crate::oracle::{Pay, PayCode, Request};

impl Shop {
    pub(super) fn fresh_code(&mut self, person: usize) -> Pay {
        let code = self.node().pay_code(&self.market.round.people[person]);
        self.trace.push(format!("pay code {code} of person {person}"));
        self.model
            .codes
            .insert(code.clone(), PayCode { person, made: self.model.now, bound: None, perhaps_used: false });
        self.codes.push(code.clone());
        Pay::Code(code)
    }

    pub(super) fn old_code(&mut self) -> Pay {
        match self.codes.is_empty() {
            true => Pay::Code("970001234567890128".to_string()),
            false => Pay::Code(self.random.pick(&self.codes).clone()),
        }
    }

    pub(super) fn some_vouchers(&mut self, person: usize) -> Vec<String> {
        let count = if self.random.chance(20) { 2 } else { 1 };
        let all = if self.shelves[person].is_empty() { self.shelves.concat() } else { self.shelves[person].clone() };
        let first = self.random.below(all.len());
        (0..count).map(|next| all[(first + next) % all.len()].clone()).collect()
    }

    pub(super) fn some_scene(&mut self) -> Option<&'static str> {
        match self.model.terms.sixty_dines_in {
            true => *self.random.pick(&[None, Some("dine_in"), Some("dine_in"), Some("takeaway")]),
            false => None,
        }
    }

    pub(super) fn any_sent(&mut self) -> Option<Request> {
        (!self.sent.is_empty()).then(|| self.random.pick(&self.sent).clone())
    }

    /// Mostly a recent order, sometimes any, rarely one that nobody has seen.
    pub(super) fn any_order(&mut self) -> Option<(usize, String)> {
        if self.random.chance(3) {
            return Some((0, new_order()));
        }
        let from = if self.random.chance(60) { self.sent.len().saturating_sub(8) } else { 0 };
        let recent = &self.sent[from..];
        (!recent.is_empty()).then(|| self.random.pick(recent).key())
    }
}
