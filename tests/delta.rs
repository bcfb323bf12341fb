//! Delta pushes, their rehearsal, limits, leavers and the state, through the program.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;
use std::time::Duration;

use insta::assert_snapshot;
use jiff::Timestamp;
use sispush::mapping::StateLocation;
use sispush::state::layer::{self, Patch};
use sispush::state::{Identity, Moment, State};
use support::context::TestContext;
use support::feeds;

/// A school of ten that was pushed once, in delta mode; `more` goes to the end of its mapping.
fn school(more: &str) -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.students(10).mapping(&format!("mode: delta\n{more}"));
    let told = context.run(&["push", "school.yaml"]);
    assert!(told.starts_with("exit code 0\n"), "{told}");
    context
}

/// The usernames that the loopback Infiniti holds as enabled.
fn enabled(context: &TestContext) -> Vec<String> {
    let patrons = context.sandbox().patrons();
    patrons.iter().filter(|patron| patron["enabled"] == "Y").map(|patron| patron["username"].clone()).collect()
}

/// Whether the last run told this.
fn assert_told(told: &str, exit_code: u8, words: &[&str]) {
    assert!(told.starts_with(&format!("exit code {exit_code}\n")), "{told}");
    for words in words {
        assert!(told.contains(words), "`{words}` is not in:\n{told}");
    }
}

/// The id of the plan that a run told of.
fn plan_id(context: &TestContext, arguments: &[&str]) -> String {
    let output = context.output(arguments);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    value["mappings"][0]["plan"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_night_sends_what_changed() {
    let context = school("");
    context.sis(
        "UPDATE students SET form = '8B', email = 'new@school.example' WHERE login = 'student0003';
         UPDATE students SET form = '8B' WHERE login = 'student0005';
         INSERT INTO students VALUES ('student0099', 'New', 'Comer', NULL, 2031, '000099', '7A');
         DELETE FROM students WHERE login = 'student0007'",
    );
    assert_snapshot!("a_night_rehearsed", context.run(&["diff", "school.yaml"]));
    assert_snapshot!("a_night_rehearsed_verbose", verbose(&context));
    assert_snapshot!("a_night_rehearsed_json", dates_away(&context.run(&["diff", "--format", "json", "school.yaml"])));
    assert_snapshot!("a_night_pushed", context.run(&["push", "school.yaml"]));
    let rows: Vec<usize> = context.sandbox().requests().iter().skip(1).map(|request| request.rows).collect();
    assert_eq!(rows, [2, 1], "two updates, then one new patron");
    assert_snapshot!("a_quiet_night", context.run(&["push", "school.yaml"]));
    assert_eq!(context.sandbox().requests().len(), 3);
}

/// A rehearsal with every patron; its log is left out.
fn verbose(context: &TestContext) -> String {
    let output = context.output(&["diff", "--verbose", "school.yaml"]);
    let text = String::from_utf8(output.stdout).unwrap();
    dates_away(&support::context::without_times_and_ports(&text))
        .replace(&context.folder().display().to_string(), "[FOLDER]")
}

/// Without days and times, which differ from run to run.
fn dates_away(text: &str) -> String {
    regex::Regex::new(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?").unwrap().replace_all(text, "[DAY]").into_owned()
}

#[test]
fn everybody_is_sent_when_that_is_asked_for_or_due() {
    let context = school("full_every: 7d\n");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 10 unchanged", "nothing to send"]);
    assert_told(&context.run(&["push", "--full", "school.yaml"]), 0, &["full: 10 sent again"]);
    let state = context.path(".local/state/sispush/state.db");
    let store = rusqlite::Connection::open(&state).unwrap();
    for (facts, words) in [
        // Eight days ago, and in the future: the clock went back.
        ("full_at - 8 * 86400", "full, since the last one is longer ago than `full_every`: 10 sent again"),
        ("full_at + 86400", "full, since the last one is longer ago than `full_every`: 10 sent again"),
    ] {
        let full_at = facts.replace("full_at", "json_extract(facts, '$.full_at')");
        store.execute(&format!("UPDATE books SET facts = json_set(facts, '$.full_at', {full_at})"), []).unwrap();
        assert_told(&context.run(&["diff", "school.yaml"]), 0, &[words]);
        assert_told(&context.run(&["push", "--delta", "school.yaml"]), 0, &["delta: 10 unchanged"]);
        assert_told(&context.run(&["push", "school.yaml"]), 0, &[words]);
    }
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 10 unchanged"]);
}

#[test]
fn a_mapping_that_fills_other_headers_sends_everybody() {
    let context = school("");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("      formclass: form\n", "      preferredname: given\n"));
    let told = context.run(&["push", "school.yaml"]);
    assert_told(
        &told,
        0,
        &["full, since the mapping fills other headers than before: 10 changed (formclass 10, preferredname 10)"],
    );
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 10 unchanged"]);
}

#[test]
fn a_refused_patron_is_sent_again() {
    let context = TestContext::with_sandbox(&["rejectx2=student0002"]);
    context.students(3).mapping("mode: delta\n");
    assert_told(&context.run(&["push", "school.yaml"]), 1, &["refused   1 row"]);
    assert_told(&context.run(&["push", "school.yaml"]), 1, &["delta: 1 refused last time, 2 unchanged", "refused   1"]);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 1 refused last time, 2 unchanged", "1 created"]);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 3 unchanged"]);
}

