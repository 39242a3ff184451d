//! Finds the word that was probably meant.

use icu_normalizer::ComposingNormalizer;

/// Words that a text names at most, and what they share at least.
const MOST_NEAR: usize = 3;
const SHORTEST_PART: usize = 4;

/// The sentence that ends a message, in Chinese and English; empty when nothing is near.
pub fn did_you_mean(meant: Option<&str>) -> (String, String) {
    meant.map_or_else(Default::default, |meant| (format!("是否想写 {meant}？"), format!(" Did you mean {meant}?")))
}

/// The same for several words.
pub fn did_you_mean_one_of(meant: &[&str]) -> (String, String) {
    match meant.split_last() {
        Some((last, [])) => did_you_mean(Some(last)),
        Some((last, first)) => {
            let (zh, en) = (first.join("、"), first.join(", "));
            (format!("是否想写 {zh} 或 {last}？"), format!(" Did you mean {en} or {last}?"))
        }
        None => Default::default(),
    }
}

/// A character as a reader sees it; one without a shape by its number.
pub fn shown(character: char) -> String {
    if character.is_control() || character.is_whitespace() {
        return format!("U+{:04X}", u32::from(character));
    }
    character.to_string()
}

/// The known word within two typing errors (one for short words); neither case nor full width is an error.
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = plain(word);
    let allowed = if word.len() < 5 { 1 } else { 2 };
    known
        .iter()
        .map(|known| (distance(&word, &plain(known)), *known))
        .filter(|(errors, _)| *errors <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// The known words that were perhaps meant: the nearest, else those that contain the word, else a few that share a part of a name with it.
pub fn near<'w>(word: &str, known: &[&'w str]) -> Vec<&'w str> {
    if let Some(nearest) = nearest(word, known) {
        return vec![nearest];
    }
    let word: String = plain(word).into_iter().collect();
    let with =
        |part: &str| known.iter().copied().filter(|known| known.contains(part)).take(MOST_NEAR).collect::<Vec<_>>();
    let parts = std::iter::once(word.as_str()).chain(word.split('_')).filter(|part| part.len() >= SHORTEST_PART);
    parts.map(with).find(|found| !found.is_empty()).unwrap_or_default()
}

/// A text as it is typed with another keyboard: half width, small letters.
fn plain(text: &str) -> Vec<char> {
    ComposingNormalizer::new_nfkc().normalize(text).to_lowercase().chars().collect()
}

/// Levenshtein's distance over characters.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_leads_to_the_known_word() {
        let known = ["opens_at", "closes_at", "zh", "en"];
        for (word, meant) in [
            ("open_at", Some("opens_at")),
            ("closed_at", Some("closes_at")),
            ("opensAt", Some("opens_at")),
            ("ｏｐｅｎｓ＿ａｔ", Some("opens_at")),
            ("CLOSES_AT", Some("closes_at")),
            ("opens时at", Some("opens_at")),
            ("cn", Some("en")),
            ("时", None),
            ("budget", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
