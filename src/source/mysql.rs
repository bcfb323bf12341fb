//! MySQL and MariaDB: the text protocol in one read-only transaction on one snapshot.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Decode, Executor as _, MySql as Driver, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _, ValueRef as _,
};

use super::error::without_values;
use super::format::{rewrite_float, rewrite_single};
use super::issuer::{self, Opening};
use super::row::{Column, RowSink};
use super::{Connection, Encryption, Source, SourceError, check_columns, network, tls};

/// A session with MySQL or MariaDB.
pub(super) struct MySql {
    connection: MySqlConnection,
    timeout: Duration,
    /// Whether no query is on its way.
    is_idle: bool,
}

impl MySql {
    pub(super) async fn connect(settings: &Connection) -> Result<Self, SourceError> {
        let port = settings.port.unwrap_or(3306);
        let mode = match (settings.encryption, settings.trust_server_certificate) {
            (Encryption::Off, _) => MySqlSslMode::Disabled,
            (Encryption::Preferred, _) => MySqlSslMode::Preferred,
            (Encryption::Required, false) => MySqlSslMode::VerifyIdentity,
            (Encryption::Required, true) => MySqlSslMode::Required,
            (level @ (Encryption::Strict | Encryption::Login), _) => return Err(tls::unsupported(level, "MySQL")),
        };
        // By default the driver changes sql_mode and time_zone, and with them what the school's SQL means.
        let mut options = MySqlConnectOptions::new()
            .port(port)
            .username(&settings.username)
            .ssl_mode(mode)
            .charset("utf8mb4")
            .pipes_as_concat(false)
            .timezone(None)
            .no_engine_substitution(false);
        options = match &settings.socket {
            Some(socket) => options.socket(socket),
            None => options.host(&settings.host),
        };
        if matches!(mode, MySqlSslMode::VerifyIdentity) {
            options = options.ssl_ca_from_pem(tls::roots_pem(settings)?);
        }
        if !settings.database.is_empty() {
            options = options.database(&settings.database);
        }
        if let Some(password) = &settings.password {
            options = options.password(password.expose_secret());
        }
        network::check(settings, port).await?;
        let mut connection =
            match network::within(settings, port, MySqlConnection::connect_with(&options).boxed()).await? {
                Ok(connection) => connection,
                Err(error) => {
                    let error = connect_error(&error, settings);
                    return Err(issuer::complete(error, &settings.host, port, Opening::MySql).await);
                }
            };
        for statement in session_statements(&mut connection, settings.timeout).await {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .map_err(|error| query_error(error, "", settings.timeout))?;
        }
        Ok(Self { connection, timeout: settings.timeout, is_idle: true })
    }

    async fn read(&mut self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        self.is_idle = false;
        let limit = self.timeout;
        // Prepared alone first: a prepared statement is one statement, so nothing can end the transaction, and one
        // that gives no columns (COMMIT, CALL) is never run.
        let statement = (&mut self.connection)
            .prepare(AssertSqlSafe(query.to_owned()).into_sql_str())
            .await
            .map_err(|error| query_error(error, query, limit))?;
        let columns: Vec<Column> = statement
            .columns()
            .iter()
            .map(|column| Column { name: column.name().to_owned(), type_name: column.type_info().name().to_owned() })
            .collect();
        check_columns(&columns)?;
        let shapes: Vec<Shape> = columns.iter().map(|column| Shape::of(&column.type_name)).collect();
        if sink.columns(columns).is_err() {
            return Ok(());
        }
        let mut rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch(&mut self.connection);
        loop {
            let row = match rows.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(sqlx::Error::Io(error)) => {
                    return Err(SourceError::ConnectionLost {
                        rows: sink.row_number() - 1,
                        message: error.to_string(),
                    });
                }
                Err(sqlx::Error::Protocol(_)) => return Err(too_large(sink)),
                Err(error) => return Err(query_error(error, query, limit)),
            };
            for (index, shape) in shapes.iter().enumerate() {
                write_cell(&row, index, *shape, sink)?;
                sink.end_cell();
            }
            if sink.end_row().is_err() {
                return Ok(());
            }
        }
        drop(rows);
        self.is_idle = true;
        // A stopped sink has all it wants.
        let _stopped = sink.end();
        Ok(())
    }
}

impl Source for MySql {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        // The server's own limit comes first and says more; this one ends a stream whose network is gone.
        let limit = self.timeout;
        async move {
            let wait = limit + network::GRACE;
            tokio::time::timeout(wait, self.read(query, sink)).await.unwrap_or(Err(SourceError::Timeout { limit }))
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async move {
            if self.is_idle {
                network::close(self.connection.close()).await;
            }
            // Else the socket just closes, which ends the query and the transaction.
        }
        .boxed()
    }
}

/// A time limit, in the words of the server at hand, and the transaction.
async fn session_statements(connection: &mut MySqlConnection, timeout: Duration) -> Vec<String> {
    // As text, not prepared: closing a prepared statement has no answer, and the next packet would wait 40 ms for the
    // acknowledgement of that one.
    let row = sqlx::raw_sql("SELECT VERSION()").fetch_one(connection).await.ok();
    let version: String = row.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
    let limit = if version.contains("MariaDB") {
        format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64())
    } else {
        // Unknown before MySQL 5.7.8, where the client's own limit must do.
        format!("SET SESSION max_execution_time = {}", timeout.as_millis())
    };
    vec![
        limit,
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ".into(),
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY".into(),
    ]
}

/// What a column's text form needs to become the common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// It is the common one.
    Plain,
    /// Called binary, which old functions and JSON are too: text if it reads as text, which no picture does.
    Binary,
    Bit,
    Float,
    Single,
    Date,
    DateTime,
    Time,
}

