//! Who is taken off a list when it closes: winners of excluded rounds, and later holders of a phone, device or account that an earlier
//! entry came with. The entries stay in their records, marked, so that the list is read the same however often.

use crate::engine::blocking;
use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::campaign::schema::{Duplicates, IdentityKey, OnePer};
use crate::domain::eligibility::Verdict;
use crate::domain::person::Pseudonym;
use crate::domain::time::{Ms, SECOND};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::keys::Slot;
use crate::store::record::{Mark, PersonRecord};
use crate::store::script::{self, Member, bytes};
use crate::store::{int, read};

/// Nodes' clocks may be off by a second each: a pack is known to have been there at an instant only some seconds later.
const LATE_CALLS: Ms = 5 * SECOND;

impl Engine {
    /// Marks the entries that the closing list does not take: of winners of excluded rounds, and of later holders of a phone, device or
    /// account. The decision depends on nothing that still changes, so whoever makes it again marks the same.
    pub(in crate::engine) async fn strike(
        &self,
        view: &Arc<CampaignView>,
        index: u8,
        closing_at: Ms,
    ) -> Result<(), Failure> {
        let round = &view.rounds[usize::from(index)];
        let earliest = round.reservation.as_ref().is_some_and(|terms| terms.duplicates == Duplicates::Earliest);
        let excluded: Vec<&RoundView> =
            round.round.exclude_winners_of.iter().filter_map(|round_id| view.round(round_id)).collect();
        if !earliest && excluded.is_empty() {
            return Ok(());
        }
        let progress = self.progress.begin(view.number, index, "closing", self.walk_length(view));
        let mut arrivals = Arrivals::of(round);
        for shard in 0..self.store.shards() {
            let mut chances = Vec::new();
            for excluded in &excluded {
                chances.push(progress.heeding(self.chances(view, excluded.index, shard).await)?);
            }
            for buckets in read::steps(view.record.buckets) {
                let (done, mut struck) = (buckets.len() as u64, Vec::new());
                // Whoever is passed over here would stay on the list for good, with a phone that is another's or as a second winner.
                let people = self.store.people(shard, view.number, buckets).await;
                for (pseudonym, record) in progress.heeding(people)? {
                    let has_won = excluded.iter().zip(&chances).any(|(excluded, chances)| {
                        let chances = chances.get(&pseudonym.field()).copied().unwrap_or(1);
                        won_before(view, excluded, pseudonym, &record, chances, closing_at)
                    });
                    if has_won {
                        let own = record.entries.iter().filter(|entry| entry.round == index);
                        struck.extend(own.map(|entry| Struck { pseudonym, shard, channel: entry.channel }));
                    } else if earliest {
                        arrivals.take(pseudonym, shard, &record, index);
                    }
                }
                self.mark_struck(view, index, struck).await?;
                progress.add(done);
            }
        }
        progress.came_through();
        let late = blocking(move || arrivals.late()).await?;
        self.mark_struck(view, index, late).await
    }

    async fn mark_struck(&self, view: &CampaignView, round: u8, mut struck: Vec<Struck>) -> Result<(), Failure> {
        struck.sort_unstable_by_key(|entry| entry.shard);
        for of_shard in struck.chunk_by(|a, b| a.shard == b.shard) {
            for batch in of_shard.chunks(64) {
                let members = batch.iter().map(|entry| {
                    let person = Person::new(view, entry.shard, entry.pseudonym);
                    mark_member(&person, round, entry.channel, Mark::Struck)
                });
                let slot = Slot::Shard(of_shard[0].shard);
                for reply in self.store.batch(&script::ENTRY_MARK, &slot, members.collect()).await? {
                    reply?;
                }
            }
        }
        Ok(())
    }
}

/// What `entry_mark` is asked for.
pub(in crate::engine) fn mark_member(person: &Person, round: u8, channel: u8, mark: Mark) -> Member {
    let mark = match mark {
        Mark::None => 0,
        Mark::Struck => 1,
        Mark::Present => 2,
    };
    let args = vec![bytes(&person.pseudonym.field()), int(round), int(channel), int(mark)];
    Member::new(vec![person.bucket_key.clone()], args)
}

/// Whether a person has won an earlier round before the list closed: by its draw, or by holding a pack of it.
fn won_before(
    view: &CampaignView,
    earlier: &RoundView,
    pseudonym: Pseudonym,
    record: &PersonRecord,
    chances: u8,
    closing_at: Ms,
) -> bool {
    if earlier.draw.is_none() {
        let known = |at: i64| at * SECOND < closing_at - LATE_CALLS;
        return record.packs.iter().any(|pack| pack.round == earlier.index && known(pack.at));
    }
    let decided = |window: usize| {
        let wave = window.checked_sub(1).and_then(|wave| earlier.record.waves.get(wave));
        wave.is_none_or(|wave| wave.frozen_at < closing_at)
    };
    earlier.wins(view, pseudonym, &record.entries, chances).iter().any(|win| decided(win.place.window))
}

