//! What a run came to, for the history.

use std::time::Duration;

use jiff::Timestamp;

use super::expect;
use super::plan::{Plan, Plans, Reason, Scope, Stage};
use super::run::{Report, Reports, Timing};
use crate::process::{run_id, this_host};
use crate::state::{Run, Seconds, Summary};

/// A run for the history: one over all feeds. Without reports nothing has been sent yet, or will be.
pub(super) fn record(plans: &Plans, reports: Option<&Reports>, timing: Timing, ended_at: Option<Timestamp>) -> Run {
    Run {
        started_at: timing.started_at,
        ended_at,
        mode: match plans.feeds.first().map(|plan| plan.scope) {
            Some(Scope::Full(_)) => "full".to_owned(),
            Some(Scope::Delta) | None => "delta".to_owned(),
        },
        plan: Some(plans.id.to_string()),
        exit_code: reports.filter(|_| ended_at.is_some()).map(|reports| reports.exit_code(plans).number()),
        summary: summary(plans, reports, timing),
    }
}

/// What a run came to: counts only.
pub fn summary(plans: &Plans, reports: Option<&Reports>, timing: Timing) -> Summary {
    let mut all = Summary::default();
    for (number, plan) in plans.feeds.iter().enumerate() {
        let counts = feed_summary(plan, reports.map(|reports| &reports.feeds[number]));
        match plan.contract().account {
            None => all = Summary { feeds: std::mem::take(&mut all.feeds), ..counts },
            Some(_) => {
                all.feeds.insert(plan.contract().feed.to_owned(), counts);
            }
        }
    }
    let elapsed = reports.map_or(Duration::ZERO, |reports| reports.elapsed);
    all.seconds = Seconds::of(timing.read, timing.plan, elapsed);
    all.host = this_host();
    all.run = run_id().to_string();
    if let Some(error) = reports.and_then(|reports| reports.error.as_ref()) {
        all.error = Some(error.to_string());
        all.hint = error.hint().map(Into::into);
    } else if let Some(error) = reports.and_then(|reports| reports.source_error.as_ref()) {
        all.error = Some(error.told());
        all.hint = error.hint().map(Into::into);
    }
    all
}

/// What a run came to with one feed.
fn feed_summary(plan: &Plan, report: Option<&Report>) -> Summary {
    let patrons = &plan.patrons;
    let mut summary = Summary {
        rows: patrons.extracts.iter().map(|extract| (extract.name.clone(), extract.rows)).collect(),
        rejected: patrons.rejections.len() as u64,
        unchanged: plan.unchanged,
        planned: Reason::ALL
            .iter()
            .map(|reason| (reason.code().to_owned(), plan.of_reason(*reason).count() as u64))
            .collect(),
        leavers: plan.leavers.len() as u64,
        grace: plan.leavers.iter().filter(|leaver| matches!(leaver.stage, Stage::Grace { .. })).count() as u64,
        deactivations: plan.deactivations().count() as u64,
        renames: if plan.holds_renames { plan.renames.len() as u64 } else { 0 },
        waiting: plan.waiting + report.map_or(0, |report| report.waiting),
        kept: plan.kept.len() as u64,
        expectations: expect::count(&plan.verdicts),
        stops: plan.stops.iter().map(|stop| stop.code().to_owned()).collect(),
        ..Summary::default()
    };
    for rejection in &patrons.rejections {
        let of_extract = patrons.extract_name(rejection.place.extract);
        let of_extract = summary.rejections_by_extract.entry(of_extract.clone()).or_default();
        for (_, rule) in &rejection.broken {
            *summary.rejections.entry(rule.code().to_owned()).or_default() += 1;
            *of_extract.entry(rule.code().to_owned()).or_default() += 1;
        }
    }
    if let Some(report) = report {
        summary.accepted = report.accepted;
        summary.created = report.created;
        summary.updated = report.updated;
        summary.deactivated = report.deactivated;
        summary.failed = report.failed.len() as u64;
        summary.unknown = report.unknown;
        summary.not_sent = report.not_sent;
        summary.unsent = report.unsent.len() as u64;
    }
    summary
}
