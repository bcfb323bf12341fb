//! `push`, the main job, and `diff`, its rehearsal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use serde_json::json;

use super::args::{FormatArg, PlanArgs, PushArgs, RenamesArg};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode, causes};
use crate::infiniti::Target;
use crate::mapping::{self, Hold, Mapping, Mode, Part, StateLocation};
use crate::state::{Identity, Run as RunRecord, State};
use crate::sync::plan::Renames;
use crate::sync::{self, Asked, Extraction, Interrupt, Known, Plan, Progress, Report, Wanted, expect};

/// How far a push came with one mapping.
#[derive(Debug)]
pub(super) struct Pushed {
    /// The mapping's file.
    pub(super) path: PathBuf,
    /// Its name, once it could be read.
    pub(super) name: Option<String>,
    /// What came of it.
    pub(super) result: Result<Done, Error>,
}

/// What came of a push that did not fail before it had a plan.
#[derive(Debug)]
pub(super) enum Done {
    /// The mapping is on hold; nothing was contacted.
    Held(Hold),
    /// There is a plan.
    Planned(Box<Planned>),
}

/// A push that came as far as a plan.
#[derive(Debug)]
pub(super) struct Planned {
    /// The source without its secrets.
    pub(super) source: String,
    /// The school's address.
    pub(super) target: String,
    /// What it would do.
    pub(super) plan: Plan,
    /// How long reading took.
    pub(super) read: Duration,
    /// The hold that a rehearsal took no notice of.
    pub(super) hold: Option<Hold>,
    /// The id that was approved, if the plan has another one.
    pub(super) other_approval: Option<String>,
    /// What became of it; `None` for a rehearsal, and when a limit stopped it.
    pub(super) report: Option<Report>,
}

impl Pushed {
    /// The exit code of this mapping alone.
    pub(super) fn exit_code(&self) -> ExitCode {
        match &self.result {
            Err(error) => error.exit_code(),
            Ok(Done::Held(_)) => ExitCode::Complete,
            Ok(Done::Planned(planned)) => planned.exit_code(),
        }
    }

    /// The error with its causes, for the log; nothing if there was none.
    fn why(&self) -> Option<String> {
        let error: &dyn std::error::Error = match &self.result {
            Err(error) => error,
            Ok(Done::Held(_)) => return None,
            Ok(Done::Planned(planned)) => match planned.report.as_ref()? {
                Report { state_error: Some(error), .. } => error,
                report => report.error.as_ref()?,
            },
        };
        let causes = causes(error);
        Some(std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": "))
    }
}

impl Planned {
    fn exit_code(&self) -> ExitCode {
        match &self.report {
            Some(report) => report.exit_code(&self.plan),
            None if self.other_approval.is_some() => ExitCode::Stopped,
            None => self.plan.exit_code(),
        }
    }
}

/// What is to be done with each mapping.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) is_rehearsal: bool,
    pub(super) asked: Asked,
    pub(super) state: Option<StateLocation>,
    pub(super) approved: Option<String>,
    pub(super) despite_hold: bool,
    pub(super) interrupt: Interrupt,
}

impl Task {
    /// A push by the mapping's own settings.
    pub(super) fn push(interrupt: Interrupt) -> Self {
        Self {
            is_rehearsal: false,
            asked: Asked::default(),
            state: None,
            approved: None,
            despite_hold: false,
            interrupt,
        }
    }
}

pub(super) async fn diff(
    args: PlanArgs,
    is_verbose: bool,
    interrupt: Interrupt,
    output: Output,
) -> Result<ExitCode, Error> {
    run(PushArgs { plan: args, dry_run: true, approve: None, despite_hold: false }, is_verbose, interrupt, output).await
}

pub(super) async fn run(
    args: PushArgs,
    is_verbose: bool,
    interrupt: Interrupt,
    mut output: Output,
) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.plan.mappings)?;
    if args.approve.is_some() && paths.len() > 1 {
        return Err(Error::Usage {
            message: "`--approve` is for the plan of one mapping, and there are several".into(),
            hint: Some("name the one mapping file".into()),
        });
    }
    let task = Task {
        is_rehearsal: args.dry_run,
        asked: Asked {
            mode: match (args.plan.full, args.plan.delta) {
                (true, _) => Some(Mode::Full),
                (false, true) => Some(Mode::Delta),
                (false, false) => None,
            },
            renames: match args.plan.renames {
                RenamesArg::Hold => Renames::Hold,
                RenamesArg::Realigned => Renames::Realigned,
                RenamesArg::Separate => Renames::Separate,
            },
            all_new: args.plan.all_new,
        },
        state: args.plan.state.state.as_deref().map(location).transpose()?,
        approved: args.approve,
        despite_hold: args.despite_hold,
        interrupt,
    };
    let mut worst = ExitCode::Complete;
    let mut all = Vec::new();
    let mut printed = Ok(());
    for path in &paths {
        let pushed = push(path, &task, &mut output).await;
        worst = worst.max(pushed.exit_code());
        if args.plan.format == FormatArg::Text {
            printed = printed.and(output.pushed(&pushed, task.is_rehearsal, is_verbose && task.is_rehearsal));
        }
        all.push(pushed);
        if task.interrupt.is_asked() {
            worst = ExitCode::Interrupted;
            break;
        }
    }
    printed = printed.and(match args.plan.format {
        FormatArg::Text if all.len() > 1 => output.summary(&all),
        FormatArg::Text => Ok(()),
        FormatArg::Json => output.pushed_json(&all, task.is_rehearsal, worst),
    });
    // What could not be printed does not change what was done, nor stop the next school.
    if let Err(error) = printed {
        output.failure(&error);
    }
    Ok(worst)
}

