//! What is typed: the commands and their options.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::infiniti::contract::{Contract, FEEDS, USERS};
use crate::mapping::duration;
use crate::ops::rotation::{Rotation, parse_size};
use crate::ops::system_log::Place;

/// Read patrons from a school's SIS database and push them to Concord Infiniti.
///
/// A YAML file, the mapping, says which SQL to run and which result column fills which of Infiniti's headers.
#[derive(Debug, Parser)]
#[command(version, disable_version_flag = true, max_term_width = 110, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
pub struct Cli {
    /// The command to run; there must be one, unless the version is asked for.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Print the version; with `-v`, also what is built in.
    #[arg(short = 'V', long)]
    pub(super) version: bool,
    #[command(flatten)]
    pub(super) global: GlobalArgs,
}

/// What the README says at more length; `tests/docs.rs` holds the numbers to the program.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do, or held
  1    done, but rows were rejected, here or by Infiniti, or held back; or `explain` found no row
  2    bad arguments or mapping; nothing was contacted
  3    the source failed; nothing was sent
  4    the target failed, or its answer is unknown
  5    stopped by a limit, or by an expectation that does not hold; nothing was sent
  6    the state cannot be read or written, or another run of the mapping is under way
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
    /// So many old log files are kept, at most 1000 [default: 7].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(Rotation::OLD_FILES_MOST)), global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub(super) log_keep: Option<u32>,
    /// Begin a new log file when it would get larger than this, from 64KiB to 1GiB [default: 10MiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub(super) log_max_size: Option<u64>,
    /// Where a push notes its outcome: `auto`, the system's log (journald, the Event Log of Windows) unless at a terminal;
    /// `off`, nowhere; or the path of a socket that understands journald's protocol [default: auto, or the environment
    /// variable `SISPUSH_SYSTEM_LOG`].
    #[arg(long, value_name = "WHERE", global = true, help_heading = GLOBAL, hide_short_help = true)]
    pub(super) system_log: Option<Place>,
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
    /// Write a mapping to start from: asks for what it needs, looks at the database, and guesses which column is what.
    Init(InitArgs),
    /// Check mapping files without contacting anything.
    Check(CheckArgs),
    /// Try every step between the SIS, this machine and Infiniti, and say which one fails; send nothing.
    Doctor(DoctorArgs),
    /// Read the SIS and show the patrons as they would be sent, and the rejected rows; send nothing.
    Preview(PreviewArgs),
    /// Read the SIS up to one patron and show each step from the source row to what a push would send; send nothing.
    Explain(ExplainArgs),
    /// Read the SIS and see whether what the mapping expects of the data holds; send nothing.
    Test(TestArgs),
    /// Read the SIS and show what a push would do: who is new, which headers changed, who left; send nothing.
    Diff(PlanArgs),
    /// Read the SIS and send the patrons to Infiniti.
    Push(PushArgs),
    /// Show past runs: what each came to, and why it failed.
    History(HistoryArgs),
    /// Write a page about past runs: what needs somebody, what to do, and how it went over time.
    Report(ReportArgs),
    /// Look at, and mend, what is known of the patrons that Infiniti has accepted.
    State(StateArgs),
    /// Try whether messages about pushes arrive, and tell of mappings that are not pushed any more.
    Notify(NotifyArgs),
    /// Have systemd, cron or the Windows Task Scheduler run the push, by itself, every night.
    Schedule(ScheduleArgs),
    /// Keep secrets in the platform's credential store, and tell where the secrets of a mapping are found.
    Secret(SecretArgs),
    /// Run a loopback Infiniti for rehearsals, with faults on demand.
    ///
    /// It takes accounts and contacts where Infiniti does. Where Infiniti takes images and groups is not known: the paths
    /// `/sandbox/images` and `/sandbox/groups/{mode}` are the sandbox's own, with the modes `add` and `replace`.
    Sandbox(SandboxArgs),
    /// Print the JSON Schema of mapping files, by which editors complete and check them.
    Schema {
        /// That of a base, which mappings include.
        #[arg(long)]
        base: bool,
    },
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
pub(super) struct InitArgs {
    /// The mapping file to write.
    #[arg(value_name = "FILE", default_value = "school.yaml")]
    pub(super) file: PathBuf,
    /// The database: `mssql://user@host/database`, `postgres://…`, `mysql://…`, `sqlite:FILE`, or an ADO.NET string. A
    /// password in it is used once, and not written.
    #[arg(long, value_name = "URL")]
    pub(super) source: Option<String>,
    /// The school's Infiniti address, or its first word: `example` is `https://example.concordinfiniti.com`.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) target: Option<String>,
    /// The Infiniti account that imports [default: autoimport].
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// Start from a shipped mapping; without a name, list them and do nothing else.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["table", "query", "query_file"])]
    #[expect(clippy::option_option, reason = "not given, given alone, and given with a name")]
    pub(super) template: Option<Option<String>>,
    /// Take this table or view: `students=vStudents`, `staff=vStaff`; may be given for each.
    #[arg(long, value_name = "[WHO=]NAME")]
    pub(super) table: Vec<String>,
    /// Take this query, of students unless it begins with `staff=`; may be given for each.
    #[arg(long, value_name = "[WHO=]SQL")]
    pub(super) query: Vec<String>,
    /// Likewise, from a file.
    #[arg(long, value_name = "[WHO=]FILE")]
    pub(super) query_file: Vec<String>,
    /// Contact nothing: the queries are yours to write.
    #[arg(long, conflicts_with_all = ["table", "query", "query_file"])]
    pub(super) offline: bool,
    /// Write over a file that is there already.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Format of the findings.
    #[arg(long, value_enum, default_value_t = CheckFormatArg::Text)]
    pub(super) format: CheckFormatArg,
    /// End with exit code 2 on warnings, too.
    #[arg(long)]
    pub(super) deny_warnings: bool,
}

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Also try Infiniti's credentials, by posting a CSV without patrons: it changes nothing.
    #[arg(long)]
    pub(super) post_empty: bool,
    /// Write a file for a support request: the result, the mapping without passwords, counts of the last runs, the end of
    /// the log; nothing of pupils.
    #[arg(long, value_name = "FILE.zip")]
    pub(super) bundle: Option<PathBuf>,
    /// Format of the results.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
    #[command(flatten)]
    pub(super) state: StateArg,
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(super) struct PreviewArgs {
    /// The mapping file.
    #[arg(value_name = "MAPPING")]
    pub(super) mapping: PathBuf,
    /// Show this feed only [default: all that the mapping has; as CSV and with `--out` the accounts].
    #[arg(long, value_enum, value_name = "FEED")]
    pub(super) feed: Option<FeedArg>,
    /// Read only the first N rows of a feed; a clash with a later one is not seen then.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["rejected", "sample", "columns"])]
    pub(super) limit: Option<u64>,
    /// Show only those with this value, whatever its case; `HEADER=` is blank. Given several times, all must hold. Feeds
    /// without the header are not shown.
    #[arg(long = "where", value_name = "HEADER=VALUE", conflicts_with = "columns")]
    pub(super) conditions: Vec<String>,
    /// Show only the rejected rows, with their reasons.
    #[arg(long, conflicts_with_all = ["sample", "columns"])]
    pub(super) rejected: bool,
    /// Show only N patrons of each extract, spread over all of them; the same ones as long as the data are the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "columns")]
    pub(super) sample: Option<u64>,
    /// Another number gives other patrons [default: 0].
    #[arg(long, value_name = "NUMBER", requires = "sample")]
    pub(super) seed: Option<u64>,
    /// Show the columns of each result in the place of the patrons: database type, a sample, and the headers that use
    /// them.
    #[arg(long)]
    pub(super) columns: bool,
    /// Show the shape in the place of what tells who somebody is: letters as `x`, digits as `9`.
    #[arg(long)]
    pub(super) mask: bool,
    /// Write to this file, which only you may read, in the place of stdout; whole, or not at all.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Begin the file with a byte order mark, by which Excel knows that a CSV is UTF-8.
    #[arg(long, requires = "out")]
    pub(super) bom: bool,
    /// Format of the patrons [default: that of the file's ending; else table].
    #[arg(long, value_enum)]
    pub(super) format: Option<PreviewFormatArg>,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The mapping file.
    #[arg(value_name = "MAPPING")]
    pub(super) mapping: PathBuf,
    /// The patron's username, in upper or lower case; a barcode, an `adminsystemid` or an address will do, too.
    #[arg(value_name = "USERNAME", required_unless_present = "row", conflicts_with = "row")]
    pub(super) username: Option<String>,
    /// A row in the place of a username: `students:12` is the twelfth that the extract `students` gives.
    #[arg(long, value_name = "EXTRACT:N")]
    pub(super) row: Option<String>,
    #[command(flatten)]
    pub(super) state: StateArg,
    /// Format of the result. Values are shown in each; passwords in none.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct TestArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Format of the results.
    #[arg(long, value_enum, default_value_t = TestFormatArg::Text)]
    pub(super) format: TestFormatArg,
    /// Also show the first values that break an expectation: they are pupils' data.
    #[arg(long)]
    pub(super) show_values: bool,
    #[command(flatten)]
    pub(super) state: StateArg,
}

