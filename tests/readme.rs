//! The README and the mapping reference do what they say: every block of YAML is a valid mapping, every command runs, every
//! option exists, and every output that is shown is what the program prints.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Output, Stdio};

use support::context::TestContext;
use support::receivers::Receiver;
use support::servers;
use tds::TdsServer;

const README: &str = "README.md";
const DOCUMENTS: [&str; 2] = [README, "mappings/README.md"];

#[test]
fn every_mapping_is_valid() {
    let mut count = 0;
    for document in DOCUMENTS {
        let blocks = blocks(document);
        let is_base = |block: &&Block| block.mark.starts_with("file: _");
        for block in blocks.iter().filter(|block| block.language == "yaml" && !is_base(block)) {
            let context = TestContext::new();
            for base in blocks.iter().filter(is_base) {
                context.write(base.mark.trim_start_matches("file: "), &base.text);
            }
            // Some blocks are lines to add to a file that another block shows.
            let file = block.mark.strip_prefix("lines: ");
            let shown = file.map(|file| blocks.iter().find(|block| block.mark == format!("file: {file}")).unwrap());
            context.write("school.yaml", shown.map_or(String::new(), |shown| shown.text.clone()) + &block.text);
            write_secrets(&context, "SIS_PASSWORD=x\nINFINITI_PASSWORD=x\nPROXY_PASSWORD=x\n");
            for file in block.text.lines().filter_map(|line| line.trim().strip_prefix("query_file: ")) {
                context.write(file, "SELECT 1");
            }
            let said = context.run(&["check", "school.yaml"]);
            assert!(
                said.starts_with("exit code 0\n") && !said.contains("warning"),
                "{document}:{}: {said}",
                block.line
            );
            count += 1;
        }
    }
    assert!(count >= 3, "only {count} blocks of YAML were found");
}

/// The way to the first real school, as somebody would go it who types what stands there.
#[test]
fn the_first_school_is_pushed_by_the_readme_s_own_commands() {
    let server = TdsServer::start();
    server.execute(SCHOOL);
    let mut context = TestContext::with_sandbox(&[]);
    context.unset_env("INFINITI_PASSWORD"); // The README puts it into `.env`.
    let blocks = blocks(README);
    let school = blocks.iter().find(|block| block.mark == "file: school.yaml").unwrap();
    let real = [
        ("@sis.example.local/", format!("@127.0.0.1:{}/", server.port())),
        ("https://example.concordinfiniti.com", context.sandbox().url()),
    ];
    context.write("school.yaml", replaced(&school.text, &real));
    let secrets = [
        ("the password of the database login", format!("\"{}\"", tds::PASSWORD.replace('"', "\\\""))),
        ("the password of autoimport", support::context::PASSWORD.to_owned()),
    ];
    let mut is_pushed = false;
    // What asks at a terminal, `tests/init.rs` answers.
    let is_typed = |block: &&Block| {
        let mark = block.mark.as_str();
        block.language == "sh" && !["asks", "feeds", "fleet"].contains(&mark) && !CARGO_MARKS.contains(&mark)
    };
    for block in blocks.iter().filter(is_typed) {
        let text = if block.text.contains("> .env") { replaced(&block.text, &secrets) } else { block.text.clone() };
        let output = run_script(&context, &text);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "README.md:{}: {said}", block.line);
        is_pushed |= block.text == "sispush push school.yaml\n";
        assert_eq!(context.sandbox().requests().is_empty(), !is_pushed, "README.md:{}: only `push` sends", block.line);
    }
    assert_eq!(context.sandbox().patrons(), patrons());
}

