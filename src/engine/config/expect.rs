//! Which version of a thing its writer means to replace, as the preconditions of HTTP say it.

/// What a writer expects to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: "<version>"`
    Version(u64),
    /// `If-Match` with something that is no version of ours.
    Other(String),
}

impl Expect {
    /// As the header said it.
    pub fn as_sent(&self) -> String {
        match self {
            Expect::Absent => "*".to_owned(),
            Expect::Version(version) => format!("\"{version}\""),
            Expect::Other(text) => text.clone(),
        }
    }
}
