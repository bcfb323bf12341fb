//! The zip in which pictures go: stored, without folders, the same bytes for the same pictures.

use std::io::{self, Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::Kind;

/// The longest ID that names a file, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The most pictures of a zip: above it has another form, which not every program reads.
pub const ENTRIES_MAX: usize = 65_535;
/// What a zip has beside its entries, in bytes (APPNOTE.TXT 4.3.16).
pub const END_BYTES: usize = 22;

/// What a picture takes of a zip, in bytes: its header, its content, and its line of the directory (APPNOTE.TXT 4.3.7 and
/// 4.3.12). `id_bytes` is the length of the Admin System ID, without the end of the file's name.
pub const fn entry_bytes(id_bytes: usize, content_bytes: usize) -> usize {
    30 + 46 + 2 * (id_bytes + ".jpg".len()) + content_bytes
}

/// A zip in the making.
#[derive(Debug)]
pub struct Zip {
    writer: ZipWriter<Cursor<Vec<u8>>>,
    entries: usize,
}

impl Zip {
    /// One that will have so many bytes: [`END_BYTES`] and the sum of [`entry_bytes`]. It is never moved if that is right, so
    /// that memory never holds it twice.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { writer: ZipWriter::new(Cursor::new(Vec::with_capacity(bytes))), entries: 0 }
    }

    /// Adds a picture. The ID must be [one that can name a file](check_file_name).
    ///
    /// # Errors
    /// When the name is there already, or the zip has [`ENTRIES_MAX`] pictures.
    pub fn add(&mut self, adminsystemid: &str, kind: Kind, content: &[u8]) -> io::Result<()> {
        if self.entries == ENTRIES_MAX {
            return Err(io::Error::other("the zip is full"));
        }
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644)
            // Else Windows writes another byte.
            .system(System::Unix);
        let name = format!("{adminsystemid}.{}", kind.extension());
        self.writer.start_file(name, options).map_err(io::Error::other)?;
        self.writer.write_all(content)?;
        self.entries += 1;
        Ok(())
    }

    /// How many pictures it has.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The whole zip.
    ///
    /// # Errors
    /// None that memory gives.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        Ok(self.writer.finish().map_err(io::Error::other)?.into_inner())
    }
}

/// Why an Admin System ID cannot be a file's name. In words it goes on after the header: "`adminsystemid` holds `/` …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing at all.
    #[error("is blank, and names the picture's file")]
    Blank,
    /// A character that file systems do not allow, or read as a folder.
    #[error("holds `{0}`, and no file's name may")]
    Character(char),
    /// A character that is not seen.
    #[error("holds a control character, and no file's name may")]
    Control,
    /// A dot or a space at an end: Windows takes it away there, and a name becomes another's.
    #[error("starts or ends with a dot or a space, and no file's name may")]
    Edge,
    /// Windows takes it for a device.
    #[error("is a name that Windows keeps for itself")]
    Device,
    /// More than [`NAME_BYTES_MAX`].
    #[error("is longer than a file's name may be ({NAME_BYTES_MAX} bytes)")]
    TooLong,
}

