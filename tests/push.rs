//! `push` from a real database into the sandbox.

mod support;

use std::fs;

use insta::assert_snapshot;
use support::context::{PASSWORD, STUDENTS_QUERY, TestContext};

#[test]
fn everybody_arrives_field_by_field() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2_000).mapping("");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    let patrons = context.sandbox().patrons();
    assert_eq!(patrons.len(), 2_000);
    let first = &patrons[0];
    let expected = [
        ("username", "student0001"),
        ("enabled", "Y"),
        ("staffmember", "N"),
        ("givenname", "Given1"),
        ("surname", "Family1"),
        ("emailaddress", "student0001@school.example"),
        ("graduationyear", "2031"),
        ("librarybarcode", "000001"),
        ("formclass", "7A"),
    ];
    for (header, value) in expected {
        assert_eq!(first.get(header).map(String::as_str), Some(value), "{header}");
    }
}

#[test]
fn a_second_push_updates() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("");
    context.run(&["push", "school.yaml"]);
    assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn a_rehearsal_sends_nothing() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("");
    assert_snapshot!(context.run(&["push", "--dry-run", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
}

#[test]
fn nothing_is_contacted_by_preview_and_check() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("");
    context.run(&["preview", "school.yaml"]);
    context.run(&["check", "school.yaml"]);
    assert!(context.sandbox().requests().is_empty());
}

#[test]
fn rejected_rows_are_told_and_the_others_go_on() {
    let context = TestContext::with_sandbox(&[]);
    context.students(4).sis(
        "UPDATE students SET email = 'canary at home' WHERE login = 'student0001';
         UPDATE students SET barcode = '000003' WHERE login = 'student0002';
         INSERT INTO students (login, year) VALUES (NULL, 2030), ('STUDENT0004', 2031), ('five', NULL), ('six', 2032);
         UPDATE students SET family = 'Canary' || char(10) || 'Smith' WHERE login = 'six'",
    );
    context.mapping("limits: { max_rejections: 100% }\n");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    let patrons: Vec<_> = context.sandbox().patrons().iter().map(|patron| patron["username"].clone()).collect();
    assert_eq!(patrons, ["six"]);
}

#[test]
fn blanks_clear_nothing_unless_the_mapping_says_so() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("");
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET email = NULL, form = '  ' WHERE login = 'student0001'");
    context.run(&["push", "school.yaml"]);
    let first = &context.sandbox().patrons()[0];
    assert_eq!(first["emailaddress"], "student0001@school.example");
    assert_eq!(first["formclass"], "7A");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("formclass: form", "formclass: { column: form, default: \"\" }"));
    context.run(&["push", "school.yaml"]);
    let first = &context.sandbox().patrons()[0];
    assert_eq!(first["emailaddress"], "student0001@school.example");
    assert_eq!(first.get("formclass").map_or("", String::as_str), "");
}

#[test]
fn batches_hold_as_many_rows_as_the_mapping_says() {
    let context = TestContext::with_sandbox(&[]);
    context.students(25).mapping("");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("  username: autoimport", "  username: autoimport\n  batch_rows: 10"));
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    let rows: Vec<_> = context.sandbox().requests().iter().map(|request| request.rows).collect();
    assert_eq!(rows, [10, 10, 5]);
}

#[test]
fn no_rows_stop_the_push() {
    let context = TestContext::with_sandbox(&[]);
    context.students(0).mapping("");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
    context.mapping("limits: { min_rows: 0 }\n");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn too_many_rejections_stop_the_push() {
    let context = TestContext::with_sandbox(&[]);
    context.students(20).sis("UPDATE students SET email = 'x' WHERE login > 'student0010'");
    context.mapping("limits: { max_rejections: 10% }\n");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
}

/// A query without its filter gives everybody twice, and every row of a clash is rejected.
#[test]
fn everybody_twice_stops_the_push() {
    let context = TestContext::with_sandbox(&[]);
    context.students(10).sis("INSERT INTO students SELECT * FROM students").mapping("");
    let told = context.run(&["push", "school.yaml"]);
    assert!(told.contains("stopped: 20 of 20 rows were rejected, and `limits.max_rejections` is 25 %"), "{told}");
    assert!(told.starts_with("exit code 5\n"), "{told}");
    assert!(context.sandbox().requests().is_empty());
}

#[test]
fn one_school_that_fails_does_not_stop_the_others() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("");
    let good = fs::read_to_string(context.path("school.yaml")).unwrap();
    fs::create_dir(context.path("schools")).unwrap();
    let good = good.replace("sqlite:sis.db", "sqlite:../sis.db");
    context.write("schools/a-broken.yaml", good.replace("version: 1", "version: 2"));
    context.write("schools/b-gone.yaml", good.replace("sis.db", "gone.db"));
    context.write("schools/c-good.yaml", &good);
    assert_snapshot!(context.run(&["push", "schools"]));
    assert_eq!(context.sandbox().patrons().len(), 2);
}

