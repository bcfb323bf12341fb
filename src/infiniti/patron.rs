//! What became of the rows of a feed: patrons in key order, rejections, and what was noticed on the way.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::contract::{Contract, EMAILADDRESS, Header, HeaderSet, LIBRARYBARCODE, Rows};
use super::fingerprint::Digest;
use super::payload::{LinePlace, Lines, cell_value, raw_cells, select_cells};
use super::value::{RowPlace, Rule};

/// All patrons of a feed, with what was rejected and what was noticed on the way.
#[derive(Debug)]
pub struct Patrons {
    /// The feed's contract.
    pub contract: &'static Contract,
    /// A header whose name in the CSV is a setting, and that name.
    pub(super) renamed: Option<(Header, String)>,
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
    /// Where a key has several rows, what each record is made of.
    pub(super) groups: Vec<Group>,
    /// The rows of the groups.
    pub(super) places: Vec<RowPlace>,
    /// Patrons with a word that is not among those that are known, and its header.
    pub(super) unusual: HashMap<u32, Header>,
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
    /// Those that belong to nobody who has an account. A limit takes no notice of them.
    pub left_out: u64,
}

impl ExtractCount {
    /// The rows that a limit counts.
    pub fn counted(&self) -> u64 {
        self.rows - self.left_out.min(self.rows)
    }
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
    /// A word that is not among those that are known: Infiniti may know it all the same.
    UnknownWord(Header),
    /// Rows of somebody who has no account are left out.
    NoAccount,
    /// A staff member in no library group has no access.
    StaffWithoutGroup,
}

impl WarningKind {
    /// A stable name, for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoBarcode => "no_barcode",
            Self::StaffWithoutAddress => "staff_without_address",
            Self::ControlCharacter(_) => "control_character",
            Self::UnknownWord(_) => "unknown_word",
            Self::NoAccount => "no_account",
            Self::StaffWithoutGroup => "staff_without_group",
        }
    }
}

/// So many usernames stand beside a warning's count.
const WARNING_NAMES: usize = 5;

