//! A batch as it is sent. Of pictures that is a zip, for which they are read once more.

use std::sync::Arc;

use super::album::{Album, Wanted};
use super::extract::collect;
use super::plan::Content;
use super::{ExtractError, Feeds};
use crate::infiniti::client::Payload;
use crate::infiniti::contract::IMAGES;
use crate::infiniti::image::{END_BYTES, FITTED_BYTES_MAX, Zip, entry_bytes};
use crate::infiniti::payload::{Csv, Deactivations, Portraits, ZipFile};
use crate::mapping::Mapping;

/// A batch that can be sent.
pub(super) struct Prepared {
    /// Its bytes.
    pub(super) payload: Arc<dyn Payload>,
    numbers: Numbers,
    /// The patrons of the batch that are not in it, by number, and why.
    pub(super) unsent: Vec<(usize, String)>,
}

/// Which patron of a batch a row of the payload belongs to.
enum Numbers {
    Csv(Arc<Csv>),
    Same,
    These(Vec<usize>),
}

impl Prepared {
    /// The number in the batch of the patron that a row belongs to, both counted from 0.
    pub(super) fn number_of(&self, row: usize) -> usize {
        match &self.numbers {
            Numbers::Csv(csv) => csv.number_of(row),
            Numbers::Same => row,
            Numbers::These(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }
}

/// Prepares a batch.
///
/// # Errors
/// [`ExtractError`] when the source does not give its pictures again.
pub(super) async fn prepare(
    mapping: &Arc<Mapping>,
    album: Option<&Arc<Album>>,
    content: &Content,
) -> Result<Prepared, ExtractError> {
    let nothing_left = Vec::new();
    Ok(match content {
        Content::Patrons(csv) => {
            Prepared { payload: Arc::<Csv>::clone(csv), numbers: Numbers::Csv(Arc::clone(csv)), unsent: nothing_left }
        }
        Content::Leavers(csv) => {
            Prepared { payload: Arc::<Deactivations>::clone(csv), numbers: Numbers::Same, unsent: nothing_left }
        }
        Content::Pictures(portraits) => match album {
            Some(album) => zip(mapping, album, portraits).await?,
            None => return Err(ExtractError::Crashed),
        },
    })
}

async fn zip(mapping: &Arc<Mapping>, album: &Arc<Album>, portraits: &Portraits) -> Result<Prepared, ExtractError> {
    let of_queries = (0..portraits.patrons()).filter_map(|number| portraits.portrait(number));
    let of_queries: Vec<_> =
        of_queries.map(|(_, picture)| picture.digest).filter(|digest| !album.has_file(digest)).collect();
    let mut found = if of_queries.is_empty() {
        std::collections::HashMap::new()
    } else {
        let wanted = Arc::new(Wanted::new(of_queries));
        collect(mapping, Feeds::of([&IMAGES]), album, Arc::clone(&wanted)).await?;
        Arc::into_inner(wanted).map(Wanted::into_found).unwrap_or_default()
    };
    let is_resized = mapping.feeds().find_map(|feed| feed.images.as_ref()).is_some_and(|images| images.resize);
    let planned = (0..portraits.patrons()).filter_map(|number| portraits.portrait(number)).map(|(key, picture)| {
        let bytes = picture.bytes as usize;
        entry_bytes(key.len(), if is_resized { bytes.min(FITTED_BYTES_MAX) } else { bytes })
    });
    let mut zip = Zip::with_capacity(END_BYTES + planned.sum::<usize>());
    let (mut numbers, mut unsent) = (Vec::new(), Vec::new());
    for number in 0..portraits.patrons() {
        let Some((key, picture)) = portraits.portrait(number) else { continue };
        let read;
        let content: Result<&[u8], String> = match found.get(&picture.digest) {
            Some(Some(Ok(bytes))) => Ok(bytes),
            Some(Some(Err(fault))) => Err(fault.clone()),
            Some(None) => Err("is no longer what the source has; the next push sends it".to_owned()),
            None => match album.read(&picture.digest) {
                Ok(bytes) => {
                    read = bytes;
                    Ok(&read)
                }
                Err(fault) => Err(fault),
            },
        };
        match content.and_then(|bytes| zip.add(&key, picture.kind, bytes).map_err(|error| error.to_string())) {
            Ok(()) => numbers.push(number),
            Err(fault) => unsent.push((number, format!("the picture {fault}"))),
        }
    }
    found.clear();
    let pictures = zip.len();
    let bytes = zip.finish().map_err(|_| ExtractError::Crashed)?;
    Ok(Prepared { payload: Arc::new(ZipFile::new(pictures, bytes)), numbers: Numbers::These(numbers), unsent })
}
