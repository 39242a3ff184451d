//! The answer to a quote.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{VoucherBody, WordsBody};
use crate::domain::cashier;
use crate::domain::goods::Counting;
use crate::engine::order::Quote;

#[derive(Serialize, ToSchema)]
pub struct QuoteBody {
    payable: i64,
    discount_amount: i64,
    vouchers: Vec<VoucherBody>,
    /// Why each other kind is not taken: voucher_kind, campaign_id, code, and what the code needs, such as `missing_amount` and the
    /// `goods` that count for it.
    #[schema(value_type = Vec<NotTakenBody>)]
    not_taken: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    better: Option<BetterBody>,
    /// The wallet was too difficult to look at all sets of vouchers: what is told is true, but there may be a better set or a smaller
    /// addition. Name `voucher_ids` to choose yourself. Absent when the choice is the best.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped_looking: bool,
    pos_message: WordsBody,
}

/// A kind of voucher that is not taken; what else its code needs stands beside it, as in a problem.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the JSON of a refusal")]
pub struct NotTakenBody {
    voucher_kind: Option<String>,
    campaign_id: Option<String>,
    code: String,
    /// Fen that are missing to the threshold.
    missing_amount: Option<i64>,
    /// Which goods count for it, where the order has items and not all do.
    goods: Option<GoodsBody>,
}

/// Goods that count, in the words of the campaign file; what is absent restricts nothing.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the JSON of `Counting`")]
pub struct GoodsBody {
    categories: Option<Vec<String>>,
    eligible_items: Option<Vec<String>>,
    excluded_items: Option<Vec<String>>,
    /// Most for a piece, in fen.
    item_price_max: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct BetterBody {
    add_amount: i64,
    /// Which goods the addition has to be, where the order has items and not all count.
    #[serde(skip_serializing_if = "Counting::is_any")]
    #[schema(value_type = Option<GoodsBody>)]
    goods: Counting,
    discount_amount: i64,
    saves_more: i64,
}

impl From<Quote> for QuoteBody {
    fn from(quote: Quote) -> QuoteBody {
        let quoted = || cashier::quoted(quote.payable, quote.discount, quote.better.as_ref());
        let pos_message = quote.refused.unwrap_or_else(quoted).into();
        let better = quote.better.map(|better| BetterBody {
            add_amount: better.add_amount.0,
            goods: better.goods,
            discount_amount: better.discount_amount.0,
            saves_more: better.saves_more.0,
        });
        QuoteBody {
            payable: quote.payable.0,
            discount_amount: quote.discount.0,
            vouchers: quote.vouchers.iter().map(VoucherBody::from).collect(),
            not_taken: quote.not_taken,
            better,
            stopped_looking: quote.stopped,
            pos_message,
        }
    }
}
