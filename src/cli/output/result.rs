//! The result of a push, for people.

use std::io::{self, Write};

use super::plan::{stop_text, write_plan};
use super::{ERROR, HINT, Output, STRONG, WARNING, bytes, counted, number, seconds, write_failed};
use crate::cli::push::{Done, Earlier, Ended, Planned, Pushed};
use crate::error::{Error, ExitCode, Hint, causes};
use crate::infiniti::contract::Rows;
use crate::infiniti::patron::{ExtractCount, Patrons, Rejection, Warning, WarningKind};
use crate::mapping::{Hold, MappingError, Severity};
use crate::sync::{Failure, Plan, Report, Reports, summary};

/// So many rejected rows are listed; the others are counted.
const LISTED: usize = 20;

impl Output {
    /// What one mapping's push came to, or its rehearsal.
    pub(in crate::cli) fn pushed(
        &mut self,
        pushed: &Pushed,
        is_rehearsal: bool,
        is_verbose: bool,
    ) -> Result<(), Error> {
        let name = || pushed.name.clone().unwrap_or_else(|| pushed.path.display().to_string());
        match &pushed.result {
            Ok(Done::Held(hold)) => writeln!(
                self.data(),
                "{STRONG}{}{STRONG:#}: on hold {}; nothing was read or sent (`--despite-hold` pushes)",
                name(),
                hold_text(hold)
            )
            .map_err(write_failed),
            Ok(Done::Already(earlier)) => {
                writeln!(self.data(), "{STRONG}{}{STRONG:#}: {}", name(), already_text(earlier)).map_err(write_failed)
            }
            Ok(Done::Planned(planned)) => {
                write_planned(&mut self.data(), &name(), planned, is_rehearsal, is_verbose).map_err(write_failed)?;
                if let Some(reports) = &planned.reports {
                    self.ended_early(reports).map_err(write_failed)?;
                }
                self.stopped(planned, &pushed.path.display().to_string(), is_rehearsal).map_err(write_failed)
            }
            Err(error) => {
                if !matches!(error, Error::Mapping(_)) {
                    let what = match error {
                        _ if is_rehearsal => "could not be rehearsed",
                        Error::TimeLimit { was_sending: true, .. } | Error::Crashed { was_sending: true } => {
                            "was not pushed to its end"
                        }
                        _ => "was not pushed; nothing was sent",
                    };
                    writeln!(self.notes(), "{ERROR}error{ERROR:#}: mapping `{}` {what}", name())
                        .map_err(write_failed)?;
                }
                self.failure(error);
                Ok(())
            }
        }
    }

    fn ended_early(&mut self, report: &Reports) -> io::Result<()> {
        if let Some(error) = &report.error {
            self.failed_batch(error)?;
        }
        if let Some(error) = &report.source_error {
            self.failed(error, error.hint())?;
        }
        let mut notes = self.notes();
        if let Some(error) = &report.state_error {
            writeln!(notes, "{ERROR}error{ERROR:#}: {error}")?;
            for cause in causes(error) {
                writeln!(notes, "  caused by: {cause}")?;
            }
            writeln!(notes, "  what is not written down is sent again next time, which does no harm")?;
            if let Some(hint) = error.hint() {
                writeln!(notes, "{HINT}hint{HINT:#}: {hint}")?;
            }
        }
        if report.is_interrupted {
            writeln!(notes, "{ERROR}error{ERROR:#}: interrupted; what was not sent is sent next time")?;
        }
        Ok(())
    }

