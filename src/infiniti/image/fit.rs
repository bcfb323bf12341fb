//! Makes a picture as small as Infiniti recommends.

use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use ::image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageEncoder, ImageError, ImageResult, Limits, imageops};

use super::content::{Size, measure};
use super::{Fault, Kind};

/// The most pixels a side (Infiniti's help pages, "autoSync patron images").
pub const SIDE_MAX: u32 = 200;
/// The most bytes of a picture that was made small.
pub const FITTED_BYTES_MAX: usize = 160 * 1024;

/// The most memory that a decoder may take, in bytes: [`super::PIXELS_MAX`] of four bytes.
const DECODER_BYTES_MAX: u64 = 160_000_000;
/// A longer colour profile is left away.
const PROFILE_BYTES_MAX: usize = 16 * 1024;
/// A larger picture is first averaged down to this, which nobody sees afterwards: a camera's original would take the good
/// filter ten times as long.
const ROUGH_SIDE: u32 = 4 * SIDE_MAX;
/// How good a JPEG is, tried one after the other.
const QUALITIES: [u8; 6] = [90, 80, 70, 50, 30, 10];

/// The picture within [`SIDE_MAX`] pixels a side and [`FITTED_BYTES_MAX`]. One that is so already stays as it is, byte for
/// byte. Any other keeps its proportions and its kind, is turned as its EXIF data say, and loses those with all other
/// metadata but its colour profile: where it was taken (GPS), by whom, and the camera's small copy of it.
///
/// # Errors
/// As [`super::look`], and [`Fault::Damaged`] where it cannot be decoded.
pub fn fit(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let (kind, Size { width, height }) = measure(bytes)?;
    if width <= SIDE_MAX && height <= SIDE_MAX && bytes.len() <= FITTED_BYTES_MAX {
        return Ok(Cow::Borrowed(bytes));
    }
    // A decoder that panics at one patron's picture must not end the push of a school.
    let small = catch_unwind(AssertUnwindSafe(|| shrink(bytes, kind)));
    match small {
        Ok(Ok(Some(small))) => Ok(Cow::Owned(small)),
        // Colours of 16 bits take twice the memory.
        Ok(Err(ImageError::Limits(_))) => Err(Fault::TooManyPixels { width, height }),
        Ok(Ok(None) | Err(_)) | Err(_) => Err(Fault::Damaged(kind)),
    }
}

/// `None` if no quality is small enough, which noise of 200 x 200 pixels is.
fn shrink(bytes: &[u8], kind: Kind) -> ImageResult<Option<Vec<u8>>> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    let (picture, profile) = match kind {
        Kind::Jpg => decode(JpegDecoder::new(Cursor::new(bytes))?, limits)?,
        Kind::Png => decode(PngDecoder::with_limits(Cursor::new(bytes), limits.clone())?, limits)?,
    };
    match kind {
        Kind::Jpg => {
            for quality in QUALITIES {
                let mut out = Vec::new();
                let encoder = JpegEncoder::new_with_quality(&mut out, quality);
                encode(&picture, profile.as_deref(), encoder)?;
                if out.len() <= FITTED_BYTES_MAX {
                    return Ok(Some(out));
                }
            }
        }
        Kind::Png => {
            // Pixels of at most four bytes, so that 200 x 200 are 160,000, be they noise.
            let mut out = Vec::new();
            let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Best, FilterType::Adaptive);
            encode(&picture, profile.as_deref(), encoder)?;
            if out.len() <= FITTED_BYTES_MAX {
                return Ok(Some(out));
            }
        }
    }
    Ok(None)
}

/// The picture in its right size and turned, with eight bits a colour, and its colour profile.
fn decode(mut decoder: impl ImageDecoder, mut limits: Limits) -> ImageResult<(DynamicImage, Option<Vec<u8>>)> {
    decoder.set_limits(limits.clone())?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if picture.width().max(picture.height()) > ROUGH_SIDE {
        picture = picture.thumbnail(ROUGH_SIDE, ROUGH_SIDE);
    }
    if picture.width() > SIDE_MAX || picture.height() > SIDE_MAX {
        picture = picture.resize(SIDE_MAX, SIDE_MAX, imageops::FilterType::Lanczos3);
    }
    picture.apply_orientation(orientation);
    let color = picture.color();
    let picture = match (color.has_color(), color.has_alpha()) {
        (true, true) => DynamicImage::ImageRgba8(picture.into_rgba8()),
        (true, false) => DynamicImage::ImageRgb8(picture.into_rgb8()),
        (false, true) => DynamicImage::ImageLumaA8(picture.into_luma_alpha8()),
        (false, false) => DynamicImage::ImageLuma8(picture.into_luma8()),
    };
    // Of the colours that are left, since a decoder turns those of print (CMYK) into those of a screen.
    let colors: &[u8] = if color.has_color() { b"RGB " } else { b"GRAY" };
    let fits = |profile: &Vec<u8>| profile.len() <= PROFILE_BYTES_MAX && profile.get(16..20) == Some(colors);
    Ok((picture, profile.filter(fits)))
}

