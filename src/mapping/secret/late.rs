//! What gave no secret in time. It is not waited for again soon: hundreds of schools may ask the same program, in the push
//! and again for its notifications, and would wait for it one after the other.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mapping::secret::Fault;

/// For so long nobody asks again.
const SOON: Duration = Duration::from_mins(5);

static LATE: Mutex<Vec<(String, Instant, Fault)>> = Mutex::new(Vec::new());

/// What was wrong with this a short time ago.
pub(super) fn before(what: &str) -> Option<Fault> {
    let mut late = LATE.lock().unwrap_or_else(PoisonError::into_inner);
    late.retain(|(_, at, _)| at.elapsed() < SOON);
    late.iter().find(|(known, ..)| known == what).map(|(_, _, fault)| fault.clone())
}

/// Keeps that this came to nothing in time.
pub(super) fn remember(what: String, fault: &Fault) {
    LATE.lock().unwrap_or_else(PoisonError::into_inner).push((what, Instant::now(), fault.clone()));
}
