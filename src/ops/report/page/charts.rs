//! Charts over time, and the same as a table.

use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use super::super::figures::{Bucket, Figures};
use super::super::{Outcome, chart};
use super::Path;
use crate::ops::words::{number, took};

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

#[derive(Serialize)]
pub(super) struct Table {
    caption: String,
    head: Vec<&'static str>,
    rows: Vec<TableRow>,
}

#[derive(Serialize)]
struct TableRow {
    day: String,
    cells: Vec<String>,
}

/// The charts of one school, or of all together.
pub(super) fn charts(
    figures: &Figures,
    buckets: &[Bucket],
    templates: &Environment<'_>,
) -> Result<String, minijinja::Error> {
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

/// The charts as numbers, for whoever cannot see them.
pub(super) fn table(figures: &Figures, buckets: &[Bucket]) -> Table {
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

#[expect(clippy::cast_precision_loss, reason = "a duration to look at")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}
