//! The tokens of an answer (MS-TDS 2.2.7), and the types of columns with their values (2.2.5).

use rusqlite::types::ValueRef;

pub const DONE_MORE: u16 = 0x01;
pub const DONE_ERROR: u16 = 0x02;
pub const DONE_COUNT: u16 = 0x10;
pub const DONE_ATTENTION: u16 = 0x20;

/// `Latin1_General_CI_AS`: code page 1252.
const LATIN1: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];
/// `SQL_Latin1_General_CP850_CI_AS`: a code page of DOS.
pub const CP850: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x2A];

pub fn done(status: u16, rows: u64) -> Vec<u8> {
    let mut out = vec![0xFD];
    out.extend(status.to_le_bytes());
    out.extend(0xC1_u16.to_le_bytes());
    out.extend(rows.to_le_bytes());
    out
}

pub fn error(number: u32, class: u8, line: u32, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(number.to_le_bytes());
    body.extend([1, class]);
    body.extend(u16::try_from(message.encode_utf16().count()).unwrap().to_le_bytes());
    body.extend(utf16(message));
    body.extend(short_text("STANDIN"));
    body.extend(short_text(""));
    body.extend(line.to_le_bytes());
    sized(0xAA, &body)
}

/// An ERROR and the DONE after it, as a whole answer.
pub fn failed(number: u32, class: u8, line: u32, message: &str) -> Vec<u8> {
    [error(number, class, line, message), done(DONE_ERROR, 0)].concat()
}

pub(super) fn login_ack(database: &str) -> Vec<u8> {
    let mut out = environment(1, &[short_text(database), short_text("master")].concat());
    out.extend(environment(7, &[&[5], &LATIN1[..], &[0]].concat()));
    // TDS 7.4, by a server of version 16.
    let body = [&[1, 0x74, 0, 0, 4], &*short_text("Microsoft SQL Server"), &[16, 0, 0x03, 0xE8]].concat();
    out.extend(sized(0xAD, &body));
    out.extend(environment(4, &[short_text("4096"), short_text("4096")].concat()));
    out
}

pub(super) fn routing(host: &str, port: u16) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(port.to_le_bytes());
    value.extend(u16::try_from(host.encode_utf16().count()).unwrap().to_le_bytes());
    value.extend(utf16(host));
    let length = u16::try_from(value.len()).unwrap().to_le_bytes();
    environment(20, &[&length[..], &value, &[0, 0]].concat())
}

pub(super) fn transaction_begun(descriptor: u64) -> Vec<u8> {
    environment(8, &[&[8], &descriptor.to_le_bytes()[..], &[0]].concat())
}

/// `kind`: 9 for COMMIT, 10 for ROLLBACK.
pub(super) fn transaction_ended(kind: u8, descriptor: u64) -> Vec<u8> {
    environment(kind, &[&[0, 8], &descriptor.to_le_bytes()[..]].concat())
}

fn environment(kind: u8, value: &[u8]) -> Vec<u8> {
    sized(0xE3, &[&[kind], value].concat())
}

fn sized(token: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![token];
    out.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(body);
    out
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// `B_VARCHAR`.
fn short_text(text: &str) -> Vec<u8> {
    let mut out = vec![u8::try_from(text.encode_utf16().count()).unwrap()];
    out.extend(utf16(text));
    out
}

/// COLMETADATA.
pub fn columns(columns: &[(&str, Type)]) -> Vec<u8> {
    let mut out = vec![0x81];
    out.extend(u16::try_from(columns.len()).unwrap().to_le_bytes());
    for (name, column_type) in columns {
        // No user type; may be NULL, may be written to.
        out.extend([0, 0, 0, 0, 9, 0]);
        column_type.describe(&mut out);
        out.extend(short_text(name));
    }
    out
}

/// The start of a ROW; the values follow.
pub const ROW: u8 = 0xD1;

/// A type of SQL Server.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Bit,
    /// By its size in bytes.
    Int(u8),
    Decimal {
        precision: u8,
        scale: u8,
    },
    Money,
    SmallMoney,
    Real,
    Float,
    /// In characters; `None` is `max`. The collation's code page must be 1252 for text to be encoded.
    Char {
        fixed: bool,
        length: Option<u16>,
        collation: [u8; 5],
    },
    NChar {
        fixed: bool,
        length: Option<u16>,
    },
    Text,
    NText,
    Xml,
    Date,
    Time(u8),
    DateTime,
    SmallDateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    UniqueIdentifier,
    Binary {
        fixed: bool,
        length: Option<u16>,
    },
    Image,
    Variant,
}

