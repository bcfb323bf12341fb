//! Sources through ODBC, with two drivers of Debian: SQLite's over a file, and FreeTDS's against our own SQL Server.
//!
//! The drivers are named by their files, so nothing has to be registered on the machine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: what cannot be set up fails the test, and what is missing is said"
)]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sispush::source::{Connection, SourceError};
use support::context::{STUDENTS_QUERY, TestContext};
use support::network::closed_port;
use support::source_suite::{self as suite, Kind, Server, cases};
use tds::TdsServer;

// The driver has no time limit, no logins, and says of a syntax error where it is in words of its own; `unreachable` and
// `missing_database` change fields of a connection that ODBC does not have.
cases!(
    sqlite,
    SqliteDriver::get,
    [types, no_rows, many_rows, one_session, large_cell, writes_are_refused, columns, binary, binary_taken]
);
cases!(
    freetds,
    FreeTdsDriver::get,
    [
        types,
        no_rows,
        many_rows,
        one_session,
        large_cell,
        writes_are_refused,
        columns,
        binary,
        binary_taken,
        timeout,
        wrong_password
    ]
);

/// The file of a driver of Debian, or a word about what is missing.
fn driver(file: &str, package: &str, test: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = folders.map(|folder| folder.path().join("odbc").join(file)).find(|path| path.is_file());
    if found.is_none() {
        let message = format!("ignored: {test} needs {file} (apt-get install {package})");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        eprintln!("{message}");
    }
    found
}

struct SqliteDriver {
    driver: PathBuf,
    folder: tempfile::TempDir,
}

impl SqliteDriver {
    fn get(test: &str) -> Option<Self> {
        let driver = driver("libsqlite3odbc.so", "libsqliteodbc", test)?;
        let server = Self { driver, folder: tempfile::tempdir().unwrap() };
        server.open().pragma_update(None, "journal_mode", "wal").unwrap();
        Some(server)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("sis.db")
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).unwrap()
    }
}

fn sqlite_url(driver: &Path, file: &Path) -> String {
    format!("odbc:Driver={};Database={}", driver.display(), file.display())
}

impl Server for SqliteDriver {
    fn connection(&self) -> Connection {
        Connection::parse(&sqlite_url(&self.driver, &self.file())).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.open().execute_batch(sql).unwrap();
    }

    fn scalar(&self, sql: &str) -> String {
        self.open().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string()
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        Some(match kind {
            Kind::SmallInteger => "smallint",
            Kind::Integer => "integer",
            Kind::BigInteger => "bigint",
            Kind::Float => "double",
            Kind::Single => "float",
            Kind::Boolean => "bit",
            Kind::Char => "char(10)",
            Kind::Varchar => "varchar(80)",
            Kind::Unicode => "nvarchar(80)",
            Kind::LongText | Kind::Json | Kind::Xml => "text",
            Kind::Date => "date",
            Kind::DateTime => "timestamp",
            Kind::Binary | Kind::LongBinary => "blob",
            _ => return None,
        })
    }

    fn slow_query(&self) -> String {
        unreachable!("the driver has no time limit")
    }
}

/// Every kind of character but `}`, which the driver does not read as ODBC says.
const PASSWORD: &str = "canary;w'ö\"rd {1=";

struct FreeTdsDriver {
    driver: PathBuf,
    server: TdsServer,
}

impl FreeTdsDriver {
    fn get(test: &str) -> Option<Self> {
        Self::with(test, |sql| sql.contains("forever").then(|| vec![tds::Step::Hang]))
    }

    fn with(test: &str, script: impl Fn(&str) -> Option<Vec<tds::Step>> + Send + Sync + 'static) -> Option<Self> {
        let options = tds::Options { script: Some(Arc::new(script)), password: PASSWORD, ..tds::Options::default() };
        Some(Self { driver: driver("libtdsodbc.so", "tdsodbc", test)?, server: TdsServer::start_with(options) })
    }

    fn url(&self) -> String {
        format!(
            "odbc:Driver={};Server=127.0.0.1;Port={};Database={};TDS_Version=7.4;ClientCharset=UTF-8;UID={}",
            self.driver.display(),
            self.server.port(),
            tds::DATABASE,
            tds::USER
        )
    }
}

impl Server for FreeTdsDriver {
    fn connection(&self) -> Connection {
        let mut connection = Connection::parse(&self.url()).unwrap();
        connection.password = Some(PASSWORD.into());
        connection
    }

    fn execute(&self, sql: &str) {
        self.server.execute(sql);
    }

    fn scalar(&self, sql: &str) -> String {
        self.server.value(sql)
    }

    fn type_of(&self, kind: Kind) -> Option<&'static str> {
        Some(suite::sql_server_type(kind))
    }

    fn slow_query(&self) -> String {
        "SELECT sleeps FROM forever".to_owned()
    }
}

/// A school whose source is this URL, with a password that no output may hold.
fn school(url: &str, query: &str) -> TestContext {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("SIS_PASSWORD", PASSWORD);
    let source = format!("url: \"{}\"\npassword: ${{SIS_PASSWORD}}", url.replace('\\', "\\\\").replace('"', "\\\""));
    context.mapping_of(&source, query, "");
    context
}

#[test]
fn a_school_is_pushed() {
    let Some(server) = SqliteDriver::get("a_school_is_pushed") else { return };
    let context = TestContext::with_sandbox(&[]);
    context.students(3);
    let url = sqlite_url(&server.driver, &context.path("sis.db"));
    context.mapping_of(&format!("url: {url}"), STUDENTS_QUERY, "");
    let said = context.run(&["push", "school.yaml"]).replace(&*server.driver.to_string_lossy(), "[DRIVER]");
    insta::assert_snapshot!(said);
    assert_eq!(context.sandbox().patrons().len(), 3);
    assert_eq!(context.sandbox().patrons()[0]["librarybarcode"], "000001");
}

