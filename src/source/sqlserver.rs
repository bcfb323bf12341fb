//! Microsoft SQL Server, through tiberius.
//!
//! The SIS is kept from being changed by two walls: [`super::guard`] refuses what does more than read, and all that runs
//! at all runs in a transaction that is always rolled back. A query that did not end well is never cancelled to go on
//! with the session: the connection is dropped, and the server rolls back by itself.

pub(super) mod browser;
mod failure;
mod login;
mod text;

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryStreamExt as _};
use tiberius::{Client, ColumnData, QueryItem};
use tokio::net::TcpStream;
use tokio_util::compat::Compat;

use super::row::{Column, RowSink, Stopped};
use super::{Connection, Source, SourceError, check_columns, guard};
use failure::Failure;

type Session = Client<Compat<TcpStream>>;

/// The driver says that it is ODBC, for which the server sets the options that a query expects, `TEXTSIZE` too. What is
/// left: to be planned as in Management Studio (`ARITHABORT`), and to let everybody else who works with the SIS go first.
const SETTINGS: &str = "SET ARITHABORT ON; SET NOCOUNT ON; SET IMPLICIT_TRANSACTIONS OFF; SET DEADLOCK_PRIORITY LOW";
/// Reads as of one moment where the database allows it, so that the extracts agree without holding up the SIS.
const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION";
/// Also sets the level, as it outlives a transaction.
const READ_COMMITTED: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN TRANSACTION";
const ROLLBACK: &str = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION";

/// A session. See the module.
#[derive(Debug)]
pub(super) struct SqlServer {
    /// Taken out while a query runs, so that whatever ends the query early also drops the connection.
    session: Option<Session>,
    database: String,
    time_limit: Duration,
    transaction: Option<Isolation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    Snapshot,
    ReadCommitted,
}

impl SqlServer {
    /// Connects, logs in and prepares the session. Nothing is read yet.
    pub(super) async fn connect(connection: &Connection) -> Result<Self, SourceError> {
        let mut session = login::connect(connection).await?;
        let limit = connection.timeout;
        let lock_timeout_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        let settings = format!("{SETTINGS}; SET LOCK_TIMEOUT {lock_timeout_ms}");
        let database = connection.database.clone();
        within(limit, run(&mut session, &settings))
            .await
            .map_err(|failure| failure.explain("", &database, limit, 0))?;
        Ok(Self { session: Some(session), database, time_limit: limit, transaction: None })
    }

    async fn extract(&mut self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        guard::check(query)?;
        let Some(mut session) = self.session.take() else {
            return Err(SourceError::Other { message: "the session ended with an earlier error".to_owned() });
        };
        let limit = self.time_limit;
        let mut rows = Rows { sink, columns: Vec::new(), kinds: Vec::new(), state: State::Waiting };
        let outcome = within(limit, self.read(&mut session, query, &mut rows)).await;
        let count = rows.count();
        match outcome {
            Ok(()) => {
                self.session = Some(session);
                Ok(())
            }
            // The caller wants no more: the rest of the answer goes with the connection.
            Err(Failure::Stopped) => Ok(()),
            Err(failure) => Err(failure.explain(query, &self.database, limit, count)),
        }
    }

    async fn read(&mut self, session: &mut Session, query: &str, rows: &mut Rows<'_>) -> Result<(), Failure> {
        if self.transaction.is_none() {
            self.begin(session).await?;
        }
        let outcome = rows.read(session, query).await;
        if let Err(failure) = outcome {
            let first_try = self.transaction == Some(Isolation::Snapshot) && rows.state != State::Sent;
            if !first_try || !failure.is_about_snapshots() {
                return Err(failure);
            }
            // The query reaches into a database that has no snapshots.
            tracing::warn!(
                "a database that the query reads has no snapshot isolation: the extracts are read one after the other"
            );
            run(session, ROLLBACK).await?;
            run(session, READ_COMMITTED).await?;
            self.transaction = Some(Isolation::ReadCommitted);
            rows.state = State::Waiting;
            rows.read(session, query).await?;
        }
        // What the guard let through must not have ended our transaction: had it, a write would have stayed.
        match number(session, "SELECT @@TRANCOUNT").await? {
            Some(1) => rows.end(),
            _ => Err(Failure::Source(SourceError::NotARead {
                line: None,
                message: "after it the transaction was not the one that was begun for it".to_owned(),
            })),
        }
    }

    async fn begin(&mut self, session: &mut Session) -> Result<(), Failure> {
        // 1 is ON. Who may not see it reads without.
        let allowed =
            number(session, "SELECT CAST(snapshot_isolation_state AS int) FROM sys.databases WHERE name = DB_NAME()")
                .await;
        let isolation = match allowed {
            Ok(Some(1)) => Isolation::Snapshot,
            Ok(_) => Isolation::ReadCommitted,
            Err(Failure::Driver(error)) if error.code().is_some() => {
                tracing::debug!(
                    "could not find out whether snapshots are allowed: error {}",
                    error.code().unwrap_or(0)
                );
                Isolation::ReadCommitted
            }
            Err(failure) => return Err(failure),
        };
        run(session, if isolation == Isolation::Snapshot { SNAPSHOT } else { READ_COMMITTED }).await?;
        self.transaction = Some(isolation);
        Ok(())
    }
}