/// What a plan is made of: the same for a rehearsal and for a push.
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Send every patron, whatever `mode` in the mapping says.
    #[arg(long, conflicts_with = "delta")]
    pub(super) full: bool,
    /// Send only who is new, changed, failed last time, or of unknown outcome, whatever `mode` in the mapping says.
    #[arg(long)]
    pub(super) delta: bool,
    /// What to do with patrons whose username seems to have changed.
    #[arg(long, value_enum, default_value_t = RenamesArg::Hold)]
    pub(super) renames: RenamesArg,
    /// No patron is in Infiniti yet: headers with `send: create` go to all who are sent for the first time, also in
    /// the first push.
    #[arg(long)]
    pub(super) all_new: bool,
    /// Push these feeds only; without it all that the mapping has.
    #[arg(long = "feed", value_enum, value_name = "FEED")]
    pub(super) feeds: Vec<FeedArg>,
    /// So many mappings at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(super) jobs: u8,
    /// Give a mapping up that takes longer than this, such as `30m` [default: 2h with several mappings; else none].
    #[arg(long, value_name = "TIME", value_parser = written_duration)]
    pub(super) time_limit: Option<WrittenDuration>,
    #[command(flatten)]
    pub(super) state: StateArg,
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

/// A duration as it was typed.
#[derive(Clone, Debug)]
pub(super) struct WrittenDuration {
    pub(super) text: String,
    pub(super) duration: Duration,
}