/// Regression: as long as leavers are in grace nothing is sent, and the approval of three missing rows was one of any number.
#[test]
fn an_approval_of_missing_rows_is_for_those_alone() {
    let context = school("limits: { max_drop: 2 }\nleavers: { action: deactivate, after: 3d }\n");
    context.sis("DELETE FROM students WHERE login < 'student0004'");
    assert_told(&context.run(&["push", "school.yaml"]), 5, &["3 fewer", "nothing was sent"]);
    let id = plan_id(&context, &["diff", "--format", "json", "school.yaml"]);
    context.sis("DELETE FROM students WHERE login < 'student0009'");
    assert_told(&context.run(&["push", "--approve", &id, "school.yaml"]), 5, &["which was approved", "8 fewer"]);
    let id = plan_id(&context, &["diff", "--format", "json", "school.yaml"]);
    assert_told(&context.run(&["push", "--approve", &id, "school.yaml"]), 0, &["nothing to send"]);
}

/// Regression: the command held only where, and for whom, the push had run.
#[test]
fn the_command_of_an_approval_names_the_state_that_was_typed() {
    let context = TestContext::with_sandbox(&[]);
    context.students(10).mapping("mode: delta\nlimits: { min_rows: 50 }\n");
    let told = context.run(&["push", "--state", "other state.db", "school.yaml"]);
    assert_told(&told, 5, &["`sispush push school.yaml --state 'other state.db' --approve "]);
}

#[test]
fn an_approval_is_for_one_plan_once() {
    let context = school("limits: { max_updates: 5 }\n");
    context.sis("UPDATE students SET form = '8A' WHERE login > 'student0002'");
    assert_snapshot!("over_a_limit", context.run(&["push", "school.yaml"]));
    assert_eq!(context.sandbox().requests().len(), 1);
    let id = plan_id(&context, &["diff", "--format", "json", "school.yaml"]);
    assert_snapshot!("another_plan_approved", context.run(&["push", "--approve", "0123456789abcdef", "school.yaml"]));
    // The plan changed after it was looked at.
    context.sis("UPDATE students SET form = '8B' WHERE login = 'student0001'");
    let told = context.run(&["push", "--approve", &id, "school.yaml"]);
    assert_told(&told, 5, &["which was approved", "nothing was sent"]);
    assert_eq!(context.sandbox().requests().len(), 1);
    let id = plan_id(&context, &["push", "--format", "json", "school.yaml"]);
    assert_told(&context.run(&["push", "--approve", &id, "school.yaml"]), 0, &["9 updated"]);
    assert_eq!(context.sandbox().requests().len(), 2);
    // In full mode the next night would do the very same: the approval is used up all the same.
    context.mapping("limits: { min_rows: 50 }\n");
    let id = plan_id(&context, &["push", "--format", "json", "school.yaml"]);
    assert_told(&context.run(&["push", "--approve", &id, "school.yaml"]), 0, &["10 updated"]);
    assert_told(&context.run(&["push", "--approve", &id, "school.yaml"]), 5, &["which was approved"]);
    assert_told(&context.run(&["push", "school.yaml"]), 5, &["`min_rows` is 50"]);
}

