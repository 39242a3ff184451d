//! The OpenAPI 3.1 document, collected from the routes themselves, and the answer to whoever meets none of them.

mod bounds;
mod headers;

use actix_web::http::header::ALLOW;
use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpRequest, HttpResponse, ResponseError, web};
use bytes::Bytes;
use serde_json::{Map, Value};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::Ref;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, OpenApi, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use super::error::{PROBLEM_JSON, Problem, ProblemSchema};
use crate::domain::refusal::{Code, Refusal};

/// How a till signs, for whoever has only the document.
const TILL: &str = "QUANYU-HMAC-SHA256 key_id=\"…\",timestamp=\"<unix seconds>\",nonce=\"<16 to 64 of A-Z a-z 0-9 _ ->\",signature=\"…\": base64 \
    HMAC-SHA256 over five lines, each ended by a line feed: method, raw path with query, timestamp, nonce, raw body; within 300 s.";

/// The document and the routes it names; made once, shared by all workers as `web::Data<Document>`.
pub struct Document {
    pub json: Bytes,
    routes: Vec<Route>,
}

/// A path with `{parameters}` and the methods it takes.
struct Route {
    pattern: String,
    methods: Vec<&'static str>,
}

impl Document {
    /// Collects from the function that registers the routes on a worker.
    pub fn collect(configure: impl FnOnce(&mut ServiceConfig)) -> Document {
        let (_, mut document) = App::new().into_utoipa_app().configure(configure).split_for_parts();
        complete(&mut document);
        let routes = document
            .paths
            .paths
            .iter()
            .map(|(path, item)| Route { pattern: path.clone(), methods: methods(item) })
            .collect();
        let mut json = serde_json::to_value(&document).unwrap_or_default();
        leave_out_nulls(&mut json);
        headers::describe(&mut json);
        bounds::describe(&mut json);
        Document { json: json.to_string().into(), routes }
    }

    /// Methods that the path takes; empty when there is no such path.
    fn allowed(&self, path: &str) -> Vec<&'static str> {
        let matching = self.routes.iter().filter(|route| matches(&route.pattern, path));
        matching.flat_map(|route| route.methods.iter().copied()).collect()
    }
}

/// The default service: 404, or 405 with what the path takes.
pub async fn unmatched(request: HttpRequest, document: web::Data<Document>) -> HttpResponse {
    let allowed = document.allowed(request.path()).join(", ");
    if allowed.is_empty() {
        return Problem::from(no_route(request.path())).error_response();
    }
    let mut response =
        Problem::from(Refusal::new(Code::MethodNotAllowed).with("allow", allowed.as_str())).error_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// An order id with a slash in it makes a path of another shape, so a till is told how an id stands in a path.
fn no_route(path: &str) -> Refusal {
    let refusal = Refusal::new(Code::RouteNotFound);
    if !path.starts_with("/v1/redemptions/") {
        return refusal;
    }
    let (zh, en) = (
        "没有这个地址。路径中的订单号须做百分号编码：空格写作 %20，/ 写作 %2F，% 写作 %25。",
        "There is no such route. An order id is percent-encoded in a path: a space as %20, / as %2F, % as %25.",
    );
    refusal.detail(zh, en)
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || (wanted.starts_with('{') && !found.is_empty()) => {}
            _ => return false,
        }
    }
}

fn methods(item: &PathItem) -> Vec<&'static str> {
    let all = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
    ];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method).collect()
}

