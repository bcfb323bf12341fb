//! The runs of all mappings that share a store: what the history and the report are made of.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::open::open_store;
use super::run::{Run, run};
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

/// Reads every run since a time, of all mappings or of those that are wanted: one mapping after the other, the earliest run
/// first. `each` is given the mapping's index in [`History::books`] and the run, so that a year of a thousand schools need
/// not be in memory at once. `None` if there is no store yet.
///
/// # Errors
/// Any [`StateError`].
pub async fn read(
    location: &StateLocation,
    since: Timestamp,
    wanted: Option<&[Identity]>,
    mut each: impl FnMut(usize, Run) + Send,
) -> Result<Option<History>, StateError> {
    let Some((mut store, place)) = open_store(location, false).await? else { return Ok(None) };
    let mut books = store.books().await?;
    if let Some(wanted) = wanted {
        let wanted: HashSet<&Identity> = wanted.iter().collect();
        books.retain(|(_, identity)| wanted.contains(identity));
    }
    let indices: HashMap<i64, usize> = books.iter().zip(0..).map(|((id, _), index)| (*id, index)).collect();
    let ids: Vec<i64> = books.iter().map(|(id, _)| *id).collect();
    store
        .every_run(since.as_second(), &ids, &mut |book, row| {
            if let Some(index) = indices.get(&book) {
                each(*index, run(row));
            }
        })
        .await?;
    Ok(Some(History { place: place.to_string(), books: books.into_iter().map(|(_, identity)| identity).collect() }))
}
