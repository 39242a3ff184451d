//! Who of the program office did a step, and whether two steps were one person's: what one person proposes, another brings into force.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, Script};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::{Deserialize, Serialize};
use unicode_security::{MixedScript, skeleton};

/// Characters of a name or of a person's id.
const LONGEST: usize = 64;

/// Who holds a key, as it is noted with what was done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Noted", into = "Noted")]
pub struct Holder {
    pub name: String,
    /// Names the person, however many keys and names there are: a staff number, say.
    pub person_id: Option<String>,
}

impl Holder {
    /// Where both are known by a person's id, it decides; otherwise names do. Neither case nor width, spaces, hyphens and other signs, accents
    /// written as marks of their own, invisible characters, nor letters that look like others make another person.
    pub fn is_same_person(&self, other: &Holder) -> bool {
        match (&self.person_id, &other.person_id) {
            (Some(own), Some(theirs)) => folded(own, is_no_space) == folded(theirs, is_no_space),
            _ => look_the_same(&self.name, &other.name),
        }
    }
}

/// In a record: a name alone is a text, as it was before there were ids of persons.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Noted {
    Name(String),
    Person { name: String, person_id: String },
}

impl From<Noted> for Holder {
    fn from(noted: Noted) -> Holder {
        match noted {
            Noted::Name(name) => Holder { name, person_id: None },
            Noted::Person { name, person_id } => Holder { name, person_id: Some(person_id) },
        }
    }
}

impl From<Holder> for Noted {
    fn from(holder: Holder) -> Noted {
        match holder.person_id {
            None => Noted::Name(holder.name),
            Some(person_id) => Noted::Person { name: holder.name, person_id },
        }
    }
}

/// A name as somebody writes it, without spaces around it; the error says what it may not have. It has letters of one script, beside
/// which Latin ones may stand with Chinese, digits, punctuation and spaces.
pub fn written_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !(1..=LONGEST).contains(&text.chars().count()) {
        return Err(format!("it needs 1 to {LONGEST} characters"));
    }
    if let Some(c) = text.chars().find(|c| is_unseen(*c)) {
        return Err(format!("U+{:04X} cannot be seen, so two names would look alike: leave it out", u32::from(c)));
    }
    if let Some(c) = text.chars().find(|c| !is_of_names(*c)) {
        let kinds = "letters, digits, punctuation and spaces";
        return Err(format!("{c} (U+{:04X}) is not a character of names: {kinds} are", u32::from(c)));
    }
    if !text.chars().any(char::is_alphanumeric) || text.starts_with(is_mark) {
        return Err("it needs a letter or a digit, and begins with no mark".to_owned());
    }
    if mixes_scripts(text) {
        return Err("its letters are of several scripts, and some look like others: write it in one script".to_owned());
    }
    Ok(text.to_owned())
}

/// Whether letters of several scripts stand in one name, other than Latin ones beside Chinese, Japanese or Korean.
fn mixes_scripts(name: &str) -> bool {
    let script = |c: char| CodePointMapData::<Script>::new().get(c);
    let letters = || name.chars().filter(|c| c.is_alphabetic());
    let others: String = letters().filter(|c| script(*c) != Script::Latin).collect();
    let east_asian = [Script::Han, Script::Bopomofo, Script::Hiragana, Script::Katakana, Script::Hangul];
    let beside_latin = letters().any(|c| script(c) == Script::Latin);
    !others.as_str().is_single_script() || (beside_latin && others.chars().any(|c| !east_asian.contains(&script(c))))
}

/// An id of a person, such as a staff number, without spaces around it.
pub fn written_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let fits = (1..=LONGEST).contains(&text.len()) && text.chars().all(allowed);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("it needs 1 to {LONGEST} of letters a to z, digits, _ . and -"))
    }
}

/// Letters that look alike may do so as they are written, or only in one case, so both are compared.
fn look_the_same(one: &str, other: &str) -> bool {
    let drawn = |text: &str| skeleton(text).collect::<String>();
    let folded = |text: &str| folded(text, is_of_words);
    drawn(&folded(one)) == drawn(&folded(other)) || folded(&drawn(one)) == folded(&drawn(other))
}

/// Unicode's NFKC_Casefold of the characters that count.
fn folded(text: &str, counts: fn(char) -> bool) -> String {
    let ignored = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let compatible = ComposingNormalizer::new_nfkc();
    let seen: String = text.chars().filter(|c| !ignored.contains(*c)).collect();
    let folded = CaseMapper::new().fold_string(&compatible.normalize(&seen)).into_owned();
    compatible.normalize(&folded).chars().filter(|c| counts(*c)).collect()
}

fn is_no_space(c: char) -> bool {
    !c.is_whitespace()
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(c))
}

/// Letters, digits and their marks: what two names are told apart by.
fn is_of_words(c: char) -> bool {
    is_mark(c) || [GeneralCategoryGroup::Letter, GeneralCategoryGroup::Number].iter().any(|g| g.contains(category(c)))
}

