//! The campaign file as the driver needs it: scaled down, and read for its windows, vouchers and rules.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Options, RehearsalError, Result, io_error};

/// UTC milliseconds of the campaign clock.
pub type Ms = i64;

/// Chengdu counted five reservers for every two packs; a file without better knowledge gets the same crowd.
const PEOPLE_FOR_PACKS: (u64, u64) = (5, 2);

pub struct Scenario {
    /// What is PUT: the file with its counts and its budget scaled.
    pub document: Value,
    pub campaign_id: String,
    pub round_id: String,
    pub zone: TimeZone,
    pub consent_version: Option<String>,
    pub channels: Vec<String>,
    pub population: u64,
    pub packs: u64,
    pub budget: i64,
    pub kinds: Vec<Kind>,
    pub reservation: (Ms, Ms),
    pub draw_at: Ms,
    pub rain: (Ms, Ms),
    pub validity: (Ms, Ms),
    pub hold_ms: i64,
    pub categories: Vec<String>,
    pub operating_prefix: String,
    pub registered_prefix: String,
    pub residence_prefix: Option<String>,
    pub phone_needed: bool,
    /// True when merchants' own discounts may appear on the bill without moving the threshold.
    pub offers: bool,
    /// True when a full refund in several parts restores the voucher, too.
    pub parts_restore: bool,
    pub single_restores: bool,
    factor: (u64, u64),
}

/// One voucher template of the pack.
#[derive(Clone, Debug)]
pub struct Kind {
    pub minimum: i64,
    pub discount: i64,
    pub count: u64,
    /// Largest net amount at which this kind is still the best one of the pack.
    pub net_max: i64,
}

impl Scenario {
    pub fn load(options: &Options) -> Result<Self> {
        let text = std::fs::read(&options.file).map_err(|e| io_error(&options.file, e))?;
        let document = serde_json::from_slice(&text).map_err(|e| unfit(format!("not JSON: {e}")))?;
        Self::from_document(document, options.scale, options.population)
    }

    pub fn from_document(mut document: Value, scale: Option<u64>, population: Option<u64>) -> Result<Self> {
        let packs = packs_of(&document)?.1;
        let crowd = packs * PEOPLE_FOR_PACKS.0 / PEOPLE_FOR_PACKS.1;
        let (factor, population) = match (scale, population) {
            (Some(scale), Some(people)) => ((1, scale), people),
            (None, Some(people)) => ((people, crowd.max(1)), people),
            (scale, None) => ((1, scale.unwrap_or(100)), crowd / scale.unwrap_or(100)),
        };
        scale_counts(&mut document, factor);
        let (pack_id, packs) = packs_of(&document)?;
        if population == 0 || packs == 0 {
            return Err(unfit(format!("nothing is left at 1:{}", factor.1)));
        }
        Self::read(document, &pack_id, packs, population, factor)
    }

    fn read(document: Value, pack_id: &str, packs: u64, population: u64, factor: (u64, u64)) -> Result<Self> {
        let round = &document["rounds"][0];
        let reservation = if round["reservation"].is_null() { &document["reservation"] } else { &round["reservation"] };
        let validity = if round["validity"].is_null() { &document["validity"] } else { &round["validity"] };
        let eligibility = if round["eligibility"].is_null() { &document["eligibility"] } else { &round["eligibility"] };
        if !eligibility["location"].is_null() || !reservation["stagger"].is_null() {
            return Err(unfit("location rules and staggered reservation are not played yet".into()));
        }
        let zone_name = text(&document["time_zone"], "/time_zone")?;
        let zone = TimeZone::get(&zone_name).map_err(|e| unfit(e.to_string()))?;
        let use_rule = &document["use_rule"];
        let policy = document["refund_policy"].as_str().unwrap_or("restore_on_full_refund");
        Ok(Self {
            campaign_id: text(&document["campaign_id"], "/campaign_id")?,
            round_id: text(&round["round_id"], "/rounds/0/round_id")?,
            kinds: kinds_of(&document, pack_id)?,
            zone,
            consent_version: document["consent_version"].as_str().map(str::to_owned),
            channels: strings(&document["channels"]),
            population,
            packs,
            budget: document["budget"].as_i64().ok_or_else(|| unfit("/budget is missing".into()))?,
            reservation: (instant(&reservation["opens_at"])?, instant(&reservation["closes_at"])?),
            draw_at: instant(&round["draw"]["at"])?,
            rain: (instant(&round["opens_at"])?, instant(&round["closes_at"])?),
            validity: (instant(&validity["available_begin_time"])?, instant(&validity["available_end_time"])?),
            hold_ms: use_rule["hold_seconds"].as_i64().unwrap_or(120) * 1000,
            categories: strings(&use_rule["categories"]),
            operating_prefix: first(&use_rule["districts"], "5101"),
            registered_prefix: first(&document["merchant_enrolment"]["registered_in"], "5101"),
            residence_prefix: strings(&eligibility["residence_prefixes"]).into_iter().next(),
            phone_needed: strings(&reservation["identity_keys"]).iter().any(|key| key == "phone"),
            offers: use_rule["combine_with_merchant_offers"] == true && use_rule["threshold_on"] != "initial",
            parts_restore: policy == "restore_on_full_refund",
            single_restores: policy != "consume",
            factor,
            document,
        })
    }

