//! `doctor`: each step between the SIS, this machine and Infiniti, whole and broken; and the file for a support request.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use insta::assert_snapshot;
use support::context::{PASSWORD, STUDENTS_QUERY, TestContext};
use support::network::{closed_port, filter, proxy};
use support::servers::{self, MariaDb, Postgres};
use tds::{Options, TdsServer};

/// Runs `doctor` with what differs from machine to machine replaced.
fn doctor(context: &TestContext, more: &[&str]) -> String {
    let said = context.run(&[&["doctor", "school.yaml"], more].concat());
    let mut text = said;
    for (pattern, replacement) in [
        (r#""seconds": [0-9.e-]+"#, r#""seconds": [TIME]"#),
        (r"room: [0-9.]+ [kMG]B free", "room: [ROOM] free"),
        (r"version: [0-9][^ ]*( \(Debian[^)]*\))?(, [^(]*)? \(", "version: [VERSION] ("),
        (r"port: \d+ is open", "port: [PORT] is open"),
        (r"caused by: failed to lookup.*", "caused by: [RESOLVER]"),
        (r"verification time \d+ .*ago\)", "[VERIFICATION]"),
        (r"valid until \d{4}-\d\d-\d\d", "valid until [DATE]"),
        (r"it ends in \d+ days", "it ends in [DAYS] days"),
        (r"process \d+ on `[^`]*`, since [^ ]+", "process [PID] on `[HOST]`, since [TIMESTAMP]"),
        (r"is 127\.0\.0\.1, ::1|is ::1, 127\.0\.0\.1", "is 127.0.0.1"),
        (r"is 180 min \d+ s behind", "is 180 min [S] s behind"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, replacement).into_owned();
    }
    text
}

const STUDENTS: &str =
    "CREATE TABLE students (login varchar(30), given varchar(30), family varchar(30), email varchar(60),
    year integer, barcode varchar(30), form varchar(30));
    INSERT INTO students VALUES ('ann', 'canary', 'canary', 'canary@school.example', 2030, '0001', '7A');";

#[test]
fn a_school_that_works() {
    let context = TestContext::with_sandbox(&[]);
    context.students(300).mapping("state: state.db\n");
    assert_snapshot!(doctor(&context, &[]));
    assert!(context.sandbox().requests().is_empty(), "something was posted");
    assert!(!context.path("state.db").exists(), "the state was made");
    let said = doctor(&context, &["--post-empty"]);
    assert!(said.contains("ok        credentials: `autoimport` may import"), "{said}");
    assert_eq!(context.sandbox().requests().len(), 1);
    assert!(context.sandbox().patrons().is_empty());
    context.run(&["push", "school.yaml"]);
    let said = doctor(&context, &[]);
    assert!(said.contains("ok        content: 300 patrons in `state.db`, version 3"), "{said}");
    assert!(said.contains("ok        outcomes: known of every patron"), "{said}");
}

#[test]
fn json() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: none\n");
    assert_snapshot!(doctor(&context, &["--format", "json"]).replace("3.54.1", "[VERSION]"));
}

