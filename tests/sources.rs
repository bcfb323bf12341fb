//! Every engine by the shared suite, against real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::path::PathBuf;

use sispush::source::{Connection, Encryption, SourceError};
use support::drops;
use support::servers::{AUTHORITY, MariaDb, Postgres};
use support::source_suite::{self as suite, Kind, Server, cases};

cases!(
    sqlite,
    SqliteServer::get,
    [
        types,
        no_rows,
        many_rows,
        one_session,
        large_cell,
        writes_are_refused,
        query_errors,
        columns,
        binary,
        binary_taken,
        timeout
    ]
);
// Cells of a file are text, so `binary` is a test of its own.
cases!(
    csv,
    CsvServer::get,
    [types, no_rows, many_rows, one_session, large_cell, writes_are_refused, query_errors, columns, timeout]
);
cases!(
    postgres,
    PostgresServer::get,
    [
        types,
        no_rows,
        many_rows,
        one_session,
        large_cell,
        writes_are_refused,
        query_errors,
        columns,
        binary,
        binary_taken,
        timeout,
        wrong_password,
        missing_database,
        unreachable,
    ]
);
cases!(
    mariadb,
    MariaDbServer::get,
    [
        types,
        no_rows,
        many_rows,
        one_session,
        writes_are_refused,
        query_errors,
        columns,
        binary,
        binary_taken,
        timeout,
        wrong_password,
        missing_database,
        unreachable,
    ]
);

struct SqliteServer {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl SqliteServer {
    #[expect(clippy::unnecessary_wraps, reason = "the servers that may be missing give an option")]
    fn get(_test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sis.db");
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "wal").unwrap();
        Some(Self { path, _folder: folder })
    }
}

impl Server for SqliteServer {
    fn connection(&self) -> Connection {
        Connection::parse(&format!("sqlite:{}", self.path.display())).unwrap()
    }

    fn execute(&self, sql: &str) {
        rusqlite::Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    fn scalar(&self, sql: &str) -> String {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string()
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        // SQLite has integers, reals, texts and blobs; dates and the like are texts as they were written.
        Some(match kind {
            Kind::SmallInteger | Kind::Integer | Kind::BigInteger => "integer",
            Kind::Float | Kind::Single => "real",
            Kind::Boolean => "boolean",
            Kind::Char | Kind::Varchar | Kind::Unicode | Kind::LongText | Kind::Date | Kind::Json | Kind::Xml => "text",
            Kind::Binary | Kind::LongBinary => "blob",
            _ => return None,
        })
    }

    fn slow_query(&self) -> String {
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n".into()
    }
}

/// Statements run in a SQLite file, and every table of it becomes a file of the folder, written by another library.
struct CsvServer {
    sqlite: SqliteServer,
    folder: tempfile::TempDir,
}

impl CsvServer {
    #[expect(clippy::unnecessary_wraps, reason = "the servers that may be missing give an option")]
    fn get(test: &str) -> Option<Self> {
        let server = Self { sqlite: SqliteServer::get(test).unwrap(), folder: tempfile::tempdir().unwrap() };
        server.execute("CREATE TABLE unused (a text)");
        Some(server)
    }
}

impl Server for CsvServer {
    fn connection(&self) -> Connection {
        Connection::parse(&format!("csv:{}", self.folder.path().display())).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.sqlite.execute(sql);
        drops::write(&self.sqlite.path, self.folder.path(), b',');
    }

    fn scalar(&self, sql: &str) -> String {
        // Of what is in the files now.
        let database = rusqlite::Connection::open_in_memory().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let mut reader = ::csv::Reader::from_path(&path).unwrap();
            let columns = reader.headers().unwrap().iter().collect::<Vec<_>>().join(", ");
            let table = path.file_stem().unwrap().to_string_lossy().into_owned();
            database.execute_batch(&format!("CREATE TABLE {table} ({columns})")).unwrap();
            for record in reader.records() {
                let record = record.unwrap();
                let places = vec!["?"; record.len()].join(", ");
                let values = rusqlite::params_from_iter(record.iter());
                database.execute(&format!("INSERT INTO {table} VALUES ({places})"), values).unwrap();
            }
        }
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string()
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        Some(match kind {
            Kind::SmallInteger | Kind::Integer | Kind::BigInteger => "integer",
            Kind::Char | Kind::Varchar | Kind::Unicode | Kind::LongText | Kind::Date | Kind::Json | Kind::Xml => "text",
            _ => return None,
        })
    }

    fn slow_query(&self) -> String {
        self.sqlite.slow_query()
    }
}

