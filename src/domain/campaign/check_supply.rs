//! Rules of a round's supply: packs that exist, parts that add up, a pool that can hold money, and who gets which pack.

use super::check_round::Case;
use super::check_terms::unknown_channel;
use super::findings::Findings;
use super::schema::*;
use crate::domain::money::Fen;

impl Case<'_> {
    pub fn check_supply(&self, found: &mut Findings) {
        for pack_id in self.round.supply.pack_ids().filter(|pack_id| self.campaign.pack(pack_id).is_none()) {
            let field = if matches!(self.round.supply, Supply::Packs(_)) { "packs" } else { "money/weights" };
            found.fault(
                self.at(&format!("{field}/{pack_id}")),
                "unknown_pack",
                format!("活动没有券包 {pack_id}。"),
                format!("The campaign has no pack {pack_id}."),
            );
        }
        match &self.round.supply {
            Supply::Packs(packs) => {
                for supply in packs {
                    let at = self.at(&format!("packs/{}", supply.pack_id));
                    self.check_by_channel(found, supply.by_channel.as_ref(), Some(supply.count), &at);
                }
            }
            Supply::Money { amount, weights, by_channel } => {
                let at = self.at("money");
                let fixed = if let MoneyAmount::Fixed(Fen(fen)) = amount { u64::try_from(*fen).ok() } else { None };
                self.check_by_channel(found, by_channel.as_ref(), fixed, &at);
                self.check_pool(found, *amount, weights, &at);
            }
        }
    }

    fn check_by_channel(&self, found: &mut Findings, by_channel: Option<&ByChannel>, total: Option<u64>, at: &str) {
        match (by_channel, total) {
            (Some(ByChannel::Parts(parts)), total) => {
                for part in parts.iter().filter(|part| self.campaign.channel_index(&part.channel).is_none()) {
                    unknown_channel(found, &format!("{at}/by_channel/{}", part.channel), &part.channel);
                }
                let sum = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.count));
                if total != Some(sum) {
                    let zh = total.map_or("资金池金额未知，只能写 equal。".into(), |total| {
                        format!("各渠道合计 {sum}，应为 {total}。")
                    });
                    let en = total.map_or("The pool's amount is not known: only equal is possible.".into(), |total| {
                        format!("The channels add up to {sum}, not {total}.")
                    });
                    found.fault(format!("{at}/by_channel"), "channels_do_not_add_up", zh, en);
                }
            }
            (Some(ByChannel::Equal), Some(total)) => {
                let channels = self.campaign.channels.len().max(1) as u64;
                let rest = total % channels;
                if rest != 0 {
                    found.warn(
                        format!("{at}/by_channel"),
                        "remainder",
                        format!("{total} 不能由 {channels} 个渠道平分，余 {rest}。"),
                        format!("{total} does not divide by {channels} channels; {rest} remain."),
                    );
                }
            }
            _ => {}
        }
    }

    fn check_pool(&self, found: &mut Findings, amount: MoneyAmount, weights: &[PackWeight], at: &str) {
        let dearest =
            weights.iter().filter_map(|weight| self.campaign.pack(&weight.pack_id)).map(|(_, pack)| pack.value()).max();
        match amount {
            MoneyAmount::Fixed(amount) if dearest.is_some_and(|value| amount < value) => {
                found.fault(
                    format!("{at}/amount"),
                    "amount_too_small",
                    "不够发一个券包。",
                    "Is not enough for one of each pack.",
                );
            }
            MoneyAmount::Pool if self.campaign.carry_over == CarryOver::None => found.fault(
                format!("{at}/amount"),
                "pool_without_carry_over",
                "carry_over 为 none，资金池是空的。",
                "With carry_over none the pool stays empty.",
            ),
            MoneyAmount::Pool if self.index == 0 => {
                found.fault(
                    format!("{at}/amount"),
                    "pool_is_empty",
                    "第一个场次时资金池是空的。",
                    "Nothing has flowed into the pool before the first round.",
                );
            }
            _ => {}
        }
    }

    pub fn check_assignment(&self, found: &mut Findings) {
        let round = self.round;
        let packs = round.supply.pack_ids().count();
        if packs > 1 && round.assignment == Assignment::Single {
            found.fault(
                self.at("assignment"),
                "assignment_needed",
                "有多个券包时须写 choice、chance 或 each。",
                "With several packs, say choice, chance or each.",
            );
        }
        if let (Assignment::Chance, Supply::Packs(supplies)) = (round.assignment, &round.supply) {
            let divided = supplies.iter().filter(|supply| supply.by_channel.is_some()).count();
            if divided != 0 && divided != supplies.len() {
                found.fault(
                    self.at("packs"),
                    "mixed_by_channel",
                    "chance 的券包须都分渠道，或都不分。",
                    "With chance, divide all packs by channel or none.",
                );
            }
        }
        if packs == 1 && round.assignment == Assignment::Chance {
            found.warn(
                self.at("assignment"),
                "no_effect",
                "只有一个券包，chance 不起作用。",
                "With one pack there is nothing to deal by chance.",
            );
        }
        if round.assignment == Assignment::Each && (round.max_packs_per_person as usize) < packs {
            let (zh, en) = (
                format!("each 有 {packs} 个券包，每人上限却更少。"),
                format!("each offers {packs} packs, but a person may have fewer."),
            );
            found.warn(self.at("max_packs_per_person"), "fewer_than_each", zh, en);
        }
    }
}
