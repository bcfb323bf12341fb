use std::collections::{HashMap, HashSet};

use rusqlite::OpenFlags;

use super::*;
use crate::infiniti::image::look;

/// The shipped mapping, whose queries these tests run.
const MAPPING: &str = include_str!("../../../../mappings/demo.yaml");

/// The rows of the query of an extract in the shipped mapping; a NULL is `<null>`, so that it differs from a blank.
fn rows(path: &Path, extract: &str) -> Vec<HashMap<String, String>> {
    let start = MAPPING.find(&format!("- name: {extract}\n")).unwrap();
    let block = &MAPPING[start..];
    let block = &block[block.find("query: |\n").unwrap() + 9..];
    let indent = block.len() - block.trim_start_matches(' ').len();
    let is_query = |line: &&str| line.len() - line.trim_start_matches(' ').len() >= indent;
    let query: String = block.lines().take_while(is_query).collect::<Vec<_>>().join("\n");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(&query).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let cell = |row: &rusqlite::Row<'_>, index: usize| match row.get_ref(index).unwrap() {
        rusqlite::types::ValueRef::Null => "<null>".to_owned(),
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        rusqlite::types::ValueRef::Blob(bytes) => match look(bytes) {
            Ok(description) => description.to_string(),
            Err(fault) => format!("fault: {fault}"),
        },
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

/// How often the summary says that there is a mess whose text holds `words`.
fn people(summary: &Summary, words: &str) -> usize {
    let mut found =
        summary.feeds().into_iter().flat_map(|(_, mess)| mess).filter(|finding| finding.what.contains(words));
    let people = found.next().unwrap_or_else(|| panic!("no finding with `{words}`")).count;
    assert_eq!(found.next(), None, "two findings with `{words}`");
    people
}

#[test]
fn the_same_year_gives_the_same_school() {
    let (_one, first, summary) = sample(2026);
    let (_two, second, again) = sample(2026);
    assert_eq!(summary, again);
    for extract in ["students", "staff", "guardian-emails", "guardian-mobiles", "photos", "library-groups"] {
        assert_eq!(rows(&first, extract), rows(&second, extract), "{extract}");
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
    assert_eq!(count(&|row| row["email"].contains(';')), people(&summary, "students with two e-mail"));
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
/// The students and staff who are at the school and whom nobody's mistake keeps from having an account.
fn accounts(path: &Path) -> HashSet<String> {
    let login = |row: &HashMap<String, String>| row["network_login"].trim().to_owned();
    rows(path, "students").iter().chain(&rows(path, "staff")).map(login).filter(|login| login != "<null>").collect()
}

#[test]
fn guardians_are_what_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let accounts = accounts(&path);
    let (emails, mobiles) = (rows(&path, "guardian-emails"), rows(&path, "guardian-mobiles"));
    let connection = Connection::open(&path).unwrap();
    let number = |query: &str| -> usize {
        connection.query_row(query, [], |row| row.get::<_, u32>(0)).unwrap().try_into().unwrap()
    };
    assert_eq!((summary.guardians, number("SELECT count(*) FROM guardians")), (420, 420));
    assert_eq!(number("SELECT count(DISTINCT student_id) FROM student_guardians"), 314);
    let shared = "SELECT count(*) FROM (SELECT guardian_id FROM student_guardians GROUP BY guardian_id
        HAVING count(DISTINCT student_id) > 1)";
    assert!((40..200).contains(&number(shared)), "{} guardians of siblings", number(shared));

    let count = |rows: &[HashMap<String, String>], fits: &dyn Fn(&HashMap<String, String>) -> bool| {
        rows.iter().filter(|row| fits(row)).count()
    };
    assert_eq!(count(&emails, &|row| row["emails"].contains(';')), people(&summary, "which become two contacts"));
    assert_eq!(count(&emails, &|row| !row["emails"].contains('@')), people(&summary, "guardian with a bad"));
    assert_eq!(count(&mobiles, &|row| row["mobile"] == " "), people(&summary, "is a space"));
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM student_guardians GROUP BY student_id, guardian_id HAVING count(*) = 2)";
    assert_eq!(number(twice), people(&summary, "names twice"));
    let strangers: HashSet<&str> = emails
        .iter()
        .map(|row| row["network_login"].trim())
        .filter(|login| *login != "<null>" && !accounts.contains(*login))
        .collect();
    assert_eq!(strangers.len(), people(&summary, "students who left, and"));
    let number_of_flags = |flag: &str| count(&mobiles, &|row| row["sms_ok"] == flag);
    assert!(number_of_flags("1") > 100 && number_of_flags("0") > 50);
}

#[test]
fn photos_are_what_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let photos = rows(&path, "photos");
    let count = |words: &str| photos.iter().filter(|row| row["photo"].starts_with(words)).count();
    assert_eq!(photos.len(), summary.students + summary.staff);
    assert_eq!(count("<null>"), people(&summary, "without a photo"));
    assert_eq!(count("fault: is a GIF picture"), people(&summary, "a GIF"));
    assert_eq!(count("fault: is a jpg that is cut off"), people(&summary, "that is cut off"));
    let bytes = |row: &HashMap<String, String>| row["photo"].split(' ').nth(1)?.parse::<usize>().ok();
    let is_whole =
        |row: &&HashMap<String, String>| row["photo"].starts_with("jpg ") || row["photo"].starts_with("png ");
    let is_large = |row: &&HashMap<String, String>| bytes(row).is_some_and(|bytes| bytes > 20_000);
    assert_eq!(photos.iter().filter(is_whole).filter(is_large).count(), people(&summary, "larger than"));
    assert_eq!((count("jpg "), count("png ")), (322, 12));
    // No two people have one picture.
    let each: HashSet<&str> = photos.iter().filter(is_whole).map(|row| row["photo"].as_str()).collect();
    assert_eq!(each.len(), 334);
    assert_eq!(summary.photos, 336);
}

#[test]
fn groups_are_what_the_summary_says() {
    let (_folder, path, summary) = sample(2026);
    let groups = rows(&path, "library-groups");
    assert_eq!(groups.len(), summary.memberships);
    let count = |group: &str| groups.iter().filter(|row| row["group_name"] == group).count();
    assert_eq!((count("Students"), count("Senior Students"), count("Staff")), (300, 84, 38));
    assert_eq!(count("System Administrators"), people(&summary, "System Administrators"));
    let members: HashSet<&str> = groups.iter().map(|row| row["network_login"].as_str()).collect();
    let forgotten = rows(&path, "staff").iter().filter(|row| !members.contains(row["network_login"].as_str())).count();
    assert_eq!(forgotten, people(&summary, "in no library group"));
}

#[test]
fn a_day_changes_one_number_one_photo_and_two_groups() {
    let (_folder, path, _) = sample(2026);
    let extracts = ["guardian-emails", "guardian-mobiles", "photos", "library-groups"];
    let before = extracts.map(|extract| rows(&path, extract));
    live_a_day(&path).unwrap();
    let changed = |place: usize| -> Vec<String> {
        let after = rows(&path, extracts[place]).into_iter().filter(|row| !before[place].contains(row));
        let key = |row: HashMap<String, String>| row.get("network_login").or(row.get("person_id")).cloned();
        // What hangs on the login that is another one is held back with it.
        after.filter_map(key).filter(|key| key != "ananya.sharma").collect()
    };
    assert_eq!(changed(0), [""; 0]);
    assert_eq!(changed(1), ["kowhai.ngata"]);
    assert_eq!(changed(2), ["00031593"]);
    assert_eq!(changed(3), ["tui.parata", "aroha.henare"]);
}
