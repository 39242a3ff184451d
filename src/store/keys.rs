//! Every key of the store: its name, type, lifetime and hash tag. No other file names a key.
//!
//! | key | type | what | lifetime |
//! |---|---|---|---|
//! | `{s000}:h` | hash | header of a shard: `epoch`, `seq`, `v:<c>` views, `n:…` counters, `no:<c>`, `w:…` allowances, `cur:…` cursors, `hist` first seq that histories know of, `lap:…` what holds left that ran out | installation |
//! | `{s000}:l` | stream | the shard's ledger, id = first seq | until archived |
//! | `{s000}:c<c>:p:<bucket>` | hash | person records of a campaign, field = 9 bytes of the pseudonym | campaign + retention |
//! | `{s000}:c<c>:v:<bucket>` | hash | void intents of persons who withdrew or whose identity key was taken over, field as above | campaign + retention |
//! | `{s000}:c<c>:t:<bucket>` | hash | where in the ledger the calls stand that moved a person's vouchers, field as above and u16 numbers behind it | campaign + retention |
//! | `{s000}:o:<bucket>` | hash | orders, field = 12 bytes of SHA-256(merchant, order) | campaign + refund window; void ones stay |
//! | `{s000}:b:<bucket>` | hash | what was bought with the orders that were sent with items, field as above | as their orders |
//! | `{s000}:x` | hash | lapsing holds, field = order key, value = until | while held |
//! | `{s000}:pc:<code>` | hash | one pay code | its own TTL |
//! | `{s000}:ac:<bucket>` | hash | accounts of channels, field = 16 bytes of their keyed digest, value = root pseudonym | until unlinked |
//! | `{s000}:ac:<bucket>:m` | hash | how often such an account was linked and unlinked lately, field as above | an hour after the last time |
//! | `{s000}:list:<n>:<bucket>` | hash | persons of the n-th uploaded list, field = root pseudonym | installation |
//! | `{m000}:h` | hash | header of a merchant slot: `m:<stored id of a merchant>` state and enrolments, `u:…` caps used | installation; a cap while an order holds of it, and no longer than campaign + refund window |
//! | `{m000}:l` | stream | unused: a merchant slot writes no ledger, the script shape names it | - |
//! | `{m000}:d:<bucket>` | hash | directory: order -> shard and attempt, field = 12 bytes of SHA-256(merchant, order) | campaign + refund window; without an effect it stays |
//! | `{r.<c>.<round>}:h` | hash | pool of a first-come round, by cell: packs out, and per shard its leases, returns, drained | campaign |
//! | `{i000}:c<c>:r<round>:<bucket>` | hash | index of identity keys, field = digest of a phone, device or account, value = person and intent | campaign + retention |
//! | `{i000}:c<c>:sn:<bucket>` | hash | index of serial numbers, field = 16 bytes of a digest, value = shard, order, attempt | campaign + refund window |
//! | `{i000}:c<c>:q:<bucket>` | hash | quotas: what is used of limits that neither a person nor a merchant counts, field = the quota's name | campaign + refund window |
//! | `{i000}:c<c>:qm:<bucket>` | hash | marks of quotas: what an order holds of one, field = order and 6 bytes of the name's digest | campaign + refund window |
//! | `{i000}:h`, `{i000}:l` | hash, stream | unused: an index slot has no counters and no ledger, the script shape names them | - |
//! | `{cfg}:h`, `{cfg}:l` | hash, stream | revision of the configuration, `dropped:<kind>` the highest version that was removed, and what the store is bound to: `layout`, `shards`, `keys` (fingerprint), `manner` (sandbox, live), `id` (random, of this store); stream of changes | installation |
//! | `{cfg}:list:<n>:<bucket>` | hash | merchants of the n-th uploaded list, field = merchant id | installation |
//! | `{cfg}:<kind>`, `{cfg}:<kind>:v` | hash | configuration records and their versions | installation |
//! | `{cfg}:of:<kind>:<program>` | hash | ids of the records of a kind that a program has made; `*` = all that were there before are among them | installation |
//! | `{cfg}:named:<kind>:<program>` | hash | what a program's callers have called the requests that made them -> id | installation |
//! | `{cfg}:probe` | string | the last write that a node has tried | installation |
//!
//! LAYOUT is written into the configuration header at first start (`installation.rs`); a binary refuses a store with another layout.

