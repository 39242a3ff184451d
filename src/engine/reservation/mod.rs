//! Reservation: a place on a round's list for each person (or each channel of a person), judged once, proved by a pass and a receipt.

pub(in crate::engine) mod entry;
mod identity;
pub mod import;
pub(in crate::engine) mod quotas;
mod terms;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::area::Location;
use crate::domain::campaign::schema::{LocationAt, Reservation};
use crate::domain::pass::Pass;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::reserve_limit;
use crate::domain::time::{Ms, SECOND};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::eligibility::Occasion;
use crate::engine::resident::{Person, Resident};
use crate::engine::{Engine, Failure};
use crate::store::campaign::Scope;
use crate::store::keys;
use crate::store::record::{Entry, PersonRecord};
use crate::store::script::{self, Member, bytes};
use crate::store::{Reply, StoreError, int, text};

/// No choice of a pack.
pub const NO_CHOICE: u8 = 255;
/// An entry of whatever channel.
pub(in crate::engine) const ANY_CHANNEL: u8 = 255;

/// What a resident asks for. The location is judged and dropped; of phone and device only a short digest is kept, where they count.
#[derive(Clone, Default)]
pub struct Wish {
    pub round_id: Option<String>,
    pub pack_id: Option<String>,
    pub consent_version: Option<String>,
    pub location: Option<Location>,
    pub phone: Option<String>,
    pub device: Option<String>,
}

/// How a wish comes to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coming {
    Now,
    /// Replaces another choice.
    Change,
    /// Brought by a channel that had taken it down at this instant.
    TakenDown(Ms),
}

/// A place on a list with its proofs.
#[derive(Clone, Debug)]
pub struct Reserved {
    pub pseudonym: String,
    pub round_id: String,
    pub channel: String,
    pub pack_id: Option<String>,
    pub reserved_at: String,
    pub rules_hash: String,
    pub receipt: String,
    pub pass: String,
    pub replayed: bool,
}

/// A wish that passed all rules on static facts, in the words of the store.
struct Wanted {
    person: Person,
    channel: u8,
    choice: u8,
    coming: Coming,
    /// Eight bytes for each identity key but the person.
    digests: Vec<u8>,
}

impl Wanted {
    /// Whole seconds since the epoch at which a channel took it down, 0 = now.
    fn taken_down(&self) -> i64 {
        if let Coming::TakenDown(at) = self.coming { at.div_euclid(SECOND) } else { 0 }
    }

    /// As the scripts read it.
    fn bytes(&self) -> Vec<u8> {
        let change = u8::from(self.coming == Coming::Change);
        let taken_down = (self.taken_down() as u32).to_be_bytes();
        [&self.person.pseudonym.0[..], &[self.channel, self.choice, change], &taken_down, &self.digests].concat()
    }
}

/// What the store has now, and what became of the wish.
pub(super) struct Entered {
    pub channel: u8,
    pub choice: u8,
    /// Whole seconds since the epoch.
    pub at: i64,
    pub replayed: bool,
    pub replaced: bool,
    /// What stood there before.
    pub instead_of: Option<Entry>,
}

impl Engine {
    /// Reserves, or answers the reservation that is there; with `change`, replaces another choice inside the window.
    pub async fn reserve(
        &self,
        campaign_id: &str,
        resident: &Resident,
        wish: &Wish,
        change: bool,
    ) -> Result<Reserved, Refusal> {
        self.with_view(|| async move {
            let view = self.published_anywhere(campaign_id).await?;
            let round = self.open_list(&view, wish.round_id.as_deref())?;
            let coming = if change { Coming::Change } else { Coming::Now };
            // What the answer needs is read before there is anything to answer.
            let entries = self.entries_of(&view, round, resident).await?;
            let entered = self.enter(&view, round, resident, wish, coming).await?;
            Ok(self.reserved(&view, round, resident, &entered, entries))
        })
        .await
    }

    /// Judges a wish and puts it on the list.
    pub(super) async fn enter(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        wish: &Wish,
        coming: Coming,
    ) -> Result<Entered, Failure> {
        let reservation = round.reservation.as_ref().ok_or(Code::RoundHasNoReservation)?;
        let now = if let Coming::TakenDown(at) = coming { at } else { self.now() };
        let choice = terms::choice(view, round, wish.pack_id.as_deref())?;
        terms::consented(view, wish)?;
        let channel = self.channel_of(view, resident)?;
        let digests = terms::digests(view, reservation, resident, wish)?;
        let occasion = Occasion { at: LocationAt::Reserve, now, location: wish.location };
        self.require_eligible(view, round, resident, occasion).await?;
        let person = self.person(view, resident);
        terms::on_its_day(view, reservation, resident, &person, now)?;
        let wanted = Wanted { person, channel, choice, coming, digests };
        self.enter_counted(view, round, reservation, &wanted, now).await
    }

