//! A resident's wallet over all campaigns, and the pay code that a till scans.

pub mod history;

use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::domain::area::Location;
use crate::domain::campaign::{Unclaimed, Unit};
use crate::domain::money::Fen;
use crate::domain::noun::Noun;
use crate::domain::order::OrderState;
use crate::domain::paycode::{self, PayCode};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Zone};
use crate::domain::voucher::{UnitState, VoucherRef, WalletState};
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::resident::Resident;
use crate::store::int;
use crate::store::keys::{self, Slot};
use crate::store::orders::PayCodeRecord;
use crate::store::record::{Pack, PersonRecord};
use crate::store::script::{self, Member, bytes};

/// One voucher as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct WalletVoucher {
    pub voucher_id: String,
    pub voucher_kind: String,
    pub campaign_id: String,
    pub state: WalletState,
    pub transaction_minimum: Fen,
    pub discount_amount: Fen,
    pub available_begin_time: String,
    pub available_end_time: String,
    pub channel: String,
}

#[derive(Clone, Debug)]
pub struct Wallet {
    pub vouchers: Vec<WalletVoucher>,
    /// Changes whenever anything shown changes.
    pub etag: String,
}

/// A fresh code to show.
#[derive(Clone, Debug)]
pub struct ShownCode {
    pub pay_code: String,
    pub qr: String,
    pub expires_at: String,
    pub refresh_after_ms: i64,
}

impl Engine {
    /// All vouchers of the person, or those of one campaign or state. A decided winner whose round has closed is credited on the way.
    pub async fn wallet(
        &self,
        resident: &Resident,
        campaign_id: Option<&str>,
        state: Option<WalletState>,
    ) -> Result<Wallet, Refusal> {
        let people = self.records_of(resident, campaign_id).await?;
        let people = if self.credit_closed(resident, &people.1).await? {
            self.records_of(resident, campaign_id).await?
        } else {
            people
        };
        let (now, records) = people;
        let mut vouchers = Vec::new();
        for (view, record) in &records {
            let field = resident.root.in_campaign(&view.pseudonym_key).field();
            self.show(&mut vouchers, view, record, resident.shard, field, now);
        }
        vouchers.retain(|voucher| state.is_none_or(|state| voucher.state == state));
        let etag = etag_of(&vouchers);
        Ok(Wallet { vouchers, etag })
    }

    pub(super) async fn records_of(
        &self,
        resident: &Resident,
        campaign_id: Option<&str>,
    ) -> Result<(Ms, Vec<(std::sync::Arc<CampaignView>, PersonRecord)>), Refusal> {
        let snapshot = self.view();
        let wanted = |view: &CampaignView| view.is_published() && campaign_id.is_none_or(|id| id == view.id);
        let mut views: Vec<_> = snapshot.by_number.values().filter(|view| wanted(view)).cloned().collect();
        views.sort_unstable_by_key(|view| view.number);
        let fields: Vec<(String, Vec<u8>)> = views
            .iter()
            .map(|view| {
                let person = self.person(view, resident);
                (person.bucket_key.clone(), person.pseudonym.field().to_vec())
            })
            .collect();
        let (now, values) = self.store.read_together(resident.shard, &fields).await?;
        let mut records = Vec::new();
        for (view, value) in views.into_iter().zip(values).filter(|(_, value)| !value.is_empty()) {
            records.push((view, PersonRecord::decode(&value)?));
        }
        Ok((now, records))
    }

    /// Credits what the person has won in rounds that have closed, if the sweep has not come by.
    async fn credit_closed(
        &self,
        resident: &Resident,
        records: &[(std::sync::Arc<CampaignView>, PersonRecord)],
    ) -> Result<bool, Refusal> {
        let mut credited = false;
        for (view, record) in records {
            for round in &view.rounds {
                let swept = round.record.credited_at.is_some() || view.record.stopped;
                let credits = round.round.unclaimed == Unclaimed::Credit;
                if !swept && credits && round.draw.is_some() && self.now() >= round.last_close() {
                    credited |= self.credit_owed(view, round, resident, record).await;
                }
            }
        }
        Ok(credited)
    }

    /// Whether the person was credited now for what was won. A wallet is shown whatever becomes of this; the sweep comes by.
    async fn credit_owed(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        record: &PersonRecord,
    ) -> bool {
        let pseudonym = resident.root.in_campaign(&view.pseudonym_key);
        let Ok(chances) = self.entries_of(view, round, resident).await else { return false };
        let owed = self.owed(view, round, resident.shard, pseudonym, record, chances);
        !owed.is_empty() && self.credit_all(view, round, resident.shard, owed).await.is_ok_and(|credited| credited > 0)
    }

