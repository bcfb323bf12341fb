//! Patrons that Infiniti has and the source has no longer, and those that only have a new username.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Change;
use crate::infiniti::contract::Header;
use crate::infiniti::fingerprint::Key;
use crate::infiniti::patron::Patrons;
use crate::mapping::{LeaverAction, Leavers};
use crate::state::layer::IDENTIFYING;
use crate::state::{Entry, Moment, Standing};

/// A patron that Infiniti has and the source has no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// The key.
    pub username: String,
    /// Whether the patron is staff.
    pub is_staff: bool,
    /// Since when the patron is missing.
    pub since: Moment,
    /// Whether that was noticed just now.
    pub is_new: bool,
    /// What happens.
    pub stage: Stage,
    /// The prints that identify the person.
    prints: [Option<[u8; 8]>; 2],
}

/// What happens with a leaver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing but being told.
    Reported,
    /// Will be deactivated then, unless the patron is back.
    Grace {
        /// When.
        until: Timestamp,
    },
    /// Is deactivated now.
    Due,
    /// Would be deactivated now, but see [`Wait`].
    Waits,
    /// Seems to have another username now.
    Renamed,
    /// Was sent once and never accepted: nobody knows whether Infiniti has the patron.
    Uncertain,
}

impl Stage {
    /// A stable name, for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Grace { .. } => "grace",
            Self::Due => "due",
            Self::Waits => "waits",
            Self::Renamed => "renamed",
            Self::Uncertain => "uncertain",
        }
    }
}

/// Why leavers are not deactivated now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An extract gave no rows.
    EmptyExtract(String),
    /// Some rejected rows have no username: they may be the leavers'.
    NamelessRows(u64),
}

/// A patron that seems to have a new username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The username that Infiniti has.
    pub old: String,
    /// The patron, by its number, with the new one.
    pub patron: u32,
    /// What both have the same value of.
    pub header: Header,
}

/// What to do with patrons whose username seems to have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renames {
    /// Send neither, and say so.
    #[default]
    Hold,
    /// The usernames were changed in Infiniti, too: the new one is known, the old one is forgotten.
    Realigned,
    /// They are two people: a new patron and a leaver.
    Separate,
}

impl Leaver {
    pub(super) fn of(entry: &Entry<'_>, now: Timestamp) -> Self {
        let prints = match entry.standing {
            Standing::Active(active) => IDENTIFYING.map(|header| active.print(header)?.try_into().ok()),
            Standing::New | Standing::Deactivated { .. } => [None, None],
        };
        let stage = if entry.standing == Standing::New { Stage::Uncertain } else { Stage::Reported };
        Self {
            username: entry.username.to_owned(),
            is_staff: entry.is_staff,
            since: entry.missing_since.unwrap_or_else(|| now.into()),
            is_new: entry.missing_since.is_none(),
            stage,
            prints,
        }
    }
}

/// Finds new patrons with the barcode or the admin id of a leaver.
pub(super) fn find_renames(patrons: &Patrons, key: &Key, changes: &[Change], leavers: &mut [Leaver]) -> Vec<Rename> {
    // Only accounts have a username of their own that could change.
    if patrons.contract.account.is_some() {
        return Vec::new();
    }
    let mut by_print: HashMap<(Header, [u8; 8]), usize> = HashMap::new();
    for (index, leaver) in leavers.iter().enumerate() {
        for (header, print) in IDENTIFYING.iter().zip(leaver.prints) {
            by_print.extend(print.map(|print| ((*header, print), index)));
        }
    }
    if by_print.is_empty() {
        return Vec::new();
    }
    let mut renames = Vec::new();
    for change in changes.iter().filter(|change| !change.is_known) {
        let found = patrons.cells(change.patron).find_map(|(header, cell)| {
            let is_identifying = IDENTIFYING.contains(&header) && !cell.is_empty();
            let print = is_identifying.then(|| key.print(header, cell).to_le_bytes())?;
            by_print.get(&(header, print)).map(|leaver| (header, *leaver))
        });
        if let Some((header, leaver)) = found
            && leavers[leaver].stage != Stage::Renamed
        {
            leavers[leaver].stage = Stage::Renamed;
            renames.push(Rename { old: leavers[leaver].username.clone(), patron: change.patron, header });
        }
    }
    renames.sort_by(|a, b| crate::state::layer::compare_keys(&a.old, &b.old));
    renames
}

/// Decides what happens with each leaver, and why nothing does.
pub(super) fn settle(
    leavers: &mut [Leaver],
    patrons: &Patrons,
    settings: Leavers,
    renames: Renames,
    now: Timestamp,
) -> Option<Wait> {
    let empty = patrons.extracts.iter().find(|extract| extract.rows == 0);
    let nameless = patrons.rejections.iter().filter(|rejection| rejection.username.is_none()).count() as u64;
    let wait = match empty {
        Some(extract) => Some(Wait::EmptyExtract(extract.name.clone())),
        None => (nameless > 0).then_some(Wait::NamelessRows(nameless)),
    };
    for leaver in &mut *leavers {
        let is_held = leaver.stage == Stage::Renamed && renames == Renames::Hold;
        if is_held || leaver.stage == Stage::Uncertain || settings.action != LeaverAction::Deactivate {
            continue;
        }
        // A clock that went back only makes the wait longer.
        let until = leaver.since.timestamp() + settings.after;
        leaver.stage = match wait {
            _ if until > now => Stage::Grace { until },
            Some(_) => Stage::Waits,
            None => Stage::Due,
        };
    }
    wait.filter(|_| leavers.iter().any(|leaver| leaver.stage == Stage::Waits))
}
