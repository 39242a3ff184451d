//! The two scripts of a redemption alone with the store, until it holds as many orders as a city makes: what an order takes of memory
//! depends on how many there are, and a row of two seconds makes too few.
//!
//! Like `script.rs`, this file knows how the store is laid out; [`Order`] holds what it knows.

use redis::{Cmd, Pipeline, Value, cmd};

use super::Fault;
use super::script::{AHEAD, BATCH, Layout, Pack, fields};
use super::store::OwnStore;

/// The service's own texts, as they are compiled into it.
const OPEN: &str = concat!(
    include_str!("../../../../src/store/lua/lib.lua"),
    include_str!("../../../../src/store/lua/order_open.lua")
);
const CHANGE: &str = concat!(
    include_str!("../../../../src/store/lua/lib.lua"),
    include_str!("../../../../src/store/lua/order_change.lua")
);

/// What a store full of orders has shown.
pub struct Figures {
    pub orders: usize,
    pub bytes_each: f64,
    /// Orders opened and redeemed for each second of the store's main thread; the reading between the two is not in it.
    pub per_s: f64,
}

/// Everybody has one pack and redeems one voucher of it.
pub fn fill(mut own: OwnStore, orders: usize) -> Result<Figures, Fault> {
    let orders = orders / BATCH * BATCH;
    let layout = Layout::new(orders);
    own.sync_always(false)?;
    for begin in (0..orders).step_by(1_000) {
        let mut pipe = redis::pipe();
        for person in begin..(begin + 1_000).min(orders) {
            let (bucket, field, _) = layout.person(person);
            pipe.add_command(fields(bucket, [(field, Order::record(person, &[]))])).ignore();
        }
        pipe.exec(&mut own.store.connection)?;
    }
    fields(Layout::HEADER.to_owned(), layout.header()).exec(&mut own.store.connection)?;
    fields(Order::DIRECTORY.to_owned(), [Order::merchant()]).exec(&mut own.store.connection)?;
    let mut load = |text: &str| cmd("SCRIPT").arg("LOAD").arg(text).query::<String>(&mut own.store.connection);
    let (open, redeem) = (load(OPEN)?, load(CHANGE)?);
    own.sync_always(true)?;
    let (memory, before) = (own.store.used_memory()?, own.store.main_thread_seconds()?);
    for first in (0..orders).step_by(BATCH * AHEAD) {
        let batches = (first..(first + BATCH * AHEAD).min(orders)).step_by(BATCH);
        run(&mut own, batches.clone().map(|at| Order::open(&open, at..at + BATCH)))?;
        run(&mut own, batches.map(|at| Order::redeem(&redeem, &layout, at..at + BATCH)))?;
    }
    let after = own.store.main_thread_seconds()?;
    let seconds: f64 = [0, 1].iter().map(|at| after[*at] - before[*at]).sum();
    let bytes = own.store.used_memory()? - memory;
    Ok(Figures { orders, bytes_each: bytes as f64 / orders as f64, per_s: orders as f64 / seconds.max(1e-9) })
}

fn run(own: &mut OwnStore, calls: impl Iterator<Item = Cmd>) -> Result<(), Fault> {
    let mut pipe = Pipeline::new();
    calls.for_each(|call| {
        pipe.add_command(call);
    });
    let replies: Vec<Value> = pipe.query(&mut own.store.connection)?;
    let good = |reply: &Value| match reply {
        Value::Array(items) => items.len() == BATCH + 2 && items[2..].iter().all(|item| matches!(item, Value::Int(_))),
        _ => false,
    };
    match replies.iter().find(|reply| !good(reply)) {
        Some(reply) => Err(Fault::new(format!("the scripts have not redeemed every order: {reply:?}"))),
        None => Ok(()),
    }
}

/// Members, records and lines as the heads of order_open.lua, order_change.lua and src/store/keys.rs say.
struct Order;

impl Order {
    const DIRECTORY: &str = "{m000}:h";
    const BUCKETS: u16 = 16_384;
    const MERCHANT: &str = "m00000001";
    const DISCOUNT: i64 = 2_000;
    const FINGERPRINT: &[u8] = &[0xf0; 8];

    fn merchant() -> (Vec<u8>, Vec<u8>) {
        let view = Pack::array(3).int(1).bytes(b"active").open(1).int(i64::from(Layout::CAMPAIGN));
        (format!("m:{}", Order::MERCHANT).into_bytes(), view.0)
    }

    fn key(order: usize) -> [u8; 12] {
        let mut key = [0; 12];
        key.copy_from_slice(&Layout::pseudonym(order + 0x4000_0000)[20..]);
        key
    }

    fn bucket(tag: &str, key: &[u8; 12]) -> String {
        format!("{tag}:{}", u16::from_be_bytes([key[0], key[1]]) % Order::BUCKETS)
    }

    /// One entry and one pack, with a byte for each unit that was touched.
    fn record(person: usize, units: &[u8]) -> Vec<u8> {
        let pseudonym = Layout::pseudonym(person);
        let at = ((Layout::NOW / 1_000) as u32).to_be_bytes();
        let number = (person as u32 + 1).to_be_bytes();
        let entry = [&[0, 0, Layout::NO_CHOICE, 0][..], &at].concat();
        let pack = [&[0, 0, 0, units.len() as u8][..], &number, &at, units].concat();
        [&[1, 1], &pseudonym[9..], &entry, &pack].concat()
    }

