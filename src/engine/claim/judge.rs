//! One tap judged on the node, from memory and without waiting: only a would-be winner goes to the store. In order: pass, campaign,
//! window, threshold, entitlement, stock.

use super::Tap;
use crate::domain::campaign::schema::{Assignment, Campaign, Mode, ReleaseShape, Round, Unclaimed};
use crate::domain::eligibility::not_eligible;
use crate::domain::pass::Pass;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Zone};
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, Place, RoundView};
use crate::engine::draw::result::Standing;
use crate::engine::reservation::NO_CHOICE;
use crate::engine::stock::supply_of;
use crate::store::campaign::Scope;

/// What a node says about a tap by itself.
#[derive(Debug)]
pub enum Judged {
    Refused(Box<Refusal>),
    /// `window` is the place of the claim window in the round's `windows`.
    NotYet {
        retry_after_ms: u64,
        window: usize,
        detail: Option<&'static str>,
    },
    /// A decided winner whose score is not out yet, in a round that releases what nobody claims: the store notes the presence.
    Present {
        retry_after_ms: u64,
        window: usize,
    },
    Lost,
    SoldOut,
    /// The round is over and the node knows the result: `lost` or `pending`.
    Closed(&'static str),
    /// A would-be winner: the store has the last word.
    Issue(Issue),
    /// Nothing more is issued; only what the person has already can be told.
    Recall(Recall),
}

/// What a would-be winner is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    pub pack: u8,
    /// The channel whose own supply this is, 255 for one that all channels share.
    pub supply: u8,
    /// The tap came after the close: the answer says so.
    pub closed: bool,
    pub window: usize,
    /// When a drawn winner's pack came; `None` where it comes with the tap.
    pub due: Option<Ms>,
}

/// A look at what the person has, when nothing new can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The pack that was named, in rounds in which a person may have several.
    pub pack: Option<u8>,
    /// The round is over; otherwise the campaign was stopped, or a wave has passed the person over.
    pub closed: bool,
    /// A wave has passed the person over: without a pack the win is lost.
    pub passed: bool,
}

/// One claim window with its texts, which a million answers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimWindow {
    pub opens_at: Ms,
    pub closes_at: Ms,
    pub opens_text: String,
    pub closes_text: String,
}

impl ClaimWindow {
    /// The windows of a round, its waves after its own; none when winners are credited without a tap.
    pub fn of(round: &Round, zone: &Zone) -> Vec<ClaimWindow> {
        let own = round.opens_at.zip(round.closes_at);
        let waves = round.waves.iter().map(|wave| (wave.opens_at, wave.closes_at));
        let all = own.into_iter().chain(waves).map(|(opens_at, closes_at)| ClaimWindow {
            opens_at,
            closes_at,
            opens_text: zone.rfc3339(opens_at),
            closes_text: zone.rfc3339(closes_at),
        });
        all.collect()
    }
}

/// Whether the repeat key of a pack has the pack in it: a person of such a round names a pack and may have several.
pub fn names_pack(round: &Round) -> bool {
    matches!(round.assignment, Assignment::Choice | Assignment::Each)
}

impl Engine {
    /// Judges a tap without touching the store. The pass is bound to the round; `choice` is the `pack_id` of the body. What a score has lost
    /// is told from memory, also to the pass of a reservation that was withdrawn or that the closing list did not take: to look would bring
    /// every loser to the store. Such a pass wins nothing, and everything else it asks is answered by the record.
    pub fn judge_tap(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        choice: Option<&str>,
        now: Ms,
    ) -> Judged {
        let choice = match named_pack(&view.campaign, &round.round, choice) {
            Ok(choice) => choice,
            Err(refusal) => return Judged::Refused(Box::new(refusal)),
        };
        if view.is_paused(Scope::Claim) {
            return Judged::Refused(Box::new(not_running()));
        }
        if round.windows.is_empty() {
            return Judged::Refused(Box::new(Code::RoundHasNoTap.into()));
        }
        let window = round.windows.iter().position(|window| now < window.closes_at);
        match round.round.mode {
            Mode::Ballot | Mode::Rain => judge_drawn(view, round, pass, choice, window, now),
            Mode::FirstCome if round.deal.is_some() => self.judge_dealt(view, round, pass, window, now),
            Mode::FirstCome => self.judge_first_come(view, round, pass, choice, window, now),
            Mode::Grant => judge_grant(view, round, pass, choice, window, now),
        }
    }