/// The command that is told comes to the very plan: with the state, the mode, and a path that a shell would take apart.
#[cfg(unix)]
#[test]
fn the_command_that_approves_is_the_one_to_type() {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("STATE_FOLDER", "by reference");
    context.students(20).mapping("mode: delta\nlimits: { max_drop: 10% }\n");
    let folder = "Schüler's $HOME & more";
    fs::create_dir(context.path(folder)).unwrap();
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let file = format!("{folder}/school.yaml");
    context.write(&file, mapping.replace("sqlite:sis.db", "sqlite:../sis.db"));
    let state = "${STATE_FOLDER} here.db";
    let push = ["push", &file, "--full", "--despite-hold", "--state", state];
    assert_told(&context.run(&push), 0, &["20 created"]);
    context.sis("DELETE FROM students WHERE login > 'student0010'");
    let told = |words: Option<&str>| {
        let mut command = context.command(&push);
        command.envs(words.map(|words| ("SISPUSH_BY_HAND", words)));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    // As a service begins it, which takes `$` of a word for a variable.
    let by_service = told(Some("systemd-run --pipe /opt/sispush"));
    let start = r"`systemd-run --pipe /opt/sispush push 'Schüler'\''s $$HOME & more/school.yaml' --full --despite-hold --state '$${STATE_FOLDER} here.db' --approve ";
    assert!(by_service.contains(start), "{by_service}");
    let told = told(None);
    let (_, command) = told.split_once("if all of it is right, `").unwrap();
    let (command, _) = command.split_once("` carries out").unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_sispush")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let output = context.shell(command).env("PATH", &path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("10 updated"));
}

#[test]
fn leavers_are_told_and_deactivated_after_their_grace() {
    let context = school("leavers: { action: deactivate, after: 2d }\nlimits: { max_drop: 90% }\n");
    context.sis("DELETE FROM students WHERE login < 'student0003'");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["leavers   2 patrons", "2 since tonight, 2 in grace"]);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["2 in grace (student0001, student0002)"]);
    missing_for(&context, &["student0001", "student0002"], Duration::from_hours(49));
    assert_eq!(enabled(&context).len(), 10);
    // One is back before the night that would deactivate both.
    context.sis(&student(2));
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["1 to be deactivated", "1 deactivated"]);
    assert_eq!(enabled(&context).len(), 9);
    let patrons = context.sandbox().patrons();
    let gone = patrons.iter().find(|patron| patron["username"] == "student0001").unwrap();
    assert_eq!((gone["enabled"].as_str(), gone["staffmember"].as_str()), ("N", "N"));
    assert_eq!(gone["surname"], "Family1", "the other fields stay");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 9 unchanged", "nothing to send"]);
    context.sis(&student(1));
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["1 back again"]);
    assert_eq!(enabled(&context).len(), 10);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 10 unchanged"]);
}

/// Regression: who was back on a night that a limit stopped, and missing again on the next one, was deactivated at once.
#[test]
fn a_stopped_night_sees_who_is_back() {
    let context = school("leavers: { action: deactivate, after: 2d }\nlimits: { max_updates: 0 }\n");
    context.sis("DELETE FROM students WHERE login = 'student0001'");
    context.run(&["push", "school.yaml"]);
    missing_for(&context, &["student0001"], Duration::from_hours(47));
    context.sis(&format!("{}; UPDATE students SET form = '8A' WHERE login = 'student0002'", student(1)));
    assert_told(&context.run(&["push", "school.yaml"]), 5, &["limits.max_updates"]);
    context.sis("DELETE FROM students WHERE login = 'student0001'; UPDATE students SET form = '7A'");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["1 since tonight, 1 in grace"]);
    missing_for(&context, &["student0001"], Duration::from_hours(49));
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["1 deactivated"]);
}

