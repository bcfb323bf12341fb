//! `explain`: one patron from the source row to what a push would send.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use insta::assert_snapshot;
use sispush::mapping::StateLocation;
use sispush::state::{Identity, State};
use support::context::{PASSWORD, TestContext, USERNAME};
use support::feeds;
use tds::TdsServer;

/// Pupils with a value for every kind of step, and one staff member.
const PUPILS: &str = "
    CREATE TABLE students (login text, given text, family text, email text, year integer, level integer, barcode text,
        form text, sex text, secret text);
    INSERT INTO students VALUES
        ('ann.lee', 'Ann', 'Lee', 'Ann.Lee@School.Example; second@school.example', 2026, 7, '0001    ', '7A', 'Female', 'canary-1'),
        ('Bob.Ray ', 'Zoe' || char(776), 'O''Ray' || char(10) || 'Jr', NULL, 2026, 8, '0002', NULL, 'divers', NULL),
        ('cem.oz', 'Cem', 'Oz', 'cem at home', 2026, NULL, '0003', '8B', 'm', 'canary-3'),
        ('dee.fox', 'Dee', 'Fox', 'dee.fox@school.example', 2026, 9, '0001', '9C', 'f', 'canary-4'),
        (NULL, 'Nobody', 'Knows', NULL, 2026, 9, '0009', '9C', 'f', 'canary-5'),
        ('eve.sun', 'Eve', 'Sun', 'eve.sun@school.example', 2026, 10, '0010', '10A', 'f', 'canary-6');
    CREATE TABLE staff (id integer, email text);
    INSERT INTO staff VALUES (7, 'mio.tanaka@school.example'), (8, NULL);";