impl Source for SqlServer {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        Self::extract(self, query, sink).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            let Some(mut session) = self.session else { return };
            // The server rolls back a connection that goes away; saying so only frees its locks sooner.
            if within(CLOSE_TIME, run(&mut session, ROLLBACK)).await.is_ok() {
                drop(tokio::time::timeout(CLOSE_TIME, session.close()).await);
            }
        }
        .boxed()
    }
}

/// How long the farewell may take.
const CLOSE_TIME: Duration = Duration::from_secs(5);

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Timeout))
}

/// Runs a batch that gives no rows.
async fn run(session: &mut Session, batch: &str) -> Result<(), Failure> {
    let mut answer = session.simple_query(batch).await?;
    while answer.try_next().await?.is_some() {}
    Ok(())
}

/// Runs a batch that gives one `int`, if any.
async fn number(session: &mut Session, batch: &str) -> Result<Option<i32>, Failure> {
    let row = session.simple_query(batch).await?.into_row().await?;
    Ok(match row {
        Some(row) => row.try_get::<i32, _>(0)?,
        None => None,
    })
}

/// The rows of one extract on their way into the sink.
struct Rows<'s> {
    sink: &'s mut RowSink,
    columns: Vec<Column>,
    kinds: Vec<text::Kind>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No columns yet.
    Waiting,
    /// Columns are known, but the sink has not seen them: an error now may be tried again.
    Described,
    /// The sink has the columns, and perhaps rows.
    Sent,
}

impl Rows<'_> {
    async fn read(&mut self, session: &mut Session, query: &str) -> Result<(), Failure> {
        let mut answer = session.simple_query(query).await?;
        loop {
            let item = match answer.try_next().await {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => return Err(self.explain_text(error)),
            };
            match item {
                QueryItem::Metadata(metadata) => self.describe(metadata.columns())?,
                QueryItem::Row(row) => self.write(row)?,
            }
        }
        if self.state == State::Waiting { Err(SourceError::NoColumns.into()) } else { Ok(()) }
    }

    fn describe(&mut self, columns: &[tiberius::Column]) -> Result<(), Failure> {
        if self.state != State::Waiting {
            return Err(Failure::Source(SourceError::NotARead {
                line: None,
                message: "it gives more than one result".to_owned(),
            }));
        }
        self.kinds.clear();
        self.columns.clear();
        for column in columns {
            let (kind, type_name) = text::kind(column.column_type());
            if kind == text::Kind::Binary && !self.sink.takes_binary() {
                return Err(
                    SourceError::Binary { column: column.name().to_owned(), type_name: type_name.to_owned() }.into()
                );
            }
            self.kinds.push(kind);
            self.columns.push(Column { name: column.name().to_owned(), type_name: type_name.to_owned() });
        }
        check_columns(&self.columns)?;
        self.state = State::Described;
        Ok(())
    }

    fn write(&mut self, row: tiberius::Row) -> Result<(), Failure> {
        self.send_columns()?;
        for (index, (data, kind)) in row.into_iter().zip(&self.kinds).enumerate() {
            if let ColumnData::Binary(Some(bytes)) = &data
                && self.sink.takes_binary()
            {
                self.sink.binary(bytes);
            } else if let Err(problem) = text::write(self.sink.text(), &data, *kind) {
                return Err(problem.explain(&self.columns[index], self.sink.row_number()).into());
            }
            self.sink.end_cell();
        }
        Ok(self.sink.end_row()?)
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.send_columns()?;
        Ok(self.sink.end()?)
    }

    fn send_columns(&mut self) -> Result<(), Stopped> {
        if self.state == State::Described {
            self.sink.columns(self.columns.clone())?;
            self.state = State::Sent;
        }
        Ok(())
    }

    /// Rows of this extract that are in the sink.
    fn count(&self) -> u64 {
        if self.state == State::Sent { self.sink.row_number() - 1 } else { 0 }
    }

    /// The driver gives up a row whose text it cannot decode and does not say which column it was.
    fn explain_text(&self, error: tiberius::error::Error) -> Failure {
        let (kind, reason) = match &error {
            tiberius::error::Error::Encoding(_) | tiberius::error::Error::Utf8 => (
                text::Kind::CodePage,
                "holds text that is not valid in the column's code page, or the code page is not known",
            ),
            tiberius::error::Error::Utf16 => (text::Kind::Unicode, "holds text that is not valid UTF-16"),
            // The driver's own words, as its type does not tell.
            tiberius::error::Error::Protocol(message) if message.contains("UTF-16") => {
                (text::Kind::Unicode, "holds text that is not valid UTF-16")
            }
            _ => return error.into(),
        };
        let suspects: Vec<&str> = (self.columns.iter().zip(&self.kinds))
            .filter(|(_, other)| **other == kind || **other == text::Kind::Variant)
            .map(|(column, _)| &*column.name)
            .collect();
        let hint = match (kind, suspects.as_slice()) {
            (text::Kind::CodePage, [one]) => format!("write `CAST({one} AS nvarchar(4000)) AS {one}` in the query: then the server converts"),
            (text::Kind::CodePage, _) => {
                "write `CAST(column AS nvarchar(4000)) AS column` in the query for these columns: then the server converts".to_owned()
            }
            _ => "correct the value in the SIS, or leave the column out".to_owned(),
        };
        let row = self.count() + 1;
        Failure::Source(SourceError::Value {
            column: suspects.join("` or `"),
            row,
            reason: reason.to_owned(),
            hint: Some(hint.into()),
        })
    }
}
