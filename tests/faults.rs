//! What goes wrong in schools, each tried through the program: the snapshot holds its exit code and every word that the
//! technician reads. Secrets and pupils' values are canaries; `TestContext::run` refuses any output that holds one.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::io::{BufRead as _, BufReader, Read as _};

use insta::assert_snapshot;
use support::context::{STUDENTS_QUERY, TestContext};
use support::network::{closed_port, filter, proxy};
use support::servers::{self, MariaDb, Postgres};
use tds::tokens::{self, Type};
use tds::{Step, TdsServer};

/// A school with a mapping of its own, pushed at a sandbox that must not hear of it.
fn push(source: &str, query: &str) -> String {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("SIS_PASSWORD", "canary-sis-4711");
    context.mapping_of(source, query, "");
    let told = context.run(&["push", "school.yaml"]);
    assert!(context.sandbox().requests().is_empty(), "something was sent");
    told
}

/// A SQLite school of three, broken by some SQL, and a query.
fn push_broken(sql: &str, query: &str) -> String {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).sis(sql).mapping_of("url: sqlite:sis.db", query, "");
    let told = context.run(&["push", "school.yaml"]);
    assert!(context.sandbox().requests().is_empty(), "something was sent");
    told
}

/// The columns that a query needs beside `login`.
const OTHERS: &str = "'a' AS given, 'a' AS family, NULL AS email, 2030 AS year, NULL AS barcode, NULL AS form";

mod connection {
    use super::*;

