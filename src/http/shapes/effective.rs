//! The answer to `?view=effective`: the file with its defaults, each round with the terms that hold for it.

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::campaign_file::{
    CampaignText, DrawForm, EligibilityForm, FaceKind, FundingForm, LimitForm, MerchantEnrolmentForm, PoolWord,
    ReleaseForm, ReservationForm, UseRuleForm, ValidityForm, WaveForm,
};
use crate::domain::campaign::schema::{
    Assignment, CarryOver, CarryOverSource, ExpiredRefundTo, LostAt, Mode, RefundPolicy, Unclaimed,
};

#[derive(ToSchema)]
pub struct EffectiveCampaign {
    campaign_id: String,
    name: CampaignText,
    time_zone: String,
    currency: String,
    budget: i64,
    channels: Vec<String>,
    consent_version: Option<String>,
    max_amount_by_day: Option<i64>,
    funding: Vec<FundingForm>,
    rounds: Vec<EffectiveRound>,
    merchant_enrolment: MerchantEnrolmentForm,
    refund_policy: RefundPolicy,
    refund_days: u32,
    reverse_hours: u32,
    refund_restores_limits: bool,
    max_restores_per_voucher: u32,
    expired_refund_to: ExpiredRefundTo,
    carry_over: CarryOver,
    carry_over_sources: Vec<CarryOverSource>,
}

#[derive(ToSchema)]
pub struct EffectiveRound {
    round_id: String,
    mode: Mode,
    name: Option<CampaignText>,
    /// null: a round without a list of reservations.
    #[schema(required = true)]
    reservation: Option<ReservationForm>,
    /// null: anybody.
    #[schema(required = true)]
    eligibility: Option<EligibilityForm>,
    limits: Vec<LimitForm>,
    supply: EffectiveSupply,
    assignment: Assignment,
    max_packs_per_person: u32,
    exclude_winners_of: Vec<String>,
    entries_list: Option<String>,
    draw: Option<DrawForm>,
    opens_at: Option<String>,
    closes_at: Option<String>,
    credit_at: Option<String>,
    release: Option<ReleaseForm>,
    unclaimed: Unclaimed,
    waves: Vec<WaveForm>,
    lost_at: LostAt,
    effective_packs: Vec<EffectivePack>,
}

/// One of the two.
#[derive(ToSchema)]
pub struct EffectiveSupply {
    packs: Option<Vec<EffectiveCount>>,
    money: Option<EffectiveMoney>,
}

#[derive(ToSchema)]
pub struct EffectiveCount {
    pack_id: String,
    count: u64,
    by_channel: Option<EffectiveByChannel>,
}

#[derive(ToSchema)]
pub struct EffectiveMoney {
    amount: EffectiveAmount,
    weights: Vec<EffectiveWeight>,
    by_channel: Option<EffectiveByChannel>,
}

#[derive(ToSchema)]
pub struct EffectiveWeight {
    pack_id: String,
    weight: u32,
}

/// `pool`, or fen.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum EffectiveAmount {
    Word(PoolWord),
    Fixed(EffectiveFixed),
}

#[derive(ToSchema)]
pub struct EffectiveFixed {
    fixed: i64,
}

/// `equal`, or the part of each channel.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum EffectiveByChannel {
    Word(super::campaign_file::EqualWord),
    Parts(BTreeMap<String, Vec<EffectivePart>>),
}

#[derive(ToSchema)]
pub struct EffectivePart {
    channel: String,
    count: u64,
}

#[derive(ToSchema)]
pub struct EffectivePack {
    pack_id: String,
    /// What all its vouchers take off at most.
    value: i64,
    vouchers: Vec<EffectiveVoucher>,
}

#[derive(ToSchema)]
pub struct EffectiveVoucher {
    voucher_kind: String,
    count: u32,
    name: Option<CampaignText>,
    kind: FaceKind,
    transaction_minimum: Option<i64>,
    discount_amount: Option<i64>,
    discount_basis_points: Option<u32>,
    discount_amount_max: Option<i64>,
    item_price_max: Option<i64>,
    unique_serial: Option<bool>,
    one_per_category: Option<bool>,
    after_kind: Option<String>,
    /// null: no round or campaign says when.
    #[schema(required = true)]
    validity: Option<ValidityForm>,
    /// All must hold.
    use_rules: Vec<UseRuleForm>,
}
