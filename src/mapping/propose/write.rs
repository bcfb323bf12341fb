//! The block `users:` of a mapping as text, with comments that say what was guessed and what is still to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::columns::{Extract, Found, Rule};
use super::{Picked, Sampled, Who, joins};
use crate::infiniti::contract::{Holders, Presence, USERS};
use crate::source::Engine;
use crate::source::catalogue::identifier;

/// How SQL reads a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sql {
    /// A table or a view, as it stands after `FROM`.
    From(String),
    /// A query that somebody gave.
    Query(String),
}

/// What a look at the database found.
#[derive(Debug)]
pub struct Look<'t> {
    /// The engine.
    pub engine: Engine,
    /// This calendar year.
    pub year: i16,
    /// The tables that were looked at.
    pub tables: &'t [Sampled],
    /// The table of students.
    pub students: Option<Picked>,
    /// The table of staff.
    pub staff: Option<Picked>,
}

/// Where comments begin that stand behind a line.
const COMMENT_COLUMN: usize = 46;
/// How long lines of comments and SQL become.
const WIDTH: usize = 116;
/// So many unused columns are named.
const UNUSED_MAX: usize = 60;

/// The block `users:`; `look` is `None` if nobody could look at the database.
pub fn users(look: Option<&Look<'_>>) -> String {
    let mut out = String::from(
        "\
users:
  # One extract is one query; each row is one person, who must come once only. Left of the colon stands Infiniti's header,
  # right of it the column of the query. A blank is not sent, and Infiniti keeps what it has. Look at each line.
",
    );
    for who in [Who::Students, Who::Staff] {
        let picked = look.and_then(|look| match who {
            Who::Students => look.students.as_ref().map(|picked| (look, picked)),
            Who::Staff => look.staff.as_ref().map(|picked| (look, picked)),
        });
        match picked {
            Some((look, picked)) => write_extract(&mut out, look, picked),
            None => write_skeleton(&mut out, who, look.is_some()),
        }
        if who == Who::Students {
            out.push('\n');
        }
    }
    out
}

