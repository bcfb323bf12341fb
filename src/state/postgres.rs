//! The store as a PostgreSQL database, for a fleet: a schema `sispush` in a database that may hold other things.
//!
//! A lock is an advisory one of the connection's, so it ends with the connection. The connection must therefore last as
//! long as the run: it is never opened again, since another run may have had the lock in between.
//!
//! Times are seconds since 1970 as in the file, so that both stores hold the very same.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::layer::{Layer, Page};
use super::store::{Change, FEEDS_SINCE, MAIN, Owner, RUNS_KEPT_S, Row, RunChange, RunRow, Store, note_upgrade};
use super::{Identity, Place, STATE_VERSION, StateError};
use crate::source::{Connection, SourceError, open_postgres};

/// A session with the database.
pub(super) struct Postgres {
    connection: PgConnection,
    place: Place,
    /// What it was when it was opened, or became then.
    version: u32,
    /// The longest wait for one statement.
    limit: Duration,
}

/// What each version adds to the one before, beginning with version 1.
const MIGRATIONS: [&str; STATE_VERSION as usize] = [
    "
    CREATE TABLE sispush.version (
        one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
        number integer NOT NULL
    );
    INSERT INTO sispush.version (number) VALUES (0);
    CREATE TABLE sispush.books (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        mapping text NOT NULL,
        target text NOT NULL,
        key bytea NOT NULL,
        revision bigint NOT NULL,
        facts text NOT NULL,
        UNIQUE (mapping, target)
    );
    CREATE TABLE sispush.pages (
        book bigint NOT NULL REFERENCES sispush.books,
        layer bigint NOT NULL,
        number bigint NOT NULL,
        patrons bigint NOT NULL,
        entries bytea NOT NULL,
        PRIMARY KEY (book, layer, number)
    );
    -- Fingerprints do not compress: trying to would be time lost.
    ALTER TABLE sispush.pages ALTER COLUMN entries SET STORAGE EXTERNAL;
    CREATE TABLE sispush.runs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        book bigint NOT NULL REFERENCES sispush.books,
        started_at bigint NOT NULL,
        ended_at bigint,
        mode text NOT NULL,
        plan text,
        exit_code smallint,
        report text NOT NULL
    );
    CREATE INDEX runs_of_books ON sispush.runs (book, id);
    CREATE TABLE sispush.owners (
        book bigint PRIMARY KEY REFERENCES sispush.books,
        host text NOT NULL,
        process bigint NOT NULL,
        since bigint NOT NULL
    );
",
    "
    CREATE TABLE sispush.notices (
        book bigint NOT NULL REFERENCES sispush.books,
        channel text NOT NULL,
        told text NOT NULL,
        PRIMARY KEY (book, channel)
    );
",
    "
    ALTER TABLE sispush.books
        ADD COLUMN feed text NOT NULL DEFAULT 'users',
        DROP CONSTRAINT books_mapping_target_key,
        ADD UNIQUE (mapping, target, feed);
",
];

/// The first key of our advisory locks: `sisp` in ASCII. The second is the book's id, or 0 to migrate.
const LOCKS: i32 = 0x7369_7370;

/// What holds for the session.
///
/// A receipt that is written must survive the power going. The keepalives hold the connection open through a long
/// upload, and free the lock of a machine that is gone within two minutes; by its own settings a server takes two hours.
/// A limit on idle sessions, which old servers do not know, would end the run in that same long upload.
const SESSION: &str = "
    SET synchronous_commit = on;
    SET lock_timeout = '30s';
    SET tcp_keepalives_idle = 60;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 6;
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout';
";

/// How long we wait beyond the server's own limit: that one says more, this one is for a network that is gone.
const GRACE: Duration = Duration::from_secs(2);

/// How long letting go may take. It is a courtesy: the lock ends with the connection.
const UNLOCK_LIMIT: Duration = Duration::from_secs(5);

/// Every statement that is used more than once fits; a larger cache would hold nothing.
const STATEMENTS_KEPT: usize = 16;

/// Waits before a push tries again to connect. A server that restarts, or whose connections are all taken by other
/// mappings, must not cost a school its night.
const CONNECT_WAITS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// So long it is tried again where nobody answers: a server has restarted by then.
const GONE_LIMIT: Duration = Duration::from_secs(4);

