//! Pictures of patrons: what they are by their content, how they are made small, and the zip in which they go. No I/O and
//! no clock; equal input gives equal bytes.
//!
//! What Infiniti takes (its help pages, "autoSync patron images"): jpg or png, named by the patron's Admin System ID, 200
//! pixels wide and high recommended, in a zip without folders.

mod archive;
mod content;
mod digits;
mod fit;

pub use archive::{END_BYTES, ENTRIES_MAX, NAME_BYTES_MAX, NameFault, Zip, check_file_name, entry_bytes};
pub use content::{BYTES_MAX, Description, Fault, Kind, NotADescription, Other, PIXELS_MAX, look};
pub use digits::from_hex;
pub use fit::{FITTED_BYTES_MAX, SIDE_MAX, fit};

/// Pictures for tests.
#[cfg(test)]
mod sample {
    use ::image::codecs::jpeg::JpegEncoder;
    use ::image::codecs::png::PngEncoder;
    use ::image::{DynamicImage, ImageEncoder as _, Rgb, RgbImage, Rgba, RgbaImage};

    /// Its left upper quarter is red, the other ones are green, all with some shades.
    pub(super) fn picture(width: u32, height: u32) -> DynamicImage {
        let pixel = |x, y| {
            let shade = u8::try_from((x + y) % 50).unwrap_or_default();
            if x < width / 2 && y < height / 2 { Rgb([250, shade, shade]) } else { Rgb([shade, 200, shade]) }
        };
        DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel))
    }

    /// What no encoder makes smaller.
    pub(super) fn noise(width: u32, height: u32) -> RgbaImage {
        let mut state = 1_u32;
        RgbaImage::from_fn(width, height, |_, _| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            Rgba(state.to_le_bytes())
        })
    }

    pub(super) fn jpg(width: u32, height: u32) -> Vec<u8> {
        jpg_with(width, height, Vec::new())
    }

    pub(super) fn jpg_with(width: u32, height: u32, exif: Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 85);
        if !exif.is_empty() {
            encoder.set_exif_metadata(exif).unwrap();
        }
        picture(width, height).write_with_encoder(encoder).unwrap();
        bytes
    }

    pub(super) fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture(width, height).write_with_encoder(PngEncoder::new(&mut bytes)).unwrap();
        bytes
    }

    /// EXIF data with nothing but how the camera was held.
    pub(super) fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        exif
    }

    /// A PNG that claims so many pixels, of four colours of 16 bits, and has none.
    pub(super) fn bomb(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1A\n".to_vec();
        let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
        // No data in a zlib stream.
        for (name, content) in [(b"IHDR", header.as_slice()), (b"IDAT", b"\x78\x9C\x03\0\0\0\0\x01"), (b"IEND", b"")] {
            bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            let chunk = [name, content].concat();
            bytes.extend(&chunk);
            bytes.extend(crc(&chunk).to_be_bytes());
        }
        bytes
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
        })
    }
}
