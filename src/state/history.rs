//! The runs of all mappings that share a store: what the history and the report are made of.

use std::collections::HashMap;

use jiff::Timestamp;

use super::book::{Run, open_store, run};
use super::{Identity, StateError};
use crate::mapping::StateLocation;

/// The mappings of a store, in the order of their names, and where it is.
#[derive(Clone, Debug)]
pub struct History {
    /// The store, without secrets.
    pub place: String,
    /// A mapping with each target that it was pushed to.
    pub books: Vec<Identity>,
}

/// Reads every run since a time, of all mappings: one mapping after the other, the earliest run first. `each` is given the
/// mapping's index in [`History::books`] and the run, so that a year of a thousand schools need not be in memory at once.
/// `None` if there is no store yet.
///
/// # Errors
/// Any [`StateError`].
pub async fn read(
    location: &StateLocation,
    since: Timestamp,
    mut each: impl FnMut(usize, Run) + Send,
) -> Result<Option<History>, StateError> {
    let Some((mut store, place)) = open_store(location, false).await? else { return Ok(None) };
    let books = store.books().await?;
    let indices: HashMap<i64, usize> = books.iter().zip(0..).map(|((id, _), index)| (*id, index)).collect();
    store
        .every_run(since.as_second(), &mut |book, row| {
            // A mapping that was pushed for the first time since the books were read has its turn next time.
            if let Some(index) = indices.get(&book) {
                each(*index, run(row));
            }
        })
        .await?;
    Ok(Some(History { place: place.to_string(), books: books.into_iter().map(|(_, identity)| identity).collect() }))
}
