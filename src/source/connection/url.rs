//! URLs: `mssql://user:password@host:port/database?key=value`, `sqlite:file` and `csv:folder`.
//!
//! Taken apart here and not by the `url` crate, which would encode the braces of a reference and lower the case of a
//! host that is one.

use std::borrow::Cow;

use crate::secret::Secret;

use super::{
    Connection, ConnectionError, EXAMPLE, Encryption, Engine, PASSWORD_KEY, csv, local_host, nearest, odbc,
    outside_references, parameters, path, split_outside,
};

pub(super) type Result<T> = std::result::Result<T, ConnectionError>;

/// Every scheme, with its engine.
const SCHEMES: [(&str, Engine); 9] = [
    ("mssql", Engine::SqlServer),
    ("sqlserver", Engine::SqlServer),
    ("postgres", Engine::Postgres),
    ("postgresql", Engine::Postgres),
    ("mysql", Engine::MySql),
    ("mariadb", Engine::MySql),
    ("sqlite", Engine::Sqlite),
    ("csv", Engine::Csv),
    ("odbc", Engine::Odbc),
];

/// The scheme of a text that is a URL, ours or not, and the rest after its colon.
pub(super) fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let like_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    (like_one && (rest.starts_with("//") || engine(scheme).is_some() || scheme.eq_ignore_ascii_case("jdbc")))
        .then_some((scheme, rest))
}

fn engine(scheme: &str) -> Option<Engine> {
    SCHEMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme)).map(|(_, engine)| *engine)
}

/// Takes a URL apart.
pub(super) fn parse(scheme: &str, rest: &str) -> Result<Connection> {
    let Some(engine) = engine(scheme) else { return Err(unknown_scheme(scheme)) };
    match engine {
        Engine::Sqlite => return parse_sqlite(rest),
        Engine::Csv => return csv::parse(rest),
        Engine::Odbc => return odbc::parse(rest),
        Engine::SqlServer | Engine::Postgres | Engine::MySql => {}
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(ConnectionError::new(format!("`{scheme}:` must be followed by `//`"))
            .hint(format!("write for example {EXAMPLE}")));
    };
    let (authority, query) = split_url(rest)?;
    let (authority, database) = match split_outside(authority, &['/']) {
        Some((authority, _, database)) => (authority, database),
        None => (authority, ""),
    };
    let mut connection = Connection::new(engine);
    let mut user_is_given = false;
    let mut place = authority;
    if let Some(at) = outside_references(authority).filter(|(_, c)| *c == '@').last().map(|(index, _)| index) {
        let login = &authority[..at];
        if split_outside(login, &['@']).is_some() {
            return Err(special_character("a second `@` stands before the host"));
        }
        let (username, password) = match split_outside(login, &[':']) {
            Some((username, _, password)) => (username, Some(password)),
            None => (login, None),
        };
        connection.username = decoded(username)?.into_owned();
        connection.password = password.map(decoded).transpose()?.map(|text| Secret::from(text.into_owned()));
        user_is_given = !username.is_empty();
        place = &authority[at + 1..];
    }
    parse_place(&mut connection, place)?;
    if split_outside(database, &['/', '@']).is_some() {
        return Err(special_character("a `/` or `@` stands after the host where only the database's name belongs"));
    }
    connection.database = decoded(database)?.into_owned();
    let encryption = parameters::parse(&mut connection, query, user_is_given)?;
    complete(connection, encryption)
}

/// What holds for every engine with a server, once everything is read.
fn complete(mut connection: Connection, encryption: Option<Encryption>) -> Result<Connection> {
    let scheme = connection.engine.scheme();
    if connection.host.is_empty() && connection.socket.is_none() {
        return Err(ConnectionError::new("the URL names no host").hint(format!("write `{scheme}://HOST/DATABASE`")));
    }
    if connection.database.is_empty() {
        return Err(ConnectionError::new("the URL names no database").hint(format!("write `{scheme}://HOST/DATABASE`")));
    }
    if connection.port.is_some() {
        connection.instance = None;
    }
    connection.encryption = encryption.unwrap_or_else(|| connection.default_encryption());
    Ok(connection)
}

