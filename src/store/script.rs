//! Lua scripts by content hash: the hash is the version, so old and new binaries run side by side on one store.

use std::sync::OnceLock;

use rmpv::Value;

use super::StoreError;

/// One state transition; its text is `lib.lua`, for the till `order.lua`, and its own file.
#[derive(Debug)]
pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// SHA-1 of the text, as EVALSHA wants it; computed once.
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}

macro_rules! scripts {
    ($($constant:ident $name:literal $(after $shared:literal)?),* $(,)?) => {
        $(pub static $constant: Script = Script {
            name: $name,
            hash: OnceLock::new(),
            text: concat!(
                include_str!("lua/lib.lua"),
                $(include_str!(concat!("lua/", $shared, ".lua")),)?
                include_str!(concat!("lua/", $name, ".lua"))
            ),
        };)*
        /// Every script over `lib.lua`, loaded at start and again after a restart of the store.
        pub static ALL: &[&Script] = &[$(&$constant),*];
    };
}

scripts! {
    CONFIG_PUT "config_put",
    HEADER_PUT "header_put",
    MERCHANT_VIEW "merchant_view",
    MONEY_CARRY "money_carry",
    MONEY_EXPIRE "money_expire",
    ORDER_CANCEL "order_cancel" after "order",
    ORDER_CLOSE "order_close" after "order",
    ORDER_CONFIRM "order_confirm" after "order",
    ORDER_EXPIRE "order_expire" after "order",
    ORDER_OPEN "order_open",
    ORDER_REDEEM "order_redeem" after "order",
    ORDER_REFUND "order_refund" after "order",
    ORDER_RELEASE "order_release",
    ORDER_REPLAN "order_replan",
    ORDER_REVERSE "order_reverse",
    ORDER_UNDO "order_undo" after "order",
    PACK_ISSUE "pack_issue",
    PAY_CODE_PUT "pay_code_put",
    RESERVATION_ADD "reservation_add",
    RESERVATION_REMOVE "reservation_remove",
    VIEW_PUT "view_put",
    WALLET_READ "wallet_read",
}

/// What one member of a batch asks a script to do: keys of its slot, then arguments.
#[derive(Clone, Debug)]
pub struct Member {
    pub keys: Vec<String>,
    pub args: Vec<Value>,
    /// The node's view of a campaign, checked against the shard's before anything is judged.
    pub views: Vec<(u16, u64)>,
}

impl Member {
    pub fn new(keys: Vec<String>, args: Vec<Value>) -> Member {
        Member { keys, args, views: Vec::new() }
    }

    pub fn view(mut self, campaign: u16, rev: u64) -> Member {
        self.views.push((campaign, rev));
        self
    }
}

/// Bytes as the scripts read them.
pub fn bytes(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec())
}

/// A script's answer to one member: a word and its details.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub word: String,
    details: Vec<Value>,
}

impl Reply {
    pub(super) fn decode(mut bytes: &[u8]) -> Result<Reply, StoreError> {
        let value = rmpv::decode::read_value(&mut bytes).map_err(|_| StoreError::malformed("reply"))?;
        let Value::Array(mut details) = value else { return Err(StoreError::malformed("reply")) };
        if details.is_empty() {
            return Err(StoreError::malformed("empty reply"));
        }
        let word = details.remove(0).as_str().unwrap_or_default().to_owned();
        Ok(Reply { word, details })
    }

    pub fn is(&self, word: &str) -> bool {
        self.word == word
    }

    /// The code of a refusal.
    pub fn refused(&self) -> Option<&str> {
        (self.word == "refused").then(|| self.details.first().and_then(Value::as_str).unwrap_or_default())
    }

    pub fn value(&self, index: usize) -> Option<&Value> {
        self.details.get(index)
    }

    pub fn int(&self, index: usize) -> i64 {
        match self.details.get(index) {
            Some(Value::Integer(n)) => n.as_i64().unwrap_or_default(),
            Some(Value::F64(n)) => *n as i64,
            _ => 0,
        }
    }

    pub fn text(&self, index: usize) -> &str {
        self.details.get(index).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn bytes(&self, index: usize) -> &[u8] {
        self.details.get(index).map(raw).unwrap_or_default()
    }
}

/// The bytes of a string, whether or not it is UTF-8.
pub fn raw(value: &Value) -> &[u8] {
    match value {
        Value::String(text) => text.as_bytes(),
        Value::Binary(bytes) => bytes,
        _ => &[],
    }
}
