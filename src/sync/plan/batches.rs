//! Batches: who goes into which POST, with which headers.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::{Change, Leaver, Stage};
use crate::infiniti::client::Payload as _;
use crate::infiniti::contract::{ENABLED, HeaderSet, STAFFMEMBER, USERNAME};
use crate::infiniti::image::{END_BYTES, ENTRIES_MAX, FITTED_BYTES_MAX, entry_bytes};
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::{Csv, Deactivations, Portraits, description};
use crate::mapping::{Feed, Mapping};

/// One POST.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What it does.
    pub kind: BatchKind,
    /// The headers that its patrons fill, and of a CSV just these: a blank cell might clear what Infiniti holds.
    pub headers: HeaderSet,
    /// Its rows, or its pictures.
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

/// What a batch holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Of patrons that the source has.
    Patrons(Arc<Csv>),
    /// Of leavers.
    Leavers(Arc<Deactivations>),
    /// Of pictures, which are read when they are sent.
    Pictures(Arc<Portraits>),
}

impl Content {
    /// The patron of this number in the batch, counted from 0; nothing for a leaver.
    pub fn patron(&self, number: usize) -> Option<u32> {
        match self {
            Self::Patrons(csv) => Some(csv.patron(number)),
            Self::Leavers(_) => None,
            Self::Pictures(portraits) => Some(portraits.patron(number)),
        }
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        match self {
            Self::Patrons(csv) => csv.rows(),
            Self::Leavers(csv) => csv.rows(),
            Self::Pictures(portraits) => portraits.patrons(),
        }
    }

    /// How many patrons these belong to.
    pub fn patrons(&self) -> usize {
        match self {
            Self::Patrons(csv) => csv.patrons(),
            Self::Leavers(csv) => csv.rows(),
            Self::Pictures(portraits) => portraits.patrons(),
        }
    }

    /// Some of its patrons, as a batch of their own.
    #[must_use]
    pub fn part(&self, patrons: Range<usize>) -> Self {
        match self {
            Self::Patrons(csv) => Self::Patrons(Arc::new(csv.part(patrons))),
            Self::Leavers(csv) => Self::Leavers(Arc::new(csv.part(patrons))),
            Self::Pictures(portraits) => Self::Pictures(Arc::new(portraits.part(patrons))),
        }
    }

    /// Those of its patrons that are wanted, as a batch of their own.
    #[must_use]
    pub fn only(&self, is_wanted: impl FnMut(u32) -> bool) -> Self {
        match self {
            Self::Patrons(csv) => Self::Patrons(Arc::new(csv.only(is_wanted))),
            Self::Leavers(csv) => Self::Leavers(Arc::clone(csv)),
            Self::Pictures(portraits) => Self::Pictures(Arc::new(portraits.only(is_wanted))),
        }
    }
}

/// How much one batch may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Most {
    /// So many rows; without a number all.
    Rows(Option<NonZeroUsize>),
    /// So many bytes of a zip.
    Zip {
        /// So many.
        bytes: u64,
        /// Whether pictures are brought within a size.
        is_resized: bool,
    },
}

impl Most {
    /// What the mapping says of a feed.
    pub(super) fn of(mapping: &Mapping, feed: &Feed) -> Self {
        match &feed.images {
            Some(images) => Self::Zip { bytes: images.max_zip, is_resized: images.resize },
            None => Self::Rows(mapping.target.batch_rows),
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
    most: Most,
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
        for range in ranges(rows.iter().map(|patron| weight(patrons, *patron, most)), most) {
            let (patrons, rows) = (Arc::clone(patrons), Arc::clone(&rows));
            let content = match most {
                Most::Rows(_) => Content::Patrons(Arc::new(Csv::new(patrons, headers, rows, range))),
                Most::Zip { .. } => Content::Pictures(Arc::new(Portraits::new(patrons, rows, range))),
            };
            batches.push(Batch { kind, headers, content });
        }
    }
    let due: Arc<[(String, bool)]> = leavers
        .iter()
        .filter(|leaver| leaver.stage == Stage::Due)
        .map(|leaver| (leaver.username.clone(), leaver.is_staff))
        .collect();
    let headers = [USERNAME, ENABLED, STAFFMEMBER].into_iter().collect();
    for range in ranges(due.iter().map(|_| 1), most) {
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

/// What a patron adds to a batch, in the measure of its most.
fn weight(patrons: &Patrons, patron: u32, most: Most) -> u64 {
    match most {
        Most::Rows(_) => patrons.line_count(patron) as u64,
        Most::Zip { is_resized, .. } => {
            let bytes = description(patrons, patron).map_or(0, |picture| picture.bytes as usize);
            // How small it becomes is known when it is sent; this much it never passes.
            let bytes = if is_resized { bytes.min(FITTED_BYTES_MAX) } else { bytes };
            entry_bytes(patrons.key(patron).len(), bytes) as u64
        }
    }
}

/// Parts of a list, each as long as its weights together are within the most. What is over it alone is alone.
fn ranges(weights: impl ExactSizeIterator<Item = u64>, most: Most) -> Vec<Range<usize>> {
    let is_zip = matches!(most, Most::Zip { .. });
    let most = match most {
        Most::Rows(rows) => rows.map_or(u64::MAX, |rows| rows.get() as u64),
        Most::Zip { bytes, .. } => bytes.saturating_sub(END_BYTES as u64),
    };
    let longest = if is_zip { ENTRIES_MAX } else { usize::MAX };
    let count = weights.len();
    let (mut ranges, mut start, mut sum) = (Vec::new(), 0, 0_u64);
    for (at, weight) in weights.enumerate() {
        if at > start && (sum.saturating_add(weight) > most || at - start >= longest) {
            ranges.push(start..at);
            (start, sum) = (at, 0);
        }
        sum = sum.saturating_add(weight);
    }
    if start < count {
        ranges.push(start..count);
    }
    ranges
}
