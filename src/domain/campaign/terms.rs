//! The terms that a campaign sets for all rounds and a round may replace: reservation, eligibility, validity, use rule, limits.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::named::words;
use crate::domain::money::Fen;
use crate::domain::time::Ms;

/// Putting one's name down before a draw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reservation {
    pub opens_at: Ms,
    pub closes_at: Ms,
    /// `[person]` (default) or `[person, channel]`: one for each channel, as in Shanghai 2025.
    pub one_per: Vec<OnePer>,
    /// Any match makes two reservations the same user's. `[person]` by default.
    pub identity_keys: Vec<IdentityKey>,
    /// `reject` by default; Shanghai 2022 keeps the earliest across channels.
    pub duplicates: Duplicates,
    pub withdraw_until: Option<Ms>,
    pub max_reservations: Option<u64>,
    pub stagger: Option<Stagger>,
}

impl Reservation {
    /// Whether a person may have an entry in each channel.
    pub fn per_channel(&self) -> bool {
        self.one_per.contains(&OnePer::Channel)
    }

    /// The identity keys besides the person, in the order of the file.
    pub fn more_keys(&self) -> impl Iterator<Item = IdentityKey> {
        self.identity_keys.iter().copied().filter(|key| *key != IdentityKey::Person)
    }
}

/// Spreads the rush: `days[i]` lists the digits (0 to 9) that may reserve on day i of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stagger {
    pub by: StaggerBy,
    pub days: Vec<Vec<u8>>,
}

/// Who may take part. What the identity provider does not vouch for is unknown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Eligibility {
    /// Such as `cn_id`; at least one.
    pub document_types: Vec<String>,
    /// Full years, 0 to 120.
    pub minimum_age: Option<u32>,
    /// The day on which the age is judged; absent = the day of the judgement.
    pub age_on: Option<Date>,
    /// Prefixes of district codes; empty = anywhere.
    pub residence_prefixes: Vec<String>,
    /// The colour that is required (Chengdu 2020 asked for green when reserving).
    pub health_pass: Option<HealthPass>,
    pub health_pass_unknown: HealthPassUnknown,
    pub location: Option<LocationRule>,
    pub allow_list: Option<String>,
    pub deny_list: Option<String>,
    /// Each named attribute must have one of the values.
    pub attributes: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocationRule {
    pub area_id: String,
    pub at: Vec<LocationAt>,
}

/// When a voucher may be used: from `max(available_begin_time, receive + wait)` up to
/// `min(available_end_time, receive + wait + available_day_after_receive)`, the end not included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validity {
    pub available_begin_time: Option<Ms>,
    pub available_end_time: Option<Ms>,
    /// Days, 1 to 90 (cities: 1 to 20). Calendar days end at midnight of the city.
    pub available_day_after_receive: Option<u32>,
    /// Days, 0 to 90; 1 = usable from the next day.
    pub wait_days_after_receive: u32,
    pub day_counting: DayCounting,
}

/// Where, when and how a voucher may be used. An empty list means "no restriction".
/// A rule of a campaign or round has the defaults below; a rule added by a pack or voucher restricts nothing that it does not name
/// (`UseRule::unrestricted`), so the smaller number of all rules is always the effective one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UseRule {
    pub categories: Vec<String>,
    /// Category -> prefixes of GB/T 4754 industry codes that belong to it.
    pub category_codes: BTreeMap<String, Vec<String>>,
    /// Prefixes of district codes (GB/T 2260), judged on where the merchant operates.
    pub districts: Vec<String>,
    pub merchants_list: Option<String>,
    /// `as_credited` by default.
    pub channels: UseChannels,
    pub scenes: Vec<Scene>,
    pub hours: Vec<Hours>,
    pub dates_excluded: Vec<Date>,
    pub eligible_items: Vec<String>,
    pub excluded_items: Vec<String>,
    /// Merchant first, then the programme on what remains (Hangzhou's official example), unless `initial`.
    pub threshold_on: ThresholdOn,
    /// True by default: every city seen allows it.
    pub combine_with_merchant_offers: bool,
    pub combine_with_campaigns: bool,
    /// 1 to 30; 1 by default, near universal.
    pub max_vouchers_per_payment: u32,
    /// Fen that the payer pays at least; 1 by default.
    pub minimum_payable: Fen,
    /// 30 to 900; 120 by default.
    pub hold_seconds: u32,
    pub location: Option<UseLocation>,
    pub require_items: bool,
}

pub const MAX_VOUCHERS_PER_PAYMENT: u32 = 30;
pub const HOLD_SECONDS: std::ops::RangeInclusive<u32> = 30..=900;

impl UseRule {
    /// The defaults of a campaign's or round's rule.
    pub fn standard() -> Self {
        Self {
            channels: UseChannels::AsCredited,
            threshold_on: ThresholdOn::AfterMerchantDiscount,
            combine_with_campaigns: false,
            max_vouchers_per_payment: 1,
            minimum_payable: Fen(1),
            hold_seconds: 120,
            ..Self::unrestricted()
        }
    }

