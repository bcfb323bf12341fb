//! Patrons as they would be sent, passwords masked.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::result::{rejection_text, write_findings};
use super::{Output, STRONG, WARNING, bytes, counted, json as as_json, number, write_failed};
use crate::cli::args::PreviewFormatArg;
use crate::cli::preview::{Place, Shown, What};
use crate::error::Error;
use crate::infiniti::contract::{Contract, Header, Kind};
use crate::infiniti::image::Description;
use crate::infiniti::patron::Patrons;
use crate::ops;
use crate::sync::{ColumnView, ExtractColumns};

/// What stands for a password.
pub(super) const MASK: &str = "***";

impl Output {
    /// Patrons and rejections, feed by feed.
    pub(in crate::cli) fn preview(&mut self, mut feeds: Vec<Shown>, place: Place<'_>) -> Result<(), Error> {
        if place.mask {
            for shown in &mut feeds {
                mask_usernames(&mut shown.patrons);
            }
        }
        if place.format == PreviewFormatArg::Json {
            self.write_to(place, |out| as_json::write(out, &previews_object(&feeds, place.mask)))?;
            return feeds.iter().try_for_each(|shown| self.file_written(shown, place));
        }
        let has_heads = feeds.len() > 1;
        for (number, shown) in feeds.iter().enumerate() {
            let head = has_heads.then_some(shown.patrons.contract.feed);
            self.write_to(place, |out| {
                if let Some(feed) = head {
                    let gap = if number == 0 { "" } else { "\n" };
                    writeln!(out, "{gap}{STRONG}{feed}{STRONG:#}")?;
                }
                match (place.format, shown.what) {
                    (PreviewFormatArg::Csv, What::Rejected) => write_rejections_csv(out, &shown.patrons),
                    (PreviewFormatArg::Csv, _) => {
                        let contract = shown.patrons.contract;
                        shown.patrons.write_csv(
                            shown.headers,
                            |header, cell| shown_cell(contract, header, cell, place.mask),
                            out,
                        )
                    }
                    (_, What::Rejected) => write_rejections(out, &shown.patrons),
                    (_, _) => write_table(out, &shown.patrons, place.mask),
                }
            })?;
            self.file_written(shown, place)?;
            let mut said = Vec::new();
            write_notes(&mut said, shown).map_err(write_failed)?;
            let mut notes = self.notes();
            // Of whom they speak must be seen where the tables go elsewhere.
            if let Some(feed) = head.filter(|_| !said.is_empty()) {
                writeln!(notes, "{feed}:").map_err(write_failed)?;
            }
            notes.write_all(&said).map_err(write_failed)?;
        }
        Ok(())
    }

    fn file_written(&mut self, shown: &Shown, place: Place<'_>) -> Result<(), Error> {
        let Some(file) = place.file else { return Ok(()) };
        let what = match shown.what {
            What::Rejected => counted(shown.patrons.rejections.len() as u64, "rejected row"),
            What::Everybody | What::Some => counted(shown.patrons.order().len() as u64, "patron"),
        };
        writeln!(self.data(), "{}: {what}", file.display()).map_err(write_failed)
    }