/// Whether an Admin System ID can be a file's name in a zip, on every system that may unpack it, so that no ID reaches a
/// folder or another patron's file.
///
/// # Errors
/// The first thing that is against it.
pub fn check_file_name(adminsystemid: &str) -> Result<(), NameFault> {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    if adminsystemid.is_empty() {
        return Err(NameFault::Blank);
    }
    if adminsystemid.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong);
    }
    for c in adminsystemid.chars() {
        match c {
            '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => return Err(NameFault::Character(c)),
            // Those that turn the direction of writing make a name look like another one.
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => {
                return Err(NameFault::Control);
            }
            c if c.is_control() => return Err(NameFault::Control),
            _ => {}
        }
    }
    let is_edge = |c: char| c == '.' || c.is_whitespace();
    if adminsystemid.starts_with(is_edge) || adminsystemid.ends_with(is_edge) {
        return Err(NameFault::Edge);
    }
    // Whatever comes after the first dot.
    let stem = adminsystemid.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_port =
        port.is_some_and(|port| port.chars().count() == 1 && port.starts_with(|c: char| "123456789¹²³".contains(c)));
    if DEVICES.contains(&stem.as_str()) || is_port { Err(NameFault::Device) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn predicted(entries: &[(&str, Kind, &[u8])]) -> usize {
        END_BYTES + entries.iter().map(|(id, _, content)| entry_bytes(id.len(), content.len())).sum::<usize>()
    }

    fn zipped(entries: &[(&str, Kind, &[u8])]) -> Vec<u8> {
        let mut zip = Zip::with_capacity(predicted(entries));
        for (id, kind, content) in entries {
            zip.add(id, *kind, content).unwrap();
        }
        assert_eq!((zip.len(), zip.is_empty()), (entries.len(), entries.is_empty()));
        zip.finish().unwrap()
    }

    #[test]
    fn a_zip_holds_what_was_added_in_its_order() {
        let entries: &[(&str, Kind, &[u8])] = &[
            ("00012345", Kind::Jpg, b"one"),
            ("\u{e9}\u{1f600} 7", Kind::Png, b""),
            ("1.2", Kind::Jpg, &vec![0; 70_000]),
        ];
        let bytes = zipped(entries);
        assert_eq!(bytes, zipped(entries));
        let mut zip = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        assert_eq!(zip.len(), 3);
        for (index, (id, kind, content)) in entries.iter().enumerate() {
            let mut file = zip.by_index(index).unwrap();
            assert_eq!(file.name().unwrap(), format!("{id}.{}", kind.extension()));
            assert_eq!(file.compression(), CompressionMethod::Stored);
            assert_eq!((file.unix_mode(), file.last_modified()), (Some(0o100_644), Some(DateTime::DEFAULT)));
            let mut read = Vec::new();
            io::copy(&mut file, &mut read).unwrap();
            assert_eq!(read, *content);
        }
    }

    /// Regression of whoever changes the library, or the options: equal pictures make equal zips, night after night and on
    /// every system.
    #[test]
    fn a_zip_stays_what_it_was() {
        insta::assert_snapshot!(zipped(&[("7", Kind::Jpg, b"x")]).escape_ascii(), @r"PK\x03\x04\n\x00\x00\x00\x00\x00\x00\x00!\x00\x83\x16\xdc\x8c\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x007.jpgxPK\x01\x02\n\x03\n\x00\x00\x00\x00\x00\x00\x00!\x00\x83\x16\xdc\x8c\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa4\x81\x00\x00\x00\x007.jpgPK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x003\x00\x00\x00$\x00\x00\x00\x00\x00");
    }

    proptest! {
        #[test]
        fn a_zip_is_as_long_as_predicted(
            entries in prop::collection::btree_map("\\PC{1,40}", prop::collection::vec(any::<u8>(), 0..300), 0..20)
        ) {
            let entries: Vec<(&str, Kind, &[u8])> =
                entries.iter().map(|(id, content)| (id.as_str(), Kind::Jpg, content.as_slice())).collect();
            let bytes = zipped(&entries);
            prop_assert_eq!(bytes.len(), predicted(&entries));
            // It never grew.
            prop_assert_eq!(bytes.capacity(), predicted(&entries));
        }
    }

    #[test]
    fn a_zip_that_is_full_is_as_long_as_predicted() {
        let ids: Vec<String> = (0..ENTRIES_MAX).map(|number| number.to_string()).collect();
        let entries: Vec<(&str, Kind, &[u8])> =
            ids.iter().map(|id| (id.as_str(), Kind::Png, b"x".as_slice())).collect();
        assert_eq!(zipped(&entries).len(), predicted(&entries));
        let mut zip = Zip::with_capacity(predicted(&entries));
        for (id, kind, content) in &entries {
            zip.add(id, *kind, content).unwrap();
        }
        assert!(zip.add("one more", Kind::Png, b"x").is_err());
    }

    #[test]
    fn a_name_is_there_once() {
        let mut zip = Zip::with_capacity(0);
        zip.add("7", Kind::Jpg, b"x").unwrap();
        assert!(zip.add("7", Kind::Jpg, b"y").is_err());
    }

    #[test]
    fn ids_that_name_no_file() {
        let long = "7".repeat(NAME_BYTES_MAX + 1);
        for (id, fault) in [
            ("", NameFault::Blank),
            (".", NameFault::Edge),
            ("..", NameFault::Edge),
            (".7", NameFault::Edge),
            ("7.", NameFault::Edge),
            (" 7", NameFault::Edge),
            ("7\u{a0}", NameFault::Edge),
            ("../7", NameFault::Character('/')),
            ("..\\7", NameFault::Character('\\')),
            ("C:7", NameFault::Character(':')),
            ("7*", NameFault::Character('*')),
            ("7?", NameFault::Character('?')),
            ("\"7\"", NameFault::Character('"')),
            ("<7>", NameFault::Character('<')),
            ("7>", NameFault::Character('>')),
            ("7|8", NameFault::Character('|')),
            ("7\0", NameFault::Control),
            ("7\n8", NameFault::Control),
            ("7\u{7f}", NameFault::Control),
            ("7\u{85}", NameFault::Control),
            ("7\u{202e}gpj", NameFault::Control),
            ("con", NameFault::Device),
            ("NUL.7", NameFault::Device),
            ("com1", NameFault::Device),
            ("LPT\u{b9}", NameFault::Device),
            (&long, NameFault::TooLong),
        ] {
            assert_eq!(check_file_name(id), Err(fault), "{id:?}");
        }
        for id in ["00012345", "7", "a.b", "a b", "\u{e9}", "con7", "com", "com10", "nula", "-", "~", "#7", &long[1..]]
        {
            assert_eq!(check_file_name(id), Ok(()), "{id:?}");
        }
    }
}
