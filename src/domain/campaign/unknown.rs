//! Words of a file that are defined elsewhere: documents, districts, industries. One that names nothing restricts to nobody, and nothing
//! would say so. A file is warned of them and taken: other places have other words, and what is published stays as it is.

use super::findings::{Fault, Findings};
use super::schema::*;
use crate::domain::document::not_known;
use crate::domain::industry::is_known_prefix;

/// First two digits of the district codes (GB/T 2260), as ranges.
const PROVINCES: [(u8, u8); 8] = [(11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 82)];

/// Every word that names nothing.
pub fn unknown_words(campaign: &Campaign) -> Vec<Fault> {
    let mut found = Findings::default();
    of_eligibility(&mut found, campaign.eligibility.as_ref(), "/eligibility");
    of_rule(&mut found, campaign.use_rule.as_ref(), "/use_rule");
    of_districts(&mut found, &campaign.merchant_enrolment.registered_in, "/merchant_enrolment/registered_in");
    for (i, pack) in campaign.packs.iter().enumerate() {
        of_rule(&mut found, pack.use_rule.as_ref(), &format!("/packs/{i}/use_rule"));
        for (j, kind) in pack.vouchers.iter().enumerate() {
            of_rule(&mut found, kind.use_rule.as_ref(), &format!("/packs/{i}/vouchers/{j}/use_rule"));
        }
    }
    for (i, round) in campaign.rounds.iter().enumerate() {
        of_eligibility(&mut found, round.eligibility.as_ref(), &format!("/rounds/{i}/eligibility"));
        of_rule(&mut found, round.use_rule.as_ref(), &format!("/rounds/{i}/use_rule"));
    }
    found.faults
}

fn of_eligibility(found: &mut Findings, terms: Option<&Eligibility>, at: &str) {
    let Some(terms) = terms else { return };
    for (i, word) in terms.document_types.iter().enumerate() {
        if let Some((zh, en)) = not_known(word) {
            found.fault(format!("{at}/document_types/{i}"), "unknown_value", zh, en);
        }
    }
    of_districts(found, &terms.residence_prefixes, &format!("{at}/residence_prefixes"));
}

fn of_rule(found: &mut Findings, rule: Option<&UseRule>, at: &str) {
    let Some(rule) = rule else { return };
    of_districts(found, &rule.districts, &format!("{at}/districts"));
    for (category, prefixes) in &rule.category_codes {
        for (i, prefix) in prefixes.iter().enumerate().filter(|(_, prefix)| !is_known_prefix(prefix)) {
            found.fault(
                format!("{at}/category_codes/{category}/{i}"),
                "unknown_industry",
                format!("国民经济行业分类中没有 {prefix}：门类为 A 至 T，大类为 01 至 97。"),
                format!("GB/T 4754 has no {prefix}: its sections are A to T, its divisions 01 to 97."),
            );
        }
    }
}

fn of_districts(found: &mut Findings, prefixes: &[String], at: &str) {
    for (i, prefix) in prefixes.iter().enumerate().filter(|(_, prefix)| !is_district(prefix)) {
        found.fault(
            format!("{at}/{i}"),
            "unknown_district",
            format!("没有以 {prefix} 开头的行政区划代码，如 5101。"),
            format!("No district code (GB/T 2260) begins with {prefix}; one is 5101."),
        );
    }
}

fn is_district(prefix: &str) -> bool {
    let begins = |province: u8| match prefix.len() {
        1 => province.to_string().starts_with(prefix),
        _ => prefix.starts_with(&province.to_string()),
    };
    prefix.bytes().all(|b| b.is_ascii_digit()) && PROVINCES.iter().any(|(first, last)| (*first..=*last).any(begins))
}
