//! Carries a plan out, batch by batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Batch, Plan, Progress};
use crate::infiniti::answer::FailedRow;
use crate::infiniti::client::{Payload, Target, TargetError};
use crate::infiniti::payload::Csv;
use crate::infiniti::value::RowPlace;

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// Batches that were sent.
    pub batches: u64,
    /// Rows that Infiniti accepted.
    pub accepted: u64,
    /// Of these, new patrons, as far as Infiniti said.
    pub created: u64,
    /// Of these, patrons that were there already.
    pub updated: u64,
    /// Rows that Infiniti refused, in its words.
    pub failed: Vec<Failure>,
    /// Rows that were sent and of which nobody knows what became of them.
    pub unknown: u64,
    /// Rows that were not sent, since the push ended before.
    pub not_sent: u64,
    /// Bytes of CSV in the batches that were sent.
    pub bytes: u64,
    /// What ended the push early.
    pub error: Option<TargetError>,
    /// From the first batch to the last answer.
    pub elapsed: Duration,
}

/// A row that Infiniti refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The patron.
    pub username: String,
    /// Where it was read.
    pub place: RowPlace,
    /// Infiniti's words.
    pub message: String,
}

/// Sends the batches of a plan one after the other. Stops at the first batch that fails as a whole: what ails one
/// ails the next, and a second unknown outcome helps nobody.
pub async fn push(plan: &Plan, target: &Target, progress: &Arc<Progress>) -> Report {
    let started = Instant::now();
    let mut report = Report::default();
    let mut batches = plan.batches.iter();
    for batch in batches.by_ref() {
        let counted = Arc::new(Counted { csv: Arc::clone(&batch.csv), progress: Arc::clone(progress) });
        let rows = batch.csv.rows() as u64;
        let result = target.push(plan.patrons.contract, counted).await;
        if result.as_ref().err().is_none_or(TargetError::is_unknown) {
            report.batches += 1;
            report.bytes += batch.csv.length();
        }
        match result {
            Ok(receipt) => {
                report.created += receipt.created() as u64;
                report.updated += receipt.updated() as u64;
                report.unknown += receipt.unknown().len() as u64;
                report.failed.extend(receipt.failed().iter().map(|failed| failure(plan, batch, failed)));
                report.accepted += receipt.accepted_count() as u64;
                tracing::info!(
                    batch = report.batches,
                    rows,
                    created = receipt.created(),
                    updated = receipt.updated(),
                    failed = receipt.failed().len(),
                    "batch answered"
                );
            }
            Err(error) => {
                if error.is_unknown() {
                    report.unknown += rows;
                } else {
                    report.not_sent += rows;
                }
                report.error = Some(error);
                break;
            }
        }
    }
    report.not_sent += batches.map(|batch| batch.csv.rows() as u64).sum::<u64>();
    report.elapsed = started.elapsed();
    report
}

fn failure(plan: &Plan, batch: &Batch, failed: &FailedRow) -> Failure {
    let patron = batch.csv.patron(failed.row);
    Failure {
        username: plan.patrons.username(patron),
        place: plan.patrons.place(patron),
        message: failed.message.to_string(),
    }
}

/// A CSV that tells how much of it has left.
#[derive(Debug)]
struct Counted {
    csv: Arc<Csv>,
    progress: Arc<Progress>,
}

impl Payload for Counted {
    fn rows(&self) -> usize {
        self.csv.rows()
    }

    fn length(&self) -> u64 {
        self.csv.length()
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let chunks = Arc::clone(&self.csv).chunks();
        Box::new(chunks.inspect(move |chunk| self.progress.add_bytes(chunk.len() as u64)))
    }
}