/// What the record of a key with several rows is made of.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The rows that it was read from.
    pub(super) places: Range<usize>,
    /// How many lines it has.
    pub(super) lines: usize,
    /// Whether other rows of the key were rejected.
    pub(super) is_partial: bool,
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

    /// A patron's headers and cells as they are written in CSV, in the contract's order; of several lines those of the first.
    pub fn cells(&self, patron: u32) -> impl Iterator<Item = (Header, &[u8])> {
        let line = self.lines_of(patron).next().unwrap_or_default();
        self.records[patron as usize].headers.iter().zip(raw_cells(line))
    }

    /// A patron's lines of CSV, each with its CRLF: one, unless a key may have several rows.
    pub fn lines_of(&self, patron: u32) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.lines.get(self.records[patron as usize].line);
        let is_one = self.contract.rows == Rows::One;
        std::iter::from_fn(move || {
            // No value holds a line feed, in quotes or not.
            let end = if is_one { Some(rest.len()) } else { memchr::memchr(b'\n', rest).map(|end| end + 1) };
            let (line, after) = rest.split_at(end.filter(|end| *end > 0)?);
            rest = after;
            Some(line)
        })
    }

    /// How many lines a patron has.
    pub fn line_count(&self, patron: u32) -> usize {
        self.groups.get(patron as usize).map_or(1, |group| group.lines)
    }

    /// Whether other rows of the patron were rejected, so that what is left may be less than Infiniti has.
    pub fn is_partial(&self, patron: u32) -> bool {
        self.groups.get(patron as usize).is_some_and(|group| group.is_partial)
    }

    /// The rows that a patron was read from.
    pub fn places_of(&self, patron: u32) -> &[RowPlace] {
        match self.groups.get(patron as usize) {
            Some(group) => &self.places[group.places.clone()],
            None => std::slice::from_ref(&self.records[patron as usize].place),
        }
    }

    /// The name of a header as the CSV has it.
    pub fn header_name(&self, header: Header) -> &str {
        match &self.renamed {
            Some((renamed, name)) if *renamed == header => name,
            _ => self.contract.rule(header).name,
        }
    }

    /// The cells that went into the digest; of several lines those of the first.
    pub fn digested_cells(&self, patron: u32) -> impl Iterator<Item = (Header, &[u8])> {
        self.cells(patron).filter(|(header, _)| self.digested.contains(*header))
    }

    /// Of a patron with several lines, all cells of each header, line after line.
    pub fn columns(&self, patron: u32) -> Vec<(Header, Vec<u8>)> {
        let mut columns: Vec<(Header, Vec<u8>)> =
            self.records[patron as usize].headers.iter().map(|header| (header, Vec::new())).collect();
        for line in self.lines_of(patron) {
            for ((_, column), cell) in columns.iter_mut().zip(raw_cells(line)) {
                column.extend_from_slice(cell);
                column.push(b'\n');
            }
        }
        columns
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
        self.cells(patron).map(|(header, raw)| (header, cell_value(raw).into_owned()))
    }

    /// The values of each line of a patron, in the contract's order.
    pub fn rows_of(&self, patron: u32) -> impl Iterator<Item = Vec<(Header, String)>> {
        let headers = self.records[patron as usize].headers;
        self.lines_of(patron).map(move |line| {
            headers.iter().zip(raw_cells(line)).map(|(header, raw)| (header, cell_value(raw).into_owned())).collect()
        })
    }

    /// Keeps only these patrons in [`order`](Self::order).
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&Self, u32) -> bool) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|patron| is_wanted(self, *patron));
        self.order = order;
    }

    /// Notes what looks wrong with the patrons that are accepted, in the place of what was noted before.
    pub(super) fn warn(&mut self) {
        let mut found: BTreeMap<WarningKind, (u64, Vec<u32>)> = BTreeMap::new();
        let is_of_accounts = self.contract.account.is_none();
        for number in &self.order {
            let mut warn = |kind| {
                let (count, first) = found.entry(kind).or_default();
                *count += 1;
                if first.len() < WARNING_NAMES {
                    first.push(*number);
                }
            };
            let record = &self.records[*number as usize];
            if is_of_accounts && !record.headers.contains(LIBRARYBARCODE) {
                warn(WarningKind::NoBarcode);
            }
            if is_of_accounts && record.is_staff && !record.headers.contains(EMAILADDRESS) {
                warn(WarningKind::StaffWithoutAddress);
            }
            record.control.iter().for_each(|header| warn(WarningKind::ControlCharacter(header)));
            if let Some(header) = self.unusual.get(number) {
                warn(WarningKind::UnknownWord(*header));
            }
        }
        let warning = |(kind, (count, first)): (WarningKind, (u64, Vec<u32>))| Warning {
            kind,
            count,
            usernames: first.iter().map(|patron| self.username(*patron)).collect(),
        };
        self.warnings = found.into_iter().map(warning).collect();
    }

    /// Keeps only these rows in what is shown or written, and only those patrons in [`order`](Self::order) who have one of
    /// them. `is_wanted` asks for the value of a header, which is blank if the row does not fill it.
    pub fn retain_rows(&mut self, mut is_wanted: impl FnMut(&dyn Fn(Header) -> String) -> bool) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|patron| {
            let headers = self.headers(*patron);
            let mut kept: Vec<u8> = Vec::new();
            let (mut all, mut wanted) = (0, 0);
            for line in self.lines_of(*patron) {
                let value = |header| {
                    let cell = headers.position(header).and_then(|position| raw_cells(line).nth(position));
                    cell.map(|cell| cell_value(cell).into_owned()).unwrap_or_default()
                };
                all += 1;
                if is_wanted(&value) {
                    wanted += 1;
                    kept.extend_from_slice(line);
                }
            }
            if 0 < wanted && wanted < all {
                self.records[*patron as usize].line = self.lines.push(&kept);
                if let Some(group) = self.groups.get_mut(*patron as usize) {
                    group.lines = wanted;
                }
            }
            wanted > 0
        });
        self.order = order;
    }

    /// Counts patrons as left out, since they have no account, and says so. They must not be in [`order`](Self::order) any more.
    pub fn leave_out(&mut self, patrons: &[u32]) {
        for patron in patrons {
            for place in self.places_of(*patron).to_vec() {
                if let Some(extract) = self.extracts.get_mut(usize::from(place.extract)) {
                    extract.left_out += 1;
                }
            }
        }
        if !patrons.is_empty() {
            self.warn();
            let usernames = patrons.iter().take(WARNING_NAMES).map(|patron| self.username(*patron)).collect();
            self.warnings.push(Warning { kind: WarningKind::NoAccount, count: patrons.len() as u64, usernames });
        }
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
        let names: Vec<&str> = headers.iter().map(|header| self.header_name(header)).collect();
        write!(out, "{}\r\n", names.join(","))?;
        let lines = self.order.iter().flat_map(|patron| self.lines_of(*patron).map(move |line| (*patron, line)));
        for (patron, line) in lines {
            let mut cells = self.records[patron as usize].headers.iter().zip(raw_cells(line)).peekable();
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
