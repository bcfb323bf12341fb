//! The shipped mappings, each against a database with the tables that are publicly known of its SIS, and with the traps that
//! are known of their data: several semesters, leavers, who is still to come, padded codes, several addresses in a cell.
//!
//! What must come out stands here in full. Each mapping runs as `init` writes it: its comments, a source and a target of
//! one's own, and everything from `users:` on as it is shipped. No SQL Server is at hand, so its mappings' T-SQL is
//! answered by SQLite, behind the protocol of SQL Server.

#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

mod support;
#[path = "support/tds/mod.rs"]
mod tds;

use sispush::mapping::shipped::SHIPPED;
use support::context::TestContext;
use support::servers::{self, MariaDb, Postgres};
use support::shipped::{any_school, compare, compare_any_school, look_up, preview, school, shipped, with_source};
use tds::{Options, TdsServer};

/// A school on a SQL Server.
fn sql_server_school(name: &str, server: &TdsServer) -> TestContext {
    let url = format!("mssql://{}@127.0.0.1:{}/{}", tds::USER, server.port(), tds::DATABASE);
    school(name, &format!("url: {url}\n  password: ${{SIS_PASSWORD}}"), tds::PASSWORD)
}

#[test]
fn each_is_valid_as_it_is_shipped_and_without_a_warning() {
    for shipped in SHIPPED {
        let context = TestContext::new();
        context.write(&format!("{}.yaml", shipped.name), shipped.text);
        let said = context.run(&["check", &format!("{}.yaml", shipped.name)]);
        if shipped.text.contains("\n  url: odbc:") && !cfg!(feature = "odbc") {
            let (_, problems) = said.split_once("----- stderr -----\n").unwrap();
            let only = "error: this sispush was built without ODBC\n";
            assert!(problems.starts_with(only) && problems.matches("-->").count() == 1, "{said}");
            continue;
        }
        assert!(said.starts_with("exit code 0\n") && said.ends_with("----- stderr -----\n"), "{said}");
    }
}

const SYNERGETIC: &str = "
    CREATE TABLE FileSemesters (FileYear int, FileSemester int, SystemCurrentFlag bit);
    INSERT INTO FileSemesters VALUES (2026, 1, 0), (2026, 2, 1), (2027, 1, 0);
    CREATE TABLE Community (ID int, Gender varchar(10), NetworkLogin varchar(50));
    INSERT INTO Community VALUES
        (1, 'F', 'ann.lee'), (2, 'M', 'left.one'), (5, 'U', 'pia.oz'), (7, 'Male', 'tim.ray'), (9, NULL, 'two.forms');
    CREATE TABLE vStudents (ID int, StudentID int, StudentNetworkLogin char(20), StudentOccupEmail varchar(100),
        StudentYearLevel int, StudentForm char(6), StudentSurname nvarchar(50), StudentGiven1 nvarchar(50),
        StudentPreferredFormal nvarchar(50), StudentStatus char(5) COLLATE RTRIM, FileYear int, FileSemester int,
        CurrentSemesterOnlyFlag bit);
    INSERT INTO vStudents VALUES
        -- The whole of last year, and both semesters of this one.
        (1, 10001, 'ann.lee             ', 'ann.lee@school.example', 6, '6A    ', 'Lee', 'Ann', 'Annie', 'CUR  ', 2025, 2, 0),
        (1, 10001, 'ann.lee             ', 'ann.lee@school.example', 7, '7A    ', 'Lee', 'Ann', 'Annie', 'CUR  ', 2026, 1, 0),
        (1, 10001, 'ann.lee             ', 'Ann.Lee@School.example; lee@home.example', 7, '7B    ', 'Lee', 'Ann', 'Annie', 'CUR  ', 2026, 2, 0),
        -- Leavers, by either code.
        (2, 10002, 'left.one            ', NULL, 12, '12A   ', 'One', 'Left', NULL, 'LFT  ', 2026, 2, 0),
        (3, 10003, 'left.two            ', NULL, 12, '12A   ', 'Two', 'Left', NULL, 'LEF  ', 2026, 2, 0),
        -- Who comes next year.
        (4, 10004, 'not.yet             ', NULL, 7, '7A    ', 'Yet', 'Not', NULL, 'FUT  ', 2027, 1, 0),
        -- Early years; without a status; without a person in Community.
        (5, 10005, 'pia.oz              ', ' ; pia.oz@school.example', 0, 'PA    ', 'Öz', 'Pia', ' ', NULL, 2026, 2, 0),
        (6, 10006, 'kim.fox             ', NULL, -1, NULL, 'FOX', 'KIM', NULL, 'CUR  ', 2026, 2, 0),
        -- Without a login, and without a year level.
        (7, 10007, NULL, NULL, 9, '9A    ', 'Ray', 'Tim', NULL, 'CUR  ', 2026, 2, 0),
        (8, 10008, 'no.level            ', NULL, NULL, '9A    ', 'Level', 'No', NULL, 'CUR  ', 2026, 2, 0),
        -- Twice in one semester.
        (9, 10009, 'two.forms           ', NULL, 9, '9A    ', 'Forms', 'Two', NULL, 'CUR  ', 2026, 2, 0),
        (9, 10009, 'two.forms           ', NULL, 9, '9B    ', 'Forms', 'Two', NULL, 'CUR  ', 2026, 2, 0);
    CREATE TABLE vStaff (StaffID int, StaffSurname nvarchar(50), StaffGiven1 nvarchar(50), NetworkLogin varchar(50),
        StaffOccupEmail varchar(100), ActiveFlag bit);
    INSERT INTO vStaff VALUES
        (501, 'Nguyễn', 'Linh', 'lnguyen', 'L.Nguyen@School.example;', 1), (502, 'Gone', 'Long', 'lgone', NULL, 0);";

