//! When a mapping's next scheduled run is.

use std::path::Path;

use jiff::Timestamp;

/// The next run of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// When it begins.
    pub at: Timestamp,
}

/// The next run that this machine's own schedule has for a mapping's file, if it has one.
// Whoever makes schedules known to the program answers here; a report has no line of it as long as there is none.
pub fn next_run(_mapping: &Path) -> Option<Next> {
    None
}
