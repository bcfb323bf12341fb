//! Patron contacts in the sandbox.
//!
//! One mode is known, `replaceDeclaredPatronsKeepCustomContacts`: a username that stands in the file is declared, and what it
//! had is replaced by its rows in the file. Contacts that were marked custom in Infiniti stay; the sandbox offers no way to
//! mark one, so that none does.
//!
//! Chosen, the pessimistic way: a row that fails declares its patron all the same, so that a patron of whom no row is good
//! loses what they had; the second one of two equal rows fails; a scenario is a word of capitals, and `ANY` and `NONE` stand
//! alone.

use std::collections::BTreeMap;

use super::feed::{Feed, Imported, Order, Outcome, Refused, Upload};
use super::patrons::{Patrons, key};
use super::store::{Record, Store, Values};
use super::table::{self, check, columns};
use crate::infiniti::contract::{CONTACTS, Contract, Header, Kind, Presence};
use crate::infiniti::value::{canonical, reach};

const CONTRACT: &Contract = &CONTACTS;

/// What the page shows of a contact in its patron's row.
pub(super) const ROLE_AND_REACH: [&str; 2] = ["role", "contact"];

pub(super) static FEED: Feed = Feed {
    contract: CONTRACT,
    own_path: None,
    modes: &["replaceDeclaredPatronsKeepCustomContacts"],
    thing: "contact",
    bytes_max: usize::MAX,
    records_name: "contacts",
    records: |store| Box::new(store.contacts.0.values().flatten().map(|contact| Record::new(CONTRACT, contact))),
    import,
};

/// The contacts by the username of their patron, in lower case. Each has its values in the contract's order.
#[derive(Debug, Default)]
pub(super) struct Contacts(BTreeMap<String, Vec<Vec<String>>>);

impl Contacts {
    /// Takes what a file has.
    pub(super) fn insert(&mut self, values: &Values) {
        let contact: Vec<String> =
            CONTRACT.headers.iter().map(|rule| values.get(rule.name).cloned().unwrap_or_default()).collect();
        self.0.entry(key(&contact[CONTRACT.key().index()])).or_default().push(contact);
    }

    /// The contacts of a patron.
    pub(super) fn of(&self, username: &str) -> &[Vec<String>] {
        self.0.get(&key(username)).map(Vec::as_slice).unwrap_or_default()
    }
}

fn import(store: &mut Store, upload: &Upload, order: &Order<'_>) -> Result<Imported, Refused> {
    let Store { patrons, contacts, .. } = store;
    let mut declared: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let imported = table::import(
        upload,
        |names| columns(CONTRACT, names, &needed()),
        |columns, cells| {
            let mut row = vec![""; CONTRACT.headers.len()];
            for (header, cell) in columns.iter().zip(cells) {
                row[header.index()] = cell;
            }
            let key = key(row[CONTRACT.key().index()]);
            let new = declared.entry(key.clone()).or_default();
            order.admit(&key)?;
            let contact = checked(patrons, &row)?;
            if new.contains(&contact) {
                return Err("The same contact stands twice in the file.".to_owned());
            }
            let is_known = contacts.0.get(&key).is_some_and(|stored| stored.contains(&contact));
            new.push(contact);
            Ok(if is_known { Outcome::Updated } else { Outcome::Created })
        },
    )?;
    for (key, new) in declared {
        if new.is_empty() {
            contacts.0.remove(&key);
        } else {
            contacts.0.insert(key, new);
        }
    }
    Ok(imported)
}

/// A row by the contract, as it is stored.
fn checked(patrons: &Patrons, row: &[&str]) -> Result<Vec<String>, String> {
    let username = patrons.spelling(row[CONTRACT.key().index()])?;
    let mut contact = Vec::with_capacity(row.len());
    let mut channel = "";
    for header in CONTRACT.iter() {
        let rule = CONTRACT.rule(header);
        let value = row[header.index()];
        check(CONTRACT, header, value)?;
        if rule.presence == Presence::Content && value.is_empty() {
            return Err(format!("Field ({}) is required.", rule.name));
        }
        let stored = match rule.kind {
            Kind::Channel => {
                channel = canonical(rule.kind, value).unwrap_or(value);
                channel
            }
            // The header of its channel stands before it.
            Kind::Reach => {
                reach(channel, value).map_err(|_| format!("Field ({}) is not a well-formed {channel}.", rule.name))?
            }
            Kind::Codes(_) if !are_codes(value) => {
                return Err(format!("Field ({}) is not ANY, NONE, or codes split by semicolons.", rule.name));
            }
            _ if header == CONTRACT.key() => username,
            kind => canonical(kind, value).unwrap_or(value),
        };
        contact.push(stored.to_owned());
    }
    Ok(contact)
}

/// What a row cannot do without: rows are replaced whole, so that there is nothing to keep in the place of a column.
fn needed() -> Vec<Header> {
    let is_needed =
        |header: &Header| matches!(CONTRACT.rule(*header).presence, Presence::Mandatory | Presence::Content);
    CONTRACT.iter().filter(is_needed).collect()
}

