//! The campaign file as it is written. Its rules stand in `domain/campaign`; a field that may be left out is never written as null, except
//! a round's `reservation`, whose null means a round that is walked into.

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::campaign::schema::{
    Assignment, CarryOver, CarryOverSource, DayCounting, Duplicates, Entropy, ExpiredRefundTo, HealthPass,
    HealthPassUnknown, IdentityKey, LimitAction, LimitEntity, LocationAt, LostAt, MerchantKind, Mode, OnePer, Period,
    RefundPolicy, ReleaseShape, Scene, StaggerBy, ThresholdOn, Unclaimed,
};

/// A campaign file: budget, packs, rounds, and the rules that hold for them. Amounts are fen, times RFC 3339 with offset.
#[derive(ToSchema)]
pub struct CampaignFile {
    /// `[a-z0-9-]{2,40}`
    #[schema(example = "chengdu-2020-07")]
    campaign_id: String,
    name: CampaignText,
    /// IANA name; days, weeks and hours are counted in it.
    #[schema(example = "Asia/Shanghai")]
    time_zone: String,
    #[schema(example = "CNY")]
    currency: String,
    /// Hard ceiling.
    budget: i64,
    /// 1 to 5.
    channels: Vec<String>,
    consent_version: Option<String>,
    /// Most that may be claimed on one day of the city.
    max_amount_by_day: Option<i64>,
    funding: Option<Vec<FundingForm>>,
    packs: Vec<PackForm>,
    /// 1 to 60.
    rounds: Vec<RoundForm>,
    limits: Option<Vec<LimitForm>>,
    reservation: Option<ReservationForm>,
    eligibility: Option<EligibilityForm>,
    validity: Option<ValidityForm>,
    use_rule: Option<UseRuleForm>,
    merchant_enrolment: Option<MerchantEnrolmentForm>,
    refund_policy: Option<RefundPolicy>,
    /// 1 to 3650; 365 when left out.
    refund_days: Option<u32>,
    /// 1 to 720; 24 when left out.
    reverse_hours: Option<u32>,
    refund_restores_limits: Option<bool>,
    /// 0 to 63; 3 when left out.
    max_restores_per_voucher: Option<u32>,
    expired_refund_to: Option<ExpiredRefundTo>,
    carry_over: Option<CarryOver>,
    carry_over_sources: Option<Vec<CarryOverSource>>,
}

/// The same sentence in Chinese and English.
#[derive(ToSchema)]
pub struct CampaignText {
    zh: String,
    en: String,
}

/// A source of money and its part of the sum of all weights.
#[derive(ToSchema)]
pub struct FundingForm {
    source: String,
    weight: u32,
}

/// What one winner gets.
#[derive(ToSchema)]
pub struct PackForm {
    pack_id: String,
    /// 1 to 10.
    vouchers: Vec<VoucherForm>,
    use_rule: Option<UseRuleForm>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaceKind {
    Save,
    Percent,
}

/// A template of vouchers. The kind `save` has `transaction_minimum` and `discount_amount`; `percent` has `discount_basis_points` and
/// `discount_amount_max`, and may have the fields below them.
#[derive(ToSchema)]
pub struct VoucherForm {
    #[schema(example = "60-20")]
    voucher_kind: String,
    /// 1 to 10.
    count: u32,
    name: Option<CampaignText>,
    kind: Option<FaceKind>,
    /// 0 = no threshold.
    transaction_minimum: Option<i64>,
    discount_amount: Option<i64>,
    discount_basis_points: Option<u32>,
    discount_amount_max: Option<i64>,
    item_price_max: Option<i64>,
    unique_serial: Option<bool>,
    one_per_category: Option<bool>,
    use_rule: Option<UseRuleForm>,
    validity: Option<ValidityForm>,
    after_kind: Option<String>,
}

/// One distribution of packs. Exactly one of `packs` and `money` is there.
#[derive(ToSchema)]
pub struct RoundForm {
    round_id: String,
    mode: Mode,
    name: Option<CampaignText>,
    /// Left out: the campaign's.
    reservation: Option<RoundReservation>,
    eligibility: Option<EligibilityForm>,
    validity: Option<ValidityForm>,
    use_rule: Option<UseRuleForm>,
    limits: Option<Vec<LimitForm>>,
    /// By pack_id.
    packs: Option<BTreeMap<String, PackCount>>,
    money: Option<MoneyForm>,
    assignment: Option<Assignment>,
    max_packs_per_person: Option<u32>,
    exclude_winners_of: Option<Vec<String>>,
    entries_list: Option<String>,
    draw: Option<DrawForm>,
    opens_at: Option<String>,
    closes_at: Option<String>,
    credit_at: Option<String>,
    release: Option<ReleaseForm>,
    unclaimed: Option<Unclaimed>,
    waves: Option<Vec<WaveForm>>,
    lost_at: Option<LostAt>,
}

/// What a round says about reservation: null is another thing than silence.
pub struct RoundReservation;

impl PartialSchema for RoundReservation {
    fn schema() -> RefOr<Schema> {
        let null = ObjectBuilder::new().schema_type(Type::Null);
        let own = Ref::from_schema_name(ReservationForm::name());
        OneOfBuilder::new().description(Some("null: the round is walked into.")).item(null).item(own).into()
    }
}

impl ToSchema for RoundReservation {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("RoundReservation")
    }
}

