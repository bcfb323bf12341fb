//! At which times of which days, and which of them is next.

use std::fmt;

use jiff::Zoned;
use jiff::civil::{Time, Weekday};
use jiff::tz::AmbiguousOffset;

use super::ScheduleError;

/// What becomes of a time that the clock skips when summer time begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// It does not run that night.
    LeftOut,
    /// It runs right after the change.
    Later,
}

/// Times of the day, in the machine's local time, on days of the week. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    at: Vec<Time>,
    days: Days,
}

impl Times {
    /// From times as `HH:MM` and days as [`Days::parse`] takes them.
    ///
    /// # Errors
    /// The first text that is no time, or names no days.
    pub fn new<T: AsRef<str>>(at: &[T], days: &str) -> Result<Self, ScheduleError> {
        let mut times = at.iter().map(|text| time(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        times.dedup();
        if times.is_empty() {
            return Err(ScheduleError::Time { text: String::new() });
        }
        Ok(Self { at: times, days: Days::parse(days)? })
    }

    /// The times, in order.
    pub fn at(&self) -> &[Time] {
        &self.at
    }

    /// The days.
    pub fn days(&self) -> Days {
        self.days
    }

    /// One of the times alone, on the same days.
    pub(super) fn only(&self, at: Time) -> Self {
        Self { at: vec![at], days: self.days }
    }

    /// The times as `HH:MM`.
    pub fn at_text(&self) -> Vec<String> {
        self.at.iter().map(|at| hour_and_minute(*at)).collect()
    }

    /// The first of these times after `after`, in its zone. A time that comes twice when summer time ends is the first
    /// of the two. `None` only at the end of the calendar.
    pub fn next_run(&self, after: &Zoned, gap: Gap) -> Option<Zoned> {
        let zone = after.time_zone();
        // Of eight days each weekday is one, whatever the time; and the first may be skipped.
        let days = after.date().series(jiff::ToSpan::days(1)).take(16);
        let runs = days.filter(|day| self.days.contains(day.weekday())).flat_map(|day| {
            self.at.iter().filter_map(move |at| {
                let moment = zone.to_ambiguous_zoned(day.to_datetime(*at));
                match (moment.offset(), gap) {
                    (AmbiguousOffset::Gap { .. }, Gap::LeftOut) => None,
                    (AmbiguousOffset::Gap { .. }, Gap::Later) => {
                        let later = moment.later().ok()?;
                        let change = zone.preceding(later.timestamp()).next()?;
                        Some(change.timestamp().to_zoned(zone.clone()))
                    }
                    _ => moment.earlier().ok(),
                }
            })
        });
        // Not simply the first: what was skipped may run after a later time.
        runs.filter(|run| run > after).take(2 * self.at.len()).min()
    }

    /// The first night within `days` after `after` in which the clock skips one of these times: when it would have run.
    pub fn next_skipped(&self, after: &Zoned, days: i32) -> Option<(jiff::civil::Date, Time)> {
        let zone = after.time_zone();
        let all = after.date().series(jiff::ToSpan::days(1)).take(usize::try_from(days).unwrap_or_default());
        all.filter(|day| self.days.contains(day.weekday())).find_map(|day| {
            let is_skipped = |at: &&Time| {
                matches!(zone.to_ambiguous_zoned(day.to_datetime(**at)).offset(), AmbiguousOffset::Gap { .. })
            };
            self.at.iter().find(is_skipped).map(|at| (day, *at))
        })
    }
}

/// `HH:MM`.
pub(super) fn hour_and_minute(at: Time) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

fn time(text: &str) -> Result<Time, ScheduleError> {
    let wrong = || ScheduleError::Time { text: text.to_owned() };
    let number = |digits: &str, length: std::ops::RangeInclusive<usize>| {
        let is_number = length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i8>().ok()).flatten().ok_or_else(wrong)
    };
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    Time::new(number(hour, 1..=2)?, number(minute, 2..=2)?, 0, 0).map_err(|_| wrong())
}

/// Days of the week. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

/// Monday first, as `jiff` counts.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Days {
    /// Every day.
    pub const DAILY: Self = Self(0b111_1111);

