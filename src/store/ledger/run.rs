//! What one element of a stream entry holds: a line, or the run of persons who did the same one after another.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::{Bytes, Line, PersonField, line_of, next};

/// An element of a stream entry: a line, or a run of them.
pub(super) struct Stored(pub(super) Vec<Line>);

struct StoredVisitor;

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stored, D::Error> {
        deserializer.deserialize_seq(StoredVisitor)
    }
}

impl<'de> Visitor<'de> for StoredVisitor {
    type Value = Stored;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a ledger line")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Stored, A::Error> {
        let kind: String = next(&mut seq, "kind")?;
        Ok(Stored(match kind.as_str() {
            "p" => credits(&mut seq, |seq| Ok(persons(seq)?.into_iter().map(|person| (person, 0)).collect()))?,
            "q" => credits(&mut seq, dated_persons)?,
            "r" => reservations(&mut seq)?,
            kind => vec![line_of(kind, &mut seq)?],
        }))
    }
}

/// Packs of one kind, numbered on from the first in steps of the number of shards.
fn credits<'de, A: SeqAccess<'de>>(
    seq: &mut A,
    persons: impl FnOnce(&mut A) -> Result<Vec<(PersonField, u32)>, A::Error>,
) -> Result<Vec<Line>, A::Error> {
    let c = next(seq, "c")?;
    let (round, channel, pack) = (next(seq, "round")?, next(seq, "channel")?, next(seq, "pack")?);
    let step: u32 = next(seq, "step")?;
    let persons = persons(seq)?;
    let first: u32 = next(seq, "first")?;
    let numbers = (0..).map(|index| first + index * step);
    let line = |((f, received), no)| Line::Credited { c, f, round, channel, pack, no, received };
    Ok(persons.into_iter().zip(numbers).map(line).collect())
}

fn reservations<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Vec<Line>, A::Error> {
    let (c, round) = (next(seq, "c")?, next(seq, "round")?);
    let (channel, choice) = (next(seq, "channel")?, next(seq, "choice")?);
    Ok(persons(seq)?.into_iter().map(|f| Line::Reserved { c, f, round, channel, choice }).collect())
}

fn persons<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Vec<PersonField>, A::Error> {
    let joined: serde_bytes::ByteBuf = next(seq, "persons")?;
    let (fields, []) = joined.as_chunks::<9>() else { return Err(A::Error::custom("persons are not nine bytes each")) };
    Ok(fields.iter().map(|field| Bytes(*field)).collect())
}

/// Persons with the second from which each has received.
fn dated_persons<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Vec<(PersonField, u32)>, A::Error> {
    let joined: serde_bytes::ByteBuf = next(seq, "persons")?;
    let (dated, []) = joined.as_chunks::<13>() else {
        return Err(A::Error::custom("dated persons are not thirteen bytes each"));
    };
    let one = |[a, b, c, d, e, f, g, h, i, second @ ..]: &[u8; 13]| {
        (Bytes([*a, *b, *c, *d, *e, *f, *g, *h, *i]), u32::from_be_bytes(*second))
    };
    Ok(dated.iter().map(one).collect())
}
