//! Many schools in one push: each as if it were alone; and several machines that share them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use insta::assert_snapshot;
use serde_json::Value;
use sispush::mapping::StateLocation;
use sispush::source::Connection;
use sispush::state::{Run, read_history};
use support::context::{PASSWORD, TestContext, USERNAME};
use support::servers;
use support::state_suite::wait;

const STUDENTS: usize = 5;

/// A school of its own in the folder `schools`, with this source; `more` goes to its end.
fn school(context: &TestContext, name: &str, source: &str, more: &str) {
    fs::create_dir_all(context.path("schools")).unwrap();
    let text = format!(
        "version: 1
source:
  {source}
target:
  url: {}
  username: {USERNAME}
  password: ${{INFINITI_PASSWORD}}
users:
  - name: students
    query: SELECT login, given, family FROM students
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: {{ value: false }}
      givenname: given
      surname: family
      graduationyear: {{ value: 2030 }}
{more}",
        context.sandbox().url()
    );
    context.write(&format!("schools/{name}.yaml"), text);
}

/// Likewise, with students of its own in a SQLite file.
fn working_school(context: &TestContext, name: &str, more: &str) {
    fill(&context.path(&format!("{name}.db")), name);
    school(context, name, &format!("url: sqlite:../{name}.db"), more);
}

fn fill(database: &Path, name: &str) {
    let sql = format!(
        "CREATE TABLE students (login text, given text, family text);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {STUDENTS})
         INSERT INTO students SELECT '{name}-' || i, 'Given' || i, 'Family' || i FROM n"
    );
    rusqlite::Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

/// Of each school, how many of its students Infiniti has.
fn arrived(context: &TestContext) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for patron in context.sandbox().patrons() {
        *arrived.entry(patron["username"].split('-').next().unwrap().to_owned()).or_default() += 1;
    }
    arrived
}

/// A server that takes a connection and never says a word.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let _open: Vec<_> = listener.incoming().collect();
    });
    port
}

