//! `push`: the main job.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{FormatArg, PushArgs};
use super::output::Output;
use crate::error::{Error, ExitCode, causes};
use crate::infiniti::Target;
use crate::mapping::{self, Mapping};
use crate::sync::{self, Plan, Progress, Report};

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

/// A push that came as far as a plan.
#[derive(Debug)]
pub(super) struct Done {
    /// The source without its secrets.
    pub(super) source: String,
    /// The school's address.
    pub(super) target: String,
    /// What it would do.
    pub(super) plan: Plan,
    /// How long reading took.
    pub(super) read: std::time::Duration,
    /// What became of it; `None` for a rehearsal, and when a limit stopped it.
    pub(super) report: Option<Report>,
}

impl Pushed {
    /// The exit code of this mapping alone.
    pub(super) fn exit_code(&self) -> ExitCode {
        match &self.result {
            Err(error) => error.exit_code(),
            Ok(done) => done.exit_code(),
        }
    }
}

impl Pushed {
    /// The error with its causes, for the log; nothing if there was none.
    fn why(&self) -> Option<String> {
        let error: &dyn std::error::Error = match &self.result {
            Err(error) => error,
            Ok(done) => done.report.as_ref()?.error.as_ref()?,
        };
        let causes = causes(error);
        Some(std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": "))
    }
}

impl Done {
    fn exit_code(&self) -> ExitCode {
        if !self.plan.stops.is_empty() {
            return ExitCode::Stopped;
        }
        let refused = match &self.report {
            Some(report) if report.error.is_some() || report.unknown > 0 => return ExitCode::Target,
            Some(report) => !report.failed.is_empty(),
            None => false,
        };
        if refused || !self.plan.patrons.rejections.is_empty() { ExitCode::Rejections } else { ExitCode::Complete }
    }
}

pub(super) async fn run(args: PushArgs, mut output: Output) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.mappings)?;
    let mut worst = ExitCode::Complete;
    let mut all = Vec::new();
    let mut printed = Ok(());
    for path in &paths {
        let pushed = push(path, args.dry_run, &mut output).await;
        worst = worst.max(pushed.exit_code());
        if args.format == FormatArg::Text {
            printed = printed.and(output.pushed(&pushed, args.dry_run));
        }
        all.push(pushed);
    }
    printed = printed.and(match args.format {
        FormatArg::Text if all.len() > 1 => output.summary(&all),
        FormatArg::Text => Ok(()),
        FormatArg::Json => output.pushed_json(&all, args.dry_run, worst),
    });
    // What could not be printed does not change what was done, nor stop the next school.
    if let Err(error) = printed {
        output.failure(&error);
    }
    Ok(worst)
}

/// Pushes one mapping. Its errors are its own: the next mapping has its turn whatever becomes of this one.
pub(super) async fn push(path: &Path, dry_run: bool, output: &mut Output) -> Pushed {
    let mut name = None;
    let result = attempt(path, dry_run, output, &mut name).await;
    let pushed = Pushed { path: path.to_owned(), name, result };
    // For the log's reader; whoever looks at stderr reads the same in better words.
    tracing::info!(mapping = pushed.name, exit_code = pushed.exit_code().number(), why = pushed.why(), "push ended");
    pushed
}

async fn attempt(path: &Path, dry_run: bool, output: &mut Output, name: &mut Option<String>) -> Result<Done, Error> {
    let mut mapping = Mapping::load(path)?;
    *name = Some(mapping.name.clone());
    output.mapping_warnings(&mapping)?;
    mapping.resolve()?;
    // Before the first query: a target that cannot be set up must not cost the SIS a scan.
    let target = Target::new(&mapping.target)?;
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    tracing::info!(mapping = mapping.name, source = %mapping.source, "reading");
    let extraction = sync::extract(&mapping, None, &progress).await?;
    let read = extraction.elapsed;
    let plan = Plan::full(extraction.patrons, &mapping.limits, mapping.target.batch_rows);
    tracing::info!(
        rows = plan.patrons.rows(),
        rejected = plan.patrons.rejections.len(),
        batches = plan.batches.len(),
        "planned"
    );
    let report =
        if dry_run || !plan.stops.is_empty() { None } else { Some(sync::push(&plan, &target, &progress).await) };
    shown.finish();
    Ok(Done { source: mapping.source.to_string(), target: mapping.target.url.to_string(), plan, read, report })
}
