//! Merchants: who a shop is, checked as a whole before anything is stored, and whether a campaign's enrolment rules admit it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::campaign::schema::{MerchantEnrolment, MerchantKind};
use crate::domain::campaign::{Fault, Findings, Named};
use crate::domain::ids;
use crate::domain::time::Ms;

/// Stores of one merchant; more would not fit into one request.
const MOST_STORES: usize = 100;
const LONGEST_NAME: usize = 100;

/// A merchant as it was registered; the unified social credit code says which legal person it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merchant {
    pub merchant_id: String,
    pub code: String,
    #[serde(deserialize_with = "kind_word")]
    pub kind: MerchantKind,
    pub name: Name,
    /// GB/T 2260 code of the place of registration, which enrolment judges.
    pub registered_district: String,
    /// GB/T 2260 code of the place of business, which redemption judges.
    pub operating_district: String,
    /// GB/T 4754 code.
    pub industry_code: String,
    pub stores: Vec<Store>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Store {
    pub store_id: String,
    pub name: Name,
    pub district: String,
}

/// A name in both languages, or as it stands over the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Name {
    One(String),
    Both { zh: String, en: String },
}

impl Name {
    fn texts(&self) -> Vec<&str> {
        match self {
            Name::One(text) => vec![text],
            Name::Both { zh, en } => vec![zh, en],
        }
    }
}

/// A merchant as somebody wrote it down: anything may be missing or wrong.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub merchant_id: Option<String>,
    pub code: Option<String>,
    pub kind: Option<String>,
    pub name: Option<Name>,
    pub registered_district: Option<String>,
    pub operating_district: Option<String>,
    pub industry_code: Option<String>,
    pub stores: Vec<DraftStore>,
}

#[derive(Clone, Debug, Default)]
pub struct DraftStore {
    pub store_id: Option<String>,
    pub name: Option<Name>,
    pub district: Option<String>,
}

impl Draft {
    /// The merchant, or every fault with its pointer. Without an id of the caller's, the id is made from the code.
    pub fn check(self) -> Result<Merchant, Vec<Fault>> {
        let mut form = Form::default();
        let merchant_id = match self.merchant_id {
            Some(id) => form.id("/merchant_id".into(), Some(id)),
            None => self.code.as_deref().map(default_id),
        };
        let code = form.field("/code".into(), self.code, CODE);
        let kind = form.field("/kind".into(), self.kind, KIND).and_then(|word| MerchantKind::from_word(&word));
        let name = form.name("/name".into(), self.name);
        let registered_district = form.field("/registered_district".into(), self.registered_district, DISTRICT);
        let operating_district = form.field("/operating_district".into(), self.operating_district, DISTRICT);
        let industry_code = form.field("/industry_code".into(), self.industry_code, INDUSTRY);
        let stores = form.stores(self.stores);
        let merchant = || {
            Some(Merchant {
                merchant_id: merchant_id?,
                code: code?,
                kind: kind?,
                name: name?,
                registered_district: registered_district?,
                operating_district: operating_district?,
                industry_code: industry_code?,
                stores,
            })
        };
        match merchant() {
            Some(merchant) if form.found.faults.is_empty() => Ok(merchant),
            _ => Err(form.found.faults),
        }
    }
}

impl Merchant {
    /// Names of the fields in which two registrations differ.
    pub fn differs_in(&self, other: &Merchant) -> Vec<&'static str> {
        let fields = [
            ("merchant_id", self.merchant_id == other.merchant_id),
            ("code", self.code == other.code),
            ("kind", self.kind == other.kind),
            ("name", self.name == other.name),
            ("registered_district", self.registered_district == other.registered_district),
            ("operating_district", self.operating_district == other.operating_district),
            ("industry_code", self.industry_code == other.industry_code),
            ("stores", self.stores == other.stores),
        ];
        fields.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
    }

    /// Why a campaign does not take this merchant, by rule; empty when it does.
    pub fn barred_by(&self, rules: &MerchantEnrolment) -> Vec<Bar> {
        let mut bars = Vec::new();
        if !rules.kinds.contains(&self.kind) {
            bars.push(Bar {
                rule: "kinds",
                zh: "该类商户不能参加。",
                en: "The campaign does not take this kind of merchant.",
            });
        }
        let at_home = |prefix: &String| self.registered_district.starts_with(prefix.as_str());
        if !rules.registered_in.is_empty() && !rules.registered_in.iter().any(at_home) {
            bars.push(Bar {
                rule: "registered_in",
                zh: "商户注册地不在活动范围内。",
                en: "The merchant is registered outside the campaign's districts.",
            });
        }
        bars
    }
}

