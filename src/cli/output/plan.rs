//! A plan, for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::expect::verdict_text;
use super::{WARNING, counted, number};
use crate::infiniti::contract::{Contract, HeaderSet};
use crate::mapping::Limit;
use crate::sync::expect::Outcome;
use crate::sync::plan::{Change, Counted, Leaver, Stage, Wait};
use crate::sync::{Plan, PlanId, Reason, Scope, Stop, Why};

/// So many usernames, classes or renames stand in a line; the others are counted.
const NAMED: usize = 5;

/// The plan of a feed in a few lines, the first with the id of all of them; each patron in one of its own if asked for.
pub(super) fn write_plan(out: &mut impl Write, plan: &Plan, id: Option<PlanId>, is_verbose: bool) -> io::Result<()> {
    let id = id.map(|id| format!("{id}, ")).unwrap_or_default();
    writeln!(out, "  plan      {id}{}: {}", scope(plan.scope), counts(plan))?;
    if !plan.left_out.is_empty() {
        writeln!(
            out,
            "  left out  {} (`send: create`): in the first push nobody knows who is new; `--all-new` sends it",
            names(plan.patrons.contract, plan.left_out)
        )?;
    }
    if plan.waiting > 0 {
        let why = if plan.has_accounts_sent {
            "is held back under its new username"
        } else {
            "`sispush push --feed users` sends"
        };
        writeln!(
            out,
            "  {WARNING}waiting{WARNING:#}   {} for the account, which {why}",
            counted(plan.waiting, "patron")
        )?;
    }
    if !plan.kept.is_empty() {
        let usernames: Vec<String> =
            plan.kept.iter().take(NAMED + 1).map(|patron| plan.patrons.username(*patron)).collect();
        writeln!(
            out,
            "  {WARNING}kept{WARNING:#}      {} as Infiniti has {}, until the rejected rows are repaired ({})",
            counted(plan.kept.len() as u64, "patron"),
            if plan.kept.len() == 1 { "it" } else { "them" },
            listed(&usernames.iter().map(String::as_str).collect::<Vec<_>>())
        )?;
    }
    for verdict in plan.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Warned) {
        writeln!(out, "  {WARNING}expected{WARNING:#}  {}", verdict_text(verdict, false))?;
    }
    if !plan.form_classes.is_empty() {
        let classes: Vec<&str> = plan.form_classes.iter().map(String::as_str).collect();
        writeln!(
            out,
            "  {WARNING}classes{WARNING:#}   {} never sent before: {}; Infiniti creates those it does not know",
            counted(classes.len() as u64, "form class").replace("classs", "classes"),
            listed(&classes)
        )?;
    }
    write_leavers(out, plan)?;
    for rename in plan.renames.iter().take(NAMED) {
        writeln!(
            out,
            "  {WARNING}renamed?{WARNING:#}  `{}` -> `{}`: the same `{}`; {}",
            rename.old,
            plan.patrons.key(rename.patron),
            plan.patrons.contract.rule(rename.header).name,
            if plan.holds_renames {
                "looks like a changed username, which needs Infiniti's realignment file; both are held back; `sispush push --renames` sends them"
            } else {
                "sent as was asked for"
            }
        )?;
    }
    if plan.renames.len() > NAMED {
        writeln!(out, "    … and {} more", number((plan.renames.len() - NAMED) as u64))?;
    }
    if is_verbose { write_everybody(out, plan) } else { Ok(()) }
}

pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Delta => "delta",
        Scope::Full(Why::Asked) => "full",
        Scope::Full(Why::First) => "full, since there was none before",
        Scope::Full(Why::Due) => "full, since the last one is longer ago than `full_every`",
        Scope::Full(Why::MappingChanged) => "full, since the mapping fills other headers than before",
    }
}

fn counts(plan: &Plan) -> String {
    let mut parts = Vec::new();
    for reason in Reason::ALL {
        let count = plan.of_reason(reason).count() as u64;
        if count > 0 {
            let detail = if reason == Reason::Changed { changed_headers(plan) } else { String::new() };
            parts.push(format!("{} {}{detail}", number(count), reason_words(reason)));
        }
    }
    let deactivated = plan.deactivations().count() as u64;
    if deactivated > 0 {
        parts.push(format!("{} to be deactivated", number(deactivated)));
    }
    if plan.unchanged > 0 {
        parts.push(format!("{} unchanged", number(plan.unchanged)));
    }
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
}

