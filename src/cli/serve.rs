//! `quanyu serve`: one node until it is told to stop; then it drains requests, stops its jobs and closes the store, in that order.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{could_not, first_minute};
use crate::app::{AppError, Node};
use crate::config::{Judged, Settings, SettingsFile, misnamed};
use crate::engine::job as jobs;
use crate::http::{self, State};
use crate::instance::RunInfo;

pub async fn run(settings: Settings, files: &[SettingsFile]) -> ExitCode {
    let faults = Judged::of(&settings).faults().await;
    if !faults.is_empty() {
        return could_not(faults.join("\nquanyu: "));
    }
    if let Err(error) = crate::telemetry::init(&settings.log) {
        return could_not(error);
    }
    for fault in misnamed(files) {
        tracing::warn!("{fault}");
    }
    match serve(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => could_not(error),
    }
}

async fn serve(settings: Settings) -> Result<(), AppError> {
    let node = Node::start(&settings).await?;
    // Every key file is there before the note that tells others where we listen.
    let token_key = match settings.sandbox {
        true => Some(node.instance.sandbox_token_key()?),
        false => node.instance.drop_sandbox_token_key().map(|()| None)?,
    };
    let state = State::new(node.engine.clone(), settings.data.join("published"));
    let (server, listen) = http::bind(state.clone(), &settings, token_key)
        .map_err(|error| AppError::Listen(settings.listen.clone(), error))?;
    let note = RunInfo {
        redis_url: node.redis_url.clone(),
        listen: listen.to_string(),
        sandbox: settings.sandbox,
        shards: settings.shards,
        pid: std::process::id(),
        started_at: jiff::Timestamp::now(),
    };
    let announcement = node.instance.announce(&note)?;
    let (stop, stopped) = watch::channel(false);
    let jobs = tokio::spawn(jobs::run(node.engine.clone(), stopped));
    tracing::info!(listen = %listen, sandbox = settings.sandbox, durability = %settings.durability, "serving");
    let handle = server.handle();
    tokio::spawn({
        let (state, notice) = (state.clone(), settings.notice());
        async move {
            wait_for_signal().await;
            tracing::info!(notice_seconds = notice.as_secs(), "not ready any more");
            state.drain();
            // Whoever is in a hurry says so again.
            let _ = tokio::time::timeout(notice, wait_for_signal()).await;
            tracing::info!("draining");
            handle.stop(true).await;
        }
    });
    if settings.first_minute {
        first_minute::prepare(&node, &settings, &note.listen).await.map_err(AppError::Server)?;
    }
    server.await.map_err(AppError::Server)?;
    drop(announcement);
    let _ = stop.send(true);
    let _ = jobs.await;
    drop(state);
    node.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn wait_for_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
