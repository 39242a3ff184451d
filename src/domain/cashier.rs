//! What a cashier reads after each step: one sentence, shown as it is.

use jiff::civil::DateTime;

use crate::domain::basket::Better;
use crate::domain::merchant::EnrolState;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};

/// The same sentence in Chinese and English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

fn words(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

pub fn quoted(payable: Fen, discount: Fen, better: Option<&Better>) -> Words {
    let said = words(format!("可减{discount}元，应收{payable}元。"), format!("{discount} off: {payable} to pay."));
    and_better(said, better)
}

/// A quote that takes nothing says what a redemption would be refused with, and what would help.
pub fn nothing_quoted(refusal: &Refusal, better: Option<&Better>) -> Option<Words> {
    let said = refusal.words()?;
    // A minimum that is not met tells what is missing by itself.
    let told = refusal.code == Code::MinimumNotMet;
    Some(and_better(said, better.filter(|_| !told)))
}

fn and_better(mut said: Words, better: Option<&Better>) -> Words {
    if let Some(better) = better {
        let (add, off) = (better.add_amount, better.discount_amount);
        if better.goods.is_any() {
            said.zh += &format!("再买{add}元可减{off}元。");
            said.en += &format!(" Another {add} and {off} is off.");
        } else {
            said.zh += &format!("再买{add}元适用商品可减{off}元。");
            said.en += &format!(" Another {add} of goods that the voucher is for and {off} is off.");
        }
    }
    said
}

/// With the city's day: whoever sends a number again that an earlier day has used reads that this is the answer of that day's order.
pub fn held(payable: Fen, discount: Fen, day: &str) -> Words {
    words(
        format!("{day} 已锁券，减{discount}元，请收款{payable}元。"),
        format!("Voucher held on {day}, {discount} off: collect {payable}."),
    )
}

pub fn redeemed(payable: Fen, discount: Fen, day: &str) -> Words {
    words(
        format!("{day} 已用券，减{discount}元，实收{payable}元。"),
        format!("Voucher used on {day}, {discount} off: {payable} paid."),
    )
}

/// `back`: all vouchers of the order are there to be used; one may have ended, or be another order's since the hold ran out.
pub fn cancelled(back: bool) -> Words {
    match back {
        true => words("已取消，券已退回顾客。", "Cancelled: the voucher is back with the customer."),
        false => words("已取消，本单未用券。", "Cancelled: this order used no voucher."),
    }
}

/// It says nothing of the vouchers: they may have ended, or be another order's since a hold ran out.
pub fn reversed() -> Words {
    words("订单已冲正，不可再用此订单号。", "The order is undone: start a new order number.")
}

pub fn refunded(to_payer: Fen, restored: bool) -> Words {
    if restored {
        return words(
            format!("请退顾客{to_payer}元，券已退回。"),
            format!("Give {to_payer} back; the voucher is back too."),
        );
    }
    words(format!("请退顾客{to_payer}元，券不退回。"), format!("Give {to_payer} back; the voucher stays used."))
}

/// How much more a voucher needs; only of its own goods where others do not count.
pub fn missing(amount: Fen, of_any_goods: bool) -> Words {
    if of_any_goods {
        return words(format!("再买{amount}元才能用券。"), format!("Another {amount} is needed to use the voucher."));
    }
    words(
        format!("再买{amount}元适用商品才能用券。"),
        format!("Another {amount} of goods that the voucher is for is needed."),
    )
}

/// A refusal to confirm: what the customer has paid goes back where the order can no longer take vouchers.
pub fn paid(refusal: Refusal, amount: Fen) -> Refusal {
    let (zh, en) = match refusal.code {
        Code::HoldExpired => ("用券超时", "The hold ran out"),
        Code::OrderReversed => ("订单已冲正", "The order was undone"),
        Code::OrderCancelled => ("订单已取消", "The order was cancelled"),
        _ => return refusal,
    };
    if amount <= Fen::ZERO {
        return refusal;
    }
    let zh = format!("{zh}，请退顾客{amount}元后重新下单。");
    refusal.to_cashier(words(zh, format!("{en}: give {amount} back and start a new order.")))
}

pub fn already_used() -> Words {
    words("该订单已用券，无需再确认。", "The vouchers of this order are used: nothing is left to do.")
}

pub fn another_hold() -> Words {
    words("锁券编号不是该订单的，请查询订单。", "This hold is not the order's: look the order up.")
}

pub fn payable(amount: Fen) -> Words {
    words(format!("实付金额不符，应收{amount}元。"), format!("The amount due is {amount}: what was paid differs."))
}

pub fn refundable(amount: Fen) -> Words {
    words(format!("退款超过可退金额，最多{amount}元。"), format!("At most {amount} can be refunded."))
}

pub fn comes_to(amount: Fen) -> Words {
    words(format!("退款金额与所退商品不符，应为{amount}元。"), format!("These goods come to {amount}."))
}

pub fn no_more_refunds() -> Words {
    words("已达到退款上限。", "The limit on refunds is reached.")
}

/// The voucher is for the merchants of a list.
pub fn another_shop() -> Words {
    words("该券只能在指定商户使用，本店不在其中。", "This voucher is for certain shops, and this is not one of them.")
}

pub fn outside(state: EnrolState) -> Words {
    match state {
        EnrolState::Applied => words(
            "本店的活动报名尚未获批，请联系主管部门。",
            "This shop is not approved for the campaign yet: call the program office.",
        ),
        EnrolState::Suspended => words(
            "本店在该活动中已被暂停，请联系主管部门。",
            "This shop is suspended in the campaign: call the program office.",
        ),
        EnrolState::Left => words("本店已退出该活动。", "This shop has left the campaign."),
        EnrolState::Approved => words("本店未参加该活动。", "This shop does not take part in the campaign."),
    }
}

/// The till's word for the goods is none that a campaign knows, which is no fault of the goods.
pub fn unmapped_category() -> Words {
    words(
        "收银系统的品类代码有误，请联系系统商。",
        "This till names a kind of goods that is not known: call the POS vendor.",
    )
}

pub fn other_industry() -> Words {
    words("本店行业不能按该品类用券。", "A shop of this kind takes no vouchers for these goods.")
}

/// Why vouchers cannot be used at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Hour,
    Day,
}

