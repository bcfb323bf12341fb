//! An open state: the books of a mapping, and what a run writes into them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use jiff::Timestamp;

use super::book::{Book, Facts};
use super::layer::{Accepted, Layer, Outcome, Page, Patch, pages};
use super::postgres::Postgres;
use super::run::{Run, run, run_row};
use super::sqlite::Sqlite;
use super::store::{Change, MAIN, Owner, Row, RunChange, RunRow, Store};
use super::{Place, StateError, default_file};
use crate::infiniti::contract::FEEDS;
use crate::infiniti::fingerprint::Key;
use crate::mapping::StateLocation;
use crate::process::this_host;

/// Whose books: a mapping, and the target that it pushes to. What one Infiniti accepted says nothing of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The mapping's name.
    pub mapping: String,
    /// The target's address.
    pub target: String,
}

/// What a mapping's state says, with one of its books in hand.
///
/// Each feed has a book. The one of `users` is the main one, and the one in hand at first: the lock, the runs and the
/// notices are its, whichever is in hand.
pub struct State {
    store: Box<dyn Store>,
    place: Place,
    identity: Identity,
    purpose: Purpose,
    /// The main book.
    main: i64,
    /// The run that is written down: its number, and when it began.
    run: Option<(i64, Timestamp)>,
    /// The book in hand.
    book: Book,
    /// Those that were in hand before.
    others: Vec<Book>,
}

