//! A school with every feed, and a table of the feeds: a fifth one is one more entry.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sispush::infiniti::sandbox::{Fault, Options, Sandbox};

use super::context::{PASSWORD, TestContext, USERNAME};
use super::gate::{Gate, Trick};

/// How many patrons a school begins with. Every sixth is staff.
pub const PATRONS: u32 = 24;
/// The library groups. The last one exists, and the mapping does not allow it.
pub const GROUPS: [&str; 4] = ["Zebra Readers", "Zebra Seniors", "Zebra Staff", "Zebra Board"];

/// A record as Infiniti has it.
pub type Record = BTreeMap<String, String>;

/// A feed beside the accounts.
pub struct Feed {
    /// What a failed test calls it.
    pub label: &'static str,
    /// What the program calls it.
    pub name: &'static str,
    /// Its section of the mapping; its settings go in the place of `{settings}`.
    pub section: &'static str,
    /// What its rows of the accounts are called by.
    pub key: fn(u32) -> String,
    /// Gives a patron what everybody has.
    pub enrol: fn(&Sis, u32),
    /// Changes one thing that a patron has.
    pub change: fn(&Sis, u32),
    /// Takes everything away that a patron has.
    pub remove: fn(&Sis, u32),
    /// Leaves the rows of a patron, and nothing in them.
    pub blank: fn(&Sis, u32),
    /// Breaks a rule in a row of a patron.
    pub spoil: fn(&Sis, u32),
    /// What Infiniti has.
    pub held: fn(&Sandbox) -> Vec<Record>,
    /// What the SIS has, as Infiniti would have it.
    pub expected: fn(&Sis) -> Vec<Record>,
    /// What belongs to patrons, and into no log.
    pub canaries: &'static [&'static str],
}

/// Every feed beside the accounts, in the order in which they are sent; pictures once for each place where they may be.
pub static FEEDS: [Feed; 5] = [
    Feed {
        label: "contacts",
        name: "contacts",
        section: "contacts:
  {settings}
  extracts:
    - name: guardians
      query: SELECT * FROM guardians
      columns:
        username: login
        type: kind
        role: { value: guardian }
        primary: { value: true }
        addressee: name
        contact: reach
        sms: { value: false }
        scenarios: { value: ANY }
",
        key: login,
        enrol: |sis, n| {
            sis.sql(&format!(
                "INSERT INTO guardians VALUES ('{0}', 'email', 'Quixote {n}', 'parent{n}@quixote.example'),
                   ('{0}', 'phone', 'Quixote {n}', '0455 0919 {n:03}')",
                login(n)
            ));
        },
        change: |sis, n| {
            sis.sql(&format!(
                "UPDATE guardians SET reach = reach || '7' WHERE login = '{}' AND kind = 'phone'",
                login(n)
            ));
        },
        remove: |sis, n| sis.sql(&format!("DELETE FROM guardians WHERE login = '{}'", login(n))),
        blank: |sis, n| sis.sql(&format!("UPDATE guardians SET reach = ' ' WHERE login = '{}'", login(n))),
        spoil: |sis, n| {
            sis.sql(&format!(
                "UPDATE guardians SET reach = 'quixote.example' WHERE login = '{}' AND kind = 'email'",
                login(n)
            ));
        },
        held: Sandbox::contacts,
        expected: |sis| {
            sis.rows("SELECT login, kind, name, reach FROM guardians", |[login, kind, name, reach]| {
                record(&[
                    ("username", login),
                    ("type", kind),
                    ("role", "guardian"),
                    ("primary", "Y"),
                    ("addressee", name),
                    ("contact", reach),
                    ("sms", "N"),
                    ("scenarios", "ANY"),
                ])
            })
        },
        canaries: &["Quixote", "quixote.example", "0455 0919", "04550919"],
    },
    Feed {
        label: "images of a query",
        section: "images:
  path: /sandbox/images
  {settings}
  extracts:
    - { name: photos, query: SELECT * FROM photos, columns: { adminsystemid: id, image: photo } }
",
        ..PICTURES
    },
    Feed {
        label: "images of a folder",
        section: "images:
  path: /sandbox/images
  {settings}
  folder: photos
",
        ..PICTURES
    },
    Feed {
        label: "images of paths",
        section: "images:
  path: /sandbox/images
  {settings}
  folder: faces
  extracts:
    - { name: photos, query: SELECT * FROM photos, columns: { adminsystemid: id, file: file } }
",
        ..PICTURES
    },
    Feed {
        label: "groups",
        name: "groups",
        section: "groups:
  path: /sandbox/groups/{mode}
  mode: replace
  header: library_group
  allow: [Zebra Readers, Zebra Seniors, Zebra Staff]
  {settings}
  extracts:
    - { name: members, query: SELECT * FROM members, columns: { username: login, group: name } }
",
        key: login,
        enrol: |sis, n| {
            sis.sql(&format!(
                "INSERT INTO members VALUES ('{0}', '{1}')",
                login(n),
                GROUPS[usize::from(n % 6 == 0) * 2]
            ));
        },
        change: |sis, n| {
            let sql = format!("SELECT count(*) FROM members WHERE login = '{}' AND name = '{}'", login(n), GROUPS[1]);
            let is_senior = sis.database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() > 0;
            (group().remove)(sis, n);
            let names = if is_senior { &GROUPS[..1] } else { &GROUPS[..2] };
            for name in names {
                sis.sql(&format!("INSERT INTO members VALUES ('{}', '{name}')", login(n)));
            }
        },
        remove: |sis, n| sis.sql(&format!("DELETE FROM members WHERE login = '{}'", login(n))),
        blank: |sis, n| sis.sql(&format!("UPDATE members SET name = NULL WHERE login = '{}'", login(n))),
        spoil: |sis, n| {
            sis.sql(&format!(
                "UPDATE members SET name = 'Zebra Board' WHERE rowid = (SELECT min(rowid) FROM members WHERE login = '{}')",
                login(n)
            ));
        },
        held: Sandbox::groups,
        expected: |sis| {
            sis.rows("SELECT login, name, '', '' FROM members", |[login, name, _, _]| {
                record(&[("username", login), ("group", name)])
            })
        },
        canaries: &["Zebra"],
    },
];

