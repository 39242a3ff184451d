//! Residents: a token of the identity provider, or a pass that was given out after eligibility had been judged. No body carries an
//! identity. What the token says about a person is never printed.

mod claims;
mod fault;

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Gate, bearer};
use super::error::Problem;
use super::limit::Class;
use crate::clock::wall_ms;
use crate::domain::campaign::value_from;
use crate::domain::pass::{Pass, Unbound};
use crate::domain::refusal::{Code, Refusal};

pub use claims::ResidentClaims;

const ISSUER: &str = "quanyu-sandbox";
const AUDIENCE: &str = "quanyu";
/// How long a minted token lives when its claims do not say.
const DEFAULT_LIFE_SECONDS: i64 = 12 * 3600;
/// Clocks of the identity provider may be this much ahead of ours; expiry is exact.
const LEEWAY_SECONDS: f64 = 60.0;
/// A token is small; what is longer is not read.
const TOKEN_LIMIT: usize = 4_096;

/// Checks tokens of the sandbox's issuer: HS256 and nothing else, issuer, audience, and expiry by the wall clock.
pub struct Verifier {
    key: DecodingKey,
    rules: Validation,
}

impl Verifier {
    pub fn new(key: &[u8; 32]) -> Verifier {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Verifier { key: DecodingKey::from_secret(key), rules }
    }

    pub fn verify(&self, token: &str) -> Result<ResidentClaims, Refusal> {
        if token.len() > TOKEN_LIMIT {
            return Err(Refusal::new(Code::TokenInvalid)
                .detail("令牌超过 4096 个字符。", "The token is longer than 4096 characters."));
        }
        judge_header(token)?;
        let decoded = jsonwebtoken::decode::<ResidentClaims>(token, &self.key, &self.rules);
        let claims = decoded.map_err(|error| fault::refusal(error.kind()))?.claims;
        claims.judge()?;
        claims.judge_beginning(wall_ms() as f64 / 1000.0)?;
        Ok(claims)
    }
}

/// Refuses a header that names another algorithm, or demands extensions: who does not understand them must refuse the token (RFC 7515, 4.1.11).
fn judge_header(token: &str) -> Result<(), Refusal> {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|header| serde_json::from_slice::<serde_json::Map<String, Value>>(&header).ok());
    let header = header.ok_or_else(|| fault::refusal(&ErrorKind::InvalidToken))?;
    if header.contains_key("crit") {
        return Err(Refusal::new(Code::TokenInvalid).detail(
            "令牌头有 crit，而本服务不支持任何扩展。",
            "The header has crit, and no extension is understood.",
        ));
    }
    match header.get("alg").and_then(Value::as_str) {
        Some("HS256") => Ok(()),
        _ => Err(fault::refusal(&ErrorKind::InvalidAlgorithm)),
    }
}

/// Makes a sandbox token from claims; `iss`, `aud`, `sub` and `exp` have defaults. The error says what the claims lack.
pub fn mint(claims: &str, key: &[u8; 32]) -> Result<String, String> {
    let mut claims =
        value_from(claims.as_bytes()).map_err(|fault| format!("the claims are not taken: {}", fault.en))?;
    let object = claims.as_object_mut().ok_or("the claims must be a JSON object")?;
    let defaults = [("iss", json!(ISSUER)), ("aud", json!(AUDIENCE)), ("sub", json!("resident"))];
    for (name, value) in defaults.into_iter().chain([("exp", json!(wall_ms() / 1000 + DEFAULT_LIFE_SECONDS))]) {
        object.entry(name).or_insert(value);
    }
    ResidentClaims::deserialize(&claims).map_err(|error| format!("the claims are not complete: {error}"))?;
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key))
        .map_err(|error| error.to_string())
}

/// A resident by token, on every route but the tap.
#[derive(Clone, Debug)]
pub struct TokenHolder(pub ResidentClaims);

impl FromRequest for TokenHolder {
    type Error = Problem;
    type Future = Ready<Result<TokenHolder, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(by_token(request).map(TokenHolder).map_err(Problem::from))
    }
}

fn by_token(request: &HttpRequest) -> Result<ResidentClaims, Refusal> {
    let gate = Gate::of(request)?;
    match bearer(request.headers()).and_then(|token| claims(&gate, token)) {
        Ok(claims) => gate.admit(Class::Resident, claims.caller()).map(|()| claims),
        Err(refusal) => gate.admit_address(gate.address_of(request)).and(Err(refusal)),
    }
}

