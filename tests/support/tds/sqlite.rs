//! A session's batches, answered by SQLite.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Batch, Connection};

use super::Options;
use super::tokens::{self, DONE_COUNT, DONE_ERROR, DONE_MORE, ROW, Type};

pub(super) fn create(file: &Path) {
    // With a write-ahead log a reader sees the state of when it began, and a writer goes on: as with snapshots.
    let mode: String = open(file).query_row("PRAGMA journal_mode = wal", (), |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

pub(super) fn execute(file: &Path, sql: &str) {
    open(file).execute_batch(&exact_types(sql)).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(super) fn value(file: &Path, sql: &str) -> String {
    open(file).query_row(sql, (), |row| Ok(tokens::text_of(row.get_ref(0)?))).unwrap()
}

fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    for (name, file) in schemas(file) {
        let file = file.to_str().unwrap();
        connection.execute(&format!("ATTACH ?1 AS [{name}]"), [file]).unwrap();
    }
    connection
}

/// Adds a schema, a file of its own beside the database's: `sims` for `sims.stud_student`.
pub(super) fn create_schema(file: &Path, name: &str) {
    create(&file.with_file_name(format!("{name}.{SCHEMA}")));
}

const SCHEMA: &str = "schema";

/// Name and file of each schema.
fn schemas(file: &Path) -> Vec<(String, PathBuf)> {
    if file.extension().is_some_and(|extension| extension == SCHEMA) {
        return Vec::new();
    }
    let files = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let schemas = files.filter(|file| file.extension().is_some_and(|extension| extension == SCHEMA));
    schemas.map(|file| (file.file_stem().unwrap().to_str().unwrap().to_owned(), file)).collect()
}

/// SQLite would make floats of decimals and money: a name with `text` in it keeps every digit as written.
const EXACT: &str = "_text";
/// SQLite takes only numbers in brackets.
const MAX: &str = "_max";

fn exact_types(sql: &str) -> String {
    let types = Regex::new(r"(?i)(\s)(decimal|numeric|money|smallmoney)\b").unwrap();
    let tables = Regex::new(r"(?is)\bCREATE\s+TABLE\b[^;]*").unwrap();
    let exact =
        |table: &regex::Captures<'_>| types.replace_all(&table[0], format!("$1${{2}}{EXACT}")).replace("(max)", MAX);
    let sql = tables.replace_all(sql, exact);
    // A number of so many digits would be a float too; in quotes it stays text, and an integer column still takes it.
    let numbers = Regex::new(r"([(,]\s*)(-?[0-9][0-9.]{15,})").unwrap();
    numbers.replace_all(&sql, "$1'$2'").into_owned()
}

/// The type as it was written in [`execute`].
fn declared_type(declared: &str) -> Option<Type> {
    Type::parse(&declared.replace(EXACT, "").replace(MAX, "(max)"))
}

pub(super) struct Session {
    connection: Connection,
    snapshots: bool,
    rights: &'static [&'static str],
    clock_ahead_s: i64,
    /// The descriptor of the open transaction, 0 for none.
    transaction: u64,
    next_transaction: u64,
}

/// What the client is told, and whether it failed.
type Answer = Result<Vec<u8>, Vec<u8>>;

impl Session {
    pub(super) fn open(file: &Path, options: &Options) -> Self {
        Self {
            connection: open(file),
            snapshots: options.snapshots,
            rights: options.rights,
            clock_ahead_s: options.clock_ahead_s,
            transaction: 0,
            next_transaction: 0x51,
        }
    }

    /// The whole answer to a batch.
    pub(super) fn run(&mut self, descriptor: u64, sql: &str, today: &str) -> Vec<u8> {
        if descriptor != self.transaction {
            let message =
                "New request is not allowed to start because it should come with valid transaction descriptor.";
            return tokens::failed(3989, 16, 1, message);
        }
        match self.session_statements(sql).or_else(|| self.probe(sql)) {
            Some(answer) => answer.unwrap_or_else(|answer| answer),
            None => self.query(&functions(sql, today)).unwrap_or_else(|answer| answer),
        }
    }

    /// Batches that hold nothing but statements about the session.
    fn session_statements(&mut self, sql: &str) -> Option<Answer> {
        let known = Regex::new(
            r"(?i)^(SET\s+[A-Z_]+\s.*|USE\s.*|(IF\s+@@TRANCOUNT\s*>\s*0\s+)?(BEGIN|COMMIT|ROLLBACK)(\s+TRAN(SACTION)?)?)$",
        )
        .unwrap();
        let statements: Vec<&str> =
            sql.split([';', '\n']).map(str::trim).filter(|statement| !statement.is_empty()).collect();
        if statements.is_empty() || !statements.iter().all(|statement| known.is_match(statement)) {
            return None;
        }
        let mut out = Vec::new();
        for statement in statements {
            let words = statement.to_ascii_uppercase();
            let command = ["BEGIN", "COMMIT", "ROLLBACK"]
                .into_iter()
                .find(|command| words.starts_with(command) || (words.starts_with("IF") && words.contains(command)));
            if words.starts_with("IF") && self.transaction == 0 {
                continue;
            }
            let (command, token) = if command == Some("BEGIN") {
                self.transaction = self.next_transaction;
                self.next_transaction += 1;
                ("BEGIN", tokens::transaction_begun(self.transaction))
            } else if let Some(command) = command {
                let kind = if command == "COMMIT" { 9 } else { 10 };
                if self.transaction == 0 {
                    let message = format!("The {command} TRANSACTION request has no corresponding BEGIN TRANSACTION.");
                    let number = if command == "COMMIT" { 3902 } else { 3903 };
                    return Some(Err(tokens::failed(number, 16, 1, &message)));
                }
                let ended = std::mem::take(&mut self.transaction);
                (command, tokens::transaction_ended(kind, ended))
            } else {
                continue;
            };
            self.connection.execute_batch(command).unwrap();
            out.extend(token);
        }
        out.extend(tokens::done(0, 0));
        Some(Ok(out))
    }

    /// What SQLite has no tables and variables for.
    fn probe(&self, sql: &str) -> Option<Answer> {
        if let Some((columns, rows)) = self.fact(sql) {
            let described: Vec<(&str, Type)> = columns.iter().map(|name| (*name, Type::nvarchar(128))).collect();
            let mut out = tokens::columns(&described);
            for row in &rows {
                out.push(ROW);
                for cell in row {
                    Type::nvarchar(128).write(&mut out, ValueRef::Text(cell.as_bytes())).unwrap();
                }
            }
            out.extend(tokens::done(DONE_COUNT, rows.len() as u64));
            return Some(Ok(out));
        }
        let number = if sql.contains("sys.databases") {
            i64::from(self.snapshots)
        } else if sql.trim().eq_ignore_ascii_case("SELECT @@TRANCOUNT") {
            i64::from(self.transaction != 0)
        } else {
            return None;
        };
        let mut out = tokens::columns(&[("", Type::Int(4))]);
        out.push(ROW);
        Type::Int(4).write(&mut out, ValueRef::Integer(number)).unwrap();
        out.extend(tokens::done(DONE_COUNT, 1));
        Some(Ok(out))
    }

    /// What a server says of itself and of the login: columns, and rows of text.
    fn fact(&self, sql: &str) -> Option<(&'static [&'static str], Vec<Vec<String>>)> {
        if sql.contains("SERVERPROPERTY('ProductVersion')") {
            let row = ["16.0.4135.4", "Standard Edition (64-bit)"].map(str::to_owned).to_vec();
            Some((&["version", "edition"], vec![row]))
        } else if sql.contains("DATABASEPROPERTYEX") {
            Some((&["collation_name"], vec![vec!["Latin1_General_CI_AS".to_owned()]]))
        } else if sql.contains("IS_SRVROLEMEMBER") {
            Some((&["privilege"], self.rights.iter().map(|right| vec![(*right).to_owned()]).collect()))
        } else if sql.contains("SYSUTCDATETIME()") {
            let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.clock_ahead_s);
            Some((&["now_utc"], vec![vec![now.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()]]))
        } else {
            None
        }
    }

    fn query(&self, sql: &str) -> Answer {
        let sql = &in_sqlite(sql);
        let mut results = Vec::new();
        let mut batch = Batch::new(&self.connection, sql);
        loop {
            let mut statement = match batch.next() {
                Ok(Some(statement)) => statement,
                Ok(None) => break,
                Err(error) => return Err(failed(sql, &error)),
            };
            let names: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
            if names.is_empty() {
                let rows = statement.execute(()).map_err(|error| failed(sql, &error))?;
                results.push((Vec::new(), rows as u64));
                continue;
            }
            let declared: Vec<Option<Type>> =
                statement.columns().map(|column| column.decl_type().and_then(declared_type)).collect();
            let mut rows: Vec<Vec<Value>> = Vec::new();
            let mut cursor = statement.query(()).map_err(|error| failed(sql, &error))?;
            while let Some(row) = cursor.next().map_err(|error| failed(sql, &error))? {
                rows.push((0..names.len()).map(|index| row.get(index).unwrap()).collect());
            }
            let types: Vec<Type> = (declared.into_iter().enumerate())
                .map(|(index, declared)| declared.unwrap_or_else(|| guess(rows.iter().map(|row| &row[index]))))
                .collect();
            let described: Vec<(&str, Type)> = names.iter().map(String::as_str).zip(types.iter().cloned()).collect();
            let mut out = tokens::columns(&described);
            for row in &rows {
                out.push(ROW);
                for (column_type, value) in types.iter().zip(row) {
                    column_type
                        .write(&mut out, ValueRef::from(value))
                        .map_err(|message| tokens::failed(245, 16, 1, &message))?;
                }
            }
            results.push((out, rows.len() as u64));
        }
        let last = results.len().saturating_sub(1);
        let mut out = Vec::new();
        for (index, (bytes, rows)) in results.into_iter().enumerate() {
            out.extend(bytes);
            out.extend(tokens::done(if index == last { DONE_COUNT } else { DONE_COUNT | DONE_MORE }, rows));
        }
        Ok(if out.is_empty() { tokens::done(0, 0) } else { out })
    }
}

