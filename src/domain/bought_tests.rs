use super::*;
use crate::domain::basket::spread;
use crate::domain::goods::Goods;
use crate::domain::order::{Order, OrderState, OrderUnit, Receipt, Refunded};
use crate::domain::refund::{Back, RefundAsk, judge, shares_so_far};

fn line(sku: &str, quantity: u32, net: i64, off: &[i64]) -> BoughtLine {
    let off = off.iter().map(|fen| Fen(*fen)).collect();
    BoughtLine { sku: sku.into(), serial: None, quantity, net: Fen(net), off }
}

fn piece(sku: &str, quantity: u32) -> Piece {
    Piece { sku: sku.into(), quantity, ..Piece::default() }
}

fn of_line(line: usize, sku: &str, quantity: u32) -> Piece {
    Piece { line: Some(line), ..piece(sku, quantity) }
}

fn of_serial(serial: &str, sku: &str) -> Piece {
    Piece { serial: Some(serial.into()), ..piece(sku, 1) }
}

/// An order of these lines, with a voucher for each column of what was taken off.
fn order_of(bought: &Bought) -> Order {
    let vouchers = bought.lines.iter().map(|line| line.off.len()).max().unwrap_or_default();
    let off = |voucher: usize| bought.lines.iter().filter_map(|line| line.off.get(voucher)).copied().sum::<Fen>();
    let unit = |u: usize| OrderUnit {
        c: 1,
        f: [1; 9],
        p: 0,
        u: u as u8,
        discount: off(u),
        round: 0,
        channel: 0,
        pack: 0,
        received_s: 0,
        contacts: [0; 3],
    };
    Order {
        state: OrderState::Redeemed,
        attempt: 1,
        fingerprint: [0; 8],
        asked: None,
        amount: bought.lines.iter().map(|line| line.net).sum(),
        merchant_discount: Fen::ZERO,
        discount: (0..vouchers).map(off).sum(),
        t0: 0,
        t1: 0,
        hold_seconds: 0,
        units: (0..vouchers).map(unit).collect(),
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: None,
        late_given_back: 0,
        elsewhere: 0,
    }
}

/// A till's refunds of one order, as the engine books them.
struct Returns {
    order: Order,
    bought: Bought,
    by_voucher: Vec<Fen>,
}

impl Returns {
    fn of(lines: Vec<BoughtLine>) -> Returns {
        let bought = Bought { lines, returns: Vec::new() };
        let order = order_of(&bought);
        let by_voucher = vec![Fen::ZERO; order.units.len()];
        Returns { order, bought, by_voucher }
    }

    fn refund(&mut self, amount: Option<i64>, items: &[Piece]) -> Result<Back, Refusal> {
        let index = self.order.refunds.len();
        let ask = RefundAsk { refund_id: format!("R{index}"), amount: amount.map(Fen), items: items.to_vec() };
        let back = judge(&self.order, Some(&self.bought), &ask)?;
        if !items.is_empty() {
            self.bought.returns.push(Returned { refund: index, parts: back.parts.clone() });
        }
        let share = back.by_voucher.iter().copied().sum();
        let refund =
            Refunded { refund_id: ask.refund_id.clone(), amount: back.amount, share, at: 0, restored: 0, whole: 0 };
        self.order.refunds.push(refund);
        self.by_voucher.iter_mut().zip(&back.by_voucher).for_each(|(sum, share)| *sum = *sum + *share);
        assert!(ask.is_of(&self.order, Some(&self.bought), index), "its repeat is the same refund");
        let so_far = shares_so_far(&self.order, Some(&self.bought));
        let sum = |voucher: usize| so_far.iter().map(|shares| shares[voucher]).sum::<Fen>();
        let sums: Vec<Fen> = (0..self.by_voucher.len()).map(sum).collect();
        assert_eq!(
            (so_far.len(), &sums),
            (index + 1, &self.by_voucher),
            "shares of refunds are a function of the order"
        );
        Ok(back)
    }

    fn items(&mut self, items: &[Piece]) -> (i64, Vec<i64>) {
        let back = self.refund(None, items).expect("these are goods of the order");
        (back.amount.0, back.by_voucher.iter().map(|fen| fen.0).collect())
    }

    fn code(&mut self, amount: Option<i64>, items: &[Piece]) -> (Code, serde_json::Value) {
        let refusal = self.refund(amount, items).expect_err("a refusal");
        (refusal.code, refusal.extra.into())
    }
}

