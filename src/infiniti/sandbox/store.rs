//! The patrons that a sandbox holds, and what an upload does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::PathBuf;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::faults::Kind as FaultKind;
use crate::infiniti::contract::{Header, Holders, Kind, Presence, USERS, Unique};
use crate::infiniti::value::{Rule, canonical};

/// A patron: headers and values. A password is kept as `set`.
pub type Patron = BTreeMap<String, String>;

/// An upload, for the page and for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// When it came, UTC.
    pub time: jiff::Timestamp,
    /// The status of the answer; 0 if there was none.
    pub status: u16,
    /// The data rows of its CSV.
    pub rows: usize,
    /// The headers of its CSV.
    pub headers: Vec<String>,
    /// New patrons.
    pub created: usize,
    /// Patrons that were there.
    pub updated: usize,
    /// Rows that failed.
    pub failed: usize,
    /// The fault that was shown.
    pub fault: Option<String>,
}

impl RequestRecord {
    /// A request that imported nothing.
    pub(super) fn fault(rows: usize, status: u16, fault: Option<&FaultKind>) -> Self {
        Self {
            time: jiff::Timestamp::now(),
            status,
            rows,
            headers: Vec::new(),
            created: 0,
            updated: 0,
            failed: 0,
            fault: fault.map(FaultKind::name),
        }
    }
}

/// What a sandbox holds.
#[derive(Debug, Default)]
pub(super) struct Store {
    kept: Kept,
    requests: Vec<RequestRecord>,
    file: Option<PathBuf>,
}

/// What outlives the sandbox, if it has a file.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Kept {
    /// By username in lower case: usernames that differ only in case are one patron.
    patrons: BTreeMap<String, Patron>,
    form_classes: BTreeSet<String>,
}

enum Outcome {
    Created,
    Updated,
    Failed(String),
}

