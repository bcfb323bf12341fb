//! What became of a mapping, and what of that a channel is to be told. No I/O; the time is passed in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::infiniti::contract::FEEDS;
use crate::mapping::Hold;
use crate::mapping::notify::Events;
use crate::ops::report::is_stop;
use crate::state::Summary;

/// What became of a mapping's push, as far as it may be told: counts, codes and words of our own. No value of a row and no
/// username.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Happened {
    /// The mapping's name; its file's, if that cannot be read.
    pub mapping: String,
    /// The mapping's file.
    pub file: PathBuf,
    /// How it came about.
    pub came: Came,
    /// The exit code's number.
    pub exit_code: u8,
    /// The exit code in a word.
    pub outcome: &'static str,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What is wrong, if anything is.
    pub trouble: Option<Trouble>,
    /// Its counts; nothing if it did not come so far.
    pub summary: Option<Summary>,
    /// Whether the mapping itself is at fault, so that its channels may not be readable.
    pub is_invalid: bool,
    /// Whether some channel was told something of it before, as far as that could be read.
    pub has_notices: bool,
    /// Whether it was of some of the mapping's feeds only, which says nothing of the others.
    pub is_partial: bool,
    /// That there was no push that ended well for too long before this one.
    pub gap: Option<Gap>,
    /// When somebody looked: whether there were pushes lately, although none of them ended well.
    pub has_run_lately: bool,
}

/// How a result came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was pushed, or could not be.
    Pushed,
    /// Nothing was to be done: it is on hold, or was pushed already.
    LeftOut,
    /// Somebody interrupted it, and knows.
    Interrupted,
    /// It was not pushed, and somebody looked whether it had been.
    Looked,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of thing.
    pub kind: Kind,
    /// What makes it this one and no other, in codes: as long as it stays the same, nobody needs to be told again.
    pub reason: String,
    /// What is wrong, in words.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
    /// The command that carries the stopped plan out.
    pub command: Option<String>,
}

/// The kinds of trouble, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The push failed.
    Failed,
    /// A limit, or an expectation, stopped it.
    Limit,
    /// No push ended well for too long.
    Overdue,
    /// It is done, but rows were rejected or held back.
    Rejections,
}

impl Kind {
    /// Its code, which never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Limit => "limit",
            Self::Overdue => "overdue",
            Self::Rejections => "rejections",
        }
    }

    fn is_wanted(self, on: Events) -> bool {
        match self {
            Self::Failed => on.failed,
            Self::Limit => on.limit,
            Self::Overdue => on.overdue,
            Self::Rejections => on.rejections,
        }
    }
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A trouble that the channel was not told of, or one of another kind.
    New(Kind),
    /// It is still wrong, for another reason.
    Changed(Kind),
    /// It is still wrong, for the same reason, after a time.
    Reminder(Kind),
    /// It is well again.
    Recovered,
    /// It was pushed well, after there had been no such push for too long.
    Gap,
    /// Nothing happened: somebody tries whether messages arrive.
    Test,
}

impl Event {
    /// Its code, which never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::New(kind) => kind.code(),
            Self::Changed(_) => "changed",
            Self::Reminder(_) => "reminder",
            Self::Recovered => "recovered",
            Self::Gap => Kind::Overdue.code(),
            Self::Test => "test",
        }
    }

    /// The trouble that it is about.
    pub fn trouble(self) -> Option<Kind> {
        match self {
            Self::New(kind) | Self::Changed(kind) | Self::Reminder(kind) => Some(kind),
            Self::Recovered | Self::Gap | Self::Test => None,
        }
    }

    /// Trouble first, the worst of it before the rest.
    pub(super) fn rank(self) -> u8 {
        match (self.trouble(), self) {
            (Some(Kind::Failed), _) => 0,
            (Some(Kind::Limit), _) => 1,
            (Some(Kind::Overdue), _) => 2,
            (Some(Kind::Rejections), _) => 3,
            (None, Self::Gap) => 4,
            (None, _) => 5,
        }
    }
}

