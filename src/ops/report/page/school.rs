//! A school in full.

use jiff::Timestamp;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::super::figures::{Feed, Figures, School};
use super::super::words::{self, sentence};
use super::super::{Outcome, advice};
use super::charts::{Table, charts, tables};
use super::{Fact, Part, feed_name, feeds, minutes, of_outcome, parts, read, state, tone, took_hours};
use crate::ops::words::{counted, number, took};
use crate::state::{Run, Summary};

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
    feeds: Option<Value>,
    rejections: Vec<Rejection>,
    has_runs: bool,
    charts: Value,
    tables: Vec<Table>,
    runs: Vec<RunView>,
    zone: String,
}

#[derive(Serialize)]
struct Rejection {
    feed: String,
    extract: String,
    reason: String,
    last: u64,
    total: u64,
    todo: Vec<Part>,
}

#[derive(Serialize)]
struct RunView {
    /// Another feed than the accounts, told below its run.
    feed: Option<String>,
    at: String,
    class: &'static str,
    mark: &'static str,
    outcome: String,
    cells: [String; 6],
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
    let of = if folded { format!(" of {name}") } else { String::new() };
    let feeds = feeds::of_school(figures, school, &of, templates)?;
    Ok(SchoolView {
        folded,
        open: false,
        tag: if folded { "div" } else { "section" },
        anchor: anchor.to_owned(),
        name: name.to_owned(),
        of,
        state: state(figures, school),
        class,
        mark,
        what: parts(&what),
        todo: todo.iter().map(|line| parts(line)).collect(),
        facts: facts(figures, school),
        feeds,
        rejections: rejections(school),
        has_runs: school.runs > 0,
        charts: Value::from_safe_string(if school.runs > 0 {
            // Among many schools, the table of feeds has the trend of the others.
            charts(figures, &school.trends, !folded, templates)?
        } else {
            String::new()
        }),
        tables: if folded { Vec::new() } else { tables(figures, &school.trends) },
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
            let sent = sent(summary);
            match words::why(run, file) {
                None => format!("The push of {began} went well: {}.", unchanged(&sent, summary)),
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
    for (feed, run) in school.troubled(&figures.frame) {
        let (what, actions) = words::why_still(feed.name.as_deref(), run, file);
        add(format!("Since the push of {}, {what}.", at(run.started_at)));
        todo.extend(actions);
    }
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

/// What Infiniti accepted, feed by feed.
fn sent(summary: &Summary) -> String {
    let of = |(feed, counts): (Option<&str>, &Summary)| match (feed, counts.accepted) {
        (_, 0) => None,
        (None, accepted) => Some(format!("{} accepted by Infiniti", counted(accepted, "patron was", "patrons were"))),
        (Some(feed), accepted) => Some(format!("{feed} of {}", counted(accepted, "patron", "patrons"))),
    };
    let sent: Vec<String> = summary.each().filter_map(of).collect();
    match (sent.is_empty(), summary.accepted) {
        (true, _) => "nothing new to send".to_owned(),
        // The first of other feeds has no verb yet.
        (false, 0) => format!("{} were accepted by Infiniti", sent.join(", ")),
        (false, _) => sent.join(", "),
    }
}

/// The same, and who is unchanged.
fn unchanged(sent: &str, summary: &Summary) -> String {
    let Some(accounts) = summary.accounts() else { return sent.to_owned() };
    format!("{sent}, {} unchanged", number(accounts.unchanged))
}

fn facts(figures: &Figures, school: &School) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |label, value: String, note: Option<String>| facts.push(Fact { label, value, note, is_time: false });
    let accounts = school.feeds.iter().find(|feed| feed.name.is_none()).filter(|_| school.has_plan());
    if let Some(counts) = accounts.and_then(Feed::counts) {
        // Where there are other feeds, each has a row of a table.
        if school.feeds.len() == 1 {
            add("read", number(read(counts)), None);
            add("created", number(counts.created), None);
            add("updated", number(counts.updated), None);
            add("unchanged", number(counts.unchanged), None);
            add("refused or unknown", number(counts.failed + counts.unknown), None);
            add("rejected", number(counts.rejected), None);
        }
        let grace = (counts.leavers > 0).then(|| format!("of {}", counted(counts.leavers, "leaver", "leavers")));
        add("leavers in grace", number(counts.grace), grace);
    }
    if let Some(run) = school.last.as_ref().filter(|run| run.plan.is_some()) {
        let seconds = run.summary.seconds;
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
    for feed in &school.feeds {
        for (extract, rules) in &feed.rejections {
            for (code, rejected) in rules {
                let known = advice::of_rule(code);
                let action =
                    known.map_or("`sispush preview --rejected` names the rows, with the reason", |it| it.action);
                all.push(Rejection {
                    feed: feed_name(feed.name.as_deref()).to_owned(),
                    extract: if extract.is_empty() { "all".to_owned() } else { extract.clone() },
                    reason: known.map_or_else(|| code.clone(), |it| it.reason.to_owned()),
                    last: rejected.last,
                    total: rejected.total,
                    todo: parts(action),
                });
            }
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
        let accounts = run.summary.accounts().filter(|_| run.plan.is_some());
        let mut views = vec![RunView {
            feed: None,
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
            cells: cells(accounts),
            took: words::lasted(run).unwrap_or_else(|| "–".to_owned()),
        }];
        let others = run.summary.others().filter(|(_, counts)| accounts.is_none() || counts.is_eventful());
        views.extend(others.map(|(feed, counts)| RunView {
            feed: Some(feed.to_owned()),
            at: minutes(run.started_at, &figures.frame.zone),
            class,
            mark,
            outcome: String::new(),
            cells: cells(Some(counts)),
            took: String::new(),
        }));
        views
    };
    school.listed.iter().rev().flat_map(|run| view(run)).collect()
}

/// What a run came to, in the order of the table's columns; dashes for what it did not come to.
fn cells(counts: Option<&Summary>) -> [String; 6] {
    let all = counts.map(|counts| {
        [
            read(counts),
            counts.created,
            counts.updated,
            counts.failed + counts.unknown,
            counts.rejected,
            counts.unchanged,
        ]
    });
    all.map_or_else(|| std::array::from_fn(|_| "–".to_owned()), |all| all.map(number))
}
