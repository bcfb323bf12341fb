//! The source: a school's SIS database, read and never written to.
//!
//! Every engine gives its rows as text by one rule (the table in `mappings/README.md`, section "Types"), in blocks
//! ([`row`]), and keeps the database from being changed by its own means:
//!
//! | engine | how |
//! |---|---|
//! | SQL Server | statements that write are refused before they are sent; a transaction that is always rolled back |
//! | PostgreSQL | a `REPEATABLE READ READ ONLY` transaction; the query is prepared alone first |
//! | MySQL, MariaDB | a `READ ONLY` transaction on one snapshot; the query is prepared alone first |
//! | SQLite | the file is opened read-only, with `query_only` |
//! | ODBC | statements that write are refused before they are sent; a transaction that is always rolled back |
//! | CSV | the files are opened read-only; queries run on a copy in memory |
//!
//! All extracts of a mapping run in one session, so that they agree.
//!
//! Beside rows there are the tables that a database holds ([`catalogue`]), its facts and the way to it, step by step
//! ([`probe`]), and what a query's text tells without asking anybody ([`check_query`]).

pub mod catalogue;
mod connection;
mod csv;
mod error;
mod failure;
pub mod folder;
mod format;
mod guard;
mod issuer;
mod lexer;
pub mod memory;
mod mysql;
mod network;
#[cfg(feature = "odbc")]
mod odbc;
mod postgres;
pub mod probe;
pub mod row;
pub(crate) mod select;
mod sqlite;
mod sqlserver;
pub mod table;
mod tls;

use futures_util::future::BoxFuture;

pub use connection::{Connection, ConnectionError, CsvFormat, Encryption, Engine, Login, OdbcString};
pub use error::SourceError;
pub(crate) use postgres::open as open_postgres;
use row::{Column, RowSink};

/// A session with a source.
pub trait Source: Send {
    /// Runs one query and writes its columns and rows into `sink`, ending with [`RowSink::end`].
    ///
    /// Ends early and well when the sink is [stopped](row::Stopped); the session is then only good for closing.
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>>;

    /// The tables that are there and that no catalogue of the database lists; none where there is a catalogue.
    fn tables(&self) -> Vec<String> {
        Vec::new()
    }

    /// Ends the session. Errors are of no interest: nothing was written.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Opens a session. The connection's secrets are resolved already.
///
/// # Errors
/// Any [`SourceError`] of name, port, TLS and login. Transient ones are the caller's to try again.
pub async fn connect(connection: &Connection) -> Result<Box<dyn Source>, SourceError> {
    Ok(match connection.engine {
        Engine::SqlServer => Box::new(sqlserver::SqlServer::connect(connection).await?),
        Engine::Postgres => Box::new(postgres::Postgres::connect(connection).await?),
        Engine::MySql => Box::new(mysql::MySql::connect(connection).await?),
        Engine::Sqlite => Box::new(sqlite::Sqlite::connect(connection)?),
        Engine::Csv => Box::new(csv::Csv::connect(connection)?),
        #[cfg(feature = "odbc")]
        Engine::Odbc => Box::new(odbc::Odbc::connect(connection)?),
        #[cfg(not(feature = "odbc"))]
        Engine::Odbc => return Err(without_odbc()),
    })
}

/// Whether this build has the engine at all.
///
/// # Errors
/// [`SourceError::Unsupported`] if it does not.
pub fn check_engine(engine: Engine) -> Result<(), SourceError> {
    match engine {
        #[cfg(not(feature = "odbc"))]
        Engine::Odbc => Err(without_odbc()),
        #[cfg(feature = "odbc")]
        Engine::Odbc => Ok(()),
        Engine::SqlServer | Engine::Postgres | Engine::MySql | Engine::Sqlite | Engine::Csv => Ok(()),
    }
}

#[cfg(not(feature = "odbc"))]
fn without_odbc() -> SourceError {
    SourceError::Unsupported {
        what: "this sispush was built without ODBC".into(),
        hint: Some(
            "the released program for Windows has it; elsewhere install unixODBC (`unixodbc-dev` on Debian) and build \
             with `cargo install --locked --path . --features odbc`"
                .into(),
        ),
    }
}

/// What can be said of a query without asking the server.
///
/// # Errors
/// [`SourceError::NotARead`] where the engine has no session that only reads, and a statement would do more.
pub fn check_query(engine: Engine, query: &str) -> Result<(), SourceError> {
    match engine {
        Engine::SqlServer => guard::check(query),
        Engine::Odbc => guard::check_any(query),
        Engine::Postgres | Engine::MySql | Engine::Sqlite | Engine::Csv => Ok(()),
    }
}

/// What every engine asks of a result before it reads the first row: columns at all, and no two of one name.
///
/// # Errors
/// [`SourceError::NoColumns`] and [`SourceError::DuplicateColumns`].
pub fn check_columns(columns: &[Column]) -> Result<(), SourceError> {
    if columns.is_empty() {
        return Err(SourceError::NoColumns);
    }
    let mut names: Vec<String> = columns.iter().map(|column| column.name.to_lowercase()).collect();
    names.sort_unstable();
    let mut twice: Vec<String> =
        names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    if twice.is_empty() { Ok(()) } else { Err(SourceError::DuplicateColumns { names: twice }) }
}

/// The line of a byte in a query, counted from 1.
fn line_of(query: &str, offset: usize) -> u32 {
    let before = &query.as_bytes()[..offset.min(query.len())];
    u32::try_from(memchr::memchr_iter(b'\n', before).count()).unwrap_or(u32::MAX).saturating_add(1)
}