fn is_of_names(c: char) -> bool {
    is_of_words(c) || matches!(c, ' ' | '\u{3000}') || GeneralCategoryGroup::Punctuation.contains(category(c))
}

/// Controls, characters without a shape, and spaces of another kind than the plain one.
fn is_unseen(c: char) -> bool {
    let shapeless = GeneralCategoryGroup::Other.contains(category(c))
        || (GeneralCategoryGroup::Separator.contains(category(c)) && c != ' ' && c != '\u{3000}');
    // The braille pattern without a dot is a symbol to Unicode and a blank to who reads it.
    shapeless || c == '\u{2800}' || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Holder {
        Holder { name: name.into(), person_id: None }
    }

    #[test]
    fn no_spelling_of_a_name_makes_another_person() {
        for (one, other, same) in [
            ("Zhang Wei", "zhang wei", true),
            ("Zhang Wei", "  Zhang\tWei ", true),
            ("Zhang Wei", "Zhang\u{a0}Wei", true),
            ("Zhang Wei", "ＺＨＡＮＧ\u{3000}Ｗｅｉ", true),
            ("张伟", "张\u{200b}伟", true),
            ("张伟", "\u{feff}张伟\u{200f}", true),
            ("张伟", "张\u{e0101}伟", true),
            ("张 伟", "张伟", true),
            ("José", "Jose\u{301}", true),
            ("STRASSE", "straße", true),
            ("ΣΊΣΥΦΟΣ", "σίσυφος", true),
            ("ﬁona", "Fiona", true),
            ("①", "1", true),
            ("Wang-Li", "Wang Li", true),
            ("Wang-Li", "WANG\u{b7}LI", true),
            ("O'Neill", "O\u{2019}Neill", true),
            ("张伟", "张\u{2800}伟", true),
            ("Wang", "W\u{430}ng", true),
            ("cop", "\u{441}\u{43e}\u{440}", true),
            ("Zoe", "\u{396}oe", true),
            ("张伟", "张炜", false),
            ("Jose", "José", false),
            ("officer-1a", "officer-1b", false),
        ] {
            assert_eq!(named(one).is_same_person(&named(other)), same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_persons_id_decides_where_both_have_one() {
        let person = |name: &str, id: Option<&str>| Holder { name: name.into(), person_id: id.map(str::to_owned) };
        for (one, other, same) in [
            (person("li", Some("B-0017")), person("approver", Some("b-0017 ")), true),
            (person("Zhang Wei", Some("17")), person("Zhang Wei", Some("18")), false),
            (person("Zhang Wei", Some("17")), person("zhang wei", None), true),
            (person("li", Some("17")), person("wang", None), false),
        ] {
            assert_eq!(one.is_same_person(&other), same, "{one:?} {other:?}");
            assert_eq!(other.is_same_person(&one), same);
        }
    }

    #[test]
    fn a_name_that_cannot_be_seen_whole_is_refused_where_it_is_taken() {
        for (text, taken) in [
            ("  Zhang Wei ", Some("Zhang Wei")),
            ("张伟", Some("张伟")),
            ("Jose\u{301}", Some("Jose\u{301}")),
            ("", None),
            (" \u{3000}", None),
            ("张\u{200b}伟", None),
            ("a\u{202e}b", None),
            ("a\u{34f}b", None),
            ("a\u{fe0f}b", None),
            ("ㅤ", None),
            ("a\nb", None),
            ("a\u{2028}b", None),
            ("a\u{e000}b", None),
            ("a\u{2800}b", None),
            ("a☃b", None),
            ("W\u{430}ng", None),
            ("\u{301}a", None),
            ("--", None),
            ("Ваня", Some("Ваня")),
            ("张伟 (Wang-Li)", Some("张伟 (Wang-Li)")),
            ("𠮷田さん", Some("𠮷田さん")),
            ("ئايگۈل·توختى", Some("ئايگۈل·توختى")),
            ("O'Neill, officer_1", Some("O'Neill, officer_1")),
        ] {
            assert_eq!(written_name(text).ok().as_deref(), taken, "{text:?}");
        }
        let name = |characters: usize| written_name(&"张".repeat(characters)).is_ok();
        assert_eq!([name(LONGEST), name(LONGEST + 1)], [true, false]);
    }

    #[test]
    fn an_id_of_a_person_has_plain_characters() {
        for (text, taken) in
            [(" B-17 ", Some("B-17")), ("a.b_9", Some("a.b_9")), ("B 17", None), ("\u{412}-17", None), ("", None)]
        {
            assert_eq!(written_id(text).ok().as_deref(), taken, "{text:?}");
        }
    }

    #[test]
    fn a_name_alone_is_stored_as_it_always_was() {
        for (holder, bytes) in [
            (named("li"), r#""li""#),
            (Holder { name: "li".into(), person_id: Some("17".into()) }, r#"{"name":"li","person_id":"17"}"#),
        ] {
            assert_eq!(serde_json::to_string(&holder).unwrap(), bytes);
            assert_eq!(serde_json::from_str::<Holder>(bytes).unwrap(), holder);
        }
    }
}
