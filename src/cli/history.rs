//! `history`: past runs, and which runs a command is asked about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::args::{FormatArg, HistoryArgs, Since, StateArg};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::mapping::{self, Mapping, Part, StateLocation};
use crate::state::{Identity, Run, StateError, default_file, read_history};

/// As text, so many runs are shown unless told otherwise: what a screen and somebody's patience hold.
const SHOWN: usize = 50;

/// The runs that are asked for.
#[derive(Debug)]
pub(super) struct Books {
    /// Each store, and the mappings of it that are wanted; `None` is all.
    pub(super) stores: Vec<(StateLocation, Option<Vec<Identity>>)>,
    /// Each mapping that was named, in the order of the files.
    pub(super) asked: Vec<Asked>,
    /// The files of which nothing can be told.
    pub(super) unread: Vec<(PathBuf, Error)>,
}

/// A mapping that was named.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) file: PathBuf,
    pub(super) identity: Identity,
    pub(super) mapping: Mapping,
}

/// One run of a mapping.
#[derive(Debug)]
pub(super) struct Past {
    /// The mapping, by its place in [`Runs::books`].
    pub(super) book: usize,
    pub(super) run: Run,
}

/// What a history gave.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The mappings, each with its file where one was named.
    pub(super) books: Vec<(Identity, Option<PathBuf>)>,
    /// The latest first.
    pub(super) past: Vec<Past>,
    /// How many there are, shown or not.
    pub(super) all: u64,
}

pub(super) async fn run(args: HistoryArgs, mut output: Output) -> Result<ExitCode, Error> {
    let books = Books::find(&args.mappings, &args.state)?;
    let now = Timestamp::now();
    let zone = TimeZone::system();
    let since = args.since.map_or(Ok(Timestamp::MIN), |since| since.moment(now, &zone))?;
    let limit = args.limit.map(|limit| limit as usize).or((args.format == FormatArg::Text).then_some(SHOWN));
    let mut runs = Runs::default();
    // Of the runs so far only the latest are kept: a year of a thousand schools is a lot.
    let mut latest: BinaryHeap<Reverse<(Timestamp, u64)>> = BinaryHeap::new();
    let mut kept = std::collections::HashMap::new();
    let mut found = false;
    for (location, wanted) in &books.stores {
        let offset = runs.books.len();
        let all = &mut runs.all;
        let read = read_history(location, since, wanted.as_deref(), |book, run| {
            *all += 1;
            latest.push(Reverse((run.started_at, *all)));
            kept.insert(*all, Past { book: offset + book, run });
            if limit.is_some_and(|limit| latest.len() > limit)
                && let Some(Reverse((_, oldest))) = latest.pop()
            {
                kept.remove(&oldest);
            }
        });
        if let Some(history) = read.await? {
            found = true;
            runs.books.extend(history.books.into_iter().map(|identity| {
                let asked = books.asked.iter().find(|asked| asked.identity == identity);
                (identity, asked.map(|asked| asked.file.clone()))
            }));
        }
    }
    let mut order: Vec<(Timestamp, u64)> = latest.into_iter().map(|Reverse(key)| key).collect();
    order.sort_unstable_by_key(|key| Reverse(*key));
    runs.past = order.iter().filter_map(|(_, number)| kept.remove(number)).collect();
    if runs.books.is_empty() && books.unread.is_empty() {
        return Err(books.nothing(found));
    }
    let worst = books.unread.iter().map(|(_, error)| output.failure(error)).max();
    match args.format {
        FormatArg::Text if runs.books.is_empty() => {}
        FormatArg::Text => output.history(&runs, &zone, now)?,
        FormatArg::Json => output.history_json(&runs)?,
    }
    Ok(worst.unwrap_or(ExitCode::Complete))
}

impl Since {
    /// The moment that is meant.
    pub(super) fn moment(self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
        match self {
            // Longer ago than there is time: everything.
            Self::Back(back) => Ok(SignedDuration::try_from(back)
                .ok()
                .and_then(|back| now.checked_sub(back).ok())
                .unwrap_or(Timestamp::MIN)),
            Self::Day(day) => day.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).map_err(|_| Error::Usage {
                message: format!("`--since`: there is no day `{day}`"),
                hint: Some("write a date like `2026-11-01`".into()),
            }),
        }
    }
}

impl Books {
    /// The mappings that are named, each in its own state or in the one of `--state`; without any, all of that state, or
    /// of the default one.
    pub(super) fn find(mappings: &[PathBuf], state: &StateArg) -> Result<Self, Error> {
        let given = state.state.as_deref().map(location).transpose()?;
        let mut books = Self { stores: Vec::new(), asked: Vec::new(), unread: Vec::new() };
        if mappings.is_empty() {
            books.stores.push((given.unwrap_or(StateLocation::Default), None));
            return Ok(books);
        }
        let mut places: Vec<String> = Vec::new();
        for file in mapping::find(mappings)? {
            match read(&file, given.as_ref()) {
                Ok((mapping, location)) => {
                    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
                    let place = place(&location);
                    let index = places.iter().position(|known| *known == place).unwrap_or_else(|| {
                        places.push(place);
                        books.stores.push((location, Some(Vec::new())));
                        books.stores.len() - 1
                    });
                    books.stores[index].1.get_or_insert_default().push(identity.clone());
                    books.asked.push(Asked { file, identity, mapping });
                }
                Err(error) => books.unread.push((file, error)),
            }
        }
        Ok(books)
    }

    /// That there is no run to tell of.
    pub(super) fn nothing(&self, is_store: bool) -> Error {
        if self.stores.iter().all(|(location, _)| matches!(location, StateLocation::None)) {
            return Error::Usage {
                message: "`none` keeps no state, and so no history".into(),
                hint: Some("delete `state: none` in the mapping, or name a place with `--state`".into()),
            };
        }
        let places: Vec<String> = self.stores.iter().map(|(location, _)| format!("`{}`", place(location))).collect();
        let what = match self.asked.as_slice() {
            [one] => format!("mapping `{}` and `{}`", one.identity.mapping, one.identity.target),
            [] => "any mapping".to_owned(),
            _ => "any of these mappings".to_owned(),
        };
        let places = places.join(", ");
        Error::Usage {
            message: if is_store {
                format!("the state {places} knows nothing of {what} yet")
            } else {
                format!("there is no state yet: {places}")
            },
            hint: Some(
                "a history begins with the first push; is it the same account, `--state` and mapping as the push has?"
                    .into(),
            ),
        }
    }
}

fn read(file: &std::path::Path, given: Option<&StateLocation>) -> Result<(Mapping, StateLocation), Error> {
    let mut mapping = Mapping::load(file)?;
    if let Some(given) = given {
        return Ok((mapping, given.clone()));
    }
    mapping.resolve(&[Part::State])?;
    let location = mapping.state.clone();
    Ok((mapping, location))
}

/// A place in words, by which two mappings are seen to share one. Has no secrets.
fn place(location: &StateLocation) -> String {
    match location {
        StateLocation::None => "none".to_owned(),
        StateLocation::Default => {
            default_file().map_or_else(|error: StateError| error.to_string(), |file| file.display().to_string())
        }
        StateLocation::File(file) => file.display().to_string(),
        StateLocation::Postgres(connection) => connection.to_string(),
    }
}
