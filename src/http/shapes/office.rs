//! What the program office is answered: campaigns, amendments, numbers, merchants and keys of tills.

use utoipa::ToSchema;

use super::campaign_file::CampaignFile;
use super::draw::PublishedChange;
use super::effective::EffectiveCampaign;
use crate::domain::campaign::schema::{Entropy, MerchantKind};
use crate::http::error::{FieldErrorSchema, TextSchema};
use crate::http::merchant::NameBody;
use crate::store::campaign::Scope;

/// How a campaign stands.
#[derive(ToSchema)]
pub struct CampaignStatus {
    campaign_id: String,
    state: CampaignState,
    /// For `If-Match`.
    version: u64,
    /// SHA-256 of the file as published, hex.
    rules_hash: String,
    /// Of the file with the amendments in force.
    amended_rules_hash: Option<String>,
    totals: CampaignTotals,
    /// The lists and areas that the campaign was handed over with, if it names any.
    lists: Option<Vec<PinnedList>>,
    areas: Option<Vec<PinnedArea>>,
    paused: Vec<Scope>,
    stopped: bool,
    warnings: Vec<FieldErrorSchema>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    Draft,
    Review,
    Approved,
    Published,
    Open,
    Ended,
}

/// A version of a list; one that was handed over by an earlier program has no hash.
#[derive(ToSchema)]
pub struct PinnedList {
    list_id: String,
    version: u32,
    kind: PinnedListKind,
    count: u64,
    #[schema(required = true)]
    sha256: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinnedListKind {
    Persons,
    Merchants,
}

#[derive(ToSchema)]
pub struct PinnedArea {
    area_id: String,
    version: u32,
    #[schema(required = true)]
    sha256: Option<String>,
}

#[derive(ToSchema)]
pub struct CampaignTotals {
    packs: u64,
    vouchers: u64,
    /// Fen.
    amount: i64,
}

/// A campaign with its file, or with what the file amounts to.
#[derive(ToSchema)]
pub struct CampaignShown {
    #[serde(flatten)]
    status: CampaignStatus,
    /// As it was written.
    campaign: Option<CampaignFile>,
    /// With `?view=effective`.
    effective: Option<EffectiveCampaign>,
}

/// What everybody may know of a published campaign.
#[derive(ToSchema)]
pub struct PublicCampaign {
    #[serde(flatten)]
    status: CampaignStatus,
    /// The file that holds.
    campaign: CampaignFile,
    /// The file that `rules_hash` names, once it was amended.
    published: Option<CampaignFile>,
    amendments: Option<Vec<PublishedAmendment>>,
}

/// An amendment in force.
#[derive(ToSchema)]
pub struct PublishedAmendment {
    amendment_id: String,
    reason: String,
    changes: Vec<PublishedChange>,
    #[schema(required = true)]
    applied_at: Option<String>,
    #[schema(required = true)]
    rules_hash: Option<String>,
}

#[derive(ToSchema)]
pub struct AmendmentShown {
    amendment_id: String,
    reason: String,
    changes: Vec<PublishedChange>,
    state: AmendmentState,
    submitted_by: String,
    submitted_at: String,
    approved_by: Option<String>,
    applied_at: Option<String>,
    rules_hash: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AmendmentState {
    Proposed,
    Applied,
}

#[derive(ToSchema)]
pub struct AmendmentList {
    items: Vec<AmendmentShown>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Live numbers of a campaign; amounts in fen.
#[derive(ToSchema)]
pub struct CampaignStats {
    /// Reservations that were made and not withdrawn, also those that a list did not take when it closed.
    reserved: i64,
    /// Entries in draws on all closed lists: without reservations that the closing took off them, and several for one where it counts as several.
    entries: u64,
    issued: i64,
    claimed: i64,
    /// Vouchers redeemed since the beginning, also those that a reversal or refund has given back since.
    redeemed_count: i64,
    /// What they took off, before anything came back.
    redeemed_amount: i64,
    /// What has come back of it, by refunds and by reversals alike: `redeemed_amount - refunded_amount` is `redeemed` of the ledger.
    refunded_amount: i64,
    rounds: Vec<RoundStats>,
}

#[derive(ToSchema)]
pub struct RoundStats {
    round_id: String,
    /// Reservations that were made and not withdrawn.
    reserved: i64,
    /// Entries on the closed list; null while it is open.
    #[schema(required = true)]
    entries: Option<u64>,
    issued: i64,
    /// Packs that the release has let out so far.
    released: u64,
    remaining: i64,
    list: ListWord,
    drawn: bool,
    winners: u64,
    /// Whether every decided winner has been credited.
    credited: bool,
    /// Later windows whose winners are decided.
    waves: u64,
    /// Public values that the draw waits for.
    waiting_for: Vec<Entropy>,
    /// What a long step has done so far; null when none is under way.
    #[schema(required = true)]
    progress: Option<RoundProgress>,
}

#[derive(ToSchema)]
pub struct RoundProgress {
    step: String,
    done: u64,
    total: u64,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListWord {
    Open,
    Closing,
    Closed,
}

/// Every rule of eligibility with its verdict.
#[derive(ToSchema)]
pub struct EligibilityExplained {
    eligible: bool,
    rules: Vec<RuleVerdict>,
}

#[derive(ToSchema)]
pub struct RuleVerdict {
    rule: String,
    passed: bool,
    message: TextSchema,
}

#[derive(ToSchema)]
pub struct MerchantShown {
    merchant_id: String,
    code: String,
    kind: MerchantKind,
    name: NameBody,
    registered_district: String,
    operating_district: String,
    industry_code: String,
    stores: Vec<StoreShown>,
    state: MerchantState,
    created_at: String,
    /// What was changed since it was registered.
    changes: Vec<MerchantChange>,
    enrolments: Vec<EnrolmentLine>,
    terminals: Vec<TerminalLine>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MerchantState {
    Active,
    Frozen,
}

#[derive(ToSchema)]
pub struct MerchantChange {
    fields: Vec<String>,
    at: String,
    /// Name of the key.
    by: String,
}

#[derive(ToSchema)]
pub struct StoreShown {
    store_id: String,
    name: NameBody,
    district: String,
}

#[derive(ToSchema)]
pub struct EnrolmentLine {
    campaign_id: String,
    state: EnrolmentState,
    since: String,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    Applied,
    Approved,
    Suspended,
    Left,
}

#[derive(ToSchema)]
pub struct TerminalLine {
    terminal_id: String,
    key_id: String,
    version: u32,
    created_at: String,
    revoked: bool,
}

/// A merchant in a campaign, and how it came about.
#[derive(ToSchema)]
pub struct EnrolmentShown {
    campaign_id: String,
    merchant_id: String,
    state: EnrolmentState,
    since: String,
    history: Vec<EnrolmentStep>,
}

#[derive(ToSchema)]
pub struct EnrolmentStep {
    state: EnrolmentState,
    at: String,
    by: String,
    reason: Option<String>,
}

/// A terminal and its key. The secret is shown when it is made or rotated, and never again.
#[derive(ToSchema)]
pub struct TerminalKey {
    terminal_id: String,
    key_id: String,
    version: u32,
    revoked: bool,
    secret: Option<String>,
    /// Of a rotation: whether the replaced secret stays good.
    previous_accepted: Option<bool>,
}

/// A key of a merchant or of a platform. The secret is shown when it is made or rotated, and never again.
#[derive(ToSchema)]
pub struct TillKeyShown {
    key_id: String,
    kind: TillKeyKind,
    version: u32,
    previous_accepted: bool,
    revoked: bool,
    /// Of a merchant's key.
    merchant_id: Option<String>,
    /// Of a platform's key.
    channels: Option<Vec<String>>,
    secret: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TillKeyKind {
    Merchant,
    Platform,
}

#[derive(ToSchema)]
pub struct TillKeyList {
    items: Vec<TillKeyShown>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// What became of one row of a file.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum ImportedRow {
    Merchant(ImportedMerchant),
    Reservation(ImportedReservation),
}

/// Why a row was refused: a problem, of which beyond the first 1,000 faults of a file only this much is told.
#[derive(ToSchema)]
pub struct RowRefusal {
    code: String,
    retryable: bool,
    outcome: String,
    detail: Option<String>,
    message: Option<TextSchema>,
    errors: Option<Vec<FieldErrorSchema>>,
}

/// What became of one row of a file of merchants.
#[derive(ToSchema)]
pub struct ImportedMerchant {
    line: u64,
    #[schema(required = true)]
    code: Option<String>,
    merchant_id: Option<String>,
    result: ImportedMerchantResult,
    refusal: Option<RowRefusal>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedMerchantResult {
    Created,
    Unchanged,
    Refused,
}

/// What became of one row of a file of reservations.
#[derive(ToSchema)]
pub struct ImportedReservation {
    line: u64,
    result: ImportedReservationResult,
    refusal: Option<RowRefusal>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportedReservationResult {
    Reserved,
    Replaced,
    Unchanged,
    Refused,
}
