//! Which roles of the program office may call which route, for whoever reads `/openapi.json`; the test `roles` holds it against what the
//! server answers, and the tables of both READMEs against it.

use crate::engine::access::Role::{self, Approver, Auditor, Finance, Officer, Operator, Platform};

type Routes = &'static [(&'static str, &'static str)];

/// Routes that every key of the office reads.
const ANY: &[Role] = &Role::ALL;

const TABLE: [(&[Role], Routes); 9] = [
    (
        ANY,
        &[
            ("GET", "/v1/campaigns/{campaign_id}"),
            ("GET", "/v1/campaigns/{campaign_id}/amendments"),
            ("GET", "/v1/campaigns/{campaign_id}/stats"),
            ("GET", "/v1/campaigns/{campaign_id}/ledger"),
            ("GET", "/v1/campaigns/{campaign_id}/merchants/{merchant_id}"),
            ("GET", "/v1/merchants/{merchant_id}"),
            ("GET", "/v1/till-keys"),
            ("GET", "/v1/till-keys/{key_id}"),
            ("GET", "/v1/lists/{list_id}"),
            ("GET", "/v1/areas/{area_id}"),
        ],
    ),
    (
        &[Officer],
        &[
            ("PUT", "/v1/campaigns/{campaign_id}"),
            ("POST", "/v1/campaigns/{campaign_id}/submit"),
            ("POST", "/v1/campaigns/{campaign_id}/amendments"),
            ("PUT", "/v1/lists/{list_id}"),
            ("PUT", "/v1/areas/{area_id}"),
        ],
    ),
    (
        &[Approver],
        &[
            ("POST", "/v1/campaigns/{campaign_id}/approve"),
            ("POST", "/v1/campaigns/{campaign_id}/reject"),
            ("POST", "/v1/campaigns/{campaign_id}/publish"),
            ("POST", "/v1/campaigns/{campaign_id}/amendments/{amendment_id}/approve"),
        ],
    ),
    (
        &[Officer, Operator],
        &[
            ("POST", "/v1/campaigns/{campaign_id}/pause"),
            ("POST", "/v1/campaigns/{campaign_id}/resume"),
            ("POST", "/v1/campaigns/{campaign_id}/stop"),
            ("POST", "/v1/campaigns/{campaign_id}/rounds/{round_id}/close-list"),
            ("POST", "/v1/campaigns/{campaign_id}/rounds/{round_id}/draw"),
            ("POST", "/v1/merchants"),
            ("POST", "/v1/merchants/import"),
            ("PUT", "/v1/merchants/{merchant_id}"),
            ("POST", "/v1/merchants/{merchant_id}/terminals"),
            ("POST", "/v1/merchants/{merchant_id}/terminals/{terminal_id}/rotate"),
            ("POST", "/v1/till-keys"),
            ("POST", "/v1/till-keys/{key_id}/rotate"),
            ("PUT", "/v1/campaigns/{campaign_id}/merchants/{merchant_id}"),
            ("POST", "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/leave"),
        ],
    ),
    (
        &[Officer, Approver],
        &[
            ("POST", "/v1/merchants/{merchant_id}/unfreeze"),
            ("POST", "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/approve"),
        ],
    ),
    (
        &[Officer, Approver, Operator],
        &[
            ("POST", "/v1/merchants/{merchant_id}/freeze"),
            ("POST", "/v1/merchants/{merchant_id}/terminals/{terminal_id}/revoke"),
            ("POST", "/v1/till-keys/{key_id}/revoke"),
            ("POST", "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/suspend"),
        ],
    ),
    (&[Finance, Auditor], &[("GET", "/v1/settlements/{date}"), ("GET", "/v1/settlements/{date}/{merchant_id}")]),
    (&[Officer, Platform], &[("POST", "/v1/campaigns/{campaign_id}/reservations/import")]),
    (&[Operator], &[("PUT", "/v1/sandbox/clock")]),
];

/// The roles of a route, as keys are made with; none for a route that is not the office's or asks for no role.
pub fn of(method: &str, path: &str) -> Vec<String> {
    let named = TABLE.iter().find(|(_, routes)| routes.contains(&(method, path)));
    let roles = named.map(|(roles, _)| *roles).unwrap_or_default();
    roles.iter().filter_map(|role| Some(serde_json::to_value(role).ok()?.as_str()?.to_owned())).collect()
}
