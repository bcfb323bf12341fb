//! `preview` and what of it is shown, and where.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::fs;

use insta::assert_snapshot;
use support::context::TestContext;
use support::feeds;
use tds::TdsServer;

/// Pupils of whom some break a rule.
const PUPILS: &str = "
    CREATE TABLE students (login text, given text, family text, email text, year integer, barcode text, form text);
    INSERT INTO students VALUES
        ('ann.lee', 'Ann', 'Lee', 'ann.lee@school.example', 2031, '0001', '7A'),
        ('bob.ray', 'Bob', 'Ray', NULL, 2031, '0002', '7a'),
        ('cem.oz', 'Cem', 'Oz', 'cem at home', 2030, '0003', '8B'),
        ('dee.fox', 'Dee', 'Fox', 'dee.fox@school.example', 2029, '0001', '7A'),
        (NULL, 'Nobody', 'Knows', NULL, 2029, '0009', '9C'),
        ('zoë.nguyễn', 'Zoë', 'Nguyễn', 'zoe@school.example', 2029, '0010', NULL);";

fn school() -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.sis(PUPILS).mapping("");
    context
}

fn preview(context: &TestContext, arguments: &[&str]) -> String {
    context.run(&[&["preview", "school.yaml"], arguments].concat())
}

#[test]
fn conditions_say_who_is_shown() {
    let context = school();
    assert_snapshot!("where_form", preview(&context, &["--where", "formclass=7A", "--format", "csv"]));
    assert_snapshot!("where_two", preview(&context, &["--where", "FormClass=7a", "--where", "emailaddress="]));
    // An address that breaks the rule is not a blank one; a clash with a row that is not shown is one all the same.
    assert_snapshot!("where_rejected", preview(&context, &["--where", "username=CEM.OZ", "--format", "csv"]));
    assert_snapshot!("where_clash", preview(&context, &["--where", "username=dee.fox", "--rejected"]));
    assert_snapshot!("where_blank_username", preview(&context, &["--where", "username="]));
    let said = preview(&context, &["--where", "enabled=yes", "--where", "graduationyear=2031.0", "--format", "csv"]);
    assert!(said.contains("bob.ray") && !said.contains("zoë"), "{said}");
    assert_snapshot!("where_json", preview(&context, &["--where", "username=bob.ray", "--format", "json"]));
}

#[test]
fn rejected_rows_alone() {
    let context = school();
    assert_snapshot!("rejected", preview(&context, &["--rejected"]));
    assert_snapshot!("rejected_csv", preview(&context, &["--rejected", "--format", "csv"]));
    assert_snapshot!("rejected_json", preview(&context, &["--rejected", "--format", "json"]));
    context.sis("DELETE FROM students WHERE login IS NULL OR login <> 'ann.lee'");
    assert_snapshot!("rejected_nobody", preview(&context, &["--rejected"]));
}

/// Regression: mappings could not be tested before the library had given Infiniti's password.
#[test]
fn infiniti_s_password_is_not_needed_yet() {
    let mut context = school();
    context.unset_env("INFINITI_PASSWORD");
    context.mapping("expect: [{ rows: { min: 1 } }]\n");
    for (arguments, code) in [
        (&["preview", "school.yaml"][..], 1),
        (&["preview", "school.yaml", "--columns"], 0),
        (&["explain", "school.yaml", "zoë.nguyễn"], 0),
        (&["test", "school.yaml"], 1),
        (&["diff", "school.yaml"], 2),
    ] {
        let said = context.run(arguments);
        assert!(said.starts_with(&format!("exit code {code}\n")), "{said}");
        assert_eq!(said.contains("the secret `${INFINITI_PASSWORD}` is not set"), code == 2, "{said}");
    }
}