#[test]
fn goods_that_no_voucher_paid_for_come_back_whole_and_others_with_exactly_their_part() {
    // 60.00 of food with 20.00 off, and a bottle that the voucher was not for.
    let mut order = Returns::of(vec![line("food", 3, 6_000, &[2_000]), line("wine", 1, 8_800, &[])]);
    assert_eq!(order.items(&[piece("wine", 1)]), (8_800, vec![]));
    assert_eq!(order.items(&[piece("food", 1)]), (2_000, vec![667]));
    assert_eq!(order.items(&[piece("food", 1)]), (2_000, vec![667]));
    assert_eq!(order.items(&[piece("food", 1)]), (2_000, vec![666]));
    assert_eq!((order.order.refundable(), order.by_voucher), (Fen::ZERO, vec![Fen(2_000)]));
}

#[test]
fn each_voucher_gets_back_what_it_paid_and_not_what_another_did() {
    let lines = vec![line("tv", 1, 300_000, &[0, 45_000]), line("rice", 2, 6_001, &[1_000])];
    let mut order = Returns::of(lines);
    assert_eq!(order.items(&[piece("rice", 1)]), (3_000, vec![500]));
    assert_eq!(order.items(&[piece("tv", 1)]), (300_000, vec![0, 45_000]));
    assert_eq!(order.items(&[piece("rice", 1)]), (3_001, vec![500]));
    assert_eq!(order.by_voucher, [Fen(1_000), Fen(45_000)]);
}

#[test]
fn of_two_lines_with_one_sku_at_different_prices_a_refund_names_the_line() {
    let lines = || vec![line("a", 2, 2_000, &[1_000]), line("b", 1, 500, &[]), line("a", 1, 900, &[])];
    let mut order = Returns::of(lines());
    for quantity in [1, 2] {
        let refused = order.refund(None, &[piece("b", 1), piece("a", quantity)]).expect_err("two prices");
        assert_eq!((refused.code, refused.errors[0].pointer.as_str()), (Code::LineRequired, "/items/1/line"));
        let told = |line: usize, left: u32, net: i64, off: i64| serde_json::json!({"line": line, "quantity_left": left, "quantity": left, "net_amount": net, "discount_amount": off});
        assert_eq!(refused.extra["lines"], serde_json::json!([told(0, 2, 2_000, 1_000), told(2, 1, 900, 0)]));
    }
    assert_eq!(order.items(&[of_line(2, "a", 1), piece("b", 1)]), (1_400, vec![]));
    assert_eq!(order.bought.pieces_of(0), Some(vec![of_line(2, "a", 1), piece("b", 1)]));
    let left = |line: usize, left: u32| serde_json::json!({"sku": "a", "line": line, "quantity_left": left});
    assert_eq!(order.code(None, &[of_line(2, "a", 1)]), (Code::ItemExceedsOrder, left(2, 0)));
    assert_eq!(order.code(None, &[of_line(0, "a", 3)]), (Code::ItemExceedsOrder, left(0, 2)));
    for other in [of_line(1, "a", 1), of_line(3, "a", 1)] {
        let place = other.line;
        assert_eq!(order.code(None, &[other]), (Code::ItemNotInOrder, serde_json::json!({"sku": "a", "line": place})));
    }
    assert_eq!(order.items(&[piece("a", 1)]), (1_000, vec![500]), "only the first line is left");
    let mut at_once = Returns::of(lines());
    assert_eq!(at_once.items(&[piece("a", 3)]), (2_900, vec![1_000]), "all of them need no line");
    let mut mixed = Returns::of(lines());
    assert_eq!(mixed.items(&[piece("a", 2), of_line(2, "a", 1)]), (2_900, vec![1_000]), "what is named comes first");
}

#[test]
fn lines_whose_pieces_cost_the_same_to_the_fen_need_no_naming() {
    let lines = |last: i64, off: i64| vec![line("a", 2, 2_000, &[667]), line("a", 1, last, &[off])];
    let mut alike = Returns::of(lines(1_000, 333));
    assert_eq!(alike.items(&[piece("a", 1)]), (1_000, vec![334]));
    assert_eq!(alike.items(&[piece("a", 1), piece("a", 1)]), (2_000, vec![666]));
    for (last, off) in [(1_001, 333), (1_000, 332), (1_000, 335), (999, 333)] {
        assert_eq!(Returns::of(lines(last, off)).code(None, &[piece("a", 1)]).0, Code::LineRequired, "{last} {off}");
    }
}

