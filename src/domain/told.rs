//! What a refusal at a till says of its very case: the word that was sent, what there is instead, the limit with its count and its period.

use std::fmt::Display;

use serde_json::Value;

use crate::domain::campaign::schema::{Limit, LimitAction, LimitEntity, LimitMax, Period};
use crate::domain::cashier::Words;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};

/// Names that a text lists; the members of the answer have all.
const MOST_LISTED: usize = 12;

/// Names as each language lists them.
fn listed<T: Display>(names: &[T]) -> (String, String) {
    let some: Vec<String> = names.iter().take(MOST_LISTED).map(T::to_string).collect();
    let more = if names.len() > MOST_LISTED { ("等", " and others") } else { ("", "") };
    (some.join("、") + more.0, some.join(", ") + more.1)
}

fn text<'r>(refusal: &'r Refusal, name: &str) -> Option<&'r str> {
    refusal.extra.get(name)?.as_str()
}

fn yuan(refusal: &Refusal, name: &str) -> Option<Fen> {
    Some(Fen(refusal.extra.get(name)?.as_i64()?))
}

fn names(refusal: &Refusal, name: &str) -> Option<(String, String)> {
    let names: Vec<&str> = refusal.extra.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect();
    (!names.is_empty()).then(|| listed(&names))
}

/// What a refusal is about, where its members tell the whole case.
pub fn by_members(refusal: &Refusal) -> Option<Words> {
    let (zh, en) = of_a_voucher(refusal).or_else(|| of_a_payment(refusal))?;
    Some(Words { zh, en })
}

fn of_a_voucher(refusal: &Refusal) -> Option<(String, String)> {
    Some(match refusal.code {
        Code::VoucherHeld => {
            let until = text(refusal, "until")?;
            (format!("券被另一订单锁定至 {until}。"), format!("Another order holds the voucher until {until}."))
        }
        Code::SerialHeld => {
            let (serial, until) = (text(refusal, "serial")?, text(refusal, "until")?);
            (
                format!("商品序列号 {serial} 被另一订单锁定至 {until}。"),
                format!("Another order holds the serial number {serial} until {until}."),
            )
        }
        Code::SerialUsed => {
            let serial = text(refusal, "serial")?;
            (format!("商品序列号 {serial} 已用过券。"), format!("A voucher was used for the serial number {serial}."))
        }
        Code::VoucherNotYetValid => {
            let from = text(refusal, "available_begin_time")?;
            (format!("该券自 {from} 起可用。"), format!("The voucher can be used from {from} on."))
        }
        Code::VoucherExpired => {
            let end = text(refusal, "available_end_time")?;
            (format!("该券已于 {end} 到期。"), format!("The voucher ended at {end}."))
        }
        Code::SceneNotAllowed => {
            let (zh, en) = names(refusal, "allowed")?;
            (
                format!("该券只用于消费场景 {zh}；请求须以 scene 注明其一。"),
                format!("The voucher is for the scene {en}; the call has to name one of these as scene."),
            )
        }
        Code::ChannelNotAllowed => {
            let (zh, en) = names(refusal, "allowed")?;
            (format!("该券只能通过渠道 {zh} 使用。"), format!("The voucher is for use through the channel {en}."))
        }
        _ => return None,
    })
}

fn of_a_payment(refusal: &Refusal) -> Option<(String, String)> {
    Some(match refusal.code {
        Code::TooManyVouchers => {
            let most = refusal.extra.get("limit")?.as_u64()?;
            (format!("一笔最多用 {most} 张券。"), format!("One payment takes at most {most} of these vouchers."))
        }
        Code::PaidAmountMismatch => {
            let due = yuan(refusal, "payable")?;
            (
                format!("应收 {due} 元，paid_amount 与此不符。"),
                format!("{due} yuan are due, and paid_amount says another sum."),
            )
        }
        Code::RefundExceedsOrder => {
            let left = yuan(refusal, "refundable_amount")?;
            (format!("最多可退 {left} 元。"), format!("At most {left} yuan can be refunded."))
        }
        Code::RefundAmountMismatch => {
            let amount = yuan(refusal, "refund_amount")?;
            (
                format!("所退商品应退 {amount} 元，amount 与此不符；也可不填 amount。"),
                format!("The items come to {amount} yuan, and amount says another sum; it may be left out."),
            )
        }
        Code::RefundWindowClosed => {
            let until = text(refusal, "until")?;
            (format!("退款期限已于 {until} 结束。"), format!("The time for refunds was over at {until}."))
        }
        Code::ReversalWindowClosed => {
            let until = text(refusal, "until")?;
            (
                format!("冲正期限已于 {until} 结束，请退款。"),
                format!("The time for a reversal was over at {until}: refund the order."),
            )
        }
        _ => return None,
    })
}

