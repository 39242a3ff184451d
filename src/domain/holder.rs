//! Who of the program office did a step, and whether two steps were one person's: what one person proposes, another brings into force.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};
use serde::{Deserialize, Serialize};

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
    /// Where both are known by a person's id, it decides; otherwise names do. Neither case nor width, spaces, accents written as marks of
    /// their own, nor invisible characters make another person.
    pub fn is_same_person(&self, other: &Holder) -> bool {
        match (&self.person_id, &other.person_id) {
            (Some(own), Some(theirs)) => folded(own) == folded(theirs),
            _ => folded(&self.name) == folded(&other.name),
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

/// A name or id as somebody writes it, without spaces around it; the error says what it may not have.
pub fn written(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !(1..=LONGEST).contains(&text.chars().count()) {
        return Err(format!("it needs 1 to {LONGEST} characters"));
    }
    match text.chars().find(|c| is_unseen(*c)) {
        Some(c) => Err(format!("U+{:04X} cannot be seen, so two names would look alike: leave it out", u32::from(c))),
        None => Ok(text.to_owned()),
    }
}

/// The form in which two names are compared: Unicode's NFKC_Casefold, and no space of any kind.
fn folded(text: &str) -> String {
    let ignored = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let compatible = ComposingNormalizer::new_nfkc();
    let seen: String = text.chars().filter(|c| !ignored.contains(*c)).collect();
    let folded = CaseMapper::new().fold_string(&compatible.normalize(&seen)).into_owned();
    compatible.normalize(&folded).chars().filter(|c| !c.is_whitespace()).collect()
}

/// Controls, characters without a shape, and spaces of another kind than the plain one.
fn is_unseen(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let shapeless = GeneralCategoryGroup::Other.contains(category)
        || (GeneralCategoryGroup::Separator.contains(category) && c != ' ' && c != '\u{3000}');
    shapeless || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
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
        ] {
            assert_eq!(written(text).ok().as_deref(), taken, "{text:?}");
        }
        let name = |characters: usize| written(&"张".repeat(characters)).is_ok();
        assert_eq!([name(LONGEST), name(LONGEST + 1)], [true, false]);
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
