//! The page: numbers to HTML. No I/O, no script, and nothing from elsewhere.

use std::fmt::Write as _;

use base64::Engine as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::figures::{Bucket, Figures, Group, School};
use super::words::sentence;
use super::{Outcome, advice, chart, words};
use crate::ops::words::{counted, number, took};
use crate::state::Run;

const PAGE: &str = include_str!("page.html");
const SCHOOL: &str = include_str!("school.html");
const CHARTS: &str = include_str!("charts.html");
const STYLE: &str = include_str!("page.css");

/// Schools are told in full as long as their sections have no more bytes than this together; the overview has all.
const SECTIONS_BYTES_MAX: usize = 2 << 20;

/// Why there is no page: a fault in the templates.
#[derive(Debug, thiserror::Error)]
#[error("the page could not be made: this is a fault of sispush")]
pub struct PageError(#[from] minijinja::Error);

/// How a page is to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// After so many seconds the browser asks for it again.
    pub refresh_s: Option<u32>,
}

/// The page of some figures.
///
/// # Errors
/// [`PageError`].
pub fn render(figures: &Figures, options: Options) -> Result<String, PageError> {
    let templates = templates()?;
    let zone = zone_name(figures);
    let names = names(figures);
    let is_many = figures.schools.len() != 1;
    let mut sections = String::new();
    let mut anchors: Vec<Option<String>> = Vec::with_capacity(figures.schools.len());
    for (index, school) in figures.schools.iter().enumerate() {
        if sections.len() > SECTIONS_BYTES_MAX {
            anchors.push(None);
            continue;
        }
        let anchor = format!("s{index}");
        let view = section(figures, school, &names[index], &anchor, &zone, is_many, &templates)?;
        sections.push_str(&templates.get_template("school.html")?.render(Serde(&view))?);
        anchors.push(Some(anchor));
    }
    let untold = anchors.iter().filter(|anchor| anchor.is_none()).count() as u64;
    let charts = if is_many { charts(figures, &figures.all, &templates)? } else { String::new() };
    let page = PageView {
        style_hash: base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes())),
        style: Value::from_safe_string(STYLE.to_owned()),
        refresh: options.refresh_s,
        title: match names.as_slice() {
            [name] => name.clone(),
            names => counted(names.len() as u64, "school", "schools"),
        },
        subtitle: subtitle(figures, &zone),
        many: is_many,
        tiles: tiles(figures),
        facts: sums(figures),
        rows: if is_many { rows(figures, &names, &anchors) } else { Vec::new() },
        recent_days: figures.schools.first().map_or(0, |school| school.recent.len()),
        bars_caption: "The bars are the worst result of each day: low is fine, half is rejections, high is trouble, none is no run.",
        charts: Value::from_safe_string(charts),
        unfolded_note: (untold > 0).then(|| {
            format!(
                "{} not told in full here, so that the page stays small: `sispush report MAPPING -o FILE` makes the page of one.",
                counted(untold, "school that needs nobody is", "schools, those that need somebody least, are")
            )
        }),
        schools: Value::from_safe_string(sections),
        footer: format!("Made by sispush {}. Counts only: no pupil's data.", env!("CARGO_PKG_VERSION")),
    };
    Ok(templates.get_template("page.html")?.render(Serde(&page))?)
}

fn templates() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("number", number);
    environment.add_template("page.html", PAGE)?;
    environment.add_template("school.html", SCHOOL)?;
    environment.add_template("charts.html", CHARTS)?;
    Ok(environment)
}

#[derive(Serialize)]
struct PageView {
    style_hash: String,
    style: Value,
    refresh: Option<u32>,
    title: String,
    subtitle: String,
    many: bool,
    tiles: Vec<Tile>,
    facts: Vec<Fact>,
    rows: Vec<Row>,
    recent_days: usize,
    bars_caption: &'static str,
    charts: Value,
    unfolded_note: Option<String>,
    schools: Value,
    footer: String,
}

#[derive(Serialize)]
struct Tile {
    class: &'static str,
    count: u64,
    label: String,
}

