//! What is typed: the commands and their options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Read patrons from a school's SIS database and push them to Concord Infiniti.
///
/// A YAML file, the mapping, says which SQL to run and which result column fills which of Infiniti's headers.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) global: GlobalArgs,
}

/// What the README says at more length; `tests/docs.rs` holds the numbers to the program.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  1    done, but rows were rejected, here or by Infiniti
  2    bad arguments or mapping; nothing was contacted
  3    the source failed; nothing was sent
  4    the target failed, or its answer is unknown
  5    stopped by a limit; nothing was sent
  130  interrupted

New here? Run `sispush demo`.";

/// Options of every command.
#[derive(Args, Debug)]
pub(super) struct GlobalArgs {
    /// Log more to stderr: each step (-v), details (-vv), everything (-vvv).
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = GLOBAL)]
    pub(super) verbose: u8,
    /// Format of the log, on stderr and in the log file.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormatArg::Text, global = true, help_heading = GLOBAL)]
    pub(super) log_format: LogFormatArg,
    /// Also log to this file. A new file is begun every day (UTC) and at 10 MiB; seven old ones are kept.
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub(super) log_file: Option<PathBuf>,
    /// When to use colours; the environment variable `NO_COLOR` turns them off too.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColourArg::Auto, global = true, help_heading = GLOBAL)]
    pub(super) color: ColourArg,
}

/// The heading of those in a command's help.
const GLOBAL: &str = "Global options";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the whole job on a made-up school and a loopback Infiniti; needs no set-up.
    Demo(DemoArgs),
    /// Check mapping files without contacting anything.
    Check(CheckArgs),
    /// Read the SIS and show the patrons as they would be sent, and the rejected rows; send nothing.
    Preview(PreviewArgs),
    /// Read the SIS and send the patrons to Infiniti.
    Push(PushArgs),
    /// Run a loopback Infiniti for rehearsals, with faults on demand.
    Sandbox(SandboxArgs),
    /// Print the completion script for a shell.
    Completions {
        /// The shell to complete in.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// An empty or new folder for the demo's files [default: a new one among the temporary files].
    #[arg(long, value_name = "FOLDER")]
    pub(super) folder: Option<PathBuf>,
    /// Leave the loopback Infiniti running so that you can look at its page; Ctrl-C stops it.
    #[arg(long)]
    pub(super) keep_running: bool,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Format of the findings.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct PreviewArgs {
    /// The mapping file.
    #[arg(value_name = "MAPPING")]
    pub(super) mapping: PathBuf,
    /// Read only the first N rows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Format of the patrons.
    #[arg(long, value_enum, default_value_t = PreviewFormatArg::Table)]
    pub(super) format: PreviewFormatArg,
}

#[derive(Args, Debug)]
pub(super) struct PushArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Send every patron, as every push does so far.
    #[arg(long)]
    pub(super) full: bool,
    /// Do everything except sending.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct SandboxArgs {
    /// Loopback address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// The account that may import.
    #[arg(long, value_name = "NAME", default_value = "autoimport")]
    pub(super) username: String,
    /// The password of that account.
    #[arg(long, value_name = "TEXT", env = "SANDBOX_PASSWORD", hide_env_values = true, default_value = "sandbox")]
    pub(super) password: String,
    /// Keep the patrons in this file between runs [default: in memory].
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Misbehave: answer with a status such as 401 or 503; or cut, cut-upload=BYTES, hang, html, redirect, badjson,
    /// miscount, nodetails; or reject=PATTERN to refuse the usernames that match.
    ///
    /// An ending xN limits a fault to the first N uploads: 503x2. A status may ask to wait: 503x2:5 adds
    /// `Retry-After: 5`. Several faults are separated by commas and come one after the other.
    #[arg(long, value_name = "SPEC")]
    pub(super) fail: Vec<String>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// For people.
    Text,
    /// For programs; names of fields stay the same.
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
    /// One JSON object per line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColourArg {
    /// If the output is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
