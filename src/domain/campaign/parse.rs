//! Bytes to a campaign, with every fault of the file at once.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::check::check;
use super::findings::{Fault, Findings};
use super::named::Named;
use super::parse_round::round;
use super::parse_terms::{eligibility, limit, reservation, use_rule, validity};
use super::reader::{Node, Obj, Walk};
use super::schema::*;
use super::strict_json::value_from;
use crate::domain::ids::is_campaign_id;

/// A file without faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    pub campaign: Campaign,
    /// The file as written: what is stored, shown and hashed.
    pub value: Value,
    pub warnings: Vec<Fault>,
}

/// Reads and judges a campaign file. Malformed JSON is one fault; otherwise all faults of form and of the rules between fields.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Vec<Fault>> {
    parse_value(value_from(bytes).map_err(|fault| vec![fault])?)
}

/// The same for a file that is a value already: a stored one, or one with an amendment applied.
pub fn parse_value(value: Value) -> Result<Parsed, Vec<Fault>> {
    let walk = Walk::default();
    let campaign = campaign(&Node::root(&value, &walk));
    let dropped = walk.dropped.get();
    let mut found = walk.findings.into_inner();
    if let (Some(campaign), false) = (&campaign, dropped) {
        add_new(&mut found, check(campaign));
    }
    match campaign {
        Some(campaign) if found.faults.is_empty() => Ok(Parsed { campaign, value, warnings: found.warnings }),
        _ => Err(found.faults),
    }
}

