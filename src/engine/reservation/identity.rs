//! Reserving where a phone, device or account may stand for one person only and refuses everybody else at once.
//!
//! A key and its person lie on different slots, so this is a protocol of steps that may stop anywhere. Each key is marked in the index with
//! the person and an intent, a number above the person's void intents; then the person enters under that intent unless it is void by
//! then. Who finds a key marked by somebody asks that person's shard: on the list with the key, and the answer is no; otherwise what was
//! meant there is void from that moment, and the mark may be replaced. So of two who hold one mark after the other only one can enter,
//! and a mark that a dead node left behind keeps nobody out. Marks are never removed: what is absent has never been meant.

use std::sync::Arc;

use super::{Coming, Entered, Wanted, already_reserved, entered};
use crate::domain::campaign::schema::{Duplicates, IdentityKey, Reservation};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::identity::{List, Who};
use crate::store::record::PersonRecord;
use crate::store::script::{self, Member, Shared};

/// How often a step is taken again because somebody who wants the same key, or the same person elsewhere, came between.
const TRIES: usize = 16;

pub(super) fn who(person: &Person) -> Who {
    Who { shard: person.shard, field: person.pseudonym.field() }
}

pub(super) fn list(view: &CampaignView, round: &RoundView) -> List {
    List { campaign: view.number, round: round.index, buckets: view.record.buckets }
}

impl Engine {
    /// Marks the wish's keys in the index and enters; what stands already is answered without any mark.
    pub(super) async fn enter_with_keys(
        &self,
        view: &CampaignView,
        round: &RoundView,
        reservation: &Reservation,
        wanted: &Wanted,
        terms: Arc<Shared>,
    ) -> Result<Entered, Failure> {
        let (who, list) = (who(&wanted.person), list(view, round));
        for _ in 0..TRIES {
            let (record, void) = self.store.intents(&who, list).await?;
            if let Some(entered) = standing(view, round, reservation, &record, wanted)? {
                return Ok(entered);
            }
            let intent = void + 1;
            self.take_keys(list, reservation, &who, wanted, intent).await?;
            let bytes = [&intent.to_be_bytes()[..], &wanted.bytes()].concat();
            let member = Member::flat(who.keys(list), bytes).sharing(terms.clone()).view(view.number, view.rev);
            let reply = self.store.call(&script::IDENTITY_ENTER, &wanted.person.slot(), member).await?;
            if reply.refused() != Some("intent_void") {
                return Ok(entered(view, round, wanted.channel, wanted.choice, &reply)?);
            }
        }
        Err(Refusal::contended().into())
    }

    /// One key after the other, in one order for everybody, so that two who want the same keys meet at the first.
    async fn take_keys(
        &self,
        list: List,
        reservation: &Reservation,
        who: &Who,
        wanted: &Wanted,
        intent: u32,
    ) -> Result<(), Failure> {
        let mut keys: Vec<(u64, IdentityKey)> = digests(wanted).zip(reservation.more_keys()).collect();
        keys.sort_unstable_by_key(|(digest, _)| *digest);
        for (digest, key) in keys {
            let mut instead = None;
            let mut tries = 0;
            while let Some(holder) = self.store.take_identity(list, digest, who, intent, instead.as_ref()).await? {
                if self.store.holder_is_live(list, digest, &holder).await? {
                    return Err(Refusal::new(Code::IdentityInUse).with("identity_key", key.as_str()).into());
                }
                tries += 1;
                if tries == TRIES {
                    return Err(Refusal::contended().into());
                }
                instead = Some(holder);
            }
        }
        Ok(())
    }
}

fn digests(wanted: &Wanted) -> impl Iterator<Item = u64> {
    let (digests, _) = wanted.digests.as_chunks();
    digests.iter().map(|digest| u64::from_be_bytes(*digest))
}

/// What the person's own entry says to the wish, unless the wish changes it.
pub(super) fn standing(
    view: &CampaignView,
    round: &RoundView,
    reservation: &Reservation,
    record: &PersonRecord,
    wanted: &Wanted,
) -> Result<Option<Entered>, Refusal> {
    let (channel, choice) = (wanted.channel, wanted.choice);
    let mut own = record.entries.iter().filter(|entry| entry.round == round.index);
    let Some(own) = own.find(|entry| !reservation.per_channel() || entry.channel == channel) else { return Ok(None) };
    let same = (own.channel, own.choice) == (channel, choice);
    let changes = match wanted.coming {
        Coming::Now => false,
        Coming::Change => !same || digests(wanted).zip(own.digests).any(|(digest, own)| digest != own),
        Coming::TakenDown(_) => reservation.duplicates == Duplicates::Earliest && wanted.taken_down() < own.at,
    };
    match (changes, same) {
        (true, _) => Ok(None),
        (false, true) => {
            Ok(Some(Entered { channel, choice, at: own.at, replayed: true, replaced: false, instead_of: None }))
        }
        (false, false) => Err(already_reserved(view, own.channel, own.choice)),
    }
}
