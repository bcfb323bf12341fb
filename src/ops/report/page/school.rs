//! A school in full.

use jiff::Timestamp;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::super::figures::{Figures, School};
use super::super::words::{self, sentence};
use super::super::{Outcome, advice};
use super::charts::{Table, charts, table};
use super::{Fact, Part, minutes, of_outcome, parts, read, state, tone, took_hours};
use crate::ops::words::{counted, number, took};
use crate::state::Run;

#[derive(Serialize)]
pub(super) struct SchoolView {
    folded: bool,
    open: bool,
    tag: &'static str,
    anchor: String,
    name: String,
    of: String,
    state: String,
    class: &'static str,
    mark: &'static str,
    what: Vec<Part>,
    todo: Vec<Vec<Part>>,
    facts: Vec<Fact>,
    rejections: Vec<Rejection>,
    has_runs: bool,
    charts: Value,
    table: Option<Table>,
    runs: Vec<RunView>,
    zone: String,
}

#[derive(Serialize)]
struct Rejection {
    extract: String,
    reason: String,
    last: u64,
    total: u64,
    todo: Vec<Part>,
}

#[derive(Serialize)]
struct RunView {
    at: String,
    class: &'static str,
    mark: &'static str,
    outcome: String,
    read: String,
    created: String,
    updated: String,
    refused: String,
    rejected: String,
    unchanged: String,
    took: String,
}

/// A school in full.
pub(super) fn section(
    figures: &Figures,
    school: &School,
    name: &str,
    anchor: &str,
    zone: &str,
    folded: bool,
    templates: &Environment<'_>,
) -> Result<SchoolView, minijinja::Error> {
    let file = school.file.as_ref().map_or_else(|| "MAPPING".to_owned(), |file| file.display().to_string());
    let (class, mark) = tone(school);
    let (what, todo) = glance(figures, school, &file);
    Ok(SchoolView {
        folded,
        open: false,
        tag: if folded { "div" } else { "section" },
        anchor: anchor.to_owned(),
        name: name.to_owned(),
        of: if folded { format!(" of {name}") } else { String::new() },
        state: state(figures, school),
        class,
        mark,
        what: parts(&what),
        todo: todo.iter().map(|line| parts(line)).collect(),
        facts: facts(figures, school),
        rejections: rejections(school),
        has_runs: school.runs > 0,
        charts: Value::from_safe_string(if school.runs > 0 {
            charts(figures, &school.buckets, templates)?
        } else {
            String::new()
        }),
        table: (!folded).then(|| table(figures, &school.buckets)),
        runs: runs(figures, school),
        zone: zone.to_owned(),
    })
}

/// The last result in a sentence, and what to do.
fn glance(figures: &Figures, school: &School, file: &str) -> (String, Vec<String>) {
    let zone = &figures.frame.zone;
    let at = |at: Timestamp| minutes(at, zone);
    let mut todo = Vec::new();
    let mut what = match (&school.problem, &school.last) {
        (Some(problem), _) => {
            todo.push(format!("`sispush check {file}` shows what is wrong with it, and where."));
            sentence(problem)
        }
        (None, None) if school.open.is_some() => String::new(),
        (None, None) => {
            todo.push(format!(
                "Look with `sispush diff {file}` at what a first push would do, then run `sispush push {file}`."
            ));
            "It was never pushed, as far as this state knows.".to_owned()
        }
        (None, Some(run)) => {
            let summary = &run.summary;
            let began = at(run.started_at);
            let sent = match summary.accepted {
                0 => "nothing new to send".to_owned(),
                accepted => format!("{} accepted by Infiniti", counted(accepted, "patron was", "patrons were")),
            };
            match words::why(run, file) {
                None => format!("The push of {began} went well: {sent}, {} unchanged.", number(summary.unchanged)),
                Some((what, actions)) => {
                    todo = actions;
                    match Outcome::of(run) {
                        Outcome::Fine | Outcome::Rejections => {
                            format!("The push of {began} is done: {sent}, but {what}.")
                        }
                        Outcome::Stopped => format!("The push of {began} was stopped, and nothing was sent: {what}."),
                        Outcome::Unended => format!("The push of {began} did not end: {what}."),
                        Outcome::Failed => format!("The push of {began} failed: {what}."),
                    }
                }
            }
        }
    };
    let mut add = |sentence: String| {
        if !what.is_empty() {
            what.push(' ');
        }
        what.push_str(&sentence);
    };
    if let Some(open) = school.open {
        add(format!("A run that began at {} has not ended: it is under way, or was killed.", at(open)));
    }
    if let Some((until, reason)) = &school.hold {
        add(format!("It is on hold until {until}: {reason}."));
    } else if school.is_late(&figures.frame)
        && let Some(run) = &school.last
    {
        add(format!("Nothing has run for {} since.", took_hours(figures.frame.now.duration_since(run.started_at))));
        todo.push("See whether the schedule still runs, and whether the machine was on.".to_owned());
    }
    (what, todo)
}

