//! What the values of a column look like, in counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::infiniti::contract::Kind;
use crate::infiniti::value::canonical;
use crate::source::table::Table;

/// A column with more values than this has no codes.
const CODES_MAX: usize = 12;
/// A code is no longer than this.
const CODE_LENGTH_MAX: usize = 12;

/// The values of one column of a sample, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Rows of the sample.
    pub rows: usize,
    /// Those with a value.
    pub filled: usize,
    /// Values that differ, without regard to case.
    pub distinct: usize,
    /// Cells that are one address.
    pub addresses: usize,
    /// Cells that hold several addresses, with what stands between them.
    pub several: BTreeMap<char, usize>,
    /// Cells with a capital letter.
    pub capitals: usize,
    /// Whole numbers.
    pub numbers: usize,
    /// Numbers with a leading zero.
    pub padded: usize,
    /// Years from 2000 to 2060.
    pub years: usize,
    /// Year levels: `7`, `07`, `Year 7`, `K`.
    pub levels: usize,
    /// Cells with a space inside.
    pub spaces: usize,
    /// Dates or times, year first or day first.
    pub dates: usize,
    /// Those of them that have the day first, as exports write them: `31/07/2025`, `31.07.2025`.
    pub days_first: usize,
    /// `M`, `F`, and words for them.
    pub genders: usize,
    /// The highest year level.
    pub highest: u32,
    /// The values with their counts, while they are few and short.
    values: BTreeMap<String, usize>,
    is_long: bool,
}

impl Profile {
    /// Looks at a column of a table.
    pub fn of(table: &Table, column: usize) -> Self {
        let mut profile = Self { rows: table.rows.len(), ..Self::default() };
        let mut seen = BTreeSet::new();
        for cell in table.rows.iter().filter_map(|row| row.get(column)) {
            let cell = cell.trim();
            if !cell.is_empty() {
                profile.add(cell);
                seen.insert(cell.to_lowercase());
            }
        }
        profile.distinct = seen.len();
        profile
    }

    fn add(&mut self, cell: &str) {
        let all_digits = cell.bytes().all(|byte| byte.is_ascii_digit());
        let count = |counter: &mut usize, is_so: bool| *counter += usize::from(is_so);
        count(&mut self.filled, true);
        count(&mut self.capitals, cell.chars().any(char::is_uppercase));
        count(&mut self.numbers, all_digits);
        count(&mut self.padded, all_digits && cell.len() > 1 && cell.starts_with('0'));
        count(&mut self.years, all_digits && cell.parse::<u32>().is_ok_and(|year| (2000..=2060).contains(&year)));
        count(&mut self.spaces, cell.contains(char::is_whitespace));
        count(&mut self.dates, is_date(cell) || is_day_first(cell));
        count(&mut self.days_first, is_day_first(cell));
        count(&mut self.genders, gender(cell).is_some());
        count(&mut self.addresses, is_address(cell));
        if let Some(level) = Level::of(cell) {
            self.levels += 1;
            self.highest = self.highest.max(level.number());
        }
        for separator in [';', ',', '|', '/', ' '] {
            let mut parts = cell.split(separator).map(str::trim).filter(|part| !part.is_empty()).peekable();
            if cell.contains(separator) && parts.peek().is_some() && parts.all(is_address) {
                *self.several.entry(separator).or_default() += 1;
                break;
            }
        }
        if cell.chars().count() > CODE_LENGTH_MAX || cell.contains('@') {
            self.is_long = true;
            self.values.clear();
        }
        // One more than the most, so that too many can be told.
        if !self.is_long && (self.values.len() <= CODES_MAX || self.values.contains_key(cell)) {
            *self.values.entry(cell.to_owned()).or_default() += 1;
        }
    }

    /// The values with their counts, most frequent first, if they are codes and not pupils' data: few, short, and each
    /// of them in several rows.
    pub fn codes(&self) -> Option<Vec<(&str, usize)>> {
        const FLAGS: [&str; 10] = ["y", "n", "yes", "no", "true", "false", "t", "f", "1", "0"];
        let are_flags = self.values.keys().all(|value| FLAGS.contains(&value.to_lowercase().as_str()));
        let come_again = are_flags || self.filled >= 2 * self.values.len();
        let few = !self.is_long && (1..=CODES_MAX).contains(&self.values.len()) && come_again;
        few.then(|| {
            let mut codes: Vec<(&str, usize)> =
                self.values.iter().map(|(code, count)| (code.as_str(), *count)).collect();
            codes.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
            codes
        })
    }

    /// The values, if they are no more than the codes that a column may have: for year levels and genders, which are
    /// never a pupil's own.
    pub(super) fn few_values(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether nearly all that are filled are so: 19 of 20.
    pub fn nearly_all(&self, count: usize) -> bool {
        count > 0 && count * 20 >= self.filled * 19
    }

    /// Whether no value comes twice.
    pub fn is_unique(&self) -> bool {
        self.filled > 0 && self.distinct == self.filled
    }

    /// Cells that are an address, or several.
    pub fn with_address(&self) -> usize {
        self.addresses + self.several.values().sum::<usize>()
    }
}

/// A date or a time as every engine gives it: `2026-02-28`, `2026-02-28T09:05:00`.
fn is_date(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    bytes.len() >= 10
        && bytes[..10].iter().enumerate().all(|(index, byte)| match index {
            4 | 7 => matches!(byte, b'-' | b'/'),
            _ => byte.is_ascii_digit(),
        })
}

/// `31/07/2025`, and nothing behind it. `07/31/2025` is none.
fn is_day_first(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    let is_written = bytes.len() == 10
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            2 | 5 => matches!(byte, b'/' | b'.' | b'-'),
            _ => byte.is_ascii_digit(),
        });
    is_written
        && cell[..2].parse::<u32>().is_ok_and(|day| (1..=31).contains(&day))
        && cell[3..5].parse::<u32>().is_ok_and(|month| (1..=12).contains(&month))
}

