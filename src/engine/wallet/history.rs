//! What happened to a resident's vouchers: lines of the shard's ledger. The person's history says where their own calls stand, so a page costs
//! as much as it tells. Calls that are older than the index of histories have no place in it: up to its beginning the ledger is folded, from the
//! person's first pack on, and a node remembers what it found.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::money::Fen;
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::domain::voucher::VoucherRef;
use crate::engine::Engine;
use crate::engine::config::recent::Recent;
use crate::engine::config::view::CampaignView;
use crate::engine::ledger::posted::Posted;
use crate::engine::resident::Resident;
use crate::store::StoreError;
use crate::store::history::{Places, Whose};
use crate::store::ledger::{Item, LedgerEntry, LedgerReader, Line};

/// Residents of one generation, of which two are kept.
const MOST: usize = 4_096;

/// Events of a page, which ends with a call: those of one call stand together.
const PAGE: usize = 100;

/// What happened to one of the resident's vouchers.
#[derive(Clone, Debug, PartialEq)]
pub struct WalletTransaction {
    pub kind: &'static str,
    /// Of a redemption and of what goes back on it.
    pub transaction_id: Option<String>,
    pub voucher_id: String,
    pub campaign_id: String,
    pub discount_amount: Fen,
    pub at: String,
}

#[derive(Clone, Debug)]
pub struct WalletTransactionPage {
    pub items: Vec<WalletTransaction>,
    pub next_cursor: Option<String>,
}

/// By root pseudonym.
pub type Histories = Recent<[u8; 32], Arc<Older>, MOST>;

/// What was folded for one resident.
pub struct Older {
    /// The campaigns that were known: lines of another one would have been passed over.
    campaigns: Vec<u16>,
    /// Up to where, not included.
    end: u64,
    events: Vec<Event>,
}

#[derive(Clone)]
struct Event {
    /// Id of the ledger's entry: the call.
    call: u64,
    kind: &'static str,
    voucher: VoucherRef,
    discount: i64,
    transaction_id: Option<String>,
    at: Ms,
}

/// A resident in the campaigns that count: fields of the records by number.
struct Own<'a> {
    resident: &'a Resident,
    views: HashMap<u16, &'a Arc<CampaignView>>,
    fields: HashMap<u16, [u8; 9]>,
}

impl Engine {
    /// What happened to the person's vouchers, newest last, from behind the call that the cursor names.
    pub async fn wallet_transactions(
        &self,
        resident: &Resident,
        cursor: Option<&str>,
    ) -> Result<WalletTransactionPage, Refusal> {
        let behind = cursor.map_or(Some(0), |text| text.parse().ok()).ok_or_else(Refusal::invalid_cursor)?;
        let snapshot = self.view();
        let published = snapshot.by_number.values().filter(|view| view.is_published());
        let views: HashMap<u16, &Arc<CampaignView>> = published.map(|view| (view.number, view)).collect();
        let field = |view: &Arc<CampaignView>| resident.root.in_campaign(&view.pseudonym_key).field();
        let fields = views.iter().map(|(number, view)| (*number, field(view))).collect();
        let own = Own { resident, views, fields };
        let Some(first_pack_at) = self.first_pack_at(resident).await? else {
            return Ok(WalletTransactionPage { items: Vec::new(), next_cursor: None });
        };
        let places = self.store.places(resident.shard, &own.whose()).await?;
        let (events, next) = self.events(&own, behind, first_pack_at, places).await?;
        let items = events.into_iter().filter_map(|event| self.told(&own, event)).collect();
        Ok(WalletTransactionPage { items, next_cursor: next.map(|call| call.to_string()) })
    }

    fn told(&self, own: &Own<'_>, event: Event) -> Option<WalletTransaction> {
        let view = own.views.get(&event.voucher.c)?;
        Some(WalletTransaction {
            kind: event.kind,
            transaction_id: event.transaction_id,
            voucher_id: self.keys.voucher.id(&event.voucher),
            campaign_id: view.id.clone(),
            discount_amount: Fen(event.discount),
            at: view.zone.rfc3339(event.at),
        })
    }

