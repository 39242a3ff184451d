//! GB/T 4754, the national classification of industries: whether a merchant's code lies below a prefix of a campaign file.

/// The edition whose sections are below; a later one gets its own table.
pub const EDITION: &str = "GB/T 4754-2017";

/// Last division of each section, in order: A is 01 to 05, B is 06 to 12, up to T, which is 97.
const SECTIONS: [(char, u8); 20] = [
    ('A', 5),
    ('B', 12),
    ('C', 43),
    ('D', 46),
    ('E', 50),
    ('F', 52),
    ('G', 60),
    ('H', 62),
    ('I', 65),
    ('J', 69),
    ('K', 70),
    ('L', 72),
    ('M', 75),
    ('N', 79),
    ('O', 82),
    ('P', 83),
    ('Q', 85),
    ('R', 90),
    ('S', 96),
    ('T', 97),
];

/// Both may be written with or without the section's letter: `62`, `H`, `H62` and `621` all hold `6210` and `H6210`.
pub fn is_below(code: &str, prefix: &str) -> bool {
    let (section, digits) = parts(code);
    let (wanted_section, wanted_digits) = parts(prefix);
    let section = section.or_else(|| section_of(digits));
    wanted_section.is_none_or(|wanted| section == Some(wanted)) && digits.starts_with(wanted_digits)
}

/// Whether a merchant's code could lie below a prefix.
pub fn is_known_prefix(prefix: &str) -> bool {
    let (section, digits) = parts(prefix);
    let has_section = section.is_none_or(|wanted| SECTIONS.iter().any(|(known, _)| *known == wanted));
    has_section && digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() < 2 || section_of(digits).is_some())
}

fn parts(code: &str) -> (Option<char>, &str) {
    let letter = code.chars().next().filter(char::is_ascii_alphabetic);
    (letter.map(|letter| letter.to_ascii_uppercase()), if letter.is_some() { &code[1..] } else { code })
}

fn section_of(digits: &str) -> Option<char> {
    let division: u8 = digits.get(..2)?.parse().ok().filter(|division| *division > 0)?;
    SECTIONS.iter().find(|(_, last)| division <= *last).map(|(section, _)| *section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_below_its_section_division_group_and_class_however_it_is_written() {
        for prefix in ["H", "62", "H62", "621", "6210", "H6210"] {
            assert!(is_below("6210", prefix) && is_below("H6210", prefix), "{prefix}");
        }
        for prefix in ["F", "61", "H61", "F62", "62101"] {
            assert!(!is_below("6210", prefix) && !is_below("H6210", prefix), "{prefix}");
        }
    }

    #[test]
    fn sections_begin_and_end_where_the_standard_says() {
        for (division, section) in [("01", 'A'), ("05", 'A'), ("06", 'B'), ("52", 'F'), ("61", 'H'), ("97", 'T')] {
            assert_eq!(section_of(division), Some(section), "{division}");
        }
        assert_eq!((section_of("98"), section_of("00"), section_of("6")), (None, None, None));
    }
}