#[test]
fn synergetic() {
    let server = TdsServer::start();
    server.execute(SYNERGETIC);
    compare(
        &sql_server_school("synergetic", &server),
        "username,enabled,staffmember,givenname,surname,preferredname,emailaddress,graduationyear,librarybarcode,adminsystemid,gender,formclass
ann.lee,Y,N,Ann,Lee,Annie,ann.lee@school.example,2031,10001,10001,F,7B
kim.fox,Y,N,KIM,FOX,,,2039,10006,10006,,
lnguyen,Y,Y,Linh,Nguyễn,,l.nguyen@school.example,,T501,T501,,
pia.oz,Y,N,Pia,Öz,,pia.oz@school.example,2038,10005,10005,,PA
",
        &[
            "students ``: `username` is blank, and it is mandatory",
            "students `no.level`: `graduationyear`: the template failed: an operation does not fit its values (a blank or a text where a number is needed?)",
            "students `two.forms`: `librarybarcode` is the same as in students row",
            "students `two.forms`: `librarybarcode` is the same as in students row",
            "students `two.forms`: `username` is the same as in students row",
            "students `two.forms`: `username` is the same as in students row",
        ],
    );
}

const ISAMS: &str = "
    CREATE TABLE TblPupilManagementPupils (TblPupilManagementPupilsID int, txtSchoolID varchar(20), txtSchoolCode varchar(20),
        txtForename nvarchar(50), txtSurname nvarchar(50), txtMiddleNames nvarchar(50), txtPreName nvarchar(50),
        txtGender char(1), txtDOB varchar(20), txtForm char(8), intNCYear int, intEnrolmentNCYear int,
        intEnrolmentSchoolYear int, txtEmailAddress varchar(100), txtLeavingDate varchar(20), intSystemStatus int);
    INSERT INTO TblPupilManagementPupils VALUES
        (1, '0012345', 'LEE01', 'Ann', 'Lee', 'Mary Jane', 'Annie', 'F', '03/10/2014', '7B      ', 7, 3, 2022,
            'Ann.Lee@School.example; lee@home.example', NULL, 1),
        -- Leaves at the end of the year; came in year 12.
        (2, '0012346', 'RAY01', 'Tim', 'Ray', NULL, NULL, 'M', '01/02/2009', '13A     ', 13, 12, 2025,
            'tim.ray@school.example', '31/08/2027', 1),
        -- Reception and nursery.
        (3, '0012347', 'OEZ01', 'Pia', 'Öz', NULL, ' ', 'U', '05/05/2022', 'RA      ', 0, 0, 2026, 'pia.oz@school.example', NULL, 1),
        (4, '0012348', 'FOX01', 'KIM', 'FOX', NULL, NULL, NULL, '05/05/2023', NULL, -1, -1, 2026, ';kim.fox@school.example', NULL, 1),
        -- Left, and still to come.
        (5, '0012349', 'ONE01', 'Left', 'One', NULL, NULL, 'M', '05/05/2008', '13A     ', 13, 7, 2019, 'left.one@school.example', '31/08/2026', -1),
        (6, '0012350', 'YET01', 'Not', 'Yet', NULL, NULL, 'F', '05/05/2015', NULL, 7, 7, 2027, 'not.yet@school.example', NULL, 0),
        -- Without an address, and two with their parents' one.
        (7, '0012351', 'NON01', 'No', 'Address', NULL, NULL, 'F', '05/05/2015', '7A      ', 7, 7, 2026, NULL, NULL, 1),
        (8, '0012352', 'TWI01', 'Twin', 'One', NULL, NULL, 'F', '05/05/2015', '7A      ', 7, 7, 2026, 'twins@home.example', NULL, 1),
        (9, '0012353', 'TWI02', 'Twin', 'Two', NULL, NULL, 'F', '05/05/2015', '7A      ', 7, 7, 2026, 'twins@home.example', NULL, 1);";

