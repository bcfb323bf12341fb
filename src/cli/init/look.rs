//! The look at the database: its tables, and the first rows of those that may be lists of people.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::args::InitArgs;
use crate::cli::output;
use crate::error::Error;
use crate::infiniti::builder::{Builder, MissingColumn};
use crate::mapping::propose::{self, Look, Picked, Sampled, Sql, Who};
use crate::mapping::{Mapping, nearest};
use crate::source::catalogue::{self, Relation};
use crate::source::table::{self, Table};
use crate::source::{self, Connection, Source, SourceError};
use crate::sync::ExtractError;

/// So many rows of a table are looked at.
pub(in crate::cli) const ROWS_MAX: usize = 200;
/// So many tables are looked at.
const TABLES_MAX: usize = 40;
/// No table is worth a longer wait: it is a guess.
const TABLE_TIMEOUT: Duration = Duration::from_secs(5);
/// All tables together. What comes after it is not looked at, and said so.
const TABLES_TIMEOUT: Duration = Duration::from_secs(12);

/// What somebody wants looked at.
#[derive(Debug, Default)]
pub(in crate::cli) struct Wanted {
    /// Tables by name.
    pub(in crate::cli) tables: Vec<(Option<Who>, String)>,
    /// Queries.
    pub(in crate::cli) queries: Vec<(Who, String)>,
}

impl Wanted {
    /// Takes the options apart.
    pub(super) fn of(args: &InitArgs) -> Result<Self, Error> {
        let mut wanted = Self::default();
        for text in &args.table {
            let (who, name) = of_whom(text);
            wanted.tables.push((who, name.to_owned()));
        }
        for text in &args.query {
            let (who, query) = of_whom(text);
            wanted.queries.push((who.unwrap_or(Who::Students), query.to_owned()));
        }
        for text in &args.query_file {
            let (who, path) = of_whom(text);
            let query =
                fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.into(), source })?;
            wanted.queries.push((who.unwrap_or(Who::Students), query));
        }
        for who in [Who::Students, Who::Staff] {
            let given = wanted.queries.iter().filter(|(of, _)| *of == who).count()
                + wanted.tables.iter().filter(|(of, _)| *of == Some(who)).count();
            if given > 1 {
                return Err(Error::Usage {
                    message: format!("{} are to come from more than one table or query", who.name()),
                    hint: Some("give each of them one: `students=NAME`, `staff=NAME`".into()),
                });
            }
        }
        for (_, query) in &wanted.queries {
            if query.trim().is_empty() || query.contains(|c: char| c.is_control() && !c.is_whitespace()) {
                return Err(Error::Usage { message: "the query is blank, or no text".into(), hint: None });
            }
        }
        Ok(wanted)
    }

    /// Whether somebody said what to look at.
    pub(in crate::cli) fn is_given(&self) -> bool {
        !self.tables.is_empty() || !self.queries.is_empty()
    }

    /// Whether nothing else is looked at. Who names one table leaves the other to be found; who writes a query does not.
    pub(in crate::cli) fn is_all(&self) -> bool {
        !self.queries.is_empty() || self.tables.len() > 1
    }
}

fn of_whom(text: &str) -> (Option<Who>, &str) {
    [Who::Students, Who::Staff]
        .into_iter()
        .find_map(|who| Some((Some(who), text.strip_prefix(who.name())?.strip_prefix('=')?)))
        .unwrap_or((None, text))
}

/// The names of tables that nobody has picked.
#[derive(Debug, Default)]
pub(in crate::cli) struct Offers {
    /// Those that list people.
    pub(in crate::cli) lists: Vec<String>,
    /// The others.
    pub(in crate::cli) others: Vec<String>,
}

/// What was seen.
#[derive(Debug)]
pub(in crate::cli) struct Seen {
    connection: Connection,
    year: i16,
    tables: Vec<Sampled>,
    students: Option<Picked>,
    staff: Option<Picked>,
    /// The names of all tables and views.
    names: Vec<String>,
}

