//! The promises of the README, one test each, named after what is promised. Cut and killed runs are in `torture.rs`,
//! the plans of random histories in `src/sync/plan/tests.rs`; whatever goes wrong in words is in `faults.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use support::context::{PASSWORD, TestContext};

/// A target that must not be contacted: it counts who comes, and hangs up.
struct Silent {
    url: String,
    visitors: Arc<AtomicUsize>,
    context: TestContext,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visitors = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visitors);
        std::thread::spawn(move || {
            for visitor in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(visitor);
            }
        });
        Self { context: TestContext::with_target(&url), url, visitors }
    }

    /// Whether nobody has connected so far.
    fn is_untouched(&self) -> bool {
        self.visitors.load(Ordering::SeqCst) == 0
    }
}

#[test]
fn promise_1_nothing_leaves_without_push() {
    let silent = Silent::new();
    silent.context.students(20).mapping("mode: delta\n");
    // A visitor is hung up on: whoever tries again would only take longer to be found out.
    let mapping = fs::read_to_string(silent.context.path("school.yaml")).unwrap();
    silent
        .context
        .write("school.yaml", mapping.replace("  username: autoimport", "  username: autoimport\n  retries: 0"));
    for arguments in [
        &["check", "school.yaml"][..],
        &["preview", "school.yaml"],
        &["preview", "--columns", "school.yaml"],
        &["explain", "school.yaml", "student0001"],
        &["diff", "school.yaml"],
        &["diff", "--full", "--all-new", "school.yaml"],
        &["push", "--dry-run", "school.yaml"],
        &["state", "show", "school.yaml"],
        &["state", "rebase", "school.yaml"],
    ] {
        let told = silent.context.run(arguments);
        assert!(told.starts_with("exit code 0\n") || arguments[0] == "state", "{arguments:?}: {told}");
        assert!(silent.is_untouched(), "{arguments:?} connected to the target");
    }
    assert!(!silent.context.path(".local").exists(), "a rehearsal made a state");
}

/// Every limit, each with a school that is over it.
#[test]
fn promise_2_over_a_limit_zero_bytes_are_sent() {
    const BARCODES: &str = "UPDATE students SET barcode = 'X' || barcode";
    let cases = [
        ("min_rows", "limits: { min_rows: 21 }", ""),
        ("min_rows_in_all", "limits: { min_rows_in_all: 21 }", ""),
        (
            "max_rejections",
            "limits: { max_rejections: 5 }",
            "UPDATE students SET email = 'x' WHERE login < 'student0007'",
        ),
        ("max_drop", "limits: { max_drop: 30% }", "DELETE FROM students WHERE login < 'student0008'"),
        (
            "max_creates",
            "limits: { max_creates: 20% }",
            "INSERT INTO students SELECT 'new' || login, given, family, email, year, 'N' || barcode, form FROM students LIMIT 6",
        ),
        ("max_updates", "limits: { max_updates: 75% }", BARCODES),
        (
            "max_deactivations",
            "leavers: { action: deactivate, after: 0d }\nlimits: { max_drop: 100%, max_deactivations: 30% }",
            "DELETE FROM students WHERE login < 'student0008'",
        ),
    ];
    for (limit, settings, night) in cases {
        let accepting = TestContext::with_sandbox(&[]);
        let silent = Silent::new();
        accepting.students(20).mapping("mode: delta\n");
        // What is known was accepted at another address: the book is given the silent one's.
        assert!(accepting.run(&["push", "--state", "state.db", "school.yaml"]).starts_with("exit code 0\n"));
        let target = format!("{}/", silent.url);
        let store = rusqlite::Connection::open(accepting.path("state.db")).unwrap();
        store.execute("UPDATE books SET target = ?", [&target]).unwrap();
        drop(store);
        fs::copy(accepting.path("state.db"), silent.context.path("state.db")).unwrap();
        silent.context.students(20).mapping(&format!("mode: delta\n{settings}\n"));
        if !night.is_empty() {
            silent.context.sis(night);
        }
        let told = silent.context.run(&["push", "--state", "state.db", "school.yaml"]);
        assert!(told.starts_with("exit code 5\n") && told.contains(limit), "{limit}: {told}");
        assert!(silent.is_untouched(), "{limit}: something was sent");
    }
}

