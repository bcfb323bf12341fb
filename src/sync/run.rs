//! Carries a plan out, batch by batch, and counts what Infiniti said.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::album::Album;
use super::deliver::{Delivery, RowOutcome, deliver};
use super::marks::{arrivals, departures, fill, marks, returned, who};
use super::plan::{BatchKind, Content, Plan, Plans, Renames};
use super::record::record;
use super::{ExtractError, Interrupt, Progress};
use crate::error::ExitCode;
use crate::infiniti::client::{Target, TargetError};
use crate::infiniti::payload::cell_value;
use crate::infiniti::value::RowPlace;
use crate::mapping::Mapping;
use crate::state::layer::compare_keys;
use crate::state::{State, StateError};

/// What became of the plans of a push.
#[derive(Debug)]
pub struct Reports {
    /// One for each feed, in the order of the plans.
    pub feeds: Vec<Report>,
    /// What ended the push early.
    pub error: Option<TargetError>,
    /// Why pictures could not be read once more; it ends a push, too.
    pub source_error: Option<ExtractError>,
    /// What could not be written into the state; it ends a push, too.
    pub state_error: Option<StateError>,
    /// Whether a signal ended the push.
    pub is_interrupted: bool,
    /// Whether the error is one of all feeds. One of a feed's own path ends that feed only.
    is_over: bool,
    /// From the first batch to the last answer.
    pub elapsed: Duration,
}

impl Reports {
    /// The exit code of plans that were carried out.
    pub fn exit_code(&self, plans: &Plans) -> ExitCode {
        let sum = |count: fn(&Report) -> u64| self.feeds.iter().map(count).sum::<u64>();
        if self.is_interrupted {
            ExitCode::Interrupted
        } else if self.state_error.is_some() {
            ExitCode::State
        } else if self.source_error.is_some() {
            ExitCode::Source
        } else if self.error.is_some() || sum(|report| report.unknown) > 0 {
            ExitCode::Target
        } else if self.feeds.iter().all(|report| report.failed.is_empty() && report.unsent.is_empty()) {
            plans.exit_code_within_limits()
        } else {
            ExitCode::Rejections
        }
    }

    fn ends(&self) -> bool {
        self.is_over || self.source_error.is_some() || self.state_error.is_some() || self.is_interrupted
    }
}

/// What became of the plan of a feed.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that carried rows.
    pub batches: u64,
    /// Patrons that Infiniti accepted, each with all rows.
    pub accepted: u64,
    /// What of them is new, in Infiniti's count: rows or patrons.
    pub created: u64,
    /// What of them was there already, in Infiniti's count.
    pub updated: u64,
    /// Of these patrons, leavers that are no longer enabled.
    pub deactivated: u64,
    /// Patrons that Infiniti refused, in its words.
    pub failed: Vec<Failure>,
    /// Patrons that were sent and of whom nobody knows what became of them.
    pub unknown: u64,
    /// Patrons that were not sent, since the push ended before.
    pub not_sent: u64,
    /// Patrons who were not sent, since Infiniti did not accept their account.
    pub waiting: u64,
    /// Patrons whose row could not be sent, and why.
    pub unsent: Vec<Failure>,
    /// Rows in the requests that were sent.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Whether every row was sent that could be, and Infiniti said what became of it.
    pub is_complete: bool,
    /// From the first batch to the last answer.
    pub elapsed: Duration,
    /// The patrons who are new and were not accepted, by number.
    unaccepted: Vec<u32>,
}

/// A patron whom Infiniti refused, or whose row could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The patron.
    pub username: String,
    /// Where it was read; nothing for a leaver.
    pub place: Option<RowPlace>,
    /// Infiniti's words, or why it could not be sent.
    pub message: String,
}

/// A run that carries plans out.
#[derive(Debug)]
pub struct Run<'r> {
    /// What is pushed.
    pub mapping: &'r Arc<Mapping>,
    /// Where its pictures are.
    pub album: Option<&'r Arc<Album>>,
    /// What is to be done.
    pub plans: &'r Plans,
    /// Where it goes.
    pub target: &'r Target,
    /// Where it is written down; nothing if the mapping keeps no state.
    pub state: Option<&'r mut State>,
    /// How far it is.
    pub progress: &'r Arc<Progress>,
    /// Whether it is to end early.
    pub interrupt: &'r Interrupt,
    /// When the run began, and how long it took so far.
    pub timing: Timing,
    /// What was asked to be done with changed usernames.
    pub renames: Renames,
}

