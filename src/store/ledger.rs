//! The ledger as it is stored: its lines, and the one reader through which anything reads them.
//!
//! A shard's stream entry has the id `<first seq>-0` and the fields `t` (ms) and `l` (msgpack array of lines). Persons who did the same
//! one after another stand in one run, which is read as a line for each: `p` for packs, `q` for packs with their seconds, `r` for reservations. The stream is gapless
//! if and only if every id is the one before plus the number of its lines; what is missing comes out of the reader as data, because
//! an audit has to go on behind a gap and say what it means.

mod place;
mod run;

use redis::Value;
use serde::de::{Deserializer, Error as _, SeqAccess};
use serde::ser::{SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};

use run::Stored;

use super::keys::Slot;
use super::{Store, StoreError};
use crate::domain::time::Ms;

/// Stream entries per call: long enough to hide the round trip, short enough not to hold up the store.
const PAGE: usize = 1000;

/// Bytes of fixed length, stored as a msgpack string of any content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes<const N: usize>(pub [u8; N]);

/// First nine bytes of the campaign pseudonym: the field of the person's record.
pub type PersonField = Bytes<9>;
/// First twelve bytes of SHA-256(merchant ‖ 0x00 ‖ order): the field of the order's record.
pub type OrderKey = Bytes<12>;

/// Where money goes that was held or redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    Outstanding,
    Recovered,
    Expired,
    /// Recovered after the voucher's end: no refund can give it back to a person any more.
    Late,
}

/// Declares the lines once: an array of the kind's letter and the fields in this order is what the scripts write. The fields behind
/// a semicolon are left out when none of them says anything, and read as empty where they are not.
macro_rules! lines {
    ($($(#[$doc:meta])* $name:ident $kind:literal { $($field:ident: $type:ty),* $(; $($more:ident: $kept:ty),*)? })*) => {
        /// One balanced posting or event. Amounts are fen; `choice` is 255 when nothing was chosen.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Line {
            $($(#[$doc])* $name { $($field: $type,)* $($($more: $kept),*)? }),*
        }

        impl Line {
            /// The letter by which the line is stored.
            pub fn kind(&self) -> &'static str {
                match self { $(Line::$name { .. } => $kind),* }
            }
        }

        impl Serialize for Line {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Line::$name { $($field,)* $($($more),*)? } => {
                        let says = false $($(|| *$more != <$kept>::default())*)?;
                        let more: &[&str] = &[$($(stringify!($more)),*)?];
                        let fields = [$(stringify!($field)),*].len() + if says { more.len() } else { 0 };
                        let mut tuple = serializer.serialize_tuple(1 + fields)?;
                        tuple.serialize_element($kind)?;
                        $(tuple.serialize_element($field)?;)*
                        $(if says { $(tuple.serialize_element($more)?;)* })?
                        tuple.end()
                    })*
                }
            }
        }

        /// The line of a kind whose letter was read.
        fn line_of<'de, A: SeqAccess<'de>>(kind: &str, seq: &mut A) -> Result<Line, A::Error> {
            match kind {
                $($kind => Ok(Line::$name {
                    $($field: next(seq, stringify!($field))?,)*
                    $($($more: seq.next_element()?.unwrap_or_default()),*)?
                }),)*
                _ => Err(A::Error::custom(format!("unknown kind of line {kind}"))),
            }
        }
    };
}

lines! {
    /// A person is on a round's list.
    Reserved "R" { c: u16, f: PersonField, round: u8, channel: u8, choice: u8 }
    Withdrawn "W" { c: u16, f: PersonField, round: u8, channel: u8 }
    Changed "C" { c: u16, f: PersonField, round: u8, channel: u8, choice: u8 }
    /// A pack is credited: unissued -> outstanding, by the expiry of each unit. `received` is the second from which it counts as received,
    /// 0 where that is the entry's own.
    Credited "P" { c: u16, f: PersonField, round: u8, channel: u8, pack: u8, no: u32; received: u32 }
    /// Unit `u` of the person's `p`-th pack: outstanding -> held.
    Held "H" { c: u16, f: PersonField, p: u8, u: u8, discount: i64, ok: OrderKey }
    /// held -> redeemed.
    Confirmed "K" { c: u16, f: PersonField, p: u8, u: u8, discount: i64, merchant_id: String, order_id: String,
        attempt: u32, store: String, terminal: String, amount: i64, category: String; receipt_no: String }
    /// outstanding -> redeemed, in one call or by a late confirm.
    Redeemed "D" { c: u16, f: PersonField, p: u8, u: u8, discount: i64, merchant_id: String, order_id: String,
        attempt: u32, store: String, terminal: String, amount: i64, category: String; receipt_no: String }
    /// held -> `to`; why = cancel, expire or reverse; of a hold that ran out, when it did.
    Released "X" { c: u16, f: PersonField, p: u8, u: u8, discount: i64, ok: OrderKey, to: To, why: String; ran_out: i64 }
    /// redeemed -> `to`.
    Reversed "V" { c: u16, f: PersonField, p: u8, u: u8, discount: i64, merchant_id: String, order_id: String,
        attempt: u32, store: String, terminal: String, amount: i64, to: To; receipt_no: String }
    /// The issuer's share of a refund leaves redeemed; to outstanding = the voucher is given back whole.
    Refunded "F" { c: u16, f: PersonField, p: u8, u: u8, share: i64, discount: i64, merchant_id: String, order_id: String,
        refund_id: String, store: String, terminal: String, amount: i64, to: To; attempt: u32, receipt_no: String }
    /// What was left of a cell's vouchers at an hour: outstanding -> expired.
    Expired "E" { c: u16, round: u8, channel: u8, pack: u8, hour: i64, amount: i64 }
    /// What a cell's vouchers left behind: `from` (expired, recovered or late) -> pool.
    Carried "M" { c: u16, round: u8, channel: u8, pack: u8, from: To, amount: i64 }
}

