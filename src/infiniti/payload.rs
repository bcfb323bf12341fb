//! Patrons as they are sent: as CSV bytes, kept once and sent in any order, or as a zip of their pictures.
//!
//! RFC 4180, UTF-8 without BOM, CRLF. Every patron's line is written when the row is read, into chunks that never
//! move; a batch gathers lines in key order while it is sent, so the CSV is never in memory twice.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::client::Payload;
use super::contract::{Contract, ENABLED, HeaderSet, Rows, STAFFMEMBER, USERNAME};
use super::image::Description;
use super::patron::Patrons;

/// Lines of CSV in chunks that are never copied again.
#[derive(Debug, Default)]
pub(super) struct Lines {
    chunks: Vec<Vec<u8>>,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinePlace {
    chunk: u32,
    start: u32,
    length: u32,
}

/// What a file of CSV is, for a request.
pub(super) const CSV: &str = "text/csv";

const CHUNK_BYTES: usize = 1 << 20;

impl Lines {
    /// Keeps a line.
    pub(super) fn push(&mut self, line: &[u8]) -> LinePlace {
        let fits = self.chunks.last().is_some_and(|chunk| chunk.capacity() - chunk.len() >= line.len());
        if !fits {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES.max(line.len())));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let start = chunk.len();
        chunk.extend_from_slice(line);
        // A chunk is 1 MiB, or all that one key has: at most some bounded values a row.
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        LinePlace { chunk: narrow(number), start: narrow(start), length: narrow(line.len()) }
    }

    /// The line with its CRLF.
    pub(super) fn get(&self, place: LinePlace) -> &[u8] {
        let start = place.start as usize;
        &self.chunks[place.chunk as usize][start..start + place.length as usize]
    }
}

impl LinePlace {
    /// Its length in bytes, with the CRLF.
    pub(super) fn length(self) -> usize {
        self.length as usize
    }
}

/// Appends a cell to a line, quoted if it must be.
pub(super) fn push_cell(line: &mut Vec<u8>, value: &str, needs_quotes: bool) {
    if !line.is_empty() {
        line.push(b',');
    }
    if needs_quotes {
        line.push(b'"');
        let mut rest = value.as_bytes();
        while let Some(quote) = memchr::memchr(b'"', rest) {
            line.extend_from_slice(&rest[..=quote]);
            line.push(b'"');
            rest = &rest[quote + 1..];
        }
        line.extend_from_slice(rest);
        line.push(b'"');
    } else {
        line.extend_from_slice(value.as_bytes());
    }
}

/// The cells of a line as they are written, quotes included.
pub(super) fn raw_cells(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line.strip_suffix(b"\r\n").unwrap_or(line));
    std::iter::from_fn(move || {
        let line = rest?;
        let end = if line.first() == Some(&b'"') {
            // Quotes come in pairs, so the first one followed by no other closes the cell.
            let mut at = 1;
            loop {
                let quote = at + memchr::memchr(b'"', &line[at..])?;
                if line.get(quote + 1) == Some(&b'"') {
                    at = quote + 2;
                } else {
                    break quote + 1;
                }
            }
        } else {
            memchr::memchr(b',', line).unwrap_or(line.len())
        };
        rest = line.get(end + 1..);
        Some(&line[..end])
    })
}

/// The value of a cell as written.
pub(crate) fn cell_value(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        None => text,
        Some(inner) => Cow::Owned(inner.replace("\"\"", "\"")),
    }
}

/// One batch: some patrons with the same headers, as one CSV file.
#[derive(Debug)]
pub struct Csv {
    patrons: Arc<Patrons>,
    headers: HeaderSet,
    head: Vec<u8>,
    /// The patrons by number, in key order.
    rows: Arc<[u32]>,
    range: Range<usize>,
    length: u64,
    /// Where a key has several rows, how many lines end with each patron.
    line_ends: Vec<usize>,
}

/// What one piece of a body holds at least, unless it is the last.
const PIECE_BYTES: usize = 256 * 1024;

