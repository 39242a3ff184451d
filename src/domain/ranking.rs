//! Who wins among millions of scored entries: the lowest of a group, the second ranking of `chance`, and the cap on one person's packs.
//! A scored entry is 16 bytes; the full score is asked for only where the first eight bytes are equal.

use std::cmp::Ordering;

use super::draw::{Cutoff, Score};
use super::person::Pseudonym;

/// The first eight bytes of an entry's score, and its place on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    pub high: u64,
    pub index: u32,
}

/// The order of the draw: score, then pseudonym. `exact` answers both in full, for the entries whose first bytes are equal.
pub fn order(a: &Ranked, b: &Ranked, exact: &impl Fn(u32) -> (Score, Pseudonym)) -> Ordering {
    a.high
        .cmp(&b.high)
        .then_with(|| if a.index == b.index { Ordering::Equal } else { exact(a.index).cmp(&exact(b.index)) })
}

/// First bytes of a score above which, among so many entries, none of the `winners` lowest is: scores are uniform, so about
/// `winners` of them lie below `winners / entries` of the range, give or take the root of that number; eight times the root is room
/// enough for any list.
pub fn bound(winners: u64, entries: u64) -> u64 {
    if winners >= entries {
        return u64::MAX;
    }
    let kept = u128::from(winners) + 8 * u128::from(winners.isqrt()) + 64;
    u64::try_from((kept << 64) / u128::from(entries)).unwrap_or(u64::MAX)
}

/// Brings the `winners` lowest to the front and answers them, the last winner last.
pub fn lowest<'a>(
    ranked: &'a mut [Ranked],
    winners: u64,
    exact: &impl Fn(u32) -> (Score, Pseudonym),
) -> &'a mut [Ranked] {
    let winners = usize::try_from(winners).unwrap_or(usize::MAX).min(ranked.len());
    if winners > 0 {
        ranked.select_nth_unstable_by(winners - 1, |a, b| order(a, b, exact));
    }
    &mut ranked[..winners]
}

/// The cutoff of winners as `lowest` has left them; absent when nobody wins.
pub fn cutoff(winners: &[Ranked], exact: &impl Fn(u32) -> (Score, Pseudonym)) -> Option<Cutoff> {
    let (score, pseudonym) = exact(winners.last()?.index);
    Some(Cutoff { score, pseudonym })
}

/// A group of the capped draw: what is left, and who has won so far, lowest first.
#[derive(Clone, Debug, Default)]
pub struct Open {
    pub left: u64,
    pub winners: Vec<Ranked>,
}

/// The draw where a person has entries in several groups and may win in at most `most` of them. All entries are taken in the order of
/// the draw, over all groups; one wins if its group has a pack left and its person has won fewer than `most`. So a person keeps the
/// lowest scores, and what one may not keep goes to the next on that group's list. `person` answers the same number for entries of the
/// same person, `group` the group of an entry, and `before` how often a person has won in earlier windows: a win that was let lie counts
/// as one, for a wave is for those whom the draw has not reached.
pub fn capped(
    ranked: &mut [Ranked],
    groups: &mut [Open],
    group: impl Fn(u32) -> Option<usize>,
    person: impl Fn(u32) -> u32,
    before: impl Fn(u32) -> u32,
    most: u32,
    exact: &impl Fn(u32) -> (Score, Pseudonym),
) {
    ranked.sort_unstable_by(|a, b| order(a, b, exact));
    let mut wins = std::collections::HashMap::<u32, u32>::new();
    let mut left: u64 = groups.iter().map(|group| group.left).sum();
    for one in ranked {
        if left == 0 {
            break;
        }
        let Some(group) = group(one.index).map(|index| &mut groups[index]).filter(|group| group.left > 0) else {
            continue;
        };
        let wins = wins.entry(person(one.index)).or_insert_with(|| before(one.index));
        if *wins < most {
            *wins += 1;
            group.left -= 1;
            group.winners.push(*one);
            left -= 1;
        }
    }
}

