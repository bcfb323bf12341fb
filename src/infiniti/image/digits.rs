//! Binary values as a cell's text.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Fault;

/// Base64 with and without `=` at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Writes the bytes of a cell into `out`, in the place of what it held: of hexadecimal digits in either case, after `0x` or
/// `\x` too, or of base64, which technicians make in SQL. White space and line breaks are passed over. Blank text is no
/// bytes. Nothing is allocated but what `out` grows by.
///
/// Text of nothing but hexadecimal digits could be either; as base64 it would be no picture, so it is hexadecimal.
///
/// # Errors
/// [`Fault::NotBinary`] for any other text.
pub fn from_hex(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = text.trim();
    let prefixed = ["0x", "0X", "\\x"].iter().find_map(|prefix| text.strip_prefix(prefix));
    if hexadecimal(prefixed.unwrap_or(text), out) {
        return Ok(());
    }
    if prefixed.is_none() && base64(text, out) {
        return Ok(());
    }
    out.clear();
    Err(Fault::NotBinary)
}

fn hexadecimal(text: &str, out: &mut Vec<u8>) -> bool {
    out.clear();
    out.reserve(text.len() / 2);
    // Two at a time as far as they go, which is mostly to the end.
    let (pairs, _) = text.as_bytes().as_chunks();
    out.extend(pairs.iter().map_while(|[high, low]| {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        (high | low < 16).then_some(high << 4 | low)
    }));
    let mut high = None;
    for byte in text.bytes().skip(2 * out.len()) {
        let digit = match VALUES[usize::from(byte)] {
            SPACE => continue,
            NONE => return false,
            digit => digit,
        };
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => out.push(high | digit),
        }
    }
    high.is_none()
}

const NONE: u8 = 0xFF;
const SPACE: u8 = 0xFE;

/// What a byte is as a hexadecimal digit.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit as usize] as usize] = digit;
        values[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    values[b' ' as usize] = SPACE;
    values[b'\t' as usize] = SPACE;
    values[b'\r' as usize] = SPACE;
    values[b'\n' as usize] = SPACE;
    values
};

fn base64(text: &str, out: &mut Vec<u8>) -> bool {
    out.clear();
    // Whole groups of four digits, gathered past the line breaks.
    let mut digits = [0; 1024];
    let (mut filled, mut is_ended) = (0, false);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        // What pads stands at the very end.
        if is_ended && byte != b'=' {
            return false;
        }
        is_ended = byte == b'=';
        digits[filled] = byte;
        filled += 1;
        if filled == digits.len() {
            if BASE64.decode_vec(digits, out).is_err() {
                return false;
            }
            filled = 0;
        }
    }
    BASE64.decode_vec(&digits[..filled], out).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, Fault> {
        let mut out = b"before".to_vec();
        let result = from_hex(text, &mut out);
        assert!(result.is_ok() || out.is_empty(), "{text}");
        result.map(|()| out)
    }

    #[test]
    fn spellings_of_one_value() {
        for text in [
            "ffd8ff",
            "FFD8FF",
            "0xFFD8FF",
            "0Xffd8ff",
            "\\xffd8ff",
            " ffd8ff\n",
            "ff d8\r\nff",
            "/9j/",
            "/9j\n/\n",
            " /9j/",
        ] {
            assert_eq!(read(text).unwrap(), b"\xFF\xD8\xFF", "{text}");
        }
        assert_eq!(read("/9g=").unwrap(), b"\xFF\xD8");
        assert_eq!(read("/9g").unwrap(), b"\xFF\xD8");
        for blank in ["", " ", "\r\n", "0x", "\\x"] {
            assert_eq!(read(blank).unwrap(), b"", "{blank:?}");
        }
    }

    #[test]
    fn other_texts_are_a_fault() {
        for text in ["0xfff", "0xfg", "\\xq", "photos/12345.jpg", "/9j/=/9j", "=", "/9j/!", "caf\u{e9}", "/", "0x/9j/"]
        {
            assert_eq!(read(text), Err(Fault::NotBinary), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(bytes: Vec<u8>, upper: bool) {
            let digits: String =
                bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]).map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect();
            let digits = if upper { digits.to_uppercase() } else { digits };
            prop_assert_eq!(read(&digits).unwrap(), bytes);
        }

        /// With what stands at the start of every picture: then it is never of hexadecimal digits alone.
        #[test]
        fn base64_comes_back_with_and_without_lines(bytes in prop::collection::vec(any::<u8>(), 0..5000), width in 1..200_usize) {
            let bytes = [b"\xFF\xD8\xFF", bytes.as_slice()].concat();
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            let lines: Vec<&str> = (0..text.len()).step_by(width).map(|at| &text[at..text.len().min(at + width)]).collect();
            prop_assert_eq!(read(&lines.join("\r\n")).unwrap(), bytes);
        }
    }

    #[test]
    fn a_buffer_is_used_again() {
        let mut out = Vec::with_capacity(70_000);
        let place = out.as_ptr();
        for text in ["ff".repeat(65_000), "/9j/".repeat(20_000), "x!".repeat(65_000)] {
            let _result = from_hex(&text, &mut out);
            assert_eq!((out.as_ptr(), out.capacity()), (place, 70_000));
        }
    }
}