    /// From `daily`, or days and ranges: `mon-fri`, `mon,wed,sat-sun`.
    ///
    /// # Errors
    /// When a word is no day.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let wrong = || ScheduleError::Days { text: text.to_owned() };
        let lower = text.trim().to_ascii_lowercase();
        if matches!(lower.as_str(), "daily" | "all" | "*") {
            return Ok(Self::DAILY);
        }
        let index = |word: &str| {
            let word = word.trim();
            let is_short = word.len() >= 3 && word.is_char_boundary(3);
            let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
            full.iter().position(|day| is_short && day.starts_with(word)).ok_or_else(wrong)
        };
        let mut days = 0;
        for part in lower.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (mut day, last) = (index(first)?, index(last)?);
            days |= 1 << day;
            // `sat-mon` goes over the week's end.
            while day != last {
                day = (day + 1) % 7;
                days |= 1 << day;
            }
        }
        Ok(Self(days))
    }

    /// Whether a day is among them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day.to_monday_zero_offset()) != 0
    }

    /// Their numbers, from 0 for Monday.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        (0..7).filter(move |day| self.0 & (1 << day) != 0)
    }

    /// The longest runs of days that follow each other within a week, as first and last.
    pub(super) fn ranges(self) -> Vec<(usize, usize)> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for day in self.numbers() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => ranges.push((day, day)),
            }
        }
        ranges
    }
}