fn school(more: &str) -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.sis(PUPILS).write(
        "students.sql",
        "SELECT login, given, family, email, year, level, barcode, form, sex, secret\nFROM students\nORDER BY rowid\n",
    );
    context.write(
        "school.yaml",
        format!(
            "version: 1
source: {{ url: \"sqlite:sis.db\" }}
target: {{ url: \"{}\", username: {USERNAME}, password: \"${{INFINITI_PASSWORD}}\" }}
state: state.db
users:
  - name: students
    query_file: students.sql
    columns:
      username: {{ column: LOGIN, transform: [lower] }}
      enabled: {{ value: true }}
      staffmember: {{ value: false }}
      givenname: given
      surname: family
      emailaddress: {{ column: email, transform: [{{ first_of: \";\" }}, lower] }}
      graduationyear: {{ template: \"{{{{ year + 12 - level }}}}\" }}
      librarybarcode: barcode
      gender: {{ column: sex, lookup: {{ male: M, female: F, m: M, f: F, \"*\": \"\" }} }}
      password: {{ template: \"x{{{{ secret }}}}\", send: create }}
      formclass: {{ column: form, default: \"none\" }}
  - name: staff
    query: |
      SELECT id, email
      FROM staff
      ORDER BY id
    columns:
      username: {{ template: \"t{{{{ id }}}}\" }}
      enabled: {{ value: true }}
      staffmember: {{ value: true }}
      emailaddress: {{ column: email, default: \"\" }}
      adminsystemid: id
{more}",
            context.sandbox().url()
        ),
    );
    context
}

/// The program's output without the times of the state.
fn explain(context: &TestContext, arguments: &[&str]) -> String {
    let said = context.run(&[&["explain", "school.yaml"], arguments].concat());
    regex::Regex::new(r"202[5-9]-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?|\[TIMESTAMP\]")
        .unwrap()
        .replace_all(&said, "[TIME]")
        .into_owned()
}

#[test]
fn every_step_is_shown_and_passwords_are_not() {
    let context = school("");
    assert_snapshot!("every_step", explain(&context, &["ANN.LEE"]));
    assert_snapshot!("every_step_json", explain(&context, &["ann.lee", "--format", "json"]));
    assert_snapshot!("blanks_and_marks", explain(&context, &["bob.ray"]));
    assert!(context.sandbox().requests().is_empty());
    assert!(!context.path("state.db").exists(), "looking makes no state");
    assert!(PASSWORD.contains("canary"), "the canary is looked for in every output");
}

#[test]
fn a_rejected_row_says_why() {
    let context = school("");
    assert_snapshot!("rejected", explain(&context, &["cem.oz"]));
    // A clash with a row before it is seen, since that one was read.
    assert_snapshot!("clash", explain(&context, &["dee.fox"]));
    assert_snapshot!("without_a_username", explain(&context, &["--row", "students:5"]));
}

#[test]
fn who_is_not_there_is_told_with_near_misses() {
    let context = school("");
    assert_snapshot!("near_miss", explain(&context, &["ann.le"]));
    assert_snapshot!("near_miss_json", explain(&context, &["ann.le", "--format", "json"]));
    assert_snapshot!("nobody", explain(&context, &["xyz"]));
    assert_snapshot!("no_such_row", explain(&context, &["--row", "staff:3"]));
}

#[test]
fn another_header_finds_the_row_too() {
    let context = school("");
    assert_snapshot!("by_barcode", explain(&context, &["0001"]));
    assert_snapshot!("by_address", explain(&context, &["MIO.TANAKA@school.example"]));
}

#[test]
fn what_is_typed_wrongly_is_told_before_anything_is_read() {
    let context = school("");
    context.write("sis.db", "no database");
    for arguments in [
        &["--row", "student:1"][..],
        &["--row", "5"],
        &["--row", "students:0"],
        &[" "],
        &[],
        &["a", "--row", "students:1"],
    ] {
        let said = explain(&context, arguments);
        assert!(said.starts_with("exit code 2\n"), "{said}");
    }
    assert_snapshot!("unknown_extract", explain(&context, &["--row", "student:1"]));
}

/// A school that was pushed once, in delta mode.
fn pushed(more: &str) -> TestContext {
    let context = school(&format!("mode: delta\nlimits: {{ max_rejections: 100%, max_drop: 100% }}\n{more}"));
    let told = context.run(&["push", "school.yaml"]);
    assert!(told.starts_with("exit code 1\n") && told.contains("accepted  4 rows"), "{told}");
    context
}

/// What `explain` says of the push, and of the state.
fn push_lines(said: &str) -> String {
    let is_wanted = |line: &&str| {
        ["state", "push", "leaver", "hold", "renamed?", "expected"].iter().any(|label| line.trim().starts_with(label))
            || line.contains("sent, changed")
            || line.contains("left out (")
    };
    said.lines().filter(is_wanted).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_state_says_what_a_push_would_send() {
    let context = pushed("");
    let sent = context.sandbox().requests().len();
    let of = |username: &str| push_lines(&explain(&context, &[username]));
    assert_snapshot!("unchanged", of("eve.sun"));
    context.sis("UPDATE students SET form = '11B', secret = 'canary-new' WHERE login = 'eve.sun'");
    assert_snapshot!("changed", of("eve.sun"));
    context.sis("UPDATE staff SET id = 17 WHERE id = 7; UPDATE students SET login = 'late.comer', barcode = '77' WHERE login IS NULL");
    assert_snapshot!("new", of("late.comer"));
    // With what the first push refused, and a username that only looks new.
    context.sis("UPDATE students SET login = 'eve.moon' WHERE login = 'eve.sun'");
    assert_snapshot!("renamed", of("eve.moon"));
    assert_snapshot!("leaver", explain(&context, &["EVE.SUN"]));
    assert_snapshot!("leaver_json", explain(&context, &["t7", "--format", "json"]));
    context.sis("UPDATE students SET email = 'nonsense' WHERE login = 'Bob.Ray '");
    assert_snapshot!("rejected_and_known", of("bob.ray"));
    assert_eq!(context.sandbox().requests().len(), sent);
}

/// What `explain` says is what the plan of a push says: both decide by the same code.
#[test]
fn a_push_does_what_was_explained() {
    let context = pushed("");
    context.sis("UPDATE students SET form = '11B', given = 'Eva' WHERE login = 'eve.sun'");
    let explained: serde_json::Value = json(&context, &["explain", "school.yaml", "eve.sun", "--format", "json"]);
    let planned = json(&context, &["diff", "school.yaml", "--format", "json"]);
    let change = &planned["mappings"][0]["plan"]["changes"][0];
    assert_eq!(change["username"], "eve.sun");
    assert_eq!(change["headers"], explained["push"]["changed"]);
    assert_eq!(change["reason"], explained["push"]["reason"]);
    context.run(&["push", "school.yaml"]);
    let patrons = context.sandbox().patrons();
    let eve = patrons.iter().find(|patron| patron["username"] == "eve.sun").unwrap();
    let headers = explained["headers"].as_array().unwrap();
    let mut compared = 0;
    for header in headers.iter().filter(|header| header["result"] == "sent") {
        assert_eq!(eve[header["header"].as_str().unwrap()], header["value"].as_str().unwrap());
        compared += 1;
    }
    assert_eq!(compared, 10);
}

fn json(context: &TestContext, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&context.output(arguments).stdout).unwrap()
}

#[test]
fn holds_and_expectations_are_told() {
    let context = school(
        "hold: [ { from: 2000-01-01, until: 2999-12-31, reason: year rollover } ]
expect:
  - { patron: ann.lee, is: { formclass: 7B } }
  - { patron: bob.ray, is: { formclass: none } }
  - { header: formclass, matches: '^[0-9]', severity: warn }
  - { header: formclass, one_of: [7A, 8B] }
  - { header: emailaddress, filled: 100% }
",
    );
    let of = |username: &str| push_lines(&explain(&context, &[username]));
    assert_snapshot!("hold_and_expectations", [of("ann.lee"), of("bob.ray")].join("\n\n"));
}

#[test]
fn neither_a_lock_nor_a_missing_state_is_in_the_way() {
    let context = school("");
    let none = push_lines(&explain(&context, &["--state", "none", "ann.lee"]));
    assert!(none.contains("state     none is kept"), "{none}");
    context.write("state.db", "no state");
    let said = explain(&context, &["ann.lee"]);
    assert!(said.starts_with("exit code 6\n"), "{said}");
    context.write("sis.db", "no database");
    let said = explain(&context, &["ann.lee", "--state", "none"]);
    assert!(said.starts_with("exit code 3\n"), "{said}");
}

/// Whoever looks waits for nobody, and leaves no trace.
#[test]
fn a_run_under_way_is_not_in_the_way_and_nothing_is_written() {
    let context = pushed("");
    let known = |context: &TestContext| {
        [&["state", "export", "school.yaml"][..], &["state", "show", "school.yaml"]]
            .map(|arguments| context.run(arguments))
    };
    let before = known(&context);
    let location = StateLocation::File(context.path("state.db"));
    let identity = Identity { mapping: "school".into(), target: format!("{}/", context.sandbox().url()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let held = runtime.block_on(State::open(&location, &identity)).unwrap().unwrap();
    assert!(context.run(&["push", "school.yaml"]).starts_with("exit code 6\n"), "the lock is held");
    context.sis("UPDATE students SET form = '11B' WHERE login = 'eve.sun'");
    let said = explain(&context, &["eve.sun"]);
    assert!(said.starts_with("exit code 0\n") && said.contains("changed in `formclass`"), "{said}");
    explain(&context, &["nobody"]);
    runtime.block_on(held.close());
    assert_eq!(known(&context), before);
}

/// A photo or an essay in a column does not flood the terminal.
#[test]
fn a_long_value_is_cut() {
    let context = school("");
    context.sis("UPDATE students SET family = replace(hex(zeroblob(35000)), '00', 'xx') WHERE login = 'eve.sun'");
    let said = explain(&context, &["eve.sun"]);
    assert!(said.contains("… (69,800 characters more)") && said.len() < 4_000, "{said}");
    assert!(said.contains("`surname` is 70000 bytes long"), "{said}");
}

/// Values stand on stdout alone, where they are asked for.
#[test]
fn no_value_reaches_a_log_or_an_error() {
    let context = school("");
    for arguments in [
        &["explain", "school.yaml", "cem.oz"][..],
        &["explain", "school.yaml", "nobody"],
        &["explain", "school.yaml", "--row", "students:5"],
        &["preview", "school.yaml", "--where", "surname=Lee"],
        &["preview", "school.yaml", "--columns"],
        &["preview", "school.yaml", "--rejected", "--out", "rejected.csv"],
    ] {
        let output = context.output(&[&["-vvv", "--log-file", "all.log"], arguments].concat());
        let log = std::fs::read_to_string(context.path("all.log")).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &log;
        assert!(said.contains("reading"), "{said}");
        for value in ["Nobody", "Knows", "at home", "Lee", "School.Example", "0009", "canary"] {
            assert!(!said.contains(value), "{value}: {said}");
        }
    }
}

#[test]
fn a_blank_that_is_sent_is_told() {
    let context = school("");
    let said = explain(&context, &["t8"]);
    assert!(said.contains("emailaddress   column email \"\" -> default \"\" -> sent as a blank\n"), "{said}");
    assert!(said.contains("warning   no `librarybarcode`: the patron cannot borrow\n"), "{said}");
}

/// Later extracts are not asked for once the row is found, and fail only whoever looks further.
#[test]
fn reading_stops_at_the_row() {
    let context = school("");
    context.sis("DROP TABLE staff");
    let said = explain(&context, &["eve.sun"]);
    assert!(said.starts_with("exit code 0\n") && said.contains("not read"), "{said}");
    let said = explain(&context, &["t7"]);
    assert!(said.starts_with("exit code 3\n") && said.contains("extract `staff` failed"), "{said}");
}

#[test]
fn a_large_school_is_searched_to_its_last_row() {
    let context = TestContext::new();
    context.students(30_000).mapping("state: none\n");
    let said = explain(&context, &["STUDENT30000"]);
    assert!(said.contains("student30000: students row 30000"), "{said}");
    let said = explain(&context, &["--row", "STUDENTS:20001"]);
    assert!(said.contains("student20001: students row 20001"), "{said}");
    let said = explain(&context, &["student30001"]);
    assert!(
        said.starts_with("exit code 1\n") && said.contains("students 30,000") && said.contains("did you mean"),
        "{said}"
    );
    // Of no rows at all, that is what is said.
    context.sis("DELETE FROM students");
    let said = explain(&context, &["student30000"]);
    assert!(said.contains("all rows were read: students 0"), "{said}");
}

#[test]
fn a_source_that_fails_says_so_as_in_a_push() {
    let context = school("");
    let mapping = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("librarybarcode: barcode", "librarybarcode: barcod"));
    assert_snapshot!("missing_column", explain(&context, &["ann.lee"]));
    context.write("school.yaml", mapping.replace("sqlite:sis.db", "postgres://u@127.0.0.1:1/sis"));
    let said = explain(&context, &["ann.lee"]);
    assert!(said.starts_with("exit code 3\n") && said.contains("could not open the source"), "{said}");
}

#[test]
fn a_wrong_password_of_the_source_is_told() {
    let server = TdsServer::start();
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", "canary-wrong");
    context.mapping_of(&server.source_lines(), support::context::STUDENTS_QUERY, "");
    let said = explain(&context, &["ann.lee", "--state", "none"]);
    assert!(said.starts_with("exit code 3\n") && said.contains("login refused"), "{said}");
}

#[test]
fn every_feed_has_a_block() {
    let context = feeds::school("mode: delta\n");
    assert_snapshot!("feeds_first", explain(&context, &["ann.lee"]));
    assert_snapshot!("feeds_first_json", explain(&context, &["ann.lee", "--format", "json"]));
    let told = context.run(&["push", "school.yaml"]);
    assert!(told.starts_with("exit code 1\n"), "{told}");
    let requests = context.sandbox().requests().len();
    assert_snapshot!("feeds_unchanged", explain(&context, &["dee.fox"]));
    context.sis("UPDATE guardians SET contact = '0412 999 999' WHERE kind = 'phone' AND login = 'ann.lee'");
    context.sis("INSERT INTO guardians VALUES ('bob.ray', 'phone', 'Al Ray', '0499 999 999')");
    context.write("photos/0001.jpg", feeds::png(61));
    assert_snapshot!("feeds_changed", explain(&context, &["ANN.LEE"]));
    // A good row more, and one that is rejected: Infiniti keeps what it has.
    assert_snapshot!("feeds_kept", explain(&context, &["bob.ray"]));
    context.sis("DELETE FROM library_groups WHERE login = 'dee.fox'");
    assert_snapshot!("feeds_gone", explain(&context, &["dee.fox"]));
    assert_snapshot!("feeds_no_account", explain(&context, &["nemo.kin"]));
    assert_snapshot!("feeds_rejected_picture", explain(&context, &["cem.oz"]));
    // What hangs on the account does not hide it.
    context.sis("DROP TABLE guardians");
    let said = explain(&context, &["cem.oz"]);
    assert!(said.starts_with("exit code 3\n") && said.contains("cem.oz: students row 3\n"), "{said}");
    assert!(said.contains("error: extract `guardians` failed\n"), "{said}");
    assert_eq!(context.sandbox().requests().len(), requests);
}
