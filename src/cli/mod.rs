//! The command line: one file a command, each of which wires the stages together.

mod args;
mod check;
mod demo;
mod doctor;
mod explain;
mod hidden;
mod history;
mod init;
mod man;
mod notify;
mod output;
mod own;
mod preview;
mod push;
mod random;
mod report;
mod sandbox;
mod schedule;
mod secret;
mod state;
mod test;

use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

use clap::CommandFactory;
use tokio::task::{JoinError, JoinHandle};

pub use args::Cli;
use args::{ColourArg, Command, LogFormatArg};
use output::Output;

use crate::error::{Error, ExitCode};
use crate::mapping;
use crate::ops;
use crate::ops::logging::{self, LogFormat, LogOptions};
use crate::ops::rotation::Rotation;
use crate::ops::system_log;
use crate::sync::Interrupt;

/// Runs a command to its exit code. Everything it has to say is said when it returns.
pub fn run(cli: Cli) -> ExitCode {
    match cli.global.color {
        ColourArg::Auto => {}
        ColourArg::Always => anstream::ColorChoice::Always.write_global(),
        ColourArg::Never => anstream::ColorChoice::Never.write_global(),
    }
    // What a panic says may hold a value of a row; where it happened does not.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a fault of sispush");
    }));
    let mut output = Output::new();
    if cli.version {
        let result = output.version(cli.global.verbose > 0);
        return result.map_or_else(|error| output.failure(&error), |()| ExitCode::Complete);
    }
    let system_log = system_log_place(&cli);
    let started = start_logging(&cli);
    let Some(command) = cli.command else {
        output.help(&mut Cli::command());
        return ExitCode::Usage;
    };
    let result = started.and(system_log).and_then(|system_log| match command {
        Command::Init(args) => until_interrupted(|_| init::run(args, output.clone())),
        Command::Check(args) => check::run(&args, &mut output),
        Command::Doctor(args) => {
            let log_file = cli.global.log_file.clone();
            until_interrupted(|_| doctor::run(args, log_file, output.clone()))
        }
        Command::Preview(args) => until_interrupted(|_| preview::run(args, output.clone())),
        Command::Explain(args) => until_interrupted(|_| explain::run(args, output.clone())),
        Command::Test(args) => until_interrupted(|_| test::run(args, output.clone())),
        Command::Diff(args) => {
            let is_verbose = cli.global.verbose > 0;
            until_interrupted_with(args.jobs.into(), |interrupt| {
                push::diff(args, is_verbose, interrupt, output.clone())
            })
        }
        Command::Push(args) => {
            let is_verbose = cli.global.verbose > 0;
            // A rehearsal, or the demo, is no push that anybody waits for.
            if !args.dry_run {
                system_log::start(system_log);
            }
            let log = cli.global.log_file.clone();
            let result = until_interrupted_with(args.plan.jobs.into(), |interrupt| {
                push::run(args, is_verbose, log, interrupt, output.clone())
            });
            if let Err(error) = &result {
                push::note_failed(error);
            }
            result
        }
        Command::Notify(args) => {
            let log = cli.global.log_file.clone();
            until_interrupted(|_| notify::run(args, log, output.clone()))
        }
        Command::History(args) => until_interrupted(|_| history::run(args, output.clone())),
        Command::Report(args) => until_interrupted(|_| report::run(args, output.clone())),
        Command::State(args) => until_interrupted(|_| state::run(args, output.clone())),
        Command::Schedule(args) => schedule::run(args, &mut output),
        Command::Secret(args) => secret::run(args, &mut output),
        Command::Sandbox(args) => until_interrupted(|_| sandbox::run(args, output.clone())),
        Command::Demo(args) => until_interrupted(|interrupt| demo::run(args, interrupt, output.clone())),
        Command::Schema { base } => output.schema(base).map(|()| ExitCode::Complete),
        Command::Completions { shell } => {
            // In memory first: where clap_complete cannot write, it panics.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sispush", &mut script);
            output.data().write_all(&script).map(|()| ExitCode::Complete).map_err(output::write_failed)
        }
        Command::Man => man::render(&mut output.data()).map(|()| ExitCode::Complete).map_err(output::write_failed),
    });
    result.unwrap_or_else(|error| output.failure(&error))
}

