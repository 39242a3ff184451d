//! What the document says of every operation beyond its body: the headers that are read and sent, and the roles that may call it. The tests
//! hold every header of every answer against it.

use serde_json::{Value, json};

use crate::http::roles;

/// A header of an answer, and when an operation may send it.
struct Sent {
    name: &'static str,
    says: &'static str,
    when: fn(&Operation<'_>, status: &str) -> bool,
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    tag: &'a str,
}

impl Operation<'_> {
    fn changes(&self) -> bool {
        self.method != "get"
    }

    /// Whether its answer names a version.
    fn has_version(&self) -> bool {
        let of_merchant = self.path == "/v1/merchants" || self.path.starts_with("/v1/merchants/{merchant_id}");
        let of_campaign = self.path.starts_with("/v1/campaigns/{campaign_id}");
        let deeper = [
            "/terminals",
            "/rounds",
            "/merchants/",
            "/reservations",
            "/eligibility",
            "/amendments",
            "/stats",
            "/ledger",
        ];
        let is_list = self.path.ends_with("/entries") || self.path.ends_with("/winners");
        let own = (of_merchant && !self.path.contains("/terminals"))
            || (of_campaign && !deeper.iter().any(|part| self.path.contains(part)));
        own || is_list || self.path == "/v1/wallet"
    }
}

fn is_answer(status: &str) -> bool {
    status != "default"
}

const SENT: [Sent; 13] = [
    Sent { name: "Request-Id", says: "The caller's own id of the request, or a new one.", when: |_, _| true },
    Sent {
        name: "Idempotency-Key",
        says: "As it was sent; what makes a repeat the same are the ids in the request.",
        when: |operation, _| operation.changes(),
    },
    Sent {
        name: "Durability",
        says: "How an effect is kept: D1 synced every second, D2 synced before the answer.",
        when: |operation, status| operation.changes() && is_answer(status),
    },
    Sent {
        name: "Idempotent-Replayed",
        says: "`true` where the effect took place at an earlier request.",
        when: |operation, status| operation.changes() && is_answer(status),
    },
    Sent {
        name: "ETag",
        says: "Version of what is answered, for If-Match and If-None-Match.",
        when: |operation, status| operation.has_version() && is_answer(status),
    },
    Sent {
        name: "Location",
        says: "Path of what was made.",
        when: |operation, status| operation.path == "/v1/merchants" && is_answer(status),
    },
    Sent { name: "RateLimit-Policy", says: "The caller's limit: requests and seconds.", when: |_, _| true },
    Sent {
        name: "RateLimit",
        says: "What is left of it, and in how many seconds it is whole again.",
        when: |_, _| true,
    },
    Sent {
        name: "Retry-After",
        says: "Seconds to wait; the exact wait is the problem's retry_after_ms.",
        when: |_, status| !is_answer(status) || status == "503",
    },
    Sent {
        name: "Content-Language",
        says: "Language of title and detail: zh or en, as Accept-Language asks.",
        when: |_, status| !is_answer(status),
    },
    Sent {
        name: "WWW-Authenticate",
        says: "With 401, except at tills.",
        when: |operation, status| !is_answer(status) && operation.tag != "till",
    },
    Sent {
        name: "Quanyu-Timestamp",
        says: "Unix seconds, signed with the answer.",
        when: |operation, _| operation.tag == "till",
    },
    Sent {
        name: "Quanyu-Signature",
        says: "Base64 HMAC-SHA256 over status, timestamp, the request's nonce and the raw body, each ended by a line feed; absent where the request's signature did not hold.",
        when: |operation, _| operation.tag == "till",
    },
];

/// A header of a request: its name, what it says, its schema, whether it has to be there.
type Read = (&'static str, &'static str, Value, bool);

fn read(operation: &Operation<'_>) -> Vec<Read> {
    let text = || json!({"type": "string"});
    let mut read = vec![
        ("Accept-Language", "Language of a refusal's title and detail: zh or en.", text(), false),
        (
            "Request-Id",
            "An id of the caller's, which the answer repeats.",
            json!({"type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$"}),
            false,
        ),
    ];
    if operation.changes() {
        let key = json!({"type": "string", "maxLength": 255});
        let says = match operation.path {
            "/v1/till-keys" => {
                "1 to 255 visible ASCII characters of the program's own: a repeat under them makes no second key."
            }
            _ => "Accepted and echoed; the ids in the request make it idempotent.",
        };
        read.push(("Idempotency-Key", says, key, false));
    }
    match (operation.method, operation.path) {
        ("put", "/v1/campaigns/{campaign_id}") => {
            read.push((
                "If-Match",
                "The ETag of the draft that is replaced, several of which one holds, or `*` for whichever holds; this or If-None-Match is needed.",
                text(),
                false,
            ));
            read.push(("If-None-Match", "`*` to create.", text(), false));
        }
        ("delete", "/v1/campaigns/{campaign_id}") => {
            read.push((
                "If-Match",
                "The ETag of the draft that is removed, several of which one holds, or `*`.",
                text(),
                true,
            ));
        }
        ("put", "/v1/merchants/{merchant_id}") => {
            read.push((
                "If-Match",
                "The ETag of the merchant that is changed, several of which one holds, or `*`.",
                text(),
                true,
            ));
        }
        ("get", _) if operation.has_version() => {
            read.push(("If-None-Match", "An ETag that the reader has: 304 if it still holds.", text(), false));
        }
        _ => {}
    }
    read
}

/// Adds the headers and roles to every operation of the document.
pub fn describe(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
            describe_one(&Operation { method, path, tag: &tag }, operation);
        }
    }
}

fn describe_one(known: &Operation<'_>, operation: &mut Value) {
    if let Some(roles) = roles::of(&known.method.to_uppercase(), known.path) {
        operation["x-roles"] = json!(roles::names(roles));
    }
    let parameter = |(name, says, schema, required): Read| json!({"name": name, "in": "header", "description": says, "required": required, "schema": schema});
    let read = read(known).into_iter().map(parameter);
    match &mut operation["parameters"] {
        Value::Array(parameters) => parameters.extend(read),
        parameters => *parameters = read.collect(),
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let sent = SENT.iter().filter(|sent| (sent.when)(known, status));
        let header =
            |sent: &Sent| (sent.name.to_owned(), json!({"description": sent.says, "schema": {"type": "string"}}));
        response["headers"] = Value::Object(sent.map(header).collect());
    }
}
