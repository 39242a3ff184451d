//! Which version of a thing its writer means to replace, as the preconditions of HTTP say it.

/// What a writer expects to replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match` with versions, and as it was sent: one of them.
    OneOf(Vec<u64>, String),
}

impl Expect {
    /// As the header said it.
    pub fn as_sent(&self) -> String {
        match self {
            Expect::Absent | Expect::Present => "*".to_owned(),
            Expect::OneOf(_, text) => text.clone(),
        }
    }

    /// Whether what is there at this version may be replaced.
    pub fn holds_for(&self, version: u64) -> bool {
        match self {
            Expect::Absent => false,
            Expect::Present => true,
            Expect::OneOf(versions, _) => versions.contains(&version),
        }
    }
}
