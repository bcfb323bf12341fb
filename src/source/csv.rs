//! A folder of CSV files: each is a table of a SQLite database in memory, so that SQL still applies.
//!
//! A file is read when a query first names its table, row by row into the database, and then stays: all extracts of a
//! mapping see the same rows. Values are text as they stand in the file; an empty field is the empty text.

mod encoding;
mod records;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use rusqlite::Connection as Database;

use self::encoding::Decoded;
use self::records::{Fault, Record, Records};
use super::connection::{DELIMITERS, nearest};
use super::row::RowSink;
use super::sqlite::{Sqlite, restrict, within_limit};
use super::{Connection, CsvFormat, Source, SourceError};

/// A session with a folder of CSV files.
pub(super) struct Csv {
    sqlite: Sqlite,
    folder: String,
    format: CsvFormat,
    drops: Vec<DropFile>,
}

/// A file of the folder.
struct DropFile {
    /// Its stem.
    table: String,
    path: PathBuf,
    /// The name under which the database has it, once it is read.
    loaded: Option<String>,
}

/// The ends of names of files that are tables.
const EXTENSIONS: [&str; 3] = ["csv", "tsv", "txt"];
/// Waits before a file that was written to is read again. Few and short: a schedule tries again anyway.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];
/// Rows between two looks at the time.
const ROWS_PER_LOOK: u64 = 1024;

impl Csv {
    pub(super) fn connect(settings: &Connection) -> Result<Self, SourceError> {
        let folder = Path::new(&settings.database);
        let failed = |reason: String, hint: &'static str| SourceError::File {
            path: settings.database.clone(),
            line: None,
            reason,
            hint: Some(hint.into()),
        };
        let drops = find(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed(
                "there is no such folder".into(),
                "check the folder in `source.url`; it starts from the mapping's",
            ),
            io::ErrorKind::NotADirectory => failed(
                "this is a file, not a folder".into(),
                "name the folder in `source.url`; each file in it is a table of that name",
            ),
            _ => failed(error.to_string(), "may this account read the folder?"),
        })?;
        if drops.is_empty() {
            return Err(failed(
                "the folder holds no `.csv`, `.tsv` or `.txt` file".into(),
                "check the folder in `source.url`, and whether the export ran",
            ));
        }
        let open = || {
            let database = Database::open_in_memory()?;
            restrict(&database)?;
            Ok(database)
        };
        let connection = open().map_err(|error: rusqlite::Error| SourceError::Other { message: error.to_string() })?;
        let sqlite = Sqlite { connection, timeout: settings.timeout };
        Ok(Self { sqlite, folder: settings.database.clone(), format: settings.csv, drops })
    }

    /// Reads every file whose table the query names and that is not read yet.
    fn load_for(&mut self, query: &str, started: Instant) -> Result<(), SourceError> {
        // Each turn reads a file, or gives one another spelling: there are no more turns than words in the query.
        while let Some(named) = missing_table(&self.sqlite.connection, query) {
            let folded = named.to_lowercase();
            let unqualified = folded.strip_prefix("main.").unwrap_or(&folded);
            let mut fitting = self.drops.iter_mut().filter(|drop| {
                let table = drop.table.to_lowercase();
                table == folded || table == unqualified
            });
            let Some(drop) = fitting.next() else { return Err(self.no_such_table(named)) };
            if let Some(second) = fitting.next() {
                return Err(SourceError::File {
                    path: second.path.display().to_string(),
                    line: None,
                    reason: format!("`{}` gives a table of the same name", file_name(&drop.path)),
                    hint: Some("rename one of the two, or move it out of the folder".into()),
                });
            }
            let name = if drop.table.to_lowercase() == folded { &named } else { &drop.table };
            let deadline = Deadline { at: started + self.sqlite.timeout, limit: self.sqlite.timeout };
            let database = &self.sqlite.connection;
            let failed = |error: rusqlite::Error| database_failed(&drop.path, &error);
            database.pragma_update(None, "query_only", false).map_err(failed)?;
            let result = match &drop.loaded {
                // Where SQLite's case differs from ours, which knows more letters.
                Some(loaded) => database
                    .execute_batch(&format!("CREATE VIEW {} AS SELECT * FROM {}", quoted(name), quoted(loaded)))
                    .map_err(failed),
                None => load(database, name, &drop.path, self.format, &deadline),
            };
            database.pragma_update(None, "query_only", true).map_err(failed)?;
            result?;
            drop.loaded.get_or_insert_with(|| name.clone());
        }
        Ok(())
    }

    fn no_such_table(&self, table: String) -> SourceError {
        let folded = table.to_lowercase();
        let written = folded.rsplit('.').next().unwrap_or(&folded);
        let known: Vec<String> = self.drops.iter().map(|drop| drop.table.to_lowercase()).collect();
        let near = nearest(written, known.iter().map(String::as_str))
            .and_then(|near| known.iter().position(|table| table == near))
            .map(|index| format!("did you mean `{}`?", self.drops[index].table));
        let hint = near.unwrap_or_else(|| {
            let mut hint = "the tables are".to_owned();
            for (index, drop) in self.drops.iter().take(TABLES_SHOWN).enumerate() {
                let _ = write!(hint, "{} `{}`", if index == 0 { "" } else { "," }, drop.table);
            }
            if self.drops.len() > TABLES_SHOWN {
                let _ = write!(hint, " and {} more", self.drops.len() - TABLES_SHOWN);
            }
            hint
        });
        SourceError::TableMissing { table, folder: self.folder.clone(), hint: Some(hint.into()) }
    }

    fn read(&mut self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        self.load_for(query, Instant::now())?;
        self.sqlite.read(query, sink).map_err(|error| match error {
            SourceError::Query { line, message } => match message.strip_prefix(NO_COLUMN) {
                Some(column) => {
                    // With SQLite's advice after it, which is ours too.
                    let column = column.split(" - ").next().unwrap_or(column).trim_matches('"').to_owned();
                    SourceError::ColumnMissing { column, line }
                }
                None => SourceError::Query { line, message },
            },
            other => other,
        })
    }
}

