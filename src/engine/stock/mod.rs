//! Stock of first-come rounds. A round's pool leases released packs to the shards, which issue them; what a shard does not need goes
//! back when another one wants it, so that the last pack goes to whoever comes first. Sold out is known exactly, and then answered
//! from memory.

mod holders;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::try_join_all;

use crate::domain::person::Pseudonym;
use crate::domain::pool::CellSupply;
use crate::domain::time::Ms;
use crate::engine::claim::Issued;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member};
use crate::store::{Reply, StoreError, int, text};
pub use holders::Holders;
use holders::mark;

/// Packs in one lease at most, while there are several shards.
const MOST_LEASED: i64 = 1_000;
/// A tap asks again this often when others were faster with what had been leased.
const TRIES: usize = 4;
/// Shards that are asked together for what they do not need.
const ASKED_TOGETHER: usize = 8;
/// Persons that a node remembers to have told that nothing is out; the others ask the store again.
const MOST_TOLD: usize = 1_000_000;
/// Cells that a node remembers; more are learned again.
const MOST_CELLS: usize = 20_000;

/// One supply of a round: of a channel, or of all (255), and of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CellId {
    pub campaign: u16,
    pub round: u8,
    pub supply: u8,
    pub pack: u8,
}

/// What a would-be winner of a first-come round met.
pub(super) enum Taken {
    Pack(Issued),
    /// Nothing is out before this instant; `None` when that is not known.
    NotYet(Option<Ms>),
    SoldOut,
}

/// What this node has learned about the stock of all rounds.
#[derive(Default)]
pub struct Stocks(RwLock<HashMap<CellId, Arc<Cell>>>);

/// What this node has learned about one cell at one revision of its campaign.
pub struct Cell {
    rev: u64,
    sold_out: AtomicBool,
    /// No shard has anything before this instant, and these were told so.
    dry: RwLock<(Ms, HashSet<u64>)>,
    /// Who has packs of it, once nobody else will get any.
    holders: RwLock<Option<Arc<Holders>>>,
    wanted: AtomicBool,
    /// One for each shard.
    flights: Box<[Flight]>,
}

/// Of all taps that find a shard empty, one asks the pool for all.
#[derive(Default)]
struct Flight {
    landed: AtomicU64,
    outcome: tokio::sync::Mutex<Restock>,
}

#[derive(Clone, Copy, Default)]
enum Restock {
    #[default]
    Leased,
    NotYet(Option<Ms>),
    SoldOut,
}

