//! `init`: from an empty folder to a mapping, on databases whose schema was not made for it.

#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::fs;

use support::context::TestContext;
use support::servers::{self, MariaDb, Postgres};
use tds::TdsServer;

/// A school of the package `django-school-management`: logins and names in one table, classes in others.
const SCHOOL: &str = include_str!("fixtures/samples/school.sql");
/// A shop: nobody in it is a student.
const CHINOOK: &str = include_str!("fixtures/samples/chinook.sql");
/// What Django's developers could have told of the school: who reads two tables finds it.
const STUDENTS: &str = "SELECT u.username, u.first_name, u.last_name, u.email, s.student_id, c.name AS form, c.grade, \
                        c.academic_year FROM auth_user u JOIN school_management_student s ON s.user_id = u.id \
                        JOIN school_management_class c ON c.id = s.current_class_id WHERE s.is_active = true";
const STAFF: &str = "SELECT u.username, u.first_name, u.last_name, u.email, t.employee_id FROM auth_user u \
                     JOIN school_management_teacher t ON t.user_id = u.id WHERE u.is_active = true";

fn read(context: &TestContext, name: &str) -> String {
    let text = fs::read_to_string(context.path(name)).unwrap();
    assert!(!text.contains("canary"), "a secret or a value of a row is in {name}:\n{text}");
    text
}

/// The exit code and all that was said, then the mapping.
fn written(context: &TestContext, arguments: &[&str]) -> String {
    let said = context.run(&[&["init"], arguments].concat());
    let mapping = read(context, "school.yaml").replace(&context.folder().display().to_string(), "[FOLDER]");
    let mapping = support::context::without_times_and_ports(&mapping);
    let year = jiff::Zoned::now().year().to_string();
    format!("{said}----- school.yaml -----\n{}", mapping.replace(&format!("{{{{ {year} "), "{{ [YEAR] "))
}

#[test]
fn shipped_mappings_are_listed() {
    let context = TestContext::new();
    let said = context.run(&["init", "--template"]);
    assert!(said.starts_with("exit code 0\n") && said.contains("\ngeneric-sqlite "), "{said}");
    assert_eq!(fs::read_dir(context.folder()).unwrap().count(), 0);
}

#[test]
fn who_cannot_be_asked_is_told_which_options_are_missing() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.run(&["init"]));
    insta::assert_snapshot!(context.run(&["init", "--source", "mssq://h/d", "--target", "example"]));
    insta::assert_snapshot!(context.run(&["init", "--source", "sqlite:a.db", "--target", "http://a.example"]));
    insta::assert_snapshot!(context.run(&["init", "--template", "generic-sqlit"]));
    assert_eq!(fs::read_dir(context.folder()).unwrap().count(), 0);
}

#[test]
fn offline_a_mapping_is_written_that_check_complains_about() {
    let context = TestContext::new();
    insta::assert_snapshot!(written(
        &context,
        &[
            "--source",
            "mssql://svc_library@sis.example.local/Synergetic?instance=SIS",
            "--target",
            "example",
            "--offline"
        ]
    ));
    insta::assert_snapshot!(read(&context, ".env.example"));
    insta::assert_snapshot!(context.run(&["check", "school.yaml"]));
}

#[test]
fn a_file_that_is_there_is_kept() {
    let context = TestContext::new();
    context.write("school.yaml", "version: 1\n");
    let arguments = ["init", "--source", "sqlite:sis.db", "--target", "example", "--offline"];
    insta::assert_snapshot!(context.run(&arguments));
    assert_eq!(read(&context, "school.yaml"), "version: 1\n");
    assert!(context.run(&[&arguments[..], &["--force"]].concat()).starts_with("exit code 0\n"));
    assert!(read(&context, "school.yaml").contains("sqlite:sis.db"));
    let said = context.run(&["init", "no/such/school.yaml", "--source", "sqlite:sis.db", "--target", "example"]);
    assert!(said.starts_with("exit code 2\n") && said.contains("could not write `no/such/school.yaml`"), "{said}");
}

#[test]
fn a_password_in_the_address_is_not_written() {
    let context = TestContext::new();
    let source = "Server=sis\\A;Database=Syn;User ID=svc;Password=canary;Encrypt=false";
    let said = written(&context, &["--source", source, "--target", "example", "--offline"]);
    assert!(said.contains("password: ${SIS_PASSWORD}") && said.contains("encryption: login"), "{said}");
}

