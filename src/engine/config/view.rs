//! What a node knows of the configuration: every campaign parsed once, with what each hot decision needs at hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use crate::domain::campaign::schema::LocationAt;
use crate::domain::campaign::{Campaign, Duplicates, Eligibility, LostAt, Mode, Reservation, Round, Unit};
use crate::domain::deal::Deal;
use crate::domain::limit::needs_contacts;
use crate::domain::money::Fen;
use crate::domain::person::MacKey;
use crate::domain::pool::CellSupply;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::ReleaseCurve;
use crate::domain::time::{Ms, Zone};
use crate::engine::area;
use crate::engine::claim::judge::ClaimWindow;
use crate::engine::draw::result as drawn;
use crate::engine::draw::result::Group;
pub use crate::engine::draw::result::{DrawView, Place};
use crate::engine::pack::plans::Plans;
use crate::engine::pack::validity::Windows;
use crate::keyring::KeyRing;
use crate::store::campaign::{CampaignRecord, ListState, RoundRecord, Scope, State};
use crate::store::config::Kind;
use crate::store::script::Shared;
use crate::store::{Store, StoreError};

/// All campaigns at one revision of the configuration.
#[derive(Default)]
pub struct Snapshot {
    pub revision: u64,
    pub by_id: HashMap<String, Arc<CampaignView>>,
    pub by_number: HashMap<u16, Arc<CampaignView>>,
    /// Versions of the records in `by_id`: what has not changed since is not read again.
    versions: HashMap<String, u64>,
    /// Campaigns whose records this binary cannot read, with the reason: nothing is done in them until it can.
    pub unreadable: BTreeMap<String, Unreadable>,
}

/// A campaign whose record cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    pub reason: String,
    head: Option<Head>,
}

/// What a record says of its place even where the rest of it cannot be read.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::engine) struct Head {
    number: u16,
    pub(in crate::engine) program: String,
    published_at: Option<Ms>,
}

impl Head {
    fn of(record: &CampaignRecord) -> Head {
        Head { number: record.number, program: record.program.clone(), published_at: record.published_at }
    }

    pub(in crate::engine) fn is_published(&self) -> bool {
        self.published_at.is_some()
    }
}

impl Unreadable {
    /// What the record still says of its place, else what this node had read of it before: neither number nor program ever changes.
    async fn read(store: &Store, campaign_id: &str, error: &StoreError, earlier: &Snapshot) -> Unreadable {
        let stored = store.record::<Head>(Kind::Campaign, campaign_id).await.ok().flatten().map(|held| held.value);
        let read_before = || earlier.by_id.get(campaign_id).map(|view| Head::of(&view.record));
        let known_before = || earlier.unreadable.get(campaign_id).and_then(|unreadable| unreadable.head.clone());
        Unreadable { reason: error.to_string(), head: stored.or_else(read_before).or_else(known_before) }
    }

    /// Whether it is known to be this program's, who alone may hear of it.
    pub fn is_of(&self, program: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.program == program)
    }

    /// Whether it is known to be published, so that everybody may hear of it.
    pub fn is_published(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.published_at.is_some())
    }

    /// Whether it may have effects: only one that is known to be a draft has none.
    pub fn may_be_published(&self) -> bool {
        self.head.as_ref().is_none_or(|head| head.published_at.is_some())
    }

    /// Whether its effects may be in this program's books.
    pub fn may_count_for(&self, program: &str) -> bool {
        self.may_be_published() && self.head.as_ref().is_none_or(|head| head.program == program)
    }
}

impl Snapshot {
    /// Reads what has changed since an earlier snapshot: a change of one campaign costs the reading of one.
    pub async fn load(store: &Store, keys: &KeyRing, earlier: &Snapshot) -> Result<Snapshot, StoreError> {
        let revision = store.config_revision().await?;
        let mut snapshot = Snapshot { revision, ..Snapshot::default() };
        let mut changed = Vec::new();
        // The versions are read first: a record that changes in between is read again with the next revision.
        let versions: HashMap<String, u64> = store.record_versions(Kind::Campaign).await?.into_iter().collect();
        for (campaign_id, version) in &versions {
            let known = earlier.by_id.get(campaign_id);
            match known.filter(|_| earlier.versions.get(campaign_id) == Some(version)) {
                Some(view) => snapshot.put(campaign_id, *version, view.clone()),
                None => changed.push(campaign_id.clone()),
            }
        }
        for (campaign_id, record) in store.records_named::<CampaignRecord>(Kind::Campaign, &changed).await? {
            match record.and_then(|record| CampaignView::new(&campaign_id, record, keys)) {
                Ok(view) => snapshot.put(&campaign_id, versions[&campaign_id], Arc::new(view)),
                Err(error) => {
                    tracing::error!(campaign.id = campaign_id, %error, "a campaign's record cannot be read");
                    let unreadable = Unreadable::read(store, &campaign_id, &error, earlier).await;
                    snapshot.unreadable.insert(campaign_id, unreadable);
                }
            }
        }
        Ok(snapshot)
    }