    /// The feeds of the mapping that are not shown: since a file is of one, or since they lack a header of `--where`.
    pub(in crate::cli) fn other_feeds(&mut self, feeds: &[&str], has_conditions: bool) -> Result<(), Error> {
        let Some(first) = feeds.first() else { return Ok(()) };
        let names: Vec<String> = feeds.iter().map(|feed| format!("`{feed}`")).collect();
        let why = if has_conditions {
            "no such header".to_owned()
        } else {
            format!("`--feed {first}` shows {}", if feeds.len() == 1 { "it" } else { "one of them" })
        };
        writeln!(self.notes(), "  not shown {}: {why}", names.join(", ")).map_err(write_failed)
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
    table.set_header(headers.iter().map(|header| patrons.header_name(header)));
    for row in patrons.order().iter().flat_map(|patron| patrons.rows_of(*patron)) {
        let mut cells = vec![String::new(); headers.len()];
        for (header, value) in row {
            if let Some(cell) = headers.position(header).and_then(|position| cells.get_mut(position)) {
                *cell = shown_cell(patrons.contract, header, &value, mask).into_owned();
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

/// The accounts at the top, as when there was nothing else; the other feeds in a list of their own.
fn previews_object(feeds: &[Shown], mask: bool) -> Value {
    let (users, others): (Vec<&Shown>, Vec<&Shown>) =
        feeds.iter().partition(|shown| shown.patrons.contract.account.is_none());
    let mut object = users.first().map_or_else(|| json!({}), |users| preview_object(users, mask));
    if !others.is_empty() {
        let others = others.into_iter().map(|shown| {
            let mut of_feed = json!({ "feed": shown.patrons.contract.feed });
            if let (Some(of_feed), Value::Object(fields)) = (of_feed.as_object_mut(), preview_object(shown, mask)) {
                of_feed.extend(fields);
            }
            of_feed
        });
        object["feeds"] = others.collect();
    }
    object
}

fn preview_object(shown: &Shown, mask: bool) -> Value {
    let cell = |header, value: &str| shown_cell(shown.patrons.contract, header, value, mask).into_owned();
    let mut object = as_json::preview(&shown.patrons, &cell);
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
        let feed = match extract.contract.account {
            None => String::new(),
            Some(_) => format!(" ({})", extract.contract.feed),
        };
        writeln!(out, "{}{feed}: {}", extract.name, counted(extract.rows, "row"))?;
        let mut table = table();
        let mut head = vec!["column", "type", "filled", "sample", "used by"];
        head.retain(|name| !(mask && *name == "sample"));
        table.set_header(head);
        for view in &extract.columns {
            let mut cells = vec![view.column.name.clone(), view.column.type_name.clone(), number(view.filled)];
            if !mask {
                cells.push(sample(extract, view).map(|sample| shortened(&sample)).unwrap_or_default());
            }
            let used_by = names(extract, view).join(", ");
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
                &sample(extract, view).filter(|_| !mask).unwrap_or_default(),
                &names(extract, view).join(" "),
            ])?;
        }
    }
    out.flush()
}

fn columns_object(extracts: &[ExtractColumns], mask: bool) -> Value {
    let mut object = json!({});
    let mut others: Vec<Value> = Vec::new();
    for of_feed in extracts.chunk_by(|one, next| one.contract == next.contract) {
        let Some(contract) = of_feed.first().map(|extract| extract.contract) else { continue };
        let extracts = extracts_object(of_feed, mask);
        match contract.account {
            None => object["extracts"] = extracts,
            Some(_) => others.push(json!({ "feed": contract.feed, "extracts": extracts })),
        }
    }
    if !others.is_empty() {
        object["feeds"] = others.into();
    }
    object
}

fn extracts_object(extracts: &[ExtractColumns], mask: bool) -> Value {
    extracts
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
                        "sample": sample(extract, view).filter(|_| !mask),
                        "headers": names(extract, view),
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
        .collect()
}

fn names(extract: &ExtractColumns, view: &ColumnView) -> Vec<&'static str> {
    view.headers.iter().map(|header| extract.contract.rule(*header).name).collect()
}

/// The first value of a column, unless it may be a password.
fn sample(extract: &ExtractColumns, view: &ColumnView) -> Option<String> {
    let is_secret = view.headers.iter().any(|header| extract.contract.rule(*header).kind == Kind::Password);
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
pub(super) fn shown_cell<'v>(contract: &Contract, header: Header, value: &'v str, mask: bool) -> Cow<'v, str> {
    let value = match contract.rule(header).kind {
        Kind::Password => return MASK.into(),
        Kind::Picture | Kind::PictureFile => picture_text(value).into(),
        _ => Cow::from(value),
    };
    if mask && contract.is_personal(header) { masked(&value).into() } else { value }
}

/// A picture by what it is: kind and size. Its bytes are shown nowhere.
fn picture_text(description: &str) -> String {
    match description.parse::<Description>() {
        Ok(description) => format!("{}, {}", description.kind.extension(), bytes(description.bytes.into())),
        Err(_) if description.is_empty() => String::new(),
        Err(_) => "a picture".to_owned(),
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