/// Two semesters are kept, one of them current: a query that forgets it gives everybody twice.
const SCHOOL: &str = "
    CREATE TABLE vStudents (StudentNetworkLogin nvarchar(30), StudentID char(8), StudentGiven1 nvarchar(30),
        StudentSurname nvarchar(30), StudentPreferredFormal nvarchar(60), StudentOccupEmail varchar(60), StudentForm char(5),
        StudentYearLevel int, FileYear int, FileSemester tinyint);
    CREATE TABLE FileSemesters (FileYear int, FileSemester tinyint, SystemCurrentFlag bit);
    CREATE TABLE vStaff (NetworkLogin nvarchar(30), StaffID int, StaffGiven1 nvarchar(30), StaffSurname nvarchar(30),
        StaffOccupEmail varchar(60), ActiveFlag bit);
    INSERT INTO FileSemesters VALUES (2025, 2, 0), (2026, 1, 0), (2026, 2, 1);
    INSERT INTO vStudents VALUES
        ('zoe.nguyen', '0012', 'Zoë', 'Nguyễn', 'Zoë Nguyễn', 'Zoe.Nguyen@College.Example', '6B', 6, 2025, 2),
        ('zoe.nguyen', '0012', 'Zoë', 'Nguyễn', 'Zoë Nguyễn', 'Zoe.Nguyen@College.Example', '7A', 7, 2026, 1),
        ('zoe.nguyen', '0012', 'Zoë', 'Nguyễn', 'Zoë Nguyễn', 'Zoe.Nguyen@College.Example', '7A', 7, 2026, 2),
        ('liam.obrien', '0013', 'Liam', 'O''Brien', NULL, 'liam.obrien@college.example', '12C', 12, 2026, 1),
        ('liam.obrien', '0013', 'Liam', 'O''Brien', NULL, 'liam.obrien@college.example', '12C', 12, 2026, 2),
        ('left.last.year', '0001', 'Left', 'Behind', NULL, NULL, '12A', 12, 2025, 2);
    INSERT INTO vStaff VALUES
        ('mtanaka', 7, 'Mio', 'Tanaka', 'M.Tanaka@College.Example', 1),
        ('retired', 8, 'Re', 'Tired', 'retired@college.example', 0);
";

/// What Infiniti must hold after it, worked out by hand.
fn patrons() -> Vec<BTreeMap<String, String>> {
    let patron = |fields: &[(&str, &str)]| {
        fields.iter().map(|(header, value)| ((*header).to_owned(), (*value).to_owned())).collect()
    };
    vec![
        patron(&[
            ("username", "liam.obrien"),
            ("enabled", "Y"),
            ("staffmember", "N"),
            ("givenname", "Liam"),
            ("surname", "O'Brien"),
            ("emailaddress", "liam.obrien@college.example"),
            ("graduationyear", "2026"),
            ("librarybarcode", "0013"),
            ("adminsystemid", "0013"),
            ("formclass", "12C"),
        ]),
        patron(&[
            ("username", "mtanaka"),
            ("enabled", "Y"),
            ("staffmember", "Y"),
            ("givenname", "Mio"),
            ("surname", "Tanaka"),
            ("emailaddress", "m.tanaka@college.example"),
            ("librarybarcode", "T7"),
            ("adminsystemid", "T7"),
        ]),
        patron(&[
            ("username", "zoe.nguyen"),
            ("enabled", "Y"),
            ("staffmember", "N"),
            ("givenname", "Zoë"),
            ("surname", "Nguyễn"),
            ("preferredname", "Zoë Nguyễn"),
            ("emailaddress", "zoe.nguyen@college.example"),
            ("graduationyear", "2031"),
            ("librarybarcode", "0012"),
            ("adminsystemid", "0012"),
            ("formclass", "7A"),
        ]),
    ]
}

