//! Hold or redeem, by the checked protocol: find or open the order in the merchant's directory, plan, apply on the payer's shard.

use super::apply::Applied;
use super::found::Met;
use super::limits::{Capped, Held, place_of};
use super::open::Opened;
use super::plan;
use super::plan::{PayerView, shard_hint};
use super::repeat::{Repeat, nobody};
use super::seen::Seen;
use super::{Answered, Ask, OrderView, TRIES, contended};
use crate::domain::binding::Asked;
use crate::domain::limit::Place;
use crate::domain::order::{Fingerprint, Order, OrderKey, OrderState, order_key};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::config::view::Snapshot;
use crate::engine::merchant::MerchantView;
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::order::StoredOrder;
use crate::store::orders::NO_SHARD;
use crate::store::script::{self, Args};

/// How often a plan is made again because a voucher was taken meanwhile.
const PLANS: usize = 5;

/// One request on its way, with everything that names it.
pub(super) struct Call<'a> {
    pub till: &'a Till,
    pub order_id: &'a str,
    pub ask: &'a Ask,
    /// As the till has asked, whoever was found by that.
    pub asked: Asked,
    /// Where it is made, as limits count it.
    pub place: Place,
    pub key: OrderKey,
    pub fingerprint: Fingerprint,
    pub merchant: &'a MerchantView,
    pub snapshot: &'a Snapshot,
    pub payer: &'a PayerView,
}

/// What came of an attempt.
enum Step {
    Done(Box<Answered<OrderView>>),
    /// The attempt is void: open the next one.
    Next,
    /// The request that had made it has taken it back: open the order again.
    Gone,
}

type Answer = Answered<OrderView>;

impl Call<'_> {
    fn repeat(&self) -> Repeat<'_> {
        let Call { till, order_id, ask, asked, payer, .. } = *self;
        Repeat { till, order_id, ask, asked, key: &self.key, payer: Ok(payer) }
    }
}

impl Engine {
    /// Takes the best vouchers (or the named ones) for an order, at once or on hold until it is confirmed.
    pub async fn redeem(&self, till: &Till, order_id: &str, ask: &Ask) -> Result<Answer, Refusal> {
        ask.check()?;
        let asked = ask.asked();
        let ask = &*self.with_payer(till, Some(order_id), ask).await?;
        for _ in 0..TRIES {
            if let Some(answer) = self.with_view(|| self.redeem_once(till, order_id, ask, asked)).await? {
                return Ok(answer);
            }
        }
        Err(contended())
    }

    /// `None` when the order has gone from its directory and is to be opened again.
    async fn redeem_once(
        &self,
        till: &Till,
        order_id: &str,
        ask: &Ask,
        asked: Asked,
    ) -> Result<Option<Answer>, Failure> {
        let merchant = self.merchant_of(till).await?;
        let snapshot = self.view();
        let key = order_key(&till.merchant_id, order_id);
        let fingerprint = ask.binding().fingerprint();
        let Some(shard) = shard_hint(&self.keys.voucher, &snapshot, &merchant, ask, self.store.shards()) else {
            let payer = Err(nobody(ask));
            return self.redeem_of_nobody(&Repeat { till, order_id, ask, asked, key: &key, payer }).await.map(Some);
        };
        let opening = self.open(&till.merchant_id, &key, &fingerprint, shard, &merchant, &snapshot);
        let (opened, payer) = tokio::join!(opening, self.payer_seen(&snapshot, &merchant, ask, Some(&key)));
        let mut opened = match (opened, &payer) {
            (Err(Failure::Refusal(closed)), Ok((payer, _))) if closed.code == Code::MerchantNotEnrolled => {
                return Err(plan::outside_all(&merchant, payer).into());
            }
            // Whose merchant may not open an order learns nothing of codes and vouchers: what is not theirs is unknown.
            (Err(Failure::Refusal(closed)), Err(unknown)) if closed.code != Code::OrderReversed => {
                return Err(unknown.clone().into());
            }
            (opened, _) => opened?,
        };
        let (payer, seen) = match payer {
            Ok(found) => found,
            Err(refusal) => {
                let repeat = Repeat { till, order_id, ask, asked, key: &key, payer: Err(refusal.clone()) };
                return self.refuse_unplanned(&repeat, &opened, &fingerprint, refusal).await.map(Some);
            }
        };
        let call = Call {
            till,
            order_id,
            ask,
            asked,
            // A store that is unknown is told when the order turns out to be new.
            place: place_of(till, ask, merchant.store(&ask.store).unwrap_or_default()),
            key,
            fingerprint,
            merchant: &merchant,
            snapshot: &snapshot,
            payer: &payer,
        };
        let mut seen = Some(seen);
        for _ in 0..TRIES {
            let same = opened.shard == shard && opened.fingerprint == fingerprint && !opened.released;
            if same {
                match self.attempt(&call, &opened, seen.take()).await? {
                    Step::Done(answer) => return Ok(Some(*answer)),
                    Step::Gone => return Ok(None),
                    Step::Next => {}
                }
            } else if let Some(stored) = self.outcome_of_another(&call.key, &opened).await? {
                return self.standing(&call.repeat(), opened.shard, stored).await.map(Some);
            }
            if let Some(answer) = self.next_attempt(&call, &mut opened).await? {
                return Ok(Some(answer));
            }
            if opened.attempt == 0 {
                return Ok(None);
            }
        }
        Err(contended().into())
    }

