//! What reading and judging a campaign file finds: faults (the file is refused) and warnings (it is taken, the officer should look).

/// One fault or warning: RFC 6901 pointer, code, and a sentence in both languages that says what to write instead.
pub use crate::domain::refusal::FieldError as Fault;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    pub faults: Vec<Fault>,
    pub warnings: Vec<Fault>,
}

impl Findings {
    pub fn fault(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) {
        self.faults.push(Fault { pointer: pointer.into(), code, zh: zh.into(), en: en.into() });
    }

    pub fn warn(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) {
        self.warnings.push(Fault { pointer: pointer.into(), code, zh: zh.into(), en: en.into() });
    }
}

/// A pointer one level deeper, with the name escaped.
pub fn below(pointer: &str, name: impl std::fmt::Display) -> String {
    format!("{pointer}/{}", name.to_string().replace('~', "~0").replace('/', "~1"))
}
