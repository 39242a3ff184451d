//! Stored form of a person in a campaign: one small value, written by the scripts (`lua/record.lua` says its bytes), read here.

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
    pub fn decode(bytes: &[u8]) -> Result<PersonRecord, StoreError> {
        PersonRecord::read(bytes).ok_or_else(|| StoreError::Broken("person record".into()))
    }

    fn read(bytes: &[u8]) -> Option<PersonRecord> {
        let (counts, rest) = bytes.split_at_checked(2)?;
        let (tail, mut rest) = rest.split_at_checked(TAIL)?;
        let entries = (0..counts[0]).map(|_| entry(&mut rest)).collect::<Option<_>>()?;
        let packs = (0..counts[1]).map(|_| pack(&mut rest)).collect::<Option<_>>()?;
        let mut record = PersonRecord { tail: tail.to_vec(), entries, packs, usage: Vec::new(), holds: Vec::new() };
        if !rest.is_empty() {
            let more = rmpv::decode::read_value(&mut rest).ok()?;
            let list = |index: usize| more.as_array().and_then(|parts| parts.get(index)?.as_array());
            record.usage = list(0)?.iter().map(usage).collect();
            record.holds = list(1)?.iter().map(hold).collect();
        }
        Some(record)
    }
}

/// Bytes of the pseudonym behind the nine of the field.
const TAIL: usize = 23;

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    let [round, channel, choice, flags] = take(rest)?;
    let at = i64::from(u32::from_be_bytes(take(rest)?));
    let mut digests = [0; 3];
    for index in 0..flags / 4 {
        *digests.get_mut(usize::from(index))? = u64::from_be_bytes(take(rest)?);
    }
    let mark = match flags % 4 {
        1 => Mark::Struck,
        2 => Mark::Present,
        _ => Mark::None,
    };
    Some(Entry { round, channel, choice, at, digests, mark })
}

fn pack(rest: &mut &[u8]) -> Option<Pack> {
    let [round, channel, pack, units] = take(rest)?;
    let number = u32::from_be_bytes(take(rest)?);
    let at = i64::from(u32::from_be_bytes(take(rest)?));
    let (units, behind) = rest.split_at_checked(usize::from(units))?;
    *rest = behind;
    Some(Pack { round, channel, pack, number, at, units: units.to_vec() })
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
