//! What bytes are, by what they hold and not by a file's name.

use std::fmt;
use std::str::FromStr;

use memchr::memchr;
use sha2::{Digest as _, Sha256};

/// The largest picture that is looked at, in bytes. A camera's original has up to half of that.
pub const BYTES_MAX: usize = 20 * 1024 * 1024;
/// The most pixels of a picture. Some hundred bytes can claim any number of them, and whoever decodes those, here or in
/// the library, runs out of memory.
pub const PIXELS_MAX: u64 = 40_000_000;

/// The kinds of pictures that Infiniti takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// JPEG.
    Jpg,
    /// PNG.
    Png,
}

impl Kind {
    /// The end of a file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
        }
    }
}

/// What a picture is, without the picture: as a cell `jpg 23512 0a1b…`, the kind, the bytes, and 32 digits of the digest.
// Part of every fingerprint already stored: raise `STATE_VERSION` to change how it is written or what is digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The kind by content.
    pub kind: Kind,
    /// Its length in bytes.
    pub bytes: u32,
    /// The first 16 bytes of the content's SHA-256.
    pub digest: [u8; 16],
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:032x}", self.kind.extension(), self.bytes, u128::from_be_bytes(self.digest))
    }
}

/// A text that is not of a [`Description`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no description of a picture")]
pub struct NotADescription;

impl FromStr for Description {
    type Err = NotADescription;

    fn from_str(text: &str) -> Result<Self, NotADescription> {
        let read = || {
            let mut words = text.split(' ');
            let kind = match words.next()? {
                "jpg" => Kind::Jpg,
                "png" => Kind::Png,
                _ => return None,
            };
            let bytes = words.next()?.parse().ok()?;
            let digits = words.next().filter(|digits| digits.len() == 32 && words.next().is_none())?;
            let digest = u128::from_str_radix(digits, 16).ok()?.to_be_bytes();
            Some(Self { kind, bytes, digest })
        };
        // Equal pictures have one spelling.
        read().filter(|description| description.to_string() == text).ok_or(NotADescription)
    }
}

/// Why bytes are not sent as a picture. In words it goes on after the header: "`image` is a GIF picture …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No bytes at all.
    #[error("is empty")]
    Empty,
    /// Something else that is known.
    #[error("is {0}, and Infiniti takes jpg and png")]
    Other(Other),
    /// Nothing that is known.
    #[error("is neither a jpg nor a png, whatever its name is")]
    Unknown,
    /// It ends before its end: cut off when it was stored or copied.
    #[error("is a {} that is cut off", .0.extension())]
    CutOff(Kind),
    /// It breaks the rules of its kind.
    #[error("is a {} that is damaged", .0.extension())]
    Damaged(Kind),
    /// More than [`BYTES_MAX`]: so many bytes.
    #[error("has {0} bytes, and at most {BYTES_MAX} are sent")]
    TooLarge(usize),
    /// More than [`PIXELS_MAX`].
    #[error("has {width} x {height} pixels, and at most {PIXELS_MAX} are sent")]
    TooManyPixels {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The text of a cell is not of a binary value.
    #[error("is text that is neither hexadecimal nor base64")]
    NotBinary,
}

impl Fault {
    /// A stable name, for JSON and for counting.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Other(_) | Self::Unknown => "not_a_picture",
            Self::CutOff(_) => "cut_off",
            Self::Damaged(_) => "damaged",
            Self::TooLarge(_) => "too_large",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::NotBinary => "not_binary",
        }
    }

    /// What to do about it, if it is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::Unknown => None,
            Self::Other(Other::OleObject) => {
                Some("Access wraps pictures: export them to files, or have the SIS store the picture alone")
            }
            Self::Other(Other::WebPage | Other::Text) => Some(
                "a path or a web page stands in the picture's place; for paths below a folder use `file`, not `image`",
            ),
            Self::Other(_) => Some("save it as jpg in the SIS"),
            Self::CutOff(_) => {
                Some("upload it again; if many are cut at one length, the column or an export is too short")
            }
            Self::Damaged(_) => Some("open it in a viewer, and save it again as jpg"),
            Self::TooLarge(_) | Self::TooManyPixels { .. } => Some("make it smaller in the SIS: 200 x 200 pixels do"),
            Self::NotBinary => Some(
                "give the binary column as it is, or convert it to hexadecimal or base64 text in the query; for paths \
                     below a folder use `file`, not `image`",
            ),
        }
    }
}