pub fn category(refusal: Refusal, category: &str, allowed: &[&str]) -> Refusal {
    let (zh, en) = listed(allowed);
    refusal.detail(
        format!("品类“{category}”不能用该券，可用品类：{zh}。"),
        format!("The voucher is not for the category \"{category}\"; it is for: {en}."),
    )
}

pub fn industry(refusal: Refusal, category: &str, industry_code: &str, codes: &[String]) -> Refusal {
    let (zh, en) = listed(codes);
    refusal.detail(
        format!("商户行业代码 {industry_code} 不属品类“{category}”，该品类的代码为：{zh}。"),
        format!(
            "The merchant's industry code {industry_code} is not of the category \"{category}\", whose codes are: {en}."
        ),
    )
}

pub fn district(refusal: Refusal, district: &str, allowed: &[String]) -> Refusal {
    let (zh, en) = listed(allowed);
    refusal.detail(
        format!("商户经营地 {district} 不在可用区域内，可用区域：{zh}。"),
        format!("The merchant operates in {district}, and the voucher is for: {en}."),
    )
}

/// Which fields of the call are not what the order was made with.
pub fn conflict(refusal: Refusal, fields: &[&str]) -> Refusal {
    let (zh, en) = listed(fields);
    let is = if fields.len() == 1 { "is" } else { "are" };
    refusal.detail(
        format!("与该订单原来的内容不同：{zh}。"),
        format!("The order was made with another request: {en} {is} not the same."),
    )
}

