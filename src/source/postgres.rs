//! PostgreSQL: `COPY (query) TO STDOUT` in one read-only transaction.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use memchr::{memchr, memchr2_iter};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
};

use super::error::without_values;
use super::format::{rewrite_float, rewrite_single};
use super::issuer::{self, Opening};
use super::row::{Column, RowSink};
use super::{Connection, Encryption, Source, SourceError, check_columns, line_of, network, tls};

/// A session with PostgreSQL.
pub(super) struct Postgres {
    connection: PgConnection,
    timeout: Duration,
    /// Whether no query is on its way.
    is_idle: bool,
}

impl Postgres {
    pub(super) async fn connect(settings: &Connection) -> Result<Self, SourceError> {
        // Each statement runs once: remembering it would only hold the server's memory.
        let mut connection = open(settings, 0).await?;
        let milliseconds = settings.timeout.as_millis();
        let session = format!(
            "SET default_transaction_read_only = on; SET statement_timeout = {milliseconds}; SET lock_timeout = '30s'; \
             SET lc_monetary = 'C'; SET DateStyle = ISO; SET IntervalStyle = postgres; SET extra_float_digits = 1; \
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        );
        sqlx::raw_sql(AssertSqlSafe(session))
            .execute(&mut connection)
            .await
            .map_err(|error| query_error(error, "", settings.timeout, 0))?;
        Ok(Self { connection, timeout: settings.timeout, is_idle: true })
    }

    async fn read(&mut self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        self.is_idle = false;
        let query = query.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
        // Prepared alone first: a prepared statement is one statement, so nothing can end the transaction, and it
        // tells the columns before the first row.
        let statement = (&mut self.connection)
            .prepare(AssertSqlSafe(query.to_owned()).into_sql_str())
            .await
            .map_err(|error| query_error(error, query, self.timeout, 0))?;
        let columns: Vec<Column> = statement
            .columns()
            .iter()
            .map(|column| Column { name: column.name().to_owned(), type_name: column.type_info().name().to_owned() })
            .collect();
        check_columns(&columns)?;
        let mut shapes = Vec::with_capacity(columns.len());
        for column in &columns {
            shapes.push(Shape::of(&column.type_name));
            if column.type_name == "BYTEA" && !sink.takes_binary() {
                return Err(SourceError::Binary { column: column.name.clone(), type_name: "bytea".into() });
            }
        }
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        if sink.columns(columns).is_err() {
            return Ok(());
        }
        if shapes.contains(&Shape::Binary) {
            // Only now, since it changes what a cast to text gives.
            sqlx::raw_sql("SET LOCAL bytea_output = 'hex'")
                .execute(&mut self.connection)
                .await
                .map_err(|error| query_error(error, query, self.timeout, 0))?;
        }
        // The line breaks keep a comment in the query's last line from swallowing the bracket.
        let before = "COPY (\n";
        let copy = format!("{before}{query}\n) TO STDOUT");
        let mut decoder = Decoder { shapes, names, carry: Vec::new() };
        let mut parts = self
            .connection
            .copy_out_raw(&copy)
            .await
            .map_err(|error| query_error(error, query, self.timeout, before.len()))?;
        loop {
            match parts.try_next().await {
                Ok(Some(part)) => {
                    if decoder.take(&part, sink)?.is_break() {
                        return Ok(());
                    }
                }
                Ok(None) => break,
                Err(sqlx::Error::Io(error)) => {
                    return Err(SourceError::ConnectionLost {
                        rows: sink.row_number() - 1,
                        message: error.to_string(),
                    });
                }
                Err(error) => return Err(query_error(error, query, self.timeout, before.len())),
            }
        }
        drop(parts);
        self.is_idle = true;
        // A stopped sink has all it wants.
        let _stopped = sink.end();
        Ok(())
    }
}

/// Logs in and does no more: what the session may do is for the caller to say.
pub(crate) async fn open(settings: &Connection, statements_kept: usize) -> Result<PgConnection, SourceError> {
    let port = settings.port.unwrap_or(5432);
    let mode = match (settings.encryption, settings.trust_server_certificate) {
        (Encryption::Off, _) => PgSslMode::Disable,
        (Encryption::Preferred, _) => PgSslMode::Prefer,
        (Encryption::Required, false) => PgSslMode::VerifyFull,
        (Encryption::Required, true) => PgSslMode::Require,
        (level @ (Encryption::Strict | Encryption::Login), _) => return Err(tls::unsupported(level, "PostgreSQL")),
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(port)
        .ssl_mode(mode)
        .application_name("sispush")
        .statement_cache_capacity(statements_kept);
    options = match &settings.socket {
        Some(folder) => options.socket(folder),
        None => options.host(&settings.host),
    };
    if matches!(mode, PgSslMode::VerifyFull) {
        options = options.ssl_root_cert_from_pem(tls::roots_pem(settings)?);
    }
    if !settings.username.is_empty() {
        options = options.username(&settings.username);
    }
    if !settings.database.is_empty() {
        options = options.database(&settings.database);
    }
    if let Some(password) = &settings.password {
        options = options.password(password.expose_secret());
    }
    network::check(settings, port).await?;
    match network::within(settings, port, PgConnection::connect_with(&options).boxed()).await? {
        Ok(connection) => Ok(connection),
        Err(error) => {
            let error = connect_error(&error, settings);
            Err(issuer::complete(error, &settings.host, port, Opening::Postgres).await)
        }
    }
}

impl Source for Postgres {
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

/// What a column's text form needs to become the common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// It is the common one.
    Plain,
    Boolean,
    Float,
    Single,
    Money,
    /// `2026-02-28 10:00:00`, perhaps with `+00`.
    Timestamp,
    /// `10:00:00+02`.
    TimeWithZone,
    /// `\xffd8`.
    Binary,
}

impl Shape {
    fn of(type_name: &str) -> Self {
        match type_name {
            "BOOL" => Self::Boolean,
            "FLOAT8" => Self::Float,
            "FLOAT4" => Self::Single,
            "MONEY" => Self::Money,
            "TIMESTAMP" | "TIMESTAMPTZ" => Self::Timestamp,
            "TIMETZ" => Self::TimeWithZone,
            "BYTEA" => Self::Binary,
            _ => Self::Plain,
        }
    }
}

/// Takes `COPY`'s text format apart: cells end with a tab, rows with a line feed, `\N` is NULL, and a backslash
/// escapes. Source: PostgreSQL's documentation of COPY, "Text Format".
struct Decoder {
    shapes: Vec<Shape>,
    names: Vec<String>,
    /// The start of a row whose end is still to come. Servers send a row at a time; the protocol does not promise it.
    carry: Vec<u8>,
}

impl Decoder {
    fn take(&mut self, mut part: &[u8], sink: &mut RowSink) -> Result<std::ops::ControlFlow<()>, SourceError> {
        while let Some(end) = memchr(b'\n', part) {
            let (row, rest) = (&part[..end], &part[end + 1..]);
            let stopped = if self.carry.is_empty() {
                self.row(row, sink)?
            } else {
                self.carry.extend_from_slice(row);
                let whole = std::mem::take(&mut self.carry);
                self.row(&whole, sink)?
            };
            if stopped {
                return Ok(std::ops::ControlFlow::Break(()));
            }
            part = rest;
        }
        self.carry.extend_from_slice(part);
        Ok(std::ops::ControlFlow::Continue(()))
    }

    /// Writes one row; whether the sink is stopped.
    fn row(&self, row: &[u8], sink: &mut RowSink) -> Result<bool, SourceError> {
        let row = std::str::from_utf8(row).map_err(|error| {
            let column = memchr2_iter(b'\t', b'\t', &row[..error.valid_up_to()]).count();
            SourceError::Value {
                column: self.names.get(column).cloned().unwrap_or_default(),
                row: sink.row_number(),
                reason: "the text is not valid UTF-8".into(),
                hint: Some("the database's encoding is SQL_ASCII: convert the column with convert_from(…)".into()),
            }
        })?;
        let (mut cell_start, mut escaped, mut column) = (0, false, 0);
        for at in memchr2_iter(b'\t', b'\\', row.as_bytes()) {
            if row.as_bytes()[at] == b'\\' {
                escaped = true;
            } else {
                self.cell(column, &row[cell_start..at], escaped, sink);
                (cell_start, escaped, column) = (at + 1, false, column + 1);
            }
        }
        self.cell(column, &row[cell_start..], escaped, sink);
        Ok(sink.end_row().is_err())
    }

    fn cell(&self, column: usize, text: &str, escaped: bool, sink: &mut RowSink) {
        let out = sink.text();
        match self.shapes.get(column).copied().unwrap_or(Shape::Plain) {
            _ if text == "\\N" => {}
            Shape::Plain if escaped => unescape(text, out),
            Shape::Plain => out.push_str(text),
            Shape::Boolean => out.push(if text == "t" { 'Y' } else { 'N' }),
            Shape::Float => rewrite_float(out, text),
            Shape::Single => rewrite_single(out, text),
            Shape::Money => out.extend(text.chars().filter(|c| matches!(c, '0'..='9' | '.' | '-'))),
            Shape::Timestamp => {
                // `infinity` and years before Christ have no time to join.
                let start = out.len();
                out.push_str(text);
                if text.as_bytes().get(10) == Some(&b' ') {
                    out.replace_range(start + 10..=start + 10, "T");
                    full_offset(out, start + 11);
                }
            }
            Shape::TimeWithZone => {
                let start = out.len();
                out.push_str(text);
                full_offset(out, start);
            }
            // Hexadecimal already, in lower case; the backslash is escaped.
            Shape::Binary => out.push_str(text.strip_prefix("\\\\x").unwrap_or(text)),
        }
        sink.end_cell();
    }
}

/// Makes `+02` at the end of a time `+02:00`.
fn full_offset(out: &mut String, time_start: usize) {
    if out[time_start..].rfind(['+', '-']).is_some_and(|sign| out[time_start + sign..].len() == 3) {
        out.push_str(":00");
    }
}

fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let Some(escaped) = rest[at + 1..].chars().next() else { return };
        out.push(match escaped {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        });
        rest = &rest[at + 1 + escaped.len_utf8()..];
    }
    out.push_str(rest);
}

