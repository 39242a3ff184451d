//! Serial numbers: what a voucher with `unique_serial` pays for is paid for once in the campaign, by whomever and wherever.
//!
//! A number and the orders that name it lie on different slots, so this is a protocol of steps that may stop anywhere. The index is
//! marked with the order and its attempt before the vouchers are taken. Who finds a number marked by another order asks that order's
//! shard: if it has its effect, the answer is no; otherwise what was meant there is ended for good from that moment (an attempt that
//! has not arrived is void, a hold that has run out loses its late confirm), and the mark may be replaced. So of two orders that hold
//! one mark after the other only one can have its effect, and a mark that a dead node left behind keeps nobody out. Marks are never
//! removed: what is absent has never been meant.

use super::limits::Capped;
use super::plan::PayerView;
use super::redeem::Call;
use super::seen::Seen;
use super::{TRIES, contended};
use crate::domain::bought::Bought;
use crate::domain::campaign::schema::VoucherKind;
use crate::domain::limit::fact_of_piece;
use crate::domain::order::{Order, OrderKey, OrderState};
use crate::domain::refund::completed_at;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Item, Payment};
use crate::domain::time::Ms;
use crate::engine::config::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::keys;
use crate::store::serial::{SerialHolder, SerialPlace, Taken};

/// A serial number in a campaign.
pub(super) type Serial = (u16, String);

/// One that another order uses, or holds until an instant.
pub(super) struct InUse {
    campaign: u16,
    serial: String,
    until: Option<Ms>,
}

/// How an order that the index names stands to its serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It uses it, or holds it.
    Live,
    /// Its hold has run out, but a late confirm would use it.
    MayReturn,
    /// It does not use it and never will under this mark.
    Ended,
}

fn claim_of(order: &Order, holder: &SerialHolder, view: &CampaignView, now: Ms) -> Claim {
    let uses = |unit: &crate::domain::order::OrderUnit| {
        let pack = view.campaign.packs.get(usize::from(unit.pack));
        unit.c == view.number && pack.and_then(|pack| pack.kind_of(unit.u)).is_some_and(VoucherKind::has_unique_serial)
    };
    // A later attempt marks its numbers anew; and one that was planned again may have taken other vouchers.
    if order.attempt > holder.attempt || !order.units.iter().any(uses) {
        return Claim::Ended;
    }
    let own = || (0..order.units.len()).filter(|place| uses(&order.units[*place]));
    let is_back = || own().all(|place| completed_at(order, place).is_some());
    match order.state {
        OrderState::Held if now < order.until() => Claim::Live,
        OrderState::Held | OrderState::Expired => Claim::MayReturn,
        // All goods of the campaign are back at the shop: the piece comes back as limits do.
        OrderState::Redeemed if view.campaign.refund_restores_limits && is_back() => Claim::Ended,
        OrderState::Redeemed => Claim::Live,
        OrderState::Cancelled | OrderState::Reversed | OrderState::Void | OrderState::Lapsed => Claim::Ended,
    }
}

fn place_of(view: &CampaignView, serial: &str) -> SerialPlace {
    SerialPlace { campaign: view.number, buckets: view.record.buckets, digest: keys::serial_digest(serial) }
}

/// Tells the vouchers which of their pieces are paid for already, and that no two of them pay for the same piece.
pub(super) fn mark<'a>(payment: &Payment, candidates: &mut [Candidate<'a>], used: &'a [InUse]) {
    for candidate in candidates.iter_mut().filter(|candidate| candidate.kind.has_unique_serial()) {
        let of_campaign = used.iter().filter(|one| one.campaign == candidate.voucher.c);
        candidate.used_serials = of_campaign.map(|one| (one.serial.as_str(), one.until)).collect();
        let pieces: Vec<_> = rules::serials(payment, candidate).into_iter().map(fact_of_piece).collect();
        candidate.limits.extend(pieces);
    }
}

/// What the taken vouchers use up, in one order for everybody, so that two who want the same numbers meet at the first.
pub(super) fn taken<'a>(payment: &Payment, taken: impl Iterator<Item = &'a Candidate<'a>>) -> Vec<Serial> {
    let of_one = |candidate: &'a Candidate<'a>| {
        let serials: Vec<String> = rules::serials(payment, candidate).into_iter().map(str::to_owned).collect();
        serials.into_iter().map(|serial| (candidate.voucher.c, serial))
    };
    let mut serials: Vec<Serial> = taken.flat_map(of_one).collect();
    serials.sort_unstable();
    serials.dedup();
    serials
}