/// When a run began, and how long it took to come to its plan.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time that all of its records name.
    pub started_at: Timestamp,
    /// Reading and checking the source.
    pub read: Duration,
    /// Reading the state and comparing with it.
    pub plan: Duration,
}

/// So many more requests may look for bad rows in batches that were refused as a whole, in one run.
const HALVINGS_MAX: u32 = 64;

/// Sends the batches of each feed's plan one after the other. Stops at the first one that fails as a whole: what ails one
/// ails the next, and a second unknown outcome helps nobody; only a wrong path is one feed's own. A batch that is refused is halved until the bad rows are found.
pub async fn push(mut run: Run<'_>) -> Reports {
    let started = Instant::now();
    let sending = run.interrupt.sending();
    let none = |plan: &Plan| Report { not_sent: plan.patrons_to_send(), ..Report::default() };
    let mut reports = Reports {
        feeds: run.plans.feeds.iter().map(none).collect(),
        error: None,
        source_error: None,
        state_error: None,
        is_interrupted: false,
        is_over: false,
        elapsed: Duration::ZERO,
    };
    for number in 0..run.plans.feeds.len() {
        let begun = Instant::now();
        if let Err(error) = Box::pin(run.feed(number, &mut reports)).await {
            reports.state_error = Some(error);
        }
        reports.feeds[number].elapsed = begun.elapsed();
        reports.elapsed = started.elapsed();
        let is_last = reports.ends() || number + 1 == run.plans.feeds.len();
        if let Err(error) = run.finish(number, &reports, is_last).await {
            // The first failure is the one that says why.
            reports.state_error.get_or_insert(error);
        }
        if reports.ends() {
            break;
        }
    }
    drop(sending);
    reports
}

impl<'r> Run<'r> {
    /// Sends one feed.
    async fn feed(&mut self, number: usize, reports: &mut Reports) -> Result<(), StateError> {
        let plan: &'r Plan = &self.plans.feeds[number];
        let refused = self.refused(plan, reports);
        if let Some(state) = &mut self.state {
            state.turn_to(plan.contract().feed).await?;
            if !plan.batches.is_empty() {
                let record = record(self.plans, None, self.timing, None);
                state.begin(&record, fill(returned(plan))).await?;
            }
        }
        let mut halvings = HALVINGS_MAX;
        for batch in &plan.batches {
            if self.interrupt.is_asked() {
                reports.is_interrupted = true;
                break;
            }
            let mut content = batch.content.clone();
            if !refused.is_empty() {
                content = content.only(|patron| !refused.contains(&plan.patrons.key(patron).to_lowercase()));
                let waiting = (batch.content.patrons() - content.patrons()) as u64;
                reports.feeds[number].waiting += waiting;
                reports.feeds[number].not_sent -= waiting;
                if content.patrons() == 0 {
                    continue;
                }
            }
            // Until everybody was sent once, Infiniti may have patrons that are not in the state: one more of unknown
            // outcome says nothing new, and is sent again all the same.
            let is_told = plan.has_baseline || batch.kind != BatchKind::Create;
            if let Some(state) = self.state.as_mut().filter(|_| is_told) {
                state.depart(departures(plan, &content)).await?;
            }
            let to = (self.target, self.progress);
            let delivery = Box::pin(deliver(self.mapping, self.album, to, plan, &content, &mut halvings)).await;
            count(plan, batch.kind, &content, &delivery, &mut reports.feeds[number]);
            if let Some(state) = &mut self.state {
                state.arrive(arrivals(plan, &content, &delivery.outcomes, state.key())).await?;
            }
            let has_failed = delivery.error.is_some() || delivery.source_error.is_some();
            reports.is_over = delivery.error.as_ref().is_some_and(|error| !error.is_of_the_path());
            if reports.error.is_none() {
                reports.error = delivery.error;
            }
            reports.source_error = delivery.source_error;
            if has_failed {
                break;
            }
        }
        let report = &mut reports.feeds[number];
        // A picture that could not be sent is like a row that was refused: one that never can be would have everybody sent again
        // every night.
        report.is_complete = report.not_sent == 0 && report.unknown == 0;
        Ok(())
    }