    /// Everybody wins while released stock is left. Who cannot have a pack is told from memory that there is none. A pause that another node
    /// has answered takes the place of that with this node's next look at the configuration: a tenth of a second later, or once a node that is
    /// cut off reaches the store again, however long that takes. Nobody gets a pack meanwhile, for the shards know of the pause before it is
    /// answered, so what is told is true; to ask them at every tap would bring the whole rush to the store when there is nothing left to give.
    pub(super) fn judge_first_come(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        choice: Option<u8>,
        window: Option<usize>,
        now: Ms,
    ) -> Judged {
        let recall = |closed| Judged::Recall(Recall { pack: choice, closed, passed: false });
        let pack = choice.or_else(|| only_pack(view, &round.round));
        let supply = pack.and_then(|pack| Some((pack, supply_of(view, round, pass.channel, pack)?.0)));
        let Some((pack, supply)) = supply else {
            let not_fixed =
                |window| Judged::NotYet { retry_after_ms: jitter(), window, detail: Some("supply_not_fixed") };
            return window.map_or(Judged::Closed("lost"), not_fixed);
        };
        if view.record.stopped {
            return recall(window.is_none());
        }
        let cell = self.stock_cell(view, round, supply, pack);
        let may_have = || cell.may_have(&pass.pseudonym, pass.channel, pack);
        let Some(window) = window else {
            return if may_have() { recall(true) } else { Judged::Closed("lost") };
        };
        let opens_at = round.windows[window].opens_at;
        if now < opens_at {
            return Judged::NotYet { retry_after_ms: (opens_at - now) as u64, window, detail: None };
        }
        if cell.is_sold_out() && !may_have() {
            return Judged::SoldOut;
        }
        match cell.dry_for(&pass.pseudonym, pass.channel, pack, now) {
            Some(until) => Judged::NotYet { retry_after_ms: wait_for(round, until - now), window, detail: None },
            None => Judged::Issue(Issue { pack, supply, closed: false, window, due: None }),
        }
    }
}

/// The pack of a round in which there is nothing to choose.
fn only_pack(view: &CampaignView, round: &Round) -> Option<u8> {
    let pack_id = round.supply.pack_ids().next()?;
    view.campaign.pack(pack_id).map(|(index, _)| index as u8)
}

/// How long to wait for stock: exactly until the next slice; where packs come out all the time, nobody should come back for each.
pub fn wait_for(round: &RoundView, wait: Ms) -> u64 {
    let in_steps = round
        .round
        .release
        .as_ref()
        .is_none_or(|release| matches!(release.shape, ReleaseShape::AtOnce | ReleaseShape::Slices));
    let wait = wait.max(1) as u64;
    if in_steps { wait } else { wait.max(jitter()) }
}

fn judge_drawn(
    view: &CampaignView,
    round: &RoundView,
    pass: &Pass,
    choice: Option<u8>,
    window: Option<usize>,
    now: Ms,
) -> Judged {
    let stopped = view.record.stopped;
    let early = window.filter(|window| now < round.windows[*window].opens_at);
    if let (Some(window), false) = (early, stopped) {
        return Judged::NotYet { retry_after_ms: jitter(), window, detail: None };
    }
    if round.draw.is_none() {
        return match window {
            _ if stopped => Judged::Refused(Box::new(not_running())),
            Some(window) => Judged::NotYet { retry_after_ms: jitter(), window, detail: Some("round_not_drawn") },
            None => Judged::Closed("pending"),
        };
    }
    // Who reserved another tier is not on the list with this one.
    if choice.is_some() && pass.choice != NO_CHOICE && choice != Some(pass.choice) {
        return Judged::Refused(Box::new(not_on_list()));
    }
    let place = round.place(view, &standing_of(pass, choice)).filter(|place| place.won);
    let recall = |closed| Judged::Recall(Recall { pack: choice, closed, passed: false });
    match (place, window) {
        (None, _) if stopped => Judged::Refused(Box::new(not_running())),
        (Some(_), Some(_)) if stopped => recall(false),
        (Some(_), None) if stopped || round.round.unclaimed != Unclaimed::Credit => recall(true),
        (None, None) => Judged::Closed("lost"),
        (None, Some(_)) if round.tells_losers_at_once() => Judged::Lost,
        (None, Some(window)) => {
            let detail = (!round.is_decided(window)).then_some("round_not_drawn");
            Judged::NotYet { retry_after_ms: jitter(), window, detail }
        }
        (Some(place), window) => judge_winner(round, &place, choice, window, now),
    }
}

/// A decided winner: the packs of a window are issued while it lasts and no wave has taken over from it.
fn judge_winner(round: &RoundView, place: &Place, choice: Option<u8>, window: Option<usize>, now: Ms) -> Judged {
    if round.is_frozen(place.window) || window.is_some_and(|window| window > place.window) {
        return Judged::Recall(Recall { pack: choice, closed: false, passed: true });
    }
    if let Some(window) = window.filter(|window| *window < place.window) {
        return Judged::NotYet { retry_after_ms: jitter(), window, detail: None };
    }
    // What a wave passes on is out at once.
    let revealed_at = if place.window == 0 { place.revealed_at(round.release()) } else { now };
    if let Some(window) = window.filter(|_| now < revealed_at) {
        let retry_after_ms = (revealed_at - now) as u64;
        return if round.round.unclaimed == Unclaimed::Release {
            Judged::Present { retry_after_ms, window }
        } else {
            Judged::NotYet { retry_after_ms, window, detail: None }
        };
    }
    Judged::Issue(Issue {
        pack: place.group.pack,
        supply: place.group.channel.unwrap_or(NO_CHOICE),
        closed: window.is_none(),
        window: window.unwrap_or_default(),
        due: Some(round.due(place)),
    })
}

