//! Who wins among millions of scored entries: the lowest of a group, the second ranking of `chance`, and the cap on one person's packs.
//! A scored entry is 16 bytes; the full score is asked for only where the first eight bytes are equal.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::draw::{Cutoff, Score};
use super::person::Pseudonym;

/// By which version `chance` shares the packs of a round. It is fixed when the campaign is published: what was promised then is what is
/// drawn or dealt, whatever program does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The pack that stands first in the file is given until it is gone, then the next.
    #[default]
    V1,
    /// Every pack in proportion to its supply.
    V2,
}

impl Rule {
    /// The name under which a drawn round is published.
    pub fn of_draw(self) -> &'static str {
        match self {
            Rule::V1 => "quanyu.draw.v1",
            Rule::V2 => "quanyu.draw.v2",
        }
    }

    /// The name under which a round is published whose packs are dealt without a draw.
    pub fn of_deal(self) -> &'static str {
        match self {
            Rule::V1 => "quanyu.deal.v1",
            Rule::V2 => "quanyu.deal.v2",
        }
    }

    pub fn is_first(&self) -> bool {
        *self == Rule::V1
    }
}

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

/// How many of `winners` get each pack of a `chance` group; `packs` are (pack, supply), `id` is the pack's name.
///
/// By the second version pack i of supply s(i) gets floor(w · s(i) / S) of w winners, S being the sum of the supplies and w at most S. What
/// is left goes, one each, to the packs with the largest remainders w · s(i) mod S; of equal remainders the pack whose id is smaller as
/// bytes goes first. So what is spent does not depend on the order of the file. By the first version the packs go in that order, each
/// until it is given away.
pub fn shares<'a>(rule: Rule, winners: u64, packs: &[(u8, u64)], id: impl Fn(u8) -> &'a str) -> Vec<(u8, u64)> {
    let supply: u128 = packs.iter().map(|(_, count)| u128::from(*count)).sum();
    let mut left = u128::from(winners).min(supply);
    if rule == Rule::V1 || left == 0 {
        let share = |(pack, count): &(u8, u64)| {
            let share = left.min(u128::from(*count));
            left -= share;
            (*pack, share as u64)
        };
        return packs.iter().map(share).collect();
    }
    let exact: Vec<u128> = packs.iter().map(|(_, count)| left * u128::from(*count)).collect();
    let mut shares: Vec<(u8, u64)> =
        packs.iter().zip(&exact).map(|((pack, _), exact)| (*pack, (exact / supply) as u64)).collect();
    left -= shares.iter().map(|(_, share)| u128::from(*share)).sum::<u128>();
    let mut nearest: Vec<usize> = (0..packs.len()).collect();
    nearest.sort_by(|a, b| {
        (exact[*b] % supply).cmp(&(exact[*a] % supply)).then_with(|| id(packs[*a].0).cmp(id(packs[*b].0)))
    });
    // Fewer are left than there are packs with a remainder, so none gets more than it has.
    nearest.into_iter().take(left as usize).for_each(|place| shares[place].1 += 1);
    shares
}

