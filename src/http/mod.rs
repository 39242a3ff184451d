//! The wire: actix-web only here. Each noun has its routes in its own file; this one lists them all and puts the manners around them.

pub mod account;
mod address;
pub mod amendment;
pub mod answer;
pub mod area;
pub mod auth;
pub mod auth_resident;
pub mod auth_till;
pub mod body;
pub mod campaign;
pub mod claim;
pub mod docs;
pub mod error;
mod language;
pub mod limit;
pub mod list;
mod listen;
pub mod merchant;
mod merchant_import;
pub mod middleware;
pub mod openapi;
pub mod ops;
pub mod order;
mod pass;
mod published;
pub mod reservation;
mod reservation_import;
mod roles;
pub mod round;
mod row_report;
pub mod sandbox;
pub mod settlement;
pub mod shapes;
mod tap;
pub mod till_key;
mod turn;
pub mod wallet;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use futures_util::future::LocalBoxFuture;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::config::Settings;
use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::engine::config::cache::Recalled;
use auth::{Gate, Keys, News};
use auth_resident::Verifier;
use auth_till::TillKey;
use limit::Limits;
use openapi::Document;
use ops::{Check, Ops, Readiness};
use published::Shelf;

/// What every handler can reach; cheap to clone.
#[derive(Clone)]
pub struct State {
    pub engine: Arc<Engine>,
    published: Arc<Shelf>,
    draining: Arc<AtomicBool>,
    asked: Arc<tokio::sync::Mutex<Option<Asked>>>,
}

/// When the store was last asked for `/readyz`, and what was wrong with its answer.
type Asked = (Instant, Option<String>);

/// How long an answer of the store stands for all who ask `/readyz`, which anybody may do as often as they like.
const FRESH: Duration = Duration::from_millis(250);

impl State {
    /// Published lists are kept in `folder`, which may be emptied at any time.
    pub fn new(engine: Arc<Engine>, folder: PathBuf) -> State {
        State { engine, published: Arc::new(Shelf::new(folder)), draining: Arc::default(), asked: Arc::default() }
    }

    /// From now on the node says that it is not ready; running requests go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whoever asks meanwhile waits for the one question to the store.
    async fn store_trouble(&self) -> Option<String> {
        let mut asked = self.asked.lock().await;
        if let Some((_, trouble)) = asked.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return trouble.clone();
        }
        let at = Instant::now();
        let trouble = self.engine.store.config_revision().await.err().map(|error| error.to_string());
        *asked = Some((at, trouble.clone()));
        trouble
    }

    async fn readiness(self) -> Readiness {
        let detail = self.store_trouble().await;
        let draining = self.draining.load(Ordering::Relaxed);
        let (found, old) = self.engine.store.health().findings();
        let check =
            |name: &str, trouble: Option<String>| Check { name: name.into(), ok: trouble.is_none(), detail: trouble };
        let checks = vec![
            check("store", detail),
            check("store_writes", found.writes.or(old.then(|| "the store has not been looked at for a while".into()))),
            check("store_level", found.level),
            check("store_data", found.replaced),
            check("store_clock", found.clock),
            check("serving", draining.then(|| "draining".into())),
        ];
        let warnings = self.engine.warnings().into_iter().chain(found.unseen).collect();
        Readiness { ready: checks.iter().all(|check| check.ok), checks, warnings }
    }
}

/// Every route of the service. The router tries them one after another, so those of the rush and of the till come first.
fn routes(config: &mut ServiceConfig, sandbox: bool) {
    claim::configure(config);
    reservation::configure(config);
    order::configure(config);
    pass::configure(config);
    wallet::configure(config);
    account::configure(config);
    ops::configure(config);
    docs::configure(config);
    campaign::configure(config);
    amendment::configure(config);
    round::configure(config);
    merchant::configure(config);
    till_key::configure(config);
    list::configure(config);
    area::configure(config);
    reservation_import::configure(config);
    settlement::configure(config);
    if sandbox {
        sandbox::configure(config);
    }
}

/// The OpenAPI document of a node, and the routes that it takes.
pub fn document(sandbox: bool) -> Document {
    Document::collect(|config| routes(config, sandbox))
}

/// Binds the address and answers the server with the address it really has; nothing is served before it is awaited.
pub fn bind(state: State, settings: &Settings, token_key: Option<[u8; 32]>) -> std::io::Result<(Server, SocketAddr)> {
    let sandbox = settings.sandbox;
    let gate = web::Data::new(gate(&state.engine, settings, token_key));
    let ops = web::Data::new(ops(&state, sandbox));
    let document = web::Data::new(document(sandbox));
    let state = web::Data::new(state);
    let application = move || {
        // This runs once on each worker's own thread, where its lane to the store belongs.
        actix_web::rt::spawn(lane(state.engine.clone()));
        let (app, _) = App::new()
            .into_utoipa_app()
            .app_data(state.clone())
            .app_data(gate.clone())
            .app_data(ops.clone())
            .app_data(document.clone())
            .configure(|config| routes(config, sandbox))
            .split_for_parts();
        app.default_service(web::to(openapi::unmatched))
            .wrap(from_fn(middleware::manners))
            .wrap(tap::ShortWay { state: state.clone(), gate: gate.clone() })
    };
    listen::serve(application, settings)
}

/// Until the worker has its own lane it shares the common one.
async fn lane(engine: Arc<Engine>) {
    while let Err(error) = engine.store.open_lane().await {
        tracing::warn!(%error, "a worker has no lane of its own to the store and tries again");
        actix_web::rt::time::sleep(Duration::from_secs(1)).await;
    }
}

fn gate(engine: &Arc<Engine>, settings: &Settings, token_key: Option<[u8; 32]>) -> Gate {
    Gate {
        api_keys: keys(
            engine,
            |engine, text| engine.recall_api_key(text).map(|key| (*key).clone()),
            |engine, text| Box::pin(async move { Ok(engine.api_key(&text).await?.map(|key| (*key).clone())) }),
        ),
        till_keys: keys(
            engine,
            |engine, key_id| engine.recall_till(key_id).map(|key| TillKey::of(&key)),
            |engine, key_id| Box::pin(async move { Ok(engine.till(&key_id).await?.map(|key| TillKey::of(&key))) }),
        ),
        news: news(engine),
        tokens: token_key.as_ref().map(Verifier::new),
        pass_keys: engine.keys.pass.clone(),
        limits: Limits::new(&settings.limits),
        turns: Default::default(),
        proxies: settings.trusted_proxies.clone(),
    }
}

fn news(engine: &Arc<Engine>) -> News {
    let (knowing, asking) = (engine.clone(), engine.clone());
    News {
        has_heard: Box::new(move |came| knowing.has_heard(came)),
        hear: Box::new(move |came| {
            let engine = asking.clone();
            Box::pin(async move { engine.hear(came).await })
        }),
    }
}

fn keys<T>(
    engine: &Arc<Engine>,
    recall: impl Fn(&Engine, &str) -> Recalled<T> + Send + Sync + 'static,
    look_up: impl Fn(Arc<Engine>, String) -> LocalBoxFuture<'static, Result<Option<T>, Refusal>> + Send + Sync + 'static,
) -> Keys<T> {
    let (remembering, asking) = (engine.clone(), engine.clone());
    Keys {
        recall: Box::new(move |name| recall(&remembering, name)),
        look_up: Box::new(move |name| look_up(asking.clone(), name)),
    }
}

fn ops(state: &State, sandbox: bool) -> Ops {
    let state = state.clone();
    Ops { readiness: Box::new(move || Box::pin(state.clone().readiness())), sandbox }
}
