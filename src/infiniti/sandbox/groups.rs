//! Library groups in the sandbox: who is in which.
//!
//! The vendor's path is not known: here it is the sandbox's own, `/sandbox/groups/{mode}`, with the modes `add` and
//! `replace`. Nor is the name of the group's column: any name beside `username` will do.
//!
//! Chosen, the pessimistic way: a group that does not exist fails its row, and a name is compared to the letter; with
//! `replace`, a row that fails declares its patron all the same, who then loses the groups that the file does not name. There
//! is always a group of the system's, which an allow-list should keep people out of.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::feed::{Feed, Imported, Order, Outcome, Refused, Upload};
use super::patrons::key;
use super::store::{Record, Store, Values};
use super::table::{self, shown};
use crate::infiniti::contract::{Contract, GROUP, GROUPS};

const CONTRACT: &Contract = &GROUPS;
/// The mode in which what a patron of the file had is taken away.
const REPLACE: &str = "replace";

/// The groups that exist unless others are named.
pub const DEFAULT_GROUPS: [&str; 3] = ["Students", "Staff", "Senior Students"];
/// The group that always exists, and is the system's own.
pub const SYSTEM_GROUP: &str = "System Administrators";

pub(super) static FEED: Feed = Feed {
    contract: CONTRACT,
    own_path: Some("/sandbox/groups/{mode}"),
    modes: &["add", REPLACE],
    thing: "membership",
    bytes_max: usize::MAX,
    records_name: "groups",
    records: |store| {
        let names = [CONTRACT.rule(CONTRACT.key()).name, CONTRACT.rule(GROUP).name];
        Box::new(store.groups.iter().map(move |row| Record(names.into_iter().zip(row.map(Cow::Borrowed)).collect())))
    },
    import,
};

/// The groups, and their members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    existing: BTreeSet<String>,
    /// The groups of each member, by username in lower case.
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Default)]
struct Member {
    username: String,
    groups: BTreeSet<String>,
}

impl Groups {
    /// Makes groups, beside the system's.
    pub(super) fn make(&mut self, names: &[String]) {
        self.existing.extend(names.iter().cloned());
        self.existing.insert(SYSTEM_GROUP.to_owned());
    }

    /// Takes what a file has. Its groups exist.
    pub(super) fn insert(&mut self, values: &Values) {
        let value = |header| values.get(CONTRACT.rule(header).name).cloned().unwrap_or_default();
        let (username, group) = (value(CONTRACT.key()), value(GROUP));
        self.existing.insert(group.clone());
        let member = self.members.entry(key(&username)).or_default();
        member.username = username;
        member.groups.insert(group);
    }

    /// Every membership as `username` and `group`, in the order of usernames.
    fn iter(&self) -> impl Iterator<Item = [&str; 2]> {
        self.members
            .values()
            .flat_map(|member| member.groups.iter().map(|group| [member.username.as_str(), group.as_str()]))
    }

    /// The groups of a patron.
    pub(super) fn of(&self, username: &str) -> impl Iterator<Item = &str> {
        self.members.get(&key(username)).into_iter().flat_map(|member| member.groups.iter().map(String::as_str))
    }

    /// Every group that exists, with how many members it has.
    pub(super) fn counts(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = self.existing.iter().map(|group| (group.as_str(), 0)).collect();
        for [_, group] in self.iter() {
            *counts.entry(group).or_default() += 1;
        }
        counts.into_iter().collect()
    }
}

fn import(store: &mut Store, upload: &Upload, order: &Order<'_>) -> Result<Imported, Refused> {
    let Store { patrons, groups, .. } = store;
    let mut declared: BTreeMap<String, Member> = BTreeMap::new();
    let imported = table::import(upload, columns, |(username, group), cells| {
        let (name, group) = (cells[*username], cells[*group]);
        let new = declared.entry(key(name)).or_default();
        order.admit(name)?;
        let username = patrons.spelling(name)?;
        if group.is_empty() {
            return Err("Field (group) is required.".to_owned());
        }
        if !groups.existing.contains(group) {
            return Err(format!("There is no group ({}).", shown(group)));
        }
        username.clone_into(&mut new.username);
        if !new.groups.insert(group.to_owned()) {
            return Err("The same membership stands twice in the file.".to_owned());
        }
        let is_known = groups.members.get(&key(name)).is_some_and(|member| member.groups.contains(group));
        Ok(if is_known { Outcome::Updated } else { Outcome::Created })
    })?;
    for (key, new) in declared {
        if order.mode == REPLACE {
            groups.members.remove(&key);
        }
        if !new.groups.is_empty() {
            let member = groups.members.entry(key).or_default();
            member.username = new.username;
            member.groups.extend(new.groups);
        }
    }
    Ok(imported)
}

/// Where the username and the group stand: the group is whatever is not the username.
fn columns(names: &[&str]) -> Result<(usize, usize), String> {
    let key = CONTRACT.rule(CONTRACT.key()).name;
    match names {
        [first, second] if first.eq_ignore_ascii_case(key) && !second.eq_ignore_ascii_case(key) => Ok((0, 1)),
        [first, second] if second.eq_ignore_ascii_case(key) && !first.eq_ignore_ascii_case(key) => Ok((1, 0)),
        _ => Err(format!("The columns are to be {key} and one other, which is the group's.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{check_import, store};
    use super::*;

    fn of(store: &Store, username: &str) -> String {
        store.groups.of(username).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn one_mode_adds_and_the_other_replaces_for_the_patrons_in_the_file() {
        let mut store = store("anna,bert");
        check_import(&mut store, &FEED, "add", "username,group\nanna,Students\nbert,Staff\n", "created; created");
        check_import(
            &mut store,
            &FEED,
            "add",
            "Whatever,USERNAME\nSenior Students,ANNA\nStudents,anna\n",
            "created; updated",
        );
        assert_eq!(of(&store, "anna"), "Senior Students, Students");
        check_import(&mut store, &FEED, "replace", "username,group\nanna,Students\n", "updated");
        assert_eq!((of(&store, "anna"), of(&store, "bert")), ("Students".to_owned(), "Staff".to_owned()));
        check_import(&mut store, &FEED, "replace", "username,group\nanna,Studnets\n", "There is no group (Studnets).");
        assert_eq!(of(&store, "anna"), "", "a row that fails declares its patron all the same");
    }

    #[test]
    fn rows_are_checked() {
        for (row, expected) in [
            ("nobody,Students", "There is no user (nobody)."),
            (",Students", "Field (username) is required."),
            ("anna,", "Field (group) is required."),
            ("anna,students", "There is no group (students)."),
            ("anna,System Administrators", "created"),
        ] {
            check_import(&mut store("anna"), &FEED, "add", &format!("username,group\n{row}\n"), expected);
        }
        for head in ["username", "group", "username,group,more", "username,username"] {
            let refused = "refused: The columns are to be username and one other, which is the group's.";
            check_import(&mut store("anna"), &FEED, "add", &format!("{head}\n"), refused);
        }
    }
}