/// What is known and is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// GIF.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// `WebP`.
    WebP,
    /// Of an iPhone.
    Heic,
    /// AVIF.
    Avif,
    /// TIFF, which raw pictures of cameras are, too.
    Tiff,
    /// JPEG 2000.
    Jpeg2000,
    /// SVG.
    Svg,
    /// PDF.
    Pdf,
    /// A zip, which documents of Office are, too.
    Zip,
    /// A picture in Access's wrapping.
    OleObject,
    /// HTML: often an error page that was saved for the picture.
    WebPage,
    /// Text.
    Text,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gif => "a GIF picture",
            Self::Bmp => "a BMP picture",
            Self::WebP => "a WebP picture",
            Self::Heic => "a HEIC picture",
            Self::Avif => "an AVIF picture",
            Self::Tiff => "a TIFF picture",
            Self::Jpeg2000 => "a JPEG 2000 picture",
            Self::Svg => "an SVG picture",
            Self::Pdf => "a PDF document",
            Self::Zip => "a zip file",
            Self::OleObject => "an OLE object of Access",
            Self::WebPage => "a web page",
            Self::Text => "text",
        })
    }
}

/// Looks at bytes and describes the picture that they are. Its frame is read to its end, so that one that is cut off is
/// found out; it is not decoded.
///
/// # Errors
/// A [`Fault`] of anything that is not a whole JPEG or PNG within [`BYTES_MAX`] and [`PIXELS_MAX`].
pub fn look(bytes: &[u8]) -> Result<Description, Fault> {
    let (kind, _) = measure(bytes)?;
    let hash = Sha256::digest(bytes);
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash[..16]);
    Ok(Description { kind, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX), digest })
}

/// Width and height in pixels, as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// As [`look`], with the size and without the digest.
pub(super) fn measure(bytes: &[u8]) -> Result<(Kind, Size), Fault> {
    if bytes.is_empty() {
        return Err(Fault::Empty);
    }
    if bytes.len() > BYTES_MAX {
        return Err(Fault::TooLarge(bytes.len()));
    }
    let (kind, size) = if bytes.starts_with(JPEG) {
        (Kind::Jpg, jpeg(bytes)?)
    } else if bytes.starts_with(PNG) {
        (Kind::Png, png(bytes)?)
    } else if JPEG.starts_with(bytes) {
        return Err(Fault::CutOff(Kind::Jpg));
    } else if PNG.starts_with(bytes) {
        return Err(Fault::CutOff(Kind::Png));
    } else {
        return Err(other(bytes).map_or(Fault::Unknown, Fault::Other));
    };
    let Size { width, height } = size;
    if width == 0 || height == 0 {
        return Err(Fault::Damaged(kind));
    }
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Fault::TooManyPixels { width, height });
    }
    Ok((kind, size))
}

const JPEG: &[u8] = &[0xFF, 0xD8, 0xFF];
const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";

/// Goes from marker to marker to the end of the image (ITU T.81, B.1). What comes after it is no matter: cameras put more
/// pictures there. What stands between segments is passed over, as every viewer does.
fn jpeg(bytes: &[u8]) -> Result<Size, Fault> {
    let cut = Fault::CutOff(Kind::Jpg);
    let (mut at, mut size, mut has_scan) = (2, None, false);
    loop {
        at += memchr(0xFF, bytes.get(at..).ok_or(cut)?).ok_or(cut)?;
        // Any number of fill bytes may come first.
        at += bytes[at..].iter().take_while(|byte| **byte == 0xFF).count();
        let marker = *bytes.get(at).ok_or(cut)?;
        at += 1;
        match marker {
            0xD9 => {
                return if has_scan { size.ok_or(Fault::Damaged(Kind::Jpg)) } else { Err(Fault::Damaged(Kind::Jpg)) };
            }
            // An escaped byte of a scan, and markers without a segment.
            0x00 | 0x01 | 0xD0..=0xD8 => {}
            _ => {
                let length =
                    usize::from(u16::from_be_bytes(*bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(cut)?));
                let segment = bytes.get(at..at + length).ok_or(cut)?;
                match (marker, segment) {
                    (_, [] | [_]) => return Err(Fault::Damaged(Kind::Jpg)),
                    // The start of a frame, of whatever coding.
                    (0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, [_, _, _, y1, y2, x1, x2, ..]) => {
                        let number = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
                        size = Some(Size { width: number(x1, x2), height: number(y1, y2) });
                    }
                    (0xDA, _) => has_scan = true,
                    _ => {}
                }
                at += length;
            }
        }
    }
}

/// Goes from chunk to chunk to the last one, `IEND` (PNG specification, 5.3).
fn png(bytes: &[u8]) -> Result<Size, Fault> {
    let (cut, damaged) = (Fault::CutOff(Kind::Png), Fault::Damaged(Kind::Png));
    let (mut rest, mut size, mut has_data) = (&bytes[PNG.len()..], None, false);
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(cut)?;
        let (name, after) = after.split_first_chunk::<4>().ok_or(cut)?;
        if !name.iter().all(u8::is_ascii_alphabetic) || (size.is_none() && name != b"IHDR") {
            return Err(damaged);
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged)?;
        let (content, after) = after.split_at_checked(length).ok_or(cut)?;
        // The check sum.
        rest = after.get(4..).ok_or(cut)?;
        match name {
            b"IHDR" => {
                let (width, rest) = content.split_first_chunk().ok_or(damaged)?;
                let height = rest.first_chunk().ok_or(damaged)?;
                size = Some(Size { width: u32::from_be_bytes(*width), height: u32::from_be_bytes(*height) });
            }
            b"IDAT" => has_data = true,
            b"IEND" => return if has_data { size.ok_or(damaged) } else { Err(damaged) },
            _ => {}
        }
    }
}

