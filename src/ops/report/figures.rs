//! The runs of a history as numbers: by school, by day or week, by reason. No I/O, and the time is passed in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::Outcome;
use crate::state::{Identity, Run};

/// With more days than this, bars stand for weeks.
const DAYS_MAX: i32 = 92;
/// So many days the row of a school shows.
const RECENT_DAYS: i32 = 30;
/// So many of a school's last runs are listed.
const LISTED_RUNS: usize = 14;
/// A run that did not end is taken to be still running for so long.
const RUNNING: SignedDuration = SignedDuration::from_hours(2);

/// What a report is made for.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The first moment of interest.
    pub since: Timestamp,
    /// The present.
    pub now: Timestamp,
    /// Where days begin and end.
    pub zone: TimeZone,
    /// A school that has not run for so long is in trouble.
    pub late_after: SignedDuration,
}

/// Everything that the page tells.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What it is made for.
    pub frame: Frame,
    /// The first day of each bar.
    pub days: Vec<Date>,
    /// How many days a bar stands for: 1 or 7.
    pub step_days: i32,
    /// The schools, trouble first, then by name.
    pub schools: Vec<School>,
    /// All schools together, bar by bar.
    pub all: Vec<Bucket>,
}

/// One mapping and its target.
#[derive(Clone, Debug)]
pub struct School {
    /// Its name and address.
    pub identity: Identity,
    /// The mapping's file, where it is known.
    pub file: Option<PathBuf>,
    /// Why its mapping cannot be read, in our own words.
    pub problem: Option<String>,
    /// When its next scheduled run begins, where that is known.
    pub next: Option<Timestamp>,
    /// Until when the mapping is on hold, and why.
    pub hold: Option<(Date, String)>,
    /// The last run that ended.
    pub last: Option<Run>,
    /// When the last run began, if it has not ended.
    pub open: Option<Timestamp>,
    /// When a run ended well last, with rejections or without.
    pub good_at: Option<Timestamp>,
    /// How many runs there are.
    pub runs: u64,
    /// Bar by bar.
    pub buckets: Vec<Bucket>,
    /// The worst outcome of each of the last days.
    pub recent: Vec<Option<Outcome>>,
    /// Rejections by extract and rule.
    pub rejections: BTreeMap<String, BTreeMap<String, Rejected>>,
    /// The last runs, the latest first.
    pub listed: Vec<Run>,
    /// Where it stands in the overview.
    pub group: Group,
}

/// How much a school needs somebody, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The last run failed, was stopped, or did not end; or the mapping is not valid.
    Failed,
    /// It has not run for too long, or never.
    Late,
    /// Rows were rejected or refused.
    Rejections,
    /// Nothing is to be done.
    Fine,
}

impl Group {
    /// All of them, trouble first.
    pub const ALL: [Self; 4] = [Self::Failed, Self::Late, Self::Rejections, Self::Fine];
}

/// What happened within a bar's time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Runs, by the index of their [`Outcome`] in [`Outcome::ALL`].
    pub runs: [u64; 5],
    /// Patrons created.
    pub created: u64,
    /// Patrons updated, deactivations among them.
    pub updated: u64,
    /// Rows that Infiniti refused, and those of which nobody knows.
    pub failed: u64,
    /// Patrons that Infiniti had as they are, at the last run of the time.
    pub unchanged: u64,
    /// Rows rejected, at the last run of the time.
    pub rejected: u64,
    /// Seconds of all runs that came to a plan: reading, planning, sending.
    pub seconds: [f64; 3],
    /// How many runs those are.
    pub timed: u64,
}

/// How often a rule was broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// In the last run that came to a plan.
    pub last: u64,
    /// In the whole period.
    pub total: u64,
}

/// Takes runs in, one mapping after the other and the earliest run first, and makes figures of them.
#[derive(Debug)]
pub struct Collector {
    frame: Frame,
    bars: Scale,
    recent: Scale,
    schools: Vec<School>,
}

impl Collector {
    /// Without any run.
    pub fn new(frame: Frame) -> Self {
        let days = frame.now.duration_since(frame.since).as_hours() / 24;
        let step = if days > i64::from(DAYS_MAX) { 7 } else { 1 };
        let recent = frame.now - SignedDuration::from_hours(24) * (RECENT_DAYS - 1);
        Self {
            bars: Scale::new(&frame, frame.since, step),
            recent: Scale::new(&frame, recent.max(frame.since), 1),
            frame,
            schools: Vec::new(),
        }
    }

    /// The number that the next school has.
    pub fn schools(&self) -> usize {
        self.schools.len()
    }

    /// The school of a number, which may be a new one.
    pub fn school(&mut self, index: usize) -> &mut School {
        while self.schools.len() <= index {
            self.schools.push(School::new(self.bars.count(), self.recent.count()));
        }
        &mut self.schools[index]
    }

    /// Takes a run in.
    pub fn add(&mut self, school: usize, run: Run) {
        let (bar, day) = (self.bars.index(run.started_at), self.recent.index(run.started_at));
        let is_running = self.frame.now.duration_since(run.started_at) < RUNNING;
        self.school(school).add(run, bar, day, is_running);
    }

    /// All of it, trouble first.
    pub fn finish(self) -> Figures {
        let Self { frame, bars, mut schools, .. } = self;
        for school in &mut schools {
            school.group = school.group(&frame);
        }
        schools.sort_by(|a, b| a.group.cmp(&b.group).then_with(|| a.identity.cmp(&b.identity)));
        let mut all = vec![Bucket::default(); bars.count()];
        for school in &schools {
            for (all, one) in all.iter_mut().zip(&school.buckets) {
                all.merge(one);
            }
        }
        Figures { frame, days: bars.days, step_days: bars.step, schools, all }
    }
}