fn encode(picture: &DynamicImage, profile: Option<&[u8]>, mut encoder: impl ImageEncoder) -> ImageResult<()> {
    if let Some(profile) = profile {
        // Both kinds can hold one.
        let _unsupported = encoder.set_icc_profile(profile.to_vec());
    }
    picture.write_with_encoder(encoder)
}

#[cfg(test)]
mod tests {
    use ::image::Rgb;

    use super::super::sample;
    use super::*;

    fn open(bytes: &[u8]) -> DynamicImage {
        let format = match measure(bytes).unwrap().0 {
            Kind::Jpg => ::image::ImageFormat::Jpeg,
            Kind::Png => ::image::ImageFormat::Png,
        };
        ::image::load_from_memory_with_format(bytes, format).unwrap()
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        for bytes in [sample::jpg(200, 200), sample::png(200, 1), sample::jpg_with(20, 30, sample::exif(6))] {
            let fitted = fit(&bytes).unwrap();
            assert!(matches!(&fitted, Cow::Borrowed(same) if *same == bytes));
        }
    }

    #[test]
    fn what_is_large_keeps_its_proportions_and_its_kind() {
        for (width, height, expected) in [
            (201, 200, (200, 199)),
            (1000, 1300, (154, 200)),
            (1300, 1000, (200, 154)),
            (400, 400, (200, 200)),
            (3000, 2, (200, 1)),
            (199, 201, (198, 200)),
        ] {
            for (kind, bytes) in [(Kind::Jpg, sample::jpg(width, height)), (Kind::Png, sample::png(width, height))] {
                let fitted = fit(&bytes).unwrap();
                let (fitted_kind, size) = measure(&fitted).unwrap();
                assert_eq!((fitted_kind, size.width, size.height), (kind, expected.0, expected.1));
                assert!(fitted.len() <= FITTED_BYTES_MAX);
                // The same again, and nothing left to be done.
                assert_eq!(fit(&bytes).unwrap(), fitted);
                assert!(matches!(fit(&fitted).unwrap(), Cow::Borrowed(_)));
            }
        }
    }

    /// The sample's left upper quarter is red, the other ones are green.
    #[test]
    fn a_picture_is_turned_as_its_camera_was() {
        let corners = |picture: &DynamicImage| {
            let picture = picture.to_rgb8();
            let (right, bottom) = (picture.width() - 20, picture.height() - 20);
            let is_red = |x, y| matches!(picture.get_pixel(x, y), Rgb([red, green, _]) if red > green);
            [is_red(20, 20), is_red(right, 20), is_red(right, bottom), is_red(20, bottom)]
        };
        for (orientation, corner, is_upright) in [
            (1, 0, false),
            (2, 1, false),
            (3, 2, false),
            (4, 3, false),
            (5, 0, true),
            (6, 1, true),
            (7, 2, true),
            (8, 3, true),
            (77, 0, false),
        ] {
            let bytes = sample::jpg_with(400, 300, sample::exif(orientation));
            let fitted = fit(&bytes).unwrap();
            let picture = open(&fitted);
            let size = if is_upright { (150, 200) } else { (200, 150) };
            assert_eq!((picture.width(), picture.height()), size, "orientation {orientation}");
            let mut expected = [false; 4];
            expected[corner] = true;
            assert_eq!(corners(&picture), expected, "orientation {orientation}");
        }
    }

