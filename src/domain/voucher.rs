//! One voucher: its printed id, the byte that keeps its state, and when it may be used.
//!
//! A `voucher_id` is one AES block over (campaign, shard, the person's field, pack, unit, zero pad) in Crockford base32. It is
//! unguessable, finds its slot without an index, costs no memory, and refuses typos by its pad.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::domain::time::Ms;

/// First bytes of a campaign pseudonym: the field of the person's record.
pub type PersonField = [u8; 9];

/// Where a voucher lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoucherRef {
    /// Campaign number.
    pub c: u16,
    pub shard: u8,
    pub f: PersonField,
    /// Index of the pack in the person's record.
    pub p: u8,
    /// Number of the unit in its pack.
    pub u: u8,
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
pub const VOUCHER_ID_LENGTH: usize = 26;

/// Turns references into printed ids and back.
#[derive(Clone)]
pub struct VoucherIds(Aes128);

impl VoucherIds {
    pub fn new(key: &[u8; 16]) -> VoucherIds {
        VoucherIds(Aes128::new(&(*key).into()))
    }

    pub fn id(&self, voucher: &VoucherRef) -> String {
        let mut block = [0u8; 16];
        block[..2].copy_from_slice(&voucher.c.to_be_bytes());
        block[2] = voucher.shard;
        block[3..12].copy_from_slice(&voucher.f);
        block[12] = voucher.p;
        block[13] = voucher.u;
        let mut cipher = block.into();
        self.0.encrypt_block(&mut cipher);
        base32(u128::from_be_bytes(cipher.into()))
    }

    /// `None` for anything that we never printed, apart from one random text in 65,536.
    pub fn voucher(&self, id: &str) -> Option<VoucherRef> {
        let mut cipher = from_base32(id)?.to_be_bytes().into();
        self.0.decrypt_block(&mut cipher);
        let block: [u8; 16] = cipher.into();
        if block[14..] != [0, 0] {
            return None;
        }
        let mut f = PersonField::default();
        f.copy_from_slice(&block[3..12]);
        Some(VoucherRef { c: u16::from_be_bytes([block[0], block[1]]), shard: block[2], f, p: block[12], u: block[13] })
    }
}

fn base32(mut number: u128) -> String {
    let mut text = [0u8; VOUCHER_ID_LENGTH];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(number & 31) as usize];
        number >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// Reads lower case too, and O, I, L as the digits they look like.
fn from_base32(text: &str) -> Option<u128> {
    if text.len() != VOUCHER_ID_LENGTH {
        return None;
    }
    let mut number: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let symbol = match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        let digit = ALPHABET.iter().position(|known| *known == symbol)? as u128;
        if place == 0 && digit > 7 {
            return None;
        }
        number = number << 5 | digit;
    }
    Some(number)
}

/// What a record keeps about a unit; expiry is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitState {
    Available = 0,
    Held = 1,
    Used = 2,
    Revoked = 3,
}

/// The byte of a unit: low two bits its state, the others how often a refund restored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitByte(pub u8);

impl UnitByte {
    /// The byte of unit `u`; trailing zero bytes are not stored.
    pub fn of(units: &[u8], u: u8) -> UnitByte {
        UnitByte(units.get(usize::from(u)).copied().unwrap_or(0))
    }

    pub fn state(self) -> UnitState {
        match self.0 & 3 {
            0 => UnitState::Available,
            1 => UnitState::Held,
            2 => UnitState::Used,
            _ => UnitState::Revoked,
        }
    }

    pub fn restored(self) -> u8 {
        self.0 >> 2
    }

    /// In another state, restored as often as before.
    pub fn into_state(self, state: UnitState) -> UnitByte {
        UnitByte(self.0 & !3 | state as u8)
    }

    /// Available once more, and restored once more often.
    pub fn given_back(self) -> UnitByte {
        UnitByte((self.restored() + 1) << 2)
    }

    /// Writes the byte of unit `u`.
    pub fn put(self, units: &mut Vec<u8>, u: u8) {
        let place = usize::from(u);
        if units.len() <= place {
            units.resize(place + 1, 0);
        }
        units[place] = self.0;
    }
}

