//! What a mapping expects of the data: `test`, and what a push does about it.

mod support;

use support::context::TestContext;
use support::feeds;

/// Two form classes, a row without an address, one address twice.
const PUPILS: &str = "
    CREATE TABLE students (login text, given text, family text, email text, year integer, barcode text, form text);
    INSERT INTO students VALUES
        ('ann', 'Ann', 'Lee', 'ann@school.example', 2030, '0001', '7A'),
        ('bob', 'Bob', 'Ray', 'shared@school.example', 2030, '0002', '7A'),
        ('cem', 'Cem', 'Oz', 'shared@school.example', 2029, '0003', '8B'),
        ('dee', 'Dee', 'Fox', NULL, 2031, '0004', 'canary-form');
    CREATE TABLE loads (at text);";

fn school(expect: &str) -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.sis(PUPILS).mapping(&format!("state: state.db\nexpect:\n{expect}"));
    context
}

#[test]
fn what_holds_is_told_with_its_measure() {
    let context = school(
        "  - { extract: students, rows: { min: 4, max: 500 } }
  - { rows: { min: 1 } }
  - { header: emailaddress, filled: 75% }
  - { header: emailaddress, filled: 3 }
  - { header: librarybarcode, unique: true }
  - { header: librarybarcode, matches: '^0[0-9]{3}$' }
  - { header: staffmember, one_of: ['no'] }
  - { header: graduationyear, range: { min: 2026, max: 2040 } }
  - { patron: ANN, is: { formclass: 7A, staffmember: false, preferredname: '' } }
",
    );
    insta::assert_snapshot!(context.run(&["test", "school.yaml"]));
}

