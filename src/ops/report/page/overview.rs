//! The overview of many schools.

use serde::Serialize;

use super::super::figures::{Figures, Group, School};
use super::super::{Outcome, chart};
use super::{Fact, Path, minutes, read, state, tone, took_hours};
use crate::ops::words::number;
use crate::state::Run;

#[derive(Serialize)]
pub(super) struct Tile {
    class: &'static str,
    count: u64,
    label: String,
}

/// A row of the overview.
#[derive(Serialize)]
pub(super) struct Row {
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

pub(super) fn tiles(figures: &Figures) -> Vec<Tile> {
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
pub(super) fn sums(figures: &Figures) -> Vec<Fact> {
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

pub(super) fn rows(figures: &Figures, names: &[String], anchors: &[Option<String>]) -> Vec<Row> {
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
