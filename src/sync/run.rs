//! Carries a plan out, batch by batch, and writes into the state what Infiniti said.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::expect;
use super::plan::{Batch, BatchKind, Content, Leaver, Plan, Reason, Renames, Scope, Stage};
use super::{Interrupt, Progress};
use crate::error::ExitCode;
use crate::infiniti::client::{Payload, Receipt, Route, Target, TargetError};
use crate::infiniti::fingerprint::Key;
use crate::infiniti::value::RowPlace;
use crate::process::{run_id, this_host};
use crate::state::layer::{Active, Moment, Page, Patch, Prints, StandingPatch, compare_keys, pages};
use crate::state::{Outcome, Seconds, State, StateError, Summary};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that carried rows.
    pub batches: u64,
    /// Rows that Infiniti accepted.
    pub accepted: u64,
    /// Of these, new patrons, as far as Infiniti said.
    pub created: u64,
    /// Of these, patrons that were there already.
    pub updated: u64,
    /// Of these, leavers that are no longer enabled.
    pub deactivated: u64,
    /// Rows that Infiniti refused, in its words.
    pub failed: Vec<Failure>,
    /// Rows that were sent and of which nobody knows what became of them.
    pub unknown: u64,
    /// Rows that were not sent, since the push ended before.
    pub not_sent: u64,
    /// Bytes of CSV in the requests that were sent.
    pub bytes: u64,
    /// What ended the push early.
    pub error: Option<TargetError>,
    /// What could not be written into the state; it ends a push, too.
    pub state_error: Option<StateError>,
    /// Whether a signal ended the push.
    pub is_interrupted: bool,
    /// From the first batch to the last answer.
    pub elapsed: Duration,
}

/// A row that Infiniti refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The patron.
    pub username: String,
    /// Where it was read; nothing for a leaver.
    pub place: Option<RowPlace>,
    /// Infiniti's words.
    pub message: String,
}

impl Report {
    /// Whether every row was sent, and Infiniti said what became of it.
    pub fn is_complete(&self) -> bool {
        self.error.is_none()
            && self.state_error.is_none()
            && !self.is_interrupted
            && self.unknown == 0
            && self.not_sent == 0
    }

    /// The exit code of a plan that was carried out.
    pub fn exit_code(&self, plan: &Plan) -> ExitCode {
        if self.is_interrupted {
            ExitCode::Interrupted
        } else if self.state_error.is_some() {
            ExitCode::State
        } else if self.error.is_some() || self.unknown > 0 {
            ExitCode::Target
        } else if self.failed.is_empty() {
            plan.exit_code_within_limits()
        } else {
            ExitCode::Rejections
        }
    }
}

/// A run that carries a plan out.
#[derive(Debug)]
pub struct Run<'r> {
    /// What is to be done.
    pub plan: &'r Plan,
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

/// Sends the batches of a plan one after the other. Stops at the first one that fails as a whole: what ails one ails the
/// next, and a second unknown outcome helps nobody. A batch that is refused is halved until the bad rows are found.
pub async fn push(mut run: Run<'_>) -> Report {
    let started = Instant::now();
    let sending = run.interrupt.sending();
    let mut report = Report::default();
    if let Err(error) = run.send(&mut report).await {
        report.state_error = Some(error);
    }
    let rows: usize = run.plan.batches.iter().map(|batch| batch.content.rows()).sum();
    report.not_sent = rows as u64 - report.accepted - report.failed.len() as u64 - report.unknown;
    report.elapsed = started.elapsed();
    if let Err(error) = run.finish(&report).await {
        // The first failure is the one that says why.
        report.state_error.get_or_insert(error);
    }
    drop(sending);
    report
}

