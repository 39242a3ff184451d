//! Every verb that calls the store more than once, with each of its calls in turn refused, cut off or left without an answer. What the
//! caller is told is compared with what a `GET` on another node says then; the same request again succeeds in the end and has had its
//! effect once; caps and quotas hold what live orders and entries use, and the audit is clean.
//!
//! The nodes are engines in this process over a real store, one of them behind a `toll` that counts its calls. A verb of the tables in
//! `till`, `people`, `office` and `shops` makes what it needs, then hands its request and its `GET` to [`Turn::judge`]. Calls are counted and not
//! listed: a verb that comes to call more often is tried more often.

mod grants;
mod office;
mod people;
mod shops;
mod till;
mod toll;
mod town;
mod wire;

use std::cell::{Cell, RefCell};
use std::sync::Mutex;
use std::time::Duration;

pub use office::file as office_file;
use quanyu::domain::refusal::Refusal;
use quanyu::engine::Engine;

use toll::Trouble;
use town::Town;

const TROUBLES: [Trouble; 5] =
    [Trouble::Refused, Trouble::Full, Trouble::CutBefore, Trouble::CutAfter, Trouble::Silence];

/// No verb calls the store as often.
const MOST_CALLS: usize = 80;

/// A request that met trouble is repeated so often at most. Between two of them a node has a moment to connect again, which on a busy
/// machine takes longer than many repeats.
const REPEATS: usize = 1_000;
const MOMENT: Duration = Duration::from_millis(5);

/// One try of a verb, whose n-th call has trouble.
pub struct Turn<'a> {
    pub town: &'a Town,
    verb: &'static str,
    n: usize,
    trouble: Trouble,
    /// The call that had it.
    met: RefCell<Option<String>>,
    /// The first answer was a success.
    told: Cell<bool>,
}

impl Turn<'_> {
    pub fn fault(&self, what: &str) {
        let met = self.met.borrow();
        let call = met.as_deref().unwrap_or("no call");
        self.town
            .faults
            .borrow_mut()
            .push(format!("{}, call {} ({call}) {:?}: {what}", self.verb, self.n, self.trouble));
    }

    /// Sends the request with its trouble, and compares the answer with how many effects there are.
    pub async fn ask(
        &self,
        request: impl AsyncFn(&Engine) -> Result<(), Refusal>,
        effects: impl AsyncFn(&Engine) -> usize,
    ) {
        let told = self.ask_silently(request).await;
        let effects = effects(&self.town.clean).await;
        if let Some(lie) = self.lie(&told, effects) {
            self.fault(&lie);
        }
    }

    /// Whether the node can know what became of the call.
    pub fn is_certain(&self) -> bool {
        self.trouble.is_certain()
    }

    /// Whether it was this call that had the trouble.
    pub fn has_met(&self, name: &str) -> bool {
        self.met.borrow().as_deref() == Some(name)
    }

    /// Sends the request with its trouble; its answer says nothing of an effect.
    pub async fn ask_silently(&self, request: impl AsyncFn(&Engine) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let Town { tested, clean, toll, .. } = self.town;
        self.town.wait_known().await;
        toll.arm(self.n, self.trouble);
        let told = request(tested).await;
        *self.met.borrow_mut() = toll.disarm();
        clean.refresh().await.expect("a configuration");
        self.told.set(told.is_ok());
        told
    }

    /// What of an answer is not true. Of a call that the server has refused, a node knows that it did nothing.
    fn lie(&self, told: &Result<(), Refusal>, effects: usize) -> Option<String> {
        let says = match told {
            Ok(()) => "applied",
            Err(refusal) => refusal.outcome.as_str(),
        };
        let code = told.as_ref().err().map(|refusal| refusal.code.as_str()).unwrap_or_default();
        let fits = match (says, effects) {
            ("applied", 1) | ("not_applied", 0) | ("unknown", 1) => true,
            ("unknown", 0) => !self.trouble.is_certain(),
            _ => false,
        };
        (!fits).then(|| format!("told {says} {code}, and there are {effects} effects"))
    }

    /// Sends the request until it succeeds; what it was refused with last.
    pub async fn insist(&self, request: impl AsyncFn(&Engine) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let (mut moments, mut last) = (tokio::time::interval(MOMENT), Ok(()));
        for _ in 0..REPEATS {
            moments.tick().await;
            last = request(&self.town.tested).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// The same again until it succeeds, and once more: it has its effect once.
    pub async fn repeat(
        &self,
        request: impl AsyncFn(&Engine) -> Result<(), Refusal>,
        effects: impl AsyncFn(&Engine) -> usize,
    ) {
        let clean = &self.town.clean;
        if let Err(refusal) = self.insist(&request).await {
            self.fault(&format!("the repeat is refused: {} {:?}", refusal.code.as_str(), refusal.detail));
        }
        for again in [false, true] {
            if again && let Err(refusal) = request(clean).await {
                self.fault(&format!("a later repeat is refused: {}", refusal.code.as_str()));
            }
            clean.refresh().await.expect("a configuration");
            let effects = effects(clean).await;
            if effects != 1 {
                self.fault(&format!("{effects} effects after the repeat"));
            }
        }
    }

    /// Both.
    pub async fn judge(
        &self,
        request: impl AsyncFn(&Engine) -> Result<(), Refusal>,
        effects: impl AsyncFn(&Engine) -> usize,
    ) {
        self.ask(&request, &effects).await;
        self.repeat(&request, &effects).await;
    }
}

/// Plays a verb with trouble at its first call, its second, and so on, until it makes fewer.
async fn each_call(town: &Town, verb: &'static str, trouble: Trouble, play: impl AsyncFn(&Turn<'_>)) {
    for n in 1..MOST_CALLS {
        let turn = Turn { town, verb, n, trouble, met: RefCell::default(), told: Cell::default() };
        play(&turn).await;
        if turn.met.borrow().is_none() {
            town.tries.set(town.tries.get() + n - 1);
            return;
        }
    }
    panic!("{verb} makes {MOST_CALLS} calls");
}

/// Plays a table of verbs for every kind of trouble, each in a town of its own.
fn every_trouble(table: impl AsyncFn(&Town, Trouble) + Sync) {
    let play = |trouble: Trouble| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let town = Town::open(trouble).await;
            table(&town, trouble).await;
            town.close().await;
            println!("{trouble:?}: {} calls", town.tries.get());
            town.faults.take()
        })
    };
    // Two at a time: a machine that has nothing else left would fail calls by itself.
    let troubles = Mutex::new(TROUBLES.into_iter());
    let next = || troubles.lock().expect("no panic").next();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let work = || std::iter::from_fn(next).flat_map(&play).collect::<Vec<_>>();
        let plays: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        plays.into_iter().flat_map(|play| play.join().expect("a table that was played")).collect()
    });
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_till_is_told_what_is_true_whichever_call_to_the_store_fails() {
    every_trouble(till::table);
}

#[test]
fn a_grant_gives_everybody_one_pack_whichever_call_of_its_steps_fails() {
    every_trouble(grants::table);
}

#[test]
fn residents_are_told_what_is_true_whichever_call_to_the_store_fails() {
    every_trouble(people::table);
}

#[test]
fn the_office_is_told_what_is_true_whichever_call_to_the_store_fails() {
    every_trouble(office::table);
}

#[test]
fn merchants_are_what_the_office_is_told_whichever_call_to_the_store_fails() {
    every_trouble(shops::table);
}
