use super::*;
use crate::domain::campaign::schema::{Face, Limit, LimitMax, VoucherKind};
use crate::domain::campaign::terms::{LimitAction, LimitEntity, Period, UseRule};
use crate::domain::limit::{Keeper, LimitFact};
use crate::domain::rules::Standing;
use crate::domain::time::{Window, Zone};
use crate::domain::voucher::{UnitState, VoucherRef};

const NOW: Ms = 1_595_644_800_000;

fn kind(minimum: i64, discount: i64) -> VoucherKind {
    VoucherKind {
        voucher_kind: format!("{}-{}", minimum / 100, discount / 100),
        count: 1,
        name: None,
        face: Face::Save { transaction_minimum: Fen(minimum), discount_amount: Fen(discount) },
        use_rule: None,
        validity: None,
        after_kind: None,
    }
}

fn rule(most: u32) -> UseRule {
    UseRule {
        categories: vec!["catering".into()],
        districts: vec!["5101".into()],
        max_vouchers_per_payment: most,
        ..UseRule::standard()
    }
}

fn zone() -> Zone {
    Zone::named("Asia/Shanghai").unwrap()
}

fn candidate<'a>(u: u8, kind: &'a VoucherKind, rule: &'a UseRule, zone: &'a Zone) -> Candidate<'a> {
    Candidate {
        voucher: VoucherRef { c: 1, shard: 0, f: [1; 9], p: 0, u },
        campaign_id: "chengdu-2020-07",
        kind,
        rules: vec![rule],
        zone,
        channel: "wechat",
        window: Window { start: NOW - 1, end: NOW + 1_000 },
        state: UnitState::Available,
        held_until: 0,
        running: true,
        standing: Standing::Admitted,
        uncounted_terminal: None,
        unlocked: true,
        used_serials: Vec::new(),
        limits: Vec::new(),
    }
}

fn payment(amount: i64, merchant_discount: i64) -> Payment<'static> {
    Payment {
        amount: Fen(amount),
        merchant_discount: Fen(merchant_discount),
        category: "catering",
        scene: None,
        items: &[],
        channel: Some("wechat"),
        areas: &[],
        district: "510104",
        industry_code: "6210",
        now: NOW,
    }
}

/// Two 60-20 and four 30-10, as in Chengdu.
struct Pack {
    kinds: [VoucherKind; 2],
    rule: UseRule,
    zone: Zone,
}

impl Pack {
    fn new(most: u32) -> Pack {
        Pack { kinds: [kind(6_000, 2_000), kind(3_000, 1_000)], rule: rule(most), zone: zone() }
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        (0..6).map(|u| candidate(u, &self.kinds[usize::from(u > 1)], &self.rule, &self.zone)).collect()
    }
}

