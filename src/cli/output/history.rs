//! Past runs.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{ERROR, Output, STRONG, WARNING, counted, number, write_failed};
use crate::cli::history::{Past, Runs};
use crate::error::Error;
use crate::ops::report::{Figures, Group, Outcome, lasted, page, why};
use crate::state::{Run, Summary};

impl Output {
    /// Runs as a table, then why some did not end well.
    pub(in crate::cli) fn history(&mut self, runs: &Runs, zone: &TimeZone, now: Timestamp) -> Result<(), Error> {
        let mut out = self.data();
        write_history(&mut out, runs, zone, now).map_err(write_failed)
    }

    /// Every run with its summary.
    pub(in crate::cli) fn history_json(&mut self, runs: &Runs) -> Result<(), Error> {
        let mut out = io::BufWriter::new(self.data());
        let mut write = || {
            // One after the other, as all of them at once would be held twice.
            write!(out, "{{\n  \"runs\": [")?;
            for (index, past) in runs.past.iter().enumerate() {
                let (identity, file) = &runs.books[past.book];
                write!(out, "{}", if index == 0 { "\n" } else { ",\n" })?;
                let run = &past.run;
                let object = json!({
                    "mapping": identity.mapping,
                    "target": identity.target,
                    "file": file,
                    "started_at": run.started_at.to_string(),
                    "ended_at": run.ended_at.map(|at| at.to_string()),
                    "outcome": word(run),
                    "exit_code": run.exit_code,
                    "mode": run.mode,
                    "plan": run.plan,
                    "report": run.summary,
                });
                serde_json::to_writer(&mut out, &object)?;
            }
            writeln!(out, "\n  ]\n}}")?;
            out.flush()
        };
        write().map_err(write_failed)
    }

    /// Where a report was written, and what it comes to.
    pub(in crate::cli) fn reported(&mut self, path: &Path, figures: &Figures) -> Result<(), Error> {
        let runs: u64 = figures.schools.iter().map(|school| school.runs).sum();
        let mut out = self.data();
        let of = |group| figures.schools.iter().filter(|school| school.group == group).count() as u64;
        let groups: Vec<String> = Group::ALL
            .into_iter()
            .filter(|group| of(*group) > 0)
            .map(|group| format!("{} {}", number(of(group)), group.words("too long")))
            .collect();
        writeln!(
            out,
            "{}: {} ({}), {}",
            path.display(),
            counted(figures.schools.len() as u64, "mapping"),
            groups.join(", "),
            counted(runs, "run")
        )
        .map_err(write_failed)
    }

    /// Where a report is shown.
    pub(in crate::cli) fn serving(&mut self, url: &str, is_loopback: bool) -> Result<(), Error> {
        if !is_loopback {
            writeln!(
                self.notes(),
                "{WARNING}warning{WARNING:#}: the page has no login: whoever reaches this port sees it"
            )
            .map_err(write_failed)?;
        }
        writeln!(self.data(), "the report is shown at {url}\nCtrl-C ends it").map_err(write_failed)
    }
}

fn write_history(out: &mut impl Write, runs: &Runs, zone: &TimeZone, now: Timestamp) -> io::Result<()> {
    let has_several = runs.books.len() > 1;
    if runs.past.is_empty() {
        return writeln!(out, "no run in this time");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec![
        "began",
        "outcome",
        "code",
        "mode",
        "read",
        "sent",
        "created",
        "updated",
        "refused",
        "rejected",
        "unchanged",
        "took",
    ];
    if has_several {
        head.insert(1, "mapping");
    }
    table.set_header(&head);
    for past in &runs.past {
        table.add_row(cells(past, runs, has_several, zone));
        let accounts = past.run.summary.accounts();
        for (feed, counts) in past.run.summary.others() {
            // A night of rest is one line. Without the accounts, this is all that there was.
            if counts.is_eventful() || accounts.is_none() {
                table.add_row(feed_cells(feed, counts, has_several));
            }
        }
    }
    let first_number = if has_several { 5 } else { 4 };
    for column in table.column_iter_mut().skip(first_number) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end().strip_prefix(' ').unwrap_or(&line))?;
    }
    let (mut is_first, mut told) = (true, HashSet::new());
    for past in &runs.past {
        let (identity, file) = &runs.books[past.book];
        let file = file.as_ref().map_or_else(|| "MAPPING".to_owned(), |file| file.display().to_string());
        let is_last = told.insert(past.book);
        let Some((what, todo)) = why(&past.run, &file) else { continue };
        // What to do about an older run may be done by now, and its plan is no longer good.
        let why = if is_last && !todo.is_empty() { format!("{what}. {}", todo.join(" ")) } else { what };
        if is_first {
            writeln!(out)?;
            is_first = false;
        }
        let name = if has_several { format!(" {}", plain(&identity.mapping)) } else { String::new() };
        let style = match Outcome::of(&past.run) {
            Outcome::Fine => STRONG,
            Outcome::Rejections | Outcome::Unended => WARNING,
            Outcome::Stopped | Outcome::Failed => ERROR,
        };
        writeln!(
            out,
            "{}{name}  {style}{}{style:#}: {}",
            page::minutes(past.run.started_at, zone),
            word(&past.run),
            plain(&why)
        )?;
    }
    let shown = if runs.all > runs.past.len() as u64 {
        format!(
            "the last {} of {}; `--limit` and `--since` show others; ",
            number(runs.past.len() as u64),
            counted(runs.all, "run")
        )
    } else {
        format!("{}; ", counted(runs.all, "run"))
    };
    writeln!(out, "\n{shown}times are local ({})", page::zone_name_of(zone, now))
}

fn cells(past: &Past, runs: &Runs, has_several: bool, zone: &TimeZone) -> Vec<String> {
    let (run, summary) = (&past.run, &past.run.summary);
    let dash = || "–".to_owned();
    // Without a plan there is nothing to count.
    let has_counts = run.plan.is_some() && summary.accounts().is_some();
    let mut cells = vec![
        page::minutes(run.started_at, zone),
        word(run).to_owned(),
        run.exit_code.filter(|_| run.ended_at.is_some()).map_or_else(dash, |code| code.to_string()),
        if run.mode.is_empty() { dash() } else { plain(&run.mode) },
    ];
    cells.extend(counts_of(summary).map(|count| if has_counts { number(count) } else { dash() }));
    cells.push(lasted(run).unwrap_or_else(dash));
    if has_several {
        cells.insert(1, plain(&runs.books[past.book].0.mapping));
    }
    cells
}

/// What a run counts, in the order of the table's columns.
fn counts_of(counts: &Summary) -> [u64; 7] {
    [
        counts.rows.values().sum(),
        counts.sent(),
        counts.created,
        counts.updated,
        counts.failed + counts.unknown,
        counts.rejected,
        counts.unchanged,
    ]
}

/// The line of another feed, below its run.
fn feed_cells(feed: &str, counts: &Summary, has_several: bool) -> Vec<String> {
    let mut cells = vec![String::new(); if has_several { 2 } else { 1 }];
    cells.extend([format!("  {}", plain(feed)), String::new(), String::new()]);
    cells.extend(counts_of(counts).map(number));
    cells
}

/// The outcome in a word or two.
fn word(run: &Run) -> &'static str {
    match (Outcome::of(run), run.exit_code) {
        (Outcome::Unended, Some(_)) if run.ended_at.is_some() => "interrupted",
        (outcome, _) => outcome.word(),
    }
}

/// A text without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