#[test]
fn what_does_not_hold_is_told_with_counts_and_usernames_and_no_value() {
    let context = school(
        "  - { rows: { min: 10 } }
  - { header: emailaddress, filled: 95% }
  - { header: emailaddress, filled: 4, severity: warn }
  - { header: emailaddress, unique: true }
  - { header: formclass, matches: '^[0-9]+[A-Z]$' }
  - { header: formclass, one_of: [7A], severity: warn }
  - { header: graduationyear, range: { max: 2029 } }
  - { patron: ann, is: { formclass: 7B, surname: '', graduationyear: 2030 } }
  - { patron: nobody, is: { formclass: 7B } }
",
    );
    insta::assert_snapshot!(context.run(&["test", "school.yaml"]));
    let shown = context.output(&["test", "school.yaml", "--show-values"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("not so for 1 of 4 (dee): `canary-form`"), "{shown}");
    assert!(shown.contains("`formclass` is `7A`, `surname` is `Lee`"), "{shown}");
}

#[test]
fn an_error_stops_a_push_until_somebody_approves_it() {
    let context = school("  - { header: formclass, matches: '^[0-9]+[A-Z]$' }\n");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
    let plan = context.output(&["diff", "school.yaml", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let id = plan["mappings"][0]["plan"]["id"].as_str().unwrap().to_owned();
    assert_eq!(plan["mappings"][0]["expectations"][0]["outcome"], "failed");
    assert_eq!(plan["mappings"][0]["limits_exceeded"][0], "expect");
    // The approval was of a plan that failed one expectation, not two.
    context.mapping(
        "state: state.db\nexpect:\n  - { header: formclass, matches: '^[0-9]+[A-Z]$' }\n  - { rows: { min: 10 } }\n",
    );
    let other = context.run(&["push", "school.yaml", "--approve", &id]);
    assert!(other.starts_with("exit code 5\n"), "{other}");
    assert!(context.sandbox().requests().is_empty());
    context.mapping("state: state.db\nexpect:\n  - { header: formclass, matches: '^[0-9]+[A-Z]$' }\n");
    let approved = context.run(&["push", "school.yaml", "--approve", &id]);
    assert!(approved.starts_with("exit code 0\n"), "{approved}");
    assert_eq!(context.sandbox().patrons().len(), 4);
}

#[test]
fn a_warning_stands_in_the_report_of_a_push() {
    let context = school("  - { header: emailaddress, filled: 95%, severity: warn }\n");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert_eq!(context.sandbox().patrons().len(), 4);
}

#[test]
fn new_values_are_those_that_no_push_has_sent() {
    let context = school("  - { header: formclass, no_new_values: true }\n");
    let before = context.run(&["test", "school.yaml"]);
    assert!(
        before.contains("skipped   line 24, `formclass` has no new values: nothing to compare with yet"),
        "{before}"
    );
    let first = context.run(&["push", "school.yaml"]);
    assert!(first.starts_with("exit code 0\n"), "{first}");
    // Who moves from class to class brings no new one.
    context.sis("UPDATE students SET form = '8B' WHERE login = 'ann'");
    let moved = context.run(&["push", "school.yaml"]);
    assert!(moved.starts_with("exit code 0\n"), "{moved}");
    context.sis("UPDATE students SET form = '8 B' WHERE login IN ('ann', 'bob')");
    insta::assert_snapshot!(context.run(&["test", "school.yaml"]));
    let stopped = context.run(&["push", "school.yaml"]);
    assert!(stopped.starts_with("exit code 5\n"), "{stopped}");
    // A stopped push has sent nothing, so the value is as new as before.
    assert!(context.run(&["test", "school.yaml"]).starts_with("exit code 5\n"));
}

#[test]
fn a_class_that_nobody_has_today_is_no_new_one_tomorrow() {
    let context = school("  - { header: formclass, no_new_values: true }\n");
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET form = '7A' WHERE login = 'cem'");
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET form = '8B' WHERE login = 'cem'");
    let again = context.run(&["push", "school.yaml"]);
    assert!(again.starts_with("exit code 0\n"), "{again}");
}

/// The freshness queries of a SIS whose newest change is so old.
fn fresh(loads: &str, bounds: &str) -> String {
    let context = school(&format!("  - {{ freshness: {{ query: SELECT max(at) FROM loads, {bounds} }} }}\n"));
    context.sis(loads);
    context.run(&["test", "school.yaml"])
}

#[test]
fn data_that_are_too_old_are_told() {
    let two_days = "INSERT INTO loads VALUES (datetime('now', '-50 hours'))";
    let said = fresh(two_days, "warn_after: 3d");
    assert!(said.starts_with("exit code 0\n") && said.contains("ok        line 24, the data are fresh"), "{said}");
    let said = fresh(two_days, "warn_after: 1d, error_after: 3d");
    assert!(
        said.starts_with("exit code 0\n")
            && said.contains("warning   line 24, the data are fresh: the newest are 2 d old"),
        "{said}"
    );
    let said = fresh(two_days, "warn_after: 1d, error_after: 2d");
    assert!(
        said.starts_with("exit code 5\n")
            && said.contains("failed    line 24, the data are fresh: the newest are 2 d old"),
        "{said}"
    );
    let said = fresh("", "error_after: 2d");
    assert!(said.starts_with("exit code 5\n") && said.contains("the query gave no time: are there no data?"), "{said}");
    let said = fresh("INSERT INTO loads VALUES ('canary of last week')", "warn_after: 2d");
    assert!(said.starts_with("exit code 0\n") && said.contains("is no time; it is read year first"), "{said}");
    let said = fresh("INSERT INTO loads VALUES (datetime('now', '+14 hours'))", "error_after: 2d");
    assert!(
        said.starts_with("exit code 0\n") && said.contains("ok  ") && said.contains("the newest are 0 s old"),
        "{said}"
    );
}

/// Regression: the first day of next term was taken for a change that is fresh, now and whenever the data are stale.
#[test]
fn a_time_that_is_yet_to_come_tells_nothing_of_the_age() {
    for bounds in ["warn_after: 1d", "error_after: 2d"] {
        let said = fresh("INSERT INTO loads VALUES (datetime('now', '+3 days'))", bounds);
        assert!(said.starts_with("exit code 0\n") && said.contains("warning   line 24, "), "{said}");
        assert!(said.contains("a time that is yet to come; it must give that of the newest change"), "{said}");
    }
}

#[test]
fn a_freshness_query_that_fails_is_a_failed_source() {
    let context = school("  - { freshness: { query: SELECT max(changed) FROM loads, error_after: 1d } }\n");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
    let context = school("  - { freshness: { query: 'SELECT login, year FROM students', error_after: 1d } }\n");
    let said = context.run(&["test", "school.yaml"]);
    assert!(said.contains("the query must give one row of one column"), "{said}");
}

#[test]
fn programs_read_json_and_build_servers_junit() {
    let context = school(
        "  - { rows: { min: 4 } }
  - { header: emailaddress, filled: 95%, severity: warn }
  - { header: formclass, matches: '^[0-9]+<[A-Z]>$' }
  - { header: formclass, no_new_values: true }
",
    );
    context.write("broken.yaml", "version: 1\n");
    insta::assert_snapshot!("json", context.run(&["test", "school.yaml", "--format", "json"]));
    let junit = context.run(&["test", "broken.yaml", "school.yaml", "--format", "junit"]);
    let times = regex::Regex::new(r#"time="[0-9.]+""#).unwrap();
    insta::assert_snapshot!("junit", times.replace_all(&junit, r#"time="[TIME]""#));
}

#[test]
fn a_mapping_without_expectations_says_how_to_have_some() {
    let context = TestContext::new();
    context.sis(PUPILS).mapping("");
    insta::assert_snapshot!(context.run(&["test", "school.yaml"]));
}

#[test]
fn rejected_rows_and_failures_have_their_exit_codes() {
    let context = school("  - { rows: { min: 4 } }\n");
    context.sis("UPDATE students SET year = 30 WHERE login = 'ann'");
    let rejected = context.run(&["test", "school.yaml"]);
    assert!(
        rejected.starts_with("exit code 1\n")
            && rejected.contains("rejected  1 row; `sispush preview school.yaml --rejected` says"),
        "{rejected}"
    );
    let context = school("  - { patron: ann, is: { formclass: 7A } }\n");
    context.sis("UPDATE students SET year = 30 WHERE login = 'ann'");
    let judged = context.run(&["test", "school.yaml"]);
    assert!(judged.starts_with("exit code 5\n") && judged.contains("the row was rejected"), "{judged}");
    let context = school("  - { rows: { min: 4 } }\n");
    std::fs::remove_file(context.path("sis.db")).unwrap();
    let failed = context.run(&["test", "school.yaml"]);
    assert!(failed.starts_with("exit code 3\n") && failed.contains("could not be tested"), "{failed}");
}

/// An expectation that all schools share is told with its file, and so is the query that a patron comes from.
#[test]
fn what_a_base_expects_is_told_with_its_file() {
    let context = school("  - { rows: { min: 10 } }\n");
    std::fs::rename(context.path("school.yaml"), context.path("_base.yaml")).unwrap();
    context.write("school.yaml", "include: _base.yaml\n");
    insta::assert_snapshot!(context.run(&["test", "school.yaml"]));
    let json = context.output(&["test", "school.yaml", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let verdict = &json["mappings"][0]["expectations"][0];
    assert_eq!((verdict["base"].as_str(), verdict["line"].as_u64()), (Some("_base.yaml"), Some(24)), "{json:#}");
    let said = context.run(&["explain", "school.yaml", "ann"]);
    assert!(said.contains("1 line at _base.yaml:10"), "{said}");
    // The mapping's own list stands in its place.
    context.write("school.yaml", "include: _base.yaml\nexpect:\n  - { rows: { min: 4 } }\n");
    let said = context.run(&["test", "school.yaml"]);
    assert!(said.contains("line 3, rows") && !said.contains("at least 10"), "{said}");

    // Doctor has a line for each problem.
    context.write("_base.yaml", "mode: dleta\n");
    let said = context.run(&["doctor", "school.yaml"]);
    assert!(said.contains("_base.yaml, line 1: `dleta` is no value of `mode`"), "{said}");
    let said = context.run(&["check", "_base.yaml"]);
    assert!(said.contains("a file that begins with `_` is a base"), "{said}");
}

#[test]
fn every_feed_is_read() {
    let context = feeds::school("expect: [{ header: formclass, filled: 100% }]\n");
    let test = |arguments: &[&str]| context.run(&[&["test", "school.yaml"], arguments].concat());
    insta::assert_snapshot!("feeds", test(&[]));
    insta::assert_snapshot!("feeds_json", test(&["--format", "json"]));
    let junit = test(&["--format", "junit"]);
    let times = regex::Regex::new(r#"time="[0-9.]+""#).unwrap();
    insta::assert_snapshot!("feeds_junit", times.replace_all(&junit, r#"time="[TIME]""#));
    // No expectation is of the contacts, and a push would fail all the same.
    context.sis("DROP TABLE guardians");
    insta::assert_snapshot!("feeds_broken", test(&[]));
}
