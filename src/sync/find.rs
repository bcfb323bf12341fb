//! Reads a mapping's extracts up to the row of one patron.

use std::sync::{Arc, mpsc};

use unicode_normalization::UnicodeNormalization;

use super::extract::{connect, run_queries};
use super::{ExtractError, Feeds, Progress};
use crate::infiniti::builder::Builder;
use crate::infiniti::contract::{ADMINSYSTEMID, EMAILADDRESS, Header, LIBRARYBARCODE, USERNAME};
use crate::infiniti::patron::Patrons;
use crate::infiniti::trace::{Ending, Observer, Stage, Trace};
use crate::infiniti::value::RowPlace;
use crate::mapping::Mapping;
use crate::source::row::{Block, Column, Message, Row, RowStream, channel};
use crate::state::layer::compare_keys;

/// Whom to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// The patron with this username, without regard to case; failing that, with this barcode, admin id or address.
    Name(String),
    /// This row.
    Row(RowPlace),
}

/// What reading came to.
#[derive(Debug)]
pub struct Search {
    /// The patrons and rejections of all rows that were read, with digests.
    pub patrons: Patrons,
    /// The row, if there is one.
    pub found: Option<Found>,
    /// Other rows that have what was asked for in a header that is not the username.
    pub others: Vec<Match>,
    /// The usernames that look most like the one that was asked for, the likest first.
    pub near: Vec<Match>,
    /// Whether every row of every extract was read.
    pub is_whole: bool,
}

/// A row, step by step.
#[derive(Debug)]
pub struct Found {
    /// Which row, and how it was found.
    pub row: Match,
    /// The columns of its extract.
    pub columns: Vec<Column>,
    /// Its cells as the source gave them.
    pub cells: Vec<String>,
    /// What the rules made of it.
    pub trace: Trace,
    /// What the row comes to by itself, without regard to any other.
    pub alone: Patrons,
}

/// A row that has what was asked for, or nearly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it was read.
    pub place: RowPlace,
    /// Its username; `None` if it has none.
    pub username: Option<String>,
    /// The header that has what was asked for; `None` if the row itself was.
    pub header: Option<Header>,
}

/// So many rows are named beside the one that is shown, or in the place of one that is not there.
const NAMED: usize = 3;

/// Reads extracts of `mapping` in one session until the row is found.
///
/// # Errors
/// [`ExtractError`], by extract.
pub async fn find(mapping: &Arc<Mapping>, sought: Sought, progress: &Arc<Progress>) -> Result<Search, ExtractError> {
    let mut session = connect(mapping).await?;
    let (mut sink, stream) = channel();
    let (ended, ends) = mpsc::channel();
    let worker = std::thread::spawn({
        let (mapping, progress) = (Arc::clone(mapping), Arc::clone(progress));
        move || look_through(&mapping, sought, &stream, &ended, &progress)
    });
    // After each extract the reading side waits for the other, which may have found the row: what comes after it must
    // not be asked for, nor fail.
    let result = run_queries(session.as_mut(), mapping, Feeds::USERS, &mut sink, move || ends.recv().is_ok()).await;
    drop(sink);
    let search = worker.join().map_err(|_| ExtractError::Crashed)?;
    session.close().await;
    match result {
        // Who has found the row does not mind how the rest ended.
        Err(failure) => search.and_then(|search| if search.is_whole { Err(failure) } else { Ok(search) }),
        Ok(()) => search,
    }
}

fn look_through(
    mapping: &Mapping,
    sought: Sought,
    stream: &RowStream,
    ended: &mpsc::Sender<()>,
    progress: &Progress,
) -> Result<Search, ExtractError> {
    let mut builder = Builder::new(&mapping.users).with_digests();
    let mut lens = Lens::new(sought);
    let mut all_columns: Vec<Vec<Column>> = Vec::new();
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(columns) => {
                let Some(extract) = mapping.users.extracts.get(all_columns.len()) else { break };
                builder
                    .start(extract, &columns)
                    .map_err(|missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing })?;
                all_columns.push(columns);
            }
            Message::Rows(block) => {
                let before = lens.rows;
                builder.watched_rows(&block, &mut lens);
                progress.add_rows(lens.rows - before);
                if lens.is_done() {
                    break;
                }
                stream.give_back(block);
            }
            // The reading side may be gone already.
            Message::End => drop(ended.send(())),
        }
    }
    let is_whole = !lens.is_done();
    let Lens { mut hits, cells, near, .. } = lens;
    let found = (!hits.is_empty()).then(|| hits.remove(0)).map(|row| retrace(mapping, row, cells, &all_columns));
    Ok(Search {
        patrons: builder.finish(),
        found: found.transpose()?,
        others: hits,
        near: near.into_iter().map(|(_, near)| near).collect(),
        is_whole,
    })
}

