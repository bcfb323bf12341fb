//! One book, as far as it is in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::store::Row;
use crate::infiniti::fingerprint::Key;

/// What a book says of its feed as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When a push that sent everybody ended well, in seconds since 1970.
    pub full_at: Option<i64>,
    /// The headers that the mapping filled then, and how.
    pub headers: String,
    /// Whether every patron was sent once, so that who is not known is new to Infiniti, too.
    pub has_baseline: bool,
    /// The rows that each extract gave in the last good run.
    pub rows: BTreeMap<String, u64>,
    /// Prints of the form classes that Infiniti has been sent.
    pub form_classes: BTreeSet<u64>,
    /// By header, prints of the values that Infiniti has been sent: of the headers of which no new values are expected.
    pub values: BTreeMap<String, BTreeSet<u64>>,
    /// About how many patrons there are in the book.
    pub patrons: u64,
}

/// The book of a feed.
pub(super) struct Book {
    /// Whose rows it is about.
    pub(super) feed: &'static str,
    /// Its number in the store; nothing if there is no such book.
    pub(super) id: Option<i64>,
    pub(super) key: Key,
    pub(super) revision: i64,
    pub(super) facts: Facts,
    /// The highest number of a layer so far.
    last_layer: i64,
    /// What its layers had when it was opened.
    size: Size,
    /// The layer that says that a batch is on its way.
    pub(super) departure: Option<i64>,
}

/// How much the layers of a book have.
#[derive(Clone, Copy, Default)]
struct Size {
    layers: i64,
    entries: i64,
    bytes: i64,
}

/// Books smaller than this are packed into one layer whenever there are two.
const SMALL_BYTES: i64 = 4 << 20;
/// More layers than this are packed into one.
const LAYERS_MAX: i64 = 8;

impl Book {
    /// A book as it is stored.
    pub(super) fn stored(feed: &'static str, row: &Row) -> serde_json::Result<Self> {
        Ok(Self {
            feed,
            id: Some(row.id),
            key: Key::stored(row.key),
            revision: row.revision,
            facts: serde_json::from_str(&row.facts)?,
            last_layer: row.last_layer,
            size: Size { layers: row.layers, entries: row.entries, bytes: row.bytes },
            departure: None,
        })
    }

    /// In the place of one that there is not.
    pub(super) fn none(feed: &'static str) -> Self {
        Self {
            feed,
            id: None,
            // There is no fingerprint to compare with.
            key: Key::stored([0; 16]),
            revision: 0,
            facts: Facts::default(),
            last_layer: 0,
            size: Size::default(),
            departure: None,
        }
    }

    pub(super) fn next_layer(&mut self) -> i64 {
        self.last_layer += 1;
        self.last_layer
    }

    /// Whether its layers are worth the while of packing them into one.
    pub(super) fn is_worth_packing(&self) -> bool {
        // A third of what is read each night would be of no use.
        let is_mostly_overridden = self.size.entries * 2 > i64::try_from(self.facts.patrons).unwrap_or(i64::MAX) * 3;
        let is_worth_it = self.size.bytes < SMALL_BYTES || self.size.layers > LAYERS_MAX || is_mostly_overridden;
        self.size.layers > 1 && is_worth_it
    }
}
