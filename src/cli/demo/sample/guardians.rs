//! Guardians: whom the library writes to about a student. Siblings share theirs, and the cells hold what families wrote
//! on forms.

use rusqlite::{Transaction, params};

use super::mess::{Finding, left_out, rejected, sent};
use super::names::{CULTURES, Culture};
use super::{School, plain};
use crate::cli::random::Random;

pub(super) const SCHEMA: &str = "
CREATE TABLE guardians (
    guardian_id INTEGER PRIMARY KEY,
    title       VARCHAR(10),
    given_name  VARCHAR(50),
    surname     VARCHAR(50),
    emails      VARCHAR(200),
    mobile      VARCHAR(30),
    sms_ok      BOOLEAN NOT NULL
);
CREATE TABLE student_guardians (
    student_id    CHAR(8) NOT NULL REFERENCES students,
    guardian_id   INTEGER NOT NULL REFERENCES guardians,
    contact_order INTEGER NOT NULL
);
";

/// Numbers that Australia's ACMA keeps for films and books: nobody can ever own one. They are few, so that families share some.
const MOBILES: [&str; 12] = [
    "0491 570 006",
    "0491 570 156",
    "0491 570 157",
    "0491 570 158",
    "0491 570 159",
    "0491 570 110",
    "0491 570 313",
    "0491 570 737",
    "0491 571 266",
    "0491 571 491",
    "0491 571 804",
    "0491 572 549",
];
/// Where families have their mailboxes. Reserved by RFC 2606.
const PROVIDERS: [&str; 3] = ["home.example", "mail.example", "post.example"];

/// Everybody's guardians.
pub(super) struct Guardians {
    households: Vec<Household>,
    random: Random,
    /// Guardians of a student that the SIS names twice, as the places of the household and of the student.
    named_twice: Vec<(usize, usize)>,
}

/// Students of one family, and the one or two people who look after them.
struct Household {
    surname: String,
    /// Places in the school's list.
    students: Vec<usize>,
    guardians: Vec<Guardian>,
}

struct Guardian {
    title: &'static str,
    given: String,
    surname: String,
    emails: Option<String>,
    mobile: Option<String>,
    takes_sms: bool,
}

impl Guardians {
    /// Of a school that has no mess yet, whose names are as families write them.
    pub(super) fn new(school: &School) -> Self {
        let mut all = Self { households: Vec::new(), random: Random::seeded(1), named_twice: Vec::new() };
        for (place, student) in school.students.iter().enumerate() {
            let year_level =
                |place: usize| school.students[place].enrolment.as_ref().map(|(year_level, _)| *year_level);
            let is_siblings = |household: &Household| {
                let mut others = household.students.iter();
                household.surname == student.surname && others.all(|other| year_level(*other) != year_level(place))
            };
            let siblings = all.households.iter().position(is_siblings);
            match siblings.filter(|_| !student.surname.is_empty() && all.random.below(3) == 0) {
                Some(household) => all.households[household].students.push(place),
                None => all.add_household(place, &student.surname),
            }
        }
        all
    }

    fn add_household(&mut self, student: usize, surname: &str) {
        let (culture, family) = family_of(surname);
        let mut guardians = Vec::new();
        let is_mother_first = self.random.below(3) > 0;
        for number in 0..if self.random.below(10) < 7 { 2 } else { 1 } {
            let is_female = is_mother_first == (number == 0);
            guardians.push(self.guardian(culture, family, is_female));
        }
        self.households.push(Household { surname: surname.to_owned(), students: vec![student], guardians });
    }

    fn guardian(&mut self, culture: &Culture, family: usize, is_female: bool) -> Guardian {
        let given = (*self.random.pick(if is_female { culture.female } else { culture.male })).to_owned();
        let surnames =
            if is_female && !culture.family_female.is_empty() { culture.family_female } else { culture.family };
        let surname = surnames.get(family).copied().unwrap_or_default().to_owned();
        let name = [plain(&given), plain(&surname)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        Guardian {
            title: if is_female { "Ms" } else { "Mr" },
            emails: Some(format!("{}@{}", name.join("."), self.random.pick(&PROVIDERS))),
            mobile: Some((*self.random.pick(&MOBILES)).to_owned()),
            takes_sms: self.random.below(4) > 0,
            given,
            surname,
        }
    }

    /// Makes the mess, once it is known whose accounts are sent.
    pub(super) fn make_mess(&mut self, school: &School) -> Vec<Finding> {
        // Of one student each, so that a guardian is one row of each query; and of one who is sent.
        let is_plain = |household: &Household| matches!(household.students.as_slice(), [student] if school.is_sound(&school.students[*student]));
        let order = self.random.shuffled(self.households.len());
        let mut free =
            order.into_iter().filter(|place| is_plain(&self.households[*place])).collect::<Vec<_>>().into_iter();
        let mut take = |count: usize| free.by_ref().take(count).collect::<Vec<_>>();
        let (several, blank, bad, twice) = (take(14), take(6), take(1), take(3));
        for place in &several {
            let guardian = &mut self.households[*place].guardians[0];
            let work = format!("{}@work.example", plain(&guardian.given));
            guardian.emails = guardian.emails.take().map(|emails| format!("{emails}; {}", work.to_uppercase()));
        }
        for place in &blank {
            self.households[*place].guardians[0].mobile = Some(" ".to_owned());
        }
        for place in &bad {
            let guardian = &mut self.households[*place].guardians[0];
            guardian.emails = guardian.emails.take().map(|emails| emails.replace('@', " at "));
        }
        self.named_twice = twice.iter().map(|place| (*place, self.households[*place].students[0])).collect();
        let former = school.students.iter().filter(|student| !student.is_current).count();
        vec![
            sent(several.len(), "guardians with two e-mail addresses in one cell, which become two contacts"),
            sent(twice.len(), "guardians whom the SIS names twice, and who are sent once"),
            left_out(blank.len(), "guardians whose mobile number is a space"),
            left_out(former, "students who left, and whose guardians are still in the SIS"),
            rejected(bad.len(), "guardian with a bad e-mail address"),
        ]
    }

    /// How many guardians there are.
    pub(super) fn len(&self) -> usize {
        self.households.iter().map(|household| household.guardians.len()).sum()
    }

    /// Writes them.
    pub(super) fn insert(&self, transaction: &Transaction<'_>, school: &School) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare("INSERT INTO guardians VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        let mut link = transaction.prepare("INSERT INTO student_guardians VALUES (?, ?, ?)")?;
        let mut id = 501;
        for (place, household) in self.households.iter().enumerate() {
            for (contact_order, guardian) in (1..).zip(&household.guardians) {
                insert.execute(params![
                    id,
                    guardian.title,
                    guardian.given,
                    guardian.surname,
                    guardian.emails,
                    guardian.mobile,
                    guardian.takes_sms,
                ])?;
                for student in &household.students {
                    let is_twice = contact_order == 1 && self.named_twice.contains(&(place, *student));
                    for _ in 0..if is_twice { 2 } else { 1 } {
                        link.execute(params![school.students[*student].id, id, contact_order])?;
                    }
                }
                id += 1;
            }
        }
        Ok(())
    }
}

/// The families that a surname belongs to, and its place among them.
fn family_of(surname: &str) -> (&'static Culture, usize) {
    let place = |names: &[&str]| names.iter().position(|name| *name == surname);
    let of =
        |culture: &'static Culture| Some((culture, place(culture.family).or_else(|| place(culture.family_female))?));
    CULTURES.iter().find_map(of).unwrap_or((&CULTURES[0], 0))
}
