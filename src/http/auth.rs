//! Who is calling: the program office by API key, residents by token or pass, tills by signature. Handlers take the caller as an
//! argument; whoever is not one gets 401 before the handler starts.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, web};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared};

use super::address::{self, subscriber};
use super::auth_resident::Verifier;
use super::auth_till::TillKey;
use super::error::Problem;
use super::limit::{Class, Limits};
use super::middleware::Call;
use super::roles;
use super::turn::Turns;
use crate::config::TrustedProxies;
use crate::domain::pass::Unbound;
use crate::domain::person::MacKey;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::config::cache::Recalled;
use crate::engine::key::{ApiKey, Role};

/// Finds a caller's key by its text or id.
pub type Lookup<T> = Box<dyn Fn(String) -> LocalBoxFuture<'static, Result<Option<T>, Refusal>> + Send + Sync>;

/// What this node knows of a key by its text or id.
pub type Recall<T> = Box<dyn Fn(&str) -> Recalled<T> + Send + Sync>;

/// Where keys of one kind are found: in this node's memory, else in the store.
pub struct Keys<T> {
    pub recall: Recall<T>,
    pub look_up: Lookup<T>,
}

/// Whether this node may judge by what it remembers of keys that end, for a request that came at an instant.
pub struct News {
    pub has_heard: Box<dyn Fn(Instant) -> bool + Send + Sync>,
    /// Asks the store, after which it may.
    pub hear: Hear,
}

/// Looks at the configuration for a request that came at an instant.
pub type Hear = Box<dyn Fn(Instant) -> LocalBoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// All that is needed to admit a request; one for the process, as `web::Data<Gate>`.
pub struct Gate {
    pub api_keys: Keys<ApiKey>,
    pub till_keys: Keys<TillKey>,
    pub news: News,
    /// Checks the sandbox's own tokens; a live server has none.
    pub tokens: Option<Verifier>,
    /// The pass keys that are valid now (two while rotating).
    pub pass_keys: Vec<MacKey>,
    pub limits: Limits,
    pub turns: Turns,
    pub proxies: TrustedProxies,
}

impl Gate {
    pub fn of(request: &HttpRequest) -> Result<web::Data<Gate>, Refusal> {
        let gate = request.app_data::<web::Data<Gate>>().cloned();
        gate.ok_or_else(|| {
            Refusal::new(Code::Internal).detail("服务器组装有误。", "The server was assembled without a gate.")
        })
    }

