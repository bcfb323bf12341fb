//! Which tables are lists of students and of staff.

use super::words::{Meaning, SYNONYMS, fit, is_of, is_of_people, side_words};
use super::{Extract, Sampled, Who, propose};
use crate::source::Engine;
use crate::source::catalogue::Relation;

/// The tables that may be lists of people, the most promising first, `most` at the most: by their names alone, as
/// looking at all rows of a whole SIS takes long.
pub fn candidates(relations: &[Relation], most: usize) -> Vec<usize> {
    let mut scored: Vec<(i64, usize)> = (relations.iter().enumerate())
        .map(|(index, relation)| (promise(relation), index))
        .filter(|(score, _)| *score > 0)
        .collect();
    scored.sort_by_key(|(score, index)| (std::cmp::Reverse(*score), *index));
    scored.into_iter().take(most).map(|(_, index)| index).collect()
}

/// How promising a table is; 0 or less is not at all.
fn promise(relation: &Relation) -> i64 {
    let has = |wanted: &str| {
        let synonyms = SYNONYMS.iter().find(|(meaning, _)| *meaning == Meaning::Header(known(wanted)));
        synonyms.is_some_and(|(_, synonyms)| relation.columns.iter().any(|column| fit(&column.name, synonyms) >= 70))
    };
    let mut score = 0;
    for (header, weight) in [
        ("username", 4),
        ("surname", 3),
        ("givenname", 3),
        ("emailaddress", 2),
        ("librarybarcode", 2),
        ("formclass", 1),
    ] {
        score += if has(header) { weight } else { 0 };
    }
    // A table that says who is a student, or in which class, and leaves names to another: it can be joined.
    let is_beside = score <= 1 && relation.columns.iter().any(|column| column.name.to_lowercase().ends_with("id"));
    let name = i64::from(name_weight(&relation.name, None));
    match (score, is_beside) {
        (0, false) => 0,
        (_, true) => (name > 0 || score > 0 || has("graduationyear") || has_level(relation)).into(),
        _ => score + name,
    }
}

fn has_level(relation: &Relation) -> bool {
    let synonyms = SYNONYMS.iter().find(|(meaning, _)| *meaning == Meaning::YearLevel);
    synonyms.is_some_and(|(_, synonyms)| relation.columns.iter().any(|column| fit(&column.name, synonyms) >= 70))
}

/// The contract's spelling: [`Meaning`] holds static texts.
fn known(header: &str) -> &'static str {
    use crate::infiniti::contract::USERS;
    USERS.header(header).map_or("", |header| USERS.rule(header).name)
}

/// Who is in a table, if its name says so.
pub fn who_by_name(table: &str) -> Option<Who> {
    [Who::Students, Who::Staff].into_iter().find(|who| is_of(table, *who) && !is_of(table, other(*who)))
}

/// What a table's name says, for one kind of people or for any.
fn name_weight(name: &str, who: Option<Who>) -> i32 {
    let own = match who {
        Some(who) => is_of(name, who),
        None => is_of(name, Who::Students) || is_of(name, Who::Staff),
    };
    let other = match who {
        Some(Who::Students) => is_of(name, Who::Staff),
        Some(Who::Staff) => is_of(name, Who::Students),
        None => false,
    };
    let side = i32::try_from(side_words(name)).unwrap_or(0);
    let mut weight = -6 * side;
    if own {
        weight += 8;
    } else if other {
        weight -= 20;
    } else if is_of_people(name) {
        weight += 3;
    }
    weight
}

/// The table of one kind of people.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Its place among the samples.
    pub table: usize,
    /// What is proposed.
    pub extract: Extract,
    /// Whether the table seems to hold everybody, so that the query needs a filter.
    pub is_shared: bool,
    /// Others that could be meant, the most promising first.
    pub others: Vec<usize>,
}

/// Picks the table of one kind of people, if any looks like one.
pub fn pick(who: Who, tables: &[Sampled], engine: Engine, year: i16) -> Option<Picked> {
    let mut scored: Vec<(i32, usize, Extract)> = (tables.iter().enumerate())
        .filter_map(|(index, table)| {
            let extract = propose(who, table, engine, year);
            let has = |header: &str| extract.found.iter().any(|found| found.header == header);
            let is_list = is_list(&extract);
            // A table that does not say so is one of students only if it has what students alone have.
            let says_so = is_of(&table.table, who)
                || (!is_of(&table.table, other(who))
                    && (is_of_people(&table.table) || (who == Who::Students && has("graduationyear"))));
            let empty = if table.rows.rows.is_empty() { 20 } else { 0 };
            let score = i32::try_from(extract.score).unwrap_or(0) + 4 * name_weight(&table.table, Some(who)) - empty;
            (is_list && says_so && score > 0).then_some((score, index, extract))
        })
        .collect();
    scored.sort_by_key(|(score, index, _)| (std::cmp::Reverse(*score), *index));
    let others = scored.iter().skip(1).take(5).map(|(_, index, _)| *index).collect();
    let (_, table, extract) = scored.into_iter().next()?;
    let is_shared = !is_of(&tables[table].table, who);
    Some(Picked { table, extract, is_shared, others })
}

/// Tables that list people, whatever their names say.
pub fn lists(tables: &[Sampled], engine: Engine, year: i16) -> Vec<usize> {
    let is_one = |table: &Sampled| {
        !table.rows.rows.is_empty()
            && side_words(&table.table) == 0
            && is_list(&propose(Who::Students, table, engine, year))
    };
    (0..tables.len()).filter(|index| is_one(&tables[*index])).collect()
}

/// A list of people has names, or at least logins with addresses.
fn is_list(extract: &Extract) -> bool {
    let has = |header: &str| extract.found.iter().any(|found| found.header == header);
    has("surname") || has("givenname") || (has("username") && has("emailaddress"))
}

fn other(who: Who) -> Who {
    match who {
        Who::Students => Who::Staff,
        Who::Staff => Who::Students,
    }
}
