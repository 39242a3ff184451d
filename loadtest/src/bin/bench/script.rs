//! The script that issues packs, alone with the store: batches as the service sends them, over as many persons as a city has.
//!
//! This file and `orders.rs` are the only places of the bench that know how the store is laid out; [`Layout`] holds what is known of
//! persons.

use redis::{Cmd, Pipeline, Value, cmd};

use super::Fault;
use super::meter::median;
use super::store::OwnStore;

/// The service's own text, as it is compiled into it.
const TEXT: &str = concat!(
    include_str!("../../../../src/store/lua/lib.lua"),
    include_str!("../../../../src/store/lua/record.lua"),
    include_str!("../../../../src/store/lua/pack_issue.lua")
);

/// Reads and writes each record once, which no script that keeps a record for each person can do without: what the store itself takes.
const FLOOR: &str = "local replies = {}
for i = 2, #ARGV do
  local key, field = KEYS[string.byte(ARGV[i], 3)], string.sub(ARGV[i], 5, 13)
  redis.call('HSET', key, field, redis.call('HGET', key, field))
  replies[i - 1] = i
end
return replies";

/// Members of a call.
pub const BATCH: usize = 64;
/// Calls that are sent before the first is answered, so that the store never waits for us.
pub const AHEAD: usize = 8;
/// Claims of one measurement.
const CLAIMS: usize = 200_000;
const PERSONS_PER_BUCKET: usize = 16;

/// A store full of persons who have won and not tapped.
pub struct Crowd {
    own: OwnStore,
    persons: usize,
    claimed: usize,
    hash: String,
    floor_hash: String,
    rates: Vec<f64>,
    floor: Vec<f64>,
    user_only: Vec<f64>,
    bytes: i64,
    packs: usize,
}

impl Crowd {
    pub fn gather(mut own: OwnStore, persons: usize) -> Result<Crowd, Fault> {
        own.sync_always(false)?;
        let connection = &mut own.store.connection;
        let layout = Layout::new(persons);
        for begin in (0..persons).step_by(1_000) {
            let mut pipe = redis::pipe();
            for person in begin..(begin + 1_000).min(persons) {
                let (bucket, field, record) = layout.person(person);
                pipe.add_command(fields(bucket, [(field, record)])).ignore();
            }
            pipe.exec(connection)?;
        }
        fields(Layout::HEADER.to_owned(), layout.header()).exec(connection)?;
        let mut load = |text: &str| cmd("SCRIPT").arg("LOAD").arg(text).query::<String>(connection);
        let (hash, floor_hash) = (load(TEXT)?, load(FLOOR)?);
        own.sync_always(true)?;
        Ok(Crowd {
            own,
            persons,
            claimed: 0,
            hash,
            floor_hash,
            rates: vec![],
            floor: vec![],
            user_only: vec![],
            bytes: 0,
            packs: 0,
        })
    }

    /// One measurement: persons who have not claimed yet, in no order that the store knows; and the floor over the same persons.
    pub fn claim(&mut self, rounds: usize) -> Result<(), Fault> {
        let count = CLAIMS.min(self.persons / rounds) / BATCH;
        let memory = self.own.store.used_memory()?;
        let [user, system] = self.spend(&self.hash.clone(), count, all_issued)?;
        let packs = count * BATCH;
        self.bytes += self.own.store.used_memory()? - memory;
        self.rates.push(packs as f64 / (user + system).max(1e-9));
        self.user_only.push(packs as f64 / user.max(1e-9));
        let [user, system] = self.spend(&self.floor_hash.clone(), count, |_| true)?;
        self.floor.push(packs as f64 / (user + system).max(1e-9));
        self.packs += packs;
        self.claimed += packs;
        Ok(())
    }

    /// Seconds of the store's main thread, user and system, that so many calls of a script take for the next persons.
    fn spend(&mut self, hash: &str, count: usize, good: fn(&Value) -> bool) -> Result<[f64; 2], Fault> {
        let layout = Layout::new(self.persons);
        let calls: Vec<Cmd> = (0..count)
            .map(|call| {
                let first = self.claimed + call * BATCH;
                layout.call(hash, (first..first + BATCH).map(|at| at * 15_485_863 % self.persons))
            })
            .collect();
        let store = &mut self.own.store;
        let before = store.main_thread_seconds()?;
        for calls in calls.chunks(AHEAD) {
            let mut pipe = Pipeline::new();
            for call in calls {
                pipe.add_command(call.clone());
            }
            let replies: Vec<Value> = pipe.query(&mut store.connection)?;
            if let Some(reply) = replies.iter().find(|reply| !good(reply)) {
                return Err(Fault::new(format!("the script has not issued every pack: {reply:?}")));
            }
        }
        let after = store.main_thread_seconds()?;
        Ok([0, 1].map(|at| after[at] - before[at]))
    }

    pub fn figures(&self) -> Figures {
        Figures {
            persons: self.persons,
            per_s: median(self.rates.clone()),
            per_s_user: median(self.user_only.clone()),
            floor_per_s: median(self.floor.clone()),
            bytes_per_pack: self.bytes as f64 / self.packs.max(1) as f64,
            packs: self.packs,
        }
    }
}

/// What a crowd has shown.
pub struct Figures {
    pub persons: usize,
    /// Claims for each second of the store's main thread, user and system time.
    pub per_s: f64,
    /// The same with user time only, which leaves out writing and syncing the file.
    pub per_s_user: f64,
    /// Records read and written in the same batches by a script that does nothing else.
    pub floor_per_s: f64,
    pub bytes_per_pack: f64,
    pub packs: usize,
}

