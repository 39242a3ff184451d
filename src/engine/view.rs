//! What a node knows of the configuration: every campaign parsed once, with what each hot decision needs at hand.

use std::collections::HashMap;
use std::sync::Arc;

use super::issuance::judge::ClaimWindow;
use super::validity::Windows;
use crate::domain::campaign::{Campaign, Eligibility, LostAt, Mode, Reservation, Round, Unit};
use crate::domain::draw::{Cutoff, Entry, Inputs, Score, Seed};
use crate::domain::money::Fen;
use crate::domain::person::{MacKey, Pseudonym};
use crate::domain::release::ReleaseCurve;
use crate::domain::time::{Ms, Zone};
use crate::keyring::KeyRing;
use crate::store::campaign::{CampaignRecord, ListState, RoundRecord, Scope, State};
use crate::store::config::Kind;
use crate::store::{Store, StoreError};

/// All campaigns at one revision of the configuration.
#[derive(Default)]
pub struct Snapshot {
    pub revision: u64,
    pub by_id: HashMap<String, Arc<CampaignView>>,
    pub by_number: HashMap<u16, Arc<CampaignView>>,
}

impl Snapshot {
    pub async fn load(store: &Store, keys: &KeyRing) -> Result<Snapshot, StoreError> {
        let revision = store.config_revision().await?;
        let mut snapshot = Snapshot { revision, ..Snapshot::default() };
        for (campaign_id, record) in store.records::<CampaignRecord>(Kind::Campaign).await? {
            let view = Arc::new(CampaignView::new(&campaign_id, record, keys)?);
            snapshot.by_number.insert(view.number, view.clone());
            snapshot.by_id.insert(campaign_id, view);
        }
        Ok(snapshot)
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
    pub(super) windows: Windows,
    pub pseudonym_key: MacKey,
}

impl CampaignView {
    fn new(id: &str, record: CampaignRecord, keys: &KeyRing) -> Result<CampaignView, StoreError> {
        let broken = |_| StoreError::Broken(format!("campaign {id}: its file no longer parses"));
        let parsed = crate::domain::campaign::parse(record.file.as_bytes()).map_err(broken)?;
        let campaign = parsed.campaign;
        let zone = campaign.zone();
        let rounds =
            (0..campaign.rounds.len()).map(|index| RoundView::new(id, &campaign, &record, index, keys)).collect();
        let units: Vec<Vec<Unit>> = campaign.packs.iter().map(|pack| pack.units()).collect();
        let windows = Windows::new(&campaign, &units);
        let pseudonym_key = keys.campaign(id);
        Ok(CampaignView {
            id: id.to_owned(),
            number: record.number,
            rev: record.rev,
            rounds,
            units,
            zone,
            windows,
            campaign,
            pseudonym_key,
            record,
        })
    }

    pub fn is_published(&self) -> bool {
        self.record.state == State::Published
    }

    pub fn is_paused(&self, scope: Scope) -> bool {
        self.record.paused.contains(&scope)
    }

    pub fn round(&self, round_id: &str) -> Option<&RoundView> {
        self.rounds.iter().find(|round| round.round.round_id == round_id)
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
    pub round: Round,
    pub record: RoundRecord,
    /// `None` for a walk-in round.
    pub reservation: Option<Reservation>,
    pub eligibility: Option<Eligibility>,
    pub draw: Option<DrawView>,
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
        let release = ReleaseCurve::new(round.release.as_ref(), round.opens_at.unwrap_or_default());
        let windows = ClaimWindow::of(&round, &campaign.zone());
        RoundView { index: index as u8, round, record: state, reservation, eligibility, draw, release, windows }
    }

    /// When the list closes: as the round says, else when reservation ends.
    pub fn list_closes_at(&self) -> Option<Ms> {
        let reservation_ends = self.reservation.as_ref().map(|reservation| reservation.closes_at);
        self.round.draw.as_ref().and_then(|draw| draw.close_list_at).or(reservation_ends)
    }

    pub fn list_is_open(&self) -> bool {
        matches!(self.record.list, ListState::Open)
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

    /// When what was decided, or what is in stock, comes out.
    pub fn release(&self) -> &ReleaseCurve {
        &self.release
    }
}

/// What a drawn round tells about anybody: seed and cutoffs. It lives in the node's memory only.
#[derive(Clone)]
pub struct DrawView {
    pub seed: Seed,
    pub groups: Vec<Group>,
}

/// Winners of one supply.
#[derive(Clone, Copy)]
pub struct Group {
    pub channel: Option<u8>,
    pub pack: u8,
    pub cutoff: Cutoff,
    pub winners: u64,
}

/// A resident's place in a drawn round.
#[derive(Clone, Copy)]
pub struct Place {
    pub score: Score,
    pub group: Group,
    pub won: bool,
}

impl Place {
    /// The instant from which the release has let this winner's score out.
    pub fn revealed_at(&self, release: &ReleaseCurve) -> Ms {
        release.reached_at(self.group.cutoff.score.high(), self.score.high())
    }
}

impl DrawView {
    fn new(
        campaign_id: &str,
        round: &Round,
        record: &CampaignRecord,
        state: &RoundRecord,
        keys: &KeyRing,
    ) -> Option<DrawView> {
        let (ListState::Closed(list), Some(draw)) = (&state.list, &state.draw) else { return None };
        let seed = seed(campaign_id, &round.round_id, record, &list.root, list.count, keys)?;
        let groups = draw.cutoffs.iter().filter_map(|cutoff| {
            Some(Group {
                channel: cutoff.channel,
                pack: cutoff.pack,
                cutoff: Cutoff {
                    score: Score(hash_of(&cutoff.score)?),
                    pseudonym: Pseudonym(hash_of(&cutoff.pseudonym)?),
                },
                winners: cutoff.winners,
            })
        });
        Some(DrawView { seed, groups: groups.collect() })
    }

    /// Where an entry stands; `None` when its group drew no winners at all.
    pub fn place(&self, entry: &Entry, channel: u8) -> Option<Place> {
        let group = *self.groups.iter().find(|group| group.channel.is_none_or(|own| own == channel))?;
        let score = self.seed.score(entry);
        Some(Place { score, group, won: group.cutoff.admits(score, entry.pseudonym) })
    }
}

/// The seed of a round from its published commitment and the operator's secret.
pub fn seed(
    campaign_id: &str,
    round_id: &str,
    record: &CampaignRecord,
    root: &str,
    count: u64,
    keys: &KeyRing,
) -> Option<Seed> {
    Some(Seed::of(&Inputs {
        campaign_id,
        round_id,
        rules_hash: hash_of(&record.rules_hash)?,
        root: hash_of(root)?,
        count,
        entropy: &[],
        secret: keys.draw_secret(campaign_id, round_id),
    }))
}

pub fn hash_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).ok()?;
    Some(bytes)
}
