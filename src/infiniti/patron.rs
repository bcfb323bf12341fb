//! What became of the rows of a feed: patrons in key order, rejections, and what was noticed on the way.

use super::contract::{Contract, Header, HeaderSet};
use super::fingerprint::Digest;
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
    /// The headers that go into digests.
    pub(super) digested: HeaderSet,
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
    /// Of the cells that tell whether the row changed.
    pub(super) digest: Digest,
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

    /// The headers that any patron fills.
    pub fn filled(&self) -> HeaderSet {
        self.order.iter().fold(HeaderSet::default(), |all, patron| all.union(self.headers(*patron)))
    }

    /// The headers that are sent only to patrons that Infiniti has not accepted yet.
    pub fn create_only(&self) -> HeaderSet {
        self.create_only
    }

    /// Where a patron was read.
    pub fn place(&self, patron: u32) -> RowPlace {
        self.records[patron as usize].place
    }

    /// The digest of a patron's row, if digests were asked for.
    pub fn digest(&self, patron: u32) -> Digest {
        self.records[patron as usize].digest
    }

    /// Whether a patron is staff.
    pub fn is_staff(&self, patron: u32) -> bool {
        self.records[patron as usize].is_staff
    }

    /// A patron's headers and cells as they are written in CSV, in the contract's order.
    pub fn cells(&self, patron: u32) -> impl Iterator<Item = (Header, &[u8])> {
        let record = &self.records[patron as usize];
        record.headers.iter().zip(raw_cells(self.lines.get(record.line)))
    }

    /// The cells that went into the digest.
    pub fn digested_cells(&self, patron: u32) -> impl Iterator<Item = (Header, &[u8])> {
        self.cells(patron).filter(|(header, _)| self.digested.contains(*header))
    }

    /// Brings the next patrons of a list into the processor's caches, once in a while: in key order their lines lie
    /// anywhere in memory, and many loads at once take hardly longer than one. `at` is where in `list` the reader is.
    pub fn warm(&self, list: &[u32], at: usize) {
        const AHEAD: usize = 16;
        if at.is_multiple_of(AHEAD) {
            let next = &list[at..list.len().min(at + AHEAD)];
            let touched = next.iter().fold(0_u8, |sum, patron| {
                let line = self.lines.get(self.records[*patron as usize].line);
                let at = |place: usize| line.get(place).copied().unwrap_or_default();
                sum ^ at(0) ^ at(64) ^ at(line.len().wrapping_sub(1))
            });
            std::hint::black_box(touched);
        }
    }

    /// A patron's key, without an allocation unless it stands in quotes.
    pub fn key(&self, patron: u32) -> std::borrow::Cow<'_, str> {
        let record = &self.records[patron as usize];
        // The key is the contract's first header, and no record is without one.
        raw_cells(self.lines.get(record.line)).next().map(cell_value).unwrap_or_default()
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

    /// Keeps only these patrons in [`order`](Self::order).
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&Self, u32) -> bool) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|patron| is_wanted(self, *patron));
        self.order = order;
    }

    /// The rows that are rejected and have a key all the same, by number, and where each was read.
    pub fn rejected(&self) -> impl Iterator<Item = (RowPlace, u32)> {
        (0..).zip(&self.records).filter(|(_, record)| record.is_rejected).map(|(number, record)| (record.place, number))
    }

    /// Writes all patrons as one CSV with these headers. `shown` gives what is shown of a cell as it is written in CSV.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_csv(
        &self,
        headers: HeaderSet,
        shown: impl for<'c> Fn(Header, &'c str) -> std::borrow::Cow<'c, str>,
        out: &mut dyn std::io::Write,
    ) -> std::io::Result<()> {
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
                    out.write_all(shown(header, &String::from_utf8_lossy(cell)).as_bytes())?;
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
