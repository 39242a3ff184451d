//! What the file amounts to for one round, pack and voucher: a round's own terms replace the campaign's whole, while the use rules
//! of packs and vouchers are added, so all of them must hold.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::schema::*;
use super::terms::UseRule;
use crate::domain::money::Fen;
use crate::domain::time::{Ms, Window, Zone};

/// One voucher of a pack, as the person holds it. `unit` counts over the pack in file order: in Chengdu 0 and 1 are 60-20, 2 to 5 are 30-10.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unit {
    pub unit: u8,
    /// Position of the kind in the pack's `vouchers`.
    pub kind_index: usize,
    pub voucher_kind: String,
    /// 0 for a percent voucher and for one without a threshold.
    pub transaction_minimum: Fen,
    /// What it takes off, for a percent voucher at most; also what it weighs in the ledger.
    pub discount_amount: Fen,
}

impl Pack {
    /// The kind of the n-th voucher.
    pub fn kind_of(&self, unit: u8) -> Option<&VoucherKind> {
        let mut before = 0;
        self.vouchers.iter().find(|kind| {
            before += kind.count;
            u32::from(unit) < before
        })
    }

    /// Whether a kind that waits for another may be used: one voucher of that other kind of the pack is used now. One that went back
    /// to its person by a cancel, a refund or a reverse does not count any more.
    pub fn unlocks(&self, kind: &VoucherKind, is_used: impl Fn(u8) -> bool) -> bool {
        let Some(other) = &kind.after_kind else { return true };
        let units = self.vouchers.iter().flat_map(|one| (0..one.count).map(move |_| &one.voucher_kind));
        units.enumerate().any(|(unit, of)| of == other && is_used(unit as u8))
    }

    /// The vouchers of one pack, expanded by count.
    pub fn units(&self) -> Vec<Unit> {
        let kinds =
            self.vouchers.iter().enumerate().flat_map(|(index, kind)| (0..kind.count).map(move |_| (index, kind)));
        kinds
            .enumerate()
            .map(|(unit, (kind_index, kind))| Unit {
                unit: u8::try_from(unit).unwrap_or(u8::MAX),
                kind_index,
                voucher_kind: kind.voucher_kind.clone(),
                transaction_minimum: match kind.face {
                    Face::Save { transaction_minimum, .. } => transaction_minimum,
                    Face::Percent { .. } => Fen::ZERO,
                },
                discount_amount: kind.discount_ceiling(),
            })
            .collect()
    }

    /// What one pack can cost the city at most.
    pub fn value(&self) -> Fen {
        self.vouchers.iter().map(|kind| Fen(kind.discount_ceiling().0.saturating_mul(i64::from(kind.count)))).sum()
    }
}

impl Campaign {
    /// The city's zone; the file is refused when it is unknown.
    pub fn zone(&self) -> Zone {
        Zone::named(&self.time_zone).or_else(|| Zone::named("UTC")).expect("the bundled zone database has UTC")
    }

    pub fn round(&self, round_id: &str) -> Option<(usize, &Round)> {
        self.rounds.iter().enumerate().find(|(_, round)| round.round_id == round_id)
    }

    pub fn pack(&self, pack_id: &str) -> Option<(usize, &Pack)> {
        self.packs.iter().enumerate().find(|(_, pack)| pack.pack_id == pack_id)
    }

    pub fn channel_index(&self, channel: &str) -> Option<usize> {
        self.channels.iter().position(|known| known == channel)
    }

    /// `None` for a walk-in round.
    pub fn reservation_of<'a>(&'a self, round: &'a Round) -> Option<&'a Reservation> {
        match &round.reservation {
            RoundReservation::Own(own) => Some(own),
            RoundReservation::WalkIn | RoundReservation::Unread => None,
            RoundReservation::Campaigns => self.reservation.as_ref(),
        }
    }

    /// `None` = open to everybody whom the identity provider knows.
    pub fn eligibility_of<'a>(&'a self, round: &'a Round) -> Option<&'a Eligibility> {
        round.eligibility.as_ref().or(self.eligibility.as_ref())
    }