impl Source for Csv {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            let mut waits = WAITS.iter();
            loop {
                let interrupt = self.sqlite.connection.get_interrupt_handle();
                match within_limit(interrupt, self.sqlite.timeout, || self.read(query, sink)) {
                    // Nothing has gone into the sink yet: files are read before the query runs.
                    Err(error @ SourceError::FileChanged { .. }) => {
                        let Some(wait) = waits.next() else { return Err(error) };
                        tracing::warn!(%error, wait_ms = wait.as_millis(), "reading it again");
                        tokio::time::sleep(*wait).await;
                    }
                    result => return result,
                }
            }
        })
    }

    fn tables(&self) -> Vec<String> {
        self.drops.iter().map(|drop| drop.table.clone()).collect()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(self) })
    }
}

/// As many tables as a hint lists.
const TABLES_SHOWN: usize = 10;

/// The files of the folder that are tables, in the order of their names.
fn find(folder: &Path) -> io::Result<Vec<DropFile>> {
    let mut drops = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_table =
            path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end.eq_ignore_ascii_case(known)));
        let Some(stem) = path.file_stem().filter(|_| is_table && path.is_file()) else { continue };
        drops.push(DropFile { table: stem.to_string_lossy().into_owned(), path, loaded: None });
    }
    drops.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(drops)
}

/// SQLite has no codes for these. The words are those of the SQLite that this program is built with, and tests hold them.
const NO_TABLE: &str = "no such table: ";
const NO_COLUMN: &str = "no such column: ";

/// The table that the query names and the database does not have.
fn missing_table(database: &Database, query: &str) -> Option<String> {
    let message = match database.prepare(query).err()? {
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        rusqlite::Error::SqliteFailure(_, message) => message?,
        _ => return None,
    };
    message.strip_prefix(NO_TABLE).map(ToOwned::to_owned)
}

struct Deadline {
    at: Instant,
    limit: Duration,
}

