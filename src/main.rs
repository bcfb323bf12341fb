//! Parses the arguments, runs the command, and turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use sispush::cli;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).into()
}