/// How many of `winners` get each pack of a `chance` group: the packs in their order, each until it is given away.
pub fn shares(winners: u64, packs: &[(u8, u64)]) -> Vec<(u8, u64)> {
    let mut left = winners;
    let share = |(pack, count): &(u8, u64)| {
        let share = left.min(*count);
        left -= share;
        (*pack, share)
    };
    packs.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::draw::{Entry, Inputs, Seed};

    #[test]
    fn the_bound_leaves_room_for_all_winners_and_lets_most_others_go() {
        assert_eq!(bound(5, 5), u64::MAX);
        assert_eq!(bound(0, 1_000) >> 54, 65);
        assert_eq!(bound(2_000_000, 15_000_000), (((2_000_000u128 + 8 * 1_414 + 64) << 64) / 15_000_000) as u64);
        assert_eq!(bound(999, 1_000), u64::MAX);
        for root in 0..20 {
            let seed = seed(root);
            let exact = |n: u32| score(&seed, n, "wechat", "");
            let people = all(20_000, &exact);
            let kept = people.iter().filter(|one| one.high <= bound(2_000, 20_000)).count();
            assert!((2_000..2_800).contains(&kept), "{kept} are kept of seed {root}");
        }
    }
    use crate::domain::person::mac;

    fn person(n: u32) -> Pseudonym {
        Pseudonym(mac(b"people", &[&n.to_be_bytes()]))
    }

    fn seed(root: u8) -> Seed {
        let (rules_hash, root, secret) = ([1; 32], [root; 32], [3; 32]);
        Seed::of(&Inputs { campaign_id: "c", round_id: "r", rules_hash, root, count: 9, entropy: &[], secret })
    }

    fn score(seed: &Seed, n: u32, channel: &str, pack_id: &str) -> (Score, Pseudonym) {
        let pseudonym = person(n);
        (seed.score(&Entry { pseudonym, channel, pack_id, k: 0 }), pseudonym)
    }

    fn all(people: u32, exact: &impl Fn(u32) -> (Score, Pseudonym)) -> Vec<Ranked> {
        (0..people).map(|index| Ranked { high: exact(index).0.high(), index }).collect()
    }

    /// Pearson's statistic of counts that should be equal.
    fn chi_square(counts: &[u64]) -> u64 {
        let expected = counts.iter().sum::<u64>() / counts.len() as u64;
        counts.iter().map(|count| count.abs_diff(expected).pow(2)).sum::<u64>() / expected
    }

    #[test]
    fn the_lowest_win_inclusively_and_the_order_of_the_list_does_not_matter() {
        let seed = seed(2);
        let exact = |n: u32| score(&seed, n, "wechat", "");
        let mut forward = all(500, &exact);
        let mut backward: Vec<Ranked> = forward.iter().rev().copied().collect();
        let cutoff_of = |list: &mut Vec<Ranked>, winners| cutoff(lowest(list, winners, &exact), &exact);
        let found = cutoff_of(&mut forward, 20);
        assert_eq!(found, cutoff_of(&mut backward, 20));
        let found = found.expect("twenty winners have a last one");
        let admitted = (0..500).map(exact).filter(|(score, person)| found.admits(*score, *person)).count();
        assert_eq!(admitted, 20);
        assert_eq!(cutoff_of(&mut forward, 0), None);
        assert_eq!(lowest(&mut forward, 9_999, &exact).len(), 500);
    }

    #[test]
    fn equal_first_bytes_are_ordered_by_the_rest_and_then_by_the_pseudonym() {
        let exact = |n: u32| {
            let mut bytes = [0; 32];
            bytes[31] = (n / 2) as u8;
            (Score(bytes), person(n))
        };
        let mut ranked: Vec<Ranked> = (0..10).map(|index| Ranked { high: 0, index }).collect();
        let won: std::collections::BTreeSet<u32> = lowest(&mut ranked, 3, &exact).iter().map(|one| one.index).collect();
        let third = if person(2) < person(3) { 2 } else { 3 };
        assert_eq!(won, [0, 1, third].into());
    }

    /// A million entrants, one in five wins: the winners are spread evenly over any property that is not the score. With 63 degrees of
    /// freedom a fair draw exceeds 120 about once in 60,000 seeds, and the seeds here never change.
    #[test]
    fn a_million_entrants_have_the_same_chance() {
        const PEOPLE: u32 = 1_000_000;
        let (seed, mut state) = (seed(7), 0_u64);
        // Pseudonyms as they come out of a MAC, but made cheaply: the draw must be fair whatever they are.
        let people: Vec<Pseudonym> = (0..PEOPLE)
            .map(|n| {
                let mut bytes = [0; 32];
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes[..8].copy_from_slice(&state.to_be_bytes());
                bytes[8..12].copy_from_slice(&n.to_be_bytes());
                Pseudonym(bytes)
            })
            .collect();
        let entry = |n: u32, channel| Entry { pseudonym: people[n as usize], channel, pack_id: "", k: 0 };
        let exact = |n: u32| (seed.score(&entry(n, "alipay")), people[n as usize]);
        let mut ranked = all(PEOPLE, &exact);
        let (mut by_place, mut by_name, mut in_both) = ([0_u64; 64], [0_u64; 64], 0_u64);
        let winners = lowest(&mut ranked, 200_000, &exact);
        let last = cutoff(winners, &exact).expect("a cutoff");
        for winner in winners.iter() {
            by_place[(winner.index / (PEOPLE / 64)).min(63) as usize] += 1;
            by_name[usize::from(people[winner.index as usize].0[0]) / 4] += 1;
            // The same person's entry of another channel is another score: winning here says nothing about winning there.
            in_both += u64::from(seed.score(&entry(winner.index, "wechat")) <= last.score);
        }
        assert!(chi_square(&by_place) < 120, "{by_place:?}");
        assert!(chi_square(&by_name) < 120, "{by_name:?}");
        // One in five of 200,000, give or take five standard deviations of 179.
        assert!(in_both.abs_diff(40_000) < 900, "{in_both}");
    }

    #[test]
    fn a_person_keeps_the_lowest_scores_and_the_next_get_what_one_may_not_keep() {
        let seed = seed(4);
        let packs = ["a", "b", "c"];
        // Entry 3n + p is person n's for pack p.
        let exact = |n: u32| score(&seed, n / 3, "wechat", packs[(n % 3) as usize]);
        let mut ranked = all(300, &exact);
        let mut groups = [10, 20, 60].map(|left| Open { left, winners: Vec::new() });
        let group = |index: u32| Some((index % 3) as usize);
        capped(&mut ranked, &mut groups, group, |index| index / 3, |_| 0, 1, &exact);
        assert_eq!(groups.each_ref().map(|group| group.winners.len()), [10, 20, 60]);
        let people: std::collections::BTreeSet<u32> =
            groups.iter().flat_map(|group| &group.winners).map(|one| one.index / 3).collect();
        assert_eq!(people.len(), 90, "nobody has two");
        // Anybody can judge one person alone, by the cutoffs: the lowest scores below them, at most one.
        let cutoffs = groups.each_ref().map(|group| cutoff(&group.winners, &exact).expect("a cutoff"));
        for person in 0..100 {
            let mut own: Vec<(Score, u32)> = (0..3).map(|pack| (exact(3 * person + pack).0, pack)).collect();
            own.sort_unstable();
            let admitted =
                own.iter().find(|(score, pack)| cutoffs[*pack as usize].admits(*score, self::person(person)));
            let won =
                (0..3).find(|pack| groups[*pack as usize].winners.iter().any(|one| one.index == 3 * person + pack));
            assert_eq!(admitted.map(|(_, pack)| *pack), won);
        }
    }

    #[test]
    fn chance_gives_its_packs_in_their_order_until_the_winners_run_out() {
        assert_eq!(shares(7, &[(2, 3), (0, 3), (1, 9)]), [(2, 3), (0, 3), (1, 1)]);
        assert_eq!(shares(2, &[(2, 3), (0, 3)]), [(2, 2), (0, 0)]);
    }
}