/// What the section on the other feeds calls the views of the SIS.
const VIEWS: &str = "
    CREATE TABLE vStudentContacts (StudentNetworkLogin nvarchar(30), ContactName nvarchar(60), ContactEmails nvarchar(200),
        ContactMobile varchar(30), MayContactFlag bit);
    CREATE TABLE LibraryGroups (NetworkLogin nvarchar(30), GroupName nvarchar(60), ActiveFlag bit);
    CREATE TABLE Photos (StudentID char(8), Photo varbinary(max), CurrentFlag bit);
    INSERT INTO vStudentContacts VALUES
        ('zoe.nguyen', 'Hoa Nguyễn', 'hoa@home.example; Minh@Home.example', '0400 000 012', 1),
        ('liam.obrien', 'Aoife O''Brien', 'aoife@home.example', '0400 000 013', 1),
        ('left.last.year', 'Old Behind', 'old@home.example', NULL, 1),
        ('zoe.nguyen', 'No Contact', 'no.contact@home.example', NULL, 0);
    INSERT INTO LibraryGroups VALUES ('zoe.nguyen', 'Students', 1), ('liam.obrien', 'Students', 1),
        ('liam.obrien', 'Senior Students', 1), ('retired', 'Staff', 0);
";

/// The way from accounts to all feeds, by the README's own blocks and commands.
#[test]
fn every_feed_is_pushed_by_the_readme_s_own_commands() {
    for photos in ["folder: photos", "image: Photo"] {
        let (server, mut context) = school("");
        server.execute(VIEWS);
        let sandbox = TestContext::with_sandbox(&[]);
        context.set_env("INFINITI_PASSWORD", support::context::PASSWORD);
        let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
        let mut mapping = replaced(&mapping, &[("https://example.concordinfiniti.com", sandbox.sandbox().url())]);
        mapping += "mode: delta\n";
        context.write("school.yaml", &mapping);
        let accounts = context.run(&["push", "school.yaml"]);
        assert!(accounts.starts_with("exit code 0\n"), "{accounts}");

        let blocks = blocks(README);
        for of_feed in ["contacts:\n", photos, "groups:\n"] {
            let is_it = |block: &&Block| block.mark == "lines: school.yaml" && block.text.contains(of_feed);
            mapping += &blocks.iter().find(is_it).unwrap().text;
        }
        context.write("school.yaml", &mapping);
        fs::create_dir(context.path("photos")).unwrap();
        for (name, side) in [("0012", 300), ("0013", 120), ("T7", 40)] {
            let bytes = picture(side);
            context.write(&format!("photos/{name}.jpg"), &bytes);
            let mut hex = String::new();
            for byte in &bytes {
                write!(hex, "{byte:02X}").unwrap();
            }
            server.execute(&format!("INSERT INTO Photos VALUES ('{name}', X'{hex}', 1)"));
        }
        if photos == "folder: photos" {
            compare_output("output: feeds", &context.run(&["diff", "school.yaml", "--verbose"]));
        }
        let output = run_script(&context, &blocks.iter().find(|block| block.mark == "feeds").unwrap().text);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        let held = sandbox.sandbox();
        let counts = [held.contacts().len(), held.images().len(), held.groups().len()];
        assert_eq!(counts, [5, 3, 3], "{said}");

        server
            .execute("UPDATE vStudentContacts SET ContactMobile = '0400 999 013' WHERE ContactMobile = '0400 000 013'");
        server.execute("UPDATE vStudentContacts SET ContactEmails = 'hoa at home' WHERE ContactName LIKE 'Hoa%'");
        context.write("photos/T7.jpg", b"GIF89a\x01\0\x01\0\0\0\0;");
        fs::remove_file(context.path("photos/0013.jpg")).unwrap();
        if photos == "folder: photos" {
            compare_output("output: feeds night", &context.run(&["push", "school.yaml"]));
        }
    }
}

