//! What a push leaves for those who were not there: the log file, and the outcome in the system's log.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use regex::Regex;
use serde_json::{Map, Value};
use support::context::TestContext;

/// A journald of the test's own.
struct Journal {
    socket: UnixDatagram,
    path: String,
}

impl Journal {
    fn new(context: &mut TestContext) -> Self {
        let path = context.path("journal").display().to_string();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        context.set_env("SISPUSH_SYSTEM_LOG", &path);
        Self { socket, path }
    }

    /// What came since the last call, with the run's id replaced.
    fn lines(&self) -> String {
        let run = Regex::new("(?m)^SISPUSH_RUN=[0-9a-f]{16}$").unwrap();
        run.replace_all(&self.text(), "SISPUSH_RUN=[RUN]").into_owned()
    }

    fn text(&self) -> String {
        let mut buffer = vec![0; 256 * 1024];
        let mut text = String::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            text += std::str::from_utf8(&buffer[..length]).unwrap();
            text += "\n";
        }
        text
    }
}

/// Three schools in a folder: one that is well, one whose database is not there, and one whose mapping is not valid.
fn schools(context: &TestContext) {
    context.students(3).mapping("");
    let school = fs::read_to_string(context.path("school.yaml")).unwrap();
    fs::create_dir(context.path("schools")).unwrap();
    let folder = context.folder().display().to_string();
    context.write("schools/a-good.yaml", school.replace("sqlite:sis.db", &format!("sqlite:{folder}/sis.db")));
    context.write("schools/b-gone.yaml", school.replace("sqlite:sis.db", "sqlite:gone.db"));
    context.write("schools/c-slip.yaml", school.replace("version: 1", "version: 1\ncolour: red"));
}

#[test]
fn the_system_s_log_has_each_outcome_and_the_command_s() {
    let mut context = TestContext::with_sandbox(&[]);
    schools(&context);
    let journal = Journal::new(&mut context);
    assert_eq!(context.output(&["push", "schools"]).status.code(), Some(3));
    let lines = journal.lines().replace(&context.folder().display().to_string(), "[FOLDER]");
    assert_snapshot!(lines);
    context.output(&["push", "school.yaml", "--full"]);
    assert_snapshot!(journal.lines());
    // The command itself, before there is a mapping.
    context.output(&["push", "nowhere"]);
    assert_snapshot!(journal.lines());
}

#[test]
fn who_rehearses_or_looks_leaves_no_trace() {
    let mut context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("");
    let journal = Journal::new(&mut context);
    for arguments in [
        &["check", "school.yaml"][..],
        &["diff", "school.yaml"],
        &["push", "school.yaml", "--dry-run"],
        &["push", "school.yaml", "--system-log", "off"],
        &["demo", "--folder", "demo"],
    ] {
        assert!(context.output(arguments).status.success(), "{arguments:?}");
        assert_eq!(journal.text(), "", "{arguments:?}");
    }
    context.output(&["push", "school.yaml"]);
    assert_ne!(journal.text(), "");
}

/// A system's log that is not there, or that is no log, changes nothing of what is done and said.
#[test]
fn a_system_log_that_fails_is_no_failure() {
    let mut context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("");
    context.run(&["push", "school.yaml"]);
    let without = context.run(&["push", "school.yaml", "--full"]);
    let journal = Journal::new(&mut context);
    drop(journal.socket);
    let arguments = ["push", "school.yaml", "--full", "--log-file", "run.log", "-vv"];
    for path in [journal.path.as_str(), "/nowhere/journal", "./school.yaml"] {
        assert_eq!(context.run(&["push", "school.yaml", "--full", "--system-log", path]), without, "{path}");
        assert!(context.output(&[&arguments[..], &["--system-log", path]].concat()).status.success());
    }
    let log = fs::read_to_string(context.path("run.log")).unwrap();
    assert_eq!(log.matches("the outcome is not in the system's log").count(), 6, "{log}");
}

