//! Patrons as they would be sent, passwords masked.

use std::io::{BufWriter, Write};

use comfy_table::{ContentArrangement, Table, presets};

use super::{Output, json, write_failed};
use crate::error::Error;
use crate::infiniti::contract::{HeaderSet, Kind};
use crate::infiniti::patron::Patrons;

/// What stands for a password.
pub(super) const MASK: &str = "***";

impl Output {
    /// A table for people.
    pub(in crate::cli) fn preview_table(&mut self, patrons: &Patrons) -> Result<(), Error> {
        let headers = filled(patrons);
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(headers.iter().map(|header| patrons.contract.rule(header).name));
        for patron in patrons.order() {
            let mut cells = vec![String::new(); headers.len()];
            for (header, value) in patrons.values(*patron) {
                if let Some(cell) = headers.position(header).and_then(|position| cells.get_mut(position)) {
                    *cell = if patrons.contract.rule(header).kind == Kind::Password { MASK.into() } else { value };
                }
            }
            table.add_row(cells);
        }
        if !patrons.order().is_empty() {
            writeln!(self.data(), "{table}").map_err(write_failed)?;
        }
        self.findings(patrons)
    }

    /// CSV: the headers that any patron fills, in the contract's order.
    pub(in crate::cli) fn preview_csv(&mut self, patrons: &Patrons) -> Result<(), Error> {
        let mut out = BufWriter::new(self.data());
        patrons.write_csv(filled(patrons), MASK, &mut out).and_then(|()| out.flush()).map_err(write_failed)?;
        drop(out);
        self.findings(patrons)
    }

    /// JSON: patrons, rejections, warnings.
    pub(in crate::cli) fn preview_json(&mut self, patrons: &Patrons) -> Result<(), Error> {
        json::write(&mut self.data(), &json::preview(patrons)).map_err(write_failed)
    }
}

fn filled(patrons: &Patrons) -> HeaderSet {
    patrons.order().iter().fold(HeaderSet::default(), |all, patron| all.union(patrons.headers(*patron)))
}
