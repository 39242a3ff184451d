//! Random wallets, where the chosen vouchers must be as good as the best of all sets that there are.

use std::collections::BTreeMap;

use super::*;
use crate::domain::campaign::schema::{Limit, LimitMax, VoucherKind};
use crate::domain::campaign::terms::{LimitAction, LimitEntity, Period, ThresholdOn, UseRule};
use crate::domain::limit::{Keeper, LimitFact};
use crate::domain::rules::{Item, Standing};
use crate::domain::time::{Window, Zone};
use crate::domain::voucher::UnitState;

pub(super) const NOW: Ms = 1_595_644_800_000;
const WALLETS: u64 = 1_500;

/// SplitMix64.
pub(super) struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }
}

/// Three campaigns with up to three kinds and one limit each.
struct World {
    kinds: Vec<Vec<VoucherKind>>,
    rules: Vec<UseRule>,
    limits: Vec<Limit>,
    zone: Zone,
}

fn world(chance: &mut Chance) -> World {
    let kind = |chance: &mut Chance| {
        let (minimum, discount) = chance.of(&[
            (6_000, 2_000),
            (3_000, 1_000),
            (3_100, 1_000),
            (10_000, 5_000),
            (0, 500),
            (0, 700),
            (5_000, 2_500),
        ]);
        VoucherKind {
            voucher_kind: format!("{minimum}-{discount}"),
            count: 1,
            name: None,
            face: Face::Save { transaction_minimum: Fen(minimum), discount_amount: Fen(discount) },
            use_rule: None,
            validity: None,
            after_kind: None,
        }
    };
    let rule = |chance: &mut Chance| UseRule {
        max_vouchers_per_payment: chance.of(&[1, 2, 3, 4]),
        combine_with_campaigns: chance.below(3) > 0,
        minimum_payable: Fen(chance.of(&[1, 1, 300])),
        threshold_on: chance.of(&[ThresholdOn::Initial, ThresholdOn::AfterMerchantDiscount]),
        eligible_items: chance.of(&[vec![], vec!["a".into()], vec!["b".into(), "c".into()]]),
        ..UseRule::standard()
    };
    let limit = |chance: &mut Chance| Limit {
        action: LimitAction::Redeem,
        entities: vec![LimitEntity::Person],
        period: Period::Day,
        max: chance.of(&[LimitMax::Count(2), LimitMax::Count(3), LimitMax::Amount(Fen(2_600))]),
    };
    World {
        kinds: (0..3).map(|_| (0..1 + chance.below(3)).map(|_| kind(chance)).collect()).collect(),
        rules: (0..3).map(|_| rule(chance)).collect(),
        limits: (0..3).map(|_| limit(chance)).collect(),
        zone: Zone::named("Asia/Shanghai").unwrap(),
    }
}

fn wallet<'a>(world: &'a World, chance: &mut Chance) -> Vec<Candidate<'a>> {
    let count = 3 + chance.below(6) as u8;
    (0..count)
        .map(|u| {
            let c = chance.below(3) as usize;
            let kind = chance.below(world.kinds[c].len() as u64) as usize;
            let fact = LimitFact {
                limit: &world.limits[c],
                number: 0,
                keeper: Keeper::Person,
                entity: [0; 6],
                period: 1,
                count: 0,
                amount: Fen::ZERO,
            };
            Candidate {
                voucher: VoucherRef { c: c as u16, shard: 0, f: [1; 9], p: 0, u },
                campaign_id: ["one", "two", "three"][c],
                kind: &world.kinds[c][kind],
                rules: vec![&world.rules[c]],
                zone: &world.zone,
                channel: "wechat",
                window: Window { start: 0, end: NOW + 1 + chance.below(3) as i64 },
                state: UnitState::Available,
                held_until: 0,
                running: true,
                standing: Standing::Admitted,
                uncounted_terminal: None,
                unlocked: true,
                used_serials: Vec::new(),
                limits: if c == 2 { Vec::new() } else { vec![fact] },
            }
        })
        .collect()
}

