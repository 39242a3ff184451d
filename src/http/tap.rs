//! The short way of a tap: one with a pass and no body is judged before any route is looked for, so a losing tap costs little more than
//! reading it. Whatever is unusual (a token, a body, a refusal) goes the long way, which says the same and explains it.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{Error, Responder};
use futures_util::future::{Either, LocalBoxFuture};

use super::State;
use super::answer::Answer;
use super::auth::{Gate, bearer};
use super::claim::told;
use super::middleware::{identified, refused};
use crate::domain::pass::{Pass, Purpose};
use crate::domain::refusal::Refusal;
use crate::engine::Failure;
use crate::engine::claim::{Issue, Judged};
use crate::engine::config::view::CampaignView;
use crate::store::StoreError;

/// For `App::wrap`, outermost.
pub struct ShortWay {
    pub state: Data<State>,
    pub gate: Data<Gate>,
}

impl<S> Transform<S, ServiceRequest> for ShortWay
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Taps<S>;
    type InitError = ();
    type Future = Ready<Result<Taps<S>, ()>>;

    fn new_transform(&self, long_way: S) -> Self::Future {
        ready(Ok(Taps { long_way: Rc::new(long_way), state: self.state.clone(), gate: self.gate.clone() }))
    }
}

pub struct Taps<S> {
    long_way: Rc<S>,
    state: Data<State>,
    gate: Data<Gate>,
}

impl<S> Service<ServiceRequest> for Taps<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Either<
        Ready<Result<ServiceResponse<BoxBody>, Error>>,
        Either<LocalBoxFuture<'static, Result<ServiceResponse<BoxBody>, Error>>, S::Future>,
    >;

    forward_ready!(long_way);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match self.judge(&request) {
            Some(Quick::Told(answer)) => Either::Left(ready(Ok(respond(request, Ok(answer))))),
            Some(Quick::Issue(would_be)) => {
                let (long_way, state) = (self.long_way.clone(), self.state.clone());
                Either::Right(Either::Left(Box::pin(settle(long_way, state, request, would_be))))
            }
            None => Either::Right(Either::Right(self.long_way.call(request))),
        }
    }
}

/// What can be said of a tap by the short way.
enum Quick {
    Told(Answer),
    Issue(WouldBe),
}

/// A would-be winner, on whom the store has the last word.
struct WouldBe {
    view: Arc<CampaignView>,
    round: u8,
    pass: Pass,
    issue: Issue,
}

impl<S> Taps<S> {
    fn judge(&self, request: &ServiceRequest) -> Option<Quick> {
        if request.method() != Method::POST || !matches!(request.parts().1, Payload::None) {
            return None;
        }
        let (campaign_id, round_id) = names(request.path())?;
        let token = bearer(request.headers()).ok().filter(|token| token.starts_with("qp1."))?;
        let unbound = Pass::decode(token, &self.gate.pass_keys).ok()?;
        let engine = &self.state.engine;
        let snapshot = engine.glance();
        let view = snapshot.by_id.get(campaign_id).filter(|view| view.is_published())?;
        // Where a tap has to say where it comes from, it has a body.
        let round = view.round(round_id).filter(|round| !round.asks_place())?;
        let now = engine.now();
        let pass = unbound.bind(view.number, round.index, Purpose::Tap(now)).ok()?;
        let judged = match engine.judge_tap(view, round, &pass, None, now).told(round) {
            Ok(Ok(tap)) => Ok(tap),
            Err(Judged::Issue(issue)) => Err(issue),
            _ => return None,
        };
        // Whoever taps too fast is told so on the long way, where a refused request is not counted again.
        self.gate.admit_tap(&unbound).ok()?;
        Some(match judged {
            Ok(tap) => Quick::Told(told(tap, &engine.settings.durability)),
            Err(issue) => Quick::Issue(WouldBe { view: view.clone(), round: round.index, pass, issue }),
        })
    }
}

/// Campaign and round of the path of a tap; what is escaped or longer goes the long way.
fn names(path: &str) -> Option<(&str, &str)> {
    let (campaign_id, rest) = path.strip_prefix("/v1/campaigns/")?.split_once('/')?;
    let round_id = rest.strip_prefix("rounds/")?.strip_suffix("/claims")?;
    let plain = |name: &str| !name.contains(['/', '%']);
    (plain(campaign_id) && plain(round_id)).then_some((campaign_id, round_id))
}

fn respond(request: ServiceRequest, answer: Result<Answer, Refusal>) -> ServiceResponse<BoxBody> {
    let response = match answer {
        Ok(answer) => identified(&request, answer.respond_to(request.request())),
        Err(refusal) => refused(&request, refusal),
    };
    request.into_response(response)
}

async fn settle<S>(
    long_way: Rc<S>,
    state: Data<State>,
    request: ServiceRequest,
    would_be: WouldBe,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    let WouldBe { view, round, pass, issue } = would_be;
    match state.engine.settle_issue(&view, &view.rounds[usize::from(round)], &pass, issue).await {
        Ok(tap) => Ok(respond(request, Ok(told(tap, &state.engine.settings.durability)))),
        // What the node knew is no longer so: the long way learns it and judges again.
        Err(Failure::Store(StoreError::Stale { .. })) => long_way.call(request).await,
        Err(failure) => Ok(respond(request, Err(failure.into_refusal()))),
    }
}
