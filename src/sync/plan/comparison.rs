//! Who is new, changed, back or gone: the patrons of the source beside those of the state.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::Timestamp;

use super::accounts::Accounts;
use super::{Change, Known, Leaver, Reason, Scope};
use crate::infiniti::contract::{HeaderSet, Rows, USERNAME};
use crate::infiniti::fingerprint::{Fingerprint, Key};
use crate::infiniti::patron::Patrons;
use crate::state::layer::{Entries, Prints, compare_keys};
use crate::state::{Entry, Outcome, Standing};

/// The patrons of the source beside those of the state.
pub(super) struct Comparison<'p> {
    patrons: &'p Patrons,
    known_as: &'p Known,
    scope: Scope,
    now: Timestamp,
    pub(super) changes: Vec<Change>,
    pub(super) unchanged: u64,
    pub(super) leavers: Vec<Leaver>,
    pub(super) returned: Vec<u32>,
    pub(super) forgotten: Vec<String>,
    /// Patrons of whom Infiniti has other rows than the source has now, some of which are rejected.
    pub(super) kept: Vec<u32>,
    accounts: Option<&'p Accounts>,
    pub(super) known: u64,
    /// How many entries the state has.
    pub(super) entries: u64,
    prints: Prints,
}

impl<'p> Comparison<'p> {
    pub(super) fn of(
        patrons: &'p Patrons,
        known: &'p Known,
        accounts: Option<&'p Accounts>,
        scope: Scope,
        now: Timestamp,
    ) -> Self {
        let mut comparison = Self { accounts, ..Self::empty(patrons, known, scope, now) };
        comparison.run(known.accepted.entries());
        comparison
    }

    fn empty(patrons: &'p Patrons, known: &'p Known, scope: Scope, now: Timestamp) -> Self {
        Self {
            patrons,
            known_as: known,
            scope,
            now,
            changes: Vec::new(),
            unchanged: 0,
            leavers: Vec::new(),
            returned: Vec::new(),
            forgotten: Vec::new(),
            kept: Vec::new(),
            accounts: None,
            known: 0,
            entries: 0,
            prints: Prints::default(),
        }
    }

    /// Why one patron would be sent; `None` if Infiniti has it as it is. `entry` is what the state has of the patron. And
    /// whether Infiniti keeps what it has, though it is not what the source has.
    pub(super) fn one(
        patrons: &'p Patrons,
        patron: u32,
        entry: Option<&Entry<'_>>,
        known: &'p Known,
        scope: Scope,
        now: Timestamp,
    ) -> (Option<Change>, bool) {
        let mut comparison = Self::empty(patrons, known, scope, now);
        match entry {
            Some(entry) => {
                let fingerprint = known.key.fingerprint(patrons.digest(patron));
                comparison.present(patron, entry, is_same(entry, fingerprint));
            }
            None => comparison.unknown(patron),
        }
        (comparison.changes.pop(), !comparison.kept.is_empty())
    }

    /// Walks both lists, which are in key order, side by side.
    fn run(&mut self, mut entries: Entries<'p>) {
        // A patron whose row is rejected tonight has not left.
        let rejected: HashSet<String> = self
            .patrons
            .rejections
            .iter()
            .filter_map(|rejection| rejection.username.as_ref().map(|username| username.to_lowercase()))
            .collect();
        let mut next = entries.next();
        for patron in self.patrons.order() {
            loop {
                let Some(entry) = next else {
                    self.unknown(*patron);
                    break;
                };
                let fingerprint = self.known_as.key.fingerprint(self.patrons.digest(*patron));
                // The same fingerprint is the same row, so the same username: a look at the names is spared.
                let is_same = is_same(&entry, fingerprint);
                let order =
                    if is_same { Ordering::Equal } else { compare_keys(entry.username, &self.patrons.key(*patron)) };
                match order {
                    Ordering::Less => {
                        self.absent(&entry, &rejected);
                        next = entries.next();
                    }
                    Ordering::Equal => {
                        self.present(*patron, &entry, is_same);
                        next = entries.next();
                        break;
                    }
                    Ordering::Greater => {
                        self.unknown(*patron);
                        break;
                    }
                }
            }
        }
        while let Some(entry) = next {
            self.absent(&entry, &rejected);
            next = entries.next();
        }
    }

    fn unknown(&mut self, patron: u32) {
        self.changes.push(Change { patron, reason: Reason::New, headers: HeaderSet::default(), is_known: false });
    }

    fn present(&mut self, patron: u32, entry: &Entry<'_>, is_same: bool) {
        self.entries += 1;
        if entry.missing_since.is_some() || matches!(entry.standing, Standing::Deactivated { .. }) {
            self.returned.push(patron);
        }
        let (reason, headers, is_known) = match entry.standing {
            Standing::Active(active) => {
                self.known += 1;
                let mut headers = HeaderSet::default();
                if !is_same {
                    if self.patrons.is_partial(patron) {
                        self.kept.push(patron);
                        return;
                    }
                    take_prints(&mut self.prints, &self.known_as.key, self.patrons, patron);
                    headers = active.changed(&self.prints);
                    if entry.username != self.patrons.key(patron) {
                        headers.insert(USERNAME);
                    }
                }
                let reason = match entry.outcome {
                    _ if !is_same => Reason::Changed,
                    Outcome::Failed => Reason::Failed,
                    Outcome::Unknown => Reason::Unknown,
                    Outcome::Accepted if self.scope == Scope::Delta => {
                        self.unchanged += 1;
                        return;
                    }
                    Outcome::Accepted => Reason::Resent,
                };
                (reason, headers, true)
            }
            Standing::Deactivated { .. } => (Reason::Returned, HeaderSet::default(), true),
            Standing::New => match entry.outcome {
                Outcome::Failed => (Reason::Failed, HeaderSet::default(), false),
                Outcome::Unknown | Outcome::Accepted => (Reason::Unknown, HeaderSet::default(), false),
            },
        };
        self.changes.push(Change { patron, reason, headers, is_known });
    }

    fn absent(&mut self, entry: &Entry<'_>, rejected: &HashSet<String>) {
        let is_active = matches!(entry.standing, Standing::Active(_));
        self.entries += 1;
        self.known += u64::from(is_active);
        if !rejected.is_empty() && rejected.contains(&entry.username.to_lowercase()) {
            return;
        }
        if let (Some(accounts), Some(by)) = (self.accounts, self.patrons.contract.account)
            && accounts.is_gone(by, entry.username)
        {
            self.forgotten.push(entry.username.to_owned());
            return;
        }
        match (entry.standing, entry.outcome) {
            (Standing::Deactivated { .. }, _) => {}
            (Standing::New, Outcome::Failed) => self.forgotten.push(entry.username.to_owned()),
            (Standing::New | Standing::Active(_), _) => self.leavers.push(Leaver::of(entry, self.now)),
        }
    }
}

/// Takes the prints of a patron: of each header's cell, or of all its cells where a patron has several rows.
pub(in crate::sync) fn take_prints(prints: &mut Prints, key: &Key, patrons: &Patrons, patron: u32) {
    match patrons.contract.rows {
        Rows::One => prints.take(key, patrons.digested_cells(patron)),
        Rows::Several => {
            let columns = patrons.columns(patron);
            prints.take(key, columns.iter().map(|(header, cells)| (*header, cells.as_slice())));
        }
    }
}

fn is_same(entry: &Entry<'_>, fingerprint: Fingerprint) -> bool {
    matches!(entry.standing, Standing::Active(active) if active.fingerprint == fingerprint)
}
