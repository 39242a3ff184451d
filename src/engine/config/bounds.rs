//! How much a program may have. What one program makes takes room in a store that others share, so each kind has a bound; the script that
//! makes a record counts them.

use serde::Serialize;

use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::store::config::{Kind, PutError};
use crate::store::made::{Made, New};

/// So many of a kind.
pub struct Bound {
    pub most: usize,
    zh: &'static str,
    en: &'static str,
}

pub const DRAFTS: Bound = Bound { most: 1_000, zh: "个未发布的活动", en: "campaigns that are not published" };
pub const PUBLISHED: Bound = Bound { most: 2_000, zh: "个已发布的活动", en: "published campaigns" };
pub const LISTS: Bound = Bound { most: 1_000, zh: "个名单", en: "lists" };
pub const AREAS: Bound = Bound { most: 1_000, zh: "个区域", en: "areas" };
pub const MERCHANTS: Bound = Bound { most: 1_000_000, zh: "个商户", en: "merchants" };
pub const TILL_KEYS: Bound =
    Bound { most: 100_000, zh: "个商户与平台密钥", en: "keys of merchants and platforms" };

impl Bound {
    /// One more is refused.
    pub fn refusal(&self) -> Refusal {
        let (zh, en) = (
            format!("每个项目最多 {} {}。", self.most, self.zh),
            format!("A program has at most {} {}.", self.most, self.en),
        );
        Refusal::new(Code::InvalidRequest).field("", "too_many", zh, en)
    }
}

impl Engine {
    /// Makes a record of a program; its version, or nothing when somebody else was quicker.
    pub(in crate::engine) async fn make<T: Serialize>(
        &self,
        kind: Kind,
        bound: &Bound,
        (program, id): (&str, &str),
        value: &T,
    ) -> Result<Option<u64>, Refusal> {
        match self.store.make_record(kind, New { program, id, name: "", most: bound.most }, value).await {
            Ok(Made::Now(version)) => Ok(Some(version)),
            Ok(Made::Full) => Err(bound.refusal()),
            Ok(Made::Before(_)) | Err(PutError::Conflict(_)) => Ok(None),
            Err(PutError::Store(error)) => Err(error.into()),
        }
    }
}