/// What all pictures have in common: they are everywhere at once, in a column, in a folder, and below one.
const PICTURES: Feed = Feed {
    label: "",
    name: "images",
    section: "",
    key: id,
    enrol: |sis, n| sis.set_picture(n, Some(&picture(n, 0))),
    change: |sis, n| sis.set_picture(n, Some(&picture(n, sis.next()))),
    remove: |sis, n| {
        sis.set_picture(n, None);
        sis.sql(&format!("DELETE FROM photos WHERE id = '{}'", id(n)));
    },
    // A folder has no rows: what is blank in the queries is not there.
    blank: |sis, n| sis.set_picture(n, None),
    spoil: |sis, n| sis.set_picture(n, Some(b"no picture at all")),
    held: Sandbox::images,
    expected: |sis| {
        let mut statement = sis.database.prepare("SELECT id, photo FROM photos WHERE photo IS NOT NULL").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).unwrap();
        let mut records: Vec<Record> = rows
            .map(Result::unwrap)
            .map(|(id, photo)| record(&[("adminsystemid", &id), ("image", &described(&photo))]))
            .collect();
        records.sort();
        records
    },
    canaries: &["zq0", "face-0"],
};

/// The library groups.
pub fn group() -> &'static Feed {
    &FEEDS[4]
}

/// The username of a patron.
pub fn login(n: u32) -> String {
    format!("patron{n:02}")
}

/// The `adminsystemid` of a patron.
pub fn id(n: u32) -> String {
    format!("zq{n:04}")
}

/// A picture of a patron: of odd ones jpg, of even ones png. Each version is another one.
pub fn picture(n: u32, version: u32) -> Vec<u8> {
    let mut image = image::RgbImage::new(24, 16);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let value = (x * 31 + y * 17 + n * 7 + version * 101).to_le_bytes();
        pixel.0 = [value[0], u8::try_from(n % 256).unwrap(), u8::try_from(version % 256).unwrap()];
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    let format = if n % 2 == 1 { image::ImageFormat::Jpeg } else { image::ImageFormat::Png };
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The ending of a patron's picture.
fn ending(n: u32) -> &'static str {
    if n % 2 == 1 { "jpg" } else { "png" }
}

/// A picture as the sandbox describes it.
fn described(photo: &[u8]) -> String {
    let mut text = format!("{} {} ", if photo.starts_with(b"\x89PNG") { "png" } else { "jpg" }, photo.len());
    Sha256::digest(photo)[..16].iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    text
}