    /// The campaign's limits and the round's after them; both hold.
    pub fn limits_of<'a>(&'a self, round: &'a Round) -> impl Iterator<Item = &'a Limit> {
        self.limits.iter().chain(&round.limits)
    }

    /// Every use rule of one voucher, the round's (or campaign's) first. All must hold; of numbers the strictest counts.
    pub fn use_rules_of<'a>(&'a self, round: &'a Round, pack: &'a Pack, kind: &'a VoucherKind) -> Vec<&'a UseRule> {
        let base = round.use_rule.as_ref().or(self.use_rule.as_ref());
        base.into_iter().chain(&pack.use_rule).chain(&kind.use_rule).collect()
    }

    /// Whether any rule of the campaign names the category.
    pub fn names_category(&self, category: &str) -> bool {
        let of_rounds = self.rounds.iter().filter_map(|round| round.use_rule.as_ref());
        let of_kind = |kind: &'_ VoucherKind| kind.use_rule.iter().any(|rule| rule.names_category(category));
        let of_pack = |pack: &Pack| {
            pack.use_rule.iter().any(|rule| rule.names_category(category)) || pack.vouchers.iter().any(of_kind)
        };
        self.use_rule.iter().chain(of_rounds).any(|rule| rule.names_category(category))
            || self.packs.iter().any(of_pack)
    }

    pub fn validity_of<'a>(&'a self, round: &'a Round, kind: &'a VoucherKind) -> Option<&'a Validity> {
        kind.validity.as_ref().or(round.validity.as_ref()).or(self.validity.as_ref())
    }

    /// When a unit of a pack received at `received` may be used; `None` for positions the file does not have.
    pub fn unit_window(&self, round_index: usize, pack_index: usize, unit: u8, received: Ms) -> Option<Window> {
        let round = self.rounds.get(round_index)?;
        let kinds = &self.packs.get(pack_index)?.vouchers;
        let kind = kinds.iter().flat_map(|kind| (0..kind.count).map(move |_| kind)).nth(usize::from(unit))?;
        self.validity_of(round, kind)?.window(received, &self.time_zone)
    }
}

impl Validity {
    /// `None` only when the rule has no end, which `check` refuses.
    pub fn window(&self, received: Ms, time_zone: &str) -> Option<Window> {
        let (wait, days) = (self.wait_days_after_receive, self.available_day_after_receive);
        let relative_start = if wait == 0 { received } else { self.days_after(received, wait, time_zone)? };
        let start = self.available_begin_time.map_or(relative_start, |begin| begin.max(relative_start));
        let relative_end = match days {
            Some(days) => Some(self.days_after(received, wait + days, time_zone)?),
            None => None,
        };
        let end = [self.available_end_time, relative_end].into_iter().flatten().min()?;
        Some(Window { start, end })
    }

    /// Calendar days end at the city's midnight and count the day of receipt as the first; otherwise a day is 24 hours.
    fn days_after(&self, received: Ms, days: u32, time_zone: &str) -> Option<Ms> {
        if self.day_counting == DayCounting::Hours24 {
            return Some(received + i64::from(days) * crate::domain::time::DAY);
        }
        let received: Zoned = Timestamp::from_millisecond(received).ok()?.to_zoned(TimeZone::get(time_zone).ok()?);
        let day = received.date().checked_add(Span::new().days(i64::from(days))).ok()?;
        Some(day.to_zoned(received.time_zone().clone()).ok()?.timestamp().as_millisecond())
    }
}

/// The answer to `GET …?view=effective`: the whole file with its defaults, each round with the terms that hold for it.
pub fn effective_view(campaign: &Campaign) -> Value {
    let zone = campaign.zone();
    let mut view = plain(campaign, &zone);
    if let Some(fields) = view.as_object_mut() {
        for replaced in ["packs", "reservation", "eligibility", "validity", "use_rule", "limits"] {
            fields.remove(replaced);
        }
        fields.insert(
            "rounds".into(),
            campaign.rounds.iter().map(|round| effective_round(campaign, round, &zone)).collect(),
        );
    }
    view
}

