//! Rows become patrons, or rejections. No I/O, no clock.
//!
//! This is the hot path: a cell goes from the block it was read into to its CSV line through buffers that are used
//! again for every row.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::clash::{Key, clashing_barcodes, clashing_keys};
use super::contract::{
    Contract, EMAILADDRESS, Header, HeaderRule, HeaderSet, Holders, Kind, LIBRARYBARCODE, Presence, STAFFMEMBER, Unique,
};
use super::fingerprint::Digest;
use super::patron::{ExtractCount, Patrons, Record, Rejection, Warning, WarningKind};
use super::payload::{Lines, push_cell, select_cells};
use super::trace::{Ending, Observer, Stage};
use super::value::{RowPlace, Rule, canonical};
use crate::mapping::{Extract, Input, Lookup, Send, Template, Transform};
use crate::source::row::{Block, Column, Row};

/// A column that a mapping names and the result does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumn {
    /// The column as the mapping writes it.
    pub column: String,
    /// The header that needs it.
    pub header: &'static str,
    /// The result's column that looks most like it.
    pub nearest: Option<String>,
}

/// Builds [`Patrons`]: for each extract [`start`](Self::start) and then its [`rows`](Self::rows), at last
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct Builder {
    contract: &'static Contract,
    cohort: Cohort,
    extracts: Vec<ExtractCount>,
    steps: Vec<Step>,
    scratch: Scratch,
    lines: Lines,
    records: Vec<Record>,
    keys: Vec<Key>,
    /// A hash of the barcode of every row that has one, and the row. Other unique headers would get their own.
    barcodes: Vec<(u64, u32)>,
    rejections: Vec<Rejection>,
    create_only: HeaderSet,
    /// The headers that go into digests; `None` if nobody will ask for one.
    digested: Option<HeaderSet>,
}

/// A rule of the mapping, ready for rows, with what the contract says of its header.
#[derive(Debug)]
struct Step {
    header: Header,
    kind: Kind,
    is_mandatory: bool,
    is_unique: bool,
    input: StepInput,
    lookup: Option<Lookup>,
    transforms: Vec<Transform>,
    default: Option<String>,
}

#[derive(Debug)]
enum StepInput {
    Column(usize),
    Value(String),
    Template(Box<Template>, Vec<usize>),
}

/// Buffers that are used again for every row.
#[derive(Debug, Default)]
struct Scratch {
    line: Vec<u8>,
    broken: Vec<(Header, Rule)>,
    value: Buffers,
    key: String,
    digested: Vec<u8>,
}

#[derive(Debug, Default)]
struct Buffers {
    rendered: String,
    from: String,
    to: String,
    clean: String,
    had_control: bool,
}

/// So many usernames stand beside a warning's count.
const WARNING_NAMES: usize = 5;

impl Builder {
    /// A builder for one feed.
    pub fn new(contract: &'static Contract) -> Self {
        Self {
            contract,
            cohort: Cohort::of(contract),
            extracts: Vec::new(),
            steps: Vec::new(),
            scratch: Scratch::default(),
            lines: Lines::default(),
            records: Vec::new(),
            keys: Vec::new(),
            barcodes: Vec::new(),
            rejections: Vec::new(),
            create_only: HeaderSet::default(),
            digested: None,
        }
    }

    /// Also takes a digest of every row, of all its cells but those that are sent only to new patrons, and passwords.
    #[must_use]
    pub fn with_digests(mut self, extracts: &[Extract]) -> Self {
        let rules = extracts.iter().flat_map(|extract| &extract.rules);
        let create_only = rules.filter(|rule| rule.send == Send::Create).map(|rule| rule.header).collect();
        self.create_only = create_only;
        let is_digested = |header: &Header| self.contract.rule(*header).kind != Kind::Password;
        self.digested = Some(self.contract.iter().filter(is_digested).collect::<HeaderSet>().without(create_only));
        self
    }

