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
    items serial line lines stores received detail until limit state by sku goods scene hours claims mine openapi PUT v1 wallet account";

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

/// What a reader is told to do or to believe, in both languages: where one text says it, the other does.
const SAID: &[(&str, &[&str], &[&str])] = &[
    ("nothing was applied", &["没有任何扣减"], &["nothing was applied"]),
    ("the outcome is not known", &["结果未知"], &["outcome is not known", "result is not known"]),
    ("the program office", &["主管部门"], &["program office"]),
    ("the vendor", &["系统商"], &["pos vendor"]),
    ("reverse it", &["冲正"], &["reverse", "reversal"]),
    ("a refund is the way", &["请退款", "或退款", "继续退款"], &["refund the order", "refund it", "refunded further"]),
    (AGAIN, &["再试", "重试", "重发", "重新"], &["again", "repeat "]),
];
/// Said of what waiting or another try may mend.
const AGAIN: &str = "try again";

#[test]
fn what_one_language_tells_the_reader_the_other_tells_too() {
    let mut apart = Vec::new();
    let mut compare = |code: Code, zh: &str, en: &str, to_cashier: bool| {
        let en = en.to_ascii_lowercase();
        // A cashier knows a reversal as a cancelled order.
        let said =
            SAID.iter().filter(|(what, ..)| !to_cashier || !["reverse it", "a refund is the way"].contains(what));
        for (what, in_zh, in_en) in said.filter(|(what, ..)| *what != AGAIN || code.retryable()) {
            let says = (in_zh.iter().any(|word| zh.contains(word)), in_en.iter().any(|word| en.contains(word)));
            if says.0 != says.1 {
                apart.push(format!("{}, {what}: {zh} {en}", code.as_str()));
            }
        }
    };
    for code in Code::ALL {
        let (zh, en) = code.message();
        compare(*code, zh, en, false);
        let (zh, en) = code.pos_message().unwrap_or_default();
        compare(*code, zh, en, true);
    }
    assert_eq!(apart, [""; 0]);
}

#[test]
fn what_one_language_points_to_the_other_points_to() {
    let mut apart = Vec::new();
    for code in Code::ALL {
        let (zh, en) = code.message();
        let named = |text: &str, name: &str| {
            text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == name)
        };
        // Behind "see" an English text names members and paths; a Chinese one names them by their letters.
        let pointed = en.split("see ").skip(1).map(|rest| rest.split(['.', ';', ':', '(']).next().unwrap_or_default());
        let pointed = pointed.flat_map(|list| list.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')));
        // "what" is a member too, and mostly a word.
        let pointed = pointed.filter(|word| *word != "what");
        let missing = pointed.filter(|word| NAMES.split_whitespace().any(|name| name == *word) && !named(zh, word));
        apart.extend(missing.map(|word| format!("{}: {word} in {zh}", code.as_str())));
        let foreign = zh.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let missing = foreign.filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()) && !named(en, word));
        apart.extend(missing.map(|word| format!("{}: {word} in {en}", code.as_str())));
    }
    assert_eq!(apart, [""; 0]);
}
