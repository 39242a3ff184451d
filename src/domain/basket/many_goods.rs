//! Wallets whose vouchers are for many different goods: the choice is that of an oracle that tries every set, and its work is counted.

use super::brute_force::{Chance, NOW, best_of_all, legal, rank};
use super::search::{MOST_STEPS, Search};
use super::*;
use crate::domain::campaign::schema::VoucherKind;
use crate::domain::campaign::terms::{ThresholdOn, UseRule};
use crate::domain::rules::{Item, Standing};
use crate::domain::time::{Window, Zone};
use crate::domain::voucher::UnitState;

/// Vouchers with a rule each.
struct Wallet {
    vouchers: Vec<(VoucherKind, UseRule, Ms)>,
    zone: Zone,
}

impl Wallet {
    fn new(vouchers: Vec<(VoucherKind, UseRule, Ms)>) -> Wallet {
        Wallet { vouchers, zone: Zone::named("Asia/Shanghai").unwrap() }
    }

    fn candidates<'a>(&'a self) -> Vec<Candidate<'a>> {
        let candidate = |(u, voucher): (usize, &'a (VoucherKind, UseRule, Ms))| Candidate {
            voucher: VoucherRef { c: 1, shard: 0, f: [1; 9], p: (u / 100) as u8, u: (u % 100) as u8 },
            campaign_id: "goods",
            kind: &voucher.0,
            rules: vec![&voucher.1],
            zone: &self.zone,
            channel: "wechat",
            window: Window { start: 0, end: voucher.2 },
            state: UnitState::Available,
            held_until: 0,
            running: true,
            standing: Standing::Admitted,
            uncounted_terminal: None,
            unlocked: true,
            used_serials: Vec::new(),
            limits: Vec::new(),
        };
        self.vouchers.iter().enumerate().map(candidate).collect()
    }
}

fn kind(name: String, minimum: i64, discount: i64) -> VoucherKind {
    VoucherKind {
        voucher_kind: name,
        count: 1,
        name: None,
        face: Face::Save { transaction_minimum: Fen(minimum), discount_amount: Fen(discount) },
        use_rule: None,
        validity: None,
        after_kind: None,
    }
}

fn rule(most: u32, goods: &[String], threshold_on: ThresholdOn) -> UseRule {
    UseRule {
        max_vouchers_per_payment: most,
        eligible_items: goods.to_vec(),
        threshold_on,
        combine_with_merchant_offers: true,
        ..UseRule::standard()
    }
}

fn sku(number: usize) -> String {
    format!("g{number}")
}

fn line(number: usize, amount: i64, offer: i64) -> Item {
    Item {
        sku: sku(number),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(amount),
        merchant_discount: Fen(offer),
    }
}

