//! Reads a round: its supply, draw, release and windows.

use super::parse::text;
use super::parse_terms::{eligibility, limit, reservation, use_rule, validity};
use super::reader::{Node, Obj};
use super::schema::*;

/// `order` is that of the campaign's packs, in which the round's supply is kept.
pub fn round(node: &Node, order: &[&str]) -> Option<Round> {
    let mut fields = node.object()?;
    let round_id = fields.req("round_id").and_then(|n| n.id());
    let mode = fields.req("mode").and_then(|n| n.word());
    let name = fields.opt("name").and_then(|n| text(&n));
    let reservation = match fields.nullable("reservation") {
        None => RoundReservation::Campaigns,
        Some(None) => RoundReservation::WalkIn,
        Some(Some(own)) => {
            reservation(&own).map_or(RoundReservation::Unread, |own| RoundReservation::Own(Box::new(own)))
        }
    };
    let eligibility = fields.opt("eligibility").and_then(|n| eligibility(&n));
    let validity = fields.opt("validity").and_then(|n| validity(&n));
    let use_rule = fields.opt("use_rule").and_then(|n| use_rule(&n, UseRule::standard()));
    let limits = fields.opt("limits").and_then(|n| n.list(0..=30, |n| limit(&n))).unwrap_or_default();
    let supply = supply(node, &mut fields, order);
    let assignment = fields.opt("assignment").and_then(|n| n.word()).unwrap_or(Assignment::Single);
    let max_packs_per_person = fields.opt("max_packs_per_person").and_then(|n| n.int(1..=100)).unwrap_or(1);
    let exclude_winners_of =
        fields.opt("exclude_winners_of").and_then(|n| n.distinct(0..=60, Node::id)).unwrap_or_default();
    let entries_list = fields.opt("entries_list").and_then(|n| n.id());
    let draw = fields.opt("draw").and_then(|n| draw(&n));
    let opens_at = fields.opt("opens_at").and_then(|n| n.instant());
    let closes_at = fields.opt("closes_at").and_then(|n| n.instant());
    let credit_at = fields.opt("credit_at").and_then(|n| n.instant());
    let release = fields.opt("release").and_then(|n| release(&n));
    let unclaimed = fields.opt("unclaimed").and_then(|n| n.word()).unwrap_or(Unclaimed::Credit);
    let waves = fields.opt("waves").and_then(|n| n.list(0..=20, |n| wave(&n))).unwrap_or_default();
    let lost_at = fields.opt("lost_at").and_then(|n| n.word());
    fields.finish();
    Some(Round {
        round_id: round_id?,
        mode: mode?,
        name,
        reservation,
        eligibility,
        validity,
        use_rule,
        limits,
        supply: supply?,
        assignment,
        max_packs_per_person,
        exclude_winners_of,
        entries_list,
        draw,
        opens_at,
        closes_at,
        credit_at,
        release,
        unclaimed,
        waves,
        lost_at: lost_at.unwrap_or(if unclaimed == Unclaimed::Release { LostAt::Close } else { LostAt::FirstTap }),
    })
}

fn supply(round: &Node, fields: &mut Obj, order: &[&str]) -> Option<Supply> {
    let (packs, money) = (fields.opt("packs"), fields.opt("money"));
    if packs.is_some() == money.is_some() {
        round.fault(
            "exactly_one_of",
            "场次须且只须填 packs 与 money 之一。",
            "A round needs exactly one of packs and money.",
        );
    }
    match (packs, money) {
        (Some(packs), _) => packs_supply(&packs, order),
        (None, Some(money)) => money_supply(&money, order),
        (None, None) => Some(Supply::Packs(Vec::new())),
    }
}

/// Keys of a JSON object have no order, so the campaign's is used everywhere: results must not depend on spelling.
fn in_campaign_order<T>(mut items: Vec<T>, order: &[&str], id: impl Fn(&T) -> &str) -> Vec<T> {
    items.sort_by_key(|item| order.iter().position(|known| *known == id(item)).unwrap_or(usize::MAX));
    items
}

fn packs_supply(node: &Node, order: &[&str]) -> Option<Supply> {
    let packs = node.entries(1..=8, |pack_id, node| {
        if !node.is_object() {
            return Some(PackSupply { pack_id: pack_id.to_owned(), count: node.int(PACKS)?, by_channel: None });
        }
        let mut fields = node.object()?;
        let count = fields.req("count").and_then(|n| n.int(PACKS));
        let by_channel = fields.opt("by_channel").and_then(|n| by_channel(&n));
        fields.finish();
        Some(PackSupply { pack_id: pack_id.to_owned(), count: count?, by_channel })
    })?;
    Some(Supply::Packs(in_campaign_order(packs, order, |pack| &pack.pack_id)))
}

