//! `doctor`: every step between the SIS, this machine and Infiniti, and which of them fails; nothing is sent.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::{DoctorArgs, FormatArg};
use super::output::Output;
use super::own;
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::mapping::{self, Mapping, Part};
use crate::ops::doctor::bundle::{self, Collected};
use crate::ops::doctor::{self, Asked, Kind, Outcome, Step};

/// What was found of one mapping.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) path: PathBuf,
    /// The mapping's name, once it could be read.
    pub(super) name: Option<String>,
    /// Source and target without their secrets, once they are known.
    pub(super) places: Option<[String; 2]>,
    pub(super) steps: Vec<Step>,
}

impl Examined {
    pub(super) fn exit_code(&self) -> ExitCode {
        self.steps.iter().map(Step::exit_code).max().unwrap_or(ExitCode::Complete)
    }
}

pub(super) async fn run(args: DoctorArgs, log_file: Option<PathBuf>, mut output: Output) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.mappings)?;
    let asked = Asked { state: args.state.state.as_deref().map(location).transpose()?, post_empty: args.post_empty };
    if let Some(file) = &args.bundle {
        for path in &paths {
            // Whether it is valid, and its secrets are there, is told below.
            let mut mapping = Mapping::load(path).ok();
            drop(mapping.as_mut().map(|mapping| mapping.resolve(&Part::ALL)));
            own::refuse("--bundle", file, (path, mapping.as_ref()), asked.state.as_ref())?;
        }
    }
    let mut all = Vec::new();
    let mut printed = Ok(());
    for path in paths {
        let started = Instant::now();
        let loaded = Mapping::load(&path);
        let load_time = started.elapsed();
        let name = loaded.as_ref().ok().map(|mapping| mapping.name.clone());
        let places = loaded.as_ref().ok().map(|mapping| [mapping.source.to_string(), mapping.target.url.to_string()]);
        let mut examined = Examined { path, name, places, steps: Vec::new() };
        let mut told = output.doctor(&examined, args.format);
        examined.steps = doctor::examine(loaded, load_time, &asked, &mut |step| told.step(step)).await;
        printed = printed.and(told.finish());
        tracing::info!(mapping = examined.name, exit_code = examined.exit_code().number(), "doctor ended");
        all.push(examined);
    }
    let worst = all.iter().map(Examined::exit_code).max().unwrap_or(ExitCode::Complete);
    printed = printed.and(match args.format {
        FormatArg::Text => Ok(()),
        FormatArg::Json => output.examined_json(&all, worst),
    });
    if let Some(file) = &args.bundle {
        let mut collected = Vec::new();
        for examined in &all {
            let is_state = |step: &Step| step.kind == Kind::State && matches!(step.outcome, Outcome::Done(_));
            let has_state = examined.steps.iter().any(is_state);
            let path = &examined.path;
            collected.push(bundle::collect(path, asked.state.as_ref(), has_state, log_file.as_deref()).await);
        }
        write_bundle(file, &all, worst, collected, &mut output)?;
    }
    // What could not be printed stands in the bundle all the same.
    printed.map(|()| worst)
}

fn write_bundle(
    file: &Path,
    all: &[Examined],
    worst: ExitCode,
    collected: Vec<Collected>,
    output: &mut Output,
) -> Result<(), Error> {
    let files = output.bundle_files(all, worst, collected);
    bundle::write(file, &files).map_err(|source| Error::File { action: "write", path: file.to_owned(), source })?;
    output.bundle_written(file, files.len())
}