fn record(values: &[(&str, &str)]) -> Record {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A school's SIS: a SQLite file, and pictures beside it.
pub struct Sis {
    pub database: Connection,
    pub folder: PathBuf,
}

impl Sis {
    fn new(folder: &Path) -> Self {
        let database = Connection::open(folder.join("sis.db")).unwrap();
        for name in ["photos", "faces/7A"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let sis = Self { database, folder: folder.to_owned() };
        sis.sql(
            "PRAGMA synchronous = OFF;
             CREATE TABLE people (login text, id text, bar text, staff text, form text);
             CREATE TABLE guardians (login text, kind text, name text, reach text);
             CREATE TABLE photos (id text, photo blob, file text);
             CREATE TABLE members (login text, name text);
             CREATE TABLE versions (version integer)",
        );
        sis
    }

    pub fn sql(&self, sql: &str) {
        self.database.execute_batch(sql).unwrap();
    }

    /// A number that was not given before.
    pub fn next(&self) -> u32 {
        self.sql("INSERT INTO versions VALUES (1)");
        self.database.query_row("SELECT count(*) FROM versions", [], |row| row.get(0)).unwrap()
    }

    /// An account, and what belongs to it.
    pub fn enrol(&self, n: u32) {
        let staff = if n.is_multiple_of(6) { "Y" } else { "N" };
        self.sql(&format!("INSERT INTO people VALUES ('{}', '{}', 'B{n:04}', '{staff}', '7A')", login(n), id(n)));
        let mut named: Vec<&str> = Vec::new();
        for feed in &FEEDS {
            if !named.contains(&feed.name) {
                named.push(feed.name);
                (feed.enrol)(self, n);
            }
        }
    }

    /// Puts a patron's picture into every place; `None` leaves it out, and blank where there is a row.
    pub fn set_picture(&self, n: u32, bytes: Option<&[u8]>) {
        let (listed, path) = (format!("photos/{}.{}", id(n), ending(n)), format!("7A/face-{n:04}.{}", ending(n)));
        let files = [self.folder.join(listed), self.folder.join("faces").join(&path)];
        for file in &files {
            match bytes {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => drop(fs::remove_file(file)),
            }
        }
        self.sql(&format!("DELETE FROM photos WHERE id = '{}'", id(n)));
        let path = bytes.map(|_| path);
        self.database.execute("INSERT INTO photos VALUES (?, ?, ?)", (id(n), bytes, path)).unwrap();
    }

    /// The same in another order, wherever rows and files have one.
    pub fn shuffle(&self) {
        for table in ["people", "guardians", "photos", "members"] {
            self.sql(&format!(
                "CREATE TABLE other AS SELECT * FROM {table} ORDER BY rowid DESC; DROP TABLE {table};
                 ALTER TABLE other RENAME TO {table}"
            ));
        }
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.folder.join("photos")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let contents: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        for file in &files {
            fs::remove_file(file).unwrap();
        }
        for (file, content) in files.iter().zip(contents).rev() {
            fs::write(file, content).unwrap();
        }
    }

    fn rows(&self, sql: &str, record: impl Fn([&str; 4]) -> Record) -> Vec<Record> {
        let mut statement = self.database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            let cells: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
            Ok(record(cells.each_ref().map(String::as_str)))
        });
        let mut records: Vec<Record> = rows.unwrap().map(Result::unwrap).collect();
        records.sort();
        records
    }
}

/// A school with every feed, its Infiniti behind a gate.
pub struct School {
    pub context: TestContext,
    pub gate: Gate,
    pub sis: Sis,
    /// The feed that is looked at; of the feeds of the same name it is the one in the mapping.
    pub feed: &'static Feed,
    runtime: tokio::runtime::Runtime,
    sandbox: Option<Sandbox>,
}

impl School {
    /// A school that was never pushed.
    pub fn new(feed: &'static Feed) -> Self {
        Self::with_faults(feed, &[])
    }

    pub fn with_faults(feed: &'static Feed, faults: &[&str]) -> Self {
        let gate = Gate::new();
        let context = TestContext::with_target(&gate.url());
        let sis = Sis::new(context.folder());
        sis.sql("BEGIN");
        (1..=PATRONS).for_each(|n| sis.enrol(n));
        sis.sql("COMMIT");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut school = Self { context, gate, sis, feed, runtime, sandbox: None };
        school.restart(faults);
        school.map("");
        school
    }

    /// One that Infiniti has as it is.
    pub fn pushed(feed: &'static Feed) -> Self {
        let school = Self::new(feed);
        school.push(0);
        school.gate.take();
        school
    }

