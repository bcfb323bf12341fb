//! The result of a push, for people.

use std::io::{self, Write};

use super::{ERROR, HINT, Output, STRONG, WARNING, bytes, counted, number, seconds, write_failed};
use crate::cli::push::{Done, Pushed};
use crate::error::{Error, ExitCode, causes};
use crate::infiniti::patron::{Patrons, Rejection, Warning, WarningKind};
use crate::sync::{Failure, Plan, Report, Stop};

/// So many rejected rows are listed; the others are counted.
const LISTED: usize = 20;

impl Output {
    /// What one mapping's push came to.
    pub(in crate::cli) fn pushed(&mut self, pushed: &Pushed, dry_run: bool) -> Result<(), Error> {
        match &pushed.result {
            Ok(done) => {
                let name = pushed.name.as_deref().unwrap_or_default();
                write_done(&mut self.data(), name, done, dry_run).map_err(write_failed)?;
                if let Some(error) = done.report.as_ref().and_then(|report| report.error.as_ref()) {
                    self.failed_batch(error).map_err(write_failed)?;
                }
                self.stopped(&done.plan).map_err(write_failed)
            }
            Err(error) => {
                if !matches!(error, Error::Mapping(_)) {
                    let name = pushed.name.clone().unwrap_or_else(|| pushed.path.display().to_string());
                    writeln!(self.notes(), "{ERROR}error{ERROR:#}: mapping `{name}` was not pushed; nothing was sent")
                        .map_err(write_failed)?;
                }
                self.failure(error);
                Ok(())
            }
        }
    }

    fn failed_batch(&mut self, error: &crate::infiniti::TargetError) -> io::Result<()> {
        let mut notes = self.notes();
        writeln!(notes, "{ERROR}error{ERROR:#}: {error}")?;
        for cause in causes(error) {
            writeln!(notes, "  caused by: {cause}")?;
        }
        if let Some(words) = error.words() {
            writeln!(notes, "  Infiniti says: {words}")?;
        }
        match error.hint() {
            Some(hint) => writeln!(notes, "{HINT}hint{HINT:#}: {hint}"),
            None => Ok(()),
        }
    }

    fn stopped(&mut self, plan: &Plan) -> io::Result<()> {
        let mut notes = self.notes();
        for stop in &plan.stops {
            let (message, hint) = stop_text(stop);
            writeln!(notes, "{ERROR}stopped{ERROR:#}: {message}; nothing was sent")?;
            writeln!(notes, "{HINT}hint{HINT:#}: {hint}")?;
        }
        Ok(())
    }

    /// One line a mapping, trouble first.
    pub(in crate::cli) fn summary(&mut self, all: &[Pushed]) -> Result<(), Error> {
        let mut sorted: Vec<&Pushed> = all.iter().collect();
        sorted.sort_by_key(|pushed| std::cmp::Reverse(pushed.exit_code()));
        let mut out = self.data();
        let write = || {
            writeln!(out, "{STRONG}{}{STRONG:#}", counted(all.len() as u64, "mapping"))?;
            for pushed in sorted {
                let name = pushed.name.clone().unwrap_or_else(|| pushed.path.display().to_string());
                writeln!(out, "  {:>3}  {name}: {}", pushed.exit_code().number(), outcome(pushed))?;
            }
            Ok(())
        };
        write().map_err(write_failed)
    }

    /// Rejections and warnings on stderr, beside data on stdout.
    pub(in crate::cli) fn findings(&mut self, patrons: &Patrons) -> Result<(), Error> {
        write_findings(&mut self.notes(), patrons, usize::MAX).map_err(write_failed)
    }
}

fn outcome(pushed: &Pushed) -> String {
    let done = match &pushed.result {
        Ok(done) => done,
        Err(Error::Mapping(_)) => return "the mapping is not valid".into(),
        Err(error) => return error.to_string(),
    };
    match &done.report {
        None if !done.plan.stops.is_empty() => "stopped by a limit, nothing sent".into(),
        None => format!("would send {}", counted(done.plan.patrons.order().len() as u64, "row")),
        Some(Report { error: Some(error), .. }) => error.to_string(),
        Some(report) => format!(
            "{} accepted, {} refused, {} rejected",
            number(report.accepted),
            number(report.failed.len() as u64),
            number(done.plan.patrons.rejections.len() as u64)
        ),
    }
}

fn write_done(out: &mut impl Write, name: &str, done: &Done, dry_run: bool) -> io::Result<()> {
    let patrons = &done.plan.patrons;
    writeln!(out, "{STRONG}{name}{STRONG:#}: {} -> {}", done.source, done.target)?;
    let extracts: Vec<String> =
        patrons.extracts.iter().map(|extract| format!("{} {}", extract.name, number(extract.rows))).collect();
    writeln!(out, "  read      {}: {} ({})", counted(patrons.rows(), "row"), extracts.join(", "), seconds(done.read))?;
    write_findings(out, patrons, LISTED)?;
    let left_out: Vec<String> =
        done.plan.left_out.iter().map(|header| format!("`{}`", patrons.contract.rule(header).name)).collect();
    if !left_out.is_empty() {
        writeln!(
            out,
            "  left out  {} (`send: create`): a full push without state does not know who is new",
            left_out.join(", ")
        )?;
    }
    match &done.report {
        Some(report) => write_report(out, patrons, report),
        None if dry_run && done.plan.stops.is_empty() => writeln!(
            out,
            "  would send {} in {}; nothing was sent",
            counted(patrons.order().len() as u64, "row"),
            counted(done.plan.batches.len() as u64, "batch").replace("batchs", "batches"),
        ),
        None => Ok(()),
    }
}

