//! Reads the rows that one person has in the feeds that hang on the accounts.

use std::sync::Arc;

use super::album::Album;
use super::extract::{connect, extracts, run_queries};
use super::{ExtractError, Feeds, Progress};
use crate::infiniti::builder::Builder;
use crate::infiniti::contract::{Contract, Header};
use crate::infiniti::patron::Patrons;
use crate::infiniti::trace::{Ending, Observer, Stage, Traced};
use crate::infiniti::value::RowPlace;
use crate::mapping::{Extract, Feed, Mapping};
use crate::source::row::{Block, Message, Row, RowStream, channel};
use crate::state::layer::compare_keys;

/// What a feed has of a person.
#[derive(Debug)]
pub struct Person {
    /// The feed's contract.
    pub contract: &'static Contract,
    /// The person's key in it.
    pub key: String,
    /// What became of the person's rows, as if there were no others, with digests: at most one patron.
    pub patrons: Patrons,
    /// The rows, in the order in which they were read; of a cell that was split, one for each of its values.
    pub rows: Vec<PersonRow>,
}

/// A row, and what became of each of its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// Where it was read.
    pub place: RowPlace,
    /// The headers in the contract's order.
    pub headers: Vec<(Header, Traced)>,
}

/// Reads all extracts of the feeds of these contracts in one session, and keeps the rows with the key beside each.
///
/// # Errors
/// [`ExtractError`], by extract.
pub async fn person(
    mapping: &Arc<Mapping>,
    keys: Vec<(&'static Contract, String)>,
    progress: &Arc<Progress>,
) -> Result<Vec<Person>, ExtractError> {
    let feeds = Feeds::of(keys.iter().map(|(contract, _)| *contract));
    let mut session = connect(mapping).await?;
    let (mut sink, stream) = channel();
    let worker = std::thread::spawn({
        let (mapping, progress) = (Arc::clone(mapping), Arc::clone(progress));
        move || look_through(&mapping, feeds, &keys, &stream, &progress)
    });
    let result = run_queries(session.as_mut(), mapping, feeds, &mut sink, || true).await;
    drop(sink);
    let found = worker.join().map_err(|_| ExtractError::Crashed)?;
    session.close().await;
    match result {
        // The reading side may have failed only because the other stopped.
        Err(failure) => Err(found.err().unwrap_or(failure)),
        Ok(()) => found,
    }
}

fn look_through(
    mapping: &Mapping,
    feeds: Feeds,
    keys: &[(&'static Contract, String)],
    stream: &RowStream,
    progress: &Progress,
) -> Result<Vec<Person>, ExtractError> {
    let mut found: Vec<Sieve<'_>> = Vec::new();
    for feed in mapping.feeds() {
        let key = keys.iter().find(|(contract, _)| *contract == feed.contract);
        found.extend(key.map(|(_, key)| Sieve::new(feed, key)));
    }
    let mut extracts = extracts(mapping, feeds);
    let mut at_work = None;
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(columns) => {
                let Some((feed, extract)) = extracts.next() else { break };
                let Some(number) = found.iter().position(|sieve| sieve.feed.contract == feed.contract) else { break };
                let sieve = &mut found[number];
                let missing = |missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing };
                sieve.builder.start(extract, &columns).map_err(missing)?;
                sieve.lens.row = 0;
                let of_keys = Feed { extracts: vec![key_alone(feed, extract)], ..feed.clone() };
                at_work = Some((number, of_keys, columns));
            }
            Message::Rows(block) => {
                let Some((number, of_keys, columns)) = &at_work else { break };
                let sieve = &mut found[*number];
                let before = sieve.lens.row;
                // A new one each time, since it keeps the keys of all rows.
                let mut scan = Builder::new(of_keys);
                if let Some(extract) = of_keys.extracts.first() {
                    let missing = |missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing };
                    scan.start(extract, columns).map_err(missing)?;
                }
                scan.watched_rows(&block, &mut sieve.lens);
                progress.add_rows(sieve.lens.row - before);
                stream.give_back(block);
                sieve.take_hits();
            }
            Message::End => {}
        }
    }
    Ok(found.into_iter().map(Sieve::finish).collect())
}

/// The extract with the rule of its key and no other: to look at every picture for the one that is asked for would take long.
fn key_alone(feed: &Feed, extract: &Extract) -> Extract {
    let key = feed.contract.key();
    let rules = extract.rules.iter().filter(|rule| rule.header == key).cloned().collect();
    Extract { rules, ..extract.clone() }
}

/// Keeps the rows of one person.
struct Sieve<'m> {
    feed: &'m Feed,
    builder: Builder,
    lens: Lens,
    kept: Kept,
}

impl<'m> Sieve<'m> {
    fn new(feed: &'m Feed, key: &str) -> Self {
        let mut builder = Builder::new(feed).with_digests();
        if let Some(images) = &feed.images {
            builder = builder.with_pictures(Arc::new(Album::new(images)).looker());
        }
        Self {
            feed,
            builder,
            lens: Lens { key: key.to_owned(), row: 0, is_hit: false, hits: Vec::new() },
            kept: Kept::default(),
        }
    }

    fn take_hits(&mut self) {
        for (row, cells) in self.lens.hits.drain(..) {
            self.builder.continue_at(row);
            self.builder.watched_rows(&Block::of_row(cells.iter().map(String::as_str)), &mut self.kept);
        }
    }

    fn finish(self) -> Person {
        Person {
            contract: self.feed.contract,
            key: self.lens.key,
            patrons: self.builder.finish(),
            rows: self.kept.rows,
        }
    }
}

/// Watches keys go by, and keeps the rows of one.
struct Lens {
    key: String,
    /// The number of the row that goes by, in its extract.
    row: u64,
    is_hit: bool,
    hits: Vec<(u64, Vec<String>)>,
}

impl Observer for Lens {
    fn begins(&mut self, _: RowPlace) {
        self.row += 1;
        self.is_hit = false;
    }

    fn saw(&mut self, _: Header, _: Stage, _: &str) {}

    fn ends(&mut self, _: Header, ending: Ending<'_>) {
        if let Ending::Sent(value) = ending {
            self.is_hit = compare_keys(value, &self.key).is_eq();
        }
    }

    fn row_ends(&mut self, row: Row<'_>) {
        if self.is_hit {
            self.hits.push((self.row, (0..row.len()).map(|column| row.cell(column).to_owned()).collect()));
        }
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Keeps what becomes of the rows that it sees.
#[derive(Default)]
struct Kept {
    rows: Vec<PersonRow>,
}

impl Observer for Kept {
    fn begins(&mut self, place: RowPlace) {
        self.rows.push(PersonRow { place, headers: Vec::new() });
    }

    fn saw(&mut self, _: Header, _: Stage, _: &str) {}

    fn ends(&mut self, header: Header, ending: Ending<'_>) {
        if let Some(row) = self.rows.last_mut() {
            row.headers.push((header, ending.into()));
        }
    }

    fn row_ends(&mut self, _: Row<'_>) {}

    fn is_done(&self) -> bool {
        false
    }
}
