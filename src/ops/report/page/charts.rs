//! Charts over time, and the same as a table.

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use super::super::figures::{Bucket, Counts, Figures, Trends};
use super::super::{Outcome, chart};
use super::{Path, feed_name};
use crate::ops::words::{number, took};

#[derive(Serialize)]
struct ChartView {
    title: String,
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

#[derive(Serialize)]
pub(super) struct Table {
    label: String,
    caption: String,
    head: Vec<&'static str>,
    rows: Vec<TableRow>,
}

#[derive(Serialize)]
struct TableRow {
    day: String,
    cells: Vec<String>,
}

/// The charts of one school, or of all together; with those of every feed, or of the accounts alone.
pub(super) fn charts(
    figures: &Figures,
    trends: &Trends,
    has_all_feeds: bool,
    templates: &Environment<'_>,
) -> Result<String, minijinja::Error> {
    let day = |index: usize| figures.days.get(index).map(ToString::to_string).unwrap_or_default();
    let (from, to) = (day(0), figures.frame.now.to_zoned(figures.frame.zone.clone()).date().to_string());
    let per = if figures.step_days == 1 { "a day" } else { "a week" };
    let view = |title: &str, unit: &str, series: Vec<(&'static str, &str, Vec<u64>)>, totals: Option<String>| {
        let sums: Vec<String> =
            series.iter().map(|(_, label, values)| format!("{label} {}", number(values.iter().sum()))).collect();
        let (classes, values): (Vec<_>, Vec<_>) =
            series.iter().map(|(class, _, values)| (*class, values.clone())).unzip();
        let (paths, top) = chart::stacked(&values);
        let legend = series.iter().map(|(class, label, _)| Legend { class, label: (*label).to_owned() }).collect();
        ChartView {
            title: title.to_owned(),
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
    let buckets = &trends.runs;
    let of = |get: &dyn Fn(&Bucket) -> u32| buckets.iter().map(|bucket| u64::from(get(bucket))).collect::<Vec<u64>>();
    let outcomes = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome.class(), outcome.word(), of(&|bucket| bucket.runs[outcome.index()])))
        .filter(|(class, _, values)| *class == "fine" || values.iter().any(|value| *value > 0))
        .collect();
    let mut all = vec![view("Runs by outcome", &format!("runs {per}"), outcomes, None)];
    for (name, bars) in trends.feeds.iter().filter(|(name, _)| has_all_feeds || name.is_none()) {
        let of = |get: &dyn Fn(&Counts) -> u32| bars.iter().map(|bar| u64::from(get(bar))).collect::<Vec<u64>>();
        let sent = vec![
            ("created", "created", of(&|bar| bar.created)),
            ("updated", "updated", of(&|bar| bar.updated)),
            ("refused", "refused or unknown", of(&|bar| bar.failed)),
        ];
        // Where there are other feeds, the accounts are told from them.
        let title = match (trends.feeds.len(), name) {
            (1, None) => "Patrons".to_owned(),
            (_, name) => capital(feed_name(name.as_deref())),
        };
        all.push(view(&format!("{title} sent"), &format!("patrons {per}"), sent, None));
        let latest = bars.iter().rev().find(|bar| bar.planned > 0);
        let unchanged_text = latest.map(|bar| {
            format!("Last: {} unchanged, {} rejected.", number(bar.unchanged.into()), number(bar.rejected.into()))
        });
        let unchanged = of(&|bar| bar.unchanged);
        let kept = vec![("unchanged", "unchanged", unchanged), ("refused", "rejected", of(&|bar| bar.rejected))];
        all.push(view(&format!("{title} not sent"), "patrons", kept, unchanged_text));
    }
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

/// The charts as numbers, for whoever cannot see them: the runs and the accounts, and a table for each other feed.
pub(super) fn tables(figures: &Figures, trends: &Trends) -> Vec<Table> {
    let none = Vec::new();
    let accounts = trends.feeds.iter().find(|(name, _)| name.is_none()).map_or(&none, |(_, bars)| bars);
    let day_head = if figures.step_days == 1 { "day" } else { "week from" };
    let mut head = vec![day_head];
    head.extend(Outcome::ALL.iter().map(|outcome| outcome.word()));
    head.extend(COUNTED);
    head.extend(["read", "compare", "send"]);
    let days = figures.days.iter().zip(&trends.runs).enumerate().rev();
    let days: Vec<_> = days.filter(|(_, (_, bucket))| bucket.runs != [0; 5]).collect();
    let row = |(index, (day, bucket)): &(usize, (&jiff::civil::Date, &Bucket))| {
        let mean = |stage: usize| took(seconds((bucket.milliseconds[stage] / bucket.planned.max(1)).into()));
        let mut cells: Vec<String> = bucket.runs.iter().map(|runs| number((*runs).into())).collect();
        cells.extend(counted(accounts.get(*index)));
        cells.extend([0, 1, 2].map(|stage| if bucket.planned == 0 { "–".to_owned() } else { mean(stage) }));
        TableRow { day: day.to_string(), cells }
    };
    let mut tables = vec![Table {
        label: "The charts as a table".to_owned(),
        caption: "Runs by outcome; patrons sent; unchanged and rejected at the last run of the time; the average run's stages.".to_owned(),
        head,
        rows: days.iter().map(row).collect(),
    }];
    tables.extend(trends.feeds.iter().filter_map(|(name, bars)| {
        let name = name.as_deref()?;
        let row = |(index, (day, _)): &(usize, (&jiff::civil::Date, &Bucket))| TableRow {
            day: day.to_string(),
            cells: counted(bars.get(*index)).to_vec(),
        };
        Some(Table {
            label: format!("The charts of {name} as a table"),
            caption: format!("{}: sent; unchanged and rejected at the last run of the time.", capital(name)),
            head: std::iter::once(day_head).chain(COUNTED).collect(),
            rows: days.iter().map(row).collect(),
        })
    }));
    tables
}

/// The heads of what is counted of a feed.
const COUNTED: [&str; 5] = ["created", "updated", "refused or unknown", "unchanged", "rejected"];

fn counted(bar: Option<&Counts>) -> [String; 5] {
    let bar = bar.copied().unwrap_or_default();
    [bar.created, bar.updated, bar.failed, bar.unchanged, bar.rejected].map(|count| number(count.into()))
}

/// `Contacts`.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a duration to look at")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}
