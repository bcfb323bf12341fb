//! Logs: short lines on stderr for a person who looks, and a file for the person who looks a week later.
//!
//! What the program depends on is heard from `warn` up, but for the database drivers, which are silenced: they log
//! statements and the server's messages, and both may hold values of pupils. Their errors reach us as results anyway.
//!
//! Every line of the file, and every line of JSON, has the run's id, so that the lines of one night are found in the file of
//! a week or in a collector of many machines; lines for the person who looks on do without. The span `push` has the
//! mapping's name: schools may be pushed at the same time.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, Format, FormatEvent, FormatFields, Json, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;

use super::rotation::{RotatingFile, Rotation};
use crate::process::{RunId, run_id};

/// Modules that may log values of rows, or SQL that holds them (`sqlx` stands for all crates that begin with it), and one
/// that says an untrusted certificate in its own words before we say it in ours.
const SILENCED: [&str; 4] = ["sqlx", "tiberius", "odbc_api", "rustls_platform_verifier"];

/// What to log, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// How often `-v` was given: 0 warnings, 1 information, 2 details, 3 and more everything.
    pub verbosity: u8,
    /// Only errors on stderr. The file is not concerned.
    pub quiet: bool,
    /// The form of a line, on stderr and in the file.
    pub format: LogFormat,
    /// A file to append to, which rotates ([`Rotation`]); it holds information and worse at least.
    pub file: Option<PathBuf>,
    /// When that file is set aside, and how many are kept.
    pub rotation: Rotation,
    /// Whether stderr shows colours. The file never has any.
    pub colour: bool,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: `warning: student without a barcode extract=students`. On stderr, times appear from verbosity 1 on.
    #[default]
    Text,
    /// For machines: a JSON object a line with `timestamp` (UTC, RFC 3339), `level`, `message`, the line's own fields,
    /// `target`, `run`, and the fields of what it is a part of, such as `mapping`.
    Json,
}

/// Starts logging for the whole program. Once: a second call is an error.
///
/// # Errors
/// The file cannot be opened.
pub fn start(options: &LogOptions) -> io::Result<()> {
    let file = match &options.file {
        Some(path) => {
            let file = RotatingFile::open(path, options.rotation, Timestamp::now)?;
            Some(Mutex::new(Heard { file, format: options.format }))
        }
        None => None,
    };
    subscriber(options, io::stderr, file, Timestamp::now, run_id()).try_init().map_err(io::Error::other)
}

/// The log file, which says on stderr that it cannot be written: `tracing` drops such an error, or panics where stderr is
/// full, too.
struct Heard {
    file: RotatingFile,
    format: LogFormat,
}

