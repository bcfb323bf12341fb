//! What a database holds: the tables and views that a login may see, with their columns, and SQL to look at one.

use std::fmt;

use super::row::Column;
use super::{Engine, Source, SourceError, table};

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its schema; blank where the engine has none, or only one.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub is_view: bool,
    /// Its columns in their order, with their types in the database's own words.
    pub columns: Vec<Column>,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema.is_empty() { f.write_str(&self.name) } else { write!(f, "{}.{}", self.schema, self.name) }
    }
}

/// The most columns that are read, of all tables together. An ERP under the SIS has some ten thousand.
const COLUMNS_MAX: usize = 200_000;

/// Reads the tables and views of the session's database, without those of the system, in the order of their names.
///
/// # Errors
/// Any [`SourceError`] of a query.
pub async fn read(session: &mut dyn Source, engine: Engine) -> Result<Vec<Relation>, SourceError> {
    let query = match engine {
        Engine::Sqlite => return read_sqlite(session).await,
        Engine::Csv => return read_files(session).await,
        // Each has a catalogue of its own.
        Engine::Odbc => return Ok(Vec::new()),
        Engine::Postgres => POSTGRES,
        Engine::MySql => MYSQL,
        Engine::SqlServer => SQL_SERVER,
    };
    let found = table::read(session, query, COLUMNS_MAX).await?;
    let mut relations: Vec<Relation> = Vec::new();
    for row in found.rows {
        let [schema, name, is_view, column, type_name] = <[String; 5]>::try_from(row).unwrap_or_default();
        let column = Column { name: column, type_name };
        match relations.last_mut() {
            Some(last) if last.schema == schema && last.name == name => last.columns.push(column),
            _ => relations.push(Relation { schema, name, is_view: is_view == "1", columns: vec![column] }),
        }
    }
    Ok(relations)
}

/// Only what the login may read; partitions are their table's affair. `information_schema` leaves materialized views out.
const POSTGRES: &str = "\
SELECT n.nspname, c.relname, CASE WHEN c.relkind IN ('v', 'm') THEN 1 ELSE 0 END AS is_view,
       a.attname, format_type(a.atttypid, a.atttypmod) AS type_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname, a.attnum";

/// The tables of the database that is open. MySQL 8 gives the columns of this schema in capitals, MariaDB does not.
const MYSQL: &str = "\
SELECT '' AS in_schema, t.TABLE_NAME AS relation, CASE WHEN t.TABLE_TYPE LIKE '%VIEW' THEN 1 ELSE 0 END AS is_view,
       c.COLUMN_NAME AS column_name, c.COLUMN_TYPE AS type_name
FROM information_schema.TABLES t
JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = DATABASE()
ORDER BY t.TABLE_NAME, c.ORDINAL_POSITION";

/// Shows what the login may read, and nothing of the system.
const SQL_SERVER: &str = "\
SELECT t.TABLE_SCHEMA AS in_schema, t.TABLE_NAME AS relation,
       CASE WHEN t.TABLE_TYPE = 'VIEW' THEN 1 ELSE 0 END AS is_view,
       c.COLUMN_NAME AS column_name, c.DATA_TYPE AS type_name
FROM INFORMATION_SCHEMA.TABLES t
JOIN INFORMATION_SCHEMA.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME, c.ORDINAL_POSITION";

async fn read_sqlite(session: &mut dyn Source) -> Result<Vec<Relation>, SourceError> {
    const NAMES: &str = "SELECT name, type = 'view' AS is_view FROM sqlite_master \
                         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let mut relations = Vec::new();
    for row in table::read(session, NAMES, COLUMNS_MAX).await?.rows {
        let [name, is_view] = <[String; 2]>::try_from(row).unwrap_or_default();
        let query = format!("SELECT name, type FROM pragma_table_info('{}')", name.replace('\'', "''"));
        // One by one, since a view whose table is gone fails, and must not take the others along.
        let Ok(columns) = table::read(session, &query, COLUMNS_MAX).await else { continue };
        let columns = columns.rows.into_iter().filter_map(|row| {
            let [name, type_name] = <[String; 2]>::try_from(row).ok()?;
            Some(Column { name, type_name })
        });
        relations.push(Relation { schema: String::new(), name, is_view: is_view == "1", columns: columns.collect() });
    }
    Ok(relations)
}

/// Each file is a table, and its first line says the columns.
async fn read_files(session: &mut dyn Source) -> Result<Vec<Relation>, SourceError> {
    let mut relations = Vec::new();
    for name in session.tables() {
        let mut relation = Relation { schema: String::new(), name, is_view: false, columns: Vec::new() };
        let query = format!("SELECT * FROM {} LIMIT 0", relation.in_sql(Engine::Csv));
        // A file that cannot be read must not take the others along.
        let Ok(header) = table::read(session, &query, 1).await else { continue };
        relation.columns = header.columns;
        relations.push(relation);
    }
    Ok(relations)
}