/// Adds what `check` finds, except what merely follows from a fault of form at the same place or beside it.
fn add_new(found: &mut Findings, checked: Findings) {
    fn parent(pointer: &str) -> &str {
        pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
    let follows = |pointer: &str| {
        found.faults.iter().any(|form| {
            let inside =
                form.pointer.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let beside =
                form.code != "unknown_field" && !parent(pointer).is_empty() && parent(&form.pointer) == parent(pointer);
            inside || beside
        })
    };
    let new: Vec<Fault> = checked.faults.into_iter().filter(|fault| !follows(&fault.pointer)).collect();
    found.faults.extend(new);
    found.warnings.extend(checked.warnings);
}

fn campaign(node: &Node) -> Option<Campaign> {
    let mut fields = node.object()?;
    // The zone comes first: times are judged, and suggestions written, in it.
    let time_zone = fields.req("time_zone").and_then(|n| time_zone(&n));
    let campaign_id = fields.req("campaign_id").and_then(|n| {
        n.matching(
            "invalid_id",
            "2 至 40 个小写字母、数字或连字符",
            "2 to 40 of lower-case letters, digits and -",
            is_campaign_id,
        )
    });
    let name = fields.req("name").and_then(|n| text(&n));
    let currency =
        fields.req("currency").and_then(|n| n.matching("unknown_value", " CNY", "CNY", |currency| currency == "CNY"));
    let budget = fields.req("budget").and_then(|n| n.fen(1));
    let channels = fields.req("channels").and_then(|n| n.distinct(1..=5, Node::id));
    let consent_version = fields.opt("consent_version").and_then(|n| n.text(64));
    let max_amount_by_day = fields.opt("max_amount_by_day").and_then(|n| n.fen(1));
    let funding = fields.opt("funding").and_then(|n| n.list(1..=10, |n| funding(&n))).unwrap_or_default();
    let packs = fields.req("packs").and_then(|n| n.list(1..=60, |n| pack(&n)));
    let order: Vec<&str> = packs.iter().flatten().map(|pack| pack.pack_id.as_str()).collect();
    let mut rounds = fields.req("rounds").and_then(|n| n.list(1..=60, |n| round(&n, &order)));
    let limits = fields.opt("limits").and_then(|n| n.list(0..=30, |n| limit(&n))).unwrap_or_default();
    let reservation = fields.opt("reservation").map(|n| reservation(&n));
    if reservation == Some(None) {
        leave_unread(rounds.iter_mut().flatten());
    }
    let eligibility = fields.opt("eligibility").and_then(|n| eligibility(&n));
    let validity = fields.opt("validity").and_then(|n| validity(&n));
    let use_rule = fields.opt("use_rule").and_then(|n| use_rule(&n, UseRule::standard()));
    let merchant_enrolment = fields.opt("merchant_enrolment").and_then(|n| merchant_enrolment(&n));
    let refund_policy = fields.opt("refund_policy").and_then(|n| n.word()).unwrap_or(RefundPolicy::RestoreOnFullRefund);
    let refund_days = fields.opt("refund_days").and_then(|n| n.int(1..=3650)).unwrap_or(365);
    let reverse_hours = fields.opt("reverse_hours").and_then(|n| n.int(1..=720)).unwrap_or(24);
    let refund_restores_limits = fields.opt("refund_restores_limits").and_then(|n| n.flag()).unwrap_or(true);
    let max_restores_per_voucher = fields.opt("max_restores_per_voucher").and_then(|n| n.int(0..=63)).unwrap_or(3);
    let expired_refund_to = fields.opt("expired_refund_to").and_then(|n| n.word()).unwrap_or(ExpiredRefundTo::Treasury);
    let carry_over = fields.opt("carry_over").and_then(|n| n.word()).unwrap_or(CarryOver::None);
    let carry_over_sources = fields.opt("carry_over_sources").and_then(|n| n.distinct(1..=3, |n| n.word()));
    fields.finish();
    Some(Campaign {
        campaign_id: campaign_id?,
        name: name?,
        time_zone: time_zone?,
        currency: currency?,
        budget: budget?,
        channels: channels?,
        consent_version,
        max_amount_by_day,
        funding,
        packs: packs?,
        rounds: rounds?,
        limits,
        reservation: reservation.flatten(),
        eligibility,
        validity,
        use_rule,
        merchant_enrolment: merchant_enrolment.unwrap_or_else(anybody_any_time),
        refund_policy,
        refund_days,
        reverse_hours,
        refund_restores_limits,
        max_restores_per_voucher,
        expired_refund_to,
        carry_over,
        carry_over_sources: carry_over_sources
            .unwrap_or_else(|| CarryOverSource::WORDS.iter().map(|(_, source)| *source).collect()),
    })
}

/// Rounds that go by the campaign's reservation know nothing of it where it has faults.
fn leave_unread<'r>(rounds: impl Iterator<Item = &'r mut Round>) {
    let of_campaign = rounds.filter(|round| round.reservation == RoundReservation::Campaigns);
    of_campaign.for_each(|round| round.reservation = RoundReservation::Unread);
}

fn time_zone(node: &Node) -> Option<String> {
    let known = |name: &str| TimeZone::get(name).is_ok();
    let name =
        node.matching("unknown_time_zone", "时区名，如 Asia/Shanghai", "an IANA zone such as Asia/Shanghai", known)?;
    if let Ok(zone) = TimeZone::get(&name) {
        // The cell is empty: a file has one zone.
        let _ = node.walk().zone.set(zone);
    }
    Some(name)
}

pub fn text(node: &Node) -> Option<Text> {
    let mut fields = node.object()?;
    let zh = fields.req("zh").and_then(|n| n.text(200));
    let en = fields.req("en").and_then(|n| n.text(200));
    fields.finish();
    Some(Text { zh: zh?, en: en? })
}

fn funding(node: &Node) -> Option<Funding> {
    let mut fields = node.object()?;
    let source = fields.req("source").and_then(|n| n.text(100));
    let weight = fields.req("weight").and_then(|n| n.int(1..=1_000_000));
    fields.finish();
    Some(Funding { source: source?, weight: weight? })
}

