//! The sandbox's patrons: an upsert by username with the contract's checks, in memory and, if asked for, in a file.
//!
//! What the vendor does not say is decided the pessimistic way, so that a mapping that is safe here is safe there: a blank
//! cell clears what is stored. A column that is not in the CSV leaves it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::infiniti::contract::{Contract, Header, Holders, Kind, Presence, STAFFMEMBER, USERS, Unique};
use crate::infiniti::value::canonical;

/// What stands in place of a password, which is never kept.
pub(super) const PASSWORD_SET: &str = "(set)";
const FORM_CLASS: &str = "formclass";
const CONTRACT: &Contract = &USERS;

/// The patrons, and what an import made on the side.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// By username in lower case.
    patrons: BTreeMap<String, Patron>,
    form_classes: BTreeSet<String>,
}

/// The values in the contract's order; blank where there is none.
#[derive(Clone, Debug)]
struct Patron(Vec<String>);

impl Patron {
    fn value(&self, header: Header) -> &str {
        &self.0[header.index()]
    }
}

/// What became of an upload.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// What became of each row, in order.
    pub(super) outcomes: Vec<Outcome>,
}

impl Imported {
    pub(super) fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| wanted(outcome)).count()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
    Failed(String),
}

/// The file, as JSON.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    patrons: Vec<BTreeMap<String, String>>,
    form_classes: BTreeSet<String>,
}

