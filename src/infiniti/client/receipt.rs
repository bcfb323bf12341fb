//! What Infiniti answered for a batch.

use crate::infiniti::answer::{FailedRow, Outcomes};

/// Proof of what Infiniti said about a batch. Only [`Target::push`](super::Target::push) makes one.
#[derive(Debug)]
pub struct Receipt {
    rows: usize,
    outcomes: Outcomes,
    attempts: u32,
}

impl Receipt {
    pub(super) fn new(rows: usize, outcomes: Outcomes, attempts: u32) -> Self {
        Self { rows, outcomes, attempts }
    }

    /// How many rows were sent.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many patrons were created, in Infiniti's count.
    pub fn created(&self) -> usize {
        self.outcomes.created
    }

    /// How many patrons were updated, in Infiniti's count.
    pub fn updated(&self) -> usize {
        self.outcomes.updated
    }

    /// The rows that Infiniti did not accept, in order.
    pub fn failed(&self) -> &[FailedRow] {
        &self.outcomes.failed
    }

    /// The rows of which Infiniti said nothing clear: positions in the batch from 0, in order.
    pub fn unknown(&self) -> &[usize] {
        &self.outcomes.unknown
    }

    /// How often the batch was sent, this time included.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether Infiniti said that it accepted a row (its position in the batch, from 0).
    pub fn is_accepted(&self, row: usize) -> bool {
        row < self.rows
            && self.outcomes.unknown.binary_search(&row).is_err()
            && self.outcomes.failed.binary_search_by_key(&row, |failed| failed.row).is_err()
    }

    /// The rows that Infiniti said it accepted: positions in the batch from 0, in order.
    pub fn accepted(&self) -> impl Iterator<Item = usize> {
        (0..self.rows).filter(|row| self.is_accepted(*row))
    }

    /// How many rows Infiniti said it accepted.
    pub fn accepted_count(&self) -> usize {
        self.rows - self.outcomes.failed.len() - self.outcomes.unknown.len()
    }
}
