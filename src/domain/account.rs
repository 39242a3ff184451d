//! A person's account with a channel, as a platform names it inside a payment. It is kept as a keyed digest only.

use crate::domain::binding::{PayerName, payer_name};
use crate::domain::ids::{is_channel, opaque};
use crate::domain::person::MacKey;
use crate::domain::refusal::{Code, Refusal};

/// An account as a request names it; it never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub channel: String,
    id: String,
}

/// What the store knows an account by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountDigest(pub [u8; 16]);

impl Account {
    pub fn parse(channel: String, id: String) -> Result<Account, Refusal> {
        if is_channel(&channel) && opaque(&id).is_some() {
            return Ok(Account { channel, id });
        }
        let zh = "channel 须为 1 至 40 个字母、数字或 _ . -；id 须为 1 至 128 个可见的 ASCII 字符。";
        let en = "channel is 1 to 40 of letters, digits, _ . and -; id is 1 to 128 visible ASCII characters.";
        Err(Refusal::new(Code::InvalidRequest).field("/account", "invalid_account", zh, en))
    }

    /// What an order remembers of the account that paid it.
    pub fn name(&self) -> PayerName {
        payer_name(&["account", &self.channel, &self.id])
    }

    /// The third kind of name under the identity key, after documents (0) and digests (1).
    pub fn digest(&self, identity_key: &MacKey) -> AccountDigest {
        let mac = identity_key.mac(&[self.channel.as_bytes(), &[2], self.id.as_bytes()]);
        let mut digest = [0; 16];
        digest.copy_from_slice(&mac[..16]);
        AccountDigest(digest)
    }
}

impl AccountDigest {
    pub fn shard(&self, shards: u8) -> u8 {
        let [a, b, c, d, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]) % u32::from(shards.max(1))) as u8
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Account").field("channel", &self.channel).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(channel: &str, id: &str) -> Account {
        Account::parse(channel.into(), id.into()).unwrap()
    }

    #[test]
    fn accounts_of_two_channels_and_of_two_installations_differ() {
        let (key, other) = (MacKey::new(b"one"), MacKey::new(b"two"));
        let digest = account("wechat", "o-1").digest(&key);
        assert_eq!(digest, account("wechat", "o-1").digest(&key));
        assert_ne!(digest, account("alipay", "o-1").digest(&key));
        assert_ne!(digest, account("wechat", "o-1").digest(&other));
    }

    #[test]
    fn an_account_is_not_printed_and_not_of_any_length() {
        assert!(!format!("{:?}", account("wechat", "o-secret")).contains("secret"));
        for (channel, id) in
            [("", "o"), ("wechat", ""), ("wechat", &"x".repeat(129)), ("wechat", "o 1"), ("we chat", "o")]
        {
            assert!(Account::parse(channel.into(), id.into()).is_err(), "{channel} {id}");
        }
    }
}
