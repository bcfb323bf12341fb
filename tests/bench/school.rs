//! A school of N patrons, the same in every database.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::servers::{MariaDb, PASSWORD, Postgres, USERNAME};

/// The twelve columns, named as the headers that they fill.
const COLUMNS: [&str; 12] = [
    "username",
    "enabled",
    "staffmember",
    "givenname",
    "surname",
    "preferredname",
    "emailaddress",
    "graduationyear",
    "librarybarcode",
    "adminsystemid",
    "gender",
    "formclass",
];

pub(crate) struct School {
    pub(crate) folder: PathBuf,
    pub(crate) rows: usize,
    /// Rows that break no rule: all of them, so that both ways send the same.
    pub(crate) accepted: usize,
}

/// One database that holds the school.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    url: String,
    password: Option<String>,
    /// Writes `out.csv` with the database's own client; `{query}` stands for what it reads.
    extract: String,
    query: String,
    /// Runs the SQL that it reads.
    client: Vec<String>,
}

impl School {
    /// Makes the rows and keeps them as a tab-separated file that every database loads.
    pub(crate) fn write(folder: &Path, rows: usize) -> Self {
        let mut text = String::with_capacity(rows * 128);
        for number in 0..rows {
            // Not in key order: a database gives rows as they were entered.
            let given = GIVEN[number % GIVEN.len()];
            let family = FAMILY[number / 7 % FAMILY.len()];
            let username = format!("{}.{}{number}", given.to_lowercase(), family.to_lowercase());
            let year = 7 + number % 6;
            let preferred = if number.is_multiple_of(5) { &given[..3] } else { "\\N" };
            let gender = if number.is_multiple_of(2) { "F" } else { "M" };
            let form = char::from(b'A' + u8::try_from(number / 6 % 6).expect("a small number"));
            writeln!(
                text,
                "{username}\tY\tN\t{given}\t{family}\t{preferred}\t{username}@school.example\t{}\t{number:09}\tS{number:08}\t{gender}\t{year}{form}",
                2026 + 12 - year,
            )
            .expect("a string takes text");
        }
        let folder = folder.to_owned();
        std::fs::write(folder.join("school.tsv"), text).expect("the rows are written");
        Self { folder, rows, accepted: rows }
    }

    /// The bytes that a CSV of the school has, as the hand-made way writes it.
    pub(crate) fn csv_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.join("school.tsv")).map_or(0, |file| file.len())
    }

    /// Every database that is installed, filled.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let mut sources = vec![self.sqlite(), self.csv()];
        sources.extend(Postgres::get("the benchmark").map(|server| self.postgres(server)));
        sources.extend(MariaDb::get("the benchmark").map(|server| self.mariadb(server)));
        sources
    }

    fn tsv(&self) -> String {
        self.folder.join("school.tsv").display().to_string()
    }

    fn create(&self, suffix: &str) -> String {
        let columns: Vec<String> = COLUMNS.iter().map(|column| format!("{column} varchar(80)")).collect();
        format!("CREATE TABLE school_{} ({}){suffix}", self.rows, columns.join(", "))
    }

    fn query(&self) -> String {
        format!("SELECT {} FROM school_{}", COLUMNS.join(", "), self.rows)
    }

    /// The SQLite file alone.
    pub(crate) fn sqlite(&self) -> Source {
        let path = self.folder.join("school.db");
        let script = format!(
            "{};\n.mode tabs\n.import '{}' school_{}\nUPDATE school_{2} SET preferredname = NULL WHERE preferredname = '\\N';",
            self.create(""),
            self.tsv(),
            self.rows
        );
        run(Command::new("sqlite3").arg(&path), &script);
        Source {
            name: "SQLite",
            url: format!("sqlite:{}", path.display()),
            password: None,
            client: vec!["sqlite3".to_owned(), path.display().to_string()],
            extract: format!("sqlite3 -csv -header {} '{{query}}' > out.csv", path.display()),
            query: self.query(),
        }
    }

    /// The drop is written out of a database that stands for the SIS.
    fn csv(&self) -> Source {
        let folder = self.folder.join("drops");
        std::fs::create_dir(&folder).expect("a folder for the drop");
        let (database, file) = (self.folder.join("csv.db"), folder.join(format!("school_{}.csv", self.rows)));
        let (database, file) = (database.display(), file.display());
        let script = format!("{};\n.mode tabs\n.import '{}' school_{}", self.create(""), self.tsv(), self.rows);
        let client = format!("sqlite3 {database} && sqlite3 -csv -header {database} '{}' > {file}", self.query());
        let script =
            format!("{script}\nUPDATE school_{} SET preferredname = '' WHERE preferredname = '\\N';", self.rows);
        run(Command::new("sh").args(["-c", &client]), &script);
        Source {
            name: "CSV",
            url: format!("csv:{}", folder.display()),
            password: None,
            client: vec!["sh".to_owned(), "-c".to_owned(), client],
            extract: format!(
                "sqlite3 -csv -header :memory: '.import {file} school_{}' '{{query}}' > out.csv",
                self.rows
            ),
            query: self.query(),
        }
    }

    /// A database of a PostgreSQL server.
    pub(crate) fn postgres(&self, server: &'static Postgres) -> Source {
        let url = server.url("postgres");
        let script = format!("{};\n\\copy school_{} FROM '{}'\nANALYZE;", self.create(""), self.rows, self.tsv());
        run(Command::new("psql").args(["-q", "-v", "ON_ERROR_STOP=1", &url]), &script);
        Source {
            name: "PostgreSQL",
            client: vec!["psql".to_owned(), "-q".to_owned(), url.clone()],
            extract: format!("psql -q '{url}' -c \"\\\\copy ({{query}}) TO 'out.csv' CSV HEADER\""),
            query: self.query(),
            url,
            password: None,
        }
    }

    fn mariadb(&self, server: &'static MariaDb) -> Source {
        server.execute("mysql", "CREATE DATABASE IF NOT EXISTS bench");
        server.execute("bench", &format!("{}; SET GLOBAL local_infile = 1", self.create(" ENGINE=InnoDB")));
        let (user, password, port) = (USERNAME, PASSWORD, server.port());
        let client =
            format!("mariadb --no-defaults --local-infile=1 -h 127.0.0.1 -P {port} -u {user} -p'{password}' bench");
        let load = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE school_{}", self.tsv(), self.rows);
        run(Command::new("sh").args(["-c", &client]), &load);
        Source {
            name: "MariaDB",
            url: format!("mariadb://{user}@127.0.0.1:{port}/bench"),
            password: Some(password.to_owned()),
            client: vec!["sh".to_owned(), "-c".to_owned(), client.clone()],
            extract: format!("{client} --quick -B -e '{{query}}' > out.csv"),
            query: self.query(),
        }
    }

    /// Writes the mapping that reads a source and sends to a sink.
    pub(crate) fn mapping(&self, source: &Source, port: u16) -> PathBuf {
        let columns: String =
            COLUMNS.iter().fold(String::new(), |text, column| text + &format!("      {column}: {column}\n"));
        let password = source.password.as_ref().map(|password| format!("\n  password: {password}")).unwrap_or_default();
        let text = format!(
            "version: 1\nsource:\n  url: {}{password}\n  encryption: off\ntarget:\n  url: http://127.0.0.1:{port}\n  username: u\n  password: p\n  batch_rows: 0\nusers:\n  - name: students\n    query: {}\n    columns:\n{columns}",
            source.url,
            self.query(),
        );
        let path = self.folder.join(format!("{}-{}.yaml", source.name.to_lowercase(), self.rows));
        std::fs::write(&path, text).expect("the mapping is written");
        path
    }
}

