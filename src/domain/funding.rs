//! Who pays the subsidies of a campaign: its sources of money, each with a weight, share every sum to the fen.
//!
//! Of a running total the sources up to the i-th bear `floor(total x weights up to i / all weights)`, so each source is less than a fen
//! from its exact part, the parts of a total are the total, and those of its steps add up to them. Money that comes back lowers the
//! total and goes back the same way.

use serde::Serialize;

use super::campaign::schema::Funding;
use super::money::Fen;

/// What one source pays of something; negative for money that comes back to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = FundingPart)]
pub struct Part {
    pub source: String,
    pub subsidy: Fen,
}

/// What one source of a campaign pays in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = FundingShare)]
pub struct Share {
    pub campaign_id: String,
    pub source: String,
    pub subsidy: Fen,
}

/// The sources of a campaign, in the order of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    pub campaign_id: String,
    pub funding: Vec<Funding>,
}

impl Sources {
    /// What each source pays of a total.
    pub fn split(&self, total: Fen) -> Vec<Fen> {
        let all: i128 = self.funding.iter().map(|one| i128::from(one.weight)).sum();
        let (mut weights, mut before) = (0, Fen::ZERO);
        let parts = self.funding.iter().map(|one| {
            weights += i128::from(one.weight);
            let upto = Fen((i128::from(total.0) * weights).div_euclid(all.max(1)) as i64);
            let part = upto - before;
            before = upto;
            part
        });
        parts.collect()
    }
}

/// The parts of sums as they come in, campaign by campaign.
#[derive(Clone, Debug)]
pub struct Sharing<'a> {
    sources: &'a Sources,
    total: Fen,
    parts: Vec<Fen>,
}

impl<'a> Sharing<'a> {
    pub fn of(sources: &'a Sources) -> Sharing<'a> {
        Sharing { sources, total: Fen::ZERO, parts: sources.split(Fen::ZERO) }
    }

    /// What each source pays of one more sum.
    pub fn add(&mut self, subsidy: Fen) -> Vec<Part> {
        self.total = self.total + subsidy;
        let before = std::mem::replace(&mut self.parts, self.sources.split(self.total));
        let steps = self.parts.iter().zip(before).map(|(now, before)| *now - before);
        let named = self.sources.funding.iter().zip(steps);
        named.map(|(one, subsidy)| Part { source: one.source.clone(), subsidy }).collect()
    }

    /// What each source pays of all of them.
    pub fn shares(&self) -> impl Iterator<Item = Share> + '_ {
        let named = self.sources.funding.iter().zip(&self.parts);
        let campaign_id = &self.sources.campaign_id;
        named.map(move |(one, part)| Share {
            campaign_id: campaign_id.clone(),
            source: one.source.clone(),
            subsidy: *part,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(weights: &[u32]) -> Sources {
        let funding =
            weights.iter().enumerate().map(|(n, weight)| Funding { source: format!("s{n}"), weight: *weight });
        Sources { campaign_id: "c".into(), funding: funding.collect() }
    }

    #[test]
    fn parts_of_any_total_are_the_total_and_each_is_less_than_a_fen_from_exact() {
        for weights in [&[1][..], &[7, 3], &[1, 1, 1], &[1_000_000, 1, 999_999], &[5, 3, 1, 1, 2]] {
            let (of, all) = (sources(weights), weights.iter().map(|one| i128::from(*one)).sum::<i128>());
            for total in (-50..=50).chain([9_999, -10_001, 99_999_999_999_999, -99_999_999_999_999]) {
                let parts = of.split(Fen(total));
                assert_eq!(parts.iter().copied().sum::<Fen>(), Fen(total));
                for (part, weight) in parts.iter().zip(weights) {
                    let off = i128::from(part.0) * all - i128::from(total) * i128::from(*weight);
                    assert!(off.abs() < all, "{weights:?} of {total}: {parts:?}");
                }
            }
        }
        assert_eq!(sources(&[7, 3]).split(Fen(2_001)), [Fen(1_400), Fen(601)]);
    }

    #[test]
    fn what_comes_back_in_steps_goes_back_to_whom_it_came_from() {
        let of = sources(&[1, 1, 1]);
        let mut sharing = Sharing::of(&of);
        let steps = [1_000, 2_000, -700, -300, -2_000].map(|step| sharing.add(Fen(step)));
        for (parts, step) in steps.iter().zip([1_000, 2_000, -700, -300, -2_000]) {
            assert_eq!(parts.iter().map(|part| part.subsidy).sum::<Fen>(), Fen(step));
        }
        assert!(sharing.shares().all(|share| share.subsidy == Fen::ZERO));
    }
}
