//! `schedule`: what is printed and installed, held against systemd, cron's rules, and the schema of Windows' tasks.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sispush::ops::schedule::{Account, Gap, Kind, Schedule, Times, systemd};
use support::context::{PASSWORD, TestContext};
use support::units::{me, program, stand_in, text, unit, words_of};

/// A name that no schedule of this machine has: what the tests take away must be theirs, also when root runs them.
fn own_name() -> String {
    format!("test-{}", std::process::id())
}

/// A school whose secrets lie where a run finds them: beside the mapping.
fn school() -> TestContext {
    let mut context = TestContext::with_sandbox(&[]);
    context.unset_env("INFINITI_PASSWORD");
    context.students(3).mapping("");
    write_secrets(&context, &format!("INFINITI_PASSWORD={PASSWORD}\n"));
    context
}

fn write_secrets(context: &TestContext, text: &str) {
    context.write(".env", text);
    fs::set_permissions(context.path(".env"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The program's own path differs from build to build, and so does who owns the files and the time.
fn run(context: &TestContext, arguments: &[&str]) -> String {
    let said = context.run(arguments);
    let mut said = said.replace(env!("CARGO_BIN_EXE_sispush"), "/usr/local/bin/sispush");
    for (pattern, replacement) in [
        (r"next      \w+ \d{4}-\d\d-\d\d", "next      [DAY]"),
        (r"<StartBoundary>\d{4}-\d\d-\d\dT", "<StartBoundary>[DAY]T"),
        (r"\(Etc/UTC\)|\(UTC\)", "(UTC)"),
        // Where the tests lie, and that root runs them, is no matter of theirs.
        (
            r"(?m)^warning: (the program is in a folder|`[^`]*` lies among temporary files|it runs as root).*\nhint: .*\n",
            "",
        ),
    ] {
        said = regex::Regex::new(pattern).unwrap().replace_all(&said, replacement).into_owned();
    }
    // Nor what else is installed on this machine.
    if arguments.starts_with(&["schedule", "show"]) && !arguments.contains(&"--root") {
        let blocks = regex::Regex::new(r"(?m)^([a-zA-Z][\w-]*)\n(?:  .*\n)+").unwrap();
        said = blocks
            .replace_all(
                &said,
                |block: &regex::Captures<'_>| {
                    if block[1] == own_name() { block[0].to_owned() } else { String::new() }
                },
            )
            .into_owned();
    }
    said = said.replace(&own_name(), "school");
    let me = me();
    for (before, after) in [("as ", "\n"), ("\"user\": \"", "\""), ("\"user\":\"", "\""), ("User=", "\n")] {
        said = said.replace(&format!("{before}{me}{after}"), &format!("{before}[ME]{after}"));
    }
    said
}

#[test]
fn what_is_printed() {
    let context = school();
    assert_snapshot!(
        "systemd",
        run(
            &context,
            &["schedule", "systemd", "school.yaml", "--user", "library", "--days", "mon-fri", "--", "--full"]
        )
    );
    assert_snapshot!("cron", run(&context, &["schedule", "cron", "school.yaml", "--at", "4:05", "--at", "12:30"]));
    assert_snapshot!(
        "windows",
        run(&context, &["schedule", "windows", "school.yaml", "--user", r"SCHOOL\library", "--days", "sat-mon"])
    );
    let printed = context.run(&["schedule", "show", "--root", "."]);
    assert!(printed.contains("no schedule"), "what is printed is not installed: {printed}");
}

#[test]
fn it_is_installed_changed_shown_and_removed() {
    let context = school();
    fs::create_dir(context.path("image")).unwrap();
    let me = me();
    let install = |more: &[&str]| {
        run(
            &context,
            &[&["schedule", "systemd", "school.yaml", "--user", &me, "--root", "image", "--install"], more].concat(),
        )
    };
    let mut said = install(&[]);
    let files = || {
        let read = |name: &str| fs::read_to_string(unit(&context.path("image"), name)).unwrap();
        (read("sispush-school.service"), read("sispush-school.timer"))
    };
    let before = files();
    said += &install(&[]);
    assert_eq!(files(), before);
    said += &install(&["--at", "01:15", "--at", "13:00", "--days", "mon,wed", "--", "--delta"]);
    said += &run(&context, &["schedule", "show", "--root", "image"]);
    said += &run(&context, &["schedule", "show", "--root", "image", "--format", "json"]);
    // Somebody's hand in it is told, and goes.
    let timer = unit(&context.path("image"), "sispush-school.timer");
    fs::write(&timer, fs::read_to_string(&timer).unwrap().replace("Persistent=true", "Persistent=false")).unwrap();
    said += &install(&["--at", "01:15", "--at", "13:00", "--days", "mon,wed", "--", "--delta"]);
    // Not enabled is not on a schedule.
    fs::remove_file(unit(&context.path("image"), "timers.target.wants/sispush-school.timer")).unwrap();
    said += &run(&context, &["schedule", "show", "--root", "image"]);
    said += &install(&["--at", "01:15", "--at", "13:00", "--days", "mon,wed", "--", "--delta"]);
    said += &run(&context, &["schedule", "remove", "--root", "image"]);
    said += &run(&context, &["schedule", "remove", "--root", "image"]);
    said += &run(&context, &["schedule", "show", "--root", "image", "--format", "json"]);
    let said =
        regex::Regex::new(r#""next": "[^"]*""#).unwrap().replace_all(&said, r#""next": "[TIMESTAMP]""#).into_owned();
    assert_snapshot!(said);
    let left: Vec<_> =
        fs::read_dir(unit(&context.path("image"), "")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["timers.target.wants"]);
}

/// Regression: another folder's `school.yaml` took the schedule of the first one over, which was pushed no more.
#[test]
fn a_schedule_of_another_mapping_is_not_taken_over() {
    let context = school();
    fs::create_dir(context.path("image")).unwrap();
    fs::create_dir(context.path("other")).unwrap();
    fs::copy(context.path("school.yaml"), context.path("other/school.yaml")).unwrap();
    fs::copy(context.path(".env"), context.path("other/.env")).unwrap();
    let me = me();
    let install =
        |mapping: &str| context.run(&["schedule", "systemd", mapping, "--user", &me, "--root", "image", "--install"]);
    assert!(install("school.yaml").starts_with("exit code 0\n"));
    let said = install("other/school.yaml");
    assert!(said.starts_with("exit code 2\n"), "{said}");
    assert!(said.contains("error: schedule `school` is there already, and pushes `[FOLDER]/school.yaml`"), "{said}");
    // A folder that holds it pushes it, too.
    let said =
        context.run(&["schedule", "systemd", ".", "--name", "school", "--user", &me, "--root", "image", "--install"]);
    assert!(said.starts_with("exit code 0\n"), "{said}");
    fs::remove_file(context.path("school.yaml")).unwrap();
    assert!(install("other/school.yaml").starts_with("exit code 2\n"), "the folder is there");
}

#[test]
fn what_would_fail_at_night_is_refused_by_day() {
    let mut context = school();
    fs::create_dir(context.path("image")).unwrap();
    context.write("wrong.yaml", "version: 1\nname: x\ncolour: red\n");
    let me = me();
    let mut said = String::new();
    let mut refuse = |context: &TestContext, arguments: &[&str]| {
        let answer = run(context, &[&["schedule"], arguments].concat());
        assert!(answer.starts_with("exit code 2\n----- stdout -----\n----- stderr -----\n"), "{arguments:?}: {answer}");
        let typed: Vec<&str> = arguments.iter().map(|word| if *word == me { "[ME]" } else { word }).collect();
        let answer = answer.split_once("stderr -----\n").unwrap().1;
        writeln!(said, "$ sispush schedule {}\n{answer}", typed.join(" ")).unwrap();
    };
    for arguments in [
        "systemd school.yaml --user nobody-of-that-name --install",
        "systemd wrong.yaml school.yaml --user library --install",
        "systemd gone.yaml --user library --install",
        "systemd school.yaml --user library --at 25:00",
        "systemd school.yaml --user library --days weekdays",
        "systemd school.yaml --user library --name a/b",
        "systemd school.yaml --user library -- --ful",
        "systemd school.yaml --user library -- --state state.db",
        "systemd school.yaml --user library --root gone",
        "cron school.yaml --root image",
        "windows school.yaml",
        "windows school.yaml --user library --install",
        "remove nightly --root image",
    ] {
        refuse(&context, &arguments.split(' ').collect::<Vec<_>>());
    }
    context.mapping("state: state/school.db\n");
    refuse(&context, &["systemd", "school.yaml", "--user", &me, "--install"]);
    context.mapping("");
    write_secrets(&context, "OTHER=x\n");
    refuse(&context, &["cron", "school.yaml", "--install"]);
    context.set_env("INFINITI_PASSWORD", PASSWORD);
    refuse(&context, &["cron", "school.yaml", "--install"]);
    context.write("image/etc", "a file in the place of a folder");
    refuse(&context, &["systemd", "school.yaml", "--user", &me, "--install", "--root", "image"]);
    assert_snapshot!(said);
}

/// Regression: cron's line makes its folder below the account's home, and an account without one was never pushed.
#[test]
fn cron_is_refused_an_account_without_a_home_of_its_own() {
    let mut context = school();
    let getent = "echo \"$3:x:999:999::/nonexistent:/usr/sbin/nologin\"\n";
    let path = stand_in(&context, "getent", getent);
    context.set_env("PATH", &path);
    fs::create_dir(context.path("image")).unwrap();
    let said = context.run(&["schedule", "cron", "school.yaml", "--user", &me(), "--install"]);
    assert!(said.starts_with("exit code 2\n"), "{said}");
    for part in ["`/nonexistent`, is not there or is not its own", "hint: run `install -d -m 700 -o "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // systemd's service has folders of its own.
    let said = context.run(&["schedule", "systemd", "school.yaml", "--user", &me()]);
    assert!(said.starts_with("exit code 0\n"), "{said}");
}

/// A folder that each of the three would take for something else, if it could.
const WILD: &str = "Schüler $HOME 100% %n 'q' \"Q\" ${X} #;&";

/// A school in such a folder, and where its units are.
fn wild() -> (TestContext, PathBuf) {
    let context = school();
    let folder = context.path(WILD);
    fs::create_dir_all(context.path("image")).unwrap();
    fs::create_dir_all(folder.join("logs")).unwrap();
    for name in ["school.yaml", ".env", "sis.db"] {
        fs::copy(context.path(name), folder.join(name)).unwrap();
    }
    (context, folder)
}

fn install_wild(context: &TestContext, folder: &Path) -> PathBuf {
    let mapping = folder.join("school.yaml");
    let log = folder.join("logs/run.log");
    let output = context.output(&[
        "schedule",
        "systemd",
        mapping.to_str().unwrap(),
        "--user",
        &me(),
        "--root",
        "image",
        "--install",
        "--",
        "--log-file",
        log.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output));
    unit(&context.path("image"), "sispush-school.service")
}

#[test]
fn systemd_finds_nothing_wrong() {
    let Some(analyze) = program("systemd_finds_nothing_wrong", "systemd-analyze", "systemd") else { return };
    let (context, folder) = wild();
    let service = install_wild(&context, &folder);
    let output =
        Command::new(&analyze).arg("verify").arg(&service).arg(service.with_extension("timer")).output().unwrap();
    assert!(output.status.success() && text(&output).is_empty(), "{}", text(&output));
    // It does see what is wrong: a key that does not exist, a calendar that is none.
    let timer = fs::read_to_string(service.with_extension("timer")).unwrap();
    fs::write(service.with_extension("timer"), timer.replace("OnCalendar=", "OnCalendar=Xyz")).unwrap();
    let output = Command::new(&analyze).arg("verify").arg(service.with_extension("timer")).output().unwrap();
    assert!(text(&output).contains("Failed to parse calendar specification"), "{}", text(&output));
}

#[test]
fn the_service_may_do_little_else() {
    let Some(analyze) = program("the_service_may_do_little_else", "systemd-analyze", "systemd") else { return };
    let context = school();
    fs::create_dir(context.path("image")).unwrap();
    context.output(&["schedule", "systemd", "school.yaml", "--user", "daemon", "--root", "image", "--install"]);
    let service = unit(&context.path("image"), "sispush-school.service");
    // In tenths: 0 is no exposure, 100 all of it.
    let security = |threshold: &str| {
        Command::new(&analyze)
            .args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={threshold}"))
            .arg(&service)
            .output()
            .unwrap()
    };
    let output = security("18");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Overall exposure level"), "{}", text(&output));
    fs::write(&service, fs::read_to_string(&service).unwrap().replace("CapabilityBoundingSet=\n", "")).unwrap();
    assert!(!security("18").status.success());
}

#[test]
fn systemd_reads_the_times_as_they_are_meant() {
    let Some(analyze) = program("systemd_reads_the_times_as_they_are_meant", "systemd-analyze", "systemd") else {
        return;
    };
    for zone in ["Australia/Sydney", "Europe/London", "America/New_York"] {
        for (at, days) in [
            ("02:30", "daily"),
            ("01:30", "sun"),
            ("04:30", "mon-fri"),
            ("23:59", "sat-mon,wed"),
            ("00:00", "tue,wed,thu"),
        ] {
            let times = Times::new(&[at], days).unwrap();
            // Across both changes of the clock.
            for base in [
                "2026-03-27 12:00",
                "2026-03-07 12:00",
                "2026-04-04 12:00",
                "2026-10-03 12:00",
                "2026-10-24 12:00",
                "2026-10-31 12:00",
            ] {
                let output = Command::new(&analyze)
                    .args(["calendar", "--iterations=1", &format!("--base-time={base}")])
                    .args(systemd::calendars(&times))
                    .env("TZ", zone)
                    .env("LC_ALL", "C")
                    .output()
                    .unwrap();
                let said = text(&output);
                let next = said.lines().find_map(|line| line.trim().strip_prefix("Next elapse: ")).unwrap();
                let after: jiff::civil::DateTime = base.parse().unwrap();
                let own = times.next_run(&after.in_tz(zone).unwrap(), Gap::LeftOut).unwrap();
                assert!(
                    next.starts_with(&own.strftime("%a %Y-%m-%d %H:%M:%S").to_string()),
                    "{zone} {at} {days} {base}: {own} {said}"
                );
            }
        }
    }
}

/// The night's push, as systemd would start it: its own words, its environment.
#[test]
fn the_service_s_own_command_pushes() {
    let Some(systemd) = program("the_service_s_own_command_pushes", "systemd", "systemd") else { return };
    let (context, folder) = wild();
    let service = install_wild(&context, &folder);
    let line = words_of(&systemd, &service);
    let state = context.path("var");
    fs::create_dir(&state).unwrap();
    let night = || {
        let mut command = context.shell(&line);
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").env("STATE_DIRECTORY", &state);
        command.env("CREDENTIALS_DIRECTORY", context.path("none")).env("LANG", "C.UTF-8").output().unwrap()
    };
    let output = night();
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output));
    assert_eq!(context.sandbox().patrons().len(), 3);
    assert!(state.join("state.db").is_file());
    assert!(fs::read_to_string(folder.join("logs/run.log")).unwrap().contains("push ended"));
    // What ends with 1 is done, and systemd is told so.
    context.sis("");
    rusqlite::Connection::open(folder.join("sis.db"))
        .unwrap()
        .execute("UPDATE students SET email = 'x' WHERE login = 'student0001'", [])
        .unwrap();
    assert_eq!(night().status.code(), Some(1));
    assert!(fs::read_to_string(&service).unwrap().contains("\nSuccessExitStatus=1\n"));
}

/// Whatever an argument holds, systemd hands it over as it is; held against its own parser.
#[test]
fn systemd_reads_the_words_back() {
    let Some(systemd) = program("systemd_reads_the_words_back", "systemd", "systemd") else { return };
    let mut runner = TestRunner::deterministic();
    let anything = prop::collection::vec("[^\\p{C}\\p{Z}]{0,12}|[ $%{}'\"\\\\;#@a!+:-]{1,12}", 200);
    let words = anything.new_tree(&mut runner).unwrap().current();
    let folder = tempfile::tempdir().unwrap();
    let schedule = Schedule {
        name: "words".into(),
        kind: Kind::Systemd,
        mappings: vec!["/last".into()],
        times: Times::new(&["04:30"], "daily").unwrap(),
        account: Account::Own,
        program: "/opt/Schüler $HOME 100% ; x/sispush".into(),
        arguments: words.clone(),
        log_file: None,
        credentials: Vec::new(),
        writable: Vec::new(),
        reads_home: false,
    };
    let service = folder.path().join("sispush-words.service");
    fs::write(&service, systemd::units(&schedule).unwrap().service).unwrap();
    let line = words_of(&systemd, &service);
    let output = Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {line}")).output().unwrap();
    let mut wanted = vec![schedule.program.clone(), "push".to_owned()];
    wanted.extend(words);
    wanted.push("/last".to_owned());
    let read = String::from_utf8(output.stdout).unwrap();
    for (read, wanted) in read.lines().zip(&wanted) {
        assert_eq!(read, wanted);
    }
    assert_eq!(read.lines().count(), wanted.len());
}

#[test]
fn a_running_systemd_is_told() {
    let mut context = school();
    let path = stand_in(
        &context,
        "systemctl",
        "echo \"$*\" >>calls\n[ \"$2\" != is-system-running ] || { echo degraded; exit 1; }\n[ \"$2\" != show ] || { cat known; exit; }\n[ ! -e broken ] || { echo 'Failed to restart: it is broken' >&2; exit 1; }\n",
    );
    context.set_env("PATH", &path);
    let name = own_name();
    let install = ["schedule", "systemd", "school.yaml", "--per-user", "--install", "--name", &name];
    context.write("known", "ActiveState=active\nNeedDaemonReload=no\n\nNeedDaemonReload=no\nActiveState=inactive\n");
    let mut said = run(&context, &install);
    said += &run(&context, &install);
    said += &run(&context, &[&install[..], &["--at", "05:00"]].concat());
    said += &run(&context, &["schedule", "show"]);
    context.write("broken", "");
    said += &run(&context, &[&install[..], &["--at", "06:00"]].concat());
    fs::remove_file(context.path("broken")).unwrap();
    // The files are there now, and systemd has not read them.
    context.write("known", "ActiveState=active\nNeedDaemonReload=yes\n");
    said += &run(&context, &[&install[..], &["--at", "06:00"]].concat());
    said += &run(&context, &["schedule", "remove", &name]);
    said += "calls\n";
    said += &fs::read_to_string(context.path("calls")).unwrap().replace(&name, "school");
    assert_snapshot!(said);
    assert!(
        fs::read_dir(context.path(".config/systemd/user"))
            .unwrap()
            .all(|entry| entry.unwrap().file_name() == "timers.target.wants")
    );
}

#[test]
fn without_systemd_it_is_told_what_to_run_later() {
    let mut context = school();
    let path = stand_in(&context, "systemctl", "echo offline; exit 1\n");
    context.set_env("PATH", &path);
    assert_snapshot!(run(&context, &["schedule", "systemd", "school.yaml", "--per-user", "--install"]));
}

/// A `crontab` that keeps a file. Without one it says so, and fails, as the real one does.
const CRONTAB: &str = "case $1 in
-l) [ ! -e refused ] || { echo 'you (x) are not allowed to use this program (crontab)' >&2; exit 1; }
  [ -e tab ] || { echo 'no crontab for x' >&2; exit 1; }; cat tab;;
-) cat >tab.new && mv tab.new tab; echo written >>calls;;
*) exit 64;;
esac
";