impl io::Write for Heard {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file.write(line).or_else(|error| {
            let said = match self.format {
                LogFormat::Text => format!("warning: {error}\n"),
                LogFormat::Json => {
                    let time = format!("{:.3}", Timestamp::now());
                    let said = serde_json::json!({ "timestamp": time, "level": "WARN", "message": error.to_string() });
                    format!("{said}\n")
                }
            };
            // A run never stops for its log.
            drop(io::stderr().write_all(said.as_bytes()));
            Ok(line.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The whole set-up but for its being global, with writers and clock as parameters for the tests.
fn subscriber<E, F>(
    options: &LogOptions,
    stderr: E,
    file: Option<F>,
    clock: fn() -> Timestamp,
    run: RunId,
) -> impl Subscriber
where
    E: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
    F: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let asked = match options.verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let on_stderr = if options.quiet { LevelFilter::ERROR } else { asked };
    let in_file = asked.max(LevelFilter::INFO);
    // A warning that a person sees at once needs no time; a log to be read later does.
    let time = (options.verbosity > 0).then_some(Clock(clock));
    let stderr = match options.format {
        LogFormat::Text => {
            text_layer(Text { time, run: None }, stderr, StderrFields(DefaultFields::new()), options.colour)
        }
        LogFormat::Json => json_layer(Clock(clock), run, stderr),
    };
    let file = file.map(|file| match options.format {
        LogFormat::Text => {
            text_layer(Text { time: Some(Clock(clock)), run: Some(run) }, file, DefaultFields::new(), false)
        }
        LogFormat::Json => json_layer(Clock(clock), run, file),
    });
    let stderr = stderr.with_filter(filter(on_stderr));
    let file = file.map(|file| file.with_filter(filter(in_file)));
    tracing_subscriber::registry().with(stderr).with(file)
}

/// Our own modules at `level`, what we depend on at `warn`, or quieter if we are.
///
/// Asked anew for every line. sqlx asks whether a line would be wanted and then does not send it; a filter whose answers
/// are remembered keeps that `no` for the thread's next line, which is ours and would be lost.
fn filter<S: Subscriber>(level: LevelFilter) -> impl Filter<S> {
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_targets(SILENCED.map(|name| (name, LevelFilter::OFF)));
    DynFilterFn::new(move |metadata, _| targets.would_enable(metadata.target(), metadata.level()))
        .with_max_level_hint(level)
}

fn text_layer<S, W, N>(text: Text, writer: W, fields: N, colour: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
    N: for<'writer> FormatFields<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colour);
    layer.event_format(text).fmt_fields(fields).boxed()
}

fn json_layer<S, W>(time: Clock, run: RunId, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).json().flatten_event(true);
    let layer = layer.with_current_span(false).with_span_list(false).with_timer(time);
    layer.map_event_format(|event| JsonLine { event, run }).boxed()
}

/// A line for machines: the event's own object, with the run and the fields of its spans at the end.
struct JsonLine {
    event: Format<Json, Clock>,
    run: RunId,
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.event.format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        write!(writer, "{open},\"run\":\"{}\"", self.run)?;
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            // Formatted as an object of their own by the layer's `JsonFields`.
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Some(fields) = fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}'))
                && !fields.is_empty()
            {
                write!(writer, ",{fields}")?;
            }
        }
        writeln!(writer, "}}")
    }
}

/// A line for people: the time if wanted, the level as a word, the run if wanted, where it happened, and what.
struct Text {
    time: Option<Clock>,
    run: Option<RunId>,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if let Some(time) = &self.time {
            time.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", AnsiColor::Red),
            Level::WARN => ("warning", AnsiColor::Yellow),
            Level::INFO => ("info", AnsiColor::Green),
            Level::DEBUG => ("debug", AnsiColor::Blue),
            Level::TRACE => ("trace", AnsiColor::Magenta),
        };
        let style = if writer.has_ansi_escapes() { colour.on_default().bold() } else { Style::new() };
        write!(writer, "{style}{word}{style:#}: ")?;
        if let Some(run) = self.run {
            write!(writer, "run={run}: ")?;
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{fields}: ")?;
            }
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The fields of a span are formatted once for each type of formatter and kept: were the lines of stderr and of the file of
/// one type, colours would reach the file, and a field that is known later would stand there twice.
struct StderrFields(DefaultFields);

impl<'writer> FormatFields<'writer> for StderrFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }
}

