//! The sample school: a SIS database in SQLite with believable people and a believable mess.
//!
//! Tables and names are invented; the mess is what real SIS databases hold. Everything comes from a generator with a
//! fixed seed and a school year that is passed in: the same year gives the same school.

mod groups;
mod guardians;
mod mess;
mod names;
mod photos;

use std::path::Path;

use rusqlite::{Connection, Transaction, params};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub(in crate::cli) use mess::{Finding, Outcome};

use crate::cli::random::Random;
use crate::infiniti::contract::{Contract, FEEDS};
use groups::Groups;
use guardians::Guardians;
use names::{CULTURES, Culture, SHORT_FORMS};
use photos::Photos;

/// Where the school's students have their mailboxes. Reserved by RFC 2606: nobody can ever own it.
const STUDENT_DOMAIN: &str = "student.college.example";
/// Where its staff have theirs.
const STAFF_DOMAIN: &str = "college.example";
/// Year level, and how many students each of its forms has.
const YEAR_LEVELS: [(i32, &[usize]); 6] =
    [(7, &[18, 18, 18]), (8, &[18, 18, 18]), (9, &[18, 18, 18]), (10, &[18, 18, 18]), (11, &[21, 21]), (12, &[21, 21])];
const STAFF: usize = 40;
const FORMER_STUDENTS: usize = 14;
const FORMER_STAFF: usize = 3;

const SCHEMA: &str = "
CREATE TABLE semesters (
    semester_id INTEGER PRIMARY KEY,
    school_year INTEGER NOT NULL,
    semester    INTEGER NOT NULL,
    is_current  BOOLEAN NOT NULL
);
CREATE TABLE form_classes (
    form_code  CHAR(6) PRIMARY KEY,
    year_level CHAR(2) NOT NULL,
    room       VARCHAR(10)
);
CREATE TABLE students (
    student_id     CHAR(8) PRIMARY KEY,
    network_login  VARCHAR(60),
    given_name     VARCHAR(50),
    preferred_name VARCHAR(50),
    surname        VARCHAR(50),
    gender         VARCHAR(10),
    email          VARCHAR(200),
    barcode        CHAR(12),
    status         VARCHAR(10) NOT NULL
);
CREATE TABLE enrolments (
    student_id  CHAR(8) NOT NULL REFERENCES students,
    semester_id INTEGER NOT NULL REFERENCES semesters,
    year_level  CHAR(2) NOT NULL,
    form_code   CHAR(6) REFERENCES form_classes,
    PRIMARY KEY (student_id, semester_id)
);
CREATE TABLE staff (
    staff_code    CHAR(8) PRIMARY KEY,
    network_login VARCHAR(60),
    given_name    VARCHAR(50),
    surname       VARCHAR(50),
    gender        VARCHAR(10),
    email         VARCHAR(200),
    barcode       CHAR(12),
    status        VARCHAR(10) NOT NULL
);
";

/// What the sample school holds, so that a person can compare it with what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Summary {
    /// Students who are at the school.
    pub students: usize,
    /// Staff who are at the school.
    pub staff: usize,
    /// Students and staff who left. The mapping's queries leave them out.
    pub former: usize,
    /// Form classes.
    pub form_classes: usize,
    /// Rows of `enrolments`: two semesters for each student.
    pub enrolments: usize,
    /// Guardians of the students, of those who left too.
    pub guardians: usize,
    /// Photos.
    pub photos: usize,
    /// Rows of `library_access`: who is in which group.
    pub memberships: usize,
    /// The mess among those who are at the school.
    pub mess: Vec<Finding>,
    /// The mess of their guardians.
    pub contacts: Vec<Finding>,
    /// That of their photos.
    pub images: Vec<Finding>,
    /// That of the library groups.
    pub groups: Vec<Finding>,
}

impl Summary {
    /// How many rows of people a push with the shipped mapping rejects.
    #[cfg(test)]
    fn rejected(&self) -> usize {
        self.mess.iter().filter(|finding| finding.outcome == Outcome::Rejected).map(|finding| finding.count).sum()
    }

