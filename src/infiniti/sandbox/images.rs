//! Patron images in the sandbox: one zip without folders, or one picture, each named by the `adminsystemid` of an account.
//!
//! The vendor's path is not known: here it is the sandbox's own, `/sandbox/images`.
//!
//! Chosen, the pessimistic way: a name is compared to the letter; a picture is what its content and the ending of its name
//! both say, jpg or png; a file in a folder fails; what is unpacked may not be larger than what is uploaded may be.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use zip::ZipArchive;

use super::feed::{Feed, Imported, Order, Outcome, Refused, Upload};
use super::store::{Record, Store, Values, private};
use super::table::shown;
use crate::infiniti::contract::{Contract, IMAGES};
use crate::infiniti::image::{BYTES_MAX, Description, Kind, look};

const CONTRACT: &Contract = &IMAGES;
/// What describes a picture in a record.
const IMAGE: &str = "image";
/// The largest upload, and the most that is unpacked of it, in bytes.
const UPLOAD_BYTES_MAX: usize = 100_000_000;

pub(super) static FEED: Feed = Feed {
    contract: CONTRACT,
    own_path: Some("/sandbox/images"),
    modes: &[],
    thing: "image",
    bytes_max: UPLOAD_BYTES_MAX,
    records_name: "images",
    records: |store| {
        let names = [CONTRACT.rule(CONTRACT.key()).name, IMAGE];
        Box::new(store.images.pictures.iter().map(move |(id, picture)| {
            Record(
                names
                    .into_iter()
                    .zip([Cow::Borrowed(id.as_str()), Cow::Owned(picture.description.to_string())])
                    .collect(),
            )
        }))
    },
    import,
};

/// The pictures by `adminsystemid`.
#[derive(Debug, Default)]
pub(super) struct Images {
    pictures: BTreeMap<String, Picture>,
    /// Their folder beside the store's file; in memory only if there is none.
    folder: Option<PathBuf>,
}

/// A picture. Its description stands for it everywhere.
#[derive(Debug)]
struct Picture {
    description: Description,
    /// What is not in the folder yet.
    content: Option<Bytes>,
}

/// A picture to show: its media type, and where its bytes are.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) media_type: &'static str,
    pub(super) place: Place,
}

/// Where a picture is.
#[derive(Debug)]
pub(super) enum Place {
    Memory(Bytes),
    File(PathBuf),
}

/// A picture's file, named by its content: one that changed is another file, and the old one stays as long as it is named.
fn file_name(description: &Description) -> String {
    format!("{:032x}.{}", u128::from_be_bytes(description.digest), description.kind.extension())
}

fn kind_of_ending(ending: &str) -> Option<Kind> {
    [Kind::Jpg, Kind::Png].into_iter().find(|kind| ending.eq_ignore_ascii_case(kind.extension()))
}