#[test]
fn isams() {
    let server = TdsServer::start();
    server.execute(ISAMS);
    compare(
        &sql_server_school("isams", &server),
        "username,enabled,staffmember,givenname,surname,middlename,preferredname,emailaddress,graduationyear,librarybarcode,adminsystemid,gender,formclass
ann.lee,Y,N,Ann,Lee,Mary Jane,Annie,ann.lee@school.example,2033,0012345,0012345,F,7B
kim.fox,Y,N,KIM,FOX,,,kim.fox@school.example,2041,0012348,0012348,,
pia.oz,Y,N,Pia,Öz,,,pia.oz@school.example,2040,0012347,0012347,,RA
tim.ray,Y,N,Tim,Ray,,,tim.ray@school.example,2027,0012346,0012346,M,13A
",
        &[
            "pupils ``: `username` is blank, and it is mandatory",
            "pupils `twins`: `username` is the same as in pupils row",
            "pupils `twins`: `username` is the same as in pupils row",
        ],
    );
}

/// Year 13 of 2026/27 leaves in 2027, whether it is November or August.
#[test]
fn isams_before_and_after_the_change_of_year() {
    for (today, year_13_leaves) in
        [("2026-08-31 23:59:00.000", 2026), ("2026-09-01 00:00:00.000", 2027), ("2027-08-31 02:00:00.000", 2027)]
    {
        let server = TdsServer::start_with(Options { today, ..Options::default() });
        server.execute(ISAMS);
        let (patrons, _) = preview(&sql_server_school("isams", &server));
        let tim = patrons.lines().find(|line| line.starts_with("tim.ray,")).unwrap();
        assert!(tim.contains(&format!(",{year_13_leaves},")), "{today}: {tim}");
    }
}

/// The clock is in the new school year, and the SIS is not yet: everybody's graduation year would be a year off.
#[test]
fn isams_between_the_clock_s_change_of_year_and_the_sis_s() {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("SIS_PASSWORD", tds::PASSWORD);
    let url = context.sandbox().url();
    let push = |today| {
        let server = TdsServer::start_with(Options { today, ..Options::default() });
        server.execute(ISAMS);
        server.execute(
            "DELETE FROM TblPupilManagementPupils WHERE TblPupilManagementPupilsID > 1;
            WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
            INSERT INTO TblPupilManagementPupils SELECT i, printf('%07d', i), 'X', 'Given', 'Family', NULL, NULL, 'F', NULL,
                '7B', 7, 7, 2026, printf('pupil%d@school.example', i), NULL, 1 FROM n",
        );
        let source = server.source_lines().replace('\n', "\n  ");
        let text = with_source(shipped("isams"), &source);
        context.write("school.yaml", text.replace("https://example.concordinfiniti.com", &url));
        context.run(&["push", "school.yaml"])
    };
    let said = push("2027-08-31 02:00:00.000");
    assert!(said.starts_with("exit code 0\n") && said.contains("40 created"), "{said}");
    let said = push("2027-09-01 02:00:00.000");
    assert!(said.starts_with("exit code 5\n") && said.contains("max_updates"), "{said}");
}