impl Store {
    /// Reads a file that [`Self::save`] wrote. One that does not exist is an empty store.
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        let saved: Saved = serde_json::from_slice(&text)?;
        let mut store = Self { patrons: BTreeMap::new(), form_classes: saved.form_classes };
        for values in saved.patrons {
            let patron = Patron(
                CONTRACT.headers.iter().map(|rule| values.get(rule.name).cloned().unwrap_or_default()).collect(),
            );
            store.patrons.insert(patron.value(CONTRACT.key()).to_lowercase(), patron);
        }
        Ok(store)
    }

    /// Writes the file whole or not at all. Only its owner may read it: it may hold real people.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let saved = Saved { patrons: self.patrons(), form_classes: self.form_classes.clone() };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = io::BufWriter::new(options.open(&temporary)?);
        serde_json::to_writer_pretty(&mut file, &saved)?;
        file.write_all(b"\n")?;
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)
    }

    /// All patrons in the order of their usernames, each with the headers that are filled.
    pub(super) fn patrons(&self) -> Vec<BTreeMap<String, String>> {
        self.patrons.values().map(filled).collect()
    }

    /// How many patrons there are, how many of them a filter lets through, and the first `limit` of those.
    pub(super) fn search(&self, filter: &str, limit: usize) -> (usize, usize, Vec<Vec<&str>>) {
        let filter = filter.to_lowercase();
        let mut matching = self
            .patrons
            .values()
            .filter(|patron| filter.is_empty() || patron.0.iter().any(|value| value.to_lowercase().contains(&filter)));
        let shown: Vec<Vec<&str>> =
            matching.by_ref().take(limit).map(|patron| patron.0.iter().map(String::as_str).collect()).collect();
        let count = shown.len() + matching.count();
        (self.patrons.len(), count, shown)
    }

    /// Every form class that was ever named, with its members now. One that is misspelt stays, as it does at Infiniti.
    pub(super) fn form_classes(&self) -> Vec<(&str, usize)> {
        let mut members: BTreeMap<&str, usize> = self.form_classes.iter().map(|class| (class.as_str(), 0)).collect();
        if let Some(header) = CONTRACT.header(FORM_CLASS) {
            for patron in self.patrons.values() {
                if let Some(count) = members.get_mut(patron.value(header)) {
                    *count += 1;
                }
            }
        }
        members.into_iter().collect()
    }

    /// Imports a CSV. Rows whose username matches `reject` fail.
    ///
    /// # Errors
    /// Why the upload as a whole is refused: then nothing was imported.
    pub(super) fn import(&mut self, csv: &[u8], reject: Option<&Regex>) -> Result<Imported, String> {
        let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
        let csv = str::from_utf8(csv).map_err(|_| "The file is not UTF-8.".to_owned())?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
        let names = reader.headers().map_err(|_| "The header row cannot be read.".to_owned())?.clone();
        let mut imported = Imported::default();
        if names.is_empty() {
            return Ok(imported);
        }
        let columns = columns(&names)?;
        let mut barcodes = self.unique_values();
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(imported),
                Err(_) => return Err("The file cannot be read as CSV.".to_owned()),
            }
            let outcome = if record.len() == columns.len() {
                let row: Vec<(Header, &str)> = columns.iter().copied().zip(record.iter().map(str::trim)).collect();
                self.upsert(&row, reject, &mut barcodes)
            } else {
                Err(format!("The row has {} fields, the header row {}.", record.len(), columns.len()))
            };
            // Infiniti says an error twice, and ends it with a space.
            imported.outcomes.push(
                outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error} User failed to import: {error} "))),
            );
        }
    }

    fn upsert(
        &mut self,
        row: &[(Header, &str)],
        reject: Option<&Regex>,
        barcodes: &mut Barcodes,
    ) -> Result<Outcome, String> {
        let username = row.iter().find(|(header, _)| *header == CONTRACT.key()).map_or("", |(_, value)| value);
        if reject.is_some_and(|pattern| pattern.is_match(username)) {
            return Err("The sandbox was asked to reject this user.".to_owned());
        }
        for (header, value) in row {
            check(*header, value)?;
        }
        let key = username.to_lowercase();
        let stored = self.patrons.get(&key);
        let created = stored.is_none();
        let mut patron = stored.cloned().unwrap_or_else(|| Patron(vec![String::new(); CONTRACT.headers.len()]));
        for (header, value) in row {
            // The spelling under which a patron was made stays.
            if *header != CONTRACT.key() || created {
                patron.0[header.index()] = stored_form(CONTRACT.rule(*header).kind, value);
            }
        }
        for header in CONTRACT.iter() {
            let rule = CONTRACT.rule(header);
            if rule.presence == Presence::Mandatory && patron.value(header).is_empty() {
                return Err(format!("Field ({}) is required for a new user.", field(header)));
            }
        }
        settle_cohort(&mut patron, row)?;
        for header in CONTRACT.iter().filter(|header| is_unique(*header)) {
            let value = patron.value(header);
            if !value.is_empty() && barcodes.get(&(header.index(), value.to_owned())).is_some_and(|owner| *owner != key)
            {
                return Err(format!("Field ({}) is already in use by another user.", field(header)));
            }
        }
        for header in CONTRACT.iter().filter(|header| is_unique(*header)) {
            if let Some(before) = self.patrons.get(&key) {
                barcodes.remove(&(header.index(), before.value(header).to_owned()));
            }
            if !patron.value(header).is_empty() {
                barcodes.insert((header.index(), patron.value(header).to_owned()), key.clone());
            }
        }
        if let Some(header) = CONTRACT.header(FORM_CLASS)
            && !patron.value(header).is_empty()
            && !self.form_classes.contains(patron.value(header))
        {
            self.form_classes.insert(patron.value(header).to_owned());
        }
        self.patrons.insert(key, patron);
        Ok(if created { Outcome::Created } else { Outcome::Updated })
    }

    fn unique_values(&self) -> Barcodes {
        let mut values = Barcodes::new();
        for header in CONTRACT.iter().filter(|header| is_unique(*header)) {
            for (key, patron) in self.patrons.iter().filter(|(_, patron)| !patron.value(header).is_empty()) {
                values.insert((header.index(), patron.value(header).to_owned()), key.clone());
            }
        }
        values
    }
}

/// Who holds a value of a header whose values are unique.
type Barcodes = std::collections::HashMap<(usize, String), String>;

fn filled(patron: &Patron) -> BTreeMap<String, String> {
    CONTRACT
        .headers
        .iter()
        .zip(&patron.0)
        .filter(|(_, value)| !value.is_empty())
        .map(|(rule, value)| (rule.name.to_owned(), value.clone()))
        .collect()
}

fn columns(names: &csv::StringRecord) -> Result<Vec<Header>, String> {
    let mut columns = Vec::new();
    for name in names {
        let shown: String = name.trim().chars().take(40).collect();
        let header = CONTRACT.header(name.trim()).ok_or_else(|| format!("Unknown column header ({shown})."))?;
        if columns.contains(&header) {
            return Err(format!("Column header ({shown}) stands twice."));
        }
        columns.push(header);
    }
    if columns.contains(&CONTRACT.key()) { Ok(columns) } else { Err("Column header (username) is missing.".to_owned()) }
}

