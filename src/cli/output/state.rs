//! What is known of the patrons that Infiniti has accepted.

use std::io::{self, BufWriter, Write};

use serde_json::{Value, json};

use super::{Output, STRONG, counted, json as as_json, number, write_failed};
use crate::cli::args::FormatArg;
use crate::error::Error;
use crate::infiniti::contract::USERS;
use crate::state::{Accepted, Entry, Outcome, Run, Standing, State};

impl Output {
    /// The state of a mapping: counts, or what is known of some patrons.
    pub(in crate::cli) fn state(
        &mut self,
        state: &State,
        accepted: &Accepted,
        runs: &[Run],
        usernames: &[String],
        format: FormatArg,
    ) -> Result<(), Error> {
        let wanted: Vec<String> = usernames.iter().map(|username| username.to_lowercase()).collect();
        let is_wanted = |entry: &Entry<'_>| wanted.contains(&entry.username.to_lowercase());
        let found: Vec<Entry<'_>> = accepted.entries().filter(is_wanted).collect();
        let counts = Counts::of(accepted);
        let mut out = self.data();
        match format {
            FormatArg::Json => {
                let patrons: Vec<Value> = found.iter().map(patron_object).collect();
                as_json::write(
                    &mut out,
                    &json!({
                        "place": state.place(),
                        "full_at": state.facts().full_at.and_then(|at| jiff::Timestamp::from_second(at).ok()).map(|at| at.to_string()),
                        "counts": {
                            "active": counts.active,
                            "deactivated": counts.deactivated,
                            "never_accepted": counts.new,
                            "refused_last_time": counts.failed,
                            "unknown_outcome": counts.unknown,
                            "missing": counts.missing,
                        },
                        "runs": runs.iter().map(run_object).collect::<Vec<_>>(),
                        "patrons": patrons,
                    }),
                )
            }
            FormatArg::Text => write_state(&mut out, state, &counts, runs, usernames, &found),
        }
        .map_err(write_failed)
    }

    /// Every patron as CSV.
    pub(in crate::cli) fn state_csv(&mut self, accepted: &Accepted) -> Result<(), Error> {
        let mut out = csv::Writer::from_writer(BufWriter::new(self.data()));
        let mut write = || -> Result<(), csv::Error> {
            out.write_record(["username", "staff", "standing", "accepted_at", "outcome", "missing_since", "headers"])?;
            for entry in accepted.entries() {
                let patron = Patron::of(&entry);
                out.write_record([
                    entry.username,
                    if entry.is_staff { "Y" } else { "N" },
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

    /// How many patrons were forgotten.
    pub(in crate::cli) fn forgotten(&mut self, found: u64, asked: u64) -> Result<(), Error> {
        let missing = match asked.saturating_sub(found) {
            0 => String::new(),
            missing => format!("; {} not known", number(missing)),
        };
        writeln!(self.data(), "{} forgotten{missing}; nothing changed in Infiniti", counted(found, "patron"))
            .map_err(write_failed)
    }

    /// What a rebase leads to.
    pub(in crate::cli) fn rebased(&mut self, known: u64) -> Result<(), Error> {
        writeln!(
            self.data(),
            "the next push sends everybody; {} still known to be in Infiniti",
            if known == 1 { "1 patron is".to_owned() } else { format!("{} patrons are", number(known)) }
        )
        .map_err(write_failed)
    }
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
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        let (standing, at, headers) = match entry.standing {
            Standing::New => ("never accepted", None, Vec::new()),
            Standing::Active(active) => {
                // A newer contract may have more headers than this program knows.
                let known = USERS.iter().filter(|header| active.headers.contains(*header));
                ("active", Some(active.at), known.map(|header| USERS.rule(header).name).collect())
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

pub(super) fn patron_object(entry: &Entry<'_>) -> Value {
    let patron = Patron::of(entry);
    json!({
        "username": entry.username,
        "staff": entry.is_staff,
        "standing": patron.standing,
        "accepted_at": patron.at,
        "outcome": patron.outcome,
        "missing_since": patron.missing_since,
        "headers": patron.headers,
    })
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

fn write_state(
    out: &mut impl Write,
    state: &State,
    counts: &Counts,
    runs: &[Run],
    usernames: &[String],
    found: &[Entry<'_>],
) -> io::Result<()> {
    if usernames.is_empty() {
        writeln!(out, "{STRONG}{}{STRONG:#}", state.place())?;
        writeln!(
            out,
            "  patrons   {} active, {} deactivated, {} never accepted",
            number(counts.active),
            number(counts.deactivated),
            number(counts.new)
        )?;
        writeln!(
            out,
            "  of these  {} refused last time, {} of unknown outcome, {} missing from the source",
            number(counts.failed),
            number(counts.unknown),
            number(counts.missing)
        )?;
        for run in runs {
            let mode = if run.mode.is_empty() { "no plan" } else { &run.mode };
            let ended = match (run.ended_at, run.exit_code) {
                (Some(_), Some(code)) => format!("exit code {code}"),
                _ => "did not end".to_owned(),
            };
            writeln!(out, "  run       {:.0}, {mode}: {ended}", run.started_at)?;
        }
        return Ok(());
    }
    for entry in found {
        let patron = Patron::of(entry);
        writeln!(out, "{STRONG}{}{STRONG:#}, {}", entry.username, if entry.is_staff { "staff" } else { "student" })?;
        let at = patron.at.map(|at| format!(" at {at}")).unwrap_or_default();
        writeln!(out, "  standing  {}{at}", patron.standing)?;
        writeln!(out, "  last row  {}", patron.outcome)?;
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