    /// The order first, even when pay code, account or voucher ids are not of ours.
    async fn redeem_of_nobody(&self, repeat: &Repeat<'_>) -> Result<Answer, Failure> {
        let Repeat { till, key, .. } = repeat;
        let entry = self.store.directory_entry(&till.merchant_id, key).await?;
        if let Some(entry) = entry {
            if entry.reversed.is_some() {
                return Err(Code::OrderReversed.into());
            }
            if let Some(stored) = self.store.order(entry.shard, key).await?
                && stored.order.state != OrderState::Void
            {
                return self.standing(repeat, entry.shard, stored).await;
            }
            // An earlier copy of the order may still be on its way; after this it cannot apply, and "not applied" is true.
            if entry.shard != NO_SHARD {
                if let Some(stored) = self.close(till, key, entry.attempt, entry.shard).await? {
                    return self.standing(repeat, entry.shard, stored).await;
                }
                if !entry.alone {
                    self.release_void_or_owe(&till.merchant_id, key, entry.attempt).await;
                }
            }
        }
        Err(nobody(repeat.ask).into())
    }

    /// A payer who is not known: an order that has had its effect answers to whoever made it.
    async fn refuse_unplanned(
        &self,
        repeat: &Repeat<'_>,
        opened: &Opened,
        fingerprint: &Fingerprint,
        refusal: Refusal,
    ) -> Result<Answer, Failure> {
        let Repeat { till, key, .. } = repeat;
        if opened.fresh {
            self.take_back(till, key, opened, fingerprint).await;
            return Err(Failure::from(refusal).not_begun());
        }
        if let Some(stored) = self.close(till, key, opened.attempt, opened.shard).await? {
            return self.standing(repeat, opened.shard, stored).await;
        }
        // One that was alone held nothing, and by now its number may be another's.
        if !opened.alone {
            self.release_void_or_owe(&till.merchant_id, key, opened.attempt).await;
        }
        Err(refusal.into())
    }

    /// One attempt. What fails before anything of it can have reached the payer's shard has not happened.
    async fn attempt(&self, call: &Call<'_>, opened: &Opened, first: Option<Seen>) -> Result<Step, Failure> {
        let mut held = Held::of(opened);
        let step = self.plan_and_apply(call, opened, first, &mut held).await;
        if step.is_err() && !held.named && !held.reached {
            self.take_back(call.till, &call.key, opened, &call.fingerprint).await;
        }
        step.map_err(|failure| if held.reached { failure } else { failure.not_begun() })
    }

