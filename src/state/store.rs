//! What a database must do to be a store. Everything that has a meaning happens above it, in [`State`](super::State).

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::layer::{Layer, Page};
use super::{Identity, Place, STATE_VERSION, StateError};

/// How many days a run is kept: a year, and a month to compare with the year before.
pub const RUNS_KEPT_DAYS: i32 = 400;
/// The same in seconds.
pub(super) const RUNS_KEPT_S: i64 = RUNS_KEPT_DAYS as i64 * 24 * 3600;

/// Notes in the log that a store was made, or brought from an older version to this one: an older program refuses it from now
/// on.
pub(super) fn note_upgrade(place: &Place, from: u32) {
    match from {
        STATE_VERSION.. => {}
        0 => tracing::info!(state = %place, version = STATE_VERSION, "state made"),
        _ => tracing::info!(state = %place, from, version = STATE_VERSION, "state upgraded"),
    }
}

/// The feed whose book is the main one of a mapping and a target.
pub(super) const MAIN: &str = "users";

/// The version that brought books of feeds. All books of a store before are main ones, which a look must read.
pub(super) const FEEDS_SINCE: u32 = 3;

/// A database that holds books.
pub(super) trait Store: Send {
    /// The book of a mapping, a target and a feed, if there is one.
    fn book<'a>(&'a mut self, identity: &'a Identity, feed: &'a str) -> BoxFuture<'a, Result<Option<Row>, StateError>>;

    /// Adds a book, unless another run added it just now; gives the one that is there.
    fn add_book<'a>(
        &'a mut self,
        identity: &'a Identity,
        feed: &'a str,
        key: &'a [u8; 16],
    ) -> BoxFuture<'a, Result<Row, StateError>>;

    /// The feeds of a mapping and a target that have a book, in any order.
    fn feeds<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Result<Vec<String>, StateError>>;

    /// Takes the lock of a book until the store is dropped, however that comes about; gives the owner that left it
    /// without letting go, if there was one.
    ///
    /// # Errors
    /// [`StateError::Held`] while another run has it.
    fn lock<'a>(&'a mut self, book: i64, owner: &'a Owner) -> BoxFuture<'a, Result<Option<Owner>, StateError>>;

    /// Whether the lock is free, without taking it.
    ///
    /// # Errors
    /// [`StateError::Held`] while a run has it.
    fn check_lock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>>;

    /// The version of what is stored.
    fn stored_version(&mut self) -> BoxFuture<'_, Result<u32, StateError>>;

    /// Lets the lock go.
    fn unlock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>>;

    /// All layers of a book.
    fn layers(&mut self, book: i64) -> BoxFuture<'_, Result<Vec<Layer>, StateError>>;

    /// Makes changes in one transaction: all of them, for good, or none. Gives the number of the run, if one is among
    /// them.
    fn commit<'a>(&'a mut self, book: i64, change: Change<'a>) -> BoxFuture<'a, Result<Option<i64>, StateError>>;

    /// The last runs of a book, the latest first.
    fn runs(&mut self, book: i64, most: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StateError>>;

    /// All main books, in the order of their mappings' names.
    fn books(&mut self) -> BoxFuture<'_, Result<Vec<(i64, Identity)>, StateError>>;

    /// Every run since a time in seconds since 1970, of these books, each with its book's id: one book after the other,
    /// the earliest run first.
    fn every_run<'a>(
        &'a mut self,
        since: i64,
        books: &'a [i64],
        each: &'a mut (dyn FnMut(i64, RunRow) + Send),
    ) -> BoxFuture<'a, Result<(), StateError>>;

    /// What each channel was told last of a book.
    fn notices(&mut self, book: i64) -> BoxFuture<'_, Result<BTreeMap<String, String>, StateError>>;

    /// Writes what a channel was told of a book, or that nothing is left to be said.
    fn notice<'a>(
        &'a mut self,
        book: i64,
        channel: &'a str,
        told: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StateError>>;
}

/// A book as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) key: [u8; 16],
    /// How often something was sent on the strength of this book.
    pub(super) revision: i64,
    /// [`Facts`](super::Facts) as JSON.
    pub(super) facts: String,
    /// The highest number of its layers; 0 if there is none.
    pub(super) last_layer: i64,
    /// How many layers there are.
    pub(super) layers: i64,
    /// How many entries they have together, overridden ones included.
    pub(super) entries: i64,
    /// How many bytes they have.
    pub(super) bytes: i64,
}

/// What one transaction changes.
#[derive(Default)]
pub(super) struct Change<'a> {
    /// Layers that go.
    pub(super) drop_layers: Vec<i64>,
    /// A layer that comes: its number and its pages.
    pub(super) layer: Option<(i64, Box<dyn Iterator<Item = Page> + Send + 'a>)>,
    /// The book's revision and facts.
    pub(super) book: Option<(i64, String)>,
    /// A run.
    pub(super) run: Option<RunChange<'a>>,
}

/// A run that is written down: in the main book, whichever is changed.
pub(super) struct RunChange<'a> {
    /// The main book.
    pub(super) book: i64,
    /// The number of a run that is known; nothing for a new one.
    pub(super) number: Option<i64>,
    pub(super) row: &'a RunRow,
}

/// A run as it is stored.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) started_at: Timestamp,
    /// Nothing if the run was killed, or still runs.
    pub(super) ended_at: Option<Timestamp>,
    /// `full` or `delta`.
    pub(super) mode: String,
    /// The plan's id, if it came to one.
    pub(super) plan: Option<String>,
    /// The exit code's number.
    pub(super) exit_code: Option<u8>,
    /// What became of it, as JSON.
    pub(super) report: String,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The machine.
    pub host: String,
    /// The process on it.
    pub process: u32,
    /// Since when.
    pub since: Timestamp,
}
