//! What a mapping expects of the data.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;

use super::Limit;
use crate::infiniti::contract::{Header, USERS};

/// One expectation.
#[derive(Debug)]
pub struct Expectation {
    /// What must hold.
    pub check: Check,
    /// What happens when it does not.
    pub consequence: Consequence,
    /// The base, if it stands there and not in the mapping itself.
    pub base: Option<PathBuf>,
    /// The line in its file, counted from 1.
    pub line: usize,
}

/// What happens when an expectation does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The report says so.
    Warn,
    /// Nothing is sent.
    Stop,
}

/// What must hold.
#[derive(Debug)]
pub enum Check {
    /// The rows that an extract gives, or all of them together.
    Rows {
        /// The extract; `None` is all of them.
        extract: Option<String>,
        /// The fewest.
        min: Option<u64>,
        /// The most.
        max: Option<u64>,
    },
    /// The values of a header as they would be sent, of all patrons or of those of one extract.
    Values {
        /// The header.
        header: Header,
        /// The extract; `None` is all of them.
        extract: Option<String>,
        /// What holds of the values.
        rule: ValueRule,
    },
    /// One patron has these values; blank is a header that is not sent.
    Patron {
        /// The patron's username.
        username: String,
        /// The values.
        is: Vec<(Header, String)>,
    },
    /// The time that a query gives is not too long ago. At least one of the bounds is there.
    Freshness {
        /// The query.
        query: String,
        /// Older than this is a warning.
        warn_after: Option<Duration>,
        /// Older than this stops a push.
        error_after: Option<Duration>,
    },
}

/// What holds of the values of a header. Blanks are not looked at, but by [`ValueRule::Filled`].
#[derive(Debug)]
pub enum ValueRule {
    /// At least so many are there.
    Filled(Limit),
    /// Each matches.
    Matches(Regex),
    /// Each is one of these, in the contract's spelling.
    OneOf(Vec<String>),
    /// No two are the same.
    Unique,
    /// Each is a number within these bounds.
    Range {
        /// The lowest.
        min: Option<f64>,
        /// The highest.
        max: Option<f64>,
    },
    /// Each was there in an earlier push.
    NoNewValues,
}

impl ValueRule {
    /// Whether a value that is not blank keeps the rule, as far as it says something of one value alone.
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Filled(_) | Self::Unique | Self::NoNewValues => true,
            Self::Matches(pattern) => pattern.is_match(value),
            Self::OneOf(words) => words.iter().any(|word| word == value),
            Self::Range { min, max } => value
                .parse::<f64>()
                .is_ok_and(|number| min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)),
        }
    }
}

/// The expectation in words, for reports. The values that a patron is expected to have are left out.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.check {
            Check::Rows { extract, min, max } => {
                match extract {
                    Some(extract) => write!(f, "rows of `{extract}`: ")?,
                    None => write!(f, "rows of all extracts: ")?,
                }
                write_bounds(f, *min, *max)
            }
            Check::Values { header, extract, rule } => {
                write!(f, "`{}`", USERS.rule(*header).name)?;
                if let Some(extract) = extract {
                    write!(f, " of `{extract}`")?;
                }
                write!(f, " {rule}")
            }
            Check::Patron { username, is } => {
                let headers: Vec<String> =
                    is.iter().map(|(header, _)| format!("`{}`", USERS.rule(*header).name)).collect();
                write!(f, "patron `{username}` has the expected {}", headers.join(", "))
            }
            Check::Freshness { .. } => write!(f, "the data are fresh"),
        }
    }
}

impl fmt::Display for ValueRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filled(Limit::Count(count)) => write!(f, "is filled for at least {count}"),
            Self::Filled(Limit::Percent(percent)) => write!(f, "is filled for at least {percent} %"),
            Self::Matches(pattern) => write!(f, "matches `{pattern}`"),
            Self::OneOf(words) => write!(f, "is one of `{}`", words.join("`, `")),
            Self::Unique => write!(f, "is unique"),
            Self::Range { min, max } => {
                write!(f, "is ")?;
                write_bounds(f, *min, *max)
            }
            Self::NoNewValues => write!(f, "has no new values"),
        }
    }
}

fn write_bounds<T: fmt::Display>(f: &mut fmt::Formatter<'_>, min: Option<T>, max: Option<T>) -> fmt::Result {
    match (min, max) {
        (Some(min), Some(max)) => write!(f, "{min} to {max}"),
        (Some(min), None) => write!(f, "at least {min}"),
        (None, Some(max)) => write!(f, "at most {max}"),
        (None, None) => Ok(()),
    }
}