/// So long where the server is there, and will have a connection when another mapping is done.
const BUSY_LIMIT: Duration = Duration::from_mins(1);

/// Servers that were waited for in vain: the next of hundreds of mappings asks once.
static GONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

async fn connect(settings: &Connection, place: &Place, waits: &[Duration]) -> Result<PgConnection, SourceError> {
    let gone = || GONE.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let mut left = waits.iter();
    loop {
        let error = match open_postgres(settings, STATEMENTS_KEPT).await {
            Ok(connection) => {
                gone().remove(&place.to_string());
                return Ok(connection);
            }
            Err(error) => error,
        };
        // A server that has no connection free is there.
        let is_gone = !matches!(error, SourceError::Busy { .. });
        if !error.is_transient() || is_gone && gone().contains(&place.to_string()) {
            return Err(error);
        }
        let limit = if is_gone { GONE_LIMIT } else { BUSY_LIMIT };
        let wait = left.next().filter(|wait| began.elapsed() + **wait < limit);
        let Some(wait) = wait else {
            if is_gone && !waits.is_empty() {
                gone().insert(place.to_string());
            }
            return Err(error);
        };
        tracing::debug!(%error, wait_ms = wait.as_millis(), "the state does not answer; trying again");
        tokio::time::sleep(*wait).await;
    }
}

impl Postgres {
    /// Opens the schema; makes or upgrades it for a push. `None` for a look at a database without one.
    pub(super) async fn open(settings: &Connection, place: &Place, create: bool) -> Result<Option<Self>, StateError> {
        let waits = if create { CONNECT_WAITS.as_slice() } else { &[] };
        let connection = connect(settings, place, waits)
            .await
            .map_err(|source| StateError::Connect { place: place.clone(), source })?;
        let mut store = Self { connection, place: place.clone(), version: 0, limit: settings.timeout + GRACE };
        let session = format!("{SESSION} SET statement_timeout = {};", settings.timeout.as_millis());
        batch(&mut store.connection, store.limit, session).await.map_err(|error| store.failed(error))?;
        let mut version = store.version().await?;
        if create && version.is_none_or(|found| found < STATE_VERSION) {
            store.migrate().await?;
            version = Some(STATE_VERSION);
        }
        Ok(version.map(|version| Self { version, ..store }))
    }

    fn failed(&self, error: sqlx::Error) -> StateError {
        failed(&self.place, error)
    }