#[test]
fn several_mappings_each_have_their_code() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: none\n");
    let good = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    std::fs::create_dir(context.path("schools")).unwrap();
    let query = "FROM students";
    context.write("schools/a.yaml", good.replace("version: 1", "version: 7"));
    context.write("schools/b.yaml", good.replace("sqlite:sis.db", "sqlite:../sis.db"));
    context.write("schools/c.yaml", good.replace("sqlite:sis.db", "sqlite:../sis.db").replace(query, "FROM pupils"));
    let output = context.output(&["doctor", "schools", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = (0..3).map(|index| found["mappings"][index]["exit_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [2, 0, 3]);
    assert_eq!(found["exit_code"], 3);
    assert_eq!(found["mappings"][1]["name"], "b");
}

#[test]
fn a_folder_of_csv_files_needs_no_login() {
    let context = TestContext::with_sandbox(&[]);
    std::fs::create_dir(context.path("drops")).unwrap();
    context.write("drops/students.csv", "login,given,family,email,year,barcode,form\nann,Ann,Lee,,2030,0001,7A\n");
    context.mapping_of("url: csv:drops", STUDENTS_QUERY, "state: none\n");
    let said = doctor(&context, &[]);
    assert!(said.contains("ok        login: none is needed"), "{said}");
    assert!(said.contains("ok        extract `students`: 7 columns, 1 row"), "{said}");
}

#[test]
fn wrong_credentials_of_infiniti() {
    let mut context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: none\n");
    context.unset_env("INFINITI_PASSWORD");
    context.set_env("INFINITI_PASSWORD", "canary-wrong");
    let said = doctor(&context, &["--post-empty"]);
    assert!(said.starts_with("exit code 4\n"), "{said}");
    assert!(said.contains("failed    credentials: Infiniti refused the credentials of `autoimport`"), "{said}");
}

#[test]
fn a_mapping_and_secrets_that_are_wrong() {
    let mut context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("stat: none\n");
    assert_snapshot!("mapping_wrong", doctor(&context, &[]));
    context.mapping("state: none\n");
    context.unset_env("INFINITI_PASSWORD");
    assert_snapshot!("secret_missing", doctor(&context, &[]));
}

#[test]
fn columns_rows_and_queries_that_are_wrong() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3);
    for (name, query) in [
        (
            "column_missing",
            "SELECT login, given, family, email, year, barcod, form FROM (SELECT *, barcode AS barcod FROM students)",
        ),
        ("no_rows", "SELECT login, given, family, email, year, barcode, form FROM students WHERE form = 'none'"),
        ("query_wrong", "SELECT login FROM pupils"),
    ] {
        context.mapping_of("url: sqlite:sis.db", query, "state: none\n");
        assert_snapshot!(name, doctor(&context, &[]));
    }
}

/// Rows are counted for a second, no longer; the next extract has its turn all the same.
#[test]
fn an_extract_without_end_is_stopped() {
    let context = TestContext::with_sandbox(&[]);
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT 'a' || i AS login, 'a' AS given, 'a' AS family, '' AS email, 2030 AS year, '' AS barcode, '' AS form FROM n";
    context.students(3).mapping_of("url: sqlite:sis.db", endless, "state: none\n");
    let started = std::time::Instant::now();
    let said = doctor(&context, &[]);
    assert!(started.elapsed().as_secs() < 9, "{said}");
    assert!(said.contains("rows in the first second, then stopped"), "{said}");
}

mod postgres {
    use super::*;

    fn school(server: &Postgres, database: &str, user: &str, password: &str) -> TestContext {
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", password);
        let url = format!("postgres://{user}@127.0.0.1:{}/{database}", server.port());
        context.mapping_of(&format!("url: {url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY, "state: none\n");
        context
    }

    #[test]
    fn roles_that_can_and_cannot_write() {
        let Some(server) = Postgres::get("doctor") else { return };
        server.create_database("doctor_roles");
        server.execute("doctor_roles", STUDENTS);
        server.execute(
            "doctor_roles",
            "DROP ROLE IF EXISTS doctor_reader; DROP ROLE IF EXISTS doctor_writer;
             CREATE ROLE doctor_reader LOGIN PASSWORD 'canary-reader'; CREATE ROLE doctor_writer LOGIN PASSWORD 'canary-writer';
             GRANT SELECT ON students TO doctor_reader, doctor_writer; GRANT UPDATE ON students TO doctor_writer;",
        );
        let reader = school(server, "doctor_roles", "doctor_reader", "canary-reader");
        assert_snapshot!("postgres_reader", doctor(&reader, &[]));
        let writer = doctor(&school(server, "doctor_roles", "doctor_writer", "canary-writer"), &[]);
        assert!(writer.starts_with("exit code 0\n"), "{writer}");
        assert!(writer.contains("warning   rights: the login can write: table public.students"), "{writer}");
        let all = doctor(&school(server, "doctor_roles", servers::USERNAME, servers::PASSWORD), &[]);
        assert!(all.contains("warning   rights: the login can write: superuser"), "{all}");
        server.execute(
            "doctor_roles",
            "DROP OWNED BY doctor_reader, doctor_writer; DROP ROLE doctor_reader, doctor_writer",
        );
    }

    #[test]
    fn a_wrong_password_is_tried_once() {
        let Some(server) = Postgres::get("doctor") else { return };
        let context = school(server, "postgres", servers::USERNAME, "canary-wrong");
        assert_snapshot!("postgres_wrong_password", doctor(&context, &[]));
    }

    #[test]
    fn certificates() {
        let Some(server) = Postgres::tls("doctor") else { return };
        server.create_database("doctor_tls");
        server.execute("doctor_tls", STUDENTS);
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", servers::PASSWORD);
        for (name, more) in [
            ("trusted", format!("ca_file: {}", server.ca_file().unwrap().display())),
            ("untrusted", "encryption: required".to_owned()),
            ("unverified", "encryption: required\ntrust_server_certificate: true".to_owned()),
        ] {
            let url = format!("postgres://{}@localhost:{}/doctor_tls", servers::USERNAME, server.port());
            let source = format!("url: {url}\npassword: ${{SIS_PASSWORD}}\nencryption: required\n{more}");
            let source = source.replace("encryption: required\nencryption: required", "encryption: required");
            context.mapping_of(&source, STUDENTS_QUERY, "state: none\n");
            assert_snapshot!(format!("postgres_{name}"), doctor(&context, &[]));
        }
    }
}

#[test]
fn mariadb_logins_that_can_and_cannot_write() {
    let Some(server) = MariaDb::get("doctor") else { return };
    server.create_database("doctor");
    server.execute("doctor", STUDENTS);
    server.execute(
        "doctor",
        "CREATE OR REPLACE USER doctor_reader@'%' IDENTIFIED BY 'canary-reader';
         CREATE OR REPLACE USER doctor_writer@'%' IDENTIFIED BY 'canary-writer';
         GRANT SELECT ON doctor.* TO doctor_reader@'%'; GRANT SELECT ON doctor.* TO doctor_writer@'%';
         GRANT INSERT, DELETE ON doctor.students TO doctor_writer@'%';",
    );
    let run = |user: &str, password: &str| {
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", password);
        let url = format!("mysql://{user}@127.0.0.1:{}/doctor", server.port());
        context.mapping_of(&format!("url: {url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY, "state: none\n");
        doctor(&context, &[])
    };
    assert_snapshot!("mariadb_reader", run("doctor_reader", "canary-reader"));
    let writer = run("doctor_writer", "canary-writer");
    let expected = "warning   rights: the login can write: DELETE on doctor.students, INSERT on doctor.students (";
    assert!(writer.contains(expected), "{writer}");
    let all = run(servers::USERNAME, servers::PASSWORD);
    assert!(all.contains("warning   rights: the login can write: DELETE everywhere"), "{all}");
    let wrong = run("doctor_reader", "canary-wrong");
    assert!(wrong.starts_with("exit code 3\n") && wrong.contains("failed    login: login refused"), "{wrong}");
}

mod sqlserver {
    use super::*;
    use crate::tds::Encryption;

    fn context(server: &TdsServer, host: &str, more: &str) -> TestContext {
        server.execute(STUDENTS);
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", tds::PASSWORD);
        let url = format!("mssql://{}@{host}:{}/{}", tds::USER, server.port(), tds::DATABASE);
        let source = format!("url: {url}\npassword: ${{SIS_PASSWORD}}{more}");
        context.mapping_of(&source, STUDENTS_QUERY, "state: none\n");
        context
    }

    #[test]
    fn one_login_without_rights_to_write() {
        let server = TdsServer::start();
        assert_snapshot!("sqlserver", doctor(&context(&server, "127.0.0.1", ""), &[]));
        assert_eq!(server.logins().len(), 1);
    }

    #[test]
    fn a_login_that_can_write_and_clocks_that_differ() {
        let server = TdsServer::start_with(Options {
            rights: &["server role sysadmin", "database role db_owner", "INSERT in the database", "table dbo.Pupils"],
            clock_ahead_s: -3 * 3600 - 30,
            ..Options::default()
        });
        assert_snapshot!("sqlserver_warnings", doctor(&context(&server, "127.0.0.1", ""), &[]));
    }

    #[test]
    fn certificates() {
        let days = |days: i64| {
            let date = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(days));
            Some((i32::from(date.year()), u8::try_from(date.month()).unwrap(), u8::try_from(date.day()).unwrap()))
        };
        for (name, until, trusted) in [
            ("trusted", None, true),
            ("untrusted", None, false),
            ("ends_soon", days(9), true),
            ("expired", days(-3), true),
        ] {
            let server = TdsServer::start_with(Options {
                encryption: Encryption::Required,
                certificate_until: until,
                ..Options::default()
            });
            let ca_file = format!("\nca_file: {}", server.ca_file().display());
            let more = format!("\nencryption: required{}", if trusted { ca_file.as_str() } else { "" });
            let context = context(&server, "localhost", &more);
            let said = doctor(&context, &[]);
            assert_snapshot!(format!("sqlserver_{name}"), said);
        }
    }

    #[test]
    fn a_wrong_password_is_tried_once() {
        let server = TdsServer::start();
        let mut context = context(&server, "127.0.0.1", "");
        context.unset_env("SIS_PASSWORD");
        context.set_env("SIS_PASSWORD", "canary-wrong");
        let said = doctor(&context, &[]);
        assert!(said.starts_with("exit code 3\n") && said.contains("failed    login: login refused"), "{said}");
        assert!(server.batches().is_empty() && server.logins().is_empty());
    }
}

#[test]
fn nobody_there() {
    let mut context = TestContext::with_target("https://school.invalid");
    context.set_env("SIS_PASSWORD", "canary-sis");
    for (name, host) in
        [("unknown_host", "sis.invalid".to_owned()), ("dead_port", format!("127.0.0.1:{}", closed_port()))]
    {
        let source = format!("url: mssql://u@{host}/SIS\npassword: ${{SIS_PASSWORD}}");
        context.mapping_of(&source, STUDENTS_QUERY, "state: none\n");
        assert_snapshot!(name, doctor(&context, &[]));
    }
}

mod target {
    use super::*;

    fn school(url: &str, more: &str) -> TestContext {
        let context = TestContext::with_target(url);
        context.students(3).mapping("state: none\n");
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        context
            .write("school.yaml", mapping.replace("  username: autoimport", &format!("  username: autoimport{more}")));
        context
    }

    #[test]
    fn certificates() {
        for (name, days, trusted) in
            [("untrusted", 90, false), ("inspected", 90, true), ("ends_soon", 9, true), ("expired", -3, true)]
        {
            let (port, pem) = filter(days);
            let more = if trusted { "\n  ca_file: ca.pem" } else { "" };
            let context = school(&format!("https://localhost:{port}"), more);
            context.write("ca.pem", pem);
            assert_snapshot!(format!("target_{name}"), doctor(&context, &[]));
        }
    }

    /// A proxy that opens tunnels to this machine.
    fn tunnels() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut client = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|length| length == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let address = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
                let mut server = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut from_server, &mut to_client));
                    drop(to_client.shutdown(std::net::Shutdown::Write));
                });
                std::thread::spawn(move || drop(std::io::copy(&mut client, &mut server)));
            }
        });
        port
    }

    #[test]
    fn the_certificate_is_asked_for_through_the_proxy() {
        let (port, pem) = filter(90);
        let more = format!("\n  proxy: http://127.0.0.1:{}\n  ca_file: ca.pem", tunnels());
        let context = school(&format!("https://localhost:{port}"), &more);
        context.write("ca.pem", pem);
        let said = doctor(&context, &[]);
        for expected in [
            "ok        proxy: http://127.0.0.1:[PORT], by the mapping",
            "ok        name: the proxy `127.0.0.1` is 127.0.0.1; it looks up Infiniti itself",
            "warning   TLS: certificate of `Infiniti` (localhost), signed by `School Filter CA`",
            "ok        answer: status 200",
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_proxy_in_use_is_named_without_its_password() {
        let port = proxy();
        let more = format!("\n  proxy: http://library:canary-proxy@127.0.0.1:{port}");
        let mut context = school("https://school.invalid", &more);
        assert_snapshot!("proxy_of_the_mapping", doctor(&context, &[]));
        context.set_env("HTTPS_PROXY", &format!("http://library:canary-proxy@127.0.0.1:{port}"));
        let mut system = school("https://school.invalid", "");
        system.set_env("HTTPS_PROXY", &format!("http://library:canary-proxy@127.0.0.1:{port}"));
        let said = doctor(&system, &[]);
        assert!(said.contains("proxy: http://127.0.0.1:[PORT], by the system's settings"), "{said}");
        system.set_env("NO_PROXY", "school.invalid");
        let said = doctor(&system, &[]);
        assert!(said.contains("ok        proxy: none"), "{said}");
        let off = school("https://school.invalid", "\n  proxy: none");
        assert!(doctor(&off, &[]).contains("ok        proxy: none"));
    }
}

mod state {
    use super::*;

    #[test]
    fn a_lock_that_is_held() {
        let context = TestContext::with_sandbox(&[]);
        context.students(3).mapping("state: state.db\n");
        context.run(&["push", "school.yaml"]);
        let lock = std::fs::File::open(context.path("state.db-locks/1")).unwrap();
        lock.lock().unwrap();
        rusqlite::Connection::open(context.path("state.db"))
            .unwrap()
            .execute("INSERT INTO owners VALUES (1, 'library-server', 4711, 1795400000)", [])
            .unwrap();
        assert_snapshot!("lock_held", doctor(&context, &[]));
        lock.unlock().unwrap();
        let free = doctor(&context, &[]);
        assert!(free.contains("ok        lock: free"), "{free}");
    }

    #[test]
    fn a_lock_that_is_held_in_postgresql() {
        let Some(server) = Postgres::get("doctor") else { return };
        server.create_database("doctor_state");
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SISPUSH_STATE", &server.url("doctor_state"));
        context.students(3).mapping("");
        let empty = doctor(&context, &[]);
        assert!(empty.contains("ok        content: nothing is known of this mapping yet"), "{empty}");
        context.run(&["push", "school.yaml"]);
        let free = doctor(&context, &[]);
        assert!(free.starts_with("exit code 0\n") && free.contains("ok        lock: free"), "{free}");
        let held = std::thread::scope(|scope| {
            let sleeper =
                scope.spawn(|| server.execute("doctor_state", "SELECT pg_advisory_lock(1936290672, 1), pg_sleep(20)"));
            let is_locked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
            while server.execute("doctor_state", is_locked).trim() == "0" {
                std::thread::yield_now();
            }
            let held = doctor(&context, &[]);
            server.execute("doctor_state", "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
            assert!(sleeper.join().is_err(), "the lock was let go of too early");
            held
        });
        assert!(held.starts_with("exit code 6\n"), "{held}");
        assert!(held.contains("failed    lock: another run of this mapping is under way"), "{held}");
    }

    #[test]
    fn a_folder_that_cannot_be_written() {
        let context = TestContext::with_sandbox(&[]);
        context.students(3).mapping("state: file/state.db\n").write("file", "not a folder");
        assert_snapshot!("state_folder", doctor(&context, &[]));
    }

    /// As an account that may read everything and write nothing.
    #[cfg(unix)]
    #[expect(clippy::print_stderr, reason = "says that it did not run")]
    #[test]
    fn an_account_that_may_not_write() {
        use std::os::unix::fs::PermissionsExt as _;

        let context = TestContext::with_sandbox(&[]);
        context.students(3).mapping("state: state.db\n");
        context.run(&["push", "school.yaml"]);
        let mode = |name: &str, mode| {
            std::fs::set_permissions(context.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, bits) in [
            (".", 0o555),
            ("state.db-locks", 0o555),
            ("state.db-locks/1", 0o444),
            ("state.db", 0o444),
            ("school.yaml", 0o444),
            ("sis.db", 0o444),
        ] {
            mode(name, bits);
        }
        let is_root = std::process::Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0";
        let as_another = if is_root { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" };
        let program = env!("CARGO_BIN_EXE_sispush");
        let output = context.shell(&format!("exec {as_another}'{program}' doctor school.yaml")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        mode(".", 0o755);
        if said.is_empty() {
            eprintln!("an_account_that_may_not_write: skipped, the program cannot be run as another user here");
            return;
        }
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("failed    folder: could not create `state.db`"), "{said}");
        assert!(said.contains("ok        rights: this account can only read the file"), "{said}");
        assert!(said.contains("ok        extract `students`: 7 columns, 3 rows"), "{said}");
    }

    #[test]
    fn doubt() {
        let context = TestContext::with_sandbox(&["hang"]);
        context.students(3).mapping("state: state.db\n");
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        let quick = "  username: autoimport\n  timeout: 1s";
        context.write("school.yaml", mapping.replace("  username: autoimport", quick));
        context.run(&["push", "school.yaml"]);
        let said = doctor(&context, &[]);
        assert!(said.starts_with("exit code 0\n"), "{said}");
        assert!(said.contains("warning   outcomes: unknown of 3 patrons"), "{said}");
    }
}

/// Nothing of pupils and no password is in any file of the bundle, nor in their names.
#[test]
fn a_bundle_holds_nothing_of_pupils() {
    let context = TestContext::with_sandbox(&[]);
    context.sis(
        "CREATE TABLE students (login text, given text, family text, email text, year integer, barcode text, form text);
         INSERT INTO students VALUES ('canary.one', 'Canary', 'Canary', 'canary.one@school.example', 2030, 'canary1', '7A'),
             ('canary.two', 'Canary', 'Canary', 'not an address', 2030, 'canary2', '7A'),
             ('canary.three', 'Canary', 'Canary', '', 2030, 'canary3', '7A');",
    );
    context.mapping(
        "state: state.db\nexpect:\n  - { patron: canary.one, is: { surname: Canary, formclass: 7A } }\n  - { rows: { min: 1 } }\n",
    );
    let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    let mapping = mapping
        .replace("password: ${INFINITI_PASSWORD}", &format!("password: {PASSWORD} # as canary.one says"))
        .replace("FROM students", "FROM students WHERE login NOT IN ('canary.one', 'Canary.Three') OR 1 = 1");
    context.write("school.yaml", mapping);
    context.command(&["push", "school.yaml", "--log-file", "sispush.log"]).output().unwrap();
    let mut log = std::fs::read_to_string(context.path("sispush.log")).unwrap();
    log.push_str("students row 2, `canary.two`: `emailaddress` is not a well-formed address\n");
    log.push_str("2026-11-23T02:30:00.125Z warning: something of Canary.One and canary.one@school.example\n");
    context.write("sispush.log", log);
    let output = context.output(&["doctor", "school.yaml", "--bundle", "support.zip"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("wrote support.zip (8 files) for a support request; look into it before you send it"),
        "{said}"
    );

    let bytes = std::fs::read(context.path("support.zip")).unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut all = String::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let shown = format!("== {}\n{text}", file.name().unwrap());
        assert!(!shown.to_lowercase().contains("canary"), "{shown}");
        all.push_str(&shown);
        all.push('\n');
    }
    let names: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("== ")).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "versions.txt",
            "school/doctor.json",
            "school/doctor.txt",
            "school/mapping.yaml",
            "school/query-1.sql",
            "school/runs.json",
            "school/log.txt"
        ]
    );
    for kept in [
        "password: ********",
        "WHERE login NOT IN ('user-1', 'user-2') OR 1 = 1",
        "patron: user-1, is: { surname: ********",
        "\"exit_code\": 1",
        "push ended",
        "1 line that sispush did not write: left out",
        "warning: something of user-1 and user-1@…",
        "ok        extract `students`: 7 columns, 3 rows",
    ] {
        assert!(all.contains(kept), "{kept} is not in\n{all}");
    }
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(context.path("support.zip")).unwrap()) & 0o777,
        0o600
    );
}

