//! A batch as it is sent. Of pictures that is a zip, for which they are read once more.

use std::collections::HashMap;
use std::sync::Arc;

use super::album::{Album, Digest, Read, Wanted, processors};
use super::extract::collect;
use super::plan::Content;
use super::{ExtractError, Feeds};
use crate::infiniti::client::Payload;
use crate::infiniti::contract::IMAGES;
use crate::infiniti::image::{Description, END_BYTES, FITTED_BYTES_MAX, Zip, entry_bytes};
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
            // It is much larger than that of the other contents.
            Some(album) => Box::pin(zip(mapping, album, portraits)).await?,
            None => return Err(ExtractError::Crashed),
        },
    })
}

async fn zip(mapping: &Arc<Mapping>, album: &Arc<Album>, portraits: &Portraits) -> Result<Prepared, ExtractError> {
    let of_queries = (0..portraits.patrons()).filter_map(|number| portraits.portrait(number));
    let of_queries: Vec<_> =
        of_queries.map(|(_, picture)| picture.digest).filter(|digest| !album.has_file(digest)).collect();
    let found = if of_queries.is_empty() {
        HashMap::new()
    } else {
        let wanted = Arc::new(Wanted::new(of_queries));
        collect(mapping, Feeds::of([&IMAGES]), album, Arc::clone(&wanted)).await?;
        Arc::into_inner(wanted).map(Wanted::into_found).unwrap_or_default()
    };
    let is_resized = mapping.feeds().find_map(|feed| feed.images.as_ref()).is_some_and(|images| images.resize);
    let pictures: Vec<(usize, String, Description)> = (0..portraits.patrons())
        .filter_map(|number| portraits.portrait(number).map(|(key, picture)| (number, key, picture)))
        .collect();
    let planned = pictures.iter().map(|(_, key, picture)| {
        let bytes = picture.bytes as usize;
        entry_bytes(key.len(), if is_resized { bytes.min(FITTED_BYTES_MAX) } else { bytes })
    });
    let mut zip = Zip::with_capacity(END_BYTES + planned.sum::<usize>());
    let (mut numbers, mut unsent) = (Vec::new(), Vec::new());
    for some in portions(&pictures) {
        let files = some.iter().map(|(_, _, picture)| picture.digest).filter(|digest| !found.contains_key(digest));
        let files = read_files(album, &files.collect::<Vec<_>>());
        for (number, key, picture) in some {
            let content = match files.get(&picture.digest).or_else(|| found.get(&picture.digest)?.as_ref()) {
                Some(Ok(bytes)) => zip.add(key, picture.kind, bytes).map_err(|error| error.to_string()),
                Some(Err(fault)) => Err(fault.clone()),
                None => Err("is no longer what the source has; the next push sends it".to_owned()),
            };
            match content {
                Ok(()) => numbers.push(*number),
                Err(fault) => unsent.push((*number, format!("the picture {fault}"))),
            }
        }
        // Reading takes seconds in which somebody may want to stop.
        tokio::task::yield_now().await;
    }
    drop(found);
    let pictures = zip.len();
    let bytes = zip.finish().map_err(|_| ExtractError::Crashed)?;
    Ok(Prepared { payload: Arc::new(ZipFile::new(pictures, bytes)), numbers: Numbers::These(numbers), unsent })
}

/// So many bytes of pictures are read at once, or a single picture that has more.
const PORTION_BYTES: usize = 8 * 1024 * 1024;

/// The pictures in portions of at most [`PORTION_BYTES`].
fn portions(pictures: &[(usize, String, Description)]) -> impl Iterator<Item = &[(usize, String, Description)]> {
    let mut rest = pictures;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|(_, _, picture)| {
            bytes += picture.bytes as usize;
            bytes <= PORTION_BYTES
        });
        let (portion, after) = rest.split_at(fitting.count().max(1).min(rest.len()));
        rest = after;
        (!portion.is_empty()).then_some(portion)
    })
}

/// Reads pictures that are files on all processors. One that is not in the answer could not be read at all.
fn read_files(album: &Album, digests: &[Digest]) -> HashMap<Digest, Read> {
    let share = digests.len().div_ceil(processors()).max(1);
    std::thread::scope(|scope| {
        let shares = digests.chunks(share).map(|digests| {
            scope.spawn(|| digests.iter().map(|digest| (*digest, album.read(digest))).collect::<Vec<_>>())
        });
        let shares: Vec<_> = shares.collect();
        shares.into_iter().filter_map(|share| share.join().ok()).flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infiniti::image::Kind;

    fn portioned(bytes: &[usize]) -> Vec<usize> {
        let picture = |bytes: &usize| {
            let bytes = u32::try_from(*bytes).unwrap();
            (0, String::new(), Description { kind: Kind::Jpg, bytes, digest: [0; 16] })
        };
        let pictures: Vec<_> = bytes.iter().map(picture).collect();
        portions(&pictures).map(<[_]>::len).collect()
    }

    #[test]
    fn portions_are_bounded_and_leave_nobody_out() {
        let all = PORTION_BYTES;
        assert_eq!(portioned(&[]), Vec::<usize>::new());
        assert_eq!(portioned(&[all / 2, all / 2, 1]), [2, 1]);
        assert_eq!(portioned(&[1, all, all + 1, all + 1, 1, 1]), [1, 1, 1, 1, 2]);
    }
}