fn written_duration(text: &str) -> Result<WrittenDuration, &'static str> {
    let duration = duration(text).filter(|duration| (Duration::from_secs(1)..=YEAR).contains(duration));
    let duration = duration.ok_or("write it like `90s`, `30m`, `2h` or `1d12h`; at least a second, at most a year")?;
    Ok(WrittenDuration { text: text.to_owned(), duration })
}

const YEAR: Duration = Duration::from_hours(366 * 24);

/// Where the state is.
#[derive(Args, Debug)]
pub(super) struct StateArg {
    /// Where the state is: a SQLite file, `postgres://…`, or `none`; goes before `state` in the mapping [default: the
    /// platform's folder for it].
    #[arg(long, value_name = "PATH|URL", env = "SISPUSH_STATE", hide_env_values = true)]
    pub(super) state: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct PushArgs {
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    /// Do everything except sending, as `diff` does.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Carry out the plan of this id although it is over a limit; good for that plan alone, once.
    #[arg(long, value_name = "ID", conflicts_with = "dry_run")]
    pub(super) approve: Option<String>,
    /// Push although the mapping has a `hold` for today.
    #[arg(long)]
    pub(super) despite_hold: bool,
    /// Leave a mapping out that was pushed within this time, such as `20h`, and wait for one that another machine is
    /// pushing: so several machines that share a state share the work.
    #[arg(long, value_name = "TIME", value_parser = written_duration, conflicts_with_all = ["dry_run", "approve"])]
    pub(super) once_per: Option<WrittenDuration>,
}

#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files [default: all mappings of the state].
    #[arg(value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// Only runs since then: a time back from now such as `30d` or `1y`, or a date such as `2026-11-01` [default: all that
    /// are kept: 400 days].
    #[arg(long, value_name = "TIME|DATE", value_parser = written_since)]
    pub(super) since: Option<Since>,
    /// Only the last N runs [default: 50 as text; all as JSON].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: Option<u32>,
    #[command(flatten)]
    pub(super) state: StateArg,
    /// Format of the runs.
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    pub(super) format: FormatArg,
}

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files [default: all mappings of the state].
    #[arg(value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// The page to write: HTML, whole in one file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "serve", conflicts_with = "serve")]
    pub(super) out: Option<PathBuf>,
    /// Only runs since then: a time back from now such as `30d`, or a date such as `2026-11-01`.
    #[arg(long, value_name = "TIME|DATE", value_parser = written_since, default_value = "1y")]
    pub(super) since: Since,
    /// Count a mapping that has not run for so long among the troubled ones.
    #[arg(long, value_name = "TIME", value_parser = written_duration, default_value = "36h")]
    pub(super) late_after: WrittenDuration,
    /// Show the page to browsers, made anew each minute, until Ctrl-C: for a screen on the wall.
    #[arg(long)]
    pub(super) serve: bool,
    /// Address and port to show it at; port 0 picks a free one. There is no login: beyond this machine, whoever reaches the
    /// port sees the page.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090", requires = "serve")]
    pub(super) listen: SocketAddr,
    #[command(flatten)]
    pub(super) state: StateArg,
}

