//! Payments of one merchant in two campaigns that may be combined, with caps and quotas on every redemption.

use quanyu::domain::account::Account;
use quanyu::domain::money::Fen;
use quanyu::domain::order::OrderState;
use quanyu::domain::refund::RefundAsk;
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::domain::rules::Item;
use quanyu::domain::voucher::WalletState;
use quanyu::engine::Engine;
use quanyu::engine::claim::{Claimant, Tap};
use quanyu::engine::merchant::caller::Till;
use quanyu::engine::order::{Ask, GiveBacks, OrderView, Payer};
use quanyu::engine::resident::{Identity, Resident};
use serde_json::json;

use super::toll::Trouble;
use super::town::{Town, Used, till_campaign};
use super::{Turn, each_call};
use crate::harness::fixture::{MINUTE, SECOND};

const CAMPAIGNS: [&str; 2] = ["here", "there"];
const PRICE: i64 = 20_000;
const HOLD: i64 = 120 * SECOND;

pub async fn table(town: &Town, trouble: Trouble) {
    let desk = Desk::open(town).await;
    let impatient = Desk { gives_up: true, ..desk.clone() };
    for (verb, desk) in [("hold", &desk), ("hold that is given up", &impatient)] {
        desk.play(town, verb, trouble, |sale| sale.ask.capture = false).await;
    }
    desk.play(town, "redeem", trouble, |_| {}).await;
    each_call(town, "redeem that is refused", trouble, async |turn| desk.refused(turn).await).await;
    desk.play(town, "redeem of named vouchers", trouble, |sale| {
        sale.ask.payer = Payer::Vouchers(sale.vouchers[..3].to_vec());
    })
    .await;
    desk.play(town, "redeem for a piece", trouble, |sale| sale.pays_for_a_piece()).await;
    desk.play(town, "redeem by account", trouble, |sale| sale.ask.payer = Payer::Account(sale.account.clone())).await;
    each_call(town, "redeem on a node that knows nothing", trouble, async |turn| desk.cold(turn).await).await;
    each_call(town, "redeem after a hold that ran out", trouble, async |turn| desk.after_a_hold(turn).await).await;
    for (verb, begun) in [("redeem for the piece of a hold", false), ("redeem for the piece of what was begun", true)] {
        each_call(town, verb, trouble, async |turn| desk.piece_of_another(turn, begun).await).await;
    }
    for (verb, desk) in [("redeem that another had begun", &desk), ("the same, given up", &impatient)] {
        each_call(town, verb, trouble, async |turn| desk.begun_by_another(turn).await).await;
    }
    for (verb, after, becomes) in [
        ("confirm", 0, OrderState::Redeemed),
        ("late confirm", HOLD + SECOND, OrderState::Redeemed),
        ("confirm that comes too late", HOLD + 11 * MINUTE, OrderState::Lapsed),
    ] {
        each_call(town, verb, trouble, async |turn| desk.confirm(turn, after, becomes).await).await;
    }
    each_call(town, "cancel", trouble, async |turn| desk.cancel(turn, 0).await).await;
    each_call(town, "cancel of a hold that ran out", trouble, async |turn| desk.cancel(turn, HOLD + SECOND).await)
        .await;
    each_call(town, "refund of a part", trouble, async |turn| desk.refund(turn, 7_000).await).await;
    each_call(town, "refund", trouble, async |turn| desk.refund(turn, PRICE).await).await;
    each_call(town, "reverse of what was never seen", trouble, async |turn| desk.reverse(turn, None).await).await;
    each_call(town, "reverse of a hold", trouble, async |turn| desk.reverse(turn, Some(false)).await).await;
    each_call(town, "reverse", trouble, async |turn| desk.reverse(turn, Some(true)).await).await;
    each_call(town, "reverse, begun", trouble, async |turn| desk.begun(turn).await.judge_reverse().await).await;
}

/// The merchant's till, and the numbers of the campaigns.
#[derive(Clone)]
struct Desk {
    till: Till,
    /// Whoever is not told that the order has its effect reverses it.
    gives_up: bool,
}

impl Desk {
    async fn open(town: &Town) -> Desk {
        for campaign in CAMPAIGNS {
            town.publish(campaign, &till_campaign(campaign)).await;
        }
        town.tested.refresh().await.expect("a configuration");
        Desk { till: town.merchant(&CAMPAIGNS).await, gives_up: false }
    }

