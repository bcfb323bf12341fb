//! What a run writes into the state: who is about to be sent, what became of them, who is missing and who is back.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;

use super::deliver::RowOutcome;
use super::plan::comparison::take_prints;
use super::plan::{Content, Leaver, Plan, Renames};
use super::run::Report;
use crate::infiniti::fingerprint::Key;
use crate::state::Outcome;
use crate::state::layer::{Active, Moment, Page, Patch, Prints, StandingPatch, compare_keys, pages};

/// The key of a patron of a batch, and whether it is staff.
pub(super) fn who<'p>(plan: &'p Plan, content: &'p Content, number: usize) -> (Cow<'p, str>, bool) {
    match content {
        Content::Leavers(csv) => {
            let (username, is_staff) = csv.leaver(number);
            (username.into(), is_staff)
        }
        Content::Patrons(_) | Content::Pictures(_) => {
            let patron = content.patron(number).unwrap_or_default();
            (plan.patrons.key(patron), plan.patrons.is_staff(patron))
        }
    }
}

/// Adds each patron of a batch as one of unknown outcome.
pub(super) fn departures<'p>(plan: &'p Plan, content: &'p Content) -> impl FnMut(&mut Page) -> bool + Send + 'p {
    let mut numbers = 0..content.patrons();
    move |page| {
        let Some(number) = numbers.next() else { return false };
        let (username, is_staff) = who(plan, content, number);
        page.add(&Patch { outcome: Some(Outcome::Unknown), ..Patch::of(&username, is_staff) });
        true
    }
}

/// The pages that say what became of each patron of a batch that was sent.
pub(super) fn arrivals<'p>(
    plan: &'p Plan,
    content: &'p Content,
    outcomes: &'p [RowOutcome],
    key: Key,
) -> impl Iterator<Item = Page> + Send + 'p {
    let at = Moment::from(Timestamp::now());
    let mut prints = Prints::default();
    let mut rows = (0..).zip(outcomes).filter(|(_, outcome)| **outcome != RowOutcome::NotSent);
    pages(move |page| {
        let Some((row, outcome)) = rows.next() else { return false };
        let outcome = match outcome {
            RowOutcome::Accepted => Outcome::Accepted,
            RowOutcome::Failed => Outcome::Failed,
            RowOutcome::Unknown | RowOutcome::NotSent => Outcome::Unknown,
        };
        let (username, is_staff) = who(plan, content, row);
        let mut patch = Patch { outcome: Some(outcome), ..Patch::of(&username, is_staff) };
        if outcome == Outcome::Accepted {
            if let Some(patron) = content.patron(row) {
                take_prints(&mut prints, &key, &plan.patrons, patron);
                let fingerprint = key.fingerprint(plan.patrons.digest(patron));
                patch.standing = StandingPatch::Active(Active::new(at, fingerprint, &prints));
                patch.missing = Some(None);
            } else {
                patch.standing = StandingPatch::Deactivated { at };
            }
        }
        page.add(&patch);
        true
    })
}

/// What a run notices of a patron beside what Infiniti says.
pub(super) enum Mark {
    Missing(Moment),
    Back,
    Gone,
}

impl Mark {
    pub(super) fn patch<'a>(&self, username: &'a str) -> Patch<'a> {
        let patch = Patch::of(username, false);
        match self {
            Self::Missing(since) => Patch { missing: Some(Some(*since)), ..patch },
            Self::Back => Patch { missing: Some(None), ..patch },
            Self::Gone => Patch { standing: StandingPatch::Gone, ..patch },
        }
    }
}

/// Who is back, in key order. Written before anything is sent, and also by a run that a limit stops: a time of grace
/// that is counted from before would be too short.
pub(super) fn returned(plan: &Plan) -> Vec<(String, Mark)> {
    plan.returned.iter().map(|patron| (plan.patrons.username(*patron), Mark::Back)).collect()
}

/// Who is missing, and who is to be forgotten, in key order: what a run writes at its end.
pub(super) fn marks(plan: &Plan, report: &Report, renames: Renames) -> Vec<(String, Mark)> {
    let mut marks: Vec<(String, Mark)> = Vec::new();
    let is_newly_missing = |leaver: &&Leaver| leaver.is_new;
    marks.extend(
        plan.leavers
            .iter()
            .filter(is_newly_missing)
            .map(|leaver| (leaver.username.clone(), Mark::Missing(leaver.since))),
    );
    marks.extend(plan.forgotten.iter().map(|username| (username.clone(), Mark::Gone)));
    if renames == Renames::Realigned && report.is_complete {
        // The old username goes only once Infiniti has accepted the new one.
        let refused = report.failed.iter().chain(&report.unsent);
        let refused: HashSet<&str> = refused.map(|failure| failure.username.as_str()).collect();
        let accepted = plan.renames.iter().filter(|rename| !refused.contains(&*plan.patrons.key(rename.patron)));
        marks.extend(accepted.map(|rename| (rename.old.clone(), Mark::Gone)));
    }
    marks.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    marks
}

/// Adds marks to pages.
pub(super) fn fill(marks: Vec<(String, Mark)>) -> impl FnMut(&mut Page) -> bool + Send {
    let mut marks = marks.into_iter();
    move |page| marks.next().map(|(username, mark)| page.add(&mark.patch(&username))).is_some()
}
