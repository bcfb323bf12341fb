//! The store as a SQLite file, for one machine.
//!
//! Locks are the operating system's, on a file per book in a folder beside the store: they end with the process that
//! holds them, however it ends.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rusqlite::{ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::layer::{Layer, Page};
use super::store::{Change, FEEDS_SINCE, MAIN, Owner, RUNS_KEPT_S, Row, RunChange, RunRow, Store, note_upgrade};
use super::{Identity, Place, STATE_VERSION, StateError};

/// An open file.
pub(super) struct Sqlite {
    connection: rusqlite::Connection,
    path: PathBuf,
    /// What it was when it was opened, or became then.
    version: u32,
    lock: Option<File>,
}

/// What each version adds to the one before, beginning with version 1.
const MIGRATIONS: [&str; STATE_VERSION as usize] = [
    "
    CREATE TABLE books (
        id INTEGER PRIMARY KEY,
        mapping TEXT NOT NULL,
        target TEXT NOT NULL,
        key BLOB NOT NULL,
        revision INTEGER NOT NULL,
        facts TEXT NOT NULL,
        UNIQUE (mapping, target)
    ) STRICT;
    CREATE TABLE pages (
        book INTEGER NOT NULL REFERENCES books,
        layer INTEGER NOT NULL,
        number INTEGER NOT NULL,
        patrons INTEGER NOT NULL,
        entries BLOB NOT NULL,
        PRIMARY KEY (book, layer, number)
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        book INTEGER NOT NULL REFERENCES books,
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        mode TEXT NOT NULL,
        plan TEXT,
        exit_code INTEGER,
        report TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_of_books ON runs (book, id);
    CREATE TABLE owners (
        book INTEGER PRIMARY KEY REFERENCES books,
        host TEXT NOT NULL,
        process INTEGER NOT NULL,
        since INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE notices (
        book INTEGER NOT NULL REFERENCES books,
        channel TEXT NOT NULL,
        told TEXT NOT NULL,
        PRIMARY KEY (book, channel)
    ) STRICT;
",
    // What is unique in a table is there to stay, so the table is made anew. All others refer to it: SQLite counts what has
    // lost its book and has found it again, and commits only if nothing is left.
    "
    PRAGMA defer_foreign_keys = ON;
    CREATE TABLE older AS SELECT * FROM books;
    DROP TABLE books;
    CREATE TABLE books (
        id INTEGER PRIMARY KEY,
        mapping TEXT NOT NULL,
        target TEXT NOT NULL,
        feed TEXT NOT NULL DEFAULT 'users',
        key BLOB NOT NULL,
        revision INTEGER NOT NULL,
        facts TEXT NOT NULL,
        UNIQUE (mapping, target, feed)
    ) STRICT;
    INSERT INTO books (id, mapping, target, key, revision, facts)
        SELECT id, mapping, target, key, revision, facts FROM older;
    DROP TABLE older;
",
];

/// Marks the file as ours: `sisp` in ASCII.
const APPLICATION: i32 = 0x7369_7370;

/// How often, and after which time, a lock is tried again that nobody has put a name to.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// How long it is tried again to open a file that another push opens for the first time.
const OPENING_LIMIT: Duration = Duration::from_secs(2);

/// How long another run's transaction is waited for. The longest are a second or two, for a million patrons.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

impl Sqlite {
    /// Opens the file; makes it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        create(path)?;
        // The first of all openings changes how the file keeps its journal, and SQLite lets nobody wait for that. Not behind a
        // lock of ours: a file on a disk that hangs would keep every other school waiting.
        let began = Instant::now();
        loop {
            match Self::connect(path).and_then(|mut store| store.migrate().map(|()| store)) {
                Err(StateError::Busy { .. }) if began.elapsed() < OPENING_LIMIT => std::thread::sleep(LOCK_WAIT),
                opened => return opened,
            }
        }
    }

    /// Opens the file if there is one, for reading.
    pub(super) fn open_existing(path: &Path) -> Result<Option<Self>, StateError> {
        // A file that a push made and never got to fill is as good as none.
        if !fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Ok(None);
        }
        let mut store = Self::connect(path)?;
        store.version = store.version()?;
        Ok((store.version > 0).then_some(store))
    }

    fn connect(path: &Path) -> Result<Self, StateError> {
        let place = || Place::File(path.to_owned());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(|error| failed(&place(), error))?;
        let store = Self { connection, path: path.to_owned(), version: 0, lock: None };
        store.connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| store.failed(error))?;
        Ok(store)
    }

    fn place(&self) -> Place {
        Place::File(self.path.clone())
    }

    fn failed(&self, error: rusqlite::Error) -> StateError {
        failed(&self.place(), error)
    }

    /// The version of the file: 0 if it is empty.
    fn version(&self) -> Result<u32, StateError> {
        // One statement, so that another run's first migration is seen whole or not at all.
        let (version, application, tables) = self
            .connection
            .query_row(
                "SELECT (SELECT user_version FROM pragma_user_version),
                     (SELECT application_id FROM pragma_application_id), count(*) FROM sqlite_schema",
                [],
                |row| Ok((row.get::<_, i32>(0)?, row.get::<_, i32>(1)?, row.get::<_, i64>(2)?)),
            )
            .map_err(|error| self.failed(error))?;
        if application != APPLICATION && tables > 0 {
            return Err(StateError::NotOurs { place: self.place() });
        }
        match u32::try_from(version).unwrap_or_default() {
            found if found > STATE_VERSION => Err(StateError::Newer { place: self.place(), found }),
            found => Ok(found),
        }
    }

    fn migrate(&mut self) -> Result<(), StateError> {
        if self.version()? == STATE_VERSION {
            self.version = STATE_VERSION;
            return self.prepare();
        }
        self.prepare()?;
        let place = self.place();
        let failed = |error| failed(&place, error);
        // Another run may be at it, too: the version is asked again once the lock is ours.
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let from = self.version()?;
        for migration in MIGRATIONS.iter().skip(from as usize) {
            self.connection.execute_batch(migration).map_err(failed)?;
        }
        self.connection.pragma_update(None, "user_version", STATE_VERSION).map_err(failed)?;
        self.connection.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        self.version = STATE_VERSION;
        note_upgrade(&place, from);
        Ok(())
    }

    /// What holds for the connection, or once for the file.
    fn prepare(&self) -> Result<(), StateError> {
        // FULL: a receipt that is written must survive the power going. The log goes into the file when the store is
        // closed, at the latest when it has grown to 400 MB: pages that a run writes twice are copied once.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 100000;
            PRAGMA foreign_keys = ON";
        self.connection.execute_batch(pragmas).map_err(|error| self.failed(error))
    }

    /// The feed of a book, in SQL.
    fn feed(&self) -> &'static str {
        if self.version < FEEDS_SINCE { "'users'" } else { "feed" }
    }

    fn read_book(&self, identity: &Identity, feed: &str) -> rusqlite::Result<Option<Row>> {
        self.connection
            .query_row(
                &format!(
                    "SELECT id, key, revision, facts, coalesce(max(layer), 0), count(DISTINCT layer),
                         coalesce(sum(patrons), 0), coalesce(sum(length(entries)), 0)
                     FROM books LEFT JOIN pages ON book = id
                     WHERE mapping = ? AND target = ? AND {} = ? GROUP BY id",
                    self.feed()
                ),
                [&identity.mapping, &identity.target, feed],
                |row| {
                    Ok(Row {
                        id: row.get(0)?,
                        key: row.get(1)?,
                        revision: row.get(2)?,
                        facts: row.get(3)?,
                        last_layer: row.get(4)?,
                        layers: row.get(5)?,
                        entries: row.get(6)?,
                        bytes: row.get(7)?,
                    })
                },
            )
            .optional()
    }

    fn read_owner(&self, book: i64) -> rusqlite::Result<Option<Owner>> {
        self.connection
            .query_row("SELECT host, process, since FROM owners WHERE book = ?", [book], |row| {
                Ok(Owner { host: row.get(0)?, process: row.get(1)?, since: time(row.get(2)?) })
            })
            .optional()
    }

    /// The folder of the locks, and in it the file of a book's lock.
    fn lock_file(&self, book: i64) -> (PathBuf, PathBuf) {
        let mut folder = self.path.clone().into_os_string();
        folder.push("-locks");
        let folder = PathBuf::from(folder);
        let path = folder.join(book.to_string());
        (folder, path)
    }

    /// Shares the lock for a moment. A push that comes in that very moment finds no owner and tries again.
    fn look_at_lock(&self, book: i64) -> Result<(), StateError> {
        let (_, path) = self.lock_file(book);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StateError::Create { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                Err(StateError::Held { owner: self.read_owner(book).map_err(|error| self.failed(error))? })
            }
            Err(TryLockError::Error(source)) => Err(StateError::Create { path, source }),
        }
    }

    fn take_lock(&mut self, book: i64, owner: &Owner) -> Result<Option<Owner>, StateError> {
        let (folder, path) = self.lock_file(book);
        let create = |source| StateError::Create { path: path.clone(), source };
        create_folder(&folder).map_err(create)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(create)?;
        let mut tries = LOCK_TRIES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let owner = self.read_owner(book).map_err(|error| self.failed(error))?;
                    // Without a name it is being taken, or let go of, at this very moment.
                    if owner.is_some() || tries == 0 {
                        return Err(StateError::Held { owner });
                    }
                    tries -= 1;
                    std::thread::sleep(LOCK_WAIT);
                }
                Err(TryLockError::Error(source)) => return Err(create(source)),
            }
        }
        self.lock = Some(file);
        let take = || {
            let left = self.read_owner(book)?;
            self.connection.execute(
                "INSERT OR REPLACE INTO owners (book, host, process, since) VALUES (?, ?, ?, ?)",
                params![book, owner.host, owner.process, owner.since.as_second()],
            )?;
            Ok(left)
        };
        take().map_err(|error| self.failed(error))
    }

    fn read_layers(&self, book: i64) -> rusqlite::Result<Vec<Layer>> {
        let mut statement = self
            .connection
            .prepare("SELECT layer, patrons, entries FROM pages WHERE book = ? ORDER BY layer, number")?;
        let mut rows = statement.query([book])?;
        let mut layers: Vec<Layer> = Vec::new();
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            let page = Page { patrons: row.get(1)?, bytes: row.get(2)? };
            match layers.last_mut() {
                Some(layer) if layer.number == number => layer.pages.push(page),
                _ => layers.push(Layer { number, pages: vec![page] }),
            }
        }
        Ok(layers)
    }

    fn write(&mut self, book: i64, change: Change<'_>) -> rusqlite::Result<Option<i64>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for layer in change.drop_layers {
            transaction.execute("DELETE FROM pages WHERE book = ? AND layer = ?", [book, layer])?;
        }
        if let Some((layer, pages)) = change.layer {
            let mut insert = transaction
                .prepare("INSERT INTO pages (book, layer, number, patrons, entries) VALUES (?, ?, ?, ?, ?)")?;
            // Pages are packed by one thread while they are written by another: a million patrons take half the time.
            std::thread::scope(|scope| {
                let (packed, ready) = sync_channel(4);
                scope.spawn(move || pages.map(|page| packed.send(page)).all(|sent| sent.is_ok()));
                for (number, page) in (0_i64..).zip(ready) {
                    insert.execute(params![book, layer, number, page.patrons, page.bytes])?;
                }
                Ok::<_, rusqlite::Error>(())
            })?;
        }
        if let Some((revision, facts)) = change.book {
            transaction
                .execute("UPDATE books SET revision = ?, facts = ? WHERE id = ?", params![revision, facts, book])?;
        }
        let mut number = None;
        if let Some(RunChange { book, number: known, row: run }) = change.run {
            transaction.execute(
                "INSERT OR REPLACE INTO runs (id, book, started_at, ended_at, mode, plan, exit_code, report)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    known,
                    book,
                    run.started_at.as_second(),
                    run.ended_at.map(Timestamp::as_second),
                    run.mode,
                    run.plan,
                    run.exit_code,
                    run.report
                ],
            )?;
            number = known.or_else(|| Some(transaction.last_insert_rowid()));
            let oldest = run.started_at.as_second() - RUNS_KEPT_S;
            transaction.execute("DELETE FROM runs WHERE book = ? AND started_at < ?", [book, oldest])?;
        }
        transaction.commit()?;
        Ok(number)
    }

    fn read_runs(&self, book: i64, most: u32) -> rusqlite::Result<Vec<RunRow>> {
        let mut statement = self.connection.prepare(
            "SELECT started_at, ended_at, mode, plan, exit_code, report FROM runs WHERE book = ? ORDER BY id DESC LIMIT ?",
        )?;
        let rows = statement.query_map(params![book, most], run_row)?;
        rows.collect()
    }

    fn read_books(&self) -> rusqlite::Result<Vec<(i64, Identity)>> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT id, mapping, target FROM books WHERE {} = ? ORDER BY mapping, target",
            self.feed()
        ))?;
        let books = statement
            .query_map([MAIN], |row| Ok((row.get(0)?, Identity { mapping: row.get(1)?, target: row.get(2)? })))?;
        books.collect()
    }

    fn read_feeds(&self, identity: &Identity) -> rusqlite::Result<Vec<String>> {
        let query = format!("SELECT {} FROM books WHERE mapping = ? AND target = ?", self.feed());
        let mut statement = self.connection.prepare(&query)?;
        let feeds = statement.query_map([&identity.mapping, &identity.target], |row| row.get(0))?;
        feeds.collect()
    }

    fn read_every_run(
        &self,
        since: i64,
        books: &[i64],
        each: &mut (dyn FnMut(i64, RunRow) + Send),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT started_at, ended_at, mode, plan, exit_code, report FROM runs WHERE book = ? AND started_at >= ?
             ORDER BY id",
        )?;
        for book in books {
            let mut rows = statement.query([*book, since])?;
            while let Some(row) = rows.next()? {
                each(*book, run_row(row)?);
            }
        }
        Ok(())
    }

    fn read_notices(&self, book: i64) -> rusqlite::Result<BTreeMap<String, String>> {
        let mut statement = self.connection.prepare("SELECT channel, told FROM notices WHERE book = ?")?;
        let notices = statement.query_map([book], |row| Ok((row.get(0)?, row.get(1)?)))?;
        notices.collect()
    }

    fn write_notice(&self, book: i64, channel: &str, told: Option<&str>) -> rusqlite::Result<()> {
        match told {
            Some(told) => self.connection.execute(
                "INSERT OR REPLACE INTO notices (book, channel, told) VALUES (?, ?, ?)",
                params![book, channel, told],
            ),
            None => {
                self.connection.execute("DELETE FROM notices WHERE book = ? AND channel = ?", params![book, channel])
            }
        }
        .map(drop)
    }
}