#[test]
fn trouble_of_one_school_is_its_own() {
    let context = TestContext::with_sandbox(&[]);
    for name in ["elm", "oak", "yew", "fig"] {
        working_school(&context, name, "");
    }
    working_school(&context, "limit", "limits: { min_rows: 100 }\n");
    working_school(&context, "held", "hold: [ { from: 2000-01-01, until: 2100-01-01, reason: rollover } ]\n");
    school(&context, "hang", &format!("url: postgres://reader:x@127.0.0.1:{}/sis", silent()), "");
    school(&context, "gone", "url: sqlite:../gone.db", "");
    school(&context, "secret", "url: sqlite:../${NOT_SET}.db", "");
    // A state on a disk that is full, as far as that school can tell.
    working_school(&context, "full", "state: /dev/full/state.db\n");
    context.write("schools/typo.yaml", "version: 1\nsouce: {}\n");
    let said = context.run(&["push", "schools", "--jobs", "3", "--time-limit", "4s"]);
    // They end in an order of their own; the summary has one that is always the same.
    let summary = said.split("11 mappings\n").nth(1).expect("a summary");
    assert_snapshot!(summary.split("----- stderr").next().unwrap(), @r"
      6  full: could not create `/dev/full/state.db`
      5  limit: stopped by a limit, nothing sent
      3  gone: could not open the source `sqlite:schools/../gone.db`
      3  hang: not done within the time limit of 4s
      2  secret: the secret `${NOT_SET}` is not set
      2  schools/typo.yaml: `target` is missing (and 2 more problems)
      0  elm: 5 accepted, 0 refused, 0 rejected, 0 unchanged
      0  fig: 5 accepted, 0 refused, 0 rejected, 0 unchanged
      0  held: on hold from 2000-01-01 until 2100-01-01: rollover
      0  oak: 5 accepted, 0 refused, 0 rejected, 0 unchanged
      0  yew: 5 accepted, 0 refused, 0 rejected, 0 unchanged
    ");
    assert!(said.starts_with("exit code 6\n"), "{said}");
    assert!(said.contains("hint: nothing was sent; see with `sispush doctor` whether the source answers"), "{said}");
    let whole = ["elm", "oak", "yew", "fig"].map(|name| (name.to_owned(), STUDENTS));
    assert_eq!(arrived(&context), whole.into());
}

#[test]
fn a_school_that_is_cut_off_at_its_time_limit_is_finished_by_the_next_push() {
    let context = TestContext::with_sandbox(&["hangx1"]);
    working_school(&context, "elm", "");
    let said = context.run(&["push", "schools/elm.yaml", "--time-limit", "2s"]);
    assert_snapshot!(said);
    let known = context.run(&["state", "show", "schools/elm.yaml", "--format", "json"]);
    assert!(known.contains(r#""exit_code": 4"#), "{known}");
    assert!(context.run(&["push", "schools/elm.yaml"]).starts_with("exit code 0\n"));
    assert_eq!(arrived(&context), [("elm".to_owned(), STUDENTS)].into());
}

#[test]
fn json_has_the_schools_in_the_order_of_their_files() {
    let context = TestContext::with_sandbox(&[]);
    for name in ["yew", "elm", "oak"] {
        working_school(&context, name, "");
    }
    let output = context.output(&["push", "schools", "--jobs", "3", "--format", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = result["mappings"].as_array().unwrap().iter().map(|each| each["name"].clone()).collect();
    assert_eq!(names, ["elm", "oak", "yew"]);
}

#[test]
fn once_per_leaves_out_what_was_pushed() {
    let context = TestContext::with_sandbox(&[]);
    working_school(&context, "elm", "");
    let push = ["push", "schools/elm.yaml", "--once-per", "20h"];
    assert!(context.run(&push).contains("accepted  5 rows"));
    let again = context.run(&push);
    assert!(again.starts_with("exit code 0\n") && again.contains("elm: pushed already, at "), "{again}");
    assert_eq!(context.sandbox().requests().len(), 1);
    // A failure is a push, too: it is told, and not tried by every machine in turn.
    working_school(&context, "oak", "");
    assert!(context.run(&["push", "schools/oak.yaml"]).starts_with("exit code 0\n"));
    fs::remove_file(context.path("oak.db")).unwrap();
    wait_out_a_second(&context);
    let push = ["push", "schools/oak.yaml", "--once-per", "1s"];
    assert!(context.run(&push).starts_with("exit code 3\n"));
    let again = context.run(&["push", "schools/oak.yaml", "--once-per", "20h"]);
    assert!(again.contains("with exit code 3"), "{again}");
    school(&context, "fig", "url: sqlite:../elm.db", "state: none\n");
    let none = context.run(&["push", "schools/fig.yaml", "--once-per", "20h"]);
    assert!(none.contains("error: `--once-per` needs a state, and the mapping has none"), "{none}");
}

/// Regression: after a night with a clock years ahead, `--once-per` left the school out until those years were over.
#[test]
fn a_run_of_the_future_was_not_pushed_already() {
    let context = TestContext::with_sandbox(&[]);
    working_school(&context, "elm", "");
    let push = ["push", "schools/elm.yaml", "--once-per", "20h"];
    assert!(context.run(&push).contains("accepted  5 rows"));
    let state = rusqlite::Connection::open(context.path(".local/state/sispush/state.db")).unwrap();
    state.execute("UPDATE runs SET started_at = started_at + 900 * 86400", []).unwrap();
    assert!(context.run(&push).contains("accepted  5 rows"));
    assert!(context.run(&push).contains("elm: pushed already, at "));
}

/// Regression: two mappings with one name and one target shared their state: the students of the one were leavers of the
/// other, and were deactivated when few enough for the limits.
#[test]
fn mappings_that_would_share_their_state_are_not_pushed() {
    let context = TestContext::with_sandbox(&[]);
    for name in ["elm", "oak"] {
        working_school(&context, name, "name: college\nleavers: { action: deactivate }\n");
    }
    working_school(&context, "yew", "");
    // With a state of its own, or none, it shares nothing.
    working_school(&context, "fig", "name: college\nstate: ../fig-state.db\n");
    working_school(&context, "ash", "name: college\nstate: none\n");
    let said = context.run(&["push", "schools", "--jobs", "2"]);
    let summary = said.split("5 mappings\n").nth(1).expect("a summary").split("----- stderr").next().unwrap();
    // Both named `college`, in the order in which they ended.
    let mut lines: Vec<&str> = summary.lines().map(str::trim).collect();
    lines.sort_unstable();
    assert_snapshot!(lines.join("\n"), @r"
    0  college: 5 accepted, 0 refused, 0 rejected, 0 unchanged
    0  college: 5 accepted, 0 refused, 0 rejected, 0 unchanged
    0  yew: 5 accepted, 0 refused, 0 rejected, 0 unchanged
    2  schools/elm.yaml: it has the name `college` and the target of `schools/oak.yaml`: each would take the other's patrons for leavers
    2  schools/oak.yaml: it has the name `college` and the target of `schools/elm.yaml`: each would take the other's patrons for leavers
    ");
    let whole = ["ash", "fig", "yew"].map(|name| (name.to_owned(), STUDENTS));
    assert_eq!(arrived(&context), whole.into());
    assert!(said.contains("hint: give each a `name` of its own"), "{said}");
    // What is named twice is one mapping.
    let twice = context.run(&["push", "schools/yew.yaml", "schools/../schools/yew.yaml"]);
    assert!(twice.starts_with("exit code 0\n") && !twice.contains("2 mappings"), "{twice}");
}

/// Makes the runs so far older than a second.
fn wait_out_a_second(context: &TestContext) {
    let state = context.path(".local/state/sispush/state.db");
    rusqlite::Connection::open(state).unwrap().execute("UPDATE runs SET started_at = started_at - 5", []).unwrap();
}

/// What stands between schools and Infiniti: it tells of each upload whether it is of the account that is held, and lets that
/// one wait as long as `hold` is locked.
fn gate(sandbox: SocketAddr, account: &'static str, hold: &Arc<Mutex<()>>) -> (u16, Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (came, coming) = channel();
    let hold = Arc::clone(hold);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (came, hold) = (came.clone(), Arc::clone(&hold));
            // What a connection says that is cut does not matter: the schools are looked at in the end.
            std::thread::spawn(move || pass(client.unwrap(), sandbox, account, &hold, &came).ok());
        }
    });
    (port, coming)
}

/// The account of a machine that is to die, by which the gate knows it.
const DOOMED: &str = "doomed";

fn pass(
    mut client: TcpStream,
    sandbox: SocketAddr,
    account: &str,
    hold: &Mutex<()>,
    came: &Sender<bool>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(sandbox)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{account}:{PASSWORD}"));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return server.shutdown(Shutdown::Write);
        }
        let text = String::from_utf8_lossy(&buffer[..read]);
        if text.starts_with("POST ") {
            let is_held = text.contains(&credentials);
            // Whoever counts may have seen enough.
            came.send(is_held).ok();
            if is_held {
                drop(hold.lock());
            }
        }
        server.write_all(&buffer[..read])?;
    }
}

const LONG: Duration = Duration::from_mins(2);

/// Regression: of sixty schools the summary of a push that was interrupted named twelve, as if there were no others.
#[cfg(unix)]
#[test]
fn those_that_an_interrupted_push_did_not_begin_are_counted() {
    let context = TestContext::with_sandbox(&[]);
    let hold = Arc::new(Mutex::new(()));
    let in_flight = hold.lock().unwrap();
    let (port, came) = gate(context.sandbox().address(), USERNAME, &hold);
    for name in ["elm", "oak", "yew"] {
        working_school(&context, name, "");
        let path = context.path(&format!("schools/{name}.yaml"));
        let mapping = fs::read_to_string(&path).unwrap();
        fs::write(&path, mapping.replace(&context.sandbox().url(), &format!("http://127.0.0.1:{port}"))).unwrap();
    }
    let mut child =
        context.command(&["push", "schools"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(came.recv_timeout(LONG), Ok(true));
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    // It says on stderr that it waits for the batch; only then is that let go.
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("interrupted; waiting for the batch in flight")));
    drop(in_flight);
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{printed}");
    assert!(printed.contains("  130  2 mappings: not begun, since the push was interrupted"), "{printed}");
    assert_eq!(arrived(&context), [("elm".to_owned(), STUDENTS)].into());
}

/// Regression: where PostgreSQL took fewer connections than there were jobs, the schools that came first were pushed, and of
/// the others none.
#[test]
fn a_fleet_waits_for_a_connection_that_is_free() {
    let Some(server) = servers::Postgres::get("a_fleet_waits_for_a_connection_that_is_free") else { return };
    server.create_database("few");
    server.execute(
        "few",
        "DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN PASSWORD 'canary-few' CONNECTION LIMIT 1;
         GRANT CREATE ON DATABASE few TO few",
    );
    let context = TestContext::with_sandbox(&[]);
    for number in 0..6 {
        working_school(&context, &format!("school{number}"), "");
    }
    let state = format!("postgres://few:canary-few@127.0.0.1:{}/few", server.port());
    let said = context.run(&["push", "schools", "--jobs", "3", "--state", &state]);
    assert!(said.starts_with("exit code 0\n"), "{said}");
    assert_eq!(arrived(&context).len(), 6);
    server.execute("postgres", "DROP DATABASE few WITH (FORCE); DROP ROLE few");
}

/// Four machines share twelve schools; two of them are killed in the middle of a push.
#[test]
fn a_fleet_pushes_every_school_once_though_machines_die() {
    const SCHOOLS: usize = 12;
    let test = "a_fleet_pushes_every_school_once_though_machines_die";
    let Some(server) = servers::Postgres::get(test) else { return };
    server.create_database("fleet");
    let context = TestContext::with_sandbox(&[]);
    for number in 0..SCHOOLS {
        working_school(&context, &format!("school{number:02}"), "");
    }
    let hold = Arc::new(Mutex::new(()));
    let _for_ever = hold.lock().unwrap();
    let (port, came) = gate(context.sandbox().address(), DOOMED, &hold);
    for file in fs::read_dir(context.path("schools")).unwrap() {
        let path = file.unwrap().path();
        let mapping =
            fs::read_to_string(&path).unwrap().replace(&context.sandbox().url(), &format!("http://127.0.0.1:{port}"));
        fs::write(&path, mapping.replace(&format!("username: {USERNAME}"), "username: ${MACHINE}")).unwrap();
    }
    let machine = |account| {
        let mut command = context.command(&["push", "schools", "--once-per", "20h", "--format", "json"]);
        command.env("MACHINE", account).env("SISPUSH_STATE", server.url("fleet"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let uploads = |count: usize, are_doomed: bool| {
        for _ in 0..count {
            assert_eq!(came.recv_timeout(LONG), Ok(are_doomed), "no more uploads came");
        }
    };
    let mut doomed = [machine(DOOMED), machine(DOOMED)];
    uploads(2, true);
    let others = [machine(USERNAME), machine(USERNAME)];
    // The two that live do what is free, and then wait for the two schools that the others are at.
    uploads(SCHOOLS - 2, false);
    for child in &mut doomed {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut pushed: BTreeMap<String, usize> = BTreeMap::new();
    for child in others {
        let result = ended(child);
        for mapping in result["mappings"].as_array().unwrap() {
            assert_eq!(mapping["exit_code"], 0, "{mapping}");
            let has_pushed = usize::from(mapping.get("already").is_none());
            *pushed.entry(mapping["name"].as_str().unwrap().to_owned()).or_default() += has_pushed;
        }
    }
    // Each by one of the two, and of the same outcome: all of its students are there.
    let names: BTreeSet<String> = (0..SCHOOLS).map(|number| format!("school{number:02}")).collect();
    assert_eq!(pushed, names.iter().map(|name| (name.clone(), 1)).collect());
    assert_eq!(arrived(&context), names.iter().map(|name| (name.clone(), STUDENTS)).collect());
    let mut runs: Vec<(usize, Run)> = Vec::new();
    let location = StateLocation::Postgres(Box::new(Connection::parse(&server.url("fleet")).unwrap()));
    let since = "2000-01-01T00:00:00Z".parse().unwrap();
    let history = wait(read_history(&location, since, None, |book, run| runs.push((book, run)))).unwrap().unwrap();
    assert_eq!(history.books.len(), SCHOOLS);
    for (book, identity) in history.books.iter().enumerate() {
        let of_book = || runs.iter().filter(|(of, _)| *of == book).map(|(_, run)| run);
        assert_eq!(of_book().filter(|run| run.ended_at.is_some()).count(), 1, "{}", identity.mapping);
    }
    // The two that were killed left theirs without an end.
    assert_eq!(runs.iter().filter(|(_, run)| run.ended_at.is_none()).count(), 2);
    assert_eq!(runs.len(), SCHOOLS + 2);
}

fn ended(child: Child) -> Value {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}