fn claims(gate: &Gate, token: &str) -> Result<ResidentClaims, Refusal> {
    let Some(tokens) = &gate.tokens else {
        return Err(Refusal::new(Code::TokenInvalid)
            .detail("本服务器没有身份提供方。", "This server has no identity provider."));
    };
    tokens.verify(token)
}

/// Who taps: a pass, or a resident by token. Never limited by address.
#[derive(Clone, Debug)]
pub enum Tapper {
    Pass(Unbound),
    Token(Box<ResidentClaims>),
}

impl FromRequest for Tapper {
    type Error = Problem;
    type Future = Ready<Result<Tapper, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(tapper(request).map_err(Problem::from))
    }
}

fn tapper(request: &HttpRequest) -> Result<Tapper, Refusal> {
    let gate = Gate::of(request)?;
    let text = bearer(request.headers())?;
    if text.starts_with("qp1.") {
        let pass = Pass::decode(text, &gate.pass_keys).map_err(|_| Refusal::from(Code::TokenInvalid))?;
        gate.admit_tap(&pass)?;
        return Ok(Tapper::Pass(pass));
    }
    let claims = claims(&gate, text)?;
    gate.admit(Class::Claim, claims.caller())?;
    Ok(Tapper::Token(Box::new(claims)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn verify(token: &str, key: &[u8; 32]) -> Result<ResidentClaims, Refusal> {
        Verifier::new(key).verify(token)
    }
    const NUMBER: &str = "11010519491231002X";

    /// Claims of a complete token with some replaced; null removes one.
    fn with(changes: Value) -> Value {
        let exp = wall_ms() / 1000 + 60;
        let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "s", "exp": exp, "channel": "wechat", "document_type": "cn_id",
            "document_number": NUMBER, "iat": 1});
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    fn encode(algorithm: Algorithm, claims: &Value, key: &[u8]) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key)).unwrap()
    }

    /// A token of these claims as they are written.
    fn signed(claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
        let tag = jsonwebtoken::crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(&KEY), Algorithm::HS256);
        format!("{signed}.{}", tag.unwrap())
    }

    #[test]
    fn a_token_that_says_something_twice_is_refused() {
        let whole = with(
            json!({"nbf": 1, "health_pass": "green", "birth_date": "1949-12-31", "residence": "5101", "phone": "13800138000",
            "device": "d", "attributes": {"veteran": "yes"}}),
        );
        let text = whole.to_string();
        assert!(verify(&signed(&text), &KEY).is_ok());
        let check = |claims: &str, said: &str| {
            let refusal = verify(&signed(claims), &KEY).expect_err(claims);
            assert_eq!(
                (refusal.code, refusal.detail.as_ref().map(|told| told.en.as_str())),
                (Code::TokenInvalid, Some(said))
            );
            assert!(mint(claims, &KEY).is_err(), "{claims}");
        };
        for again in [r#""no""#, r#""yes""#, "null"] {
            let attributes = format!(r#"{{"veteran":"yes","veteran":{again}}}"#);
            check(&text.replace(r#"{"veteran":"yes"}"#, &attributes), "An attribute is given twice.");
        }
        for (claim, value) in whole.as_object().unwrap() {
            let again = format!("{},\"{claim}\":{value}}}", &text[..text.len() - 1]);
            check(&again, &format!("The claim {claim} is given twice."));
        }
    }

    #[test]
    fn a_token_is_refused_with_its_reason_and_without_its_content() {
        let check = |token: &str, code: Code, reason: &str| {
            let refusal = verify(token, &KEY).unwrap_err();
            assert_eq!(refusal.code, code, "{refusal:?}");
            assert!(format!("{refusal:?}").contains(reason), "{refusal:?} lacks {reason}");
            assert!(!format!("{refusal:?}").contains(NUMBER), "{refusal:?}");
        };
        let changed =
            |changes: Value, code, reason: &str| check(&encode(Algorithm::HS256, &with(changes), &KEY), code, reason);
        assert!(verify(&encode(Algorithm::HS256, &with(json!({})), &KEY), &KEY).is_ok());
        changed(json!({"exp": wall_ms() / 1000 - 1}), Code::TokenExpired, "server_time");
        changed(json!({"exp": null}), Code::TokenInvalid, "exp");
        changed(json!({"iss": "another"}), Code::TokenInvalid, ISSUER);
        changed(json!({"aud": "another"}), Code::TokenInvalid, "aud");
        for claim in ["nbf", "iat"] {
            changed(json!({claim: wall_ms() / 1000 + 70}), Code::TokenInvalid, claim);
            changed(json!({claim: "tomorrow"}), Code::TokenInvalid, "wrong type");
        }
        changed(json!({"exp": "9999999999"}), Code::TokenInvalid, "wrong type");
        changed(json!({"channel": null}), Code::TokenInvalid, "channel");
        changed(json!({"document_number": null}), Code::TokenInvalid, "person_digest");
        changed(json!({"person_digest": "d"}), Code::TokenInvalid, "Exactly one");
        changed(json!({"channel": "we chat", "sub": ""}), Code::TokenInvalid, "sub");
        changed(json!({"document_number": 11010519491231002i64}), Code::TokenInvalid, "wrong type");
        changed(json!({"birth_date": "31.1.1990"}), Code::TokenInvalid, "birth_date");
        check(&encode(Algorithm::HS256, &with(json!({})), &[8; 32]), Code::TokenInvalid, "signature");
        check(&encode(Algorithm::HS384, &with(json!({})), &KEY), Code::TokenInvalid, "HS256");
        check("qk_1", Code::TokenInvalid, "JSON Web Token");
        check(&"a".repeat(5_000), Code::TokenInvalid, "4096");
    }

    #[test]
    fn a_date_may_have_a_fraction_or_an_exponent_and_null_is_absent() {
        let accepted = |changes: Value| {
            let mut claims = with(json!({}));
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let verified = verify(&encode(Algorithm::HS256, &claims, &KEY), &KEY);
            verified.unwrap_or_else(|refusal| panic!("{changes}: {refusal:?}"))
        };
        let soon = wall_ms() / 1000 + 50;
        accepted(json!({"exp": soon as f64 + 0.5}));
        accepted(json!({"exp": 1e12}));
        accepted(json!({"nbf": soon, "iat": soon as f64 + 0.25}));
        let optional =
            ["person_digest", "health_pass", "birth_date", "residence", "phone", "device", "attributes", "nbf", "iat"];
        for name in optional {
            accepted(json!({name: null}));
        }
        let claims = accepted(json!({"attributes": {"veteran": "yes", "student": null}}));
        assert_eq!(claims.identity().attributes, BTreeMap::from([("veteran".to_owned(), "yes".to_owned())]));
    }

    #[test]
    fn a_token_whose_header_demands_an_extension_is_refused() {
        let token = encode(Algorithm::HS256, &with(json!({})), &KEY);
        let payload = token.split('.').nth(1).unwrap();
        let check = |header: &str, accepted: bool| {
            let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
            let tag = jsonwebtoken::crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(&KEY), Algorithm::HS256);
            let verified = verify(&format!("{signed}.{}", tag.unwrap()), &KEY);
            assert_eq!(verified.as_ref().err().map(|refusal| refusal.code), (!accepted).then_some(Code::TokenInvalid));
        };
        check(r#"{"alg":"HS256"}"#, true);
        check(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, false);
        check(r#"{"alg":"HS256","crit":null}"#, false);
    }

    #[test]
    fn a_token_without_an_algorithm_is_not_one() {
        let token = encode(Algorithm::HS256, &with(json!({})), &KEY);
        let payload = token.split('.').nth(1).unwrap();
        let told = |header: &str| {
            let refusal = verify(&format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(header)), &KEY).unwrap_err();
            assert_eq!(refusal.code, Code::TokenInvalid, "{header}");
            refusal.detail.expect("words").en
        };
        for algorithm in ["none", "None", "RS256"] {
            let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
            assert_eq!(told(&header), "The algorithm must be HS256.", "{header}");
        }
        assert!(told(r#"{"alg":"HS256","typ":"JWT"}"#).contains("signature"));
        for header in [r#"{"typ":"JWT"}"#, r#"{"alg":5}"#, "", "[]"] {
            assert!(!told(header).contains("claim"), "{header}: {}", told(header));
        }
    }

    #[test]
    fn a_minted_token_is_accepted_and_minting_says_what_is_missing() {
        let token = mint(
            r#"{"channel":"wechat","document_type":"cn_id","document_number":"11010519491231002X","health_pass":"green"}"#,
            &KEY,
        );
        let claims = verify(&token.unwrap(), &KEY).unwrap();
        assert_eq!((claims.channel.as_str(), claims.identity().health_pass), ("wechat", Some("green")));
        assert!(mint(r#"{"document_type":"cn_id"}"#, &KEY).unwrap_err().contains("channel"));
        assert!(mint("[]", &KEY).is_err());
    }

    #[test]
    fn claims_print_nothing_about_the_person() {
        let claims = verify(&encode(Algorithm::HS256, &with(json!({"phone": "13800138000"})), &KEY), &KEY).unwrap();
        let text = format!("{claims:?}");
        assert!(!text.contains(NUMBER) && !text.contains("13800138000"), "{text}");
    }
}