pub(super) fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::New => "new",
        Reason::Changed => "changed",
        Reason::Returned => "back again",
        Reason::Failed => "refused last time",
        Reason::Unknown => "of unknown outcome last time",
        Reason::Resent => "sent again",
    }
}

/// ` (formclass 10, emailaddress 2)`, the most frequent first.
fn changed_headers(plan: &Plan) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for change in plan.of_reason(Reason::Changed) {
        for header in change.headers.iter() {
            *counts.entry(plan.patrons.contract.rule(header).name).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {}", number(*count))).collect();
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}

fn write_leavers(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    if plan.leavers.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    let mut part = |words: &str, is: &dyn Fn(&Leaver) -> bool| {
        let count = plan.leavers.iter().filter(|leaver| is(leaver)).count() as u64;
        if count > 0 {
            parts.push(format!("{} {words}", number(count)));
        }
    };
    part("since tonight", &|leaver| leaver.is_new);
    part("in grace", &|leaver| matches!(leaver.stage, Stage::Grace { .. }));
    part("deactivated now", &|leaver| leaver.stage == Stage::Due);
    part("waiting", &|leaver| leaver.stage == Stage::Waits);
    part("sent once without an answer, perhaps not in Infiniti", &|leaver| leaver.stage == Stage::Uncertain);
    let usernames: Vec<&str> = plan.leavers.iter().map(|leaver| leaver.username.as_str()).collect();
    let detail = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    let (count, usernames) = (counted(plan.leavers.len() as u64, "patron"), listed(&usernames));
    match plan.contract().account {
        None => writeln!(out, "  leavers   {count} in Infiniti and no longer in the source{detail} ({usernames})")?,
        Some(_) => writeln!(
            out,
            "  {WARNING}gone{WARNING:#}      {count}: Infiniti has {} the source has no longer{detail} ({usernames})",
            plan.contract().feed
        )?,
    }
    match &plan.wait {
        Some(wait) => writeln!(out, "    {}", wait_text(wait)),
        None => Ok(()),
    }
}

/// Why no leaver is deactivated now.
pub(super) fn wait_text(wait: &Wait) -> String {
    match wait {
        Wait::EmptyExtract(extract) => format!("nobody is deactivated now, since extract `{extract}` gave no rows"),
        Wait::NamelessRows(count) => format!(
            "nobody is deactivated now, since {} without a username may be theirs",
            counted(*count, "rejected row")
        ),
    }
}

fn write_everybody(out: &mut impl Write, plan: &Plan) -> io::Result<()> {
    for Change { patron, reason, headers, .. } in &plan.changes {
        let detail =
            if headers.is_empty() { String::new() } else { format!(": {}", names(plan.patrons.contract, *headers)) };
        writeln!(out, "    {}, `{}`{detail}", reason_words(*reason), plan.patrons.key(*patron))?;
    }
    for leaver in &plan.leavers {
        writeln!(out, "    {}, `{}`", stage_words(leaver), leaver.username)?;
    }
    Ok(())
}

pub(super) fn stage_words(leaver: &Leaver) -> String {
    let day = |time: jiff::Timestamp| time.to_zoned(TimeZone::system()).date();
    let since = day(leaver.since.timestamp());
    match leaver.stage {
        Stage::Reported | Stage::Uncertain => format!("missing since {since}"),
        Stage::Grace { until } => format!("missing since {since}, to be deactivated from {}", day(until)),
        Stage::Due => format!("missing since {since}, deactivated now"),
        Stage::Waits => format!("missing since {since}, waiting"),
        Stage::Renamed => format!("missing since {since}, renamed"),
    }
}

pub(super) fn names(contract: &Contract, headers: HeaderSet) -> String {
    headers.iter().map(|header| format!("`{}`", contract.rule(header).name)).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[&str]) -> String {
    let mut text = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(", …");
    }
    text
}