impl Store for Sqlite {
    fn book<'a>(&'a mut self, identity: &'a Identity, feed: &'a str) -> BoxFuture<'a, Result<Option<Row>, StateError>> {
        blocking(move || self.read_book(identity, feed).map_err(|error| self.failed(error)))
    }

    fn add_book<'a>(
        &'a mut self,
        identity: &'a Identity,
        feed: &'a str,
        key: &'a [u8; 16],
    ) -> BoxFuture<'a, Result<Row, StateError>> {
        blocking(move || {
            let add = || {
                self.connection.execute(
                    "INSERT INTO books (mapping, target, feed, key, revision, facts) VALUES (?, ?, ?, ?, 0, '{}')
                     ON CONFLICT DO NOTHING",
                    params![identity.mapping, identity.target, feed, key],
                )?;
                self.read_book(identity, feed)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
            };
            add().map_err(|error| self.failed(error))
        })
    }

    fn feeds<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Result<Vec<String>, StateError>> {
        blocking(move || self.read_feeds(identity).map_err(|error| self.failed(error)))
    }

    fn lock<'a>(&'a mut self, book: i64, owner: &'a Owner) -> BoxFuture<'a, Result<Option<Owner>, StateError>> {
        blocking(move || self.take_lock(book, owner))
    }

    fn check_lock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>> {
        blocking(move || self.look_at_lock(book))
    }

    fn stored_version(&mut self) -> BoxFuture<'_, Result<u32, StateError>> {
        blocking(move || self.version())
    }

    fn unlock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>> {
        blocking(move || {
            let removed = self.connection.execute("DELETE FROM owners WHERE book = ?", [book]);
            self.lock = None;
            removed.map(drop).map_err(|error| self.failed(error))
        })
    }

    fn layers(&mut self, book: i64) -> BoxFuture<'_, Result<Vec<Layer>, StateError>> {
        blocking(move || self.read_layers(book).map_err(|error| self.failed(error)))
    }

    fn commit<'a>(&'a mut self, book: i64, change: Change<'a>) -> BoxFuture<'a, Result<Option<i64>, StateError>> {
        blocking(move || {
            let place = self.place();
            self.write(book, change).map_err(|error| failed(&place, error))
        })
    }

    fn runs(&mut self, book: i64, most: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StateError>> {
        blocking(move || self.read_runs(book, most).map_err(|error| self.failed(error)))
    }

    fn books(&mut self) -> BoxFuture<'_, Result<Vec<(i64, Identity)>, StateError>> {
        blocking(move || self.read_books().map_err(|error| self.failed(error)))
    }

    fn every_run<'a>(
        &'a mut self,
        since: i64,
        books: &'a [i64],
        each: &'a mut (dyn FnMut(i64, RunRow) + Send),
    ) -> BoxFuture<'a, Result<(), StateError>> {
        blocking(move || self.read_every_run(since, books, each).map_err(|error| self.failed(error)))
    }

    fn notices(&mut self, book: i64) -> BoxFuture<'_, Result<BTreeMap<String, String>, StateError>> {
        blocking(move || self.read_notices(book).map_err(|error| self.failed(error)))
    }

    fn notice<'a>(
        &'a mut self,
        book: i64,
        channel: &'a str,
        told: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        blocking(move || self.write_notice(book, channel, told).map_err(|error| self.failed(error)))
    }
}

