//! Rows of fields out of a CSV text.
//!
//! Stricter than the `csv` crate, which takes a quote that nothing closes for a value that goes on to the file's end: half
//! a school would be gone without a word.

use std::io::{self, Read};

use super::super::connection::DELIMITERS;
use super::encoding::{Broken, Decoded};

/// One row's fields.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: String,
    /// The end of every field in `text`.
    ends: Vec<usize>,
    /// The line where it begins, counted from 1.
    pub(super) line: u64,
}

impl Record {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}

/// Why a text is not CSV.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    /// The encoding does not have a byte of this line.
    Undecodable {
        line: u64,
        encoding: &'static str,
    },
    /// The quote that opens in this line is never closed.
    Unclosed {
        line: u64,
    },
    /// Something stands between a closing quote and the delimiter.
    AfterQuote {
        line: u64,
    },
}

/// A value that is longer has lost its closing quote.
const FIELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A header that is longer is none.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// The records of a text, one after the other.
pub(super) struct Records<R> {
    source: Decoded<R>,
    /// Decoded text; what is before `at` is done with.
    buffer: String,
    at: usize,
    line: u64,
    /// What stands between two fields.
    pub(super) delimiter: u8,
}

impl<R: Read> Records<R> {
    /// Without a delimiter, it is found out.
    pub(super) fn new(source: Decoded<R>, delimiter: Option<u8>) -> Result<Self, Fault> {
        let mut records = Self { source, buffer: String::new(), at: 0, line: 1, delimiter: b',' };
        records.delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => records.most_frequent()?,
        };
        Ok(records)
    }

    /// Reads the next record; `false` at the end. Blank lines are none.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, Fault> {
        loop {
            match self.peek()? {
                None => return Ok(false),
                Some(b'\r' | b'\n') => self.end_line()?,
                // The end of a file for DOS.
                Some(0x1A) if self.is_last_byte()? => return Ok(false),
                Some(_) => break,
            }
        }
        record.text.clear();
        record.text.shrink_to(1024 * 1024);
        record.ends.clear();
        record.line = self.line;
        loop {
            if self.peek()? == Some(b'"') {
                self.quoted(&mut record.text)?;
            } else {
                let delimiter = self.delimiter;
                self.take(&mut record.text, |bytes| memchr::memchr3(delimiter, b'\n', b'\r', bytes))?;
            }
            record.ends.push(record.text.len());
            match self.peek()? {
                Some(byte) if byte == self.delimiter => self.at += 1,
                Some(b'\r' | b'\n') => {
                    self.end_line()?;
                    return Ok(true);
                }
                None => return Ok(true),
                Some(_) => return Err(Fault::AfterQuote { line: self.line }),
            }
        }
    }

    /// A value in quotes; those inside are doubled.
    fn quoted(&mut self, out: &mut String) -> Result<(), Fault> {
        let (line, start) = (self.line, out.len());
        self.at += 1;
        loop {
            let from = out.len();
            self.take(out, |bytes| memchr::memchr(b'"', bytes))?;
            self.line += memchr::memchr_iter(b'\n', &out.as_bytes()[from..]).count() as u64;
            if out.len() - start > FIELD_BYTES_MAX || self.peek()?.is_none() {
                return Err(Fault::Unclosed { line });
            }
            self.at += 1;
            if self.peek()? != Some(b'"') {
                return Ok(());
            }
            self.at += 1;
            out.push('"');
        }
    }

    /// Moves text up to the byte that `find` finds, or up to the end, into `out`.
    fn take(&mut self, out: &mut String, find: impl Fn(&[u8]) -> Option<usize>) -> Result<(), Fault> {
        let start = out.len();
        while self.peek()?.is_some() {
            let rest = &self.buffer[self.at..];
            let length = find(rest.as_bytes());
            let taken = &rest[..length.unwrap_or(rest.len())];
            out.push_str(taken);
            self.at += taken.len();
            if length.is_some() || out.len() - start > FIELD_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Past `\n`, `\r\n` or `\r`.
    fn end_line(&mut self) -> Result<(), Fault> {
        let first = self.peek()?;
        self.at += 1;
        if first == Some(b'\r') && self.peek()? == Some(b'\n') {
            self.at += 1;
        }
        self.line += 1;
        Ok(())
    }

    /// The byte at hand; `None` at the end.
    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            self.read_more()?;
        }
        Ok(self.buffer.as_bytes().get(self.at).copied())
    }

    fn is_last_byte(&mut self) -> Result<bool, Fault> {
        Ok(self.at + 1 == self.buffer.len() && !self.read_more()?)
    }

    fn read_more(&mut self) -> Result<bool, Fault> {
        self.source.read_more(&mut self.buffer).map_err(|broken| match broken {
            Broken::Io(error) => Fault::Io(error),
            Broken::Undecodable(encoding) => {
                let before = memchr::memchr_iter(b'\n', &self.buffer.as_bytes()[self.at..]).count() as u64;
                Fault::Undecodable { line: self.line + before, encoding }
            }
        })
    }

    /// The delimiter that stands most often in the first line, outside quotes.
    fn most_frequent(&mut self) -> Result<u8, Fault> {
        loop {
            let mut counts = [0_u32; DELIMITERS.len()];
            let (mut is_quoted, mut is_whole) = (false, false);
            let header = self.buffer.trim_start_matches(['\r', '\n']);
            for byte in header.bytes() {
                match byte {
                    b'"' => is_quoted = !is_quoted,
                    b'\r' | b'\n' if !is_quoted => {
                        is_whole = true;
                        break;
                    }
                    _ if is_quoted => {}
                    _ => {
                        if let Some(index) = DELIMITERS.iter().position(|(delimiter, _)| *delimiter == byte) {
                            counts[index] += 1;
                        }
                    }
                }
            }
            if is_whole || self.buffer.len() > HEADER_BYTES_MAX || !self.read_more()? {
                let most = counts.iter().max().copied().unwrap_or_default();
                let index = counts.iter().position(|count| *count == most).unwrap_or_default();
                return Ok(DELIMITERS[index].0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// Reads bytes as a file is read; every record in a line, its fields between bars, and the fault.
    fn read(bytes: &[u8], delimiter: Option<u8>) -> String {
        let mut out = String::new();
        let mut record = Record::default();
        let mut records = match Records::new(Decoded::open(Cursor::new(bytes), None).unwrap(), delimiter) {
            Ok(records) => records,
            Err(fault) => return format!("{fault:?}"),
        };
        loop {
            match records.next(&mut record) {
                Ok(true) => {
                    let fields: Vec<&str> = record.fields().collect();
                    writeln!(out, "{} <{}>", record.line, fields.join("|")).unwrap();
                }
                Ok(false) => return out,
                Err(fault) => {
                    write!(out, "{fault:?}").unwrap();
                    return out;
                }
            }
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(read(text.as_bytes(), None).trim_end(), expected, "{text:?}");
    }

    #[test]
    fn records_with_their_lines() {
        check("a,b\n1,2\n", "1 <a|b>\n2 <1|2>");
        check("a,b\r\n1,2", "1 <a|b>\n2 <1|2>");
        check("a,b\r1,2\r", "1 <a|b>\n2 <1|2>");
        check("\n\na,b\n\n\n1,\n\n", "3 <a|b>\n6 <1|>");
        check("a;\"b\"\"c\nd\"\n\"\";2\n3;4", "1 <a|b\"c\nd>\n3 <|2>\n4 <3|4>");
        check("a,b\n5\" disk,x\n", "1 <a|b>\n2 <5\" disk|x>");
        check("a,b\n1,2\n\x1a", "1 <a|b>\n2 <1|2>");
        check("", "");
    }

    #[test]
    fn delimiters_are_found_out_outside_quotes() {
        check("\"a,b,c\";d\n1;2", "1 <a,b,c|d>\n2 <1|2>");
        check("a\tb\n1,5\t2", "1 <a|b>\n2 <1,5|2>");
        check("a|b\n1|2", "1 <a|b>\n2 <1|2>");
        check("a\n1;2", "1 <a>\n2 <1;2>");
        assert_eq!(read(b"a,b;c\n1;2", Some(b';')).trim_end(), "1 <a,b|c>\n2 <1|2>");
    }

    #[test]
    fn what_is_no_csv_has_its_line() {
        check("a,b\n1,\"x\ny\n2,3\n", "1 <a|b>\nUnclosed { line: 2 }");
        check("a,b\n1,\"x\ny\" z\n", "1 <a|b>\nAfterQuote { line: 3 }");
        check("a,b\n1,\"", "1 <a|b>\nUnclosed { line: 2 }");
    }

    #[test]
    fn encodings_are_found_out() {
        let utf16 = |little: bool| -> Vec<u8> {
            let units = "\u{feff}a,b\r\nZoë,😀\r\n".encode_utf16();
            units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
        };
        let expected = "1 <a|b>\n2 <Zoë|😀>\n";
        assert_eq!(read(&utf16(true), None), expected);
        assert_eq!(read(&utf16(false), None), expected);
        assert_eq!(read("\u{feff}a,b\nZoë,😀".as_bytes(), None), expected);
        assert_eq!(read("a,b\nZoë,😀".as_bytes(), None), expected);
        assert_eq!(read(b"a,b\nZo\xeb,\x80\x92", None), "1 <a|b>\n2 <Zoë|€’>\n");
    }

    #[test]
    fn a_byte_that_is_no_text_has_its_line() {
        let fault = |bytes: &[u8]| read(bytes, None);
        assert_eq!(fault(b"a\nb\n\xe9\x81\n"), "Undecodable { line: 3, encoding: \"windows-1252\" }");
        // Mostly UTF-8: read as Windows-1252, `Zoë` would be `ZoÃ«`.
        assert_eq!(fault(b"a\nZo\xc3\xab\nZo\xeb\n"), "Undecodable { line: 3, encoding: \"UTF-8\" }");
        assert_eq!(fault(b"\xef\xbb\xbfa\n\xff\n"), "Undecodable { line: 2, encoding: \"UTF-8\" }");
    }

    #[test]
    fn a_letter_on_the_edge_of_two_reads_is_whole() {
        for shift in 0..4 {
            let text = format!("{}{}\n", "x".repeat(shift), "é😀".repeat(40_000));
            assert_eq!(read(text.as_bytes(), None), format!("1 <{}>\n", text.trim_end()), "{shift}");
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_comes_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a-c,;\"\\n\r\t é😀]{0,6}", 3), 1..8),
            delimiter in proptest::sample::select(vec![b',', b';', b'\t', b'|']),
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let mut records = Records::new(Decoded::open(Cursor::new(&bytes), None).unwrap(), Some(delimiter)).unwrap();
            let mut record = Record::default();
            for row in &rows {
                prop_assert!(records.next(&mut record).unwrap());
                prop_assert_eq!(&record.fields().collect::<Vec<_>>(), row);
            }
            prop_assert!(!records.next(&mut record).unwrap());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes, None));
        }
    }
}
