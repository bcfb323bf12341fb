//! The runs of a history as numbers: by school, by day or week, by reason. No I/O, and the time is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::Outcome;
use crate::infiniti::contract::FEEDS;
use crate::state::{Identity, Run, Summary};

/// With more days than this, bars stand for weeks.
const DAYS_MAX: usize = 92;
/// At least so many days are shown, however short the history is.
const DAYS_MIN: usize = 14;
/// So many days the row of a school shows.
const RECENT_DAYS: usize = 30;
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
    pub step_days: usize,
    /// The schools, trouble first, then by name.
    pub schools: Vec<School>,
    /// All schools together, bar by bar.
    pub all: Trends,
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
    pub last: Option<Arc<Run>>,
    /// When the last run began, if it has not ended.
    pub open: Option<Timestamp>,
    /// When a run ended well last, with rejections or without.
    pub good_at: Option<Timestamp>,
    /// How many runs there are.
    pub runs: u64,
    /// Bar by bar.
    pub trends: Trends,
    /// The worst outcome of each of the last days.
    pub recent: Vec<Option<Outcome>>,
    /// What came of each feed, the accounts first.
    pub feeds: Vec<Feed>,
    /// The names of the feeds that the mapping has beside the accounts, where the mapping is known.
    pub has: Option<Vec<String>>,
    /// The last runs, the latest last.
    pub listed: VecDeque<Arc<Run>>,
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

    /// What is said of its schools; `silence` is the time for which a late one has not run.
    pub fn words(self, silence: &str) -> String {
        match self {
            Self::Failed => "failed or stopped".into(),
            Self::Late => format!("not run for {silence}"),
            Self::Rejections => "with rejected rows".into(),
            Self::Fine => "fine".into(),
        }
    }
}

/// What happened, bar by bar.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    /// The runs, whatever they pushed.
    pub runs: Vec<Bucket>,
    /// The patrons of each feed, the accounts first; of those that were pushed.
    pub feeds: Vec<(Option<String>, Vec<Counts>)>,
}

/// The runs within a bar's time. Small, since there is one for each day of each school.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// By the index of their [`Outcome`] in [`Outcome::ALL`].
    pub runs: [u32; 5],
    /// Milliseconds of all runs that came to a plan: reading, planning, sending.
    pub milliseconds: [u32; 3],
    /// How many runs those are.
    pub planned: u32,
}

/// What became of a feed within a bar's time. Small likewise, and there is one for each feed, too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Patrons created.
    pub created: u32,
    /// Patrons updated, deactivations among them.
    pub updated: u32,
    /// Rows that Infiniti refused, and those of which nobody knows.
    pub failed: u32,
    /// Patrons that Infiniti had as they are, at the last run of the time that came to a plan.
    pub unchanged: u32,
    /// Rows rejected, likewise.
    pub rejected: u32,
    /// How many runs came to a plan of it.
    pub planned: u32,
}

/// What came of a feed of a school.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// Its name; nothing for the accounts.
    pub name: Option<String>,
    /// The last run that came to a plan of it.
    pub last: Option<Arc<Run>>,
    /// Rejections by extract and rule.
    pub rejections: BTreeMap<String, BTreeMap<String, Rejected>>,
}

impl Feed {
    /// What the last run of it came to.
    pub fn counts(&self) -> Option<&Summary> {
        self.last.as_deref()?.summary.each().find(|(name, _)| *name == self.name.as_deref()).map(|(_, counts)| counts)
    }

    fn count_rejections(&mut self, summary: &Summary) {
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
        if summary.rejections_by_extract.is_empty() {
            // An older program did not tell the extracts apart.
            if !summary.rejections.is_empty() {
                count("", &summary.rejections);
            }
        } else {
            summary.rejections_by_extract.iter().for_each(|(extract, rules)| count(extract, rules));
        }
    }
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
    days: Scale,
    schools: Vec<School>,
}

impl Collector {
    /// Without any run.
    pub fn new(frame: Frame) -> Self {
        Self { days: Scale::new(&frame), frame, schools: Vec::new() }
    }

    /// The number that the next school has.
    pub fn schools(&self) -> usize {
        self.schools.len()
    }

    /// The school of a number, which may be a new one.
    pub fn school(&mut self, index: usize) -> &mut School {
        while self.schools.len() <= index {
            self.schools.push(School::new(self.days.count()));
        }
        &mut self.schools[index]
    }