/// A signal ends the push, and with it what the mapping would have noted; the command's line says so.
#[test]
fn an_interrupted_push_is_noted() {
    let mut context = TestContext::with_sandbox(&["hang"]);
    context.students(1).mapping("");
    let journal = Journal::new(&mut context);
    let mut command = context.command(&["push", "school.yaml"]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while context.sandbox().requests().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    let kill = || assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    kill();
    let mut line = String::new();
    // The first signal waits for the batch in flight, and says so; the second does not.
    let mut told = BufReader::new(child.stderr.take().unwrap());
    told.read_line(&mut line).unwrap();
    kill();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{line}");
    assert_snapshot!(journal.lines());
}

/// Not a line for each row: a log must not slow a large school down, nor fill a disk.
#[test]
fn the_log_does_not_grow_with_the_school() {
    let lines = |students| {
        let context = TestContext::with_sandbox(&[]);
        context.students(students).mapping("");
        context.output(&["push", "school.yaml", "-vvv", "--log-file", "run.log"]);
        fs::read_to_string(context.path("run.log")).unwrap().lines().count()
    };
    assert_eq!(lines(3), lines(3_000));
}

#[test]
fn one_run_id_goes_through_all_of_it() {
    let mut context = TestContext::with_sandbox(&["503x1"]);
    schools(&context);
    let journal = Journal::new(&mut context);
    context.output(&["push", "schools", "--log-file", "text.log"]);
    let id = Regex::new("(?:run=|RUN=|\"run\":\")([0-9a-f]{16})").unwrap();
    let ids = |text: &str| -> BTreeSet<String> { id.captures_iter(text).map(|found| found[1].to_owned()).collect() };
    let log = fs::read_to_string(context.path("text.log")).unwrap();
    let first = ids(&log);
    assert_eq!(first.len(), 1, "{log}");
    assert_eq!(ids(&journal.text()), first);
    assert!(log.lines().all(|line| line.contains("run=")), "{log}");
    let about: Vec<&str> = ["a-good", "b-gone"]
        .into_iter()
        .filter(|name| log.lines().filter(|line| line.contains(&format!(": mapping={name}: "))).count() >= 2)
        .collect();
    assert_eq!(about, ["a-good", "b-gone"], "{log}");

    // The next process has another, which sorts after it, and JSON has it on stderr, too.
    let output = context.output(&["push", "schools", "--full", "--log-file", "json.log", "--log-format", "json", "-v"]);
    let log = fs::read_to_string(context.path("json.log")).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines = |text: &str| -> Vec<Value> {
        let objects = text.lines().filter(|line| line.starts_with('{'));
        // Each asks the clock by itself.
        objects
            .map(|line| {
                Value::from(
                    serde_json::from_str::<Map<_, _>>(line)
                        .unwrap()
                        .into_iter()
                        .filter(|(name, _)| name != "timestamp")
                        .collect::<Map<_, _>>(),
                )
            })
            .collect()
    };
    assert_eq!(lines(&log), lines(&stderr));
    let second = ids(&log);
    assert_eq!(ids(&journal.text()), second);
    assert!(second.len() == 1 && second > first, "{first:?} {second:?}");
    for line in lines(&log) {
        assert!(second.contains(line["run"].as_str().unwrap()), "{line}");
        let is_of_all =
            line["message"] == "all ended" || line["why"].as_str().is_some_and(|why| why.contains("c-slip"));
        assert!(line["mapping"].is_string() || is_of_all, "{line}");
    }
}

#[test]
fn no_value_reaches_the_system_s_log() {
    let mut context = TestContext::with_sandbox(&["reject=student"]);
    context.students(3).sis("UPDATE students SET given = 'canary', family = 'canary'").mapping("");
    let journal = Journal::new(&mut context);
    context.output(&["push", "school.yaml"]);
    let school = fs::read_to_string(context.path("school.yaml")).unwrap();
    for (from, to) in [("SELECT login", "SELECT json_extract('{}', given) AS login"), ("email,", "given AS email,")] {
        assert!(school.contains(from));
        context.write("school.yaml", school.replace(from, to));
        context.output(&["push", "school.yaml"]);
    }
    let text = journal.text();
    assert_eq!(text.matches("\nSISPUSH_MAPPING=").count(), 3, "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn more_or_fewer_and_smaller_files_are_kept() {
    let context = TestContext::with_sandbox(&[]);
    context.students(1).mapping("");
    let line = "2026-11-23T02:30:00.125Z info: an old line\n";
    for (name, size) in [("run.log", 65 * 1024), ("run.log.1", 1), ("run.log.2", 1), ("run.log.3", 1)] {
        context.write(name, line.repeat(size / line.len() + 1));
    }
    let keep = ["push", "school.yaml", "--log-file", "run.log", "--log-keep", "2", "--log-max-size", "64KiB"];
    assert!(context.output(&keep).status.success());
    let size = |name: &str| fs::metadata(context.path(name)).map(|file| file.len()).ok();
    assert!(size("run.log").unwrap() < 10_000);
    assert!(size("run.log.1").unwrap() > 65 * 1024);
    assert_eq!([size("run.log.2"), size("run.log.3")], [Some(line.len() as u64), None]);
}

/// Regression: a log on a full disk was lost without a word.
#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_is_told_once() {
    let context = TestContext::with_sandbox(&[]);
    context.students(1).mapping("");
    for (format, said) in [("text", "warning: log file `/dev/full` cannot be written: "), ("json", r#""level":"WARN""#)]
    {
        let push = ["push", "school.yaml", "--log-file", "/dev/full", "--log-format", format];
        let output = context.output(&push);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        assert_eq!((stderr.matches(said).count(), stderr.lines().count()), (1, 1), "{stderr}");
    }
}

#[test]
fn what_is_no_retention_is_told() {
    let context = TestContext::new();
    context.students(1).mapping("");
    assert_snapshot!(context.run(&["check", "school.yaml", "--log-keep", "30"]));
    assert_snapshot!(context.run(&["check", "school.yaml", "--log-file", "a", "--log-keep", "1001"]));
    assert_snapshot!(context.run(&["check", "school.yaml", "--log-file", "a", "--log-max-size", "10MB"]));
    assert_snapshot!(context.run(&["check", "school.yaml", "--log-file", "a", "--log-max-size", "1KiB"]));
    assert_snapshot!(context.run(&["check", "school.yaml", "--system-log", "of"]));
    let mut context = context;
    context.set_env("SISPUSH_SYSTEM_LOG", "on");
    assert_snapshot!(context.run(&["check", "school.yaml"]));
    assert!(!context.path("a").exists());
}
