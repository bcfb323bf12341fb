//! Which column of a table fits which header.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::profile::{Level, Profile, gender};
use super::words::{Meaning, SYNONYMS, fit, is_key_of_person};
use super::{Sampled, Who};
use crate::infiniti::contract::{Holders, USERS};
use crate::source::catalogue::identifier;
use crate::source::{Engine, row::Column};

/// How one extract could be filled.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Who they are.
    pub who: Who,
    /// What was found, in the contract's order.
    pub found: Vec<Found>,
    /// What tells who is current, or who is a student: conditions that the query may need.
    pub filters: Vec<Filter>,
    /// What else must be known, such as usernames that come twice.
    pub remarks: Vec<String>,
    /// Columns that nothing uses, by their place in the table.
    pub unused: Vec<usize>,
    /// How likely it is that this is the right table; only to be compared.
    pub score: u32,
}

/// One header that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The header.
    pub header: &'static str,
    /// The columns that it needs, by their places in the table; the first is the one that holds the value.
    pub columns: Vec<usize>,
    /// How the value becomes the header's.
    pub rule: Rule,
    /// Why it was guessed, and what was counted.
    pub reason: String,
}

/// What stands after a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The column, with these transforms, as YAML.
    Column {
        /// Such as `lower`.
        transforms: Vec<String>,
        /// From value to value.
        lookup: Vec<(String, String)>,
    },
    /// A template; `{0}` and `{1}` stand for the names of the columns.
    Template(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As SQL; `None` if it is not known which value is meant.
    pub sql: Option<String>,
    /// What was counted.
    pub about: String,
    /// Whether it tells students from staff.
    pub is_role: bool,
}

/// The least fit of a name, from 0 to 100.
const FIT_MIN: u32 = 55;
/// The fit of a name that leaves little doubt.
const FIT_SURE: u32 = 70;

/// Proposes how the patrons of `who` could come from a table. `year` is this calendar year.
pub fn propose(who: Who, table: &Sampled, engine: Engine, year: i16) -> Extract {
    let columns = &table.rows.columns;
    let profiles: Vec<Profile> = (0..columns.len()).map(|column| Profile::of(&table.rows, column)).collect();
    let best = assign(columns, &profiles, &table.table);
    let at = |meaning| best.get(&meaning).copied();
    let mut found = Vec::new();
    for header in USERS.iter().map(|header| USERS.rule(header)) {
        if header.holders == Holders::Students && who == Who::Staff {
            continue;
        }
        // Staff have no form class of their own: a teacher's is the one that they teach.
        if header.name == "formclass" && who == Who::Staff {
            continue;
        }
        if let Some((column, how)) = at(Meaning::Header(header.name)) {
            found.push(of_header(header.name, column, how, &profiles[column]));
        } else if header.name == "graduationyear"
            && let Some((level, how)) = at(Meaning::YearLevel)
        {
            let file_year = at(Meaning::FileYear).map(|(column, _)| column);
            found.push(of_level(level, how, file_year, &profiles, (engine, year)));
        }
    }
    let used: Vec<usize> = found.iter().flat_map(|found| found.columns.iter().copied()).collect();
    let mut filters = filters(who, columns, &profiles, engine);
    let unused = (0..columns.len()).filter(|column| !used.contains(column)).collect();
    let mut remarks = Vec::new();
    if let Some((column, _)) = at(Meaning::Header("username")) {
        let profile = &profiles[column];
        if profile.distinct < profile.filled {
            filters.extend(periods(columns, &profiles));
            remarks.push(format!(
                "`{}` is not unique: {} of {} values come again. Each person may come once only: the query needs a filter, such as the current semester.",
                columns[column].name,
                profile.filled - profile.distinct,
                profile.filled
            ));
        }
        if profile.filled < profile.rows {
            remarks.push(format!(
                "`{}` is blank in {} of {} rows; such rows are rejected.",
                columns[column].name,
                profile.rows - profile.filled,
                profile.rows
            ));
        }
    }
    let score = score(&found, &profiles);
    Extract { who, found, filters, remarks, unused, score }
}

