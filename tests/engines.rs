//! One school in each of the engines, pushed by the program into the sandbox: 2,000 people, and every field of each
//! accepted patron is what the query says.
//!
//! What must arrive is computed here from the generated people and by none of the program's code. All engines are held to
//! the same patrons, so they are equal to each other too.

#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use support::context::TestContext;
use support::drops;
use support::servers::{self, MariaDb, Postgres};
use tds::TdsServer;

const PEOPLE: u32 = 2_000;
/// As many rows in one INSERT as every engine takes.
const INSERT_ROWS: usize = 500;
const DATABASE: &str = "engines";

#[test]
fn sqlite() {
    let context = TestContext::with_sandbox(&[]);
    context.sis(&people_sql("text", "boolean"));
    push_and_compare(&context, "url: sqlite:sis.db", "is_staff");
}

#[test]
fn csv() {
    let context = TestContext::with_sandbox(&[]);
    context.sis(&people_sql("text", "boolean"));
    std::fs::create_dir(context.path("drops")).unwrap();
    drops::write(&context.path("sis.db"), &context.path("drops"), b';');
    push_and_compare(&context, "url: csv:drops", "is_staff = 1");
}

#[test]
fn postgres() {
    let Some(server) = Postgres::get("engines::postgres") else { return };
    server.create_database(DATABASE);
    server.execute(DATABASE, &people_sql("varchar(80)", "boolean"));
    let url = format!("postgres://{}@127.0.0.1:{}/{DATABASE}", servers::USERNAME, server.port());
    push_and_compare(&context_with(servers::PASSWORD), &with_password(&url), "is_staff");
}

#[test]
fn mariadb() {
    let Some(server) = MariaDb::get("engines::mariadb") else { return };
    server.create_database(DATABASE);
    server.execute(DATABASE, &people_sql("varchar(80)", "boolean"));
    let url = format!("mariadb://{}@127.0.0.1:{}/{DATABASE}", servers::USERNAME, server.port());
    push_and_compare(&context_with(servers::PASSWORD), &with_password(&url), "is_staff");
}

#[test]
fn sqlserver() {
    let server = TdsServer::start();
    server.execute(&people_sql("nvarchar(80)", "bit"));
    let url = format!("mssql://{}@127.0.0.1:{}/{}", tds::USER, server.port(), tds::DATABASE);
    push_and_compare(&context_with(tds::PASSWORD), &with_password(&url), "is_staff = 1");
}

#[test]
fn sqlserver_by_connection_string() {
    let server = TdsServer::start();
    server.execute(&people_sql("nvarchar(80)", "bit"));
    let url = format!(
        "Server=tcp:127.0.0.1,{};Database={};User ID={};Password=${{SIS_PASSWORD}}",
        server.port(),
        tds::DATABASE,
        tds::USER
    );
    push_and_compare(&context_with(tds::PASSWORD), &format!("url: \"{url}\""), "is_staff = 1");
}

fn context_with(password: &str) -> TestContext {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("SIS_PASSWORD", password);
    context
}

fn with_password(url: &str) -> String {
    format!("url: {url}\n  password: ${{SIS_PASSWORD}}")
}

/// Pushes the school and compares what the sandbox then holds.
fn push_and_compare(context: &TestContext, source: &str, is_staff: &str) {
    context.write("school.yaml", mapping(&context.sandbox().url(), source, is_staff));
    let said = context.run(&["push", "school.yaml"]);
    assert!(said.starts_with("exit code 0\n") && said.contains("accepted  2,000 rows: 2,000 created"), "{said}");
    let patrons = context.sandbox().patrons();
    assert_eq!(patrons.len(), PEOPLE as usize);
    for (patron, (username, expected)) in patrons.iter().zip(&expected()) {
        assert_eq!(patron, expected, "{username}");
    }
    explain_and_compare(context);
}

