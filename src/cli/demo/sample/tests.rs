use std::collections::{HashMap, HashSet};

use rusqlite::OpenFlags;

use super::*;

/// The shipped mapping, whose queries these tests run.
const MAPPING: &str = include_str!("../../../../mappings/demo.yaml");

/// The rows of the query of an extract in the shipped mapping; a NULL is `<null>`, so that it differs from a blank.
fn rows(path: &Path, extract: &str) -> Vec<HashMap<String, String>> {
    let start = MAPPING.find(&format!("- name: {extract}\n")).unwrap();
    let block = &MAPPING[start..];
    let block = &block[block.find("query: |\n").unwrap() + 9..];
    let query: String = block.lines().take_while(|line| line.starts_with("      ")).collect::<Vec<_>>().join("\n");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(&query).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let cell = |row: &rusqlite::Row<'_>, index: usize| match row.get_ref(index).unwrap() {
        rusqlite::types::ValueRef::Null => "<null>".to_owned(),
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        value => value.as_str().unwrap().to_owned(),
    };
    statement
        .query_map([], |row| {
            Ok(names.iter().enumerate().map(|(index, name)| (name.clone(), cell(row, index))).collect())
        })
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn sample(year: i32) -> (tempfile::TempDir, std::path::PathBuf, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample-sis.db");
    let summary = create(&path, year).unwrap();
    (folder, path, summary)
}

fn is_blank(cell: &str) -> bool {
    cell == "<null>" || cell.trim().is_empty()
}

/// How many people the summary says have a mess whose text holds `words`.
fn people(summary: &Summary, words: &str) -> usize {
    let mut found = summary.mess.iter().filter(|finding| finding.what.contains(words));
    let people = found.next().unwrap_or_else(|| panic!("no finding with `{words}`")).people;
    assert_eq!(found.next(), None, "two findings with `{words}`");
    people
}

#[test]
fn the_same_year_gives_the_same_school() {
    let (_one, first, summary) = sample(2026);
    let (_two, second, again) = sample(2026);
    assert_eq!(summary, again);
    for extract in ["students", "staff"] {
        assert_eq!(rows(&first, extract), rows(&second, extract));
    }
    let (_three, third, _) = sample(2031);
    assert_eq!(rows(&third, "students")[0]["school_year"], "2031");
}

#[test]
fn the_school_is_as_large_as_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let students = rows(&path, "students");
    assert_eq!((students.len(), rows(&path, "staff").len()), (300, 40));
    assert_eq!((summary.students, summary.staff, summary.former), (300, 40, 17));
    let forms: HashSet<&str> = students.iter().map(|row| row["form_code"].trim()).collect();
    assert_eq!(forms.len(), summary.form_classes);
    let levels: HashSet<&str> = students.iter().map(|row| row["year_level"].as_str()).collect();
    assert_eq!(levels, HashSet::from(["07", "08", "09", "10", "11", "12"]));
    assert_eq!(summary.enrolments, 2 * 314);
}

#[test]
fn the_mess_is_what_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let (students, staff) = (rows(&path, "students"), rows(&path, "staff"));
    let count = |fits: &dyn Fn(&HashMap<String, String>) -> bool| students.iter().filter(|row| fits(row)).count();

    let composed = |text: &str| text.nfc().collect::<String>() == text;
    assert_eq!(count(&|row| !composed(&row["given_name"])), people(&summary, "accents"));
    assert_eq!(count(&|row| row["given_name"].contains(char::is_control)), people(&summary, "control character"));
    assert_eq!(count(&|row| row["surname"].ends_with(' ')), people(&summary, "around the name"));
    assert_eq!(count(&|row| is_blank(&row["surname"])), people(&summary, "one name only"));
    assert_eq!(count(&|row| row["network_login"].ends_with(' ')), people(&summary, "after the login"));
    assert_eq!(count(&|row| is_blank(&row["barcode"])), people(&summary, "without a barcode"));
    assert_eq!(count(&|row| is_blank(&row["network_login"])), people(&summary, "without a username"));
    assert_eq!(count(&|row| is_blank(&row["email"])), people(&summary, "students without an e-mail"));
    assert_eq!(count(&|row| row["email"].contains(';')), people(&summary, "two e-mail addresses"));
    assert_eq!(count(&|row| row["email"].contains('E') && row["email"].contains('@')), people(&summary, "in capitals"));
    let no_gender = |row: &&HashMap<String, String>| !matches!(row["gender"].as_str(), "Male" | "Female");
    assert_eq!(students.iter().chain(&staff).filter(no_gender).count(), people(&summary, "gender"));
    assert_eq!(staff.iter().filter(|row| is_blank(&row["email"])).count(), people(&summary, "member of staff without"));
    for blank in ["<null>", "", " "] {
        assert!(count(&|row| row["preferred_name"] == blank) > 20, "`{blank}`");
    }
}

#[test]
fn rejections_are_what_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let everybody: Vec<_> = rows(&path, "students").into_iter().chain(rows(&path, "staff")).collect();
    let mut rejected = HashSet::new();
    for (place, row) in everybody.iter().enumerate() {
        let email = row["email"].split(';').next().unwrap().trim().to_owned();
        let is_address = email
            .split_once('@')
            .is_some_and(|(name, domain)| !name.contains(' ') && !domain.contains(['@', ' ']) && domain.contains('.'));
        if is_blank(&row["network_login"]) || !is_blank(&email) && !is_address {
            rejected.insert(place);
        }
        for (other, twin) in everybody.iter().enumerate() {
            let is_same = |column: &str| {
                !is_blank(&row[column]) && row[column].trim().to_lowercase() == twin[column].trim().to_lowercase()
            };
            if other != place && (is_same("network_login") || is_same("barcode")) {
                rejected.insert(place);
            }
        }
    }
    assert_eq!(rejected.len(), 10);
    assert_eq!(summary.rejected(), 10);
}

#[test]
fn without_the_semester_every_student_comes_twice() {
    let (_folder, path, summary) = sample(2026);
    let connection = Connection::open(&path).unwrap();
    let query = "SELECT count(*) FROM students s JOIN enrolments e USING (student_id) WHERE s.status = 'Current'";
    let count: u32 = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(count as usize, 2 * summary.students);
}

#[test]
fn codes_are_padded_and_keep_their_zeros() {
    let (_folder, path, _) = sample(2026);
    for row in rows(&path, "students") {
        assert!(row["form_code"].len() == 6 && row["form_code"].ends_with(' '));
        assert!(row["student_id"].len() == 8 && row["student_id"].starts_with("000"));
        assert!(is_blank(&row["barcode"]) || row["barcode"].len() == 12 && row["barcode"].starts_with("00"));
    }
}

#[test]
fn logins_are_plain_letters() {
    for (name, login) in [
        ("O'Brien", "obrien"),
        ("O’Neill", "oneill"),
        ("Đặng", "dang"),
        ("Wiśniewska", "wisniewska"),
        ("Łukasz", "lukasz"),
        ("İbrahim", "ibrahim"),
        ("Yıldız", "yildiz"),
        ("Großmann", "grossmann"),
        ("Ng-Thompson", "ng-thompson"),
        ("Te Kanawa", "tekanawa"),
    ] {
        assert_eq!(plain(name), login);
    }
}

#[test]
fn an_existing_database_is_left_alone() {
    let (_folder, path, _) = sample(2026);
    let before = std::fs::read(&path).unwrap();
    create(&path, 2027).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn family_names_have_a_form_for_each_gender_or_one_for_both() {
    for culture in &CULTURES {
        assert!(culture.family_female.is_empty() || culture.family_female.len() == culture.family.len());
    }
}