    async fn play(&self, town: &Town, verb: &'static str, trouble: Trouble, becomes: impl Fn(&mut Sale<'_>)) {
        each_call(town, verb, trouble, async |turn| {
            let mut sale = self.sale(turn).await;
            becomes(&mut sale);
            sale.play_sale().await;
        })
        .await;
    }

    /// A payment of a new person who has a pack of each campaign.
    async fn sale<'a>(&'a self, turn: &'a Turn<'a>) -> Sale<'a> {
        let node = &turn.town.clean;
        let person = turn.town.person(&Identity::default());
        for campaign in CAMPAIGNS {
            let claimant = Claimant::Resident(Box::new(person.clone()));
            let tap = node.claim(campaign, "r", &claimant, None, None).await.expect("an answer");
            assert!(matches!(tap, Tap::Won { .. }), "{tap:?}");
        }
        let account = Account::parse("wechat".into(), format!("account-{}", turn.town.number())).expect("an account");
        node.link_account(&person, &account, true).await.expect("a link");
        let wallet = node.wallet(&person, None, None).await.expect("a wallet").vouchers;
        let saved = wallet.iter().filter(|one| one.voucher_kind != "15-off");
        let code = node.new_pay_code(&person, None).await.expect("a pay code");
        let ask = Ask {
            payer: Payer::PayCode(code.pay_code),
            amount: Fen(PRICE),
            merchant_discount: Fen::ZERO,
            category: "catering".into(),
            scene: None,
            items: Vec::new(),
            capture: true,
            store: String::new(),
            terminal: String::new(),
            cashier: String::new(),
            receipt_no: String::new(),
        };
        Sale {
            desk: self,
            turn,
            order_id: format!("o-{}", turn.town.number()),
            vouchers: saved.map(|one| one.voucher_id.clone()).collect(),
            percent: wallet.iter().find(|one| one.voucher_kind == "15-off").expect("one").voucher_id.clone(),
            person,
            account,
            ask,
            before: turn.town.used(),
        }
    }

    async fn refused(&self, turn: &Turn<'_>) {
        let mut sale = self.sale(turn).await;
        sale.ask.amount = Fen(1_000);
        turn.ask(async |node: &Engine| sale.redeem(node).await, async |node| sale.taken(node).await).await;
        sale.ask.amount = Fen(PRICE);
        sale.play_sale().await;
    }

    /// A node that has started a moment ago reads merchant and configuration first.
    async fn cold(&self, turn: &Turn<'_>) {
        let sale = self.sale(turn).await;
        let area = json!({"circle": {"center": [104.0, 30.6], "radius_m": 100 + turn.town.number()}});
        turn.town.clean.put_area(&turn.town.key, "anywhere", &area).await.expect("an area");
        sale.play_sale().await;
    }

    async fn after_a_hold(&self, turn: &Turn<'_>) {
        let held = self.held(turn).await;
        let again = Sale { order_id: format!("{}-again", held.order_id), ..held };
        turn.town.pass(HOLD);
        let code = turn.town.clean.new_pay_code(&again.person, None).await.expect("a pay code");
        let ask = Ask { payer: Payer::PayCode(code.pay_code), ..again.ask.clone() };
        Sale { ask, ..again }.play_sale().await;
    }

    /// The piece is marked by an order that may still be confirmed late, or that was begun and came as far as the caps.
    async fn piece_of_another(&self, turn: &Turn<'_>, begun: bool) {
        let mut first = self.sale(turn).await;
        first.pays_for_a_piece();
        first.ask.capture = false;
        if begun {
            first.begin().await;
        } else {
            first.redeem(&turn.town.clean).await.expect("a hold");
        }
        let mut second = self.sale(turn).await;
        second.pays_for_a_piece();
        second.ask.items.clone_from(&first.ask.items);
        second.before.clone_from(&first.before);
        turn.town.pass(HOLD);
        second.play_sale().await;
        first.reverse(&turn.town.clean).await.expect("a reverse");
    }

    /// The order was begun by another person and came as far as the caps.
    async fn begun_by_another(&self, turn: &Turn<'_>) {
        let (first, second) = (self.begun(turn).await, self.sale(turn).await);
        Sale { order_id: first.order_id.clone(), before: first.before.clone(), ..second }.play_sale().await;
    }

    async fn begun<'a>(&'a self, turn: &'a Turn<'a>) -> Sale<'a> {
        let sale = self.sale(turn).await;
        sale.begin().await;
        sale
    }

    async fn held<'a>(&'a self, turn: &'a Turn<'a>) -> Sale<'a> {
        let mut sale = self.sale(turn).await;
        sale.ask.capture = false;
        sale.redeem(&turn.town.clean).await.expect("a hold");
        sale
    }

    /// One that is told that the hold ran out has had that effect.
    async fn confirm(&self, turn: &Turn<'_>, after: i64, becomes: OrderState) {
        let sale = self.held(turn).await;
        let view = sale.stands(&turn.town.clean).await.expect("a hold");
        turn.town.pass(after);
        if after > 0 {
            turn.town.clean.expire_lapsed_holds().await.expect("a sweep");
        }
        let request = async |node: &Engine| {
            let paid = view.order.payable();
            match node.confirm(&self.till, &sale.order_id, &view.hold_id, paid).await {
                Err(refusal) if becomes == OrderState::Lapsed && refusal.code == Code::HoldExpired => Ok(()),
                told => told.map(drop),
            }
        };
        let effects = async |node: &Engine| usize::from(sale.state(node).await == Some(becomes));
        turn.judge(request, effects).await;
        if becomes == OrderState::Redeemed {
            sale.uses_what_it_holds().await;
        }
        sale.reverse(&turn.town.clean).await.expect("a reverse");
        sale.holds_nothing().await;
    }

    async fn cancel(&self, turn: &Turn<'_>, after: i64) {
        let sale = self.held(turn).await;
        turn.town.pass(after);
        if after > 0 {
            turn.town.clean.expire_lapsed_holds().await.expect("a sweep");
        }
        let request = async |node: &Engine| node.cancel(&self.till, &sale.order_id).await.map(drop);
        let effects = async |node: &Engine| usize::from(sale.state(node).await == Some(OrderState::Cancelled));
        turn.ask(request, effects).await;
        if turn.told.get() {
            // What was told is true without a repeat.
            sale.holds_nothing().await;
        }
        turn.repeat(request, effects).await;
        sale.holds_nothing().await;
    }

    async fn refund(&self, turn: &Turn<'_>, amount: i64) {
        let sale = self.sale(turn).await;
        sale.redeem(&turn.town.clean).await.expect("a redemption");
        let back = |id: &str, amount: i64| RefundAsk::of_amount(id, Fen(amount));
        let request =
            async |node: &Engine| node.refund(&self.till, &sale.order_id, &back("R1", amount)).await.map(drop);
        let effects = async |node: &Engine| sale.stands(node).await.map_or(0, |view| view.order.refunds.len());
        turn.judge(request, effects).await;
        if amount < PRICE {
            sale.uses_what_it_holds().await;
            let rest = back("R2", PRICE - amount);
            turn.town.clean.refund(&self.till, &sale.order_id, &rest).await.expect("a refund of the rest");
        }
        sale.holds_nothing().await;
    }

    async fn reverse(&self, turn: &Turn<'_>, captured: Option<bool>) {
        let mut sale = self.sale(turn).await;
        if let Some(captured) = captured {
            sale.ask.capture = captured;
            sale.redeem(&turn.town.clean).await.expect("a payment");
        }
        sale.judge_reverse().await;
    }
}

