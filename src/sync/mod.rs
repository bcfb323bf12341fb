//! A run: read everything, check everything, and only then send.

mod extract;
mod plan;
mod run;

pub use extract::{ExtractError, Extraction, extract};
pub use plan::{Batch, Plan, Stop};
pub use run::{Failure, Report, push};

use std::sync::atomic::{AtomicU64, Ordering};

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