/// SQL Server's functions of dates in SQLite's words; `today` is what the server's clock says.
fn functions(sql: &str, today: &str) -> String {
    let mut sql = sql.to_owned();
    for (function, words) in [
        (r"(?i)\bGETDATE\(\)", &*format!("'{today}'")),
        (r"(?i)\bYEAR\(([^()]*)\)", "CAST(strftime('%Y', $1) AS integer)"),
        (r"(?i)\bMONTH\(([^()]*)\)", "CAST(strftime('%m', $1) AS integer)"),
        // Style 103 is `31/12/2026`; what is no date is NULL.
        (
            r"(?i)\bTRY_CONVERT\(date,\s*([^(),]*),\s*103\)",
            "date(substr($1, 7, 4) || '-' || substr($1, 4, 2) || '-' || substr($1, 1, 2))",
        ),
    ] {
        sql = Regex::new(function).unwrap().replace_all(&sql, words).into_owned();
    }
    sql
}

/// A query with SQL Server's catalogue and its `TOP` in SQLite's words. Lines stay where they are.
fn in_sqlite(sql: &str) -> String {
    const TABLES: &str = "(SELECT 'dbo' AS TABLE_SCHEMA, name AS TABLE_NAME, \
                          CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS TABLE_TYPE \
                          FROM sqlite_master WHERE type IN ('table', 'view'))";
    const COLUMNS: &str = "(SELECT 'dbo' AS TABLE_SCHEMA, m.name AS TABLE_NAME, p.name AS COLUMN_NAME, \
                           p.type AS DATA_TYPE, p.cid + 1 AS ORDINAL_POSITION \
                           FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type IN ('table', 'view'))";
    let sql = sql.replace("INFORMATION_SCHEMA.TABLES", TABLES).replace("INFORMATION_SCHEMA.COLUMNS", COLUMNS);
    let top = Regex::new(r"(?is)^SELECT\s+TOP\s+(\d+)\s(.*)$").unwrap();
    top.replace(&sql, "SELECT $2 LIMIT $1").into_owned()
}

