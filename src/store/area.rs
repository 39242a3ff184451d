//! Stored form of an area: every version as it was put, for campaigns that were published with it.

use serde::{Deserialize, Serialize};

use crate::domain::time::Ms;

/// An area of a program, with all its versions in order; the n-th has the number n + 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AreaRecord {
    pub versions: Vec<AreaVersion>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AreaVersion {
    /// GeoJSON or a circle, as it was put.
    pub area: serde_json::Value,
    /// Of the canonical JSON.
    pub sha256: String,
    pub put_by: String,
    pub put_at: Ms,
}
