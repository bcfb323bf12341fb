//! Rows become patrons, or rejections. No I/O, no clock.
//!
//! This is the hot path: a cell goes from the block it was read into to its CSV line through buffers that are used
//! again for every row.

mod step;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::clash::{Key, by_key, clashing_values};
use super::contract::{Contract, Header, HeaderRule, HeaderSet, Holders, Kind, Presence, Rows};
use super::fingerprint::Digest;
use super::image::check_file_name;
use super::patron::{ExtractCount, Group, Patrons, Record, Rejection};
use super::payload::{Lines, push_cell, select_cells};
use super::trace::{Ending, Observer, Stage};
use super::value::{CHANNELS, RowPlace, Rule, canonical, reach};
use crate::mapping::{Extract, Feed, Input, Send};
use crate::source::row::{Block, Column, Row};
use step::{Buffers, QUOTED, Step, StepInput};

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

/// Looks at pictures: what a builder cannot do, since it does no I/O.
pub trait Pictures: std::marker::Send {
    /// Appends what is to stand in a patron's row for a picture: a description of its content. `value` is what the row has,
    /// the picture as hexadecimal text ([`Kind::Picture`]) or its path ([`Kind::PictureFile`]); it is not blank.
    ///
    /// # Errors
    /// [`Rule::Picture`] if it is none that can be sent.
    fn look(&mut self, kind: Kind, value: &str, out: &mut String) -> Result<(), Rule>;
}

/// Builds [`Patrons`]: for each extract [`start`](Self::start) and then its [`rows`](Self::rows), at last
/// [`finish`](Self::finish).
pub struct Builder {
    contract: &'static Contract,
    cohort: Cohort,
    /// The headers that any extract of the feed fills. Where a key has several rows, each row has all of them.
    headers: HeaderSet,
    /// A header whose name in the CSV is a setting, and that name.
    renamed: Option<(Header, String)>,
    /// The groups that may be sent.
    allow: Vec<String>,
    /// Whether keys become names of files.
    names_files: bool,
    pictures: Option<Box<dyn Pictures>>,
    extracts: Vec<ExtractCount>,
    steps: Vec<Step>,
    /// The step whose cell may hold several values.
    split: Option<usize>,
    scratch: Scratch,
    lines: Lines,
    records: Vec<Record>,
    keys: Vec<Key>,
    /// A hash of the value of every row that has one of the header that is unique beside the key, and the row.
    unique: Vec<(u64, u32)>,
    rejections: Vec<Rejection>,
    /// Rows with a word that is not among those that are known, and its header.
    unusual: Vec<(u32, Header)>,
    create_only: HeaderSet,
    /// The headers that go into digests; `None` if nobody will ask for one.
    digested: Option<HeaderSet>,
}

/// Buffers that are used again for every row.
#[derive(Debug, Default)]
struct Scratch {
    line: Vec<u8>,
    broken: Vec<(Header, Rule)>,
    value: Buffers,
    key: String,
    digested: Vec<u8>,
    described: String,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rows it holds are pupils'.
        f.debug_struct("Builder")
            .field("feed", &self.contract.feed)
            .field("rows", &self.records.len())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// A builder for one feed.
    pub fn new(feed: &Feed) -> Self {
        let rules = || feed.extracts.iter().flat_map(|extract| &extract.rules);
        Self {
            contract: feed.contract,
            cohort: Cohort::of(feed.contract),
            headers: rules().map(|rule| rule.header).collect(),
            renamed: feed.renamed.clone(),
            allow: feed.allow.clone(),
            names_files: feed.contract.is_pictured(),
            pictures: None,
            extracts: Vec::new(),
            steps: Vec::new(),
            split: None,
            scratch: Scratch::default(),
            lines: Lines::default(),
            records: Vec::new(),
            keys: Vec::new(),
            unique: Vec::new(),
            rejections: Vec::new(),
            unusual: Vec::new(),
            create_only: rules().filter(|rule| rule.send == Send::Create).map(|rule| rule.header).collect(),
            digested: None,
        }
    }

    /// Also takes a digest of every row, of all its cells but those that are sent only to new patrons, and passwords.
    #[must_use]
    pub fn with_digests(mut self) -> Self {
        let is_digested = |header: &Header| self.contract.rule(*header).kind != Kind::Password;
        let wanted = self.contract.iter().filter(is_digested).collect::<HeaderSet>();
        self.digested = Some(wanted.without(self.create_only));
        self
    }

