//! What the sandbox holds: all feeds, in memory and, if asked for, in a file.
//!
//! The file is JSON, one record a line. Pictures are files of their own in a folder beside it, so that a request does not write
//! them all again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::contacts::Contacts;
use super::feed::FEEDS;
use super::groups::Groups;
use super::images::Images;
use super::patrons::Patrons;
use crate::infiniti::contract::Contract;

/// A record as JSON has it: from header to value, those that are filled.
pub(super) type Values = BTreeMap<String, String>;

/// What each feed brought.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) patrons: Patrons,
    pub(super) contacts: Contacts,
    pub(super) images: Images,
    pub(super) groups: Groups,
}

/// The file, as JSON. One that was written before there were contacts, images and groups has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    patrons: Vec<Values>,
    form_classes: BTreeSet<String>,
    #[serde(default)]
    contacts: Vec<Values>,
    #[serde(default)]
    images: Vec<Values>,
    #[serde(default)]
    groups: Vec<Values>,
}

impl Store {
    /// An empty store in which these groups exist.
    pub(super) fn new(groups: &[String]) -> Self {
        let mut store = Self::default();
        store.groups.make(groups);
        store
    }

    /// Reads a file that [`Self::save`] wrote. One that does not exist leaves the store as it is.
    pub(super) fn load(mut self, path: &Path) -> io::Result<Self> {
        let mut folder = path.as_os_str().to_owned();
        folder.push(".images");
        self.images = Images::at(folder.into());
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self),
            text => text?,
        };
        let saved: Saved = serde_json::from_slice(&text)?;
        self.patrons = Patrons::new(&saved.patrons, saved.form_classes);
        saved.contacts.iter().for_each(|values| self.contacts.insert(values));
        saved.groups.iter().for_each(|values| self.groups.insert(values));
        saved.images.iter().try_for_each(|values| self.images.insert(values))?;
        Ok(self)
    }

    /// Writes the file whole or not at all, and first the pictures that it names. Only its owner may read it: it may hold real
    /// people.
    pub(super) fn save(&mut self, path: &Path) -> io::Result<()> {
        let has_new_pictures = self.images.write()?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut file = BufWriter::new(private(Path::new(&temporary))?);
        // Straight from what is held: a copy of it all would be made for every request.
        write!(file, "{{\n\"form_classes\": ")?;
        list(&mut file, self.patrons.form_classes().iter().map(|(class, _)| class))?;
        for feed in FEEDS {
            write!(file, ",\n\"{}\": ", feed.records_name)?;
            list(&mut file, (feed.records)(self))?;
        }
        file.write_all(b"\n}\n")?;
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)?;
        // Only now does no file name the old ones.
        if has_new_pictures { self.images.tidy() } else { Ok(()) }
    }
}

/// A file that only its owner may read, to write from its start.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a list, one item a line.
fn list<T: Serialize>(file: &mut impl Write, items: impl Iterator<Item = T>) -> io::Result<()> {
    file.write_all(b"[")?;
    for (index, item) in items.enumerate() {
        file.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *file, &item)?;
    }
    file.write_all(b"]")
}

/// What a feed holds, one after the other.
pub(super) type Records<'a> = Box<dyn Iterator<Item = Record<'a>> + 'a>;

/// A record of a feed: every header with its value, which may be blank. As JSON it has those that are filled.
#[derive(Clone, Debug)]
pub(super) struct Record<'a>(pub(super) Vec<(&'static str, Cow<'a, str>)>);

impl<'a> Record<'a> {
    /// Values in the contract's order.
    pub(super) fn new(contract: &Contract, values: &'a [String]) -> Self {
        let pairs = contract.headers.iter().zip(values);
        Self(pairs.map(|(rule, value)| (rule.name, Cow::Borrowed(value.as_str()))).collect())
    }

    pub(super) fn filled(&self) -> Values {
        self.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_ref()))
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.pairs() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What a filter lets through of a feed's records.
#[derive(Debug, Default)]
pub(super) struct Search<'a> {
    /// How many records there are.
    pub(super) total: usize,
    /// How many of them the filter lets through.
    pub(super) matching: usize,
    /// The first of those.
    pub(super) shown: Vec<Record<'a>>,
}

