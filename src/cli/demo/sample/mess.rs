//! The mess that real SIS databases hold, put into the sample school on purpose and counted.

use unicode_normalization::UnicodeNormalization;

use super::{Person, STUDENT_DOMAIN, School, padded};

/// One kind of mess: how often it is there, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Finding {
    /// How many people, or things of theirs, have it.
    pub count: usize,
    /// What it is, as a person would say it after the number: `students with a bad e-mail address`.
    pub what: &'static str,
    /// What a push with the shipped mapping makes of it.
    pub outcome: Outcome,
}

/// What a push with the shipped mapping makes of a kind of mess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// Sent: put right on the way, or nothing to put right.
    Sent,
    /// Sent, with a warning.
    Warned,
    /// It says nothing that could be sent, or is about nobody who has an account; the others go on.
    LeftOut,
    /// The row is rejected; the others go on.
    Rejected,
}

/// Those who have no mess yet. Nobody gets two kinds, so that the counts hold.
struct Pool {
    students: Vec<usize>,
    staff: Vec<usize>,
}

/// Makes the mess.
pub(super) fn make(school: &mut School) -> Vec<Finding> {
    let current = |people: &[Person]| people.iter().filter(|person| person.is_current).count();
    let (students, staff) = (current(&school.students), current(&school.staff));
    let mut pool = Pool { students: school.random.shuffled(students), staff: school.random.shuffled(staff) };
    // First, since it changes names and genders, which the others count.
    let clashes = clashes(school, &mut pool);
    let mut findings = names(school, &mut pool);
    findings.extend(codes(school, &mut pool));
    findings.extend(addresses(school, &mut pool));
    findings.extend(clashes);
    findings
}

/// Names: what was pasted into them, and how their letters are made up.
fn names(school: &mut School, pool: &mut Pool) -> Vec<Finding> {
    let people = &mut school.students;
    let decomposed = take(&mut pool.students, people, 6, |person| {
        person.given.chars().ne(person.given.nfd()) && person.surname.chars().ne(person.surname.nfd())
    });
    for place in &decomposed {
        let person = &mut people[*place];
        person.given = person.given.nfd().collect();
        person.surname = person.surname.nfd().collect();
    }
    // A line break, a tab, and the vertical tab that word processors put where a line was broken by hand.
    let controls = ["\r\n", "\t", "\u{B}"];
    let broken = take(&mut pool.students, people, controls.len(), |person| person.given.contains(' '));
    for (place, control) in broken.iter().zip(controls) {
        people[*place].given = people[*place].given.replace(' ', control);
    }
    let padded_names = take(&mut pool.students, people, 12, |person| !person.surname.is_empty());
    for place in &padded_names {
        let person = &mut people[*place];
        person.given = format!(" {}", person.given);
        person.surname = padded(&person.surname, 30);
    }
    let single = people.iter().filter(|person| person.is_current && person.surname.is_empty()).count();
    vec![
        sent(decomposed.len(), "students whose accents are typed as separate characters"),
        warned(broken.len(), "students with a line break, tab or control character in the name"),
        sent(padded_names.len(), "students with spaces around the name"),
        sent(single, "students with one name only"),
    ]
}

/// Logins, genders and barcodes.
fn codes(school: &mut School, pool: &mut Pool) -> Vec<Finding> {
    let padded_logins = take(&mut pool.students, &school.students, 20, |_| true);
    for place in &padded_logins {
        let login = &mut school.students[*place].login;
        *login = login.take().map(|login| padded(&login, 40));
    }
    let without_barcode = take(&mut pool.students, &school.students, 12, |_| true);
    for place in &without_barcode {
        school.students[*place].barcode = school.blank();
    }
    let blank_genders = take(&mut pool.students, &school.students, 4, |person| person.gender.is_some());
    for (place, gender) in blank_genders.iter().zip([Some(""), Some(" "), Some("Unknown"), None]) {
        school.students[*place].gender = gender;
    }
    let other = |person: &&Person| person.is_current && !matches!(person.gender, Some("Female" | "Male"));
    let genders = school.everybody().filter(other).count();
    vec![
        sent(padded_logins.len(), "students with spaces after the login"),
        warned(without_barcode.len(), "students without a barcode"),
        sent(genders, "people whose gender is neither `Female` nor `Male`"),
    ]
}

