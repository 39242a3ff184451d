//! Stored form of a person in a campaign: one small msgpack value, written by the scripts, read here.

use rmpv::Value;

use super::StoreError;
use super::script::raw;
use crate::domain::time::Ms;
use crate::domain::voucher::{UnitByte, UnitState};

/// Reservation, packs, use and holds of one person in one campaign.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonRecord {
    /// Bytes 9 to 31 of the campaign pseudonym; the field holds the first nine.
    pub tail: Vec<u8>,
    pub entries: Vec<Entry>,
    pub packs: Vec<Pack>,
    pub usage: Vec<Usage>,
    pub holds: Vec<Hold>,
}

/// A place on a round's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub round: u8,
    pub channel: u8,
    /// Position of the chosen pack, 255 when nothing was to choose.
    pub choice: u8,
    /// Whole seconds since the epoch.
    pub at: i64,
    /// Eight bytes for each identity key of the reservation but the person, in the order of the file; 0 = not known.
    pub digests: [u64; 3],
    pub mark: Mark,
}

/// What became of an entry after it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    #[default]
    None,
    /// Taken off the list when it closed: an earlier entry had its phone, or the person has won before.
    Struck,
    /// A decided winner who has tapped before the release came to the score: no wave passes over this one.
    Present,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
    pub number: u32,
    /// Whole seconds since the epoch.
    pub at: i64,
    /// One byte per unit; units beyond the end are untouched.
    pub units: Vec<u8>,
}

impl Pack {
    /// The state of one unit; what was never touched is available.
    pub fn unit(&self, unit: u8) -> UnitState {
        UnitByte::of(&self.units, unit).state()
    }
}

/// How much of a limit a person has used in its current period.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    pub limit: u8,
    pub entity: Vec<u8>,
    pub period: i64,
    pub count: i64,
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub pack: u8,
    pub unit: u8,
    pub until: Ms,
    pub order: Vec<u8>,
}

impl PersonRecord {
    pub fn decode(mut bytes: &[u8]) -> Result<PersonRecord, StoreError> {
        let broken = || StoreError::Broken("person record".into());
        let value = rmpv::decode::read_value(&mut bytes).map_err(|_| broken())?;
        let parts = value.as_array().ok_or_else(broken)?;
        let list = |index: usize| parts.get(index).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(PersonRecord {
            tail: parts.first().map(raw).ok_or_else(broken)?.to_vec(),
            entries: list(1).iter().map(entry).collect(),
            packs: list(2).iter().map(pack).collect(),
            usage: list(3).iter().map(usage).collect(),
            holds: list(4).iter().map(hold).collect(),
        })
    }
}

fn at(value: &Value, index: usize) -> i64 {
    match value.as_array().and_then(|items| items.get(index)) {
        Some(Value::F64(n)) => *n as i64,
        Some(n) => n.as_i64().unwrap_or_default(),
        None => 0,
    }
}

fn bytes_at(value: &Value, index: usize) -> Vec<u8> {
    value.as_array().and_then(|items| items.get(index)).map(raw).unwrap_or_default().to_vec()
}

fn entry(value: &Value) -> Entry {
    let mut digests = [0; 3];
    for (digest, bytes) in digests.iter_mut().zip(bytes_at(value, 4).chunks_exact(8)) {
        *digest = bytes.iter().fold(0, |digest, byte| digest << 8 | u64::from(*byte));
    }
    let mark = match at(value, 5) {
        1 => Mark::Struck,
        2 => Mark::Present,
        _ => Mark::None,
    };
    let (round, channel, choice) = (at(value, 0) as u8, at(value, 1) as u8, at(value, 2) as u8);
    Entry { round, channel, choice, at: at(value, 3), digests, mark }
}

fn pack(value: &Value) -> Pack {
    Pack {
        round: at(value, 0) as u8,
        channel: at(value, 1) as u8,
        pack: at(value, 2) as u8,
        number: at(value, 3) as u32,
        at: at(value, 4),
        units: bytes_at(value, 5),
    }
}

fn usage(value: &Value) -> Usage {
    Usage {
        limit: at(value, 0) as u8,
        entity: bytes_at(value, 1),
        period: at(value, 2),
        count: at(value, 3),
        amount: at(value, 4),
    }
}

fn hold(value: &Value) -> Hold {
    Hold { pack: at(value, 0) as u8, unit: at(value, 1) as u8, until: at(value, 2), order: bytes_at(value, 3) }
}
