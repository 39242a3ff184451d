//! Reservations that a channel has taken down by itself and brings later, each with the time at which it was taken down.

use serde::{Deserialize, Serialize};

use super::{Coming, Entered, Wish, require_running, window_refusal};
use crate::domain::campaign::schema::Reservation;
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::key::{ApiKey, Role};
use crate::engine::resident::Resident;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Brought {
    Reserved,
    /// It is earlier than what was there, and took its place.
    Replaced,
    /// It was there already.
    Unchanged,
}

impl Engine {
    /// A campaign of the caller's program that takes reservations.
    pub async fn import_target(&self, key: &ApiKey, campaign_id: &str) -> Result<(), Refusal> {
        let view = self.own_view(key, campaign_id).await?;
        if view.is_published() { Ok(()) } else { Err(Noun::Campaign.not_found(campaign_id)) }
    }

    /// The times of an import are the channel's own word, and an earlier one moves an entry to it: so a platform speaks for its channels
    /// alone. An officer brings what any of them sent; in a sandbox so does a key that names none.
    pub fn require_channel(&self, key: &ApiKey, channel: &str) -> Result<(), Refusal> {
        let is_office = key.roles.contains(&Role::Officer);
        let unbound = key.channels.is_empty() && self.clock().is_sandbox();
        if is_office || unbound || key.channels.iter().any(|own| own == channel) {
            return Ok(());
        }
        Err(Refusal::new(Code::Forbidden)
            .detail("该密钥属于其他渠道，见 channels。", "The key is of other channels; see channels.")
            .with("channels", key.channels.clone()))
    }

    /// Puts a person on the list as of the instant at which the channel took the wish down.
    pub async fn import_reservation(
        &self,
        campaign_id: &str,
        resident: &Resident,
        wish: &Wish,
        taken_down: Ms,
    ) -> Result<Brought, Refusal> {
        self.with_view(|| async move {
            let view = self.published_anywhere(campaign_id).await?;
            let round = self.list_of(&view, wish.round_id.as_deref(), taken_down)?;
            let coming = Coming::TakenDown(taken_down);
            let Entered { replayed, replaced, .. } = self.enter(&view, round, resident, wish, coming).await?;
            Ok(match (replayed, replaced) {
                (true, _) => Brought::Unchanged,
                (false, true) => Brought::Replaced,
                (false, false) => Brought::Reserved,
            })
        })
        .await
    }

    /// The list that was open at an instant and has not closed since.
    fn list_of<'a>(
        &self,
        view: &'a CampaignView,
        round_id: Option<&str>,
        taken_down: Ms,
    ) -> Result<&'a RoundView, Refusal> {
        require_running(view)?;
        let now = self.now();
        if taken_down > now {
            let (zh, en) = ("不能晚于现在。", "It is later than now.");
            return Err(Refusal::new(Code::InvalidRequest).field("/registered_at", "in_future", zh, en));
        }
        let takes = |round: &&RoundView| {
            let was_open = |terms: &Reservation| terms.opens_at <= taken_down && taken_down < terms.closes_at;
            let still_open = round.list_is_open() && round.list_closes_at().is_none_or(|closes_at| now < closes_at);
            still_open && round.reservation.as_ref().is_some_and(was_open)
        };
        if let Some(round_id) = round_id {
            let round = view.named_round(round_id)?;
            return if takes(&round) { Ok(round) } else { Err(window_refusal(view, round, taken_down)) };
        }
        let mut open = view.rounds.iter().filter(takes);
        match (open.next(), open.next()) {
            (Some(round), None) => Ok(round),
            (Some(_), Some(_)) => Err(Code::RoundRequired.into()),
            _ => Err(Code::ReservationClosed.into()),
        }
    }
}
