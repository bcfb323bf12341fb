//! One book of the state, and what a run writes into it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::layer::{Accepted, Layer, Outcome, Page, Patch, pages};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::store::{Change, Owner, Row, RunRow, Store};
use super::{Place, StateError, Summary, default_file};
use crate::infiniti::fingerprint::Key;
use crate::mapping::StateLocation;
use crate::process::this_host;

/// Whose book: a mapping, and the target that it pushes to. What one Infiniti accepted says nothing of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The mapping's name.
    pub mapping: String,
    /// The target's address.
    pub target: String,
}

/// What a book says of the mapping as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// When a push that sent everybody ended well, in seconds since 1970.
    pub full_at: Option<i64>,
    /// The headers that the mapping filled then, and how.
    pub headers: String,
    /// Whether every patron was sent once, so that who is not known is new to Infiniti, too.
    pub has_baseline: bool,
    /// The rows that each extract gave in the last good run.
    pub rows: BTreeMap<String, u64>,
    /// Prints of the form classes that Infiniti has been sent.
    pub form_classes: BTreeSet<u64>,
    /// By header, prints of the values that Infiniti has been sent: of the headers of which no new values are expected.
    pub values: BTreeMap<String, BTreeSet<u64>>,
    /// About how many patrons there are in the book.
    pub patrons: u64,
}

/// A run as the history keeps it. Counts only: no value of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; nothing if it was killed, or still runs.
    pub ended_at: Option<Timestamp>,
    /// `full` or `delta`.
    pub mode: String,
    /// The plan's id, if it came to one.
    pub plan: Option<String>,
    /// The exit code's number.
    pub exit_code: Option<u8>,
    /// What it came to.
    pub summary: Summary,
}

/// Clocks of several machines may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

impl Run {
    /// Whether it began in what is the future now: a clock was wrong then. Such a run says nothing of when something was
    /// done, or what is done every night would rest until that day.
    pub fn is_ahead(&self, now: Timestamp) -> bool {
        self.started_at.duration_since(now) > SKEW
    }
}

/// An open book.
pub struct State {
    store: Box<dyn Store>,
    place: Place,
    book: i64,
    key: Key,
    revision: i64,
    facts: Facts,
    /// The highest number of a layer so far.
    last_layer: i64,
    /// What its layers had when it was opened.
    size: Size,
    /// The layer that says that a batch is on its way.
    departure: Option<i64>,
    run: Option<i64>,
}

/// How much the layers of a book have.
#[derive(Clone, Copy)]
struct Size {
    layers: i64,
    entries: i64,
    bytes: i64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("place", &self.place).field("book", &self.book).finish_non_exhaustive()
    }
}

/// Books smaller than this are packed into one layer whenever there are two.
const SMALL_BYTES: i64 = 4 << 20;
/// More layers than this are packed into one.
const LAYERS_MAX: i64 = 8;

impl State {
    /// Opens the book of a mapping for a push, with its lock: makes store and book if need be. `None` if the mapping
    /// keeps no state.
    ///
    /// # Errors
    /// Any [`StateError`]; [`StateError::Held`] while another run of the mapping is under way.
    pub async fn open(location: &StateLocation, identity: &Identity) -> Result<Option<Self>, StateError> {
        let Some((mut store, place)) = open_store(location, true).await? else { return Ok(None) };
        let row = if let Some(row) = store.book(&identity.mapping, &identity.target).await? {
            row
        } else {
            let key = Key::random()
                .map_err(|source| StateError::Failed { place: place.clone(), source: Box::new(source) })?;
            store.add_book(&identity.mapping, &identity.target, key.bytes()).await?
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
        let row = store.book(&identity.mapping, &identity.target).await?.unwrap_or(row);
        Self::of(store, place, &row).map(Some)
    }

    /// Opens the book of a mapping to look at it, without its lock. `None` if there is none yet.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn look(location: &StateLocation, identity: &Identity) -> Result<Option<Self>, StateError> {
        let Some((mut store, place)) = open_store(location, false).await? else { return Ok(None) };
        match store.book(&identity.mapping, &identity.target).await? {
            Some(row) => Self::of(store, place, &row).map(Some),
            None => Ok(None),
        }
    }

    fn of(store: Box<dyn Store>, place: Place, row: &Row) -> Result<Self, StateError> {
        let facts = serde_json::from_str(&row.facts)
            .map_err(|source| StateError::Damaged { place: place.clone(), source: Box::new(source) })?;
        Ok(Self {
            store,
            place,
            book: row.id,
            key: Key::stored(row.key),
            revision: row.revision,
            facts,
            last_layer: row.last_layer,
            size: Size { layers: row.layers, entries: row.entries, bytes: row.bytes },
            departure: None,
            run: None,
        })
    }

    /// Where it is, without secrets.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// The key of its fingerprints.
    pub fn key(&self) -> Key {
        self.key
    }