impl Store {
    pub(super) fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let kept = match &file {
            Some(path) if path.exists() => serde_json::from_slice(&std::fs::read(path)?)?,
            _ => Kept::default(),
        };
        Ok(Self { kept, requests: Vec::new(), file })
    }

    pub(super) fn patrons(&self) -> Vec<Patron> {
        self.kept.patrons.values().cloned().collect()
    }

    pub(super) fn form_classes(&self) -> &BTreeSet<String> {
        &self.kept.form_classes
    }

    pub(super) fn requests(&self) -> &[RequestRecord] {
        &self.requests
    }

    pub(super) fn record(&mut self, request: RequestRecord) {
        self.requests.push(request);
    }

    /// Imports a CSV and gives the answer's JSON.
    pub(super) fn import(&mut self, csv: &[u8], rejects: &[Regex], fault: Option<&FaultKind>) -> String {
        let mut request = RequestRecord::fault(0, 200, fault);
        let answer = match self.import_rows(csv, rejects, &mut request) {
            Ok(outcomes) => answer(&outcomes, fault),
            Err(reason) => json!({ "success": false, "summary": reason }),
        };
        self.requests.push(request);
        if let Err(error) = self.save() {
            tracing::error!(%error, "the sandbox could not keep its patrons");
        }
        answer.to_string()
    }

    fn import_rows(
        &mut self,
        csv: &[u8],
        rejects: &[Regex],
        request: &mut RequestRecord,
    ) -> Result<Vec<Outcome>, String> {
        // Notepad and Excel put a mark before UTF-8.
        let csv = csv.strip_prefix(b"\xef\xbb\xbf").unwrap_or(csv);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
        let names = reader.headers().map_err(|error| error.to_string())?.clone();
        request.headers = names.iter().map(str::to_owned).collect();
        let mut headers = Vec::new();
        for name in &names {
            let header = USERS.header(name.trim()).ok_or_else(|| format!("Unknown column ({name})."))?;
            if headers.contains(&header) {
                return Err(format!("Column ({name}) stands twice."));
            }
            headers.push(header);
        }
        // An empty file is a way to test the credentials.
        if !headers.is_empty() && !headers.contains(&USERS.key()) {
            return Err("Missing column (username).".into());
        }
        let mut outcomes = Vec::new();
        for record in reader.records() {
            let outcome = match record {
                Ok(record) if record.len() == headers.len() => self.import_row(&headers, &record, rejects),
                Ok(_) => Outcome::Failed("The row has another number of cells than the header".into()),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            match outcome {
                Outcome::Created => request.created += 1,
                Outcome::Updated => request.updated += 1,
                Outcome::Failed(_) => request.failed += 1,
            }
            outcomes.push(outcome);
        }
        request.rows = outcomes.len();
        Ok(outcomes)
    }

    fn import_row(&mut self, headers: &[Header], record: &csv::StringRecord, rejects: &[Regex]) -> Outcome {
        let mut row: BTreeMap<Header, String> = BTreeMap::new();
        for (header, value) in headers.iter().zip(record) {
            let (rule, value) = (USERS.rule(*header), value.trim());
            let value = match value {
                "" => "",
                value => match canonical(rule.kind, value) {
                    Ok(value) => value,
                    Err(broken) => return Outcome::Failed(words(rule.name, &broken)),
                },
            };
            row.insert(
                *header,
                if rule.kind == Kind::Password && !value.is_empty() { "set" } else { value }.to_owned(),
            );
        }
        let username = row.get(&USERS.key()).cloned().unwrap_or_default();
        if username.is_empty() {
            return Outcome::Failed("Field (username) is mandatory".into());
        }
        if rejects.iter().any(|pattern| pattern.is_match(&username)) {
            return Outcome::Failed("Rejected on demand".into());
        }
        let key = username.to_lowercase();
        let existing = self.kept.patrons.get(&key);
        let mut patron = existing.cloned().unwrap_or_default();
        for (header, value) in &row {
            patron.insert(USERS.rule(*header).name.to_owned(), value.clone());
        }
        if let Some(reason) = self.broken_rule(&key, &patron, existing.is_none()) {
            return Outcome::Failed(reason);
        }
        if let Some(form_class) = patron.get("formclass").filter(|form_class| !form_class.is_empty()) {
            self.kept.form_classes.insert(form_class.clone());
        }
        let is_new = existing.is_none();
        self.kept.patrons.insert(key, patron);
        if is_new { Outcome::Created } else { Outcome::Updated }
    }

    /// A rule that the patron as it would become breaks.
    fn broken_rule(&self, key: &str, patron: &Patron, is_new: bool) -> Option<String> {
        let filled = |name: &str| patron.get(name).is_some_and(|value| !value.is_empty());
        let is_staff = patron.get("staffmember").is_some_and(|value| value == "Y");
        let mut cohorts = 0;
        for rule in USERS.headers {
            if rule.presence == Presence::Mandatory && !filled(rule.name) {
                return Some(format!("Field ({}) is mandatory", rule.name));
            }
            if is_staff && rule.holders == Holders::Students && filled(rule.name) {
                return Some(format!("Field ({}) is for students", rule.name));
            }
            cohorts += usize::from(rule.presence == Presence::OneOfCohort && filled(rule.name));
            if rule.unique == Unique::Exact && filled(rule.name) {
                let same =
                    |(other, held): (&String, &Patron)| other != key && held.get(rule.name) == patron.get(rule.name);
                if self.kept.patrons.iter().any(same) {
                    return Some(format!("Field ({}) must be unique", rule.name));
                }
            }
        }
        if !is_staff && (cohorts > 1 || (is_new && cohorts == 0)) {
            return Some("A student has a graduation year or an academic level".into());
        }
        None
    }

    /// Writes the file whole, beside the old one, and puts it in its place.
    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let new = path.with_extension("new");
        let mut file = crate::ops::private_file(&new)?;
        serde_json::to_writer_pretty(&mut file, &self.kept)?;
        file.flush()?;
        std::fs::rename(new, path)
    }
}

fn words(name: &str, rule: &Rule) -> String {
    match rule {
        Rule::Email => format!("Field ({name}) is not a well-formed email address"),
        Rule::Boolean => format!("Field ({name}) is not a boolean"),
        Rule::Year => format!("Field ({name}) is not a year"),
        Rule::OneOf(values) => format!("Field ({name}) must be one of {} or blank", values.join(", ")),
        other => format!("Field ({name}) is not accepted: {}", other.code()),
    }
}

