//! What a drawn round tells about anybody, from its published cutoffs and the seed: where an entry stands, what a person has won. The
//! cells of a round's supply, and the contests in which they are drawn, are here too.

use super::entropy;
use crate::domain::campaign::schema::{Assignment, Mode, OnePer};
use crate::domain::campaign::{Campaign, Reservation, Round};
use crate::domain::deal::Deal;
use crate::domain::draw::{Cutoff, Entry, Inputs, Score, Seed};
use crate::domain::person::Pseudonym;
use crate::domain::pool::CellSupply;
use crate::domain::ranking::Rule;
use crate::domain::release::ReleaseCurve;
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::keyring::KeyRing;
use crate::store::campaign::{CampaignRecord, CutoffRecord, ListState, RoundRecord};
use crate::store::record::{Entry as RecordEntry, Mark};

/// Entries that compete for the same packs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    pub channel: Option<u8>,
    /// What the winners get; 255 when chance gives them one of `packs`.
    pub pack: u8,
    /// (pack, count), in the order of the campaign's packs.
    pub packs: Vec<(u8, u64)>,
}

impl Contest {
    pub fn supply(&self) -> u64 {
        self.packs.iter().map(|(_, count)| count).sum()
    }

    /// Whether an entry of this channel and choice is in this contest.
    pub fn takes(&self, channel: u8, choice: u8) -> bool {
        self.channel.is_none_or(|own| own == channel) && (choice == NO_CHOICE || self.pack == choice)
    }
}

/// The cells of a round: as fixed at the draw or opening, else as the file says. They are ordered by pack, then channel.
pub(in crate::engine) fn cells(campaign: &Campaign, round: &Round, record: &RoundRecord) -> Vec<CellSupply> {
    let in_file = || if campaign.counts_late(round) { Vec::new() } else { campaign.file_cells(round) };
    let mut cells = record.supply.clone().unwrap_or_else(in_file);
    cells.sort_by_key(|cell| (cell.pack, cell.channel));
    cells
}

/// Whether a person's entries may win more packs of a round than the person may keep.
pub(in crate::engine) fn may_win_too_many(
    campaign: &Campaign,
    round: &Round,
    reservation: Option<&Reservation>,
) -> bool {
    let packs = if round.assignment == Assignment::Each { round.supply.pack_ids().count() } else { 1 };
    let by_channel = reservation.is_some_and(|terms| terms.one_per.contains(&OnePer::Channel));
    let channels = if by_channel { campaign.channels.len() } else { 1 };
    (round.max_packs_per_person as usize) < packs * channels
}

impl RoundView {
    /// Contests of these cells: one for each cell, but chance gives the packs of a channel in one.
    pub fn contests(&self, cells: &[CellSupply]) -> Vec<Contest> {
        let mut contests: Vec<Contest> = Vec::new();
        for cell in cells {
            let chance = self.round.assignment == Assignment::Chance;
            let pack = if chance { NO_CHOICE } else { cell.pack };
            let same = |contest: &&mut Contest| contest.channel == cell.channel && contest.pack == pack;
            match contests.iter_mut().find(same) {
                Some(contest) => contest.packs.push((cell.pack, cell.count)),
                None => {
                    contests.push(Contest { channel: cell.channel, pack, packs: vec![(cell.pack, cell.count)] });
                }
            }
        }
        contests
    }

    /// Whether the packs of a drawn round go to its winners by the second version of the rule.
    pub fn shares_in_proportion(&self) -> bool {
        self.round.assignment == Assignment::Chance && self.record.rule == Rule::V2
    }

    /// The choices of the draw entries that one reservation makes: its own, or each pack of the round.
    pub fn choices(&self, choice: u8) -> Vec<u8> {
        if self.round.assignment != Assignment::Each || choice != NO_CHOICE {
            return vec![choice];
        }
        self.packs.clone()
    }

    /// Where an entry stands in this round; `None` before the draw, and when no packs were drawn among its like.
    pub fn place(&self, view: &CampaignView, entry: &Standing) -> Option<Place> {
        self.draw.as_ref()?.place(view, entry)
    }