impl Stocks {
    /// What is known of a cell; another revision of the campaign begins afresh, for packs may have been added.
    pub fn cell(&self, id: CellId, rev: u64, shards: u8) -> Arc<Cell> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(cell) = known.filter(|cell| cell.rev >= rev) {
            return cell;
        }
        let mut cells = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= MOST_CELLS {
            cells.clear();
        }
        let cell = cells.entry(id).or_insert_with(|| Arc::new(Cell::new(rev, shards)));
        if cell.rev < rev {
            *cell = Arc::new(Cell::new(rev, shards));
        }
        cell.clone()
    }

    fn all(&self) -> Vec<(CellId, Arc<Cell>)> {
        let cells = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cells.iter().map(|(id, cell)| (*id, cell.clone())).collect()
    }

    fn forget(&self, id: &CellId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Cell {
    fn new(rev: u64, shards: u8) -> Cell {
        Cell {
            rev,
            sold_out: AtomicBool::new(false),
            dry: RwLock::new((Ms::MIN, HashSet::new())),
            holders: RwLock::default(),
            wanted: AtomicBool::new(false),
            flights: (0..shards).map(|_| Flight::default()).collect(),
        }
    }

    pub fn is_sold_out(&self) -> bool {
        self.sold_out.load(Ordering::Acquire)
    }

    /// Until when somebody who was told before that nothing is out can be told so again: with no stock anywhere, nobody has won since.
    pub fn dry_for(&self, pseudonym: &Pseudonym, channel: u8, pack: u8, now: Ms) -> Option<Ms> {
        let dry = self.dry.read().unwrap_or_else(PoisonError::into_inner);
        (now < dry.0 && dry.1.contains(&mark(pseudonym, channel, pack))).then_some(dry.0)
    }

    /// Remembers who was told that nothing is out before an instant.
    fn tell_dry(&self, until: Ms, pseudonym: &Pseudonym, channel: u8, pack: u8) {
        let mut dry = self.dry.write().unwrap_or_else(PoisonError::into_inner);
        if dry.0 != until {
            *dry = (until, HashSet::new());
        }
        if dry.1.len() < MOST_TOLD {
            dry.1.insert(mark(pseudonym, channel, pack));
        }
    }
}

/// The supply that a person of this channel takes from, and how many packs are in it; `None` until they are counted.
pub fn supply_of(view: &CampaignView, round: &RoundView, channel: u8, pack: u8) -> Option<(u8, u64)> {
    if view.awaits_supply(round) {
        return None;
    }
    let own = |cell: &&CellSupply| cell.pack == pack && cell.channel.is_none_or(|own| own == channel);
    let cell = round.cells().iter().find(own);
    Some(cell.map_or((channel, 0), |cell| (cell.channel.unwrap_or(NO_CHOICE), cell.count)))
}

impl Engine {
    /// What the node knows of the stock that a tap would take from.
    pub fn stock_cell(&self, view: &CampaignView, round: &RoundView, supply: u8, pack: u8) -> Arc<Cell> {
        let id = CellId { campaign: view.number, round: round.index, supply, pack };
        self.stocks.cell(id, view.rev, self.store.shards())
    }

    /// Takes a pack of a first-come round for a person, leasing stock to the person's shard when that has none.
    pub(super) async fn take_stock(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        channel: u8,
        pack: u8,
        supply: u8,
    ) -> Result<Taken, Failure> {
        let cell = self.stock_cell(view, round, supply, pack);
        let flight = &cell.flights[usize::from(person.shard)];
        for _ in 0..TRIES {
            let landed = flight.landed.load(Ordering::Acquire);
            let (leases, returns) = match self.issue(view, round, person, channel, pack, supply, None).await? {
                Issued::Empty { leases, returns } => (leases, returns),
                issued => return Ok(Taken::Pack(issued)),
            };
            if cell.is_sold_out() {
                return Ok(Taken::SoldOut);
            }
            let mut outcome = flight.outcome.lock().await;
            if flight.landed.load(Ordering::Acquire) == landed {
                let order = Order { view, round, supply, pack, channel };
                *outcome = self.restock(&order, &cell, person.shard, leases, returns).await?;
                flight.landed.fetch_add(1, Ordering::Release);
            }
            match *outcome {
                Restock::Leased => {}
                Restock::NotYet(at) => {
                    if let Some(at) = at {
                        cell.tell_dry(at, &person.pseudonym, channel, pack);
                    }
                    return Ok(Taken::NotYet(at));
                }
                Restock::SoldOut => return Ok(Taken::SoldOut),
            }
        }
        Ok(Taken::NotYet(None))
    }

    /// Brings a lease to a shard that has nothing, out of the pool or of what other shards do not need.
    async fn restock(
        &self,
        order: &Order<'_>,
        cell: &Cell,
        shard: u8,
        leases: i64,
        returns: i64,
    ) -> Result<Restock, Failure> {
        let Some((_, total)) = supply_of(order.view, order.round, order.channel, order.pack) else {
            return Ok(Restock::NotYet(None));
        };
        for _ in 0..=self.store.shards() {
            let now = self.now();
            let released = order.round.release().released(total, now);
            let reply = self.ask_pool(order, shard, leases, returns, released, total).await?;
            match &*reply.word {
                "lease" => {
                    let args = vec![text(order.allowance()), int(reply.int(0)), int(reply.int(1))];
                    let member = Member::new(vec![], args);
                    self.store.call(&script::STOCK_APPLY, &Slot::Shard(shard), member).await?;
                    return Ok(Restock::Leased);
                }
                "sold_out" => {
                    tracing::info!(campaign.id = order.view.id, round.id = order.round.round.round_id, "sold out");
                    cell.sold_out.store(true, Ordering::Release);
                    cell.wanted.store(true, Ordering::Release);
                    return Ok(Restock::SoldOut);
                }
                "wait" if reply.value(0).is_none() => {
                    let next = order.round.release().reached_at(total, released + 1);
                    return Ok(Restock::NotYet(Some(next)));
                }
                "wait" => self.recall(order, &Lessee::all(&reply, shard)).await?,
                // Another node knows of more packs than this one.
                _ => return Err(StoreError::Stale { campaign: order.view.number, held: order.view.rev + 1 }.into()),
            }
        }
        Ok(Restock::NotYet(None))
    }

    async fn ask_pool(
        &self,
        order: &Order<'_>,
        shard: u8,
        leases: i64,
        returns: i64,
        released: u64,
        total: u64,
    ) -> Result<Reply, StoreError> {
        let args = vec![
            text(keys::pool_cell(order.supply, order.pack)),
            int(shard),
            int(leases),
            int(returns),
            int(released as i64),
            int(total as i64),
            int(MOST_LEASED),
            int(self.store.shards()),
        ];
        self.store.call(&script::STOCK_LEASE, &order.pool(), Member::new(vec![], args)).await
    }

    /// Asks shards that may hold stock to give it back, a few at a time, until one has.
    async fn recall(&self, order: &Order<'_>, lessees: &[Lessee]) -> Result<(), StoreError> {
        for some in lessees.chunks(ASKED_TOGETHER) {
            let given = try_join_all(some.iter().map(|lessee| self.recall_from(order, lessee))).await?;
            if given.contains(&true) {
                break;
            }
        }
        Ok(())
    }

    /// Whether the shard had something to give back.
    async fn recall_from(&self, order: &Order<'_>, lessee: &Lessee) -> Result<bool, StoreError> {
        let args = vec![text(order.allowance()), int(lessee.leases), int(lessee.packs), int(lessee.returns)];
        let slot = Slot::Shard(lessee.shard);
        let given = self.store.call(&script::STOCK_RETURN, &slot, Member::new(vec![], args)).await?;
        let [leases, number, packs, left] = [0, 1, 2, 3].map(|index| given.int(index));
        let prefix = text(keys::pool_cell(order.supply, order.pack));
        let args = vec![prefix, int(lessee.shard), int(leases), int(number), int(packs), int(left)];
        self.store.call(&script::STOCK_ACCEPT, &order.pool(), Member::new(vec![], args)).await?;
        Ok(number > lessee.returns)
    }
}

/// The supply that a shard asks for.
struct Order<'a> {
    view: &'a CampaignView,
    round: &'a RoundView,
    supply: u8,
    pack: u8,
    channel: u8,
}

impl Order<'_> {
    fn allowance(&self) -> String {
        keys::winners_field(self.view.number, self.round.index, self.supply, self.pack)
    }

    fn pool(&self) -> Slot {
        Slot::Pool(self.view.number, self.round.index)
    }
}

/// A shard that may hold stock: its last lease, and the returns that the pool has.
struct Lessee {
    shard: u8,
    leases: i64,
    packs: i64,
    returns: i64,
}

impl Lessee {
    /// From a reply of the pool; those after the asking shard come first, so that not everybody asks the same one.
    fn all(reply: &Reply, asking: u8) -> Vec<Lessee> {
        let mut all: Vec<Lessee> = (0..)
            .step_by(4)
            .take_while(|first| reply.value(*first).is_some())
            .map(|first| Lessee {
                shard: reply.int(first) as u8,
                leases: reply.int(first + 1),
                packs: reply.int(first + 2),
                returns: reply.int(first + 3),
            })
            .collect();
        all.sort_unstable_by_key(|lessee| lessee.shard.wrapping_sub(asking).wrapping_sub(1));
        all
    }
}
