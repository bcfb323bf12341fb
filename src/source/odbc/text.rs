//! What a driver's text becomes: the one rule for every engine.

use odbc_api::DataType;

use crate::source::format::{rewrite_float, rewrite_single};
use crate::source::row::Column;

/// A column, and how its cells are read.
pub(super) struct Shape {
    pub(super) column: Column,
    pub(super) kind: Kind,
    /// The most UTF-16 units that a cell can have; `None` if nobody knows.
    pub(super) units: Option<usize>,
}

/// How the text of a cell is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Text,
    Bit,
    Decimal,
    Float,
    Single,
    Time,
    DateTime,
    Uuid,
    /// As bytes, where binary is taken.
    Binary,
}

/// `SQL_GUID`.
const GUID: i16 = -11;
/// SQL Server's own: `SQL_SS_TIME2` and `SQL_SS_TIMESTAMPOFFSET`.
const SQL_SERVER_TIME: i16 = -154;
const SQL_SERVER_TIME_WITH_OFFSET: i16 = -155;
/// Room for numbers and times, which drivers write longer than ODBC's tables say.
const SHORT_UNITS: usize = 80;

impl Shape {
    pub(super) fn new(name: String, data_type: &DataType) -> Self {
        let length = |length: &Option<std::num::NonZeroUsize>| length.map(|length| format!("({length})"));
        let (kind, type_name) = match data_type {
            DataType::Unknown => (Kind::Text, "unknown".to_owned()),
            DataType::Char { length: size } => (Kind::Text, format!("char{}", length(size).unwrap_or_default())),
            DataType::WChar { length: size } => (Kind::Text, format!("nchar{}", length(size).unwrap_or_default())),
            DataType::Varchar { length: size } => (Kind::Text, format!("varchar{}", length(size).unwrap_or_default())),
            DataType::WVarchar { length: size } => {
                (Kind::Text, format!("nvarchar{}", length(size).unwrap_or_default()))
            }
            DataType::LongVarchar { .. } | DataType::WLongVarchar { .. } => (Kind::Text, "long text".to_owned()),
            DataType::Numeric { precision, scale } | DataType::Decimal { precision, scale } => {
                (Kind::Decimal, format!("decimal({precision},{scale})"))
            }
            DataType::TinyInt => (Kind::Text, "tinyint".to_owned()),
            DataType::SmallInt => (Kind::Text, "smallint".to_owned()),
            DataType::Integer => (Kind::Text, "integer".to_owned()),
            DataType::BigInt => (Kind::Text, "bigint".to_owned()),
            DataType::Real => (Kind::Single, "real".to_owned()),
            DataType::Float { precision } if (1..=24).contains(precision) => (Kind::Single, "real".to_owned()),
            DataType::Float { .. } | DataType::Double => (Kind::Float, "double".to_owned()),
            DataType::Bit => (Kind::Bit, "bit".to_owned()),
            DataType::Date => (Kind::Text, "date".to_owned()),
            DataType::Time { .. } => (Kind::Time, "time".to_owned()),
            DataType::Timestamp { .. } => (Kind::DateTime, "timestamp".to_owned()),
            DataType::Binary { .. } => (Kind::Binary, "binary".to_owned()),
            DataType::Varbinary { .. } => (Kind::Binary, "varbinary".to_owned()),
            DataType::LongVarbinary { .. } => (Kind::Binary, "long binary".to_owned()),
            DataType::Other { data_type, .. } if data_type.0 == GUID => (Kind::Uuid, "uuid".to_owned()),
            DataType::Other { data_type, .. } if data_type.0 == SQL_SERVER_TIME => (Kind::Time, "time".to_owned()),
            DataType::Other { data_type, .. } if data_type.0 == SQL_SERVER_TIME_WITH_OFFSET => {
                (Kind::DateTime, "datetimeoffset".to_owned())
            }
            DataType::Other { data_type, .. } => (Kind::Text, format!("type {}", data_type.0)),
        };
        let units = match data_type {
            // The driver is asked for bytes, which are read cell by cell.
            DataType::Binary { .. }
            | DataType::Varbinary { .. }
            | DataType::LongVarbinary { .. }
            | DataType::LongVarchar { .. }
            | DataType::WLongVarchar { .. }
            | DataType::Unknown
            | DataType::Other { .. } => None,
            // Characters, or bytes of another encoding: never fewer than there are units.
            DataType::Char { .. } | DataType::WChar { .. } | DataType::Varchar { .. } | DataType::WVarchar { .. } => {
                data_type.utf16_len().map(std::num::NonZeroUsize::get)
            }
            DataType::Numeric { precision, .. } | DataType::Decimal { precision, .. } => Some(precision + SHORT_UNITS),
            _ => Some(SHORT_UNITS),
        };
        let units = if matches!(kind, Kind::Uuid | Kind::Time | Kind::DateTime) { Some(SHORT_UNITS) } else { units };
        Self { column: Column { name, type_name }, kind, units }
    }
}

