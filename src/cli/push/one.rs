//! The push of one mapping, from its file to its result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, Zoned};
use tracing::{Instrument as _, Span, field};

use super::{Task, note};
use crate::cli::output::Output;
use crate::error::{Error, ExitCode, with_causes};
use crate::infiniti::Target;
use crate::mapping::{Hold, Mapping, Part, StateLocation};
use crate::process::{run_id, this_host};
use crate::state::{Identity, Run as RunRecord, State, Summary};
use crate::sync::{self, Extraction, Feeds, Plans, Progress, Reports, Timing, Wanted};

/// How far a push came with one mapping.
#[derive(Debug)]
pub(in crate::cli) struct Pushed {
    /// The mapping's file.
    pub(in crate::cli) path: PathBuf,
    /// Its name, once it could be read.
    pub(in crate::cli) name: Option<String>,
    /// When it began.
    pub(in crate::cli) started_at: Timestamp,
    /// What came of it.
    pub(in crate::cli) result: Result<Done, Error>,
    /// What each channel of notifications was told last of the mapping.
    pub(in crate::cli) notices: BTreeMap<String, String>,
}

/// What came of a push that did not fail before it had a plan.
#[derive(Debug)]
pub(in crate::cli) enum Done {
    /// The mapping is on hold; nothing was contacted.
    Held(Hold),
    /// It was pushed already in the period of `--once-per`.
    Already(Earlier),
    /// There is a plan.
    Planned(Box<Planned>),
}

/// A push that was there already.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Earlier {
    /// When it began.
    pub(in crate::cli) started_at: Timestamp,
    /// The machine that ran it.
    pub(in crate::cli) host: String,
    /// The number of its exit code.
    pub(in crate::cli) exit_code: u8,
}

/// A push that came as far as a plan.
#[derive(Debug)]
pub(in crate::cli) struct Planned {
    /// The source without its secrets.
    pub(in crate::cli) source: String,
    /// The school's address.
    pub(in crate::cli) target: String,
    /// What it would do.
    pub(in crate::cli) plans: Plans,
    /// When it began, and how long it took to come to the plan.
    pub(in crate::cli) timing: Timing,
    /// The hold that a rehearsal took no notice of.
    pub(in crate::cli) hold: Option<Hold>,
    /// The command that carries this plan out although it is over a limit.
    pub(in crate::cli) approve: String,
    /// The same for who reads of it elsewhere.
    pub(in crate::cli) approve_anywhere: String,
    /// The id that was approved, if the plan has another one.
    pub(in crate::cli) other_approval: Option<String>,
    /// What became of it; `None` for a rehearsal, and when a limit stopped it.
    pub(in crate::cli) reports: Option<Reports>,
}

impl Pushed {
    /// The exit code of this mapping alone.
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        match &self.result {
            Err(error) => error.exit_code(),
            Ok(Done::Held(_) | Done::Already(_)) => ExitCode::Complete,
            Ok(Done::Planned(planned)) => planned.exit_code(),
        }
    }

    /// Whether another run has the mapping's lock.
    pub(super) fn is_locked(&self) -> bool {
        matches!(&self.result, Err(Error::State(error)) if error.is_held())
    }

    /// The error with its causes, for the log; nothing if there was none.
    pub(in crate::cli) fn why(&self) -> Option<String> {
        let error: &dyn std::error::Error = match &self.result {
            Err(error) => error,
            Ok(Done::Held(_) | Done::Already(_)) => return None,
            Ok(Done::Planned(planned)) => match planned.reports.as_ref()? {
                Reports { state_error: Some(error), .. } => error,
                Reports { source_error: Some(error), .. } => error,
                reports => reports.error.as_ref()?,
            },
        };
        Some(with_causes(error))
    }
}

impl Planned {
    fn exit_code(&self) -> ExitCode {
        match &self.reports {
            Some(reports) => reports.exit_code(&self.plans),
            None if self.other_approval.is_some() => ExitCode::Stopped,
            None => self.plans.exit_code(),
        }
    }
}

/// Pushes one mapping. Its errors are its own: the next mapping has its turn whatever becomes of this one.
pub(in crate::cli) async fn push(path: &Path, task: &Task, output: &mut Output) -> Pushed {
    let mut pushed = Pushed {
        path: path.to_owned(),
        name: None,
        started_at: Timestamp::now(),
        // Until there is a result, the one of a push that was given up.
        result: Err(Error::Interrupted),
        notices: BTreeMap::new(),
    };
    // Its lines are told from those of other mappings by the name, which `attempt` notes in it.
    let span = tracing::error_span!("push", mapping = field::Empty);
    let result = attempt(&mut pushed, task, output).instrument(span.clone()).await;
    pushed.result = result;
    span.in_scope(|| note::mapping(&pushed));
    pushed
}

/// A push that was not begun. It goes by its file: its name is at fault.
pub(super) fn refused(path: PathBuf, error: Error) -> Pushed {
    let span = tracing::error_span!("push", mapping = %path.display());
    let pushed =
        Pushed { path, name: None, started_at: Timestamp::now(), result: Err(error), notices: BTreeMap::new() };
    span.in_scope(|| note::mapping(&pushed));
    pushed
}