    /// The divisor as people say it: 100, or 12.5 when a population was asked for.
    pub fn factor_text(&self) -> String {
        let (over, under) = self.factor;
        if under % over == 0 { (under / over).to_string() } else { format!("{:.2}", under as f64 / over as f64) }
    }

    pub fn pack_value(&self) -> i64 {
        self.kinds.iter().map(|kind| kind.discount * kind.count as i64).sum()
    }

    pub fn vouchers_per_pack(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.count).sum()
    }

    /// How many packs must be issued in the end: with `credit` every decided winner gets one.
    pub fn packs_due(&self) -> u64 {
        self.packs.min(self.population)
    }

    pub fn wire_time(&self, at: Ms) -> String {
        zoned(at, &self.zone).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
    }

    pub fn date(&self, at: Ms) -> Date {
        zoned(at, &self.zone).date()
    }

    /// The city's midnight that begins `date`.
    pub fn midnight(&self, date: Date) -> Result<Ms> {
        let zoned = date.to_zoned(self.zone.clone()).map_err(|e| unfit(e.to_string()))?;
        Ok(zoned.timestamp().as_millisecond())
    }
}

fn zoned(at: Ms, zone: &TimeZone) -> jiff::Zoned {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
}

/// The one pack of the one rain, and its count. Other shapes are named, not guessed at.
fn packs_of(document: &Value) -> Result<(String, u64)> {
    let rounds = document["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [round] = rounds else {
        return Err(unfit(format!("{} rounds; a rehearsal plays one reservation and one rain so far", rounds.len())));
    };
    if round["mode"] != "rain" || round["unclaimed"].as_str().unwrap_or("credit") != "credit" {
        return Err(unfit("only a rain with unclaimed: credit is played so far".into()));
    }
    if round["lost_at"] == "close" {
        return Err(unfit("lost_at: close is not played yet".into()));
    }
    let packs = round["packs"].as_object().map(|packs| packs.iter().collect::<Vec<_>>()).unwrap_or_default();
    let [(pack_id, count)] = packs.as_slice() else {
        return Err(unfit("the round must supply exactly one pack by number".into()));
    };
    let count = count.as_u64().or_else(|| count["count"].as_u64());
    Ok(((*pack_id).clone(), count.ok_or_else(|| unfit(format!("/rounds/0/packs/{pack_id} has no count")))?))
}