/// The packs in the order in which they stand side by side where a first-come round deals them: by their ids as bytes, so that the file's
/// order says nothing; by the first version in the file's.
pub fn side_by_side<'a>(rule: Rule, packs: &mut [(u8, u64)], id: impl Fn(u8) -> &'a str) {
    if rule == Rule::V2 {
        packs.sort_by(|a, b| id(a.0).cmp(id(b.0)));
    }
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

    fn id(pack: u8) -> &'static str {
        ["e", "d", "c", "b", "a"][usize::from(pack)]
    }

    #[test]
    fn by_the_first_version_chance_gives_its_packs_in_their_order_until_the_winners_run_out() {
        assert_eq!(shares(Rule::V1, 7, &[(2, 3), (0, 3), (1, 9)], id), [(2, 3), (0, 3), (1, 1)]);
        assert_eq!(shares(Rule::V1, 2, &[(2, 3), (0, 3)], id), [(2, 2), (0, 0)]);
    }

    #[test]
    fn chance_gives_its_packs_in_proportion_and_of_equal_remainders_to_the_smaller_id() {
        for (winners, packs, expected) in [
            (7, vec![(2, 3), (0, 3), (1, 9)], vec![(2, 2), (0, 1), (1, 4)]),
            (6, vec![(2, 3), (0, 3), (1, 9)], vec![(2, 1), (0, 1), (1, 4)]),
            (2, vec![(2, 3), (0, 3)], vec![(2, 1), (0, 1)]),
            (1, vec![(2, 3), (0, 3)], vec![(2, 1), (0, 0)]),
            (1, vec![(0, 3), (2, 3)], vec![(0, 0), (2, 1)]),
            (6, vec![(0, 3), (2, 3)], vec![(0, 3), (2, 3)]),
            (9, vec![(0, 3), (2, 3)], vec![(0, 3), (2, 3)]),
            (0, vec![(0, 3), (2, 0)], vec![(0, 0), (2, 0)]),
            (3, vec![(0, 0), (2, 0)], vec![(0, 0), (2, 0)]),
            (9_999_999, vec![(0, 10_000_000), (1, 10_000_000)], vec![(0, 4_999_999), (1, 5_000_000)]),
            (u64::MAX, vec![(0, u64::MAX), (1, u64::MAX)], vec![(0, u64::MAX / 2), (1, u64::MAX / 2 + 1)]),
        ] {
            assert_eq!(shares(Rule::V2, winners, &packs, id), expected, "{winners} of {packs:?}");
        }
    }

    /// Every order of up to five packs, at every number of winners.
    #[test]
    fn what_chance_spends_does_not_depend_on_the_order_of_the_file() {
        for seed in 0..60_u64 {
            let number = |n: u64| mac(b"packs", &[&seed.to_be_bytes(), &n.to_be_bytes()])[0];
            let packs: Vec<(u8, u64)> = (0..=seed % 5).map(|pack| (pack as u8, u64::from(number(pack) % 12))).collect();
            let supply: u64 = packs.iter().map(|(_, count)| count).sum();
            for winners in 0..=supply {
                let expected = by_pack(shares(Rule::V2, winners, &packs, id));
                assert_eq!(expected.values().sum::<u64>(), winners, "seed {seed}");
                for (pack, count) in &packs {
                    let (share, exact) = (expected[pack] * supply, winners * count);
                    assert!(
                        share.abs_diff(exact) < supply.max(1) && expected[pack] <= *count,
                        "seed {seed}: {packs:?}"
                    );
                }
                for order in orders(&packs) {
                    let found = by_pack(shares(Rule::V2, winners, &order, id));
                    assert_eq!(found, expected, "seed {seed}: {winners} of {order:?}");
                }
            }
        }
    }

    /// The same people come to the same round, whose packs stand in the file in every order, until all is gone.
    #[test]
    fn what_a_rush_deals_by_chance_does_not_depend_on_the_order_of_the_file() {
        for seed in 0..20_u8 {
            let deal = crate::domain::deal::Deal::of("c", "r", [seed; 32], [2; 32]);
            let packs = [(0_u8, 9_u64), (1, 4), (2, 17), (3, 1)];
            let given = |mut order: Vec<(u8, u64)>| -> Vec<Option<u8>> {
                side_by_side(Rule::V2, &mut order, id);
                let mut left: std::collections::BTreeMap<u8, u64> = packs.into();
                let take = |n: u32| {
                    let own = deal.order(person(n), "wechat", &order);
                    let pack = own.into_iter().find(|pack| left[pack] > 0)?;
                    left.entry(pack).and_modify(|left| *left -= 1);
                    Some(pack)
                };
                (0..33).map(take).collect()
            };
            let expected = given(packs.to_vec());
            assert_eq!(expected.iter().flatten().count(), 31, "all packs are given");
            for order in orders(&packs) {
                assert_eq!(given(order.clone()), expected, "seed {seed}: {order:?}");
            }
        }
    }

    fn by_pack(shares: Vec<(u8, u64)>) -> std::collections::BTreeMap<u8, u64> {
        shares.into_iter().collect()
    }

    fn orders(packs: &[(u8, u64)]) -> Vec<Vec<(u8, u64)>> {
        if packs.is_empty() {
            return vec![Vec::new()];
        }
        let from = |first: usize| {
            let mut rest = packs.to_vec();
            let first = rest.remove(first);
            orders(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
        };
        (0..packs.len()).flat_map(from).collect()
    }
}