    #[test]
    fn metadata_are_gone_and_colours_stay() {
        let mut profile = vec![7; 600];
        profile[16..20].copy_from_slice(b"RGB ");
        let exif = [sample::exif(1).as_slice(), b"canary: latitude"].concat();
        let contains = |bytes: &[u8], text: &[u8]| memchr::memmem::find(bytes, text).is_some();
        let picture = sample::picture(400, 300);
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.set_icc_profile(profile.clone()).unwrap();
        picture.write_with_encoder(encoder).unwrap();
        assert!(contains(&bytes, b"canary") && contains(&bytes, &profile));
        let fitted = fit(&bytes).unwrap();
        assert!(!contains(&fitted, b"canary"));
        assert!(contains(&fitted, &profile));
        // One of print, or a long one, is no use.
        for profile in [b"CMYK".as_slice(), &[b"RGB ".as_slice(), &[7; PROFILE_BYTES_MAX]].concat()] {
            let profile = [&[7; 16], profile].concat();
            let mut bytes = Vec::new();
            let mut encoder = JpegEncoder::new(&mut bytes);
            encoder.set_icc_profile(profile.clone()).unwrap();
            picture.write_with_encoder(encoder).unwrap();
            assert!(!contains(&fit(&bytes).unwrap(), &[7; 16]));
        }
    }

    #[test]
    fn noise_fits_too() {
        let rgba = DynamicImage::ImageRgba8(sample::noise(200, 200));
        let large = DynamicImage::ImageRgba8(sample::noise(900, 900));
        for picture in [&rgba, &large] {
            let mut png = Vec::new();
            let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Uncompressed, FilterType::NoFilter);
            picture.write_with_encoder(encoder).unwrap();
            // Past the bound, with a chunk of text.
            let text = [b"\x00\x03\x00\x00tEXt".as_slice(), &vec![b'x'; 0x30000], &[0; 4]].concat();
            png.splice(33..33, text);
            let fitted = fit(&png).unwrap();
            assert!((100_000..=FITTED_BYTES_MAX).contains(&fitted.len()), "{} bytes", fitted.len());
            assert_eq!(open(&fitted).width(), 200);
            let mut jpg = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut jpg, 100);
            DynamicImage::ImageRgb8(picture.to_rgb8()).write_with_encoder(encoder).unwrap();
            jpg.extend(vec![0; FITTED_BYTES_MAX]);
            assert!(fit(&jpg).unwrap().len() <= FITTED_BYTES_MAX);
        }
        // As it was, to the pixel: nothing was resized.
        let mut png = Vec::new();
        rgba.write_with_encoder(PngEncoder::new(&mut png)).unwrap();
        png.extend(vec![0; FITTED_BYTES_MAX]);
        assert_eq!(open(&fit(&png).unwrap()).into_rgba8(), rgba.into_rgba8());
    }

    #[test]
    fn every_depth_of_colour_is_taken() {
        let picture = sample::picture(300, 300);
        for (picture, color) in [
            (DynamicImage::ImageLuma8(picture.to_luma8()), ::image::ColorType::L8),
            (DynamicImage::ImageLumaA8(picture.to_luma_alpha8()), ::image::ColorType::La8),
            (DynamicImage::ImageLuma16(picture.to_luma16()), ::image::ColorType::L8),
            (DynamicImage::ImageRgb16(picture.to_rgb16()), ::image::ColorType::Rgb8),
            (DynamicImage::ImageRgba16(picture.to_rgba16()), ::image::ColorType::Rgba8),
        ] {
            let mut png = Vec::new();
            picture.write_with_encoder(PngEncoder::new(&mut png)).unwrap();
            assert_eq!(open(&fit(&png).unwrap()).color(), color);
        }
        let mut jpg = Vec::new();
        DynamicImage::ImageLuma8(picture.to_luma8()).write_with_encoder(JpegEncoder::new(&mut jpg)).unwrap();
        assert_eq!(open(&fit(&jpg).unwrap()).color(), ::image::ColorType::L8);
    }

    #[test]
    fn hostile_pictures_are_faults() {
        let size = |width, height| Fault::TooManyPixels { width, height };
        assert_eq!(fit(&sample::bomb(12_000, 12_000)), Err(size(12_000, 12_000)));
        // Four colours of 16 bits, so more memory than a decoder may have.
        assert_eq!(fit(&sample::bomb(6_000, 6_000)), Err(size(6_000, 6_000)));
        assert_eq!(fit(&sample::bomb(600, 600)), Err(Fault::Damaged(Kind::Png)));
        // Each tenth byte of each another one: an answer, and no panic that gets out.
        for bytes in [sample::jpg(210, 30), sample::png(210, 30)] {
            for at in (0..bytes.len()).step_by(10) {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x55;
                if let Ok(fitted) = fit(&bytes) {
                    assert!(fitted.len() <= FITTED_BYTES_MAX, "byte {at}");
                }
            }
        }
    }
}
