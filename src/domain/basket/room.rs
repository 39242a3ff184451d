//! Whether thresholds and discounts of vouchers for different goods find room in the goods that each is for.
//!
//! Whichever vouchers one looks at together, their thresholds must fit into the goods that one of them is for, and so must their
//! discounts. Nobody has to go through all of them: money flows from each set of goods to the lines of the receipt that it contains, and
//! what finds no line is the most that any of them lack, for a largest flow is as large as the narrowest cut.

use std::collections::HashMap;

use smallvec::{SmallVec, smallvec};

use crate::domain::goods::Goods;
use crate::domain::money::Fen;
use crate::domain::rules::Payment;

/// The sets of goods of a payment's vouchers.
pub(super) struct Room {
    scopes: Vec<Scope>,
    parts: Vec<Part>,
}

struct Scope {
    /// What it contains; first what few others do.
    parts: Vec<usize>,
    /// Whether its thresholds are judged before the merchant's own offer.
    before_offer: bool,
    group: usize,
}

/// Lines of the receipt that the same sets contain.
struct Part {
    amount: Fen,
    net: Fen,
}

/// What is asked of the sets that somebody takes from, by set.
pub(super) struct Asked<'u> {
    pub thresholds: &'u [Fen],
    pub discounts: &'u [Fen],
}

impl Room {
    pub fn new(payment: &Payment, goods: &[Goods]) -> Room {
        let lines: Vec<(Fen, Fen)> = match payment.items {
            [] => vec![(payment.amount, payment.net())],
            items => items.iter().map(|item| (item.amount, item.amount - item.merchant_discount)).collect(),
        };
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        let (mut parts, mut sharers): (Vec<Part>, Vec<usize>) = (Vec::new(), Vec::new());
        for (line, (amount, net)) in lines.into_iter().enumerate() {
            let scopes: Vec<usize> = (0..goods.len()).filter(|scope| goods[*scope].has(line)).collect();
            let count = scopes.len();
            let part = *known.entry(scopes).or_insert_with(|| {
                parts.push(Part { amount: Fen::ZERO, net: Fen::ZERO });
                sharers.push(count);
                parts.len() - 1
            });
            parts[part] = Part { amount: parts[part].amount + amount, net: parts[part].net + net };
        }
        // Without an offer it is all the same when a threshold is judged.
        let offers = parts.iter().any(|part| part.amount != part.net);
        let scope = |(place, goods): (usize, &Goods)| {
            let mut own: Vec<usize> =
                known.iter().filter(|(scopes, _)| scopes.contains(&place)).map(|one| *one.1).collect();
            own.sort_unstable_by_key(|part| (sharers[*part], *part));
            Scope { parts: own, before_offer: offers && goods.before_offer, group: place }
        };
        let mut room = Room { scopes: goods.iter().enumerate().map(scope).collect(), parts };
        room.group();
        room
    }

    /// Sets that share a line are of one group; so are all of them where some thresholds are judged before an offer and some after it, for
    /// together they are judged after it.
    fn group(&mut self) {
        let judged_alike = self.scopes.iter().all(|scope| scope.before_offer == self.scopes[0].before_offer);
        for scope in 1..self.scopes.len() {
            for other in 0..scope {
                let (one, two) = (&self.scopes[scope], &self.scopes[other]);
                if one.group != two.group && (!judged_alike || one.parts.iter().any(|part| two.parts.contains(part))) {
                    let (from, to) = (one.group, two.group);
                    self.scopes.iter_mut().filter(|scope| scope.group == from).for_each(|scope| scope.group = to);
                }
            }
        }
    }

    pub fn group_of(&self, scope: usize) -> usize {
        self.scopes[scope].group
    }

    pub fn of_group(&self, group: usize) -> impl Iterator<Item = usize> {
        (0..self.scopes.len()).filter(move |scope| self.scopes[*scope].group == group)
    }

    /// All money of a group: the most that its thresholds can find, and the most that can be taken off.
    pub fn money_of(&self, group: usize) -> (Fen, Fen) {
        let mut parts: Vec<usize> = self.of_group(group).flat_map(|scope| self.scopes[scope].parts.clone()).collect();
        parts.sort_unstable();
        parts.dedup();
        let before = self.of_group(group).any(|scope| self.scopes[scope].before_offer);
        let sum = |of: fn(&Part) -> Fen| parts.iter().map(|part| of(&self.parts[*part])).sum::<Fen>();
        let net = sum(|part| part.net);
        (if before { sum(|part| part.amount) } else { net }, net)
    }

    /// How much more must be bought of the goods for all that is asked of these sets; each look at a part is a step.
    pub fn missing(&self, asked: &Asked, of: impl Fn(usize) -> bool, steps: &mut u64) -> Fen {
        *steps += self.scopes.len() as u64;
        // Only goods that somebody takes from: those of others must not change how a threshold is judged.
        let taken = (0..self.scopes.len()).filter(|scope| asked.discounts[*scope] > Fen::ZERO && of(*scope));
        let taken: SmallVec<[usize; 4]> = taken.collect();
        let off = self.lack(&taken, |scope| asked.discounts[scope], |part| part.net, steps);
        let (before, after): (SmallVec<[usize; 4]>, SmallVec<[usize; 4]>) =
            taken.iter().copied().partition(|scope| self.scopes[*scope].before_offer);
        let threshold = |scope: usize| asked.thresholds[scope];
        let mut most = off.max(self.lack(&before, threshold, |part| part.amount, steps));
        if before.is_empty() {
            return most.max(self.lack(&after, threshold, |part| part.net, steps));
        }
        // Sets of both kinds are judged after the offer when one of them is: with each of those in turn.
        let all: Fen = taken.iter().map(|scope| threshold(*scope)).sum();
        for with in after {
            let whole: Fen = self.scopes[with].parts.iter().map(|part| self.parts[*part].net).sum();
            let asked = |scope: usize| if scope == with { whole } else { threshold(scope) };
            most = most.max(all - self.flow(&taken, asked, |part| part.net, steps));
        }
        most
    }

