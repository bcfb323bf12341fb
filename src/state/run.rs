//! A run, as it is told and as it is stored.

use jiff::{SignedDuration, Timestamp};

use super::Summary;
use super::store::RunRow;

/// A run as the history keeps it. Counts only: no value of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing if it was killed, or still runs.
    pub ended_at: Option<Timestamp>,
    /// `full` or `delta`.
    pub mode: String,
    /// The plan's id, if it came to one.
    pub plan: Option<String>,
    /// The exit code's number.
    pub exit_code: Option<u8>,
    /// What it came to.
    pub summary: Summary,
}

/// Clocks of several machines may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

impl Run {
    /// Whether it began in what is the future now: a clock was wrong then. Such a run says nothing of when something was
    /// done, or what is done every night would rest until that day.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.started_at.duration_since(now) > SKEW
    }
}

pub(super) fn run_row(run: &Run) -> RunRow {
    RunRow {
        started_at: run.started_at,
        ended_at: run.ended_at,
        mode: run.mode.clone(),
        plan: run.plan.clone(),
        exit_code: run.exit_code,
        // Texts and numbers only: it cannot fail.
        report: serde_json::to_string(&run.summary).unwrap_or_default(),
    }
}

pub(super) fn run(row: RunRow) -> Run {
    Run {
        started_at: row.started_at,
        ended_at: row.ended_at,
        mode: row.mode,
        plan: row.plan,
        exit_code: row.exit_code,
        summary: serde_json::from_str(&row.report).unwrap_or_default(),
    }
}