/// Since when, as it was typed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Since {
    /// So long before the present.
    Back(Duration),
    /// The beginning of a day.
    Day(jiff::civil::Date),
}

fn written_since(text: &str) -> Result<Since, &'static str> {
    let years =
        text.strip_suffix('y').and_then(|years| years.parse::<u64>().ok()).filter(|years| (1..=100).contains(years));
    if let Some(years) = years {
        return Ok(Since::Back(Duration::from_hours(years * 365 * 24)));
    }
    if let Some(back) = duration(text).filter(|back| (Duration::from_secs(1)..=YEAR * 100).contains(back)) {
        return Ok(Since::Back(back));
    }
    text.parse()
        .map(Since::Day)
        .map_err(|_| "write it like `12h`, `30d` or `1y` back from now, or as a date like `2026-11-01`")
}

/// A feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FeedArg(&'static Contract);

impl FeedArg {
    /// The accounts.
    pub(super) const USERS: Self = Self(&USERS);

    /// Its contract.
    pub(super) fn contract(self) -> &'static Contract {
        self.0
    }
}

impl ValueEnum for FeedArg {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<FeedArg>> = LazyLock::new(|| FEEDS.iter().map(|contract| FeedArg(contract)).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.feed).help(self.0.about))
    }
}

/// What to do with changed usernames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RenamesArg {
    /// Send neither the old nor the new one, and say so.
    Hold,
    /// They were changed in Infiniti by its realignment file: send the new one as a known patron, forget the old one.
    Realigned,
    /// They are two people: a new patron and a leaver.
    Separate,
}

#[derive(Args, Debug)]
pub(super) struct NotifyArgs {
    #[command(subcommand)]
    pub(super) command: NotifyCommand,
}

