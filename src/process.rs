//! This process and its machine, by the names that logs, locks and the history know them by.

use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;

/// The id of a process: 16 hexadecimal digits. The first eleven are the milliseconds since 1970 at which it was asked for
/// first, so that ids sort as the processes began (until the year 2527); the other five are random, for those that
/// began together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

/// How many bits are random.
const RANDOM_BITS: u32 = 20;

/// The id of this process, which stands in its log, in the system's log, and in what it records.
pub fn run_id() -> RunId {
    static RUN_ID: OnceLock<RunId> = OnceLock::new();
    *RUN_ID.get_or_init(|| {
        // Without the system's random numbers, the number of the process: two at a time never share it on one machine.
        let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
        RunId::new(Timestamp::now(), random)
    })
}

/// The name of this machine.
pub fn this_host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

impl RunId {
    /// The id of a process that began at this time.
    pub(crate) fn new(began: Timestamp, random: u32) -> Self {
        let milliseconds = u64::try_from(began.as_millisecond()).unwrap_or(0);
        Self(milliseconds << RANDOM_BITS | u64::from(random) & ((1 << RANDOM_BITS) - 1))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ_within_a_millisecond() {
        let id = |time: &str, random| RunId::new(time.parse().unwrap(), random).to_string();
        assert_eq!(id("2026-11-23T02:30:00.125Z", 0xabc_de12), "1a2063d24bdcde12");
        assert!(id("2026-11-23T02:30:00.125Z", u32::MAX) < id("2026-11-23T02:30:00.126Z", 0));
        assert_ne!(id("2026-11-23T02:30:00.125Z", 1), id("2026-11-23T02:30:00.125Z", 2));
        // Times before 1970 and after 2527, as of a machine whose clock is wrong, still give sixteen digits.
        assert_eq!(id("1950-01-01T00:00:00Z", 7), "0000000000000007");
        assert_eq!(id("9999-12-30T00:00:00Z", 7).len(), 16);
    }

    #[test]
    fn a_process_has_one_id() {
        assert_eq!(run_id(), run_id());
        assert!(run_id() > RunId::new("2026-01-01T00:00:00Z".parse().unwrap(), 0));
    }
}