/// A student of the school as [`TestContext::students`] makes them.
fn student(number: u32) -> String {
    format!(
        "INSERT INTO students VALUES ('student000{number}', 'Given{number}', 'Family{number}',
           'student000{number}@school.example', {}, '00000{number}', '7A')",
        2030 + number % 6
    )
}

/// Lets the state believe that these patrons have been missing for so long.
fn missing_for(context: &TestContext, usernames: &[&str], time: Duration) {
    let location = StateLocation::File(context.path(".local/state/sispush/state.db"));
    let identity = Identity { mapping: "school".into(), target: format!("{}/", context.sandbox().url()) };
    let since = Moment::from(Timestamp::now() - time);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut state = State::open(&location, &identity).await.unwrap().unwrap();
        let mut left = usernames.iter();
        let missing = layer::pages(|page| {
            let Some(username) = left.next() else { return false };
            page.add(&Patch { missing: Some(Some(since)), ..Patch::of(username, false) });
            true
        });
        state.arrive(missing).await.unwrap();
        state.close().await;
    });
}

#[test]
fn nobody_is_deactivated_by_a_broken_night() {
    let context = school(
        "leavers: { action: deactivate, after: 0d }\nlimits: { max_drop: 100%, min_rows: 0, max_rejections: 100% }\n",
    );
    // An extract without rows, let through on purpose.
    context.sis(
        "ALTER TABLE students RENAME TO all_students; CREATE TABLE students AS SELECT * FROM all_students LIMIT 0",
    );
    let told = context.run(&["push", "school.yaml"]);
    assert_told(&told, 0, &["10 waiting", "nobody is deactivated now, since extract `students` gave no rows"]);
    // Rows that lost their username may be anybody's.
    context.sis(
        "INSERT INTO students SELECT * FROM all_students; UPDATE students SET login = NULL WHERE login = 'student0004'",
    );
    let told = context.run(&["push", "school.yaml"]);
    assert_told(&told, 1, &["nobody is deactivated now, since 1 rejected row without a username may be theirs"]);
    // A row that is rejected has not left.
    context.sis("DELETE FROM students; INSERT INTO students SELECT * FROM all_students; UPDATE students SET email = 'x' WHERE login = 'student0004'");
    let told = context.run(&["push", "school.yaml"]);
    assert_told(&told, 1, &["delta: 9 unchanged"]);
    assert!(!told.contains("leavers"), "{told}");
    assert_eq!(enabled(&context).len(), 10);
    assert_eq!(context.sandbox().requests().len(), 1);
}

#[test]
fn a_changed_username_is_held_until_it_is_said_what_it_is() {
    let context = school("leavers: { action: deactivate, after: 0d }\n");
    // Infiniti knows the person by the admin id; a barcode it would not give to two patrons.
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("      librarybarcode: barcode\n", "      adminsystemid: barcode\n"));
    context.run(&["push", "school.yaml"]);
    context.sis("UPDATE students SET login = 'married0003', email = 'm@school.example' WHERE login = 'student0003'");
    assert_snapshot!("a_changed_username", context.run(&["push", "school.yaml"]));
    assert_eq!(context.sandbox().requests().len(), 2);
    let separate = context.run(&["diff", "--renames", "separate", "school.yaml"]);
    assert_told(&separate, 0, &["1 new, 1 to be deactivated, 9 unchanged"]);
    let told = context.run(&["push", "--renames", "realigned", "school.yaml"]);
    assert_told(&told, 0, &["1 new, 9 unchanged", "`student0003` -> `married0003`", "accepted  1 row"]);
    let told = context.run(&["push", "school.yaml"]);
    assert_told(&told, 0, &["delta: 10 unchanged"]);
    assert!(!told.contains("leavers"), "the old username is forgotten: {told}");
}