/// A batch is cut after so many bytes, again and again; whatever night comes next ends the work.
#[test]
fn promise_3_a_push_that_was_cut_is_finished_by_the_next() {
    for bytes in [1, 100, 300, 500, 700, 900] {
        let context = TestContext::with_sandbox(&[&format!("cut-uploadx1={bytes}")]);
        context.students(20).mapping("mode: delta\n");
        let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write("school.yaml", mapping.replace("  username: autoimport", "  username: autoimport\n  retries: 0"));
        let told = context.run(&["push", "school.yaml"]);
        assert!(told.starts_with("exit code 4\n"), "{bytes}: {told}");
        assert!(context.run(&["push", "school.yaml"]).starts_with("exit code 0\n"), "{bytes}");
        assert_eq!(context.sandbox().patrons().len(), 20, "{bytes}");
        assert!(context.run(&["diff", "school.yaml"]).contains("delta: 20 unchanged"), "{bytes}");
    }
}

/// Infiniti got a row and the run was killed before the answer; then the source has the old value again. Compared with what
/// was accepted nothing has changed, and yet Infiniti holds something else.
#[test]
fn promise_3_a_row_that_was_sent_without_an_answer_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = TestContext::with_target(&format!("http://{}", listener.local_addr().unwrap()));
    context.students(3).mapping("mode: delta\n");
    let received = Arc::new(Mutex::new(String::new()));
    let (server, is_silent) = (Arc::clone(&received), Arc::new(AtomicBool::new(false)));
    let silent = Arc::clone(&is_silent);
    std::thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            if silent.load(Ordering::SeqCst) {
                let mut visitor = visitor;
                let mut first = [0];
                // It comes this far, and no further.
                visitor.read_exact(&mut first).ok();
                silent.store(false, Ordering::SeqCst);
                std::mem::forget(visitor);
            } else {
                uploads(visitor, &server);
            }
        }
    });
    assert!(context.run(&["push", "school.yaml"]).starts_with("exit code 0\n"));
    context.sis("UPDATE students SET given = 'Other' WHERE login = 'student0002'");
    is_silent.store(true, Ordering::SeqCst);
    let mut child = context.command(&["push", "school.yaml"]).spawn().unwrap();
    while is_silent.load(Ordering::SeqCst) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    context.sis("UPDATE students SET given = 'Given2' WHERE login = 'student0002'");
    received.lock().unwrap().clear();
    let told = context.run(&["push", "school.yaml"]);
    assert!(told.contains("delta: 1 of unknown outcome last time, 2 unchanged"), "{told}");
    assert!(received.lock().unwrap().contains("student0002,Y,N,Given2"), "{told}");
    assert!(context.run(&["push", "school.yaml"]).contains("delta: 3 unchanged"));
}

/// Infiniti imports every row and answers something that says less: nothing of it counts.
#[test]
fn promise_4_a_row_counts_as_accepted_only_if_infiniti_said_so() {
    for fault in ["cut", "badjson", "miscount", "html", "500"] {
        let context = TestContext::with_sandbox(&[&format!("{fault}x1")]);
        context.students(5).mapping("mode: delta\n");
        let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write("school.yaml", mapping.replace("  username: autoimport", "  username: autoimport\n  retries: 0"));
        let told = context.run(&["push", "school.yaml"]);
        assert!(told.starts_with("exit code 4\n") && told.contains("accepted  0 rows"), "{fault}: {told}");
        let export = context.run(&["state", "export", "school.yaml"]);
        assert_eq!(export.matches(",never accepted,,unknown,").count(), 5, "{fault}: {export}");
        let told = context.run(&["push", "school.yaml"]);
        assert!(
            told.contains("5 of unknown outcome last time") && told.contains("accepted  5 rows"),
            "{fault}: {told}"
        );
    }
}

#[test]
fn promise_5_the_rehearsed_plan_is_the_plan_carried_out() {
    let context = TestContext::with_sandbox(&[]);
    context.students(30).mapping("mode: delta\n");
    let plan = |arguments: &[&str]| -> serde_json::Value {
        let output = context.output(&[arguments, &["--format", "json", "school.yaml"]].concat());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        value["mappings"][0].clone()
    };
    for night in [
        "SELECT 1",
        "UPDATE students SET form = '8B' WHERE year = 2031; DELETE FROM students WHERE login = 'student0009'",
        "INSERT INTO students VALUES ('new', 'New', 'Comer', NULL, 2031, '99', '7A'); UPDATE students SET email = NULL WHERE year = 2032",
        "SELECT 1",
    ] {
        if night != "SELECT 1" {
            context.sis(night);
        }
        let before = context.sandbox().requests().len();
        let (rehearsed, dry_run) = (plan(&["diff"]), plan(&["push", "--dry-run"]));
        let pushed = plan(&["push"]);
        assert_eq!(rehearsed["plan"], pushed["plan"], "{night}");
        assert_eq!(rehearsed["plan"], dry_run["plan"], "{night}");
        let requests = context.sandbox().requests();
        let sent: usize = requests[before..].iter().map(|request| request.rows).sum();
        assert_eq!(rehearsed["rows_to_send"], sent, "{night}");
        assert_eq!(rehearsed["batches"], requests.len() - before, "{night}");
    }
}