    fn put(&mut self, campaign_id: &str, version: u64, view: Arc<CampaignView>) {
        self.by_number.insert(view.number, view.clone());
        self.by_id.insert(campaign_id.to_owned(), view);
        self.versions.insert(campaign_id.to_owned(), version);
    }

    /// The campaign of something that was issued. One that cannot be read stops what needs it before any effect.
    pub fn numbered(&self, number: u16) -> Result<&Arc<CampaignView>, StoreError> {
        self.by_number.get(&number).ok_or_else(|| match self.unreadable.is_empty() {
            true => StoreError::Broken(format!("campaign {number} is gone")),
            false => StoreError::Unavailable(format!("the record of campaign {number} cannot be read")),
        })
    }

    /// Whether a campaign is known to be one whose record cannot be read; another may only be new.
    pub fn is_unreadable(&self, number: u16) -> bool {
        self.unreadable.values().filter_map(|one| one.head.as_ref()).any(|head| head.number == number)
    }
}

/// A campaign as a node uses it.
pub struct CampaignView {
    pub id: String,
    pub number: u16,
    pub rev: u64,
    pub record: CampaignRecord,
    pub campaign: Campaign,
    pub zone: Zone,
    pub rounds: Vec<RoundView>,
    /// Units of each pack, in file order.
    pub units: Vec<Vec<Unit>>,
    /// Whether any of its vouchers asks for serial numbers that are used once.
    pub unique_serials: bool,
    /// The areas in which its vouchers may be used, each once.
    pub(in crate::engine) areas_of_use: Vec<String>,
    /// Whether limits at the till count phones, devices or accounts.
    pub counts_contacts: bool,
    pub(in crate::engine) windows: Windows,
    pub(in crate::engine) plans: Plans,
    pub pseudonym_key: MacKey,
}

impl CampaignView {
    pub(in crate::engine) fn new(id: &str, record: CampaignRecord, keys: &KeyRing) -> Result<CampaignView, StoreError> {
        let broken = |_| StoreError::Broken(format!("campaign {id}: its file no longer parses"));
        let parsed = crate::domain::campaign::parse(record.file.as_bytes()).map_err(broken)?;
        let campaign = parsed.campaign;
        let zone = campaign.zone();
        let rounds =
            (0..campaign.rounds.len()).map(|index| RoundView::new(id, &campaign, &record, index, keys)).collect();
        let units: Vec<Vec<Unit>> = campaign.packs.iter().map(|pack| pack.units()).collect();
        let kinds = || campaign.packs.iter().flat_map(|pack| &pack.vouchers);
        let unique_serials = kinds().any(|kind| kind.has_unique_serial());
        let counts_contacts = needs_contacts(&campaign);
        let areas_of_use = area::of_use(&campaign).into_iter().map(str::to_owned).collect();
        let windows = Windows::new(&campaign, &units);
        let pseudonym_key = keys.campaign(id);
        Ok(CampaignView {
            id: id.to_owned(),
            number: record.number,
            rev: record.rev,
            rounds,
            units,
            unique_serials,
            areas_of_use,
            counts_contacts,
            zone,
            windows,
            plans: Plans::default(),
            campaign,
            pseudonym_key,
            record,
        })
    }

    pub fn is_published(&self) -> bool {
        self.record.state == State::Published
    }

    /// Whether anybody can have a pack of it: a drawn round issues none before its draw.
    pub fn may_have_issued(&self) -> bool {
        self.rounds
            .iter()
            .any(|round| round.draw.is_some() || matches!(round.round.mode, Mode::FirstCome | Mode::Grant))
    }

    pub fn is_paused(&self, scope: Scope) -> bool {
        self.record.paused.contains(&scope)
    }

    pub fn round(&self, round_id: &str) -> Option<&RoundView> {
        self.rounds.iter().find(|round| round.round.round_id == round_id)
    }

    /// The round that a caller names, or which ones there are.
    pub fn named_round(&self, round_id: &str) -> Result<&RoundView, Refusal> {
        self.round(round_id).ok_or_else(|| {
            let rounds: Vec<&str> = self.rounds.iter().map(|round| round.round.round_id.as_str()).collect();
            let (zh, en) = (rounds.join("、"), rounds.join(", "));
            Refusal::new(Code::RoundNotFound).with("round_id", round_id).with("rounds", rounds).detail(
                format!("活动“{}”没有场次“{round_id}”，现有：{zh}。", self.id),
                format!("The campaign \"{}\" has no round \"{round_id}\"; it has: {en}.", self.id),
            )
        })
    }

    pub fn channel(&self, name: &str) -> Option<u8> {
        self.campaign.channels.iter().position(|channel| channel == name).map(|index| index as u8)
    }

    pub fn channel_name(&self, channel: u8) -> &str {
        self.campaign.channels.get(usize::from(channel)).map(String::as_str).unwrap_or_default()
    }

    pub fn pack_id(&self, pack: u8) -> &str {
        self.campaign.packs.get(usize::from(pack)).map(|pack| pack.pack_id.as_str()).unwrap_or_default()
    }