    /// Takes a run in.
    pub fn add(&mut self, school: usize, run: Run) {
        let day = self.days.index(run.started_at);
        let is_running = self.frame.now.duration_since(run.started_at) < RUNNING;
        self.school(school).add(run, day, is_running);
    }

    /// All of it, trouble first.
    pub fn finish(self) -> Figures {
        let Self { frame, days: Scale { mut days, .. }, mut schools } = self;
        // Bars begin with the first run of all, as a school's first weeks would be one thin bar at the end of a year.
        let first = |school: &School| school.trends.runs.iter().position(|bucket| bucket.runs != [0; 5]);
        let begun = schools.iter().filter_map(first).min().unwrap_or(days.len());
        let skipped = begun.min(days.len().saturating_sub(DAYS_MIN));
        let step = if days.len() - skipped > DAYS_MAX { 7 } else { 1 };
        days.drain(..skipped);
        // The last bar ends today; the first may be shorter.
        let days: Vec<Date> = days.rchunks(step).rev().map(|days| days[0]).collect();
        let mut all = Trends { runs: vec![Bucket::default(); days.len()], feeds: Vec::new() };
        for school in &mut schools {
            school.group = school.group(&frame);
            let trends = &mut school.trends;
            trends.runs = bars(&trends.runs[skipped..], step, Bucket::join);
            join(&mut all.runs, &trends.runs, Bucket::join);
            for (name, days) in &mut trends.feeds {
                *days = bars(&days[skipped..], step, Counts::follow);
                let feed = all.feed(name.as_deref(), days.len());
                join(feed, days, Counts::join);
            }
        }
        schools.sort_by(|a, b| a.group.cmp(&b.group).then_with(|| a.identity.cmp(&b.identity)));
        Figures { frame, days, step_days: step, schools, all }
    }
}

/// The bars of days, `step` of them in each; the first may have fewer.
fn bars<T: Copy + Default>(days: &[T], step: usize, add: fn(&mut T, &T)) -> Vec<T> {
    let bar = |days: &[T]| {
        let mut bar = T::default();
        for day in days {
            add(&mut bar, day);
        }
        bar
    };
    days.rchunks(step).rev().map(bar).collect()
}

fn join<T>(all: &mut [T], one: &[T], add: fn(&mut T, &T)) {
    all.iter_mut().zip(one).for_each(|(all, one)| add(all, one));
}

/// The place of a feed among those that are known, and whether it is there: in the order in which they are sent.
fn place_of<T>(feeds: &[T], name: Option<&str>, name_of: fn(&T) -> Option<&str>) -> Result<usize, usize> {
    feeds.binary_search_by(|feed| order_of(name_of(feed)).cmp(&order_of(name)))
}

fn order_of(name: Option<&str>) -> (usize, Option<&str>) {
    (name.map_or(0, |name| FEEDS.iter().position(|feed| feed.feed == name).unwrap_or(FEEDS.len())), name)
}

impl Trends {
    /// The counts of a feed, which may be a new one.
    fn feed(&mut self, name: Option<&str>, bars: usize) -> &mut Vec<Counts> {
        let place = place_of(&self.feeds, name, |(name, _)| name.as_deref()).unwrap_or_else(|place| {
            self.feeds.insert(place, (name.map(str::to_owned), vec![Counts::default(); bars]));
            place
        });
        &mut self.feeds[place].1
    }
}

