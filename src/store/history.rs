//! Where in a shard's ledger the calls stand that moved a person's vouchers: an index that `order_change` writes with each of them, so that
//! whoever asks what happened to one person reads as much as happened to that person.
//!
//! A value is u16 how many full ones there are, then five bytes for the id of each ledger entry, in order; it stands under the nine
//! bytes of the person's field. A full one stands under these and its number as u16, without the number in front. So a value is never
//! longer than a listpack takes.

use super::keys::{self, Slot};
use super::ledger::Bytes;
use super::script::{self, Member, bytes};
use super::{Store, StoreError};
use crate::domain::voucher::PersonField;

/// Bytes of the id of one entry.
const PLACE: usize = 5;

/// A person's record in a campaign: what its history stands beside.
pub struct Whose {
    pub campaign: u16,
    pub bucket: u32,
    pub field: PersonField,
}

/// What is known of the calls of a person.
pub struct Places {
    /// Nothing is known of what lies before this seq; `u64::MAX` where the index has not begun.
    pub begin: u64,
    /// Ids of entries, from there on, in order.
    pub known: Vec<u64>,
}

impl Store {
    /// Begins the index of every shard that has none: with the first line where no voucher has been used, else behind the last.
    pub async fn begin_histories(&self) -> Result<(), StoreError> {
        for shard in 0..self.shards() {
            let slot = Slot::Shard(shard);
            if self.header_numbers(&slot, &[keys::HISTORY_BEGIN.to_owned()]).await? != [0] {
                continue;
            }
            let header = self.header(&slot).await?;
            let used = header.iter().any(|(name, _)| name.ends_with(":held") || name.ends_with(":red"));
            let seq = header.iter().find(|(name, _)| name == "seq").and_then(|(_, seq)| seq.parse::<u64>().ok());
            let begin = if used { seq.unwrap_or_default() + 1 } else { 1 };
            let args = vec![bytes(keys::HISTORY_BEGIN.as_bytes()), bytes(begin.to_string().as_bytes())];
            let member = Member::new(Vec::new(), args).going_on(true);
            self.call(&script::HEADER_PUT, &slot, member).await?;
        }
        Ok(())
    }

    /// Where the calls of a person stand, over all campaigns.
    pub async fn places(&self, shard: u8, person: &[Whose]) -> Result<Places, StoreError> {
        let key = |whose: &Whose| keys::history_bucket(shard, whose.campaign, whose.bucket);
        let mut fields = vec![(Slot::Shard(shard).header(), keys::HISTORY_BEGIN.as_bytes().to_vec())];
        fields.extend(person.iter().map(|whose| (key(whose), whose.field.to_vec())));
        let (_, mut values) = self.read_together(shard, &fields).await?;
        let begin = values.remove(0);
        let begin = std::str::from_utf8(&begin).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        let (mut known, mut full) = (Vec::new(), Vec::new());
        for (whose, value) in person.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            let (before, latest) = latest(&value).ok_or_else(broken)?;
            known.extend(latest);
            full.extend((0..before).map(|number| (key(whose), [&whose.field[..], &number.to_be_bytes()].concat())));
        }
        if !full.is_empty() {
            for value in self.read_together(shard, &full).await?.1 {
                known.extend(ids(&value).ok_or_else(broken)?);
            }
        }
        known.retain(|id| *id >= begin);
        known.sort_unstable();
        known.dedup();
        Ok(Places { begin, known })
    }
}

/// The person and the ids that a field of a history's bucket names; `None` when it cannot be read.
pub fn of_field(field: &[u8], value: &[u8]) -> Option<(Bytes<9>, Vec<u64>)> {
    let (person, number) = field.split_first_chunk::<9>()?;
    let ids = match number.len() {
        0 => latest(value)?.1,
        2 => ids(value)?,
        _ => return None,
    };
    Some((Bytes(*person), ids))
}

/// How many full values there are, and the ids behind them.
fn latest(value: &[u8]) -> Option<(u16, Vec<u64>)> {
    let (before, places) = value.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*before), ids(places)?))
}

fn ids(places: &[u8]) -> Option<Vec<u64>> {
    let (places, []) = places.as_chunks::<PLACE>() else { return None };
    Some(places.iter().map(|place| place.iter().fold(0, |id, byte| id << 8 | u64::from(*byte))).collect())
}

fn broken() -> StoreError {
    StoreError::Broken("a person's history".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_the_script_writes_it() {
        let place = [0, 0, 0, 1, 2];
        let (person, full) = ([7; 9], [&[7; 9][..], &[0, 3]].concat());
        assert_eq!(of_field(&person, &[&[0, 1][..], &place, &place].concat()), Some((Bytes(person), vec![258, 258])));
        assert_eq!(of_field(&full, &place), Some((Bytes(person), vec![258])));
        assert_eq!(of_field(&person, &[0, 0]), Some((Bytes(person), vec![])));
        assert_eq!((of_field(&person, &[0]), of_field(&full, &[0; 4]), of_field(&[7; 8], &place)), (None, None, None));
    }
}