use sha2::{Digest, Sha256};

use crate::domain::account::AccountDigest;

/// Version of all names and record formats below.
pub const LAYOUT: u32 = 3;

/// Header field of the configuration slot: the store's own id, which the data directories that it serves remember.
pub const STORE_ID: &str = "id";

/// What nodes write to see whether the store takes writes.
pub const PROBE: &str = "{cfg}:probe";

/// Persons per bucket that keep a bucket's hash a listpack and its share of the key's overhead small.
pub const PERSONS_PER_BUCKET: u64 = 16;

/// Order buckets of a shard, and directory buckets of a merchant slot: there are as many of both, and as many orders in them. A bucket stays
/// a listpack up to eight million orders.
pub const ORDER_BUCKETS: u16 = 16_384;

/// A hash slot: all keys of one script call carry its tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    Shard(u8),
    /// Many merchants share one, so that the steps of their orders go in one script call.
    Merchant(u8),
    /// Where the index names who holds a phone, device or account, and which order a serial number; and where quotas are counted.
    Identity(u8),
    /// The pool of stock of a round, by campaign and round.
    Pool(u16, u8),
    Config,
}

impl Slot {
    fn tag(&self) -> String {
        match self {
            Slot::Shard(shard) => format!("{{s{shard:03}}}"),
            Slot::Merchant(slot) => format!("{{m{slot:03}}}"),
            Slot::Identity(slot) => format!("{{i{slot:03}}}"),
            Slot::Pool(campaign, round) => format!("{{r.{campaign}.{round}}}"),
            Slot::Config => "{cfg}".to_owned(),
        }
    }

    pub fn header(&self) -> String {
        format!("{}:h", self.tag())
    }

    pub fn ledger(&self) -> String {
        format!("{}:l", self.tag())
    }
}

