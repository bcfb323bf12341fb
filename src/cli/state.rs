//! `state`: what Infiniti has accepted, to look at and to mend.

use std::path::Path;

use super::args::{FeedArg, StateArg, StateArgs, StateCommand};
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::{Contract, FEEDS, USERNAME};
use crate::mapping::{Mapping, Part, StateLocation};
use crate::state::{Accepted, Facts, Identity, State};
use crate::sync::Known;

/// The place that is named on the command line.
pub(super) fn location(text: &str) -> Result<StateLocation, Error> {
    let folder = Path::new("");
    StateLocation::parse(text, folder)
        .and_then(|location| location.resolved(folder))
        .map_err(|error| Error::Usage { message: format!("`--state`: {}", error.message), hint: error.hint })
}

/// What the state knows of one feed.
#[derive(Debug)]
pub(super) struct FeedView {
    pub(super) contract: &'static Contract,
    pub(super) facts: Facts,
    pub(super) accepted: Accepted,
}

pub(super) async fn run(args: StateArgs, mut output: Output) -> Result<ExitCode, Error> {
    match args.command {
        StateCommand::Show { mapping, usernames, feed, state, format } => {
            let mut state = look(&mapping, &state).await?;
            let runs = state.runs(5).await?;
            let mut feeds = Vec::new();
            // The accounts are there even if the state has nothing of them; of the others those that it has something of.
            for contract in asked_feeds(&mut state, feed).await? {
                feeds.push(view(&mut state, contract).await?);
            }
            output.state(&state.place(), &feeds, &runs, &usernames, format)?;
        }
        StateCommand::Export { mapping, feed, state } => {
            let mut state = look(&mapping, &state).await?;
            for contract in asked_feeds(&mut state, Some(feed)).await? {
                output.state_csv(&view(&mut state, contract).await?)?;
            }
        }
        StateCommand::Forget { mapping, usernames, feed, state } => {
            let mut state = open(&mapping, &state).await?;
            let result = forget(&mut state, &usernames, feed).await;
            state.close().await;
            output.forgotten(&result?, usernames.len() as u64)?;
        }
        StateCommand::Rebase { mapping, feed, state } => {
            let mut state = open(&mapping, &state).await?;
            let result = rebase(&mut state, feed).await;
            state.close().await;
            output.rebased(&result?)?;
        }
    }
    Ok(ExitCode::Complete)
}

/// The feed that is asked for, or all that the state has a book of, the accounts first. To turn to another would make an empty
/// book.
async fn asked_feeds(state: &mut State, feed: Option<FeedArg>) -> Result<Vec<&'static Contract>, Error> {
    let there = state.feeds().await?;
    let is_there = |contract: &&'static Contract| there.iter().any(|feed| feed == contract.feed);
    match feed.map(FeedArg::contract) {
        None => Ok(FEEDS.into_iter().filter(is_there).collect()),
        Some(contract) if is_there(&contract) => Ok(vec![contract]),
        Some(contract) => Err(Error::Usage {
            message: format!("the state knows nothing of `{}` yet", contract.feed),
            hint: Some(
                format!("it has {}", there.iter().map(|feed| format!("`{feed}`")).collect::<Vec<_>>().join(", "))
                    .into(),
            ),
        }),
    }
}

async fn view(state: &mut State, contract: &'static Contract) -> Result<FeedView, Error> {
    state.turn_to(contract.feed).await?;
    Ok(FeedView { contract, facts: state.facts().clone(), accepted: state.accepted().await? })
}

/// Forgets patrons, by the key that each feed has of them; how many, feed by feed.
async fn forget(
    state: &mut State,
    usernames: &[String],
    feed: Option<FeedArg>,
) -> Result<Vec<(&'static Contract, u64)>, Error> {
    let feeds = asked_feeds(state, feed).await?;
    let users = Known::of(state).await?;
    let mut forgotten = Vec::new();
    for contract in feeds {
        state.turn_to(contract.feed).await?;
        let keys = match contract.account {
            None | Some(USERNAME) => usernames.to_vec(),
            Some(header) => users.keys_of(usernames, header, &state.accepted().await?),
        };
        forgotten.push((contract, state.forget(&keys).await?));
    }
    Ok(forgotten)
}

/// Has everybody sent again; how many are known, feed by feed.
async fn rebase(state: &mut State, feed: Option<FeedArg>) -> Result<Vec<(&'static Contract, u64)>, Error> {
    let mut known = Vec::new();
    for contract in asked_feeds(state, feed).await? {
        state.turn_to(contract.feed).await?;
        known.push((contract, state.rebase().await?));
    }
    Ok(known)
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