/// Known beginnings.
fn other(bytes: &[u8]) -> Option<Other> {
    const BEGINNINGS: &[(&[u8], Other)] = &[
        (b"GIF8", Other::Gif),
        (b"II*\0", Other::Tiff),
        (b"MM\0*", Other::Tiff),
        (b"%PDF", Other::Pdf),
        (b"PK\x03\x04", Other::Zip),
        (b"\x15\x1C", Other::OleObject),
        (b"\0\0\0\x0CjP  ", Other::Jpeg2000),
        (b"\xFF\x4F\xFF\x51", Other::Jpeg2000),
    ];
    let by_beginning = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)).map(|(_, other)| *other);
    by_beginning
        .or_else(|| match (bytes.get(..4)?, bytes.get(4..8)?, bytes.get(8..12)?) {
            (b"RIFF", _, b"WEBP") => Some(Other::WebP),
            (_, b"ftyp", b"avif" | b"avis") => Some(Other::Avif),
            (_, b"ftyp", b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => Some(Other::Heic),
            // The name alone could be text.
            ([b'B', b'M', _, _], [.., 0, 0], _) => Some(Other::Bmp),
            _ => None,
        })
        .or_else(|| text(bytes))
}

fn text(bytes: &[u8]) -> Option<Other> {
    const LOOK_BYTES: usize = 1024;
    let start = &bytes[..bytes.len().min(LOOK_BYTES)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The look may end within a character.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.is_empty() || text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) {
        return None;
    }
    let text = text.to_ascii_lowercase();
    Some(if text.contains("<html") || text.contains("<!doctype html") {
        Other::WebPage
    } else if text.contains("<svg") {
        Other::Svg
    } else {
        Other::Text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    /// A JPEG of 3 x 2 pixels as its rules ask for, though of nothing that could be decoded.
    const FRAME: &[u8] = b"\xFF\xD8\xFF\xE0\x00\x04ab\xFF\xC0\x00\x08\x08\x00\x02\x00\x03\x01\xFF\xDA\x00\x02x\xFF\x00y\xFF\xD0z\xFF\xD9";

    #[test]
    fn a_description_stays_what_it_was() {
        let description = look(FRAME).unwrap();
        assert_eq!(description.to_string(), "jpg 31 81f26c11823b8bf32e896b3169582223");
        assert_eq!(measure(FRAME).unwrap(), (Kind::Jpg, Size { width: 3, height: 2 }));
    }

    proptest! {
        #[test]
        fn descriptions_are_read_as_they_were_written(is_jpg: bool, bytes: u32, digest: [u8; 16]) {
            let description = Description { kind: if is_jpg { Kind::Jpg } else { Kind::Png }, bytes, digest };
            prop_assert_eq!(description.to_string().parse(), Ok(description));
        }

        /// Whatever follows a beginning: an answer, and no panic.
        #[test]
        fn any_bytes_get_an_answer(bytes: Vec<u8>, beginning in 0..6_usize) {
            let ihdr = b"\x89PNG\r\n\x1A\n\x00\x00\x00\x0DIHDR";
            let beginning: &[u8] = [b"", JPEG, PNG, ihdr, b"RIFF", &FRAME[..20]][beginning];
            let _answer = look(&[beginning, &bytes].concat());
        }
    }

    #[test]
    fn other_texts_are_no_descriptions() {
        let digest = "00112233445566778899aabbccddeeff";
        for text in [
            "",
            "jpg",
            "jpg 1",
            &format!("gif 1 {digest}"),
            &format!("jpg -1 {digest}"),
            &format!("jpg 01 {digest}"),
            &format!("jpg +1 {digest}"),
            &format!("jpg 4294967296 {digest}"),
            &format!("jpg 1 {digest} "),
            &format!("jpg 1 {digest} x"),
            &format!("jpg  1 {digest}"),
            &format!("jpg 1 {}", &digest[1..]),
            &format!("jpg 1 +{}", &digest[1..]),
            &format!("jpg 1 {}", digest.to_uppercase()),
        ] {
            assert_eq!(text.parse::<Description>(), Err(NotADescription), "{text}");
        }
    }

    #[test]
    fn pictures_are_told_by_content() {
        for (kind, bytes) in [(Kind::Jpg, sample::jpg(60, 80)), (Kind::Png, sample::png(60, 80))] {
            assert_eq!(measure(&bytes).unwrap(), (kind, Size { width: 60, height: 80 }));
            let description = look(&bytes).unwrap();
            assert_eq!((description.kind, description.bytes as usize), (kind, bytes.len()));
            // More pictures of a camera, or the zeros of a column of fixed width.
            let longer = [bytes.as_slice(), &[0; 64]].concat();
            assert_ne!(look(&longer).unwrap().digest, description.digest);
        }
    }

    #[test]
    fn a_picture_that_is_cut_off_is_found_out() {
        // With the camera's small copy, which ends as a picture does.
        let exif = [sample::exif(6).as_slice(), &sample::jpg(16, 16)].concat();
        for (kind, bytes) in [
            (Kind::Jpg, sample::jpg_with(300, 200, exif)),
            (Kind::Jpg, FRAME.to_vec()),
            (Kind::Png, sample::png(60, 40)),
        ] {
            assert!(look(&bytes).is_ok());
            assert_eq!(look(&[]), Err(Fault::Empty));
            for length in (1..bytes.len()).step_by(10).chain([bytes.len() - 1]) {
                assert_eq!(look(&bytes[..length]), Err(Fault::CutOff(kind)), "{length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn a_frame_without_a_picture_is_damaged() {
        let no_scan = [&FRAME[..18], b"\xFF\xD9"].concat();
        let no_frame = [&FRAME[..8], &FRAME[18..]].concat();
        let no_height = [&FRAME[..13], &[0, 0], &FRAME[15..]].concat();
        for bytes in [no_scan, no_frame, no_height, b"\xFF\xD8\xFF\xE0\x00\x01abc".to_vec()] {
            assert_eq!(look(&bytes), Err(Fault::Damaged(Kind::Jpg)), "{bytes:02X?}");
        }
        let png = sample::png(4, 4);
        let no_data = [&png[..33], &png[png.len() - 12..]].concat();
        let no_header = [&png[..8], &png[33..]].concat();
        for bytes in [no_data, no_header, sample::bomb(0, 4), [PNG, &[0; 64]].concat()] {
            assert_eq!(look(&bytes), Err(Fault::Damaged(Kind::Png)), "{bytes:02X?}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert_eq!(look(&vec![0xFF; BYTES_MAX + 1]), Err(Fault::TooLarge(BYTES_MAX + 1)));
        let fault = Fault::TooManyPixels { width: 12_000, height: 12_000 };
        assert_eq!(look(&sample::bomb(12_000, 12_000)), Err(fault));
        assert_eq!(fault.to_string(), "has 12000 x 12000 pixels, and at most 40000000 are sent");
        let fault = Fault::TooManyPixels { width: u32::MAX, height: u32::MAX };
        assert_eq!(look(&sample::bomb(u32::MAX, u32::MAX)), Err(fault));
    }

    #[test]
    fn what_else_it_is_is_said() {
        for (bytes, other) in [
            (b"GIF89a\x01\0".as_slice(), Other::Gif),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0", Other::Bmp),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Other::WebP),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Other::Heic),
            (b"\0\0\0\x1Cftypavif\0\0\0\0", Other::Avif),
            (b"II*\0\x08\0\0\0", Other::Tiff),
            (b"MM\0*\0\0\0\x08", Other::Tiff),
            (b"\0\0\0\x0CjP  \r\n\x87\n", Other::Jpeg2000),
            (b"%PDF-1.4\n%\xE2\xE3", Other::Pdf),
            (b"PK\x03\x04\x14\0", Other::Zip),
            (b"\x15\x1C\x2F\0\x02\0", Other::OleObject),
            (b"\xEF\xBB\xBF\r\n<!DOCTYPE HTML><title>404</title>", Other::WebPage),
            (b"<?xml version=\"1.0\"?><svg/>", Other::Svg),
            (b"\\\\server\\photos\\12345.jpg", Other::Text),
            (b"BMW 320, parked", Other::Text),
            (&"\u{e9}".repeat(1000).as_bytes()[..1999], Other::Text),
            ([b"x".as_slice(), "\u{e9}".repeat(1000).as_bytes()].concat().as_slice(), Other::Text),
        ] {
            assert_eq!(look(bytes), Err(Fault::Other(other)), "{other}");
        }
        for bytes in [b"\0\0\0\0".as_slice(), b"\x89", b"\xFE\xED", b"ftyp\0"] {
            let fault = look(bytes).unwrap_err();
            assert!(matches!(fault, Fault::Unknown | Fault::CutOff(Kind::Png)), "{bytes:02X?}: {fault}");
        }
        assert_eq!(Fault::Other(Other::Heic).to_string(), "is a HEIC picture, and Infiniti takes jpg and png");
    }
}