/// A column's place, and how its name fits.
type Choice = (usize, How);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Shape,
    Name(u32),
}

/// The best column for each meaning; none has two headers.
fn assign(columns: &[Column], profiles: &[Profile], table: &str) -> BTreeMap<Meaning, Choice> {
    // Where logins come again, as in a table of semesters, everything that is a person's own does.
    let logins = SYNONYMS.iter().find(|(meaning, _)| *meaning == Meaning::Header("username"));
    let persons = (columns.iter().zip(profiles))
        .filter(|(column, _)| logins.is_some_and(|(_, synonyms)| fit(&column.name, synonyms) >= FIT_SURE))
        .map(|(_, profile)| profile.distinct)
        .max()
        .unwrap_or(usize::MAX);
    let mut offers: Vec<(u32, Meaning, Choice)> = Vec::new();
    for (index, (column, profile)) in columns.iter().zip(profiles).enumerate() {
        for (meaning, synonyms) in &SYNONYMS {
            if matches!(meaning, Meaning::Status | Meaning::LeavingDate | Meaning::Role | Meaning::Period) {
                continue;
            }
            let mut name = fit(&column.name, synonyms);
            if *meaning == Meaning::Header("adminsystemid") && is_key_of_person(&column.name, table) {
                // Of a table's own key and a number that people know, the number comes first.
                name = name.max(88);
            }
            let fits_shape = has_shape(*meaning, profile, &column.name, persons);
            if name >= FIT_MIN && (profile.filled == 0 || fits_shape) {
                // A column without a value in the sample comes after any that has some.
                let weight = if profile.filled == 0 { name / 2 } else { name * 2 };
                offers.push((weight, *meaning, (index, How::Name(name))));
            } else if fits_shape && says_it_all(*meaning, profile) && !is_somebody_elses(&column.name) {
                offers.push((FIT_MIN, *meaning, (index, How::Shape)));
            }
        }
    }
    // The earlier column wins a tie: tables begin with what matters.
    offers.sort_by_key(|(weight, meaning, (index, _))| (std::cmp::Reverse(*weight), *index, *meaning));
    let mut best = BTreeMap::new();
    let mut taken = Vec::new();
    for (_, meaning, choice) in offers {
        if !best.contains_key(&meaning) && !taken.contains(&choice.0) {
            taken.push(choice.0);
            best.insert(meaning, choice);
        }
    }
    best
}

/// Whether the values can be what the name says. Only for columns with values. `persons` is how many people there seem to
/// be in the sample.
fn has_shape(meaning: Meaning, profile: &Profile, name: &str, persons: usize) -> bool {
    let Profile { filled, distinct, .. } = *profile;
    let most = |count: usize| count * 2 > filled;
    let differ = distinct * 10 >= filled.min(persons) * 8;
    match meaning {
        Meaning::Header("username") => {
            // A number is a login only if the name leaves no doubt: `user_id` is a key.
            let is_sure =
                ["login", "logon", "username"].iter().any(|word| name.to_lowercase().replace('_', "").contains(word));
            // Who is sure of the name takes a login that comes again, once a semester; that is told.
            (distinct * 2 > filled || (is_sure && distinct > 1))
                && profile.spaces * 20 <= filled
                && !most(profile.dates)
                && (is_sure || !most(profile.numbers))
        }
        Meaning::Header("emailaddress") => most(profile.with_address()),
        Meaning::Header("gender") => most(profile.genders) || profile.codes().is_some(),
        Meaning::Header("librarybarcode" | "adminsystemid") => {
            differ && !most(profile.dates) && !most(profile.addresses) && !most(profile.spaces)
        }
        Meaning::Header("formclass") => {
            !(most(profile.dates) || most(profile.addresses) || (filled > 20 && profile.is_unique()))
        }
        Meaning::Header("graduationyear") | Meaning::FileYear => profile.nearly_all(profile.years),
        Meaning::Header(_) => !most(profile.dates) && !most(profile.addresses) && !most(profile.numbers),
        Meaning::YearLevel => profile.nearly_all(profile.levels),
        Meaning::Status | Meaning::Role | Meaning::Period => profile.codes().is_some(),
        Meaning::LeavingDate => profile.nearly_all(profile.dates),
    }
}