/// Takes the row's steps again, this time to be shown.
fn retrace(
    mapping: &Mapping,
    row: Match,
    cells: Vec<String>,
    all_columns: &[Vec<Column>],
) -> Result<Found, ExtractError> {
    let number = usize::from(row.place.extract);
    let columns = all_columns.get(number).cloned().unwrap_or_default();
    let mut trace = Trace::default();
    let mut builder = Builder::new(&mapping.users).with_digests();
    if let Some(extract) = mapping.users.extracts.get(number) {
        builder
            .start(extract, &columns)
            .map_err(|missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing })?;
        builder.watched_rows(&Block::of_row(cells.iter().map(String::as_str)), &mut trace);
    }
    Ok(Found { row, columns, cells, trace, alone: builder.finish() })
}

/// Watches rows go by, and keeps the one that is sought.
struct Lens {
    sought: Sought,
    /// What was asked for, trimmed and in NFC, as values are.
    text: String,
    lower: String,
    rows: u64,
    /// The row that goes by.
    place: RowPlace,
    username: String,
    /// The header in which it has what was asked for.
    header: Option<Header>,
    /// Rows that fit, the one to be shown first.
    hits: Vec<Match>,
    /// The cells of the first.
    cells: Vec<String>,
    /// How like, the likest first.
    near: Vec<(f64, Match)>,
    is_done: bool,
}

/// Headers by which a person is known beside the username.
const IDS: [Header; 3] = [LIBRARYBARCODE, ADMINSYSTEMID, EMAILADDRESS];

/// Usernames that are less alike are not meant.
const LIKENESS_MIN: f64 = 0.87;

impl Lens {
    fn new(sought: Sought) -> Self {
        let text: String = match &sought {
            Sought::Name(name) => name.trim().nfc().collect(),
            Sought::Row(_) => String::new(),
        };
        Self {
            sought,
            lower: text.to_lowercase(),
            text,
            rows: 0,
            place: RowPlace { extract: 0, row: 0 },
            username: String::new(),
            header: None,
            hits: Vec::new(),
            cells: Vec::new(),
            near: Vec::new(),
            is_done: false,
        }
    }

    fn row(&self, header: Option<Header>) -> Match {
        let username = (!self.username.is_empty()).then(|| self.username.clone());
        Match { place: self.place, username, header }
    }

    fn keep(&mut self, row: Row<'_>) {
        self.cells = (0..row.len()).map(|column| row.cell(column).to_owned()).collect();
    }

    /// This row and no other.
    fn settle(&mut self, row: Row<'_>, header: Option<Header>) {
        self.hits = vec![self.row(header)];
        self.keep(row);
        self.is_done = true;
    }

    fn compare(&mut self) {
        if self.username.is_empty() {
            return;
        }
        let username = self.username.to_lowercase();
        // A surname alone, or a login without its domain.
        let is_part = self.lower.len() > 2 && username.contains(&self.lower);
        if !is_part && strsim::jaro_winkler(&self.lower, &username) < LIKENESS_MIN {
            return;
        }
        let likeness = strsim::normalized_damerau_levenshtein(&self.lower, &username);
        let at = self.near.partition_point(|(other, _)| *other >= likeness);
        if at < NAMED {
            self.near.insert(at, (likeness, self.row(None)));
            self.near.truncate(NAMED);
        }
    }
}

impl Observer for Lens {
    fn begins(&mut self, place: RowPlace) {
        self.rows += 1;
        self.place = place;
        self.username.clear();
        self.header = None;
    }

    fn saw(&mut self, _: Header, _: Stage, _: &str) {}

    fn ends(&mut self, header: Header, ending: Ending<'_>) {
        let Ending::Sent(value) = ending else { return };
        if header == USERNAME {
            self.username.push_str(value);
        } else if IDS.contains(&header) && self.header.is_none() && compare_keys(value, &self.text).is_eq() {
            self.header = Some(header);
        }
    }

    fn row_ends(&mut self, row: Row<'_>) {
        match &self.sought {
            Sought::Row(place) if *place == self.place => self.settle(row, None),
            Sought::Row(_) => {}
            Sought::Name(_) if !self.username.is_empty() && compare_keys(&self.username, &self.text).is_eq() => {
                self.settle(row, Some(USERNAME));
            }
            Sought::Name(_) if self.header.is_some() => {
                if self.hits.is_empty() {
                    self.keep(row);
                }
                if self.hits.len() <= NAMED {
                    self.hits.push(self.row(self.header));
                }
            }
            Sought::Name(_) => self.compare(),
        }
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
