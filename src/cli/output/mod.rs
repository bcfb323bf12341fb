//! Every word that the user sees. Data goes to stdout, everything else to stderr; nothing else prints.

mod demo;
mod doctor;
mod expect;
mod explain;
mod history;
mod init;
mod json;
mod junit;
mod notify;
mod plan;
mod preview;
mod result;
mod sarif;
mod schedule;
mod secret;
mod state;

pub(super) use init::{Question, Remark, some_of};
pub(super) use json::pushed_object;
pub(super) use plan::stop_text;
pub(super) use result::{outcome, outcome_with_causes};

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, ExitCode, causes};
use crate::infiniti::sandbox::Sandbox;
use crate::mapping::{Feed, Mapping, MappingError, Problem, Severity};
use crate::ops::version;
use crate::ops::words::number;
use crate::sync::Progress;

/// Where everything is printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const STRONG: Style = Style::new().bold();

impl Output {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Stdout, for data.
    #[expect(clippy::unused_self, reason = "whoever prints shows that it holds the output")]
    pub(super) fn data(&mut self) -> impl Write + use<> {
        UntilGone(anstream::stdout())
    }

    #[expect(clippy::unused_self, reason = "whoever prints shows that it holds the output")]
    fn notes(&mut self) -> impl Write + use<> {
        anstream::stderr()
    }

    /// The version, and what is built in if that is asked for.
    pub(super) fn version(&mut self, is_verbose: bool) -> Result<(), Error> {
        let facts = if is_verbose { version::facts() } else { Vec::new() };
        write!(self.data(), "{}", version_text(&facts)).map_err(write_failed)
    }

    /// What there is to ask for, if nothing was.
    pub(super) fn help(&mut self, command: &mut clap::Command) {
        // What cannot be printed cannot be reported either: the exit code still tells.
        let _unprintable = write!(self.notes(), "{}", command.render_help().ansi());
    }

    /// Prints an error with its causes and its hint; returns its exit code.
    pub(super) fn failure(&mut self, error: &Error) -> ExitCode {
        // What cannot be printed cannot be reported either: the exit code still tells.
        let _unprintable = self.write_failure(error);
        error.exit_code()
    }

    fn write_failure(&mut self, error: &Error) -> io::Result<()> {
        let mut notes = self.notes();
        if let Error::Mapping(error) = error {
            // Its rendering shows every hint at its place.
            return writeln!(notes, "{}", error.render(stderr_has_colour()).trim_end());
        }
        writeln!(notes, "{ERROR}error{ERROR:#}: {error}")?;
        for cause in causes(error) {
            writeln!(notes, "  caused by: {cause}")?;
        }
        if let Some(hint) = error.hint() {
            writeln!(notes, "{HINT}hint{HINT:#}: {hint}")?;
        }
        Ok(())
    }

    /// What is allowed but looks wrong in a mapping.
    pub(super) fn mapping_warnings(&mut self, mapping: &Mapping) -> Result<(), Error> {
        let mut notes = self.notes();
        for warning in &mapping.warnings {
            writeln!(notes, "{}\n", warning.render(stderr_has_colour())).map_err(write_failed)?;
        }
        Ok(())
    }

    /// The result of `check`.
    pub(super) fn checked(&mut self, results: &[(PathBuf, Result<Mapping, MappingError>)]) -> Result<(), Error> {
        let colour = stderr_has_colour();
        let mut follows_error = false;
        // What stands in a base is told once, however many mappings include it.
        let mut told = HashSet::new();
        let mut new = |problems: &[Problem]| -> Vec<String> {
            problems.iter().map(|problem| problem.render(colour)).filter(|text| told.insert(text.clone())).collect()
        };
        for (path, result) in results {
            if follows_error {
                writeln!(self.notes()).map_err(write_failed)?;
            }
            follows_error = false;
            match result {
                Ok(mapping) => {
                    for warning in new(&mapping.warnings) {
                        writeln!(self.notes(), "{warning}\n").map_err(write_failed)?;
                    }
                    writeln!(
                        self.data(),
                        "{}: ok: mapping `{}`, {}{}",
                        path.display(),
                        mapping.name,
                        feeds(mapping),
                        and_warnings(mapping.warnings.len() as u64),
                    )
                    .map_err(write_failed)?;
                }
                Err(error) => {
                    let problems = match error.problems() {
                        [] => vec![error.render(colour)],
                        problems => new(problems),
                    };
                    follows_error = !problems.is_empty();
                    if follows_error {
                        writeln!(self.notes(), "{}", problems.join("\n\n").trim_end()).map_err(write_failed)?;
                    }
                    let of = |severity| error.problems().iter().filter(|problem| problem.severity == severity).count();
                    let (errors, warnings) = (of(Severity::Error).max(1) as u64, of(Severity::Warning) as u64);
                    let errors = counted(errors, "problem");
                    writeln!(self.data(), "{}: {errors}{}", path.display(), and_warnings(warnings))
                        .map_err(write_failed)?;
                }
            }
        }
        Ok(())
    }

