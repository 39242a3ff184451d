//! Finds the word that was probably meant.

/// The sentence that ends a message, in Chinese and English; empty when nothing is near.
pub fn did_you_mean(meant: Option<&str>) -> (String, String) {
    meant.map_or_else(Default::default, |meant| (format!("是否想写 {meant}？"), format!(" Did you mean {meant}?")))
}

/// The known word within two typing errors (one for short words).
pub fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let allowed = if word.len() < 5 { 1 } else { 2 };
    known
        .iter()
        .map(|known| (distance(word, known), *known))
        .filter(|(errors, _)| *errors <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance over bytes; names are ASCII.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.bytes().enumerate() {
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
        for (word, meant) in
            [("open_at", Some("opens_at")), ("closed_at", Some("closes_at")), ("cn", Some("en")), ("budget", None)]
        {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
