//! Torture: a push is killed, cut, starved and disturbed at every step, and the next run must finish its work.
//!
//! Every case goes through the real program. A school of a SQLite file is changed at random (seeded), a run is
//! disturbed, and after one clean run Infiniti must hold what the school says, a rehearsal must plan nothing, and the
//! state must know all of it as accepted. Between the program and the sandbox stands a [`Gate`], which disturbs.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![expect(clippy::print_stdout, reason = "the cases are counted for whoever asks, with --nocapture")]
#![expect(clippy::format_push_string, reason = "SQL for a handful of rows")]
#![cfg(unix)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use sispush::infiniti::sandbox::{Fault, Options, Sandbox};
use support::context::{PASSWORD, STUDENTS_QUERY, TestContext, USERNAME};
use support::gate::{Gate, Point, Trick, signal};

/// How many students a school has, more or less.
const STUDENTS: u64 = 200;

/// Random numbers that are the same in every run (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn is_one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }
}

/// A school with its Infiniti behind a gate.
struct School {
    context: TestContext,
    gate: Gate,
    runtime: tokio::runtime::Runtime,
    sandbox: Option<Sandbox>,
    random: Random,
}

impl School {
    /// A school that was never pushed.
    fn new(seed: u64) -> Self {
        Self::with_batches(seed, 20)
    }

    fn with_batches(seed: u64, batch_rows: u32) -> Self {
        let gate = Gate::new();
        let context = TestContext::with_target(&gate.url());
        context.students(usize::try_from(STUDENTS).unwrap()).sis("CREATE UNIQUE INDEX logins ON students (login)");
        context.mapping("");
        let text = fs::read_to_string(context.path("school.yaml")).unwrap();
        let settings = format!("  username: {USERNAME}\n  batch_rows: {batch_rows}\n  retries: 0\n  timeout: 2s\n");
        context.write("school.yaml", text.replace(&format!("  username: {USERNAME}\n"), &settings));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut school = Self { context, gate, runtime, sandbox: None, random: Random(seed) };
        school.restart(&[]);
        school
    }

    /// A school whose first push Infiniti accepted.
    fn pushed(seed: u64) -> Self {
        let school = Self::new(seed);
        assert_eq!(code(&school.push(Trick::Pass)), Some(0));
        school
    }