fn check(header: Header, value: &str) -> Result<(), String> {
    let rule = CONTRACT.rule(header);
    let field = field(header);
    if value.is_empty() {
        return match rule.presence {
            Presence::Mandatory => Err(format!("Field ({field}) is required.")),
            Presence::Optional | Presence::OneOfCohort | Presence::Content | Presence::OneOfContent => Ok(()),
        };
    }
    // The same check that rows go through: the contract stands in one place, and `tests/contract.rs` holds it.
    let problem = canonical(rule.kind, value).err().map(|_| match rule.kind {
        Kind::Text | Kind::Password => "is too long",
        Kind::Boolean => "is not a boolean",
        Kind::Email => "is not a well-formed email address",
        Kind::Year => "is not a year of four digits",
        Kind::OneOf(_) | Kind::Channel | Kind::Open(_) | Kind::Codes(_) | Kind::Group => {
            "is not one of the acceptable values"
        }
        Kind::Reach | Kind::Picture | Kind::PictureFile => "cannot be used",
    });
    problem.map_or(Ok(()), |problem| Err(format!("Field ({field}) {problem}.")))
}

/// A student has exactly one of the cohort's headers, staff have none. What a row names replaces what was stored.
fn settle_cohort(patron: &mut Patron, row: &[(Header, &str)]) -> Result<(), String> {
    let staff = patron.value(STAFFMEMBER) == "Y";
    let named = |header| row.iter().any(|(column, value)| *column == header && !value.is_empty());
    let students_only: Vec<Header> =
        CONTRACT.iter().filter(|header| CONTRACT.rule(*header).holders == Holders::Students).collect();
    if staff {
        for header in students_only {
            if named(header) {
                return Err(format!("Field ({}) is not for staff.", field(header)));
            }
            patron.0[header.index()].clear();
        }
        return Ok(());
    }
    let cohort: Vec<Header> =
        CONTRACT.iter().filter(|header| CONTRACT.rule(*header).presence == Presence::OneOfCohort).collect();
    if cohort.iter().any(|header| named(*header)) {
        for header in &cohort {
            if !named(*header) {
                patron.0[header.index()].clear();
            }
        }
    }
    match cohort.iter().filter(|header| !patron.value(**header).is_empty()).count() {
        1 => Ok(()),
        0 => Err("A student needs a graduationYear or an academicLevel.".to_owned()),
        _ => Err("A student has either a graduationYear or an academicLevel.".to_owned()),
    }
}

fn is_unique(header: Header) -> bool {
    header != CONTRACT.key() && CONTRACT.rule(header).unique != Unique::No
}

fn stored_form(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Password if !value.is_empty() => PASSWORD_SET.to_owned(),
        _ => canonical(kind, value).unwrap_or(value).to_owned(),
    }
}