/// The type of an expression, which has no declaration.
fn guess<'v>(values: impl Iterator<Item = &'v Value>) -> Type {
    for value in values {
        match value {
            Value::Null => {}
            Value::Integer(_) => return Type::Int(8),
            Value::Real(_) => return Type::Float,
            Value::Text(_) => return Type::NChar { fixed: false, length: None },
            Value::Blob(_) => return Type::Binary { fixed: false, length: None },
        }
    }
    Type::nvarchar(1)
}

/// SQLite's words as SQL Server's number, line and words.
fn failed(sql: &str, error: &rusqlite::Error) -> Vec<u8> {
    let (said, offset) = match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => (msg.clone(), usize::try_from(*offset).ok()),
        rusqlite::Error::SqliteFailure(_, Some(message)) => (message.clone(), None),
        other => (other.to_string(), None),
    };
    let (number, message) = if let Some(table) = said.strip_prefix("no such table: ") {
        (208, format!("Invalid object name '{table}'."))
    } else if let Some(column) = said.strip_prefix("no such column: ") {
        (207, format!("Invalid column name '{column}'."))
    } else if let Some(near) = said.strip_prefix("near \"").and_then(|rest| rest.strip_suffix("\": syntax error")) {
        (102, format!("Incorrect syntax near '{near}'."))
    } else {
        (50_000, said)
    };
    let quoted = message.split('\'').nth(1);
    let place = offset.or_else(|| quoted.and_then(|name| sql.find(name))).unwrap_or(0);
    let line = u32::try_from(sql[..place.min(sql.len())].matches('\n').count()).unwrap() + 1;
    [tokens::error(number, 16, line, &message), tokens::done(DONE_ERROR, 0)].concat()
}