/// Where a merchant stands in a campaign; only who is approved takes vouchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolState {
    Applied,
    Approved,
    Suspended,
    Left,
}

impl EnrolState {
    pub fn as_str(self) -> &'static str {
        match self {
            EnrolState::Applied => "applied",
            EnrolState::Approved => "approved",
            EnrolState::Suspended => "suspended",
            EnrolState::Left => "left",
        }
    }

    /// Whether a merchant may come into this state from another; a suspended one cannot get round it by applying again.
    pub fn may_follow(self, from: Option<EnrolState>) -> bool {
        use EnrolState::{Applied, Approved, Left, Suspended};
        match self {
            Applied => matches!(from, None | Some(Left)),
            Approved => matches!(from, Some(Applied | Suspended)),
            Suspended => matches!(from, Some(Applied | Approved)),
            Left => matches!(from, Some(Applied | Approved | Suspended)),
        }
    }
}

/// One enrolment rule that a merchant does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub rule: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
}

/// Whether a campaign's enrolment window `[opens_at, closes_at)` is open.
pub fn enrolment_is_open(rules: &MerchantEnrolment, now: Ms) -> bool {
    rules.opens_at.is_none_or(|opens_at| opens_at <= now) && rules.closes_at.is_none_or(|closes_at| now < closes_at)
}

/// The category of an industry by a campaign's sets of GB/T 4754 prefixes; the longest prefix decides, so `786` beats `78`.
pub fn category<'a>(category_codes: &'a BTreeMap<String, Vec<String>>, industry_code: &str) -> Option<&'a str> {
    let digits = industry_code.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let full = format!("{}{digits}", section(digits).map(String::from).unwrap_or_default());
    let matches = |prefix: &String| digits.starts_with(prefix.as_str()) || full.starts_with(prefix.as_str());
    let pairs = category_codes.iter().flat_map(|(name, prefixes)| prefixes.iter().map(move |prefix| (name, prefix)));
    let digits_of = |prefix: &String| prefix.bytes().filter(u8::is_ascii_digit).count();
    pairs
        .filter(|(_, prefix)| matches(prefix))
        .max_by_key(|(_, prefix)| digits_of(prefix))
        .map(|(name, _)| name.as_str())
}

/// An id that any office would give: `m-` and the code in lower case.
fn default_id(code: &str) -> String {
    format!("m-{}", code.to_ascii_lowercase())
}

/// The 31 characters of GB 32100 in the order of their values: no I, O, S, V, Z. A letter's value is its place in this list, not its
/// distance from A, which is what widely copied code gets wrong.
const CREDIT_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Whether a unified social credit code (GB 32100) is well formed and its check character right.
pub fn is_credit_code(code: &str) -> bool {
    let bytes = code.as_bytes();
    let value = |byte: &u8| CREDIT_ALPHABET.iter().position(|known| known == byte);
    let Some(values) = bytes.iter().map(value).collect::<Option<Vec<usize>>>() else { return false };
    let [body @ .., check] = values.as_slice() else { return false };
    // Characters 3 to 8 are the district of the registering office.
    if values.len() != 18 || !bytes[2..8].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let (mut sum, mut weight) = (0, 1);
    for value in body {
        sum += value * weight;
        weight = weight * 3 % 31;
    }
    (31 - sum % 31) % 31 == *check
}

/// Section letter of a GB/T 4754-2017 division.
fn section(digits: &str) -> Option<char> {
    const LAST_DIVISIONS: [(u8, char); 20] = [
        (5, 'A'),
        (12, 'B'),
        (43, 'C'),
        (46, 'D'),
        (50, 'E'),
        (52, 'F'),
        (60, 'G'),
        (62, 'H'),
        (65, 'I'),
        (69, 'J'),
        (70, 'K'),
        (72, 'L'),
        (75, 'M'),
        (79, 'N'),
        (82, 'O'),
        (83, 'P'),
        (85, 'Q'),
        (90, 'R'),
        (96, 'S'),
        (97, 'T'),
    ];
    let division: u8 = digits.get(..2)?.parse().ok().filter(|division| *division > 0)?;
    LAST_DIVISIONS.iter().find(|(last, _)| division <= *last).map(|(_, letter)| *letter)
}

