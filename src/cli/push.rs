//! `push`, the main job, and `diff`, its rehearsal.

mod again;
mod happened;
mod many;
mod note;
mod one;
mod twins;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::args::{FormatArg, PlanArgs, PushArgs, RenamesArg};
use super::output::{self, Output};
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::mapping::{self, Mode, StateLocation};
use crate::ops;
use crate::sync::plan::Renames;
use crate::sync::{Asked, Feeds, Interrupt};
use again::Again;
use many::{Pace, TimeLimit};
pub(super) use note::failed as note_failed;
pub(super) use one::{Done, Earlier, Planned, Pushed, push};

/// What is to be done with each mapping.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) is_rehearsal: bool,
    pub(super) asked: Asked,
    /// The feeds that are sent.
    pub(super) feeds: Feeds,
    pub(super) state: Option<StateLocation>,
    pub(super) approved: Option<String>,
    /// How the same push is run again, by hand.
    pub(super) again: Again,
    pub(super) despite_hold: bool,
    /// Leave out a mapping that was pushed within this time.
    pub(super) once_per: Option<Duration>,
    /// Whether no other mapping is pushed at the same time, so that there is room to show how far it is.
    pub(super) is_alone: bool,
    pub(super) interrupt: Interrupt,
}

impl Task {
    /// A push by the mapping's own settings.
    pub(super) fn push(interrupt: Interrupt) -> Self {
        Self {
            is_rehearsal: false,
            asked: Asked::default(),
            feeds: Feeds::ALL,
            state: None,
            approved: None,
            again: Again::default(),
            despite_hold: false,
            once_per: None,
            is_alone: true,
            interrupt,
        }
    }
}

/// What is kept of a push when it has ended: a plan may be as large as a school.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) path: PathBuf,
    /// The mapping's name, once it could be read.
    pub(super) name: Option<String>,
    pub(super) exit_code: ExitCode,
    /// What came of it, in a few words.
    pub(super) outcome: String,
    /// The result as JSON, if that was asked for.
    object: Option<Value>,
}

pub(super) async fn diff(
    args: PlanArgs,
    is_verbose: bool,
    interrupt: Interrupt,
    output: Output,
) -> Result<ExitCode, Error> {
    let args = PushArgs { plan: args, dry_run: true, approve: None, despite_hold: false, once_per: None };
    run(args, is_verbose, None, interrupt, output).await
}

pub(super) async fn run(
    args: PushArgs,
    is_verbose: bool,
    log: Option<PathBuf>,
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
    let pace = pace(&args.plan, paths.len());
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
        feeds: match args.plan.feeds.as_slice() {
            [] => Feeds::ALL,
            feeds => Feeds::of(feeds.iter().map(|feed| feed.contract())),
        },
        state: args.plan.state.state.as_deref().map(location).transpose()?,
        again: Again::of(&args),
        approved: args.approve,
        despite_hold: args.despite_hold,
        once_per: args.once_per.map(|written| written.duration),
        is_alone: pace.jobs == 1,
        interrupt,
    };
    let format = args.plan.format;
    let mut all = Vec::new();
    let mut told = Vec::new();
    // What could not be printed does not change what was done, nor stop the next school; the first such failure is told.
    let mut unprinted = None;
    let shown = output.clone();
    let mut twins = if paths.len() > 1 { twins::find(&paths, task.state.as_ref()) } else { HashMap::new() };
    let mut ended = |pushed: Pushed| {
        if format == FormatArg::Text
            && let Err(error) = output.pushed(&pushed, task.is_rehearsal, is_verbose && task.is_rehearsal)
        {
            unprinted.get_or_insert(error);
        }
        if !task.is_rehearsal {
            told.push(happened::happened(&pushed, task.feeds != Feeds::ALL));
        }
        all.push(Ended::of(
            &pushed,
            (format == FormatArg::Json).then(|| output::pushed_object(&pushed, task.is_rehearsal)),
        ));
    };
    let count = paths.len();
    let (refused, paths): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| twins.contains_key(path));
    for path in refused {
        if let Some(error) = twins.remove(&path) {
            ended(one::refused(path, error));
        }
    }
    many::push(paths, &task, &pace, &shown, ended).await;
    // Those that a signal kept from being begun, or from telling how they ended.
    let left_out = count - all.len();
    let worst = all.iter().map(|ended| ended.exit_code).max().unwrap_or(ExitCode::Complete);
    let worst = if task.interrupt.is_asked() { ExitCode::Interrupted } else { worst };
    let printed = match format {
        FormatArg::Text if count > 1 => output.summary(&all, left_out),
        FormatArg::Text => Ok(()),
        FormatArg::Json => {
            // In the order of the files, whichever was done first.
            all.sort_by(|a, b| a.path.cmp(&b.path));
            let objects: Vec<Value> = all.iter_mut().filter_map(|ended| ended.object.take()).collect();
            output.pushed_json(&objects, worst)
        }
    };
    if let Some(error) = unprinted.or(printed.err()) {
        output.failure(&error);
    }
    note::all(&all, worst);
    if !task.interrupt.is_asked() {
        Box::pin(ops::notify::tell(told, task.state.as_ref(), &ops::notify::here(log))).await;
    }
    Ok(worst)
}

/// A mapping that hangs must not keep the others waiting for ever; alone, it is up to whoever runs it.
const TIME_LIMIT: (&str, Duration) = ("2h", Duration::from_hours(2));

fn pace(args: &PlanArgs, mappings: usize) -> Pace {
    let of_many = (mappings > 1).then(|| TimeLimit { text: TIME_LIMIT.0.to_owned(), limit: TIME_LIMIT.1 });
    let asked = args.time_limit.as_ref();
    let asked = asked.map(|written| TimeLimit { text: written.text.clone(), limit: written.duration });
    Pace { jobs: usize::from(args.jobs), limit: asked.or(of_many) }
}

impl Ended {
    fn of(pushed: &Pushed, object: Option<Value>) -> Self {
        Self {
            path: pushed.path.clone(),
            name: pushed.name.clone(),
            exit_code: pushed.exit_code(),
            outcome: output::outcome(pushed),
            object,
        }
    }
}
