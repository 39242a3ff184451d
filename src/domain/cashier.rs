//! What a cashier reads after each step: one sentence, shown as it is.

use crate::domain::basket::Better;
use crate::domain::money::Fen;

/// The same sentence in Chinese and English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

fn words(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

pub fn quoted(payable: Fen, discount: Fen, better: Option<Better>) -> Words {
    let mut said = if discount == Fen::ZERO {
        words("没有可用的券。", "No voucher fits this order.")
    } else {
        words(format!("可减{discount}元，应收{payable}元。"), format!("{discount} off: {payable} to pay."))
    };
    if let Some(better) = better {
        said.zh += &format!("再买{}元可减{}元。", better.add_amount, better.discount_amount);
        said.en += &format!(" Another {} and {} is off.", better.add_amount, better.discount_amount);
    }
    said
}

pub fn held(payable: Fen, discount: Fen) -> Words {
    words(
        format!("已锁券，减{discount}元，请收款{payable}元。"),
        format!("Voucher held, {discount} off: collect {payable}."),
    )
}

pub fn redeemed(payable: Fen, discount: Fen) -> Words {
    words(
        format!("已用券，减{discount}元，实收{payable}元。"),
        format!("Voucher used, {discount} off: {payable} paid."),
    )
}

pub fn cancelled() -> Words {
    words("已取消，券已退回顾客。", "Cancelled: the voucher is back with the customer.")
}

pub fn reversed() -> Words {
    words("订单已冲正，券已退回，不可再用此订单号。", "The order is undone: start a new order number.")
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

#[cfg(test)]
mod tests {
    use crate::domain::refusal::Code;

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
    fn no_cashier_reads_the_name_of_a_code_or_a_field() {
        for code in Code::ALL {
            let (zh, en) = code.pos_message().unwrap_or_default();
            assert!(!zh.contains('_') && !en.contains('_'), "{}: {zh} {en}", code.as_str());
        }
    }
}
