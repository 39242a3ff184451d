//! Reservation: one place per person on a round's list, judged once, proved by a pass and a receipt.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::resident::{Person, Resident};
use super::view::{CampaignView, RoundView};
use super::{Engine, Failure};
use crate::domain::eligibility::{self, Verdict};
use crate::domain::pass::Pass;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, SECOND};
use crate::store::campaign::Scope;
use crate::store::keys;
use crate::store::record::{Entry, PersonRecord};
use crate::store::script::{self, Member, bytes};
use crate::store::{Reply, StoreError, int, text};

/// No choice of a pack.
pub const NO_CHOICE: u8 = 255;

/// What a resident asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub round_id: Option<String>,
    pub pack_id: Option<String>,
    pub consent_version: Option<String>,
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
            let view = self.published(campaign_id)?;
            let round = self.open_list(&view, wish.round_id.as_deref())?;
            let choice = choice(&view, round, wish.pack_id.as_deref())?;
            if view.campaign.consent_version.is_some() && wish.consent_version != view.campaign.consent_version {
                let wanted = view.campaign.consent_version.clone().unwrap_or_default();
                return Err(Refusal::new(Code::ConsentRequired)
                    .with("consent_version", wanted)
                    .field("/consent_version", "consent_required", "请同意当前版本。", "Name the current version.")
                    .into());
            }
            let channel = self.channel_of(&view, resident)?;
            self.require_eligible(&view, round, resident)?;
            let person = self.person(&view, resident);
            let maximum =
                round.reservation.as_ref().and_then(|reservation| reservation.max_reservations).unwrap_or_default();
            let member = Member::new(
                vec![person.bucket_key.clone()],
                vec![
                    bytes(&person.pseudonym.field()),
                    bytes(person.pseudonym.tail()),
                    int(view.number),
                    int(round.index),
                    int(channel),
                    int(choice),
                    text(keys::round_counters(view.number, round.index)),
                    int(maximum as i64),
                    int(u8::from(change)),
                ],
            );
            let reply =
                self.store.call(&script::RESERVATION_ADD, &person.slot(), member.view(view.number, view.rev)).await?;
            answer(self, &view, round, &person, channel, choice, &reply)
        })
        .await
    }

    /// The caller's reservation; the round may be left out when there is one.
    pub async fn my_reservation(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<Reserved, Refusal> {
        let view = self.published(campaign_id)?;
        let person = self.person(&view, resident);
        let record = self.person_record(&person).await?.unwrap_or_default();
        let wanted =
            round_id.map(|id| view.round(id).map(|round| round.index).ok_or(Code::RoundNotFound)).transpose()?;
        let entry = record.entries.iter().rev().find(|entry| wanted.is_none_or(|round| round == entry.round));
        let entry = entry.ok_or(Code::ReservationNotFound)?;
        let round = view.rounds.get(usize::from(entry.round)).ok_or(Code::RoundNotFound)?;
        Ok(self.reserved(&view, round, &person, entry, true))
    }

    /// Takes the caller off the list while it is open and withdrawal is allowed.
    pub async fn withdraw(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<(), Refusal> {
        self.with_view(|| async move {
            let view = self.published(campaign_id)?;
            let person = self.person(&view, resident);
            let record = self.person_record(&person).await?.unwrap_or_default();
            let wanted =
                round_id.map(|id| view.round(id).map(|round| round.index).ok_or(Code::RoundNotFound)).transpose()?;
            let entry = record.entries.iter().rev().find(|entry| wanted.is_none_or(|round| round == entry.round));
            let entry = *entry.ok_or(Code::ReservationNotFound)?;
            let round = view.rounds.get(usize::from(entry.round)).ok_or(Code::RoundNotFound)?;
            let reservation = round.reservation.as_ref().ok_or(Code::ReservationNotFound)?;
            let until = reservation.withdraw_until.unwrap_or(reservation.closes_at);
            if self.now() >= until || !round.list_is_open() {
                return Err(Refusal::new(Code::WithdrawalClosed).with("until", view.zone.rfc3339(until)).into());
            }
            let args = vec![
                bytes(&person.pseudonym.field()),
                int(view.number),
                int(round.index),
                text(keys::round_counters(view.number, round.index)),
            ];
            let member = Member::new(vec![person.bucket_key.clone()], args).view(view.number, view.rev);
            let reply = self.store.call(&script::RESERVATION_REMOVE, &person.slot(), member).await?;
            match reply.refused() {
                Some(_) => Err(Code::ReservationNotFound.into()),
                None => Ok(()),
            }
        })
        .await
    }

    /// Every rule of a round's eligibility with its verdict.
    pub fn explain(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
    ) -> Result<Vec<Verdict>, Refusal> {
        let view = self.published(campaign_id)?;
        let round = match round_id {
            Some(round_id) => view.round(round_id).ok_or(Code::RoundNotFound)?,
            None => view.rounds.first().ok_or(Code::RoundNotFound)?,
        };
        Ok(self.verdicts(&view, round, resident))
    }

    pub async fn person_record(&self, person: &Person) -> Result<Option<PersonRecord>, StoreError> {
        self.store.person(&person.bucket_key, &person.pseudonym).await
    }

    fn verdicts(&self, view: &CampaignView, round: &RoundView, resident: &Resident) -> Vec<Verdict> {
        let today = view.zone.civil_date(self.now());
        round.eligibility.as_ref().map(|rules| eligibility::judge(rules, &resident.facts, today)).unwrap_or_default()
    }

    fn require_eligible(&self, view: &CampaignView, round: &RoundView, resident: &Resident) -> Result<(), Refusal> {
        let failed: Vec<Verdict> =
            self.verdicts(view, round, resident).into_iter().filter(|verdict| !verdict.passed).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let reasons = failed
            .iter()
            .map(|verdict| serde_json::json!({"rule": verdict.rule, "message": {"zh": verdict.zh, "en": verdict.en}}));
        Err(Refusal::new(Code::NotEligible).with("reasons", reasons.collect::<Vec<_>>()))
    }

    /// The position of the token's channel in the campaign; another channel cannot take part.
    pub(super) fn channel_of(&self, view: &CampaignView, resident: &Resident) -> Result<u8, Refusal> {
        view.channel(&resident.channel).ok_or_else(|| {
            let reason = serde_json::json!({"rule": "channels", "message": {"zh": "该渠道不参加活动。", "en": "The campaign does not run on this channel."}});
            Refusal::new(Code::NotEligible).with("reasons", vec![reason])
        })
    }

    /// The list that a reservation goes to, if it takes entries now.
    fn open_list<'a>(&self, view: &'a CampaignView, round_id: Option<&str>) -> Result<&'a RoundView, Refusal> {
        if view.record.stopped || view.is_paused(Scope::Reserve) {
            return Err(Refusal::new(Code::CampaignNotRunning).retry_after_ms(10_000));
        }
        let now = self.now();
        let takes = |round: &&RoundView| {
            let open = |reservation: &crate::domain::campaign::schema::Reservation| {
                reservation.opens_at <= now && now < reservation.closes_at
            };
            round.list_is_open() && round.reservation.as_ref().is_some_and(open)
        };
        if let Some(round_id) = round_id {
            let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
            return if takes(&round) { Ok(round) } else { Err(window_refusal(view, round, now)) };
        }
        let mut open = view.rounds.iter().filter(takes);
        match (open.next(), open.next()) {
            (Some(round), None) => Ok(round),
            (Some(_), Some(_)) => Err(Code::RoundRequired.into()),
            _ => {
                let mut reserved = view.rounds.iter().filter(|round| round.reservation.is_some());
                let next = reserved.clone().find(|round| round.reservation.as_ref().is_some_and(|r| now < r.opens_at));
                let round = next.or(reserved.next_back()).ok_or(Code::RoundNotFound)?;
                Err(window_refusal(view, round, now))
            }
        }
    }

    fn reserved(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        entry: &Entry,
        replayed: bool,
    ) -> Reserved {
        let pass = Pass {
            campaign: view.number,
            round: round.index,
            shard: person.shard,
            channel: entry.channel,
            choice: entry.choice,
            entries: 1,
            pseudonym: person.pseudonym,
            expires_at: round.last_close(),
        };
        let channel = view.channel_name(entry.channel);
        let pack_id = (entry.choice != NO_CHOICE).then(|| view.pack_id(entry.choice).to_owned());
        let proved: [&[u8]; 7] = [
            b"receipt\0",
            view.id.as_bytes(),
            round.round.round_id.as_bytes(),
            channel.as_bytes(),
            &[entry.choice],
            &person.pseudonym.0,
            &entry.at.to_be_bytes(),
        ];
        Reserved {
            pseudonym: person.pseudonym.hex(),
            round_id: round.round.round_id.clone(),
            channel: channel.to_owned(),
            pack_id,
            reserved_at: view.zone.rfc3339(entry.at * SECOND),
            rules_hash: view.record.rules_hash.clone(),
            receipt: format!("qr1.{}", URL_SAFE_NO_PAD.encode(self.keys.receipt.mac(&proved))),
            pass: pass.encode(&self.keys.pass[0]),
            replayed,
        }
    }
}