/// Of a mapping that is not valid its state is not known, and so not whom a log may name.
#[test]
fn a_bundle_of_a_mapping_that_is_not_valid_has_no_log() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("stat: none\nexpect:\n  - { patron: canary.one, is: { surname: canary } }\n");
    context.write("night.log", "2026-11-23T02:30:00.125Z warning: something of canary.one\n");
    let output = context.output(&["doctor", "school.yaml", "--bundle", "support.zip"]);
    assert_eq!(output.status.code(), Some(2));
    let bytes = std::fs::read(context.path("support.zip")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = |name: &str| std::io::read_to_string(zip.by_name(name).unwrap()).unwrap();
    assert!(text("school/mapping.yaml").contains("stat: none"));
    assert!(text("school/doctor.txt").contains("line 22: unknown key `stat`"), "{}", text("school/doctor.txt"));
    assert!(text("school/log.txt").contains("left out"), "{}", text("school/log.txt"));
}

#[test]
fn a_bundle_that_cannot_be_written_is_an_error() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: none\n");
    let said = context.run(&["doctor", "school.yaml", "--bundle", "nowhere/support.zip"]);
    assert!(said.starts_with("exit code 2\n"), "{said}");
    assert!(said.contains("error: could not write `nowhere/support.zip`"), "{said}");
}