impl Seen {
    /// What may be meant where no table was picked: tables that list people, then the others.
    pub(super) fn offers(&self) -> Offers {
        let is_picked = |name: &String| {
            [&self.students, &self.staff].into_iter().flatten().any(|picked| self.tables[picked.table].name == *name)
        };
        let lists: Vec<String> = propose::lists(&self.tables, self.connection.engine, self.year)
            .into_iter()
            .map(|index| self.tables[index].name.clone())
            .filter(|name| !is_picked(name))
            .collect();
        let others = self.names.iter().filter(|name| !is_picked(name) && !lists.contains(name)).cloned().collect();
        Offers { lists, others }
    }

    /// What a mapping is made of; `None` if it is made of a shipped one.
    pub(super) fn look(&self) -> Option<Look<'_>> {
        (self.year != 0).then(|| Look {
            engine: self.connection.engine,
            year: self.year,
            tables: &self.tables,
            students: self.students.clone(),
            staff: self.staff.clone(),
        })
    }
}

/// Logs in, and unless the mapping comes from a shipped one looks at tables.
///
/// # Errors
/// [`ExtractError::Connect`]; [`Error::Usage`] for a table that is not there; that of a given query.
pub(super) async fn look(connection: &Connection, wanted: &Wanted, is_shipped: bool) -> Result<Seen, Error> {
    let mut sessions = Sessions { connection: connection.clone(), open: None };
    sessions.open().await.map_err(|source| Error::Source(connect_error(connection, source)))?;
    let mut seen = Seen {
        connection: connection.clone(),
        year: 0,
        tables: Vec::new(),
        students: None,
        staff: None,
        names: Vec::new(),
    };
    if is_shipped {
        sessions.close().await;
        return Ok(seen);
    }
    seen.year = jiff::Zoned::now().year();
    let mut of: Vec<Option<Who>> = Vec::new();
    for (who, query) in &wanted.queries {
        let rows = sessions
            .read(query, ROWS_MAX)
            .await
            .map_err(|source| Error::Source(ExtractError::Query { extract: who.name().to_owned(), source }))?;
        seen.tables.push(Sampled {
            name: "the query".into(),
            table: String::new(),
            sql: Sql::Query(query.clone()),
            rows,
        });
        of.push(Some(*who));
    }
    if wanted.queries.is_empty() || !wanted.tables.is_empty() {
        let relations =
            sessions.catalogue().await.map_err(|source| Error::Source(connect_error(connection, source)))?;
        seen.names = relations.iter().map(Relation::to_string).collect();
        let chosen = chosen(&relations, wanted)?;
        let mut started = None;
        for (index, who) in chosen {
            if who.is_none() && started.is_none() {
                // From here on all is a guess.
                sessions.close().await;
                sessions.connection.timeout = connection.timeout.min(TABLE_TIMEOUT);
                started = Some(Instant::now());
            }
            if started.is_some_and(|started| started.elapsed() > TABLES_TIMEOUT) {
                break;
            }
            let relation = &relations[index];
            let Some(query) = relation.sample_query(connection.engine, ROWS_MAX) else { continue };
            match sessions.read(&query, ROWS_MAX).await {
                Ok(rows) => {
                    let sql = Sql::From(relation.in_sql(connection.engine));
                    let name = relation.to_string();
                    seen.tables.push(Sampled { name, table: relation.name.clone(), sql, rows });
                    of.push(who);
                }
                Err(source) if who.is_some() => {
                    return Err(Error::Source(ExtractError::Query { extract: relation.name.clone(), source }));
                }
                // A table that cannot be read is not the one.
                Err(error) => tracing::debug!(table = relation.name, %error, "not looked at"),
            }
        }
    }
    sessions.close().await;
    for who in [Who::Students, Who::Staff] {
        let given = of.iter().position(|of| *of == Some(who));
        let picked = match given {
            Some(table) => Some(Picked {
                table,
                extract: propose::propose(who, &seen.tables[table], connection.engine, seen.year),
                is_shared: false,
                others: Vec::new(),
            }),
            None => propose::pick(who, &seen.tables, connection.engine, seen.year),
        };
        match who {
            Who::Students => seen.students = picked,
            Who::Staff => seen.staff = picked,
        }
    }
    Ok(seen)
}