/// E-mail addresses.
fn addresses(school: &mut School, pool: &mut Pool) -> Vec<Finding> {
    let upper = take(&mut pool.students, &school.students, 9, |_| true);
    for place in &upper {
        change(&mut school.students[*place].email, str::to_uppercase);
    }
    let several = take(&mut pool.students, &school.students, 5, |_| true);
    for (place, provider) in several.iter().zip(["home.example", "mail.example"].iter().cycle()) {
        let family =
            school.students[*place].login.as_deref().and_then(|login| login.rsplit('.').next()).unwrap_or("home");
        let second = format!("{family}.family@{provider}");
        change(&mut school.students[*place].email, |email| format!("{email}; {second}"));
    }
    let none = take(&mut pool.students, &school.students, 7, |_| true);
    for place in &none {
        school.students[*place].email = school.blank();
    }
    let bad = take(&mut pool.students, &school.students, 3, |_| true);
    change(&mut school.students[bad[0]].email, |_| "n/a".to_owned());
    change(&mut school.students[bad[1]].email, |email| email.replace('@', "@@"));
    change(&mut school.students[bad[2]].email, |email| email.replacen('.', " ", 1));
    let staff = take(&mut pool.staff, &school.staff, 1, |_| true);
    for place in &staff {
        school.staff[*place].email = None;
    }
    vec![
        sent(upper.len(), "students with an e-mail address in capitals"),
        sent(several.len(), "students with two e-mail addresses in one cell"),
        sent(none.len(), "students without an e-mail address"),
        warned(staff.len(), "member of staff without an e-mail address"),
        rejected(bad.len(), "students with a bad e-mail address"),
    ]
}

/// Usernames and barcodes that two people share, and a username that is missing.
fn clashes(school: &mut School, pool: &mut Pool) -> Vec<Finding> {
    let logins = take(&mut pool.students, &school.students, 3, |person| person.surname.is_ascii());
    let staff = take(&mut pool.staff, &school.staff, 2, |_| true);
    // Two students of one name, then a teacher and her or his child: logins that were typed by hand, in another case.
    let (name, login) = namesake(&school.students[logins[0]], capitalised);
    rename(&mut school.students[logins[1]], name, login);
    let (name, login) = namesake(&school.staff[staff[0]], str::to_uppercase);
    rename(&mut school.students[logins[2]], name, login);
    // A student card that was handed to a relief teacher.
    let card = take(&mut pool.students, &school.students, 1, |_| true);
    school.staff[staff[1]].barcode.clone_from(&school.students[card[0]].barcode);
    let missing = take(&mut pool.students, &school.students, 1, |_| true);
    school.students[missing[0]].login = None;
    vec![
        rejected(4, "people in two pairs whose usernames differ only in case"),
        rejected(2, "people, a student and a member of staff, with the same barcode"),
        rejected(missing.len(), "student without a username"),
    ]
}

/// Takes `count` people for whom `fits` holds out of the pool.
fn take(pool: &mut Vec<usize>, people: &[Person], count: usize, fits: impl Fn(&Person) -> bool) -> Vec<usize> {
    let mut chosen = Vec::with_capacity(count);
    pool.retain(|place| {
        let is_chosen = chosen.len() < count && fits(&people[*place]);
        if is_chosen {
            chosen.push(*place);
        }
        !is_chosen
    });
    chosen
}

/// A name with its gender, and the login in another case.
fn namesake(
    person: &Person,
    change: impl Fn(&str) -> String,
) -> ((String, String, Option<&'static str>), Option<String>) {
    let name = (person.given.clone(), person.surname.clone(), person.gender);
    (name, person.login.as_deref().map(change))
}

fn rename(person: &mut Person, name: (String, String, Option<&'static str>), login: Option<String>) {
    // The mailbox was made by another system, which numbers those whose name is taken.
    person.email = login.as_deref().map(|login| format!("{}2@{STUDENT_DOMAIN}", login.to_lowercase()));
    (person.given, person.surname, person.gender) = name;
    person.login = login;
}

fn change(cell: &mut Option<String>, change: impl FnOnce(&str) -> String) {
    if let Some(text) = cell {
        *text = change(text);
    }
}

/// `mia.nguyen` as `Mia.Nguyen`.
fn capitalised(login: &str) -> String {
    let mut after_dot = true;
    login
        .chars()
        .map(|character| {
            let capital = if after_dot { character.to_ascii_uppercase() } else { character };
            after_dot = character == '.';
            capital
        })
        .collect()
}

pub(super) fn sent(count: usize, what: &'static str) -> Finding {
    Finding { count, what, outcome: Outcome::Sent }
}

pub(super) fn warned(count: usize, what: &'static str) -> Finding {
    Finding { count, what, outcome: Outcome::Warned }
}

pub(super) fn rejected(count: usize, what: &'static str) -> Finding {
    Finding { count, what, outcome: Outcome::Rejected }
}

pub(super) fn left_out(count: usize, what: &'static str) -> Finding {
    Finding { count, what, outcome: Outcome::LeftOut }
}
