//! Lua scripts by content hash: the hash is the version, so old and new binaries run side by side on one store.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use rmpv::Value;

use super::StoreError;
use crate::domain::time::{Ms, SECOND};

/// One state transition; its text is `lib.lua`, what it shares with others (`record.lua`, `reservation.lua`, `cap.lua`, `directory.lua`, `notes.lua`), and its own file.
#[derive(Debug)]
pub struct Script {
    pub name: &'static str,
    pub text: &'static str,
    hash: OnceLock<String>,
    reserve: OnceLock<(String, String)>,
}

impl Script {
    /// SHA-1 of the text, as EVALSHA wants it; computed once.
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }

    /// Text and hash of the same script with leave to write above the store's maxmemory.
    pub(super) fn reserve(&self) -> (&str, &str) {
        let (text, hash) = self.reserve.get_or_init(|| {
            let text = format!("#!lua flags=allow-oom\n{}", self.text);
            let hash = redis::Script::new(&text).get_hash().to_owned();
            (text, hash)
        });
        (text, hash)
    }

    /// Whether it may have an effect.
    pub(super) fn writes(&self) -> bool {
        ![&MERCHANT_VIEW, &WALLET_READ].iter().any(|script| std::ptr::eq::<Script>(*script, self))
    }

    /// Whether it only ever ends, removes or gives back what was begun, or brings what the configuration holds to where it is judged: all
    /// go on when the store is full.
    fn ends(&self) -> bool {
        const ENDING: [&Script; 9] = [
            &CONFIG_DROP,
            &ORDER_CLOSE,
            &ORDER_RELEASE,
            &ORDER_REVERSE,
            &QUOTA_CLEAR,
            &QUOTA_GIVE,
            &QUOTA_LEAVE,
            &MERCHANT_VIEW,
            &VIEW_PUT,
        ];
        ENDING.iter().any(|script| std::ptr::eq(*script, self))
    }
}

macro_rules! scripts {
    ($($constant:ident $name:literal $(after $($shared:literal)*)?),* $(,)?) => {
        $(pub static $constant: Script = Script {
            name: $name,
            hash: OnceLock::new(),
            reserve: OnceLock::new(),
            text: concat!(
                include_str!("lua/lib.lua"),
                $($(include_str!(concat!("lua/", $shared, ".lua")),)*)?
                include_str!(concat!("lua/", $name, ".lua"))
            ),
        };)*
        /// Every script over `lib.lua`, loaded at start and again after a restart of the store.
        pub static ALL: &[&Script] = &[$(&$constant),*];
    };
}

scripts! {
    ACCOUNT_LINK "account_link",
    ALLOWANCE_PUT "allowance_put",
    CAMPAIGN_PUBLISH "campaign_publish" after "notes",
    CONFIG_DROP "config_drop",
    CONFIG_MAKE "config_make" after "notes",
    CONFIG_PUT "config_put" after "notes",
    CURSOR_PUT "cursor_put",
    ENTRY_MARK "entry_mark" after "record",
    HEADER_PUT "header_put",
    IDENTITY_ENTER "identity_enter" after "record" "reservation" "reservation_enter",
    IDENTITY_TAKE "identity_take",
    IDENTITY_VOID "identity_void" after "record",
    MERCHANT_VIEW "merchant_view",
    MONEY_CARRY "money_carry",
    MONEY_EXPIRE "money_expire",
    ORDER_CAP "order_cap" after "directory",
    ORDER_CHANGE "order_change",
    ORDER_CLOSE "order_close",
    ORDER_FORGET "order_forget",
    ORDER_JOIN "order_join" after "directory",
    ORDER_OPEN "order_open" after "directory",
    ORDER_RELEASE "order_release" after "cap" "directory",
    ORDER_REPLAN "order_replan" after "cap" "directory",
    ORDER_REVERSE "order_reverse" after "cap",
    PACK_ISSUE "pack_issue" after "record",
    PAY_CODE_PUT "pay_code_put",
    QUOTA_CLEAR "quota_clear",
    QUOTA_ENTER "quota_enter",
    QUOTA_GIVE "quota_give",
    QUOTA_LEAVE "quota_leave",
    QUOTA_TAKE "quota_take",
    RESERVATION_ADD "reservation_add" after "record" "reservation" "reservation_enter",
    RESERVATION_REMOVE "reservation_remove" after "record" "reservation",
    SERIAL_TAKE "serial_take",
    STOCK_ACCEPT "stock_accept",
    STOCK_APPLY "stock_apply",
    STOCK_LEASE "stock_lease",
    STOCK_RETURN "stock_return",
    VIEW_PUT "view_put",
    WALLET_READ "wallet_read",
}

/// What one member of a batch asks a script to do: keys of its slot, then arguments.
#[derive(Clone, Debug)]
pub struct Member {
    pub keys: Vec<String>,
    pub(super) form: Form,
    /// What it has in common with others of its batch; the script gets the places of it.
    pub(super) shared: Vec<Arc<Shared>>,
    /// The node's view of a campaign, checked against the shard's before anything is judged.
    pub views: Vec<(u16, u64)>,
    /// It goes on when the store is full.
    goes_on: bool,
}

