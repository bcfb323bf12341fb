//! A push for those who are told of it: codes, counts and words of our own, since a message leaves the house.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Done, Planned, Pushed};
use crate::cli::output;
use crate::error::{Error, ExitCode};
use crate::mapping::{Code, MappingError, Severity};
use crate::ops::notify::event::{Came, Happened, Kind, OWN_CODES, Trouble, without_digits};
use crate::ops::report::why_rejected;
use crate::state::Summary;
use crate::sync::plan::Stop;
use crate::sync::{Plan, Reports, summary};

/// What may be told of a push. `is_partial` if somebody asked for some feeds only.
pub(super) fn happened(pushed: &Pushed, is_partial: bool) -> Happened {
    let code = pushed.exit_code();
    let file = pushed.path.clone();
    let came = match &pushed.result {
        Ok(Done::Held(_) | Done::Already(_)) => Came::LeftOut,
        Err(Error::Interrupted) => Came::Interrupted,
        Ok(Done::Planned(planned)) if planned.reports.as_ref().is_some_and(|reports| reports.is_interrupted) => {
            Came::Interrupted
        }
        Ok(Done::Planned(_)) | Err(_) => Came::Pushed,
    };
    let exit_code = match &pushed.result {
        Ok(Done::Already(earlier)) => earlier.exit_code,
        _ => code.number(),
    };
    let counts = match &pushed.result {
        Ok(Done::Planned(planned)) => Some(summary(&planned.plans, planned.reports.as_ref(), planned.timing)),
        _ => None,
    };
    Happened {
        mapping: pushed.name.clone().unwrap_or_else(|| file.display().to_string()),
        came,
        exit_code,
        outcome: code.word(),
        started_at: pushed.started_at,
        ended_at: Timestamp::now(),
        trouble: trouble(pushed, code, counts.as_ref()),
        summary: counts,
        is_invalid: matches!(pushed.result, Err(Error::Mapping(_))),
        has_notices: !pushed.notices.is_empty(),
        is_partial,
        gap: None,
        has_run_lately: true,
        file,
    }
}

fn trouble(pushed: &Pushed, code: ExitCode, counts: Option<&Summary>) -> Option<Trouble> {
    let (number, file) = (code.number(), pushed.path.display().to_string());
    let failed = |what: String, hint: Option<String>| Trouble {
        kind: Kind::Failed,
        reason: format!("{number}:{}", without_digits(&what)),
        what,
        hint,
        command: None,
    };
    match &pushed.result {
        Ok(Done::Held(_) | Done::Already(_)) | Err(Error::Interrupted) => None,
        Err(Error::Mapping(error)) => Some(invalid(error, number, &file)),
        Err(error) => Some(failed(error.told(), error.hint().map(Into::into))),
        Ok(Done::Planned(planned)) => {
            let report = planned.reports.as_ref();
            match code {
                ExitCode::Complete | ExitCode::Interrupted => None,
                ExitCode::Rejections => counts.map(|counts| rejections(counts, &file)),
                ExitCode::Stopped if report.is_none() => Some(stopped(planned, &file)),
                _ => Some(match report {
                    Some(Reports { state_error: Some(error), .. }) => {
                        failed(error.to_string(), error.hint().map(Into::into))
                    }
                    Some(Reports { source_error: Some(error), .. }) => {
                        failed(error.told(), error.hint().map(Into::into))
                    }
                    Some(Reports { error: Some(error), .. }) => {
                        let feed = counts.and_then(Summary::failed_feed);
                        let what = feed.map_or_else(|| error.to_string(), |feed| format!("{feed}: {error}"));
                        failed(what, error.hint().map(Into::into))
                    }
                    _ => failed(output::outcome(pushed), None),
                }),
            }
        }
    }
}