impl Csv {
    /// The rows `range` of `rows`, with `headers` only.
    pub fn new(patrons: Arc<Patrons>, headers: HeaderSet, rows: Arc<[u32]>, range: Range<usize>) -> Self {
        let head = head(headers.iter().map(|header| patrons.header_name(header)));
        let mut lines = 0;
        let line_ends = match patrons.contract.rows {
            Rows::One => Vec::new(),
            Rows::Several => rows[range.clone()]
                .iter()
                .map(|patron| {
                    lines += patrons.line_count(*patron);
                    lines
                })
                .collect(),
        };
        let body: usize = rows[range.clone()].iter().map(|row| patrons.line_length(*row, headers)).sum();
        let length = (head.len() + body) as u64;
        Self { patrons, headers, head, rows, range, length, line_ends }
    }

    /// How many patrons it has.
    pub fn patrons(&self) -> usize {
        self.range.len()
    }

    /// The patron of this number in the file, counted from 0. Meant to be asked one after the other.
    pub fn patron(&self, number: usize) -> u32 {
        let at = self.range.start + number;
        self.patrons.warm(&self.rows, at);
        self.rows[at]
    }

    /// The number of the patron that a row of the file belongs to, both counted from 0.
    pub fn number_of(&self, row: usize) -> usize {
        match self.patrons.contract.rows {
            Rows::One => row,
            Rows::Several => self.line_ends.partition_point(|end| *end <= row),
        }
    }

    /// Some of its patrons, as a file of their own.
    #[must_use]
    pub fn part(&self, patrons: Range<usize>) -> Self {
        let range = self.range.start + patrons.start..self.range.start + patrons.end;
        Self::new(Arc::clone(&self.patrons), self.headers, Arc::clone(&self.rows), range)
    }

    /// Those of its patrons that are wanted, as a file of their own.
    #[must_use]
    pub fn only(&self, mut is_wanted: impl FnMut(u32) -> bool) -> Self {
        let rows: Arc<[u32]> =
            self.rows[self.range.clone()].iter().copied().filter(|patron| is_wanted(*patron)).collect();
        let range = 0..rows.len();
        Self::new(Arc::clone(&self.patrons), self.headers, rows, range)
    }
}

impl Payload for Csv {
    fn rows(&self) -> usize {
        match self.patrons.contract.rows {
            Rows::One => self.range.len(),
            Rows::Several => self.line_ends.last().copied().unwrap_or_default(),
        }
    }

    fn patrons(&self) -> usize {
        self.range.len()
    }

    fn media_type(&self) -> &'static str {
        CSV
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let mut next = self.range.start;
        let mut head = Some(self.head.clone());
        Box::new(std::iter::from_fn(move || {
            if head.is_none() && next >= self.range.end {
                return None;
            }
            let mut piece = BytesMut::with_capacity(PIECE_BYTES + 4096);
            if let Some(head) = head.take() {
                piece.extend_from_slice(&head);
            }
            while next < self.range.end && piece.len() < PIECE_BYTES {
                self.patrons.warm(&self.rows, next);
                self.patrons.write_line(self.rows[next], self.headers, &mut piece);
                next += 1;
            }
            Some(piece.freeze())
        }))
    }
}

fn head<'n>(names: impl Iterator<Item = &'n str>) -> Vec<u8> {
    format!("{}\r\n", names.collect::<Vec<_>>().join(",")).into_bytes()
}

/// One batch of pictures: some patrons, whose pictures are read when they are sent.
#[derive(Debug)]
pub struct Portraits {
    patrons: Arc<Patrons>,
    /// The patrons by number, in key order.
    rows: Arc<[u32]>,
    range: Range<usize>,
}

impl Portraits {
    /// The rows `range` of `rows`.
    pub fn new(patrons: Arc<Patrons>, rows: Arc<[u32]>, range: Range<usize>) -> Self {
        Self { patrons, rows, range }
    }

    /// How many patrons it has.
    pub fn patrons(&self) -> usize {
        self.range.len()
    }

    /// The patron of this number in the batch, counted from 0.
    pub fn patron(&self, number: usize) -> u32 {
        self.rows[self.range.start + number]
    }

    /// The key and the picture of the patron of this number.
    pub fn portrait(&self, number: usize) -> Option<(String, Description)> {
        let patron = self.patron(number);
        let picture = description(&self.patrons, patron)?;
        Some((self.patrons.username(patron), picture))
    }

    /// Some of its patrons, as a batch of their own.
    #[must_use]
    pub fn part(&self, patrons: Range<usize>) -> Self {
        let range = self.range.start + patrons.start..self.range.start + patrons.end;
        Self::new(Arc::clone(&self.patrons), Arc::clone(&self.rows), range)
    }