#[test]
fn a_crontab_keeps_what_others_have_in_it() {
    let mut context = school();
    let path = stand_in(&context, "crontab", CRONTAB);
    context.set_env("PATH", &path);
    let tab = || fs::read(context.path("tab")).unwrap();
    let name = own_name();
    let install = ["schedule", "cron", "school.yaml", "--install", "--name", &name];
    let mut said = run(&context, &install);
    let alone = String::from_utf8(tab()).unwrap();
    assert_eq!(alone.lines().filter(|line| !line.starts_with('#')).count(), 1, "{alone}");
    // Not UTF-8, and no line break at its end.
    let theirs = b"MAILTO=it@school.example\n# caf\xe9\n0 1 * * * backup 50\\% done";
    context.write("tab", theirs);
    said += &run(&context, &install);
    assert_eq!(tab(), [&theirs[..], b"\n", alone.as_bytes()].concat());
    said += &run(&context, &install);
    assert_eq!(
        fs::read_to_string(context.path("calls")).unwrap().lines().count(),
        2,
        "nothing changed, nothing is written"
    );
    said += &run(&context, &[&install[..], &["--at", "22:10"]].concat());
    said += &run(&context, &["schedule", "show"]);
    said += &run(&context, &["schedule", "remove", &name]);
    assert_eq!(tab(), [&theirs[..], b"\n"].concat());
    // What cannot be read must not be written over.
    context.write("refused", "");
    said += &run(&context, &install);
    said += &run(&context, &["schedule", "show"]);
    assert_eq!(tab(), [&theirs[..], b"\n"].concat());
    context.set_env("PATH", "/nowhere");
    said += &run(&context, &install);
    assert_snapshot!(said);
}

