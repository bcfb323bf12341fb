//! What SQL Server and the driver say, and which error of ours it is. Told by number, never by words: the words come in
//! the server's language.

use std::time::Duration;

use crate::source::error::without_values;
use crate::source::{Connection, Encryption, SourceError, failure};
use tiberius::error::{Error, IoErrorKind, TokenError};

/// Why work on a session ended early.
pub(super) type Failure = failure::Failure<Error>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl Failure {
    /// 3952: the database has no snapshots. 3953 and 3964: its metadata cannot be read in one. 7420: a linked server
    /// cannot.
    pub(super) fn is_about_snapshots(&self) -> bool {
        matches!(self, Self::Driver(error) if matches!(error.code(), Some(3952 | 3953 | 3964 | 7420)))
    }

    /// The error that people see. `rows` of the extract had come.
    pub(super) fn explain(self, query: &str, database: &str, limit: Duration, rows: u64) -> SourceError {
        match self.into_driver(limit) {
            Err(clear) => clear,
            Ok(Error::Io { kind: IoErrorKind::TimedOut, .. }) => SourceError::Timeout { limit },
            Ok(Error::Server(error)) => explain_server(&error, query, database, rows),
            Ok(Error::Io { message, .. }) => SourceError::ConnectionLost { rows, message },
            Ok(error) => SourceError::Other { message: error.to_string() },
        }
    }
}

/// An error that the server sent, by its number
/// (<https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors>).
fn explain_server(error: &TokenError, query: &str, database: &str, rows: u64) -> SourceError {
    let code = error.code();
    // The quoted texts of these are names of objects and logins, which help and are nobody's data.
    let names_only = matches!(code, 207 | 208 | 229 | 230 | 297 | 300 | 911 | 916 | 4060 | 4064 | 18400..=18499);
    let words = if names_only { error.message().to_owned() } else { without_values(error.message(), query) };
    let message = format!("{} (error {code})", words.trim().trim_end_matches('.'));
    match code {
        // 40615 and 40914: the firewall of Azure SQL.
        4064 | 18400..=18499 | 40615 | 40914 => SourceError::LoginRefused { message },
        911 | 4060 => SourceError::DatabaseMissing { database: database.to_owned(), message },
        229 | 230 | 262 | 297 | 300 | 916 => SourceError::PermissionDenied { message },
        // Chosen as a deadlock's victim; waited too long for a lock; Azure SQL busy or moving.
        1205 | 1222 | 40197 | 40501 | 40613 | 49918..=49920 => SourceError::Busy { message },
        // From severity 20 the server ends the connection.
        _ if error.class() >= 20 => SourceError::ConnectionLost { rows, message },
        _ => SourceError::Query { line: (error.line() > 0).then(|| error.line()), message },
    }
}

/// An error before the session stood.
pub(super) fn explain_login(error: Error, connection: &Connection, address: &str) -> SourceError {
    let wants_tls = matches!(connection.encryption, Encryption::Strict | Encryption::Required);
    let tls = |reason: String| SourceError::Tls { host: connection.host.clone(), reason, issuer: None };
    match error {
        Error::Server(error) => explain_server(&error, "", &connection.database, 0),
        Error::Tls(reason) => tls(short(&reason)),
        // What rustls finds wrong with the other side.
        Error::Io { kind: IoErrorKind::InvalidData, message } => tls(if message.contains("ProtocolVersion") {
            format!("{message}: the server is too old for TLS 1.2")
        } else {
            message
        }),
        // Before the login the only protocol there is to disagree about is the level of encryption.
        Error::Protocol(_) if wants_tls => {
            tls("the server does not offer the level of encryption that is asked for".to_owned())
        }
        Error::Io { message, .. } if connection.encryption == Encryption::Strict => {
            tls(format!("the server does not speak TDS 8, or broke off: {message}"))
        }
        Error::Io { kind: IoErrorKind::TimedOut, .. } => SourceError::Unreachable {
            address: address.to_owned(),
            source: std::io::Error::new(
                IoErrorKind::TimedOut,
                "the port is open, but no SQL Server answered the login in time",
            ),
        },
        Error::Io { kind, message } => {
            SourceError::Unreachable { address: address.to_owned(), source: std::io::Error::new(kind, message) }
        }
        error => SourceError::Other { message: error.to_string() },
    }
}

/// The driver's reason without its advice, which is for programmers; with ours where the host's name is the matter.
fn short(reason: &str) -> String {
    let end = reason.find(" To connect anyway you can").unwrap_or(reason.len());
    let reason = reason[..end]
        .trim_start_matches("the server's certificate was rejected during the TLS handshake: ")
        .trim_end_matches('.');
    if reason.contains("not valid for name") || reason.contains("NotValidForName") {
        format!("{reason}; write the host in `source.url` as the certificate names it")
    } else {
        reason.to_owned()
    }
}