    /// Starts the sandbox again with its patrons and these faults.
    fn restart(&mut self, faults: &[&str]) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
        let faults = faults.iter().map(|fault| fault.parse::<Fault>().expect("a fault")).collect();
        let file = Some(self.context.path("sandbox.json"));
        let options = Options { faults, file, ..Options::new(USERNAME, PASSWORD) };
        self.sandbox = Some(self.runtime.block_on(Sandbox::start(options)).unwrap());
    }

    fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.context.path(".local/state/sispush/state.db")
    }

    /// Starts a push with a trick.
    fn start(&self, trick: Trick) -> Child {
        self.gate.set(self.sandbox().address(), trick);
        self.gate.spawn(&mut self.context.command(&["push", "--delta", "school.yaml"]))
    }

    /// A push with a trick, to its end.
    fn push(&self, trick: Trick) -> Output {
        let output = self.start(trick).wait_with_output().unwrap();
        self.gate.rest();
        output
    }

    /// A day at the school: people come, go and change. Never so much that a limit would be passed.
    fn change(&mut self) {
        let random = &mut self.random;
        let mut sql = "DROP TABLE IF EXISTS before; CREATE TABLE before AS SELECT * FROM students;".to_owned();
        for _ in 0..random.below(5) {
            sql += &format!("DELETE FROM students WHERE login = 'student{:04}';", 1 + random.below(STUDENTS + 40));
        }
        for _ in 0..random.below(8) {
            let number = 1 + random.below(STUDENTS + 40);
            sql += &format!(
                "INSERT OR IGNORE INTO students
                 VALUES ('student{number:04}', 'New', 'Family{number}', NULL, 2031, '{number:06}', '7B');"
            );
        }
        for _ in 0..5 + random.below(STUDENTS / 2) {
            let number = 1 + random.below(STUDENTS + 40);
            let version = random.below(3);
            let change = match random.below(6) {
                0 => format!("given = 'Given {version}'"),
                1 => format!("email = 'student{number:04}.{version}@school.example'"),
                2 => "email = NULL".to_owned(),
                3 => format!("form = '{}C'", 7 + version),
                4 => format!("barcode = 'V{version}-{number}'"),
                _ => "form = NULL".to_owned(),
            };
            sql += &format!("UPDATE students SET {change} WHERE login = 'student{number:04}';");
        }
        if random.is_one_in(3) {
            let number = 1 + random.below(STUDENTS);
            sql += &format!("UPDATE students SET email = 'not an address' WHERE login = 'student{number:04}';");
        }
        // Something has changed for sure.
        sql += &format!("UPDATE students SET family = 'Family {}' WHERE year = 2032;", random.next());
        self.context.sis(&sql);
    }

    /// Everything is as it was before the last change.
    fn change_back(&self) {
        self.context.sis("DELETE FROM students; INSERT INTO students SELECT * FROM before");
    }

    /// One case: a change, a disturbed run, sometimes a change back or on, and a run that must mend it.
    fn case(&mut self, name: &str, disturb: impl FnOnce(&mut Self)) {
        self.change();
        disturb(self);
        match self.random.below(3) {
            0 => self.change_back(),
            1 => self.change(),
            _ => {}
        }
        self.finish(name);
    }

    /// A clean run, after which everything must be right.
    fn finish(&self, name: &str) {
        let output = self.push(Trick::Pass);
        assert!(matches!(code(&output), Some(0 | 1)), "{name}: {}", told(&output));
        self.assert_right(name, "school.yaml", STUDENTS_QUERY);
    }

    /// Infiniti holds what the source says, a rehearsal plans nothing, and the state knows just these patrons.
    fn assert_right(&self, name: &str, mapping: &str, query: &str) {
        let source = self.source(query);
        self.assert_arrived(name, &source);
        let diff = self.context.output(&["diff", "--delta", "--format", "json", mapping]);
        let plan: serde_json::Value = serde_json::from_slice(&diff.stdout).unwrap();
        let plan = &plan["mappings"][0];
        assert_eq!(plan["rows_to_send"], 0, "{name}: {}", told(&diff));
        assert_eq!(plan["plan"]["mode"], "delta", "{name}");
        assert_eq!(plan["plan"]["counts"]["unchanged"], source.len(), "{name}");
        let export = self.context.output(&["state", "export", mapping]);
        let mut accepted = BTreeSet::new();
        for record in csv::Reader::from_reader(&export.stdout[..]).records() {
            let record = record.unwrap();
            let (username, standing, outcome, missing) = (&record[0], &record[2], &record[4], &record[5]);
            let is_rejected = self.rejected().contains(username);
            if missing.is_empty() && !is_rejected {
                assert_eq!((standing, outcome), ("active", "accepted"), "{name}: {username}");
                accepted.insert(username.to_owned());
            }
        }
        assert_eq!(accepted, source.into_keys().collect(), "{name}: the state knows others");
    }

    fn assert_arrived(&self, name: &str, source: &BTreeMap<String, BTreeMap<&'static str, String>>) {
        let held: BTreeMap<String, BTreeMap<String, String>> =
            self.sandbox().patrons().into_iter().map(|patron| (patron["username"].to_lowercase(), patron)).collect();
        for (username, values) in source {
            for (header, value) in values {
                let found = held.get(username).and_then(|patron| patron.get(*header));
                assert_eq!(found, Some(value), "{name}: {header} of {username}");
            }
        }
    }

    /// What the source says of everybody who breaks no rule, as far as it is filled.
    fn source(&self, query: &str) -> BTreeMap<String, BTreeMap<&'static str, String>> {
        const HEADERS: [&str; 7] =
            ["username", "givenname", "surname", "emailaddress", "graduationyear", "librarybarcode", "formclass"];
        let database = rusqlite::Connection::open(self.context.path("sis.db")).unwrap();
        let mut statement = database.prepare(query).unwrap();
        let rows = statement.query_map([], |row| {
            let values = HEADERS.iter().enumerate().filter_map(|(column, header)| {
                let value = match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Null => return None,
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    value => value.as_str().unwrap().to_owned(),
                };
                Some((*header, value))
            });
            Ok(values.chain([("enabled", "Y".to_owned()), ("staffmember", "N".to_owned())]).collect::<BTreeMap<_, _>>())
        });
        let rejected = self.rejected();
        let rows = rows.unwrap().map(|values| values.unwrap()).map(|values| (values["username"].clone(), values));
        rows.filter(|(username, _)| !rejected.contains(username)).collect()
    }

    fn rejected(&self) -> BTreeSet<String> {
        let database = rusqlite::Connection::open(self.context.path("sis.db")).unwrap();
        let mut statement = database.prepare("SELECT login FROM students WHERE email = 'not an address'").unwrap();
        let logins = statement.query_map([], |row| row.get(0)).unwrap();
        logins.collect::<Result<_, _>>().unwrap()
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// An output as text.
fn told(output: &Output) -> String {
    format!(
        "exit code {:?}\n{}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Power is cut at any step: before, in and after every request, and what was sent without a receipt is sent again.
#[test]
fn killed_at_every_step() {
    let mut count = 0;
    let mut school = School::with_batches(1, 10);
    assert_eq!(code(&school.push(Trick::Pass)), Some(0));
    for point in Point::ALL {
        for number in 1.. {
            let mut has_struck = false;
            school.case(&format!("killed at {point:?} of request {number}"), |school| {
                let output = school.push(Trick::Kill(number, point));
                has_struck = school.gate.has_struck();
                // After the last answer the program may be faster than the signal.
                assert!(code(&output).is_none() == has_struck || point == Point::AfterAnswer, "{}", told(&output));
            });
            if !has_struck {
                break;
            }
            count += 1;
        }
    }
    println!("{count} cases");
    assert!(count >= 4 * 6, "only {count} kills hit");
}

/// The first push is the longest, and the one without anything in the state yet.
#[test]
fn killed_at_every_step_of_the_first_push() {
    let mut count = 0;
    for point in Point::ALL {
        for number in 1..=10 {
            let name = format!("killed at {point:?} of request {number}");
            let mut school = School::new(2 + number as u64);
            school.push(Trick::Kill(number, point));
            assert!(school.gate.has_struck(), "{name}");
            if number % 2 == 0 {
                school.change();
            }
            school.finish(&name);
            count += 1;
        }
    }
    println!("{count} cases");
}

/// Between the steps is everything else: reading, planning, and every write into the state.
#[test]
fn killed_at_any_time() {
    let mut count = 0;
    let mut killed = 0;
    let mut school = School::pushed(3);
    school.change();
    let started = Instant::now();
    school.finish("the measure");
    // A run and two looks at it; a push alone is about half.
    let longest = u64::try_from(started.elapsed().as_micros()).unwrap() * 2 / 3;
    for round in 0..70 {
        // Every fifth is a first push.
        if round % 5 == 4 {
            school = School::new(1000 + round);
        }
        let delay = school.random.below(longest);
        school.case(&format!("killed after {delay} µs"), |school| {
            let mut child = school.start(Trick::Pass);
            std::thread::sleep(Duration::from_micros(delay));
            child.kill().unwrap();
            killed += usize::from(child.wait().unwrap().code().is_none());
        });
        count += 1;
    }
    println!("{count} cases, {killed} of them before the end");
    assert!(killed > 30, "only {killed} kills hit");
}

/// Whatever Infiniti, or the way to it, gets wrong: nothing counts as accepted that was not said to be.
#[test]
fn every_fault_of_the_target() {
    let mut count = 0;
    let mut school = School::pushed(4);
    let mut faults: Vec<String> = [
        "cutx1",
        "cutx2",
        "503x1",
        "503x3",
        "badjson",
        "badjsonx1",
        "miscount",
        "miscountx2",
        "nodetails",
        "nodetailsx2",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    faults.extend(["html", "redirect", "401", "429", "500x1", "hangx1"].map(ToOwned::to_owned));
    faults.extend(["reject=student...[13579]", "reject=student.*", "reject=student00"].map(ToOwned::to_owned));
    faults.extend([0, 1, 100, 300, 500, 1000, 1500, 2000, 4000].map(|bytes| format!("cut-uploadx1={bytes}")));
    for fault in &faults {
        school.case(fault, |school| {
            school.restart(&[fault]);
            let output = school.push(Trick::Pass);
            assert!(matches!(code(&output), Some(1 | 4)), "{fault}: {}", told(&output));
            school.restart(&[]);
        });
        count += 1;
    }
    // Two at once, over several nights.
    for night in 0..5 {
        school.case(&format!("night {night} with rejected rows and a cut"), |school| {
            school.restart(&["reject=student.*[05]", "cutx1"]);
            school.push(Trick::Pass);
            school.restart(&["reject=student.*[27]"]);
            school.change();
            school.push(Trick::Pass);
            school.restart(&[]);
        });
        count += 1;
    }
    println!("{count} cases");
}

/// Half an answer is no answer, wherever it ends.
#[test]
fn answers_cut_at_any_byte() {
    let mut count = 0;
    let mut school = School::pushed(5);
    for bytes in (0..).step_by(5) {
        let mut has_struck = false;
        school.case(&format!("{bytes} bytes of an answer"), |school| {
            let output = school.push(Trick::CutAnswer(1 + bytes % 2, bytes));
            has_struck = school.gate.has_struck();
            if has_struck {
                assert_eq!(code(&output), Some(4), "{bytes} of {}: {}", school.gate.answer_length(), told(&output));
            }
        });
        // The whole answer went through.
        if !has_struck {
            break;
        }
        count += 1;
    }
    println!("{count} cases");
    assert!(count > 30);
}

/// Half an upload is imported by nobody; the next run sends it whole.
#[test]
fn uploads_cut_at_any_byte() {
    let mut count = 0;
    let mut school = School::pushed(6);
    for bytes in [0, 1, 2, 50, 100, 150, 200, 250, 300, 400, 600, 800, 1000, 1200, 1400, 1600] {
        school.case(&format!("{bytes} bytes of an upload"), |school| {
            school.push(Trick::CutUpload(1 + bytes % 2, bytes));
        });
        count += 1;
    }
    println!("{count} cases");
}

/// Only when everybody was sent once is a patron who is not known a new one: until then a password would overwrite that
/// of somebody who is there.
#[test]
fn a_first_push_that_was_cut_sends_no_passwords_later() {
    let mut count = 0;
    let has_password =
        |school: &School| school.sandbox().patrons().iter().filter(|patron| patron.contains_key("password")).count();
    for number in 1..=10 {
        let school = School::new(100 + number as u64);
        let text = fs::read_to_string(school.context.path("school.yaml")).unwrap();
        school.context.write("school.yaml", text + "      password: { column: family, send: create }\n");
        let output = school.push(Trick::CutAnswer(number, 10));
        assert_eq!(code(&output), Some(4), "{}", told(&output));
        school.finish(&format!("no answer to request {number}"));
        assert_eq!(has_password(&school), 0, "cut at request {number}");
        school.context.sis("INSERT INTO students VALUES ('zoe', 'Zoe', 'Zest', NULL, 2031, 'Z1', NULL)");
        school.finish("a new student");
        assert_eq!(has_password(&school), 1);
        count += 1;
    }
    println!("{count} cases");
}

/// A signal to a push in flight: the batch is finished and written down, the later ones are not sent.
#[test]
fn signals_end_a_push_after_its_batch() {
    let mut count = 0;
    let mut school = School::pushed(7);
    for (round, name) in ["INT", "TERM", "INT", "TERM", "INT", "TERM"].into_iter().enumerate() {
        let number = 1 + round / 2;
        school.case(&format!("{name} in request {number}"), |school| {
            let (came, has_come) = channel();
            let (leave, left) = channel();
            let mut child = school.start(Trick::Hold(number, came, left));
            has_come.recv().unwrap();
            signal(name, child.id());
            // Only when the program says that it has heard may the answer come.
            let mut stderr = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            while !line.contains("waiting for the batch in flight") {
                line.clear();
                assert!(stderr.read_line(&mut line).unwrap() > 0, "the program ended without a word");
            }
            let before = school.sandbox().requests().len();
            leave.send(()).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(130));
            assert_eq!(school.gate.requests(), number, "a later batch was sent");
            assert_eq!(school.sandbox().requests().len(), before + 1);
            let export = school.context.output(&["state", "export", "school.yaml"]);
            assert!(
                !String::from_utf8_lossy(&export.stdout).contains(",unknown,"),
                "the batch in flight has no outcome"
            );
        });
        count += 1;
    }
    println!("{count} cases");
}

/// Two schedules that overlap would send half a plan each.
#[test]
fn two_runs_at_once() {
    let mut school = School::pushed(8);
    school.change();
    let (came, has_come) = channel();
    let (leave, left) = channel();
    let first = school.start(Trick::Hold(2, came, left));
    has_come.recv().unwrap();
    let before = school.gate.requests();
    let second = school.context.run(&["push", "--delta", "school.yaml"]);
    let second = regex::Regex::new(&format!("process {} on `[^`]+`, since [0-9TZ:-]+", first.id()))
        .unwrap()
        .replace(&second, "process [PROCESS] on `[HOST]`, since [TIME]")
        .into_owned();
    assert_snapshot!("the_lock_is_held", second);
    assert_eq!(school.gate.requests(), before, "the second run sent something");
    leave.send(()).unwrap();
    let first = first.wait_with_output().unwrap();
    assert!(matches!(code(&first), Some(0 | 1)), "{}", told(&first));
    school.assert_right("after the first run", "school.yaml", STUDENTS_QUERY);
    // An owner that was killed holds nothing.
    school.case("after the owner was killed", |school| {
        let (came, has_come) = channel();
        let (_leave, left) = channel();
        let mut child = school.start(Trick::Hold(1, came, left));
        has_come.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    });
    println!("2 cases");
}

/// One state file serves every school of a server: what happens to one may not harm the other.
#[test]
fn two_mappings_in_one_state_file() {
    let mut count = 0;
    let mut school = School::new(9);
    let text = fs::read_to_string(school.context.path("school.yaml")).unwrap();
    let text = text.replace("sqlite:sis.db", "sqlite:../sis.db");
    fs::create_dir(school.context.path("schools")).unwrap();
    let halves = ["even", "odd"].map(|name| {
        let query = format!("{STUDENTS_QUERY} WHERE substr(login, -1) % 2 = {}", usize::from(name == "odd"));
        school.context.write(&format!("schools/{name}.yaml"), text.replace(STUDENTS_QUERY, &query));
        (format!("schools/{name}.yaml"), query)
    });
    for round in 0..14 {
        let point = Point::ALL[round % 4];
        school.change();
        school.gate.set(school.sandbox().address(), Trick::Kill(round + 1, point));
        let mut command = school.context.command(&["push", "--delta", "schools"]);
        drop(school.gate.spawn(&mut command).wait_with_output().unwrap());
        school.gate.set(school.sandbox().address(), Trick::Pass);
        let output = school.context.output(&["push", "--delta", "schools"]);
        assert!(matches!(code(&output), Some(0 | 1)), "{}", told(&output));
        for (mapping, query) in &halves {
            school.assert_right(&format!("round {round}, {mapping}"), mapping, query);
        }
        count += 1;
    }
    println!("{count} cases");
}

/// A disk fills up while the state is written: nothing more is sent, and what was sent without a record is sent again.
#[test]
fn a_full_disk() {
    let mut count = 0;
    let mut school = School::pushed(10);
    let mut codes = BTreeMap::new();
    let mut in_flight = 0;
    // Files may have so many blocks of 512 bytes: the file itself, its journal, or neither is too long.
    for blocks in (0..1200).step_by(40) {
        school.case(&format!("files of {blocks} blocks"), |school| {
            school.gate.set(school.sandbox().address(), Trick::Pass);
            let program = env!("CARGO_BIN_EXE_sispush");
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{program}' push --delta school.yaml");
            let output = school.context.shell(&script).output().unwrap();
            assert!(matches!(code(&output), Some(0 | 1 | 6)), "{blocks}: {}", told(&output));
            *codes.entry(code(&output)).or_insert(0) += 1;
            in_flight += usize::from(code(&output) == Some(6) && school.gate.requests() > 0);
        });
        count += 1;
    }
    println!("{count} cases, {in_flight} of them after something was sent");
    assert!(in_flight > 0 && codes.len() > 1, "{codes:?}");
}

/// The same on a disk that is really full.
#[test]
fn a_full_disk_of_its_own() {
    let school = School::new(11);
    let folder = school.context.path("disk");
    fs::create_dir(&folder).unwrap();
    let mount = |size: &str| {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(&folder).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !mount("size=4m") {
        println!("a_full_disk_of_its_own: skipped, this account may not mount a disk");
        return;
    }
    let unmount = || assert!(Command::new("umount").arg(&folder).status().unwrap().success());
    let push = ["push", "--delta", "--state", "disk/state.db", "school.yaml"];
    let mut school = school;
    let mut count = 0;
    let mut is_full = false;
    // A file beside the state leaves less and less room.
    for kilobytes in (3_072..4_096).step_by(80) {
        school.change();
        fs::write(folder.join("other"), vec![1; kilobytes << 10]).ok();
        school.gate.set(school.sandbox().address(), Trick::Pass);
        let output = school.context.output(&push);
        if code(&output) == Some(6) {
            is_full |= told(&output).contains("there is no room left");
        } else {
            assert!(matches!(code(&output), Some(0 | 1)), "{}", told(&output));
        }
        fs::remove_file(folder.join("other")).ok();
        let output = school.context.output(&push);
        let is_well = matches!(code(&output), Some(0 | 1));
        if !is_well {
            unmount();
            panic!("{kilobytes}: {}", told(&output));
        }
        count += 1;
    }
    unmount();
    assert!(is_full, "the disk was never full");
    println!("{count} cases");
}

/// A school whose state file was done something to, at a target that nobody may connect to.
fn broken(done: impl FnOnce(&Path)) -> (TestContext, String) {
    // A real push first: a state of another target would not be read at all.
    let school = School::pushed(12);
    let state = school.state();
    done(&state);
    school.gate.set(school.sandbox().address(), Trick::Pass);
    let told = school.context.run(&["push", "--delta", "school.yaml"]);
    assert!(told.starts_with("exit code 6\n"), "{told}");
    assert_eq!(school.gate.requests(), 0, "something was sent");
    (school.context, told)
}

/// A state that cannot be read is never guessed at: everybody would be new, or a leaver.
#[test]
fn a_state_that_cannot_be_read() {
    let (_, told) = broken(|state| {
        let mut bytes = fs::read(state).unwrap();
        bytes[..64].fill(0xa5);
        fs::write(state, bytes).unwrap();
    });
    assert_snapshot!("state_overwritten", told);
    let (_, told) = broken(|state| {
        let bytes = fs::read(state).unwrap();
        fs::write(state, &bytes[..bytes.len() / 2]).unwrap();
    });
    assert_snapshot!("state_cut_in_half", told);
    let (_, told) = broken(|state| {
        rusqlite::Connection::open(state).unwrap().execute_batch("UPDATE pages SET entries = x'07'").unwrap();
    });
    assert_snapshot!("state_with_a_page_of_another_format", told);
    let (_, told) = broken(|state| {
        rusqlite::Connection::open(state).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    });
    assert_snapshot!("state_from_a_newer_version", told);
    let mut before = Vec::new();
    let (context, told) = broken(|state| {
        fs::remove_file(state).unwrap();
        rusqlite::Connection::open(state)
            .unwrap()
            .execute_batch("CREATE TABLE loans (book); PRAGMA user_version = 1")
            .unwrap();
        before = fs::read(state).unwrap();
    });
    assert_snapshot!("state_of_another_program", told);
    assert_eq!(
        fs::read(context.path(".local/state/sispush/state.db")).unwrap(),
        before,
        "another program's file was changed"
    );
    let (_, told) = broken(|state| {
        fs::remove_file(state).unwrap();
        fs::create_dir(state).unwrap();
    });
    assert_snapshot!("state_that_is_a_folder", told);
    let (_, told) = broken(|state| {
        fs::remove_dir_all(state.parent().unwrap()).unwrap();
        fs::write(state.parent().unwrap(), "a file").unwrap();
    });
    assert_snapshot!("state_in_a_file", told);
    println!("7 cases");
}

/// Any torn byte is noticed, or does no harm.
#[test]
fn a_state_torn_anywhere() {
    let mut count = 0;
    let mut refused = 0;
    let mut school = School::pushed(13);
    for _ in 0..25 {
        school.change();
        let mut bytes = fs::read(school.state()).unwrap();
        let at = usize::try_from(school.random.below(bytes.len() as u64 - 64)).unwrap();
        for byte in &mut bytes[at..at + 64] {
            *byte = u8::try_from(school.random.below(256)).unwrap();
        }
        fs::write(school.state(), bytes).unwrap();
        let output = school.push(Trick::Pass);
        match code(&output) {
            Some(6) => refused += 1,
            Some(0 | 1) => school.assert_arrived(&format!("torn at {at}"), &school.source(STUDENTS_QUERY)),
            _ => panic!("torn at {at}: {}", told(&output)),
        }
        // What the message says to do. A torn name that was not noticed would be a leaver of whom nobody has heard.
        fs::remove_file(school.state()).unwrap();
        school.finish(&format!("torn at {at}"));
        count += 1;
    }
    println!("{count} cases, {refused} of them refused");
}

/// A state that cannot be written must be known before anything is sent.
#[test]
fn a_state_that_cannot_be_written() {
    let school = School::pushed(14);
    let state = school.state();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    // Everything may be read by everybody, and nothing may be written.
    for folder in [".", ".local", ".local/state", ".local/state/sispush", ".local/state/sispush/state.db-locks"] {
        mode(&school.context.path(folder), 0o555);
    }
    for file in ["school.yaml", "sis.db"] {
        mode(&school.context.path(file), 0o444);
    }
    mode(&state, 0o444);
    let program = env!("CARGO_BIN_EXE_sispush");
    let is_root = String::from_utf8_lossy(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0";
    let as_another = if is_root { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" };
    let runs = school.context.shell(&format!("exec {as_another}'{program}' --version")).output();
    if !runs.is_ok_and(|output| output.status.success()) {
        println!("a_state_that_cannot_be_written: skipped, the program cannot be run as another user here");
        return;
    }
    school.gate.set(school.sandbox().address(), Trick::Pass);
    let output =
        school.context.shell(&format!("exec {as_another}'{program}' push --delta school.yaml")).output().unwrap();
    assert_eq!(school.gate.requests(), 0, "something was sent");
    assert_eq!(code(&output), Some(6), "{}", told(&output));
    let folder = school.context.folder().display().to_string();
    assert_snapshot!("state_that_cannot_be_written", told(&output).replace(&folder, "[FOLDER]"));
    for folder in [".", ".local", ".local/state", ".local/state/sispush", ".local/state/sispush/state.db-locks"] {
        mode(&school.context.path(folder), 0o755);
    }
    mode(&state, 0o644);
    println!("1 case");
}

/// Where nothing may be sent, there may not even be a connection.
#[test]
fn nobody_is_connected_to_without_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = TestContext::with_target(&format!("http://{}", listener.local_addr().unwrap()));
    listener.set_nonblocking(true).unwrap();
    context.students(30);
    let mut count = 0;
    let mut run = |arguments: &[&str], expected: i32| {
        let output = context.output(arguments);
        assert_eq!(code(&output), Some(expected), "{arguments:?}: {}", told(&output));
        let error = listener.accept().expect_err("there was a connection");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        count += 1;
    };
    context.mapping("");
    for arguments in [
        &["check", "school.yaml"][..],
        &["preview", "school.yaml"],
        &["diff", "school.yaml"],
        &["diff", "--delta", "school.yaml"],
        &["diff", "--full", "school.yaml"],
        &["push", "--dry-run", "school.yaml"],
    ] {
        run(arguments, 0);
    }
    run(&["push", "--approve", "0123456789abcdef", "school.yaml"], 5);
    for limits in ["min_rows: 31", "min_rows: 1000"] {
        context.mapping(&format!("limits: {{ {limits} }}\n"));
        run(&["diff", "school.yaml"], 5);
        run(&["push", "school.yaml"], 5);
        run(&["push", "--delta", "school.yaml"], 5);
        run(&["push", "--approve", "0123456789abcdef", "school.yaml"], 5);
    }
    context
        .mapping("limits: { max_rejections: 5 }\n")
        .sis("UPDATE students SET email = 'x' WHERE year = 2031 OR year = 2032");
    run(&["push", "school.yaml"], 5);
    context.sis("DROP TABLE students");
    run(&["push", "school.yaml"], 3);
    println!("{count} cases");
}
