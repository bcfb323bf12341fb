//! What stops a plan before anything is sent.

use super::{Change, Known, Leaver, Reason, Stage};
use crate::infiniti::patron::{ExtractCount, Patrons};
use crate::mapping::{Feed, Limit};
use crate::sync::expect::Verdict;

/// A limit that a plan is over, or an expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// An extract gave fewer rows than `min_rows`.
    TooFewRows {
        /// The extract; `None` is all of them together, and `min_rows_in_all`.
        extract: Option<String>,
        /// Its rows.
        rows: u64,
        /// The limit.
        min_rows: u64,
    },
    /// Fewer rows than in the last good run, by more than `max_drop`.
    Dropped {
        /// The extract; `None` is all of them together.
        extract: Option<String>,
        /// The rows of the last good run.
        before: u64,
        /// The rows now.
        rows: u64,
        /// The limit.
        limit: Limit,
    },
    /// More than a limit allows.
    TooMany {
        /// Of what.
        counted: Counted,
        /// How many.
        count: u64,
        /// Of how many.
        of: u64,
        /// The limit.
        limit: Limit,
    },
    /// An expectation does not hold.
    Expectation(Box<Verdict>),
}

impl Stop {
    /// The key of the limit in a mapping; `expect` for an expectation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFewRows { extract: Some(_), .. } => "min_rows",
            Self::TooFewRows { extract: None, .. } => "min_rows_in_all",
            Self::Dropped { .. } => "max_drop",
            Self::TooMany { counted, .. } => counted.key(),
            Self::Expectation(_) => "expect",
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Rows that were rejected, of all rows.
    Rejections,
    /// Patrons that Infiniti has not accepted before, of those that it has.
    Creates,
    /// Patrons whose row changed, of those that Infiniti has accepted.
    Updates,
    /// Patrons that are deactivated, of those that Infiniti has accepted.
    Deactivations,
}

impl Counted {
    /// The key of the limit in a mapping.
    pub fn key(self) -> &'static str {
        match self {
            Self::Rejections => "max_rejections",
            Self::Creates => "max_creates",
            Self::Updates => "max_updates",
            Self::Deactivations => "max_deactivations",
        }
    }
}

/// Every limit that is passed.
pub(super) fn check(
    patrons: &Patrons,
    feed: &Feed,
    known: &Known,
    changes: &[Change],
    leavers: &[Leaver],
    known_count: u64,
) -> Vec<Stop> {
    let limits = &feed.limits;
    let mut stops = Vec::new();
    for (extract, settings) in patrons.extracts.iter().zip(&feed.extracts) {
        let min_rows = settings.min_rows.unwrap_or(limits.min_rows);
        if extract.counted() < min_rows {
            stops.push(Stop::TooFewRows { extract: Some(extract.name.clone()), rows: extract.counted(), min_rows });
        }
    }
    let rows = patrons.extracts.iter().map(ExtractCount::counted).sum();
    if rows < limits.min_rows_in_all {
        stops.push(Stop::TooFewRows { extract: None, rows, min_rows: limits.min_rows_in_all });
    }
    let mut dropped = |extract: Option<&String>, before: u64, rows: u64| {
        if limits.max_drop.is_exceeded(before.saturating_sub(rows), before) {
            stops.push(Stop::Dropped { extract: extract.cloned(), before, rows, limit: limits.max_drop });
        }
    };
    for extract in &patrons.extracts {
        if let Some(before) = known.facts.rows.get(&extract.name) {
            dropped(Some(&extract.name), *before, extract.counted());
        }
    }
    if patrons.extracts.len() > 1 || known.facts.rows.len() > 1 {
        dropped(None, known.facts.rows.values().sum(), rows);
    }
    let mut too_many = |counted, count: usize, of: u64, limit: Option<Limit>| {
        let count = count as u64;
        // Per cent of nobody says nothing: the first push is all new.
        let has_measure = of > 0 || matches!(limit, Some(Limit::Count(_)));
        if let Some(limit) = limit
            && has_measure
            && limit.is_exceeded(count, of)
        {
            stops.push(Stop::TooMany { counted, count, of, limit });
        }
    };
    too_many(Counted::Rejections, patrons.rejections.len(), patrons.rows(), Some(limits.max_rejections));
    let creates = changes.iter().filter(|change| !change.is_known).count();
    too_many(Counted::Creates, creates, known_count, limits.max_creates);
    let is_update =
        |change: &&Change| change.is_known && matches!(change.reason, Reason::Changed | Reason::Returned | Reason::New);
    too_many(Counted::Updates, changes.iter().filter(is_update).count(), known_count, limits.max_updates);
    let due = leavers.iter().filter(|leaver| leaver.stage == Stage::Due).count();
    too_many(Counted::Deactivations, due, known_count, Some(limits.max_deactivations));
    stops
}
