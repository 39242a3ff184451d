//! Claims: a tap is judged on the node by pass, campaign, window and threshold; only would-be winners reach the store.

mod dealt;
pub mod judge;
mod mine;
pub mod pass;
mod place;
pub mod why;

use crate::domain::area::Location;
use crate::domain::campaign::schema::Mode;
use crate::domain::pass::{Pass, Unbound};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::SECOND;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::pack::held_pack;
pub(super) use crate::engine::pack::{Issued, credit_member, most_packs, swept};
use crate::engine::reservation::entry::require_entry;
use crate::engine::resident::Resident;
use crate::engine::stock::Taken;
use crate::engine::{Engine, Failure};
pub use judge::{Issue, Judged, Recall};
use pass::Judge;
use why::Why;

/// Who taps: the bearer of a pass, or a resident with a token.
pub enum Claimant {
    Pass(Unbound),
    Resident(Box<Resident>),
}

/// What a tap is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Tap {
    Won {
        pack: CreditedPack,
        replayed: bool,
    },
    NotYet {
        retry_after_ms: u64,
        opens_at: String,
        closes_at: String,
        detail: Option<&'static str>,
    },
    Lost,
    /// Won, and let lie until a wave took over: lost for good.
    PassedOver(Why),
    SoldOut,
    /// `why` says why a pack that was won is not there.
    Closed {
        result: &'static str,
        pack: Option<CreditedPack>,
        why: Option<Why>,
    },
}

impl Tap {
    /// After the close, without a pack.
    pub fn closed(result: &'static str, why: Option<Why>) -> Tap {
        Tap::Closed { result, pack: None, why }
    }
}

/// The same for whoever asks later.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// `packs` are all that the person has of a round in which one may have several.
    Won {
        credited: bool,
        pack: Option<CreditedPack>,
        packs: Vec<CreditedPack>,
    },
    Lost(Option<Why>),
    /// `known_at` lies ahead; what was due and has not come says in `waits` what it waits for.
    Pending {
        known_at: Option<String>,
        waits: Option<Why>,
    },
}

/// A pack as a resident sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CreditedPack {
    pub pack_no: String,
    pub pack_id: String,
    pub credited_at: String,
    /// (voucher kind, count) in the order of the pack.
    pub vouchers: Vec<(String, u32)>,
}

impl Engine {
    /// One tap: judged on the node, and settled in the store when it would win.
    pub async fn claim(
        &self,
        campaign_id: &str,
        round_id: &str,
        claimant: &Claimant,
        choice: Option<&str>,
        location: Option<Location>,
    ) -> Result<Tap, Refusal> {
        self.with_view(|| async move {
            let view = self.published_anywhere(campaign_id).await?;
            let round = view.named_round(round_id)?;
            let pass = self.pass_of(&view, round, claimant, Judge::Eligibility(location)).await?;
            let judged = self.judge_tap(&view, round, &pass, choice, self.now()).told(round);
            if let Err(would_be) = &judged
                && let Some(told) = self.judge_place(&view, round, &pass, would_be, location).await?
            {
                return Ok(told);
            }
            match judged {
                Ok(told) => Ok(told?),
                Err(Judged::Issue(issue)) => self.settle_issue(&view, round, &pass, issue).await,
                Err(Judged::Recall(recall)) => self.settle_recall(&view, round, &pass, recall).await,
                Err(Judged::Present { retry_after_ms, window }) => {
                    self.mark_present(&view, round, &pass).await?;
                    Ok(judge::not_yet(round, window, retry_after_ms, None))
                }
                Err(_) => Err(Code::Internal.into()),
            }
        })
        .await
    }