/// Regression: the old username was forgotten although Infiniti had refused the new one.
#[test]
fn an_old_username_stays_known_until_the_new_one_is_accepted() {
    let context = school("");
    context.sis("UPDATE students SET login = 'married0003' WHERE login = 'student0003'");
    // It was not changed in Infiniti, which knows the barcode as the old one's.
    let told = context.run(&["push", "--renames", "realigned", "school.yaml"]);
    assert_told(&told, 1, &["refused   1 row"]);
    let known = context.run(&["state", "show", "school.yaml", "student0003"]);
    assert_told(&known, 0, &["standing  active"]);
}

#[test]
fn headers_for_new_patrons_go_to_new_patrons_only() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("mode: delta\n");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let mapping = mapping
        .replace("      formclass: form\n", "      formclass: form\n      password: { column: form, send: create }\n");
    context.write("school.yaml", &mapping);
    let told = context.run(&["push", "school.yaml"]);
    assert_told(&told, 0, &["left out  `password` (`send: create`): in the first push nobody knows who is new"]);
    context.sis("INSERT INTO students VALUES ('later', 'A', 'B', NULL, 2031, '9', 'first'); UPDATE students SET given = 'C' WHERE login = 'student0001'");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["1 new, 1 changed (givenname 1)"]);
    let passwords: Vec<Option<String>> =
        context.sandbox().patrons().iter().map(|patron| patron.get("password").cloned()).collect();
    assert_eq!(passwords.iter().flatten().count(), 1, "{passwords:?}");

    let fresh = TestContext::with_sandbox(&[]);
    fresh.students(2).mapping("");
    fresh.write("school.yaml", mapping.replace(&context.sandbox().url(), &fresh.sandbox().url()));
    assert_told(&fresh.run(&["push", "--all-new", "school.yaml"]), 0, &["2 created"]);
    assert!(fresh.sandbox().patrons().iter().all(|patron| patron.contains_key("password")));
}

#[test]
fn a_hold_keeps_still() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("hold: [ { from: 2000-01-01, until: 2999-12-31, reason: year rollover } ]\n");
    assert_snapshot!("on_hold", context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
    assert_told(&context.run(&["diff", "school.yaml"]), 0, &["hold      from 2000-01-01", "would send 2 rows"]);
    assert_told(&context.run(&["push", "--despite-hold", "school.yaml"]), 0, &["2 created"]);
    context.mapping("hold: [ { from: 2000-01-01, until: 2000-01-31, reason: long ago } ]\n");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["2 sent again"]);
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved() {
    // Of a hundred, the first two batches are refused: the whole, and its first half.
    let context = TestContext::with_sandbox(&["400x2"]);
    context.students(100).mapping("mode: delta\n");
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["sent      100 rows", "in 3 batches", "100 created"]);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 100 unchanged"]);
    // Whoever refuses everything is not asked for ever, and what was not sent is sent next time.
    let context = TestContext::with_sandbox(&["400x70"]);
    context.students(100).mapping("mode: delta\n");
    assert_told(&context.run(&["push", "school.yaml"]), 4, &["not sent"]);
    let asked = context.sandbox().requests().len();
    assert!((60..=70).contains(&asked), "{asked} requests");
}

#[test]
fn the_state_can_be_looked_at_and_mended() {
    let context = school("");
    let show = |arguments: &[&str]| dates_away(&context.run(arguments));
    assert_snapshot!("state_show", show(&["state", "show", "school.yaml"]));
    assert_snapshot!("state_show_patrons", show(&["state", "show", "school.yaml", "STUDENT0002", "nobody"]));
    assert_snapshot!("state_show_json", show(&["state", "show", "--format", "json", "school.yaml", "student0002"]));
    assert_snapshot!("state_export", show(&["state", "export", "school.yaml"]));
    assert_snapshot!("state_forget", show(&["state", "forget", "school.yaml", "student0002", "nobody"]));
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 1 new, 9 unchanged"]);
    assert_snapshot!("state_rebase", show(&["state", "rebase", "school.yaml"]));
    assert_told(
        &context.run(&["push", "school.yaml"]),
        0,
        &["full, since there was none before: 10 of unknown outcome last time"],
    );
    let stranger = TestContext::with_target("https://other.example");
    stranger.mapping("");
    assert_snapshot!("state_of_nothing", stranger.run(&["state", "rebase", "school.yaml"]));
    assert!(!stranger.path(".local").exists());
}