#[test]
fn a_serial_number_names_its_line_and_no_other() {
    let mut lines = vec![line("tv", 1, 3_000, &[500]), line("tv", 1, 2_500, &[]), line("tv", 1, 2_000, &[])];
    (lines[0].serial, lines[1].serial) = (Some("SN-A".into()), Some("SN-B".into()));
    let mut order = Returns::of(lines);
    let listed = order.code(None, &[piece("tv", 1)]).1;
    assert_eq!(
        (&listed["lines"][1]["serial"], &listed["lines"][2]["serial"]),
        (&"SN-B".into(), &serde_json::Value::Null)
    );
    assert_eq!(order.items(&[of_serial("sn-b", "tv")]), (2_500, vec![]));
    assert_eq!(order.code(None, &[of_serial("SN-B", "tv")]).0, Code::ItemExceedsOrder);
    for wrong in
        [of_serial("SN-C", "tv"), of_serial("SN-A", "radio"), Piece { line: Some(1), ..of_serial("SN-A", "tv") }]
    {
        assert_eq!(order.code(None, std::slice::from_ref(&wrong)).0, Code::ItemNotInOrder, "{wrong:?}");
    }
    let ask = RefundAsk {
        refund_id: "R".into(),
        amount: None,
        items: vec![Piece { quantity: 2, ..of_serial("SN-A", "tv") }],
    };
    assert_eq!(ask.check().expect_err("one piece").errors[0].code, "not_one_piece");
    assert_eq!(order.items(&[Piece { line: Some(0), ..of_serial("SN-A", "tv") }]), (3_000, vec![500]));
    assert_eq!(order.bought.pieces_of(1), Some(vec![Piece { line: Some(0), ..of_serial("SN-A", "tv") }]));
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    let mut order = Returns::of(vec![line("a", 2, 2_000, &[1_000]), line("gift", 1, 0, &[])]);
    let fields = |order: &mut Returns, amount, items: &[Piece]| order.code(amount, items);
    assert_eq!(
        fields(&mut order, None, &[piece("a", 1), piece("c", 1)]),
        (Code::ItemNotInOrder, serde_json::json!({"sku": "c"}))
    );
    assert_eq!(
        fields(&mut order, None, &[piece("a", 2), piece("a", 1)]),
        (Code::ItemExceedsOrder, serde_json::json!({"sku": "a", "quantity_left": 2}))
    );
    assert_eq!(
        fields(&mut order, Some(999), &[piece("a", 1)]),
        (Code::RefundAmountMismatch, serde_json::json!({"refund_amount": 1_000}))
    );
    order.refund(Some(1_000), &[piece("a", 1)]).expect("the right amount");
    assert_eq!(
        fields(&mut order, None, &[piece("a", 2)]),
        (Code::ItemExceedsOrder, serde_json::json!({"sku": "a", "quantity_left": 1}))
    );
    assert_eq!(order.items(&[piece("gift", 1)]), (0, vec![]), "a gift is worth nothing, and comes back");
    assert_eq!(
        fields(&mut order, None, &[piece("gift", 1)]),
        (Code::ItemExceedsOrder, serde_json::json!({"sku": "gift", "quantity_left": 0}))
    );
}

#[test]
fn the_first_refund_decides_between_goods_and_amounts_but_what_is_left_may_always_come_back_whole() {
    let lines = || vec![line("a", 1, 2_000, &[1_000]), line("b", 1, 3_000, &[0, 500])];
    let mut goods = Returns::of(lines());
    goods.items(&[piece("b", 1)]);
    for amount in [1, 1_999] {
        let refused = goods.code(Some(amount), &[]);
        assert_eq!(refused, (Code::RefundMannerFixed, serde_json::json!({"by": "items", "refundable_amount": 2_000})));
    }
    assert_eq!(goods.code(Some(2_001), &[]).0, Code::RefundExceedsOrder);
    let rest = goods.refund(Some(2_000), &[]).expect("all that is left");
    assert_eq!(rest.by_voucher, [Fen(1_000), Fen(0)], "a voucher that is back gets nothing twice");
    assert_eq!(goods.code(None, &[piece("a", 1)]).0, Code::RefundMannerFixed);

    let mut amounts = Returns::of(lines());
    amounts.refund(Some(1), &[]).expect("an amount");
    let refused = amounts.code(None, &[piece("a", 1)]);
    assert_eq!(refused, (Code::RefundMannerFixed, serde_json::json!({"by": "amount", "refundable_amount": 4_999})));
    amounts.refund(Some(4_999), &[]).expect("the rest");
    assert_eq!(amounts.by_voucher, [Fen(1_000), Fen(500)]);

    let mut none = Returns::of(lines());
    let ask = |items: &[Piece]| RefundAsk { refund_id: "R".into(), amount: None, items: items.to_vec() };
    assert_eq!(judge(&none.order, None, &ask(&[piece("a", 1)])).expect_err("no items").code, Code::ItemsNotKnown);
    assert_eq!(ask(&[]).check().expect_err("nothing is asked for").errors[0].code, "missing_field");
    assert_eq!(none.items(&[piece("b", 1), piece("a", 1)]).1, [1_000, 500]);
}

