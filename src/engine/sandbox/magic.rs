//! The customers behind a sandbox's magic codes. What is fine is real: a campaign of the sandbox's own issues a pack to a customer made
//! for the order, so that a hold can be confirmed, a redemption refunded, and the ledger audited like any other.

use crate::engine::merchant::caller::Till;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::magic::{CATEGORIES, Magic};
use crate::domain::merchant::EnrolState;
use crate::domain::order::{OrderKey, order_key};
use crate::domain::person::Root;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{DAY, Ms, Zone};
use crate::engine::claim::Issued;
use crate::engine::config::expect::Expect;
use crate::engine::key::{ApiKey, Role};
use crate::engine::order::{Ask, KnownPayer, Payer};
use crate::engine::resident::Person;
use crate::engine::stock::{Taken, supply_of};
use crate::engine::{Engine, Failure};

const CHANNEL: &str = "sandbox";
const PACKS: i64 = 100_000;
const PACK_VALUE: i64 = 3_000;
/// Orders that a node remembers to have failed once.
const MOST_SEEN: usize = 10_000;

/// Orders whose first request has failed.
#[derive(Default)]
pub struct Seen(Mutex<HashSet<OrderKey>>);

impl Seen {
    /// Whether this is the order's first request.
    fn is_first(&self, order: OrderKey) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        seen.insert(order)
    }
}

impl Engine {
    /// What the payer's code does; only a sandbox knows any.
    pub fn magic(&self, payer: &Payer) -> Option<Magic> {
        let magic = match payer {
            Payer::PayCode(text) => Magic::of_pay_code(text),
            Payer::Vouchers(ids) if ids.len() == 1 => Magic::of_voucher(&ids[0]),
            _ => None,
        };
        magic.filter(|_| self.clock().setting().is_some())
    }

    /// The customer behind a magic code, or the refusal that it stands for.
    pub(in crate::engine) async fn magic_payer(
        &self,
        till: &Till,
        order_id: Option<&str>,
        magic: Magic,
    ) -> Result<KnownPayer, Refusal> {
        let refused = match (magic, order_id) {
            (Magic::Refused(code), _) => Some(code),
            (Magic::Once(code), Some(order_id)) => {
                self.failed_once.is_first(order_key(&till.merchant_id, order_id)).then_some(code)
            }
            _ => None,
        };
        if let Some(code) = refused {
            return Err(self.magic_refusal(code));
        }
        let campaign_id = self.magic_campaign(till).await?;
        self.enrol_by_magic(till, &campaign_id).await?;
        let order = order_id.unwrap_or_default().as_bytes();
        let who: &[u8] = if magic == Magic::Another { &[4] } else { &[3] };
        let root = Root(self.keys.identity.mac(&[b"magic", who, till.merchant_id.as_bytes(), &[0], order]));
        self.with_view(|| self.give_magic_pack(&campaign_id, root)).await?;
        Ok(KnownPayer { root, channel: CHANNEL.to_owned(), areas: Vec::new(), named_by: "pay_code" })
    }

    fn magic_refusal(&self, code: Code) -> Refusal {
        let zone = Zone::named("Asia/Shanghai").expect("the bundled zone database has Shanghai");
        Magic::refusal(code, self.now(), |at| zone.rfc3339(at))
    }

    /// Whether a quote tells the refusal as a voucher that is not taken.
    pub(in crate::engine) fn is_told_by_a_quote(&self, ask: &Ask, refusal: &Refusal) -> bool {
        self.magic(&ask.payer).is_some() && Magic::is_told_by_a_quote(refusal.code)
    }