    /// How often something was sent on the strength of this book: a plan is one for just this number.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// What it says of the mapping as a whole.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Everything that is known of the mapping's patrons.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn accepted(&mut self) -> Result<Accepted, StateError> {
        let layers: Vec<Layer> = self.store.layers(self.book).await?;
        Accepted::new(layers)
            .map_err(|source| StateError::Damaged { place: self.place.clone(), source: Box::new(source) })
    }

    /// Writes that a run begins to send, and what was noticed of patrons so far. From here on no other plan has the same
    /// id.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn begin(&mut self, run: &Run, fill: impl FnMut(&mut Page) -> bool + Send) -> Result<(), StateError> {
        let row = run_row(run);
        let change = Change {
            layer: Some((self.next_layer(), Box::new(pages(fill)))),
            book: Some((self.revision + 1, facts_json(&self.facts))),
            run: Some((None, &row)),
            ..Change::default()
        };
        self.run = self.store.commit(self.book, change).await?;
        self.revision += 1;
        Ok(())
    }

    /// Writes that patrons are about to be sent: until there is a receipt, nobody knows what became of them.
    ///
    /// # Errors
    /// Any [`StateError`]: then nothing may be sent.
    pub async fn depart(&mut self, fill: impl FnMut(&mut Page) -> bool + Send) -> Result<(), StateError> {
        let number = self.next_layer();
        let change = Change { layer: Some((number, Box::new(pages(fill)))), ..Change::default() };
        self.store.commit(self.book, change).await?;
        self.departure = Some(number);
        Ok(())
    }

    /// Writes what became of the patrons that departed last, in one transaction; `pages` of nothing if they were not
    /// sent after all.
    ///
    /// # Errors
    /// Any [`StateError`]: then their outcome stays unknown.
    pub async fn arrive(&mut self, pages: impl Iterator<Item = Page> + Send) -> Result<(), StateError> {
        let number = self.next_layer();
        let change = Change {
            drop_layers: self.departure.into_iter().collect(),
            layer: Some((number, Box::new(pages))),
            ..Change::default()
        };
        self.store.commit(self.book, change).await?;
        self.departure = None;
        Ok(())
    }

    /// Writes the end of a run: what was noticed of patrons, the facts, and the run.
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
            layer: Some((self.next_layer(), Box::new(pages(fill)))),
            book: Some((self.revision, facts_json(&facts))),
            run: Some((self.run, &row)),
            ..Change::default()
        };
        self.run = self.store.commit(self.book, change).await?;
        self.facts = facts;
        Ok(())
    }

    /// Writes a run that sent nothing: it failed before, or a limit stopped it.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn record(&mut self, run: &Run) -> Result<(), StateError> {
        let row = run_row(run);
        self.store.commit(self.book, Change { run: Some((None, &row)), ..Change::default() }).await.map(drop)
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
        let accepted = self.accepted().await?;
        let facts = Facts { full_at: None, ..self.facts.clone() };
        let book = Some((self.revision + 1, facts_json(&facts)));
        self.rewrite(&accepted, book, |_| true, |patch| Patch { outcome: Some(Outcome::Unknown), ..patch }).await?;
        self.revision += 1;
        self.facts = facts;
        Ok(accepted.entries().count() as u64)
    }

    /// Packs the layers into one, if that is worth the while.
    ///
    /// # Errors
    /// Any [`StateError`]. The book is then as it was.
    pub async fn tidy(&mut self) -> Result<(), StateError> {
        // A third of what is read each night would be of no use.
        let is_mostly_overridden = self.size.entries * 2 > i64::try_from(self.facts.patrons).unwrap_or(i64::MAX) * 3;
        let is_worth_it = self.size.bytes < SMALL_BYTES || self.size.layers > LAYERS_MAX || is_mostly_overridden;
        if self.size.layers > 1 && is_worth_it { self.pack().await } else { Ok(()) }
    }

    /// Packs the layers into one.
    ///
    /// # Errors
    /// Any [`StateError`]. The book is then as it was.
    pub async fn pack(&mut self) -> Result<(), StateError> {
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
        let number = self.next_layer();
        let mut left = accepted.entries().filter(|entry| keep(entry.username));
        let pages = pages(|page| left.next().map(|entry| page.add(&change(Patch::whole(&entry)))).is_some());
        let change = Change {
            drop_layers: accepted.numbers().collect(),
            layer: Some((number, Box::new(pages))),
            book,
            ..Change::default()
        };
        self.store.commit(self.book, change).await?;
        Ok(())
    }

    /// The last runs, the latest first.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn runs(&mut self, most: u32) -> Result<Vec<Run>, StateError> {
        let rows = self.store.runs(self.book, most).await?;
        Ok(rows.into_iter().map(run).collect())
    }

    /// What each channel of notifications was told last of this mapping, by the channel's key.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn notices(&mut self) -> Result<BTreeMap<String, String>, StateError> {
        self.store.notices(self.book).await
    }

    /// Writes what a channel was told of this mapping; `None` when nothing is left to be said. Needs no lock.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn notice(&mut self, channel: &str, told: Option<&str>) -> Result<(), StateError> {
        self.store.notice(self.book, channel, told).await
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
        self.store.check_lock(self.book).await
    }

    /// Lets the lock go. What cannot be let go of ends with this process.
    pub async fn close(mut self) {
        if let Err(error) = self.store.unlock(self.book).await {
            tracing::warn!(%error, "the lock could not be let go of; it ends with this process");
        }
    }

    fn next_layer(&mut self) -> i64 {
        self.last_layer += 1;
        self.last_layer
    }
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

fn run_row(run: &Run) -> RunRow {
    RunRow {
        started_at: run.started_at,
        ended_at: run.ended_at,
        mode: run.mode.clone(),
        plan: run.plan.clone(),
        exit_code: run.exit_code,
        // Texts and numbers only: it cannot fail.
        report: serde_json::to_string(&run.summary).unwrap_or_default(),
    }
}

pub(super) fn run(row: RunRow) -> Run {
    Run {
        started_at: row.started_at,
        ended_at: row.ended_at,
        mode: row.mode,
        plan: row.plan,
        exit_code: row.exit_code,
        summary: serde_json::from_str(&row.report).unwrap_or_default(),
    }
}
