//! Stored form of a person in a campaign: one small value. `lua/record.lua` says its bytes; the scripts write it, and a redemption, which
//! knows the record that it changes, writes it here.

use rmpv::Value;

use super::StoreError;
use super::script::{Args, raw};
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
    None = 0,
    /// Taken off the list when it closed: an earlier entry had its phone, or the person has won before.
    Struck = 1,
    /// A decided winner who has tapped before the release came to the score: no wave passes over this one.
    Present = 2,
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
    /// [`WITH_THE_CALL`] in a record that is to be written.
    pub until: Ms,
    pub order: Vec<u8>,
}

/// A hold that begins when the script takes it: only the script knows when it ends.
pub const WITH_THE_CALL: Ms = Ms::MIN;

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

impl PersonRecord {
    /// The bytes of the record; between the pieces stand the ends of holds that begin with the call.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let mut out = vec![self.entries.len() as u8, self.packs.len() as u8];
        out.extend_from_slice(&self.tail);
        self.entries.iter().for_each(|entry| entry.write(&mut out));
        self.packs.iter().for_each(|pack| pack.write(&mut out));
        if self.usage.is_empty() && self.holds.is_empty() {
            return vec![out];
        }
        let usage = |list: Args| self.usage.iter().fold(list, |list, usage| list.list(|args| usage.write(args)));
        let head = Args::with_capacity(64).list(usage);
        // The array of two, the uses, and the array of holds, whose ends may be missing.
        rmp::encode::write_array_len(&mut out, 2).expect(INFALLIBLE);
        out.extend_from_slice(&head.bytes);
        rmp::encode::write_array_len(&mut out, self.holds.len() as u32).expect(INFALLIBLE);
        let mut pieces = Vec::with_capacity(2);
        for hold in &self.holds {
            rmp::encode::write_array_len(&mut out, 4).expect(INFALLIBLE);
            out.extend_from_slice(&Args::default().int(hold.pack).int(hold.unit).bytes);
            match hold.until {
                WITH_THE_CALL => pieces.push(std::mem::take(&mut out)),
                until => out.extend_from_slice(&Args::default().int(until).bytes),
            }
            out.extend_from_slice(&Args::default().bytes(&hold.order).bytes);
        }
        pieces.push(out);
        pieces
    }
}

const INFALLIBLE: &str = "writing to memory cannot fail";

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        let digests = self.digests.iter().rposition(|digest| *digest != 0).map_or(0, |last| last + 1);
        let flags = self.mark as u8 + 4 * digests as u8;
        out.extend([self.round, self.channel, self.choice, flags]);
        out.extend_from_slice(&(self.at as u32).to_be_bytes());
        self.digests[..digests].iter().for_each(|digest| out.extend_from_slice(&digest.to_be_bytes()));
    }
}

impl Pack {
    /// Untouched units at the end take no byte.
    fn write(&self, out: &mut Vec<u8>) {
        let units = self.units.iter().rposition(|unit| *unit != 0).map_or(0, |last| last + 1);
        out.extend([self.round, self.channel, self.pack, units as u8]);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&(self.at as u32).to_be_bytes());
        out.extend_from_slice(&self.units[..units]);
    }
}

impl Usage {
    fn write(&self, args: Args) -> Args {
        args.int(self.limit).bytes(&self.entity).int(self.period).int(self.count).int(self.amount)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written_around_the_ends_of_its_new_holds() {
        let entry =
            Entry { round: 1, channel: 2, choice: 255, at: 1_595_584_800, digests: [7, 0, 9], mark: Mark::Struck };
        let pack = Pack { round: 1, channel: 2, pack: 3, number: 70_000, at: 1_595_584_801, units: vec![0, 2, 5] };
        let bare =
            PersonRecord { tail: vec![9; 23], entries: vec![entry], packs: vec![pack], ..PersonRecord::default() };
        let usage = Usage { limit: 1, entity: vec![255; 6], period: 18_467, count: 2, amount: 4_000 };
        let counted = PersonRecord { usage: vec![usage], ..bare.clone() };
        let hold = |unit: u8, until: Ms| Hold { pack: 0, unit, until, order: vec![200; 12] };
        let known = 1_595_584_900_000;
        let held = PersonRecord {
            holds: vec![hold(0, known), hold(1, WITH_THE_CALL), hold(2, WITH_THE_CALL)],
            ..counted.clone()
        };
        for (record, gaps) in
            [(PersonRecord { packs: Vec::new(), ..bare.clone() }, 0), (bare, 0), (counted, 0), (held, 2)]
        {
            let pieces = record.pieces();
            assert_eq!(pieces.len(), gaps + 1);
            let until = 1_595_585_000_123;
            let bytes = pieces.join(&Args::default().int(until).bytes[..]);
            let mut expected = record;
            expected.holds.iter_mut().filter(|hold| hold.until == WITH_THE_CALL).for_each(|hold| hold.until = until);
            assert_eq!(PersonRecord::decode(&bytes), Ok(expected));
        }
    }
}
