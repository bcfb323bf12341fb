//! Puts rows in key order and finds those that claim the same key or barcode. No I/O.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::contract::Header;
use super::patron::Record;
use super::payload::Lines;

/// What a row is sorted by: the start of its key in lower case decides nearly always, without a look at the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Three words that compare as the bytes they hold.
    prefix: [u64; 3],
    /// The row, by its number among the records.
    pub(super) record: u32,
}

impl Key {
    /// The key of a row.
    pub(super) fn new(key: &str, record: u32) -> Self {
        Self { prefix: prefix(key), record }
    }
}

/// So many bytes of a key decide without a look at the line.
const PREFIX_BYTES: usize = 24;

/// Sorts the keys; gives the rows of each key, in key order.
pub(super) fn by_key<'k>(
    keys: &'k mut [Key],
    lines: &'k Lines,
    records: &'k [Record],
    header: Header,
) -> impl Iterator<Item = &'k [Key]> {
    let whole = move |key: &Key| records[key.record as usize].value(lines, header).unwrap_or_default().to_lowercase();
    // A prefix that ends with a zero byte is the whole key.
    let is_whole = |key: &Key| key.prefix[2].to_be_bytes()[7] == 0;
    let compare = |a: &Key, b: &Key| {
        a.prefix
            .cmp(&b.prefix)
            .then_with(|| if is_whole(a) { Ordering::Equal } else { whole(a).cmp(&whole(b)) })
            // Rows come in any order from a database; of two spellings of a key neither is sent, so the row's number
            // decides only in which order they are reported.
            .then(a.record.cmp(&b.record))
    };
    sort_by_halves(keys, compare);
    let same = move |a: &Key, b: &Key| a.prefix == b.prefix && (is_whole(a) || whole(a) == whole(b));
    keys.chunk_by(same)
}

/// Sorts on two threads: the source is silent by now, and a school's server has at least two cores.
fn sort_by_halves<T: Send>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Copy + Send) {
    const SMALL: usize = 1 << 15;
    if items.len() < SMALL {
        items.sort_unstable_by(compare);
        return;
    }
    let middle = items.len() / 2;
    let (first, second) = items.split_at_mut(middle);
    std::thread::scope(|scope| {
        scope.spawn(move || first.sort_unstable_by(compare));
        second.sort_unstable_by(compare);
    });
    // Stable sorting finds the two runs and merges them, with half the memory of the whole.
    items.sort_by(compare);
}

/// Gives the rows of every value that more than one row has of a header, by the hashes of the values.
pub(super) fn clashing_values(
    hashes: &mut [(u64, u32)],
    lines: &Lines,
    records: &[Record],
    header: Header,
) -> Vec<Vec<u32>> {
    sort_by_halves(hashes, Ord::cmp);
    let mut clashes = Vec::new();
    for chunk in hashes.chunk_by(|a, b| a.0 == b.0).filter(|chunk| chunk.len() > 1) {
        // Two values may share a hash.
        let mut by_value: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (_, record) in chunk {
            if let Some(value) = records[*record as usize].value(lines, header) {
                by_value.entry(value).or_default().push(*record);
            }
        }
        clashes.extend(by_value.into_values().filter(|same| same.len() > 1));
    }
    clashes
}

fn prefix(key: &str) -> [u64; 3] {
    let mut bytes = [0; PREFIX_BYTES];
    let lower: String;
    let start = if key.is_ascii() {
        key.as_bytes()
    } else {
        lower = key.to_lowercase();
        lower.as_bytes()
    };
    let length = start.len().min(PREFIX_BYTES);
    bytes[..length].copy_from_slice(&start[..length]);
    bytes.make_ascii_lowercase();
    let (words, _) = bytes.as_chunks::<8>();
    [0, 1, 2].map(|word: usize| u64::from_be_bytes(words[word]))
}