impl Run<'_> {
    async fn send(&mut self, report: &mut Report) -> Result<(), StateError> {
        let mut halvings = HALVINGS_MAX;
        if self.plan.batches.is_empty() {
            return Ok(());
        }
        if let Some(state) = &mut self.state {
            state.begin(&record(self.plan, None, self.timing, None), fill(returned(self.plan))).await?;
        }
        for batch in &self.plan.batches {
            if self.interrupt.is_asked() {
                report.is_interrupted = true;
                return Ok(());
            }
            // Until everybody was sent once, Infiniti may have patrons that are not in the state: one more of unknown
            // outcome says nothing new, and is sent again all the same.
            let is_told = self.plan.has_baseline || batch.kind != BatchKind::Create;
            if let Some(state) = self.state.as_mut().filter(|_| is_told) {
                state.depart(departures(self.plan, &batch.content)).await?;
            }
            let delivery = deliver(self.target, self.progress, &batch.content, &mut halvings).await;
            self.count(batch, &delivery, report);
            let error = delivery.error;
            if let Some(state) = &mut self.state {
                state.arrive(arrivals(self.plan, &batch.content, &delivery.outcomes, state.key())).await?;
            }
            if error.is_some() {
                report.error = error;
                return Ok(());
            }
        }
        Ok(())
    }

    fn count(&self, batch: &Batch, delivery: &Delivery, report: &mut Report) {
        let of = |outcome| delivery.outcomes.iter().filter(|each| **each == outcome).count() as u64;
        let accepted = of(RowOutcome::Accepted);
        report.batches += delivery.requests;
        report.bytes += delivery.bytes;
        report.accepted += accepted;
        report.created += delivery.created;
        report.updated += delivery.updated;
        if batch.kind == BatchKind::Deactivate {
            report.deactivated += accepted;
        }
        report.unknown += of(RowOutcome::Unknown);
        for (row, message) in &delivery.failed {
            report.failed.push(failure(self.plan, &batch.content, *row, message.clone()));
        }
        tracing::info!(
            kind = batch.kind.code(),
            rows = batch.content.rows(),
            accepted,
            failed = delivery.failed.len(),
            unknown = of(RowOutcome::Unknown),
            "batch answered"
        );
    }

    /// Writes down who is missing and who is back, and the run.
    async fn finish(&mut self, report: &Report) -> Result<(), StateError> {
        let Some(state) = &mut self.state else { return Ok(()) };
        let facts = if report.is_complete() { self.plan.facts.clone() } else { state.facts().clone() };
        let run = record(self.plan, Some(report), self.timing, Some(Timestamp::now()));
        let mut marks = marks(self.plan, report, self.renames);
        if self.plan.batches.is_empty() {
            // Nothing was begun, so this is not written yet. One transaction a night is enough for a school that rests.
            marks.extend(returned(self.plan));
            marks.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        }
        state.finish(fill(marks), facts, &run).await
    }
}

/// Sends a batch, in halves if it is refused as a whole.
async fn deliver(target: &Target, progress: &Arc<Progress>, content: &Content, halvings: &mut u32) -> Delivery {
    let mut delivery = Delivery { outcomes: vec![RowOutcome::NotSent; content.rows()], ..Delivery::default() };
    let whole = 0..content.rows();
    let mut left = vec![whole];
    while let Some(rows) = left.pop() {
        let part = if rows.len() == content.rows() { content.clone() } else { content.part(rows.clone()) };
        let counted = Arc::new(Counted { payload: part.payload(), progress: Arc::clone(progress) });
        let result = target.push(Route::USERS, counted).await;
        if result.as_ref().err().is_none_or(TargetError::is_unknown) {
            delivery.requests += 1;
            delivery.bytes += part.length();
        }
        match result {
            Ok(receipt) => delivery.accept(&receipt, &rows),
            Err(error) if error.is_unknown() => {
                delivery.outcomes[rows].fill(RowOutcome::Unknown);
                delivery.error = Some(error);
                break;
            }
            Err(error) if error.is_for_the_whole() && rows.len() > 1 && *halvings >= 2 => {
                *halvings -= 2;
                tracing::warn!(rows = rows.len(), reason = %error, "batch refused as a whole, sending it in halves");
                let middle = rows.start + rows.len() / 2;
                left.push(middle..rows.end);
                left.push(rows.start..middle);
            }
            // Alone in its batch, and not the first one: it is this row that is refused.
            Err(error @ TargetError::Refused { .. }) if rows.len() == 1 && content.rows() > 1 => {
                let words = error.words().map_or_else(|| error.to_string(), |words| words.as_str().to_owned());
                delivery.outcomes[rows.start] = RowOutcome::Failed;
                delivery.failed.push((rows.start, words));
            }
            Err(error) => {
                delivery.error = Some(error);
                break;
            }
        }
    }
    delivery
}

/// What became of the rows of a batch.
#[derive(Default)]
struct Delivery {
    outcomes: Vec<RowOutcome>,
    /// In the order of the rows' answers, with Infiniti's words.
    failed: Vec<(usize, String)>,
    created: u64,
    updated: u64,
    requests: u64,
    bytes: u64,
    error: Option<TargetError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    NotSent,
    Accepted,
    Failed,
    Unknown,
}

impl Delivery {
    fn accept(&mut self, receipt: &Receipt, rows: &Range<usize>) {
        self.outcomes[rows.clone()].fill(RowOutcome::Accepted);
        for failed in receipt.failed() {
            self.outcomes[rows.start + failed.row] = RowOutcome::Failed;
            self.failed.push((rows.start + failed.row, failed.message.to_string()));
        }
        for row in receipt.unknown() {
            self.outcomes[rows.start + row] = RowOutcome::Unknown;
        }
        self.created += receipt.created() as u64;
        self.updated += receipt.updated() as u64;
    }
}

