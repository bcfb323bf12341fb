//! The pushes of many mappings, some of them at the same time, each as if it were alone: a panic, a hang or a full disk of
//! one touches no other.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::one::{self, Pushed};
use super::{Done, Task};
use crate::cli::LAST_BATCH;
use crate::cli::output::Output;
use crate::error::Error;
use crate::sync::Interrupt;

/// How many at once, and how long each may take.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// How many are pushed at the same time, at least one.
    pub(super) jobs: usize,
    /// The longest that one may take.
    pub(super) limit: Option<TimeLimit>,
}

/// A time limit, as it was written and as it is kept.
#[derive(Clone, Debug)]
pub(super) struct TimeLimit {
    pub(super) text: String,
    pub(super) limit: Duration,
}

/// A mapping that another machine is pushing is looked at again after this time.
const HELD_WAIT: Duration = Duration::from_secs(1);

/// Pushes every mapping; `ended` is given each when it has ended, in the order in which they do. A mapping that another
/// machine is pushing is an error, but not with `--once-per`: then it is waited for, and pushed if that machine dies.
pub(super) async fn push(
    paths: Vec<PathBuf>,
    task: &Task,
    pace: &Pace,
    output: &Output,
    mut ended: impl FnMut(Pushed),
) {
    let mut left = VecDeque::from(paths);
    let mut held: Vec<PathBuf> = Vec::new();
    let mut at_work = JoinSet::new();
    let started = Instant::now();
    loop {
        while at_work.len() < pace.jobs
            && !task.interrupt.is_asked()
            && let Some(path) = left.pop_front()
        {
            at_work.spawn(alone(path, task.clone(), pace.limit.clone(), output.clone()));
        }
        match at_work.join_next().await {
            Some(Ok(pushed)) => {
                let may_wait = pace.limit.as_ref().is_none_or(|limit| started.elapsed() < limit.limit);
                if pushed.is_locked() && task.once_per.is_some() && may_wait {
                    held.push(pushed.path);
                } else {
                    ended(pushed);
                }
            }
            // What is in `alone` outside of the push itself.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None if held.is_empty() || task.interrupt.is_asked() => return,
            None => {
                tracing::debug!(mappings = held.len(), "waiting for those that another machine is pushing");
                tokio::time::sleep(HELD_WAIT).await;
                left.extend(held.drain(..));
            }
        }
    }
}

/// Pushes one mapping in a task of its own, for so long at most.
async fn alone(path: PathBuf, task: Task, limit: Option<TimeLimit>, output: Output) -> Pushed {
    let interrupt = task.interrupt.part();
    let started_at = Timestamp::now();
    let own = Task { interrupt: interrupt.clone(), ..task.clone() };
    let work = {
        let (path, mut output) = (path.clone(), output);
        tokio::spawn(async move { one::push(&path, &own, &mut output).await })
    };
    match within(work, limit.as_ref().map(|limit| limit.limit), &interrupt).await {
        Ended::Itself(pushed) => pushed,
        Ended::Late(pushed) => {
            let limit = limit.map(|limit| limit.text).unwrap_or_default();
            let is_cut = match pushed.as_ref().map(|pushed| &pushed.result) {
                Some(Ok(Done::Planned(planned))) => {
                    planned.reports.as_ref().is_some_and(|reports| reports.is_interrupted)
                }
                Some(_) => false,
                None => true,
            };
            let error = Error::TimeLimit { limit, was_sending: interrupt.has_sent() };
            match pushed {
                // The last batch was in flight, and is done.
                Some(pushed) if !is_cut => pushed,
                // It has written down itself what became of its batches.
                Some(pushed) => Pushed { result: Err(error), ..pushed },
                None => one::given_up(&path, &task, started_at, error).await,
            }
        }
        Ended::Crashed => {
            let error = Error::Crashed { was_sending: interrupt.has_sent() };
            one::given_up(&path, &task, started_at, error).await
        }
    }
}

/// How a push ended.
#[derive(Debug)]
enum Ended<T> {
    /// By itself, in time.
    Itself(T),
    /// After its time limit: with a result if it was sending, and came to an end within the time for that.
    Late(Option<T>),
    /// By a panic.
    Crashed,
}

async fn within<T>(mut work: JoinHandle<T>, limit: Option<Duration>, interrupt: &Interrupt) -> Ended<T> {
    let itself = |result: Result<T, JoinError>| result.map_or(Ended::Crashed, Ended::Itself);
    let Some(limit) = limit else { return itself(work.await) };
    if let Ok(result) = tokio::time::timeout(limit, &mut work).await {
        return itself(result);
    }
    interrupt.ask();
    let mut late = None;
    if interrupt.is_sending()
        && let Ok(result) = tokio::time::timeout(LAST_BATCH, &mut work).await
    {
        late = result.ok();
    }
    // What blocks its thread goes on until the program ends; it cannot send any more.
    work.abort();
    Ended::Late(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_or_a_hang_is_the_end_of_that_one() {
        let interrupt = Interrupt::default();
        let crashed = within(tokio::spawn(async { panic!("on purpose") }), None, &interrupt).await;
        assert!(matches!(crashed, Ended::<()>::Crashed));
        let limit = Some(Duration::from_millis(1));
        let hung = within(tokio::spawn(std::future::pending::<()>()), limit, &interrupt).await;
        assert!(matches!(hung, Ended::Late(None)) && interrupt.is_asked());
        let done = within(tokio::spawn(async { 7 }), Some(Duration::from_mins(1)), &interrupt).await;
        assert!(matches!(done, Ended::Itself(7)));
    }
}
