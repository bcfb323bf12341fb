//! Library groups: who may borrow what. The groups are those that a sandbox has unless it is told others.

use rusqlite::{Transaction, params};

use super::mess::{Finding, rejected, warned};
use super::{Person, School, padded};
use crate::cli::random::Random;

pub(super) const SCHEMA: &str = "
CREATE TABLE library_access (
    person_id  CHAR(8) NOT NULL,
    group_name VARCHAR(40) NOT NULL
);
";

/// The first year level whose students are seniors.
const SENIOR_YEAR_LEVEL: i32 = 11;

/// Who is in which group.
pub(super) struct Groups<'a> {
    memberships: Vec<(&'a Person, &'static str)>,
    pub(super) mess: Vec<Finding>,
}

impl<'a> Groups<'a> {
    /// Of a school whose mess is made: all students, the seniors among them once more, and the staff but two whom somebody
    /// forgot. One has the system's own group besides.
    pub(super) fn new(school: &'a School) -> Self {
        let mut random = Random::seeded(2);
        let is_sound = |place: &usize| school.staff[*place].is_current && school.is_sound(&school.staff[*place]);
        let mut free = random.shuffled(school.staff.len()).into_iter().filter(is_sound);
        let forgotten: Vec<usize> = free.by_ref().take(2).collect();
        let administrator: Vec<usize> = free.take(1).collect();
        let mut memberships = Vec::new();
        for student in school.students.iter().filter(|student| student.is_current) {
            memberships.push((student, "Students"));
            if student.enrolment.as_ref().is_some_and(|(year_level, _)| *year_level >= SENIOR_YEAR_LEVEL) {
                memberships.push((student, "Senior Students"));
            }
        }
        for (place, person) in school.staff.iter().enumerate().filter(|(_, person)| person.is_current) {
            if !forgotten.contains(&place) {
                memberships.push((person, "Staff"));
            }
            if administrator.contains(&place) {
                memberships.push((person, "System Administrators"));
            }
        }
        let mess = vec![
            warned(forgotten.len(), "members of staff in no library group"),
            rejected(administrator.len(), "member of staff in `System Administrators`, which `allow` does not list"),
        ];
        Self { memberships, mess }
    }

    /// How many memberships there are.
    pub(super) fn len(&self) -> usize {
        self.memberships.len()
    }

    /// Writes them.
    pub(super) fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare("INSERT INTO library_access VALUES (?, ?)")?;
        for (person, group) in &self.memberships {
            insert.execute(params![padded(&person.id, 8), group])?;
        }
        Ok(())
    }
}
