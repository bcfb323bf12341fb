//! Photos: drawn faces of people who do not exist, and what else stands in a column for photos.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _, ImageResult};
use rusqlite::{Transaction, params};

use super::mess::{Finding, left_out, rejected, sent};
use super::{Person, School, padded};
use crate::cli::random::Random;

pub(super) const SCHEMA: &str = "
CREATE TABLE photos (
    person_id CHAR(8) PRIMARY KEY,
    file_name VARCHAR(40) NOT NULL,
    photo     BLOB
);
";

/// One of every so many is a PNG.
const PNG_EVERY: usize = 25;
/// How many times as wide and high as the others a camera's original is: 720 x 900 pixels.
const ORIGINAL: usize = 6;

/// The photos of everybody who is at the school.
pub(super) struct Photos<'a> {
    photos: Vec<(&'a Person, Photo)>,
    pub(super) mess: Vec<Finding>,
}

/// What stands in the column for one person.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Photo {
    Jpg,
    Png,
    /// As the camera gave it.
    Original,
    /// What a web page shows for somebody without a photo, saved as one.
    Placeholder,
    /// Cut off when it was uploaded.
    CutOff,
    Missing,
}

impl<'a> Photos<'a> {
    /// Of a school whose mess is made.
    pub(super) fn new(school: &'a School) -> Self {
        let mut random = Random::seeded(3);
        let is_sound = |place: &usize| school.students[*place].is_current && school.is_sound(&school.students[*place]);
        let mut free = random.shuffled(school.students.len()).into_iter().filter(is_sound);
        let mess: Vec<(Photo, Vec<usize>)> =
            [(Photo::Original, 2), (Photo::Placeholder, 1), (Photo::CutOff, 1), (Photo::Missing, 4)]
                .map(|(photo, count)| (photo, free.by_ref().take(count).collect()))
                .into();
        let photo = |place: usize| match mess.iter().find(|(_, places)| places.contains(&place)) {
            Some((photo, _)) => *photo,
            None if place.is_multiple_of(PNG_EVERY) => Photo::Png,
            None => Photo::Jpg,
        };
        let students = school.students.iter().enumerate().map(|(place, student)| (student, photo(place)));
        let staff = school.staff.iter().map(|person| (person, Photo::Jpg));
        let count = |wanted: Photo| mess.iter().filter(|(photo, _)| *photo == wanted).map(|(_, of)| of.len()).sum();
        Self {
            photos: students.chain(staff).filter(|(person, _)| person.is_current).collect(),
            mess: vec![
                sent(count(Photo::Original), "photos larger than 200 x 200 pixels, which are made smaller"),
                left_out(count(Photo::Missing), "students without a photo"),
                rejected(count(Photo::Placeholder), "photo that is a GIF, whatever its name says"),
                rejected(count(Photo::CutOff), "photo that is cut off"),
            ],
        }
    }

    /// How many photos there are, be they what they should be or not.
    pub(super) fn len(&self) -> usize {
        self.photos.iter().filter(|(_, photo)| *photo != Photo::Missing).count()
    }

    /// Draws and writes them.
    pub(super) fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut random = Random::seeded(4);
        let mut insert = transaction.prepare("INSERT INTO photos VALUES (?, ?, ?)")?;
        for (person, photo) in &self.photos {
            let face = Face::new(&mut random);
            let bytes = match photo {
                Photo::Missing => None,
                Photo::Placeholder => Some(GIF.to_vec()),
                Photo::Jpg => Some(jpg(&face, 1)?),
                Photo::Original => Some(jpg(&face, ORIGINAL)?),
                Photo::Png => Some(png(&face)?),
                Photo::CutOff => Some(jpg(&face, 1)?).map(|mut bytes| {
                    bytes.truncate(bytes.len() * 2 / 3);
                    bytes
                }),
            };
            let ending = if *photo == Photo::Png { "png" } else { "jpg" };
            insert.execute(params![padded(&person.id, 8), format!("{}.{ending}", person.id), bytes])?;
        }
        Ok(())
    }
}