    /// The version of the schema: `None` if there is none, or an empty one that an administrator made.
    async fn version(&mut self) -> Result<Option<u32>, StateError> {
        let tables = sqlx::query(
            "SELECT count(*), count(*) FILTER (WHERE relname = 'version') FROM pg_catalog.pg_class
             WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'sispush')",
        );
        let read = row(&mut self.connection, self.limit, tables).await;
        let (all, versions): (i64, i64) = read.and_then(|row| tuple(&row)).map_err(|error| self.failed(error))?;
        if all == 0 {
            return Ok(None);
        }
        if versions == 0 {
            return Err(StateError::NotOurs { place: self.place.clone() });
        }
        let number = sqlx::query("SELECT number FROM sispush.version");
        let read = row(&mut self.connection, self.limit, number).await;
        let number: i32 = read.and_then(|row| row.try_get(0)).map_err(|error| self.failed(error))?;
        match u32::try_from(number).unwrap_or_default() {
            found if found > STATE_VERSION => Err(StateError::Newer { place: self.place.clone(), found }),
            found => Ok(Some(found)),
        }
    }

    async fn migrate(&mut self) -> Result<(), StateError> {
        // Not a `Transaction`, so that `version` can be asked inside it. Whatever fails, the connection is dropped.
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, 0)");
        batch(&mut self.connection, self.limit, begin).await.map_err(|error| self.failed(error))?;
        // Another machine may have been at it: the version is asked again now that the lock is ours.
        let from = self.version().await?.unwrap_or_default();
        self.upgrade(from).await.map_err(|error| self.failed(error))?;
        note_upgrade(&self.place, from);
        Ok(())
    }

    async fn upgrade(&mut self, from: u32) -> sqlx::Result<()> {
        let schemas = sqlx::query("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'sispush'");
        let schemas: i64 = row(&mut self.connection, self.limit, schemas).await?.try_get(0)?;
        // Asked first: `IF NOT EXISTS` wants the right to make a schema even where an administrator has made it.
        if schemas == 0 {
            batch(&mut self.connection, self.limit, "CREATE SCHEMA IF NOT EXISTS sispush".to_owned()).await?;
        }
        for migration in MIGRATIONS.iter().skip(from as usize) {
            batch(&mut self.connection, self.limit, (*migration).to_owned()).await?;
        }
        let end = format!("UPDATE sispush.version SET number = {STATE_VERSION}; COMMIT");
        batch(&mut self.connection, self.limit, end).await
    }

    /// The feed of a book, in SQL.
    fn feed(&self) -> &'static str {
        if self.version < FEEDS_SINCE { "'users'" } else { "feed" }
    }

    async fn read_book(&mut self, identity: &Identity, feed: &str) -> sqlx::Result<Option<Row>> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT id, key, revision, facts, coalesce(max(layer), 0), count(DISTINCT layer),
                 coalesce(sum(patrons), 0)::bigint, coalesce(sum(length(entries)), 0)::bigint
             FROM sispush.books LEFT JOIN sispush.pages ON book = id
             WHERE mapping = $1 AND target = $2 AND {} = $3 GROUP BY id",
            self.feed()
        )))
        .bind(&identity.mapping)
        .bind(&identity.target)
        .bind(feed);
        let found = within(self.limit, query.fetch_optional(&mut self.connection)).await?;
        found
            .map(|row| {
                let (id, key, revision, facts, last_layer, layers, entries, bytes) = tuple(&row)?;
                Ok(Row { id, key, revision, facts, last_layer, layers, entries, bytes })
            })
            .transpose()
    }

    async fn insert_book(&mut self, identity: &Identity, feed: &str, key: &[u8; 16]) -> sqlx::Result<Row> {
        let query = sqlx::query(
            "INSERT INTO sispush.books (mapping, target, feed, key, revision, facts) VALUES ($1, $2, $3, $4, 0, '{}')
             ON CONFLICT DO NOTHING",
        )
        .bind(&identity.mapping)
        .bind(&identity.target)
        .bind(feed)
        .bind(&key[..]);
        within(self.limit, query.execute(&mut self.connection)).await?;
        self.read_book(identity, feed).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn read_owner(&mut self, book: i64) -> sqlx::Result<Option<Owner>> {
        let query = sqlx::query("SELECT host, process, since FROM sispush.owners WHERE book = $1").bind(book);
        let found = within(self.limit, query.fetch_optional(&mut self.connection)).await?;
        found
            .map(|row| {
                let (host, process, since): (String, i64, i64) = tuple(&row)?;
                Ok(Owner { host, process: u32::try_from(process).unwrap_or_default(), since: time(since) })
            })
            .transpose()
    }

    /// Whether any session has the lock of a book. A key of two halves has the number 2 in the table of locks.
    async fn is_locked(&mut self, book: i64) -> sqlx::Result<bool> {
        let query = sqlx::query(
            "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
             AND classid = $1::bigint::oid AND objid = $2::bigint::oid AND database =
             (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
        );
        let query = query.bind(i64::from(LOCKS)).bind(book);
        let count: i64 = row(&mut self.connection, self.limit, query).await?.try_get(0)?;
        Ok(count > 0)
    }

    /// Whether the lock is ours, and who is known to hold it or to have left it.
    async fn take_lock(&mut self, book: i64, owner: &Owner) -> sqlx::Result<(bool, Option<Owner>)> {
        let query = sqlx::query("SELECT pg_try_advisory_lock($1, $2::integer)").bind(LOCKS).bind(book);
        let is_ours = row(&mut self.connection, self.limit, query).await?.try_get(0)?;
        let known = self.read_owner(book).await?;
        if is_ours {
            let query = sqlx::query(
                "INSERT INTO sispush.owners (book, host, process, since) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (book) DO UPDATE SET host = $2, process = $3, since = $4",
            )
            .bind(book)
            .bind(&owner.host)
            .bind(i64::from(owner.process))
            .bind(owner.since.as_second());
            within(self.limit, query.execute(&mut self.connection)).await?;
        }
        Ok((is_ours, known))
    }

    async fn let_go(&mut self, book: i64) -> sqlx::Result<()> {
        let query = sqlx::query("DELETE FROM sispush.owners WHERE book = $1").bind(book);
        let removed = within(UNLOCK_LIMIT, query.execute(&mut self.connection)).await;
        let query = sqlx::query("SELECT pg_advisory_unlock($1, $2::integer)").bind(LOCKS).bind(book);
        within(UNLOCK_LIMIT, query.execute(&mut self.connection)).await?;
        removed.map(drop)
    }

    async fn read_layers(&mut self, book: i64) -> sqlx::Result<Vec<Layer>> {
        let query =
            sqlx::query("SELECT layer, patrons, entries FROM sispush.pages WHERE book = $1 ORDER BY layer, number");
        let mut rows = query.bind(book).fetch(&mut self.connection);
        let mut layers: Vec<Layer> = Vec::new();
        while let Some(row) = within(self.limit, rows.try_next()).await? {
            let (number, patrons, bytes): (i64, i64, Vec<u8>) = tuple(&row)?;
            // A count that cannot be is found out when the page is read.
            let page = Page { patrons: u32::try_from(patrons).unwrap_or(u32::MAX), bytes };
            match layers.last_mut() {
                Some(layer) if layer.number == number => layer.pages.push(page),
                _ => layers.push(Layer { number, pages: vec![page] }),
            }
        }
        Ok(layers)
    }

    async fn write(&mut self, book: i64, change: Change<'_>) -> sqlx::Result<Option<i64>> {
        let limit = self.limit;
        // Dropped before its end, it rolls back.
        let mut transaction = within(limit, self.connection.begin()).await?;
        if !change.drop_layers.is_empty() {
            let query = sqlx::query("DELETE FROM sispush.pages WHERE book = $1 AND layer = ANY($2)");
            let query = query.bind(book).bind(change.drop_layers);
            within(limit, query.execute(&mut *transaction)).await?;
        }
        if let Some((layer, pages)) = change.layer {
            // A page a statement: a page is as much as is sent well at once.
            for (number, page) in (0_i64..).zip(pages) {
                let query = sqlx::query(
                    "INSERT INTO sispush.pages (book, layer, number, patrons, entries) VALUES ($1, $2, $3, $4, $5)",
                );
                let query = query.bind(book).bind(layer).bind(number).bind(i64::from(page.patrons)).bind(page.bytes);
                within(limit, query.execute(&mut *transaction)).await?;
            }
        }
        if let Some((revision, facts)) = change.book {
            let query = sqlx::query("UPDATE sispush.books SET revision = $2, facts = $3 WHERE id = $1");
            within(limit, query.bind(book).bind(revision).bind(facts).execute(&mut *transaction)).await?;
        }
        let mut number = None;
        if let Some(RunChange { book, number: known, row: run }) = change.run {
            let query = match known {
                None => sqlx::query(
                    "INSERT INTO sispush.runs (book, started_at, ended_at, mode, plan, exit_code, report)
                     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                ),
                Some(_) => sqlx::query(
                    "UPDATE sispush.runs SET started_at = $2, ended_at = $3, mode = $4, plan = $5, exit_code = $6,
                     report = $7 WHERE book = $1 AND id = $8 RETURNING id",
                ),
            };
            let mut query = query
                .bind(book)
                .bind(run.started_at.as_second())
                .bind(run.ended_at.map(Timestamp::as_second))
                .bind(&run.mode)
                .bind(&run.plan)
                .bind(run.exit_code.map(i16::from))
                .bind(&run.report);
            if let Some(known) = known {
                query = query.bind(known);
            }
            number = Some(row(&mut transaction, limit, query).await?.try_get(0)?);
            let oldest = sqlx::query("DELETE FROM sispush.runs WHERE book = $1 AND started_at < $2");
            let oldest = oldest.bind(book).bind(run.started_at.as_second() - RUNS_KEPT_S);
            within(limit, oldest.execute(&mut *transaction)).await?;
        }
        within(limit, transaction.commit()).await?;
        Ok(number)
    }

    async fn read_runs(&mut self, book: i64, most: u32) -> sqlx::Result<Vec<RunRow>> {
        let query = sqlx::query(
            "SELECT started_at, ended_at, mode, plan, exit_code, report FROM sispush.runs WHERE book = $1
             ORDER BY id DESC LIMIT $2",
        );
        let rows = within(self.limit, query.bind(book).bind(i64::from(most)).fetch_all(&mut self.connection)).await?;
        rows.iter().map(run_row).collect()
    }

    async fn read_books(&mut self) -> sqlx::Result<Vec<(i64, Identity)>> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT id, mapping, target FROM sispush.books WHERE {} = $1 ORDER BY mapping, target",
            self.feed()
        )));
        let rows = within(self.limit, query.bind(MAIN).fetch_all(&mut self.connection)).await?;
        rows.iter()
            .map(|row| {
                let (id, mapping, target) = tuple(row)?;
                Ok((id, Identity { mapping, target }))
            })
            .collect()
    }

    async fn read_feeds(&mut self, identity: &Identity) -> sqlx::Result<Vec<String>> {
        let query = sqlx::query(AssertSqlSafe(format!(
            "SELECT {} FROM sispush.books WHERE mapping = $1 AND target = $2",
            self.feed()
        )));
        let query = query.bind(&identity.mapping).bind(&identity.target);
        let rows = within(self.limit, query.fetch_all(&mut self.connection)).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    async fn read_every_run(
        &mut self,
        since: i64,
        books: &[i64],
        each: &mut (dyn FnMut(i64, RunRow) + Send),
    ) -> sqlx::Result<()> {
        let query = sqlx::query(
            "SELECT started_at, ended_at, mode, plan, exit_code, report, book FROM sispush.runs
             WHERE started_at >= $1 AND book = ANY($2) ORDER BY book, id",
        );
        let mut rows = query.bind(since).bind(books).fetch(&mut self.connection);
        while let Some(row) = within(self.limit, rows.try_next()).await? {
            each(row.try_get(6)?, run_row(&row)?);
        }
        Ok(())
    }

    async fn read_notices(&mut self, book: i64) -> sqlx::Result<BTreeMap<String, String>> {
        let query = sqlx::query("SELECT channel, told FROM sispush.notices WHERE book = $1").bind(book);
        let rows = within(self.limit, query.fetch_all(&mut self.connection)).await?;
        rows.iter().map(tuple).collect()
    }

    async fn write_notice(&mut self, book: i64, channel: &str, told: Option<&str>) -> sqlx::Result<()> {
        let query = match told {
            Some(told) => sqlx::query(
                "INSERT INTO sispush.notices (book, channel, told) VALUES ($1, $2, $3)
                 ON CONFLICT (book, channel) DO UPDATE SET told = $3",
            )
            .bind(book)
            .bind(channel)
            .bind(told),
            None => {
                sqlx::query("DELETE FROM sispush.notices WHERE book = $1 AND channel = $2").bind(book).bind(channel)
            }
        };
        within(self.limit, query.execute(&mut self.connection)).await.map(drop)
    }
}

