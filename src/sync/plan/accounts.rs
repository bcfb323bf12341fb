//! The accounts that the other feeds hang on: who has one, and who is about to. No I/O, no clock.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use super::{Known, Plan};
use crate::infiniti::contract::{ADMINSYSTEMID, Header, Kind, USERNAME};
use crate::infiniti::fingerprint::Key;
use crate::infiniti::patron::{Patrons, Warning, WarningKind};
use crate::infiniti::payload::cell_value;
use crate::state::Standing;
use crate::state::layer::IDENTIFYING;

/// Who has an account, by the headers that other feeds know a patron by.
#[derive(Debug)]
pub(in crate::sync) struct Accounts {
    hasher: RandomState,
    /// By a hash of header and value, in lower case.
    known: HashMap<u64, Account>,
    /// Prints of the identifiers of those whom the state knows, whom nobody may read tonight.
    prints: HashSet<(Header, [u8; 8])>,
    key: Key,
    staff: Vec<String>,
    /// Whether a patron who is in no state may be in Infiniti all the same: there is none, or the accounts are sent, too.
    takes_coming: bool,
}

/// What is known of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    coming: Coming,
    /// A row of tonight speaks of it, be it rejected.
    is_read: bool,
    /// Infiniti has accepted it.
    is_accepted: bool,
}

/// Whether a row of tonight makes an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coming {
    #[default]
    No,
    Yes,
    /// It would, but the patron is held back.
    HeldBack,
}

impl Accounts {
    /// Of the patrons that were read, and of those that the state knows. `are_sent` says whether this push sends accounts.
    pub(in crate::sync) fn of(users: &Patrons, known: &Known, are_sent: bool) -> Self {
        let mut accounts = Self {
            hasher: RandomState::new(),
            known: HashMap::new(),
            prints: HashSet::new(),
            key: known.key,
            staff: Vec::new(),
            takes_coming: are_sent || !known.is_kept,
        };
        let mut accepted: HashSet<u64> = HashSet::new();
        for entry in known.accepted.entries() {
            let Standing::Active(active) = entry.standing else { continue };
            let hash = accounts.hash(USERNAME, entry.username);
            accepted.insert(hash);
            accounts.known.entry(hash).or_default().is_accepted = true;
            for header in IDENTIFYING {
                accounts.prints.extend(active.print(header).and_then(|print| Some((header, print.try_into().ok()?))));
            }
        }
        for patron in users.order() {
            let username = users.key(*patron);
            let by_username = accounts.hash(USERNAME, &username);
            let is_accepted = accepted.contains(&by_username);
            let account = Account { coming: Coming::Yes, is_read: true, is_accepted };
            accounts.known.insert(by_username, account);
            if let Some((_, cell)) = users.cells(*patron).find(|(header, _)| *header == ADMINSYSTEMID) {
                let hash = accounts.hash(ADMINSYSTEMID, &cell_value(cell));
                accounts.known.insert(hash, account);
            }
            if users.is_staff(*patron) {
                accounts.staff.push(username.into_owned());
            }
        }
        for username in users.rejections.iter().filter_map(|rejection| rejection.username.as_ref()) {
            let hash = accounts.hash(USERNAME, username);
            accounts.known.entry(hash).or_default().is_read = true;
        }
        accounts
    }

    /// Whoever is held back with a new username gets no account tonight, so that nothing else of theirs may be sent.
    pub(in crate::sync) fn hold_back(&mut self, plan: &Plan) {
        for rename in plan.renames.iter().filter(|_| plan.holds_renames) {
            let username = plan.patrons.key(rename.patron);
            self.staff.retain(|other| *other != username);
            for (header, cell) in plan.patrons.cells(rename.patron) {
                if [USERNAME, ADMINSYSTEMID].contains(&header) {
                    let hash = self.hash(header, &cell_value(cell));
                    self.known.entry(hash).or_default().coming = Coming::HeldBack;
                }
            }
        }
    }

    /// Leaves out the patrons of a feed who have no account. Gives how many wait for theirs: those whom a row of tonight gives
    /// one, which this push does not send.
    pub(in crate::sync) fn settle(&self, patrons: &mut Patrons) -> u64 {
        let Some(by) = patrons.contract.account else { return 0 };
        let mut without: Vec<u32> = Vec::new();
        let mut waiting = 0;
        // Before anybody is left out: a group that waits for the account is a group.
        let has_groups = patrons.contract.headers.iter().any(|rule| rule.kind == Kind::Group);
        let staff = if has_groups { self.staff_without_group(patrons) } else { Vec::new() };
        patrons.retain(|patrons, patron| {
            let account = self.find(by, patrons, patron);
            let is_there = account.is_accepted || (account.coming == Coming::Yes && self.takes_coming);
            if !is_there && account.coming != Coming::No {
                waiting += 1;
            } else if !is_there {
                without.push(patron);
            }
            is_there
        });
        patrons.leave_out(&without);
        if !staff.is_empty() {
            let count = staff.len() as u64;
            patrons.warnings.push(Warning { kind: WarningKind::StaffWithoutGroup, count, usernames: staff });
        }
        waiting
    }

    /// Whether nobody reads an account of this key tonight: whoever left has no contacts to miss.
    pub(super) fn is_gone(&self, by: Header, key: &str) -> bool {
        !self.known.get(&self.hash(by, key)).is_some_and(|account| account.is_read)
    }

    fn find(&self, by: Header, patrons: &Patrons, patron: u32) -> Account {
        let key = patrons.key(patron);
        let mut account = self.known.get(&self.hash(by, &key)).copied().unwrap_or_default();
        if !account.is_accepted && IDENTIFYING.contains(&by) {
            let cell = patrons.cells(patron).next().map(|(_, cell)| self.key.print(by, cell).to_le_bytes());
            account.is_accepted = cell.is_some_and(|print| self.prints.contains(&(by, print)));
        }
        account
    }

    /// Staff who are in no group have no access to the library at all.
    fn staff_without_group(&self, patrons: &Patrons) -> Vec<String> {
        let in_a_group: HashSet<String> =
            patrons.order().iter().map(|patron| patrons.key(*patron).to_lowercase()).collect();
        let rejected: HashSet<String> = patrons
            .rejections
            .iter()
            .filter_map(|rejection| Some(rejection.username.as_ref()?.to_lowercase()))
            .collect();
        let is_without = |username: &&String| {
            let lower = username.to_lowercase();
            !in_a_group.contains(&lower) && !rejected.contains(&lower)
        };
        self.staff.iter().filter(is_without).cloned().collect()
    }

    fn hash(&self, by: Header, value: &str) -> u64 {
        self.hasher.hash_one((by.index(), value.to_lowercase()))
    }
}
