//! Phone, device and account as identity keys: only a short keyed digest is kept, so that two entries with one phone can be told.

use super::campaign::terms::IdentityKey;
use super::ids::opaque;
use super::person::MacKey;
use super::typed::typed;

/// What is known of how a person is reached; vouched for by the token, or told with the request.
#[derive(Clone, Default, PartialEq)]
pub struct Contacts {
    pub phone: Option<String>,
    pub device: Option<String>,
    /// The account with the channel's provider.
    pub account: Option<String>,
}

/// A key that the campaign asks for and the request does not have in a usable form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub key: IdentityKey,
    pub missing: bool,
}

impl Contacts {
    /// Eight bytes for each key but the person, in the order of the file; `channel` keeps the accounts of two providers apart.
    pub fn digests(
        &self,
        keys: &[IdentityKey],
        campaign_key: &MacKey,
        channel: &str,
    ) -> Result<Vec<u8>, Vec<Unusable>> {
        let (mut digests, mut unusable) = (Vec::new(), Vec::new());
        for key in keys.iter().copied().filter(|key| *key != IdentityKey::Person) {
            let (name, text) = match key {
                IdentityKey::Phone => ("phone", self.phone.as_deref().map(phone)),
                IdentityKey::Device => ("device", self.device.as_deref().map(|text| opaque(text.trim()))),
                _ => {
                    let account = |text: &str| opaque(text.trim()).map(|text| format!("{channel}/{text}"));
                    ("account", self.account.as_deref().map(account))
                }
            };
            match text {
                Some(Some(text)) => {
                    let digest = campaign_key.mac(&[name.as_bytes(), &[0], text.as_bytes()]);
                    digests.extend_from_slice(&digest[..8]);
                }
                given => unusable.push(Unusable { key, missing: given.is_none() }),
            }
        }
        if unusable.is_empty() { Ok(digests) } else { Err(unusable) }
    }
}

/// A phone number in one spelling; `None` when nobody could be called by it. One of China is its digits without the country code and
/// without the 0 that is dialled at home; one with another country's code is `+` and its digits. Digits that are neither stand as they are.
fn phone(text: &str) -> Option<String> {
    let dialled = typed(text);
    let abroad = dialled.strip_prefix('+').or(dialled.strip_prefix("00"));
    let digits = abroad.unwrap_or(&dialled);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let of_some_length = |digits: &str| (5..=20).contains(&digits.len());
    match abroad {
        Some(digits) => match digits.strip_prefix("86") {
            Some(at_home) => of_china(at_home),
            None => (!digits.starts_with('0') && of_some_length(digits)).then(|| format!("+{digits}")),
        },
        None => {
            let at_home = dialled.strip_prefix("86").filter(|at_home| is_mobile(at_home)).unwrap_or(&dialled);
            of_china(at_home).or_else(|| of_some_length(&dialled).then_some(dialled))
        }
    }
}

/// A mobile number, or one with its area.
fn of_china(digits: &str) -> Option<String> {
    let digits = digits.strip_prefix('0').unwrap_or(digits);
    let with_area = !digits.starts_with(['0', '1']) && (9..=11).contains(&digits.len());
    let of_beijing = digits.starts_with("10") && digits.len() == 10;
    (is_mobile(digits) || with_area || of_beijing).then(|| digits.to_owned())
}

fn is_mobile(digits: &str) -> bool {
    digits.len() == 11 && digits.starts_with('1')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [IdentityKey; 4] = [IdentityKey::Person, IdentityKey::Account, IdentityKey::Phone, IdentityKey::Device];

    fn contacts(phone: &str) -> Contacts {
        Contacts { phone: Some(phone.into()), device: Some("d1".into()), account: Some("a1".into()) }
    }

    #[test]
    fn one_phone_has_one_digest_however_it_is_written() {
        let digests = |phone: &str| contacts(phone).digests(&KEYS, &MacKey::new(&[7; 32]), "wechat").unwrap();
        assert_eq!(digests("13800138000").len(), 24);
        for spelling in ["+86 138-0013-8000", "0086 13800138000", " 138 0013 8000 "] {
            assert_eq!(digests(spelling), digests("13800138000"), "{spelling}");
        }
        assert_eq!(digests("010 1234 5678"), digests("+86 10 12345678"));
        assert_eq!(digests("0851-8123456"), digests("+86 (0)851 8123456"));
        assert_ne!(digests("+1 380 013 8000"), digests("13800138000"));
        assert_ne!(digests("13800138001")[8..16], digests("13800138000")[8..16]);
        let elsewhere = contacts("13800138000").digests(&KEYS, &MacKey::new(&[7; 32]), "alipay").unwrap();
        assert_ne!(elsewhere[..8], digests("13800138000")[..8], "accounts of two providers are two");
        assert_eq!(elsewhere[8..], digests("13800138000")[8..]);
    }

    #[test]
    fn what_is_missing_or_no_phone_is_said() {
        let unusable = |contacts: Contacts| contacts.digests(&KEYS, &MacKey::new(&[7; 32]), "wechat").unwrap_err();
        let wrong = unusable(contacts("none of yours"));
        assert_eq!(wrong, [Unusable { key: IdentityKey::Phone, missing: false }]);
        assert_eq!(unusable(Contacts::default()).len(), 3);
        assert_eq!(Contacts::default().digests(&KEYS[..1], &MacKey::new(&[7; 32]), "wechat"), Ok(vec![]));
    }
}