/// A square jpg with this many pixels a side.
fn picture(side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(side, side).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The commands that `.ci/run` reads from the README and runs.
const CARGO_MARKS: [&str; 2] = ["demo", "tests"];

#[test]
fn ci_runs_the_two_commands() {
    let blocks = blocks(README);
    let ci = fs::read_to_string(".ci/run").unwrap();
    for mark in CARGO_MARKS {
        let block = blocks.iter().find(|block| block.mark == mark).unwrap();
        assert!(block.language == "sh" && block.text.starts_with("cargo ") && block.text.lines().count() == 1);
        assert!(ci.contains(&format!("command_after '<!-- {mark} -->'")), "{mark}");
        assert!(ci.contains(&format!("bash -c \"${mark}\"")), "{mark}");
    }
}

#[test]
fn every_command_and_option_exists() {
    let context = TestContext::new();
    let commands = names_after(&context.run(&["--help"]), "Commands:");
    assert!(commands.len() >= 7, "{commands:?}");
    let table = fs::read_to_string(README).unwrap();
    let documented: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `sispush ")?.split([' ', '`']).next().map(str::to_owned))
        .collect();
    assert_eq!(documented, commands);

    let option = regex::Regex::new("--[a-z][a-z-]*").unwrap();
    let command = regex::Regex::new("sispush ([a-z]+)").unwrap();
    let options = |arguments: &[&str]| -> BTreeSet<String> {
        option.find_iter(&context.run(arguments)).map(|found| found.as_str().to_owned()).collect()
    };
    let of_all = options(&["--help"]);
    // With those of the commands below it, such as `schedule show`.
    let of_each: BTreeMap<&str, BTreeSet<String>> = commands
        .iter()
        .map(|name| {
            let below = names_after(&context.run(&[name.as_str(), "--help"]), "Commands:");
            let all = below.iter().flat_map(|below| options(&[name.as_str(), below.as_str(), "--help"]));
            (name.as_str(), all.chain(options(&[name.as_str(), "--help"])).collect())
        })
        .collect();
    let mut checked = 0;
    for document in DOCUMENTS {
        for (index, line) in fs::read_to_string(document).unwrap().lines().enumerate() {
            // An option belongs to the last command that is named before it in its line.
            let names: Vec<_> = command.captures_iter(line).map(|found| found.get(1).unwrap()).collect();
            for found in option
                .find_iter(line)
                .filter(|_| !["cargo ", "psql ", "systemctl "].iter().any(|other| line.contains(other)))
            {
                let name = names.iter().rfind(|name| name.start() < found.start()).map(regex::Match::as_str);
                let known = name.map_or(Some(&of_all), |name| of_each.get(name));
                let place = format!("{document}:{}: {}", index + 1, found.as_str());
                assert!(known.is_some_and(|known| known.contains(found.as_str())), "{place}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 10, "only {checked} options were found");
}

#[test]
fn what_the_demo_prints_is_shown() {
    let context = TestContext::new();
    let said = context.run(&["demo", "--folder", &context.path("demo").display().to_string()]);
    compare_output("output: demo", &said.replace("[FOLDER]/demo", "/tmp/sispush-demo"));
}

#[test]
fn what_a_mistake_looks_like_is_shown() {
    let context = TestContext::new();
    let school = blocks(README).into_iter().find(|block| block.mark == "file: school.yaml").unwrap();
    let mistake = [("librarybarcode: StudentID", "librarybarcod: StudentID".to_owned())];
    context.write("school.yaml", replaced(&school.text, &mistake));
    write_secrets(&context, "SIS_PASSWORD=x\nINFINITI_PASSWORD=x\n");
    compare_output("output: check", &context.run(&["check", "school.yaml"]));
}

#[test]
fn what_looks_wrong_is_shown() {
    let context = TestContext::new();
    let school = blocks(README).into_iter().find(|block| block.mark == "file: school.yaml").unwrap();
    let slips =
        [("      WHERE ActiveFlag = 1\n", String::new()), ("surname: StaffSurname", "surname: StafSurname".to_owned())];
    context.write("school.yaml", replaced(&school.text, &slips));
    compare_output("output: advice", &context.run(&["check", "school.yaml"]));
}

#[test]
fn what_init_prints_and_writes_is_shown() {
    let server = TdsServer::start();
    server.execute(SCHOOL);
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", tds::PASSWORD);
    let source = format!("mssql://svc_library@127.0.0.1:{}/Synergetic", server.port());
    let said = context.run(&["init", "--source", &source, "--target", "example"]);
    let said = said.split_once("----- stderr -----\n").unwrap().0.replace("exit code 0\n----- stdout -----\n", "");
    let written = fs::read_to_string(context.path("school.yaml")).unwrap();
    let command = "$ sispush init --source mssql://svc_library@127.0.0.1:[PORT]/Synergetic --target example\n";
    compare_output("output: init", &format!("{command}{said}$ cat school.yaml\n{written}"));
}

#[test]
fn what_a_rehearsal_and_a_state_look_like_is_shown() {
    let (_server, mut context) = school("");
    context.set_env("INFINITI_PASSWORD", support::context::PASSWORD); // Needed from here on.
    compare_output("output: diff", &context.run(&["diff", "school.yaml", "--verbose"]));
    let sandbox = TestContext::with_sandbox(&[]);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let pushed = replaced(&mapping, &[("https://example.concordinfiniti.com", sandbox.sandbox().url())]);
    context.write("school.yaml", pushed);
    context.run(&["push", "school.yaml"]);
    compare_output("output: state", &context.run(&["state", "show", "school.yaml"]));
}

#[test]
fn what_a_message_looks_like_is_shown() {
    let receiver = Receiver::start();
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("HOOK", &receiver.url("hook"));
    // As systemd runs it.
    context.set_env("STATE_DIRECTORY", &context.path("state").display().to_string());
    let more = "notify: { webhook: [{ url: \"${HOOK}\" }] }\nlimits: { max_drop: 10% }\n";
    context.students(412).mapping(more);
    context.run(&["push", "school.yaml"]);
    context.sis("DELETE FROM students WHERE barcode > '000100'");
    context.run(&["push", "school.yaml", "--log-file", "sispush.log"]);
    let [message] = receiver.take().try_into().unwrap();
    let message = message.json();
    let said = format!("{}\n\n{}\n", message["subject"].as_str().unwrap(), message["text"].as_str().unwrap());
    let said = said.replace(message["host"].as_str().unwrap(), "sync01");
    let said = said.replace(&context.path("state").display().to_string(), "/var/lib/sispush");
    let said = said.replace(&context.folder().display().to_string(), "/etc/sispush");
    let mut said = support::context::without_times_and_ports(&said);
    for (pattern, replacement) in
        [(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "2026-11-27 02:30 UTC"), (r"took [\d.]+ m?s", "took 1.2 s")]
    {
        said = regex::Regex::new(pattern).unwrap().replace_all(&said, replacement).into_owned();
    }
    compare_output("output: message", &said);
}

#[test]
fn what_a_history_looks_like_is_shown() {
    let (server, mut context) = school("");
    context.set_env("INFINITI_PASSWORD", support::context::PASSWORD);
    let sandbox = TestContext::with_sandbox(&[]);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let pushed = replaced(&mapping, &[("https://example.concordinfiniti.com", sandbox.sandbox().url())]);
    context.write("school.yaml", format!("{pushed}mode: delta\nlimits: {{ min_rows: 1, max_rejections: 100% }}\n"));
    context.run(&["push", "school.yaml"]);
    server.execute("UPDATE vStudents SET StudentOccupEmail = 'at home' WHERE StudentNetworkLogin = 'zoe.nguyen'");
    context.run(&["push", "school.yaml"]);
    server.execute("DELETE FROM vStudents");
    context.run(&["push", "school.yaml"]);
    let said = minutes(&context.run(&["history", "school.yaml"])).replace("[FOLDER]", "/home/library");
    compare_output("output: history", &said);
}

/// An output without the minutes at which runs began, how long they took, and their plans.
fn minutes(text: &str) -> String {
    let text = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d").unwrap().replace_all(text, "[MINUTE]").into_owned();
    let text = regex::Regex::new(r" +\d+ s\n").unwrap().replace_all(&text, " [S]\n").into_owned();
    regex::Regex::new("--approve [0-9a-f]{16}").unwrap().replace_all(&text, "--approve [PLAN]").into_owned()
}

#[test]
fn what_a_sandbox_and_a_schema_look_like_is_shown() {
    let context = TestContext::new();
    compare_output("output: schema", &context.run(&["schema"]));
    let mut sandbox = context.command(&["sandbox", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(sandbox.stdout.take().unwrap()).lines();
    // It goes on until it is ended, and this is all that it says before somebody posts something.
    let said: String = lines.take(8).map(|line| line.unwrap() + "\n").collect();
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
    compare_output("output: sandbox", &support::context::without_times_and_ports(&said));
}

#[test]
fn what_is_on_a_schedule_is_shown() {
    let (_server, context) = school("");
    fs::create_dir(context.path("image")).unwrap();
    let installed = context.run(&[
        "schedule",
        "systemd",
        "school.yaml",
        "--user",
        "library",
        "--days",
        "mon-fri",
        "--root",
        "image",
        "--install",
    ]);
    assert!(installed.starts_with("exit code 0\n"), "{installed}");
    let said = context.run(&["schedule", "show", "--root", "image"]);
    let here = [("[FOLDER]/image", String::new()), ("[FOLDER]/", "/etc/sispush/".to_owned())];
    compare_output("output: schedule", &replaced(&said, &here));
}

#[test]
fn what_a_test_prints_is_shown() {
    let (_server, context) = school("expect:");
    compare_output("output: test", &context.run(&["test", "school.yaml"]));
}

#[test]
fn what_a_preview_prints_is_shown() {
    let (_server, context) = school("");
    let said = context.run(&["preview", "school.yaml", "--where", "staffmember=yes", "--mask"]);
    compare_output("output: preview where", &said);
    compare_output("output: preview columns", &context.run(&["preview", "school.yaml", "--columns"]));
}

#[test]
fn what_an_explanation_prints_is_shown() {
    let (_server, context) = school("");
    compare_output("output: explain", &context.run(&["explain", "school.yaml", "zoe.nguyen"]));
    compare_output("output: explain nobody", &context.run(&["explain", "school.yaml", "zoe.nguyn"]));
}

#[test]
fn what_a_folder_of_schools_comes_to_is_shown() {
    let context = TestContext::with_sandbox(&[]);
    context.students(300);
    fs::create_dir(context.path("schools")).unwrap();
    for (name, database, limits) in [
        ("st-johns", "../sis.db", ""),
        ("st-pauls", "../sis.db", ""),
        ("st-marys", "../sis.db", "limits: { min_rows: 400 }\n"),
        ("st-annes", "st-annes.db", ""),
    ] {
        context.mapping_of(&format!("url: sqlite:{database}"), support::context::STUDENTS_QUERY, limits);
        fs::rename(context.path("school.yaml"), context.path(&format!("schools/{name}.yaml"))).unwrap();
    }
    let said = context.run(&["push", "schools", "--jobs", "4"]);
    compare_output("output: many", &said[said.find("4 mappings").unwrap()..]);
}

#[test]
fn a_machine_of_a_fleet_pushes_by_the_readme_s_own_commands() {
    let Some(server) = servers::Postgres::get("a_machine_of_a_fleet_pushes_by_the_readme_s_own_commands") else {
        return;
    };
    server.create_database("readme");
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("STATE_PASSWORD", servers::PASSWORD);
    context.students(3).mapping("");
    fs::create_dir(context.path("schools")).unwrap();
    fs::rename(context.path("school.yaml"), context.path("schools/school.yaml")).unwrap();
    context.write("schools/sis.db", fs::read(context.path("sis.db")).unwrap());
    let block = blocks(README).into_iter().find(|block| block.mark == "fleet").unwrap();
    let real = [
        ("sispush:${STATE_PASSWORD}", format!("{}:${{STATE_PASSWORD}}", servers::USERNAME)),
        ("db.example.local/sispush", format!("127.0.0.1:{}/readme", server.port())),
    ];
    for accepted in ["3 rows: 3 created", "pushed already"] {
        let output = run_script(&context, &replaced(&block.text, &real));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains(accepted), "{said}");
    }
}

/// What the pods of the fleet run is a command of this program.
#[test]
fn the_cron_job_runs_a_push() {
    let job = fs::read_to_string(".deploy/cronjob.yaml").unwrap();
    let arguments = job.lines().find_map(|line| line.trim().strip_prefix("args: [")).unwrap();
    let arguments: Vec<&str> = arguments.trim_end_matches(']').split(", ").map(|word| word.trim_matches('"')).collect();
    let context = TestContext::new();
    let said = context.run(&arguments);
    // It reads its arguments, and finds no schools here.
    assert!(said.starts_with("exit code 2\n") && said.contains("could not read `/etc/sispush/schools`"), "{said}");
}

/// The README's school, with the lines to add to it that hold this.
fn school(lines: &str) -> (TdsServer, TestContext) {
    let server = TdsServer::start();
    server.execute(SCHOOL);
    let mut context = TestContext::new();
    context.unset_env("INFINITI_PASSWORD"); // The README says that it is not needed yet.
    let blocks = blocks(README);
    let text = |mark: &str, has: &str| {
        let block = blocks.iter().find(|block| block.mark == mark && block.text.contains(has)).unwrap();
        block.text.clone()
    };
    let real = [("@sis.example.local/", format!("@127.0.0.1:{}/", server.port()))];
    let mut school = replaced(&text("file: school.yaml", ""), &real);
    if !lines.is_empty() {
        school += &text("lines: school.yaml", lines);
    }
    context.write("school.yaml", school);
    let password = tds::PASSWORD.replace('"', "\\\"");
    write_secrets(&context, &format!("SIS_PASSWORD=\"{password}\"\n"));
    (server, context)
}

#[test]
fn what_the_logs_look_like_is_shown() {
    let (_server, mut context) = school("");
    context.set_env("INFINITI_PASSWORD", support::context::PASSWORD);
    let sandbox = TestContext::with_sandbox(&[]);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let pushed = replaced(&mapping, &[("https://example.concordinfiniti.com", sandbox.sandbox().url())]);
    context.write("school.yaml", pushed);
    let journal = UnixDatagram::bind(context.path("journal")).unwrap();
    journal.set_nonblocking(true).unwrap();
    let push = ["push", "school.yaml", "--full", "--system-log", "./journal", "--log-file"];
    context.output(&[&push[..], &["sispush.log"]].concat());
    let log = fs::read_to_string(context.path("sispush.log")).unwrap();
    let log = support::context::without_times_and_ports(&log);
    compare_output("output: log", &log.replace("//127.0.0.1:[PORT]/", "//sis.example.local/"));
    let mut messages = String::new();
    let mut line = [0; 4096];
    while let Ok(length) = journal.recv(&mut line) {
        let fields = String::from_utf8_lossy(&line[..length]).into_owned();
        messages += fields.lines().find_map(|field| field.strip_prefix("MESSAGE=")).unwrap();
        messages += "\n";
    }
    compare_output("output: journal", &messages);
    context.output(&[&push[..], &["json.log", "--log-format", "json"]].concat());
    let log = fs::read_to_string(context.path("json.log")).unwrap();
    compare_output("output: log json", &support::context::without_times_and_ports(&log));
}

#[test]
fn what_a_drop_that_is_cut_off_looks_like_is_shown() {
    let context = TestContext::new();
    let mapping = blocks(README).into_iter().find(|block| block.text.contains("csv:drops")).unwrap();
    context.write("school.yaml", mapping.text);
    write_secrets(&context, "");
    fs::create_dir(context.path("drops")).unwrap();
    context.write(
        "drops/students.csv",
        "stkey,first_name,surname,home_group,exit_year,status\nNGU0001,Zo\u{eb},Nguyen,7B,2031,ACTV\nSMI0002,Jack,Smi",
    );
    compare_output("output: csv", &context.run(&["push", "school.yaml"]));
}

#[test]
fn what_doctor_prints_is_shown() {
    let server = TdsServer::start_with(tds::Options { rights: &["database role db_owner"], ..tds::Options::default() });
    server.execute(SCHOOL);
    let mut context = TestContext::with_sandbox(&[]);
    context.unset_env("INFINITI_PASSWORD");
    let school = blocks(README).into_iter().find(|block| block.mark == "file: school.yaml").unwrap();
    let real = [
        ("@sis.example.local/", format!("@127.0.0.1:{}/", server.port())),
        ("https://example.concordinfiniti.com", context.sandbox().url()),
    ];
    context.write("school.yaml", replaced(&school.text, &real));
    let password = tds::PASSWORD.replace('"', "\\\"");
    write_secrets(&context, &format!("SIS_PASSWORD=\"{password}\"\nINFINITI_PASSWORD=not the password\n"));
    let said = context.run(&["doctor", "school.yaml", "--post-empty"]);
    assert!(said.starts_with("exit code 4\n"), "{said}");
    let said = replaced(
        &said,
        &[
            ("mssql://127.0.0.1:[PORT]/", "mssql://sis.example.local/".to_owned()),
            ("http://127.0.0.1:[PORT]/", "https://example.concordinfiniti.com/".to_owned()),
        ],
    );
    compare_output("output: doctor", &said);
}

#[test]
fn where_secrets_lie_is_shown() {
    let (_server, context) = school("");
    compare_output("output: secret list", &context.run(&["secret", "list", "school.yaml"]));
}

/// Compares a block with an output. A line of nothing but `…` stands for any number of lines.
fn compare_output(mark: &str, said: &str) {
    let blocks = blocks(README);
    let block = blocks.iter().find(|block| block.mark == mark).unwrap();
    let shown = support::context::without_times_and_ports(&block.text);
    let shown = if mark == "output: history" { minutes(&shown) } else { shown };
    let mut rest = said;
    for part in shown.split("…\n") {
        let place = rest.find(part);
        assert!(place.is_some(), "README.md:{} shows\n{part}\nand the program prints\n{said}", block.line);
        rest = &rest[place.unwrap_or_default() + part.len()..];
    }
}

struct Block {
    language: String,
    /// What stands in the comment of the line before, as in `<!-- file: school.yaml -->`.
    mark: String,
    text: String,
    line: usize,
}

fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(document).unwrap();
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let mut block = Block {
                language: language.to_owned(),
                mark: before.trim_start_matches("<!-- ").trim_end_matches(" -->").to_owned(),
                text: String::new(),
                line: index + 1,
            };
            for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
                block.text.push_str(line);
                block.text.push('\n');
            }
            blocks.push(block);
        }
        before = line;
    }
    blocks
}

/// The text with every one of these replaced, each of which is there.
fn replaced(text: &str, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        text.replace(from, to)
    })
}

fn write_secrets(context: &TestContext, text: &str) {
    context.write(".env", text);
    fs::set_permissions(context.path(".env"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Runs a script in the folder as somebody would who has installed the program.
fn run_script(context: &TestContext, text: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_sispush")).parent().unwrap();
    let path = std::env::join_paths([program, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    context.shell(text).env("PATH", path).output().unwrap()
}

/// The first words of the lines under a heading of a help text.
fn names_after(help: &str, heading: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.is_empty());
    // A description that goes on in another line is indented further.
    lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(Into::into)
        .collect()
}
