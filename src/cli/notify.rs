//! `notify`: tries whether messages arrive, and tells of mappings that are not pushed any more. What a push tells, it tells
//! itself.

use std::path::PathBuf;

use jiff::Timestamp;

use super::args::{NotifyArgs, NotifyCommand};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::mapping;
use crate::mapping::notify::contact;
use crate::ops::notify::event::{Came, Happened};
use crate::ops::notify::{self, Delivery, Found};

pub(super) async fn run(args: NotifyArgs, log: Option<PathBuf>, mut output: Output) -> Result<ExitCode, Error> {
    let place = notify::here(log);
    let (code, deliveries) = match args.command {
        NotifyCommand::Test { mappings } => {
            let files = mapping::find(&mappings)?;
            let named: Vec<Happened> = files.into_iter().map(|file| named(file, place.now)).collect();
            let deliveries = Box::pin(notify::try_out(named, &place)).await;
            if deliveries.is_empty() {
                return Err(Error::Usage {
                    message: "the mappings tell nobody: no channel of `notify` can be used".into(),
                    hint: Some(
                        "name a `webhook` or an `email` below `notify`; `sispush check` says what is wrong there"
                            .into(),
                    ),
                });
            }
            output.delivered(&deliveries)?;
            (ExitCode::Complete, deliveries)
        }
        NotifyCommand::Overdue { mappings, since, state } => {
            let files = mapping::find(&mappings)?;
            let state = state.state.as_deref().map(location).transpose()?;
            let most = since.map(|written| written.duration);
            let (looked, deliveries) = Box::pin(notify::overdue(&files, most, state.as_ref(), &place)).await;
            let code = looked.iter().map(|looked| match looked.found {
                Found::InTime(_) | Found::Held | Found::Never | Found::Overdue(_) => ExitCode::Complete,
                Found::NoMapping => ExitCode::Usage,
                Found::NoState(_) => ExitCode::State,
            });
            let code = code.max().unwrap_or(ExitCode::Complete);
            output.looked(&looked)?;
            output.delivered(&deliveries)?;
            (code, deliveries)
        }
    };
    Ok(code.max(delivered(&deliveries)))
}

fn delivered(deliveries: &[Delivery]) -> ExitCode {
    if deliveries.iter().all(|delivery| delivery.result.is_ok()) { ExitCode::Complete } else { ExitCode::Target }
}

/// A mapping of which nothing happened.
fn named(file: PathBuf, now: Timestamp) -> Happened {
    let name = contact(&file).and_then(|contact| contact.name);
    Happened {
        mapping: name.unwrap_or_else(|| file.display().to_string()),
        file,
        came: Came::Looked,
        exit_code: 0,
        outcome: "test",
        started_at: now,
        ended_at: now,
        trouble: None,
        summary: None,
        is_invalid: false,
        has_notices: false,
        is_partial: false,
        gap: None,
        has_run_lately: false,
    }
}