impl Source {
    /// The shortest hand-made way: the database's own client into a file, and `curl`.
    pub(crate) fn by_hand(&self, folder: &Path, port: u16) -> String {
        format!(
            "cd {}; {}; curl -sSf -u u:p -F file=@out.csv http://127.0.0.1:{port}/api/import/users",
            folder.display(),
            self.extract_of(&self.query)
        )
    }

    /// Writes `out.csv` of another query with the database's own client.
    pub(crate) fn extract_of(&self, query: &str) -> String {
        self.extract.replace("{query}", query)
    }

    /// Gives one patron in a hundred another form class; returns how many that are.
    pub(crate) fn change(&self, school: &School, night: usize) -> usize {
        let sql = format!("UPDATE school_{} SET formclass = 'N{night}' WHERE librarybarcode LIKE '%00';", school.rows);
        self.run(&sql);
        school.rows.div_ceil(100)
    }

    /// Has the database's own client run SQL.
    pub(crate) fn run(&self, sql: &str) {
        let (program, arguments) = self.client.split_first().expect("a program");
        run(Command::new(program).args(arguments), sql);
    }

    /// The hand-made way to what changed since last night: extract, sort, and compare with last night's file.
    pub(crate) fn nights_by_hand(&self, folder: &Path) -> String {
        format!(
            "cd {}; {}; export LC_ALL=C; sort -o new.csv out.csv; touch old.csv; comm -13 old.csv new.csv > changes.csv; mv new.csv old.csv",
            folder.display(),
            self.extract_of(&self.query)
        )
    }
}

fn run(command: &mut Command, input: &str) {
    use std::io::Write as _;
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("the client is installed");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the client reads");
    assert!(child.wait().expect("the client ends").success(), "the client failed");
}

const GIVEN: [&str; 24] = [
    "Aroha", "Liam", "Mei", "Priya", "Omar", "Zara", "Noah", "Linh", "Ivan", "Chloe", "Tane", "Anjali", "Yusuf",
    "Sofia", "Jack", "Hana", "Marco", "Eleni", "Wiremu", "Grace", "Deng", "Ingrid", "Kofi", "Maeve",
];
const FAMILY: [&str; 20] = [
    "Nguyen",
    "Smith",
    "Patel",
    "OBrien",
    "Chen",
    "Ali",
    "Rossi",
    "Papadopoulos",
    "Kowalski",
    "Williams",
    "Ngata",
    "Singh",
    "Haddad",
    "Garcia",
    "Tanaka",
    "Deng",
    "Larsen",
    "Mensah",
    "Murphy",
    "Brown",
];
