//! What an audit has to know of the campaigns: built by the caller from the campaign files, so that the audit depends on no code
//! that decides anything.

use std::collections::BTreeMap;

use super::order::{Order, Unit};
use crate::domain::time::Ms;
use crate::engine::ledger::facts::CampaignFacts;
use crate::store::ledger::PersonField;

/// All campaigns of an installation.
pub struct Facts {
    pub campaigns: BTreeMap<u16, CampaignFacts>,
    pub order_buckets: u16,
}

impl Facts {
    pub fn bucket(&self, c: u16, f: &PersonField) -> u32 {
        let [a, b, c0, d, ..] = f.0;
        let buckets = self.campaigns.get(&c).map_or(1, |campaign| campaign.buckets.max(1));
        u32::from_be_bytes([a, b, c0, d]) % buckets
    }

    /// From when on an order with these vouchers may be gone: the last of its campaigns decides.
    pub fn order_gone_at(&self, order: &Order) -> Option<Ms> {
        let over = |unit: &Unit| self.campaigns.get(&unit.person.0).and_then(|campaign| campaign.orders_over_at);
        let over: Option<Vec<Ms>> = order.units.iter().map(over).collect();
        over.and_then(|over| over.into_iter().max())
    }

    /// Whether an order was forgotten by then, so that another may bear its name.
    pub fn name_is_free(&self, order: &Order, at: Ms) -> bool {
        self.order_gone_at(order).is_some_and(|gone_at| gone_at <= at)
    }

    /// Campaigns whose orders may be gone.
    pub fn orders_over(&self) -> Vec<u16> {
        self.campaigns
            .values()
            .filter(|campaign| campaign.orders_over_at.is_some())
            .map(|campaign| campaign.c)
            .collect()
    }

    pub fn discount(&self, c: u16, pack: u8, unit: u8) -> Option<i64> {
        self.campaigns.get(&c)?.packs.get(usize::from(pack))?.units.get(usize::from(unit)).copied()
    }

    /// What a line that says `said` may move of a unit.
    pub fn discount_said(&self, c: u16, pack: u8, unit: u8, said: i64) -> Option<i64> {
        let most = self.discount(c, pack, unit)?;
        let share =
            self.campaigns.get(&c).is_some_and(|campaign| campaign.packs[usize::from(pack)].shares.contains(&unit));
        Some(if share && (1..most).contains(&said) { said } else { most })
    }

    pub fn expiry_hour(&self, c: u16, round: u8, pack: u8, unit: u8, at: Ms) -> i64 {
        self.campaigns.get(&c).map_or(0, |campaign| (campaign.expiry_hour)(round, pack, unit, at))
    }
}
