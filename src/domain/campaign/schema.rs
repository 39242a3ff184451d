//! The campaign file as types: what a city officer writes, with every default filled in. Names are those of the file.
//! Money is integer fen, instants are UTC milliseconds, windows are half-open `[start, end)`.
//! The reservation, eligibility, validity and use rules live in `terms.rs` and are re-exported here.

use serde::Serialize;

use super::named::words;
pub use super::terms::*;
use crate::domain::money::Fen;
use crate::domain::time::Ms;

/// A whole campaign. `reservation`, `eligibility`, `validity` and `use_rule` are defaults for rounds that carry none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Campaign {
    /// `[a-z0-9-]{2,40}`.
    pub campaign_id: String,
    pub name: Text,
    /// IANA name; days, weeks and hours of the rules are counted in it.
    pub time_zone: String,
    /// Always `CNY` today.
    pub currency: String,
    /// Hard ceiling of what vouchers may cost; what fixed rounds leave is `unallocated`.
    pub budget: Fen,
    /// 1 to 5 ways to reach residents (wallet apps, banks); a token names one of them.
    pub channels: Vec<String>,
    pub consent_version: Option<String>,
    /// Most that may be redeemed on one day of the city.
    pub max_amount_by_day: Option<Fen>,
    pub funding: Vec<Funding>,
    pub packs: Vec<Pack>,
    /// 1 to 60, in the order in which the city runs them.
    pub rounds: Vec<Round>,
    pub limits: Vec<Limit>,
    pub reservation: Option<Reservation>,
    pub eligibility: Option<Eligibility>,
    pub validity: Option<Validity>,
    pub use_rule: Option<UseRule>,
    pub merchant_enrolment: MerchantEnrolment,
    pub refund_policy: RefundPolicy,
    /// Days after redemption in which a refund is still taken (365; 1 to 3650).
    pub refund_days: u32,
    /// Hours after the first sight of an order in which it may be reversed (24; 1 to 720).
    pub reverse_hours: u32,
    /// Whether a restored voucher also gives back what it used of the limits (true).
    pub refund_restores_limits: bool,
    /// 0 to 63 (the record keeps six bits), 3 by default: endless restoring is a cash-out signal.
    pub max_restores_per_voucher: u32,
    pub expired_refund_to: ExpiredRefundTo,
    pub carry_over: CarryOver,
    /// What flows on when `carry_over` is not `none`.
    pub carry_over_sources: Vec<CarryOverSource>,
}

/// The same sentence in Chinese and English.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Text {
    pub zh: String,
    pub en: String,
}

/// Who pays, in parts of the sum of all weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Funding {
    pub source: String,
    pub weight: u32,
}

/// What one winner gets: 1 to 10 vouchers (domain research: 1 to 6 in every city seen). Chengdu 2020: 2 x 60-20 and 4 x 30-10.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pack {
    pub pack_id: String,
    pub vouchers: Vec<VoucherKind>,
    /// Added to the round's or campaign's: both must hold.
    pub use_rule: Option<UseRule>,
}

/// One template inside a pack, `count` times. Units are numbered over the pack in file order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoucherKind {
    /// Name of the template, by custom threshold-discount in yuan: `60-20`.
    pub voucher_kind: String,
    pub count: u32,
    pub name: Option<Text>,
    #[serde(flatten)]
    pub face: Face,
    /// Added to the pack's and the round's: all must hold.
    pub use_rule: Option<UseRule>,
    /// Replaces the round's or campaign's for this voucher alone.
    pub validity: Option<Validity>,
    /// Locked until a voucher of this other kind of the same pack has been used.
    pub after_kind: Option<String>,
}

/// What a voucher takes off. `save` is the default kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Face {
    /// `transaction_minimum` 0 = no threshold. Cities use 2 to 4 times the discount.
    Save { transaction_minimum: Fen, discount_amount: Fen },
    /// Trade-in 2026: 15 % of the price, at most 1,500 yuan. The budget counts the maximum.
    Percent {
        discount_basis_points: u32,
        discount_amount_max: Fen,
        item_price_max: Option<Fen>,
        unique_serial: bool,
        one_per_category: bool,
    },
}

impl VoucherKind {
    /// Whether every piece that such a voucher pays for has a serial number that no other order of the campaign uses.
    pub fn has_unique_serial(&self) -> bool {
        matches!(self.face, Face::Percent { unique_serial: true, .. })
    }

    /// Whether a person uses such vouchers once in each category.
    pub fn is_one_per_category(&self) -> bool {
        matches!(self.face, Face::Percent { one_per_category: true, .. })
    }

    /// The most one voucher of this kind can cost the city.
    pub fn discount_ceiling(&self) -> Fen {
        match self.face {
            Face::Save { discount_amount, .. } => discount_amount,
            Face::Percent { discount_amount_max, .. } => discount_amount_max,
        }
    }
}

