//! One method per verb of the API. Each returns the answer as it came; `.ok()` and `.refused()`
//! say what a test expects.

use serde_json::{Value, json};

use super::Server;
use super::client::{Reply, Request};
use super::described;
use super::fixture::text_of;
use super::identity::Resident;
use super::manners;
use super::till::Till;

/// Sending and the campaign clock.
impl Server {
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        let reply = self
            .client
            .send(request)
            .unwrap_or_else(|error| panic!("{} {}: {error}\n{}", request.method, request.path, self.log_tail()));
        manners::check(request, &reply);
        described::check(request, &reply);
        reply
    }

    /// A call of the program office with the instance's first key.
    #[track_caller]
    pub fn office(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.office_as(&self.admin_key, method, path, body)
    }

    #[track_caller]
    pub fn office_as(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let request = Request::new(method, path).bearer(key);
        self.send(&match body {
            Some(body) => request.json(&body),
            None => request,
        })
    }

    #[track_caller]
    pub fn resident(&self, person: &Resident, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.office_as(&self.token(person), method, path, body)
    }

    /// Moves the campaign clock to this instant and lets it stand there.
    #[track_caller]
    pub fn set_clock(&self, now: i64) {
        self.set_clock_text(&text_of(now));
    }

    #[track_caller]
    pub fn set_clock_text(&self, now: &str) {
        let body = json!({"now": now, "rate": 0});
        self.office("PUT", "/v1/sandbox/clock", Some(body)).ok();
    }
}

/// The life of a campaign.
impl Server {
    #[track_caller]
    pub fn create_campaign(&self, campaign: &Value) -> Reply {
        self.create_campaign_as(&self.admin_key, campaign)
    }

    #[track_caller]
    pub fn create_campaign_as(&self, key: &str, campaign: &Value) -> Reply {
        let path = format!("/v1/campaigns/{}", campaign["campaign_id"].as_str().unwrap_or("none"));
        self.send(&Request::new("PUT", &path).bearer(key).header("if-none-match", "*").json(campaign))
    }

    #[track_caller]
    pub fn validate_campaign(&self, campaign: &Value) -> Reply {
        let id = campaign["campaign_id"].as_str().unwrap_or("none");
        let path = format!("/v1/campaigns/{id}?validate_only=true");
        let request = Request::new("PUT", &path).bearer(&self.admin_key);
        self.send(&request.header("if-none-match", "*").json(campaign))
    }

    #[track_caller]
    pub fn step(&self, campaign: &str, verb: &str) -> Reply {
        self.office("POST", &format!("/v1/campaigns/{campaign}/{verb}"), Some(json!({})))
    }

    /// Submit, approve, publish.
    #[track_caller]
    pub fn publish(&self, campaign: &str) -> Reply {
        self.step(campaign, "submit").ok();
        self.step(campaign, "approve").ok();
        self.step(campaign, "publish").ok()
    }

    #[track_caller]
    pub fn pause(&self, campaign: &str, scope: &[&str]) -> Reply {
        let body = json!({"scope": scope, "reason": "a test"});
        self.office("POST", &format!("/v1/campaigns/{campaign}/pause"), Some(body))
    }

    #[track_caller]
    pub fn stats(&self, campaign: &str) -> Value {
        self.office("GET", &format!("/v1/campaigns/{campaign}/stats"), None).ok().json
    }

    #[track_caller]
    pub fn ledger(&self, campaign: &str) -> Value {
        self.office("GET", &format!("/v1/campaigns/{campaign}/ledger"), None).ok().json
    }
}

/// What a resident does.
impl Server {
    #[track_caller]
    pub fn reserve(&self, campaign: &str, person: &Resident) -> Reply {
        self.reserve_with(campaign, person, json!({"consent_version": "2020-07-13"}))
    }

    #[track_caller]
    pub fn reserve_with(&self, campaign: &str, person: &Resident, body: Value) -> Reply {
        let path = format!("/v1/campaigns/{campaign}/reservations");
        self.resident(person, "POST", &path, Some(body))
    }

    #[track_caller]
    pub fn my_reservation(&self, campaign: &str, person: &Resident) -> Reply {
        let path = format!("/v1/campaigns/{campaign}/reservations/mine");
        self.resident(person, "GET", &path, None)
    }

    #[track_caller]
    pub fn withdraw(&self, campaign: &str, person: &Resident) -> Reply {
        let path = format!("/v1/campaigns/{campaign}/reservations/mine");
        self.resident(person, "DELETE", &path, None)
    }

    /// A tap: the bearer is a pass or a resident's token.
    #[track_caller]
    pub fn claim(&self, campaign: &str, bearer: &str) -> Reply {
        let path = format!("/v1/campaigns/{campaign}/rounds/rain/claims");
        self.send(&Request::new("POST", &path).bearer(bearer))
    }

