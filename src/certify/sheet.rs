//! The cases. Each is one bad moment, and says in one sentence what an integration must make of it.

use serde_json::json;

use super::proxy::{Fault, Seen, Step};
use super::stage::{Stage, Wanted, state_of};
use crate::domain::magic::ANOTHER;

/// A row of the sheet.
pub struct Case {
    pub id: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
    pub play: fn(&mut Stage),
}

macro_rules! sheet {
    ($($name:ident $zh:literal $en:literal;)*) => {
        /// All cases in the order in which they are played.
        pub const SHEET: &[Case] = &[$(Case { id: stringify!($name), zh: $zh, en: $en, play: $name }),*];
    };
}

sheet! {
    sale_in_one_call "一次调用核销。" "A sale is redeemed in one call.";
    sale_with_hold "先锁券，收款后确认。" "A sale is held, paid and confirmed.";
    payment_declined "付款失败，锁定的券退回。" "The payment fails: the hold is cancelled.";
    refusal_is_shown "券已使用：原样显示提示，不重试。" "A used voucher: the sentence is shown as it is, and nothing is repeated.";
    answer_lost_once "核销应答丢失一次：同一订单重试。" "The answer is lost once: the same order is repeated.";
    retry_storm "连续三次失败：按 1、2、4 秒重试同一订单。" "Three failures in a row: the same order after 1, 2 and 4 s.";
    request_doubled "网络重复投递：只核销一次。" "The network delivers twice: one redemption.";
    answers_never_come "始终收不到应答：冲正直到得到答复。" "No answer ever comes: reverse until that is answered.";
    order_never_seen "服务端从未见过的订单也要冲正，迟到的请求不得生效。" "An order that never arrived is reversed too, and its late copy has no effect.";
    hold_answers_never_come "锁券应答始终丢失：冲正，不留锁定。" "No answer to a hold ever comes: it is reversed and nothing stays held.";
    confirm_lost "确认应答丢失：重复确认。" "The answer to a confirm is lost: it is repeated.";
    cancel_lost "取消应答丢失：重复取消。" "The answer to a cancel is lost: it is repeated.";
    busy_then_fine "系统繁忙后恢复：同一订单重试。" "Busy, then fine: the same order is repeated.";
    outcome_unknown "结果未知：重试同一订单得到结果。" "The outcome is unknown: the same order tells it.";
    answer_forged "应答签名不符：不得采信，重试。" "An answer with a wrong signature is not believed: the order is repeated.";
    another_customer "同一订单换了别的顾客的付款码：如实提示，不另开订单。" "Another customer's code for the same sale: told as it is, and no new order.";
    partial_refunds "部分退款，应答丢失时用同一退款号重试。" "Partial refunds; a lost answer is repeated under the same refund_id.";
    clock_skew "收银机时钟慢 15 分钟：校时后同一订单成功，或如实提示。" "The till's clock is 15 minutes slow: corrected for the same order, or told as it is.";
    key_rotation "密钥轮换期间新旧密钥均可用，营业不中断。" "Two secrets are good while the key is rotated: no sale is lost.";
}

fn sale_in_one_call(stage: &mut Stage) {
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "redeemed", "redeemed");
    let small = stage.sell(&Wanted { amount: 3_000, ..Wanted::PLAIN });
    stage.require_state(&small, "redeemed", "redeemed");
    let asked = stage.count(Step::Redeem);
    stage.require(asked == 2, format!("two sales took {asked} calls on a good network"));
}

fn sale_with_hold(stage: &mut Stage) {
    let sale = stage.sell(&Wanted::HELD);
    stage.require_state(&sale, "redeemed", "redeemed");
    let confirms = stage.count(Step::Confirm);
    stage.require(confirms == 1, format!("a hold was confirmed {confirms} times on a good network"));
}

fn payment_declined(stage: &mut Stage) {
    let sale = stage.sell(&Wanted { declined: true, ..Wanted::HELD });
    stage.require_state(&sale, "cancelled", "cancelled");
}