fn is_industry_code(text: &str) -> bool {
    let letter = text.chars().next().filter(char::is_ascii_uppercase);
    let digits = &text[letter.map_or(0, char::len_utf8)..];
    let formed = (2..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    formed && section(digits).is_some_and(|section| letter.is_none_or(|letter| letter == section))
}

fn is_district(text: &str) -> bool {
    matches!(text.len(), 6 | 9 | 12) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a text field has to be, and what to tell when it is not.
struct Rule {
    fits: fn(&str) -> bool,
    code: &'static str,
    zh: &'static str,
    en: &'static str,
}

const CODE: Rule = Rule {
    fits: is_credit_code,
    code: "invalid_code",
    zh: "不是有效的统一社会信用代码（18 位，大写，末位为校验码）。",
    en: "Not a unified social credit code: 18 characters in upper case, the last one a check character.",
};
const KIND: Rule = Rule {
    fits: |text| MerchantKind::from_word(text).is_some(),
    code: "unknown_value",
    zh: "须为 enterprise 或 sole_trader。",
    en: "Must be enterprise or sole_trader.",
};
const DISTRICT: Rule = Rule {
    fits: is_district,
    code: "invalid_district",
    zh: "须为 6、9 或 12 位行政区划代码，如 510104。",
    en: "Must be a district code of 6, 9 or 12 digits, such as 510104.",
};
const INDUSTRY: Rule = Rule {
    fits: is_industry_code,
    code: "invalid_industry",
    zh: "须为 GB/T 4754 行业代码，如 6210 或 H6210。",
    en: "Must be an industry code of GB/T 4754, such as 6210 or H6210.",
};

/// Collects faults while fields are read.
#[derive(Default)]
struct Form {
    found: Findings,
}

impl Form {
    fn required<T>(&mut self, pointer: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.found.fault(pointer, "required", "必填。", "This field is required.");
        }
        value
    }

    fn field(&mut self, pointer: String, value: Option<String>, rule: Rule) -> Option<String> {
        let text = self.required(&pointer, value)?;
        if (rule.fits)(&text) {
            return Some(text);
        }
        self.found.fault(pointer, rule.code, rule.zh, rule.en);
        None
    }

    fn id(&mut self, pointer: String, value: Option<String>) -> Option<String> {
        let text = self.required(&pointer, value)?;
        match ids::caller_id(&pointer, &text) {
            Ok(id) => Some(id),
            Err(refusal) => {
                self.found.faults.extend(refusal.errors);
                None
            }
        }
    }

    fn name(&mut self, pointer: String, value: Option<Name>) -> Option<Name> {
        let name = self.required(&pointer, value)?;
        let fits = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME && !text.contains(char::is_control)
        };
        if name.texts().into_iter().all(fits) {
            return Some(name);
        }
        self.found.fault(pointer, "invalid_name", "须为 1 至 100 个字。", "Must be 1 to 100 characters of text.");
        None
    }

    fn stores(&mut self, drafts: Vec<DraftStore>) -> Vec<Store> {
        if drafts.len() > MOST_STORES {
            self.found.fault("/stores", "too_many", "最多 100 家门店。", "A merchant has at most 100 stores.");
            return Vec::new();
        }
        let mut known = HashSet::new();
        let mut stores = Vec::new();
        for (index, draft) in drafts.into_iter().enumerate() {
            let at = format!("/stores/{index}");
            let store_id = self.id(format!("{at}/store_id"), draft.store_id);
            let name = self.name(format!("{at}/name"), draft.name);
            let district = self.field(format!("{at}/district"), draft.district, DISTRICT);
            if store_id.as_ref().is_some_and(|id| !known.insert(id.clone())) {
                self.found.fault(format!("{at}/store_id"), "duplicate", "门店编号重复。", "Another store has this id.");
            }
            if let (Some(store_id), Some(name), Some(district)) = (store_id, name, district) {
                stores.push(Store { store_id, name, district });
            }
        }
        stores
    }
}

fn kind_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MerchantKind, D::Error> {
    let word = String::deserialize(deserializer)?;
    MerchantKind::from_word(&word).ok_or_else(|| serde::de::Error::custom("unknown kind of merchant"))
}

#[cfg(test)]
#[path = "merchant_tests.rs"]
mod tests;