    #[test]
    fn unknown_host() {
        for engine in ["mssql", "postgres", "mysql"] {
            let told = push(&format!("url: {engine}://u@sis.invalid/SIS\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY);
            // The resolver's words differ from system to system.
            let told: Vec<&str> = told.lines().filter(|line| !line.contains("caused by: failed to lookup")).collect();
            assert_snapshot!(format!("unknown_host_{engine}"), told.join("\n"));
        }
    }

    #[test]
    fn closed_ports() {
        for engine in ["mssql", "postgres", "mysql"] {
            let source = format!("url: {engine}://u@127.0.0.1:{}/SIS\npassword: ${{SIS_PASSWORD}}", closed_port());
            assert_snapshot!(format!("closed_port_{engine}"), push(&source, STUDENTS_QUERY));
        }
    }

    #[test]
    fn unknown_instance() {
        // Nothing answers at UDP 1434 of this machine.
        let source = "url: mssql://u@127.0.0.1/SIS?instance=SIS\npassword: ${SIS_PASSWORD}";
        assert_snapshot!(push(source, STUDENTS_QUERY));
    }

    #[test]
    fn wrong_password() {
        let sqlserver = TdsServer::start();
        let url = format!("url: mssql://{}@127.0.0.1:{}/Synergetic", tds::USER, sqlserver.port());
        assert_snapshot!("wrong_password_mssql", push(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY));
        if let Some(server) = Postgres::get("wrong_password") {
            let url = format!("url: postgres://{}@127.0.0.1:{}/postgres", servers::USERNAME, server.port());
            let told = push(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY);
            assert_snapshot!("wrong_password_postgres", told);
        }
        if let Some(server) = MariaDb::get("wrong_password") {
            let url = format!("url: mysql://{}@127.0.0.1:{}/mysql", servers::USERNAME, server.port());
            let told = push(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY);
            assert_snapshot!("wrong_password_mysql", told);
        }
    }

    #[test]
    fn missing_database() {
        let sqlserver = TdsServer::start();
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", tds::PASSWORD);
        let url = format!("url: mssql://{}@127.0.0.1:{}/Gone", tds::USER, sqlserver.port());
        context.mapping_of(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY, "");
        assert_snapshot!("missing_database_mssql", context.run(&["push", "school.yaml"]));
        assert_snapshot!("missing_database_sqlite", push("url: sqlite:gone.db", STUDENTS_QUERY));
        if let Some(server) = Postgres::get("missing_database") {
            let mut context = TestContext::with_sandbox(&[]);
            context.set_env("SIS_PASSWORD", servers::PASSWORD);
            let url = format!("url: postgres://{}@127.0.0.1:{}/gone", servers::USERNAME, server.port());
            context.mapping_of(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY, "");
            assert_snapshot!("missing_database_postgres", context.run(&["push", "school.yaml"]));
        }
    }

    #[test]
    fn gone_in_mid_stream() {
        let server = TdsServer::scripted(|sql| {
            let answer = [tokens::columns(&[("login", Type::nvarchar(20))]), Vec::new()].concat();
            sql.contains("FROM students").then(|| vec![Step::Send(answer), Step::Cut])
        });
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", tds::PASSWORD);
        context.mapping_of(&server.source_lines(), STUDENTS_QUERY, "");
        assert_snapshot!(context.run(&["push", "school.yaml"]));
        assert!(context.sandbox().requests().is_empty());
    }

    #[test]
    fn untrusted_certificate() {
        let Some(server) = Postgres::tls("untrusted_certificate") else { return };
        let url = format!("url: postgres://{}@localhost:{}/postgres", servers::USERNAME, server.port());
        assert_snapshot!(push(&format!("{url}\nencryption: required\npassword: ${{SIS_PASSWORD}}"), STUDENTS_QUERY));
    }
}

mod queries {
    use super::*;

    #[test]
    fn missing_table() {
        assert_snapshot!(push_broken("", "SELECT login\nFROM pupils"));
    }

    #[test]
    fn mistake_in_the_sql() {
        assert_snapshot!(push_broken("", "SELECT login,\n  given,\nFROM students"));
    }

    #[test]
    fn no_columns() {
        assert_snapshot!(push_broken("", "COMMIT"));
    }

    #[test]
    fn duplicate_columns() {
        assert_snapshot!(push_broken("", "SELECT login, given, family AS Given FROM students"));
    }

    #[test]
    fn a_column_is_missing() {
        assert_snapshot!(push_broken(
            "",
            "SELECT login, given, family, email AS e_mail, year, barcode, form AS house FROM students"
        ));
    }

    #[test]
    fn binary() {
        let query = "SELECT login, given, family, email, year, barcode, form, x'00ff' AS photo FROM students";
        assert_snapshot!(push_broken("", query));
    }

    #[test]
    fn a_write() {
        let context = TestContext::with_sandbox(&[]);
        context.students(3).mapping_of("url: sqlite:sis.db", "DELETE FROM students RETURNING *", "");
        assert_snapshot!("a_write_sqlite", context.run(&["push", "school.yaml"]));
        let sis = rusqlite::Connection::open(context.path("sis.db")).unwrap();
        assert_eq!(sis.query_row("SELECT count(*) FROM students", [], |row| row.get::<_, i64>(0)).unwrap(), 3);

        let server = TdsServer::start();
        server.execute("CREATE TABLE students (login nvarchar(20)); INSERT INTO students VALUES ('a')");
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", tds::PASSWORD);
        let query = "SELECT login FROM students;\nCOMMIT;\nDELETE FROM students";
        context.mapping_of(&server.source_lines(), query, "");
        assert_snapshot!("a_write_mssql", context.run(&["push", "school.yaml"]));
        assert_eq!(server.value("SELECT count(*) FROM students"), "1");
        if let Some(server) = Postgres::get("a_write") {
            server.create_database("a_write");
            server.execute("a_write", "CREATE TABLE students (login text); INSERT INTO students VALUES ('a')");
            let mut context = TestContext::with_sandbox(&[]);
            context.set_env("SIS_PASSWORD", servers::PASSWORD);
            let url = format!("url: postgres://{}@127.0.0.1:{}/a_write", servers::USERNAME, server.port());
            let query = format!("WITH gone AS (DELETE FROM students RETURNING login) SELECT login, {OTHERS} FROM gone");
            context.mapping_of(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), &query, "");
            assert_snapshot!("a_write_postgres", context.run(&["push", "school.yaml"]));
            assert_eq!(server.execute("a_write", "SELECT count(*) FROM students").trim(), "1");
        }
    }

    #[test]
    fn too_slow() {
        let endless = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS login, {OTHERS} FROM n"
        );
        let context = TestContext::with_sandbox(&[]);
        context.students(1).mapping_of("url: sqlite:sis.db\ntimeout: 1s", &endless, "");
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    /// What a server says of a value must not bring the value into our logs.
    #[test]
    fn an_error_with_a_value_in_it() {
        let server = TdsServer::scripted(|sql| {
            let words = "Conversion failed when converting the varchar value 'canary' to data type int.";
            sql.contains("FROM students").then(|| vec![Step::Send(tokens::failed(245, 16, 1, words))])
        });
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", tds::PASSWORD);
        context.mapping_of(&server.source_lines(), STUDENTS_QUERY, "");
        assert_snapshot!(
            "a_value_in_an_error_mssql",
            context.run(&["-vvv", "--log-file", "log.txt", "push", "school.yaml"])
        );
        let log = std::fs::read_to_string(context.path("log.txt")).unwrap();
        assert!(!log.contains("canary") && !log.contains(tds::PASSWORD) && log.contains("push ended"), "{log}");
        if let Some(server) = Postgres::get("an_error_with_a_value_in_it") {
            let mut context = TestContext::with_sandbox(&[]);
            context.set_env("SIS_PASSWORD", servers::PASSWORD);
            let url = format!("url: postgres://{}@127.0.0.1:{}/postgres", servers::USERNAME, server.port());
            let query = format!("SELECT (chr(99) || 'anary')::int AS login, {OTHERS}");
            context.mapping_of(&format!("{url}\npassword: ${{SIS_PASSWORD}}"), &query, "");
            assert_snapshot!("a_value_in_an_error_postgres", context.run(&["push", "school.yaml"]));
        }
    }
}

mod rows {
    use super::*;

