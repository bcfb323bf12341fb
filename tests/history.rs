//! `history`: what past runs came to.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;
use support::context::TestContext;

/// An output without the minutes at which runs began, and without how long they took.
fn run(context: &TestContext, arguments: &[&str]) -> String {
    let text = context.run(arguments);
    let text =
        regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d").unwrap().replace_all(&text, "[MINUTE        ]").into_owned();
    let text = regex::Regex::new(r" {1,2}\d+ s\n").unwrap().replace_all(&text, " [S]\n").into_owned();
    regex::Regex::new("--approve [0-9a-f]{16}").unwrap().replace_all(&text, "--approve [PLAN]").into_owned()
}

/// A school with a run of each outcome.
fn school() -> TestContext {
    let context = TestContext::with_sandbox(&["reject=student0007"]);
    context.students(40).mapping("state: state.db\nmode: delta\n");
    context.output(&["push", "school.yaml"]);
    context.sis("UPDATE students SET email = 'canary at home' WHERE login = 'student0003'");
    context.output(&["push", "school.yaml"]);
    fs::rename(context.path("sis.db"), context.path("gone.db")).unwrap();
    context.output(&["push", "school.yaml"]);
    fs::rename(context.path("gone.db"), context.path("sis.db")).unwrap();
    context.sis("DELETE FROM students WHERE login > 'student0020'");
    context.output(&["push", "school.yaml"]);
    context.sis("UPDATE students SET email = NULL WHERE login = 'student0003'; DELETE FROM students WHERE login = 'student0007'");
    context.output(&["push", "school.yaml"]);
    context
}

#[test]
fn each_run_is_told_and_why_it_did_not_end_well() {
    let context = school();
    assert_snapshot!(run(&context, &["history", "school.yaml"]));
    let state = ["--state", "state.db"];
    assert_eq!(
        run(&context, &[&["history"], &state[..]].concat()).replace("MAPPING", "school.yaml"),
        run(&context, &["history", "school.yaml"])
    );
    assert_snapshot!(run(&context, &["history", "school.yaml", "--limit", "1"]));
    assert_snapshot!(run(&context, &["history", "school.yaml", "--since", "2999-01-01"]));
}

#[test]
fn json_has_every_run_with_its_summary() {
    let context = school();
    let runs = |more: &[&str]| -> Vec<Value> {
        let output = context.output(&[&["history", "school.yaml", "--format", "json"], more].concat());
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        value["runs"].as_array().unwrap().clone()
    };
    let all = runs(&[]);
    let codes: Vec<_> =
        all.iter().map(|run| (run["exit_code"].as_u64().unwrap(), run["outcome"].as_str().unwrap())).collect();
    assert_eq!(codes, [(5, "stopped"), (5, "stopped"), (3, "failed"), (1, "rejections"), (1, "rejections")]);
    assert!(all.iter().all(|run| run["file"] == "school.yaml"), "{all:?}");
    assert_eq!(all[3]["report"]["rejections_by_extract"]["students"]["email"], 1);
    assert_eq!(all[4]["report"]["created"], 39);
    assert_eq!(runs(&["--limit", "2"]), all[..2]);
}

/// The accounts' line, and one of each feed where something happened.
#[test]
fn a_feed_has_a_line_where_something_happened() {
    let context = TestContext::with_sandbox(&["reject@contacts=student0007"]);
    context.students(40).mapping_of_all_feeds("state: state.db\nmode: delta\n");
    context.output(&["push", "school.yaml"]);
    context.output(&["push", "school.yaml", "--feed", "groups"]);
    context.sis("UPDATE guardians SET address = 'canary at home' WHERE login = 'student0003'");
    context.output(&["push", "school.yaml"]);
    assert_snapshot!(run(&context, &["history", "school.yaml"]));
}

/// A run that was killed, or still runs, has no end.
#[test]
fn a_run_without_an_end_is_told_as_such() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: state.db\n");
    context.output(&["push", "school.yaml"]);
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    store.execute("UPDATE runs SET ended_at = NULL, exit_code = NULL", []).unwrap();
    assert_snapshot!(run(&context, &["history", "school.yaml"]));
    store.execute("UPDATE runs SET ended_at = started_at, exit_code = 130", []).unwrap();
    assert!(run(&context, &["history", "school.yaml"]).contains("interrupted"));
}

#[test]
fn what_was_never_pushed_has_no_history() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: state.db\n");
    assert_snapshot!(run(&context, &["history", "school.yaml"]));
    assert!(!context.path("state.db").exists(), "a look made a state");
    assert_snapshot!(run(&context, &["history", "school.yaml", "--state", "none"]));
    context.write("other.yaml", fs::read_to_string(context.path("school.yaml")).unwrap());
    context.output(&["push", "other.yaml"]);
    assert_snapshot!(run(&context, &["history", "school.yaml"]));
}

/// One mapping that cannot be read does not hide the others.
#[test]
fn a_folder_is_told_as_far_as_it_can_be_read() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: ../state.db\n");
    let school = fs::read_to_string(context.path("school.yaml")).unwrap().replace("sqlite:sis.db", "sqlite:../sis.db");
    fs::create_dir(context.path("schools")).unwrap();
    context.write("schools/a-good.yaml", &school);
    context.write("schools/b-good.yaml", &school);
    context.output(&["push", "schools"]);
    context.output(&["push", "schools"]);
    // They may have begun in the same second.
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    store.execute("UPDATE runs SET started_at = id * 60, ended_at = id * 60", []).unwrap();
    context.write("schools/c-broken.yaml", school.replace("version: 1", "version: 7"));
    assert_snapshot!(run(&context, &["history", "schools"]));
    assert_snapshot!(run(&context, &["history", "schools/c-broken.yaml"]));
}

#[test]
fn what_is_no_time_is_refused() {
    let context = TestContext::new();
    assert_snapshot!(context.run(&["history", "--since", "yesterday"]));
}
