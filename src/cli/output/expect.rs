//! What became of expectations, for people and programs.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::result::read_text;
use super::{ERROR, Output, STRONG, WARNING, counted, json, number, seconds, write_failed};
use crate::cli::test::{FeedCount, Results, Tested};
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::USERS;
use crate::sync::NoTime;
use crate::sync::expect::{Finding, Outcome, Verdict};

impl Output {
    /// The test of one mapping.
    pub(in crate::cli) fn tested(&mut self, tested: &Tested, show_values: bool) -> Result<(), Error> {
        let name = tested.name.clone().unwrap_or_else(|| tested.path.display().to_string());
        match &tested.result {
            Ok(results) => {
                write_results(&mut self.data(), (&name, &tested.path), results, show_values).map_err(write_failed)
            }
            Err(error) => {
                if !matches!(error, Error::Mapping(_)) {
                    writeln!(self.notes(), "{ERROR}error{ERROR:#}: mapping `{name}` could not be tested")
                        .map_err(write_failed)?;
                }
                self.failure(error);
                Ok(())
            }
        }
    }

    /// The tests of all mappings.
    pub(in crate::cli) fn tested_json(
        &mut self,
        all: &[Tested],
        worst: ExitCode,
        show_values: bool,
    ) -> Result<(), Error> {
        let mappings: Vec<Value> = all.iter().map(|tested| tested_object(tested, show_values)).collect();
        json::write(&mut self.data(), &json!({ "exit_code": worst.number(), "mappings": mappings }))
            .map_err(write_failed)
    }
}

fn write_results(
    out: &mut impl Write,
    (name, path): (&str, &Path),
    results: &Results,
    show_values: bool,
) -> io::Result<()> {
    for feed in results.feeds() {
        let read = read_text(&feed.extracts);
        match feed.contract.account {
            None => writeln!(out, "{STRONG}{name}{STRONG:#}: read {read} ({})", seconds(results.elapsed))?,
            Some(_) => writeln!(out, "  {:<9} {read}", feed.contract.feed)?,
        }
    }
    for feed in results.feeds().filter(|feed| feed.rejections > 0) {
        let (of, option) = match feed.contract.account {
            None => (String::new(), String::new()),
            Some(_) => (format!(" of {}", feed.contract.feed), format!(" --feed {}", feed.contract.feed)),
        };
        let rejected = counted(feed.rejections, "row");
        let path = path.display();
        writeln!(
            out,
            "  {WARNING}rejected{WARNING:#}  {rejected}{of}; `sispush preview {path}{option} --rejected` says why"
        )?;
    }
    for verdict in &results.verdicts {
        let text = verdict_text(verdict, show_values);
        match verdict.outcome {
            Outcome::Met => writeln!(out, "  ok        {text}")?,
            Outcome::Warned => writeln!(out, "  {WARNING}warning{WARNING:#}   {text}")?,
            Outcome::Failed => writeln!(out, "  {ERROR}failed{ERROR:#}    {text}")?,
            Outcome::Skipped => writeln!(out, "  skipped   {text}")?,
        }
    }
    if results.verdicts.is_empty() {
        return writeln!(out, "  the mapping expects nothing; write down what must hold as `expect`");
    }
    let mut parts = Vec::new();
    for (outcome, word) in [
        (Outcome::Met, "hold"),
        (Outcome::Warned, "warned of"),
        (Outcome::Failed, "failed"),
        (Outcome::Skipped, "skipped"),
    ] {
        let count = results.of_outcome(outcome);
        if count > 0 {
            parts.push(format!("{} {word}", number(count as u64)));
        }
    }
    writeln!(out, "  {}: {}", counted(results.verdicts.len() as u64, "expectation"), parts.join(", "))
}

/// The expectation, and what was found: counts and usernames; values of patrons only if they are asked for.
pub(super) fn verdict_text(verdict: &Verdict, show_values: bool) -> String {
    let file = verdict.base.as_ref().map(|base| format!("{}, ", base.display())).unwrap_or_default();
    let found = finding_text(&verdict.finding, show_values);
    format!("{file}line {}, {}: {found}", verdict.line, verdict.expectation)
}