#[test]
fn what_a_query_does_is_rolled_back() {
    let Some(server) = FreeTdsDriver::get("what_a_query_does_is_rolled_back") else { return };
    suite::read(&server, "SELECT 1 AS a").unwrap();
    let batches = server.server.batches();
    let place = |text: &str| batches.iter().position(|batch| batch.starts_with(text));
    assert!(place("BEGIN TRAN") < place("SELECT 1") && place("SELECT 1") < place("ROLLBACK"), "{batches:?}");
    assert_eq!(place("COMMIT"), None, "{batches:?}");
}

#[test]
fn values_longer_than_declared_are_an_error_and_not_cut() {
    let Some(server) = SqliteDriver::get("values_longer_than_declared_are_an_error_and_not_cut") else { return };
    // SQLite keeps to no length.
    server.execute(&format!("CREATE TABLE t (v varchar(5)); INSERT INTO t VALUES ('{}')", "x".repeat(500)));
    let error = suite::read(&server, "SELECT v FROM t").unwrap_err();
    assert!(matches!(&error, SourceError::Value { column, hint: Some(_), .. } if column == "v"), "{error:?}");
    assert_eq!(suite::read(&server, "SELECT CAST(v AS text) AS v FROM t").unwrap()[0][0].len(), 500);
}

#[test]
fn a_wrong_password() {
    let Some(server) = FreeTdsDriver::get("a_wrong_password") else { return };
    let mut context = school(&server.url(), STUDENTS_QUERY);
    context.set_env("SIS_PASSWORD", "canary;another");
    insta::assert_snapshot!(said(&context, &server.driver, &server));
}

#[test]
fn a_database_that_is_not_there() {
    let Some(server) = FreeTdsDriver::get("a_database_that_is_not_there") else { return };
    let context = school(&server.url().replace(tds::DATABASE, "Synergetik"), STUDENTS_QUERY);
    insta::assert_snapshot!(said(&context, &server.driver, &server));
}

#[test]
fn a_port_where_nothing_listens() {
    let Some(server) = FreeTdsDriver::get("a_port_where_nothing_listens") else { return };
    let port = closed_port();
    let url = server.url().replace(&format!("Port={}", server.server.port()), &format!("Port={port}"));
    let context = school(&url, STUDENTS_QUERY);
    let said = said(&context, &server.driver, &server).replace(&port.to_string(), "[PORT]");
    insta::assert_snapshot!(said);
}

#[test]
fn a_connection_that_breaks_off() {
    let script = |sql: &str| sql.contains("login").then(|| vec![tds::Step::Cut]);
    let Some(server) = FreeTdsDriver::with("a_connection_that_breaks_off", script) else { return };
    let context = school(&server.url(), STUDENTS_QUERY);
    insta::assert_snapshot!(said(&context, &server.driver, &server));
}

#[test]
fn a_driver_and_a_data_source_that_are_not_there() {
    let context = school("odbc:Driver={Oracle in instantclient};Dbq=//sis.invalid/PSPROD", STUDENTS_QUERY);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    let context = school("odbc:no_such_source", STUDENTS_QUERY);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    let context = school("odbc:Driver=/nowhere/driver.so;Server=x", STUDENTS_QUERY);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn mistakes_in_a_query() {
    let Some(server) = SqliteDriver::get("mistakes_in_a_query") else { return };
    let url = sqlite_url(&server.driver, &server.file());
    server.execute("CREATE TABLE students (login text); INSERT INTO students VALUES ('canary')");
    for query in [
        "SELECT login FROM pupils",
        "SELECT login\nFROMM students x y",
        "DELETE FROM students",
        "SELECT 1 AS a; SELECT 2 AS a",
    ] {
        let context = TestContext::with_sandbox(&[]);
        context.mapping_of(&format!("url: {url}"), query, "");
        let said = context.run(&["push", "school.yaml"]);
        insta::assert_snapshot!(said.replace(&*server.driver.to_string_lossy(), "[DRIVER]"));
    }
    assert_eq!(server.scalar("SELECT count(*) FROM students"), "1");
}

#[test]
fn an_error_of_the_server_shows_no_value() {
    let script = |sql: &str| {
        let message = "Conversion failed when converting the varchar value 'canary' to data type int.";
        sql.contains("login").then(|| vec![tds::Step::Send(tds::tokens::failed(245, 16, 1, message))])
    };
    let Some(server) = FreeTdsDriver::with("an_error_of_the_server_shows_no_value", script) else { return };
    let context = school(&server.url(), STUDENTS_QUERY);
    insta::assert_snapshot!(said(&context, &server.driver, &server));
    // The library's own log would.
    let log = context.run(&["push", "school.yaml", "-vvv"]);
    assert!(log.contains("Conversion failed"), "{log}");
}

#[test]
fn what_check_says() {
    let context = TestContext::new();
    context.mapping_of("url: odbc:Driver=x;PWD=canary", STUDENTS_QUERY, "");
    insta::assert_snapshot!(context.run(&["check", "school.yaml"]));
    context.mapping_of("url: odbc:school\nencryption: required", "UPDATE students SET login = 1", "");
    insta::assert_snapshot!(context.run(&["check", "school.yaml"]));
}

/// What a push says, without what differs from machine to machine.
fn said(context: &TestContext, driver: &Path, server: &FreeTdsDriver) -> String {
    let said = context.run(&["push", "school.yaml"]);
    assert!(context.sandbox().patrons().is_empty(), "{said}");
    said.replace(&*driver.to_string_lossy(), "[DRIVER]").replace(&server.server.port().to_string(), "[PORT]")
}
