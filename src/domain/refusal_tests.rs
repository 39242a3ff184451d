use super::*;

#[test]
fn every_code_is_snake_case_and_found_by_its_name() {
    for code in Code::ALL {
        assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", code.as_str());
        assert_eq!(Code::named(code.as_str()), Some(*code));
    }
}

/// Members and headers that a text may name beside those with an underscore.
const NAMES: &str = "HTTP JSON KiB Content Type Idempotency Key application json errors If Match None Retry After current accept published what id rounds reasons days fields payable allowed \
    items serial line lines stores received detail until limit state by sku goods scene hours claims mine";

#[test]
fn a_chinese_text_is_chinese_but_for_the_names_of_members() {
    for code in Code::ALL {
        let words = code.message().0.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let words = words.filter(|word| word.bytes().any(|byte| byte.is_ascii_alphabetic()));
        let foreign = |word: &&str| !word.contains('_') && !NAMES.split_whitespace().any(|name| name == *word);
        assert_eq!(words.filter(foreign).collect::<Vec<_>>(), [""; 0], "{}", code.as_str());
        let said = code.pos_message().unwrap_or_default().0;
        assert!(!said.bytes().any(|byte| byte.is_ascii_alphabetic()), "{}: {said}", code.as_str());
    }
}

#[test]
fn both_languages_name_the_same_members() {
    for code in Code::ALL {
        let (zh, en) = code.message();
        // Named in one language and described in the other.
        let own_id = ["order_id", "refund_id", "amendment_id", "voucher_id"];
        let members = |text: &str| {
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned);
            let is_member = |word: &String| word.contains('_') && !own_id.contains(&word.as_str());
            let mut words: Vec<String> = words.filter(is_member).collect();
            words.sort_unstable();
            words.dedup();
            words
        };
        assert_eq!(members(zh), members(en), "{}: {zh} {en}", code.as_str());
    }
}
