//! What `order_change` is told: what was read of an order and its payer, what becomes of it, where the money goes, and the ledger lines that
//! say so.

use std::sync::Arc;

use super::ledger::{Line, encode_line};
use super::order::{counts_from, pieces};
use super::orders::PayCodeRecord;
use super::record::PersonRecord;
use super::script::{Args, Member, Reply, Shared};
use super::{Store, StoreError, keys, script};
use crate::domain::money::Fen;
use crate::domain::order::{LATE_CONFIRM, Order, OrderKey, OrderUnit};
use crate::domain::paycode::PayCode;
use crate::domain::time::{Ms, expiry_hour};
use crate::domain::voucher::PersonField;

/// A change of an order that was judged on what was read. It takes effect whole, in [`Change::from`] to [`Change::until`], and only if
/// all that it changes is still as it was read.
pub struct Change {
    shard: u8,
    pub from: Ms,
    pub until: Ms,
    counts_from: Ms,
    hold_seconds: i64,
    fields: Vec<Field>,
    least: Vec<(String, Fen)>,
    lines: Vec<Line>,
    money: Vec<Arc<Shared>>,
    views: Vec<(u16, u64)>,
    goes_on: bool,
}

/// A field of a hash.
struct Field {
    key: String,
    name: Vec<u8>,
    /// As it was read; empty = absent, `None` = whatever it is.
    seen: Option<Vec<u8>>,
    /// Empty = the field goes.
    becomes: Vec<Vec<u8>>,
    between: Between,
}

/// What stands between the pieces of a field, and only the script knows.
#[derive(Clone, Copy)]
enum Between {
    Nothing = 0,
    /// The instant of the call, as time since the order's first effect.
    Instant = 1,
    /// The end of a hold that begins with the call.
    End = 2,
    EndAsText = 3,
    /// Nothing: the field is a history, to which the script adds the place of the call in the ledger.
    Happened = 4,
}

/// Where a voucher's money is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    Outstanding,
    Held,
    Redeemed,
    Expired,
    Recovered,
    Late,
}

/// What a cell counts besides, and never takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    Redemptions,
    Given,
    GivenBack,
}

/// A movement of one voucher's money.
pub struct Movement<'a> {
    pub unit: &'a OrderUnit,
    /// End of the voucher's validity.
    pub end: Ms,
    pub accounts: &'a [(Account, Fen)],
    pub tallies: &'a [(Tally, i64)],
    /// A hold ran out: a late confirm may still take this.
    pub lapses: bool,
}

/// What came of a change.
#[derive(Debug)]
pub enum Changed {
    /// It took effect at this instant.
    At(Ms),
    /// The order is not as it was read but this; empty = there is none.
    Order(Vec<u8>),
    /// Something else has moved, or the time in which the change held is over.
    Stale,
}

impl Change {
    /// Of an order that was read as `seen`, empty if there was none, into `order`.
    pub fn new(shard: u8, key: &OrderKey, seen: &[u8], order: &Order) -> Change {
        let mut change = Change {
            shard,
            from: 0,
            until: Ms::MAX,
            counts_from: counts_from(order),
            hold_seconds: 0,
            fields: Vec::with_capacity(4),
            least: Vec::new(),
            lines: Vec::with_capacity(order.units.len()),
            money: Vec::with_capacity(order.units.len()),
            views: Vec::new(),
            goes_on: false,
        };
        change.field(keys::order_bucket(shard, key), key, Some(seen), pieces(order), Between::Instant);
        change
    }

    /// It changes an order that has its effect, so a full store takes it.
    pub fn going_on(self) -> Change {
        Change { goes_on: true, ..self }
    }

    fn field(&mut self, key: String, name: &[u8], seen: Option<&[u8]>, becomes: Vec<Vec<u8>>, between: Between) {
        self.fields.push(Field { key, name: name.to_vec(), seen: seen.map(<[u8]>::to_vec), becomes, between });
    }

    /// A person's record, of a campaign that is as this node knows it.
    pub fn person(&mut self, bucket: &str, field: &PersonField, seen: &[u8], becomes: &PersonRecord) {
        self.field(bucket.to_owned(), field, Some(seen), becomes.pieces(), Between::End);
    }

    /// Lines of the change are about a person.
    pub fn happens_to(&mut self, campaign: u16, bucket: u32, field: &PersonField) {
        self.field(keys::history_bucket(self.shard, campaign, bucket), field, None, Vec::new(), Between::Happened);
    }

    pub fn view(&mut self, campaign: u16, rev: u64) {
        if !self.views.contains(&(campaign, rev)) {
            self.views.push((campaign, rev));
        }
    }

    /// The pay code pays this order and no other.
    pub fn pays(&mut self, code: &PayCode, record: &PayCodeRecord, order: &OrderKey) {
        let paid = PayCodeRecord { order: Some(*order), ..record.clone() };
        let key = keys::pay_code(self.shard, code.as_str());
        self.field(key, b"v", Some(&record.encode()), vec![paid.encode()], Between::Nothing);
    }

    /// What was bought with the order, as it was read if it was.
    pub fn bought(&mut self, order: &OrderKey, seen: Option<&[u8]>, becomes: Vec<u8>) {
        self.field(keys::bought_bucket(self.shard, order), order, seen, vec![becomes], Between::Nothing);
    }