fn payment(items: &[Item]) -> Payment<'_> {
    Payment {
        amount: items.iter().map(|item| item.amount).sum(),
        merchant_discount: items.iter().map(|item| item.merchant_discount).sum(),
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

/// The choice is the oracle's, it is taken when it is named, and every reason for what is not taken is one.
fn check(payment: &Payment, wallet: &Wallet, case: &dyn std::fmt::Debug) {
    let candidates = wallet.candidates();
    let basket = choose_and_advise(payment, &candidates);
    let taken: Vec<&Candidate> = basket.taken.iter().map(|one| &candidates[one.candidate]).collect();
    assert!(!basket.stopped && (taken.is_empty() || legal(payment, &taken)), "{case:?}: {:?}", basket.taken);
    assert_eq!(rank(payment, &taken), best_of_all(payment, &candidates), "{case:?}");
    let named: Vec<Candidate> = taken.iter().map(|one| (*one).clone()).collect();
    if !named.is_empty() {
        assert_eq!(
            exactly(payment, &named).expect("it is legal when it is named").discount,
            basket.discount,
            "{case:?}"
        );
    }
    for one in &basket.not_taken {
        let other =
            candidates.iter().find(|candidate| candidate.kind.voucher_kind == one.voucher_kind).expect("it is there");
        let with_it: Vec<&Candidate> = taken.iter().copied().chain([other]).collect();
        assert!(!legal(payment, &with_it), "{case:?}: {one:?} would fit");
    }
}

#[test]
fn of_vouchers_for_many_sets_of_goods_the_best_of_all_sets_is_chosen() {
    for seed in 0..120 {
        let mut chance = Chance(seed);
        let most = chance.of(&[2, 4, 30]);
        let vouchers = (0..7 + chance.below(2) as usize).map(|number| {
            let goods: Vec<String> = (0..6).filter(|_| chance.below(3) == 0).map(sku).collect();
            let goods = if goods.is_empty() { vec![sku(number % 6)] } else { goods };
            let (minimum, discount) =
                chance.of(&[(6_000, 2_000), (3_000, 1_000), (5_000, 1_800), (0, 700), (1_000, 990)]);
            let on = chance.of(&[
                ThresholdOn::AfterMerchantDiscount,
                ThresholdOn::AfterMerchantDiscount,
                ThresholdOn::Initial,
            ]);
            let end = NOW + 1 + chance.below(2) as i64;
            (kind(format!("k{number}"), minimum, discount), rule(most, &goods, on), end)
        });
        let wallet = Wallet::new(vouchers.collect());
        let items: Vec<Item> =
            (0..6).map(|number| line(number, 500 * (1 + chance.below(20) as i64), chance.of(&[0, 0, 400]))).collect();
        check(&payment(&items), &wallet, &seed);
    }
}

/// Three goods have seven sets, and there is a voucher for each of them.
#[test]
fn every_receipt_of_three_goods_takes_the_best_of_vouchers_for_all_seven_sets() {
    let amounts = [1_000, 3_000, 7_000];
    for most in [2, 30] {
        for offer in [0, 600] {
            for (a, b, c) in (0..27).map(|n| (amounts[n / 9], amounts[n / 3 % 3], amounts[n % 3])) {
                let vouchers = (1..8_usize).map(|set| {
                    let goods: Vec<String> = (0..3).filter(|number| set >> number & 1 == 1).map(sku).collect();
                    let on = if set % 2 == 1 { ThresholdOn::Initial } else { ThresholdOn::AfterMerchantDiscount };
                    (
                        kind(format!("k{set}"), 2_000 + 400 * set as i64, 700 + 90 * set as i64),
                        rule(most, &goods, on),
                        NOW + 1,
                    )
                });
                let items = [line(0, a, offer), line(1, b, 0), line(2, c, offer)];
                check(&payment(&items), &Wallet::new(vouchers.collect()), &(most, offer, a, b, c));
            }
        }
    }
}

/// A voucher for each line of the receipt.
fn one_for_each(most: u32, discounts: impl Iterator<Item = i64>) -> (Wallet, Vec<Item>) {
    let voucher = |(number, discount): (usize, i64)| {
        let on = ThresholdOn::AfterMerchantDiscount;
        (kind(format!("k{number}"), 1_000, discount), rule(most, &[sku(number)], on), NOW + 1)
    };
    let wallet = Wallet::new(discounts.enumerate().map(voucher).collect());
    let items = (0..wallet.vouchers.len()).map(|number| line(number, 1_000, 0)).collect();
    (wallet, items)
}

#[test]
fn of_thirty_one_vouchers_for_as_many_goods_thirty_are_taken_and_all_but_the_smallest() {
    let (wallet, items) = one_for_each(30, (0..31).map(|n| 100 + n * 7 % 31));
    let (payment, candidates) = (payment(&items), wallet.candidates());
    let basket = choose_and_advise(&payment, &candidates);
    assert_eq!((basket.taken.len(), basket.stopped), (30, false));
    assert!(basket.taken.iter().all(|one| one.candidate != 0), "only the smallest is left");
    assert_eq!(basket.discount, Fen((1..31).map(|n| 100 + n).sum::<i64>()));
    assert_eq!(basket.not_taken[0].to_json()["code"], "too_many_vouchers");
    assert_eq!(exactly(&payment, &candidates[1..]).expect("thirty").discount, basket.discount);
    let refused = exactly(&payment, &candidates).expect_err("thirty-one");
    assert_eq!((refused.code, &refused.extra["limit"]), (Code::TooManyVouchers, &json!(30)));
    // Where all are equal there is nothing to look for.
    let (wallet, items) = one_for_each(20, (0..31).map(|_| 100));
    let basket = choose_and_advise(&self::payment(&items), &wallet.candidates());
    assert_eq!((basket.taken.len(), basket.stopped), (20, false));
}

#[test]
fn what_is_best_for_each_of_many_goods_is_best_for_all_of_them() {
    // Of each of ten goods 100 yuan: two of 50-18 save more than one of 60-20, which looks better.
    let faces = [(6_000, 2_000), (5_000, 1_800), (5_000, 1_800)];
    let of = |(number, (minimum, discount)): (usize, (i64, i64))| {
        let name = format!("{number}-{discount}");
        (kind(name, minimum, discount), rule(30, &[sku(number)], ThresholdOn::AfterMerchantDiscount), NOW + 1)
    };
    let vouchers = (0..10).flat_map(|number| faces.map(|face| (number, face))).map(of).collect();
    let wallet = Wallet::new(vouchers);
    let items: Vec<Item> = (0..10).map(|number| line(number, 10_000, 0)).collect();
    let basket = choose_and_advise(&payment(&items), &wallet.candidates());
    assert_eq!((basket.discount, basket.stopped), (Fen(36_000), false));
}

#[test]
fn a_wallet_made_to_be_difficult_takes_no_more_steps_than_allowed_and_says_that_it_was_too_difficult() {
    // Each of 120 faces is for other goods of which each is for several, and no two sums are alike.
    let voucher = |number: usize| {
        let goods: Vec<String> = (0..40).filter(|good| (good * 7 + number * number) % 11 < 3).map(sku).collect();
        let on = if number.is_multiple_of(3) { ThresholdOn::Initial } else { ThresholdOn::AfterMerchantDiscount };
        let n = number as i64;
        (kind(format!("k{number}"), 2_003 + 977 * n % 9_001, 601 + 389 * n % 1_297), rule(30, &goods, on), NOW + 1 + n)
    };
    let wallet = Wallet::new((0..120).map(voucher).collect());
    let items: Vec<Item> = (0..40).map(|number| line(number, 1_777 + 13 * number as i64, number as i64 % 7)).collect();
    let (payment, candidates) = (payment(&items), wallet.candidates());
    let judged: Vec<Result<Fen, Reason>> = candidates.iter().map(|one| rules::judge(&payment, one)).collect();
    let choices = Choices::new(&payment, &candidates, &judged);
    let mut search = Search::new(&choices, &candidates);
    let best = search.best(|choice| judged[choice.candidate].is_ok()).expect("some fit");
    assert!(search.stopped, "or it is not difficult");
    assert!(search.steps < 2 * MOST_STEPS, "{} steps", search.steps);
    let basket = choose_and_advise(&payment, &candidates);
    assert!(basket.stopped && basket.discount == best.discount && basket.taken.len() > 5);
    let taken: Vec<Candidate> = basket.taken.iter().map(|one| candidates[one.candidate].clone()).collect();
    assert_eq!(exactly(&payment, &taken).expect("it is legal").discount, basket.discount);
    for one in &basket.not_taken {
        let other =
            candidates.iter().find(|candidate| candidate.kind.voucher_kind == one.voucher_kind).expect("it is there");
        let with_it: Vec<Candidate> = taken.iter().cloned().chain([other.clone()]).collect();
        let refused = exactly(&payment, &with_it).expect_err("what is left out would fit");
        assert_eq!(refused.code, one.refusal.code, "{one:?}");
    }
}
