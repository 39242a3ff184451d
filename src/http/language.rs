//! The language in which a refusal is told: as `Accept-Language` asks for it, and English to whoever asks for nothing that we speak.

use actix_web::http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};

use crate::domain::cashier::Words;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    Zh,
    #[default]
    En,
}

impl Language {
    pub fn of(headers: &HeaderMap) -> Language {
        let asked = headers.get_all(ACCEPT_LANGUAGE).filter_map(|value| value.to_str().ok());
        let ranges = asked.flat_map(|value| value.split(',')).filter_map(range);
        // Of two that are as welcome the first counts, and `*` is met by the default.
        let best = ranges.reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.filter(|(_, quality)| *quality > 0).map(|(language, _)| language).unwrap_or_default()
    }

    pub fn tag(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Language::Zh => "zh",
            Language::En => "en",
        })
    }

    pub fn of_words(self, words: &Words) -> &str {
        match self {
            Language::Zh => &words.zh,
            Language::En => &words.en,
        }
    }
}

/// A language that we speak, with its quality in thousandths.
fn range(text: &str) -> Option<(Language, u16)> {
    let (tag, parameter) = text.split_once(';').unwrap_or((text, "q=1"));
    let primary = tag.trim().split('-').next().unwrap_or_default();
    let language = match primary {
        "*" => Language::default(),
        _ if primary.eq_ignore_ascii_case("zh") => Language::Zh,
        _ if primary.eq_ignore_ascii_case("en") => Language::En,
        _ => return None,
    };
    let quality = parameter.trim().strip_prefix("q=")?;
    let (whole, thousandths) = quality.split_once('.').unwrap_or((quality, ""));
    let thousandths = format!("{thousandths:0<3}");
    let quality =
        whole.parse::<u16>().ok().filter(|whole| *whole <= 1)? * 1_000 + thousandths[..3].parse::<u16>().ok()?;
    Some((language, quality.min(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_asked_for_most() {
        for (asked, language) in [
            (None, Language::En),
            (Some("zh-CN,zh;q=0.9,en;q=0.8"), Language::Zh),
            (Some("zh"), Language::Zh),
            (Some("ZH-Hans-CN"), Language::Zh),
            (Some("en;q=0.5, zh;q=0.75"), Language::Zh),
            (Some("en, zh"), Language::En),
            (Some("zh;q=0"), Language::En),
            (Some("en;q=0, zh;q=0.001"), Language::Zh),
            (Some("de, fr;q=0.5"), Language::En),
            (Some("de, zh;q=0.1"), Language::Zh),
            (Some("*"), Language::En),
            (Some("zhuang"), Language::En),
            (Some(";;q=,zh;q=9,zh;q=x,é"), Language::En),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(asked) = asked {
                headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(asked).expect("a header"));
            }
            assert_eq!(Language::of(&headers), language, "{asked:?}");
        }
    }
}