impl Type {
    pub fn varchar(length: u16) -> Self {
        Self::Char { fixed: false, length: Some(length), collation: LATIN1 }
    }

    pub fn nvarchar(length: u16) -> Self {
        Self::NChar { fixed: false, length: Some(length) }
    }

    /// A type in SQL Server's words: `nvarchar(50)`, `decimal(18, 4)`, `varchar(max)`.
    pub fn parse(declared: &str) -> Option<Self> {
        let declared = declared.to_ascii_lowercase();
        let (name, arguments) = match declared.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.split(')').next().unwrap()),
            None => (declared.trim(), ""),
        };
        let mut arguments = arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty());
        let first = arguments.next();
        let number = |default: u8| first.map_or(Some(default), |text| text.parse().ok());
        let length = match first {
            Some("max") => None,
            Some(text) => Some(text.parse().ok()?),
            None => Some(1),
        };
        Some(match name {
            "bit" => Self::Bit,
            "tinyint" => Self::Int(1),
            "smallint" => Self::Int(2),
            "int" | "integer" => Self::Int(4),
            "bigint" => Self::Int(8),
            "decimal" | "numeric" => Self::Decimal {
                precision: number(18)?,
                scale: arguments.next().map_or(Some(0), |text| text.parse().ok())?,
            },
            "money" => Self::Money,
            "smallmoney" => Self::SmallMoney,
            "real" => Self::Real,
            "float" if number(53)? <= 24 => Self::Real,
            "float" | "double precision" => Self::Float,
            "char" | "varchar" => Self::Char { fixed: name == "char", length, collation: LATIN1 },
            "nchar" | "nvarchar" => Self::NChar { fixed: name == "nchar", length },
            "text" => Self::Text,
            "ntext" => Self::NText,
            "xml" => Self::Xml,
            "date" => Self::Date,
            "time" => Self::Time(number(7)?),
            "datetime" => Self::DateTime,
            "smalldatetime" => Self::SmallDateTime,
            "datetime2" => Self::DateTime2(number(7)?),
            "datetimeoffset" => Self::DateTimeOffset(number(7)?),
            "uniqueidentifier" => Self::UniqueIdentifier,
            "binary" | "varbinary" => Self::Binary { fixed: name == "binary", length },
            "rowversion" | "timestamp" => Self::Binary { fixed: true, length: Some(8) },
            "image" => Self::Image,
            "sql_variant" => Self::Variant,
            _ => return None,
        })
    }

    /// `TYPE_INFO`.
    fn describe(&self, out: &mut Vec<u8>) {
        let long = |out: &mut Vec<u8>, token: u8| {
            out.push(token);
            out.extend(0x7FFF_FFFF_u32.to_le_bytes());
        };
        // The table that a `text` column comes from: none.
        let no_table = [0];
        match *self {
            Self::Bit => out.extend([0x68, 1]),
            Self::Int(size) => out.extend([0x26, size]),
            Self::Decimal { precision, scale } => out.extend([0x6A, decimal_size(precision), precision, scale]),
            Self::Money => out.extend([0x6E, 8]),
            Self::SmallMoney => out.extend([0x6E, 4]),
            Self::Real => out.extend([0x6D, 4]),
            Self::Float => out.extend([0x6D, 8]),
            Self::Char { fixed, length, collation } => {
                out.push(if fixed { 0xAF } else { 0xA7 });
                out.extend(length.unwrap_or(0xFFFF).to_le_bytes());
                out.extend(collation);
            }
            Self::NChar { fixed, length } => {
                out.push(if fixed { 0xEF } else { 0xE7 });
                out.extend(length.map_or(0xFFFF, |length| length * 2).to_le_bytes());
                out.extend(LATIN1);
            }
            Self::Text => {
                long(out, 0x23);
                out.extend(LATIN1);
                out.extend(no_table);
            }
            Self::NText => {
                long(out, 0x63);
                out.extend(LATIN1);
                out.extend(no_table);
            }
            Self::Image => {
                long(out, 0x22);
                out.extend(no_table);
            }
            Self::Xml => out.extend([0xF1, 0]),
            Self::Date => out.push(0x28),
            Self::Time(scale) => out.extend([0x29, scale]),
            Self::DateTime2(scale) => out.extend([0x2A, scale]),
            Self::DateTimeOffset(scale) => out.extend([0x2B, scale]),
            Self::DateTime => out.extend([0x6F, 8]),
            Self::SmallDateTime => out.extend([0x6F, 4]),
            Self::UniqueIdentifier => out.extend([0x24, 16]),
            Self::Binary { fixed, length } => {
                out.push(if fixed { 0xAD } else { 0xA5 });
                out.extend(length.unwrap_or(0xFFFF).to_le_bytes());
            }
            Self::Variant => {
                out.push(0x62);
                out.extend(8009_u32.to_le_bytes());
            }
        }
    }

    /// A value of a row. The error names what the value is not.
    pub fn write(&self, out: &mut Vec<u8>, value: ValueRef<'_>) -> Result<(), String> {
        if value == ValueRef::Null {
            self.write_null(out);
            return Ok(());
        }
        if let (Self::Binary { length, .. }, ValueRef::Blob(bytes) | ValueRef::Text(bytes)) = (self, value) {
            write_sized(out, bytes, length.is_none());
            return Ok(());
        }
        if let (Self::Image, ValueRef::Blob(bytes)) = (self, value) {
            write_pointed(out, bytes);
            return Ok(());
        }
        if *self == Self::Variant {
            write_variant(out, value);
            return Ok(());
        }
        let text = text_of(value);
        let wrong = || format!("a value of {self:?} is not one");
        let mut short = |bytes: &[u8]| {
            out.push(u8::try_from(bytes.len()).unwrap());
            out.extend(bytes);
        };
        match *self {
            Self::Bit => short(&[u8::from(text != "0")]),
            Self::Int(size) => {
                let number: i64 = text.parse().map_err(|_| wrong())?;
                short(&number.to_le_bytes()[..usize::from(size)]);
            }
            Self::Decimal { precision, scale } => {
                let number = decimal(&text, scale).ok_or_else(wrong)?;
                let mut bytes = vec![u8::from(number >= 0)];
                bytes.extend(&number.unsigned_abs().to_le_bytes()[..usize::from(decimal_size(precision)) - 1]);
                short(&bytes);
            }
            Self::Money => {
                let number = i64::try_from(decimal(&text, 4).ok_or_else(wrong)?).map_err(|_| wrong())?;
                let bytes = number.to_le_bytes();
                // The upper half comes first.
                short(&[&bytes[4..], &bytes[..4]].concat());
            }
            Self::SmallMoney => {
                let number = i32::try_from(decimal(&text, 4).ok_or_else(wrong)?).map_err(|_| wrong())?;
                short(&number.to_le_bytes());
            }
            Self::Real => short(&text.parse::<f32>().map_err(|_| wrong())?.to_le_bytes()),
            Self::Float => short(&text.parse::<f64>().map_err(|_| wrong())?.to_le_bytes()),
            Self::Char { fixed, length, .. } => {
                let mut bytes = encoding_rs::WINDOWS_1252.encode(&text).0.into_owned();
                if fixed {
                    bytes.resize(usize::from(length.unwrap_or(0)), b' ');
                }
                write_sized(out, &bytes, length.is_none());
            }
            Self::NChar { fixed, length } => {
                let mut bytes = utf16(&text);
                while fixed && bytes.len() < 2 * usize::from(length.unwrap_or(0)) {
                    bytes.extend([b' ', 0]);
                }
                write_sized(out, &bytes, length.is_none());
            }
            Self::Text => write_pointed(out, &encoding_rs::WINDOWS_1252.encode(&text).0),
            Self::NText => write_pointed(out, &utf16(&text)),
            Self::Xml => write_sized(out, &utf16(&text), true),
            Self::Date => short(&days(text.parse().map_err(|_| wrong())?)),
            Self::Time(scale) => short(&clock(text.parse().map_err(|_| wrong())?, scale)),
            Self::DateTime2(scale) => {
                let moment: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
                short(&[clock(moment.time(), scale), days(moment.date()).to_vec()].concat());
            }
            Self::DateTimeOffset(scale) => {
                let (utc, minutes) = with_offset(&text).ok_or_else(wrong)?;
                short(&[&clock(utc.time(), scale), &days(utc.date())[..], &minutes.to_le_bytes()].concat());
            }
            Self::DateTime => {
                let moment: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
                let days = since(moment.date(), 1900);
                let ticks = (nanoseconds(moment.time()) * 3 + 5_000_000) / 10_000_000;
                short(&[days.to_le_bytes(), u32::try_from(ticks).unwrap().to_le_bytes()].concat());
            }
            Self::SmallDateTime => {
                let moment: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
                let days = u16::try_from(since(moment.date(), 1900)).map_err(|_| wrong())?;
                let minutes = u16::try_from((nanoseconds(moment.time()) + 30_000_000_000) / 60_000_000_000).unwrap();
                short(&[days.to_le_bytes(), minutes.to_le_bytes()].concat());
            }
            Self::UniqueIdentifier => {
                let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
                let number = u128::from_str_radix(&digits, 16).map_err(|_| wrong())?;
                let mut bytes = number.to_be_bytes();
                // The first three groups are little-endian.
                bytes[..4].reverse();
                bytes[4..6].reverse();
                bytes[6..8].reverse();
                short(&bytes);
            }
            Self::Binary { .. } | Self::Image | Self::Variant => return Err(wrong()),
        }
        Ok(())
    }

    fn write_null(&self, out: &mut Vec<u8>) {
        match self {
            Self::Char { length: Some(_), .. }
            | Self::NChar { length: Some(_), .. }
            | Self::Binary { length: Some(_), .. } => {
                out.extend([0xFF; 2]);
            }
            Self::Char { .. } | Self::NChar { .. } | Self::Binary { .. } | Self::Xml => out.extend([0xFF; 8]),
            Self::Variant => out.extend([0; 4]),
            _ => out.push(0),
        }
    }
}