    /// Plans first on what was read while the order was opened; what others take meanwhile makes it plan again.
    async fn plan_and_apply(
        &self,
        call: &Call<'_>,
        opened: &Opened,
        mut first: Option<Seen>,
        held: &mut Held,
    ) -> Result<Step, Failure> {
        let mut joined = false;
        for _ in 0..PLANS {
            // An order that was there before may have had its effect.
            let seen = match first.take().filter(|seen| opened.fresh || !seen.records_only) {
                Some(seen) => seen,
                None => self.read_wallet(call.payer, Some(&call.key)).await?,
            };
            let records_only = seen.records_only;
            match &seen.order {
                Some(stored) if stored.order.state != OrderState::Void => {
                    return self.stands(call, stored.clone()).await;
                }
                Some(stored) if stored.order.attempt >= opened.attempt => return Ok(Step::Next),
                _ if !joined && !self.join(call.till, &call.key, opened).await? => return Ok(Step::Gone),
                _ => joined = true,
            }
            let planned = match self.plan(call, opened, held, seen).await {
                Ok(planned) => planned,
                Err(_) if records_only => continue,
                Err(refusal) => match self.learn_held(call, opened, held, &refusal).await? {
                    true => continue,
                    false => return self.refuse(call, opened, held.sent, refusal).await,
                },
            };
            let taken = self.take_before(call, opened.attempt, &planned, held).await;
            match taken.inspect_err(|_| self.owed.wake())? {
                Capped::Held => {}
                Capped::Full => continue,
                Capped::Void => return Ok(Step::Next),
            }
            (held.sent, held.reached) = (true, true);
            let applied = match self.apply(call, opened.attempt, &planned).await.inspect_err(|_| self.owed.wake()) {
                Err(Failure::Refusal(refusal)) => return self.refuse(call, opened, held.sent, *refusal).await,
                applied => applied?,
            };
            match applied {
                Applied::Order(order) => {
                    self.orders.put(call.key, Met::new(call.payer.shard, &order));
                    self.settle_quotas(call, opened.attempt, &planned, held).await;
                    return Ok(Step::Done(Box::new(self.answer(call, *order, false)?)));
                }
                Applied::Another(raw) if !raw.is_empty() => {
                    let stored = StoredOrder::decode(&raw)?;
                    match stored.order.state {
                        OrderState::Void if stored.order.attempt >= opened.attempt => return Ok(Step::Next),
                        OrderState::Void => {}
                        _ => return self.stands(call, stored).await,
                    }
                }
                Applied::Another(_) | Applied::Stale => held.came_to_nothing(),
            }
        }
        self.refuse(call, opened, held.sent, contended()).await
    }

    /// Whether a copy of the order has taken of the merchant's caps what this plan took for others': then the plan is made again, for
    /// a refusal would end the attempt that the copy is about to apply.
    async fn learn_held(
        &self,
        call: &Call<'_>,
        opened: &Opened,
        held: &mut Held,
        refusal: &Refusal,
    ) -> Result<bool, Failure> {
        if !matches!(refusal.code, Code::LimitReached | Code::NoVoucherApplicable) {
            return Ok(false);
        }
        let Call { till, key, fingerprint, payer, merchant, snapshot, .. } = call;
        let now = self.open(&till.merchant_id, key, fingerprint, payer.shard, merchant, snapshot).await?;
        Ok(now.attempt == opened.attempt && held.learn(now.held))
    }