/// With the city's time at which they can be used again, and its time now.
pub fn closed(what: Closed, opens: Option<(DateTime, DateTime)>) -> Words {
    let (zh, en) = match what {
        Closed::Hour => ("现在不是用券时段", "Not at this hour"),
        Closed::Day => ("今天不能用券", "Not today"),
    };
    let Some((at, now)) = opens else {
        return words(format!("{zh}，且该券不再有可用时段。"), format!("{en}, and the voucher has no further hours."));
    };
    let (day, time) = (at.date(), at.strftime("%H:%M"));
    match day == now.date() {
        true => words(format!("{zh}，今天{time}起可用。"), format!("{en}: vouchers can be used from {time} today.")),
        false => words(format!("{zh}，{day} {time}起可用。"), format!("{en}: vouchers can be used from {day} {time}.")),
    }
}

/// What a customer has who has none that is left; `revoked` if the office has taken back some.
pub fn none_left(had_any: bool, revoked: bool) -> Words {
    match (had_any, revoked) {
        (true, true) => words("顾客的券都已使用或被收回。", "All of the customer's vouchers were used or revoked."),
        (true, false) => words("顾客的券都已用完。", "All of the customer's vouchers have been used."),
        (false, _) => words("顾客没有可在本店使用的券。", "The customer has no voucher that this shop could take."),
    }
}

pub fn not_beside_others() -> Words {
    words("这些券不能一起使用。", "These vouchers cannot be used together.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the till as the contract lists them.
    const CODES: &str = "minimum_not_met no_voucher_applicable too_many_vouchers pay_code_unknown pay_code_expired pay_code_used \
        voucher_used voucher_held voucher_expired order_conflict order_reversed order_cancelled hold_expired paid_amount_mismatch \
        order_already_redeemed order_not_found order_not_redeemed order_has_refunds refund_exceeds_order refund_conflict \
        refund_window_closed reversal_window_closed merchant_not_enrolled merchant_frozen category_not_allowed outside_hours \
        limit_reached signature_invalid key_revoked timestamp_out_of_range overloaded store_timeout account_unknown rate_limited \
        items_not_known refund_manner_fixed item_not_in_order item_exceeds_order refund_amount_mismatch";

    #[test]
    fn every_code_of_the_till_has_one_sentence_in_chinese_and_one_in_english() {
        for name in CODES.split_whitespace() {
            let code = Code::named(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            let (zh, en) = code.pos_message().unwrap_or_else(|| panic!("{name} has no sentence for the cashier"));
            assert!(zh.ends_with('。') && zh.matches('。').count() == 1 && zh.chars().count() <= 30, "{name}: {zh}");
            assert!(
                en.ends_with('.') && en.matches(". ").count() == 0 && en.len() <= 80 && en.is_ascii(),
                "{name}: {en}"
            );
        }
    }

    #[test]
    fn a_sentence_with_an_amount_is_one_sentence_too() {
        let [noon, night, next] =
            [(25, 12), (25, 22), (26, 6)].map(|(day, hour)| jiff::civil::date(2020, 7, day).at(hour, 0, 0, 0));
        let (most, refused) = (Fen(9_999_999), |code| paid(Refusal::new(code), Fen(9_999_999)).words().expect("words"));
        for said in [
            missing(most, true),
            missing(most, false),
            refused(Code::HoldExpired),
            refused(Code::OrderReversed),
            refused(Code::OrderCancelled),
            already_used(),
            another_hold(),
            payable(most),
            refundable(most),
            comes_to(most),
            no_more_refunds(),
            other_industry(),
            another_shop(),
            outside(EnrolState::Applied),
            outside(EnrolState::Suspended),
            outside(EnrolState::Left),
            unmapped_category(),
            none_left(true, false),
            none_left(true, true),
            none_left(false, false),
            closed(Closed::Hour, None),
            closed(Closed::Day, None),
            closed(Closed::Hour, Some((night, noon))),
            closed(Closed::Day, Some((night, noon))),
            closed(Closed::Day, Some((night, next))),
            closed(Closed::Hour, Some((night, next))),
            not_beside_others(),
        ] {
            let Words { zh, en } = &said;
            assert!(zh.ends_with('。') && zh.matches('。').count() == 1 && zh.chars().count() <= 32, "{zh}");
            assert!(!zh.bytes().any(|byte| byte.is_ascii_alphabetic()), "{zh}");
            assert!(en.ends_with('.') && en.matches(". ").count() == 0 && en.len() <= 80 && en.is_ascii(), "{en}");
        }
    }

    #[test]
    fn no_cashier_reads_the_name_of_a_code_or_a_field() {
        for code in Code::ALL {
            let (zh, en) = code.pos_message().unwrap_or_default();
            assert!(!zh.contains('_') && !en.contains('_'), "{}: {zh} {en}", code.as_str());
        }
    }
}
