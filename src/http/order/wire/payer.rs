//! Who pays: a shown code, printed vouchers, or an account that a platform may name.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Caller, TillKind};
use crate::domain::account::Account;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::order::Payer;

/// The payer as a platform knows him.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    /// One of the platform's own.
    #[schema(example = "wechat")]
    channel: String,
    /// What the identity provider calls the person: `sub` of a resident's token.
    id: String,
}

/// Exactly one of the three; an account is for platforms alone, and through their own channels.
pub fn payer(
    caller: &Caller,
    pay_code: Option<String>,
    voucher_ids: Option<Vec<String>>,
    account: Option<AccountBody>,
) -> Result<Payer, Refusal> {
    let named =
        [("/pay_code", pay_code.is_some()), ("/voucher_ids", voucher_ids.is_some()), ("/account", account.is_some())];
    match (pay_code, voucher_ids, account) {
        (Some(code), None, None) => Ok(Payer::PayCode(code)),
        (None, Some(ids), None) => Ok(Payer::Vouchers(ids)),
        (None, None, Some(account)) => {
            if caller.kind != TillKind::Platform {
                return Err(Refusal::new(Code::Forbidden).detail(
                    "只有平台密钥可以用 account 指明付款人。",
                    "Only a platform's key may name the payer by account.",
                ));
            }
            if !caller.channels.contains(&account.channel) {
                let refusal = Refusal::new(Code::Forbidden).with("channels", caller.channels.clone());
                return Err(refusal.detail("该平台密钥不属于此渠道。", "The platform's key is not for this channel."));
            }
            Account::parse(account.channel, account.id).map(Payer::Account)
        }
        (None, None, None) => Err(one_of(Refusal::new(Code::InvalidRequest), "/pay_code")),
        _ => {
            let named = named.into_iter().filter(|(_, is_named)| *is_named).map(|(pointer, _)| pointer);
            Err(named.fold(Refusal::new(Code::InvalidRequest), one_of))
        }
    }
}

fn one_of(refusal: Refusal, pointer: &str) -> Refusal {
    let zh = "pay_code、voucher_ids、account 须且只须填一项。";
    refusal.field(pointer, "one_of", zh, "Name exactly one of pay_code, voucher_ids and account.")
}