/// Regression: the first line of a new day, or beyond 10 MiB, sets the log aside, and so the very run that was to gather
/// last night's log found an empty one.
#[test]
fn a_bundle_has_the_log_that_its_own_run_set_aside() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: state.db\n");
    let line = "2026-11-23T02:30:00.125Z info: push ended mapping=\"school\" exit_code=3\n";
    context.write("sispush.log", line.repeat(11 * 1024 * 1024 / line.len()));
    context.output(&["doctor", "school.yaml", "--bundle", "support.zip", "--log-file", "sispush.log"]);
    assert!(std::fs::metadata(context.path("sispush.log")).unwrap().len() < 1_000, "it was set aside");
    let bytes = std::fs::read(context.path("support.zip")).unwrap();
    assert!(bytes.len() < 400_000, "{}", bytes.len());
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let log = std::io::read_to_string(zip.by_name("school/log.txt").unwrap()).unwrap();
    let (night, own) = log.rsplit_once(line).unwrap();
    assert!(night.contains(line) && own.contains("doctor ended"), "{own}");
}

/// Regression: a mapping's name was that of a folder in the bundle as it is, `..` and `\` included.
#[cfg(unix)]
#[test]
fn a_bundle_unpacks_into_its_own_folder_on_any_system() {
    let context = TestContext::with_sandbox(&[]);
    context.students(1).mapping("state: none\n");
    let mapping = std::fs::read(context.path("school.yaml")).unwrap();
    std::fs::create_dir(context.path("all")).unwrap();
    for name in ["..yaml", "..\\..\\up.yaml", "A.yaml", "a.yml", "a-2.yaml", "new\nline.yaml", "c:x.yaml", "zoë.yaml"]
    {
        context.write(&format!("all/{name}"), &mapping);
    }
    // A folder leaves out what begins with a dot.
    context.output(&["doctor", "all", "all/..yaml", "all/..\\..\\up.yaml", "--bundle", "support.zip"]);
    let mut zip = zip::ZipArchive::new(std::fs::File::open(context.path("support.zip")).unwrap()).unwrap();
    let mut folders: Vec<String> = (0..zip.len())
        .filter_map(|index| {
            let name = zip.by_index(index).unwrap().name().unwrap().to_string();
            Some(name.strip_suffix("/mapping.yaml")?.to_owned())
        })
        .collect();
    folders.sort();
    assert_eq!(folders, ["A", "_.._up", "a-2", "a-3", "c_x", "mapping", "new_line", "zoë"]);
}

