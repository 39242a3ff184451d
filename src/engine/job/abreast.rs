//! Programs go on side by side: the draw of minutes of one delays no step of another, and each program takes at most one of a bounded
//! number of places.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::Turns;

/// Programs whose steps run at the same time on a node.
const PLACES: usize = 8;

/// At each turn begins a step of every program that has none under way, those first that have waited longest, until there are no more turns.
pub(super) async fn abreast<F: Future<Output = ()>>(
    turns: &mut Turns,
    programs: impl Fn() -> Vec<String>,
    step: impl Fn(String) -> F,
) {
    let mut begun: HashMap<String, Begun> = HashMap::new();
    let mut under_way = FuturesUnordered::new();
    let mut turn = 0;
    loop {
        tokio::select! {
            Some(program) = under_way.next(), if !under_way.is_empty() => {
                let program: String = program;
                begun.entry(program).and_modify(|begun| begun.under_way = false);
            }
            goes_on = turns.next() => {
                if !goes_on {
                    return;
                }
                turn += 1;
                let mut waiting = programs();
                begun.retain(|program, _| waiting.contains(program));
                waiting.retain(|program| !begun.get(program).is_some_and(|begun| begun.under_way));
                waiting.sort_by_key(|program| begun.get(program).map_or(0, |begun| begun.turn));
                for program in waiting.into_iter().take(PLACES.saturating_sub(under_way.len())) {
                    begun.insert(program.clone(), Begun { turn, under_way: true });
                    let one = step(program.clone());
                    under_way.push(async move {
                        if AssertUnwindSafe(one).catch_unwind().await.is_err() {
                            tracing::error!(program, "the step of a program panicked and will be tried again");
                        }
                        program
                    });
                }
            }
        }
    }
}

/// When the last step of a program began, and whether it still runs.
struct Begun {
    turn: u64,
    under_way: bool,
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn a_program_that_hangs_or_panics_delays_no_other_and_only_some_run_at_once() {
        let (stop, stopped) = watch::channel(false);
        let mut turns = Turns::new(Duration::from_millis(1), stopped);
        let names: Vec<String> = (0..30).map(|n| format!("city-{n:02}")).collect();
        let steps: RefCell<HashMap<String, u32>> = RefCell::default();
        let (running, most) = (Cell::new(0_usize), Cell::new(0_usize));
        let step = |program: String| {
            let (steps, running, most, stop) = (&steps, &running, &most, &stop);
            async move {
                let of_this = {
                    let mut steps = steps.borrow_mut();
                    let of_this = steps.entry(program.clone()).or_default();
                    *of_this += 1;
                    *of_this
                };
                if program == "city-00" {
                    std::future::pending::<()>().await;
                }
                assert!(program != "city-01", "a record that nobody foresaw");
                running.set(running.get() + 1);
                most.set(most.get().max(running.get()));
                tokio::task::yield_now().await;
                running.set(running.get() - 1);
                if program == "city-29" && of_this == 5 {
                    let _ = stop.send(true);
                }
            }
        };
        abreast(&mut turns, || names.clone(), step).await;
        let steps = steps.borrow();
        assert_eq!(steps["city-00"], 1, "the step that hangs is not begun twice");
        assert!(names[1..].iter().all(|name| steps[name] >= 4), "{steps:?}");
        assert!(most.get() < PLACES, "{} at once beside the one that hangs", most.get());
    }
}