    /// Has somebody look at pictures. Without, they are what their rows say.
    #[must_use]
    pub fn with_pictures(mut self, pictures: Box<dyn Pictures>) -> Self {
        self.pictures = Some(pictures);
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
            let mut step = Step::new(self.contract, rule.header, input);
            step.lookup.clone_from(&rule.lookup);
            step.transforms.clone_from(&rule.transforms);
            step.split.clone_from(&rule.split);
            if let Some(default) = &rule.default {
                step.default = Some(default.clone());
            }
            self.steps.push(step);
        }
        if self.contract.rows == Rows::Several {
            let filled: HeaderSet = extract.rules.iter().map(|rule| rule.header).collect();
            for header in self.headers.without(filled).iter() {
                self.steps.push(Step::new(self.contract, header, StepInput::Value(String::new())));
            }
            self.steps.sort_by_key(|step| step.header);
        }
        // Only one header of a contract may be split.
        self.split = self.steps.iter().position(|step| step.split.is_some());
        self.extracts.push(ExtractCount { name: extract.name.clone(), rows: 0, rejected: 0, left_out: 0 });
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

    /// The next row is the one of this number, from 1, in the extract that was started last: those before are not shown to
    /// this builder.
    pub fn continue_at(&mut self, number: u64) {
        if let Some(count) = self.extracts.last_mut() {
            count.rows = number.saturating_sub(1);
        }
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
        let mut part = 0;
        let mut has_account = true;
        loop {
            has_account &= self.part(row, place, observer);
            let Some(step) = self.split.and_then(|step| self.steps.get_mut(step)) else { break };
            part += 1;
            let is_last = part >= step.parts;
            step.part = if is_last { 0 } else { part };
            if is_last {
                break;
            }
        }
        observer.row_ends(row);
        if let Some(count) = self.extracts.last_mut().filter(|_| !has_account) {
            count.left_out += 1;
        }
    }

