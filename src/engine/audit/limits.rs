//! Caps and quotas beside what holds them. A cap is what the entries of its merchant's directory hold of it, a quota what its marks hold
//! (`marks`); an order that is live holds what it uses, one that is over holds nothing.
//!
//! Counters and holders lie in many buckets that are read one after another, and a give-back follows its order's end by a moment. So
//! what looks wrong is looked at several times. What stays the same is a finding; what looks otherwise each time is told as not
//! settled, for it was in use, and another audit may tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use super::Finding;
use crate::domain::order::{Order, OrderKey};
use crate::engine::Engine;
use crate::engine::config::view::Snapshot;
use crate::engine::order::{Cap, Standing};
use crate::store::StoreError;
use crate::store::keys::{self, ORDER_BUCKETS};
use crate::store::orders::Holding;
use crate::store::retention::{KeptEntry, KeptOrder};

/// How often what looks wrong is looked at, and what lies between two looks: more in all than a give-back takes after an outage.
const LOOKS: usize = 5;
const BETWEEN: Duration = Duration::from_secs(1);

/// No refund is under way for longer: it is sent soon after it was counted, and given up after the store's deadline.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// Buckets of orders that are read at once.
const ORDERS: u16 = 16;

/// What looks wrong, by kind and subject.
#[derive(Default)]
pub(super) struct Wrong {
    all: BTreeMap<(&'static str, String), Finding>,
    /// Some of it is in order as long as a refund may be under way.
    under_way: bool,
}

impl Wrong {
    pub(super) fn tell(
        &mut self,
        kind: &'static str,
        subject: String,
        (expected, found): (impl ToString, impl ToString),
        explanation: &str,
    ) {
        let (expected, found) = (expected.to_string(), found.to_string());
        let finding = Finding::new(kind, subject.clone(), expected, found, explanation.to_owned());
        self.all.insert((kind, subject), finding);
    }

