//! Patrons as they would be sent, passwords masked.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::result::{rejection_text, write_findings};
use super::{Output, WARNING, counted, json as as_json, number, write_failed};
use crate::cli::args::PreviewFormatArg;
use crate::cli::preview::{Place, Shown, What};
use crate::error::Error;
use crate::infiniti::contract::{Header, Kind, USERS};
use crate::infiniti::patron::Patrons;
use crate::ops;
use crate::sync::{ColumnView, ExtractColumns};

/// What stands for a password.
pub(super) const MASK: &str = "***";

impl Output {
    /// Patrons and rejections.
    pub(in crate::cli) fn preview(&mut self, mut shown: Shown, place: Place<'_>) -> Result<(), Error> {
        if place.mask {
            mask_usernames(&mut shown.patrons);
        }
        self.write_to(place, |out| match place.format {
            PreviewFormatArg::Json => as_json::write(out, &preview_object(&shown, place.mask)),
            PreviewFormatArg::Table if shown.what == What::Rejected => write_rejections(out, &shown.patrons),
            PreviewFormatArg::Csv if shown.what == What::Rejected => write_rejections_csv(out, &shown.patrons),
            PreviewFormatArg::Table => write_table(out, &shown.patrons, place.mask),
            PreviewFormatArg::Csv => {
                shown.patrons.write_csv(shown.headers, |header, cell| shown_cell(header, cell, place.mask), out)
            }
        })?;
        if let Some(file) = place.file {
            let what = match shown.what {
                What::Rejected => counted(shown.patrons.rejections.len() as u64, "rejected row"),
                What::Everybody | What::Some => counted(shown.patrons.order().len() as u64, "patron"),
            };
            writeln!(self.data(), "{}: {what}", file.display()).map_err(write_failed)?;
        }
        if place.format == PreviewFormatArg::Json {
            return Ok(());
        }
        write_notes(&mut self.notes(), &shown).map_err(write_failed)
    }

    /// The columns of each result.
    pub(in crate::cli) fn columns(&mut self, extracts: &[ExtractColumns], place: Place<'_>) -> Result<(), Error> {
        self.write_to(place, |out| match place.format {
            PreviewFormatArg::Table => write_columns(out, extracts, place.mask),
            PreviewFormatArg::Csv => write_columns_csv(out, extracts, place.mask),
            PreviewFormatArg::Json => as_json::write(out, &columns_object(extracts, place.mask)),
        })?;
        if let Some(file) = place.file {
            let columns: usize = extracts.iter().map(|extract| extract.columns.len()).sum();
            writeln!(self.data(), "{}: {}", file.display(), counted(columns as u64, "column")).map_err(write_failed)?;
        }
        if place.format == PreviewFormatArg::Json {
            return Ok(());
        }
        let mut notes = self.notes();
        for extract in extracts {
            let unused: Vec<String> = extract
                .columns
                .iter()
                .filter(|view| view.headers.is_empty())
                .map(|view| format!("`{}`", view.column.name))
                .collect();
            if !unused.is_empty() {
                writeln!(notes, "  unused    {}: no rule uses {}", extract.name, unused.join(", "))
                    .map_err(write_failed)?;
            }
        }
        Ok(())
    }

    fn write_to(
        &mut self,
        place: Place<'_>,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        match place.file {
            None => {
                let mut out = BufWriter::new(self.data());
                write(&mut out).and_then(|()| out.flush()).map_err(write_failed)
            }
            Some(path) => ops::write_private(path, |out| {
                if place.bom {
                    out.write_all("\u{feff}".as_bytes())?;
                }
                write(out)
            })
            .map_err(|source| Error::File { action: "write", path: path.to_owned(), source }),
        }
    }
}