#[test]
fn a_shipped_mapping_is_tried_out() {
    let context = TestContext::new();
    context.sis(
        "CREATE TABLE students (student_code, login, first_name, preferred_name, last_name, gender, email, form,
                                year_level, status, leaving_date)",
    );
    let arguments = ["--source", "sqlite:sis.db", "--target", "example", "--template", "generic-sqlite"];
    insta::assert_snapshot!(context.run(&[&["init", "a.yaml"], &arguments[..]].concat()));
    context.sis(
        "ALTER TABLE students ADD COLUMN barcode;
         CREATE TABLE staff (staff_code, login, first_name, last_name, email, status)",
    );
    let said = written(&context, &arguments);
    assert!(said.contains("students  the query runs: 11 columns, none missing"), "{said}");
    assert!(said.contains("# A SIS in a SQLite file (any)") && said.contains("max_updates: 75%"), "{said}");
    assert!(context.run(&["check", "school.yaml"]).starts_with("exit code 0\n"));
}

#[test]
fn a_school_of_unknown_schema_in_sqlite() {
    let context = TestContext::new();
    context.sis(SCHOOL).sis(CHINOOK);
    insta::assert_snapshot!(written(&context, &["--source", "sqlite:sis.db", "--target", "example"]));
    let said = context.run(&["check", "school.yaml"]);
    assert!(said.starts_with("exit code 2\n"), "{said}");
}

/// What a technician does who has read that the names are in one table and the classes in another.
#[test]
fn a_school_of_unknown_schema_in_postgres_to_its_patrons() {
    let Some(server) = Postgres::get("init: a school in PostgreSQL") else { return };
    server.create_database("init_school");
    server.execute("init_school", SCHOOL);
    let mut context = TestContext::new();
    let source = format!("postgres://{}@127.0.0.1:{}/init_school", servers::USERNAME, server.port());
    let arguments = ["--source", &source, "--target", "example"];
    // The password is missing, and nobody can be asked.
    let said = context.run(&[&["init"], &arguments[..]].concat());
    insta::assert_snapshot!(said);
    context.set_env("SIS_PASSWORD", "wrong");
    insta::assert_snapshot!(context.run(&[&["init"], &arguments[..]].concat()));
    context.set_env("SIS_PASSWORD", servers::PASSWORD);
    let said = written(&context, &[&arguments[..], &["--force"]].concat());
    insta::assert_snapshot!(said);
    let (students, staff) = (format!("students={STUDENTS}"), format!("staff={STAFF}"));
    let said = written(&context, &[&arguments[..], &["--force", "--query", &students, "--query", &staff]].concat());
    insta::assert_snapshot!(said);
    all_are_patrons(&context);
}

