//! The two campaigns of a run, in the shape of Chengdu 2020: in one it rains and people pay, in the other they still reserve.

use serde_json::{Value, json};

/// It rains here; vouchers are valid at once, so that tills can be measured beside taps.
pub const RAIN: &str = "bench-rain";
/// Its list stays open as long as the run lasts.
pub const LIST: &str = "bench-list";
pub const CONSENT: &str = "2020-07-13";

/// Campaign time of each step of a run.
pub const EVE: &str = "2020-07-12T12:00:00+08:00";
pub const RESERVING: &str = "2020-07-13T09:00:00+08:00";
pub const LISTED: &str = "2020-07-21T00:00:00+08:00";
pub const DRAWN: &str = "2020-07-22T10:00:00+08:00";
/// The store's file is compacted shortly before a round opens.
pub const SOON: &str = "2020-07-24T17:55:00+08:00";
/// Nobody has won yet and every loser is told so, which says who is who without taking a pack.
pub const OPENING: &str = "2020-07-24T18:00:00+08:00";
/// The whole rain has come down; whoever has won wins at the first tap.
pub const POURING: &str = "2020-07-24T18:09:00+08:00";

pub const TAP: &str = "/v1/campaigns/bench-rain/rounds/rain/claims";
pub const RESERVE: &str = "/v1/campaigns/bench-list/reservations";
pub const RESERVE_RAIN: &str = "/v1/campaigns/bench-rain/reservations";

/// Merchants that share the customers: a limit of two a day for person and merchant holds, as it did in Chengdu.
pub const MERCHANTS: u64 = 8;

pub fn rain(packs: usize, people: usize) -> Value {
    file(
        RAIN,
        [packs, people],
        "2020-07-21T00:00:00+08:00",
        ["2020-07-22T10:00:00+08:00", OPENING, "2020-07-24T18:10:00+08:00"],
    )
}

pub fn list(packs: usize, people: usize) -> Value {
    file(
        LIST,
        [packs, people],
        "2020-07-30T00:00:00+08:00",
        ["2020-07-31T10:00:00+08:00", "2020-07-31T18:00:00+08:00", "2020-07-31T18:10:00+08:00"],
    )
}

fn file(id: &str, [packs, people]: [usize; 2], reserve_until: &str, [draw, opens, closes]: [&str; 3]) -> Value {
    json!({
        "campaign_id": id,
        "name": {"zh": "测速", "en": "Bench"},
        "time_zone": "Asia/Shanghai", "currency": "CNY", "budget": packs * 8000,
        "channels": ["wechat"], "consent_version": CONSENT,
        "eligibility": {"document_types": ["cn_id"], "health_pass": "green", "health_pass_unknown": "refuse"},
        "reservation": {"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": reserve_until, "duplicates": "reject",
            "max_reservations": people},
        "packs": [{"pack_id": "standard", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6000, "discount_amount": 2000, "count": 2},
            {"voucher_kind": "30-10", "transaction_minimum": 3000, "discount_amount": 1000, "count": 4}]}],
        "rounds": [{"round_id": "rain", "mode": "rain", "draw": {"at": draw, "entropy": ["operator"]},
            "opens_at": opens, "closes_at": closes, "packs": {"standard": packs}, "max_packs_per_person": 1,
            "release": {"shape": "even", "seconds": 480}, "unclaimed": "credit"}],
        "validity": {"available_begin_time": "2020-07-24T00:00:00+08:00", "available_end_time": "2020-09-07T00:00:00+08:00"},
        "use_rule": {"categories": ["catering", "department_store"], "districts": ["5101"], "channels": "as_credited",
            "combine_with_merchant_offers": true, "max_vouchers_per_payment": 1, "minimum_payable": 1, "hold_seconds": 900},
        "limits": [{"action": "redeem", "entities": ["person", "merchant"], "period": "day", "max_count": 2}],
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-09-07T00:00:00+08:00",
            "kinds": ["enterprise", "sole_trader"], "registered_in": ["5101"]}
    })
}