const SIMS: &str = "
    CREATE TABLE sims.sims_school (school_id int, status char(1));
    INSERT INTO sims.sims_school VALUES (1, 'S'), (2, 'F');
    CREATE TABLE sims.sims_person (person_id int, surname nvarchar(50), forename nvarchar(50), dob datetime);
    INSERT INTO sims.sims_person VALUES
        (1, 'Lee', 'Ann', '2008-09-01T00:00:00'), (2, 'Ray', 'Tim', '2009-08-31T00:00:00'),
        (3, 'Öz', 'Pia', '2014-12-05T00:00:00'), (4, 'FOX', 'KIM', '2012-01-31T00:00:00'),
        (5, 'One', 'Left', '2008-03-01T00:00:00'), (6, 'Yet', 'Not', '2015-03-01T00:00:00'),
        (7, 'Else', 'Where', '2010-03-01T00:00:00'), (8, 'Birthday', 'No', NULL);
    CREATE TABLE sims.stud_student (person_id int, unique_pupil_no char(13));
    INSERT INTO sims.stud_student VALUES (1, 'A123456789012'), (2, 'B123456789012'), (3, 'C123456789012'),
        (4, NULL), (5, 'E123456789012'), (6, 'F123456789012'), (7, 'G123456789012'), (8, 'H123456789012');
    CREATE TABLE sims.stud_school_history (person_id int, school_id int, admission_number char(10), start_date datetime,
        end_date datetime);
    INSERT INTO sims.stud_school_history VALUES
        -- Another school before.
        (1, 2, '900001    ', '2013-09-01T00:00:00', '2020-07-20T00:00:00'),
        (1, 1, '001001    ', '2020-09-01T00:00:00', NULL),
        -- Left and came back; the end of this stay is known already.
        (2, 1, '001002    ', '2020-09-01T00:00:00', '2022-07-20T00:00:00'),
        (2, 1, '001002    ', '2024-09-01T00:00:00', '2027-07-20T00:00:00'),
        -- The same stay twice, and another that begins next year.
        (3, 1, '001003    ', '2026-09-01T00:00:00', NULL),
        (3, 1, '001003    ', '2026-09-01T00:00:00', NULL),
        (3, 1, '001003    ', '2027-09-01T00:00:00', NULL),
        (4, 1, '001004    ', '2023-09-01T00:00:00', NULL),
        -- Left: the newest stay has ended, an older one was never closed.
        (5, 1, '001005    ', '2019-09-01T00:00:00', NULL),
        (5, 1, '001005    ', '2021-09-01T00:00:00', '2026-07-20T00:00:00'),
        -- Still to come, at another school, and without a date of birth.
        (6, 1, '001006    ', '2027-09-01T00:00:00', NULL),
        (7, 2, '900007    ', '2021-09-01T00:00:00', NULL),
        (8, 1, '001008    ', '2021-09-01T00:00:00', NULL);";

#[test]
fn sims() {
    let server = TdsServer::start();
    server.create_schema("sims");
    server.execute(SIMS);
    compare(
        &sql_server_school("sims", &server),
        "username,enabled,staffmember,givenname,surname,graduationyear,librarybarcode,adminsystemid
001001,Y,N,Ann,Lee,2027,001001,A123456789012
001002,Y,N,Tim,Ray,2027,001002,B123456789012
001003,Y,N,Pia,Öz,2033,001003,C123456789012
001004,Y,N,KIM,FOX,2030,001004,
",
        &["pupils `001008`: a student needs `graduationyear` or `academiclevel`, and both are blank"],
    );
}