fn answer(
    engine: &Engine,
    view: &CampaignView,
    round: &RoundView,
    person: &Person,
    channel: u8,
    choice: u8,
    reply: &Reply,
) -> Result<Reserved, Failure> {
    match reply.refused() {
        Some("already_reserved") => {
            let held_channel = view.channel_name(reply.int(1) as u8).to_owned();
            let refusal = Refusal::new(Code::AlreadyReserved).with("channel", held_channel);
            let held_choice = reply.int(2) as u8;
            let refusal =
                if held_choice == NO_CHOICE { refusal } else { refusal.with("pack_id", view.pack_id(held_choice)) };
            Err(refusal.into())
        }
        Some(_) => {
            let limit =
                round.reservation.as_ref().and_then(|reservation| reservation.max_reservations).unwrap_or_default();
            Err(Refusal::new(Code::ReservationFull).with("limit", limit).into())
        }
        None => {
            let entry = Entry { round: round.index, channel, choice, at: reply.int(0), ..Entry::default() };
            Ok(engine.reserved(view, round, person, &entry, reply.is("replay")))
        }
    }
}

fn window_refusal(view: &CampaignView, round: &RoundView, now: Ms) -> Refusal {
    match &round.reservation {
        Some(reservation) if now < reservation.opens_at => Refusal::new(Code::ReservationNotOpen)
            .with("opens_at", view.zone.rfc3339(reservation.opens_at))
            .with("closes_at", view.zone.rfc3339(reservation.closes_at)),
        Some(reservation) => {
            Refusal::new(Code::ReservationClosed).with("closed_at", view.zone.rfc3339(reservation.closes_at))
        }
        None => Refusal::new(Code::ReservationNotFound).detail("The round has no reservation; get a pass and claim."),
    }
}

/// The tier a person names; only a round of choices takes one.
fn choice(view: &CampaignView, round: &RoundView, pack_id: Option<&str>) -> Result<u8, Refusal> {
    use crate::domain::campaign::schema::Assignment;
    match (round.round.assignment, pack_id) {
        (Assignment::Choice, None) => Err(Code::PackChoiceRequired.into()),
        (Assignment::Choice, Some(pack_id)) => {
            let index = view.campaign.packs.iter().position(|pack| pack.pack_id == pack_id);
            index.map(|index| index as u8).ok_or_else(|| {
                Refusal::new(Code::InvalidRequest).field(
                    "/pack_id",
                    "unknown_pack",
                    "没有这个券包。",
                    "There is no such pack.",
                )
            })
        }
        (_, None) => Ok(NO_CHOICE),
        (_, Some(_)) => Err(Refusal::new(Code::InvalidRequest).field(
            "/pack_id",
            "no_choice",
            "本场次不可选择券包。",
            "This round offers no choice of packs: leave it out.",
        )),
    }
}