/// Another photo of that student.
pub(super) fn take_again(transaction: &Transaction<'_>, network_login: &str) -> rusqlite::Result<usize> {
    let bytes = jpg(&Face::new(&mut Random::seeded(5)), 1)?;
    transaction.execute(
        "UPDATE photos SET photo = ? WHERE person_id = (SELECT student_id FROM students WHERE network_login = ?)",
        params![bytes, network_login],
    )
}

/// One pixel that is not seen.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xF9\x04\x01\0\0\0\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3B";

fn jpg(face: &Face, scale: usize) -> rusqlite::Result<Vec<u8>> {
    encoded(&face.draw(scale), |canvas, out| {
        let encoder = JpegEncoder::new_with_quality(out, 88);
        encoder.write_image(&canvas.pixels, size(canvas.width()), size(canvas.height()), ExtendedColorType::Rgb8)
    })
}

fn png(face: &Face) -> rusqlite::Result<Vec<u8>> {
    encoded(&face.draw(1), |canvas, out| {
        let encoder = PngEncoder::new(out);
        encoder.write_image(&canvas.pixels, size(canvas.width()), size(canvas.height()), ExtendedColorType::Rgb8)
    })
}

fn encoded(
    canvas: &Canvas,
    encode: impl FnOnce(&Canvas, &mut Vec<u8>) -> ImageResult<()>,
) -> rusqlite::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode(canvas, &mut bytes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(bytes)
}

/// A width or a height as encoders want it; ours are small.
fn size(pixels: usize) -> u32 {
    u32::try_from(pixels).unwrap_or(u32::MAX)
}

type Color = [u8; 3];

const SKINS: [Color; 7] =
    [[255, 224, 196], [246, 208, 172], [232, 184, 142], [208, 156, 112], [176, 122, 82], [134, 88, 58], [98, 64, 44]];
const HAIRS: [Color; 7] =
    [[30, 24, 22], [58, 40, 30], [92, 62, 40], [140, 98, 56], [206, 164, 92], [168, 82, 44], [72, 58, 60]];
/// The school's polo shirts, one a house.
const SHIRTS: [Color; 4] = [[158, 42, 50], [30, 84, 140], [38, 112, 78], [218, 168, 40]];
/// The photographer's backdrops, their lighter upper end.
const BACKDROPS: [Color; 5] = [[206, 222, 236], [222, 216, 232], [214, 230, 216], [238, 224, 204], [216, 220, 224]];

/// Somebody's face.
struct Face {
    skin: Color,
    hair: Color,
    shirt: Color,
    backdrop: Color,
    has_long_hair: bool,
    has_glasses: bool,
    /// How far the smile goes, in hundredths of the picture's width.
    smile: usize,
    /// How far the face is moved to the right.
    sway: usize,
}

impl Face {
    fn new(random: &mut Random) -> Self {
        let skin = random.below(SKINS.len());
        // No two people are of one colour, so that no two have one picture.
        let mut own =
            |color: Color| color.map(|part| part.saturating_sub(random.below(10).try_into().unwrap_or_default()));
        let skin_color = own(SKINS[skin]);
        let hairs = HAIRS.map(&mut own);
        Self {
            skin: skin_color,
            // Fair and red hair go with fair skin.
            hair: hairs[random.below(if skin < 3 { HAIRS.len() } else { 3 })],
            shirt: *random.pick(&SHIRTS),
            backdrop: *random.pick(&BACKDROPS),
            has_long_hair: random.below(2) == 0,
            has_glasses: random.below(5) == 0,
            smile: 6 + random.below(6),
            sway: random.below(7),
        }
    }