fn receipt(chance: &mut Chance) -> Vec<Item> {
    if chance.below(2) == 0 {
        return Vec::new();
    }
    let item = |chance: &mut Chance, sku: &str| Item {
        sku: sku.into(),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(1_000 * (1 + chance.below(12) as i64)),
        merchant_discount: Fen(chance.of(&[0, 0, 400])),
    };
    ["a", "b", "d"].iter().map(|sku| item(chance, sku)).collect()
}

fn payment<'a>(items: &'a [Item], chance: &mut Chance) -> Payment<'a> {
    let (amount, offer) = match items {
        [] => (Fen(500 * (1 + chance.below(50) as i64)), Fen(chance.of(&[0, 0, 450]))),
        items => (items.iter().map(|item| item.amount).sum(), items.iter().map(|item| item.merchant_discount).sum()),
    };
    Payment {
        amount,
        merchant_discount: offer,
        category: "catering",
        scene: None,
        items,
        channel: Some("wechat"),
        areas: &[],
        district: "510104",
        industry_code: "6210",
        now: NOW,
    }
}

/// Whether these vouchers may pay together, said in the plainest way: every part of the set must find its money.
pub(super) fn legal(payment: &Payment, set: &[&Candidate]) -> bool {
    fn rule<'a>(one: &Candidate<'a>) -> &'a UseRule {
        one.rules[0]
    }
    let count_fits = set.iter().all(|one| set.len() <= rule(one).max_vouchers_per_payment as usize);
    let mixed = set.iter().any(|one| one.voucher.c != set[0].voucher.c);
    let mixes = !mixed || set.iter().all(|one| rule(one).combine_with_campaigns);
    let saved: Fen = set.iter().map(|one| rules::saving(payment, one)).sum();
    let pays = set.iter().all(|one| payment.net() - saved >= rule(one).minimum_payable);
    let limits = set.iter().filter_map(|one| one.limits.first().map(|fact| (one.voucher.c, fact))).all(|(c, fact)| {
        let of_campaign = || set.iter().filter(|other| other.voucher.c == c);
        fact.admits(of_campaign().count() as i64, of_campaign().map(|one| rules::saving(payment, one)).sum())
    });
    let parts = (1..1usize << set.len()).all(|mask| {
        let part: Vec<&&Candidate> =
            set.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, c)| c).collect();
        let before = part.iter().all(|one| rule(one).threshold_on == ThresholdOn::Initial);
        let listed = |item: &Item| {
            part.iter().any(|one| rule(one).eligible_items.is_empty() || rule(one).eligible_items.contains(&item.sku))
        };
        let (amount, offer) = match payment.items {
            [] => (payment.amount, payment.merchant_discount),
            items => (
                items.iter().filter(|item| listed(item)).map(|item| item.amount).sum(),
                items.iter().filter(|item| listed(item)).map(|item| item.merchant_discount).sum(),
            ),
        };
        let thresholds: Fen = part.iter().map(|one| rules::threshold(one)).sum();
        let discounts: Fen = part.iter().map(|one| rules::saving(payment, one)).sum();
        thresholds <= if before { amount } else { amount - offer } && discounts <= amount - offer
    });
    count_fits && mixes && pays && limits && parts
}

/// Saving; then what is saved by the vouchers that end first; then thresholds; then the number of vouchers. Larger is better.
pub(super) type Rank = (Fen, Vec<(Reverse<Ms>, Fen)>, Reverse<Fen>, Reverse<usize>);

pub(super) fn rank(payment: &Payment, set: &[&Candidate]) -> Rank {
    let mut by_end: BTreeMap<Ms, Fen> = BTreeMap::new();
    for one in set {
        let saved = by_end.entry(one.window.end).or_default();
        *saved = *saved + rules::saving(payment, one);
    }
    let thresholds = set.iter().map(|one| rules::threshold(one)).sum();
    let saving = by_end.values().copied().sum();
    let by_end = by_end.into_iter().map(|(end, fen)| (Reverse(end), fen)).collect();
    (saving, by_end, Reverse(thresholds), Reverse(set.len()))
}