    /// Why a check of right mappings ends like one of wrong ones.
    pub(super) fn warnings_denied(&mut self) -> Result<(), Error> {
        writeln!(self.notes(), "{ERROR}error{ERROR:#}: warnings are denied (`--deny-warnings`)").map_err(write_failed)
    }

    /// Where the sandbox listens.
    pub(super) fn sandbox_started(&mut self, url: &str, username: &str) -> Result<(), Error> {
        let feeds: Vec<String> = Sandbox::paths()
            .map(|(feed, path)| {
                let note = if path.starts_with("/sandbox/") { "  (the sandbox's own path)" } else { "" };
                format!("  {feed:<8}  {url}{path}{note}\n")
            })
            .collect();
        let feeds = feeds.concat();
        writeln!(
            self.data(),
            "sandbox listens on {url}\n  page      {url}/\n{feeds}  username  {username}\nCtrl-C ends it"
        )
        .map_err(write_failed)
    }

    /// A line that tells how far a run is, on a terminal; nothing elsewhere.
    #[expect(clippy::unused_self, reason = "whoever prints shows that it holds the output")]
    pub(super) fn progress(&self, progress: &Arc<Progress>) -> ProgressLine {
        if !io::stderr().is_terminal() {
            return ProgressLine { bar: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        let (shown, progress) = (bar.clone(), Arc::clone(progress));
        tokio::spawn(async move {
            while !shown.is_finished() {
                shown.set_message(format!(
                    "{} read, {} sent",
                    counted(progress.rows(), "row"),
                    bytes(progress.bytes())
                ));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        ProgressLine { bar: Some(bar) }
    }
}

/// The line that [`Output::progress`] shows until this is finished or dropped.
#[derive(Debug)]
pub(super) struct ProgressLine {
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// Takes the line away.
    pub(super) fn finish(self) {
        drop(self);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A writer whose reader may go: `head` has what it wants, and that is no error.
struct UntilGone<W>(W);

impl<W: Write> Write for UntilGone<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

/// `sispush 0.1.0`, and a line for each fact.
fn version_text(facts: &[(&str, String)]) -> String {
    let facts = facts.iter().map(|(name, value)| format!("{name:<9}{value}\n"));
    std::iter::once(format!("sispush {}\n", version::VERSION)).chain(facts).collect()
}

/// Whether errors are printed in colour.
pub(super) fn stderr_has_colour() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// An error in printing, such as a full disk behind `>`.
pub(super) fn write_failed(error: io::Error) -> Error {
    Error::File { action: "write", path: PathBuf::from("stdout"), source: error }
}

/// `1 row`, `2 rows`, `12,345 rows`.
fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), plural(count))
}

/// What a mapping's feeds are made of. Where there are accounts alone they need no name.
fn feeds(mapping: &Mapping) -> String {
    let counts = |feed: &Feed| {
        if feed.images.as_ref().is_some_and(|images| images.is_listed) {
            return "a folder".to_owned();
        }
        let rules: usize = feed.extracts.iter().map(|extract| extract.rules.len()).sum();
        format!("{}, {}", counted(feed.extracts.len() as u64, "extract"), counted(rules as u64, "rule"))
    };
    if mapping.others.is_empty() {
        return counts(&mapping.users);
    }
    let feeds: Vec<String> = mapping.feeds().map(|feed| format!("{} ({})", feed.contract.feed, counts(feed))).collect();
    feeds.join(", ")
}

/// `, 2 warnings`, or nothing.
fn and_warnings(count: u64) -> String {
    if count == 0 { String::new() } else { format!(", {}", counted(count, "warning")) }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `812 B`, `12.3 kB`, `4.5 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// `0.12 s`.
fn seconds(elapsed: Duration) -> impl Display {
    format!("{:.2} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_their_nouns_inflected() {
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1_234_567, "row"), "1,234,567 rows");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_340), "12.3 kB");
    }
}
