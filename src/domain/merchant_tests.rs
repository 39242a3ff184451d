use super::*;

fn draft() -> Draft {
    let text = |text: &str| Some(text.to_owned());
    Draft {
        merchant_id: text("m1"),
        code: text("9144030071526726XG"),
        kind: text("enterprise"),
        name: Some(Name::Both { zh: "蓉城小馆".into(), en: "Rongcheng Kitchen".into() }),
        registered_district: text("510104"),
        operating_district: text("510104"),
        industry_code: text("6210"),
        stores: vec![DraftStore {
            store_id: text("s1"),
            name: Some(Name::One("春熙路店".into())),
            district: text("510104"),
        }],
    }
}

fn merchant() -> Merchant {
    draft().check().expect("a valid draft")
}

#[test]
fn credit_codes_are_judged_by_the_alphabet_of_the_standard() {
    let valid = ["9144030071526726XG"];
    let wrong = [
        "9144030071526726X0",
        "9144030071526726XE",
        "9144030071526726GX",
        "9144030071526726xg",
        "9144030071526726X",
        "9144030071526726XGG",
        "914403007152672IXG",
        "91440300715267 6XG",
        "9144030071526726X统",
        "",
    ];
    for code in valid {
        assert!(is_credit_code(code), "{code}");
    }
    for code in wrong {
        assert!(!is_credit_code(code), "{code}");
    }
}

#[test]
fn letters_are_not_valued_by_their_distance_from_a_and_the_sum_is_not_the_check() {
    const BODY: &str = "9144030071526726X";
    let sum = |value: &dyn Fn(u8) -> usize| -> usize {
        BODY.bytes().scan(1, |weight, byte| Some(value(byte) * std::mem::replace(weight, *weight * 3 % 31))).sum()
    };
    let offset = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 } as usize;
    let listed = |byte: u8| CREDIT_ALPHABET.iter().position(|known| *known == byte).expect("in the alphabet");
    let by_offset = CREDIT_ALPHABET[(31 - sum(&offset) % 31) % 31];
    let not_complemented = CREDIT_ALPHABET[sum(&listed) % 31];
    for check in [by_offset, not_complemented] {
        assert_ne!(check, b'G');
        assert!(!is_credit_code(&format!("{BODY}{}", char::from(check))));
    }
}

#[test]
fn every_single_wrong_character_of_a_code_is_noticed() {
    let code = b"9144030071526726XG";
    for place in 0..code.len() {
        for other in CREDIT_ALPHABET.iter().filter(|other| **other != code[place]) {
            let mut wrong = code.to_vec();
            wrong[place] = *other;
            assert!(!is_credit_code(&String::from_utf8(wrong).expect("ASCII")));
        }
    }
}