/// As [`Days::parse`] takes them, always in the same words.
impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::DAILY {
            return f.write_str("daily");
        }
        let parts: Vec<String> = self
            .ranges()
            .into_iter()
            .map(|(first, last)| match last - first {
                0 => NAMES[first].to_owned(),
                1 => format!("{},{}", NAMES[first], NAMES[last]),
                _ => format!("{}-{}", NAMES[first], NAMES[last]),
            })
            .collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check_next(at: &[&str], days: &str, gap: Gap, after: &str, next: &str) {
        let times = Times::new(at, days).unwrap();
        let run = times.next_run(&after.parse().unwrap(), gap).unwrap();
        assert_eq!(run.to_string(), next, "{at:?} {days} after {after}");
    }

    #[test]
    fn the_next_run_is_the_first_time_of_an_allowed_day() {
        let friday = "2026-11-27T16:00+11:00[Australia/Sydney]";
        check_next(&["04:30"], "daily", Gap::LeftOut, friday, "2026-11-28T04:30:00+11:00[Australia/Sydney]");
        check_next(&["04:30"], "mon-fri", Gap::LeftOut, friday, "2026-11-30T04:30:00+11:00[Australia/Sydney]");
        check_next(&["4:30", "18:00"], "fri", Gap::LeftOut, friday, "2026-11-27T18:00:00+11:00[Australia/Sydney]");
        // At the very minute it has begun already.
        check_next(&["16:00"], "fri", Gap::LeftOut, friday, "2026-12-04T16:00:00+11:00[Australia/Sydney]");
    }

    /// What `systemd-analyze calendar` says of the same nights.
    #[test]
    fn a_time_that_the_clock_skips_is_left_out_or_comes_right_after() {
        let before = "2026-10-03T12:00+10:00[Australia/Sydney]";
        check_next(&["02:30"], "daily", Gap::LeftOut, before, "2026-10-05T02:30:00+11:00[Australia/Sydney]");
        check_next(&["02:30"], "daily", Gap::Later, before, "2026-10-04T03:00:00+11:00[Australia/Sydney]");
        check_next(&["02:30"], "sun", Gap::LeftOut, before, "2026-10-11T02:30:00+11:00[Australia/Sydney]");
        let times = Times::new(&["01:30", "02:30"], "daily").unwrap();
        let (day, at) = times.next_skipped(&before.parse().unwrap(), 400).unwrap();
        assert_eq!((day.to_string(), hour_and_minute(at)), ("2026-10-04".into(), "02:30".into()));
        let safe = Times::new(&["04:30"], "daily").unwrap();
        assert_eq!(safe.next_skipped(&before.parse().unwrap(), 400), None);
    }

    #[test]
    fn a_time_that_comes_twice_runs_the_first_time() {
        let before = "2026-04-04T12:00+11:00[Australia/Sydney]";
        check_next(&["02:30"], "daily", Gap::LeftOut, before, "2026-04-05T02:30:00+11:00[Australia/Sydney]");
        let between = "2026-04-05T02:45+11:00[Australia/Sydney]";
        check_next(&["02:30"], "daily", Gap::LeftOut, between, "2026-04-06T02:30:00+10:00[Australia/Sydney]");
    }

    /// Why it is the default, and what the README says of it.
    #[test]
    fn no_clock_skips_or_repeats_half_past_four() {
        let now = jiff::Timestamp::now();
        let mut zones = 0;
        for name in jiff::tz::db().available() {
            let zone = jiff::tz::TimeZone::get(name.as_str()).unwrap();
            zones += 1;
            for change in zone.following(now).take(4) {
                let just_before = change.timestamp() - jiff::SignedDuration::from_nanos(1);
                let [before, after] = [just_before, change.timestamp()].map(|at| at.to_zoned(zone.clone()).datetime());
                let between = before.min(after)..=before.max(after);
                let default = [before, after].map(|day| day.date().at(4, 30, 0, 0));
                assert!(!default.iter().any(|at| between.contains(at)), "{name:?}: {between:?}");
            }
        }
        assert!(zones > 300, "{zones}");
    }

    #[test]
    fn days_are_words_and_ranges() {
        for (text, shown) in [
            ("mon-fri", "mon-fri"),
            ("Monday, wed,SATURDAY-sun", "mon,wed,sat,sun"),
            ("sat-mon", "mon,sat,sun"),
            ("mon-sun", "daily"),
            ("daily", "daily"),
            ("tue,mon", "mon,tue"),
        ] {
            assert_eq!(Days::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["", "mo", "weekdays", "mon-", "-fri", "mon;tue", "montag", "1-5"] {
            assert!(Days::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_hours_and_minutes() {
        assert_eq!(Times::new(&["18:05", "4:30", "04:30"], "daily").unwrap().at_text(), ["04:30", "18:05"]);
        for text in ["", "24:00", "4", "4:3", "04:60", "+4:30", "4:30pm", "4.30", "04:30:00", "-1:30"] {
            assert!(Times::new(&[text], "daily").is_err(), "{text}");
        }
        assert!(Times::new::<&str>(&[], "daily").is_err());
    }

    proptest! {
        #[test]
        fn days_are_parsed_as_they_are_shown(bits in 1u8..128) {
            let days = Days(bits);
            prop_assert_eq!(Days::parse(&days.to_string()).unwrap(), days);
        }

        /// By trying every minute.
        #[test]
        fn the_next_run_is_no_later_than_any_minute_that_fits(
            bits in 1u8..128,
            hour in 0i8..24,
            minute in 0i8..60,
            start in 1_774_000_000i64..1_800_000_000,
        ) {
            let times = Times { at: vec![Time::new(hour, minute, 0, 0).unwrap()], days: Days(bits) };
            let after = jiff::Timestamp::from_second(start).unwrap().in_tz("Australia/Sydney").unwrap();
            let next = times.next_run(&after, Gap::LeftOut).unwrap();
            let mut minutes = after.clone();
            let first = loop {
                minutes = minutes.checked_add(jiff::ToSpan::seconds(i64::from(60 - minutes.second()))).unwrap();
                let fits = times.days.contains(minutes.weekday()) && minutes.time() == times.at[0];
                // The second pass of an hour does not count.
                if fits && minutes.time_zone().to_ambiguous_zoned(minutes.datetime()).earlier().unwrap() == minutes {
                    break minutes;
                }
            };
            prop_assert_eq!(next, first);
        }
    }
}
