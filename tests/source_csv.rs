//! A folder of CSV drops as the source, through the program: what a technician sees of each mistake in a file.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its files has failed")]

mod support;

use std::fs;

use support::context::{STUDENTS_QUERY, TestContext};

const HEADER: &str = "login,given,family,email,year,barcode,form\n";
const EMMA: &str = "emma,Emma,O'Brien,emma@school.example,2031,0009069,7A\n";

/// A school whose folder `drops` holds these files.
fn school(files: &[(&str, &[u8])]) -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    fs::create_dir(context.path("drops")).unwrap();
    for (name, content) in files {
        context.write(&format!("drops/{name}"), content);
    }
    context.mapping_of("url: csv:drops", STUDENTS_QUERY, "");
    context
}

/// What `push` says of such a school; nothing may have been sent.
fn refused(file: impl AsRef<[u8]>) -> String {
    let context = school(&[("students.csv", file.as_ref())]);
    let said = context.run(&["push", "school.yaml"]);
    assert!(said.starts_with("exit code 3\n"), "{said}");
    assert!(context.sandbox().patrons().is_empty());
    said
}

#[test]
fn a_drop_is_pushed_as_it_stands_in_the_file() {
    let mut file = b"\xef\xbb\xbflogin;given;family;email;year;barcode;form\r\n".to_vec();
    file.extend("emma;Zoë ;\"O'Brien; \"\"Em\"\"\";emma@school.example;2031;0009069;\"7A\r\n\"\r\n".as_bytes());
    // A file that no query names costs nothing, and may be what it likes.
    let context = school(&[("Students.CSV", &file), ("photos.csv", b"a,a\n\"")]);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    let patron = &context.sandbox().patrons()[0];
    let of = |header: &str| patron.get(header).map(String::as_str);
    assert_eq!(of("givenname"), Some("Zoë"));
    assert_eq!(of("surname"), Some("O'Brien; \"Em\""));
    assert_eq!((of("librarybarcode"), of("formclass")), (Some("0009069"), Some("7A")));
}

#[test]
fn the_url_says_how_the_files_are_written() {
    let context =
        school(&[("students.txt", b"login|given|family|email|year|barcode|form\nana|Ana|Nov\xe1k;\x8a||2031|01|\n")]);
    context.mapping_of("url: csv:drops?delimiter=pipe&encoding=windows-1250", STUDENTS_QUERY, "");
    let said = context.run(&["preview", "school.yaml", "--format", "csv"]);
    assert!(said.contains("Novák;Š"), "{said}");
}

#[test]
fn columns_are_text_in_sql() {
    let context = school(&[("students.csv", format!("{HEADER}{EMMA}ben,Ben,Li,,2032,7,\n").as_bytes())]);
    let query = "SELECT s.login, s.given, s.family, s.email, CAST(s.year AS integer) + 1 AS year, s.barcode, s.form
FROM STUDENTS s JOIN students t ON t.login = s.login WHERE s.barcode = 0009069 OR s.barcode = '0009069'";
    context.mapping_of("url: csv:drops", query, "");
    let said = context.run(&["preview", "school.yaml", "--format", "csv"]);
    assert!(said.contains("2032,0009069") && !said.contains("ben"), "{said}");
}

#[test]
fn a_row_with_too_many_fields() {
    insta::assert_snapshot!(refused(format!("{HEADER}{EMMA}canary,Jane,Smith, Jane,,2031,1,7A\n")));
}

#[test]
fn a_row_with_too_few_fields() {
    insta::assert_snapshot!(refused(format!("{HEADER}{EMMA}canary,Jane,Sm")));
}

#[test]
fn a_quote_that_nothing_closes() {
    insta::assert_snapshot!(refused(format!("{HEADER}\"canary,Jane,Smith,,2031,1,7A\n{EMMA}")));
}

#[test]
fn a_quote_inside_a_value() {
    insta::assert_snapshot!(refused(format!("{HEADER}jane,\"Jane \"canary\" S\",Smith,,2031,1,7A\n{EMMA}")));
}

#[test]
fn a_column_without_a_name() {
    insta::assert_snapshot!(refused("login,,family\ncanary,b,c\n"));
}

#[test]
fn two_columns_of_one_name() {
    insta::assert_snapshot!(refused("login,given,Login\ncanary,b,c\n"));
}

#[test]
fn a_column_that_the_query_needs_and_the_file_lacks() {
    insta::assert_snapshot!(refused("login,given,family,email,year,barcode\n"));
    // SQLite would take it for a text, and every pupil would be in the form `Fomr`.
    let context = school(&[("students.csv", format!("{HEADER}{EMMA}").as_bytes())]);
    context.mapping_of("url: csv:drops", "SELECT s.*,\n\"Fomr\" AS form2 FROM students s", "");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(refused("\r\n"));
}

#[test]
fn a_header_alone_gives_no_rows() {
    let context = school(&[("students.csv", HEADER.as_bytes())]);
    let said = context.run(&["push", "school.yaml"]);
    assert!(said.starts_with("exit code 5\n") && said.contains("min_rows"), "{said}");
}

#[test]
fn a_byte_that_the_encoding_does_not_have() {
    insta::assert_snapshot!(refused([HEADER.as_bytes(), b"canary,Zo\xeb,\x81,,,,\n"].concat()));
}

#[test]
fn utf16_without_a_mark() {
    let bytes: Vec<u8> = format!("{HEADER}{EMMA}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    insta::assert_snapshot!(refused(bytes));
}

#[test]
fn a_table_that_no_file_gives() {
    let context = school(&[("student.csv", b"a"), ("staff.csv", b"a")]);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    context.mapping_of("url: csv:drops", "SELECT a FROM dbo.Pupils", "");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn two_files_of_one_table() {
    let context = school(&[("students.csv", b"a"), ("Students.txt", b"a")]);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn a_folder_without_files_and_none_at_all() {
    let context = school(&[("readme.md", b"a")]);
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    context.mapping_of("url: csv:dropss", STUDENTS_QUERY, "");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
    context.mapping_of("url: csv:school.yaml", STUDENTS_QUERY, "");
    insta::assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn a_url_that_is_not_understood() {
    let context = school(&[]);
    context.mapping_of("url: csv:drops?delimiter=colon", STUDENTS_QUERY, "");
    insta::assert_snapshot!(context.run(&["check", "school.yaml"]));
}

/// Regression: the first person of a file without a header stood as columns in messages, and in what `init` writes.
#[test]
fn a_file_without_a_header() {
    let file = "canary,Emma,O'Brien,canary@school.example,2031,0009069,7A\n";
    insta::assert_snapshot!(refused(file));
    let context = school(&[("students.csv", file.as_bytes())]);
    for arguments in [
        &["init", "new.yaml", "--source", "csv:drops", "--target", "example", "--table", "students=students"][..],
        &["preview", "school.yaml", "--columns"],
        &["doctor", "school.yaml", "--bundle", "support.zip"],
    ] {
        let said = context.run(arguments);
        assert!(!said.contains("Brien"), "{said}");
    }
    let made = String::from_utf8_lossy(&fs::read(context.path("support.zip")).unwrap()).into_owned();
    assert!(!made.contains("canary") && !made.contains("Brien"), "{made}");
    assert!(!context.path("new.yaml").exists());
}
