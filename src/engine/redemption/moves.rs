//! What a script needs to move the vouchers of an order: keys, units with the end of their validity, uses of limits, and the views
//! of the campaigns that all this was computed with.

use rmpv::Value;

use super::limits::{limit_facts, use_value};
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, Order, OrderKey, OrderUnit};
use crate::domain::person::bucket_of;
use crate::domain::time::Ms;
use crate::domain::voucher::PersonField;
use crate::engine::Failure;
use crate::engine::view::{CampaignView, Snapshot};
use crate::store::orders::unit_value;
use crate::store::script::Member;
use crate::store::{StoreError, keys};

pub(super) struct Moves {
    /// Order bucket, lapsing holds, then the persons' buckets.
    pub keys: Vec<String>,
    pub units: Value,
    pub uses: Value,
    views: Vec<(u16, u64)>,
}

struct Use {
    key: usize,
    field: PersonField,
    index: u8,
    count: i64,
    amount: Fen,
    round: u8,
    c: u16,
}

impl Moves {
    /// `at` is the instant in whose periods the limits count: now for a new order, its first effect for one that is there.
    pub(super) fn new(
        snapshot: &Snapshot,
        shard: u8,
        key: &OrderKey,
        units: &[OrderUnit],
        merchant: LimitEntityKey,
        at: Ms,
    ) -> Result<Moves, Failure> {
        let mut keys = vec![keys::order_bucket(shard, key), keys::lapsing_holds(shard)];
        let mut views: Vec<(u16, u64)> = Vec::new();
        let (mut values, mut uses): (Vec<Value>, Vec<Use>) = (Vec::new(), Vec::new());
        for unit in units {
            let view = view_of(snapshot, unit)?;
            let bucket = keys::person_bucket(shard, unit.c, bucket_of(&unit.f, view.record.buckets));
            let place = keys.iter().position(|known| *known == bucket).unwrap_or_else(|| {
                keys.push(bucket);
                keys.len() - 1
            });
            let window = view.campaign.unit_window(
                usize::from(unit.round),
                usize::from(unit.pack),
                unit.u,
                unit.received_s * 1_000,
            );
            let end = window.ok_or_else(|| broken("a unit has no window"))?.end;
            values.push(unit_value(place + 1, unit, end));
            if !views.contains(&(unit.c, view.rev)) {
                views.push((unit.c, view.rev));
            }
            add_uses(&mut uses, view, unit, place + 1, merchant, at);
        }
        let uses = uses.iter().filter_map(|one| one.value(snapshot, merchant, at)).collect();
        Ok(Moves { keys, units: Value::Array(values), uses: Value::Array(uses), views })
    }

    /// For an order that is there.
    pub(super) fn of_order(
        snapshot: &Snapshot,
        shard: u8,
        key: &OrderKey,
        order: &Order,
        merchant: LimitEntityKey,
    ) -> Result<Moves, Failure> {
        Moves::new(snapshot, shard, key, &order.units, merchant, order.t0)
    }

    /// A member over these keys, checked against the views of the campaigns.
    pub(super) fn member(keys: Vec<String>, args: Vec<Value>, views: Vec<(u16, u64)>) -> Member {
        views.into_iter().fold(Member::new(keys, args), |member, (campaign, rev)| member.view(campaign, rev))
    }

    /// The usual member: order key, the order as it was read, units, uses, and what the script asks for besides.
    pub(super) fn into_member(self, key: &OrderKey, seen: &[u8], more: Vec<Value>) -> Member {
        let mut args = vec![Value::Binary(key.to_vec()), Value::Binary(seen.to_vec()), self.units, self.uses];
        args.extend(more);
        Moves::member(self.keys, args, self.views)
    }

    pub(super) fn take_views(&mut self) -> Vec<(u16, u64)> {
        std::mem::take(&mut self.views)
    }
}

fn add_uses(uses: &mut Vec<Use>, view: &CampaignView, unit: &OrderUnit, key: usize, merchant: LimitEntityKey, at: Ms) {
    let Some(round) = view.campaign.rounds.get(usize::from(unit.round)) else { return };
    for fact in limit_facts(&view.campaign, round, &view.zone, merchant, at) {
        match uses.iter_mut().find(|known| known.key == key && known.field == unit.f && known.index == fact.index) {
            Some(known) => {
                known.count += 1;
                known.amount = known.amount + unit.discount;
            }
            None => uses.push(Use {
                key,
                field: unit.f,
                index: fact.index,
                count: 1,
                amount: unit.discount,
                round: unit.round,
                c: unit.c,
            }),
        }
    }
}

impl Use {
    fn value(&self, snapshot: &Snapshot, merchant: LimitEntityKey, at: Ms) -> Option<Value> {
        let view = snapshot.by_number.get(&self.c)?;
        let round = view.campaign.rounds.get(usize::from(self.round))?;
        let fact =
            limit_facts(&view.campaign, round, &view.zone, merchant, at).find(|fact| fact.index == self.index)?;
        Some(use_value(self.key, &self.field, &fact, self.count, self.amount))
    }
}

fn view_of<'a>(snapshot: &'a Snapshot, unit: &OrderUnit) -> Result<&'a CampaignView, Failure> {
    snapshot.by_number.get(&unit.c).map(|view| &**view).ok_or_else(|| broken("an order's campaign is gone"))
}

fn broken(what: &str) -> Failure {
    Failure::Store(StoreError::Broken(what.to_owned()))
}
