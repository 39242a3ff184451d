//! One batcher for all hot transitions: what waits for a shard goes in one script call per transition, and each member gets its own
//! answer. While the connections are busy the next batch fills by itself; a full queue sheds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rmpv::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::keys::Slot;
use super::script::{Member, Reply, Script};
use super::{Store, StoreError};

/// Members per call: larger batches cost more per member and block the store longer.
const BATCH: usize = 64;

struct Waiting {
    script: &'static Script,
    member: Member,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
}

/// The bounded queue of one shard.
pub(super) struct Queue {
    sender: mpsc::Sender<Waiting>,
    receiver: Mutex<Option<mpsc::Receiver<Waiting>>>,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Queue {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        Queue { sender, receiver: Mutex::new(Some(receiver)) }
    }

    pub(super) async fn call(&self, script: &'static Script, member: Member) -> Result<Reply, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.sender.try_send(Waiting { script, member, answer }).map_err(|_| StoreError::Overloaded)?;
        reply.await.unwrap_or_else(|_| Err(StoreError::Unknown("the batcher ended".into())))
    }

    fn take_receiver(&self) -> Option<mpsc::Receiver<Waiting>> {
        self.receiver.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }
}

/// Starts the batcher of a shard; it ends when the store is dropped.
pub(super) fn run(store: Store, slot: Slot) {
    let Slot::Shard(shard) = slot else { return };
    let Some(mut receiver) = store.0.queues[usize::from(shard)].take_receiver() else { return };
    let in_flight = Arc::new(Semaphore::new(store.0.hot.len()));
    tokio::spawn(async move {
        let mut waiting = Vec::with_capacity(BATCH * 4);
        while receiver.recv_many(&mut waiting, BATCH * 4).await > 0 {
            for group in groups(waiting.drain(..)) {
                let Ok(permit) = in_flight.clone().acquire_owned().await else { return };
                let (store, slot) = (store.clone(), slot.clone());
                tokio::spawn(async move {
                    send(&store, &slot, group).await;
                    drop(permit);
                });
            }
        }
    });
}

/// What the members of one call share: the script and the views they were judged by.
type CallKind = (&'static str, Vec<(u16, u64)>);

/// Splits what waits into calls: one script, one view per campaign and at most [`BATCH`] members each.
fn groups(waiting: impl Iterator<Item = Waiting>) -> Vec<Vec<Waiting>> {
    let mut open: HashMap<CallKind, Vec<Waiting>> = HashMap::new();
    let mut full = Vec::new();
    for one in waiting {
        let key = (one.script.name, one.member.views.clone());
        let group = open.entry(key).or_default();
        group.push(one);
        if group.len() == BATCH {
            full.push(std::mem::take(group));
        }
    }
    full.extend(open.into_values().filter(|group| !group.is_empty()));
    full
}

async fn send(store: &Store, slot: &Slot, mut group: Vec<Waiting>) {
    // Who has stopped waiting was told that the outcome is unknown; what was never sent need not happen any more.
    group.retain(|one| !one.answer.is_closed());
    let Some(first) = group.first() else { return };
    let script = first.script;
    let members: Vec<Member> = group.iter().map(|one| one.member.clone()).collect();
    let replies = match store.batch(script, slot, members).await {
        Ok(replies) => replies,
        Err(StoreError::Broken(_)) if group.len() > 1 => return resend_singly(store, slot, group).await,
        Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
    };
    for (one, reply) in group.into_iter().zip(replies) {
        // The caller may have gone; the effect stands and its repeat is answered from the record.
        let _ = one.answer.send(reply);
    }
}

/// A script that fails has written nothing yet; its members run alone, so that one broken record fails nobody else.
async fn resend_singly(store: &Store, slot: &Slot, group: Vec<Waiting>) {
    for one in group {
        let reply = match store.batch(one.script, slot, vec![one.member]).await {
            Ok(mut replies) => replies.pop().unwrap_or_else(|| Err(StoreError::malformed("batch"))),
            Err(error) => Err(error),
        };
        let _ = one.answer.send(reply);
    }
}

/// KEYS and ARGV of one call.
pub(super) struct Call {
    pub keys: Vec<String>,
    pub args: Vec<Vec<u8>>,
}

pub(super) fn encode(slot: &Slot, members: &[Member], now: i64, clock_guard: bool) -> Call {
    let mut keys = vec![slot.header(), slot.ledger()];
    let mut index: HashMap<&str, usize> = HashMap::new();
    let mut views: Vec<(u16, u64)> = members.iter().flat_map(|member| member.views.iter().copied()).collect();
    views.sort_unstable();
    views.dedup();
    let views =
        views.iter().flat_map(|(campaign, rev)| [Value::from(*campaign), Value::from(rev.to_string())]).collect();
    let env = Value::Array(vec![Value::from(now), Value::from(u8::from(clock_guard)), Value::Array(views)]);
    let mut args = vec![packed(&env)];
    for member in members {
        let indexes = member.keys.iter().map(|key| {
            Value::from(*index.entry(key).or_insert_with(|| {
                keys.push(key.clone());
                keys.len()
            }))
        });
        let mut fields = vec![Value::Array(indexes.collect())];
        fields.extend(member.args.iter().cloned());
        args.push(packed(&Value::Array(fields)));
    }
    Call { keys, args }
}

fn packed(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    write(&mut out, value);
    out
}

/// The store's msgpack knows no binary type, so bytes go as a string, which it never reads as text.
fn write(out: &mut Vec<u8>, value: &Value) {
    const INFALLIBLE: &str = "writing to memory cannot fail";
    match value {
        Value::Array(items) => {
            rmp::encode::write_array_len(out, items.len() as u32).expect(INFALLIBLE);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Binary(bytes) => {
            rmp::encode::write_str_len(out, bytes.len() as u32).expect(INFALLIBLE);
            out.extend_from_slice(bytes);
        }
        other => rmpv::encode::write_value(out, other).expect(INFALLIBLE),
    }
}

/// `{epoch, seq, reply...}`, or the word that nothing was judged.
pub(super) fn decode(reply: redis::Value, members: usize) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
    let redis::Value::Array(items) = reply else { return Err(StoreError::malformed("batch")) };
    match items.first() {
        Some(redis::Value::BulkString(word)) if word == b"stale" => {
            return Err(StoreError::Stale { campaign: number(items.get(1)) as u16, held: number(items.get(2)) });
        }
        Some(redis::Value::BulkString(word)) if word == b"clock" => {
            return Err(StoreError::Clock(number(items.get(1)) as i64));
        }
        _ => {}
    }
    if items.len() != members + 2 {
        return Err(StoreError::malformed("batch"));
    }
    Ok(items
        .iter()
        .skip(2)
        .map(|item| match item {
            redis::Value::BulkString(bytes) => Reply::decode(bytes),
            _ => Err(StoreError::malformed("reply")),
        })
        .collect())
}

fn number(value: Option<&redis::Value>) -> u64 {
    match value {
        Some(redis::Value::Int(n)) => *n as u64,
        Some(redis::Value::BulkString(bytes)) => {
            std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keys;

    #[test]
    fn members_that_name_one_key_share_it() {
        let bucket = keys::person_bucket(0, 1, 2);
        let members = [
            Member::new(vec![bucket.clone()], vec![]).view(1, 4),
            Member::new(vec![bucket.clone()], vec![]).view(1, 4),
        ];
        let call = encode(&Slot::Shard(0), &members, 5, false);
        assert_eq!(call.keys, ["{s000}:h".to_owned(), "{s000}:l".to_owned(), bucket]);
        assert_eq!(call.args.len(), 3);
    }
}
