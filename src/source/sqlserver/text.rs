//! SQL Server's types as text, by the one rule of every engine.

use std::fmt::Write as _;

use tiberius::time::Time;
use tiberius::{ColumnData, ColumnType};

use crate::source::SourceError;
use crate::source::format::{write_date, write_float, write_offset, write_single, write_time};
use crate::source::row::Column;

/// What a column's type asks for beyond what its values tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value tells all.
    Plain,
    /// Arrives as a float.
    Money,
    /// Text in a code page.
    CodePage,
    /// Text in UTF-16.
    Unicode,
    /// Any type, by value.
    Variant,
    /// No text at all: read only where binary is taken.
    Binary,
}

/// The kind of a column's type, and its name in SQL Server's words.
pub(super) fn kind(column_type: ColumnType) -> (Kind, &'static str) {
    match column_type {
        ColumnType::Null => (Kind::Plain, "null"),
        ColumnType::Bit | ColumnType::Bitn => (Kind::Plain, "bit"),
        ColumnType::Int1 => (Kind::Plain, "tinyint"),
        ColumnType::Int2 => (Kind::Plain, "smallint"),
        ColumnType::Int4 | ColumnType::Intn => (Kind::Plain, "int"),
        ColumnType::Int8 => (Kind::Plain, "bigint"),
        ColumnType::Datetime4 => (Kind::Plain, "smalldatetime"),
        ColumnType::Float4 => (Kind::Plain, "real"),
        ColumnType::Float8 | ColumnType::Floatn => (Kind::Plain, "float"),
        ColumnType::Money => (Kind::Money, "money"),
        ColumnType::Money4 => (Kind::Money, "smallmoney"),
        ColumnType::Datetime | ColumnType::Datetimen => (Kind::Plain, "datetime"),
        ColumnType::Guid => (Kind::Plain, "uniqueidentifier"),
        ColumnType::Decimaln => (Kind::Plain, "decimal"),
        ColumnType::Numericn => (Kind::Plain, "numeric"),
        ColumnType::Daten => (Kind::Plain, "date"),
        ColumnType::Timen => (Kind::Plain, "time"),
        ColumnType::Datetime2 => (Kind::Plain, "datetime2"),
        ColumnType::DatetimeOffsetn => (Kind::Plain, "datetimeoffset"),
        ColumnType::BigVarChar => (Kind::CodePage, "varchar"),
        ColumnType::BigChar => (Kind::CodePage, "char"),
        ColumnType::Text => (Kind::CodePage, "text"),
        ColumnType::NVarchar => (Kind::Unicode, "nvarchar"),
        ColumnType::NChar => (Kind::Unicode, "nchar"),
        ColumnType::NText => (Kind::Unicode, "ntext"),
        ColumnType::Xml => (Kind::Unicode, "xml"),
        ColumnType::SSVariant => (Kind::Variant, "sql_variant"),
        ColumnType::BigVarBin => (Kind::Binary, "varbinary"),
        // `rowversion` too: the protocol does not tell them apart.
        ColumnType::BigBinary => (Kind::Binary, "binary"),
        ColumnType::Image => (Kind::Binary, "image"),
        ColumnType::Udt => (Kind::Binary, "CLR type (geography, geometry, hierarchyid)"),
    }
}

/// Why a value has no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Binary in a `sql_variant`, which nobody takes.
    Binary,
    /// Money that the driver's float does not hold exactly.
    Money,
}

impl Problem {
    pub(super) fn explain(self, column: &Column, row: u64) -> SourceError {
        match self {
            Self::Binary => SourceError::Binary { column: column.name.clone(), type_name: column.type_name.clone() },
            Self::Money => SourceError::Value {
                column: column.name.clone(),
                row,
                reason: format!("the `{}` is too large to be read exactly", column.type_name),
                hint: Some(format!("write `CAST({0} AS decimal(19,4)) AS {0}` in the query", column.name).into()),
            },
        }
    }
}

