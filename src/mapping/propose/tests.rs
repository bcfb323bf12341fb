//! Whole proposals: columns and rows in, the text of a mapping out.

use proptest::prelude::*;

use super::*;
use crate::mapping::Template;
use crate::source::Engine;
use crate::source::catalogue::Relation;
use crate::source::row::Column;

/// A table from its columns (`name` or `name type`) and rows of cells parted by `|`.
fn table(name: &str, columns: &str, rows: &[&str]) -> Sampled {
    let columns: Vec<Column> = (columns.split('|'))
        .map(|column| {
            let (name, type_name) = column.rsplit_once(':').unwrap_or((column, "text"));
            Column { name: name.to_owned(), type_name: type_name.to_owned() }
        })
        .collect();
    let rows = rows.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect();
    Sampled {
        name: name.to_owned(),
        table: name.to_owned(),
        sql: Sql::From(name.to_owned()),
        rows: Table { columns, rows, is_cut: false },
    }
}

/// The block `users:` of what is found in tables.
fn proposed(engine: Engine, tables: &[Sampled]) -> String {
    users(Some(&Look {
        engine,
        year: 2026,
        tables,
        students: pick(Who::Students, tables, engine, 2026),
        staff: pick(Who::Staff, tables, engine, 2026),
    }))
}

/// The line of a header in what is proposed for students.
fn line_of(header: &str, columns: &str, rows: &[&str]) -> String {
    let text = proposed(Engine::Postgres, &[table("students", columns, rows)]);
    let line = text.lines().find(|line| line.trim_start_matches([' ', '#']).starts_with(&format!("{header}:")));
    let line = line.unwrap_or_default().trim();
    line.split("  #").next().unwrap_or(line).trim_end().to_owned()
}

