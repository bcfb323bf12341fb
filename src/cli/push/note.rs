//! The outcome of a push for those who were not there: a line in the log, and one in the system's log.

use super::{Ended, Pushed};
use crate::cli::output;
use crate::error::{Error, ExitCode, with_causes};
use crate::ops::system_log::{self, Outcome};
use crate::process::run_id;

/// That a push or a rehearsal of one mapping ended.
pub(super) fn mapping(pushed: &Pushed) {
    let exit_code = pushed.exit_code();
    // For the log's reader; whoever looks at stderr reads the same in better words.
    tracing::info!(exit_code = exit_code.number(), why = pushed.why(), "push ended");
    let name = pushed.name.clone().unwrap_or_else(|| pushed.path.display().to_string());
    note(Some(&name), exit_code, &format!("mapping `{name}`: {}", output::outcome_with_causes(pushed)));
}

/// That all of them ended.
pub(super) fn all(all: &[Ended], exit_code: ExitCode) {
    let done = all.iter().filter(|ended| ended.exit_code <= ExitCode::Rejections).count();
    let failed = all.len() - done;
    if all.len() > 1 {
        tracing::info!(exit_code = exit_code.number(), done, failed, "all ended");
    }
    let mappings = if all.len() == 1 { "mapping" } else { "mappings" };
    note(None, exit_code, &format!("push of {} {mappings} ended: {done} done, {failed} failed", all.len()));
}

/// That the command failed as a whole: a folder without mappings, a signal.
pub(in crate::cli) fn failed(error: &Error) {
    let exit_code = error.exit_code();
    // The causes of what is wrong with a mapping are in its words already.
    let why = if matches!(error, Error::Mapping(_)) { error.to_string() } else { with_causes(error) };
    tracing::info!(exit_code = exit_code.number(), why, "push ended");
    note(None, exit_code, &format!("push failed: {why}"));
}

fn note(mapping: Option<&str>, exit_code: ExitCode, what: &str) {
    let message = format!("{what} (exit code {})", exit_code.number());
    system_log::outcome(&Outcome { mapping, exit_code, message: &message, run: run_id() });
}