    /// What a person has won in this round, exactly: also where one may win more than one may keep. The entries are the person's record's.
    pub fn wins(&self, view: &CampaignView, pseudonym: Pseudonym, entries: &[RecordEntry], chances: u8) -> Vec<Win> {
        let Some(draw) = &self.draw else { return Vec::new() };
        let own = entries.iter().filter(|entry| entry.round == self.index && entry.mark != Mark::Struck);
        let standings = own.flat_map(|entry| {
            let standing = |choice| Standing { pseudonym, channel: entry.channel, choice, chances };
            self.choices(entry.choice).into_iter().map(standing)
        });
        let places =
            standings.filter_map(|entry| Some(Win { channel: entry.channel, place: draw.place(view, &entry)? }));
        let mut wins: Vec<Win> = places.filter(|win| win.place.won).collect();
        if self.capped {
            wins.sort_unstable_by_key(|win| win.place.order());
            wins.truncate(self.round.max_packs_per_person as usize);
        }
        wins
    }
}

/// An entry as the draw reads it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub pseudonym: Pseudonym,
    pub channel: u8,
    /// Position of the chosen pack, 255 when nothing was chosen.
    pub choice: u8,
    /// How many entries the person has, 1 unless the round's list gives more.
    pub chances: u8,
}

impl Standing {
    pub fn entry<'a>(&self, view: &'a CampaignView) -> Entry<'a> {
        let pack_id = if self.choice == NO_CHOICE { "" } else { view.pack_id(self.choice) };
        Entry { pseudonym: self.pseudonym, channel: view.channel_name(self.channel), pack_id, k: 0 }
    }
}

/// A place on a channel.
#[derive(Clone, Copy, Debug)]
pub struct Win {
    pub channel: u8,
    pub place: Place,
}

/// What a drawn round tells about anybody: seed and cutoffs. It lives in the node's memory only.
#[derive(Clone)]
pub struct DrawView {
    pub seed: Seed,
    /// The draw, then each wave that was decided.
    windows: Vec<Vec<Decided>>,
}

#[derive(Clone)]
struct Decided {
    group: Group,
    /// Last winners by second score, in the order of the packs; empty where all get the group's pack.
    tiers: Vec<(u8, Cutoff)>,
}

/// Winners of one contest.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub channel: Option<u8>,
    pub pack: u8,
    pub cutoff: Cutoff,
    pub winners: u64,
}

/// A resident's place in a drawn round.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub score: Score,
    /// Which of several entries has the score.
    pub k: u16,
    /// The contest; of a winner with the pack that is won.
    pub group: Group,
    /// At or under a cutoff. Where a person may win more packs than one may keep, `RoundView::wins` knows which are kept.
    pub won: bool,
    /// The claim window in which the place wins: 0 is the round's own, then its waves.
    pub window: usize,
}

impl Place {
    /// In which order the wins of one person come: where one may win more than one may keep, the first are kept.
    pub fn order(&self) -> (usize, Score) {
        (self.window, self.score)
    }

    /// The instant from which the release has let this winner's score out.
    pub fn revealed_at(&self, release: &ReleaseCurve) -> Ms {
        release.reached_at(self.group.cutoff.score.high(), self.score.high())
    }
}

impl DrawView {
    pub(in crate::engine) fn new(
        campaign_id: &str,
        round: &Round,
        record: &CampaignRecord,
        state: &RoundRecord,
        keys: &KeyRing,
    ) -> Option<DrawView> {
        let draw = state.draw.as_ref()?;
        let seed = seed(campaign_id, round, record, state, keys)?;
        let decided = |cutoffs: &Vec<CutoffRecord>| cutoffs.iter().filter_map(Decided::of).collect();
        let waves = state.waves.iter().map_while(|wave| wave.cutoffs.as_ref());
        let windows = std::iter::once(&draw.cutoffs).chain(waves).map(decided).collect();
        Some(DrawView { seed, windows })
    }

    /// Winners of the draw; what a wave passes on is not counted twice.
    pub fn winners(&self) -> u64 {
        self.windows.first().into_iter().flatten().map(|decided| decided.group.winners).sum()
    }