    /// Starts an extract: binds its rules to the columns of the result.
    ///
    /// # Errors
    /// Every column that a rule needs and the result does not have.
    pub fn start(&mut self, extract: &Extract, columns: &[Column]) -> Result<(), Vec<MissingColumn>> {
        let mut missing = Vec::new();
        let mut find = |name: &str, header: Header| {
            let found = columns.iter().position(|column| column.name.to_lowercase() == name.to_lowercase());
            found.unwrap_or_else(|| {
                missing.push(MissingColumn {
                    column: name.to_owned(),
                    header: self.contract.rule(header).name,
                    nearest: nearest(name, columns),
                });
                0
            })
        };
        self.steps.clear();
        for rule in &extract.rules {
            let input = match &rule.input {
                Input::Column(name) => StepInput::Column(find(name, rule.header)),
                Input::Value(text) => StepInput::Value(text.clone()),
                Input::Template(template) => {
                    let columns = template.variables().iter().map(|name| find(name, rule.header)).collect();
                    StepInput::Template(Box::new(template.clone()), columns)
                }
            };
            if rule.send == Send::Create {
                self.create_only.insert(rule.header);
            }
            let contract_rule = self.contract.rule(rule.header);
            self.steps.push(Step {
                header: rule.header,
                kind: contract_rule.kind,
                is_mandatory: contract_rule.presence == Presence::Mandatory,
                is_unique: contract_rule.unique == Unique::Exact,
                input,
                lookup: rule.lookup.clone(),
                transforms: rule.transforms.clone(),
                default: rule.default.clone(),
            });
        }
        self.extracts.push(ExtractCount { name: extract.name.clone(), rows: 0, rejected: 0 });
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Takes rows of the extract that was started last, at most `most` of them; returns how many.
    pub fn rows(&mut self, block: &Block, most: u64) -> u64 {
        let mut taken = 0;
        for row in block.rows() {
            if taken == most {
                break;
            }
            self.row(row, &mut ());
            taken += 1;
        }
        taken
    }

    /// Takes rows of the extract that was started last while `observer` looks on, until it has what it wants.
    pub fn watched_rows(&mut self, block: &Block, observer: &mut impl Observer) {
        for row in block.rows() {
            if observer.is_done() {
                break;
            }
            self.row(row, observer);
        }
    }

    fn row(&mut self, row: Row<'_>, observer: &mut impl Observer) {
        let extract = self.extracts.len() - 1;
        let Some(count) = self.extracts.last_mut() else { return };
        count.rows += 1;
        let place = RowPlace {
            extract: u16::try_from(extract).unwrap_or(u16::MAX),
            row: u32::try_from(count.rows).unwrap_or(u32::MAX),
        };
        observer.begins(place);
        let Scratch { line, broken, value: buffers, key, digested } = &mut self.scratch;
        line.clear();
        broken.clear();
        key.clear();
        let mut headers = HeaderSet::default();
        let mut is_staff = None;
        let mut barcode_hash = None;
        let mut control = HeaderSet::default();
        for step in &mut self.steps {
            let (header, kind, is_unique) = (step.header, step.kind, step.is_unique);
            buffers.had_control = false;
            let (value, class) = match step.value(row, buffers, observer) {
                Ok(("", _)) => {
                    let ending = if step.is_mandatory {
                        broken.push((header, Rule::Blank));
                        Ending::Broken(&Rule::Blank)
                    } else if step.default.is_some() {
                        // The mapping says that a blank is to be sent.
                        push_cell(line, "", false);
                        headers.insert(header);
                        Ending::SentBlank
                    } else {
                        Ending::LeftOut
                    };
                    observer.ends(header, ending);
                    continue;
                }
                Ok((value, class)) => match canonical(kind, value) {
                    Ok(value) => (value, class),
                    Err(rule) => {
                        observer.ends(header, Ending::Broken(&rule));
                        broken.push((header, rule));
                        continue;
                    }
                },
                Err(rule) => {
                    observer.ends(header, Ending::Broken(&rule));
                    broken.push((header, rule));
                    continue;
                }
            };
            observer.saw(header, Stage::Normalised, value);
            observer.ends(header, Ending::Sent(value));
            if header == self.contract.key() {
                key.push_str(value);
            } else if header == STAFFMEMBER {
                is_staff = Some(value == "Y");
            }
            if is_unique {
                barcode_hash = Some(hash(value));
            }
            push_cell(line, value, class & QUOTED != 0);
            headers.insert(header);
            if buffers.had_control {
                control.insert(header);
            }
        }
        observer.row_ends(row);
        if let Some(is_staff) = is_staff {
            self.cohort.check(headers, is_staff, broken);
        }
        let is_rejected = !broken.is_empty();
        if is_rejected {
            count.rejected += 1;
            self.rejections.push(Rejection {
                place,
                username: (!key.is_empty()).then(|| key.clone()),
                broken: std::mem::take(broken),
            });
        }
        // Without a key there is nothing that another row could clash with.
        if key.is_empty() {
            return;
        }
        line.extend_from_slice(b"\r\n");
        let record = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.keys.push(Key::new(key, record));
        if let Some(hash) = barcode_hash {
            self.barcodes.push((hash, record));
        }
        let digest = match self.digested {
            Some(wanted) if headers.without(wanted).is_empty() => Digest::of(headers, line),
            Some(wanted) => {
                digested.clear();
                select_cells(line, headers, wanted, |bytes| digested.extend_from_slice(bytes));
                Digest::of(headers.intersection(wanted), digested)
            }
            None => Digest::default(),
        };
        let (line, is_staff) = (self.lines.push(line), is_staff == Some(true));
        self.records.push(Record { line, headers, place, control, digest, is_staff, is_rejected });
    }

    /// Puts the patrons in key order and rejects every row of a clash.
    pub fn finish(mut self) -> Patrons {
        let Self { contract, lines, records, keys, barcodes, .. } = &mut self;
        let (contract, lines, records) = (*contract, &*lines, &*records);
        let clashing_keys = clashing_keys(keys, lines, records, contract.key());
        let clashing_barcodes = clashing_barcodes(barcodes, lines, records);
        let key = contract.key();
        self.reject_clashes(key, &clashing_keys);
        self.reject_clashes(LIBRARYBARCODE, &clashing_barcodes);
        self.rejections.sort_by_key(|rejection| rejection.place);
        let is_accepted = |record: &u32| !self.records[*record as usize].is_rejected;
        let order: Vec<u32> = self.keys.iter().map(|key| key.record).filter(is_accepted).collect();
        let warnings = self.warnings(&order);
        Patrons {
            contract: self.contract,
            extracts: self.extracts,
            rejections: self.rejections,
            warnings,
            lines: self.lines,
            records: self.records,
            order,
            create_only: self.create_only,
            digested: self.digested.unwrap_or_default(),
        }
    }

    /// What looks wrong with the patrons that are accepted.
    fn warnings(&self, order: &[u32]) -> Vec<Warning> {
        let mut found: BTreeMap<WarningKind, (u64, Vec<u32>)> = BTreeMap::new();
        for number in order {
            let mut warn = |kind| {
                let (count, first) = found.entry(kind).or_default();
                *count += 1;
                if first.len() < WARNING_NAMES {
                    first.push(*number);
                }
            };
            let record = &self.records[*number as usize];
            if !record.headers.contains(LIBRARYBARCODE) {
                warn(WarningKind::NoBarcode);
            }
            if record.is_staff && !record.headers.contains(EMAILADDRESS) {
                warn(WarningKind::StaffWithoutAddress);
            }
            record.control.iter().for_each(|header| warn(WarningKind::ControlCharacter(header)));
        }
        let username = |record: &u32| self.records[*record as usize].value(&self.lines, self.contract.key());
        found
            .into_iter()
            .map(|(kind, (count, first))| Warning {
                kind,
                count,
                usernames: first.iter().filter_map(username).collect(),
            })
            .collect()
    }

    fn reject_clashes(&mut self, header: Header, clashes: &[Vec<u32>]) {
        if clashes.is_empty() {
            return;
        }
        let mut known: HashMap<RowPlace, usize> =
            self.rejections.iter().enumerate().map(|(index, rejection)| (rejection.place, index)).collect();
        for clash in clashes {
            for record in clash {
                let place = self.records[*record as usize].place;
                let others = clash.iter().filter(|other| *other != record);
                let mut first: Vec<RowPlace> =
                    others.take(CLASH_PLACES).map(|other| self.records[*other as usize].place).collect();
                first.sort_unstable();
                let more = clash.len() - 1 - first.len();
                let index = *known.entry(place).or_insert_with(|| {
                    self.rejections.push(Rejection {
                        place,
                        username: self.records[*record as usize].value(&self.lines, self.contract.key()),
                        broken: Vec::new(),
                    });
                    self.rejections.len() - 1
                });
                self.rejections[index].broken.push((header, Rule::Clash { first, more }));
                let record = &mut self.records[*record as usize];
                if !record.is_rejected {
                    record.is_rejected = true;
                    self.extracts[usize::from(place.extract)].rejected += 1;
                }
            }
        }
    }
}

/// So many of the other rows of a clash are named.
const CLASH_PLACES: usize = 3;

impl Step {
    /// The value that a row gives this header, and its class: trimmed, in NFC, without control characters; blank if
    /// there is none.
    fn value<'a>(
        &'a mut self,
        row: Row<'a>,
        buffers: &'a mut Buffers,
        observer: &mut impl Observer,
    ) -> Result<(&'a str, u8), Rule> {
        let Buffers { rendered, from, to, clean, had_control } = buffers;
        let input = match &mut self.input {
            StepInput::Column(column) => row.cell(*column),
            StepInput::Value(text) => text,
            StepInput::Template(template, columns) => {
                rendered.clear();
                render(template, columns, row, rendered)?;
                rendered
            }
        };
        observer.saw(self.header, Stage::Input, input);
        let mut value = trim(input);
        if let Some(lookup) = &self.lookup {
            value = lookup.get(value).ok_or(Rule::Lookup)?;
            observer.saw(self.header, Stage::Lookup, value);
        }
        if !value.is_empty() && !self.transforms.is_empty() {
            from.clear();
            from.push_str(value);
            for (number, transform) in self.transforms.iter().enumerate() {
                to.clear();
                transform.apply(from.trim(), to);
                std::mem::swap(from, to);
                observer.saw(self.header, Stage::Transform(number), from);
            }
            value = from.trim();
        }
        if value.is_empty()
            && let Some(default) = &self.default
        {
            value = default.trim();
            observer.saw(self.header, Stage::Default, value);
        }
        let class = class_of(value);
        if class & UNUSUAL == 0 {
            return Ok((value, class));
        }
        clean.clear();
        *had_control = normalise(value, clean);
        Ok((clean.trim(), class))
    }
}

