//! The campaign files behind the terms that the model knows.

use serde_json::{Value, json};

use super::PACKS;
use crate::harness::fixture::{chengdu, new_campaign_id};
use crate::oracle::Terms;

/// Chengdu's campaign with the rules that a model knows.
pub fn campaign_of(terms: &Terms) -> Value {
    let mut campaign = chengdu(&new_campaign_id("conserve"), PACKS);
    campaign["use_rule"]["max_vouchers_per_payment"] = json!(terms.most);
    let limit = |entities: &[&str], name: &str, most: i64| {
        let mut limit = json!({"action": "redeem", "entities": entities, "period": "day"});
        limit[name] = json!(most);
        limit
    };
    let mut limits = vec![limit(&["person", "merchant"], "max_count", terms.person_merchant_day)];
    limits.extend(terms.person_day.map(|most| limit(&["person"], "max_amount", most)));
    limits.extend(terms.merchant_day.map(|most| limit(&["merchant"], "max_count", most)));
    limits.extend(terms.all_day.map(|most| limit(&["channel"], "max_amount", most)));
    campaign["limits"] = json!(limits);
    if terms.sixty_dines_in {
        campaign["packs"][0]["vouchers"][0]["use_rule"] = json!({"scenes": ["dine_in"]});
    }
    campaign
}
