//! What a push would do: decided before anything is sent, printed by a rehearsal, carried out by a push. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::infiniti::contract::HeaderSet;
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::Csv;
use crate::mapping::{Limit, Limits};

/// What a push would do.
#[derive(Debug)]
pub struct Plan {
    /// The patrons and rejections it was made of.
    pub patrons: Arc<Patrons>,
    /// The batches, in the order in which they are sent.
    pub batches: Vec<Batch>,
    /// The limits it is over. Unless empty, nothing may be sent.
    pub stops: Vec<Stop>,
    /// Headers that are left out since nobody is known to be new.
    pub left_out: HeaderSet,
}

/// One POST.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The headers of its CSV: just those that its patrons fill, since a blank cell might clear what Infiniti holds.
    pub headers: HeaderSet,
    /// Its CSV.
    pub csv: Arc<Csv>,
}

/// A limit that a plan is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// An extract gave fewer rows than `min_rows`.
    TooFewRows {
        /// The extract.
        extract: String,
        /// Its rows.
        rows: u64,
        /// The limit.
        min_rows: u64,
    },
    /// More rows were rejected than `max_rejections`.
    TooManyRejections {
        /// Rejected rows.
        rejected: u64,
        /// Rows read.
        rows: u64,
        /// The limit.
        limit: Limit,
    },
}

impl Plan {
    /// A plan that sends every patron, with no knowledge of what Infiniti holds.
    pub fn full(patrons: Patrons, limits: &Limits, batch_rows: Option<std::num::NonZeroUsize>) -> Self {
        let stops = stops(&patrons, limits);
        let patrons = Arc::new(patrons);
        let left_out = patrons.create_only();
        let mut groups: BTreeMap<HeaderSet, Vec<u32>> = BTreeMap::new();
        // Neighbours often fill the same headers: the map is asked once a run of them.
        let headers = |patron: u32| patrons.headers(patron).without(left_out);
        for run in patrons.order().chunk_by(|a, b| headers(*a) == headers(*b)) {
            let Some(first) = run.first() else { continue };
            groups.entry(headers(*first)).or_default().extend_from_slice(run);
        }
        let mut batches = Vec::new();
        for (headers, rows) in groups {
            let rows: Arc<[u32]> = rows.into();
            let size = batch_rows.map_or(rows.len(), std::num::NonZeroUsize::get);
            for start in (0..rows.len()).step_by(size.max(1)) {
                let range = start..rows.len().min(start + size);
                let csv = Csv::new(patrons.contract, Arc::clone(&patrons), headers, Arc::clone(&rows), range);
                batches.push(Batch { headers, csv: Arc::new(csv) });
            }
        }
        Self { patrons, batches, stops, left_out }
    }
}

fn stops(patrons: &Patrons, limits: &Limits) -> Vec<Stop> {
    let mut stops = Vec::new();
    for extract in &patrons.extracts {
        if extract.rows < limits.min_rows {
            stops.push(Stop::TooFewRows {
                extract: extract.name.clone(),
                rows: extract.rows,
                min_rows: limits.min_rows,
            });
        }
    }
    let (rejected, rows) = (patrons.rejections.len() as u64, patrons.rows());
    let limit = limits.max_rejections;
    if limit.is_exceeded(rejected, rows) {
        stops.push(Stop::TooManyRejections { rejected, rows, limit });
    }
    stops
}