    /// Each feed with its mess, in the order in which they are sent.
    pub(in crate::cli) fn feeds(&self) -> [(&'static Contract, &[Finding]); 4] {
        let mess: [&[Finding]; 4] = [&self.mess, &self.contacts, &self.images, &self.groups];
        std::array::from_fn(|feed| (FEEDS[feed], mess[feed]))
    }
}

/// Makes the sample school of that school year in a new database.
///
/// A database that already has such tables is left as it is: that is an error, never a deletion.
pub(super) fn create(path: &Path, year: i32) -> rusqlite::Result<Summary> {
    let mut school = School::new();
    let mut guardians = Guardians::new(&school);
    let mess = mess::make(&mut school);
    let contacts = guardians.make_mess(&school);
    let (photos, groups) = (Photos::new(&school), Groups::new(&school));
    let mut connection = Connection::open(path)?;
    // The sample can be made again at any time, so it need not survive a power cut while it is being written.
    connection.pragma_update(None, "synchronous", "OFF")?;
    let transaction = connection.transaction()?;
    for schema in [SCHEMA, guardians::SCHEMA, photos::SCHEMA, groups::SCHEMA] {
        transaction.execute_batch(schema)?;
    }
    let form_classes = insert_calendar(&transaction, year)?;
    let enrolments = insert_people(&transaction, &school)?;
    guardians.insert(&transaction, &school)?;
    photos.insert(&transaction)?;
    groups.insert(&transaction)?;
    transaction.commit()?;
    Ok(Summary {
        students: school.students.iter().filter(|person| person.is_current).count(),
        staff: school.staff.iter().filter(|person| person.is_current).count(),
        former: school.students.iter().chain(&school.staff).filter(|person| !person.is_current).count(),
        form_classes,
        enrolments,
        guardians: guardians.len(),
        photos: photos.len(),
        memberships: groups.len(),
        mess,
        contacts,
        images: photos.mess,
        groups: groups.mess,
    })
}

/// What happens at the school until the next night: one person starts, two change their form, one leaves, one gets
/// another login, and one another address; a mother gets another number, one student another photo, and one may borrow
/// what seniors may.
pub(super) fn live_a_day(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(DAY)?;
    photos::take_again(&transaction, "padraig.osullivan")?;
    transaction.commit()
}

const DAY: &str = "
INSERT INTO form_classes VALUES ('7D', '07', 'D07');
INSERT INTO students VALUES ('00099991', 'tui.parata', 'Tui', NULL, 'Parata', 'Female',
    'tui.parata@student.college.example', '00999991', 'Current');
INSERT INTO enrolments SELECT '00099991', semester_id, '07', '7D' FROM semesters WHERE is_current = 1;
UPDATE enrolments SET form_code = '7D' WHERE student_id IN
    (SELECT student_id FROM students WHERE network_login IN ('angus.macdonald', 'nikos.karagiannis'));
UPDATE students SET status = 'Former' WHERE network_login = 'samuel.brown';
UPDATE students SET network_login = 'ananya.sharma' WHERE network_login = 'ananya.reddy';
UPDATE staff SET email = 'yichen.lu-wang@college.example' WHERE network_login = 'yichen.lu';
UPDATE guardians SET mobile = '0491 577 644' WHERE guardian_id =
    (SELECT guardian_id FROM student_guardians JOIN students USING (student_id)
     WHERE network_login = 'kowhai.ngata' AND contact_order = 1);
INSERT INTO library_access SELECT student_id, 'Students' FROM students WHERE network_login = 'tui.parata';
INSERT INTO library_access SELECT student_id, 'Senior Students' FROM students WHERE network_login = 'aroha.henare';
";

/// Everybody, in memory. Current people come first, so that the mess can pick among them by number.
struct School {
    students: Vec<Person>,
    staff: Vec<Person>,
    random: Random,
}

/// One person as the SIS has them.
struct Person {
    id: String,
    login: Option<String>,
    given: String,
    preferred: Option<String>,
    surname: String,
    gender: Option<&'static str>,
    email: Option<String>,
    barcode: Option<String>,
    is_current: bool,
    /// Students: year level and the forms of the first and the second semester.
    enrolment: Option<(i32, [String; 2])>,
}

impl School {
    fn new() -> Self {
        let mut school = Self { students: Vec::new(), staff: Vec::new(), random: Random::new() };
        for (year_level, forms) in YEAR_LEVELS {
            for (form, size) in forms.iter().enumerate() {
                for _ in 0..*size {
                    let now = form_code(year_level, form);
                    // One in ten changed forms at half-year.
                    let before = if school.random.below(10) == 0 {
                        form_code(year_level, (form + 1) % forms.len())
                    } else {
                        now.clone()
                    };
                    school.add_student(true, (year_level, [before, now]));
                }
            }
        }
        for _ in 0..FORMER_STUDENTS {
            let (year_level, forms) = YEAR_LEVELS[school.random.below(YEAR_LEVELS.len())];
            let form = form_code(year_level, school.random.below(forms.len()));
            school.add_student(false, (year_level, [form.clone(), form]));
        }
        for number in 0..STAFF + FORMER_STAFF {
            school.add_staff(number < STAFF);
        }
        school
    }

