//! The one suite that every engine passes: what a source gives, and how it fails.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sispush::source::row::{Message, RowSink, RowStream, channel};
use sispush::source::{self, Connection, SourceError};

/// A server under test.
pub trait Server {
    /// Where it is, with its login; a URL that [`Connection::parse`] takes.
    fn connection(&self) -> Connection;
    /// Runs statements by another client than sispush.
    fn execute(&self, sql: &str);
    /// The first cell of a query's result, by another client than sispush.
    fn scalar(&self, sql: &str) -> String;
    /// How the engine spells a kind of type; `None` if it has none.
    fn type_of(&self, kind: Kind) -> Option<&'static str>;
    /// A query that takes long.
    fn slow_query(&self) -> String;
    /// Bytes as a literal of SQL.
    fn binary_literal(&self, digits: &str) -> String {
        format!("x'{digits}'")
    }
}

/// The kinds of types that an SIS uses (design, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SmallInteger,
    Integer,
    BigInteger,
    Decimal,
    WideDecimal,
    Money,
    Float,
    Single,
    Boolean,
    Char,
    Varchar,
    Unicode,
    LongText,
    Date,
    Time,
    DateTime,
    DateTimeFraction,
    DateTimeOffset,
    Uuid,
    Json,
    Xml,
    Binary,
    LongBinary,
}

/// Makes a test of every case for one engine.
#[allow(unused_macros, reason = "not every test file tests an engine")]
macro_rules! cases {
    ($engine:ident, $server:expr, [$($case:ident),* $(,)?]) => {
        mod $engine {
            use super::*;

            $(#[test]
            fn $case() {
                if let Some(server) = $server(concat!(stringify!($engine), "::", stringify!($case))) {
                    suite::$case(&server);
                }
            })*
        }
    };
}
#[allow(unused_imports, reason = "likewise")]
pub(crate) use cases;

/// How SQL Server spells a kind of type.
pub fn sql_server_type(kind: Kind) -> &'static str {
    match kind {
        Kind::SmallInteger => "smallint",
        Kind::Integer => "int",
        Kind::BigInteger => "bigint",
        Kind::Decimal => "decimal(18,4)",
        Kind::WideDecimal => "decimal(38,12)",
        Kind::Money => "money",
        Kind::Float => "float",
        Kind::Single => "real",
        Kind::Boolean => "bit",
        Kind::Char => "char(10)",
        Kind::Varchar => "varchar(50)",
        Kind::Unicode => "nvarchar(50)",
        Kind::LongText | Kind::Json => "nvarchar(max)",
        Kind::Date => "date",
        Kind::Time => "time(3)",
        Kind::DateTime => "datetime",
        Kind::DateTimeFraction => "datetime2(3)",
        Kind::DateTimeOffset => "datetimeoffset(3)",
        Kind::Uuid => "uniqueidentifier",
        Kind::Xml => "xml",
        Kind::Binary => "varbinary(10)",
        Kind::LongBinary => "varbinary(max)",
    }
}

