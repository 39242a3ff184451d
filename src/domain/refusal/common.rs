//! Refusals that many places make in the same words.

use super::{Code, Outcome, Refusal};

impl Refusal {
    /// Something of the request is done and something is not: whoever is told of the failure must not believe that nothing changed, and
    /// its repeat does the rest.
    pub fn half_done(self) -> Refusal {
        let code = if self.code.status() == 503 { Code::StoreTimeout } else { self.code };
        Refusal { code, outcome: Outcome::Unknown, ..self }
    }

    /// Others were quicker again and again with the record that this was about.
    pub fn contended() -> Refusal {
        let (zh, en) = (
            "同一对象正被他人频繁修改，没有任何改动，请重试。",
            "Others are changing the same thing: nothing was applied, try again.",
        );
        Refusal::new(Code::StoreUnavailable).detail(zh, en).retry_after_ms(1_000)
    }

    /// A cursor that no page has given.
    pub fn invalid_cursor() -> Refusal {
        let (zh, en) = ("cursor 无效。", "Use next_cursor as it was given.");
        Refusal::new(Code::InvalidRequest).field("/cursor", "invalid_cursor", zh, en)
    }
}