fn facts(figures: &Figures, school: &School) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label, value: String, note: Option<String>| facts.push(Fact { label, value, note, is_time: false });
    if let Some(run) = school.last.as_ref().filter(|run| run.plan.is_some()) {
        let summary = &run.summary;
        add("read", number(read(run)), None);
        add("created", number(summary.created), None);
        add("updated", number(summary.updated), None);
        add("unchanged", number(summary.unchanged), None);
        add("refused or unknown", number(summary.failed + summary.unknown), None);
        add("rejected", number(summary.rejected), None);
        let grace = if summary.leavers > 0 {
            Some(format!("of {}", counted(summary.leavers, "leaver", "leavers")))
        } else {
            None
        };
        add("leavers in grace", number(summary.grace), grace);
        let seconds = summary.seconds;
        add("took", took(seconds.read + seconds.plan + seconds.send), None);
    }
    if let Some(at) = school.good_at.filter(|at| school.last.as_ref().is_some_and(|run| run.started_at != *at)) {
        add("last good run", minutes(at, &figures.frame.zone), None);
    }
    if let Some(at) = school.next {
        add("next run", minutes(at, &figures.frame.zone), None);
    }
    for fact in facts.iter_mut().filter(|fact| matches!(fact.label, "last good run" | "next run")) {
        fact.is_time = true;
    }
    facts
}

fn rejections(school: &School) -> Vec<Rejection> {
    let mut all: Vec<Rejection> = Vec::new();
    for (extract, rules) in &school.rejections {
        for (code, rejected) in rules {
            let known = advice::of_rule(code);
            let action = known.map_or("`sispush preview --rejected` names the rows, with the reason", |it| it.action);
            all.push(Rejection {
                extract: if extract.is_empty() { "all".to_owned() } else { extract.clone() },
                reason: known.map_or_else(|| code.clone(), |it| it.reason.to_owned()),
                last: rejected.last,
                total: rejected.total,
                todo: parts(action),
            });
        }
    }
    // What is wrong now comes first.
    all.sort_by(|a, b| b.last.cmp(&a.last).then(b.total.cmp(&a.total)));
    all
}

fn runs(figures: &Figures, school: &School) -> Vec<RunView> {
    let view = |run: &Run| {
        let is_open = school.open == Some(run.started_at) && run.ended_at.is_none();
        let outcome = Outcome::of(run);
        let (class, mark) = of_outcome(outcome);
        let count = |count: u64| if run.plan.is_some() { number(count) } else { "–".to_owned() };
        let summary = &run.summary;
        RunView {
            at: minutes(run.started_at, &figures.frame.zone),
            class,
            mark,
            outcome: match outcome {
                _ if is_open => "under way, or killed".to_owned(),
                Outcome::Fine | Outcome::Rejections => outcome.word().to_owned(),
                Outcome::Unended | Outcome::Stopped | Outcome::Failed => {
                    let what = words::why(run, "MAPPING").map(|(what, _)| what).unwrap_or_default();
                    format!("{}: {}", outcome.word(), what.replace('`', ""))
                }
            },
            read: count(read(run)),
            created: count(summary.created),
            updated: count(summary.updated),
            refused: count(summary.failed + summary.unknown),
            rejected: count(summary.rejected),
            unchanged: count(summary.unchanged),
            took: words::lasted(run).unwrap_or_else(|| "–".to_owned()),
        }
    };
    school.listed.iter().rev().map(|run| view(run)).collect()
}
