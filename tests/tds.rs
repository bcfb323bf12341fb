//! Holds the stand-in for SQL Server to the protocol by a client that we did not write: FreeTDS's `tsql`.

#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

#[path = "support/tds/mod.rs"]
mod tds;

use std::io::Write as _;
use std::process::{Command, Stdio};

use tds::{DATABASE, Options, PASSWORD, TdsServer, USER, program_or_ignore};

/// Runs batches and gives what `tsql` prints to stdout and stderr.
fn tsql(server: &TdsServer, password: &str, encryption: &str, batches: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("freetds.conf");
    let text = format!(
        "[standin]\nhost = 127.0.0.1\nport = {}\ntds version = 7.4\nencryption = {encryption}\nclient charset = UTF-8\n",
        server.port()
    );
    std::fs::write(&settings, text).unwrap();
    let mut child = Command::new("tsql")
        .args(["-S", "standin", "-U", USER, "-P", password, "-D", DATABASE, "-o", "q", "-t", "|"])
        .env("FREETDSCONF", &settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(batches.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn tsql_reads_every_type() {
    if !program_or_ignore("tsql", "tsql_reads_every_type") {
        return;
    }
    let server = TdsServer::start();
    server.execute(
        "CREATE TABLE t (a bit, b int, c bigint, d decimal(18,4), e decimal(38,10), f money, g smallmoney, h float, i char(5),
            j varchar(20), k nvarchar(20), l nvarchar(max), m text, n ntext, o date, p time(7), q datetime, r smalldatetime,
            s datetime2(3), t datetimeoffset(3), u uniqueidentifier, v varbinary(9), w xml, x varchar(max));
         INSERT INTO t VALUES (1, -7, 9223372036854775807, '-12.5', '1234567890123456789012345678.0123456789', '-12345678.9',
            '214748.3647', 0.5, 'ab', 'Zoë', 'Nguyễn', 'Ōkawa', 'Müller', 'Łukasz', '2026-02-28', '09:05:00.25',
            '2026-02-28 10:00:00', '2026-02-28 10:05:00', '2026-02-28 10:00:00.25', '2026-02-28T10:00:00+02:00',
            '0E984725-C51C-4BF4-9960-E1C80E27ABA0', x'00ff', '<a/>', 'é')",
    );
    let said = tsql(&server, PASSWORD, "off", "SELECT * FROM t\nGO\n");
    insta::assert_snapshot!(said.replace('|', "\n").trim(), @r"
    a
    b
    c
    d
    e
    f
    g
    h
    i
    j
    k
    l
    m
    n
    o
    p
    q
    r
    s
    t
    u
    v
    w
    x
    1
    -7
    9223372036854775807
    -12.5000
    1234567890123456789012345678.0123456789
    -12345678.9000
    214748.3647
    0.5
    ab   
    Zoë
    Nguyễn
    Ōkawa
    Müller
    Łukasz
    Feb 28 2026 12:00AM
    Jan  1 1900 09:05AM
    Feb 28 2026 10:00AM
    Feb 28 2026 10:05AM
    Feb 28 2026 10:00AM
    Feb 28 2026 10:00AM
    0E984725-C51C-4BF4-9960-E1C80E27ABA0
    00ff
    <a/>
    é
    ");
}

#[test]
fn tsql_sees_nulls_errors_and_transactions() {
    if !program_or_ignore("tsql", "tsql_sees_nulls_errors_and_transactions") {
        return;
    }
    let server = TdsServer::start();
    server.execute("CREATE TABLE t (a int, b nvarchar(9), c nvarchar(max), d text, e money, f datetime2(3))");
    let said = tsql(
        &server,
        PASSWORD,
        "off",
        "INSERT INTO t (a) VALUES (1)\nGO\nBEGIN TRANSACTION\nGO\nINSERT INTO t (a) VALUES (2)\nGO\nSELECT count(*) AS inside FROM t\nGO\n\
         ROLLBACK TRANSACTION\nGO\nSELECT * FROM t\nGO\nSELECT x\nFROM nowhere\nGO\nSELECT 1 AS one; SELECT 2 AS two\nGO\nROLLBACK\nGO\n",
    );
    insta::assert_snapshot!(said.trim(), @r#"
    inside
    2
    a|b|c|d|e|f
    1|NULL|NULL|NULL|NULL|NULL
    one
    1
    two
    2
    Msg 208 (severity 16, state 1) from STANDIN Line 2:
    	"Invalid object name 'nowhere'."
    Msg 3903 (severity 16, state 1) from STANDIN Line 1:
    	"The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."
    "#);
    assert_eq!(server.value("SELECT count(*) FROM t"), "1");
}

#[test]
fn tsql_logs_in_over_tls() {
    if !program_or_ignore("tsql", "tsql_logs_in_over_tls") {
        return;
    }
    for offered in [tds::Encryption::Required, tds::Encryption::Login] {
        for asked in ["require", "request"] {
            let server = TdsServer::start_with(Options { encryption: offered, ..Options::default() });
            server.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)");
            let said = tsql(&server, PASSWORD, asked, "SELECT a FROM t\nGO\n");
            assert!(said.contains('7'), "{offered:?} {asked}: {said}");
        }
    }
}

#[test]
fn tsql_is_refused_with_a_wrong_password() {
    if !program_or_ignore("tsql", "tsql_is_refused_with_a_wrong_password") {
        return;
    }
    let server = TdsServer::start();
    let said = tsql(&server, "wrong", "off", "SELECT 1\nGO\n");
    assert!(said.contains("Msg 18456") && server.logins().is_empty(), "{said}");
}
