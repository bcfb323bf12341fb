//! `state`: what Infiniti has accepted, to look at and to mend.

use std::path::Path;

use super::args::{StateArg, StateArgs, StateCommand};
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::mapping::{Mapping, Part, StateLocation};
use crate::state::{Identity, State};

/// The place that is named on the command line.
pub(super) fn location(text: &str) -> Result<StateLocation, Error> {
    let folder = Path::new("");
    StateLocation::parse(text, folder)
        .and_then(|location| location.resolved(folder))
        .map_err(|error| Error::Usage { message: format!("`--state`: {}", error.message), hint: error.hint })
}

pub(super) async fn run(args: StateArgs, mut output: Output) -> Result<ExitCode, Error> {
    match args.command {
        StateCommand::Show { mapping, usernames, state, format } => {
            let mut state = look(&mapping, &state).await?;
            let accepted = state.accepted().await?;
            let runs = state.runs(5).await?;
            output.state(&state, &accepted, &runs, &usernames, format)?;
        }
        StateCommand::Export { mapping, state } => {
            let mut state = look(&mapping, &state).await?;
            let accepted = state.accepted().await?;
            output.state_csv(&accepted)?;
        }
        StateCommand::Forget { mapping, usernames, state } => {
            let mut state = open(&mapping, &state).await?;
            let result = state.forget(&usernames).await;
            state.close().await;
            output.forgotten(result?, usernames.len() as u64)?;
        }
        StateCommand::Rebase { mapping, state } => {
            let mut state = open(&mapping, &state).await?;
            let result = state.rebase().await;
            state.close().await;
            output.rebased(result?)?;
        }
    }
    Ok(ExitCode::Complete)
}

async fn look(path: &Path, asked: &StateArg) -> Result<State, Error> {
    let (location, identity) = book(path, asked)?;
    State::look(&location, &identity).await?.ok_or_else(|| nothing(&identity))
}

/// Opens a book that is there already: a typo must not make a new one.
async fn open(path: &Path, asked: &StateArg) -> Result<State, Error> {
    let (location, identity) = book(path, asked)?;
    if State::look(&location, &identity).await?.is_none() {
        return Err(nothing(&identity));
    }
    State::open(&location, &identity).await?.ok_or_else(|| nothing(&identity))
}

fn book(path: &Path, asked: &StateArg) -> Result<(StateLocation, Identity), Error> {
    let mut mapping = Mapping::load(path)?;
    let location = if let Some(text) = &asked.state {
        location(text)?
    } else {
        mapping.resolve(&[Part::State])?;
        mapping.state
    };
    Ok((location, Identity { mapping: mapping.name, target: mapping.target.url.to_string() }))
}

fn nothing(identity: &Identity) -> Error {
    Error::Usage {
        message: format!("the state knows nothing of mapping `{}` and `{}` yet", identity.mapping, identity.target),
        hint: Some("it begins with the first push; is it the right mapping, and the same account and `--state` as the push has?".into()),
    }
}