impl School {
    fn new(bars: usize, days: usize) -> Self {
        Self {
            identity: Identity { mapping: String::new(), target: String::new() },
            file: None,
            problem: None,
            next: None,
            hold: None,
            last: None,
            open: None,
            good_at: None,
            runs: 0,
            buckets: vec![Bucket::default(); bars],
            recent: vec![None; days],
            rejections: BTreeMap::new(),
            listed: Vec::new(),
            group: Group::Fine,
        }
    }

    fn add(&mut self, run: Run, bar: Option<usize>, day: Option<usize>, may_be_running: bool) {
        let outcome = Outcome::of(&run);
        self.runs += 1;
        let is_open = run.ended_at.is_none() && may_be_running;
        if let Some(day) = day.filter(|_| !is_open) {
            self.recent[day] = self.recent[day].max(Some(outcome));
        }
        if let Some(bucket) = bar.map(|bar| &mut self.buckets[bar]).filter(|_| !is_open) {
            bucket.add(&run, outcome);
        }
        if run.plan.is_some() {
            self.count_rejections(&run);
        }
        if self.listed.len() == LISTED_RUNS {
            self.listed.remove(0);
        }
        if is_open {
            self.open = Some(run.started_at);
        } else {
            self.open = None;
            if outcome <= Outcome::Rejections {
                self.good_at = Some(run.started_at);
            }
            self.last = Some(run.clone());
        }
        self.listed.push(run);
    }

    fn count_rejections(&mut self, run: &Run) {
        for rejected in self.rejections.values_mut().flat_map(BTreeMap::values_mut) {
            rejected.last = 0;
        }
        let mut count = |extract: &str, rules: &BTreeMap<String, u64>| {
            if !self.rejections.contains_key(extract) {
                self.rejections.insert(extract.to_owned(), BTreeMap::new());
            }
            let Some(known) = self.rejections.get_mut(extract) else { return };
            for (rule, rows) in rules.iter().filter(|(_, rows)| **rows > 0) {
                if let Some(rejected) = known.get_mut(rule) {
                    *rejected = Rejected { last: *rows, total: rejected.total + rows };
                } else {
                    known.insert(rule.clone(), Rejected { last: *rows, total: *rows });
                }
            }
        };
        let summary = &run.summary;
        if summary.rejections_by_extract.is_empty() {
            // An older program did not tell the extracts apart.
            if !summary.rejections.is_empty() {
                count("", &summary.rejections);
            }
        } else {
            summary.rejections_by_extract.iter().for_each(|(extract, rules)| count(extract, rules));
        }
    }

    fn group(&self, frame: &Frame) -> Group {
        let outcome = self.last.as_ref().map(Outcome::of);
        match outcome {
            _ if self.problem.is_some() => Group::Failed,
            Some(Outcome::Failed | Outcome::Stopped | Outcome::Unended) => Group::Failed,
            _ if self.is_late(frame) => Group::Late,
            Some(Outcome::Rejections) => Group::Rejections,
            Some(Outcome::Fine) | None => Group::Fine,
        }
    }

    /// Whether it has not run for too long. One that is on hold need not, and one that runs just now does.
    pub fn is_late(&self, frame: &Frame) -> bool {
        let last = self.last.as_ref().map(|run| run.started_at);
        let is_silent = last.is_none_or(|at| frame.now.duration_since(at) > frame.late_after);
        is_silent && self.hold.is_none() && self.open.is_none()
    }
}

impl Bucket {
    fn add(&mut self, run: &Run, outcome: Outcome) {
        let summary = &run.summary;
        self.runs[outcome.index()] += 1;
        self.created += summary.created;
        self.updated += summary.updated;
        self.failed += summary.failed + summary.unknown;
        if run.plan.is_some() {
            self.unchanged = summary.unchanged;
            self.rejected = summary.rejected;
            let seconds = [summary.seconds.read, summary.seconds.plan, summary.seconds.send];
            for (sum, one) in self.seconds.iter_mut().zip(seconds) {
                *sum += one;
            }
            self.timed += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.runs.iter_mut().zip(other.runs).for_each(|(sum, one)| *sum += one);
        self.created += other.created;
        self.updated += other.updated;
        self.failed += other.failed;
        self.unchanged += other.unchanged;
        self.rejected += other.rejected;
        self.seconds.iter_mut().zip(other.seconds).for_each(|(sum, one)| *sum += one);
        self.timed += other.timed;
    }
}

/// A time cut into parts at local midnights, the last of which is today's end.
#[derive(Debug)]
struct Scale {
    /// The first moments of all parts, in seconds since 1970, and the end of the last.
    edges: Vec<i64>,
    days: Vec<Date>,
    step: i32,
}

impl Scale {
    fn new(frame: &Frame, since: Timestamp, step: i32) -> Self {
        let first = since.to_zoned(frame.zone.clone()).date();
        let mut day = frame.now.to_zoned(frame.zone.clone()).date().saturating_add(Span::new().days(1));
        let midnight = |day: Date| {
            // Of the days at the ends of time only.
            day.to_zoned(frame.zone.clone()).map_or(i64::MAX, |zoned| zoned.timestamp().as_second())
        };
        let (mut edges, mut days) = (vec![midnight(day)], Vec::new());
        while day > first {
            day = day.saturating_sub(Span::new().days(step));
            edges.push(midnight(day));
            days.push(day);
        }
        edges.reverse();
        days.reverse();
        Self { edges, days, step }
    }

    fn count(&self) -> usize {
        self.days.len()
    }

    /// The part that a moment is in.
    fn index(&self, at: Timestamp) -> Option<usize> {
        let after = self.edges.partition_point(|edge| *edge <= at.as_second());
        after.checked_sub(1).filter(|index| *index < self.count())
    }
}
