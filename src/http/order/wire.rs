//! What goes over the wire at a till. Answers about orders are functions of the stored record, so a repeat is byte for byte the same;
//! `golden.rs` pins them.

use crate::engine::merchant::caller::NamedTill;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::till;
use crate::domain::bought::Piece;
use crate::domain::campaign::Named;
use crate::domain::campaign::terms::Scene;
use crate::domain::cashier::Words;
use crate::domain::ids::{self, caller_id};
use crate::domain::money::Fen;
use crate::domain::refund::RefundAsk;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules;
use crate::engine::order::{Ask, OrderView, Payer, RefundView, ReversedView, VoucherView};
use crate::http::auth_till::{Till as Caller, TillKind};

/// The longest text that a receipt or category may have, in bytes.
const TEXT: usize = 64;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// 18 digits or the text of the QR picture; or voucher_ids.
    pay_code: Option<String>,
    voucher_ids: Option<Vec<String>>,
    /// For platform keys: the payer as the platform knows him, in place of a pay code.
    account: Option<AccountBody>,
    /// Fen before any discount.
    amount: i64,
    /// What the merchant takes off by itself, in fen.
    #[serde(default)]
    merchant_discount: i64,
    category: String,
    /// `dine_in`, `takeaway`, `offline` or `online`; without it a terminal sells offline.
    #[schema(value_type = Option<Scene>)]
    scene: Option<String>,
    items: Option<Vec<ItemBody>>,
    /// Where limits count it, as the redemption will say.
    receipt: Option<ReceiptBody>,
    /// For platform keys.
    merchant_id: Option<String>,
    /// At which it is made, for the keys of merchants and platforms; where a campaign counts by terminal it has to be one of the merchant's.
    terminal_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedemptionRequest {
    order_id: String,
    pay_code: Option<String>,
    voucher_ids: Option<Vec<String>>,
    account: Option<AccountBody>,
    amount: i64,
    #[serde(default)]
    merchant_discount: i64,
    category: String,
    #[schema(value_type = Option<Scene>)]
    scene: Option<String>,
    items: Option<Vec<ItemBody>>,
    receipt: Option<ReceiptBody>,
    /// True redeems at once, false holds until confirm.
    #[serde(default)]
    capture: bool,
    /// For platform keys.
    merchant_id: Option<String>,
    /// At which it is made, for the keys of merchants and platforms; where a campaign counts by terminal it has to be one of the merchant's.
    terminal_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemBody {
    sku: String,
    category: Option<String>,
    /// The serial number of the one piece that the item is, where a voucher asks for it; the case of letters does not matter.
    serial: Option<String>,
    #[serde(default = "one")]
    quantity: u32,
    amount: i64,
    #[serde(default)]
    merchant_discount: i64,
}

fn one() -> u32 {
    1
}

/// What the settlement and an auditor want to find again; never compared.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptBody {
    /// One of the merchant's stores; absent = the first. Any name is unknown at a merchant that has registered none.
    store: Option<String>,
    /// The receipt's own word for the terminal; what limits and books count is the terminal of the key, or `terminal_id`.
    terminal: Option<String>,
    cashier: Option<String>,
    receipt_no: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    pub hold_id: String,
    /// What the customer paid, in fen: the hold's `payable`.
    pub paid_amount: i64,
    #[allow(dead_code, reason = "taken for the till's own records")]
    pub payment_reference: Option<String>,
    pub merchant_id: Option<String>,
    pub terminal_id: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    pub merchant_id: Option<String>,
    pub terminal_id: Option<String>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseRequest {
    pub reason: Option<String>,
    pub merchant_id: Option<String>,
    pub terminal_id: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    pub refund_id: String,
    /// In fen; may be left out with `items`, or must be what they come to.
    pub amount: Option<i64>,
    /// What came back, if the order was sent with its items: gives back what was paid for these very goods.
    pub items: Option<Vec<PieceBody>>,
    pub merchant_id: Option<String>,
    pub terminal_id: Option<String>,
}

/// Goods of an order that came back. Where the order has the sku on several lines at different prices, `line` or `serial` says which.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PieceBody {
    sku: String,
    #[serde(default = "one")]
    quantity: u32,
    /// Place of the line among the `items` that the order was sent with, from 0. Told in answers where the sku is on several lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// The serial number with which the piece was sold; then quantity is 1, and the case of letters does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
}

impl RefundRequest {
    pub fn ask(self, caller: Caller) -> Result<(NamedTill, RefundAsk), Refusal> {
        let refund_id = caller_id("/refund_id", &self.refund_id)?;
        let piece = |piece: PieceBody| Piece {
            sku: piece.sku,
            quantity: piece.quantity,
            line: piece.line.map(|line| line as usize),
            serial: piece.serial,
        };
        let items = self.items.unwrap_or_default().into_iter().map(piece).collect();
        let till = till(caller, self.merchant_id, self.terminal_id)?;
        Ok((till, RefundAsk { refund_id, amount: self.amount.map(Fen), items }))
    }
}