/// A time without a push that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the last one began; nothing if there was none yet.
    pub since: Option<Timestamp>,
}

impl Gap {
    /// Whether it is too long since the last push that ended well (`good`). `first` is the first push that is known, for a
    /// mapping of which none ended well. A time of hold does not count.
    pub fn find(
        good: Option<Timestamp>,
        first: Option<Timestamp>,
        holds: &[Hold],
        most: Duration,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<Self> {
        let last = good.or(first)?;
        let today = now.to_zoned(zone.clone()).date();
        let ends = holds.iter().filter(|hold| hold.from <= today).map(|hold| {
            let end = hold.until.tomorrow().and_then(|day| day.to_zoned(zone.clone()));
            end.map_or(Timestamp::MAX, |end| end.timestamp())
        });
        let from = ends.fold(last, Timestamp::max);
        let most = SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX);
        (now.duration_since(from) > most).then_some(Self { since: good })
    }
}

/// What a channel was told last of a mapping, and may be told again when it changes. Stored as JSON; fields are only added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What kind of trouble.
    pub kind: Kind,
    /// Its reason.
    pub reason: String,
    /// Since when it is not well.
    pub since: Timestamp,
    /// When it was told.
    pub at: Timestamp,
}

/// What is to be done for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it is told, if anything.
    pub event: Option<Event>,
    /// What is remembered of that afterwards; for an event only once it has arrived.
    pub remembered: Remembered,
}

/// What is remembered of what a channel was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// What it was told before.
    AsBefore,
    /// This.
    This(Told),
    /// Nothing: there is nothing left to be said.
    Nothing,
}

/// Decides what a channel is told. `told` is what it was told last.
pub fn decide(
    happened: &Happened,
    told: Option<&Told>,
    on: Events,
    remind_every: Duration,
    now: Timestamp,
) -> Decision {
    let silence = Decision { event: None, remembered: Remembered::AsBefore };
    if matches!(happened.came, Came::LeftOut | Came::Interrupted) {
        return silence;
    }
    let left = left_of(happened, told);
    let with_left = |trouble: &Trouble| match trouble.kind {
        Kind::Rejections if !left.is_empty() => {
            Trouble { reason: format!("{},{}", trouble.reason, left.join(",")), ..trouble.clone() }
        }
        _ => trouble.clone(),
    };
    let trouble = happened.trouble.as_ref().filter(|trouble| trouble.kind.is_wanted(on)).map(with_left);
    let trouble = trouble.as_ref();
    let remember = |trouble: &Trouble, since| {
        Remembered::This(Told { kind: trouble.kind, reason: trouble.reason.clone(), since, at: now })
    };
    match (trouble, told) {
        (None, None) => match happened.gap {
            Some(_) if on.overdue && happened.trouble.is_none() => Decision { event: Some(Event::Gap), ..silence },
            _ => silence,
        },
        (None, Some(_)) if happened.came == Came::Looked || !left.is_empty() => silence,
        (None, Some(_)) => {
            Decision { event: on.recovered.then_some(Event::Recovered), remembered: Remembered::Nothing }
        }
        (Some(trouble), None) => {
            Decision { event: Some(Event::New(trouble.kind)), remembered: remember(trouble, happened.started_at) }
        }
        // Each push fails, and the channel knows that.
        (Some(trouble), Some(told))
            if trouble.kind == Kind::Overdue && happened.has_run_lately && told.kind != Kind::Rejections =>
        {
            silence
        }
        (Some(trouble), Some(told)) if trouble.kind != told.kind => {
            // Rejected rows are a smaller thing: what is worse begins anew.
            let is_lasting = trouble.kind != Kind::Rejections && told.kind != Kind::Rejections;
            let since = if is_lasting { told.since } else { happened.started_at };
            Decision { event: Some(Event::New(trouble.kind)), remembered: remember(trouble, since) }
        }
        (Some(trouble), Some(told)) if !is_same(&trouble.reason, &told.reason) => {
            Decision { event: Some(Event::Changed(trouble.kind)), remembered: remember(trouble, told.since) }
        }
        (Some(trouble), Some(told)) => {
            let remind_every = SignedDuration::try_from(remind_every).unwrap_or(SignedDuration::MAX);
            // The library's work goes on: who knows of a few rejected rows is not asked again.
            if trouble.kind == Kind::Rejections || now.duration_since(told.at) < remind_every {
                return silence;
            }
            Decision { event: Some(Event::Reminder(trouble.kind)), remembered: remember(trouble, told.since) }
        }
    }
}