    /// Those of its patrons that are wanted, as a batch of their own.
    #[must_use]
    pub fn only(&self, mut is_wanted: impl FnMut(u32) -> bool) -> Self {
        let rows: Arc<[u32]> =
            self.rows[self.range.clone()].iter().copied().filter(|patron| is_wanted(*patron)).collect();
        let range = 0..rows.len();
        Self::new(Arc::clone(&self.patrons), rows, range)
    }
}

/// What a patron's picture is.
pub fn description(patrons: &Patrons, patron: u32) -> Option<Description> {
    patrons.cells(patron).find_map(|(_, cell)| str::from_utf8(cell).ok()?.parse().ok())
}

/// A zip of pictures, ready to be sent.
#[derive(Debug)]
pub struct ZipFile {
    pictures: usize,
    bytes: Bytes,
}

impl ZipFile {
    /// Of a zip that has so many pictures.
    pub fn new(pictures: usize, zip: Vec<u8>) -> Self {
        Self { pictures, bytes: zip.into() }
    }
}

impl Payload for ZipFile {
    fn rows(&self) -> usize {
        self.pictures
    }

    fn patrons(&self) -> usize {
        self.pictures
    }

    fn media_type(&self) -> &'static str {
        "application/zip"
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let bytes = self.bytes.clone();
        let starts = (0..bytes.len()).step_by(PIECE_BYTES);
        Box::new(starts.map(move |start| bytes.slice(start..bytes.len().min(start + PIECE_BYTES))))
    }
}

/// One batch of leavers: who they are, that they are not enabled, and whether they are staff.
#[derive(Debug)]
pub struct Deactivations {
    contract: &'static Contract,
    /// Usernames, and whether they are staff.
    leavers: Arc<[(String, bool)]>,
    range: Range<usize>,
    bytes: Bytes,
}

impl Deactivations {
    /// The leavers `range` of `leavers`.
    pub fn new(contract: &'static Contract, leavers: Arc<[(String, bool)]>, range: Range<usize>) -> Self {
        let mut bytes = head([USERNAME, ENABLED, STAFFMEMBER].iter().map(|header| contract.rule(*header).name));
        let mut line = Vec::new();
        for (username, is_staff) in &leavers[range.clone()] {
            line.clear();
            push_cell(&mut line, username, username.contains([',', '"']));
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(if *is_staff { b",N,Y\r\n" } else { b",N,N\r\n" });
        }
        Self { contract, leavers, range, bytes: bytes.into() }
    }

    /// The leaver in a row of this file, counted from 0, and whether it is staff.
    pub fn leaver(&self, row: usize) -> (&str, bool) {
        let (username, is_staff) = &self.leavers[self.range.start + row];
        (username, *is_staff)
    }

    /// Some of its rows, as a file of their own.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        let range = self.range.start + rows.start..self.range.start + rows.end;
        Self::new(self.contract, Arc::clone(&self.leavers), range)
    }
}

impl Payload for Deactivations {
    fn rows(&self) -> usize {
        self.range.len()
    }

    fn patrons(&self) -> usize {
        self.range.len()
    }

    fn media_type(&self) -> &'static str {
        CSV
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        Box::new(std::iter::once(self.bytes.clone()))
    }
}

/// Writes those cells of a line whose headers are wanted.
pub(super) fn select_cells(line: &[u8], has: HeaderSet, wanted: HeaderSet, mut each: impl FnMut(&[u8])) {
    let mut first = true;
    for (header, cell) in has.iter().zip(raw_cells(line)) {
        if wanted.contains(header) {
            if !first {
                each(b",");
            }
            each(cell);
            first = false;
        }
    }
    each(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is written is what a CSV reader reads, and what our own taking apart gives.
        #[test]
        fn cells_come_back_as_they_were(values in proptest::collection::vec("[^\\x00-\\x1f\\x7f]{0,12}", 2..8)) {
            // A line starts with the key, which is never blank.
            let mut values = values;
            values[0].insert(0, 'k');
            let mut line = Vec::new();
            for value in &values {
                push_cell(&mut line, value, value.contains([',', '"']));
            }
            line.extend_from_slice(b"\r\n");
            let ours: Vec<String> = raw_cells(&line).map(|cell| cell_value(cell).into_owned()).collect();
            prop_assert_eq!(&ours, &values);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[..]);
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.iter().collect::<Vec<_>>(), values);
        }
    }
}