struct PostgresServer(&'static Postgres);

impl PostgresServer {
    fn get(test: &str) -> Option<Self> {
        Postgres::get(test).map(Self)
    }
}

impl Server for PostgresServer {
    fn connection(&self) -> Connection {
        Connection::parse(&self.0.url("postgres")).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.0.execute("postgres", sql);
    }

    fn scalar(&self, sql: &str) -> String {
        self.0.execute("postgres", sql).trim().to_owned()
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        Some(match kind {
            Kind::SmallInteger => "smallint",
            Kind::Integer => "integer",
            Kind::BigInteger => "bigint",
            Kind::Decimal => "numeric(18,4)",
            Kind::WideDecimal => "numeric(38,12)",
            // PostgreSQL's money has two decimals.
            Kind::Money => return None,
            Kind::Float => "double precision",
            Kind::Single => "real",
            Kind::Boolean => "boolean",
            Kind::Char => "char(10)",
            Kind::Varchar | Kind::Unicode => "varchar(80)",
            Kind::LongText => "text",
            Kind::Date => "date",
            Kind::Time => "time",
            Kind::DateTime => "timestamp(0)",
            Kind::DateTimeFraction => "timestamp",
            Kind::DateTimeOffset => "timestamptz",
            Kind::Uuid => "uuid",
            Kind::Json => "jsonb",
            Kind::Xml => "xml",
            Kind::Binary | Kind::LongBinary => "bytea",
        })
    }

    fn binary_literal(&self, digits: &str) -> String {
        format!("'\\x{digits}'")
    }

    fn slow_query(&self) -> String {
        "SELECT pg_sleep(60)::text AS slept".into()
    }
}

struct MariaDbServer(&'static MariaDb);

impl MariaDbServer {
    fn get(test: &str) -> Option<Self> {
        let server = MariaDb::get(test)?;
        server.execute("mysql", "CREATE DATABASE IF NOT EXISTS test");
        Some(Self(server))
    }
}

impl Server for MariaDbServer {
    fn connection(&self) -> Connection {
        Connection::parse(&self.0.url("test")).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.0.execute("test", sql);
    }

    fn scalar(&self, sql: &str) -> String {
        self.0.execute("test", sql).trim().to_owned()
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        Some(match kind {
            Kind::SmallInteger => "smallint",
            Kind::Integer => "int",
            Kind::BigInteger => "bigint",
            Kind::Decimal => "decimal(18,4)",
            Kind::WideDecimal => "decimal(38,12)",
            Kind::Float => "double",
            Kind::Single => "float",
            // A literal of BIT(1); BOOLEAN is a number in MySQL.
            Kind::Boolean => "bit(1)",
            Kind::Char => "char(10)",
            Kind::Varchar => "varchar(80) character set latin1",
            Kind::Unicode => "varchar(80) character set utf8mb4",
            Kind::LongText => "longtext",
            Kind::Date => "date",
            Kind::Time => "time(3)",
            Kind::DateTime => "datetime",
            Kind::DateTimeFraction => "datetime(6)",
            Kind::Uuid => "uuid",
            Kind::Json => "json",
            Kind::Binary => "varbinary(20)",
            Kind::LongBinary => "longblob",
            Kind::Money | Kind::DateTimeOffset | Kind::Xml => return None,
        })
    }

    fn slow_query(&self) -> String {
        "SELECT sleep(60) AS slept, count(*) FROM seq_1_to_100000000".into()
    }
}

#[test]
fn postgres_money_offsets_and_arrays() {
    let Some(server) = PostgresServer::get("postgres_money_offsets_and_arrays") else { return };
    let rows = suite::read(
        &server,
        "SELECT '-1234567.8'::money AS m, '2026-02-28 10:00:00+02'::timestamptz AS t, '10:00:00+02'::timetz AS z, \
         array['x', 'y,z'] AS a, 'infinity'::timestamp AS i, 'NaN'::float8 AS n, 'a\\b' || chr(10) || 'c' AS s; ",
    )
    .unwrap();
    assert_eq!(
        rows[0],
        ["-1234567.80", "2026-02-28T08:00:00+00:00", "10:00:00+02:00", "{x,\"y,z\"}", "infinity", "NaN", "a\\b\nc"]
    );
}

#[test]
fn mariadb_keeps_the_schools_sql_mode_and_reads_zero_dates() {
    let Some(server) = MariaDbServer::get("mariadb_keeps_the_schools_sql_mode_and_reads_zero_dates") else { return };
    // `||` is OR by MySQL's default; a driver that changes sql_mode makes it a concatenation.
    let rows = suite::read(&server, "SELECT 1 || 0 AS o, CAST('0000-00-00' AS date) AS z, b'101' + 0 AS b").unwrap();
    assert_eq!(rows[0][0], "1");
    assert_eq!(rows[0][1], "");
}

#[test]
fn sqlite_names_the_cell_that_is_not_text() {
    let server = SqliteServer::get("").unwrap();
    server.execute("CREATE TABLE t (id integer, name text); INSERT INTO t VALUES (1, 'a'), (2, CAST(x'ff41' AS text))");
    let error = suite::read(&server, "SELECT id, name FROM t").unwrap_err();
    assert_eq!(error.to_string(), "column `name`, row 2: the text is not valid UTF-8");
}

/// Regression: SQLite takes a name in double quotes that it does not know for a text.
#[test]
fn sqlite_takes_no_column_that_is_written_wrongly_for_a_text() {
    let server = SqliteServer::get("").unwrap();
    server.execute("CREATE TABLE t (\"form class\" text); INSERT INTO t VALUES ('7A')");
    assert_eq!(suite::read(&server, "SELECT \"form class\" AS a FROM t").unwrap(), [["7A"]]);
    let error = suite::read(&server, "SELECT 1 AS a,\n  \"form clas\" AS b FROM t").unwrap_err();
    assert!(matches!(&error, SourceError::Query { line: Some(2), .. }), "{error:?}");
    assert!(error.to_string().contains("no such column: \"form clas\""), "{error}");
}

#[test]
fn csv_refuses_what_sql_makes_binary_and_keeps_its_files() {
    let server = CsvServer::get("").unwrap();
    server.execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('a')");
    let error = suite::read(&server, "SELECT CAST(name AS blob) AS photo FROM t").unwrap_err();
    assert!(matches!(&error, SourceError::Binary { column, .. } if column == "photo"), "{error:?}");
    let file = server.folder.path().join("copy.db");
    for query in [format!("ATTACH '{}' AS x", file.display()), format!("VACUUM INTO '{}'", file.display())] {
        suite::read(&server, &query).unwrap_err();
        assert!(!file.exists(), "{query}");
    }
}

#[test]
fn csv_gives_what_sql_makes_binary_where_it_is_taken() {
    let server = CsvServer::get("").unwrap();
    server.execute("CREATE TABLE t (name text); INSERT INTO t VALUES ('ffd8')");
    let rows = suite::read_binary(&server, "SELECT unhex(name) AS photo, name FROM t").unwrap();
    assert_eq!(rows, [["ffd8", "ffd8"]]);
}

/// The other form is `\\377\\330A`, and text that a query makes of it stays as the school knows it.
#[test]
fn postgres_gives_hexadecimal_whatever_a_role_sets() {
    let Some(server) = PostgresServer::get("postgres_gives_hexadecimal_whatever_a_role_sets") else { return };
    server.execute("CREATE DATABASE escapes");
    server.execute("ALTER DATABASE escapes SET bytea_output = 'escape'");
    let connection = Connection::parse(&server.0.url("escapes")).unwrap();
    let read = |query| suite::read_binary_with(&connection, query).unwrap();
    assert_eq!(read(r"SELECT '\xffd841'::bytea AS photo"), [["ffd841"]]);
    assert_eq!(read(r"SELECT '\x4142'::bytea::text AS login"), [["AB"]]);
}

/// Only what is no text is binary there: old functions and JSON are called so, too.
#[test]
fn mariadb_keeps_text_in_binary_columns() {
    let Some(server) = MariaDbServer::get("mariadb_keeps_text_in_binary_columns") else { return };
    let query = "SELECT CAST('0042' AS binary) AS id, x'ffd8ff' AS photo, x'' AS none, x'470049' AS zero";
    assert_eq!(suite::read_binary(&server, query).unwrap(), [["0042", "ffd8ff", "", "470049"]]);
}

#[test]
fn a_missing_sqlite_file_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    let connection = Connection::parse(&format!("sqlite:{}", path.display())).unwrap();
    let error = suite::read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(error, SourceError::DatabaseMissing { .. }));
    assert!(!path.exists());
}

