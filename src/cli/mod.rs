//! The command line: one file a command, each of which wires the stages together.

mod args;
mod check;
mod demo;
mod man;
mod output;
mod preview;
mod push;
mod sandbox;

use std::future::Future;

use clap::CommandFactory;

pub use args::Cli;
use args::{ColourArg, Command, LogFormatArg};
use output::Output;

use crate::error::{Error, ExitCode};
use crate::ops::logging::{self, LogFormat, LogOptions};

/// Runs a command to its exit code. Everything it has to say is said when it returns.
pub fn run(cli: Cli) -> ExitCode {
    match cli.global.color {
        ColourArg::Auto => {}
        ColourArg::Always => anstream::ColorChoice::Always.write_global(),
        ColourArg::Never => anstream::ColorChoice::Never.write_global(),
    }
    let mut output = Output::new();
    let result = start_logging(&cli).and_then(|()| match cli.command {
        Command::Check(args) => check::run(&args, &mut output),
        Command::Preview(args) => until_interrupted(preview::run(args, output.clone())),
        Command::Push(args) => until_interrupted(push::run(args, output.clone())),
        Command::Sandbox(args) => until_interrupted(sandbox::run(args, output.clone())),
        Command::Demo(args) => until_interrupted(demo::run(args, output.clone())),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sispush", &mut output.data());
            Ok(ExitCode::Complete)
        }
        Command::Man => man::render(&mut output.data()).map(|()| ExitCode::Complete).map_err(output::write_failed),
    });
    result.unwrap_or_else(|error| output.failure(&error))
}

fn start_logging(cli: &Cli) -> Result<(), Error> {
    let options = LogOptions {
        verbosity: cli.global.verbose,
        format: match cli.global.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        },
        quiet: false,
        file: cli.global.log_file.clone(),
        colour: output::stderr_has_colour(),
    };
    logging::start(&options).map_err(|source| Error::File {
        action: "open",
        path: cli.global.log_file.clone().unwrap_or_default(),
        source,
    })
}

/// Runs a command's work beside the signals that end it. The work has threads of its own, so that a query that
/// blocks cannot keep a signal from being heard.
fn until_interrupted(work: impl Future<Output = Result<ExitCode, Error>> + Send + 'static) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::File { action: "start the threads of", path: "sispush".into(), source })?;
    let result = runtime.block_on(async {
        let work = tokio::spawn(work);
        tokio::select! {
            result = work => result.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
            () = signalled() => Err(Error::Interrupted),
        }
    });
    runtime.shutdown_background();
    result
}

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
