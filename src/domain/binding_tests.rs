use super::*;
use crate::domain::order::{OrderState, Receipt};

fn order(fingerprint: Fingerprint, asked: Option<Asked>) -> Order {
    Order {
        state: OrderState::Held,
        attempt: 1,
        fingerprint,
        asked,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
        discount: Fen(2_000),
        t0: 1_000_000,
        t1: 1_030_000,
        hold_seconds: 120,
        units: Vec::new(),
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: None,
        late_given_back: 0,
        elsewhere: 0,
    }
}

fn binding<'a>(ids: &'a [String]) -> Binding<'a> {
    Binding { amount: Fen(11_800), merchant_discount: Fen(800), items: &[], voucher_ids: ids, capture: true }
}

#[test]
fn an_order_is_bound_to_money_items_vouchers_and_capture_only() {
    let item = Item {
        sku: "a".into(),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
    };
    let base = binding(&[]);
    let with_serial = Item { serial: Some("SN1".into()), ..item.clone() };
    let (upper, lower) = (["AB".to_owned(), "CD".to_owned()], ["cd".to_owned(), "ab".to_owned()]);
    assert_eq!(base.fingerprint(), binding(&[]).fingerprint());
    assert_eq!(binding(&upper).fingerprint(), binding(&lower).fingerprint());
    let others = [
        Binding { amount: Fen(11_801), ..base.clone() },
        Binding { merchant_discount: Fen(801), ..base.clone() },
        Binding { capture: false, ..base.clone() },
        Binding { items: std::slice::from_ref(&item), ..base.clone() },
        binding(&upper),
    ];
    let bound = |item| Binding { items: std::slice::from_ref(item), ..base.clone() }.fingerprint();
    assert_ne!(bound(&item), bound(&with_serial));
    for other in others {
        assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
    }
}

#[test]
fn a_conflict_names_the_fields_that_differ() {
    let item = Item {
        sku: "a".into(),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
    };
    let (item, taken, others) = ([item], ["AB".to_owned()], ["CD".to_owned()]);
    let by_code = Binding { capture: false, ..binding(&[]) };
    let by_ids = Binding { voucher_ids: &taken, ..by_code.clone() };
    let check = |bound: &Binding, asked: &Binding, fields: &[&str]| {
        let payer = if asked.voucher_ids.is_empty() { "pay_code" } else { "voucher_ids" };
        let held = order(bound.fingerprint(), None);
        assert_eq!(asked.differences(&held, &taken, payer), fields, "{asked:?}");
    };
    check(&by_code, &by_code, &[]);
    check(&by_code, &Binding { amount: Fen(1), capture: true, ..by_code.clone() }, &["amount", "capture"]);
    check(&by_code, &Binding { items: &item, ..by_code.clone() }, &["items"]);
    check(&by_code, &Binding { voucher_ids: &others, ..by_code.clone() }, &["voucher_ids"]);
    check(&by_code, &by_ids, &["voucher_ids"]);
    check(&by_ids, &by_code, &["pay_code"]);
    check(&by_ids, &Binding { items: &item, ..by_ids.clone() }, &["items"]);
    check(&by_ids, &Binding { items: &item, voucher_ids: &others, ..by_code.clone() }, &["items", "voucher_ids"]);
}

#[test]
fn a_conflict_names_category_and_scene_between_what_was_paid_and_by_whom() {
    let (item, others) = (
        Item { sku: "a".into(), category: None, serial: None, quantity: 1, amount: Fen(1), merchant_discount: Fen(0) },
        ["CD".to_owned()],
    );
    let by_code = Binding { capture: false, ..binding(&[]) };
    let asked = |category: &str, scene| Asked::new(payer_name(&["9"]), category, scene);
    let held = order(by_code.fingerprint(), Some(asked("catering", Some(Scene::Offline))));
    let check = |binding: &Binding, asked: Asked, fields: &[&str]| {
        assert_eq!(binding.conflicts(&asked, &held, Vec::new, "pay_code"), fields, "{binding:?} {asked:?}");
    };
    check(&by_code, asked("catering", Some(Scene::Offline)), &[]);
    check(&by_code, Asked::new(payer_name(&["8"]), "catering", Some(Scene::Offline)), &[]);
    check(&by_code, asked("culture", Some(Scene::Offline)), &["category"]);
    check(&by_code, asked("catering", None), &["scene"]);
    let all = Binding {
        amount: Fen(1),
        capture: true,
        items: std::slice::from_ref(&item),
        voucher_ids: &others,
        ..by_code.clone()
    };
    check(&all, asked("x", Some(Scene::Online)), &["amount", "capture", "category", "scene", "items", "pay_code"]);
    let old = Order { asked: None, ..held.clone() };
    assert!(by_code.conflicts(&asked("culture", None), &old, Vec::new, "pay_code").is_empty(), "nobody knows");
}

#[test]
fn a_payer_is_the_same_by_the_same_words_and_nobody_is_by_none() {
    let of = |name| Asked::new(name, "catering", None);
    let (code, account) = (payer_name(&["pay_code", "97"]), payer_name(&["account", "wechat", "o-1"]));
    assert!(of(code).same_payer(code) && !of(code).same_payer(account));
    assert!(!of(PayerName::default()).same_payer(PayerName::default()));
    assert_eq!(Asked::of_bytes(of(code).to_bytes()), of(code));
    let scenes = [None, Some(Scene::DineIn), Some(Scene::Takeaway), Some(Scene::Offline), Some(Scene::Online)];
    for (place, scene) in scenes.into_iter().enumerate() {
        let asked = Asked::new(code, "catering", scene);
        assert_eq!(usize::from(asked.to_bytes()[7]), place, "what is stored keeps its number");
    }
}