pub fn fields(key: String, pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Cmd {
    let mut command = cmd("HSET");
    command.arg(key);
    for (field, value) in pairs {
        command.arg(field).arg(value);
    }
    command
}

/// `{epoch, seq, reply...}`, each reply the number of the pack.
fn all_issued(reply: &Value) -> bool {
    let Value::Array(items) = reply else { return false };
    items.len() == BATCH + 2 && items[2..].iter().all(|item| matches!(item, Value::Int(_)))
}

/// Keys, records and members as src/store/keys.rs, src/store/record.rs and the script's header say.
pub struct Layout {
    buckets: u32,
    persons: usize,
}

impl Layout {
    pub const HEADER: &str = "{s000}:h";
    pub const LEDGER: &str = "{s000}:l";
    pub const CAMPAIGN: u16 = 1;
    pub const REVISION: u64 = 4;
    pub const NOW: i64 = 1_595_584_800_000;
    /// Round, channel and pack of everybody, and the choice of a round that offers none.
    pub const CELL: &str = "n:1:0:0:0";
    const WINNERS: &str = "w:1:0:255:0";
    pub const NO_CHOICE: u8 = 255;

    pub fn new(persons: usize) -> Layout {
        Layout { buckets: (persons / PERSONS_PER_BUCKET).max(1) as u32, persons }
    }

    /// 32 bytes that look like a pseudonym.
    pub fn pseudonym(person: usize) -> [u8; 32] {
        let mut bytes = [0; 32];
        let mut state = (person as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        for chunk in bytes.chunks_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_be_bytes());
        }
        bytes
    }

    pub fn bucket(&self, pseudonym: &[u8; 32]) -> String {
        let [a, b, c, d, ..] = *pseudonym;
        format!("{{s000}}:c{}:p:{}", Layout::CAMPAIGN, u32::from_be_bytes([a, b, c, d]) % self.buckets)
    }

    /// Bucket, field and record of somebody who is on the list: one entry, no pack, the rest of the pseudonym, and the entry.
    pub fn person(&self, person: usize) -> (String, Vec<u8>, Vec<u8>) {
        let pseudonym = Layout::pseudonym(person);
        let at = (Layout::NOW as u64 / 1000) as u32;
        let record = [&[1, 0], &pseudonym[9..], &[0, 0, Layout::NO_CHOICE, 0], &at.to_be_bytes()].concat();
        (self.bucket(&pseudonym), pseudonym[..9].to_vec(), record)
    }

    /// The view that the calls name, and as many decided winners as there are persons.
    pub fn header(&self) -> [(Vec<u8>, Vec<u8>); 2] {
        let text = |text: String| text.into_bytes();
        [
            (text(format!("v:{}", Layout::CAMPAIGN)), text(Layout::REVISION.to_string())),
            (text(Layout::WINNERS.to_owned()), text(self.persons.to_string())),
        ]
    }

    /// One call for so many persons.
    fn call(&self, hash: &str, persons: impl Iterator<Item = usize>) -> Cmd {
        let mut keys = vec![Layout::HEADER.to_owned(), Layout::LEDGER.to_owned()];
        let mut members = Vec::with_capacity(BATCH);
        for person in persons {
            let pseudonym = Layout::pseudonym(person);
            let bucket = self.bucket(&pseudonym);
            let index = keys.iter().position(|key| *key == bucket).unwrap_or(keys.len());
            if index == keys.len() {
                keys.push(bucket);
            }
            members.push(Layout::member(index + 1, &pseudonym));
        }
        let view = Pack::array(4).int(Layout::NOW).int(0).open(2).int(i64::from(Layout::CAMPAIGN));
        let view = view.bytes(Layout::REVISION.to_string().as_bytes()).open(1);
        let mut command = cmd("EVALSHA");
        command.arg(hash).arg(keys.len()).arg(keys).arg(Layout::plan(view).0);
        for member in members {
            command.arg(member);
        }
        command
    }

    /// A member as the head of pack_issue.lua has it, after the places of its one key and one plan.
    fn member(bucket: usize, pseudonym: &[u8; 32]) -> Vec<u8> {
        [&[1, 1, bucket as u8, 1], &pseudonym[..]].concat()
    }

    /// What the members share, for a round with reservation, one pack for a person, and no limits on claims.
    fn plan(before: Pack) -> Pack {
        let plan = before.open(16).int(i64::from(Layout::CAMPAIGN)).int(0).int(0).int(0);
        let plan = plan.bytes(Layout::CELL.as_bytes()).bytes(Layout::WINNERS.as_bytes());
        // Both kinds of a pack end at one hour, in which 80.00 will expire.
        let plan = plan.open(2).int(444_000).int(8_000).int(0).int(1);
        // An entry is needed, the key is not the pack's, one pack at most, nobody excluded, no limits, the plan holds on any day.
        plan.int(1).int(0).int(1).open(0).open(0).int(0).int(0)
    }
}

/// Just enough msgpack; bytes go as strings, as the store reads them.
pub struct Pack(pub Vec<u8>);

impl Pack {
    pub fn array(length: u8) -> Pack {
        Pack(Vec::with_capacity(96)).open(length)
    }

    pub fn open(mut self, length: u8) -> Pack {
        match length {
            0..=15 => self.0.push(0x90 | length),
            _ => self.0.extend_from_slice(&[0xdc, 0, length]),
        }
        self
    }

    pub fn int(mut self, number: i64) -> Pack {
        match number {
            0..=127 => self.0.push(number as u8),
            128..=0xffff_ffff => {
                self.0.push(0xce);
                self.0.extend_from_slice(&(number as u32).to_be_bytes());
            }
            _ => {
                self.0.push(0xd3);
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Pack {
        match bytes.len() {
            length @ 0..=31 => self.0.push(0xa0 | length as u8),
            length => self.0.extend_from_slice(&[0xd9, length as u8]),
        }
        self.0.extend_from_slice(bytes);
        self
    }
}