/// As good as any set can be, whatever its size.
pub(super) fn best_of_all(payment: &Payment, candidates: &[Candidate]) -> Rank {
    let set = |mask: usize| -> Vec<&Candidate> {
        candidates.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, c)| c).collect()
    };
    let legal = (0..1usize << candidates.len()).map(set).filter(|set| set.is_empty() || legal(payment, set));
    legal.map(|set| rank(payment, &set)).max().expect("the empty set")
}

fn all_sets<'a, 'b>(candidates: &'a [Candidate<'b>]) -> impl Iterator<Item = Vec<&'a Candidate<'b>>> {
    (1..1usize << candidates.len())
        .filter(|mask| mask.count_ones() <= 4)
        .map(|mask| candidates.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, c)| c).collect())
}

#[test]
fn the_chosen_set_is_as_good_as_the_best_of_all_sets_and_legal() {
    for seed in 0..WALLETS {
        let mut chance = Chance(seed);
        let world = world(&mut chance);
        let candidates = wallet(&world, &mut chance);
        let items = receipt(&mut chance);
        let payment = payment(&items, &mut chance);
        let basket = choose(&payment, &candidates);
        let taken: Vec<&Candidate> = basket.taken.iter().map(|one| &candidates[one.candidate]).collect();
        assert!(taken.is_empty() || legal(&payment, &taken), "wallet {seed}: {:?} is not legal", basket.taken);
        let best = all_sets(&candidates).filter(|set| legal(&payment, set)).map(|set| rank(&payment, &set)).max();
        let best = best.unwrap_or_else(|| rank(&payment, &[]));
        assert_eq!(rank(&payment, &taken), best, "wallet {seed}");
        // Named one by one they are taken too, and nothing else would be.
        let named: Vec<Candidate> = taken.iter().map(|one| (*one).clone()).collect();
        if !named.is_empty() {
            assert_eq!(
                exactly(&payment, &named).expect("the best set is legal when it is named").discount,
                basket.discount
            );
        }
    }
}

#[test]
fn named_vouchers_are_taken_exactly_when_they_are_legal() {
    for seed in 0..WALLETS / 4 {
        let mut chance = Chance(seed);
        let world = world(&mut chance);
        let candidates = wallet(&world, &mut chance);
        let items = receipt(&mut chance);
        let payment = payment(&items, &mut chance);
        for set in all_sets(&candidates).filter(|set| set.len() <= 3) {
            let named: Vec<Candidate> = set.iter().map(|one| (*one).clone()).collect();
            assert_eq!(exactly(&payment, &named).is_ok(), legal(&payment, &set), "wallet {seed}");
        }
    }
}

#[test]
fn the_advice_is_the_smallest_addition_that_saves_more() {
    let mut given = 0;
    for seed in 0..WALLETS / 4 {
        let mut chance = Chance(seed);
        let world = world(&mut chance);
        let candidates = wallet(&world, &mut chance);
        let now = payment(&[], &mut chance);
        let basket = choose_and_advise(&now, &candidates);
        let with = |more: i64| choose(&Payment { amount: now.amount + Fen(more), ..now.clone() }, &candidates).discount;
        let Some(better) = basket.better else {
            assert_eq!(with(10_000_000), basket.discount, "wallet {seed}: much more would save more");
            continue;
        };
        given += 1;
        assert_eq!(with(better.add_amount.0), better.discount_amount, "wallet {seed}");
        assert_eq!(with(better.add_amount.0 - 1), basket.discount, "wallet {seed}: less would do");
        assert_eq!(better.saves_more, better.discount_amount - basket.discount);
    }
    assert!(given > 50, "only {given} wallets had any advice");
}

/// The receipt with one item more, of the goods that a hint names.
fn bought_in_addition(items: &[Item], goods: &Value, amount: Fen) -> Vec<Item> {
    let sku = goods["eligible_items"][0].as_str().unwrap_or("anything");
    let (sku, category) = (sku.to_owned(), Some("catering".to_owned()));
    let more = Item { sku, category, serial: None, quantity: 1, amount, merchant_discount: Fen::ZERO };
    items.iter().cloned().chain([more]).collect()
}