    /// Counts the request; the answer carries where the caller stands.
    pub fn admit(&self, class: Class, caller: impl std::hash::Hash) -> Result<(), Refusal> {
        let standing = self.limits.check(class, caller);
        let refusal = standing.refusal();
        // Nobody reads these headers in the ten minutes of a rain, and they would be a third of each answer; and who counts by two meters
        // reads where they stand with all that they ask for.
        let quiet = matches!(class, Class::Claim | Class::PayCode | Class::Guess { .. });
        if !quiet || refusal.is_some() {
            Call::current().set_standing(standing);
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Whether one more would be admitted; it is not counted.
    pub fn may(&self, class: Class, caller: impl std::hash::Hash) -> Result<(), Refusal> {
        let standing = self.limits.look(class, caller);
        let refusal = standing.refusal();
        if refusal.is_some() {
            Call::current().set_standing(standing);
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Counts a tap by its pass.
    pub fn admit_tap(&self, pass: &Unbound) -> Result<(), Refusal> {
        self.admit(Class::Claim, pass.bearer())
    }

    /// Counts a request without a caller, by its address.
    pub fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        address.map_or(Ok(()), |address| self.admit(Class::Anonymous, address))
    }

    /// Who sent a request, as far as strangers are told apart.
    pub fn address_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip();
        Some(subscriber(address::caller(peer, request.headers(), &self.proxies)))
    }

    /// The key that a caller names. A name that this node has never met may be a guess: it takes part of the address's allowance while the
    /// store is asked, so that guesses never reach the store faster than they are refused.
    pub async fn find<T>(&self, address: Option<IpAddr>, keys: &Keys<T>, name: String) -> Result<Option<T>, Refusal> {
        match (keys.recall)(&name) {
            Recalled::Known(key) => Ok(Some(key)),
            Recalled::Absent => Ok(None),
            Recalled::Met => (keys.look_up)(name).await,
            Recalled::Never => {
                let Some(address) = address else { return (keys.look_up)(name).await };
                let standing = self.limits.check(Class::Anonymous, address);
                if let Some(refusal) = standing.refusal() {
                    Call::current().set_standing(standing);
                    return Err(refusal);
                }
                let found = (keys.look_up)(name).await;
                // Whoever is refused for it is counted then, as for any other wrong credential.
                self.limits.give_back(Class::Anonymous, address);
                found
            }
        }
    }
}

/// A member of the program office with one of the roles of the route (`roles.rs`); whoever has none is refused before the body is read.
#[derive(Clone, Debug)]
pub struct Officer(ApiKey);

impl Officer {
    pub fn key(&self) -> &ApiKey {
        &self.0
    }

    /// The key, if it has one of these roles too, where it depends on the body what a route does.
    pub fn require(&self, allowed: &[Role]) -> Result<&ApiKey, Refusal> {
        require(&self.0, allowed).map(|()| &self.0)
    }
}

fn require(key: &ApiKey, allowed: &[Role]) -> Result<(), Refusal> {
    if key.roles.iter().any(|role| allowed.contains(role)) {
        return Ok(());
    }
    let (names, own) = (roles::names(allowed), roles::names(&key.roles));
    let zh = format!("该操作须由角色 {} 执行，此密钥的角色为 {}。", names.join("、"), own.join("、"));
    let en =
        format!("This takes a key with the role {}; the role of this key is {}.", names.join(" or "), own.join(", "));
    Err(Refusal::new(Code::Forbidden).with("roles", names).detail(zh, en))
}

/// Whoever may call the route that a request has met.
fn roles_of(request: &HttpRequest) -> Result<&'static [Role], Refusal> {
    let path = request.match_pattern().unwrap_or_default();
    roles::of(request.method().as_str(), &path)
        .ok_or_else(|| Refusal::new(Code::Internal).detail("该接口未指明角色。", "No roles are named for this route."))
}

/// The judgement of an officer while the key is looked up, kept with the request.
#[derive(Clone)]
struct Judging(Shared<LocalBoxFuture<'static, Result<ApiKey, Refusal>>>);

impl FromRequest for Officer {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let (gate, allowed) = (Gate::of(request), roles_of(request));
        let text = bearer(request.headers()).map(str::to_owned);
        let address = gate.as_ref().ok().and_then(|gate| gate.address_of(request));
        // The request is not held here: it holds the judgement, and neither would ever be freed after a hang-up.
        let judged = async move {
            let gate = gate?;
            let key = officer(&gate, text, address).await?;
            require(&key, allowed?).map(|()| key)
        };
        let judging = Judging(judged.boxed_local().shared());
        request.extensions_mut().insert(judging.clone());
        Box::pin(async move { judging.0.await.map(Officer).map_err(Problem::from) })
    }
}

async fn officer(gate: &Gate, text: Result<String, Refusal>, address: Option<IpAddr>) -> Result<ApiKey, Refusal> {
    let key = match text {
        Ok(text) if text.starts_with("qk_") => gate.find(address, &gate.api_keys, text).await?,
        Ok(_) => None,
        Err(refusal) => return gate.admit_address(address).and(Err(refusal)),
    };
    let Some(key) = key else { return gate.admit_address(address).and(Err(Code::Unauthenticated.into())) };
    gate.admit(Class::Office, (&key.program, &key.name))?;
    Ok(key)
}

/// Whether a route of the office has admitted its caller, however long the key is looked up; `None` on the routes of others.
pub async fn officer_admitted(request: &HttpRequest) -> Option<Result<(), Refusal>> {
    let Judging(judging) = request.extensions().get::<Judging>().cloned()?;
    Some(judging.await.map(|_| ()))
}

/// What a request with a fault is told: a caller that is not admitted hears only that.
pub async fn told_after_the_caller(request: &HttpRequest, fault: Refusal) -> Problem {
    let refused = officer_admitted(request).await.and_then(Result::err);
    refused.unwrap_or(fault).into()
}

/// Anybody, limited by address: routes without a caller take this as an argument.
#[derive(Clone, Copy, Debug)]
pub struct Anyone;

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = std::future::Ready<Result<Anyone, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let admitted = Gate::of(request).and_then(|gate| gate.admit_address(gate.address_of(request)));
        std::future::ready(admitted.map(|()| Anyone).map_err(Problem::from))
    }
}

/// The one `Authorization` header; a second one is refused, because two readers might choose differently.
pub fn authorization(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION);
    let first = values.next().ok_or_else(|| {
        Refusal::new(Code::Unauthenticated).detail("缺少 Authorization 请求头。", "There is no Authorization header.")
    })?;
    if values.next().is_some() {
        return Err(Refusal::new(Code::Unauthenticated)
            .detail("Authorization 请求头多于一个。", "There is more than one Authorization header."));
    }
    first.to_str().map_err(|_| {
        Refusal::new(Code::Unauthenticated)
            .detail("Authorization 须为 ASCII 字符。", "Authorization is not plain ASCII.")
    })
}

/// The text after `Bearer`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = authorization(headers)?;
    let token = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    token.filter(|token| !token.is_empty()).ok_or_else(|| {
        Refusal::new(Code::Unauthenticated)
            .detail("请携带 Authorization: Bearer 加密钥或令牌。", "Send Authorization: Bearer and the key or token.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn a_credential_is_one_bearer_header() {
        let check = |values: &[&'static str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| headers.append(AUTHORIZATION, HeaderValue::from_static(value)));
            assert_eq!(bearer(&headers).ok(), expected, "{values:?}");
        };
        check(&["Bearer qk_1"], Some("qk_1"));
        check(&["bearer  qk_1 "], Some("qk_1"));
        check(&[], None);
        check(&["qk_1"], None);
        check(&["Bearer "], None);
        check(&["Basic qk_1"], None);
        check(&["Bearer qk_1", "Bearer qk_2"], None);
    }

    #[test]
    fn a_role_opens_what_names_it() {
        let key = ApiKey::new("li", &[Role::Officer, Role::Finance], "p");
        assert!(require(&key, &[Role::Approver, Role::Finance]).is_ok());
        let refusal = require(&key, &[Role::Approver, Role::Platform]).unwrap_err();
        assert_eq!(refusal.code, Code::Forbidden);
        assert_eq!(refusal.extra["roles"], serde_json::json!(["approver", "platform"]));
    }
}