fn anybody_any_time() -> MerchantEnrolment {
    MerchantEnrolment {
        opens_at: None,
        closes_at: None,
        kinds: MerchantKind::WORDS.iter().map(|(_, kind)| *kind).collect(),
        registered_in: Vec::new(),
        by_list: None,
    }
}

fn merchant_enrolment(node: &Node) -> Option<MerchantEnrolment> {
    let mut fields = node.object()?;
    let opens_at = fields.opt("opens_at").and_then(|n| n.instant());
    let closes_at = fields.opt("closes_at").and_then(|n| n.instant());
    let kinds = fields.opt("kinds").and_then(|n| n.distinct(1..=2, |n| n.word()));
    let registered_in =
        fields.opt("registered_in").and_then(|n| n.distinct(0..=100, Node::code_prefix)).unwrap_or_default();
    let by_list = fields.opt("by_list").and_then(|n| n.id());
    fields.finish();
    Some(MerchantEnrolment {
        opens_at,
        closes_at,
        kinds: kinds.unwrap_or(anybody_any_time().kinds),
        registered_in,
        by_list,
    })
}

fn pack(node: &Node) -> Option<Pack> {
    let mut fields = node.object()?;
    let pack_id = fields.req("pack_id").and_then(|n| n.id());
    let vouchers = fields.req("vouchers").and_then(|n| n.list(1..=10, |n| voucher(&n)));
    let rule = fields.opt("use_rule").and_then(|n| use_rule(&n, UseRule::unrestricted()));
    fields.finish();
    Some(Pack { pack_id: pack_id?, vouchers: vouchers?, use_rule: rule })
}

fn voucher(node: &Node) -> Option<VoucherKind> {
    let mut fields = node.object()?;
    let voucher_kind = fields.req("voucher_kind").and_then(|n| n.id());
    let count = fields.req("count").and_then(|n| n.int(1..=10));
    let name = fields.opt("name").and_then(|n| text(&n));
    let face = face(&mut fields);
    let rule = fields.opt("use_rule").and_then(|n| use_rule(&n, UseRule::unrestricted()));
    let validity = fields.opt("validity").and_then(|n| validity(&n));
    let after_kind = fields.opt("after_kind").and_then(|n| n.id());
    fields.finish();
    Some(VoucherKind {
        voucher_kind: voucher_kind?,
        count: count?,
        name,
        face: face?,
        use_rule: rule,
        validity,
        after_kind,
    })
}

/// The kind decides which fields there are; with an unknown kind nothing is said about them.
fn face(fields: &mut Obj) -> Option<Face> {
    let kind = fields.opt("kind").map_or(Some("save"), |n| match n.str() {
        Some(kind @ ("save" | "percent")) => Some(kind),
        _ => {
            n.fault("unknown_value", "须为 save 或 percent。", "Must be save or percent.");
            None
        }
    });
    if kind? == "save" {
        let minimum = fields.req("transaction_minimum").and_then(|n| n.fen(0));
        let amount = fields.req("discount_amount").and_then(|n| n.money(FACE));
        return Some(Face::Save { transaction_minimum: minimum?, discount_amount: amount? });
    }
    let basis_points = fields.req("discount_basis_points").and_then(|n| n.int(1..=10_000));
    let max = fields.req("discount_amount_max").and_then(|n| n.money(FACE));
    let item_price_max = fields.opt("item_price_max").and_then(|n| n.fen(1));
    let unique_serial = fields.opt("unique_serial").and_then(|n| n.flag()).unwrap_or(false);
    let one_per_category = fields.opt("one_per_category").and_then(|n| n.flag()).unwrap_or(false);
    Some(Face::Percent {
        discount_basis_points: basis_points?,
        discount_amount_max: max?,
        item_price_max,
        unique_serial,
        one_per_category,
    })
}

/// 1 to 5,000 yuan in fen: the faces seen in cities, and a guard against yuan written for fen.
const FACE: std::ops::RangeInclusive<i64> = 100..=500_000;