/// Pushes one mapping. Its errors are its own: the next mapping has its turn whatever becomes of this one.
pub(super) async fn push(path: &Path, task: &Task, output: &mut Output) -> Pushed {
    let mut name = None;
    let result = attempt(path, task, output, &mut name).await;
    let pushed = Pushed { path: path.to_owned(), name, result };
    // For the log's reader; whoever looks at stderr reads the same in better words.
    tracing::info!(mapping = pushed.name, exit_code = pushed.exit_code().number(), why = pushed.why(), "push ended");
    pushed
}

async fn attempt(path: &Path, task: &Task, output: &mut Output, name: &mut Option<String>) -> Result<Done, Error> {
    let started_at = Timestamp::now();
    let mut mapping = Mapping::load(path)?;
    *name = Some(mapping.name.clone());
    output.mapping_warnings(&mapping)?;
    let today = Zoned::now().date();
    let hold = mapping.hold_on(today).cloned();
    if let Some(hold) = &hold
        && !task.is_rehearsal
        && !task.despite_hold
    {
        tracing::info!(mapping = mapping.name, until = %hold.until, reason = hold.reason, "on hold");
        return Ok(Done::Held(hold.clone()));
    }
    mapping.resolve(&Part::ALL)?;
    // Before the first query: a target that cannot be set up must not cost the SIS a scan.
    let target = Target::new(&mapping.target)?;
    let location = task.state.as_ref().unwrap_or(&mapping.state);
    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
    // Likewise a state that cannot be written, or that another run works with.
    let mut state = if task.is_rehearsal {
        State::look(location, &identity).await?
    } else {
        State::open(location, &identity).await?
    };
    let job = Job { mapping: &Arc::new(mapping), target: &target, task, started_at, hold };
    let result = job.run(state.as_mut(), output).await;
    if let Some(mut state) = state
        && !task.is_rehearsal
    {
        if let Err(error) = &result {
            let run = failed_run(started_at, error);
            if let Err(error) = state.record(&run).await {
                tracing::warn!(%error, "the run could not be recorded");
            }
        }
        state.close().await;
    }
    result.map(|planned| Done::Planned(Box::new(planned)))
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
        let shown = output.progress(&progress);
        tracing::info!(mapping = mapping.name, source = %mapping.source, "reading");
        let wanted = Wanted { digests: true, times: true, ..Wanted::default() };
        let Extraction { patrons, times, elapsed: read } = sync::extract(mapping, wanted, &progress).await?;
        let known = match &mut state {
            Some(state) => Known::of(state).await?,
            None => Known::nothing(),
        };
        let judged = expect::judge(&patrons, mapping, (&known.facts, &known.key), &times, self.started_at);
        let plan = Plan::new(patrons, mapping, &known, judged, self.task.asked, self.started_at);
        // A million patrons' worth of memory, which sending needs.
        drop(known);
        tracing::info!(
            plan = %plan.id,
            rows = plan.patrons.rows(),
            rejected = plan.patrons.rejections.len(),
            changes = plan.changes.len(),
            unchanged = plan.unchanged,
            leavers = plan.leavers.len(),
            batches = plan.batches.len(),
            "planned"
        );
        let id = plan.id.to_string();
        let other_approval = self.task.approved.clone().filter(|approved| *approved != id);
        let may_send = other_approval.is_none() && (plan.stops.is_empty() || self.task.approved.is_some());
        let mut report = None;
        if !self.task.is_rehearsal {
            if may_send {
                let run = sync::Run {
                    plan: &plan,
                    target: self.target,
                    state,
                    progress: &progress,
                    interrupt: &self.task.interrupt,
                    started_at: self.started_at,
                    renames: self.task.asked.renames,
                };
                report = Some(sync::push(run).await);
            } else if let Some(state) = state {
                sync::stop(&plan, state, self.started_at).await?;
            }
        }
        shown.finish();
        Ok(Planned {
            source: mapping.source.to_string(),
            target: mapping.target.url.to_string(),
            plan,
            read,
            hold: self.hold,
            other_approval,
            report,
        })
    }
}

/// A run that failed before it had a plan, for the history. The error's own words only: its causes may be long.
fn failed_run(started_at: Timestamp, error: &Error) -> RunRecord {
    RunRecord {
        started_at,
        ended_at: Some(Timestamp::now()),
        mode: String::new(),
        plan: None,
        exit_code: Some(error.exit_code().number()),
        report: json!({ "error": error.to_string() }),
    }
}