    #[track_caller]
    pub fn my_claim(&self, campaign: &str, person: &Resident) -> Reply {
        let path = format!("/v1/campaigns/{campaign}/rounds/rain/claims/mine");
        self.resident(person, "GET", &path, None)
    }

    #[track_caller]
    pub fn wallet(&self, campaign: &str, person: &Resident) -> Reply {
        let path = format!("/v1/wallet?campaign_id={campaign}");
        self.resident(person, "GET", &path, None)
    }

    /// The vouchers of the wallet, as (voucher_id, voucher_kind, state).
    #[track_caller]
    pub fn vouchers(&self, campaign: &str, person: &Resident) -> Vec<(String, String, String)> {
        let wallet = self.wallet(campaign, person).ok();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or("").to_string();
        let list = wallet["vouchers"].as_array().cloned().unwrap_or_default();
        let read = |one| (text(one, "voucher_id"), text(one, "voucher_kind"), text(one, "state"));
        list.iter().map(read).collect()
    }

    #[track_caller]
    pub fn pay_code(&self, person: &Resident) -> String {
        let reply = self.resident(person, "POST", "/v1/pay-codes", Some(json!({}))).ok();
        reply.str("pay_code").to_string()
    }
}

/// What a till does.
impl Server {
    #[track_caller]
    pub fn quote(&self, till: &Till, body: &Value) -> Reply {
        self.till(till, "POST", "/v1/redemptions/quote", Some(body))
    }

    #[track_caller]
    pub fn redeem(&self, till: &Till, body: &Value) -> Reply {
        self.till(till, "POST", "/v1/redemptions", Some(body))
    }

    #[track_caller]
    pub fn confirm(&self, till: &Till, order: &str, hold_id: &str, paid: i64) -> Reply {
        let body = json!({"hold_id": hold_id, "paid_amount": paid});
        self.till(till, "POST", &format!("/v1/redemptions/{order}/confirm"), Some(&body))
    }

    #[track_caller]
    pub fn cancel(&self, till: &Till, order: &str) -> Reply {
        self.till(till, "POST", &format!("/v1/redemptions/{order}/cancel"), Some(&json!({})))
    }

    #[track_caller]
    pub fn reverse(&self, till: &Till, order: &str) -> Reply {
        let body = json!({"reason": "outcome_unknown"});
        self.till(till, "POST", &format!("/v1/redemptions/{order}/reverse"), Some(&body))
    }

    #[track_caller]
    pub fn refund(&self, till: &Till, order: &str, refund_id: &str, amount: i64) -> Reply {
        let body = json!({"refund_id": refund_id, "amount": amount});
        self.till(till, "POST", &format!("/v1/redemptions/{order}/refunds"), Some(&body))
    }

    /// Named goods of an order, and perhaps the amount that the till expects for them.
    #[track_caller]
    pub fn refund_items(&self, till: &Till, order: &str, refund_id: &str, items: Value, amount: Option<i64>) -> Reply {
        let mut body = json!({"refund_id": refund_id, "items": items});
        if let Some(amount) = amount {
            body["amount"] = json!(amount);
        }
        self.till(till, "POST", &format!("/v1/redemptions/{order}/refunds"), Some(&body))
    }

    #[track_caller]
    pub fn order(&self, till: &Till, order: &str) -> Reply {
        self.till(till, "GET", &format!("/v1/redemptions/{order}"), None)
    }
}

/// Merchants and money out.
impl Server {
    #[track_caller]
    pub fn create_merchant(&self, merchant: &Value) -> Reply {
        self.office("POST", "/v1/merchants", Some(merchant.clone()))
    }

    #[track_caller]
    pub fn create_terminal(&self, merchant_id: &str, terminal_id: &str) -> Till {
        let path = format!("/v1/merchants/{merchant_id}/terminals");
        let body = json!({"terminal_id": terminal_id});
        let reply = self.office("POST", &path, Some(body)).ok();
        Till {
            merchant_id: merchant_id.to_string(),
            key_id: reply.str("key_id").to_string(),
            secret: reply.str("secret").to_string(),
        }
    }

    #[track_caller]
    pub fn enrol(&self, campaign: &str, merchant_id: &str) {
        let path = format!("/v1/campaigns/{campaign}/merchants/{merchant_id}");
        self.office("PUT", &path, Some(json!({}))).ok();
        self.office("POST", &format!("{path}/approve"), Some(json!({}))).ok();
    }

    #[track_caller]
    pub fn settlement(&self, date: &str, merchant_id: &str) -> Reply {
        self.office("GET", &format!("/v1/settlements/{date}/{merchant_id}"), None)
    }
}
