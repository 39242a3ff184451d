//! A person's entry on a list: the one that counts, or why there is none. An entry that a closing list did not take stays in its record,
//! marked; it counts as if it had never been, but its person is told what became of it.

use crate::domain::campaign::schema::Reservation;
use crate::domain::eligibility::Verdict;
use crate::domain::pass::Pass;
use crate::domain::person::Pseudonym;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::claim::judge::not_on_list;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::strike::struck_by;
use crate::engine::eligibility::not_eligible;
use crate::engine::resident::Resident;
use crate::store::StoreError;
use crate::store::record::{Entry, Mark, PersonRecord};

/// The first entry of a person on a round's list, of those that `is_it` picks, that counts.
pub(in crate::engine) fn counting<'a>(
    view: &CampaignView,
    round: &RoundView,
    pseudonym: Pseudonym,
    record: &'a PersonRecord,
    is_it: impl Fn(&Entry) -> bool,
) -> Result<&'a Entry, Refusal> {
    let own = || record.entries.iter().filter(|entry| entry.round == round.index && is_it(entry));
    match own().find(|entry| entry.mark != Mark::Struck) {
        Some(entry) => Ok(entry),
        None if own().next().is_some() => Err(not_eligible(&struck_by(view, round, pseudonym, record))),
        None => Err(not_on_list()),
    }
}

/// Refuses a pass whose reservation was withdrawn, or was taken off the list when it closed.
pub(in crate::engine) fn require_entry(
    view: &CampaignView,
    round: &RoundView,
    pass: &Pass,
    record: &PersonRecord,
) -> Result<(), Refusal> {
    if round.reservation.is_none() {
        return Ok(());
    }
    counting(view, round, pass.pseudonym, record, |entry| entry.channel == pass.channel).map(drop)
}

impl Engine {
    /// The rule by which a closed list did not take any entry of a person who had one.
    pub(in crate::engine) async fn struck(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
    ) -> Result<Option<Verdict>, StoreError> {
        if round.reservation.is_none() || round.list_is_open() {
            return Ok(None);
        }
        let person = self.person(view, resident);
        let record = self.person_record(&person).await?.unwrap_or_default();
        let own = || record.entries.iter().filter(|entry| entry.round == round.index);
        let off = own().next().is_some() && own().all(|entry| entry.mark == Mark::Struck);
        Ok(off.then(|| struck_by(view, round, person.pseudonym, &record)))
    }

    /// The caller's latest entry, of the round if one is named; where each channel has its own, that of the token's channel.
    pub(super) async fn own_entry<'a>(
        &self,
        view: &'a CampaignView,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<(&'a RoundView, Entry), Refusal> {
        let (_, own) = self.own_entries(view, resident, round_id).await?;
        own.into_iter().next().ok_or_else(|| Code::ReservationNotFound.into())
    }

    /// The latest of them that counts.
    pub(super) async fn own_place<'a>(
        &self,
        view: &'a CampaignView,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<(&'a RoundView, Entry), Refusal> {
        let (record, own) = self.own_entries(view, resident, round_id).await?;
        let counts = |(_, entry): &&(&RoundView, Entry)| entry.mark != Mark::Struck;
        match (own.iter().find(counts), own.first()) {
            (Some(place), _) => Ok(*place),
            (None, Some((round, _))) => {
                let pseudonym = self.person(view, resident).pseudonym;
                Err(not_eligible(&struck_by(view, round, pseudonym, &record)))
            }
            (None, None) => Err(Code::ReservationNotFound.into()),
        }
    }

    /// The latest first.
    async fn own_entries<'a>(
        &self,
        view: &'a CampaignView,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<(PersonRecord, Vec<(&'a RoundView, Entry)>), Refusal> {
        let person = self.person(view, resident);
        let record = self.person_record(&person).await?.unwrap_or_default();
        let wanted = round_id.map(|id| view.named_round(id).map(|round| round.index)).transpose()?;
        let channel = view.channel(&resident.channel);
        let own = record.entries.iter().rev().filter(|entry| wanted.is_none_or(|round| round == entry.round));
        let own = own.filter_map(|entry| {
            let round = view.rounds.get(usize::from(entry.round))?;
            let apart = round.reservation.as_ref().is_some_and(Reservation::per_channel);
            (!apart || Some(entry.channel) == channel).then_some((round, *entry))
        });
        let own = own.collect();
        Ok((record, own))
    }
}