impl Shape {
    fn of(type_name: &str) -> Self {
        match type_name {
            "BIT" => Self::Bit,
            "DOUBLE" => Self::Float,
            "FLOAT" => Self::Single,
            "DATE" => Self::Date,
            "DATETIME" | "TIMESTAMP" => Self::DateTime,
            "TIME" => Self::Time,
            name if name.contains("BLOB") || name.contains("BINARY") || name == "GEOMETRY" => Self::Binary,
            _ => Self::Plain,
        }
    }
}

fn write_cell(row: &MySqlRow, index: usize, shape: Shape, sink: &mut RowSink) -> Result<(), SourceError> {
    let row_number = sink.row_number();
    let other = |error: sqlx::Error| SourceError::Other { message: error.to_string() };
    let value = row.try_get_raw(index).map_err(other)?;
    if value.is_null() {
        return Ok(());
    }
    let bytes = <&[u8] as Decode<'_, Driver>>::decode(value).map_err(|error| other(sqlx::Error::Decode(error)))?;
    let is_text = |text: &&str| shape != Shape::Binary || !text.contains('\0');
    let text = std::str::from_utf8(bytes).ok().filter(is_text);
    if shape == Shape::Binary && text.is_none() && sink.takes_binary() {
        sink.binary(bytes);
        return Ok(());
    }
    let out = sink.text();
    if shape == Shape::Bit {
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        match number {
            0 => out.push('N'),
            1 => out.push('Y'),
            // Writing into a string cannot fail.
            _ => drop(write!(out, "{number}")),
        }
        return Ok(());
    }
    let Some(text) = text else { return Err(not_text(row, index, shape, row_number)) };
    match shape {
        // MySQL's zero dates are its own way to say that there is none.
        Shape::Date | Shape::DateTime if text.starts_with("0000-00-00") => {}
        Shape::Plain | Shape::Binary | Shape::Bit | Shape::Date => out.push_str(text),
        Shape::Float => rewrite_float(out, text),
        Shape::Single => rewrite_single(out, text),
        Shape::Time => push_without_zeros(out, text),
        Shape::DateTime => {
            let start = out.len();
            push_without_zeros(out, text);
            if text.as_bytes().get(10) == Some(&b' ') {
                out.replace_range(start + 10..=start + 10, "T");
            }
        }
    }
    Ok(())
}

/// The driver loses its way in a row of 16 MiB and more, which the protocol sends in pieces.
fn too_large(sink: &RowSink) -> SourceError {
    // A picture that is cut is none.
    let hint = if sink.takes_binary() {
        "leave such rows out in the query: `WHERE OCTET_LENGTH(column) < 16000000`"
    } else {
        "leave the large column out of the query, or cut it: `LEFT(column, 1000)`"
    };
    SourceError::Unsupported {
        what: format!("row {} cannot be read: it holds a cell of 16 MB or more", sink.row_number()),
        hint: Some(hint.into()),
    }
}

fn not_text(row: &MySqlRow, index: usize, shape: Shape, row_number: u64) -> SourceError {
    let column = row.column(index);
    let name = column.name().to_owned();
    if shape == Shape::Binary {
        return SourceError::Binary { column: name, type_name: column.type_info().name().into() };
    }
    SourceError::Value {
        column: name,
        row: row_number,
        reason: "the text is not valid UTF-8".into(),
        hint: Some("convert the column with CONVERT(… USING utf8mb4)".into()),
    }
}

/// `10:00:00.250000` as `10:00:00.25`.
fn push_without_zeros(out: &mut String, time: &str) {
    let kept = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    out.push_str(kept);
}

fn connect_error(error: &sqlx::Error, settings: &Connection) -> SourceError {
    match error {
        sqlx::Error::Database(database) => {
            let message = database.message().to_owned();
            match database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number) {
                Some(1045 | 1698 | 1251 | 1130) => SourceError::LoginRefused { message },
                Some(1049) => SourceError::DatabaseMissing { database: settings.database.clone(), message },
                Some(1044) => SourceError::PermissionDenied { message },
                _ => SourceError::Other { message },
            }
        }
        sqlx::Error::Tls(source) => tls::failure(settings, source.as_ref()),
        sqlx::Error::Io(source) => tls::failure_or_unreachable(settings, 3306, source),
        _ => SourceError::Other { message: error.to_string() },
    }
}

fn query_error(error: sqlx::Error, query: &str, limit: Duration) -> SourceError {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Io(error) => return SourceError::ConnectionLost { rows: 0, message: error.to_string() },
        other => return SourceError::Other { message: without_values(&other.to_string(), query) },
    };
    let number = database.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
    let words = match number {
        // Unknown tables, columns and functions: names, with the database's put before them.
        1054 | 1146 | 1305 => database.message().to_owned(),
        _ => without_values(database.message(), query),
    };
    let message = format!("{words} ({number})");
    match number {
        // MariaDB's max_statement_time and MySQL's max_execution_time.
        1969 | 3024 => SourceError::Timeout { limit },
        1142 | 1143 | 1044 | 1370 => SourceError::PermissionDenied { message: database.message().to_owned() },
        1792 => SourceError::NotARead { line: None, message },
        1064 => SourceError::Query { line: line_in(database.message()), message },
        1053 | 1927 => SourceError::ConnectionLost { rows: 0, message },
        _ => SourceError::Query { line: None, message },
    }
}

/// A syntax error's text ends with `at line 3`, and nothing else in the protocol tells it.
fn line_in(message: &str) -> Option<u32> {
    message.rsplit_once("at line ").and_then(|(_, line)| line.trim().parse().ok())
}