    /// One row, or what one value of a split cell makes of it. Whether it is of an account, as far as it can tell.
    fn part(&mut self, row: Row<'_>, place: RowPlace, observer: &mut impl Observer) -> bool {
        observer.begins(place);
        let Scratch { line, broken, value: buffers, key, described, .. } = &mut self.scratch;
        line.clear();
        broken.clear();
        key.clear();
        let mut seen = Seen::default();
        let mut says_nothing = false;
        let mut checks =
            Checks { allow: &self.allow, pictures: self.pictures.as_deref_mut(), channel: "", unusual: None };
        for step in &mut self.steps {
            let (header, kind, is_unique) = (step.header, step.kind, step.is_unique);
            buffers.had_control = false;
            let (value, class) = match step.value(row, buffers, observer) {
                Ok(("", _)) => {
                    // Nobody's contact is no mistake: an SIS knows people without an account.
                    let is_nobody = header == self.contract.key() && self.contract.account.is_some();
                    let ending = match step.presence {
                        Presence::Mandatory if !is_nobody => {
                            broken.push((header, Rule::Blank));
                            Ending::Broken(&Rule::Blank)
                        }
                        Presence::Mandatory | Presence::Content | Presence::OneOfContent => {
                            says_nothing = true;
                            Ending::LeftOut
                        }
                        Presence::Optional | Presence::OneOfCohort if step.default.is_some() => {
                            // The mapping says that a blank is to be sent.
                            push_cell(line, "", false);
                            seen.headers.insert(header);
                            Ending::SentBlank
                        }
                        Presence::Optional | Presence::OneOfCohort => Ending::LeftOut,
                    };
                    observer.ends(header, ending);
                    continue;
                }
                Ok((value, class)) => match checks.check(header, kind, value, described) {
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
                if self.names_files
                    && let Err(fault) = check_file_name(value)
                {
                    broken.push((header, Rule::FileName(fault)));
                }
            } else if Some(header) == self.contract.staff {
                seen.is_staff = Some(value == "Y");
            }
            if is_unique {
                seen.unique_hash = Some(hash(value));
            }
            push_cell(line, value, class & QUOTED != 0);
            seen.headers.insert(header);
            if buffers.had_control {
                seen.control.insert(header);
            }
        }
        seen.unusual = checks.unusual;
        if says_nothing {
            return !self.scratch.key.is_empty();
        }
        self.keep(place, seen);
        true
    }

    /// Keeps the row that stands in the scratch buffers, as a patron or as a rejection.
    fn keep(&mut self, place: RowPlace, seen: Seen) {
        let Scratch { line, broken, key, digested, .. } = &mut self.scratch;
        let Some(count) = self.extracts.last_mut() else { return };
        let headers = seen.headers;
        if let Some(is_staff) = seen.is_staff {
            self.cohort.check(headers, is_staff, broken);
        }
        let is_rejected = !broken.is_empty();
        if is_rejected {
            let username = (!key.is_empty()).then(|| key.clone());
            reject(&mut self.rejections, count, Rejection { place, username, broken: std::mem::take(broken) });
        }
        // Without a key there is nothing that another row could clash with.
        if key.is_empty() {
            return;
        }
        line.extend_from_slice(b"\r\n");
        let record = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        self.keys.push(Key::new(key, record));
        if let Some(hash) = seen.unique_hash {
            self.unique.push((hash, record));
        }
        if let Some(header) = seen.unusual {
            self.unusual.push((record, header));
        }
        let digest = match self.digested {
            // That of all rows of the key is taken when they are together.
            _ if self.contract.rows == Rows::Several => Digest::default(),
            Some(wanted) if headers.without(wanted).is_empty() => Digest::of(headers, line),
            Some(wanted) => {
                digested.clear();
                select_cells(line, headers, wanted, |bytes| digested.extend_from_slice(bytes));
                Digest::of(headers.intersection(wanted), digested)
            }
            None => Digest::default(),
        };
        let (line, is_staff) = (self.lines.push(line), seen.is_staff == Some(true));
        self.records.push(Record { line, headers, place, control: seen.control, digest, is_staff, is_rejected });
    }

    /// Puts the patrons in key order. Of a contract with one row a key every row of a clash is rejected; of one with several
    /// they are put together.
    pub fn finish(mut self) -> Patrons {
        match self.contract.rows {
            Rows::One => self.reject_all_clashes(),
            Rows::Several => {}
        }
        self.rejections.sort_by_key(|rejection| rejection.place);
        let (order, groups, places) = match self.contract.rows {
            Rows::One => {
                let is_accepted = |record: &u32| !self.records[*record as usize].is_rejected;
                let order = self.keys.iter().map(|key| key.record).filter(is_accepted).collect();
                (order, Vec::new(), Vec::new())
            }
            Rows::Several => self.put_together(),
        };
        let mut patrons = Patrons {
            contract: self.contract,
            renamed: self.renamed,
            extracts: self.extracts,
            rejections: self.rejections,
            warnings: Vec::new(),
            lines: self.lines,
            records: self.records,
            order,
            groups,
            places,
            unusual: self.unusual.into_iter().collect(),
            create_only: self.create_only,
            digested: self.digested.unwrap_or_default(),
        };
        patrons.warn();
        patrons
    }

    /// Puts the rows of each key into one record: sorted, since a database gives them in any order, and each once. Rows that
    /// are rejected keep records of their own behind these.
    fn put_together(&mut self) -> (Vec<u32>, Vec<Group>, Vec<RowPlace>) {
        let Self { contract, lines, records, keys, unusual, .. } = self;
        let old = std::mem::take(records);
        let old_lines = std::mem::take(lines);
        let unusual_before: HashMap<u32, Header> = std::mem::take(unusual).into_iter().collect();
        let (mut groups, mut places) = (Vec::new(), Vec::new());
        let mut together: Vec<u8> = Vec::new();
        for rows in by_key(keys, &old_lines, &old, contract.key()) {
            let of = |key: &Key| &old[key.record as usize];
            let mut good: Vec<&[u8]> =
                rows.iter().map(of).filter(|row| !row.is_rejected).map(|row| old_lines.get(row.line)).collect();
            good.sort_unstable();
            good.dedup();
            let Some(first) = rows.iter().map(of).find(|row| !row.is_rejected) else { continue };
            together.clear();
            for line in &good {
                together.extend_from_slice(line);
            }
            let number = u32::try_from(records.len()).unwrap_or(u32::MAX);
            unusual.extend(rows.iter().find_map(|key| unusual_before.get(&key.record)).map(|header| (number, *header)));
            let start = places.len();
            places.extend(rows.iter().map(of).filter(|row| !row.is_rejected).map(|row| row.place));
            // A row of which several were made is one row all the same.
            places[start..].sort_unstable();
            let kept = dedup_from(&mut places, start);
            groups.push(Group {
                places: start..kept,
                lines: good.len(),
                is_partial: rows.iter().map(of).any(|row| row.is_rejected),
            });
            records.push(Record {
                line: lines.push(&together),
                digest: if self.digested.is_some() { Digest::of(first.headers, &together) } else { Digest::default() },
                control: rows.iter().map(of).fold(HeaderSet::default(), |all, row| all.union(row.control)),
                ..*first
            });
        }
        let order = (0..u32::try_from(records.len()).unwrap_or(u32::MAX)).collect();
        for rejected in old.iter().filter(|row| row.is_rejected) {
            records.push(Record { line: lines.push(old_lines.get(rejected.line)), ..*rejected });
        }
        (order, groups, places)
    }

    fn reject_all_clashes(&mut self) {
        let Self { contract, lines, records, keys, unique, .. } = self;
        let key = contract.key();
        let clashing_keys: Vec<Vec<u32>> = by_key(keys, lines, records, key)
            .filter(|rows| rows.len() > 1)
            .map(|rows| rows.iter().map(|key| key.record).collect())
            .collect();
        let clashing = contract.unique.map(|header| (header, clashing_values(unique, lines, records, header)));
        self.reject_clashes(key, &clashing_keys);
        if let Some((header, clashes)) = clashing {
            self.reject_clashes(header, &clashes);
        }
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

/// What was seen of a row on the way.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    headers: HeaderSet,
    /// Headers with a value that held control characters.
    control: HeaderSet,
    is_staff: Option<bool>,
    unique_hash: Option<u64>,
    /// A header with a word that is not among those that are known.
    unusual: Option<Header>,
}

/// What the values of one row are checked by, beside the contract.
struct Checks<'c> {
    allow: &'c [String],
    pictures: Option<&'c mut (dyn Pictures + 'static)>,
    /// The row's channel, once it is known.
    channel: &'static str,
    unusual: Option<Header>,
}

