//! Uploads that are tables: CSV with a header row, each row by itself, checked by a contract.

use super::feed::{Imported, Outcome, Refused, Upload};
use crate::infiniti::contract::{Contract, Header, Kind, Presence};
use crate::infiniti::value::canonical;

/// The longest name of a column that an answer repeats, in characters.
const SHOWN_MAX: usize = 40;

/// Reads a CSV. `columns` makes of the header row what `row` needs to read one; a row with another number of cells fails.
///
/// # Errors
/// Why the upload as a whole is refused.
pub(super) fn import<C>(
    upload: &Upload,
    columns: impl FnOnce(&[&str]) -> Result<C, String>,
    mut row: impl FnMut(&C, &[&str]) -> Result<Outcome, String>,
) -> Result<Imported, Refused> {
    let csv = upload.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&upload.bytes);
    let csv = str::from_utf8(csv).map_err(|_| "The file is not UTF-8.".to_owned())?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let names = reader.headers().map_err(|_| "The header row cannot be read.".to_owned())?.clone();
    let mut imported = Imported::default();
    if names.is_empty() {
        return Ok(imported);
    }
    let columns = columns(&names.iter().map(str::trim).collect::<Vec<_>>())?;
    let mut record = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(imported),
            Err(_) => return Err("The file cannot be read as CSV.".to_owned().into()),
        }
        let outcome = if record.len() == names.len() {
            row(&columns, &record.iter().map(str::trim).collect::<Vec<_>>())
        } else {
            Err(format!("The row has {} fields, the header row {}.", record.len(), names.len()))
        };
        imported.outcomes.push(outcome.into());
    }
}

/// The headers of a header row. Those of `needed` must be there.
///
/// # Errors
/// One that is unknown, stands twice or is missing.
pub(super) fn columns(contract: &Contract, names: &[&str], needed: &[Header]) -> Result<Vec<Header>, String> {
    let mut columns = Vec::new();
    for name in names {
        let header = contract.header(name).ok_or_else(|| format!("Unknown column header ({}).", shown(name)))?;
        if columns.contains(&header) {
            return Err(format!("Column header ({}) stands twice.", shown(name)));
        }
        columns.push(header);
    }
    match needed.iter().find(|header| !columns.contains(header)) {
        Some(header) => Err(format!("Column header ({}) is missing.", contract.rule(*header).name)),
        None => Ok(columns),
    }
}

/// Holds a value against the rule of its header.
///
/// # Errors
/// The sentence that says which it breaks.
pub(super) fn check(contract: &Contract, header: Header, value: &str) -> Result<(), String> {
    let rule = contract.rule(header);
    let field = field(contract, header);
    if value.is_empty() {
        return match rule.presence {
            Presence::Mandatory => Err(format!("Field ({field}) is required.")),
            Presence::Optional | Presence::OneOfCohort | Presence::Content | Presence::OneOfContent => Ok(()),
        };
    }
    // The same check that rows go through: the contract stands in one place, and `tests/contract.rs` holds it.
    let problem = canonical(rule.kind, value).err().map(|_| match rule.kind {
        Kind::Text | Kind::Password => "is too long",
        Kind::Boolean => "is not a boolean",
        Kind::Email => "is not a well-formed email address",
        Kind::Year => "is not a year of four digits",
        Kind::OneOf(_) | Kind::Channel | Kind::Open(_) | Kind::Codes(_) | Kind::Group => {
            "is not one of the acceptable values"
        }
        Kind::Reach | Kind::Picture | Kind::PictureFile => "cannot be used",
    });
    problem.map_or(Ok(()), |problem| Err(format!("Field ({field}) {problem}.")))
}

/// A header as Infiniti writes it in an error; the vendor shows one example, `emailAddress`.
pub(super) fn field(contract: &Contract, header: Header) -> &'static str {
    match contract.rule(header).name {
        "emailaddress" => "emailAddress",
        name => name,
    }
}

/// The start of what an upload calls something.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_MAX).collect()
}