    /// Issues what a tap was judged to have won, or answers what is there already.
    pub async fn settle_issue(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        issue: Issue,
    ) -> Result<Tap, Failure> {
        let person = pass.person(view);
        if round.draw.is_some() && round.capped && !self.keeps(view, round, pass, issue.pack).await? {
            return Ok(if issue.closed { Tap::closed("lost", None) } else { Tap::Lost });
        }
        let issued = match round.round.mode {
            Mode::FirstCome => {
                let taken = if round.deal.is_some() {
                    self.take_dealt(view, round, &person, pass.channel).await?
                } else {
                    self.take_stock(view, round, &person, pass.channel, issue.pack, issue.supply).await?
                };
                match taken {
                    Taken::Pack(issued) => issued,
                    Taken::SoldOut => return Ok(Tap::SoldOut),
                    Taken::NotYet(at) => {
                        let wait = at.map_or_else(judge::jitter, |at| judge::wait_for(round, at - self.now()));
                        return Ok(judge::not_yet(round, issue.window, wait, None));
                    }
                }
            }
            _ => self.issue(view, round, &person, pass.channel, issue.pack, issue.supply, issue.due).await?,
        };
        match issued {
            Issued::Pack { pack, .. } if issue.closed => Ok(Tap::Closed { result: "won", pack: Some(pack), why: None }),
            Issued::Pack { pack, replayed } => Ok(Tap::Won { pack, replayed }),
            Issued::Refused(rule) => {
                if rule.code == Code::NotEligible {
                    let record = self.person_record(&person).await?.unwrap_or_default();
                    require_entry(view, round, pass, &record)?;
                }
                // Who is on the list and may not have the pack after all is told so as a result once the round is over.
                if issue.closed {
                    Ok(Tap::closed("lost", Some(Why::kept_back(&rule))))
                } else {
                    Err(Failure::Refusal(rule))
                }
            }
            Issued::Empty { .. } | Issued::Stale => Err(Code::Internal.into()),
        }
    }

    /// Whether a pack is among those that the draw lets a person keep, where one may win more than one may keep.
    async fn keeps(&self, view: &CampaignView, round: &RoundView, pass: &Pass, pack: u8) -> Result<bool, Failure> {
        let record = self.person_record(&pass.person(view)).await?.unwrap_or_default();
        require_entry(view, round, pass, &record)?;
        let wins = round.wins(view, pass.pseudonym, &record.entries, pass.entries);
        Ok(wins.iter().any(|win| win.channel == pass.channel && win.place.group.pack == pack))
    }

    /// Nothing more is issued, but a win that was told stays told.
    async fn settle_recall(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        recall: Recall,
    ) -> Result<Tap, Failure> {
        let record = self.person_record(&pass.person(view)).await?.unwrap_or_default();
        let held = held_pack(view, &record, round, pass.channel, recall.pack);
        if held.is_none() {
            require_entry(view, round, pass, &record)?;
        }
        match (held, recall.closed) {
            (Some(pack), true) => Ok(Tap::Closed { result: "won", pack: Some(pack), why: None }),
            (Some(pack), false) => Ok(Tap::Won { pack, replayed: true }),
            (None, true) => Ok(Tap::closed("lost", Why::of(view, round, pass, &record, recall.pack))),
            (None, false) if recall.passed => {
                Ok(Why::of(view, round, pass, &record, recall.pack).map_or(Tap::Lost, Tap::PassedOver))
            }
            (None, false) => Err(judge::not_running().into()),
        }
    }
}

/// A pack as a resident sees it.
pub fn credited(view: &CampaignView, pack: u8, number: u32, at: i64) -> CreditedPack {
    let kinds = view.campaign.packs.get(usize::from(pack)).map(|pack| pack.vouchers.as_slice()).unwrap_or_default();
    CreditedPack {
        pack_no: pack_no(view.number, number),
        pack_id: view.pack_id(pack).to_owned(),
        credited_at: view.zone.rfc3339(at * SECOND),
        vouchers: kinds.iter().map(|kind| (kind.voucher_kind.clone(), kind.count)).collect(),
    }
}

/// The number printed on a pack: `c7-0001f3a2`.
pub fn pack_no(campaign: u16, number: u32) -> String {
    format!("c{campaign}-{number:08x}")
}
