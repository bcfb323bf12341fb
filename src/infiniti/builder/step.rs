//! One header's rule at work: from a row's cells to the value that is checked.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::infiniti::contract::{Contract, Header, Kind, Presence, Rows};
use crate::infiniti::trace::{Observer, Stage};
use crate::infiniti::value::Rule;
use crate::mapping::{Lookup, Template, Transform};
use crate::source::row::Row;

/// A rule of the mapping, ready for rows, with what the contract says of its header.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) header: Header,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
    pub(super) is_unique: bool,
    input: StepInput,
    pub(super) lookup: Option<Lookup>,
    pub(super) transforms: Vec<Transform>,
    pub(super) default: Option<String>,
    /// What stands between several values in one cell.
    pub(super) split: Option<String>,
    /// How many values the cell of the row at work has, and which is asked for.
    pub(super) parts: usize,
    pub(super) part: usize,
}

#[derive(Debug)]
pub(super) enum StepInput {
    Column(usize),
    Value(String),
    Template(Box<Template>, Vec<usize>),
}

#[derive(Debug, Default)]
pub(super) struct Buffers {
    rendered: String,
    from: String,
    to: String,
    clean: String,
    pub(super) had_control: bool,
}

impl Step {
    /// A step without lookup and transforms. Of a contract with several rows a key a blank is sent as such.
    pub(super) fn new(contract: &Contract, header: Header, input: StepInput) -> Self {
        let rule = contract.rule(header);
        Self {
            header,
            kind: rule.kind,
            presence: rule.presence,
            is_unique: contract.unique == Some(header),
            input,
            lookup: None,
            transforms: Vec::new(),
            default: (contract.rows == Rows::Several).then(String::new),
            split: None,
            parts: 1,
            part: 0,
        }
    }

    /// The value that a row gives this header, and its class: trimmed, in NFC, without control characters; blank if
    /// there is none.
    pub(super) fn value<'a>(
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
        if let Some(split) = &self.split {
            let parts = || value.split(split.as_str()).map(trim).filter(|part| !part.is_empty());
            self.parts = parts().count();
            value = parts().nth(self.part).unwrap_or_default();
        }
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
pub(super) const QUOTED: u8 = 1;
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