/// Where outcomes are noted: as typed, else as the environment says. Not by clap, which shows an option that the environment
/// sets in the usage of every message.
fn system_log_place(cli: &Cli) -> Result<system_log::Place, Error> {
    const NAME: &str = "SISPUSH_SYSTEM_LOG";
    if let Some(place) = &cli.global.system_log {
        return Ok(place.clone());
    }
    #[expect(clippy::disallowed_methods, reason = "a setting of the program, and clap does not do")]
    let text = std::env::var(NAME).unwrap_or_default();
    text.parse().map_err(|message| Error::Usage {
        message: format!("the environment variable `{NAME}` is not understood: {message}"),
        hint: None,
    })
}

fn start_logging(cli: &Cli) -> Result<(), Error> {
    let of_the_file =
        [("--log-keep", cli.global.log_keep.is_some()), ("--log-max-size", cli.global.log_max_size.is_some())];
    if cli.global.log_file.is_none()
        && let Some((option, _)) = of_the_file.iter().find(|(_, is_given)| *is_given)
    {
        return Err(Error::Usage {
            message: format!("`{option}` is about a log file, and none is named"),
            hint: Some("add `--log-file FILE`".into()),
        });
    }
    let usual = Rotation::default();
    let options = LogOptions {
        verbosity: cli.global.verbose,
        format: match cli.global.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        },
        quiet: false,
        file: cli.global.log_file.clone(),
        rotation: Rotation {
            bytes_max: cli.global.log_max_size.unwrap_or(usual.bytes_max),
            old_files: cli.global.log_keep.unwrap_or(usual.old_files),
        },
        colour: output::stderr_has_colour(),
    };
    logging::start(&options).map_err(|source| Error::File {
        action: "open",
        path: cli.global.log_file.clone().unwrap_or_default(),
        source,
    })
}

/// Runs a command's work beside the signals that end it. The work has threads of its own, so that a query that
/// blocks cannot keep a signal from being heard. A push that is sending is given time to end its batch and to write down
/// what became of it; a second signal ends that, too.
fn until_interrupted<W>(work: impl FnOnce(Interrupt) -> W) -> Result<ExitCode, Error>
where
    W: Future<Output = Result<ExitCode, Error>> + Send + 'static,
{
    until_interrupted_with(1, work)
}

/// As [`until_interrupted`], with a thread for each of so many jobs, and one for what watches them.
fn until_interrupted_with<W>(jobs: usize, work: impl FnOnce(Interrupt) -> W) -> Result<ExitCode, Error>
where
    W: Future<Output = Result<ExitCode, Error>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(jobs + 1)
        .enable_all()
        .build()
        .map_err(|source| Error::File { action: "start the threads of", path: "sispush".into(), source })?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::default();
        let mut work = tokio::spawn(work(interrupt.clone()));
        let ended = tokio::select! {
            result = &mut work => Some(result),
            () = signalled() => None,
        };
        let ended = if ended.is_none() {
            interrupt.ask();
            last_words(&interrupt, &mut work).await
        } else {
            ended
        };
        let Some(result) = ended else {
            ops::remove_unfinished();
            mapping::stop_commands();
            return Err(Error::Interrupted);
        };
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    });
    runtime.shutdown_background();
    result
}

/// Waits for a push that is sending to end by itself, for a time, or until another signal.
async fn last_words<T>(interrupt: &Interrupt, work: &mut JoinHandle<T>) -> Option<Result<T, JoinError>> {
    if !interrupt.is_sending() {
        return None;
    }
    tracing::warn!(limit_s = LAST_BATCH.as_secs(), "interrupted; waiting for the batch in flight");
    tokio::select! {
        result = work => Some(result),
        () = signalled() => None,
        () = tokio::time::sleep(LAST_BATCH) => None,
    }
}

/// So long a batch in flight may take after a signal. What kills a service that does not stop waits longer: systemd a
/// minute and a half.
const LAST_BATCH: Duration = Duration::from_secs(30);

#[cfg(unix)]
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signalled() {
    drop(tokio::signal::ctrl_c().await);
}
