//! Which other table has what one lacks, and by which columns they belong together. Only ever a suggestion, and in a form
//! that makes no row come twice and no name mean two columns: a condition, or a column that is a query of its own.

use super::profile::Profile;
use super::words::{is_of, words};
use super::write::{Look, Sql};
use super::{Picked, Sampled, Who, propose};
use crate::source::catalogue::identifier;

/// Another table that has a header which was not found, and the column that its query needs for it, in words.
pub(super) fn having(look: &Look<'_>, picked: &Picked, header: &str) -> Option<String> {
    let own = &look.tables[picked.table];
    // A login of a teacher is none of a student.
    let who = picked.extract.who;
    let other = if who == Who::Students { Who::Staff } else { Who::Students };
    others(look, picked).filter(|table| !is_of(&table.table, other) || is_of(&table.table, who)).find_map(|table| {
        let proposed = propose(who, table, look.engine, look.year);
        let wanted = *proposed.found.iter().find(|found| found.header == header)?.columns.first()?;
        let link = link(look, own, table).filter(|link| link.by != wanted)?;
        let name = identifier(look.engine, &table.rows.columns[wanted].name);
        let several = if link.is_single { "" } else { ", and a condition, since it has several rows a person" };
        Some(format!(
            "`{}` has `{}`; perhaps add to the SELECT: (SELECT j.{name} FROM {} j WHERE j.{} = {}.{}) AS {name}{several}",
            table.name, table.rows.columns[wanted].name, link.table, link.theirs, link.own, link.mine
        ))
    })
}

/// A table that says by its name who the people in a table of everybody are: its name, and the condition.
pub(super) fn telling(look: &Look<'_>, picked: &Picked) -> Option<(String, String)> {
    let own = &look.tables[picked.table];
    let who = picked.extract.who;
    let other = if who == Who::Students { Who::Staff } else { Who::Students };
    others(look, picked).filter(|table| is_of(&table.table, who) && !is_of(&table.table, other)).find_map(|table| {
        let link = link(look, own, table)?;
        Some((table.name.clone(), format!("{} IN (SELECT {} FROM {})", link.mine, link.theirs, link.table)))
    })
}

fn others<'l>(look: &'l Look<'_>, picked: &Picked) -> impl Iterator<Item = &'l Sampled> {
    let own = picked.table;
    look.tables.iter().enumerate().filter(move |(index, _)| *index != own).map(|(_, table)| table)
}

/// How two tables belong together, as SQL.
struct Link {
    /// This table and its column.
    own: String,
    mine: String,
    /// The other one.
    table: String,
    theirs: String,
    /// The column of the other table.
    by: usize,
    /// Whether the other table has no more than one row for each of these.
    is_single: bool,
}

/// A column of the same name that is a key, or one that is named after the other table: `user_id` and `auth_user.id`.
/// What is no key on either side, such as `school_id`, would join everybody with everybody.
fn link(look: &Look<'_>, own: &Sampled, other: &Sampled) -> Option<Link> {
    let (Sql::From(own_sql), Sql::From(other_sql)) = (&own.sql, &other.sql) else { return None };
    let place = |table: &Sampled, name: &str| {
        table.rows.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    };
    let named_after = |table: &Sampled, of: &Sampled| {
        let noun = words(&of.table).pop()?;
        let noun = noun.strip_suffix('s').filter(|noun| !noun.ends_with('s')).unwrap_or(&noun).to_owned();
        table.rows.columns.iter().position(|column| {
            let words = words(&column.name);
            words.len() > 1 && words.ends_with(&[noun.clone(), "id".to_owned()])
        })
    };
    let same = || {
        other.rows.columns.iter().enumerate().find_map(|(by, column)| {
            let name = column.name.to_lowercase();
            let is_key = name.len() > 2 && ["id", "key", "no", "code", "number"].iter().any(|end| name.ends_with(end));
            Some((place(own, &column.name).filter(|_| is_key)?, by))
        })
    };
    let ways = [same(), place(own, "id").zip(named_after(other, own)), named_after(own, other).zip(place(other, "id"))];
    ways.into_iter().flatten().find_map(|(mine, by)| {
        let own_key = Profile::of(&own.rows, mine);
        let other_key = Profile::of(&other.rows, by);
        if !own_key.is_unique() && !other_key.is_unique() {
            return None;
        }
        let name = |table: &Sampled, column: usize| identifier(look.engine, &table.rows.columns[column].name);
        Some(Link {
            own: own_sql.clone(),
            mine: name(own, mine),
            table: other_sql.clone(),
            theirs: name(other, by),
            by,
            is_single: other_key.is_unique(),
        })
    })
}