const FACTS: &str = "
    CREATE TABLE dbo.Person (PersonID int, FirstName nvarchar(50), FamilyName nvarchar(50), UserName char(20),
        Email varchar(100));
    INSERT INTO dbo.Person VALUES
        (1, 'Ann', 'Lee', 'alee                ', 'Ann.Lee@School.example; lee@home.example'),
        (2, 'Tim', 'RAY', 'tray                ', NULL), (3, 'Pia', 'Öz', 'poz                 ', ' '),
        (4, 'Kim', 'Fox', 'kfox                ', NULL), (5, 'Left', 'One', 'lone                ', NULL),
        (6, 'A', 'Parent', NULL, 'parent@home.example'), (7, 'Un', 'Graded', 'ugraded             ', NULL);
    CREATE TABLE dbo.Person_Student (StudentID int, GradeLevel char(4), Status varchar(10));
    INSERT INTO dbo.Person_Student VALUES (1, '07  ', 'Enrolled'), (2, '12  ', 'Enrolled'), (3, 'K   ', 'Enrolled'),
        (4, 'PK  ', 'Enrolled'), (5, '12  ', 'Withdrawn'), (7, 'UG  ', 'Enrolled');";

#[test]
fn facts() {
    let server = TdsServer::start();
    server.create_schema("dbo");
    server.execute(FACTS);
    let context = sql_server_school("facts", &server);
    assert_refused_by_the_database(&context, "LOOK_UP_login");

    look_up(
        &context,
        &[
            ("LOOK_UP_login", "UserName"),
            ("LOOK_UP_surname", "FamilyName"),
            ("LOOK_UP_email", "Email"),
            ("LOOK_UP_status", "Status"),
            ("LOOK_UP_enrolled", "Enrolled"),
        ],
    );
    compare(
        &context,
        "username,enabled,staffmember,givenname,surname,emailaddress,graduationyear,librarybarcode,adminsystemid
alee,Y,N,Ann,Lee,ann.lee@school.example,2032,1,1
kfox,Y,N,Kim,Fox,,2040,4,4
poz,Y,N,Pia,Öz,,2039,3,3
tray,Y,N,Tim,RAY,,2027,2,2
",
        &[
            "students `ugraded`: `graduationyear`: the template failed: an operation does not fit its values (a blank or a text where a number is needed?)",
        ],
    );
}

const TASS: &str = "
    CREATE TABLE pupils (studCode char(7), username varchar(50) COLLATE RTRIM, firstName nvarchar(50), preferredName nvarchar(50),
        surname nvarchar(50), gender char(1), emailAddress varchar(200), scholasticYear varchar(10), pcTutorGroup char(6),
        currentStatus char(4) COLLATE RTRIM, dateOfLeaving varchar(10) COLLATE RTRIM, mobile varchar(20));
    INSERT INTO pupils VALUES
        ('0009069', 'alee', 'Ann Mary Jane', 'Annie', 'Lee', 'F', 'Ann.Lee@School.example;lee@home.example', '07', '7B    ', 'C   ', '', ' '),
        ('0009070', 'tray', 'Tim', ' ', 'RAY', 'M', 'tray@school.example', 'Year 12', '12A   ', 'C   ', '04/12/2026', ' '),
        ('0009071', 'poz', 'Pia', NULL, 'Öz', 'U', ' ; poz@school.example ', 'PP', 'PPA   ', 'C   ', NULL, ' '),
        ('0009072', 'kfox', 'Kim-Lou', ' ', 'Fox', 'U', ' ', '-1', ' ', 'C   ', ' ', ' '),
        -- Left: by the date, though the 31st sorts behind the 24th; by the status.
        ('0009073', 'lone', 'Left', ' ', 'One', 'M', ' ', '12', '12A   ', 'C   ', '31/10/2026', ' '),
        ('0009074', 'ltwo', 'Left', ' ', 'Two', 'M', ' ', '12', '12A   ', 'L   ', '', ' '),
        -- Still to come; no username.
        ('0009075', 'nyet', 'Not', ' ', 'Yet', 'F', ' ', '7', ' ', 'F   ', '', ' '),
        ('0009076', '', 'No', ' ', 'Login', 'F', ' ', '7', '7A    ', 'C   ', '', ' '),
        ('0009077', 'ugraded', 'Un', ' ', 'Graded', 'F', ' ', 'UG', '7A    ', 'C   ', '', ' ');
    CREATE TABLE people (empCode char(7), username varchar(50), givenNamesText nvarchar(50), preferNameText nvarchar(50),
        surnameText nvarchar(50), sexFlag char(1), schoolEmail varchar(100), termDate varchar(10) COLLATE RTRIM);
    INSERT INTO people VALUES
        ('0009069', 'lnguyen', 'Linh Thi', ' ', 'Nguyễn', 'F', 'L.Nguyen@School.example', ' '),
        ('0000002', 'jdoe', 'Jo', 'Joe', 'Doe', 'X', 'j.doe@school.example', '31/01/2027'),
        ('0000003', 'lgone', 'Long', ' ', 'Gone', 'M', 'l.gone@school.example', '31/12/2025');";