/// One distribution of packs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Round {
    pub round_id: String,
    pub mode: Mode,
    pub name: Option<Text>,
    pub reservation: RoundReservation,
    /// Replaces the campaign's whole, as do `validity` and `use_rule`.
    pub eligibility: Option<Eligibility>,
    pub validity: Option<Validity>,
    pub use_rule: Option<UseRule>,
    /// Added to the campaign's limits.
    pub limits: Vec<Limit>,
    /// Written as `packs` or `money` of the round.
    pub supply: Supply,
    pub assignment: Assignment,
    /// 1 by default.
    pub max_packs_per_person: u32,
    /// Earlier rounds of this campaign whose winners do not take part.
    pub exclude_winners_of: Vec<String>,
    /// An uploaded list that gives some persons k = 1 to 64 entries, or that names the receivers of a grant.
    pub entries_list: Option<String>,
    /// `ballot` and `rain` only, and always there.
    pub draw: Option<Draw>,
    /// Claim window. Only a ballot may do without (then `credit_at`).
    pub opens_at: Option<Ms>,
    pub closes_at: Option<Ms>,
    /// When a ballot or grant without a window credits its winners.
    pub credit_at: Option<Ms>,
    /// Absent = everything at once.
    pub release: Option<Release>,
    /// `credit` unless the file says otherwise.
    pub unclaimed: Unclaimed,
    /// Extra claim windows for `unclaimed: release`, after the round's own, in order.
    pub waves: Vec<Wave>,
    /// When absent: `first_tap` with `unclaimed` credit or return, else `close`.
    pub lost_at: LostAt,
}

/// What a round says about reservation. Null and absent mean different things in the file, so they are different here.
#[derive(Clone, Debug, PartialEq)]
pub enum RoundReservation {
    /// The key is absent: the campaign's reservation holds.
    Campaigns,
    /// `null`: a walk-in round without reservation.
    WalkIn,
    Own(Box<Reservation>),
    /// There is one, with faults of its own: nothing follows from what it does not say. No file that is taken has one.
    Unread,
}

impl Serialize for RoundReservation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Campaigns => serializer.serialize_str("campaign"),
            Self::WalkIn | Self::Unread => serializer.serialize_none(),
            Self::Own(own) => own.serialize(serializer),
        }
    }
}

/// How much a round gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Supply {
    /// Fixed counts, in the order of the campaign's `packs`.
    Packs(Vec<PackSupply>),
    /// Counts are fixed from money at the draw or opening; the remainder stays in the pool.
    Money { amount: MoneyAmount, weights: Vec<PackWeight>, by_channel: Option<ByChannel> },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackSupply {
    pub pack_id: String,
    /// 1 to 10,000,000.
    pub count: u64,
    pub by_channel: Option<ByChannel>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackWeight {
    pub pack_id: String,
    pub weight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MoneyAmount {
    Fixed(Fen),
    /// Whatever earlier rounds left behind (`carry_over`).
    Pool,
}

/// How a supply is divided over the channels.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ByChannel {
    Equal,
    /// Packs (or fen, for a money supply) of each channel, in the order of the campaign's `channels`.
    Parts(Vec<ChannelPart>),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelPart {
    pub channel: String,
    pub count: u64,
}

/// The public draw. `at` is when the result is computed, after the list has closed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Draw {
    pub at: Ms,
    /// When the list is committed to; absent = as soon as reservation has closed.
    pub close_list_at: Option<Ms>,
    pub entropy: Vec<Entropy>,
    pub drand_round: Option<u64>,
}

/// When the packs of a round come out during the claim window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Release {
    pub shape: ReleaseShape,
    /// Length of the curve from `opens_at`; 0 for `at_once`. A rain ends by 80 % of its window, so the last tap still finds its result.
    pub seconds: u32,
    /// Number of equal portions, for `slices`.
    pub slices: Option<u32>,
    /// The cumulative curve, for `points`.
    pub points: Vec<ReleasePoint>,
}

/// Up to `second` (from opening), `basis_points` of 10,000 have come out. Written as a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "(u32, u32)")]
pub struct ReleasePoint {
    pub second: u32,
    pub basis_points: u32,
}

impl From<ReleasePoint> for (u32, u32) {
    fn from(point: ReleasePoint) -> Self {
        (point.second, point.basis_points)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wave {
    pub opens_at: Ms,
    pub closes_at: Ms,
}

/// Which merchants may join, and when. Enrolment commonly stays open to the last day of validity (Chengdu 2020),
/// so it is judged when a voucher is used and never baked into the voucher.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MerchantEnrolment {
    pub opens_at: Option<Ms>,
    pub closes_at: Option<Ms>,
    pub kinds: Vec<MerchantKind>,
    /// Prefixes of district codes (GB/T 2260); empty = anywhere.
    pub registered_in: Vec<String>,
    pub by_list: Option<String>,
}

words! {
    Mode {
        /// Draw among entries; winners are credited, or claim in a window.
        Ballot = "ballot",
        /// Decided by a draw beforehand, revealed by the tap.
        Rain = "rain",
        FirstCome = "first_come",
        /// Given to everybody on a list.
        Grant = "grant",
    }
    Assignment {
        Single = "single",
        /// The person names one of the round's packs.
        Choice = "choice",
        /// The draw decides which pack.
        Chance = "chance",
        /// One of every pack.
        Each = "each",
    }
    Unclaimed { Credit = "credit", Return = "return", Release = "release" }
    LostAt { FirstTap = "first_tap", Close = "close" }
    Entropy { Operator = "operator", Drand = "drand", Notary = "notary" }
    ReleaseShape { AtOnce = "at_once", Even = "even", Front = "front", Slices = "slices", Points = "points" }
    MerchantKind { Enterprise = "enterprise", SoleTrader = "sole_trader" }
    /// Both families seen in cities: restore the whole voucher on a full refund (Shanghai, Hangzhou), or use it up (UnionPay, trade-in).
    RefundPolicy {
        RestoreOnFullRefund = "restore_on_full_refund",
        RestoreOnSingleFullRefund = "restore_on_single_full_refund",
        Consume = "consume",
    }
    ExpiredRefundTo { Treasury = "treasury", Pool = "pool" }
    CarryOver { None = "none", NextRound = "next_round", Pool = "pool" }
    CarryOverSource { Unissued = "unissued", Expired = "expired", Refunded = "refunded" }
}
