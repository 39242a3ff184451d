//! Passes: who a tap comes from, judged once. A reservation gives one; for rounds without reservation it is asked for before the rush.

use super::{Claimant, judge};
use crate::domain::area::Location;
use crate::domain::campaign::schema::{LocationAt, Mode};
use crate::domain::pass::{Pass, PassFault, Purpose, Unbound};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{DAY, Ms};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::eligibility::Occasion;
use crate::engine::reservation::NO_CHOICE;
use crate::engine::reservation::entry::counting;
use crate::engine::resident::{Person, Resident};
use crate::engine::{Engine, Failure};
use crate::store::record::Entry;

/// Passes are given out this long before a round opens, so that the rush does not begin with judging who may take part.
const AHEAD: Ms = DAY;

/// A pass as its bearer gets it.
#[derive(Clone, Debug)]
pub struct GivenPass {
    pub pass: String,
    pub expires_at: String,
}

/// Whether taking part is judged, or only somebody's own result is looked up.
#[derive(Clone, Copy, Debug)]
pub enum Judge {
    /// With where the person says to be.
    Eligibility(Option<Location>),
    Nothing,
}

impl Engine {
    /// A pass for a round, from a day before its opening to its last close.
    pub async fn give_pass(
        &self,
        campaign_id: &str,
        round_id: &str,
        resident: &Resident,
        location: Option<Location>,
    ) -> Result<GivenPass, Refusal> {
        let view = self.published_anywhere(campaign_id).await?;
        let round = view.named_round(round_id)?;
        let opens_at = round.windows.first().map(|window| window.opens_at).ok_or(Code::RoundHasNoTap)?;
        if view.record.stopped {
            return Err(judge::not_running());
        }
        let (now, closes_at) = (self.now(), round.last_close());
        if now < opens_at - AHEAD {
            let refusal = Refusal::new(Code::PassNotOpen).with("opens_at", view.zone.rfc3339(opens_at - AHEAD));
            return Err(refusal.retry_after_ms((opens_at - AHEAD - now) as u64));
        }
        if now >= closes_at {
            return Err(Refusal::new(Code::RoundClosed).with("closed_at", view.zone.rfc3339(closes_at)));
        }
        let pass = self
            .pass_of_resident(&view, round, resident, Judge::Eligibility(location))
            .await
            .map_err(Failure::into_refusal)?;
        let pass = Pass { expires_at: closes_at, ..pass };
        Ok(GivenPass { pass: pass.encode(&self.keys.pass[0]), expires_at: view.zone.rfc3339(closes_at) })
    }

    /// A pass that was sent, bound to the round on which it is used.
    fn bound(&self, view: &CampaignView, round: &RoundView, pass: &Unbound, judged: Judge) -> Result<Pass, Refusal> {
        let purpose = match judged {
            Judge::Eligibility(_) => Purpose::Tap(self.now()),
            Judge::Nothing => Purpose::Result,
        };
        pass.bind(view.number, round.index, purpose).map_err(|fault| match fault {
            PassFault::Expired => Code::TokenExpired.into(),
            PassFault::Elsewhere => {
                Refusal::new(Code::TokenInvalid).detail("该通行证属于其他场次。", "The pass is for another round.")
            }
            PassFault::Malformed | PassFault::Mac => Code::TokenInvalid.into(),
        })
    }

    /// The pass of a claimant; a resident's token is as good as the pass that it would get.
    pub(super) async fn pass_of(
        &self,
        view: &CampaignView,
        round: &RoundView,
        claimant: &Claimant,
        judged: Judge,
    ) -> Result<Pass, Failure> {
        match claimant {
            Claimant::Pass(pass) => Ok(self.bound(view, round, pass, judged)?),
            Claimant::Resident(resident) => self.pass_of_resident(view, round, resident, judged).await,
        }
    }

    /// What the person's entry or a grant's list says, or, without reservation, what the rules say about the person.
    async fn pass_of_resident(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        judged: Judge,
    ) -> Result<Pass, Failure> {
        let person = self.person(view, resident);
        let channel = self.channel_of(view, resident)?;
        let (channel, choice) = if round.round.mode == Mode::Grant {
            let member = self.grant_of(view, round, resident).await?.ok_or_else(judge::not_on_list)?;
            (round.channel_of_grant(&member, channel), member.pack.unwrap_or(NO_CHOICE))
        } else if round.reservation.is_some() {
            let record = self.person_record(&person).await?.unwrap_or_default();
            let counting = |is_it: &dyn Fn(&Entry) -> bool| counting(view, round, person.pseudonym, &record, is_it);
            let entry = counting(&|entry| entry.channel == channel).or_else(|_| counting(&|_| true))?;
            (entry.channel, entry.choice)
        } else {
            if let Judge::Eligibility(location) = judged {
                let occasion = Occasion { at: LocationAt::Claim, now: self.now(), location };
                self.require_eligible(view, round, resident, occasion).await?;
            }
            (channel, NO_CHOICE)
        };
        Ok(Pass {
            campaign: view.number,
            round: round.index,
            shard: person.shard,
            channel,
            choice,
            entries: self.entries_of(view, round, resident).await?,
            pseudonym: person.pseudonym,
            expires_at: Ms::MAX,
        })
    }
}

impl Pass {
    /// Where the record of the pass's bearer lies.
    pub(in crate::engine) fn person(&self, view: &CampaignView) -> Person {
        Person::new(view, self.shard, self.pseudonym)
    }
}
