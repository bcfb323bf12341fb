//! What is not pushed any more: mappings of which no push has ended well for too long.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{Came, Gap, Happened, Kind, Trouble};
use super::states::States;
use super::text::{self, Place};
use super::{Circle, Delivery, tell_channels};
use crate::mapping::StateLocation;
use crate::mapping::notify::contact;
use crate::state::{Run, State, StateError};

/// What a look at a mapping's history gave.
#[derive(Debug)]
pub struct Looked {
    /// The mapping's name, or its file's.
    pub mapping: String,
    /// What was found.
    pub found: Found,
}

/// What a look at a mapping's history can give.
#[derive(Debug)]
pub enum Found {
    /// A push ended well in time, or the first of all was not so long ago; when it began.
    InTime(Timestamp),
    /// It is on hold today.
    Held,
    /// It was never pushed.
    Never,
    /// No push ended well in time.
    Overdue(Gap),
    /// Who is to be told, and of what, cannot be read.
    NoMapping,
    /// Its history cannot be read.
    NoState(StateError),
}

/// Sees which mappings had no push that ended well in this time, and tells their channels, each once. `most` goes before
/// what the mappings say; where neither does, it is [`USUAL`].
pub async fn overdue(
    files: &[PathBuf],
    most: Option<Duration>,
    state: Option<&StateLocation>,
    place: &Place,
) -> (Vec<Looked>, Vec<Delivery>) {
    let states = States::new(state);
    let mut looked = Vec::new();
    let mut happened = Vec::new();
    for file in files {
        let (one, trouble) = look_back(file, most, &states, place).await;
        looked.push(one);
        happened.extend(trouble);
    }
    let circle = Circle::new(happened);
    let told = Box::pin(tell_channels(&circle, &states, place)).await;
    (looked, told)
}

/// A night, and two hours for one that began late.
pub const USUAL: Duration = Duration::from_hours(26);

async fn look_back(
    file: &Path,
    most: Option<Duration>,
    states: &States<'_>,
    place: &Place,
) -> (Looked, Option<Happened>) {
    let contact = contact(file);
    let name = contact.as_ref().and_then(|contact| contact.name.clone());
    let mapping = name.unwrap_or_else(|| file.display().to_string());
    let looked = |found| (Looked { mapping: mapping.clone(), found }, None);
    let Some(contact) = contact else { return looked(Found::NoMapping) };
    if contact.target.is_none() || contact.name.is_none() || states.location(&contact).is_none() {
        return looked(Found::NoMapping);
    }
    let today = place.now.to_zoned(place.zone.clone()).date();
    if contact.hold.iter().any(|hold| (hold.from..=hold.until).contains(&today)) {
        return looked(Found::Held);
    }
    let lately = match states.open(&contact).await {
        Ok(Some(mut state)) => Lately::of(&mut state, None, place.now).await,
        Ok(None) => Ok(Lately::default()),
        Err(error) => Err(error),
    };
    let lately = match lately {
        Ok(lately) => lately,
        Err(error) => return looked(Found::NoState(error)),
    };
    let most = most.or(contact.notify.not_run_since).unwrap_or(USUAL);
    let (found, gap) = match Gap::find(lately.good, lately.first, &contact.hold, most, place.now, &place.zone) {
        Some(gap) => (Found::Overdue(gap), gap),
        // Whoever asks for this wants it to be pushed.
        None if lately.first.is_none() => (Found::Never, Gap { since: None }),
        None => return looked(lately.good.or(lately.first).map_or(Found::Never, Found::InTime)),
    };
    let what = match gap.since {
        Some(since) => format!("no push has ended well since {}", text::time(since, place)),
        None => "no push has ended well yet".to_owned(),
    };
    let hint = format!(
        "is it still scheduled, and was the machine on? see what the scheduler says, and run `sispush push {}`",
        file.display()
    );
    let trouble =
        Trouble { kind: Kind::Overdue, reason: Kind::Overdue.code().into(), what, hint: Some(hint), command: None };
    let has_run_lately = lately.ended.is_some_and(|ended| {
        place.now.duration_since(ended) <= SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX)
    });
    let happened = Happened {
        mapping: mapping.clone(),
        file: file.to_owned(),
        came: Came::Looked,
        exit_code: 0,
        outcome: Kind::Overdue.code(),
        started_at: place.now,
        ended_at: place.now,
        trouble: Some(trouble),
        summary: None,
        is_invalid: false,
        has_notices: false,
        is_partial: false,
        gap: None,
        has_run_lately,
    };
    (Looked { mapping, found }, Some(happened))
}

/// The pushes of a mapping so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lately {
    /// When the last one that ended well began.
    pub(super) good: Option<Timestamp>,
    /// When the first one that is known began.
    pub(super) first: Option<Timestamp>,
    /// When the last one began that ended, however that was.
    ended: Option<Timestamp>,
}

/// So many runs are looked at: more than a year of nights.
const LOOKED_BACK: u32 = 500;

impl Lately {
    /// Without the push that began at `own`, if that was the last. The state keeps whole seconds.
    pub(super) async fn of(state: &mut State, own: Option<Timestamp>, now: Timestamp) -> Result<Self, StateError> {
        let mut runs = state.runs(LOOKED_BACK).await?;
        runs.retain(|run| !run.is_ahead(now));
        let is_own = |run: &Run| own.is_some_and(|own| run.started_at.as_second() == own.as_second());
        let own = usize::from(runs.first().is_some_and(is_own));
        Ok(runs.iter().skip(own).fold(Self::default(), |found, run| Self {
            good: found.good.or_else(|| run.exit_code.is_some_and(|code| code <= 1).then_some(run.started_at)),
            first: Some(run.started_at),
            ended: found.ended.or_else(|| run.exit_code.map(|_| run.started_at)),
        }))
    }
}
