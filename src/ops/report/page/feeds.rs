//! Each feed with its last run and its trend, where there are others than the accounts.

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::super::chart;
use super::super::figures::{Counts, Feed, Figures, School};
use super::{Path, feed_name, minutes, read};
use crate::ops::words::number;
use crate::state::Summary;

#[derive(Serialize)]
struct View {
    label: String,
    head: &'static str,
    caption: &'static str,
    feeds: Vec<Row>,
}

/// A row of the table of feeds.
#[derive(Serialize)]
struct Row {
    name: String,
    class: &'static str,
    mark: &'static str,
    /// When its last run began, or at how many schools there is one.
    of: String,
    cells: Vec<Cell>,
    spark: Vec<Path>,
    spark_text: String,
}

#[derive(Serialize)]
struct Cell {
    value: String,
    /// Whether somebody is to look at it.
    is_trouble: bool,
}

/// The counts of a row, in the order of the table's columns; of some, anything but nought is trouble.
fn counts_of(counts: &Summary) -> [(u64, bool); 9] {
    [
        (read(counts), false),
        (counts.created, false),
        (counts.updated, false),
        (counts.unchanged, false),
        (counts.rejected, true),
        (counts.failed + counts.unknown, true),
        (counts.not_sent + counts.unsent, true),
        (counts.waiting, false),
        (counts.kept, false),
    ]
}

/// The feeds of a school; none if it has the accounts alone.
pub(super) fn of_school(
    figures: &Figures,
    school: &School,
    of: &str,
    templates: &Environment<'_>,
) -> Result<Option<Value>, minijinja::Error> {
    if school.feeds.iter().all(|feed| feed.name.is_none()) {
        return Ok(None);
    }
    let row = |feed: &Feed| {
        let counts = feed.counts()?;
        let at = feed.last.as_ref().map_or_else(String::new, |run| minutes(run.started_at, &figures.frame.zone));
        let bars = school.trends.feeds.iter().find(|(name, _)| *name == feed.name);
        Some(row(feed.name.as_deref(), at, counts_of(counts), counts.is_troubled(), bars.map_or(&[], |(_, bars)| bars)))
    };
    let view = View {
        label: format!("Feeds{of}"),
        head: "last run",
        caption: "Each with the last run that pushed it. Who waits has no account yet; who is kept has a rejected row, and stays \
                  as Infiniti has them. The bars are what was sent.",
        feeds: school.feeds.iter().filter_map(row).collect(),
    };
    rendered(&view, templates)
}

/// The feeds of all schools together; none if there are the accounts alone.
pub(super) fn of_all(figures: &Figures, templates: &Environment<'_>) -> Result<Option<Value>, minijinja::Error> {
    let feeds = &figures.all.feeds;
    if feeds.iter().all(|(name, _)| name.is_none()) {
        return Ok(None);
    }
    let row = |(name, bars): &(Option<String>, Vec<Counts>)| {
        let mut sums = [(0, false); 9];
        let (mut schools, mut is_troubled) = (0, false);
        let all = figures.schools.iter().flat_map(|school| &school.feeds).filter(|feed| feed.name == *name);
        for counts in all.filter_map(Feed::counts) {
            schools += 1;
            is_troubled |= counts.is_troubled();
            for (sum, (count, may_trouble)) in sums.iter_mut().zip(counts_of(counts)) {
                *sum = (sum.0 + count, may_trouble);
            }
        }
        row(name.as_deref(), number(schools), sums, is_troubled, bars)
    };
    let view = View {
        label: "Feeds".to_owned(),
        head: "schools",
        caption: "The last run of each feed at every school, together. The bars are what was sent.",
        feeds: feeds.iter().map(row).collect(),
    };
    rendered(&view, templates)
}

fn rendered(view: &View, templates: &Environment<'_>) -> Result<Option<Value>, minijinja::Error> {
    Ok(Some(Value::from_safe_string(templates.get_template("feeds.html")?.render(Serde(view))?)))
}

fn row(name: Option<&str>, of: String, counts: [(u64, bool); 9], is_troubled: bool, bars: &[Counts]) -> Row {
    let sent = |bar: &Counts| u64::from(bar.created) + u64::from(bar.updated);
    let series = [bars.iter().map(sent).collect(), bars.iter().map(|bar| u64::from(bar.failed)).collect()];
    let (paths, _) = chart::stacked(&series);
    let [sent, refused]: [u64; 2] = series.map(|values: Vec<u64>| values.iter().sum());
    Row {
        name: feed_name(name).to_owned(),
        class: if is_troubled { "rejections" } else { "fine" },
        mark: if is_troubled { "!" } else { "✓" },
        of,
        cells: counts
            .iter()
            .map(|(count, may_trouble)| Cell { value: number(*count), is_trouble: *may_trouble && *count > 0 })
            .collect(),
        spark: ["updated", "refused"]
            .into_iter()
            .zip(paths)
            .filter(|(_, d)| !d.is_empty())
            .map(|(class, d)| Path { class, d })
            .collect(),
        spark_text: format!("In all: sent {}, refused or unknown {}", number(sent), number(refused)),
    }
}