/// Packs of one kind in one round: Chengdu gave 2 million, the largest round seen 3.7 million.
const PACKS: std::ops::RangeInclusive<i64> = 1..=10_000_000;

fn money_supply(node: &Node, order: &[&str]) -> Option<Supply> {
    let mut fields = node.object()?;
    let amount = fields.req("amount").and_then(|n| match n.str() {
        Some("pool") => Some(MoneyAmount::Pool),
        Some(_) => {
            n.fault("unknown_value", "须为金额（分）或 pool。", "Must be an amount in fen or pool.");
            None
        }
        None => n.fen(1).map(MoneyAmount::Fixed),
    });
    let weights = fields.req("weights").and_then(|n| {
        n.entries(1..=8, |pack_id, n| Some(PackWeight { pack_id: pack_id.to_owned(), weight: n.int(1..=1_000_000)? }))
    });
    let by_channel = fields.opt("by_channel").and_then(|n| by_channel(&n));
    fields.finish();
    Some(Supply::Money {
        amount: amount?,
        weights: in_campaign_order(weights?, order, |weight| &weight.pack_id),
        by_channel,
    })
}

fn by_channel(node: &Node) -> Option<ByChannel> {
    if node.is_object() {
        let most = crate::domain::money::FEN_LIMIT - 1;
        let parts = node
            .entries(1..=5, |channel, n| Some(ChannelPart { channel: channel.to_owned(), count: n.int(0..=most)? }))?;
        return Some(ByChannel::Parts(parts));
    }
    if node.str() != Some("equal") {
        node.fault("unknown_value", "须为 equal 或 {渠道: 数量}。", "Must be equal or {channel: number}.");
        return None;
    }
    Some(ByChannel::Equal)
}

fn draw(node: &Node) -> Option<Draw> {
    let mut fields = node.object()?;
    let at = fields.req("at").and_then(|n| n.instant());
    let close_list_at = fields.opt("close_list_at").and_then(|n| n.instant());
    let entropy = fields.req("entropy").and_then(|n| n.distinct(1..=3, |n| n.word()));
    let drand_round = fields.opt("drand_round").and_then(|n| n.int(1..=9_007_199_254_740_991));
    fields.finish();
    Some(Draw { at: at?, close_list_at, entropy: entropy?, drand_round })
}

fn release(node: &Node) -> Option<Release> {
    let mut fields = node.object()?;
    let shape = fields.req("shape").and_then(|n| n.word::<ReleaseShape>());
    let at_once = shape == Some(ReleaseShape::AtOnce);
    let seconds = if at_once { fields.opt("seconds") } else { fields.req("seconds") };
    let seconds = seconds.and_then(|n| n.int(i64::from(!at_once)..=if at_once { 0 } else { 604_800 }));
    let slices = fields.opt("slices").and_then(|n| n.int(2..=1000));
    let points = fields.opt("points").and_then(|n| n.list(1..=100, |n| point(&n)));
    fields.finish();
    let shape = shape?;
    let needs = [
        ("slices", shape == ReleaseShape::Slices, slices.is_some()),
        ("points", shape == ReleaseShape::Points, points.is_some()),
    ];
    for (field, wanted, present) in needs {
        if wanted != present {
            let (zh, en) = (
                format!("{field} 须且只须与 shape {field} 同用。"),
                format!("{field} belongs to the shape {field}, and only to it."),
            );
            node.fault("shape_mismatch", zh, en);
        }
    }
    Some(Release { shape, seconds: seconds.unwrap_or(0), slices, points: points.unwrap_or_default() })
}

fn point(node: &Node) -> Option<ReleasePoint> {
    let pair: Vec<u32> = node.list(2..=2, |n| n.int(0..=604_800))?;
    match pair[..] {
        [second, basis_points] => Some(ReleasePoint { second, basis_points }),
        _ => None,
    }
}

fn wave(node: &Node) -> Option<Wave> {
    let mut fields = node.object()?;
    let opens_at = fields.req("opens_at").and_then(|n| n.instant());
    let closes_at = fields.req("closes_at").and_then(|n| n.instant());
    fields.finish();
    Some(Wave { opens_at: opens_at?, closes_at: closes_at? })
}
