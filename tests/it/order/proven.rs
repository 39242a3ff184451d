//! Which test shows what: every vector of the worked cities and every row that a till must have, by the names of its tests. A name that
//! no test bears is a hole, and this file says where.

use std::fs;
use std::path::Path;

/// What has to be shown, and the tests that show it.
const PROVEN: &[(&str, &[&str])] = &[
    // The worked cities: their files say what was announced, and are played from publication to the last settlement.
    (
        "F1 sums to 160 million yuan, a pack to 80",
        &["chengdu_adds_up_to_160_million_yuan", "f1_chengdus_file_is_the_campaign_of_july_2020"],
    ),
    (
        "F1 six vouchers need 240 yuan; good at 23:59:59; a merchant of the last days takes old vouchers",
        &["f1_chengdu_all_six_vouchers_need_240_yuan_and_are_good_until_the_last_second"],
    ),
    ("F1 expired at midnight", &["f1_chengdu_is_expired_at_midnight"]),
    ("F1 refused before the validity", &["before_the_validity_no_voucher_pays"]),
    (
        "F2 three rushes, from the first tap to the last settlement",
        &[
            "f2_hangzhous_file_is_its_three_rushes",
            "f2_hangzhou_is_rehearsed_from_the_first_rush_to_the_last_settlement",
        ],
    ),
    (
        "F2 145.00 and 50.00 after the merchant's offer, 99.99 refused, one voucher of 80 yuan",
        &["f2_hangzhou_the_merchants_offer_comes_first_and_the_threshold_is_judged_on_the_rest"],
    ),
    (
        "F2 the third at a merchant on a day, two payments of 40",
        &["f2_hangzhou_two_40_10_at_one_merchant_in_a_day_and_no_third"],
    ),
    (
        "F2 a week's claims, the rush, fixed ends",
        &["hangzhou_from_the_first_tap_to_the_last_voucher_with_every_fen_in_its_place"],
    ),
    ("F2 for shops", &["f2_hangzhou_vouchers_are_for_shops_and_a_till_that_says_nothing_is_in_one"]),
    (
        "F3 four rounds, each with its own list, and one registration over the channels",
        &["f3_shanghais_file_is_its_four_rounds_of_2022", "f3_shanghai_2022_is_rehearsed_over_its_four_rounds"],
    ),
    ("F3 the earlier of two channels", &["of_two_channels_the_earlier_counts_also_when_it_comes_later"]),
    (
        "F3 any order of the list gives the same winners",
        &["the_lowest_win_inclusively_and_the_order_of_the_list_does_not_matter"],
    ),
    ("F3 one registrant more changes ranks by insertion only", &["one_entry_more_changes_ranks_by_insertion_only"]),
    ("F3 half of an order back", &["f3_shanghai_a_refund_of_half_an_order_splits_evenly_and_consumes_the_voucher"]),
    (
        "F4 tiers and equal thirds",
        &["shanghais_rounds_have_the_packs_that_were_announced", "tiers_by_choice_are_drawn_apart_on_every_channel"],
    ),
    (
        "F4 each tier and channel drawn apart, up to three registrations of a person",
        &[
            "f4_shanghais_file_is_its_dining_vouchers_of_2025",
            "f4_shanghai_2025_is_rehearsed_with_its_tiers_and_the_pool_of_the_second_round",
        ],
    ),
    (
        "F4 no prepaid cards, threshold after the offer",
        &["f4_shanghai_dining_no_prepaid_cards_and_the_threshold_after_the_merchants_discount"],
    ),
    ("F4 the second month from the pool", &["shanghais_second_month_is_divided_by_tier_and_channel_from_the_pool"]),
    (
        "F5 what is left opens the next round, and the last leaves to the treasury",
        &[
            "f5_the_files_of_shijingshan_and_wuhan_are_their_weekly_rounds",
            "shijingshans_faces_come_back_as_the_faces_of_the_next_round",
            "f5_shijingshan_is_rehearsed_and_its_unused_money_opens_the_second_round",
        ],
    ),
    (
        "F5 the face for eating in, a pack for its category",
        &["f5_wuhan_the_50_dining_voucher_is_for_eating_in_and_each_pack_for_its_category"],
    ),
    ("F5 nine Thursdays, one category for a channel and week", &["f5_wuhan_is_rehearsed_over_its_nine_thursdays"]),
    ("F5 a random face of the category", &["f5_wuhan_chance_deals_a_face_of_the_category_that_was_chosen"]),
    (
        "F6 the list, the window, the city at both ends, fourteen days",
        &[
            "f6_the_file_of_the_trade_in_is_the_notice_of_2026",
            "f6_the_trade_in_is_rehearsed_from_the_list_to_the_last_return",
        ],
    ),
    (
        "F6 15 per cent up to a maximum, the price of a piece",
        &["f6_trade_in_takes_15_per_cent_of_each_price_up_to_a_maximum_and_the_books_balance"],
    ),
    (
        "F6 one per category and person",
        &[
            "f6_a_person_uses_one_voucher_in_each_category_and_gets_the_category_back_with_it",
            "f6_a_refund_that_consumes_keeps_the_category_used_where_limits_do_not_come_back",
        ],
    ),
    (
        "F6 a serial number is used once",
        &[
            "f6_a_serial_number_is_used_once_by_whomever_and_wherever",
            "of_many_orders_for_one_piece_at_the_same_instant_one_takes_it",
        ],
    ),
    ("F6 a refund consumes", &["a_consumed_voucher_never_comes_back_and_its_money_goes_to_the_issuer"]),
    // Redemption at checkout.
    ("preview without side effect", &["a_quote_names_the_best_voucher_what_was_not_taken_and_what_would_be_better"]),
    (
        "lock, then redeem or time out",
        &[
            "a_hold_takes_the_best_voucher_and_its_confirm_uses_it",
            "a_hold_lapses_at_its_instant_and_its_voucher_is_free_again",
            "a_late_confirm_is_taken_for_ten_minutes_while_its_voucher_is_free",
            "a_late_confirm_is_judged_at_its_hold_though_the_voucher_has_ended_and_the_hold_was_swept",
        ],
    ),
    (
        "several vouchers, all or none",
        &["named_vouchers_are_taken_all_or_none", "a_set_is_held_confirmed_and_refunded_as_one"],
    ),
    (
        "stacking",
        &[
            "vouchers_of_two_campaigns_pay_together_where_both_allow_it",
            "the_best_set_uses_up_a_threshold_for_each_voucher",
            "a_merchants_own_offer_goes_with_a_voucher_unless_the_rule_says_no",
        ],
    ),
    (
        "idempotent use",
        &[
            "one_call_redeems_and_a_repeat_with_a_fresh_code_is_the_same_request",
            "one_order_sent_fifty_times_at_once_to_two_nodes_has_one_effect_and_equal_answers",
            "thousands_of_histories_have_at_most_one_effect_for_each_order_and_lose_no_fen",
        ],
    ),
    (
        "bound to order and receipt",
        &[
            "another_body_under_the_same_order_number_is_a_conflict_that_names_the_fields",
            "a_code_that_paid_once_does_not_pay_again",
            "an_order_tells_its_receipt_whatever_becomes_of_it",
            "the_transactions_of_a_till_list_what_it_did",
        ],
    ),
    // Refunds and reversals.
    (
        "full return, by policy",
        &[
            "a_full_refund_after_the_end_gives_the_money_to_the_issuer_and_no_voucher",
            "a_single_full_refund_restores_and_a_split_one_consumes_where_the_campaign_says_so",
            "a_voucher_is_restored_three_times_and_then_stays_used",
        ],
    ),
    (
        "partial return",
        &[
            "a_partial_refund_splits_by_share_and_keeps_the_voucher_used",
            "any_split_of_a_refund_sums_to_exactly_the_parts_of_payer_and_issuer",
            "the_order_of_refunds_never_matters",
        ],
    ),
    (
        "partial return of goods",
        &[
            "goods_come_back_with_exactly_what_was_paid_for_them",
            "goods_that_come_back_in_any_steps_and_any_order_end_in_the_same_sums",
            "of_many_copies_of_a_return_at_two_nodes_one_has_an_effect_and_all_answers_are_equal",
        ],
    ),
    ("fifty refunds of an order", &["an_order_takes_fifty_refunds_and_tells_the_limit_to_the_next"]),
    (
        "expired meanwhile",
        &[
            "a_full_refund_after_the_end_gives_the_money_to_the_issuer_and_no_voucher",
            "only_the_sources_that_are_named_flow_and_late_refunds_have_their_own_word",
        ],
    ),
    ("cool-down and abuse", &["who_buys_and_refunds_again_and_again_meets_the_limit_on_refunds"]),
    (
        "a reverse is final",
        &[
            "a_reverse_tells_what_was_and_no_late_redeem_overtakes_it",
            "a_reverse_is_open_for_a_day_and_a_refund_for_longer",
        ],
    ),
    ("a refund on a later day", &["a_refund_on_a_later_day_is_a_negative_line_of_its_own_day"]),
    // What no till may get through.
    (
        "0, negative, 10^15, float, currency, terminal, timestamp, changed body, 31 vouchers, a foreign person's",
        &["every_bad_call_of_a_till_gets_its_own_problem_and_changes_nothing"],
    ),
    (
        "not yours is like unknown, in words and in time",
        &[
            "what_is_not_yours_is_answered_as_what_is_unknown",
            "what_is_not_yours_is_answered_like_what_nobody_has_and_costs_the_same",
        ],
    ),
];

#[test]
fn every_vector_and_every_row_has_a_test_of_this_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        gather(&root.join(folder), &mut sources);
    }
    // A name counts where its function is a test that runs: nothing that is left out, and nothing that is only written about.
    let lines: Vec<&str> = sources.lines().map(str::trim).collect();
    let is_test = |at: usize| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        let attributes: Vec<&&str> = attributes.collect();
        attributes.iter().any(|line| line.ends_with("test]")) && !attributes.iter().any(|line| line.contains("ignore"))
    };
    let named = |name: &str, line: &str| {
        let function = line.strip_prefix("async ").unwrap_or(line);
        function.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let missing = |name: &&&str| !lines.iter().enumerate().any(|(at, line)| named(name, line) && is_test(at));
    for (what, names) in PROVEN {
        let holes: Vec<&&str> = names.iter().filter(missing).collect();
        assert!(!names.is_empty() && holes.is_empty(), "{what}: no test is called {holes:?}");
    }
}

fn gather(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            gather(&entry, into);
        } else if entry.extension().is_some_and(|name| name == "rs") {
            into.push_str(&fs::read_to_string(&entry).expect("readable sources"));
        }
    }
}