#[test]
fn a_table_of_synergetic_kind() {
    let rows = [
        "zoe.nguyen|0012|Zoë|Nguyễn|Zoe.Nguyen@college.example|7A|7|2025|1|canary@home.example",
        "zoe.nguyen|0012|Zoë|Nguyễn|Zoe.Nguyen@college.example|7A|7|2026|1|canary@home.example",
        "liam.obrien|0013|Liam|O'Brien|liam.obrien@college.example|12C|12|2026|1|",
    ];
    let columns = "StudentNetworkLogin|StudentID|StudentGiven1|StudentSurname|StudentOccupEmail|StudentForm|StudentYearLevel|FileYear|FileSemester|ParentEmail";
    insta::assert_snapshot!(proposed(Engine::SqlServer, &[table("vStudents", columns, &rows)]), @r##"
    users:
      # One extract is one query; each row is one person, who must come once only. Left of the colon stands Infiniti's header,
      # right of it the column of the query. A blank is not sent, and Infiniti keeps what it has. Look at each line.
      - name: students
        # Guessed from `vStudents`, of which 3 rows were looked at.
        # TODO: `StudentNetworkLogin` is not unique: 1 of 3 values come again. Each person may come once only: the query
        # needs a filter, such as the current semester.
        query: |
          SELECT StudentNetworkLogin, StudentID, StudentGiven1, StudentSurname, StudentOccupEmail, StudentForm,
                 StudentYearLevel, FileYear
          FROM vStudents
        columns:
          username: StudentNetworkLogin           # guessed by name; filled in 3 of 3
          enabled: { value: true }                # all that the query gives; who left must not be in it
          staffmember: { value: false }
          givenname: StudentGiven1                # guessed by name; filled in 3 of 3
          surname: StudentSurname                 # guessed by name; filled in 3 of 3
          # guessed by name; 3 of 3 look like addresses:
          emailaddress: { column: StudentOccupEmail, transform: [lower] }
          # guessed by name; 3 of 3 are year levels; year 12 is taken for the last:
          graduationyear: { template: "{{ FileYear + 12 - StudentYearLevel }}" }
          # librarybarcode: StudentID             # if the cards bear this number; without a barcode nobody can borrow
          adminsystemid: StudentID                # guessed by name; filled in 3 of 3
          # gender: TODO                          # for example { column: Sex, lookup: { Male: M, Female: F, "*": "" } }
          formclass: StudentForm                  # guessed by name; filled in 3 of 3
          # Columns that nothing uses: FileSemester, ParentEmail

      - name: staff
        # No table was found that looks like one of staff. If there is one: `sispush init --table staff=NAME`.
        query: ""                                 # TODO: one SELECT, for example:
        # query: |
        #   SELECT login, given, family, email, barcode
        #   FROM teachers
        #   WHERE status = 'current'
        columns:
          username:                               # TODO: the column with the login, by which Infiniti knows the patron
          enabled: { value: true }                # all that the query gives; who left must not be in it
          staffmember: { value: true }
          # givenname: TODO                       # wanted on every screen of the library
          # surname: TODO                         # wanted on every screen of the library
          # emailaddress: TODO                    # staff need one: without it Infiniti cannot write to them
          # librarybarcode: TODO                  # the number on the library card; without it nobody can borrow
          # adminsystemid: TODO                   # the SIS's own number of the person, which never changes
          # gender: TODO                          # for example { column: Sex, lookup: { Male: M, Female: F, "*": "" } }
    "##);
}

#[test]
fn a_year_level_becomes_a_graduation_year() {
    for (levels, expected, year_of_first) in [
        (["7", "12", "10"], "{ template: \"{{ 2026 + 12 - level }}\" }", "2031"),
        (["07", "12", "10"], "{ template: \"{{ 2026 + 12 - level|int }}\" }", "2031"),
        (
            ["Year 7", "Year 12", "Year 10"],
            "{ template: \"{{ 2026 + 12 - level|replace('Year ', '')|int }}\" }",
            "2031",
        ),
        (["K", "12", "1"], "{ template: \"{{ 2026 + 12 - (0 if level in ['K'] else level) }}\" }", "2038"),
        (["Y13", "Y9", "Y7"], "{ template: \"{{ 2026 + 13 - level|replace('Y', '')|int }}\" }", "2026"),
    ] {
        let rows: Vec<String> = levels.iter().enumerate().map(|(row, level)| format!("a{row}|Lee|{level}")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let line = line_of("graduationyear", "login|surname|level", &rows);
        assert_eq!(line, format!("graduationyear: {expected}"));
        let source = expected.trim_start_matches("{ template: \"").trim_end_matches("\" }");
        let mut template = Template::compile(source).unwrap();
        let mut out = String::new();
        template.render(&[levels[0]], &mut out).unwrap();
        assert_eq!(out, year_of_first, "{source}");
    }
    let with_year =
        line_of("graduationyear", "login|surname|Year Level|school_year", &["a|Lee|7|2026", "b|Ray|8|2026"]);
    assert_eq!(with_year, "graduationyear: { template: \"{{ school_year + 12 - Year_Level }}\" }");
    let years = line_of("graduationyear", "login|surname|leaving_year|level", &["a|Lee|2031|7", "b|Ray|2026|12"]);
    assert_eq!(years, "graduationyear: leaving_year");
    // As eduHub has it: the name alone could be either.
    let level = line_of("graduationyear", "LOGIN|SURNAME|SCHOOL_YEAR", &["a|Lee|07", "b|Ray|12"]);
    assert_eq!(level, "graduationyear: { template: \"{{ 2026 + 12 - SCHOOL_YEAR|int }}\" }");
    let nothing = line_of("graduationyear", "login|surname|level", &["a|Lee|blue", "b|Ray|red"]);
    assert_eq!(nothing, "graduationyear:");
}

#[test]
fn shapes_decide_between_names() {
    let check = |header: &str, columns: &str, rows: &[&str], expected: &str| {
        assert_eq!(line_of(header, columns, rows), expected, "{columns}");
    };
    // A key is no login.
    check("username", "user_id|login|surname", &["1|ann|Lee", "2|bob|Ray"], "username: login");
    check("username", "user_id|surname", &["1|Lee", "2|Ray"], "username:");
    // A column of dates is none, whatever its name says.
    check("username", "login|surname", &["2026-01-01|Lee", "2026-01-02|Ray"], "username:");
    let mails = "{ column: email, transform: [{ first_of: \";\" }, lower] }";
    check(
        "emailaddress",
        "login|email",
        &["a|A@x.example;b@x.example", "b|b@x.example"],
        &format!("emailaddress: {mails}"),
    );
    check("emailaddress", "login|surname|email", &["a|Lee|yes", "b|Ray|no"], "# emailaddress: TODO");
    let rows = ["a|x@y.example", "b|z@y.example", "c|v@y.example", "d|u@y.example", "e|w@y.example"];
    check("emailaddress", "login|kontakt", &rows, "emailaddress: kontakt");
    check("emailaddress", "login|mother_kontakt", &rows, "# emailaddress: TODO");
    check("gender", "login|surname|sex", &["a|Lee|M", "b|Ray|F"], "gender: sex");
    check(
        "gender",
        "login|surname|sex",
        &["a|Lee|Male", "b|Ray|Female", "c|Fox|Female", "d|Oz|Male"],
        "gender: { column: sex, lookup: { Female: F, Male: M, \"*\": \"\" } }",
    );
    check("librarybarcode", "login|surname|barcode", &["a|Lee|007", "b|Ray|008"], "librarybarcode: barcode");
    check("librarybarcode", "login|surname|StudentID", &["a|Lee|007", "b|Ray|008"], "# librarybarcode: StudentID");
}

#[test]
fn a_filter_is_proposed_in_the_engine_s_words() {
    let check = |engine, columns: &str, rows: &[&str], expected: &str| {
        let text = proposed(engine, &[table("students", columns, rows)]);
        let line = text.lines().map(str::trim).find(|line| line.starts_with("-- WHERE")).unwrap_or("none");
        assert_eq!(line, expected, "{text}");
    };
    let flags = ["a|Lee|Y", "b|Ray|Y", "c|Fox|N", "d|Oz|N"];
    check(Engine::SqlServer, "login|surname|ActiveFlag:bit", &flags, "-- WHERE ActiveFlag = 1");
    check(Engine::Postgres, "login|surname|active:boolean", &flags, "-- WHERE active = true");
    check(Engine::Postgres, "login|surname|active:character(1)", &flags, "-- WHERE active = 'Y'");
    check(Engine::SqlServer, "login|surname|Inactive:bit", &flags, "-- WHERE Inactive = 0");
    let numbers = ["a|Lee|1", "b|Ray|1", "c|Fox|0", "d|Oz|0"];
    check(Engine::MySql, "login|surname|active:tinyint(1)", &numbers, "-- WHERE active = 1");
    // Of a status nobody knows what 1 is.
    check(Engine::MySql, "login|surname|status:int", &numbers, "none");
    let text = proposed(Engine::MySql, &[table("students", "login|surname|status:int", &numbers)]);
    assert!(text.contains("# TODO: who is there now? `status`: 0 2, 1 2 (in 4 rows)"), "{text}");
    let codes = ["a|Lee|ACTV", "b|Ray|ACTV", "c|Fox|LFT", "d|Oz|LFT"];
    check(Engine::SqlServer, "login|surname|Status:char(4)", &codes, "-- WHERE Status = 'ACTV'");
    let same = ["a|Lee|ACTV", "b|Ray|ACTV"];
    check(Engine::SqlServer, "login|surname|Status:char(4)", &same, "none");
    let dates = ["a|Lee|", "b|Ray|2025-12-12", "c|Fox|2024-12-12"];
    check(
        Engine::Postgres,
        "login|surname|leaving_date",
        &dates,
        "-- WHERE (leaving_date IS NULL OR leaving_date > CURRENT_TIMESTAMP)",
    );
    let roles = ["a|Lee|student", "b|Ray|student", "c|Fox|teacher", "d|Oz|teacher"];
    let text = proposed(Engine::MySql, &[table("people", "login|surname|role", &roles)]);
    assert!(text.contains("-- WHERE role = 'student'") && text.contains("-- WHERE role = 'teacher'"), "{text}");
}

#[test]
fn what_one_table_lacks_is_looked_for_in_others() {
    let people = table("people", "person_id|surname|given_name", &["1|Lee|Ann", "2|Ray|Bob"]);
    let logins = table("logins", "login|person_id|school_id", &["ann|1|9", "bob|2|9"]);
    let text = proposed(Engine::Sqlite, &[people.clone(), logins]);
    assert!(
        text.replace("\n      # ", " ").contains(
            "`logins` has `login`; perhaps add to the SELECT: (SELECT j.login FROM logins j WHERE j.person_id = people.person_id) AS login"
        ),
        "{text}"
    );
    // A key of schools joins everybody with everybody.
    let people = table("people", "school_id|surname|given_name", &["9|Lee|Ann", "9|Ray|Bob"]);
    let logins = table("logins", "login|school_id", &["ann|9", "bob|9"]);
    let text = proposed(Engine::Sqlite, &[people, logins]);
    assert!(!text.contains("perhaps"), "{text}");
}

#[test]
fn candidates_are_lists_of_people() {
    let relation = |name: &str, columns: &str| Relation {
        schema: String::new(),
        name: name.to_owned(),
        is_view: false,
        columns: table(name, columns, &[]).rows.columns,
    };
    let relations = [
        relation("invoices", "id|total|due"),
        relation("student_attendance_log", "id|student_id|day"),
        relation("parents", "id|surname|given_name|email"),
        relation("vStudents", "id|login|surname|given_name|email"),
        relation("staff", "id|surname|given_name"),
    ];
    let names: Vec<&str> = candidates(&relations, 3).into_iter().map(|index| relations[index].name.as_str()).collect();
    assert_eq!(names, ["vStudents", "staff", "parents"]);
    assert!(candidates(&relations[..1], 3).is_empty());
}

proptest! {
    /// Whatever stands in the cells: no value longer than a code is in the file, and the file is one that `check` reads.
    #[test]
    fn no_value_gets_into_the_file(
        cells in prop::collection::vec(prop::collection::vec("[a-zA-Z0-9@.' \\-]{13,30}", 5), 0..8),
        names in prop::collection::vec("\\PC{1,20}|login|surname|status|gender|year level|role|email", 5),
    ) {
        let columns = names.iter().map(|name| name.replace(['|', ':'], "_")).collect::<Vec<_>>().join("|");
        let rows: Vec<String> = cells.iter().map(|row| row.join("|")).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        for engine in [Engine::SqlServer, Engine::Postgres, Engine::MySql, Engine::Sqlite] {
            let text = proposed(engine, &[table("students", &columns, &rows)]);
            for cell in cells.iter().flatten().map(|cell| cell.trim()).filter(|cell| cell.len() > 12) {
                prop_assert!(!text.contains(cell) || names.iter().any(|name| name.contains(cell)), "{}", text);
            }
            let whole = format!("version: 1\nsource: {{ url: \"sqlite:a.db\" }}\ntarget: {{ url: \"https://a.example\", username: a, password: \"${{B}}\" }}\n{text}");
            if let Err(error) = crate::mapping::Mapping::parse("a.yaml".as_ref(), &whole) {
                for problem in error.problems() {
                    let known = problem.message.contains("has no rule") || problem.message.contains("is blank")
                        || problem.severity == crate::mapping::Severity::Warning
                        || problem.message.contains("not a plain read");
                    prop_assert!(known, "{}\n{}", problem.message, whole);
                }
            }
        }
    }
}

/// Regression: in CSV files the condition left nobody, since an empty field is no NULL; and `31/07/2025` was no date.
#[test]
fn who_has_a_leaving_date_has_left() {
    let filter = |engine, rows: &[&str]| {
        let text = proposed(engine, &[table("students", "login|surname|Leaving Date", rows)]);
        let lines = text.lines().filter(|line| line.contains("WHERE (") || line.contains("has a date"));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
    };
    let year_first = ["a1|Lee|", "a2|Wu|2025-07-31", "a3|Ng|"];
    let day_first = ["a1|Lee|", "a2|Wu|31/07/2025", "a3|Ng|"];
    let counted = "# `Leaving Date` has a date in 1 of 3 rows";
    for (engine, rows, expected) in [
        (
            Engine::Postgres,
            year_first,
            format!("{counted}\n-- WHERE (\"Leaving Date\" IS NULL OR \"Leaving Date\" > CURRENT_TIMESTAMP)"),
        ),
        (
            Engine::Csv,
            year_first,
            format!("{counted}\n-- WHERE (\"Leaving Date\" = '' OR \"Leaving Date\" > CURRENT_TIMESTAMP)"),
        ),
        (
            Engine::Csv,
            day_first,
            format!(
                "{counted}\n-- WHERE (\"Leaving Date\" = '' OR substr(\"Leaving Date\", 7, 4) || substr(\"Leaving Date\", 4, 2) || \
                 substr(\"Leaving Date\", 1, 2) > strftime('%Y%m%d', 'now', 'localtime'))"
            ),
        ),
        (
            Engine::SqlServer,
            day_first,
            "# TODO: who is there now? `Leaving Date` has a date in 1 of 3 rows, as text with the day first".to_owned(),
        ),
    ] {
        assert_eq!(filter(engine, &rows), expected);
    }
    assert_eq!(filter(Engine::Csv, &["a1|Lee|", "a2|Wu|07/31/2025"]), "", "a month first is not guessed at");
}

#[test]
fn numbers_of_staff_that_are_students_too_are_told_apart() {
    let students = table("students", "id|login|surname", &["1|a1|Lee", "2|a2|Wu"]);
    let barcode = |first: &str| {
        let staff = table("staff", "id|login|surname", &[first, "8|b2|Roe"]);
        let text = proposed(Engine::Postgres, &[students.clone(), staff]);
        let line = text.split("name: staff").nth(1).unwrap().lines().find(|line| line.contains("librarybarcode"));
        line.unwrap().trim().to_owned()
    };
    let shared = barcode("2|b1|Doe");
    assert_eq!(shared, "# librarybarcode: { template: \"T{{ id }}\" }");
    let own = barcode("7|b1|Doe");
    assert!(own.starts_with("# librarybarcode: id  "), "{own}");
}

/// What only teachers' tables have is no student's: a table that people share by a key says nothing about whom.
#[test]
fn a_login_of_teachers_is_not_offered_to_students() {
    let students = table("students", "id|partner_id|surname", &["1|5|Lee", "2|6|Wu"]);
    let staff = table("faculty", "id|partner_id|surname|login", &["1|7|Doe|jdoe", "2|8|Roe|rroe"]);
    let text = proposed(Engine::Postgres, &[students, staff]);
    let students = text.split("name: staff").next().unwrap();
    assert!(students.contains("username: ") && !students.contains("faculty"), "{students}");
}
