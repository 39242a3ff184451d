//! A resident as the engine knows one: a root pseudonym, a channel and what is vouched for; the document number ends here.

pub mod account;

use jiff::civil::Date;

use crate::domain::contact::Contacts;
use crate::domain::document::Naming;
use crate::domain::eligibility::{Facts, HealthCode};
use crate::domain::person::{Pseudonym, Root};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::config::view::CampaignView;
use crate::store::keys::{self, Slot};

/// What an identity provider's token says, borrowed from it.
#[derive(Default)]
pub struct Identity<'a> {
    pub document_type: &'a str,
    pub document_number: Option<&'a str>,
    /// A digest made by the provider, when it does not tell the number.
    pub person_digest: Option<&'a str>,
    pub channel: &'a str,
    pub health_pass: Option<&'a str>,
    pub birth_date: Option<&'a str>,
    pub residence: Option<&'a str>,
    pub attributes: std::collections::BTreeMap<String, String>,
    pub contacts: Contacts,
}

/// A resident over all campaigns.
#[derive(Clone)]
pub struct Resident {
    pub root: Root,
    pub shard: u8,
    pub channel: String,
    pub facts: Facts,
    /// What is vouched for of phone, device and account.
    pub contacts: Contacts,
}

/// A resident in one campaign: where the record lies.
#[derive(Clone, Debug)]
pub struct Person {
    pub campaign: u16,
    pub shard: u8,
    pub pseudonym: Pseudonym,
    /// Key of the bucket that holds the record, under the field of the pseudonym.
    pub bucket_key: String,
}

impl Person {
    pub fn new(view: &CampaignView, shard: u8, pseudonym: Pseudonym) -> Person {
        let bucket_key = keys::person_bucket(shard, view.number, pseudonym.bucket(view.record.buckets));
        Person { campaign: view.number, shard, pseudonym, bucket_key }
    }

    pub fn slot(&self) -> Slot {
        Slot::Shard(self.shard)
    }
}

impl Engine {
    /// Makes the pseudonym; a wrong document number is refused without being repeated anywhere.
    pub fn resident(&self, identity: &Identity) -> Result<Resident, Refusal> {
        let Identity { document_type, document_number: number, person_digest: digest, .. } = *identity;
        let naming = Naming { document_type, number, digest };
        let (root, born) = naming.person(&self.keys.identity, self.today()).map_err(|fault| {
            Refusal::new(Code::DocumentInvalid).field(format!("/{}", fault.field), fault.code, fault.zh, fault.en)
        })?;
        let birth_date = identity.birth_date.and_then(|text| text.parse::<Date>().ok()).or(born);
        let residence = identity.residence.map(str::to_owned);
        let health_code = match identity.health_pass {
            Some("green") => HealthCode::Green,
            Some("yellow") => HealthCode::Yellow,
            Some("red") => HealthCode::Red,
            _ => HealthCode::Unknown,
        };
        let document_type = identity.document_type.to_owned();
        let facts =
            Facts { document_type, birth_date, residence, health_code, attributes: identity.attributes.clone() };
        let contacts = identity.contacts.clone();
        Ok(Resident { shard: self.shard_of(&root), root, channel: identity.channel.to_owned(), facts, contacts })
    }

    pub fn person(&self, view: &CampaignView, resident: &Resident) -> Person {
        Person::new(view, resident.shard, resident.root.in_campaign(&view.pseudonym_key))
    }

    /// The day of the campaign clock in UTC+8, where every city is; used for dates of birth only.
    pub(super) fn today(&self) -> Date {
        let seconds = (self.now() + 8 * crate::domain::time::HOUR).div_euclid(1000);
        jiff::Timestamp::from_second(seconds).map(|t| t.to_zoned(jiff::tz::TimeZone::UTC).date()).unwrap_or(Date::MAX)
    }
}
