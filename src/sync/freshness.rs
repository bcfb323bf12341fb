//! How old the data are, by the queries that a mapping has for it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::ExtractError;
use crate::mapping::{Check, Mapping};
use crate::source::{Source, SourceError, table};

/// The time that each freshness query gave, by the number of its expectation.
pub type Times = BTreeMap<usize, Result<Timestamp, NoTime>>;

/// Why a query gave no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// Nobody asked.
    NotAsked,
    /// Not one row of one column.
    Shape,
    /// The cell is blank: there are no data.
    Blank,
    /// The cell is no time.
    Unreadable,
    /// The time is yet to come.
    Ahead,
}

/// More rows than this are not even counted.
const ROWS_MAX: usize = 1_000;

/// Asks all freshness queries of a mapping, in the session of its extracts.
pub(super) async fn ask(session: &mut dyn Source, mapping: &Mapping) -> Result<Times, ExtractError> {
    let mut times = Times::new();
    for (index, expectation) in mapping.expect.iter().enumerate() {
        let Check::Freshness { query, .. } = &expectation.check else { continue };
        let failed = |source| {
            let (base, line) = (expectation.base.clone(), expectation.line);
            ExtractError::Freshness { base, line, source }
        };
        let table = table::read(session, query, ROWS_MAX).await.map_err(failed)?;
        if table.is_cut {
            let message = "it gives many rows, where one time is needed".into();
            return Err(failed(SourceError::Query { line: None, message }));
        }
        let time = match table.rows.as_slice() {
            [row] => match row.as_slice() {
                [cell] => time(cell, &TimeZone::system()),
                _ => Err(NoTime::Shape),
            },
            _ => Err(NoTime::Shape),
        };
        times.insert(index, time);
    }
    Ok(times)
}

/// A time as databases write it, year first; without an offset it is of `zone`.
fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, NoTime> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NoTime::Blank);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = match text.parse::<DateTime>() {
        Ok(time) => Some(time),
        Err(_) => text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)),
    };
    civil.and_then(|time| zone.to_timestamp(time).ok()).ok_or(NoTime::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_engine_are_read() {
        let zone = TimeZone::fixed(jiff::tz::offset(10));
        for (text, expected) in [
            ("2026-11-23 02:00:00", "2026-11-22T16:00:00Z"),
            ("2026-11-23T02:00:00", "2026-11-22T16:00:00Z"),
            ("2026-11-23 02:00:00.125", "2026-11-22T16:00:00.125Z"),
            ("2026-11-23", "2026-11-22T14:00:00Z"),
            ("2026-11-23 02:00:00+00:00", "2026-11-23T02:00:00Z"),
            ("2026-11-23 02:00:00+00", "2026-11-23T02:00:00Z"),
            ("2026-11-23T02:00:00.5Z", "2026-11-23T02:00:00.5Z"),
            ("2026-11-23 02:00:00.1234567+11:00", "2026-11-22T15:00:00.1234567Z"),
        ] {
            assert_eq!(time(text, &zone).map(|time| time.to_string()), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(time(" ", &zone), Err(NoTime::Blank));
        for text in ["23/11/2026", "yesterday", "20", "2026-13-01"] {
            assert_eq!(time(text, &zone), Err(NoTime::Unreadable), "{text}");
        }
    }
}
