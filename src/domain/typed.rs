//! Numbers as people type them: in full width, with spaces, dashes and dots, or with marks that a phone book puts around them.

use icu_normalizer::ComposingNormalizer;
use icu_properties::CodePointSetData;
use icu_properties::props::{Dash, DefaultIgnorableCodePoint};

/// Half width, capital letters, and nothing that only groups what is between.
pub fn typed(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return text.to_ascii_uppercase();
    }
    let half_width = ComposingNormalizer::new_nfkc().normalize(text).into_owned();
    half_width.chars().filter(|c| !groups(*c)).map(|c| c.to_ascii_uppercase()).collect()
}

fn groups(c: char) -> bool {
    let is_dash = CodePointSetData::new::<Dash>().contains(c);
    let is_mark_of_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_unseen = is_mark_of_direction || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    is_dash || is_unseen || c.is_whitespace() || matches!(c, '.' | '·' | '•' | '(' | ')')
}