    pub(super) fn may_be_under_way(&mut self) {
        self.under_way = true;
    }
}

/// How much of each cap its holders hold, by slot and counter.
type Sums = HashMap<(u8, String), i64>;

/// What is read of some buckets: entries of the directories with what they hold, and then the orders.
type Read<'a> = (&'a [(&'a KeptEntry, Holding)], &'a HashMap<(OrderKey, u8), &'a Order>);

const OVER: &str = "an order that is over holds a cap or quota, or a live one more of a quota than it uses";
pub(super) const SHORT: &str = "more of a cap or quota is used than is counted for it";

impl Engine {
    /// Compares caps, quotas and serial numbers with orders, claims and reservations: what is wrong, and what was never the same.
    pub(in crate::engine) async fn audit_limits(&self) -> Result<(Vec<Finding>, Vec<String>), StoreError> {
        let Wrong { all: mut wrong, under_way } = self.look_at_limits().await?;
        let begun = Instant::now();
        let mut moves: BTreeSet<(&'static str, String)> = BTreeSet::new();
        for look in 1.. {
            let looked_long = look >= LOOKS && (!under_way || begun.elapsed() >= UNDER_WAY);
            if wrong.is_empty() || looked_long {
                break;
            }
            tokio::time::sleep(BETWEEN).await;
            self.refresh().await?;
            let again = self.look_at_limits().await?.all;
            wrong.retain(|key, _| again.contains_key(key));
            moves.extend(
                wrong.iter().filter(|(key, finding)| again.get(*key) != Some(*finding)).map(|(key, _)| key.clone()),
            );
            moves.retain(|key| wrong.contains_key(key));
            wrong.extend(again.into_iter().filter(|(key, _)| moves.contains(key)));
        }
        let not_settled = moves.iter().map(|(_, subject)| subject.clone()).collect();
        wrong.retain(|key, _| !moves.contains(key));
        Ok((causes(wrong), not_settled))
    }

    async fn look_at_limits(&self) -> Result<Wrong, StoreError> {
        let (mut wrong, snapshot) = (Wrong::default(), self.view());
        if self.counts_orders() || snapshot.by_number.values().any(|view| super::marks::is_of_orders(view)) {
            self.look_at_orders(&snapshot, &mut wrong).await?;
        }
        for view in snapshot.by_number.values().filter(|view| super::marks::has_quotas(view)) {
            self.look_at_quotas(view, &mut wrong).await?;
        }
        Ok(wrong)
    }

    async fn look_at_orders(&self, snapshot: &Snapshot, wrong: &mut Wrong) -> Result<(), StoreError> {
        let before = self.caps_counted(snapshot).await?;
        let mut sums = Sums::new();
        for first in (0..ORDER_BUCKETS).step_by(usize::from(ORDERS)) {
            let buckets = first..(first + ORDERS).min(ORDER_BUCKETS);
            let entries = self.store.directory_entries(buckets.clone()).await?;
            let orders = self.store.kept_orders(buckets).await?;
            let holding: Vec<_> = entries.iter().filter_map(|one| Some((one, Holding::of(one)?))).collect();
            let by_place = orders.iter().map(|one| ((one.key, one.shard), &one.stored.order)).collect();
            self.look_at_entries(snapshot, (&holding, &by_place), &mut sums, wrong).await?;
            self.look_beside_orders(snapshot, &orders, wrong).await?;
        }
        let after = self.caps_counted(snapshot).await?;
        let of = |counted: &Sums, place| counted.get(place).copied().unwrap_or_default();
        for place in before.keys() {
            sums.entry(place.clone()).or_default();
        }
        for (place, held) in sums.iter().filter(|(place, _)| of(&before, place) == of(&after, place)) {
            let counted = of(&after, place);
            if *held != counted {
                let subject = format!("cap {} on merchant slot {}", place.1, place.0);
                let explanation = "a merchant's cap does not count what its orders hold of it";
                wrong.tell("cap_sum", subject, (held, counted), explanation);
            }
        }
        Ok(())
    }

    /// The caps that are counted, by slot and counter.
    async fn caps_counted(&self, snapshot: &Snapshot) -> Result<Sums, StoreError> {
        let mut counted = Sums::new();
        for slot in 0..self.store.shards() {
            let caps = self.store.caps_counted(slot).await?;
            let caps = caps.into_iter().filter(|(name, _)| is_counted(snapshot, name));
            // What is no number equals no sum.
            counted.extend(caps.map(|(name, n)| ((slot, name), n.unwrap_or(i64::MIN))));
        }
        Ok(counted)
    }

    async fn look_at_entries(
        &self,
        snapshot: &Snapshot,
        (holding, orders): Read<'_>,
        sums: &mut Sums,
        wrong: &mut Wrong,
    ) -> Result<(), StoreError> {
        let mut quotas = Vec::new();
        for (one, holding) in holding {
            let order = orders.get(&(one.key, one.entry.shard)).copied();
            // A campaign that cannot be read is a finding of its own.
            let Ok((standing, mut kept)) = self.standing_of_entry(one, holding, order) else { continue };
            kept.retain(|cap| is_counted(snapshot, &cap.name));
            let held = holding.caps.iter().filter(|(name, _)| is_counted(snapshot, name));
            held.for_each(|(name, n)| *sums.entry((one.slot, name.clone())).or_default() += n);
            if standing != Standing::Open {
                look_at_caps(one, holding, standing, &kept, wrong);
                let named = holding.quotas.iter().filter(|name| is_counted(snapshot, name));
                let mut of_entry: Vec<Cap> = kept.into_iter().filter(|cap| !cap.name.starts_with(keys::CAP)).collect();
                for name in named {
                    if !of_entry.iter().any(|cap| cap.name == *name) {
                        of_entry.push(Cap { name: name.clone(), n: 0, most: 0 });
                    }
                }
                quotas.extend(of_entry.into_iter().map(|cap| (*one, cap)));
            }
        }
        let reading = quotas.iter().map(|(one, cap)| async {
            Ok::<_, StoreError>(self.store.quota_used(&self.quota_place(&cap.name, &one.key)?).await?.own)
        });
        for ((one, cap), held) in quotas.iter().zip(try_join_all(reading).await?) {
            if held != cap.n {
                let (kind, explanation) = if held > cap.n { ("quota_kept", OVER) } else { ("quota_not_held", SHORT) };
                wrong.tell(kind, format!("{}, quota {}", said(one), cap.name), (cap.n, held), explanation);
            }
        }
        Ok(())
    }

    /// Refunds and pieces of orders, which no directory names.
    async fn look_beside_orders(
        &self,
        snapshot: &Snapshot,
        orders: &[KeptOrder],
        wrong: &mut Wrong,
    ) -> Result<(), StoreError> {
        for one in orders {
            let of = |unit: &crate::domain::order::OrderUnit| snapshot.by_number.get(&unit.c);
            let mut views = one.stored.order.units.iter().filter_map(of);
            if views.any(|view| super::marks::is_of_orders(view)) {
                self.look_at_refunds_and_pieces(snapshot, one, wrong).await?;
            }
        }
        Ok(())
    }
}

fn look_at_caps(one: &KeptEntry, holding: &Holding, standing: Standing, kept: &[Cap], wrong: &mut Wrong) {
    let subject = |name: &str| format!("{}, cap {name}", said(one));
    let of = |name: &str| kept.iter().find(|cap| cap.name == name).map_or(0, |cap| cap.n);
    for (name, n) in holding.caps.iter().filter(|(name, n)| standing == Standing::Over && *n > of(name)) {
        wrong.tell("cap_kept", subject(name), (of(name), n), OVER);
    }
    for cap in kept.iter().filter(|cap| cap.name.starts_with(keys::CAP)) {
        let held = holding.caps.iter().find(|(name, _)| *name == cap.name).map_or(0, |(_, n)| *n);
        if held < cap.n {
            wrong.tell("cap_not_held", subject(&cap.name), (cap.n, held), SHORT);
        }
    }
}

fn said(one: &KeptEntry) -> String {
    format!("order {} of merchant slot {}", hex::encode(one.key), one.slot)
}

/// Whether the campaign of a cap or quota still counts; what it counted is forgotten before its orders are.
pub(super) fn is_counted(snapshot: &Snapshot, name: &str) -> bool {
    let campaign = keys::cap_campaign(name).or_else(|| keys::quota_campaign(name));
    let view = campaign.and_then(|number| snapshot.by_number.get(&number));
    view.is_some_and(|view| view.record.orders_over_at.is_none())
}

/// A sum that differs by what one of its holders holds wrongly is the same fault.
fn causes(mut wrong: BTreeMap<(&'static str, String), Finding>) -> Vec<Finding> {
    let subjects: Vec<String> = wrong.keys().map(|(_, subject)| subject.clone()).collect();
    wrong.retain(|(kind, subject), _| {
        let name = subject.split(" on ").next().unwrap_or_default();
        let by_holder = |other: &String| other.ends_with(&format!(", {name}"));
        !(matches!(*kind, "cap_sum" | "quota_sum") && subjects.iter().any(by_holder))
    });
    wrong.into_values().collect()
}