impl Relation {
    /// Its name as a query writes it: with its schema unless it is the engine's usual one, quoted where need be.
    pub fn in_sql(&self, engine: Engine) -> String {
        let usual = match engine {
            Engine::SqlServer => "dbo",
            Engine::Postgres => "public",
            Engine::MySql | Engine::Sqlite | Engine::Csv | Engine::Odbc => "",
        };
        let name = identifier(engine, &self.name);
        if self.schema == usual { name } else { format!("{}.{name}", identifier(engine, &self.schema)) }
    }

    /// A query of its first rows, `most` at the most, without binary columns; `None` if no others are there.
    pub fn sample_query(&self, engine: Engine, most: usize) -> Option<String> {
        let columns: Vec<String> = (self.columns.iter())
            .filter(|column| !is_binary(engine, &column.type_name))
            .map(|column| identifier(engine, &column.name))
            .collect();
        let (columns, table) = (columns.join(", "), self.in_sql(engine));
        if columns.is_empty() {
            return None;
        }
        Some(match engine {
            Engine::SqlServer => format!("SELECT TOP {most} {columns} FROM {table}"),
            // Its dialect is unknown, and whoever reads stops after so many rows.
            Engine::Odbc => format!("SELECT {columns} FROM {table}"),
            Engine::Postgres | Engine::MySql | Engine::Sqlite | Engine::Csv => {
                format!("SELECT {columns} FROM {table} LIMIT {most}")
            }
        })
    }
}

/// Whether a column of this type cannot be read as text.
fn is_binary(engine: Engine, type_name: &str) -> bool {
    const BINARY: &str = "blob binary bytea image rowversion geometry geography hierarchyid sql_variant point";
    let name = type_name.to_ascii_lowercase();
    // SQL Server's `timestamp` is a `rowversion`.
    BINARY.split(' ').any(|word| name.contains(word)) || (engine == Engine::SqlServer && name == "timestamp")
}

/// A name as a query writes it, quoted in the engine's way where it would not be read as a name else.
pub fn identifier(engine: Engine, name: &str) -> String {
    if is_plain(engine, name) {
        return name.to_owned();
    }
    match engine {
        Engine::SqlServer => format!("[{}]", name.replace(']', "]]")),
        Engine::MySql => format!("`{}`", name.replace('`', "``")),
        Engine::Postgres | Engine::Sqlite | Engine::Csv | Engine::Odbc => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn is_plain(engine: Engine, name: &str) -> bool {
    let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // PostgreSQL reads unquoted names in lower case.
    let is_folded = engine == Engine::Postgres && name.chars().any(|c| c.is_ascii_uppercase());
    is_word && !is_folded && !RESERVED.split(' ').any(|word| word.eq_ignore_ascii_case(name))
}

/// Words that one engine or another reserves and that may well be a column's name. Quoting one too many does no harm.
const RESERVED: &str = "add all alter analyze and any array as asc authorization backup begin between both by call case cast change \
    character check close collate column commit condition constraint convert create cross current current_date \
    current_user cursor database default delete desc describe distinct drop else end exists external file for \
    foreign from full function grant group groups having identity in index inner insert into is join key keys left \
    like limit not null of off offset on open option or order outer over plan primary public rank references right \
    row rows rule schema select set table to user where";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (engine, name, expected) in [
            (Engine::SqlServer, "StudentID", "StudentID"),
            (Engine::SqlServer, "Year Level", "[Year Level]"),
            (Engine::SqlServer, "a]b", "[a]]b]"),
            (Engine::SqlServer, "User", "[User]"),
            (Engine::Postgres, "StudentID", "\"StudentID\""),
            (Engine::Postgres, "student_id", "student_id"),
            (Engine::Postgres, "say \"x\"", "\"say \"\"x\"\"\""),
            (Engine::MySql, "StudentID", "StudentID"),
            (Engine::MySql, "group", "`group`"),
            (Engine::MySql, "a`b", "`a``b`"),
            (Engine::Sqlite, "1st", "\"1st\""),
            (Engine::Sqlite, "Größe", "\"Größe\""),
        ] {
            assert_eq!(identifier(engine, name), expected);
        }
    }

    #[test]
    fn a_sample_leaves_binary_columns_out() {
        let column = |name: &str, type_name: &str| Column { name: name.into(), type_name: type_name.into() };
        let relation = Relation {
            schema: "sis".into(),
            name: "Students".into(),
            is_view: false,
            columns: vec![column("id", "int"), column("Photo", "image"), column("v", "timestamp")],
        };
        let query = |engine| relation.sample_query(engine, 200);
        assert_eq!(query(Engine::SqlServer).as_deref(), Some("SELECT TOP 200 id FROM sis.Students"));
        assert_eq!(query(Engine::Postgres).as_deref(), Some("SELECT id, v FROM sis.\"Students\" LIMIT 200"));
        let photos = Relation { columns: vec![column("Photo", "longblob")], ..relation };
        assert_eq!(photos.sample_query(Engine::MySql, 200), None);
    }
}