/// Reads a file into a new table.
fn load(
    database: &Database,
    table: &str,
    path: &Path,
    format: CsvFormat,
    deadline: &Deadline,
) -> Result<(), SourceError> {
    let unreadable = |error: io::Error| SourceError::File {
        path: path.display().to_string(),
        line: None,
        reason: error.to_string(),
        hint: Some("may this account read the file, or has another program locked it?".into()),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let before = Stamp::of(&file.metadata().map_err(unreadable)?);
    // A failed load is rolled back when this goes away.
    let transaction = database.unchecked_transaction().map_err(|error| database_failed(path, &error))?;
    let result = Decoded::open(&mut file, format.encoding)
        .map_err(unreadable)
        .and_then(|text| Records::new(text, format.delimiter).map_err(|fault| explain(path, fault)))
        .and_then(|records| fill(database, table, path, records, deadline));
    // First, as a file that is half there may break any rule.
    if fs::metadata(path).map_or(true, |now| Stamp::of(&now) != before) {
        return Err(SourceError::FileChanged { path: path.display().to_string() });
    }
    let rows = result?;
    transaction.commit().map_err(|error| database_failed(path, &error))?;
    tracing::debug!(file = %path.display(), rows, "read");
    Ok(())
}

/// What changes when a file is written to.
#[derive(PartialEq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Makes the table of the header and fills it; how many rows there were.
fn fill<R: io::Read>(
    database: &Database,
    table: &str,
    path: &Path,
    mut records: Records<R>,
    deadline: &Deadline,
) -> Result<u64, SourceError> {
    let failed = |error: rusqlite::Error| database_failed(path, &error);
    let mut record = Record::default();
    let delimiter = records.delimiter;
    let mut next = |record: &mut Record| records.next(record).map_err(|fault| explain(path, fault));
    if !next(&mut record)? {
        return Err(refused(
            path,
            None,
            "the file is empty",
            "a file begins with the names of its columns; did the export run to its end?",
        ));
    }
    let names = header(path, &record)?;
    let columns: Vec<String> = names.iter().map(|name| format!("{} text", quoted(name))).collect();
    database.execute_batch(&format!("CREATE TABLE {} ({})", quoted(table), columns.join(", "))).map_err(failed)?;
    let places = vec!["?"; names.len()].join(", ");
    let mut insert = database.prepare(&format!("INSERT INTO {} VALUES ({places})", quoted(table))).map_err(failed)?;
    let mut rows = 0;
    while next(&mut record)? {
        if record.len() != names.len() {
            return Err(wrong_count(path, &record, names.len(), delimiter));
        }
        for (index, field) in record.fields().enumerate() {
            insert.raw_bind_parameter(index + 1, field).map_err(failed)?;
        }
        insert.raw_execute().map_err(failed)?;
        rows += 1;
        if rows % ROWS_PER_LOOK == 0 && Instant::now() >= deadline.at {
            return Err(SourceError::Timeout { limit: deadline.limit });
        }
    }
    Ok(rows)
}

/// The names of the columns, if each has one and it is its own.
fn header(path: &Path, record: &Record) -> Result<Vec<String>, SourceError> {
    let line = Some(record.line);
    let mut names: Vec<String> = Vec::new();
    let mut folded: Vec<String> = Vec::new();
    for (index, field) in record.fields().enumerate() {
        let name = field.trim();
        if name.contains('\0') {
            return Err(refused(
                path,
                line,
                "the header holds NUL characters, as UTF-16 without a byte order mark does",
                "say the encoding in `source.url`: `csv:FOLDER?encoding=utf-16le`",
            ));
        }
        if name.is_empty() {
            let reason = format!("column {} has no name", index + 1);
            return Err(refused(
                path,
                line,
                reason,
                "each column needs a name in the file's first line; does the line end with a delimiter?",
            ));
        }
        if is_address(name) {
            return Err(refused(
                path,
                line,
                format!("the first line is a row, and holds no names of columns: column {} is an address", index + 1),
                "write a line above it with the name of each column, or let the export do so",
            ));
        }
        let key = name.to_lowercase();
        if let Some(first) = folded.iter().position(|known| *known == key) {
            // Without the name: of a file that has no header, it would be a pupil's.
            let reason = format!("columns {} and {} have the same name", first + 1, index + 1);
            return Err(refused(
                path,
                line,
                reason,
                "a file begins with the names of its columns, each its own; upper and lower case do not matter",
            ));
        }
        names.push(name.to_owned());
        folded.push(key);
    }
    Ok(names)
}

/// Whether a column's name is somebody's address: then the file has no header, and its first person would be shown as the
/// names of its columns wherever those are told.
fn is_address(name: &str) -> bool {
    let parts = name.split_once('@');
    parts.is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !name.contains(char::is_whitespace))
}