impl Store for Postgres {
    fn book<'a>(&'a mut self, identity: &'a Identity, feed: &'a str) -> BoxFuture<'a, Result<Option<Row>, StateError>> {
        Box::pin(async move { self.read_book(identity, feed).await.map_err(|error| self.failed(error)) })
    }

    fn add_book<'a>(
        &'a mut self,
        identity: &'a Identity,
        feed: &'a str,
        key: &'a [u8; 16],
    ) -> BoxFuture<'a, Result<Row, StateError>> {
        Box::pin(async move { self.insert_book(identity, feed, key).await.map_err(|error| self.failed(error)) })
    }

    fn feeds<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Result<Vec<String>, StateError>> {
        Box::pin(async move { self.read_feeds(identity).await.map_err(|error| self.failed(error)) })
    }

    fn lock<'a>(&'a mut self, book: i64, owner: &'a Owner) -> BoxFuture<'a, Result<Option<Owner>, StateError>> {
        Box::pin(async move {
            match self.take_lock(book, owner).await {
                Ok((true, left)) => Ok(left),
                Ok((false, owner)) => Err(StateError::Held { owner }),
                Err(error) => Err(self.failed(error)),
            }
        })
    }

    fn check_lock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(async move {
            if !self.is_locked(book).await.map_err(|error| self.failed(error))? {
                return Ok(());
            }
            Err(StateError::Held { owner: self.read_owner(book).await.map_err(|error| self.failed(error))? })
        })
    }

    fn stored_version(&mut self) -> BoxFuture<'_, Result<u32, StateError>> {
        Box::pin(async move { Ok(self.version().await?.unwrap_or_default()) })
    }

    fn unlock(&mut self, book: i64) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(async move { self.let_go(book).await.map_err(|error| self.failed(error)) })
    }

    fn layers(&mut self, book: i64) -> BoxFuture<'_, Result<Vec<Layer>, StateError>> {
        Box::pin(async move { self.read_layers(book).await.map_err(|error| self.failed(error)) })
    }

    fn commit<'a>(&'a mut self, book: i64, change: Change<'a>) -> BoxFuture<'a, Result<Option<i64>, StateError>> {
        Box::pin(async move { self.write(book, change).await.map_err(|error| self.failed(error)) })
    }

    fn runs(&mut self, book: i64, most: u32) -> BoxFuture<'_, Result<Vec<RunRow>, StateError>> {
        Box::pin(async move { self.read_runs(book, most).await.map_err(|error| self.failed(error)) })
    }

    fn books(&mut self) -> BoxFuture<'_, Result<Vec<(i64, Identity)>, StateError>> {
        Box::pin(async move { self.read_books().await.map_err(|error| self.failed(error)) })
    }

    fn every_run<'a>(
        &'a mut self,
        since: i64,
        books: &'a [i64],
        each: &'a mut (dyn FnMut(i64, RunRow) + Send),
    ) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move { self.read_every_run(since, books, each).await.map_err(|error| self.failed(error)) })
    }

    fn notices(&mut self, book: i64) -> BoxFuture<'_, Result<BTreeMap<String, String>, StateError>> {
        Box::pin(async move { self.read_notices(book).await.map_err(|error| self.failed(error)) })
    }

    fn notice<'a>(
        &'a mut self,
        book: i64,
        channel: &'a str,
        told: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move { self.write_notice(book, channel, told).await.map_err(|error| self.failed(error)) })
    }
}