/// What to tell.
#[derive(Debug, Subcommand)]
pub(super) enum NotifyCommand {
    /// Send a test message on every channel of the mappings' `notify`, and say what came of each.
    Test {
        /// Mapping files, or folders of `.yaml` and `.yml` files.
        #[arg(required = true, value_name = "MAPPING")]
        mappings: Vec<PathBuf>,
    },
    /// See which mappings had no push that ended well (exit code 0 or 1) for too long, and tell their channels, each once.
    Overdue {
        /// Mapping files, or folders of `.yaml` and `.yml` files.
        #[arg(required = true, value_name = "MAPPING")]
        mappings: Vec<PathBuf>,
        /// How long is too long, in the place of the mappings' `not_run_since` [default: 26h where a mapping has none].
        #[arg(long, value_name = "TIME", value_parser = written_duration)]
        since: Option<WrittenDuration>,
        #[command(flatten)]
        state: StateArg,
    },
}

#[derive(Args, Debug)]
pub(super) struct StateArgs {
    #[command(subcommand)]
    pub(super) command: StateCommand,
}

/// What to do with the state.
#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Show what Infiniti has accepted: counts, or what is known of some patrons.
    Show {
        /// The mapping file.
        mapping: PathBuf,
        /// Only these patrons.
        #[arg(value_name = "USERNAME")]
        usernames: Vec<String>,
        /// The details of this feed, or what it has of the patrons [default: the accounts, and counts of the others].
        #[arg(long, value_enum, value_name = "FEED")]
        feed: Option<FeedArg>,
        #[command(flatten)]
        state: StateArg,
        /// Format of the result.
        #[arg(long, value_enum, default_value_t = FormatArg::Text)]
        format: FormatArg,
    },
    /// Print what is known of every patron as CSV; no values of pupils beyond the username.
    Export {
        /// The mapping file.
        mapping: PathBuf,
        /// What is known of this feed.
        #[arg(long, value_enum, value_name = "FEED", default_value_t = FeedArg::USERS)]
        feed: FeedArg,
        #[command(flatten)]
        state: StateArg,
    },
    /// Forget patrons, as if they had never been sent. Nothing changes in Infiniti.
    Forget {
        /// The mapping file.
        mapping: PathBuf,
        /// The patrons.
        #[arg(required = true, value_name = "USERNAME")]
        usernames: Vec<String>,
        /// Forget what is known of them in this feed only [default: in all].
        #[arg(long, value_enum, value_name = "FEED")]
        feed: Option<FeedArg>,
        #[command(flatten)]
        state: StateArg,
    },
    /// Forget what was accepted, but not of whom, so that the next push sends everybody.
    Rebase {
        /// The mapping file.
        mapping: PathBuf,
        /// Of this feed only [default: of all].
        #[arg(long, value_enum, value_name = "FEED")]
        feed: Option<FeedArg>,
        #[command(flatten)]
        state: StateArg,
    },
}

#[derive(Args, Debug)]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    pub(super) command: ScheduleCommand,
}

/// What is to run the push, or what is to be done with what runs it.
#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// A systemd service and its timer: what is missed is made up, and the push may do nothing else on the machine.
    Systemd {
        #[command(flatten)]
        wanted: WantedArgs,
        /// Give it to your account's own systemd: it needs no root, and runs while you are logged in, or after
        /// `loginctl enable-linger`. The default, unless root runs this.
        #[arg(long, conflicts_with_all = ["user", "root"])]
        per_user: bool,
        /// The folder of the secrets that the mappings name as `${credential:NAME}`, one file each [default:
        /// /etc/sispush/credentials].
        #[arg(long, value_name = "FOLDER")]
        credentials: Option<PathBuf>,
        #[command(flatten)]
        root: RootArg,
    },
    /// A line of your crontab, or with `--user` a file below /etc/cron.d. What is missed is not made up.
    Cron {
        #[command(flatten)]
        wanted: WantedArgs,
        #[command(flatten)]
        root: RootArg,
    },
    /// A task of the Windows Task Scheduler: what is missed is made up, whether or not somebody is logged on.
    Windows {
        #[command(flatten)]
        wanted: WantedArgs,
        /// Write the task to this file, in the encoding that `schtasks` wants, in the place of stdout.
        #[arg(long, value_name = "FILE", conflicts_with = "install")]
        out: Option<PathBuf>,
    },
    /// Show what is installed, and when it runs next.
    Show {
        #[command(flatten)]
        root: RootArg,
        /// Format of the result.
        #[arg(long, value_enum, default_value_t = FormatArg::Text)]
        format: FormatArg,
    },
    /// Take a schedule away.
    Remove {
        /// Its name; not needed if there is one only.
        name: Option<String>,
        #[command(flatten)]
        root: RootArg,
    },
}