impl Line {
    /// Whose voucher it moves: campaign and field of the person.
    pub fn moves_voucher_of(&self) -> Option<(u16, PersonField)> {
        match self {
            Line::Held { c, f, .. }
            | Line::Confirmed { c, f, .. }
            | Line::Redeemed { c, f, .. }
            | Line::Released { c, f, .. }
            | Line::Reversed { c, f, .. }
            | Line::Refunded { c, f, .. } => Some((*c, *f)),
            _ => None,
        }
    }
}

/// One line with its place in the shard's order.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    pub seq: u64,
    /// First seq of the stream entry: lines of one entry took effect together.
    pub first_seq: u64,
    pub at: Ms,
    pub line: Line,
}

/// What the reader finds, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Entry(LedgerEntry),
    Gap(Gap),
}

/// Entry `after` is followed by `before`, and `missing` lines should lie between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Last seq before the gap, 0 when the stream begins with it.
    pub after: u64,
    pub before: u64,
    /// Negative when entries overlap: lines are counted twice.
    pub missing: i64,
    /// Why an entry inside the gap could not be read, if one is there.
    pub unreadable: Option<String>,
}

/// Reads one shard's ledger from a seq on, page by page; kept between calls it continues where it stopped.
pub struct LedgerReader {
    connection: deadpool_redis::Connection,
    key: String,
    /// Lowest id not looked at yet.
    from: u64,
    sequence: Sequence,
}

/// Whether what comes is what should come next.
#[derive(Debug)]
struct Sequence {
    /// The seq the next stream entry should have.
    next: u64,
    unreadable: Option<String>,
}

impl LedgerReader {
    /// From the first line of a shard's ledger, over one of the few connections that are for that.
    pub async fn open(store: &Store, shard: u8) -> Result<LedgerReader, StoreError> {
        Ok(LedgerReader::over(store.books().await?, shard))
    }

    /// The same for what residents read, which never takes a connection from statements.
    pub async fn for_a_person(store: &Store, shard: u8) -> Result<LedgerReader, StoreError> {
        Ok(LedgerReader::over(store.persons().await?, shard))
    }

    fn over(connection: deadpool_redis::Connection, shard: u8) -> LedgerReader {
        LedgerReader { connection, key: Slot::Shard(shard).ledger(), from: 0, sequence: Sequence::new() }
    }

    /// The seq after the last line that was read.
    pub fn next_seq(&self) -> u64 {
        self.sequence.next
    }

    /// The next page up to and including the stream entry `last_id`; empty when there is nothing more up to there.
    pub async fn page(&mut self, last_id: u64) -> Result<Vec<Item>, StoreError> {
        if self.from > last_id {
            return Ok(Vec::new());
        }
        let from = format!("{}-0", self.from);
        let to = if last_id == u64::MAX { "+".to_owned() } else { format!("{last_id}-{}", u64::MAX) };
        let reply: Value = redis::cmd("XRANGE")
            .arg(&self.key)
            .arg(from)
            .arg(to)
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut self.connection)
            .await
            .map_err(|error| StoreError::from_client(&error))?;
        let Value::Array(entries) = reply else { return Ok(Vec::new()) };
        let mut items = Vec::new();
        for entry in &entries {
            let (first_seq, fields) = entry_parts(entry)?;
            self.from = first_seq.saturating_add(1);
            self.sequence.accept(first_seq, decode_fields(fields), &mut items);
        }
        // A page of nothing but unreadable entries must not look like the end.
        if items.is_empty() && entries.len() == PAGE {
            return Box::pin(self.page(last_id)).await;
        }
        Ok(items)
    }

    /// Everything up to `last_id` (`u64::MAX` = to the end), item by item.
    pub async fn each(&mut self, last_id: u64, mut each: impl FnMut(Item)) -> Result<(), StoreError> {
        loop {
            let items = self.page(last_id).await?;
            if items.is_empty() {
                return Ok(());
            }
            items.into_iter().for_each(&mut each);
        }
    }

    /// The gap between what was read and a header that has counted up to `seq`, if there is one; reading goes on behind it.
    pub fn gap_at_end(&mut self, seq: u64) -> Option<Gap> {
        self.sequence.gap_at_end(seq)
    }
}