impl Images {
    /// No pictures; those to come are kept in a folder.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { pictures: BTreeMap::new(), folder: Some(folder) }
    }

    /// Takes what a file has.
    ///
    /// # Errors
    /// A picture that is not in the folder, or not whole.
    pub(super) fn insert(&mut self, values: &Values) -> io::Result<()> {
        let value = |name| values.get(name).map(String::as_str).unwrap_or_default();
        let id = value(CONTRACT.rule(CONTRACT.key()).name);
        let broken = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let description: Description =
            value(IMAGE).parse().map_err(|why| broken(format!("the image of `{id}` {why}")))?;
        if let Some(folder) = &self.folder {
            let path = folder.join(file_name(&description));
            if !is_whole(&path, &description) {
                return Err(broken(format!("the picture of `{id}` is missing: `{}`", path.display())));
            }
        }
        let picture = Picture { description, content: None };
        self.pictures.insert(id.to_owned(), picture);
        Ok(())
    }

    /// Writes what is not in the folder yet, before the store's file names it; tells whether there was any. Without a folder
    /// there is nothing to do.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let mut is_new = false;
        for picture in self.pictures.values_mut() {
            let Some(content) = &picture.content else { continue };
            let path = folder.join(file_name(&picture.description));
            if !is_whole(&path, &picture.description) {
                let mut builder = fs::DirBuilder::new();
                #[cfg(unix)]
                std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
                builder.recursive(true).create(folder)?;
                // Not each synced to the disk, which 5,000 of them would wait for: one that a power cut spoilt is missed when the
                // sandbox starts again.
                private(&path)?.write_all(content)?;
            }
            picture.content = None;
            is_new = true;
        }
        Ok(is_new)
    }

    /// Removes what the store's file does not name any more. Only files that are named as ours are.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let named: HashSet<String> = self.pictures.values().map(|picture| file_name(&picture.description)).collect();
        let files = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for file in files {
            let file = file?;
            let Some(name) = file.file_name().to_str().map(str::to_owned) else { continue };
            let is_ours = name.split_once('.').is_some_and(|(digest, ending)| {
                digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && kind_of_ending(ending).is_some()
            });
            if is_ours && !named.contains(&name) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.pictures.contains_key(id)
    }

    /// A picture to show.
    pub(super) fn show(&self, id: &str) -> Option<Shown> {
        let picture = self.pictures.get(id)?;
        let place = match (&picture.content, &self.folder) {
            (Some(content), _) => Place::Memory(content.clone()),
            (None, Some(folder)) => Place::File(folder.join(file_name(&picture.description))),
            (None, None) => return None,
        };
        let media_type = match picture.description.kind {
            Kind::Jpg => "image/jpeg",
            Kind::Png => "image/png",
        };
        Some(Shown { media_type, place })
    }
}

fn is_whole(path: &Path, description: &Description) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() == u64::from(description.bytes))
}

fn import(store: &mut Store, upload: &Upload, order: &Order<'_>) -> Result<Imported, Refused> {
    let ids = store.patrons.admin_system_ids();
    let mut imported = Imported::default();
    let mut new: BTreeMap<String, Picture> = BTreeMap::new();
    for (name, content) in unpacked(upload)? {
        let outcome = content.and_then(|content| picture(&name, content)).and_then(|(id, picture)| {
            order.admit(&id)?;
            if !ids.contains(id.as_str()) {
                return Err(format!("There is no user with the Admin System ID ({}).", shown(&id)));
            }
            if new.contains_key(&id) {
                return Err(format!("The Admin System ID ({}) stands twice in the file.", shown(&id)));
            }
            let outcome = if store.images.contains(&id) { Outcome::Updated } else { Outcome::Created };
            new.insert(id, picture);
            Ok(outcome)
        });
        imported.outcomes.push(outcome.into());
    }
    store.images.pictures.extend(new);
    Ok(imported)
}

/// The name of each file of an upload, with its content, or why it cannot be read.
type Files = Vec<(String, Result<Vec<u8>, String>)>;

fn unpacked(upload: &Upload) -> Result<Files, Refused> {
    if look(&upload.bytes).is_ok() {
        return Ok(vec![(upload.name.clone(), Ok(upload.bytes.to_vec()))]);
    }
    let mut zip = ZipArchive::new(Cursor::new(&upload.bytes))
        .map_err(|_| "The file is neither a zip nor a jpg or png.".to_owned())?;
    let mut files = Files::new();
    let mut unpacked = 0;
    for index in 0..zip.len() {
        let name = match zip.name_for_index(index) {
            Some(Ok(name)) => name.into_owned(),
            Some(Err(_)) | None => String::new(),
        };
        let mut content = Vec::new();
        // One byte more than is taken, by which one that is too large is known; a zip's word on sizes is not trusted.
        let read = zip.by_index(index).map_err(io::Error::from);
        let read = read.and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut content));
        unpacked += content.len();
        if unpacked > UPLOAD_BYTES_MAX {
            return Err(Refused::too_large(UPLOAD_BYTES_MAX));
        }
        let content = read.map(|_| content).map_err(|_| format!("File ({}) cannot be unpacked.", shown(&name)));
        files.push((name, content));
    }
    Ok(files)
}

