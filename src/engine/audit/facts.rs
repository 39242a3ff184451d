//! What an audit has to know of the campaigns: built by the caller from the campaign files, so that the audit depends on no code
//! that decides anything.

use std::collections::BTreeMap;

use crate::domain::time::Ms;
use crate::store::ledger::PersonField;

/// All campaigns of an installation.
pub struct Facts {
    pub campaigns: BTreeMap<u16, CampaignFacts>,
    pub order_buckets: u16,
}

/// One campaign, in indexes; names are only for people who read the result.
pub struct CampaignFacts {
    pub c: u16,
    pub campaign_id: String,
    /// Buckets of person records per shard.
    pub buckets: u32,
    pub budget: i64,
    /// Money that no round has.
    pub unallocated: i64,
    pub rounds: Vec<String>,
    pub channels: Vec<String>,
    pub packs: Vec<PackFacts>,
    pub supply: Vec<Supply>,
    /// (round, pack, unit, instant of the credit) -> hour since the epoch, rounded up, at which the unit expires.
    pub expiry_hour: Box<dyn Fn(u8, u8, u8, Ms) -> i64 + Send + Sync>,
}

pub struct PackFacts {
    pub pack_id: String,
    /// Discount of each unit, in the order in which units are numbered.
    pub units: Vec<i64>,
    /// Units that take off a share of the goods: their discount is the most that a line may say.
    pub shares: Vec<u8>,
}

impl PackFacts {
    pub fn value(&self) -> i64 {
        self.units.iter().sum()
    }
}

/// Packs that a round may issue.
pub struct Supply {
    pub round: u8,
    /// None when the count is for all channels together.
    pub channel: Option<u8>,
    pub pack: u8,
    pub count: i64,
}

impl Facts {
    pub fn bucket(&self, c: u16, f: &PersonField) -> u32 {
        let [a, b, c0, d, ..] = f.0;
        let buckets = self.campaigns.get(&c).map_or(1, |campaign| campaign.buckets.max(1));
        u32::from_be_bytes([a, b, c0, d]) % buckets
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
