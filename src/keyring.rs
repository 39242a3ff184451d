//! Keys derived from the installation's master key. Losing the key file loses everybody's vouchers: it belongs to every backup.

use crate::domain::person::{MacKey, mac};
use crate::domain::voucher::VoucherIds;

/// All keys of an installation; nothing here is ever written to the store or to a log.
#[derive(Clone)]
pub struct KeyRing {
    master: [u8; 32],
    pub identity: MacKey,
    /// The pass keys that are valid now, the one that signs first.
    pub pass: Vec<MacKey>,
    pub receipt: MacKey,
    pub voucher: VoucherIds,
}

impl KeyRing {
    pub fn of_master(master: [u8; 32]) -> KeyRing {
        let derived = |name: &str| derive(&master, name, &[]);
        let mut voucher = [0; 16];
        voucher.copy_from_slice(&derived("voucher")[..16]);
        KeyRing {
            master,
            identity: MacKey::new(&derived("identity")),
            pass: vec![MacKey::new(&derived("pass"))],
            receipt: MacKey::new(&derived("receipt")),
            voucher: VoucherIds::new(&voucher),
        }
    }

    /// Key of a campaign's pseudonyms.
    pub fn campaign(&self, campaign_id: &str) -> MacKey {
        MacKey::new(&derive(&self.master, "campaign", &[campaign_id]))
    }

    /// The operator's secret of a round's draw, committed to when the list closes.
    pub fn draw_secret(&self, campaign_id: &str, round_id: &str) -> [u8; 32] {
        derive(&self.master, "draw", &[campaign_id, round_id])
    }

    /// Tells these keys from others; nothing can be derived from it.
    pub fn fingerprint(&self) -> String {
        hex::encode(&derive(&self.master, "fingerprint", &[])[..16])
    }

    /// What signs the reports of `pos-certify`.
    pub fn report_key(&self) -> [u8; 32] {
        derive(&self.master, "pos-certify", &[])
    }

    /// Secret of a till key, shown once and derived again for each check.
    pub fn till_secret(&self, key_id: &str, version: u32, prefix: &str) -> String {
        let secret = derive(&self.master, "till", &[key_id, &version.to_string()]);
        format!("sk_{prefix}_{}", hex::encode(&secret[..16]))
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("KeyRing")
    }
}

fn derive(master: &[u8; 32], name: &str, parts: &[&str]) -> [u8; 32] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    mac(master, &[&bytes])
}