/// The usernames of a preview in CSV.
fn usernames(context: &TestContext, arguments: &[&str]) -> Vec<String> {
    let output = context.output(&[&["preview", "school.yaml", "--format", "csv"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn a_sample_is_spread_and_stays_the_same() {
    let context = TestContext::new();
    context.students(1_000).mapping("");
    let sample = usernames(&context, &["--sample", "10"]);
    let hundreds: Vec<u32> = sample.iter().map(|name| (name[7..].parse::<u32>().unwrap() - 1) / 100).collect();
    assert_eq!(hundreds, (0..10).collect::<Vec<_>>(), "one of each tenth: {sample:?}");
    context.sis("CREATE TABLE other AS SELECT * FROM students ORDER BY random(); DROP TABLE students; ALTER TABLE other RENAME TO students");
    assert_eq!(usernames(&context, &["--sample", "10"]), sample, "in whatever order the database gives rows");
    assert_ne!(usernames(&context, &["--sample", "10", "--seed", "1"]), sample);
    assert_eq!(usernames(&context, &["--sample", "5000"]).len(), 1_000);
    let some = usernames(&context, &["--sample", "3", "--where", "graduationyear=2030"]);
    assert_eq!(some.len(), 3);
    assert!(some.iter().all(|name| name[7..].parse::<u32>().unwrap() % 6 == 0), "{some:?}");
    let said = preview(&context, &["--sample", "2", "--format", "csv"]);
    assert!(said.contains("shown     2 of 1,000 patrons"), "{said}");
}

#[test]
fn columns_are_shown_with_what_uses_them() {
    let context = school();
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("formclass: form\n", "password: { column: form, send: create }\n"));
    context
        .sis("UPDATE students SET form = 'canary' WHERE form IS NOT NULL; ALTER TABLE students ADD COLUMN house text");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("barcode, form FROM", "barcode, form, house FROM"));
    assert_snapshot!("columns", preview(&context, &["--columns"]));
    assert_snapshot!("columns_masked", preview(&context, &["--columns", "--mask"]));
    assert_snapshot!("columns_csv", preview(&context, &["--columns", "--format", "csv"]));
    assert_snapshot!("columns_json", preview(&context, &["--columns", "--format", "json"]));
    // What a push would fail with is shown beside what the result has.
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("barcode, form, house FROM", "barcode AS bar_code, form FROM"));
    assert_snapshot!("columns_missing", preview(&context, &["--columns"]));
}

#[test]
fn columns_have_the_types_of_the_server() {
    let server = TdsServer::start();
    server.execute(
        "CREATE TABLE students (login nvarchar(20), given nvarchar(30), family nvarchar(30), email varchar(60), year int, barcode char(8), form char(5));
         INSERT INTO students VALUES ('ann', 'Ann', 'Lee', NULL, 2030, '0001', '7A'), ('bob', 'Bob', 'Ray', 'bob@school.example', 2030, '0002', '7A')",
    );
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", tds::PASSWORD);
    context.mapping_of(&server.source_lines(), support::context::STUDENTS_QUERY, "");
    assert_snapshot!("columns_mssql", preview(&context, &["--columns"]));
    assert_snapshot!("explain_mssql", context.run(&["explain", "school.yaml", "BOB", "--state", "none"]));
}

#[test]
fn a_mask_shows_no_pupil() {
    let context = school();
    assert_snapshot!("mask", preview(&context, &["--mask"]));
    for format in ["table", "csv", "json"] {
        for rejected in [&[][..], &["--rejected"]] {
            let said = preview(&context, &[&["--mask", "--format", format], rejected].concat()).to_lowercase();
            for personal in ["ann", "lee", "school.example", "0001", "0010", "zoë", "nguyễn", "bob", "cem"] {
                // The mapping's own names are not the pupils'.
                let said = said.replace("school.yaml", "").replace("cannot", "");
                assert!(!said.contains(personal), "{personal}: {said}");
            }
        }
    }
}

#[test]
fn a_file_is_written_whole_and_for_one_reader() {
    let context = school();
    let on_stdout = context.output(&["preview", "school.yaml", "--format", "csv"]).stdout;
    assert_snapshot!("out", preview(&context, &["--out", "patrons.csv"]));
    assert_eq!(fs::read(context.path("patrons.csv")).unwrap(), on_stdout, "the ending says which format");
    preview(&context, &["--out", "patrons.csv", "--bom"]);
    assert_eq!(fs::read(context.path("patrons.csv")).unwrap(), [&b"\xef\xbb\xbf"[..], &on_stdout].concat());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(context.path("patrons.csv")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let said = preview(&context, &["--out", "rejected.json", "--rejected"]);
    assert!(said.contains("rejected.json: 4 rejected rows"), "{said}");
    serde_json::from_slice::<serde_json::Value>(&fs::read(context.path("rejected.json")).unwrap()).unwrap();
    preview(&context, &["--columns", "--out", "columns.txt"]);
    assert!(fs::read_to_string(context.path("columns.txt")).unwrap().contains("librarybarcode"));
    let mut left: Vec<_> = fs::read_dir(context.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["columns.txt", "patrons.csv", "rejected.json", "school.yaml", "sis.db"]);
}

#[test]
fn a_file_that_cannot_be_written_costs_no_query() {
    let context = school();
    context.write("sis.db", "no database");
    assert_snapshot!("out_without_a_folder", preview(&context, &["--out", "gone/patrons.csv"]));
    assert_snapshot!("out_is_a_folder", preview(&context, &["--out", "."]));
    // What was there stays when the source fails.
    context.write("patrons.csv", "before");
    let said = preview(&context, &["--out", "patrons.csv"]);
    assert!(said.starts_with("exit code 3\n"), "{said}");
    assert_eq!(fs::read_to_string(context.path("patrons.csv")).unwrap(), "before");
}

/// Regression: nothing said that the rest, and all staff, had not been read.
#[test]
fn who_reads_only_some_rows_is_told_so() {
    let context = school();
    let said = preview(&context, &["--limit", "2"]);
    assert!(said.contains("\n  read      no more than 2 rows, as `--limit` says\n"), "{said}");
    let staff = "users:\n  - name: staff\n    query: SELECT 't' || login AS login FROM students WHERE 1 = 1\n    \
                 columns: { username: login, enabled: { value: true }, staffmember: { value: true } }\n";
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("users:\n", staff));
    let said = preview(&context, &["--limit", "2"]);
    assert!(said.contains("\n  read      no more than 2 rows, as `--limit` says; nothing of students\n"), "{said}");
    let said = preview(&context, &["--limit", "100000"]);
    assert!(!said.contains("--limit"), "{said}");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let context = school();
    context.write("sis.db", "no database");
    let refused = [
        &["--rejected", "--limit", "5"][..],
        &["--sample", "3", "--columns"],
        &["--seed", "3"],
        &["--bom"],
        &["--bom", "--out", "patrons.txt"],
        &["--out", "patrons.xlsx"],
        &["--where", "formclas=7A"],
        &["--where", "colour=red"],
        &["--where", "formclass"],
        &["--where", "password=canary"],
    ];
    let said: Vec<String> = refused.iter().map(|arguments| preview(&context, arguments)).collect();
    assert!(said.iter().all(|said| said.starts_with("exit code 2\n")), "{said:#?}");
    assert_snapshot!("refused", said.join("\n"));
}

/// Regression: `--out students.csv` beside `csv:.` put the preview in the place of the drop, and `--out sis.db` one in the
/// place of the SIS, which is never written to.
#[test]
fn what_a_run_reads_is_not_written_over() {
    let context = school();
    context.write("students.sql", support::context::STUDENTS_QUERY).write(".env", "OTHER=x\n");
    #[cfg(unix)]
    fs::set_permissions(context.path(".env"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let inline = format!("query: |\n      {}", support::context::STUDENTS_QUERY);
    let mapping = mapping.replace(&inline, "query_file: students.sql") + "state: state.db\n";
    context.write("school.yaml", &mapping).write("state.db", "");
    fs::create_dir(context.path("drops")).unwrap();
    let drop = "login,given,family,email,year,barcode,form\nann,Ann,Lee,,2031,0001,7A\n";
    context.write("drops/students.csv", drop).write("drops.yaml", mapping.replace("sqlite:sis.db", "csv:drops"));
    #[cfg(unix)]
    std::os::unix::fs::symlink("sis.db", context.path("link.csv")).unwrap();
    let mut cases = vec![
        ("school.yaml", "school.yaml", "is the mapping itself"),
        ("school.yaml", "./sis.db", "is the source"),
        ("school.yaml", ".env", "is the file of the secrets"),
        ("school.yaml", "students.sql", "is a query of the mapping"),
        ("school.yaml", "state.db", "is the state"),
        ("drops.yaml", "drops/students.csv", "is a file of the source"),
        ("drops.yaml", "drops/more.CSV", "is a file of the source"),
    ];
    if cfg!(unix) {
        cases.push(("school.yaml", "link.csv", "is the source"));
    }
    // What a base names lies beside the base.
    fs::create_dir(context.path("shared")).unwrap();
    for file in ["school.yaml", "students.sql", "state.db", "sis.db", ".env"] {
        fs::copy(context.path(file), context.path(&format!("shared/{file}"))).unwrap();
    }
    context.write("including.yaml", "include: shared/school.yaml\n");
    for (file, why) in [
        ("shared/school.yaml", "is the base of the mapping"),
        ("shared/.env", "is the file of the secrets"),
        ("shared/students.sql", "is a query of the mapping"),
        ("shared/state.db", "is the state"),
        ("shared/sis.db", "is the source"),
    ] {
        cases.push(("including.yaml", file, why));
    }
    for (mapping, file, why) in cases {
        let before = fs::read(context.path(file)).ok();
        for arguments in [&["preview", mapping, "--out", file][..], &["doctor", mapping, "--bundle", file]] {
            let said = context.run(arguments);
            assert!(said.starts_with("exit code 2\n") && said.contains(why), "{arguments:?}: {said}");
            assert_eq!(fs::read(context.path(file)).ok(), before, "{arguments:?}");
        }
    }
    context.write("other.db", "kept");
    let said = context.run(&["doctor", "school.yaml", "--state", "other.db", "--bundle", "other.db"]);
    assert!(said.starts_with("exit code 2\n") && said.contains("is the state"), "{said}");
    assert_eq!(fs::read_to_string(context.path("other.db")).unwrap(), "kept");
    // Beside the drops and in another folder there is room.
    for file in ["drops/shown.json", "students.csv"] {
        let said = context.run(&["preview", "drops.yaml", "--out", file]);
        assert!(said.starts_with("exit code 0\n"), "{said}");
    }
}

/// Regression: Ctrl-C in the middle left `.patrons.csv.4711.part` behind, with half of the pupils in it.
#[cfg(unix)]
#[test]
fn a_file_that_is_broken_off_leaves_nothing_behind() {
    let context = TestContext::new();
    context.students(200_000).mapping("");
    let mut command = context.command(&["preview", "school.yaml", "--out", "patrons.csv"]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let parts = || {
        let entries = fs::read_dir(context.folder()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".part")).collect::<Vec<_>>()
    };
    // The first, empty one only tries whether there is room for it.
    while parts().iter().all(|part| part.metadata().map_or(0, |file| file.len()) == 0) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before anything was seen of its file");
        std::thread::yield_now();
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(parts().is_empty() && !context.path("patrons.csv").exists());
}

#[test]
fn every_feed_is_shown() {
    let context = feeds::school("");
    assert_snapshot!("feeds", preview(&context, &[]));
    assert_snapshot!("feeds_json", preview(&context, &["--format", "json"]));
    // A file is of one feed.
    assert_snapshot!("feeds_csv", preview(&context, &["--format", "csv"]));
    assert_snapshot!("feeds_contacts_csv", preview(&context, &["--format", "csv", "--feed", "contacts"]));
    assert_snapshot!("feeds_out", preview(&context, &["--out", "groups.csv", "--feed", "groups"]));
    assert_eq!(fs::read_to_string(context.path("groups.csv")).unwrap().lines().next(), Some("username,group"));
    assert_snapshot!("feeds_masked", preview(&context, &["--mask"]));
    assert_snapshot!("feeds_rejected", preview(&context, &["--rejected"]));
    assert_snapshot!("feeds_columns", preview(&context, &["--columns"]));
    assert_snapshot!("feeds_columns_json", preview(&context, &["--columns", "--mask", "--format", "json"]));
    assert_snapshot!("feeds_limit", preview(&context, &["--limit", "2"]));
    assert!(context.sandbox().requests().is_empty());
}

#[test]
fn a_condition_is_of_the_feeds_that_have_the_header() {
    let context = feeds::school("");
    assert_snapshot!("feeds_where_username", preview(&context, &["--where", "username=ANN.LEE"]));
    assert_snapshot!("feeds_where_type", preview(&context, &["--where", "username=ann.lee", "--where", "type=phone"]));
    assert_snapshot!("feeds_where_unknown", preview(&context, &["--where", "contct=a", "--feed", "contacts"]));
    assert_snapshot!("feeds_where_nowhere", preview(&context, &["--where", "group=Staff", "--where", "type=phone"]));
    assert_snapshot!("feeds_sample", preview(&context, &["--sample", "1", "--feed", "contacts"]));
}

/// Who looks at the contacts need not wait for the accounts, nor be able to read them.
#[test]
fn a_feed_is_read_alone() {
    let context = feeds::school("");
    context.sis("DROP TABLE students; DROP TABLE library_groups");
    let said = preview(&context, &["--feed", "contacts"]);
    assert!(said.starts_with("exit code 1\n") && said.contains("kim@home.example"), "{said}");
    assert_snapshot!("feeds_not_in_mapping", {
        let context = school();
        preview(&context, &["--feed", "groups"])
    });
    context.sis("DROP TABLE guardians");
    assert_snapshot!("feeds_no_table", preview(&context, &["--feed", "contacts"]));
}

/// A picture of a column is shown by what it is, its bytes nowhere.
#[test]
fn pictures_of_a_column_are_described() {
    let context = feeds::school("");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let extracts = "  extracts:
    - { name: photos, query: 'SELECT id, photo FROM photos', columns: { adminsystemid: id, image: photo } }\n";
    context.write("school.yaml", mapping.replace("  folder: photos\n", extracts));
    context.sis("CREATE TABLE photos (id text, photo blob)");
    let database = rusqlite::Connection::open(context.path("sis.db")).unwrap();
    let insert = "INSERT INTO photos VALUES (?1, ?2)";
    database.execute(insert, rusqlite::params!["0001", feeds::png(60)]).unwrap();
    database.execute(insert, rusqlite::params!["0002", b"canary"]).unwrap();
    assert_snapshot!("feeds_blobs", preview(&context, &["--feed", "images"]));
    assert_snapshot!("feeds_blob_columns", preview(&context, &["--feed", "images", "--columns"]));
    for format in ["csv", "json"] {
        let said = preview(&context, &["--feed", "images", "--format", format]);
        assert!(said.contains("png, ") && !said.to_lowercase().contains("89504e47"), "{said}");
    }
}