fn are_codes(value: &str) -> bool {
    let is_code = |code: &str| {
        code.starts_with(|first: char| first.is_ascii_uppercase())
            && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut codes = value.split(';');
    codes.all(is_code) && (!value.contains(';') || !value.split(';').any(|code| matches!(code, "ANY" | "NONE")))
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{check_import, store};
    use super::*;

    const HEAD: &str = "username,type,role,primary,addressee,contact,sms,scenarios\n";

    fn import_rows(store: &mut Store, rows: &str, expected: &str) {
        check_import(store, &FEED, FEED.modes[0], &format!("{HEAD}{rows}"), expected);
    }

    fn reaches(store: &Store, username: &str) -> Vec<String> {
        store.contacts.of(username).iter().map(|contact| contact[5].clone()).collect()
    }

    #[test]
    fn the_contacts_of_a_declared_patron_are_replaced_and_those_of_others_stay() {
        let mut store = store("anna,bert");
        import_rows(
            &mut store,
            "anna,email,guardian,Y,Mum,mum@home.example,,ANY\nANNA,phone,patron,no,,0400 000 000,1,OVERDUE;OVERDUE_ESCALATION_ONE\nbert,email,other,N,,b@home.example,,NONE\n",
            "created; created; created",
        );
        assert_eq!(reaches(&store, "anna"), ["mum@home.example", "0400 000 000"]);
        assert_eq!(store.contacts.of("anna")[1][0], "anna", "the account's spelling");
        assert_eq!(store.contacts.of("anna")[1][3], "N");
        import_rows(
            &mut store,
            "anna,email,guardian,Y,Mum,mum@home.example,,ANY\nanna,email,guardian,N,Dad,dad@home.example,,ANY\n",
            "updated; created",
        );
        assert_eq!(reaches(&store, "anna"), ["mum@home.example", "dad@home.example"]);
        assert_eq!(reaches(&store, "bert"), ["b@home.example"]);
    }

    #[test]
    fn rows_are_checked() {
        for (row, expected) in [
            ("nobody,email,guardian,Y,,a@b.example,,ANY", "There is no user (nobody)."),
            (",email,guardian,Y,,a@b.example,,ANY", "Field (username) is required."),
            ("anna,fax,guardian,Y,,a@b.example,,ANY", "Field (type) is not one of the acceptable values."),
            ("anna,email,,Y,,a@b.example,,ANY", "Field (role) is required."),
            ("anna,email,guardian,,,a@b.example,,ANY", "Field (primary) is required."),
            ("anna,email,guardian,maybe,,a@b.example,,ANY", "Field (primary) is not a boolean."),
            ("anna,email,guardian,Y,,,,ANY", "Field (contact) is required."),
            ("anna,email,guardian,Y,,a@,,ANY", "Field (contact) is not a well-formed email."),
            ("anna,phone,guardian,Y,,none,,ANY", "Field (contact) is not a well-formed phone."),
            ("anna,phone,guardian,Y,,0400,often,ANY", "Field (sms) is not a boolean."),
            ("anna,email,guardian,Y,,a@b.example,,", "Field (scenarios) is required."),
            (
                "anna,email,guardian,Y,,a@b.example,,overdue",
                "Field (scenarios) is not ANY, NONE, or codes split by semicolons.",
            ),
            (
                "anna,email,guardian,Y,,a@b.example,,OVERDUE;",
                "Field (scenarios) is not ANY, NONE, or codes split by semicolons.",
            ),
            (
                "anna,email,guardian,Y,,a@b.example,,ANY;OVERDUE",
                "Field (scenarios) is not ANY, NONE, or codes split by semicolons.",
            ),
            ("anna,email,Other,Y,,a@b.example,,SOMETHING_NEW", "created"),
        ] {
            import_rows(&mut store("anna"), &format!("{row}\n"), expected);
        }
    }

    #[test]
    fn a_row_that_fails_declares_its_patron_all_the_same() {
        let mut store = store("anna,bert");
        import_rows(
            &mut store,
            "anna,email,patron,Y,,a@b.example,,ANY\nbert,email,patron,Y,,b@b.example,,ANY\n",
            "created; created",
        );
        import_rows(&mut store, "anna,email,patron,Y,,a@,,ANY\n", "Field (contact) is not a well-formed email.");
        assert!(reaches(&store, "anna").is_empty());
        assert_eq!(reaches(&store, "bert"), ["b@b.example"]);
        let twice = "bert,email,patron,Y,,b@b.example,,ANY\n".repeat(2);
        import_rows(&mut store, &twice, "updated; The same contact stands twice in the file.");
        assert_eq!(reaches(&store, "bert").len(), 1);
    }

    #[test]
    fn files_that_are_no_contacts_are_refused_whole() {
        let mut store = store("anna");
        for (csv, expected) in [
            ("username,type\nanna,email\n", "refused: Column header (role) is missing."),
            ("username,enabled,staffmember\nanna,Y,Y\n", "refused: Unknown column header (enabled)."),
        ] {
            check_import(&mut store, &FEED, FEED.modes[0], csv, expected);
        }
        assert!(
            FEED.mode("/api/import/userContacts/replaceAll").unwrap_err().reason.contains("Unknown mode (replaceAll)")
        );
    }
}