/// The number of a merchant's slot, of as many as there are shards.
pub fn merchant_slot(merchant: &str, slots: u8) -> u8 {
    let digest = Sha256::digest(merchant.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    (number % u32::from(slots.max(1))) as u8
}

/// Header field that holds a merchant's state and enrolments.
pub fn merchant_field(merchant: &str) -> String {
    format!("m:{merchant}")
}

/// How the name of every cap begins.
pub const CAP: &str = "u:";

/// What is used of a merchant's cap in a period: a counter in the header of its slot.
pub fn cap_counter(merchant: &str, campaign: u16, limit: u8, entity: &[u8], period: i64) -> String {
    format!("{CAP}{campaign}:{limit}:{}:{period}:{merchant}", hex::encode(entity))
}

/// What the names of all caps are like, and of no other field beside them.
pub const CAP_COUNTERS: &str = "u:*";

/// The campaign that the name of a cap's counter begins with.
pub fn cap_campaign(name: &str) -> Option<u16> {
    name.strip_prefix("u:")?.split(':').next()?.parse().ok()
}

pub fn person_bucket(shard: u8, campaign: u16, bucket: u32) -> String {
    format!("{{s{shard:03}}}:c{campaign}:p:{bucket}")
}

/// Void intents of the persons of a bucket.
pub fn void_bucket(shard: u8, campaign: u16, bucket: u32) -> String {
    format!("{{s{shard:03}}}:c{campaign}:v:{bucket}")
}

/// Where in the ledger the calls of the persons of a bucket stand.
pub fn history_bucket(shard: u8, campaign: u16, bucket: u32) -> String {
    format!("{{s{shard:03}}}:c{campaign}:t:{bucket}")
}

/// Header field that holds the first seq from which on histories know of every call.
pub const HISTORY_BEGIN: &str = "hist";

/// The number of an identity key's slot, of as many as there are shards.
pub fn identity_slot(digest: u64, slots: u8) -> u8 {
    ((digest >> 32) % u64::from(slots.max(1))) as u8
}

/// The index of a round's identity keys: as many buckets on a slot as a shard has of persons.
pub fn identity_bucket(digest: u64, slots: u8, campaign: u16, round: u8, buckets: u32) -> String {
    let (slot, bucket) = (identity_slot(digest, slots), digest as u32 % buckets.max(1));
    format!("{{i{slot:03}}}:c{campaign}:r{round}:{bucket}")
}

/// Of a serial number, however it is written.
pub type SerialDigest = [u8; 16];

pub fn serial_digest(serial: &str) -> SerialDigest {
    let digest = Sha256::digest(["serial", "\0", &serial.to_ascii_uppercase()].concat());
    std::array::from_fn(|index| digest[index])
}

/// The number of a serial number's slot, of as many as there are shards.
pub fn serial_slot(digest: &SerialDigest, slots: u8) -> u8 {
    (number_at(digest, 0) % u32::from(slots.max(1))) as u8
}

/// The index of a campaign's serial numbers: as many buckets on a slot as a shard has of persons.
pub fn serial_bucket(digest: &SerialDigest, slots: u8, campaign: u16, buckets: u32) -> String {
    let (slot, bucket) = (serial_slot(digest, slots), number_at(digest, 4) % buckets.max(1));
    format!("{{i{slot:03}}}:c{campaign}:sn:{bucket}")
}

fn number_at(digest: &SerialDigest, place: usize) -> u32 {
    digest[place..place + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// A quota: what is used of a limit in a period by everybody together, or by a phone, device or account.
pub fn quota_name(campaign: u16, limit: u8, entity: &[u8], period: i64) -> String {
    format!("{campaign}:{limit}:{}:{period}", hex::encode(entity))
}

/// The campaign that a quota's name begins with.
pub fn quota_campaign(name: &str) -> Option<u16> {
    name.split(':').next()?.parse().ok()
}

/// Where a quota is counted, and where the marks of it stand: its slot and counter follow from its name, a mark from the order.
pub struct QuotaKeys {
    pub slot: u8,
    pub counters: String,
    pub marks: String,
    pub mark: Vec<u8>,
}

/// As many buckets on a slot as a shard has of persons. `holder` is an order and which of its effects is counted.
pub fn quota(name: &str, holder: &[u8], slots: u8, campaign: u16, buckets: u32) -> QuotaKeys {
    let digest = name_digest(name);
    let slot = (number_at(&digest, 0) % u32::from(slots.max(1))) as u8;
    let bucket = number_at(&digest, 4) % buckets.max(1);
    let of_holder = holder.iter().take(4).fold(0, |number: u32, byte| number << 8 | u32::from(*byte)) % buckets.max(1);
    QuotaKeys {
        slot,
        counters: quota_buckets(slot, campaign, bucket)[0].clone(),
        marks: quota_buckets(slot, campaign, of_holder)[1].clone(),
        mark: [holder, &quota_digest(name)].concat(),
    }
}

fn name_digest(name: &str) -> SerialDigest {
    let digest = Sha256::digest(name);
    std::array::from_fn(|index| digest[index])
}

/// What of a quota's name stands at the end of its marks.
pub type QuotaDigest = [u8; 6];

pub fn quota_digest(name: &str) -> QuotaDigest {
    let digest = name_digest(name);
    std::array::from_fn(|index| digest[8 + index])
}

/// The n-th buckets of quotas and of their marks.
pub fn quota_buckets(slot: u8, campaign: u16, bucket: u32) -> [String; 2] {
    ["q", "qm"].map(|kind| format!("{{i{slot:03}}}:c{campaign}:{kind}:{bucket}"))
}

pub fn order_bucket(shard: u8, order_key: &[u8; 12]) -> String {
    format!("{{s{shard:03}}}:o:{}", u16::from_be_bytes([order_key[0], order_key[1]]) % ORDER_BUCKETS)
}

/// The n-th order bucket of a shard, for walks over all of them.
pub fn order_bucket_at(shard: u8, bucket: u16) -> String {
    format!("{{s{shard:03}}}:o:{bucket}")
}

/// What was bought with an order; apart from the orders, whose values are short.
pub fn bought_bucket(shard: u8, order_key: &[u8; 12]) -> String {
    format!("{{s{shard:03}}}:b:{}", u16::from_be_bytes([order_key[0], order_key[1]]) % ORDER_BUCKETS)
}

/// The n-th bucket of what was bought, for walks over all of them.
pub fn bought_bucket_at(shard: u8, bucket: u16) -> String {
    format!("{{s{shard:03}}}:b:{bucket}")
}

pub fn lapsing_holds(shard: u8) -> String {
    format!("{{s{shard:03}}}:x")
}

pub fn pay_code(shard: u8, code: &str) -> String {
    format!("{{s{shard:03}}}:pc:{code}")
}

/// Accounts that platforms may name: of the account's own shard.
pub fn account_bucket(shard: u8, digest: &AccountDigest) -> String {
    let bucket = u16::from_be_bytes([digest.0[4], digest.0[5]]);
    format!("{{s{shard:03}}}:ac:{bucket}")
}

/// Beside them, how often each was linked and unlinked lately.
pub fn account_marks(shard: u8, digest: &AccountDigest) -> String {
    format!("{}:m", account_bucket(shard, digest))
}

/// Members of an uploaded list: persons on their shards, merchants with the configuration.
pub fn list_bucket(slot: &Slot, list: u64, bucket: u32) -> String {
    format!("{}:list:{list}:{bucket}", slot.tag())
}

pub fn directory_bucket(slot: u8, order_key: &[u8; 12]) -> String {
    format!("{{m{slot:03}}}:d:{}", u16::from_be_bytes([order_key[0], order_key[1]]) % ORDER_BUCKETS)
}

/// The n-th directory bucket of a merchant slot, for walks over all of them.
pub fn directory_bucket_at(slot: u8, bucket: u16) -> String {
    format!("{{m{slot:03}}}:d:{bucket}")
}

/// Header field that holds how far the walk that forgets orders has come.
pub const ORDERS_CURSOR: &str = "cur:o";

/// Configuration records of a kind, such as `campaigns`, and the hash of their versions.
pub fn config(kind: &str) -> [String; 2] {
    [format!("{{cfg}}:{kind}"), format!("{{cfg}}:{kind}:v")]
}

/// Which records of a kind a program has made, and under which names of its callers.
pub fn made_by(kind: &str, program: &str) -> [String; 2] {
    ["of", "named"].map(|what| format!("{{cfg}}:{what}:{kind}:{program}"))
}

/// Header field of the highest version that a record of a kind had when it was removed.
pub fn dropped_field(kind: &str) -> String {
    format!("dropped:{kind}")
}

/// Header field that holds a campaign's view.
pub fn view_field(campaign: u16) -> String {
    format!("v:{campaign}")
}

/// Prefix of the counters of one cell of a campaign.
pub fn cell(campaign: u16, round: u8, channel: u8, pack: u8) -> String {
    format!("n:{campaign}:{round}:{channel}:{pack}")
}

/// Counter of a cell's money that expires at an hour since the epoch.
pub fn outstanding_counter(cell: &str, hour: i64) -> String {
    format!("{cell}:out:{hour}")
}

/// Header fields of what holds left in a cell that ran out: one for every other stretch of the length of a late confirm.
pub fn lapsed_field(cell: &str) -> String {
    format!("lap:{cell}")
}

/// Prefix of the counters of a round, by channel and choice.
pub fn round_counters(campaign: u16, round: u8) -> String {
    format!("n:{campaign}:{round}")
}

/// Prefix of a cell's fields in the pool of its round; 255 is the supply that all channels share.
pub fn pool_cell(supply: u8, pack: u8) -> String {
    format!("p:{supply}:{pack}")
}

/// Header field that holds how many packs of a supply this shard may issue: decided winners, leases, persons of a list.
pub fn winners_field(campaign: u16, round: u8, channel: u8, pack: u8) -> String {
    format!("w:{campaign}:{round}:{channel}:{pack}")
}

/// Header field that holds the first bucket that the crediting of a round has not done yet.
pub fn credit_cursor_field(campaign: u16, round: u8) -> String {
    format!("cur:{campaign}:{round}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names_are_what_a_stored_installation_has() {
        assert_eq!(Slot::Shard(17).header(), "{s017}:h");
        assert_eq!(Slot::Merchant(17).ledger(), "{m017}:l");
        assert_eq!([1, 8, 255].map(|slots| merchant_slot("m1", slots)), [0, 1, 148]);
        assert_eq!(merchant_field("m1"), "m:m1");
        assert_eq!(cap_counter("m1", 7, 2, &[1, 255], 18_000), "u:7:2:01ff:18000:m1");
        assert_eq!((cap_campaign("u:7:2:01ff:18000:m1"), cap_campaign("m:7")), (Some(7), None));
        assert_eq!(person_bucket(0, 7, 12), "{s000}:c7:p:12");
        assert_eq!(void_bucket(0, 7, 12), "{s000}:c7:v:12");
        assert_eq!(history_bucket(0, 7, 12), "{s000}:c7:t:12");
        assert_eq!(Slot::Identity(17).header(), "{i017}:h");
        assert_eq!(identity_bucket(0x0000_0105_0000_0123, 4, 7, 2, 256), "{i001}:c7:r2:35");
        let serial = [0, 0, 1, 5, 0, 0, 1, 0x23, 9, 9, 9, 9, 9, 9, 9, 9];
        assert_eq!(serial_bucket(&serial, 4, 7, 256), "{i001}:c7:sn:35");
        assert_eq!(serial_digest("sn-1"), serial_digest("SN-1"));
        let quota = quota("7:2:01ff:18000", &[0, 0, 1, 0x23, 5, 6, 7, 8, 9, 10, 11, 12], 4, 7, 256);
        assert_eq!((quota.slot, quota.counters.as_str()), (3, "{i003}:c7:q:17"));
        assert_eq!(quota.marks, "{i003}:c7:qm:35");
        assert_eq!(quota.mark.len(), 18);
        assert_eq!(
            (quota_name(7, 2, &[1, 255], 18_000).as_str(), quota_campaign("7:2:01ff:18000")),
            ("7:2:01ff:18000", Some(7))
        );
        assert_eq!(order_bucket(1, &[0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "{s001}:o:4660");
        assert_eq!(bought_bucket(1, &[0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "{s001}:b:4660");
        assert_eq!(directory_bucket(3, &[0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "{m003}:d:4660");
        assert_eq!(list_bucket(&Slot::Shard(3), 7, 12), "{s003}:list:7:12");
        assert_eq!(list_bucket(&Slot::Config, 8, 0), "{cfg}:list:8:0");
        assert_eq!(made_by("till-keys", "p"), ["{cfg}:of:till-keys:p", "{cfg}:named:till-keys:p"]);
        assert_eq!(pay_code(2, "970020000000000000"), "{s002}:pc:970020000000000000");
        assert_eq!(
            account_bucket(0, &AccountDigest([0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            "{s000}:ac:258"
        );
        assert_eq!(
            account_marks(0, &AccountDigest([0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            "{s000}:ac:258:m"
        );
        assert_eq!(config("campaigns"), ["{cfg}:campaigns".to_owned(), "{cfg}:campaigns:v".to_owned()]);
        assert_eq!(cell(7, 0, 1, 2), "n:7:0:1:2");
        assert_eq!(outstanding_counter("n:7:0:1:2", 443_160), "n:7:0:1:2:out:443160");
        assert_eq!(Slot::Pool(7, 0).header(), "{r.7.0}:h");
    }
}