/// The codes of what a channel was told that are of feeds that this push left out: they hold as they did.
fn left_of<'t>(happened: &Happened, told: Option<&'t Told>) -> Vec<&'t str> {
    let Some((told, summary)) = told.zip(happened.summary.as_ref()).filter(|_| happened.is_partial) else {
        return Vec::new();
    };
    match told.kind {
        // Source and target are the same for all feeds.
        Kind::Failed | Kind::Overdue => Vec::new(),
        Kind::Limit | Kind::Rejections => codes(&told.reason)
            .filter(|code| match feed_of(code) {
                Some(feed) => !summary.feeds.contains_key(feed),
                None => summary.accounts().is_none(),
            })
            .collect(),
    }
}

/// The codes of a reason, which has the exit code in front.
fn codes(reason: &str) -> impl Iterator<Item = &str> {
    reason.split_once(':').map_or(reason, |(_, codes)| codes).split(',').filter(|code| !code.is_empty())
}

/// The feed that a code is of; nothing for the accounts.
fn feed_of(code: &str) -> Option<&str> {
    let (feed, rest) = code.split_once('/')?;
    let is_feed = FEEDS.iter().any(|known| known.account.is_some() && known.feed == feed);
    // An extract of the accounts may have a feed's name; its codes have a rule after that, and nothing more.
    let is_own = rest.contains('/') || OWN_CODES.contains(&rest) || is_stop(rest);
    (is_feed && is_own).then_some(feed)
}

/// What may be wrong with a feed beside rules that rows break, and limits.
pub const OWN_CODES: [&str; 3] = ["refused", "unsent", "renames"];

/// Whether two reasons are the same, in whatever order their codes stand.
fn is_same(one: &str, other: &str) -> bool {
    let sorted = |reason: &str| codes(reason).map(str::to_owned).collect::<BTreeSet<_>>();
    one == other || (one.split(':').next() == other.split(':').next() && sorted(one) == sorted(other))
}