#[test]
fn tass() {
    let server = TdsServer::start();
    server.execute(TASS);
    let context = sql_server_school("tass", &server);
    assert_refused_by_the_database(&context, "LOOK_UP_students");

    look_up(&context, &[("LOOK_UP_students", "pupils"), ("LOOK_UP_employees", "people")]);
    let said = context.run(&["push", "school.yaml"]);
    assert!(said.starts_with("exit code 5\n") && said.contains("`students` gave 0 rows"), "{said}");

    look_up(&context, &[("LOOK_UP_current", "C")]);
    compare(
        &context,
        "username,enabled,staffmember,givenname,surname,middlename,preferredname,emailaddress,graduationyear,librarybarcode,adminsystemid,gender,formclass
alee,Y,N,Ann,Lee,Mary Jane,Annie,ann.lee@school.example,2031,0009069,0009069,F,7B
jdoe,Y,Y,Jo,Doe,,Joe,j.doe@school.example,,T0000002,T0000002,,
kfox,Y,N,Kim-Lou,Fox,,,,2039,0009072,0009072,,
lnguyen,Y,Y,Linh,Nguyễn,Thi,,l.nguyen@school.example,,T0009069,T0009069,F,
poz,Y,N,Pia,Öz,,,poz@school.example,2038,0009071,0009071,,PPA
tray,Y,N,Tim,RAY,,,tray@school.example,2026,0009070,0009070,M,12A
",
        &[
            "students ``: `username` is blank, and it is mandatory",
            "students `ugraded`: `graduationyear`: the template failed: an operation does not fit its values (a blank or a text where a number is needed?)",
        ],
    );
}

#[test]
fn any_sql_server() {
    let server = TdsServer::start();
    server.execute(&any_school("nvarchar(80)", "date", "char(8) COLLATE RTRIM", str::to_owned));
    compare_any_school(&sql_server_school("generic-sqlserver", &server), 2026);
}

#[test]
fn any_postgres() {
    let Some(server) = Postgres::get("shipped::any_postgres") else { return };
    server.create_database("shipped");
    server.execute("shipped", &any_school("varchar(80)", "date", "char(8)", str::to_owned));
    let year = server.execute("shipped", "SELECT to_char(now(), 'YYYY')");
    let url = format!("postgres://{}@127.0.0.1:{}/shipped", servers::USERNAME, server.port());
    let source = format!("url: {url}\n  password: ${{SIS_PASSWORD}}");
    compare_any_school(&school("generic-postgres", &source, servers::PASSWORD), year.trim().parse().unwrap());
}

#[test]
fn any_mariadb() {
    let Some(server) = MariaDb::get("shipped::any_mariadb") else { return };
    server.create_database("shipped");
    server.execute("shipped", &any_school("varchar(80)", "date", "char(8)", str::to_owned));
    // A date that is none: neither past nor a year of the future.
    server.execute(
        "shipped",
        "SET SESSION sql_mode = ''; UPDATE students SET leaving_date = '0000-00-00' WHERE login = 'kfox'",
    );
    let year = server.execute("shipped", "SELECT LEFT(NOW(), 4)");
    let url = format!("mysql://{}@127.0.0.1:{}/shipped", servers::USERNAME, server.port());
    let source = format!("url: {url}\n  password: ${{SIS_PASSWORD}}");
    compare_any_school(&school("generic-mysql", &source, servers::PASSWORD), year.trim().parse().unwrap());
}

#[test]
fn any_sqlite() {
    let context = school("generic-sqlite", "url: sqlite:sis.db", "unused");
    context.sis(&any_school("text", "text", "text", str::to_owned));
    // A padded code, and a leaving date that is blank rather than missing.
    context.sis("UPDATE students SET status = 'Current ', leaving_date = '' WHERE login = 'kfox'");
    compare_any_school(&context, this_year());
}