fn render(template: &mut Template, columns: &[usize], row: Row<'_>, out: &mut String) -> Result<(), Rule> {
    let mut few = [""; 8];
    let many: Vec<&str>;
    let values = if let Some(values) = few.get_mut(..columns.len()) {
        for (value, column) in values.iter_mut().zip(columns) {
            *value = row.cell(*column).trim();
        }
        &*values
    } else {
        many = columns.iter().map(|column| row.cell(*column).trim()).collect();
        &many
    };
    template.render(values, out).map_err(|failure| Rule::Template(failure.to_string()))
}

/// A byte that makes a CSV cell need quotes.
const QUOTED: u8 = 1;
/// A byte that is not printable ASCII: the value may need to be normalised.
const UNUSUAL: u8 = 2;

/// What every byte means for the value that holds it.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte < 0x20 || byte >= 0x7f {
            classes[byte] = UNUSUAL;
        }
        byte += 1;
    }
    classes[b',' as usize] = QUOTED;
    classes[b'"' as usize] = QUOTED;
    classes
};

/// The classes of a value's bytes, in one pass.
fn class_of(value: &str) -> u8 {
    value.bytes().fold(0, |class, byte| class | CLASSES[usize::from(byte)])
}

/// Without outer white space. Nearly all values have none, and a look at two bytes shows it.
fn trim(value: &str) -> &str {
    let is_graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    let bytes = value.as_bytes();
    if is_graphic(bytes.first()) && is_graphic(bytes.last()) { value } else { value.trim() }
}

