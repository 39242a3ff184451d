//! Which roles of the program office may call which route. Callers are admitted by this table, `/openapi.json` shows it, and the test `roles`
//! holds both READMEs against it.

use crate::engine::key::Role;
use crate::engine::key::Role::{Approver, Auditor, Finance, Officer, Operator, Platform};

type Routes = &'static [(&'static str, &'static str)];

/// Routes that every role of the office reads.
const ANY: &[Role] = &Role::ALL;

/// Who draws a round, without public values.
pub const OPERATE: &[Role] = &[Officer, Operator];

/// Who enters the public values that a draw waits for.
pub const ENTER_VALUES: &[Role] = &[Approver];

const TABLE: [(&[Role], Routes); 11] = [
    (&[Officer, Approver, Finance, Auditor, Operator, Platform], &[("GET", "/v1/sandbox/clock")]),
    // The body says which of them.
    (&[Officer, Approver, Operator], &[("POST", "/v1/campaigns/{campaign_id}/rounds/{round_id}/draw")]),
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
            ("DELETE", "/v1/campaigns/{campaign_id}"),
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
        OPERATE,
        &[
            ("POST", "/v1/campaigns/{campaign_id}/pause"),
            ("POST", "/v1/campaigns/{campaign_id}/resume"),
            ("POST", "/v1/campaigns/{campaign_id}/stop"),
            ("POST", "/v1/campaigns/{campaign_id}/rounds/{round_id}/close-list"),
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

/// The roles of a route of the office; none for a route of others.
pub fn of(method: &str, path: &str) -> Option<&'static [Role]> {
    let named = TABLE.iter().find(|(_, routes)| routes.contains(&(method, path)));
    named.map(|(roles, _)| *roles)
}

/// Roles as keys are made with them.
pub fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect()
}
