//! Text files as people save them.

use std::fs;
use std::io;
use std::path::Path;

/// Why a file's text cannot be had.
pub(super) enum TextError {
    Read(io::Error),
    /// Not UTF-8: the text with the bad bytes replaced, and where the first one stands in it.
    Encoding {
        lossy: String,
        at: usize,
    },
}

/// Advice for [`TextError::Encoding`].
pub(super) const ENCODING_HINT: &str = "save the file as UTF-8 (in Notepad: Save as, Encoding, UTF-8)";

/// A file's text with `\n` line breaks and without a byte order mark. UTF-8, or UTF-16 with its mark, as SQL Server
/// Management Studio and old Notepads save it.
pub(super) fn read(path: &Path) -> Result<String, TextError> {
    decode(&fs::read(path).map_err(TextError::Read)?)
}

fn decode(bytes: &[u8]) -> Result<String, TextError> {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    let (text, had_errors) = encoding.decode_without_bom_handling(&bytes[mark..]);
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.into_owned() };
    if had_errors {
        let at = text.find('\u{fffd}').unwrap_or(0);
        return Err(TextError::Encoding { lossy: text, at });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_breaks_are_tolerated() {
        for bytes in [
            &b"a: \xc3\xa9\nb\n"[..],
            b"\xef\xbb\xbfa: \xc3\xa9\r\nb\r\n",
            b"\xff\xfea\0:\0 \0\xe9\0\r\0\n\0b\0\n\0",
            b"\xfe\xff\0a\0:\0 \0\xe9\0\n\0b\0\r",
        ] {
            assert_eq!(decode(bytes).ok().unwrap(), "a: é\nb\n");
        }
    }

    #[test]
    fn other_encodings_are_an_error_at_the_first_bad_byte() {
        let Err(TextError::Encoding { lossy, at }) = decode(b"a: ok\r\nb: \xe9t\xe9\n") else { panic!() };
        assert_eq!(&lossy[at..], "\u{fffd}t\u{fffd}\n");
    }
}