/// What the comments say of a school year that does not begin in January is put into the query, and must be right.
#[test]
fn school_years_that_begin_in_september() {
    let leaves = |context: &TestContext| -> i32 {
        let (patrons, _) = preview(context);
        let tim = patrons.lines().find(|line| line.starts_with("tray,")).unwrap();
        tim.split(',').nth(7).unwrap().parse().unwrap()
    };
    for (today, year) in
        [("2026-08-31 23:59:00.000", 2026), ("2026-09-01 00:00:00.000", 2027), ("2027-01-01 02:00:00.000", 2027)]
    {
        let server = TdsServer::start_with(Options { today, ..Options::default() });
        server.execute(&any_school("nvarchar(80)", "date", "char(8) COLLATE RTRIM", str::to_owned));
        let context = sql_server_school("generic-sqlserver", &server);
        begin_in_september(&context);
        assert_eq!(leaves(&context), year, "{today}");
    }
    let context = school("generic-sqlite", "url: sqlite:sis.db", "unused");
    context.sis(&any_school("text", "text", "text", str::to_owned));
    begin_in_september(&context);
    assert_eq!(leaves(&context), school_year_from_september());
    if let Some(server) = Postgres::get("shipped::school_years_that_begin_in_september") {
        server.create_database("september");
        server.execute("september", &any_school("varchar(80)", "date", "char(8)", str::to_owned));
        let url = format!("postgres://{}@127.0.0.1:{}/september", servers::USERNAME, server.port());
        let source = format!("url: {url}\n  password: ${{SIS_PASSWORD}}");
        let context = school("generic-postgres", &source, servers::PASSWORD);
        begin_in_september(&context);
        assert_eq!(leaves(&context), school_year_from_september());
    }
}

/// What the comments advise where K comes before PP.
#[test]
fn a_school_with_k_before_pp() {
    let context = school("generic-sqlite", "url: sqlite:sis.db", "unused");
    context.sis(&any_school("text", "text", "text", str::to_owned));
    context.sis("UPDATE students SET year_level = 'K' WHERE login = 'kfox'");
    look_up(
        &context,
        &[
            ("['K', 'P', 'PP', 'F', 'R']", "['P', 'PP', 'F', 'R']"),
            ("else year_level|upper|replace", "else -1 if year_level == 'K' else year_level|upper|replace"),
        ],
    );
    compare_any_school(&context, this_year());
}

/// The year in which the school year ends that began in September.
fn school_year_from_september() -> i32 {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    i32::from(now.year()) + i32::from(now.month() >= 9)
}

/// Takes the expression from the comments.
fn begin_in_september(context: &TestContext) {
    let text = std::fs::read_to_string(context.path("school.yaml")).unwrap();
    let (_, after) = text.split_once("September:\n#").unwrap();
    let expression = after.lines().next().unwrap().trim();
    let line = text.lines().find(|line| line.ends_with(" AS school_year")).unwrap();
    context.write("school.yaml", text.replace(line, &format!("             {expression} AS school_year")));
}

/// The program runs in UTC here.
fn this_year() -> i32 {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year().into()
}

/// The same school as files, its dates as a person in Australia or the United Kingdom writes them.
#[test]
fn any_csv_drops() {
    let context = school("generic-csv", "url: csv:drops", "unused");
    std::fs::create_dir(context.path("drops")).unwrap();
    context.write(
        "drops/students.csv",
        "student_code,login,first_name,preferred_name,last_name,gender,email,barcode,form,year_level,status,leaving_date
S1,alee,Ann,Annie,Lee,F,Ann.Lee@School.example; lee@home.example,0009069,7B    ,07,Current,
S2,tray,Tim, ,RAY,Male, ,0009070,12A   ,Year 12,Current,02/01/2098
S2,tray,Tim, ,RAY,Male, ,0009070,12A   ,Year 12,Current,02/01/2098
S3,poz,Pia,,Öz,U, ;poz@school.example,0009071,,pp,Current  ,
S4,kfox,Kim,,Fox,,,0009072,,-1,Current,
S5,lone,Left,,One,M,,0009073,12A   ,12,Current,31/12/2020
S6,ltwo,Left,,Two,M,,0009074,12A   ,12,Left,
S7,nyet,Not,,Yet,F,,0009075,,7,Future,
S8,,No,,Login,F,,0009076,7A    ,7,Current,
S9,ugraded,Un,,Graded,F,,0009077,7A    ,UG,Current,
S10,twice,In,,Twoforms,F,,0009078,7A    ,7,Current,
S10,twice,In,,Twoforms,F,,0009078,7B    ,7,Current,
",
    );
    context.write(
        "drops/staff.csv",
        "staff_code,login,first_name,last_name,email,status
0009069,lnguyen,Linh,Nguyễn,L.Nguyen@School.example,Current
0000002,lgone,Long,Gone,,Left
",
    );
    compare_any_school(&context, this_year());
}