fn finding_text(finding: &Finding, show_values: bool) -> String {
    match finding {
        Finding::Rows(rows) => counted(*rows, "row"),
        Finding::Filled { filled, of } => format!("{} of {}", number(*filled), number(*of)),
        Finding::Values { broken: 0, of, .. } => format!("{} of {}", number(*of), number(*of)),
        Finding::Values { broken, of, usernames, values } => {
            let more = if *broken > usernames.len() as u64 { ", …" } else { "" };
            let mut text =
                format!("not so for {} of {} ({}{more})", number(*broken), number(*of), usernames.join(", "));
            if show_values {
                text.push_str(": `");
                text.push_str(&values.join("`, `"));
                text.push('`');
            }
            text
        }
        Finding::Patron(other) if other.is_empty() => "so it is".to_owned(),
        Finding::Patron(other) => {
            let each: Vec<String> = other
                .iter()
                .map(|(header, value)| {
                    let name = USERS.rule(*header).name;
                    if show_values { format!("`{name}` is `{value}`") } else { format!("`{name}` differs") }
                })
                .collect();
            each.join(", ")
        }
        Finding::PatronRejected => "the row was rejected".to_owned(),
        Finding::PatronAbsent => "no query gives this patron".to_owned(),
        Finding::Age(age) => format!("the newest are {} old", age_text(*age)),
        Finding::NoTime(why) => match why {
            NoTime::NotAsked => "not asked",
            NoTime::Shape => "the query must give one row of one column",
            NoTime::Blank => "the query gave no time: are there no data?",
            NoTime::Unreadable => "what the query gave is no time; it is read year first: `2026-11-23 02:00:00`",
            NoTime::Ahead => "the query gave a time that is yet to come; it must give that of the newest change",
        }
        .to_owned(),
        Finding::NothingKnown => "nothing to compare with yet; the next push notes the values".to_owned(),
        Finding::TooManyValues => "too many different values to be noted; this is for headers with few".to_owned(),
    }
}

/// `45 s`, `12 min`, `30 h`, `9 d`.
fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn feed_object(feed: &FeedCount) -> Value {
    json!({
        "feed": feed.contract.feed,
        "extracts": json::extracts(&feed.extracts),
        "rejected": feed.rejections,
    })
}

fn tested_object(tested: &Tested, show_values: bool) -> Value {
    let mut object = json!({
        "file": tested.path,
        "name": tested.name,
        "exit_code": tested.exit_code().number(),
    });
    let more = match &tested.result {
        Ok(results) => {
            let mut fields = json!({
                "read_seconds": results.elapsed.as_secs_f64(),
                "extracts": json::extracts(&results.users.extracts),
                "rejected": results.users.rejections,
                "expectations": verdicts(&results.verdicts, show_values),
            });
            if !results.others.is_empty() {
                fields["feeds"] = results.others.iter().map(feed_object).collect();
            }
            fields
        }
        Err(error) => {
            let mut fields = json!({ "error": json::error_object(error, error.hint().as_ref()) });
            if let Error::Mapping(error) = error {
                fields["problems"] = serde_json::to_value(error.problems()).unwrap_or_default();
            }
            fields
        }
    };
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

pub(super) fn verdicts(verdicts: &[Verdict], show_values: bool) -> Value {
    verdicts
        .iter()
        .map(|verdict| {
            json!({
                "expectation": verdict.expectation,
                "base": verdict.base,
                "line": verdict.line,
                "outcome": outcome_word(verdict.outcome),
                "found": finding_text(&verdict.finding, show_values),
                "usernames": match &verdict.finding {
                    Finding::Values { usernames, .. } => usernames.as_slice(),
                    _ => &[],
                },
            })
        })
        .collect()
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "met",
        Outcome::Warned => "warned",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}