/// What every operation shares, so that no handler repeats it: the problem, and the callers.
fn complete(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("Quanyu 券雨")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Consumer vouchers: reserve, draw, rain, checkout, settlement. Amounts are integers in fen; times are RFC 3339."))
        .build();
    let components = document.components.get_or_insert(Components::new());
    let mut schemas = vec![(ProblemSchema::name().into_owned(), ProblemSchema::schema())];
    ProblemSchema::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let http =
        |scheme, text: &str| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(text)).build());
    components.add_security_scheme(
        "api_key",
        http(
            HttpAuthScheme::Bearer,
            "A key of the program office, qk_…; x-roles of an operation names the roles that may call it.",
        ),
    );
    components.add_security_scheme("resident", http(HttpAuthScheme::Bearer, "JSON Web Token of the identity provider"));
    components.add_security_scheme("pass", http(HttpAuthScheme::Bearer, "Pass of a reservation: qp1.…"));
    let till = utoipa::openapi::security::ApiKeyValue::with_description("Authorization", TILL);
    components.add_security_scheme("till", SecurityScheme::ApiKey(utoipa::openapi::security::ApiKey::Header(till)));
    for item in document.paths.paths.values_mut() {
        for operation in
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
        {
            share(operation);
        }
    }
}

fn share(operation: &mut Operation) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemSchema::name()))).build();
    let problem =
        ResponseBuilder::new().description("The request was refused; see code.").content(PROBLEM_JSON, content).build();
    operation.responses.responses.entry("default".to_owned()).or_insert(problem.into());
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = meaning(status).to_owned();
        }
    }
    // The tag names the caller, so that a handler says it once.
    let callers: &[&str] = match operation.tags.as_deref().and_then(<[String]>::first).map(String::as_str) {
        Some("office") => &["api_key"],
        Some("resident") => &["resident"],
        Some("claim") => &["pass", "resident"],
        Some("till") => &["till"],
        _ => &[],
    };
    if operation.security.is_none() && !callers.is_empty() {
        operation.security =
            Some(callers.iter().map(|caller| SecurityRequirement::new(*caller, Vec::<String>::new())).collect());
    }
}

/// What a status means wherever its operation says nothing of its own: OpenAPI wants a description of every answer.
fn meaning(status: &str) -> &'static str {
    match status {
        "201" => "Made by this call.",
        "204" => "Done.",
        "503" => "Not now; the body says what is in the way.",
        _ => "Done, or read.",
    }
}

/// A member that may be left out is never null: serde leaves it out when there is nothing to say, and the campaign file refuses null.
/// Members that are always there keep their null.
fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let required: Vec<Value> = fields.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = fields.get_mut("properties") {
                let optional =
                    properties.iter_mut().filter(|(name, _)| !required.contains(&Value::from(name.as_str())));
                optional.filter_map(|(_, schema)| schema.as_object_mut()).for_each(without_null);
            }
            // Likewise a body that need not be sent.
            if let Some(Value::Object(schema)) = fields.get_mut("schema") {
                without_null(schema);
            }
            fields.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("oneOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(one)] = &choices[..] {
            let one = one.clone();
            schema.remove("oneOf");
            schema.extend(one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1_and_every_operation_names_the_problem() {
        let document = Document::collect(crate::http::ops::configure);
        let json: Value = serde_json::from_slice(&document.json).unwrap();
        assert_eq!(json["openapi"], "3.1.0");
        assert_eq!(json["info"]["title"], "Quanyu 券雨");
        for path in ["/livez", "/readyz", "/version", "/openapi.json"] {
            let problem =
                &json["paths"][path]["get"]["responses"]["default"]["content"][PROBLEM_JSON]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/Problem", "{path}");
        }
        for schema in ["Problem", "Text", "FieldError", "Readiness"] {
            assert!(json["components"]["schemas"][schema].is_object(), "{schema}");
        }
    }

    #[test]
    fn a_path_is_known_by_its_segments() {
        for (pattern, path, known) in [
            ("/v1/a/{id}", "/v1/a/7", true),
            ("/v1/a/{id}", "/v1/a/", false),
            ("/v1/a/{id}", "/v1/a/7/b", false),
            ("/v1/a/{id}/b", "/v1/a/7/b", true),
            ("/v1/a", "/v1/a", true),
        ] {
            assert_eq!(matches(pattern, path), known, "{pattern} {path}");
        }
    }
}