    #[test]
    fn not_utf8() {
        let sql = "UPDATE students SET family = CAST(x'63616e617279ff' AS text) WHERE login = 'student0002'";
        assert_snapshot!(push_broken(sql, STUDENTS_QUERY));
    }

    #[test]
    fn twenty_megabytes_in_a_cell() {
        let context = TestContext::with_sandbox(&[]);
        context.students(3).mapping("");
        context.sis("UPDATE students SET family = printf('%.*c', 20000000, 'x') WHERE login = 'student0002'");
        assert_snapshot!("large_cell_used", context.run(&["push", "school.yaml"]));
        let query = "SELECT login, given, given AS family, email, year, barcode, form, family AS notes FROM students";
        context.mapping_of("url: sqlite:sis.db", query, "");
        assert_snapshot!("large_cell_unused", context.run(&["push", "school.yaml"]));
    }

    #[test]
    fn nul_and_line_breaks() {
        let context = TestContext::with_sandbox(&[]);
        context.students(2).mapping("");
        context.sis("UPDATE students SET family = 'Van' || char(13, 10) || 'der' || char(0) || 'Berg' WHERE login = 'student0001'");
        assert_snapshot!(context.run(&["push", "school.yaml"]));
        assert_eq!(context.sandbox().patrons()[0]["surname"], "Van der Berg");
    }
}

mod target {
    use super::*;

    fn push_at(faults: &[&str], target: &str) -> (String, TestContext) {
        let context = TestContext::with_sandbox(faults);
        context.students(3).mapping("");
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write(
            "school.yaml",
            mapping.replace("  username: autoimport", &format!("  username: autoimport\n{target}")),
        );
        (context.run(&["push", "school.yaml"]), context)
    }

    #[test]
    fn every_fault_of_the_sandbox() {
        for (name, fault, patrons) in [
            ("401", "401", 0),
            ("403", "403", 0),
            ("404", "404", 0),
            ("413", "413", 0),
            ("429", "429", 0),
            ("500", "500", 0),
            ("502", "502", 0),
            ("503", "503", 0),
            ("504", "504", 0),
            ("cut", "cut", 3),
            ("cut_upload", "cut-upload=100", 0),
            ("html", "html", 0),
            ("redirect", "redirect", 0),
            ("badjson", "badjson", 3),
            ("miscount", "miscount", 3),
            ("nodetails", "nodetails", 3),
            ("reject", "reject=student0002", 2),
        ] {
            let (told, context) = push_at(&[fault], "  retries: 0");
            assert_snapshot!(format!("fault_{name}"), told);
            assert_eq!(context.sandbox().patrons().len(), patrons, "{fault}");
        }
    }

    #[test]
    fn busy_and_then_well() {
        let (told, context) = push_at(&["503x1"], "  retries: 2");
        assert_snapshot!(told);
        assert_eq!(context.sandbox().patrons().len(), 3);
    }

    #[test]
    fn no_answer() {
        let (told, _context) = push_at(&["hang"], "  timeout: 1s");
        assert_snapshot!(told);
    }

