//! The sandbox's patrons: an upsert by username with the contract's checks.
//!
//! What the vendor does not say is decided the pessimistic way, so that a mapping that is safe here is safe there: a blank
//! cell clears what is stored. A column that is not in the CSV leaves it alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::feed::{Feed, Imported, Order, Outcome, Refused, Upload};
use super::store::{Record, Store, Values};
use super::table::{self, check, columns, field, shown};
use crate::infiniti::contract::{
    ADMINSYSTEMID, Contract, FORMCLASS, Header, Holders, Kind, Presence, STAFFMEMBER, USERS, Unique,
};
use crate::infiniti::value::canonical;

/// What stands in place of a password, which is never kept.
pub(super) const PASSWORD_SET: &str = "(set)";
const CONTRACT: &Contract = &USERS;

pub(super) static FEED: Feed = Feed {
    contract: CONTRACT,
    own_path: None,
    modes: &[],
    thing: "user",
    bytes_max: usize::MAX,
    records_name: "patrons",
    records: |store| Box::new(store.patrons.patrons.values().map(|patron| Record::new(CONTRACT, &patron.0))),
    import,
};

/// The patrons, and what an import made on the side.
#[derive(Debug, Default)]
pub(super) struct Patrons {
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

/// A username as patrons are found by it.
pub(super) fn key(username: &str) -> String {
    username.to_lowercase()
}

impl Patrons {
    /// What a file has.
    pub(super) fn new(saved: &[Values], form_classes: BTreeSet<String>) -> Self {
        let mut patrons = BTreeMap::new();
        for values in saved {
            let value = |name| values.get(name).cloned().unwrap_or_default();
            let patron = Patron(CONTRACT.headers.iter().map(|rule| value(rule.name)).collect());
            patrons.insert(key(patron.value(CONTRACT.key())), patron);
        }
        Self { patrons, form_classes }
    }

    /// A username as its account spells it.
    ///
    /// # Errors
    /// The sentence that fails a row of another feed.
    pub(super) fn spelling(&self, username: &str) -> Result<&str, String> {
        if username.is_empty() {
            return Err(format!("Field ({}) is required.", field(CONTRACT, CONTRACT.key())));
        }
        let patron = self.patrons.get(&key(username));
        patron
            .map(|patron| patron.value(CONTRACT.key()))
            .ok_or_else(|| format!("There is no user ({}).", shown(username)))
    }

    /// Every `adminsystemid` that an account has.
    pub(super) fn admin_system_ids(&self) -> HashSet<&str> {
        self.patrons.values().map(|patron| patron.value(ADMINSYSTEMID)).filter(|id| !id.is_empty()).collect()
    }

    /// Every form class that was ever named, with its members now. One that is misspelt stays, as it does at Infiniti.
    pub(super) fn form_classes(&self) -> Vec<(&str, usize)> {
        let mut members: BTreeMap<&str, usize> = self.form_classes.iter().map(|class| (class.as_str(), 0)).collect();
        for patron in self.patrons.values() {
            if let Some(count) = members.get_mut(patron.value(FORMCLASS)) {
                *count += 1;
            }
        }
        members.into_iter().collect()
    }

    fn upsert(
        &mut self,
        row: &[(Header, &str)],
        order: &Order<'_>,
        barcodes: &mut Barcodes,
    ) -> Result<Outcome, String> {
        let username = row.iter().find(|(header, _)| *header == CONTRACT.key()).map_or("", |(_, value)| value);
        order.admit(username)?;
        for (header, value) in row {
            check(CONTRACT, *header, value)?;
        }
        let key = key(username);
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
                return Err(format!("Field ({}) is required for a new user.", field(CONTRACT, header)));
            }
        }
        settle_cohort(&mut patron, row)?;
        for header in CONTRACT.iter().filter(|header| is_unique(*header)) {
            let value = patron.value(header);
            if !value.is_empty() && barcodes.get(&(header.index(), value.to_owned())).is_some_and(|owner| *owner != key)
            {
                return Err(format!("Field ({}) is already in use by another user.", field(CONTRACT, header)));
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
        let class = patron.value(FORMCLASS);
        if !class.is_empty() && !self.form_classes.contains(class) {
            self.form_classes.insert(class.to_owned());
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

fn import(store: &mut Store, upload: &Upload, order: &Order<'_>) -> Result<Imported, Refused> {
    let patrons = &mut store.patrons;
    let mut barcodes = patrons.unique_values();
    table::import(
        upload,
        |names| columns(CONTRACT, names, &[CONTRACT.key()]),
        |columns, cells| {
            let row: Vec<(Header, &str)> = columns.iter().copied().zip(cells.iter().copied()).collect();
            patrons.upsert(&row, order, &mut barcodes)
        },
    )
}

/// Who holds a value of a header whose values are unique.
type Barcodes = std::collections::HashMap<(usize, String), String>;

/// A student has exactly one of the cohort's headers, staff have none. What a row names replaces what was stored.
fn settle_cohort(patron: &mut Patron, row: &[(Header, &str)]) -> Result<(), String> {
    let staff = patron.value(STAFFMEMBER) == "Y";
    let named = |header| row.iter().any(|(column, value)| *column == header && !value.is_empty());
    let students_only: Vec<Header> =
        CONTRACT.iter().filter(|header| CONTRACT.rule(*header).holders == Holders::Students).collect();
    if staff {
        for header in students_only {
            if named(header) {
                return Err(format!("Field ({}) is not for staff.", field(CONTRACT, header)));
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

#[cfg(test)]
mod tests {
    use super::super::store;
    use super::*;

    const STUDENT: &str = "username,enabled,staffmember,graduationyear\n";

    fn check_import(store: &mut Store, csv: &str, expected: &str) {
        store::tests::check_import(store, &FEED, "", csv, expected);
    }

    fn value(store: &Store, username: &str, header: &str) -> String {
        store.patrons.patrons[username].value(CONTRACT.header(header).unwrap()).to_owned()
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
        assert_eq!(store.patrons.patrons.len(), 1, "a row that fails leaves nothing");
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
        let upload = Upload { name: "users.csv".into(), bytes: b"username\n\xff\n".as_slice().into() };
        assert_eq!(import(&mut store, &upload, &Order::default()).unwrap_err().reason, "The file is not UTF-8.");
    }
}