impl<'a> Search<'a> {
    /// The records of which any value contains the text, without regard to case; at most `limit` of them are shown.
    pub(super) fn new(records: Records<'a>, filter: &str, limit: usize) -> Self {
        let filter = filter.to_lowercase();
        let mut search = Self::default();
        for record in records {
            search.total += 1;
            if filter.is_empty() || record.0.iter().any(|(_, value)| value.to_lowercase().contains(&filter)) {
                search.matching += 1;
                if search.shown.len() < limit {
                    search.shown.push(record);
                }
            }
        }
        search
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::feed::{Feed, Order, Outcome, Upload};
    use super::super::groups::DEFAULT_GROUPS;
    use super::super::patrons;
    use super::*;

    /// Accounts of staff whose `adminsystemid` is their username, and the groups of a sandbox that was told none.
    pub(in super::super) fn store(usernames: &str) -> Store {
        let mut store = Store::new(&DEFAULT_GROUPS.map(str::to_owned));
        let rows = usernames.split(',').map(|name| format!("{name},Y,Y,{name}\n")).collect::<Vec<_>>().concat();
        let upload = upload(format!("username,enabled,staffmember,adminsystemid\n{rows}"));
        (patrons::FEED.import)(&mut store, &upload, &Order::default()).unwrap();
        store
    }

    pub(in super::super) fn upload(content: impl Into<axum::body::Bytes>) -> Upload {
        Upload { name: "upload".into(), bytes: content.into() }
    }

    pub(in super::super) fn jpg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = [0, 90, 200];
        image::codecs::jpeg::JpegEncoder::new(&mut bytes)
            .encode(&pixels, 1, 1, image::ExtendedColorType::Rgb8)
            .unwrap();
        bytes
    }

    pub(in super::super) fn png() -> Vec<u8> {
        let mut bytes = io::Cursor::new(Vec::new());
        image::RgbImage::new(1, 1).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// Imports a file, and compares what became of its rows.
    pub(in super::super) fn check_import(store: &mut Store, feed: &Feed, mode: &str, csv: &str, expected: &str) {
        let order = Order { mode, reject: None };
        let outcomes = match (feed.import)(store, &upload(csv.to_owned()), &order) {
            Ok(imported) => imported.outcomes.iter().map(show).collect::<Vec<_>>().join("; "),
            Err(refused) => format!("refused: {}", refused.reason),
        };
        assert_eq!(outcomes, expected, "{csv}");
    }

    pub(in super::super) fn show(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Created => "created".to_owned(),
            Outcome::Updated => "updated".to_owned(),
            Outcome::Failed(text) => text.clone(),
        }
    }

    fn check_same(one: &Store, other: &Store) {
        for feed in FEEDS {
            let [one, other] =
                [one, other].map(|store| serde_json::to_string(&(feed.records)(store).collect::<Vec<_>>()).unwrap());
            assert_eq!(one, other);
        }
    }

    #[test]
    fn a_saved_store_loads_equal_and_holds_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.json");
        let mut store = Store::default().load(&path).unwrap();
        let csv = "username,enabled,staffmember,graduationyear,password,formclass\na,Y,N,2030,swordfish,10A\n";
        check_import(&mut store, &patrons::FEED, "", csv, "created");
        check_import(&mut store, &patrons::FEED, "", "username,formclass\na,10B\n", "updated");
        store.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("swordfish") && text.contains(patrons::PASSWORD_SET));
        let loaded = Store::default().load(&path).unwrap();
        check_same(&loaded, &store);
        assert_eq!(loaded.patrons.form_classes(), [("10A", 0), ("10B", 1)]);
        fs::write(&path, "{").unwrap();
        assert!(Store::default().load(&path).is_err(), "a broken file is not an empty one");
    }

    #[test]
    fn a_file_from_before_there_were_other_feeds_loads_and_a_typo_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.json");
        fs::write(&path, r#"{"patrons": [{"username": "Anna", "enabled": "Y"}], "form_classes": ["7A"]}"#).unwrap();
        let store = Store::new(&[]).load(&path).unwrap();
        assert_eq!(store.patrons.spelling("anna"), Ok("Anna"));
        assert_eq!(store.groups.counts(), [("System Administrators", 0)]);
        fs::write(&path, r#"{"patrons": [], "form_classes": [], "contact": []}"#).unwrap();
        let error = Store::default().load(&path).unwrap_err().to_string();
        assert!(error.contains("unknown field `contact`"), "{error}");
    }

    #[test]
    fn every_feed_is_saved_and_loads_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.json");
        let mut store = store("anna,bert").load(&path).unwrap();
        let head = "username,type,role,primary,addressee,contact,sms,scenarios";
        let contacts = format!(
            "{head}\nbert,phone,guardian,Y,\"Mum, or \"\"Dad\"\"\",0400,Y,ANY\nbert,email,patron,N,,b@c.d,,NONE\n"
        );
        check_import(&mut store, FEEDS[1], FEEDS[1].modes[0], &contacts, "created; created");
        check_import(&mut store, FEEDS[3], "add", "username,group\nanna,Staff\nbert,Staff\n", "created; created");
        let image = Upload { name: "anna.jpg".into(), ..upload(jpg()) };
        (FEEDS[2].import)(&mut store, &image, &Order::default()).unwrap();
        store.save(&path).unwrap();
        let loaded = Store::default().load(&path).unwrap();
        check_same(&loaded, &store);
        for feed in FEEDS {
            assert!((feed.records)(&loaded).next().is_some(), "{}", feed.records_name);
        }
    }
}