fn effective_round(campaign: &Campaign, round: &Round, zone: &Zone) -> Value {
    let mut view = plain(round, zone);
    let Some(fields) = view.as_object_mut() else { return view };
    for replaced in ["validity", "use_rule"] {
        fields.remove(replaced);
    }
    fields.insert("reservation".into(), campaign.reservation_of(round).map_or(Value::Null, |terms| plain(terms, zone)));
    fields.insert("eligibility".into(), campaign.eligibility_of(round).map_or(Value::Null, |terms| plain(terms, zone)));
    fields.insert("limits".into(), campaign.limits_of(round).map(|limit| plain(limit, zone)).collect());
    let packs = round.supply.pack_ids().filter_map(|pack_id| campaign.pack(pack_id));
    fields
        .insert("effective_packs".into(), packs.map(|(_, pack)| effective_pack(campaign, round, pack, zone)).collect());
    view
}

fn effective_pack(campaign: &Campaign, round: &Round, pack: &Pack, zone: &Zone) -> Value {
    let vouchers: Vec<Value> = pack
        .vouchers
        .iter()
        .map(|kind| {
            let mut view = plain(kind, zone);
            if let Some(fields) = view.as_object_mut() {
                fields.insert(
                    "validity".into(),
                    campaign.validity_of(round, kind).map_or(Value::Null, |terms| plain(terms, zone)),
                );
                fields.remove("use_rule");
                let rules = campaign.use_rules_of(round, pack, kind);
                fields.insert(
                    "use_rules".into(),
                    rules.iter().enumerate().map(|(i, rule)| named_part(rule, i > 0, zone)).collect(),
                );
            }
            view
        })
        .collect();
    json!({ "pack_id": pack.pack_id, "value": pack.value(), "vouchers": vouchers })
}

/// A rule; of an added one only what it restricts.
fn named_part(rule: &UseRule, added: bool, zone: &Zone) -> Value {
    let mut view = plain(rule, zone);
    if let (true, Some(fields), Value::Object(open)) =
        (added, view.as_object_mut(), plain(&UseRule::unrestricted(), zone))
    {
        fields.retain(|name, value| open.get(name) != Some(value));
    }
    view
}

/// Serialised as it is written in a file: no nulls, instants in the city's offset.
fn plain(terms: &impl Serialize, zone: &Zone) -> Value {
    let mut value = serde_json::to_value(terms).unwrap_or(Value::Null);
    spell(&mut value, zone);
    value
}

const INSTANTS: [&str; 8] = [
    "opens_at",
    "closes_at",
    "withdraw_until",
    "at",
    "close_list_at",
    "credit_at",
    "available_begin_time",
    "available_end_time",
];

fn spell(value: &mut Value, zone: &Zone) {
    match value {
        Value::Object(fields) => spell_fields(fields, zone),
        Value::Array(items) => items.iter_mut().for_each(|item| spell(item, zone)),
        _ => {}
    }
}

fn spell_fields(fields: &mut Map<String, Value>, zone: &Zone) {
    fields.retain(|_, value| !value.is_null());
    for (name, value) in fields.iter_mut() {
        match value.as_i64() {
            Some(instant) if INSTANTS.contains(&name.as_str()) => *value = Value::String(zone.rfc3339(instant)),
            _ => spell(value, zone),
        }
    }
}

impl Supply {
    /// The packs that a round can give, in the campaign's order.
    pub fn pack_ids(&self) -> impl Iterator<Item = &str> {
        let (packs, weights): (&[PackSupply], &[PackWeight]) = match self {
            Self::Packs(packs) => (packs, &[]),
            Self::Money { weights, .. } => (&[], weights),
        };
        packs.iter().map(|pack| pack.pack_id.as_str()).chain(weights.iter().map(|weight| weight.pack_id.as_str()))
    }
}