/// A push that came to nothing, since it was given up: written into the history, if the mapping has one.
pub(super) async fn given_up(path: &Path, task: &Task, started_at: Timestamp, error: Error) -> Pushed {
    let mut pushed =
        Pushed { path: path.to_owned(), name: None, started_at, result: Err(error), notices: BTreeMap::new() };
    if let (Ok(mut mapping), Err(error)) = (Mapping::load(path), &pushed.result) {
        pushed.name = Some(mapping.name.clone());
        pushed.notices = record_failure(&mut mapping, task, started_at, error).await;
    }
    note::mapping(&pushed);
    pushed
}

async fn attempt(pushed: &mut Pushed, task: &Task, output: &mut Output) -> Result<Done, Error> {
    let started_at = pushed.started_at;
    let mut mapping = Mapping::load(&pushed.path)?;
    pushed.name = Some(mapping.name.clone());
    Span::current().record("mapping", field::display(&mapping.name));
    output.mapping_warnings(&mapping)?;
    if !mapping.feeds().any(|feed| task.feeds.contains(feed.contract)) {
        let names: Vec<String> = mapping.feeds().map(|feed| format!("`{}`", feed.contract.feed)).collect();
        return Err(Error::Usage {
            message: "the mapping has none of the feeds that `--feed` names".into(),
            hint: Some(format!("it has {}", names.join(", ")).into()),
        });
    }
    let today = Zoned::now().date();
    let hold = mapping.hold_on(today).cloned();
    if let Some(hold) = &hold
        && !task.is_rehearsal
        && !task.despite_hold
    {
        tracing::info!(until = %hold.until, reason = hold.reason, "on hold");
        return Ok(Done::Held(hold.clone()));
    }
    let ready = mapping.resolve(&Part::ALL).map_err(Error::from);
    // Before the first query: a target that cannot be set up must not cost the SIS a scan.
    let target = match ready.and_then(|()| Ok(Target::new(&mapping.target)?)) {
        Ok(target) => target,
        Err(error) => {
            pushed.notices = record_failure(&mut mapping, task, started_at, &error).await;
            return Err(error);
        }
    };
    let (location, identity) = book(&mapping, task);
    // Likewise a state that cannot be written, or that another run works with.
    let mut state = if task.is_rehearsal {
        State::look(&location, &identity).await?
    } else {
        State::open(&location, &identity).await?
    };
    if task.once_per.is_some() && state.is_none() {
        return Err(Error::Usage {
            message: "`--once-per` needs a state, and the mapping has none".into(),
            hint: Some("delete `state: none`, or name a place with `--state`".into()),
        });
    }
    if let Some(period) = task.once_per
        && let Some(mut open) = state.take()
    {
        // With the lock: whoever had it before has written down what it did.
        match earlier(&mut open, period, started_at).await {
            Ok(None) => state = Some(open),
            Ok(Some(earlier)) => {
                open.close().await;
                return Ok(Done::Already(earlier));
            }
            Err(error) => return Err(error),
        }
    }
    let job = Job { mapping: &Arc::new(mapping), target: &target, task, started_at, hold };
    let result = job.run(state.as_mut(), output).await;
    if let Some(mut state) = state
        && !task.is_rehearsal
    {
        if let Err(error) = &result {
            write_failure(&mut state, started_at, error).await;
        }
        pushed.notices = state.notices().await.unwrap_or_default();
        state.close().await;
    }
    result.map(|planned| Done::Planned(Box::new(planned)))
}

/// Where the state of a mapping is, and whose.
fn book(mapping: &Mapping, task: &Task) -> (StateLocation, Identity) {
    let location = task.state.as_ref().unwrap_or(&mapping.state).clone();
    (location, Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() })
}

/// The push that ended in this period, if there was one, whatever came of it: one that was killed or interrupted did not
/// end.
async fn earlier(state: &mut State, period: Duration, now: Timestamp) -> Result<Option<Earlier>, Error> {
    let period = SignedDuration::try_from(period).unwrap_or(SignedDuration::MAX);
    let runs = state.runs(LOOKED_BACK).await?;
    let has_ended = |run: &&RunRecord| {
        !run.is_ahead(now)
            && run.ended_at.is_some()
            && run.exit_code.is_some_and(|code| code != ExitCode::Interrupted.number())
    };
    Ok(runs.iter().filter(has_ended).find(|run| now.duration_since(run.started_at) < period).map(|run| Earlier {
        started_at: run.started_at,
        host: run.summary.host.clone(),
        exit_code: run.exit_code.unwrap_or_default(),
    }))
}

/// The command that approves an earlier plan, as it was told, and that plan's id.
async fn command_of(state: &mut State, plan: &str) -> Option<(String, String)> {
    let runs = state.runs(LOOKED_BACK).await.ok()?;
    let run = runs.into_iter().find(|run| run.plan.as_deref() == Some(plan) && run.summary.approve.is_some())?;
    Some((run.summary.approve?, plan.to_owned()))
}