    fn add_student(&mut self, is_current: bool, enrolment: (i32, [String; 2])) {
        let number = self.students.len();
        let mut person = self.person(STUDENT_DOMAIN);
        person.id = format!("{:08}", 30_417 + number * 7);
        person.barcode = Some(format!("00{:06}", 214_003 + number * 13));
        person.is_current = is_current;
        person.enrolment = Some(enrolment);
        self.students.push(person);
    }

    fn add_staff(&mut self, is_current: bool) {
        let number = self.staff.len();
        let mut person = self.person(STAFF_DOMAIN);
        person.id = format!("T{:04}", 12 + number * 3);
        person.barcode = Some(format!("09{:06}", 700_011 + number * 17));
        person.is_current = is_current;
        person.preferred = None;
        self.staff.push(person);
    }

    /// Somebody whom the school does not have yet.
    fn person(&mut self, domain: &str) -> Person {
        let culture = self.culture();
        let (gender, is_female) = match self.random.below(100) {
            0..=1 => (Some("X"), self.random.below(2) == 0),
            2..=3 => (None, self.random.below(2) == 0),
            number => (Some(if number % 2 == 0 { "Female" } else { "Male" }), number % 2 == 0),
        };
        let (given, surname) = self.name(culture, is_female);
        let login = self.free_login(&given, &surname);
        // Most people have no name that they go by; the SIS says so in three ways.
        let preferred = match SHORT_FORMS.iter().find(|(name, _)| *name == given) {
            Some((_, short)) if self.random.below(2) == 0 => Some((*short).to_owned()),
            _ => self.blank(),
        };
        Person {
            id: String::new(),
            email: Some(format!("{login}@{domain}")),
            login: Some(login),
            given,
            preferred,
            surname,
            gender,
            barcode: None,
            is_current: true,
            enrolment: None,
        }
    }

    fn culture(&mut self) -> &'static Culture {
        let mut number = self.random.below(CULTURES.iter().map(|culture| culture.weight).sum());
        for culture in &CULTURES {
            match number.checked_sub(culture.weight) {
                Some(rest) => number = rest,
                None => return culture,
            }
        }
        &CULTURES[0]
    }

    /// A name that fits together and that, if a few draws find one, nobody has yet.
    fn name(&mut self, culture: &Culture, is_female: bool) -> (String, String) {
        let mut name = (String::new(), String::new());
        for _ in 0..20 {
            let given = self.random.pick(if is_female { culture.female } else { culture.male });
            let families =
                if is_female && !culture.family_female.is_empty() { culture.family_female } else { culture.family };
            name = ((*given).to_owned(), (*self.random.pick(families)).to_owned());
            if !self.everybody().any(|person| person.given == name.0 && person.surname == name.1) {
                break;
            }
        }
        name
    }

    /// `given.family` in plain letters, with a number where somebody has it already.
    fn free_login(&self, given: &str, surname: &str) -> String {
        let base = match (plain(given), plain(surname)) {
            (given, surname) if surname.is_empty() => given,
            (given, surname) => format!("{given}.{surname}"),
        };
        let is_taken = |login: &str| self.everybody().any(|person| person.login.as_deref() == Some(login));
        let mut login = base.clone();
        let mut number = 2;
        while is_taken(&login) {
            login = format!("{base}{number}");
            number += 1;
        }
        login
    }

    fn everybody(&self) -> impl Iterator<Item = &Person> {
        self.students.iter().chain(&self.staff)
    }