    fn failed(&mut self, error: &dyn std::error::Error, hint: Option<Hint>) -> io::Result<()> {
        let mut notes = self.notes();
        writeln!(notes, "{ERROR}error{ERROR:#}: {error}")?;
        for cause in causes(error) {
            writeln!(notes, "  caused by: {cause}")?;
        }
        match hint {
            Some(hint) => writeln!(notes, "{HINT}hint{HINT:#}: {hint}"),
            None => Ok(()),
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

    fn stopped(&mut self, planned: &Planned, path: &str, is_rehearsal: bool) -> io::Result<()> {
        let mut notes = self.notes();
        if let Some(approved) = &planned.other_approval {
            writeln!(
                notes,
                "{ERROR}stopped{ERROR:#}: the plan is no longer `{approved}`, which was approved, but `{}`; nothing was sent",
                planned.plans.id
            )?;
            writeln!(notes, "{HINT}hint{HINT:#}: look at it with `sispush diff {path}`")?;
        }
        // What was approved and sent is over its limits, but did not stop.
        if planned.reports.is_some() {
            return Ok(());
        }
        for (plan, stop) in planned.plans.stops() {
            let (message, hint) = stop_text(plan, stop);
            let what = if is_rehearsal { "a push would send nothing" } else { "nothing was sent" };
            writeln!(notes, "{ERROR}stopped{ERROR:#}: {message}; {what}")?;
            writeln!(notes, "{HINT}hint{HINT:#}: {hint}")?;
        }
        if planned.plans.is_stopped() {
            writeln!(
                notes,
                "{HINT}hint{HINT:#}: if all of it is right, `{}` carries out this plan, once",
                planned.approve
            )?;
        }
        Ok(())
    }

    /// One line a mapping, trouble first.
    pub(in crate::cli) fn summary(&mut self, all: &[Ended], left_out: usize) -> Result<(), Error> {
        let mut sorted: Vec<&Ended> = all.iter().collect();
        sorted.sort_by(|a, b| b.exit_code.cmp(&a.exit_code).then_with(|| a.path.cmp(&b.path)));
        let troubled = sorted.iter().take_while(|ended| ended.exit_code != ExitCode::Complete).count();
        // Hundreds of schools that went well need no line each.
        let listed = if sorted.len() > LISTED { troubled } else { sorted.len() };
        let mut out = self.data();
        let mut write = || {
            writeln!(out, "{STRONG}{}{STRONG:#}", counted(all.len() as u64, "mapping"))?;
            for ended in &sorted[..listed] {
                let name = ended.name.clone().unwrap_or_else(|| ended.path.display().to_string());
                writeln!(out, "  {:>3}  {name}: {}", ended.exit_code.number(), ended.outcome)?;
            }
            if let more @ 1.. = sorted.len() - listed {
                writeln!(out, "    0  {}: done, or nothing to do", counted(more as u64, "mapping"))?;
            }
            if left_out > 0 {
                writeln!(
                    out,
                    "  130  {}: not begun, since the push was interrupted",
                    counted(left_out as u64, "mapping")
                )?;
            }
            Ok(())
        };
        write().map_err(write_failed)
    }
}

fn already_text(earlier: &Earlier) -> String {
    let host = if earlier.host.is_empty() { String::new() } else { format!(" by {}", earlier.host) };
    format!("pushed already, at {}{host} with exit code {}", earlier.started_at, earlier.exit_code)
}

/// What came of a push in one line, for those who see nothing else: counts, and why it failed.
pub(in crate::cli) fn outcome_with_causes(pushed: &Pushed) -> String {
    match (&pushed.result, pushed.why()) {
        (Err(Error::Mapping(_)), _) | (_, None) => outcome(pushed),
        (Ok(Done::Planned(planned)), Some(why)) => match &planned.reports {
            Some(reports) => format!("{}; {why}", counts(planned, reports)),
            None => why,
        },
        (_, Some(why)) => why,
    }
}

/// What came of a push, in a few words.
pub(in crate::cli) fn outcome(pushed: &Pushed) -> String {
    let planned = match &pushed.result {
        Ok(Done::Planned(planned)) => planned,
        Ok(Done::Held(hold)) => return format!("on hold {}", hold_text(hold)),
        Ok(Done::Already(earlier)) => return already_text(earlier),
        Err(Error::Mapping(error)) => return mapping_text(error),
        Err(error) => return error.to_string(),
    };
    match &planned.reports {
        None if planned.other_approval.is_some() => "another plan than the approved one, nothing sent".into(),
        None if planned.plans.is_stopped() => "stopped by a limit, nothing sent".into(),
        None => {
            let rows = planned.plans.feeds.iter().map(Plan::rows_to_send).sum();
            format!("would send {}", counted(rows, "row"))
        }
        Some(Reports { error: Some(error), .. }) => error.to_string(),
        Some(Reports { source_error: Some(error), .. }) => error.to_string(),
        Some(Reports { state_error: Some(error), .. }) => error.to_string(),
        Some(reports) => counts(planned, reports),
    }
}

/// The first thing that is wrong with a mapping, and how many more there are.
fn mapping_text(error: &MappingError) -> String {
    let mut errors = error.problems().iter().filter(|problem| problem.severity == Severity::Error);
    match (errors.next(), errors.count()) {
        (None, _) => error.to_string(),
        (Some(first), 0) => first.message.clone(),
        (Some(first), more) => format!("{} (and {})", first.message, counted_more(more as u64)),
    }
}

fn counted_more(count: u64) -> String {
    format!("{} more problem{}", number(count), if count == 1 { "" } else { "s" })
}

/// What came of each feed, the accounts without a name of their own.
fn counts(planned: &Planned, reports: &Reports) -> String {
    let all = summary(&planned.plans, Some(reports), planned.timing);
    let each = all.each().map(|(feed, counts)| {
        let always = [
            (counts.accepted, "accepted"),
            (counts.failed, "refused"),
            (counts.rejected, "rejected"),
            (counts.unchanged, "unchanged"),
        ];
        let told = |(count, what): (u64, &str)| format!("{} {what}", number(count));
        let Some(feed) = feed else { return always.map(told).join(", ") };
        // Of four feeds, only what there is to tell: the line is read on a phone.
        let [accepted, refused, rejected, unchanged] = always;
        let more = [
            (counts.unknown, "unknown"),
            (counts.unsent, "unsent"),
            (counts.not_sent, "not sent"),
            (counts.waiting, "waiting"),
            (counts.kept, "kept"),
        ];
        let all = [accepted, refused, rejected].into_iter().chain(more).chain([unchanged]);
        let told: Vec<String> = all.filter(|(count, _)| *count > 0).map(told).collect();
        format!("{feed}: {}", if told.is_empty() { "nothing".to_owned() } else { told.join(", ") })
    });
    each.collect::<Vec<_>>().join("; ")
}

pub(super) fn hold_text(hold: &Hold) -> String {
    format!("from {} until {}: {}", hold.from, hold.until, hold.reason)
}

fn write_planned(
    out: &mut impl Write,
    name: &str,
    planned: &Planned,
    is_rehearsal: bool,
    is_verbose: bool,
) -> io::Result<()> {
    for (number, plan) in planned.plans.feeds.iter().enumerate() {
        let patrons = &plan.patrons;
        let is_first = number == 0;
        let feed = match plan.contract().account {
            None => String::new(),
            Some(_) => format!(", {}", plan.contract().feed),
        };
        if is_first {
            writeln!(out, "{STRONG}{name}{feed}{STRONG:#}: {} -> {}", planned.source, planned.target)?;
        } else {
            writeln!(out, "{STRONG}{name}{feed}{STRONG:#}")?;
        }
        if let Some(hold) = planned.hold.as_ref().filter(|_| is_first) {
            writeln!(out, "  {WARNING}hold{WARNING:#}      {}", hold_text(hold))?;
        }
        let time = if is_first { format!(" ({})", seconds(planned.timing.read)) } else { String::new() };
        writeln!(out, "  read      {}{time}", read_text(&patrons.extracts))?;
        write_findings(out, patrons, LISTED)?;
        write_plan(out, plan, is_first.then_some(planned.plans.id), is_verbose)?;
        match &planned.reports {
            Some(reports) => write_report(out, plan, &reports.feeds[number])?,
            None if is_rehearsal && !planned.plans.is_stopped() => writeln!(
                out,
                "  would send {} in {}; nothing was sent",
                counted(plan.rows_to_send(), "row"),
                batches(plan.batches.len() as u64),
            )?,
            None => {}
        }
    }
    Ok(())
}

/// Rows read, by extract.
pub(super) fn read_text(extracts: &[ExtractCount]) -> String {
    let each = extracts.iter().map(|extract| {
        let left_out = match extract.left_out {
            0 => String::new(),
            count => format!(" ({} without an account)", number(count)),
        };
        format!("{} {}{left_out}", extract.name, number(extract.rows))
    });
    let rows = extracts.iter().map(|extract| extract.rows).sum();
    format!("{}: {}", counted(rows, "row"), each.collect::<Vec<_>>().join(", "))
}

fn batches(count: u64) -> String {
    counted(count, "batch").replace("batchs", "batches")
}

/// Who could not be sent, and why.
fn write_unsent(out: &mut impl Write, report: &Report, unit: &str) -> io::Result<()> {
    if report.unsent.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {ERROR}left out{ERROR:#}  {}", counted(report.unsent.len() as u64, unit))?;
    for Failure { username, message, .. } in report.unsent.iter().take(LISTED) {
        writeln!(out, "    `{username}`: {message}")?;
    }
    write_more(out, report.unsent.len(), LISTED)
}

fn write_report(out: &mut impl Write, plan: &Plan, report: &Report) -> io::Result<()> {
    let patrons = &plan.patrons;
    let unit = if patrons.contract.rows == Rows::One { "row" } else { "patron" };
    let sent = report.accepted + report.failed.len() as u64 + report.unknown;
    if report.waiting > 0 {
        writeln!(
            out,
            "  {WARNING}waiting{WARNING:#}   {}: Infiniti did not accept the account",
            counted(report.waiting, "patron")
        )?;
    }
    if sent + report.not_sent == 0 {
        let why = if report.unsent.is_empty() { "there is nothing to send" } else { "nothing could be sent" };
        writeln!(out, "  sent      nothing: {why}")?;
        return write_unsent(out, report, unit);
    }
    let rows = match patrons.contract.rows {
        Rows::One => String::new(),
        Rows::Several => format!(" with {}", counted(report.rows, "row")),
    };
    writeln!(
        out,
        "  sent      {}{rows}, {} in {} ({})",
        counted(sent, unit),
        bytes(report.bytes),
        batches(report.batches),
        seconds(report.elapsed)
    )?;
    let deactivated = match report.deactivated {
        0 => String::new(),
        count => format!(", {} deactivated", number(count)),
    };
    writeln!(
        out,
        "  accepted  {}: {} created, {} updated{deactivated}",
        counted(report.accepted, unit),
        number(report.created),
        number(report.updated - report.deactivated.min(report.updated))
    )?;
    if !report.failed.is_empty() {
        writeln!(out, "  {ERROR}refused{ERROR:#}   {}", counted(report.failed.len() as u64, unit))?;
        for Failure { username, place, message } in report.failed.iter().take(LISTED) {
            let place = match place {
                Some(place) => format!("{} row {}", patrons.extract_name(place.extract), place.row),
                None => "leaver".to_owned(),
            };
            writeln!(out, "    {place}, `{username}`: Infiniti says: {message}")?;
        }
        write_more(out, report.failed.len(), LISTED)?;
    }
    write_unsent(out, report, unit)?;
    if report.unknown > 0 {
        writeln!(
            out,
            "  {ERROR}unknown{ERROR:#}   {}: sent, but Infiniti did not say what became of {}",
            counted(report.unknown, unit),
            if report.unknown == 1 { "it" } else { "them" }
        )?;
    }
    if report.not_sent > 0 {
        writeln!(out, "  {ERROR}not sent{ERROR:#}  {}", counted(report.not_sent, unit))?;
    }
    Ok(())
}

pub(super) fn write_findings(out: &mut impl Write, patrons: &Patrons, most: usize) -> io::Result<()> {
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

pub(super) fn rejection_text(patrons: &Patrons, rejection: &Rejection) -> String {
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
        WarningKind::UnknownWord(header) => format!(
            "{} a word in `{}` that is not among those that are known; Infiniti may not know it either",
            who("patron has", "patrons have"),
            patrons.contract.rule(header).name
        ),
        WarningKind::NoAccount => {
            format!("{} out, having no account", who("patron is left", "patrons are left"))
        }
        WarningKind::StaffWithoutGroup => {
            format!("{} in no group and cannot borrow", who("staff member is", "staff members are"))
        }
        WarningKind::ControlCharacter(header) => format!(
            "{} a line break or control character in `{}`; a space was put in its place",
            who("patron has", "patrons have"),
            patrons.contract.rule(header).name
        ),
    };
    let first: Vec<&str> = warning.usernames.iter().map(String::as_str).take(LISTED).collect();
    let mut names = first.join(", ");
    if count > first.len() as u64 {
        names.push_str(", …");
    }
    format!("{what} ({names})")
}