    /// One call that opens orders of one merchant.
    fn open(hash: &str, orders: std::ops::Range<usize>) -> Cmd {
        let mut keys = vec![Order::DIRECTORY.to_owned(), "{m000}:l".to_owned()];
        let members: Vec<Vec<u8>> = orders
            .map(|order| {
                let key = Order::key(order);
                let place = place_of(&mut keys, Order::bucket("{m000}:d", &key));
                let entry = Pack::array(5).int(1).int(1).int(0).bytes(Order::FINGERPRINT).open(0);
                [&[1, 1, place, 1], &key[..], &entry.0].concat()
            })
            .collect();
        let campaign = i64::from(Layout::CAMPAIGN);
        let env = Pack::array(4).int(Layout::NOW).int(0).open(0).open(1);
        let asked = env.open(3).bytes(format!("m:{}", Order::MERCHANT).as_bytes());
        call(hash, keys, asked.open(1).int(campaign).open(1).int(campaign).0, members)
    }

    /// One call that redeems the first voucher of each person.
    fn redeem(hash: &str, layout: &Layout, orders: std::ops::Range<usize>) -> Cmd {
        let mut keys = vec![Layout::HEADER.to_owned(), Layout::LEDGER.to_owned()];
        let members: Vec<Vec<u8>> = orders
            .map(|order| {
                let key = Order::key(order);
                let at_order = place_of(&mut keys, Order::bucket("{s000}:o", &key));
                let at_person = place_of(&mut keys, layout.bucket(&Layout::pseudonym(order)));
                [&[2, 1, at_order, at_person, 1], &Order::plan(order, &key)[..]].concat()
            })
            .collect();
        let view = Pack::array(4).int(Layout::NOW).int(0).open(2).int(i64::from(Layout::CAMPAIGN));
        let moved = view.bytes(Layout::REVISION.to_string().as_bytes()).open(1).open(2).open(8);
        let counter = |name: &str| format!("{}:{name}", Layout::CELL).into_bytes();
        let moved =
            moved.bytes(&counter("out:444000")).int(-Order::DISCOUNT).bytes(&counter("red")).int(Order::DISCOUNT);
        let moved = moved.bytes(&counter("rn")).int(1).bytes(&counter("rg")).int(Order::DISCOUNT);
        call(hash, keys, moved.bytes(b"").0, members)
    }

    fn plan(order: usize, key: &[u8; 12]) -> Vec<u8> {
        let field = &Layout::pseudonym(order)[..9];
        let instants = [0.0, Layout::NOW as f64 * 2.0, 0.0].map(f64::to_be_bytes).concat();
        let long = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
        // A name, compared with what was read, and the pieces between which the instant stands (1) or would stand (2).
        let changed = |name: &[u8], seen: &[u8], between: u8, pieces: &[&[u8]]| {
            let pieces: Vec<u8> = pieces.iter().flat_map(|piece| long(piece)).collect();
            let count = if between == 1 { 2 } else { 1 };
            [&[name.len() as u8], name, &[1], &long(seen), &[between, count], &pieces].concat()
        };
        let (before, after) = (Order::record(order, &[]), Order::record(order, &[2]));
        let person = changed(field, &before, 2, &[&after]);
        let stored =
            Pack::array(13).int(1).int(2).int(1).bytes(Order::FINGERPRINT).int(11_800).int(800).int(Order::DISCOUNT);
        let unit = Pack::array(9).int(i64::from(Layout::CAMPAIGN)).bytes(field).int(0).int(0).int(Order::DISCOUNT);
        let unit = unit.int(0).int(0).int(0).int(Layout::NOW / 1_000);
        let tail = Pack(Vec::new()).int(0).int(0).open(1).0;
        let tail = [tail, unit.0, Pack(Vec::new()).open(0).open(2).bytes(b"").bytes(b"t001").0].concat();
        let line = Pack::array(13).bytes(b"D").int(i64::from(Layout::CAMPAIGN)).bytes(field).int(0).int(0);
        let line = line.int(Order::DISCOUNT).bytes(Order::MERCHANT.as_bytes());
        let line = line.bytes(format!("R0-{order:07}").as_bytes()).int(1).bytes(b"").bytes(b"t001").int(11_800);
        let line = line.bytes(b"catering").0;
        let stored = changed(key, &[], 1, &[&stored.0, &tail]);
        let lines = [&[0, 1], &(line.len() as u16).to_be_bytes()[..], &line].concat();
        [instants, vec![0, 0, 2], stored, person, lines].concat()
    }
}

/// The place of a key in a call.
fn place_of(keys: &mut Vec<String>, key: String) -> u8 {
    let known = keys.iter().position(|known| *known == key).unwrap_or(keys.len());
    if known == keys.len() {
        keys.push(key);
    }
    (known + 1) as u8
}

fn call(hash: &str, keys: Vec<String>, env: Vec<u8>, members: Vec<Vec<u8>>) -> Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(hash).arg(keys.len()).arg(keys).arg(env).arg(members);
    command
}
