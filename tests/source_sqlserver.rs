//! SQL Server as a source, over the stand-in of `support/tds` and, where `SISPUSH_TEST_MSSQL` names one, a real server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code: helpers outside the test functions too")]

#[allow(dead_code, unreachable_pub, clippy::panic, reason = "the other engines' tests share it")]
#[path = "support/source_suite.rs"]
mod suite;
#[path = "support/tds/mod.rs"]
mod tds;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sispush::secret::Secret;
use sispush::source::row::{Column, Message, RowStream, channel};
use sispush::source::{Connection, Encryption, Source, SourceError, connect};
use tds::tokens::{self, Type};
use tds::{DATABASE, Options, PASSWORD, Step, TdsServer, USER};

/// Makes a test of every case of the shared suite.
macro_rules! shared_suite {
    ($($case:ident),* $(,)?) => {
        mod shared {
            $(#[test]
            fn $case() {
                super::suite::$case(&super::tds::TdsServer::start());
            })*
        }
    };
}

shared_suite!(
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
);

impl suite::Server for TdsServer {
    fn connection(&self) -> Connection {
        connection(self)
    }

    fn execute(&self, sql: &str) {
        Self::execute(self, sql);
    }

    fn scalar(&self, sql: &str) -> String {
        self.value(sql)
    }

    fn type_of(&self, kind: suite::Kind) -> Option<&'static str> {
        Some(suite::sql_server_type(kind))
    }

    fn slow_query(&self) -> String {
        "WAITFOR DELAY '01:00:00'; SELECT 1 AS a".to_owned()
    }
}

fn connection(server: &TdsServer) -> Connection {
    Connection::parse(&server.connection_string()).unwrap()
}

/// Columns and rows, as the mapping would get them.
type Table = (Vec<Column>, Vec<Vec<String>>);

/// Everything that comes, and whether it came with its end.
fn collect(stream: &RowStream) -> (Table, bool) {
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(described) => columns = described,
            Message::Rows(block) => {
                rows.extend(
                    block
                        .rows()
                        .map(|row| (0..row.len()).map(|column| row.cell(column).to_owned()).collect::<Vec<_>>()),
                );
                stream.give_back(block);
            }
            Message::End => return ((columns, rows), true),
        }
    }
    ((columns, rows), false)
}

/// Runs one extract in a session.
async fn extract(session: &mut dyn Source, query: &str) -> Result<Table, SourceError> {
    let (mut sink, stream) = channel();
    let reader = std::thread::spawn(move || collect(&stream));
    let outcome = session.extract(query, &mut sink).await;
    drop(sink);
    let (table, ended) = reader.join().unwrap();
    assert_eq!(outcome.is_ok(), ended, "an end without success, or success without an end");
    outcome.map(|()| table)
}

/// Runs one query in a session of its own.
async fn read(connection: &Connection, query: &str) -> Result<Table, SourceError> {
    let mut session = connect(connection).await?;
    let outcome = extract(&mut *session, query).await;
    session.close().await;
    outcome
}

async fn failure(connection: &Connection, query: &str) -> SourceError {
    read(connection, query).await.unwrap_err()
}