/// What a state was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It has the lock, and makes the books that it lacks.
    Push,
    /// It makes nothing.
    Look,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("place", &self.place)
            .field("main", &self.main)
            .field("feed", &self.book.feed)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Opens the state of a mapping for a push, with its lock: makes store and main book if need be. `None` if the
    /// mapping keeps no state.
    ///
    /// # Errors
    /// Any [`StateError`]; [`StateError::Held`] while another run of the mapping is under way.
    pub async fn open(location: &StateLocation, identity: &Identity) -> Result<Option<Self>, StateError> {
        let Some((mut store, place)) = open_store(location, true).await? else { return Ok(None) };
        let row = match store.book(identity, MAIN).await? {
            Some(row) => row,
            None => add_book(&mut *store, &place, identity, MAIN).await?,
        };
        let owner = Owner { host: this_host(), process: std::process::id(), since: Timestamp::now() };
        if let Some(left) = store.lock(row.id, &owner).await? {
            tracing::info!(
                mapping = identity.mapping,
                host = left.host,
                process = left.process,
                since = %left.since,
                "an earlier run ended without letting go of the lock; it is taken over"
            );
        }
        // Another run may have written between the first look and the lock.
        let row = store.book(identity, MAIN).await?.unwrap_or(row);
        Self::of(store, place, identity, Purpose::Push, &row).map(Some)
    }

    /// Opens the state of a mapping to look at it, without its lock. `None` if there is none yet.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn look(location: &StateLocation, identity: &Identity) -> Result<Option<Self>, StateError> {
        let Some((mut store, place)) = open_store(location, false).await? else { return Ok(None) };
        match store.book(identity, MAIN).await? {
            Some(row) => Self::of(store, place, identity, Purpose::Look, &row).map(Some),
            None => Ok(None),
        }
    }

    fn of(
        store: Box<dyn Store>,
        place: Place,
        identity: &Identity,
        purpose: Purpose,
        row: &Row,
    ) -> Result<Self, StateError> {
        let book = stored(&place, MAIN, row)?;
        let identity = identity.clone();
        Ok(Self { store, place, identity, purpose, main: row.id, run: None, book, others: Vec::new() })
    }

    /// Takes the book of a feed in hand: from here on it is the one that is asked and written. A state that was opened for
    /// a push makes the book if there is none; one that is only looked at then knows nothing of the feed.
    ///
    /// # Errors
    /// Any [`StateError`]: then the book in hand is the one before.
    pub async fn turn_to(&mut self, feed: &'static str) -> Result<(), StateError> {
        if self.book.feed == feed {
            return Ok(());
        }
        let book = match self.others.iter().position(|book| book.feed == feed) {
            Some(index) => self.others.swap_remove(index),
            None => self.open_book(feed).await?,
        };
        self.others.push(std::mem::replace(&mut self.book, book));
        Ok(())
    }

    async fn open_book(&mut self, feed: &'static str) -> Result<Book, StateError> {
        match (self.store.book(&self.identity, feed).await?, self.purpose) {
            (Some(row), _) => stored(&self.place, feed, &row),
            (None, Purpose::Push) => {
                let row = add_book(&mut *self.store, &self.place, &self.identity, feed).await?;
                stored(&self.place, feed, &row)
            }
            (None, Purpose::Look) => Ok(Book::none(feed)),
        }
    }

    /// The feeds that have a book, in the order in which they are pushed.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn feeds(&mut self) -> Result<Vec<String>, StateError> {
        let mut feeds = self.store.feeds(&self.identity).await?;
        let place = |feed: &str| FEEDS.iter().position(|known| known.feed == feed).unwrap_or(FEEDS.len());
        feeds.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
        Ok(feeds)
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// Whether the feed has a book: without one nothing is known of it.
    pub fn has_book(&self) -> bool {
        self.book.id.is_some()
    }

    /// The key of the book's fingerprints.
    pub fn key(&self) -> Key {
        self.book.key
    }

    /// How often something was sent on the strength of the book: a plan is one for just this number.
    pub fn revision(&self) -> i64 {
        self.book.revision
    }

    /// What the book says of its feed as a whole.
    pub fn facts(&self) -> &Facts {
        &self.book.facts
    }

    /// Everything that the book says of patrons.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn accepted(&mut self) -> Result<Accepted, StateError> {
        let layers: Vec<Layer> = match self.book.id {
            Some(book) => self.store.layers(book).await?,
            None => Vec::new(),
        };
        Accepted::new(layers)
            .map_err(|source| StateError::Damaged { place: self.place.clone(), source: Box::new(source) })
    }

    /// Writes that a run begins to send, and what was noticed of patrons so far. From here on no other plan has the same
    /// id. A run of several feeds begins with each that it sends, and is one run in the history: the same, since it began
    /// at the same time.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn begin(&mut self, run: &Run, fill: impl FnMut(&mut Page) -> bool + Send) -> Result<(), StateError> {
        let row = run_row(run);
        let change = Change {
            layer: Some((self.book.next_layer(), Box::new(pages(fill)))),
            book: Some((self.book.revision + 1, facts_json(&self.book.facts))),
            run: Some(self.run_change(&row)),
            ..Change::default()
        };
        self.commit(change).await?;
        self.book.revision += 1;
        Ok(())
    }

    /// Writes that patrons are about to be sent: until there is a receipt, nobody knows what became of them.
    ///
    /// # Errors
    /// Any [`StateError`]: then nothing may be sent.
    pub async fn depart(&mut self, fill: impl FnMut(&mut Page) -> bool + Send) -> Result<(), StateError> {
        let number = self.book.next_layer();
        let change = Change { layer: Some((number, Box::new(pages(fill)))), ..Change::default() };
        self.commit(change).await?;
        self.book.departure = Some(number);
        Ok(())
    }

    /// Writes what became of the patrons that departed last, in one transaction; `pages` of nothing if they were not
    /// sent after all.
    ///
    /// # Errors
    /// Any [`StateError`]: then their outcome stays unknown.
    pub async fn arrive(&mut self, pages: impl Iterator<Item = Page> + Send) -> Result<(), StateError> {
        let number = self.book.next_layer();
        let change = Change {
            drop_layers: self.book.departure.into_iter().collect(),
            layer: Some((number, Box::new(pages))),
            ..Change::default()
        };
        self.commit(change).await?;
        self.book.departure = None;
        Ok(())
    }

    /// Writes the end of a run, or of its part with this feed: what was noticed of patrons, the facts, and the run as it
    /// is by then.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn finish(
        &mut self,
        fill: impl FnMut(&mut Page) -> bool + Send,
        facts: Facts,
        run: &Run,
    ) -> Result<(), StateError> {
        let row = run_row(run);
        let change = Change {
            layer: Some((self.book.next_layer(), Box::new(pages(fill)))),
            book: Some((self.book.revision, facts_json(&facts))),
            run: Some(self.run_change(&row)),
            ..Change::default()
        };
        self.commit(change).await?;
        self.book.facts = facts;
        Ok(())
    }

    /// Writes a run without a word on any feed: one that sent nothing, since it failed before, or what a run of several
    /// feeds came to in the end.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn record(&mut self, run: &Run) -> Result<(), StateError> {
        let row = run_row(run);
        let change = Change { run: Some(self.run_change(&row)), ..Change::default() };
        let number = self.store.commit(self.main, change).await?;
        self.run = number.map(|number| (number, run.started_at));
        Ok(())
    }

    /// Forgets patrons, as if they had never been sent. Gives how many of them were known.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn forget(&mut self, usernames: &[String]) -> Result<u64, StateError> {
        let accepted = self.accepted().await?;
        let forgotten: HashSet<String> = usernames.iter().map(|username| username.to_lowercase()).collect();
        let mut found = 0;
        for entry in accepted.entries() {
            found += u64::from(forgotten.contains(&entry.username.to_lowercase()));
        }
        if found > 0 {
            self.rewrite(&accepted, None, |username| !forgotten.contains(&username.to_lowercase()), |patch| patch)
                .await?;
        }
        Ok(found)
    }

    /// Forgets what was accepted, but not of whom: the next push sends everybody again. Gives how many are known.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn rebase(&mut self) -> Result<u64, StateError> {
        if !self.has_book() {
            return Ok(0);
        }
        let accepted = self.accepted().await?;
        let facts = Facts { full_at: None, ..self.book.facts.clone() };
        let book = Some((self.book.revision + 1, facts_json(&facts)));
        self.rewrite(&accepted, book, |_| true, |patch| Patch { outcome: Some(Outcome::Unknown), ..patch }).await?;
        self.book.revision += 1;
        self.book.facts = facts;
        Ok(accepted.entries().count() as u64)
    }

    /// Packs the layers into one, if that is worth the while.
    ///
    /// # Errors
    /// Any [`StateError`]. The book is then as it was.
    pub async fn tidy(&mut self) -> Result<(), StateError> {
        if self.book.is_worth_packing() { self.pack().await } else { Ok(()) }
    }

    /// Packs the layers into one.
    ///
    /// # Errors
    /// Any [`StateError`]. The book is then as it was.
    pub async fn pack(&mut self) -> Result<(), StateError> {
        if !self.has_book() {
            return Ok(());
        }
        let accepted = self.accepted().await?;
        self.rewrite(&accepted, None, |_| true, |patch| patch).await
    }

    /// Writes one layer of all patrons in the place of all layers, without those that `keep` does not want.
    async fn rewrite(
        &mut self,
        accepted: &Accepted,
        book: Option<(i64, String)>,
        keep: impl Fn(&str) -> bool + Send + Sync,
        change: impl Fn(Patch<'_>) -> Patch<'_> + Send + Sync,
    ) -> Result<(), StateError> {
        let number = self.book.next_layer();
        let mut left = accepted.entries().filter(|entry| keep(entry.username));
        let pages = pages(|page| left.next().map(|entry| page.add(&change(Patch::whole(&entry)))).is_some());
        let change = Change {
            drop_layers: accepted.numbers().collect(),
            layer: Some((number, Box::new(pages))),
            book,
            ..Change::default()
        };
        self.commit(change).await
    }

    /// Changes the book in hand.
    async fn commit(&mut self, change: Change<'_>) -> Result<(), StateError> {
        let place = &self.place;
        let no_book = || StateError::Failed { place: place.clone(), source: Box::new(NoBook(self.book.feed)) };
        let book = self.book.id.ok_or_else(no_book)?;
        let started_at = change.run.as_ref().map(|run| run.row.started_at);
        let number = self.store.commit(book, change).await?;
        self.run = number.zip(started_at).or(self.run);
        Ok(())
    }

    fn run_change<'r>(&self, row: &'r RunRow) -> RunChange<'r> {
        let is_the_same = |(_, started_at): &(i64, Timestamp)| *started_at == row.started_at;
        RunChange { book: self.main, number: self.run.filter(is_the_same).map(|(number, _)| number), row }
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn runs(&mut self, most: u32) -> Result<Vec<Run>, StateError> {
        let rows = self.store.runs(self.main, most).await?;
        Ok(rows.into_iter().map(run).collect())
    }

    /// What each channel of notifications was told last of this mapping, by the channel's key.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn notices(&mut self) -> Result<BTreeMap<String, String>, StateError> {
        self.store.notices(self.main).await
    }

    /// Writes what a channel was told of this mapping; `None` when nothing is left to be said. Needs no lock.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn notice(&mut self, channel: &str, told: Option<&str>) -> Result<(), StateError> {
        self.store.notice(self.main, channel, told).await
    }

    /// The version of the store.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn version(&mut self) -> Result<u32, StateError> {
        self.store.stored_version().await
    }

    /// Whether the lock is free. It is not taken for that.
    ///
    /// # Errors
    /// Any [`StateError`]; [`StateError::Held`] while a run of the mapping is under way.
    pub async fn check_lock(&mut self) -> Result<(), StateError> {
        self.store.check_lock(self.main).await
    }

    /// Lets the lock go. What cannot be let go of ends with this process.
    pub async fn close(mut self) {
        if let Err(error) = self.store.unlock(self.main).await {
            tracing::warn!(%error, "the lock could not be let go of; it ends with this process");
        }
    }
}