impl Engine {
    /// Which serial numbers of these goods other orders use now.
    pub(super) async fn serials_used(
        &self,
        payer: &PayerView,
        seen: &Seen,
        items: &[Item],
        own: Option<&OrderKey>,
    ) -> Result<Vec<InUse>, Refusal> {
        let mut used = Vec::new();
        let people = payer.people.iter().zip(&seen.records).filter(|(_, record)| record.is_some());
        for view in people.map(|(person, _)| &person.view).filter(|view| view.unique_serials) {
            for serial in items.iter().filter_map(|item| item.serial.as_ref()) {
                let holder = self.store.serial_holder(&place_of(view, serial)).await?;
                let Some(holder) = holder.filter(|holder| own != Some(&holder.key)) else { continue };
                let Some(stored) = self.store.order(holder.shard, &holder.key).await? else { continue };
                if claim_of(&stored.order, &holder, view, self.now()) == Claim::Live {
                    let until = (stored.order.state == OrderState::Held).then(|| stored.order.until());
                    used.push(InUse { campaign: view.number, serial: serial.clone(), until });
                }
            }
        }
        Ok(used)
    }

    /// The pieces that an order pays for with a voucher that asks for them, as far as its goods say so.
    pub(in crate::engine) fn pieces_of(&self, order: &Order, bought: Option<&Bought>) -> Vec<(SerialPlace, String)> {
        let (snapshot, mut pieces) = (self.view(), Vec::new());
        for (index, unit) in order.units.iter().enumerate() {
            let Some(view) = snapshot.by_number.get(&unit.c).filter(|view| view.record.orders_over_at.is_none()) else {
                continue;
            };
            let itself = SerialHolder { shard: 0, key: OrderKey::default(), attempt: order.attempt };
            let kind = view.campaign.packs.get(usize::from(unit.pack)).and_then(|pack| pack.kind_of(unit.u));
            let marks = kind.is_some_and(VoucherKind::has_unique_serial);
            if !marks || claim_of(order, &itself, view, self.now()) != Claim::Live {
                continue;
            }
            for line in bought.iter().flat_map(|bought| &bought.lines) {
                if let Some(serial) = line.serial.as_ref().filter(|_| line.off.get(index).is_some_and(|off| off.0 > 0))
                {
                    pieces.push((place_of(view, serial), serial.clone()));
                }
            }
        }
        pieces
    }

    /// Marks the serial numbers of a plan before its vouchers are taken; marking them twice marks them once.
    pub(super) async fn take_serials(
        &self,
        call: &Call<'_>,
        attempt: u32,
        serials: &[Serial],
    ) -> Result<Capped, Failure> {
        let holder = SerialHolder { shard: call.payer.shard, key: call.key, attempt };
        for (campaign, serial) in serials {
            let Some(view) = call.payer.view_of(*campaign) else { continue };
            let mut instead = None;
            let mut tries = 0;
            loop {
                match self.store.take_serial(&place_of(view, serial), &holder, instead.as_ref()).await? {
                    Taken::Ok => break,
                    Taken::AttemptVoid => return Ok(Capped::Void),
                    Taken::By(other) if self.end_claim(call, view, &other).await? => instead = Some(other),
                    Taken::By(_) => return Ok(Capped::Full),
                }
                tries += 1;
                if tries == TRIES {
                    return Err(contended().into());
                }
            }
        }
        Ok(Capped::Held)
    }

    /// Whether the order that the index names can never use the serial number any more, after it was kept from doing so.
    async fn end_claim(&self, call: &Call<'_>, view: &CampaignView, holder: &SerialHolder) -> Result<bool, Failure> {
        for _ in 0..TRIES {
            let stored = match self.close(call.till, &holder.key, holder.attempt, holder.shard).await {
                Ok(Some(stored)) => stored,
                Ok(None) => {
                    // What it holds of the caps of its merchant, whoever that is, is given back.
                    self.owed.wake();
                    return Ok(true);
                }
                Err(Failure::Refusal(refusal)) if refusal.code == Code::OrderReversed => return Ok(true),
                Err(failure) => return Err(failure),
            };
            match claim_of(&stored.order, holder, view, self.now()) {
                Claim::Live => return Ok(false),
                Claim::Ended => return Ok(true),
                Claim::MayReturn => drop(self.lapse_order(holder.shard, &holder.key).await?),
            }
        }
        Err(contended().into())
    }
}