#[test]
fn another_body_is_another_refund() {
    let mut order = Returns::of(vec![line("a", 2, 2_000, &[1_000]), line("b", 1, 1_000, &[])]);
    order.items(&[piece("a", 1)]);
    order.items(&[piece("a", 1), piece("b", 1)]);
    let is_of = |index: usize, amount: Option<i64>, items: &[Piece]| {
        let ask = RefundAsk { refund_id: "R".into(), amount: amount.map(Fen), items: items.to_vec() };
        ask.is_of(&order.order, Some(&order.bought), index)
    };
    assert!(is_of(0, None, &[piece("a", 1)]) && is_of(0, Some(1_000), &[piece("a", 1)]));
    assert!(is_of(1, None, &[piece("b", 1), piece("a", 1)]), "the order of items does not matter");
    assert!(!is_of(0, Some(1_001), &[piece("a", 1)]), "another amount");
    assert!(!is_of(0, Some(1_000), &[]), "no items");
    assert!(!is_of(0, None, &[piece("b", 1)]) && !is_of(0, None, &[piece("a", 2)]), "other items");
    assert!(is_of(0, None, &[of_line(0, "a", 1)]), "the same goods under another name");
    assert!(!is_of(0, None, &[of_line(1, "a", 1)]) && !is_of(0, None, &[of_line(0, "a", 2)]), "another line");
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Up to five lines of three skus, and up to three vouchers for some of them.
fn random_lines(chance: &mut Chance) -> Vec<BoughtLine> {
    let item = |chance: &mut Chance| Item {
        sku: ["a", "b", "c"][chance.below(3) as usize].into(),
        category: None,
        serial: None,
        quantity: chance.below(5) as u32,
        amount: Fen((chance.below(4) * chance.below(4_000)) as i64),
        merchant_discount: Fen::ZERO,
    };
    let items: Vec<Item> = (0..1 + chance.below(5)).map(|_| item(chance)).collect();
    let vouchers: Vec<(Goods, Fen)> = (0..chance.below(4))
        .map(|_| {
            let lines: Vec<usize> = (0..items.len()).filter(|_| chance.below(2) == 0).collect();
            let room: i64 = lines.iter().map(|line| items[*line].amount.0).sum();
            (Goods::on(&lines), Fen(chance.below(room as u64 / 2 + 1) as i64))
        })
        .collect();
    let none = vec![Vec::new(); items.len()];
    Bought::new(&items, spread(&items, &vouchers).unwrap_or(none)).lines
}

#[test]
fn goods_that_come_back_in_any_steps_and_any_order_end_in_the_same_sums() {
    let seed = 20_200_808;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let mut complete = 0;
    for case in 0..2_000 {
        let lines = random_lines(&mut chance);
        let of = |(place, line): (usize, &BoughtLine)| vec![of_line(place, &line.sku, 1); line.quantity as usize];
        let mut pieces: Vec<Piece> = lines.iter().enumerate().flat_map(of).collect();
        let whole = chance.below(2) == 0;
        if !whole {
            let kept = chance.below(pieces.len() as u64) as usize;
            pieces.rotate_left(kept);
            pieces.truncate(kept.max(1));
        }
        let mut sums: Option<(Fen, Vec<Fen>)> = None;
        for _ in 0..4 {
            for place in (1..pieces.len()).rev() {
                pieces.swap(place, chance.below(place as u64 + 1) as usize);
            }
            let mut order = Returns::of(lines.clone());
            let mut left = &pieces[..];
            while !left.is_empty() {
                let (step, rest) = left.split_at(1 + chance.below(left.len() as u64) as usize);
                let back = order.refund(None, step).unwrap_or_else(|refusal| panic!("case {case}: {refusal:?}"));
                assert!(back.amount >= Fen::ZERO && back.by_voucher.iter().all(|fen| *fen >= Fen::ZERO), "case {case}");
                left = rest;
            }
            let these = (order.order.refunded_total(), order.by_voucher.clone());
            assert_eq!(*sums.get_or_insert_with(|| these.clone()), these, "case {case}: {lines:?} {pieces:?}");
            let rest = order.order.refundable();
            if rest > Fen::ZERO {
                order.refund(Some(rest.0), &[]).expect("all that is left");
            }
            let discounts: Vec<Fen> = order.order.units.iter().map(|unit| unit.discount).collect();
            assert_eq!(order.by_voucher, discounts, "case {case}: {lines:?} {pieces:?}");
            complete += usize::from(whole && rest == Fen::ZERO);
        }
    }
    assert!(complete > 2_000, "only {complete} orders came back whole by their goods");
}
