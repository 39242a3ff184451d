//! A change of an order while it is written: what becomes of the payer's records, where the money of its vouchers goes, and until when all
//! that holds. The store takes it only if everything is still as it was read.

use super::limits::use_of_person;
use super::plan::PersonAt;
use super::seen::StoredRecord;
use crate::domain::campaign::schema::LimitAction;
use crate::domain::campaign::terms::HOLD_SECONDS;
use crate::domain::limit::{Keeper, LimitFact, Place, facts_of_voucher, facts_on, period_number};
use crate::domain::money::Fen;
use crate::domain::order::{LATE_CONFIRM, Order, OrderKey, OrderUnit};
use crate::domain::person::bucket_of;
use crate::domain::refund::{Completion, Terms, is_of_voucher};
use crate::domain::time::{Ms, SECOND};
use crate::domain::voucher::{UnitByte, UnitState};
use crate::engine::config::view::CampaignView;
use crate::store::StoreError;
use crate::store::change::{Account, Change, Movement, Tally};
use crate::store::ledger::{Bytes, Line, To};
use crate::store::record::{Hold, PersonRecord, Usage, WITH_THE_CALL};

pub(super) struct Draft<'a> {
    /// When everything was read.
    pub now: Ms,
    people: Vec<Person<'a>>,
    from: Ms,
    until: Ms,
    money: Vec<Moved>,
    least: Vec<(OrderUnit, Ms, Account, Fen)>,
    lines: Vec<Line>,
}

struct Person<'a> {
    at: &'a PersonAt,
    stored: &'a StoredRecord,
    becomes: Option<PersonRecord>,
}

struct Moved {
    unit: OrderUnit,
    end: Ms,
    accounts: Vec<(Account, Fen)>,
    tallies: Vec<(Tally, i64)>,
    lapses: bool,
}

