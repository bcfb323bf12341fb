//! What is known of the patrons that Infiniti has accepted.

use std::io::{self, BufWriter, Write};

use serde_json::{Value, json};

use super::{Output, STRONG, counted, json as as_json, number, write_failed};
use crate::cli::args::FormatArg;
use crate::cli::state::FeedView;
use crate::error::Error;
use crate::infiniti::contract::{Contract, Rows};
use crate::state::{Accepted, Entry, Outcome, Run, Standing};

impl Output {
    /// The state of a mapping: counts, or what is known of some patrons in the first feed.
    pub(in crate::cli) fn state(
        &mut self,
        place: &str,
        feeds: &[FeedView],
        runs: &[Run],
        usernames: &[String],
        format: FormatArg,
    ) -> Result<(), Error> {
        let Some((first, others)) = feeds.split_first() else { return Ok(()) };
        let wanted: Vec<String> = usernames.iter().map(|username| username.to_lowercase()).collect();
        let is_wanted = |entry: &Entry<'_>| wanted.contains(&entry.username.to_lowercase());
        let found: Vec<Entry<'_>> = first.accepted.entries().filter(is_wanted).collect();
        let mut out = self.data();
        match format {
            FormatArg::Json => {
                let patrons: Vec<Value> = found.iter().map(|entry| patron_object(first.contract, entry)).collect();
                let mut object = json!({ "place": place });
                add_feed(&mut object, first);
                object["runs"] = runs.iter().map(run_object).collect();
                object["patrons"] = patrons.into();
                if first.contract.account.is_some() {
                    object["feed"] = first.contract.feed.into();
                }
                if !others.is_empty() {
                    let others = others.iter().map(|view| {
                        let mut of_feed = json!({ "feed": view.contract.feed });
                        add_feed(&mut of_feed, view);
                        of_feed
                    });
                    object["feeds"] = others.collect();
                }
                as_json::write(&mut out, &object)
            }
            FormatArg::Text if usernames.is_empty() => write_state(&mut out, place, feeds, runs),
            FormatArg::Text => write_patrons(&mut out, first.contract, usernames, &found),
        }
        .map_err(write_failed)
    }

    /// Every patron of a feed as CSV.
    pub(in crate::cli) fn state_csv(&mut self, view: &FeedView) -> Result<(), Error> {
        let mut out = csv::Writer::from_writer(BufWriter::new(self.data()));
        let key = view.contract.rule(view.contract.key()).name;
        let mut write = || -> Result<(), csv::Error> {
            out.write_record([key, "staff", "standing", "accepted_at", "outcome", "missing_since", "headers"])?;
            for entry in view.accepted.entries() {
                let patron = Patron::of(view.contract, &entry);
                // Who is staff, only the accounts tell.
                let staff = match view.contract.staff {
                    Some(_) if entry.is_staff => "Y",
                    Some(_) => "N",
                    None => "",
                };
                out.write_record([
                    entry.username,
                    staff,
                    patron.standing,
                    &patron.at.unwrap_or_default(),
                    patron.outcome,
                    &patron.missing_since.unwrap_or_default(),
                    &patron.headers.join(" "),
                ])?;
            }
            out.flush()?;
            Ok(())
        };
        write().map_err(|error| write_failed(error.into()))
    }

    /// How many patrons were forgotten, feed by feed.
    pub(in crate::cli) fn forgotten(&mut self, feeds: &[(&Contract, u64)], asked: u64) -> Result<(), Error> {
        let mut out = self.data();
        for (contract, found) in feeds {
            let missing = match asked.saturating_sub(*found) {
                0 => String::new(),
                missing => format!("; {} not known", number(missing)),
            };
            let feed = head(feeds, contract);
            writeln!(out, "{feed}{} forgotten{missing}; nothing changed in Infiniti", counted(*found, "patron"))
                .map_err(write_failed)?;
        }
        Ok(())
    }

    /// What a rebase leads to, feed by feed.
    pub(in crate::cli) fn rebased(&mut self, feeds: &[(&Contract, u64)]) -> Result<(), Error> {
        let mut out = self.data();
        for (contract, known) in feeds {
            let known = if *known == 1 { "1 patron is".to_owned() } else { format!("{} patrons are", number(*known)) };
            let feed = head(feeds, contract);
            writeln!(out, "{feed}the next push sends everybody; {known} still known to be in Infiniti")
                .map_err(write_failed)?;
        }
        Ok(())
    }
}

/// What a line begins with that speaks of one feed: its name, unless there are only the accounts.
fn head(feeds: &[(&Contract, u64)], contract: &Contract) -> String {
    if feeds.len() > 1 || contract.account.is_some() { format!("{}: ", contract.feed) } else { String::new() }
}

/// When everybody was sent, and how many are known.
fn add_feed(object: &mut Value, view: &FeedView) {
    let counts = Counts::of(&view.accepted);
    let full_at = view.facts.full_at.and_then(|at| jiff::Timestamp::from_second(at).ok());
    object["full_at"] = full_at.map(|at| at.to_string()).into();
    object["counts"] = json!({
        "active": counts.active,
        "deactivated": counts.deactivated,
        "never_accepted": counts.new,
        "refused_last_time": counts.failed,
        "unknown_outcome": counts.unknown,
        "missing": counts.missing,
    });
}