fn kinds_of(document: &Value, pack_id: &str) -> Result<Vec<Kind>> {
    let packs = document["packs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pack = packs.iter().find(|pack| pack["pack_id"] == pack_id);
    let vouchers = pack.and_then(|pack| pack["vouchers"].as_array());
    let mut kinds = Vec::new();
    for voucher in vouchers.map(Vec::as_slice).unwrap_or_default() {
        let minimum = voucher["transaction_minimum"].as_i64();
        let (Some(minimum), Some(discount)) = (minimum, voucher["discount_amount"].as_i64()) else {
            return Err(unfit(format!("voucher {} is not of kind save", voucher["voucher_kind"])));
        };
        let count = voucher["count"].as_u64().unwrap_or(1);
        kinds.push(Kind { minimum, discount, count, net_max: 0 });
    }
    if kinds.is_empty() {
        return Err(unfit(format!("pack {pack_id} has no vouchers")));
    }
    let minima: Vec<i64> = kinds.iter().map(|kind| kind.minimum).collect();
    for kind in &mut kinds {
        let next = minima.iter().copied().filter(|minimum| *minimum > kind.minimum).min();
        kind.net_max = next.map_or(kind.minimum * 2 + 10_000, |next| next - 1);
    }
    Ok(kinds)
}

/// Divides what is counted in packs or money; rules, limits and thresholds stay what they are.
fn scale_counts(document: &mut Value, factor: (u64, u64)) {
    let scaled = |value: &mut Value| {
        if let Some(number) = value.as_u64() {
            let smaller = u128::from(number) * u128::from(factor.0) / u128::from(factor.1);
            *value = Value::from(u64::try_from(smaller).unwrap_or(u64::MAX));
        }
    };
    scaled(&mut document["budget"]);
    let Some(rounds) = document["rounds"].as_array_mut() else { return };
    for round in rounds {
        let Some(packs) = round.get_mut("packs").and_then(Value::as_object_mut) else { continue };
        for pack in packs.values_mut() {
            scaled(pack);
            if let Some(detail) = pack.as_object_mut() {
                detail.get_mut("count").map(scaled);
                let channels = detail.get_mut("by_channel").and_then(Value::as_object_mut);
                channels.into_iter().flat_map(|map| map.values_mut()).for_each(scaled);
            }
        }
    }
}

fn instant(value: &Value) -> Result<Ms> {
    let text = value.as_str().ok_or_else(|| unfit("a window of the campaign is missing".into()))?;
    text.parse::<Timestamp>().map(|at| at.as_millisecond()).map_err(|e| unfit(format!("{text}: {e}")))
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| unfit(format!("{pointer} is missing")))
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn first(value: &Value, otherwise: &str) -> String {
    strings(value).into_iter().next().unwrap_or_else(|| otherwise.to_owned())
}

fn unfit(why: String) -> RehearsalError {
    RehearsalError::Campaign(why)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn chengdu() -> Value {
        serde_json::json!({"campaign_id":"chengdu-2020-07","time_zone":"Asia/Shanghai","budget":16_000_000_000_i64,
            "channels":["wechat"],"reservation":{"opens_at":"2020-07-13T00:00:00+08:00","closes_at":"2020-07-21T00:00:00+08:00"},
            "packs":[{"pack_id":"standard","vouchers":[
                {"voucher_kind":"60-20","transaction_minimum":6000,"discount_amount":2000,"count":2},
                {"voucher_kind":"30-10","transaction_minimum":3000,"discount_amount":1000,"count":4}]}],
            "rounds":[{"round_id":"rain","mode":"rain","draw":{"at":"2020-07-22T10:00:00+08:00"},
                "opens_at":"2020-07-24T18:00:00+08:00","closes_at":"2020-07-24T18:10:00+08:00","packs":{"standard":2_000_000},
                "release":{"shape":"even","seconds":480},"unclaimed":"credit"}],
            "validity":{"available_begin_time":"2020-07-25T00:00:00+08:00","available_end_time":"2020-09-07T00:00:00+08:00"},
            "use_rule":{"categories":["catering","sport"],"districts":["5101"]}})
    }

    #[test]
    fn a_hundredth_of_chengdu_is_fifty_thousand_people_and_twenty_thousand_packs() {
        let scenario = Scenario::from_document(chengdu(), Some(100), None).unwrap();
        assert_eq!((scenario.population, scenario.packs, scenario.budget), (50_000, 20_000, 160_000_000));
        assert_eq!(scenario.pack_value() * scenario.packs as i64, scenario.budget);
        assert_eq!(scenario.factor_text(), "100");
        assert_eq!(scenario.wire_time(scenario.rain.0), "2020-07-24T18:00:00.000+08:00");
    }

    #[test]
    fn a_population_takes_its_packs_along() {
        let scenario = Scenario::from_document(chengdu(), None, Some(1_250)).unwrap();
        assert_eq!((scenario.population, scenario.packs), (1_250, 500));
    }

    #[test]
    fn each_kind_is_best_up_to_the_next_threshold() {
        let scenario = Scenario::from_document(chengdu(), None, None).unwrap();
        assert_eq!(scenario.kinds[1].net_max, 5_999);
        assert!(scenario.kinds[0].net_max > 6_000);
    }

    #[test]
    fn a_file_with_two_rounds_is_refused_by_name() {
        let mut document = chengdu();
        let round = document["rounds"][0].clone();
        document["rounds"].as_array_mut().unwrap().push(round);
        let error = Scenario::from_document(document, None, None).err().unwrap();
        assert!(error.to_string().contains("2 rounds"));
    }
}
