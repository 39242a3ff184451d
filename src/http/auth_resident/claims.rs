//! What a token says about a person, or a row of reservations in its place: read, and judged in its form. It is never printed.

use std::collections::BTreeMap;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::LEEWAY_SECONDS;
use crate::domain::contact::Contacts;
use crate::domain::ids::{is_channel, opaque};
use crate::domain::refusal::{Code, FieldError, Refusal};
use crate::domain::typed::typed;
use crate::engine::resident::Identity;

const HEALTH_PASSES: [&str; 4] = ["green", "yellow", "red", "unknown"];

/// What the identity provider vouches for; what is missing is unknown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ResidentClaims {
    pub iss: String,
    pub sub: String,
    #[serde(deserialize_with = "numeric_date")]
    pub exp: i64,
    #[serde(default, skip_serializing)]
    pub(in crate::http) nbf: Option<f64>,
    #[serde(default, skip_serializing)]
    pub(in crate::http) iat: Option<f64>,
    pub channel: String,
    pub document_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_number: Option<String>,
    /// Made by the provider, when it does not tell the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, deserialize_with = "known_attributes", skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Seconds since the epoch; RFC 7519 allows a fraction, and JSON an exponent.
fn numeric_date<'de, D: Deserializer<'de>>(number: D) -> Result<i64, D::Error> {
    Ok(f64::deserialize(number)?.floor() as i64)
}

/// What is null is not known, as if it were absent.
fn known_attributes<'de, D: Deserializer<'de>>(attributes: D) -> Result<BTreeMap<String, String>, D::Error> {
    let attributes = Option::<Attributes>::deserialize(attributes)?.unwrap_or_default();
    Ok(attributes.0.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// What the reader says of it; the name stays unsaid.
pub(super) const ATTRIBUTE_TWICE: &str = "an attribute is given twice";

/// Attributes of which each stands once. Serde refuses a claim that stands twice, and of an attribute it would keep the last.
#[derive(Default)]
struct Attributes(BTreeMap<String, Option<String>>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(attributes: D) -> Result<Attributes, D::Error> {
        attributes.deserialize_map(Attributes::default())
    }
}

impl<'de> Visitor<'de> for Attributes {
    type Value = Attributes;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Attributes, A::Error> {
        while let Some((name, value)) = entries.next_entry()? {
            if self.0.insert(name, value).is_some() {
                return Err(A::Error::custom(ATTRIBUTE_TWICE));
            }
        }
        Ok(self)
    }
}

impl std::fmt::Debug for ResidentClaims {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ResidentClaims")
            .field("channel", &self.channel)
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

impl ResidentClaims {
    /// The form in which the engine takes an identity.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            document_type: &self.document_type,
            document_number: self.document_number.as_deref(),
            person_digest: self.person_digest.as_deref(),
            channel: &self.channel,
            health_pass: self.health_pass.as_deref(),
            birth_date: self.birth_date.as_deref(),
            residence: self.residence.as_deref(),
            attributes: self.attributes.clone(),
            contacts: Contacts {
                phone: self.phone.clone(),
                device: self.device.clone(),
                account: Some(self.sub.clone()),
            },
        }
    }

    /// One person is one caller, whatever the token and however the number is written.
    pub(super) fn caller(&self) -> (&str, String, bool) {
        let text = self.document_number.as_deref().or(self.person_digest.as_deref()).unwrap_or_default();
        (&self.document_type, typed(text), self.person_digest.is_some())
    }

    /// Refuses a token that is not valid yet, or was made later than now.
    pub(super) fn judge_beginning(&self, now: f64) -> Result<(), Refusal> {
        let later = [("nbf", self.nbf), ("iat", self.iat)]
            .into_iter()
            .find(|(_, begins)| begins.is_some_and(|begins| begins > now + LEEWAY_SECONDS));
        later.map_or(Ok(()), |(claim, _)| {
            Err(Refusal::new(Code::TokenInvalid)
                .detail(format!("{claim} 晚于现在。"), format!("{claim} is in the future.")))
        })
    }

    /// What is wrong with the form of what is vouched for, apart from the document itself.
    pub(in crate::http) fn faults(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut fault = |is_wrong: bool, name: &str, code: &'static str, zh: &str, en: &str| {
            if is_wrong {
                found.push(FieldError { pointer: format!("/{name}"), code, zh: zh.to_owned(), en: en.to_owned() });
            }
        };
        let named = [&self.document_number, &self.person_digest].into_iter().flatten();
        let (zh, en) = (
            "须且只须有 document_number 与 person_digest 之一。",
            "Exactly one of document_number and person_digest is needed.",
        );
        fault(named.clone().count() != 1, "document_number", "exactly_one_of", zh, en);
        let too_long = named.chain([&self.document_type]).any(|text| text.len() > 128);
        let en = "document_type and the document have at most 128 bytes.";
        fault(too_long, "document_number", "too_long", "document_type 与证件至多 128 字节。", en);
        let en = "channel has 1 to 40 of letters, digits, _ . and -.";
        fault(!is_channel(&self.channel), "channel", "invalid_id", "channel 须为 1 至 40 个字母、数字或 _ . -。", en);
        let no_date = self.birth_date.as_deref().is_some_and(|date| date.parse::<jiff::civil::Date>().is_err());
        let en = "birth_date must be a date such as 1990-01-31.";
        fault(no_date, "birth_date", "bad_date", "birth_date 须为日期，如 1990-01-31。", en);
        let no_colour = self.health_pass.as_deref().is_some_and(|text| !HEALTH_PASSES.contains(&text));
        let en = "health_pass must be green, yellow, red or unknown.";
        fault(no_colour, "health_pass", "unknown_value", "health_pass 须为 green、yellow、red 或 unknown。", en);
        found
    }

    /// The faults of a token in one text, for a token has no place that a pointer could show.
    pub(super) fn judge(&self) -> Result<(), Refusal> {
        let (mut zh, mut en): (Vec<String>, Vec<String>) =
            self.faults().into_iter().map(|fault| (fault.zh, fault.en)).unzip();
        if opaque(&self.sub).is_none() {
            zh.push("sub 须为 1 至 128 个可见的 ASCII 字符。".to_owned());
            en.push("sub has 1 to 128 visible ASCII characters.".to_owned());
        }
        let refusal = || Refusal::new(Code::TokenInvalid).detail(zh.concat(), en.join(" "));
        if en.is_empty() { Ok(()) } else { Err(refusal()) }
    }
}
