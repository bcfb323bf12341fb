//! How numbers and times are written as text: the one rule for every engine.

use std::fmt::Write as _;

/// A float as the shortest decimal that reads back the same, without an exponent between 1e-5 and 1e15; `1`, not `1.0`.
pub(super) fn write_float(out: &mut String, value: f64) {
    let size = value.abs();
    // Writing into a string cannot fail.
    let _ = if value == 0.0 || (1e-5..1e15).contains(&size) || !value.is_finite() {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// As [`write_float`], for a float of single precision.
pub(super) fn write_single(out: &mut String, value: f32) {
    let size = value.abs();
    let _ = if value == 0.0 || (1e-5..1e15).contains(&size) || !value.is_finite() {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// Writes a float that a server gave as text.
pub(super) fn rewrite_float(out: &mut String, text: &str) {
    match text.parse() {
        Ok(value) => write_float(out, value),
        Err(_) => out.push_str(text),
    }
}

/// Writes a float of single precision that a server gave as text.
pub(super) fn rewrite_single(out: &mut String, text: &str) {
    match text.parse() {
        Ok(value) => write_single(out, value),
        Err(_) => out.push_str(text),
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn write_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    // Through a buffer, since a push a digit takes ten times as long.
    let mut buffer = [0; 512];
    for part in bytes.chunks(buffer.len() / 2) {
        for (pair, byte) in buffer.chunks_exact_mut(2).zip(part) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xF)];
        }
        out.push_str(std::str::from_utf8(&buffer[..2 * part.len()]).unwrap_or_default());
    }
}

/// `2026-02-28`.
pub(super) fn write_date(out: &mut String, year: i32, month: u8, day: u8) {
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// `09:05:00`, or `09:05:00.25`: a fraction only if there is one, without zeros at its end.
pub(super) fn write_time(out: &mut String, hour: u32, minute: u32, second: u32, nanosecond: u32) {
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    if nanosecond != 0 {
        let _ = write!(out, ".{nanosecond:09}");
        let kept = out.trim_end_matches('0').len();
        out.truncate(kept);
    }
}

/// `+02:00`: the offset from UTC at the end of a time that has one.
pub(super) fn write_offset(out: &mut String, minutes: i32) {
    let sign = if minutes < 0 { '-' } else { '+' };
    let size = minutes.unsigned_abs();
    let _ = write!(out, "{sign}{:02}:{:02}", size / 60, size % 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn floats() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e300, "1e300"),
            (1e-7, "1e-7"),
            (0.0, "0"),
            (123_456_789.0, "123456789"),
        ] {
            assert_eq!(written(|out| write_float(out, value)), text);
        }
        assert_eq!(written(|out| write_single(out, 0.1)), "0.1");
    }

    #[test]
    fn times() {
        assert_eq!(written(|out| write_date(out, 2026, 2, 28)), "2026-02-28");
        assert_eq!(written(|out| write_time(out, 9, 5, 0, 0)), "09:05:00");
        assert_eq!(written(|out| write_time(out, 9, 5, 0, 250_000_000)), "09:05:00.25");
        assert_eq!(written(|out| write_offset(out, -570)), "-09:30");
    }
}