impl<'a> Draft<'a> {
    /// Over a payer's records as they were read together.
    pub(super) fn new(people: &'a [PersonAt], records: &'a [Option<StoredRecord>], now: Ms) -> Draft<'a> {
        let with_record = people.iter().zip(records).filter_map(|(at, record)| Some((at, record.as_ref()?)));
        let people = with_record.map(|(at, stored)| Person { at, stored, becomes: None }).collect();
        let none = (Vec::new(), Vec::new(), Vec::new());
        Draft { now, people, from: 0, until: Ms::MAX, money: none.0, least: none.1, lines: none.2 }
    }

    fn person(&self, unit: &OrderUnit) -> Result<&Person<'a>, StoreError> {
        let same = |person: &&Person| person.at.view.number == unit.c && person.at.field == unit.f;
        self.people.iter().find(same).ok_or_else(|| broken("an order's person has no record"))
    }

    fn view(&self, unit: &OrderUnit) -> Result<&'a CampaignView, StoreError> {
        Ok(&self.person(unit)?.at.view)
    }

    fn record(&self, unit: &OrderUnit) -> Result<&PersonRecord, StoreError> {
        let person = self.person(unit)?;
        Ok(person.becomes.as_ref().unwrap_or(&person.stored.person))
    }

    fn record_mut(&mut self, unit: &OrderUnit) -> Result<&mut PersonRecord, StoreError> {
        let same = |person: &&mut Person| person.at.view.number == unit.c && person.at.field == unit.f;
        let person = self.people.iter_mut().find(same).ok_or_else(|| broken("an order's person has no record"))?;
        Ok(person.becomes.get_or_insert_with(|| person.stored.person.clone()))
    }

    /// The byte of a voucher; an error when the person does not have it.
    pub(super) fn byte(&self, unit: &OrderUnit) -> Result<UnitByte, StoreError> {
        let pack = self.record(unit)?.packs.get(usize::from(unit.p));
        let same = pack.filter(|pack| (pack.round, pack.channel, pack.pack) == (unit.round, unit.channel, unit.pack));
        Ok(UnitByte::of(&same.ok_or_else(|| broken("an order's pack is not there"))?.units, unit.u))
    }

    pub(super) fn are(&self, units: &[OrderUnit], state: UnitState) -> Result<bool, StoreError> {
        let states = units.iter().map(|unit| Ok(self.byte(unit)?.state() == state));
        states.collect::<Result<Vec<bool>, _>>().map(|all| all.into_iter().all(|is| is))
    }

    /// A voucher of a held order must be held: anything else is for the audit to explain, and nothing more may happen to it.
    pub(super) fn require_held(&self, units: &[OrderUnit]) -> Result<(), StoreError> {
        if self.are(units, UnitState::Held)? { Ok(()) } else { Err(broken("a held order without its vouchers")) }
    }

    /// Where vouchers are that an order gave up before, two bits each; the change holds only while they are there.
    pub(super) fn whereabouts(&mut self, units: &[OrderUnit]) -> Result<u64, StoreError> {
        let mut all = 0;
        for (place, unit) in units.iter().enumerate() {
            all |= (self.byte(unit)?.state() as u64) << (2 * place);
            self.record_mut(unit)?;
        }
        Ok(all)
    }

    /// Writes the byte of a voucher, whose hold, if it had one, is over.
    pub(super) fn put(&mut self, unit: &OrderUnit, byte: UnitByte) -> Result<(), StoreError> {
        let record = self.record_mut(unit)?;
        record.holds.retain(|hold| (hold.pack, hold.unit) != (unit.p, unit.u));
        if let Some(pack) = record.packs.get_mut(usize::from(unit.p)) {
            byte.put(&mut pack.units, unit.u);
        }
        Ok(())
    }

    pub(super) fn put_state(&mut self, unit: &OrderUnit, state: UnitState) -> Result<(), StoreError> {
        let byte = self.byte(unit)?.into_state(state);
        self.put(unit, byte)
    }

    pub(super) fn hold(&mut self, unit: &OrderUnit, key: &OrderKey) -> Result<(), StoreError> {
        self.put_state(unit, UnitState::Held)?;
        let hold = Hold { pack: unit.p, unit: unit.u, until: WITH_THE_CALL, order: key.to_vec() };
        self.record_mut(unit)?.holds.push(hold);
        Ok(())
    }

    /// End of a voucher's validity.
    pub(super) fn end(&self, unit: &OrderUnit) -> Result<Ms, StoreError> {
        let (round, pack) = (usize::from(unit.round), usize::from(unit.pack));
        let window = self.view(unit)?.campaign.unit_window(round, pack, unit.u, unit.received_s * 1_000);
        window.map(|window| window.end).ok_or_else(|| broken("a unit has no window"))
    }

    /// Whether an instant is still to come; the change holds only on this side of it.
    pub(super) fn is_before(&mut self, instant: Ms) -> bool {
        let before = self.now < instant;
        if before {
            self.until = self.until.min(instant);
        } else {
            self.from = self.from.max(instant);
        }
        before
    }

    /// How often a voucher may have been given back for this refund to give it back; the change holds on this side of the end of its
    /// time for refunds.
    pub(super) fn most_restores(&mut self, terms: &Terms, completion: Completion) -> u8 {
        self.is_before(terms.closes);
        terms.most_restores(completion, self.now)
    }

    /// The limits on redeeming that a voucher meets in the periods of an instant.
    fn limits(&self, unit: &OrderUnit, place: &Place, at: Ms) -> Result<Vec<LimitFact<'a>>, StoreError> {
        let view = self.view(unit)?;
        Ok(facts_of_voucher(&view.campaign, &view.zone, (unit.of_pack(), unit.u), place, at))
    }

    /// Limits count by the city's day, so what counts today holds until midnight, whoever keeps the count.
    fn counts_today(&mut self, unit: &OrderUnit, facts: &[LimitFact]) -> Result<(), StoreError> {
        if facts.iter().any(|fact| fact.keeper != Keeper::Payment) {
            let midnight = self.view(unit)?.zone.day_ends(self.now);
            self.is_before(midnight);
        }
        Ok(())
    }

    /// Those that the person's record counts.
    fn of_person(&self, unit: &OrderUnit, mut facts: Vec<LimitFact<'a>>) -> Result<Vec<LimitFact<'a>>, StoreError> {
        facts.retain(|fact| fact.keeper == Keeper::Person);
        let record = self.record(unit)?;
        facts.iter_mut().for_each(|fact| use_of_person(fact, record));
        Ok(facts)
    }

    /// Counts the use of a voucher; the limit that does not take it if there is one. Older periods of a counted limit leave the record: it
    /// stays small.
    pub(super) fn count(
        &mut self,
        unit: &OrderUnit,
        place: &Place,
        at: Ms,
    ) -> Result<Option<LimitFact<'a>>, StoreError> {
        let met = self.limits(unit, place, at)?;
        if at == self.now {
            self.counts_today(unit, &met)?;
        }
        for fact in self.of_person(unit, met)? {
            if !fact.admits(1, unit.discount) {
                return Ok(Some(fact));
            }
            self.put_usage(unit, &fact, fact.count + 1, fact.amount + unit.discount)?;
        }
        Ok(None)
    }

    /// Gives back what the order counted when it took effect.
    pub(super) fn uncount(&mut self, unit: &OrderUnit, place: &Place, at: Ms) -> Result<(), StoreError> {
        let met = self.limits(unit, place, at)?;
        for fact in self.of_person(unit, met)? {
            let amount = (fact.amount - unit.discount).max(Fen::ZERO);
            let usage = self.record_mut(unit)?.usage.iter_mut().find(|used| is_of(used, &fact));
            if let Some(usage) = usage {
                (usage.count, usage.amount) = (fact.count - 1, amount.0);
            }
            self.record_mut(unit)?.usage.retain(|used| used.count > 0);
        }
        Ok(())
    }

    /// Counts a refund for each voucher that it is of; the limit that does not take it if there is one.
    pub(super) fn count_refund(
        &mut self,
        units: &[OrderUnit],
        shares: &[Fen],
        place: &Place,
    ) -> Result<Option<LimitFact<'a>>, StoreError> {
        let mut uses: Vec<(OrderUnit, LimitFact, Fen)> = Vec::new();
        for (_, (unit, share)) in
            units.iter().zip(shares).enumerate().filter(|(place, _)| is_of_voucher(shares, *place))
        {
            let view = self.view(unit)?;
            let facts = facts_on(LimitAction::Refund, &view.campaign, &view.zone, unit.of_pack(), place, self.now);
            self.counts_today(unit, &facts)?;
            for fact in self.of_person(unit, facts)? {
                let same = |(of, known, _): &&mut (OrderUnit, LimitFact, Fen)| of.c == unit.c && known.same(&fact);
                match uses.iter_mut().find(same) {
                    Some((_, _, amount)) => *amount = *amount + *share,
                    None => uses.push((*unit, fact, *share)),
                }
            }
        }
        for (unit, fact, amount) in uses {
            if !fact.admits(1, amount) {
                return Ok(Some(fact));
            }
            self.put_usage(&unit, &fact, fact.count + 1, fact.amount + amount)?;
        }
        Ok(None)
    }

    fn put_usage(&mut self, unit: &OrderUnit, fact: &LimitFact, count: i64, amount: Fen) -> Result<(), StoreError> {
        // A hold that has run out may still be confirmed late, in the period in which it began.
        let began = self.now - Ms::from(*HOLD_SECONDS.end()) * SECOND - LATE_CONFIRM;
        let oldest = period_number(fact.limit, &self.view(unit)?.zone, began).min(fact.period);
        let usage = &mut self.record_mut(unit)?.usage;
        usage.retain(|used| !is_of(used, fact) && (used.limit != fact.number || used.period >= oldest));
        let (limit, entity, period) = (fact.number, fact.entity.to_vec(), fact.period);
        usage.push(Usage { limit, entity, period, count, amount: amount.0 });
        Ok(())
    }

    pub(super) fn moves(&mut self, unit: &OrderUnit, from: Account, to: Account) -> Result<(), StoreError> {
        self.money(unit, &[(from, Fen::ZERO - unit.discount), (to, unit.discount)], &[])
    }

    pub(super) fn money(
        &mut self,
        unit: &OrderUnit,
        accounts: &[(Account, Fen)],
        tallies: &[(Tally, i64)],
    ) -> Result<(), StoreError> {
        let end = self.end(unit)?;
        let (accounts, tallies) = (accounts.to_vec(), tallies.to_vec());
        self.money.push(Moved { unit: *unit, end, accounts, tallies, lapses: false });
        Ok(())
    }

    /// What moved last ran out, and a late confirm may still take it.
    pub(super) fn lapses(&mut self) {
        if let Some(moved) = self.money.last_mut() {
            moved.lapses = true;
        }
    }

    /// The change holds while an account has this much.
    pub(super) fn require(&mut self, unit: &OrderUnit, account: Account, fen: Fen) -> Result<(), StoreError> {
        let end = self.end(unit)?;
        self.least.push((*unit, end, account, fen));
        Ok(())
    }

    pub(super) fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// A hold ends without a use: its vouchers go back to the person, or to expired when their time is over.
    pub(super) fn release(
        &mut self,
        key: &OrderKey,
        order: &Order,
        place: &Place,
        why: Released,
    ) -> Result<(), StoreError> {
        self.require_held(&order.units)?;
        for unit in &order.units {
            let end = self.end(unit)?;
            let valid = self.is_before(end);
            self.put_state(unit, UnitState::Available)?;
            self.moves(unit, Account::Held, if valid { Account::Outstanding } else { Account::Expired })?;
            if why == Released::Expire {
                self.lapses();
            }
            self.line(Line::Released {
                c: unit.c,
                f: Bytes(unit.f),
                p: unit.p,
                u: unit.u,
                discount: unit.discount.0,
                ok: Bytes(*key),
                to: if valid { To::Outstanding } else { To::Expired },
                why: why.word().to_owned(),
                ran_out: if why == Released::Expire { order.until() } else { 0 },
            });
            self.uncount(unit, place, order.t0)?;
        }
        Ok(())
    }

    /// Whether a line is about the person.
    fn tells_of(&self, person: &Person) -> bool {
        let whose = (person.at.view.number, Bytes(person.at.field));
        self.lines.iter().any(|line| line.moves_voucher_of() == Some(whose))
    }

    /// The change of an order that was read as `seen`.
    pub(super) fn change(self, shard: u8, key: &OrderKey, seen: &[u8], order: &Order) -> Change {
        let mut change = Change::new(shard, key, seen, order);
        (change.from, change.until) = (self.from, self.until);
        for person in &self.people {
            if let Some(becomes) = &person.becomes {
                change.person(&person.at.bucket_key, &person.at.field, &person.stored.bytes, becomes);
                change.view(person.at.view.number, person.at.view.rev);
            }
        }
        for PersonAt { view, field, .. } in self.people.iter().filter(|person| self.tells_of(person)).map(|one| one.at)
        {
            change.happens_to(view.number, bucket_of(field, view.record.buckets), field);
        }
        for moved in &self.money {
            let (accounts, tallies) = (&moved.accounts[..], &moved.tallies[..]);
            change.moves(&Movement { unit: &moved.unit, end: moved.end, accounts, tallies, lapses: moved.lapses });
        }
        self.least.iter().for_each(|(unit, end, account, fen)| change.require(unit, *end, *account, *fen));
        self.lines.into_iter().for_each(|line| change.line(line));
        change
    }
}

/// Why a hold ends without a use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Released {
    Cancel,
    Expire,
    Reverse,
}

impl Released {
    fn word(self) -> &'static str {
        match self {
            Released::Cancel => "cancel",
            Released::Expire => "expire",
            Released::Reverse => "reverse",
        }
    }
}

fn is_of(used: &Usage, fact: &LimitFact) -> bool {
    (used.limit, used.period) == (fact.number, fact.period) && used.entity == fact.entity
}

fn broken(what: &str) -> StoreError {
    StoreError::Broken(what.to_owned())
}