/// An error's words as a code: what counts differs from night to night.
pub fn without_digits(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for char in words.chars() {
        match char {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_795_660_200 + hour * 3600).unwrap()
    }

    pub(in super::super) fn happened(hour: i64, trouble: Option<(Kind, &str)>) -> Happened {
        let exit_code = match trouble {
            None => 0,
            Some((Kind::Rejections, _)) => 1,
            Some((Kind::Limit, _)) => 5,
            Some(_) => 3,
        };
        Happened {
            mapping: "example-college".into(),
            file: "school.yaml".into(),
            came: Came::Pushed,
            exit_code,
            outcome: "source",
            started_at: at(hour),
            ended_at: at(hour),
            trouble: trouble.map(|(kind, reason)| Trouble {
                kind,
                reason: reason.into(),
                what: format!("what of {reason}"),
                hint: Some("a hint".into()),
                command: None,
            }),
            summary: None,
            is_invalid: false,
            has_notices: false,
            is_partial: false,
            gap: None,
            has_run_lately: false,
        }
    }

    #[test]
    fn who_knows_of_each_failure_is_not_told_that_none_ended_well() {
        let overdue = Happened { came: Came::Looked, ..happened(30, Some((Kind::Overdue, "overdue"))) };
        let told = |kind| Told { kind, reason: "r".into(), since: at(0), at: at(0) };
        let day = Duration::from_hours(24);
        let of = |happened: &Happened, told: Option<&Told>| decide(happened, told, Events::ALL, day, at(1)).event;
        let lately = Happened { has_run_lately: true, ..overdue.clone() };
        assert_eq!(of(&lately, Some(&told(Kind::Failed))), None);
        assert_eq!(of(&lately, Some(&told(Kind::Rejections))), Some(Event::New(Kind::Overdue)));
        // There are no pushes any more.
        assert_eq!(of(&overdue, Some(&told(Kind::Failed))), Some(Event::New(Kind::Overdue)));
    }

    #[test]
    fn a_hold_is_no_gap() {
        let hours = Duration::from_hours;
        let utc = TimeZone::UTC;
        let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
        let hold = |until| Hold { from: day("2020-01-01"), until: day(until), reason: "rollover".into() };
        let now: Timestamp = "2026-11-27T02:30:00Z".parse().unwrap();
        let hours_ago = |hours: i64| Some(now - SignedDuration::from_hours(hours));
        let of = |good, first, holds: &[Hold]| Gap::find(good, first, holds, hours(26), now, &utc);
        assert_eq!(of(hours_ago(24), hours_ago(99), &[]), None);
        assert_eq!(of(hours_ago(48), hours_ago(99), &[]), Some(Gap { since: hours_ago(48) }));
        assert_eq!(of(hours_ago(480), hours_ago(480), &[hold("2026-11-26")]), None);
        assert_eq!(of(hours_ago(480), hours_ago(480), &[hold("2026-11-24")]), Some(Gap { since: hours_ago(480) }));
        assert_eq!(of(hours_ago(480), hours_ago(480), &[hold("2026-12-24")]), None);
        // None ended well yet: that is too long only once the first is.
        assert_eq!(of(None, hours_ago(3), &[]), None);
        assert_eq!(of(None, hours_ago(48), &[]), Some(Gap { since: None }));
        assert_eq!(of(None, None, &[]), None);
    }

    /// The nights of a school, each with what a channel is told.
    #[test]
    fn each_thing_is_told_once() {
        use Kind::{Failed, Limit, Rejections};
        let week = Duration::from_hours(7 * 24);
        let mut told: Option<Told> = None;
        let mut events = Vec::new();
        for (night, trouble) in [
            None,
            Some((Failed, "3:a")),
            Some((Failed, "3:a")),
            Some((Failed, "3:b")),
            Some((Limit, "5:max_drop")),
            Some((Limit, "5:max_drop")),
            None,
            None,
            Some((Rejections, "1:x")),
            Some((Rejections, "1:x")),
            Some((Failed, "3:a")),
            Some((Rejections, "1:x")),
            None,
        ]
        .into_iter()
        .enumerate()
        {
            let night = i64::try_from(night).unwrap() * 24;
            let decision = decide(&happened(night, trouble), told.as_ref(), Events::ALL, week, at(night));
            events.push(decision.event.map_or("-", Event::code));
            match decision.remembered {
                Remembered::AsBefore => {}
                Remembered::This(this) => told = Some(this),
                Remembered::Nothing => told = None,
            }
        }
        assert_eq!(
            events,
            [
                "-",
                "failed",
                "-",
                "changed",
                "limit",
                "-",
                "recovered",
                "-",
                "rejections",
                "-",
                "failed",
                "rejections",
                "recovered"
            ]
        );
    }

    #[test]
    fn what_lasts_is_told_again_but_rejections_are_not() {
        let told = |kind| Told { kind, reason: "r".into(), since: at(0), at: at(0) };
        let day = Duration::from_hours(24);
        for (kind, hour, event) in [
            (Kind::Failed, 23, None),
            (Kind::Failed, 24, Some(Event::Reminder(Kind::Failed))),
            (Kind::Rejections, 2400, None),
        ] {
            let decision = decide(&happened(hour, Some((kind, "r"))), Some(&told(kind)), Events::ALL, day, at(hour));
            assert_eq!(decision.event, event, "{kind:?}");
        }
    }

    #[test]
    fn a_channel_is_told_what_it_wants() {
        let day = Duration::from_hours(24);
        let on = Events { failed: true, recovered: true, ..Events::NONE };
        let of = |trouble, told: Option<&Told>| decide(&happened(1, trouble), told, on, day, at(1)).event;
        let told = Told { kind: Kind::Failed, reason: "r".into(), since: at(0), at: at(0) };
        assert_eq!(of(Some((Kind::Rejections, "x")), None), None);
        // It is done again, which is what this one waits for.
        assert_eq!(of(Some((Kind::Rejections, "x")), Some(&told)), Some(Event::Recovered));
        assert_eq!(of(None, None), None);
        let silent = Events { recovered: false, ..on };
        let decision = decide(&happened(1, None), Some(&told), silent, day, at(1));
        assert_eq!((decision.event, decision.remembered), (None, Remembered::Nothing));
    }

    #[test]
    fn whoever_interrupts_knows_and_a_hold_is_quiet() {
        let told = Told { kind: Kind::Failed, reason: "r".into(), since: at(0), at: at(0) };
        for came in [Came::LeftOut, Came::Interrupted] {
            let happened = Happened { came, ..happened(1, None) };
            let decision = decide(&happened, Some(&told), Events::ALL, Duration::ZERO, at(1));
            assert_eq!(decision, Decision { event: None, remembered: Remembered::AsBefore });
        }
    }

    /// Regression: a push of some feeds that went well said that all was well again, and the next night told it anew.
    #[test]
    fn a_push_of_some_feeds_says_nothing_of_the_others() {
        let week = Duration::from_hours(7 * 24);
        let told = |kind, reason: &str| Told { kind, reason: reason.into(), since: at(0), at: at(0) };
        let of = |feeds: &[&str], trouble, told: &Told| {
            let rows = if feeds.contains(&"users") { [("students".to_owned(), 1)].into() } else { [].into() };
            let others = feeds.iter().filter(|feed| **feed != "users");
            let feeds = others.map(|feed| ((*feed).to_owned(), Summary::default())).collect();
            let summary = Some(Summary { rows, feeds, ..Summary::default() });
            let happened = Happened { is_partial: true, summary, ..happened(1, trouble) };
            let decision = decide(&happened, Some(told), Events::ALL, week, at(1));
            let reason = match decision.remembered {
                Remembered::This(told) => told.reason,
                Remembered::AsBefore => "as before".into(),
                Remembered::Nothing => String::new(),
            };
            (decision.event, reason)
        };
        let images = told(Kind::Rejections, "1:students/email,images/folder/picture");
        assert_eq!(of(&["contacts"], None, &images), (None, "as before".into()));
        assert_eq!(of(&["users"], None, &images), (None, "as before".into()));
        assert_eq!(of(&["users", "images"], None, &images), (Some(Event::Recovered), String::new()));
        // What is told already is the same, in whatever order.
        assert_eq!(
            of(&["images"], Some((Kind::Rejections, "1:images/folder/picture")), &images),
            (None, "as before".into())
        );
        let more = of(&["contacts"], Some((Kind::Rejections, "1:contacts/refused")), &images);
        assert_eq!(
            more,
            (Some(Event::Changed(Kind::Rejections)), "1:contacts/refused,students/email,images/folder/picture".into())
        );
        let limit = told(Kind::Limit, "5:contacts/max_updates");
        assert_eq!(of(&["users"], None, &limit).0, None);
        assert_eq!(of(&["contacts"], None, &limit).0, Some(Event::Recovered));
        // An extract that has a feed's name.
        let extract = told(Kind::Rejections, "1:contacts/email");
        assert_eq!(of(&["users"], None, &extract).0, Some(Event::Recovered));
        // What failed for one works for the next.
        assert_eq!(of(&["users"], None, &told(Kind::Failed, "4:groups: broken")).0, Some(Event::Recovered));
    }

    #[test]
    fn counts_are_no_reason() {
        assert_eq!(without_digits("12 rows of 4,000 at `h2`"), "# rows of #,# at `h#`");
    }
}