fn write_extract(out: &mut String, look: &Look<'_>, picked: &Picked) {
    let table = &look.tables[picked.table];
    let extract = &picked.extract;
    let _ = writeln!(out, "  - name: {}", extract.who.name());
    let rows = table.rows.rows.len();
    let mut about = match (&table.sql, rows) {
        (Sql::From(from), 0) => format!("Guessed from `{from}`, which has no rows."),
        (Sql::From(from), _) => format!("Guessed from `{from}`, of which {} looked at.", rows_were(rows)),
        (Sql::Query(_), 0) => "Guessed from the query, which gives no rows.".to_owned(),
        (Sql::Query(_), _) => format!("Guessed from the query, of which {} looked at.", rows_were(rows)),
    };
    if !picked.others.is_empty() {
        let others: Vec<String> = picked.others.iter().map(|other| format!("`{}`", look.tables[*other].name)).collect();
        let _ = write!(about, " Others that could be meant: {}.", others.join(", "));
    }
    comment(out, 4, &about);
    let telling = joins::telling(look, picked).filter(|_| picked.is_shared);
    if let Some((table, _)) = &telling {
        comment(out, 4, &format!("`{table}` seems to list the {}.", extract.who.name()));
    }
    let has_role = extract.filters.iter().any(|filter| filter.sql.is_some() && filter.is_role);
    if picked.is_shared && telling.is_none() && !has_role {
        comment(
            out,
            4,
            &format!("TODO: nothing says that these are {}: does the query need a WHERE?", extract.who.name()),
        );
    }
    for remark in &extract.remarks {
        comment(out, 4, &format!("TODO: {remark}"));
    }
    for filter in &extract.filters {
        comment(out, 4, &filter.about);
    }
    let conditions: Vec<&str> = (extract.filters.iter().filter_map(|filter| filter.sql.as_deref()))
        .chain(telling.iter().map(|(_, condition)| condition.as_str()))
        .collect();
    let names = names(table, extract);
    match &table.sql {
        Sql::From(from) => {
            if !conditions.is_empty() {
                comment(
                    out,
                    4,
                    "TODO: without a WHERE everybody is sent who was ever in the table: take the `-- ` off if this one is right.",
                );
            }
            let _ = writeln!(out, "    query: |");
            let mut columns: Vec<usize> =
                extract.found.iter().flat_map(|found| found.columns.iter().copied()).collect();
            columns.sort_unstable();
            columns.dedup();
            if columns.is_empty() {
                columns = (0..table.rows.columns.len()).collect();
            }
            let columns: Vec<String> = (columns.iter())
                .map(|column| {
                    let name = &table.rows.columns[*column].name;
                    let written = identifier(look.engine, name);
                    if names[*column] == *name { written } else { format!("{written} AS {}", names[*column]) }
                })
                .collect();
            wrapped(out, "      SELECT ", "             ", &columns);
            let _ = writeln!(out, "      FROM {from}");
            if !conditions.is_empty() {
                let _ = writeln!(out, "      -- WHERE {}", conditions.join(" AND "));
            }
        }
        Sql::Query(query) => {
            if !conditions.is_empty() {
                comment(out, 4, &format!("Does it keep to who is there? If not: {}", conditions.join(" AND ")));
            }
            let _ = writeln!(out, "    query: |");
            for line in query.trim().lines() {
                let _ = writeln!(out, "{}", format!("      {}", line.trim_end()).trim_end());
            }
        }
    }
    let _ = writeln!(out, "    columns:");
    for header in USERS.iter().map(|header| USERS.rule(header)) {
        if header.holders == Holders::Students && extract.who == Who::Staff {
            continue;
        }
        match extract.found.iter().find(|found| found.header == header.name) {
            Some(found) => write_rule(out, found, &names),
            None => write_missing(out, header.name, extract.who, Some((look, picked, &names))),
        }
    }
    let unused: Vec<String> = extract.unused.iter().map(|column| table.rows.columns[*column].name.clone()).collect();
    if !unused.is_empty() {
        let more = unused.len().saturating_sub(UNUSED_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let first = unused.iter().take(UNUSED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        comment(out, 6, &format!("Columns that nothing uses: {first}{more}"));
    }
}

/// `1 row was`, `200 rows were`.
fn rows_were(count: usize) -> String {
    if count == 1 { "1 row was".to_owned() } else { format!("{count} rows were") }
}

/// What the mapping calls each column: its name, or in a template another if that could not stand there.
fn names(table: &Sampled, extract: &Extract) -> Vec<String> {
    let in_template: Vec<usize> = (extract.found.iter())
        .filter(|found| matches!(found.rule, Rule::Template(_)))
        .flat_map(|found| found.columns.iter().copied())
        .collect();
    (table.rows.columns.iter().enumerate())
        .map(|(index, column)| match table.sql {
            Sql::From(_) if in_template.contains(&index) => as_variable(&column.name),
            Sql::From(_) | Sql::Query(_) => column.name.clone(),
        })
        .collect()
}

/// A name that a template can hold.
fn as_variable(name: &str) -> String {
    const KEYWORDS: [&str; 12] =
        ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null", "loop"];
    let mut variable: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if variable.starts_with(|first: char| first.is_ascii_digit()) {
        variable.insert(0, '_');
    }
    if KEYWORDS.contains(&variable.to_lowercase().as_str()) {
        variable.push('_');
    }
    variable
}

fn write_rule(out: &mut String, found: &Found, names: &[String]) {
    let name = |at: usize| found.columns.get(at).map_or("", |column| names[*column].as_str());
    let rule = match &found.rule {
        Rule::Column { transforms, lookup } if transforms.is_empty() && lookup.is_empty() => scalar(name(0)),
        Rule::Column { transforms, lookup } => {
            let mut rule = format!("{{ column: {}", scalar(name(0)));
            if !lookup.is_empty() {
                let pairs: Vec<String> =
                    lookup.iter().map(|(from, to)| format!("{}: {}", scalar(from), scalar(to))).collect();
                let _ = write!(rule, ", lookup: {{ {} }}", pairs.join(", "));
            }
            if !transforms.is_empty() {
                let _ = write!(rule, ", transform: [{}]", transforms.join(", "));
            }
            rule + " }"
        }
        Rule::Template(_) if (0..found.columns.len()).any(|at| as_variable(name(at)) != name(at)) => {
            let _ = writeln!(out, "      {}:", found.header);
            comment(
                out,
                6,
                &format!(
                    "TODO: could be made of `{}`, but a template needs names without spaces and signs: give it one by AS in the query.",
                    name(0)
                ),
            );
            return;
        }
        Rule::Template(template) => {
            format!("{{ template: {} }}", scalar(&template.replace("{0}", name(0)).replace("{1}", name(1))))
        }
    };
    line(out, &format!("      {}: {rule}", found.header), &found.reason);
}

/// Where a header is wanted that was not found.
type Place<'p> = Option<(&'p Look<'p>, &'p Picked, &'p [String])>;

/// A header that was not found: blank if it is mandatory, so that `check` tells; else commented out.
fn write_missing(out: &mut String, header: &'static str, who: Who, place: Place<'_>) {
    let found = |wanted: &str| {
        let (_, picked, names) = place?;
        let found = picked.extract.found.iter().find(|found| found.header == wanted)?;
        found.columns.first().map(|column| scalar(&names[*column]))
    };
    match header {
        "enabled" => {
            line(out, "      enabled: { value: true }", "all that the query gives; who left must not be in it");
        }
        "staffmember" => line(out, &format!("      staffmember: {{ value: {} }}", who == Who::Staff), ""),
        "username" => {
            line(out, "      username:", "TODO: the column with the login, by which Infiniti knows the patron");
            if let Some(email) = found("emailaddress") {
                comment(out, 6, "If the logins are what stands before the @ of the address:");
                comment(out, 6, &format!("username: {{ column: {email}, transform: [{{ first_of: \"@\" }}, lower] }}"));
            }
        }
        "graduationyear" if who == Who::Students => {
            line(out, "      graduationyear:", "TODO: a column with the year in which they finish school");
            comment(out, 6, "Or made of the year level and the school year, if the query gives them:");
            comment(out, 6, "graduationyear: { template: \"{{ FileYear + 12 - YearLevel }}\" }");
            comment(out, 6, "Or, if the school uses levels in Infiniti, `academiclevel` with their import IDs.");
        }
        "librarybarcode" => match found("adminsystemid") {
            Some(id) if who == Who::Staff && as_variable(&id) == id && has_numbers_of_students(place) => line(
                out,
                &format!("      # librarybarcode: {{ template: \"T{{{{ {id} }}}}\" }}"),
                "if the cards bear it; the bare number is a student's, too, and both would be rejected",
            ),
            Some(id) => line(
                out,
                &format!("      # librarybarcode: {id}"),
                "if the cards bear this number; without a barcode nobody can borrow",
            ),
            None => line(
                out,
                "      # librarybarcode: TODO",
                "the number on the library card; without it nobody can borrow",
            ),
        },
        "emailaddress" => {
            let why = match who {
                Who::Students => "the school's address of the student",
                Who::Staff => "staff need one: without it Infiniti cannot write to them",
            };
            line(out, "      # emailaddress: TODO", why);
        }
        "adminsystemid" => {
            line(out, "      # adminsystemid: TODO", "the SIS's own number of the person, which never changes");
        }
        "formclass" if who == Who::Students => {
            line(out, "      # formclass: TODO", "form class, home group, roll class, tutor group");
        }
        "gender" => line(
            out,
            "      # gender: TODO",
            "for example { column: Sex, lookup: { Male: M, Female: F, \"*\": \"\" } }",
        ),
        "givenname" | "surname" => {
            line(out, &format!("      # {header}: TODO"), "wanted on every screen of the library");
        }
        // Most schools do without these.
        _ => {}
    }
    let is_wanted = matches!(
        header,
        "username" | "emailaddress" | "graduationyear" | "librarybarcode" | "formclass" | "surname" | "givenname"
    );
    if let Some((look, picked, _)) = place.filter(|_| is_wanted)
        && let Some(join) = joins::having(look, picked, header)
    {
        comment(out, 6, &join);
    }
    debug_assert!(USERS.header(header).is_some());
}

/// Whether numbers of staff are numbers of students, too, as where two tables count from 1.
fn has_numbers_of_students(place: Place<'_>) -> bool {
    let numbers = |look: &Look<'_>, picked: &Picked| -> BTreeSet<String> {
        let found = picked.extract.found.iter().find(|found| found.header == "adminsystemid");
        let column = found.and_then(|found| found.columns.first().copied());
        let rows = &look.tables[picked.table].rows.rows;
        let cells = rows.iter().filter_map(|row| Some(row.get(column?)?.trim().to_owned()));
        cells.filter(|cell| !cell.is_empty()).collect()
    };
    let Some((look, staff, _)) = place else { return false };
    look.students.as_ref().is_some_and(|students| {
        students.table != staff.table && !numbers(look, students).is_disjoint(&numbers(look, staff))
    })
}

/// The extract when there is nothing to guess from.
fn write_skeleton(out: &mut String, who: Who, has_looked: bool) {
    let _ = writeln!(out, "  - name: {}", who.name());
    if has_looked {
        comment(
            out,
            4,
            &format!(
                "No table was found that looks like one of {}. If there is one: `sispush init --table {}=NAME`.",
                who.name(),
                who.name()
            ),
        );
    }
    line(out, "    query: \"\"", "TODO: one SELECT, for example:");
    let (columns, table) = match who {
        Who::Students => ("login, given, family, email, leaving_year, barcode, form", "pupils"),
        Who::Staff => ("login, given, family, email, barcode", "teachers"),
    };
    let _ = writeln!(
        out,
        "    # query: |\n    #   SELECT {columns}\n    #   FROM {table}\n    #   WHERE status = 'current'"
    );
    let _ = writeln!(out, "    columns:");
    for header in USERS.iter().map(|header| USERS.rule(header)) {
        if header.holders != Holders::Students || header.presence == Presence::OneOfCohort && who == Who::Students {
            write_missing(out, header.name, who, None);
        }
    }
}

/// A line with a comment behind it, or below it where it is too long for that.
fn line(out: &mut String, text: &str, about: &str) {
    if about.is_empty() {
        let _ = writeln!(out, "{text}");
    } else if text.chars().count() < COMMENT_COLUMN && COMMENT_COLUMN + about.chars().count() < WIDTH + 30 {
        let _ = writeln!(out, "{text:<COMMENT_COLUMN$}# {about}");
    } else {
        comment(out, text.len() - text.trim_start().len(), &format!("{about}:"));
        let _ = writeln!(out, "{text}");
    }
}

/// A comment, in several lines if need be.
fn comment(out: &mut String, indent: usize, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.trim().is_empty() && indent + 2 + line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{:indent$}# {}", "", line.trim_end());
            line.clear();
        } else if !line.is_empty() || word.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{:indent$}# {}", "", line.trim_end());
}

/// A list parted by commas, in several lines if need be.
fn wrapped(out: &mut String, first: &str, further: &str, items: &[String]) {
    let mut line = first.to_owned();
    for (index, item) in items.iter().enumerate() {
        if line.len() + item.len() > WIDTH && line.trim() != first.trim() && !line.trim().is_empty() {
            let _ = writeln!(out, "{}", line.trim_end());
            further.clone_into(&mut line);
        }
        line.push_str(item);
        if index + 1 < items.len() {
            line.push_str(", ");
        }
    }
    let _ = writeln!(out, "{line}");
}

/// A text as YAML writes it: in double quotes unless it is a word that YAML reads as itself.
pub(super) fn scalar(text: &str) -> String {
    const WORDS: [&str; 11] = ["", "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.'))
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    if !text.contains(['\\', '\n', '\t']) && text.contains('"') && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