/// What is only looked at cannot be written where there is nothing.
#[derive(Debug, thiserror::Error)]
#[error("feed `{0}` has no book, and a look makes none")]
struct NoBook(&'static str);

/// Adds a book with a key of its own.
async fn add_book(store: &mut dyn Store, place: &Place, identity: &Identity, feed: &str) -> Result<Row, StateError> {
    let key = Key::random().map_err(|source| StateError::Failed { place: place.clone(), source: Box::new(source) })?;
    store.add_book(identity, feed, key.bytes()).await
}

fn stored(place: &Place, feed: &'static str, row: &Row) -> Result<Book, StateError> {
    Book::stored(feed, row).map_err(|source| StateError::Damaged { place: place.clone(), source: Box::new(source) })
}

pub(super) type Opened = (Box<dyn Store>, Place);

pub(super) async fn open_store(location: &StateLocation, create: bool) -> Result<Option<Opened>, StateError> {
    let file = |path: &Path| -> Result<Option<Opened>, StateError> {
        let store = if create { Some(Sqlite::open(path)?) } else { Sqlite::open_existing(path)? };
        Ok(store.map(|store| (Box::new(store) as Box<dyn Store>, Place::File(path.to_owned()))))
    };
    match location {
        StateLocation::None => Ok(None),
        StateLocation::Default => file(&default_file()?),
        StateLocation::File(path) => file(path),
        StateLocation::Postgres(connection) => {
            let place = Place::Server(connection.to_string());
            let store = Postgres::open(connection, &place, create).await?;
            Ok(store.map(|store| (Box::new(store) as Box<dyn Store>, place)))
        }
    }
}

fn facts_json(facts: &Facts) -> String {
    // Strings and numbers only: it cannot fail.
    serde_json::to_string(facts).unwrap_or_default()
}
