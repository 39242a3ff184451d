//! When the vouchers of a pack may be used, and the hours at which their money expires. Both may depend on the instant of receipt.

use crate::domain::campaign::schema::{DayCounting, Validity};
use crate::domain::campaign::{Campaign, Unit};
use crate::domain::claim_limit;
use crate::domain::money::Fen;
use crate::domain::time::{Ms, SECOND, expiry_hour};
use crate::engine::config::view::CampaignView;

/// What a pack adds to outstanding, by the hour in which it expires.
pub type ByHour = Vec<(i64, Fen)>;

/// What of the validity is the same for everybody, computed once for a view.
pub struct Windows {
    /// By round and pack; `None` when it depends on the day of receipt.
    fixed: Vec<Vec<Option<ByHour>>>,
}

/// Seconds in which a plan made now holds: expiry hours and periods of limits are then what the plan says. (0, 0) = always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: i64,
    pub until: i64,
}

impl Span {
    const ALWAYS: Span = Span { from: 0, until: 0 };

    /// Whether a second is in it.
    pub fn holds(self, second: i64) -> bool {
        self == Span::ALWAYS || (self.from..self.until).contains(&second)
    }

    fn and(self, other: Span) -> Span {
        if self == Span::ALWAYS {
            return other;
        }
        Span { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

/// Of a plan: at which seconds of the call it holds, and for which seconds of receipt where a pack does not count from the call.
#[derive(Clone, Copy, Debug)]
pub struct Holds {
    pub call: Span,
    pub receipt: Option<Span>,
}

impl Holds {
    pub fn at(self, at: Ms, received: Option<Ms>) -> bool {
        let receipt = match (self.receipt, received) {
            (Some(span), Some(received)) => span.holds(received.div_euclid(SECOND)),
            (span, received) => span.is_none() && received.is_none(),
        };
        receipt && self.call.holds(at.div_euclid(SECOND))
    }
}

impl Windows {
    pub fn new(campaign: &Campaign, units: &[Vec<Unit>]) -> Windows {
        let of_pack = |round: usize, pack: usize| {
            let relative = validities(campaign, round, pack).any(is_relative);
            (!relative).then(|| by_hour(campaign, &units[pack], round, pack, 0))
        };
        let of_round = |round| (0..units.len()).map(|pack| of_pack(round, pack)).collect();
        Windows { fixed: (0..campaign.rounds.len()).map(of_round).collect() }
    }

    fn of(&self, round: u8, pack: u8) -> Option<&ByHour> {
        self.fixed.get(usize::from(round))?.get(usize::from(pack))?.as_ref()
    }
}

impl CampaignView {
    /// `[begin, end)` of a unit of a pack received at `received`.
    pub fn validity(&self, round: u8, pack: u8, unit: u8, received: Ms) -> Option<(Ms, Ms)> {
        let window = self.campaign.unit_window(usize::from(round), usize::from(pack), unit, received)?;
        Some((window.start, window.end))
    }

    /// What a pack received at `received` adds to outstanding.
    pub fn outstanding_by_hour(&self, round: u8, pack: u8, received: Ms) -> ByHour {
        match self.windows.of(round, pack) {
            Some(fixed) => fixed.clone(),
            None => {
                let units = &self.units[usize::from(pack)];
                // A record keeps whole seconds, and everybody who computes the hour again starts from them.
                let received = received.div_euclid(SECOND) * SECOND;
                by_hour(&self.campaign, units, usize::from(round), usize::from(pack), received)
            }
        }
    }

    /// How long a pack planned at `at` may take to be issued before periods of limits have to be computed again, and, where it counts as
    /// received with the call, also the hours of its money; and for which instants of receipt those hours hold.
    pub(in crate::engine) fn plan_holds(&self, round: u8, pack: u8, at: Ms, received: Option<Ms>) -> Holds {
        let limits = if claim_limit::by_calendar(&self.campaign, round) { self.day_of(at) } else { Span::ALWAYS };
        match received {
            Some(received) => Holds { call: limits, receipt: Some(self.hours_hold(round, pack, received)) },
            None => Holds { call: limits.and(self.hours_hold(round, pack, at)), receipt: None },
        }
    }

    fn day_of(&self, at: Ms) -> Span {
        Span { from: self.zone.day_begins(at).div_euclid(SECOND), until: self.zone.day_ends(at).div_euclid(SECOND) }
    }

    /// Seconds of receipt that give the same hours of expiry.
    fn hours_hold(&self, round: u8, pack: u8, received: Ms) -> Span {
        if self.windows.of(round, pack).is_some() {
            return Span::ALWAYS;
        }
        let relative = validities(&self.campaign, usize::from(round), usize::from(pack)).filter(|one| is_relative(one));
        relative.fold(Span::ALWAYS, |span, validity| match validity.day_counting {
            DayCounting::Calendar => span.and(self.day_of(received)),
            // Received at a full hour it ends with that hour's money; a second later with the next one's.
            DayCounting::Hours24 => {
                let hour = expiry_hour(received.div_euclid(SECOND) * SECOND);
                span.and(Span { from: (hour - 1) * 3_600 + 1, until: hour * 3_600 + 1 })
            }
        })
    }

    /// From when a pack counts as received that was due at `due` and is credited now: from then on, whoever taps and when. One whose
    /// validity would be over by now was kept from everybody, by a stop of ours or a window as long; it counts from now, or from the next
    /// midnight where less would be left of today than was promised.
    pub(in crate::engine) fn received(&self, round: u8, pack: u8, due: Ms, now: Ms) -> Ms {
        if self.windows.of(round, pack).is_some() || now < self.zone.day_ends(due) {
            return due;
        }
        let units = self.units.get(usize::from(pack)).map(Vec::as_slice).unwrap_or_default();
        let lasts = |received: Ms, from: Ms| {
            let left = |unit: &Unit| self.validity(round, pack, unit.unit, received).map(|(_, end)| end - from);
            units.iter().filter_map(left).min().unwrap_or_default()
        };
        if lasts(due, now) > 0 {
            due
        } else if lasts(now, now) >= lasts(due, due) {
            now
        } else {
            self.zone.day_ends(now)
        }
    }
}

fn is_relative(validity: &Validity) -> bool {
    validity.available_day_after_receive.is_some()
}

fn validities(campaign: &Campaign, round: usize, pack: usize) -> impl Iterator<Item = &Validity> {
    let kinds = campaign.packs.get(pack).map(|pack| pack.vouchers.as_slice()).unwrap_or_default();
    let round = campaign.rounds.get(round);
    kinds.iter().filter_map(move |kind| campaign.validity_of(round?, kind))
}

fn by_hour(campaign: &Campaign, units: &[Unit], round: usize, pack: usize, received: Ms) -> ByHour {
    let mut by_hour: ByHour = Vec::new();
    for unit in units {
        let Some(window) = campaign.unit_window(round, pack, unit.unit, received) else { continue };
        let hour = expiry_hour(window.end);
        match by_hour.iter_mut().find(|(known, _)| *known == hour) {
            Some((_, fen)) => *fen = *fen + unit.discount_amount,
            None => by_hour.push((hour, unit.discount_amount)),
        }
    }
    by_hour
}