fn wrong_count(path: &Path, record: &Record, expected: usize, delimiter: u8) -> SourceError {
    let name = DELIMITERS.iter().find(|(byte, _)| *byte == delimiter).map_or("comma", |(_, name)| *name);
    let fields = |count: usize| format!("{count} field{}", if count == 1 { "" } else { "s" });
    let hint = if record.len() > expected {
        format!(
            "a value that holds the delimiter ({name}) must stand in double quotes; another delimiter is said in `source.url`: `csv:FOLDER?delimiter=semicolon`"
        )
    } else {
        "is the file cut off, or does a value hold a line break without double quotes around it?".to_owned()
    };
    refused(path, Some(record.line), format!("the row has {}, the header {expected}", fields(record.len())), hint)
}

fn refused(
    path: &Path,
    line: Option<u64>,
    reason: impl Into<String>,
    hint: impl Into<crate::error::Hint>,
) -> SourceError {
    SourceError::File { path: path.display().to_string(), line, reason: reason.into(), hint: Some(hint.into()) }
}

fn explain(path: &Path, fault: Fault) -> SourceError {
    match fault {
        Fault::Io(error) => {
            SourceError::File { path: path.display().to_string(), line: None, reason: error.to_string(), hint: None }
        }
        Fault::Undecodable { line, encoding } => refused(
            path,
            Some(line),
            format!("a byte stands there that {encoding} does not have"),
            "say the encoding that the export writes in `source.url`: `csv:FOLDER?encoding=windows-1250`; or correct the value",
        ),
        Fault::Unclosed { line } => refused(
            path,
            Some(line),
            "a double quote opens a value and none closes it",
            "is the file cut off? A value that begins with a double quote stands in double quotes, with those inside it doubled",
        ),
        Fault::AfterQuote { line } => refused(
            path,
            Some(line),
            "after the double quote that closes a value stands something else than a delimiter",
            "double quotes inside a value are doubled: `\"Jane \"\"JJ\"\" Smith\"`",
        ),
    }
}

fn database_failed(path: &Path, error: &rusqlite::Error) -> SourceError {
    // SQLite's own words are about the table, never about a value: every column is text and takes anything.
    SourceError::File {
        path: path.display().to_string(),
        line: None,
        reason: format!("the table cannot be made of it: {error}"),
        hint: None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A name as SQL takes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_file_that_is_written_to_while_it_is_read_gives_no_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("students.csv");
        fs::write(&path, format!("login\n{}", "emma\n".repeat(10_000))).unwrap();
        let database = Database::open_in_memory().unwrap();
        let deadline = Deadline { at: Instant::now() + Duration::from_mins(1), limit: Duration::from_mins(1) };
        let is_seen = AtomicBool::new(false);
        let seen = std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut file = File::options().append(true).open(&path).unwrap();
                while !is_seen.load(Ordering::Relaxed) {
                    // A blank line breaks no rule at any time.
                    file.write_all(b"\n").unwrap();
                }
            });
            let seen = (0..1_000).any(|_| {
                let result = load(&database, "students", &path, CsvFormat::default(), &deadline);
                let changed = matches!(&result, Err(error @ SourceError::FileChanged { .. }) if error.is_transient());
                // Between two writes it was read whole.
                result.is_ok() && database.execute_batch("DROP TABLE students").is_err() || changed
            });
            is_seen.store(true, Ordering::Relaxed);
            seen
        });
        assert!(seen, "no read saw the file change");
        database.prepare("SELECT * FROM students").unwrap_err();
        load(&database, "students", &path, CsvFormat::default(), &deadline).unwrap();
        let rows = database.query_row("SELECT count(*) FROM students", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(rows, 10_000);
    }

    #[test]
    fn the_time_limit_holds_for_reading_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("students.csv");
        fs::write(&path, format!("login\n{}", "emma\n".repeat(2_000))).unwrap();
        let database = Database::open_in_memory().unwrap();
        let deadline = Deadline { at: Instant::now(), limit: Duration::from_secs(1) };
        let error = load(&database, "students", &path, CsvFormat::default(), &deadline).unwrap_err();
        assert!(matches!(error, SourceError::Timeout { .. }), "{error:?}");
        database.prepare("SELECT * FROM students").unwrap_err();
    }
}
