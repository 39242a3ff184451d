//! Why a result is not what somebody expects. The published winners name whoever was drawn, so an answer about a pack that was won and is lost
//! must not read as if there had been no win; and what is due and not known says what it waits for.

use crate::domain::campaign::schema::{Mode, Unclaimed};
use crate::domain::cashier::Words;
use crate::domain::pass::Pass;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::result::Win;
use crate::store::record::PersonRecord;

/// A reason by its name and in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// `not_collected`, `campaign_stopped` or the code of the rule that kept the pack; of what is awaited `round_not_drawn` and the like.
    pub detail: &'static str,
    pub message: Words,
}

impl Why {
    /// The person had until `until` to come for the pack.
    fn not_collected(view: &CampaignView, until: Ms) -> Why {
        let until = view.zone.rfc3339(until);
        Why {
            detail: "not_collected",
            message: Words {
                zh: format!("您已中签（获配），但未在截止时间 {until} 前领取，券包不再保留。"),
                en: format!("A pack was yours, and it was not collected before {until}: it is not kept any longer."),
            },
        }
    }

    /// Nothing more is issued of a stopped campaign.
    fn stopped() -> Why {
        Why {
            detail: "campaign_stopped",
            message: Words {
                zh: "您已中签（获配），但活动在券包到账前已终止发放。".to_owned(),
                en: "A pack was yours, and the campaign was stopped before it was credited.".to_owned(),
            },
        }
    }

    /// What the operator's part has still to do before the result of a round that is due can be told.
    pub fn waits(view: &CampaignView, round: &RoundView) -> Option<Why> {
        let (detail, zh, en) = match (round.round.mode, &round.record.grant) {
            (Mode::Ballot | Mode::Rain, _) if round.draw.is_none() => {
                let due = view.zone.rfc3339(round.round.draw.as_ref()?.at);
                let sources = round.waits_for().join(", ");
                let (for_zh, for_en) = match sources.is_empty() {
                    true => (String::new(), String::new()),
                    false => (format!("，正在等待公开随机数（{sources}）"), format!(" and waits for {sources}")),
                };
                (
                    "round_not_drawn",
                    format!("本场次原定 {due} 摇号，尚未摇号{for_zh}；摇号后即可查询结果。"),
                    format!("The draw was due at {due}{for_en}; the result is known when it is held."),
                )
            }
            (Mode::Grant, Some(grant)) if !grant.fits => (
                "list_exceeds_supply",
                "名单人数超过券包数量，主办方更正前暂不发放。".to_owned(),
                "The list names more persons than there are packs; nothing is credited until the office has settled it."
                    .to_owned(),
            ),
            (Mode::Grant, None) => (
                "list_not_counted",
                "名单尚未核对，核对后即发放。".to_owned(),
                "The list has not been counted yet; packs are credited when it is.".to_owned(),
            ),
            _ => return None,
        };
        Some(Why { detail, message: Words { zh, en } })
    }

    /// A rule on claims kept the pack: a limit, or the most packs of one person.
    pub fn kept_back(by: &Refusal) -> Why {
        let rule = by.told();
        Why {
            detail: by.code.as_str(),
            message: Words {
                zh: format!("您已中签（获配），但券包未能到账：{}", rule.zh),
                en: format!("A pack was yours, and a rule kept it back: {}", rule.en),
            },
        }
    }

    /// What became of the pack that a person had won on a channel, or that a list had named; `named` is the one that is asked about.
    pub fn of(
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        record: &PersonRecord,
        named: Option<u8>,
    ) -> Option<Why> {
        let window = match round.round.mode {
            Mode::FirstCome => None,
            Mode::Grant => round.record.grant.as_ref().is_some_and(|grant| grant.fits).then_some(0),
            Mode::Ballot | Mode::Rain => {
                let wins = round.wins(view, pass.pseudonym, &record.entries, pass.entries);
                let is_it =
                    |win: &&Win| win.channel == pass.channel && named.is_none_or(|named| win.place.group.pack == named);
                wins.iter().find(is_it).map(|win| win.place.window)
            }
        };
        let closes_at = |window: usize| round.windows.get(window).map(|window| window.closes_at);
        window.map(|window| match closes_at(window) {
            _ if view.record.stopped => Why::stopped(),
            Some(until) if round.round.unclaimed != Unclaimed::Credit => Why::not_collected(view, until),
            _ => Why::kept_back(&Code::LimitReached.into()),
        })
    }
}