impl School {
    fn new(days: usize) -> Self {
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
            trends: Trends { runs: vec![Bucket::default(); days], feeds: Vec::new() },
            recent: vec![None; days.min(RECENT_DAYS)],
            feeds: Vec::new(),
            has: None,
            listed: VecDeque::new(),
            group: Group::Fine,
        }
    }

    fn add(&mut self, run: Run, day: Option<usize>, may_be_running: bool) {
        let outcome = Outcome::of(&run);
        self.runs += 1;
        let is_open = run.ended_at.is_none() && may_be_running;
        if let Some(day) = day.filter(|_| !is_open) {
            let days = self.trends.runs.len();
            self.trends.runs[day].add(&run, outcome);
            for (name, counts) in run.summary.each() {
                self.trends.feed(name, days)[day].add(counts, run.plan.is_some());
            }
            if let Some(day) = day.checked_sub(days - self.recent.len()) {
                self.recent[day] = self.recent[day].max(Some(outcome));
            }
        }
        if self.listed.len() == LISTED_RUNS {
            self.listed.pop_front();
        }
        let run = Arc::new(run);
        if run.plan.is_some() {
            for (name, counts) in run.summary.each() {
                let feed = self.feed(name);
                feed.last = Some(Arc::clone(&run));
                feed.count_rejections(counts);
            }
        }
        if is_open {
            self.open = Some(run.started_at);
        } else {
            self.open = None;
            if outcome <= Outcome::Rejections {
                self.good_at = Some(run.started_at);
            }
            self.last = Some(Arc::clone(&run));
        }
        self.listed.push_back(run);
    }

    /// A feed, which may be a new one.
    fn feed(&mut self, name: Option<&str>) -> &mut Feed {
        let place = place_of(&self.feeds, name, |feed| feed.name.as_deref()).unwrap_or_else(|place| {
            self.feeds.insert(place, Feed { name: name.map(str::to_owned), ..Feed::default() });
            place
        });
        &mut self.feeds[place]
    }

    fn group(&self, frame: &Frame) -> Group {
        let outcome = self.last.as_deref().map(Outcome::of);
        match outcome {
            _ if self.problem.is_some() => Group::Failed,
            Some(Outcome::Failed | Outcome::Stopped | Outcome::Unended) => Group::Failed,
            _ if self.is_late(frame) => Group::Late,
            Some(Outcome::Rejections) => Group::Rejections,
            // The last run may have been of some feeds only, which says nothing of the others.
            Some(Outcome::Fine) | None => match self.troubled(frame).map(|(_, run)| Outcome::of(run)).max() {
                None => Group::Fine,
                Some(Outcome::Fine | Outcome::Rejections) => Group::Rejections,
                Some(Outcome::Unended | Outcome::Stopped | Outcome::Failed) => Group::Failed,
            },
        }
    }

    /// The feeds of which the last run left something to be done, if that is not the school's last run.
    pub fn troubled(&self, frame: &Frame) -> impl Iterator<Item = (&Feed, &Run)> {
        // Two runs may have begun in the same second.
        let is_of_last = |run: &Arc<Run>| self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, run));
        let is_there = |feed: &Feed, run: &Run| match (&self.has, &feed.name) {
            (_, None) => true,
            (Some(has), Some(name)) => has.contains(name),
            // Without the mapping nobody knows whether it has the feed yet.
            (None, Some(_)) => frame.now.duration_since(run.started_at) <= frame.late_after,
        };
        self.feeds.iter().filter_map(move |feed| {
            let run = feed.last.as_ref().filter(|run| !is_of_last(run) && is_there(feed, run))?;
            // What stops one feed stops all of them.
            let is_troubled = Outcome::of(run) == Outcome::Stopped || feed.counts().is_some_and(Summary::is_troubled);
            is_troubled.then_some((feed, &**run))
        })
    }

    /// Whether the last run came to a plan.
    pub fn has_plan(&self) -> bool {
        self.last.as_ref().is_some_and(|run| run.plan.is_some())
    }

    /// Whether it has not run for too long. One that is on hold need not, and one that runs just now does.
    pub fn is_late(&self, frame: &Frame) -> bool {
        let is_old = |run: &Run| frame.now.duration_since(run.started_at) > frame.late_after;
        let is_silent = self.last.as_ref().is_none_or(|run| run.is_ahead(frame.now) || is_old(run));
        is_silent && self.hold.is_none() && self.open.is_none()
    }
}

impl Bucket {
    fn add(&mut self, run: &Run, outcome: Outcome) {
        let mut bucket = Self::default();
        bucket.runs[outcome.index()] = 1;
        if run.plan.is_some() {
            let seconds = run.summary.seconds;
            bucket.milliseconds = [seconds.read, seconds.plan, seconds.send].map(milliseconds);
            bucket.planned = 1;
        }
        self.join(&bucket);
    }

    /// Adds what happened later, or at another school.
    fn join(&mut self, other: &Self) {
        self.runs.iter_mut().zip(other.runs).for_each(|(sum, one)| add(sum, one));
        self.milliseconds.iter_mut().zip(other.milliseconds).for_each(|(sum, one)| add(sum, one));
        add(&mut self.planned, other.planned);
    }
}

impl Counts {
    fn add(&mut self, counts: &Summary, is_planned: bool) {
        let mut one = Self {
            created: small(counts.created),
            updated: small(counts.updated),
            failed: small(counts.failed.saturating_add(counts.unknown)),
            ..Self::default()
        };
        if is_planned {
            one.unchanged = small(counts.unchanged);
            one.rejected = small(counts.rejected);
            one.planned = 1;
        }
        self.follow(&one);
    }

