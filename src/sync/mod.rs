//! A run: read everything, check everything, and only then send. And what is read without sending: the columns, one patron's
//! row, the age of the data.

mod columns;
pub mod expect;
mod extract;
mod find;
mod freshness;
pub mod plan;
mod run;

pub use columns::{ColumnView, ExtractColumns, columns};
pub(crate) use extract::missing_columns;
pub use extract::{ExtractError, Extraction, Wanted, extract};
pub use find::{Found, Match, Search, Sought, find};
pub use freshness::{NoTime, Times};
pub use plan::{Asked, Batch, Change, Known, Plan, PlanId, Reason, Scope, Stop, Why};
pub use run::{Failure, Report, Run, push, stop};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

    /// Bytes of CSV sent so far.
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
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_asked: AtomicBool,
    is_sending: AtomicBool,
}

impl Interrupt {
    /// Asks for an end after the batch in flight.
    pub fn ask(&self) {
        self.0.is_asked.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::SeqCst)
    }

    /// Whether a push is between its first batch and its last record.
    pub fn is_sending(&self) -> bool {
        self.0.is_sending.load(Ordering::SeqCst)
    }

    fn set_sending(&self, is_sending: bool) {
        self.0.is_sending.store(is_sending, Ordering::SeqCst);
    }
}
