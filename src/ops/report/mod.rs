//! What happened, as numbers and as a page.
//!
//! Two stages without I/O and without a clock: [`figures`] makes numbers of the runs of a history, [`page`] makes HTML of
//! the numbers. [`serve`] shows the page to a browser. Counts, codes and our own words only: no value of a pupil, and no
//! username, gets as far as here, since the history has none.

mod advice;
mod chart;
pub mod figures;
mod outcome;
pub mod page;
pub mod serve;
mod words;

pub(super) use advice::is_stop;
pub use figures::{Collector, Figures, Frame, Group, School};
pub use outcome::Outcome;
pub use words::{lasted, why, why_rejected};
