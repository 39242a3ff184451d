//! Serial numbers of what is bought, as a till may send them.

use super::{ItemBody, invalid};
use crate::domain::refusal::Refusal;

/// The longest serial number, and how many one payment may have.
pub(super) const LENGTH: usize = 64;
const MOST: usize = 20;

/// Each names one piece, and none is named twice.
pub(super) fn check(items: &[ItemBody]) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let Some(serial) = item.serial.as_deref() else { continue };
        let at = format!("/items/{place}/serial");
        if serial.is_empty() || serial.len() > LENGTH || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (zh, en) = (
                "须为 1 至 64 个可见 ASCII 字符，不含空格。",
                "Must be 1 to 64 visible ASCII characters without spaces.",
            );
            return Err(invalid(&at, "invalid_serial", zh, en));
        }
        if item.quantity != 1 {
            let (zh, en) = ("有序列号的商品须为一件。", "An item with a serial number is one piece.");
            return Err(invalid(&format!("/items/{place}/quantity"), "not_one_piece", zh, en));
        }
        if seen.iter().any(|other| other.eq_ignore_ascii_case(serial)) {
            return Err(invalid(&at, "repeated", "序列号不可重复。", "A serial number is named twice."));
        }
        seen.push(serial);
        if seen.len() > MOST {
            return Err(invalid(
                &at,
                "too_many",
                "一笔订单最多 20 个序列号。",
                "One payment has at most 20 serial numbers.",
            ));
        }
    }
    Ok(())
}