/// The rule by which the closing list did not take a person's entry. The mark does not say which of the two it was; each is judged once more
/// from what has not changed since, and where that does not tell them apart, both are named.
pub(in crate::engine) fn struck_by(
    view: &CampaignView,
    round: &RoundView,
    pseudonym: Pseudonym,
    record: &PersonRecord,
) -> Verdict {
    let excluded = || round.round.exclude_winners_of.iter().filter_map(|round_id| view.round(round_id));
    let closing_at = round.record.closing_at.unwrap_or(Ms::MAX);
    // How many entries a list gave the person in the other round is not known here; with one it has won less often, never more.
    let has_won = excluded().any(|other| won_before(view, other, pseudonym, record, 1, closing_at));
    let keys = round.reservation.as_ref().filter(|terms| terms.duplicates == Duplicates::Earliest);
    let verdict = |rule, zh, en| Verdict { rule, passed: false, zh, en };
    let Some(terms) = keys.filter(|_| !has_won) else {
        return verdict(
            "exclude_winners_of",
            "您已在先前的场次中签，名单关闭时本场次的预约已被移出名单。",
            "You have won in an earlier round, so your entry was taken off this list when it closed.",
        );
    };
    if excluded().any(|other| other.round.entries_list.is_some()) {
        return verdict(
            "duplicates",
            "名单关闭时您的预约已被移出名单：有更早的预约使用同一手机号、设备或账号，或您已在先前的场次中签。",
            "Your entry was taken off the list when it closed: an earlier one has its phone, device or account, or you have won in an earlier round.",
        );
    }
    let keys: Vec<IdentityKey> = terms.more_keys().collect();
    let (zh, en) = match keys.as_slice() {
        [] => (
            "您在另一渠道有更早的预约，名单关闭时本预约已被移出名单。",
            "You have an earlier entry on another channel, so this one was taken off the list when it closed.",
        ),
        [IdentityKey::Phone] => (
            "有更早的预约使用同一手机号，名单关闭时您的预约已被移出名单。",
            "Another, earlier entry has the same phone, so yours was taken off the list when it closed.",
        ),
        [IdentityKey::Device] => (
            "有更早的预约使用同一设备，名单关闭时您的预约已被移出名单。",
            "Another, earlier entry has the same device, so yours was taken off the list when it closed.",
        ),
        [IdentityKey::Account] => (
            "有更早的预约使用同一账号，名单关闭时您的预约已被移出名单。",
            "Another, earlier entry has the same account, so yours was taken off the list when it closed.",
        ),
        _ => (
            "有更早的预约使用同一手机号、设备或账号，名单关闭时您的预约已被移出名单。",
            "Another, earlier entry has the same phone, device or account, so yours was taken off the list when it closed.",
        ),
    };
    verdict("duplicates", zh, en)
}

struct Struck {
    pseudonym: Pseudonym,
    shard: u8,
    channel: u8,
}

/// All entries of a list with the identities they came with, in columns: half of what a list of structs would take.
#[derive(Default)]
struct Arrivals {
    who: Vec<(Pseudonym, u8, u8)>,
    at: Vec<u32>,
    /// `width` of them for each entry; 0 = not known.
    digests: Vec<u64>,
    width: usize,
    opens: i64,
    one_per_person: bool,
}

impl Arrivals {
    fn of(round: &RoundView) -> Arrivals {
        let Some(terms) = &round.reservation else { return Arrivals::default() };
        let keys = terms.more_keys().count();
        let one_per_person = !terms.one_per.contains(&OnePer::Channel);
        // An import may tell of an earlier arrival than the window, so the count starts well before it.
        let opens = terms.opens_at / SECOND - (1 << 30);
        Arrivals { width: keys + 1, opens, one_per_person, ..Arrivals::default() }
    }

    fn take(&mut self, pseudonym: Pseudonym, shard: u8, record: &PersonRecord, round: u8) {
        let own = || record.entries.iter().filter(|entry| entry.round == round);
        // The person is an identity too, where one may have arrived on several channels.
        let person = if self.one_per_person && own().count() > 1 { number_of(&pseudonym) } else { 0 };
        for entry in own() {
            self.who.push((pseudonym, shard, entry.channel));
            self.at.push((entry.at - self.opens).clamp(0, i64::from(u32::MAX)) as u32);
            self.digests.extend_from_slice(&entry.digests[..self.width - 1]);
            self.digests.push(person);
        }
    }

