//! What drivers and the driver manager say, and which error of ours it is. Told by SQLSTATE, never by words
//! (<https://learn.microsoft.com/sql/odbc/reference/appendixes/appendix-a-odbc-error-codes>).

use std::time::Duration;

use odbc_api::Error;
use odbc_api::handles::Record;

use crate::source::error::without_values;
use crate::source::{Connection, SourceError, failure};

/// Why reading ended early.
pub(super) type Failure = failure::Failure<Error>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// The record that the library hands on, if there is one.
fn record(error: &Error) -> Option<&Record> {
    match error {
        Error::Diagnostics { record, .. }
        | Error::UnsupportedOdbcApiVersion(record)
        | Error::InvalidRowArraySize { record, .. }
        | Error::UnableToRepresentNull(record)
        | Error::OracleOdbcDriverDoesNotSupport64Bit(record) => Some(record),
        _ => None,
    }
}

/// The SQLSTATE; blank if there is none.
pub(super) fn state(error: &Error) -> &str {
    record(error).map_or("", |record| record.state.as_str())
}

/// Whether the driver does not have what was asked for.
pub(super) fn is_not_implemented(error: &Error) -> bool {
    matches!(state(error), "HYC00" | "IM001" | "HY092" | "S1C00")
}

/// What was said, with its codes and without what `known` does not hold.
fn message(error: &Error, known: &str) -> String {
    let Some(record) = record(error) else { return error.to_string().lines().next().unwrap_or_default().to_owned() };
    let words = without_values(&String::from_utf16_lossy(&record.message), known);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{} (SQLSTATE {}, error {})", words.trim_end_matches('.'), record.state.as_str(), record.native_error)
}

/// An error before the session stood.
pub(super) fn explain_login(error: &Error, settings: &Connection) -> SourceError {
    // What the mapping names helps and is nobody's data.
    let mut message = message(error, &format!("{} {}", settings.odbc, settings.username));
    let password = settings.password.as_ref().map_or("", |password| password.expose_secret());
    if !password.is_empty() {
        message = message.replace(password, "…");
    }
    let native = record(error).map_or(0, |record| record.native_error);
    match (state(error), native) {
        // unixODBC says 01000 when it cannot load the driver's file.
        ("IM002" | "IM003" | "IM004" | "IM005" | "IM006" | "IM012" | "IM014" | "01000", _) => {
            SourceError::Unsupported {
                what: format!("the ODBC driver or data source cannot be used: {message}"),
                hint: Some(NO_DRIVER.into()),
            }
        }
        // SQL Server 4060, MySQL 1049.
        ("3D000", _) | (_, 4060 | 1049) => missing(settings.odbc.database().unwrap_or_default(), message),
        // Some drivers have other states for it: MySQL 1045, Oracle 1017, Db2 -30082. And at this point there is no other
        // access to be denied.
        ("28000" | "08004" | "42000" | "37000", _) | (_, 1045 | 1017 | -30082) => SourceError::LoginRefused { message },
        ("08001" | "08S01" | "08003" | "08007" | "HYT00" | "HYT01" | "S1T00", _) => {
            SourceError::Unreachable { address: settings.describe(), source: std::io::Error::other(message) }
        }
        _ => SourceError::Other { message },
    }
}

const NO_DRIVER: &str = "is the name right, and is the driver installed, for 64 bits? On Linux `odbcinst -q -d` lists drivers and `odbcinst -q -s` data sources; on Windows see ODBC Data Sources (64-bit)";

/// An error of a query. `rows` of the extract had come.
pub(super) fn explain(failure: Failure, query: &str, database: &str, limit: Duration, rows: u64) -> SourceError {
    let error = match failure.into_driver(limit) {
        Ok(error) => error,
        Err(clear) => return clear,
    };
    let message = message(&error, query);
    match state(&error) {
        "HYT00" | "HYT01" | "HY008" | "S1T00" | "57014" => SourceError::Timeout { limit },
        "28000" => SourceError::LoginRefused { message },
        "42501" => SourceError::PermissionDenied { message },
        "3D000" => missing(database, message),
        // FreeTDS says 01000 when the server is gone.
        "08S01" | "08003" | "08007" | "01000" => SourceError::ConnectionLost { rows, message },
        "40001" | "40P01" | "55P03" => SourceError::Busy { message },
        "" => SourceError::Other { message },
        _ => SourceError::Query { line: None, message },
    }
}

fn missing(database: &str, message: String) -> SourceError {
    SourceError::DatabaseMissing { database: database.to_owned(), message }
}