const ST: &str = "\
STKEY,SURNAME,FIRST_NAME,SECOND_NAME,PREF_NAME,BIRTHDATE,GENDER,STATUS,SCHOOL_YEAR,HOME_GROUP,NEXT_HG,HOUSE,E_MAIL,FAMILY,EXIT_DATE\r
LEE0001,LEE-SMITH,ANN,MARY JANE,ANNIE,3/10/2014,F,ACTV,07,07B,08B,RED,\"Ann.Lee@School.example; lee@home.example\",LEE01,\r
RAY0001,O'RAY,TIM,,,1/02/2009,M,ACTV,12,12A,,,TRAY@SCHOOL.EXAMPLE,RAY01,\r
OEZ0001,ÖZ,ZOË,, ,5/05/2021,U,ACTV ,00,00A,01A,RED, ,OEZ01,\r
0000042,MCFOX,KIM,,,5/05/2020,S,ACTV,01,,,,;kim@school.example,FOX01,\r
ONE0001,ONE,LEFT,,,5/05/2008,M,LEFT,12,12A,,,,ONE01,31/01/2026\r
TWO0001,TWO,LEFT,,,5/05/2008,M,DEL,12,12A,,,,TWO01,31/12/2025\r
YET0001,YET,NOT,,,5/05/2015,F,FUT,07,,07A,,,YET01,\r
LVL0001,LEVEL,NO,,,5/05/2015,F,ACTV,,07A,,,,LVL01,\r
";

const SF: &str = "\
SFKEY,SURNAME,FIRST_NAME,PREF_NAME,E_MAIL,STAFF_TYPE,STAFF_STATUS,START,FINISH\r
NGU,NGUYEN,LINH,LYNN,L.Nguyen@School.example,T,ACTV,1/02/2020,\r
GON,GONE,LONG,,,T,LEFT,1/02/2001,31/12/2025\r
";

#[test]
fn eduhub() {
    let context = school("eduhub", "url: csv:eduhub", "unused");
    std::fs::create_dir(context.path("eduhub")).unwrap();
    // As Windows writes it.
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(ST);
    context.write("eduhub/ST.csv", &bytes).write("eduhub/SF.csv", SF);
    let leaves = |year_level: i32| this_year() + 12 - year_level;
    compare(
        &context,
        &format!(
            "username,enabled,staffmember,givenname,surname,middlename,preferredname,emailaddress,graduationyear,librarybarcode,adminsystemid,gender,formclass
0000042,Y,N,Kim,Mcfox,,,kim@school.example,{},0000042,0000042,,
LEE0001,Y,N,Ann,Lee-Smith,Mary Jane,Annie,ann.lee@school.example,{},LEE0001,LEE0001,F,07B
NGU,Y,Y,Linh,Nguyen,,Lynn,l.nguyen@school.example,,TNGU,TNGU,,
OEZ0001,Y,N,Zoë,Öz,,,,{},OEZ0001,OEZ0001,,00A
RAY0001,Y,N,Tim,O'Ray,,,tray@school.example,{},RAY0001,RAY0001,M,12A
",
            leaves(1),
            leaves(7),
            leaves(0),
            leaves(12)
        ),
        &[
            "students `LVL0001`: `graduationyear`: the template failed: an operation does not fit its values (a blank or a text where a number is needed?)",
        ],
    );
}

/// What nobody has looked up yet must not be read as if it were known.
#[track_caller]
fn assert_refused_by_the_database(context: &TestContext, name: &str) {
    let said = context.run(&["push", "school.yaml"]);
    assert!(said.starts_with("exit code 3\n") && said.contains(name), "{said}");
}