impl<'c> Checks<'c> {
    /// The spelling in which a value is sent, or the rule that it breaks. `described` holds what a picture is.
    // Runs once a cell, and for those of accounts it is a jump.
    #[inline]
    fn check<'v>(
        &mut self,
        header: Header,
        kind: Kind,
        value: &'v str,
        described: &'v mut String,
    ) -> Result<&'v str, Rule>
    where
        'c: 'v,
    {
        let is_known = |word: &str, words: &[&str]| words.contains(&word);
        match kind {
            Kind::Text | Kind::Boolean | Kind::Email | Kind::Year | Kind::OneOf(_) | Kind::Password => {
                canonical(kind, value)
            }
            Kind::Channel => {
                let value = canonical(kind, value)?;
                self.channel = CHANNELS.iter().find(|channel| **channel == value).copied().unwrap_or_default();
                Ok(value)
            }
            Kind::Reach => reach(self.channel, value),
            Kind::Open(words) => {
                let value = canonical(kind, value)?;
                if !is_known(value, words) {
                    self.unusual = Some(header);
                }
                Ok(value)
            }
            Kind::Codes(words) => {
                if value.split(';').any(|code| !is_known(code.trim(), words)) {
                    self.unusual = Some(header);
                }
                canonical(kind, value)
            }
            Kind::Group => {
                let allowed = self.allow.iter().find(|group| same_text(group, value));
                allowed.map(String::as_str).ok_or(Rule::NotAllowed)
            }
            Kind::Picture | Kind::PictureFile => match &mut self.pictures {
                Some(pictures) => {
                    described.clear();
                    pictures.look(kind, value, described)?;
                    Ok(described)
                }
                None => Ok(value),
            },
        }
    }
}

/// Adds a rejection. What several values of one cell break is told as one row's.
fn reject(rejections: &mut Vec<Rejection>, count: &mut ExtractCount, rejection: Rejection) {
    let Some(last) = rejections.last_mut().filter(|last| last.place == rejection.place) else {
        count.rejected += 1;
        rejections.push(rejection);
        return;
    };
    for broken in rejection.broken {
        if !last.broken.contains(&broken) {
            last.broken.push(broken);
        }
    }
}

/// Removes what stands twice from `start` on, where the list is sorted; gives its new length.
fn dedup_from(places: &mut Vec<RowPlace>, start: usize) -> usize {
    let mut kept = start;
    for at in start..places.len() {
        if at == start || places[at] != places[kept - 1] {
            places[kept] = places[at];
            kept += 1;
        }
    }
    places.truncate(kept);
    kept
}

fn same_text(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
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
