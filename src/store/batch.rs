//! One batcher for all hot transitions: what waits for a slot goes in one script call per transition, and each member gets its own
//! answer. While the connections are busy the next batch fills by itself; a full queue sheds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::keys::Slot;
use super::lane::Wire;
use super::script::{Args, Form, Member, Reply, Script, Shared};

/// Members per call: larger batches cost more per member and block the store longer.
const BATCH: usize = 64;
/// Keys that the members of a call name: each has its place in a byte, beside the slot's own two.
pub(super) const KEYS: usize = 240;
/// What the members of a call share, each of which has its place in a byte too; far more than 64 usual members bring.
pub(super) const SHARED: usize = 250;
/// From this many on a call is worth sending while another one is on its way; fewer wait for its answer and meanwhile become more.
const WORTHWHILE: usize = 32;

struct Waiting {
    script: &'static Script,
    member: Member,
    since: Instant,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
}

/// The bounded queue of one slot.
pub(super) struct Queue {
    sender: mpsc::Sender<Waiting>,
}

impl Queue {
    pub(super) async fn call(&self, script: &'static Script, member: Member) -> Result<Reply, StoreError> {
        let (answer, reply) = oneshot::channel();
        self.sender.try_send(Waiting { script, member, since: Instant::now(), answer }).map_err(
            |error| match error {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Closed(_) => StoreError::Unavailable("the batcher has ended".into()),
            },
        )?;
        reply.await.unwrap_or_else(|_| Err(StoreError::Unknown("the batcher failed".into())))
    }
}

/// Starts the batcher of a slot on the runtime that calls; it ends when its queue is dropped.
pub(super) fn start(wire: Arc<Wire>, slot: Slot, capacity: usize) -> Queue {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    tokio::spawn(keep(wire, slot, receiver));
    Queue { sender }
}

/// A batcher that panics takes what it was sending with it, whose callers learn that the outcome is unknown, and goes on with the rest.
async fn keep(wire: Arc<Wire>, slot: Slot, mut receiver: mpsc::Receiver<Waiting>) {
    while AssertUnwindSafe(run(&wire, &slot, &mut receiver)).catch_unwind().await.is_err() {
        tracing::error!(slot = slot.header(), "the batcher of a slot panicked and goes on");
    }
}

async fn run(wire: &Wire, slot: &Slot, receiver: &mut mpsc::Receiver<Waiting>) {
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
            on_the_way.extend(groups(waiting.drain(..)).into_iter().map(|group| send(wire, slot, group)));
        }
    }
}

/// Members of one call, how many keys they name, and how much they share, each counted as often as it is named.
struct Group {
    members: Vec<Waiting>,
    keys: usize,
    shared: usize,
}

/// Splits what waits into calls: one script, one view per campaign, at most [`BATCH`] members, [`KEYS`] keys and [`SHARED`] each.
fn groups(waiting: impl Iterator<Item = Waiting>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for one in waiting {
        let (keys, shared) = (one.member.keys.len(), one.member.shared.len());
        // A handful of kinds at most wait together; the latest group of a kind is the one that has room.
        let fits = |group: &&mut Group| {
            let kind = &group.members[0];
            let room = group.members.len() < BATCH && group.keys + keys <= KEYS && group.shared + shared <= SHARED;
            room && std::ptr::eq(kind.script, one.script) && kind.member.views == one.member.views
        };
        match groups.iter_mut().rev().find(fits) {
            Some(group) => {
                group.keys += keys;
                group.shared += shared;
                group.members.push(one);
            }
            None => {
                let mut members = Vec::with_capacity(BATCH);
                members.push(one);
                groups.push(Group { members, keys, shared });
            }
        }
    }
    groups
}