/// Whether the values alone tell, whatever the name is.
fn says_it_all(meaning: Meaning, profile: &Profile) -> bool {
    match meaning {
        Meaning::Header("emailaddress") => profile.filled >= 5 && profile.nearly_all(profile.with_address()),
        Meaning::Header("gender") => {
            profile.filled >= 10 && profile.genders == profile.filled && (2..=4).contains(&profile.distinct)
        }
        _ => false,
    }
}

fn is_somebody_elses(name: &str) -> bool {
    super::words::is_somebody_elses(name)
}

fn of_header(header: &'static str, column: usize, how: How, profile: &Profile) -> Found {
    let mut transforms = Vec::new();
    let mut lookup = Vec::new();
    let mut counted = filled(profile);
    match header {
        "emailaddress" => {
            let mut facts = vec![format!("{} of {} look like addresses", profile.addresses, profile.filled)];
            if let Some((separator, count)) = profile.several.iter().max_by_key(|(_, count)| **count) {
                transforms.push(format!("{{ first_of: \"{separator}\" }}"));
                facts.push(format!("{count} hold several"));
            }
            if profile.capitals > 0 {
                transforms.push("lower".to_owned());
            }
            if profile.filled > 0 {
                counted = facts.join(", ");
            }
        }
        "graduationyear" if profile.filled > 0 => {
            counted = format!("{} of {} are years", profile.years, profile.filled);
        }
        "gender" if profile.filled > 0 => {
            counted = format!("{} of {} are known words", profile.genders, profile.filled);
            let is_as_sent = profile.few_values().all(|value| matches!(value, "M" | "F" | "m" | "f"));
            if !is_as_sent {
                lookup = (profile.few_values())
                    .filter_map(|value| Some((value.to_owned(), gender(value)?.to_owned())))
                    .collect();
                lookup.push(("*".to_owned(), String::new()));
            }
        }
        "username" | "librarybarcode" | "adminsystemid" if profile.is_unique() && profile.rows > 1 => {
            counted.push_str(", all different");
            if profile.padded > 0 {
                counted.push_str(", some with leading zeros, which stay");
            }
        }
        _ => {}
    }
    Found { header, columns: vec![column], rule: Rule::Column { transforms, lookup }, reason: reason(how, &counted) }
}

/// `graduationyear` from a year level.
fn of_level(
    level: usize,
    how: How,
    file_year: Option<usize>,
    profiles: &[Profile],
    (engine, year): (Engine, i16),
) -> Found {
    let profile = &profiles[level];
    let mut early = Vec::new();
    let mut words = Vec::new();
    let mut is_padded = false;
    for value in profile.few_values() {
        match Level::of(value) {
            Some(Level::Early) => early.push(format!("'{value}'")),
            Some(Level::Worded(_)) => {
                let word: String = value.chars().take_while(|c| !c.is_ascii_digit()).collect();
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            Some(Level::Padded(_)) => is_padded = true,
            Some(Level::Number(_)) | None => {}
        }
    }
    let mut number = "{0}".to_owned();
    for word in &words {
        number = format!("{number}|replace('{word}', '')");
    }
    // Too many values to know them all: all that are no plain numbers are read as such.
    if is_padded || !words.is_empty() {
        number.push_str("|int");
    }
    if !early.is_empty() {
        number = format!("(0 if {{0}} in [{}] else {number})", early.join(", "));
    }
    let last = if profile.highest == 13 { 13 } else { 12 };
    let (start, columns) = match file_year {
        Some(file_year) => ("{1}".to_owned(), vec![level, file_year]),
        None => (year.to_string(), vec![level]),
    };
    let mut counted =
        format!("{} of {} are year levels; year {last} is taken for the last", profile.levels, profile.filled);
    if file_year.is_none() {
        let _ = write!(
            counted,
            "; TODO: no column has the school year: move {year} on every year, or join a table that has it"
        );
        if let Some(now) = this_year(engine) {
            let _ = write!(
                counted,
                ", or take the clock's: add `{now} AS school_year` to the SELECT, and write `school_year` for {year}"
            );
        }
    }
    Found {
        header: "graduationyear",
        columns,
        rule: Rule::Template(format!("{{{{ {start} + {last} - {number} }}}}")),
        reason: reason(how, &counted),
    }
}

/// This calendar year as SQL, as the shipped mappings write it; of a database behind ODBC nobody knows.
fn this_year(engine: Engine) -> Option<&'static str> {
    match engine {
        Engine::SqlServer => Some("YEAR(GETDATE())"),
        Engine::Postgres => Some("EXTRACT(YEAR FROM CURRENT_DATE)"),
        Engine::MySql => Some("YEAR(CURDATE())"),
        Engine::Sqlite | Engine::Csv => Some("CAST(strftime('%Y', 'now', 'localtime') AS integer)"),
        Engine::Odbc => None,
    }
}

