//! What may come of a history, by the contract's rules: legal steps only, at most one effect of an order, all of its vouchers or none,
//! a reverse is final, refunds sum exactly, and what was answered is what is there.

use std::collections::{BTreeMap, BTreeSet};

pub type Unit = (u8, u8);

/// Everything that is known of one history when it is over.
pub struct Evidence {
    /// Threshold and discount of each voucher.
    pub vouchers: BTreeMap<Unit, (i64, i64)>,
    /// The validity of all of them.
    pub begin: i64,
    pub end: i64,
    pub orders: Vec<OrderSeen>,
    pub events: Vec<Event>,
    /// The person's lines of the ledger.
    pub moves: Vec<Move>,
    /// The wallet's word for each voucher.
    pub wallet: BTreeMap<Unit, String>,
    pub most_vouchers: usize,
    pub most_a_day: usize,
}

/// How an order is read at the end; `None` when it is not found.
pub struct OrderSeen {
    pub merchant: usize,
    pub found: Option<Found>,
}

pub struct Found {
    pub state: String,
    pub units: BTreeSet<Unit>,
    pub discount: i64,
    pub net: i64,
    /// Number, amount and the issuer's share.
    pub refunds: Vec<(String, i64, i64)>,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub order: usize,
    pub call: Call,
    pub begun: u32,
    pub ended: u32,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Redeem { amount: i64, capture: bool },
    Confirm,
    Cancel,
    Reverse,
    Refund { id: String, amount: i64 },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The body, and what goes to payer and issuer.
    Done(String, i64, i64),
    Refused(&'static str),
    /// The till never heard of it.
    Lost,
}

/// One voucher's line of the ledger.
#[derive(Clone, Debug)]
pub struct Move {
    pub entry: u64,
    pub at: i64,
    pub kind: &'static str,
    pub order: usize,
    pub unit: Unit,
    pub fen: i64,
    /// Where the money goes, why a hold ends, or the number of a refund.
    pub to: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Free,
    Held(usize),
    Used(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Untouched,
    Held,
    Redeemed,
    Cancelled,
    Lapsed,
    Reversed,
}

/// What the ledger makes of an order.
#[derive(Clone)]
struct Story {
    stage: Stage,
    units: BTreeSet<Unit>,
    taken_at: i64,
    was_redeemed: bool,
    shares: i64,
    restored: BTreeSet<Unit>,
}

const HOLD: i64 = 120_000;
const LATE: i64 = 600_000;
const DAY: i64 = 86_400_000;

impl Evidence {
    pub fn effects(&self) -> usize {
        self.moves.len()
    }