/// The answer in the three shapes of the vendor's page.
fn answer(outcomes: &[Outcome], fault: Option<&FaultKind>) -> Value {
    let (mut created, mut updated, mut failed) = (0, 0, 0);
    let mut details = Map::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        let text = match outcome {
            Outcome::Created => {
                created += 1;
                "User Created".to_owned()
            }
            Outcome::Updated => {
                updated += 1;
                "User Updated".to_owned()
            }
            Outcome::Failed(reason) => {
                failed += 1;
                format!("{reason}. User failed to import: {reason}. ")
            }
        };
        details.insert((index + 1).to_string(), text.into());
    }
    let users = |count: usize, verb: &str| format!("{count} user{} {verb}.", if count == 1 { "" } else { "s" });
    let processed = match fault {
        Some(FaultKind::Miscount) => outcomes.len().saturating_sub(1),
        _ => outcomes.len(),
    };
    let summary =
        [users(processed, "processed"), users(created, "created"), users(updated, "updated"), users(failed, "failed")];
    let mut answer = json!({ "success": failed == 0, "summary": summary.join(" ") });
    if failed > 0 && fault != Some(&FaultKind::NoDetails) {
        answer["details"] = Value::Object(details);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(store: &mut Store, csv: &str, expected: &str) {
        assert_eq!(store.import(csv.as_bytes(), &[], None), expected);
    }

    const HEAD: &str = "username,enabled,staffmember,graduationyear,emailaddress,librarybarcode,formclass\n";

    #[test]
    fn it_creates_updates_and_fails_as_the_page_shows() {
        let mut store = Store::default();
        let first = format!("{HEAD}jane,yes,no,2030,jane@x.example,1,10A\n");
        let one = r#"{"success":true,"summary":"1 user processed. 1 user created. 0 users updated. 0 users failed."}"#;
        check(&mut store, &first, one);
        let second = format!("\u{feff}{HEAD}JANE,1,0,2030,,1,10B\njohn,Y,N,2030,nowhere,2,10A\nann,Y,N,2030,,3,10A\n");
        check(
            &mut store,
            &second,
            concat!(
                r#"{"success":false,"summary":"3 users processed. 1 user created. 1 user updated. 1 user failed.","#,
                r#""details":{"1":"User Updated","2":"Field (emailaddress) is not a well-formed email address. "#,
                r#"User failed to import: Field (emailaddress) is not a well-formed email address. ","3":"User Created"}}"#
            ),
        );
        assert_eq!(store.patrons()[1]["formclass"], "10B");
        assert_eq!(store.form_classes().len(), 2);
    }

    #[test]
    fn a_column_that_is_not_sent_stays_and_a_blank_clears() {
        let mut store = Store::default();
        check(
            &mut store,
            &format!("{HEAD}jane,Y,N,2030,jane@x.example,1,10A\n"),
            r#"{"success":true,"summary":"1 user processed. 1 user created. 0 users updated. 0 users failed."}"#,
        );
        let updated =
            r#"{"success":true,"summary":"1 user processed. 0 users created. 1 user updated. 0 users failed."}"#;
        check(&mut store, "username,formclass\njane,\n", updated);
        let jane = &store.patrons()[0];
        assert_eq!((jane["formclass"].as_str(), jane["emailaddress"].as_str()), ("", "jane@x.example"));
    }

    #[test]
    fn an_empty_csv_is_fine_and_an_unknown_column_is_not() {
        let mut store = Store::default();
        let none =
            r#"{"success":true,"summary":"0 users processed. 0 users created. 0 users updated. 0 users failed."}"#;
        check(&mut store, "", none);
        check(&mut store, HEAD, none);
        check(&mut store, "username,shoesize\n", r#"{"success":false,"summary":"Unknown column (shoesize)."}"#);
    }

    #[test]
    fn new_patrons_need_the_mandatory_headers_and_barcodes_are_unique() {
        let mut store = Store::default();
        for (csv, reason) in [
            ("username,staffmember\na,Y\n", "Field (enabled) is mandatory"),
            ("username,enabled,staffmember\na,Y,N\n", "A student has a graduation year or an academic level"),
            ("username,enabled,staffmember,academiclevel\na,Y,Y,Y7\n", "Field (academiclevel) is for students"),
        ] {
            let answer = store.import(csv.as_bytes(), &[], None);
            assert!(answer.contains(reason), "{answer}");
        }
        let staff = "username,enabled,staffmember,librarybarcode\na,Y,Y,1\nb,Y,Y,1\n";
        assert!(store.import(staff.as_bytes(), &[], None).contains("Field (librarybarcode) must be unique"));
        assert_eq!(store.patrons().len(), 1);
    }
}