    #[test]
    fn nobody_there() {
        let context = TestContext::with_target(&format!("http://127.0.0.1:{}", closed_port()));
        context.students(3).mapping("");
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write("school.yaml", mapping.replace("  username: autoimport", "  username: autoimport\n  retries: 0"));
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    #[test]
    fn a_proxy_that_wants_a_login() {
        let context = TestContext::with_target("https://school.invalid");
        context.students(3).mapping("");
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        let proxy = format!("  username: autoimport\n  proxy: http://127.0.0.1:{}", proxy());
        context.write("school.yaml", mapping.replace("  username: autoimport", &proxy));
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    #[test]
    fn untrusted_certificate() {
        let (port, _) = filter(90);
        let context = TestContext::with_target(&format!("https://localhost:{port}"));
        context.students(3).mapping("");
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    #[test]
    fn ca_files() {
        for (name, text) in [("missing", None), ("empty", Some("no certificate"))] {
            let context = TestContext::with_target("https://school.invalid");
            context.students(3).mapping("");
            if let Some(text) = text {
                context.write("ca.pem", text);
            }
            let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
            let mapping = mapping.replace("  username: autoimport", "  username: autoimport\n  ca_file: ca.pem");
            context.write("school.yaml", mapping);
            assert_snapshot!(format!("ca_file_{name}"), context.run(&["push", "school.yaml"]));
        }
    }
}

mod around {
    use super::*;

    #[test]
    fn a_missing_secret() {
        let context = TestContext::with_sandbox(&[]);
        context.students(1).mapping_of("url: sqlite:sis.db\npassword: ${SIS_PASSWORD}", STUDENTS_QUERY, "");
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let context = TestContext::with_sandbox(&[]);
        context.students(1).mapping_of("url: sqlite:sis.db\npassword: ${SIS_PASSWORD}", STUDENTS_QUERY, "");
        context.write(".env", "SIS_PASSWORD=canary");
        std::fs::set_permissions(context.path(".env"), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_snapshot!(context.run(&["push", "school.yaml"]));
    }

    #[test]
    fn a_mapping_that_is_not_there() {
        let context = TestContext::new();
        assert_snapshot!(context.run(&["push", "gone.yaml"]));
    }

    #[test]
    fn a_log_in_a_folder_that_is_not_there() {
        let context = TestContext::with_sandbox(&[]);
        context.students(1).mapping("");
        assert_snapshot!(context.run(&["push", "--log-file", "gone/log.txt", "school.yaml"]));
    }

    /// `head` has what it wants and goes: that is no error.
    #[test]
    fn a_reader_that_goes() {
        let context = TestContext::with_sandbox(&[]);
        context.students(50_000).mapping("");
        let mut command = context.command(&["preview", "--format", "csv", "school.yaml"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut start = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut start).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }

    #[test]
    fn failures_as_json() {
        let context = TestContext::with_sandbox(&["401"]);
        context.students(1).mapping("");
        assert_snapshot!("json_target_failed", context.run(&["push", "--format", "json", "school.yaml"]));
        let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write("school.yaml", mapping.replace("sis.db", "gone.db"));
        assert_snapshot!("json_source_failed", context.run(&["push", "--format", "json", "school.yaml"]));
        context.write("school.yaml", mapping.replace("version: 1", "version: one"));
        assert_snapshot!("json_mapping_not_valid", context.run(&["push", "--format", "json", "school.yaml"]));
    }

    /// A signal while the target says nothing.
    #[cfg(unix)]
    #[test]
    fn interrupted() {
        for signal in ["INT", "TERM"] {
            let context = TestContext::with_sandbox(&["hang"]);
            context.students(1).mapping("");
            let mut command = context.command(&["push", "school.yaml"]);
            let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
            while context.sandbox().requests().is_empty() {
                assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
                std::thread::yield_now();
            }
            let id = child.id().to_string();
            let kill = || {
                let kill = std::process::Command::new("kill").args([format!("-{signal}"), id.clone()]).status();
                assert!(kill.unwrap().success());
            };
            kill();
            // The first signal waits for the batch in flight, and says so; the second does not.
            let mut told = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            told.read_line(&mut line).unwrap();
            assert!(line.contains("waiting for the batch in flight"), "{line}");
            kill();
            assert_eq!(child.wait().unwrap().code(), Some(130), "SIG{signal}");
        }
    }
}