/// How many patrons there are of each kind.
#[derive(Default)]
struct Counts {
    active: u64,
    deactivated: u64,
    new: u64,
    failed: u64,
    unknown: u64,
    missing: u64,
}

impl Counts {
    fn of(accepted: &Accepted) -> Self {
        let mut counts = Self::default();
        for entry in accepted.entries() {
            match entry.standing {
                Standing::New => counts.new += 1,
                Standing::Active(_) => counts.active += 1,
                Standing::Deactivated { .. } => counts.deactivated += 1,
            }
            match entry.outcome {
                Outcome::Accepted => {}
                Outcome::Failed => counts.failed += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
            counts.missing += u64::from(entry.missing_since.is_some());
        }
        counts
    }
}

/// An entry as text.
pub(super) struct Patron {
    pub(super) standing: &'static str,
    pub(super) at: Option<String>,
    pub(super) outcome: &'static str,
    pub(super) missing_since: Option<String>,
    headers: Vec<&'static str>,
}

impl Patron {
    pub(super) fn of(contract: &Contract, entry: &Entry<'_>) -> Self {
        let (standing, at, headers) = match entry.standing {
            Standing::New => ("never accepted", None, Vec::new()),
            Standing::Active(active) => {
                // A newer contract may have more headers than this program knows.
                let known = contract.iter().filter(|header| active.headers.contains(*header));
                ("active", Some(active.at), known.map(|header| contract.rule(header).name).collect())
            }
            Standing::Deactivated { at } => ("deactivated", Some(at), Vec::new()),
        };
        Self {
            standing,
            at: at.map(|at| at.timestamp().to_string()),
            outcome: match entry.outcome {
                Outcome::Accepted => "accepted",
                Outcome::Failed => "refused",
                Outcome::Unknown => "unknown",
            },
            missing_since: entry.missing_since.map(|since| since.timestamp().to_string()),
            headers,
        }
    }
}

pub(super) fn patron_object(contract: &Contract, entry: &Entry<'_>) -> Value {
    let patron = Patron::of(contract, entry);
    let mut object = json!({
        "username": entry.username,
        "staff": entry.is_staff,
        "standing": patron.standing,
        "accepted_at": patron.at,
        "outcome": patron.outcome,
        "missing_since": patron.missing_since,
        "headers": patron.headers,
    });
    if contract.staff.is_none() {
        // Who is staff, only the accounts tell; and the key may be another one.
        let key = contract.rule(contract.key()).name;
        if let Some(object) = object.as_object_mut() {
            object.remove("staff");
            if let Some(value) = object.remove("username") {
                object.insert(key.to_owned(), value);
            }
        }
    }
    object
}

fn run_object(run: &Run) -> Value {
    json!({
        "started_at": run.started_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "mode": run.mode,
        "plan": run.plan,
        "exit_code": run.exit_code,
        "report": run.summary,
    })
}

fn write_state(out: &mut impl Write, place: &str, feeds: &[FeedView], runs: &[Run]) -> io::Result<()> {
    writeln!(out, "{STRONG}{place}{STRONG:#}")?;
    for view in feeds {
        let counts = Counts::of(&view.accepted);
        let label = if view.contract.account.is_none() { "patrons" } else { view.contract.feed };
        let deactivated = match view.contract.account {
            None => format!("{} deactivated, ", number(counts.deactivated)),
            // Nothing else than an account is.
            Some(_) => String::new(),
        };
        writeln!(
            out,
            "  {label:<9} {} active, {deactivated}{} never accepted",
            number(counts.active),
            number(counts.new)
        )?;
        writeln!(
            out,
            "  of these  {} refused last time, {} of unknown outcome, {} missing from the source",
            number(counts.failed),
            number(counts.unknown),
            number(counts.missing)
        )?;
    }
    for run in runs {
        let mode = if run.mode.is_empty() { "no plan" } else { &run.mode };
        let ended = match (run.ended_at, run.exit_code) {
            (Some(_), Some(code)) => format!("exit code {code}"),
            _ => "did not end".to_owned(),
        };
        writeln!(out, "  run       {:.0}, {mode}: {ended}", run.started_at)?;
    }
    Ok(())
}

fn write_patrons(
    out: &mut impl Write,
    contract: &Contract,
    usernames: &[String],
    found: &[Entry<'_>],
) -> io::Result<()> {
    for entry in found {
        let patron = Patron::of(contract, entry);
        let what = match contract.account {
            None if entry.is_staff => "staff",
            None => "student",
            Some(_) => contract.feed,
        };
        writeln!(out, "{STRONG}{}{STRONG:#}, {what}", entry.username)?;
        let at = patron.at.map(|at| format!(" at {at}")).unwrap_or_default();
        writeln!(out, "  standing  {}{at}", patron.standing)?;
        let rows = if contract.rows == Rows::One { "last row" } else { "last rows" };
        writeln!(out, "  {rows:<9} {}", patron.outcome)?;
        if let Some(since) = patron.missing_since {
            writeln!(out, "  missing   since {since}")?;
        }
        if !patron.headers.is_empty() {
            writeln!(out, "  headers   {}", patron.headers.join(", "))?;
        }
    }
    for username in usernames {
        if !found.iter().any(|entry| entry.username.to_lowercase() == username.to_lowercase()) {
            writeln!(out, "{STRONG}{username}{STRONG:#}\n  not known: never sent, or forgotten")?;
        }
    }
    Ok(())
}