async fn send(wire: &Wire, slot: &Slot, Group { members: mut group, .. }: Group) {
    // Whoever has stopped waiting was told that the outcome is unknown; what was never sent need not happen any more.
    group.retain(|one| !one.answer.is_closed());
    let group = shed(group, wire.deadline);
    let Some(first) = group.first() else { return };
    // The queue keeps its order, so nobody in the call has waited longer.
    let (script, until) = (first.script, first.since + wire.deadline);
    let mut members = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for one in group {
        members.push(one.member);
        answers.push(one.answer);
    }
    let replies = match wire.batch(script, slot, &members, until).await {
        Ok(replies) => replies,
        Err(StoreError::Broken(_)) if members.len() > 1 => {
            return resend_singly(wire, slot, script, members, answers, until).await;
        }
        Err(error) => members.iter().map(|_| Err(error.clone())).collect(),
    };
    for (answer, reply) in answers.into_iter().zip(replies) {
        // The caller may have gone; the effect stands and its repeat is answered from the record.
        let _ = answer.send(reply);
    }
}

/// Answers those who have waited for half of their time and were never sent, the oldest first; the others have the other half for the call,
/// so queue and call together take no longer than the deadline.
fn shed(group: Vec<Waiting>, deadline: Duration) -> Vec<Waiting> {
    if group.first().is_none_or(|oldest| oldest.since.elapsed() < deadline / 2) {
        return group;
    }
    let (late, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(|one| one.since.elapsed() >= deadline / 2);
    for one in late {
        let _ = one.answer.send(Err(StoreError::Unavailable("it was not sent within half of the deadline".into())));
    }
    rest
}

/// A script that fails has written nothing yet; its members run alone, so that one broken record fails nobody else.
async fn resend_singly(
    wire: &Wire,
    slot: &Slot,
    script: &Script,
    members: Vec<Member>,
    answers: Vec<oneshot::Sender<Result<Reply, StoreError>>>,
    until: Instant,
) {
    for (member, answer) in members.into_iter().zip(answers) {
        let reply = match wire.batch(script, slot, &[member], until).await {
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

/// A call of more keys or shared things than a byte can name is refused whole, before it is sent.
pub(super) fn encode(slot: &Slot, members: &[Member], now: i64, clock_guard: bool) -> Result<Call, StoreError> {
    let mut call = Encoder { keys: vec![slot.header(), slot.ledger()], shared: Vec::new() };
    let mut args = Vec::with_capacity(members.len() + 1);
    args.push(Vec::new());
    for member in members {
        args.push(call.member(member)?);
    }
    let mut views: Vec<(u16, u64)> = members.iter().flat_map(|member| member.views.iter().copied()).collect();
    views.sort_unstable();
    views.dedup();
    let views =
        |list: Args| views.iter().fold(list, |list, (campaign, rev)| list.int(*campaign).bytes(rev.to_string()));
    let shared = |list: Args| call.shared.iter().fold(list, |list, one| list.shared(one));
    args[0] = Args::default().list(|env| env.int(now).int(i64::from(clock_guard)).list(views).list(shared)).bytes;
    Ok(Call { keys: call.keys, args })
}

/// Gives each key, and whatever members share, its place in the call.
struct Encoder<'a> {
    keys: Vec<String>,
    shared: Vec<&'a Shared>,
}

impl<'a> Encoder<'a> {
    fn member(&mut self, member: &'a Member) -> Result<Vec<u8>, StoreError> {
        Ok(match &member.form {
            Form::Flat(bytes) => {
                // A place that does not fit must never name another person's key.
                let byte = |n: usize| u8::try_from(n).map_err(|_| StoreError::Broken(format!("place {n} in a call")));
                let mut flat = Vec::with_capacity(bytes.len() + 8);
                flat.extend([byte(member.keys.len())?, byte(member.shared.len())?]);
                for key in &member.keys {
                    flat.push(byte(self.key_place(key))?);
                }
                for one in &member.shared {
                    flat.push(byte(self.shared_place(one))?);
                }
                flat.extend_from_slice(bytes);
                flat
            }
            Form::Packed(args) => {
                let mut own = Args::with_capacity(args.bytes.len() + 8);
                rmp::encode::write_array_len(&mut own.bytes, args.count + 1).expect("writing to memory cannot fail");
                own = own.list(|list| member.keys.iter().fold(list, |list, key| list.int(self.key_place(key) as i64)));
                own.bytes.extend_from_slice(&args.bytes);
                own.bytes
            }
        })
    }

    fn key_place(&mut self, key: &str) -> usize {
        let known = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.keys.len() - 1
        });
        known + 1
    }

    fn shared_place(&mut self, one: &'a Shared) -> usize {
        let known =
            self.shared.iter().position(|known| std::ptr::eq(*known, one) || *known == one).unwrap_or_else(|| {
                self.shared.push(one);
                self.shared.len() - 1
            });
        known + 1
    }
}

/// `{epoch, seq, reply...}`, or the word that nothing was judged.
pub(super) fn decode(
    reply: redis::Value,
    members: usize,
    now: i64,
) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
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
            redis::Value::Int(n) => Ok(Reply::number(*n, now)),
            redis::Value::BulkString(bytes) => Reply::of_bytes(bytes),
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
    use crate::store::{keys, script};

    #[test]
    fn members_that_name_one_key_share_it() {
        let bucket = keys::person_bucket(0, 1, 2);
        let members = [
            Member::new(vec![bucket.clone()], vec![]).view(1, 4),
            Member::new(vec![bucket.clone()], vec![]).view(1, 4),
        ];
        let call = encode(&Slot::Shard(0), &members, 5, false).expect("a small call");
        assert_eq!(call.keys, ["{s000}:h".to_owned(), "{s000}:l".to_owned(), bucket]);
        assert_eq!(call.args.len(), 3);
    }

    /// A member that shares `shared` things with nobody, numbered from `first`.
    fn own(first: usize, shared: usize) -> Member {
        let things = (first..first + shared).map(|n| script::Shared::new(Args::default().int(n as i64)));
        things.fold(Member::flat(vec![keys::person_bucket(0, 1, 2)], Vec::new()), Member::sharing)
    }

    #[test]
    fn members_that_share_nothing_are_cut_into_calls_that_a_byte_can_name() {
        for shared in [0, 1, 3, 4, 5, 30, SHARED] {
            let waiting = (0..149).map(|at| {
                let (answer, _) = oneshot::channel();
                let member = own(at * shared, shared);
                Waiting { script: &script::ORDER_CHANGE, member, since: Instant::now(), answer }
            });
            let groups = groups(waiting);
            assert_eq!(groups.iter().map(|group| group.members.len()).sum::<usize>(), 149);
            for group in groups {
                let members: Vec<Member> = group.members.into_iter().map(|one| one.member).collect();
                assert!(encode(&Slot::Shard(0), &members, 5, false).is_ok(), "{shared} things each");
            }
        }
    }

    #[test]
    fn a_call_that_a_byte_cannot_name_is_refused_before_it_is_sent() {
        let check = |members: &[Member], taken: bool| {
            assert_eq!(encode(&Slot::Shard(0), members, 5, false).is_ok(), taken, "{} members", members.len());
        };
        check(&[own(0, 255)], true);
        check(&[own(0, 256)], false);
        check(&[own(0, 200), own(200, 55)], true);
        check(&[own(0, 200), own(200, 56)], false);
    }

    #[test]
    fn what_has_waited_for_half_of_the_deadline_is_told_that_it_was_not_sent() {
        const DEADLINE: Duration = Duration::from_secs(40);
        let ages = [DEADLINE, DEADLINE / 2, DEADLINE / 2 - DEADLINE / 4, Duration::ZERO];
        let (group, mut replies): (Vec<_>, Vec<_>) = ages
            .into_iter()
            .map(|age| {
                let (answer, reply) = oneshot::channel();
                let since = Instant::now().checked_sub(age).expect("a clock that began long ago");
                (Waiting { script: &script::ORDER_CHANGE, member: own(0, 0), since, answer }, reply)
            })
            .unzip();
        assert_eq!(shed(group, DEADLINE).len(), 2);
        let told: Vec<_> = replies.iter_mut().map(|reply| reply.try_recv().ok()).collect();
        assert!(told[..2].iter().all(|told| matches!(told, Some(Err(StoreError::Unavailable(_))))), "{told:?}");
        assert!(told[2..].iter().all(Option::is_none), "{told:?}");
    }
}
