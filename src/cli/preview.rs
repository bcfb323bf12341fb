//! `preview`: rows as they would be sent; nothing is.

use std::sync::Arc;

use super::args::{PreviewArgs, PreviewFormatArg};
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::mapping::Mapping;
use crate::sync::{self, Progress, Wanted};

pub(super) async fn run(args: PreviewArgs, mut output: Output) -> Result<ExitCode, Error> {
    let mut mapping = Mapping::load(&args.mapping)?;
    output.mapping_warnings(&mapping)?;
    mapping.resolve()?;
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    let extraction = sync::extract(&mapping, Wanted { most: args.limit, ..Wanted::default() }, &progress).await;
    shown.finish();
    let patrons = extraction?.patrons;
    match args.format {
        PreviewFormatArg::Table => output.preview_table(&patrons)?,
        PreviewFormatArg::Csv => output.preview_csv(&patrons)?,
        PreviewFormatArg::Json => output.preview_json(&patrons)?,
    }
    Ok(if patrons.rejections.is_empty() { ExitCode::Complete } else { ExitCode::Rejections })
}