    /// The most that any of these sets lack together.
    fn lack(&self, of: &[usize], asked: impl Fn(usize) -> Fen, money: impl Fn(&Part) -> Fen, steps: &mut u64) -> Fen {
        let all: Fen = of.iter().map(|scope| asked(*scope)).sum();
        all - self.flow(of, asked, money, steps)
    }

    /// How much of what is asked of the sets finds its goods.
    fn flow(&self, of: &[usize], asked: impl Fn(usize) -> Fen, money: impl Fn(&Part) -> Fen, steps: &mut u64) -> Fen {
        *steps += self.parts.len() as u64;
        let left: SmallVec<[Fen; 8]> = self.parts.iter().map(money).collect();
        let put = of.iter().map(|scope| smallvec![Fen::ZERO; self.scopes[*scope].parts.len()]).collect();
        let mut flow = Flow { room: self, of, left, put };
        let mut found = Fen::ZERO;
        let mut rest: SmallVec<[Fen; 4]> = of.iter().map(|scope| asked(*scope)).collect();
        for (place, rest) in rest.iter_mut().enumerate() {
            found = found + flow.pour(place, rest, steps);
        }
        for (place, rest) in rest.iter_mut().enumerate() {
            while *rest > Fen::ZERO && of.len() > 1 {
                let more = flow.make_way(place, *rest, steps);
                if more == Fen::ZERO {
                    break;
                }
                *rest = *rest - more;
                found = found + more;
            }
        }
        found
    }
}

/// From a set to a part or back: where it comes from, and the part's place among those of the set.
type Hop = (usize, usize);

/// Money on its way from sets to parts.
struct Flow<'r> {
    room: &'r Room,
    of: &'r [usize],
    left: SmallVec<[Fen; 8]>,
    /// By set, in the order of its parts.
    put: SmallVec<[SmallVec<[Fen; 4]>; 4]>,
}

impl Flow<'_> {
    fn parts(&self, place: usize) -> &[usize] {
        &self.room.scopes[self.of[place]].parts
    }

    /// Fills the parts of a set as they stand; how much found room.
    fn pour(&mut self, place: usize, rest: &mut Fen, steps: &mut u64) -> Fen {
        let mut found = Fen::ZERO;
        for index in 0..self.parts(place).len() {
            *steps += 1;
            let part = self.parts(place)[index];
            let fits = (*rest).min(self.left[part]);
            self.left[part] = self.left[part] - fits;
            self.put[place][index] = fits;
            *rest = *rest - fits;
            found = found + fits;
            if *rest == Fen::ZERO {
                break;
            }
        }
        found
    }

    /// Moves what others have put to other parts of theirs, so that a set finds room for some more; by the shortest way, so that it ends.
    fn make_way(&mut self, start: usize, rest: Fen, steps: &mut u64) -> Fen {
        // From which set each part was come to, and from which part each set, both with the index among the set's parts.
        let mut to_part: Vec<Option<Hop>> = vec![None; self.left.len()];
        let mut to_set: Vec<Option<Hop>> = vec![None; self.of.len()];
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(place) = queue.get(next).copied() {
            next += 1;
            for index in 0..self.parts(place).len() {
                *steps += 1;
                let part = self.parts(place)[index];
                if to_part[part].is_some() {
                    continue;
                }
                to_part[part] = Some((place, index));
                if self.left[part] > Fen::ZERO {
                    return self.turn(start, part, rest.min(self.left[part]), &to_part, &to_set);
                }
                for (other, reached) in to_set.iter_mut().enumerate() {
                    *steps += self.parts(other).len() as u64;
                    let holds = self.parts(other).iter().position(|own| *own == part);
                    let holds = holds.filter(|index| self.put[other][*index] > Fen::ZERO);
                    if let Some(index) = holds.filter(|_| other != start && reached.is_none()) {
                        *reached = Some((part, index));
                        queue.push(other);
                    }
                }
            }
        }
        Fen::ZERO
    }

    /// Goes the way back from a part with room: each set on it puts here what it had put one part before.
    fn turn(&mut self, start: usize, end: usize, most: Fen, to_part: &[Option<Hop>], to_set: &[Option<Hop>]) -> Fen {
        let mut way: SmallVec<[(Hop, Option<Hop>); 8]> = SmallVec::new();
        let (mut part, mut fits) = (end, most);
        while let Some((place, index)) = to_part[part] {
            let from = if place == start { None } else { to_set[place] };
            way.push(((place, index), from));
            let Some((before, index)) = from else { break };
            fits = fits.min(self.put[place][index]);
            part = before;
        }
        self.left[end] = self.left[end] - fits;
        for ((place, index), from) in way {
            self.put[place][index] = self.put[place][index] + fits;
            if let Some((_, index)) = from {
                self.put[place][index] = self.put[place][index] - fits;
            }
        }
        fits
    }
}