    /// Whether the person's account is one that a push sends: current, with a login and a barcode of one's own, and an
    /// address that was not touched.
    fn is_sound(&self, person: &Person) -> bool {
        let Some(login) = person.login.as_deref() else { return false };
        let is_same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => !a.trim().is_empty() && a.trim().eq_ignore_ascii_case(b.trim()),
            _ => false,
        };
        let others = self.everybody().filter(|other| other.id != person.id && other.is_current);
        let mut clashes =
            others.filter(|other| is_same(&other.login, &person.login) || is_same(&other.barcode, &person.barcode));
        person.is_current
            && person.email.as_deref().is_some_and(|email| email.split('@').next() == Some(login))
            && clashes.next().is_none()
    }

    /// Nothing, in one of the ways in which a SIS says so.
    fn blank(&mut self) -> Option<String> {
        match self.random.below(3) {
            0 => None,
            1 => Some(String::new()),
            _ => Some(" ".to_owned()),
        }
    }
}

fn form_code(year_level: i32, form: usize) -> String {
    format!("{year_level}{}", ['A', 'B', 'C'][form])
}

/// A name in lower case and plain letters, as network logins are made.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for character in name.nfd().filter(|character| !is_combining_mark(*character)).flat_map(char::to_lowercase) {
        match character {
            'đ' => plain.push('d'),
            'ł' => plain.push('l'),
            'ı' => plain.push('i'),
            'ø' => plain.push('o'),
            'ß' => plain.push_str("ss"),
            character if character.is_ascii_alphanumeric() || character == '-' => plain.push(character),
            _ => (), // Apostrophes, spaces, and the dot that the small `İ` leaves.
        }
    }
    plain
}

/// The calendar and the form classes; returns how many forms there are.
fn insert_calendar(transaction: &Transaction<'_>, year: i32) -> rusqlite::Result<usize> {
    let mut semester = transaction.prepare("INSERT INTO semesters VALUES (?, ?, ?, ?)")?;
    for (id, number, is_current) in [(1, 1, false), (2, 2, true)] {
        semester.execute(params![id, year, number, is_current])?;
    }
    let mut form_class = transaction.prepare("INSERT INTO form_classes VALUES (?, ?, ?)")?;
    let mut count = 0;
    for (year_level, forms) in YEAR_LEVELS {
        for form in 0..forms.len() {
            let code = form_code(year_level, form);
            let room = format!("{}{:02}", ["A", "B", "C"][form], year_level);
            form_class.execute(params![padded(&code, 6), format!("{year_level:02}"), room])?;
            count += 1;
        }
    }
    Ok(count)
}

/// Students with their enrolments, and staff; returns how many enrolments there are.
fn insert_people(transaction: &Transaction<'_>, school: &School) -> rusqlite::Result<usize> {
    let mut student = transaction.prepare("INSERT INTO students VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut enrolment = transaction.prepare("INSERT INTO enrolments VALUES (?, ?, ?, ?)")?;
    let mut enrolments = 0;
    for person in &school.students {
        student.execute(params![
            person.id,
            person.login,
            person.given,
            person.preferred,
            person.surname,
            person.gender,
            person.email,
            person.barcode.as_deref().map(|barcode| padded(barcode, 12)),
            status(person),
        ])?;
        if let Some((year_level, forms)) = &person.enrolment {
            for (semester, form) in (1..).zip(forms) {
                enrolment.execute(params![person.id, semester, format!("{year_level:02}"), padded(form, 6)])?;
                enrolments += 1;
            }
        }
    }
    let mut staff = transaction.prepare("INSERT INTO staff VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    for person in &school.staff {
        staff.execute(params![
            padded(&person.id, 8),
            person.login,
            person.given,
            person.surname,
            person.gender,
            person.email,
            person.barcode.as_deref().map(|barcode| padded(barcode, 12)),
            status(person),
        ])?;
    }
    Ok(enrolments)
}

fn status(person: &Person) -> &'static str {
    if person.is_current { "Current" } else { "Left" }
}

/// Text as a `CHAR(width)` column gives it. Blank texts stay as the mess made them.
fn padded(text: &str, width: usize) -> String {
    if text.trim().is_empty() { text.to_owned() } else { format!("{text:width$}") }
}

#[cfg(test)]
mod tests;
