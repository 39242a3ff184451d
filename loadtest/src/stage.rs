//! What stands ready before a load: the campaign, the people on its lists, the clock at the right instant, tills, vouchers.

use crate::Fault;
use crate::campaign::{Campaign, Ms, Round, shown};
use crate::crowd::Crowd;
use crate::engine::Target;
use crate::market::Market;
use crate::office::Office;

/// What a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    pub taps: bool,
    pub purchases: bool,
}

pub struct Stage {
    /// The round that is tapped in.
    pub claimed: Option<Round>,
    /// Another round, whose list is open now.
    pub reserving: Option<Round>,
    pub crowd: Crowd,
    /// Tills and shoppers, where there are purchases.
    pub market: Option<Market>,
    pub vouchers: u64,
}

pub struct Setting<'a> {
    pub office: &'a Office,
    pub target: &'a Target,
    pub campaign: &'a Campaign,
    pub round: Option<&'a str>,
    pub needs: Needs,
    /// Purchases a second, which decides how many tills there are.
    pub purchases_per_s: u64,
    pub seed: u64,
}

impl Setting<'_> {
    /// Takes the campaign to the instant of the load. Without an API key the clock stays where it is.
    pub fn prepare(&self, mut crowd: Crowd) -> Result<Stage, Fault> {
        let claimed = self.campaign.claimed(self.round);
        let at = self.instant(claimed)?;
        let moves = self.office.has_key();
        let now = if moves { self.office.now()? } else { Ms::MAX };
        for round in self.lists(claimed, at) {
            let Some((opens, closes)) = round.reservation else { continue };
            if moves && now < closes {
                self.office.clock(opens, 0)?;
            }
            crowd.forget_passes();
            if now < closes || !moves {
                crowd.reserve(self.target, round)?;
            }
            if crowd.passes() == 0 && Some(&round.id) == claimed.map(|round| &round.id) {
                crowd.fetch_passes(self.target, round)?;
            }
        }
        if moves {
            self.walk(at)?;
        }
        if let Some(round) = claimed.filter(|_| self.needs.taps) {
            self.passes(&mut crowd, round)?;
        }
        let (market, vouchers) = self.market(&crowd, claimed)?;
        let reserving = self.campaign.rounds.iter().find(|round| {
            let open = round.reservation.is_some_and(|(opens, closes)| opens <= at && at < closes);
            open && Some(&round.id) != claimed.map(|round| &round.id)
        });
        Ok(Stage { claimed: claimed.cloned(), reserving: reserving.cloned(), crowd, market, vouchers })
    }

    /// The campaign instant at which the load begins: the opening of the round, or when vouchers can be used.
    fn instant(&self, claimed: Option<&Round>) -> Result<Ms, Fault> {
        let none = || Fault::Campaign(format!("{} has no round to tap in", self.campaign.id));
        if self.needs.taps {
            return claimed.and_then(|round| round.opens_at).ok_or_else(none);
        }
        let credited = self.campaign.rounds.iter().filter_map(|round| round.credited_at().or(round.opens_at)).min();
        let usable = credited.into_iter().chain(self.campaign.valid_from).chain(self.campaign.enrols_from).max();
        usable.ok_or_else(none)
    }

    /// The lists that people must be on, the one that is tapped from last.
    fn lists(&self, claimed: Option<&Round>, at: Ms) -> Vec<&Round> {
        let taps = |round: &Round| self.needs.taps && claimed.is_some_and(|claimed| claimed.id == round.id);
        let gives = |round: &Round| self.needs.purchases && round.credited_at().is_some_and(|credited| credited <= at);
        let mut lists: Vec<&Round> = self.campaign.rounds.iter().filter(|round| taps(round) || gives(round)).collect();
        lists.sort_by_key(|round| (taps(round), round.reservation.map(|(opens, _)| opens)));
        lists
    }

    /// Moves the clock over everything that falls due on the way, and lets it run at the end.
    fn walk(&self, at: Ms) -> Result<(), Fault> {
        let rounds = self.campaign.rounds.iter();
        let mut stops: Vec<Ms> = rounds.flat_map(|round| [round.draw_at, round.credited_at()]).flatten().collect();
        stops.retain(|stop| *stop < at);
        stops.push(at);
        stops.sort_unstable();
        for stop in stops {
            self.office.clock(stop, 0)?;
        }
        self.office.clock(at, 1)?;
        eprintln!("loadtest: the campaign clock is at {}", shown(self.office.now()?));
        Ok(())
    }

    fn passes(&self, crowd: &mut Crowd, round: &Round) -> Result<(), Fault> {
        if crowd.passes() == 0 {
            crowd.fetch_passes(self.target, round)?;
        }
        if crowd.passes() == 0 && round.reservation.is_some() {
            return Err(Fault::Nobody(format!("nobody is on the list of {}, and it is closed", round.id)));
        }
        Ok(())
    }

    fn market(&self, crowd: &Crowd, claimed: Option<&Round>) -> Result<(Option<Market>, u64), Fault> {
        if !self.needs.purchases {
            return Ok((None, 0));
        }
        if let Some(round) = claimed.filter(|round| !self.needs.taps && !round.credits_itself) {
            crowd.tap_all(self.target, round)?;
        }
        let vouchers = crowd.vouchers(self.target, self.campaign)?;
        if vouchers.is_empty() && !self.needs.taps {
            return Err(Fault::Nobody("nobody of this population has a voucher that can be used now".to_owned()));
        }
        let total = vouchers.iter().map(|(_, count)| u64::from(*count)).sum();
        if total == 0 {
            return Ok((None, 0));
        }
        let tills = self.office.tills(self.campaign, (self.purchases_per_s / 50).clamp(8, 400), self.seed)?;
        let shoppers = vouchers.into_iter().map(|(person, _)| person).collect();
        Ok((Some(Market::new(tills, shoppers, &self.office.host, self.campaign, self.seed)), total))
    }
}