fn write_table(out: &mut dyn Write, patrons: &Patrons, mask: bool) -> io::Result<()> {
    let headers = patrons.filled();
    let mut table = table();
    table.set_header(headers.iter().map(|header| patrons.contract.rule(header).name));
    for patron in patrons.order() {
        let mut cells = vec![String::new(); headers.len()];
        for (header, value) in patrons.values(*patron) {
            if let Some(cell) = headers.position(header).and_then(|position| cells.get_mut(position)) {
                *cell = shown_cell(header, &value, mask).into_owned();
            }
        }
        table.add_row(cells);
    }
    if patrons.order().is_empty() { Ok(()) } else { writeln!(out, "{table}") }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn write_rejections(out: &mut dyn Write, patrons: &Patrons) -> io::Result<()> {
    patrons.rejections.iter().try_for_each(|rejection| writeln!(out, "{}", rejection_text(patrons, rejection)))
}

/// One line for each reason.
fn write_rejections_csv(out: &mut dyn Write, patrons: &Patrons) -> io::Result<()> {
    let extract_name = |extract| patrons.extract_name(extract);
    let mut out = csv_writer(out);
    out.write_record(["extract", "row", "username", "header", "rule", "reason"])?;
    for rejection in &patrons.rejections {
        for (header, rule) in &rejection.broken {
            out.write_record([
                &extract_name(rejection.place.extract),
                &rejection.place.row.to_string(),
                rejection.username.as_deref().unwrap_or_default(),
                patrons.contract.rule(*header).name,
                rule.code(),
                &rule.reason(patrons.contract, *header, &extract_name),
            ])?;
        }
    }
    out.flush()
}

/// Lines end as in the CSV of patrons.
fn csv_writer(out: &mut dyn Write) -> csv::Writer<&mut dyn Write> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)
}

/// What stands on stderr beside the data.
fn write_notes(out: &mut impl Write, shown: &Shown) -> io::Result<()> {
    if let Some((rows, left)) = &shown.stopped {
        let left = match left.as_slice() {
            [] => String::new(),
            names => format!("; nothing of {}", names.join(", ")),
        };
        writeln!(out, "  read      no more than {}, as `--limit` says{left}", counted(*rows, "row"))?;
    }
    match shown.what {
        What::Everybody => write_findings(out, &shown.patrons, usize::MAX),
        What::Some => {
            let patrons = shown.patrons.order().len() as u64;
            let rejections = &shown.patrons.rejections;
            let rejected = rejected_text(shown);
            writeln!(out, "  shown     {} of {}; {rejected}", number(patrons), counted(shown.accepted, "patron"))?;
            let each = |one| writeln!(out, "  {WARNING}rejected{WARNING:#}  {}", rejection_text(&shown.patrons, one));
            rejections.iter().try_for_each(each)
        }
        What::Rejected => {
            let rejected = rejected_text(shown);
            writeln!(out, "  shown     {rejected}; {} would be sent", counted(shown.accepted, "patron"))
        }
    }
}

fn rejected_text(shown: &Shown) -> String {
    match shown.rejected {
        0 => "no row is rejected".to_owned(),
        all => {
            format!("{} of {}", number(shown.patrons.rejections.len() as u64), counted(all, "rejected row"))
        }
    }
}

fn preview_object(shown: &Shown, mask: bool) -> Value {
    let mut object = as_json::preview(&shown.patrons, &|header, value| shown_cell(header, value, mask).into_owned());
    object["counts"] = json!({
        "rows": shown.patrons.rows(),
        "patrons": shown.accepted,
        "rejected": shown.rejected,
        "patrons_shown": shown.patrons.order().len(),
        "rejected_shown": shown.patrons.rejections.len(),
    });
    object
}