/// How many packs, and how they are divided over the channels.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum PackCount {
    Count(u64),
    Divided(DividedCount),
}

#[derive(ToSchema)]
pub struct DividedCount {
    count: u64,
    by_channel: Option<ByChannelForm>,
}

/// `equal`, or how many each channel has.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum ByChannelForm {
    Word(EqualWord),
    Parts(BTreeMap<String, u64>),
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EqualWord {
    Equal,
}

/// Packs that are counted from money.
#[derive(ToSchema)]
pub struct MoneyForm {
    amount: MoneyAmountForm,
    /// By pack_id.
    weights: BTreeMap<String, u32>,
    by_channel: Option<ByChannelForm>,
}

/// Fen, or `pool`: what is in it when the round is drawn or opens. What ran out is in it from the next full hour after its end on.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum MoneyAmountForm {
    Fen(i64),
    Word(PoolWord),
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolWord {
    Pool,
}

#[derive(ToSchema)]
pub struct DrawForm {
    at: String,
    close_list_at: Option<String>,
    entropy: Vec<Entropy>,
    drand_round: Option<u64>,
}

#[derive(ToSchema)]
pub struct ReleaseForm {
    shape: ReleaseShape,
    /// Needed unless the shape is `at_once`.
    seconds: Option<u32>,
    slices: Option<u32>,
    /// Pairs of second and basis points.
    points: Option<Vec<Vec<u32>>>,
}

#[derive(ToSchema)]
pub struct WaveForm {
    opens_at: String,
    closes_at: String,
}

#[derive(ToSchema)]
pub struct ReservationForm {
    opens_at: String,
    closes_at: String,
    one_per: Option<Vec<OnePer>>,
    identity_keys: Option<Vec<IdentityKey>>,
    duplicates: Option<Duplicates>,
    withdraw_until: Option<String>,
    max_reservations: Option<u64>,
    stagger: Option<StaggerForm>,
}

#[derive(ToSchema)]
pub struct StaggerForm {
    by: StaggerBy,
    /// Digits that may reserve on each day of the window.
    days: Vec<Vec<u8>>,
}

#[derive(ToSchema)]
pub struct EligibilityForm {
    document_types: Vec<String>,
    minimum_age: Option<u32>,
    /// YYYY-MM-DD
    age_on: Option<String>,
    residence_prefixes: Option<Vec<String>>,
    health_pass: Option<HealthPass>,
    health_pass_unknown: Option<HealthPassUnknown>,
    location: Option<LocationForm>,
    allow_list: Option<String>,
    deny_list: Option<String>,
    attributes: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(ToSchema)]
pub struct LocationForm {
    area_id: String,
    at: Vec<LocationAt>,
}

#[derive(ToSchema)]
pub struct ValidityForm {
    available_begin_time: Option<String>,
    available_end_time: Option<String>,
    available_day_after_receive: Option<u32>,
    wait_days_after_receive: Option<u32>,
    day_counting: Option<DayCounting>,
}

#[derive(ToSchema)]
pub struct UseRuleForm {
    categories: Option<Vec<String>>,
    category_codes: Option<BTreeMap<String, Vec<String>>>,
    districts: Option<Vec<String>>,
    merchants_list: Option<String>,
    channels: Option<UseChannelsForm>,
    scenes: Option<Vec<Scene>>,
    hours: Option<Vec<HoursForm>>,
    /// YYYY-MM-DD
    dates_excluded: Option<Vec<String>>,
    eligible_items: Option<Vec<String>>,
    excluded_items: Option<Vec<String>>,
    threshold_on: Option<ThresholdOn>,
    combine_with_merchant_offers: Option<bool>,
    combine_with_campaigns: Option<bool>,
    max_vouchers_per_payment: Option<u32>,
    minimum_payable: Option<i64>,
    hold_seconds: Option<u32>,
    location: Option<UseLocationForm>,
    require_items: Option<bool>,
}

/// `as_credited`, `any`, or a list of channels.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum UseChannelsForm {
    Word(UseChannelsWord),
    Listed(Vec<String>),
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UseChannelsWord {
    AsCredited,
    Any,
}

#[derive(ToSchema)]
pub struct HoursForm {
    /// 1 = Monday to 7 = Sunday.
    week_days: Vec<u8>,
    /// HH:MM
    begin_time: String,
    end_time: String,
}

#[derive(ToSchema)]
pub struct UseLocationForm {
    area_id: String,
}

/// Exactly one of `max_count` and `max_amount` is there.
#[derive(ToSchema)]
pub struct LimitForm {
    action: LimitAction,
    entities: Vec<LimitEntity>,
    period: Period,
    max_count: Option<u32>,
    max_amount: Option<i64>,
}

#[derive(ToSchema)]
pub struct MerchantEnrolmentForm {
    opens_at: Option<String>,
    closes_at: Option<String>,
    kinds: Option<Vec<MerchantKind>>,
    registered_in: Option<Vec<String>>,
    by_list: Option<String>,
}