fn reason(how: How, counted: &str) -> String {
    let by = match how {
        How::Shape => "by its values",
        How::Name(_) => "by name",
    };
    format!("guessed {by}; {counted}")
}

fn filled(profile: &Profile) -> String {
    match (profile.filled, profile.rows) {
        (_, 0) => "no row to look at".to_owned(),
        (0, rows) => format!("blank in all {rows} rows"),
        (filled, rows) => format!("filled in {filled} of {rows}"),
    }
}

/// What a filter may need: status, leaving date, and in tables of everybody the role.
fn filters(who: Who, columns: &[Column], profiles: &[Profile], engine: Engine) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (meaning, synonyms) in &SYNONYMS {
        let is_filter = matches!(meaning, Meaning::Status | Meaning::LeavingDate | Meaning::Role);
        for (column, profile) in columns.iter().zip(profiles).filter(|_| is_filter) {
            if fit(&column.name, synonyms) < FIT_SURE || !has_shape(*meaning, profile, &column.name, usize::MAX) {
                continue;
            }
            let name = identifier(engine, &column.name);
            if *meaning == Meaning::LeavingDate {
                filters.push(has_not_left(&name, column, profile, engine));
                continue;
            }
            let Some(codes) = profile.codes() else { continue };
            let wanted = (codes.iter())
                .find(
                    |(code, _)| {
                        if *meaning == Meaning::Role { is_role(code, who) } else { is_current(code, &column.name) }
                    },
                )
                .map(|(code, _)| *code);
            if *meaning == Meaning::Role && wanted.is_none() {
                continue;
            }
            filters.push(Filter {
                // Where all rows say the same, there is nothing to choose.
                sql: wanted
                    .filter(|_| codes.len() > 1 || profile.filled < profile.rows)
                    .map(|code| format!("{name} = {}", literal(engine, column, profile, code))),
                about: match wanted {
                    None if codes.len() > 1 => {
                        format!("TODO: who is there now? {}", counted(column, &codes, profile))
                    }
                    _ => counted(column, &codes, profile),
                },
                is_role: *meaning == Meaning::Role,
            });
        }
    }
    filters
}

/// Whoever has no leaving date, or one to come.
fn has_not_left(name: &str, column: &Column, profile: &Profile, engine: Engine) -> Filter {
    let counted = format!("`{}` has a date in {} of {} rows", column.name, profile.filled, profile.rows);
    // In CSV files an empty field is the empty text, and a day is text, too.
    let (sql, about) = match (engine, profile.days_first) {
        (Engine::Csv, 0) => (Some(format!("({name} = '' OR {name} > CURRENT_TIMESTAMP)")), counted),
        (Engine::Csv, days) if days == profile.filled => {
            let day = format!("substr({name}, 7, 4) || substr({name}, 4, 2) || substr({name}, 1, 2)");
            (Some(format!("({name} = '' OR {day} > strftime('%Y%m%d', 'now', 'localtime'))")), counted)
        }
        (_, 0) => (Some(format!("({name} IS NULL OR {name} > CURRENT_TIMESTAMP)")), counted),
        _ => (None, format!("TODO: who is there now? {counted}, as text with the day first")),
    };
    Filter { sql, about, is_role: false }
}