/// The word that a wallet shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WalletState {
    Pending,
    Available,
    Held,
    Used,
    Expired,
    Revoked,
}

impl WalletState {
    pub const ALL: [WalletState; 6] =
        [Self::Pending, Self::Available, Self::Held, Self::Used, Self::Expired, Self::Revoked];

    /// `start` and `end` are the voucher's validity, `[start, end)`. A lapsed hold counts as given back.
    pub fn of(unit: UnitState, held_until: Option<Ms>, start: Ms, end: Ms, now: Ms) -> WalletState {
        match unit {
            UnitState::Used => WalletState::Used,
            UnitState::Revoked => WalletState::Revoked,
            UnitState::Held if held_until.is_some_and(|until| now < until) => WalletState::Held,
            _ if now >= end => WalletState::Expired,
            _ if now < start => WalletState::Pending,
            _ => WalletState::Available,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            WalletState::Pending => "pending",
            WalletState::Available => "available",
            WalletState::Held => "held",
            WalletState::Used => "used",
            WalletState::Expired => "expired",
            WalletState::Revoked => "revoked",
        }
    }

    pub fn named(text: &str) -> Option<WalletState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(u: u8) -> VoucherRef {
        VoucherRef { c: 7, shard: 17, f: *b"123456789", p: 1, u }
    }

    #[test]
    fn an_id_leads_back_to_its_voucher_and_survives_a_careless_typist() {
        let ids = VoucherIds::new(b"0123456789abcdef");
        for u in 0..=255 {
            let id = ids.id(&sample(u));
            assert_eq!(id.len(), VOUCHER_ID_LENGTH);
            assert_eq!(ids.voucher(&id), Some(sample(u)));
            assert_eq!(ids.voucher(&id.to_lowercase().replace('0', "o").replace('1', "l")), Some(sample(u)));
        }
    }

    #[test]
    fn a_typo_in_any_place_and_another_installations_id_are_refused() {
        let ids = VoucherIds::new(b"0123456789abcdef");
        let id = ids.id(&sample(3));
        for place in 0..VOUCHER_ID_LENGTH {
            let mut typo: Vec<u8> = id.bytes().collect();
            typo[place] = if typo[place] == b'7' { b'5' } else { b'7' };
            assert_eq!(ids.voucher(&String::from_utf8(typo).unwrap()), None, "place {place}");
        }
        assert_eq!(VoucherIds::new(b"fedcba9876543210").voucher(&id), None);
        assert_eq!(ids.voucher(&id[1..]), None);
        assert_eq!(ids.voucher("U".repeat(26).as_str()), None);
    }

    #[test]
    fn a_missing_byte_is_an_untouched_unit() {
        assert_eq!(UnitByte::of(&[], 3).state(), UnitState::Available);
        assert_eq!(UnitByte::of(&[0, 2 | 3 << 2], 1).state(), UnitState::Used);
        assert_eq!(UnitByte::of(&[0, 2 | 3 << 2], 1).restored(), 3);
    }

    #[test]
    fn a_wallet_shows_validity_only_where_nothing_happened_to_the_voucher() {
        let at = |unit, until, now| WalletState::of(unit, until, 10, 20, now);
        assert_eq!(at(UnitState::Available, None, 9), WalletState::Pending);
        assert_eq!(at(UnitState::Available, None, 10), WalletState::Available);
        assert_eq!(at(UnitState::Available, None, 19), WalletState::Available);
        assert_eq!(at(UnitState::Available, None, 20), WalletState::Expired);
        assert_eq!(at(UnitState::Held, Some(25), 22), WalletState::Held);
        assert_eq!(at(UnitState::Held, Some(15), 15), WalletState::Available);
        assert_eq!(at(UnitState::Held, Some(15), 20), WalletState::Expired);
        assert_eq!(at(UnitState::Used, None, 99), WalletState::Used);
        assert_eq!(at(UnitState::Revoked, None, 0), WalletState::Revoked);
    }
}