/// What is written, as a literal of SQL, and the text that must come out.
const CASES: &[(Kind, &str, &str)] = &[
    (Kind::SmallInteger, "-7", "-7"),
    (Kind::Integer, "42", "42"),
    (Kind::BigInteger, "-9223372036854775808", "-9223372036854775808"),
    (Kind::Decimal, "12.5", "12.5000"),
    (Kind::WideDecimal, "12345678901234567890123456.123456789012", "12345678901234567890123456.123456789012"),
    (Kind::Money, "-1234567.8", "-1234567.8000"),
    (Kind::Float, "0.1", "0.1"),
    (Kind::Float, "2", "2"),
    (Kind::Float, "1e300", "1e300"),
    (Kind::Single, "0.5", "0.5"),
    (Kind::Boolean, "TRUE", "Y"),
    (Kind::Boolean, "FALSE", "N"),
    (Kind::Char, "'7A'", "7A"),
    (Kind::Varchar, "'0042'", "0042"),
    (Kind::Varchar, "'caf\u{e9}'", "caf\u{e9}"),
    (Kind::Varchar, "'a\tb'", "a\tb"),
    (Kind::Unicode, "'Zo\u{eb} \u{1f600} Nguy\u{1ec5}n'", "Zo\u{eb} \u{1f600} Nguy\u{1ec5}n"),
    (Kind::LongText, "'one\ntwo'", "one\ntwo"),
    (Kind::Date, "'2026-02-28'", "2026-02-28"),
    (Kind::Time, "'09:05:00.250'", "09:05:00.25"),
    (Kind::DateTime, "'2026-02-28 10:00:00'", "2026-02-28T10:00:00"),
    (Kind::DateTimeFraction, "'2026-02-28 10:00:00.120'", "2026-02-28T10:00:00.12"),
    (Kind::Uuid, "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    (Kind::Json, "'{\"a\": [1, \"x\"]}'", "{\"a\": [1, \"x\"]}"),
    (Kind::Xml, "'<a>\u{e9}</a>'", "<a>\u{e9}</a>"),
];

/// Every type as the one rule writes it, and NULL as a blank.
pub fn types(server: &dyn Server) {
    let mut checked = 0;
    for (kind, literal, expected) in CASES {
        let Some(type_name) = server.type_of(*kind) else { continue };
        let table = table();
        // A time offset in a literal, TRUE and N'' are the engines' own affairs; this much they share.
        server.execute(&format!("CREATE TABLE {table} (id int, v {type_name})"));
        server.execute(&format!("INSERT INTO {table} (id, v) VALUES (1, {literal})"));
        server.execute(&format!("INSERT INTO {table} (id, v) VALUES (2, NULL)"));
        let rows = read(server, &format!("SELECT v FROM {table} ORDER BY id")).expect("the rows are read");
        let value = rows[0][0].trim_end_matches(|c| *kind == Kind::Char && c == ' ');
        assert_eq!(value, *expected, "{kind:?} as `{type_name}`");
        assert_eq!(rows[1][0], "", "NULL of {kind:?}");
        checked += 1;
    }
    assert!(checked >= 12, "only {checked} cases were checked");
}

/// No rows are a result, with its columns.
pub fn no_rows(server: &dyn Server) {
    let table = filled(server, 0);
    assert_eq!(read(server, &format!("SELECT id, name FROM {table}")).unwrap(), Vec::<Vec<String>>::new());
}

/// Rows stream in many blocks, in order.
pub fn many_rows(server: &dyn Server) {
    let table = filled(server, 50_000);
    // Cast, since the columns of a CSV file are text.
    let rows = read(server, &format!("SELECT id, name FROM {table} ORDER BY CAST(id AS decimal(9, 0))")).unwrap();
    assert_eq!(rows.len(), 50_000);
    assert_eq!(rows[0], ["0", "name 0"]);
    assert_eq!(rows[49_999], ["49999", "name 49999"]);
}

/// Several extracts share a session, also after one that is long.
pub fn one_session(server: &dyn Server) {
    let table = filled(server, 20_000);
    let query = format!("SELECT id FROM {table}");
    let counts =
        with_session(server, |session, read| (0..3).map(|_| read(session, &query).unwrap().len()).collect::<Vec<_>>());
    assert_eq!(counts, [20_000; 3]);
}

/// A cell of 20 MB comes whole.
pub fn large_cell(server: &dyn Server) {
    let table = table();
    let text = server.type_of(Kind::LongText).unwrap();
    server.execute(&format!("CREATE TABLE {table} (v {text})"));
    // Doubled in the database: no client takes a statement of 20 MB gladly.
    server.execute(&format!("INSERT INTO {table} VALUES ('{}')", "x".repeat(20_000)));
    for _ in 0..10 {
        server.execute(&format!("UPDATE {table} SET v = concat(v, v)"));
    }
    let rows = read(server, &format!("SELECT v FROM {table}")).unwrap();
    assert_eq!(rows[0][0].len(), 20_000 << 10);
}

/// A query that would write fails, and the data stay.
pub fn writes_are_refused(server: &dyn Server) {
    let table = filled(server, 3);
    for query in [
        format!("DELETE FROM {table}"),
        format!("UPDATE {table} SET name = 'x'"),
        format!("SELECT 1; DELETE FROM {table}"),
        format!("COMMIT; DELETE FROM {table}"),
        format!("DROP TABLE {table}"),
        "COMMIT".to_owned(),
    ] {
        let error = read(server, &query).expect_err(&query);
        assert!(
            matches!(error, SourceError::NotARead { .. } | SourceError::NoColumns | SourceError::Query { .. }),
            "{query}: {error:?}"
        );
        assert_eq!(server.scalar(&format!("SELECT count(*) FROM {table} WHERE name <> 'x'")), "3", "{query}");
    }
}

/// A mistake in the SQL is told with its line, and names what the query names.
pub fn query_errors(server: &dyn Server) {
    let error = read(server, "SELECT id\nFROM no_such_table_here").unwrap_err();
    assert!(matches!(error, SourceError::Query { .. } | SourceError::TableMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_table_here"), "{error}");
    let error = read(server, "SELECT 1 AS a\nFROMM x y z").unwrap_err();
    let SourceError::Query { line, .. } = error else { panic!("{error:?}") };
    assert_eq!(line, Some(2));
}

/// Two columns of one name are refused, and so is a query without a result.
pub fn columns(server: &dyn Server) {
    let error = read(server, "SELECT 1 AS id, 2 AS name, 3 AS ID").unwrap_err();
    assert_eq!(error.to_string(), "the query gives more than one column named `id`");
}

/// Binary data are refused with what to do.
pub fn binary(server: &dyn Server) {
    let type_name = server.type_of(Kind::Binary).unwrap();
    let table = table();
    server.execute(&format!("CREATE TABLE {table} (photo {type_name})"));
    server.execute(&format!("INSERT INTO {table} VALUES ({})", "'\u{1}'"));
    server.execute(&format!("INSERT INTO {table} SELECT photo FROM {table}"));
    let error = read(server, &format!("SELECT photo FROM {table}"));
    // SQLite and MySQL decide by the value: text in a binary column is text.
    if let Err(error) = error {
        assert!(matches!(&error, SourceError::Binary { column, .. } if column == "photo"), "{error:?}");
    }
}

/// Binary data come as hexadecimal text where the sink takes them: NULL and no bytes as the blank, and photos of some
/// megabytes whole. They stay an error where it does not.
pub fn binary_taken(server: &dyn Server) {
    let type_name = server.type_of(Kind::LongBinary).unwrap();
    let table = table();
    server.execute(&format!("CREATE TABLE {table} (id int, photo {type_name}, name varchar(20))"));
    // Every byte beside every other, so that an escape, a line end or a chunk's border that is not kept shows.
    let long: String = (0..6_000_000_u32)
        .filter_map(|at| char::from_digit((at.wrapping_mul(2_654_435_761) >> 16) & 0xF, 16))
        .collect();
    let photos = ["ffd8ff00", "", "89504e470d0a1a0a00", &long, "00ff5c09"];
    for (id, digits) in photos.iter().enumerate() {
        let literal = server.binary_literal(digits);
        server.execute(&format!("INSERT INTO {table} (id, photo, name) VALUES ({id}, {literal}, 'name {id}')"));
    }
    server.execute(&format!("INSERT INTO {table} (id, photo, name) VALUES (5, NULL, 'name 5')"));
    let query = format!("SELECT id, photo, name FROM {table} ORDER BY id");
    let rows = read_binary(server, &query).unwrap();
    assert_eq!(rows.len(), 6);
    for (id, row) in rows.iter().enumerate() {
        let photo = photos.get(id).copied().unwrap_or_default();
        assert!(row[1] == photo, "photo {id}: {} digits, {:.20}…", row[1].len(), row[1]);
        assert_eq!((&row[0], &row[2]), (&id.to_string(), &format!("name {id}")));
    }
    let error = read(server, &query).unwrap_err();
    assert!(matches!(&error, SourceError::Binary { column, .. } if column == "photo"), "{error:?}");
}

/// The time limit of a statement holds.
pub fn timeout(server: &dyn Server) {
    let mut connection = server.connection();
    connection.timeout = Duration::from_millis(300);
    let started = std::time::Instant::now();
    let error = read_with(&connection, &server.slow_query()).unwrap_err();
    assert!(matches!(error, SourceError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
}

/// A wrong password is a refused login, and the password stands nowhere.
pub fn wrong_password(server: &dyn Server) {
    let mut connection = server.connection();
    connection.password = Some("canary-4711".into());
    let error = read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(error, SourceError::LoginRefused { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
}

/// A database that is not there.
pub fn missing_database(server: &dyn Server) {
    let mut connection = server.connection();
    connection.database = "no_such_database".into();
    let error = read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(error, SourceError::DatabaseMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_database"), "{error}");
}

/// A port where nothing listens, and a host that does not exist.
pub fn unreachable(server: &dyn Server) {
    let mut connection = server.connection();
    connection.socket = None;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    connection.port = Some(listener.local_addr().unwrap().port());
    drop(listener);
    let error = read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    connection.host = "sis.invalid".into();
    let error = read_with(&connection, "SELECT 1 AS a").unwrap_err();
    assert!(matches!(&error, SourceError::NameNotResolved { host, .. } if host == "sis.invalid"), "{error:?}");
}

/// A new table of `rows` rows with `id` and `name`.
pub fn filled(server: &dyn Server, rows: usize) -> String {
    let table = table();
    server.execute(&format!("CREATE TABLE {table} (id int, name varchar(40))"));
    let values: Vec<String> = (0..rows).map(|row| format!("({row}, 'name {row}')")).collect();
    for some in values.chunks(1000) {
        server.execute(&format!("INSERT INTO {table} (id, name) VALUES {}", some.join(", ")));
    }
    table
}

fn table() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// All rows of a query as text.
pub fn read(server: &dyn Server, query: &str) -> Result<Vec<Vec<String>>, SourceError> {
    read_with(&server.connection(), query)
}

/// As [`read`], with binary columns as hexadecimal text.
pub fn read_binary(server: &dyn Server, query: &str) -> Result<Vec<Vec<String>>, SourceError> {
    read_binary_with(&server.connection(), query)
}

/// As [`read_binary`], with a connection of one's own.
pub fn read_binary_with(connection: &Connection, query: &str) -> Result<Vec<Vec<String>>, SourceError> {
    runtime().block_on(async {
        let mut session = source::connect(connection).await?;
        let (mut sink, stream) = channel();
        sink.take_binary(true);
        let rows = rows_into(&mut *session, query, sink, stream).await;
        session.close().await;
        rows
    })
}

/// As [`read`], with a connection of one's own.
pub fn read_with(connection: &Connection, query: &str) -> Result<Vec<Vec<String>>, SourceError> {
    runtime().block_on(async {
        let mut session = source::connect(connection).await?;
        let rows = rows_of(&mut *session, query).await;
        session.close().await;
        rows
    })
}

type Reader<'r> = &'r dyn Fn(&mut dyn source::Source, &str) -> Result<Vec<Vec<String>>, SourceError>;

fn with_session<T>(server: &dyn Server, work: impl FnOnce(&mut dyn source::Source, Reader<'_>) -> T) -> T {
    let runtime = runtime();
    let mut session = runtime.block_on(source::connect(&server.connection())).expect("a session");
    let result = work(&mut *session, &|session, query| runtime.block_on(rows_of(session, query)));
    runtime.block_on(session.close());
    result
}

async fn rows_of(session: &mut dyn source::Source, query: &str) -> Result<Vec<Vec<String>>, SourceError> {
    let (sink, stream) = channel();
    rows_into(session, query, sink, stream).await
}

async fn rows_into(
    session: &mut dyn source::Source,
    query: &str,
    mut sink: RowSink,
    stream: RowStream,
) -> Result<Vec<Vec<String>>, SourceError> {
    let reader = std::thread::spawn(move || {
        let (mut rows, mut ended) = (Vec::new(), false);
        while let Some(message) = stream.next() {
            match message {
                Message::Columns(_) => {}
                Message::Rows(block) => {
                    rows.extend(
                        block
                            .rows()
                            .map(|row| (0..row.len()).map(|cell| row.cell(cell).to_owned()).collect::<Vec<_>>()),
                    );
                    stream.give_back(block);
                }
                Message::End => ended = true,
            }
        }
        (rows, ended)
    });
    let result = session.extract(query, &mut sink).await;
    drop(sink);
    let (rows, ended) = reader.join().expect("the reader ends");
    assert_eq!(result.is_ok(), ended, "an extract ends well if and only if it says so");
    result.map(|()| rows)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}