    /// Adds what happened later: of what is told of the last run, that one counts.
    fn follow(&mut self, later: &Self) {
        let (unchanged, rejected) = match later.planned {
            0 => (self.unchanged, self.rejected),
            _ => (later.unchanged, later.rejected),
        };
        self.join(later);
        (self.unchanged, self.rejected) = (unchanged, rejected);
    }

    /// Adds what happened at another school.
    fn join(&mut self, other: &Self) {
        add(&mut self.created, other.created);
        add(&mut self.updated, other.updated);
        add(&mut self.failed, other.failed);
        add(&mut self.unchanged, other.unchanged);
        add(&mut self.rejected, other.rejected);
        add(&mut self.planned, other.planned);
    }
}

fn add(sum: &mut u32, one: u32) {
    *sum = sum.saturating_add(one);
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it stays within its bounds by saturating")]
fn milliseconds(seconds: f64) -> u32 {
    (seconds * 1_000.0) as u32
}

/// A time cut at local midnights into days, the last of which is today.
#[derive(Debug)]
struct Scale {
    /// The first moment of each day, in seconds since 1970, and the end of the last.
    edges: Vec<i64>,
    days: Vec<Date>,
}

impl Scale {
    fn new(frame: &Frame) -> Self {
        let date = |at: Timestamp| at.to_zoned(frame.zone.clone()).date();
        let (mut day, today) = (date(frame.since), date(frame.now));
        let midnight = |day: Date| {
            // Of the days at the ends of time only.
            day.to_zoned(frame.zone.clone()).map_or(i64::MAX, |zoned| zoned.timestamp().as_second())
        };
        let (mut edges, mut days) = (vec![midnight(day)], Vec::new());
        while day <= today {
            days.push(day);
            day = day.saturating_add(Span::new().days(1));
            edges.push(midnight(day));
        }
        Self { edges, days }
    }

    fn count(&self) -> usize {
        self.days.len()
    }

    /// The day that a moment is in.
    fn index(&self, at: Timestamp) -> Option<usize> {
        let after = self.edges.partition_point(|edge| *edge <= at.as_second());
        after.checked_sub(1).filter(|index| *index < self.count())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::state::Summary;

    const NOW: &str = "2026-11-27T12:00:00Z";

    fn frame(zone: &str) -> Frame {
        Frame {
            since: "2025-11-27T12:00:00Z".parse().unwrap(),
            now: NOW.parse().unwrap(),
            zone: TimeZone::get(zone).unwrap(),
            late_after: SignedDuration::from_hours(36),
        }
    }

    fn run(at: &str, exit_code: Option<u8>, summary: Summary) -> Run {
        let started_at = at.parse().unwrap();
        Run {
            started_at,
            ended_at: exit_code.map(|_| started_at),
            mode: "delta".into(),
            plan: exit_code.is_some_and(|code| code < 2).then(|| "1".into()),
            exit_code,
            summary,
        }
    }

    fn figures(zone: &str, schools: &[&[Run]]) -> Figures {
        let mut collector = Collector::new(frame(zone));
        for (index, runs) in schools.iter().enumerate() {
            collector.school(index).identity.mapping = format!("school {index}");
            runs.iter().for_each(|run| collector.add(index, run.clone()));
        }
        collector.finish()
    }

    /// Bars that are not empty: their first day, and the runs by outcome.
    fn check_bars(figures: &Figures, expected: &str) {
        let mut text = String::new();
        for (day, bar) in figures.days.iter().zip(&figures.all.runs).filter(|(_, bar)| bar.runs != [0; 5]) {
            write!(text, "{day} {:?}; ", bar.runs).unwrap();
        }
        assert_eq!(text.trim_end_matches("; "), expected);
    }

    #[test]
    fn days_end_at_local_midnight() {
        let runs = [
            run("2026-11-25T12:59:59Z", Some(0), Summary::default()),
            run("2026-11-25T13:00:00Z", Some(3), Summary::default()),
        ];
        check_bars(&figures("Australia/Sydney", &[&runs]), "2026-11-25 [1, 0, 0, 0, 0]; 2026-11-26 [0, 0, 0, 0, 1]");
        check_bars(&figures("UTC", &[&runs]), "2026-11-25 [1, 0, 0, 0, 1]");
    }

    #[test]
    fn a_long_history_has_a_bar_a_week_and_a_short_one_a_bar_a_day() {
        let short = [run("2026-11-20T02:00:00Z", Some(0), Summary::default())];
        let short = figures("UTC", &[&short]);
        assert_eq!((short.step_days, short.days.len()), (1, DAYS_MIN));
        let summary = |unchanged| Summary { created: 2, unchanged, ..Summary::default() };
        let long = [
            run("2025-12-01T02:00:00Z", Some(0), summary(1)),
            run("2026-11-22T02:00:00Z", Some(0), summary(10)),
            run("2026-11-26T02:00:00Z", Some(1), summary(20)),
            run("2026-11-26T03:00:00Z", Some(3), Summary::default()),
        ];
        let long = figures("UTC", &[&long]);
        assert_eq!((long.step_days, *long.days.last().unwrap()), (7, "2026-11-21".parse().unwrap()));
        check_bars(&long, "2025-12-01 [1, 0, 0, 0, 0]; 2026-11-21 [1, 1, 0, 0, 1]");
        let [(None, accounts)] = long.all.feeds.as_slice() else { panic!("{:?}", long.all.feeds) };
        let last = accounts.last().unwrap();
        // Created in the whole week; unchanged as the last run saw it that came to a plan.
        assert_eq!((last.created, last.unchanged, last.planned), (4, 20, 2));
    }

    #[test]
    fn trouble_comes_first() {
        let with = |at, code| run(at, code, Summary::default());
        let schools: [&[Run]; 9] = [
            &[with("2026-11-27T02:00:00Z", Some(0))],
            &[with("2026-11-27T02:00:00Z", Some(1))],
            &[with("2026-11-25T02:00:00Z", Some(0))],
            &[],
            &[with("2026-11-27T02:00:00Z", Some(0)), with("2026-11-27T03:00:00Z", Some(4))],
            &[with("2026-11-27T02:00:00Z", Some(3)), with("2026-11-27T03:00:00Z", Some(0))],
            &[with("2026-11-27T02:00:00Z", None)],
            &[with("2026-11-26T02:00:00Z", Some(0)), with("2026-11-27T11:30:00Z", None)],
            &[with("2026-11-27T02:00:00Z", Some(5))],
        ];
        let figures = figures("UTC", &schools);
        let order: Vec<String> =
            figures.schools.iter().map(|school| format!("{} {:?}", school.identity.mapping, school.group)).collect();
        assert_eq!(
            order,
            [
                "school 4 Failed",
                "school 6 Failed",
                "school 8 Failed",
                "school 2 Late",
                "school 3 Late",
                "school 1 Rejections",
                "school 0 Fine",
                "school 5 Fine",
                "school 7 Fine",
            ]
        );
        let open: Vec<bool> = figures.schools.iter().map(|school| school.open.is_some()).collect();
        assert_eq!(open.iter().filter(|open| **open).count(), 1, "a run of half an hour ago may be under way");
    }

    #[test]
    fn a_school_on_hold_is_not_late() {
        let mut collector = Collector::new(frame("UTC"));
        collector.school(0).hold = Some(("2027-01-28".parse().unwrap(), "holidays".into()));
        collector.add(0, run("2026-11-01T02:00:00Z", Some(0), Summary::default()));
        assert_eq!(collector.finish().schools[0].group, Group::Fine);
    }

    /// Regression: after a run by a clock that was years ahead, a school that was not pushed any more was well until then.
    #[test]
    fn a_run_of_the_future_is_none_of_today() {
        let figures = figures("UTC", &[&[run("2029-11-27T02:00:00Z", Some(0), Summary::default())]]);
        assert_eq!(figures.schools[0].group, Group::Late);
    }

    #[test]
    fn rejections_are_those_of_the_last_plan_and_of_all() {
        let of = |extract: &str, rule: &str, rows| Summary {
            rejected: rows,
            rejections: BTreeMap::from([(rule.to_owned(), rows)]),
            rejections_by_extract: match extract {
                "" => BTreeMap::new(),
                extract => BTreeMap::from([(extract.to_owned(), BTreeMap::from([(rule.to_owned(), rows)]))]),
            },
            ..Summary::default()
        };
        let runs = [
            run("2026-11-24T02:00:00Z", Some(1), of("", "year", 1)),
            run("2026-11-25T02:00:00Z", Some(1), of("students", "email", 3)),
            run("2026-11-26T02:00:00Z", Some(1), of("staff", "email", 2)),
            run("2026-11-27T02:00:00Z", Some(3), Summary::default()),
        ];
        let figures = figures("UTC", &[&runs]);
        let mut text = String::new();
        for (extract, rules) in &figures.schools[0].feeds[0].rejections {
            for (rule, Rejected { last, total }) in rules {
                write!(text, "{extract}/{rule} {last} of {total}; ").unwrap();
            }
        }
        assert_eq!(text, "/year 0 of 1; staff/email 2 of 2; students/email 0 of 3; ");
    }

    fn with_feed(name: &str, counts: Summary, summary: Summary) -> Summary {
        let feeds = BTreeMap::from([(name.to_owned(), counts)]);
        Summary { rows: BTreeMap::from([("students".to_owned(), 5)]), feeds, ..summary }
    }

    #[test]
    fn each_feed_has_its_last_run_its_bars_and_its_rejections() {
        let rejected = |rows| Summary {
            rejected: rows,
            created: 1,
            rejections_by_extract: BTreeMap::from([(
                "guardians".to_owned(),
                BTreeMap::from([("email".to_owned(), rows)]),
            )]),
            ..Summary::default()
        };
        let runs = [
            run("2026-11-24T02:00:00Z", Some(1), with_feed("contacts", rejected(3), Summary::default())),
            run(
                "2026-11-25T02:00:00Z",
                Some(1),
                with_feed("contacts", rejected(2), Summary { created: 7, ..Summary::default() }),
            ),
            // Of the accounts alone.
            run("2026-11-26T02:00:00Z", Some(0), Summary { unchanged: 4, ..Summary::default() }),
        ];
        let figures = figures(
            "UTC",
            &[
                &runs,
                &[run("2026-11-26T02:00:00Z", Some(0), with_feed("groups", Summary::default(), Summary::default()))],
            ],
        );
        let school = figures.schools.iter().find(|school| school.runs == 3).unwrap();
        let last = |feed: &Feed| feed.last.as_ref().unwrap().started_at.to_string();
        let lasts: Vec<_> = school.feeds.iter().map(|feed| (feed.name.as_deref(), last(feed))).collect();
        assert_eq!(
            lasts,
            [(None, "2026-11-26T02:00:00Z".to_owned()), (Some("contacts"), "2026-11-25T02:00:00Z".to_owned())]
        );
        assert_eq!(school.feeds[0].counts().unwrap().unchanged, 4);
        assert!(school.feeds[0].rejections.is_empty());
        assert_eq!(school.feeds[1].rejections["guardians"]["email"], Rejected { last: 2, total: 5 });
        let names: Vec<_> = figures.all.feeds.iter().map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names, [None, Some("contacts"), Some("groups")]);
        let created = |feed: usize| figures.all.feeds[feed].1.iter().map(|bar| bar.created).sum::<u32>();
        assert_eq!((created(0), created(1), created(2)), (7, 2, 0));
    }

    /// A push of the accounts alone that goes well does not hide what is wrong with another feed.
    #[test]
    fn a_school_is_in_trouble_when_a_feed_is() {
        let rejected = Summary { rejected: 1, ..Summary::default() };
        let runs = [
            run("2026-11-27T01:00:00Z", Some(1), with_feed("contacts", rejected, Summary::default())),
            run("2026-11-27T02:00:00Z", Some(0), Summary::default()),
        ];
        let group = |has: Option<&[&str]>, hours: i64| {
            let mut collector = Collector::new(frame("UTC"));
            for run in &runs {
                let started_at = run.started_at - SignedDuration::from_hours(hours);
                // The last one is of tonight.
                let started_at = if run.exit_code == Some(0) { run.started_at } else { started_at };
                collector.add(0, Run { started_at, ..run.clone() });
            }
            collector.school(0).has = has.map(|names| names.iter().map(ToString::to_string).collect());
            collector.finish().schools[0].group
        };
        assert_eq!(group(Some(&["contacts"]), 0), Group::Rejections);
        assert_eq!(group(Some(&["contacts"]), 100), Group::Rejections);
        // The mapping has it no longer.
        assert_eq!(group(Some(&[]), 0), Group::Fine);
        assert_eq!(group(None, 0), Group::Rejections);
        assert_eq!(group(None, 100), Group::Fine);
    }
}
