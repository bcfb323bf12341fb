//! `notify`: tries whether messages arrive, and tells of mappings that are not pushed any more. What a push tells, it tells
//! itself, by way of [`happened`].

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use super::args::{NotifyArgs, NotifyCommand};
use super::output::{self, Output};
use super::push::{Done, Planned, Pushed};
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::mapping::notify::contact;
use crate::mapping::{self, Code, MappingError, Severity};
use crate::ops::notify::event::{Came, Happened, Kind, Trouble, without_digits};
use crate::ops::notify::{self, Delivery, Found};
use crate::sync::plan::Stop;
use crate::sync::summary;

pub(super) async fn run(args: NotifyArgs, log: Option<PathBuf>, mut output: Output) -> Result<ExitCode, Error> {
    let place = notify::here(log);
    let (code, deliveries) = match args.command {
        NotifyCommand::Test { mappings } => {
            let files = mapping::find(&mappings)?;
            let named: Vec<Happened> = files.into_iter().map(|file| named(file, place.now)).collect();
            let deliveries = Box::pin(notify::try_out(named, &place)).await;
            if deliveries.is_empty() {
                return Err(Error::Usage {
                    message: "the mappings tell nobody: no channel of `notify` can be used".into(),
                    hint: Some(
                        "name a `webhook` or an `email` below `notify`; `sispush check` says what is wrong there"
                            .into(),
                    ),
                });
            }
            output.delivered(&deliveries)?;
            (ExitCode::Complete, deliveries)
        }
        NotifyCommand::Overdue { mappings, since, state } => {
            let files = mapping::find(&mappings)?;
            let state = state.state.as_deref().map(location).transpose()?;
            let most = since.map(|written| written.duration);
            let (looked, deliveries) = Box::pin(notify::overdue(&files, most, state.as_ref(), &place)).await;
            let code = looked.iter().map(|looked| match looked.found {
                Found::InTime(_) | Found::Held | Found::Never | Found::Overdue(_) => ExitCode::Complete,
                Found::NoMapping => ExitCode::Usage,
                Found::NoState(_) => ExitCode::State,
            });
            let code = code.max().unwrap_or(ExitCode::Complete);
            output.looked(&looked)?;
            output.delivered(&deliveries)?;
            (code, deliveries)
        }
    };
    Ok(code.max(delivered(&deliveries)))
}

fn delivered(deliveries: &[Delivery]) -> ExitCode {
    if deliveries.iter().all(|delivery| delivery.result.is_ok()) { ExitCode::Complete } else { ExitCode::Target }
}

/// A mapping of which nothing happened.
fn named(file: PathBuf, now: Timestamp) -> Happened {
    let name = contact(&file).and_then(|contact| contact.name);
    Happened {
        mapping: name.unwrap_or_else(|| file.display().to_string()),
        file,
        came: Came::Looked,
        exit_code: 0,
        outcome: "test",
        started_at: now,
        ended_at: now,
        trouble: None,
        summary: None,
        is_invalid: false,
        has_notices: false,
        gap: None,
        has_run_lately: false,
    }
}

/// What may be told of a push: codes, counts and words of our own, since a message leaves the house.
pub(super) fn happened(pushed: &Pushed) -> Happened {
    let code = pushed.exit_code();
    let file = pushed.path.clone();
    let came = match &pushed.result {
        Ok(Done::Held(_) | Done::Already(_)) => Came::LeftOut,
        Err(Error::Interrupted) => Came::Interrupted,
        Ok(Done::Planned(planned)) if planned.report.as_ref().is_some_and(|report| report.is_interrupted) => {
            Came::Interrupted
        }
        Ok(Done::Planned(_)) | Err(_) => Came::Pushed,
    };
    let exit_code = match &pushed.result {
        Ok(Done::Already(earlier)) => earlier.exit_code,
        _ => code.number(),
    };
    let counts = match &pushed.result {
        Ok(Done::Planned(planned)) => Some(summary(&planned.plan, planned.report.as_ref(), planned.timing)),
        _ => None,
    };
    Happened {
        mapping: pushed.name.clone().unwrap_or_else(|| file.display().to_string()),
        came,
        exit_code,
        outcome: code.word(),
        started_at: pushed.started_at,
        ended_at: Timestamp::now(),
        trouble: trouble(pushed, code),
        summary: counts,
        is_invalid: matches!(pushed.result, Err(Error::Mapping(_))),
        has_notices: !pushed.notices.is_empty(),
        gap: None,
        has_run_lately: true,
        file,
    }
}

fn trouble(pushed: &Pushed, code: ExitCode) -> Option<Trouble> {
    let number = code.number();
    let failed = |what: String, hint: Option<String>| Trouble {
        kind: Kind::Failed,
        reason: format!("{number}:{}", without_digits(&what)),
        what,
        hint,
        command: None,
    };
    match &pushed.result {
        Ok(Done::Held(_) | Done::Already(_)) | Err(Error::Interrupted) => None,
        Err(Error::Mapping(error)) => Some(invalid(error, number, &pushed.path.display().to_string())),
        Err(error) => Some(failed(error.told(), error.hint().map(Into::into))),
        Ok(Done::Planned(planned)) => {
            let report = planned.report.as_ref();
            match code {
                ExitCode::Complete | ExitCode::Interrupted => None,
                ExitCode::Rejections => Some(rejections(planned)),
                ExitCode::Stopped if report.is_none() => Some(stopped(planned, &pushed.path.display().to_string())),
                _ => Some(match report.map(|report| (&report.state_error, &report.error)) {
                    Some((Some(error), _)) => failed(error.to_string(), error.hint().map(Into::into)),
                    Some((None, Some(error))) => failed(error.to_string(), error.hint().map(Into::into)),
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
    let plan = &planned.plan;
    let codes: BTreeSet<&str> = plan.stops.iter().map(Stop::code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let (what, hint) = match plan.stops.first() {
        // What an expectation says may name a patron.
        Some(Stop::Expectation(verdict)) => {
            let base = verdict.base.as_ref().map(|base| base.display().to_string());
            (
                format!("an expectation does not hold ({})", place(verdict.line, base.as_deref())),
                format!("see with `sispush test {file}`; if the data are right, change that line"),
            )
        }
        Some(stop) => output::stop_text(stop),
        None => {
            ("the plan is no longer the one that was approved".into(), format!("look at it with `sispush diff {file}`"))
        }
    };
    let more = match plan.stops.len() {
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

fn rejections(planned: &Planned) -> Trouble {
    let counts = summary(&planned.plan, planned.report.as_ref(), planned.timing);
    let rows = |count: u64| if count == 1 { "1 row was".to_owned() } else { format!("{count} rows were") };
    let mut parts = Vec::new();
    let mut reason = Vec::new();
    if counts.rejected > 0 {
        parts.push(format!("{} rejected", rows(counts.rejected)));
        for (extract, rules) in &counts.rejections_by_extract {
            reason.extend(rules.keys().map(|rule| format!("{extract}/{rule}")));
        }
    }
    if counts.failed > 0 {
        parts.push(format!("{} refused by Infiniti", rows(counts.failed)));
        reason.push("refused".into());
    }
    if counts.renames > 0 {
        parts.push(format!("{} held back, as the username seems to have changed", rows(counts.renames)));
        reason.push("renames".into());
    }
    Trouble {
        kind: Kind::Rejections,
        reason: format!("1:{}", reason.join(",")),
        what: parts.join(", "),
        hint: Some(
            "`sispush preview --rejected` shows each row and why; the result of the push and its log have the rest"
                .into(),
        ),
        command: None,
    }
}