struct Sale<'a> {
    desk: &'a Desk,
    turn: &'a Turn<'a>,
    order_id: String,
    person: Resident,
    account: Account,
    /// Of both campaigns; the percent voucher is apart.
    vouchers: Vec<String>,
    percent: String,
    ask: Ask,
    /// What caps and quotas held before.
    before: Used,
}

impl Sale<'_> {
    fn pays_for_a_piece(&mut self) {
        self.ask.payer = Payer::Vouchers(vec![self.percent.clone()]);
        self.ask.items = vec![Item {
            sku: "tv".into(),
            category: Some("catering".into()),
            serial: Some(format!("SN-{}", self.turn.town.number())),
            quantity: 1,
            amount: Fen(PRICE),
            merchant_discount: Fen::ZERO,
        }];
    }

    /// It comes as far as the caps.
    async fn begin(&self) {
        let Town { tested, toll, .. } = self.turn.town;
        self.turn.town.wait_known().await;
        toll.arm_at("order_change", Trouble::CutBefore);
        self.redeem(tested).await.expect_err("no answer");
        toll.disarm();
    }

    async fn redeem(&self, node: &Engine) -> Result<(), Refusal> {
        node.redeem(&self.desk.till, &self.order_id, &self.ask).await.map(drop)
    }

    async fn reverse(&self, node: &Engine) -> Result<(), Refusal> {
        node.reverse(&self.desk.till, &self.order_id).await.map(drop)
    }

    async fn stands(&self, node: &Engine) -> Option<OrderView> {
        match node.get_order(&self.desk.till, &self.order_id).await {
            Ok(view) => Some(view),
            Err(refusal) if refusal.code == Code::OrderNotFound => None,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    async fn state(&self, node: &Engine) -> Option<OrderState> {
        self.stands(node).await.map(|view| view.order.state)
    }

    /// Vouchers of the person that are held or used.
    async fn taken(&self, node: &Engine) -> usize {
        let wallet = node.wallet(&self.person, None, None).await.expect("a wallet").vouchers;
        wallet.iter().filter(|one| matches!(one.state, WalletState::Held | WalletState::Used)).count()
    }

    /// The payment with its trouble: until it is there, or until it never was.
    async fn play_sale(&self) {
        let request = async |node: &Engine| self.redeem(node).await;
        let effects = async |node: &Engine| {
            let live = [OrderState::Held, OrderState::Redeemed];
            let order = self.stands(node).await.filter(|view| live.contains(&view.order.state));
            let (taken, units) = (self.taken(node).await, order.as_ref().map_or(0, |view| view.order.units.len()));
            if taken != units {
                self.turn.fault(&format!("{taken} vouchers are taken for an order of {units}"));
            }
            usize::from(order.is_some())
        };
        self.turn.ask(request, effects).await;
        if self.desk.gives_up {
            if !self.turn.told.get() {
                self.give_up().await;
                return;
            }
        } else {
            self.turn.repeat(request, effects).await;
        }
        self.uses_what_it_holds().await;
        self.reverse(&self.turn.town.clean).await.expect("a reverse");
        self.holds_nothing().await;
    }

    /// A till that was not told of an effect asks for a reverse until it is answered.
    async fn give_up(&self) {
        let told = self.turn.insist(async |node: &Engine| self.reverse(node).await).await;
        if told.is_err() || self.state(&self.turn.town.clean).await != Some(OrderState::Reversed) {
            self.turn.fault(&format!("it cannot be given up: {told:?}"));
        }
        self.holds_nothing().await;
    }

    async fn judge_reverse(&self) {
        let request = async |node: &Engine| self.reverse(node).await;
        let effects = async |node: &Engine| usize::from(self.state(node).await == Some(OrderState::Reversed));
        self.turn.judge(request, effects).await;
        self.holds_nothing().await;
    }

    /// Caps and quotas are what this order uses, the only one that is live.
    async fn uses_what_it_holds(&self) {
        let mut expected = self.before.clone();
        let order = self.stands(&self.turn.town.clean).await.map(|view| view.order);
        for unit in order.iter().flat_map(|order| &order.units) {
            for (kind, limit, n) in [('u', 0, 1), ('q', 1, 1), ('q', 2, unit.discount.0)] {
                *expected.entry((kind, unit.c, limit)).or_default() += n;
            }
        }
        self.hold(&expected).await;
    }

    async fn holds_nothing(&self) {
        let taken = self.taken(&self.turn.town.clean).await;
        if taken > 0 {
            self.turn.fault(&format!("{taken} vouchers are taken for no order"));
        }
        self.hold(&self.before).await;
    }

    /// What is owed is given back first.
    async fn hold(&self, expected: &Used) {
        let Town { tested, clean, .. } = self.turn.town;
        for node in [tested, clean] {
            node.expire_lapsed_holds().await.expect("a sweep");
        }
        if self.turn.town.used() != *expected {
            GiveBacks::default().step(clean).await.expect("a walk");
        }
        let used = self.turn.town.used();
        if used != *expected {
            self.turn.fault(&format!("caps and quotas hold {used:?} instead of {expected:?}"));
        }
    }
}
