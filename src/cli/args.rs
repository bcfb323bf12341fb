//! What is typed: the commands and their options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Reads patrons from a school's SIS database and pushes them to Concord Infiniti.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: GlobalArgs,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(super) struct GlobalArgs {
    /// Say more on stderr: -v what is done, -vv how, -vvv everything.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    /// How log lines on stderr look.
    #[arg(long, value_enum, default_value_t = LogFormatArg::Text, global = true)]
    pub(super) log_format: LogFormatArg,
    /// Log into this file too; it is rotated at 10 MiB and every day (UTC), and seven old ones are kept.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) log_file: Option<PathBuf>,
    /// When to use colours. `NO_COLOR` is honoured.
    #[arg(long, value_enum, default_value_t = ColourArg::Auto, global = true)]
    pub(super) color: ColourArg,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The whole job on a made-up school and a loopback Infiniti; needs no set-up.
    Demo(DemoArgs),
    /// Check mapping files, without contacting anything.
    Check(CheckArgs),
    /// Show the patrons as they would be sent, and what is rejected; sends nothing.
    Preview(PreviewArgs),
    /// Read the patrons of each mapping and send them to Infiniti.
    Push(PushArgs),
    /// A loopback Infiniti for rehearsals, with faults on demand.
    Sandbox(SandboxArgs),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Where to put the demo's files; a new folder under the temporary folder if not given.
    #[arg(long, value_name = "FOLDER")]
    pub(super) folder: Option<PathBuf>,
    /// Keep the sandbox running afterwards, so that its page can be looked at; Ctrl-C ends it.
    #[arg(long)]
    pub(super) keep_running: bool,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Mapping files, or folders of them.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// How to print the problems.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct PreviewArgs {
    /// The mapping file.
    #[arg(value_name = "MAPPING")]
    pub(super) mapping: PathBuf,
    /// Read at most so many rows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// How to print the patrons.
    #[arg(long, value_enum, default_value_t = PreviewFormatArg::Table)]
    pub(super) format: PreviewFormatArg,
}

#[derive(Args, Debug)]
pub(super) struct PushArgs {
    /// Mapping files, or folders of them.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Send every patron. So far the only mode.
    #[arg(long)]
    pub(super) full: bool,
    /// Do everything but send.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct SandboxArgs {
    /// The loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// The account that may import.
    #[arg(long, default_value = "autoimport")]
    pub(super) username: String,
    /// Its password.
    #[arg(long, env = "SANDBOX_PASSWORD", hide_env_values = true, default_value = "sandbox")]
    pub(super) password: String,
    /// Keep the patrons in this file from one start to the next.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Faults to show, separated by commas: a status (503), cut, cut-upload=BYTES, hang, html, redirect, badjson,
    /// miscount, nodetails, reject=PATTERN; with xN for the first N imports only (503x2), and a status with :SECONDS
    /// for Retry-After (503x2:5).
    #[arg(long, value_name = "SPEC")]
    pub(super) fail: Vec<String>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// For people.
    Text,
    /// For programs; its fields are stable.
    Json,
}

/// How a preview is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PreviewFormatArg {
    /// A table for people.
    Table,
    /// CSV, with passwords masked.
    Csv,
    /// JSON, with passwords masked.
    Json,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormatArg {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColourArg {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