    fn show(
        &self,
        vouchers: &mut Vec<WalletVoucher>,
        view: &CampaignView,
        record: &PersonRecord,
        shard: u8,
        field: [u8; 9],
        now: Ms,
    ) {
        let codec = &self.keys.voucher;
        for (p, pack) in (0..=u8::MAX).zip(&record.packs) {
            for unit in view.units.get(usize::from(pack.pack)).map(Vec::as_slice).unwrap_or_default() {
                let window = view.campaign.unit_window(
                    usize::from(pack.round),
                    usize::from(pack.pack),
                    unit.unit,
                    pack.at * 1_000,
                );
                let Some(window) = window else { continue };
                let hold = record.holds.iter().find(|hold| hold.pack == p && hold.unit == unit.unit);
                let unit_state = pack.unit(unit.unit);
                // What waits for another voucher cannot be used yet, as before its first hour.
                let start = if unlocks(view, pack, unit) { window.start } else { Ms::MAX };
                vouchers.push(WalletVoucher {
                    voucher_id: codec.id(&VoucherRef { c: view.number, shard, f: field, p, u: unit.unit }),
                    voucher_kind: unit.voucher_kind.clone(),
                    campaign_id: view.id.clone(),
                    state: WalletState::of(unit_state, hold.map(|hold| hold.until), start, window.end, now),
                    transaction_minimum: unit.transaction_minimum,
                    discount_amount: unit.discount_amount,
                    available_begin_time: view.zone.rfc3339(window.start),
                    available_end_time: view.zone.rfc3339(window.end),
                    channel: view.channel_name(pack.channel).to_owned(),
                });
            }
        }
    }

    /// A code for the next step (a minute, unless set otherwise). It lives on the person's shard, so it cannot pay at two tills.
    /// Of the place where it is asked for it only keeps in which areas of use that is.
    pub async fn new_pay_code(&self, resident: &Resident, place: Option<Location>) -> Result<ShownCode, Refusal> {
        let zone = self.resident_zone();
        let areas = match place {
            Some(place) => self.areas_of_use(resident, place).await?,
            None => Vec::new(),
        };
        for _ in 0..4 {
            let code = PayCode::new(resident.shard, rand::rng().random());
            let expires = self.now() + self.settings.pay_code_step;
            let channel = resident.channel.clone();
            let record = PayCodeRecord { root: resident.root, channel, expires, areas: areas.clone(), order: None };
            let args = vec![bytes(&record.encode()), int(paycode::KEPT)];
            let member = Member::new(vec![keys::pay_code(resident.shard, code.as_str())], args);
            let reply = self.store.call(&script::PAY_CODE_PUT, &Slot::Shard(resident.shard), member).await?;
            if reply.refused() == Some("pay_code_taken") {
                continue;
            }
            self.codes.put(&code, record);
            return Ok(ShownCode {
                qr: code.qr(),
                pay_code: code.as_str().to_owned(),
                expires_at: zone.rfc3339(expires),
                refresh_after_ms: paycode::refresh_after(self.settings.pay_code_step),
            });
        }
        Err(Refusal::new(Code::Overloaded).retry_after_ms(1_000))
    }

    /// What has become of a shown code: `live`, `held`, `redeemed` or `expired`. Another person's code does not exist.
    pub async fn pay_code_state(&self, resident: &Resident, text: &str) -> Result<&'static str, Refusal> {
        let code = PayCode::parse(text)
            .filter(|code| code.shard() == resident.shard)
            .ok_or_else(|| Noun::PayCode.not_found(text))?;
        let fields = [(keys::pay_code(code.shard(), code.as_str()), b"v".to_vec())];
        let (now, values) = self.store.read_together(code.shard(), &fields).await?;
        let record = match values.first().filter(|value| !value.is_empty()) {
            Some(value) => PayCodeRecord::decode(value)?,
            None => return Err(Noun::PayCode.not_found(text)),
        };
        if record.root.0 != resident.root.0 {
            return Err(Noun::PayCode.not_found(text));
        }
        let stored = match &record.order {
            Some(key) => self.store.order(code.shard(), key).await?,
            None => None,
        };
        Ok(match stored.map(|stored| stored.order) {
            Some(order) if order.state == OrderState::Held && now < order.until() => "held",
            Some(order) if order.state == OrderState::Redeemed => "redeemed",
            None if record.order.is_none() && now < record.expires => "live",
            _ => "expired",
        })
    }

    /// Every city is in one zone today; with several, the first campaign's stands for texts that belong to none.
    fn resident_zone(&self) -> Zone {
        let snapshot = self.view();
        let first = snapshot.by_number.iter().min_by_key(|(number, _)| **number);
        first
            .map(|(_, view)| view.zone.clone())
            .or_else(|| Zone::named("UTC"))
            .expect("the bundled zone database has UTC")
    }
}

fn unlocks(view: &CampaignView, pack: &Pack, unit: &Unit) -> bool {
    let definition = &view.campaign.packs[usize::from(pack.pack)];
    definition.unlocks(&definition.vouchers[unit.kind_index], |other| pack.unit(other) == UnitState::Used)
}

fn etag_of(vouchers: &[WalletVoucher]) -> String {
    let mut hash = Sha256::new();
    for voucher in vouchers {
        for part in
            [&voucher.voucher_id, voucher.state.as_str(), &voucher.available_begin_time, &voucher.available_end_time]
        {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
    }
    hex::encode(&hash.finalize()[..12])
}
