//! Carries a plan out, batch by batch, and writes into the state what Infiniti said.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::album::Album;
use super::plan::comparison::take_prints;
use super::plan::{BatchKind, Content, Leaver, Plan, Plans, Reason, Renames, Scope, Stage};
use super::prepare::{Prepared, prepare};
use super::{ExtractError, expect};
use super::{Interrupt, Progress};
use crate::error::ExitCode;
use crate::infiniti::client::{Payload, Receipt, Route, Target, TargetError};
use crate::infiniti::fingerprint::Key;
use crate::infiniti::payload::cell_value;
use crate::infiniti::value::RowPlace;
use crate::mapping::Mapping;
use crate::process::{run_id, this_host};
use crate::state::layer::{Active, Moment, Page, Patch, Prints, StandingPatch, compare_keys, pages};
use crate::state::{Outcome, Seconds, State, StateError, Summary};

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
        self.error.is_some() || self.source_error.is_some() || self.state_error.is_some() || self.is_interrupted
    }
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that carried rows.
    pub batches: u64,
    /// Patrons that Infiniti accepted, each with all rows.
    pub accepted: u64,
    /// Of these rows, new ones, as far as Infiniti said.
    pub created: u64,
    /// Of these rows, those that were there already.
    pub updated: u64,
    /// Of these, leavers that are no longer enabled.
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
/// ails the next, and a second unknown outcome helps nobody. A batch that is refused is halved until the bad rows are found.
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
        elapsed: Duration::ZERO,
    };
    for number in 0..run.plans.feeds.len() {
        let begun = Instant::now();
        if let Err(error) = run.feed(number, &mut reports).await {
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
            let delivery =
                deliver(self.mapping, self.album, (self.target, self.progress), plan, &content, &mut halvings).await;
            count(plan, batch.kind, &content, &delivery, &mut reports.feeds[number]);
            if let Some(state) = &mut self.state {
                state.arrive(arrivals(plan, &content, &delivery.outcomes, state.key())).await?;
            }
            reports.error = delivery.error;
            reports.source_error = delivery.source_error;
            if reports.ends() {
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

/// Sends a batch, in halves if it is refused as a whole.
async fn deliver(
    mapping: &Arc<Mapping>,
    album: Option<&Arc<Album>>,
    (target, progress): (&Target, &Arc<Progress>),
    plan: &Plan,
    content: &Content,
    halvings: &mut u32,
) -> Delivery {
    let count = content.patrons();
    let mut delivery = Delivery { outcomes: vec![RowOutcome::NotSent; count], ..Delivery::default() };
    let feed = mapping.feeds().find(|feed| *feed.contract == *plan.contract());
    let path = feed.map_or("", |feed| &feed.path);
    let route = Route { contract: plan.contract(), path };
    let whole = 0..count;
    let mut left = vec![whole];
    while let Some(patrons) = left.pop() {
        let part = if patrons.len() == count { content.clone() } else { content.part(patrons.clone()) };
        let prepared = match prepare(mapping, album, &part).await {
            Ok(prepared) => prepared,
            Err(error) => {
                delivery.source_error = Some(error);
                break;
            }
        };
        for (number, why) in &prepared.unsent {
            delivery.unsent.push((patrons.start + number, why.clone()));
        }
        let is_left_empty = !prepared.unsent.is_empty() && prepared.payload.rows() == 0;
        if is_left_empty {
            continue;
        }
        let payload = Arc::clone(&prepared.payload);
        let length = payload.length();
        let counted = Arc::new(Counted { payload, progress: Arc::clone(progress) });
        let result = target.push(route, counted).await;
        if result.as_ref().err().is_none_or(TargetError::is_unknown) {
            delivery.requests += 1;
            delivery.rows += prepared.payload.rows() as u64;
            delivery.bytes += length;
        }
        match result {
            Ok(receipt) => delivery.accept(&receipt, &prepared, &patrons),
            Err(error) if error.is_unknown() => {
                delivery.all(&prepared, &patrons, RowOutcome::Unknown);
                delivery.error = Some(error);
                break;
            }
            Err(error) if error.is_for_the_whole() && patrons.len() > 1 && *halvings >= 2 => {
                *halvings -= 2;
                // They are found again in the halves.
                delivery.unsent.retain(|(number, _)| !patrons.contains(number));
                tracing::warn!(
                    rows = part.rows(),
                    reason = %error,
                    "batch refused as a whole, sending it in halves"
                );
                let middle = patrons.start + patrons.len() / 2;
                left.push(middle..patrons.end);
                left.push(patrons.start..middle);
            }
            // Alone in its batch, and not the first one: it is this patron that is refused.
            Err(error @ TargetError::Refused { .. }) if patrons.len() == 1 && count > 1 => {
                let words = error.words().map_or_else(|| error.to_string(), |words| words.as_str().to_owned());
                delivery.fail(patrons.start, &words);
            }
            Err(error) => {
                delivery.error = Some(error);
                break;
            }
        }
    }
    delivery
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
    if kind == BatchKind::Create {
        let is_not = |(_, outcome): &(usize, &RowOutcome)| **outcome != RowOutcome::Accepted;
        let numbers = (0..).zip(&delivery.outcomes).filter(is_not).filter_map(|(number, _)| content.patron(number));
        report.unaccepted.extend(numbers);
    }
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

/// What became of the patrons of a batch.
#[derive(Default)]
struct Delivery {
    outcomes: Vec<RowOutcome>,
    /// By the number of the patron, in the order of the rows' answers, with Infiniti's words.
    failed: Vec<(usize, String)>,
    created: u64,
    updated: u64,
    requests: u64,
    rows: u64,
    bytes: u64,
    /// By the number of the patron, why the picture is not sent.
    unsent: Vec<(usize, String)>,
    error: Option<TargetError>,
    source_error: Option<ExtractError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    NotSent,
    Accepted,
    Failed,
    Unknown,
}

impl Delivery {
    /// Of a patron with several rows all must be accepted.
    fn accept(&mut self, receipt: &Receipt, sent: &Prepared, patrons: &Range<usize>) {
        self.all(sent, patrons, RowOutcome::Accepted);
        for row in receipt.unknown() {
            self.outcomes[patrons.start + sent.number_of(*row)] = RowOutcome::Unknown;
        }
        for failed in receipt.failed() {
            self.fail(patrons.start + sent.number_of(failed.row), failed.message.as_str());
        }
        self.created += receipt.created() as u64;
        self.updated += receipt.updated() as u64;
    }

    /// Gives all patrons who were sent one outcome.
    fn all(&mut self, sent: &Prepared, patrons: &Range<usize>, outcome: RowOutcome) {
        self.outcomes[patrons.clone()].fill(outcome);
        for (number, _) in &sent.unsent {
            self.outcomes[patrons.start + number] = RowOutcome::NotSent;
        }
    }

    fn fail(&mut self, number: usize, words: &str) {
        self.outcomes[number] = RowOutcome::Failed;
        match self.failed.last_mut().filter(|(last, _)| *last == number) {
            Some((_, said)) if said.split("; ").any(|each| each == words) => {}
            Some((_, said)) => {
                said.push_str("; ");
                said.push_str(words);
            }
            None => self.failed.push((number, words.to_owned())),
        }
    }
}

fn failure(plan: &Plan, content: &Content, number: usize, message: String) -> Failure {
    let place = content.patron(number).map(|patron| plan.patrons.place(patron));
    Failure { username: who(plan, content, number).0.into_owned(), place, message }
}

/// The key of a patron of a batch, and whether it is staff.
fn who<'p>(plan: &'p Plan, content: &'p Content, number: usize) -> (Cow<'p, str>, bool) {
    match content {
        Content::Leavers(csv) => {
            let (username, is_staff) = csv.leaver(number);
            (username.into(), is_staff)
        }
        Content::Patrons(_) | Content::Pictures(_) => {
            let patron = content.patron(number).unwrap_or_default();
            (plan.patrons.key(patron), plan.patrons.is_staff(patron))
        }
    }
}

/// Adds each patron of a batch as one of unknown outcome.
pub(super) fn departures<'p>(plan: &'p Plan, content: &'p Content) -> impl FnMut(&mut Page) -> bool + Send + 'p {
    let mut numbers = 0..content.patrons();
    move |page| {
        let Some(number) = numbers.next() else { return false };
        let (username, is_staff) = who(plan, content, number);
        page.add(&Patch { outcome: Some(Outcome::Unknown), ..Patch::of(&username, is_staff) });
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
        let (username, is_staff) = who(plan, content, row);
        let mut patch = Patch { outcome: Some(outcome), ..Patch::of(&username, is_staff) };
        if outcome == Outcome::Accepted {
            if let Some(patron) = content.patron(row) {
                take_prints(&mut prints, &key, &plan.patrons, patron);
                let fingerprint = key.fingerprint(plan.patrons.digest(patron));
                patch.standing = StandingPatch::Active(Active::new(at, fingerprint, &prints));
                patch.missing = Some(None);
            } else {
                patch.standing = StandingPatch::Deactivated { at };
            }
        }
        page.add(&patch);
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
    if renames == Renames::Realigned && report.is_complete {
        // The old username goes only once Infiniti has accepted the new one.
        let refused = report.failed.iter().chain(&report.unsent);
        let refused: HashSet<&str> = refused.map(|failure| failure.username.as_str()).collect();
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

/// A run for the history.
fn record(plans: &Plans, reports: Option<&Reports>, timing: Timing, ended_at: Option<Timestamp>) -> crate::state::Run {
    crate::state::Run {
        started_at: timing.started_at,
        ended_at,
        mode: match plans.feeds.first().map(|plan| plan.scope) {
            Some(Scope::Full(_)) => "full".to_owned(),
            Some(Scope::Delta) | None => "delta".to_owned(),
        },
        plan: Some(plans.id.to_string()),
        exit_code: reports.filter(|_| ended_at.is_some()).map(|reports| reports.exit_code(plans).number()),
        summary: summary(plans, reports, timing),
    }
}

/// What a run came to: counts only.
pub fn summary(plans: &Plans, reports: Option<&Reports>, timing: Timing) -> Summary {
    let mut all = Summary::default();
    for (number, plan) in plans.feeds.iter().enumerate() {
        let counts = feed_summary(plan, reports.map(|reports| &reports.feeds[number]));
        match plan.contract().account {
            None => all = Summary { feeds: std::mem::take(&mut all.feeds), ..counts },
            Some(_) => {
                all.feeds.insert(plan.contract().feed.to_owned(), counts);
            }
        }
    }
    let elapsed = reports.map_or(Duration::ZERO, |reports| reports.elapsed);
    all.seconds = Seconds::of(timing.read, timing.plan, elapsed);
    all.host = this_host();
    all.run = run_id().to_string();
    if let Some(error) = reports.and_then(|reports| reports.error.as_ref()) {
        all.error = Some(error.to_string());
        all.hint = error.hint().map(Into::into);
    } else if let Some(error) = reports.and_then(|reports| reports.source_error.as_ref()) {
        all.error = Some(error.told());
        all.hint = error.hint().map(Into::into);
    }
    all
}

/// What a run came to with one feed.
fn feed_summary(plan: &Plan, report: Option<&Report>) -> Summary {
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
        waiting: plan.waiting + report.map_or(0, |report| report.waiting),
        kept: plan.kept.len() as u64,
        expectations: expect::count(&plan.verdicts),
        stops: plan.stops.iter().map(|stop| stop.code().to_owned()).collect(),
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
        summary.unsent = report.unsent.len() as u64;
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