/// `M` or `F` for the usual words.
pub fn gender(cell: &str) -> Option<&'static str> {
    match cell.to_lowercase().as_str() {
        "m" | "male" | "boy" | "man" => Some("M"),
        "f" | "female" | "girl" | "woman" => Some("F"),
        _ => None,
    }
}

/// A year level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A bare number as computers write it: `7`.
    Number(u32),
    /// A number with a leading zero: `07`.
    Padded(u32),
    /// A number after a word: `Year 7`, `Yr 07`, `Y7`.
    Worded(u32),
    /// A year before the first: `K`, `P`, `F`, `R`, `Prep`.
    Early,
}

impl Level {
    /// Reads one.
    pub fn of(cell: &str) -> Option<Self> {
        let text = cell.trim().to_lowercase();
        if ["k", "p", "f", "r", "kg", "kindy", "kinder", "kindergarten", "prep", "pp", "foundation", "reception"]
            .contains(&text.as_str())
        {
            return Some(Self::Early);
        }
        let digits = ["year", "yr", "grade", "gr", "level", "y", "g"]
            .iter()
            .find_map(|word| text.strip_prefix(word))
            .map(|rest| rest.trim_start_matches([' ', '.', '_', '-']));
        let is_worded = digits.is_some();
        let digits = digits.unwrap_or(&text);
        let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| is_number && *number <= 13)?;
        Some(match (is_worded, digits.starts_with('0') && digits.len() > 1) {
            (true, _) => Self::Worded(number),
            (false, true) => Self::Padded(number),
            (false, false) => Self::Number(number),
        })
    }

    fn number(self) -> u32 {
        match self {
            Self::Number(number) | Self::Padded(number) | Self::Worded(number) => number,
            Self::Early => 0,
        }
    }
}

fn is_address(cell: &str) -> bool {
    canonical(Kind::Email, cell).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(cells: &[&str]) -> Profile {
        let rows = cells.iter().map(|cell| vec![(*cell).to_owned()]).collect();
        Profile::of(&Table { columns: Vec::new(), rows, is_cut: false }, 0)
    }

    #[test]
    fn shapes_are_counted() {
        let mails = profile(&["A@x.example", "b@x.example; c@y.example", "", "none", "b@x.example"]);
        assert_eq!((mails.rows, mails.filled, mails.distinct, mails.addresses), (5, 4, 4, 2));
        assert_eq!((mails.with_address(), mails.several[&';'], mails.capitals), (3, 1, 1));
        let years = profile(&["2031", "2026", "1999", "20 31", "07"]);
        assert_eq!((years.years, years.numbers, years.padded), (2, 4, 1));
        assert_eq!(profile(&["2026-02-28", "2026-02-28T09:05:00", "2026", "ab-cd-efgh"]).dates, 2);
        let days = profile(&["31/07/2025", "01.02.2026", "07/31/2025", "1/2/2026", "31/07/2025 09:00", "ü1/07/202"]);
        assert_eq!((days.dates, days.days_first), (2, 2));
        assert_eq!(profile(&["Male", "f", "X"]).genders, 2);
    }

    #[test]
    fn year_levels_are_read_as_schools_write_them() {
        for (cell, expected) in [
            ("7", Some(Level::Number(7))),
            ("07", Some(Level::Padded(7))),
            ("Year 7", Some(Level::Worded(7))),
            ("Yr07", Some(Level::Worded(7))),
            ("Y13", Some(Level::Worded(13))),
            ("K", Some(Level::Early)),
            ("Prep", Some(Level::Early)),
            ("14", None),
            ("2026", None),
            ("7A", None),
            ("", None),
        ] {
            assert_eq!(Level::of(cell), expected, "{cell}");
        }
        assert_eq!(profile(&["K", "1", "12"]).highest, 12);
    }

    #[test]
    fn only_few_and_short_values_that_come_again_are_codes() {
        assert_eq!(profile(&["ACTV", "LFT", "ACTV", "ACTV"]).codes().unwrap(), [("ACTV", 3), ("LFT", 1)]);
        assert_eq!(profile(&["Smith", "Lee"]).codes(), None, "each in one row");
        assert_eq!(profile(&["Y", "N"]).codes().unwrap(), [("N", 1), ("Y", 1)], "flags are nobody's");
        assert_eq!(profile(&["a long explanation", "a long explanation"]).codes(), None);
        assert_eq!(profile(&["a@b.c", "a@b.c"]).codes(), None);
        let many: Vec<String> = (0..13).flat_map(|code| [code.to_string(), code.to_string()]).collect();
        assert_eq!(profile(&many.iter().map(String::as_str).collect::<Vec<_>>()).codes(), None);
        assert_eq!(profile(&[]).codes(), None);
    }
}