#[test]
fn all_faults_are_told_at_once_with_their_pointers() {
    let text = |text: &str| Some(text.to_owned());
    let wrong = Draft {
        merchant_id: text("a b"),
        code: text("9144030071526726X0"),
        kind: text("person"),
        name: Some(Name::One(" ".into())),
        registered_district: text("5101"),
        operating_district: None,
        industry_code: text("F6210"),
        stores: vec![
            DraftStore { store_id: text("s1"), name: None, district: text("510104") },
            DraftStore { store_id: text("s1"), name: Some(Name::One("x".into())), district: text("x") },
        ],
    };
    let faults = wrong.check().expect_err("many faults");
    let mut found: Vec<(&str, &str)> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    found.sort_unstable();
    let expected = [
        ("/code", "invalid_code"),
        ("/industry_code", "invalid_industry"),
        ("/kind", "unknown_value"),
        ("/merchant_id", "invalid_id"),
        ("/name", "invalid_name"),
        ("/operating_district", "required"),
        ("/registered_district", "invalid_district"),
        ("/stores/0/name", "required"),
        ("/stores/1/district", "invalid_district"),
        ("/stores/1/store_id", "duplicate"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn without_an_id_the_code_makes_one() {
    let merchant = Draft { merchant_id: None, ..draft() }.check().expect("a valid draft");
    assert_eq!(merchant.merchant_id, "m-9144030071526726xg");
}

#[test]
fn another_registration_names_the_fields_that_differ() {
    let mut other = merchant();
    assert_eq!(merchant().differs_in(&other), Vec::<&str>::new());
    other.name = Name::One("别家".into());
    other.stores.clear();
    assert_eq!(merchant().differs_in(&other), ["name", "stores"]);
}

#[test]
fn a_merchant_survives_its_stored_form() {
    let json = serde_json::to_string(&merchant()).expect("serialisable");
    assert!(json.contains(r#""kind":"enterprise""#), "{json}");
    assert_eq!(serde_json::from_str::<Merchant>(&json).expect("readable"), merchant());
}

fn rules(kinds: &[MerchantKind], registered_in: &[&str]) -> MerchantEnrolment {
    MerchantEnrolment {
        opens_at: Some(1_000),
        closes_at: Some(2_000),
        kinds: kinds.to_vec(),
        registered_in: registered_in.iter().map(|prefix| prefix.to_string()).collect(),
        by_list: None,
    }
}

#[test]
fn enrolment_is_judged_by_kind_and_place_of_registration() {
    use MerchantKind::{Enterprise, SoleTrader};
    let table: [(&[MerchantKind], &[&str], &[&str]); 5] = [
        (&[Enterprise, SoleTrader], &["5101"], &[]),
        (&[Enterprise], &[], &[]),
        (&[SoleTrader], &["5101"], &["kinds"]),
        (&[Enterprise], &["3101", "5102"], &["registered_in"]),
        (&[SoleTrader], &["1101"], &["kinds", "registered_in"]),
    ];
    for (kinds, registered_in, expected) in table {
        let bars = merchant().barred_by(&rules(kinds, registered_in));
        assert_eq!(bars.iter().map(|bar| bar.rule).collect::<Vec<_>>(), expected, "{kinds:?} {registered_in:?}");
    }
}

#[test]
fn the_enrolment_window_includes_its_start_and_not_its_end() {
    let rules = rules(&[], &[]);
    let open = |now| enrolment_is_open(&rules, now);
    assert_eq!([open(999), open(1_000), open(1_999), open(2_000)], [false, true, true, false]);
    let always = MerchantEnrolment { opens_at: None, closes_at: None, ..rules };
    assert!(enrolment_is_open(&always, 0));
}

#[test]
fn the_longest_industry_prefix_gives_the_category() {
    let codes = [("catering", vec!["62"]), ("retail", vec!["F"]), ("scenic", vec!["786"]), ("upkeep", vec!["78", "N"])];
    let codes =
        codes.map(|(name, prefixes)| (name.to_owned(), prefixes.into_iter().map(str::to_owned).collect())).into();
    let table = [
        ("6210", Some("catering")),
        ("H6210", Some("catering")),
        ("5211", Some("retail")),
        ("F5211", Some("retail")),
        ("7861", Some("scenic")),
        ("7810", Some("upkeep")),
        ("7610", Some("upkeep")),
        ("9011", None),
    ];
    for (industry, category_name) in table {
        assert_eq!(category(&codes, industry), category_name, "{industry}");
    }
}

#[test]
fn industry_codes_are_divisions_of_the_standard_with_their_own_letter_or_none() {
    for code in ["62", "621", "6210", "H6210", "T97", "01"] {
        assert!(is_industry_code(code), "{code}");
    }
    for code in ["", "6", "62100", "F6210", "00", "98", "h6210", "H", "餐饮"] {
        assert!(!is_industry_code(code), "{code}");
    }
}

#[test]
fn an_enrolment_moves_only_where_its_state_allows() {
    use EnrolState::{Applied, Approved, Left, Suspended};
    let table = [
        (Applied, vec![None, Some(Left)]),
        (Approved, vec![Some(Applied), Some(Suspended)]),
        (Suspended, vec![Some(Applied), Some(Approved)]),
        (Left, vec![Some(Applied), Some(Approved), Some(Suspended)]),
    ];
    for (to, from) in table {
        let all = [None, Some(Applied), Some(Approved), Some(Suspended), Some(Left)];
        assert_eq!(all.into_iter().filter(|from| to.may_follow(*from)).collect::<Vec<_>>(), from, "{to:?}");
    }
}