    async fn plan(
        &self,
        call: &Call<'_>,
        opened: &Opened,
        held: &Held,
        seen: Seen,
    ) -> Result<(plan::Planned, Seen), Refusal> {
        if opened.frozen {
            return Err(Code::MerchantFrozen.into());
        }
        if opened.enrolled.is_empty() {
            return Err(plan::outside_all(call.merchant, call.payer));
        }
        call.merchant.store(&call.ask.store)?;
        let counts_terminal = call.merchant.counts_terminal(call.till)?;
        self.require_code(call.payer, &seen, Some(&call.key))?;
        let seen = self.without_lapsed(call.payer, seen, Some(&call.key)).await?;
        let place = call.place.clone();
        let caps =
            self.caps_seen(call.payer, &seen, &call.till.merchant_id, &place, (Some(&call.key), &held.caps)).await?;
        let unlisted = self.unlisted(&call.payer.people, &call.till.named).await?;
        let serials = self.serials_used(call.payer, &seen, &call.ask.items, Some(&call.key)).await?;
        let counter = plan::Counter {
            merchant: call.merchant,
            place,
            counts_terminal,
            enrolled: &opened.enrolled,
            unlisted,
            caps,
            serials,
        };
        let planned = plan::basket(call.payer, &seen, &counter, call.ask, false)?;
        if planned.units.is_empty() {
            return Err(crate::domain::basket::nothing_fits(&planned.basket));
        }
        Ok((planned, seen))
    }

    /// A refusal is final for its attempt: once it may have reached the shard it is made void there before the till is told.
    async fn refuse(&self, call: &Call<'_>, opened: &Opened, sent: bool, refusal: Refusal) -> Result<Step, Failure> {
        if sent {
            if let Some(stored) = self.close(call.till, &call.key, opened.attempt, opened.shard).await? {
                return self.stands(call, stored).await;
            }
            self.release_void_or_owe(&call.till.merchant_id, &call.key, opened.attempt).await;
        }
        Err(refusal.into())
    }

    /// Makes the open attempt void and takes the next one for this request, by compare-and-set. Attempt 0: the order has gone from its directory.
    async fn next_attempt(&self, call: &Call<'_>, opened: &mut Opened) -> Result<Option<Answer>, Failure> {
        if let Some(stored) = self.close(call.till, &call.key, opened.attempt, opened.shard).await? {
            return Ok(Some(self.standing(&call.repeat(), opened.shard, stored).await?));
        }
        let merchant_id = &call.till.merchant_id;
        let field = keys::merchant_field(merchant_id);
        let void = |args: Args| args.bytes(&field).int(opened.attempt).int(opened.shard);
        let fill = |args: Args| void(args).bytes(call.fingerprint).int(call.payer.shard);
        let replan = |given: u8| {
            self.store
                .directory_step(&script::ORDER_REPLAN, merchant_id, &call.key, false, move |args| fill(args).int(given))
        };
        // The attempt before is void, and the next one is not sent.
        let not_begun = |error: StoreError| Failure::from(error).not_begun();
        let mut reply = replan(0).await.map_err(not_begun)?;
        if reply.is("holding") {
            // The entry names the quotas until they are given back, so the next attempt waits; the void one has taken nothing.
            if !self.release_void_or_owe(merchant_id, &call.key, opened.attempt).await {
                return Err(Refusal::new(Code::StoreUnavailable).retry_after_ms(1_000).into());
            }
            reply = replan(1).await.map_err(not_begun)?;
        }
        if let Some(code) = reply.refused() {
            return Err(refused(code));
        }
        opened.attempt = reply.int(0) as u32;
        opened.shard = reply.int(1) as u8;
        opened.alone = reply.int(3) == 1;
        opened.released = false;
        opened.held.clear();
        opened.quotas = false;
        opened.fresh = reply.is("ok");
        opened.fingerprint = if reply.is("ok") { call.fingerprint.to_vec() } else { reply.bytes(2).to_vec() };
        Ok(None)
    }

    async fn stands(&self, call: &Call<'_>, stored: StoredOrder) -> Result<Step, Failure> {
        let shard = call.payer.shard;
        let answer = self.standing(&call.repeat(), shard, stored).await?;
        Ok(Step::Done(Box::new(answer)))
    }

    fn answer(&self, call: &Call<'_>, order: Order, replayed: bool) -> Result<Answer, Failure> {
        let view = self.order_view(&call.till.merchant_id, call.order_id, call.payer.shard, order)?;
        Ok(Answered { value: view, replayed })
    }
}

/// A code that a script names.
pub(super) fn refused(code: &str) -> Failure {
    match Code::named(code) {
        Some(code) => code.into(),
        None => StoreError::Broken(format!("a script refused with {code}")).into(),
    }
}