impl From<Piece> for PieceBody {
    fn from(piece: Piece) -> PieceBody {
        let line = piece.line.and_then(|line| u32::try_from(line).ok());
        PieceBody { sku: piece.sku, quantity: piece.quantity, line, serial: piece.serial }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TillQuery {
    /// For platform keys.
    pub merchant_id: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TransactionsQuery {
    /// RFC 3339 with offset.
    pub from: String,
    /// Not included.
    pub to: String,
    pub cursor: Option<String>,
    /// For platform keys.
    pub merchant_id: Option<String>,
}

/// Everything of a request that decides, as the engine takes it.
struct Parts {
    payer: Payer,
    amount: i64,
    merchant_discount: i64,
    category: String,
    scene: Option<String>,
    items: Option<Vec<ItemBody>>,
    receipt: ReceiptBody,
    capture: bool,
    /// What a till that names no scene is taken for.
    usual_scene: Option<Scene>,
}

/// The key of one terminal or one merchant sells over its counter; where a platform sells is not known.
fn usual_scene(caller: &Caller) -> Option<Scene> {
    (caller.kind != TillKind::Platform).then_some(Scene::Offline)
}

impl QuoteRequest {
    pub fn ask(self, caller: Caller) -> Result<(NamedTill, Ask), Refusal> {
        let usual_scene = usual_scene(&caller);
        let payer = payer(&caller, self.pay_code, self.voucher_ids, self.account)?;
        let till = till(caller, self.merchant_id, self.terminal_id)?;
        let parts = Parts {
            payer,
            amount: self.amount,
            merchant_discount: self.merchant_discount,
            category: self.category,
            scene: self.scene,
            items: self.items,
            receipt: self.receipt.unwrap_or_default(),
            capture: false,
            usual_scene,
        };
        Ok((till, parts.ask()?))
    }
}

impl RedemptionRequest {
    pub fn ask(self, caller: Caller) -> Result<(NamedTill, String, Ask), Refusal> {
        let order_id = ids::order_id("/order_id", &self.order_id)?;
        let usual_scene = usual_scene(&caller);
        let payer = payer(&caller, self.pay_code, self.voucher_ids, self.account)?;
        let till = till(caller, self.merchant_id, self.terminal_id)?;
        let parts = Parts {
            payer,
            amount: self.amount,
            merchant_discount: self.merchant_discount,
            category: self.category,
            scene: self.scene,
            items: self.items,
            receipt: self.receipt.unwrap_or_default(),
            capture: self.capture,
            usual_scene,
        };
        Ok((till, order_id, parts.ask()?))
    }
}

impl Parts {
    fn ask(self) -> Result<Ask, Refusal> {
        let payer = self.payer;
        let scene = match self.scene {
            None => self.usual_scene,
            Some(word) => Some(Scene::from_word(&word).ok_or_else(|| {
                invalid(
                    "/scene",
                    "unknown_word",
                    "须为 dine_in、takeaway、offline 或 online。",
                    "Must be dine_in, takeaway, offline or online.",
                )
            })?),
        };
        short("/category", &self.category)?;
        let receipt = self.receipt;
        for (pointer, text) in [
            ("/receipt/store", &receipt.store),
            ("/receipt/terminal", &receipt.terminal),
            ("/receipt/cashier", &receipt.cashier),
            ("/receipt/receipt_no", &receipt.receipt_no),
        ] {
            text.iter().try_for_each(|text| short(pointer, text))?;
        }
        let items = self.items.unwrap_or_default();
        for (index, item) in items.iter().enumerate() {
            named(&format!("/items/{index}/sku"), &item.sku)?;
        }
        serials::check(&items)?;
        let items = items.into_iter().map(|item| rules::Item {
            sku: item.sku,
            category: item.category,
            serial: item.serial.map(|serial| serial.to_ascii_uppercase()),
            quantity: item.quantity,
            amount: Fen(item.amount),
            merchant_discount: Fen(item.merchant_discount),
        });
        Ok(Ask {
            payer,
            amount: Fen(self.amount),
            merchant_discount: Fen(self.merchant_discount),
            category: self.category,
            scene,
            items: items.collect(),
            capture: self.capture,
            store: receipt.store.unwrap_or_default(),
            terminal: receipt.terminal.unwrap_or_default(),
            cashier: receipt.cashier.unwrap_or_default(),
            receipt_no: receipt.receipt_no.unwrap_or_default(),
        })
    }
}

/// What is for nobody to read names no goods.
fn named(pointer: &str, sku: &str) -> Result<(), Refusal> {
    if !sku.trim().is_empty() && !sku.chars().any(char::is_control) {
        return Ok(());
    }
    let (zh, en) = ("须有内容，且不含控制字符。", "It needs a text without control characters.");
    Err(invalid(pointer, "bad_text", zh, en))
}

fn short(pointer: &str, text: &str) -> Result<(), Refusal> {
    if text.len() <= TEXT {
        Ok(())
    } else {
        Err(invalid(pointer, "too_long", "最多 64 字节。", "At most 64 bytes."))
    }
}

fn invalid(pointer: &str, code: &'static str, zh: &str, en: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest).field(pointer, code, zh, en)
}

/// One sentence for the cashier, shown as it is.
#[derive(Serialize, ToSchema)]
pub struct WordsBody {
    zh: String,
    en: String,
}

impl From<Words> for WordsBody {
    fn from(words: Words) -> WordsBody {
        WordsBody { zh: words.zh, en: words.en }
    }
}

#[derive(Serialize, ToSchema)]
pub struct VoucherBody {
    voucher_id: String,
    voucher_kind: String,
    campaign_id: String,
    discount_amount: i64,
}

impl From<&VoucherView> for VoucherBody {
    fn from(voucher: &VoucherView) -> VoucherBody {
        VoucherBody {
            voucher_id: voucher.voucher_id.clone(),
            voucher_kind: voucher.voucher_kind.clone(),
            campaign_id: voucher.campaign_id.clone(),
            discount_amount: voucher.discount.0,
        }
    }
}

pub mod bounds;
mod orders;
mod payer;
mod quote;
mod serials;
pub use orders::{Cancelled, OrderBody, Redeemed, RefundBody, ReverseBody, TransactionsBody};
use payer::{AccountBody, payer};
pub use quote::QuoteBody;