    /// The feeds of the mapping.
    pub fn feeds(&self) -> impl Iterator<Item = &'static Feed> {
        let mut feeds: Vec<&'static Feed> = Vec::new();
        for feed in &FEEDS {
            let feed = if feed.name == self.feed.name { self.feed } else { feed };
            if !feeds.iter().any(|known| known.name == feed.name) {
                feeds.push(feed);
            }
        }
        feeds.into_iter()
    }

    /// Writes the mapping, with settings of the feed that is looked at.
    pub fn map(&self, settings: &str) {
        self.map_feeds(settings, self.feeds());
    }

    /// Likewise, of some of its feeds.
    pub fn map_feeds(&self, settings: &str, feeds: impl Iterator<Item = &'static Feed>) {
        let mut text = format!(
            "version: 1
source: {{ url: sqlite:sis.db }}
target:
  url: {}
  username: {USERNAME}
  password: ${{INFINITI_PASSWORD}}
  batch_rows: 20
  retries: 0
  timeout: 2s
mode: delta
users:
  - name: people
    query: SELECT * FROM people
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: staff
      adminsystemid: id
      librarybarcode: bar
      formclass: form
      graduationyear: {{ column: staff, lookup: {{ Y: \"\", N: \"2030\" }} }}
      emailaddress: {{ template: \"{{{{ login }}}}@school.example\" }}
",
            self.gate.url()
        );
        for feed in feeds {
            let settings = if feed.label == self.feed.label { settings } else { "" };
            text += &feed.section.replace("{settings}", settings);
        }
        self.context.write("school.yaml", text);
    }

    /// Starts the sandbox again with what it has and these faults.
    pub fn restart(&mut self, faults: &[&str]) {
        if let Some(sandbox) = self.sandbox.take() {
            self.runtime.block_on(sandbox.stop());
        }
        let faults = faults.iter().map(|fault| fault.parse::<Fault>().expect("a fault")).collect();
        let file = Some(self.context.path("sandbox.json"));
        let groups = GROUPS.map(str::to_owned).into();
        let options = Options { faults, file, groups, ..Options::new(USERNAME, PASSWORD) };
        let sandbox = self.runtime.block_on(Sandbox::start(options)).unwrap();
        self.gate.set(sandbox.address(), Trick::Pass);
        self.sandbox = Some(sandbox);
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().unwrap()
    }

    /// Starts a push with a trick.
    pub fn start(&self, trick: Trick) -> Child {
        self.gate.set(self.sandbox().address(), trick);
        self.gate.spawn(&mut self.context.command(&["push", "school.yaml"]))
    }

    /// A push that ends with this exit code; what it told.
    pub fn push(&self, exit_code: i32) -> String {
        self.run(exit_code, &["push", "school.yaml"])
    }

    /// The program, which ends with this exit code; what it told.
    pub fn run(&self, exit_code: i32, arguments: &[&str]) -> String {
        let output = self.context.output(arguments);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(exit_code), "{}: {arguments:?}: {told}", self.feed.label);
        told
    }

    /// The only mapping of a result in JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.context.output(&[arguments, &["--format", "json", "school.yaml"]].concat());
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
        value["mappings"][0].clone()
    }

    /// What a rehearsal says of a feed, by name; of accounts for `users`.
    pub fn plan(&self, name: &str) -> Value {
        of_feed(&self.json(&["diff", "--delta"]), name)
    }

    /// Infiniti has exactly what the SIS has, of every feed, and a rehearsal plans nothing.
    pub fn assert_right(&self, case: &str) {
        let case = format!("{}: {case}", self.feed.label);
        let logins: Vec<String> =
            self.sandbox().patrons().into_iter().map(|patron| patron["username"].clone()).collect();
        let people = self.sis.rows("SELECT login, '', '', '' FROM people", |[login, ..]| record(&[("login", login)]));
        assert_eq!(logins, people.iter().map(|one| one["login"].clone()).collect::<Vec<_>>(), "{case}");
        for feed in self.feeds() {
            assert_eq!(self.held(feed), (feed.expected)(&self.sis), "{case}: {}", feed.label);
        }
        let diff = self.json(&["diff", "--delta"]);
        for name in ["users"].into_iter().chain(self.feeds().map(|feed| feed.name)) {
            let plan = of_feed(&diff, name);
            assert_eq!(plan["rows_to_send"], 0, "{case}: {name}: {plan:#}");
            assert_eq!(plan["plan"]["mode"], "delta", "{case}: {name}");
            assert_eq!(plan["plan"]["counts"]["unchanged"], people.len(), "{case}: {name}: {plan:#}");
        }
    }

    /// What Infiniti has of a feed, in order.
    pub fn held(&self, feed: &Feed) -> Vec<Record> {
        let mut held = (feed.held)(self.sandbox());
        held.sort();
        held
    }

    /// The feeds of the requests so far, in order.
    pub fn requested(&self) -> Vec<&'static str> {
        self.sandbox().requests().iter().map(|request| request.feed).collect()
    }
}

/// A feed's part of a result; the accounts' is the whole.
pub fn of_feed(result: &Value, name: &str) -> Value {
    if name == "users" {
        return result.clone();
    }
    let feeds = result["feeds"].as_array().unwrap_or_else(|| panic!("no other feeds: {result:#}"));
    feeds.iter().find(|feed| feed["feed"] == name).unwrap_or_else(|| panic!("no {name}: {result:#}")).clone()
}

/// An output as text.
pub fn told(output: &Output) -> String {
    format!(
        "exit code {:?}\n{}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
