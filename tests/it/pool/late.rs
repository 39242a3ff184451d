//! A hold that runs out around the end of its voucher: its money is not handed on while a late confirm may take it.

use serde_json::json;

use super::{FIRST, PACK, WEEK, Weeks, money, weekly};
use crate::harness::fixture::{MINUTE, at, new_order, sale};

#[test]
fn what_a_late_confirm_may_take_is_handed_on_only_when_it_no_longer_may() {
    // Held so that it runs out after the voucher's end, and before it.
    for (name, before_the_end) in [("after", MINUTE), ("before", 5 * MINUTE)] {
        let end = at(FIRST) + WEEK;
        let weeks = Weeks::open(&weekly(name, &[money(json!(6_000)), money(json!("pool"))]));
        let people = weeks.play(0, 3);
        assert_eq!(weeks.pool(), 0);
        weeks.server.set_clock(end - before_the_end);
        let hold = |person| {
            let body = sale(&new_order(), &weeks.server.pay_code(person), 5_000, false);
            weeks.server.redeem(&weeks.till, &body).ok()
        };
        let (confirmed, given_up) = (hold(&people[0]), hold(&people[1]));
        let until = end - before_the_end + 2 * MINUTE;
        weeks.server.set_clock(until);
        weeks.server.set_clock(end + 2 * MINUTE);
        assert_eq!((weeks.round(0, "held"), weeks.round(0, "expired"), weeks.pool()), (0, 2 * PACK, PACK));
        weeks.assert_balanced();

        weeks.server.set_clock(until + 10 * MINUTE - 1);
        let confirm = |held: &crate::harness::client::Reply| {
            weeks.server.confirm(&weeks.till, held.str("order_id"), held.str("hold_id"), 3_000)
        };
        let late = confirm(&confirmed).ok();
        assert_eq!((late.str("state"), &late["late"]), ("redeemed", &json!(true)));
        weeks.server.set_clock(until + 10 * MINUTE);
        confirm(&given_up).refused(409, "hold_expired");
        assert_eq!(weeks.round(0, "redeemed"), PACK);
        weeks.assert_balanced();

        weeks.server.set_clock(end + 30 * MINUTE);
        assert_eq!((weeks.round(0, "expired"), weeks.pool()), (0, 2 * PACK), "now nothing is waited for");
        weeks.assert_balanced();
        weeks.server.assert_audit_clean();
    }
}
