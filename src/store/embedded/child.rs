//! The life of the child process: take over the files, launch, watch, restart, shut down. Runs on the store's own
//! thread.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::log::Log;
use super::{Binary, ORPHAN_PATIENCE, StartError, State, Status, create_private_dir, open_lock, unix_url};

/// Everything a launch needs; the same for the first one and for every restart.
pub(super) struct Plan {
    pub binary: Binary,
    pub store_dir: PathBuf,
    pub lock_path: PathBuf,
    pub socket: PathBuf,
    pub appendfsync: &'static str,
    pub memory_mib: u64,
}

/// How long a process that neither loads nor answers is waited for.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// How long a child may take to flush its files after `SHUTDOWN`.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(10);
/// A child that was ready for this long has proved itself: its end starts the pauses from the shortest again.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// Body of the store's thread: returns when the child was stopped, or could not be started the first time.
pub(super) fn run(
    plan: Plan,
    status: watch::Sender<Status>,
    started: oneshot::Sender<Result<(), StartError>>,
    stop: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(live(&plan, &status, started, stop)),
        Err(error) => {
            // A receiver that is gone has given up on the start, and there is nobody left to tell.
            let _ = started.send(Err(StartError::io("cannot start the store's runtime")(error)));
        }
    }
}

async fn live(
    plan: &Plan,
    status: &watch::Sender<Status>,
    started: oneshot::Sender<Result<(), StartError>>,
    mut stop: oneshot::Receiver<()>,
) {
    let first = async {
        let lock = take_over(plan).await?;
        create_private_dir(&plan.store_dir)
            .map_err(StartError::io(format!("cannot create {}", plan.store_dir.display())))?;
        plan.binary.check_files(&plan.store_dir)?;
        let running = launch(plan, &lock, status).await?;
        plan.binary.record(&plan.store_dir)?;
        Ok((lock, running))
    };
    let first = tokio::select! {
        first = first => first,
        _ = &mut stop => return,
    };
    let (lock, mut running) = match first {
        Ok(first) => first,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    tracing::info!(
        target: "quanyu::store",
        "embedded store ready: {}, appendfsync {}, one server without a replica", plan.binary, plan.appendfsync
    );
    explain_overcommit();
    let _ = started.send(Ok(()));

    let mut pause = BACKOFF_FIRST;
    loop {
        let ready_since = Instant::now();
        tokio::select! {
            exit = running.process.wait() => {
                tracing::error!(target: "quanyu::store", "the store process ended ({})", describe(exit));
                tell(status, State::Down, None);
            }
            _ = &mut stop => return running.shut_down(plan).await,
        }
        if ready_since.elapsed() >= PROVEN_AFTER {
            pause = BACKOFF_FIRST;
        }
        running = tokio::select! {
            next = relaunch(plan, &lock, status, &mut pause) => next,
            _ = &mut stop => return,
        };
        tracing::info!(target: "quanyu::store", "embedded store ready again");
    }
}

/// Takes the lock that store processes hold. We own the data directory here, so a holder was left behind by a killed
/// service and is on its way out (Linux tells it) or has to be told (macOS does not).
async fn take_over(plan: &Plan) -> Result<File, StartError> {
    let lock = open_lock(&plan.lock_path)?;
    let since = Instant::now();
    let mut told = false;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => {
                return Err(StartError::io(format!("cannot lock {}", plan.lock_path.display()))(source));
            }
        }
        if since.elapsed() > ORPHAN_PATIENCE {
            return Err(StartError::Orphan(plan.store_dir.clone()));
        }
        if !told {
            tracing::warn!(target: "quanyu::store", "waiting for the store process of an earlier run to end");
            told = true;
            order_shutdown(&plan.socket).await;
        }
        sleep(POLL).await;
    }
}

async fn relaunch(plan: &Plan, lock: &File, status: &watch::Sender<Status>, pause: &mut Duration) -> Running {
    loop {
        sleep(*pause).await;
        *pause = (*pause * 2).min(BACKOFF_LAST);
        match launch(plan, lock, status).await {
            Ok(running) => return running,
            Err(error) => {
                tell(status, State::Down, None);
                tracing::error!(target: "quanyu::store", "no restart of the store, next try in {pause:?}: {error}");
            }
        }
    }
}

