//! What a load needs to know of a campaign: its rounds and their windows, as the office or the public sees them.

use serde_json::Value;

/// Milliseconds since 1970, campaign clock.
pub type Ms = i64;

#[derive(Clone, Debug)]
pub struct Campaign {
    pub id: String,
    pub channel: String,
    pub consent_version: Option<String>,
    pub rounds: Vec<Round>,
    pub valid_from: Option<Ms>,
    pub enrols_from: Option<Ms>,
    pub registered_in: String,
    pub operating_in: String,
    pub category: String,
    /// An amount at which every voucher of the file applies.
    pub amount: i64,
}

#[derive(Clone, Debug)]
pub struct Round {
    pub id: String,
    pub mode: String,
    pub opens_at: Option<Ms>,
    pub closes_at: Option<Ms>,
    pub draw_at: Option<Ms>,
    pub credit_at: Option<Ms>,
    /// Opening and close of its own or the campaign's list; `None` for a walk-in.
    pub reservation: Option<(Ms, Ms)>,
    /// The packs that a person chooses from; empty where there is nothing to choose.
    pub choices: Vec<String>,
    /// Winners get their packs without a tap.
    pub credits_itself: bool,
}

impl Campaign {
    /// Reads the campaign file as it stands in an answer.
    pub fn read(file: &Value) -> Option<Campaign> {
        let list = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let rounds = file["rounds"].as_array()?.iter().map(|round| Round::read(round, file)).collect::<Option<_>>()?;
        let kinds = file["packs"].as_array().into_iter().flatten();
        let minimums = kinds.flat_map(|pack| pack["vouchers"].as_array().into_iter().flatten());
        let minimum = minimums.filter_map(|kind| kind["transaction_minimum"].as_i64()).max().unwrap_or(0);
        Some(Campaign {
            id: file["campaign_id"].as_str()?.to_owned(),
            channel: list(&file["channels"]).into_iter().next()?,
            consent_version: file["consent_version"].as_str().map(str::to_owned),
            rounds,
            valid_from: instant(&file["validity"]["available_begin_time"]),
            enrols_from: instant(&file["merchant_enrolment"]["opens_at"]),
            registered_in: district(&list(&file["merchant_enrolment"]["registered_in"])),
            operating_in: district(&list(&file["use_rule"]["districts"])),
            category: list(&file["use_rule"]["categories"]).into_iter().next().unwrap_or_else(|| "catering".to_owned()),
            amount: minimum.max(3_000) + 800,
        })
    }

    pub fn round(&self, id: &str) -> Option<&Round> {
        self.rounds.iter().find(|round| round.id == id)
    }

    /// The round that people tap in: the one that was named, else the first with a claim window.
    pub fn claimed(&self, named: Option<&str>) -> Option<&Round> {
        match named {
            Some(id) => self.round(id).filter(|round| round.opens_at.is_some()),
            None => self.rounds.iter().find(|round| round.opens_at.is_some()),
        }
    }
}

impl Round {
    fn read(round: &Value, file: &Value) -> Option<Round> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let terms = match round.get("reservation") {
            Some(own) => own,
            None => &file["reservation"],
        };
        let mode = text(&round["mode"])?;
        let chosen = matches!(round["assignment"].as_str(), Some("choice" | "each"));
        let packs = round["packs"].as_object().or(round["money"]["weights"].as_object());
        let choices = packs.filter(|_| chosen).map(|packs| packs.keys().cloned().collect()).unwrap_or_default();
        let drawn = matches!(mode.as_str(), "ballot" | "rain");
        Some(Round {
            id: text(&round["round_id"])?,
            opens_at: instant(&round["opens_at"]),
            closes_at: instant(&round["closes_at"]),
            draw_at: instant(&round["draw"]["at"]),
            credit_at: instant(&round["credit_at"]),
            reservation: instant(&terms["opens_at"]).zip(instant(&terms["closes_at"])),
            choices,
            credits_itself: mode == "grant" || drawn && matches!(round["unclaimed"].as_str(), None | Some("credit")),
            mode,
        })
    }

    /// From when on its winners hold their packs without a tap.
    pub fn credited_at(&self) -> Option<Ms> {
        self.closes_at.or(self.credit_at).or(self.draw_at).filter(|_| self.credits_itself)
    }
}

/// A district code of six digits below the first prefix of the list.
fn district(prefixes: &[String]) -> String {
    let prefix = prefixes.first().map(String::as_str).unwrap_or("5101");
    match prefix.len() {
        4 => format!("{prefix}04"),
        2 => format!("{prefix}0104"),
        _ => prefix.to_owned(),
    }
}

fn instant(value: &Value) -> Option<Ms> {
    value.as_str()?.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond())
}

/// RFC 3339 in UTC.
pub fn shown(at: Ms) -> String {
    jiff::Timestamp::from_millisecond(at).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_round_has_its_own_list_or_the_campaigns_or_none() {
        let list = |from: &str| json!({"opens_at": format!("{from}T00:00:00+08:00"), "closes_at": "2020-08-01T00:00:00+08:00"});
        let file = json!({
            "campaign_id": "c", "channels": ["wechat"], "reservation": list("2020-07-13"),
            "packs": [{"vouchers": [{"transaction_minimum": 6000}, {"transaction_minimum": 3000}]}],
            "rounds": [
                {"round_id": "own", "mode": "ballot", "reservation": list("2020-07-20"), "draw": {"at": "2020-08-02T00:00:00+08:00"}},
                {"round_id": "shared", "mode": "rain", "opens_at": "2020-08-03T18:00:00+08:00", "assignment": "choice", "packs": {"a": 1, "b": 2}},
                {"round_id": "walk-in", "mode": "first_come", "reservation": null, "opens_at": "2020-08-04T18:00:00+08:00"},
            ],
        });
        let campaign = Campaign::read(&file).unwrap();
        let opens = |at: usize| campaign.rounds[at].reservation.map(|(from, _)| shown(from));
        assert_eq!(opens(0).as_deref(), Some("2020-07-19T16:00:00Z"));
        assert_eq!(opens(1).as_deref(), Some("2020-07-12T16:00:00Z"));
        assert_eq!(opens(2), None);
        assert_eq!(campaign.claimed(None).unwrap().id, "shared");
        assert_eq!(campaign.rounds[1].choices, ["a", "b"]);
        assert!(campaign.rounds[0].credits_itself && !campaign.rounds[2].credits_itself);
        assert_eq!(campaign.amount, 6_800);
    }
}