/// The tables to look at: those that were named, or else those that look like lists of people.
fn chosen(relations: &[Relation], wanted: &Wanted) -> Result<Vec<(usize, Option<Who>)>, Error> {
    let mut chosen = Vec::new();
    for (who, name) in &wanted.tables {
        let plain = |text: &str| text.replace(['[', ']', '"', '`'], "").to_lowercase();
        let name = plain(name);
        let found = relations.iter().position(|relation| {
            plain(&relation.name) == name || plain(&format!("{}.{}", relation.schema, relation.name)) == name
        });
        let Some(index) = found else {
            let near = nearest(&name, relations.iter().map(|relation| relation.name.as_str()));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if relations.is_empty() => "this login sees no table at all".to_owned(),
                None => {
                    let names: Vec<String> = relations.iter().map(Relation::to_string).collect();
                    format!("there are {}", output::some_of(&names))
                }
            };
            return Err(Error::Usage {
                message: format!("there is no table or view `{name}`"),
                hint: Some(hint.into()),
            });
        };
        let next = if chosen.iter().any(|(_, of)| *of == Some(Who::Students)) { Who::Staff } else { Who::Students };
        let who = who.or_else(|| propose::who_by_name(&relations[index].name)).unwrap_or(next);
        chosen.push((index, Some(who)));
    }
    if !wanted.is_all() {
        let named = chosen.first().map(|(index, _)| *index);
        let candidates = propose::candidates(relations, TABLES_MAX).into_iter().filter(|index| Some(*index) != named);
        chosen.extend(candidates.map(|index| (index, None)));
    }
    Ok(chosen)
}

fn connect_error(connection: &Connection, source: SourceError) -> ExtractError {
    ExtractError::Connect { place: connection.to_string(), source }
}

/// One session after the other: one that has failed, or whose result was not read to its end, is good for nothing more.
struct Sessions {
    connection: Connection,
    open: Option<Box<dyn Source>>,
}

impl Sessions {
    async fn open(&mut self) -> Result<&mut dyn Source, SourceError> {
        if self.open.is_none() {
            self.open = Some(source::connect(&self.connection).await?);
        }
        match &mut self.open {
            Some(session) => Ok(session.as_mut()),
            None => Err(SourceError::Other { message: "there is no session".into() }),
        }
    }

    async fn read(&mut self, query: &str, most: usize) -> Result<Table, SourceError> {
        let session = self.open().await?;
        let result = table::read(session, query, most).await;
        if result.as_ref().map_or(true, |table| table.is_cut) {
            self.close().await;
        }
        result
    }

    async fn catalogue(&mut self) -> Result<Vec<Relation>, SourceError> {
        let engine = self.connection.engine;
        catalogue::read(self.open().await?, engine).await
    }

    async fn close(&mut self) {
        if let Some(session) = self.open.take() {
            session.close().await;
        }
    }
}

/// What came of one query of the new mapping.
#[derive(Debug)]
pub(in crate::cli) struct Trial {
    /// The extract.
    pub(in crate::cli) extract: String,
    /// How many columns it gives, and those that the mapping names and it does not give.
    pub(in crate::cli) result: Result<(usize, Vec<MissingColumn>), SourceError>,
}

/// Runs the queries of a mapping that is complete, up to their first row.
pub(super) async fn try_out(seen: &Seen, file: &Path, text: &str) -> Vec<Trial> {
    let Ok(mapping) = Mapping::parse(file, text) else { return Vec::new() };
    let mut sessions = Sessions { connection: seen.connection.clone(), open: None };
    let mut trials = Vec::new();
    for extract in &mapping.users.extracts {
        let result = sessions.read(&extract.query, 1).await.map(|table| {
            let missing = Builder::new(&mapping.users).start(extract, &table.columns).err().unwrap_or_default();
            (table.columns.len(), missing)
        });
        trials.push(Trial { extract: extract.name.clone(), result });
    }
    sessions.close().await;
    trials
}