/// The state is a file that lies about for years: of a pupil it holds the username, and nothing else.
#[test]
fn promise_6_no_value_and_no_secret_is_in_the_state() {
    let context = TestContext::with_sandbox(&["rejectx1=student0002"]);
    context
        .students(3)
        .sis("UPDATE students SET given = 'canary-given', family = 'canary-family', email = 'canary@school.example'");
    context.mapping("mode: delta\n");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let mapping =
        mapping.replace("      formclass: form\n", "      formclass: form\n      password: { value: canary-first }\n");
    context.write("school.yaml", &mapping);
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET form = 'canary-form' WHERE login = 'student0001'");
    let output = context.output(&["push", "school.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut looked = 0;
    for entry in fs::read_dir(context.path(".local/state/sispush")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["canary", PASSWORD, "Given1", "@school.example", "2031", "000001"] {
            assert!(!text.contains(secret), "`{secret}` is in {}", path.display());
        }
        looked += usize::from(text.contains("student0001"));
    }
    assert!(looked > 0, "no file of the state was found");
}

/// What the target gets is compared byte by byte; the boundary of the upload differs from run to run.
#[test]
fn promise_8_equal_rows_give_equal_bytes() {
    let bodies: Vec<String> = ["", "CREATE TABLE other AS SELECT * FROM students ORDER BY barcode DESC; DROP TABLE students; ALTER TABLE other RENAME TO students"]
        .iter()
        .map(|shuffle| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let context = TestContext::with_target(&format!("http://{}", listener.local_addr().unwrap()));
            context.students(300).sis("UPDATE students SET email = NULL WHERE year = 2031").mapping("");
            if !shuffle.is_empty() {
                context.sis(shuffle);
            }
            let received = Arc::new(Mutex::new(String::new()));
            let server = Arc::clone(&received);
            std::thread::spawn(move || listener.incoming().flatten().for_each(|visitor| uploads(visitor, &server)));
            let told = context.run(&["push", "--state", "none", "school.yaml"]);
            assert!(told.starts_with("exit code 0\n"), "{told}");
            received.lock().unwrap().clone()
        })
        .collect();
    assert!(bodies[0].len() > 10_000 && bodies[0].matches("username,").count() == 2, "{}", bodies[0].len());
    assert_eq!(bodies[0], bodies[1]);
}

/// Keeps the CSV of each upload that comes over a connection, and answers as if all were well.
fn uploads(mut visitor: TcpStream, csv: &Mutex<String>) {
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = visitor.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_none_or(|length| length.parse() != Ok(body.len())) {
            continue;
        }
        let (_, rows) = body.split_once("\r\n\r\n").unwrap();
        let (rows, _) = rows.rsplit_once("\r\n--").unwrap();
        csv.lock().unwrap().push_str(rows);
        let count = rows.matches("\r\n").count() - 1;
        let answer = format!(
            r#"{{"success":true,"summary":"{count} users processed. {count} users created. 0 users updated. 0 users failed."}}"#
        );
        let length = answer.len();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
        write!(visitor, "{head}: {length}\r\n\r\n{answer}").unwrap();
        received.clear();
    }
}

#[test]
fn promise_9_a_blank_clears_nothing_unless_the_mapping_says_so() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("mode: delta\n");
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET email = NULL, form = '' WHERE login = 'student0001'");
    for arguments in [&["push", "school.yaml"][..], &["push", "--full", "school.yaml"]] {
        assert!(context.run(arguments).starts_with("exit code 0\n"));
        let first = &context.sandbox().patrons()[0];
        assert_eq!((first["emailaddress"].as_str(), first["formclass"].as_str()), ("student0001@school.example", "7A"));
    }
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context
        .write("school.yaml", mapping.replace("emailaddress: email", "emailaddress: { column: email, default: \"\" }"));
    context.run(&["push", "school.yaml"]);
    let first = &context.sandbox().patrons()[0];
    assert_eq!((first.get("emailaddress").map_or("", String::as_str), first["formclass"].as_str()), ("", "7A"));
}
