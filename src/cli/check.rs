//! `check`: the mapping files alone, offline.

use super::args::{CheckArgs, CheckFormatArg};
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::mapping::{self, Mapping};

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.mappings)?;
    let results: Vec<_> = paths.iter().map(|path| (path.clone(), Mapping::check(path))).collect();
    let is_valid = results.iter().all(|(_, result)| result.is_ok());
    match args.format {
        CheckFormatArg::Text => output.checked(&results)?,
        CheckFormatArg::Json => output.checked_json(&results)?,
        CheckFormatArg::Sarif => output.checked_sarif(&results)?,
    }
    let has_warnings = results.iter().flat_map(|(_, result)| result).any(|mapping| !mapping.warnings.is_empty());
    let is_denied = args.deny_warnings && has_warnings;
    if is_denied && is_valid {
        output.warnings_denied()?;
    }
    Ok(if is_valid && !is_denied { ExitCode::Complete } else { ExitCode::Usage })
}