/// Regression: of a dead proxy it was told that Infiniti could not be reached, and to check its address.
#[test]
fn a_dead_proxy_is_named() {
    let mut context = TestContext::with_target("https://example.concordinfiniti.com");
    let proxy = format!("http://library:${{PROXY_PASSWORD}}@127.0.0.1:{}", closed_port());
    context.set_env("PROXY_PASSWORD", "canary-proxy");
    context.students(3).mapping("state: none\n");
    let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    let more = format!("  username: autoimport\n  retries: 0\n  proxy: {proxy}");
    context.write("school.yaml", mapping.replace("  username: autoimport", &more));
    let said = doctor(&context, &[]);
    assert!(said.contains("could not connect to the proxy `http://127.0.0.1:[PORT]`"), "{said}");
    assert_snapshot!("dead_proxy_push", context.run(&["push", "school.yaml"]));
}

/// The base goes into the bundle, too, masked as the mapping is; and the bundle never over the base.
#[test]
fn a_bundle_has_the_base_of_the_mapping() {
    let context = TestContext::new();
    context.students(3).mapping("expect:\n  - { patron: canary.one, is: { surname: Canary } }\n");
    let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("_base.yaml", mapping.replace("${INFINITI_PASSWORD}", PASSWORD));
    for (own, name) in [("mode: delta\n", "valid"), ("mode: dleta\n", "invalid"), ("mode: [\n", "no-yaml")] {
        context.write("school.yaml", format!("include: _base.yaml\n{own}"));
        let said = context.output(&["doctor", "school.yaml", "--bundle", "_base.yaml"]);
        assert_eq!(said.status.code(), Some(2), "{name}");
        let said = String::from_utf8(said.stderr).unwrap();
        assert!(said.contains("`_base.yaml` is the base of the mapping"), "{name}: {said}");
        let bundle = format!("{name}.zip");
        context.output(&["doctor", "school.yaml", "--bundle", &bundle]);
        let mut zip = zip::ZipArchive::new(std::fs::File::open(context.path(&bundle)).unwrap()).unwrap();
        let mut text = String::new();
        zip.by_name("school/base.yaml").unwrap().read_to_string(&mut text).unwrap();
        assert!(!text.to_lowercase().contains("canary"), "{name}: {text}");
        assert!(text.contains("password: ********") && text.contains("patron: user-1"), "{name}: {text}");
    }
}