/// Writes a value in NFC with a space for every run of control characters; whether there were any.
fn normalise(value: &str, out: &mut String) -> bool {
    let is_control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let has_control = value.contains(is_control);
    if !has_control && is_nfc(value) {
        out.push_str(value);
    } else if has_control {
        for part in value.split(is_control).filter(|part| !part.is_empty()) {
            if !out.is_empty() && !out.ends_with(' ') && !part.starts_with(' ') {
                out.push(' ');
            }
            out.extend(part.nfc());
        }
    } else {
        out.extend(value.nfc());
    }
    has_control
}

/// The headers of which a student fills exactly one, and those that are for students only.
#[derive(Clone, Copy, Debug)]
struct Cohort {
    one_of: HeaderSet,
    students_only: HeaderSet,
}

impl Cohort {
    fn of(contract: &Contract) -> Self {
        let those = |is: fn(&HeaderRule) -> bool| contract.iter().filter(|header| is(contract.rule(*header))).collect();
        Self {
            one_of: those(|rule| rule.presence == Presence::OneOfCohort),
            students_only: those(|rule| rule.holders == Holders::Students),
        }
    }

    fn check(self, filled: HeaderSet, is_staff: bool, broken: &mut Vec<(Header, Rule)>) {
        // A header that broke its own rule was filled: one complaint is enough.
        let filled = broken.iter().fold(filled, |filled, (header, _)| filled.union(header.bit()));
        if is_staff {
            broken.extend(filled.intersection(self.students_only).iter().map(|header| (header, Rule::CohortOfStaff)));
        } else if let Some(header) = self.one_of.iter().next() {
            match filled.intersection(self.one_of).len() {
                1 => {}
                0 => broken.push((header, Rule::CohortMissing)),
                _ => broken.push((header, Rule::CohortTwice)),
            }
        }
    }
}

fn hash(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn nearest(name: &str, columns: &[Column]) -> Option<String> {
    let name = name.to_lowercase();
    columns
        .iter()
        .map(|column| (strsim::jaro_winkler(&name, &column.name.to_lowercase()), column))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, column)| column.name.clone())
}

#[cfg(test)]
mod tests;