fn failure(plan: &Plan, content: &Content, row: usize, message: String) -> Failure {
    match content {
        Content::Patrons(csv) => {
            let patron = csv.patron(row);
            Failure { username: plan.patrons.username(patron), place: Some(plan.patrons.place(patron)), message }
        }
        Content::Leavers(csv) => Failure { username: csv.leaver(row).0.to_owned(), place: None, message },
    }
}

/// Adds each patron of a batch as one of unknown outcome.
pub(super) fn departures<'p>(plan: &'p Plan, content: &'p Content) -> impl FnMut(&mut Page) -> bool + Send + 'p {
    let mut rows = 0..content.rows();
    move |page| {
        let Some(row) = rows.next() else { return false };
        let mut unknown = |username: &str, is_staff| {
            page.add(&Patch { outcome: Some(Outcome::Unknown), ..Patch::of(username, is_staff) });
        };
        match content {
            Content::Patrons(csv) => {
                let patron = csv.patron(row);
                unknown(&plan.patrons.key(patron), plan.patrons.is_staff(patron));
            }
            Content::Leavers(csv) => {
                let (username, is_staff) = csv.leaver(row);
                unknown(username, is_staff);
            }
        }
        true
    }
}

/// The pages that say what became of each patron of a batch that was sent.
pub(super) fn arrivals<'p>(
    plan: &'p Plan,
    content: &'p Content,
    outcomes: &'p [RowOutcome],
    key: Key,
) -> impl Iterator<Item = Page> + Send + 'p {
    let at = Moment::from(Timestamp::now());
    let mut prints = Prints::default();
    let mut rows = (0..).zip(outcomes).filter(|(_, outcome)| **outcome != RowOutcome::NotSent);
    pages(move |page| {
        let Some((row, outcome)) = rows.next() else { return false };
        let outcome = match outcome {
            RowOutcome::Accepted => Outcome::Accepted,
            RowOutcome::Failed => Outcome::Failed,
            RowOutcome::Unknown | RowOutcome::NotSent => Outcome::Unknown,
        };
        match content {
            Content::Patrons(csv) => {
                let patron = csv.patron(row);
                let username = plan.patrons.key(patron);
                let mut patch = Patch { outcome: Some(outcome), ..Patch::of(&username, plan.patrons.is_staff(patron)) };
                if outcome == Outcome::Accepted {
                    prints.take(&key, plan.patrons.digested_cells(patron));
                    let fingerprint = key.fingerprint(plan.patrons.digest(patron));
                    patch.standing = StandingPatch::Active(Active::new(at, fingerprint, &prints));
                    patch.missing = Some(None);
                }
                page.add(&patch);
            }
            Content::Leavers(csv) => {
                let (username, is_staff) = csv.leaver(row);
                let mut patch = Patch { outcome: Some(outcome), ..Patch::of(username, is_staff) };
                if outcome == Outcome::Accepted {
                    patch.standing = StandingPatch::Deactivated { at };
                }
                page.add(&patch);
            }
        }
        true
    })
}

/// What a run notices of a patron beside what Infiniti says.
pub(super) enum Mark {
    Missing(Moment),
    Back,
    Gone,
}

impl Mark {
    pub(super) fn patch<'a>(&self, username: &'a str) -> Patch<'a> {
        let patch = Patch::of(username, false);
        match self {
            Self::Missing(since) => Patch { missing: Some(Some(*since)), ..patch },
            Self::Back => Patch { missing: Some(None), ..patch },
            Self::Gone => Patch { standing: StandingPatch::Gone, ..patch },
        }
    }
}

/// Who is back, in key order. Written before anything is sent, and also by a run that a limit stops: a time of grace
/// that is counted from before would be too short.
pub(super) fn returned(plan: &Plan) -> Vec<(String, Mark)> {
    plan.returned.iter().map(|patron| (plan.patrons.username(*patron), Mark::Back)).collect()
}

