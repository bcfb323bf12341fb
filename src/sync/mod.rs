//! A run: read everything, check everything, and only then send. And what is read without sending: the columns, one patron's
//! row, the age of the data.

mod album;
mod columns;
mod decide;
mod deliver;
pub mod expect;
mod extract;
mod find;
mod freshness;
mod marks;
mod person;
pub mod plan;
mod prepare;
mod record;
mod run;

pub use album::Album;
pub use columns::{ColumnView, ExtractColumns, columns};
pub use decide::{Request, settle};
pub(crate) use extract::missing_columns;
pub use extract::{ExtractError, Extraction, Wanted, extract};
pub use find::{Found, Match, Search, Sought, find};
pub use freshness::{NoTime, Times};
pub use person::{Person, PersonRow, person};
pub use plan::{Asked, Batch, Change, Known, Plan, PlanId, Plans, Reason, Scope, Stop, Why};
pub use record::summary;
pub use run::{Failure, Report, Reports, Run, Timing, push, stop};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::infiniti::contract::{Contract, FEEDS};

/// Some of the feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feeds(u8);

impl Feeds {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);
    /// The accounts alone.
    pub const USERS: Self = Self(1);

    /// The feeds of these contracts.
    pub fn of<'c>(contracts: impl IntoIterator<Item = &'c Contract>) -> Self {
        Self(contracts.into_iter().fold(0, |feeds, contract| feeds | bit(contract)))
    }

    /// These feeds and those.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the feed of a contract is among them.
    pub fn contains(self, contract: &Contract) -> bool {
        self.0 & bit(contract) != 0
    }
}

impl Default for Feeds {
    fn default() -> Self {
        Self::USERS
    }
}

fn bit(contract: &Contract) -> u8 {
    FEEDS.iter().position(|feed| feed.feed == contract.feed).map_or(0, |place| 1 << place)
}

/// How far a run is, for whoever wants to show it.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes sent so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A request to end, and whether somebody is at work who must be let finish a batch.
///
/// One for the whole command, and of it one for each mapping: what is asked of the whole is asked of all.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    flags: Arc<Flags>,
    whole: Option<Arc<Flags>>,
}

#[derive(Debug, Default)]
struct Flags {
    is_asked: AtomicBool,
    /// How many are sending.
    sending: AtomicUsize,
    has_sent: AtomicBool,
}

impl Interrupt {
    /// One for a part of the work.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { flags: Arc::default(), whole: Some(Arc::clone(self.whole.as_ref().unwrap_or(&self.flags))) }
    }

    /// Asks for an end after the batch in flight.
    pub fn ask(&self) {
        self.flags.is_asked.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked for, of this or of the whole.
    pub fn is_asked(&self) -> bool {
        self.all().any(|flags| flags.is_asked.load(Ordering::SeqCst))
    }

    /// Whether a push is between its first batch and its last record.
    pub fn is_sending(&self) -> bool {
        self.flags.sending.load(Ordering::SeqCst) > 0
    }

    /// Whether a push has begun to send, be it over or not.
    pub fn has_sent(&self) -> bool {
        self.flags.has_sent.load(Ordering::SeqCst)
    }

    fn all(&self) -> impl Iterator<Item = &Flags> {
        std::iter::once(&*self.flags).chain(self.whole.as_deref())
    }

    /// Says that a push is sending, for as long as what is returned lives: also when it panics or is given up.
    fn sending(&self) -> Sending {
        let sending = Sending(self.clone());
        for flags in sending.0.all() {
            flags.sending.fetch_add(1, Ordering::SeqCst);
            flags.has_sent.store(true, Ordering::SeqCst);
        }
        sending
    }
}

#[derive(Debug)]
struct Sending(Interrupt);

impl Drop for Sending {
    fn drop(&mut self) {
        for flags in self.0.all() {
            flags.sending.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