    /// The program's campaign for magic codes, published when the first of them is used.
    async fn magic_campaign(&self, till: &Till) -> Result<String, Refusal> {
        let digest = hex::encode(&Sha256::digest(till.program.as_bytes())[..4]);
        let campaign_id = format!("sandbox-magic-{digest}");
        if self.published(&campaign_id).is_ok() {
            return Ok(campaign_id);
        }
        let office = office(till);
        let file = file(&campaign_id, self.now()).to_string();
        // Of two nodes that do this at once, each step succeeds at one; what counts is that it is published in the end.
        let _ = self.put_campaign(&office, &campaign_id, Some(Expect::Absent), file.as_bytes(), false).await;
        let _ = self.submit_campaign(&office, &campaign_id).await;
        let approver = approver(till);
        let _ = self.approve_campaign(&approver, &campaign_id).await;
        let published = self.publish_campaign(&approver, &campaign_id).await;
        // Who was second is refused because it is published, maybe a moment before this node has read so.
        self.refresh().await?;
        match (self.published(&campaign_id), published) {
            (Ok(_), _) => Ok(campaign_id),
            (Err(_), Err(refusal)) => Err(refusal),
            (Err(refusal), Ok(_)) => Err(refusal),
        }
    }

    /// A merchant that the office has taken out of the campaign stays out.
    async fn enrol_by_magic(&self, till: &Till, campaign_id: &str) -> Result<(), Refusal> {
        let merchant = self.merchant(&till.program, &till.named).await?;
        if merchant.enrolled.contains_key(campaign_id) {
            return Ok(());
        }
        let office = office(till);
        self.apply_to_campaign(&office, campaign_id, &till.named).await?;
        self.move_enrolment(&approver(till), campaign_id, &till.named, EnrolState::Approved, None).await?;
        Ok(())
    }

    async fn give_magic_pack(&self, campaign_id: &str, root: Root) -> Result<(), Failure> {
        let view = self.published(campaign_id)?;
        let round = &view.rounds[0];
        let person = Person::new(&view, self.shard_of(&root), root.in_campaign(&view.pseudonym_key));
        let (supply, _) = supply_of(&view, round, 0, 0).ok_or(Code::Internal)?;
        match self.take_stock(&view, round, &person, 0, 0, supply).await? {
            Taken::Pack(Issued::Pack { .. }) => Ok(()),
            Taken::Pack(Issued::Refused(refusal)) => Err(Failure::Refusal(refusal)),
            _ => Err(Refusal::new(Code::Overloaded)
                .detail(
                    "沙箱的测试券已用完，请另启一个沙箱。",
                    "The sandbox has no magic voucher left; start a fresh one.",
                )
                .into()),
        }
    }
}

fn office(till: &Till) -> ApiKey {
    ApiKey::new("sandbox", &Role::ALL, &till.program)
}

fn approver(till: &Till) -> ApiKey {
    ApiKey::new("sandbox-approver", &Role::ALL, &till.program)
}

/// Open from now on for as long as anybody uses a sandbox; every shop and hour is welcome, and every category that cities use.
fn file(campaign_id: &str, now: Ms) -> Value {
    let zone = Zone::named("Asia/Shanghai").expect("the bundled zone database has Shanghai");
    // Whole seconds, for the file is written with them.
    let (begin, end) = (zone.rfc3339(now / 1_000 * 1_000), zone.rfc3339((now / 1_000) * 1_000 + 3_650 * DAY));
    json!({
        "campaign_id": campaign_id,
        "name": {"zh": "沙箱魔法券", "en": "Magic vouchers of the sandbox"},
        "time_zone": "Asia/Shanghai", "currency": "CNY", "budget": PACKS * PACK_VALUE, "channels": [CHANNEL],
        "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "magic", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6_000, "discount_amount": 2_000, "count": 1},
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 1}]}],
        "rounds": [{"round_id": "magic", "mode": "first_come", "reservation": null, "packs": {"magic": PACKS},
            "opens_at": begin, "closes_at": end, "release": {"shape": "at_once"}}],
        "validity": {"available_begin_time": begin, "available_end_time": end},
        "use_rule": {"categories": CATEGORIES, "channels": "any", "combine_with_merchant_offers": true, "max_vouchers_per_payment": 1},
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise", "sole_trader"]}
    })
}
