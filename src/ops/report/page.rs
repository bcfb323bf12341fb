//! The page: numbers to HTML. No I/O, no script, and nothing from elsewhere.

mod charts;
mod feeds;
mod overview;
mod school;

use std::fmt::Write as _;

use base64::Engine as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use charts::charts;
use overview::{Row, Tile, rows, sums, tiles};
use school::section;

use super::figures::{Figures, Group, School};
use super::{Outcome, words};
use crate::ops::words::{counted, number};
use crate::state::Summary;

const PAGE: &str = include_str!("page.html");
const SCHOOL: &str = include_str!("school.html");
const CHARTS: &str = include_str!("charts.html");
const FEEDS: &str = include_str!("feeds.html");
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
    let charts = if is_many { charts(figures, &figures.all, true, &templates)? } else { String::new() };
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
        feeds: if is_many { feeds::of_all(figures, &templates)? } else { None },
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
    environment.add_template("feeds.html", FEEDS)?;
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
    feeds: Option<Value>,
    rows: Vec<Row>,
    recent_days: usize,
    bars_caption: &'static str,
    charts: Value,
    unfolded_note: Option<String>,
    schools: Value,
    footer: String,
}

#[derive(Serialize)]
struct Fact {
    label: &'static str,
    value: String,
    note: Option<String>,
    /// A day and a time, which need more room.
    is_time: bool,
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

fn read(counts: &Summary) -> u64 {
    counts.rows.values().sum()
}

/// `accounts`, or the feed's own name.
fn feed_name(name: Option<&str>) -> &str {
    name.unwrap_or("accounts")
}

/// The class and the mark of where a school stands.
fn tone(school: &School) -> (&'static str, &'static str) {
    match school.group {
        Group::Late => ("late", "?"),
        Group::Fine => of_outcome(Outcome::Fine),
        Group::Rejections => of_outcome(Outcome::Rejections),
        Group::Failed => match school.last.as_deref().map(Outcome::of) {
            Some(outcome @ (Outcome::Stopped | Outcome::Unended)) if school.problem.is_none() => of_outcome(outcome),
            // Or a feed is that the last run did not push.
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
    for (feed, run) in school.troubled(&figures.frame) {
        if words == Outcome::Fine.word() {
            words.clear();
        } else {
            words.push_str("; ");
        }
        words.push_str(&words::why_still(feed.name.as_deref(), run, "MAPPING").0);
    }
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
    use crate::state::{Identity, Run, Summary};

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