    /// Walks by (time, pseudonym) and accepts who holds nothing that somebody else has taken; answers the others. Where each channel has an
    /// entry of its own, what a person has taken through one channel stays that person's through the next.
    fn late(self) -> Vec<Struck> {
        let mut order: Vec<u32> = (0..self.who.len() as u32).collect();
        order.sort_unstable_by_key(|index| (self.at[*index as usize], self.who[*index as usize]));
        let mut taken: HashMap<u64, u32> = HashMap::new();
        let mut late = Vec::new();
        for index in order {
            let own = &self.digests[index as usize * self.width..][..self.width];
            let known = || own.iter().zip(0_u64..).filter(|(digest, _)| **digest != 0);
            // The same digest of a phone and of a device is no clash.
            let apart = |(digest, key): (&u64, u64)| digest.wrapping_add(key.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let (pseudonym, shard, channel) = self.who[index as usize];
            let of_another = |holder: &u32| self.one_per_person || self.who[*holder as usize].0 != pseudonym;
            if known().any(|digest| taken.get(&apart(digest)).is_some_and(of_another)) {
                late.push(Struck { pseudonym, shard, channel });
            } else {
                taken.extend(known().map(|digest| (apart(digest), index)));
            }
        }
        late
    }
}

fn number_of(pseudonym: &Pseudonym) -> u64 {
    pseudonym.0[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Entry;

    fn arrivals(keys: usize, one_per_person: bool, entries: &[(u8, u8, i64, &[u64])]) -> Vec<(u8, u8)> {
        let mut arrivals = Arrivals { width: keys + 1, one_per_person, ..Arrivals::default() };
        let mut people: Vec<u8> = entries.iter().map(|entry| entry.0).collect();
        people.dedup();
        for person in people {
            let mut record = PersonRecord::default();
            for (_, channel, at, known) in entries.iter().filter(|entry| entry.0 == person) {
                let mut digests = [0; 3];
                digests[..known.len()].copy_from_slice(known);
                record.entries.push(Entry { round: 1, channel: *channel, at: *at, digests, ..Entry::default() });
            }
            arrivals.take(Pseudonym([person; 32]), 0, &record, 1);
        }
        let mut late: Vec<(u8, u8)> =
            arrivals.late().iter().map(|struck| (struck.pseudonym.0[0], struck.channel)).collect();
        late.sort_unstable();
        late
    }

    #[test]
    fn the_earliest_holder_of_a_phone_keeps_the_place_and_a_tie_goes_to_the_lower_pseudonym() {
        let late = arrivals(1, true, &[(1, 0, 20, &[7]), (2, 0, 10, &[7]), (3, 0, 10, &[8]), (4, 0, 10, &[8])]);
        assert_eq!(late, [(1, 0), (4, 0)]);
    }

    #[test]
    fn who_was_struck_takes_no_identity_from_others() {
        // The second has the first one's phone; the third has the second one's device, which is free again.
        let late = arrivals(2, true, &[(1, 0, 1, &[7, 1]), (2, 0, 2, &[7, 2]), (3, 0, 3, &[9, 2])]);
        assert_eq!(late, [(2, 0)]);
    }

    #[test]
    fn one_person_on_two_channels_keeps_the_earlier_entry_unless_every_channel_counts() {
        let entries: [(u8, u8, i64, &[u64]); 2] = [(1, 0, 600, &[]), (1, 2, 599, &[])];
        assert_eq!(arrivals(0, true, &entries), [(1, 0)]);
        assert_eq!(arrivals(0, false, &entries), []);
    }

    #[test]
    fn one_person_may_bring_one_phone_through_every_channel_that_counts_and_nobody_else_may() {
        let entries: [(u8, u8, i64, &[u64]); 3] = [(1, 0, 600, &[7]), (1, 2, 601, &[7]), (2, 0, 602, &[7])];
        assert_eq!(arrivals(1, false, &entries), [(2, 0)]);
        assert_eq!(arrivals(1, true, &entries), [(1, 2), (2, 0)]);
    }

    #[test]
    fn a_phone_is_not_a_device_and_what_is_not_known_is_nobodys() {
        let late = arrivals(2, true, &[(1, 0, 1, &[7, 0]), (2, 0, 2, &[0, 7]), (3, 0, 3, &[0, 0])]);
        assert_eq!(late, []);
    }
}