fn write_report(out: &mut impl Write, patrons: &Patrons, report: &Report) -> io::Result<()> {
    let batches = counted(report.batches, "batch").replace("batchs", "batches");
    writeln!(
        out,
        "  sent      {}, {} in {batches} ({})",
        counted(report.accepted + report.failed.len() as u64 + report.unknown, "row"),
        bytes(report.bytes),
        seconds(report.elapsed)
    )?;
    writeln!(
        out,
        "  accepted  {}: {} created, {} updated",
        counted(report.accepted, "row"),
        number(report.created),
        number(report.updated)
    )?;
    if !report.failed.is_empty() {
        writeln!(out, "  {ERROR}refused{ERROR:#}   {}", counted(report.failed.len() as u64, "row"))?;
        for Failure { username, place, message } in report.failed.iter().take(LISTED) {
            writeln!(
                out,
                "    {} row {}, `{username}`: Infiniti says: {message}",
                patrons.extract_name(place.extract),
                place.row
            )?;
        }
        write_more(out, report.failed.len(), LISTED)?;
    }
    if report.unknown > 0 {
        writeln!(
            out,
            "  {ERROR}unknown{ERROR:#}   {}: sent, but Infiniti did not say what became of {}",
            counted(report.unknown, "row"),
            if report.unknown == 1 { "it" } else { "them" }
        )?;
    }
    if report.not_sent > 0 {
        writeln!(out, "  {ERROR}not sent{ERROR:#}  {}", counted(report.not_sent, "row"))?;
    }
    Ok(())
}

fn write_findings(out: &mut impl Write, patrons: &Patrons, most: usize) -> io::Result<()> {
    if !patrons.rejections.is_empty() {
        writeln!(out, "  {WARNING}rejected{WARNING:#}  {}", counted(patrons.rejections.len() as u64, "row"))?;
        for rejection in patrons.rejections.iter().take(most) {
            writeln!(out, "    {}", rejection_text(patrons, rejection))?;
        }
        write_more(out, patrons.rejections.len(), most)?;
    }
    for warning in &patrons.warnings {
        writeln!(out, "  {WARNING}warning{WARNING:#}   {}", warning_text(patrons, warning))?;
    }
    Ok(())
}

fn write_more(out: &mut impl Write, all: usize, listed: usize) -> io::Result<()> {
    match all.checked_sub(listed) {
        Some(more @ 1..) => writeln!(out, "    … and {} more; `--format json` lists all", number(more as u64)),
        _ => Ok(()),
    }
}

fn rejection_text(patrons: &Patrons, rejection: &Rejection) -> String {
    let extract_name = |extract| patrons.extract_name(extract);
    let reasons: Vec<String> =
        rejection.broken.iter().map(|(header, rule)| rule.reason(patrons.contract, *header, &extract_name)).collect();
    let who = rejection.username.as_ref().map(|username| format!(", `{username}`")).unwrap_or_default();
    format!("{} row {}{who}: {}", extract_name(rejection.place.extract), rejection.place.row, reasons.join("; "))
}

fn warning_text(patrons: &Patrons, warning: &Warning) -> String {
    let count = warning.count;
    let who = |one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{} {many}", number(count)) };
    let what = match warning.kind {
        WarningKind::NoBarcode => {
            format!("{} no `librarybarcode` and cannot borrow", who("patron has", "patrons have"))
        }
        WarningKind::StaffWithoutAddress => {
            format!("{} no `emailaddress` and cannot be written to", who("staff member has", "staff members have"))
        }
        WarningKind::ControlCharacter(header) => format!(
            "{} a line break or control character in `{}`; a space was put in its place",
            who("patron has", "patrons have"),
            patrons.contract.rule(header).name
        ),
    };
    let mut names = warning.usernames.join(", ");
    if count > warning.usernames.len() as u64 {
        names.push_str(", …");
    }
    format!("{what} ({names})")
}

/// A stop in words, and what to do.
pub(super) fn stop_text(stop: &Stop) -> (String, String) {
    match stop {
        Stop::TooFewRows { extract, rows, min_rows } => (
            format!(
                "extract `{extract}` gave {}, and `limits.min_rows` is {}",
                counted(*rows, "row"),
                number(*min_rows)
            ),
            "look at the query: a new school year, a filter or a lost permission may hide everybody; if so few rows are right, lower `limits.min_rows`".into(),
        ),
        Stop::TooManyRejections { rejected, rows, limit } => (
            format!(
                "{} of {} {} rejected, and `limits.max_rejections` is {}",
                number(*rejected),
                counted(*rows, "row"),
                if *rejected == 1 { "was" } else { "were" },
                match limit {
                    crate::mapping::Limit::Count(count) => number(*count),
                    crate::mapping::Limit::Percent(percent) => format!("{percent} %"),
                }
            ),
            "`sispush preview` shows every rejected row and why; repair the data or the mapping, or raise the limit".into(),
        ),
    }
}

/// The exit code in a word.
pub(super) fn outcome_word(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Complete => "complete",
        ExitCode::Rejections => "rejections",
        ExitCode::Usage => "usage",
        ExitCode::Source => "source",
        ExitCode::Target => "target",
        ExitCode::Stopped => "stopped",
        ExitCode::State => "state",
        ExitCode::Interrupted => "interrupted",
    }
}