#[test]
fn json_has_every_field() {
    let context = TestContext::with_sandbox(&["reject=student0002"]);
    context.students(3).sis("UPDATE students SET email = 'x' WHERE login = 'student0003'").mapping("");
    assert_snapshot!(context.run(&["push", "--format", "json", "school.yaml"]));
}

#[test]
fn preview_masks_passwords() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("      password: { column: given, send: create }\n");
    context.sis("UPDATE students SET given = 'canary' || login");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("      givenname: given\n", ""));
    for format in ["table", "csv", "json"] {
        assert_snapshot!(format!("preview_{format}"), context.run(&["preview", "--format", format, "school.yaml"]));
    }
}

#[test]
fn preview_stops_at_its_limit() {
    let context = TestContext::with_sandbox(&[]);
    context.students(50_000).mapping("");
    let text = context.run(&["preview", "--limit", "2", "--format", "csv", "school.yaml"]);
    assert_snapshot!(text);
}

#[test]
fn equal_rows_give_equal_bytes_in_any_order() {
    let context = TestContext::with_sandbox(&[]);
    context.students(500).mapping("");
    let first = context.output(&["preview", "--format", "csv", "school.yaml"]).stdout;
    context.sis("CREATE TABLE other AS SELECT * FROM students ORDER BY random(); DROP TABLE students; ALTER TABLE other RENAME TO students");
    let second = context.output(&["preview", "--format", "csv", "school.yaml"]).stdout;
    assert_eq!(first, second);
}

/// A base in a folder above, with the queries, the account and its password; each school has its own database and address.
#[test]
fn two_schools_share_a_base() {
    let context = TestContext::with_sandbox(&[]);
    context.mapping("limits: { max_rejections: 0 }\nstate: state/all.db\n");
    let whole = fs::read_to_string(context.path("school.yaml")).unwrap();
    fs::remove_file(context.path("school.yaml")).unwrap();
    let query = STUDENTS_QUERY;
    let base = whole
        .replace("source:\n  url: sqlite:sis.db\n", "")
        .replace(&format!("  url: {}\n", context.sandbox().url()), "")
        .replace("${INFINITI_PASSWORD}", "${file:password.txt}")
        .replace(&format!("query: |\n      {query}"), "query_file: students.sql");
    fs::create_dir_all(context.path("shared")).unwrap();
    fs::create_dir_all(context.path("schools")).unwrap();
    context.write("shared/base.yaml", base).write("shared/students.sql", query).write("shared/password.txt", PASSWORD);
    #[cfg(unix)]
    fs::set_permissions(context.path("shared/password.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for (school, count) in [("st-johns", 2), ("st-marys", 3)] {
        context
            .students(count)
            .sis(&format!("UPDATE students SET login = '{school}-' || login, barcode = '{school}-' || barcode"));
        fs::rename(context.path("sis.db"), context.path(&format!("schools/{school}.db"))).unwrap();
        let url = context.sandbox().url();
        let text = format!(
            "include: ../shared/base.yaml\nsource: {{ url: \"sqlite:{school}.db\" }}\ntarget: {{ url: \"{url}\" }}\n"
        );
        context.write(&format!("schools/{school}.yaml"), text);
    }
    assert_snapshot!(context.run(&["push", "schools"]));
    let names: Vec<String> = context.sandbox().patrons().iter().map(|patron| patron["username"].clone()).collect();
    assert_eq!(
        names,
        [
            "st-johns-student0001",
            "st-johns-student0002",
            "st-marys-student0001",
            "st-marys-student0002",
            "st-marys-student0003"
        ]
    );
    // One file, in which each mapping has a place of its own.
    assert!(context.path("shared/state/all.db").is_file());

    fs::remove_file(context.path("shared/password.txt")).unwrap();
    assert_snapshot!(context.run(&["push", "schools"]));
}
