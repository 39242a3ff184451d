//! What a city watches of a campaign while it runs, and what an operator should look at soon.

use crate::domain::campaign::schema::{self as campaign, CarryOverSource};
use crate::engine::config::view::Unreadable;
use crate::engine::ledger::counters::What;
use crate::engine::{Engine, Failure};

impl Engine {
    /// What a city watches while the campaign runs.
    pub async fn stats(&self, campaign_id: &str) -> Result<serde_json::Value, Failure> {
        let (view, counters, _) = self.books(campaign_id).await?;
        let of_campaign = || counters.iter().filter(|((cell, _), _)| cell.c == view.number);
        let sum = |what: What| of_campaign().filter(|((_, counted), _)| *counted == what).map(|(_, n)| n).sum::<i64>();
        let now = self.now();
        let rounds = view.rounds.iter().map(|round| {
            let sum = |counted: What| -> i64 {
                let own = of_campaign().filter(|((cell, what), _)| cell.round == round.index && *what == counted);
                own.map(|(_, n)| n).sum()
            };
            let issued = sum(What::Packs);
            let decided: u64 = round.draw.as_ref().map(|draw| draw.winners()).unwrap_or_default();
            let supply: u64 = round.cells().iter().map(|cell| cell.count).sum();
            let coming = if round.round.mode == campaign::Mode::FirstCome { supply } else { decided };
            let handed_on = round.record.returned.is_some() && view.carries(CarryOverSource::Unissued);
            serde_json::json!({
                "round_id": round.round.round_id,
                "reserved": sum(What::Reservations),
                "entries": round.record.list.count(),
                "issued": issued,
                "released": round.release().released(coming, now),
                "remaining": if handed_on { 0 } else { supply as i64 - issued },
                "list": round.record.list.word(),
                "drawn": round.draw.is_some(),
                "winners": decided,
                "credited": round.record.credited_at.is_some(),
                "waves": round.record.waves.iter().filter(|wave| wave.cutoffs.is_some()).count(),
                "waiting_for": round.waits_for(),
                "progress": self.progress.of(view.number, round.index),
            })
        });
        let entries: u64 = view.rounds.iter().filter_map(|round| round.record.list.count()).sum();
        Ok(serde_json::json!({
            "reserved": sum(What::Reservations),
            "entries": entries,
            "issued": sum(What::Packs),
            "claimed": sum(What::Packs),
            "redeemed_count": sum(What::Redemptions),
            "redeemed_amount": sum(What::GrossRedeemed),
            "refunded_amount": sum(What::GrossReturned),
            "rounds": rounds.collect::<Vec<_>>(),
        }))
    }

    /// What an operator should look at soon; it stops no request.
    pub fn warnings(&self) -> Vec<String> {
        let now = self.now();
        let unreadable = |(id, one): (&String, &Unreadable)| format!("{id}: its record cannot be read: {}", one.reason);
        let mut warnings: Vec<String> = self.view().unreadable.iter().map(unreadable).collect();
        for view in self.view().by_id.values().filter(|view| view.is_published() && !view.record.stopped) {
            for round in &view.rounds {
                let due = round.round.draw.as_ref().is_some_and(|draw| now >= draw.at);
                if due && round.draw.is_none() {
                    let waits = match round.waits_for() {
                        sources if sources.is_empty() => String::new(),
                        sources => {
                            format!("; it waits for {}, which an approver enters with POST …/draw", sources.join(", "))
                        }
                    };
                    warnings.push(format!("{} {}: the draw is due and not held{waits}", view.id, round.round.round_id));
                }
                if let Some(what) = self.progress.unreadable(view.number, round.index) {
                    let round_id = &round.round.round_id;
                    warnings.push(format!(
                        "{} {round_id}: stands still, because the record of {what} cannot be read; `quanyu audit` says what the ledger knows",
                        view.id
                    ));
                }
                if let Some(warning) = round.grant_warning() {
                    warnings.push(format!("{} {}: {warning}", view.id, round.round.round_id));
                }
            }
        }
        warnings
    }
}