#[test]
fn every_hint_can_be_followed_with_the_goods_that_it_names() {
    let (mut advised, mut narrow, mut missed) = (0, 0, 0);
    for seed in 0..WALLETS {
        let mut chance = Chance(seed);
        let world = world(&mut chance);
        let candidates = wallet(&world, &mut chance);
        let items = receipt(&mut chance);
        let now = payment(&items, &mut chance);
        if items.is_empty() {
            continue;
        }
        let with = |items: &[Item], amount: Fen, set: &[usize]| {
            let more = Payment { amount: now.amount + amount, items, ..now.clone() };
            let named: Vec<Candidate> = set.iter().map(|index| candidates[*index].clone()).collect();
            exactly(&more, &named).is_ok()
        };
        let basket = choose_and_advise(&now, &candidates);
        if let Some(better) = &basket.better {
            advised += 1;
            narrow += u32::from(!better.goods.is_any());
            let items = bought_in_addition(&items, &json!(better.goods), better.add_amount);
            let more = Payment { amount: now.amount + better.add_amount, items: &items, ..now.clone() };
            assert!(choose(&more, &candidates).discount >= better.discount_amount, "wallet {seed}: {better:?}");
        }
        let taken: Vec<usize> = basket.taken.iter().map(|one| one.candidate).collect();
        for one in basket.not_taken.iter().filter(|one| one.refusal.code == Code::MinimumNotMet) {
            missed += 1;
            let of_kind = (0..candidates.len()).filter(|index| {
                let candidate = &candidates[*index];
                (candidate.campaign_id, &candidate.kind.voucher_kind) == (one.campaign_id.as_str(), &one.voucher_kind)
            });
            let missing = Fen(missing_amount(&one.refusal).expect("an amount"));
            let followed = of_kind.into_iter().any(|index| {
                let alone = rules::judge(&now, &candidates[index]).is_err();
                let set = if alone { vec![index] } else { taken.iter().copied().chain([index]).collect() };
                with(&bought_in_addition(&items, &json!(one.refusal.extra.get("goods")), missing), missing, &set)
            });
            assert!(followed, "wallet {seed}: {one:?}");
        }
    }
    assert!(
        advised > 100 && narrow > 50 && missed > 100,
        "{advised} hints, {narrow} of certain goods, {missed} reasons"
    );
}

#[test]
fn a_wallet_made_to_be_difficult_is_chosen_from_in_bounded_time() {
    let zone = Zone::named("Asia/Shanghai").unwrap();
    let rule = UseRule { max_vouchers_per_payment: 20, combine_with_campaigns: true, ..UseRule::standard() };
    let kind = |i: i64| VoucherKind {
        voucher_kind: i.to_string(),
        count: 1,
        name: None,
        face: Face::Save { transaction_minimum: Fen(2_003 + 977 * i), discount_amount: Fen(1_001 + 389 * i) },
        use_rule: None,
        validity: None,
        after_kind: None,
    };
    let kinds: Vec<VoucherKind> = (0..120).map(kind).collect();
    let candidates: Vec<Candidate> = kinds
        .iter()
        .enumerate()
        .map(|(u, kind)| Candidate {
            voucher: VoucherRef { c: u as u16 % 7, shard: 0, f: [1; 9], p: 0, u: u as u8 },
            campaign_id: "many",
            kind,
            rules: vec![&rule],
            zone: &zone,
            channel: "wechat",
            window: Window { start: 0, end: NOW + 1 + u as i64 },
            state: UnitState::Available,
            held_until: 0,
            running: true,
            standing: Standing::Admitted,
            uncounted_terminal: None,
            unlocked: true,
            used_serials: Vec::new(),
            limits: Vec::new(),
        })
        .collect();
    let mut chance = Chance(1);
    let large = Payment { amount: Fen(600_000), ..payment(&[], &mut chance) };
    let basket = choose_and_advise(&large, &candidates);
    let taken: Vec<&Candidate> = basket.taken.iter().map(|one| &candidates[one.candidate]).collect();
    assert!(taken.len() > 1 && taken.len() <= 20);
    assert!(taken.iter().map(|one| rules::threshold(one)).sum::<Fen>() <= large.net());
}