fn connect_error(error: &sqlx::Error, settings: &Connection) -> SourceError {
    match error {
        sqlx::Error::Database(database) => {
            let message = database.message().to_owned();
            match database.code().as_deref() {
                Some("28P01" | "28000") => SourceError::LoginRefused { message },
                Some("3D000") => SourceError::DatabaseMissing { database: settings.database.clone(), message },
                Some("42501") => SourceError::PermissionDenied { message },
                // No connection is free, or the server is starting or stopping.
                Some("53300" | "57P03") => SourceError::Busy { message },
                _ => SourceError::Other { message },
            }
        }
        sqlx::Error::Tls(source) => tls::failure(settings, source.as_ref()),
        sqlx::Error::Io(source) => tls::failure_or_unreachable(settings, 5432, source),
        _ => SourceError::Other { message: error.to_string() },
    }
}

/// `prefix` is the length of what was put before the query, which the server counts too.
fn query_error(error: sqlx::Error, query: &str, limit: Duration, prefix: usize) -> SourceError {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Io(error) => return SourceError::ConnectionLost { rows: 0, message: error.to_string() },
        other => return SourceError::Other { message: without_values(&other.to_string(), query) },
    };
    let Some(database) = database.try_downcast_ref::<PgDatabaseError>() else {
        return SourceError::Other { message: without_values(database.message(), query) };
    };
    let line = match database.position() {
        Some(PgErrorPosition::Original(position)) => {
            // Characters, counted from 1.
            let position = position.saturating_sub(1 + prefix);
            let offset = query.char_indices().nth(position).map_or(query.len(), |(offset, _)| offset);
            Some(line_of(query, offset))
        }
        _ => None,
    };
    let code = database.code();
    let message = format!("{} ({code})", without_values(database.message(), query));
    match code {
        // query_canceled is how statement_timeout ends a statement.
        "57014" => SourceError::Timeout { limit },
        "57P01" | "57P02" | "57P03" => SourceError::ConnectionLost { rows: 0, message },
        "42501" => SourceError::PermissionDenied { message: database.message().to_owned() },
        "25006" => SourceError::NotARead { line, message },
        "42601" if database.message().contains("multiple commands") => SourceError::NotARead { line, message },
        "42601" if prefix > 0 => SourceError::NotARead {
            line: None,
            message: "it cannot be read as one SELECT: take away a comment or a semicolon at its end".into(),
        },
        _ => SourceError::Query { line, message },
    }
}
