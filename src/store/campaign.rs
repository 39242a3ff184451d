//! Stored form of a campaign: the file as the city wrote it, its life, and what its rounds have become.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::list::PinnedList;
use crate::domain::amendment::Change;
use crate::domain::holder::Holder;
pub use crate::domain::pool::CellSupply;
use crate::domain::ranking::Rule;
use crate::domain::time::Ms;

/// One configuration record per campaign; replaced by compare-and-set, so a step that two nodes take happens once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CampaignRecord {
    /// Number of the campaign in keys, voucher ids and ledger lines.
    pub number: u16,
    pub program: String,
    /// The file that holds: as it was put, with the amendments since its publication.
    pub file: String,
    /// Of the file as published. It names the rules for good: seeds and receipts carry it.
    pub rules_hash: String,
    pub state: State,
    /// Grows with every change that a transition must know of; scripts compare it with the shard's.
    pub rev: u64,
    /// Buckets of person records per shard; fixed at publication.
    pub buckets: u32,
    pub put_by: Holder,
    pub submitted_by: Option<Holder>,
    pub approved_by: Option<Holder>,
    pub published_at: Option<Ms>,
    pub paused: Vec<Scope>,
    pub pause_reason: Option<String>,
    /// No further issue; issued vouchers stay valid.
    pub stopped: bool,
    pub rounds: Vec<RoundRecord>,
    /// The version of each list that the file names, fixed when the campaign was submitted: what is approved is what is published.
    #[serde(default)]
    pub lists: BTreeMap<String, PinnedList>,
    /// The version of each area, likewise.
    #[serde(default)]
    pub areas: BTreeMap<String, u32>,
    /// Hash of each of these areas.
    #[serde(default)]
    pub area_hashes: BTreeMap<String, String>,
    /// The file as published, once an amendment has changed it.
    #[serde(default)]
    pub published_file: Option<String>,
    #[serde(default)]
    pub amendments: Vec<AmendmentRecord>,
    /// From when on its orders may be forgotten: its vouchers, and every window in which an order of theirs could change, are over.
    #[serde(default)]
    pub orders_over_at: Option<Ms>,
}

impl CampaignRecord {
    /// The file that `rules_hash` names.
    pub fn published_file(&self) -> &str {
        self.published_file.as_deref().unwrap_or(&self.file)
    }

    /// Amendments in the order in which they came into force, the first `count` of them.
    pub fn amendments_in_force(&self, count: usize) -> Vec<&AmendmentRecord> {
        let mut all: Vec<_> =
            self.amendments.iter().filter_map(|one| Some((one.applied.as_ref()?.number, one))).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, one)| one).take(count).collect()
    }

    pub fn amendments_count(&self) -> usize {
        self.amendments.iter().filter(|one| one.applied.is_some()).count()
    }
}

/// A change of a published file, proposed by one person and brought into force by another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AmendmentRecord {
    pub amendment_id: String,
    pub reason: String,
    pub changes: Vec<Change>,
    pub submitted_by: Holder,
    pub submitted_at: Ms,
    #[serde(default)]
    pub applied: Option<AppliedRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppliedRecord {
    /// From 1, in the order in which amendments came into force.
    pub number: usize,
    pub approved_by: Holder,
    pub applied_at: Ms,
    /// Of the whole file with this amendment in it.
    pub rules_hash: String,
}

/// What people decided; `open`, `ended` and `settled` follow from the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Draft,
    Review,
    Approved,
    Published,
}

/// What a pause stops; confirm, cancel, reverse and refund never pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Reserve,
    Claim,
    Redeem,
}

/// Where a round's list, draw and crediting have got to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoundRecord {
    pub list: ListState,
    pub draw: Option<DrawRecord>,
    /// When the sweep had credited every decided winner.
    pub credited_at: Option<Ms>,
    /// Packs of each cell, fixed at the draw or the opening where the file leaves them open.
    #[serde(default)]
    pub supply: Option<Vec<CellSupply>>,
    /// Fen that the fixed supply takes from the pool; negative when own money that buys no pack goes there.
    #[serde(default)]
    pub funded: i64,
    /// From when on nothing more is issued in this round. Every shard knows it before anything is counted as unissued for good.
    #[serde(default)]
    pub over_at: Option<Ms>,
    /// Fen of packs that nobody got, which went to the pool when the round was over.
    #[serde(default)]
    pub returned: Option<i64>,
    /// Later claim windows, in order, from the moment in which the window before was frozen.
    #[serde(default)]
    pub waves: Vec<WaveRecord>,
    /// Hex of the public values that have arrived, in the order in which the file names their sources; empty while one is awaited.
    #[serde(default)]
    pub entropy: Vec<String>,
    /// Hex of the signature by which a beacon's value was checked.
    #[serde(default)]
    pub drand_signature: Option<String>,
    /// When the list began to close: what happened to a person later does not change the list.
    #[serde(default)]
    pub closing_at: Option<Ms>,
    /// The names of a grant's list, counted against its packs.
    #[serde(default)]
    pub grant: Option<GrantRecord>,
    /// How chance shares the packs, as it was when the campaign was published; the first version where nothing is said.
    #[serde(default, skip_serializing_if = "Rule::is_first")]
    pub rule: Rule,
}

/// A list that does not fit is not credited at all: nobody can say who of it should go without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantRecord {
    pub names: u64,
    pub fits: bool,
    /// Where chance gives the packs: the last name of each, in the order in which they were dealt.
    #[serde(default)]
    pub dealt: Vec<CutoffRecord>,
}

/// A wave passes on what the window before left unclaimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaveRecord {
    /// From here on nothing of the window before is issued.
    pub frozen_at: Ms,
    /// The next scores; absent until they are decided.
    #[serde(default)]
    pub cutoffs: Option<Vec<CutoffRecord>>,
    /// What was left of each cell, where chance shares it in proportion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<CellSupply>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListState {
    #[default]
    Open,
    /// Reservations are refused on every shard; the list is being read.
    Closing,
    Closed(ClosedList),
}

impl ListState {
    pub fn word(&self) -> &'static str {
        match self {
            ListState::Open => "open",
            ListState::Closing => "closing",
            ListState::Closed(_) => "closed",
        }
    }

    /// Entries on the closed list.
    pub fn count(&self) -> Option<u64> {
        match self {
            ListState::Closed(list) => Some(list.count),
            _ => None,
        }
    }
}

/// The commitment to a closed list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedList {
    pub count: u64,
    pub root: String,
    pub secret_commitment: String,
    pub closed_at: Ms,
    /// The beacon that will go into the seed, when the file names drand.
    #[serde(default)]
    pub drand_round: Option<u64>,
    /// How many amendments were in force: the draw goes by the published file with these.
    #[serde(default)]
    pub amendments: usize,
}

/// The result of a draw: cutoffs, from which every node knows every winner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DrawRecord {
    pub drawn_at: Ms,
    pub cutoffs: Vec<CutoffRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutoffRecord {
    /// Position of the channel when the supply is divided by channel.
    pub channel: Option<u8>,
    /// Position of the pack that the winners get; 255 when chance decides, see `tiers`.
    pub pack: u8,
    pub score: String,
    pub pseudonym: String,
    pub winners: u64,
    /// Who of the winners gets which pack, by their second score; empty where all get the same.
    #[serde(default)]
    pub tiers: Vec<TierRecord>,
}

/// The last winner of a pack, by second score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierRecord {
    pub pack: u8,
    pub score: String,
    pub pseudonym: String,
    pub winners: u64,
}
