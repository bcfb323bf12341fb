//! The overview of many schools.

use serde::Serialize;

use super::super::figures::{Feed, Figures, Group, School};
use super::super::{Outcome, chart};
use super::{Fact, Path, minutes, read, state, tone, took_hours};
use crate::ops::words::number;
use crate::state::{Run, Summary};

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
    // Those of the accounts; the other feeds have a table of their own.
    let accounts =
        |school: &School| school.feeds.iter().find(|feed| feed.name.is_none()).and_then(Feed::counts).cloned();
    let lasts: Vec<Summary> = figures.schools.iter().filter_map(accounts).collect();
    let sum = |of: &dyn Fn(&Summary) -> u64| lasts.iter().map(of).sum::<u64>();
    let fact = |label, count: u64| Fact { label, value: number(count), note: None, is_time: false };
    vec![
        fact("read in the last runs", sum(&read)),
        fact("created", sum(&|counts| counts.created)),
        fact("updated", sum(&|counts| counts.updated)),
        fact("unchanged", sum(&|counts| counts.unchanged)),
        fact("refused or unknown", sum(&|counts| counts.failed + counts.unknown)),
        fact("rejected", sum(&|counts| counts.rejected)),
        fact("leavers in grace", sum(&|counts| counts.grace)),
    ]
}

pub(super) fn rows(figures: &Figures, names: &[String], anchors: &[Option<String>]) -> Vec<Row> {
    let row = |((school, name), anchor): ((&School, &String), &Option<String>)| {
        let count = |of: &dyn Fn(&Summary) -> u64| {
            let planned = school.last.as_ref().filter(|run| run.plan.is_some());
            // Of all feeds together: what is wrong with any of them is seen here.
            let all = |run: &Run| run.summary.each().map(|(_, counts)| of(counts)).sum();
            planned.map_or_else(|| "–".to_owned(), |run| number(all(run)))
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
            sent: count(&Summary::sent),
            rejected: count(&|counts| counts.rejected),
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