/// The error with its hint, as people see it.
fn said(error: &SourceError) -> String {
    let text = format!("{error}\n{}", error.hint().unwrap_or_default());
    assert!(!text.contains(PASSWORD));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type() {
    let server = TdsServer::start();
    let types = [
        ("bit", "1", "Y"),
        ("bit", "0", "N"),
        ("tinyint", "255", "255"),
        ("smallint", "-32768", "-32768"),
        ("int", "-2147483648", "-2147483648"),
        ("bigint", "9223372036854775807", "9223372036854775807"),
        ("decimal(18,4)", "'-12.5'", "-12.5000"),
        ("numeric(9,0)", "'123456789'", "123456789"),
        ("decimal(38,10)", "'1234567890123456789012345678.0123456789'", "1234567890123456789012345678.0123456789"),
        ("decimal(38,38)", "'0.00000000000000000000000000000000000001'", "0.00000000000000000000000000000000000001"),
        ("money", "'-12345678.9'", "-12345678.9000"),
        ("money", "'549755813887.9999'", "549755813887.9999"),
        ("smallmoney", "'-214748.3648'", "-214748.3648"),
        ("float", "0.1", "0.1"),
        ("float", "1e300", "1e300"),
        ("real", "'0.1'", "0.1"),
        ("char(5)", "'ab'", "ab   "),
        ("varchar(20)", "'Zoë €'", "Zoë €"),
        ("varchar(max)", "'Zoë'", "Zoë"),
        ("nchar(4)", "'né'", "né  "),
        ("nvarchar(20)", "'Nguyễn 🦉'", "Nguyễn 🦉"),
        ("nvarchar(max)", "'Ōkawa'", "Ōkawa"),
        ("nvarchar(10)", "''", ""),
        ("text", "'Müller'", "Müller"),
        ("ntext", "'Łukasz'", "Łukasz"),
        ("xml", "'<a b=\"1\">é</a>'", "<a b=\"1\">é</a>"),
        ("date", "'2026-02-28'", "2026-02-28"),
        ("date", "'0001-01-01'", "0001-01-01"),
        ("time(7)", "'09:05:00.1234567'", "09:05:00.1234567"),
        ("time(0)", "'23:59:59'", "23:59:59"),
        ("datetime", "'2026-02-28 10:00:00'", "2026-02-28T10:00:00"),
        ("datetime", "'1753-01-01 23:59:59.997'", "1753-01-01T23:59:59.997"),
        ("smalldatetime", "'2026-02-28 10:05:00'", "2026-02-28T10:05:00"),
        ("datetime2(3)", "'2026-02-28 10:00:00.250'", "2026-02-28T10:00:00.25"),
        ("datetime2(7)", "'9999-12-31 23:59:59.9999999'", "9999-12-31T23:59:59.9999999"),
        ("datetimeoffset(7)", "'2026-02-28T10:00:00+02:00'", "2026-02-28T10:00:00+02:00"),
        ("datetimeoffset(3)", "'2026-01-01T00:30:00.5-09:30'", "2026-01-01T00:30:00.5-09:30"),
        ("uniqueidentifier", "'0E984725-C51C-4BF4-9960-E1C80E27ABA0'", "0e984725-c51c-4bf4-9960-e1c80e27aba0"),
        ("sql_variant", "42", "42"),
        ("sql_variant", "'né'", "né"),
    ];
    let columns: Vec<String> = types.iter().enumerate().map(|(index, (name, ..))| format!("c{index} {name}")).collect();
    let values: Vec<&str> = types.iter().map(|(_, value, _)| *value).collect();
    let nulls = vec!["NULL"; types.len()].join(", ");
    server.execute(&format!(
        "CREATE TABLE t ({}); INSERT INTO t VALUES ({}), ({nulls})",
        columns.join(", "),
        values.join(", ")
    ));
    let (described, rows) = read(&connection(&server), "SELECT * FROM t").await.unwrap();
    for (index, (name, _, expected)) in types.iter().enumerate() {
        assert_eq!(rows[0][index], *expected, "{name}");
        assert_eq!(rows[1][index], "", "{name}: NULL");
        assert_eq!(described[index].name, format!("c{index}"));
        let bare = name.split('(').next().unwrap();
        // The protocol gives `MONEYN` and `DATETIMEN` with a length that the driver does not pass on.
        let told = bare.trim_start_matches("small");
        assert!(
            described[index].type_name == bare || described[index].type_name == told || bare == "numeric",
            "{name}"
        );
    }
    assert_eq!(rows.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_and_many_rows() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (id int, name nvarchar(50)); CREATE TABLE empty (id int)");
    server.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO t SELECT i, 'Åsa ' || i FROM n",
    );
    let mut session = connect(&connection(&server)).await.unwrap();
    let (columns, rows) = extract(&mut *session, "SELECT id FROM empty").await.unwrap();
    assert_eq!((columns[0].name.as_str(), columns[0].type_name.as_str(), rows.len()), ("id", "int", 0));
    let (_, rows) = extract(&mut *session, "SELECT id, name FROM t ORDER BY id").await.unwrap();
    assert_eq!(rows.len(), 50_000);
    assert!(
        rows.iter().zip(1..).all(|(row, number)| row[0] == number.to_string() && row[1] == format!("Åsa {number}"))
    );
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_cell_comes_whole() {
    let server = TdsServer::start();
    server.execute(
        "CREATE TABLE t (a nvarchar(max), b int); INSERT INTO t SELECT replace(hex(zeroblob(2000000)), '0', 'é'), 7",
    );
    let (_, rows) = read(&connection(&server), "SELECT a, b FROM t").await.unwrap();
    assert_eq!(rows, [["é".repeat(4_000_000), "7".to_owned()]]);
}

/// `image`, and binary in a `sql_variant`, as hexadecimal text where it is taken.
#[test]
fn old_pictures_come_whole() {
    let server = TdsServer::start();
    let long = "ffd800".repeat(700_000);
    server.execute("CREATE TABLE t (id int, a image, b binary(3), c rowversion, d sql_variant)");
    server.execute(&format!("INSERT INTO t VALUES (1, x'{long}', x'ff0001', x'00000000000007d0', x'ff')"));
    server.execute("INSERT INTO t VALUES (2, NULL, NULL, NULL, 'text')");
    let rows = suite::read_binary(&server, "SELECT a, b, c, d FROM t ORDER BY id").unwrap();
    assert!(rows[0][0] == long, "{} digits", rows[0][0].len());
    assert_eq!(rows[0][1..], ["ff0001", "00000000000007d0", "ff"]);
    assert_eq!(rows[1], ["", "", "", "text"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_told_what_it_is_for() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int)");
    let mut session = connect(&connection(&server)).await.unwrap();
    extract(&mut *session, "SELECT a FROM t").await.unwrap();
    extract(&mut *session, "SELECT a AS b FROM t").await.unwrap();
    session.close().await;
    assert_eq!(server.logins(), [("sispush".to_owned(), true)]);
    insta::assert_snapshot!(server.batches().join("\n"), @r"
    SET ARITHABORT ON; SET NOCOUNT ON; SET IMPLICIT_TRANSACTIONS OFF; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT 300000
    SELECT CAST(snapshot_isolation_state AS int) FROM sys.databases WHERE name = DB_NAME()
    SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION
    SELECT a FROM t
    SELECT @@TRANCOUNT
    SELECT a AS b FROM t
    SELECT @@TRANCOUNT
    IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn extracts_agree_and_without_snapshots_too() {
    for snapshots in [true, false] {
        let server = TdsServer::start_with(Options { snapshots, ..Options::default() });
        server.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
        let mut session = connect(&connection(&server)).await.unwrap();
        let first = extract(&mut *session, "SELECT a FROM t").await.unwrap();
        server.execute("INSERT INTO t VALUES (2)");
        let second = extract(&mut *session, "SELECT a FROM t").await.unwrap();
        session.close().await;
        assert_eq!(first, second);
        let level = if snapshots { "SNAPSHOT" } else { "READ COMMITTED" };
        assert!(
            server.batches().iter().any(|batch| batch.contains(&format!("ISOLATION LEVEL {level}; BEGIN TRANSACTION")))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_snapshots_behind_one_with() {
    let server = TdsServer::scripted(move |sql| {
        // The first time the other database refuses; the stand-in knows the level only by what was said before.
        static TRIES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        (sql.contains("other") && TRIES.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0).then(|| {
            let described = tokens::columns(&[("a", Type::Int(4))]);
            vec![Step::Send([described, tokens::failed(3952, 16, 1, "Snapshot isolation transaction failed")].concat())]
        })
    });
    server.execute("CREATE TABLE other (a int); INSERT INTO other VALUES (5)");
    let (_, rows) = read(&connection(&server), "SELECT a FROM other").await.unwrap();
    assert_eq!(rows, [["5"]]);
    assert!(server.batches().iter().any(|batch| batch.contains("READ COMMITTED; BEGIN TRANSACTION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_writes_is_refused_and_the_data_stay() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    for query in ["DELETE FROM t", "SELECT a FROM t; UPDATE t SET a = 2", "SELECT a FROM t\nCOMMIT\nDROP TABLE t"] {
        let error = failure(&connection(&server), query).await;
        assert!(matches!(error, SourceError::NotARead { line: Some(_), .. }), "{error}");
    }
    assert!(!server.batches().iter().any(|batch| batch.contains("FROM t")), "refused before it is sent");
    assert_eq!(server.value("SELECT group_concat(a) FROM t"), "1");
}

/// A PRAGMA writes in SQLite alone, and so stands for a write that the guard does not know, such as a function of the
/// server with side effects.
#[tokio::test(flavor = "multi_thread")]
async fn what_gets_past_the_guard_is_rolled_back() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int)");
    let mut session = connect(&connection(&server)).await.unwrap();
    extract(&mut *session, "SELECT a FROM t; PRAGMA user_version = 7").await.unwrap();
    let (_, rows) = extract(&mut *session, "SELECT user_version FROM pragma_user_version").await.unwrap();
    assert_eq!(rows, [["7"]], "it did write");
    session.close().await;
    assert_eq!(server.value("SELECT user_version FROM pragma_user_version"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_ended_by_itself_is_an_error() {
    let server = TdsServer::scripted(|sql| {
        (sql == "SELECT @@TRANCOUNT").then(|| {
            let mut answer = tokens::columns(&[("", Type::Int(4))]);
            answer.extend([tokens::ROW, 4, 0, 0, 0, 0]);
            answer.extend(tokens::done(tokens::DONE_COUNT, 1));
            vec![Step::Send(answer)]
        })
    });
    server.execute("CREATE TABLE t (a int)");
    let error = failure(&connection(&server), "SELECT a FROM t").await;
    assert!(matches!(error, SourceError::NotARead { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_and_database() {
    let server = TdsServer::start();
    let mut wrong = connection(&server);
    wrong.password = Some(Secret::from("hush-hush"));
    let error = failure(&wrong, "SELECT 1").await;
    assert!(matches!(error, SourceError::LoginRefused { .. }));
    let mut missing = connection(&server);
    missing.database = "Nowhere".to_owned();
    let other = failure(&missing, "SELECT 1").await;
    assert!(matches!(&other, SourceError::DatabaseMissing { database, .. } if database == "Nowhere"));
    assert!(!said(&error).contains("hush-hush"));
    insta::assert_snapshot!([said(&error), said(&other)].join("\n\n"), @r#"
    login refused: Login failed for user 'svc_library' (error 18456)
    check `source.username` and `source.password` of the mapping, and that the login may open the database

    database `Nowhere` does not exist: Cannot open database "Nowhere" requested by the login. The login failed (error 4060)
    check the database in `source.url`
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_fail() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int, photo varbinary(max), v sql_variant, m money)");
    server.execute("INSERT INTO t VALUES (1, NULL, x'00', '922337203685477.5807')");
    let mut errors = Vec::new();
    for query in [
        "SELECT a\nFROM vStudents",
        "SELECT\n  a,\n  surname\nFROM t",
        "SELECT a\nFORM t",
        "SELECT a, a AS A FROM t",
        "SELECT photo FROM t",
        "SELECT a, v FROM t",
        "SELECT m FROM t",
        "SELECT a FROM t; SELECT a FROM t",
        "SET NOCOUNT ON",
    ] {
        errors.push(said(&failure(&connection(&server), query).await));
    }
    insta::assert_snapshot!(errors.join("\n\n"), @r"
    the query failed in line 2: Invalid object name 'vStudents' (error 208)
    try the query with the database's own client and this login; what it says there it says here

    the query failed in line 3: Invalid column name 'surname' (error 207)
    try the query with the database's own client and this login; what it says there it says here

    the query failed in line 2: Incorrect syntax near 't' (error 102)
    try the query with the database's own client and this login; what it says there it says here

    the query gives more than one column named `a`
    give each column its own name with AS

    column `photo` is binary (`varbinary`)
    leave the column out, or convert it to text in the query

    column `v` is binary (`sql_variant`)
    leave the column out, or convert it to text in the query

    column `m`, row 1: the `money` is too large to be read exactly
    write `CAST(m AS decimal(19,4)) AS m` in the query

    the query is not a plain read: it gives more than one result
    sispush never writes to the SIS: give one SELECT, without statements that change, execute or commit

    the query gives no columns
    a query must give a result: one SELECT
    ");
}

/// What a real server says, by number.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server() {
    let answers = [
        (229, 14, "The SELECT permission was denied on the object 'vStaff', database 'Synergetic', schema 'dbo'."),
        (245, 16, "Conversion failed when converting the varchar value 'Smith' to data type int."),
        (1205, 13, "Transaction (Process ID 52) was deadlocked on lock resources with another process."),
        (1222, 16, "Lock request time out period exceeded."),
        (596, 21, "Cannot continue the execution because the session is in the kill state."),
    ];
    let mut errors = Vec::new();
    for (number, class, message) in answers {
        let server = TdsServer::scripted(move |sql| {
            let row = [tokens::columns(&[("a", Type::Int(4))]), vec![tokens::ROW, 4, 7, 0, 0, 0]].concat();
            sql.contains("FROM x").then(|| vec![Step::Send([row, tokens::failed(number, class, 2, message)].concat())])
        });
        let error = failure(&connection(&server), "SELECT a\nFROM x").await;
        errors.push(format!("{}\ntransient: {}", said(&error), error.is_transient()));
    }
    insta::assert_snapshot!(errors.join("\n\n"), @r"
    permission denied: The SELECT permission was denied on the object 'vStaff', database 'Synergetic', schema 'dbo' (error 229)
    ask the database's administrator to grant SELECT on it to this login
    transient: false

    the query failed in line 2: Conversion failed when converting the varchar value '…' to data type int (error 245)
    try the query with the database's own client and this login; what it says there it says here
    transient: false

    the database was busy: Transaction (Process ID 52) was deadlocked on lock resources with another process (error 1205)
    other programs hold what the query reads; run it at a quieter time
    transient: true

    the database was busy: Lock request time out period exceeded (error 1222)
    other programs hold what the query reads; run it at a quieter time
    transient: true

    the connection was lost after 1 rows: Cannot continue the execution because the session is in the kill state (error 596)
    nothing was sent; run again, and look into the server's log if it happens again
    transient: true
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_outside_its_code_page() {
    for (collation, bytes) in [(None, [0xFF, b'a']), (Some(tokens::CP850), [b'a', b'b'])] {
        let server = TdsServer::scripted(move |sql| {
            let column = match collation {
                None => Type::Char { fixed: false, length: Some(9), collation: [0x11, 0x04, 0xD0, 0x00, 0x00] },
                Some(collation) => Type::Char { fixed: false, length: Some(9), collation },
            };
            let mut answer = tokens::columns(&[("Id", Type::Int(4)), ("Surname", column)]);
            for surname in [[b'o', b'k'], bytes] {
                answer.extend([tokens::ROW, 4, 7, 0, 0, 0, 2, 0]);
                answer.extend(surname);
            }
            answer.extend(tokens::done(tokens::DONE_COUNT, 2));
            sql.contains("FROM x").then(|| vec![Step::Send(answer)])
        });
        let error = failure(&connection(&server), "SELECT Id, Surname FROM x").await;
        let SourceError::Value { column, row, .. } = &error else { panic!("{error}") };
        assert_eq!((&**column, *row), ("Surname", if collation.is_none() { 2 } else { 1 }));
        assert!(said(&error).contains("CAST(Surname AS nvarchar(4000)) AS Surname"), "{}", said(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_in_mid_stream() {
    let server = TdsServer::scripted(|sql| {
        let mut answer = tokens::columns(&[("a", Type::Int(4))]);
        for _ in 0..1000 {
            answer.extend([tokens::ROW, 4, 7, 0, 0, 0]);
        }
        answer.extend([tokens::ROW, 4, 7]);
        sql.contains("FROM x").then(|| vec![Step::Send(answer), Step::Cut])
    });
    let mut session = connect(&connection(&server)).await.unwrap();
    let error = extract(&mut *session, "SELECT a FROM x").await.unwrap_err();
    assert!(matches!(error, SourceError::ConnectionLost { rows: 1000, .. }), "{error}");
    assert!(error.is_transient());
    let again = extract(&mut *session, "SELECT a FROM x").await.unwrap_err();
    assert!(again.to_string().contains("ended with an earlier error"), "{again}");
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long() {
    let server = TdsServer::scripted(|sql| {
        let answer = [tokens::columns(&[("a", Type::Int(4))]), vec![tokens::ROW, 4, 7, 0, 0, 0]].concat();
        sql.contains("FROM x").then(|| vec![Step::Send(answer), Step::Hang])
    });
    let mut connection = connection(&server);
    connection.timeout = Duration::from_millis(300);
    let start = Instant::now();
    let error = failure(&connection, "SELECT a FROM x").await;
    assert!(matches!(error, SourceError::Timeout { limit } if limit == connection.timeout), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(
        !server.batches().iter().any(|batch| batch.contains("ROLLBACK")),
        "the connection is dropped, not used again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_ends_well() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a nvarchar(200))");
    server.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT hex(zeroblob(90)) FROM n");
    let mut session = connect(&connection(&server)).await.unwrap();
    let (mut sink, stream) = channel();
    let reader = std::thread::spawn(move || {
        let columns = matches!(stream.next(), Some(Message::Columns(_)));
        let rows = matches!(stream.next(), Some(Message::Rows(_)));
        columns && rows
    });
    session.extract("SELECT a FROM t", &mut sink).await.unwrap();
    assert!(reader.join().unwrap());
    session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_level_of_encryption() {
    use tds::Encryption as Offered;
    for (offered, asked, works) in [
        (Offered::Strict, Encryption::Strict, true),
        (Offered::Required, Encryption::Required, true),
        (Offered::Required, Encryption::Login, true),
        (Offered::Required, Encryption::Preferred, true),
        (Offered::Required, Encryption::Off, true),
        (Offered::Login, Encryption::Required, true),
        (Offered::Login, Encryption::Login, true),
        (Offered::Login, Encryption::Preferred, true),
        (Offered::Login, Encryption::Off, true),
        (Offered::NotSupported, Encryption::Required, false),
        (Offered::NotSupported, Encryption::Strict, false),
        (Offered::NotSupported, Encryption::Preferred, true),
        (Offered::NotSupported, Encryption::Off, true),
        (Offered::Required, Encryption::Strict, false),
    ] {
        let server = TdsServer::start_with(Options { encryption: offered, ..Options::default() });
        let mut connection = connection(&server);
        "localhost".clone_into(&mut connection.host);
        connection.encryption = asked;
        if offered != Offered::NotSupported {
            connection.ca_file = Some(server.ca_file());
        }
        server.execute("CREATE TABLE t (a nvarchar(10)); INSERT INTO t VALUES ('é')");
        match read(&connection, "SELECT a FROM t").await {
            Ok((_, rows)) => assert!(works && rows == [["é"]], "{offered:?} {asked:?}"),
            Err(error) => {
                assert!(!works, "{offered:?} {asked:?}: {error}");
                assert!(matches!(error, SourceError::Tls { .. }), "{offered:?} {asked:?}: {error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for() {
    for offered in [tds::Encryption::Strict, tds::Encryption::Required] {
        let server = TdsServer::start_with(Options { encryption: offered, ..Options::default() });
        let mut connection = connection(&server);
        connection.encryption =
            if offered == tds::Encryption::Strict { Encryption::Strict } else { Encryption::Required };
        let error = failure(&connection, "SELECT 1").await;
        assert!(matches!(error, SourceError::Tls { .. }), "{error}");
        assert!(
            said(&error).contains("UnknownIssuer") && said(&error).contains("signed by `sispush test authority`"),
            "{}",
            said(&error)
        );
        assert!(server.logins().is_empty());
        connection.trust_server_certificate = true;
        server.execute("CREATE TABLE t (a int)");
        read(&connection, "SELECT a FROM t").await.unwrap();
        // Both at once must not panic in the driver.
        connection.ca_file = Some(server.ca_file());
        read(&connection, "SELECT a FROM t").await.unwrap();
        connection.trust_server_certificate = false;
        connection.ca_file = Some("nowhere.pem".into());
        assert!(failure(&connection, "SELECT 1").await.to_string().contains("`nowhere.pem`"));
    }
}

/// Linux reaches the IPv4 listener by this address, which the certificate does not name.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name() {
    let server = TdsServer::start_with(Options { encryption: tds::Encryption::Required, ..Options::default() });
    let mut connection = connection(&server);
    "::ffff:127.0.0.1".clone_into(&mut connection.host);
    connection.encryption = Encryption::Required;
    connection.ca_file = Some(server.ca_file());
    let error = failure(&connection, "SELECT 1").await;
    assert!(matches!(error, SourceError::Tls { issuer: None, .. }), "{error:?}");
    assert!(error.to_string().contains("write the host in `source.url` as the certificate names it"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_on_to_another() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
    let gateway = TdsServer::start_with(Options { route: Some(server.address()), ..Options::default() });
    let (_, rows) = read(&connection(&gateway), "SELECT a FROM t").await.unwrap();
    assert_eq!(rows, [["7"]]);
    assert_eq!((gateway.batches().len(), server.logins().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_where_no_server_is() {
    let port = {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let closed = Connection::parse(&format!("mssql://127.0.0.1:{port}/{DATABASE}")).unwrap();
    let error = failure(&closed, "SELECT 1").await;
    assert!(
        matches!(&error, SourceError::Unreachable { address, .. } if *address == format!("127.0.0.1:{port}")),
        "{error}"
    );
    let nowhere = Connection::parse("mssql://no-such-host.invalid/db").unwrap();
    let error = failure(&nowhere, "SELECT 1").await;
    assert!(matches!(error, SourceError::NameNotResolved { .. }), "{error}");
    let instance = Connection::parse(r"Server=localhost\NOSUCH;Database=db").unwrap();
    let error = failure(&instance, "SELECT 1").await;
    assert!(matches!(error, SourceError::InstanceUnknown { .. }), "{error}");
}

#[cfg(not(windows))]
#[tokio::test]
async fn a_windows_login_elsewhere_is_said_to_be_impossible() {
    let connection = Connection::parse("Server=localhost,1;Database=db;Integrated Security=SSPI").unwrap();
    let error = failure(&connection, "SELECT 1").await;
    assert!(matches!(error, SourceError::Unsupported { .. }));
    insta::assert_snapshot!(said(&error), @r"
    a Windows login works only where sispush itself runs on Windows
    run sispush on a Windows server of the domain, or make a SQL login and give `username` and `password`
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_a_password_of_every_kind_of_character() {
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let password = PASSWORD.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    let url = format!("mssql://{USER}:{password}@127.0.0.1:{}/{DATABASE}?instance=IGNORED", server.port());
    let (_, rows) = read(&Connection::parse(&url).unwrap(), "SELECT a FROM t").await.unwrap();
    assert_eq!(rows, [["1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_extract_drops_the_connection() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let seen = Arc::clone(&asked);
    let server = TdsServer::scripted(move |sql| {
        sql.contains("FROM x").then(|| {
            seen.notify_one();
            vec![Step::Hang]
        })
    });
    let mut session = connect(&connection(&server)).await.unwrap();
    let (mut sink, _stream) = channel();
    tokio::select! {
        outcome = session.extract("SELECT a FROM x", &mut sink) => panic!("{outcome:?}"),
        () = asked.notified() => {}
    }
    session.close().await;
    while server.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!server.batches().iter().any(|batch| batch.contains("ROLLBACK")));
}

#[expect(clippy::disallowed_methods, reason = "a test, not the program")]
fn real_server() -> String {
    std::env::var("SISPUSH_TEST_MSSQL").expect("SISPUSH_TEST_MSSQL holds an ADO.NET string of a SQL Server for tests")
}

/// The workflow that has such a server runs it with `--include-ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a SQL Server, named by SISPUSH_TEST_MSSQL"]
async fn a_real_server() {
    let connection = Connection::parse(&real_server()).unwrap();
    let query = "
        SELECT CAST(1 AS bit) AS c0, CAST(255 AS tinyint) AS c1, CAST(-32768 AS smallint) AS c2, CAST(-2147483648 AS int) AS c3,
            CAST(9223372036854775807 AS bigint) AS c4, CAST(-12.5 AS decimal(18,4)) AS c5,
            CAST('1234567890123456789012345678.0123456789' AS decimal(38,10)) AS c6, CAST(-12345678.9 AS money) AS c7,
            CAST(-214748.3648 AS smallmoney) AS c8, CAST(0.1 AS float) AS c9, CAST(0.1 AS real) AS c10, CAST('ab' AS char(5)) AS c11,
            CAST(N'Zoë €' COLLATE Latin1_General_CI_AS AS varchar(20)) AS c12, CAST(N'Nguyễn' AS nvarchar(max)) AS c13,
            CAST(N'Müller' AS ntext) AS c14, CAST(N'<a>é</a>' AS xml) AS c15, CAST('2026-02-28' AS date) AS c16,
            CAST('09:05:00.1234567' AS time(7)) AS c17, CAST('2026-02-28T10:00:00.997' AS datetime) AS c18,
            CAST('2026-02-28T10:05:00' AS smalldatetime) AS c19, CAST('2026-02-28T10:00:00.25' AS datetime2(3)) AS c20,
            CAST('2026-02-28T10:00:00+02:00' AS datetimeoffset) AS c21,
            CAST('0E984725-C51C-4BF4-9960-E1C80E27ABA0' AS uniqueidentifier) AS c22, CAST(42 AS sql_variant) AS c23,
            CAST(NULL AS nvarchar(10)) AS c24,
            CAST(N'Nguyễn' COLLATE Latin1_General_100_CI_AS_SC_UTF8 AS varchar(20)) AS c25";
    let expected = [
        "Y",
        "255",
        "-32768",
        "-2147483648",
        "9223372036854775807",
        "-12.5000",
        "1234567890123456789012345678.0123456789",
        "-12345678.9000",
        "-214748.3648",
        "0.1",
        "0.1",
        "ab   ",
        "Zoë €",
        "Nguyễn",
        "Müller",
        "<a>é</a>",
        "2026-02-28",
        "09:05:00.1234567",
        "2026-02-28T10:00:00.997",
        "2026-02-28T10:05:00",
        "2026-02-28T10:00:00.25",
        "2026-02-28T10:00:00+02:00",
        "0e984725-c51c-4bf4-9960-e1c80e27aba0",
        "42",
        "",
        "Nguyễn",
    ];
    let mut session = connect(&connection).await.unwrap();
    let (_, rows) = extract(&mut *session, query).await.unwrap();
    assert_eq!(rows, [expected]);
    let (_, rows) = extract(&mut *session, "SELECT @@TRANCOUNT AS a, APP_NAME() AS b").await.unwrap();
    assert_eq!(rows, [["1", "sispush"]]);
    session.close().await;
    for (query, expected) in [
        ("SELECT a\nFROM sispush_no_such_table", "in line 2: Invalid object name 'sispush_no_such_table' (error 208)"),
        ("SELECT 1 AS a; SELECT 2 AS b", "more than one result"),
        ("SELECT 0x00 AS a", "binary"),
    ] {
        let error = failure(&connection, query).await;
        assert!(error.to_string().contains(expected), "{error}");
    }
    // What `doctor` asks. No real server has seen it yet but here.
    let facts = sispush::source::probe::facts(connection.engine).unwrap();
    for question in [facts.version, facts.encoding, facts.writing.unwrap(), facts.now.unwrap()] {
        let (columns, rows) = read(&connection, question).await.unwrap();
        assert!(columns.iter().all(|column| !column.name.is_empty()), "{question}");
        assert!(question.contains("IS_SRVROLEMEMBER") || !rows[0][0].is_empty(), "{question}");
    }
    let mut wrong = connection.clone();
    wrong.password = Some(Secret::from("wrong"));
    assert!(matches!(failure(&wrong, "SELECT 1 AS a").await, SourceError::LoginRefused { .. }));
}
