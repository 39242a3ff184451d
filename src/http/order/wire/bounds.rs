//! Bounds of what a till sends, for the document, from the constants that the readers go by. A member that is not here is bounded by the
//! length of a body alone, or by what its order, campaign or merchant says.

use serde_json::{Value, json};

use super::{TEXT, serials};
use crate::domain::ids;
use crate::domain::money::FEN_LIMIT;
use crate::engine::order::MOST_VOUCHERS;

/// A member of these bodies, and what holds of it.
pub type Bound = (&'static [&'static str], &'static str, Value);

/// An order's id, in bodies and paths.
pub fn order_id() -> Value {
    json!({"minLength": 1, "maxLength": ids::LONGEST, "pattern": "^[ -~]+$"})
}

pub fn of_members() -> Vec<Bound> {
    let fen = |least: i64| json!({"minimum": least, "maximum": FEN_LIMIT - 1});
    let caller_id = || json!({"minLength": 1, "maxLength": ids::LONGEST, "pattern": "^[A-Za-z0-9_.-]+$"});
    let text = || json!({"maxLength": TEXT});
    let vouchers = || json!({"minItems": 1, "maxItems": MOST_VOUCHERS, "uniqueItems": true});
    const SALE: &[&str] = &["QuoteRequest", "RedemptionRequest"];
    let bounds: [Bound; 14] = [
        (&["RedemptionRequest"], "order_id", order_id()),
        (&["RefundRequest"], "refund_id", caller_id()),
        (SALE, "voucher_ids", vouchers()),
        (SALE, "amount", fen(1)),
        (&["RefundRequest"], "amount", fen(1)),
        (&["ItemBody"], "amount", fen(0)),
        (&["QuoteRequest", "RedemptionRequest", "ItemBody"], "merchant_discount", fen(0)),
        (SALE, "category", text()),
        (&["ReceiptBody"], "store", text()),
        (&["ReceiptBody"], "terminal", text()),
        (&["ReceiptBody"], "cashier", text()),
        (&["ReceiptBody"], "receipt_no", text()),
        (&["ItemBody"], "serial", json!({"minLength": 1, "maxLength": serials::LENGTH, "pattern": "^[!-~]+$"})),
        (&["PieceBody"], "quantity", json!({"minimum": 1})),
    ];
    bounds.into()
}