/// The part before the first `?`, and the parameters after it.
fn split_url(rest: &str) -> Result<(&str, &str)> {
    if split_outside(rest, &['#']).is_some() {
        return Err(special_character("a `#` cannot stand in a URL as it is"));
    }
    Ok(match split_outside(rest, &['?']) {
        Some((before, _, query)) => (before, query),
        None => (rest, ""),
    })
}

/// `host`, `host:port`, `[::1]:port`, `host\instance`. Never shows what it does not understand: it may be the tail of a
/// password with a special character.
fn parse_place(connection: &mut Connection, place: &str) -> Result<()> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else {
            return Err(ConnectionError::new("the `]` after the host's address is missing"));
        };
        (address, if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) })
    } else {
        match split_outside(place, &[':']) {
            Some((host, _, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    connection.port = match port {
        None | Some("") => None,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => {
                return Err(special_character("what follows the host's `:` is not a port from 1 to 65535"));
            }
            Ok(port) => Some(port),
        },
    };
    let host = decoded(host)?;
    if connection.engine == Engine::SqlServer {
        let (host, instance) = host.split_once('\\').map_or((&*host, None), |(host, instance)| (host, Some(instance)));
        if outside_references(host).any(|(_, c)| c == ',') {
            return Err(
                ConnectionError::new("in a URL the port stands after a `:`").hint("write `mssql://HOST:PORT/DATABASE`")
            );
        }
        connection.instance = instance.filter(|instance| !instance.is_empty()).map(ToOwned::to_owned);
        local_host(host).clone_into(&mut connection.host);
    } else if host.starts_with('/') {
        // As libpq writes a socket: `postgres://%2Frun%2Fpostgresql/sis`.
        connection.socket = path(&host);
    } else {
        connection.host = host.into_owned();
    }
    if outside_references(&connection.host)
        .any(|(_, c)| c.is_whitespace() || c.is_control() || matches!(c, ',' | '/' | '@'))
    {
        return Err(ConnectionError::new("the host is not the name or address of one host"));
    }
    Ok(())
}

/// `sqlite:data/sis.db`, `sqlite:C:\SIS\sis.db`, `sqlite:///srv/sis.db`.
fn parse_sqlite(rest: &str) -> Result<Connection> {
    let (file, query) = match split_outside(rest, &['?']) {
        Some((file, _, query)) => (file, query),
        None => (rest, ""),
    };
    if !matches!(query, "" | "mode=ro" | "immutable=1" | "mode=ro&immutable=1") {
        return Err(ConnectionError::new("a SQLite file takes no parameters").hint("it is always opened read-only"));
    }
    let mut connection = Connection::new(Engine::Sqlite);
    connection.database = local_path(file)?;
    if connection.database.is_empty() || connection.database == ":memory:" {
        return Err(
            ConnectionError::new("the URL names no file").hint("write `sqlite:PATH`, for example `sqlite:sis.db`")
        );
    }
    Ok(connection)
}

/// The path in a URL of an engine that reads files. Only the form with `//` is percent-decoded, as only that is a URL.
pub(super) fn local_path(written: &str) -> Result<String> {
    let Some(path) = written.strip_prefix("//") else { return Ok(written.to_owned()) };
    let path = decoded(path)?;
    // `sqlite:///C:/SIS/sis.db`: the third slash belongs to the URL, not to the path.
    let mut start = path.chars();
    let drive =
        start.next() == Some('/') && start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.next() == Some(':');
    Ok(path[usize::from(drive)..].to_owned())
}

/// Percent-decoding; references stay as they are.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let wrong = || special_character("a `%` is not followed by two hexadecimal digits of UTF-8 text");
    let mut bytes = Vec::with_capacity(text.len());
    let mut copied = 0;
    for (index, _) in outside_references(text).filter(|(_, c)| *c == '%') {
        bytes.extend_from_slice(&text.as_bytes()[copied..index]);
        let digits = text
            .get(index + 1..index + 3)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        copied = index + 3;
    }
    bytes.extend_from_slice(&text.as_bytes()[copied..]);
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| wrong())
}