/// Appends a value; NULL appends nothing.
pub(super) fn write(out: &mut String, data: &ColumnData<'static>, kind: Kind) -> Result<(), Problem> {
    // Writing into a string cannot fail.
    let _ = match data {
        ColumnData::U8(Some(value)) => write!(out, "{value}"),
        ColumnData::I16(Some(value)) => write!(out, "{value}"),
        ColumnData::I32(Some(value)) => write!(out, "{value}"),
        ColumnData::I64(Some(value)) => write!(out, "{value}"),
        ColumnData::F32(Some(value)) => {
            write_single(out, *value);
            Ok(())
        }
        ColumnData::F64(Some(value)) if kind == Kind::Money => return write_money(out, *value),
        ColumnData::F64(Some(value)) => {
            write_float(out, *value);
            Ok(())
        }
        ColumnData::Bit(Some(value)) => {
            out.push(if *value { 'Y' } else { 'N' });
            Ok(())
        }
        ColumnData::String(Some(value)) => {
            out.push_str(value);
            Ok(())
        }
        ColumnData::Xml(Some(value)) => {
            out.push_str((**value).as_ref());
            Ok(())
        }
        ColumnData::Guid(Some(value)) => write!(out, "{value:x}"),
        ColumnData::Numeric(Some(value)) => {
            write_decimal(out, value.value(), value.scale());
            Ok(())
        }
        ColumnData::Date(Some(value)) => {
            write_day(out, FROM_YEAR_ONE + i64::from(value.days()));
            Ok(())
        }
        ColumnData::Time(Some(value)) => {
            write_clock(out, nanoseconds(*value));
            Ok(())
        }
        ColumnData::SmallDateTime(Some(value)) => {
            // Whole minutes, whatever the driver calls them.
            let minutes = i64::from(value.seconds_fragments());
            write_moment(out, FROM_1900 + i64::from(value.days()), minutes * 60 * SECOND);
            Ok(())
        }
        ColumnData::DateTime(Some(value)) => {
            // 1/300 s, which SQL Server itself shows rounded to milliseconds.
            let milliseconds = (i64::from(value.seconds_fragments()) * 10 + 1) / 3;
            write_moment(out, FROM_1900 + i64::from(value.days()), milliseconds * 1_000_000);
            Ok(())
        }
        ColumnData::DateTime2(Some(value)) => {
            write_moment(out, FROM_YEAR_ONE + i64::from(value.date().days()), nanoseconds(value.time()));
            Ok(())
        }
        ColumnData::DateTimeOffset(Some(value)) => {
            // The protocol gives UTC.
            let (utc, offset) = (value.datetime2(), value.offset());
            let local = nanoseconds(utc.time()) + i64::from(offset) * 60 * SECOND;
            write_moment(out, FROM_YEAR_ONE + i64::from(utc.date().days()), local);
            write_offset(out, i32::from(offset));
            Ok(())
        }
        ColumnData::Binary(Some(_)) => return Err(Problem::Binary),
        // NULL, spelt out so that a new type does not become a blank.
        ColumnData::U8(None)
        | ColumnData::I16(None)
        | ColumnData::I32(None)
        | ColumnData::I64(None)
        | ColumnData::F32(None)
        | ColumnData::F64(None)
        | ColumnData::Bit(None)
        | ColumnData::String(None)
        | ColumnData::Xml(None)
        | ColumnData::Guid(None)
        | ColumnData::Numeric(None)
        | ColumnData::Date(None)
        | ColumnData::Time(None)
        | ColumnData::SmallDateTime(None)
        | ColumnData::DateTime(None)
        | ColumnData::DateTime2(None)
        | ColumnData::DateTimeOffset(None)
        | ColumnData::Binary(None) => Ok(()),
    };
    Ok(())
}

/// Below 2³⁹ neighbouring floats are nearer to each other than money's steps of 1/10000 are, so that four decimals give
/// back the very value; above, two amounts may share one float.
const MONEY_EXACT_BELOW: f64 = 549_755_813_888.0;

fn write_money(out: &mut String, value: f64) -> Result<(), Problem> {
    if value.abs() < MONEY_EXACT_BELOW {
        let _ = write!(out, "{value:.4}");
        Ok(())
    } else {
        Err(Problem::Money)
    }
}