/// What is to run, and when.
#[derive(Args, Debug)]
pub(super) struct WantedArgs {
    /// Mapping files, or folders of `.yaml` and `.yml` files: what lies in a folder when it runs is pushed.
    #[arg(required = true, value_name = "MAPPING")]
    pub(super) mappings: Vec<PathBuf>,
    /// When, in this machine's local time; may be given several times. Clocks that change do so between midnight and
    /// four o'clock.
    #[arg(long, value_name = "HH:MM", default_value = "04:30")]
    pub(super) at: Vec<String>,
    /// On which days: `daily`, `mon-fri`, `mon,wed,sat`.
    #[arg(long, value_name = "DAYS", default_value = "daily")]
    pub(super) days: String,
    /// The account that runs it; it must be able to read the mappings and their secrets.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// The schedule's name [default: that of the mapping or folder].
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Install it, or change what is installed; otherwise it is printed.
    #[arg(long)]
    pub(super) install: bool,
    /// More options of `sispush push`, after `--`.
    #[arg(last = true, value_name = "OPTION")]
    pub(super) push: Vec<String>,
}

/// Which machine's files.
#[derive(Args, Debug)]
pub(super) struct RootArg {
    /// Work on the files of another machine, whose `/` is this folder: an image, or a disk to be; start nothing.
    #[arg(long, value_name = "FOLDER")]
    pub(super) root: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    pub(super) command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Keep a secret for `${keyring:NAME}`: asks for it without showing it, or reads it from stdin.
    ///
    /// It is kept for the account that runs this command, and for no other: run it as the account that runs sispush.
    Set {
        /// Its name: letters, digits, `-`, `_`, `.`.
        name: String,
        /// Taken only to be refused without being shown, as an unknown argument would be.
        #[arg(hide = true)]
        secret: Vec<String>,
    },
    /// Tell the names that are kept; or, of mappings, where each secret is found, or what is wrong. Never what they hold.
    List {
        /// Mapping files, or folders of `.yaml` and `.yml` files.
        #[arg(value_name = "MAPPING")]
        mappings: Vec<PathBuf>,
        /// Format of the result.
        #[arg(long, value_enum, default_value_t = FormatArg::Text)]
        format: FormatArg,
    },
    /// Forget a secret that is kept.
    Delete {
        /// Its name.
        name: String,
    },
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
    /// Keep everything in this file between runs, and the pictures in the folder FILE.images beside it [default: in memory].
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The library groups that exist, split by commas. `System Administrators` always exists.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "Students,Staff,Senior Students")]
    pub(super) groups: Vec<String>,
    /// Misbehave: answer with a status such as 401 or 503; or cut, cut-upload=BYTES, hang, html, redirect, badjson,
    /// miscount, nodetails; or reject=PATTERN to refuse the usernames that match.
    ///
    /// An ending xN limits a fault to the first N uploads: 503x2. A status may ask to wait: 503x2:5 adds
    /// `Retry-After: 5`. @FEED aims a fault at one feed: 503x2@contacts, reject@groups=smith. Several faults are
    /// separated by commas and come one after the other.
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

/// How the findings of a check are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckFormatArg {
    /// For people.
    Text,
    /// For programs; names of fields stay the same.
    Json,
    /// SARIF 2.1.0, for editors and build servers.
    Sarif,
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

/// How the results of a test are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TestFormatArg {
    /// For people.
    Text,
    /// For programs; names of fields stay the same.
    Json,
    /// For build servers: one test suite a mapping, one test case an expectation.
    Junit,
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
