//! What holds for every command, tried with each: the list comes from `--help`, so that a new command fails here until
//! somebody has said how it is run, and whether it may send, write, or show values.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use insta::assert_snapshot;
use serde_json::Value;
use support::context::{PASSWORD, TestContext};
use tds::tokens;
use tds::{Step, TdsServer};

/// The commands of `--help`, with those below `state` and `secret` in their place.
fn commands() -> Vec<String> {
    let context = TestContext::new();
    let listed = |arguments: &[&str]| -> Vec<String> {
        let help = help(&context, arguments);
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // A description that goes on in another line is indented further.
        let names = lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
        names.map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for command in listed(&[]) {
        let below = listed(&[&command]);
        all.extend(below.iter().map(|below| format!("{command} {below}")));
        if below.is_empty() {
            all.push(command);
        }
    }
    assert!(all.len() > 12, "{all:?}");
    all
}

fn help(context: &TestContext, arguments: &[&str]) -> String {
    let output = context.output(&[arguments, &["--help"]].concat());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

/// How a command is run on `school.yaml`, in every way that prints something else. `sandbox` would not end.
#[expect(clippy::panic, reason = "a new command has to fail here")]
fn runs(command: &str) -> Vec<Vec<&str>> {
    let lines: &[&str] = match command {
        "demo" | "sandbox" => &[],
        "init" => &[
            "init new.yaml --source sqlite:sis.db --target example --force",
            "init new.yaml --offline --template generic-sqlite --target example --force",
            "init --template",
        ],
        "check" => &["check school.yaml", "check school.yaml --format json", "check school.yaml --format sarif"],
        "doctor" => {
            &["doctor school.yaml", "doctor school.yaml --format json", "doctor school.yaml --bundle support.zip"]
        }
        "preview" => &[
            "preview school.yaml",
            "preview school.yaml --format csv",
            "preview school.yaml --format json",
            "preview school.yaml --format table --mask",
            "preview school.yaml --rejected",
            "preview school.yaml --rejected --format csv",
            "preview school.yaml --rejected --format json",
            "preview school.yaml --columns",
            "preview school.yaml --columns --format csv",
            "preview school.yaml --columns --format json",
            "preview school.yaml --where username=ann.lee --sample 2",
            "preview school.yaml --limit 3",
            "preview school.yaml --out shown.csv",
            "preview school.yaml --feed contacts --format json",
            "preview school.yaml --feed groups --rejected --format csv",
            "preview school.yaml --feed images --columns",
        ],
        "explain" => &[
            "explain school.yaml ann.lee",
            "explain school.yaml ann.lee --format json",
            "explain school.yaml bad.mail",
            "explain school.yaml bad.year",
            "explain school.yaml bad.sex --format json",
            "explain school.yaml clash.two",
            "explain school.yaml nobody",
            "explain school.yaml nobody --format json",
            "explain school.yaml --row students:7",
        ],
        "test" => &[
            "test school.yaml",
            "test school.yaml --format json",
            "test school.yaml --format junit",
            "test school.yaml --show-values",
        ],
        "diff" => &["diff school.yaml -v", "diff school.yaml --full --all-new", "diff school.yaml --format json"],
        "push" => &[
            "push school.yaml --dry-run",
            "push school.yaml",
            "push school.yaml --full --all-new",
            "push school.yaml --format json",
        ],
        "history" => &[
            "history school.yaml",
            "history school.yaml --format json",
            "history school.yaml --since 30d --limit 2",
            "history",
        ],
        "report" => &["report school.yaml --out report.html", "report --out report.html"],
        "state show" => &[
            "state show school.yaml",
            "state show school.yaml ann.lee",
            "state show school.yaml --format json",
            "state show school.yaml --feed contacts ann.lee",
        ],
        "state export" => &["state export school.yaml", "state export school.yaml --feed groups"],
        "state rebase" => &["state rebase school.yaml --feed contacts", "state rebase school.yaml"],
        "state forget" => &["state forget school.yaml ann.lee --feed groups", "state forget school.yaml ann.lee"],
        "schedule systemd" => &["schedule systemd school.yaml --user library"],
        "schedule cron" => &["schedule cron school.yaml --user library"],
        "schedule windows" => &["schedule windows school.yaml --user library"],
        "schedule show" => &["schedule show --root .", "schedule show --root . --format json"],
        "schedule remove" => &["schedule remove --root . nightly"],
        // Where there is a store it is the machine's own, and is left alone.
        "secret set" => &["secret set sis", "secret set sis canary-argument"],
        "secret list" if HAS_STORE => &["secret list school.yaml", "secret list school.yaml --format json"],
        "secret list" => &["secret list", "secret list school.yaml", "secret list school.yaml --format json"],
        "secret delete" if HAS_STORE => &["secret delete no/name"],
        "secret delete" => &["secret delete sis"],
        "notify test" => &["notify test school.yaml"],
        "notify overdue" => &["notify overdue school.yaml"],
        "schema" => &["schema"],
        "completions" => &["completions bash"],
        "man" => &["man"],
        other => panic!("`{other}` is new: say how it is run, and below what it may do"),
    };
    lines.iter().map(|line| line.split(' ').collect()).collect()
}

/// Whether this build keeps secrets in a store of the platform's.
const HAS_STORE: bool = cfg!(any(windows, target_os = "macos", feature = "secret-service"));

/// Whether a command may send patrons, or write the state. `demo` and `sandbox` do so to an Infiniti of their own.
fn may_send(command: &str) -> bool {
    matches!(command, "push" | "demo" | "sandbox")
}

/// Likewise the state.
fn may_write_state(command: &str) -> bool {
    may_send(command) || matches!(command, "state rebase" | "state forget" | "notify overdue")
}

/// Whether stdout may show values of rows: where that is the command's very job.
fn may_show(run: &[&str]) -> bool {
    matches!(run[0], "preview" | "explain") || run.contains(&"--show-values")
}

/// Every way of printing that a command's help offers is among its runs.
#[test]
fn every_format_of_every_command_is_run() {
    let context = TestContext::new();
    for command in commands().iter().filter(|command| *command != "demo" && *command != "sandbox") {
        let words: Vec<&str> = command.split(' ').collect();
        let help = help(&context, &words);
        let Some((_, after)) = help.split_once("\n      --format <FORMAT>") else { continue };
        let (own, _) = after.split_once("Global options:").unwrap_or((after, ""));
        for format in ["text", "table", "csv", "json", "sarif", "junit"] {
            let is_offered = own.contains(&format!("\n          - {format}:"));
            let runs = runs(command);
            let is_default = own.contains(&format!("[default: {format}]")) || format == "table";
            let is_run = is_default || runs.iter().any(|run| run.ends_with(&["--format", format]));
            assert!(!is_offered || is_run, "`{command} --format {format}` is not tried: {help}");
        }
        assert!(own.contains("          - json:"), "`{command}`: the formats were not found in {help}");
    }
}

/// Pupils with a canary under every header, of whom some break each kind of rule.
const CANARIES: &str = "
    CREATE TABLE students (login text, given text, family text, middle text, preferred text, email text, year text,
        barcode text, admin text, sex text, first_password text, form text, label text);
    WITH each(login, email, year, barcode, sex) AS (VALUES
        ('ann.lee', 'canary@school.example', '2031', 'canary-1', 'M'),
        ('bad.mail', 'canary at home', '2031', 'canary-2', 'M'),
        ('bad.year', NULL, 'canary-year', 'canary-3', 'M'),
        ('bad.sex', NULL, '2031', 'canary-4', 'canary-sex'),
        ('clash.one', NULL, '2031', 'canary-clash', 'M'),
        ('clash.two', NULL, '2031', 'canary-clash', 'M'),
        (NULL, 'canary@school.example', '2031', 'canary-7', 'M'),
        ('odd', 'canary' || char(7) || '@school.example', '2031', 'canary' || char(10) || '8', 'M'))
    INSERT INTO students SELECT login, 'canary-given', 'canary-family', 'canary-middle', 'canary-preferred', email, year,
        barcode, 'canary-admin', sex, 'canary-first', 'canary-form', 'canary-label' FROM each;";

const CANARY_QUERY: &str = "SELECT login, given, family, middle, preferred, email, year, barcode, admin, sex, \
     first_password, form, label FROM students WHERE 1 = 1";

/// A mapping of all headers, with every kind of rule and expectation that can fail.
fn canary_mapping(source: &str, target: &str, query: &str, more: &str) -> String {
    format!(
        r#"version: 1
source:
  {source}
target:
  url: {target}
  username: autoimport
  password: ${{INFINITI_PASSWORD}}
  retries: 0
mode: delta
limits: {{ max_rejections: 100% }}
users:
  - name: students
    query: |
      {query}
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: {{ value: false }}
      givenname: {{ template: "{{{{ given }}}}" }}
      surname: family
      middlename: middle
      preferredname: preferred
      emailaddress: email
      graduationyear: {{ template: "{{{{ year|int }}}}" }}
      librarybarcode: barcode
      adminsystemid: admin
      gender: {{ column: sex, lookup: {{ M: M }} }}
      password: {{ column: first_password, send: create }}
      formclass: {{ column: form, transform: [{{ replace: {{ pattern: '(x)', with: '$1' }} }}] }}
      presentationgrouplabel: label
{more}"#
    )
}

/// The other feeds of those pupils, of whose values some break each kind of rule.
const FEEDS: &str = "contacts:
  extracts:
    - name: guardians
      query: SELECT login, sex, email, family, form, label, barcode FROM students
      columns:
        username: login
        type: { column: sex, lookup: { M: email, '*': phone } }
        role: label
        primary: { value: true }
        addressee: family
        contact: { column: email, split: \";\" }
        sms: { column: barcode, lookup: { '*': } }
        scenarios: form
images:
  path: /sandbox/images
  extracts:
    - name: photos
      query: SELECT login, given FROM students
      columns: { adminsystemid: login, image: given }
groups:
  path: /sandbox/groups
  header: group
  allow: [Students]
  extracts:
    - name: groups
      query: SELECT login, label FROM students UNION ALL SELECT login, 'students' FROM students
      columns: { username: login, group: label }
";

const EXPECTATIONS: &str = "expect:
  - { header: formclass, matches: '^[0-9]' }
  - { header: formclass, one_of: [7A] }
  - { header: formclass, no_new_values: true }
  - { header: graduationyear, range: { min: 2040, max: 2050 } }
  - { header: surname, unique: true }
  - { header: emailaddress, filled: 100% }
  - { patron: ANN.LEE, is: { surname: Other, formclass: 7A } }
  - { freshness: { query: \"SELECT 'can' || 'ary'\", error_after: 1d } }
";

/// Answers every upload with a refusal that quotes a value of it.
fn refusing_target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for visitor in listener.incoming() {
            let Ok(mut visitor) = visitor else { continue };
            let mut received = Vec::new();
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = visitor.read(&mut buffer) {
                received.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&received);
                let is_whole = match text.split_once("\r\n\r\n") {
                    Some((head, body)) if head.starts_with("POST") => body.trim_end().ends_with("--"),
                    Some(_) => true,
                    None => false,
                };
                if is_whole {
                    break;
                }
            }
            let answer = r#"{"success":false,"message":"the address 'canary@school.example' is not allowed"}"#;
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close";
            drop(write!(visitor, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()));
        }
    });
    url
}

/// A school of a kind of failure; a server that its source speaks to lives as long.
struct School {
    kind: &'static str,
    context: TestContext,
    _server: Option<TdsServer>,
}

impl School {
    fn new(kind: &'static str, source: &str, more: &str) -> Self {
        let mut context = TestContext::with_sandbox(&[]);
        context.set_env("SIS_PASSWORD", "canary-sis");
        let url = context.sandbox().url();
        context.sis(CANARIES).write("school.yaml", canary_mapping(source, &url, CANARY_QUERY, more));
        Self { kind, context, _server: None }
    }

    /// With a SQL Server as its source.
    fn of_server(kind: &'static str, server: TdsServer, password: &str) -> Self {
        let mut school = Self::new(kind, &server.source_lines().replace('\n', "\n  "), "");
        school.context.unset_env("SIS_PASSWORD");
        school.context.set_env("SIS_PASSWORD", password);
        Self { _server: Some(server), ..school }
    }

    /// With a folder of drops as its source, whose second row goes on like this.
    fn of_drops(kind: &'static str, url: &str, rest: &[u8]) -> Self {
        let school = Self::new(kind, url, "");
        let header = "login,given,family,middle,preferred,email,year,barcode,admin,sex,first_password,form,label\n";
        let row =
            "ann.lee,canary,canary,canary,canary,canary@school.example,2031,canary,canary,M,canary,canary,canary\n";
        fs::create_dir(school.context.path("drops")).unwrap();
        school.context.write("drops/students.csv", [header.as_bytes(), row.as_bytes(), rest].concat());
        school
    }

    /// With another text in its mapping, which must have had the one.
    fn with(self, one: &str, other: &str) -> Self {
        let mapping = fs::read_to_string(self.context.path("school.yaml")).unwrap();
        assert!(mapping.contains(one), "{}: {one}", self.kind);
        self.context.write("school.yaml", mapping.replace(one, other));
        self
    }

    fn with_secrets(self, text: &str) -> Self {
        self.with_private(".env", text)
    }

    /// With a file that only its owner can read.
    fn with_private(self, name: &str, text: &str) -> Self {
        self.context.write(name, text);
        self.only_owner(name)
    }

    fn only_owner(self, name: &str) -> Self {
        #[cfg(unix)]
        fs::set_permissions(self.context.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self
    }

    /// With a secret of every kind that a test can have: a variable, a line of `.env`, a file, a credential of systemd, and
    /// a program, whose arguments and errors are none of anybody's business either.
    fn with_every_kind(mut self) -> Self {
        let command = r#"${command:sh -c "cat secret-told; echo canary-error >&2" canary-word}"#;
        self.context.set_env("PROXY_USER", "canary-user");
        let credentials = self.context.path("credentials");
        fs::create_dir(&credentials).unwrap();
        self.context.set_env("CREDENTIALS_DIRECTORY", &credentials.display().to_string());
        self.with_private("secret-told", &format!("{PASSWORD}\ncanary-second\n"))
            .with_private("secret-file", "canary-file\n")
            .with_private("credentials/source", "canary-credential\n")
            .with_secrets("PROXY_PASSWORD=canary-dotenv\n")
            .with("  password: ${INFINITI_PASSWORD}", &format!("  password: '{command}'"))
            .only_owner("school.yaml")
    }
}

/// Every kind of failure that has a value of a row, or a password, near it.
fn canary_schools() -> Vec<School> {
    let sqlite = "url: sqlite:sis.db";
    let quoting = TdsServer::scripted(|sql| {
        let words = "Conversion failed when converting the nvarchar value 'canary' to data type int.";
        sql.contains("FROM students").then(|| vec![Step::Send(tokens::failed(245, 16, 1, words))])
    });
    // A server that answers, as one that does not is tried three times.
    let server = TdsServer::start();
    let passwords = School::new(
        "passwords in the mapping",
        &format!("url: mssql://u:canary-url@127.0.0.1:{}/SIS", server.port()),
        "state: postgres://u:canary-state@127.0.0.1:1/db\n",
    );
    let mut refusing = School::new("a refusing target", sqlite, "");
    let own = refusing.context.sandbox().url();
    refusing = refusing.with(&own, &refusing_target());
    vec![
        School::new("rejected rows", sqlite, ""),
        School::new("rejected rows of every feed", sqlite, FEEDS),
        School::new("expectations that do not hold", sqlite, EXPECTATIONS),
        School::new("a limit", sqlite, "").with("max_rejections: 100%", "max_rejections: 0"),
        refusing,
        School::new("a database that quotes a value", sqlite, "")
            .with("SELECT login", "SELECT json_extract('{}', given) AS login"),
        School::new("the same, asked for a time", sqlite, EXPECTATIONS)
            .with("'can' || 'ary'\"", "json_extract('{}', given) FROM students LIMIT 1\""),
        School::of_drops("CSV with a row that is cut off", "url: csv:drops", b"bob,canary,can"),
        School::of_drops("CSV with an open quote", "url: csv:drops", b"bob,\"canary,canary\n"),
        School::of_drops(
            "CSV with a byte that is no text",
            "url: csv:drops?encoding=utf-8",
            b"bob,canary\xff,canary,,,,,,,,,,\n",
        ),
        School::of_server("a SQL Server that quotes a value", quoting, tds::PASSWORD),
        School::of_server("a SQL Server that refuses the password", TdsServer::start(), "canary-wrong"),
        School { _server: Some(server), ..passwords },
        School::new(
            "passwords in a mapping that is not valid",
            "url: \"Server=127.0.0.1,1;Database=SIS;User ID=u;Password=canary-ado;Colour=red\"",
            "state: postgres://u:canary-state@127.0.0.1:1/db?colour=red\n",
        )
        .with(
            "  password: ${INFINITI_PASSWORD}",
            "  password: canary-target\n  proxy: ftp://u:canary-proxy@127.0.0.1:1",
        ),
        School::new("a slip in a key", "url: postgres://u@127.0.0.1:1/db\n  pasword: canary-slip", ""),
        School::new("a password for ODBC", "url: \"odbc:Driver={None};Server=x;UID=u;PWD=canary-odbc\"", ""),
        School::new("a dead proxy and state", sqlite, "state: postgres://u:${STATE_PASSWORD}@127.0.0.1:1/db\n")
            .with("  retries: 0", "  retries: 0\n  proxy: http://u:${PROXY_PASSWORD}@127.0.0.1:1")
            .with_secrets("STATE_PASSWORD=canary-state\nPROXY_PASSWORD=canary-proxy\n"),
        School::new(
            "secrets of every kind that are right",
            "url: sqlite:sis.db\n  username: ${PROXY_USER}\n  password: ${credential:source}",
            "allow_commands: true\n",
        )
        .with_every_kind(),
        School::new(
            "secrets of every kind that are wrong",
            "url: postgres://u:${credential:source}@127.0.0.1:1/db",
            "allow_commands: true\nstate: postgres://${PROXY_USER}:${file:secret-file}@127.0.0.1:1/db\n",
        )
        .with("  retries: 0", "  retries: 0\n  proxy: http://u:${PROXY_PASSWORD}@127.0.0.1:1")
        .with_every_kind(),
        School::new(
            "a program that gives no secret",
            "url: postgres://u@127.0.0.1:1/db\n  password: '${command:sh -c \"cat secret-told; cat secret-told >&2; exit 7\" canary-word}'",
            "allow_commands: true\n",
        )
        .with_every_kind(),
        School::new("a line of .env that is none", "url: postgres://u@127.0.0.1:1/db\n  password: ${GONE}", "")
            .with_secrets("OTHER=canary-other\ncanary without a name\n"),
    ]
}

/// Commands that read neither a mapping nor a source.
const OFFLINE: [&str; 3] = ["schema", "completions", "man"];

fn has_canary(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).to_lowercase().contains("canary")
}

/// Passwords stand nowhere, and values of rows only where showing them is the command's job: not in
/// any other output, not in a log at its fullest, not in the state, not in the file for a support request.
#[test]
fn no_command_leaks_a_value_or_a_password() {
    let commands = commands();
    let mut ends = String::new();
    for School { kind, context, .. } in canary_schools() {
        let inputs: BTreeSet<_> = files(context.folder()).into_iter().map(|(name, _)| name).collect();
        // Infiniti's own words are for the person at the console.
        let may_quote = kind == "a refusing target";
        for command in commands.iter().filter(|command| kind == "rejected rows" || !OFFLINE.contains(&command.as_str()))
        {
            for run in runs(command) {
                let more: &[&str] = if kind.contains("CSV") { &[] } else { &["--log-format", "json"] };
                let arguments = [&run, &["-vvv", "--log-file", "run.log"][..], more].concat();
                let Output { stdout, stderr, status } = context.output(&arguments);
                assert!(
                    status.code().is_some_and(|code| code != 101),
                    "{kind}: {run:?}: {}",
                    String::from_utf8_lossy(&stderr)
                );
                for (stream, bytes, may_show) in [("stdout", &stdout, may_show(&run)), ("stderr", &stderr, false)] {
                    let text = String::from_utf8_lossy(bytes);
                    let may_show = may_show || (may_quote && run[0] == "push");
                    assert!(may_show || !has_canary(bytes), "{kind}: {run:?}: {stream}: {text}");
                    for secret in [
                        PASSWORD,
                        tds::PASSWORD,
                        "canary-sis",
                        "canary-first",
                        "canary-url",
                        "canary-state",
                        "canary-proxy",
                        "canary-argument",
                        "canary-word",
                        "canary-error",
                        "canary-second",
                        "canary-file",
                        "canary-credential",
                        "canary-dotenv",
                    ] {
                        assert!(!text.contains(secret), "{kind}: {run:?}: {stream} has the password {secret}: {text}");
                    }
                }
            }
        }
        let Output { stderr, status, .. } = context.output(&["push", "school.yaml"]);
        let stderr = String::from_utf8_lossy(&stderr);
        let first = stderr.lines().find(|line| line.starts_with("error: ") || line.starts_with("stopped: "));
        writeln!(ends, "{}  {kind}: {}", status.code().unwrap(), first.unwrap_or_default()).unwrap();
        let mut looked = BTreeSet::new();
        for (name, bytes) in files(context.folder()) {
            if !inputs.contains(&name) && name != "shown.csv" {
                assert!(!has_canary(&bytes), "{kind}: `{name}`: {}", String::from_utf8_lossy(&bytes));
                looked.insert(name);
            }
        }
        assert!(looked.contains("run.log") && looked.contains("support.zip"), "{kind}: {looked:?}");
    }
    // Each fails as it should, or nothing was tried.
    assert_snapshot!(support::context::without_times_and_ports(&ends));
}

/// All files of a folder and below, by their names there.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.push((name, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// Every row of every table of the state: its files differ even when nothing is written.
fn state_of(context: &TestContext) -> String {
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    let mut tables = store.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut text = String::new();
    for table in tables {
        let mut rows = store.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells =
                (0..columns).map(|column| format!("{:?}", row.get::<_, rusqlite::types::Value>(column).unwrap()));
            writeln!(text, "{table}: {}", cells.collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    text
}

/// Nothing leaves without `push`, the SIS is never written to, and neither is a state, or its lock, by what only looks.
#[test]
fn only_push_sends_and_only_what_says_so_writes() {
    for pushed_before in [false, true] {
        let context = TestContext::with_sandbox(&[]);
        let url = context.sandbox().url();
        context.sis(CANARIES).write(
            "school.yaml",
            canary_mapping("url: sqlite:sis.db", &url, CANARY_QUERY, &format!("state: state.db\n{FEEDS}")),
        );
        if pushed_before {
            context.output(&["push", "school.yaml"]);
            assert!(!context.sandbox().requests().is_empty());
        }
        let (requests, sis) = (context.sandbox().requests().len(), fs::read(context.path("sis.db")).unwrap());
        let mut before = pushed_before.then(|| state_of(&context));
        for command in commands().iter().filter(|command| !may_send(command)) {
            for run in runs(command) {
                context.output(&run);
                assert_eq!(context.sandbox().requests().len(), requests, "{run:?} sent something");
                assert_eq!(fs::read(context.path("sis.db")).unwrap(), sis, "{run:?} wrote to the SIS");
                let has_changed = match &before {
                    None => context.path("state.db").exists() || context.path(".local").exists(),
                    Some(before) => !may_write_state(command) && state_of(&context) != *before,
                };
                assert!(!has_changed, "{run:?} wrote the state");
                before = pushed_before.then(|| state_of(&context));
            }
        }
        let known = [
            "new.yaml",
            "report.html",
            "school.yaml",
            "shown.csv",
            "sis.db",
            "support.zip",
            ".env.example",
            "sispush.schema.json",
        ];
        for (name, _) in files(context.folder()) {
            assert!(known.contains(&&*name) || name.starts_with("state.db"), "`{name}` was made");
        }
    }
}

/// What each command ends with, whatever goes wrong: the README's table, cell by cell.
#[test]
fn exit_codes_are_those_of_the_readme() {
    let dead = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let school = |faults: &[&str], more: &str| {
        let context = TestContext::with_sandbox(faults);
        context.students(8).mapping(&format!("state: state.db\n{more}"));
        context
    };
    let mut failures: Vec<(&str, TestContext)> = vec![
        ("nothing", school(&[], "")),
        ("rejected rows", school(&[], "")),
        ("no mapping", school(&[], "")),
        ("a wrong mapping", school(&[], "colour: red\n")),
        ("no secret", school(&[], "")),
        ("no source", school(&[], "")),
        ("a wrong query", school(&[], "")),
        ("a missing column", school(&[], "")),
        ("a limit", school(&[], "limits: { min_rows: 100 }\n")),
        (
            "an expectation",
            school(&[], "expect:\n  - { rows: { min: 100 } }\n  - { header: formclass, no_new_values: true }\n"),
        ),
        ("a dead target", TestContext::with_target(&dead)),
        ("refused credentials", school(&["401"], "")),
        ("an unknown outcome", school(&["html"], "")),
        ("no state", school(&[], "expect: [{ header: formclass, no_new_values: true }]\n")),
        ("a hold", school(&[], "hold: [{ from: 2020-01-01, until: 2999-01-01, reason: test }]\n")),
    ];
    for (failure, context) in &mut failures {
        if *failure == "a dead target" {
            context.students(8).mapping("state: state.db\n");
        }
        let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
        let mapping = mapping.replace("  username: autoimport", "  username: autoimport\n  retries: 0");
        context.write("school.yaml", &mapping);
        match *failure {
            "rejected rows" => {
                context.sis("UPDATE students SET email = 'x' WHERE login = 'student0001'");
            }
            "no mapping" => fs::remove_file(context.path("school.yaml")).unwrap(),
            "no secret" => context.unset_env("INFINITI_PASSWORD"),
            "no source" => fs::remove_file(context.path("sis.db")).unwrap(),
            "a wrong query" => {
                context.write("school.yaml", mapping.replace("FROM students", "FROM gone"));
            }
            "a missing column" => {
                context.write("school.yaml", mapping.replace("given, family,", "given, 'x' AS other,"));
            }
            "no state" => {
                context.write("state.db", "not a state, but a text that is long enough to be one");
            }
            _ => {}
        }
    }
    let runs = [
        "check school.yaml",
        "init new.yaml --source sqlite:sis.db --target example --force",
        "doctor school.yaml --post-empty",
        "preview school.yaml",
        "preview school.yaml --columns",
        "explain school.yaml student0001",
        "explain school.yaml nobody",
        "test school.yaml",
        "diff school.yaml",
        "history school.yaml",
        "report school.yaml --out report.html",
        "state show school.yaml",
        "state export school.yaml",
        "state rebase school.yaml",
        "state forget school.yaml student0001",
        "secret list school.yaml",
        "push school.yaml",
    ];
    let mut table = String::new();
    for (failure, context) in &failures {
        writeln!(table, "{failure}").unwrap();
        for run in runs {
            let arguments: Vec<&str> = run.split(' ').collect();
            let output = context.output(&arguments);
            let text = String::from_utf8_lossy(&output.stderr);
            let first = text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            // What follows are the system's words.
            let (first, _) = first.split_once(": No such file").unwrap_or((first, ""));
            let first = first.replace(&context.folder().display().to_string(), "[FOLDER]");
            let first = support::context::without_times_and_ports(&first);
            let line = format!("  {}  {run:60}  {first}", output.status.code().unwrap());
            writeln!(table, "{}", line.trim_end()).unwrap();
        }
    }
    assert_snapshot!(table);
}

/// Regression: `completions` panicked where it could not write.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let context = TestContext::with_sandbox(&[]);
    let url = context.sandbox().url();
    context
        .sis(CANARIES)
        .write("school.yaml", canary_mapping("url: sqlite:sis.db", &url, CANARY_QUERY, "state: state.db\n"));
    for command in commands().iter().filter(|command| *command != "push") {
        for run in runs(command).iter().filter(|run| !run.contains(&"--rejected") && !run.contains(&"shown.csv")) {
            let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
            let mut child = context.command(run);
            let output = child.stdout(full).output().unwrap();
            let code = output.status.code().unwrap();
            assert!(
                (1..=6).contains(&code) || is_silent(run),
                "{run:?}: {code}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// What has nothing to say on stdout.
fn is_silent(run: &[&str]) -> bool {
    matches!(run[0], "init") && *run != ["init", "--template"] || matches!(run[..], ["state", "rebase" | "forget", ..])
}

/// The fields of all JSON: programs rely on each. A line that is gone, or is called otherwise, is a new major version.
#[test]
fn fields_of_json_stay_the_same() {
    let context = TestContext::with_sandbox(&[]);
    let url = context.sandbox().url();
    context.sis(CANARIES).write(
        "school.yaml",
        canary_mapping("url: sqlite:sis.db", &url, CANARY_QUERY, &format!("state: state.db\n{FEEDS}")),
    );
    let mut fields = BTreeSet::new();
    let mut look = |context: &TestContext| {
        for command in commands() {
            for run in runs(&command).iter().filter(|run| run.contains(&"json")) {
                let output = context.output(run);
                let value = serde_json::from_slice(&output.stdout);
                let value: Value = value.unwrap_or_else(|error| panic!("{run:?}: {error}: {output:?}"));
                collect(&value, &command, &mut fields);
            }
        }
    };
    look(&context);
    context.sis("DELETE FROM students WHERE login = 'odd'");
    look(&context);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", format!("{mapping}{EXPECTATIONS}"));
    look(&context);
    context.write("state.db", "not a state, but a text that is long enough to be one");
    let failing = ["diff", "push", "test", "explain", "check", "doctor"];
    for command in failing {
        for run in runs(command).iter().filter(|run| run.contains(&"json")) {
            if let Ok(value) = serde_json::from_slice(&context.output(run).stdout) {
                collect(&value, command, &mut fields);
            }
        }
    }
    let lines: Vec<String> = fields.into_iter().collect();
    assert_snapshot!(lines.join("\n"));
}

fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| collect(value, &format!("{path} .{name}"), fields));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path} []"), fields)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            fields.insert(path.to_owned());
        }
    }
}
