//! `explain`: one patron from the source row to what a push would send.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use insta::assert_snapshot;
use support::context::{PASSWORD, TestContext, USERNAME};

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