fn refusal_is_shown(stage: &mut Stage) {
    let sale = stage.sell(&Wanted { outcome: 2, ..Wanted::PLAIN });
    stage.require_state(&sale, "refused", "unknown");
    let (code, shown) = (sale.told["code"].clone(), sale.told["pos_message"].clone());
    stage.require(code == "voucher_used", format!("the code told is {code}, not voucher_used"));
    let (zh, en) = crate::domain::refusal::Code::VoucherUsed.pos_message().unwrap_or_default();
    let exact = shown["zh"] == zh || shown["en"] == en;
    stage.require(exact, format!("the cashier was shown {shown} instead of {zh} / {en}"));
    let asked = stage.count(Step::Redeem);
    stage.require(asked == 1, format!("a final refusal was repeated: {asked} calls"));
}

fn answer_lost_once(stage: &mut Stage) {
    stage.plan(Step::Redeem, &[Fault::AnswerLost]);
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn retry_storm(stage: &mut Stage) {
    stage.plan(Step::Redeem, &[Fault::AnswerLost, Fault::BadGateway, Fault::RequestLost]);
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "redeemed", "redeemed");
    let reverses = stage.count(Step::Reverse);
    stage.require(reverses == 0, "the order was reversed before its fourth try");
}

fn request_doubled(stage: &mut Stage) {
    stage.plan(Step::Redeem, &[Fault::Doubled]);
    stage.plan(Step::Confirm, &[Fault::Doubled]);
    let sale = stage.sell(&Wanted::HELD);
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn answers_never_come(stage: &mut Stage) {
    stage.proxy.always(Step::Redeem, Fault::AnswerLost);
    stage.plan(Step::Reverse, &[Fault::AnswerLost, Fault::BadGateway, Fault::RequestLost]);
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "reversed", "reversed");
    let tries = stage.count(Step::Redeem);
    stage.require(tries >= 2, "the order was given up after one try");
}

fn order_never_seen(stage: &mut Stage) {
    stage.proxy.always(Step::Redeem, Fault::RequestDelayed);
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "reversed", "reversed");
    match stage.proxy.deliver_delayed() {
        Ok(answers) => {
            let taken = answers.iter().filter(|answer| answer.status() < 300).count();
            stage.require(!answers.is_empty(), "the order was never sent");
            stage.require(taken == 0, "a late copy of the order was applied: the reverse was for another order");
        }
        Err(error) => stage.require(false, format!("the late copies could not be delivered: {error}")),
    }
    let record = stage.record(sale.order_id());
    stage.require(state_of(&record) == "reversed", "the order did not stay reversed");
}

fn hold_answers_never_come(stage: &mut Stage) {
    stage.proxy.always(Step::Redeem, Fault::AnswerLost);
    let sale = stage.sell(&Wanted::HELD);
    stage.require_state(&sale, "reversed", "reversed");
}