    /// A rule that refuses nothing: the starting point of a rule that is added to another.
    pub fn unrestricted() -> Self {
        Self {
            categories: Vec::new(),
            category_codes: BTreeMap::new(),
            districts: Vec::new(),
            merchants_list: None,
            channels: UseChannels::Any,
            scenes: Vec::new(),
            hours: Vec::new(),
            dates_excluded: Vec::new(),
            eligible_items: Vec::new(),
            excluded_items: Vec::new(),
            threshold_on: ThresholdOn::Initial,
            combine_with_merchant_offers: true,
            combine_with_campaigns: true,
            max_vouchers_per_payment: MAX_VOUCHERS_PER_PAYMENT,
            minimum_payable: Fen(0),
            hold_seconds: *HOLD_SECONDS.end(),
            location: None,
            require_items: false,
        }
    }

    /// The categories that the rule names, in its list or, when it has none, by their industry codes.
    pub fn allowed_categories(&self) -> impl Iterator<Item = &str> {
        let by_code = self.category_codes.keys().filter(|_| self.categories.is_empty());
        self.categories.iter().chain(by_code).map(String::as_str)
    }

    /// Whether goods of a category count; a rule that names none restricts nothing.
    pub fn allows_category(&self, category: &str) -> bool {
        self.allowed_categories().next().is_none() || self.names_category(category)
    }

    pub fn names_category(&self, category: &str) -> bool {
        self.allowed_categories().any(|allowed| allowed == category)
    }

    /// Whether a minute of a day lies in its hours; a rule that names none restricts nothing.
    pub fn is_open(&self, date: Date, minute: u16) -> bool {
        let open = |hours: &Hours| hours.is_of(date) && (hours.begin_time..hours.end_time).contains(&minute);
        self.hours.is_empty() || self.hours.iter().any(open)
    }
}

impl Hours {
    pub fn is_of(&self, date: Date) -> bool {
        self.week_days.is_empty() || self.week_days.contains(&(date.weekday().to_monday_one_offset() as u8))
    }
}

impl Scene {
    /// Whether a sale of this scene is one of `other` too: who dines in buys offline.
    pub fn is(self, other: Scene) -> bool {
        self == other || (self == Scene::DineIn && other == Scene::Offline)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UseChannels {
    /// The channel that the pack was credited to.
    AsCredited,
    Any,
    #[serde(untagged)]
    Listed(Vec<String>),
}

/// Allowed hours of the city's day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hours {
    /// ISO: 1 = Monday to 7 = Sunday.
    pub week_days: Vec<u8>,
    /// Written `HH:MM`; here minutes after midnight.
    #[serde(serialize_with = "hh_mm")]
    pub begin_time: u16,
    /// Not included; `24:00` is 1440.
    #[serde(serialize_with = "hh_mm")]
    pub end_time: u16,
}

fn hh_mm<S: serde::Serializer>(minutes: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:02}:{:02}", minutes / 60, minutes % 60))
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UseLocation {
    pub area_id: String,
}

/// At most so many (or so much) of an action for one combination of entities in a period. Days, ISO weeks, months are the city's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    pub action: LimitAction,
    pub entities: Vec<LimitEntity>,
    pub period: Period,
    #[serde(flatten)]
    pub max: LimitMax,
}

/// Written as `max_count` or `max_amount`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum LimitMax {
    #[serde(rename = "max_count")]
    Count(u32),
    #[serde(rename = "max_amount")]
    Amount(Fen),
}

words! {
    OnePer { Person = "person", Channel = "channel" }
    IdentityKey { Person = "person", Phone = "phone", Device = "device", Account = "account" }
    Duplicates { Reject = "reject", Earliest = "earliest" }
    StaggerBy { BirthYearDigit = "birth_year_digit", Hash = "hash" }
    HealthPass { Green = "green" }
    HealthPassUnknown { Refuse = "refuse", Accept = "accept", RecheckBeforeDraw = "recheck_before_draw" }
    LocationAt { Reserve = "reserve", Claim = "claim" }
    DayCounting { Calendar = "calendar", Hours24 = "hours_24" }
    Scene { DineIn = "dine_in", Takeaway = "takeaway", Offline = "offline", Online = "online" }
    ThresholdOn { AfterMerchantDiscount = "after_merchant_discount", Initial = "initial" }
    LimitAction { Reserve = "reserve", Claim = "claim", Redeem = "redeem", Refund = "refund" }
    LimitEntity {
        Person = "person", Account = "account", Phone = "phone", Device = "device", Merchant = "merchant", Store = "store",
        Terminal = "terminal", Category = "category", Channel = "channel", Pack = "pack",
    }
    Period {
        Payment = "payment", Day = "day", Week = "week", Month = "month", Year = "year", Round = "round", Campaign = "campaign",
    }
}