#[test]
fn a_mapping_may_keep_no_state() {
    let context = TestContext::with_sandbox(&[]);
    context.students(2).mapping("state: none\n");
    for _ in 0..2 {
        assert_told(&context.run(&["push", "school.yaml"]), 0, &["full: 2 new"]);
    }
    assert!(!context.path(".local").exists());
    assert_told(&context.run(&["push", "--state", "here.db", "school.yaml"]), 0, &["full: 2 new"]);
    assert!(context.path("here.db").exists());
}

#[test]
fn another_target_is_another_school() {
    let context = school("");
    let other = TestContext::with_sandbox(&[]);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace(&context.sandbox().url(), &other.sandbox().url()));
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["full, since there was none before: 10 new"]);
    assert_eq!(other.sandbox().patrons().len(), 10);
    context.write("school.yaml", mapping);
    assert_told(&context.run(&["push", "school.yaml"]), 0, &["delta: 10 unchanged"]);
}

/// What each feed has of a patron is looked at, and mended, in one command or feed by feed.
#[test]
fn the_state_of_every_feed() {
    let context = feeds::school("mode: delta\n");
    let times = regex::Regex::new(r"202[5-9]-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap();
    let state = |arguments: &[&str]| {
        let said = context.run(&[&["state"], arguments].concat());
        times.replace_all(&said, "[TIMESTAMP]").into_owned()
    };
    let push = || context.run(&["push", "school.yaml"]);
    let told = push();
    assert!(told.starts_with("exit code 1\n"), "{told}");
    assert_snapshot!("feeds_show", state(&["show", "school.yaml"]));
    assert_snapshot!("feeds_show_contacts", state(&["show", "school.yaml", "--feed", "contacts"]));
    assert_snapshot!("feeds_show_patron", state(&["show", "school.yaml", "--feed", "groups", "ANN.LEE", "nobody"]));
    let json = state(&["show", "school.yaml", "--format", "json", "ann.lee"]);
    let plan = regex::Regex::new(r#""plan": "[0-9a-f]{16}""#).unwrap();
    assert_snapshot!("feeds_show_json", plan.replace_all(&json, r#""plan": "[PLAN]""#));
    assert_snapshot!("feeds_export", state(&["export", "school.yaml", "--feed", "images"]));
    // The pictures know a patron by another key.
    assert_snapshot!("feeds_forget", state(&["forget", "school.yaml", "ann.lee", "nobody"]));
    assert_told(&push(), 1, &["1 new, 3 unchanged", "contacts", "1 new, 1 unchanged"]);
    assert_snapshot!("feeds_forget_one", state(&["forget", "school.yaml", "ann.lee", "--feed", "contacts"]));
    assert_told(&push(), 1, &["4 unchanged", "1 new, 1 unchanged"]);
    assert_snapshot!("feeds_rebase_one", state(&["rebase", "school.yaml", "--feed", "groups"]));
    assert_snapshot!("feeds_rebase", state(&["rebase", "school.yaml"]));
}

/// A mend makes no book of a feed that was never sent.
#[test]
fn what_was_never_sent_is_not_mended() {
    let context = feeds::school("");
    let told = context.run(&["push", "school.yaml", "--feed", "users"]);
    assert!(told.starts_with("exit code 0\n"), "{told}");
    assert_snapshot!("feeds_mend_unknown", context.run(&["state", "rebase", "school.yaml", "--feed", "groups"]));
    assert_snapshot!("feeds_mend_users", context.run(&["state", "forget", "school.yaml", "ann.lee"]));
    let said = context.run(&["state", "export", "school.yaml", "--feed", "contacts"]);
    assert!(said.starts_with("exit code 2\n"), "{said}");
}