/// Who is missing, and who is to be forgotten, in key order: what a run writes at its end.
pub(super) fn marks(plan: &Plan, report: &Report, renames: Renames) -> Vec<(String, Mark)> {
    let mut marks: Vec<(String, Mark)> = Vec::new();
    let is_newly_missing = |leaver: &&Leaver| leaver.is_new;
    marks.extend(
        plan.leavers
            .iter()
            .filter(is_newly_missing)
            .map(|leaver| (leaver.username.clone(), Mark::Missing(leaver.since))),
    );
    marks.extend(plan.forgotten.iter().map(|username| (username.clone(), Mark::Gone)));
    if renames == Renames::Realigned && report.is_complete() {
        // The old username goes only once Infiniti has accepted the new one.
        let refused: HashSet<&str> = report.failed.iter().map(|failure| failure.username.as_str()).collect();
        let accepted = plan.renames.iter().filter(|rename| !refused.contains(&*plan.patrons.key(rename.patron)));
        marks.extend(accepted.map(|rename| (rename.old.clone(), Mark::Gone)));
    }
    marks.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    marks
}

/// Adds marks to pages.
pub(super) fn fill(marks: Vec<(String, Mark)>) -> impl FnMut(&mut Page) -> bool + Send {
    let mut marks = marks.into_iter();
    move |page| marks.next().map(|(username, mark)| page.add(&mark.patch(&username))).is_some()
}

/// Writes down that a limit stopped a plan, and who is back all the same.
///
/// # Errors
/// Any [`StateError`].
pub async fn stop(plan: &Plan, state: &mut State, timing: Timing, approve: &str) -> Result<(), StateError> {
    let mut run = crate::state::Run {
        exit_code: Some(ExitCode::Stopped.number()),
        ..record(plan, None, timing, Some(Timestamp::now()))
    };
    run.summary.approve = Some(approve.to_owned());
    let facts = state.facts().clone();
    state.finish(fill(returned(plan)), facts, &run).await
}

/// A run for the history.
fn record(plan: &Plan, report: Option<&Report>, timing: Timing, ended_at: Option<Timestamp>) -> crate::state::Run {
    crate::state::Run {
        started_at: timing.started_at,
        ended_at,
        mode: match plan.scope {
            Scope::Delta => "delta".to_owned(),
            Scope::Full(_) => "full".to_owned(),
        },
        plan: Some(plan.id.to_string()),
        exit_code: report.map(|report| report.exit_code(plan).number()),
        summary: summary(plan, report, timing),
    }
}

/// What a run came to: counts only.
pub fn summary(plan: &Plan, report: Option<&Report>, timing: Timing) -> Summary {
    let patrons = &plan.patrons;
    let mut summary = Summary {
        rows: patrons.extracts.iter().map(|extract| (extract.name.clone(), extract.rows)).collect(),
        rejected: patrons.rejections.len() as u64,
        unchanged: plan.unchanged,
        planned: Reason::ALL
            .iter()
            .map(|reason| (reason.code().to_owned(), plan.of_reason(*reason).count() as u64))
            .collect(),
        leavers: plan.leavers.len() as u64,
        grace: plan.leavers.iter().filter(|leaver| matches!(leaver.stage, Stage::Grace { .. })).count() as u64,
        deactivations: plan.deactivations().count() as u64,
        renames: if plan.holds_renames { plan.renames.len() as u64 } else { 0 },
        expectations: expect::count(&plan.verdicts),
        stops: plan.stops.iter().map(|stop| stop.code().to_owned()).collect(),
        seconds: Seconds::of(timing.read, timing.plan, Duration::ZERO),
        host: this_host(),
        run: run_id().to_string(),
        ..Summary::default()
    };
    for rejection in &patrons.rejections {
        let of_extract = patrons.extract_name(rejection.place.extract);
        let of_extract = summary.rejections_by_extract.entry(of_extract.clone()).or_default();
        for (_, rule) in &rejection.broken {
            *summary.rejections.entry(rule.code().to_owned()).or_default() += 1;
            *of_extract.entry(rule.code().to_owned()).or_default() += 1;
        }
    }
    if let Some(report) = report {
        summary.accepted = report.accepted;
        summary.created = report.created;
        summary.updated = report.updated;
        summary.deactivated = report.deactivated;
        summary.failed = report.failed.len() as u64;
        summary.unknown = report.unknown;
        summary.not_sent = report.not_sent;
        summary.seconds = Seconds::of(timing.read, timing.plan, report.elapsed);
        summary.error = report.error.as_ref().map(ToString::to_string);
        summary.hint = report.error.as_ref().and_then(TargetError::hint).map(Into::into);
    }
    summary
}

/// A payload that tells how much of it has left.
struct Counted {
    payload: Arc<dyn Payload>,
    progress: Arc<Progress>,
}

impl Payload for Counted {
    fn rows(&self) -> usize {
        self.payload.rows()
    }

    fn length(&self) -> u64 {
        self.payload.length()
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let chunks = Arc::clone(&self.payload).chunks();
        Box::new(chunks.inspect(move |chunk| self.progress.add_bytes(chunk.len() as u64)))
    }
}
