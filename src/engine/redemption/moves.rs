//! What a script needs to move the vouchers of an order: keys, units with the end of their validity, uses of limits, and the views
//! of the campaigns that all this was computed with.

use super::limits::{place_of_order, use_args};
use crate::domain::limit::{Keeper, LimitFact, Place, facts_of_voucher};
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, Order, OrderKey, OrderUnit};
use crate::domain::person::bucket_of;
use crate::domain::time::Ms;
use crate::domain::voucher::PersonField;
use crate::engine::Failure;
use crate::engine::view::{CampaignView, Snapshot};
use crate::store::orders::unit_args;
use crate::store::script::{Args, Member};
use crate::store::{StoreError, keys};

pub(super) struct Moves {
    /// Order bucket, lapsing holds, then the persons' buckets.
    keys: Vec<String>,
    /// Two arguments: units and uses.
    units: Args,
    uses: Args,
    views: Vec<(u16, u64)>,
}

struct Use<'a> {
    key: usize,
    field: PersonField,
    fact: LimitFact<'a>,
    count: i64,
    amount: Fen,
}

impl Moves {
    /// `at` is the instant in whose periods the limits count: now for a new order, its first effect for one that is there.
    pub(super) fn new(
        snapshot: &Snapshot,
        shard: u8,
        key: &OrderKey,
        units: &[OrderUnit],
        place: &Place,
        at: Ms,
    ) -> Result<Moves, Failure> {
        let mut keys = vec![keys::order_bucket(shard, key), keys::lapsing_holds(shard)];
        let mut views: Vec<(u16, u64)> = Vec::new();
        let (mut list, mut uses) = (Args::with_capacity(64), Vec::new());
        for unit in units {
            let view = view_of(snapshot, unit)?;
            let bucket = keys::person_bucket(shard, unit.c, bucket_of(&unit.f, view.record.buckets));
            let bucket_place = keys.iter().position(|known| *known == bucket).unwrap_or_else(|| {
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
            list = unit_args(list, bucket_place + 1, unit, end);
            if !views.contains(&(unit.c, view.rev)) {
                views.push((unit.c, view.rev));
            }
            add_uses(&mut uses, view, unit, bucket_place + 1, place, at);
        }
        let uses = Args::default().list(|list| {
            uses.iter().fold(list, |list, one| use_args(list, one.key, &one.field, &one.fact, one.count, one.amount))
        });
        Ok(Moves { keys, units: Args::default().list(|_| list), uses, views })
    }

    /// For an order that is there.
    pub(super) fn of_order(
        snapshot: &Snapshot,
        shard: u8,
        key: &OrderKey,
        order: &Order,
        merchant: LimitEntityKey,
    ) -> Result<Moves, Failure> {
        Moves::new(snapshot, shard, key, &order.units, &place_of_order(order, merchant), order.t0)
    }

    /// With one key more, and its place.
    pub(super) fn with_key(mut self, key: String) -> (Moves, usize) {
        self.keys.push(key);
        let place = self.keys.len();
        (self, place)
    }

    /// The place of a key among the member's keys.
    pub(super) fn place_of(&self, key: &str) -> Option<usize> {
        self.keys.iter().position(|known| known == key).map(|index| index + 1)
    }

    /// No use of a limit is counted or given back.
    pub(super) fn without_uses(self) -> Moves {
        Moves { uses: Args::default().list(|none| none), ..self }
    }

    /// A member over these keys: `before`, units and uses, `after`; checked against the views of the campaigns.
    pub(super) fn member(self, before: Args, after: impl FnOnce(Args) -> Args) -> Member {
        let args = after(before.then(&self.units).then(&self.uses));
        let member = Member::packed(self.keys, args);
        self.views.into_iter().fold(member, |member, (campaign, rev)| member.view(campaign, rev))
    }

    /// The usual member: order key, the order as it was read, units, uses, and what the script asks for besides.
    pub(super) fn into_member(self, key: &OrderKey, seen: &[u8], more: impl FnOnce(Args) -> Args) -> Member {
        self.member(Args::with_capacity(256).bytes(key).bytes(seen), more)
    }
}

/// Only what the person's record counts; the merchant's caps are taken on its own slot.
fn add_uses<'a>(uses: &mut Vec<Use<'a>>, view: &'a CampaignView, unit: &OrderUnit, key: usize, place: &Place, at: Ms) {
    let of_person = facts_of_voucher(&view.campaign, &view.zone, (unit.of_pack(), unit.u), place, at);
    for fact in of_person.into_iter().filter(|fact| fact.keeper == Keeper::Person) {
        match uses.iter_mut().find(|known| known.key == key && known.field == unit.f && known.fact.same(&fact)) {
            Some(known) => {
                known.count += 1;
                known.amount = known.amount + unit.discount;
            }
            None => uses.push(Use { key, field: unit.f, fact, count: 1, amount: unit.discount }),
        }
    }
}

fn view_of<'a>(snapshot: &'a Snapshot, unit: &OrderUnit) -> Result<&'a CampaignView, Failure> {
    snapshot.by_number.get(&unit.c).map(|view| &**view).ok_or_else(|| broken("an order's campaign is gone"))
}

fn broken(what: &str) -> Failure {
    Failure::Store(StoreError::Broken(what.to_owned()))
}