mod feeds {
    use std::fs;

    use super::*;
    use crate::support::feeds;

    #[test]
    fn every_feed_is_tried() {
        let context = feeds::school("state: none\n");
        assert_snapshot!("feeds", doctor(&context, &[]));
        let json = doctor(&context, &["--format", "json"]);
        assert!(json.contains(r#""extract": "guardians""#) && json.contains(r#""feed": "contacts""#), "{json}");
        assert!(!json.contains("0001"), "a picture's name is whom it is of: {json}");
    }

    #[test]
    fn contacts_and_pictures_that_cannot_be_read() {
        let context = feeds::school("state: none\n");
        context.sis("ALTER TABLE guardians RENAME COLUMN addressee TO whom");
        fs::rename(context.path("photos"), context.path("pictures")).unwrap();
        assert_snapshot!("feeds_wrong", doctor(&context, &[]));
        fs::create_dir(context.path("photos")).unwrap();
        let said = doctor(&context, &[]);
        assert!(said.contains("warning   images folder: `photos`: 0 files"), "{said}");
    }

    /// A file that nobody writes into holds whoever opens it, as a share does whose server is gone.
    #[cfg(unix)]
    #[test]
    fn a_share_that_hangs_does_not_hang_doctor() {
        let context = feeds::school("state: none\n");
        for file in fs::read_dir(context.path("photos")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        let made = std::process::Command::new("mkfifo").arg(context.path("photos/0001.jpg")).status();
        assert!(made.unwrap().success());
        let said = doctor(&context, &[]);
        assert!(said.starts_with("exit code 3\n") && said.contains("does not answer within 10 s"), "{said}");
        assert!(!said.contains("0001"), "{said}");
    }

    #[test]
    fn a_bundle_names_no_picture() {
        let context = feeds::school("mode: delta\n");
        let told = context.run(&["--log-file", "school.log", "-vv", "push", "school.yaml"]);
        assert!(told.starts_with("exit code 1\n"), "{told}");
        let said = context.run(&["doctor", "school.yaml", "--bundle", "help.zip"]);
        assert!(said.contains("help.zip"), "{said}");
        let mut archive = zip::ZipArchive::new(fs::File::open(context.path("help.zip")).unwrap()).unwrap();
        let mut text = String::new();
        for index in 0..archive.len() {
            archive.by_index(index).unwrap().read_to_string(&mut text).unwrap();
        }
        assert!(text.contains("FROM guardians"), "the queries of all feeds are in it");
        for personal in ["0001.jpg", "0002.png", "9999.png", "`0003`", "ann.lee", "home.example", "0412 345 678"] {
            let line = text.lines().find(|line| line.contains(personal));
            assert_eq!(line, None, "`{personal}` is in the bundle");
        }
    }
}