impl Kind {
    /// Writes a cell that is not NULL.
    pub(super) fn write(self, out: &mut String, text: &str) {
        match self {
            Self::Text | Self::Binary => out.push_str(text),
            Self::Bit => out.push_str(match text.trim() {
                "1" => "Y",
                "0" => "N",
                other => other,
            }),
            Self::Decimal => write_decimal(out, text.trim()),
            Self::Float => rewrite_float(out, text.trim()),
            Self::Single => rewrite_single(out, text.trim()),
            Self::Time => out.push_str(without_zeros(text.trim())),
            Self::DateTime => write_date_time(out, text.trim()),
            Self::Uuid => out.extend(text.trim().chars().map(|c| c.to_ascii_lowercase())),
        }
    }
}

/// Oracle writes `.5`.
fn write_decimal(out: &mut String, text: &str) {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    out.push_str(sign);
    if digits.starts_with('.') {
        out.push('0');
    }
    out.push_str(digits);
}

/// A time without zeros at the end of its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// `2026-02-28 10:00:00.120 +02:00` as `2026-02-28T10:00:00.12+02:00`; what looks otherwise stays.
fn write_date_time(out: &mut String, text: &str) {
    let mut parts = text.split(' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(date), Some(time), offset, None) if date.len() == 10 && time.contains(':') => {
            out.push_str(date);
            out.push('T');
            out.push_str(without_zeros(time));
            out.push_str(offset.unwrap_or_default());
        }
        _ => out.push_str(text),
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn texts_of_drivers_become_ours() {
        for (kind, text, expected) in [
            (Kind::Text, " 007 ", " 007 "),
            (Kind::Bit, "1", "Y"),
            (Kind::Bit, "0", "N"),
            (Kind::Decimal, ".5", "0.5"),
            (Kind::Decimal, "-.50", "-0.50"),
            (Kind::Decimal, "12.5000", "12.5000"),
            (Kind::Float, "2.0", "2"),
            (Kind::Float, "1.0000000000000000E+300", "1e300"),
            (Kind::Single, "0.100000001490116", "0.1"),
            (Kind::Time, "09:05:00.2500000", "09:05:00.25"),
            (Kind::Time, "09:05:00.000", "09:05:00"),
            (Kind::Time, "10:00:00", "10:00:00"),
            (Kind::DateTime, "2026-02-28 10:00:00.120", "2026-02-28T10:00:00.12"),
            (Kind::DateTime, "2026-02-28 10:00:00", "2026-02-28T10:00:00"),
            (Kind::DateTime, "2026-02-28 10:00:00.0000000 +02:00", "2026-02-28T10:00:00+02:00"),
            (Kind::DateTime, "28.02.2026 10:00 in the morning", "28.02.2026 10:00 in the morning"),
            (Kind::Uuid, "A0EEBC99-9C0B", "a0eebc99-9c0b"),
        ] {
            let mut out = String::new();
            kind.write(&mut out, text);
            assert_eq!(out, expected, "{kind:?} {text}");
        }
    }
}