/// A stop of a plan in words, and what to do.
pub(in crate::cli) fn stop_text(plan: &Plan, stop: &Stop) -> (String, String) {
    // Pictures may come from a folder without any query.
    let origin = if plan.contract().is_pictured() { "the query or the folder" } else { "the query" };
    let (mut message, mut hint) = text_of(stop, origin);
    if let Stop::TooFewRows { extract, .. } | Stop::Dropped { extract, .. } = stop {
        let of = plan.patrons.extracts.iter().filter(|count| extract.as_ref().is_none_or(|name| *name == count.name));
        let left_out: u64 = of.map(|count| count.left_out).sum();
        if left_out > 0 {
            message += "; ";
            message += &number(left_out);
            message += " more belong to nobody who has an account";
            let key = plan.contract().headers.first().map_or("", |rule| rule.name);
            hint = format!("does `{key}` look as in `users`? If it does, {hint}");
        }
    }
    match plan.contract().account {
        None => (message, hint),
        Some(_) => (format!("{}: {message}", plan.contract().feed), hint),
    }
}

/// `origin` is where the rows come from.
fn text_of(stop: &Stop, origin: &str) -> (String, String) {
    let whose = |extract: &Option<String>| match extract {
        Some(extract) => format!("extract `{extract}`"),
        None => "all extracts together".to_owned(),
    };
    match stop {
        Stop::TooFewRows { extract, rows, min_rows } => (
            format!("{} gave {}, and `{}` is {}", whose(extract), counted(*rows, "row"), key(stop), number(*min_rows)),
            format!(
                "look at {origin}: a new school year, a filter or a lost permission may hide everybody; if so few rows are right, lower `{}`",
                key(stop)
            ),
        ),
        Stop::Dropped { extract, before, rows, limit } => (
            format!(
                "{} gave {}, {} fewer than in the last good run, and `{}` is {}",
                whose(extract),
                counted(*rows, "row"),
                number(before - rows),
                key(stop),
                limit_text(*limit)
            ),
            format!("look at {origin}: a new school year, a filter or a lost permission may hide people"),
        ),
        Stop::Expectation(verdict) => (
            format!("an expectation does not hold: {}", verdict_text(verdict, false)),
            format!(
                "`sispush test --show-values` also shows what breaks it; if the data are right, change line {} of {}",
                verdict.line,
                verdict.base.as_ref().map_or_else(|| "the mapping".to_owned(), |base| format!("`{}`", base.display()))
            ),
        ),
        Stop::TooMany { counted: Counted::Rejections, count, of, limit } => (
            format!(
                "{} of {} {} rejected, and `{}` is {}",
                number(*count),
                counted(*of, "row"),
                if *count == 1 { "was" } else { "were" },
                key(stop),
                limit_text(*limit)
            ),
            "`sispush preview` shows every rejected row and why; repair the data or the mapping, or raise the limit"
                .into(),
        ),
        Stop::TooMany { counted: kind, count, of, limit } => {
            let (what, hint) = match kind {
                Counted::Creates => {
                    ("would be created", "make sure that the usernames still look as they do in Infiniti")
                }
                Counted::Updates => {
                    ("would be changed", "at a new school year that may be right; otherwise look at the query")
                }
                Counted::Deactivations | Counted::Rejections => {
                    ("would be deactivated", "look at the query: a new school year or a filter may hide people")
                }
            };
            let base = match limit {
                Limit::Count(_) => String::new(),
                Limit::Percent(_) => format!(" beside {} that Infiniti has accepted", number(*of)),
            };
            (
                format!("{} {what}{base}, and `{}` is {}", counted(*count, "patron"), key(stop), limit_text(*limit)),
                format!("{hint}; `sispush diff --verbose` lists everybody"),
            )
        }
    }
}

fn key(stop: &Stop) -> String {
    match stop {
        Stop::TooFewRows { extract: Some(_), .. } => "min_rows".to_owned(),
        _ => format!("limits.{}", stop.code()),
    }
}

fn limit_text(limit: Limit) -> String {
    match limit {
        Limit::Count(count) => number(count),
        Limit::Percent(percent) => format!("{percent} %"),
    }
}