/// Columns by which rows of one person differ: school year and semester. Which is the current one, another table knows.
fn periods(columns: &[Column], profiles: &[Profile]) -> Vec<Filter> {
    let mut periods = Vec::new();
    for (column, profile) in columns.iter().zip(profiles) {
        let is_one = SYNONYMS.iter().any(|(meaning, synonyms)| {
            matches!(meaning, Meaning::FileYear | Meaning::Period)
                && fit(&column.name, synonyms) >= FIT_SURE
                && has_shape(*meaning, profile, &column.name, usize::MAX)
        });
        if let Some(codes) = profile.codes().filter(|codes| is_one && codes.len() > 1) {
            periods.push(Filter { sql: None, about: counted(column, &codes, profile), is_role: false });
        }
    }
    periods
}

/// `` `status`: ACTV 180, LFT 20 (in 200 rows) ``.
fn counted(column: &Column, codes: &[(&str, usize)], profile: &Profile) -> String {
    let counts: Vec<String> = codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let blank = profile.rows - profile.filled;
    let blank = if blank > 0 { format!(", blank {blank}") } else { String::new() };
    format!("`{}`: {}{blank} (in {} rows)", column.name, counts.join(", "), profile.rows)
}

/// Whether a code of a status says that somebody is there. `1` says so only of a flag.
fn is_current(code: &str, column: &str) -> bool {
    let code = code.to_lowercase();
    let name = column.to_lowercase();
    let is_yes = matches!(code.as_str(), "y" | "yes" | "true" | "t" | "1");
    let is_no = matches!(code.as_str(), "n" | "no" | "false" | "f" | "0");
    if ["inactive", "archived", "deleted", "disabled", "left", "leaver"].iter().any(|word| name.contains(word)) {
        return is_no;
    }
    let is_flag = !name.contains("status");
    (is_flag && is_yes)
        || matches!(
            code.as_str(),
            "active"
                | "actv"
                | "act"
                | "a"
                | "current"
                | "cur"
                | "curr"
                | "full"
                | "enrolled"
                | "enr"
                | "present"
                | "attending"
        )
}

fn is_role(code: &str, who: Who) -> bool {
    super::words::is_of(code, who)
}

/// A code as SQL. `bit` and `boolean` columns are read as `Y` and `N`, whatever the engine writes.
fn literal(engine: Engine, column: &Column, profile: &Profile, code: &str) -> String {
    let type_name = column.type_name.to_lowercase();
    let is_bit = type_name.starts_with("bit") || type_name.starts_with("bool");
    match (is_bit, engine, code) {
        (true, Engine::Postgres, "Y") => "true".to_owned(),
        (true, Engine::Postgres, "N") => "false".to_owned(),
        (true, Engine::SqlServer | Engine::MySql | Engine::Sqlite | Engine::Odbc, "Y") => "1".to_owned(),
        (true, Engine::SqlServer | Engine::MySql | Engine::Sqlite | Engine::Odbc, "N") => "0".to_owned(),
        _ if profile.numbers == profile.filled && !type_name.contains("char") && !type_name.contains("text") => {
            code.to_owned()
        }
        _ => format!("'{}'", code.replace('\'', "''")),
    }
}

/// Headers that a list of people has, with what they weigh.
fn score(found: &[Found], profiles: &[Profile]) -> u32 {
    (found.iter())
        .map(|found| {
            let weight = match found.header {
                "username" => 30,
                "surname" | "graduationyear" => 15,
                "givenname" | "emailaddress" | "formclass" => 10,
                _ => 5,
            };
            let is_filled = found.columns.first().is_some_and(|column| profiles[*column].filled > 0);
            if is_filled { weight } else { weight / 2 }
        })
        .sum()
}