    pub fn pack_value(&self, pack: u8) -> Fen {
        self.units
            .get(usize::from(pack))
            .map(|units| units.iter().map(|unit| unit.discount_amount).sum())
            .unwrap_or_default()
    }
}

/// A round with its effective rules, and its draw once it was held.
pub struct RoundView {
    pub index: u8,
    /// What reservations of the round say to the store, once one was made.
    pub(in crate::engine) terms: OnceLock<Arc<Shared>>,
    pub round: Round,
    pub record: RoundRecord,
    /// `None` for a walk-in round.
    pub reservation: Option<Reservation>,
    pub eligibility: Option<Eligibility>,
    pub draw: Option<DrawView>,
    /// What `chance` goes by where nothing is drawn.
    pub deal: Option<Deal>,
    /// Of a grant by chance: the last name of each pack, once they were dealt.
    pub(in crate::engine) dealt: Vec<Group>,
    /// Positions of the packs that the round gives, also before they are counted.
    pub(in crate::engine) packs: Vec<u8>,
    pub(in crate::engine) cells: Vec<CellSupply>,
    /// A person may win more packs than one may keep: a place under the cutoff is not yet a win.
    pub capped: bool,
    release: ReleaseCurve,
    /// Claim windows with their texts; none when winners are credited without a tap.
    pub windows: Vec<ClaimWindow>,
}

impl RoundView {
    fn new(campaign_id: &str, campaign: &Campaign, record: &CampaignRecord, index: usize, keys: &KeyRing) -> RoundView {
        let round = campaign.rounds[index].clone();
        // A grant goes by its list, whatever the campaign says about reservation.
        let reservation = campaign.reservation_of(&round).filter(|_| round.mode != Mode::Grant).cloned();
        let eligibility = campaign.eligibility_of(&round).cloned();
        let state = record.rounds.get(index).cloned().unwrap_or_default();
        let draw = DrawView::new(campaign_id, &round, record, &state, keys);
        let deal = drawn::deal(campaign_id, &round, record, keys);
        let dealt = state.grant.iter().flat_map(|grant| &grant.dealt).filter_map(Group::of).collect();
        let release = ReleaseCurve::new(round.release.as_ref(), round.opens_at.unwrap_or_default());
        let windows = ClaimWindow::of(&round, &campaign.zone());
        let cells = drawn::cells(campaign, &round, &state);
        let position = |pack_id| campaign.pack(pack_id).map(|(index, _)| index as u8);
        let packs = round.supply.pack_ids().filter_map(position).collect();
        let capped = drawn::may_win_too_many(campaign, &round, reservation.as_ref());
        RoundView {
            index: index as u8,
            terms: OnceLock::new(),
            round,
            record: state,
            reservation,
            eligibility,
            draw,
            deal,
            dealt,
            packs,
            cells,
            capped,
            release,
            windows,
        }
    }

    /// What the round gives, by channel and pack.
    pub fn cells(&self) -> &[CellSupply] {
        &self.cells
    }

    /// When the list closes: as the round says, else when reservation ends.
    pub fn list_closes_at(&self) -> Option<Ms> {
        let reservation_ends = self.reservation.as_ref().map(|reservation| reservation.closes_at);
        self.round.draw.as_ref().and_then(|draw| draw.close_list_at).or(reservation_ends)
    }

    pub fn list_is_open(&self) -> bool {
        matches!(self.record.list, ListState::Open)
    }

    /// Whether a phone, device or account on the list refuses everybody else at once. Otherwise the closing list settles who is earliest,
    /// which a round without a draw does not wait for.
    pub fn keys_are_indexed(&self) -> bool {
        let drawn = matches!(self.round.mode, Mode::Ballot | Mode::Rain);
        self.reservation.as_ref().is_some_and(|terms| {
            terms.more_keys().next().is_some() && (terms.duplicates == Duplicates::Reject || !drawn)
        })
    }

    /// After this instant nothing can be claimed: the claim window's end, or the crediting of a ballot without one.
    pub fn last_close(&self) -> Ms {
        let last_wave = self.round.waves.last().map(|wave| wave.closes_at);
        last_wave.or(self.round.closes_at).or(self.round.credit_at).unwrap_or(Ms::MAX)
    }

    /// Whether a decided loser is told at the first tap.
    pub fn tells_losers_at_once(&self) -> bool {
        self.round.lost_at == LostAt::FirstTap
    }

    /// Whether a tap has to say where it comes from. A round without a list asks when it gives the pass.
    pub fn asks_place(&self) -> bool {
        let rule = self.eligibility.as_ref().and_then(|rules| rules.location.as_ref());
        let listed = self.reservation.is_some() || self.round.mode == Mode::Grant;
        listed && rule.is_some_and(|rule| rule.at.contains(&LocationAt::Claim))
    }

    /// When what was decided, or what is in stock, comes out.
    pub fn release(&self) -> &ReleaseCurve {
        &self.release
    }
}