/// Who has a pass of a grant is on its list; a pack that the list names stands in the pass.
fn judge_grant(
    view: &CampaignView,
    round: &RoundView,
    pass: &Pass,
    choice: Option<u8>,
    window: Option<usize>,
    now: Ms,
) -> Judged {
    let named = (pass.choice != NO_CHOICE).then_some(pass.choice);
    let granted = round.granted(named, pass.channel, pass.pseudonym);
    if choice.is_some_and(|choice| !granted.is_empty() && !granted.contains(&choice)) {
        return Judged::Refused(Box::new(not_on_list()));
    }
    let recall = |closed| Judged::Recall(Recall { pack: choice, closed, passed: false });
    let wait = |window, retry_after_ms, detail| Judged::NotYet { retry_after_ms, window, detail };
    let fits = round.record.grant.as_ref().map(|grant| grant.fits);
    let pack = choice.or(granted.first().copied());
    let supply = pack.and_then(|pack| Some((pack, supply_of(view, round, pass.channel, pack)?.0)));
    match (window, supply, fits) {
        (window, ..) if view.record.stopped => recall(window.is_none()),
        (Some(window), ..) if now < round.windows[window].opens_at => {
            wait(window, (round.windows[window].opens_at - now) as u64, None)
        }
        (Some(window), Some((pack, supply)), Some(true)) => {
            Judged::Issue(Issue { pack, supply, closed: false, window, due: None })
        }
        (None, Some((pack, supply)), Some(true)) if round.round.unclaimed == Unclaimed::Credit => {
            Judged::Issue(Issue { pack, supply, closed: true, window: 0, due: None })
        }
        (Some(window), _, Some(false)) => wait(window, jitter(), Some("list_exceeds_supply")),
        (Some(window), ..) => wait(window, jitter(), Some("list_not_counted")),
        (None, ..) => recall(true),
    }
}

/// The entry of the list that a tap is judged by.
pub fn standing_of(pass: &Pass, choice: Option<u8>) -> Standing {
    let choice = choice.unwrap_or(pass.choice);
    Standing { pseudonym: pass.pseudonym, channel: pass.channel, choice, chances: pass.entries }
}

/// The pack that a tap names, in rounds that want one named and in no others.
pub(super) fn named_pack(campaign: &Campaign, round: &Round, choice: Option<&str>) -> Result<Option<u8>, Refusal> {
    match (names_pack(round), choice) {
        (false, None) => Ok(None),
        (true, None) => Err(Code::PackChoiceRequired.into()),
        (false, Some(_)) => Err(Refusal::new(Code::InvalidRequest).field(
            "/pack_id",
            "no_choice",
            "本场次不可选择券包。",
            "This round offers no choice of packs: leave it out.",
        )),
        (true, Some(pack_id)) => {
            let offered = round.supply.pack_ids().any(|offered| offered == pack_id);
            let index = campaign.pack(pack_id).filter(|_| offered).map(|(index, _)| index as u8);
            let unknown = || {
                let (zh, en) = ("本场次没有这个券包。", "This round has no such pack.");
                Refusal::new(Code::InvalidRequest).field("/pack_id", "unknown_pack", zh, en)
            };
            index.map(Some).ok_or_else(unknown)
        }
    }
}

pub fn not_running() -> Refusal {
    Refusal::new(Code::CampaignNotRunning).retry_after_ms(10_000)
}

pub fn not_on_list() -> Refusal {
    let reason =
        serde_json::json!({"rule": "reservation", "message": {"zh": "不在名单上。", "en": "Not on the round's list."}});
    not_eligible(vec![reason])
}

/// 500 to 5000 ms, so that those who are told to come back do not come back together.
pub fn jitter() -> u64 {
    use rand::RngExt;
    rand::rng().random_range(500..=5_000)
}

impl Judged {
    /// The answer, when the node has it.
    pub fn told(self, round: &RoundView) -> Result<Result<Tap, Refusal>, Judged> {
        Ok(match self {
            Judged::Refused(refusal) => Err(*refusal),
            Judged::NotYet { retry_after_ms, window, detail } => Ok(not_yet(round, window, retry_after_ms, detail)),
            Judged::Lost => Ok(Tap::Lost),
            Judged::SoldOut => Ok(Tap::SoldOut),
            Judged::Closed(result) => Ok(Tap::closed(result, None)),
            Judged::Issue(_) | Judged::Recall(_) | Judged::Present { .. } => return Err(self),
        })
    }
}

pub fn not_yet(round: &RoundView, window: usize, retry_after_ms: u64, detail: Option<&'static str>) -> Tap {
    let texts = |window: &ClaimWindow| (window.opens_text.clone(), window.closes_text.clone());
    let (opens_at, closes_at) = round.windows.get(window).map(texts).unwrap_or_default();
    Tap::NotYet { retry_after_ms, opens_at, closes_at, detail }
}