fn run_row(row: &PgRow) -> sqlx::Result<RunRow> {
    Ok(RunRow {
        started_at: time(row.try_get(0)?),
        ended_at: row.try_get::<Option<i64>, _>(1)?.map(time),
        mode: row.try_get(2)?,
        plan: row.try_get(3)?,
        exit_code: row.try_get::<Option<i16>, _>(4)?.and_then(|code| u8::try_from(code).ok()),
        report: row.try_get(5)?,
    })
}

async fn within<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Runs statements whose results are of no interest. None of them holds a value from outside.
async fn batch(connection: &mut PgConnection, limit: Duration, sql: String) -> sqlx::Result<()> {
    within(limit, sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection)).await.map(drop)
}

async fn row(
    connection: &mut PgConnection,
    limit: Duration,
    query: Query<'_, sqlx::Postgres, PgArguments>,
) -> sqlx::Result<PgRow> {
    within(limit, query.fetch_one(connection)).await
}

fn tuple<'r, T: sqlx::FromRow<'r, PgRow>>(row: &'r PgRow) -> sqlx::Result<T> {
    T::from_row(row)
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What the server said, without its `DETAIL`, which holds values of rows.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code})")]
struct Refusal {
    message: String,
    code: String,
}

fn failed(place: &Place, error: sqlx::Error) -> StateError {
    let place = place.clone();
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Io(source) => return StateError::Lost { place, source: Box::new(source) },
        error @ (sqlx::Error::RowNotFound
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::Decode(_)) => return StateError::Damaged { place, source: Box::new(error) },
        error => return StateError::Failed { place, source: Box::new(error) },
    };
    let code = database.code().unwrap_or_default().into_owned();
    let refusal = || Box::new(Refusal { message: database.message().to_owned(), code: code.clone() });
    match code.as_str() {
        // read_only_sql_transaction, which replicas say too; insufficient_privilege.
        "25006" | "42501" => StateError::ReadOnly { place },
        "53100" => StateError::Full { place },
        // lock_not_available is how lock_timeout ends a statement, query_canceled how statement_timeout does.
        "55P03" | "57014" => StateError::Busy { place },
        // The server is shut down, has crashed, or ends the session for being idle.
        "57P01" | "57P02" | "57P03" | "57P05" => StateError::Lost { place, source: refusal() },
        // data_corrupted, index_corrupted, undefined_column, undefined_table.
        "XX001" | "XX002" | "42703" | "42P01" => StateError::Damaged { place, source: refusal() },
        _ => StateError::Failed { place, source: refusal() },
    }
}