/// The line does the night's push, as cron would have the shell run it.
#[test]
fn the_line_of_cron_pushes() {
    let (mut context, folder) = wild();
    let path = stand_in(&context, "crontab", CRONTAB);
    context.set_env("PATH", &path);
    let output = context.output(&["schedule", "cron", folder.join("school.yaml").to_str().unwrap(), "--install"]);
    assert!(output.status.success(), "{}", text(&output));
    let tab = fs::read_to_string(context.path("tab")).unwrap();
    let line = tab.lines().find_map(|line| line.strip_prefix("30 4 * * * ")).unwrap();
    assert!(!line.replace("\\%", "").contains('%'), "{line}");
    let mut command = context.shell(&line.replace("\\%", "%"));
    let output = command
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", context.folder())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), text(&output)), (Some(0), String::new()));
    assert_eq!(context.sandbox().patrons().len(), 3);
    assert!(context.path(".local/state/sispush/school.log").is_file());
}

#[test]
fn a_task_keeps_to_the_schema() {
    let Some(xmllint) = program("a_task_keeps_to_the_schema", "xmllint", "libxml2-utils") else { return };
    let context = school();
    let folder = context.path("Schüler $HOME 100% & <that> 'q'");
    fs::create_dir(&folder).unwrap();
    fs::copy(context.path("school.yaml"), folder.join("school.yaml")).unwrap();
    let mapping = folder.join("school.yaml");
    let validate = |file: &Path| {
        Command::new(&xmllint)
            .args(["--noout", "--schema"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/task-scheduler.xsd"))
            .arg(file)
            .output()
            .unwrap()
    };
    for user in [r"SCHOOL\bücherei", "SYSTEM"] {
        let output = context.output(&[
            "schedule",
            "windows",
            mapping.to_str().unwrap(),
            "--user",
            user,
            "--at",
            "04:30",
            "--at",
            "13:00",
            "--days",
            "mon-fri",
            "--out",
            "task.xml",
        ]);
        assert!(output.status.success(), "{}", text(&output));
        let bytes = fs::read(context.path("task.xml")).unwrap();
        assert_eq!(bytes[..4], [0xff, 0xfe, b'<', 0]);
        let output = validate(&context.path("task.xml"));
        assert!(output.status.success(), "{}", text(&output));
    }
    // The schema does see what is wrong.
    let xml = context.output(&["schedule", "windows", "school.yaml", "--user", "x"]).stdout;
    let xml = String::from_utf8(xml).unwrap().replace("UTF-16", "UTF-8");
    context.write("right.xml", &xml);
    assert!(validate(&context.path("right.xml")).status.success());
    for (right, wrong) in [
        ("IgnoreNew", "Ignore"),
        ("PT4H", "4h"),
        ("<Monday/>", "<Mon/>"),
        ("T04:30:00", " 04:30"),
        ("<Command>", "<Command/><Command>"),
    ] {
        assert!(xml.contains(right), "{right}: {xml}");
        context.write("wrong.xml", xml.replacen(right, wrong, 1));
        assert!(!validate(&context.path("wrong.xml")).status.success(), "{wrong}");
    }
}