/// The limit in words.
pub fn limit(refusal: Refusal, limit: &Limit) -> Refusal {
    let (each_zh, each_en) = each(limit);
    let (period_zh, period_en) = period(limit.period);
    let (zh, en) = match (limit.action, limit.max) {
        (LimitAction::Refund, LimitMax::Count(most)) => {
            (format!("退款{most}次"), format!("{most} refund{}", plural(most)))
        }
        (LimitAction::Refund, LimitMax::Amount(most)) => {
            (format!("退回补贴{most}元"), format!("refunds of {most} yuan"))
        }
        (_, LimitMax::Count(most)) => (format!("用券{most}张"), format!("{most} voucher{}", plural(most))),
        (_, LimitMax::Amount(most)) => (format!("用券减{most}元"), format!("{most} yuan off")),
    };
    refusal.detail(
        format!("已达上限：{each_zh}{period_zh}最多{zh}。"),
        format!("A limit is reached: at most {en} {period_en}{each_en}."),
    )
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn each(limit: &Limit) -> (String, String) {
    let name = |entity: &LimitEntity| match entity {
        LimitEntity::Person => ("个人", "person"),
        LimitEntity::Account => ("账号", "account"),
        LimitEntity::Phone => ("手机号", "phone"),
        LimitEntity::Device => ("设备", "device"),
        LimitEntity::Merchant => ("商户", "merchant"),
        LimitEntity::Store => ("门店", "store"),
        LimitEntity::Terminal => ("终端", "terminal"),
        LimitEntity::Category => ("品类", "category"),
        LimitEntity::Channel => ("渠道", "channel"),
        LimitEntity::Pack => ("券包", "pack"),
    };
    let names: Vec<(&str, &str)> = limit.entities.iter().map(name).collect();
    if names.is_empty() {
        return (String::new(), String::new());
    }
    let zh: Vec<String> = names.iter().map(|(zh, _)| format!("每{zh}")).collect();
    let en: Vec<&str> = names.iter().map(|(_, en)| *en).collect();
    (zh.concat(), format!(" for each {}", en.join(" and ")))
}

fn period(period: Period) -> (&'static str, &'static str) {
    match period {
        Period::Payment => ("每笔", "in a payment"),
        Period::Day => ("每天", "a day"),
        Period::Week => ("每周", "a week"),
        Period::Month => ("每月", "a month"),
        Period::Year => ("每年", "a year"),
        Period::Round => ("每场", "in a round"),
        Period::Campaign => ("活动期间", "in the campaign"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn says(refusal: Refusal) -> (String, String) {
        let told = refusal.told();
        (told.zh, told.en)
    }

    #[test]
    fn a_limit_is_told_with_its_count_its_period_and_what_it_counts_by() {
        use LimitEntity::{Merchant, Person, Terminal};
        let of = |action, entities: &[LimitEntity], period, max| {
            let one = Limit { action, entities: entities.to_vec(), period, max };
            says(limit(Refusal::new(Code::LimitReached), &one))
        };
        let redeem = |entities: &[LimitEntity], period, max| of(LimitAction::Redeem, entities, period, max);
        for (told, zh, en) in [
            (
                redeem(&[Person, Merchant], Period::Day, LimitMax::Count(2)),
                "已达上限：每个人每商户每天最多用券2张。",
                "A limit is reached: at most 2 vouchers a day for each person and merchant.",
            ),
            (
                redeem(&[Terminal], Period::Week, LimitMax::Amount(Fen(400_000))),
                "已达上限：每终端每周最多用券减4000.00元。",
                "A limit is reached: at most 4000.00 yuan off a week for each terminal.",
            ),
            (
                redeem(&[], Period::Payment, LimitMax::Count(1)),
                "已达上限：每笔最多用券1张。",
                "A limit is reached: at most 1 voucher in a payment.",
            ),
            (
                of(LimitAction::Refund, &[Merchant], Period::Month, LimitMax::Count(3)),
                "已达上限：每商户每月最多退款3次。",
                "A limit is reached: at most 3 refunds a month for each merchant.",
            ),
        ] {
            assert_eq!(told, (zh.to_owned(), en.to_owned()));
        }
    }

    #[test]
    fn a_refusal_whose_members_tell_the_case_says_it_in_words() {
        let at = json!("2020-07-25T12:02:00+08:00");
        for (code, members, said) in [
            (Code::VoucherHeld, json!({"until": at}), "12:02"),
            (Code::SerialHeld, json!({"until": at, "serial": "SN-1"}), "SN-1"),
            (Code::SerialUsed, json!({"serial": "SN-1"}), "SN-1"),
            (Code::VoucherNotYetValid, json!({"available_begin_time": at}), "12:02"),
            (Code::VoucherExpired, json!({"available_end_time": at}), "12:02"),
            (Code::PaidAmountMismatch, json!({"payable": 4_005}), "40.05"),
            (Code::RefundExceedsOrder, json!({"refundable_amount": 4_005}), "40.05"),
            (Code::RefundAmountMismatch, json!({"refund_amount": 4_005}), "40.05"),
            (Code::RefundWindowClosed, json!({"until": at}), "12:02"),
            (Code::ReversalWindowClosed, json!({"until": at}), "12:02"),
            (Code::TooManyVouchers, json!({"limit": 3}), "3"),
            (Code::SceneNotAllowed, json!({"allowed": ["dine_in", "takeaway"]}), "takeaway"),
            (Code::ChannelNotAllowed, json!({"allowed": ["alipay"]}), "alipay"),
        ] {
            let mut refusal = Refusal::new(code);
            refusal.extra = members.as_object().expect("members").clone();
            let (zh, en) = says(refusal);
            assert!(zh.contains(said) && en.contains(said), "{zh} {en}");
            let bare = says(Refusal::new(code));
            assert_eq!((bare.0.as_str(), bare.1.as_str()), code.message(), "without members: the code");
        }
    }

    #[test]
    fn long_lists_are_cut_in_a_text() {
        let many: Vec<String> = (10..40).map(|code| code.to_string()).collect();
        let (zh, en) = says(district(Refusal::new(Code::DistrictNotAllowed), "99", &many));
        assert!(zh.contains("、21等。") && en.contains(", 21 and others."), "{zh} {en}");
    }
}
