//! A temporary folder with a school's mapping, its SIS, and a loopback Infiniti; runs the program in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sispush::infiniti::sandbox::{Fault, Options, Sandbox};

/// The account that the mappings of the tests use. The password is a canary: no output may hold it.
pub const USERNAME: &str = "autoimport";
pub const PASSWORD: &str = "canary-infiniti-4711";

/// A school of the tests.
pub struct TestContext {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    sandbox: Option<Sandbox>,
    target: String,
    env: Vec<(String, String)>,
}

/// A picture of one pixel.
const PICTURE: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155,
    85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 96, 0, 0, 0, 2, 0, 1, 72, 175, 164, 113, 0, 0, 0, 0, 73, 69, 78, 68,
    174, 66, 96, 130,
];

impl TestContext {
    /// An empty folder.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            runtime,
            sandbox: None,
            target: "https://example.concordinfiniti.com".into(),
            env: vec![("INFINITI_PASSWORD".into(), PASSWORD.into())],
        }
    }

    /// With a sandbox as the target, which shows these faults.
    pub fn with_sandbox(faults: &[&str]) -> Self {
        let mut context = Self::new();
        let faults = faults.iter().map(|fault| fault.parse::<Fault>().expect("a fault")).collect();
        let options = Options { faults, ..Options::new(USERNAME, PASSWORD) };
        let sandbox = context.runtime.block_on(Sandbox::start(options)).unwrap();
        context.target = sandbox.url();
        context.sandbox = Some(sandbox);
        context
    }

    /// With another target.
    pub fn with_target(url: &str) -> Self {
        Self { target: url.to_owned(), ..Self::new() }
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("a context with a sandbox")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    pub fn unset_env(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Fills the SIS, the SQLite file `sis.db`.
    pub fn sis(&self, sql: &str) -> &Self {
        rusqlite::Connection::open(self.path("sis.db")).unwrap().execute_batch(sql).unwrap();
        self
    }

    /// A SIS of students who break no rule, numbered from 1.
    pub fn students(&self, count: usize) -> &Self {
        self.sis(&format!(
            "CREATE TABLE students (login text, given text, family text, email text, year integer, barcode text, form text);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO students SELECT printf('student%04d', i), 'Given' || i, 'Family' || i,
               printf('student%04d@school.example', i), 2030 + i % 6, printf('%06d', i), '7A' FROM n WHERE {count} > 0"
        ))
    }

    /// The mapping `school.yaml` of those students; `more` goes to its end.
    pub fn mapping(&self, more: &str) -> &Self {
        self.mapping_of("url: sqlite:sis.db", STUDENTS_QUERY, more)
    }

    /// The mapping `school.yaml` with a source and a query of one's own.
    pub fn mapping_of(&self, source: &str, query: &str, more: &str) -> &Self {
        let source = source.replace('\n', "\n  ");
        let query = query.replace('\n', "\n      ");
        let text = format!(
            "version: 1
source:
  {source}
target:
  url: {}
  username: {USERNAME}
  password: ${{INFINITI_PASSWORD}}
users:
  - name: students
    query: |
      {query}
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: {{ value: false }}
      givenname: given
      surname: family
      emailaddress: email
      graduationyear: year
      librarybarcode: barcode
      formclass: form
{more}",
            self.target
        );
        self.write("school.yaml", text)
    }

    /// The same with contacts, pictures and groups: each student has a guardian, the first two have a picture, and are in a group.
    pub fn mapping_of_all_feeds(&self, more: &str) -> &Self {
        self.sis(
            "CREATE TABLE guardians (login text, name text, address text);
             INSERT INTO guardians SELECT login, 'Guardian of ' || given, 'g.' || email FROM students;
             CREATE TABLE members (login text, name text);
             INSERT INTO members SELECT login, 'Students' FROM students WHERE barcode < '000003'",
        );
        fs::create_dir_all(self.path("photos")).unwrap();
        for name in ["000001.png", "000002.png"] {
            self.write(&format!("photos/{name}"), PICTURE);
        }
        self.mapping(&format!(
            "contacts:
  extracts:
    - name: guardians
      query: SELECT * FROM guardians
      columns:
        username: login
        type: {{ value: email }}
        role: {{ value: guardian }}
        primary: {{ value: true }}
        addressee: name
        contact: address
        scenarios: {{ value: ANY }}
images:
  path: /sandbox/images
  folder: photos
groups:
  path: /sandbox/groups/add
  header: group
  allow: [Students]
  extracts:
    - {{ name: members, query: SELECT * FROM members, columns: {{ username: login, group: name }} }}
{more}"
        ));
        let text = fs::read_to_string(self.path("school.yaml")).unwrap();
        self.write(
            "school.yaml",
            text.replace("      formclass: form\n", "      formclass: form\n      adminsystemid: barcode\n"),
        )
    }

    /// Runs the program in the folder.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The program, ready to run in the folder with nothing of this machine's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(env!("CARGO_BIN_EXE_sispush"), arguments)
    }

    /// A script of the shell, which stops at the first command that fails; likewise.
    pub fn shell(&self, script: &str) -> Command {
        self.prepared("sh", &["-e", "-c", script])
    }

    fn prepared(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        #[expect(clippy::disallowed_methods, reason = "Windows needs it to load its own libraries")]
        if let Ok(root) = std::env::var("SystemRoot") {
            command.env("SystemRoot", root);
        }
        command.env("HOME", self.folder.path()).env("TZ", "UTC");
        // A test has no place in the log of this machine.
        command.env("SISPUSH_SYSTEM_LOG", "off");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program; its exit code, stdout and stderr as one text, with times, ports and folders replaced.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let text = format!(
            "exit code {}\n----- stdout -----\n{}----- stderr -----\n{}",
            output.status.code().map_or("none".into(), |code| code.to_string()),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(!text.contains("canary"), "a secret or a value of a row is in the output:\n{text}");
        self.filtered(&text)
    }

    fn filtered(&self, text: &str) -> String {
        without_times_and_ports(&text.replace(&self.folder.path().display().to_string(), "[FOLDER]"))
    }
}

/// An output with what differs from run to run replaced.
pub fn without_times_and_ports(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, replacement) in [
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
        (r"localhost:\d+", "localhost:[PORT]"),
        (r"\d+\.\d\d s\b", "[TIME]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "[TIMESTAMP]"),
        (r"wait_ms=\d+", "wait_ms=[MS]"),
        (r#""(read|sent)_seconds": [0-9.e-]+"#, r#""${1}_seconds": [TIME]"#),
        (r"(plan      |--approve |approved, but `|no longer `)[0-9a-f]{16}", "${1}[PLAN]"),
        (r#""(read|plan|send)": [0-9.e-]+"#, r#""${1}": [TIME]"#),
        (r#""run": "[0-9a-f]{16}""#, r#""run": "[RUN]""#),
        (r#""host": "[^"]+""#, r#""host": "[HOST]""#),
        (r#"(\brun"?[=:]"?|\bplan=)[0-9a-f]{16}"#, "${1}[ID]"),
        (r#""(plan_)?id": "[0-9a-f]{16}""#, r#""${1}id": "[PLAN]""#),
        (r"\r\n", "\n"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, replacement).into_owned();
    }
    text
}

/// What [`TestContext::mapping`] asks.
pub const STUDENTS_QUERY: &str = "SELECT login, given, family, email, year, barcode, form FROM students";