#[test]
fn postgres_tls_is_verified() {
    let Some(server) = Postgres::tls("postgres_tls_is_verified") else { return };
    let mut connection = Connection::parse(&server.url("postgres")).unwrap();
    connection.host = "localhost".into();
    connection.encryption = Encryption::Required;
    let error = suite::read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(&error, SourceError::Tls { issuer: Some(issuer), .. } if issuer == AUTHORITY), "{error:?}");
    connection.ca_file = server.ca_file();
    let rows =
        suite::read_with(&connection, "SELECT ssl::text AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").unwrap();
    assert_eq!(rows, [["true"]]);
}

#[test]
fn mariadb_says_which_cell_is_too_large_for_its_protocol() {
    let Some(server) = MariaDbServer::get("mariadb_says_which_cell_is_too_large_for_its_protocol") else { return };
    // By hand, since a function's result has another bound.
    server.execute("CREATE TABLE large (v longtext)");
    server.execute(&format!("INSERT INTO large VALUES ('{}')", "x".repeat(20_000)));
    for _ in 0..9 {
        server.execute("UPDATE large SET v = concat(v, v)");
    }
    assert_eq!(suite::read(&server, "SELECT v FROM large").unwrap()[0][0].len(), 20_000 << 9);
    server.execute("UPDATE large SET v = concat(v, v)");
    let error = suite::read(&server, "SELECT v FROM large").unwrap_err();
    assert_eq!(error.to_string(), "row 1 cannot be read: it holds a cell of 16 MB or more");
}

#[test]
fn mariadb_tls_is_verified() {
    let Some(server) = MariaDb::tls("mariadb_tls_is_verified") else { return };
    let mut connection = Connection::parse(&server.url("mysql")).unwrap();
    connection.host = "localhost".into();
    connection.encryption = Encryption::Required;
    let error = suite::read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(&error, SourceError::Tls { issuer: Some(issuer), .. } if issuer == AUTHORITY), "{error:?}");
    connection.ca_file = server.ca_file();
    assert_eq!(suite::read_with(&connection, "SELECT 1 AS a").unwrap(), [["1"]]);
}