fn confirm_lost(stage: &mut Stage) {
    stage.plan(Step::Confirm, &[Fault::AnswerLost, Fault::RequestLost]);
    let sale = stage.sell(&Wanted::HELD);
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn cancel_lost(stage: &mut Stage) {
    stage.plan(Step::Cancel, &[Fault::RequestLost, Fault::AnswerLost]);
    let sale = stage.sell(&Wanted { declined: true, ..Wanted::HELD });
    stage.require_state(&sale, "cancelled", "cancelled");
}

fn busy_then_fine(stage: &mut Stage) {
    let sale = stage.sell(&Wanted { outcome: 13, ..Wanted::PLAIN });
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn outcome_unknown(stage: &mut Stage) {
    let sale = stage.sell(&Wanted { outcome: 14, ..Wanted::PLAIN });
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn answer_forged(stage: &mut Stage) {
    stage.plan(Step::Redeem, &[Fault::AnswerForged]);
    let sale = stage.sell(&Wanted::PLAIN);
    stage.require_state(&sale, "redeemed", "redeemed");
}

fn another_customer(stage: &mut Stage) {
    for wanted in [Wanted::PLAIN, Wanted::HELD] {
        let hold = wanted.hold;
        let sale = stage.sell(&wanted);
        stage.require_state(&sale, "redeemed", "redeemed");
        let again = stage.sell_again(&sale, &Wanted { outcome: ANOTHER, hold, ..Wanted::PLAIN });
        let (state, code) = (again.state().to_owned(), again.told["code"].clone());
        stage.require(
            state == "refused" && code == "order_conflict",
            format!("{}: another customer's code was told as {state:?} {code}, not as order_conflict", sale.name),
        );
        let seen = stage.proxy.seen();
        let own = |one: &Seen| one.step != Step::Redeem || one.order_id == sale.order_id();
        let as_another = seen.iter().filter(|one| one.body["pay_code"] == again.pay_code.as_str()).any(|one| !own(one));
        stage.require(!as_another, format!("{}: the sale was sent as another order for another customer", sale.name));
        let record = stage.record(sale.order_id());
        stage.require(state_of(&record) == "redeemed", format!("{}: the order did not stay as it was", sale.name));
    }
}

fn partial_refunds(stage: &mut Stage) {
    let sale = stage.sell(&Wanted::PLAIN);
    stage.plan(Step::Refund, &[Fault::AnswerLost]);
    let first = stage.give_back(&sale, "1", 2_360);
    stage.require(first["to_payer"] == 1_960, format!("19.60 was to be paid out, the cashier was told {first}"));
    stage.plan(Step::Refund, &[Fault::RequestLost]);
    let second = stage.give_back(&sale, "2", 1_180);
    stage.require(second["to_payer"] == 980, format!("9.80 was to be paid out, the cashier was told {second}"));
    let third = stage.give_back(&sale, "3", 11_800);
    stage.require(third["state"] == "refused", format!("more than the order was refunded: {third}"));
    let record = stage.record(sale.order_id());
    let refunds = record["refunds"].as_array().map_or(0, Vec::len);
    stage.require(
        refunds == 2,
        format!("two refunds are {refunds} in the books: repeat a refund under its own refund_id"),
    );
    stage.require(state_of(&record) == "partially_refunded", format!("the order is {}", state_of(&record)));
    stage.require_books(&record, 11_800 - 2_360 - 1_180, 2_000 - 400 - 200);
}

fn clock_skew(stage: &mut Stage) {
    if stage.ask(&json!({"do": "clock", "offset_seconds": -900}))["unsupported"] == true {
        return;
    }
    let slow = stage.sell(&Wanted::PLAIN);
    let told = slow.told["code"] == "timestamp_out_of_range" && slow.state() == "refused";
    if !told {
        stage.require_state(&slow, "redeemed", "redeemed");
    }
    stage.ask(&json!({"do": "clock", "offset_seconds": 0}));
    let right = stage.sell(&Wanted::PLAIN);
    stage.require_state(&right, "redeemed", "redeemed");
}

fn key_rotation(stage: &mut Stage) {
    let second = match stage.sandbox.rotate(1, true) {
        Ok(secret) => secret,
        Err(error) => return stage.require(false, format!("the key could not be rotated: {error}")),
    };
    let before = stage.sell(&Wanted::PLAIN);
    stage.require_state(&before, "redeemed", "redeemed");
    stage.ask(&json!({"do": "rotate", "secret": second}));
    stage.secret = second;
    let after = stage.sell(&Wanted::HELD);
    stage.require_state(&after, "redeemed", "redeemed");
    if let Err(error) = stage.sandbox.rotate(1, false) {
        stage.require(false, format!("the old secret could not be retired: {error}"));
    }
    let retired = stage.sell(&Wanted::PLAIN);
    stage.require_state(&retired, "redeemed", "redeemed");
}
