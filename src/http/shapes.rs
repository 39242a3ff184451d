//! Forms of the bodies that the engine reads or builds as JSON, for the OpenAPI document alone: no value of these types is ever made.
//! The harness of `tests/it` holds every answer of every test against the document, so a form that is not the answer's is found there.

#![allow(dead_code, reason = "these types describe JSON; nothing constructs them")]

pub mod area;
pub mod campaign_file;
pub mod draw;
pub mod effective;
pub mod office;

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

/// An OpenAPI 3.1 document.
#[derive(ToSchema)]
pub struct OpenApiDocument {
    #[schema(example = "3.1.0")]
    openapi: String,
    info: OpenApiInfo,
    paths: BTreeMap<String, Value>,
    components: BTreeMap<String, Value>,
}

#[derive(ToSchema)]
pub struct OpenApiInfo {
    title: String,
    description: String,
    version: String,
}