    /// A hold begins: it stands on the list of those that run out.
    pub fn hold_begins(&mut self, order: &OrderKey, seconds: i64) {
        self.hold_seconds = seconds;
        self.field(keys::lapsing_holds(self.shard), order, None, vec![Vec::new(); 2], Between::EndAsText);
    }

    /// A hold ends.
    pub fn hold_ends(&mut self, order: &OrderKey) {
        self.field(keys::lapsing_holds(self.shard), order, None, Vec::new(), Between::Nothing);
    }

    /// An account of a cell must have at least this much left.
    pub fn require(&mut self, unit: &OrderUnit, end: Ms, account: Account, fen: Fen) {
        self.least.push((account.counter(unit, end), fen));
    }

    pub fn moves(&mut self, movement: &Movement<'_>) {
        self.money.push(movement.shared());
    }

    pub fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    fn member(self) -> Result<Member, StoreError> {
        let (bytes, goes_on) = (self.bytes()?, self.goes_on);
        let keys = self.fields.into_iter().map(|field| field.key).collect();
        let member = Member::flat(keys, bytes).going_on(goes_on);
        let member = self.money.into_iter().fold(member, Member::sharing);
        Ok(self.views.into_iter().fold(member, |member, (campaign, rev)| member.view(campaign, rev)))
    }

    /// In the order in which the head of the script names them. A change that does not fit is refused whole, before it is sent.
    fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::with_capacity(512);
        for instant in [self.from, self.until, self.counts_from] {
            out.extend_from_slice(&(instant as f64).to_be_bytes());
        }
        out.extend_from_slice(&width::<u16, _>(self.hold_seconds)?.to_be_bytes());
        out.push(width(self.fields.len())?);
        for field in &self.fields {
            field.write(&mut out)?;
        }
        out.push(width(self.least.len())?);
        for (counter, fen) in &self.least {
            name(&mut out, counter.as_bytes())?;
            out.extend_from_slice(&(fen.0 as f64).to_be_bytes());
        }
        out.push(width(self.lines.len())?);
        for line in &self.lines {
            let line = encode_line(line);
            out.extend_from_slice(&width::<u16, _>(line.len())?.to_be_bytes());
            out.extend_from_slice(&line);
        }
        Ok(out)
    }
}

impl Field {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        name(out, &self.name)?;
        out.push(u8::from(self.seen.is_some()));
        long(out, self.seen.as_deref().unwrap_or_default());
        out.push(self.between as u8);
        out.push(width(self.becomes.len())?);
        self.becomes.iter().for_each(|piece| long(out, piece));
        Ok(())
    }
}

fn name(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), StoreError> {
    out.push(width(bytes.len())?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// A number in the width that the script reads.
fn width<W: TryFrom<N>, N: Copy + std::fmt::Display>(n: N) -> Result<W, StoreError> {
    W::try_from(n).map_err(|_| StoreError::Broken(format!("{n} in a change of an order")))
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

impl Account {
    /// The counter of a voucher's cell.
    pub fn counter(self, unit: &OrderUnit, end: Ms) -> String {
        let cell = keys::cell(unit.c, unit.round, unit.channel, unit.pack);
        match self {
            Account::Outstanding => keys::outstanding_counter(&cell, expiry_hour(end)),
            Account::Held => format!("{cell}:held"),
            Account::Redeemed => format!("{cell}:red"),
            Account::Expired => format!("{cell}:exp"),
            Account::Recovered => format!("{cell}:rec"),
            Account::Late => format!("{cell}:late"),
        }
    }
}

impl Tally {
    fn counter(self, unit: &OrderUnit) -> String {
        let cell = keys::cell(unit.c, unit.round, unit.channel, unit.pack);
        match self {
            Tally::Redemptions => format!("{cell}:rn"),
            Tally::Given => format!("{cell}:rg"),
            Tally::GivenBack => format!("{cell}:rf"),
        }
    }
}

impl Movement<'_> {
    /// Orders of the same kind of voucher share it.
    fn shared(&self) -> Arc<Shared> {
        let accounts = |list: Args| {
            self.accounts
                .iter()
                .fold(list, |list, (account, fen)| list.bytes(account.counter(self.unit, self.end)).int(fen.0))
        };
        let all = |list: Args| {
            self.tallies.iter().fold(accounts(list), |list, (tally, n)| list.bytes(tally.counter(self.unit)).int(*n))
        };
        let args = Args::with_capacity(96).list(all);
        if !self.lapses {
            return Shared::new(args.bytes([]));
        }
        let cell = keys::cell(self.unit.c, self.unit.round, self.unit.channel, self.unit.pack);
        let held: i64 = self.accounts.iter().filter(|(account, _)| *account == Account::Held).map(|(_, n)| -n.0).sum();
        Shared::new(args.bytes(keys::lapsed_field(&cell)).int(held).int(LATE_CONFIRM))
    }
}

impl Store {
    pub async fn change_order(&self, change: Change) -> Result<Changed, StoreError> {
        let shard = change.shard;
        let reply: Reply = self.call(&script::ORDER_CHANGE, &keys::Slot::Shard(shard), change.member()?).await?;
        match (&*reply.word, reply.refused()) {
            ("ok", _) => Ok(Changed::At(reply.int(0))),
            ("changed", _) => Ok(Changed::Order(reply.bytes(0).to_vec())),
            (_, Some("plan_stale")) => Ok(Changed::Stale),
            _ => Err(StoreError::malformed("change of an order")),
        }
    }
}
