//! `chance` where nothing is drawn (`quanyu.deal.v2`): which pack of a round falls to a person is a function of the round's secret and
//! the person alone. Nobody can know it before, and no number of taps, nodes or channels asked changes it.
//!
//! key = SHA-256("quanyu.deal.v1\0" ‖ lp(campaign_id) ‖ lp(round_id) ‖ rules_hash ‖ secret), with lp and secret as in a draw,
//! in both versions.
//!
//! - A first-come round offers a person its packs in an order of the person's own. For the n-th place (from 0) the first eight bytes of
//!   HMAC-SHA256(key, "order\0" ‖ pseudonym ‖ lp(channel) ‖ u16 BE n) are a number x; of the packs that have no place yet, ordered
//!   by their ids as bytes and each as wide as its supply, the one at floor(x · total / 2^64) takes it. So the first place falls to each
//!   pack in proportion to its supply, and who meets a pack that is gone is offered the others in the same proportion. Winners come
//!   one by one and nobody knows how many will: what n of them cost is n times the mean value of a pack in expectation, not to the fen.
//!   `quanyu.deal.v1` had the packs in file order.
//! - A grant ranks the names of a channel by HMAC-SHA256(key, "grant\0" ‖ pseudonym), ties by pseudonym; the packs go along this ranking
//!   in file order, each to as many as its share of the names is (`ranking.rs`, `shares`). `quanyu.deal.v1` gave each until it was gone.

use sha2::{Digest, Sha256};

use super::draw::Score;
use super::person::{MacKey, Pseudonym};

const VERSION: &[u8] = b"quanyu.deal.v1\0";

/// The key of a round.
#[derive(Clone)]
pub struct Deal(MacKey);

impl Deal {
    pub fn of(campaign_id: &str, round_id: &str, rules_hash: [u8; 32], secret: [u8; 32]) -> Deal {
        let mut key = Sha256::new_with_prefix(VERSION);
        for text in [campaign_id, round_id] {
            key.update((text.len() as u32).to_be_bytes());
            key.update(text);
        }
        Deal(MacKey::new(&key.chain_update(rules_hash).chain_update(secret).finalize()))
    }

    /// The packs in the order in which a person is offered them; `packs` are (pack, supply) as they stand side by side. Packs of which there were
    /// never any come last.
    pub fn order(&self, pseudonym: Pseudonym, channel: &str, packs: &[(u8, u64)]) -> Vec<u8> {
        let mut left: Vec<(u8, u64)> = packs.to_vec();
        let mut order = Vec::with_capacity(left.len());
        for place in 0..packs.len() as u16 {
            let total: u128 = left.iter().map(|(_, supply)| u128::from(*supply)).sum();
            let mut at = (u128::from(self.number(pseudonym, channel, place)) * total) >> 64;
            let taken = left.iter().position(|(_, supply)| {
                let here = at < u128::from(*supply);
                at = at.saturating_sub(u128::from(*supply));
                here
            });
            order.push(left.remove(taken.unwrap_or_default()).0);
        }
        order
    }

    /// By which a grant ranks its names.
    pub fn rank(&self, pseudonym: Pseudonym) -> Score {
        Score(self.0.mac(&[b"grant\0", &pseudonym.0]))
    }

    fn number(&self, pseudonym: Pseudonym, channel: &str, place: u16) -> u64 {
        let length = (channel.len() as u32).to_be_bytes();
        Score(self.0.mac(&[b"order\0", &pseudonym.0, &length, channel.as_bytes(), &place.to_be_bytes()])).high()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::person::mac;

    fn deal() -> Deal {
        Deal::of("c", "r", [1; 32], [2; 32])
    }

    fn person(n: u32) -> Pseudonym {
        Pseudonym(mac(b"people", &[&n.to_be_bytes()]))
    }

    #[test]
    fn an_order_has_every_pack_once_and_never_changes() {
        for n in 0..200 {
            let packs = [(4, 10), (0, 0), (2, 1), (9, 1_000_000)];
            let order = deal().order(person(n), "wechat", &packs);
            assert_eq!(order, deal().order(person(n), "wechat", &packs));
            assert_eq!(order.last(), Some(&0), "what there was never any of comes last");
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 2, 4, 9]);
        }
        assert_eq!(deal().order(person(1), "wechat", &[(3, 0), (1, 0)]), [3, 1]);
        assert_eq!(deal().order(person(1), "wechat", &[]), [0_u8; 0]);
    }

    /// 60,000 people and packs of 1, 2 and 3 parts: each place falls to the packs as their supply says, five standard deviations wide.
    #[test]
    fn the_first_place_is_in_proportion_to_the_supply_and_the_second_to_what_remains() {
        let packs = [(0, 1_000), (1, 2_000), (2, 3_000)];
        let (mut first, mut after_two) = ([0_i64; 3], [0_i64; 3]);
        for n in 0..60_000 {
            let order = deal().order(person(n), "wechat", &packs);
            first[usize::from(order[0])] += 1;
            if order[0] == 2 {
                after_two[usize::from(order[1])] += 1;
            }
        }
        for (found, expected) in first.iter().zip([10_000, 20_000, 30_000]) {
            assert!((found - expected).abs() < 620, "{first:?}");
        }
        let half: i64 = after_two.iter().sum();
        assert!((after_two[0] - half / 3).abs() < 420 && after_two[2] == 0, "{after_two:?}");
    }

    #[test]
    fn rounds_channels_and_files_deal_independently() {
        let packs = [(0, 5), (1, 5)];
        let orders = |deal: &Deal, channel: &str| -> Vec<u8> {
            (0..64).map(|n| deal.order(person(n), channel, &packs)[0]).collect()
        };
        let one = orders(&deal(), "wechat");
        let others = [
            orders(&deal(), "alipay"),
            orders(&Deal::of("c", "s", [1; 32], [2; 32]), "wechat"),
            orders(&Deal::of("c", "r", [9; 32], [2; 32]), "wechat"),
            orders(&Deal::of("c", "r", [1; 32], [9; 32]), "wechat"),
        ];
        assert!(others.iter().all(|other| *other != one));
        assert_ne!(deal().rank(person(1)), deal().rank(person(2)));
    }
}