/// How a script reads a member.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A msgpack array: places of the keys, then the arguments.
    Packed(Args),
    /// Bytes: number of keys, number of what is shared, a place of each, and these. A fifth of the cost, for the scripts of a rush.
    Flat(Vec<u8>),
}

impl Member {
    pub fn new(keys: Vec<String>, args: Vec<Value>) -> Member {
        Member::packed(keys, args.iter().fold(Args::default(), Args::value))
    }

    /// For the hot transitions, which write their arguments without building values first.
    pub fn packed(keys: Vec<String>, args: Args) -> Member {
        Member { keys, form: Form::Packed(args), shared: Vec::new(), views: Vec::new(), goes_on: false }
    }

    pub fn flat(keys: Vec<String>, bytes: Vec<u8>) -> Member {
        Member { keys, form: Form::Flat(bytes), shared: Vec::new(), views: Vec::new(), goes_on: false }
    }

    /// Only flat members share.
    pub fn sharing(mut self, shared: Arc<Shared>) -> Member {
        self.shared.push(shared);
        self
    }

    /// A step of what was begun, such as a confirm or a refund: a full store, which takes no new money, still takes this.
    pub fn going_on(mut self, goes_on: bool) -> Member {
        self.goes_on = goes_on;
        self
    }

    pub(super) fn goes_on(&self, script: &Script) -> bool {
        self.goes_on || script.ends()
    }

    pub fn view(mut self, campaign: u16, rev: u64) -> Member {
        self.views.push((campaign, rev));
        self
    }
}

/// Arguments as the scripts read them: msgpack, one after another.
#[derive(Clone, Debug, Default)]
pub struct Args {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
}

/// A list of arguments that many members have in common: sent once per call, unpacked once by the script. Equal ones are one.
#[derive(Debug, PartialEq)]
pub struct Shared(pub(super) Vec<u8>);

impl Shared {
    pub fn new(args: Args) -> Arc<Shared> {
        Arc::new(Shared(Args::default().list(|_| args).bytes))
    }
}

const INFALLIBLE: &str = "writing to memory cannot fail";

impl Args {
    pub fn with_capacity(bytes: usize) -> Args {
        Args { bytes: Vec::with_capacity(bytes), count: 0 }
    }

    pub fn int(mut self, n: impl Into<i64>) -> Args {
        rmp::encode::write_sint(&mut self.bytes, n.into()).expect(INFALLIBLE);
        self.count += 1;
        self
    }

    /// A text, or bytes: the store's msgpack knows no binary type, so bytes go as a string, which it never reads as text.
    pub fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Args {
        write_str(&mut self.bytes, bytes.as_ref());
        self.count += 1;
        self
    }

    /// A list of what `fill` appends.
    pub fn list(mut self, fill: impl FnOnce(Args) -> Args) -> Args {
        let inner = fill(Args::default());
        rmp::encode::write_array_len(&mut self.bytes, inner.count).expect(INFALLIBLE);
        self.bytes.extend_from_slice(&inner.bytes);
        self.count += 1;
        self
    }

    pub(super) fn shared(mut self, shared: &Shared) -> Args {
        self.bytes.extend_from_slice(&shared.0);
        self.count += 1;
        self
    }

    /// Arguments that were written before.
    pub fn then(mut self, more: &Args) -> Args {
        self.bytes.extend_from_slice(&more.bytes);
        self.count += more.count;
        self
    }

    pub fn value(mut self, value: &Value) -> Args {
        write(&mut self.bytes, value);
        self.count += 1;
        self
    }
}

fn write_str(out: &mut Vec<u8>, bytes: &[u8]) {
    rmp::encode::write_str_len(out, bytes.len() as u32).expect(INFALLIBLE);
    out.extend_from_slice(bytes);
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Array(items) => {
            rmp::encode::write_array_len(out, items.len() as u32).expect(INFALLIBLE);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Binary(bytes) => write_str(out, bytes),
        other => rmpv::encode::write_value(out, other).expect(INFALLIBLE),
    }
}

/// Bytes as the scripts read them.
pub fn bytes(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec())
}

/// A script's answer to one member: a word and its details.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub word: Cow<'static, str>,
    details: Vec<Value>,
}

impl Reply {
    fn decode(mut bytes: &[u8]) -> Result<Reply, StoreError> {
        let value = rmpv::decode::read_value(&mut bytes).map_err(|_| StoreError::malformed("reply"))?;
        let Value::Array(mut details) = value else { return Err(StoreError::malformed("reply")) };
        if details.is_empty() {
            return Err(StoreError::malformed("empty reply"));
        }
        let word = details.remove(0).as_str().unwrap_or_default().to_owned();
        Ok(Reply { word: Cow::Owned(word), details })
    }

    /// Bytes of the script's own, behind a zero, which no msgpack array begins with.
    pub(super) fn of_bytes(bytes: &[u8]) -> Result<Reply, StoreError> {
        match bytes.split_first() {
            Some((0, own)) => Ok(Reply { word: Cow::Borrowed("bytes"), details: vec![Value::Binary(own.to_vec())] }),
            _ => Reply::decode(bytes),
        }
    }

    /// A number is short for ok with the number, and with the second that the call named as its now.
    pub(super) fn number(n: i64, now: Ms) -> Reply {
        Reply { word: Cow::Borrowed("ok"), details: vec![Value::from(n), Value::from(now.div_euclid(SECOND))] }
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
