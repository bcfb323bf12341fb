//! Shipped mappings, run as `init` writes them, and what must come out.

use std::fs;

use serde_json::Value;
use sispush::mapping::shipped::SHIPPED;

use super::context::{TestContext, USERNAME};

/// The mapping of that name, to be run as `school.yaml`.
pub fn school(name: &str, source: &str, password: &str) -> TestContext {
    let mut context = TestContext::new();
    context.set_env("SIS_PASSWORD", password);
    context.write("school.yaml", with_source(shipped(name), source));
    context
}

pub fn shipped(name: &str) -> &'static str {
    SHIPPED.iter().find(|shipped| shipped.name == name).unwrap_or_else(|| panic!("no mapping `{name}`")).text
}

/// The mapping with another source and target, its state beside it.
pub fn with_source(text: &str, source: &str) -> String {
    let (head, users) = text.split_once("\nusers:").unwrap();
    let comments: String = head.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect();
    format!(
        "{comments}
version: 1
source:
  {source}
target:
  url: https://example.concordinfiniti.com
  username: {USERNAME}
  password: ${{INFINITI_PASSWORD}}
state: state.db
users:{users}"
    )
}

/// Checks the mapping, reads the school, and compares all patrons, as CSV, and the rejections; what the mapping expects of
/// the data must hold of it.
#[track_caller]
pub fn compare(context: &TestContext, patrons: &str, rejections: &[&str]) {
    let checked = context.output(&["check", "school.yaml", "--format", "json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["mappings"][0]["valid"], true, "{checked:#}");
    assert_eq!(checked["mappings"][0]["problems"].as_array().map(Vec::len), Some(0), "{checked:#}");

    let (found, found_rejections) = preview(context);
    assert_eq!(found, patrons, "\nfound:\n{found}\nexpected:\n{patrons}");
    assert_eq!(found_rejections, rejections);

    let tested = context.output(&["test", "school.yaml"]);
    let text = String::from_utf8(tested.stdout).unwrap();
    assert!(text.contains("expectations: "), "{text}{}", String::from_utf8_lossy(&tested.stderr));
    assert!(!text.contains("  failed ") && !text.contains("  warning "), "{text}");
}

/// The patrons as CSV, and a line for each rule that a row broke.
#[track_caller]
pub fn preview(context: &TestContext) -> (String, Vec<String>) {
    let shown = context.output(&["preview", "school.yaml", "--format", "csv"]);
    let errors = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.code().is_some_and(|code| code < 2), "{errors}");
    let json = context.output(&["preview", "school.yaml", "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    let mut rejections: Vec<String> = json["rejections"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rejection| {
            let place = |broken: &Value| {
                format!(
                    "{} `{}`: {}",
                    text(&rejection["extract"]),
                    text(&rejection["username"]),
                    text(&broken["reason"])
                )
            };
            rejection["broken"].as_array().unwrap().iter().map(place).collect::<Vec<_>>()
        })
        .map(|line| without_row_numbers(&line))
        .collect();
    rejections.sort_unstable();
    (String::from_utf8(shown.stdout).unwrap().replace("\r\n", "\n"), rejections)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A query without an order gives its rows in any.
fn without_row_numbers(line: &str) -> String {
    regex::Regex::new(r" row \d+").unwrap().replace_all(line, " row").into_owned()
}

/// The school of the mappings for any SIS. `text` and `date` are the engine's types; `padded` is a type of short codes.
pub fn any_school(text: &str, date: &str, padded: &str, day: impl Fn(&str) -> String) -> String {
    let (past, future) = (day("2020-12-31"), day("2098-01-02"));
    format!(
        "CREATE TABLE students (student_code {text}, login {text}, first_name {text}, preferred_name {text},
            last_name {text}, gender {text}, email {text}, barcode {text}, form {padded}, year_level {text},
            status {padded}, leaving_date {date});
        INSERT INTO students VALUES
            ('S1', 'alee', 'Ann', 'Annie', 'Lee', 'F', 'Ann.Lee@School.example; lee@home.example', '0009069', '7B    ', '07', 'Current', NULL),
            -- In two semesters, alike in everything.
            ('S2', 'tray', 'Tim', ' ', 'RAY', 'Male', ' ', '0009070', '12A   ', 'Year 12', 'Current', '{future}'),
            ('S2', 'tray', 'Tim', ' ', 'RAY', 'Male', ' ', '0009070', '12A   ', 'Year 12', 'Current', '{future}'),
            ('S3', 'poz', 'Pia', NULL, 'Öz', 'U', ' ;poz@school.example', '0009071', NULL, 'pp', 'Current', NULL),
            ('S4', 'kfox', 'Kim', NULL, 'Fox', NULL, NULL, '0009072', NULL, '-1', 'Current', NULL),
            -- Left: by the date, and by the status. Still to come.
            ('S5', 'lone', 'Left', NULL, 'One', 'M', NULL, '0009073', '12A   ', '12', 'Current', '{past}'),
            ('S6', 'ltwo', 'Left', NULL, 'Two', 'M', NULL, '0009074', '12A   ', '12', 'Left', NULL),
            ('S7', 'nyet', 'Not', NULL, 'Yet', 'F', NULL, '0009075', NULL, '7', 'Future', NULL),
            -- Without a login, with a year level that is none, and in two forms.
            ('S8', NULL, 'No', NULL, 'Login', 'F', NULL, '0009076', '7A    ', '7', 'Current', NULL),
            ('S9', 'ugraded', 'Un', NULL, 'Graded', 'F', NULL, '0009077', '7A    ', 'UG', 'Current', NULL),
            ('S10', 'twice', 'In', NULL, 'Twoforms', 'F', NULL, '0009078', '7A    ', '7', 'Current', NULL),
            ('S10', 'twice', 'In', NULL, 'Twoforms', 'F', NULL, '0009078', '7B    ', '7', 'Current', NULL);
        CREATE TABLE staff (staff_code {text}, login {text}, first_name {text}, last_name {text}, email {text}, status {padded});
        INSERT INTO staff VALUES
            ('0009069', 'lnguyen', 'Linh', 'Nguyễn', 'L.Nguyen@School.example', 'Current'),
            ('0000002', 'lgone', 'Long', 'Gone', NULL, 'Left');"
    )
}

#[track_caller]
pub fn compare_any_school(context: &TestContext, school_year: i32) {
    let leaves = |year_level: i32| school_year + 12 - year_level;
    compare(
        context,
        &format!(
            "username,enabled,staffmember,givenname,surname,preferredname,emailaddress,graduationyear,librarybarcode,adminsystemid,gender,formclass
alee,Y,N,Ann,Lee,Annie,ann.lee@school.example,{},0009069,S1,F,7B
kfox,Y,N,Kim,Fox,,,{},0009072,S4,,
lnguyen,Y,Y,Linh,Nguyễn,,l.nguyen@school.example,,T0009069,T0009069,,
poz,Y,N,Pia,Öz,,poz@school.example,{},0009071,S3,,
tray,Y,N,Tim,RAY,,,{},0009070,S2,M,12A
",
            leaves(7),
            leaves(-1),
            leaves(0),
            leaves(12)
        ),
        &[
            "students ``: `username` is blank, and it is mandatory",
            "students `twice`: `librarybarcode` is the same as in students row",
            "students `twice`: `librarybarcode` is the same as in students row",
            "students `twice`: `username` is the same as in students row",
            "students `twice`: `username` is the same as in students row",
            "students `ugraded`: `graduationyear`: the template failed: an operation does not fit its values (a blank or a text where a number is needed?)",
        ],
    );
}

/// Puts the school's own names into the mapping.
pub fn look_up(context: &TestContext, names: &[(&str, &str)]) {
    let mut text = fs::read_to_string(context.path("school.yaml")).unwrap();
    for (from, to) in names {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    context.write("school.yaml", text);
}