/// Every digit, and as many decimals as the type has.
fn write_decimal(out: &mut String, value: i128, scale: u8) {
    let scale = usize::from(scale);
    if value < 0 {
        out.push('-');
    }
    // One digit before the point at least.
    let _ = write!(out, "{:0width$}", value.unsigned_abs(), width = scale + 1);
    if scale > 0 {
        out.insert(out.len() - scale, '.');
    }
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 1970-01-01 is day 0.
const FROM_1900: i64 = -25_567;
const FROM_YEAR_ONE: i64 = -719_162;

fn nanoseconds(time: Time) -> i64 {
    let step = 10_i64.pow(9_u32.saturating_sub(u32::from(time.scale())));
    i64::try_from(time.increments()).unwrap_or(0).saturating_mul(step)
}

/// A date and a time of it in nanoseconds, which may reach into the day before or after.
fn write_moment(out: &mut String, day: i64, nanoseconds: i64) {
    write_day(out, day + nanoseconds.div_euclid(DAY));
    out.push('T');
    write_clock(out, nanoseconds.rem_euclid(DAY));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time of day fits in 32 bits, part by part"
)]
fn write_clock(out: &mut String, nanoseconds: i64) {
    let seconds = (nanoseconds / SECOND) as u32;
    write_time(out, seconds / 3600, seconds / 60 % 60, seconds % 60, (nanoseconds % SECOND) as u32);
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a month and a day of it are small and positive"
)]
fn write_day(out: &mut String, day: i64) {
    // Years begin in March here, so that the leap day is the last of a year.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    write_date(out, (era * 400 + year_of_era + next_year) as i32, month as u8, day_of_month as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tiberius::numeric::Numeric;
    use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime};

    use super::*;

    fn text(data: &ColumnData<'static>) -> String {
        let mut out = String::new();
        write(&mut out, data, Kind::Plain).unwrap();
        out
    }

    fn money(value: f64) -> Option<String> {
        let mut out = String::new();
        write(&mut out, &ColumnData::F64(Some(value)), Kind::Money).ok().map(|()| out)
    }

    #[test]
    fn decimals() {
        for (value, scale, expected) in [
            (12_345, 4, "1.2345"),
            (-5, 4, "-0.0005"),
            (0, 2, "0.00"),
            (7, 0, "7"),
            (-12_345, 0, "-12345"),
            (99_999_999_999_999_999_999_999_999_999_999_999_999, 38, "0.99999999999999999999999999999999999999"),
            (-99_999_999_999_999_999_999_999_999_999_999_999_999, 0, "-99999999999999999999999999999999999999"),
        ] {
            assert_eq!(text(&ColumnData::Numeric(Some(Numeric::new_with_scale(value, scale)))), expected);
        }
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(text(&ColumnData::Date(Some(Date::new(0)))), "0001-01-01");
        assert_eq!(text(&ColumnData::Date(Some(Date::new(739_674)))), "2026-02-28");
        assert_eq!(text(&ColumnData::Date(Some(Date::new(3_652_058)))), "9999-12-31");
        assert_eq!(text(&ColumnData::DateTime(Some(DateTime::new(-53_690, 0)))), "1753-01-01T00:00:00");
        assert_eq!(text(&ColumnData::DateTime(Some(DateTime::new(0, 1)))), "1900-01-01T00:00:00.003");
        assert_eq!(text(&ColumnData::DateTime(Some(DateTime::new(0, 2)))), "1900-01-01T00:00:00.007");
        assert_eq!(text(&ColumnData::DateTime(Some(DateTime::new(0, 25_919_999)))), "1900-01-01T23:59:59.997");
        assert_eq!(text(&ColumnData::SmallDateTime(Some(SmallDateTime::new(46_079, 605)))), "2026-02-28T10:05:00");
        assert_eq!(text(&ColumnData::Time(Some(Time::new(863_999_999_999, 7)))), "23:59:59.9999999");
        assert_eq!(text(&ColumnData::Time(Some(Time::new(0, 0)))), "00:00:00");
        let utc = DateTime2::new(Date::new(739_674), Time::new(8 * 3600 * 1000 + 250, 3));
        assert_eq!(text(&ColumnData::DateTime2(Some(utc))), "2026-02-28T08:00:00.25");
        assert_eq!(
            text(&ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, 120)))),
            "2026-02-28T10:00:00.25+02:00"
        );
        assert_eq!(
            text(&ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, -570)))),
            "2026-02-27T22:30:00.25-09:30"
        );
    }

    #[test]
    fn every_day_of_the_calendar() {
        let (mut year, mut month, mut day) = (1, 1, 1);
        let mut expected = String::new();
        for number in 0..=3_652_058 {
            expected.clear();
            write_date(&mut expected, year, month, day);
            assert_eq!(text(&ColumnData::Date(Some(Date::new(number)))), expected);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u8::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == last => (year, month + 1, 1),
                (_, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn the_rest() {
        assert_eq!(text(&ColumnData::U8(Some(255))), "255");
        assert_eq!(text(&ColumnData::I64(Some(i64::MIN))), "-9223372036854775808");
        assert_eq!(text(&ColumnData::F32(Some(0.1))), "0.1");
        assert_eq!(text(&ColumnData::F64(Some(0.1))), "0.1");
        assert_eq!(text(&ColumnData::Bit(Some(true))) + &text(&ColumnData::Bit(Some(false))), "YN");
        assert_eq!(text(&ColumnData::String(Some(" é ".into()))), " é ");
        assert_eq!(text(&ColumnData::String(None)), "");
        let guid = tiberius::Uuid::from_u128(0xABCD);
        assert_eq!(text(&ColumnData::Guid(Some(guid))), "00000000-0000-0000-0000-00000000abcd");
        assert_eq!(
            write(&mut String::new(), &ColumnData::Binary(Some(b"x".as_slice().into())), Kind::Variant),
            Err(Problem::Binary)
        );
    }

    #[test]
    fn money_at_the_edge() {
        assert_eq!(money(1.5).as_deref(), Some("1.5000"));
        assert_eq!(money(-0.0001).as_deref(), Some("-0.0001"));
        assert_eq!(money(MONEY_EXACT_BELOW), None);
        assert_eq!(money(-922_337_203_685_477.6), None);
    }

    proptest! {
        #[test]
        fn money_is_exact(units in -5_497_558_138_879_999_i64..=5_497_558_138_879_999) {
            // As the driver makes it from the protocol's integer.
            #[expect(clippy::cast_precision_loss, reason = "that is what is tested")]
            let value = units as f64 / 1e4;
            let mut expected = String::new();
            write_decimal(&mut expected, i128::from(units), 4);
            prop_assert_eq!(money(value), Some(expected));
        }
    }
}
