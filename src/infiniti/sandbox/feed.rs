//! What the sandbox knows of a feed: where it takes one, in which words it answers, and what does the work.

use axum::body::Bytes;
use axum::http::StatusCode;
use regex::Regex;

use super::store::{Records, Store};
use super::{contacts, groups, images, patrons};
use crate::infiniti::contract::Contract;

/// Every feed that the sandbox takes, in the order of the contract's.
pub(super) static FEEDS: [&Feed; 4] = [&patrons::FEED, &contacts::FEED, &images::FEED, &groups::FEED];

/// One feed, as the sandbox takes it.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) contract: &'static Contract,
    /// Where it is posted, if the vendor's path is not known: below `/sandbox`, so that nobody takes it for the vendor's.
    pub(super) own_path: Option<&'static str>,
    /// What `{mode}` in the path may be.
    pub(super) modes: &'static [&'static str],
    /// What the answers call a row; `s` makes it several.
    pub(super) thing: &'static str,
    /// The largest upload, in bytes.
    pub(super) bytes_max: usize,
    /// What its records are called: in the store's file, and as `/NAME.json`.
    pub(super) records_name: &'static str,
    pub(super) records: for<'a> fn(&'a Store) -> Records<'a>,
    pub(super) import: fn(&mut Store, &Upload, &Order<'_>) -> Result<Imported, Refused>,
}

impl Feed {
    /// Where it is posted. `{mode}` in it is any last segment.
    pub(super) fn path(&self) -> &'static str {
        self.contract.path.or(self.own_path).unwrap_or_default()
    }

    /// The mode that a request's path names; blank where there is none.
    ///
    /// # Errors
    /// One that is not known.
    pub(super) fn mode<'p>(&self, path: &'p str) -> Result<&'p str, Refused> {
        if self.modes.is_empty() {
            return Ok("");
        }
        let mode = path.rsplit('/').next().unwrap_or_default();
        if self.modes.contains(&mode) {
            return Ok(mode);
        }
        let shown: String = mode.chars().take(60).collect();
        let word = if self.modes.len() == 1 { "mode" } else { "modes" };
        Err(format!("Unknown mode ({shown}): the sandbox knows the {word} {} only.", self.modes.join(" and ")).into())
    }
}

/// The file of a request.
#[derive(Debug)]
pub(super) struct Upload {
    /// Its name, as the request has it.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// How an upload is imported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order<'a> {
    /// One of the feed's modes; blank where it has none.
    pub(super) mode: &'a str,
    /// Rows whose key matches fail.
    pub(super) reject: Option<&'a Regex>,
}

impl Order<'_> {
    /// Fails a row that the sandbox was asked to reject.
    pub(super) fn admit(&self, key: &str) -> Result<(), String> {
        match self.reject {
            Some(pattern) if pattern.is_match(key) => Err("The sandbox was asked to reject this user.".to_owned()),
            _ => Ok(()),
        }
    }
}

/// What became of an upload.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// What became of each row, in order.
    pub(super) outcomes: Vec<Outcome>,
}

impl Imported {
    pub(super) fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| wanted(outcome)).count()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
    /// Why, as a sentence.
    Failed(String),
}

impl From<Result<Outcome, String>> for Outcome {
    fn from(outcome: Result<Self, String>) -> Self {
        outcome.unwrap_or_else(Self::Failed)
    }
}

/// An upload that is refused as a whole: nothing of it was imported.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// Why, as a sentence.
    pub(super) reason: String,
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason }
    }
}

impl Refused {
    /// Beyond what is taken at once.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let reason = format!("The file is larger than {} MB.", bytes_max / 1_000_000);
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, reason }
    }
}