pub(super) fn special_character(message: &str) -> ConnectionError {
    ConnectionError::new(message)
        .hint(format!("if the password holds a special character, {PASSWORD_KEY}; or percent-encode it (`@` is `%40`, `#` is `%23`, `/` is `%2F`, `%` is `%25`)"))
}

fn unknown_scheme(scheme: &str) -> ConnectionError {
    let error = ConnectionError::new(format!("unknown kind of source `{scheme}:`"));
    if scheme.eq_ignore_ascii_case("jdbc") {
        return error.hint(format!("a JDBC URL is not understood; write for example {EXAMPLE}"));
    }
    match nearest(&scheme.to_ascii_lowercase(), SCHEMES.iter().map(|(name, _)| *name)) {
        Some(near) => error.hint(format!("did you mean `{near}:`?")),
        None => error.hint("the kinds are `mssql:`, `postgres:`, `mysql:`, `sqlite:`, `csv:` and `odbc:`"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::tests::refusals;
    use super::super::{Connection, Encryption, Engine, Login};
    use crate::secret::Secret;

    fn parsed(text: &str) -> Connection {
        Connection::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn password(connection: &Connection) -> Option<&str> {
        connection.password.as_ref().map(Secret::expose_secret)
    }

    #[test]
    fn a_url_of_every_engine() {
        let connection = parsed("mssql://svc_library@sis.example.local/Synergetic?instance=SIS");
        assert_eq!(connection.engine, Engine::SqlServer);
        assert_eq!((&*connection.host, connection.port), ("sis.example.local", None));
        assert_eq!(connection.instance.as_deref(), Some("SIS"));
        assert_eq!((&*connection.database, &*connection.username), ("Synergetic", "svc_library"));
        assert_eq!((connection.encryption, connection.login), (Encryption::Required, Login::Database));
        assert_eq!(connection.timeout, Duration::from_mins(5));

        let connection = parsed("postgresql://u%40x:p%20%3A%25w@[::1]:5433/my%2Fdb?sslmode=require");
        assert_eq!((connection.engine, &*connection.host, connection.port), (Engine::Postgres, "::1", Some(5433)));
        assert_eq!(
            (&*connection.username, password(&connection), &*connection.database),
            ("u@x", Some("p :%w"), "my/db")
        );
        assert!(connection.trust_server_certificate);

        let connection = parsed("mariadb://localhost/sis?user=a&password=b&socket=/run/mysqld/mysqld.sock");
        assert_eq!((connection.engine, connection.encryption), (Engine::MySql, Encryption::Preferred));
        assert_eq!(connection.socket.as_deref(), Some(Path::new("/run/mysqld/mysqld.sock")));
        assert_eq!((&*connection.username, password(&connection)), ("a", Some("b")));

        let connection = parsed("postgres:///sis?host=/run/postgresql");
        assert_eq!(connection.socket.as_deref(), Some(Path::new("/run/postgresql")));
        assert_eq!(parsed("postgres://%2Frun%2Fpostgresql/sis").socket, connection.socket);
    }

    #[test]
    fn sqlite_paths() {
        for (url, file) in [
            ("sqlite:data/sis.db", "data/sis.db"),
            ("sqlite:/srv/100%.db", "/srv/100%.db"),
            ("sqlite:///srv/a%20b.db", "/srv/a b.db"),
            (r"sqlite:C:\x\y.db", r"C:\x\y.db"),
            ("sqlite:///C:/x/y.db", "C:/x/y.db"),
            ("sqlite://sis.db?mode=ro", "sis.db"),
            ("sqlite:${SIS_FOLDER}/a?b.db", ""),
        ] {
            match Connection::parse(url) {
                Ok(connection) => assert_eq!(connection.database, file, "{url}"),
                Err(error) => assert!(file.is_empty(), "{url}: {error}"),
            }
        }
    }

    #[test]
    fn sql_server_places() {
        let connection = parsed(r"mssql://.\SQLEXPRESS/db");
        assert_eq!((&*connection.host, connection.instance.as_deref()), ("localhost", Some("SQLEXPRESS")));
        let connection = parsed(r"sqlserver://sis%5CA:1500/db?instance=B");
        assert_eq!((connection.port, connection.instance), (Some(1500), None), "a given port wins");
        assert_eq!(parsed("mssql://h/db?login=windows").login, Login::Windows);
        assert_eq!(parsed("mssql://h/db?integrated_security=SSPI").login, Login::Windows);
    }

    #[test]
    fn levels_of_encryption() {
        for (parameters, expected) in [
            ("", Encryption::Required),
            ("?encrypt=strict", Encryption::Strict),
            ("?encryption=login", Encryption::Login),
            ("?encrypt=false", Encryption::Login),
            ("?encrypt=off", Encryption::Off),
            ("?encrypt=Mandatory", Encryption::Required),
        ] {
            assert_eq!(parsed(&format!("mssql://h/d{parameters}")).encryption, expected, "{parameters}");
        }
        for (parameters, expected, trust) in [
            ("?sslmode=disable", Encryption::Off, false),
            ("?sslmode=prefer", Encryption::Preferred, false),
            ("?sslmode=require", Encryption::Required, true),
            ("?sslmode=verify-full", Encryption::Required, false),
            ("?ssl-mode=VERIFY_IDENTITY", Encryption::Required, false),
            ("?encrypt=false", Encryption::Off, false),
        ] {
            let connection = parsed(&format!("postgres://h/d{parameters}"));
            assert_eq!((connection.encryption, connection.trust_server_certificate), (expected, trust), "{parameters}");
        }
        assert_eq!(parsed("mssql://127.0.0.1/d").encryption, Encryption::Preferred);
    }

    #[test]
    fn references_survive_and_are_resolved() {
        let mut connection = parsed("mssql://${USER:@/?#}:${file:C:\\a/b@c#%zz?;&.txt}@${HOST}/${DB}?ca_file=${CA&=}");
        assert_eq!(connection.username, "${USER:@/?#}");
        assert_eq!(password(&connection), Some("${file:C:\\a/b@c#%zz?;&.txt}"));
        assert_eq!((&*connection.host, &*connection.database), ("${HOST}", "${DB}"));
        connection
            .resolve::<()>(&mut |text| {
                Ok(text.replace("${HOST}", "h").replace("${file:C:\\a/b@c#%zz?;&.txt}", "p@ss#1"))
            })
            .unwrap();
        assert_eq!((&*connection.host, password(&connection)), ("h", Some("p@ss#1")));
        assert_eq!(connection.ca_file.as_deref(), Some(Path::new("${CA&=}")));
        assert_eq!(connection.resolve(&mut |_| Err("no")), Err("no"));
    }

    #[test]
    fn describe_tells_the_place_only() {
        let connection = parsed("mssql://svc:hush@sis.example.local/Synergetic?instance=SIS");
        assert_eq!(connection.describe(), "mssql://sis.example.local/Synergetic?instance=SIS");
        assert_eq!(parsed("postgres://u:hush@[::1]:1/d").to_string(), "postgres://[::1]:1/d");
        assert_eq!(parsed("sqlite:a.db").describe(), "sqlite:a.db");
        assert!(!format!("{connection:?}").contains("hush"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = refusals([
            "postgress://h/d",
            "jdbc:sqlserver://h",
            "mssql:h/d",
            "mssql:///d",
            "mssql://h",
            "mssql://h/d?instanse=X",
            "mssql://h/d?colour=red",
            "mssql://h/d?instance=A&instance=B",
            "mssql://h,1433/d",
            "postgres://a,b/d",
            "postgres://h/d?sslmode=verify-ca",
            "postgres://h/d?encrypt=strict",
            "postgres://h/d?instance=X",
            "mssql://h/d?encrypt=maybe",
            "mssql://[::1/d",
            "sqlite:",
            "sqlite::memory:",
            "hello",
            "${SIS_URL}",
        ]);
        insta::assert_snapshot!(said, @r"
        postgress://h/d: unknown kind of source `postgress:` | did you mean `postgres:`?
        jdbc:sqlserver://h: unknown kind of source `jdbc:` | a JDBC URL is not understood; write for example `mssql://sis.example.local/Synergetic`
        mssql:h/d: `mssql:` must be followed by `//` | write for example `mssql://sis.example.local/Synergetic`
        mssql:///d: the URL names no host | write `mssql://HOST/DATABASE`
        mssql://h: the URL names no database | write `mssql://HOST/DATABASE`
        mssql://h/d?instanse=X: unknown parameter `instanse` | did you mean `instance`?
        mssql://h/d?colour=red: unknown parameter `colour` | the parameters are `instance`, `encryption`, `trust_server_certificate`, `ca_file`, `login`, `sslmode`, `host`, `socket`, `username`, `password` and `database`
        mssql://h/d?instance=A&instance=B: `instance` is given twice | 
        mssql://h,1433/d: in a URL the port stands after a `:` | write `mssql://HOST:PORT/DATABASE`
        postgres://a,b/d: the host is not the name or address of one host | 
        postgres://h/d?sslmode=verify-ca: `sslmode=verify-ca` is not supported: it would not check the host's name | write `sslmode=verify-full`
        postgres://h/d?encrypt=strict: this level of encryption is for SQL Server only | write `required`, `preferred` or `off`
        postgres://h/d?instance=X: `instance` is for SQL Server only | 
        mssql://h/d?encrypt=maybe: `encryption` has a value that is not understood | write `strict`, `required`, `preferred`, `login` or `off`
        mssql://[::1/d: the `]` after the host's address is missing | 
        sqlite:: the URL names no file | write `sqlite:PATH`, for example `sqlite:sis.db`
        sqlite::memory:: the URL names no file | write `sqlite:PATH`, for example `sqlite:sis.db`
        hello: this is neither a URL nor a connection string | write for example `mssql://sis.example.local/Synergetic`, or an ADO.NET connection string such as `Server=host\instance;Database=name`
        ${SIS_URL}: the whole URL is a reference | write the URL out, with references for its parts where you need them, for example `mssql://sis.example.local/Synergetic`
        ");
    }

    #[test]
    fn a_password_with_special_characters_is_hinted_at_and_never_shown() {
        for password in [
            "p@ss#1",
            "pa/ss",
            "pa?ss",
            "50%off",
            "a@b",
            "12/x",
            "12?x",
            "x&y=z",
            "a:b/c",
            "p@1:2",
            "/?AAaaaa=",
            "/?instanceX=",
        ] {
            let error = Connection::parse(&format!("mssql://u:{password}@host/db"));
            match error {
                Err(error) => {
                    let said = format!("{error} {}", error.hint.as_deref().unwrap_or_default());
                    assert!(said.contains("`password:`"), "{password}: {said}");
                    assert!(!said.contains(password) && !said.contains("ss#1"), "{password}: {said}");
                }
                Ok(connection) => assert_eq!(super::tests::password(&connection), Some(password)),
            }
        }
    }

    proptest! {
        #[test]
        fn no_error_shows_a_password(password in "[!-~]{6,20}") {
            for text in [format!("mssql://u:{password}@host/db"), format!("mssql://host/db?password={password}"), format!("Server=h;Password={password}")] {
                if let Err(error) = Connection::parse(&text) {
                    let said = format!("{error} {}", error.hint.as_deref().unwrap_or_default());
                    // Any six characters of it.
                    prop_assert!(!password.as_bytes().windows(6).any(|part| said.contains(std::str::from_utf8(part).unwrap())), "{}", said);
                }
            }
        }

        #[test]
        fn an_encoded_password_comes_back(password in "\\PC{0,12}") {
            prop_assume!(!password.contains("${"));
            let encoded = password.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
            let connection = parsed(&format!("mysql://u:{encoded}@h/d"));
            prop_assert_eq!(super::tests::password(&connection), Some(&*password));
        }
    }
}