/// Starts the process and waits until it has loaded its files and answers.
async fn launch(plan: &Plan, lock: &File, status: &watch::Sender<Status>) -> Result<Running, StartError> {
    let stdin = lock.try_clone().map_err(StartError::io("cannot hand the lock to the store process"))?;
    let mut command = Command::new(&plan.binary.path);
    command
        .args(arguments(plan))
        .current_dir(&plan.store_dir)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C reaches a whole process group; the store must outlive the service's drain.
        .process_group(0)
        .kill_on_drop(true);
    end_with_this_thread(&mut command);
    let spawned = command.spawn();
    let mut process = spawned.map_err(StartError::io(format!("cannot run {}", plan.binary.path.display())))?;
    let pid = process.id();
    status.send_modify(|s| *s = Status { state: State::Loading, pid, starts: s.starts + 1 });
    let log = Log::follow(&mut process);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            exit = process.wait() => {
                let log = log.last_words().await;
                return Err(StartError::Ended { status: describe(exit), log });
            }
            answer = ask(&plan.socket) => match answer {
                Answer::Ready => break,
                Answer::Loading => heard = Instant::now(),
                Answer::Nothing if heard.elapsed() < SILENCE_LIMIT => {}
                Answer::Nothing => {
                    let (socket, seconds) = (plan.socket.clone(), SILENCE_LIMIT.as_secs());
                    let log = log.last_words().await;
                    return Err(StartError::Silent { socket, seconds, log });
                }
            },
        }
        sleep(POLL).await;
    }
    tell(status, State::Ready, pid);
    Ok(Running { process })
}

struct Running {
    process: Child,
}

impl Running {
    async fn shut_down(mut self, plan: &Plan) {
        order_shutdown(&plan.socket).await;
        if timeout(SHUTDOWN_LIMIT, self.process.wait()).await.is_ok() {
            return;
        }
        tracing::error!(target: "quanyu::store", "the store did not shut down in {SHUTDOWN_LIMIT:?} and is killed");
        if let Err(error) = self.process.kill().await {
            tracing::error!(target: "quanyu::store", "the store process could not be killed: {error}");
        }
    }
}

/// Settings of the child, as command line. Small records must stay listpacks, or a redemption costs twice its memory;
/// rewriting is ours to time, because one during a round costs a fifth of its speed.
fn arguments(plan: &Plan) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    let paths = [("--unixsocket", &plan.socket), ("--dir", &plan.store_dir)];
    for (name, path) in paths {
        arguments.extend([name.into(), path.into()]);
    }
    arguments.extend(["--maxmemory".into(), format!("{}mb", plan.memory_mib).into()]);
    let texts = [
        ("--port", "0"),
        ("--unixsocketperm", "700"),
        ("--daemonize", "no"),
        ("--databases", "1"),
        ("--save", ""),
        ("--appendonly", "yes"),
        ("--appendfsync", plan.appendfsync),
        ("--no-appendfsync-on-rewrite", "no"),
        ("--auto-aof-rewrite-percentage", "0"),
        ("--maxmemory-policy", "noeviction"),
        ("--hash-max-listpack-value", "128"),
        ("--hash-max-listpack-entries", "512"),
    ];
    for (name, value) in texts {
        arguments.extend([name.into(), value.into()]);
    }
    arguments
}

/// Makes the kernel tell the child to shut down when the thread that starts it is gone, also after `kill -9` of the
/// service.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library has no safe way to set the parent-death signal")]
fn end_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The service may have died before the line above; then nobody would send the signal any more.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Elsewhere a child that was left behind is found by its lock and shut down at the next start.
#[cfg(not(target_os = "linux"))]
fn end_with_this_thread(_command: &mut Command) {}

enum Answer {
    Ready,
    Loading,
    Nothing,
}

async fn ask(socket: &Path) -> Answer {
    match command(socket, &redis::cmd("PING")).await {
        Ok(()) => Answer::Ready,
        Err(error) => match error.code() {
            Some("LOADING") => Answer::Loading,
            // Any other refusal, such as MISCONF, comes from a server that has loaded its files.
            Some(_) => Answer::Ready,
            None => Answer::Nothing,
        },
    }
}

async fn order_shutdown(socket: &Path) {
    // A server that obeys closes the connection instead of answering, so the result says nothing; the caller waits for
    // the end.
    let _ = command(socket, redis::cmd("SHUTDOWN").arg("NOSAVE")).await;
}

async fn command(socket: &Path, command: &redis::Cmd) -> redis::RedisResult<()> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_secs(1)));
    let client = redis::Client::open(unix_url(socket))?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    command.query_async(&mut connection).await
}

/// Says in our own words what the server says in its log at every start.
fn explain_overcommit() {
    let setting = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    if setting.is_ok_and(|text| text.trim() == "0") {
        tracing::info!(
            target: "quanyu::store",
            "vm.overcommit_memory is 0: rewriting the files of a large store may fail for want of memory; \
             `sysctl vm.overcommit_memory=1` prevents that"
        );
    }
}

fn tell(status: &watch::Sender<Status>, state: State, pid: Option<u32>) {
    status.send_modify(|s| (s.state, s.pid) = (state, pid));
}

fn describe(exit: io::Result<ExitStatus>) -> String {
    match exit {
        Ok(status) => status.to_string(),
        Err(error) => format!("its end could not be observed: {error}"),
    }
}
