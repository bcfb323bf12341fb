//! The shipped mappings for ODBC, as in `shipped.rs`, through Debian's ODBC driver for SQLite: no Oracle is at hand.

#![expect(clippy::print_stderr, reason = "test code: what is missing is said")]

mod support;

use std::path::PathBuf;

use support::context::TestContext;
use support::shipped::{any_school, compare, compare_any_school, look_up, preview, school, shipped, with_source};

/// A school whose SIS is a SQLite file that is read through the driver; `None`, with a line on stderr, without the driver.
fn odbc_school(name: &str, sis: &str) -> Option<TestContext> {
    let driver = driver(&format!("shipped_odbc::{name}"))?;
    let context = school(name, "url: odbc:to-be-named", "unused");
    let url = format!("odbc:Driver={};Database={}", driver.display(), context.path("sis.db").display());
    context.write("school.yaml", with_source(shipped(name), &format!("url: {url}")));
    context.sis(sis);
    Some(context)
}

/// The driver's file.
fn driver(test: &str) -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = folders.map(|folder| folder.path().join("odbc/libsqlite3odbc.so")).find(|path| path.is_file());
    if found.is_none() {
        let message = format!("ignored: {test} needs libsqlite3odbc.so (apt-get install libsqliteodbc)");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        eprintln!("{message}");
    }
    found
}

const POWERSCHOOL: &str = "
    CREATE TABLE students (id integer, dcid integer, student_number integer, first_name varchar(50), last_name varchar(50),
        dob date, gender varchar(2), grade_level integer, schoolid integer, home_room varchar(20), enroll_status integer,
        sched_yearofgraduation integer, exitdate date);
    INSERT INTO students VALUES
        (1, 1, 100001, 'Ann', 'Lee', '2014-10-03', 'F', 7, 100, 'A7 ', 0, 2032, '2027-06-30'),
        (2, 2, 100002, 'Tim', 'RAY', '2009-02-01', 'M', 12, 100, NULL, 0, 2027, '2027-06-30'),
        (3, 3, 100003, 'Zoë', 'Öz', '2021-05-05', 'X', 0, 200, 'K1', 0, 2039, '2027-06-30'),
        -- Still to come, pre-registered, left, graduated.
        (4, 4, 100004, 'Not', 'Yet', '2015-05-05', 'F', 7, 100, NULL, 3, 2032, NULL),
        (5, 5, 100005, 'Pre', 'Registered', '2015-05-05', 'F', 7, 100, NULL, -1, 2032, NULL),
        (6, 6, 100006, 'Left', 'One', '2015-05-05', 'M', 7, 100, NULL, 2, 2032, '2026-01-31'),
        (7, 7, 100007, 'Left', 'Two', '2008-05-05', 'M', 12, 100, NULL, 4, 2026, '2026-06-30'),
        -- Without a year of graduation.
        (8, 8, 100008, 'No', 'Year', '2020-05-05', 'F', 1, 200, 'A1', 0, 0, NULL);";

#[test]
fn powerschool() {
    let Some(context) = odbc_school("powerschool", POWERSCHOOL) else { return };
    compare(
        &context,
        "username,enabled,staffmember,givenname,surname,graduationyear,librarybarcode,adminsystemid,gender,formclass
100001,Y,N,Ann,Lee,2032,100001,100001,F,A7
100002,Y,N,Tim,RAY,2027,100002,100002,M,
100003,Y,N,Zoë,Öz,2039,100003,100003,,K1
",
        &["students `100008`: `graduationyear` is not a year of four digits"],
    );
    // A school of the district alone, by the line that is there already.
    look_up(&context, &[("--  AND s.schoolid = 100", "  AND s.schoolid = 100")]);
    let (patrons, _) = preview(&context);
    assert!(patrons.contains("100001") && !patrons.contains("100003"), "{patrons}");
}

#[test]
fn any_engine() {
    let mut sis = any_school("varchar(80)", "date", "varchar(8)", str::to_owned);
    // Who has left is told by the status alone, and the school year stands in a column.
    sis.push_str(
        "DELETE FROM students WHERE login = 'lone';
        ALTER TABLE students ADD COLUMN school_year integer;
        UPDATE students SET school_year = 2026;",
    );
    let Some(context) = odbc_school("generic-odbc", &sis) else { return };
    compare_any_school(&context, 2026);
}
