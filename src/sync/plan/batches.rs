//! Batches: who goes into which POST, with which headers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::{Change, Leaver, Stage};
use crate::infiniti::client::Payload;
use crate::infiniti::contract::{ENABLED, HeaderSet, STAFFMEMBER, USERNAME};
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::{Csv, Deactivations};

/// One POST.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What it does.
    pub kind: BatchKind,
    /// The headers of its CSV: just those that its patrons fill, since a blank cell might clear what Infiniti holds.
    pub headers: HeaderSet,
    /// Its CSV.
    pub content: Content,
}

/// What a batch does.
// In the order in which batches are sent: updates first, since a barcode that passes from one patron to another is free
// only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchKind {
    /// Patrons that Infiniti knows.
    Update,
    /// Patrons that it does not know.
    Create,
    /// Leavers.
    Deactivate,
}

impl BatchKind {
    /// A stable name, for logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Create => "create",
            Self::Deactivate => "deactivate",
        }
    }
}

/// The CSV of a batch.
#[derive(Clone, Debug)]
pub enum Content {
    /// Of patrons that the source has.
    Patrons(Arc<Csv>),
    /// Of leavers.
    Leavers(Arc<Deactivations>),
}

impl Content {
    /// As it is sent.
    pub fn payload(&self) -> Arc<dyn Payload> {
        match self {
            Self::Patrons(csv) => Arc::<Csv>::clone(csv),
            Self::Leavers(csv) => Arc::<Deactivations>::clone(csv),
        }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        match self {
            Self::Patrons(csv) => csv.rows(),
            Self::Leavers(csv) => csv.rows(),
        }
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        match self {
            Self::Patrons(csv) => csv.length(),
            Self::Leavers(csv) => csv.length(),
        }
    }

    /// Some of its rows, as a CSV of their own.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Patrons(csv) => Self::Patrons(Arc::new(csv.part(rows))),
            Self::Leavers(csv) => Self::Leavers(Arc::new(csv.part(rows))),
        }
    }
}

/// Puts patrons that fill the same headers into batches.
pub(super) fn make(
    patrons: &Arc<Patrons>,
    changes: &[Change],
    leavers: &[Leaver],
    create_only: HeaderSet,
    left_out: HeaderSet,
    batch_rows: Option<NonZeroUsize>,
) -> Vec<Batch> {
    let mut groups: BTreeMap<(BatchKind, HeaderSet), Vec<u32>> = BTreeMap::new();
    let group = |change: &Change| group(patrons, change, create_only, left_out);
    // Neighbours often fill the same headers: the map is asked once a run of them.
    let mut run: Vec<u32> = Vec::new();
    let mut of = None;
    for change in changes {
        let next = group(change);
        if of != Some(next)
            && let Some(of) = of.replace(next)
        {
            groups.entry(of).or_default().append(&mut run);
        }
        run.push(change.patron);
    }
    if let Some(of) = of {
        groups.entry(of).or_default().append(&mut run);
    }
    let mut batches = Vec::new();
    for ((kind, headers), rows) in groups {
        let rows: Arc<[u32]> = rows.into();
        for range in ranges(rows.len(), batch_rows) {
            let csv = Csv::new(Arc::clone(patrons), headers, Arc::clone(&rows), range);
            batches.push(Batch { kind, headers, content: Content::Patrons(Arc::new(csv)) });
        }
    }
    let due: Arc<[(String, bool)]> = leavers
        .iter()
        .filter(|leaver| leaver.stage == Stage::Due)
        .map(|leaver| (leaver.username.clone(), leaver.is_staff))
        .collect();
    let headers = [USERNAME, ENABLED, STAFFMEMBER].into_iter().collect();
    for range in ranges(due.len(), batch_rows) {
        let csv = Deactivations::new(patrons.contract, Arc::clone(&due), range);
        batches.push(Batch { kind: BatchKind::Deactivate, headers, content: Content::Leavers(Arc::new(csv)) });
    }
    batches
}

/// What a patron's batch does, and the headers that it sends.
pub(super) fn group(
    patrons: &Patrons,
    change: &Change,
    create_only: HeaderSet,
    left_out: HeaderSet,
) -> (BatchKind, HeaderSet) {
    let headers = patrons.headers(change.patron);
    if change.is_known {
        (BatchKind::Update, headers.without(create_only))
    } else {
        (BatchKind::Create, headers.without(left_out))
    }
}

fn ranges(rows: usize, batch_rows: Option<NonZeroUsize>) -> impl Iterator<Item = Range<usize>> {
    let size = batch_rows.map_or(rows, NonZeroUsize::get).max(1);
    (0..rows).step_by(size).map(move |start| start..rows.min(start + size))
}