    /// The keys, in lower case, of those whose account was sent tonight for the first time and is not accepted.
    fn refused(&self, plan: &Plan, reports: &Reports) -> HashSet<String> {
        let (Some(by), Some(users)) = (plan.contract().account, self.plans.users()) else { return HashSet::new() };
        let all = self.plans.feeds.iter().zip(&reports.feeds);
        let report = all.filter(|(plan, _)| plan.contract().account.is_none()).map(|(_, report)| report);
        let value = |patron: &u32| {
            let cell = users.patrons.cells(*patron).find(|(header, _)| *header == by);
            cell.map(|(_, cell)| cell_value(cell).to_lowercase())
        };
        report.flat_map(|report| &report.unaccepted).filter_map(value).collect()
    }

    /// Writes down who is missing and who is back, and the run.
    async fn finish(&mut self, number: usize, reports: &Reports, is_last: bool) -> Result<(), StateError> {
        let Some(state) = &mut self.state else { return Ok(()) };
        let (plan, report) = (&self.plans.feeds[number], &reports.feeds[number]);
        state.turn_to(plan.contract().feed).await?;
        let is_complete = report.is_complete && !reports.ends();
        let facts = if is_complete { plan.facts.clone() } else { state.facts().clone() };
        let run = record(self.plans, Some(reports), self.timing, is_last.then(Timestamp::now));
        let mut marks = marks(plan, report, self.renames);
        if plan.batches.is_empty() {
            // Nothing was begun, so this is not written yet. One transaction a night is enough for a school that rests.
            marks.extend(returned(plan));
            marks.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        }
        state.finish(fill(marks), facts, &run).await
    }
}

fn count(plan: &Plan, kind: BatchKind, content: &Content, delivery: &Delivery, report: &mut Report) {
    let of = |outcome| delivery.outcomes.iter().filter(|each| **each == outcome).count() as u64;
    let (accepted, unknown, failed) = (of(RowOutcome::Accepted), of(RowOutcome::Unknown), of(RowOutcome::Failed));
    report.batches += delivery.requests;
    report.rows += delivery.rows;
    report.bytes += delivery.bytes;
    report.accepted += accepted;
    report.created += delivery.created;
    report.updated += delivery.updated;
    if kind == BatchKind::Deactivate {
        report.deactivated += accepted;
    }
    report.unknown += unknown;
    report.not_sent -= accepted + unknown + failed + delivery.unsent.len() as u64;
    for (number, message) in &delivery.unsent {
        report.unsent.push(failure(plan, content, *number, message.clone()));
    }
    for (number, message) in &delivery.failed {
        report.failed.push(failure(plan, content, *number, message.clone()));
    }
    // A username that is new is not there yet, be the patron known by another one.
    let is_new = |patron: &u32| kind == BatchKind::Create || plan.renames.iter().any(|rename| rename.patron == *patron);
    let is_not = |(_, outcome): &(usize, &RowOutcome)| **outcome != RowOutcome::Accepted;
    let numbers = (0..).zip(&delivery.outcomes).filter(is_not).filter_map(|(number, _)| content.patron(number));
    report.unaccepted.extend(numbers.filter(is_new));
    tracing::info!(
        feed = plan.contract().feed,
        kind = kind.code(),
        rows = content.rows(),
        accepted,
        failed,
        unknown,
        "batch answered"
    );
}

fn failure(plan: &Plan, content: &Content, number: usize, message: String) -> Failure {
    let place = content.patron(number).map(|patron| plan.patrons.place(patron));
    Failure { username: who(plan, content, number).0.into_owned(), place, message }
}

/// Writes down that a limit stopped a push, and who is back all the same.
///
/// # Errors
/// Any [`StateError`].
pub async fn stop(plans: &Plans, state: &mut State, timing: Timing, approve: &str) -> Result<(), StateError> {
    let mut run = crate::state::Run {
        exit_code: Some(ExitCode::Stopped.number()),
        ..record(plans, None, timing, Some(Timestamp::now()))
    };
    run.summary.approve = Some(approve.to_owned());
    for plan in &plans.feeds {
        state.turn_to(plan.contract().feed).await?;
        let facts = state.facts().clone();
        state.finish(fill(returned(plan)), facts, &run).await?;
    }
    Ok(())
}