/// UTC with milliseconds: `2026-11-23T02:30:00.125Z`.
#[derive(Clone, Copy)]
struct Clock(fn() -> Timestamp);

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", (self.0)())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Memory {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn clock() -> Timestamp {
        "2026-11-23T02:30:00.125Z".parse().unwrap()
    }

    fn run() -> RunId {
        RunId::new(clock(), 0x12345)
    }

    /// What a run that logs at every level, as do its dependencies, leaves on stderr and in the file.
    fn check(options: &LogOptions, stderr: &str, file: &str) {
        let (on_stderr, in_file) = (Memory::default(), Memory::default());
        let (stderr_writer, file_writer) = (on_stderr.clone(), in_file.clone());
        let subscriber =
            subscriber(options, move || stderr_writer.clone(), Some(move || file_writer.clone()), clock, run());
        tracing::subscriber::with_default(subscriber, || {
            let unwanted = tracing::debug_span!(target: "sqlx::query", "a question that nothing follows");
            tracing::dispatcher::get_default(|dispatch| dispatch.enabled(unwanted.metadata().unwrap()));
            tracing::error!(target: "sispush::sync", batch = 2, "batch refused");
            tracing::error!(target: "tiberius::client", "conversion failed for 'Nguyen'");
            tracing::warn!(target: "sqlx::query", statement = "SELECT 'Nguyen'", "slow statement");
            tracing::warn!(target: "sqlx_postgres::notice", "row of Nguyen");
            tracing::warn!(target: "rustls::conn", "certificate expired");
            tracing::info!(target: "hyper::client", "connected");
            let span = tracing::error_span!(target: "sispush::sync", "push", mapping = tracing::field::Empty);
            span.record("mapping", tracing::field::display("demo"));
            let _inside = span.enter();
            tracing::warn!(target: "sispush::mapping", extract = "students", "{} without a barcode", 12);
            tracing::info!(target: "sispush::source", rows = 300, "extract read");
            tracing::debug!(target: "sispush::source", "transaction rolled back");
        });
        assert_eq!(on_stderr.text(), stderr);
        assert_eq!(in_file.text(), file);
    }

    const FILE: &str = "\
2026-11-23T02:30:00.125Z error: run=1a2063d24bd12345: batch refused batch=2
2026-11-23T02:30:00.125Z warning: run=1a2063d24bd12345: certificate expired
2026-11-23T02:30:00.125Z warning: run=1a2063d24bd12345: mapping=demo: 12 without a barcode extract=\"students\"
2026-11-23T02:30:00.125Z info: run=1a2063d24bd12345: mapping=demo: extract read rows=300
";

    #[test]
    fn warnings_are_short_and_the_file_is_for_later() {
        let stderr = "\
error: batch refused batch=2
warning: certificate expired
warning: mapping=demo: 12 without a barcode extract=\"students\"
";
        check(&LogOptions::default(), stderr, FILE);
    }

    #[test]
    fn quiet_is_about_stderr_only() {
        let options = LogOptions { quiet: true, ..LogOptions::default() };
        check(&options, "error: batch refused batch=2\n", FILE);
    }

    #[test]
    fn verbose_is_about_our_own_modules_only() {
        // A person who looks on sees one run only.
        let stderr = |file: &str| file.replace("run=1a2063d24bd12345: ", "");
        check(&LogOptions { verbosity: 1, ..LogOptions::default() }, &stderr(FILE), FILE);
        let last = "2026-11-23T02:30:00.125Z debug: run=1a2063d24bd12345: mapping=demo: transaction rolled back\n";
        let detailed = format!("{FILE}{last}");
        check(&LogOptions { verbosity: 2, ..LogOptions::default() }, &stderr(&detailed), &detailed);
        check(&LogOptions { verbosity: 9, ..LogOptions::default() }, &stderr(&detailed), &detailed);
    }

    #[test]
    fn colours_reach_stderr_and_not_the_file() {
        let stderr = "\u{1b}[1m\u{1b}[31merror\u{1b}[0m: batch refused \u{1b}[3mbatch\u{1b}[0m\u{1b}[2m=\u{1b}[0m2\n";
        check(&LogOptions { colour: true, quiet: true, ..LogOptions::default() }, stderr, FILE);
    }

    #[test]
    fn json_is_an_object_a_line() {
        let stderr = r#"{"timestamp":"2026-11-23T02:30:00.125Z","level":"ERROR","message":"batch refused","batch":2,"target":"sispush::sync","run":"1a2063d24bd12345"}
{"timestamp":"2026-11-23T02:30:00.125Z","level":"WARN","message":"certificate expired","target":"rustls::conn","run":"1a2063d24bd12345"}
{"timestamp":"2026-11-23T02:30:00.125Z","level":"WARN","message":"12 without a barcode","extract":"students","target":"sispush::mapping","run":"1a2063d24bd12345","mapping":"demo"}
"#;
        let info = r#"{"timestamp":"2026-11-23T02:30:00.125Z","level":"INFO","message":"extract read","rows":300,"target":"sispush::source","run":"1a2063d24bd12345","mapping":"demo"}
"#;
        let options = LogOptions { format: LogFormat::Json, ..LogOptions::default() };
        check(&options, stderr, &format!("{stderr}{info}"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let options = LogOptions { file: Some(folder.path().join("missing/run.log")), ..LogOptions::default() };
        assert_eq!(start(&options).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