    /// Asks the person's shard; what is counted elsewhere was counted before.
    async fn enter_uncounted(
        &self,
        view: &CampaignView,
        round: &RoundView,
        reservation: &Reservation,
        wanted: &Wanted,
        now: Ms,
    ) -> Result<Entered, Failure> {
        let terms = terms::shared(view, round, reservation, now);
        if round.keys_are_indexed() {
            return self.enter_with_keys(view, round, reservation, wanted, terms).await;
        }
        let keys = vec![wanted.person.bucket_key.clone()];
        let member = Member::flat(keys, wanted.bytes()).sharing(terms).view(view.number, view.rev);
        let reply = self.store.call(&script::RESERVATION_ADD, &wanted.person.slot(), member).await?;
        Ok(entered(view, round, wanted.channel, wanted.choice, &reply)?)
    }

    /// The caller's reservation; the round may be left out when there is one. An entry that a closed list did not take is none.
    pub async fn my_reservation(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<Reserved, Refusal> {
        let view = self.published_anywhere(campaign_id).await?;
        let (round, entry) = self.own_place(&view, resident, round_id).await?;
        let (channel, choice, at) = (entry.channel, entry.choice, entry.at);
        let held = Entered { channel, choice, at, replayed: true, replaced: false, instead_of: None };
        let entries = self.entries_of(&view, round, resident).await?;
        Ok(self.reserved(&view, round, resident, &held, entries))
    }

    /// Takes the caller off the list while it is open and withdrawal is allowed.
    pub async fn withdraw(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<(), Refusal> {
        self.with_view(|| async move {
            let view = self.published_anywhere(campaign_id).await?;
            let (round, entry) = self.own_entry(&view, resident, round_id).await?;
            let reservation = round.reservation.as_ref().ok_or(Code::ReservationNotFound)?;
            let until = reservation.withdraw_until.unwrap_or(reservation.closes_at);
            if self.now() >= until || !round.list_is_open() {
                return Err(Refusal::new(Code::WithdrawalClosed).with("until", view.zone.rfc3339(until)).into());
            }
            let person = self.person(&view, resident);
            let args = vec![
                bytes(&person.pseudonym.field()),
                int(view.number),
                int(round.index),
                int(if reservation.per_channel() { entry.channel } else { ANY_CHANNEL }),
                text(keys::round_counters(view.number, round.index)),
                terms::uses(&view, round, entry.at * SECOND),
            ];
            let keys = if round.keys_are_indexed() {
                identity::who(&person).keys(identity::list(&view, round))
            } else {
                vec![person.bucket_key.clone()]
            };
            let member = Member::new(keys, args).view(view.number, view.rev);
            let reply = self.store.call(&script::RESERVATION_REMOVE, &person.slot(), member).await?;
            match reply.refused() {
                Some(_) => Err(Code::ReservationNotFound.into()),
                None => {
                    self.leave_entry(&view, round, person.pseudonym.field(), &entry_at(&reply, 0)).await;
                    Ok(())
                }
            }
        })
        .await
    }

    pub async fn person_record(&self, person: &Person) -> Result<Option<PersonRecord>, StoreError> {
        self.store.person(&person.bucket_key, &person.pseudonym).await
    }

    /// The list that a reservation goes to, if it takes entries now.
    fn open_list<'a>(&self, view: &'a CampaignView, round_id: Option<&str>) -> Result<&'a RoundView, Refusal> {
        require_running(view)?;
        let now = self.now();
        let takes = |round: &&RoundView| {
            let open = |reservation: &Reservation| reservation.opens_at <= now && now < reservation.closes_at;
            round.list_is_open() && round.reservation.as_ref().is_some_and(open)
        };
        if let Some(round_id) = round_id {
            let round = view.named_round(round_id)?;
            return if takes(&round) { Ok(round) } else { Err(come_back(view, round, now)) };
        }
        let mut open = view.rounds.iter().filter(takes);
        match (open.next(), open.next()) {
            (Some(round), None) => Ok(round),
            (Some(_), Some(_)) => Err(Code::RoundRequired.into()),
            _ => {
                let mut reserved = view.rounds.iter().filter(|round| round.reservation.is_some());
                let next = reserved.clone().find(|round| round.reservation.as_ref().is_some_and(|r| now < r.opens_at));
                let round = next.or(reserved.next_back()).ok_or_else(|| {
                    Refusal::new(Code::RoundHasNoReservation)
                        .detail("该活动没有需要预约的场次。", "No round of the campaign takes reservations.")
                })?;
                Err(come_back(view, round, now))
            }
        }
    }

