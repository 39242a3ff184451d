//! Who may take part: every rule with its verdict, so that a refusal names what is missing and nothing personal is kept.

use jiff::civil::Date;
use serde_json::Value;

use super::campaign::schema::{Eligibility, HealthPassUnknown};
use super::person::age_on;
use super::refusal::{Code, Refusal};

/// The colour of a health code, as the identity provider vouches for it; what it does not say is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthCode {
    Green,
    Yellow,
    Red,
    #[default]
    Unknown,
}

/// What is vouched for about a resident at the instant of judging.
#[derive(Clone, Default, PartialEq)]
pub struct Facts {
    pub document_type: String,
    pub birth_date: Option<Date>,
    /// District code (GB/T 2260) of residence.
    pub residence: Option<String>,
    pub health_code: HealthCode,
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// One rule and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub rule: &'static str,
    pub passed: bool,
    /// What is said of a rule that does not hold.
    pub zh: &'static str,
    pub en: &'static str,
}

impl Verdict {
    /// The rule as it came out, in Chinese and English: a rule that holds is never told in the words of one that does not.
    pub fn message(&self) -> (&'static str, &'static str) {
        if self.passed { ("符合。", "Holds.") } else { (self.zh, self.en) }
    }
}

/// What was looked up for the judgement; only the verdicts are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    pub on_allow_list: bool,
    pub on_deny_list: bool,
    /// Whether the place of the request lies in the area; `None` when it told none.
    pub in_area: Option<bool>,
    /// The occasion is one at which the rules ask for a place.
    pub place_counts: bool,
}

/// Refuses who may not take part, with every reason, which the detail says in words.
pub fn not_eligible(reasons: Vec<Value>) -> Refusal {
    let said = |language: &str, between: &str| {
        let words = reasons.iter().filter_map(|reason| reason["message"][language].as_str());
        words.collect::<Vec<_>>().join(between)
    };
    let (zh, en) = (format!("不符合参加条件：{}", said("zh", "")), format!("Not eligible: {}", said("en", " ")));
    Refusal::new(Code::NotEligible).detail(zh, en).with("reasons", reasons)
}

/// Judges every rule of the campaign; all of them are answered, in this order.
pub fn judge(rules: &Eligibility, facts: &Facts, evidence: &Evidence, today: Date) -> Vec<Verdict> {
    let mut verdicts = vec![document_type(rules, facts)];
    verdicts.extend(minimum_age(rules, facts, today));
    verdicts.extend(residence(rules, facts));
    verdicts.extend(health_pass(rules, facts));
    verdicts.extend(attributes(rules, facts));
    verdicts.extend(lists(rules, evidence));
    verdicts.extend(location(rules, evidence));
    verdicts
}

/// The versions of the lists are those of the publication.
fn lists(rules: &Eligibility, evidence: &Evidence) -> impl Iterator<Item = Verdict> {
    let allowed = rules.allow_list.as_ref().map(|_| Verdict {
        rule: "allow_list",
        passed: evidence.on_allow_list,
        zh: "不在准入名单中。",
        en: "Not on the list of those who may take part.",
    });
    let denied = rules.deny_list.as_ref().map(|_| Verdict {
        rule: "deny_list",
        passed: !evidence.on_deny_list,
        zh: "在不予参加的名单中。",
        en: "On the list of those who may not take part.",
    });
    allowed.into_iter().chain(denied)
}

fn location(rules: &Eligibility, evidence: &Evidence) -> Option<Verdict> {
    if evidence.place_counts { place(rules, evidence.in_area) } else { None }
}

/// The rule on places, where there is one; `in_area` is `None` for who tells no place.
pub fn place(rules: &Eligibility, in_area: Option<bool>) -> Option<Verdict> {
    rules.location.as_ref()?;
    let (zh, en) = match in_area {
        None => ("须提供位置。", "A location is needed; send longitude and latitude."),
        Some(_) => ("当前位置不在活动区域内。", "The location is outside the campaign's area."),
    };
    Some(Verdict { rule: "location", passed: in_area == Some(true), zh, en })
}

/// Whether a document of the type is one that the campaign takes.
fn document_type(rules: &Eligibility, facts: &Facts) -> Verdict {
    Verdict {
        rule: "document_types",
        passed: rules.document_types.contains(&facts.document_type),
        zh: "须持有规定类型的证件。",
        en: "A document of an accepted type is needed.",
    }
}

fn minimum_age(rules: &Eligibility, facts: &Facts, today: Date) -> Option<Verdict> {
    let minimum = i32::try_from(rules.minimum_age?).unwrap_or(i32::MAX);
    let day = rules.age_on.unwrap_or(today);
    Some(Verdict {
        rule: "minimum_age",
        passed: facts.birth_date.is_some_and(|birth_date| age_on(birth_date, day) >= minimum),
        zh: "未达到年龄要求，或年龄未知。",
        en: "Below the minimum age, or the age is not known.",
    })
}

fn residence(rules: &Eligibility, facts: &Facts) -> Option<Verdict> {
    if rules.residence_prefixes.is_empty() {
        return None;
    }
    let lives_there =
        |residence: &String| rules.residence_prefixes.iter().any(|prefix| residence.starts_with(prefix.as_str()));
    Some(Verdict {
        rule: "residence_prefixes",
        passed: facts.residence.as_ref().is_some_and(lives_there),
        zh: "居住地不在活动范围，或未知。",
        en: "Residence is outside the campaign's districts, or not known.",
    })
}

/// Chengdu 2020 wanted a green code when reserving; what an unknown code means is the city's decision.
fn health_pass(rules: &Eligibility, facts: &Facts) -> Option<Verdict> {
    rules.health_pass.as_ref()?;
    let unknown_passes =
        matches!(rules.health_pass_unknown, HealthPassUnknown::Accept | HealthPassUnknown::RecheckBeforeDraw);
    let passed = match facts.health_code {
        HealthCode::Green => true,
        HealthCode::Unknown => unknown_passes,
        HealthCode::Yellow | HealthCode::Red => false,
    };
    let (zh, en) = match facts.health_code {
        HealthCode::Unknown => ("未查到健康码，请稍后再试。", "The health code could not be learned; try again later."),
        _ => ("健康码须为绿码。", "The health code has to be green."),
    };
    Some(Verdict { rule: "health_pass", passed, zh, en })
}

fn attributes(rules: &Eligibility, facts: &Facts) -> Option<Verdict> {
    if rules.attributes.is_empty() {
        return None;
    }
    let holds = |(name, values): (&String, &Vec<String>)| {
        facts.attributes.get(name).is_some_and(|value| values.contains(value))
    };
    Some(Verdict {
        rule: "attributes",
        passed: rules.attributes.iter().all(holds),
        zh: "身份属性不符合要求，或未知。",
        en: "An attribute that the campaign asks for is missing or different.",
    })
}