    pub fn told(&self) -> String {
        let events = self.events.iter().map(|event| format!("{event:?}"));
        let moves = self.moves.iter().map(|one| format!("{one:?}"));
        events.chain(moves).collect::<Vec<_>>().join("\n")
    }
}

/// Every way in which a history breaks a rule.
pub fn faults(evidence: &Evidence) -> Vec<String> {
    let mut faults = Vec::new();
    let stories = folded(evidence, &mut faults);
    for (order, (story, seen)) in stories.iter().zip(&evidence.orders).enumerate() {
        let told = |fault: String| format!("order {order}: {fault}");
        faults.extend(record_faults(story, seen).into_iter().map(told));
        faults.extend(answer_faults(evidence, order, story).into_iter().map(told));
    }
    faults
}

/// Follows every voucher and order through the ledger.
fn folded(evidence: &Evidence, faults: &mut Vec<String>) -> Vec<Story> {
    let untouched = Story {
        stage: Stage::Untouched,
        units: BTreeSet::new(),
        taken_at: 0,
        was_redeemed: false,
        shares: 0,
        restored: BTreeSet::new(),
    };
    let mut stories = vec![untouched; evidence.orders.len()];
    let mut slots: BTreeMap<Unit, Slot> = evidence.vouchers.keys().map(|unit| (*unit, Slot::Free)).collect();
    let step = |one: &Move| (one.entry, one.order, one.kind);
    let same = |one: &Move, other: &Move| step(one) == step(other) && (one.kind != "F" || one.why == other.why);
    for group in evidence.moves.chunk_by(same) {
        let order = group[0].order;
        for one in group {
            let Some(slot) = slots.get_mut(&one.unit) else {
                faults.push(format!("{one:?} is of no voucher of the person"));
                continue;
            };
            match moved(*slot, one) {
                Some(next) => *slot = next,
                None => faults.push(format!("{one:?} of a voucher that is {slot:?}")),
            }
        }
        let units: BTreeSet<Unit> = group.iter().map(|one| one.unit).collect();
        if let Some(fault) = advanced(evidence, &mut stories[order], group, units) {
            faults.push(format!("order {order}: {fault}"));
        }
        if matches!(group[0].kind, "H" | "D") {
            faults.extend(too_many_a_day(evidence, &stories, order));
        }
    }
    for (unit, slot) in slots {
        let word = evidence.wallet.get(&unit).map(String::as_str).unwrap_or_default();
        let fits = match slot {
            Slot::Free => matches!(word, "available" | "expired"),
            Slot::Held(_) => word == "held",
            Slot::Used(_) => word == "used",
        };
        if !fits {
            faults.push(format!("the wallet says {word} of {unit:?}, which the ledger has {slot:?}"));
        }
    }
    stories
}

fn moved(slot: Slot, one: &Move) -> Option<Slot> {
    let order = one.order;
    match (one.kind, slot) {
        ("H", Slot::Free) => Some(Slot::Held(order)),
        ("D", Slot::Free) => Some(Slot::Used(order)),
        ("K", Slot::Held(by)) if by == order => Some(Slot::Used(order)),
        ("X", Slot::Held(by)) if by == order => Some(Slot::Free),
        ("V", Slot::Used(by)) if by == order => Some(Slot::Free),
        ("F", Slot::Used(by)) if by == order => {
            Some(if one.to == "outstanding" { Slot::Free } else { Slot::Used(order) })
        }
        _ => None,
    }
}

/// One step of an order, which moves all of its vouchers.
fn advanced(evidence: &Evidence, story: &mut Story, group: &[Move], units: BTreeSet<Unit>) -> Option<String> {
    let (kind, at, why) = (group[0].kind, group[0].at, group[0].why.as_str());
    let until = story.taken_at + HOLD;
    let in_grace = at < until + LATE;
    let next = match (kind, story.stage) {
        ("H", Stage::Untouched) => Stage::Held,
        ("D", Stage::Untouched) => Stage::Redeemed,
        ("D", Stage::Lapsed) if in_grace => Stage::Redeemed,
        ("K", Stage::Held) if in_grace => Stage::Redeemed,
        ("X", Stage::Held) if why == "cancel" => Stage::Cancelled,
        ("X", Stage::Held) if why == "reverse" => Stage::Reversed,
        ("X", Stage::Held) if why == "expire" && at >= until => Stage::Lapsed,
        ("V", Stage::Redeemed) if story.shares == 0 => Stage::Reversed,
        ("F", Stage::Redeemed) => Stage::Redeemed,
        (_, stage) => return Some(format!("{kind} {why} at {at} of an order that is {stage:?}")),
    };
    let first = story.stage == Stage::Untouched;
    story.stage = next;
    story.was_redeemed |= next == Stage::Redeemed;
    if kind == "F" {
        story.shares += group.iter().map(|one| one.fen).sum::<i64>();
        story.restored.extend(group.iter().filter(|one| one.to == "outstanding").map(|one| one.unit));
        return None;
    }
    let whole: Vec<bool> =
        group.iter().map(|one| evidence.vouchers.get(&one.unit).is_some_and(|v| v.1 == one.fen)).collect();
    if whole.contains(&false) {
        return Some(format!("{kind} moves another amount than the voucher's"));
    }
    if first {
        story.taken_at = at;
        story.units = units;
        let in_time = (evidence.begin..evidence.end).contains(&at);
        let few = story.units.len() <= evidence.most_vouchers;
        return (!in_time || !few).then(|| format!("takes {:?} at {at}", story.units));
    }
    (story.units != units).then(|| format!("{kind} moves {units:?} of {:?}", story.units))
}

/// Live vouchers of the person at the order's merchant on the day on which it was taken.
fn too_many_a_day(evidence: &Evidence, stories: &[Story], order: usize) -> Option<String> {
    let day = |story: &Story| (story.taken_at + DAY / 3).div_euclid(DAY);
    let live = |story: &Story| matches!(story.stage, Stage::Held | Stage::Redeemed) && story.restored != story.units;
    let here = |other: usize| evidence.orders[other].merchant == evidence.orders[order].merchant;
    let same_day = |(other, story): &(usize, &Story)| here(*other) && live(story) && day(story) == day(&stories[order]);
    let used: usize = stories.iter().enumerate().filter(same_day).map(|(_, story)| story.units.len()).sum();
    (used > evidence.most_a_day).then(|| format!("order {order} makes {used} vouchers a day"))
}

/// Whether the record says what the ledger says.
fn record_faults(story: &Story, seen: &OrderSeen) -> Vec<String> {
    let mut faults = Vec::new();
    let word = seen.found.as_ref().map_or("absent", |found| found.state.as_str());
    let allowed: &[&str] = match story.stage {
        Stage::Untouched => &["absent", "reversed"],
        Stage::Held => &["held"],
        Stage::Redeemed => &["redeemed", "partially_refunded", "refunded"],
        Stage::Cancelled => &["cancelled", "reversed"],
        Stage::Lapsed => &["expired", "cancelled", "reversed"],
        Stage::Reversed => &["reversed"],
    };
    if !allowed.contains(&word) {
        faults.push(format!("the record says {word}, the ledger {:?}", story.stage));
    }
    let Some(found) = &seen.found else { return faults };
    if story.stage != Stage::Untouched && found.units != story.units {
        faults.push(format!("the record has {:?}, the ledger {:?}", found.units, story.units));
    }
    let (mut total, mut shares) = (0, 0);
    let payer = |total: i64| (found.net - found.discount) * total / found.net;
    for (id, amount, share) in &found.refunds {
        let wanted = amount - (payer(total + amount) - payer(total));
        if *share != wanted {
            faults.push(format!("refund {id} gives {share} to the issuer instead of {wanted}"));
        }
        total += amount;
        shares += share;
    }
    let of_state = if total == 0 {
        "redeemed"
    } else if total < found.net {
        "partially_refunded"
    } else {
        "refunded"
    };
    if story.stage == Stage::Redeemed && word != of_state || total > found.net {
        faults.push(format!("{total} of {} came back and the state is {word}", found.net));
    }
    if shares != story.shares {
        faults.push(format!("the record gives {shares} to the issuer, the ledger {}", story.shares));
    }
    faults
}

/// Whether what was answered is what is there.
fn answer_faults(evidence: &Evidence, order: usize, story: &Story) -> Vec<String> {
    let mut faults = Vec::new();
    let events: Vec<&Event> = evidence.events.iter().filter(|event| event.order == order).collect();
    let found = evidence.orders[order].found.as_ref();
    let state = found.map_or("absent", |found| found.state.as_str());
    let mut bodies = BTreeSet::new();
    let reversed_at = events.iter().filter(|e| e.call == Call::Reverse && matches!(e.answer, Answer::Done(..)));
    let reversed_at = reversed_at.map(|event| event.ended).min();
    for event in &events {
        let wrong = match (&event.answer, &event.call) {
            (Answer::Lost, _) => None,
            (Answer::Refused(code @ ("internal" | "store_timeout" | "store_unavailable")), _) => Some(*code),
            (Answer::Refused("order_reversed"), _) => {
                let called = events.iter().any(|other| other.call == Call::Reverse && other.begun < event.ended);
                (!called).then_some("nobody had reversed it")
            }
            (Answer::Refused(_), _) => None,
            (Answer::Done(..), Call::Reverse) => (state != "reversed").then_some("a reverse was answered"),
            (Answer::Done(..), _) if reversed_at.is_some_and(|at| event.begun > at) => {
                Some("an effect was answered after a reverse")
            }
            (Answer::Done(body, ..), Call::Redeem { .. }) => {
                bodies.insert(body);
                (story.stage == Stage::Untouched).then_some("an effect was answered and there is none")
            }
            (Answer::Done(..), Call::Confirm) => (!story.was_redeemed).then_some("a confirm was answered"),
            (Answer::Done(..), Call::Cancel) => {
                (!matches!(state, "cancelled" | "reversed")).then_some("a cancel was answered")
            }
            (Answer::Done(_, payer, issuer), Call::Refund { id, amount }) => {
                let kept = (id.clone(), *amount, *issuer);
                let there = found.is_some_and(|found| found.refunds.contains(&kept)) && payer + issuer == *amount;
                (!there).then_some("a refund was answered that is not there")
            }
        };
        faults.extend(wrong.map(|wrong| format!("{wrong}: {event:?}")));
    }
    if bodies.len() > 1 {
        faults.push(format!("repeats read differently: {bodies:?}"));
    }
    let redeems = || events.iter().filter(|event| matches!(event.call, Call::Redeem { .. }));
    if story.stage != Stage::Untouched && redeems().all(|event| is_final(&event.answer)) {
        faults.push("every redeem was refused and yet there is an effect".to_owned());
    }
    let asked =
        |id: &String| events.iter().any(|event| matches!(&event.call, Call::Refund { id: known, .. } if known == id));
    let unasked = found.iter().flat_map(|found| &found.refunds).filter(|refund| !asked(&refund.0));
    faults.extend(unasked.map(|refund| format!("nobody asked for refund {}", refund.0)));
    faults
}

/// A refusal that says: not applied, of an order that nobody has applied either.
fn is_final(answer: &Answer) -> bool {
    let known = ["order_conflict", "order_reversed", "order_cancelled", "hold_expired", "store_unavailable"];
    matches!(answer, Answer::Refused(code) if !known.contains(code))
}
