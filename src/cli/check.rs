//! `check`: the mapping files alone, offline.

use super::args::{CheckArgs, FormatArg};
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::mapping::{self, Mapping};

pub(super) fn run(args: &CheckArgs, output: &mut Output) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.mappings)?;
    let results: Vec<_> = paths.iter().map(|path| (path.clone(), Mapping::check(path))).collect();
    let is_valid = results.iter().all(|(_, result)| result.is_ok());
    match args.format {
        FormatArg::Text => output.checked(&results)?,
        FormatArg::Json => output.checked_json(&results)?,
    }
    Ok(if is_valid { ExitCode::Complete } else { ExitCode::Usage })
}