fn code_of(result: Result<Basket, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn the_contracts_quote_takes_30_10_and_tells_what_is_missing_for_60_20() {
    let pack = Pack::new(1);
    let basket = choose_and_advise(&payment(6_400, 800), &pack.candidates());
    assert_eq!(basket.discount, Fen(1_000));
    assert_eq!(basket.taken, [Taken { candidate: 2, discount: Fen(1_000) }]);
    let reasons: Vec<Value> = basket.not_taken.iter().map(NotTaken::to_json).collect();
    let expected = json!({"voucher_kind": "60-20", "campaign_id": "chengdu-2020-07", "code": "minimum_not_met", "missing_amount": 400});
    assert_eq!(reasons, [expected]);
    assert_eq!(
        basket.better,
        Some(Better {
            add_amount: Fen(400),
            goods: Counting::default(),
            discount_amount: Fen(2_000),
            saves_more: Fen(1_000)
        })
    );
}

#[test]
fn thresholds_are_exact_to_the_fen() {
    let pack = Pack::new(1);
    for (amount, discount) in [(2_999, 0), (3_000, 1_000), (5_999, 1_000), (6_000, 2_000), (11_800, 2_000)] {
        assert_eq!(choose(&payment(amount, 0), &pack.candidates()).discount, Fen(discount), "{amount}");
    }
}

#[test]
fn of_equal_savings_the_voucher_that_expires_first_is_taken_then_the_lower_threshold() {
    let pack = Pack::new(1);
    let mut candidates = pack.candidates();
    candidates[4].window.end = NOW + 500;
    assert_eq!(choose(&payment(4_000, 0), &candidates).taken[0].candidate, 4);
    let lower = kind(2_500, 1_000);
    let mut candidates = pack.candidates();
    candidates[3].kind = &lower;
    assert_eq!(choose(&payment(4_000, 0), &candidates).taken[0].candidate, 3);
}

#[test]
fn each_rule_refuses_with_its_own_code() {
    let pack = Pack::new(1);
    let one = |change: &dyn Fn(&mut Payment<'_>, &mut Candidate<'_>)| {
        let (mut payment, mut candidate) = (payment(11_800, 800), pack.candidates().remove(0));
        change(&mut payment, &mut candidate);
        code_of(exactly(&payment, &[candidate]))
    };
    assert_eq!(one(&|_, _| {}), None);
    assert_eq!(one(&|_, c| c.running = false), Some(Code::CampaignNotRunning));
    assert_eq!(one(&|_, c| c.standing = Standing::Outside(None)), Some(Code::MerchantNotEnrolled));
    assert_eq!(one(&|p, _| p.category = "tobacco"), Some(Code::CategoryNotAllowed));
    assert_eq!(one(&|p, _| p.district = "310101"), Some(Code::DistrictNotAllowed));
    assert_eq!(one(&|p, _| p.channel = Some("alipay")), Some(Code::ChannelNotAllowed));
    assert_eq!(one(&|p, _| p.channel = None), None);
    assert_eq!(one(&|_, c| c.state = UnitState::Used), Some(Code::VoucherUsed));
    assert_eq!(one(&|_, c| c.state = UnitState::Held), Some(Code::VoucherHeld));
    assert_eq!(one(&|_, c| c.state = UnitState::Revoked), Some(Code::VoucherRevoked));
    assert_eq!(one(&|p, _| p.now = NOW - 2), Some(Code::VoucherNotYetValid));
    assert_eq!(one(&|p, _| p.now = NOW + 999), None);
    assert_eq!(one(&|p, _| p.now = NOW + 1_000), Some(Code::VoucherExpired));
    assert_eq!(one(&|p, _| p.amount = Fen(6_799)), Some(Code::MinimumNotMet));
}

#[test]
fn of_several_refusals_the_first_in_the_list_is_given() {
    let pack = Pack::new(1);
    let mut candidate = pack.candidates().remove(0);
    candidate.state = UnitState::Used;
    let wrong_everywhere = Payment { category: "tobacco", district: "31", ..payment(1, 0) };
    assert_eq!(code_of(exactly(&wrong_everywhere, &[candidate])), Some(Code::CategoryNotAllowed));
}

#[test]
fn something_always_stays_to_be_paid() {
    let (free, rule, zone) = (kind(0, 1_000), rule(1), zone());
    let judge = |amount| exactly(&payment(amount, 0), &[candidate(0, &free, &rule, &zone)]);
    let refused = judge(1_000).unwrap_err();
    assert_eq!((refused.code, missing_amount(&refused)), (Code::MinimumNotMet, Some(1)));
    assert_eq!(judge(1_001).unwrap().discount, Fen(1_000));
}

#[test]
fn a_used_up_limit_refuses_and_is_not_offered_as_better() {
    let pack = Pack::new(1);
    let limit = Limit {
        action: LimitAction::Redeem,
        entities: vec![LimitEntity::Person, LimitEntity::Merchant],
        period: Period::Day,
        max: LimitMax::Count(2),
    };
    let keeper = Keeper::Person;
    let fact = LimitFact { limit: &limit, number: 0, keeper, entity: [0; 6], period: 1, count: 2, amount: Fen(0) };
    let mut candidates = pack.candidates();
    candidates.iter_mut().for_each(|candidate| candidate.limits = vec![fact.clone()]);
    let basket = choose_and_advise(&payment(4_000, 0), &candidates);
    assert_eq!((basket.taken.len(), basket.better), (0, None));
    let basket = choose(&payment(11_800, 0), &candidates);
    let refusal = nothing_fits(&basket);
    assert_eq!(refusal.code, Code::LimitReached);
    assert_eq!(refusal.extra["limit"]["max_count"], 2);
}

#[test]
fn when_nothing_fits_the_voucher_that_got_furthest_says_why() {
    let pack = Pack::new(1);
    let mut candidates = pack.candidates();
    let refusal = nothing_fits(&choose(&payment(2_000, 0), &candidates));
    assert_eq!((refusal.code, missing_amount(&refusal)), (Code::MinimumNotMet, Some(1_000)));
    candidates[0].state = UnitState::Used;
    candidates[1].state = UnitState::Used;
    assert_eq!(nothing_fits(&choose(&payment(2_000, 0), &candidates)).code, Code::MinimumNotMet);
    candidates.iter_mut().for_each(|candidate| candidate.state = UnitState::Used);
    assert_eq!(nothing_fits(&choose(&payment(9_000, 0), &candidates)).code, Code::NoVoucherApplicable);
    assert_eq!(nothing_fits(&choose(&payment(9_000, 0), &[])).code, Code::NoVoucherApplicable);
}

#[test]
fn more_vouchers_than_a_payment_takes_are_refused() {
    let pack = Pack::new(1);
    let candidates = pack.candidates();
    assert_eq!(code_of(exactly(&payment(20_000, 0), &candidates[..2])), Some(Code::TooManyVouchers));
}

#[test]
fn several_vouchers_never_save_more_than_separate_payments_would() {
    let pack = Pack::new(3);
    for (amount, discount, count) in
        [(6_000, 2_000, 1), (9_000, 3_000, 2), (12_000, 4_000, 2), (15_000, 5_000, 3), (99_000, 5_000, 3)]
    {
        let basket = choose(&payment(amount, 0), &pack.candidates());
        assert_eq!((basket.discount, basket.taken.len()), (Fen(discount), count), "{amount}");
    }
}