#[derive(Serialize)]
struct Fact {
    label: &'static str,
    value: String,
    note: Option<String>,
    /// A day and a time, which need more room.
    is_time: bool,
}

/// A row of the overview.
#[derive(Serialize)]
struct Row {
    anchor: Option<String>,
    name: String,
    class: &'static str,
    mark: &'static str,
    state: String,
    at: String,
    read: String,
    sent: String,
    rejected: String,
    spark: Vec<Path>,
    spark_text: String,
}

#[derive(Serialize)]
struct Path {
    class: &'static str,
    d: String,
}

/// A piece of a sentence: a literal, or words.
#[derive(Serialize)]
struct Part {
    code: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct SchoolView {
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
struct Table {
    caption: String,
    head: Vec<&'static str>,
    rows: Vec<TableRow>,
}

#[derive(Serialize)]
struct TableRow {
    day: String,
    cells: Vec<String>,
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

#[derive(Serialize)]
struct ChartView {
    title: &'static str,
    summary: String,
    top: String,
    paths: Vec<Path>,
    from: String,
    to: String,
    legend: Vec<Legend>,
}

#[derive(Serialize)]
struct Legend {
    class: &'static str,
    label: String,
}

/// The schools by the names that tell them apart: the mapping's, with the address where several have one name.
fn names(figures: &Figures) -> Vec<String> {
    let mut count = std::collections::HashMap::new();
    for school in &figures.schools {
        *count.entry(school.identity.mapping.as_str()).or_insert(0) += 1;
    }
    let name = |school: &School| match &school.identity {
        identity if count.get(identity.mapping.as_str()).is_some_and(|count| *count > 1) => {
            format!("{} ({})", identity.mapping, identity.target)
        }
        identity => identity.mapping.clone(),
    };
    figures.schools.iter().map(name).collect()
}

fn subtitle(figures: &Figures, zone: &str) -> String {
    let frame = &figures.frame;
    let mut text = match figures.schools.as_slice() {
        [school] if !school.identity.target.is_empty() => format!("{} · ", school.identity.target),
        _ => String::new(),
    };
    // Writing to a `String` does not fail.
    let _: std::fmt::Result = write!(
        text,
        "made {} · runs since {} · times are local ({zone})",
        minutes(frame.now, &frame.zone),
        frame.since.to_zoned(frame.zone.clone()).date()
    );
    text
}

fn tiles(figures: &Figures) -> Vec<Tile> {
    let late = took_hours(figures.frame.late_after);
    let tile = |group: Group| Tile {
        class: match group {
            Group::Failed => "failed",
            Group::Late => "late",
            Group::Rejections => "rejections",
            Group::Fine => "fine",
        },
        count: figures.schools.iter().filter(|school| school.group == group).count() as u64,
        label: group.words(&late),
    };
    Group::ALL.into_iter().map(tile).collect()
}

/// The last run of every school, together.
fn sums(figures: &Figures) -> Vec<Fact> {
    let sum = |of: &dyn Fn(&Run) -> u64| {
        figures.schools.iter().filter_map(|school| school.last.as_deref()).map(of).sum::<u64>()
    };
    let fact = |label, count: u64| Fact { label, value: number(count), note: None, is_time: false };
    vec![
        fact("read in the last runs", sum(&read)),
        fact("created", sum(&|run| run.summary.created)),
        fact("updated", sum(&|run| run.summary.updated)),
        fact("unchanged", sum(&|run| run.summary.unchanged)),
        fact("refused or unknown", sum(&|run| run.summary.failed + run.summary.unknown)),
        fact("rejected", sum(&|run| run.summary.rejected)),
        fact("leavers in grace", sum(&|run| run.summary.grace)),
    ]
}

fn read(run: &Run) -> u64 {
    run.summary.rows.values().sum()
}

fn rows(figures: &Figures, names: &[String], anchors: &[Option<String>]) -> Vec<Row> {
    let row = |((school, name), anchor): ((&School, &String), &Option<String>)| {
        let count = |of: &dyn Fn(&Run) -> u64| {
            let planned = school.last.as_ref().filter(|run| run.plan.is_some());
            planned.map_or_else(|| "–".to_owned(), |run| number(of(run)))
        };
        let (class, mark) = tone(school);
        Row {
            anchor: anchor.clone(),
            name: name.clone(),
            class,
            mark,
            state: state(figures, school),
            at: school
                .last
                .as_ref()
                .map_or_else(|| "never".to_owned(), |run| minutes(run.started_at, &figures.frame.zone)),
            read: count(&read),
            sent: count(&|run| run.summary.accepted + run.summary.failed + run.summary.unknown),
            rejected: count(&|run| run.summary.rejected),
            spark: spark(school),
            spark_text: spark_text(school),
        }
    };
    figures.schools.iter().zip(names).zip(anchors).map(row).collect()
}

/// The class and the mark of where a school stands.
fn tone(school: &School) -> (&'static str, &'static str) {
    match school.group {
        Group::Late => ("late", "?"),
        Group::Fine => of_outcome(Outcome::Fine),
        Group::Rejections => of_outcome(Outcome::Rejections),
        Group::Failed => match school.last.as_deref().map(Outcome::of) {
            Some(outcome @ (Outcome::Stopped | Outcome::Unended)) if school.problem.is_none() => of_outcome(outcome),
            _ => of_outcome(Outcome::Failed),
        },
    }
}

fn of_outcome(outcome: Outcome) -> (&'static str, &'static str) {
    let mark = match outcome {
        Outcome::Fine => "✓",
        Outcome::Rejections => "!",
        Outcome::Unended => "…",
        Outcome::Stopped => "■",
        Outcome::Failed => "✕",
    };
    (outcome.class(), mark)
}

/// Where a school stands, in a few words.
fn state(figures: &Figures, school: &School) -> String {
    let mut words = match (&school.problem, &school.last) {
        (Some(_), _) => "its mapping cannot be read".to_owned(),
        (None, None) if school.open.is_some() => "its first run is under way, or was killed".to_owned(),
        (None, None) => "never run".to_owned(),
        (None, Some(run)) => match words::why(run, "MAPPING") {
            Some((what, _)) => format!("{}: {what}", Outcome::of(run).word()),
            None => Outcome::Fine.word().to_owned(),
        },
    };
    if school.is_late(&figures.frame)
        && let Some(run) = &school.last
    {
        let silent = took_hours(figures.frame.now.duration_since(run.started_at));
        words = format!("not run for {silent}; before that {words}");
    }
    if let Some((until, _)) = &school.hold {
        // Writing to a `String` does not fail.
        let _: std::fmt::Result = write!(words, "; on hold until {until}");
    }
    words.replace('`', "")
}

fn spark(school: &School) -> Vec<Path> {
    let height = |outcome: Outcome| match outcome {
        Outcome::Fine => 60,
        Outcome::Rejections => 110,
        Outcome::Unended | Outcome::Stopped | Outcome::Failed => chart::HEIGHT,
    };
    let bars: Vec<_> = school.recent.iter().map(|day| day.map(|outcome| (outcome.index(), height(outcome)))).collect();
    let paths = chart::heights(Outcome::ALL.len(), &bars);
    let of_class = |(outcome, d): (Outcome, String)| (!d.is_empty()).then(|| Path { class: outcome.class(), d });
    Outcome::ALL.into_iter().zip(paths).filter_map(of_class).collect()
}

fn spark_text(school: &School) -> String {
    let mut words = Vec::new();
    for outcome in Outcome::ALL {
        let days = school.recent.iter().filter(|day| **day == Some(outcome)).count();
        if days > 0 {
            words.push(format!("{} {days}", outcome.word()));
        }
    }
    let none = school.recent.iter().filter(|day| day.is_none()).count();
    if none > 0 {
        words.push(format!("no run {none}"));
    }
    format!("Days: {}", words.join(", "))
}

/// A school in full.
fn section(
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

/// The charts of one school, or of all together.
fn charts(figures: &Figures, buckets: &[Bucket], templates: &Environment<'_>) -> Result<String, minijinja::Error> {
    let day = |index: usize| figures.days.get(index).map(ToString::to_string).unwrap_or_default();
    let (from, to) = (day(0), figures.frame.now.to_zoned(figures.frame.zone.clone()).date().to_string());
    let per = if figures.step_days == 1 { "a day" } else { "a week" };
    let view = |title, unit: &str, series: Vec<(&'static str, &str, Vec<u64>)>, totals: Option<String>| {
        let sums: Vec<String> =
            series.iter().map(|(_, label, values)| format!("{label} {}", number(values.iter().sum()))).collect();
        let (classes, values): (Vec<_>, Vec<_>) =
            series.iter().map(|(class, _, values)| (*class, values.clone())).unzip();
        let (paths, top) = chart::stacked(&values);
        let legend = series.iter().map(|(class, label, _)| Legend { class, label: (*label).to_owned() }).collect();
        ChartView {
            title,
            summary: totals.unwrap_or_else(|| format!("In all: {}.", sums.join(", "))),
            top: format!("{} {unit}", number(top)),
            paths: classes
                .into_iter()
                .zip(paths)
                .filter(|(_, d)| !d.is_empty())
                .map(|(class, d)| Path { class, d })
                .collect(),
            from: from.clone(),
            to: to.clone(),
            legend,
        }
    };
    let of = |get: &dyn Fn(&Bucket) -> u32| buckets.iter().map(|bucket| u64::from(get(bucket))).collect::<Vec<u64>>();
    let outcomes = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.class(), outcome.word(), of(&|bucket| bucket.runs[outcome.index()])))
        .filter(|(class, _, values)| *class == "fine" || values.iter().any(|value| *value > 0))
        .collect();
    let mut all = vec![view("Runs by outcome", &format!("runs {per}"), outcomes, None)];
    let sent = vec![
        ("created", "created", of(&|bucket| bucket.created)),
        ("updated", "updated", of(&|bucket| bucket.updated)),
        ("refused", "refused or unknown", of(&|bucket| bucket.failed)),
    ];
    all.push(view("Patrons sent", &format!("patrons {per}"), sent, None));
    let unchanged = of(&|bucket| bucket.unchanged);
    let latest = buckets.iter().rev().find(|bucket| bucket.planned > 0);
    let unchanged_text = latest.map(|bucket| {
        format!("Last: {} unchanged, {} rejected.", number(bucket.unchanged.into()), number(bucket.rejected.into()))
    });
    let kept = vec![("unchanged", "unchanged", unchanged), ("refused", "rejected", of(&|bucket| bucket.rejected))];
    all.push(view("Patrons not sent", "patrons", kept, unchanged_text));
    // Milliseconds of a run, so that quick schools are seen, too.
    let mean = |stage: usize| of(&|bucket| bucket.milliseconds[stage] / bucket.planned.max(1));
    let stages = vec![("read", "read", mean(0)), ("plan", "compare", mean(1)), ("send", "send", mean(2))];
    let runs: u64 = buckets.iter().map(|bucket| u64::from(bucket.planned)).sum();
    let means: Vec<String> = ["read", "compare", "send"]
        .iter()
        .enumerate()
        .map(|(stage, label)| {
            let sum: u64 = buckets.iter().map(|bucket| u64::from(bucket.milliseconds[stage])).sum();
            format!("{label} {}", took(seconds(sum / runs.max(1))))
        })
        .collect();
    let mut durations = view("How long a run takes", "", stages, Some(format!("On average: {}.", means.join(", "))));
    let top = [0, 1, 2].map(mean);
    durations.top = took(seconds(chart::stacked(&top).1));
    all.push(durations);
    let context = Serde(std::collections::BTreeMap::from([("charts", all)]));
    templates.get_template("charts.html")?.render(context)
}

#[expect(clippy::cast_precision_loss, reason = "a duration to look at")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}

/// The charts as numbers, for whoever cannot see them.
fn table(figures: &Figures, buckets: &[Bucket]) -> Table {
    let mut head = vec![if figures.step_days == 1 { "day" } else { "week from" }];
    head.extend(Outcome::ALL.iter().map(|outcome| outcome.word()));
    head.extend(["created", "updated", "refused or unknown", "unchanged", "rejected", "read", "compare", "send"]);
    let row = |(day, bucket): (&jiff::civil::Date, &Bucket)| {
        let mean = |stage: usize| took(seconds((bucket.milliseconds[stage] / bucket.planned.max(1)).into()));
        let mut cells: Vec<String> = bucket.runs.iter().map(|runs| number((*runs).into())).collect();
        let counts = [bucket.created, bucket.updated, bucket.failed, bucket.unchanged, bucket.rejected];
        cells.extend(counts.map(|count| number(count.into())));
        cells.extend([0, 1, 2].map(|stage| if bucket.planned == 0 { "–".to_owned() } else { mean(stage) }));
        TableRow { day: day.to_string(), cells }
    };
    Table {
        caption: "Runs by outcome; patrons sent; unchanged and rejected at the last run of the time; the average run's stages.".to_owned(),
        head,
        rows: figures.days.iter().zip(buckets).rev().filter(|(_, bucket)| bucket.runs != [0; 5]).map(row).collect(),
    }
}

/// A text with back-ticks as words and literals.
fn parts(text: &str) -> Vec<Part> {
    let pieces = text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces
        .map(|(index, piece)| match index % 2 {
            1 => Part { code: Some(piece.to_owned()), text: String::new() },
            _ => Part { code: None, text: piece.to_owned() },
        })
        .collect()
}

/// A time as tables and sentences show it, to the minute.
pub fn minutes(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// `36 hours`, `5 days`.
fn took_hours(duration: SignedDuration) -> String {
    let hours = u64::try_from(duration.as_hours()).unwrap_or_default();
    if hours < 72 { counted(hours, "hour", "hours") } else { counted(hours / 24, "day", "days") }
}

fn zone_name(figures: &Figures) -> String {
    zone_name_of(&figures.frame.zone, figures.frame.now)
}

/// A zone as people call it, or its difference to UTC.
pub fn zone_name_of(zone: &TimeZone, now: Timestamp) -> String {
    zone.iana_name().map_or_else(|| format!("UTC{}", zone.to_offset(now)), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ops::report::{Collector, Frame};
    use crate::state::{Identity, Summary};

    fn collector() -> Collector {
        Collector::new(Frame {
            since: "2026-11-01T00:00:00Z".parse().unwrap(),
            now: "2026-11-27T12:00:00Z".parse().unwrap(),
            zone: TimeZone::UTC,
            late_after: SignedDuration::from_hours(36),
        })
    }

    fn run(exit_code: u8, summary: Summary) -> Run {
        let started_at = "2026-11-27T02:30:00Z".parse().unwrap();
        Run {
            started_at,
            ended_at: Some(started_at),
            mode: "delta".into(),
            plan: Some("00f1".into()),
            exit_code: Some(exit_code),
            summary,
        }
    }

    fn page(schools: &[(&str, Run)]) -> String {
        let mut collector = collector();
        for (index, (name, run)) in schools.iter().enumerate() {
            let target = "https://example.concordinfiniti.com/".to_owned();
            collector.school(index).identity = Identity { mapping: (*name).to_owned(), target };
            collector.add(index, run.clone());
        }
        render(&collector.finish(), Options::default()).unwrap()
    }

    #[test]
    fn the_last_result_is_a_sentence() {
        let summary = Summary { accepted: 12, unchanged: 1_988, ..Summary::default() };
        let html = page(&[("st-marys", run(0, summary))]);
        assert!(html.contains(
            "The push of 2026-11-27 02:30 went well: 12 patrons were accepted by Infiniti, 1,988 unchanged."
        ));
        assert!(html.contains("<title>st-marys · sispush report</title>") && !html.contains("next run"), "{html}");
    }

    #[test]
    fn the_next_run_is_told_where_it_is_known() {
        let mut collector = collector();
        collector.add(0, run(0, Summary::default()));
        collector.school(0).next = Some("2026-11-28T02:30:00Z".parse().unwrap());
        let html = render(&collector.finish(), Options::default()).unwrap();
        assert!(html.contains("<dt>next run</dt><dd>2026-11-28 02:30</dd>"), "{html}");
    }

    #[test]
    fn whatever_a_history_holds_stays_text() {
        let hostile = "</title><script>alert('x')</script><img src=x onerror=\"y\">`{{ style }}`&amp;";
        let count = BTreeMap::from([(hostile.to_owned(), 3)]);
        let summary = Summary {
            error: Some(hostile.into()),
            hint: Some(hostile.into()),
            stops: vec![hostile.into()],
            rejected: 3,
            rejections: count.clone(),
            rejections_by_extract: BTreeMap::from([(hostile.to_owned(), count)]),
            host: hostile.into(),
            ..Summary::default()
        };
        for code in [0, 1, 3, 5, 130] {
            let hostile_run = Run { plan: Some(hostile.into()), mode: hostile.into(), ..run(code, summary.clone()) };
            for html in [
                page(&[(hostile, hostile_run.clone())]),
                page(&[(hostile, hostile_run.clone()), (hostile, hostile_run)]),
            ] {
                assert!(
                    !html.contains("<script") && !html.contains("<img") && !html.contains("&amp;&amp;"),
                    "{code}: {html}"
                );
                assert_eq!(html.matches("</title>").count(), 1, "{code}");
                assert!(html.contains("&lt;script&gt;alert(") && html.contains("{{ style }}"), "{code}: {html}");
            }
        }
    }

    /// No script, nothing from elsewhere, and a policy that would forbid both.
    #[test]
    fn nothing_is_asked_of_the_network() {
        let html = page(&[("a", run(1, Summary::default())), ("b", run(3, Summary::default()))]);
        assert!(html.contains("content=\"default-src 'none'; style-src 'sha256-"));
        for elsewhere in ["<script", " src=", " style=", " on", "@import", "<link", "<base", "<form", "<iframe"] {
            let found = html.find(elsewhere).map(|at| &html[at..(at + 60).min(html.len())]);
            // Words may begin so, but not within a tag.
            let in_tag = html
                .split('<')
                .filter_map(|tag| tag.split('>').next())
                .any(|tag| tag.contains(elsewhere) && !tag.contains("content=") && !tag.contains("aria-label="));
            assert!(!elsewhere.starts_with('<') || found.is_none(), "{found:?}");
            assert!(elsewhere.starts_with('<') || !in_tag, "{elsewhere}");
        }
        for link in ["href=\"", "url("] {
            assert!(html.match_indices(link).all(|(at, _)| html[at + link.len()..].starts_with('#')), "{link}");
        }
    }

    #[test]
    fn a_page_of_a_thousand_schools_keeps_its_size() {
        let summary = |index: u64| Summary { rejected: index % 3, accepted: index, ..Summary::default() };
        let names: Vec<String> = (0..1_000).map(|index| format!("school-{index:04}")).collect();
        let schools: Vec<(&str, Run)> = names
            .iter()
            .zip(0..)
            .map(|(name, index)| (name.as_str(), run(if index % 10 == 0 { 3 } else { 0 }, summary(index))))
            .collect();
        let html = page(&schools);
        assert!(html.len() < 4 << 20, "{} bytes", html.len());
        let told = html.matches("<details class=\"school\"").count();
        assert!((100..1_000).contains(&told), "{told}");
        assert!(
            html.contains(&format!(
                "{} schools, those that need somebody least, are not told in full here",
                1_000 - told
            ))
        );
        assert!(names.iter().all(|name| html.contains(name.as_str())), "the overview has all");
        assert_eq!(html.matches("href=\"#s").count(), told, "what is not told in full has no link");
    }

    #[test]
    fn schools_of_one_name_are_told_apart_by_their_address() {
        let html = page(&[("a", run(0, Summary::default())), ("a", run(0, Summary::default()))]);
        assert!(html.contains("a (https:&#x2f;&#x2f;example.concordinfiniti.com&#x2f;)"), "{html}");
    }
}