/// 25 of 26 students and 5 of 6 teachers are active.
fn all_are_patrons(context: &TestContext) {
    let checked = context.run(&["check", "school.yaml"]);
    assert!(checked.starts_with("exit code 0\n"), "{checked}");
    let shown = context.output(&["preview", "school.yaml", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["patrons"].as_array().unwrap().len(), 30, "{shown}");
    assert_eq!(shown["rejections"].as_array().unwrap().len(), 0, "{shown}");
    let text = shown.to_string();
    assert!(text.contains("\"graduationyear\":\"2031\"") && text.contains("\"formclass\":\"Year 07A\""), "{text}");
}

#[test]
fn a_school_of_unknown_schema_in_mariadb_to_its_patrons() {
    let Some(server) = MariaDb::get("init: a school in MariaDB") else { return };
    server.create_database("init_school");
    server.execute("init_school", SCHOOL);
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", servers::PASSWORD);
    let source = format!("mysql://{}@127.0.0.1:{}/init_school", servers::USERNAME, server.port());
    let said = written(&context, &["--source", &source, "--target", "example"]);
    assert!(said.contains("username: username") && said.contains("`is_active`: 1 30, 0 2 (in 32 rows)"), "{said}");
    context.write("students.sql", STUDENTS).write("staff.sql", STAFF);
    let files = ["--force", "--query-file", "students.sql", "--query-file", "staff=staff.sql"];
    written(&context, &[&["--source", &source, "--target", "example"], &files[..]].concat());
    all_are_patrons(&context);
}

/// Names as somebody makes them who exports a spreadsheet.
const SPREADSHEET: &str = "
    CREATE TABLE \"Pupil List\" (\"Login Name\" varchar(30), \"Order\" varchar(30), \"Family Name\" varchar(30),
        \"Year Level\" varchar(10), \"School Year\" integer, \"E-Mail\" varchar(60), \"100%\" integer);
    INSERT INTO \"Pupil List\" VALUES ('ann', '1', 'Lee', 'Year 7', 2026, 'Ann@school.example', 1),
        ('bob', '2', 'Ray', 'Year 12', 2026, 'bob@school.example', 2), ('cem', '3', 'Oz', 'Prep', 2026, NULL, 3);
    CREATE TABLE \"Teaching Staff\" (\"Login\" varchar(30), \"User\" varchar(30), \"Surname\" varchar(30));
    INSERT INTO \"Teaching Staff\" VALUES ('mio', 'x', 'Tanaka'), ('kai', 'y', 'Berg');";

/// The mapping that is written for the spreadsheet works as it is.
fn spreadsheet(context: &TestContext, source: &str) {
    let said = written(context, &["--source", source, "--target", "example", "--force"]);
    assert!(said.contains("students  the query runs: 5 columns, none missing"), "{said}");
    assert!(context.run(&["check", "school.yaml"]).starts_with("exit code 0\n"));
    let shown = context.run(&["preview", "school.yaml", "--format", "csv"]);
    for (login, row) in [
        ("ann", "ann,Y,N,Lee,ann@school.example,2031"),
        ("bob", "bob,Y,N,Ray,bob@school.example,2026"),
        ("cem", "cem,Y,N,Oz,,2038"),
        ("mio", "mio,Y,Y,Tanaka,,"),
    ] {
        assert!(shown.contains(&format!("\n{row}\n")), "{login}: {shown}");
    }
}

#[test]
fn names_that_need_quotes_are_quoted() {
    let mut context = TestContext::new();
    context.sis(SPREADSHEET);
    spreadsheet(&context, "sqlite:sis.db");
    let server = TdsServer::start();
    server.execute(SPREADSHEET);
    context.set_env("SIS_PASSWORD", tds::PASSWORD);
    spreadsheet(&context, &format!("mssql://{}@127.0.0.1:{}/{}", tds::USER, server.port(), tds::DATABASE));
}

#[test]
fn names_that_need_quotes_are_quoted_in_postgres_and_mariadb() {
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", servers::PASSWORD);
    if let Some(server) = Postgres::get("init: names that need quotes in PostgreSQL") {
        server.create_database("init_names");
        server.execute("init_names", SPREADSHEET);
        spreadsheet(&context, &format!("postgres://{}@127.0.0.1:{}/init_names", servers::USERNAME, server.port()));
    }
    if let Some(server) = MariaDb::get("init: names that need quotes in MariaDB") {
        server.create_database("init_names");
        server.execute("init_names", &SPREADSHEET.replace('"', "`"));
        spreadsheet(&context, &format!("mysql://{}@127.0.0.1:{}/init_names", servers::USERNAME, server.port()));
    }
}

#[test]
fn a_database_without_students_in_sql_server_to_its_patrons() {
    let server = TdsServer::start();
    server.execute(&CHINOOK.replace("timestamp", "datetime"));
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", tds::PASSWORD);
    let source = format!("mssql://{}@127.0.0.1:{}/{}", tds::USER, server.port(), tds::DATABASE);
    let arguments = ["--source", &source, "--target", "example"];
    insta::assert_snapshot!(written(&context, &arguments));
    let tables = ["--force", "--table", "students=chinook_customer", "--table", "staff=chinook_employee"];
    let said = written(&context, &[&arguments[..], &tables[..]].concat());
    // The answers of somebody who knows that logins are what stands before the @.
    let login = "{ column: email, transform: [{ first_of: \"@\" }, lower] }";
    let mapping = read(&context, "school.yaml");
    let filled: Vec<String> = (mapping.lines())
        .map(|line| match line.trim_start().split(':').next() {
            Some("username") if line.starts_with("      username:") => format!("      username: {login}"),
            Some("graduationyear") => "      graduationyear: { value: 2030 }".to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    assert!(said.contains(&format!("# username: {login}")), "{said}");
    context.write("school.yaml", filled.join("\n"));
    let checked = context.run(&["check", "school.yaml"]);
    assert!(checked.starts_with("exit code 0\n"), "{checked}");
    let shown = context.run(&["preview", "school.yaml", "--format", "csv"]);
    assert!(shown.starts_with("exit code 0\n") && shown.contains("\nandrew,Y,Y,Andrew,Adams,"), "{shown}");
    assert!(server.batches().iter().all(|batch| !batch.to_uppercase().contains("COUNT(")));
}

#[test]
fn a_table_that_is_not_there_is_told_with_the_nearest() {
    let context = TestContext::new();
    context.sis(CHINOOK);
    let said = context.run(&[
        "init",
        "--source",
        "sqlite:sis.db",
        "--target",
        "example",
        "--table",
        "students=chinook_custmer",
    ]);
    insta::assert_snapshot!(said);
    let arguments = ["init", "--source", "sqlite:sis.db", "--target", "example", "--table", "students=pupils"];
    insta::assert_snapshot!(context.run(&arguments));
    assert!(!context.path("school.yaml").exists());
}

#[test]
fn tables_that_do_not_say_who_is_in_them_are_named() {
    let context = TestContext::new();
    context.sis(
        "CREATE TABLE kunden (login text, email text); INSERT INTO kunden VALUES ('a', 'a@school.example');
         CREATE TABLE zimmer (nr text)",
    );
    let said = written(&context, &["--source", "sqlite:sis.db", "--target", "example"]);
    let offers = "; with people in them: `kunden`; others: `zimmer`";
    assert!(said.contains(&format!("  students  no table looks like one of students{offers}\n")), "{said}");
    assert!(said.contains(&format!("  staff     no table looks like one of staff{offers}\n")), "{said}");
    assert!(said.contains("run the same again with --force --table students=NAME"), "{said}");
}

/// Regression: who named the students' table lost the staff's, and was told that none looks like one.
#[test]
fn who_names_one_table_leaves_the_other_to_be_found() {
    let context = TestContext::new();
    context.sis(CHINOOK);
    let arguments = ["--source", "sqlite:sis.db", "--target", "example"];
    let said = written(&context, &[&arguments[..], &["--table", "students=chinook_customer"]].concat());
    assert!(
        said.contains("  students  chinook_customer: ") && said.contains("  staff     chinook_employee: "),
        "{said}"
    );
    let query = ["--force", "--query", "students=SELECT email FROM chinook_customer"];
    let said = written(&context, &[&arguments[..], &query].concat());
    assert!(said.contains("  staff     nothing was named for them, so nothing was looked at\n"), "{said}");
}

/// Exports with the habits of schools: days first, blanks for who is there, several addresses, padded cells.
#[test]
fn an_export_with_days_first_leaves_out_who_has_left() {
    let mut context = TestContext::new();
    context.set_env("INFINITI_PASSWORD", "canary");
    let next_year = jiff::Zoned::now().year() + 1;
    let students = format!(
        "Login;Student No;Surname;Email Addresses;Exit Year;Leaving Date\n\
         a1;0009069;O'Neil  ;a1@college.example; canary@home.example;{next_year};\n\
         a2;0009070;Lee;a2@college.example;{next_year};31/07/2025\n\
         a3;0009071;M\u{fc}ller;a3@college.example;{next_year};01/12/{next_year}\n"
    )
    .replace("a1@college.example; canary@home.example", "\"a1@college.example; canary@home.example\"");
    let latin: Vec<u8> = students.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    fs::create_dir(context.path("drops")).unwrap();
    fs::write(context.path("drops/students.csv"), latin).unwrap();
    context.write("drops/staff.csv", "Login;Surname;Email\nb1;Doe;b1@college.example\n");
    let said = written(&context, &["--source", "csv:drops", "--target", "example"]);
    assert!(said.contains("`Leaving Date` has a date in 2 of 3 rows"), "{said}");
    let mapping = read(&context, "school.yaml").replace("-- WHERE", "WHERE");
    context.write("school.yaml", mapping);
    insta::assert_snapshot!(context.run(&["preview", "school.yaml", "--format", "csv"]));
}

#[test]
fn a_bare_path_is_told_how_to_write_it() {
    let context = TestContext::new();
    let hint = |source: &str, more: &[&str]| {
        let said = context.run(&[&["init", "--source", source, "--target", "example"], more].concat());
        said.lines().filter(|line| line.starts_with("hint")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(hint("data/sis.db", &[]), "hint: for a SQLite file write `sqlite:data/sis.db`");
    assert_eq!(hint("drops/students.csv", &[]), "hint: for CSV files write `csv:` and the folder in which they are");
    let missing = ["--query-file", "students=none.sql"];
    assert_eq!(hint("sqlite:sis.db", &missing), "hint: does the file exist, and may this account read it?");
    let said = context.run(&["init", "--source", "sqlite:sis.db", "--target", "http//example.concordinfiniti.com"]);
    assert!(said.contains("hint: write `https://example.concordinfiniti.com`"), "{said}");
}

#[test]
fn a_query_that_does_not_run_writes_nothing() {
    let context = TestContext::new();
    context.sis(CHINOOK);
    let arguments = ["init", "--source", "sqlite:sis.db", "--target", "example", "--query"];
    let said = context.run(&[&arguments[..], &["SELECT nobody FROM chinook_customer"]].concat());
    insta::assert_snapshot!(said);
    let said = context.run(&[&arguments[..], &["DELETE FROM chinook_customer"]].concat());
    assert!(said.starts_with("exit code 3\n") && said.contains("not a plain read"), "{said}");
    assert_eq!(fs::read_dir(context.folder()).unwrap().count(), 1);
}

#[test]
fn an_empty_database_and_one_that_is_not_there() {
    let context = TestContext::new();
    context.sis("CREATE TABLE students (login text, surname text)");
    let said = written(&context, &["--source", "sqlite:sis.db", "--target", "example"]);
    assert!(said.contains("Guessed from `students`, which has no rows."), "{said}");
    let context = TestContext::new();
    context.write("sis.db", "");
    let said = written(&context, &["--source", "sqlite:sis.db", "--target", "example"]);
    assert!(said.contains("students  no table looks like one of students"), "{said}");
    let said = context.run(&["init", "b.yaml", "--source", "sqlite:none.db", "--target", "example"]);
    insta::assert_snapshot!(said);
    assert!(context.path("b.yaml").exists());
}

#[test]
fn five_hundred_tables_are_no_obstacle() {
    let context = TestContext::new();
    let table = |number| format!("CREATE TABLE t{number} (id integer, code text, surname text, student_id integer)");
    let tables: Vec<String> = (0..500).map(table).collect();
    // A view whose table is gone must not take the others along.
    context.sis(&tables.join(";")).sis("CREATE VIEW broken AS SELECT * FROM gone");
    context.sis(SCHOOL);
    let started = std::time::Instant::now();
    let said = written(&context, &["--source", "sqlite:sis.db", "--target", "example"]);
    assert!(said.contains("Guessed from `auth_user`"), "{said}");
    assert!(started.elapsed().as_secs() < 20);
}

/// A terminal by `script` of util-linux: what is typed comes from a pipe behind it.
#[cfg(unix)]
#[test]
fn somebody_at_a_terminal_is_asked() {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    let Some(server) = Postgres::get("init: asked at a terminal") else { return };
    server.create_database("init_asked");
    server.execute("init_asked", SCHOOL);
    if !has_script("init: asked at a terminal") {
        return;
    }
    let mut context = TestContext::new();
    context.unset_env("INFINITI_PASSWORD");
    let mut child = at_a_terminal(&context);
    let place = format!("127.0.0.1:{}", server.port());
    let answers = [
        ("name [0]: ", "postgres://x"),
        ("name [0]: ", "postgres"),
        ("name [0]: ", "0"),
        ("Synergetic: ", "postgers://x"),
        ("Synergetic: ", "2"),
        ("sis:5432: ", &place),
        ("Database: ", "init_asked"),
        ("read: ", servers::USERNAME),
        ("concordinfiniti.com: ", "example"),
        ("[autoimport]: ", ""),
        ("[Y/n]: ", ""),
        ("(not shown): ", "wrong password"),
        ("(not shown): ", servers::PASSWORD),
        ("[Y/n]: ", "y"),
        ("for later): ", "canary infiniti"),
    ];
    // Each answer when its question stands there: what is typed before a hidden one is thrown away.
    let mut said = String::new();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    for (question, answer) in answers {
        wait_for(&mut stdout, &mut said, question);
        writeln!(stdin, "{answer}").unwrap();
    }
    wait_for(&mut stdout, &mut said, "--limit 20");
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(!said.contains("canary") && !said.contains("wrong password"), "{said}");
    assert!(said.contains("the next question is for the database"), "{said}");
    assert_eq!(said.matches("Which SIS is it?").count(), 1, "the list is shown once: {said}");
    assert!(said.contains("did you mean `postgres:`?") && said.contains("login refused"), "{said}");
    assert!(read(&context, "school.yaml").contains("username: username"));
    let secrets = fs::read_to_string(context.path(".env")).unwrap();
    assert_eq!(secrets, format!("SIS_PASSWORD={}\nINFINITI_PASSWORD='canary infiniti'\n", servers::PASSWORD));
    assert_eq!(fs::metadata(context.path(".env")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn somebody_who_breaks_off_leaves_nothing_behind() {
    use std::io::Write as _;

    if !has_script("init: broken off at a terminal") {
        return;
    }
    let typed = [
        ("name [0]: ", "0"),
        ("Synergetic: ", "postgres://u@127.0.0.1:1/db"),
        ("concordinfiniti.com: ", "example"),
        ("[autoimport]: ", ""),
        ("[Y/n]: ", "y"),
        ("(not shown): ", ""),
    ];
    // At a question that is answered in plain sight, and at the password, which Ctrl-C must not leave unseen for ever.
    for answered in [2, 5] {
        let context = TestContext::new();
        let mut child = at_a_terminal(&context);
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut said = String::new();
        for (question, answer) in &typed[..answered] {
            wait_for(&mut stdout, &mut said, question);
            writeln!(stdin, "{answer}").unwrap();
        }
        wait_for(&mut stdout, &mut said, typed[answered].0);
        write!(stdin, "part\u{3}").unwrap();
        wait_for(&mut stdout, &mut said, "interrupted");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
        // A line that is broken off in plain sight may be shown or not; a password is not.
        assert!(answered == 2 || !said.contains("part"), "{said}");
        assert_eq!(fs::read_dir(context.folder()).unwrap().count(), 0);
    }
}

/// Whether there is a program that gives others a terminal; said by name if not.
#[cfg(unix)]
fn has_script(test: &str) -> bool {
    let script = std::path::Path::new("/usr/bin/script").exists().then_some(&());
    servers::installed(test, "script", "bsdutils", script).is_some()
}

/// `sispush init` at a terminal of its own.
#[cfg(unix)]
fn at_a_terminal(context: &TestContext) -> std::process::Child {
    use std::process::Stdio;

    let program = env!("CARGO_BIN_EXE_sispush");
    let mut command = context.shell(&format!("exec /usr/bin/script -qec '{program} init' /dev/null"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads until a text stands behind what was waited for before.
#[cfg(unix)]
fn wait_for(stdout: &mut impl std::io::Read, said: &mut String, text: &str) {
    let start = said.rfind(SEEN).map_or(0, |at| at + SEEN.len());
    let mut bytes = [0; 4096];
    while !said[start..].contains(text) {
        let count = stdout.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended before `{text}`: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    said.push_str(SEEN);
}

/// Marks how far an output was waited for.
#[cfg(unix)]
const SEEN: &str = "\n-----\n";

/// What `init` says of the other feeds is no more than it knows: with the `# ` taken away, what is missing is what Infiniti alone
/// can tell.
#[test]
fn the_other_feeds_are_there_to_be_taken_in() {
    let context = TestContext::new();
    context.sis(SCHOOL);
    let options = ["init", "--source", "sqlite:sis.db", "--target", "example", "--query", STUDENTS];
    let said = context.run(&[&options[..], &["--query", &format!("staff={STAFF}")]].concat());
    assert!(said.starts_with("exit code 0\n"), "{said}");
    let mapping = read(&context, "school.yaml");
    let (above, others) = mapping.split_once("# contacts:").unwrap();
    let taken_in: Vec<&str> = others.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let mapping = format!("{above}contacts:{}\n", taken_in.join("\n"));
    context.write("school.yaml", &mapping);
    insta::assert_snapshot!("other_feeds_taken_in", context.run(&["check", "school.yaml"]));
    let blanks = [("path: ", "path: /sandbox/other"), ("header: ", "header: group"), ("allow: ", "allow: [Students]")];
    let (images, groups) = mapping.split_once("\ngroups:").unwrap();
    let mut groups = groups.to_owned();
    for (blank, filled) in blanks {
        groups = groups.replacen(blank, &format!("{filled} "), 1);
    }
    let images = images.replacen("\n  path: ", "\n  path: /sandbox/images ", 1);
    context.write("school.yaml", format!("{images}\ngroups:{groups}"));
    let said = context.run(&["check", "school.yaml"]);
    assert!(said.starts_with("exit code 0\n"), "{said}");
}
