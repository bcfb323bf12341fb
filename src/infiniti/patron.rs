//! What became of the rows of a feed: patrons in key order, rejections, and what was noticed on the way.

use super::contract::{Contract, Header, HeaderSet, Kind};
use super::payload::{LinePlace, Lines, cell_value, raw_cells, select_cells};
use super::value::{RowPlace, Rule};

/// All patrons of a feed, with what was rejected and what was noticed on the way.
#[derive(Debug)]
pub struct Patrons {
    /// The feed's contract.
    pub contract: &'static Contract,
    /// The extracts in the order of the mapping, each with the rows it gave.
    pub extracts: Vec<ExtractCount>,
    /// The rows that broke a rule, in the order in which they were read.
    pub rejections: Vec<Rejection>,
    /// What is allowed but looks wrong.
    pub warnings: Vec<Warning>,
    pub(super) lines: Lines,
    pub(super) records: Vec<Record>,
    /// The accepted records in key order.
    pub(super) order: Vec<u32>,
    pub(super) create_only: HeaderSet,
}

/// How many rows an extract gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractCount {
    /// Its name.
    pub name: String,
    /// The rows of its result.
    pub rows: u64,
    /// Those that were rejected.
    pub rejected: u64,
}

/// A row that broke rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The row.
    pub place: RowPlace,
    /// Its username, unless that is what is wrong.
    pub username: Option<String>,
    /// The rules it broke, each with its header.
    pub broken: Vec<(Header, Rule)>,
}

/// Something that is allowed but looks wrong, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// How many patrons.
    pub count: u64,
    /// The first few of them.
    pub usernames: Vec<String>,
}

/// What looks wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningKind {
    /// A patron without a barcode cannot borrow.
    NoBarcode,
    /// A staff member without an address cannot be written to.
    StaffWithoutAddress,
    /// A line break or control character inside a value became a space.
    ControlCharacter(Header),
}

impl WarningKind {
    /// A stable name, for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoBarcode => "no_barcode",
            Self::StaffWithoutAddress => "staff_without_address",
            Self::ControlCharacter(_) => "control_character",
        }
    }
}

/// One row that has a key: an accepted patron, or a rejected one that still holds its key and its barcode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) line: LinePlace,
    pub(super) headers: HeaderSet,
    pub(super) place: RowPlace,
    /// Headers with a value that held control characters.
    pub(super) control: HeaderSet,
    pub(super) is_staff: bool,
    pub(super) is_rejected: bool,
}

impl Patrons {
    /// The accepted patrons by number, in key order: the username without regard to case, byte by byte.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The headers that a patron fills.
    pub fn headers(&self, patron: u32) -> HeaderSet {
        self.records[patron as usize].headers
    }

    /// The headers that are sent only to patrons that Infiniti has not accepted yet.
    pub fn create_only(&self) -> HeaderSet {
        self.create_only
    }

    /// Where a patron was read.
    pub fn place(&self, patron: u32) -> RowPlace {
        self.records[patron as usize].place
    }

    /// A patron's key.
    pub fn username(&self, patron: u32) -> String {
        self.records[patron as usize].value(&self.lines, self.contract.key()).unwrap_or_default()
    }

    /// A patron's headers and values, in the contract's order.
    pub fn values(&self, patron: u32) -> impl Iterator<Item = (Header, String)> {
        let record = &self.records[patron as usize];
        record.headers.iter().zip(raw_cells(self.lines.get(record.line)).map(|raw| cell_value(raw).into_owned()))
    }

    /// Writes all patrons as one CSV with these headers, passwords replaced by `mask`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_csv(&self, headers: HeaderSet, mask: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let names: Vec<&str> = headers.iter().map(|header| self.contract.rule(header).name).collect();
        write!(out, "{}\r\n", names.join(","))?;
        for patron in &self.order {
            let record = &self.records[*patron as usize];
            let mut cells = record.headers.iter().zip(raw_cells(self.lines.get(record.line))).peekable();
            for (index, header) in headers.iter().enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }
                if let Some((_, cell)) = cells.next_if(|(filled, _)| *filled == header) {
                    let is_password = self.contract.rule(header).kind == Kind::Password;
                    out.write_all(if is_password { mask.as_bytes() } else { cell })?;
                }
            }
            out.write_all(b"\r\n")?;
        }
        Ok(())
    }

    /// An extract's name.
    pub fn extract_name(&self, extract: u16) -> String {
        self.extracts.get(usize::from(extract)).map(|extract| extract.name.clone()).unwrap_or_default()
    }

    /// Rows read, of all extracts.
    pub fn rows(&self) -> u64 {
        self.extracts.iter().map(|extract| extract.rows).sum()
    }

    /// How long a patron's line is with these headers only.
    pub(super) fn line_length(&self, patron: u32, headers: HeaderSet) -> usize {
        let record = &self.records[patron as usize];
        if record.headers == headers {
            return record.line.length();
        }
        let mut length = 0;
        select_cells(self.lines.get(record.line), record.headers, headers, |bytes| length += bytes.len());
        length
    }

    /// Appends a patron's line with these headers only.
    pub(super) fn write_line(&self, patron: u32, headers: HeaderSet, out: &mut bytes::BytesMut) {
        let record = &self.records[patron as usize];
        let line = self.lines.get(record.line);
        if record.headers == headers {
            out.extend_from_slice(line);
        } else {
            select_cells(line, record.headers, headers, |bytes| out.extend_from_slice(bytes));
        }
    }
}

impl Record {
    /// The value of a header; `None` if the row does not fill it.
    pub(super) fn value(&self, lines: &Lines, header: Header) -> Option<String> {
        let position = self.headers.position(header)?;
        raw_cells(lines.get(self.line)).nth(position).map(|raw| cell_value(raw).into_owned())
    }
}
