//! `odbc:NAME`, a data source of this machine, and `odbc:Driver={…};Server=…`, a connection string of ODBC.

use std::fmt;

use crate::secret::Secret;

use super::url::Result;
use super::{Connection, ConnectionError, Engine, OneLine, outside_references};

/// The keys and values of a connection string, without user and password.
#[derive(Clone, Default)]
pub struct OdbcString {
    pairs: Vec<(String, String)>,
}

/// Keys whose values tell the place and nothing secret. Any other may be a secret of a driver.
const SHOWN: [&str; 15] = [
    "driver",
    "dsn",
    "filedsn",
    "server",
    "servername",
    "host",
    "hostname",
    "port",
    "database",
    "dbname",
    "dbq",
    "db",
    "sid",
    "servicename",
    "service",
];
/// Keys that name the database.
const DATABASES: [&str; 4] = ["database", "dbname", "dbq", "db"];

impl OdbcString {
    /// Replaces the references in every value.
    pub(super) fn resolve<E>(
        &mut self,
        resolve: &mut dyn FnMut(&str) -> std::result::Result<String, E>,
    ) -> std::result::Result<(), E> {
        for (_, value) in &mut self.pairs {
            *value = resolve(value)?;
        }
        Ok(())
    }

    /// The string as a mapping has it, without user and password.
    pub(crate) fn written(&self) -> String {
        if let [(key, name)] = self.pairs.as_slice()
            && key.eq_ignore_ascii_case("dsn")
        {
            return name.clone();
        }
        let pairs: Vec<String> = self.pairs.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
        pairs.join(";")
    }

    /// The whole string for the driver manager, with its secrets.
    #[cfg_attr(not(any(feature = "odbc", test)), expect(dead_code, reason = "for the driver manager only"))]
    pub(in crate::source) fn with_login(&self, username: &str, password: Option<&Secret>) -> Secret {
        let mut text = String::new();
        let mut add = |key: &str, value: &str| {
            text.push_str(key);
            text.push('=');
            text.push_str(&quoted(value));
            text.push(';');
        };
        for (key, value) in &self.pairs {
            add(key, value);
        }
        if !username.is_empty() {
            add("UID", username);
        }
        if let Some(password) = password {
            add("PWD", password.expose_secret());
        }
        text.into()
    }

    /// The database, as far as the string names it.
    #[cfg_attr(not(any(feature = "odbc", test)), expect(dead_code, reason = "for the driver manager's errors only"))]
    pub(in crate::source) fn database(&self) -> Option<&str> {
        let is_database = |key: &str| DATABASES.iter().any(|known| key.eq_ignore_ascii_case(known));
        self.pairs.iter().find(|(key, _)| is_database(key)).map(|(_, value)| value.as_str())
    }
}

/// What is no secret: `NAME`, or `Driver={…};Server=…`.
impl fmt::Display for OdbcString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(key, name)] = self.pairs.as_slice()
            && key.eq_ignore_ascii_case("dsn")
        {
            return write!(f, "{}", OneLine(name));
        }
        let shown = self.pairs.iter().filter(|(key, _)| SHOWN.iter().any(|known| key.eq_ignore_ascii_case(known)));
        for (index, (key, value)) in shown.enumerate() {
            write!(f, "{}{}={}", if index == 0 { "" } else { ";" }, OneLine(key), OneLine(&quoted(value)))?;
        }
        Ok(())
    }
}

/// As [`fmt::Display`]: the other values may be secrets.
impl fmt::Debug for OdbcString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OdbcString({self})")
    }
}

/// A value in braces, where it needs them.
fn quoted(value: &str) -> std::borrow::Cow<'_, str> {
    // Not every driver takes every value's braces away, so only what would otherwise be read wrongly gets them. (`+` is
    // for PostgreSQL's driver.)
    let is_padded = value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace);
    if value.contains([';', '+', '{', '}']) || is_padded {
        format!("{{{}}}", value.replace('}', "}}")).into()
    } else {
        value.into()
    }
}

/// `school` or `Driver={…};Server=…;…`.
pub(super) fn parse(rest: &str) -> Result<Connection> {
    const EXAMPLES: &str = "write `odbc:NAME` for a data source of this machine, or a connection string such as \
                            `odbc:Driver={Oracle in instantclient};Dbq=//host:1521/PSPROD`";
    let mut rest = rest.trim();
    let mut connection = Connection::new(Engine::Odbc);
    if rest.is_empty() || rest.starts_with("//") {
        return Err(ConnectionError::new("after `odbc:` stands no data source").hint(EXAMPLES));
    }
    if !outside_references(rest).any(|(_, c)| matches!(c, '=' | ';' | '{')) {
        connection.odbc.pairs.push(("DSN".to_owned(), rest.to_owned()));
        return Ok(connection);
    }
    while let Some((key, value)) = next_pair(&mut rest)? {
        match key.to_ascii_lowercase().as_str() {
            "pwd" | "password" => {
                return Err(ConnectionError::new(format!("the connection string holds a password (`{key}`)"))
                    .hint("delete it there and write it beside `url:` as a reference: `password: ${SIS_PASSWORD}`"));
            }
            "uid" if connection.username.is_empty() => connection.username = value,
            folded => {
                if folded == "uid" || connection.odbc.pairs.iter().any(|(known, _)| known.eq_ignore_ascii_case(key)) {
                    return Err(ConnectionError::new(format!("`{key}` is given twice")));
                }
                connection.odbc.pairs.push((key.to_owned(), value));
            }
        }
    }
    let names_driver =
        |(key, _): &(String, String)| ["driver", "dsn", "filedsn"].iter().any(|known| key.eq_ignore_ascii_case(known));
    if !connection.odbc.pairs.iter().any(names_driver) {
        return Err(
            ConnectionError::new("the connection string names neither a driver nor a data source").hint(EXAMPLES)
        );
    }
    Ok(connection)
}

