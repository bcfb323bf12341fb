//! What a push would do with one patron, as far as that patron's row and the state can tell. No I/O, no clock.

use jiff::Timestamp;

use super::comparison::Comparison;
use super::{Asked, Change, Known, Leaver, Rename, Scope, batches, leavers, left_out, scope, signature};
use crate::infiniti::contract::HeaderSet;
use crate::infiniti::patron::Patrons;
use crate::mapping::{Feed, Mapping};

/// What a push would do with one patron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// Who is sent, and why.
    pub scope: Scope,
    /// Why the patron is sent; `None` if Infiniti has it as it is.
    pub change: Option<Change>,
    /// The headers that are sent.
    pub sent: HeaderSet,
    /// Whether the patron is not sent since other rows of it are rejected, so that Infiniti keeps what it has.
    pub is_kept: bool,
    /// A patron that Infiniti has under another username, and that none of the rows read so far is.
    pub rename: Option<Rename>,
}

impl Prospect {
    /// Looks at a patron of `patrons` with the eyes of [`Plan`](super::Plan). Both decide by the same code.
    pub fn of(
        patrons: &Patrons,
        patron: u32,
        (mapping, feed): (&Mapping, &Feed),
        known: &Known,
        now: Timestamp,
    ) -> Self {
        let asked = Asked::default();
        let scope = scope(mapping, &known.facts, &signature(feed), asked, now);
        let username = patrons.key(patron);
        let entry = known.entry(&username);
        let (change, is_kept) = Comparison::one(patrons, patron, entry.as_ref(), known, scope, now);
        let create_only = patrons.create_only();
        let sent = change.map_or(HeaderSet::default(), |change| {
            batches::group(patrons, &change, create_only, left_out(create_only, known, asked)).1
        });
        let rename = change.filter(|change| !change.is_known).and_then(|change| {
            let mut absent: Vec<Leaver> = Comparison::of(patrons, known, None, scope, now).leavers;
            leavers::find_renames(patrons, &known.key, &[change], &mut absent).pop()
        });
        Self { scope, change, sent, is_kept, rename }
    }
}
