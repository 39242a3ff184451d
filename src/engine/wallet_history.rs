//! What happened to a resident's vouchers, as the ledger of the shard tells it. Nothing can have happened before the first pack came, and what
//! was read for somebody need not be read again: a node remembers it with its place in the ledger and goes on from there. So a
//! resident who asks a thousand times costs one walk and a thousand looks at the ledger's end.

use std::collections::HashMap;
use std::sync::Arc;

use super::Engine;
use super::recent::Recent;
use super::resident::Resident;
use super::settlement::Posted;
use super::view::CampaignView;
use crate::domain::money::Fen;
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::domain::voucher::VoucherRef;
use crate::store::StoreError;
use crate::store::ledger::{Item, LedgerReader, Line};

/// Residents of one generation, of which two are kept.
const MOST: usize = 4_096;

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

/// By root pseudonym.
pub type Histories = Recent<[u8; 32], Arc<History>, MOST>;

/// What was read for one resident.
pub struct History {
    /// The campaigns that were known: lines of another one would have been passed over.
    campaigns: Vec<u16>,
    next_seq: u64,
    events: Vec<Event>,
}

#[derive(Clone)]
struct Event {
    kind: &'static str,
    voucher: VoucherRef,
    discount: i64,
    transaction_id: Option<String>,
    at: Ms,
}

impl Engine {
    /// What happened to the person's vouchers, newest last.
    pub async fn wallet_transactions(&self, resident: &Resident) -> Result<Vec<WalletTransaction>, Refusal> {
        let snapshot = self.view();
        let published = snapshot.by_number.values().filter(|view| view.is_published());
        let views: HashMap<u16, &Arc<CampaignView>> = published.map(|view| (view.number, view)).collect();
        let history = self.history(resident, &views).await?;
        let codec = self.voucher_ids();
        let told = history.events.iter().filter_map(|event| {
            let view = views.get(&event.voucher.c)?;
            Some(WalletTransaction {
                kind: event.kind,
                transaction_id: event.transaction_id.clone(),
                voucher_id: codec.id(&event.voucher),
                campaign_id: view.id.clone(),
                discount_amount: Fen(event.discount),
                at: view.zone.rfc3339(event.at),
            })
        });
        Ok(told.collect())
    }

    async fn history(
        &self,
        resident: &Resident,
        views: &HashMap<u16, &Arc<CampaignView>>,
    ) -> Result<Arc<History>, Refusal> {
        let mut campaigns: Vec<u16> = views.keys().copied().collect();
        campaigns.sort_unstable();
        let remembered = self.histories.get(&resident.root.0).filter(|history| history.campaigns == campaigns);
        let (begin, mut events) = match &remembered {
            Some(history) => (Begin::Behind(history.next_seq), history.events.clone()),
            None => match self.first_pack_at(resident).await? {
                Some(at) => (Begin::At(at), Vec::new()),
                None => return Ok(Arc::new(History { campaigns, next_seq: 0, events: Vec::new() })),
            },
        };
        let mut reader = LedgerReader::for_a_person(&self.store, resident.shard).await?;
        match begin {
            Begin::Behind(next_seq) => reader.resume(next_seq),
            Begin::At(at) => reader.seek(at).await?,
        }
        let field = |view: &Arc<CampaignView>| resident.root.in_campaign(&view.pseudonym_key).field();
        let own: HashMap<u16, [u8; 9]> = views.iter().map(|(number, view)| (*number, field(view))).collect();
        let each = |item: Item| {
            let Item::Entry(entry) = item else { return };
            let event = event(&entry.line, entry.at, resident.shard);
            events.extend(event.filter(|event| own.get(&event.voucher.c) == Some(&event.voucher.f)));
        };
        let read = reader.each(u64::MAX, each).await;
        read.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let history = Arc::new(History { campaigns, next_seq: reader.next_seq(), events });
        self.histories.put(resident.root.0, history.clone());
        Ok(history)
    }

    /// When the first pack came that the person has; `None` when there is none, and so nothing can have happened.
    async fn first_pack_at(&self, resident: &Resident) -> Result<Option<Ms>, Refusal> {
        let (_, records) = self.records_of(resident, None).await?;
        Ok(records.iter().flat_map(|(_, record)| &record.packs).map(|pack| pack.at * 1_000).min())
    }
}

/// Where a reader begins.
enum Begin {
    Behind(u64),
    At(Ms),
}

fn event(line: &Line, at: Ms, shard: u8) -> Option<Event> {
    let event = |kind, (c, f, p, u), discount, transaction_id| {
        Some(Event { kind, voucher: VoucherRef { c, shard, f, p, u }, discount, transaction_id, at })
    };
    match line {
        Line::Held { c, f, p, u, discount, .. } => event("hold", (*c, f.0, *p, *u), *discount, None),
        Line::Released { c, f, p, u, discount, .. } => event("release", (*c, f.0, *p, *u), *discount, None),
        _ => {
            let posted = Posted::of(line)?;
            let place = (posted.c, posted.f.0, posted.p, posted.u);
            event(posted.kind.word(), place, posted.subsidy.0.abs(), posted.transaction_id())
        }
    }
}