fn run_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        started_at: time(row.get(0)?),
        ended_at: row.get::<_, Option<i64>>(1)?.map(time),
        mode: row.get(2)?,
        plan: row.get(3)?,
        exit_code: row.get(4)?,
        report: row.get(5)?,
    })
}

/// The disk blocks this thread: without word of it the runtime would leave other work waiting behind it.
fn blocking<'a, T: Send + 'a>(work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { tokio::task::block_in_place(work) })
}

/// Makes the file and its folder, both for their owner only: usernames are in it.
fn create(path: &Path) -> Result<(), StateError> {
    let create = |source| StateError::Create { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_folder(folder).map_err(create)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(create(error)),
        _ if path.is_dir() => Err(create(io::ErrorKind::IsADirectory.into())),
        _ => Ok(()),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn failed(place: &Place, error: rusqlite::Error) -> StateError {
    let place = place.clone();
    match (&error, error.sqlite_error_code()) {
        // It does not begin as every SQLite file does.
        (_, Some(ErrorCode::NotADatabase)) => StateError::NotOurs { place },
        (_, Some(ErrorCode::DatabaseCorrupt))
        | (
            // Values and tables that we never write.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::SqlInputError { .. },
            _,
        ) => StateError::Damaged { place, source: Box::new(error) },
        (_, Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied)) => StateError::ReadOnly { place },
        (_, Some(ErrorCode::DiskFull)) => StateError::Full { place },
        (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => StateError::Busy { place },
        _ => StateError::Failed { place, source: Box::new(error) },
    }
}
