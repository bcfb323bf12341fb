//! `test`: whether what the mappings expect of the data holds; nothing is sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{TestArgs, TestFormatArg};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::Contract;
use crate::infiniti::patron::{ExtractCount, Patrons};
use crate::mapping::{self, Check, Mapping, Part, StateLocation, ValueRule};
use crate::state::{Identity, State};
use crate::sync::expect::{self, Outcome, Verdict};
use crate::sync::{self, ExtractError, Feeds, Known, Progress, Wanted};

/// What became of the test of one mapping.
#[derive(Debug)]
pub(super) struct Tested {
    pub(super) path: PathBuf,
    /// The mapping's name, once it could be read.
    pub(super) name: Option<String>,
    pub(super) result: Result<Results, Error>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Results {
    /// The accounts.
    pub(super) users: FeedCount,
    /// The other feeds that the mapping has.
    pub(super) others: Vec<FeedCount>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) elapsed: Duration,
}

/// What a feed's extracts gave.
#[derive(Debug)]
pub(super) struct FeedCount {
    pub(super) contract: &'static Contract,
    pub(super) extracts: Vec<ExtractCount>,
    pub(super) rejections: u64,
}

impl FeedCount {
    fn of(patrons: Patrons) -> Self {
        Self { contract: patrons.contract, rejections: patrons.rejections.len() as u64, extracts: patrons.extracts }
    }

    pub(super) fn rows(&self) -> u64 {
        self.extracts.iter().map(|extract| extract.rows).sum()
    }
}

impl Tested {
    pub(super) fn exit_code(&self) -> ExitCode {
        match &self.result {
            Err(error) => error.exit_code(),
            Ok(results) if results.of_outcome(Outcome::Failed) > 0 => ExitCode::Stopped,
            Ok(results) if results.feeds().any(|feed| feed.rejections > 0) => ExitCode::Rejections,
            Ok(_) => ExitCode::Complete,
        }
    }
}

impl Results {
    /// All feeds, the accounts first.
    pub(super) fn feeds(&self) -> impl Iterator<Item = &FeedCount> {
        std::iter::once(&self.users).chain(&self.others)
    }

    pub(super) fn of_outcome(&self, outcome: Outcome) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.outcome == outcome).count()
    }
}

pub(super) async fn run(args: TestArgs, mut output: Output) -> Result<ExitCode, Error> {
    let paths = mapping::find(&args.mappings)?;
    let state = args.state.state.as_deref().map(location).transpose()?;
    let mut all = Vec::new();
    let mut printed = Ok(());
    for path in paths {
        let mut name = None;
        let result = test(&path, state.as_ref(), &mut output, &mut name).await;
        let tested = Tested { path, name, result };
        if args.format == TestFormatArg::Text {
            printed = printed.and(output.tested(&tested, args.show_values));
        }
        all.push(tested);
    }
    let worst = all.iter().map(Tested::exit_code).max().unwrap_or(ExitCode::Complete);
    printed.and(match args.format {
        TestFormatArg::Text => Ok(()),
        TestFormatArg::Json => output.tested_json(&all, worst, args.show_values),
        TestFormatArg::Junit => output.tested_junit(&all, args.show_values),
    })?;
    Ok(worst)
}

async fn test(
    path: &Path,
    asked: Option<&StateLocation>,
    output: &mut Output,
    name: &mut Option<String>,
) -> Result<Results, Error> {
    let mut mapping = Mapping::load(path)?;
    *name = Some(mapping.name.clone());
    output.mapping_warnings(&mapping)?;
    let compares = |check: &Check| matches!(check, Check::Values { rule: ValueRule::NoNewValues, .. });
    let needs_state = mapping.expect.iter().any(|expectation| compares(&expectation.check));
    mapping.resolve(if needs_state && asked.is_none() { &[Part::Source, Part::State] } else { &[Part::Source] })?;
    let known = if needs_state { known(&mapping, asked).await? } else { Known::nothing() };
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    let wanted = Wanted { times: true, feeds: Feeds::ALL, ..Wanted::default() };
    let extraction = sync::extract(&mapping, wanted, &progress).await;
    shown.finish();
    let mut extraction = extraction?;
    sync::settle(&mut extraction.feeds);
    let mut feeds = extraction.feeds.into_iter();
    let users = feeds.next().ok_or(ExtractError::Crashed)?;
    let judged = expect::judge(&users, &mapping, (&known.facts, &known.key), &extraction.times, Timestamp::now());
    Ok(Results {
        users: FeedCount::of(users),
        others: feeds.map(FeedCount::of).collect(),
        verdicts: judged.verdicts,
        elapsed: extraction.elapsed,
    })
}

/// What earlier pushes left.
async fn known(mapping: &Mapping, asked: Option<&StateLocation>) -> Result<Known, Error> {
    let mut known = Known::nothing();
    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
    if let Some(state) = State::look(asked.unwrap_or(&mapping.state), &identity).await? {
        known.facts = state.facts().clone();
        known.key = state.key();
        state.close().await;
    }
    Ok(known)
}