impl Sequence {
    fn new() -> Sequence {
        Sequence { next: 1, unreadable: None }
    }

    fn gap_at_end(&mut self, seq: u64) -> Option<Gap> {
        let unreadable = self.unreadable.take();
        let missing = (seq + 1).saturating_sub(self.next);
        let gap = Gap { after: self.next - 1, before: seq + 1, missing: missing as i64, unreadable };
        self.next += missing;
        (missing > 0 || gap.unreadable.is_some()).then_some(gap)
    }

    fn accept(&mut self, first_seq: u64, decoded: Result<(Ms, Vec<Line>), String>, items: &mut Vec<Item>) {
        let (at, lines) = match decoded {
            Ok(decoded) => decoded,
            // Its lines count as missing; the gap is told when the next readable entry shows how many they were.
            Err(reason) => {
                self.unreadable = Some(format!("entry {first_seq}-0: {reason}"));
                return;
            }
        };
        if first_seq != self.next {
            let missing = first_seq.wrapping_sub(self.next) as i64;
            let unreadable = self.unreadable.take();
            items.push(Item::Gap(Gap { after: self.next - 1, before: first_seq, missing, unreadable }));
        }
        self.next = first_seq + lines.len() as u64;
        let entry = |(seq, line)| Item::Entry(LedgerEntry { seq, first_seq, at, line });
        items.extend((first_seq..).zip(lines).map(entry));
    }
}

/// Time and lines of a stream entry, from its fields as the store answers them (names and values in turn).
fn decode_fields(fields: &[Value]) -> Result<(Ms, Vec<Line>), String> {
    let field = |name: &[u8]| {
        fields
            .chunks_exact(2)
            .find(|pair| bytes(&pair[0]) == name)
            .map(|pair| bytes(&pair[1]))
            .ok_or("a field is missing")
    };
    let at = std::str::from_utf8(field(b"t")?).ok().and_then(|text| text.parse().ok()).ok_or("t is not a time")?;
    Ok((at, decode_lines(field(b"l")?)?))
}

/// The lines of one stream entry.
pub fn decode_lines(packed: &[u8]) -> Result<Vec<Line>, String> {
    let stored: Vec<Stored> = rmp_serde::from_slice(packed).map_err(|error| error.to_string())?;
    Ok(stored.into_iter().flat_map(|one| one.0).collect())
}

/// The stored form of one line.
pub fn encode_line(line: &Line) -> Vec<u8> {
    rmp_serde::to_vec(line).expect("a line holds nothing that msgpack cannot say")
}

/// The stored form of lines, as the scripts write it where nothing is joined.
pub fn encode_lines(lines: &[Line]) -> Vec<u8> {
    rmp_serde::to_vec(lines).expect("lines hold nothing that msgpack cannot say")
}

/// Id and fields of an XRANGE row.
fn entry_parts(entry: &Value) -> Result<(u64, &[Value]), StoreError> {
    let malformed = || StoreError::Broken("a stream entry is malformed".into());
    let Value::Array(parts) = entry else { return Err(malformed()) };
    let [id, Value::Array(fields)] = parts.as_slice() else { return Err(malformed()) };
    Ok((seq_of_id(bytes(id)).ok_or_else(malformed)?, fields))
}

/// The first seq named by a stream id.
pub fn seq_of_id(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id).ok()?.split('-').next()?.parse().ok()
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.as_bytes(),
        _ => &[],
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A, name: &'static str) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::custom(format!("{name} is missing")))
}

impl<const N: usize> Serialize for Bytes<N> {
    /// As msgpack `bin`; the scripts write the older raw string, and the reader takes both.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes<N>, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        let length = bytes.len();
        bytes.into_vec().try_into().map(Bytes).map_err(|_| D::Error::custom(format!("{length} bytes instead of {N}")))
    }
}

impl<const N: usize> std::fmt::Debug for Bytes<N> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> std::fmt::Display for Bytes<N> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