    /// Draws it, 120 x 150 pixels times `scale`.
    fn draw(&self, scale: usize) -> Canvas {
        let Self { skin, hair, shirt, .. } = *self;
        let shade = darker(skin, 40);
        let mut canvas = Canvas::new(self.backdrop, scale);
        let x = 57 + self.sway;
        if self.has_long_hair {
            canvas.ellipse((x, 76), (35, 50), hair);
        }
        canvas.ellipse((60, 152), (50, 40), shirt);
        canvas.ellipse((x, 112), (15, 12), darker(shirt, 50));
        canvas.ellipse((x, 106), (11, 16), shade);
        canvas.ellipse((x, 58), (32, 36), hair);
        for ear in [x - 28, x + 28] {
            canvas.ellipse((ear, 70), (5, 8), shade);
        }
        canvas.ellipse((x, 70), (28, 35), skin);
        canvas.ellipse((x - 8, 40), (22, 12), hair);
        canvas.ellipse((x + 16, 42), (12, 9), hair);
        for eye in [x - 11, x + 11] {
            if self.has_glasses {
                canvas.ellipse((eye, 69), (10, 9), [40, 40, 48]);
                canvas.ellipse((eye, 69), (8, 7), lighter(skin, 60));
            }
            canvas.ellipse((eye, 60), (6, 1), hair);
            canvas.ellipse((eye, 69), (5, 4), [250, 250, 250]);
            canvas.ellipse((eye, 69), (2, 3), [44, 32, 28]);
        }
        canvas.ellipse((x, 79), (3, 4), shade);
        canvas.ellipse((x, 90), (self.smile, 5), [176, 72, 76]);
        canvas.ellipse((x, 87), (self.smile + 1, 4), skin);
        canvas
    }
}

fn darker(color: Color, by: u8) -> Color {
    color.map(|part| part.saturating_sub(by))
}

fn lighter(color: Color, by: u8) -> Color {
    color.map(|part| part.saturating_add(by))
}

/// A picture in the making. Everything is drawn in its own units, of which it is 120 wide and 150 high.
struct Canvas {
    pixels: Vec<u8>,
    scale: usize,
}

impl Canvas {
    const WIDTH: usize = 120;
    const HEIGHT: usize = 150;

    /// A backdrop that grows darker towards its lower end.
    fn new(color: Color, scale: usize) -> Self {
        let width = Self::WIDTH * scale;
        let rows = (0..Self::HEIGHT * scale).map(|row| {
            darker(color, u8::try_from(row * 70 / (Self::HEIGHT * scale)).unwrap_or_default()).repeat(width)
        });
        Self { pixels: rows.flatten().collect(), scale }
    }

    fn width(&self) -> usize {
        Self::WIDTH * self.scale
    }

    fn height(&self) -> usize {
        Self::HEIGHT * self.scale
    }

    /// An ellipse by its centre and its half width and height; what is outside the picture is not drawn.
    fn ellipse(&mut self, (x, y): (usize, usize), (across, down): (usize, usize), color: Color) {
        let [x, y, across, down] = [x, y, across, down].map(|length| length * self.scale);
        let width = self.width();
        for row in y.saturating_sub(down)..(y + down).min(self.height()) {
            let away = row.abs_diff(y);
            let half = across * (down * down - away * away).isqrt() / down;
            let (start, end) = (x.saturating_sub(half), (x + half).min(width));
            if start < end {
                let bytes = 3 * (row * width + start)..3 * (row * width + end);
                self.pixels[bytes].copy_from_slice(&color.repeat(end - start));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infiniti::image::{Fault, Kind, Other, look};

    #[test]
    fn photos_are_small_and_are_what_they_are() {
        let mut random = Random::new();
        for _ in 0..10 {
            let face = Face::new(&mut random);
            let (jpg_bytes, png_bytes) = (jpg(&face, 1).unwrap(), png(&face).unwrap());
            assert_eq!(look(&jpg_bytes).unwrap().kind, Kind::Jpg);
            assert_eq!(look(&png_bytes).unwrap().kind, Kind::Png);
            for bytes in [&jpg_bytes, &png_bytes] {
                assert!((1_500..6_000).contains(&bytes.len()), "{} bytes", bytes.len());
            }
            let mut cut = jpg_bytes;
            cut.truncate(cut.len() * 2 / 3);
            assert_eq!(look(&cut), Err(Fault::CutOff(Kind::Jpg)));
        }
        assert_eq!(look(GIF), Err(Fault::Other(Other::Gif)));
    }
}
