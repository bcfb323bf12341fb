//! Proposes a mapping's queries and rules from what a database shows: the names of tables and columns, and a sample of
//! their rows. No I/O.
//!
//! ```text
//! relations -> candidates: those worth a sample -> samples -> pick: students and staff -> propose: one extract each
//! ```
//!
//! Invariants:
//! - Nothing that is proposed or said holds a value of a row but for short codes of a column that has few of them
//!   ([`profile::Profile::codes`]): `M`, `ACTV`. Everything else is counted.
//! - What could not be found is left blank in the file, so that `check` complains about it.

mod columns;
mod head;
mod joins;
pub mod profile;
mod tables;
#[cfg(test)]
mod tests;
mod words;
mod write;

use crate::source::table::Table;

pub use columns::{Extract, Found, propose};
pub use head::{SOURCE_PASSWORD, head, password_of};
pub use tables::{Picked, candidates, lists, pick, who_by_name};
pub use write::{Look, Sql, users};

/// Who the patrons of an extract are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// Students.
    Students,
    /// Staff.
    Staff,
}

impl Who {
    /// The name of the extract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Students => "students",
            Self::Staff => "staff",
        }
    }
}

/// A table, a view or a query's result, with its first rows.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Its name for people, such as `sis.vStudents`; for a query, `the query`.
    pub name: String,
    /// Its bare name, which tells who is in it; blank for a query.
    pub table: String,
    /// How SQL reads it.
    pub sql: Sql,
    /// The first rows.
    pub rows: Table,
}