pub(super) fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

/// With a length of two bytes, or in parts (PLP).
fn write_sized(out: &mut Vec<u8>, bytes: &[u8], in_parts: bool) {
    if in_parts {
        out.extend((bytes.len() as u64).to_le_bytes());
        for part in bytes.chunks(4000) {
            out.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
            out.extend(part);
        }
        out.extend([0; 4]);
    } else {
        out.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
        out.extend(bytes);
    }
}

/// With a text pointer and a timestamp.
fn write_pointed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(16);
    out.extend([0xEE; 16 + 8]);
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend(bytes);
}

fn write_variant(out: &mut Vec<u8>, value: ValueRef<'_>) {
    let mut body = Vec::new();
    match value {
        ValueRef::Null => {}
        ValueRef::Integer(number) => {
            body.extend([0x7F, 0]);
            body.extend(number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            body.extend([0x3E, 0]);
            body.extend(number.to_le_bytes());
        }
        ValueRef::Text(text) => {
            body.extend([0xE7, 7]);
            body.extend(LATIN1);
            body.extend(8000_u16.to_le_bytes());
            body.extend(utf16(std::str::from_utf8(text).unwrap()));
        }
        ValueRef::Blob(bytes) => {
            body.extend([0xA5, 2]);
            body.extend(8000_u16.to_le_bytes());
            body.extend(bytes);
        }
    }
    out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(body);
}

fn decimal_size(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// `12.5` with a scale of 4 is 125000. More decimals than the scale has are no value of the type.
fn decimal(text: &str, scale: u8) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()
}

fn since(date: jiff::civil::Date, year: i16) -> i32 {
    date.since((jiff::Unit::Day, jiff::civil::date(year, 1, 1))).unwrap().get_days()
}

fn days(date: jiff::civil::Date) -> [u8; 3] {
    since(date, 1).to_le_bytes()[..3].try_into().unwrap()
}

fn nanoseconds(time: jiff::civil::Time) -> i64 {
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1_000_000_000 + i64::from(time.subsec_nanosecond())
}

fn clock(time: jiff::civil::Time, scale: u8) -> Vec<u8> {
    let steps = nanoseconds(time) / 10_i64.pow(9 - u32::from(scale));
    let size = match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    };
    steps.to_le_bytes()[..size].to_vec()
}

/// `2026-02-28T10:00:00+02:00` as UTC and minutes.
fn with_offset(text: &str) -> Option<(jiff::civil::DateTime, i16)> {
    let at = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let size = hours.parse::<i16>().ok()? * 60 + minutes.parse::<i16>().ok()?;
    let offset = if text[at..].starts_with('-') { -size } else { size };
    let local: jiff::civil::DateTime = text[..at].trim().parse().ok()?;
    Some((local.checked_sub(jiff::Span::new().minutes(offset)).ok()?, offset))
}