    /// The events of a page, and the call behind which the next one begins.
    async fn events(
        &self,
        own: &Own<'_>,
        behind: u64,
        first_pack_at: Ms,
        places: Places,
    ) -> Result<(Vec<Event>, Option<u64>), Refusal> {
        let mut events = Vec::new();
        if behind + 1 < places.begin && places.begin > 1 {
            let older = self.older(own, first_pack_at, places.begin).await?;
            events.extend(older.events.iter().filter(|event| event.call > behind).cloned());
        }
        let known: Vec<u64> = places.known.into_iter().filter(|call| *call > behind).collect();
        let (wanted, later) = known.split_at(known.len().min(PAGE.saturating_sub(events.len())));
        if !wanted.is_empty() {
            let mut reader = LedgerReader::for_a_person(&self.store, own.resident.shard).await?;
            let found = reader.entries(wanted).await?;
            events.extend(found.into_iter().filter_map(|entry| own.event(&entry)));
        }
        let last = events.get(PAGE - 1).map(|event| event.call);
        let end = last.map_or(events.len(), |last| events.partition_point(|event| event.call <= last));
        let next = match last {
            Some(last) => (end < events.len() || !later.is_empty()).then_some(last),
            // Lines that are gone from the ledger leave a page short and do not end the list.
            None => wanted.last().copied().filter(|_| !later.is_empty()),
        };
        events.truncate(end);
        Ok((events, next))
    }

    /// What happened before the index of histories began.
    async fn older(&self, own: &Own<'_>, first_pack_at: Ms, end: u64) -> Result<Arc<Older>, Refusal> {
        let mut campaigns: Vec<u16> = own.views.keys().copied().collect();
        campaigns.sort_unstable();
        let root = own.resident.root.0;
        let fits = |older: &Arc<Older>| older.campaigns == campaigns && older.end == end;
        if let Some(older) = self.histories.get(&root).filter(fits) {
            return Ok(older);
        }
        let mut reader = LedgerReader::for_a_person(&self.store, own.resident.shard).await?;
        reader.seek(first_pack_at).await?;
        let mut events = Vec::new();
        let each = |item: Item| {
            let Item::Entry(entry) = item else { return };
            events.extend(own.event(&entry));
        };
        let read = reader.each(end - 1, each).await;
        read.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let older = Arc::new(Older { campaigns, end, events });
        // Where no index has begun there is always more to come.
        if end < u64::MAX {
            self.histories.put(root, older.clone());
        }
        Ok(older)
    }

    /// When the first pack came that the person has; `None` when there is none, and so nothing can have happened.
    async fn first_pack_at(&self, resident: &Resident) -> Result<Option<Ms>, Refusal> {
        let (_, records) = self.records_of(resident, None).await?;
        Ok(records.iter().flat_map(|(_, record)| &record.packs).map(|pack| pack.at * 1_000).min())
    }
}

impl Own<'_> {
    fn whose(&self) -> Vec<Whose> {
        let whose = self.views.values().map(|view| {
            let pseudonym = self.resident.root.in_campaign(&view.pseudonym_key);
            let bucket = pseudonym.bucket(view.record.buckets);
            Whose { campaign: view.number, bucket, field: pseudonym.field() }
        });
        whose.collect()
    }

    /// What a line of the ledger says of the person's own vouchers.
    fn event(&self, entry: &LedgerEntry) -> Option<Event> {
        let (c, f) = entry.line.moves_voucher_of()?;
        if self.fields.get(&c) != Some(&f.0) {
            return None;
        }
        let shard = self.resident.shard;
        let event = |kind, voucher, discount, transaction_id| {
            Some(Event { call: entry.first_seq, kind, voucher, discount, transaction_id, at: entry.at })
        };
        let voucher = |p: u8, u: u8| VoucherRef { c, shard, f: f.0, p, u };
        match &entry.line {
            Line::Held { p, u, discount, .. } => event("hold", voucher(*p, *u), *discount, None),
            // A hold ends when it runs out, whenever somebody comes to write that down.
            Line::Released { p, u, discount, ran_out, .. } => {
                let at = if *ran_out > 0 { *ran_out } else { entry.at };
                event("release", voucher(*p, *u), *discount, None).map(|event| Event { at, ..event })
            }
            line => {
                let posted = Posted::of(line)?;
                event(posted.kind.word(), posted.voucher(shard), posted.subsidy.0.abs(), posted.transaction_id())
            }
        }
    }
}