/// A problem's own words may quote the mapping, which names patrons in its expectations; that a secret is missing names the
/// secret alone.
fn invalid(error: &MappingError, number: u8, file: &str) -> Trouble {
    let errors: Vec<_> = error.problems().iter().filter(|problem| problem.severity == Severity::Error).collect();
    let codes: BTreeSet<&str> = errors.iter().map(|problem| problem.code.name()).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let secret = errors.iter().find(|problem| problem.code == Code::Secret);
    let (what, hint) = match (secret, errors.first()) {
        (Some(secret), _) => (secret.message.clone(), secret.hint.clone().map(Into::into)),
        (None, Some(first)) => {
            let more = match errors.len() {
                1 => String::new(),
                more => format!(", and {} more", more - 1),
            };
            let base = first.is_in_base().then(|| first.file().display().to_string());
            let place = place(first.line(), base.as_deref());
            let what = format!("the mapping is not valid: `{}` in {place}{more}", first.code.name());
            (what, Some(format!("run `sispush check {file}`, which says what is wrong and what to write")))
        }
        (None, None) => (error.to_string(), error.hint().map(Into::into)),
    };
    Trouble { kind: Kind::Failed, reason: format!("{number}:{}", codes.join(",")), what, hint, command: None }
}

/// `line 4`, and of which file if that is a base.
fn place(line: usize, base: Option<&str>) -> String {
    base.map_or_else(|| format!("line {line}"), |base| format!("line {line} of `{base}`"))
}

fn stopped(planned: &Planned, file: &str) -> Trouble {
    let codes: BTreeSet<String> =
        planned.plans.stops().map(|(plan, stop)| code_of(feed_of(plan), stop.code())).collect();
    let codes: Vec<String> = codes.into_iter().collect();
    let (what, hint) = match planned.plans.stops().next() {
        // What an expectation says may name a patron.
        Some((_, Stop::Expectation(verdict))) => {
            let base = verdict.base.as_ref().map(|base| base.display().to_string());
            (
                format!("an expectation does not hold ({})", place(verdict.line, base.as_deref())),
                format!("see with `sispush test {file}`; if the data are right, change that line"),
            )
        }
        Some((plan, stop)) => output::stop_text(plan, stop),
        None => {
            ("the plan is no longer the one that was approved".into(), format!("look at it with `sispush diff {file}`"))
        }
    };
    let more = match planned.plans.stops().count() {
        0 | 1 => String::new(),
        more => format!("; and {} more", more - 1),
    };
    Trouble {
        kind: Kind::Limit,
        reason: format!("5:{}", codes.join(",")),
        what: format!("{what}{more}; nothing was sent"),
        hint: Some(hint),
        command: Some(planned.approve_anywhere.clone()),
    }
}

/// A code, with the feed in front of it if that is another than the accounts.
fn code_of(feed: Option<&str>, code: &str) -> String {
    feed.map_or_else(|| code.to_owned(), |feed| format!("{feed}/{code}"))
}

/// A plan's feed, if that is another than the accounts.
fn feed_of(plan: &Plan) -> Option<&'static str> {
    plan.contract().account.map(|_| plan.contract().feed)
}

fn rejections(counts: &Summary, file: &str) -> Trouble {
    let reason: Vec<String> = counts.each().flat_map(|(feed, counts)| codes(feed, counts)).collect();
    let (what, todo) = why_rejected(counts, file);
    Trouble {
        kind: Kind::Rejections,
        reason: format!("1:{}", reason.join(",")),
        what,
        hint: Some(todo.join(" ")),
        command: None,
    }
}

/// What rejections of a feed are known by. Not who waits, or is kept: that follows from the others, and differs from night to
/// night.
fn codes(feed: Option<&str>, counts: &Summary) -> Vec<String> {
    let rules = counts.rejections_by_extract.iter();
    let rules = rules.flat_map(|(extract, rules)| rules.keys().map(move |rule| format!("{extract}/{rule}")));
    let others = OWN_CODES.into_iter().zip([counts.failed, counts.unsent, counts.renames]);
    let others = others.filter(|(_, count)| *count > 0).map(|(code, _)| code.to_owned());
    rules.chain(others).map(|code| code_of(feed, &code)).collect()
}
