//! What came of messages, for people.

use std::io::Write;

use super::{ERROR, HINT, Output, STRONG, WARNING, counted, write_failed};
use crate::error::{Error, causes};
use crate::ops::notify::{Delivery, Found, Looked};

/// So many mappings of a channel are named.
const NAMED: usize = 3;

impl Output {
    /// What came of each channel.
    pub(in crate::cli) fn delivered(&mut self, deliveries: &[Delivery]) -> Result<(), Error> {
        let mut out = self.data();
        for Delivery { channel, mappings, result } in deliveries {
            let mut named = mappings.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            if let more @ 1.. = mappings.len().saturating_sub(NAMED) {
                named = format!("{named} and {more} more");
            }
            match result {
                Ok(()) => writeln!(out, "  told    {channel} ({named})"),
                Err(error) => {
                    let mut said = writeln!(out, "  {ERROR}failed{ERROR:#}  {channel} ({named}): {error}");
                    for cause in causes(error) {
                        said = said.and_then(|()| writeln!(out, "          caused by: {cause}"));
                    }
                    if let Some(hint) = error.hint() {
                        said = said.and_then(|()| writeln!(out, "          {HINT}hint{HINT:#}: {hint}"));
                    }
                    said
                }
            }
            .map_err(write_failed)?;
        }
        Ok(())
    }

    /// What a look at the history gave.
    pub(in crate::cli) fn looked(&mut self, all: &[Looked]) -> Result<(), Error> {
        let mut out = self.data();
        let well = all.iter().filter(|looked| matches!(looked.found, Found::InTime(_) | Found::Held)).count();
        for Looked { mapping, found } in all {
            match found {
                // Of hundreds that are well a line each would hide the others.
                Found::InTime(_) | Found::Held if all.len() > 20 => Ok(()),
                Found::InTime(at) => writeln!(out, "{STRONG}{mapping}{STRONG:#}: pushed in time, last at {at}"),
                Found::Held => writeln!(out, "{STRONG}{mapping}{STRONG:#}: on hold"),
                Found::Never => writeln!(out, "{STRONG}{mapping}{STRONG:#}: {WARNING}never pushed{WARNING:#}"),
                Found::Overdue(gap) => match gap.since {
                    Some(since) => writeln!(
                        out,
                        "{STRONG}{mapping}{STRONG:#}: {WARNING}overdue{WARNING:#}: no push has ended well since {since}"
                    ),
                    None => writeln!(
                        out,
                        "{STRONG}{mapping}{STRONG:#}: {WARNING}overdue{WARNING:#}: no push has ended well yet"
                    ),
                },
                Found::NoMapping => writeln!(
                    out,
                    "{STRONG}{mapping}{STRONG:#}: {ERROR}not looked at{ERROR:#}: its name, target or state cannot be read; see `sispush check`"
                ),
                Found::NoState(error) => {
                    writeln!(out, "{STRONG}{mapping}{STRONG:#}: {ERROR}not looked at{ERROR:#}: {error}")
                }
            }
            .map_err(write_failed)?;
        }
        if all.len() > 20 {
            writeln!(out, "{} pushed in time, or on hold", counted(well as u64, "mapping")).map_err(write_failed)?;
        }
        Ok(())
    }
}