/// Whose picture a file is, and the picture.
fn picture(name: &str, content: Vec<u8>) -> Result<(String, Picture), String> {
    let problem = |problem: &str| Err(format!("File ({}) {problem}.", shown(name)));
    if name.contains(['/', '\\']) {
        return problem("is in a folder");
    }
    let (id, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let Some(named) = kind_of_ending(ending).filter(|_| !id.is_empty()) else {
        return problem("is not named as a jpg or png");
    };
    if content.len() > BYTES_MAX {
        return problem(&format!("is larger than {} MiB", BYTES_MAX / 1024 / 1024));
    }
    match look(&content) {
        Ok(description) if description.kind == named => {
            Ok((id.to_owned(), Picture { description, content: Some(content.into()) }))
        }
        Ok(description) => problem(&format!("is a {} by its content", description.kind.extension())),
        Err(fault) => problem(&fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::super::store::tests::{jpg, png, show, store, upload};
    use super::*;

    fn zipped(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn check_upload(store: &mut Store, upload: &Upload, expected: &str) {
        let outcomes = match import(store, upload, &Order::default()) {
            Ok(imported) => imported.outcomes.iter().map(show).collect::<Vec<_>>().join("; "),
            Err(refused) => format!("refused with {}: {}", refused.status.as_u16(), refused.reason),
        };
        assert_eq!(outcomes, expected);
    }

    fn check_zip(store: &mut Store, files: &[(&str, &[u8])], expected: &str) {
        check_upload(store, &upload(zipped(files, CompressionMethod::Deflated)), expected);
    }

    fn content(store: &Store, id: &str) -> Vec<u8> {
        match store.images.show(id).unwrap().place {
            Place::Memory(content) => content.to_vec(),
            Place::File(path) => fs::read(path).unwrap(),
        }
    }

    #[test]
    fn zips_are_taken_stored_and_deflated_and_a_picture_alone_is_too() {
        let (jpg, png) = (jpg(), png());
        let mut store = store("001,002");
        let files = [("001.jpg", jpg.as_slice()), ("002.PNG", &png)];
        check_upload(&mut store, &upload(zipped(&files, CompressionMethod::Stored)), "created; created");
        check_upload(&mut store, &upload(zipped(&files, CompressionMethod::Deflated)), "updated; updated");
        assert_eq!((content(&store, "001"), content(&store, "002")), (jpg, png.clone()));
        let alone = Upload { name: "001.png".into(), ..upload(png.clone()) };
        check_upload(&mut store, &alone, "updated");
        assert_eq!(content(&store, "001"), png);
        assert_eq!(store.images.show("001").unwrap().media_type, "image/png");
    }

    #[test]
    fn files_are_checked() {
        let (jpg, png) = (jpg(), png());
        let (jpg, png) = (jpg.as_slice(), png.as_slice());
        let too_large = [jpg, &vec![0; BYTES_MAX]].concat();
        for (name, content, expected) in [
            ("1.jpg", jpg, "There is no user with the Admin System ID (1)."),
            ("A01.jpg", jpg, "There is no user with the Admin System ID (A01)."),
            ("a01.jpeg", jpg, "File (a01.jpeg) is not named as a jpg or png."),
            ("a01", jpg, "File (a01) is not named as a jpg or png."),
            (".jpg", jpg, "File (.jpg) is not named as a jpg or png."),
            ("a01.png", jpg, "File (a01.png) is a jpg by its content."),
            ("a01.jpg", b"GIF89a", "File (a01.jpg) is a GIF picture, and Infiniti takes jpg and png."),
            ("a01.jpg", b"", "File (a01.jpg) is empty."),
            ("photos/a01.jpg", jpg, "File (photos/a01.jpg) is in a folder."),
            ("photos\\a01.jpg", jpg, "File (photos\\a01.jpg) is in a folder."),
            ("a01.jpg", &jpg[..jpg.len() - 2], "File (a01.jpg) is a jpg that is cut off."),
            ("a01.jpg", &too_large, "File (a01.jpg) is larger than 20 MiB."),
            ("a01.jpg", &too_large[..BYTES_MAX], "created"),
        ] {
            check_zip(&mut store("a01"), &[(name, content)], expected);
        }
        check_zip(
            &mut store("a01"),
            &[("a01.jpg", jpg), ("a01.png", png)],
            "created; The Admin System ID (a01) stands twice in the file.",
        );
    }

    #[test]
    fn uploads_that_are_no_zip_or_unpack_to_too_much_are_refused_whole() {
        let mut store = store("1");
        let no_zip = "refused with 400: The file is neither a zip nor a jpg or png.";
        check_upload(&mut store, &upload(""), no_zip);
        check_upload(&mut store, &upload("adminsystemid\n"), no_zip);
        let jpg = &jpg();
        let mut cut = zipped(&[("1.jpg", jpg)], CompressionMethod::Stored);
        cut.truncate(cut.len() - 10);
        check_upload(&mut store, &upload(cut), no_zip);
        let mut spoilt = zipped(&[("1.jpg", jpg)], CompressionMethod::Stored);
        spoilt[40] ^= 1;
        check_upload(&mut store, &upload(spoilt), "File (1.jpg) cannot be unpacked.");
        check_zip(&mut store, &[], "");
        let zeros = vec![0; 19_000_000];
        let names = ["1", "2", "3", "4", "5", "6"];
        let bomb = zipped(&names.map(|name| (name, zeros.as_slice())), CompressionMethod::Deflated);
        assert!(bomb.len() < 1_000_000);
        check_upload(&mut store, &upload(bomb), "refused with 413: The file is larger than 100 MB.");
        assert_eq!(store.images.pictures.len(), 0);
    }

    #[test]
    fn pictures_are_kept_in_files_of_their_own() {
        let (jpg, png) = (&jpg(), &png());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.json");
        let images = folder.path().join("sandbox.json.images");
        let files = || fs::read_dir(&images).unwrap().count();
        let mut store = store("1,2").load(&path).unwrap();
        store.save(&path).unwrap();
        assert!(!images.exists(), "no folder without a picture");
        check_zip(&mut store, &[("1.jpg", jpg), ("2.jpg", jpg)], "created; created");
        store.save(&path).unwrap();
        assert_eq!(files(), 1, "the same picture is one file");
        check_zip(&mut store, &[("1.png", png)], "updated");
        store.save(&path).unwrap();
        assert_eq!(files(), 2);
        fs::write(images.join("notes.txt"), "mine").unwrap();
        check_zip(&mut store, &[("2.png", png)], "updated");
        store.save(&path).unwrap();
        assert_eq!(files(), 2, "the old picture is gone, and a file that is not ours stays");

        let loaded = Store::default().load(&path).unwrap();
        assert_eq!((content(&loaded, "1"), content(&loaded, "2")), (png.clone(), png.clone()));
        #[cfg(unix)]
        for (path, mode) in [(images.clone(), 0o700), (path.clone(), 0o600), (picture_file(&images), 0o600)] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
        }
        // As a machine leaves it that lost its power.
        fs::write(picture_file(&images), "").unwrap();
        let error = Store::default().load(&path).unwrap_err().to_string();
        assert!(error.contains("the picture of `1` is missing"), "{error}");
    }

    fn picture_file(folder: &Path) -> PathBuf {
        let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.find(|file| file.extension().is_some_and(|ending| ending == "png")).unwrap()
    }
}