fn write_columns(out: &mut dyn Write, extracts: &[ExtractColumns], mask: bool) -> io::Result<()> {
    for (index, extract) in extracts.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}", extract.name, counted(extract.rows, "row"))?;
        let mut table = table();
        let mut head = vec!["column", "type", "filled", "sample", "used by"];
        head.retain(|name| !(mask && *name == "sample"));
        table.set_header(head);
        for view in &extract.columns {
            let mut cells = vec![view.column.name.clone(), view.column.type_name.clone(), number(view.filled)];
            if !mask {
                cells.push(sample(view).map(|sample| shortened(&sample)).unwrap_or_default());
            }
            let used_by = names(view).join(", ");
            cells.push(if used_by.is_empty() { "nothing".to_owned() } else { used_by });
            table.add_row(cells);
        }
        for missing in &extract.missing {
            let mut cells = vec![missing.column.clone(), "not in the result".to_owned(), String::new()];
            if !mask {
                cells.push(String::new());
            }
            cells.push(missing.header.to_owned());
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}

fn write_columns_csv(out: &mut dyn Write, extracts: &[ExtractColumns], mask: bool) -> io::Result<()> {
    let mut out = csv_writer(out);
    out.write_record(["extract", "column", "type", "rows", "filled", "sample", "used_by"])?;
    for extract in extracts {
        for view in &extract.columns {
            out.write_record([
                &extract.name,
                &view.column.name,
                &view.column.type_name,
                &extract.rows.to_string(),
                &view.filled.to_string(),
                &sample(view).filter(|_| !mask).unwrap_or_default(),
                &names(view).join(" "),
            ])?;
        }
    }
    out.flush()
}

fn columns_object(extracts: &[ExtractColumns], mask: bool) -> Value {
    let extracts: Vec<Value> = extracts
        .iter()
        .map(|extract| {
            let columns: Vec<Value> = extract
                .columns
                .iter()
                .map(|view| {
                    json!({
                        "name": view.column.name,
                        "type": view.column.type_name,
                        "filled": view.filled,
                        "sample": sample(view).filter(|_| !mask),
                        "headers": names(view),
                    })
                })
                .collect();
            let missing: Vec<Value> = extract
                .missing
                .iter()
                .map(|one| json!({ "column": one.column, "header": one.header, "nearest": one.nearest }))
                .collect();
            json!({ "name": extract.name, "rows": extract.rows, "columns": columns, "missing": missing })
        })
        .collect();
    json!({ "extracts": extracts })
}

fn names(view: &ColumnView) -> Vec<&'static str> {
    view.headers.iter().map(|header| USERS.rule(*header).name).collect()
}

/// The first value of a column, unless it may be a password.
fn sample(view: &ColumnView) -> Option<String> {
    let is_secret = view.headers.iter().any(|header| USERS.rule(*header).kind == Kind::Password);
    view.sample.clone().map(|sample| if is_secret { MASK.to_owned() } else { sample })
}

/// In one line that fits beside the others.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What is shown of a value, or of its cell in CSV: its quotes and commas stay.
fn shown_cell(header: Header, value: &str, mask: bool) -> Cow<'_, str> {
    if USERS.rule(header).kind == Kind::Password {
        MASK.into()
    } else if mask && USERS.is_personal(header) {
        masked(value).into()
    } else {
        value.into()
    }
}

/// The shape of a value: `x` for every letter, `9` for every digit; blanks and ASCII punctuation stay.
fn masked(value: &str) -> String {
    let shape = |c: char| match c {
        ' ' => ' ',
        _ if c.is_ascii_punctuation() => c,
        _ if c.is_numeric() => '9',
        _ => 'x',
    };
    value.chars().map(shape).collect()
}

fn mask_usernames(patrons: &mut Patrons) {
    for username in patrons.rejections.iter_mut().filter_map(|rejection| rejection.username.as_mut()) {
        *username = masked(username);
    }
    for username in patrons.warnings.iter_mut().flat_map(|warning| &mut warning.usernames) {
        *username = masked(username);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_the_shape_and_nothing_else() {
        assert_eq!(masked("Jane.O'Neil-2@school.example"), "xxxx.x'xxxx-9@xxxxxx.xxxxxxx");
        assert_eq!(masked("Zoë Nguyễn"), "xxx xxxxxx");
        assert_eq!(masked("e\u{301}\u{a0}٣’"), "xxx9x");
    }
}