/// So many runs are looked at for one that has ended.
const LOOKED_BACK: u32 = 20;

/// Writes a failure into a history that is there already: a push that came to nothing does not begin one.
async fn record_failure(
    mapping: &mut Mapping,
    task: &Task,
    started_at: Timestamp,
    error: &Error,
) -> BTreeMap<String, String> {
    if task.is_rehearsal || mapping.resolve(&[Part::State]).is_err() {
        return BTreeMap::new();
    }
    let (location, identity) = book(mapping, task);
    let look = tokio::time::timeout(RECORD_LIMIT, State::look(&location, &identity));
    let Ok(Ok(Some(mut state))) = look.await else { return BTreeMap::new() };
    write_failure(&mut state, started_at, error).await;
    state.notices().await.unwrap_or_default()
}

/// How long opening the history may take when something else has failed already.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

async fn write_failure(state: &mut State, started_at: Timestamp, error: &Error) {
    let run = RunRecord {
        started_at,
        ended_at: Some(Timestamp::now()),
        mode: String::new(),
        plan: None,
        exit_code: Some(error.exit_code().number()),
        summary: failure(error),
    };
    if let Err(error) = state.record(&run).await {
        tracing::warn!(%error, "the run could not be recorded");
    }
}

/// What a push that failed before it had a plan came to.
fn failure(error: &Error) -> Summary {
    Summary {
        error: Some(error.told()),
        hint: match error {
            Error::Mapping(error) => error.secret().and_then(|problem| problem.hint.clone()),
            error => error.hint(),
        }
        .map(Into::into),
        host: this_host(),
        run: run_id().to_string(),
        ..Summary::default()
    }
}

/// A mapping with its secrets, and what is to be done with it.
struct Job<'j> {
    mapping: &'j Arc<Mapping>,
    target: &'j Target,
    task: &'j Task,
    started_at: Timestamp,
    hold: Option<Hold>,
}

impl Job<'_> {
    async fn run(self, mut state: Option<&mut State>, output: &mut Output) -> Result<Planned, Error> {
        let mapping = self.mapping;
        if let Some(state) = &mut state
            && !self.task.is_rehearsal
        {
            state.tidy().await?;
        }
        let progress = Arc::new(Progress::default());
        let shown = self.task.is_alone.then(|| output.progress(&progress));
        tracing::info!(source = %mapping.source, "reading");
        // The others hang on the accounts, be they sent or not.
        let feeds = self.task.feeds.and(Feeds::USERS);
        let wanted = Wanted { digests: true, times: true, feeds, ..Wanted::default() };
        let Extraction { feeds, album, times, elapsed: read } = sync::extract(mapping, wanted, &progress).await?;
        let planning = Instant::now();
        let (asked, now) = (self.task.asked, self.started_at);
        let is_push = !self.task.is_rehearsal;
        let request = sync::Request { mapping, times: &times, asked, feeds: self.task.feeds, is_push, now };
        let plans = request.plans(feeds, state.as_deref_mut()).await?;
        let timing = Timing { started_at: self.started_at, read, plan: planning.elapsed() };
        for plan in &plans.feeds {
            tracing::info!(
                plan = %plans.id,
                feed = plan.contract().feed,
                rows = plan.patrons.rows(),
                rejected = plan.patrons.rejections.len(),
                changes = plan.changes.len(),
                unchanged = plan.unchanged,
                leavers = plan.leavers.len(),
                batches = plan.batches.len(),
                "planned"
            );
        }
        let id = plans.id.to_string();
        let earlier = match (&self.task.approved, &mut state) {
            (Some(approved), Some(state)) => command_of(state, approved).await,
            _ => None,
        };
        let (approve, approve_anywhere) = if let Some((command, approved)) = earlier {
            // Typed by hand, it has nothing of the service in its environment that says how it is begun.
            let command = command.replace(&approved, &id);
            (command.clone(), command)
        } else {
            let again = &self.task.again;
            (again.command(&mapping.path, &id), again.command_anywhere(mapping, &id))
        };
        let other_approval = self.task.approved.clone().filter(|approved| *approved != id);
        let may_send = other_approval.is_none() && (!plans.is_stopped() || self.task.approved.is_some());
        let mut reports = None;
        if !self.task.is_rehearsal {
            if may_send {
                let run = sync::Run {
                    mapping,
                    album: album.as_ref(),
                    plans: &plans,
                    target: self.target,
                    state,
                    progress: &progress,
                    interrupt: &self.task.interrupt,
                    timing,
                    renames: self.task.asked.renames,
                };
                reports = Some(sync::push(run).await);
            } else if let Some(state) = state {
                sync::stop(&plans, state, timing, &approve_anywhere).await?;
            }
        }
        drop(shown);
        Ok(Planned {
            source: mapping.source.to_string(),
            target: mapping.target.url.to_string(),
            plans,
            timing,
            hold: self.hold,
            approve,
            approve_anywhere,
            other_approval,
            reports,
        })
    }
}