    /// Whether the draw or a wave has let this score win already.
    pub fn has_passed(&self, channel: u8, choice: u8, score: Score, pseudonym: Pseudonym) -> bool {
        let decided = self.windows.iter().filter_map(|window| find(window, channel, choice));
        decided.into_iter().any(|decided| decided.group.cutoff.admits(score, pseudonym))
    }

    pub fn place(&self, view: &CampaignView, entry: &Standing) -> Option<Place> {
        let read = entry.entry(view);
        let (score, k) = self.seed.best(&read, entry.chances);
        let mut lost = None;
        for (window, decided) in self.windows.iter().enumerate() {
            let Some(decided) = find(decided, entry.channel, entry.choice) else { continue };
            let mut place = Place { score, k, group: decided.group, won: false, window };
            if decided.group.cutoff.admits(score, entry.pseudonym) {
                place.group.pack = decided.pack(&self.seed, &Entry { k, ..read })?;
                place.won = true;
                return Some(place);
            }
            lost = lost.or(Some(place));
        }
        lost
    }
}

fn find(window: &[Decided], channel: u8, choice: u8) -> Option<&Decided> {
    window.iter().find(|decided| {
        let group = &decided.group;
        group.channel.is_none_or(|own| own == channel) && (choice == NO_CHOICE || group.pack == choice)
    })
}

impl Group {
    pub(in crate::engine) fn of(record: &CutoffRecord) -> Option<Group> {
        let CutoffRecord { channel, pack, winners, .. } = *record;
        Some(Group { channel, pack, cutoff: cutoff(&record.score, &record.pseudonym)?, winners })
    }
}

fn cutoff(score: &str, pseudonym: &str) -> Option<Cutoff> {
    Some(Cutoff { score: Score(hash_of(score)?), pseudonym: Pseudonym(hash_of(pseudonym)?) })
}

impl Decided {
    fn of(record: &CutoffRecord) -> Option<Decided> {
        let group = Group::of(record)?;
        let tiers = record.tiers.iter().map(|tier| Some((tier.pack, cutoff(&tier.score, &tier.pseudonym)?)));
        Some(Decided { group, tiers: tiers.collect::<Option<_>>()? })
    }

    /// The pack of a winning entry.
    fn pack(&self, seed: &Seed, entry: &Entry) -> Option<u8> {
        if self.tiers.is_empty() {
            return Some(self.group.pack);
        }
        let second = seed.tier_score(entry);
        self.tiers.iter().find(|(_, last)| last.admits(second, entry.pseudonym)).map(|(pack, _)| *pack)
    }
}

/// The seed of a round from its published commitment, the public values that were named, and the operator's secret; `None` while
/// anything is missing, for none stands in for another.
pub fn seed(
    campaign_id: &str,
    round: &Round,
    record: &CampaignRecord,
    state: &RoundRecord,
    keys: &KeyRing,
) -> Option<Seed> {
    let ListState::Closed(list) = &state.list else { return None };
    let entropy = entropy::values(round, state)?;
    let round_id = round.round_id.as_str();
    Some(Seed::of(&Inputs {
        campaign_id,
        round_id,
        rules_hash: hash_of(&record.rules_hash)?,
        root: hash_of(&list.root)?,
        count: list.count,
        entropy: &entropy,
        secret: keys.draw_secret(campaign_id, round_id),
    }))
}

/// What chance goes by in a round that is not drawn.
pub(in crate::engine) fn deal(
    campaign_id: &str,
    round: &Round,
    record: &CampaignRecord,
    keys: &KeyRing,
) -> Option<Deal> {
    let undrawn = matches!(round.mode, Mode::FirstCome | Mode::Grant);
    if !undrawn || round.assignment != Assignment::Chance {
        return None;
    }
    let secret = keys.draw_secret(campaign_id, &round.round_id);
    Some(Deal::of(campaign_id, &round.round_id, hash_of(&record.rules_hash)?, secret))
}

pub fn hash_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).ok()?;
    Some(bytes)
}