/// The next `key=value`, taken from the front of `rest`; `None` at the end. What is not understood is not shown: it may be
/// the tail of a password.
fn next_pair<'t>(rest: &mut &'t str) -> Result<Option<(&'t str, String)>> {
    *rest = rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
    if rest.is_empty() {
        return Ok(None);
    }
    let Some((key, after)) = rest.split_once('=').filter(|(key, _)| !key.contains(';')) else {
        return Err(ConnectionError::new("a part of the connection string is not `key=value`")
            .hint("a value that holds a `;` stands in braces: `Server={a;b}`"));
    };
    let (key, after) = (key.trim(), after.trim_start());
    let places = |wanted: char| outside_references(after).filter(move |(_, c)| *c == wanted).map(|(index, _)| index);
    if !after.starts_with('{') {
        let end = places(';').next().unwrap_or(after.len());
        *rest = &after[end..];
        return Ok(Some((key, after[..end].trim_end().to_owned())));
    }
    let mut value = String::new();
    let mut start = 1;
    let mut closing = places('}').peekable();
    while let Some(index) = closing.next() {
        value.push_str(&after[start..index]);
        start = index + 1;
        // Two are one that belongs to the value.
        if closing.next_if_eq(&start).is_none() {
            *rest = &after[start..];
            if !rest.trim_start().is_empty() && !rest.trim_start().starts_with(';') {
                return Err(ConnectionError::new(format!(
                    "after the `}}` of `{key}` stands something that is not `;`"
                ))
                .hint("a `}` inside braces is written twice"));
            }
            return Ok(Some((key, value)));
        }
        value.push('}');
        start += 1;
    }
    Err(ConnectionError::new(format!("the `}}` that ends the value of `{key}` is missing")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::refusals;
    use super::*;

    fn parsed(text: &str) -> Connection {
        Connection::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn data_sources_and_connection_strings() {
        let connection = parsed("odbc:school");
        assert_eq!((connection.engine, connection.describe()), (Engine::Odbc, "odbc:school".to_owned()));
        assert_eq!(connection.odbc.with_login("", None).expose_secret(), "DSN=school;");

        let connection = parsed("ODBC:Driver={A;b}}c}; Server = sis.example ;UID=svc;Database=${DB;=};Token=hush;");
        assert_eq!(connection.describe(), "odbc:Driver={A;b}}c};Server=sis.example;Database={${DB;=}}}");
        assert_eq!((&*connection.username, connection.odbc.database()), ("svc", Some("${DB;=}")));
        assert!(!format!("{connection:?}").contains("hush"));

        let mut connection = connection;
        connection.resolve::<()>(&mut |text| Ok(text.replace("${DB;=}", "a;PWD=x"))).unwrap();
        let whole = connection.odbc.with_login("svc", Some(&"p;w}".into()));
        assert_eq!(
            whole.expose_secret(),
            "Driver={A;b}}c};Server=sis.example;Database={a;PWD=x};Token=hush;UID=svc;PWD={p;w}}};",
            "a reference cannot add keys"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = refusals([
            "odbc:",
            "odbc://host/db",
            "odbc:Driver=x;PWD=canary",
            "odbc:DSN=x;password={canary}",
            "odbc:Server=x",
            "odbc:Driver=x;Server=a;server=b",
            "odbc:Driver=x;UID=a;uid=b",
            "odbc:Driver={x;Server=a",
            "odbc:Driver={x}y;Server=a",
            "odbc:Driver=x;canary",
        ]);
        insta::assert_snapshot!(said, @r"
        odbc:: after `odbc:` stands no data source | write `odbc:NAME` for a data source of this machine, or a connection string such as `odbc:Driver={Oracle in instantclient};Dbq=//host:1521/PSPROD`
        odbc://host/db: after `odbc:` stands no data source | write `odbc:NAME` for a data source of this machine, or a connection string such as `odbc:Driver={Oracle in instantclient};Dbq=//host:1521/PSPROD`
        odbc:Driver=x;PWD=canary: the connection string holds a password (`PWD`) | delete it there and write it beside `url:` as a reference: `password: ${SIS_PASSWORD}`
        odbc:DSN=x;password={canary}: the connection string holds a password (`password`) | delete it there and write it beside `url:` as a reference: `password: ${SIS_PASSWORD}`
        odbc:Server=x: the connection string names neither a driver nor a data source | write `odbc:NAME` for a data source of this machine, or a connection string such as `odbc:Driver={Oracle in instantclient};Dbq=//host:1521/PSPROD`
        odbc:Driver=x;Server=a;server=b: `server` is given twice | 
        odbc:Driver=x;UID=a;uid=b: `uid` is given twice | 
        odbc:Driver={x;Server=a: the `}` that ends the value of `Driver` is missing | 
        odbc:Driver={x}y;Server=a: after the `}` of `Driver` stands something that is not `;` | a `}` inside braces is written twice
        odbc:Driver=x;canary: a part of the connection string is not `key=value` | a value that holds a `;` stands in braces: `Server={a;b}`
        ");
    }

    proptest! {
        #[test]
        fn a_value_comes_back(value in "\\PC{0,12}") {
            prop_assume!(!value.contains("${"));
            let connection = parsed(&format!("odbc:Driver=x;Server={}", quoted(&value)));
            let server = connection.odbc.pairs.iter().find(|(key, _)| key == "Server").map(|(_, value)| value.as_str());
            prop_assert_eq!(server, Some(&*value));
        }
    }
}
