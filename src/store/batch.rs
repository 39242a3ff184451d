//! One batcher for all hot transitions: what waits for a slot goes in one script call per transition, and each member gets its own
//! answer. While the connections are busy the next batch fills by itself; a full queue sheds.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::keys::Slot;
use super::lane::Wire;
use super::script::{Args, Member, Reply, Script, Shared};

/// Members per call: larger batches cost more per member and block the store longer.
const BATCH: usize = 64;
/// From this many on a call is worth sending while another one is on its way; fewer wait for its answer and meanwhile become more.
const WORTHWHILE: usize = 32;

struct Waiting {
    script: &'static Script,
    member: Member,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
}

/// The bounded queue of one slot.
pub(super) struct Queue {
    sender: mpsc::Sender<Waiting>,
}

impl Queue {
    pub(super) async fn call(&self, script: &'static Script, member: Member) -> Result<Reply, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.sender.try_send(Waiting { script, member, answer }).map_err(|_| StoreError::Overloaded)?;
        reply.await.unwrap_or_else(|_| Err(StoreError::Unknown("the batcher ended".into())))
    }
}

/// Starts the batcher of a slot on the runtime that calls; it ends when its queue is dropped.
pub(super) fn start(wire: Arc<Wire>, slot: Slot, capacity: usize) -> Queue {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    tokio::spawn(run(wire, slot, receiver));
    Queue { sender }
}

async fn run(wire: Arc<Wire>, slot: Slot, mut receiver: mpsc::Receiver<Waiting>) {
    const ROOM: usize = BATCH * 4;
    let mut waiting = Vec::with_capacity(ROOM);
    let mut on_the_way = FuturesUnordered::new();
    let mut open = true;
    while open || !waiting.is_empty() || !on_the_way.is_empty() {
        let room = ROOM - waiting.len();
        tokio::select! {
            received = receiver.recv_many(&mut waiting, room), if open && room > 0 => open = received > 0,
            _ = on_the_way.next(), if !on_the_way.is_empty() => {}
        }
        let worthwhile = waiting.len() >= WORTHWHILE && on_the_way.len() < wire.width();
        if on_the_way.is_empty() || worthwhile {
            on_the_way.extend(groups(waiting.drain(..)).into_iter().map(|group| send(&wire, &slot, group)));
        }
    }
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

async fn send(wire: &Wire, slot: &Slot, mut group: Vec<Waiting>) {
    // Who has stopped waiting was told that the outcome is unknown; what was never sent need not happen any more.
    group.retain(|one| !one.answer.is_closed());
    let Some(first) = group.first() else { return };
    let script = first.script;
    let mut members = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for one in group {
        members.push(one.member);
        answers.push(one.answer);
    }
    let replies = match wire.batch(script, slot, &members).await {
        Ok(replies) => replies,
        Err(StoreError::Broken(_)) if members.len() > 1 => {
            return resend_singly(wire, slot, script, members, answers).await;
        }
        Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
    };
    for (answer, reply) in answers.into_iter().zip(replies) {
        // The caller may have gone; the effect stands and its repeat is answered from the record.
        let _ = answer.send(reply);
    }
}

/// A script that fails has written nothing yet; its members run alone, so that one broken record fails nobody else.
async fn resend_singly(
    wire: &Wire,
    slot: &Slot,
    script: &Script,
    members: Vec<Member>,
    answers: Vec<oneshot::Sender<Result<Reply, StoreError>>>,
) {
    for (member, answer) in members.into_iter().zip(answers) {
        let reply = match wire.batch(script, slot, &[member]).await {
            Ok(mut replies) => replies.pop().unwrap_or_else(|| Err(StoreError::malformed("batch"))),
            Err(error) => Err(error),
        };
        let _ = answer.send(reply);
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
        |list: Args| views.iter().fold(list, |list, (campaign, rev)| list.int(*campaign).bytes(rev.to_string()));
    let mut shared: Vec<&Shared> = Vec::new();
    let mut args = vec![Vec::new()];
    for member in members {
        let mut own = Args::with_capacity(member.args.bytes.len() + 8);
        let more = 1 + u32::from(member.shared.is_some());
        rmp::encode::write_array_len(&mut own.bytes, member.args.count + more).expect("writing to memory cannot fail");
        own = own.list(|list| {
            member.keys.iter().fold(list, |list, key| {
                let place = *index.entry(key).or_insert_with(|| {
                    keys.push(key.clone());
                    keys.len()
                });
                list.int(place as i64)
            })
        });
        own.bytes.extend_from_slice(&member.args.bytes);
        if let Some(one) = &member.shared {
            let known = shared.iter().position(|known| std::ptr::eq(*known, &raw const **one));
            let place = known.unwrap_or_else(|| {
                shared.push(one);
                shared.len() - 1
            });
            own = own.int(place as i64 + 1);
        }
        args.push(own.bytes);
    }
    let shared = |list: Args| shared.iter().fold(list, |list, one| list.shared(one));
    args[0] = Args::default().list(|env| env.int(now).int(i64::from(clock_guard)).list(views).list(shared)).bytes;
    Call { keys, args }
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
