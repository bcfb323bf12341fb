//! SQLite: the file is opened read-only, and stepped in place. A folder of CSV files is read by the same code.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, InterruptHandle, OpenFlags};

use super::error::without_values;
use super::format::write_float;
use super::row::{Column, RowSink};
use super::{Connection, Source, SourceError, check_columns, line_of};

/// A session with a SQLite file, or with a database in memory.
pub(super) struct Sqlite {
    pub(super) connection: rusqlite::Connection,
    pub(super) timeout: Duration,
}

impl Sqlite {
    pub(super) fn connect(settings: &Connection) -> Result<Self, SourceError> {
        let path = Path::new(&settings.database);
        let missing = |message: String| SourceError::DatabaseMissing { database: settings.database.clone(), message };
        if !path.is_file() {
            return Err(missing("there is no such file".into()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = rusqlite::Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            restrict(&connection)?;
            // One read transaction for all extracts: a nightly job that writes in between is not seen by half.
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| missing(error.to_string()))?;
        Ok(Self { connection, timeout: settings.timeout })
    }

    /// Runs one query that only reads.
    pub(super) fn read(&self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        let failed = |error| query_error(error, query, self.timeout);
        let mut statement = self.connection.prepare(query).map_err(failed)?;
        if !statement.readonly() {
            return Err(SourceError::NotARead { line: None, message: "it would change the database".into() });
        }
        let columns: Vec<Column> = statement
            .columns()
            .map(|column| Column {
                name: column.name().to_owned(),
                type_name: column.decl_type().unwrap_or("any").to_owned(),
            })
            .collect();
        check_columns(&columns)?;
        let booleans: Vec<bool> =
            columns.iter().map(|column| column.type_name.to_ascii_lowercase().starts_with("bool")).collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        if sink.columns(columns).is_err() {
            return Ok(());
        }
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            for (index, is_boolean) in booleans.iter().enumerate() {
                let value = row.get_ref(index).map_err(failed)?;
                write_value(value, *is_boolean, sink, &names[index])?;
                sink.end_cell();
            }
            if sink.end_row().is_err() {
                return Ok(());
            }
        }
        // A stopped sink has all it wants.
        let _stopped = sink.end();
        Ok(())
    }
}

impl Source for Sqlite {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            within_limit(self.connection.get_interrupt_handle(), self.timeout, || self.read(query, sink))
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(self) })
    }
}

/// Makes a connection one that only reads, and in which double quotes hold names alone: SQLite would take a column that is
/// written wrongly in them for that text, the same in every row.
pub(super) fn restrict(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.pragma_update(None, "query_only", true)
}

/// Does work that is interrupted when the time limit is reached.
pub(super) fn within_limit<T>(interrupt: InterruptHandle, limit: Duration, work: impl FnOnce() -> T) -> T {
    let watch = tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        interrupt.interrupt();
    });
    // Stepping blocks this thread: without word of it the runtime would leave the watch waiting behind it.
    let result = tokio::task::block_in_place(work);
    watch.abort();
    result
}

fn write_value(value: ValueRef<'_>, is_boolean: bool, sink: &mut RowSink, column: &str) -> Result<(), SourceError> {
    match value {
        ValueRef::Null => {}
        ValueRef::Integer(number @ (0 | 1)) if is_boolean => sink.text().push(if number == 1 { 'Y' } else { 'N' }),
        ValueRef::Integer(number) => {
            // Writing into a string cannot fail.
            let _ = write!(sink.text(), "{number}");
        }
        ValueRef::Real(number) => write_float(sink.text(), number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => sink.text().push_str(text),
            Err(_) => {
                return Err(SourceError::Value {
                    column: column.to_owned(),
                    row: sink.row_number(),
                    reason: "the text is not valid UTF-8".into(),
                    hint: Some("it was stored in another encoding: repair the data, or leave the column out".into()),
                });
            }
        },
        ValueRef::Blob(bytes) if sink.takes_binary() => sink.binary(bytes),
        ValueRef::Blob(_) => {
            return Err(SourceError::Binary { column: column.to_owned(), type_name: "BLOB".into() });
        }
    }
    Ok(())
}

fn query_error(error: rusqlite::Error, query: &str, limit: Duration) -> SourceError {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let line = usize::try_from(offset).ok().map(|offset| line_of(query, offset));
            SourceError::Query { line, message: without_values(&msg, query) }
        }
        rusqlite::Error::MultipleStatement => {
            SourceError::NotARead { line: None, message: "it holds more than one statement".into() }
        }
        rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::OperationInterrupted => SourceError::Timeout { limit },
            ErrorCode::ReadOnly => SourceError::NotARead { line: None, message: "it would change the database".into() },
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
                SourceError::Other { message: "the file is not a SQLite database, or is damaged".into() }
            }
            _ => SourceError::Query {
                line: None,
                message: without_values(&message.unwrap_or_else(|| failure.to_string()), query),
            },
        },
        other => SourceError::Other { message: without_values(&other.to_string(), query) },
    }
}