/// What `explain` shows of a patron is what arrived, wherever in its extract reading stops.
fn explain_and_compare(context: &TestContext) {
    for (username, expected) in expected().iter().step_by(900) {
        let output = context.output(&["explain", "school.yaml", &username.to_uppercase(), "--format", "json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(explained["push"]["reason"], "resent");
        let headers = explained["headers"].as_array().unwrap().iter();
        let sent: BTreeMap<String, String> = headers
            .filter(|header| header["result"] == "sent")
            .map(|header| (header["header"].as_str().unwrap().into(), header["value"].as_str().unwrap().into()))
            .collect();
        assert_eq!(sent, *expected, "{username}");
    }
}

fn mapping(target: &str, source: &str, is_staff: &str) -> String {
    format!(
        r#"version: 1
source:
  {source}
target:
  url: {target}
  username: {username}
  password: ${{INFINITI_PASSWORD}}
users:
  - name: students
    query: SELECT * FROM people WHERE NOT ({is_staff})
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: is_staff
      givenname: given
      surname: family
      preferredname: preferred
      emailaddress: {{ column: email, transform: [lower] }}
      graduationyear: graduation
      librarybarcode: barcode
      gender: {{ column: sex, lookup: {{ Male: M, Female: F, "*": "" }} }}
      formclass: form
      presentationgrouplabel: entered
  - name: staff
    query: SELECT * FROM people WHERE {is_staff}
    columns:
      username: login
      enabled: {{ value: true }}
      staffmember: is_staff
      givenname: given
      surname: family
      preferredname: preferred
      emailaddress: {{ column: email, transform: [lower] }}
      librarybarcode: {{ template: "T{{{{ barcode }}}}" }}
      gender: {{ column: sex, lookup: {{ Male: M, Female: F, "*": "" }} }}
      presentationgrouplabel: entered
"#,
        username = support::context::USERNAME,
    )
}

/// A name as it stands in the database, and as it must arrive.
type Name = (&'static str, &'static str);

const GIVEN: [Name; 7] = [
    ("Zoë", "Zoë"),
    ("  Linh ", "Linh"),
    ("Zoe\u{308}", "Zo\u{eb}"), // Two characters for one letter, as a Mac writes it.
    ("D'Arcy", "D'Arcy"),
    ("Wei, \"Will\"", "Wei, \"Will\""),
    ("Łukasz", "Łukasz"),
    ("", ""),
];
const FAMILY: [Name; 5] =
    [("Nguyễn", "Nguyễn"), ("O'Brien ", "O'Brien"), ("李", "李"), ("van der Berg", "van der Berg"), ("Ōkawa", "Ōkawa")];
const PREFERRED: [Option<Name>; 4] = [None, Some(("Sunny \u{1f31e}", "Sunny \u{1f31e}")), Some(("   ", "")), None];
const SEX: [(Option<&str>, &str); 4] = [(Some("Male"), "M"), (Some("female"), "F"), (Some("X"), ""), (None, "")];

/// One of `list`, with a period of its own: lists of coprime lengths give every combination.
fn pick<T: Copy, const N: usize>(list: [T; N], number: u32) -> T {
    list[number as usize % N]
}

fn is_staff(number: u32) -> bool {
    number % 11 == 3
}

/// The table as statements that every engine takes.
fn people_sql(text: &str, boolean: &str) -> String {
    let mut sql = format!(
        "CREATE TABLE people (login char(20), given {text}, family {text}, preferred {text}, email {text}, graduation int,
           barcode {text}, sex {text}, form char(6), entered date, is_staff {boolean});\n"
    );
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let or_null = |text: Option<String>| text.map_or("NULL".to_owned(), |text| quoted(&text));
    let rows: Vec<String> = (0..PEOPLE)
        .map(|number| {
            let graduation = (!is_staff(number)).then(|| graduation(number).to_string());
            [
                quoted(&login(number)),
                quoted(pick(GIVEN, number).0),
                quoted(pick(FAMILY, number).0),
                or_null(pick(PREFERRED, number).map(|(stored, _)| stored.to_owned())),
                or_null(has_email(number).then(|| format!("{}@College.Example", login(number)))),
                graduation.unwrap_or("NULL".into()),
                quoted(&format!("{number:06}")),
                or_null(pick(SEX, number).0.map(str::to_owned)),
                or_null(form(number)),
                or_null(entered(number)),
                if is_staff(number) { "TRUE" } else { "FALSE" }.to_owned(),
            ]
            .join(", ")
        })
        .collect();
    for rows in rows.chunks(INSERT_ROWS) {
        writeln!(sql, "INSERT INTO people VALUES ({});", rows.join("),\n(")).unwrap();
    }
    sql
}

fn login(number: u32) -> String {
    format!("{}{number:04}", if is_staff(number) { "Staff" } else { "student" })
}

fn has_email(number: u32) -> bool {
    is_staff(number) || number % 13 != 5
}

fn graduation(number: u32) -> u32 {
    2026 + number % 6
}

fn form(number: u32) -> Option<String> {
    (!is_staff(number) && number % 17 != 2).then(|| format!("{}{}", 7 + number % 6, pick(["A", "Ä"], number)))
}

fn entered(number: u32) -> Option<String> {
    (number % 19 != 4).then(|| format!("20{:02}-{:02}-{:02}", 10 + number % 16, 1 + number % 12, 1 + number % 28))
}

/// What Infiniti must hold of each, in the order of the usernames: a blank is no field at all.
fn expected() -> BTreeMap<String, BTreeMap<String, String>> {
    let people = (0..PEOPLE).map(|number| {
        let (staff, barcode) = (is_staff(number), format!("{number:06}"));
        let fields = [
            ("username", login(number)),
            ("enabled", "Y".into()),
            ("staffmember", if staff { "Y" } else { "N" }.into()),
            ("givenname", pick(GIVEN, number).1.into()),
            ("surname", pick(FAMILY, number).1.into()),
            ("preferredname", pick(PREFERRED, number).map_or("", |(_, arrives)| arrives).into()),
            (
                "emailaddress",
                if has_email(number) {
                    format!("{}@college.example", login(number).to_lowercase())
                } else {
                    String::new()
                },
            ),
            ("graduationyear", if staff { String::new() } else { graduation(number).to_string() }),
            ("librarybarcode", if staff { format!("T{barcode}") } else { barcode }),
            ("gender", pick(SEX, number).1.into()),
            ("formclass", form(number).unwrap_or_default()),
            ("presentationgrouplabel", entered(number).unwrap_or_default()),
        ];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(header, value)| (header.to_owned(), value)).collect();
        (login(number).to_lowercase(), fields)
    });
    people.collect()
}