    fn reserved(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        held: &Entered,
        entries: u8,
    ) -> Reserved {
        let person = self.person(view, resident);
        let pass = Pass {
            campaign: view.number,
            round: round.index,
            shard: person.shard,
            channel: held.channel,
            choice: held.choice,
            entries,
            pseudonym: person.pseudonym,
            expires_at: round.last_close(),
        };
        let channel = view.channel_name(held.channel);
        let pack_id = (held.choice != NO_CHOICE).then(|| view.pack_id(held.choice).to_owned());
        let proved: [&[u8]; 7] = [
            b"receipt\0",
            view.id.as_bytes(),
            round.round.round_id.as_bytes(),
            channel.as_bytes(),
            &[held.choice],
            &person.pseudonym.0,
            &held.at.to_be_bytes(),
        ];
        Reserved {
            pseudonym: person.pseudonym.hex(),
            round_id: round.round.round_id.clone(),
            channel: channel.to_owned(),
            pack_id,
            reserved_at: view.zone.rfc3339(held.at * SECOND),
            rules_hash: view.record.rules_hash.clone(),
            receipt: format!("qr1.{}", URL_SAFE_NO_PAD.encode(self.keys.receipt.mac(&proved))),
            pass: pass.encode(&self.keys.pass[0]),
            replayed: held.replayed,
        }
    }
}

/// A stopped campaign, and one whose reserving is paused, takes no entries.
pub(super) fn require_running(view: &CampaignView) -> Result<(), Refusal> {
    if view.record.stopped || view.is_paused(Scope::Reserve) {
        return Err(Refusal::new(Code::CampaignNotRunning).retry_after_ms(10_000));
    }
    Ok(())
}

fn entered(view: &CampaignView, round: &RoundView, channel: u8, choice: u8, reply: &Reply) -> Result<Entered, Refusal> {
    match reply.refused() {
        Some("already_reserved") => Err(already_reserved(view, reply.int(1) as u8, reply.int(2) as u8)),
        Some("limit_reached") => {
            let limit = reserve_limit::limit_of(&view.campaign, round.index, reply.int(1) as u8);
            Err(Refusal::new(Code::LimitReached).with("limit", serde_json::to_value(limit).unwrap_or_default()))
        }
        Some(_) => {
            let limit = round.reservation.as_ref().and_then(|terms| terms.max_reservations).unwrap_or_default();
            Err(Refusal::new(Code::ReservationFull).with("limit", limit))
        }
        None => {
            let (replaced, at) = (reply.int(0) == 1, reply.int(1));
            let instead_of = replaced.then(|| Entry { round: round.index, ..entry_at(reply, 2) });
            Ok(Entered { channel, choice, at, replayed: reply.is("replay"), replaced, instead_of })
        }
    }
}

/// An entry that is no longer there, as a script tells it: channel, choice, second, digests.
fn entry_at(reply: &Reply, place: usize) -> Entry {
    let number = |index: usize| reply.int(place + index);
    let mut entry = Entry { channel: number(0) as u8, choice: number(1) as u8, at: number(2), ..Entry::default() };
    for (digest, bytes) in entry.digests.iter_mut().zip(reply.bytes(place + 3).as_chunks().0) {
        *digest = u64::from_be_bytes(*bytes);
    }
    entry
}

/// An entry with another choice, or of another channel, stands.
fn already_reserved(view: &CampaignView, channel: u8, choice: u8) -> Refusal {
    let refusal = Refusal::new(Code::AlreadyReserved).with("channel", view.channel_name(channel));
    if choice == NO_CHOICE { refusal } else { refusal.with("pack_id", view.pack_id(choice)) }
}

/// The same for somebody who asks now, with how long the window is still closed.
fn come_back(view: &CampaignView, round: &RoundView, now: Ms) -> Refusal {
    let refusal = window_refusal(view, round, now);
    let opens_at =
        round.reservation.as_ref().map(|reservation| reservation.opens_at).filter(|opens_at| now < *opens_at);
    match opens_at {
        Some(opens_at) => refusal.retry_after_ms((opens_at - now) as u64),
        None => refusal,
    }
}

/// Why a round's list takes no entry at an instant.
pub(super) fn window_refusal(view: &CampaignView, round: &RoundView, now: Ms) -> Refusal {
    match &round.reservation {
        Some(reservation) if now < reservation.opens_at => Refusal::new(Code::ReservationNotOpen)
            .with("opens_at", view.zone.rfc3339(reservation.opens_at))
            .with("closes_at", view.zone.rfc3339(reservation.closes_at)),
        Some(reservation) => {
            Refusal::new(Code::ReservationClosed).with("closed_at", view.zone.rfc3339(reservation.closes_at))
        }
        None if round.windows.is_empty() => Refusal::new(Code::RoundHasNoReservation).detail(
            "该场次无须预约，也不设抢券，中签者的券自动到账。",
            "The round has neither reservation nor tap: its winners are credited by themselves.",
        ),
        None => Refusal::new(Code::RoundHasNoReservation)
            .detail("该场次无须预约，请领取通行证后直接抢券。", "The round has no reservation; get a pass and claim."),
    }
}