/// A header as Infiniti writes it in an error; the vendor shows one example, `emailAddress`.
fn field(header: Header) -> &'static str {
    match CONTRACT.rule(header).name {
        "emailaddress" => "emailAddress",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUDENT: &str = "username,enabled,staffmember,graduationyear\n";

    fn check_import(store: &mut Store, csv: &str, expected: &str) {
        let outcomes = match store.import(csv.as_bytes(), None) {
            Ok(imported) => imported.outcomes.iter().map(show).collect::<Vec<_>>().join("; "),
            Err(refused) => format!("refused: {refused}"),
        };
        assert_eq!(outcomes, expected, "{csv}");
    }

    fn show(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Created => "created".to_owned(),
            Outcome::Updated => "updated".to_owned(),
            Outcome::Failed(text) => text.split_once(" User failed").unwrap().0.to_owned(),
        }
    }

    fn value(store: &Store, username: &str, header: &str) -> String {
        store.patrons[username].value(CONTRACT.header(header).unwrap()).to_owned()
    }

    #[test]
    fn users_are_matched_without_regard_to_case_and_columns_left_out_stay() {
        let mut store = Store::default();
        check_import(&mut store, &format!("{STUDENT}Jane,Yes,0,2030\n"), "created");
        check_import(&mut store, "givenname,username\nJane,JANE\n", "updated");
        assert_eq!(value(&store, "jane", "username"), "Jane");
        assert_eq!(value(&store, "jane", "givenname"), "Jane");
        assert_eq!(value(&store, "jane", "enabled"), "Y");
        assert_eq!(value(&store, "jane", "graduationyear"), "2030");
        check_import(&mut store, "username,givenname\njane,\n", "updated");
        assert_eq!(value(&store, "jane", "givenname"), "", "a blank cell clears");
    }

    #[test]
    fn new_users_need_what_the_contract_says() {
        let mut store = Store::default();
        check_import(&mut store, "username,staffmember\na,Y\n", "Field (enabled) is required for a new user.");
        check_import(&mut store, "username,enabled\na,Y\n", "Field (staffmember) is required for a new user.");
        check_import(
            &mut store,
            "username,enabled,staffmember\na,Y,N\n",
            "A student needs a graduationYear or an academicLevel.",
        );
        check_import(&mut store, "username,enabled,staffmember\na,Y,Y\n", "created");
        check_import(&mut store, &format!("{STUDENT}b,Y,Y,2030\n"), "Field (graduationyear) is not for staff.");
        check_import(
            &mut store,
            "username,enabled,staffmember,graduationyear,academiclevel\nc,Y,N,2030,Y7\n",
            "A student has either a graduationYear or an academicLevel.",
        );
        assert_eq!(store.patrons().len(), 1, "a row that fails leaves nothing");
    }

    #[test]
    fn a_new_cohort_replaces_the_old_one_and_staff_lose_theirs() {
        let mut store = Store::default();
        check_import(&mut store, &format!("{STUDENT}a,Y,N,2030\n"), "created");
        check_import(&mut store, "username,academiclevel\na,Y7\n", "updated");
        assert_eq!(value(&store, "a", "graduationyear"), "");
        check_import(&mut store, "username,staffmember\na,true\n", "updated");
        assert_eq!(value(&store, "a", "academiclevel"), "");
    }

    #[test]
    fn values_are_checked() {
        for (header, good, bad, error) in [
            (
                "emailaddress",
                "jane.o'hara@school.example",
                "jane@",
                "Field (emailAddress) is not a well-formed email address.",
            ),
            (
                "emailaddress",
                "j+1@a-b.example",
                "jane doe@school.example",
                "Field (emailAddress) is not a well-formed email address.",
            ),
            ("gender", "F", "X", "Field (gender) is not one of the acceptable values."),
            ("graduationyear", "2031", "31", "Field (graduationyear) is not a year of four digits."),
            ("enabled", "1", "maybe", "Field (enabled) is not a boolean."),
            ("enabled", "False", "", "Field (enabled) is required."),
        ] {
            let mut store = Store::default();
            check_import(&mut store, &format!("{STUDENT}a,Y,N,2030\n"), "created");
            check_import(&mut store, &format!("username,{header}\na,{good}\n"), "updated");
            check_import(&mut store, &format!("username,{header}\na,{bad}\n"), error);
        }
    }

    #[test]
    fn a_barcode_has_one_holder_at_a_time() {
        let mut store = Store::default();
        let head = "username,enabled,staffmember,librarybarcode\n";
        check_import(
            &mut store,
            &format!("{head}a,Y,Y,001\nb,Y,Y,001\nc,Y,Y,1\n"),
            "created; Field (librarybarcode) is already in use by another user.; created",
        );
        check_import(&mut store, &format!("{head}a,Y,Y,002\nb,Y,Y,001\n"), "updated; created");
    }

    #[test]
    fn uploads_that_are_no_import_are_refused_whole() {
        let mut store = Store::default();
        check_import(&mut store, "", "");
        check_import(&mut store, "\u{feff}username,enabled,staffmember\r\n", "");
        check_import(&mut store, "username,shoesize\na,42\n", "refused: Unknown column header (shoesize).");
        check_import(&mut store, "username,Username\na,a\n", "refused: Column header (Username) stands twice.");
        check_import(&mut store, "enabled\nY\n", "refused: Column header (username) is missing.");
        check_import(&mut store, "username,enabled\na\n", "The row has 1 fields, the header row 2.");
        assert_eq!(store.import(b"username\n\xff\n", None).unwrap_err(), "The file is not UTF-8.");
    }

    #[test]
    fn a_saved_store_loads_equal_and_holds_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.json");
        let mut store = Store::load(&path).unwrap();
        let csv = "username,enabled,staffmember,graduationyear,password,formclass\na,Y,N,2030,swordfish,10A\n";
        check_import(&mut store, csv, "created");
        check_import(&mut store, "username,formclass\na,10B\n", "updated");
        store.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("swordfish") && text.contains(PASSWORD_SET));
        let loaded = Store::load(&path).unwrap();
        assert_eq!(loaded.patrons(), store.patrons());
        assert_eq!(loaded.form_classes(), [("10A", 0), ("10B", 1)]);
        fs::write(&path, "{").unwrap();
        assert!(Store::load(&path).is_err(), "a broken file is not an empty one");
    }
}
